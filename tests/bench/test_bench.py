"""Every case of the benchmark runs on a tiny matrix and gives a sane table; no time is asserted."""

import json
import sys

import numpy as np
import pandas as pd
import pytest

import benchpred_utils as bp
from benchpred_utils import backend, designs
from book.bench import __main__ as command
from book.bench import against, gpu, measure, settings, tables
from book.bench.cases import CASES, irt, loops, ppi, problems, protocol, speed

SOME = ("random_sampling", "anchor_points_weighted", "aipw", "sequential_stratification")
CLOCKS = ("setup_cpu_s", "trial_cpu_s", "design_cpu_s", "estimator_cpu_s", "total_cpu_s")


def tables_of(case, **changes):
    """The tables of a case on the tiny matrix; each row must have all the columns."""
    rows = {}
    for table, row in CASES[case](settings.tiny(**changes)):
        rows.setdefault(table, []).append(row)
    for some in rows.values():
        assert all(list(row) == list(some[0]) for row in some)
    return {table: pd.DataFrame(some) for table, some in rows.items()}


@pytest.fixture
def in_this_process(monkeypatch):
    """No processes are started, which takes a second each."""

    def here(function, *args, limit=None):
        yield from function(*args)

    monkeypatch.setattr(speed, "from_child", here)
    monkeypatch.setattr(protocol, "in_child", lambda f, *args: (f(*args), 1.0, 2.0))


# --- the cases ------------------------------------------------------------------------------------


def test_the_cost_of_every_method():
    (table,) = tables_of("methods").values()
    assert list(table["method"]) == 2 * list(bp.METHODS)
    assert (table[list(CLOCKS)] >= 0).all(axis=None)
    parts = table[["design_cpu_s", "estimator_cpu_s", "rest_cpu_s"]].sum(axis=1)
    np.testing.assert_allclose(parts, table["trial_cpu_s"])
    total = table["setup_cpu_s"] + 4 * table["trial_cpu_s"]
    np.testing.assert_allclose(table["total_cpu_s"], total)
    assert (table["setup_cpu_s"][table["split"] == "interpolation"] == 0).all()


def test_the_protocol_is_summed(in_this_process):
    (table,) = tables_of("protocol", methods=SOME[:2]).values()
    assert list(table["split"]) == ["interpolation", "extrapolation", "all"]
    assert table["total_cpu_s"].iloc[-1] == pytest.approx(table["total_cpu_s"].iloc[:-1].sum())


def test_what_is_spent_once_is_told_from_what_each_trial_takes():
    first = pd.Series({"total": 5.0})
    some = pd.Series({"total": 14.0})
    once, each = protocol.setup_and_rest(first, some, 10, "extrapolation")
    assert (once["total"], each["total"]) == (4.0, 1.0)
    once, each = protocol.setup_and_rest(first, some, 10, "interpolation")
    assert (once["total"], each["total"]) == (0.0, 1.4)
    assert protocol.of_all(4.0, 1.0, 100) == 4 * 4 + 100  # four tasks of 25 trials learn


def test_the_2pl_fit_and_its_peers():
    (table,) = tables_of("fit_2pl").values()
    assert set(table["peer"]) == {"the same", "py-irt", "girth"}
    assert table["ours_log_loss"].between(0, np.log(2)).all()
    converged = table[table["peer"] == "the same"]
    assert (converged["peer_log_loss"] - converged["ours_log_loss"]).abs().max() < 0.01


def test_the_loops_that_a_user_would_write_give_the_same_estimates():
    (table,) = tables_of("loops").values()
    assert len(table) == 4 * 3
    same = table["method"] != "random_search_learn"
    assert table["largest_difference"][same].max() < 1e-10
    assert table["largest_difference"][~same].isna().all()


def test_the_search_loop_searches(matrix):
    rng = np.random.default_rng(0)
    estimates = loops.random_search_learn(matrix[:20], matrix[20:], 10, rng, 5)
    assert estimates.shape == (10,)
    assert np.abs(estimates - matrix[20:].mean(axis=1)).mean() < 0.2


