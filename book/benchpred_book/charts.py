"""What the book's charts share: names, colours and shapes, and the charts of many methods."""

import json

import altair as alt
import numpy as np
import pandas as pd

import benchpred_utils as bp
from benchpred_utils import methods
from benchpred_utils.methods import METHODS

from .averages import mean_changes
from .theme import INK, NEUTRAL, PALETTE, enable

__all__ = [
    "BENCHMARK_LABELS",
    "INTERVALS",
    "METHOD_FAMILIES",
    "METHOD_LABELS",
    "METHOD_STYLES",
    "NEUTRAL",
    "PALETTE",
    "budget_curves",
    "change_heat",
    "draw_in_rounds",
    "enable",
    "estimator_heat",
    "family",
    "family_scale",
    "interval_dots",
    "label",
    "mean_dots",
    "method_dots",
    "method_scale",
    "method_style",
    "split_styles",
    "styles",
    "unit_axis",
    "unit_diagonal",
]

# The colour and the shape of a method in every chart; nothing else has one of these colours. Okabe
# and Ito's, without their black and their yellow, which vanish on a dark page and on a white one.
METHOD_STYLES = {
    "random_sampling": ("#56B4E9", "circle"),
    "k_center_greedy": ("#D55E00", "square"),
    "random_sampling_learn": ("#E69F00", "triangle-up"),
    "aipw": ("#CC79A7", "triangle-down"),
    "aipw_cross_fitted": ("#0072B2", "diamond"),
    "sequential_stratification": ("#009E73", "cross"),
    "anchor_points_weighted": ("#A0522D", "triangle-right"),
    "gp_irt": ("#A0522D", "triangle-left"),
    "mrmr_ridge": ("#A0522D", "triangle-up"),
    "mrmr_kernel_ridge": ("#5C5C5C", "square"),
}
OTHER_STYLE = ("#5C5C5C", "circle")  # a method that no chart shows by its colour
INTERVALS = {"t": PALETTE[1], "score": PALETTE[0], "betting": PALETTE[2]}
BENCHMARK_LABELS = {
    "openbookqa": "OpenBookQA",
    "gsm8k": "GSM8K",
    "legalbench": "LegalBench",
    "math": "MATH",
    "medqa": "MedQA",
    "mmlu": "MMLU",
    "abstract_algebra": "abstract algebra",
    "mmlu_math": "MMLU math",
    "mmlu_math_systems": "MMLU math, with systems",
    "swe_bench_verified": "SWE-bench Verified",
    "bigcodebench": "BigCodeBench",
    "mmlu_pro": "MMLU-Pro",
    "digits_zoo": "digits zoo",
}
METHOD_LABELS = {name: method.label for name, method in METHODS.items()}
# The families in the order of their colours (sixteen colours can't be told apart, five can).
_FAMILIES = (
    methods.RANDOM,
    methods.ACROSS,
    methods.WEIGHTS,
    methods.REPRESENTATIVES,
    methods.ITEM_RESPONSE,
    *(method.family for method in METHODS.values()),
)
METHOD_FAMILIES = {
    family: tuple(name for name, method in METHODS.items() if method.family == family)
    for family in dict.fromkeys(_FAMILIES)
}
OTHER = "other"


def label(name: str) -> str:
    """The plain name of a method."""
    return METHOD_LABELS.get(name, name.replace("_", " "))


def family(name: str) -> str:
    """The family of a method, a key of METHOD_FAMILIES, or "other"."""
    return METHODS[name].family if name in METHODS else OTHER


def family_scale() -> alt.Scale:
    """The colour scale of the families of methods."""
    return alt.Scale(domain=list(METHOD_FAMILIES), range=PALETTE[: len(METHOD_FAMILIES)])


def method_style(name) -> tuple[str, str]:
    """The colour and the shape of a method: always the same, whatever else a chart shows."""
    return METHOD_STYLES.get(name, OTHER_STYLE)


def method_scale(names, channel="color", others=()) -> alt.Scale:
    """The scale of the colours or, by `channel` "shape", the shapes of methods, by their labels.

    `others` are values of the same field that are no methods: grey, and squares.
    """
    place = ("color", "shape").index(channel)
    plain = [(NEUTRAL, "square")[place]] * len(others)
    marks = [method_style(name)[place] for name in names]
    return alt.Scale(domain=[*map(label, names), *others], range=marks + plain)


