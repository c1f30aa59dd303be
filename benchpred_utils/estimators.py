"""Estimators: from the scores observed on a core set to the accuracy on the whole benchmark.

An estimator is a function ``estimator(source, core, observed)`` of

- source, (M, N): the source models' scores on all items;
- core, (T, n): T core sets, as item indices in the order of drawing;
- observed, (T, P, n): the scores of P target models on each core set, and nothing else of the targets;

it returns an Estimate and draws no random numbers.  All of it works on the arrays of one library, taken from `source`,
and in the precision of `observed`; source scores may be whole numbers (0/1 in bytes).  :func:`evaluate` does it in parts.
"""

from typing import NamedTuple

from .backend import asarray_like, device, floating, namespace
from .inference import score_interval
from .shared import MAX_MEMORY, chunks, once_per_source

__all__ = [
    "Estimate",
    "aipw",
    "aipw_cross_fitted",
    "core_mean",
    "difference",
    "evaluate",
    "memory_each",
    "observe",
    "pca",
    "random_sampling",
    "random_sampling_learn",
    "ridge_loo",
    "weighted_sum",
]


class Estimate(NamedTuple):
    """Estimated accuracies, raw: an unbiased estimate may leave [0, 1], and clipping it would bias it."""

    value: object  # (T, P)
    lower: object = None  # (T, P) ends of a 95% interval, or None
    upper: object = None


def observe(target, core):
    """The scores of the targets (P, N) on the core sets (T, n): (T, P, n), all that an estimator sees of them."""
    xp = namespace(target)
    core = asarray_like(core, target)
    seen = xp.reshape(
        xp.take(target, xp.reshape(core, (-1,)), axis=1), (target.shape[0], *core.shape)
    )
    return xp.permute_dims(seen, (1, 0, 2))


def evaluate(estimator, source, target, core, *learned, max_memory=MAX_MEMORY, dtype=None):
    """The Estimate, (T, P) arrays, of the targets (P, N) from core sets (T, n), in chunks of core sets.

    `learned` is what else the design gave, per core set.  The working arrays take up to `max_memory` bytes beside
    source and target, which may hold whole numbers (0/1 in bytes): computed is in `dtype`, or the floating type of the
    target's scores, or float64.  Raises ValueError when one core set takes more memory than that.
    """
    parts = []
    for part in chunks(
        core.shape[0], memory_each(estimator, source, target, core.shape[1]), max_memory
    ):
        observed = floating(observe(target, core[part, ...]), dtype)
        parts.append(
            estimator(source, core[part, ...], observed, *(values[part, ...] for values in learned))
        )
    return join(parts)


def join(parts):
    """The Estimates of some core sets and of further ones, as one."""
    return Estimate(
        *(None if part[0] is None else namespace(part[0]).concat(part) for part in zip(*parts))
    )


def memory_each(estimator, source, target, n):
    """Bytes that suffice for one core set's working arrays in float64: the copies of its scores, the systems solved."""
    n_models = source.shape[0] if source.ndim == 2 else 1
    n_targets, n_items = target.shape
    numbers = 6 * (n + 10) * (n_models + n_targets) + 6 * min(n, 2 * n_models + 1) ** 2
    estimator = getattr(estimator, "func", estimator)  # behind a partial
    if estimator in (
        random_sampling_learn,
        pca,
    ):  # systems between models; the roots of up to 20 components
        numbers += 8 * n_models**2 + 120 * n_targets * n_models
    elif estimator not in (
        random_sampling,
        core_mean,
        difference,
        aipw,
        aipw_cross_fitted,
        weighted_sum,
    ):
        numbers += 6 * n_targets * n_items  # predictions of all items
    return 8 * numbers


