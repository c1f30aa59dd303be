"""Every case of the benchmark runs on a tiny matrix and gives a sane table; nothing here depends on a time."""

import json
import subprocess
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
import cases.large
import cases.loops
import cases.problems
import cases.protocol
import cases.speed
import measure
import settings

from benchpred_utils import backend

SOME = ("random_sampling", "anchor_points_weighted", "p_irt", "aipw", "aipw_cross_fitted")


def tables(case, **changes):
    rows = {}
    for table, row in bench.CASES[case](settings.tiny(**changes)):
        rows.setdefault(table, []).append(row)
    assert all(list(row) == list(some[0]) for some in rows.values() for row in some), (
        "each row has all columns"
    )
    return {table: pd.DataFrame(some) for table, some in rows.items()}


# --- the cases --------------------------------------------------------------------------------------------------------


def test_the_cost_of_every_method():
    (table,) = tables("methods").values()
    assert list(table["method"]) == 2 * list(bp.METHODS)
    times = [column for column in table if column.endswith("cpu_s") and column != "rest_cpu_s"]
    assert (table[times] >= 0).all(axis=None)
    parts = table[["design_cpu_s", "estimator_cpu_s", "rest_cpu_s"]].sum(axis=1)
    np.testing.assert_allclose(parts, table["trial_cpu_s"])
    np.testing.assert_allclose(
        table["total_cpu_s"], table["setup_cpu_s"] + 4 * table["trial_cpu_s"]
    )
    assert (table["setup_cpu_s"][table["split"] == "interpolation"] == 0).all()


def test_the_protocol_is_summed_and_its_memory_known():
    (table,) = tables("protocol", methods=SOME).values()
    assert list(table["split"]) == ["interpolation", "extrapolation", "all"]
    assert table["total_cpu_s"].iloc[-1] == pytest.approx(table["total_cpu_s"].iloc[:-1].sum())
    assert table["peak_mib"].iloc[-1] == table["peak_mib"].max() >= table["imports_mib"].max() > 0


def test_a_stored_run_of_the_protocol_is_shown_beside_it(tmp_path, monkeypatch):
    folder = tmp_path / "protocol"
    folder.mkdir()
    (folder / "run.json").write_text(
        json.dumps({"key": {}, "tables": {}, "made": {"date": "2026-01-01"}})
    )
    costs = [
        ("tiny", "interpolation", 10, 10.0, 4.0, 300.0),
        ("tiny", "chronological", 10, 10.0, 8.0, 900.0),
    ]
    costs += [
        ("tiny", "interpolation", 10, 10.0, 2.0, 500.0),
        ("tiny", "interpolation", 12, 0.2, 8.0, 900.0),
    ]
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
    assert (
        table["peer_log_loss"][converged] - table["ours_log_loss"][converged]
    ).abs().max() < 0.01


def test_the_loops_that_a_user_would_write_give_the_same_estimates():
    (table,) = tables("loops").values()
    assert len(table) == 4 * 3
    assert table["ratio"].gt(0).all()
    same = table["method"] != "random_search_learn"
    assert table["largest_difference"][same].max() < 1e-10
    assert table["largest_difference"][~same].isna().all()


def test_the_search_loop_searches(matrix):
    estimates = cases.loops.random_search_learn(
        matrix[:20], matrix[20:], 10, np.random.default_rng(0), 5
    )
    assert estimates.shape == (10,) and np.abs(estimates - matrix[20:].mean(axis=1)).mean() < 0.2


def test_prediction_powered_inference_on_the_same_draws():
    (table,) = tables("ppi").values()
    assert table["method"][0] == "aipw_cross_fitted" and len(table) == 3
    there = table["note"] != "not installed"
    assert (
        table["coverage"][there].between(0, 1).all()
        and table["gap_points"][there].between(0, 40).all()
    )


def test_growth_has_an_exponent_for_each_variable():
    found = tables("growth", methods=("aipw", "k_center_greedy"))
    assert list(found["growth"]["variable"]) == 2 * ["M", "N", "n", "trials"]
    assert len(found["growth_points"]) == 2 * 4 * 3
    assert (found["growth"]["low"] < found["growth"]["exponent"]).all()
    assert set(found["growth_points"]["N"]) == {40, 60, 80}


@pytest.mark.parametrize(
    ("peer", "case"), [("py-irt", "fit_2pl"), ("girth", "fit_2pl"), ("ppi-python", "ppi")]
)
def test_a_peer_that_is_not_there_is_shown_as_such(peer, case, monkeypatch):
    for module in (cases.irt, cases.ppi):
        monkeypatch.setattr(module, "installed", lambda name: False)
    (table,) = tables(case).values()
    names = table["peer" if case == "fit_2pl" else "method"]
    rows = table[names.str.startswith(peer)]
    assert len(rows) and (rows["note"] == "not installed").all() and rows["ratio"].isna().all()


# --- against peers and floors -----------------------------------------------------------------------------------------

