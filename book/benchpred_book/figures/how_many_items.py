"""The charts of notebooks/how_many_items.md."""

import altair as alt
import pandas as pd

import benchpred_utils as bp

from .. import charts
from ..theme import NEUTRAL, PALETTE

__all__ = ["calculator", "choice", "shares", "sources"]

PLAIN = charts.label("random_sampling")
OWN = charts.label(bp.RECOMMENDED)
SLIDERS = {  # name: start, least, most, step, label
    "size": (1000, 100, 5000, 50, "items, N"),
    "accuracy": (0.8, 0.5, 0.98, 0.01, "accuracy"),
    "wanted": (5, 1, 10, 0.5, "half-width (points)"),
    "worth": (1.6, 1, 3, 0.1, "worth of an item"),
}
STEPS = {  # benchpred_utils.intervals.sample_interval, for the accuracy expected
    "ess": f"datum.how == '{OWN}' ? worth : 1",
    "plain": "1 / datum.n - 1 / size",
    "k": "datum.plain * (1 / datum.ess"
    " + (1 - 1 / datum.ess) / pow(1 + datum.n * (1 - accuracy), 2))",
    "edge": "(1 - accuracy) * min(1, datum.plain * size)",
    "step": "max(0.5 / datum.n - datum.edge / 20, 0) / max(datum.plain, 1e-12) * datum.k",
    "t": "1.95996 + 2.3723 / (datum.n - 1) + 2.8225 / pow(datum.n - 1, 2)",
    "c": "datum.k * datum.t * datum.t",
    "a": "max(accuracy - datum.step, 0)",
    "b": "min(accuracy + datum.step, 1)",
    "roots": "sqrt(datum.c * datum.a * (1 - datum.a) + datum.c * datum.c / 4)"
    " + sqrt(datum.c * datum.b * (1 - datum.b) + datum.c * datum.c / 4)",
    "half": "50 * (datum.b - datum.a + datum.roots) / (1 + datum.c)",
}


def calculator():
    """The half-width against the number of items, with and without sources, by four sliders."""
    both = f"['{PLAIN}', '{OWN}']"
    base = alt.Chart().transform_filter("datum.n <= size").transform_calculate(both=both)
    base = base.transform_flatten(["both"], as_=["how"])
    for field, text in STEPS.items():
        base = base.transform_calculate(field, text)
    x = _items("n:Q", "items, n (log scale)", [10, 20, 50, 100, 200, 500, 1000, 2000, 5000])
    scale = alt.Scale(domain=[0, 16], nice=False)
    y = alt.Y("half:Q", title="half-width (points)", scale=scale)
    style = charts.styles(["random_sampling", bp.RECOMMENDED], legend=None)
    some = "datum.n % ceil(datum.n / 60) == 0 || datum.n == size"
    lines = base.transform_filter(some).mark_line(clip=True).encode(x, y, color=style["color"])
    needed = base.transform_filter("datum.half <= wanted")
    needed = needed.transform_aggregate(n="min(n)", groupby=["how"]).transform_calculate(
        half="wanted",
        say="datum.how + ': ' + format(datum.n, ',')"
        " + ' items (' + format(datum.n / size, '.0%') + ')'",
        row=f"datum.how == '{PLAIN}' ? 1 : 2",
    )
    level = needed.mark_rule(strokeDash=[4, 4]).encode(y=y)
    dots = needed.mark_point(size=90, opacity=1)
    key, end = alt.value(alt.expr("width - 6")), alt.value(alt.expr("width - 18"))
    keys, said = [], []
    for i in (0, 1):
        row = needed.transform_filter(f"datum.row == {i + 1}")
        dot = row.mark_point(size=90, opacity=1)
        keys.append(dot.encode(x=key, y=alt.value(20 * i - 33), **style))
        text = row.mark_text(align="right", fontSize=14, tooltip=False)
        said.append(text.encode(x=end, y=alt.value(20 * i - 32), text="say:N"))
    layers = [level, lines, dots.encode(x, y, **style), *keys, *said]
    chart = alt.layer(*layers, data=alt.sequence(8, 5001, as_="n"))
    return chart.add_params(*map(_slider, SLIDERS)).properties(
        width=520,
        height=166,
        description="Two falling curves of the half-width against the number of items, the "
        "recommended method below random sampling. With 1,000 items, accuracy 0.8 and 5 points "
        "wanted random sampling needs 199 items and sequential stratification 135. Four sliders "
        "change the benchmark, the accuracy, the half-width and what an item is worth.",
    )


def _slider(name):
    start, least, most, step, text = SLIDERS[name]
    bind = alt.binding_range(min=least, max=most, step=step, name=text)
    return alt.param(name, value=start, bind=bind)


def _items(field, title, values, **domain):
    """The horizontal axis of numbers on a logarithmic scale."""
    scale = alt.Scale(type="log", nice=False, **domain)
    return alt.X(field, title=title, scale=scale, axis=alt.Axis(values=values))


