import json
import runpy
import time

import joblib
import numpy as np
import pandas as pd
import pytest
from benchpred_book import code, protocols, rivals, runs
from benchpred_book.build.__main__ import main
from benchpred_book.protocols import Experiment

import benchpred_utils as bp
from benchpred_utils import data, summary

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


def make(**options):
    return runs.make("tiny", n_jobs=1, **options)


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
    assert made.gap[:3].tolist() == pytest.approx(expected.gap.tolist(), rel=1e-5)
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
        two = runs.make("tiny", anew=True, n_jobs=2)["summary"]
    pd.testing.assert_frame_equal(one, two)


@pytest.mark.parametrize("what", ["settings", "code", "data", "tables", "interrupted"])
def test_a_run_that_does_not_belong_is_refused(tiny, monkeypatch, what):
    make()
    if what == "settings":
        monkeypatch.setitem(runs.RUNS, "tiny", (TINY[:1], ("digits_zoo",)))
    elif what == "code":
        monkeypatch.setattr(runs.code, "key", lambda definitions: "another")
    elif what == "data":
        monkeypatch.setitem(runs.RUNS, "tiny", (TINY, ("gsm8k",)))
    elif what == "tables":
        path = tiny / "summary.csv"
        path.write_text(path.read_text().replace("aipw", "pca"))
    else:
        (tiny / "run.json").unlink()
    part = {
        "interrupted": "never made",
        "tables": "tables are not",
        "settings": r"its settings changed \(1 of 1 experiments\)",
        "code": r"its code changed \(2 of 2 experiments\)",
        "data": "its data changed",
    }[what]
    with pytest.raises(runs.StaleRun, match=f"run 'tiny' can't be used: .*{part}.*make runs"):
        runs.load("tiny")


def test_an_interrupted_run_leaves_the_stored_one(tiny, monkeypatch):
    make()
    before = {path.name: path.read_bytes() for path in tiny.iterdir()}
    monkeypatch.setattr(
        runs, "_tables", lambda experiment: (_ for _ in ()).throw(KeyboardInterrupt)
    )
    with pytest.raises(KeyboardInterrupt):
        make(anew=True)
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
        ValueError,
        match="no run 'all'; there are protocol, mmlu_math, frontier, coverage, newest,",
    ):
        runs.load("all")


# What is computed again


@pytest.fixture
def texts(tiny):
    """The stored tables, letter by letter, without the times."""

    def texts():
        found = {path.name: path.read_text() for path in tiny.glob("*.csv")}
        found["costs.csv"] = [line.rpartition(",")[0] for line in found["costs.csv"].splitlines()]
        return found

    return texts


@pytest.fixture
def computed(monkeypatch):
    """The experiments that were computed, in a list."""
    found = []
    compute = runs._tables

    def noting(experiment):
        found.append(experiment)
        return compute(experiment)

    monkeypatch.setattr(runs, "_tables", noting)
    return found


FOUR = (
    *TINY,
    Experiment("tiny", "interpolation", 50, ("k_center_greedy", "sequential_stratification"), 4),
    Experiment("tiny", "extrapolation", 0.2, CHEAP, 4),
)


def changed(definition):
    """code.key as it would be if a definition changed."""
    key = code.key

    def changed_key(definitions):
        return "another" if definition in definitions else key(definitions)

    return changed_key


@pytest.mark.parametrize(
    ("module", "name", "stale"),
    [
        ("sequential", "SequentialStratification", [2]),
        ("methods", "METHODS[aipw]", [0, 3]),
        ("estimators", "core_mean", [1, 2]),
        ("summary", "summarise", [0, 1, 2, 3]),
        ("summary", "_half_width", [0, 1, 2, 3]),
        ("designs", "uniform", [0, 1, 2, 3]),  # of random_sampling, with which all are compared
        ("methods", "METHODS[lasso]", []),
        ("similarity", "model_similarity", []),
    ],
)
def test_only_experiments_with_changed_code_are_computed(
    tiny, texts, computed, monkeypatch, module, name, stale
):
    monkeypatch.setitem(runs.RUNS, "tiny", (FOUR, ("digits_zoo",)))
    make()
    before = texts()
    computed.clear()
    monkeypatch.setattr(runs.code, "key", changed((f"benchpred_utils.{module}", name)))
    reason = f"its code changed ({len(stale)} of 4 experiments)"
    assert runs.state("tiny") == ([reason] if stale else [])
    make()
    assert sorted(computed, key=FOUR.index) == [FOUR[i] for i in stale]
    assert texts() == before and runs.state("tiny") == []


def test_rows_that_are_kept_and_new_ones_are_those_of_a_run_computed_anew(
    tiny, texts, computed, monkeypatch
):
    make()
    assert computed == list(TINY)
    other = (FOUR[3], TINY[0], FOUR[2], Experiment("tiny", "extrapolation", 0.2, ("pca",), 3))
    monkeypatch.setitem(runs.RUNS, "tiny", (other, ("digits_zoo",)))
    assert runs.state("tiny") == ["its settings changed (3 of 4 experiments)"]
    computed.clear()
    make()
    assert TINY[0] not in computed and len(computed) == 3
    together = texts()
    make(anew=True)
    assert len(computed) == 7 and texts() == together


