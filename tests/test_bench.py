"""Every case of the benchmark runs on a tiny matrix and gives a sane table; nothing here depends on a time."""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import benchpred_utils as bp

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "book" / "bench"))

import bench
import cases.growth
import cases.loops
import cases.protocol
import measure
import settings

SOME = ("random_sampling", "anchor_points_weighted", "p_irt", "aipw", "aipw_cross_fitted")


def tables(case, **changes):
    rows = {}
    for table, row in bench.CASES[case](settings.tiny(**changes)):
        rows.setdefault(table, []).append(row)
    assert all(list(row) == list(some[0]) for some in rows.values() for row in some), "each row has all columns"
    return {table: pd.DataFrame(some) for table, some in rows.items()}


# --- the cases --------------------------------------------------------------------------------------------------------


def test_the_cost_of_every_method():
    (table,) = tables("methods").values()
    assert list(table["method"]) == 2 * list(bp.METHODS)
    times = [column for column in table if column.endswith("cpu_s") and column != "rest_cpu_s"]
    assert (table[times] >= 0).all(axis=None)
    parts = table[["design_cpu_s", "estimator_cpu_s", "rest_cpu_s"]].sum(axis=1)
    np.testing.assert_allclose(parts, table["trial_cpu_s"])
    np.testing.assert_allclose(table["total_cpu_s"], table["setup_cpu_s"] + 4 * table["trial_cpu_s"])
    assert (table["setup_cpu_s"][table["split"] == "interpolation"] == 0).all()


def test_the_protocol_is_summed_and_its_memory_known():
    (table,) = tables("protocol", methods=SOME).values()
    assert list(table["split"]) == ["interpolation", "extrapolation", "all"]
    assert table["total_cpu_s"].iloc[-1] == pytest.approx(table["total_cpu_s"].iloc[:-1].sum())
    assert table["peak_mib"].iloc[-1] == table["peak_mib"].max() >= table["imports_mib"].max() > 0


def test_a_stored_run_of_the_protocol_is_shown_beside_it(tmp_path, monkeypatch):
    folder = tmp_path / "protocol"
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps({"key": {}, "tables": {}, "made": {"date": "2026-01-01"}}))
    costs = [("tiny", "interpolation", 10, 10.0, 4.0, 300.0), ("tiny", "chronological", 10, 10.0, 8.0, 900.0)]
    costs += [("tiny", "interpolation", 10, 10.0, 2.0, 500.0), ("tiny", "interpolation", 12, 0.2, 8.0, 900.0)]
    columns = ["benchmark", "split", "budget", "asked", "cpu_s", "peak_mib"]
    pd.DataFrame(costs, columns=columns).assign(trials=100).to_csv(folder / "costs.csv")
    monkeypatch.setattr(cases.protocol.runs, "FOLDER", tmp_path)
    (row,) = cases.protocol._stored(settings.tiny())
    assert (row["total_cpu_s"], row["wall_s_2_cores"], row["peak_mib"]) == (6.0, 3.0, 500.0)
    assert row["measured"] == "make runs, 2026-01-01 (other code)"


def test_the_2pl_fit_and_its_peers():
    (table,) = tables("fit_2pl").values()
    assert {"the same, float64", "py-irt", "girth"} == set(table["peer"])
    assert table["ours_log_loss"].between(0, np.log(2)).all()
    converged = table["peer"] == "the same, float64"
    assert (table["peer_log_loss"][converged] - table["ours_log_loss"][converged]).abs().max() < 0.01


def test_the_loops_that_a_user_would_write_give_the_same_estimates():
    (table,) = tables("loops").values()
    assert len(table) == 4 * 3
    assert table["ratio"].gt(0).all()
    same = table["method"] != "random_search_learn"
    assert table["largest_difference"][same].max() < 1e-10
    assert table["largest_difference"][~same].isna().all()


def test_the_search_loop_searches(matrix):
    estimates = cases.loops.random_search_learn(matrix[:20], matrix[20:], 10, np.random.default_rng(0), 5)
    assert estimates.shape == (10,) and np.abs(estimates - matrix[20:].mean(axis=1)).mean() < 0.2


def test_prediction_powered_inference_on_the_same_draws():
    (table,) = tables("ppi").values()
    assert table["method"][0] == "aipw_cross_fitted" and len(table) == 3
    there = table["note"] != "not installed"
    assert table["coverage"][there].between(0, 1).all() and table["gap_points"][there].between(0, 40).all()


def test_growth_has_an_exponent_for_each_variable():
    found = tables("growth", methods=("aipw", "k_center_greedy"))
    assert list(found["growth"]["variable"]) == 2 * ["M", "N", "n", "trials"]
    assert len(found["growth_points"]) == 2 * 4 * 3
    assert (found["growth"]["low"] < found["growth"]["exponent"]).all()
    assert set(found["growth_points"]["N"]) == {40, 60, 80}


