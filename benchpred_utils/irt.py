"""Item response theory: the 2PL model P(s = 1) = sigmoid(a'theta + b) of a model's ability theta and an item's a and b,
and the methods that choose items by it, or by difficulty alone, and read the core set through it.

As in :mod:`optimised`, the designs learn from the sources and give what they learned to the estimators.
"""

import warnings
from functools import cache
from itertools import product
from typing import NamedTuple

import numpy as np
from scipy.linalg import block_diag
from threadpoolctl import ThreadpoolController

from . import backend
from .backend import asarray_like, device, namespace
from .designs import checked_budget
from .estimators import Estimate, matvec
from .lbfgs import minimum
from .shared import chunks, once_per_source

__all__ = [
    "TwoPL",
    "fit_2pl",
    "gp_irt",
    "irt_anchors",
    "logistic_map",
    "metabench",
    "metabench_items",
    "p_irt",
    "sigmoid",
    "sort_and_search",
    "sorted_by_difficulty",
]

DIMS = 10  # of the abilities (Polo et al. 2024)

# Of a target's ability.  Maximum likelihood, as published, is infinite where the abilities can separate the n scores,
# which is usual with 10 dimensions and n = 50.  The ridge keeps it finite; its size comes from sources alone: with a
# fifth of them held out (interpolation, n = 50, mean over the six benchmarks) the gap of p-IRT is 4.10 points at 1e-6,
# 3.82 at 0.01, 3.72 at 0.1 and 5.27 at 1.
RIDGE = 0.1
BLOCK = (
    2**22
)  # bytes of working arrays that a processor's cache holds: half the time of blocks beyond it
ALL = (slice(None),)  # the items, in one block
_threads = ThreadpoolController()  # one thread: rounding differs with their number


# --- the multidimensional 2PL -----------------------------------------------------------------------------------------


class TwoPL(NamedTuple):
    """A fitted 2PL model, unique up to a rotation of the K dimensions."""

    abilities: object  # (M, K) theta
    items: object  # (N, K + 1): the slopes a, then the intercept b


def fit_2pl(scores, dims=DIMS, tolerance=1e-6, limit=5000, dtype=None, max_memory=BLOCK):
    """The joint posterior mode of the 2PL with standard normal priors, from scores (M, N) in [0, 1]: a TwoPL.

    It maximises sum s log p + (1 - s) log(1 - p) - |theta|^2/2 - |a|^2/2 - |b - mean b|^2/2 over all theta, a and b.
    L-BFGS from the singular vectors of the residuals, preconditioned by the Hessian's blocks (some 100 steps), until
    ten steps gain less than `tolerance` of the log posterior apiece.  All arrays stay on the device of `scores`.

    The precision is `dtype`, else that of `scores` (float64 for scores in bytes); in float32 no tolerance below 1e-6
    can be met.  Items are worked on in blocks, whose arrays take `max_memory` bytes: BLOCK suits a processor's cache,
    and a GPU wants 2**28 or more.  Beside them it takes some 25 float64 numbers a parameter, and a few M x M matrices.
    """
    xp, n_models = namespace(scores), scores.shape[0]
    dtype = _dtype(scores, dtype)
    blocks = chunks(
        scores.shape[1], n_models * xp.finfo(dtype).bits, max_memory
    )  # eight arrays (M, block) at a time
    objective = lambda x: _objective(xp.astype(x, dtype), scores, blocks)
    preconditioner = lambda x: _preconditioner(xp.astype(x, dtype), n_models, blocks)
    x = xp.astype(_start(scores, min(dims, *scores.shape), blocks, dtype), xp.float64)
    x = xp.astype(minimum(objective, preconditioner, x, tolerance, limit), dtype)
    return TwoPL(x[:n_models, :-1], x[n_models:, :])


def _dtype(scores, dtype=None):
    """The precision in which scores are worked on: `dtype`, else their own, else float64."""
    return backend.floating(scores[:1, :1], dtype).dtype


def _start(scores, dims, blocks=ALL, dtype=None):
    """The first parameters, (M + N, K + 1): rows (theta, 1) of the models, then (a, b) of the items.

    b are the logits of the item means, theta and a the first singular vectors of (s - p)/(p (1 - p) + 0.1).
    """
    xp = namespace(scores)

    def residuals():
        for block in blocks:
            s = backend.floating(scores[:, block], dtype)
            p = (xp.sum(s, axis=0) + 1) / (s.shape[0] + 2)
            yield p, (s - p) / (p * (1 - p) + 0.1)

    squares, u = xp.linalg.eigh(sum(r @ xp.matrix_transpose(r) for _, r in residuals()))
    u = xp.flip(u, axis=1)[:, :dims]
    size = xp.clip(xp.flip(squares)[:dims], 1e-6, None) ** 0.25  # the roots of the singular values
    rows = [xp.concat([u * size, xp.ones_like(u[:, :1])], axis=1)]
    for p, r in residuals():
        rows.append(
            xp.concat([xp.matrix_transpose(r) @ u / size, xp.log(p / (1 - p))[:, None]], axis=1)
        )
    return xp.concat(rows)


