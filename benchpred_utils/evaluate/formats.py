"""The formats of results: how each says a model's score on an item.

A new format is a row in FORMATS, and, where a record is not one answer, a function that gives the
answers in it.
"""

import hashlib
import re
from collections import defaultdict
from functools import lru_cache
from typing import NamedTuple

from .files import json_of


class Entry(NamedTuple):
    """What a file says of one model on one item."""

    model: str
    task: str  # or the domain in a table
    item: str
    question: str | None  # its hash, "" where there is none, None in a table
    repeat: str  # which of several answers to the item
    filter: str  # "" where a version did not write it
    scores: dict  # by metric; empty where the item has no answer
    file: object = None
    place: str = ""


class Format(NamedTuple):
    """A kind of files; its texts hold %(field)s of an answer, a field of a field after a dot."""

    name: str
    marks: set  # fields by which its first record is known
    answers: object  # from a record and its file to records of one answer each
    model: str
    task: str
    item: str
    scores: str  # pattern of the fields that are scores; its groups name the metric
    question: str = ""
    repeat: str = ""
    path: str = r".*/(?P<model>[^/]+)/(?P<task>[^/]+)\.\w+"  # what fields it says


def entries_of(format, file, records):
    """The Entries of a file; raises ValueError, with the place, where a record is otherwise."""
    path = re.fullmatch(format.path, file.resolve().as_posix())
    known = path.groupdict() if path else {}
    for place, record in records.items():
        try:
            if format is TABLE:
                yield from _table(file, place, record)
            else:
                for answer in format.answers(record, file):
                    yield _entry(format, known, answer)._replace(file=file, place=place)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise ValueError(
                f"{file}, {place}: {error} ({type(error).__name__}), which is not as {format.name} "
                "writes it"
            ) from None


def _entry(format, known, answer):
    flat = dict(_flat(answer))
    said = defaultdict(str, known)
    said.update({name: value for name, value in flat.items() if value is not None})
    for field in re.findall(r"%\((.*?)\)", format.item):
        if not isinstance(said[field], str | int | float) or said[field] == "":
            raise ValueError(f"{field} is {said[field]!r}")
    found = [(re.fullmatch(format.scores, name), flat[name]) for name in flat]
    scores = {"/".join(filter(None, name.groups())): score for name, score in found if name}
    texts = format.model, format.task, format.item, format.question, format.repeat
    model, task, item, question, repeat = (text % said for text in texts)
    scores = {} if said["error"] else scores
    kind = str(said.get("filter", "none"))
    return Entry(model, task, item, question, repeat, kind, scores)


def _flat(record, prefix=""):
    for name, value in record.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _hash(*content):
    return hashlib.sha256(repr(content).encode()).hexdigest()


# --- the answers in a record ---


def _itself(record, file):
    return [record]


def _inside(field):
    """From a record to those that it holds in a list, or under names, in a field."""

    def answers(record, file):
        inner = record[field]
        pairs = inner.items() if isinstance(inner, dict) else enumerate(inner)
        return [record | {"key": key} | one for key, one in pairs if isinstance(one, dict)]

    return answers


def _samples(record, file):
    answers = _inside("samples")(record, file)
    return [one | {"question": _hash(one.get("input"), one.get("target"))} for one in answers]


def _programs(record, file):
    samples = record["eval"].values()
    return [one | {"number": number} for group in samples for number, one in enumerate(group)]


# Lists of a report: without a patch an instance is not resolved, with an error it has no result.
REPORTED = {"resolved_ids": 1, "unresolved_ids": 0, "empty_patch_ids": 0, "error_ids": None}


def _reported(record, file):
    lists = [(score, record.get(name) or []) for name, score in REPORTED.items()]
    return [{"": item, "resolved": score} for score, items in lists for item in items]


def _compared(record, file):
    return [record | {"correct": record["pred"] == record["answer"]}]


# Fields of lm-evaluation-harness that are no metrics: older versions do not list the metrics.
NO_METRIC = re.compile(
    r"|doc_id|doc|target|arguments|resps|filtered_resps|filter|metrics|\w+_hash|truth|pred|gold"
    r"|(prompt|logit)_\d+"
)


def _logged(record, file):
    metrics = record.get("metrics")
    if not isinstance(metrics, list):
        metrics = [name for name in record if not NO_METRIC.fullmatch(name)]
    model = _model_of_run(file, file.parent.stat().st_mtime_ns)
    scores = {name: record[name] for name in metrics if name in record}
    return [
        {"model": model, "filter": ""} | record | {"doc": "", "arguments": "", "scores": scores}
    ]


@lru_cache(1)
def _model_of_run(file, changed):
    """The model in the results beside a log, of the same time if there are some; or None."""
    time = file.name.partition(".")[0][-19:]
    results = list(file.parent.glob("results_*.json"))
    results = [path for path in results if time in path.name] or results
    names = {json_of(path.read_bytes()).get("model_name") for path in results}
    return names.pop() if len(names) == 1 else None


STATS = "per_instance_stats.json"


def _instances(record, file):
    """Of two files of HELM that say the same in two ways the first, STATS."""
    is_second = file.name != STATS and file.with_name(STATS).exists()
    if is_second or not _is_plain(record):
        return []
    stats = record["stats"]
    if isinstance(stats, list):
        plain = [stat for stat in stats if _is_plain(stat["name"])]
        stats = {stat["name"]["name"]: stat.get("mean") for stat in plain}
    model, task, questions = _run_of_helm(file, file.parent.stat().st_mtime_ns)
    item = record["instance_id"]
    known = {"model": model, "task": task, "question": questions.get(item, "")}
    return [record | known | {"stats": stats}]


