"""Experiments: the same records whatever runs them, honest draws, splits, published figures."""

import joblib
import numpy as np
import pandas as pd
import pytest
from cases import ALL, with_gaps

import benchpred_utils as bp
from benchpred_utils import experiments, methods, sequential

COLUMNS = "benchmark method split budget trial model truth estimate lower upper".split()


@pytest.fixture(scope="module")
def scores(matrix):
    return bp.Scores(matrix, dates=np.arange(30)[::-1], name="toy")


def run(*args, **options):
    return bp.run_experiment(*args, progress=False, **options)


def test_the_records_are_tidy_and_say_the_truth(scores):
    records = run(scores, ALL, "extrapolation", 10, 3)
    assert list(records.columns) == COLUMNS
    assert len(records) == len(ALL) * 3 * 9
    assert not records.drop(columns=["lower", "upper"]).isna().any(axis=None)
    truth = dict(zip(scores.models, scores.accuracy))
    assert (records.truth == records.model.map(truth)).all()
    assert not records.duplicated(["method", "trial", "model"]).any()
    assert list(records.method.unique()) == ALL
    has_interval = records.dropna().method.unique()
    assert set(has_interval) == {"random_sampling", *bp.OWN_METHODS} - {"imputation"}


# --- the same records, whatever the workers -------------------------------------------------------


@pytest.fixture
def check_parallel(scores, monkeypatch):
    """Compares two workers' records with those of one, on a fixed and a random split."""
    monkeypatch.setattr(experiments, "CHUNK", 2)  # so that few trials are several tasks

    def check(backend):
        for split in ("extrapolation", "interpolation"):
            alone = run(scores, ALL, split, 10, 3, seed=5)
            with joblib.parallel_config(backend=backend):
                found = run(scores, ALL, split, 10, 3, seed=5, n_jobs=2)
            pd.testing.assert_frame_equal(found, alone, check_exact=True)

    return check


def test_processes_of_this_machine_give_the_same_records(check_parallel):
    check_parallel("loky")


@pytest.mark.ci
def test_a_dask_cluster_gives_the_same_records(check_parallel):
    """Two processes of two threads: what users rely on who outgrow one machine."""
    distributed = pytest.importorskip("distributed")
    options = {"n_workers": 2, "threads_per_worker": 2, "dashboard_address": None}
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster):
        check_parallel("dask")


def estimates(scores, chosen=("random_sampling",), **options):
    """Those of random sampling, 4 trials of 9 targets."""
    records = run(scores, chosen, "extrapolation", 10, 4, **options)
    return records.loc[records.method == "random_sampling", "estimate"].to_numpy()


def test_other_seeds_benchmarks_and_trials_draw_anew_and_other_methods_do_not(scores):
    base = estimates(scores)
    assert (base == estimates(scores, ALL[::-1])).all()
    assert (base != estimates(scores, seed=1)).any()
    assert (base != estimates(bp.Scores(scores.values, name="other"))).any()
    assert (base[:9] != base[9:18]).any()


def test_fewer_trials_are_the_first_of_more(scores):
    more = run(scores, ["sequential_stratification"], "extrapolation", 10, 3)
    fewer = run(scores, ["aipw", "sequential_stratification"], "extrapolation", 10, 2)
    same = fewer[fewer.method == "sequential_stratification"]
    expected = more.estimate[more.trial < 2].to_numpy()
    assert same.estimate.to_numpy() == pytest.approx(expected, rel=1e-12)


# --- what a method sees ---------------------------------------------------------------------------


@pytest.fixture
def asked(monkeypatch):
    """The items asked for, (B, r), one after the other."""
    found = []
    ask = sequential.Rounds.ask

    def spy(rounds, items):
        found.append(items)
        return ask(rounds, items)

    monkeypatch.setattr(sequential.Rounds, "ask", spy)
    return found


def one_trial(source, target, name):
    return run(source=source, target=target, methods=[name], budget=12, trials=1)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("split", bp.SPLITS)
def test_no_method_looks_at_what_it_did_not_ask_for(name, split, scores, rng, asked):
    """The poison test: all other scores of the targets are turned round, and no bit moves."""
    source, target = bp.split_models(scores, split, rng)
    clean = one_trial(source, target, name).drop(columns="truth")
    items = np.concatenate(asked, axis=1)
    assert items.shape == (target.n_models, 12)
    kept = np.zeros(target.values.shape, dtype=bool)
    np.put_along_axis(kept, items, True, axis=1)
    poisoned = bp.Scores(np.where(kept, target.values, 1 - target.values), target.models)
    dirty = one_trial(source, poisoned, name).drop(columns="truth")
    pd.testing.assert_frame_equal(clean, dirty, check_exact=True)