def styles(names, columns=3, others=(), legend=alt.Undefined):
    """Colour and shape of methods as channels of the field "how" (their labels), one legend."""
    if legend is alt.Undefined:
        legend = alt.Legend(title=None, orient="top", columns=columns)
    return {
        name: channel("how:N", scale=method_scale(names, name, others), legend=legend)
        for name, channel in (("color", alt.Color), ("shape", alt.Shape))
    }


def split_styles(names, labels=None):
    """Colour and shape of splits as channels of the field "split", the same in every chart."""
    places = [bp.SPLITS.index(name) for name in names]
    legend = alt.Legend(title=None, orient="top")
    domain, shapes = list(labels or names), ("circle", "square", "triangle-up")
    color = alt.Scale(domain=domain, range=[PALETTE[place] for place in places])
    shape = alt.Scale(domain=domain, range=[shapes[place] for place in places])
    return {
        "color": alt.Color("split:N", sort=domain, scale=color, legend=legend),
        "shape": alt.Shape("split:N", sort=domain, scale=shape, legend=legend),
    }


def _panels(panel, data):
    """One panel for each benchmark, in the order of their labels, three beside each other."""
    shown = set(data["benchmark"])
    benchmarks = [name for name in BENCHMARK_LABELS.values() if name in shown]
    return panel.facet(facet=alt.Facet("benchmark:N", title=None, sort=benchmarks), columns=3)


def _labelled(table):
    """The table with plain names: of the benchmarks, and of the methods in the column "how"."""
    benchmarks = table["benchmark"].map(lambda name: BENCHMARK_LABELS.get(name, name))
    return table.assign(benchmark=benchmarks, how=table["method"].map(label))


def interval_dots(data, value, title, reference=None, x=None, shape=alt.Undefined, **channels):
    """Dots of the column `value` with rules from low to high; a dashed rule at `reference`.

    `x` are options of that axis (scale, axis); the other channels are y, color, tooltip and so on.
    """

    def across(field):
        return alt.X(field, title=title, **(x or {}))

    base = alt.Chart(data).encode(**channels)
    rules = base.mark_rule(strokeWidth=1.5).encode(across("low:Q"), x2="high:Q")
    dots = base.mark_point(opacity=1, size=40).encode(across(f"{value}:Q"), shape=shape)
    if reference is None:
        return rules + dots
    at = alt.Chart(data).transform_calculate(reference=str(reference))  # its mean: drawn once
    return at.mark_rule(strokeDash=[4, 4]).encode(across("mean(reference):Q")) + rules + dots


# --- the heat table -------------------------------------------------------------------------------


def change_heat(table, mean=True, labels=BENCHMARK_LABELS, clip=2.0, alpha=0.05):
    """The heat table of the change of the estimation gap against random sampling, in per cent.

    `table` has one row per benchmark and method: benchmark, method, change, low, high, p_holm
    (`summary.compare` for one split and budget).  Rows: the methods by family, in it by their mean
    change; columns: the benchmarks in the order of `labels`, and the mean
    (:func:`summary.mean_changes`).  The colour is the logarithm of the ratio of the gaps, the full
    blue at a ratio of 1/clip and below, the full orange at clip and above; bold: p_holm < alpha.
    """
    cells = pd.concat([table, mean_changes(table)]) if mean else table
    limit = np.log2(clip)
    rows = _rows_by_family(cells)
    columns = _columns(cells, labels)
    across = _heat_axis(orient="top", labelAngle=0)
    x = alt.X("column:N", title=None, scale=alt.Scale(domain=columns), axis=across)
    heads = json.dumps([*METHOD_FAMILIES, OTHER])  # they are written by a layer of their own
    only_methods = f"indexof({heads}, datum.label) < 0 ? datum.label : ''"
    down = _heat_axis(labelLimit=220, labelExpr=only_methods)
    y = alt.Y("row:N", title=None, scale=alt.Scale(domain=rows), axis=down)
    base = alt.Chart(_heat_data(cells, labels, alpha)).encode(x, y)
    layers = [_heat_cells(base, limit), *_heat_text(base, limit), _heat_families(rows)]
    return alt.layer(*layers).properties(width=66 * len(columns), height=17 * len(rows))


