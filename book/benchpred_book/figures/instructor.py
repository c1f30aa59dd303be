"""Slides for a projector: charts drawn larger, from the stored runs."""

import altair as alt
import numpy as np
import pandas as pd

from benchpred_utils import RECOMMENDED

from .. import charts


def slide(chart, description):
    """A chart in the shape and the type size of a slide."""
    text = {"labelFontSize": 16, "titleFontSize": 17, "labelLimit": 260}
    fit = alt.AutoSizeParams(type="fit", contains="padding")
    sized = chart.properties(description=description, width=640, height=360, autosize=fit)
    return sized.configure_axis(**text).configure_legend(**text)


def _mean_of_six(rows):
    """The mean gap over benchmarks drawn independently, in points, with its interval."""
    squares = ((rows.gap_high - rows.gap_low) / 2) ** 2
    mean = rows.gap.mean()
    half = np.sqrt(squares.sum()) / len(rows)
    return pd.Series({"value": mean, "low": mean - half, "high": mean + half}) * 100


def gap(summary):
    """The gap of five methods among known models and at the frontier, from a run's summary."""
    five = ["random_sampling", "k_center_greedy", "random_sampling_learn", "aipw_cross_fitted"]
    five.append(RECOMMENDED)
    where = {"interpolation": "like sources", "extrapolation": "better than all"}
    fifty = summary.query("asked == 50 and method in @five and split in @where")
    gaps = fifty.groupby(["method", "split"])[["gap", "gap_low", "gap_high"]].apply(_mean_of_six)
    gaps = gaps.reset_index()
    gaps["how"] = gaps.method.map(charts.label)
    gaps["targets"] = gaps.split.map(where)
    style = charts.styles(five, columns=2)
    kinds = alt.X(
        "targets:N",
        title="the new models are",
        sort=[*where.values()],
        axis=alt.Axis(labelAngle=0),
        scale=alt.Scale(padding=0.4),
    )
    points = alt.Y("value:Q", title="estimation gap (points)")
    base = alt.Chart(gaps).encode(x=kinds, y=points, color=style["color"])
    rules = base.mark_rule(strokeWidth=3).encode(y="low:Q", y2="high:Q")
    dots = base.mark_point(size=140, opacity=1).encode(**style)
    return slide(
        base.mark_line(strokeWidth=3) + rules + dots,
        "Slope chart of the estimation gap of five methods, from interpolation to extrapolation.",
    )


def pull(models):
    """The mean error of two methods against the accuracy, a point for each target."""
    table = pd.DataFrame({"accuracy": models.truth, "error": 100 * models.bias})
    table["how"] = models.method.map(charts.label)
    accuracy = alt.X(
        "accuracy:Q",
        title="accuracy on all items",
        axis=alt.Axis(values=[0.6, 0.7, 0.8, 0.9, 1]),
        scale=alt.Scale(domain=[0.55, 1], nice=False),
    )
    errors = alt.Y("error:Q", title="mean error (points)")
    base = alt.Chart(table).encode(x=accuracy, y=errors)
    style = charts.styles(models.method.unique(), columns=2)
    dots = base.mark_point(size=60, opacity=1).encode(**style)
    return slide(
        alt.Chart().mark_rule().encode(y=alt.datum(0)) + dots,
        "Scatter plot of mean error against accuracy: the regression far below zero, AIPW near it.",
    )


def change(changes):
    """The change of the gap at the frontier by two methods, on six benchmarks."""
    pair = ["aipw_cross_fitted", RECOMMENDED]
    rows = changes.query("asked == 50 and split == 'extrapolation' and method in @pair")
    table = 100 * rows[["change", "low", "high"]]
    table["how"] = rows.method.map(charts.label)
    table["name"] = rows.benchmark.map(charts.BENCHMARK_LABELS)
    style = charts.styles(pair, columns=2)
    names = alt.Y("name:N", title=None, sort=[*table.name.unique()])
    base = alt.Chart(table).encode(y=names, yOffset="how:N", color=style["color"])
    least = 5 * np.floor(table.low.min() / 5)  # the axis holds every interval
    low = alt.X(
        "low:Q",
        title="change of the gap (%)",
        scale=alt.Scale(domain=[least, 0], nice=False),
        axis=alt.Axis(tickCount=5),
    )
    bars = base.mark_rule(strokeWidth=3).encode(x=low, x2="high:Q")
    dots = base.mark_point(size=140, opacity=1).encode(x="change:Q", **style)
    return slide(
        bars + dots,
        "Dot plot with intervals: the gap falls on all six benchmarks, more with the design.",
    )
