"""Where the book's repository lies, on this machine and for its readers."""

import os
import re
import subprocess
from pathlib import Path

__all__ = ["address", "commit", "pages", "root"]

# https://host/owner/name, ssh://git@host/owner/name and git@host:owner/name, with or without .git
REMOTE = re.compile(
    r"(?:https://|ssh://|(?=[\w.-]+@))(?:[^@/]+@)?"
    r"([\w-]+\.[\w.-]+)[:/]([\w.-]+/[\w.-]+?)(?:\.git)?/?"
)


def root():
    """The folder of the repository: named by BENCHPRED_BOOK, else at or above the working folder.

    In an editable installation it is else where this file lies.
    Raises FileNotFoundError where there is none.
    """
    start = Path(os.environ.get("BENCHPRED_BOOK", ".")).resolve()
    for folder in (start, *start.parents, *Path(__file__).parents):
        if (folder / "_config.yml").is_file() and (folder / "book").is_dir():
            return folder
    raise FileNotFoundError(
        f"The book's repository is not at or above {start}: work in a clone of it, or name its "
        "folder in the environment variable BENCHPRED_BOOK."
    )


def address():
    """The address of the repository for readers, https://HOST/OWNER/NAME, or None if it has none.

    It is that of the repository which builds the book: GITHUB_REPOSITORY's, else the git remote's.
    """
    name = os.environ.get("GITHUB_REPOSITORY")
    if name:
        return f"{os.environ.get('GITHUB_SERVER_URL', 'https://github.com')}/{name}"
    remote = REMOTE.fullmatch(git("remote", "get-url", "origin"))
    return f"https://{remote[1]}/{remote[2]}" if remote else None


def pages():
    """The address at which GitHub publishes the pages, with a slash at its end, or None."""
    host, _, name = (address() or "").removeprefix("https://").partition("/")
    owner, _, name = name.partition("/")
    return f"https://{owner.lower()}.github.io/{name}/" if host == "github.com" else None


def commit():
    """The commit that is checked out, or "" outside git."""
    return git("rev-parse", "HEAD")


def git(*words):
    """What a git command prints in the repository, or "" where it fails."""
    try:
        done = subprocess.run(["git", *words], cwd=root(), capture_output=True, text=True)
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
