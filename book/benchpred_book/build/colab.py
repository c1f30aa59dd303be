"""The cell that makes a published notebook run on Google Colab.

Nothing of the book is installed there.  The cell is written into the notebooks that readers take
from the pages, never into those of the repository, and fetches the very commit that they were built
from: a branch would be whatever its owner makes of it later.
"""

from pathlib import Path

import nbformat

from .. import repository

SOURCE = """\
# Google Colab has nothing of this book: fetch it, and what it needs (once, a minute or two).
import sys

if "google.colab" in sys.modules:
    !test -d {folder} || git clone --quiet {address} {folder}
    !git -C {folder} checkout --quiet {commit}
    %pip install --quiet "{folder}[colab]"
    %cd -q {folder}/notebooks"""


def source(address: str, commit: str, folder: str = "/content/benchpred-book") -> str:
    """The code that fetches a commit of the repository at `address`, and installs its packages."""
    return SOURCE.format(address=address, commit=commit, folder=folder)


def write_cells(folder: Path) -> None:
    """Put the cell into every notebook of a folder, where the repository has an address."""
    address = repository.address()
    commit = repository.commit()
    for path in folder.glob("*.ipynb") if address and commit else ():
        notebook = nbformat.read(path, as_version=4)
        kinds = [cell.cell_type for cell in notebook.cells]
        cell = nbformat.v4.new_code_cell(source(address, commit), id="colab")
        notebook.cells.insert(kinds.index("code"), cell)
        nbformat.write(notebook, path)
