"""Designs that learn from the sources which n items to take and how to read them: ``(core, weights, intercept)``.

A design is a function ``design(source, n, rng)`` as in :mod:`designs`; `estimators.weighted_sum` does the rest.  None
of them is unbiased: they are right about the targets as far as the targets behave like the sources.

Each gives arrays of the library and on the device of `source`.  The random search computes there; the others take the
scores to the host: for what scikit-learn and kmedoids do, and for the double optimisation, some hundred steps too small
to occupy a GPU, each of which waits for the one before.
"""

import warnings
from functools import wraps

import numpy as np

from .backend import asarray_like, floating, namespace, to_numpy
from .designs import checked_budget, uniform_core_sets
from .estimators import matvec, observe, ridge_loo
from .shared import chunks, once_per_source

__all__ = [
    "anchor_points_predictor",
    "anchor_points_weighted",
    "double_optimize",
    "lasso",
    "random_search_learn",
]

ALPHAS = (0.1, 1.0, 10.0)  # the penalties of the ridge regressions
STEPS = 40  # of conjugate gradients


def _on_the_host(design):
    """`design` computed by NumPy: the scores come over once per source, core set, weights and intercept go back."""

    @wraps(design)
    def there_and_back(source, *args, **options):
        return tuple(
            asarray_like(part, source) for part in design(_host_scores(source), *args, **options)
        )

    return there_and_back


@once_per_source
def _host_scores(source):
    return floating(to_numpy(source))


# --- random search ----------------------------------------------------------------------------------------------------


def random_search_learn(source, n, rng, size=10_000, max_memory=2**23):
    """The best of `size` random core sets, each read by a ridge regression of the full accuracy on its n scores.

    The ridge is `estimators.random_sampling_learn`'s, fitted on three quarters of the sources; the core set with the
    least mean absolute error on the other quarter wins, and is fitted again on all (Zhang, Dorner & Hardt 2025).
    It is found by branch and bound: the error under *each* penalty is cheap for all core sets at once, the penalty that
    leave-one-out chooses is not; so the least of the errors, a lower bound, says which core sets need it: a few dozen.
    The bounds are computed in parts of `max_memory` bytes: a processor wants what its cache holds, a GPU more.
    """
    source = floating(source)
    xp, take = namespace(source), lambda values, rows: xp.take(values, rows, axis=0)
    cores = asarray_like(uniform_core_sets(source.shape[1], n, size, rng), source)
    train, valid = _two_parts(source, 0.75, rng)
    y_train, y_valid = xp.mean(train, axis=1), xp.mean(valid, axis=1)
    bound = _least_gaps(train, valid, cores, max_memory)
    best, order = (float("inf"), None), xp.argsort(bound, stable=True)
    for some in (order[start : start + 32] for start in range(0, size, 32)):
        if (
            float(bound[int(some[0])]) > best[0] + 2e-3
        ):  # the bound is in single precision, its iterations stop early
            break
        weights, intercept = ridge_loo(observe(train, take(cores, some)), y_train, ALPHAS)
        predicted = matvec(observe(valid, take(cores, some)), weights) + intercept[:, None]
        gaps = xp.mean(xp.abs(predicted - y_valid), axis=1)
        best = min(best, (float(xp.min(gaps)), int(some[int(xp.argmin(gaps))])))
    core = cores[best[1], :]
    weights, intercept = ridge_loo(observe(source, core[None, :]), xp.mean(source, axis=1), ALPHAS)
    return core, weights[0, :], intercept[0]