def test_prediction_powered_inference_on_the_same_draws():
    (table,) = tables_of("ppi").values()
    assert table["method"][0] == "aipw_cross_fitted" and len(table) == 3
    there = table[table["note"] != "not installed"]
    assert there["coverage"].between(0, 1).all()
    assert there["gap_points"].between(0, 40).all()


def test_growth_has_an_exponent_for_each_variable():
    found = tables_of("growth", methods=("aipw", "k_center_greedy"))
    assert list(found["growth"]["variable"]) == 2 * ["M", "N", "n", "trials"]
    assert len(found["growth_points"]) == 2 * 4 * 3
    assert (found["growth"]["low"] < found["growth"]["exponent"]).all()
    assert set(found["growth_points"]["N"]) == {40, 60, 80}


@pytest.mark.parametrize("peer", ["py-irt", "girth", "ppi-python"])
def test_a_peer_that_is_not_there_is_shown_as_such(peer, monkeypatch):
    for module in (irt, ppi):
        monkeypatch.setattr(module, "installed", lambda name: False)
    (table,) = tables_of("ppi" if peer == "ppi-python" else "fit_2pl").values()
    names = table["method" if peer == "ppi-python" else "peer"]
    rows = table[names.str.startswith(peer)]
    assert len(rows) and (rows["note"] == "not installed").all()
    assert rows["ratio"].isna().all()


# --- against peers and floors ---------------------------------------------------------------------


def work(name):
    problem = problems.PROBLEMS[name]
    return problem.work(problem.tiny)


def test_every_problem_has_times_and_a_floor(in_this_process, monkeypatch):
    monkeypatch.setattr(speed, "SHORT", 0.0)
    monkeypatch.delitem(problems.PROBLEMS, "import benchpred_utils")  # a dozen processes
    (table,) = tables_of("speed").values()  # a tiny run has no curves
    assert list(table["case"].unique()) == list(problems.PROBLEMS)
    assert set(table["subject"]) == {"ours", "peer", "solve", "floor"}
    assert (table["seconds"] > 0).all() and (table["ratio"][table["subject"] == "ours"] == 1).all()
    assert table["matrix_mib"].notna().sum() == len(problems.PROBLEMS)


def test_the_floor_is_the_longer_of_two_times_and_the_solve():
    at_best = {"operations": 1e9, "bytes": 1e9}
    last = {"subject": "solve", "what": "solve", "seconds": 2.0}
    found = problems.Work(None, operations=4e9, bytes=lambda: 1e9)
    (row,) = speed.floor(found, at_best, last)
    assert (row["seconds"], row["what"]) == (6.0, "operations + solve")
    (row,) = speed.floor(found._replace(bytes=7e9), at_best, {"subject": "peer"})
    assert (row["seconds"], row["what"]) == (7.0, "bytes")
    assert speed.floor(problems.Work(None), at_best, {"subject": "peer"}) == []


def test_ours_and_the_peer_estimate_the_same():
    scores = settings.rasch(15, 40, np.random.default_rng(0))
    found = work("AIPW cross-fitted, many core sets")
    core = designs.uniform_core_sets(40, 10, 3, np.random.default_rng(1))
    loop = [problems.cross_fitted_loop(scores[3:], scores[:3], items) for items in core]
    np.testing.assert_allclose(found.ours().value, loop, rtol=1e-9)
    np.testing.assert_allclose(found.peer(), loop)
    found = work("similarity of models")
    np.testing.assert_allclose(found.ours()[:1], found.peer(), atol=1e-12)


def test_ours_and_the_peer_simulate_and_choose_alike():
    found = work("root-n simulation")
    value = found.ours().value[:, 0]
    peer = found.peer()["value"]
    spread = peer.std() / np.sqrt(15)
    assert len(value) == len(peer) == 30
    assert abs(value.mean() - peer.mean()) < 5 * spread
    parts = np.concatenate([part.value for part in found.cores()])
    assert parts.shape == (30, 1) and abs(parts.mean() - value.mean()) < 5 * spread
    source = settings.rasch(12, 40, np.random.default_rng(0))

    def radius(core):
        distances = np.square(source[:, :, None] - source[:, None, core]).sum(axis=0)
        return distances.min(axis=1).max()

    found = work("k-center")
    assert 1 / 4 <= radius(found.ours()) / radius(found.peer()) <= 4