def _columns(cells, labels):
    """The names of the columns: the benchmarks of `labels` first, then others, the mean last."""
    given = list(dict.fromkeys(cells["benchmark"]))
    ordered = [name for name in labels if name in given and name != "mean"]
    ordered += [name for name in given if name not in labels and name != "mean"]
    ordered += [name for name in given if name == "mean"]
    return list(dict.fromkeys(labels.get(name, name) for name in ordered))


def _heat_axis(**options):
    bold = {"condition": {"test": "datum.label == 'mean'", "value": "bold"}, "value": "normal"}
    return alt.Axis(domain=False, ticks=False, labelPadding=6, labelFontWeight=bold, **options)


def _rows_by_family(cells):
    """The rows: each family's name, then its methods, the smallest mean change first."""
    ordered = cells.groupby("method")["change"].mean().sort_values().index
    rows = []
    for name in [*METHOD_FAMILIES, OTHER]:
        members = [label(method) for method in ordered if family(method) == name]
        rows += [name, *members] if members else []
    return rows


def _heat_data(cells, labels, alpha):
    percent = 100 * cells["change"]
    data = {
        "row": cells["method"].map(label),
        "column": cells["benchmark"].map(lambda name: labels.get(name, name)),
        "text": [f"{round(value):+d}".replace("-", "−") for value in percent],  # -0.4 gives +0
        "percent": percent,
        "low": cells["low"],
        "high": cells["high"],
        "p_holm": cells["p_holm"],
        "log_ratio": np.log2(1 + cells["change"].clip(lower=-0.999)),
        "significant": cells["p_holm"] < alpha,
    }
    return pd.DataFrame(data)


def _heat_cells(base, limit):
    """The coloured cells; the numbers in them say what a colour means."""
    scale = alt.Scale(scheme="blueorange", domain=[-limit, limit], domainMid=0, clamp=True)
    tooltip = [
        alt.Tooltip("row:N", title="method"),
        alt.Tooltip("column:N", title="benchmark"),
        alt.Tooltip("percent:Q", title="change (%)", format="+.1f"),
        alt.Tooltip("low:Q", title="from", format="+.1%"),
        alt.Tooltip("high:Q", title="to", format="+.1%"),
        alt.Tooltip("p_holm:Q", title="p (Holm)", format=".2g"),
    ]
    color = alt.Color("log_ratio:Q", scale=scale, legend=None)
    return base.mark_rect(stroke="white", strokeWidth=1).encode(color=color, tooltip=tooltip)


def _heat_text(base, limit):
    """The numbers, bold where they are significant; white on the dark cells of any page."""
    blue = f"datum.log_ratio < {-0.65 * limit:.3g}"
    orange = f"datum.log_ratio > {0.8 * limit:.3g}"  # orange stays light for longer
    color = alt.condition(f"{blue} || {orange}", alt.value("white"), alt.value(INK))
    for test, weight in (("datum.significant", "bold"), ("!datum.significant", "normal")):
        text = base.transform_filter(test).mark_text(fontWeight=weight, tooltip=False)
        yield text.encode(text="text:N", color=color)


def _heat_families(rows):
    names = pd.DataFrame({"row": [row for row in rows if row in METHOD_FAMILIES or row == OTHER]})
    style = {"align": "left", "baseline": "bottom", "dy": 8, "fontStyle": "italic"}
    text = alt.Chart(names).mark_text(tooltip=False, **style)
    return text.encode(x=alt.value(2), y="row:N", text="row:N")


# --- means with intervals -------------------------------------------------------------------------


