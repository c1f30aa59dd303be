"""Estimators: from the scores observed on a core set to the accuracy on the whole benchmark.

An estimator is a function ``estimator(source, core, observed)`` of

- source, (M, N): the source models' scores on all items;
- core, (T, n): T core sets, as item indices in the order of drawing;
- observed, (T, P, n): the scores of P target models on each core set, and nothing else of them;

it returns an Estimate and draws no random numbers.
"""

from typing import NamedTuple

from .backend import array_module, floating
from .designs import checked_core
from .intervals import sample_interval

PART = 128  # core sets that are worked on together: more are no faster
ALPHAS = (0.1, 1.0, 10.0)  # the penalties of the ridge regressions across models


class Estimate(NamedTuple):
    """Estimated accuracies, raw: an unbiased estimate may leave [0, 1]; clipping would bias it."""

    value: object  # (T, P)
    lower: object = None  # (T, P) ends of a 95% interval, or None
    upper: object = None


def observe(target, core):
    """The scores of the targets (P, N) on the core sets (T, n): (T, P, n)."""
    return target.T[core].swapaxes(1, 2)


def evaluate(estimator, source, target, core, size=PART):
    """The Estimate, (T, P) arrays, of the targets (P, N) from the core sets (T, n).

    `size` core sets are worked on at a time, which bounds the memory and changes no result.
    Raises ValueError for a core set that is not distinct items of N, for other than N items in the
    source, and for scores outside [0, 1]; TypeError for what is no array.
    """
    for scores in (source, target):
        array_module(scores)
        within = (scores >= 0) & (scores <= 1)
        if scores.ndim == 2 and not within.all():  # a g (N,) may be any prediction
            raise ValueError("scores must lie in [0, 1], and none may be missing")
    n_items = target.shape[1]
    if source.shape[-1] != n_items:
        raise ValueError(f"the source has {source.shape[-1]} items, the target {n_items}")
    core = array_module(target).asarray(core)
    checked_core(core, core.shape[-1], n_items, "a core set")
    parts = []
    for start in range(0, len(core), size):
        part = core[start : start + size]
        parts.append(estimator(source, part, observe(target, part)))
    return join(parts)


def join(parts):
    """The Estimates of some core sets and of further ones, as one."""
    xp = array_module(parts[0].value)
    return Estimate(*(None if ends[0] is None else xp.concat(ends) for ends in zip(*parts)))


def random_sampling(source, core, observed):
    """The plain mean of the observed scores, with a score interval.

    Of 0/1 scores it is Wilson's for a finite N, of others that of a mean of n residuals. Unbiased
    when C is a simple random sample; variance (1 - n/N) S^2 / n (Cochran 1977, ch. 2).
    """
    (observed,) = floating(observed)
    xp = array_module(observed)
    n_items = source.shape[1]
    estimate = _with_interval(observed.mean(axis=-1), observed, observed, n_items)
    if estimate.lower is None:
        return estimate
    # The variance of 0/1 scores whose mean is theta is known.
    wilson = _with_interval(estimate.value, observed, observed, n_items, float("inf"))
    is_binary = xp.all(observed * (1 - observed) == 0, axis=-1)
    return Estimate(*(xp.where(is_binary, *pair) for pair in zip(wilson, estimate)))


def core_mean(source, core, observed):
    """The plain mean of the observed scores of a core set that was not drawn at random.

    It has no interval: nothing gives one.
    """
    return Estimate(floating(observed)[0].mean(axis=-1))


def weighted_sum(source, core, observed, weights, intercept):
    """intercept (T,) + weights (T, n) @ observed: of a method that learned to read its core set.

    Not a product of matrices, in which targets of equal scores may differ by rounding.
    """
    return Estimate((observed * weights[:, None]).sum(axis=-1) + intercept[:, None])


def difference(g, core, observed):
    """The difference estimator with a given prediction g of every item, (N,), and its interval.

    mean over D of g + mean over C of (s - g): exactly unbiased for a simple random C and any g
    fixed before the draw (Särndal, Swensson & Wretman 1992, sec. 6.3). It is the AIPW estimator
    with known inclusion probabilities n/N.
    """
    g, observed = floating(g, observed)
    residual = observed - g[core][:, None]
    return _with_interval(g.mean() + residual.mean(axis=-1), residual, observed, len(g))


