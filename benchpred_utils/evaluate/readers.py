"""Readers: from files to Scores, or to a sentence that says what is wrong and where.

Every file is read as records, every format says what a record holds of a model and an item, and
what is here makes a matrix of it: scores are numbers in [0, 1], and an item is one question.
"""

import re
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from ..scores import Scores
from .files import files_in, named, printable, records_of
from .formats import FORMATS, HELM, LM_EVAL, TABLE, Entry, Format, is_mean

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
NUMBERS |= dict.fromkeys(("", "nan", "na", "n/a", "none", "null", "<na>"))
MISSING = ("error", "drop", "drop-models", "keep")
LARGEST = 10**8  # characters of the names of all models, or items, were all as long as the longest

Paths = str | Path | Iterable[str | Path]
Name = str | dict[str, str] | None  # of a metric or a filter: for all tasks, or for some


class Row(NamedTuple):
    """A score as a file has it."""

    model: str
    item: str
    score: float | None
    file: Path
    place: str
    question: str
    domain: str


def read_scores(path: Paths, missing: str = "error") -> Scores:
    """The Scores in a table, CSV, Parquet or JSON: a row per model, or model, item, score.

    In the first form the first column is the model's name; the second, long, one may have a column
    domain.  `missing` is as in `read_any`.
    Raises ValueError, naming file, row and column, for what is no score in [0, 1], and ImportError
    without pyarrow.
    """
    return read_any(path, missing=missing, formats=[TABLE])


def read_lm_eval(
    paths: Paths | dict, metric: Name = None, filter: Name = None, missing: str = "error"
) -> Scores:
    """The Scores in sample logs of lm-evaluation-harness, or folders of them.

    A model is named by the results beside its log, or by the log's folder, an item "task:doc_id";
    ``paths={name: path or paths}`` gives other names.  Repeats, a list in one line or logs of
    several runs, are averaged; tasks are domains.
    Otherwise as `read_any`.
    """
    return read_any(paths, metric, filter, missing, formats=[LM_EVAL])


def read_helm(folders: Paths, metric: Name = None, missing: str = "error") -> Scores:
    """The Scores in run folders of HELM, or folders that hold some.

    Read are per_instance_stats.json, or else display_predictions.json, and instances.json if there.
    An item is "run/instance", the run's name without its model; trials are averaged; perturbed and
    training instances are left out; runs are domains.
    Otherwise as `read_any`.
    """
    return read_any(folders, metric, missing=missing, formats=[HELM])


def read_any(
    paths: Paths | dict,
    metric: Name = None,
    filter: Name = None,
    missing: str = "error",
    same_items: bool = False,
    formats: list[Format] = FORMATS,
) -> Scores:
    """The Scores in files of any of the FORMATS, told apart by content, or in folders of logs.

    `metric` and `filter` are names for all tasks, or {task: name}; they must be said where a task
    has several.  `missing`, for scores that are not there: "error"; "drop" the items that some
    model lacks, or "drop-models", both with a warning that says what is left; "keep" them, NaN.
    Raises ValueError, naming file and place, for what is no score in [0, 1], and where an item is
    not the same question in all logs (its hash differs), unless `same_items` says that it is.
    """
    if missing not in MISSING:
        raise ValueError(f"missing is {missing!r}; use one of {', '.join(MISSING)}")
    (_, first), *_ = _listed(paths)
    rows = _rows(paths, _Choice(metric, filter), same_items, formats)
    return _scores(rows, missing, first.stem)


