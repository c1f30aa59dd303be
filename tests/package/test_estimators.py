"""Each estimator against its definition, written the long way, and against exact enumeration."""

from functools import partial
from itertools import combinations, permutations

import numpy as np
import pytest
from cases import same
from scipy import stats
from sklearn.linear_model import Ridge, RidgeCV

from benchpred_utils import Scores, designs, estimators
from benchpred_utils.estimators import observe

ALPHA = 10.0


@pytest.fixture(params=[25, 8])
def case(matrix, rng, request):
    """Source (25 or 8, 60), target (5, 60), core (7, 23), observed: folds are of unequal size."""
    source = matrix[: request.param]
    target = matrix[25:]
    core = designs.uniform_core_sets(60, 23, 7, rng)
    return source, target, core, observe(target, core)


def test_observe_is_plain_indexing(case):
    _, target, core, observed = case
    assert np.array_equal(observed, np.stack([target[:, c] for c in core]))


def published_formula(source, s, core):
    """The AIPW formula as published, and its correction, with scikit-learn's ridge for g.

    s(C) + 1/(1 + n/(N - n)) (mean outside C of g - mean on C of g).
    """
    n = len(core)
    n_items = source.shape[1]
    rest = np.setdiff1d(np.arange(n_items), core)
    g = Ridge(ALPHA).fit(source.T[core], s[core]).predict(source.T)
    value = s[core].mean() + (g[rest].mean() - g[core].mean()) / (1 + n / (n_items - n))
    return value, abs((s - g)[core].mean())


def test_aipw_is_the_formula_and_its_correction_vanishes(case):
    source, target, core, observed = case
    value = estimators.aipw(source, core, observed).value
    for t, c in enumerate(core):
        for p, s in enumerate(target):
            expected, correction = published_formula(source, s, c)
            assert value[t, p] == pytest.approx(expected, rel=1e-9)
            assert correction < 1e-12


def cross_fitting_the_long_way(source, s, core, folds):
    n_items = source.shape[1]
    total = []
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
            expected = cross_fitting_the_long_way(source, s, c, folds)
            assert value[t, p] == pytest.approx(expected, rel=1e-9)


def test_random_sampling_learn_is_ridge_with_leave_one_out(case):
    source, target, core, observed = case
    value = estimators.random_sampling_learn(source, core, observed).value
    for t, c in enumerate(core):
        model = RidgeCV((0.1, 1.0, 10.0)).fit(source[:, c], source.mean(axis=1))
        assert value[t] == pytest.approx(model.predict(target[:, c]), rel=1e-8)


# --- unbiasedness, by enumerating every draw ------------------------------------------------------


@pytest.fixture
def tiny(rng):
    """Three sources, two targets, seven items: few enough to try every draw in every order."""
    return rng.random((3, 7)), (rng.random((2, 7)) < 0.6).astype(float)


def mean_over_core_sets(estimator, source, target, n):
    core = np.array(list(combinations(range(7), n)))
    return estimator(source, core, observe(target, core)).value.mean(axis=0)


def mean_over_ordered_core_sets(estimator, source, target, n):
    core = np.array(list(permutations(range(7), n)))
    return estimator(source, core, observe(target, core)).value.mean(axis=0)


def test_difference_is_exactly_unbiased_for_any_fixed_g(tiny, rng):
    _, target = tiny
    for g in (rng.random(7), -5 * rng.random(7)):
        mean = mean_over_core_sets(estimators.difference, g, target, 3)
        assert mean == pytest.approx(target.mean(axis=1), abs=1e-14)


@pytest.mark.parametrize("n, folds", [(3, 2), (4, 2), (4, 3), (4, 4)])
def test_aipw_cross_fitted_is_exactly_unbiased(tiny, n, folds):
    source, target = tiny
    estimator = partial(estimators.aipw_cross_fitted, alpha=0.5, folds=folds)
    mean = mean_over_ordered_core_sets(estimator, source, target, n)
    assert mean == pytest.approx(target.mean(axis=1), abs=1e-13)


def naive_cross_fitting(source, core, observed, folds=2, alpha=0.5):
    """K-fold residuals put into the formula of a g that was fitted on the whole core set."""
    z = source.T
    n = core.shape[1]
    values = []
    for c, s in zip(core, observed):
        rest = np.setdiff1d(np.arange(7), c)
        g = Ridge(alpha).fit(z[c], s.T).predict(z[rest]).mean(axis=0)
        residual = np.zeros(s.shape)
        for k in range(folds):
            fold = c[k::folds]
            train = np.delete(np.arange(n), np.arange(k, n, folds))
            fitted = Ridge(alpha).fit(z[c[train]], s[:, train].T)
            residual[:, k::folds] = s[:, k::folds] - fitted.predict(z[fold]).T
        g = g + residual.mean(axis=1)
        values.append((n * s.mean(axis=1) + (7 - n) * g) / 7)
    return estimators.Estimate(np.array(values))


