"""Small pages at the addresses of chapters that are gone, which lead to the ones in their place."""

from pathlib import Path

MOVED = {
    "notebooks/choosing_a_method": "notebooks/how_many_items",
    "notebooks/twenty_percent": "notebooks/how_many_items",
}
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>This chapter has moved</title>
<link rel="canonical" href="{new}">
<meta http-equiv="refresh" content="0; url={new}">
<script>location.replace("{new}" + location.hash);</script>
</head>
<body><main>
<h1>This chapter has moved</h1>
<p>It is now part of <a href="{new}">another chapter</a>.</p>
</main></body>
</html>
"""


def write_pages(app, exception) -> None:
    """Write them beside the pages that they lead to."""
    if exception is not None or app.builder.format != "html":
        return
    for old, new in MOVED.items():
        page = Path(app.outdir, f"{old}.html")
        page.write_text(PAGE.format(new=f"{Path(new).name}.html"), encoding="utf-8")


def setup(app):
    app.connect("build-finished", write_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
