"""The charts of the chapter on the mathematics of MMLU."""

import altair as alt
import numpy as np
import pandas as pd

from .. import charts

__all__ = ["claimed", "estimates", "heat", "pairs", "roles"]

LEGEND = alt.Legend(title=None, orient="top", columns=3)
DASHED = {"strokeDash": [4, 4], "color": charts.NEUTRAL}
QUESTIONS = ("abstract_algebra", "mmlu_math", "mmlu_math_systems")


def pairs(every, methods):
    """The gap of the methods for each pair of added sources, by the accuracy of the better one.

    `every` has one row per pair: accuracy, and a column for each method.
    """
    data = every.melt(["accuracy"], methods, "method", "gap")
    data["how"] = data["method"].map(charts.label)
    accuracy, gap = alt.Scale(domain=[0.3, 0.9]), alt.Scale(domain=[0, 30])
    points = alt.Chart(data[["accuracy", "gap", "how"]]).mark_point(opacity=0.8, size=25)
    panel = points.encode(
        x=alt.X("accuracy:Q", title="accuracy of the better added model", scale=accuracy),
        y=alt.Y("gap:Q", title="estimation gap (points)", scale=gap),
        tooltip=["how", _shown("accuracy", ".2f"), _shown("gap", ".1f")],
        **charts.styles(methods, legend=None),
    )
    by_method = alt.Column("how:N", title=None, sort=[charts.label(name) for name in methods])
    return (
        panel.properties(width=255, height=170)
        .facet(column=by_method)
        .properties(
            description="Two panels. The regression's gap falls in a straight line from about 28 "
            "points to about 6 as the better of the added pair gets better at mathematics. "
            "The gap of AIPW stays near 4 points throughout."
        )
    )


def roles(data, split):
    """Ticks of the models' accuracy, coloured by role; `data` and `split` by set of questions."""
    parts = []
    for name, scores in data.items():
        source, target = split[name]
        role = np.where(np.isin(scores.models, source.models), "source", "left out")
        role[np.isin(scores.models, target.models)] = "target"
        parts.append(pd.DataFrame({"model": scores.models, "accuracy": scores.accuracy}))
        parts[-1] = parts[-1].assign(questions=charts.BENCHMARK_LABELS[name], role=role)
    colors = alt.Scale(
        domain=["source", "left out", "target"],
        range=[charts.PALETTE[4], charts.NEUTRAL, charts.PALETTE[0]],
    )
    ticks = alt.Chart(pd.concat(parts)).mark_tick(thickness=2, size=22)
    wide = alt.Axis(labelLimit=220)
    return ticks.encode(
        x=alt.X("accuracy:Q", title="accuracy", scale=alt.Scale(domain=[0, 1])),
        y=alt.Y("questions:N", title=None, sort=_questions(), axis=wide),
        color=alt.Color("role:N", legend=LEGEND, scale=colors),
        tooltip=["model", "role", _shown("accuracy", ".3f")],
    ).properties(
        width=420,
        height=130,
        description="Three rows of ticks. On abstract algebra the sources crowd between 0.2 and "
        "0.4 and the targets lie between 0.5 and 0.8; on MMLU math the sources spread from 0.1 to "
        "0.5 and the targets from 0.7 to 0.9. With the three systems the row is nearly the same, "
        "except for two more sources near 0.55 and targets up to 0.95.",
    )


def heat(cells):
    """The relative error of every method by budget, split and set of questions; hits are framed.

    `cells` has one row per setting and method: benchmark, split, asked, method, percent, hit.
    """
    split = ["interpolation", "extrapolation"]
    budgets = {10: "10", 25: "25", 50: "50", 100: "100", 0.2: "20%"}
    data = _named(cells[cells["split"].isin(split)])
    data = data.assign(column=data["asked"].map(budgets))
    base = alt.Chart(data[["how", "questions", "split", "column", "percent", "hit"]]).encode(
        x=alt.X("column:N", title="budget", sort=[*budgets.values()], axis=alt.Axis(labelAngle=0)),
        y=alt.Y("how:N", title=None, sort=_by_error(cells), axis=alt.Axis(labelLimit=200)),
    )
    scale = alt.Scale(scheme="viridis", type="log", domain=[2, 50], clamp=True)
    legend = alt.Legend(orient="top", gradientLength=200, values=[2, 5, 10, 20, 50])
    colored = base.mark_rect().encode(
        color=alt.Color("percent:Q", title="relative error (%)", scale=scale, legend=legend),
        tooltip=["how", "questions", "split", "column", _shown("percent", ".1f")],
    )
    frame = {"fillOpacity": 0, "stroke": charts.PALETTE[1], "strokeWidth": 2.5}
    hits = base.transform_filter("datum.hit").mark_rect(**frame)
    panel = alt.layer(colored, hits).properties(width=130, height=240)
    return _by_questions(panel, row=alt.Row("split:N", title=None, sort=split)).properties(
        description="Six heat tables of relative error, methods by budgets, with twelve framed "
        "cells. In extrapolation the regressions, metabench and lasso are high at all budgets, "
        "PCA and p-IRT at all except the largest of abstract algebra, gp-IRT at small ones; "
        "random sampling, AIPW and weighted anchor points are low. In interpolation most methods "
        "are alike and fall with the budget; Sort & Search hardly falls."
    )