def read_results(
    paths: Paths,
    metric: Name = None,
    filter: Name = None,
    sources: Paths = (),
    same_items: bool = False,
) -> pd.Series:
    """The scores of one model on any of the items: a Series by item, whose name is the model's.

    It holds None, with a warning, where a file has an item without a score: it was not answered.
    A table of one model needs no column model.  Raises ValueError as `read_any`, also when the
    files hold several models, or when an item is not the same question, or the metric another one,
    than in the files `sources`.
    """
    choice = _Choice(metric, filter)
    rows = _rows(paths, choice, same_items)
    if choice.taken and sources:
        _rows(sources, choice, same_items)
    models = rows["model"].unique()
    if len(models) != 1:
        raise ValueError(
            f"{named(rows['file'].unique())}: results are of one model, but {len(models)} were "
            f"found: {named(models)}; give the files of one model"
        )
    scores = _matrix(rows).iloc[0]
    empty = scores.index[scores.isna()]
    if len(empty):
        row = rows[rows["item"] == empty[0]].iloc[0]
        warnings.warn(
            f"{row['file']}, {row['place']}: {len(empty)} of {len(scores)} items have no score: "
            f"{named(empty)}",
            stacklevel=2,
        )
        scores = scores.astype(object).where(scores.notna(), None)
    return scores


def among(results: pd.Series, items: Iterable) -> pd.Series:
    """The results of these items; where they name no task, "task:7" of a log is their 7.

    Raises ValueError when no result is of one, or when results of two tasks would be of the same.
    """
    if not results.index.isin(items).any():
        parts = results.index.str.rpartition(":")
        tasks, names = parts.get_level_values(0), parts.get_level_values(2)
        known = names.isin(items)
        if not known.any():
            raise ValueError(
                f"no result is of an item of the sources: {printable(results.index[0])}, say, is "
                f"none like {printable(next(iter(items)))}"
            )
        if tasks[known].nunique() > 1:
            raise ValueError(
                f"the results are of {tasks.nunique()} tasks, {named(tasks.unique())}, but the "
                "sources name none: give the results of one task"
            )
        results = results.set_axis(names)
    return results[results.index.isin(items)]


def per_task(text: str | None) -> Name:
    """What an option names: "acc" for all tasks, "task=acc,other=exact_match" for these tasks."""
    if text is None or "=" not in text:
        return text
    pairs = [part.rpartition("=") for part in text.split(",")]
    return {task.strip(): name.strip() for task, _, name in pairs}


# --- from files to rows ---


def _listed(paths: Paths | dict) -> list[tuple[str | None, Path]]:
    """The paths, each with the model's name where one is given, as {name: path} or "name=path"."""
    found = []
    for name, group in (paths if isinstance(paths, dict) else {None: paths}).items():
        for path in [group] if isinstance(group, str | Path) else group:
            said, _, other = str(path).partition("=")
            is_named = other and not Path(path).exists()
            found.append((said, Path(other)) if is_named else (name, Path(path)))
    if not found:
        raise ValueError("no file is named; at least one is needed")
    for _, path in found:
        if not path.exists():
            raise FileNotFoundError(f"{path} is not there")
    return found


def _rows(
    paths: Paths | dict, choice: "_Choice", same_items: bool, formats: list[Format] = FORMATS
) -> pd.DataFrame:
    """The rows of all files, their scores numbers in [0, 1] or NaN."""
    first, rows = {}, []
    for name, path in _listed(paths):
        new = []
        for file, format, records in _known_files(path, formats):
            entries = _entries(file, format, records)
            scored = _table_scores if format is TABLE else _log_scores
            for entry, score in scored(file, entries, choice):
                model = printable(entry.model if name is None else name, np.inf)
                item = printable(format.item.format(task=entry.task, item=entry.item), np.inf)
                question = None if format is TABLE else entry.question
                row = Row(model, item, score, file, entry.place, question, entry.task)
                before = first.setdefault((model, item, _run(format, file, entry)), row)
                if before is row:
                    new.append(row)
                elif format is TABLE or before.score != score:
                    raise ValueError(_twins(before, row))
        rows += new if format is TABLE else sorted(new, key=_in_order)
    choice.check()
    choice.rows += rows
    _check_questions(choice.rows, same_items)
    return pd.DataFrame(rows, columns=Row._fields).astype({"score": float})


