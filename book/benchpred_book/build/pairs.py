"""A chapter's two files: people write ``NAME.md``, ``NAME.ipynb`` is what was executed from it."""

import hashlib
import os
from pathlib import Path

import jupytext
import nbformat
import yaml
from jupytext.combine import combine_inputs_with_outputs
from jupytext.config import load_jupytext_config

from .. import expressions, repository

STAMP = "benchpred"  # the entry of a stored notebook's metadata that holds its stamp
DECLARATIONS = ("data", "runs", "chapters", "code")  # of the front matter, as benchpred_data
# What the two files share of a notebook's and of a cell's metadata (as in [tool.jupytext]).
HEADER = ("kernelspec", "jupytext", *(f"benchpred_{part}" for part in DECLARATIONS))
CELL = ("tags", "mystnb")


def chapter_names() -> list[str]:
    """The chapters that have code, in the order of the table of contents."""
    return [Path(page).name for page in pages() if page.startswith("notebooks/")]


def pages() -> list[str]:
    """Every page of the book, the first one first."""
    contents = yaml.safe_load((repository.root() / "_toc.yml").read_text(encoding="utf-8"))
    parts = contents.get("parts", [])
    return [contents["root"], *(page["file"] for part in parts for page in part["chapters"])]


def source_path(name: str) -> Path:
    return repository.root() / "notebooks" / f"{name}.md"


def stored_path(name: str) -> Path:
    return source_path(name).with_suffix(".ipynb")


def read_chapter(name: str):
    """The chapter as written: a notebook without outputs."""
    return _identified(jupytext.read(source_path(name)))


def read_stored(name: str):
    """The chapter as it was last executed, or None."""
    path = stored_path(name)
    return nbformat.read(path, as_version=4) if path.exists() else None


def read_committed(name: str):
    """The chapter as it is committed, or None."""
    text = repository.git("show", f"HEAD:notebooks/{name}.ipynb")
    return nbformat.reads(text, as_version=4) if text else None


def declared(notebook, what: str) -> list[str]:
    """What a chapter declares: the data, stored runs or chapters it takes, the code it calls."""
    return list(notebook.metadata.get(f"benchpred_{what}") or [])


def code_of(notebook) -> str:
    """The code cells of a notebook, one after the other."""
    return "\n\n".join(cell.source.strip() for cell in notebook.cells if cell.cell_type == "code")


def synced(name: str):
    """The chapter as written, with the stored outputs of the cells that did not change."""
    chapter = read_chapter(name)
    stored = read_stored(name)
    if stored:
        stamp = stored.metadata.get(STAMP, {})
        chapter = combine_inputs_with_outputs(chapter, stored, "md:myst")
        chapter.metadata[STAMP] = stamp
        expressions.keep(chapter, expressions.known(stored.cells))
    return tidy(chapter)


def tidy(notebook):
    """The notebook without what changes from one execution, or one machine, to the next."""
    _keep(notebook, (*HEADER, STAMP))
    notebook.metadata["language_info"] = {"name": "python", "pygments_lexer": "ipython3"}
    notebook.metadata.get("jupytext", {}).pop("text_representation", None)
    for cell in notebook.cells:
        _keep(cell, (*CELL, expressions.STORED))
    return _identified(notebook)


def _keep(holder, names):
    kept = {name: holder.metadata[name] for name in names if name in holder.metadata}
    holder.metadata = nbformat.from_dict(kept)


def _identified(notebook):
    """Give every cell the id that its content says: jupytext makes new random ones each time."""
    seen = {}
    notebook.nbformat_minor = 5
    for cell in notebook.cells:
        content = f"{cell.cell_type}\0{cell.source}".encode()
        digest = hashlib.sha256(content).hexdigest()[:8]
        seen[digest] = seen.get(digest, 0) + 1
        cell["id"] = digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"
    return notebook


def write_stored(name: str, notebook) -> bool:
    """Replace the stored notebook in one step, if it is another one; say whether it was.

    It gets the time of the written one, so that Jupyter sees the pair in step.
    """
    path = stored_path(name)
    nbformat.validate(notebook)
    changed = write(path, nbformat.writes(notebook) + "\n")
    written = source_path(name).stat()
    os.utime(path, ns=(written.st_atime_ns, written.st_mtime_ns))
    return changed


def write(path: Path, text: str) -> bool:
    """Write a file in one step, if it would be another one; say whether it is."""
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return False
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
    return True


def canonical(name: str) -> str:
    """The text of the written chapter as jupytext writes it, and so Jupyter on saving."""
    style = {"extension": ".md", "format_name": "myst"}
    load_jupytext_config(str(source_path(name))).set_default_format_options(style)
    return jupytext.writes(jupytext.read(source_path(name)), style)


def contents(notebook) -> list[tuple]:
    """What the two files must share: declarations, and each cell's kind, text and metadata."""
    cells = [
        (cell.cell_type, cell.source.strip(), {key: cell.metadata.get(key) for key in CELL})
        for cell in notebook.cells
    ]
    return [{what: declared(notebook, what) for what in DECLARATIONS}, *cells]