def _by_error(cells):
    """The methods: random sampling and AIPW, then the others from the smallest error on."""
    first = ["random_sampling", "aipw", "aipw_cross_fitted"]
    at = cells.query("benchmark == 'mmlu_math' and split == 'extrapolation' and budget == 50")
    ordered = at.sort_values("percent")["method"]
    return [charts.label(name) for name in [*first, *ordered[~ordered.isin(first)]]]


def claimed(curves, methods, figures):
    """Relative error over budgets with the claimed `figures`; `curves` of `bp.summarise`."""
    columns = {"percent": "relative", "low": "relative_low", "high": "relative_high"}
    data = _named(curves.assign(**{to: 100 * curves[name] for to, name in columns.items()}))
    styles = charts.styles(methods)
    budgets = alt.Scale(type="log", domain=[4.5, 110], nice=False)
    at = alt.Axis(values=[5, 10, 20, 50, 100])
    base = alt.Chart(data[["how", "questions", "budget", *columns]]).encode(
        x=alt.X("budget:Q", title="items in the core set, n", scale=budgets, axis=at),
        y=alt.Y("percent:Q", title="relative error (%)", scale=alt.Scale(domain=[0, 55])),
        color=styles["color"],
        tooltip=["how", "budget", _shown("percent", ".1f")],
    )
    across = {"x": alt.value(0), "x2": alt.value(255), "color": alt.value(charts.NEUTRAL)}
    rule = base.mark_rule(strokeDash=[4, 4])
    layers = [rule.encode(y=alt.datum(figure), **across) for figure in figures]
    layers += [base.mark_line(), base.mark_rule().encode(y="low:Q", y2="high:Q")]
    layers.append(base.mark_point(size=32, opacity=1).encode(shape=styles["shape"]))
    return _by_questions(alt.layer(*layers).properties(width=255, height=210)).properties(
        description="Two panels. AIPW and random sampling fall on one and the same curve and "
        "cross the lower dashed line at very few items. The regression falls slowly from far "
        "above and crosses the upper dashed line later, on abstract algebra only after half of "
        "the items."
    )


def estimates(targets, methods):
    """The mean estimate of each target against the truth; `targets` of `bp.per_model`."""
    data = _named(targets[targets["method"].isin(methods)])
    data = data.assign(estimate=data["truth"] + data["bias"])
    base = alt.Chart(data[["model", "how", "questions", "truth", "estimate"]])
    scale = alt.Scale(domain=[0.25, 1], nice=False)
    once = base.transform_aggregate(groupby=["questions"])
    diagonal = once.mark_rule(**DASHED).encode(
        x=alt.XDatum(0.25, scale=scale),
        x2=alt.datum(1),
        y=alt.YDatum(0.25, scale=scale),
        y2=alt.datum(1),
    )
    dots = base.mark_point(size=32).encode(
        x=alt.X("truth:Q", title="accuracy of the target", scale=scale),
        y=alt.Y("estimate:Q", title="mean estimate", scale=scale),
        tooltip=["model", "how", _shown("truth", ".2f"), _shown("estimate", ".2f")],
        **charts.styles(methods),
    )
    panel = alt.layer(diagonal, dots).properties(width=255, height=240)
    return _by_questions(panel).properties(
        description="Two panels of mean estimate against truth. Random sampling and AIPW lie on "
        "the diagonal, weighted anchor points scatter around it, k-center greedy lies somewhat "
        "above it. The regression lies far below it, on a nearly flat band."
    )


def _questions():
    return [charts.BENCHMARK_LABELS[name] for name in QUESTIONS]


def _named(table):
    questions = table["benchmark"].map(charts.BENCHMARK_LABELS)
    return table.assign(questions=questions, how=table["method"].map(charts.label))


def _by_questions(panel, **channels):
    column = alt.Column("questions:N", title=None, sort=_questions())
    return panel.facet(column=column, **channels)


def _shown(column, number):
    return alt.Tooltip(f"{column}:Q", format=number)
