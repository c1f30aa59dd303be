"""The charts of the chapter on the efficiency dilemma."""

import altair as alt
import numpy as np
import pandas as pd
from scipy import stats

from ..charts import BENCHMARK_LABELS, NEUTRAL, PALETTE, unit_axis, unit_diagonal

BENCHMARKS = list(BENCHMARK_LABELS.values())
TOP = alt.Legend(title=None, orient="top")


def transfer(curves):
    """Targets against sources right (`targets`, `sources`), by `benchmark` and `split`."""
    style = {"legend": TOP, "scale": alt.Scale(domain=list(curves["split"].unique()))}
    base = alt.Chart(curves).encode(
        unit_axis(alt.X, "sources", "sources right"),
        unit_axis(alt.Y, "targets", "targets right"),
        color=alt.Color("split:N", **style),
    )
    lines = base.mark_line().encode(strokeDash=alt.StrokeDash("split:N", **style))
    shares = [alt.Tooltip(f"{who}:Q", format=".2f") for who in ("sources", "targets")]
    dots = base.mark_point(size=30).encode(tooltip=["benchmark", "split", *shares])
    diagonal = unit_diagonal(alt.Chart(curves), "benchmark")
    panels = alt.layer(diagonal, lines, dots).properties(width=165, height=82)
    facet = alt.Facet("benchmark:N", title=None, sort=BENCHMARKS)
    return panels.facet(facet=facet, columns=3).properties(
        description="Six panels, one per benchmark. In interpolation the targets' line "
        "follows the diagonal; at the frontier it lies far above it, and still "
        "rises from left to right."
    )


def matrix(sources, target, asked):
    """The 0/1 scores of sources (M, N) and of a target (N,), known on the items `asked` only."""
    items = np.arange(len(target))
    names = [f"source {number + 1}" for number in range(len(sources))]
    words = np.array(["wrong", "right"])
    answers = words[np.vstack([sources, target]).astype(int)].astype(object)
    answers[-1, ~np.isin(items, asked)] = "not run"
    models = [*names, "target"]
    places = {"item": np.tile(items, len(models)), "model": np.repeat(models, len(items))}
    kinds = alt.Scale(
        domain=["right", "wrong", "not run"], range=[PALETTE[0], "#dcd7f2", "transparent"]
    )
    bare = alt.Axis(labels=False, ticks=False, grid=False)
    table = pd.DataFrame(places | {"score": answers.ravel()})
    cells = alt.Chart(table).mark_rect(stroke=NEUTRAL, strokeWidth=0.5)
    cells = cells.encode(
        x=alt.X("item:O", title="items", axis=bare),
        y=alt.Y("model:N", sort=models, title=None, axis=alt.Axis(grid=False)),
        color=alt.Color("score:N", scale=kinds, legend=TOP),
        tooltip=["model", "item", "score"],
    )
    frame = {"fill": None, "stroke": PALETTE[1], "strokeWidth": 2.5}
    frames = alt.Chart(pd.DataFrame({"item": asked})).mark_rect(**frame).encode(x="item:O")
    return (cells + frames).properties(
        width=500,
        height=230,
        description="A grid of nine rows of sources and one row of a target, 24 "
        "items. Right answers are dark. Five columns, the core set, are framed; "
        "the target's row is filled in only there.",
    )


def estimates(percent, truth, sd):
    """A histogram of estimates from 50 items, their truth, and the normal curve of its `sd`."""
    values, counts = np.unique(np.round(percent), return_counts=True)
    bars = pd.DataFrame({"estimate": values, "share": counts / len(percent)})
    at = np.linspace(65, 100, 141)
    bell = pd.DataFrame({"estimate": at, "share": 2 * stats.norm.pdf(at, truth, sd)})
    scale = alt.Scale(domain=[65, 101], nice=False)
    x = alt.X("estimate:Q", title="estimated accuracy (%)", scale=scale)
    y = alt.Y("share:Q", title="share of core sets", axis=alt.Axis(format="%"))
    tooltip = ["estimate", alt.Tooltip("share:Q", format=".1%")]
    histogram = alt.Chart(bars).mark_bar(size=11, opacity=0.7).encode(x, y, tooltip=tooltip)
    normal = alt.Chart(bell).mark_line(color=NEUTRAL).encode(x, y)
    rule = alt.Chart(pd.DataFrame({"estimate": [truth]}))
    rule = rule.mark_rule(color=PALETTE[1], strokeWidth=2).encode(x)
    return (histogram + normal + rule).properties(
        width=430,
        height=180,
        description="A histogram of estimates from 70 to 100 per cent, centred on "
        "the model's accuracy of 87 per cent and close to a normal curve.",
    )