SAME = (
    "AIPW, one trial",
    "AIPW cross-fitted, many core sets",
    "root-n simulation",
    "2PL fit",
    "k-medoids",
    "k-center",
    "similarity of models",
)


def work(name):
    return cases.problems.PROBLEMS[name].work(cases.problems.PROBLEMS[name].tiny, np.asarray)


@pytest.mark.parametrize("name", SAME)
def test_a_problem_can_be_run_again_and_says_what_it_takes(name):
    found = work(name)
    found.ours(), found.ours()
    assert found.matrix > 0 and 0 < found.share <= 1 and found.peer_name
    count = lambda number: number() if callable(number) else number
    assert count(found.operations) > 0 and count(found.bytes) > 0
    if found.solve:
        found.solve()


def test_ours_and_the_peer_estimate_the_same():
    found = work("AIPW, one trial")
    source = settings.rasch(15, 40, np.random.default_rng(0))
    np.testing.assert_allclose(found.ours().value.shape, (1, 3))
    found, core = (
        work("AIPW cross-fitted, many core sets"),
        bp.designs.uniform_core_sets(40, 10, 3, np.random.default_rng(1)),
    )
    loop = [cases.problems._cross_fitted_loop(source[3:], source[:3], c) for c in core]
    np.testing.assert_allclose(found.ours().value, loop, rtol=1e-9)
    np.testing.assert_allclose(found.peer(), loop)
    found = work("similarity of models")
    np.testing.assert_allclose(found.ours()[:1], found.peer(), atol=1e-12)


def test_ours_and_the_peer_simulate_and_choose_alike():
    found = work("root-n simulation")
    value, half = found.ours().value[:, 0], found.peer()
    spread = half["value"].std() / np.sqrt(15)
    assert len(value) == len(half) == 30 and abs(value.mean() - half["value"].mean()) < 5 * spread
    parts = np.concatenate([part.value for part in found.cores()])
    assert parts.shape == (30, 1) and abs(parts.mean() - value.mean()) < 5 * spread
    source = settings.rasch(12, 40, np.random.default_rng(0))
    radius = lambda core: (
        np.square(source[:, :, None] - source[:, None, core]).sum(axis=0).min(axis=1).max()
    )
    found = work("k-center")
    assert radius(found.ours()) <= 4 * radius(found.peer()) and radius(found.peer()) <= 4 * radius(
        found.ours()
    )


def test_the_sizes_have_the_base_first_and_the_peer_along_one_variable():
    sizes = cases.problems.sizes("2PL fit")
    assert sizes[0] == ({"M": 100, "N": 1_000}, True)
    assert {size["M"] for size, with_peer in sizes if with_peer} == {50, 100, 200, 400}
    assert not any(with_peer for size, with_peer in sizes if size["N"] > 1_000)
    assert ({"M": 2_000, "N": 100_000}, True) in cases.problems.sizes("2PL fit", device=True)


def timed(name, size, subject, seconds, share=1.0, **more):
    about = {
        "name": name,
        "size": size,
        "subject": subject,
        "work": "" if subject == "ours" else subject,
        "share": share,
    }
    about |= {
        "matrix": 2**20,
        "memory": 2**21,
        "operations": 4e9,
        "bytes": 1e9,
        "rate": 1e9,
        "copy": 1e9,
    }
    return {
        "extra_info": about | more,
        "stats": {"median": seconds, "min": seconds, "max": 2 * seconds, "rounds": 3},
    }


def test_the_table_of_times_has_ratios_and_the_floor():
    name = "AIPW, one trial"
    found = [
        timed(name, {"M": 63}, s, *t)
        for s, t in {"ours": (12.0,), "peer": (6.0, 0.1), "solve": (2.0,)}.items()
    ]
    rows = pd.DataFrame(cases.speed.rows(found)).set_index("subject")
    assert rows.seconds.to_dict() == {"ours": 12, "peer": pytest.approx(60), "solve": 2, "floor": 6}
    assert (
        rows.ratio["peer"] == pytest.approx(5)
        and rows.ratio["floor"] == 0.5
        and rows.what["floor"] == "operations + solve"
    )
    assert (
        rows.memory_mib["ours"] == 2
        and np.isnan(rows.memory_mib["peer"])
        and rows["size"]["peer"] == "M=63"
    )
    (row, floor) = cases.speed.rows([timed(name, {"M": 63}, "ours", 1.0, operations=1.0)])
    assert floor["what"] == "bytes" and floor["seconds"] == 1
    (row,) = cases.speed.rows(
        [timed("the book's build", {}, "ours", 1.0, operations=0, bytes=0, matrix=0)]
    )
    assert row["memory_mib"] is None


def test_growth_of_the_core_is_found():
    problem = cases.problems.PROBLEMS["2PL fit"]
    at = [problem.base | {letter: x} for letter, values in problem.curves.items() for x in values]
    rows = cases.speed.growth(
        [timed("2PL fit", size, "ours", 1e-6 * size["M"] * size["N"] ** 0.5) for size in at]
    )
    assert {row["variable"]: round(row["exponent"], 6) for row in rows} == {"M": 1, "N": 0.5}


