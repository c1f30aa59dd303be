"""The look of the book's charts, and how they are stored so that they need no network.

``from benchpred_utils import charts`` turns the theme on. Where ``BENCHPRED_STATIC_CHARTS=1`` (while the book is
executed), a chart is stored as a picture (SVG) with its description, and its Vega-Lite spec beside it in the output's
metadata; :class:`ChartRenderer` writes both into the page, where ``book/_static/charts.js`` makes the chart
interactive. Elsewhere (Jupyter, Colab) Altair's own renderer stays.
"""

import base64
import html
import json
import math
import os
import re
from itertools import cycle

import altair as alt
import numpy as np
import pandas as pd

from .inference import mean_changes

# Okabe and Ito's colours, told apart under every kind of colour blindness; without their black and their yellow,
# which vanish on a dark page and on a white one.
PALETTE = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]
NEUTRAL = "#808080"  # reference lines and rules: seen on a white page and on a dark one

METHOD_COLORS = {
    "random_sampling": "#56B4E9",
    "k_center_greedy": "#D55E00",
    "random_sampling_learn": "#E69F00",
    "aipw": "#CC79A7",
    "aipw_cross_fitted": "#0072B2",
    "sequential_stratification": "#009E73",
}
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
METHOD_LABELS = {
    "random_sampling": "random sampling",
    "k_center_greedy": "k-center greedy",
    "random_sampling_learn": "random sampling + regression",
    "random_search_learn": "random search + regression",
    "lasso": "lasso",
    "double_optimize": "double optimisation",
    "pca": "PCA",
    "anchor_points_weighted": "anchor points, weighted",
    "anchor_points_predictor": "anchor points, predictor",
    "p_irt": "p-IRT",
    "gp_irt": "gp-IRT",
    "metabench": "metabench",
    "sort_and_search": "Sort & Search",
    "aipw": "AIPW",
    "aipw_cross_fitted": "AIPW, cross-fitted",
    "sequential_stratification": "sequential stratification",
}
# What the methods do, in the order of their coming up; sixteen colours can't be told apart, five can.
METHOD_FAMILIES = {
    "random draw": ("random_sampling", "aipw", "aipw_cross_fitted", "sequential_stratification"),
    "random draw, learned across models": ("random_sampling_learn", "pca"),
    "core set chosen, learned weights": ("random_search_learn", "lasso", "double_optimize"),
    "core set of representatives": (
        "k_center_greedy",
        "anchor_points_weighted",
        "anchor_points_predictor",
    ),
    "item response theory, difficulty": ("p_irt", "gp_irt", "metabench", "sort_and_search"),
}

DIGITS = 5  # significant digits of the numbers stored with a chart
STATIC_WIDTH = 640  # pixels of a stored picture whose chart fills its container
OUTPUT_KEY = "benchpred_chart"  # the entry of an output's metadata

_INK, _MUTED, _GRID = "#24292f", "#59636e", "#e4e7eb"


def theme() -> dict:
    """The Vega-Lite configuration of every chart: transparent, readable, safe for the colour-blind."""
    axis = {
        "domainColor": _MUTED,
        "tickColor": _MUTED,
        "gridColor": _GRID,
        "labelColor": _INK,
        "titleColor": _INK,
        "labelFontSize": 12,
        "titleFontSize": 13,
        "titleFontWeight": "normal",
        "titlePadding": 8,
    }
    text = {"labelColor": _INK, "titleColor": _INK, "labelFontSize": 12, "titleFontSize": 13}
    symbol = {
        "symbolSize": 110,
        "symbolStrokeWidth": 2,
        "symbolBaseFillColor": NEUTRAL,
        "symbolBaseStrokeColor": NEUTRAL,
    }
    return {
        "config": {
            "background": "transparent",
            "aria": False,  # the picture and the drawn chart carry the description; a label on each mark is noise
            "font": "sans-serif",
            "view": {"stroke": None, "continuousWidth": 560, "continuousHeight": 300},
            "axis": axis,
            "axisBand": {"grid": False},
            "legend": text | symbol | {"titleFontWeight": "normal", "labelLimit": 280},
            "header": text | {"titleFontWeight": "normal", "labelFontSize": 13},
            "title": {"color": _INK, "fontSize": 14, "fontWeight": "normal", "anchor": "start"},
            "mark": {"color": PALETTE[0], "tooltip": True},
            "line": {"strokeWidth": 2.25},
            "trail": {"color": PALETTE[0]},
            "point": {"size": 55, "filled": True, "opacity": 0.9},
            "circle": {"size": 55, "opacity": 0.9},
            "rule": {"color": NEUTRAL},
            "text": {"color": _INK, "fontSize": 12},
            "range": {
                "category": PALETTE,
                "diverging": {"scheme": "blueorange"},
                "heatmap": {"scheme": "viridis"},
                "ramp": {"scheme": "viridis"},
                "ordinal": {"scheme": "viridis"},
            },
        }
    }


