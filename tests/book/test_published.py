"""What is published: the tree, the workflow, citation, terms, address, the cell for Colab."""

import os
import re
import shutil
import subprocess
import sys
import tomllib

import nbformat
import pytest
import yaml
from benchpred_book import repository
from benchpred_book.build import colab, pairs

import benchpred_utils as bp
from benchpred_utils import data

ROOT = repository.root()
CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text())
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
WORKFLOW = (ROOT / ".github" / "workflows" / "book.yml").read_text()
JOBS = yaml.safe_load(WORKFLOW)["jobs"]
needs_git = pytest.mark.skipif(not shutil.which("git"), reason="needs git")

# The tree

TOP = {
    ".ci", ".github", ".gitignore", "CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "LICENSE",
    "LICENSE-TEXT", "Makefile", "README.md", "_config.yml", "_toc.yml", "benchpred_utils", "book",
    "constraints.txt", "environment.yml", "notebooks", "postBuild", "pyproject.toml", "tests",
}  # fmt: skip
LEFT_OVER = re.compile(
    r"\.(whl|tar|gz|tgz|bz2|xz|zip|7z|egg|jbl|pkl|pyc|orig|rej|bak|tmp|partial|swp|log)$"
    r"|~$|(^|/)(__pycache__|\.ipynb_checkpoints|[^/]*\.egg-info|\.DS_Store)(/|$)"
)


@needs_git
def test_no_wheel_archive_or_leftover_is_tracked():
    tracked = repository.git("ls-files").splitlines()
    assert {path.split("/")[0] for path in tracked} <= TOP
    assert [path for path in tracked if LEFT_OVER.search(path)] == []
    for path in ("nothing-0.0.3-py2.py3-none-any.whl", "book/a.zip", "a/__pycache__/b", "x.md~"):
        assert LEFT_OVER.search(path)


# The workflow


def test_actions_are_pinned_to_a_commit():
    used = re.findall(r"uses: (\S+)(.*)", WORKFLOW)
    assert used
    for action, comment in used:
        assert re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}", action), action
        assert re.match(r" # v\d+\.\d+\.\d+\b", comment), f"{action}: the comment says no version"


def test_the_workflow_has_the_least_permissions_and_publishes_what_was_tested():
    assert yaml.safe_load(WORKFLOW)["permissions"] == {}
    assert {name: job["permissions"] for name, job in JOBS.items()} == {
        "test": {"contents": "read"},
        "book": {"contents": "read"},
        "publish": {"pages": "write", "id-token": "write"},
        "copies": {"contents": "write"},
        "release": {"contents": "write"},
    }
    for name in ("publish", "copies", "release"):
        assert set(JOBS[name]["needs"]) == {"test", "book"}
    for name in ("publish", "copies"):
        assert "refs/heads/main" in JOBS[name]["if"] and "pull_request" in JOBS[name]["if"]
    assert "refs/tags/v" in JOBS["release"]["if"]


def test_the_commands_of_the_workflow_and_the_documents_are_targets_of_make():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    documents = [(ROOT / name).read_text() for name in ("README.md", "CONTRIBUTING.md", ".ci/run")]
    for text in [WORKFLOW, *documents]:
        named = re.findall(r"(?:^|run: |`)make ([a-z-]+)", text, re.MULTILINE)
        assert named and set(named) <= targets


# Citation and terms


def test_the_citation_says_what_the_project_says():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == PROJECT["version"] == bp.__version__
    assert (citation["license"], citation["title"]) == (PROJECT["license"], CONFIG["title"])
    assert citation["cff-version"] == "1.2.0" and citation["message"] and citation["authors"]


def test_every_data_set_is_named_with_its_licence_and_address():
    text = (ROOT / "book" / "pages" / "data_terms.md").read_text()
    assert [name for name in bp.DATASETS if f"`{name}`" not in text] == []
    lines = [line for line in text.splitlines() if line.startswith("| [")]
    rows = {line.split("](")[1].split(")")[0]: line for line in lines}
    entries = {entry["url"]: entry for name in bp.DATASETS for entry in data.files(name)}
    assert set(rows) == set(entries)
    for url, row in rows.items():
        entry = entries[url]
        users = ", ".join(f"`{name}`" for name in bp.DATASETS if entry in data.files(name))
        cells = [cell.strip() for cell in row.strip("| ").split(" | ")]
        size = f"{entry['bytes'] / 1e6:.1f} MB"
        assert cells[1:] == [users, entry["what"], size, entry["licence"]]


# The repository's address


