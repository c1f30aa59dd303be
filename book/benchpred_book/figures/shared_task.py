"""The charts of the chapter on the shared task; changes of the ALC are drawn in thousandths."""

import altair as alt

from ..charts import BENCHMARK_LABELS, PALETTE, interval_dots


def _thousandths(table):
    mean, half = 1000 * table["mean"], 1000 * table["half"]
    return table.assign(change=mean, low=mean - half, high=mean + half)


def choices(changes, policies, forecasters):
    """What each policy changes: benchmark, forecaster, policy, mean, half."""
    data = _thousandths(changes)
    data["benchmark"] = data["benchmark"].map(BENCHMARK_LABELS)
    scale = alt.Scale(domain=forecasters, range=[PALETTE[0], PALETTE[2], PALETTE[1]])
    legend = alt.Legend(title="forecaster", orient="top")
    panel = interval_dots(
        data,
        "change",
        "change (thousandths)",
        reference=0,
        y=alt.Y("policy:N", sort=policies, title=None, axis=alt.Axis(labelLimit=200)),
        yOffset=alt.YOffset("forecaster:N", sort=forecasters),
        color=alt.Color("forecaster:N", scale=scale, legend=legend),
        tooltip=["benchmark", "forecaster", "policy", alt.Tooltip("change:Q", format=".1f")],
    ).properties(width=170, height=180)
    facet = alt.Facet("benchmark:N", title=None, sort=list(data["benchmark"].unique()))
    return panel.facet(facet=facet, columns=3).properties(
        description="Three panels, one for each benchmark. On SWE-bench Verified and BigCodeBench "
        "all intervals lie to the left of zero, those of the spread over difficulty nearest to it. "
        "On MMLU-Pro several hold zero; those of the forecaster with one ability lie far to the "
        "left."
    )


def less_knowledge(table, policies):
    """What each policy changes when a share of the items is permuted: kind, share, policy."""
    data = _thousandths(table)
    beside = dict(zip(policies, (-3, 0, 3), strict=True))
    data["percent"] = 100 * data["share"] + data["policy"].map(beside)
    scale = alt.Scale(domain=[-8, 108], nice=False)
    ticks = alt.Axis(values=[0, 25, 50, 75, 100], grid=False)
    colors = alt.Scale(domain=policies, range=PALETTE[:3])
    title = "change of the ALC (thousandths)"
    base = alt.Chart(data).encode(
        x=alt.X("percent:Q", title="items permuted (%)", scale=scale, axis=ticks),
        color=alt.Color("policy:N", scale=colors, legend=alt.Legend(title=None, orient="top")),
        tooltip=["policy", "share", alt.Tooltip("change:Q", format=".1f")],
    )
    once = alt.Chart(data)
    once = once.transform_filter((alt.datum.share == 0) & (alt.datum.policy == policies[0]))
    layers = [
        once.mark_rule(strokeDash=[4, 4]).encode(y=alt.datum(0)),
        base.mark_rule(strokeWidth=1.5).encode(y=alt.Y("low:Q", title=title), y2="high:Q"),
        base.mark_point(opacity=1, size=40).encode(y=alt.Y("change:Q", title=title)),
    ]
    panel = alt.layer(*layers).properties(width=260, height=200)
    kinds = list(dict.fromkeys(data["kind"]))
    return panel.facet(facet=alt.Facet("kind:N", title=None, sort=kinds), columns=2).properties(
        description="Two panels. Left, the choices by uncertainty and by usefulness rise from "
        "below zero to far above it. Right, they rise to about zero. The spread over difficulty "
        "stays near zero in both."
    )
