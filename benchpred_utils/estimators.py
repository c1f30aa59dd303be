"""Estimators: from the scores observed on a core set to the accuracy on the whole benchmark.

An estimator is a function ``estimator(source, core, observed)`` of

- source, (M, N): the source models' scores on all items;
- core, (T, n): T core sets, as item indices in the order of drawing;
- observed, (T, P, n): the scores of P target models on each core set, and nothing else of the targets;

it returns an Estimate and draws no random numbers.  All of it works on the arrays of one library, taken from `source`.
"""

from typing import NamedTuple

from .backend import asarray_like, device, namespace
from .inference import t_interval

__all__ = ["Estimate", "aipw", "aipw_cross_fitted", "core_mean", "difference", "observe", "random_sampling", "random_sampling_learn"]


class Estimate(NamedTuple):
    """Estimated accuracies, raw: an unbiased estimate may leave [0, 1], and clipping it would bias it."""

    value: object  # (T, P)
    lower: object = None  # (T, P) ends of a 95% interval, or None
    upper: object = None


def observe(target, core):
    """The scores of the targets (P, N) on the core sets (T, n): (T, P, n), all that an estimator sees of them."""
    xp = namespace(target)
    core = asarray_like(core, target)
    seen = xp.reshape(xp.take(target, xp.reshape(core, (-1,)), axis=1), (target.shape[0], *core.shape))
    return xp.permute_dims(seen, (1, 0, 2))


def random_sampling(source, core, observed):
    """The plain mean of the observed scores, with a Student interval.

    Unbiased when C is a simple random sample; variance (1 - n/N) S^2 / n (Cochran 1977, ch. 2).
    """
    return _with_interval(_mean(observed), observed, source.shape[1])


def core_mean(source, core, observed):
    """The plain mean of the observed scores, without an interval: C was not drawn at random, so nothing gives one."""
    return Estimate(_mean(observed))


def difference(g, core, observed):
    """The difference estimator with a given prediction g of every item, (N,), with a Student interval.

    mean over D of g + mean over C of (s - g): exactly unbiased for a simple random C and any g fixed before the draw
    (Särndal, Swensson & Wretman 1992, sec. 6.3).  It is the AIPW estimator with known inclusion probabilities n/N.
    """
    xp = namespace(g)
    g_core = xp.reshape(xp.take(g, xp.reshape(core, (-1,))), core.shape)
    residual = observed - g_core[:, None, :]
    return _with_interval(xp.mean(g) + _mean(residual), residual, g.shape[0])


def aipw(source, core, observed, alpha=10.0):
    """The AIPW formula with a ridge g fitted on the core set itself, one per target (Zhang, Dorner & Hardt 2025).

    s(C) + (N - n)/N x (mean over D \\ C of g - mean over C of g).  The ridge has an unpenalised intercept, so its mean
    residual on C is zero: mean over C of g = s(C), the correction does nothing, and the estimate is regression
    imputation, n/N s(C) + (N - n)/N mean over D \\ C of g, with a bias of order 1/n.  It is linear in the observed
    scores; the weights come from one linear system per core set, whatever the number of targets.
    """
    xp = namespace(source)
    n_items, n = source.shape[1], core.shape[1]
    z = _gather(source, core)
    n_rest = n_items - n
    rest_mean = (n_items * xp.mean(source, axis=1) - n * xp.mean(z, axis=1)) / max(n_rest, 1)  # (T, M); none: times 0
    weights = 1 / n_items + n_rest / n_items * _ridge_weights(z, rest_mean[:, None, :], alpha)[:, 0, :]
    return Estimate(xp.sum(observed * weights[:, None, :], axis=-1))


def aipw_cross_fitted(source, core, observed, alpha=10.0, folds=5):
    """AIPW whose ridge never predicts an item that it was fitted on: exactly unbiased, with a Student interval.

    With folds C_k of C and C_-k the rest of C, the average over k of

        (1/N) [sum_{C_-k} s + sum_{D \\ C_-k} g_-k + (N - |C_-k|)/|C_k| x sum_{C_k} (s - g_-k)].

    Given C_-k, the fold C_k is a simple random sample of D \\ C_-k and g_-k is fixed, so every term has expectation
    s(D).  That needs a core set drawn uniformly and *in the order of drawing*: fold k takes every K-th item of it.
    The interval uses the variance of the residuals s - g_-k, all out of fold.  Raises ValueError when n < 2.
    """
    xp = namespace(source)
    n_items, n = source.shape[1], core.shape[1]
    folds = _checked_folds(folds, n)
    z, total = _gather(source, core), n_items * xp.mean(source, axis=1)
    value, residuals = 0.0, []
    for k in range(folds):
        test, train = (asarray_like([i for i in range(n) if (i % folds == k) is own], z) for own in (True, False))
        z_train, s_train = xp.take(z, train, axis=1), xp.take(observed, train, axis=2)
        n_rest = n_items - train.shape[0]  # |D \ C_-k|
        rest_mean = (total - xp.sum(z_train, axis=1)) / n_rest
        points = xp.concat([rest_mean[:, None, :], xp.take(z, test, axis=1)], axis=1)
        g = s_train @ xp.matrix_transpose(_ridge_weights(z_train, points, alpha))  # (T, P, 1 + |C_k|)
        residual = xp.take(observed, test, axis=2) - g[:, :, 1:]
        value = value + (xp.sum(s_train, axis=-1) + n_rest * (g[:, :, 0] + _mean(residual))) / n_items
        residuals.append(residual)
    return _with_interval(value / folds, xp.concat(residuals, axis=-1), n_items)


