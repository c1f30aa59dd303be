"""The chart of notebooks/limitations.md."""

import altair as alt
import pandas as pd

from .. import charts
from ..theme import NEUTRAL, PALETTE

__all__ = ["faults"]

STAGES = ["as it is", "repaired"]


def faults(found):
    """The coverage by fault and stage: of each benchmark, and its mean.

    `found` has the columns fault, stage, benchmark and coverage, and many rows for each.
    """
    by = ["fault", "stage"]
    named = found.assign(name=found["benchmark"].map(charts.BENCHMARK_LABELS))
    each = named.groupby([*by, "name"], as_index=False, sort=False)["coverage"].mean()
    mean = each.groupby(by, as_index=False, sort=False)["coverage"].mean().assign(name="mean")
    legend = alt.Legend(orient="top", symbolOpacity=1)
    colors = alt.Scale(domain=STAGES, range=PALETTE[1::-1])
    scale = alt.Scale(domain=[-0.03, 1.03], nice=False)
    axis = alt.Axis(values=[0, 0.2, 0.4, 0.6, 0.8, 1])
    title = "coverage of the clean accuracy"
    base = alt.Chart(pd.concat([each, mean])).encode(
        x=alt.X("coverage:Q", title=title, scale=scale, axis=axis),
        y=alt.Y("fault:N", title=None, sort=list(each["fault"].unique())),
        yOffset=alt.YOffset("stage:N", sort=STAGES),
        color=alt.Color("stage:N", title=None, sort=STAGES, legend=legend, scale=colors),
        tooltip=["fault", "stage", "name", alt.Tooltip("coverage:Q", format=".3f")],
    )
    small = base.transform_filter("datum.name != 'mean'").mark_point(size=20, opacity=0.5)
    large = base.transform_filter("datum.name == 'mean'").mark_point(size=90, opacity=1)
    level = alt.Chart(pd.DataFrame({"x": [0.95]})).mark_rule(strokeDash=[4, 4], color=NEUTRAL)
    return alt.layer(level.encode(x="x:Q"), small, large).properties(
        width=440,
        height=170,
        description="Dots of coverage for five faults before and after the repair. As it is, "
        "coverage is lowest for a leaked core set, zero on some benchmarks; for the other faults "
        "it lies between .55 and 1. After the repair all lie near or above .95.",
    )