def _least_gaps(train, valid, cores, max_memory):
    """The least mean absolute error on `valid`, over the penalties, of a ridge on `train` per core set (B, n): (B,)."""
    xp, (n_train, n_items), n_models = (
        namespace(train),
        train.shape,
        train.shape[0] + valid.shape[0],
    )
    y, y_valid = xp.mean(train, axis=1), xp.mean(valid, axis=1)
    single = lambda values: xp.astype(values, xp.float32)
    y, error = single(y - xp.mean(y)), single(y_valid - xp.mean(y))
    z = single(
        xp.matrix_transpose(xp.concat([train, valid]) - xp.mean(train, axis=0))
    )  # (N, models)
    parts = []
    for part in chunks(
        cores.shape[0], 4 * n_models * (cores.shape[1] + n_train) + 4 * n_train * STEPS, max_memory
    ):
        flat = xp.reshape(cores[part, :], (-1,))
        x = xp.reshape(xp.take(z, flat, axis=0), (-1, cores.shape[1], n_models))
        gram = xp.matrix_transpose(x) @ x[:, :, :n_train]
        duals = _shifted_conjugate_gradients(gram[:, :n_train, :], y, ALPHAS)
        predicted = duals @ xp.matrix_transpose(gram[:, n_train:, :])
        parts.append(xp.min(xp.mean(xp.abs(predicted - error), axis=2), axis=1))
    return xp.concat(parts)


def _shifted_conjugate_gradients(kernel, y, shifts):
    """The solutions x of (K + shift I) x = y for every kernel K (B, M, M) and every shift: (B, n_shifts, M).

    The Krylov space does not depend on the shift, so one product with K per step serves them all (Jegerlehner 1996):
    the residuals of a larger shift are those r of the least one times numbers, zeta, and x = sum a p with directions
    p = zeta r + b p_before; so x is a combination of the r, whose coefficients follow from the last to the first.
    """
    xp, base, tiny = namespace(kernel), min(shifts), 1e-30
    more = xp.astype(asarray_like([shift - base for shift in shifts], y), y.dtype)[
        :, None
    ]  # (n_shifts, 1)
    p = r = xp.broadcast_to(y, kernel.shape[:2])
    rr, last, beta, zeta, ratio, scalars, residuals = xp.vecdot(r, r), 1.0, 0.0, 1.0, 1.0, [], []
    for _ in range(min(STEPS, y.shape[0] + 5)):
        residuals.append(r)
        q = matvec(kernel, p) + base * p
        step = rr / (xp.vecdot(p, q) + tiny)
        ratio = 1 / (1 + more * step + step * beta / (last + tiny) * (1 - ratio))
        r = r - step[:, None] * q
        rr, before = xp.vecdot(r, r), rr
        beta, last = rr / (before + tiny), step
        scalars.append((step * ratio, beta * ratio**2, zeta))
        p, zeta = r + beta[:, None] * p, zeta * ratio
    coefficients, g = [], 0.0
    for a, b, zeta in reversed(scalars):
        g = a + b * g
        coefficients.append(zeta * g)
    return xp.permute_dims(xp.stack(coefficients[::-1], axis=-1), (1, 0, 2)) @ xp.stack(
        residuals, axis=1
    )


# --- lasso ------------------------------------------------------------------------------------------------------------


@_on_the_host
def lasso(source, n, rng, grid=np.logspace(-4, 1, 1000)):
    """The items with a weight in a lasso regression of the full accuracy on all items, and those weights.

    The penalty is, on the grid, the one with the most non-zero weights not above n, the least if there are several;
    random items of weight 0 fill up the core set.  The path is computed exactly, by least angle regression (Efron,
    Hastie, Johnstone & Tibshirani 2004), on scores with a noise of 1e-6: the columns of a 0/1 matrix are not in general
    position, many sets of weights are optimal, and the noise picks one with no more weights than models.  (The
    coordinate descent of the authors' code ends in some other optimum, with more of them, so at a larger penalty.)
    """
    from sklearn.linear_model import lars_path  # takes as long to load as the whole package

    n_items = checked_budget(source.shape[1], n)
    y, noisy = source.mean(axis=1), source + 1e-6 * rng.standard_normal(source.shape)
    mean = noisy.mean(axis=0)
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # the path ends, and says so, where nothing is left to explain
        knots, _, path = lars_path(
            noisy - mean, y - y.mean(), method="lasso", alpha_min=grid[0], max_iter=10**5
        )
    knots, path = (
        knots[::-1],
        path[:, ::-1],
    )  # ascending; between two knots the weights are linear in the penalty
    active = np.abs(path) > 1e-9
    count = np.append((active[:, 1:] | active[:, :-1]).sum(axis=0), 0)[
        np.searchsorted(knots[1:], grid)
    ]
    alpha = grid[np.where(count <= n, count, -1).argmax()]
    w = np.array([np.interp(alpha, knots, weights) for weights in path])
    chosen = np.flatnonzero(np.abs(w) > 1e-9)
    others = rng.permutation(np.setdiff1d(np.arange(n_items), chosen))
    core = np.concatenate([chosen, others[: n - len(chosen)]])
    weights = np.concatenate([w[chosen], np.zeros(n - len(chosen))])
    return core, weights, y.mean() - source[:, core].mean(axis=0) @ weights