def enable() -> None:
    """Turn on the theme, and the renderer of stored charts where ``BENCHPRED_STATIC_CHARTS`` is 1."""
    alt.theme.register("benchpred", enable=True)(theme)
    if os.environ.get("BENCHPRED_STATIC_CHARTS") == "1":
        alt.renderers.register("benchpred", stored_output)
        alt.renderers.enable("benchpred")


def method_scale(names) -> alt.Scale:
    """The colour scale of the methods ``names``, in their order; an unknown method gets a free colour of the palette.

    The domain are the plain labels of :func:`label`.
    """
    used = {METHOD_COLORS.get(name) for name in names}
    free = cycle([color for color in PALETTE if color not in used] or PALETTE)
    colors = [METHOD_COLORS[name] if name in METHOD_COLORS else next(free) for name in names]
    return alt.Scale(domain=[label(name) for name in names], range=colors)


def label(name: str) -> str:
    """The plain name of a method."""
    return METHOD_LABELS.get(name, name.replace("_", " "))


def styles(methods, columns=3):
    """Colour and shape of the methods as Altair channels of the field "how" (their labels), with one legend for both."""
    legend = alt.Legend(title=None, orient="top", columns=columns)
    shapes = ["circle", "square", "triangle-up", "cross", "diamond"]
    shapes = [shapes[i % len(shapes)] for i in range(len(methods))]
    shape = alt.Scale(domain=[label(method) for method in methods], range=shapes)
    return {
        "color": alt.Color("how:N", scale=method_scale(methods), legend=legend),
        "shape": alt.Shape("how:N", scale=shape, legend=legend),
    }


def family(method: str) -> str:
    """The family of a method in METHOD_FAMILIES."""
    return next((name for name, members in METHOD_FAMILIES.items() if method in members), "other")


def family_scale() -> alt.Scale:
    """The colour scale of the families of methods."""
    return alt.Scale(domain=list(METHOD_FAMILIES), range=PALETTE[: len(METHOD_FAMILIES)])


def change_heat(table, mean=True, labels=BENCHMARK_LABELS, clip=2.0, alpha=0.05):
    """The heat table of the change of the estimation gap against random sampling, in per cent.

    `table` has one row per benchmark and method: benchmark, method, change, low, high, p_holm (`inference.compare` for
    one split and budget).  Rows: the methods by family, in it by their mean change; columns: the benchmarks in the
    order of `labels`, and the mean (:func:`inference.mean_changes`).  The colour is the logarithm of the ratio of the
    gaps, the full blue at a ratio of 1/clip and below, the full orange at clip and above; bold: p_holm < alpha.
    """
    cells, limit = pd.concat([table, mean_changes(table)] if mean else [table]), np.log2(clip)
    given = list(dict.fromkeys(cells["benchmark"]))
    keys = [key for key in [*labels, *given] if key in given and key != "mean"] + ["mean"] * mean
    columns = list(dict.fromkeys(labels.get(key, key) for key in keys))
    rows = _rows_by_family(cells)
    x = alt.X(
        "column:N",
        title=None,
        scale=alt.Scale(domain=columns),
        axis=_heat_axis(orient="top", labelAngle=0),
    )
    axis = _heat_axis(labelLimit=220, labelExpr=_METHODS_ONLY)
    y = alt.Y("row:N", title=None, scale=alt.Scale(domain=rows), axis=axis)
    base = alt.Chart(_heat_data(cells, labels, alpha)).encode(x, y)
    layers = _heat_cells(base, limit), *_heat_text(base, limit), _heat_families(rows)
    return alt.layer(*layers).properties(width=66 * len(columns), height=21 * len(rows))


_METHODS_ONLY = (
    f"indexof({json.dumps([*METHOD_FAMILIES, 'other'])}, datum.label) < 0 ? datum.label : ''"
)


