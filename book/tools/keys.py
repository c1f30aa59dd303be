"""Keys that tell whether a stored output still belongs to its chapter, code and data.

A stored notebook carries in its metadata
``benchpred: {chapter: <key>, code: <key>, data: {<file>: <sha256>}, runs: {<run>: <key>}, chapters: {<name>: <key>}}``;
it is stale as soon as one of them no longer equals what the working tree holds.
"""

import hashlib
from functools import cache
from pathlib import Path

import nbformat

from benchpred_utils import runs
from benchpred_utils.keys import code_key

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = ROOT / "notebooks"
STAMP = "benchpred"  # the name of the entry in the notebook's metadata
DECLARATION = (
    "benchpred_data"  # the entry of the front matter that lists the data sets of a chapter
)
RUNS_DECLARATION = (
    "benchpred_runs"  # and the one that lists the stored runs it takes its tables from
)
CHAPTERS_DECLARATION = (
    "benchpred_chapters"  # and the one that lists the chapters whose glued texts it takes
)


def chapter_key(notebook) -> str:
    """The sha256 of the code cells of a notebook, in their order."""
    digest = hashlib.sha256()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            digest.update(cell.source.strip().encode() + b"\0")
    return digest.hexdigest()


@cache
def package_key() -> str:
    """The key of the package's code, as it was when first asked for: before the first chapter is executed."""
    return code_key()


def runs_key(names) -> dict[str, str]:
    """The sha256 of the tables of each stored run."""
    keys = {}
    for name in names:
        digest = hashlib.sha256()
        for path in sorted((runs.FOLDER / name).glob("*.csv")):
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
        keys[name] = digest.hexdigest()
    return keys


def chapters_key(names) -> dict[str, str]:
    """The sha256 of the texts that each executed chapter has glued."""
    return {
        name: hashlib.sha256(repr(sorted(runs.glued(name, NOTEBOOKS).items())).encode()).hexdigest()
        for name in names
    }


def stamp(notebook) -> dict:
    """The keys that a notebook has now."""
    declared = lambda what: list(notebook.metadata.get(what) or [])
    keys = {
        "chapter": chapter_key(notebook),
        "code": package_key(),
        "data": runs.data_key(declared(DECLARATION)),
    }
    more = {
        "runs": runs_key(declared(RUNS_DECLARATION)),
        "chapters": chapters_key(declared(CHAPTERS_DECLARATION)),
    }
    return keys | {part: key for part, key in more.items() if key}


def stale(stored: dict, now: dict) -> list[str]:
    """The reasons, in words, why outputs stamped ``stored`` do not belong to the keys ``now``."""
    if not stored:
        return ["it was never executed"]
    changed = {
        "chapter": "its code cells changed",
        "code": "the code of benchpred_utils changed",
        "data": "its data changed",
        "runs": "its stored runs changed",
        "chapters": "the chapters that it takes texts from changed",
    }
    return [reason for part, reason in changed.items() if stored.get(part) != now.get(part)]


def stored_state(name: str) -> list[str]:
    """The reasons why the stored outputs of chapter ``name`` are stale; an empty list when they are not."""
    import pairs

    chapter = pairs.read_chapter(name)
    if not pairs.stored_path(name).exists():
        return ["it was never executed"]
    stored = nbformat.read(pairs.stored_path(name), as_version=4)
    return stale(stored.metadata.get(STAMP, {}), stamp(chapter))
