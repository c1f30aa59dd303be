"""Build the pages from the stored outputs, with every warning an error."""

import shutil
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
    pages, copies = root / "_build" / "html", root / "_build" / "plain"
    shutil.rmtree(copies, ignore_errors=True)
    subprocess.run(words, cwd=root, check=True)
    write_cells(copies)
    shutil.copytree(copies, pages / "_sources" / "notebooks", dirs_exist_ok=True)  # to download
    return pages / "index.html"
