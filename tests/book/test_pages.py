"""The built pages: no dead link, and each in a real browser that can reach nothing but the book."""

import functools
import html.parser
import re
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin

import browser
import nbformat
import pytest
from benchpred_book import repository
from benchpred_book.build import pairs

from benchpred_utils.evaluate.advice import items_for

pytestmark = pytest.mark.browser  # `make pages`, after `make book` or `make html`
PHONE, DESK = 390, 1280
SCREEN = 900  # the height of the first screen
MATHJAX, VEGA = "_static/mathjax/tex-mml-chtml.js", "_static/vega-bundle.js"


def page_names():
    """Every page that a reader can open, by its address in the book."""
    return [f"{page}.html" for page in pairs.pages()] + ["search.html", "genindex.html"]


@pytest.fixture(scope="session")
def book():
    """The folder of the built pages."""
    folder = repository.root() / "_build" / "html"
    assert (folder / "index.html").exists(), "the pages are not built: make html"
    return folder


@pytest.fixture(scope="session")
def chrome():
    """A Chromium that can reach nothing but this machine; skips, saying so, where there is none."""
    why = browser.missing()
    if why and browser.REQUIRED:
        pytest.fail(f"the browser is required here, and missing: {why}")
    if why:
        pytest.skip(f"the pages were not opened in a browser: {why}")
    with browser.chromium() as running:
        yield running


@pytest.fixture(scope="session")
def address(book):
    with browser.served(book) as address:
        yield address


@pytest.fixture(scope="session")
def chart_page(book):
    """The page with the most charts."""
    pages = book.rglob("notebooks/*.html")
    count = {path: path.read_text(encoding="utf-8").count("benchpred-chart") for path in pages}
    return max(count, key=count.get).relative_to(book).as_posix()


# Without a browser


class _Links(html.parser.HTMLParser):
    """The targets (ids) and the links (href, src) of a page."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links = set(), set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.ids |= {attributes[key] for key in ("id", "name") if attributes.get(key)}
        self.links |= {attributes[key] for key in ("href", "src") if attributes.get(key)}


@functools.cache
def links_of(page: Path) -> _Links:
    return _Links(page.read_text(encoding="utf-8"))


def broken_links(page: Path, root: Path) -> list[str]:
    """The links of a page to a file or a place in the book that is not there."""
    broken = []
    for link in sorted(links_of(page).links):
        if link.startswith(("http:", "https:", "data:", "mailto:", "javascript:")):
            continue
        address, anchor = urldefrag(urljoin(page.relative_to(root).as_posix(), link))
        target = root / unquote(address.split("?")[0])
        if not target.is_file():
            broken.append(link)
        elif anchor and target.suffix == ".html" and unquote(anchor) not in links_of(target).ids:
            broken.append(link)
    return broken


def test_every_page_of_the_contents_was_built(book):
    assert [name for name in page_names() if not (book / name).is_file()] == []


def test_no_internal_link_is_broken(book):
    pages = [page for page in book.rglob("*.html") if "_static" not in page.parts]
    assert {
        str(page.relative_to(book)): broken
        for page in pages
        if (broken := broken_links(page, book))
    } == {}


def test_a_broken_link_is_found(tmp_path):
    (tmp_path / "a.html").write_text(
        '<a href="b.html#here">b</a><a href="#top">a</a><h1 id="top">A</h1>'
    )
    (tmp_path / "b.html").write_text('<h1 id="there">B</h1><img src="c.png">')
    assert broken_links(tmp_path / "a.html", tmp_path) == ["b.html#here"]
    assert broken_links(tmp_path / "b.html", tmp_path) == ["c.png"]


def test_the_book_holds_what_its_pages_load(book):
    assert "window.vegaEmbed" in (book / VEGA).read_text(encoding="utf-8")
    assert (book / MATHJAX).is_file() and list(
        (book / "_static/mathjax/output/chtml/fonts").rglob("*.woff")
    )
    loading = [
        page.name for page in book.rglob("*.html") if VEGA in page.read_text(encoding="utf-8")
    ]
    assert loading == [], "charts.js loads Vega, where there are charts"


class _Words(html.parser.HTMLParser):
    """The text of a page as it is read, without the code of cells, scripts and formulas."""

    SKIPPED = {"script", "style"}
    MARKED = {"highlight", "math"}  # classes of boxes: code, and formulas in their source

    def __init__(self, text):
        super().__init__()
        self.open, self.words = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        classes = set((dict(attributes).get("class") or "").split())
        skipped = tag in self.SKIPPED or bool(classes & self.MARKED)
        if skipped or self.open:
            self.open.append((tag, skipped))

    def handle_endtag(self, tag):
        if tag in [name for name, _ in self.open]:
            while self.open.pop()[0] != tag:
                pass

    def handle_data(self, data):
        if not self.open:
            self.words.append(data)


LEAK = re.compile(
    r"```|:::|\{[a-z]+:[a-z]+\}|\{(?:ref|eq|cite|numref|term|eval|math|prf|glue|exercise|dropdown)\}"
    r"|\*\*\w|^\([\w-]+\)=",
    re.MULTILINE,
)


def leaked_markup(text: str) -> list[str]:
    """What of MyST's markup stands in the text of a page, each with some words after it."""
    words = "".join(_Words(text).words)
    return [words[leak.start() :][:40] for leak in LEAK.finditer(words)]


