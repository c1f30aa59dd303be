"""The charts of the chapter on √n-consistency."""

import altair as alt
import numpy as np
import pandas as pd
from scipy import stats

from ..charts import METHOD_LABELS, NEUTRAL, PALETTE, styles
from ..simulation import PREDICTIONS

DASHED = [4, 4]


def _log_axis(field, title, domain, values, **scale):
    """The arguments of a channel, alt.X or alt.Y, on a logarithmic axis."""
    scale = alt.Scale(type="log", domain=domain, **scale)
    return {"shorthand": field, "title": title, "scale": scale, "axis": alt.Axis(values=values)}


def tightening(errors, sds):
    """Histograms of errors {(panel, n): (draws,)}, and normal curves with these `sds`; points."""
    edges = np.arange(-30, 30.5, 1)
    fine = np.linspace(-30, 30, 241)
    drawn, limits = [], []
    for (panel, n), error in errors.items():
        density = np.histogram(error, edges)[0] / len(error)
        place = {"panel": panel, "n": str(n)}
        steps = {"kind": "draws", "error": edges[:-1] + 0.5, "density": density}
        drawn.append(pd.DataFrame(place | steps))
        bell = {"kind": "limit", "error": fine, "density": stats.norm.pdf(fine, 0, sds[panel, n])}
        limits.append(pd.DataFrame(place | bell))
    panels, sizes = ([str(key) for key in dict.fromkeys(keys)] for keys in zip(*errors))
    colors = alt.Scale(domain=sizes, range=[PALETTE[5], PALETTE[0], PALETTE[1]])
    legend = alt.Legend(orient="top")
    points = alt.Scale(domain=[-30, 30])
    ticks = alt.Axis(values=[-20, 0, 20])
    y = alt.Y("density:Q", axis=None, scale=alt.Scale(domain=[0, 0.25]))
    base = alt.Chart(pd.concat([*drawn, *limits])).encode(
        x=alt.X("error:Q", title="estimate − truth (points)", scale=points, axis=ticks),
        y=y,
        color=alt.Color("n:N", sort=sizes, title="items, n", scale=colors, legend=legend),
    )
    area = base.transform_filter("datum.kind == 'draws'")
    area = area.mark_area(interpolate="step", opacity=0.35, line={"strokeWidth": 1})
    curves = base.transform_filter("datum.kind == 'limit'")
    curves = curves.mark_line(strokeDash=[4, 3], strokeWidth=1.5)
    panel = alt.layer(area.encode(y=y.stack(None)), curves).properties(width=195, height=190)
    return panel.facet(column=alt.Column("panel:N", title=None, sort=panels)).properties(
        description="Three panels of bell-shaped distributions around zero: random sample, AIPW "
        "with a good prediction, AIPW with a harmful one. In each the distribution for 100 items "
        "is half as wide as that for 25, and that for 400 half as wide again. With the good "
        "prediction they are narrower than for the random sample, with the harmful one wider. "
        "Dashed normal curves follow them."
    )


def rmse(known):
    """Root mean square errors, simulated and by the formula: columns g, N, n, rmse, theory."""
    order = list(PREDICTIONS)
    legend = alt.Legend(orient="top", title="prediction")
    table = known.assign(rmse=100 * known["rmse"], theory=100 * known["theory"])
    sizes = _log_axis("n:Q", "items, n", [20, 500], [25, 50, 100, 200, 400])
    color = alt.Color("g:N", sort=order, legend=legend)
    base = alt.Chart(table).encode(x=alt.X(**sizes), color=color)
    errors = _log_axis("theory:Q", "RMSE (points)", [0.8, 15], [1, 2, 5, 10], nice=False)
    lines = base.mark_line().encode(y=alt.Y(**errors))
    numbers = [alt.Tooltip(f"{name}:Q", format=".2f") for name in ("rmse", "theory")]
    points = base.mark_point(filled=True, size=45)
    shape = alt.Shape("g:N", sort=order, legend=None)
    points = points.encode(y="rmse:Q", shape=shape, tooltip=["g", "N", "n", *numbers])
    panel = (lines + points).properties(width=165, height=210)
    return panel.facet(column=alt.Column("N:O", title="benchmark size N")).properties(
        description="Three panels, one per benchmark size, each with three falling straight lines "
        "and points on them. The good prediction has the lowest error, the harmful one the "
        "highest; with 500 items the lines bend down as n nears N."
    )