def test_the_sizes_have_the_base_first_and_the_peer_along_one_variable():
    sizes = problems.sizes("2PL fit")
    assert sizes[0] == ({"M": 100, "N": 1_000}, True)
    assert {size["M"] for size, with_peer in sizes if with_peer} == {50, 100, 200, 400}
    assert not any(with_peer for size, with_peer in sizes if size["N"] > 1_000)
    sizes = problems.sizes("k-center", on_device=True)
    assert sizes[1] == (problems.LARGE, False)


def test_growth_of_the_core_is_found():
    problem = problems.PROBLEMS["2PL fit"]
    seconds = {}
    for letter, values in problem.curves.items():
        for value in values:
            size = problem.base | {letter: value}
            seconds["2PL fit", problems.label(size)] = 1e-6 * size["M"] * size["N"] ** 0.5
    rows = {row["variable"]: row["exponent"] for row in speed.growth(seconds)}
    assert rows == {"M": pytest.approx(1), "N": pytest.approx(0.5)}


def test_a_problem_that_takes_too_long_is_stopped_and_keeps_its_rows(monkeypatch, capsys):
    def stopped(function, case, *args, limit):
        row = {"case": case, "size": "", "subject": "ours", "seconds": 1.0}
        yield row
        raise TimeoutError(f"stopped after {limit} seconds")

    monkeypatch.setattr(speed, "from_child", stopped)
    (table,) = tables_of("speed", limit=7).values()
    assert list(table["case"]) == list(problems.PROBLEMS)
    assert "2PL fit: stopped after 7 seconds" in capsys.readouterr().err


# --- against an earlier commit --------------------------------------------------------------------


def test_this_commit_is_compared_with_itself():
    rows = list(against.against("HEAD", settings.tiny(), "random_sampling, n=50 T=1"))
    (table, row), *_ = rows
    assert table == "against" and (row["case"], row["then"]) == ("random_sampling", "HEAD")
    assert row["now_over_then"] > 0


def test_an_unknown_commit_is_refused(capsys):
    assert command.main(["--tiny", "--against", "no-such-commit"]) == 1
    assert "no-such-commit" in capsys.readouterr().err


# --- on a GPU -------------------------------------------------------------------------------------


def test_the_suite_for_a_gpu_refuses_to_run_without_one(monkeypatch, capsys):
    monkeypatch.setattr(backend, "_cupy", lambda: None)
    monkeypatch.setenv("BENCHPRED_BACKEND", "")
    monkeypatch.setattr(gpu, "tests", lambda: pytest.fail("nothing runs before it is refused"))
    assert command.main(["--gpu"]) == 1
    said = capsys.readouterr().err
    assert "no GPU answers" in said and "BENCHPRED_BACKEND=numpy shows" in said


@pytest.mark.parametrize(("passed", "failed", "code"), [(3, 0, 0), (3, 1, 1), (0, 0, 1)])
def test_the_suite_can_be_seen_on_the_host(passed, failed, code, monkeypatch, tmp_path):
    tested = {"passed": passed, "failed": failed, "skipped": 0}
    monkeypatch.setenv("BENCHPRED_BACKEND", "numpy")
    monkeypatch.setattr(gpu, "tests", lambda: tested)
    rows = [("speed", {"case": "k-center", "seconds": 1.0})]
    monkeypatch.setitem(gpu.CASES, "speed", lambda chosen: iter(rows))
    assert command.main(["--gpu", "--tiny", "--out", str(tmp_path)]) == code
    about = json.loads((tmp_path / "machine.json").read_text())
    assert about["suite"]["tests"] == tested
    assert about["speed"]["date"] and about["speed"]["device"]


def test_the_suite_holds_its_time():
    on_device = [name for name, problem in problems.PROBLEMS.items() if not problem.is_of_host]
    assert gpu.longest() == gpu.TESTS + len(on_device) * gpu.EACH < gpu.WHOLE - 60


