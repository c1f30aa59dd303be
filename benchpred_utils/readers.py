"""Readers: from the files people have to Scores, or to a sentence that says what is wrong, where, and what to do.

Every reader makes one table of rows, (model, item, score, file, place, question, domain), and one function turns rows
into a matrix: scores are numbers in [0, 1], each model has one on every item, and an item is one question.
"""

import hashlib
import json
import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from .scores import Scores

__all__ = ["read_any", "read_helm", "read_lm_eval", "read_results", "read_scores"]

KEY = ["model", "item"]
ROW = ["model", "item", "score", "file", "place", "question", "domain"]
WORDS = {"true": "1", "false": "0"}
MISSING = ("", "nan", "na", "n/a", "none", "null", "<na>")
LOG = re.compile(
    r"samples_(?P<task>.+?)(_\d{4}-\d\d-\d\dT[\d.:-]+)?\.jsonl"
)  # of lm-evaluation-harness
# What its lines hold besides metrics: older versions do not list the metrics.
LOG_FIELDS = set(
    "doc_id doc target arguments resps filtered_resps filter metrics doc_hash prompt_hash target_hash".split()
)
HELM_FILES = ("per_instance_stats.json", "display_predictions.json")


def read_scores(path, missing="error"):
    """The Scores in a table, CSV or Parquet: a row per model (first column its name), or columns model, item, score.

    The long form may have a column domain.  `missing`: "error", or "drop", which keeps the items that all models have.
    Raises ValueError, naming file, row and column, for what is no score in [0, 1], and ImportError without pyarrow.
    """
    return _matrix(_table(path), missing, Path(path).stem)


def read_lm_eval(paths, metric=None, filter=None, missing="error"):
    """The Scores in sample logs of lm-evaluation-harness: `samples_*.jsonl`, or folders that hold some, of any models.

    A model is named by its log's folder, an item "task:doc_id"; ``paths={name: path or paths}`` gives other names.
    Repeats, a list in one line or logs of several runs, are averaged; tasks are domains.  `metric` and `filter` must be
    said where a log has several.  Raises ValueError, naming file and line; warns when one item is not the same question
    in all logs (its hash differs).
    """
    return _matrix(_lm_eval(paths, metric, filter), missing, "lm_eval", repeats=True)


def read_helm(folders, metric=None, missing="error"):
    """The Scores in run folders of HELM, or folders that hold some: per_instance_stats.json, instances.json if there.

    Without per_instance_stats.json those in display_predictions.json are read.  An item is "run/instance", the run's
    name without its model; trials are averaged; perturbed and training instances are left out; runs are domains.
    Raises ValueError, naming file and instance; warns when one item is not the same question in all runs.
    """
    return _matrix(_helm(folders, metric), missing, "helm", repeats=True)


def read_any(paths, metric=None, filter=None, missing="error"):
    """The Scores in a table, in logs of lm-evaluation-harness, or in run folders of HELM: told apart by their names."""
    rows, repeats = _any(paths, metric, filter)
    return _matrix(rows, missing, Path(_listed(paths)[0]).stem, repeats)


def read_results(paths, metric=None, filter=None, sources=()):
    """The scores of one model on any of the items, as read by `read_any`: a Series of scores, by item.

    Also JSON lines {"item": ..., "score": ...}; a table of one model needs no column model.  Missing scores are left
    out, with a warning where a log has the item.  Raises ValueError as the other readers, and when the files hold
    several models; warns when an item is not the same question as in the files `sources`.
    """
    rows, repeats = _any(paths, metric, filter)
    if len(sources) and (rows["question"] != "").any():
        _warn_of_other_questions(pd.concat([_any(sources, metric, filter)[0], rows]))
    table = _reduced(rows, repeats)
    if len(empty := table[table["score"].isna() & (table["question"] != "")]):
        a, more = empty.iloc[0], f", as are {len(empty) - 1} more" * (len(empty) > 1)
        warnings.warn(
            f"{a.file}, {a.place}: item {a['item']} has no score and is left out{more}",
            stacklevel=2,
        )
    table = table.dropna(subset="score")
    models = table["model"].unique()
    if len(models) != 1:
        found = (
            f"{len(models)} were found: {named(models)}" if len(models) else "no score was found"
        )
        raise ValueError(
            f"{named(_listed(paths))}: results are of one model, but {found}; give the files of one model"
        )
    return table.set_index("item")["score"]


