import json
import time

import joblib
import numpy as np
import pandas as pd
import pytest

import benchpred_utils as bp
from benchpred_book import code, protocols, runs
from benchpred_book.protocols import Experiment
from benchpred_utils import summary

CHEAP = ("random_sampling", "random_sampling_learn", "aipw")
TINY = (
    Experiment("tiny", "interpolation", 50, CHEAP, 6),
    Experiment("tiny", "extrapolation", 0.2, ("k_center_greedy",), 4),
)


@pytest.fixture
def tiny(monkeypatch, tmp_path, matrix):
    """A run of two experiments on simulated scores, kept in a folder of its own."""
    monkeypatch.setitem(protocols.SCORES, "tiny", lambda: bp.Scores(matrix, name="tiny"))
    monkeypatch.setitem(runs.RUNS, "tiny", (TINY, ("digits_zoo",)))
    monkeypatch.setenv("BENCHPRED_RUNS", str(tmp_path))
    return tmp_path / "tiny"


def make():
    return runs.make("tiny", n_jobs=1)


def test_what_is_made_is_what_is_loaded(tiny):
    assert runs.state("tiny") == ["it was never made"]
    made, loaded = make(), runs.load("tiny")
    assert set(loaded) == {"summary", "changes", "models", "costs"}
    for name, table in made.items():
        pd.testing.assert_frame_equal(
            loaded[name], table.reset_index(drop=True), check_dtype=False, rtol=1e-5
        )
    assert not list(tiny.glob("*.partial"))


def test_the_tables_are_those_of_the_records(tiny):
    tables = make()
    found = protocols.records(TINY[0])
    expected = summary.summarise(found)
    made = tables["summary"]
    assert made.method.tolist() == [
        *CHEAP,
        "k_center_greedy",
    ]  # random_sampling's row is not repeated
    assert made.gap[:3].tolist() == pytest.approx(expected.gap.tolist())
    assert set(zip(made.asked, made.budget)) == {(50, 50), (0.2, 12)}
    assert set(tables["models"].asked) == {50} and len(tables["models"]) == len(
        summary.per_model(found)
    )
    changes = tables["changes"].set_index("method")
    assert set(changes.index) == {*CHEAP, "k_center_greedy"} - {"random_sampling"}
    assert changes.p_holm["k_center_greedy"] == changes.p["k_center_greedy"]  # a family of its own
    assert (
        changes.p_holm[["random_sampling_learn", "aipw"]]
        >= changes.p[["random_sampling_learn", "aipw"]]
    ).all()
    assert changes.p_holm.min() == pytest.approx(
        min(1, changes.p.min() * (1 + (changes.p.idxmin() != "k_center_greedy")))
    )


def test_the_number_of_workers_changes_nothing(tiny):
    one = make()["summary"]
    with joblib.parallel_config("threading"):
        two = runs.make("tiny", n_jobs=2)["summary"]
    pd.testing.assert_frame_equal(one, two)


@pytest.mark.parametrize("what", ["settings", "code", "data", "tables", "interrupted"])
def test_a_run_that_does_not_belong_is_refused(tiny, monkeypatch, what):
    make()
    if what == "settings":
        monkeypatch.setitem(runs.RUNS, "tiny", (TINY[:1], ("digits_zoo",)))
    elif what == "code":
        monkeypatch.setattr(runs.code, "key", lambda modules: "another")
    elif what == "data":
        monkeypatch.setitem(runs.RUNS, "tiny", (TINY, ("gsm8k",)))
    elif what == "tables":
        path = tiny / "summary.csv"
        path.write_text(path.read_text().replace("aipw", "pca"))
    else:
        (tiny / "run.json").unlink()
    part = (
        "never made"
        if what == "interrupted"
        else "tables are not"
        if what == "tables"
        else f"its {what} changed"
    )
    with pytest.raises(runs.StaleRun, match=f"run 'tiny' can't be used: .*{part}.*make runs"):
        runs.load("tiny")