def _heat_axis(**options):
    bold = {"condition": {"test": "datum.label == 'mean'", "value": "bold"}, "value": "normal"}
    return alt.Axis(domain=False, ticks=False, labelPadding=6, labelFontWeight=bold, **options)


def _rows_by_family(cells):
    """The rows of a heat table: each family's name, then its methods, the one with the smallest mean change first."""
    methods = cells.groupby("method")["change"].mean().sort_values().index
    members = {
        name: [label(m) for m in methods if family(m) == name]
        for name in [*METHOD_FAMILIES, "other"]
    }
    return [row for name, found in members.items() if found for row in (name, *found)]


def _heat_data(cells, labels, alpha):
    column = cells["benchmark"].map(lambda key: labels.get(key, key))
    cells = cells.assign(
        column=column, row=cells["method"].map(label), percent=100 * cells["change"]
    )
    cells["text"] = [
        f"{round(value):+d}".replace("-", "−") for value in cells["percent"]
    ]  # a rounded -0.4 is +0
    cells = cells.assign(
        log_ratio=np.log2(1 + cells["change"].clip(lower=-0.999)),
        significant=cells["p_holm"] < alpha,
    )
    return cells[
        ["row", "column", "text", "percent", "low", "high", "p_holm", "log_ratio", "significant"]
    ]


def _heat_cells(base, limit):
    """The coloured cells; the legend's values lie even on the logarithmic scale."""
    sign = f"abs(datum.value) < {0.9 * limit} ? '' : datum.value < 0 ? '≤ ' : '≥ '"
    percent = "abs(datum.value) < 1e-9 ? '0' : format(100 * pow(2, datum.value) - 100, '+.0f')"
    legend = alt.Legend(
        title="change of the estimation gap against random sampling (%)", titleLimit=400, orient="bottom",
        gradientLength=280, values=list(np.linspace(-limit, limit, 5)), labelExpr=f"({sign}) + ({percent})",
    )  # fmt: skip
    scale = alt.Scale(scheme="blueorange", domain=[-limit, limit], domainMid=0, clamp=True)
    shown = {
        "row:N": ("method", None),
        "column:N": ("benchmark", None),
        "percent:Q": ("change (%)", "+.1f"),
    }
    shown |= {"low:Q": ("from", "+.1%"), "high:Q": ("to", "+.1%"), "p_holm:Q": ("p (Holm)", ".2g")}
    tooltip = [
        alt.Tooltip(field, title=title, **({"format": f} if f else {}))
        for field, (title, f) in shown.items()
    ]
    color = alt.Color("log_ratio:Q", scale=scale, legend=legend)
    return base.mark_rect(stroke="white", strokeWidth=1).encode(color=color, tooltip=tooltip)


def _heat_text(base, limit):
    """The numbers, bold where they are significant; white on the dark cells, whatever the page is."""
    dark = f"datum.log_ratio < {-0.65 * limit:.3g} || datum.log_ratio > {0.8 * limit:.3g}"  # orange stays light longer
    color = alt.condition(dark, alt.value("white"), alt.value(_INK))
    for test, weight in (("datum.significant", "bold"), ("!datum.significant", "normal")):
        text = base.transform_filter(test).mark_text(fontWeight=weight, tooltip=False)
        yield text.encode(text="text:N", color=color)


def _heat_families(rows):
    names = pd.DataFrame({"row": [row for row in rows if row in METHOD_FAMILIES or row == "other"]})
    text = alt.Chart(names).mark_text(
        align="left", baseline="bottom", dy=8, fontStyle="italic", tooltip=False
    )
    return text.encode(x=alt.value(2), y="row:N", text="row:N")