# --- from rows to a matrix --------------------------------------------------------------------------------------------


def _matrix(rows, missing, name, repeats=False):
    if missing not in ("error", "drop"):
        raise ValueError(f"missing is {missing!r}; use 'error' or 'drop'")
    table = _reduced(rows, repeats)
    matrix = table.pivot(index="model", columns="item", values="score")
    matrix = matrix.loc[table["model"].unique(), table["item"].unique()]
    lacks = matrix.isna()
    if lacks.any(axis=None):
        if missing == "error" or (~lacks.any()).sum() < 2:
            raise ValueError(
                _what_is_missing(lacks, missing, table.groupby("model")["file"].first())
            )
        matrix = matrix.loc[:, ~lacks.any()]
    domains = table.drop_duplicates("item").set_index("item")["domain"].loc[matrix.columns]
    return Scores(
        matrix, domains=domains.to_numpy(str) if domains.nunique() > 1 else None, name=name
    )


def _reduced(rows, repeats):
    """One row per model and item, its score a number in [0, 1] or NaN; repeats are averaged where they are allowed."""
    rows = rows.assign(score=_numbers(rows))
    _warn_of_other_questions(rows)
    if not (several := rows.duplicated(KEY, keep=False)).any():
        return rows
    groups = rows.groupby(KEY, sort=False)["score"]
    differ = rows[several & (groups.transform("max") - groups.transform("min") > 1e-9)]
    if not repeats:
        raise ValueError(_what_is_twice(differ if len(differ) else rows[several]))
    if differ.groupby(KEY)["file"].nunique().gt(1).any():
        models = named(differ["model"].unique())
        text = f"{models}: some items were run more than once, with different scores; these are averaged"
        warnings.warn(text, stacklevel=4)
    return rows.assign(score=groups.transform("mean")).drop_duplicates(KEY)


def _what_is_twice(rows):
    a, b = rows[(rows[KEY] == rows[KEY].iloc[0]).all(axis=1)].iloc[:2].itertuples()
    return (
        f"model {a.model} has two scores on item {a.item}: {a.score:g} ({a.file}, {a.place}) and {b.score:g} "
        f"({b.file}, {b.place}); keep one of them, or their mean"
    )


def _numbers(rows):
    text = rows["score"].astype(str).str.strip().str.lower().replace(WORDS)
    scores = pd.to_numeric(text, errors="coerce").astype(float)
    bad = ~scores.between(0, 1) & ~text.isin(MISSING) & rows["score"].notna()
    if bad.any():
        row, number = rows[bad].iloc[0], scores[bad].iloc[0]
        advice = "map the metric to [0, 1] with 1 the best: an error rate e becomes 1 - e"
        if np.isnan(number):
            advice = "write 0 or 1, true or false, or a number between; leave it empty where there is none"
        elif 1 < number <= 100:
            advice = "divide percentages, or points, by their maximum"
        more = f" ({bad.sum() - 1} more like it)" if bad.sum() > 1 else ""
        raise ValueError(
            f"{row.file}, {row.place}: the score of model {row.model} on item {row['item']} is {row.score}, which is "
            f"not a number in [0, 1]{more}; {advice}"
        )
    return scores


def _warn_of_other_questions(rows):
    known = rows[rows["question"] != ""]
    other = known[known["question"] != known.groupby("item")["question"].transform("first")]
    if len(other):
        b, a = other.iloc[0], known[known["item"] == other["item"].iloc[0]].iloc[0]
        warnings.warn(
            f"{other['item'].nunique()} items are not the same question in all files, the first is {a['item']} "
            f"({a.file}, {a.place}, and {b.file}, {b.place}): use one version of the task for all models",
            stacklevel=5,
        )