def test_the_poison_test_can_fail(scores, rng, asked):
    """Negative control: one score that was asked for is turned round too."""
    source, target = bp.split_models(scores, "extrapolation")
    clean = one_trial(source, target, "aipw")
    poisoned = target.values.copy()
    poisoned[0, asked[0][0, 0]] = 1 - poisoned[0, asked[0][0, 0]]
    dirty = one_trial(source, bp.Scores(poisoned, target.models), "aipw")
    assert clean.estimate[0] != dirty.estimate[0]
    assert np.array_equal(clean.estimate[1:], dirty.estimate[1:])


DISHONEST = [
    range(60),
    [0] * 10,
    range(9),
    [*range(9), 60],
    [*range(9), 75],
    [-1, *range(9)],
    [-5, *range(9)],
    np.arange(10.0),
]


@pytest.mark.parametrize("core", DISHONEST)
def test_a_draw_of_other_items_than_it_pays_for_is_stopped(core, scores, monkeypatch):
    """All items, one item ten times, too few, items that are not there, no whole numbers."""

    def design(source, n, rng):
        return np.array(core)

    greedy = methods.Method(
        label="greedy",
        family=methods.RANDOM,
        bias="none",
        stream="greedy",
        learn=methods.the_matrix,
        draw=methods.drawn_by(design),
        estimate=methods.estimated_by(bp.estimators.core_mean),
    )
    monkeypatch.setitem(bp.METHODS, "greedy", greedy)
    with pytest.raises(ValueError, match="the draw of greedy must give 10 distinct items of 60"):
        run(scores, ["greedy"], budget=10, trials=2)


# --- splits ---------------------------------------------------------------------------------------


def test_extrapolation_takes_the_lowest_half_and_the_highest_three_tenths(scores):
    source, target = bp.split_models(scores, "extrapolation")
    assert (source.n_models, target.n_models) == (15, 9)
    assert source.accuracy.max() <= target.accuracy.min()
    assert sorted(scores.accuracy)[:15] == sorted(source.accuracy)


def test_interpolation_takes_a_random_quarter(scores, rng):
    source, target = bp.split_models(scores, "interpolation", rng)
    assert (source.n_models, target.n_models) == (23, 7)
    assert set(source.models) | set(target.models) == set(scores.models)
    assert set(target.models) != set(bp.split_models(scores, "interpolation", rng)[1].models)


def test_chronological_takes_the_first_half_and_the_last_three_tenths(scores):
    source, target = bp.split_models(scores, "chronological")  # the rows' dates run backwards
    assert set(source.models) == set(scores.models[15:])
    assert set(target.models) == set(scores.models[:9])
    dates = [f"20{20 + i // 12:02d}-{1 + i % 12:02d}-01" for i in range(30)]
    by_date = bp.Scores(scores.values, models=scores.models, dates=dates)
    assert set(bp.split_models(by_date, "chronological")[1].models) == set(scores.models[21:])


def test_models_that_are_never_right_are_left_out(matrix):
    scores = bp.Scores(np.vstack([np.zeros((6, 60)), matrix]))
    source, target = bp.split_models(scores, "extrapolation")
    assert (source.n_models, target.n_models) == (15, 9)
    assert source.accuracy.min() > 0


def test_splits_that_cannot_be_made_are_refused(scores):
    with pytest.raises(ValueError, match="split is 'random'; use one of interpolation"):
        bp.split_models(scores, "random")
    with pytest.raises(ValueError, match="neither dates nor an order of release"):
        bp.split_models(bp.Scores(scores.values), "chronological")
    with pytest.raises(TypeError, match="pass rng"):
        bp.split_models(scores, "interpolation")
    with pytest.raises(ValueError, match="0 models with an accuracy above 0; .* at least 4"):
        bp.split_models(bp.Scores(np.zeros((40, 60))), "extrapolation")
    few = scores.select(models=[0, 1, 2])
    with pytest.raises(ValueError, match="3 models with an accuracy above 0; .* takes at least 4"):
        bp.split_models(few, "extrapolation")


# --- arguments ------------------------------------------------------------------------------------