def _objective(x, scores, blocks=ALL):
    """Minus the log posterior at x (M + N, K + 1), summed in float64, and its gradient in x."""
    xp = namespace(x)
    n_models = scores.shape[0]
    models, items = x[:n_models, :], x[n_models:, :]
    prior = xp.asarray(x, copy=True)
    prior[:n_models, -1] = 0.0  # the 1 beside each theta: no parameter
    prior[n_models:, -1] -= xp.mean(items[:, -1])
    value, of_models, of_items = xp.sum(prior**2, dtype=xp.float64) / 2, 0.0, []
    for block in blocks:
        s = backend.floating(scores[:, block], x.dtype)
        loss, p = _bernoulli(models @ xp.matrix_transpose(items[block, :]), s)
        value = value + xp.sum(loss, dtype=xp.float64)
        p -= s
        of_models = of_models + p @ items[block, :]
        of_items.append(xp.matrix_transpose(p) @ models)
    gradient = prior + xp.concat([of_models, *of_items])
    gradient[:n_models, -1] = 0.0
    return float(value), xp.astype(gradient, xp.float64)


def _bernoulli(logits, scores):
    """Minus the log likelihood of each score, and its probability."""
    xp = namespace(logits)
    p = sigmoid(logits)
    return xp.maximum(logits, 0.0) - scores * logits - xp.log(xp.maximum(p, 1 - p)), p


def _preconditioner(x, n_models, blocks=ALL):
    """The inverse of the Hessian's block of each model and of each item, as a function of a gradient.

    A block is I + sum w x x', w = p (1 - p); with w replaced by its mean in the block, one eigendecomposition of X'X
    serves all models, and another all items.
    """
    xp = namespace(x)
    models, items = x[:n_models, :], x[n_models:, :]
    of_models, of_items = 0.0, []
    for block in blocks:
        p = sigmoid(models @ xp.matrix_transpose(items[block, :]))
        w = p * (1 - p)
        of_models = of_models + xp.sum(w, axis=1) / items.shape[0]
        of_items.append(xp.mean(w, axis=0))
    turns = []
    for others, w in ((items[:, :-1], of_models), (models, xp.concat(of_items))):
        values, q = xp.linalg.eigh(xp.matrix_transpose(others) @ others)
        turns.append((q, 1 / (1 + w[:, None] * values)))
    turn = lambda g, q, scale: ((g @ q) * scale) @ xp.matrix_transpose(q)

    def inverse(g):
        of_models = xp.concat([turn(g[:n_models, :-1], *turns[0]), g[:n_models, -1:]], axis=1)
        return xp.concat([of_models, turn(g[n_models:, :], *turns[1])])

    return inverse


def _fit_fast(source):
    """The 2PL in single precision: faster, with the estimation gap of the converged fit (see the tests)."""
    with _threads.limit(limits=1):
        fit = fit_2pl(source, dtype=namespace(source).float32)
    return TwoPL(*(namespace(source).astype(values, _dtype(source)) for values in fit))


_fitted = once_per_source(_fit_fast)


# --- one side of it: logistic regressions -----------------------------------------------------------------------------