def test_negative_controls_in_sample_and_naive_cross_fitting_are_biased(tiny):
    source, target = tiny
    truth = target.mean(axis=1)
    in_sample = partial(estimators.aipw, alpha=0.5)
    assert abs(mean_over_core_sets(in_sample, source, target, 4) - truth).max() > 1e-3
    naive = mean_over_ordered_core_sets(naive_cross_fitting, source, target, 3)
    assert abs(naive - truth).max() > 1e-3


# --- variances and rates --------------------------------------------------------------------------

PREDICTIONS = ("good", "useless", "harmful")


def population(n_items, rng, prediction="good"):
    """A target's 0/1 scores (N,), right with probability p ~ Beta(2, 1), and a prediction of them.

    A useless g is the p of other items, a harmful one 1 - p.
    """
    p = rng.beta(2, 1, n_items)
    s = (rng.random(n_items) < p).astype(float)
    return s, {"good": p, "useless": rng.permutation(p), "harmful": 1 - p}[prediction]


def differences(s, g, n, replications, rng):
    """Estimates (R,) of the difference estimator from R core sets."""
    core = designs.uniform_core_sets(len(s), n, replications, rng)
    return estimators.evaluate(estimators.difference, g, s[None], core, 2_000).value[:, 0]


@pytest.mark.parametrize("n, n_items", [(20, 40), (50, 400), (100, 150)])
def test_the_variance_is_the_finite_population_formula(n, n_items, rng):
    """(1 - n/N) S^2 / n, S^2 the variance of s - g in the population: Cochran (1977), th. 2.2."""
    s, g = population(n_items, rng)
    value = differences(s, g, n, 20_000, rng)
    assert value.mean() == pytest.approx(s.mean(), abs=5 * value.std() / 20_000**0.5)
    assert value.var() == pytest.approx((1 - n / n_items) * (s - g).var(ddof=1) / n, rel=0.05)


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_rmse_falls_with_the_root_of_n(prediction, rng):
    s, g = population(5_000, rng, prediction)
    sizes = np.array([25, 50, 100, 200, 400])
    rmse = [(differences(s, g, n, 4_000, rng) - s.mean()).std() for n in sizes]
    slope = stats.linregress(np.log(sizes), np.log(rmse / np.sqrt(1 - sizes / 5_000))).slope
    assert slope == pytest.approx(-0.5, abs=0.02)


# --- limits ---------------------------------------------------------------------------------------


def test_a_perfect_prediction_leaves_no_error(matrix, rng):
    source = matrix[:20]
    target = matrix[:1]  # one of the sources
    core = designs.uniform_core_sets(60, 20, 50, rng)
    observed = observe(target, core)
    exact = estimators.difference(target[0], core, observed).value
    assert exact == pytest.approx(target.mean(), abs=1e-12)
    nearly = estimators.aipw_cross_fitted(source, core, observed, alpha=1e-6).value
    plain = observed.mean(axis=2)
    assert abs(nearly - target.mean()).max() < 0.5 * abs(plain - target.mean()).max()


def test_folds_are_checked(case):
    source, _, core, observed = case
    with pytest.raises(ValueError, match="at least 2 items and 2 folds, not 1 and 5"):
        estimators.aipw_cross_fitted(source, core[:, :1], observed[:, :, :1])
    with pytest.raises(ValueError, match="at least 2 items and 2 folds, not 23 and 1"):
        estimators.aipw_cross_fitted(source, core, observed, folds=1)


def test_one_item_gives_no_interval(case):
    source, _, core, observed = case
    assert estimators.random_sampling(source, core[:, :1], observed[:, :, :1]).lower is None


# --- parts, and other kinds of numbers ------------------------------------------------------------

ESTIMATORS = (
    estimators.random_sampling,
    estimators.core_mean,
    estimators.aipw,
    estimators.aipw_cross_fitted,
    estimators.random_sampling_learn,
    estimators.pca,
)


