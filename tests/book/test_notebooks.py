"""Every chapter: its two files say the same, its stored outputs belong to it, and executing it gives them again."""

import re

import altair as alt
import pytest

import benchpred_utils as bp

pytest.importorskip("jupytext")
pytest.importorskip("nbclient")
import compare
import execute
import keys
import pairs
import runner

CHAPTERS = pairs.chapter_names()


def stored(name):
    """The stored notebook of a chapter; fails, saying what to do, when there is none."""
    notebook = pairs.read_stored(name)
    assert notebook is not None, f"{name} was never executed: make book"
    return notebook


def charts_of(notebook):
    outputs = (output for cell in notebook.cells for output in cell.get("outputs", []))
    return [
        output.metadata[compare.CHART]
        for output in outputs
        if compare.CHART in output.get("metadata", {})
    ]


def test_no_chapter_is_left_out_of_the_contents():
    files = {path.stem for path in keys.NOTEBOOKS.glob("*.md")} | {
        path.stem for path in keys.NOTEBOOKS.glob("*.ipynb")
    }
    assert files == set(CHAPTERS)


@pytest.mark.parametrize("name", CHAPTERS)
def test_the_written_and_the_executed_chapter_are_in_step(name):
    stored(name)
    assert pairs.in_step(name), (
        f"notebooks/{name}.md has changed: make html (prose) or make book (code)"
    )


@pytest.mark.parametrize("name", CHAPTERS)
def test_the_chapter_is_written_as_jupyter_saves_it(name):
    written = pairs.source_path(name).read_text(encoding="utf-8")
    assert written == pairs.canonical(name), f"run: python book/tools/execute.py format {name}"


@pytest.mark.parametrize("name", CHAPTERS)
def test_no_stored_output_is_stale(name):
    assert keys.stored_state(name) == [], "make book"


@pytest.mark.parametrize("name", CHAPTERS)
def test_the_stored_outputs_are_whole_and_clean(name):
    notebook = stored(name)
    assert runner.output_faults(name, notebook) == []
    counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1)), (
        "executed from the first cell to the last, in a fresh kernel"
    )


@pytest.mark.parametrize("name", CHAPTERS)
def test_every_chart_says_what_is_seen(name):
    for chart in charts_of(stored(name)):
        assert len(chart["description"].split()) > 3
        assert chart["spec"]["$schema"].endswith(f"{alt.SCHEMA_VERSION}.json")


@pytest.mark.parametrize("name", CHAPTERS)
def test_every_chart_is_a_captioned_figure_that_is_cited(name):
    notebook = stored(name)
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    for place, cell in enumerate(notebook.cells, start=1):
        if any(compare.CHART in output.get("metadata", {}) for output in cell.get("outputs", [])):
            figure = cell.metadata.get("mystnb", {}).get("figure", {})
            where = runner.cell_name(name, place, cell)
            assert figure.get("caption") and figure.get("name"), f"{where}: no caption, or no name"
            cited = re.search(rf"[`<]{re.escape(figure['name'])}[`>]", prose)
            assert cited, f"{where}: the text does not cite {figure['name']}"


def test_the_figure_of_the_readme_is_the_one_of_the_landing_page():
    cells = [
        c
        for c in stored("index").cells
        if c.metadata.get("mystnb", {}).get("figure", {}).get("name") == execute.README_FIGURE
    ]
    assert execute.README_PICTURE.read_text() == execute.readme_picture(cells[0])
    assert (
        execute.README_PICTURE.relative_to(execute.ROOT).as_posix()
        in (execute.ROOT / "README.md").read_text()
    )


@pytest.mark.parametrize("name", CHAPTERS)
def test_the_declared_data_is_known(name):
    assert set(pairs.declared_data(pairs.read_chapter(name))) <= set(bp.DATASETS)


@pytest.mark.parametrize("name", CHAPTERS)
def test_the_chapters_whose_texts_are_taken_are_declared_and_come_before(name):
    chapter = pairs.read_chapter(name)
    taken = set(re.findall(r"\bglued\(\"(\w+)\"", "\n".join(cell.source for cell in chapter.cells)))
    assert taken == set(pairs.declared_chapters(chapter)) <= set(CHAPTERS[: CHAPTERS.index(name)])


@pytest.mark.data
@pytest.mark.parametrize("name", CHAPTERS)
def test_executing_anew_gives_the_stored_numbers(name, capsys):
    """Needs the real data, but for chapters that load none."""
    outcome = execute.check_chapter(name)
    if outcome.result == "not checked":
        pytest.skip(outcome.why)
    assert outcome.result == "agrees", capsys.readouterr().out


# Negative controls: what the checks above must find.


def test_a_changed_cell_is_found():
    notebook = stored(CHAPTERS[0])
    cell = next(cell for cell in notebook.cells if cell.cell_type == "code")
    before = keys.chapter_key(notebook)
    cell.source += "\n1 + 1"
    assert keys.chapter_key(notebook) != before


def test_a_changed_sentence_does_not_make_outputs_stale():
    notebook = stored(CHAPTERS[0])
    before = keys.chapter_key(notebook)
    notebook.cells[0].source += " And more."
    assert keys.chapter_key(notebook) == before
    assert pairs.contents(notebook) != pairs.contents(stored(CHAPTERS[0]))


def test_changed_data_is_found():
    now = {"chapter": "a", "code": "b", "data": {"gsm.jbl": "1"}}
    assert keys.stale(now, now) == []
    assert keys.stale(now | {"data": {"gsm.jbl": "2"}}, now) == ["its data changed"]
    assert keys.stale(now | {"data": {}}, now) == ["its data changed"]
    assert keys.stale({}, now) == ["it was never executed"]


@pytest.mark.parametrize(
    "output",
    [
        {"output_type": "error", "ename": "ValueError", "evalue": "no", "traceback": []},
        {"output_type": "stream", "name": "stderr", "text": "a warning"},
        {"output_type": "stream", "name": "stdout", "text": "<object at 0x7f00deadbeef>"},
        {
            "output_type": "display_data",
            "data": {"text/html": "<script>vegaEmbed()</script>"},
            "metadata": {},
        },
        {
            "output_type": "display_data",
            "data": {},
            "metadata": {"benchpred_chart": {"description": " ", "spec": {}}},
        },
    ],
)
def test_a_bad_output_is_found(output):
    notebook = stored(CHAPTERS[0])
    code = next(cell for cell in notebook.cells if cell.cell_type == "code")
    code.outputs = [pairs.nbformat.from_dict(output)]
    assert runner.output_faults(CHAPTERS[0], notebook)
