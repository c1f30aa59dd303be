"""Each estimator against its definition, written the long way, and against exact enumeration."""

import tracemalloc
from itertools import combinations, permutations

import numpy as np
import pytest
from conftest import draw
from sklearn.linear_model import Ridge, RidgeCV

import benchpred_utils as bp
from benchpred_utils import designs, estimators
from benchpred_utils.estimators import observe

ALPHA = 10.0


@pytest.fixture(params=[25, 8])
def case(matrix, rng, request):
    """(source (25 or 8, 60), target (5, 60), core (7, 23), observed): odd sizes, so that folds are unequal."""
    source, target = matrix[: request.param], matrix[25:]
    core = designs.uniform_core_sets(60, 23, 7, rng)
    return source, target, core, observe(target, core)


def test_observe_is_plain_indexing(case):
    _, target, core, observed = case
    assert np.array_equal(observed, np.stack([target[:, c] for c in core]))


def the_seed_formula(source, s, core):
    """s(C) + 1/(1 + n/(N-n)) (mean of s-hat outside C - mean of s-hat on C), with scikit-learn's ridge for s-hat."""
    n, n_items = len(core), source.shape[1]
    rest = np.setdiff1d(np.arange(n_items), core)
    g = Ridge(ALPHA).fit(source.T[core], s[core]).predict(source.T)
    return s[core].mean() + (g[rest].mean() - g[core].mean()) / (1 + n / (n_items - n)), abs(
        (s - g)[core].mean()
    )


def test_aipw_is_the_formula_and_its_correction_vanishes(case):
    source, target, core, observed = case
    value = estimators.aipw(source, core, observed).value
    for t, c in enumerate(core):
        for p, s in enumerate(target):
            expected, correction = the_seed_formula(source, s, c)
            assert value[t, p] == pytest.approx(expected, rel=1e-9)
            assert correction < 1e-12


def cross_fitting_the_long_way(source, s, core, folds):
    n_items, total = source.shape[1], []
    for k in range(folds):
        test = core[k::folds]
        train = np.setdiff1d(core, test)
        rest = np.setdiff1d(np.arange(n_items), train)
        g = Ridge(ALPHA).fit(source.T[train], s[train]).predict(source.T)
        scale = (n_items - len(train)) / len(test)
        total.append((s[train].sum() + g[rest].sum() + scale * (s - g)[test].sum()) / n_items)
    return np.mean(total)


@pytest.mark.parametrize("folds", [2, 5, 23])
def test_aipw_cross_fitted_is_its_definition(case, folds):
    source, target, core, observed = case
    value = estimators.aipw_cross_fitted(source, core, observed, folds=folds).value
    for t, c in enumerate(core):
        for p, s in enumerate(target):
            assert value[t, p] == pytest.approx(
                cross_fitting_the_long_way(source, s, c, folds), rel=1e-9
            )


def test_random_sampling_learn_is_ridge_with_leave_one_out(case):
    source, target, core, observed = case
    value = estimators.random_sampling_learn(source, core, observed).value
    for t, c in enumerate(core):
        model = RidgeCV((0.1, 1.0, 10.0)).fit(source[:, c], source.mean(axis=1))
        assert value[t] == pytest.approx(model.predict(target[:, c]), rel=1e-8)


# --- unbiasedness, by enumerating every draw --------------------------------------------------------------------------


@pytest.fixture
def tiny(rng):
    """Three sources, two targets, seven items: few enough to try every draw in every order."""
    return rng.random((3, 7)), (rng.random((2, 7)) < 0.6).astype(float)


def mean_over_all_draws(estimator, source, target, n, ordered):
    draws = (
        permutations(range(target.shape[1]), n)
        if ordered
        else combinations(range(target.shape[1]), n)
    )
    core = np.array(list(draws))
    return estimator(source, core, observe(target, core)).value.mean(axis=0)


def test_difference_is_exactly_unbiased_for_any_fixed_g(tiny, rng):
    _, target = tiny
    for g in (rng.random(7), -5 * rng.random(7)):
        assert mean_over_all_draws(estimators.difference, g, target, 3, False) == pytest.approx(
            target.mean(1), abs=1e-14
        )


@pytest.mark.parametrize("n, folds", [(3, 2), (4, 2), (4, 3), (4, 4)])
def test_aipw_cross_fitted_is_exactly_unbiased(tiny, n, folds):
    source, target = tiny
    estimator = lambda *args: estimators.aipw_cross_fitted(*args, alpha=0.5, folds=folds)
    assert mean_over_all_draws(estimator, source, target, n, True) == pytest.approx(
        target.mean(axis=1), abs=1e-13
    )


def test_negative_controls_in_sample_and_naive_cross_fitting_are_biased(tiny):
    source, target = tiny
    in_sample = lambda *args: estimators.aipw(*args, alpha=0.5)
    assert (
        abs(mean_over_all_draws(in_sample, source, target, 4, False) - target.mean(axis=1)).max()
        > 1e-3
    )

    def naive(source, core, observed, folds=2, alpha=0.5):
        """K-fold residuals put into the formula of a g that was fitted on the whole core set."""
        values = []
        for c, s in zip(core, observed):
            z, rest = source.T, np.setdiff1d(np.arange(7), c)
            g = Ridge(alpha).fit(z[c], s.T).predict(z[rest]).mean(axis=0)
            residual = np.zeros(s.shape)
            for k in range(folds):
                train = np.delete(np.arange(4), np.arange(k, 4, folds))
                residual[:, k::folds] = (
                    s[:, k::folds]
                    - Ridge(alpha).fit(z[c[train]], s[:, train].T).predict(z[c[k::folds]]).T
                )
            values.append(4 / 7 * s.mean(axis=1) + 3 / 7 * (g + residual.mean(axis=1)))
        return estimators.Estimate(np.array(values))

    assert (
        abs(mean_over_all_draws(naive, source, target, 4, True) - target.mean(axis=1)).max() > 1e-3
    )


