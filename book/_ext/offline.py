"""Put into the built book what its pages would load from the network: MathJax and Vega."""

import importlib.util
import shutil
from pathlib import Path

MATHJAX = "tex-mml-chtml.js"
# Of MathJax's 24 MB: the program, the fonts it sets formulas in, and the TeX macros it may load.
MATHJAX_PARTS = [MATHJAX, "output/chtml/fonts/woff-v2/*.woff", "input/tex/extensions/*.js"]
VEGA_BUNDLE = "vega-bundle.js"
# A search result may point to an anchor without text, for which Sphinx makes no summary (null) and
# then appends it; the text of the page serves instead.
SEARCH = "searchtools.js"
ANCHOR_TEXT = "if (anchorContent) return anchorContent.textContent;"
LANGUAGES = {"notebooks/zh_intro": "zh-CN"}  # of pages that are not in the book's own
WORDS = {  # of the theme, in those languages
    "zh-CN": {
        "Show code cell source": "显示代码",
        "Hide code cell source": "隐藏代码",
        "Fig. ": "图 ",
    }
}


def mathjax_folder() -> Path:
    """Where the package sphinx-mathjax-offline keeps MathJax (its module has no valid name)."""
    spec = importlib.util.find_spec("sphinx-mathjax-offline")
    if spec is None:
        raise RuntimeError("the package sphinx-mathjax-offline is not installed: run `make setup`")
    return Path(spec.submodule_search_locations[0], "static", "mathjax")


def copy_mathjax(target: Path) -> None:
    """Copy the parts of MathJax that a page can ask for into ``target``."""
    source = mathjax_folder()
    for part in MATHJAX_PARTS:
        files = list(source.glob(part))
        if not files:
            raise RuntimeError(f"sphinx-mathjax-offline has no {part}")
        for file in files:
            copy = target / file.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)


def vega_bundle() -> str:
    """Vega, Vega-Lite and vega-embed in one script that defines ``window.vegaEmbed``."""
    import vl_convert
    from benchpred_book.stored_charts import vega_lite_version

    script = vl_convert.javascript_bundle(
        "window.vegaEmbed = vegaEmbed;", vl_version=vega_lite_version()
    )
    if (
        "window.vegaEmbed" not in script
    ):  # a snippet that vl_convert can't use is dropped without a word
        raise RuntimeError("vl_convert made a bundle without vegaEmbed")
    return f"(() => {{\n{script}\n}})();\n"


def write_assets(app, exception) -> None:
    """Write MathJax and the Vega bundle into the static folder of the finished HTML."""
    if exception is not None or app.builder.format != "html":
        return
    static = Path(app.outdir, "_static")
    copy_mathjax(static / "mathjax")
    (static / VEGA_BUNDLE).write_text(vega_bundle(), encoding="utf-8")
    mend_search(static / SEARCH)


def mend_search(script: Path) -> None:
    """Let a search result whose anchor has no text show the text of its page."""
    text = script.read_text(encoding="utf-8")
    if ANCHOR_TEXT not in text:
        raise RuntimeError(f"{SEARCH} is another one: does it still append an empty summary?")
    mended = ANCHOR_TEXT.replace("(anchorContent)", "(anchorContent?.textContent.trim())")
    script.write_text(text.replace(ANCHOR_TEXT, mended), encoding="utf-8")


def mend_page(app, pagename, templatename, context, doctree) -> None:
    """Mend what other extensions leave in a page: a script of Thebe's, and a list without items.

    Thebe would fetch its program from a CDN; the roles are those that a screen reader wants of a
    bibliography.
    """
    scripts = context.get("script_files", [])
    context["script_files"] = [script for script in scripts if "thebe" not in _described(script)]
    if "body" in context and pagename in LANGUAGES:
        language = LANGUAGES[pagename]
        context["body"] = f'<div lang="{language}">{in_language(language, context["body"])}</div>'
    if "body" in context:
        context["body"] = context["body"].replace('role="doc-biblioentry"', 'role="listitem"')


def in_language(language: str, body: str) -> str:
    """The body of a page with the theme's words in its language."""
    for english, word in WORDS[language].items():
        body = body.replace(english, word)
    return body


def _described(script) -> str:
    """The address and the text of a script, in small letters."""
    body = getattr(script, "attributes", {}).get("body", "")
    return f"{getattr(script, 'filename', script)} {body}".lower()


def setup(app):
    app.config.mathjax_path = f"mathjax/{MATHJAX}"
    app.connect("html-page-context", mend_page, priority=900)
    app.connect("build-finished", write_assets)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
