"""The built book in headless Chromium, with every name but this machine's address blocked."""

import functools
import http.server
import json
import os
import shutil
import threading
from contextlib import contextmanager
from pathlib import Path

REQUIRED = os.environ.get("BENCHPRED_REQUIRE_BROWSER") == "1"
READY_SECONDS = 30
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND,EXCLUDE 127.0.0.1",
]

# Runs in the page: what a page that is ready must have, and what it must not.
STATE = """() => {
  const charts = [...document.querySelectorAll('.benchpred-chart')];
  const maths = [...document.querySelectorAll('.math')];
  const text = [...document.querySelectorAll('.bd-article :is(p, li, td, figcaption)')];
  const answer = text.find(node => node.textContent.trim().startsWith('Answer.'));
  return {
    charts: charts.length,
    drawn: charts.filter(box => {
      const svg = box.querySelector('.benchpred-canvas svg');
      return svg && svg.getBoundingClientRect().width > 40 && svg.querySelector('.mark-group')
        && box.querySelector('[role=img]').getAttribute('aria-label').trim()
        && box.querySelector('img').hidden;
    }).length,
    formulas: maths.length,
    unset: maths.filter(node => !node.querySelector('mjx-container'))
      .map(node => node.textContent.slice(0, 80)),
    errors: [...document.querySelectorAll('mjx-merror, [data-mjx-error]')]
      .map(node => node.textContent.slice(0, 80)),
    raw: text.map(node => node.innerText)
      .filter(words => /\\\\\\(|\\\\\\[|\\$\\$|\\{(ref|eq|cite|numref|glue)/.test(words))
      .map(words => words.slice(0, 80)),
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    answer: answer ? answer.getBoundingClientRect().bottom + window.scrollY : 0,
    theme: document.documentElement.dataset.theme,
  };
}"""
# What a reader has to scroll sideways for, and formulas that run under their number.
WIDE = """() => {
  const all = selector => [...document.querySelectorAll(`.bd-article ${selector}`)]
    .filter(node => node.getClientRects().length > 0);
  const right = node => node.getBoundingClientRect().right;
  const holder = node => {
    let box = node.parentElement;
    while (!box.matches('.bd-article') && getComputedStyle(box).overflowX === 'visible')
      box = box.parentElement;
    return box;
  };
  const isCut = node => right(node) > right(holder(node)) + 1;
  const numberOf = formula => formula.closest('.math').querySelector('.eqno');
  const isUnder = (formula, number) =>
    number && right(formula) > number.getBoundingClientRect().left;
  const said = node => node.textContent.trim().replace(/\\s+/g, ' ').slice(0, 60);
  const formulas = all('.math mjx-math');
  return [
    ...all('table').filter(isCut).map(table => `table: ${said(table)}`),
    ...formulas.filter(isCut).map(formula => `formula: ${said(formula)}`),
    ...formulas.filter(formula => isUnder(formula, numberOf(formula)))
      .map(formula => `under its number: ${said(formula)}`),
  ];
}"""
# Labels of a chart that are printed over one another. Their boxes, a little smaller and turned as
# the labels are, touch unless the shadows on the sides of one of them are apart.
OVERPRINTED = """() => {
  const corners = text => {
    const box = text.getBBox();
    const [left, right] = [box.x + 0.03 * box.width, box.x + 0.97 * box.width];
    const [top, bottom] = [box.y + 0.22 * box.height, box.y + 0.78 * box.height];
    return [[left, top], [right, top], [right, bottom], [left, bottom]]
      .map(([x, y]) => new DOMPoint(x, y).matrixTransform(text.getScreenCTM()));
  };
  const sides = shape => [0, 1].map(i =>
    ({x: shape[i + 1].x - shape[i].x, y: shape[i + 1].y - shape[i].y}));
  const areApart = (one, other) => [...sides(one), ...sides(other)].some(side => {
    const [a, b] = [one, other].map(shape => shape.map(({x, y}) => x * side.x + y * side.y));
    return Math.max(...a) <= Math.min(...b) || Math.max(...b) <= Math.min(...a);
  });
  const isSeen = text => text.textContent.trim() && text.getBBox().width > 0
    && Number(getComputedStyle(text).opacity) > 0;
  const found = [];
  for (const chart of document.querySelectorAll('.benchpred-canvas svg')) {
    const labels = [...chart.querySelectorAll('text')].filter(isSeen);
    const [shapes, words] = [labels.map(corners), labels.map(label => label.textContent)];
    shapes.forEach((shape, i) => shapes.slice(0, i).forEach((other, j) => {
      if (!areApart(shape, other)) found.push(`${words[j]} / ${words[i]}`);
    }));
  }
  return found;
}"""
# Opens what is folded away: solutions and hidden code.
OPEN = """() => {
  document.querySelectorAll('details:not([open])').forEach(fold => { fold.open = true; });
  document.querySelectorAll('.toggle-button-hidden').forEach(button => button.click());
}"""
# Marks code blocks whose kinds of tokens all stood in earlier ones: their colours were looked at.
MARK = """() => {
  const seen = new Set();
  document.querySelectorAll('.highlight').forEach(block => {
    const kinds = [...block.querySelectorAll('span')]
      .map(token => `${block.parentElement.className} ${token.className}`);
    block.toggleAttribute('data-seen', kinds.length > 0 && kinds.every(kind => seen.has(kind)));
    kinds.forEach(kind => seen.add(kind));
  });
}"""
READY = """() => document.readyState === 'complete'
  && [...document.querySelectorAll('.benchpred-chart')].every(
    box => box.dataset.state && Number(box.dataset.width) === box.clientWidth)
  && document.querySelectorAll('.toggle-hidden').length === 0
  && [...document.querySelectorAll('.math')].every(node => node.querySelector('mjx-container'))"""


