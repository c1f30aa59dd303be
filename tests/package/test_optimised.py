"""The designs that learn a core set: each against its definition written the long way."""

import os
from pathlib import Path

import numpy as np
import pytest
from cases import awkward
from scipy import optimize
from sklearn.linear_model import Lasso, LinearRegression, Ridge, RidgeCV

import benchpred_utils as bp
from benchpred_utils import designs, estimators, optimised


def same(source, n):
    return source


LEARN = {  # what the sources say, by design
    optimised.random_search_learn: same,
    optimised.lasso: same,
    optimised.double_optimize: same,
    optimised.anchor_points_weighted: optimised.item_correlations,
    optimised.anchor_points_predictor: optimised.item_correlations,
}


@pytest.fixture(scope="module")
def fixed():
    return np.load(Path(__file__).with_name("fixed_learned.npz"))


@pytest.fixture
def source(matrix):
    return matrix[:20]


def drawn(design, source, n, rng, **options):
    """A draw, from the source scores: items, weights and intercept."""
    draw = design(LEARN[design](source, n), n, rng, **options)
    return draw.items, *draw.reading


# --- all of them ----------------------------------------------------------------------------------


def few(design):
    return {"size": 100} if design is optimised.random_search_learn else {}


@pytest.mark.parametrize("design", LEARN)
@pytest.mark.parametrize("n", [1, 13, 60])
def test_a_learned_core_set_has_n_distinct_items_and_finite_weights(design, n, rng):
    for name, source in awkward(rng).items():
        first, again = (
            drawn(design, source, n, np.random.default_rng(3), **few(design)) for _ in range(2)
        )
        core, weights, intercept = first
        assert core.shape == weights.shape == (n,), name
        assert len(set(core)) == n and set(core) <= set(range(60)), name
        assert np.isfinite(weights).all() and np.isfinite(intercept), name
        assert all(np.array_equal(a, b) for a, b in zip(first, again)), name
    with pytest.raises(ValueError, match="a core set of 61 items can't be drawn from 60"):
        drawn(design, source, 61, rng)


@pytest.mark.parametrize("design", LEARN)
@pytest.mark.parametrize("name", ["binary", "graded"])
def test_draws_are_those_of_before_the_redesign(design, name, fixed):
    """fixed_learned.npz was made at commit a745352: random 0/1 scores ("binary", with four constant
    items) and scores in thousandths ("graded"), the sources all but the last five rows; and what
    each design of that commit gives of them with n = 13 and numpy.random.default_rng(3), the random
    search among 300 core sets.
    """
    source = fixed[name][:-5].astype(float)
    options = {"size": 300} if design is optimised.random_search_learn else {}
    got = drawn(design, source, 13, np.random.default_rng(3), **options)
    core, weights, intercept = (
        fixed[f"{name}/{design.__name__}/{part}"] for part in ("items", "weights", "intercept")
    )
    assert np.array_equal(got[0], core)
    assert got[1] == pytest.approx(weights, abs=1e-10)
    assert got[2] == pytest.approx(float(intercept), abs=1e-10)


@pytest.mark.parametrize("design", [optimised.random_search_learn, optimised.double_optimize])
def test_two_models_are_too_few_to_validate(design, source, rng):
    with pytest.raises(ValueError, match="2 source models can't be parted"):
        drawn(design, source[:2], 5, rng)


# --- random search --------------------------------------------------------------------------------


def gap_the_long_way(train, valid, core):
    model = RidgeCV((0.1, 1.0, 10.0)).fit(train[:, core], train.mean(axis=1))
    return abs(model.predict(valid[:, core]) - valid.mean(axis=1)).mean()


@pytest.mark.parametrize("n", [5, 23])
def test_random_search_finds_the_core_set_that_trying_all_finds(source, n):
    rng = np.random.default_rng(8)
    cores = designs.uniform_core_sets(60, n, 300, rng)
    train, valid = optimised._two_parts(source, 0.75, rng)
    gaps = [gap_the_long_way(train, valid, core) for core in cores]
    core, weights, intercept = drawn(
        optimised.random_search_learn, source, n, np.random.default_rng(8), size=300
    )
    assert np.array_equal(core, cores[np.argmin(gaps)])
    assert not np.array_equal(core, cores[np.argsort(gaps)[1]])
    model = RidgeCV((0.1, 1.0, 10.0)).fit(source[:, core], source.mean(axis=1))
    assert weights == pytest.approx(model.coef_, rel=1e-8)
    assert intercept == pytest.approx(model.intercept_, rel=1e-8)


