"""Readers: from files to Scores, or to a sentence that says what is wrong and where.

Every format is read as rows, and one function turns rows into a matrix: scores are numbers in
[0, 1], each model has one on every item, and an item is one question.  A new format is a function
that gives the rows of a path, and a row in FORMATS.
"""

import csv
import hashlib
import json
import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from ..scores import Scores

__all__ = [
    "FORMATS",
    "named",
    "read_any",
    "read_helm",
    "read_lm_eval",
    "read_results",
    "read_scores",
]

NUMBER = re.compile(r"[-+.0-9e]+")  # what else float() takes, 1_0 say, is no score
NUMBERS = {"true": 1.0, "false": 0.0}
NUMBERS |= dict.fromkeys(("", "nan", "na", "n/a", "none", "null", "<na>"), float("nan"))
JSON_LINES = ".jsonl"
CUT_OFF = "was the run cut off? Delete it, or run again"


class Row(NamedTuple):
    """A score as a file has it."""

    model: str
    item: str
    score: object
    file: Path
    place: str  # in the file
    question: str = ""  # a hash of it, where there is one
    domain: str = ""


Rows = Iterator[Row]
Paths = str | Path | Iterable[str | Path]
Name = str | None


class Format(NamedTuple):
    """A kind of files."""

    holds: Callable[[Path], object]  # true: whether a path is one, or a folder of some
    read: Callable[[Path, Callable], Rows]  # given also how to choose a metric or a filter
    repeats: bool  # whether files may repeat each other's items, as runs do


def read_scores(path: Paths, missing: str = "error") -> Scores:
    """The Scores in a table, CSV, Parquet or JSON lines: a row per model, or model, item, score.

    In the first form the first column is the model's name; the second, long, one may have a column
    domain.  `missing`: "error", or "drop", which keeps the items that all models have.
    Raises ValueError, naming file, row and column, for what is no score in [0, 1], and ImportError
    without pyarrow.
    """
    return _scores(_rows(path, formats=[TABLE]), missing, Path(path).stem)


def read_lm_eval(
    paths: Paths | dict, metric: Name = None, filter: Name = None, missing: str = "error"
) -> Scores:
    """The Scores in sample logs of lm-evaluation-harness, `samples_*.jsonl`, or folders of them.

    A model is named by its log's folder, an item "task:doc_id"; ``paths={name: path or paths}``
    gives other names.  Repeats, a list in one line or logs of several runs, are averaged; tasks are
    domains.  `metric` and `filter` must be said where a log has several.
    Raises ValueError, naming file and line; warns when one item is not the same question in all
    logs (its hash differs).
    """
    return _scores(_rows(paths, metric, filter, [LM_EVAL]), missing, "lm_eval")


def read_helm(folders: Paths, metric: Name = None, missing: str = "error") -> Scores:
    """The Scores in run folders of HELM, or folders that hold some.

    Read are per_instance_stats.json, or else display_predictions.json, and instances.json if there.
    An item is "run/instance", the run's name without its model; trials are averaged; perturbed and
    training instances are left out; runs are domains.
    Raises ValueError, naming file and instance; warns when one item is not the same question in all
    runs.
    """
    return _scores(_rows(folders, metric, formats=[HELM]), missing, "helm")


def read_any(
    paths: Paths, metric: Name = None, filter: Name = None, missing: str = "error"
) -> Scores:
    """The Scores in files of any of the FORMATS, told apart by name and content."""
    (_, first), *_ = _listed(paths)
    return _scores(_rows(paths, metric, filter), missing, first.stem)


