"""The charts of notebooks/transfer_architectures.md."""

import altair as alt
import pandas as pd

from .. import charts
from ..theme import NEUTRAL

__all__ = ["by_sources", "theory"]

SOURCES = ["own architecture", "another architecture", "mixed"]


def by_sources(table, methods):
    """The change of the gap (change, low, high, in per cent) by method and kin, the index."""
    data = table.reset_index()
    data["how"] = data["method"].map(charts.label)
    style = charts.styles(methods)
    scale = alt.Scale(domain=[-30, 100], nice=False)
    axis = alt.Axis(values=[-20, 0, 20, 40, 60, 80, 100])
    x = alt.X("low:Q", title="change of the gap (%)", scale=scale, axis=axis)
    base = alt.Chart(data).encode(
        y=alt.Y("kin:N", title="sources", sort=SOURCES),
        yOffset=alt.YOffset("how:N", sort=[charts.label(method) for method in methods]),
        color=style["color"],
    )
    zero = alt.Chart(pd.DataFrame({"x": [0]})).mark_rule(strokeDash=[4, 4], color=NEUTRAL)
    tooltip = ["how", "kin", alt.Tooltip("change:Q", format="+.1f")]
    dots = base.mark_point(opacity=1, size=60)
    layers = [
        zero.encode(x="x:Q"),
        base.mark_rule(strokeWidth=2).encode(x=x, x2="high:Q"),
        dots.encode(x="change:Q", shape=style["shape"], tooltip=tooltip),
    ]
    return alt.layer(*layers).properties(
        width=430,
        height=180,
        description="Dots with intervals for three methods and three kinds of sources. AIPW lies "
        "a little left of zero and sequential stratification farther left, with wider intervals, "
        "for every kind of source. The regression lies far to the right.",
    )


def theory(ratios):
    """Measured against predicted ratios; `ratios` {data: predicted, measured by benchmark ...}."""
    rows = []
    for data, table in ratios.items():
        mean = table.groupby(["source", "unit"]).mean().reset_index()
        rows.append(mean.astype({"unit": str}).assign(data=data).round(3))
    free = {"zero": False, "nice": False, "clamp": True}
    across, up = alt.Scale(domain=[0.5, 1.1], **free), alt.Scale(domain=[0.5, 1.3], **free)
    dots = alt.Chart().mark_point(size=16, opacity=0.5, filled=True)
    dots = dots.encode(
        alt.X("predicted:Q", title="predicted ratio", scale=across),
        alt.Y("measured:Q", title="measured ratio", scale=up),
        tooltip=["source", "unit", "predicted", "measured"],
    )
    start, end = alt.datum(0.5), alt.datum(1.1)
    line = alt.Chart().mark_rule(strokeDash=[4, 4], color=NEUTRAL)
    panel = alt.layer(dots, line.encode(x=start, x2=end, y=start, y2=end), data=pd.concat(rows))
    panel = panel.properties(width=250, height=210)
    return panel.facet(column=alt.Column("data:N", title=None)).properties(
        description="Two scatter plots of measured against predicted ratios. In both the points "
        "follow the dashed line, with more scatter around it in the zoo, where all ratios lie "
        "close together.",
    )
