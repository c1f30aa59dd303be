"""What a file holds, told by its content: records, each with its place in the file."""

import csv
import gzip
import io
import json
import os
import re
import zipfile
import zlib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import pandas as pd

with suppress(ImportError):
    import zipfile_zstd  # noqa: F401  zipfile reads with it what inspect_ai writes

__all__ = ["files_in", "json_of", "named", "printable", "records_of"]

Records = dict[str, dict]  # by place

LOG_NAMES = (".json", ".jsonl", ".gz", ".eval")
KINDS = {b"PK": "a zip archive", b"%PDF": "a PDF", b"SQLite": "a database", b"<": "a web page"}
CUT_OFF = "was the run cut off? Then run it again"
UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(name: object, most: float = 120) -> str:
    """A name as it can be shown: control characters escaped, shortened to `most` characters."""
    text = str(name)
    length = len(text)
    if length > most:
        text = f"{text[: most // 2]}... ({length} characters)"
    return UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def named(names: Iterable, most: int = 3) -> str:
    """The first of some names, and how many more there are: words for a message."""
    names = list(map(printable, names))
    if len(names) > most:
        names[most:] = [f"and {len(names) - most} more"]
    return ", ".join(names)


def files_in(path: Path) -> list[Path]:
    """The file itself, or all files below a folder that may be logs, by name."""
    if path.is_file():
        return [path]
    found = []
    for folder, _, names in os.walk(path, onerror=_unreadable):
        found += [Path(folder, name) for name in names if name.endswith(LOG_NAMES)]
    return sorted(found)


def _unreadable(error: OSError) -> None:
    raise error  # os.walk would go on without the folder


def records_of(file: Path) -> Records:
    """The records of a table, of JSON lines, or of other JSON; an empty row has none.

    A record found under a name, as in {"A": {"q1": 1}}, holds that name under "".
    Raises ValueError, naming file and place, when the file is not whole or not of these kinds.
    """
    data = file.read_bytes()
    try:
        if zipfile.is_zipfile(io.BytesIO(data)):
            return _zipped(data)
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
        if data[:4] == b"PAR1":
            return _cells(*_parquet(data))
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"{file}, line {line} can't be read as a table in UTF-8, or as a log: {error.reason}"
        ) from None
    except ImportError:
        raise ImportError(
            f"{file}: to read Parquet install pyarrow, or save the table as CSV"
        ) from None
    except NotImplementedError:
        raise ImportError(
            f"{file} is packed with Zstandard: install zipfile-zstd, or run `inspect log convert "
            "--to json`"
        ) from None
    except (EOFError, OSError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{file} can't be unpacked ({error}); {CUT_OFF}") from None
    except ValueError as error:
        raise ValueError(f"{file} {error}") from None
    for start, kind in KINDS.items():
        if data.startswith(start):
            raise ValueError(f"{file} is {kind}: neither a table nor a log")
    if not text.strip():
        raise ValueError(f"{file} is empty; {CUT_OFF}")
    if text.lstrip()[0] in "{[" and file.suffix != ".csv":
        return _records(text, file)
    try:
        header = text.partition("\n")[0]
        delimiter = "\t" if header.count("\t") > header.count(",") else ","
        csv.field_size_limit(2**31 - 1)  # of a name
        return _cells(*csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    except (csv.Error, ValueError) as error:
        raise ValueError(f"{file} can't be read as a table: {error}") from None


def json_of(text: str | bytes) -> object:
    """The content of JSON, or None where it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _records(text: str, file: Path) -> Records:
    whole = json_of(text)
    if isinstance(whole, dict):
        inner = whole.values()
        if inner and all(isinstance(value, dict) for value in inner):
            return {name: {"": name} | value for name, value in whole.items()}
        return {"line 1": whole}
    if isinstance(whole, list):
        found = {f"entry {number}": record for number, record in enumerate(whole, start=1)}
    else:
        lines = enumerate(text.split("\n"), start=1)
        found = {f"line {number}": json_of(line) for number, line in lines if line.strip()}
    for place, record in found.items():
        if not isinstance(record, dict):
            raise ValueError(f"{file}, {place} is not JSON as it was written; {CUT_OFF}")
    return found


def _cells(header: list, *lines: list) -> Records:
    """The rows of a table; those of Parquet are counted as those of the CSV would be."""
    names = pd.Index(map(str, header))
    again = names[names.duplicated()]
    if len(again):
        raise ValueError(f"row 1, the column {printable(again[0])!r} comes twice")
    found = {}
    for number, cells in enumerate(lines, start=2):
        if len(cells) != len(names) and any(cells):
            raise ValueError(
                f"row {number} has {len(cells)} cells, the header {len(names)}: {named(names)}"
            )
        if any(cell not in ("", None) for cell in cells):
            found[f"row {number}"] = dict(zip(names, cells))
    if not found:
        raise ValueError(f"it has a header and no rows: {named(names)}")
    return found


def _parquet(data: bytes) -> list[list]:
    frame = pd.read_parquet(io.BytesIO(data))
    if not isinstance(frame.index, pd.RangeIndex):
        frame = frame.reset_index()
    return [list(frame.columns), *frame.to_numpy(object).tolist()]


def _zipped(data: bytes) -> Records:
    """The log in an archive of inspect_ai: the head and a file for each sample."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = archive.namelist()
        heads = [name for name in ("header.json", "_journal/start.json") if name in names]
        if not heads:
            raise ValueError("is a zip archive, but no log of inspect_ai: neither table nor log")
        samples = [name for name in sorted(names) if name.startswith("samples/")]
        head, *samples = (json_of(archive.read(name)) for name in (heads[0], *samples))
    return {heads[0]: head | {"samples": samples}}