def find_chromium() -> str | None:
    """The path of a Chromium ($BENCHPRED_CHROMIUM, or on the PATH), or None."""
    own = os.environ.get("BENCHPRED_CHROMIUM")
    return own or next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)


def missing() -> str:
    """Why no page can be opened in a browser, or ""."""
    try:
        import axe_playwright_python  # noqa: F401
        import playwright.sync_api  # noqa: F401
    except ImportError as error:
        return f"{error.name} is not installed"
    return "" if find_chromium() else "no Chromium on the PATH, nor in $BENCHPRED_CHROMIUM"


class _Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@contextmanager
def served(folder: Path):
    """Serve a folder on this machine's own address; yields the address."""
    handler = functools.partial(_Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


@contextmanager
def chromium():
    """A headless Chromium that can reach nothing but 127.0.0.1."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=CHROMIUM_FLAGS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def open_page(browser, address: str, width=1280, scheme="light", javascript=True):
    """Open a page; yields it, the console's complaints and what is asked of outside."""
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme=scheme,
        java_script_enabled=javascript,
    )
    page, complaints, outside = context.new_page(), [], []
    page.on(
        "console",
        lambda message: complaints.append(message.text) if message.type == "error" else None,
    )
    page.on("pageerror", lambda error: complaints.append(str(error)))
    own = address.split("/", 3)[2]
    page.on(
        "request",
        lambda request: (
            None
            if request.url.startswith((f"http://{own}/", "data:", "blob:"))
            else outside.append(request.url)
        ),
    )
    try:
        page.goto(address, wait_until="load")
        yield page, complaints, outside
    finally:
        context.close()


def wait_until_ready(page) -> None:
    """Open what is folded, wait until charts are drawn and formulas set, or for half a minute."""
    from playwright.sync_api import TimeoutError as PlaywrightTimeout

    page.add_style_tag(content="* { transition: none !important; animation: none !important; }")
    page.evaluate(OPEN)
    page.wait_for_timeout(500)  # the page measures anew what was opened
    try:
        page.wait_for_function(READY, timeout=1000 * READY_SECONDS)
    except PlaywrightTimeout:
        pass


def accessibility_faults(page) -> list[str]:
    """The serious and critical violations that axe-core finds, each with an element that has it."""
    import axe_playwright_python

    source = (
        Path(axe_playwright_python.__file__).with_name("axe.min.js").read_text(encoding="utf-8")
    )
    page.evaluate(source)
    page.evaluate(MARK)
    # A drawn chart is hidden from assistive technology, its box speaks for it.
    context = "{include: [document], exclude: ['.benchpred-canvas svg', '[data-seen]']}"
    # Style sheets are not fetched anew: only the rule on locked orientation would need them.
    found = page.evaluate(
        f"() => axe.run({context}, {{resultTypes: ['violations'], preload: false}})"
    )["violations"]
    return [
        f"{item['id']} ({item['impact']}): "
        + json.dumps([node["html"][:200] for node in item["nodes"][:3]])
        for item in found
        if item["impact"] in ("serious", "critical")
    ]
