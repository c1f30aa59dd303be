"""Compare the numbers in the outputs of two executions of a chapter."""

import json
import math
import re
from typing import NamedTuple

from .. import expressions
from ..stored_charts import OUTPUT_KEY

NUMBER = re.compile(r"(?<![\w.])[-+\u2212]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?(?![\w])")
TAG = re.compile(r"<style.*?</style>|<[^>]+>", re.DOTALL)
RULES = re.compile(r"[-\u2500]{2,}|\s+")  # columns are padded to their figures
REL_TOL = 1e-6
ABS_TOL = 1e-9


class Difference(NamedTuple):
    cell: int  # the cell's place in the notebook, from 1
    where: str  # which output, and where in it
    stored: str
    new: str


def differences(stored, new) -> list[Difference]:
    """Where the outputs of `new` differ from those of `stored` by more than the tolerance."""
    if len(stored.cells) != len(new.cells):
        return [Difference(0, "number of cells", len(stored.cells), len(new.cells))]
    found = []
    for place, (old_cell, new_cell) in enumerate(zip(stored.cells, new.cells), start=1):
        old = _readings(old_cell)
        fresh = _readings(new_cell)
        for where in {**old, **fresh}:
            pair = (old.get(where, "nothing"), fresh.get(where, "nothing"))
            if not _close(*pair):
                found.append(Difference(place, where, *(str(value)[:200] for value in pair)))
    return found


def settle(stored, new) -> None:
    """Give cells of `new` the stored outputs where they are the same but for rounding and fonts."""
    changed = {difference.cell for difference in differences(stored, new)}
    for place, (old_cell, new_cell) in enumerate(zip(stored.cells, new.cells), start=1):
        same = old_cell.source == new_cell.source and place not in changed
        if same and 0 not in changed and new_cell.cell_type == "code":
            new_cell.outputs = old_cell.outputs


def _readings(cell) -> dict:
    """Every number in a cell's outputs, or in the values of its prose, by where it stands."""
    readings = {}
    for entry in cell.metadata.get(expressions.STORED, []):
        value = entry["result"]["data"]["text/plain"]
        readings |= _text_readings(f"value of {entry['expression']}", value)
    for number, output in enumerate(cell.get("outputs", []), start=1):
        for part, content in _parts(output).items():
            where = f"output {number} {part}"
            if isinstance(content, str):
                readings |= _text_readings(where, content)
            else:
                readings |= dict(_json_readings(where, content))
    return readings


def _parts(output) -> dict:
    """What of an output is compared: texts, and values as JSON has them."""
    if output.output_type == "stream":
        return {output.name: output.text}
    if output.output_type == "error":
        return {"error": [output.ename, output.evalue]}
    if OUTPUT_KEY in output.metadata:  # its picture is drawn from it, with the machine's fonts
        return {"chart": output.metadata[OUTPUT_KEY]}
    glued = output.metadata.get("scrapbook", {}).get("name", "")
    parts = {}
    for mime, value in output.data.items():
        if mime.startswith("image/"):
            value = [value]
        elif mime.endswith("html"):
            value = TAG.sub(" ", value)
        parts[f"{glued} {mime}"] = value
    return parts


def _text_readings(where: str, text: str) -> dict:
    """The numbers of a text, by line, and the text without them."""
    readings = {f"{where}, words": RULES.sub(" ", NUMBER.sub("#", text)).split()}
    for number, line in enumerate(text.splitlines(), start=1):
        for place, figure in enumerate(NUMBER.findall(line), start=1):
            value = float(figure.replace("\u2212", "-"))
            readings[f"{where}, line {number}, number {place}"] = value
    return readings


def _json_readings(where: str, value):
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _json_readings(f"{where}.{name}", item)
    elif isinstance(value, list):
        yield from _json_readings(where, dict(enumerate(value)))
    else:
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        yield where, float(value) if is_number else json.dumps(value)


def _close(old, new) -> bool:
    if isinstance(old, float) and isinstance(new, float):
        both_nan = math.isnan(old) and math.isnan(new)
        return both_nan or math.isclose(old, new, rel_tol=REL_TOL, abs_tol=ABS_TOL)
    return old == new
