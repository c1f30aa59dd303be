"""The plain copies of the chapters say what the pages say, in Markdown that any viewer reads."""

import functools
import os
import re
from urllib.parse import urldefrag

import nbclient
import nbformat
import pytest
from benchpred_book import repository
from benchpred_book.build import pairs, plain
from bs4 import BeautifulSoup
from docutils import nodes
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin

ROOT = repository.root()
COPIES, PAGES = ROOT / "_build" / plain.FOLDER, ROOT / "_build" / "html"
MARKDOWN = MarkdownIt("commonmark").enable("table").use(dollarmath_plugin)
LINK = re.compile(r"\]\((\S+?)\)|href=\"([^\"]+)\"")
LEFT = re.compile(r"\{[\w:-]+\}\\?`|^[> ]*(`{3,}|:{3,}) *\{|^\\?\([\w-]+\)=|<script", re.MULTILINE)
SAID = "p, h1, h2, h3, h4, th, td, figcaption, .admonition-title"  # of a page; outputs are not
SHORT = "index"  # needs no data
built = pytest.mark.browser  # after `make html`
chapters = pytest.mark.parametrize("name", pairs.chapter_names())


def copy_of(name):
    return nbformat.read(COPIES / f"{name}.ipynb", as_version=4)


def prose(name):
    return "\n\n".join(cell.source for cell in copy_of(name).cells if cell.cell_type == "markdown")


@functools.cache
def page(path):
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


def article(name):
    """What a page says beside its code: without formulas, outputs and what can be clicked."""
    found = BeautifulSoup(str(page(PAGES / "notebooks" / f"{name}.html").article), "html.parser")
    for part in found.select(".math, .headerlink, .hide > summary, .cell_input, .output, script"):
        part.decompose()
    return found


def squeezed(text):
    return re.sub(r"\s", "", text)


def words(name):
    """What a copy says, as a viewer shows it, without formulas and spaces."""
    shown = BeautifulSoup(MARKDOWN.render(prose(name)), "html.parser")
    for part in shown.select(".math"):
        part.decompose()
    return squeezed(shown.get_text())


# Of what is built


@built
@chapters
def test_no_markup_of_myst_is_left(name):
    assert LEFT.findall(prose(name)) == []


@pytest.mark.parametrize(
    "left", ["{ref}`a`", r"{eval}\`x\`", "> ```{exercise} One", ":::{dropdown} More", "(label)="]
)
def test_markup_that_is_left_is_found(left):
    assert LEFT.search(f"Words.\n\n{left}")


@built
@chapters
def test_the_copy_says_what_the_page_says(name):
    """Every paragraph, heading, caption and cell of a table, with its numbers; every equation's."""
    said = [squeezed(part.get_text()) for part in article(name).select(SAID)]
    copied = words(name)
    assert len(said) > 10 and [text for text in said if text not in copied] == []
    numbers = [
        part.get_text() for part in page(PAGES / "notebooks" / f"{name}.html").select(".eqno")
    ]
    assert re.findall(r"\\tag\{(.+?)\}", prose(name)) == [n.strip("()\n# ¶") for n in numbers]


@built
@chapters
def test_every_link_leads_to_a_built_page_and_place(name):
    links = [first or second for first, second in LINK.findall(prose(name))]
    pages = repository.pages()
    own = [link.removeprefix(pages) for link in links if pages and link.startswith(pages)]
    assert bool(own) == bool(pages), "links to the book where it has an address, and only there"
    assert [link for link in links if not link.startswith(("https://", "http://"))] == []
    for path, place in map(urldefrag, own):
        assert not place or page(PAGES / path).find(id=place), f"{path}#{place}"
        assert (PAGES / path).is_file()


@built
@chapters
def test_the_copy_is_a_notebook_with_pictures_that_every_viewer_shows(name):
    copy, stored = copy_of(name), pairs.read_stored(name)
    nbformat.validate(copy)
    assert set(copy.metadata) == {"kernelspec", "language_info"}, "nor is it paired with a text"
    code = [cell for cell in copy.cells if cell.cell_type == "code" and cell.id != "colab"]
    assert [cell.source for cell in code] == [
        cell.source for cell in stored.cells if cell.cell_type == "code"
    ]
    kinds = [kind for cell in code for output in cell.outputs for kind in output.get("data", {})]
    charts = pairs.stored_path(name).read_text(encoding="utf-8").count('"benchpred_chart"')
    assert kinds.count(plain.PNG) == charts and plain.SVG not in kinds