def aipw(source, core, observed, alpha=10.0):
    """The AIPW formula with a ridge g fitted on the core set itself (Zhang, Dorner & Hardt 2025).

    s(C) + (N - n)/N x (mean over D \\ C of g - mean over C of g), one g per target. The ridge has
    an unpenalised intercept, so its mean residual on C is zero: mean over C of g = s(C), the
    correction does nothing, and the estimate is regression imputation,
    n/N s(C) + (N - n)/N mean over D \\ C of g, with a bias of order 1/n. It is computed as
    s(C) + mean over D of g - mean over C of g, which is the same.
    """
    source, observed = floating(source, observed)
    z = source.T[core]  # (T, n, M)
    center = z.mean(axis=1, keepdims=True)
    beta = _ridge(z - center, observed.swapaxes(1, 2), alpha)
    change = (source.mean(axis=1) - center) @ beta
    return Estimate(observed.mean(axis=-1) + change[:, 0])


def aipw_cross_fitted(source, core, observed, alpha=10.0, folds=5):
    """AIPW whose ridge never predicts an item that it was fitted on: exactly unbiased.

    With folds C_k of C and C_-k the rest of C, the average over k of

        (1/N) [sum_{C_-k} s + sum_{D \\ C_-k} g_-k + (N - |C_-k|)/|C_k| x sum_{C_k} (s - g_-k)].

    Given C_-k, the fold C_k is a simple random sample of D \\ C_-k and g_-k is fixed, so every term
    has expectation s(D). That needs a core set drawn uniformly and *in the order of drawing*: fold
    k takes every K-th item of it. The score interval uses the variance of the residuals s - g_-k,
    all out of fold. Raises ValueError for less than two items or folds.
    """
    source, observed = floating(source, observed)
    n_items = source.shape[1]
    n = core.shape[1]
    if n < 2 or folds < 2:
        raise ValueError(f"cross-fitting takes at least 2 items and 2 folds, not {n} and {folds}")
    xp = array_module(source)
    folds = min(folds, n)
    s = observed.swapaxes(1, 2)  # (T, n, P)
    center, fit, apart = _linear_fit(source.T[core], alpha)
    weights = 1 / n + (source.mean(axis=1) - center) @ fit  # weights @ s is the AIPW of all of C
    value = weights @ s
    errors = []
    for k in range(folds):
        fold = slice(k, None, folds)
        # The fit without a fold is the fit to s - e, e its errors there (Stone 1974): the term of
        # the fold is AIPW of s - e, and (N - n + |C_k|)/N x mean over C_k of e.
        e = xp.linalg.solve(apart[:, fold, fold], apart[:, fold] @ s)
        of_errors = ((n_items - n) / e.shape[1] + 1) / n_items - weights[..., fold]
        value = value + of_errors @ e / folds
        errors.append(e)
    residual = xp.concat(errors, axis=1).swapaxes(1, 2)
    return _with_interval(value[:, 0], residual, observed, n_items)


def random_sampling_learn(source, core, observed):
    """Ridge regression, across source models, of the full accuracy on the n core-set scores.

    Its penalty is chosen by leave-one-out. It is biased wherever the targets do not behave like the
    sources.
    """
    source, observed = floating(source, observed)
    weights, intercept = ridge_loo(observe(source, core), source.mean(axis=1))
    return weighted_sum(source, core, observed, weights, intercept)


def ridge_loo(x, y):
    """Ridge regressions with intercept of y (M,) on x (T, M, n): weights (T, n), intercepts (T,).

    The penalty is the one of ALPHAS with the least leave-one-out squared error: with H the hat
    matrix, the residual left out is ((I - H) y)_i / (1 - H_ii).
    """
    xp = array_module(x)
    y_mean = y.mean()
    y = y - y_mean
    errors = []
    betas = []
    for alpha in ALPHAS:
        center, fit, apart = _linear_fit(x, alpha)
        left_out = apart @ y / xp.diagonal(apart, axis1=1, axis2=2)
        errors.append((left_out**2).mean(axis=1))
        betas.append(fit @ y)
    best = xp.stack(errors).argmin(axis=0)  # (T,)
    beta = xp.stack(betas)[best, xp.arange(len(best))]
    return beta, y_mean - (center[:, 0] * beta).sum(axis=1)


