"""Item response theory: the 2PL model P(s = 1) = sigmoid(a'theta + b) of a model's ability theta and an item's a and b,
and the methods that choose items by it, or by difficulty alone, and read the core set through it.

As in :mod:`optimised`, the designs learn from the sources and give what they learned to the estimators.
"""

import warnings
from collections import deque
from typing import NamedTuple

import numpy as np
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import ThreadpoolController

from . import backend
from .backend import asarray_like, device, namespace
from .designs import checked_budget
from .estimators import Estimate, matvec
from .shared import once_per_source

__all__ = [
    "TwoPL",
    "fit_2pl",
    "gp_irt",
    "irt_anchors",
    "logistic_map",
    "metabench",
    "metabench_items",
    "p_irt",
    "sort_and_search",
    "sorted_by_difficulty",
]

DIMS = 10  # of the abilities (Polo et al. 2024)
RIDGE = 0.01  # of a target's ability: maximum likelihood, but finite where all observed scores are right
_threads = ThreadpoolController()  # one thread: rounding differs with their number, and k-means sees it


# --- the multidimensional 2PL -----------------------------------------------------------------------------------------


class TwoPL(NamedTuple):
    """A fitted 2PL model, unique up to a rotation of the K dimensions."""

    abilities: object  # (M, K) theta
    items: object  # (N, K + 1): the slopes a, then the intercept b


def fit_2pl(scores, dims=DIMS, tolerance=3e-6, limit=1000):
    """The joint posterior mode of the 2PL with standard normal priors, from scores (M, N) in [0, 1]: a TwoPL.

    It maximises sum s log p + (1 - s) log(1 - p) - |theta|^2/2 - |a|^2/2 - |b - mean b|^2/2 over all theta, a and b.
    Limited-memory BFGS (Nocedal & Wright 2006, alg. 7.4) from the singular vectors of the residuals, preconditioned by
    the blocks of the Hessian: some 100 steps.  It ends when a step promises less than `tolerance` of the log posterior.
    The precision is that of `scores`; in float32 no tolerance below 1e-6 can be met.
    """
    xp = namespace(scores)
    n_models, history = scores.shape[0], deque(maxlen=10)
    x = _start(scores, min(dims, *scores.shape))
    value, gradient, p = _objective(x, scores)
    for _ in range(limit):
        step = _direction(gradient, history, _preconditioner(x, p))
        promise, size = float(xp.sum(gradient * step)), 1.0
        if promise < tolerance * value:
            break
        found = _objective(x - step, scores)
        while found[0] > (1 + 1e-6) * value and size > 1e-4:
            size /= 2
            found = _objective(x - size * step, scores)
        change, curvature = -size * step, found[1] - gradient
        history.append((change, curvature, float(xp.sum(change * curvature))))
        if history[-1][2] <= 1e-10 * float(xp.sum(curvature**2)):
            history.pop()  # not convex along the step
        x, (value, gradient, p) = x + change, found
    return TwoPL(x[:n_models, :-1], x[n_models:, :])


def _start(scores, dims):
    """The first parameters, (M + N, K + 1): rows (theta, 1) of the models, then (a, b) of the items.

    b are the logits of the item means, theta and a the first singular vectors of (s - p)/(p (1 - p) + 0.1).
    """
    xp = namespace(scores)
    n_models = scores.shape[0]
    p = (xp.sum(scores, axis=0) + 1) / (n_models + 2)
    residual = (scores - p) / (p * (1 - p) + 0.1)
    squares, u = xp.linalg.eigh(residual @ xp.matrix_transpose(residual))
    values, u = xp.sqrt(xp.clip(xp.flip(squares)[:dims], 1e-6, None)), xp.flip(u, axis=1)[:, :dims]
    a = xp.matrix_transpose(residual) @ u / values
    rows = xp.concat([u, a]) * xp.sqrt(values / 10)
    last = xp.concat([xp.ones_like(scores[:, 0]), xp.log(p / (1 - p))])
    return xp.concat([rows, last[:, None]], axis=1)


def _objective(x, scores):
    """Minus the log posterior at x (M + N, K + 1), its gradient in x, and the probabilities p (M, N)."""
    xp = namespace(x)
    n_models = scores.shape[0]
    models, items = x[:n_models, :], x[n_models:, :]
    logits = models @ xp.matrix_transpose(items)
    e = xp.exp(-xp.abs(logits))
    p = xp.where(logits >= 0, 1.0, e) / (1 + e)
    prior = xp.asarray(x, copy=True)
    prior[:n_models, -1] = 0.0  # the 1 beside each theta: no parameter
    prior[n_models:, -1] -= xp.mean(items[:, -1])
    value = xp.sum(xp.clip(logits, 0.0, None) - scores * logits + xp.log(1 + e)) + xp.sum(prior**2) / 2
    residual = p - scores
    gradient = xp.concat([residual @ items, xp.matrix_transpose(residual) @ models]) + prior
    gradient[:n_models, -1] = 0.0
    return float(value), gradient, p