def method_dots(table, measure, title, scale=alt.Undefined, values=None, reference=None):
    """Small multiples, a panel per benchmark: a measure of every method with its interval, coloured by family.

    `table` has one row per benchmark and method, and the columns `measure`, `measure`_low and `measure`_high (as
    `inference.summarise`).  Intervals end at the domain of `scale`; `values` are the ticks of the axis, `reference`
    is a value that gets a dashed rule.
    """
    data = _dots_data(table, measure, scale)
    order = [
        label(method)
        for method in sum(METHOD_FAMILIES.values(), ())
        if method in set(table["method"])
    ]
    base = alt.Chart(data).encode(
        y=alt.Y("how:N", title=None, sort=order, axis=alt.Axis(grid=True, labelLimit=220)),
        color=alt.Color(
            "family:N", scale=family_scale(), legend=alt.Legend(title=None, orient="top", columns=2)
        ),
        tooltip=[
            "benchmark",
            "how",
            *(alt.Tooltip(f"{end}:Q", format=".3g") for end in ("value", "low", "high")),
        ],
    )
    x = alt.X(
        "value:Q",
        title=title,
        scale=scale,
        axis=alt.Undefined if values is None else alt.Axis(values=values),
    )
    layers = [base.mark_rule(strokeWidth=1.5).encode(x=alt.X("low:Q", title=title), x2="high:Q")]
    layers += [base.mark_point(opacity=1, size=40).encode(x=x)]
    if reference is not None:
        rule = (
            alt.Chart(data)
            .transform_filter(f"datum.how == {json.dumps(order[0])}")
            .mark_rule(strokeDash=[4, 4])
        )
        layers.append(
            rule.encode(x=alt.datum(reference, type="quantitative"))
        )  # one for each panel
    panel = alt.layer(*layers).properties(width=138, height=15 * len(order))
    benchmarks = [name for name in BENCHMARK_LABELS.values() if name in set(data["benchmark"])]
    return panel.facet(facet=alt.Facet("benchmark:N", title=None, sort=benchmarks), columns=3)


def _dots_data(table, measure, scale):
    ends = {
        f"{measure}{end}": name for end, name in (("", "value"), ("_low", "low"), ("_high", "high"))
    }
    data = table.rename(columns=ends).assign(
        how=table["method"].map(label), family=table["method"].map(family)
    )
    data["benchmark"] = data["benchmark"].map(lambda name: BENCHMARK_LABELS.get(name, name))
    if scale is not alt.Undefined and scale["domain"] is not alt.Undefined:
        first, last = scale["domain"]
        if not data["value"].between(first, last).all():
            raise ValueError(
                f"{measure} goes from {data['value'].min():.3g} to {data['value'].max():.3g}: widen the domain"
            )
        data[["low", "high"]] = data[["low", "high"]].clip(first, last)
    return data[["benchmark", "how", "family", "value", "low", "high"]]


def budget_curves(table, shown, theory=None, scale=alt.Undefined, values=None):
    """The estimation gap over budgets, a panel per benchmark: the methods `shown` in colour, all others grey.

    `table`: benchmark, method, budget, trials, gap, gap_low, gap_high (`inference.summarise`).  A hollow point has
    fewer trials than others.  `theory` (benchmark, budget, gap), where given, is a dashed line.
    """
    items = alt.Scale(type="log", domain=[9, 1.1 * table["budget"].max()], nice=False)
    ticks, gaps = [10, 25, 50, 100, 200, 400], alt.Undefined if values is None else values
    base = alt.Chart(_curves_data(table, shown, theory)).encode(
        x=alt.X(
            "budget:Q", title="items in the core set, n", scale=items, axis=alt.Axis(values=ticks)
        ),
        y=alt.Y("gap:Q", title="estimation gap (points)", scale=scale, axis=alt.Axis(values=gaps)),
        tooltip=["benchmark", "how", "budget", "trials", alt.Tooltip("gap:Q", format=".2f")],
    )
    legend = alt.Legend(title=None, orient="top", columns=3, symbolType="stroke")
    color = alt.Color("how:N", scale=method_scale(shown), legend=legend)
    part = lambda test: base.transform_filter(test)
    rest = (
        part("datum.kind == 'rest'")
        .mark_line(color=NEUTRAL, strokeWidth=1, opacity=0.6)
        .encode(detail="how:N")
    )
    dashes = part("datum.kind == 'theory'").mark_line(
        color=NEUTRAL, strokeDash=[4, 4], strokeWidth=1.5
    )
    lines = part("datum.kind == 'shown'").encode(color=color)
    many = lines.transform_filter("!datum.few").mark_point(size=30, opacity=1)
    few = lines.transform_filter("datum.few").mark_point(
        size=30, opacity=1, filled=False, fill="white"
    )
    bars = lines.mark_rule(clip=True).encode(y="gap_low:Q", y2="gap_high:Q")
    panel = alt.layer(rest, dashes, lines.mark_line(), bars, many, few).properties(
        width=172, height=190
    )
    benchmarks = [name for key, name in BENCHMARK_LABELS.items() if key in set(table["benchmark"])]
    return panel.facet(facet=alt.Facet("benchmark:N", title=None, sort=benchmarks), columns=3)


