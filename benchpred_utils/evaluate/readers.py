"""Readers: from files to Scores, or to a sentence that says what is wrong and where.

Every file is read as records, its format says what a record holds of a model and an item, and what
is here makes a matrix of it: scores are numbers in [0, 1], and an item is one question.
"""

import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from ..scores import Scores
from .files import files_in, named, printable, records_of
from .formats import FORMATS, HELM, LM_EVAL, TABLE, Entry, entries_of

__all__ = [
    "FORMATS",
    "among",
    "named",
    "per_task",
    "printable",
    "read_any",
    "read_helm",
    "read_lm_eval",
    "read_results",
    "read_scores",
]

NUMBER = re.compile(r"[-+.0-9e]+")  # what else float() takes, 1_0 say, is no score
NUMBERS = {"true": 1.0, "false": 0.0}
NUMBERS |= dict.fromkeys(("", "nan", "na", "n/a", "none", "null", "<na>"), np.nan)
# What a harness makes of all items together; lines hold the parts, [gold, prediction] say, or 999.
NO_MEAN = re.compile(
    r"inst_level.*|f1|mcc|matthews_corrcoef|bleu|chrf|ter|(\w+_)?perplexity|bits_per_byte"
    r"|brier_score|bypass"
)
# Of inspect_ai: correct, incorrect, partially, no answer; of EvalPlus.  Tables have numbers.
WORDS = NUMBERS | {"c": 1, "i": 0, "p": 0.5, "n": 0, "pass": 1, "fail": 0, "timeout": 0}
LARGEST = 10**8  # characters, were all names as long as the longest


def read_scores(path, missing="error") -> Scores:
    """The Scores in a table, CSV, Parquet or JSON: a row per model, or model, item, score.

    In the first form the first column is the model's name; the second, long, one may have a column
    domain.  `missing` is as in `read_any`.
    Raises ValueError, naming file, row and column, for what is no score in [0, 1], and ImportError
    without pyarrow.
    """
    return read_any(path, missing=missing, formats=[TABLE])


def read_lm_eval(paths, metric=None, filter=None, missing="error") -> Scores:
    """The Scores in sample logs of lm-evaluation-harness, or folders of them.

    A model is named by the results beside its log, or by the log's folder, an item "task:doc_id";
    ``paths={name: path or paths}`` gives other names.  Repeats, a list in one line or logs of
    several runs, are averaged; tasks are domains.
    Otherwise as `read_any`.
    """
    return read_any(paths, metric, filter, missing, formats=[LM_EVAL])


def read_helm(folders, metric=None, missing="error") -> Scores:
    """The Scores in run folders of HELM, or folders that hold some.

    Read are per_instance_stats.json, or else display_predictions.json, and instances.json if there.
    An item is "run/instance", the run's name without its model; trials are averaged; perturbed and
    training instances are left out; runs are domains.
    Otherwise as `read_any`.
    """
    return read_any(folders, metric, missing=missing, formats=[HELM])


def read_any(
    paths, metric=None, filter=None, missing="error", same_items=False, formats=FORMATS
) -> Scores:
    """The Scores in files of any of the FORMATS, told apart by content, or in folders of logs.

    `paths` is one, a list, {model: path or paths}, or has "model=path" in it.  `metric` and `filter` are names for all tasks, or {task: name}; they must be said where a task
    has several.  `missing`, for scores that are not there: "error"; "drop" the items that some
    model lacks, or "drop-models", both with a warning that says what is left; "keep" them, NaN.
    Raises ValueError, naming file and place, for what is no score in [0, 1], and where an item is
    not the same question in all logs (its hash differs), unless `same_items` says that it is.
    """
    found = _listed(paths)
    rows = _scored(_entries(found, formats), metric, filter, same_items)
    return _scores(rows, missing, found[0][1].stem)