def random_sampling(source, core, observed):
    """The plain mean of the observed scores, with a score interval: Wilson's, with a finite-population correction.

    Unbiased when C is a simple random sample; variance (1 - n/N) S^2 / n (Cochran 1977, ch. 2).
    """
    estimate, n = (
        _with_interval(_mean(observed), observed, observed, source.shape[1]),
        observed.shape[-1],
    )
    if n < 2:
        return estimate
    xp, mean, plain = namespace(observed), estimate.value, (1 - n / source.shape[1]) / n
    known = score_interval(
        mean, plain * mean * (1 - mean), mean, plain, float("inf")
    )  # S^2 of 0/1 scores with mean theta
    is_binary = xp.all(observed * (1 - observed) == 0, axis=-1)
    return Estimate(mean, *(xp.where(is_binary, *ends) for ends in zip(known, estimate[1:])))


def core_mean(source, core, observed):
    """The plain mean of the observed scores, without an interval: C was not drawn at random, so nothing gives one."""
    return Estimate(_mean(observed))


def weighted_sum(source, core, observed, weights, intercept):
    """intercept (T,) + weights (T, n) @ observed: the estimate of every method that learned, before the target came,
    how to read its core set."""
    xp = namespace(observed)
    return Estimate(xp.sum(observed * weights[:, None, :], axis=-1) + intercept[:, None])


def difference(g, core, observed):
    """The difference estimator with a given prediction g of every item, (N,), with a score interval.

    mean over D of g + mean over C of (s - g): exactly unbiased for a simple random C and any g fixed before the draw
    (Särndal, Swensson & Wretman 1992, sec. 6.3).  It is the AIPW estimator with known inclusion probabilities n/N.
    """
    xp = namespace(g)
    g = xp.astype(g, observed.dtype, copy=False)
    g_core = xp.reshape(xp.take(g, xp.reshape(core, (-1,))), core.shape)
    residual = observed - g_core[:, None, :]
    return _with_interval(xp.mean(g) + _mean(residual), residual, observed, g.shape[0])


def aipw(source, core, observed, alpha=10.0):
    """The AIPW formula with a ridge g fitted on the core set itself, one per target (Zhang, Dorner & Hardt 2025).

    s(C) + (N - n)/N x (mean over D \\ C of g - mean over C of g).  The ridge has an unpenalised intercept, so its mean
    residual on C is zero: mean over C of g = s(C), the correction does nothing, and the estimate is regression
    imputation, n/N s(C) + (N - n)/N mean over D \\ C of g, with a bias of order 1/n.
    """
    xp = namespace(source)
    n_items, n = source.shape[1], core.shape[1]
    z, n_rest = _gather(source, core, observed.dtype), n_items - n
    rest_mean = (_totals(source, observed.dtype) - xp.sum(z, axis=1)) / max(
        n_rest, 1
    )  # (T, M); none: times 0
    g_rest, _ = _ridge(z, observed, alpha)(slice(0), rest_mean)  # no item is left out
    return Estimate((n * _mean(observed) + n_rest * g_rest) / n_items)


def aipw_cross_fitted(source, core, observed, alpha=10.0, folds=5):
    """AIPW whose ridge never predicts an item that it was fitted on: exactly unbiased, with a score interval.

    With folds C_k of C and C_-k the rest of C, the average over k of

        (1/N) [sum_{C_-k} s + sum_{D \\ C_-k} g_-k + (N - |C_-k|)/|C_k| x sum_{C_k} (s - g_-k)].

    Given C_-k, the fold C_k is a simple random sample of D \\ C_-k and g_-k is fixed, so every term has expectation
    s(D).  That needs a core set drawn uniformly and *in the order of drawing*: fold k takes every K-th item of it.
    The interval uses the variance of the residuals s - g_-k, all out of fold.  Raises ValueError when n < 2.
    """
    xp, n_items, n = namespace(source), source.shape[1], core.shape[1]
    z, folds = _gather(source, core, observed.dtype), _checked_folds(folds, n)
    ridge, rest = (
        _ridge(z, observed, alpha),
        _totals(source, z.dtype) - xp.sum(z, axis=1),
    )  # (T, M) sums over D \ C
    total, residuals = 0.0, []
    for fold in (slice(k, None, folds) for k in range(folds)):
        own, own_z = observed[:, :, fold], z[:, fold, :]
        n_rest = n_items - n + own.shape[2]  # |D \ C_-k|
        g_rest, e = ridge(fold, (rest + xp.sum(own_z, axis=1)) / n_rest)
        total = (
            total + xp.sum(observed, axis=-1) - xp.sum(own, axis=-1) + n_rest * (g_rest + _mean(e))
        )
        residuals.append(e)
    return _with_interval(total / folds / n_items, xp.concat(residuals, axis=-1), observed, n_items)