@pytest.mark.parametrize(
    ("remote", "address"),
    [
        ("https://github.com/somebody/a-book.git", "https://github.com/somebody/a-book"),
        ("https://user:secret@github.com/somebody/a-book", "https://github.com/somebody/a-book"),
        ("git@github.com:somebody/a.book.git", "https://github.com/somebody/a.book"),
        ("ssh://git@example.org/somebody/a-book.git", "https://example.org/somebody/a-book"),
        ("/srv/git/a-book.git", None),
        ("file:///srv/git/a-book", None),
        ("../a-book", None),
        ("", None),
    ],
)
def test_the_address_is_that_of_the_remote(monkeypatch, remote, address):
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)
    monkeypatch.setattr(repository, "git", lambda *words: remote)
    assert repository.address() == address


def test_the_address_is_that_of_the_building_repository(monkeypatch):
    monkeypatch.setenv("GITHUB_REPOSITORY", "somebody/a-fork")
    monkeypatch.setenv("GITHUB_SERVER_URL", "https://github.example.org")
    assert repository.address() == "https://github.example.org/somebody/a-fork"


@needs_git
def test_no_file_names_an_address_of_the_repository():
    tracked = [ROOT / path for path in repository.git("ls-files").splitlines()]
    texts = [path for path in tracked if path.suffix not in (".npz", ".npy")]
    invented = "benchpred-book/" + "benchpred-book"
    assert [path.name for path in texts if invented in path.read_text(errors="ignore")] == []


def test_outside_a_repository_one_sentence_says_what_to_do(tmp_path):
    shutil.copytree(ROOT / "book" / "benchpred_book", tmp_path / "benchpred_book")
    script = "from benchpred_book import repository; repository.root()"
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    environment.pop("BENCHPRED_BOOK", None)
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert "name its folder in the environment variable BENCHPRED_BOOK" in done.stderr


# The cell for Colab

COLAB = """\
import os, sys, types
if {colab}:
    sys.modules["google.colab"] = types.ModuleType("google.colab")
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
installed = []
shell.register_magic_function(installed.append, magic_name="pip")
for _ in range(2):  # a second time it fetches nothing
    shell.run_cell({cell!r}).raise_error()
print(os.getcwd(), installed, sep="\\n")
"""


def run_cell(cell, folder, colab):
    """Run the cell as on Colab, but for pip, which is only recorded; what it printed at the end."""
    command = [sys.executable, "-c", COLAB.format(cell=cell, colab=colab)]
    environment = os.environ | {"IPYTHONDIR": str(folder)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip().splitlines()[-2:]


@needs_git
def test_on_colab_the_cell_fetches_the_commit_it_was_built_from(tmp_path):
    origin = tmp_path / "origin"
    (origin / "notebooks").mkdir(parents=True)
    (origin / "notebooks" / "one.md").write_text("as it was built")
    identity = "-c user.name=a -c user.email=a@example.org"
    commands = f"git init -q && git add . && git {identity} commit -qm a && git rev-parse HEAD"
    shell = {"shell": True, "cwd": origin, "check": True, "capture_output": True, "text": True}
    commit = subprocess.run(commands, **shell).stdout.strip()
    (origin / "notebooks" / "one.md").write_text("as another made it")
    subprocess.run(f"git {identity} commit -qam b", **shell)
    folder = tmp_path / "content" / "book"
    folder.parent.mkdir()
    cell = colab.source(origin.as_uri(), commit, str(folder))
    place, installed = run_cell(cell, folder.parent, colab=True)
    assert place == str(folder / "notebooks")
    assert (folder / "notebooks" / "one.md").read_text() == "as it was built"
    assert installed == str([f'install --quiet "{folder}[colab]"'] * 2)


def test_elsewhere_the_cell_does_nothing(tmp_path):
    cell = colab.source("https://example.org/a/b", "0" * 40, str(tmp_path / "book"))
    place, installed = run_cell(cell, tmp_path, colab=False)
    assert (place, installed) == (str(tmp_path), "[]") and not (tmp_path / "book").exists()


def test_the_cell_is_written_where_there_is_an_address_and_only_there(tmp_path, monkeypatch):
    path = tmp_path / "one.ipynb"
    notebook = pairs.read_chapter("index")
    nbformat.write(notebook, path)
    monkeypatch.setattr(repository, "address", lambda: None)
    colab.write_cells(tmp_path)
    assert nbformat.read(path, as_version=4).cells == notebook.cells
    monkeypatch.setattr(repository, "address", lambda: "https://example.org/a/b")
    monkeypatch.setattr(repository, "commit", lambda: "0123abc")
    colab.write_cells(tmp_path)
    code = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert "git clone --quiet https://example.org/a/b" in code[0].source
    assert "checkout --quiet 0123abc" in code[0].source


@pytest.mark.parametrize("name", pairs.chapter_names())
def test_no_notebook_of_the_repository_holds_the_cell(name):
    assert "google.colab" not in pairs.stored_path(name).read_text(encoding="utf-8")
