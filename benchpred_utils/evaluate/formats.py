"""The formats of results: how each says a model's score on an item.

A new format is a function from the records of a file to Entries, and a row in FORMATS.
"""

import hashlib
import json
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from .files import json_of, named, printable

__all__ = ["FORMATS", "HELM", "LM_EVAL", "TABLE", "Entry", "Format"]


class Entry(NamedTuple):
    """What a file says of one model on one item."""

    place: str  # in the file
    model: str
    task: str
    item: object  # its name, or its number within the task
    scores: dict | None  # by metric; None where the item has no answer
    question: str = ""  # a hash of it, where there is one
    repeat: object = None  # which of several answers to the same item this is
    filter: str | None = "none"  # None: of a version that did not write it
    others: dict = {}  # metrics that are there, and that nobody asks for


Places = Iterator[tuple[str, dict]]  # the records of a file, each after its place


class Format(NamedTuple):
    """A kind of files."""

    name: str
    knows: Callable[[dict, Path], bool]  # by the first record and the file's name
    read: Callable[[Path, Places], Iterator[Entry]]
    item: str = "{task}:{item}"


def _has(*names: str) -> Callable:
    """Whether a record has all these fields."""
    return lambda record, file: record.keys() >= set(names)


def _field(record: dict, name: str, kind: type) -> object:
    value = record.get(name)
    if not isinstance(value, kind):
        raise ValueError(f"{name} is {value!r:.80}" if name in record else f"it has no {name}")
    return value


def _hash(content: object) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


# --- lm-evaluation-harness ---

TIME = r"_(\d{4}-\d\d-\d\dT[\d.:-]+)"
# samples_TASK_TIME.jsonl; TASK_write_out_info.json before 0.4; MODEL_ARGS_TASK.jsonl in 0.4.0.
LOG = re.compile(
    rf"samples_(?P<task>.+?)(?:{TIME})?\.jsonl?|(?P<old>.+)_write_out_info\.json|"
    r"(?P<model>.*__[^_]*)_(?P<first>.+)\.jsonl"
)
# Fields that are no metrics: older versions do not list the metrics.
NO_METRIC = re.compile(
    r"|doc_id|doc|target|arguments|resps|filtered_resps|filter|metrics|\w+_hash|truth|pred|gold"
    r"|(prompt|logit)_\d+"
)
# What the harness makes of all items together: lines hold the parts, [gold, prediction] say.
NO_MEAN = set(
    "f1 mcc matthews_corrcoef bleu chrf ter perplexity word_perplexity byte_perplexity "
    "bits_per_byte brier_score bypass".split()
)


def _is_log(record: dict, file: Path) -> bool:
    return "doc_id" in record or file.name.startswith("samples_")


def _lm_eval(file: Path, records: Places) -> Iterator[Entry]:
    log = LOG.fullmatch(file.name.removesuffix(".gz"))
    names = log.groupdict() if log else {}
    task = names.get("task") or names.get("old") or names.get("first") or file.stem
    model = names.get("model") or _model_of_run(file, log and log[2] or "")
    for place, record in records:
        number = _field(record, "doc_id", (int, str))
        listed = [field for field in record if not NO_METRIC.fullmatch(field)]
        if "metrics" in record:
            listed = _field(record, "metrics", list)
        found = {metric: record[metric] for metric in listed if metric in record}
        scores = {name: score for name, score in found.items() if is_mean(name, score)}
        question = f"{record.get('doc_hash') or ''}{record.get('target_hash') or ''}"
        yield Entry(place, model, task, number, scores, question, None, record.get("filter"), found)


def is_mean(metric: str, score: object) -> bool:
    """Whether items have scores of their own in a metric: not pairs, nor one per instruction."""
    return not (metric.startswith("inst_level") or metric in NO_MEAN and isinstance(score, list))


def _model_of_run(file: Path, time: str) -> str:
    """The model in the results beside a log, of the same time if there are some; or the folder."""
    results = list(file.parent.glob("results_*.json"))
    results = [path for path in results if time and time in path.name] or results
    names = {(json_of(path.read_bytes()) or {}).get("model_name") for path in results}
    return names.pop() if len(names) == 1 and all(names) else file.resolve().parent.name


# --- inspect_ai ---

LETTERS = {"C": 1, "I": 0, "P": 0.5, "N": 0}  # correct, incorrect, partially, no answer