def mean_dots(table, order, title, single=None, color=None):
    """A row of dots with their 95% intervals for each name in `order`, and a rule at zero.

    `table` has the columns row, value and half (the half-width). `single`, with row, value and
    benchmark, are small grey dots beside; `color` is a channel of a further column, whose values
    stand beneath each other.
    """
    ends = table.assign(low=table["value"] - table["half"], high=table["value"] + table["half"])
    y = alt.Y("row:N", title=None, sort=order, axis=alt.Axis(labelLimit=300))
    x = alt.X("value:Q", title=title)
    tooltip = ["row", alt.Tooltip("value:Q", format="+.1f"), alt.Tooltip("half:Q", format=".1f")]
    base = alt.Chart(ends).encode(y=y)
    if color is not None:
        base = base.encode(color=color, yOffset=alt.YOffset(color["shorthand"], sort=color["sort"]))
    layers = [alt.Chart(pd.DataFrame({"value": [0]})).mark_rule(color=NEUTRAL).encode(x=x)]
    if single is not None:
        dots = alt.Chart(single).mark_point(size=25, color=NEUTRAL, opacity=0.8)
        layers.append(dots.encode(x=x, y=y, tooltip=["row", "benchmark", tooltip[1]]))
    layers.append(base.mark_rule(strokeWidth=2, color=PALETTE[0]).encode(x="low:Q", x2="high:Q"))
    layers.append(base.mark_point(size=60, opacity=1).encode(x=x, tooltip=tooltip))
    return alt.layer(*layers)


# --- one draw, and designs by estimators ----------------------------------------------------------


def draw_in_rounds(draw, heads):
    """A panel for each round of one draw (`design_trials.one_draw`): forecasts, cells, answers.

    `heads` {round: text} stand above the panels. Cells in use are grey; the dot of an item that is
    drawn is at 1 if it was answered right, else at 0.
    """
    free = alt.Axis(tickCount=5, grid=False)
    title = "open items, in order of the forecast"
    x = alt.X("place:Q", title=title, scale=alt.Scale(nice=False), axis=free)
    ends = alt.Axis(values=[0, 1], grid=False, format=".0f")
    scale = alt.Scale(domain=[-0.08, 1.08], nice=False)
    y = alt.Y("g:Q", title="forecast", scale=scale, axis=ends)
    kinds = ["right", "wrong"]
    colors = alt.Scale(domain=kinds, range=[PALETTE[2], PALETTE[1]])
    color = alt.Color("answer:N", scale=colors, legend=alt.Legend(title=None, orient="top"))
    base = alt.Chart(_draw_data(draw, heads))
    box = base.transform_filter("datum.layer == 'cell'").encode(x="start:Q", y="low:Q", y2="high:Q")
    quiet = {"color": NEUTRAL, "tooltip": False}
    used = box.transform_filter("datum.used").mark_rect(opacity=0.25, **quiet).encode(x2="end:Q")
    curve = base.transform_filter("datum.layer == 'forecast'").encode(x=x)
    drawn = curve.transform_filter("datum.drawn").encode(color=color)
    tooltip = ["head", "answer", alt.Tooltip("g:Q", format=".2f")]
    layers = [
        used,
        box.mark_rule(strokeWidth=0.75, **quiet),
        curve.mark_line(strokeWidth=2, tooltip=False).encode(y=y),
        drawn.mark_rule(strokeDash=[3, 3]).encode(y=y, y2="score:Q"),
        drawn.mark_point(size=70, opacity=1).encode(y="score:Q", tooltip=tooltip),
    ]
    panel = alt.layer(*layers).properties(width=560, height=34)
    return panel.facet(facet=alt.Facet("head:N", title=None), columns=1, spacing=6)


def _draw_data(draw, heads):
    """The items and the cells of a draw, one below the other."""
    cells = draw.groupby(["round", "cell"], as_index=False)
    cells = cells.agg(start=("place", "min"), end=("place", "max"), used=("used", "first"))
    cells = cells.assign(start=cells["start"] - 0.5, end=cells["end"] + 0.5, low=0, high=1)
    items = draw.drop(columns=["used", "cell"])
    items["answer"] = np.where(items["score"] == 1, "right", "wrong")
    both = pd.concat([items.assign(layer="forecast"), cells.assign(layer="cell")])
    return both.assign(head=both["round"].map(heads))