def test_the_bound_is_the_least_error_over_the_penalties(source, rng):
    cores = designs.uniform_core_sets(60, 17, 40, rng)
    train, valid = optimised._two_parts(source, 0.75, rng)
    least = []
    for core in cores:
        models = [Ridge(a).fit(train[:, core], train.mean(axis=1)) for a in optimised.ALPHAS]
        predicted = np.stack([model.predict(valid[:, core]) for model in models])
        least.append(abs(predicted - valid.mean(axis=1)).mean(axis=1).min())
    bound = optimised._least_gaps(train, valid, cores)
    assert bound == pytest.approx(least, abs=1e-10)


@pytest.mark.data
@pytest.mark.parametrize("split", ["interpolation", "extrapolation"])
def test_random_search_is_exact_on_real_data(load, split, rng):
    """Of 10,000 core sets, the bounds leave some dozens to try; trying all finds the same one."""
    source = bp.split_models(load("gsm8k"), split, rng)[0].values
    core = drawn(optimised.random_search_learn, source, 50, np.random.default_rng(2))[0]
    stream = np.random.default_rng(2)
    cores = designs.uniform_core_sets(source.shape[1], 50, 10_000, stream)
    train, valid = optimised._two_parts(source, 0.75, stream)
    gaps = []
    for some in np.array_split(cores, 40):
        weights, intercept = estimators.ridge_loo(
            np.moveaxis(train[:, some], 1, 0), train.mean(axis=1)
        )
        seen = np.moveaxis(valid[:, some], 1, 0)
        predicted = (seen @ weights[..., None])[..., 0] + intercept[:, None]
        gaps.append(abs(predicted - valid.mean(axis=1)).mean(axis=1))
    assert np.array_equal(core, cores[np.concatenate(gaps).argmin()])


# --- lasso ----------------------------------------------------------------------------------------


def full_weights(design_result, n_items):
    core, weights, _ = design_result
    full = np.zeros(n_items)
    full[core] = weights
    return full


@pytest.mark.parametrize("n", [4, 9])
def test_lasso_takes_the_penalty_that_trying_the_grid_takes(n):
    """On scores in general position the weights are unique: coordinate descent at each penalty."""
    source = np.random.default_rng(4).random((15, 30))
    grid = np.logspace(-4, 1, 60)
    best = None
    for alpha in grid:
        model = Lasso(alpha=alpha, tol=1e-10, max_iter=10**6).fit(source, source.mean(axis=1))
        count = np.count_nonzero(model.coef_)
        if count <= n and (best is None or count > np.count_nonzero(best.coef_)):
            best = model
    got = drawn(optimised.lasso, source, n, np.random.default_rng(0), grid=grid)
    assert full_weights(got, 30) == pytest.approx(best.coef_, abs=1e-4)
    assert got[2] == pytest.approx(best.intercept_, abs=1e-4)


@pytest.mark.parametrize("n", [6, 13])
def test_lasso_is_optimal_for_binary_scores(source, n, rng):
    """Karush-Kuhn-Tucker: |covariance with the residual| is alpha where w is not 0, else less."""
    core, weights, intercept = drawn(optimised.lasso, source, n, rng)
    w = full_weights((core, weights, intercept), 60)
    y = source.mean(axis=1)
    covariance = (source - source.mean(axis=0)).T @ (y - intercept - source @ w) / 20
    alpha = abs(covariance).max()
    assert 0 < np.count_nonzero(w) <= n
    assert covariance[w != 0] == pytest.approx(alpha * np.sign(w[w != 0]), rel=1e-3)
    assert (source @ w + intercept).mean() == pytest.approx(y.mean())
    other = full_weights(drawn(optimised.lasso, source, 3, rng), 60)
    assert abs(other - w).max() > 1e-3  # another budget, another penalty