def _inspect(file: Path, records: Places) -> Iterator[Entry]:
    for _, log in records:
        for sample in _field(log, "samples", list):
            scores = {}
            for scorer, score in (sample.get("scores") or {}).items():
                value = score["value"]
                parts = value.items() if isinstance(value, dict) else [(None, value)]
                for part, value in parts:
                    name = f"{scorer}/{part}" if part else scorer
                    scores[name] = LETTERS.get(str(value), value)
            yield Entry(
                f"sample {sample['id']}, epoch {sample['epoch']}",
                log["eval"]["model"],
                log["eval"]["task"],
                sample["id"],
                None if sample.get("error") else scores or None,
                _hash([sample["input"], sample["target"]]),
                sample["epoch"],
            )


# --- Every Eval Ever ---


def _every_eval(file: Path, records: Places) -> Iterator[Entry]:
    for place, record in records:
        score = record["evaluation"].get("score")
        score = record["evaluation"].get("is_correct") if score is None else score
        yield Entry(
            place,
            record["model_id"],
            record["evaluation_name"],
            record["sample_id"],
            None if record.get("error") else {"score": score},
            record.get("sample_hash") or "",
        )


# --- programs that are tested ---

PASSED = {"pass": 1, "fail": 0, "timeout": 0, None: None}


def _evalplus(file: Path, records: Places) -> Iterator[Entry]:
    model = re.sub(r"[-_.]?eval_results$", "", file.stem) or file.parent.name
    for _, record in records:
        for item, samples in record["eval"].items():
            for number, sample in enumerate(samples):
                words = {name: word for name, word in sample.items() if name.endswith("status")}
                scores = {name: PASSED[word] for name, word in words.items()}
                task = item.partition("/")[0]
                yield Entry(f"task {item}", model, task, item, scores, "", number)


# Lists of a report, and what an instance in one scores: without a patch it is not resolved.
REPORTED = {"resolved_ids": 1, "unresolved_ids": 0, "empty_patch_ids": 0, "error_ids": None}


def _swe_bench(file: Path, records: Places) -> Iterator[Entry]:
    for place, record in records:
        if "resolved" in record:  # the report of an instance, RUN/MODEL/INSTANCE/report.json
            scores = {"resolved": record["resolved"]}
            yield Entry(place, file.resolve().parent.parent.name, "", record[""], scores)
        for name, score in REPORTED.items():  # of a run, MODEL.RUN.json
            for item in record.get(name) or []:
                scores = {"resolved": score}
                yield Entry(
                    f"{name}, {item}", file.stem.rpartition(".")[0] or file.stem, "", item, scores
                )


# --- OpenCompass, MMLU-Pro ---

RIGHT = ("correct", "is_correct", "cascade_correct")


def _opencompass(file: Path, records: Places) -> Iterator[Entry]:
    for _, record in records:
        details = record["details"]
        details = details if isinstance(details, dict) else dict(enumerate(details))
        for number, detail in details.items():
            if isinstance(detail, dict):
                right = [detail[name] for name in RIGHT if name in detail]
                scores = dict(zip(["correct"], right))
                yield Entry(
                    f"details {number}", file.resolve().parent.name, file.stem, number, scores
                )


def _mmlu_pro(file: Path, records: Places) -> Iterator[Entry]:
    """A file for each subject in a folder of the model's, or one for all that is named after it."""
    for place, record in records:
        subject = record["category"]
        by_subject = file.stem.removesuffix("_result").replace("_", " ") == subject
        folder = file.resolve().parent
        if folder.parent.name == "CoT":
            folder = folder.parent.parent
        model = folder.name if by_subject else file.stem
        scores = {"correct": record["pred"] == record["answer"]}
        question = _hash([record.get("question"), record["answer"]])
        yield Entry(place, model, subject, record["question_id"], scores, question)


# --- HELM ---

STATS, SHOWN = "per_instance_stats.json", "display_predictions.json"


def _is_helm(record: dict, file: Path) -> bool:
    return file.name == STATS or file.name == SHOWN and not file.with_name(STATS).exists()


def _helm(file: Path, records: Places) -> Iterator[Entry]:
    spec = _beside(file, "run_spec.json") or {}
    name = spec.get("name", file.parent.name)
    task = re.sub(r"(?<=[:,])model(_deployment)?=[^,]*,?", "", name).rstrip(",:")
    by_folder = file.parent.name.partition("model=")[2].split(",")[0] or file.parent.parent.name
    model = spec.get("adapter_spec", {}).get("model") or by_folder
    instances = filter(_is_plain, _beside(file, "instances.json") or [])
    questions = {one["id"]: _hash(one["input"]) for one in instances if one.get("split") != "train"}
    shown = [_helm_scores(record) for record in _beside(file, SHOWN) or []]
    shown = set().union(*shown) - {"predicted_index"}
    unseen = set(questions)
    for _, record in records:
        item = record["instance_id"]
        if _is_plain(record):
            unseen.discard(item)
            found = _helm_scores(record)
            scores = {metric: found[metric] for metric in shown & found.keys()} or found
            trial = record.get("train_trial_index")
            question = questions.get(item, "")
            yield Entry(
                f"instance {item}", model, task, item, scores, question, trial, others=found
            )
    for item in sorted(unseen):
        yield Entry(f"instance {item}", model, task, item, None, questions[item])