def test_without_its_plugin_the_suite_says_so(monkeypatch):
    monkeypatch.setattr(cases.speed, "installed", lambda name: False)
    with pytest.raises(SystemExit, match="pip install -e '.\\[bench\\]'"):
        next(cases.speed.speed(settings.tiny()))


def test_the_suite_runs(tmp_path):
    pytest.importorskip("pytest_benchmark")
    path = tmp_path / "speed.json"
    command = [
        sys.executable,
        "-m",
        "pytest",
        cases.speed.SUITE,
        "--tiny",
        "-k",
        "similarity or trial",
        f"--benchmark-json={path}",
    ]
    done = subprocess.run([*map(str, command), "-p", "no:xdist"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    rows = pd.DataFrame(cases.speed.rows(json.loads(path.read_text())["benchmarks"]))
    assert set(rows.subject) == {"ours", "peer", "solve", "floor"} and (rows.seconds > 0).all()


def test_a_large_matrix_in_either_precision(monkeypatch):
    monkeypatch.setattr(
        cases.large, "in_child", lambda function, *args: (function(*args), 1.0, 2.0)
    )
    (table,) = tables("large").values()
    assert (
        list(table["largest_difference"] < [1e-300, 1e-4, 1e-9]) == [True] * 3
        and table["largest_difference"][1] > 0
    )
    source, target = cases.large._matrix(cases.large.TINY)
    assert (
        source.dtype == np.uint8 and source.shape == (12, 40) and set(np.unique(target)) == {0, 1}
    )


# --- how it is measured -----------------------------------------------------------------------------------------------


def test_clocks_count_calls_and_leave_the_records_as_they_were(matrix):
    scores, two = bp.Scores(matrix), ["aipw", "aipw_cross_fitted"]
    run = lambda: bp.run_experiment(scores, two, "extrapolation", 10, 3, progress=False)
    before = dict(bp.METHODS)
    with measure.clocks() as seconds:
        records = run()
    assert {phase: len(spent) for phase, spent in seconds.items()} == {
        "design": 3,
        "estimator": 2,
    }  # shared draws
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


def test_the_clock_counts_children_and_the_rates_are_those_of_work():
    start = measure.clock()
    subprocess.run([sys.executable, "-c", "sum(range(10**7))"], check=True)
    assert measure.clock() - start > 0.02
    rates = measure.rates(64, 1)
    assert set(rates) == {"float64", "float32", "copy"} and min(rates.values()) > 0
    assert measure.device_name() == measure.machine()["device"] == measure.machine()["cpu"]


def test_working_memory_is_what_a_function_holds_at_a_time():
    result, held = measure.working_memory(lambda: sum(np.ones(2**20).sum() for _ in range(3)))
    assert result == 3 * 2**20 and 2**23 <= held < 1.1 * 2**23


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


def test_each_device_has_its_tables(monkeypatch):
    assert bench.folder() == ROOT / "book" / "runs" / "bench"
    monkeypatch.setattr(backend, "name", lambda: "cupy")
    monkeypatch.setattr(bench, "device_name", lambda: "NVIDIA H100 80GB HBM3")
    assert bench.folder().name == "bench-nvidia-h100-80gb-hbm3"


def test_without_the_data_it_says_so(capsys, monkeypatch):
    def missing(name):
        raise bp.DataUnavailable("openbookqa is not here")

    monkeypatch.setattr(settings.bp, "load_scores", missing)
    assert bench.main([]) == 1
    assert "openbookqa is not here" in capsys.readouterr().err


def test_every_table_and_column_is_documented(monkeypatch):
    for module in (cases.protocol, cases.large):
        monkeypatch.setattr(module, "in_child", lambda function, *args: (function(*args), 1.0, 2.0))
    monkeypatch.setattr(cases.speed, "installed", lambda name: True)
    monkeypatch.setattr(cases.speed.subprocess, "run", _stored_times)
    text = (ROOT / "book" / "bench" / "README.md").read_text()
    for case in bench.CASES:
        methods = SOME[:2] if case in ("methods", "growth", "protocol") else SOME
        for table, frame in tables(case, methods=methods).items():
            assert f"`{table}.csv`" in text
            assert not [column for column in frame if f"`{column}`" not in text]


def _stored_times(command, check):
    """In place of the suite: the times of one problem."""
    (path,) = (Path(word.split("=")[1]) for word in command if word.startswith("--benchmark-json="))
    problem = cases.problems.PROBLEMS["2PL fit"]
    at = [problem.base | {letter: x} for letter, values in problem.curves.items() for x in values]
    path.write_text(
        json.dumps(
            {
                "benchmarks": [
                    timed("2PL fit", size, "ours", 1.0 * size["M"] * size["N"]) for size in at
                ]
            }
        )
    )