def random_sampling_learn(source, core, observed, alphas=(0.1, 1.0, 10.0)):
    """Ridge regression, across source models, of the full accuracy on the n core-set scores.

    The penalty is the one of `alphas` with the least leave-one-out squared error, in closed form: with
    H = 1/M + K (K + alpha I)^-1, the residual left out is (y - Hy)_i / (1 - H_ii).  Biased wherever the targets do not
    behave like the sources.
    """
    xp = namespace(source)
    y = xp.mean(source, axis=1)
    x = xp.matrix_transpose(_gather(source, core))  # (T, M, n)
    x_mean, y_mean = xp.mean(x, axis=1, keepdims=True), xp.mean(y)
    xc, yc = x - x_mean, y - y_mean
    eigenvalues, u = xp.linalg.eigh(xc @ xp.matrix_transpose(xc))
    errors, duals = zip(*(_left_out(xp.clip(eigenvalues, 0.0, None), u, yc, alpha) for alpha in alphas))
    best = xp.argmin(xp.stack(errors), axis=0)  # (T,)
    dual = sum(xp.where((best == a)[:, None], duals[a], 0.0) for a in range(len(alphas)))
    beta = xp.matrix_transpose(xc) @ dual[:, :, None]  # (T, n, 1)
    return Estimate(y_mean + ((observed - x_mean) @ beta)[:, :, 0])


def _left_out(eigenvalues, u, yc, alpha):
    """Mean squared leave-one-out error (T,) and dual coefficients (T, M) of the ridge K = u diag(eigenvalues) u'."""
    xp = namespace(u)
    uy = (xp.matrix_transpose(u) @ yc[:, None])[:, :, 0]
    shrink = eigenvalues / (eigenvalues + alpha)
    h = 1 / yc.shape[0] + xp.sum(u**2 * shrink[:, None, :], axis=-1)
    left_out = (yc - (u @ (shrink * uy)[:, :, None])[:, :, 0]) / (1 - h)
    return xp.mean(left_out**2, axis=-1), (u @ (uy / (eigenvalues + alpha))[:, :, None])[:, :, 0]


# --- what they share --------------------------------------------------------------------------------------------------


def _mean(scores):
    return namespace(scores).mean(scores, axis=-1)


def _gather(source, core):
    """The core items' source scores, (T, n, M): row i of z[t] is what ridge sees of item core[t, i]."""
    xp = namespace(source)
    columns = xp.take(xp.matrix_transpose(source), xp.reshape(core, (-1,)), axis=0)
    return xp.reshape(columns, (*core.shape, source.shape[0]))


def _ridge_weights(z, points, alpha):
    """The weights w of a ridge with intercept, so that its predictions at `points` are w @ s: (T, n_points, n).

    With z centred, w = 1/n + (points - mean z) z' (z z' + alpha I)^-1 = 1/n + (points - mean z) (z' z + alpha I)^-1 z':
    one solve per core set, of the smaller of the two systems, n x n or M x M.
    """
    xp = namespace(z)
    n, n_models = z.shape[1:]
    z_mean = xp.mean(z, axis=1, keepdims=True)
    zc, x = z - z_mean, points - z_mean
    zc_t, x_t = xp.matrix_transpose(zc), xp.matrix_transpose(x)
    penalty = alpha * xp.eye(min(n, n_models), dtype=z.dtype, device=device(z))
    if n <= n_models:
        return 1 / n + xp.matrix_transpose(xp.linalg.solve(zc @ zc_t + penalty, zc @ x_t))
    return 1 / n + xp.matrix_transpose(xp.linalg.solve(zc_t @ zc + penalty, x_t)) @ zc_t


def _with_interval(value, residual, n_items):
    """The estimate with the Student interval of a mean of n residuals: variance (1 - n/N) s_e^2 / n."""
    n = residual.shape[-1]
    if n < 2:
        return Estimate(value)  # one item says nothing of the variance
    variance = (1 - n / n_items) * namespace(residual).var(residual, axis=-1, correction=1) / n
    return Estimate(value, *t_interval(value, variance, n - 1))


def _checked_folds(folds, n):
    if n < 2:
        raise ValueError(f"cross-fitting needs a core set of at least 2 items, not {n}")
    if folds < 2:
        raise ValueError(f"cross-fitting needs at least 2 folds, not {folds}")
    return min(folds, n)