def read_results(
    paths: Paths, metric: Name = None, filter: Name = None, sources: Paths = ()
) -> pd.Series:
    """The scores of one model on any of the items, as read by `read_any`: a Series, by item.

    Also JSON lines {"item": ..., "score": ...}; a table of one model needs no column model.
    Missing scores are left out, with a warning where a log has the item.  Raises ValueError as the
    other readers, and when the files hold several models; warns when an item is not the same
    question as in the files `sources`.
    """
    asked = {}
    rows = _rows(paths, metric, filter, asked=asked)
    if asked and sources:
        _rows(sources, metric, filter, asked=asked)
    scores = _matrix(rows).dropna(how="all")
    if len(scores) != 1:
        raise ValueError(
            f"{named(rows['file'].unique())}: results are of one model, but "
            f"{len(scores) or 'none with scores'} were found: {named(scores.index)}; "
            "give the files of one model"
        )
    scores = scores.iloc[0]
    empty = rows[rows["item"].map(scores.isna()) & (rows["question"] != "")]
    for row in empty.head(1).itertuples():
        warnings.warn(
            f"{row.file}, {row.place}: item {row.item} has no score; "
            f"items left out: {empty['item'].nunique()}",
            stacklevel=2,
        )
    return scores.dropna()


def named(names: Iterable, most: int = 3) -> str:
    """The first of some names, and how many more there are: words for a message."""
    names = [str(name) for name in names]
    if len(names) > most:
        names[most:] = [f"and {len(names) - most} more"]
    return ", ".join(names)


# --- from rows to a matrix ---


def _listed(paths: Paths | dict) -> list[tuple[Name, Path]]:
    """The paths, each with the model's name where one is given."""
    found = []
    for name, group in (paths if isinstance(paths, dict) else {None: paths}).items():
        group = [group] if isinstance(group, str | Path) else group
        found += [(name, Path(path)) for path in group]
    if not found:
        raise ValueError("no file is named; at least one is needed")
    for _, path in found:
        if not path.exists():
            raise FileNotFoundError(f"{path} is not there")
    return found


def _rows(
    paths: Paths | dict,
    metric: Name = None,
    filter: Name = None,
    formats: list[Format] | None = None,
    asked: dict[str, Row] | None = None,
) -> pd.DataFrame:
    """The rows of all files, their scores numbers in [0, 1] or NaN; `asked`: questions, by item."""
    choose = partial(_chosen, {"metric": metric, "filter": filter})
    formats = formats or FORMATS
    asked = {} if asked is None else asked
    first, others, rows = {}, {}, []
    for name, path in _listed(paths):
        format = next((one for one in formats if one.holds(path)), formats[-1])
        for row in format.read(path, choose):
            model = str(row.model if name is None else name)
            row = row._replace(model=model, item=str(row.item), score=_number(row))
            before = first.setdefault((row.model, row.item, format.repeats and row.file), row)
            if (before.file, before.place) != (row.file, row.place):
                raise ValueError(_twins(before, row))
            if row.question:
                known = asked.setdefault(row.item, row)
                if known.question != row.question:
                    others.setdefault(row.item, (known, row))
            rows.append(row)
    for a, b in list(others.values())[:1]:
        warnings.warn(
            f"{len(others)} items are not the same question in all files, the first is {a.item} "
            f"({a.file}, {a.place}, and {b.file}, {b.place}): use one version of the task for all "
            "models",
            stacklevel=3,
        )
    return pd.DataFrame(rows, columns=Row._fields)


def _twins(a: Row, b: Row) -> str:
    return (
        f"model {a.model} has two scores on item {a.item}: {a.score:g} ({a.file}, {a.place}) and "
        f"{b.score:g} ({b.file}, {b.place}); delete one of the lines, or give their mean"
    )