def _preconditioner(x, p):
    """The inverse Hessian block of each model and of each item, as a function of the gradient.

    A block is I + sum w x x', w = p (1 - p); with w replaced by its mean in the block, one eigendecomposition of X'X
    serves all models, and another all items.
    """
    xp = namespace(x)
    n_models, w = p.shape[0], p * (1 - p)
    parts = []
    for x_other, w_mean in ((x[n_models:, :-1], xp.mean(w, axis=1)), (x[:n_models, :], xp.mean(w, axis=0))):
        values, q = xp.linalg.eigh(xp.matrix_transpose(x_other) @ x_other)
        parts.append((1 / (1 + w_mean[:, None] * values), q, xp.matrix_transpose(q)))
    (scale, q, qt), (scale_items, q_items, qt_items) = parts

    def precondition(g):
        models = ((g[:n_models, :-1] @ q) * scale) @ qt
        models = xp.concat([models, g[:n_models, -1:]], axis=1)
        return xp.concat([models, ((g[n_models:, :] @ q_items) * scale_items) @ qt_items])

    return precondition


def _direction(gradient, history, precondition):
    """The inverse Hessian that the last steps suggest, times the gradient: the two loops of L-BFGS."""
    xp = namespace(gradient)
    weights = []
    for change, curvature, product in reversed(history):
        weights.append(float(xp.sum(change * gradient)) / product)
        gradient = gradient - weights[-1] * curvature
    step = precondition(gradient)
    for (change, curvature, product), weight in zip(history, reversed(weights)):
        step = step + (weight - float(xp.sum(curvature * step)) / product) * change
    return step


@once_per_source
def _fitted(source):
    """The 2PL of all sources, in single precision: up to twice as fast, with the estimation gap of the converged fit.

    (p-IRT, 100 splits x 8 core sets, n = 50, against float64 and a tolerance of 1e-11, in points: OpenBookQA
    +0.01 +- 0.03, MATH +0.06 +- 0.03, GSM8K +0.00 +- 0.04; the log posterior is 1e-4 off on average, 2e-3 at most.)
    """
    xp = namespace(source)
    with _threads.limit(limits=1):
        fit = fit_2pl(xp.astype(source, xp.float32))
    return TwoPL(*(xp.astype(values, source.dtype) for values in fit))


# --- one side of it: logistic regressions -----------------------------------------------------------------------------


def logistic_map(x, offset, observed, ridge, limit=100):
    """Penalised logistic regressions of observed (T, P, n) on x (T, n, K) with offsets (T, n): beta (T, P, K).

    Each minimises sum log(1 + e^l) - s l + ridge |beta|^2/2, l = x beta + offset, by Newton steps, halved where they
    fail; no regression's result depends on the others beyond rounding.  Abilities for given items, or the reverse.
    """
    xp = namespace(x)
    k = x.shape[2]
    products = xp.reshape(x[..., :, None] * x[..., None, :], (*x.shape[:2], k * k))
    penalty = ridge * xp.eye(k, dtype=x.dtype, device=device(x))
    beta = xp.zeros((*observed.shape[:2], k), dtype=x.dtype, device=device(x))
    value, p = _logistic_value(beta, x, offset, observed, ridge)
    open_ = xp.ones_like(value, dtype=xp.bool)
    for _ in range(limit):
        slope = (p - observed) @ x + ridge * beta
        hessian = xp.reshape((p * (1 - p)) @ products, (*beta.shape, k)) + penalty
        step = xp.linalg.solve(hessian, slope[..., None])[..., 0]
        new, new_value, new_p, size = beta, value, p, xp.ones_like(value)
        trying = open_
        for _ in range(30):
            new = xp.where(trying[..., None], beta - size[..., None] * step, new)
            new_value, new_p = _logistic_value(new, x, offset, observed, ridge)
            trying = open_ & (new_value > value + 1e-12 * (1 + xp.abs(value)))
            if not xp.any(trying):
                break
            size = xp.where(trying, size / 2, size)
        beta, value, p = new, new_value, new_p
        open_ = open_ & (xp.max(xp.abs(step), axis=-1) > 1e-7)  # convergence is quadratic
        if not xp.any(open_):
            break
    return beta


def _logistic_value(beta, x, offset, observed, ridge):
    """The penalised deviance / 2 (T, P), and the probabilities (T, P, n)."""
    xp = namespace(x)
    logits = beta @ xp.matrix_transpose(x) + offset[:, None, :]
    e = xp.exp(-xp.abs(logits))
    value = xp.sum(xp.clip(logits, 0.0, None) - observed * logits + xp.log(1 + e), axis=-1)
    return value + ridge * xp.sum(beta**2, axis=-1) / 2, xp.where(logits >= 0, 1.0, e) / (1 + e)