# --- imputation by principal components ---------------------------------------------------------


def pca(source, core, observed, ranks=(2, 5, 10, 20)):
    """The mean of a target's row, filled in by principal components of the source and target rows.

    All targets of a trial are filled in together, in one matrix with the sources: what is estimated
    for one of them depends on the others.  The rank is the one of `ranks` with the least mean
    absolute error on every fourth source in order of accuracy, imputed from the other three
    quarters.  (Zhang, Dorner & Hardt 2025, whose code writes the mask of these to a copy, so that
    every rank has error 0 and the first, 2, always wins.)
    """
    source, observed = floating(source, observed)
    xp = array_module(source)
    ordered = source[xp.argsort(source.mean(axis=1))]
    is_kept = xp.arange(len(ordered)) % 4 != 2
    train = ordered[is_kept]
    validation = ordered[~is_kept]
    values = []
    for items, seen in zip(core, observed):
        gaps = []
        for rank in ranks:
            means = _imputed_means(train, items, validation[:, items], rank)
            gaps.append(float(abs(means - validation.mean(axis=1)).sum()))
        best = ranks[gaps.index(min(gaps))]
        values.append(_imputed_means(source, items, seen, best))
    return Estimate(xp.stack(values))


def _imputed_means(rows, items, seen, rank):
    """The means (P,) of further rows, of which only the scores `seen` (P, n) on `items` are known.

    The others start at the item means of `rows` and are replaced by their values in the rank-k
    reconstruction of all rows, until a step changes no more than 1e-4 (Euclidean norm), 100 times
    at most.
    """
    xp = array_module(rows)
    filled = xp.concat([rows, xp.tile(rows.mean(axis=0), (len(seen), 1))])
    targets = filled[len(rows) :]  # a view
    targets[:, items] = seen
    for _ in range(100):
        mean = filled.mean(axis=0)
        centred = filled - mean
        vectors = xp.linalg.eigh(centred @ centred.T)[1][:, -rank:]  # few rows, many items
        change = mean + vectors[len(rows) :] @ (vectors.T @ centred) - targets
        change[:, items] = 0.0
        targets += change
        if xp.linalg.norm(change) < 1e-4:
            break
    return targets.mean(axis=1)


# --- what they share ------------------------------------------------------------------------------


def matvec(matrix, vector):
    """The product of each matrix (..., a, b) with its vector (..., b): (..., a)."""
    return (matrix @ vector[..., None])[..., 0]


def _linear_fit(z, alpha):
    """Of ridges with an intercept on z (T, n, M): the mean of z, and what gives of the scores s
    the coefficients, fit (T, M, n) @ s, and the residuals, apart (T, n, n) @ s.
    """
    xp = array_module(z)
    n = z.shape[1]
    center = z.mean(axis=1, keepdims=True)
    z = z - center
    fit = _ridge(z, xp.eye(n) + 0 * z[..., :1], alpha)
    return center, fit, xp.eye(n) - 1 / n - z @ fit


def _ridge(z, s, alpha):
    """The coefficients (T, M, P) of ridges of s (T, n, P) on the centred z (T, n, M).

    z' (z z' + alpha I)^-1 s = (z'z + alpha I)^-1 z's: by the smaller of the two systems.
    """
    xp = array_module(z)
    n, n_models = z.shape[1:]
    zt = z.swapaxes(1, 2)
    if n <= n_models:
        return zt @ xp.linalg.solve(z @ zt + alpha * xp.eye(n), s)
    return xp.linalg.solve(zt @ z + alpha * xp.eye(n_models), zt @ s)


def _with_interval(value, residual, observed, n_items, df=None):
    """The estimate with the score interval of a mean of n residuals: variance (1 - n/N) s_e^2/n."""
    n = residual.shape[-1]
    if n < 2:
        return Estimate(value)  # one item says nothing of the variance
    variance = (1 - n / n_items) / n * residual.var(axis=-1)  # divisor n, as in mean (1 - mean)
    scores = (None, None) if residual is observed else (observed, residual)
    mean = observed.mean(axis=-1)
    ends = sample_interval(value, variance, mean, n, n_items, df or n - 1, *scores)
    return Estimate(value, *ends)