def _what_is_missing(lacks, missing, files):
    counts = lacks.sum(axis=1).sort_values(ascending=False, kind="stable")
    lines = [
        f"  {model} lacks {count} of {lacks.shape[1]} items: {named(lacks.columns[lacks.loc[model]])} ({files[model]})"
        for model, count in counts[counts > 0].head(5).items()
    ]
    kept, without = (~lacks.any()).sum(), (~lacks.drop(counts.index[0]).any()).sum()
    way = f"missing='drop' (--missing drop) keeps the {kept} items that all models have"
    way = way if kept > 1 else f"only {kept} items are left of all"
    other = (
        f"without {counts.index[0]} there are {without}"
        if without
        else "are items named alike in all files?"
    )
    lines.append(f"{way}; {other}")
    return f"{(counts > 0).sum()} of {len(counts)} models lack scores:\n" + "\n".join(lines)


def named(names, most=3):
    """The first of some names, and how many more there are: words for a message."""
    names = [str(name) for name in names]
    return ", ".join(names[:most]) + (
        f", and {len(names) - most} more" if len(names) > most else ""
    )


def _listed(paths):
    paths = [Path(path) for path in ([paths] if isinstance(paths, (str, Path)) else paths)]
    if not paths:
        raise ValueError("no file is named; at least one is needed")
    for path in paths:
        if not path.exists():
            raise FileNotFoundError(f"{path} is not there")
    return paths


# --- tables -----------------------------------------------------------------------------------------------------------


def _table(path):
    """The rows of a table in the wide or the long form; the header is row 1."""
    path = Path(path)
    frame = _frame(path)
    names = [str(name).strip().lower() for name in frame.columns]
    is_long = {"item", "score"} <= set(names)
    header = pd.Index(names) if is_long else frame.columns
    if (again := header.duplicated()).any():
        raise ValueError(
            f"{path}, row 1: the column {header[again][0]!r} comes twice; names must be unique"
        )
    if is_long:
        rows = frame.set_axis(names, axis=1).assign(place=[f"row {i}" for i in frame.index])
    elif len(names) < 3:
        raise ValueError(
            f"{path}: its header is {named(frame.columns)}; needed are a column per item after the model's name, or "
            "the columns model, item, score, separated by commas"
        )
    else:
        rows = frame.rename(columns={frame.columns[0]: "model"}).reset_index(names="place")
        rows = rows.melt(["place", "model"], var_name="item", value_name="score")
        rows["place"] = [
            f"row {row}, column {item}" for row, item in zip(rows["place"], rows["item"])
        ]
    if rows.empty:
        raise ValueError(
            f"{path} has a header and no rows; needed are a row per model, or per model and item"
        )
    rows = pd.DataFrame(
        {"model": path.stem, "domain": "", **rows, "file": str(path), "question": ""}
    )
    return rows.astype({"model": str, "item": str})[ROW]


def _frame(path):
    """A table as it stands in its file; the index counts the rows of the file from the header, 1."""
    if path.suffix.lower() in (".parquet", ".pq"):
        try:
            frame = pd.read_parquet(path)
        except ImportError:
            raise ImportError(
                f"{path}: to read Parquet install pyarrow, or save the table as CSV"
            ) from None
        frame = frame if isinstance(frame.index, pd.RangeIndex) else frame.reset_index()
        return frame.set_axis(range(2, len(frame) + 2))
    if path.suffix.lower() == ".jsonl":
        numbers, records = zip(*_lines(path))
        return pd.DataFrame(records, index=numbers)
    try:  # as text, so that names stay as they are written (007) and pandas renames no column that comes twice
        text = pd.read_csv(path, header=None, dtype=str, keep_default_na=False, skip_blank_lines=False,
                           encoding="utf-8-sig", sep="\t" if path.suffix.lower() == ".tsv" else ",")  # fmt: skip
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} can't be read as a table in UTF-8: {error}") from None
    header, text = text.iloc[0], text.iloc[1:].set_axis(range(2, len(text) + 1))
    return text[(text != "").any(axis=1)].set_axis(header.to_list(), axis=1)


