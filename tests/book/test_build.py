"""The tools that execute the chapters: keys, pairs, comparison, and runs that fail or are stopped."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time

import nbformat
import pandas as pd
import pytest

import benchpred_utils as bp
from benchpred_utils import runs

pytest.importorskip("jupytext")
pytest.importorskip("nbclient")
import compare
import execute
import keys
import make_runs
import pairs
import runner

HEADER = """\
---
benchpred_data: [{data}]
jupytext:
  formats: ipynb,md:myst
  text_representation:
    extension: .md
    format_name: myst
    format_version: 0.13
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

# {title}

"""


def chapter(*cells, title="A chapter", data=""):
    """The MyST text of a chapter: code cells with a line of prose before each."""
    blocks = [
        f"Before it.\n\n```{{code-cell}} ipython3\n{textwrap.dedent(cell).strip()}\n```\n"
        for cell in cells
    ]
    return HEADER.format(title=title, data=data) + "\n".join(blocks)


@pytest.fixture
def book(tmp_path, monkeypatch):
    """An empty book of two chapters, one and two; write(name, text) writes a chapter."""
    notebooks = tmp_path / "notebooks"
    notebooks.mkdir()
    (tmp_path / "_toc.yml").write_text(
        "format: jb-book\nroot: notebooks/one\nparts:\n  - chapters:\n      - file: notebooks/two\n      - file: book/page\n"
    )
    for module in (keys, pairs, runner):
        monkeypatch.setattr(module, "NOTEBOOKS", notebooks)
    monkeypatch.setattr(pairs, "ROOT", tmp_path)

    def write(name, text):
        (notebooks / f"{name}.md").write_text(text)

    write("one", chapter("x = 2 + 2", "print(x / 3)", "x"))
    write("two", chapter("import numpy as np", "np.arange(3.0)"))
    yield write
    keys.package_key.cache_clear()


def stored_text(name):
    return pairs.stored_path(name).read_text()


# Keys


SOURCE = '''
"""A module."""
import math

def area(r, scale=1.0):
    """The area of a circle."""
    return scale * math.pi * r**2  # in square units

class Shape:
    """A shape."""
    sides: int = 4
'''


@pytest.fixture
def package(tmp_path):
    folder = tmp_path / "package"
    (folder / "facts").mkdir(parents=True)
    (folder / "facts" / "table.csv").write_text("a,b\n1,2\n")
    (folder / "shapes.py").write_text(SOURCE)
    return folder


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("  # in square units", ""),
        ('"""The area of a circle."""', '"""Other words,\n\n    on more lines."""'),
        ('"""A module."""', ""),
        ("scale * math.pi", "(scale  *\n        math.pi)"),
    ],
)
def test_the_key_of_the_code_ignores_comments_docstrings_and_layout(package, old, new):
    before = keys.code_key(package)
    (package / "shapes.py").write_text(SOURCE.replace(old, new))
    assert keys.code_key(package) == before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("r**2", "r**3"),
        ("scale=1.0", "scale=1"),
        ("sides: int = 4", "sides: float = 4"),
        ("def area", "def surface"),
    ],
)
def test_the_key_of_the_code_sees_code(package, old, new):
    before = keys.code_key(package)
    (package / "shapes.py").write_text(SOURCE.replace(old, new))
    assert keys.code_key(package) != before


def test_the_key_of_the_code_sees_facts_and_file_names(package):
    before = keys.code_key(package)
    (package / "facts" / "table.csv").write_text("a,b\n1,3\n")
    changed = keys.code_key(package)
    (package / "shapes.py").rename(package / "forms.py")
    assert len({before, changed, keys.code_key(package)}) == 3


def test_the_key_of_a_docstring_like_string_that_is_code_counts(package):
    before = keys.code_key(package)
    (package / "shapes.py").write_text(SOURCE + "\nNAME = 'x'\n")
    assert keys.code_key(package) != before


def test_the_key_of_the_data_names_every_file():
    names = ["openbookqa", "mmlu_pro"]
    assert set(bp.runs.data_key(names)) == {
        entry["file"] for name in names for entry in bp.data.files(name)
    }
    assert bp.runs.data_key([]) == {}


# Running


def test_a_run_stores_what_the_cells_gave_and_nothing_that_changes(book):
    written = pairs.source_path("one").read_text()
    assert execute.main(["run"]) == 0
    first = stored_text("one")
    notebook = pairs.read_stored("one")
    assert notebook.cells[3].outputs[0].text == "1.3333333333333333\n"
    assert set(notebook.metadata) == {
        "jupytext",
        "kernelspec",
        "language_info",
        "benchpred",
        "benchpred_data",
    }
    assert [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"] == [
        1,
        2,
        3,
    ]
    assert pairs.in_step("one") and keys.stored_state("one") == []
    assert execute.main(["run"]) == 0
    assert stored_text("one") == first and pairs.source_path("one").read_text() == written


@pytest.mark.skipif(not shutil.which("git"), reason="jupytext's check before a commit needs git")
def test_jupytext_finds_the_pair_in_step(book, tmp_path):
    execute.main(["format", "one"])
    execute.main(["run", "one"])
    before = stored_text("one"), pairs.source_path("one").read_text()
    shutil.copy(keys.ROOT / "pyproject.toml", tmp_path)
    subprocess.run("git init -q && git add .", shell=True, cwd=tmp_path, check=True)
    command = [sys.executable, "-m", "jupytext", "--sync", "--pre-commit-mode", "notebooks/one.md"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (stored_text("one"), pairs.source_path("one").read_text()) == before


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["x = 1", "y = x / 0"], "chapter two, cell 4 (y = x / 0)"),
        (["import warnings", "warnings.warn('watch out')"], "watch out"),
        (["object()"], "address of an object"),
        (["bp_scores = __import__('benchpred_utils').load_scores('gsm8k')"], "gsm.jbl is not here"),
        (
            ["import altair as alt\nfrom benchpred_utils import charts\nalt.Chart().mark_point()"],
            "a chart needs a description",
        ),
    ],
)
def test_a_run_stops_at_a_fault_and_leaves_the_notebook_as_it_was(book, capfd, cells, message):
    execute.main(["run", "two"])
    before = stored_text("two")
    book("two", chapter(*cells))
    assert execute.main(["run", "two"]) == 1
    assert message in capfd.readouterr().err
    assert stored_text("two") == before
    assert keys.stored_state("two") == ["its code cells changed"]


def test_an_error_that_is_wanted_is_stored_without_paths(book):
    text = chapter("1 / 0").replace("ipython3\n", "ipython3\n:tags: [raises-exception]\n\n")
    book("one", text)
    assert execute.main(["run", "one"]) == 0
    (output,) = pairs.read_stored("one").cells[1].outputs
    assert output.traceback == ["ZeroDivisionError: division by zero"]


def test_formatting_keeps_what_the_chapter_says(book):
    book(
        "one",
        pairs.source_path("one")
        .read_text()
        .replace("name: python3\n---\n", "name: python3\n---\n\n\n\n"),
    )
    said = pairs.contents(pairs.read_chapter("one"))
    assert pairs.format_source("one") and not pairs.format_source("one")
    assert pairs.contents(pairs.read_chapter("one")) == said


def test_without_its_data_a_chapter_keeps_its_outputs_and_gets_its_prose(book, monkeypatch, capfd):
    execute.main(["run", "one"])
    book(
        "one",
        pairs.source_path("one")
        .read_text()
        .replace("Before it.", "New words.")
        .replace("[]", "[gsm8k]"),
    )

    def unavailable(name):
        raise bp.DataUnavailable(name)

    monkeypatch.setattr(bp.data, "fetch", unavailable)
    assert execute.main(["run", "one"]) == 0
    runner.files_of.cache_clear()
    printed = capfd.readouterr().out
    assert (
        "kept" in printed and "no data: gsm8k" in printed and "STALE: its data changed" in printed
    )
    notebook = pairs.read_stored("one")
    assert notebook.cells[3].outputs and "New words." in notebook.cells[2].source


def test_a_chapter_sees_the_stored_runs_that_it_declares(book, monkeypatch, tmp_path, capfd):
    for name in ("tiny", "other"):
        monkeypatch.setitem(runs.RUNS, name, ((), ()))
    monkeypatch.setattr(runs, "FOLDER", tmp_path / "runs")
    text = chapter(
        "import os", "from benchpred_utils import runs", "sorted(os.listdir(runs.FOLDER))"
    )
    book("two", text.replace("benchpred_data: []", "benchpred_data: []\nbenchpred_runs: [tiny]"))
    assert execute.main(["run", "two"]) == 0 and "no run: tiny" in capfd.readouterr().out
    for name in ("tiny", "other"):
        runs._store(
            tmp_path / "runs" / name,
            {"summary": pd.DataFrame({"gap": [0.1]})},
            {"key": runs.key(name)},
        )
    assert execute.main(["run", "two"]) == 0
    assert "['tiny']" in stored_text("two") and keys.stored_state("two") == []
    runs._store(
        tmp_path / "runs" / "tiny",
        {"summary": pd.DataFrame({"gap": [0.2]})},
        {"key": runs.key("tiny")},
    )
    assert keys.stored_state("two") == ["its stored runs changed"]


GLUES = "from myst_nb import glue\nimport time\ntime.sleep({seconds})\nglue('number', '{value}', display=False)"


def takes(text, *chapters):
    """A chapter that declares whose glued texts it takes."""
    return text.replace(
        "benchpred_data: []", f"benchpred_chapters: [{', '.join(chapters)}]\nbenchpred_data: []"
    )


def test_a_chapter_waits_for_the_one_whose_texts_it_takes(book):
    book("one", chapter(GLUES.format(seconds=0, value="first")))
    book(
        "two",
        takes(
            chapter("from benchpred_utils import runs", "runs.glued('one', '.')['number']"), "one"
        ),
    )
    assert execute.main(["run", "--jobs", "2"]) == 0 and "first" in stored_text("two")
    assert keys.stored_state("two") == []
    book("one", chapter(GLUES.format(seconds=2, value="second")))
    assert execute.main(["run", "one"]) == 0
    assert keys.stored_state("two") == ["the chapters that it takes texts from changed"]
    assert execute.main(["run", "--jobs", "2"]) == 0 and "second" in stored_text("two")


def test_chapters_that_wait_for_each_other_are_an_error(book, capsys):
    book("one", takes(chapter("1"), "two"))
    book("two", takes(chapter("2"), "one"))
    assert execute.main(["run"]) == 1 and "one, two: each waits" in capsys.readouterr().err


def test_only_stale_runs_are_made(monkeypatch, capsys):
    made = []
    monkeypatch.setattr(runs, "RUNS", {"good": (), "old": ()})
    monkeypatch.setattr(runs, "state", lambda name: ["its code changed"] if name == "old" else [])
    monkeypatch.setattr(runs, "make", made.append)
    assert make_runs.main(["--stale"]) == 0 and made == ["old"]
    assert "run good: the stored tables belong" in capsys.readouterr().out
    assert make_runs.main([]) == 0 and made == ["old", "good", "old"]
    monkeypatch.setattr(runs, "make", lambda name: (_ for _ in ()).throw(KeyboardInterrupt))
    assert make_runs.main(["old"]) == 130 and "as it was" in capsys.readouterr().err


def test_a_chapter_is_stale_when_the_code_changes_while_it_executes(book, monkeypatch):
    begun, sources_of = [], execute.sources_of
    monkeypatch.setattr(execute, "sources_of", lambda name: begun.append(name) or sources_of(name))
    monkeypatch.setattr(keys, "code_key", lambda: "after" if begun else "before")
    execute.main(["run"])
    assert {pairs.read_stored(name).metadata["benchpred"]["code"] for name in ("one", "two")} == {
        "before"
    }
    keys.package_key.cache_clear()  # as the next command does
    assert keys.stored_state("one") == ["the code of benchpred_utils changed"]


def test_sync_keeps_the_outputs_of_unchanged_cells(book):
    execute.main(["run", "one"])
    book("one", pairs.source_path("one").read_text().replace("# A chapter", "# Another title"))
    assert not pairs.in_step("one")
    execute.main(["sync"])
    assert pairs.in_step("one") and keys.stored_state("one") == []
    assert pairs.read_stored("one").cells[3].outputs[0].text == "1.3333333333333333\n"


@pytest.mark.parametrize("what", ["chapter", "code", "data"])
def test_a_stored_output_is_stale_as_soon_as_one_key_changes(book, what):
    execute.main(["run", "one"])
    notebook = pairs.read_stored("one")
    notebook.metadata["benchpred"][what] = {"gsm.jbl": "0"} if what == "data" else "0"
    pairs.write_stored("one", notebook)
    assert len(keys.stored_state("one")) == 1


def test_the_declared_data_is_what_the_kernel_sees(book, load):
    load("openbookqa")
    cell = """
        import os, pathlib
        import benchpred_utils as bp
        print(sorted(path.name for path in pathlib.Path(os.environ["BENCHPRED_DATA"]).rglob("*.jbl")))
        print(bp.load_scores("openbookqa").values.shape)
    """
    book("one", chapter(cell, data="openbookqa"))
    assert execute.main(["run", "one"]) == 0
    assert pairs.read_stored("one").cells[1].outputs[0].text == "['commonsense.jbl']\n(83, 500)\n"


DRIVER = """
import pathlib, sys
sys.path[:0] = [sys.argv[1], sys.argv[2]]
import execute, pairs, runner
pairs.ROOT = pathlib.Path(sys.argv[3])
pairs.NOTEBOOKS = runner.NOTEBOOKS = pairs.ROOT / "notebooks"
execute.stop_on_signals()
sys.exit(execute.main(["run"]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_is_stopped_leaves_every_notebook_whole(book, tmp_path, stop):
    execute.main(["run", "two"])
    before = stored_text("two")
    proof = tmp_path / "pid"
    sleeping = f"import os, pathlib, time\npathlib.Path({str(proof)!r}).write_text(str(os.getpid()))\ntime.sleep(300)"
    book("two", chapter(sleeping))
    command = [
        sys.executable,
        "-c",
        DRIVER,
        str(keys.ROOT / "book" / "tools"),
        str(keys.ROOT),
        str(tmp_path),
    ]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: proof.exists() and proof.read_text() and pairs.stored_path("one").exists())
    run.send_signal(stop)
    _, complaint = run.communicate(timeout=60)
    assert run.returncode == (-9 if stop == signal.SIGKILL else 130), complaint
    assert stored_text("two") == before
    nbformat.validate(pairs.read_stored("one"))  # the chapter beside it had ended
    assert wait_for(lambda: not alive(int(proof.read_text()))), "the kernel outlives the run"


def wait_for(condition, seconds=60):
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        if condition():
            return True
        time.sleep(0.1)
    return False


def alive(pid):
    """Whether a process runs (one that has ended but was not waited for does not)."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    if shutil.which("ps"):
        return not subprocess.run(
            ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True
        ).stdout.startswith("Z")
    return True


def test_what_a_killed_run_was_writing_is_removed(book):
    left = pairs.NOTEBOOKS / ".one.ipynb.partial"
    left.write_text("{")
    execute.main(["sync"])
    assert not left.exists()


def test_an_unknown_chapter_is_refused(book, capsys):
    with pytest.raises(SystemExit):
        execute.main(["run", "seven"])
    assert "not in _toc.yml: seven" in capsys.readouterr().err


# Comparing


def notebook_with(*outputs):
    cell = nbformat.v4.new_code_cell("compute()", outputs=list(outputs))
    return nbformat.v4.new_notebook(cells=[cell])


def shown(mime="text/plain", value="", **metadata):
    return nbformat.v4.new_output("display_data", {mime: value}, metadata=metadata)


def chart(value):
    metadata = {
        "benchpred_chart": {
            "description": "A chart.",
            "spec": {"datasets": {"data-1": [{"x": value}]}},
        }
    }
    return shown("image/svg+xml", f"<svg>{value}</svg>", **metadata)


OUTPUTS = {
    "text": lambda x: nbformat.v4.new_output(
        "stream", name="stdout", text=f"the error is {x} points\n"
    ),
    "table": lambda x: shown(
        "text/html", f"<style>td {{width: 3px}}</style><table><tr><td>{x}</td></tr></table>"
    ),
    "glue": lambda x: shown(
        "application/papermill.record/text/plain", str(x), scrapbook={"name": "gap"}
    ),
    "chart": chart,
}


@pytest.mark.parametrize("kind", OUTPUTS)
def test_numbers_are_compared_to_a_tolerance(kind):
    make = OUTPUTS[kind]
    stored = notebook_with(make(0.123456789))
    assert compare.differences(stored, notebook_with(make(0.123456789))) == []
    assert compare.differences(stored, notebook_with(make(0.12345678901))) == []
    found = compare.differences(stored, notebook_with(make(0.1235)))
    assert [(item.cell, item.stored, item.new) for item in found] == [(1, "0.123456789", "0.1235")]


@pytest.mark.parametrize(
    ("stored", "new"),
    [
        ("aipw 0.5", "ridge 0.5"),
        ("1 2 3", "1 2"),
        ("-0.5", "0.5"),
        ("\u22120.5", "0.5"),
        ("[1e-3]", "[1e-2]"),
    ],
)
def test_what_differs_is_found(stored, new):
    assert compare.differences(notebook_with(shown(value=stored)), notebook_with(shown(value=new)))


def test_an_output_that_is_missing_is_found():
    assert compare.differences(notebook_with(shown(value="1")), notebook_with())
    assert compare.differences(notebook_with(), notebook_with(shown(value="1")))


def test_check_reports_a_stored_number_that_is_wrong(book, capfd):
    execute.main(["run", "one"])
    assert execute.main(["check", "one"]) == 0
    notebook = pairs.read_stored("one")
    notebook.cells[3].outputs[0].text = "1.4\n"
    pairs.write_stored("one", notebook)
    assert execute.main(["check", "one"]) == 1
    assert "one, cell 4" in capfd.readouterr().out
    assert pairs.read_stored("one").cells[3].outputs[0].text == "1.4\n", "check stores nothing"