# --- double optimisation --------------------------------------------------------------------------


def test_the_projection_is_the_nearest_point(rng):
    points = [rng.random(8), rng.normal(0.5, 2, 8), np.full(8, 0.3), np.r_[np.ones(4), np.zeros(4)]]
    for p in points:
        got = optimised._capped_simplex(p, 3)
        near = optimize.minimize(
            lambda x, p: np.square(x - p).sum(),
            np.full(8, 3 / 8),
            args=(p,),
            bounds=[(0, 1)] * 8,
            tol=1e-12,
            constraints={"type": "eq", "fun": lambda x: x.sum() - 3},
        )
        assert got.sum() == pytest.approx(3) and got.min() >= 0 and got.max() <= 1
        assert got == pytest.approx(near.x, abs=1e-5)


def loss(rows, w, choice, n):
    return np.square((rows * choice * w).sum(axis=1) / n - rows.mean(axis=1)).mean()


def double_optimize_the_long_way(source, n, rng, steps):
    """The loss differentiated by finite differences, and every parameter's Adam by itself."""
    shuffled = rng.permutation(source.shape[1])
    train, valid = optimised._two_parts(source[:, shuffled], 0.8, rng)
    w = rng.standard_normal(60)
    p = np.full(60, n / 60)
    average = np.zeros(120)
    square = np.zeros(120)
    best = (np.inf,)
    for step in range(1, steps + 1):
        core = np.argpartition(-p, n - 1)[:n]
        choice = np.isin(np.arange(60), core).astype(float)
        if loss(valid, w, choice, n) < best[0]:
            best = loss(valid, w, choice, n), core, w[core]
        # Straight through: the loss is differentiated in the choice, p is moved.
        both = np.r_[w, choice]
        slope = optimize.approx_fprime(both, lambda x: loss(train, x[:60], x[60:], n), 1e-6)
        slope += 1e-4 * np.r_[w, p]
        for i in range(120):
            average[i] = 0.9 * average[i] + 0.1 * slope[i]
            square[i] = 0.999 * square[i] + 0.001 * slope[i] ** 2
            move = average[i] / (1 - 0.9**step) / ((square[i] / (1 - 0.999**step)) ** 0.5 + 1e-8)
            if i < 60:
                w[i] -= 0.1 * move
            else:
                p[i - 60] -= 0.001 * move
        p = optimised._capped_simplex(p, n)
    return shuffled[best[1]], best[2] / n


@pytest.mark.parametrize("steps", [1, 5, 20])
def test_double_optimize_is_its_definition(source, steps):
    core, weights, intercept = drawn(
        optimised.double_optimize, source, 13, np.random.default_rng(6), steps=steps
    )
    expected_core, expected = double_optimize_the_long_way(
        source, 13, np.random.default_rng(6), steps
    )
    assert np.array_equal(core, expected_core) and intercept == 0
    assert weights == pytest.approx(expected, abs=1e-4)


def test_double_optimize_learns(source, rng):
    errors = {1: [], 1000: []}
    for steps in errors:
        for _ in range(5):
            core, weights, _ = drawn(optimised.double_optimize, source, 13, rng, steps=steps)
            errors[steps].append(abs(source[:, core] @ weights - source.mean(axis=1)).mean())
    assert np.mean(errors[1000]) < 0.25 * np.mean(errors[1])


# --- anchor points --------------------------------------------------------------------------------


def distance(source, absolute):
    with np.errstate(invalid="ignore"):
        correlation = np.nan_to_num(np.corrcoef(source, rowvar=False))
    for i, j in np.ndindex(correlation.shape):
        if np.ptp(source[:, [i, j]]) == 0:  # two constant items of the same score, or one
            correlation[i, j] = 1
    return 1 - (abs(correlation) if absolute else correlation)


def cost(distances, core):
    return distances[core].min(axis=0).sum()