def _lines(path):
    """The numbered records of a file of JSON lines, which end as files' lines do: a text may hold other separators."""
    found = []
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                found.append((number, _record(path, number, line)))
    if not found:
        raise ValueError(f"{path} is empty; was the run cut off? Delete it, or run again")
    return found


def _record(path, number, line):
    try:
        record = json.loads(line)
    except ValueError:
        record = None
    if not isinstance(record, dict):
        raise ValueError(
            f"{path}, line {number} is not a JSON record; was the run cut off? Delete it, or run again"
        )
    return record


def _any(paths, metric, filter):
    """The rows of files of any kind, and whether they may hold repeats."""
    found, tables = [], []
    for path in _listed(paths):
        is_helm = path.is_dir() and bool(_helm_runs(path))
        is_table = not path.is_dir() and not LOG.fullmatch(path.name)
        tables += [is_table]
        found += [
            _helm(path, metric)
            if is_helm
            else _table(path)
            if is_table
            else _lm_eval(path, metric, filter)
        ]
    return pd.concat(found, ignore_index=True), not all(tables)


# --- logs -------------------------------------------------------------------------------------------------------------


def _lm_eval(paths, metric, filter):
    named = paths if isinstance(paths, dict) else {None: paths}
    tasks = {}
    for name, file in ((name, file) for name, group in named.items() for file in _logs(group)):
        log = LOG.fullmatch(file.name)
        task = log["task"] if log else file.stem
        tasks.setdefault(task, []).append((name or file.resolve().parent.name, file))
    rows = [
        row for task in sorted(tasks) for row in _lm_eval_task(task, tasks[task], metric, filter)
    ]
    return pd.DataFrame(rows, columns=ROW)


def _logs(paths):
    for path in _listed(paths):
        found = sorted(path.rglob("samples_*.jsonl")) if path.is_dir() else [path]
        if not found:
            raise ValueError(
                f"{path} holds no samples_*.jsonl; run lm_eval with --log_samples and --output_path"
            )
        yield from found


def _lm_eval_task(task, logs, metric, filter):
    lines = [
        (model, file, number, record) for model, file in logs for number, record in _lines(file)
    ]
    for _, file, number, record in lines:
        if "doc_id" not in record:
            raise ValueError(
                f"{file}, line {number} has no doc_id: it is no sample log of lm-evaluation-harness"
            )
    where = f"{logs[0][1]} (task {task})"
    filter = _chosen(
        "filter", filter, {record.get("filter", "none") for *_, record in lines}, where
    )
    lines = [line for line in lines if line[3].get("filter", "none") == filter]
    metrics = set().union(
        *(record.get("metrics") or record.keys() - LOG_FIELDS for *_, record in lines)
    )
    metric = _chosen("metric", metric, metrics, where)
    _refuse_twins(lines, metric)
    for model, file, number, record in sorted(
        lines, key=lambda line: str(line[3]["doc_id"]).zfill(9)
    ):
        question, score = (
            f"{record.get('doc_hash', '')}{record.get('target_hash', '')}",
            record[metric],
        )
        for repeat in score if isinstance(score, list) and score else [score]:
            yield (
                model,
                f"{task}:{record['doc_id']}",
                repeat,
                str(file),
                f"line {number}",
                question,
                task,
            )


def _refuse_twins(lines, metric):
    """Within one log every doc_id has one line, with the metric: the harness keeps repeats as a list in that line."""
    first = {}
    for _, file, number, record in lines:
        if metric not in record:
            raise ValueError(
                f"{file}, line {number} has no {metric}, as other lines have; run the task again"
            )
        at, score = first.setdefault((file, record["doc_id"]), (number, record[metric]))
        if score != record[metric]:
            raise ValueError(
                f"{file}, lines {at} and {number}: doc_id {record['doc_id']} has the scores {score} and "
                f"{record[metric]}; delete one of the lines (runs in files of their own are averaged)"
            )