@pytest.fixture
def small(matrix, rng):
    """Source (8, 60), target (3, 60), core (3, 23), observed."""
    core = designs.uniform_core_sets(60, 23, 3, rng)
    return matrix[:8], matrix[25:28], core, observe(matrix[25:28], core)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_evaluated_in_parts_is_as_evaluated_at_once(estimator, small):
    source, target, core, observed = small
    whole = estimator(source, core, observed)
    for size in (1, 2, 3, 100):
        parts = estimators.evaluate(estimator, source, target, core, size)
        assert same(parts, whole, rtol=1e-9, atol=1e-12)


CORE = [[0, 1, 2]]


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(core=[[-1, 2, 3]]), "distinct items of 60"),
        (dict(core=[[0, 1, 60]]), "distinct items of 60"),
        (dict(core=[[4, 4, 5]]), "distinct items of 60"),
        (dict(core=[[0.0, 1.0, 2.0]]), "whole numbers"),
        (dict(core=[0, 1, 2]), "distinct items of 60"),
        (dict(target=np.zeros((2, 30))), "source has 60 items, the target 30"),
        (dict(target=np.full((2, 60), 100.0)), r"in \[0, 1\]"),
        (dict(source=np.full((2, 60), -0.1)), r"in \[0, 1\]"),
        (dict(target=np.full((2, 60), np.nan)), "none may be missing"),
        (dict(source=np.full((2, 60), np.nan)), "none may be missing"),
    ],
)
def test_what_is_evaluated_is_checked(change, message):
    given = dict(source=np.ones((4, 60)), target=np.ones((2, 60)), core=CORE) | change
    with pytest.raises(ValueError, match=message):
        estimators.evaluate(estimators.aipw, **given)


def test_scores_are_no_array():
    scores = Scores(np.eye(4))
    for given in ((scores, scores), (scores.values, scores), (scores, scores.values)):
        with pytest.raises(TypeError, match="give an array, of Scores `scores.values`"):
            estimators.evaluate(estimators.random_sampling, *given, CORE)


@pytest.mark.parametrize("dtype", [np.int64, np.int8, np.uint8, bool, np.float32])
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_whole_numbers_and_truth_values_give_what_floats_give(estimator, dtype, small):
    """0/1 scores are often stored so, and sums and differences of int8, uint8 and bool wrap."""
    source, _, core, observed = small
    expected = estimator(source, core, observed)
    tolerance = {"rtol": 1e-12, "atol": 1e-14}
    seen = observed.astype(dtype)
    assert same(estimator(source, core, seen), expected, **tolerance)
    assert same(estimator(source.astype(dtype), core, observed), expected, **tolerance)
    assert same(estimator(source.astype(dtype), core, seen), expected, **tolerance)


@pytest.mark.parametrize("dtype", [np.int64, np.int8, np.uint8, bool, np.float32])
def test_difference_and_weighted_sum_take_them_too(dtype, small, rng):
    source, _, core, observed = small
    g = source[0]
    seen = observed.astype(dtype)
    expected = estimators.difference(g, core, observed)
    assert same(estimators.difference(g.astype(dtype), core, seen), expected, rtol=1e-12)
    reading = (rng.normal(size=core.shape), rng.normal(size=len(core)))
    expected = estimators.weighted_sum(source, core, observed, *reading)
    assert same(estimators.weighted_sum(source, core, seen, *reading), expected, rtol=1e-12)


def test_targets_of_equal_scores_have_equal_estimates(matrix, rng):
    """To the bit: rounding would break ties in the ranking of the targets."""
    core = designs.uniform_core_sets(60, 13, 4, rng)
    observed = observe(np.repeat(matrix[20:22], 9, axis=0), core)
    value = estimators.random_sampling_learn(matrix[:20], core, observed).value
    assert all(len(set(row)) == 2 for row in value.tolist())


@pytest.mark.parametrize("seed", [0, 3])
def test_aipw_covers_a_near_copy_with_one_item_left(seed):
    """The one item may be one that the sources get wrong: before, covered .91."""
    rng = np.random.default_rng(seed)
    copies = np.repeat((rng.random((1, 60)) < 0.65) * 1.0, 20, axis=0)
    target = copies[0].copy()
    chosen = rng.choice(60, 5, replace=False)
    target[chosen] = 1 - target[chosen]
    core = designs.uniform_core_sets(60, 59, 1000, rng)
    observed = estimators.observe(target[None], core)
    _, lower, upper = estimators.aipw_cross_fitted(copies, core, observed)
    truth = target.mean()
    assert ((lower <= truth + 1e-12) & (truth - 1e-12 <= upper)).mean() > 0.95