def test_each_device_has_its_tables():
    assert gpu.folder_name("NVIDIA H100 80GB HBM3") == "bench-nvidia-h100-80gb-hbm3"


# --- how it is measured ---------------------------------------------------------------------------


def test_clocks_count_calls_and_leave_the_records_as_they_were(matrix):
    two = ["aipw", "aipw_cross_fitted", "sequential_stratification"]

    def run():
        return bp.run_experiment(bp.Scores(matrix), two, "extrapolation", 10, 3, progress=False)

    before = dict(bp.METHODS)
    with measure.clocks() as seconds:
        records = run()
    assert {phase: len(spent) for phase, spent in seconds.items()} == {
        "learn": 2,
        "draw": 3 + 1 + 10,  # the two share their draws; a start and ten rounds
        "estimate": 3,
    }
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

    def seconds(name):
        calls.append(name)
        return {"ours": 1.0, "peer": 3.0}[name], None

    monkeypatch.setattr(measure, "cpu_seconds", seconds)
    found = measure.ratios(measure.compare("ours", "peer", 3, 1.0, 0.1))
    assert calls == ["ours", "peer"] * 3
    assert found["ratio"] == pytest.approx(30) and found["peer_cpu_s"] == pytest.approx(30)


def test_the_rates_are_those_of_work():
    found = measure.rates(measure.cpu_clock, 64, 1)
    assert set(found) == {"operations", "bytes"} and min(found.values()) > 0


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


def test_a_child_that_takes_too_long_is_stopped():
    with pytest.raises(TimeoutError, match="0.1 seconds"):
        list(measure.from_child(_fill, 1, limit=0.1))  # it takes longer to start


# --- the command ----------------------------------------------------------------------------------


def test_tables_and_machine_are_written(tmp_path, capsys):
    assert command.main(["--tiny", "--only", "ppi", "--out", str(tmp_path)]) == 0
    assert len(pd.read_csv(tmp_path / "ppi.csv")) == 3
    about = json.loads((tmp_path / "machine.json").read_text())["ppi"]
    assert about["commit"] and about["cores"] >= 1 and about["threads"] == 1
    assert "aipw_cross_fitted" in capsys.readouterr().out
    command.main(["--tiny", "--only", "fit_2pl", "--out", str(tmp_path)])
    assert set(json.loads((tmp_path / "machine.json").read_text())) == {"ppi", "fit_2pl"}


def test_stopped_in_the_middle_the_last_tables_stay_whole(tmp_path, capsys, monkeypatch):
    def stopped(settings):
        yield "ppi", {"method": "aipw"}
        raise KeyboardInterrupt

    (tmp_path / "ppi.csv").write_text("as it was")
    monkeypatch.setitem(CASES, "ppi", stopped)
    assert command.main(["--tiny", "--only", "ppi", "--out", str(tmp_path)]) == 130
    assert [path.name for path in tmp_path.iterdir()] == ["ppi.csv"]
    assert (tmp_path / "ppi.csv").read_text() == "as it was"
    assert "Stopped" in capsys.readouterr().err


def test_without_the_data_it_says_so(capsys, monkeypatch):
    def missing(name):
        raise bp.DataUnavailable("openbookqa is not here")

    monkeypatch.setattr(settings.bp, "load_scores", missing)
    assert command.main([]) == 1
    assert "openbookqa is not here" in capsys.readouterr().err


def test_every_table_and_column_is_documented(in_this_process, monkeypatch):
    text = (tables.RUNS.parent / "bench" / "README.md").read_text()
    monkeypatch.setattr(speed, "from_child", lambda *args, limit: iter([]))
    found = {}
    for case in CASES:
        found |= tables_of(case, methods=SOME[:1])
    found["speed"] = pd.read_csv(tables.RUNS / "bench" / "speed.csv")
    found["speed_growth"] = pd.read_csv(tables.RUNS / "bench" / "speed_growth.csv")
    found["against"] = pd.read_csv(tables.RUNS / "bench" / "against.csv")
    for table, frame in found.items():
        assert f"`{table}.csv`" in text
        assert not [column for column in frame if f"`{column}`" not in text]
