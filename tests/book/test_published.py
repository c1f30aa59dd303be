"""What is published: the workflow, the launch buttons and Colab, citation and terms, and the pages on paper."""

import ast
import importlib.metadata
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import tomllib
from functools import cache
from pathlib import Path

import nbformat
import pytest
import yaml
from packaging.requirements import Requirement

import benchpred_utils as bp
from benchpred_utils import data

pytest.importorskip("jupyter_book")
import browser
import launch
import pairs
from test_book import page_names

ROOT = Path(__file__).resolve().parents[1]
CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text())
REPOSITORY, BRANCH = CONFIG["repository"]["url"], CONFIG["repository"]["branch"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
DOCUMENTS = ["README.md", "CONTRIBUTING.md"]
MAX_PAGE_BYTES = 1_500_000


def make_targets():
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


# Commands that documents and workflows name


def commands_of(text):
    """The command lines of a document: those of its fenced blocks without a language, and those in backquotes."""
    fence = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
    lines = [
        line
        for language, block in fence.findall(text)
        if not language
        for line in block.splitlines()
    ]
    inline = re.findall(r"`((?:make|python|\.venv/bin/\w+) [^`]+)`", fence.sub("", text))
    return [line.split("#")[0].strip() for line in lines + inline if line.strip()]


def names_of_tests():
    """The names that a pattern of pytest's -k is looked for in: of the files of tests, and of their functions."""
    files = sorted((ROOT / "tests").glob("test_*.py"))
    return {path.name for path in files}.union(
        *(re.findall(r"^def (test_\w+)", f.read_text(), re.MULTILINE) for f in files)
    )


def faults_of(command):
    """Why a command can't work in a fresh clone: a target of make, a script, a module or tests that are not there."""
    program, *words = shlex.split(command)
    if program == "make":
        targets = [word for word in words if "=" not in word]
        faults = [f"make has no {target}" for target in targets if target not in make_targets()]
        for first, *rest in (
            shlex.split(word.removeprefix("ARGS=")) for word in words if word.startswith("ARGS=")
        ):
            if first == "-k":
                faults += (
                    [f"no tests of {rest[0]}"]
                    if sum(rest[0] in name for name in names_of_tests()) < 2
                    else []
                )
            elif first[0] != "-":
                faults += (
                    [f"no {first}"]
                    if first not in bp.protocols.RUNS and not (ROOT / first).exists()
                    else []
                )
        return faults
    if Path(program).name == "python" and words[0] == "-m":
        return [] if (ROOT / words[1] / "__main__.py").exists() else [f"no module {words[1]}"]
    if Path(program).name == "python":
        return [] if (ROOT / words[0]).is_file() else [f"no {words[0]}"]
    if program in ("zip", "gh", "git", "pip"):
        return []
    return [f"unknown: {program}"]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_commands_of_the_documents_exist(document):
    commands = commands_of((ROOT / document).read_text())
    assert len(commands) > 4
    assert {command: faults for command in commands if (faults := faults_of(command))} == {}


@pytest.mark.parametrize("document", [*DOCUMENTS, "CHANGELOG.md", "book/data_terms.md"])
def test_the_files_that_the_documents_name_exist(document):
    text = (ROOT / document).read_text()
    named = re.findall(r"`((?:[\w.-]+/)*[\w.-]+(?:/|\.(?:py|md|yml|toml|txt|json|cff)))`", text)
    built = ("_build/", "session.json")
    missing = [
        path
        for path in named
        if path not in built and "NAME" not in path and not (ROOT / path).exists()
    ]
    assert missing == []


@pytest.mark.parametrize(
    ("command", "fault"),
    [
        ("make boook", "make has no boook"),
        ('make test ARGS="tests/test_nothing.py"', "no tests/test_nothing.py"),
        ('make test ARGS="-k nothing_at_all_like_it"', "no tests of nothing_at_all_like_it"),
        ("python book/tools/nothing.py", "no book/tools/nothing.py"),
        ("python -m nothing", "no module nothing"),
    ],
)
def test_a_command_that_cannot_work_is_found(command, fault):
    assert faults_of(command) == [fault]


# The workflow


def workflow(path):
    """The workflow as GitHub reads it (YAML 1.1 takes the word `on` for true)."""
    content = yaml.safe_load(path.read_text())
    return content | {"on": content.pop(True)}


def steps_of(path):
    return [step for job in workflow(path)["jobs"].values() for step in job["steps"]]


def test_there_is_a_workflow():
    assert [path.name for path in WORKFLOWS] == ["book.yml"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_to_a_commit(path):
    used = re.findall(r"uses: (\S+)(.*)", path.read_text())
    assert used and len(used) == sum("uses" in step for step in steps_of(path))
    for action, comment in used:
        assert re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}", action), action
        assert re.match(r" # v\d+\.\d+\.\d+\b", comment), f"{action}: the comment says no version"
    assert len({action for action, _ in used}) == len({action.split("@")[0] for action, _ in used})


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_the_commands_of_the_workflow_exist(path):
    commands = [line for step in steps_of(path) for line in step.get("run", "").splitlines()]
    assert {"make test", "make book"} <= set(commands)
    assert {command: faults for command in commands if (faults := faults_of(command))} == {}


def test_the_workflow_publishes_main_only_and_what_was_tested():
    book = workflow(WORKFLOWS[0])
    assert set(book["on"]) == {"push", "pull_request", "workflow_dispatch"}
    assert book["on"]["push"]["branches"] == [BRANCH]
    for name in ("publish", "release"):
        assert set(book["jobs"][name]["needs"]) == {"test", "book"}
    assert (
        f"refs/heads/{BRANCH}" in book["jobs"]["publish"]["if"]
        and "pull_request" in book["jobs"]["publish"]["if"]
    )
    assert "refs/tags/v" in book["jobs"]["release"]["if"]


def test_the_workflow_has_the_least_permissions():
    book = workflow(WORKFLOWS[0])
    assert book["permissions"] == {}
    assert {name: job["permissions"] for name, job in book["jobs"].items()} == {
        "test": {"contents": "read"},
        "book": {"contents": "read"},
        "publish": {"pages": "write", "id-token": "write"},
        "release": {"contents": "write"},
    }
    checkouts = [
        step
        for step in steps_of(WORKFLOWS[0])
        if step.get("uses", "").startswith("actions/checkout")
    ]
    assert checkouts and all(step["with"]["persist-credentials"] is False for step in checkouts)


def test_the_workflow_keeps_pages_notebooks_and_data(monkeypatch):
    with_ = {
        step["uses"].split("@")[0]: step["with"]
        for step in steps_of(WORKFLOWS[0])
        if "with" in step
    }
    assert with_["actions/upload-pages-artifact"]["path"] == "_build/html"
    assert with_["actions/upload-artifact"]["path"] == "notebooks/*.ipynb"
    for name in re.findall(
        r"\S+\.(?:toml|txt)", with_["actions/setup-python"]["cache-dependency-path"]
    ):
        assert (ROOT / name).is_file()
    monkeypatch.setenv("XDG_CACHE_HOME", os.path.expanduser("~/.cache"))  # as on the runner
    assert Path(with_["actions/cache"]["path"]).expanduser() == Path(data._cache_folder())
    assert "benchpred_utils/facts/manifest.json" in with_["actions/cache"]["key"]


def test_no_package_host_is_named():
    files = [
        *WORKFLOWS,
        *(
            ROOT / name
            for name in [*DOCUMENTS, "CHANGELOG.md", "CITATION.cff", "book/data_terms.md"]
        ),
    ]
    host = re.compile(r"index-url|find-links|trusted-host|pypi\.|pythonhosted|anaconda\.org")
    assert [path.name for path in files if host.search(path.read_text())] == []


# Citation, changelog, terms


def test_the_citation_says_what_the_project_says():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == PROJECT["version"] == bp.__version__
    assert (citation["license"], citation["title"]) == (PROJECT["license"], CONFIG["title"])
    assert citation["repository-code"] == REPOSITORY
    assert citation["cff-version"] == "1.2.0" and citation["message"] and citation["authors"]


def test_the_citation_has_the_paper_as_the_bibliography_has_it():
    (paper,) = yaml.safe_load((ROOT / "CITATION.cff").read_text())["references"]
    entry = (
        (ROOT / "book" / "references.bib").read_text().split("{zhang2025how,")[1].split("\n}")[0]
    )
    field = lambda name: re.search(rf"^  {name} = {{(.*)}},$", entry, re.MULTILINE)[1]
    authors = [f"{author['family-names']}, {author['given-names']}" for author in paper["authors"]]
    assert (" and ".join(authors), paper["title"], str(paper["year"])) == tuple(
        map(field, ("author", "title", "year"))
    )


def faults_of_changelog(text, version):
    """What is not as Keep a Changelog has it, or as the version of the package wants it."""
    first, *rest = re.findall(r"^## (.+)$", text, re.MULTILINE)
    faults = [] if first == "[Unreleased]" else ["does not begin with what is not released"]
    faults += [
        line for line in rest if not re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d{2}-\d{2}", line)
    ]
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    faults += sorted(set(re.findall(r"^### (.+)$", text, re.MULTILINE)) - kinds)
    latest = rest[0] if rest else f"[{version}]"  # nothing is released yet
    return faults + (
        []
        if latest.startswith(f"[{version}]")
        else [f"the version is {version}, the latest {latest}"]
    )


def test_the_changelog_begins_with_what_is_not_released():
    assert faults_of_changelog((ROOT / "CHANGELOG.md").read_text(), PROJECT["version"]) == []
    released = "## [Unreleased]\n## [0.2.0] - 2026-12-01\n### Added\n"
    assert faults_of_changelog(released, "0.2.0") == []
    assert faults_of_changelog(released, "0.3.0") == [
        "the version is 0.3.0, the latest [0.2.0] - 2026-12-01"
    ]
    wrong = "## 0.2.0\n### News\n"
    assert faults_of_changelog(wrong, "0.2.0") == [
        "does not begin with what is not released",
        "News",
    ]


def test_every_data_set_is_named_with_its_licence_and_address():
    text = (ROOT / "book" / "data_terms.md").read_text()
    assert "(page-data-terms)=" in text
    assert [name for name in bp.DATASETS if f"`{name}`" not in text] == []
    rows = {
        line.split("](")[1].split(")")[0]: line
        for line in text.splitlines()
        if line.startswith("| [")
    }
    entries = {entry["url"]: entry for entry in data._manifest().values()}
    assert set(rows) == set(entries)
    for url, row in rows.items():
        entry, cells = entries[url], [cell.strip() for cell in row.strip("| ").split(" | ")]
        users = [name for name in bp.DATASETS if entry in data.files(name)]
        size = f"{entry['bytes'] / 1e6:.1f} MB"
        assert cells[1:] == [
            ", ".join(f"`{name}`" for name in users),
            entry["what"],
            size,
            entry["licence"],
        ]


# Binder and Colab


def test_the_launch_buttons_lead_to_the_notebooks(book):
    owner = REPOSITORY.removeprefix("https://github.com/")
    binder = f"https://mybinder.org/v2/gh/{owner}/{BRANCH}?urlpath=lab/tree/"
    colab = f"https://colab.research.google.com/github/{owner}/blob/{BRANCH}/"
    for name in pairs.chapter_names():
        page = (book / "notebooks" / f"{name}.html").read_text(encoding="utf-8")
        for service in (binder, colab):
            (path,) = set(re.findall(rf'href="{re.escape(service)}([^"]+)"', page))
            assert path == f"notebooks/{name}.ipynb" and (ROOT / path).is_file()


@pytest.mark.parametrize("name", pairs.chapter_names())
def test_a_stored_notebook_fetches_the_book_on_colab(name):
    """One cell, before the first of the chapter's own, with the address that _config.yml holds, and shown nowhere."""
    stored = nbformat.read(pairs.stored_path(name), as_version=4)
    first = next(cell for cell in stored.cells if cell.cell_type == "code")
    assert first.get("id") == launch.CELL_ID, "make html"
    assert first.source == launch.source(REPOSITORY, BRANCH), "the address has changed: make html"
    assert first.metadata == {"tags": ["remove-cell"]} and first.outputs == []
    assert [cell.get("id") for cell in stored.cells].count(launch.CELL_ID) == 1
    assert launch.CELL_ID not in [cell.get("id") for cell in pairs.read_stored(name).cells]


def test_the_cell_for_colab_is_not_in_the_page(book):
    pages = [book / "notebooks" / f"{name}.html" for name in pairs.chapter_names()]
    assert [page.name for page in pages if "google.colab" in page.read_text(encoding="utf-8")] == []


def test_the_cell_is_added_once_and_taken_out_again(tmp_path):
    config = tmp_path / "_config.yml"
    config.write_text("repository:\n  url: https://example.org/a/b\n  branch: trunk\n")
    notebook = pairs.read_chapter("index")
    twice = launch.with_cell(launch.with_cell(notebook, config), config)
    assert [cell.id for cell in twice.cells].count(launch.CELL_ID) == 1
    assert launch.without_cell(twice).cells == notebook.cells
    config.write_text("title: a book without a repository\n")
    assert launch.with_cell(notebook, config).cells == notebook.cells


distributions = cache(
    importlib.metadata.packages_distributions
)  # it reads every package's list of files


def packages_of(code):
    """The distributions that some code imports, but for those that it looks for before."""
    nodes = list(ast.walk(ast.parse(code)))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    names = {name.split(".")[0] for name in names} - set(re.findall(r'find_spec\("(\w+)"\)', code))
    known = distributions()
    return {
        known.get(name, [name])[0]
        for name in names - set(sys.stdlib_module_names) - {"benchpred_utils"}
    }


def test_on_colab_a_chapter_has_all_that_it_imports():
    """It has IPython; the rest is what the package needs, and the extra that the cell installs."""
    (extra,) = re.findall(r"{folder}\[(\w+)\]", launch.SOURCE)
    needed = PROJECT["dependencies"] + PROJECT["optional-dependencies"][extra]
    there = {Requirement(line).name for line in needed} | {"ipython"}
    cells = {name: pairs.read_chapter(name).cells for name in pairs.chapter_names()}
    code = {
        name: [cell.source for cell in found if cell.cell_type == "code"]
        for name, found in cells.items()
    }
    lacking = {name: set().union(*map(packages_of, code[name])) - there for name in code}
    assert {name: found for name, found in lacking.items() if found} == {}
    assert packages_of("import os, vl_convert\nfrom sklearn.cluster import KMeans") - there == {
        "vl-convert-python"
    }


COLAB = """\
import sys, types
sys.modules["google.colab"] = types.ModuleType("google.colab")
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
installed = []
shell.register_magic_function(installed.append, magic_name="pip")
for _ in range(2):  # a second time it fetches nothing
    shell.run_cell({cell!r}).raise_error()
import os
import benchpred_utils.runs
print(os.getcwd(), benchpred_utils.__file__, benchpred_utils.runs.FOLDER, installed, sep="\\n")
"""


@pytest.mark.skipif(not shutil.which("git"), reason="a notebook on Colab fetches the book with git")
def test_on_colab_the_cell_makes_the_package_and_the_runs_found(tmp_path):
    """As on Colab but for pip, which is only recorded, and for the address, which is a folder here."""
    origin, folder = tmp_path / "origin", tmp_path / "content" / "book"
    for part in ("benchpred_utils", "book/runs", "notebooks"):
        shutil.copytree(
            ROOT / part,
            origin / part,
            ignore=shutil.ignore_patterns("__pycache__", "*.ipynb", ".*"),
        )
    identity = "-c user.name=a -c user.email=a@example.org"
    subprocess.run(
        f"git init -q -b trunk && git add . && git {identity} commit -qm a",
        shell=True,
        cwd=origin,
        check=True,
    )
    cell = launch.source(origin.as_uri(), "trunk", str(folder))
    folder.parent.mkdir()
    environment = os.environ | {"IPYTHONDIR": str(tmp_path), "PYTHONPATH": ""}
    environment.pop("BENCHPRED_RUNS", None)
    command = [sys.executable, "-c", COLAB.format(cell=cell)]
    done = subprocess.run(
        command, cwd=folder.parent, capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
    place, package, runs, installed = done.stdout.strip().splitlines()[-4:]
    assert Path(place) == folder / "notebooks"
    assert Path(package) == folder / "benchpred_utils" / "__init__.py"
    assert Path(runs) == folder / "book" / "runs"
    assert installed == str([f'install --quiet "{folder}[colab]"'] * 2)


def test_elsewhere_the_cell_does_nothing(tmp_path):
    source = launch.source("https://example.org/a/b", "trunk", str(tmp_path / "book"))
    script = f"from IPython.core.interactiveshell import InteractiveShell as S\nS.instance().run_cell({source!r}).raise_error()"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=os.environ | {"IPYTHONDIR": str(tmp_path)}
    )
    assert done.returncode == 0 and not (tmp_path / "book").exists()


@pytest.fixture
def open_pair(tmp_path):
    """Opens a pair whose .ipynb is the newer one, as `make book` leaves it and a clone may, in a Jupyter of some root."""
    contents = pytest.importorskip("jupyter_server.services.contents.largefilemanager")
    from jupytext import TextFileContentsManager  # noqa: F401
    from jupytext.sync_contentsmanager import (
        build_sync_jupytext_contents_manager_class as with_jupytext,
    )

    (tmp_path / "notebooks").mkdir()
    for name in ("pyproject.toml", "notebooks/index.md", "notebooks/index.ipynb"):
        shutil.copy(ROOT / name, tmp_path / name)
    now = time.time()
    os.utime(tmp_path / "notebooks/index.md", (now - 3600, now - 3600))
    os.utime(tmp_path / "notebooks/index.ipynb", (now, now))
    manager = with_jupytext(contents.LargeFileManager)
    return lambda path, root=".": manager(root_dir=str(tmp_path / root)).get(path)["content"]


def test_jupyter_opens_a_chapter_whatever_the_times_of_its_files(open_pair):
    """On Binder, and by `make lab`: the written chapter with its outputs."""
    cells = open_pair("notebooks/index.ipynb")["cells"]
    assert [cell["source"].strip() for cell in cells] == [
        cell.source.strip() for cell in pairs.read_chapter("index").cells
    ]
    assert any(cell.get("outputs") for cell in cells)


def test_jupyter_is_started_where_it_finds_the_settings_of_the_pairs(open_pair):
    """jupytext looks for pyproject.toml no higher than Jupyter's root, which a folder after `jupyter lab` would be."""
    with pytest.raises(Exception, match="more recent than index.md"):
        open_pair("index.ipynb", root="notebooks")
    (command,) = re.findall(
        r"^\t@\$\(BIN\)/jupyter lab(.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE
    )
    assert [word for word in shlex.split(command) if not word.startswith("--")] == []
    (folder,) = re.findall(r"default_url=/lab/tree/(\S+)", command)
    assert (ROOT / folder / "index.md").is_file()


# The pages


def page_bytes(page):
    """The bytes of a page and of its own pictures."""
    text = page.read_text(encoding="utf-8")
    pictures = {page.parent / link for link in re.findall(r'<img[^>]* src="([^":]+)"', text)}
    return page.stat().st_size + sum(
        picture.stat().st_size for picture in pictures if picture.is_file()
    )


def test_no_page_is_heavy(book):
    heavy = {
        name: size for name in page_names() if (size := page_bytes(book / name)) > MAX_PAGE_BYTES
    }
    assert heavy == {}


def test_a_heavy_page_is_found(tmp_path):
    (tmp_path / "a.png").write_bytes(b"0" * MAX_PAGE_BYTES)
    (tmp_path / "page.html").write_text(
        '<img alt="a" src="a.png"> <img alt="b" src="data:image/png;base64,AA==">'
    )
    assert page_bytes(tmp_path / "page.html") > MAX_PAGE_BYTES


# On paper

PAPER = """() => {
  const seen = node => node.getClientRects().length > 0 && getComputedStyle(node).visibility === 'visible';
  const all = selector => [...document.querySelectorAll(selector)];
  const article = document.querySelector('.bd-article').getBoundingClientRect();
  const rgb = colour => colour.match(/[\\d.]+/g).slice(0, 3).map(Number);
  const ink = all('.bd-article :is(p, li, td, th, figcaption, h2, pre)').filter(seen)
    .map(node => Math.max(...rgb(getComputedStyle(node).color)));
  return {
    around: all('.bd-sidebar-primary, .bd-sidebar-secondary, .bd-header, .bd-header-article, .bd-footer, .copybtn')
      .filter(seen).map(node => node.className),
    width: article.width / document.documentElement.clientWidth,
    cut: all('.bd-article :is(pre, table, .benchpred-chart, img)').filter(seen)
      .filter(node => node.getBoundingClientRect().right > article.right + 2 || node.scrollWidth > node.clientWidth + 2)
      .map(node => node.outerHTML.slice(0, 120)),
    charts: all('.benchpred-chart').length,
    pictures: all('.benchpred-chart img').filter(seen).length,
    canvases: all('.benchpred-canvas').filter(seen).length,
    solutions: all('.solution').length,
    open: all('.solution').filter(node => [...node.querySelectorAll('p:not(.admonition-title), pre')].every(
      part => part.closest('details') || seen(part) && getComputedStyle(part).opacity === '1')).length,
    paper: rgb(getComputedStyle(document.body).backgroundColor),
    palest: Math.max(...ink),
  };
}"""
A4_PIXELS = 680  # the width of the text on A4, in pixels of CSS


def on_paper(opened, scheme):
    """What a page looks like in print, its folds closed and its scripts done."""
    page, _, _ = opened
    page.wait_for_function(
        "[...document.querySelectorAll('.benchpred-chart')].every(b => b.dataset.state || !b.clientWidth)"
    )
    page.emulate_media(media="print", color_scheme=scheme)
    page.wait_for_timeout(300)
    return page.evaluate(PAPER)


@pytest.mark.browser
@pytest.mark.parametrize(
    "name", [name for name in page_names() if name.startswith(("notebooks/", "book/"))]
)
def test_a_printed_page_is_readable(chrome, address, name):
    """No sidebars, the whole width, nothing cut off, charts as pictures, solutions open; dark pages print as light."""
    with browser.open_page(chrome, f"{address}/{name}", A4_PIXELS, "dark") as opened:
        paper = on_paper(opened, "dark")
    assert (paper["around"], paper["cut"], paper["canvases"]) == ([], [], 0)
    assert paper["width"] > 0.98
    assert paper["pictures"] == paper["charts"] and paper["open"] == paper["solutions"]
    assert paper["paper"] == [255, 255, 255] and paper["palest"] < 130


@pytest.mark.browser
def test_a_page_without_styles_for_paper_is_found(chrome, address, chart_page):
    """The negative control: without the book's own styles the checks above fail."""
    with browser.open_page(chrome, f"{address}/search.html", A4_PIXELS, "dark") as opened:
        opened[0].route("**/custom.css*", lambda route: route.abort())
        opened[0].goto(f"{address}/{chart_page}")
        paper = on_paper(opened, "dark")
    assert paper["cut"] and paper["palest"] > 130 and paper["open"] < paper["solutions"]