# --- double optimisation ----------------------------------------------------------------------------------------------


@_on_the_host
def double_optimize(source, n, rng, rates=(0.1, 0.001), decay=1e-4, steps=1000, patience=100):
    """Weights w and a choice p of the items, learned together by gradient descent: sum over C of w s / n.

    C holds the n items with the largest p; the gradient passes to p as if the choice were p itself (straight through),
    and p is projected on {0 <= p <= 1, sum p = n}.  The loss is the mean squared error of the accuracy on four fifths
    of the sources; the rest say when to stop, and which step was the best (Zhang, Dorner & Hardt 2025).
    """
    n_items = checked_budget(source.shape[1], n)
    shuffled = rng.permutation(
        n_items
    )  # all p are equal at first: which items come first must not matter
    train, valid = _two_parts(source[:, shuffled], 0.8, rng)
    y_train, y_valid = train.mean(axis=1), valid.mean(axis=1)
    theta = np.stack([rng.standard_normal(n_items), np.full(n_items, n / n_items)])  # w and p
    rates, moments = np.array(rates)[:, None], np.zeros((2, 2, n_items))
    best, since = (np.inf, None, None), 0
    for step in range(1, steps + 1):
        w, p = theta
        core = np.argpartition(-p, n - 1)[:n]
        loss = np.square(valid[:, core] @ w[core] / n - y_valid).mean()
        best, since = ((loss, core, w[core]), 0) if loss < best[0] else (best, since + 1)
        if since > patience:
            break
        residual = train[:, core] @ w[core] / n - y_train
        slope = 2 / (n * len(train)) * (residual @ train)
        gradient = np.stack([np.zeros(n_items), slope * w]) + decay * theta
        gradient[0, core] += slope[core]
        theta = theta - rates * _adam(moments, gradient, step)
        theta[1] = _capped_simplex(theta[1], n)
    return shuffled[best[1]], best[2] / n, 0.0


def _adam(moments, gradient, step, decay=(0.9, 0.999)):
    """The direction of Kingma & Ba (2015); `moments`, the averages of the gradient and its square, are updated."""
    for moment, power, rate in zip(moments, (gradient, gradient**2), decay):
        moment += (1 - rate) * (power - moment)
    first, second = (moment / (1 - rate**step) for moment, rate in zip(moments, decay))
    return first / (np.sqrt(second) + 1e-8)


def _capped_simplex(p, n):
    """The nearest point of {0 <= x <= 1, sum x = n}: clip(p - lambda, 0, 1), lambda by bracketed Newton steps."""
    low, high, shift = p.min() - 1, p.max(), 0.0
    for _ in range(100):
        x = np.clip(p - shift, 0.0, 1.0)
        excess = x.sum() - n
        if abs(excess) < 1e-9 * n:
            break
        low, high = (shift, high) if excess > 0 else (low, shift)
        shift += excess / max(np.count_nonzero((x > 0) & (x < 1)), 1)
        if not low < shift < high:
            shift = (low + high) / 2
    return x