def test_an_interrupted_run_leaves_the_stored_one(tiny, monkeypatch):
    make()
    before = {path.name: path.read_bytes() for path in tiny.iterdir()}
    monkeypatch.setattr(
        runs, "_tables", lambda experiment: (_ for _ in ()).throw(KeyboardInterrupt)
    )
    with pytest.raises(KeyboardInterrupt):
        make()
    assert {path.name: path.read_bytes() for path in tiny.iterdir()} == before


def test_without_its_data_nothing_is_computed(tiny, monkeypatch):
    def missing(name):
        raise bp.DataUnavailable(name)

    monkeypatch.setattr(bp.data, "fetch", missing)
    monkeypatch.setattr(runs, "_tables", lambda experiment: pytest.fail("it computed"))
    with pytest.raises(bp.DataUnavailable):
        make()


def test_measured_tables_need_no_key(tiny):
    with pytest.raises(runs.StaleRun, match="'bench' can't be used: it was never made.*make bench"):
        runs.load("bench")
    (tiny.parent / "bench").mkdir()
    (tiny.parent / "bench" / "loops.csv").write_text("ratio\n2.0\n")
    assert runs.load("bench")["loops"].ratio[0] == 2.0


def test_an_unknown_run_is_named():
    with pytest.raises(
        ValueError, match="no run 'all'; there are protocol, mmlu_math, frontier, coverage, newest"
    ):
        runs.load("all")


def test_the_code_of_a_run_is_what_its_experiments_import():
    needed = set(code.reached(modules=["benchpred_book.protocols", "benchpred_utils.summary"]))
    statistics = ("experiments", "estimators", "irt", "optimised", "data", "backend")
    assert {f"benchpred_utils.{name}" for name in statistics} <= needed
    others = {"benchpred_book.charts", "benchpred_book.runs", "benchpred_utils.similarity"}
    assert not others & needed


def test_every_method_is_in_the_runs():
    methods = [method for group in protocols.GROUPS for method in group]
    assert sorted(methods) == sorted(bp.METHODS)
    for experiments, _ in runs.RUNS.values():
        assert len(set(experiments)) == len(experiments)
        methods = {method for experiment in experiments for method in experiment.methods}
        assert methods == set(bp.METHODS) or methods <= set(protocols.COMPARED)


# --- the stored runs --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(runs.RUNS))
def test_the_stored_run_belongs_to_this_code(name):
    assert runs.state(name) == []
    experiments, _ = runs.RUNS[name]
    rows = runs.load(name)["summary"]
    assert len(rows) == sum(len(experiment.methods) for experiment in experiments)
    made = json.loads((runs.folder(name) / "run.json").read_text())["made"]
    assert made["worker_peak_mib"] < 2048


@pytest.mark.data
@pytest.mark.ci
@pytest.mark.parametrize("name", list(runs.RUNS))
def test_a_random_sample_of_the_stored_rows_comes_out_again(name, load):
    """Other rows each day.  On another processor a tie may fall otherwise: a tenth of the Monte Carlo error is allowed."""
    experiments, datasets = runs.RUNS[name]
    for dataset in datasets:
        load(dataset)
    seed = int(time.time() // 86400)
    stored = (
        runs.load(name)["summary"].set_index(["benchmark", "split", "asked", "method"]).sort_index()
    )
    for i in np.random.default_rng(seed).choice(
        len(experiments), max(1, 600 // experiments[0].trials), replace=False
    ):
        experiment = experiments[i]
        again = summary.summarise(protocols.records(experiment)).set_index("method")
        for method in experiment.methods:
            row = stored.loc[experiment.scores, experiment.split, experiment.budget, method]
            tolerance = 1e-5 + 0.05 * (row.gap_high - row.gap_low)
            assert again.gap[method] == pytest.approx(row.gap, abs=tolerance), (
                seed,
                experiment,
                method,
            )
            assert again.bias[method] == pytest.approx(row.bias, abs=tolerance), (
                seed,
                experiment,
                method,
            )