def _number(row: Row) -> float:
    word = str(row.score).strip().lower()
    try:
        number = float(word) if NUMBER.fullmatch(word) else NUMBERS[word]
    except (KeyError, ValueError):
        number = -1.0
    if number < 0 or number > 1:
        raise ValueError(
            f"{row.file}, {row.place}: the score of model {row.model} on item {row.item} is "
            f"{row.score}, which is not a number in [0, 1]; write 0 or 1, true or false, or a "
            "number between, and nothing where there is none; divide percentages, or points, by "
            "their maximum; an error rate e becomes 1 - e"
        )
    return number


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
    if missing not in ("error", "drop"):
        raise ValueError(f"missing is {missing!r}; use 'error' or 'drop'")
    matrix = _matrix(rows)
    kept = matrix.notna().all()
    if not kept.all() and (missing == "error" or kept.sum() < 2):
        raise ValueError(_what_is_missing(matrix.isna(), rows.groupby("model")["file"].first()))
    matrix = matrix.loc[:, kept]
    domains = rows.groupby("item")["domain"].first()[matrix.columns]
    domains = domains.to_numpy(str) if domains.nunique() > 1 else None
    return Scores(matrix, domains=domains, name=name)


def _what_is_missing(lacks: pd.DataFrame, files: pd.Series) -> str:
    counts = lacks.sum(axis=1).sort_values(ascending=False, kind="stable")
    lines = [f"{(counts > 0).sum()} of {len(lacks)} models lack scores:"]
    for model, count in counts[counts > 0].head(5).items():
        items = named(lacks.columns[lacks.loc[model]])
        lines.append(f"  {model} lacks {count} of {lacks.shape[1]} items: {items} ({files[model]})")
    worst = counts.index[0]
    lines.append(
        f"with missing='drop' (--missing drop) only {(~lacks.any()).sum()} items are left of all; "
        f"without {worst} there are {(~lacks.drop(worst).any()).sum()}; "
        "are items named alike in all files?"
    )
    return "\n".join(lines)


def _chosen(
    wanted: dict, what: str, task: str, found: set[str], file: Path, likely: Iterable = ()
) -> str:
    """The metric or filter that is wanted, or the only one; the same in all files of a task."""
    if not found:
        raise ValueError(f"{file} holds no {what}")
    name = wanted[what] or wanted.get((what, task))
    options = sorted(likely or found)
    if name is None and len(options) == 1:
        name = wanted[what, task] = options[0]
    if name in found:
        return name
    says = f"has no {what} {name!r}" if name else f"has {len(options)} {what}s"
    names = " or ".join(map(repr, options))
    raise ValueError(f"{file} {says}; say which: {what}={names} (in a terminal --{what} NAME)")


# --- tables ---


def _table(path: Path, choose: Callable) -> Rows:
    try:
        header, *lines = _cells(path) or [[]]
    except ImportError:
        raise ImportError(
            f"{path}: to read Parquet install pyarrow, or save the table as CSV"
        ) from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{path} can't be read as a table in UTF-8: {error}") from None
    names = [str(name).strip().lower() for name in header]
    is_long = {"item", "score"} <= set(names)
    header = names if is_long else header
    _check_table(path, header, lines, is_long)
    for number, cells in enumerate(lines, start=1 if path.suffix.lower() == JSON_LINES else 2):
        record = dict(zip(header, cells))
        if is_long and cells:
            yield _long(path, f"row {number}", record)
        elif cells:
            model = record.pop(header[0])
            for item, score in record.items():
                yield Row(model, item, score, path, f"row {number}, column {item}")


def _check_table(path: Path, header: list, lines: list[list], is_long: bool) -> None:
    if not header and not lines:
        raise ValueError(f"{path} is empty")
    index = pd.Index(header)
    again = index[index.duplicated()]
    if len(again):
        raise ValueError(
            f"{path}, row 1: the column {again[0]!r} comes twice; names must be unique"
        )
    if len(header) < 3 and not is_long:
        raise ValueError(
            f"{path} can't be read as a table: its header is {named(header)}; needed are a column "
            "per item after the model's name, or model, item, score, separated by commas"
        )
    if not any(lines):
        raise ValueError(f"{path} has a header and no rows; needed are a row per model, or score")
    for number, cells in enumerate(lines, start=2):
        if len(cells) not in (0, len(header)):
            raise ValueError(
                f"{path} can't be read as a table: row {number} has {len(cells)} cells, the header "
                f"{len(header)}"
            )


