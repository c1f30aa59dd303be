"""The charts of the chapter on the rivals; their tables have a row per benchmark and method."""

import altair as alt
import numpy as np
import pandas as pd

from ..charts import (
    BENCHMARK_LABELS,
    METHOD_LABELS,
    PALETTE,
    change_heat,
    interval_dots,
    method_style,
)
from ..rivals import RIVALS

LABELS = BENCHMARK_LABELS | METHOD_LABELS
LABELS |= {name: method.label for name, method in RIVALS.items()}


def _named(table, measure, scale=1):
    """The plain names, and a measure with its interval: how, benchmark, `measure`, low, high."""
    ends = {measure: measure, f"{measure}_low": "low", f"{measure}_high": "high"}
    data = scale * table[list(ends)].rename(columns=ends)
    how = table["method"].map(LABELS)
    return data.assign(how=how, benchmark=table["benchmark"].map(LABELS))


def effective_sizes(table, methods, description):
    """The ESS of `methods`, a panel for each benchmark."""
    table = table[table["method"].isin(methods)]
    data = _named(table, "ess")
    data["whose"] = np.where(table["method"].isin(RIVALS), "rivals", "this book")
    whose = alt.Scale(domain=["this book", "rivals"], range=PALETTE[:2])
    rows = [LABELS[method] for method in methods]
    panel = interval_dots(
        data,
        "ess",
        "ESS",
        reference=1,
        x={
            "scale": alt.Scale(type="log", domain=[0.06, 4], nice=False),
            "axis": alt.Axis(values=[0.1, 0.3, 1, 3]),
        },
        y=alt.Y("how:N", sort=rows, title=None, axis=alt.Axis(grid=True, labelLimit=220)),
        color=alt.Color("whose:N", scale=whose, legend=alt.Legend(title=None, orient="top")),
        tooltip=["benchmark", "how", alt.Tooltip("ess:Q", format=".2f")],
    ).properties(width=98, height=12 * len(rows))
    facet = alt.Facet("benchmark:N", title=None, sort=list(data["benchmark"].unique()))
    panels = panel.facet(facet=facet, columns=4, spacing=14)
    return panels.properties(description=description)


def bias(table, methods):
    """The mean error of each target against its accuracy: method, truth, bias."""
    table = table[table["method"].isin(methods)]
    how = table["method"].map(LABELS)
    data = pd.DataFrame(
        {"accuracy": 100 * table["truth"], "error": 100 * table["bias"], "how": how}
    )
    labels = [LABELS[method] for method in methods]
    legend = alt.Legend(title=None, orient="top")
    marks = zip(*map(method_style, methods))
    hues, shapes = (alt.Scale(domain=labels, range=list(each)) for each in marks)
    accuracy = alt.Tooltip("accuracy:Q", format=".1f")
    zero = alt.Chart(pd.DataFrame({"y": [0]})).mark_rule(strokeDash=[4, 4]).encode(y="y:Q")
    points = (
        alt.Chart(data)
        .mark_point(opacity=1)
        .encode(
            x=alt.X("accuracy:Q", title="true accuracy (%)", scale=alt.Scale(zero=False)),
            y=alt.Y("error:Q", title="mean error (points)"),
            color=alt.Color("how:N", scale=hues, legend=legend),
            shape=alt.Shape("how:N", scale=shapes, legend=legend),
            tooltip=["how", accuracy, alt.Tooltip("error:Q", format="+.1f")],
        )
    )
    return (zero + points).properties(
        width=480,
        height=230,
        description="Scatter plot of mean errors: sequential stratification lies on zero for all "
        "targets; both regressions lie three to twenty points below it, further for better models.",
    )


def heat(changes):
    """The heat table of all methods of the book with the rivals below."""
    return change_heat(changes).properties(
        usermeta={"leastWidth": 462},
        description="Heat table of all methods against six benchmarks and their mean, at the "
        "frontier. Sequential stratification and imputation are blue in every column; most "
        "regressions and chosen core sets are orange, and so is mRMR with a ridge.",
    )


def coverage(table, methods):
    """The coverage of `methods` in per cent, a panel for each of them."""
    data = _named(table[table["method"].isin(methods)], "coverage", 100)
    data["high"] = data["high"].clip(upper=100)
    rows = list(data["benchmark"].unique())
    panel = interval_dots(
        data,
        "coverage",
        "coverage (%)",
        reference=95,
        x={
            "scale": alt.Scale(domain=[60, 100], nice=False, zero=False),
            "axis": alt.Axis(values=[60, 80, 100]),
        },
        y=alt.Y("benchmark:N", title=None, sort=rows, axis=alt.Axis(grid=True)),
        tooltip=["how", "benchmark", alt.Tooltip("coverage:Q", format=".1f")],
    ).properties(width=130, height=140)
    facet = alt.Facet("how:N", title=None, sort=[LABELS[method] for method in methods])
    return panel.facet(facet=facet, columns=3).properties(
        description="Six panels of coverage on eight benchmarks. Random sampling, cross-fitted "
        "AIPW and sequential stratification lie at 95 per cent or above; active querying and both "
        "kinds of PPI++ fall below it on most benchmarks, down to about 70 and 85 per cent on "
        "OpenBookQA."
    )
