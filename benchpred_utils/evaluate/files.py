"""What a file holds, told by its content: records, each with its place in the file."""

import csv
import gzip
import io
import json
import os
import re
import warnings
import zipfile
from contextlib import suppress
from pathlib import Path

import pandas as pd

with suppress(ImportError):
    import zipfile_zstd  # noqa: F401  zipfile reads with it what inspect_ai writes

LOGS = (".json", ".jsonl", ".jsonl.gz", ".json.gz", ".eval")
CUT_OFF = "was the run cut off? Then run it again"
# Control characters, and those that change the direction of writing.
UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(name, most=200):
    """A name as it can be shown: control characters escaped, cut after `most` characters."""
    text = str(name)
    if len(text) > most:
        text = f"{text[:60]}... ({len(text)} characters)"
    if text.isprintable():  # most are, and this is told at once
        return text
    return UNSEEN.sub(lambda found: ascii(found[0])[1:-1], text)


def named(names, most=3):
    """The first of some names, and how many more there are: words for a message."""
    names = list(map(printable, names))
    if len(names) > most:
        names[most:] = [f"and {len(names) - most} more"]
    return ", ".join(names)


def files_in(path):
    """The file itself, or all below a folder that may be logs; OSError where one can't be read."""

    def unreadable(error):
        raise error  # os.walk would go on without the folder

    if path.is_file():
        return [path]
    walked = os.walk(path, onerror=unreadable)
    return sorted(
        Path(folder, name) for folder, _, names in walked for name in names if name.endswith(LOGS)
    )


def records_of(file):
    """{place: record} of a table, of JSON lines, or of other JSON.

    A record under a name, as in {"A": {"q1": 1}}, has that name under "".
    Raises ValueError, naming file and place, when the file is not whole or of another kind.
    """
    data = file.read_bytes()
    try:
        if data.startswith(b"\x1f\x8b"):
            data = gzip.decompress(data)
        if data.startswith(b"PAR1"):
            frame = pd.read_parquet(io.BytesIO(data))
            if not isinstance(frame.index, pd.RangeIndex):
                frame = frame.reset_index()
            return _cells(frame.columns, *frame.to_numpy(object).tolist())
        if data.startswith(b"PK"):
            return _zipped(data)
        text = data.decode("utf-8-sig")
        if text.lstrip().startswith(("{", "[")):
            return _records(text)
        csv.field_size_limit(2**31 - 1)  # of a name
        header = text.partition("\n")[0]
        delimiter = "\t" if "\t" in header else max(",;", key=header.count)
        return _cells(*csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"{file}, line {line} can't be read as a table in UTF-8, or as a log: {error.reason}"
        ) from None
    except (ImportError, NotImplementedError):
        needs = "to read Parquet install pyarrow, or save it as CSV or JSON"
        if data.startswith(b"PK"):
            needs = (
                "to read logs of inspect_ai install zipfile-zstd, or convert them: inspect log "
                "convert --to json"
            )
        raise ImportError(f"{file}: {needs}") from None
    except Exception as error:  # what damaged files raise is not listed anywhere
        raise ValueError(f"{file} can't be read: {error}") from error


def json_of(text):
    """The content of JSON, or None where it is none."""
    with suppress(ValueError, RecursionError):
        return json.loads(text)


def _records(text):
    whole = json_of(text)
    if isinstance(whole, dict) and all(isinstance(value, dict) for value in whole.values()):
        return {name: {"": name} | value for name, value in whole.items()}
    kind = "entry"
    if not isinstance(whole, list):
        kind = "line"
        whole = [whole] if whole else [json_of(line.strip() or "{}") for line in text.split("\n")]
    found = {
        f"{kind} {number}": record for number, record in enumerate(whole, start=1) if record != {}
    }
    for place, record in found.items():
        if not isinstance(record, dict):
            raise ValueError(f"{place} is not JSON as it was written; {CUT_OFF}")
    return found


def _zipped(data):
    """A log of inspect_ai: its head, and a file for each sample."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        content = {name: json_of(archive.read(name)) for name in archive.namelist()}
    head = content.get("header.json") or content.get("_journal/start.json")
    if not head:
        raise ValueError("it is a zip archive, but no log of inspect_ai")
    samples = [one for name, one in content.items() if name.startswith("samples/")]
    return {"header.json": head | {"samples": samples}}


# What columns are called besides item, score and model.
ALIASES = {"id": "item", "question_id": "item", "item_id": "item", "correct": "score"}
ALIASES |= {"is_correct": "score", "model_name": "model", "model_id": "model"}
# Columns that say something of a model, or of its row, and seldom are items.
SUMMARIES = set("accuracy acc average avg mean total score overall params".split())
SCORE = re.compile(r"(?i)[01](\.0*)?|0?\.\d+|true|false")


def plain_name(name):
    """How a column is called, whatever its letters' case: question_id of "Question ID"."""
    return name.strip().lower().replace(" ", "_")


def _cells(header=(), *lines):
    names = pd.Index(map(str, header))
    found = {}
    for number, cells in enumerate(lines, start=2):
        if len(cells) != len(names) and cells:
            raise ValueError(f"row {number} has {len(cells)} cells, the header {len(names)}")
        if any(cell not in ("", None) for cell in cells):
            found[f"row {number}"] = dict(zip(names, cells))
    if not found:
        raise ValueError(f"it is empty, or has a header and no rows; {CUT_OFF}")
    plain = [plain_name(name) for name in names]
    known = {ALIASES.get(name, name) for name in plain}
    if SCORE.fullmatch(plain[-1]) and known.isdisjoint(("model", "item", "")):
        raise ValueError(
            f"row 1, {printable(', '.join(names))}, ends with a score: is the header missing? Put "
            "one before it, say model, item, score; if it is the header, call its first column "
            "`model`"
        )
    again = names[names.duplicated()]
    if len(again):
        raise ValueError(f"row 1: the column {printable(again[0])!r} comes twice")
    if {"score", "item"} <= known:
        return found
    first = [SCORE.fullmatch(str(row[names[0]])) for row in found.values()]
    if all(first) and {"model", "item"}.isdisjoint(plain):
        raise ValueError(
            f"its first column, {printable(names[0])!r}, holds scores, where the models' names "
            "should be: put a column `model` before it"
        )
    doubtful = SUMMARIES.intersection(plain)
    if doubtful:
        warnings.warn(f"read as items: the columns {named(sorted(doubtful))}", stacklevel=2)
    return found
