"""The charts of the chapter on intervals."""

import altair as alt
import numpy as np
import pandas as pd
from scipy import stats

from benchpred_utils.intervals import sample_interval, t_interval

from ..charts import INTERVALS, NEUTRAL, PALETTE, label, styles

KINDS = {"Student": INTERVALS["t"], "score": INTERVALS["score"]}
BUDGETS = range(10, 105, 5)


def coverage_by_items(n_items):
    """For each n, the exact coverage of Student's and the score interval from accuracy 1/2 on."""
    return [_coverages(n, n_items) for n in BUDGETS]


def _coverages(n, n_items):
    right = np.arange(n_items // 2, n_items + 1)
    theta = right / n_items
    seen = np.arange(n + 1)[:, None]
    chance = stats.hypergeom(n_items, right, n).pmf(seen)
    mean = seen / n
    variance = (1 - n / n_items) * mean * (1 - mean)
    ends = {
        "Student": t_interval(mean, variance / (n - 1), n - 1),
        "score": sample_interval(mean, variance / n, mean, n, n_items, np.inf),
    }
    covered = {"items": n}
    for kind, (lower, upper) in ends.items():
        held = (lower <= theta + 1e-12) & (theta <= upper + 1e-12)
        covered[kind] = (chance * held).sum(axis=0).round(3).tolist()
    return covered


def coverage_sliders(by_items, n_items, accuracies):
    """The coverages of `coverage_by_items`, with sliders for n and for the accuracy read off."""
    steps = alt.binding_range(min=BUDGETS[0], max=BUDGETS[-1], step=5, name="items asked")
    items = alt.param("items", value=25, bind=steps)
    grid = alt.binding_range(min=0.5, max=1, step=0.002, name="accuracy of the model")
    accuracy = alt.param("accuracy", value=0.95, bind=grid)
    chosen = (
        alt.Chart()
        .transform_filter("datum.items == items")
        .transform_flatten(list(KINDS))
        .transform_window(number="row_number()")
        .transform_calculate(at=f"({n_items // 2 - 1} + datum.number) / {n_items}")
    )
    here = chosen.transform_filter("abs(datum.at - accuracy) < 0.0005")
    scale = alt.Scale(domain=[0.5, 1], nice=False)
    x = alt.X("at:Q", title="accuracy of the model", scale=scale)
    y = alt.Y("coverage:Q", title="coverage", scale=alt.Scale(domain=[0, 1], nice=False))
    colors = alt.Scale(domain=list(KINDS), range=list(KINDS.values()))
    color = alt.Color("interval:N", legend=None, scale=colors)
    line = chosen.transform_fold(list(KINDS), ["interval", "coverage"])
    dots = here.transform_fold(list(KINDS), ["interval", "coverage"])
    models = pd.DataFrame({"at": accuracies, "y": 0.04})
    layers = [
        alt.Chart(pd.DataFrame({"y": [0.95]})).mark_rule(strokeDash=[4, 4]).encode(y="y:Q"),
        alt.Chart(models).mark_tick(color=NEUTRAL, size=10, thickness=1).encode(x, y="y:Q"),
        line.mark_line(clip=True, strokeWidth=1.5).encode(x, y, color),
        here.mark_rule().encode(x),
        dots.mark_point(size=70, opacity=1, clip=True).encode(x, y, color),
        *_read_off(here),
    ]
    return (
        alt.layer(*layers, data=alt.Data(values=by_items))
        .add_params(items, accuracy)
        .properties(
            width=540,
            height=194,
            description="Coverage against accuracy for a chosen number of items. With 25 items "
            "Student's curve is near .95 at one half and falls in a saw-tooth far below .5 as the "
            "accuracy nears 1. The score curve stays above .93, and near accuracy 1 mostly above "
            ".95. A slider sets the number of items, another one the accuracy at which both "
            "coverages are written out.",
        )
    )


def _read_off(here):
    """Three lines of text: the case, and both coverages."""
    said = {"case": "items + ' items, accuracy ' + format(accuracy, '.3f')"}
    said |= {kind: f"'{kind}: ' + format(datum.{kind}, '.3f')" for kind in KINDS}
    for row, (kind, text) in enumerate(said.items()):
        color = KINDS.get(kind, alt.Undefined)
        words = here.transform_calculate(say=text)
        words = words.mark_text(align="left", fontSize=15, tooltip=False, color=color)
        yield words.encode(x=alt.value(20), y=alt.value(110 + 26 * row), text="say:N")


def teeth(coverages):
    """Coverage against accuracies from .8 on: {(panel, kind): its values for K = 0, ..., N}."""
    curves = []
    for (panel, kind), values in coverages.items():
        theta = np.arange(len(values)) / (len(values) - 1)
        curve = pd.DataFrame({"accuracy": theta, "coverage": values, "kind": kind, "size": panel})
        curves.append(curve[theta >= 0.8])
    panels = list(dict.fromkeys(panel for panel, _ in coverages))
    kinds = list(dict.fromkeys(kind for _, kind in coverages))
    scale = alt.Scale(domain=[0.8, 1], nice=False)
    ticks = alt.Axis(values=[0.8, 0.85, 0.9, 0.95, 1])
    color = alt.Color(
        "kind:N",
        title=None,
        sort=kinds,
        scale=alt.Scale(range=[PALETTE[4], PALETTE[0]]),
        legend=alt.Legend(orient="top", symbolType="stroke"),
    )
    numbers = [alt.Tooltip(f"{name}:Q", format=".3f") for name in ("accuracy", "coverage")]
    curve = alt.Chart().mark_line(strokeWidth=1.5, clip=True)
    curve = curve.encode(
        x=alt.X("accuracy:Q", title="accuracy of the target", scale=scale, axis=ticks),
        y=alt.Y("coverage:Q", title="coverage", scale=alt.Scale(domain=[0.85, 1], nice=False)),
        color=color,
        tooltip=["kind", *numbers],
    )
    level = alt.Chart().mark_rule(strokeDash=[4, 4]).encode(y=alt.datum(0.95))
    panel = alt.layer(curve, level, data=pd.concat(curves)).properties(width=250, height=210)
    column = alt.Column("size:N", title=None, sort=panels)
    return panel.facet(column=column, spacing=36).properties(
        description="Two panels of coverage against accuracies from .8 to 1, one for 25 and one "
        "for 450 of 500 items. Without the step the saw-teeth grow towards accuracy 1 and the "
        "deepest go below .90; with it all stay well above .90, and near accuracy 1 most of the "
        "line lies above .95."
    )


def stored_coverage(cells, names):
    """Mean and lowest coverage by kind of target and n, a panel for each method.

    `cells`: method, split, benchmark, asked, coverage, lowest.
    """
    row = cells["split"].str.replace("_", " ") + ", " + cells["asked"].astype(int).astype(str)
    how = cells["method"].map(label)
    data = cells.assign(row=row, how=how, name=cells["benchmark"].map(names))
    data = data[["row", "how", "name", "coverage", "lowest"]]
    methods = list(dict.fromkeys(cells["method"]))
    labels = [label(method) for method in methods]
    rows = list(dict.fromkeys(row))
    left = np.floor(20 * data["lowest"].min() - 0.2) / 20
    scale = alt.Scale(domain=[left, 1.0], nice=False, zero=False)
    ends = [alt.Tooltip(f"{end}:Q", format=".3f") for end in ("coverage", "lowest")]
    base = alt.Chart(data).encode(
        y=alt.Y("row:N", title=None, sort=rows, axis=alt.Axis(grid=True)),
        **styles(methods, legend=None),
        tooltip=[alt.Tooltip("name", title="benchmark"), "row", *ends],
    )
    x = alt.X("coverage:Q", title="coverage", scale=scale, axis=alt.Axis(format=".2f", tickCount=3))
    once = alt.Chart(data).transform_filter(alt.datum.row == rows[0])
    layers = [
        once.mark_rule(strokeDash=[2, 3]).encode(x=alt.datum(0.9)),
        once.mark_rule(strokeDash=[6, 3]).encode(x=alt.datum(0.93)),
        base.mark_point(filled=False, size=34, strokeWidth=1).encode(
            alt.X("lowest:Q", scale=scale)
        ),
        base.mark_point(size=22, opacity=0.8).encode(x),
    ]
    panel = alt.layer(*layers).properties(width=155, height=15 * len(rows))
    column = alt.Column("how:N", title=None, sort=labels)
    return panel.facet(column=column, spacing=32).properties(
        description="Three panels, one per method, with a row for each of the kinds of targets "
        "and numbers of items. Filled marks, the mean coverages of the six benchmarks, and hollow "
        "ones, their lowest targets, against rules at .90 and .93."
    )
