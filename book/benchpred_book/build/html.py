"""Build the pages from the stored outputs, with every warning an error."""

import subprocess
import sys
from pathlib import Path

from .. import repository
from .colab import write_cells

COMMAND = "from jupyter_book.cli.main import main; main()"
OPTIONS = ("--all", "-W", "-n", "--keep-going", "--quiet")


def build() -> Path:
    """Build into ``_build/html``; returns the path of the first page. Raises CalledProcessError."""
    root = repository.root()
    words = [sys.executable, "-c", COMMAND, "build", str(root), *OPTIONS]
    subprocess.run(words, cwd=root, check=True)
    pages = root / "_build" / "html"
    write_cells(pages / "_sources" / "notebooks")
    return pages / "index.html"