def logistic_map(x, offset, observed, ridge, limit=200):
    """Penalised logistic regressions of observed (T, P, n) on x (T, n, K) with offsets (T, n): beta (T, P, K).

    Each minimises sum log(1 + e^l) - s l + ridge |beta|^2/2, l = x beta + offset, by Newton steps, halved where they
    fail; no regression's result depends on the others beyond rounding.  Abilities for given items, or the reverse.
    """
    xp = namespace(x)
    k = x.shape[2]
    rounding = xp.finfo(x.dtype).eps
    products = xp.reshape(x[..., :, None] * x[..., None, :], (*x.shape[:2], k * k))
    penalty = ridge * xp.eye(k, dtype=x.dtype, device=device(x))

    def objective(beta):
        loss, p = _bernoulli(beta @ xp.matrix_transpose(x) + offset[:, None, :], observed)
        return xp.sum(loss, axis=-1) + ridge * xp.sum(beta**2, axis=-1) / 2, p

    beta = xp.zeros((*observed.shape[:2], k), dtype=x.dtype, device=device(x))
    value, p = objective(beta)
    size = xp.ones_like(value)
    for _ in range(limit):
        hessian = xp.reshape((p * (1 - p)) @ products, (*beta.shape, k)) + penalty
        step = xp.linalg.solve(hessian, ((p - observed) @ x + ridge * beta)[..., None])[..., 0]
        new = beta - size[..., None] * step
        new_value, new_p = objective(new)
        better = new_value <= value + 1e3 * rounding * (1 + xp.abs(value))
        beta, p = xp.where(better[..., None], new, beta), xp.where(better[..., None], new_p, p)
        value, size = (
            xp.where(better, new_value, value),
            xp.where(better, xp.ones_like(size), size / 2),
        )
        if xp.max(xp.abs(step)) < 7 * rounding**0.5:  # convergence is quadratic
            break
    return beta


def _abilities(items, observed, ridge):
    """Of targets with the scores observed (T, P, n) on the items (T, n, K + 1): (T, P, K)."""
    return logistic_map(items[..., :-1], items[..., -1], observed, ridge)


def _predicted(abilities, items):
    """The probabilities (..., P, n) of abilities (..., P, K) on items (..., n, K + 1)."""
    logits = (
        abilities @ namespace(items).matrix_transpose(items[..., :-1]) + items[..., None, :, -1]
    )
    return sigmoid(logits)


def sigmoid(logits):
    """The logistic function."""
    return (1 + namespace(logits).tanh(logits / 2)) / 2  # exp would overflow


# --- p-IRT and gp-IRT -------------------------------------------------------------------------------------------------


def irt_anchors(source, n, rng):
    """The items nearest to the centres of n clusters of item parameters (a, b): k-means (Polo et al. 2024).

    Gives (core (n,), cluster shares (n,), items (N, K + 1), lambda) to `p_irt` and `gp_irt`, which see the same draws.
    An item nearest to two centres is taken once, and the next nearest for the second.  k-means (scikit-learn, on the
    host) is started once.
    """
    n_items = checked_budget(source.shape[1], n)
    KMeans, ConvergenceWarning, threads = _k_means()
    items = backend.to_numpy(_fitted(source).items)
    with warnings.catch_warnings(), threads.limit(limits=1):
        warnings.simplefilter(
            "ignore", ConvergenceWarning
        )  # fewer distinct items than clusters: some share is 0
        kmeans = KMeans(n, n_init=1, random_state=int(rng.integers(2**31))).fit(items)
        distance = kmeans.transform(items)
    core = _distinct(distance.T)
    return core, np.bincount(kmeans.labels_, minlength=n) / n_items, items, _mixture(source, n)


@cache
def _k_means():
    """scikit-learn's, which takes as long to load as the whole package, with its warning and the control of its threads."""
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    return KMeans, ConvergenceWarning, ThreadpoolController()


def _distinct(cost):
    """For each row of cost (n, N) in turn the cheapest column that is not taken yet: (n,).  It writes on `cost`."""
    core = []
    for i in range(cost.shape[0]):
        core.append(int(namespace(cost).argmin(cost[i, :])))
        cost[:, core[i]] = np.inf
    return np.array(core, dtype=np.int64)


def p_irt(source, core, observed, shares, items, mixture):
    """n/N x the core mean + (1 - n/N) x the mean of the 2PL's predictions for the rest (Polo et al. 2024).

    The target's ability is fitted on the core set alone, by maximum likelihood with a small ridge (see RIDGE).
    """
    xp = namespace(observed)
    own = xp.take_along_axis(items, core[..., None], axis=1)
    theta = _abilities(own, observed, RIDGE)
    total = xp.sum(observed - _predicted(theta, own), axis=-1) + xp.sum(
        _predicted(theta, items), axis=-1
    )
    return Estimate(total / items.shape[1])


def gp_irt(source, core, observed, shares, items, mixture):
    """lambda x the anchors' mean, weighted by cluster shares, + (1 - lambda) x p-IRT (Polo et al. 2024).

    lambda = b^2/(v + b^2) weighs p-IRT's bias b against the anchors' variance v = sigma^2/(4n).  (The authors' code
    fits the same model twice before the one for b.)
    """
    xp = namespace(observed)
    anchors = xp.sum(observed * shares[:, None, :], axis=-1)
    predicted = p_irt(source, core, observed, shares, items, mixture).value
    return Estimate(mixture[:, None] * anchors + (1 - mixture[:, None]) * predicted)