def _run(format: Format, file: Path, entry: Entry) -> tuple | None:
    """Which of several runs of an item this is: a table has one."""
    return None if format is TABLE else (file, entry.repeat)


def _in_order(row: Row) -> tuple:
    return row.domain, len(row.item), row.item  # 7 before 10


def _known_files(path: Path, formats: list[Format]) -> Iterator[tuple[Path, Format, dict]]:
    """The files of known formats; below a folder the others, tables too, are passed over."""
    names = ", ".join(dict.fromkeys(format.name for format in formats))
    found = False
    for file in files_in(path):
        records = records_of(file)
        place, record = next(iter(records.items()))
        format = next((one for one in formats if one.knows(record, file)), None)
        if format and (format is not TABLE or path == file):
            found = True
            yield file, format, records
        elif path == file:
            kind = "a table" if place.startswith("row") else "JSON, but not a table"
            raise ValueError(
                f"{file} is {kind}, with the fields {named(record, 5)}; read are {names}"
            )
    if not found:
        raise ValueError(
            f"{path} holds no log; read are {names}; lm_eval writes logs with --log_samples and "
            "--output_path, and tables are named one by one"
        )


def _entries(file: Path, format: Format, records: dict[str, dict]) -> list[Entry]:
    place = ""

    def steps() -> Iterator[tuple[str, dict]]:
        nonlocal place
        for at, record in records.items():
            place = f", {at}"
            yield at, record
        place = ""

    try:
        return list(format.read(file, steps()))
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        says = error if type(error) is ValueError else f"{type(error).__name__}: {error}"
        raise ValueError(f"{file}{place}: {says}; it is no file of {format.name}") from None


def _twins(a: Row, b: Row) -> str:
    first, second = ("none" if row.score is None else f"{row.score:g}" for row in (a, b))
    return (
        f"model {printable(a.model)} has two scores on item {printable(a.item)}: {first} "
        f"({a.file}, {a.place}) and {second} ({b.file}, {b.place}); delete one of them, or give "
        "their mean"
    )


def _check_questions(rows: list[Row], same_items: bool) -> None:
    asked, others = {}, []
    for row in rows:
        if row.question and asked.setdefault(row.item, row).question != row.question:
            others.append(row)
    unknown = {row.file for row in rows if row.question == "" and row.item in asked}
    if unknown:
        warnings.warn(
            f"{named(unknown)}: without hashes, so it can't be checked that the items are the same "
            "questions as in the other files",
            stacklevel=4,
        )
    if others:
        a, b = asked[others[0].item], others[0]
        says = (
            f"{len({row.item for row in others})} items are not the same question in all files, "
            f"the first is {printable(a.item)} ({a.file}, {a.place}, and {b.file}, {b.place})"
        )
        if not same_items:
            raise ValueError(
                f"{says}: use one version of the task for all models, or say same_items=True "
                "(--same-items) where only the wording of a field differs"
            )
        warnings.warn(says, stacklevel=4)


# --- which score: metrics and filters ---


