"""The charts of the chapter on score matrices."""

import altair as alt
import numpy as np
import pandas as pd

from ..charts import PALETTE, unit_axis, unit_diagonal

BARE = alt.Axis(labels=False, ticks=False, grid=False)


def _blocks(V, rows=20, columns=32):
    """The matrix V, averaged in rows x columns blocks, in long form."""
    M, N = V.shape
    row, column = np.arange(M) * rows // M, np.arange(N) * columns // N
    places = {"row": np.repeat(row, N), "column": np.tile(column, M)}
    table = pd.DataFrame(places | {"share": V.ravel()})
    return table.groupby(["row", "column"], as_index=False).mean()


def _panels(panel, benchmarks):
    """A panel for each benchmark, in this order, three beside each other."""
    return panel.facet(facet=alt.Facet("benchmark:N", title=None, sort=benchmarks), columns=3)


def heat(matrices):
    """Matrices {benchmark: V (M, N)}, the best model and the easiest item first, in blocks."""
    parts = []
    for name, V in matrices.items():
        best_first = np.argsort(-V.mean(axis=1), kind="stable")
        easiest_first = np.argsort(-V.mean(axis=0), kind="stable")
        parts.append(_blocks(V[best_first][:, easiest_first]).assign(benchmark=name))
    panel = alt.Chart(pd.concat(parts)).mark_rect(aria=False)
    panel = panel.encode(
        x=alt.X("column:O", title="items, easiest first", axis=BARE),
        y=alt.Y("row:O", title="models, best first", axis=BARE),
        color=alt.Color("share:Q", title="share right", scale=alt.Scale(domain=[0, 1])),
        tooltip=[alt.Tooltip("share:Q", format=".2f")],
    )
    column = alt.Column("benchmark:N", title=None, sort=list(matrices))
    panels = panel.properties(width=255, height=240).facet(column=column)
    return panels.properties(
        description="Two heat maps. In MMLU right answers fill the upper left and "
        "fade smoothly to the lower right. In LegalBench the same is rougher: even "
        "the best models miss many of the hard items, and weak models have patches "
        "of their own.",
    )


def difficulty(shares):
    """Shares of models right on each item, {(benchmark, which models): (N,)}, items sorted."""
    q = np.linspace(0, 1, 51)
    parts = []
    for (benchmark, models), share in shares.items():
        curve = {"items": q, "share": np.quantile(share, q)}
        parts.append(pd.DataFrame({"benchmark": benchmark, "models": models} | curve))
    table = pd.concat(parts)
    groups = list(table["models"].unique())
    legend = alt.Legend(title=None, orient="top")
    style = {"legend": legend, "scale": alt.Scale(domain=groups)}
    numbers = [alt.Tooltip("items:Q", format=".0%"), alt.Tooltip("share:Q", format=".2f")]
    percent = alt.Axis(format="%", values=[0, 0.5, 1])
    panel = alt.Chart(table).mark_line()
    panel = panel.encode(
        x=alt.X("items:Q", title="items, hardest first", axis=percent),
        y=unit_axis(alt.Y, "share", "share of models right"),
        color=alt.Color("models:N", **style),
        strokeDash=alt.StrokeDash("models:N", **style),
        tooltip=["benchmark", "models", *numbers],
    )
    panel = panel.properties(width=165, height=120)
    return _panels(panel, list(table["benchmark"].unique())).properties(
        description="Six panels of rising curves. Over all models they rise "
        "steadily; among the best 30% they shoot up and lie flat at one, for three "
        "quarters of the items in OpenBookQA, for a fifth in LegalBench.",
    )


def rank(spectra):
    """Singular values {benchmark: (real, null)}, and the largest that chance gives."""
    parts = []
    for name, (real, null) in spectra.items():
        both = {"number": np.arange(len(real)) + 1, "real": real, "null": null}
        parts.append(pd.DataFrame({"benchmark": name} | both))
    ticks = alt.Axis(values=[1, 5, 10, 15, 20])
    base = alt.Chart(pd.concat(parts)).encode(x=alt.X("number:Q", title="number", axis=ticks))
    y = alt.Y("null:Q", title="singular value", scale=alt.Scale(zero=True))
    null_line = base.mark_line(color=PALETTE[1]).encode(y=y)
    numbers = [alt.Tooltip(f"{kind}:Q", format=".1f") for kind in ("real", "null")]
    dots = base.mark_point(size=30, aria=False)
    dots = dots.encode(y="real:Q", tooltip=["benchmark", "number", *numbers])
    panel = alt.layer(null_line, dots).properties(width=150, height=110)
    panels = _panels(panel, list(spectra)).resolve_scale(y="independent")
    return panels.properties(
        description="Six panels. The leading singular values lie above the line of "
        "chance, then join it; in LegalBench the first is three times as large as "
        "chance, in MATH hardly larger.",
    )