def random_sampling_learn(source, core, observed, alphas=(0.1, 1.0, 10.0)):
    """Ridge regression, across source models, of the full accuracy on the n core-set scores, penalty by leave-one-out.

    Biased wherever the targets do not behave like the sources.
    """
    xp = namespace(source)
    x, y = _gather(source, core, observed.dtype), _totals(source, observed.dtype) / source.shape[1]
    weights, intercept = ridge_loo(xp.matrix_transpose(x), y, alphas)
    return weighted_sum(source, core, observed, weights, intercept)


def ridge_loo(x, y, alphas=(0.1, 1.0, 10.0)):
    """Ridge regressions with intercept of y (M,) on x (T, M, n): weights (T, n) and intercepts (T,).

    The penalty is the one of `alphas` with the least leave-one-out squared error, in closed form: with
    H = 1/M + K (K + alpha I)^-1, the residual left out is (y - Hy)_i / (1 - H_ii).
    """
    xp = namespace(x)
    x_mean, y_mean = xp.mean(x, axis=1, keepdims=True), xp.mean(y)
    xc, yc = x - x_mean, y - y_mean
    eigenvalues, u = xp.linalg.eigh(xc @ xp.matrix_transpose(xc))
    errors, duals = zip(
        *(_left_out(xp.clip(eigenvalues, 0.0, None), u, yc, alpha) for alpha in alphas)
    )
    best = xp.argmin(xp.stack(errors), axis=0)  # (T,)
    dual = sum(xp.where((best == a)[:, None], duals[a], 0.0) for a in range(len(alphas)))
    beta = xp.sum(xc * dual[:, :, None], axis=1)
    return beta, y_mean - xp.sum(x_mean[:, 0, :] * beta, axis=-1)


def _left_out(eigenvalues, u, yc, alpha):
    """Mean squared leave-one-out error (T,) and dual coefficients (T, M) of the ridge K = u diag(eigenvalues) u'."""
    xp = namespace(u)
    uy = (xp.matrix_transpose(u) @ yc[:, None])[:, :, 0]
    shrink = eigenvalues / (eigenvalues + alpha)
    h = 1 / yc.shape[0] + xp.sum(u**2 * shrink[:, None, :], axis=-1)
    left_out = (yc - (u @ (shrink * uy)[:, :, None])[:, :, 0]) / (1 - h)
    return xp.mean(left_out**2, axis=-1), (u @ (uy / (eigenvalues + alpha))[:, :, None])[:, :, 0]


# --- imputation by principal components -------------------------------------------------------------------------------


def pca(source, core, observed, ranks=(2, 5, 10, 20)):
    """The mean of the target's row, filled in by principal components together with the source rows.

    The unseen scores start at the sources' item means; then, again and again, they are replaced by their values in the
    rank-k PCA reconstruction of the M + 1 rows, until no more than 1e-4 (Euclidean) changes, 100 times at most.  The
    rank is the one of `ranks` with the least mean absolute error on every fourth source in order of accuracy, each
    imputed from the other three quarters.  (In the authors' code the validation mask is written to a copy, so that
    every rank has error 0 and the first, 2, always wins; and it fills in all targets in one matrix, whereas here no
    target's estimate depends on which other ones are evaluated.)
    """
    xp = namespace(source)
    validation, part, whole = _pca_parts(source)
    observed = xp.astype(
        observed, xp.float64, copy=False
    )  # the secular equation's terms differ by more than single
    truth = xp.mean(validation, axis=1)
    ranks = sorted({min(rank, part.variances.shape[0]) for rank in ranks})
    best = xp.zeros(core.shape[0], dtype=xp.int64, device=device(source))
    if len(ranks) > 1 and validation.shape[0]:
        seen = observe(validation, core)
        gaps = [
            xp.mean(xp.abs(_imputed_mean(part, core, seen, rank) - truth), axis=-1)
            for rank in ranks
        ]
        best = xp.argmin(xp.stack(gaps), axis=0)
    trials = [xp.nonzero(best == a)[0] for a in range(len(ranks))]  # those of each rank
    take = lambda values, rows: xp.take(values, rows, axis=0)
    values = [
        _imputed_mean(whole, take(core, rows), take(observed, rows), rank)
        for rank, rows in zip(ranks, trials)
        if rows.shape[0]
    ]
    return Estimate(take(xp.concat(values), xp.argsort(xp.concat(trials))))