def read_results(paths, metric=None, filter=None, sources=(), same_items=False) -> pd.Series:
    """The scores of one model on any of the items: a Series by item, whose name is the model's.

    It holds None, with a warning, where a file has an item without a score: it was not answered.
    A table of one model needs no column model.  Raises ValueError as `read_any`, also when the
    files hold several models, or an item is not the same question as in the files `sources`, or
    these have another metric.
    """
    entries = _entries(_listed(paths))
    files = {entry.file for entry in entries}
    if sources and entries[0].question is not None:
        entries += _entries(_listed(sources))
    rows = _scored(entries, metric, filter, same_items)
    rows = rows[rows["file"].isin(files)]
    models = rows["model"].unique()
    if len(models) > 1:
        raise ValueError(
            f"{named(rows['file'].unique())}: results are of one model, but {len(models)} were "
            f"found: {named(models)}; give the files of one model"
        )
    scores = _matrix(rows).iloc[0]
    empty = scores[scores.isna()].index
    if len(empty):
        row = rows[rows["score"].isna()].iloc[0]
        warnings.warn(
            f"{row['file']}, {row['place']}: {len(empty)} of {len(scores)} items have no score: "
            f"{named(empty)}",
            stacklevel=2,
        )
        scores = scores.astype(object).where(scores.notna(), None)
    return scores


def among(results, items) -> pd.Series:
    """The results of these items; where they name no task, "task:7" of a log is their 7.

    Raises ValueError when no result is of one, or when results of two tasks would be of the same.
    """
    if not results.index.isin(items).any():
        names = results.index.str.rpartition(":")
        tasks = names[names.get_level_values(2).isin(items)].unique(0)
        if tasks.empty:
            raise ValueError(
                f"no result is of an item of the sources: {printable(results.index[0])}, say, is "
                f"none like {printable(items[0])}"
            )
        if len(tasks) > 1:
            raise ValueError(
                f"the results are of {len(tasks)} tasks, {named(tasks)}, but the sources name "
                "none: give the results of one task"
            )
        results = results.set_axis(names.get_level_values(2))
    return results[results.index.isin(items)]


def per_task(text):
    """What an option names: "acc" for all tasks, {task: name} of "task=acc,other=exact_match"."""
    if "=" not in (text or ""):
        return text
    return dict(part.strip().rsplit("=", 1) for part in text.split(","))


# --- from files to entries ---


def _listed(paths):
    """(the model's name where one is given, path): of {name: paths}, or of "name=path" too."""
    found = []
    for name, group in (paths if isinstance(paths, dict) else {None: paths}).items():
        for path in [group] if isinstance(group, str | Path) else group:
            said, _, other = str(path).partition("=")
            if other and not Path(path).exists():
                name, path = said, other
            if not Path(path).exists():
                raise FileNotFoundError(f"{path} is not there")
            found.append((name, Path(path)))
    if not found:
        raise ValueError("no file is named; at least one is needed")
    return found


def _entries(listed, formats=FORMATS):
    """What all files say; below a folder logs are read, and tables and other files passed over."""
    entries = []
    for name, path in listed:
        new = []
        for file in files_in(path):
            new += _read(file, formats, file == path)
        if not new:
            raise ValueError(f"{path} holds no log; {_read_are(formats)}")
        if path.is_dir():
            new.sort(key=_in_order)
        entries += [entry._replace(model=name) for entry in new] if name else new
    return entries


def _in_order(entry):
    return entry.task, len(entry.item), entry.item  # 7 before 10


def _read_are(formats):
    names = ", ".join(dict.fromkeys(format.name for format in formats))
    return (
        f"read are {names}; lm_eval writes logs with --log_samples and --output_path, and tables "
        "are named one by one"
    )


def _read(file, formats, is_named):
    """The entries of a file of a known format; of another none, or an error where it is named."""
    records = records_of(file)
    first = next(iter(records.values()), {})
    is_table = is_named and not any(isinstance(cell, dict | list) for cell in first.values())
    for format in formats:
        if format.marks <= first.keys() and (is_table or format is not TABLE):
            found = list(entries_of(format, file, records))
            return found if format is TABLE else _with_filters(found)
    if is_named or file.name.startswith("samples_"):
        kind = "a table" if "row 2" in records else "JSON, but not a table"
        raise ValueError(
            f"{file} is {kind}, with the fields {named(first, 5)}; {_read_are(formats)}"
        )
    return []


def _with_filters(found):
    """Filters without names, passes over all items one after the other, are called 1, 2, ..."""
    items = [entry.item for entry in found]
    n = len(set(items))
    passes = len(items) > n == len(set(items[:n])) and items[n] == items[0]
    for number, entry in enumerate(found):
        if not entry.filter:
            found[number] = entry._replace(filter=f"{1 + number // n}" if passes else "none")
    return found


# --- from entries to rows: which filter and which metric ---