@once_per_source
def _mixture(source, n):
    """lambda of `gp_irt` from the sources, as the authors have it (tinyBenchmarks, "training your own IRT models").

    b: a 2PL is fitted without every fifth source; from the even items of each of those its mean on the odd ones is
    predicted; b is the mean absolute error.  sigma^2: the mean over the sources of the variance of a source's scores.
    """
    xp = namespace(source)
    if source.shape[0] < 2:
        raise ValueError(
            "one source model isn't enough: some are left out of the fit to see how far it is off"
        )
    held_out = np.arange(source.shape[0]) % 5 == 0
    select = lambda which: xp.take(source, asarray_like(np.flatnonzero(which), source), axis=0)
    items, rows = _fit_fast(select(~held_out)).items, backend.floating(select(held_out))
    predicted = _predicted(
        _abilities(items[None, ::2, :], rows[None, :, ::2], RIDGE)[0, ...], items[1::2, :]
    )
    b = float(xp.mean(xp.abs(xp.mean(predicted, axis=1) - xp.mean(rows[:, 1::2], axis=1))))
    return b**2 / (float(xp.mean(xp.var(backend.floating(source), axis=1))) / (4 * n) + b**2)


# --- metabench --------------------------------------------------------------------------------------------------------


def metabench_items(source, n, rng):
    """The most informative item at each of n quantiles of the sources' abilities (Kipnis et al. 2024).

    The abilities are those of a one-dimensional 2PL, by two alternations of items and abilities from the logits of the
    accuracies; the Fisher information of an item is a^2 p (1 - p).  No item is taken twice, no random number drawn.
    With few sources it overfits: items are taken whose slopes came out steep by chance, and the additive model then
    sees the very sources that made them so.  (Fitted on other sources than the items, its bias all but vanishes.)
    Gives (core (n,), its items (n, 2), the coefficients of the additive model) to `metabench`.
    """
    checked_budget(source.shape[1], n)
    return _metabench_items(source, n)


def metabench(source, core, observed, items, coefficients):
    """An additive model of the full accuracy on the ability, from the core set, and the core mean (Kipnis et al. 2024).

    The target's ability is the posterior mode under the standard normal prior, given the items.  (The authors fit the
    2PL anew on the core set, and their model for one benchmark has no core mean.)
    """
    xp = namespace(observed)
    theta = _abilities(items, observed, 1.0)[..., 0]
    terms = _spline_terms(theta, xp.mean(observed, axis=-1))
    return Estimate(xp.sum(terms * coefficients[:, None, :], axis=-1))


@once_per_source
def _metabench_items(source, n):
    xp = namespace(source)
    theta, items = _fit_by_alternation(source)
    quantiles = np.quantile(backend.to_numpy(theta), (np.arange(n) + 0.5) / n)
    p = _predicted(asarray_like(quantiles, theta)[:, None], items)  # (n, N)
    core = _distinct(-(items[:, 0] ** 2) * p * (1 - p))  # the Fisher information
    index = asarray_like(core, source)
    own, observed = xp.take(items, index, axis=0), backend.floating(xp.take(source, index, axis=1))
    ability = _abilities(own[None, ...], observed[None, ...], 1.0)[0, :, 0]  # as a target's will be
    terms, y = (
        _spline_terms(ability, xp.mean(observed, axis=1)),
        xp.sum(source, axis=1, dtype=theta.dtype) / p.shape[1],
    )
    coefficients = _fit_additive(*map(backend.to_numpy, (terms, y)))  # small: on the host
    return core, backend.to_numpy(own), coefficients


def _fit_by_alternation(source, times=2):
    """Abilities (M,) and items (N, 2) of a one-dimensional 2PL with the priors of `fit_2pl`, either side in turn."""
    xp = namespace(source)
    n_models, n_items = source.shape
    logit = lambda right, of: xp.log((right + 0.5) / (of - right + 0.5))
    right = lambda axis: xp.sum(source, axis=axis, dtype=_dtype(source))
    theta = logit(right(1), n_items)
    theta = (theta - xp.mean(theta)) / max(float(xp.std(theta)), 1e-6)
    prior = xp.stack(
        [xp.zeros_like(theta[0]), xp.mean(logit(right(0), n_models))]
    )  # of slope and intercept
    side = lambda function, parts: xp.concat(
        [function(backend.floating(part)[None, ...])[0, ...] for part in parts]
    )
    for _ in range(times):
        x = xp.stack([theta, xp.ones_like(theta)], axis=1)[None, ...]
        by_item = (xp.matrix_transpose(source[:, part]) for part in chunks(n_items, 64 * n_models))
        items = prior + side(lambda s: logistic_map(x, x @ prior, s, 1.0), by_item)
        by_model = (source[part, :] for part in chunks(n_models, 64 * n_items))
        theta = side(lambda s: _abilities(items[None, ...], s, 1.0), by_model)[:, 0]
    return theta, items