def legal(residual, domains):
    """Residuals (M, N), best model first, in blocks; `domains` (N,) in the file's order."""
    names, starts = np.unique(domains, return_index=True)
    names = names[np.argsort(starts)]
    edges = np.array([*np.sort(starts), len(domains)])
    parts = []
    for start, stop in zip(edges[:-1], edges[1:]):
        width = max(2, round((stop - start) / 40))
        part = _blocks(residual[:, start:stop], 20, width)
        step = (stop - start) / width
        left = start + part["column"] * step
        parts.append(part.assign(left=left, right=left + step, top=part["row"] + 1))
    scale = alt.Scale(domain=[0, len(domains)], nice=False)
    ticks = alt.Axis(grid=False, values=[0, 500, 1000, 1500, 2000])
    x = alt.X("left:Q", title="items, in the file's order", scale=scale, axis=ticks)
    down = alt.Scale(domain=[20, 0], nice=False)
    colors = [PALETTE[1], "#f7f7f7", PALETTE[0]]
    residuals = alt.Scale(domain=[-0.5, 0, 0.5], range=colors, clamp=True)
    heat = alt.Chart(pd.concat(parts)).mark_rect(aria=False)
    heat = heat.encode(
        x=x,
        x2="right:Q",
        y=alt.Y("row:Q", title="models, best first", scale=down, axis=BARE),
        y2="top:Q",
        color=alt.Color("share:Q", title="residual", scale=residuals),
        tooltip=[alt.Tooltip("share:Q", title="residual", format="+.2f")],
    )
    rules = alt.Chart(pd.DataFrame({"x": edges[1:-1]})).mark_rule(color="black")
    rules = rules.encode(x=alt.X("x:Q", scale=scale))
    short = {
        "abercrombie": "trademarks",
        "corporate_lobbying": "lobbying",
        "function_of_decision_section": "decisions",
        "international_citizenship_questions": "citizenship",
        "proa": "proa",
    }
    middle = (edges[1:] + edges[:-1]) / 2
    labels = pd.DataFrame({"x": middle, "name": [short[name] for name in names]})
    text = alt.Chart(labels).mark_text(baseline="bottom", fontSize=11)
    text = text.encode(x=alt.X("x:Q", scale=scale), y=alt.value(-4), text="name")
    return (heat + rules + text).properties(
        width=480,
        height=240,
        usermeta={"leastWidth": 440},
        description="A heat map of residuals. The sub-domains stand out as vertical "
        "bands, and within a band whole rows of models are far above or below their "
        "expectation.",
    )


def domains(accuracies, overall, models):
    """Accuracies (models, sub-domains) against the `overall` ones (models,), a panel a domain."""
    wide = accuracies.assign(overall=overall, model=models)
    table = wide.melt(["overall", "model"], var_name="domain", value_name="accuracy")
    table["domain"] = table["domain"].str.replace("_", " ")
    base = alt.Chart(table)
    numbers = [alt.Tooltip(f"{name}:Q", format=".2f") for name in ("overall", "accuracy")]
    dots = base.mark_point(size=18, aria=False)
    dots = dots.encode(
        x=unit_axis(alt.X, "overall", "all of MMLU"),
        y=unit_axis(alt.Y, "accuracy", "accuracy"),
        tooltip=["model", "domain", *numbers],
    )
    panel = alt.layer(unit_diagonal(base, "domain"), dots).properties(width=104, height=130)
    return panel.facet(facet=alt.Facet("domain:N", title=None), columns=5).properties(
        description="Five panels of points. Abstract algebra lies below the "
        "diagonal and keeps rising at the end; US foreign policy lies above it and "
        "saturates; the scatter around a common curve is small.",
    )