def estimator_heat(grid, columns):
    """The heat table of designs (rows) by estimators (`columns`); a menu chooses the models.

    `grid` has the columns models, design, estimator, kind (exact: bold, biased: in italics), change
    in per cent, half and worst.
    """
    text = [f"{round(value):+d}".replace("-", "−") for value in grid["change"]]
    models = list(dict.fromkeys(grid["models"]))
    menu = alt.binding_select(options=models, name="models ")
    chosen = alt.param("models", value=models[0], bind=menu)
    across = _heat_axis(orient="top", labelAngle=-35)
    x = alt.X("estimator:N", title=None, scale=alt.Scale(domain=columns), axis=across)
    rows = alt.Scale(domain=list(dict.fromkeys(grid["design"])))
    y = alt.Y("design:N", title=None, scale=rows, axis=_heat_axis(labelLimit=200))
    tooltip = [
        *("design", "estimator", "kind"),
        alt.Tooltip("change:Q", format="+.1f"),
        alt.Tooltip("half:Q", title="±", format=".1f"),
        alt.Tooltip("worst:Q", title="worst benchmark", format="+.1f"),
    ]
    scale = alt.Scale(scheme="blueorange", domain=[-30, 30], domainMid=0, clamp=True)
    legend = alt.Legend(title="change of the gap (%)", orient="bottom", gradientLength=260)
    dark = alt.condition("abs(datum.change + 2) > 18", alt.value("white"), alt.value(INK))
    base = alt.Chart(grid.assign(text=text).round(2)).transform_filter("datum.models == models")
    base = base.encode(x=x, y=y, tooltip=tooltip)
    color = alt.Color("change:Q", scale=scale, legend=legend)
    layers = [base.mark_rect(stroke="white").encode(color=color)]
    bold, italic = {"fontWeight": "bold"}, {"fontStyle": "italic"}
    for kind, font in {"exact": bold, "approximate": {}, "biased": italic}.items():
        some = base.transform_filter(f"datum.kind == '{kind}'").mark_text(fontSize=11, **font)
        layers.append(some.encode(text="text:N", color=dark))
    chart = alt.layer(*layers).add_params(chosen)
    return chart.properties(width=28 * 11 + 132, height=21 * 13, usermeta={"leastWidth": 28 * 11})


# --- small multiples ------------------------------------------------------------------------------


def method_dots(table, measure, title, scale=alt.Undefined, values=None, reference=None):
    """A panel per benchmark: a measure of every method with its interval, coloured by family.

    `table` has one row per benchmark and method, and the columns `measure`, `measure`_low and
    `measure`_high (as `summary.summarise`).  Intervals end at the domain of `scale`; `values` are
    the ticks of the axis, `reference` is a value that gets a dashed rule.
    Raises ValueError where a value lies outside the domain.
    """
    data = _dots_data(table, measure, scale)
    shown = set(table["method"])
    members = [name for names in METHOD_FAMILIES.values() for name in names]
    order = [label(name) for name in members if name in shown]
    legend = alt.Legend(title=None, orient="top", columns=2)
    ends = [alt.Tooltip(f"{end}:Q", format=".3g") for end in ("value", "low", "high")]
    base = alt.Chart(data).encode(
        y=alt.Y("how:N", title=None, sort=order, axis=alt.Axis(grid=True, labelLimit=220)),
        color=alt.Color("family:N", scale=family_scale(), legend=legend),
        tooltip=["benchmark", "how", *ends],
    )
    axis = alt.Undefined if values is None else alt.Axis(values=values)
    rule = base.mark_rule(strokeWidth=1.5)
    point = base.mark_point(opacity=1, size=40)
    layers = [
        rule.encode(x=alt.X("low:Q", title=title), x2="high:Q"),
        point.encode(x=alt.X("value:Q", title=title, scale=scale, axis=axis)),
    ]
    if reference is not None:
        once = alt.Chart(data).transform_filter(f"datum.how == {json.dumps(order[0])}")
        line = once.mark_rule(strokeDash=[4, 4])
        layers.append(line.encode(x=alt.datum(reference, type="quantitative")))
    panel = alt.layer(*layers).properties(width=138, height=15 * len(order))
    return _panels(panel, data)


