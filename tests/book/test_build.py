"""Executing chapters: what is stored, what a kernel sees, and runs that fail or are stopped.

Small chapters of a book of its own; each takes a kernel, and so some seconds.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time

import nbformat
import pytest
from benchpred_book import expressions, runs
from benchpred_book.build import compare, pairs, stamps
from benchpred_book.build.__main__ import main

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
    """A book of two chapters, one and two, in a folder of its own; write(name, text) writes one."""
    (tmp_path / "book").mkdir()
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "_config.yml").write_text("")
    (tmp_path / "_toc.yml").write_text(
        "root: notebooks/one\nparts:\n- chapters: [{file: notebooks/two}, {file: book/page}]\n"
    )
    monkeypatch.setenv("BENCHPRED_BOOK", str(tmp_path))
    pairs.source_path("two").parent.mkdir(exist_ok=True)

    def write(name, text):
        pairs.source_path(name).write_text(text)

    write("one", chapter("x = 2 + 2", "print(x / 3)", "x"))
    write("two", chapter("import numpy as np", "np.arange(3.0)"))
    return write


def stored_text(name):
    return pairs.stored_path(name).read_text()


def test_a_run_stores_what_the_cells_gave_and_nothing_that_changes(book):
    assert main(["run"]) == 0
    first = stored_text("one")
    notebook = pairs.read_stored("one")
    assert notebook.cells[3].outputs[0].text == "1.3333333333333333\n"
    kept = {"jupytext", "kernelspec", "language_info", "benchpred", "benchpred_data"}
    assert set(notebook.metadata) == kept
    counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]
    assert counts == [1, 2, 3]
    assert stamps.stale("one") == []
    time_of = pairs.stored_path("one").stat().st_ctime_ns
    assert main(["run", "one"]) == 0  # named, it is executed anew
    assert stored_text("one") == first
    assert main(["run"]) == 0 and pairs.stored_path("one").stat().st_ctime_ns >= time_of


def test_what_is_the_same_but_for_rounding_and_fonts_stays_as_it_is_stored(book):
    main(["run", "one"])
    notebook = pairs.read_stored("one")
    notebook.cells[3].outputs[0].text = "1.33333333333334\n"
    pairs.write_stored("one", notebook)
    before = stored_text("one")
    assert main(["run", "one"]) == 0 and stored_text("one") == before


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("import warnings\nwarnings.warn('look out')", "look out"),
        ("object()", "the address of an object"),
        ("import os\nos._exit(3)", "died"),
    ],
)
def test_a_chapter_that_fails_is_named_and_nothing_is_stored(book, capfd, cell, message):
    book("two", chapter(cell))
    assert main(["run", "two"]) == 1
    complaint = capfd.readouterr().err
    assert message.lower() in complaint.lower() and not pairs.stored_path("two").exists()


def test_an_error_that_is_wanted_is_stored_without_paths(book):
    text = chapter("1 / 0").replace("ipython3\n", "ipython3\n:tags: [raises-exception]\n\n")
    book("one", text)
    assert main(["run", "one"]) == 0
    assert pairs.read_stored("one").cells[1].outputs[0].traceback == []


def takes(text, *chapters):
    """A chapter that declares whose glued texts it takes."""
    declared = f"benchpred_chapters: [{', '.join(chapters)}]\nbenchpred_data: []"
    return text.replace("benchpred_data: []", declared)


def test_a_chapter_waits_for_the_one_whose_texts_it_takes(book):
    glues = "from myst_nb import glue\nglue('number', '{}', display=False)"
    taken = chapter("from benchpred_book import runs", "runs.glued('two')['number']")
    book("one", takes(taken, "two"))
    book("two", chapter(glues.format("first")))
    assert main(["run", "--jobs", "2"]) == 0 and "first" in stored_text("one")
    book("two", chapter(glues.format("second")))
    assert main(["run", "two"]) == 0
    assert stamps.stale("one") == [stamps.REASONS["chapters"]]
    assert main(["run"]) == 0 and "second" in stored_text("one")


def test_the_declared_data_is_what_the_kernel_sees(book, load):
    load("openbookqa")
    cell = """
        import os, pathlib
        import benchpred_utils as bp
        folder = pathlib.Path(os.environ["BENCHPRED_DATA"])
        print(sorted(path.name for path in folder.rglob("*.jbl")))
        print(bp.load_scores("openbookqa").values.shape)
    """
    book("one", chapter(cell, data="openbookqa"))
    assert main(["run", "one"]) == 0
    shown = pairs.read_stored("one").cells[1].outputs[0].text
    assert shown == "['commonsense.jbl']\n(83, 500)\n"


def test_without_its_data_a_chapter_keeps_its_outputs_and_new_prose_is_carried_over(book, capsys):
    main(["run", "one"])
    text = pairs.source_path("one").read_text().replace("# A chapter", "# Another title")
    book("one", text.replace("benchpred_data: []", "benchpred_runs: [protocol]"))
    assert main(["run", "one"]) == 0 and "no run: protocol" in capsys.readouterr().out
    notebook = pairs.read_stored("one")
    assert notebook.cells[0].source == "# Another title\n\nBefore it."
    assert notebook.cells[3].outputs[0].text == "1.3333333333333333\n"


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_is_stopped_leaves_every_notebook_whole(book, tmp_path, stop):
    main(["run", "two"])
    before = stored_text("two")
    proof = tmp_path / "pid"
    sleeping = f"""
        import os, pathlib, time
        pathlib.Path({str(proof)!r}).write_text(str(os.getpid()))
        time.sleep(300)
    """
    book("two", chapter(sleeping))
    command = [sys.executable, "-m", "benchpred_book.build", "run", "--jobs", "2"]
    run = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert wait_for(lambda: proof.exists() and proof.read_text() and stored_path_exists("one"))
    run.send_signal(stop)
    _, complaint = run.communicate(timeout=60)
    assert run.returncode == (-9 if stop == signal.SIGKILL else 130), complaint
    assert stored_text("two") == before
    nbformat.validate(pairs.read_stored("one"))  # the chapter beside it had ended
    assert wait_for(lambda: not alive(int(proof.read_text()))), "the kernel outlives the run"


def stored_path_exists(name):
    return pairs.stored_path(name).exists()


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


def test_an_unknown_chapter_is_refused(book, capsys):
    with pytest.raises(SystemExit):
        main(["run", "seven"])
    assert "there is no seven" in capsys.readouterr().err


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
    main(["run", "one"])
    assert main(["check", "one"]) == 0
    notebook = pairs.read_stored("one")
    notebook.cells[3].outputs[0].text = "1.4\n"
    pairs.write_stored("one", notebook)
    assert main(["check", "one"]) == 1
    assert "cell 4" in capfd.readouterr().out
    assert pairs.read_stored("one").cells[3].outputs[0].text == "1.4\n", "check stores nothing"


@pytest.mark.skipif(not shutil.which("git"), reason="what is committed is asked of git")
def test_a_number_that_is_not_the_committed_one_is_reported(book, tmp_path, capfd):
    main(["run", "one"])
    git = "git init -q && git add . && git -c user.name=a -c user.email=a@example.org commit -qm a"
    subprocess.run(git, shell=True, cwd=tmp_path, check=True)
    assert main(["run", "--all"]) == 0
    book("one", chapter("x = 2 + 3", "print(x / 3)", "x"))
    assert main(["run", "one", "--all"]) == 1
    assert "1.3333333333333333 is now 1.6666666666666667" in capfd.readouterr().out


# --- values in prose -----------------------------------------------------------------------------

PROSE = """
```{{code-cell}} ipython3
{first}
```