def _curves_data(table, shown, theory):
    table = table.assign(
        kind=np.where(table["method"].isin(shown), "shown", "rest"), how=table["method"].map(label)
    )
    table["few"] = table["trials"] < table["trials"].max()
    if theory is not None:
        table = pd.concat([table, theory.assign(kind="theory", few=False, how="theory")])
    table = table.assign(
        benchmark=table["benchmark"].map(lambda name: BENCHMARK_LABELS.get(name, name))
    )
    table = table.drop_duplicates(["benchmark", "how", "budget"])
    return table[
        ["benchmark", "how", "kind", "few", "budget", "trials", "gap", "gap_low", "gap_high"]
    ]


def stored_output(spec: dict) -> tuple[dict, dict]:
    """A chart as a notebook stores it: the picture and its description, the spec in the metadata.

    ``spec`` is a Vega-Lite spec. Raises ValueError when it has no description.
    """
    import vl_convert

    description = str(spec.get("description") or "").strip()
    if not description:
        raise ValueError(
            "a chart needs a description: end it with .properties(description='one sentence: what is seen')"
        )
    spec = stable(spec)
    picture = _renumbered(
        vl_convert.vegalite_to_svg(_fixed_width(spec), vl_version=vega_lite_version())
    )
    return (
        {"image/svg+xml": picture, "text/plain": description},
        {OUTPUT_KEY: {"spec": spec, "description": description}},
    )


def vega_lite_version() -> str:
    """Altair's Vega-Lite version as vl_convert names it: 'v6.4.1' is '6.4'."""
    return ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])


def stable(spec: dict) -> dict:
    """The spec with rounded data, under names that do not depend on their last digits."""
    spec = _rounded(spec)
    names = {old: f"data-{number}" for number, old in enumerate(spec.get("datasets", {}), start=1)}
    if names:
        spec = _renamed(spec, names)
        spec["datasets"] = {names[old]: rows for old, rows in spec["datasets"].items()}
    return spec


def _rounded(value):
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, (list, tuple)) else value


def _renamed(value, names):
    """Replace the name in every reference to a data set: {"data": {"name": ...}}, {"from": {"data": {...}}}."""
    if isinstance(value, list):
        return [_renamed(item, names) for item in value]
    if not isinstance(value, dict):
        return value
    result = {
        key: item if key == "datasets" else _renamed(item, names) for key, item in value.items()
    }
    data = result.get("data")
    if isinstance(data, dict) and data.get("name") in names:
        result["data"] = data | {"name": names[data["name"]]}
    return result


def _fixed_width(spec: dict) -> dict:
    """A picture has no container to fill."""
    return spec | {"width": STATIC_WIDTH} if spec.get("width") == "container" else spec


def _renumbered(picture: str) -> str:
    """The same picture with ids that count from 1: vl_convert counts on from one picture to the next."""
    numbers = {}
    pattern = re.compile(r"\b(clip|gradient_)\d+\b")
    return pattern.sub(
        lambda match: f"{match[1]}{numbers.setdefault(match[0], len(numbers) + 1)}", picture
    )


def chart_html(picture: str, spec: dict, description: str) -> str:
    """A stored chart as the page holds it: the picture, shown until charts.js has drawn the spec beside it."""
    encoded = base64.b64encode(picture.encode()).decode()
    safe = json.dumps(spec, separators=(",", ":")).replace("<", "\\u003c")  # no </script> inside
    return (
        '<div class="benchpred-chart">'
        f'<img alt="{html.escape(description)}" src="data:image/svg+xml;base64,{encoded}">'
        f'<script type="application/json">{safe}</script></div>'
    )


class ChartRenderer:
    """Draws a stored chart in the book (an entry point of myst-nb)."""

    mime_priority_overrides = ()

    @staticmethod
    def handle_mime(renderer, data, inline):
        """The nodes of a stored chart, or None for any other output."""
        stored = data.output_metadata.get(OUTPUT_KEY)
        if not stored or data.mime_type != "image/svg+xml":
            return None
        from docutils import nodes

        text = chart_html(data.content, stored["spec"], stored["description"])
        return [nodes.raw(text=text, format="html", classes=["output"])]


enable()
