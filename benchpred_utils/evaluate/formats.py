"""The formats of results: how each says a model's score on an item.

A new format is a row in FORMATS, and, where a record is not one answer, a function that gives the
answers in it.
"""

import re
from collections import defaultdict
from typing import NamedTuple

from .files import ALIASES, json_of, named, plain_name, printable


class Entry(NamedTuple):
    """What a file says of one model on one item."""

    model: str
    item: str
    scores: list  # (metric, score) pairs; the metric is "" in a table, and where there is no score
    file: object
    place: str  # the file, and where in it
    task: str = ""  # or the domain in a table
    question: str = ""  # its hash
    repeat: str = ""  # which of several answers; in a table there is one
    filter: str = ""  # never "" in a log
    root: str = ""  # the name of the path that was asked for


def _itself(record, known):
    return [record]


class Format(NamedTuple):
    """A kind of files; its texts hold %(field)s of an answer, a field of a field after a dot."""

    name: str
    marks: set  # fields by which its first record is known
    id: str  # the field that tells the items of a task apart
    scores: str  # pattern of the fields that are scores; its groups name the metric
    answers: object = _itself  # from a record, and what is known, to records of one answer each
    model: str = "%(model)s"
    task: str = "%(task)s"
    joint: str = ":"  # between task and item
    question: str = "%(question)s"
    repeat: str = ""
    path: str = r".*/(?P<model>[^/]+)/(?P<task>[^/]+)\.\w+"  # what fields it says
    beside: object = None  # from the file to fields that other files say


def entries_of(format, file, records):
    """The Entries of a file; raises ValueError, with the place, where a record is otherwise."""
    place = f"{file}, with the files beside it"
    found = []
    try:
        path = re.fullmatch(format.path, file.resolve().as_posix())
        known = path.groupdict() if path else {}
        if format.beside:
            known |= format.beside(file)
        for name, record in records.items():
            place = f"{file}, {printable(name)}"
            if format is TABLE:
                found += _table(record, file, place)
                continue
            for answer in format.answers(record, known):
                found.append(_entry(format, known, answer, file, place))
    except (AttributeError, LookupError, OSError, TypeError, ValueError) as error:
        raise ValueError(
            f"{place}: {error} ({type(error).__name__}), which is not as {format.name} writes it"
        ) from None
    return _with_filters(found) if format is LM_EVAL else found


def _entry(format, known, answer, file, place):
    flat = dict(_flat(answer))
    said = defaultdict(str, known)
    said.update({name: value for name, value in flat.items() if value is not None})
    number = said[format.id]
    if not isinstance(number, str | int | float) or number == "":
        raise ValueError(f"{format.id} is {number!r}")
    scores = []
    for name, score in flat.items():
        found = re.fullmatch(format.scores, name)
        if found and not said["error"]:
            scores.append(("/".join(filter(None, found.groups())), score))
    texts = format.model, format.task, format.question, format.repeat
    model, task, question, repeat = (text % said for text in texts)
    return Entry(
        model,
        f"{task}{format.joint}{number}" if task else f"{number}",
        scores or [("", None)],
        file,
        place,
        task,
        question,
        f"{file} {repeat}",
        str(said.get("filter", "none")),
    )


def _flat(record, prefix=""):
    for name, value in record.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _with_filters(found):
    """Filters without names, passes over all items one after the other, are called 1, 2, ..."""
    items = [entry.item for entry in found]
    n = len(set(items))
    is_again = items[n : n + 1] == items[:1]
    for number, entry in enumerate(found):
        unnamed = f"{1 + number // n}" if is_again else "none"
        found[number] = entry._replace(filter=entry.filter or unnamed)
    return found


# --- the answers in a record ---


def _samples(record, known):
    for sample in record["samples"]:
        question = hash(repr([sample.get("input"), sample.get("target")]))
        yield record | sample | {"question": question}


def _programs(record, known):
    for samples in record["eval"].values():
        for number, sample in enumerate(samples):
            yield sample | {"number": number}


# Lists of a report: without a patch an instance is not resolved, with an error it has no result.
REPORTED = {"resolved_ids": 1, "unresolved_ids": 0, "empty_patch_ids": 0, "error_ids": None}


def _reported(record, known):
    for name, score in REPORTED.items():
        for item in record.get(name) or []:
            yield {"": item, "resolved": score}


def _details(record, known):
    details = record["details"]
    pairs = details.items() if isinstance(details, dict) else enumerate(details)
    return [one | {"key": key} for key, one in pairs if isinstance(one, dict)]


def _compared(record, known):
    return [record | {"correct": record["pred"] == record["answer"]}]


# Fields of lm-evaluation-harness that are no metrics: older versions do not list the metrics.
NO_METRIC = re.compile(
    r"|doc_id|doc|target|arguments|resps|filtered_resps|filter|metrics|\w+_hash|truth|pred|gold"
    r"|(prompt|logit)_\d+"
)


def _logged(record, known):
    names = [name for name in record.get("metrics", record) if name in record]
    scores = {name: record[name] for name in names if not NO_METRIC.fullmatch(name)}
    return [{"filter": ""} | record | {"doc": "", "arguments": "", "scores": scores}]


def _results(file):
    """The model in the results beside a log, of the same time if there are some."""
    time = file.name.partition(".")[0][-19:]
    results = list(file.parent.glob("results_*.json"))
    results = [path for path in results if time in path.name] or results
    names = {json_of(path.read_bytes()).get("model_name") for path in results} - {None, ""}
    return {"model": names.pop()} if len(names) == 1 else {}


