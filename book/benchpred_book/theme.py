"""The look of the book's charts."""

import os

import altair as alt

from .stored_charts import stored_output

__all__ = ["NEUTRAL", "PALETTE", "enable", "theme"]

# The colours of all that is no method: splits, intervals, benchmarks, families. They are told apart
# under every kind of colour blindness, and from the colours of the methods (charts.METHOD_STYLES).
PALETTE = ["#6A55C9", "#B8295A", "#8EA619", "#158C8C", "#8A6420", "#B07CC9"]
NEUTRAL = "#808080"  # reference lines and rules: seen on a white page and on a dark one
INK = "#24292f"
MUTED = "#59636e"
GRID = "#e4e7eb"


def theme() -> dict:
    """The Vega-Lite configuration of every chart: transparent, readable, without lost colours."""
    text = {"labelColor": INK, "titleColor": INK, "labelFontSize": 12, "titleFontSize": 13}
    lines = {"domainColor": MUTED, "tickColor": MUTED, "gridColor": GRID}
    symbol = {
        "symbolSize": 110,
        "symbolStrokeWidth": 2,
        "symbolBaseFillColor": NEUTRAL,
        "symbolBaseStrokeColor": NEUTRAL,
    }
    config = {
        "background": "transparent",
        "aria": False,  # the picture's description says it; a label on each mark would be noise
        "font": "sans-serif",
        "view": {"stroke": None, "continuousWidth": 560, "continuousHeight": 300},
        "axis": text | lines | {"titleFontWeight": "normal", "titlePadding": 8},
        "axisBand": {"grid": False},
        "legend": text | symbol | {"titleFontWeight": "normal", "labelLimit": 280},
        "header": text | {"titleFontWeight": "normal", "labelFontSize": 13},
        "title": {"color": INK, "fontSize": 14, "fontWeight": "normal", "anchor": "start"},
        "mark": {"color": PALETTE[0], "tooltip": True},
        "line": {"strokeWidth": 2.25},
        "trail": {"color": PALETTE[0]},
        "point": {"size": 55, "filled": True, "opacity": 0.9},
        "circle": {"size": 55, "opacity": 0.9},
        "rule": {"color": NEUTRAL},
        "text": {"color": INK, "fontSize": 12},
        "range": {"category": PALETTE, "diverging": {"scheme": "blueorange"}}
        | dict.fromkeys(("heatmap", "ramp", "ordinal"), {"scheme": "viridis"}),
    }
    return {"config": config}


def enable() -> None:
    """Turn on the theme; where BENCHPRED_STATIC_CHARTS is 1 also the renderer of stored charts."""
    alt.theme.register("benchpred", enable=True)(theme)
    if os.environ.get("BENCHPRED_STATIC_CHARTS") == "1":
        alt.renderers.register("benchpred", stored_output)
        alt.renderers.enable("benchpred")
        # Data stand where they are used: a set apart would be named by a hash of all its digits.
        alt.data_transformers.consolidate_datasets = False
