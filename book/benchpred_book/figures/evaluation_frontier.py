"""The charts of the chapter on the evaluation frontier."""

import altair as alt
import numpy as np
import pandas as pd

import benchpred_utils as bp

from .. import charts

__all__ = ["bias", "change", "chosen", "heat", "relative_weights", "weights"]

LEGEND = alt.Legend(title=None, orient="top")
NAMES = charts.BENCHMARK_LABELS | charts.METHOD_LABELS
BENCHMARKS = [NAMES[name] for name in bp.HELM_LITE]
DASHED = {"strokeDash": [4, 4], "color": charts.NEUTRAL}


def bias(targets, methods):
    """The mean error of each target against its accuracy, a panel per method.

    `targets` has one row per benchmark, method and target, with its truth and its error in points.
    """
    data = targets[targets["method"].isin(methods)]
    data = data.assign(label=data["benchmark"].map(NAMES), how=data["method"].map(NAMES))
    base = alt.Chart(data[["label", "how", "truth", "error"]])
    legend = alt.Legend(title=None, orient="top", columns=6)
    accuracy = alt.Scale(domain=[0.58, 1], nice=False)
    points = alt.Scale(domain=[-29, 5], nice=False)
    colors = alt.Scale(domain=BENCHMARKS, range=charts.PALETTE)
    dots = base.mark_point(size=28).encode(
        x=alt.X("truth:Q", title="accuracy of the target", scale=accuracy),
        y=alt.Y("error:Q", title="mean error (points)", scale=points),
        color=alt.Color("label:N", scale=colors, legend=legend),
        shape=alt.Shape("label:N", scale=alt.Scale(domain=BENCHMARKS), legend=legend),
        tooltip=["label", _shown("truth", ".3f"), _shown("error", "+.1f")],
    )
    zero = base.mark_rule(**DASHED).encode(y=alt.datum(0))
    panel = alt.layer(zero, dots).properties(width=255, height=100)
    by_method = alt.Facet("how:N", title=None, sort=[NAMES[name] for name in methods])
    return panel.facet(facet=by_method, columns=2).properties(
        description="Four panels of mean error against the target's accuracy. Random sampling, "
        "cross-fitted AIPW and sequential stratification lie close to zero. The regression falls "
        "on a steep line for each benchmark, lower the better the target."
    )


def heat(changes):
    """The change of the estimation gap at the frontier, of every method on every benchmark."""
    return charts.change_heat(changes).properties(
        usermeta={"leastWidth": 462},
        description="Heat table, a row per method in five families, a column per benchmark and one "
        "for the mean. Most rows are deep orange, a much larger gap than that of random sampling; "
        "both forms of AIPW, sequential stratification and imputation are blue; the weighted "
        "anchor points are blue on four benchmarks and near white on two; gp-IRT is blue on three, "
        "orange on two and near white on MedQA.",
    )


def relative_weights(items):
    """The mean weight and gain of items in five groups by the share of the sources that are right.

    `items` is {benchmark: (share, weight, gain)}, arrays of one shape.
    """
    tables = []
    for name, (share, weight, gain) in items.items():
        group = np.minimum(5 * share, 4).astype(int)
        columns = {"group": group.ravel(), "weight": weight.ravel(), "gain": gain.ravel()}
        tables.append(pd.DataFrame(columns).groupby("group").mean().assign(benchmark=name))
    return pd.concat(tables).reset_index()


def weights(table):
    """The table of :func:`relative_weights` as two lines in a panel per benchmark."""
    weight, gain = "weight of the item", "gain of the targets"
    table = table.rename(columns={"weight": weight, "gain": gain})
    table = table.assign(share=0.1 + 0.2 * table["group"])
    colors = {weight: charts.PALETTE[1], gain: charts.PALETTE[0]}
    lines = _lines(table, colors, ".2f", True, title="relative to the mean")
    one = alt.Chart(lines.data).mark_rule(**DASHED).encode(y=alt.datum(1))
    return _six(alt.layer(one, lines).properties(width=165, height=105)).properties(
        description="Six panels. The weight of an item is low where few sources are right, rises "
        "with their share, falls again for easy items on GSM8K and MATH, and stays below one or "
        "barely reaches it; the gain of the targets is largest where about three in ten or half "
        "of the sources are right."
    )


