"""Readers: from files to Scores, or to a sentence that says what is wrong and where.

Every file is read as records, its format says what a record holds of a model and an item, and what
is here makes a matrix of it: scores are numbers in [0, 1], and an item is one question.
"""

import re
import warnings
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from ..scores import Scores
from .files import files_in, named, printable, records_of
from .formats import FORMATS, HELM, LM_EVAL, TABLE, Entry, entries_of

NUMBER = re.compile(r"-?([0-9]+\.?[0-9]*|\.[0-9]+)(e[-+]?[0-9]+)?")  # float() takes 1_0 too
NUMBERS = {"true": 1.0, "false": 0.0}
NUMBERS |= dict.fromkeys(("", "nan", "na", "n/a", "none", "null", "<na>"), np.nan)
# Of inspect_ai: correct, incorrect, partially, no answer; of EvalPlus.  Tables have numbers.
WORDS = NUMBERS | {"c": 1, "i": 0, "p": 0.5, "n": 0, "pass": 1, "fail": 0, "timeout": 0}
# Metrics whose lists are scores of several answers; other lists are parts, [gold, prediction] say,
# of what a harness makes of all items together.
REPEATED = re.compile("acc(uracy)?(_norm)?|exact(_match)?|correct|pass.*")
LARGEST = 10**8  # characters, were all names as long as the longest


def read_scores(path, missing="error") -> Scores:
    """The Scores in a table, CSV, Parquet or JSON: a row per model, or model, item, score.

    In the first form the first column is the model's name; the second, long, one may have columns
    domain and task: an item's name is then "task:item".  `missing` is as in `read_any`.
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

    Read are per_instance_stats.json, or else display_predictions.json, and run_spec.json (without
    it the folders name run and model) and instances.json if there.
    An item is "run/instance", the run's name without its model; trials are averaged; perturbed
    instances are left out; runs are domains.
    Otherwise as `read_any`.
    """
    return read_any(folders, metric, missing=missing, formats=[HELM])


def read_any(
    paths, metric=None, filter=None, missing="error", same_items=False, formats=FORMATS
) -> Scores:
    """The Scores in files of any of the FORMATS, told apart by content, or in folders of logs.

    `paths` is one, a list, {model: path or paths}, or has "model=path" in it.  `metric` and
    `filter` are names for all tasks, or {task: name}; they must be said where a task has several.
    `missing`, for scores that are not there: "error"; "drop" the items that some model lacks, or
    "drop-models", both with a warning that says what is left; "keep" them, NaN.
    Items that several files have of one model are averaged, with a warning that names these.
    Raises ValueError, naming file and place, for what is no score in [0, 1], for a task in `metric`
    or `filter` that no file has, and where an item is not the same question in all logs (its hash
    differs), unless `same_items` says that it is.
    """
    rows = _rows(_entries(paths, formats), metric, filter, same_items)
    return _scores(rows, missing)


