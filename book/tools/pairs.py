"""Chapters and their pairs: ``notebooks/NAME.md`` is what people write, ``NAME.ipynb`` is what was executed from it."""

import hashlib
import os
from pathlib import Path

import jupytext
import launch
import nbformat
import yaml
from jupytext.combine import combine_inputs_with_outputs
from jupytext.config import load_jupytext_config
from keys import CHAPTERS_DECLARATION, DECLARATION, NOTEBOOKS, ROOT, RUNS_DECLARATION, STAMP

SETTINGS = ROOT  # the folder whose pyproject.toml holds the settings of jupytext
# What the two files share of a notebook's and of a cell's metadata (as in [tool.jupytext] of pyproject.toml).
SHARED_HEADER = ("kernelspec", "jupytext", DECLARATION, RUNS_DECLARATION, CHAPTERS_DECLARATION)
SHARED = ("tags", "mystnb")


def chapter_names() -> list[str]:
    """The chapters that have code, in the order of the table of contents."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    return [Path(page).name for page in _pages(toc) if page.startswith("notebooks/")]


def _pages(toc):
    """Every page of a table of contents, root first."""
    for key in ("root", "file"):
        if key in toc:
            yield toc[key]
    for key in ("parts", "chapters", "sections"):
        for entry in toc.get(key, []):
            yield from _pages(entry)


def source_path(name: str) -> Path:
    return NOTEBOOKS / f"{name}.md"


def stored_path(name: str) -> Path:
    return NOTEBOOKS / f"{name}.ipynb"


def read_chapter(name: str):
    """The chapter as written: a notebook without outputs."""
    if not source_path(name).exists():
        raise SystemExit(
            f"_toc.yml names the chapter {name!r}, but there is no notebooks/{name}.md"
        )
    return _identified(jupytext.read(source_path(name)))


def read_stored(name: str):
    """The chapter as it was last executed (without the cell for Colab), or None."""
    path = stored_path(name)
    return launch.without_cell(nbformat.read(path, as_version=4)) if path.exists() else None


def declared_data(notebook) -> list[str]:
    """The names of the data sets that a chapter loads."""
    return list(notebook.metadata.get(DECLARATION) or [])


def declared_runs(notebook) -> list[str]:
    """The names of the stored runs that a chapter takes its tables from."""
    return list(notebook.metadata.get(RUNS_DECLARATION) or [])


def declared_chapters(notebook) -> list[str]:
    """The names of the chapters whose glued texts a chapter takes: they are executed before it."""
    return list(notebook.metadata.get(CHAPTERS_DECLARATION) or [])


def synced(name: str):
    """The chapter as written, with the stored outputs of the cells that did not change."""
    chapter, stored = read_chapter(name), read_stored(name)
    if stored is None:
        return tidy(chapter)
    stamp = stored.metadata.get(STAMP)
    chapter = tidy(combine_inputs_with_outputs(chapter, stored, "md:myst"))
    if stamp:
        chapter.metadata[STAMP] = stamp
    return chapter


def tidy(notebook):
    """The notebook with nothing in it that changes from one execution to the next, or from machine to machine."""
    kept = {key: notebook.metadata[key] for key in SHARED_HEADER if key in notebook.metadata}
    kept["language_info"] = {"name": "python", "pygments_lexer": "ipython3"}
    notebook.metadata = nbformat.from_dict(kept)
    notebook.metadata.get("jupytext", {}).pop("text_representation", None)
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict(
            {key: cell.metadata[key] for key in SHARED if key in cell.metadata}
        )
    return _identified(notebook)


def _identified(notebook):
    """Give every cell the id that its content says: jupytext makes random ones, which would differ in every run."""
    seen = {}
    notebook.nbformat_minor = 5
    for cell in notebook.cells:
        digest = hashlib.sha256(f"{cell.cell_type}\0{cell.source}".encode()).hexdigest()[:8]
        seen[digest] = seen.get(digest, 0) + 1
        cell["id"] = digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"
    return notebook


def write_stored(name: str, notebook) -> bool:
    """Replace the stored notebook in one step, if it is another one; say whether it was.

    It gets the cell that fetches the book on Colab, and the time of the written one, so that Jupyter sees the pair in
    step.
    """
    path, partial = stored_path(name), NOTEBOOKS / f".{name}.ipynb.partial"
    notebook = launch.with_cell(notebook, ROOT / "_config.yml")
    nbformat.validate(notebook)
    text = nbformat.writes(notebook) + "\n"
    changed = not path.exists() or path.read_text(encoding="utf-8") != text
    if changed:
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, path)
    written = source_path(name).stat()
    os.utime(path, ns=(written.st_atime_ns, written.st_mtime_ns))
    return changed


def remove_partial_files() -> None:
    """Remove what a run that was killed while writing has left."""
    for partial in NOTEBOOKS.glob(".*.partial"):
        partial.unlink()


def canonical(name: str) -> str:
    """The text of the written chapter as jupytext writes it, and so Jupyter on saving."""
    style = {"extension": ".md", "format_name": "myst"}
    load_jupytext_config(str(SETTINGS)).set_default_format_options(style)
    return jupytext.writes(jupytext.read(source_path(name)), style)


def format_source(name: str) -> bool:
    """Give the written chapter its canonical form; say whether that changed it."""
    old, new = source_path(name).read_text(encoding="utf-8"), canonical(name)
    if new != old:
        source_path(name).write_text(new, encoding="utf-8")
    return new != old


def contents(notebook) -> list[tuple]:
    """What the two files of a pair must share, cell by cell: kind, text and shared metadata."""
    return [
        (
            cell.cell_type,
            cell.source.strip(),
            {key: cell.metadata[key] for key in SHARED if key in cell.metadata},
        )
        for cell in notebook.cells
    ]


def in_step(name: str) -> bool:
    """Whether the stored notebook holds the prose, the code and the declared data of the written chapter."""
    chapter, stored = read_chapter(name), read_stored(name)
    return (
        stored is not None
        and contents(chapter) == contents(stored)
        and declared_data(chapter) == declared_data(stored)
    )
