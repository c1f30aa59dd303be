"""The charts of notebooks/online.md."""

import altair as alt
import numpy as np
import pandas as pd

from ..charts import INTERVALS, NEUTRAL, PALETTE

KINDS = ("t interval", "score interval", "betting")
COLORS = [INTERVALS[kind] for kind in ("t", "score", "betting")]


def looks(ever, intervals, truth):
    """The share ever wrong by the items seen, beside single evaluations that a slider chooses.

    `ever` is a Series by interval and items; `intervals` are the two ends (paths, looks) of each
    interval, for evaluations of one model with the accuracy `truth`.
    """
    scale = alt.Scale(domain=list(KINDS), range=COLORS)
    legend = alt.Legend(orient="top")
    color = alt.Color("interval:N", title=None, scale=scale, legend=legend)
    x = alt.X("items:Q", title="items seen", scale=alt.Scale(domain=[0, 300]))
    share = alt.Y("share:Q", title="wrong at least once so far", axis=alt.Axis(format=".0%"))
    tooltip = ["interval", "items", alt.Tooltip("share", format=".1%")]
    lines = alt.Chart(ever.reset_index()[::3]).mark_line().encode(x, share, color, tooltip=tooltip)
    left = alt.layer(lines, _level(0.05))
    right = _single_evaluation(intervals, truth, x, color)
    size = {"width": 245, "height": 158}
    slider = alt.binding_range(min=1, max=len(intervals["betting"][0]), step=1, name="example")
    number = alt.param("number", value=1, bind=slider)
    both = alt.hconcat(left.properties(**size), right.properties(**size))
    return both.add_params(number).properties(
        description="Left, three curves of the share of evaluations that were wrong at some look, "
        "against the items seen. The t interval rises to about a half, the score interval to two "
        "fifths, betting stays below 5%. Right, the t interval and the wider betting interval of "
        "one evaluation as items come in; a slider chooses among twenty evaluations."
    )


def _level(value):
    return alt.Chart().mark_rule(color=NEUTRAL).encode(y=alt.datum(value))


def _single_evaluation(intervals, truth, x, color):
    """The two intervals of the evaluation `number`, and ticks where the t interval is wrong."""
    at = np.arange(9, 300, 5)
    ends = [(kind, end) for kind in ("t interval", "betting") for end in (0, 1)]
    fields = {f"{kind}{end}": intervals[kind][end][:, at].round(3) for kind, end in ends}
    rows = [
        {"number": k + 1, "items": (at + 1).tolist()}
        | {name: values[k].tolist() for name, values in fields.items()}
        for k in range(len(intervals["betting"][0]))
    ]
    chosen = (
        alt.Chart(alt.Data(values=rows))
        .transform_filter("datum.number == number")
        .transform_flatten(["items", *fields])
    )
    y = {"scale": alt.Scale(domain=[0.6, 1], nice=False), "title": "accuracy"}
    betting = chosen.transform_calculate(interval="'betting'")
    band = betting.mark_area(opacity=0.35, clip=True)
    band = band.encode(x, alt.Y("betting0:Q", **y), alt.Y2("betting1:Q"), color)
    student = chosen.transform_calculate(interval="'t interval'")
    line = student.mark_line(strokeWidth=1.5, clip=True)
    curves = [line.encode(x, alt.Y(f"t interval{end}:Q", **y), color) for end in (0, 1)]
    missed = f"datum['t interval0'] > {truth} || datum['t interval1'] < {truth}"
    ticks = chosen.transform_filter(missed).mark_tick(color=COLORS[0], thickness=2, size=12)
    return alt.layer(band, *curves, _level(truth), ticks.encode(x, y=alt.datum(0.62)))


def wealth(log_wealth):
    """The gambler's wealth by the items seen; `log_wealth` (items, values) by the values of m."""
    table = np.exp(log_wealth).rename_axis("t").reset_index()
    table = table.melt("t", var_name="value", value_name="wealth")
    scale = alt.Scale(type="log", domain=[0.1, 10000], nice=False)
    axis = alt.Axis(values=[0.1, 1, 10, 100, 1000, 10000], format="~g")
    colors = alt.Scale(range=[PALETTE[4], PALETTE[2]])
    line = (
        alt.Chart(table)
        .mark_line()
        .encode(
            alt.X("t:Q", title="items seen", scale=alt.Scale(domain=[0, len(log_wealth)])),
            alt.Y("wealth:Q", scale=scale, axis=axis),
            alt.Color("value:N", title=None, scale=colors, legend=alt.Legend(orient="top")),
        )
    )
    limit = alt.Chart(pd.DataFrame({"limit": [40]}))
    limit = limit.mark_rule(color=NEUTRAL, strokeDash=[4, 4]).encode(y="limit:Q")
    return (line + limit).properties(
        width=480,
        height=180,
        description="Two paths of wealth on a logarithmic scale. Against m = 0.7 it rises and "
        "crosses 40 for good; against the true m = 0.8 it wanders around 1.",
    )