def _helm_scores(record: dict) -> dict:
    """The scores of an instance: HELM's two files say the same in two ways."""
    stats = record["stats"]
    if isinstance(stats, dict):
        return stats
    return {stat["name"]["name"]: stat.get("mean") for stat in stats if _is_plain(stat["name"])}


def _is_plain(record: dict) -> bool:
    return not record.get("perturbation")


def _beside(file: Path, name: str) -> object:
    file = file.with_name(name)
    if not file.exists():
        return None
    content = json_of(file.read_bytes())
    if content is None:
        raise ValueError(f"{name} is not JSON as it was written")
    return content


# --- tables ---

ALIASES = {"id": "item", "question_id": "item", "item_id": "item", "correct": "score"}
ALIASES |= {"is_correct": "score", "model_name": "model", "model_id": "model"}
SUMMARIES = set("average avg mean total score overall params".split())
NO_NAME = ("", "index", "unnamed: 0", "none")  # of a column that only counts rows


def _is_table(record: dict, file: Path) -> bool:
    return not any(isinstance(value, dict | list) for value in record.values())


def _table(file: Path, records: Places) -> Iterator[Entry]:
    """Long: model, item, score, perhaps domain; else a row per model, or per item if it says so."""
    records = list(records)
    plain = {}
    for _, record in records:
        plain |= {name.strip().lower(): name for name in record}
    known = {ALIASES.get(name, name): column for name, column in plain.items()}
    if {"item", "score"} <= known.keys():
        for place, record in records:
            model = record.get(known.get("model"))
            model = file.stem if model is None else model
            domain = record.get(known.get("domain")) or ""
            scores = {"score": record.get(known["score"])}
            yield Entry(place, model, domain, record[known["item"]], scores)
        return
    first = plain.get("model") or next(iter(plain.values()))
    _check_wide(plain, first, [record.get(first) for _, record in records])
    for place, record in records:
        for name, score in record.items():
            if name != first and not ("model" in plain and name.lower() in NO_NAME):
                pair = record[first], name
                model, item = reversed(pair) if first.lower() == "item" else pair
                yield Entry(f"{place}, column {name}", model, "", item, {"score": score})


def _check_wide(plain: dict, first: str, names: list) -> None:
    if len(plain) < 3:
        raise ValueError(
            f"can't be read as a table: its header is {named(plain)}; needed are a column per item "
            "after the model's name, or model, item, score, separated by commas"
        )
    if first.strip().lower() != "model" and all(
        re.fullmatch(r"[01]|0?\.\d+", str(name)) for name in names
    ):
        raise ValueError(
            f"its first column, {printable(first)!r}, holds scores, where the models' names should "
            "be: put a column `model` before it"
        )
    doubtful = SUMMARIES & plain.keys()
    if doubtful:
        warnings.warn(
            f"the columns {named(sorted(doubtful))} are read as items; delete them where they say "
            "something else",
            stacklevel=2,
        )


# --- the formats ---

LM_EVAL = Format("lm-evaluation-harness", _is_log, _lm_eval)
HELM = Format("HELM", _is_helm, _helm, "{task}/{item}")
TABLE = Format("tables", _is_table, _table, "{item}")
FORMATS = [  # the first that knows a file reads it
    HELM,
    LM_EVAL,
    Format("inspect_ai", _has("eval", "samples"), _inspect),
    Format("Every Eval Ever", _has("sample_id", "evaluation"), _every_eval),
    Format("EvalPlus, BigCodeBench", _has("eval", "date"), _evalplus, "{item}"),
    Format("SWE-bench", _has("resolved_ids"), _swe_bench, "{item}"),
    Format("SWE-bench", _has("", "resolved"), _swe_bench, "{item}"),
    Format("OpenCompass", _has("details"), _opencompass),
    Format("MMLU-Pro", _has("question_id", "pred", "answer"), _mmlu_pro),
    TABLE,
]