class _Choice:
    """Which metric and which filter are read, by task: those wanted, or the only ones."""

    def __init__(self, metric: Name, filter: Name):
        wanted = {"metric": metric, "filter": filter}
        self.wanted = {what: _by_task(names) for what, names in wanted.items()}
        self.taken = {}  # (what, task): name
        self.unclear = {}  # (what, task): a message
        self.unmet = {}  # what: a message, until a file has the name that is for all tasks
        self.met = set()
        self.rows = []  # all that were read

    def of(self, what: str, task: str, offered: set[str], found: set[str], file: Path) -> Name:
        """The name, or None where it is not clear, which `check` will say."""
        wanted = self.wanted[what]
        name = wanted.get(task, wanted.get(""))
        offered = sorted(offered or found)
        before = self.taken.get((what, task))
        says = f"has {len(offered)} {what}s" if name is None else f"has no {what} {name!r}"
        if name in found:
            self.met.add(what)
        elif len(offered) == 1 and task not in wanted:
            self.unmet[what] = self._says(file, says, what, task, offered)
            name = offered[0]
        else:
            self.unclear[what, task] = self._says(file, says, what, task, offered)
            return None
        if name != self.taken.setdefault((what, task), name):
            says = f"has no {what} {before!r}"
            raise ValueError(self._says(file, says, what, task, offered))
        return name

    def _says(self, file: Path, says: str, what: str, task: str, offered: list[str]) -> str:
        names = " or ".join(map(repr, offered))
        return (
            f"{file} {says}; say which: {what}={names} (in a terminal --{what} NAME, or "
            f"--{what} {task}=NAME for this task)"
        )

    def check(self) -> None:
        """Raise ValueError for what is not clear, in all tasks, and for a name that none has."""
        unmet = [
            self.unmet[what] for what in self.unmet.keys() - self.met if self.wanted[what].get("")
        ]
        if self.unclear or unmet:
            raise ValueError("\n".join([*self.unclear.values(), *unmet]))


def _by_task(names: Name) -> dict[str, str]:
    names = {"": names} if names is None or isinstance(names, str) else names
    return {task: name for task, name in names.items() if name is not None}


Scored = Iterator[tuple[Entry, float | None]]


def _table_scores(file: Path, entries: list[Entry], choice: _Choice) -> Scored:
    for entry in entries:
        yield entry, _number(file, entry, entry.scores["score"])


def _log_scores(file: Path, entries: list[Entry], choice: _Choice) -> Scored:
    tasks = {}
    for entry in entries:
        tasks.setdefault(entry.task, []).append(entry)
    for task, group in tasks.items():
        group = _with_filters(group)
        name = choice.of("filter", task, set(), {entry.filter for entry in group}, file)
        group = [entry for entry in group if entry.filter == name]
        answered = [entry for entry in group if entry.scores is not None]
        offered = set().union(*(entry.scores for entry in answered))
        found = offered.union(*(entry.others for entry in answered))
        if answered and not found:
            raise ValueError(f"{file} holds no metric")
        metric = choice.of("metric", task, offered, found, file) if found else None
        if name and (metric or not found):
            yield from _metric_scores(file, group, metric)