def read_results(paths, metric=None, filter=None, sources=(), same_items=False) -> pd.Series:
    """The scores of one model on any of the items: a Series by item, whose name is the model's.

    It holds None, with a warning, where a file has an item without a score: it was not answered.
    A table of one model needs no column model.  Raises ValueError as `read_any`, also when the
    files hold several models, or an item is not the same question as in the files `sources`, or
    these have another metric.
    """
    entries = _entries(paths)
    n = len(entries)
    if sources and entries[0].filter:
        entries += _entries(sources)
    rows = _rows(entries, metric, filter, same_items)
    rows = rows[rows.index < n]
    matrix = _matrix(rows)
    if len(matrix) > 1:
        raise ValueError(
            f"{named(rows['file'].unique())}: results are of one model, but {len(matrix)} were "
            f"found: {named(matrix.index)}; give the files of one model, or if these are, name it: "
            "NAME=path for each (in Python {name: paths})"
        )
    scores = matrix.iloc[0]
    empty = scores.index[scores.isna()]
    if len(empty):
        place = rows["place"][rows["score"].isna()].iloc[0]
        warnings.warn(
            f"{place}: {len(empty)} of {len(scores)} items have no score: {named(empty)}; they "
            "count as wrong, or as --failed says",
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


# --- from files to rows, one for each score ---


def _entries(paths, formats=FORMATS):
    """What all files say; below a folder logs are read, and tables and other files passed over."""
    entries = []
    by_model = pd.Series(paths if isinstance(paths, dict) else {"": paths}, dtype=object)
    for model, path in by_model.explode().dropna().items():
        if not Path(path).exists():
            *said, path = str(path).split("=", 1)
            model = "".join(said) or model
        path = Path(path)
        if not path.exists():
            raise FileNotFoundError(f"{path} is not there")
        found = [entry for file in files_in(path) for entry in _read(file, formats, file == path)]
        if not found:
            raise ValueError(f"{path} holds no log; {_read_are(formats)}")
        if path.is_dir():
            found.sort(key=_in_order)
        for entry in found:
            names = [printable(name, np.inf) for name in (model or entry.model, entry.item)]
            entries.append(entry._replace(model=names[0], item=names[1], root=path.stem))
    if not entries:
        raise ValueError("no file is named; at least one is needed")
    return entries


def _in_order(entry):
    return entry.task, len(entry.item), entry.item  # 7 before 10


def _read_are(formats):
    names = dict.fromkeys(format.name for format in formats)
    return (
        f"read are {', '.join(names)}; lm_eval writes logs with "
        "--log_samples and --output_path; tables are named one by one: CSV, Parquet or JSON with "
        "model, item, score, or a column per item after the model's name, separated by commas"
    )


def _read(file, formats, is_named):
    """The entries of a file of a known format; of another none, or an error where it is named."""
    records = records_of(file)
    first = next(iter(records.values()), {})
    is_table = is_named and not any(isinstance(cell, dict | list) for cell in first.values())
    for format in formats:
        if format.marks <= first.keys() and (is_table or format is not TABLE):
            return entries_of(format, file, records)
    if is_named or file.name.startswith("samples_"):
        raise ValueError(
            f"{file}, with the fields {named(first, 5)}, is of another kind; {_read_are(formats)}"
        )
    return []


def _rows(entries, metric, filter, same_items):
    """The entries of one filter and metric as a table, their scores numbers in [0, 1] or NaN."""
    rows = pd.DataFrame(entries, columns=Entry._fields).explode("scores")
    rows["metric"], rows["said"] = zip(*rows.pop("scores"))
    rows["score"] = list(map(_number, rows["said"], rows["metric"]))
    rows = _chosen(rows, "filter", filter)
    chosen = _chosen(rows, "metric", metric)
    for row in rows[~rows.index.isin(chosen.index)].itertuples():
        raise ValueError(f"{row.place} has {row.metric} only, unlike its task; run the task again")
    for row in chosen[chosen["score"] < 0].itertuples():
        raise ValueError(
            f"{row.place}: the score of model {printable(row.model)} on item "
            f"{printable(row.item)} is {printable(row.said)}, which is not a number in [0, 1]; "
            "write 0 or 1, true or false, or a number between, and nothing where there is none; "
            "divide percentages, or points, by their maximum; an error rate e becomes 1 - e; "
            f"{row.metric or 'a list'} is no score of the item if a harness makes it of all items "
            "together, or scored nothing (predict_only): choose another metric; and in a table, is "
            "the header missing?"
        )
    _check_questions(chosen, same_items)
    return _once(chosen)


def _number(said, metric):
    """A score as a number: NaN where there is none, -1 where it is no score."""
    if isinstance(said, list) and REPEATED.fullmatch(metric):
        repeats = [_number(one, metric) for one in said]
        return -1 if -1 in repeats else pd.Series(repeats).mean()
    word = str(said).strip().lower()
    words = WORDS if metric else NUMBERS
    number = float(word) if NUMBER.fullmatch(word) else words.get(word, -1)
    return -1 if number < 0 or number > 1 else number


def _chosen(rows, what, wanted):
    """The rows of the filter, or metric, that is wanted of a task, or of the only one it has."""
    wanted = wanted if isinstance(wanted, dict) else {None: wanted}
    everywhere = {None, *rows[what]}
    taken, unclear = {}, []
    logged = rows[rows[what] != ""]
    unknown = wanted.keys() - {None, *rows["task"]}
    if unknown and len(logged):
        unclear.append(
            f"no file has a task {named(sorted(unknown))} ({what}); "
            f"there are {named(logged['task'].unique(), 100)}"
        )
    for task, of_task in logged.groupby("task", sort=False):
        best = of_task.groupby(what)["score"].max()
        likely = list(best.index[best >= 0]) or list(best.index)
        name = wanted.get(task, wanted.get(None))
        if name in best.index:
            taken[task] = name
        elif len(likely) == 1 and task not in wanted and name in everywhere:
            taken[task] = likely[0]
        else:
            lack = f"no {what} {name!r}" if name else f"{len(likely)} {what}s"
            unclear.append(
                f"{of_task['file'].iloc[0]} has {lack}; say which: {what}="
                f"{' or '.join(map(repr, likely))} (in a terminal --{what} NAME, or "
                f"{task or 'TASK'}=NAME for this task alone)"
            )
    if unclear:
        raise ValueError("\n".join(unclear))
    return rows[(rows[what] == "") | (rows[what] == rows["task"].map(taken))]


def _check_questions(rows, same_items):
    hashed = rows[rows["question"] != ""]
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
            f"the first is {printable(a.item)} ({a.place}, and {b.place})"
        )
        if not same_items:
            raise ValueError(
                f"{says}: use one version of the task for all models; same_items=True "
                "(--same-items) where the difference does not matter"
            )
        warnings.warn(says, stacklevel=4)