class _Components(NamedTuple):
    """The principal components of M centred rows, all r = M - 1 of them."""

    mean: object  # (N,) of the rows
    variances: object  # (r,) squared singular values, descending
    vectors: object  # (N, r) orthonormal; zero where the variance is zero


@once_per_source
def _pca_parts(source):
    """The validation rows, the components of the other rows, and those of all rows."""
    xp, source = namespace(source), floating(source, namespace(source).float64)
    order = xp.argsort(xp.mean(source, axis=1))
    held_out = asarray_like([i % 4 == 2 for i in range(source.shape[0])], source)
    rows = lambda chosen: xp.take(source, order[chosen], axis=0)
    return rows(held_out), _components(rows(~held_out)), _components(source)


def _components(rows):
    xp = namespace(rows)
    mean = xp.mean(rows, axis=0)
    centred = rows - mean
    variances, u = xp.linalg.eigh(centred @ xp.matrix_transpose(centred))
    variances, u = (
        xp.flip(variances[1:]),
        xp.flip(u[:, 1:], axis=1),
    )  # the least is 0: the rows are centred
    there = variances > 1e-9 * xp.sum(variances)
    inverse = xp.where(there, 1 / xp.sqrt(xp.where(there, variances, 1.0)), 0.0)
    return _Components(
        mean, xp.where(there, variances, 0.0), xp.matrix_transpose(centred) @ (u * inverse)
    )


def _imputed_mean(components, core, observed, rank, limit=100, tolerance=1e-4):
    """The mean (T, P) over all items of rows that are known on their core set and imputed, each by itself, elsewhere.

    Let the components be V, the row's deviation from the mean be d, known on C.  The imputed part is V w throughout: a
    reconstruction is a combination of the source rows and of the row itself.  So a step needs z = V'd =
    V_C'd_C + (I - V_C'V_C) w alone, not N numbers but r; and the PCA of the M + 1 rows is the sources' plus a matrix of
    rank one, M/(M+1) d d', whose eigenvalues solve a secular equation.
    """
    xp = namespace(observed)
    n_items, n_rows = components.mean.shape[0], components.variances.shape[0] + 1
    flat = xp.reshape(core, (-1,))
    v = xp.reshape(
        xp.take(components.vectors, flat, axis=0), (*core.shape, n_rows - 1)
    )  # (T, n, r)
    d = observed - xp.reshape(xp.take(components.mean, flat), core.shape)[:, None, :]
    unseen = xp.eye(n_rows - 1, dtype=v.dtype, device=device(v)) - xp.matrix_transpose(v) @ v
    z_seen, size_seen = d @ v, xp.sum(d**2, axis=-1)
    w, open_, roots = xp.zeros_like(z_seen), xp.ones_like(size_seen, dtype=xp.bool), None
    for _ in range(limit if rank else 0):
        hidden = w @ unseen
        z, size = z_seen + hidden, size_seen + xp.sum(w * hidden, axis=-1)
        q, tau, roots = _rank_one_projection(
            components.variances, z, size, rank, n_rows / (n_rows + 1), roots
        )
        step = (q + tau[..., None] * (w - z) - w) * n_rows / (n_rows + 1)
        w = xp.where(open_[..., None], w + step, w)
        open_ = open_ & (xp.sum(step * (step @ unseen), axis=-1) >= tolerance**2)
        if not xp.any(open_):
            break
    rest = n_items * xp.mean(components.vectors, axis=0) - xp.sum(
        v, axis=1
    )  # (T, r) sums over the unseen items
    return (
        xp.mean(components.mean)
        + (xp.sum(d, axis=-1) + xp.sum(w * rest[:, None, :], axis=-1)) / n_items
    )


