"""The look of the book's charts, and how they are stored so that they need no network.

``from benchpred_utils import charts`` turns the theme on. Where ``BENCHPRED_STATIC_CHARTS=1`` (while the book is
executed), a chart is stored as a picture (SVG) with its description, and its Vega-Lite spec beside it in the output's
metadata; :class:`ChartRenderer` writes both into the page, where ``book/_static/charts.js`` makes the chart
interactive. Elsewhere (Jupyter, Colab) Altair's own renderer stays.
"""

import base64
import html
import json
import math
import os
import re

import altair as alt

# Okabe and Ito's colours, told apart under every kind of colour blindness; without their black and their yellow,
# which vanish on a dark page and on a white one.
PALETTE = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]
NEUTRAL = "#808080"  # reference lines and rules: seen on a white page and on a dark one

METHOD_COLORS = {
    "random_sampling": "#56B4E9",
    "k_center_greedy": "#D55E00",
    "random_sampling_learn": "#E69F00",
    "aipw": "#CC79A7",
    "aipw_cross_fitted": "#0072B2",
}
BENCHMARK_LABELS = {
    "openbookqa": "OpenBookQA",
    "gsm8k": "GSM8K",
    "legalbench": "LegalBench",
    "math": "MATH",
    "medqa": "MedQA",
    "mmlu": "MMLU",
}
METHOD_LABELS = {
    "random_sampling": "random sampling",
    "k_center_greedy": "k-center greedy",
    "random_sampling_learn": "random sampling + regression",
    "aipw": "AIPW",
    "aipw_cross_fitted": "AIPW, cross-fitted",
}

DIGITS = 5  # significant digits of the numbers stored with a chart
STATIC_WIDTH = 640  # pixels of a stored picture whose chart fills its container
OUTPUT_KEY = "benchpred_chart"  # the entry of an output's metadata

_INK, _MUTED, _GRID = "#24292f", "#59636e", "#e4e7eb"


def theme() -> dict:
    """The Vega-Lite configuration of every chart: transparent, readable, safe for the colour-blind."""
    axis = {
        "domainColor": _MUTED,
        "tickColor": _MUTED,
        "gridColor": _GRID,
        "labelColor": _INK,
        "titleColor": _INK,
        "labelFontSize": 12,
        "titleFontSize": 13,
        "titleFontWeight": "normal",
        "titlePadding": 8,
    }
    text = {"labelColor": _INK, "titleColor": _INK, "labelFontSize": 12, "titleFontSize": 13}
    symbol = {"symbolSize": 110, "symbolStrokeWidth": 2, "symbolBaseFillColor": NEUTRAL, "symbolBaseStrokeColor": NEUTRAL}
    return {
        "config": {
            "background": "transparent",
            "aria": False,  # the picture and the drawn chart carry the description; a label on each mark is noise
            "font": "sans-serif",
            "view": {"stroke": None, "continuousWidth": 560, "continuousHeight": 300},
            "axis": axis,
            "axisBand": {"grid": False},
            "legend": text | symbol | {"titleFontWeight": "normal", "labelLimit": 280},
            "header": text | {"titleFontWeight": "normal", "labelFontSize": 13},
            "title": {"color": _INK, "fontSize": 14, "fontWeight": "normal", "anchor": "start"},
            "mark": {"color": PALETTE[0], "tooltip": True},
            "line": {"strokeWidth": 2.25},
            "trail": {"color": PALETTE[0]},
            "point": {"size": 55, "filled": True, "opacity": 0.9},
            "circle": {"size": 55, "opacity": 0.9},
            "rule": {"color": NEUTRAL},
            "text": {"color": _INK, "fontSize": 12},
            "range": {
                "category": PALETTE,
                "diverging": {"scheme": "blueorange"},
                "heatmap": {"scheme": "viridis"},
                "ramp": {"scheme": "viridis"},
                "ordinal": {"scheme": "viridis"},
            },
        }
    }


def enable() -> None:
    """Turn on the theme, and the renderer of stored charts where ``BENCHPRED_STATIC_CHARTS`` is 1."""
    alt.theme.register("benchpred", enable=True)(theme)
    if os.environ.get("BENCHPRED_STATIC_CHARTS") == "1":
        alt.renderers.register("benchpred", stored_output)
        alt.renderers.enable("benchpred")


def method_scale(names) -> alt.Scale:
    """The colour scale of the methods ``names``, in their order; an unknown method gets a free colour of the palette.

    The domain are the plain labels of :func:`label`.
    """
    free = iter([color for color in PALETTE if color not in METHOD_COLORS.values()] + PALETTE)
    colors = [METHOD_COLORS[name] if name in METHOD_COLORS else next(free) for name in names]
    return alt.Scale(domain=[label(name) for name in names], range=colors)


def label(name: str) -> str:
    """The plain name of a method."""
    return METHOD_LABELS.get(name, name.replace("_", " "))


def stored_output(spec: dict) -> tuple[dict, dict]:
    """A chart as a notebook stores it: the picture and its description, the spec in the metadata.

    ``spec`` is a Vega-Lite spec. Raises ValueError when it has no description.
    """
    import vl_convert

    description = str(spec.get("description") or "").strip()
    if not description:
        raise ValueError("a chart needs a description: end it with .properties(description='one sentence: what is seen')")
    spec = stable(spec)
    picture = _renumbered(vl_convert.vegalite_to_svg(_fixed_width(spec), vl_version=vega_lite_version()))
    return (
        {"image/svg+xml": picture, "text/plain": description},
        {OUTPUT_KEY: {"spec": spec, "description": description}},
    )


def vega_lite_version() -> str:
    """Altair's Vega-Lite version as vl_convert names it: 'v6.4.1' is '6.4'."""
    return ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])


def stable(spec: dict) -> dict:
    """The spec with rounded data, under names that do not depend on their last digits."""
    spec = _rounded(spec)
    names = {old: f"data-{number}" for number, old in enumerate(spec.get("datasets", {}), start=1)}
    if names:
        spec = _renamed(spec, names)
        spec["datasets"] = {names[old]: rows for old, rows in spec["datasets"].items()}
    return spec


def _rounded(value):
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, (list, tuple)) else value


def _renamed(value, names):
    """Replace the name in every reference to a data set: {"data": {"name": ...}}, {"from": {"data": {...}}}."""
    if isinstance(value, list):
        return [_renamed(item, names) for item in value]
    if not isinstance(value, dict):
        return value
    result = {key: item if key == "datasets" else _renamed(item, names) for key, item in value.items()}
    data = result.get("data")
    if isinstance(data, dict) and data.get("name") in names:
        result["data"] = data | {"name": names[data["name"]]}
    return result


def _fixed_width(spec: dict) -> dict:
    """A picture has no container to fill."""
    return spec | {"width": STATIC_WIDTH} if spec.get("width") == "container" else spec


def _renumbered(picture: str) -> str:
    """The same picture with ids that count from 1: vl_convert counts on from one picture to the next."""
    numbers = {}
    pattern = re.compile(r"\b(clip|gradient_)\d+\b")
    return pattern.sub(lambda match: f"{match[1]}{numbers.setdefault(match[0], len(numbers) + 1)}", picture)


def chart_html(picture: str, spec: dict, description: str) -> str:
    """A stored chart as the page holds it: the picture, shown until charts.js has drawn the spec beside it."""
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
        from docutils import nodes

        text = chart_html(data.content, stored["spec"], stored["description"])
        return [nodes.raw(text=text, format="html", classes=["output"])]


enable()
