"""Designs that learn from the sources which n items to take and how to read them.

Each gives a Draw of the items and of (weights (n,), intercept), which `estimators.weighted_sum`
reads. None of those here is unbiased: they are right about the targets as far as the targets
behave like the sources. The random search computes where the scores are; the others get them on the
host: for scikit-learn and kmedoids, and for the double optimisation, some hundred steps too small
for a GPU.
"""

import warnings
from importlib import import_module
from typing import NamedTuple

import numpy as np

from .backend import array_module, to_numpy
from .designs import Draw, checked_budget, uniform_core_sets
from .estimators import (
    ALPHAS,
    evaluate,
    observe,
    random_sampling_learn,
    ridge_loo,
)

GRID = np.logspace(-4, 1, 1000)  # those of the lasso


def slow_import(name):
    """A module of scikit-learn, or kmedoids: they take as long to load as this whole package."""
    return import_module(name)


# --- random search --------------------------------------------------------------------------------


def random_search_learn(source, n, rng, size=10_000):
    """The best of `size` random core sets, read by a ridge regression of accuracy on its scores.

    The ridge is `estimators.random_sampling_learn`'s, fitted on three quarters of the sources; the
    core set with the least mean absolute error on the other quarter wins, and is fitted again on
    all (Zhang, Dorner & Hardt 2025).
    """
    cores = uniform_core_sets(source.shape[1], n, size, rng)
    train, valid = _two_parts(source, 0.75, rng)
    # Branch and bound, as trying all core sets takes many times as long: the error under a penalty
    # is cheap, the penalty that leave-one-out chooses is not. The least of the errors is a lower
    # bound, by which a few dozen core sets are left.
    bound = _least_gaps(train, valid, cores)
    first = cores[bound.argsort()[:32]]
    least = _gaps(random_sampling_learn, train, valid, first).min()
    cores = cores[bound <= least + 1e-9]
    core = cores[_gaps(random_sampling_learn, train, valid, cores).argmin()]
    weights, intercept = ridge_loo(observe(source, core[None]), source.mean(axis=1))
    return Draw(core, (to_numpy(weights[0]), float(intercept[0])))


def _gaps(estimator, train, valid, cores):
    """The mean absolute error (B,) of an estimator that learns from `train`, on `valid`."""
    value = evaluate(estimator, train, valid, cores).value
    return to_numpy(abs(value - valid.mean(axis=1)).mean(axis=1))


def _least_gaps(train, valid, cores):
    """The least mean absolute error on `valid`, over the penalties, of a ridge on `train`: (B,)."""
    xp = array_module(train)
    n_train = len(train)
    z = (xp.concat([train, valid]) - train.mean(axis=0)).T  # (N, models)
    accuracy = z.mean(axis=0)[:, None]  # less the mean of train
    penalties = xp.asarray(ALPHAS)[:, None, None] * xp.eye(n_train)
    least = []
    for start in range(0, len(cores), 32):  # the systems of so many fit a processor's cache
        x = z[cores[start : start + 32]]  # (part, n, models)
        gram = (x.swapaxes(1, 2) @ x[..., :n_train])[:, None]
        systems = gram[..., :n_train, :] + penalties
        duals = xp.linalg.solve(systems, accuracy[:n_train] + 0 * systems[..., :1])
        errors = gram[..., n_train:, :] @ duals - accuracy[n_train:]
        least.append(abs(errors).mean(axis=(2, 3)).min(axis=1))
    return to_numpy(xp.concat(least))


# --- lasso ----------------------------------------------------------------------------------------


