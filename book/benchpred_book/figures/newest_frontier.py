"""The charts of the chapter on the newest frontier."""

import altair as alt
import numpy as np
import pandas as pd

from ..charts import PALETTE, interval_dots, label, method_style, styles

SOURCES = {
    "without_twins": "21 runs of 2025",
    "with_twins": "with 6 twins",
    "without_others": "with the twins, without 6 others",
    "with_older": "with 134 older submissions",
}
BENCHMARKS = {
    ("swe_bench_bash_only", "without_twins", 50): "SWE-bench, one agent",
    ("swe_bench_verified", "before_2025_07", 50): "SWE-bench, many agents",
    ("swe_bench_multilingual", "extrapolation", 50): "SWE-bench Multilingual",
    ("bigcodebench", "extrapolation", 0.1): "BigCodeBench",
    ("mmlu_pro", "extrapolation", 0.01): "MMLU-Pro",
    ("gso", "extrapolation", 20): "GSO",
}


def costs(bill, design, n_items):
    """Dollars of each model: by the design, by a random sample, and for all tasks.

    `bill` has one row per model and method: model, method, solved, tasks, dollars, full.
    """
    methods = [design, "random_sampling"]
    every_task = f"all {n_items} tasks"
    some = bill[bill["method"].isin(methods)]
    every = bill.drop_duplicates("model").assign(tasks=n_items, dollars=lambda table: table["full"])
    shown = pd.concat([some.assign(how=some["method"].map(label)), every.assign(how=every_task)])
    order = alt.EncodingSortField("dollars", op="max", order="descending")
    scale = alt.Scale(type="log", domain=[1, 600])
    ticks = alt.Axis(values=[1, 3, 10, 30, 100, 300])
    formats = {"tasks": ".0f", "dollars": ".0f", "solved": ".1%"}
    numbers = [alt.Tooltip(f"{name}:Q", format=form) for name, form in formats.items()]
    base = alt.Chart(shown[["model", "how", "tasks", "dollars", "solved"]]).encode(
        y=alt.Y("model:N", title=None, sort=order, axis=alt.Axis(grid=True)),
        x=alt.X("dollars:Q", title="dollars", scale=scale, axis=ticks),
    )
    line = base.mark_rule(opacity=0.5).encode(x="min(dollars):Q", x2="max(dollars):Q")
    dots = base.mark_point(opacity=1).encode(
        **styles(methods, others=[every_task]),
        tooltip=["model", "how", *numbers],
    )
    return (line + dots).properties(
        width=430,
        height=188,
        description="Dot plot, a row for each of twelve models, dollars on a logarithmic axis: "
        "for each model sequential stratification costs less than a random sample, and a "
        "random sample less than half of the full run; the models' full runs range from 24 to 377 "
        "dollars.",
    )


def twins(each):
    """The ESS of each target with and without twins: target, split, trials, ESS, has_twin."""
    spread = np.exp(1.96 * (2 / each["trials"]) ** 0.5)
    each = each.assign(
        low=each["ESS"] / spread,
        high=each["ESS"] * spread,
        sources=each["split"].map(SOURCES),
        label=each["target"] + np.where(each["has_twin"], " (twin)", ""),
    )
    each = each.sort_values(["has_twin", "target"], ascending=[False, True])
    each = each[["label", "target", "sources", "ESS", "low", "high"]]
    sets = list(SOURCES.values())[:2]
    colors = alt.Scale(domain=sets, range=PALETTE[:2])
    return interval_dots(
        each,
        "ESS",
        "effective sample size",
        x={"scale": alt.Scale(zero=True)},
        y=alt.Y("label:N", title=None, sort=list(each["label"].unique())),
        yOffset=alt.YOffset("sources:N", sort=sets),
        color=alt.Color("sources:N", scale=colors, legend=alt.Legend(title=None, orient="top")),
        shape=alt.Shape("sources:N", scale=alt.Scale(domain=sets)),
        tooltip=["target", "sources", alt.Tooltip("ESS:Q", format=".2f")],
    ).properties(
        width=400,
        height=alt.Step(11),
        description="Dot plot, five targets with a twin and then seven without: effective sample "
        "sizes from two to six; with the twins among the sources most are a little larger, in "
        "both groups.",
    )


def costly(tasks):
    """The relative cost of each task by how many sources solve it: task, solved, cost."""
    scale = alt.Scale(type="log", domain=[0.12, 4.5], nice=False)
    ticks = alt.Axis(values=[0.12, 0.25, 0.5, 1, 2, 4])
    share = alt.Tooltip("solved:Q", format=".0f")
    points = (
        alt.Chart(tasks)
        .mark_point(opacity=0.6, size=25)
        .encode(
            x=alt.X("solved:Q", title="sources that solve the task (%)"),
            y=alt.Y("cost:Q", title="cost (mean task = 1)", scale=scale, axis=ticks),
            tooltip=["task", share, alt.Tooltip("cost:Q", format=".2f")],
        )
    )
    return points.properties(
        width=430,
        height=240,
        description="Scatter plot: tasks that every source solves cost half of the mean task or "
        "less, tasks that few solve up to four times the mean.",
    )


def gains(table, method):
    """The ESS of a method, with low and high, in the order of BENCHMARKS."""
    names = list(BENCHMARKS.values())
    color, shape = method_style(method)
    data = table[["ESS", "low", "high"]].assign(on=names).reset_index(drop=True)
    return interval_dots(
        data,
        "ESS",
        "effective sample size",
        reference=1,
        x={"scale": alt.Scale(domain=[0, 4])},
        y=alt.Y("on:N", title=None, sort=names, axis=alt.Axis(labelLimit=200)),
        color=alt.value(color),
        shape=alt.value(shape),
        tooltip=["on", alt.Tooltip("ESS:Q", format=".2f")],
    ).properties(
        width=380,
        height=170,
        description="Dot plot with intervals: an effective sample size of about three on the two "
        "SWE-bench rows, above two on Multilingual and BigCodeBench, about 1.3 on MMLU-Pro and "
        "below 1.2 on GSO.",
    )