@lru_cache(1)
def _run_of_helm(file, changed):
    run = file.resolve().parent
    spec, instances = (_beside(file, name) for name in ("run_spec.json", "instances.json"))
    name = spec.get("name", run.name)
    task = re.sub(r"(?<=[:,])model(_deployment)?=[^,]*,?", "", name).rstrip(",:")
    by_folder = run.name.partition("model=")[2].split(",")[0] or run.parent.name
    model = spec.get("adapter_spec", {}).get("model") or by_folder
    tested = [one for one in instances if _is_plain(one) and one.get("split") != "train"]
    return model, task, {one["id"]: _hash(one["input"]) for one in tested}


def _is_plain(record):
    return not record.get("perturbation")


def _beside(file, name):
    file = file.with_name(name)
    return json_of(file.read_bytes()) or {} if file.exists() else {}


ALIASES = {"id": "item", "question_id": "item", "item_id": "item", "correct": "score"}
ALIASES |= {"is_correct": "score", "model_name": "model", "model_id": "model"}
NO_NAMES = ("", "index", "unnamed: 0")  # of a column that only counts rows


def _table(file, place, record):
    """Long: model, item, score, perhaps domain; else a row per model, or per item if it says so."""
    plain = {name.strip().lower(): value for name, value in record.items()}
    known = {ALIASES.get(name, name): value for name, value in plain.items()}
    if known.keys() >= {"score", "item"} or known.keys() <= {"model", "item", "domain"}:
        if len(known) < len(record) or known["item"] in ("", None):
            raise ValueError(f"no item, or two columns of one name: {', '.join(record)}")
        model, domain = known.get("model"), known.get("domain") or ""
        cells = [(file.stem if model is None else model, known["item"], known.get("score"), "")]
    else:
        first = "model" if "model" in plain else next(iter(plain))
        others = first, *(NO_NAMES if first == "model" else ())
        domain = ""
        cells = [
            (plain[first], name, score, f", column {name}")
            for name, score in record.items()
            if name.strip().lower() not in others
        ]
        if first == "item":
            cells = [(name, item, *rest) for item, name, *rest in cells]
    for model, item, score, column in cells:
        score = {"": score}
        yield Entry(f"{model}", domain, f"{item}", None, "", "", score, file, place + column)


# --- the formats: the first whose marks are in a file's first record reads it ---

SAID = "%(model)s", "%(task)s"
HELM = Format(
    "HELM",
    {"instance_id", "stats"},
    _instances,
    *SAID,
    "%(task)s/%(instance_id)s",
    r"stats\.(.+)",
    "%(question)s",
    "%(train_trial_index)s",
)
LM_EVAL = Format(
    "lm-evaluation-harness",
    {"doc_id"},
    _logged,
    *SAID,
    "%(task)s:%(doc_id)s",
    r"scores\.(.+)",
    "%(doc_hash)s%(target_hash)s",
    # MODEL/samples_TASK_TIME.jsonl; in 0.4.0 ARGS_TASK.jsonl; before TASK_write_out_info.json
    path=r".*/(?P<model>(?!samples_)[^/]+__[^_/]*(?=_)|[^/]+(?=/))[_/](?:samples_)?(?P<task>[^/]+?)"
    r"(?:_\d{4}-\d\d-\d\dT[\d.:-]+?)?(?:_write_out_info)?\.jsonl?(?:\.gz)?",
)
TABLE = Format("tables", set(), None, "", "", "", "")
SUBJECTS = (
    "(?:biology|business|chemistry|computer[ _]science|economics|engineering|health|history|law|"
    "math|other|philosophy|physics|psychology)(?:_result)?"
)
FORMATS = (
    HELM,
    LM_EVAL,
    Format(
        "inspect_ai",
        {"eval", "samples"},
        _samples,
        "%(eval.model)s",
        "%(eval.task)s",
        "%(eval.task)s:%(id)s",
        r"scores\.([^.]+)\.value\.?(.*)",
        "%(question)s",
        "%(epoch)s",
    ),
    Format(
        "Every Eval Ever",
        {"sample_id", "evaluation"},
        _itself,
        "%(model_id)s",
        "%(evaluation_name)s",
        "%(evaluation_name)s:%(sample_id)s",
        r"evaluation\.(score)",
        "%(sample_hash)s",
    ),
    Format(
        "EvalPlus, BigCodeBench",
        {"eval", "date"},
        _programs,
        "%(model)s",
        "",
        "%(task_id)s",
        "(.*status)",
        repeat="%(number)s",
        path=r".*/(?P<model>[^/]+?)[-_./]?eval_results\.json",
    ),
    Format(
        "SWE-bench",
        {"resolved_ids"},
        _reported,
        "%(model)s",
        "",
        "%()s",
        "(resolved)",
        path=r".*/(?P<model>[^/]+?)(?:\.[^./]+)?\.json",
    ),
    Format(
        "SWE-bench",
        {"", "resolved"},
        _itself,
        "%(model)s",
        "",
        "%()s",
        "(resolved)",
        path=r".*/(?P<model>[^/]+)/[^/]+/report\.json",
    ),
    Format(
        "OpenCompass",
        {"details"},
        _inside("details"),
        *SAID,
        "%(task)s:%(key)s",
        "(?:is_|cascade_)?(correct)",
    ),
    Format(
        "MMLU-Pro",
        {"question_id", "pred", "answer"},
        _compared,
        "%(model)s",
        "%(category)s",
        "%(category)s:%(question_id)s",
        "(correct)",
        "%(question)s",
        path=rf".*/(?P<model>(?!{SUBJECTS}\.|all/|CoT/)[^/]+?)(?:/CoT|/all)*(?:/{SUBJECTS})?\.json",
    ),
    TABLE,
)
