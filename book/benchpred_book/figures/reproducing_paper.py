"""The charts of notebooks/reproducing_paper.md."""

import altair as alt
import pandas as pd

from .. import charts
from ..theme import NEUTRAL, PALETTE

PLACES = {"right": ("left", 9, -7), "left": ("right", -9, -7), "below": ("left", 7, 11)}
NOT_RIGHT = {"p_irt": "left", "aipw": "below", "anchor_points_weighted": "below"}
SPLITS = ["interpolation", "extrapolation"]


def two_splits(near, far):
    """Each method's change in interpolation against that in extrapolation.

    `near` and `far` have a row per method: change, low, high.
    """
    ends = ["change", "low", "high"]
    table = (100 * near[ends]).join((100 * far[ends]).add_suffix(" far"))
    table = table.assign(
        how=table.index.map(charts.METHOD_LABELS),
        family=table.index.map(charts.family),
        place=table.index.map(NOT_RIGHT).fillna("right"),
    )
    color = alt.Color("family:N", scale=charts.family_scale(), legend=None)
    base = alt.Chart(table).encode(color=color)
    across = {
        "title": "interpolation: change of the gap (%)",
        "scale": alt.Scale(domain=[-35, 25], nice=False),
    }
    up = {
        "title": "extrapolation: change of the gap (%)",
        "scale": alt.Scale(domain=[-60, 330], nice=False),
    }
    x, y = alt.X("change:Q", **across), alt.Y("change far:Q", **up)
    dots = base.mark_point(opacity=1).encode(
        x,
        y,
        tooltip=[
            "how",
            alt.Tooltip("change:Q", format="+.1f"),
            alt.Tooltip("change far:Q", format="+.1f"),
        ],
    )
    labels = [
        base.transform_filter(f"datum.place == '{place}'")
        .mark_text(align=align, dx=dx, dy=dy, tooltip=False)
        .encode(x, y, text="how:N")
        for place, (align, dx, dy) in PLACES.items()
    ]
    return alt.layer(
        _zero(x=alt.datum(0)),
        _zero(y=alt.datum(0)),
        base.mark_rule().encode(alt.X("low:Q", **across), y, x2="high:Q"),
        base.mark_rule().encode(x, alt.Y("low far:Q", **up), y2="high far:Q"),
        dots,
        *labels,
    ).properties(
        width=520,
        height=260,
        description="Scatter of the change in extrapolation against that in interpolation, a dot "
        "per method. Most methods lie left of zero in interpolation and far above zero in "
        "extrapolation. Only AIPW and the weighted anchor points lie below zero in extrapolation, "
        "and gp-IRT lies at zero.",
    )


def _zero(**place):
    return alt.Chart().mark_rule(strokeDash=[4, 4], color=NEUTRAL).encode(**place)


def two_programs(table):
    """Gaps in points by method (how) and benchmark (where): ours with low and high, and theirs."""
    long = table.melt(["how", "where", "low", "high"], ["ours", "theirs"], "who", "value")
    scale = {
        "title": "estimation gap (points)",
        "scale": alt.Scale(domain=[2.5, 6.5], nice=False),
    }
    rows = alt.Y("how:N", title=None, sort=list(table.how), axis=alt.Axis(labelLimit=220))
    legend = alt.Legend(title=None, orient="top")
    base = alt.Chart(long)
    bars = base.mark_rule(color=PALETTE[0]).encode(alt.X("low:Q", **scale), rows, x2="high:Q")
    dots = base.mark_point(size=70, opacity=1).encode(
        alt.X("value:Q", **scale),
        rows,
        color=alt.Color("who:N", scale=alt.Scale(range=PALETTE[:2]), legend=legend),
        shape=alt.Shape("who:N", scale=alt.Scale(range=["circle", "cross"])),
        tooltip=["how", "who", alt.Tooltip("value:Q", format=".2f")],
    )
    panel = (bars + dots).properties(width=215, height=150)
    column = alt.Column("where:N", title=None, sort=list(table["where"].unique()))
    return panel.facet(column=column).properties(
        description="Two panels, OpenBookQA and GSM8K, a row per method, a dot with an interval "
        "for this book and a cross for the authors' code. Dots and crosses lie close together in "
        "most rows."
    )


def prices(each, mean):
    """The change by each fault (method) and split: benchmarks, and their means with low, high."""
    columns = ["method", "split", "benchmark", "change", "low", "high"]
    faults = list(each.method.unique())
    style = charts.split_styles(SPLITS)
    base = alt.Chart(pd.concat([each, mean])[columns]).encode(
        y=alt.Y("method:N", title=None, sort=faults, axis=alt.Axis(labelLimit=260)),
        color=style["color"],
        yOffset=alt.YOffset("split:N", sort=SPLITS),
        tooltip=["method", "split", "benchmark", alt.Tooltip("change:Q", format="+.1%")],
    )
    x = {
        "title": "change of the gap by the fault",
        "axis": alt.Axis(format="+.0%"),
        "scale": alt.Scale(domain=[-0.3, 0.5], nice=False),
    }
    small = base.transform_filter("datum.benchmark != 'mean'")
    large = base.transform_filter("datum.benchmark == 'mean'")
    return alt.layer(
        _zero(x=alt.datum(0)),
        small.mark_point(size=18, opacity=0.7, clip=True).encode(alt.X("change:Q", **x)),
        large.mark_rule(strokeWidth=2.5).encode(alt.X("low:Q", **x), x2="high:Q"),
        large.mark_point(size=90, opacity=1).encode(alt.X("change:Q", **x)),
    ).properties(
        width=400,
        height=210,
        description="Dots per fault and split. The lost share of observed items lies at zero for "
        "AIPW and slightly right of it for the anchor predictor. Constant items given to the first "
        "anchor lie to the right on average, one benchmark far to the right. A fixed rank of 2 "
        "lies left of zero, more so at the frontier.",
    )
