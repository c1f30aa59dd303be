"""Charts: the theme, what is stored, what the page gets."""

import base64
import json
import re
import subprocess
import sys
from types import SimpleNamespace

import altair as alt
import numpy as np
import pandas as pd
import pytest
from benchpred_book import charts, stored_charts
from benchpred_book.averages import mean_changes
from benchpred_book.build import pairs
from benchpred_book.rivals import RIVALS
from scipy import stats

import benchpred_utils as bp

charts.enable()


@pytest.fixture
def static(monkeypatch):
    """As in the kernel of a chapter: charts are stored."""
    before = alt.renderers.active
    monkeypatch.setenv("BENCHPRED_STATIC_CHARTS", "1")
    charts.enable()
    yield
    alt.renderers.enable(before)
    alt.data_transformers.consolidate_datasets = True


def curve(values=(1.0, 2.0, 3.0), **properties):
    data = pd.DataFrame({"n": range(len(values)), "error": values})
    return alt.Chart(data).mark_line(clip=True).encode(x="n", y="error").properties(**properties)


def stored(chart):
    return stored_charts.stored_output(chart.to_dict())


def test_the_package_does_not_import_altair():
    code = "import sys, benchpred_utils; sys.exit('altair' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_nothing_is_switched_on_at_import():
    code = "import altair; from benchpred_book import charts; print(altair.theme.active)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "default"


def test_the_theme_is_on_and_valid():
    assert alt.theme.active == "benchpred"
    config = curve(description="x").to_dict()["config"]
    assert config["range"]["category"] == charts.PALETTE
    alt.Config.from_dict(config)  # raises when Vega-Lite has no such setting


def test_a_stored_chart_has_picture_description_and_spec():
    data, metadata = stored(curve(description="Three points on a line."))
    assert (
        data["image/svg+xml"].startswith("<svg") and data["text/plain"] == "Three points on a line."
    )
    assert metadata["benchpred_chart"]["description"] == "Three points on a line."
    assert metadata["benchpred_chart"]["spec"]["mark"]["type"] == "line"


@pytest.mark.parametrize("properties", [{}, {"description": "  "}])
def test_a_chart_without_a_description_is_refused(properties):
    with pytest.raises(ValueError, match="needs a description"):
        stored(curve(**properties))


def test_the_stored_output_is_the_same_each_time():
    chart = curve(description="A line.")
    assert stored(chart) == stored(chart)


def test_last_digits_do_not_change_what_is_stored(static):
    exact, noisy = (
        np.array([1 / 3, 2 / 3, 1e6 / 7]),
        np.array([1 / 3, 2 / 3, 1e6 / 7]) * (1 + 1e-13),
    )
    assert stored(curve(exact, description="A line.")) == stored(
        curve(noisy, description="A line.")
    )
    assert stored(curve(exact, description="A line.")) != stored(
        curve(exact * 1.001, description="A line.")
    )


def test_data_are_stored_where_they_are_used_with_rounded_numbers(static):
    data = pd.DataFrame(
        {"n": [1, 2, 1, 2], "error": [0.123456789, 2, 3, np.inf], "m": list("aabb")}
    )
    line = alt.Chart(data).mark_line().encode(x="n", y="error")
    rule = alt.Chart(pd.DataFrame({"y": [1]})).mark_rule().encode(y="y")
    both = ((line + line.mark_point()) | rule).properties(description="Two.")
    _, metadata = stored(both)
    spec = metadata["benchpred_chart"]["spec"]
    assert "datasets" not in spec
    rows = spec["hconcat"][0]["data"]["values"]
    assert [row["error"] for row in rows] == [0.12346, 2, 3, None]
    assert json.dumps(spec).count("0.12346") == 1


def test_the_picture_of_a_chart_that_fills_its_container_has_a_width():
    data, metadata = stored(curve(description="A line.", width="container"))
    assert metadata["benchpred_chart"]["spec"]["width"] == "container"
    assert (
        float(re.search(r'width="([\d.]+)"', data["image/svg+xml"])[1])
        >= stored_charts.STATIC_WIDTH
    )


def test_the_page_gets_both_and_nothing_ends_its_script_early():
    data, metadata = stored(curve(description='A "line" </script> & more.'))
    output = SimpleNamespace(
        mime_type="image/svg+xml", content=data["image/svg+xml"], output_metadata=metadata
    )
    (node,) = stored_charts.ChartRenderer.handle_mime(None, output, False)
    page = node.astext()
    assert page.count("</script>") == 1 and "&quot;line&quot;" in page
    assert (
        base64.b64decode(re.search(r"base64,([^\"]+)", page)[1]).decode() == data["image/svg+xml"]
    )
    assert (
        json.loads(re.search(r"json\">(.*)</script>", page)[1])
        == metadata["benchpred_chart"]["spec"]
    )


def test_other_outputs_are_left_alone():
    other = SimpleNamespace(mime_type="image/svg+xml", content="<svg/>", output_metadata={})
    assert stored_charts.ChartRenderer.handle_mime(None, other, False) is None


def test_the_renderer_is_chosen_by_the_environment(static):
    assert alt.renderers.active == "benchpred"


