"""Designs crossed with predictions: probabilities, balance, leave-out residuals, averages."""

from functools import partial
from itertools import combinations

import numpy as np
import pytest
from benchpred_book import factorial

N, n = 30, 10


@pytest.fixture
def rng():
    return np.random.default_rng(8)


@pytest.fixture
def source(rng):
    easy = np.linspace(0.95, 0.2, N)
    return (rng.random((14, N)) < easy).astype(float)


def test_a_fight_decides_one_and_keeps_both_expectations():
    u = (np.arange(100_000) + 0.5) / 100_000
    for a, b in ((0.3, 0.5), (0.7, 0.8), (0.4, 0.6)):
        first, second = factorial.fight(a, b, u)
        assert np.allclose(first + second, a + b)
        decided = np.isclose([first, second], 0) | np.isclose([first, second], 1)
        assert decided.any(axis=0).all()
        assert np.allclose([first.mean(), second.mean()], [a, b], atol=1e-4)


def test_every_design_keeps_its_probabilities(source, rng):
    checked = factorial.checked(source, n, 2_000, rng)
    assert len(checked) == 11
    assert checked["sd of z"].between(0.7, 1.3).all() and checked["largest |z|"].max() < 4.5
    assert checked.imbalance["cube"] < checked.imbalance["simple random"] / 2


def test_conditional_poisson_is_the_most_random_design(rng):
    pi = np.array([0.2, 0.4, 0.6, 0.8])
    C = factorial.conditional_poisson(pi, 40_000, rng)
    share = {pair: np.mean((C == pair).all(axis=1)) for pair in combinations(range(4), 2)}
    # its pairs have odds that are products: p(01) p(23) = p(02) p(13) = p(03) p(12)
    product = [share[a] * share[b] for a, b in (((0, 2), (1, 3)), ((0, 3), (1, 2)))]
    assert np.allclose(product, share[0, 1] * share[2, 3], atol=0.003)
    drawn = [sum(p for pair, p in share.items() if i in pair) for i in range(4)]
    assert np.allclose(drawn, pi, atol=0.01)


def test_a_cube_sample_is_balanced_where_it_can_be(rng):
    pi = np.full(12, 0.5)
    x = np.repeat([0.0, 1.0], 6)[:, None]  # half of each kind
    C = factorial.cube(pi, x, 200, rng)
    assert (np.isin(C, np.arange(6)).sum(axis=1) == 3).all()


def test_kernel_ridge_is_refitted_without_each_fold(source, rng):
    K = factorial.linear(source)
    C = rng.permutation(N)[:n]
    s = rng.random(n)
    w = rng.random(n) + 1
    value = 0.0
    for k in range(factorial.FOLDS):
        out = np.arange(n) // 2 == k
        a = np.linalg.solve(K[np.ix_(C[~out], C[~out])] + 3.0 * np.eye(n - 2), s[~out])
        g = K[:, C[~out]] @ a
        value += g.mean() / factorial.FOLDS + (w[out] * (s[out] - g[C[out]])).sum() / N
    found = factorial.kernel_ridge(K, 3.0)(C[None], w[None], s[None])
    assert np.allclose(found, value)


def test_a_full_sample_is_exact_with_every_corrected_estimator(source, rng):
    """With all items drawn, weights of 1, nothing is left to predict."""
    target = (rng.random((2, N)) < 0.7).astype(float)
    C = np.tile(rng.permutation(N), (2, 1))
    s = factorial.take(target, C)
    for name, estimate in factorial.estimators(source, factorial.prior(source)).items():
        off = np.abs(estimate(C, np.ones(C.shape), s) - target.mean(axis=1))
        exact = ("none", "weighted mean", "prior g", "multiplier")
        assert (off < 1e-9).all() if name in exact else (off < 0.2).all(), name


def test_the_table_has_every_cell_and_its_kind(source, rng):
    target = (rng.random((4, N)) < 0.7).astype(float)
    study = partial(factorial.study, source, target, 0.25, 2.5, n, 4, rng)
    results = {("one split", b): factorial.in_turn([study(), study()]) for b in ("a", "b")}
    grid = factorial.table(results)
    assert len(grid) == 13 * 10 + 2 and (grid.half > 0).all()
    assert (grid.kind == "exact").sum() == 13 * 2 + 2 + 5 and (grid.kind == "biased").sum() == 13
    new, old = ("cube", "prior g"), ("cube", "none")
    change, half = factorial.bought(results, grid, "one split", new, old)
    at = grid.set_index(["design", "estimator"]).change
    assert np.isclose(change, at[new] - at[old]) and half > 0


def test_an_oracle_gains_more_with_the_ideal_draw(source, rng):
    target = (rng.random((3, N)) < np.linspace(0.95, 0.2, N)).astype(float)
    limits = factorial.oracle_limits(source, target, n, rng)
    assert len(limits) == 6
    random, ideal = limits["2PL, 1 dimension"]
    assert ideal < random < 0