# --- limits -----------------------------------------------------------------------------------------------------------

# Regressions of the accuracy, which shrink, and a threshold, which knows of no wrong answer before it.
ADAPTIVE = {
    name for name, method in bp.METHODS.items() if method.adaptive
}  # their tests: test_adaptive.py
NEVER_EXACT = {
    "random_sampling_learn",
    "random_search_learn",
    "lasso",
    "double_optimize",
    "metabench",
    "sort_and_search",
}


@pytest.mark.parametrize(
    "name", [name for name in bp.METHODS if name not in NEVER_EXACT | ADAPTIVE]
)
def test_the_whole_benchmark_as_core_set_gives_the_truth(name, matrix, rng):
    source, target = matrix[:20], matrix[20:]
    core, *learned = draw(bp.METHODS[name].design, source, 60, [rng] * 2)
    estimate = bp.METHODS[name].estimator(source, core, observe(target, core), *learned)
    assert estimate.value == pytest.approx(np.tile(target.mean(axis=1), (2, 1)), abs=1e-12)
    if estimate.lower is not None:
        assert estimate.upper - estimate.lower == pytest.approx(0, abs=1e-12)


def test_a_perfect_prediction_leaves_no_error(matrix, rng):
    source, target = matrix[:20], matrix[:1]  # the target is one of the sources
    core = designs.uniform_core_sets(60, 20, 50, rng)
    observed = observe(target, core)
    assert estimators.difference(target[0], core, observed).value == pytest.approx(
        target.mean(), abs=1e-12
    )
    nearly = estimators.aipw_cross_fitted(source, core, observed, alpha=1e-6).value
    assert (
        abs(nearly - target.mean()).max() < 0.5 * abs(observed.mean(axis=2) - target.mean()).max()
    )


@pytest.mark.parametrize("name", [name for name in bp.METHODS if name not in ADAPTIVE])
def test_the_result_does_not_depend_on_the_other_targets_or_trials(name, case, rng):
    source, target, *_ = case
    core, *learned = draw(bp.METHODS[name].design, source, 23, [rng] * 4)
    observed, one = observe(target, core), [values[2:3] for values in learned]
    together = bp.METHODS[name].estimator(source, core, observed, *learned).value
    alone = bp.METHODS[name].estimator(source, core[2:3], observed[2:3, 1:2], *one).value
    assert together[2, 1] == pytest.approx(alone[0, 0], rel=1e-12)


def test_folds_are_checked(case):
    source, _, core, observed = case
    with pytest.raises(ValueError, match="at least 2 items, not 1"):
        estimators.aipw_cross_fitted(source, core[:, :1], observed[:, :, :1])
    with pytest.raises(ValueError, match="at least 2 folds, not 1"):
        estimators.aipw_cross_fitted(source, core, observed, folds=1)


def test_one_item_gives_no_interval(case):
    source, _, core, observed = case
    assert estimators.random_sampling(source, core[:, :1], observed[:, :, :1]).lower is None


# In chunks, from bytes, in single precision


OWN = [
    name
    for name, method in bp.METHODS.items()
    if method.estimator.__module__ == estimators.__name__
]


@pytest.mark.parametrize("name", [name for name in bp.METHODS if name not in ADAPTIVE])
def test_chunks_change_nothing_and_keep_to_the_bound(name, rng):
    method, values = bp.METHODS[name], (rng.random((90, 700)) < 0.6).astype(float)
    source, target = values[:60], values[60:]
    core, *learned = draw(method.design, source, 40, [rng] * 12)
    whole = estimators.evaluate(method.estimator, source, target, core, *learned, max_memory=2**34)
    bound = 3 * estimators.memory_each(method.estimator, source, target, 40)
    once = lambda: estimators.evaluate(
        method.estimator, source, target, core, *learned, max_memory=bound
    )
    once()  # what depends on the sources alone is computed, and kept
    tracemalloc.start()
    parts = once()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert all(
        a is b is None or np.allclose(a, b, rtol=1e-9, atol=1e-12) for a, b in zip(parts, whole)
    )
    assert peak <= bound + 2**18


@pytest.mark.parametrize("name", dict.fromkeys(OWN))
def test_scores_in_bytes_give_what_floats_give(name, matrix, rng):
    method, source, target = bp.METHODS[name], matrix[:20], matrix[20:]
    core, *learned = draw(method.design, source, 23, [rng] * 4)
    expected = estimators.evaluate(method.estimator, source, target, core, *learned)
    source, target = source.astype(np.uint8), target.astype(np.uint8)
    found = estimators.evaluate(method.estimator, source, target, core, *learned)
    assert all(
        a is b is None or np.allclose(a, b, rtol=1e-12, atol=0) for a, b in zip(found, expected)
    )
    in_single = estimators.evaluate(
        method.estimator, source, target, core, *learned, dtype=np.float32
    )
    assert in_single.value == pytest.approx(expected.value, abs=1e-5)
    if name in (
        "aipw",
        "aipw_cross_fitted",
        "random_sampling_learn",
    ):  # the others compute in double, or exactly
        assert (in_single.value != expected.value).any()


def test_too_small_a_bound_says_what_is_needed(case):
    source, target, core, _ = case
    with pytest.raises(
        ValueError, match=r"max_memory is 10,000 bytes, and the smallest part takes [\d,]+; allow"
    ):
        estimators.evaluate(estimators.aipw, source, target, core, max_memory=10_000)