# --- anchor points ----------------------------------------------------------------------------------------------------


@_on_the_host
def anchor_points_weighted(source, n, rng):
    """The medoids of n clusters of items, each weighted by its cluster's share of the items (Vivek et al. 2024).

    The distance of two items is 1 - their correlation over the source models; FasterPAM from random medoids (Schubert &
    Rousseeuw 2021).  An item on which all sources score the same has no correlation: it is at distance 0 from those of
    the same score, 1 from all others.  (The authors' code gives all such items to the first anchor.)
    """
    n_items = checked_budget(source.shape[1], n)
    core, nearest = _medoids(1 - _correlations(source), n, rng)
    return core, np.bincount(nearest, minlength=n) / n_items, 0.0


@_on_the_host
def anchor_points_predictor(source, n, rng):
    """The medoids of n clusters of items, from which the others are predicted by least squares over the sources.

    The distance of two items is 1 - |their correlation|; so an item's medoid is the one that leaves the least of its
    variance unexplained.  With A the anchors, a(i) the one of item i and b_i its slope, the estimate is
    (sum over A of s + sum over the rest of m_i + b_i (s_a(i) - m_a(i))) / N, m the sources' means (Vivek et al. 2024).
    Items on which all sources score the same are predicted without an anchor, and are anchors only when the others are
    fewer than n.  (The authors' code leaves the n observed items out of the mean.)
    """
    n_items = checked_budget(source.shape[1], n)
    mean, deviation = source.mean(axis=0), source.std(axis=0)
    varying = np.flatnonzero(deviation > 1e-6)
    others = rng.permutation(np.setdiff1d(np.arange(n_items), varying))
    if len(varying) <= n:
        core = np.concatenate([varying, others[: n - len(varying)]])
        return core, np.full(n, 1 / n_items), (mean.sum() - mean[core].sum()) / n_items
    correlations = _correlations(source)[np.ix_(varying, varying)]
    medoids, nearest = _medoids(1 - np.abs(correlations), n, rng)
    anchor = medoids[nearest]
    slope = (
        correlations[anchor, range(len(varying))] * deviation[varying] / deviation[varying[anchor]]
    )
    slope[medoids] = 1.0  # an anchor predicts itself
    core, weights = varying[medoids], np.bincount(nearest, slope, n) / n_items
    return core, weights, mean.mean() - weights @ mean[core]


@once_per_source
def _correlations(source):
    """The correlations of the items over the source models, (N, N) float32; 0 for constant items, 1 for equal ones."""
    x = source - source.mean(axis=0)
    norm = np.sqrt(np.square(x).sum(axis=0))
    constant = np.flatnonzero(norm < 1e-6)
    norm[constant] = 1.0
    x = np.float32(x / norm)
    correlations = x.T @ x
    score = source[0, constant]
    correlations[np.ix_(constant, constant)] = np.abs(score[:, None] - score) < 1e-6
    return correlations


def _medoids(distance, n, rng):
    """The n medoids of some items, and the number of the medoid to which each item belongs, a medoid to itself."""
    import kmedoids  # it loads scikit-learn

    found = kmedoids.fasterpam(
        distance, n, init="random", random_state=int(rng.integers(2**31)), n_cpu=1
    )
    medoids, nearest = found.medoids.astype(np.int64), found.labels.astype(np.int64)
    nearest[medoids] = np.arange(n)
    return medoids, nearest


# --- what they share --------------------------------------------------------------------------------------------------


def _two_parts(source, share, rng):
    """Two random parts of the source models: this share of them, at least two, and the rest, at least one."""
    n_models, xp = source.shape[0], namespace(source)
    if n_models < 3:
        raise ValueError(
            f"{n_models} source models can't be parted into some to learn from and some to validate on"
        )
    rows, first = asarray_like(rng.permutation(n_models), source), max(int(share * n_models), 2)
    return xp.take(source, rows[:first], axis=0), xp.take(source, rows[first:], axis=0)
