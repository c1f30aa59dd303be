"""How charts are stored so that a page needs no network.

While the book is executed a chart is stored as a picture (SVG) with its description, and its
Vega-Lite spec beside it in the output's metadata.  :class:`ChartRenderer` writes both into the
page, where ``book/_static/charts.js`` makes the chart interactive.
"""

import base64
import html
import json
import math
import re

import altair as alt

__all__ = ["ChartRenderer", "OUTPUT_KEY", "stable", "stored_output", "vega_lite_version"]

DIGITS = 5  # significant digits of the numbers stored with a chart
STATIC_WIDTH = 640  # pixels of a stored picture whose chart fills its container
OUTPUT_KEY = "benchpred_chart"  # the entry of an output's metadata


def stored_output(spec: dict) -> tuple[dict, dict]:
    """A chart as a notebook stores it: the picture and its description, the spec in the metadata.

    `spec` is a Vega-Lite spec. Raises ValueError when it has no description.
    """
    import vl_convert  # not installed where the book is only read: on Colab

    description = str(spec.get("description") or "").strip()
    if not description:
        raise ValueError(
            "a chart needs a description: end it with "
            ".properties(description='one sentence: what is seen')"
        )
    spec = stable(spec)
    sized = spec | {"width": STATIC_WIDTH} if spec.get("width") == "container" else spec
    picture = vl_convert.vegalite_to_svg(sized, vl_version=vega_lite_version())
    about = {"spec": spec, "description": description, "drawn_by": vl_convert.__version__}
    return {"image/svg+xml": _renumbered(picture), "text/plain": description}, {OUTPUT_KEY: about}


def vega_lite_version() -> str:
    """Altair's Vega-Lite version as vl_convert names it: 'v6.4.1' is '6.4'."""
    return ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])


def stable(spec: dict) -> dict:
    """The spec with rounded data, under names that do not depend on their last digits."""
    spec = _rounded(spec)
    names = {old: f"data-{number}" for number, old in enumerate(spec.get("datasets", {}), start=1)}
    datasets = {names[old]: rows for old, rows in spec.pop("datasets", {}).items()}
    return _renamed(spec, names) | ({"datasets": datasets} if names else {})


def _rounded(value):
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, (list, tuple)) else value


def _renamed(value, names):
    """Replace the name in every reference to a data set, {"data": {"name": ...}}."""
    if isinstance(value, list):
        return [_renamed(item, names) for item in value]
    if not isinstance(value, dict):
        return value
    result = {key: _renamed(item, names) for key, item in value.items()}
    data = result.get("data")
    if isinstance(data, dict) and data.get("name") in names:
        result["data"] = data | {"name": names[data["name"]]}
    return result


def _renumbered(picture: str) -> str:
    """The same picture with ids that count from 1: vl_convert counts on from the last picture."""
    numbers = {}

    def number(match):
        return f"{match[1]}{numbers.setdefault(match[0], len(numbers) + 1)}"

    return re.sub(r"\b(clip|gradient_)\d+\b", number, picture)


def chart_html(picture: str, spec: dict, description: str) -> str:
    """A chart as the page holds it: the picture, until charts.js has drawn the spec beside it."""
    encoded = base64.b64encode(picture.encode()).decode()
    safe = json.dumps(spec, separators=(",", ":")).replace("<", "\\u003c")  # no </script> inside
    return (
        '<div class="benchpred-chart">'
        f'<img alt="{html.escape(description)}" src="data:image/svg+xml;base64,{encoded}">'
        f'<script type="application/json">{safe}</script></div>'
    )


class ChartRenderer:
    """Draws a stored chart in the book (an entry point of myst-nb)."""

    mime_priority_overrides = ()

    @staticmethod
    def handle_mime(renderer, data, inline):
        """The nodes of a stored chart, or None for any other output."""
        stored = data.output_metadata.get(OUTPUT_KEY)
        if not stored or data.mime_type != "image/svg+xml":
            return None
        from docutils import nodes  # there only where the book is built

        text = chart_html(data.content, stored["spec"], stored["description"])
        return [nodes.raw(text=text, format="html", classes=["output"])]