def _chosen(what, wanted, found, where):
    """The only metric or filter that is found, or the wanted one."""
    if wanted in found or wanted is None and len(found) == 1:
        return wanted or next(iter(found))
    if not found:
        raise ValueError(f"{where} holds no {what}")
    says = f"has no {what} {wanted!r}" if wanted else f"has {len(found)} {what}s"
    names = " or ".join(map(repr, sorted(found)))
    raise ValueError(f"{where} {says}; say which: {what}={names} (in a terminal --{what} NAME)")


def _helm(folders, metric):
    runs = [run for path in _listed(folders) for run in _helm_runs(path)]
    if not runs:
        raise ValueError(
            f"{named(_listed(folders))}: no run of HELM is there, a folder with per_instance_stats.json"
        )
    rows = []
    for run in runs:
        try:
            rows += _helm_run(run, metric)
        except (AttributeError, KeyError, TypeError):
            raise ValueError(
                f"{run}: its files are not as HELM writes them; run helm-run again"
            ) from None
    return pd.DataFrame(rows, columns=ROW)


def _helm_runs(path):
    return sorted({file.parent for name in HELM_FILES for file in path.rglob(name)})


def _helm_run(run, metric):
    spec = _json(run / "run_spec.json") or {}
    scenario, _, options = spec.get("name", run.name).partition(":")
    options = [
        option
        for option in options.split(",")
        if not option.startswith(("model=", "model_deployment="))
    ]
    task = ":".join([scenario, *filter(None, [",".join(options)])])
    by_folder = run.name.partition("model=")[2].split(",")[0] or run.parent.name
    model = spec.get("adapter_spec", {}).get("model") or by_folder
    file = next(run / name for name in HELM_FILES if (run / name).exists())
    found = _helm_stats(file)
    every, shown = (
        _helm_metrics(found),
        _helm_metrics(_helm_stats(run / HELM_FILES[1])) - {"predicted_index"},
    )
    metric = _chosen("metric", metric, every if metric else shown or every, file)
    instances = [
        i for i in _json(run / "instances.json") or [] if _is_plain(i) and i.get("split") != "train"
    ]
    hashes = {
        i["id"]: hashlib.sha256(json.dumps(i["input"]).encode()).hexdigest() for i in instances
    }
    for instance in sorted(found.keys() | hashes.keys(), key=lambda name: (len(name), name)):
        place, question = f"instance {instance}", hashes.get(instance, "")
        for stats in found.get(instance, {None: {}}).values():
            score, *others = stats.get(metric, {None})
            if others:
                raise ValueError(
                    f"{file}, {place}: {metric} is {score} and {others[0]}; delete one of the two"
                )
            yield model, f"{task}/{instance}", score, str(file), place, question, task


def _is_plain(entry):
    return not entry.get("perturbation")


def _helm_metrics(found):
    return {name for trials in found.values() for stats in trials.values() for name in stats}


def _helm_stats(file):
    """The values of all metrics, {instance: {trial: {metric: {values}}}}: HELM's two files say the same in two ways."""
    found = {}
    for entry in filter(_is_plain, _json(file) or []):
        stats = entry["stats"]
        if isinstance(stats, list):
            stats = {
                stat["name"]["name"]: stat.get("mean") for stat in stats if _is_plain(stat["name"])
            }
        trial = found.setdefault(entry["instance_id"], {}).setdefault(
            entry.get("train_trial_index"), {}
        )
        for name, value in stats.items():
            trial.setdefault(name, set()).add(value)
    return found


def _json(path):
    """What a JSON file holds; None where there is no file."""
    try:
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
    except ValueError as error:
        raise ValueError(
            f"{path} is not JSON; was the run cut off? Run it again ({error})"
        ) from None