@pytest.mark.parametrize("absolute", [False, True])
def test_no_swap_of_an_anchor_is_nearer_to_the_items(source, absolute, rng):
    design = optimised.anchor_points_predictor if absolute else optimised.anchor_points_weighted
    core, distances = list(drawn(design, source, 7, rng)[0]), distance(source, absolute)
    if absolute:
        distances[:, np.ptp(source, axis=0) == 0] = 0.0  # constant items need no anchor
    least = cost(distances, core)
    for out in range(7):
        for item in np.setdiff1d(np.arange(60), core):
            assert cost(distances, core[:out] + [item] + core[out + 1 :]) > least - 1e-4
    assert cost(distances, list(rng.choice(60, 7, replace=False))) > least + 1  # negative control


def test_anchors_are_weighted_by_their_clusters(source, rng):
    core, weights, intercept = drawn(optimised.anchor_points_weighted, source, 7, rng)
    distances = distance(source, False)[core]
    nearest = distances.argmin(axis=0)
    unique = np.sort(distances, axis=0)[1] - np.sort(distances, axis=0)[0] > 1e-6
    counts = [np.bincount(nearest[rows], minlength=7) for rows in (unique, np.full(60, True))]
    assert intercept == 0 and weights.sum() == pytest.approx(1)
    assert (60 * weights >= counts[0] - 1e-9).all() and (60 * weights).sum() == pytest.approx(
        counts[1].sum()
    )


def test_constant_items_are_clusters_of_their_own(rng):
    scores = np.r_[np.ones(20), np.zeros(15)]
    source = np.hstack([np.tile(scores, (12, 1)), rng.integers(0, 2, (12, 25))]).astype(float)
    core, weights, _ = drawn(optimised.anchor_points_weighted, source, 10, rng)
    always, never = core[core < 20], core[(core >= 20) & (core < 35)]
    assert len(always) == len(never) == 1
    share = dict(zip(core, 60 * weights))
    assert share[always[0]] == pytest.approx(20) and share[never[0]] == pytest.approx(15)
    assert (drawn(optimised.anchor_points_predictor, source, 10, rng)[0] >= 35).all()


def test_the_predictor_is_a_regression_per_item(source, matrix, rng):
    source = np.hstack([source, np.ones((20, 3)), np.zeros((20, 1))])
    core, weights, intercept = drawn(optimised.anchor_points_predictor, source, 7, rng)
    targets = np.hstack([matrix[25:], rng.integers(0, 2, (5, 4))])
    predicted = np.empty_like(targets)
    for i in range(64):
        models = [LinearRegression().fit(source[:, [a]], source[:, i]) for a in core]
        a = np.argmax([model.score(source[:, [a]], source[:, i]) for a, model in zip(core, models)])
        predicted[:, i] = targets[:, i] if i in core else models[a].predict(targets[:, [core[a]]])
    assert targets[:, core] @ weights + intercept == pytest.approx(predicted.mean(axis=1), abs=1e-5)


# --- the published figures ------------------------------------------------------------------------

PUBLISHED = {
    "openbookqa": {
        "anchor_points_weighted": (3.67, 100),
        "anchor_points_predictor": (3.88, 20),
        "double_optimize": (2.89, 20),
    },
    "gsm8k": {
        "anchor_points_weighted": (5.57, 100),
        "anchor_points_predictor": (5.92, 20),
        "double_optimize": (3.82, 20),
    },
}


@pytest.mark.data
@pytest.mark.skipif("CI" not in os.environ, reason="takes half a minute: in CI only")
@pytest.mark.parametrize("name", PUBLISHED)
def test_the_gaps_agree_with_the_published_ones(load, name):
    """Mean gap of the authors' code in points, and its number of trials; n = 50, interpolation."""
    methods = list(PUBLISHED[name])
    records = bp.run_experiment(load(name), methods, "interpolation", 50, 100, progress=False)
    gap = 100 * abs(records.estimate - records.truth)
    gaps = gap.groupby([records.method, records.trial]).mean()
    for method, (published, trials) in PUBLISHED[name].items():
        error = gaps[method].std() * (1 / 100 + 1 / trials) ** 0.5
        assert gaps[method].mean() == pytest.approx(published, abs=3.5 * error), method
