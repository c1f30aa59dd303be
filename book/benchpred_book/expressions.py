"""Values in prose: the role ``{eval}`` of MyST, computed where its sentence stands.

A Markdown cell keeps them in its metadata as ``user_expressions``, where JupyterLab, with
jupyterlab-myst, writes and reads them too.  The pages are built from the same values.
"""

import ast
import json
import re

ROLE = re.compile(r"\{eval\}`([^`]+)`")
STORED = "user_expressions"
UNKNOWN = "(not computed)"


def asked(cell) -> list[str]:
    """The expressions in the text of a cell, each once, in their order; of code there are none."""
    found = ROLE.findall(cell.source) if cell.cell_type == "markdown" else []
    return list(dict.fromkeys(found))


def known(cells) -> dict:
    """What the kernel answered to each expression in the prose of cells, {expression: result}."""
    stored = (cell["metadata"].get(STORED, []) for cell in cells)
    return {entry["expression"]: entry["result"] for entries in stored for entry in entries}


def keep(notebook, results: dict) -> None:
    """Store the results with the cells that ask for them, and no others."""
    for cell in notebook.cells:
        cell.metadata.pop(STORED, None)
        entries = [
            {"expression": expression, "result": results[expression]}
            for expression in asked(cell)
            if expression in results
        ]
        if entries:
            cell.metadata[STORED] = entries


def texts(cells) -> dict[str, str]:
    """The values in the prose of cells as a reader sees them, {expression: text}."""
    return {expression: _text(result) for expression, result in known(cells).items()}


def _text(result) -> str:
    """A text without the quotes that its repr has; anything else as it is shown."""
    shown = result["data"]["text/plain"]
    return ast.literal_eval(shown) if shown[:1] in ("'", '"') else shown


def fault(result) -> str:
    """What is wrong with a value for a sentence, in words; "" if nothing is."""
    if result["status"] != "ok":
        return f"{result['ename']}: {result['evalue']}"
    if "\n" in _text(result) or not _text(result).strip():
        return "its value is no piece of a sentence"
    return ""


def resolved(text: str) -> str:
    """The text of a stored notebook with values in place of the roles, for who can't read them."""
    notebook = json.loads(text)
    values = texts(notebook["cells"])
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            source = "".join(cell["source"])
            cell["source"] = ROLE.sub(lambda role: values.get(role[1], UNKNOWN), source)
    return json.dumps(notebook)