def _once(rows):
    """One row per answer: lines of logs may come again, but not with another score."""
    keys = ["model", "item", "repeat"]
    rows = rows[(rows["filter"] == "") | ~rows.duplicated([*keys, "score"])]
    for a, b in _twins(rows, keys):
        raise ValueError(
            f"model {printable(a.model)} has two scores on item {printable(a.item)}: {a.score:g} "
            f"({a.place}) and {b.score:g} ({b.place}); delete one of them, or give their mean "
            "(nan: none)"
        )
    return rows


def _twins(rows, keys):
    """A pair: the first two rows that agree in these columns; or no pair."""
    twins = rows[rows.duplicated(keys, keep=False)].sort_values(keys, kind="stable")
    return pairwise(twins[:2].itertuples())


# --- from rows to a matrix ---


def _matrix(rows):
    """One row per model, one column per item; the mean of repeats, NaN where there is no score."""
    scored = rows[rows["score"].notna()]
    runs = scored.groupby(["model", "item"])["file"].nunique()
    merged = runs[runs > 1].index.unique("model")
    if len(merged):
        files = scored["file"][scored["model"] == merged[0]].unique()
        warnings.warn(
            f"{named(merged)}: some items were run more than once, and their scores are averaged; "
            f"{named(files)} are taken as one model, {printable(merged[0])}; if they are not, name "
            "them: paths={name: path}, or name=path in a terminal",
            stacklevel=4,
        )
    matrix = rows.groupby(["model", "item"])["score"].mean().unstack()
    return matrix.loc[rows["model"].unique(), rows["item"].unique()]


def _scores(rows, missing):
    matrix = _matrix(rows)
    domains = rows.groupby("item")["task"].first()[matrix.columns]
    kept = {
        "error": matrix[:0],
        "keep": matrix,
        "drop": matrix.dropna(axis=1),
        "drop-models": matrix.dropna(),
    }
    if missing not in kept:
        raise ValueError(f"missing is {missing!r}; use one of {', '.join(kept)}")
    if matrix.isna().any(axis=None):
        says = _what_is_missing(matrix, domains, rows)
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
    domains = domains[matrix.columns].to_numpy(str)
    is_one = len(set(domains)) == 1
    return Scores(matrix, domains=None if is_one else domains, name=named(rows["root"].unique()))


def _what_is_missing(matrix, domains, rows):
    """Who lacks what, and what would be left, of which domains, if it were dropped."""
    lacks = matrix.isna()
    counts = lacks.sum(axis=1)
    counts = counts[counts > 0]
    lines = [f"{len(counts)} of {len(matrix)} models lack scores:"]
    for model, count in counts.nlargest(5).items():
        of_model = rows[rows["model"] == model].sort_values("score", na_position="first")
        items = lacks.columns[lacks.loc[model]]
        row = of_model.iloc[(of_model["task"] == domains[items[0]]).argmax()]
        place = row["file" if row["score"] >= 0 else "place"]
        lines.append(
            f"  {printable(model)} lacks {count} of {len(domains)} items: {named(items)} ({place})"
        )
    rest = matrix.dropna(axis=1)
    worst = counts.idxmax()
    dropped = domains.drop(rest.columns)
    shares = [
        f"{number} of {(domains == domain).sum()} of {printable(domain or 'no domain')}"
        for domain, number in dropped.value_counts().items()
    ]
    lines.append(
        f"--missing drop (in Python missing='drop') leaves {rest.shape[1]} items: dropped are "
        f"{len(dropped)} ({named(shares)}), and the mean score is {matrix.mean().mean():.3f} with "
        f"them, {rest.mean().mean():.3f} without; --missing drop-models leaves "
        f"{len(matrix) - len(counts)} models x {len(domains)} items (without {printable(worst)} "
        f"alone, drop leaves {matrix.drop(worst).dropna(axis=1).shape[1]} items); --missing keep "
        "keeps the gaps; are items named alike in all files?"
    )
    return "\n".join(lines)