@pytest.mark.parametrize("name", [f"{page}.html" for page in pairs.pages()])
def test_no_markup_is_left_in_the_text(book, name):
    assert leaked_markup((book / name).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "text",
    [
        "<p>````{prf:theorem} Ville (after <code>x</code>)</p>",
        "<p><code>{prf:theorem} Ville</code></p>",
        "<p>It is {eval}<code>gap</code>.</p>",
        "<p>It is {glue:text}<code>gap</code>.</p>",
        "<p>see {cite}<code>nobody</code></p>",
        "<p>**bold</p>",
        "<div>(a-label)=</div>",
    ],
)
def test_markup_in_the_text_is_found(text):
    code = '<div class="highlight"><pre>f(**x) # {cite}</pre></div><script>"```"</script>'
    assert leaked_markup(f"<main>{code}{text}</main>")
    assert leaked_markup(f"<main>{code}<p>f(x) = 2, $a$</p></main>") == []


def test_every_stored_chart_is_in_its_page(book):
    for name in pairs.chapter_names():
        notebook = pairs.read_stored(name)
        outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
        n_charts = sum("benchpred_chart" in output.get("metadata", {}) for output in outputs)
        page = (book / "notebooks" / f"{name}.html").read_text(encoding="utf-8")
        assert page.count('class="benchpred-chart"') == n_charts


def test_the_buttons_are_those_of_the_building_repository(book):
    page = (book / "notebooks" / "index.html").read_text(encoding="utf-8")
    address = repository.address()
    if address:
        owner = address.split("/", 3)[3]
        binder = f"https://mybinder.org/v2/gh/{owner}/{repository.commit()}?urlpath=lab/tree/"
        assert f"{binder}_build/plain/index.ipynb" in page
        copy = f"{owner}/blob/plain/index.ipynb"
        for place in ("https://colab.research.google.com/github/", "https://github.com/"):
            assert (place + copy in page) == address.startswith("https://github.com/")
    else:
        assert "mybinder.org" not in page and "issues/new" not in page


def test_the_notebooks_of_the_pages_fetch_the_book_on_colab_where_there_is_an_address(book):
    for path in (book / "_sources" / "notebooks").glob("*.ipynb"):
        ids = [cell.get("id") for cell in nbformat.read(path, as_version=4).cells]
        assert ids.count("colab") == bool(repository.address())


# In a browser


def faults(page, complaints, outside) -> list[str]:
    """What is wrong with a page, in words."""
    browser.wait_until_ready(page)
    state = page.evaluate(browser.STATE)
    found = [f"console: {text}" for text in complaints] + [
        f"asked of outside: {url}" for url in outside
    ]
    if state["drawn"] != state["charts"]:
        found.append(
            f"{state['charts'] - state['drawn']} of {state['charts']} charts are not drawn"
        )
    found += [f"formula not set: {text}" for text in state["unset"]]
    found += [f"formula with an error: {text}" for text in state["errors"]]
    found += [f"raw markup in the text: {text}" for text in state["raw"]]
    if state["overflow"] > 0:
        found.append(f"the page scrolls sideways, by {state['overflow']} pixels")
    if page.viewport_size["width"] >= DESK:
        if state["answer"] > SCREEN:
            found.append(f"the answer ends below the first screen, at {state['answer']:.0f} pixels")
        found += [f"wider than the page: {text}" for text in page.evaluate(browser.WIDE)]
    found += [f"printed over one another: {text}" for text in page.evaluate(browser.OVERPRINTED)]
    return found + browser.accessibility_faults(page)


