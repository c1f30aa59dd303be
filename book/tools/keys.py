"""Keys that tell whether a stored output still belongs to its chapter, code and data.

A stored notebook carries in its metadata
``benchpred: {chapter: <key>, code: <key>, data: {<file>: <sha256>}}``; it is stale as soon as one of the three no
longer equals what the working tree holds.
"""

import ast
import hashlib
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = ROOT / "notebooks"
PACKAGE = ROOT / "benchpred_utils"
STAMP = "benchpred"  # the name of the entry in the notebook's metadata
DECLARATION = "benchpred_data"  # the entry of the front matter that lists the data sets of a chapter


def chapter_key(notebook) -> str:
    """The sha256 of the code cells of a notebook, in their order."""
    digest = hashlib.sha256()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            digest.update(cell.source.strip().encode() + b"\0")
    return digest.hexdigest()


def code_key(package_dir=PACKAGE) -> str:
    """The sha256 of a package's code: comments, docstrings and layout do not count, the files in ``facts`` do."""
    package_dir = Path(package_dir)
    digest = hashlib.sha256()
    for path in sorted(package_dir.rglob("*.py")):
        tokens = " ".join(_tokens(ast.parse(path.read_text(encoding="utf-8"))))
        digest.update(f"{path.relative_to(package_dir).as_posix()}\0{tokens}\0".encode())
    for path in sorted((package_dir / "facts").glob("*")):
        if path.is_file():
            digest.update(f"facts/{path.name}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _tokens(node):
    """Walk a syntax tree into words that are the same under every version of Python (which ``ast.dump`` is not)."""
    if isinstance(node, ast.AST):
        yield "(" + type(node).__name__
        for name, value in sorted(ast.iter_fields(node)):
            if name == "body" and _has_docstring(node):
                value = value[1:]
            # Newer versions add fields, empty where the code has no use for them.
            if value is not None and value != [] and name not in ("ctx", "kind", "type_comment"):
                yield name
                yield from _tokens(value)
        yield ")"
    elif isinstance(node, list):
        yield "["
        for item in node:
            yield from _tokens(item)
        yield "]"
    else:
        yield repr(node)


def _has_docstring(node) -> bool:
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return isinstance(node, documented) and ast.get_docstring(node, clean=False) is not None


def data_key(names) -> dict[str, str]:
    """The sha256 of every file that the data sets ``names`` are made from, by the package's manifest."""
    import benchpred_utils as bp

    return {entry["file"]: entry["sha256"] for name in names for entry in bp.data.files(name)}


def stamp(notebook, names) -> dict:
    """The keys that a notebook with data sets ``names`` has now."""
    return {"chapter": chapter_key(notebook), "code": code_key(), "data": data_key(names)}


def stale(stored: dict, now: dict) -> list[str]:
    """The reasons, in words, why outputs stamped ``stored`` do not belong to the keys ``now``."""
    if not stored:
        return ["it was never executed"]
    reasons = []
    if stored.get("chapter") != now["chapter"]:
        reasons.append("its code cells changed")
    if stored.get("code") != now["code"]:
        reasons.append("the code of benchpred_utils changed")
    if stored.get("data") != now["data"]:
        reasons.append("its data changed")
    return reasons


def stored_state(name: str) -> list[str]:
    """The reasons why the stored outputs of chapter ``name`` are stale; an empty list when they are not."""
    import pairs

    chapter = pairs.read_chapter(name)
    if not pairs.stored_path(name).exists():
        return ["it was never executed"]
    stored = nbformat.read(pairs.stored_path(name), as_version=4)
    return stale(stored.metadata.get(STAMP, {}), stamp(chapter, pairs.declared_data(chapter)))