def _cells(path: Path) -> list[list]:
    """The header and the rows of a table; an empty one where a line is empty."""
    kind = path.suffix.lower()
    if kind in (".parquet", ".pq"):
        frame = pd.read_parquet(path)
        if not isinstance(frame.index, pd.RangeIndex):
            frame = frame.reset_index()
        return [list(frame.columns), *frame.to_numpy(object).tolist()]
    if kind == JSON_LINES:
        return _json_cells(path)
    csv.field_size_limit(2**31 - 1)  # of a name
    with open(path, encoding="utf-8-sig", newline="") as file:
        lines = csv.reader(file, delimiter="\t" if kind == ".tsv" else ",")
        return [cells if any(cells) else [] for cells in lines]


def _json_cells(path: Path) -> list[list]:
    """JSON lines as a table, whose header has the keys of all records."""
    records = _lines(path)
    header = list(dict.fromkeys(chain.from_iterable(records.values())))
    cells = [[] for _ in range(max(records))]
    for number, record in records.items():
        cells[number - 1] = [record.get(name) for name in header]
    return [header, *cells]


def _long(path: Path, place: str, record: dict) -> Row:
    model = record.get("model")
    model = path.stem if model is None else model
    return Row(model, record["item"], record["score"], path, place, "", record.get("domain") or "")


def _lines(path: Path) -> dict[int, dict]:
    """The records of JSON lines, by number."""
    found = {}
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                found[number] = _json(line, f"{path}, line {number}", dict)
    if not found:
        raise ValueError(f"{path} is empty; {CUT_OFF}")
    return found


def _json(text: str, where: object, kind: type = object) -> object:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if found is None or not isinstance(found, kind):
        raise ValueError(f"{where} is not JSON as it was written; {CUT_OFF}")
    return found


# --- lm-evaluation-harness ---

LOG = re.compile(r"samples_(.+?)(_\d{4}-\d\d-\d\dT[\d.:-]+)?\.jsonl")
# What its lines hold besides metrics: older versions do not list the metrics.
LOG_FIELDS = set(
    "doc_id doc target arguments resps filtered_resps filter metrics doc_hash prompt_hash "
    "target_hash".split()
)


def _is_lm_eval(path: Path) -> bool:
    return path.is_dir() or bool(LOG.fullmatch(path.name))


def _lm_eval(path: Path, choose: Callable) -> Rows:
    files = sorted(path.rglob("samples_*.jsonl")) if path.is_dir() else [path]
    if not files:
        raise ValueError(
            f"{path} holds no samples_*.jsonl; run lm_eval with --log_samples and --output_path"
        )
    return sorted((row for file in files for row in _log(file, choose)), key=_in_order)


def _log(file: Path, choose: Callable) -> Rows:
    log = LOG.fullmatch(file.name)
    task = log[1] if log else file.stem
    model = file.resolve().parent.name
    lines = _lines(file)
    for number, record in lines.items():
        if "doc_id" not in record:
            raise ValueError(
                f"{file}, line {number} has no doc_id: it is no sample log of lm-evaluation-harness"
            )
        record.setdefault("filter", "none")
    filter = choose("filter", task, {record["filter"] for record in lines.values()}, file)
    lines = {number: record for number, record in lines.items() if record["filter"] == filter}
    metrics = (record.get("metrics") or record.keys() - LOG_FIELDS for record in lines.values())
    metric = choose("metric", task, set().union(*metrics), file)
    seen = set()
    for number, record in lines.items():
        place = f"line {number}"
        if metric not in record:
            raise ValueError(f"{file}, {place} has no {metric}; run the task again")
        score = record[metric]
        result = str(record["doc_id"]), str(score)
        if result in seen:
            continue
        seen.add(result)
        question = f"{record.get('doc_hash', '')}{record.get('target_hash', '')}"
        for repeat in score if isinstance(score, list) and score else [score]:
            yield Row(model, f"{task}:{record['doc_id']}", repeat, file, place, question, task)


