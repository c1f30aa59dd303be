import joblib
import numpy as np
import pandas as pd
import pytest
from conftest import draw

import benchpred_utils as bp
from benchpred_utils import experiments
from benchpred_utils.estimators import observe

COLUMNS = "benchmark method split budget trial model truth estimate lower upper".split()
ALL = list(bp.METHODS)


@pytest.fixture(scope="module")
def scores(matrix):
    return bp.Scores(matrix, dates=np.arange(30)[::-1], name="toy")


def test_the_records_are_tidy_and_say_the_truth(scores):
    records = bp.run_experiment(scores, ALL, "extrapolation", 10, 3, progress=False)
    assert list(records.columns) == COLUMNS and len(records) == len(ALL) * 3 * 9
    assert not records.drop(columns=["lower", "upper"]).isna().any(axis=None)
    truth = dict(zip(scores.models, scores.accuracy))
    assert (records.truth == records.model.map(truth)).all()
    assert not records.duplicated(["method", "trial", "model"]).any()
    has_interval = records.dropna().method.unique()
    assert set(has_interval) == {"random_sampling", *bp.OWN_METHODS}


@pytest.fixture(scope="module")
def dask():
    """A Dask cluster on this machine: two processes of two threads."""
    distributed = pytest.importorskip("distributed")
    options = {"n_workers": 2, "threads_per_worker": 2, "dashboard_address": None}
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster):
        yield


@pytest.mark.parametrize("split", bp.SPLITS)
@pytest.mark.parametrize("backend", ["threading", "loky", "dask"])
def test_the_same_seed_gives_the_same_records_whatever_the_workers(scores, split, backend, request):
    if backend == "dask":
        request.getfixturevalue("dask")
    run = lambda **options: bp.run_experiment(
        scores, ALL, split, 10, 30, seed=5, progress=False, **options
    )
    alone = run()
    with joblib.parallel_config(backend=backend):
        pd.testing.assert_frame_equal(alone, run(n_jobs=2), check_exact=True)


def test_other_seeds_benchmarks_and_trials_draw_anew_and_other_methods_do_not(scores):
    estimates = lambda scores=scores, methods=("random_sampling",), **options: (
        bp.run_experiment(scores, methods, "extrapolation", 10, 4, progress=False, **options)
        .query("method == 'random_sampling'")
        .estimate.to_numpy()
    )
    base = estimates()
    assert (base == estimates(methods=ALL[::-1])).all()
    assert (base != estimates(seed=1)).any()
    assert (base != estimates(bp.Scores(scores.values, name="other"))).any()
    assert (base[:9] != base[9:18]).any()


@pytest.mark.parametrize(
    "name", [name for name, method in bp.METHODS.items() if not method.adaptive]
)
@pytest.mark.parametrize("split", bp.SPLITS)
def test_no_method_looks_at_what_was_not_measured(name, split, scores, rng):
    """The poison test: target scores outside the core set are corrupted, and no estimate changes by a bit."""
    method = bp.METHODS[name]
    source, target = bp.split_models(scores, split, rng)
    core, *learned = draw(method.design, source.values, 12, [rng] * 3)
    clean = method.estimator(source.values, core, observe(target.values, core), *learned)
    for t, c in enumerate(core):
        one = [values[t : t + 1] for values in learned]
        poisoned = np.where(
            np.isin(np.arange(60), c),
            target.values,
            rng.choice([np.nan, 1e6, -3], target.values.shape),
        )
        dirty = method.estimator(
            source.values, core[t : t + 1], observe(poisoned, core[t : t + 1]), *one
        )
        again = method.estimator(
            source.values, core[t : t + 1], observe(target.values, core[t : t + 1]), *one
        )
        for value, same in zip(dirty, again):
            assert (value is None and same is None) or np.array_equal(value, same)
        assert again.value == pytest.approx(clean.value[t : t + 1], rel=1e-12)


def test_the_poison_test_can_fail(scores, rng):
    """Negative control: an estimator that peeks at one other item is caught."""
    source, target = bp.split_models(scores, "extrapolation")
    core = bp.uniform(source.values, 12, rng)[None]
    outside = np.setdiff1d(np.arange(60), core)[0]
    peek = lambda values: observe(values, core).mean(axis=2) + 0.1 * values[:, outside]
    poisoned = target.values.copy()
    poisoned[:, outside] = np.nan
    assert not np.array_equal(peek(target.values), peek(poisoned))


def test_poisoned_targets_leave_the_whole_experiment_unchanged(scores, monkeypatch):
    """The same through run_experiment: what `observe` hands over is all that any method is given."""
    source, target = bp.split_models(scores, "extrapolation")
    run = lambda: bp.run_experiment(
        source=source, target=target, methods=ALL, budget=10, trials=5, progress=False
    )
    clean = run().drop(columns="truth")

    def poisoned(values, core, honest=observe):
        parts = [np.where(np.isin(np.arange(60), c), values, np.nan) for c in core]
        return np.concatenate([honest(part, c[None]) for part, c in zip(parts, core)])

    monkeypatch.setattr(experiments.estimators, "observe", poisoned)
    pd.testing.assert_frame_equal(clean, run().drop(columns="truth"), check_exact=True)