def test_wrong_arguments_are_refused(scores):
    source, target = bp.split_models(scores, "extrapolation")
    turned = target.select(items=np.arange(59, -1, -1))
    with pytest.raises(ValueError, match=r"no such methods: \['magic'\].*random_sampling"):
        run(scores, ["magic"])
    with pytest.raises(ValueError, match="no such methods: 'aipw'; methods is a list"):
        run(scores, "aipw")
    with pytest.raises(ValueError, match=r"no such methods: \[\]; methods is a list"):
        run(scores, [])
    with pytest.raises(TypeError, match=r"ndarray is given for scores; use Scores\(values\)"):
        run(scores.values, ["aipw"])
    with pytest.raises(TypeError, match="list is given for scores"):
        run(source=source, target=target.values.tolist())
    for budget in (None, True, 1.0, "50", np.nan):
        with pytest.raises(ValueError, match=f"budget is {budget!r}; it must be a whole number"):
            run(scores, ["aipw"], budget=budget)
    with pytest.raises(ValueError, match="either scores"):
        run(scores, source=source, target=target)
    with pytest.raises(ValueError, match="either scores"):
        run(source=source)
    with pytest.raises(ValueError, match="split is 'sideways'"):
        run(scores, split="sideways")
    with pytest.raises(ValueError, match="same items"):
        run(source=source, target=turned, budget=5)
    with pytest.raises(ValueError, match="trials is 0"):
        run(scores, trials=0, budget=5)


def test_a_split_of_ones_own(scores):
    source = scores.select(models=range(20))
    target = scores.select(models=[25])
    records = run(source=source, target=target, methods=ALL, budget=0.5, trials=2)
    assert set(records.split) == {"given"}
    assert set(records.budget) == {30}
    assert set(records.model) == {scores.models[25]}


# --- the published figures ------------------------------------------------------------------------


def test_sources_may_lack_scores_and_targets_may_not(matrix):
    values = with_gaps(matrix[:20])
    source = bp.Scores(values, models=[f"s{i}" for i in range(20)])
    target = bp.Scores(matrix[20:], models=[f"t{i}" for i in range(len(matrix) - 20)])
    records = bp.run_experiment(
        methods=ALL, budget=10, trials=2, source=source, target=target, progress=False
    )
    assert records.estimate.notna().all()
    assert records.truth[: len(target.models)].tolist() == target.accuracy.tolist()
    with pytest.raises(ValueError, match="model s0 is a target.*lacks . of 60"):
        bp.run_experiment(budget=10, trials=2, source=target, target=source, progress=False)
    some = np.array(matrix)
    some[0, 3] = np.nan
    with pytest.raises(
        ValueError, match="model model-00 is a target, .* lacks 1 of 60: item-03; leave out"
    ):
        bp.run_experiment(bp.Scores(some), split="interpolation", budget=10, progress=False)


# The mean estimation gap of the authors' code in points: 100 trials, n = 50, interpolation.
PUBLISHED = {
    "openbookqa": {"random_sampling": 3.41, "aipw": 2.88, "random_sampling_learn": 3.09},
    "gsm8k": {"random_sampling": 4.42, "aipw": 3.80, "random_sampling_learn": 3.95},
}


@pytest.mark.ci
@pytest.mark.data
@pytest.mark.parametrize("name", PUBLISHED)
def test_the_gaps_agree_with_the_published_ones(load, name):
    """Within 3.5 standard errors of the difference: theirs has the error of 100 trials itself."""
    records = run(load(name), list(PUBLISHED[name]), "interpolation", 50, 300)
    gaps = 100 * abs(records.estimate - records.truth)
    by_trial = gaps.groupby([records.method, records.trial]).mean()
    for method, published in PUBLISHED[name].items():
        gap = by_trial[method]
        error = gap.std() * (1 / 300 + 1 / 100) ** 0.5
        assert abs(gap.mean() - published) < 3.5 * error, (method, gap.mean(), published, error)


def test_the_dollars_are_those_of_the_items_drawn_and_steer_nothing(scores):
    """Where each item costs a power of two, a bill tells which items were paid for."""
    source, target = bp.split_models(scores.select(items=np.arange(30)), "extrapolation")
    costs = np.tile(2.0 ** np.arange(30), (target.n_models, 1))
    priced = bp.Scores(target.values, target.models, target.items, costs=costs)
    methods = ["random_sampling", "aipw", "sequential_stratification"]
    settings = dict(methods=methods, budget=8, trials=3, progress=False, source=source)
    free = bp.run_experiment(target=target, **settings)
    found = bp.run_experiment(target=priced, **settings)
    assert "dollars" not in free and found.drop(columns="dollars").equals(free)
    assert {int(bill).bit_count() for bill in found["dollars"]} == {8}
    bills = {name: part["dollars"].to_numpy() for name, part in found.groupby("method")}
    assert np.array_equal(bills["random_sampling"], bills["aipw"])  # the same core sets
    means = bp.summary.per_model(found)["dollars"]
    assert means.mean() == pytest.approx(found["dollars"].mean())
