"""The cell that makes a stored notebook run on Google Colab, where nothing of the book is installed.

It stands in the stored ``.ipynb`` only, before the first code cell: not in the written chapter, nor in the page.
Jupyter does not show it either, for it takes the cells of a paired notebook from the ``.md``.
"""

from pathlib import Path

import nbformat
import yaml

CELL_ID = "colab"
FOLDER = "/content/benchpred-book"  # Colab's working folder is /content
SOURCE = """\
# Google Colab has nothing of this book: fetch it, and what it needs (once, a minute or two). Elsewhere this does nothing.
import sys

if "google.colab" in sys.modules:
    !test -d {folder} || git clone --quiet --depth 1 --branch {branch} {address} {folder}
    %pip install --quiet "{folder}[colab]"
    %cd -q {folder}/notebooks
    sys.path.insert(0, "{folder}")"""


def source(address: str, branch: str, folder: str = FOLDER) -> str:
    """The code that fetches the repository at ``address``, and makes its package and its stored runs found."""
    return SOURCE.format(address=address, branch=branch, folder=folder)


def without_cell(notebook):
    """The notebook without the cell; the same object."""
    notebook.cells = [cell for cell in notebook.cells if cell.get("id") != CELL_ID]
    return notebook


def with_cell(notebook, config: Path):
    """A copy of the notebook with the cell, for the repository that the book's ``_config.yml`` names, if it does."""
    notebook = without_cell(nbformat.from_dict(notebook))
    repository = (
        yaml.safe_load(config.read_text(encoding="utf-8")).get("repository")
        if config.exists()
        else None
    )
    code = [place for place, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
    if repository and code:
        text = source(repository["url"], repository["branch"])
        cell = nbformat.v4.new_code_cell(text, id=CELL_ID, metadata={"tags": ["remove-cell"]})
        notebook.cells.insert(code[0], cell)
    return notebook