def _rank_one_projection(variances, z, size, rank, gamma, roots):
    """The projection of d on the first k eigenvectors of V diag(variances) V' + gamma d d', as V (q - tau z) + tau d.

    z = V'd is (T, P, r), size = d'd is (T, P).  An eigenvalue l solves 1/gamma = sum z_i^2 / (l - variance_i) + e / l,
    e = d'd - z'z, and its eigenvector is (l - V diag(variances) V')^-1 d.  Returns q (T, P, r), tau (T, P) and roots.
    """
    xp = namespace(z)
    low = variances[
        :rank
    ]  # the j-th root lies between variances j and j - 1; `roots` are distances from the former
    scale = variances[0] + 1e-9
    size = size[..., None] + 1e-30 * scale
    e, z2 = (
        xp.abs(size - xp.sum(z**2, axis=-1, keepdims=True)),
        z**2 + 1e-30 * size,
    )  # no root falls on a pole
    gaps = xp.broadcast_to(low[:-1] - low[1:] + 1e-12 * scale, (*size.shape[:-1], rank - 1))
    width = xp.concat([gamma * size, gaps], axis=-1)
    roots = width / 2 if roots is None else xp.minimum(roots, width)
    offset = low[:, None] - variances  # (k, r)
    moving = xp.ones_like(roots, dtype=xp.bool)
    for _ in range(50):
        new = _secular_step(roots, offset, low, width, z2, e, gamma)
        far = xp.abs(new - roots) > 1e-4 * xp.minimum(
            new, width - new
        )  # convergence is quadratic: to 1e-8
        roots, moving = xp.where(moving, new, roots), moving & far
        if not xp.any(moving):
            break
    inverse = 1 / (roots[..., None] + offset)
    share = 1 / (matvec(inverse**2, z2) + e / (roots + low) ** 2) / gamma  # |projection|^2 / gamma
    return (
        z * matvec(xp.matrix_transpose(inverse), share),
        xp.sum(share / (roots + low), axis=-1),
        roots,
    )


def _secular_step(t, offset, low, width, z2, e, gamma):
    """One step towards the roots t (T, P, k) of the secular equation, each in (0, width).

    The sums over the poles below and above are replaced by c + b / (distance to the nearest pole) with the same value
    and slope, which leaves a quadratic equation with one root in the interval (Bunch, Nielsen & Sorensen 1978).
    """
    xp = namespace(t)
    inverse = 1 / (t[..., None] + offset)
    squares, e_inverse, rest = inverse**2, 1 / (t + low), width - t
    low_slope = matvec(xp.where(offset >= 0, squares, 0.0), z2)
    high_slope = matvec(squares, z2) - low_slope
    b_low, b_high = t**2 * (low_slope + e * e_inverse**2), rest**2 * high_slope
    c = 1 / gamma - matvec(inverse, z2) - e * e_inverse + b_low / t - rest * high_slope
    root = xp.sqrt((c * width - b_low + b_high) ** 2 + 4 * b_low * b_high)
    return xp.minimum(2 * b_low * width / (c * width + b_low + b_high + root), (1 - 1e-15) * width)


# --- what they share --------------------------------------------------------------------------------------------------


def matvec(matrix, vector):
    """The product of each matrix (..., a, b) with its vector (..., b): (..., a)."""
    return (matrix @ vector[..., None])[..., 0]


def _mean(scores):
    return namespace(scores).mean(scores, axis=-1)


def _gather(source, core, dtype):
    """The core items' source scores, (T, n, M): row i of z[t] is what ridge sees of item core[t, i]."""
    xp = namespace(source)
    columns = xp.matrix_transpose(xp.take(source, xp.reshape(core, (-1,)), axis=1))
    return xp.astype(xp.reshape(columns, (*core.shape, source.shape[0])), dtype, copy=False)