@pytest.mark.parametrize("width", [DESK, PHONE])
@pytest.mark.parametrize("name", page_names())
def test_the_page_is_right_in_light_and_dark(chrome, address, name, width):
    with browser.open_page(chrome, f"{address}/{name}", width) as opened:
        for scheme in ("light", "dark"):
            opened[0].emulate_media(color_scheme=scheme)
            assert (scheme, faults(*opened)) == (scheme, [])
            assert opened[0].evaluate("document.documentElement.dataset.theme") == scheme


def test_vega_is_loaded_once_and_charts_follow_the_theme(chrome, address, chart_page):
    loads = []
    with browser.open_page(chrome, f"{address}/{chart_page}") as (page, complaints, _):
        page.on(
            "request", lambda request: loads.append(request.url) if VEGA in request.url else None
        )
        page.reload()
        browser.wait_until_ready(page)
        text = "document.querySelector('.benchpred-canvas .role-axis-label text')"
        ink = f"() => getComputedStyle({text}).fill"
        light = page.evaluate(ink)
        page.evaluate("document.documentElement.dataset.theme = 'dark'")
        page.wait_for_function(f"before => ({ink})() !== before", arg=light, timeout=10_000)
        assert page.evaluate(browser.STATE)["drawn"] == page.evaluate(browser.STATE)["charts"] > 0
        assert len(loads) == 1 and complaints == []


def test_a_slider_moves_its_chart_and_stays_where_it_was_left(chrome, address):
    written = "document.querySelector('.benchpred-canvas svg').textContent"
    with browser.open_page(chrome, f"{address}/notebooks/intervals.html") as (page, complaints, _):
        browser.wait_until_ready(page)
        sliders = page.locator(".benchpred-controls input")
        assert sliders.count() == 2 and "25 items" in page.evaluate(written)
        assert page.locator("[aria-hidden=true] input, [role=img] input").count() == 0
        sliders.first.focus()
        page.keyboard.press("ArrowRight")
        page.wait_for_function(f"() => {written}.includes('30 items')", timeout=10_000)
        page.evaluate("document.documentElement.dataset.theme = 'dark'")
        page.wait_for_timeout(3_000)
        assert "30 items" in page.evaluate(written)
        assert [slider.input_value() for slider in sliders.all()] == ["30", "0.95"]
        assert complaints == []


def test_a_menu_moves_its_chart(chrome, address):
    drawn = "document.querySelector('.benchpred-canvas svg').innerHTML"
    page_of = f"{address}/notebooks/model_similarity.html"
    with browser.open_page(chrome, page_of) as (page, complaints, _):
        browser.wait_until_ready(page)
        before = page.evaluate(drawn)
        menu = page.locator(".benchpred-controls select")
        assert menu.count() == 1 and menu.input_value() == "agreement, mean"
        menu.select_option("kappa, mean")
        page.wait_for_function(f"before => {drawn} !== before", arg=before, timeout=10_000)
        assert complaints == []


def test_the_calculator_gives_the_number_of_items(chrome, address):
    written = "document.querySelector('.benchpred-canvas svg').textContent"
    with browser.open_page(chrome, f"{address}/notebooks/how_many_items.html") as (page, *_):
        browser.wait_until_ready(page)
        sliders = page.locator(".benchpred-controls input").all()
        start = [float(slider.input_value()) for slider in sliders]
        for case in (start, [450, 0.95, 3, 2.1], [5000, 0.5, 1.5, 1]):
            for slider, value in zip(sliders, case):
                slider.fill(f"{value:g}")
            size, accuracy, points, worth = case
            for ess in (1, worth):
                n = items_for(points / 100, int(size), accuracy, ess)
                page.wait_for_function(f"() => {written}.includes(': {n:,} items')", timeout=10_000)


def test_the_address_of_a_chapter_that_is_gone_leads_to_the_new_one(chrome, address):
    with browser.open_page(chrome, f"{address}/notebooks/twenty_percent.html#ex-twenty-2") as (
        page,
        complaints,
        _,
    ):
        page.wait_for_url("**/how_many_items.html#ex-twenty-2", timeout=10_000)
        assert complaints == []