def test_what_is_kept_is_kept_letter_by_letter(tiny, texts, computed, monkeypatch):
    """Also numbers that no table of ours would write, and names that look like a missing value."""
    missing = {"NA", "N/A", "NULL", "NaN", "None", "nan", "null"}
    names = [*sorted(missing), "1e3", "007", ' "a, b"', *map(str, range(20))]
    scores = protocols.SCORES["tiny"]().values
    monkeypatch.setitem(
        protocols.SCORES, "tiny", lambda: bp.Scores(scores, models=names, name="tiny")
    )
    make()
    table = tiny / "summary.csv"
    head, row, *rows = table.read_text().split("\n")
    cells = row.split(",")
    cells[6:9] = ["0.100", "1.00000000000000012345", ""]
    table.write_text("\n".join([head, ",".join(cells), *rows]))
    models = pd.read_csv(tiny / "models.csv", dtype=str, keep_default_na=False)["model"]
    assert set(models) <= set(names) and missing & set(models)
    about = json.loads((tiny / "run.json").read_text())
    about["tables"] = runs._hashes("tiny")
    (tiny / "run.json").write_text(json.dumps(about))
    before = texts()
    monkeypatch.setitem(runs.RUNS, "tiny", ((*TINY, FOUR[2]), ("digits_zoo",)))
    computed.clear()
    make()
    assert computed == [FOUR[2]]
    for name in ("summary.csv", "models.csv"):
        kept = before[name].splitlines()
        assert texts()[name].splitlines()[: len(kept)] == kept


@pytest.mark.parametrize("what", ["data", "tables", "form"])
def test_nothing_is_kept_of_a_run_whose_data_or_tables_are_others(
    tiny, computed, monkeypatch, what
):
    make()
    about = json.loads((tiny / "run.json").read_text())
    if what == "form":
        del about["key"]["experiments"]
    else:
        (about["key"]["data"] if what == "data" else about["tables"])["models.csv"] = "another"
    (tiny / "run.json").write_text(json.dumps(about))
    computed.clear()
    make()
    assert len(computed) == 2 and runs.state("tiny") == []


def test_the_command_computes_what_is_stale_or_with_all_everything(tiny, monkeypatch):
    made = []
    monkeypatch.setattr(runs, "make", lambda name, anew: made.append((name, anew)))
    assert main(["runs", "tiny"]) == 0 and made == [("tiny", False)]
    monkeypatch.setattr(runs, "state", lambda name: [])
    assert main(["runs", "tiny"]) == 0 and len(made) == 1
    assert main(["runs", "--all", "tiny"]) == 0 and made[1:] == [("tiny", True)]


def test_a_new_method_is_an_experiment_of_its_own_and_makes_no_other_stale(monkeypatch):
    compared = ("protocol", "mmlu_math")  # the runs of every method
    before = {name: set(map(runs._settings, run[0])) for name, run in runs.RUNS.items()}
    monkeypatch.setitem(bp.METHODS, "new", bp.METHODS["lasso"])
    for name, (experiments, _) in runpy.run_path(protocols.__file__)["RUNS"].items():
        added = [e for e in experiments if runs._settings(e) not in before[name]]
        assert len(experiments) - len(added) == len(before[name])
        assert {e.methods for e in added} == ({("new",)} if name in compared else set())


def test_every_method_is_in_the_runs():
    methods = [method for group in protocols.GROUPS for method in group]
    assert sorted(methods) == sorted(bp.METHODS)
    for experiments, _ in runs.RUNS.values():
        rows = [(e.scores, e.split, e.budget, method) for e in experiments for method in e.methods]
        assert len(set(rows)) == len(rows)  # by which kept rows are found
        methods = {method for experiment in experiments for method in experiment.methods}
        known = {*protocols.COMPARED, *protocols.CHEAP, *rivals.RIVALS}
        assert methods == set(bp.METHODS) or methods <= known


@pytest.mark.data
def test_no_run_of_a_target_is_among_its_sources(load):
    load("swe_bench_bash_only")
    load("swe_bench_verified")
    model = data.model_table("swe_bench_bash_only")["same_model"]
    sources = {kind: protocols.new_models(kind)[0] for kind in protocols.NEW_MODELS}
    target = protocols.new_models("with_twins")[1]
    assert target.n_models == 12 and (target.costs.sum(axis=1) > 20).all()
    twins = set(sources["with_twins"].models) - set(sources["without_twins"].models)
    assert {kind: scores.n_models for kind, scores in sources.items()} == {
        "without_twins": 21, "with_twins": 27, "without_others": 21, "with_older": 155,
    }  # fmt: skip
    assert len(twins) == 6 and set(model[list(twins)]) <= set(model[target.models])
    assert not set(model[sources["without_twins"].models]) & set(model[target.models])
    others = set(sources["with_twins"].models) - set(sources["without_others"].models)
    assert len(others) == 6 and not others & twins
    whole = sources["with_twins"]
    strength = [
        whole.accuracy[np.isin(whole.models, list(part))].mean() for part in (others, twins)
    ]
    assert abs(strength[0] - strength[1]) < 0.03
    older = sources["with_older"].select(models=np.arange(134))
    assert np.array_equal(older.values, load("swe_bench_verified").values)


# The stored runs


@pytest.mark.parametrize("name", list(runs.RUNS))
def test_the_stored_run_belongs_to_this_code(name):
    assert runs.state(name) == []
    experiments, _ = runs.RUNS[name]
    rows = runs.load(name)["summary"]
    assert len(rows) == sum(len(experiment.methods) for experiment in experiments)


@pytest.mark.data
@pytest.mark.ci
@pytest.mark.parametrize("name", list(runs.RUNS))
def test_a_random_sample_of_the_stored_rows_comes_out_again(name, load):
    """Other rows each day; a tie may fall otherwise: a tenth of the Monte Carlo error is free."""
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
        if {"ppi_mean", "ppi_ridge"} & {*experiment.methods}:
            pytest.importorskip("ppi_py")
        with rivals.among_methods():
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