@pytest.mark.parametrize(("peer", "case"), [("py-irt", "fit_2pl"), ("girth", "fit_2pl"), ("ppi-python", "ppi")])
def test_a_peer_that_is_not_there_is_shown_as_such(peer, case, monkeypatch):
    for module in (cases.irt, cases.ppi):
        monkeypatch.setattr(module, "installed", lambda name: False)
    (table,) = tables(case).values()
    names = table["peer" if case == "fit_2pl" else "method"]
    rows = table[names.str.startswith(peer)]
    assert len(rows) and (rows["note"] == "not installed").all() and rows["ratio"].isna().all()


# --- how it is measured -----------------------------------------------------------------------------------------------


def test_clocks_count_calls_and_leave_the_records_as_they_were(matrix):
    scores, two = bp.Scores(matrix), ["aipw", "aipw_cross_fitted"]
    run = lambda: bp.run_experiment(scores, two, "extrapolation", 10, 3, progress=False)
    before = dict(bp.METHODS)
    with measure.clocks() as seconds:
        records = run()
    assert {phase: len(spent) for phase, spent in seconds.items()} == {"design": 3, "estimator": 2}  # shared draws
    assert before == bp.METHODS
    pd.testing.assert_frame_equal(records, run())


def test_an_exponent_is_found_with_its_interval():
    x = np.array([1.0, 2, 4, 8])
    exact = measure.exponent(x, 3 * x**1.5)
    assert exact["exponent"] == pytest.approx(1.5) and exact["se"] == pytest.approx(0, abs=1e-9)
    noisy = measure.exponent(x, 3 * x**1.5 * np.array([1.1, 0.9, 1.1, 0.9]))
    assert noisy["low"] < 1.5 < noisy["high"]


def test_pairs_are_taken_in_turn_and_shares_scaled(monkeypatch):
    calls = []
    monkeypatch.setattr(measure, "cpu_seconds", lambda f: (f(), None))
    ours, peer = lambda: calls.append("A") or 1.0, lambda: calls.append("B") or 3.0
    pairs = measure.compare(ours, peer, 3, 1.0, 0.1)
    assert calls == ["A", "B"] * 3
    found = measure.ratios(pairs)
    assert found["ratio"] == pytest.approx(30) and found["peer_cpu_s"] == pytest.approx(30)


def test_what_is_spent_once_is_told_from_what_each_trial_takes():
    first, some = pd.Series({"total": 5.0}), pd.Series({"total": 14.0})
    once, each = cases.protocol.setup_and_rest(first, some, 10, "extrapolation")
    assert (once["total"], each["total"]) == (4.0, 1.0)
    once, each = cases.protocol.setup_and_rest(first, some, 10, "interpolation")
    assert (once["total"], each["total"]) == (0.0, 1.4)


def test_memory_is_that_of_a_new_process():
    size, before, peak = measure.in_child(_fill, 2**26)
    assert size == 2**26
    assert 60 < peak - before < 200


def _fill(size):
    return len(np.ones(size, np.int8))


def test_a_child_that_dies_is_an_error():
    with pytest.raises(EOFError):
        measure.in_child(sys.exit, 1)


# --- the command ------------------------------------------------------------------------------------------------------


def test_tables_and_machine_are_written(tmp_path, capsys):
    assert bench.main(["--tiny", "--only", "ppi", "--out", str(tmp_path)]) == 0
    assert len(pd.read_csv(tmp_path / "ppi.csv")) == 3
    about = json.loads((tmp_path / "machine.json").read_text())["ppi"]
    assert about["code"] == bp.keys.code_key() and about["cores"] >= 1
    assert "aipw_cross_fitted" in capsys.readouterr().out
    bench.main(["--tiny", "--only", "fit_2pl", "--out", str(tmp_path)])
    assert set(json.loads((tmp_path / "machine.json").read_text())) == {"ppi", "fit_2pl"}


def test_stopped_in_the_middle_the_last_tables_stay_whole(tmp_path, capsys, monkeypatch):
    def stopped(settings):
        yield "ppi", {"method": "aipw"}
        raise KeyboardInterrupt

    (tmp_path / "ppi.csv").write_text("as it was")
    monkeypatch.setitem(bench.CASES, "ppi", stopped)
    assert bench.main(["--tiny", "--only", "ppi", "--out", str(tmp_path)]) == 130
    assert [path.name for path in tmp_path.iterdir()] == ["ppi.csv"]
    assert (tmp_path / "ppi.csv").read_text() == "as it was"
    assert "Stopped" in capsys.readouterr().err


def test_without_the_data_it_says_so(capsys, monkeypatch):
    def missing(name):
        raise bp.DataUnavailable("openbookqa is not here")

    monkeypatch.setattr(settings.bp, "load_scores", missing)
    assert bench.main([]) == 1
    assert "openbookqa is not here" in capsys.readouterr().err


def test_every_table_and_column_is_documented(monkeypatch):
    monkeypatch.setattr(cases.protocol, "in_child", lambda function, *args: (function(*args), 1.0, 2.0))
    text = (ROOT / "book" / "bench" / "README.md").read_text()
    for case in bench.CASES:
        methods = SOME[:2] if case in ("methods", "growth", "protocol") else SOME
        for table, frame in tables(case, methods=methods).items():
            assert f"`{table}.csv`" in text
            assert not [column for column in frame if f"`{column}`" not in text]