@once_per_source
def _totals(source, dtype):
    """The sums (M,) of the models' source scores."""
    xp = namespace(source)
    return xp.astype(xp.sum(source, axis=1), dtype, copy=False)


def _ridge(z, s, alpha):
    """Ridges with an intercept on z (T, n, M), fitted to the scores s (T, P, n) of all items but some.

    Returns a function of the items to leave out, a slice, and of points (T, M): it gives the predictions (T, P) there
    and the errors s - g (T, P, n_k) on the items left out.  The cheaper of two systems is put together once, and each
    call takes its part out.  Products are made in the precision of z, in which those of 0/1 scores are exact; systems
    are solved in double.
    """
    between = _ridge_between_items if z.shape[1] <= 2 * z.shape[2] else _ridge_between_models
    return between(z, namespace(s).matrix_transpose(s), alpha)


def _ridge_between_items(z, s, alpha):
    """Of the fit to all n items, with the hat matrix H, I - H = alpha (K + alpha I)^-1 - 1/n; K = z z' of the centred z.

    Left out, the items k have the errors e_k = (I - H_kk)^-1 (s - H s)_k; and the fit to the others is the fit to all,
    with s - e_k in place of s on the items k (Stone 1974).
    """
    xp, n = namespace(z), z.shape[1]
    products = lambda x: xp.astype(x @ xp.matrix_transpose(z), xp.float64, copy=False)
    minus_mean, k = lambda x: x - xp.mean(x, axis=2, keepdims=True), products(z)
    of_mean = xp.mean(k, axis=1, keepdims=True)  # (T, 1, n): products of mean z
    system = minus_mean(k - of_mean) + alpha * xp.eye(n, dtype=xp.float64, device=device(z))
    residual = alpha * xp.linalg.inv(system) - 1 / n  # I - H

    def leaving_out(fold, point):
        e = xp.linalg.solve(residual[:, fold, fold], residual[:, fold, :] @ s)
        weights = (
            1 / n + minus_mean(products(point[:, None, :]) - of_mean) @ residual / alpha
        )  # of s in g
        return (weights @ s - weights[:, :, fold] @ e)[:, 0, :], xp.matrix_transpose(e)

    return leaving_out


def _ridge_between_models(z, s, alpha):
    """g = x'b with x = (z, 1) and (x'x + alpha diag(1, ..., 1, 0)) b = x's."""
    xp = namespace(z)
    with_one = lambda z: xp.concat([z, xp.ones_like(z[..., :1])], axis=-1)
    product = lambda a, b: xp.astype(xp.matrix_transpose(a) @ b, xp.float64, copy=False)  # a'b
    x = with_one(z)
    penalty = alpha * xp.eye(x.shape[2], dtype=xp.float64, device=device(z))
    penalty[-1, -1] = 0.0  # the intercept
    system, x_s = product(x, x) + penalty, product(x, s)

    def leaving_out(fold, point):
        own, own_s = x[:, fold, :], s[:, fold, :]
        b = xp.linalg.solve(system - product(own, own), x_s - product(own, own_s))
        return (with_one(point)[:, None, :] @ b)[:, 0, :], xp.matrix_transpose(own_s - own @ b)

    return leaving_out


def _with_interval(value, residual, observed, n_items):
    """The estimate with the score interval of a mean of n residuals: variance (1 - n/N) s_e^2 / n."""
    n = residual.shape[-1]
    if n < 2:
        return Estimate(value)  # one item says nothing of the variance
    plain = (1 - n / n_items) / n
    variance = plain * namespace(residual).var(
        residual, axis=-1
    )  # divisor n, as in mean (1 - mean)
    return Estimate(value, *score_interval(value, variance, _mean(observed), plain, n - 1))


def _checked_folds(folds, n):
    if n < 2:
        raise ValueError(f"cross-fitting needs a core set of at least 2 items, not {n}")
    if folds < 2:
        raise ValueError(f"cross-fitting needs at least 2 folds, not {folds}")
    return min(folds, n)