def test_without_javascript_the_pictures_are_seen(chrome, address, chart_page):
    with browser.open_page(chrome, f"{address}/{chart_page}", javascript=False) as (
        page,
        _,
        outside,
    ):
        for picture in page.locator(".benchpred-chart img").all():
            assert picture.is_visible() and picture.get_attribute("alt").strip()
            assert picture.bounding_box()["width"] > 100
        assert outside == []


def test_when_vega_fails_the_pictures_stay(chrome, address, chart_page):
    with browser.open_page(chrome, f"{address}/search.html") as (page, complaints, _):
        page.route(f"**/{VEGA}", lambda route: route.abort())
        page.goto(f"{address}/{chart_page}")
        page.wait_for_timeout(500)
        assert all(picture.is_visible() for picture in page.locator(".benchpred-chart img").all())
        assert any("stay pictures" in text for text in complaints)


def test_the_search_finds_a_word_of_the_text(chrome, address):
    with browser.open_page(chrome, f"{address}/search.html?q=core+set") as (page, complaints, _):
        page.wait_for_function(
            "document.querySelector('.search-summary').innerText", timeout=60_000
        )
        page.wait_for_load_state("networkidle")  # the summaries are taken from the pages found
        results = page.locator("#search-results li")
        assert results.count() == results.locator("p.context").count() > 0
        assert complaints == []


def test_a_quiz_is_answered_by_the_keyboard_and_without_javascript(chrome, address):
    quizzes = f"{address}/book/pages/quizzes.html"
    with browser.open_page(chrome, quizzes, javascript=False) as (page, _, _):
        choices = page.locator("details.sd-dropdown")
        assert choices.count() > 50 and page.get_by_text("Right.").first.is_hidden()
        right = choices.filter(has_text="Right.").first
        right.locator("summary").focus()
        page.keyboard.press("Enter")
        assert right.get_by_text("Right.").is_visible()
        assert page.locator("details[open].sd-dropdown").count() == 1
        page.emulate_media(media="print")
        assert choices.filter(has_text="Right.").last.get_by_text("Right.").is_hidden()


WIDE_TABLE = "<table style='width: 3000px'><tr><td>a</td></tr></table>"
MATH = "<mjx-math style='display: inline-block; width: {}px'>x</mjx-math>"
WIDE_FORMULA = f"<div class='math'><mjx-container>{MATH.format(3000)}</mjx-container></div>"
NUMBER = "<span class='eqno' style='position: absolute; left: 600px'>(1)</span>"
NUMBERED_FORMULA = f"<div class='math'>{NUMBER}{MATH.format(700)}<mjx-container></div>"
LABELS = "<svg><text x='10' y='50'>one</text><text x='25' y='52'>two</text></svg>"
TURN = "transform='translate(50, 50) rotate(-45)'"
TURNED = f"<svg><text {TURN}>one</text><text {TURN} x='12'>two</text></svg>"
APART = f"<svg><text {TURN}>one</text><text {TURN} y='20'>two</text></svg>"


def test_turned_labels_side_by_side_are_not_printed_over_one_another(chrome, tmp_path):
    (tmp_path / "index.html").write_text(f"<div class='benchpred-canvas'>{APART}</div>")
    with browser.served(tmp_path) as own, browser.open_page(chrome, f"{own}/index.html") as opened:
        assert opened[0].evaluate(browser.OVERPRINTED) == []


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ('<div class="benchpred-chart" data-state="failed"><img alt="x"></div>', "not drawn"),
        ('<span class="math">\\(x\\)</span>', "formula not set"),
        ('<div class="bd-article"><p>see {cite}`nobody`</p></div>', "raw markup"),
        ("<script>undefined.x</script>", "console"),
        ('<img alt="a" src="http://example.org/a.png">', "asked of outside"),
        ('<div style="width: 3000px">wide</div>', "scrolls sideways"),
        ("<div class='bd-article'><p style='margin-top: 950px'>Answer. x</p></div>", "answer ends"),
        (f"<div class='bd-article' style='overflow-x: auto'>{WIDE_TABLE}</div>", "wider than"),
        (f"<div class='bd-article' style='overflow-x: auto'>{WIDE_FORMULA}</div>", "wider than"),
        (f"<div class='bd-article'>{NUMBERED_FORMULA}</div>", "under its number"),
        (f"<div class='benchpred-canvas'>{LABELS}</div>", "one / two"),
        (f"<div class='benchpred-canvas'>{TURNED}</div>", "one / two"),
        ('<img src="/a.png">', "image-alt"),
    ],
)
def test_a_bad_page_is_found(chrome, tmp_path, monkeypatch, body, fault):
    monkeypatch.setattr(browser, "READY_SECONDS", 1)
    (tmp_path / "index.html").write_text(
        f'<html lang="en"><title>t</title><body><main>{body}</main></body></html>'
    )
    with browser.served(tmp_path) as own, browser.open_page(chrome, f"{own}/index.html") as opened:
        assert any(fault in found for found in faults(*opened))