def _in_order(row: Row) -> tuple:
    return row.domain, len(row.item), row.item  # 7 before 10


# --- HELM ---

STATS, SHOWN = "per_instance_stats.json", "display_predictions.json"


def _helm_runs(path: Path) -> list[Path]:
    return sorted({file.parent for name in (STATS, SHOWN) for file in path.rglob(name)})


def _helm(path: Path, choose: Callable) -> Rows:
    runs = _helm_runs(path)
    if not runs:
        raise ValueError(f"{path}: no run of HELM is there, a folder with {STATS}")
    for run in runs:
        try:
            yield from sorted(_helm_run(run, choose), key=_in_order)
        except (AttributeError, KeyError, TypeError):
            raise ValueError(
                f"{run}: its files are not as HELM writes them; run helm-run again"
            ) from None


def _helm_run(run: Path, choose: Callable) -> Rows:
    spec = _content(run / "run_spec.json", {})
    name = spec.get("name", run.name)
    task = re.sub(r"(?<=[:,])model(_deployment)?=[^,]*,?", "", name).rstrip(",:")
    by_folder = run.name.partition("model=")[2].split(",")[0] or run.parent.name
    model = spec.get("adapter_spec", {}).get("model") or by_folder
    file = run / STATS if (run / STATS).exists() else run / SHOWN
    scores = _helm_scores(file, task, choose)
    questions = dict.fromkeys(scores, "")
    for instance in filter(_is_plain, _content(run / "instances.json", [])):
        if instance.get("split") != "train":
            text = json.dumps(instance["input"])
            questions[instance["id"]] = hashlib.sha256(text.encode()).hexdigest()
    for instance, question in questions.items():
        for score in scores.get(instance) or [None]:
            place = f"instance {instance}"
            yield Row(model, f"{task}/{instance}", score, file, place, question, task)


def _helm_scores(file: Path, task: str, choose: Callable) -> dict[str, list]:
    """{instance: the scores of its trials}."""
    stats = list(_helm_stats(file))
    shown = {name for *_, name, _ in _helm_stats(file.with_name(SHOWN))} - {"predicted_index"}
    metric = choose("metric", task, {name for *_, name, _ in stats}, file, shown)
    found = {}
    for instance, trial, name, value in stats:
        trials = found.setdefault(instance, {})
        if name == metric and trials.setdefault(trial, value) != value:
            raise ValueError(
                f"{file}, instance {instance}: {metric} is {trials[trial]} and {value}; "
                "delete one of the two"
            )
    return {instance: list(trials.values()) for instance, trials in found.items()}


def _helm_stats(file: Path) -> Iterator[tuple]:
    """(instance, trial, metric, value) of all: HELM's two files say the same in two ways."""
    for entry in filter(_is_plain, _content(file, [])):
        stats = entry["stats"]
        if isinstance(stats, list):
            plain = [stat for stat in stats if _is_plain(stat["name"])]
            stats = {stat["name"]["name"]: stat.get("mean") for stat in plain}
        for name, value in stats.items():
            yield entry["instance_id"], entry.get("train_trial_index"), name, value


def _is_plain(entry: dict) -> bool:
    return not entry.get("perturbation")


def _content(file: Path, otherwise: object) -> object:
    return _json(file.read_text(encoding="utf-8"), file) if file.exists() else otherwise


# --- the formats ---


HELM = Format(_helm_runs, _helm, True)
LM_EVAL = Format(_is_lm_eval, _lm_eval, True)
TABLE = Format(Path.is_file, _table, False)
FORMATS = [HELM, LM_EVAL, TABLE]  # the first that holds a path reads it