def _sigmoid(logits):
    return 1 / (1 + namespace(logits).exp(-logits))


def _take(values, core):
    """The rows of values (T, N, ...) that belong to each core set (T, n): (T, n, ...)."""
    xp = namespace(values)
    size, n_items = values.shape[:2]
    flat = xp.reshape(core + n_items * asarray_like(np.arange(size)[:, None], core), (-1,))
    rows = xp.take(xp.reshape(values, (size * n_items, *values.shape[2:])), flat, axis=0)
    return xp.reshape(rows, (*core.shape, *values.shape[2:]))


# --- p-IRT and gp-IRT -------------------------------------------------------------------------------------------------


def irt_anchors(source, n, rng):
    """The items nearest to the centres of n clusters of item parameters (a, b): k-means (Polo et al. 2024).

    Gives (core (n,), cluster shares (n,), items (N, K + 1), lambda) to `p_irt` and `gp_irt`, which see the same draws.
    An item nearest to two centres is taken once, and the next nearest for the second; k-means is started once.
    """
    n_items = checked_budget(source.shape[1], n)
    items = backend.to_numpy(_fitted(source).items)
    with warnings.catch_warnings(), _threads.limit(limits=1):
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct items than clusters: some share is 0
        kmeans = KMeans(n, n_init=1, random_state=int(rng.integers(2**31))).fit(items)
        distance = kmeans.transform(items)
    core = np.empty(n, dtype=np.int64)
    for cluster in range(n):
        core[cluster] = distance[:, cluster].argmin()
        distance[core[cluster]] = np.inf
    return core, np.bincount(kmeans.labels_, minlength=n) / n_items, items, _mixture(source, n)


def p_irt(source, core, observed, shares, items, mixture):
    """n/N x the core mean + (1 - n/N) x the mean of the 2PL's predictions for the rest (Polo et al. 2024).

    The target's ability is fitted on the core set alone, by maximum likelihood with a ridge of 0.01.
    """
    xp = namespace(observed)
    own = _take(items, core)
    theta = logistic_map(own[..., :-1], own[..., -1], observed, RIDGE)
    predict = lambda rows: _sigmoid(theta @ xp.matrix_transpose(rows[..., :-1]) + rows[:, None, :, -1])
    total = xp.sum(observed - predict(own), axis=-1) + xp.sum(predict(items), axis=-1)
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


def _mixture(source, n):
    b, variance = _bias_and_variance(source)
    return b**2 / (variance / (4 * n) + b**2)


@once_per_source
def _bias_and_variance(source):
    """b and sigma^2, both from the sources, as the authors have it (tinyBenchmarks, "training your own IRT models").

    b: a 2PL is fitted without every fifth source; from the even items of each of those its mean on the odd ones is
    predicted; b is the mean absolute error.  sigma^2: the mean over the sources of the variance of a source's scores.
    """
    xp = namespace(source)
    if source.shape[0] < 2:
        raise ValueError("one source model isn't enough: some are left out of the fit to see how far it is off")
    held_out = asarray_like(np.arange(source.shape[0]) % 5 == 0, source)
    with _threads.limit(limits=1):
        items = fit_2pl(xp.astype(source[~held_out, :], xp.float32)).items
    items, rows = xp.astype(items, source.dtype), source[held_out, :]
    theta = logistic_map(items[None, ::2, :-1], items[None, ::2, -1], rows[None, :, ::2], RIDGE)
    predicted = _sigmoid(theta[0] @ xp.matrix_transpose(items[1::2, :-1]) + items[1::2, -1])
    b = xp.mean(xp.abs(xp.mean(predicted, axis=1) - xp.mean(rows[:, 1::2], axis=1)))
    return float(b), float(xp.mean(xp.var(source, axis=1)))


# --- metabench --------------------------------------------------------------------------------------------------------