def _scored(entries, metric, filter, same_items):
    """The entries of one filter and metric as a table, their scores numbers in [0, 1] or NaN."""
    filters = _chosen("filter", filter, [(entry, {entry.filter: 0}) for entry in entries])
    entries = [entry for entry in entries if entry.filter == filters[entry.task]]
    metrics = _chosen("metric", metric, [(entry, entry.scores) for entry in entries])
    scores, sizes = [], {}
    for entry in entries:
        name = metrics[entry.task]
        score = entry.scores.get(name) if entry.scores else ""
        size = len(score) if isinstance(score, list) else 0
        if entry.scores and name not in entry.scores:
            raise ValueError(f"{entry.file}, {entry.place} has no {name}; run the task again")
        if _is_part(name, score) or size != (size and sizes.setdefault(entry.task, size)):
            raise ValueError(
                f"{entry.file}, {entry.place}: {name} is {score!r:.80}, which is no score of the "
                "item: a harness makes it of all items together, or scored nothing "
                "(predict_only); choose another metric"
            )
        numbers = [_number(entry, repeat) for repeat in (score if size else [score])]
        scores.append(pd.Series(numbers).mean() if size else numbers[0])
    rows = pd.DataFrame(entries, columns=Entry._fields).assign(score=scores)
    for names in ("model", "item"):
        rows[names] = [printable(name, np.inf) for name in rows[names]]
    _check_questions(rows, same_items)
    return _once(rows)


def _is_part(metric, score):
    is_number = score == "" or isinstance(score, int | float) and 0 <= score <= 1
    return not is_number and NO_MEAN.fullmatch(metric) is not None


def _chosen(what, wanted, entries):
    """{task: name}, the one that is wanted or the only one; `entries`: (entry, {name: score})."""
    wanted = wanted if isinstance(wanted, dict) else {None: wanted}
    found, files, taken, unclear, unmet = {}, {}, {}, [], []
    for entry, scores in entries:
        names = found.setdefault(entry.task, {})
        for name, score in scores.items():
            names[name] = names.get(name) or _is_part(name, score)
            files[entry.task] = entry.file
    for task, names in found.items():
        likely = sorted(name for name in names if not names[name]) or sorted(names)
        name = wanted.get(task, wanted.get(None))
        taken[task] = name
        if name in names or not names:
            continue
        lack = f"no {what} {name!r}" if name else f"{len(likely)} {what}s"
        says = (
            f"{files.get(task)} has {lack}; say which: {what}={' or '.join(map(repr, likely))} (in "
            f"a terminal --{what} NAME, or {task or 'TASK'}=NAME for this task alone)"
        )
        (unclear if task in wanted or len(likely) > 1 else unmet).append(says)
        taken[task] = likely[0]
    if len(unmet) == len(found) and name and "" not in names:  # no task has the one for all
        unclear += unmet
    if unclear:
        raise ValueError("\n".join(unclear))
    return taken


def _number(entry, score):
    word = str(score).strip().lower()
    words = NUMBERS if entry.question is None else WORDS
    try:
        number = float(word) if NUMBER.fullmatch(word) else words[word]
    except (KeyError, ValueError):
        number = -1
    if number < 0 or number > 1:
        raise ValueError(
            f"{entry.file}, {entry.place}: the score of model {printable(entry.model)} on item "
            f"{printable(entry.item)} is {printable(score)}, which is not a number in [0, 1]; "
            "write 0 or 1, true or false, or a number between, and nothing where there is none; "
            "divide percentages, or points, by their maximum; an error rate e becomes 1 - e"
        )
    return number


def _check_questions(rows, same_items):
    hashed = rows[rows["question"].fillna("") != ""]
    bare = rows[(rows["question"] == "") & rows["item"].isin(hashed["item"])]
    if len(bare):
        warnings.warn(
            f"{named(bare['file'].unique())}: without hashes, so it can't be checked whether the "
            "items are the same questions as in the other files",
            stacklevel=4,
        )
    differing = hashed.drop_duplicates(["item", "question"])
    for a, b in _twins(differing, ["item"]):
        says = (
            f"{differing.duplicated('item').sum()} items are not the same question in all files, "
            f"the first is {printable(a.item)} ({a.file}, {a.place}, and {b.file}, {b.place})"
        )
        if not same_items:
            raise ValueError(
                f"{says}: use one version of the task for all models; same_items=True "
                "(--same-items) where the difference does not matter"
            )
        warnings.warn(says, stacklevel=4)