def choice(branches):
    """The decision chart; `branches` are (question, what to do if yes, what was measured)."""
    boxes, stems, texts = [], [], []
    for i, (question, do, measured) in enumerate(branches):
        top, last = 108 * i, i == len(branches) - 1
        below = top + 46 - 16 * last
        boxes.append(("question", 0, 330, top, below - 8))
        boxes.append(("final" if last else "do", 50, 330, below, below + 54))
        stems.append((18, 48, below + 27, below + 27))
        stems.append((18, 18, below - 8, below + 27 if last else top + 108))
        texts += _written("bold", 10, top + 12, question)
        texts += _written("bold", 58, below + 11, do) + _written("plain", 58, below + 27, measured)
        if not last:
            texts += [("italic", 24, below + 18, "yes"), ("italic", 24, below + 50, "no")]
    place = {
        "x": alt.X("x:Q", scale=alt.Scale(domain=[0, 332], nice=False), axis=None),
        "y": alt.Y("y:Q", scale=alt.Scale(domain=[626, 0], nice=False), axis=None),
    }
    kinds = alt.Scale(domain=["question", "do", "final"], range=[NEUTRAL, PALETTE[0], PALETTE[2]])
    color = alt.Color("kind:N", scale=kinds, legend=None)
    box = alt.Chart(pd.DataFrame(boxes, columns=["kind", "x", "x2", "y", "y2"]))
    box = box.mark_rect(cornerRadius=6, fillOpacity=0.14, strokeWidth=1.5, tooltip=False)
    stem = alt.Chart(pd.DataFrame(stems, columns=["x", "x2", "y", "y2"]))
    stem = stem.mark_rule(strokeWidth=1.5, tooltip=False)
    ends = {**place, "x2": "x2", "y2": "y2"}
    layers = [box.encode(**ends, color=color, stroke=color), stem.encode(**ends)]
    text = pd.DataFrame(texts, columns=["style", "x", "y", "text"])
    fonts = {"bold": {"fontWeight": "bold"}, "plain": {}, "italic": {"fontStyle": "italic"}}
    for style, font in fonts.items():
        some = alt.Chart(text[text["style"] == style])
        some = some.mark_text(align="left", baseline="middle", tooltip=False, **font)
        layers.append(some.encode(**place, text="text:N"))
    return alt.layer(*layers).properties(
        width=332,
        height=626,
        description="Decision chart of five questions. More than half of the items needed: run "
        "all of them. Fewer than two sources: random sampling. Only the order counts: the same "
        "random items for all. Targets surely like the sources and no interval needed: "
        "imputation. All items chosen before the first result: cross-fitted AIPW. In all other "
        "cases: sequential stratification. Below each way out stands what was measured.",
    )


def _written(style, x, y, text):
    """The lines of a text, fifteen pixels apart."""
    return [(style, x, y + 15 * j, line) for j, line in enumerate(text.split("\n"))]


def shares(by_size):
    """The gap against the size of a benchmark, by rule (the column split of a summary)."""
    gaps = ["gap", "gap_low", "gap_high"]
    shown = by_size[["benchmark", "split", "budget"]].join(100 * by_size[gaps])
    sizes, rules = list(shown["benchmark"].unique()), list(shown["split"].unique())
    legend = alt.Legend(title=None, orient="top")
    style = {"legend": legend, "scale": alt.Scale(domain=rules)}
    x = _items("benchmark:Q", "items of the benchmark (log scale)", sizes, domain=[220, 2300])
    base = alt.Chart(shown).encode(x, alt.Color("split:N", **style))
    title = "estimation gap (points)"
    y = alt.Y("gap:Q", title=title, scale=alt.Scale(domain=[0, 4.5]))
    tooltip = ["benchmark", "split", "budget", alt.Tooltip("gap:Q", format=".2f")]
    shape = alt.Shape("split:N", **style)
    layers = [
        base.mark_line().encode(y=y, strokeDash=alt.StrokeDash("split:N", **style)),
        base.mark_rule(strokeWidth=2).encode(y=alt.Y("gap_low:Q", title=title), y2="gap_high:Q"),
        base.mark_point(opacity=1).encode(y=y, shape=shape, tooltip=tooltip),
    ]
    return alt.layer(*layers).properties(
        width=500,
        height=190,
        description="Two lines of the gap against the size of the benchmark. With a fifth of the "
        "items the gap falls from about 3.5 points to a little over 1; with 100 items it rises "
        "gently and levels off.",
    )


def sources(curve, order):
    """The worth of an item (ess, low, high) against the number of sources, by benchmark."""
    legend = alt.Legend(title=None, orient="top", columns=3)
    ticks = [1, 2, 3, 5, 10, 20, 40]
    x = _items("sources:Q", "source models, M (log scale)", ticks, domain=[0.9, 45])
    colors = alt.Scale(domain=order, range=PALETTE)
    base = alt.Chart(curve).encode(
        x,
        alt.Color("benchmark:N", scale=colors, legend=legend),
        tooltip=["benchmark", "sources", alt.Tooltip("ess:Q", format=".2f")],
    )
    title = "worth of an item, in random ones"
    scale = alt.Scale(domain=[0.5, 2.5], nice=False)
    y = alt.Y("ess:Q", title=title, scale=scale)
    one = alt.Chart(curve).mark_rule(strokeDash=[4, 4], color=NEUTRAL)
    shape = alt.Shape("benchmark:N", scale=alt.Scale(domain=order), legend=legend)
    layers = [
        one.encode(y=alt.YDatum(1, scale=scale)),
        base.mark_rule(clip=True).encode(y=alt.Y("low:Q", title=title), y2="high:Q"),
        base.mark_line().encode(y=y),
        base.mark_point(opacity=1, size=35).encode(y=y, shape=shape),
    ]
    return alt.layer(*layers).properties(
        width=460,
        height=210,
        description="Six rising lines against the number of sources on a logarithmic axis. With "
        "one source they lie a little above one; they go on rising slowly, to between 1.5 and 2.1.",
    )