def chosen(items):
    """All items and those chosen, in ten groups by the share of the sources that are right.

    `items` is {benchmark: (group, probability)}, the group of each item, 0 to 9, and how often it
    is drawn, with a sum of one.
    """
    everything, picked = "all items", "chosen by k-center"
    tables = []
    for name, (group, probability) in items.items():
        columns = {"group": group, everything: 1 / len(group), picked: probability}
        tables.append(pd.DataFrame(columns).groupby("group").sum().assign(benchmark=name))
    table = pd.concat(tables).reset_index()
    table["share"] = 0.05 + 0.1 * table["group"]
    colors = {everything: charts.PALETTE[0], picked: charts.method_style("k_center_greedy")[0]}
    percent = {"title": "share of items", "axis": alt.Axis(format="%")}
    lines = _lines(table, colors, ".0%", alt.OverlayMarkDef(size=25), **percent)
    return _six(lines.properties(width=165, height=100)).properties(
        description="Six panels. In each the chosen items form a hump between one third and a "
        "little over one half, whatever the distribution of all items: mostly easy items on "
        "OpenBookQA, mostly hard ones on MATH, spread on MMLU."
    )


def _lines(table, colors, number, point, **vertical):
    """The two columns that `colors` names over the share of the sources that are right."""
    data = table.melt(["benchmark", "share"], [*colors], "what", "value")
    data["label"] = data["benchmark"].map(NAMES)
    color = alt.Scale(domain=[*colors], range=[*colors.values()])
    dash = alt.Scale(domain=[*colors], range=[[1, 0], [4, 3]])
    at = {"scale": alt.Scale(domain=[0, 1]), "axis": alt.Axis(values=[0, 0.5, 1])}
    chart = alt.Chart(data[["label", "share", "what", "value"]])
    return chart.mark_line(point=point).encode(
        x=alt.X("share:Q", title="share of sources right", **at),
        y=alt.Y("value:Q", **vertical),
        color=alt.Color("what:N", legend=LEGEND, scale=color),
        strokeDash=alt.StrokeDash("what:N", legend=LEGEND, scale=dash),
        tooltip=["label", "what", "share", _shown("value", number)],
    )


def _six(panel):
    return panel.facet(facet=alt.Facet("label:N", title=None, sort=BENCHMARKS), columns=3)


def change(means):
    """The mean change of the estimation gap of every method, with its interval, by split.

    `means` is {split: its mean changes by method}; the order is that of the frontier of accuracy.
    """
    data = pd.concat(means, names=["split"]).reset_index()
    data["how"] = data["method"].map(NAMES)
    for column in ("change", "low", "high"):
        data[f"ratio_{column}"] = (1 + data[column]).clip(lower=0.5)
    splits = [*means]
    ranked = means["extrapolation"]["change"].sort_values().index.map(NAMES)
    style = charts.split_styles(splits)
    rows = alt.Axis(grid=True, labelLimit=220)
    fields = ["how", "split", "change", "ratio_change", "ratio_low", "ratio_high"]
    base = alt.Chart(data[fields]).encode(
        y=alt.Y("how:N", title=None, sort=[*ranked], axis=rows),
        yOffset=alt.YOffset("split:N", sort=splits),
        color=style["color"],
    )
    title = "change of the estimation gap against random sampling"
    percent = "format(datum.value - 1, '+.0%')"
    at = alt.Axis(values=[0.6, 0.8, 1, 1.5, 2, 3, 5], labelExpr=percent)
    ratio = alt.Scale(type="log", domain=[0.52, 6], nice=False)
    bars = base.mark_rule(strokeWidth=1.5, clip=True).encode(
        x=alt.X("ratio_low:Q", title=title), x2="ratio_high:Q"
    )
    dots = base.mark_point(opacity=1, size=40).encode(
        x=alt.X("ratio_change:Q", title=title, axis=at, scale=ratio),
        shape=style["shape"],
        tooltip=["how", "split", _shown("change", "+.1%")],
    )
    zero = alt.Chart(pd.DataFrame({"x": [1]})).mark_rule(**DASHED).encode(x="x:Q")
    return (bars + dots + zero).properties(
        width=450,
        height=340,
        description="Dots with intervals, a row per method and three splits. In interpolation most "
        "methods lie left of zero; in extrapolation most lie far right of it, the chronological "
        "split between the two; both forms of AIPW, sequential stratification and imputation stay "
        "clearly left in all three.",
    )


def _shown(column, number):
    return alt.Tooltip(f"{column}:Q", format=number)
