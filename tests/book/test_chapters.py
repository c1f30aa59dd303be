"""Every chapter: its two files say the same, and its stored outputs are whole and belong to it.

Nothing is executed: `make check` and `make book ARGS=--all` compare executed numbers with the stored.
"""

import re

import altair as alt
import pytest

import benchpred_utils as bp
from benchpred_book import repository
from benchpred_book.build import execute, pairs, stamps
from benchpred_book.build.__main__ import README_FIGURE
from benchpred_book.stored_charts import OUTPUT_KEY

CHAPTERS = pairs.chapter_names()


def stored(name):
    """The stored notebook of a chapter; fails, saying what to do, when there is none."""
    notebook = pairs.read_stored(name)
    assert notebook is not None, f"{name} was never executed: make book"
    return notebook


def charts_of(notebook):
    outputs = (output for cell in notebook.cells for output in cell.get("outputs", []))
    return [
        output.metadata[OUTPUT_KEY]
        for output in outputs
        if OUTPUT_KEY in output.get("metadata", {})
    ]


def test_no_chapter_is_left_out_of_the_contents():
    folder = repository.root() / "notebooks"
    for kind in ("*.md", "*.ipynb"):
        assert {path.stem for path in folder.glob(kind)} == set(CHAPTERS)


@pytest.mark.parametrize("name", CHAPTERS)
def test_the_written_and_the_executed_chapter_are_in_step(name):
    step = pairs.contents(pairs.read_chapter(name)) == pairs.contents(stored(name))
    assert step, f"notebooks/{name}.md has changed: make html (prose) or make book (code)"


@pytest.mark.parametrize("name", CHAPTERS)
def test_the_chapter_is_written_as_jupyter_saves_it(name):
    written = pairs.source_path(name).read_text(encoding="utf-8")
    assert written == pairs.canonical(name), f"run: python -m benchpred_book.build format {name}"


@pytest.mark.parametrize("name", CHAPTERS)
def test_no_stored_output_is_stale(name):
    assert stamps.stale(name) == [], "make book"


@pytest.mark.parametrize("name", CHAPTERS)
def test_the_stored_outputs_are_whole_and_clean(name):
    notebook = stored(name)
    assert execute.faults(name, notebook) == []
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
        if any(OUTPUT_KEY in output.get("metadata", {}) for output in cell.get("outputs", [])):
            figure = cell.metadata.get("mystnb", {}).get("figure", {})
            assert figure.get("caption") and figure.get("name"), f"cell {place}: no caption or name"
            cited = re.search(rf"[`<]{re.escape(figure['name'])}[`>]", prose)
            assert cited, f"cell {place}: the text does not cite {figure['name']}"


def test_the_readme_shows_the_figure_of_the_landing_page():
    places = [cell.metadata.get("mystnb", {}).get("figure", {}) for cell in stored("index").cells]
    assert README_FIGURE in [figure.get("name") for figure in places]
    readme = (repository.root() / "README.md").read_text(encoding="utf-8")
    assert "book/_static/estimation-gap.svg" in readme


@pytest.mark.parametrize("name", CHAPTERS)
def test_the_declared_data_is_known(name):
    assert set(pairs.declared(pairs.read_chapter(name), "data")) <= set(bp.DATASETS)


@pytest.mark.parametrize("name", CHAPTERS)
def test_the_chapters_whose_texts_are_taken_are_declared_and_come_before(name):
    chapter = pairs.read_chapter(name)
    taken = set(re.findall(r"\bglued\(\"(\w+)\"", "\n".join(cell.source for cell in chapter.cells)))
    assert taken == set(pairs.declared(chapter, "chapters")) <= set(CHAPTERS[: CHAPTERS.index(name)])


# Negative controls: what the checks above must find.


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
    assert execute.faults(CHAPTERS[0], notebook)
