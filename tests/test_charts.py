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

import benchpred_utils as bp
from benchpred_utils import charts

pytest.importorskip("vl_convert")


def curve(values=(1.0, 2.0, 3.0), **properties):
    data = pd.DataFrame({"n": range(len(values)), "error": values})
    return alt.Chart(data).mark_line(clip=True).encode(x="n", y="error").properties(**properties)


def stored(chart):
    return charts.stored_output(chart.to_dict())


def test_the_package_does_not_import_altair():
    code = "import sys, benchpred_utils; sys.exit('altair' in sys.modules or 'vl_convert' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_the_theme_is_on_and_valid():
    assert alt.theme.active == "benchpred"
    config = curve(description="x").to_dict()["config"]
    assert config["range"]["category"] == charts.PALETTE
    alt.Config.from_dict(config)  # raises when Vega-Lite has no such setting


def test_a_stored_chart_has_picture_description_and_spec():
    data, metadata = stored(curve(description="Three points on a line."))
    assert data["image/svg+xml"].startswith("<svg") and data["text/plain"] == "Three points on a line."
    assert metadata["benchpred_chart"]["description"] == "Three points on a line."
    assert metadata["benchpred_chart"]["spec"]["mark"]["type"] == "line"


@pytest.mark.parametrize("properties", [{}, {"description": "  "}])
def test_a_chart_without_a_description_is_refused(properties):
    with pytest.raises(ValueError, match="needs a description"):
        stored(curve(**properties))


def test_the_stored_output_is_the_same_each_time():
    chart = curve(description="A line.")
    assert stored(chart) == stored(chart)


def test_last_digits_do_not_change_what_is_stored():
    exact, noisy = np.array([1 / 3, 2 / 3, 1e6 / 7]), np.array([1 / 3, 2 / 3, 1e6 / 7]) * (1 + 1e-13)
    assert stored(curve(exact, description="A line.")) == stored(curve(noisy, description="A line."))
    assert stored(curve(exact, description="A line.")) != stored(curve(exact * 1.001, description="A line."))


def test_data_sets_keep_their_rows_in_a_layered_facet():
    data = pd.DataFrame({"n": [1, 2, 1, 2], "error": [0.123456789, 2, 3, 4], "m": list("aabb")})
    line = alt.Chart(data).mark_line().encode(x="n", y="error")
    rule = alt.Chart(pd.DataFrame({"y": [1]})).mark_rule().encode(y="y")
    spec = charts.stable(((line + line.mark_point()) | rule).properties(description="Two.").to_dict())
    names = set(re.findall(r'"name": "(data-[^"]*)"', json.dumps(spec)))
    assert names == set(spec["datasets"]) == {"data-1", "data-2"}
    assert spec["datasets"]["data-1"][0]["error"] == 0.12346


def test_the_picture_of_a_chart_that_fills_its_container_has_a_width():
    data, metadata = stored(curve(description="A line.", width="container"))
    assert metadata["benchpred_chart"]["spec"]["width"] == "container"
    assert float(re.search(r'width="([\d.]+)"', data["image/svg+xml"])[1]) >= charts.STATIC_WIDTH


def test_the_page_gets_both_and_nothing_ends_its_script_early():
    data, metadata = stored(curve(description='A "line" </script> & more.'))
    output = SimpleNamespace(mime_type="image/svg+xml", content=data["image/svg+xml"], output_metadata=metadata)
    (node,) = charts.ChartRenderer.handle_mime(None, output, False)
    page = node.astext()
    assert page.count("</script>") == 1 and "&quot;line&quot;" in page
    assert base64.b64decode(re.search(r"base64,([^\"]+)", page)[1]).decode() == data["image/svg+xml"]
    assert json.loads(re.search(r"json\">(.*)</script>", page)[1]) == metadata["benchpred_chart"]["spec"]


def test_other_outputs_are_left_alone():
    other = SimpleNamespace(mime_type="image/svg+xml", content="<svg/>", output_metadata={})
    assert charts.ChartRenderer.handle_mime(None, other, False) is None


def test_the_renderer_is_chosen_by_the_environment(monkeypatch):
    before = alt.renderers.active
    monkeypatch.delenv("BENCHPRED_STATIC_CHARTS", raising=False)
    charts.enable()
    assert alt.renderers.active == before
    monkeypatch.setenv("BENCHPRED_STATIC_CHARTS", "1")
    charts.enable()
    try:
        assert alt.renderers.active == "benchpred"
    finally:
        alt.renderers.enable(before)


def test_every_method_has_a_colour_and_a_label():
    scale = charts.method_scale(list(bp.METHODS)).to_dict()
    assert len(set(scale["domain"])) == len(scale["domain"]) == len(scale["range"])
    named = [charts.METHOD_COLORS[name] for name in bp.METHODS if name in charts.METHOD_COLORS]
    assert len(set(named)) == len(named)


def seen(color, matrix):
    channels = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return matrix @ linear


# What the colour-blind see of a colour (Machado, Oliveira, Fernandes 2009, severity 1; linear RGB).
SIGHT = {
    "full": np.eye(3),
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def lab(linear):
    """CIE L*a*b* of a linear RGB colour, to measure how different two colours look."""
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    x, y, z = np.cbrt(to_xyz @ np.clip(linear, 1e-6, 1) / [0.9505, 1, 1.089])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("sight", SIGHT)
def test_the_palette_is_told_apart(sight):
    colors = [lab(seen(color, np.array(SIGHT[sight]))) for color in charts.PALETTE]
    distances = [np.linalg.norm(a - b) for i, a in enumerate(colors) for b in colors[:i]]
    assert min(distances) > 15