# On paper

PAPER = """() => {
  const seen = node => node.getClientRects().length > 0
    && getComputedStyle(node).visibility === 'visible';
  const all = selector => [...document.querySelectorAll(selector)];
  const article = document.querySelector('.bd-article').getBoundingClientRect();
  const rgb = colour => colour.match(/[\\d.]+/g).slice(0, 3).map(Number);
  const ink = all('.bd-article :is(p, li, td, th, figcaption, h2, pre)').filter(seen)
    .map(node => Math.max(...rgb(getComputedStyle(node).color)));
  return {
    around: all('.bd-sidebar-primary, .bd-sidebar-secondary, .bd-header, .bd-header-article')
      .concat(all('.bd-footer, .copybtn'))
      .filter(seen).map(node => node.className),
    width: article.width / document.documentElement.clientWidth,
    cut: all('.bd-article :is(pre, table, .benchpred-chart, img)').filter(seen)
      .filter(node => node.getBoundingClientRect().right > article.right + 2
        || node.scrollWidth > node.clientWidth + 2)
      .map(node => node.outerHTML.slice(0, 120)),
    charts: all('.benchpred-chart').length,
    pictures: all('.benchpred-chart img').filter(seen).length,
    canvases: all('.benchpred-canvas').filter(seen).length,
    solutions: all('.solution').length,
    open: all('.solution').filter(node => [
      ...node.querySelectorAll('p:not(.admonition-title), pre')
    ].every(part => part.closest('details')
      || seen(part) && getComputedStyle(part).opacity === '1')).length,
    paper: rgb(getComputedStyle(document.body).backgroundColor),
    palest: Math.max(...ink),
  };
}"""
A4_PIXELS = 680  # the width of the text on A4, in pixels of CSS


def on_paper(opened, scheme):
    """What a page looks like in print, its folds closed and its scripts done."""
    page, _, _ = opened
    page.wait_for_function(
        "[...document.querySelectorAll('.benchpred-chart')]"
        ".every(box => box.dataset.state || !box.clientWidth)"
    )
    page.emulate_media(media="print", color_scheme=scheme)
    page.wait_for_timeout(300)
    return page.evaluate(PAPER)


@pytest.mark.parametrize(
    "name", [name for name in page_names() if name.startswith(("notebooks/", "book/"))]
)
def test_a_printed_page_is_readable(chrome, address, name):
    """Nothing is cut off, charts are pictures, solutions open; dark pages print as light."""
    with browser.open_page(chrome, f"{address}/{name}", A4_PIXELS, "dark") as opened:
        paper = on_paper(opened, "dark")
    assert (paper["around"], paper["cut"], paper["canvases"]) == ([], [], 0)
    assert paper["width"] > 0.98
    assert paper["pictures"] == paper["charts"] and paper["open"] == paper["solutions"]
    assert paper["paper"] == [255, 255, 255] and paper["palest"] < 130


def test_a_page_without_styles_for_paper_is_found(chrome, address, chart_page):
    """The negative control: without the book's own styles the checks above fail."""
    with browser.open_page(chrome, f"{address}/search.html", A4_PIXELS, "dark") as opened:
        opened[0].route("**/custom.css*", lambda route: route.abort())
        opened[0].goto(f"{address}/{chart_page}")
        paper = on_paper(opened, "dark")
    assert paper["cut"] and paper["palest"] > 130 and paper["open"] < paper["solutions"]