# The additive model: penalised B-splines (Eilers & Marx 1996) on a grid of knots that no ability and no mean leaves, so
# that it is linear where there are no sources.  (statsmodels' GLMGam is about as good, 5.07 points of error on held-out
# sources to 5.20, but takes some 60 ms to 2, and raises PerfectSeparationError where a fit is exact.)
_KNOTS = (
    (-6.0, 6.0, 12),
    (0.0, 1.0, 10),
)  # of ability and core mean: first, last, number of segments


def _spline_terms(*variables):
    """The B-splines of each variable (...), side by side: (..., 15 + 13)."""
    xp = namespace(variables[0])
    terms = []
    for values, (low, high, segments) in zip(variables, _KNOTS):
        place = (xp.clip(values, low, high) - low) / (high - low) * segments
        middles = xp.arange(segments + 3, dtype=values.dtype, device=device(values)) - 1
        u = xp.abs(place[..., None] - middles)
        terms.append((xp.clip(2 - u, 0.0, None) ** 3 - 4 * xp.clip(1 - u, 0.0, None) ** 3) / 6)
    return xp.concat(terms, axis=-1)


def _fit_additive(terms, y, penalties=10.0 ** np.arange(-4, 5)):
    """The coefficients of terms (M, C) for y (M,), with a penalty on second differences for either variable.

    The two penalties have the least generalised cross-validation score M RSS / (M - trace H)^2 (Wood 2017, sec. 6.2).
    """
    sizes = [segments + 3 for _, _, segments in _KNOTS]
    differences = block_diag(*(np.diff(np.eye(size), 2, axis=0) for size in sizes))
    pairs = np.array([*product(penalties, penalties)])
    weights = np.repeat(pairs, [size - 2 for size in sizes], axis=1)[:, None, :]
    gram = terms.T @ terms
    systems = gram + (differences.T * weights) @ differences + 1e-8 * np.eye(len(gram))
    solved = np.linalg.solve(systems, np.concatenate([gram, (terms.T @ y)[:, None]], axis=1))
    coefficients, freedom = solved[..., -1], np.trace(solved[..., :-1], axis1=1, axis2=2)
    score = (
        np.square(y - coefficients @ terms.T).sum(axis=1)
        / (len(y) - np.minimum(freedom, len(y) - 1e-3)) ** 2
    )
    return coefficients[score.argmin()]


# --- Sort & Search ----------------------------------------------------------------------------------------------------


def sorted_by_difficulty(source, n, rng):
    """Every (N/n)-th item in order of the sources' mean score, easiest first, from a random start (Prabhu et al. 2024).

    Gives (core (n,), places (n,)) to `sort_and_search`, the place of an item being its position 0, ..., N - 1.
    """
    n_items = checked_budget(source.shape[1], n)
    xp = namespace(source)
    order = backend.to_numpy(xp.argsort(-xp.sum(source, axis=0, dtype=xp.float64), stable=True))
    places = ((np.arange(n) + rng.random()) * (n_items / n)).astype(np.int64)
    return order[places], places.astype(float)


def sort_and_search(source, core, observed, places):
    """The position, over N, of the threshold with the best cumulative agreement: right before it, wrong after it.

    With k of the n core items before it, the agreement is sum_{i <= k} s + sum_{i > k} (1 - s); the threshold lies half
    way between the k-th core item and the next, and is averaged over the best k if there are several.  (In the authors'
    code the k-th item itself, which k = 0 and k = 1 share, is the first that is wrong.)
    """
    xp = namespace(observed)
    n_items = source.shape[1]
    none, ends = xp.zeros_like(observed[..., :1]), xp.zeros_like(places[:, :1])
    agreement = xp.concat(
        [none, xp.cumulative_sum(2 * observed - 1, axis=-1)], axis=-1
    )  # but for a constant
    best = agreement >= xp.max(agreement, axis=-1, keepdims=True) - 1e-9
    threshold = (
        xp.concat([ends, places + 1], axis=1) + xp.concat([places, ends + n_items], axis=1)
    ) / 2
    best = xp.astype(best, observed.dtype)
    return Estimate(matvec(best, threshold) / xp.sum(best, axis=-1) / n_items)