def test_every_method_has_a_colour_and_a_label():
    scale = charts.method_scale(list(bp.METHODS)).to_dict()
    assert len(set(scale["domain"])) == len(scale["domain"]) == len(scale["range"])
    marks = list(charts.METHOD_STYLES.values())
    assert len(set(marks)) == len(marks)


# What charts call a form of a method, where it isn't the method's label.
FORMS = {
    "random sample": "random_sampling",
    "AIPW, prediction fixed": "aipw",
    "AIPW, prediction upside down": "aipw",
    "AIPW, fitted on the core set": "aipw",
    "in sample": "aipw",
    "cross-fitted": "aipw_cross_fitted",
    "chosen by k-center": "k_center_greedy",
}
METHOD_COLORS = {color for color, _ in charts.METHOD_STYLES.values()}


def misused(spec, channel=""):
    """The labels in the scales of a spec whose colour or shape isn't what the registry says."""
    if isinstance(spec, list):
        return [found for part in spec for found in misused(part, channel)]
    if not isinstance(spec, dict):
        return []
    found = []
    domain, marks = spec.get("domain"), spec.get("range")
    if channel in ("color", "shape") and isinstance(domain, list) and isinstance(marks, list):
        place = ("color", "shape").index(channel)
        for text, mark in zip(domain, marks):
            name = FORMS.get(text) or METHODS_BY_LABEL.get(text)
            if name and mark != charts.method_style(name)[place]:
                found.append(text)
            if not name and channel == "color" and mark in METHOD_COLORS:
                found.append(text)
    for key, part in spec.items():
        if key != "datasets" and key != "values":
            found += misused(part, channel if key == "scale" else key)
    return found


METHODS_BY_LABEL = {row.label: name for name, row in {**RIVALS, **bp.METHODS}.items()}


def stored_specs(name):
    """The specs of the charts of a chapter, as they are stored."""
    for cell in pairs.read_stored(name).cells:
        for output in cell.get("outputs", []):
            stored = output.get("metadata", {}).get(stored_charts.OUTPUT_KEY)
            if stored:
                yield stored["spec"]


@pytest.mark.parametrize("chapter", pairs.chapter_names())
def test_a_method_looks_the_same_in_every_chart_and_nothing_else_looks_like_it(chapter):
    for spec in stored_specs(chapter):
        assert misused(spec) == []


def test_a_borrowed_colour_is_found():
    """The negative control: a split in the colour of a method, a method in another's."""
    blue, orange = (charts.method_style(m)[0] for m in ("aipw_cross_fitted", "k_center_greedy"))
    scale = {"domain": ["interpolation", "AIPW"], "range": [blue, orange]}
    assert misused({"encoding": {"color": {"scale": scale}}}) == ["interpolation", "AIPW"]


def seen(color, matrix):
    channels = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return matrix @ linear


# What the colour-blind see of a colour (Machado, Oliveira, Fernandes 2009, severity 1; linear RGB).
SIGHT = {
    "full": np.eye(3),
    "protan": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deutan": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritan": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def lab(linear):
    """CIE L*a*b* of a linear RGB colour, to measure how different two colours look."""
    to_xyz = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    )
    x, y, z = np.cbrt(to_xyz @ np.clip(linear, 1e-6, 1) / [0.9505, 1, 1.089])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


OWN_COLORS = list(charts.METHOD_STYLES.values())[:6]  # the others are drawn by their shapes


@pytest.mark.parametrize("sight", SIGHT)
@pytest.mark.parametrize("palette", [charts.PALETTE, [color for color, _ in OWN_COLORS]])
def test_the_palettes_are_told_apart(palette, sight):
    colors = [lab(seen(color, np.array(SIGHT[sight]))) for color in palette]
    distances = [np.linalg.norm(a - b) for i, a in enumerate(colors) for b in colors[:i]]
    assert min(distances) > 15


def changes(methods=("aipw", "lasso", "p_irt")):
    rows = [
        (b, m, (-0.1, 2.0, 0.0)[i], h)
        for b, h in (("mmlu", 0.3), ("math", 0.4))
        for i, m in enumerate(methods)
    ]
    table = pd.DataFrame(rows, columns=["benchmark", "method", "change", "half"])
    return table.assign(
        low=table.change - table.half, high=table.change + table.half, p_holm=[0.2, 0.01, 1.0] * 2
    )


def test_method_dots_have_a_panel_per_benchmark_and_intervals_within_the_axis():
    table = changes().rename(columns={"change": "gap", "low": "gap_low", "high": "gap_high"})
    chart = charts.method_dots(table, "gap", "gap", alt.Scale(domain=[-0.3, 2.2]), reference=0)
    spec = chart.properties(description="Dots.").to_dict()
    texts = re.findall(r">([^<>]+)</text>", stored_charts.stored_output(spec)[0]["image/svg+xml"])
    assert {"MATH", "MMLU", "AIPW", "lasso", "p-IRT"} <= set(texts)
    cells = next(rows for rows in spec["datasets"].values() if "how" in rows[0])
    assert min(row["low"] for row in cells) == -0.3 and max(row["high"] for row in cells) == 2.2