@pytest.mark.parametrize("core", [range(60), [0] * 10, range(9), [*range(9), 60], [-1, *range(9)]])
def test_a_design_that_takes_other_items_than_it_pays_for_is_stopped(core, scores, monkeypatch):
    """Negative control: all items, one item ten times, too few, an item that is not there."""
    design = lambda source, n, rng: np.array(core)
    monkeypatch.setitem(
        experiments.METHODS, "greedy", bp.Method(design, bp.estimators.core_mean, "none")
    )
    with pytest.raises(ValueError, match="the design of greedy must give 10 distinct items of 60"):
        bp.run_experiment(scores, ["greedy"], budget=10, trials=2, progress=False)


# --- splits -----------------------------------------------------------------------------------------------------------


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
    assert set(source.models) == set(scores.models[15:]) and set(target.models) == set(
        scores.models[:9]
    )
    dates = [f"20{20 + i // 12:02d}-{1 + i % 12:02d}-01" for i in range(30)]
    by_date = bp.Scores(scores.values, models=scores.models, dates=dates)
    assert set(bp.split_models(by_date, "chronological")[1].models) == set(scores.models[21:])


def test_models_that_are_never_right_are_left_out(matrix):
    scores = bp.Scores(np.vstack([np.zeros((6, 60)), matrix]))
    source, target = bp.split_models(scores, "extrapolation")
    assert (source.n_models, target.n_models) == (15, 9) and source.accuracy.min() > 0


def test_splits_that_cannot_be_made_are_refused(scores):
    with pytest.raises(ValueError, match="split is 'random'; use one of interpolation"):
        bp.split_models(scores, "random")
    with pytest.raises(ValueError, match="neither dates nor an order of release"):
        bp.split_models(bp.Scores(scores.values), "chronological")
    with pytest.raises(TypeError, match="pass rng"):
        bp.split_models(scores, "interpolation")
    with pytest.raises(
        ValueError, match="has 3 models with an accuracy above 0; a split takes at least 4"
    ):
        bp.split_models(scores.select(models=[0, 1, 2]), "extrapolation")


# --- arguments --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "budget, n", [(10, 10), (0.2, 12), (60, 60), (1, 1), (0.999, 60), (np.int64(5), 5)]
)
def test_a_budget_is_a_number_or_a_fraction_of_items(budget, n):
    assert experiments.budget_items(budget, 60) == n


@pytest.mark.parametrize("budget", [0, 61, -1, 0.001, 1.5, 10.5, 0.0])
def test_a_wrong_budget_is_refused(budget):
    with pytest.raises(ValueError, match=f"budget is {budget}; .*between 1 and 60"):
        experiments.budget_items(budget, 60)


def test_wrong_arguments_are_refused(scores):
    run = lambda *args, **options: bp.run_experiment(*args, progress=False, **options)
    source, target = bp.split_models(scores, "extrapolation")
    with pytest.raises(ValueError, match=r"no such method: \['magic'\].*random_sampling"):
        run(scores, ["magic"])
    with pytest.raises(ValueError, match="methods is a list"):
        run(scores, "aipw")
    with pytest.raises(ValueError, match="either scores"):
        run(scores, source=source, target=target)
    with pytest.raises(ValueError, match="either scores"):
        run(source=source)
    with pytest.raises(ValueError, match="split is 'sideways'"):
        run(scores, split="sideways")
    with pytest.raises(ValueError, match="same items"):
        run(source=source, target=target.select(items=np.arange(59, -1, -1)), budget=5)
    with pytest.raises(ValueError, match="trials is 0"):
        run(scores, trials=0, budget=5)


def test_a_split_of_ones_own(scores):
    source, target = scores.select(models=range(20)), scores.select(models=[25])
    records = bp.run_experiment(
        source=source, target=target, methods=ALL, budget=0.5, trials=2, progress=False
    )
    assert (
        set(records.split) == {"given"}
        and set(records.budget) == {30}
        and set(records.model) == {scores.models[25]}
    )


# --- the published figures --------------------------------------------------------------------------------------------

PUBLISHED = {  # mean estimation gap of the authors' code, in points: 100 trials, n = 50, interpolation
    "openbookqa": {"random_sampling": 3.41, "aipw": 2.88, "random_sampling_learn": 3.09},
    "gsm8k": {"random_sampling": 4.42, "aipw": 3.80, "random_sampling_learn": 3.95},
}


@pytest.mark.data
@pytest.mark.parametrize("name", PUBLISHED)
def test_the_gaps_agree_with_the_published_ones(load, name):
    """Within 3.5 standard errors of the difference: theirs has the Monte Carlo error of 100 trials of its own."""
    records = bp.run_experiment(
        load(name), list(PUBLISHED[name]), "interpolation", 50, 300, progress=False
    )
    gaps = inference_gaps(records)
    for method, published in PUBLISHED[name].items():
        gap = 100 * gaps[method]
        error = gap.std() * (1 / 300 + 1 / 100) ** 0.5
        assert abs(gap.mean() - published) < 3.5 * error, (method, gap.mean(), published, error)


def inference_gaps(records):
    return (
        bp.inference._trial_gaps(records)
        .unstack("method")
        .droplevel(["benchmark", "split", "budget"])
    )