def spread(budgets, simulated, s, sigma):
    """The simulated standard deviations (`budgets`,) of a mean of the scores s, and `sigma`."""
    grid = np.concatenate([np.geomspace(5, 500, 30), np.linspace(500, 970, 50)])
    grid = np.unique(grid.astype(int))
    uncorrected = s.std(ddof=1) / np.sqrt(grid)
    kinds = {"theory": sigma(grid, s), "without the correction": uncorrected}
    parts = [pd.DataFrame({"n": grid, "sd": 100 * sd, "line": kind}) for kind, sd in kinds.items()]
    sizes = [5, 10, 20, 50, 100, 200, 500]
    x = alt.X(
        "n:Q",
        title="items in the core set, n",
        scale=alt.Scale(type="log", domain=[4, 1000], nice=False),
        axis=alt.Axis(values=sizes),
    )
    y = alt.Y(
        "sd:Q",
        title="standard deviation (points)",
        scale=alt.Scale(type="log", domain=[0.2, 20], nice=False),
        axis=alt.Axis(values=[0.2, 0.5, 1, 2, 5, 10, 20]),
    )
    color = alt.Color("line:N", legend=TOP)
    dash = alt.StrokeDash("line:N", legend=TOP)
    theory = alt.Chart(pd.concat(parts)).mark_line()
    theory = theory.encode(x, y, color=color, strokeDash=dash)
    points = pd.DataFrame({"n": budgets, "sd": 100 * simulated})
    dots = alt.Chart(points).mark_point(color=NEUTRAL, opacity=1)
    dots = dots.encode(x, y, tooltip=["n", alt.Tooltip("sd:Q", format=".2f")])
    return (theory + dots).properties(
        width=400,
        height=170,
        description="Standard deviation against core-set size on logarithmic "
        "axes. The simulated points lie on the theoretical curve, which falls as "
        "a straight line and bends down when the core set nears the benchmark.",
    )


def both(plain_near, plain, weak_near, mixed, weak):
    """Gaps of the plain mean and of the regression: tables by benchmark of gap, its ends, bias."""
    mean = "1. core set to full set: plain mean"
    regression = "2. sources to target: regression"
    shown = [
        (mean, "ordinary targets", plain_near),
        (mean, "frontier targets", plain),
        (regression, "ordinary targets", weak_near),
        (regression, "frontier targets, mixed sources", mixed),
        (regression, "frontier targets, weak sources", weak),
    ]
    parts = [part.assign(panel=panel, case=case) for panel, case, part in shown]
    table = pd.concat(parts).reset_index(names="name")
    table["benchmark"] = table["name"].map(BENCHMARK_LABELS)
    cases = alt.Scale(domain=list(table["case"].unique()))
    style = {"legend": alt.Legend(title=None, orient="top", columns=2), "scale": cases}
    rows = alt.Scale(paddingInner=0.35)
    base = alt.Chart(table).encode(
        y=alt.Y("benchmark:N", title=None, sort=BENCHMARKS, scale=rows),
        yOffset=alt.YOffset("case:N", scale=cases),
        color=alt.Color("case:N", **style),
    )
    points = alt.Scale(domain=[0, 20])
    x = alt.X("gap_low:Q", title="estimation gap (points)", scale=points)
    bars = base.mark_rule(strokeWidth=2).encode(x=x, x2="gap_high:Q")
    formats = {"gap": ".1f", "bias": "+.1f"}
    numbers = [alt.Tooltip(f"{name}:Q", format=form) for name, form in formats.items()]
    shape = alt.Shape("case:N", **style)
    dots = base.mark_point(opacity=1)
    dots = dots.encode(x="gap:Q", shape=shape, tooltip=["benchmark", "case", *numbers])
    panels = alt.layer(bars, dots).properties(width=235, height=300)
    return panels.facet(column=alt.Column("panel:N", title=None)).properties(
        description="Two panels of dots with intervals, a row per benchmark. Left: the plain "
        "mean's gap is smaller for frontier targets than for ordinary ones. Right: "
        "the regression's gap is about as small at the frontier when its sources "
        "are mixed, and several times as large when they are weak."
    )