def _with_filters(group: list[Entry]) -> list[Entry]:
    """Filters without names, passes over all items one after the other, are called 1, 2, ..."""
    if any(entry.filter for entry in group):
        return [entry._replace(filter=entry.filter or "none") for entry in group]
    items = [entry.item for entry in group]
    n = len(set(items))
    passes = len(items) > n == len(set(items[:n])) and items[n] == items[0]
    return [
        entry._replace(filter=str(1 + place // n) if passes else "none")
        for place, entry in enumerate(group)
    ]


def _metric_scores(file: Path, group: list[Entry], metric: str | None) -> Scored:
    lengths = set()
    for entry in group:
        known = {metric: None} if entry.scores is None else entry.others | entry.scores
        if metric not in known:
            raise ValueError(f"{file}, {entry.place} has no {metric}; run the task again")
        score = known[metric]
        repeats = score if isinstance(score, list) and score else [score]
        lengths.add(len(repeats))
        if not is_mean(metric, score) or isinstance(score, list) and len(lengths) > 1:
            raise ValueError(
                f"{file}, {entry.place}: {metric} is {score!r:.80}, not a score of the item, and "
                f"what the harness makes of all items is no mean of scores; choose another metric"
            )
        numbers = [_number(file, entry, repeat) for repeat in repeats]
        numbers = [number for number in numbers if number is not None]
        yield entry, float(np.mean(numbers)) if numbers else None


def _number(file: Path, entry: Entry, score: object) -> float | None:
    word = str(score).strip().lower()
    try:
        number = float(word) if NUMBER.fullmatch(word) else NUMBERS[word]
    except (KeyError, ValueError):
        number = -1.0
    if number is None or 0 <= number <= 1:
        return number
    raise ValueError(
        f"{file}, {entry.place}: the score of model {printable(entry.model)} on item "
        f"{printable(entry.item)} is {printable(score)}, which is not a number in [0, 1]; write 0 "
        "or 1, true or false, or a number between, and nothing where there is none; divide "
        "percentages, or points, by their maximum; an error rate e becomes 1 - e"
    )


# --- from rows to a matrix ---


def _matrix(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per model, one column per item; the mean of repeats, NaN where there is no score."""
    by_file = rows.groupby(["model", "item", "file"])["score"].mean().groupby(["model", "item"])
    apart = by_file.max() - by_file.min() > 1e-9
    if apart.any():
        warnings.warn(
            f"{named(apart[apart].index.unique('model'))}: some items were run more than once, "
            "with different scores; these are averaged",
            stacklevel=4,
        )
    matrix = rows.groupby(["model", "item"])["score"].mean().unstack()
    return matrix.loc[rows["model"].unique(), rows["item"].unique()]


def _scores(rows: pd.DataFrame, missing: str, name: str) -> Scores:
    matrix = _matrix(rows)
    lacks = matrix.isna()
    domains = rows.groupby("item")["domain"].first()[matrix.columns]
    if lacks.any(axis=None) and missing != "keep":
        kept = matrix.loc[:, ~lacks.any()] if missing == "drop" else matrix[~lacks.any(axis=1)]
        says = _what_is_missing(matrix, domains, rows)
        if missing == "error" or kept.shape[0] < 1 or kept.shape[1] < 2:
            raise ValueError(says)
        dropped = matrix.shape[1] - kept.shape[1] or len(matrix) - len(kept)
        what = "items" if missing == "drop" else "models"
        warnings.warn(f"{dropped} {what} are dropped: {says}", stacklevel=3)
        matrix = kept
    for names in matrix.axes:
        longest = max(names, key=len)
        if len(longest) * len(names) > LARGEST:
            raise ValueError(f"a name is too long: {printable(longest)}")
    domains = domains[matrix.columns]
    domains = domains.to_numpy(str) if domains.nunique() > 1 else None
    return Scores(matrix, domains=domains, name=name)


def _what_is_missing(matrix: pd.DataFrame, domains: pd.Series, rows: pd.DataFrame) -> str:
    """Who lacks what, and what would be left, of which domains, if it were dropped."""
    lacks = matrix.isna()
    counts = lacks.sum(axis=1).sort_values(ascending=False, kind="stable")
    lines = [f"{(counts > 0).sum()} of {len(lacks)} models lack scores:"]
    for model, count in counts[counts > 0].head(5).items():
        items = lacks.columns[lacks.loc[model]]
        of_model = rows[rows["model"] == model]
        of_item = of_model[of_model["item"] == items[0]]
        place = f", {of_item['place'].iloc[0]}" if len(of_item) else ""
        lines.append(
            f"  {printable(model)} lacks {count} of {lacks.shape[1]} items: {named(items)} "
            f"({of_model['file'].iloc[0]}{place})"
        )
    worst = counts.index[0]
    gone = lacks.any()
    parts = [
        f"{number} of {(domains == domain).sum()} of domain {printable(domain)}"
        for domain, number in domains[gone].value_counts().items()
        if domain
    ]
    means = matrix.mean()
    lines.append(
        f"with missing='drop' (--missing drop) only {(~gone).sum()} items are left of all; "
        f"{gone.sum()} go{f' ({named(parts)})' if parts else ''}, and the mean score becomes "
        f"{means[~gone].mean():.3f} instead of {means.mean():.3f}; "
        f"without {printable(worst)} there are {(~lacks.drop(worst).any()).sum()} "
        "(missing='drop-models'); are items named alike in all files?"
    )
    return "\n".join(lines)