def _once(rows):
    """One row per answer: lines of logs may come again, but not with another score."""
    is_log = rows["question"].notna()
    rows = rows.assign(run=rows["file"].where(is_log), line=rows["place"].mask(is_log))
    keys = ["model", "item", "run", "repeat"]
    rows = rows.drop_duplicates([*keys, "score", "line"])
    for a, b in _twins(rows, keys):
        raise ValueError(
            f"model {printable(a.model)} has two scores on item {printable(a.item)}: {a.score:g} "
            f"({a.file}, {a.place}) and {b.score:g} ({b.file}, {b.place}); delete one of them, or "
            "give their mean (nan: none)"
        )
    return rows


def _twins(rows, keys):
    """The first two rows that agree in these columns, in a list, or an empty one."""
    pairs = rows[rows.duplicated(keys, keep=False)].groupby(keys, sort=False, dropna=False)
    return [list(pair.itertuples())[:2] for _, pair in pairs][:1]


# --- from rows to a matrix ---


def _matrix(rows):
    """One row per model, one column per item; the mean of repeats, NaN where there is no score."""
    runs = rows.groupby(["model", "item", "file"])["score"].mean()
    apart = runs.groupby(["model", "item"]).nunique() > 1
    if apart.any():
        warnings.warn(
            f"{named(apart[apart].index.unique('model'))}: some items were run more than once, "
            "with different scores; these are averaged",
            stacklevel=4,
        )
    matrix = rows.groupby(["model", "item"])["score"].mean().unstack()
    return matrix.loc[rows["model"].unique(), rows["item"].unique()]


def _scores(rows, missing, name):
    matrix = _matrix(rows)
    lacks = matrix.isna()
    kept = {
        "error": matrix[:0],
        "keep": matrix,
        "drop": matrix.dropna(axis=1),
        "drop-models": matrix.dropna(),
    }
    if missing not in kept:
        raise ValueError(f"missing is {missing!r}; use one of {', '.join(kept)}")
    domains = rows.groupby("item")["task"].first()[matrix.columns]
    if lacks.any(axis=None):
        says = _what_is_missing(lacks, matrix.mean(), domains, rows)
        matrix = kept[missing]
        if matrix.size < 2:
            raise ValueError(says)
        if missing != "keep":
            size = f"{len(matrix)} models x {matrix.shape[1]} items"
            warnings.warn(f"kept are {size}: {says}", stacklevel=3)
    for names in matrix.axes:
        longest = max(names, key=len)
        if len(longest) * len(names) > LARGEST:
            raise ValueError(f"the name {printable(longest)} is too long; give it a shorter one")
    domains = domains[matrix.columns]
    domains = domains.to_numpy(str) if domains.nunique() > 1 else None
    return Scores(matrix, domains=domains, name=name)


def _what_is_missing(lacks, means, domains, rows):
    """Who lacks what, and what would be left, of which domains, if it were dropped."""
    counts = lacks.sum(axis=1).sort_values(ascending=False, kind="stable")
    counts = counts[counts > 0]
    lines = [f"{len(counts)} of {len(lacks)} models lack scores:"]
    for model, count in counts.head(5).items():
        items = lacks.columns[lacks.loc[model]]
        of_model = rows[rows["model"] == model].sort_values("score", na_position="first")
        row = of_model.iloc[0]
        place = "" if row["score"] >= 0 else f", {row['place']}"
        lines.append(
            f"  {printable(model)} lacks {count} of {lacks.shape[1]} items: {named(items)} "
            f"({row['file']}{place})"
        )
    left, others = ~lacks.any(), ~lacks.drop(counts.index[0]).any()
    shares = [
        f"{number} of {(domains == domain).sum()} of {printable(domain)}"
        for domain, number in domains[~left].value_counts().items()
        if domain
    ] or ["of no domain"]
    lines.append(
        f"with missing='drop' (--missing drop) only {left.sum()} items are left of all: dropped "
        f"are {(~left).sum()} ({named(shares)}), and the mean score of the rest is "
        f"{means[left].mean():.3f}, not {means.mean():.3f}; without {printable(counts.index[0])} "
        f"there are {others.sum()} (missing='drop-models'); missing='keep' keeps the gaps; are "
        "items named alike in all files?"
    )
    return "\n".join(lines)
