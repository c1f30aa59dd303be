"""The charts of the chapter that derives AIPW."""

import json

import altair as alt
import numpy as np
import pandas as pd

from ..charts import NEUTRAL, PALETTE, method_style
from ..simulation import PREDICTIONS

BIN = 1.5  # points: the dots of a bin stand above each other


def all_core_sets(found, truth):
    """Every estimate {estimator: (core sets,)}, its means and its mean errors, in points.

    The six estimators are a random sample, a prediction, AIPW three times, cross-fitted AIPW.
    """
    names = list(found)
    sets = min(len(value) for value in found.values())
    dots, means = [], []
    for row, (how, value) in enumerate(found.items()):
        by_bin = pd.Series(value).groupby((value / BIN).round())
        count, rank = by_bin.transform("size"), by_bin.cumcount()
        height = np.minimum(0.42, 0.02 * count * sets / len(value))
        y = row + height * (2 * (rank + 0.5) / count - 1)
        dots.append(pd.DataFrame({"how": how, "estimate": value, "y": y}))
        off = round(value.mean() - truth, 1)
        text = f"{off:+.1f}".replace("-", "−") if off else "0"
        means.append({"how": how, "mean": value.mean(), "y": row, "text": text})
    x = alt.X(
        "estimate:Q",
        title="estimate (points); the numbers are mean errors",
        scale=alt.Scale(domain=[-45, 165], nice=False),
        axis=alt.Axis(values=[0, 25, 50, 75, 100]),
    )
    rows = alt.Axis(
        values=list(range(len(names))),
        labelExpr=f"{json.dumps(names)}[datum.value]",
        labelLimit=220,
        grid=False,
        ticks=False,
        domain=False,
    )
    down = alt.Scale(domain=[len(names) - 0.4, -0.6], nice=False, zero=False)
    colors = [
        method_style("random_sampling")[0],
        NEUTRAL,
        *[method_style("aipw")[0]] * 3,
        method_style("aipw_cross_fitted")[0],
    ]
    color = alt.Color("how:N", legend=None, scale=alt.Scale(domain=names, range=colors))
    every = alt.Chart(pd.concat(dots)).mark_circle(size=7, opacity=0.6)
    every = every.encode(
        x=x,
        y=alt.Y("y:Q", title=None, scale=down, axis=rows),
        color=color,
        tooltip=["how", alt.Tooltip("estimate:Q", format=".1f")],
    )
    of_means = alt.Chart(pd.DataFrame(means)).encode(y="y:Q")
    mark = of_means.mark_tick(color=PALETTE[1], thickness=3, size=22, orient="vertical")
    mark = mark.encode(x="mean:Q", tooltip=["how", alt.Tooltip("mean:Q", format=".1f")])
    number = of_means.mark_text(align="right", fontSize=12)
    number = number.encode(x=alt.datum(164), text="text:N")
    return (every + _rules("x", truth) + mark + number).properties(
        width=430,
        height=222,
        description="Six rows of dots, an estimate for each of the 495 core sets. The random "
        "sample takes five values. The prediction alone is one point, eleven points too high. "
        "AIPW with a fixed prediction scatters less than the random sample, with the prediction "
        "upside down much more, and both have their mean on the truth. Fitted on the core set, "
        "the mean is slightly below the truth; cross-fitted it is on it.",
    )


def _rules(channel, *values):
    """Dashed rules at values of the channel "x" or "y"."""
    rules = alt.Chart(pd.DataFrame({channel: values})).mark_rule(strokeDash=[4, 4])
    return rules.encode(**{channel: f"{channel}:Q"})


def bias(table):
    """Bias by n: columns n, "g fitted" ("in sample", "cross-fitted"), bias, half (an interval)."""
    side = np.where(table["g fitted"] == "in sample", 1.03, 0.97)  # the two side by side
    low, high = table["bias"] - table["half"], table["bias"] + table["half"]
    kinds = list(table["g fitted"].unique())
    colors, shapes = zip(*map(method_style, ("aipw", "aipw_cross_fitted")))
    sizes = alt.Axis(values=[10, 20, 40, 80, 160])
    log = alt.Scale(type="log", domain=[8, 200])
    color = alt.Color(
        "g fitted:N",
        legend=alt.Legend(title="prediction fitted", orient="top"),
        scale=alt.Scale(domain=kinds, range=[*colors]),
    )
    shape = alt.Shape("g fitted:N", scale=alt.Scale(domain=kinds, range=[*shapes]))
    base = alt.Chart(table.assign(low=low, high=high, x=table["n"] * side)).encode(
        x=alt.X("x:Q", scale=log, axis=sizes, title="items in the core set, n"),
        color=color,
    )
    bars = base.mark_rule().encode(y=alt.Y("low:Q", title="bias (points)"), y2="high:Q")
    tooltip = ["g fitted", "n", alt.Tooltip("bias:Q", format=".2f")]
    points = base.mark_point(filled=True, size=60, opacity=1)
    points = points.encode(y="bias:Q", shape=shape, tooltip=tooltip)
    return (_rules("y", 0) + bars + points).properties(
        width=470,
        height=230,
        description="Bias against core-set size on a logarithmic axis. The in-sample bias stands "
        "away from zero at small and middle n and shrinks; the cross-fitted bias stays at zero "
        "within its intervals.",
    )


def multiplier(curves):
    """Relative variance by multiplier: columns prediction, multiplier, ratio."""
    order = alt.Scale(domain=list(PREDICTIONS))
    legend = alt.Legend(orient="top", title="prediction")
    fields = ("multiplier", "ratio")
    numbers = [alt.Tooltip(f"{field}:Q", format=".2f") for field in fields]
    title = "variance / variance of random sampling"
    ratios = alt.Scale(domain=[0.6, 2.0])
    lines = alt.Chart(curves.query("ratio <= 2")).mark_line()
    lines = lines.encode(
        x=alt.X("multiplier:Q", title="multiplier λ", axis=alt.Axis(tickCount=8)),
        y=alt.Y("ratio:Q", title=title, scale=ratios),
        color=alt.Color("prediction:N", scale=order, legend=legend),
        strokeDash=alt.StrokeDash("prediction:N", scale=order, legend=legend),
        tooltip=["prediction", *numbers],
    )
    return (lines + _rules("x", 0, 1)).properties(
        width=470,
        height=260,
        description="Three parabolas of relative variance against the multiplier. The good "
        "prediction's is lowest near one, the useless one's at zero, the harmful one's near minus "
        "one, where it is as low as the good one's.",
    )