def metabench_items(source, n, rng):
    """The most informative item at each of n quantiles of the sources' abilities (Kipnis et al. 2024).

    The abilities are those of a one-dimensional 2PL, by two alternations of items and abilities from the logits of the
    accuracies; the Fisher information of an item is a^2 p (1 - p).  No item is taken twice.  It draws no random numbers.
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
    theta = logistic_map(items[..., :1], items[..., 1], observed, 1.0)[..., 0]
    terms = _spline_terms(theta, xp.mean(observed, axis=-1))
    return Estimate(xp.sum(terms * coefficients[:, None, :], axis=-1))


@once_per_source
def _metabench_items(source, n):
    source = backend.to_numpy(source)
    theta, items = _fit_by_alternation(source)
    quantiles = np.quantile(theta, (np.arange(n) + 0.5) / n)
    p = _sigmoid(quantiles[:, None] * items[:, 0] + items[:, 1])
    information = items[:, 0] ** 2 * p * (1 - p)  # (n, N)
    core = np.empty(n, dtype=np.int64)
    for i in range(n):
        core[i] = information[i].argmax()
        information[:, core[i]] = -1.0
    ability = logistic_map(items[None, core, :1], items[None, core, 1], source[None][:, :, core], 1.0)[0, :, 0]
    return core, items[core], _fit_additive(_spline_terms(ability, source[:, core].mean(axis=1)), source.mean(axis=1))


def _fit_by_alternation(source, times=2):
    """Abilities (M,) and items (N, 2) of a one-dimensional 2PL with the priors of `fit_2pl`, one side after the other."""
    n_models, n_items = source.shape
    logit = lambda right, of: np.log((right + 0.5) / (of - right + 0.5))
    theta = logit(source.sum(axis=1), n_items)
    theta = (theta - theta.mean()) / max(theta.std(), 1e-6)
    centre = logit(source.sum(axis=0), n_models).mean()  # of the intercepts' prior
    for _ in range(times):
        x = np.stack([theta, np.ones(n_models)], axis=1)
        items = logistic_map(x[None], np.full((1, n_models), centre), source.T[None], 1.0)[0] + [0.0, centre]
        theta = logistic_map(items[None, :, :1], items[None, :, 1], source[None], 1.0)[0, :, 0]
    return theta, items


# The additive model: penalised B-splines (Eilers & Marx 1996) on a grid of knots that no ability and no mean leaves, so
# that it is linear where there are no sources.
_KNOTS = ((-6.0, 6.0, 12), (0.0, 1.0, 10))  # of ability and core mean: first, last, number of segments
_CUBIC = (1, -4, 6, -4, 1)  # a cubic B-spline is their sum with the truncated powers at 0, ..., 4, over 6


def _spline_terms(*variables):
    """The B-splines of each variable (...), side by side: (..., 15 + 13)."""
    xp = namespace(variables[0])
    terms = []
    for values, (low, high, segments) in zip(variables, _KNOTS):
        place = (xp.clip(values, low, high) - low) / (high - low) * segments
        t = place[..., None] + 3 - asarray_like(np.arange(segments + 3.0), values)
        terms.append(sum(c * xp.clip(t - j, 0.0, 4.0 - j) ** 3 for j, c in enumerate(_CUBIC)) / 6)
    return xp.concat(terms, axis=-1)


def _fit_additive(terms, y, penalties=10.0 ** np.arange(-4, 5)):
    """The coefficients of terms (M, C) for y (M,), with a penalty on second differences for either variable.

    The two penalties have the least generalised cross-validation score M RSS / (M - trace H)^2 (Wood 2017, sec. 6.2).
    """
    sizes = [segments + 3 for _, _, segments in _KNOTS]
    rough = [np.zeros((sum(sizes), sum(sizes))) for _ in sizes]
    for block, size, end in zip(rough, sizes, np.cumsum(sizes)):
        differences = np.diff(np.eye(size), 2, axis=0)
        block[end - size : end, end - size : end] = differences.T @ differences
    first, second = (grid.ravel() for grid in np.meshgrid(penalties, penalties))
    gram = terms.T @ terms
    systems = gram + first[:, None, None] * rough[0] + second[:, None, None] * rough[1] + 1e-8 * np.eye(len(gram))
    solved = np.linalg.solve(systems, np.concatenate([gram, (terms.T @ y)[:, None]], axis=1))
    coefficients, freedom = solved[..., -1], np.trace(solved[..., :-1], axis1=1, axis2=2)
    score = np.square(y - coefficients @ terms.T).sum(axis=1) / (len(y) - np.minimum(freedom, len(y) - 1e-3)) ** 2
    return coefficients[score.argmin()]


# --- Sort & Search ----------------------------------------------------------------------------------------------------


def sorted_by_difficulty(source, n, rng):
    """Every (N/n)-th item in order of the sources' mean score, easiest first, from a random start (Prabhu et al. 2024).

    Gives (core (n,), places (n,)) to `sort_and_search`, the place of an item being its position 0, ..., N - 1.
    """
    n_items = checked_budget(source.shape[1], n)
    order = np.argsort(-backend.to_numpy(source).mean(axis=0), kind="stable")
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
    agreement = xp.concat([none, xp.cumulative_sum(2 * observed - 1, axis=-1)], axis=-1)  # (T, P, n + 1), less a constant
    best = agreement >= xp.max(agreement, axis=-1, keepdims=True) - 1e-9
    threshold = (xp.concat([ends, places + 1], axis=1) + xp.concat([places, ends + n_items], axis=1)) / 2
    best = xp.astype(best, observed.dtype)
    return Estimate(matvec(best, threshold) / xp.sum(best, axis=-1) / n_items)