def test_budget_curves_mark_the_points_of_fewer_trials_and_leave_repeated_budgets_out():
    table = (
        changes()
        .rename(columns={"change": "gap", "low": "gap_low", "high": "gap_high"})
        .query("method != 'p_irt'")
    )
    table = pd.concat([table.assign(budget=10, trials=100), table.assign(budget=20, trials=25)] * 2)
    spec = charts.budget_curves(table, ["aipw"]).properties(description="Curves.").to_dict()
    cells = next(rows for rows in spec["datasets"].values() if "how" in rows[0])
    assert len(cells) == 8 and {row["how"]: row["kind"] for row in cells} == {
        "AIPW": "shown",
        "lasso": "rest",
    }
    assert all(row["few"] == (row["budget"] == 20) for row in cells)
    assert stored_charts.stored_output(spec)[0]["image/svg+xml"].count("<svg") == 1


def test_the_mean_change_has_the_interval_of_independent_benchmarks():
    mean = mean_changes(changes()).set_index("method")
    assert np.allclose(mean.change, [-0.1, 2.0, 0.0])
    assert np.allclose(
        mean.high - mean.change, 0.5 / 2
    )  # the root of 0.3^2 + 0.4^2, over two benchmarks
    z = np.array([0.1, 2.0, 0.0]) / (0.25 / stats.norm.ppf(0.975))
    assert np.allclose(mean.p, 2 * stats.norm.sf(z))
    assert np.allclose(mean.p_holm, np.minimum(1, [2 * mean.p["aipw"], 3 * mean.p["lasso"], 1]))


def test_the_heat_table_has_every_number_and_the_families_as_rows():
    spec = charts.change_heat(changes()).properties(description="A heat table.").to_dict()
    texts = re.findall(r">([^<>]+)</text>", stored_charts.stored_output(spec)[0]["image/svg+xml"])
    assert [texts.count(number) for number in ("−10", "+200", "+0")] == [
        3,
        3,
        3,
    ]  # two benchmarks and their mean
    assert [t for t in texts if t in ("MATH", "MMLU", "mean")] == [
        "MATH",
        "MMLU",
        "mean",
    ]  # in the labels' order
    rows = [row for m in ("aipw", "lasso", "p_irt") for row in (charts.family(m), charts.label(m))]
    assert spec["layer"][0]["encoding"]["y"]["scale"]["domain"] == rows


def test_the_heat_table_takes_other_benchmarks_and_no_mean():
    table = changes().replace({"mmlu": "mmlu_math"})
    spec = charts.change_heat(
        table, mean=False, labels={"mmlu_math": "MMLU math", "math": "MATH"}
    ).to_dict()
    assert spec["layer"][0]["encoding"]["x"]["scale"]["domain"] == ["MMLU math", "MATH"]
    cells = next(iter(spec["datasets"].values()))
    assert {row["column"] for row in cells} == {"MMLU math", "MATH"} and len(cells) == 6
    assert [row["significant"] for row in cells] == [False, True, False] * 2


# Means with intervals


@pytest.mark.parametrize("color", [None, alt.Color("split:N", sort=["near", "far"])])
def test_means_are_drawn_with_their_intervals(color):
    rows = [("a", "near", -2.0, 1.0), ("b", "far", 3.0, 0.5)]
    table = pd.DataFrame(rows, columns=["row", "split", "value", "half"])
    spec = charts.mean_dots(table, ["a", "b"], "change (%)", color=color).to_dict()
    data = spec["datasets"].values() if "datasets" in spec else []
    drawn = [row for rows in data for row in rows if "low" in row]
    assert {(row["low"], row["high"]) for row in drawn} >= {(-3.0, -1.0), (2.5, 3.5)}
    assert ("yOffset" in json.dumps(spec)) == (color is not None)


def test_a_draw_has_a_panel_for_each_round():
    draw = pd.DataFrame(
        {
            "round": [1, 1, 1, 2],
            "place": [0, 1, 2, 0],
            "g": [0.2, 0.5, 0.9, 0.8],
            "cell": [0, 0, 1, 0],
            "used": [True, True, False, True],
            "drawn": [True, False, False, True],
            "score": [1.0, 0.0, 1.0, 0.0],
        }
    )
    spec = charts.draw_in_rounds(draw, {1: "first", 2: "second"}).to_dict()
    rows = [row for rows in spec["datasets"].values() for row in rows]
    assert [row["head"] for row in rows if row["layer"] == "cell"] == ["first", "first", "second"]
    assert [row["answer"] for row in rows if row["drawn"] is True] == ["right", "wrong"]


def test_the_heat_table_of_estimators_has_a_menu():
    columns = ["models", "design", "estimator", "kind", "change", "half", "worst"]
    rows = [(m, "cube", "none", "exact", -3.26, 1.0, 2.0) for m in ("new", "known")]
    spec = charts.estimator_heat(pd.DataFrame(rows, columns=columns), ["none"]).to_dict()
    assert spec["params"][0]["bind"]["options"] == ["new", "known"]
    assert [row["text"] for rows in spec["datasets"].values() for row in rows] == ["−3", "−3"]