A half-width of {{eval}}`half` points for {{eval}}`n + 1` items.

```{{code-cell}} ipython3
{last}
```

"""


@pytest.fixture
def written(book):
    """Write the chapter one; its prose stands between the code `first` and `last`."""

    def write(first="half = '8.9'\nn = 49", last="n = 0", after=""):
        text = HEADER.format(title="A chapter", data="") + PROSE.format(first=first, last=last)
        book("one", text + after)

    return write


def test_a_value_is_that_of_its_place(written):
    written()
    assert main(["run", "one"]) == 0
    notebook = pairs.read_stored("one")
    assert expressions.texts(notebook.cells) == {"half": "8.9", "n + 1": "50"}
    assert runs.glued("one") == {"half": "8.9", "n + 1": "50"}
    prose = json.loads(expressions.resolved(pairs.stored_path("one").read_text()))["cells"][2]
    assert prose["source"] == "A half-width of 8.9 points for 50 items."
    assert stamps.stale("one") == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"first": "n = 49"}, "'half': NameError: name 'half' is not defined"),
        ({"first": "half = ''\nn = 49"}, "'half': its value is no piece of a sentence"),
        ({"after": "Now {eval}`n + 1`."}, "'n + 1': it has another value further on"),
    ],
)
def test_a_value_that_is_none_is_refused_and_nothing_is_stored(written, capfd, settings, message):
    written(**settings)
    assert main(["run", "one"]) == 1
    assert message in capfd.readouterr().err
    assert not pairs.stored_path("one").exists()


def test_changed_prose_keeps_its_values_and_asks_for_new_ones(written):
    written()
    main(["run", "one"])
    written(after="Again {eval}`half`.")
    assert stamps.stale("one") == []
    carried = pairs.synced("one")
    assert carried.cells[-1].metadata["user_expressions"][0]["expression"] == "half"
    assert carried.cells[2].metadata == pairs.read_stored("one").cells[2].metadata
    written(after="And {eval}`n`.")
    assert stamps.stale("one") == ["its prose asks for values that were not computed"]
    text = json.dumps(pairs.synced("one"))
    assert "And (not computed)." in expressions.resolved(text)
    assert main(["run"]) == 0 and stamps.stale("one") == []


def test_a_value_that_moved_is_a_difference(written):
    written()
    main(["run", "one"])
    stored = pairs.read_stored("one")
    moved = pairs.read_stored("one")
    moved.cells[2].metadata["user_expressions"][0]["result"]["data"]["text/plain"] = "'9.1'"
    assert [str(found) for found in compare.differences(stored, stored)] == []
    found = compare.differences(stored, moved)
    assert [(d.cell, d.stored, d.new) for d in found] == [(3, "8.9", "9.1")]


def test_an_expression_in_code_is_none_of_prose(written):
    written(last="print('{eval}`half`')")
    assert main(["run", "one"]) == 0
    cell = pairs.read_stored("one").cells[3]
    assert expressions.asked(cell) == [] and "{eval}" in cell.outputs[0].text
