"""Stamps: whether stored outputs still belong to their chapter, its code and its data.

A stored notebook carries in its metadata ``benchpred: {chapter, code, data, runs, chapters}``, each
a key or a dict of keys; it is stale as soon as one is no longer what the working tree holds.
"""

import hashlib
from pathlib import Path

from .. import code, expressions, runs
from . import pairs

REASONS = {
    "chapter": "its code cells changed",
    "code": "the code that it imports changed",
    "data": "its data changed",
    "runs": "its stored runs changed",
    "chapters": "the chapters that it takes texts from changed",
}


def stamp(notebook) -> dict:
    """The keys that a notebook has now."""
    source = pairs.code_of(notebook)
    declared = pairs.declared(notebook, "code")
    modules = [f"benchpred_utils.{module}" for module in declared]
    tables = {
        name: sorted(runs.folder(name).glob("*.csv")) for name in pairs.declared(notebook, "runs")
    }
    texts = {name: runs.glued(name) for name in pairs.declared(notebook, "chapters")}
    return {
        "chapter": _sha256(source.encode()),
        "code": code.key(code.reached(source, modules)),
        "data": runs.data_key(pairs.declared(notebook, "data")),
        "runs": {name: _sha256(*map(Path.read_bytes, paths)) for name, paths in tables.items()},
        "chapters": {
            name: _sha256(repr(sorted(found.items())).encode()) for name, found in texts.items()
        },
    }


def stale(name: str) -> list[str]:
    """The reasons, in words, why the stored outputs of a chapter are stale; [] if they are not."""
    stored = pairs.read_stored(name)
    before = stored.metadata.get(pairs.STAMP) if stored else None
    if not before:
        return ["it was never executed"]
    chapter = pairs.read_chapter(name)
    now = stamp(chapter)
    reasons = [reason for part, reason in REASONS.items() if before.get(part) != now[part]]
    values = expressions.known(stored.cells)
    if any(name not in values for cell in chapter.cells for name in expressions.asked(cell)):
        reasons.append("its prose asks for values that were not computed")
    return reasons


def _sha256(*contents) -> str:
    return hashlib.sha256(b"\0".join(contents)).hexdigest()