@built
def test_the_notebooks_of_the_pages_are_the_copies():
    for name in pairs.chapter_names():
        copy = (COPIES / f"{name}.ipynb").read_bytes()
        assert (PAGES / "_sources" / "notebooks" / f"{name}.ipynb").read_bytes() == copy


@built
@pytest.mark.ci
def test_a_copy_runs():
    copy = copy_of(SHORT)
    place = {"metadata": {"path": str(COPIES)}}
    quiet = os.environ | {"BENCHPRED_OFFLINE": "1", "BENCHPRED_STATIC_CHARTS": "1"}
    nbclient.NotebookClient(copy, kernel_name="python3", resources=place).execute(env=quiet)
    assert any(
        output.get("name") == "stdout" for cell in copy.cells for output in cell.get("outputs", [])
    )


# Of the parts

PAGE = "https://somebody.github.io/a-book/notebooks/one.html"


def writer(page=PAGE):
    return plain.Writer({}, lambda node: None, {"displaymath": {"eq-a": (7,)}}, page)


def paragraph(*parts):
    return nodes.paragraph("", "", *parts)


def text(words):
    return nodes.Text(words)


def test_a_link_leads_to_the_published_page_and_is_a_word_without_one():
    near = nodes.reference("", "here", refid="fig-a")
    far = nodes.reference("", "there", refuri="two.html#fig-b")
    out = nodes.reference("", "a paper", refuri="https://example.org/p")
    line = paragraph(near, text(", "), far, text(", "), out)
    folder = PAGE.removesuffix("one.html")
    assert writer().blocks(line) == [
        f"[here]({PAGE}#fig-a), [there]({folder}two.html#fig-b), [a paper](https://example.org/p)"
    ]
    assert writer(None).blocks(line) == ["here, there, [a paper](https://example.org/p)"]
    assert writer(None).html('<a href="two.html">x</a>') == "<a>x</a>"


def test_signs_are_no_markup_and_formulas_stay():
    words = text("$5 for a*b [c](d) [e] ")
    line = paragraph(words, nodes.math("", r"x_1^*"), nodes.literal("", "a`b"))
    assert writer().blocks(line) == [r"\$5 for a\*b [c\](d) [e] $x_1^*$``a`b``"]


def test_an_equation_is_one_line_with_its_number():
    equation = nodes.math_block("", "a\n= b", ids=["eq-a"])
    assert writer().blocks(equation) == [r"$$ a = b \tag{7} $$"]
    assert writer().blocks(nodes.math_block("", "c")) == ["$$ c $$"]


def test_a_block_with_a_title_is_set_apart_and_a_list_in_it_stays_a_list():
    items = [nodes.list_item("", paragraph(text(word))) for word in ("one", "two")]
    box = nodes.admonition("", nodes.title("", "Note"), nodes.bullet_list("", *items))
    assert writer().blocks(box) == ["> **Note**\n>\n> - one\n> - two"]


def test_a_title_has_its_number_where_titles_are_numbered():
    part = nodes.section("", nodes.title("", "Part"), ids=["part"])
    known = {"": (3,), "#part": (3, 1)}
    assert plain.Writer({}, None, {"section": known}, None).title(part) == "3.1. Part"
    known["#part"] = None
    assert plain.Writer({}, None, {"section": known}, None).title(part) == "Part"


def test_no_bar_within_a_table_begins_a_cell():
    cells = [paragraph(nodes.math("", "|a|")), paragraph(text("b | c"))]
    row = nodes.row("", *[nodes.entry("", cell) for cell in cells])
    table = nodes.table("", nodes.tgroup("", nodes.tbody("", row)))
    assert writer().blocks(table)[0].splitlines()[0] == r"| $\vert a\vert $ | b \| c |"


@pytest.mark.parametrize(
    ("address", "pages"),
    [
        ("https://github.com/Somebody/a-book", "https://somebody.github.io/a-book/"),
        ("https://example.org/somebody/a-book", None),
        (None, None),
    ],
)
def test_where_the_pages_are_published(monkeypatch, address, pages):
    monkeypatch.setattr(repository, "address", lambda: address)
    assert repository.pages() == pages