def _instances(record, known):
    if known["is_second"] or record.get("perturbation"):
        return []
    stats = record["stats"]
    if isinstance(stats, list):
        stats = {stat["name"]["name"]: stat.get("mean") for stat in stats}
    question = known["questions"].get(record["instance_id"])
    return [record | {"stats": stats, "question": question}]


STATS = "per_instance_stats.json"


def _run(file):
    """What is known of a run of HELM; of two files that say the same the second is passed over."""
    paths = [file.with_name(name) for name in ("run_spec.json", "instances.json")]
    spec, instances = (json_of(path.read_bytes()) if path.exists() else {} for path in paths)
    run = file.resolve().parent
    name = spec.get("name", run.name)
    model = re.search("model=([^,]+)", name)
    plain = [one for one in instances if not one.get("perturbation")]
    return {
        "model": model[1] if model else run.parent.name,
        **spec.get("adapter_spec", {}),
        "task": re.sub(r"(?<=[:,])model(_deployment)?=[^,]*,?", "", name).rstrip(",:"),
        "questions": {one["id"]: hash(repr(one["input"])) for one in plain},
        "is_second": file.name != STATS and file.with_name(STATS).exists(),
    }


NO_NAMES = ("", "index", "unnamed:_0")  # of a column that only counts rows


def _table(record, file, place):
    """Long: model, item, score, perhaps domain; else a row per model, or per item if it says so."""
    plain = {plain_name(name): value for name, value in record.items()}
    known = {ALIASES.get(name, name): value for name, value in plain.items()}
    if known.keys() >= {"score", "item"} or known.keys() <= {"model", "item", "domain", "task"}:
        if len(known) < len(record) or known["item"] in ("", None):
            raise ValueError(f"no item, or two columns of one name: {named(record, 10)}")
        model = file.stem if known.get("model") is None else known["model"]
        scores = [("", known.get("score"))]
        task = known.get("task") or ""
        item = f"{known['item']}"
        if task and not item.startswith(f"{task}:"):
            item = f"{task}:{item}"
        return [Entry(f"{model}", item, scores, file, place, f"{known.get('domain') or task}")]
    first = "model" if "model" in plain else next(iter(plain))
    is_item = first != "id" and ALIASES.get(first, first) == "item"
    others = {first, *(NO_NAMES if first == "model" else ())}
    found = []
    for name, score in record.items():
        if plain_name(name) not in others:
            names = [f"{plain[first]}", name]
            if is_item:
                names.reverse()
            found.append(Entry(*names, [("", score)], file, f"{place}, column {printable(name)}"))
    return found


# --- the formats: the first whose marks are in a file's first record reads it ---

HELM = Format(
    "HELM",
    marks={"instance_id", "stats"},
    id="instance_id",
    scores=r"stats\.(.+)",
    answers=_instances,
    joint="/",
    repeat="%(train_trial_index)s",
    beside=_run,
)
LM_EVAL = Format(
    "lm-evaluation-harness",
    marks={"doc_id"},
    id="doc_id",
    scores=r"scores\.(.+)",
    answers=_logged,
    question="%(doc_hash)s%(target_hash)s",
    # MODEL/samples_TASK_TIME.jsonl; in 0.4.0 ARGS_TASK.jsonl; before TASK_write_out_info.json
    path=r".*/(?P<model>(?!samples_)[^/]+__[^_/]*(?=_)|[^/]+(?=/))[_/](?:samples_)?(?P<task>[^/]+?)"
    r"(?:_\d{4}-\d\d-\d\dT[\d.:-]+?)?(?:_write_out_info)?\.jsonl?(?:\.gz)?",
    beside=_results,
)
TABLE = Format("tables", marks=set(), id="item", scores="score")
SUBJECTS = (
    "(?:biology|business|chemistry|computer[ _]science|economics|engineering|health|history|law|"
    "math|other|philosophy|physics|psychology)(?:_result)?"
)
FORMATS = (
    HELM,
    LM_EVAL,
    Format(
        "inspect_ai",
        marks={"eval", "samples"},
        id="id",
        scores=r"scores\.([^.]+)\.value\.?(.*)",
        answers=_samples,
        model="%(eval.model)s",
        task="%(eval.task)s",
        repeat="%(epoch)s",
    ),
    Format(
        "Every Eval Ever",
        marks={"sample_id", "evaluation"},
        id="sample_id",
        scores=r"evaluation\.(score)",
        model="%(model_id)s",
        task="%(evaluation_name)s",
        question="%(sample_hash)s",
    ),
    Format(
        "EvalPlus, BigCodeBench",
        marks={"eval", "date"},
        id="task_id",
        scores="(.*status)",
        answers=_programs,
        task="",
        repeat="%(number)s",
        path=r".*/(?P<model>[^/]+?)[-_./]?eval_results\.json",
    ),
    Format(
        "SWE-bench",
        marks={"resolved_ids"},
        id="",
        scores="(resolved)",
        answers=_reported,
        task="",
        path=r".*/(?P<model>[^/]+?)(?:\.[^./]+)?\.json",
    ),
    Format(
        "SWE-bench",
        marks={"", "resolved"},
        id="",
        scores="(resolved)",
        task="",
        path=r".*/(?P<model>[^/]+)/[^/]+/report\.json",
    ),
    Format(
        "OpenCompass",
        marks={"details"},
        id="key",
        scores="(?:is_|cascade_)?(correct)",
        answers=_details,
    ),
    Format(
        "MMLU-Pro",
        marks={"question_id", "pred", "answer"},
        id="question_id",
        scores="(correct)",
        answers=_compared,
        task="%(category)s",
        path=rf".*/(?P<model>(?!{SUBJECTS}\.|all/|CoT/)[^/]+?)(?:/CoT|/all)*(?:/{SUBJECTS})?\.json",
    ),
    TABLE,
)