def learned(table, N):
    """√n times the RMSE, freed of the correction: columns method, n and rmse; N items in all."""
    constant = 100 * table["rmse"] * np.sqrt(table["n"] / (1 - table["n"] / N))
    data = table.assign(constant=constant, how=table["method"].map(METHOD_LABELS))
    sizes = [int(n) for n in table["n"].unique()]
    style = styles(list(table["method"].unique()))
    level = alt.Y("constant:Q", scale=alt.Scale(zero=False), title="√n × RMSE (points)")
    base = alt.Chart(data).encode(
        x=alt.X(**_log_axis("n:Q", "items, n", [18, 700], sizes)),
        y=level,
        color=style["color"],
    )
    points = base.mark_point(opacity=1).encode(
        shape=style["shape"],
        tooltip=["how", "n", alt.Tooltip("constant:Q", format=".1f")],
    )
    return (base.mark_line() + points).properties(
        width=470,
        height=240,
        description="Three lines of root n times RMSE against n. Random sampling is flat; both "
        "AIPW lines start near it and fall below it as n grows, then level off.",
    )


def quantiles(errors):
    """Quantiles of studentised errors {(accuracy, n): (draws,)} against Student's."""
    probabilities = np.linspace(0.01, 0.99, 50)
    parts = []
    for (accuracy, n), t in errors.items():
        pairs = {
            "case": f"accuracy {accuracy}, n = {n}",
            "theory": stats.t.ppf(probabilities, n - 1),
            "simulated": np.nanquantile(t, probabilities),
        }
        parts.append(pd.DataFrame(pairs))
    legend = alt.Legend(orient="top", columns=2)
    numbers = [alt.Tooltip(f"{name}:Q", format=".2f") for name in ("theory", "simulated")]
    curves = alt.Chart(pd.concat(parts)).mark_line(point=alt.OverlayMarkDef(size=18))
    curves = curves.encode(
        x=alt.X("theory:Q", title="quantile of Student's distribution"),
        y=alt.Y("simulated:Q", title="quantile of the studentised error"),
        color=alt.Color("case:N", title=None, legend=legend),
        tooltip=["case", *numbers],
    )
    ends = alt.Chart(pd.DataFrame({"x": [-2.5, 2.5]}))
    diagonal = ends.mark_line(color=NEUTRAL, strokeDash=DASHED).encode(x="x:Q", y="x:Q")
    return (diagonal + curves).properties(
        width=440,
        height=280,
        description="Quantile plot with four curves. At accuracy one half both sizes follow the "
        "diagonal; at accuracy 0.95 with 50 items the curve moves in few large steps and stops "
        "short on both sides; with 400 items only the upper end of the curve leaves the diagonal.",
    )


def peak(table, n_sources):
    """RMSE by penalty and n (columns penalty, n, rmse), and a rule at the number of sources."""
    penalties = list(table["penalty"].unique())[::-1]
    sizes = [int(n) for n in table["n"].unique()]
    base = alt.Chart(table).encode(
        x=alt.X(**_log_axis("n:Q", "items, n", [18, 180], sizes)),
        y=alt.Y("rmse:Q", scale=alt.Scale(type="log"), title="RMSE (points)"),
        color=alt.Color("penalty:N", sort=penalties, legend=alt.Legend(orient="top")),
    )
    points = base.mark_point(opacity=1).encode(
        shape=alt.Shape("penalty:N", sort=penalties, legend=None),
        tooltip=["penalty", "n", alt.Tooltip("rmse:Q", format=".1f")],
    )
    sources = alt.Chart(pd.DataFrame({"M": [n_sources]})).mark_rule(strokeDash=DASHED)
    return (base.mark_line() + points + sources.encode(x="M:Q")).properties(
        width=470,
        height=230,
        description="RMSE against n on logarithmic axes. With the tiny penalty there is a sharp "
        "peak just above the number of sources, where four fifths of n equal it; with a penalty "
        "of ten the curve falls steadily.",
    )
