"""The charts of the chapter on six benchmarks."""

import altair as alt
import numpy as np
import pandas as pd

import benchpred_utils as bp

from .. import charts

__all__ = ["budget_change", "budgets", "change", "parts"]


def change(changes):
    """The change of the estimation gap of every method on every benchmark."""
    return charts.change_heat(changes).properties(
        height=338,
        usermeta={"leastWidth": 462},
        description="Heat table, a row per method in five families, a column per benchmark and one "
        "for the mean. Most cells are blue, a smaller gap than that of random sampling; the rows "
        "of k-center greedy and Sort & Search are orange.",
    )


def budget_change(changes):
    """The mean change of every method, with a column per budget, named in "benchmark"."""
    labels = {name: name for name in changes["benchmark"].unique()}
    return charts.change_heat(changes, mean=False, labels=labels).properties(
        usermeta={"leastWidth": 220},
        description="Heat table, a row per method, a column per budget. Most methods that learn "
        "across models are deep blue at few items and pale at many, where lasso, metabench and the "
        "anchor points predictor are orange; imputation is deep blue at all budgets; both forms of "
        "AIPW and sequential stratification grow bluer; k-center greedy and Sort & Search get "
        "worse with every budget.",
    )


def budgets(summary, theory):
    """The estimation gap over budgets, with `theory`(values, n) for a random core set, in points.

    `summary` is the table of `bp.summarise`.
    """
    columns = ["gap", "gap_low", "gap_high", "bias"]
    points = summary.assign(**{name: 100 * summary[name] for name in columns})
    curve = []
    for name in bp.HELM_LITE:
        values = bp.load_scores(name).values
        grid = np.geomspace(10, max(100, 0.2 * values.shape[1]), 20).astype(int)
        curve += [(name, n, theory(values, n)) for n in np.unique(grid)]
    curve = pd.DataFrame(curve, columns=["benchmark", "budget", "gap"])
    shown = ["random_sampling", "random_sampling_learn", "aipw_cross_fitted"]
    shown += ["k_center_greedy", "gp_irt"]
    gap = alt.Scale(type="log", domain=[1, 40], nice=False)
    return charts.budget_curves(points, shown, curve, gap, [1, 2, 5, 10, 20, 40]).properties(
        description="Six panels of gap against budget on logarithmic axes. Random sampling follows "
        "its theoretical curve; AIPW runs below it and falls a little faster; the regression "
        "starts lower and falls more slowly; k-center greedy falls least of the coloured lines "
        "and ends far above them; gp-IRT, mostly hollow points, is the lowest of them nearly "
        "everywhere up to 100 items."
    )


def parts(table, methods):
    """Standard deviation and bias of each method on each benchmark, and their roots of the means.

    `table` has the columns "variance" and "squared bias", by benchmark and method; `methods` in
    the order of the rows.
    """
    mean = table.groupby("method").mean()
    both = pd.concat([table.reset_index(), mean.reset_index()])
    both["label"] = both["benchmark"].map(charts.BENCHMARK_LABELS).fillna("mean")
    both["how"], both["family"] = (
        both["method"].map(charts.label),
        both["method"].map(charts.family),
    )
    rows = [charts.label(name) for name in methods]
    left = _part(both, "variance", "standard deviation", rows, alt.Scale(domainMin=0), True)
    root = alt.Scale(type="sqrt", domainMin=0)
    right = _part(both, "squared bias", "bias", rows, root, False)
    return alt.hconcat(left, right).properties(
        description="Two panels of dots, a row per method. Left, the standard deviation: that of "
        "random sampling is larger than nearly all others. Right, the bias: close to zero for "
        "random sampling, AIPW and sequential stratification, small for imputation, moderate for "
        "most other methods that learn across models, very large for k-center greedy."
    )


def _part(table, column, title, rows, scale, named):
    """One panel: the roots of a column, small for a benchmark, large for their mean."""
    data = table.assign(value=np.sqrt(table[column].clip(lower=0)))
    axis = alt.Axis(grid=True, labels=named, ticks=named, domain=named, labelLimit=220)
    legend = alt.Legend(title=None, orient="top", columns=2, symbolOpacity=1)
    base = alt.Chart(data[["how", "family", "label", "value"]]).encode(
        x=alt.X("value:Q", title=f"{title} (points)", scale=scale),
        y=alt.Y("how:N", title=None, sort=rows, axis=axis),
        color=alt.Color("family:N", scale=charts.family_scale(), legend=legend),
        tooltip=["how", "label", alt.Tooltip("value:Q", format=".1f")],
    )
    small = base.transform_filter("datum.label != 'mean'").mark_point(size=14, opacity=0.5)
    large = base.transform_filter("datum.label == 'mean'").mark_point(size=80, opacity=1)
    return (small + large).properties(width=210, height=240)