def _dots_data(table, measure, scale):
    names = {measure: "value", f"{measure}_low": "low", f"{measure}_high": "high"}
    data = _labelled(table.rename(columns=names))
    data["family"] = data["method"].map(family)
    if scale is not alt.Undefined and scale["domain"] is not alt.Undefined:
        first, last = scale["domain"]
        least, most = data["value"].min(), data["value"].max()
        if least < first or most > last:
            raise ValueError(f"{measure} goes from {least:.3g} to {most:.3g}: widen the domain")
        data[["low", "high"]] = data[["low", "high"]].clip(first, last)
    return data[["benchmark", "how", "family", "value", "low", "high"]]


def budget_curves(table, shown, theory=None, scale=alt.Undefined, values=None):
    """The estimation gap over budgets, a panel per benchmark: `shown` in colour, all others grey.

    `table`: benchmark, method, budget, trials, gap, gap_low, gap_high (`summary.summarise`).  A
    hollow point has fewer trials than others.  `theory` (benchmark, budget, gap) is a dashed line.
    """
    data = _curves_data(table, shown, theory)
    items = alt.Scale(type="log", domain=[9, 1.1 * table["budget"].max()], nice=False)
    sizes = alt.Axis(values=[10, 25, 50, 100, 200, 400])
    gaps = alt.Axis(values=alt.Undefined if values is None else values)
    base = alt.Chart(data).encode(
        x=alt.X("budget:Q", title="items in the core set, n", scale=items, axis=sizes),
        y=alt.Y("gap:Q", title="estimation gap (points)", scale=scale, axis=gaps),
        tooltip=["benchmark", "how", "budget", "trials", alt.Tooltip("gap:Q", format=".2f")],
    )
    thin = {"color": NEUTRAL, "strokeWidth": 1, "opacity": 0.6}
    rest = base.transform_filter("datum.kind == 'rest'").mark_line(**thin).encode(detail="how:N")
    dashed = {"color": NEUTRAL, "strokeDash": [4, 4], "strokeWidth": 1.5}
    expected = base.transform_filter("datum.kind == 'theory'").mark_line(**dashed)
    style = styles(shown)
    lines = base.transform_filter("datum.kind == 'shown'").encode(color=style["color"])
    bars = lines.mark_rule(clip=True).encode(y="gap_low:Q", y2="gap_high:Q")
    dots = lines.encode(shape=style["shape"])
    many = dots.transform_filter("!datum.few").mark_point(size=30, opacity=1)
    hollow = {"filled": False, "fill": "white"}
    few = dots.transform_filter("datum.few").mark_point(size=30, opacity=1, **hollow)
    panel = alt.layer(rest, expected, lines.mark_line(), bars, many, few)
    return _panels(panel.properties(width=172, height=165), data)


def _curves_data(table, shown, theory):
    kind = np.where(table["method"].isin(shown), "shown", "rest")
    data = _labelled(table.assign(kind=kind, few=table["trials"] < table["trials"].max()))
    if theory is not None:
        names = theory["benchmark"].map(lambda name: BENCHMARK_LABELS.get(name, name))
        line = theory.assign(benchmark=names, kind="theory", few=False, how="theory")
        data = pd.concat([data, line])
    data = data.drop_duplicates(["benchmark", "how", "budget"])
    columns = ["benchmark", "how", "kind", "few", "budget", "trials", "gap", "gap_low", "gap_high"]
    return data[columns]


# --- a share against another ----------------------------------------------------------------------


def unit_axis(channel, field, title):
    """The channel alt.X or alt.Y of a share, from 0 to 1."""
    axis = alt.Axis(values=[0, 0.5, 1], format=".1f")
    return channel(f"{field}:Q", title=title, scale=alt.Scale(domain=[0, 1]), axis=axis)


def unit_diagonal(base, panel):
    """A dashed rule from (0, 0) to (1, 1), once in each panel of the field `panel`."""
    once = base.transform_aggregate(n="count()", groupby=[panel])
    rule = once.transform_calculate(zero="0", one="1").mark_rule(strokeDash=[3, 3])
    x, y = unit_axis(alt.X, "zero", alt.Undefined), unit_axis(alt.Y, "zero", alt.Undefined)
    return rule.encode(x=x, x2="one:Q", y=y, y2="one:Q")