def lasso(source, n, rng, grid=GRID):
    """The items with a weight in a lasso regression of accuracy on all items, and those weights.

    The penalty is, on the grid, the one with the most non-zero weights not above n, the least if
    there are several; random items of weight 0 fill up the core set.  The path is computed exactly,
    by least angle regression (Efron, Hastie, Johnstone & Tibshirani 2004), on scores with a noise
    of 1e-6: the columns of a 0/1 matrix are not in general position, many sets of weights are
    optimal, and the noise picks one with no more weights than models.  (The coordinate descent of
    the authors' code ends in some other optimum, with more of them, so at a larger penalty.)
    """
    checked_budget(source.shape[1], n)
    y = source.mean(axis=1)
    x = source + 1e-6 * rng.standard_normal(source.shape)
    lars_path = slow_import("sklearn.linear_model").lars_path
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the path ends, and says so, where all is explained
        knots, _, path = lars_path(
            x - x.mean(axis=0), y - y.mean(), method="lasso", alpha_min=grid[0], max_iter=10**5
        )
    # It is linear in between: (N, penalties).
    weights = np.array([np.interp(grid, knots[::-1], way[::-1]) for way in path])
    weights[abs(weights) < 1e-9] = 0.0
    count = (weights != 0).sum(axis=0)
    w = weights[:, np.where(count <= n, count, -1).argmax()]
    chosen = np.flatnonzero(w)
    others = rng.permutation(np.flatnonzero(w == 0))
    core = np.concatenate([chosen, others[: n - len(chosen)]])
    return Draw(core, (w[core], y.mean() - source[:, core].mean(axis=0) @ w[core]))


# --- double optimisation --------------------------------------------------------------------------


def double_optimize(source, n, rng, steps=1000):
    """Weights w and a choice p of the items, learned together by gradient descent: sum of w s / n.

    C holds the n items with the largest p; the gradient passes to p as if the choice were p itself
    (straight through), and p is projected on {0 <= p <= 1, sum p = n}.  The loss is the mean
    squared error of the accuracy on four fifths of the sources; the rest say which step was the
    best, and when to stop: 100 steps after it (Zhang, Dorner & Hardt 2025).  The steps are Adam's
    (Kingma & Ba 2015), .1 for w and .001 for p, with a weight decay of 1e-4.
    """
    n_items = checked_budget(source.shape[1], n)
    shuffled = rng.permutation(n_items)  # all p are equal at first: the order must not matter
    train, valid = _two_parts(source[:, shuffled], 0.8, rng)
    w_and_p = np.stack([rng.standard_normal(n_items), np.full(n_items, n / n_items)])
    first = np.zeros((2, n_items))  # moments of the gradient
    second = np.zeros((2, n_items))
    least = np.inf
    for step in range(1, steps + 1):
        w, p = w_and_p
        core = np.argpartition(-p, n - 1)[:n]
        loss = np.square(valid[:, core] @ w[core] / n - valid.mean(axis=1)).mean()
        if loss < least:
            least = loss
            best_step = step
            best = Draw(shuffled[core], (w[core] / n, 0.0))
        elif step > best_step + 100:
            break
        residual = train[:, core] @ w[core] / n - train.mean(axis=1)
        slope = 2 / (n * len(train)) * (residual @ train)
        gradient = 1e-4 * w_and_p
        gradient[0, core] += slope[core]
        gradient[1] += slope * w
        first += (1 - 0.9) * (gradient - first)
        second += (1 - 0.999) * (gradient**2 - second)
        direction = first / (1 - 0.9**step) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
        w_and_p = w_and_p - [[0.1], [0.001]] * direction
        w_and_p[1] = _capped_simplex(w_and_p[1], n)
    return best


def _capped_simplex(p, n):
    """The nearest point of {0 <= x <= 1, sum x = n}: clip(p - shift, 0, 1)."""

    def excess(shift):
        return np.clip(p - shift, 0.0, 1.0).sum() - n

    shift = slow_import("scipy.optimize").brentq(excess, p.min() - 1, p.max())
    return np.clip(p - shift, 0.0, 1.0)


# --- anchor points --------------------------------------------------------------------------------


class ItemCorrelations(NamedTuple):
    """What anchor points learn from the sources."""

    correlations: np.ndarray  # (N, N) float32; of a constant item 0, or 1 with others of its score
    mean: np.ndarray  # (N,)
    deviation: np.ndarray  # (N,)


