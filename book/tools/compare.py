"""Compare the numbers in the outputs of two executions of a chapter."""

import json
import math
import re
from typing import NamedTuple

NUMBER = re.compile(r"(?<![\w.])[-+\u2212]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?(?![\w])")
TAG = re.compile(r"<style.*?</style>|<[^>]+>", re.DOTALL)
CHART = (
    "benchpred_chart"  # the entry of an output's metadata that holds a chart's description and spec
)
REL_TOL, ABS_TOL = 1e-6, 1e-9


class Difference(NamedTuple):
    cell: int  # the cell's place in the notebook, from 1
    where: str  # which output, and where in it
    stored: str
    new: str


def differences(stored, new, rel_tol=REL_TOL, abs_tol=ABS_TOL) -> list[Difference]:
    """Everything in which the outputs of ``new`` differ from those of ``stored`` by more than the tolerance."""
    if len(stored.cells) != len(new.cells):
        return [Difference(0, "number of cells", str(len(stored.cells)), str(len(new.cells)))]
    found = []
    for place, (old_cell, new_cell) in enumerate(zip(stored.cells, new.cells), start=1):
        if new_cell.cell_type != "code":
            continue
        old, fresh = _readings(old_cell), _readings(new_cell)
        for where in [*old, *(key for key in fresh if key not in old)]:
            pair = old.get(where, "nothing"), fresh.get(where, "nothing")
            if not _close(*pair, rel_tol, abs_tol):
                found.append(Difference(place, where, *map(_shown, pair)))
    return found


def _shown(value) -> str:
    text = str(value)
    return text if len(text) <= 200 else text[:200] + " ..."


def _readings(cell) -> dict:
    """Every number in a cell's outputs, and the words between them, under a name that says where it stands."""
    readings = {}
    for number, output in enumerate(cell.get("outputs", []), start=1):
        where = f"output {number}"
        if output.output_type == "stream":
            readings |= _text_readings(f"{where} ({output.name})", output.text)
        elif output.output_type == "error":
            readings[f"{where} (error)"] = f"{output.ename}: {output.evalue}"
        else:
            readings |= _display_readings(where, output)
    return readings


def _display_readings(where: str, output) -> dict:
    chart = output.metadata.get(CHART)
    if chart:  # its picture is drawn from the spec
        return dict(_json_readings(f"{where} (chart)", chart))
    glued = output.metadata.get("scrapbook", {}).get("name")
    where = f"{where} (glue {glued})" if glued else where
    readings = {}
    for mime, value in output.data.items():
        if mime.startswith("image/"):
            readings[f"{where} {mime}"] = value
        elif mime.endswith("json"):
            readings |= dict(_json_readings(f"{where} {mime}", value))
        else:
            readings |= _text_readings(
                f"{where} {mime}", TAG.sub(" ", value) if mime.endswith("html") else value
            )
    return readings


def _text_readings(where: str, text: str) -> dict:
    """The numbers of a text, by line, and the text without them."""
    readings = {}
    for number, line in enumerate(text.splitlines(), start=1):
        for place, figure in enumerate(NUMBER.findall(line), start=1):
            readings[f"{where}, line {number}, number {place}"] = float(
                figure.replace("\u2212", "-")
            )
    # A rounded figure may get longer or shorter, and columns are padded to it: blanks and rules do not count.
    readings[f"{where}, words"] = " ".join(
        re.sub(r"[-\u2500]{2,}", "", NUMBER.sub("#", text)).split()
    )
    return readings


def _json_readings(where: str, value):
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _json_readings(f"{where}.{key}", item)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _json_readings(f"{where}[{number}]", item)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield where, float(value)
    else:
        yield where, json.dumps(value)


def _close(old, new, rel_tol, abs_tol) -> bool:
    if isinstance(old, float) and isinstance(new, float):
        return math.isclose(old, new, rel_tol=rel_tol, abs_tol=abs_tol) or (
            math.isnan(old) and math.isnan(new)
        )
    return old == new
