"""The charts of notebooks/model_similarity.md."""

import altair as alt

import benchpred_utils as bp

from .. import likeness
from ..charts import split_styles
from ..theme import NEUTRAL, PALETTE

__all__ = ["definitions", "errors", "warnings"]

TOP = alt.Legend(title=None, orient="top")


def _cut(dash, **place):
    """A rule at one value."""
    rule = alt.Chart().mark_rule(strokeDash=dash, color=NEUTRAL)
    return rule.encode(**{channel: alt.datum(value) for channel, value in place.items()})


def errors(table):
    """The error against S, a panel per method, a line per split; a menu chooses the definition.

    `table` has the columns split, definition, method, S, error, low and high.
    """
    menu = alt.binding_select(options=list(likeness.DEFINITIONS), name="S by")
    definition = alt.param("definition", value="agreement, mean", bind=menu)
    methods = list(dict.fromkeys(table["method"]))
    log = alt.Scale(type="log", domain=[1, 42], nice=False)
    title = "error (points)"
    y = alt.Y("error:Q", title=title, scale=log, axis=alt.Axis(values=[2, 5, 10, 20, 40]))
    style = split_styles(bp.SPLITS)
    base = (
        alt.Chart()
        .transform_filter("datum.definition == definition")
        .encode(
            x=alt.X("S:Q", title="similarity S", scale=alt.Scale(domain=[0, 1], nice=False)),
            color=style["color"],
        )
    )
    tooltip = ["split", alt.Tooltip("S:Q", format=".2f"), alt.Tooltip("error:Q", format=".1f")]
    bars = base.mark_rule(opacity=0.6, clip=True)
    bars = bars.encode(y=alt.Y("low:Q", title=title), y2="high:Q")
    lines = base.mark_line(strokeWidth=1.5, point=alt.OverlayMarkDef(size=22))
    lines = lines.encode(y=y, tooltip=tooltip)
    panel = alt.layer(_cut([4, 4], x=0.7), _cut([1, 3], y=5), bars, lines, data=table)
    panel = panel.add_params(definition).properties(width=255, height=68)
    facet = alt.Facet("method:N", title=None, sort=methods)
    return panel.facet(facet=facet, columns=2, spacing={"row": 14, "column": 28}).properties(
        description="Four panels of error against similarity, a line per split. Random sampling "
        "is nearly flat and alike in all splits. The regression falls steeply and lies far higher "
        "in extrapolation. Cross-fitted AIPW and sequential stratification fall gently and stay "
        "low. A menu chooses the definition of S, and the lines move along the axis.",
    )


def definitions(table):
    """The median and the middle 90% of S by each definition, the columns of the table."""
    ranges = table.quantile([0.05, 0.5, 0.95]).T.set_axis(["low", "median", "high"], axis=1)
    ranges = ranges.rename_axis("definition").reset_index()
    ranges["kind"] = ranges["definition"].str.split(",").str[0]
    kinds = alt.Scale(domain=list(ranges["kind"].unique()), range=PALETTE[:4])
    base = alt.Chart(ranges).encode(
        y=alt.Y("definition:N", title=None, sort=list(table.columns)),
        color=alt.Color("kind:N", scale=kinds, legend=None),
    )
    x = alt.X("low:Q", title="S", scale=alt.Scale(domain=[0, 1]))
    dots = base.mark_point(opacity=1, filled=True, size=40)
    tooltip = ["definition", alt.Tooltip("median:Q", format=".2f")]
    layers = [
        _cut([4, 4], x=0.3),
        _cut([4, 4], x=0.7),
        base.mark_rule(strokeWidth=2).encode(x=x, x2="high:Q"),
        dots.encode(x="median:Q", tooltip=tooltip),
    ]
    return alt.layer(*layers, data=ranges).properties(
        width=420,
        height=215,
        description="A row per definition. Mean kappa lies mostly below 0.3. The maximum and the "
        "top five of agreement and of forward lie mostly above 0.7, and backward lies wholly "
        "above it.",
    )


def warnings(table):
    """The AUC of each warning (auc, low, high), by method."""
    order = list(dict.fromkeys(table["warning"]))
    methods = list(dict.fromkeys(table["method"]))
    scale = alt.Scale(domain=order, range=PALETTE[:4])
    legend = alt.Legend(title=None, orient="top", columns=4)
    base = alt.Chart(table).encode(
        y=alt.Y("method:N", title=None, sort=methods, axis=alt.Axis(labelLimit=220)),
        yOffset=alt.YOffset("warning:N", sort=order),
        color=alt.Color("warning:N", sort=order, scale=scale, legend=legend),
    )
    low = alt.X("low:Q", title="AUC", scale=alt.Scale(domain=[0.45, 0.85], zero=False))
    auc = alt.X("auc:Q", scale=alt.Scale(zero=False))
    dots = base.mark_point(opacity=1, filled=True, size=45)
    tooltip = ["method", "warning", alt.Tooltip("auc:Q", format=".2f")]
    layers = [
        _cut([4, 4], x=0.5),
        base.mark_rule(strokeWidth=2).encode(x=low, x2="high:Q"),
        dots.encode(x=auc, tooltip=tooltip),
    ]
    return alt.layer(*layers, data=table).properties(
        width=400,
        height=200,
        description="Dots with intervals, four warnings for each of four methods. For the "
        "regression the accuracy alone has 0.64, S and the lead nearly 0.8. For random sampling "
        "and both forms of AIPW all four warnings are near 0.6 or below.",
    )