def item_correlations(source, n):
    """The correlations of the items over the source models, their means and deviations."""
    source = to_numpy(source)
    mean = source.mean(axis=0)
    deviation = source.std(axis=0)
    constant = np.flatnonzero(deviation < 1e-6)
    norm = deviation * len(source) ** 0.5
    norm[constant] = 1.0
    x = np.float32((source - mean) / norm)  # 11,496 items: half a gigabyte
    correlations = x.T @ x
    score = source[0, constant]
    correlations[np.ix_(constant, constant)] = np.abs(score[:, None] - score) < 1e-6
    return ItemCorrelations(correlations, mean, deviation)


def anchor_points_weighted(learned, n, rng):
    """The medoids of n clusters of items, each weighted by its cluster's share of the items.

    The distance of two items is 1 - their correlation over the source models (Vivek et al. 2024);
    FasterPAM from random medoids (Schubert & Rousseeuw 2021).  An item on which all sources score
    the same has no correlation: it is at distance 0 from those of the same score, 1 from all
    others.  (The authors' code gives all such items to the first anchor.)
    """
    n_items = checked_budget(len(learned.mean), n)
    core, nearest = _medoids(1 - learned.correlations, n, rng)
    return Draw(core, (np.bincount(nearest, minlength=n) / n_items, 0.0))


def anchor_points_predictor(learned, n, rng):
    """The medoids of n clusters of items, from which the others are predicted by least squares.

    The distance of two items is 1 - |their correlation|; so an item's medoid is the one that leaves
    the least of its variance unexplained.  With A the anchors, a(i) the one of item i and b_i its
    slope, the estimate is (sum over A of s + sum over the rest of m_i + b_i (s_a(i) - m_a(i))) / N,
    m the sources' means (Vivek et al. 2024).  Items on which all sources score the same are
    predicted without an anchor, and are anchors only when the others are fewer than n.  (The
    authors' code leaves the n observed items out of the mean.)
    """
    correlations, mean, deviation = learned
    n_items = checked_budget(len(mean), n)
    varying = np.flatnonzero(deviation > 1e-6)
    others = rng.permutation(np.flatnonzero(deviation <= 1e-6))
    if len(varying) <= n:
        core = np.concatenate([varying, others[: n - len(varying)]])
        weights = np.full(n, 1 / n_items)
    else:
        correlations = correlations[np.ix_(varying, varying)]
        medoids, nearest = _medoids(1 - np.abs(correlations), n, rng)
        core = varying[medoids]
        slope = correlations[medoids[nearest], np.arange(len(varying))]
        slope = slope * deviation[varying] / deviation[core[nearest]]
        slope[medoids] = 1.0  # an anchor predicts itself
        weights = np.bincount(nearest, slope, n) / n_items
    return Draw(core, (weights, mean.mean() - weights @ mean[core]))


def _medoids(distance, n, rng):
    """The n medoids of some items, and the number of each item's, which is a medoid's own."""
    seed = int(rng.integers(2**31))
    find = slow_import("kmedoids").fasterpam
    found = find(distance, n, init="random", random_state=seed, n_cpu=1)
    medoids = found.medoids.astype(int)
    nearest = found.labels.astype(int)
    nearest[medoids] = np.arange(n)
    return medoids, nearest


def host_matrix(source, n):
    """The sources' scores, on the host."""
    return to_numpy(source)


# --- what they share ------------------------------------------------------------------------------


def _two_parts(source, share, rng):
    """Two random parts of the sources: this share of them, at least two, and the rest."""
    n_models = len(source)
    if n_models < 3:
        raise ValueError(
            f"{n_models} source models can't be parted into some to learn from "
            "and some to validate on"
        )
    rows = rng.permutation(n_models)
    n_first = max(int(share * n_models), 2)
    return source[rows[:n_first]], source[rows[n_first:]]
