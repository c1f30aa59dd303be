"""Item response theory: the 2PL model P(s = 1) = sigmoid(a'theta + b) of a model's ability theta
and an item's a and b, and the methods that choose and read items by it, or by difficulty alone.
"""

import warnings
from typing import NamedTuple

import numpy as np
import scipy  # scipy.optimize is loaded at its first use
from threadpoolctl import threadpool_limits

from .backend import array_module, floating, to_numpy
from .designs import Draw, checked_budget
from .estimators import Estimate, matvec
from .optimised import slow_import

DIMS = 10  # of the abilities (Polo et al. 2024)

# Of a target's ability.  Maximum likelihood, as published, is infinite where the abilities can
# separate the n scores, which is usual with 10 dimensions and n = 50.  The ridge keeps it finite;
# its size comes from sources alone: with a fifth of them held out (interpolation, n = 50, mean over
# the six benchmarks) the gap of p-IRT is 4.10 points at 1e-6, 3.82 at 0.01, 3.72 at 0.1 and 5.27
# at 1.
RIDGE = 0.1

LARGE = 1_000_000  # scores: beyond, abilities are fitted to some items, and items in blocks

KNOTS = np.linspace([-3.0, 0.0], [3.0, 1.0], 5)  # of metabench's splines: ability, core mean


# --- the multidimensional 2PL ---------------------------------------------------------------------


class TwoPL(NamedTuple):
    """A fitted 2PL model, unique up to a rotation of the K dimensions."""

    abilities: object  # (M, K) theta
    items: object  # (N, K + 1): the slopes a, then the intercept b


def fit_2pl(scores, dims=DIMS, tolerance=1e-6):
    """The joint posterior mode of the 2PL with standard normal priors, from scores (M, N).

    It maximises sum s log p + (1 - s) log(1 - p) - |theta|^2/2 - |a|^2/2 - |b - mean b|^2/2 over
    all theta, a and b, the first sum over the scores that are not missing (NaN): a TwoPL.  SciPy's
    L-BFGS-B on the host, in one thread (rounding differs with their number), from the singular
    vectors of the residuals, until a step gains less than `tolerance` of the log posterior.
    Of more than LARGE scores, the theta and the mean b are those of every k-th item, and given
    these each item's a and b are the mode.
    """
    xp = array_module(scores)
    scores = to_numpy(scores)
    some = scores[:, some_items(scores)]
    with threadpool_limits(1):
        start = _start(some, min(dims, *some.shape))
        found = scipy.optimize.minimize(
            _objective, start.ravel(), (some,), "L-BFGS-B", jac=True, tol=tolerance
        )
    x = found.x.reshape(start.shape)
    models = x[: len(scores)]
    items = x[len(scores) :]
    if some.shape != scores.shape:
        offset = np.full((1, len(scores)), items[:, -1].mean())
        blocks = [scores[:, block].T[None] for block in item_blocks(scores)]
        items = np.concatenate([logistic_map(models[None], offset, s, 1.0)[0] for s in blocks])
        items[:, -1] += offset[0, 0]
    return TwoPL(xp.asarray(models[:, :-1]), xp.asarray(items))


def some_items(scores):
    """The items, as a slice: every k-th, so that about LARGE scores are left of (M, N)."""
    return slice(None, None, -(-scores.size // LARGE))


def item_blocks(scores):
    """The items, as slices of the scores (M, N) that a processor's cache holds."""
    size = -(-LARGE // (8 * len(scores)))
    return [slice(first, first + size) for first in range(0, scores.shape[1], size)]


def _start(scores, dims):
    """The first parameters (M + N, K + 1): rows (theta, 1) of models, then (a, b) of items.

    b are the logits of the item means p, theta and a the first singular vectors of
    (s - p)/(p (1 - p) + 0.1), each with the sign that makes the mean slope positive.
    """
    p = (np.nansum(scores, axis=0) + 1) / (np.isfinite(scores).sum(axis=0) + 2)
    residuals = np.nan_to_num((scores - p) / (p * (1 - p) + 0.1))  # 0 where a score is missing
    u, size, vt = np.linalg.svd(residuals, full_matrices=False)
    v = vt[:dims]
    root = np.sqrt(size[:dims]) * np.where(v.sum(axis=1) < 0, -1, 1)
    models = np.column_stack([u[:, :dims] * root, np.ones(len(scores))])
    items = np.column_stack([v.T * root, np.log(p / (1 - p))])
    return np.concatenate([models, items])


def _objective(flat, scores):
    """Minus the log posterior at parameters laid out as those of `_start`, and its gradient."""
    n_models = len(scores)
    x = flat.reshape(sum(scores.shape), -1)
    models = x[:n_models]
    items = x[n_models:]
    prior = x.copy()
    prior[:n_models, -1] = 0.0  # the 1 beside each theta: no parameter
    prior[n_models:, -1] -= items[:, -1].mean()
    logits = models @ items.T
    p = sigmoid(logits)
    loss = np.maximum(logits, 0.0) - scores * logits - np.log(np.maximum(p, 1 - p))
    slope = p - scores
    gaps = np.isnan(scores)
    loss[gaps] = 0.0
    slope[gaps] = 0.0
    gradient = prior + np.concatenate([slope @ items, slope.T @ models])
    gradient[:n_models, -1] = 0.0
    return loss.sum() + (prior**2).sum() / 2, gradient.ravel()


def filled(scores):
    """Scores (M, N) with what a one-dimensional 2PL expects where one is missing (NaN).

    But within the range of the item's other scores: on which all agree stays so. The scores
    themselves are given back where none is missing.
    """
    xp = array_module(scores)
    gaps = xp.isnan(scores)
    if not gaps.any():
        return scores
    least = xp.where(gaps, 1.0, scores).min(axis=0)
    most = xp.where(gaps, 0.0, scores).max(axis=0)
    p = _predicted(*fit_2pl(scores, 1))
    return xp.where(gaps, xp.clip(p, least, most), scores)


# --- one side of it: logistic regressions ---------------------------------------------------------


def logistic_map(x, offset, observed, ridge):
    """Penalised logistic regressions of observed (T, P, n) on x (T, n, K) with offsets (T, n).

    Each beta of (T, P, K) minimises sum log(1 + e^l) - s l + ridge |beta|^2/2, l = x beta + offset;
    no regression's result depends on the others beyond rounding.  Abilities for given items, or the
    reverse.  By Newton steps times log(1 + d)/d, d the largest change of a logit in the full step:
    as the third derivative of log(1 + e^l) is at most the second, the criterion falls with each,
    and they become Newton's as d goes to 0 (Sun & Tran-Dinh 2019, Mathematical Programming 178).
    """
    xp = array_module(x)
    k = x.shape[2]
    products = (x[..., :, None] * x[..., None, :]).reshape(*x.shape[:2], k * k)
    beta = xp.zeros((*observed.shape[:2], k))
    logits = xp.broadcast_to(offset[:, None, :], observed.shape)
    for _ in range(200 if observed.shape[2] else 0):  # without scores, 0 is the minimum
        p = sigmoid(logits)
        hessian = ((p * (1 - p)) @ products).reshape(*beta.shape, k) + ridge * xp.eye(k)
        residuals = p - observed
        residuals = xp.where(xp.isnan(residuals), 0.0, residuals)  # a gap says nothing
        gradient = residuals @ x + ridge * beta
        step = xp.linalg.solve(hessian, gradient[..., None])[..., 0]
        change = step @ x.swapaxes(1, 2)
        d = abs(change).max(axis=-1, keepdims=True) + 1e-30
        size = xp.log1p(d) / d
        beta = beta - size * step
        logits = logits - size * change
        if d.max() < 1e-6:  # convergence is quadratic
            break
    return beta


def _abilities(items, observed, ridge):
    """Of targets with the scores observed (T, P, n) on the items (T, n, K + 1): (T, P, K)."""
    return logistic_map(items[..., :-1], items[..., -1], observed, ridge)


def _predicted(abilities, items):
    """The probabilities (..., P, n) of abilities (..., P, K) on items (..., n, K + 1)."""
    return sigmoid(abilities @ items[..., :-1].swapaxes(-1, -2) + items[..., None, :, -1])


def sigmoid(logits):
    """The logistic function."""
    return (1 + array_module(logits).tanh(logits / 2)) / 2  # exp would overflow


# --- p-IRT and gp-IRT -----------------------------------------------------------------------------


class ItemModel(NamedTuple):
    """What p-IRT and gp-IRT learn from the sources."""

    items: object  # (N, K + 1) of the 2PL
    mixture: float  # lambda of gp-IRT


def learn_irt(source, n):
    """The 2PL's items, and the mixture of gp-IRT, as its authors have it (tinyBenchmarks).

    A 2PL is fitted without every fifth source; from the even items of each of those its mean on
    the odd ones is predicted, with a mean absolute error of b.  The variance sigma^2 is the mean
    over the sources of the variance of a source's scores; lambda = b^2 / (sigma^2/(4n) + b^2).
    Raises ValueError for one source.
    """
    if len(source) < 2:
        raise ValueError(
            "one source model isn't enough: some are left out of the fit to see how far it is off"
        )
    items = fit_2pl(source[np.arange(len(source)) % 5 > 0]).items
    complete = filled(source)
    rows = complete[::5]
    abilities = _abilities(items[None, ::2], rows[None, :, ::2], RIDGE)[0]
    errors = _predicted(abilities, items[1::2]).mean(axis=1) - rows[:, 1::2].mean(axis=1)
    bias_square = float(abs(errors).mean()) ** 2
    variance = float(complete.var(axis=1).mean()) / (4 * n)
    return ItemModel(fit_2pl(source).items, bias_square / (variance + bias_square))


def irt_anchors(learned, n, rng):
    """The items nearest to the centres of n clusters of item parameters (a, b) (Polo et al. 2024).

    An item nearest to two centres is taken once, and the next nearest for the second.  The Draw is
    read by the clusters' shares (n,) of the items.  k-means (scikit-learn's) is started once.
    """
    items = to_numpy(learned.items)
    n_items = checked_budget(len(items), n)
    seed = int(rng.integers(2**31))
    k_means = slow_import("sklearn.cluster").KMeans(n, n_init=1, random_state=seed)
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.filterwarnings("ignore", "Number of distinct clusters")  # then some share is 0
        distance = k_means.fit_transform(items)
    shares = np.bincount(k_means.labels_, minlength=n) / n_items
    return Draw(_distinct(distance.T), (shares,))


def _distinct(cost):
    """For each row of cost (n, N) in turn the cheapest column not taken yet: (n,); spoils cost."""
    columns = []
    for row in range(len(cost)):
        columns.append(cost[row].argmin())
        cost[:, columns[-1]] = np.inf
    return np.array(columns)


def p_irt(learned, draws, observed):
    """n/N x the core mean + (1 - n/N) x the mean of the 2PL's predictions for the rest.

    The target's ability is fitted on the core set alone, by maximum likelihood with a small ridge,
    RIDGE (Polo et al. 2024).
    """
    core_items = learned.items[draws.items]
    abilities = _abilities(core_items, observed, RIDGE)
    residual = (observed - _predicted(abilities, core_items)).sum(axis=-1)
    total = residual + _predicted(abilities, learned.items).sum(axis=-1)
    return Estimate(total / len(learned.items))


def gp_irt(learned, draws, observed):
    """lambda x the anchors' mean, weighted by cluster shares, + (1 - lambda) x p-IRT.

    lambda = b^2/(v + b^2) weighs p-IRT's bias b against the anchors' variance v = sigma^2/(4n)
    (Polo et al. 2024).  (Their code fits the same model twice before the one for b.)
    """
    (shares,) = draws.reading
    anchors = matvec(observed, shares)
    predicted = p_irt(learned, draws, observed).value
    return Estimate(learned.mixture * anchors + (1 - learned.mixture) * predicted)


# --- metabench ------------------------------------------------------------------------------------


class Metabench(NamedTuple):
    """What metabench learns from the sources."""

    core: object  # (n,) item indices, on the host
    items: object  # (n, 2) slopes and intercepts of these
    accuracy: object  # an additive model of the full accuracy, scikit-learn's


def learn_metabench(source, n):
    """The most informative item at each of n quantiles of the sources' abilities, and a reading.

    The abilities are those of a one-dimensional 2PL; the Fisher information of an item is
    a^2 p (1 - p). No item is taken twice (Kipnis et al. 2024). With few sources it overfits: items
    are taken whose slopes came out steep by chance, and the additive model then sees the very
    sources that made them so. (Fitted on other sources than the items, its bias all but vanishes.)
    """
    checked_budget(source.shape[1], n)
    xp = array_module(source)
    source = to_numpy(source)
    abilities, items = fit_2pl(source, 1)
    quantiles = np.quantile(abilities, (np.arange(n) + 0.5) / n)
    p = _predicted(quantiles[:, None], items)  # (n, N)
    information = items[:, 0] ** 2 * p * (1 - p)
    core = _distinct(-information)
    core_items = items[core]
    splines = slow_import("sklearn.preprocessing").SplineTransformer(
        knots=KNOTS, extrapolation="linear"
    )
    ridge = slow_import("sklearn.linear_model").RidgeCV(10.0 ** np.arange(-4, 5))
    accuracy = slow_import("sklearn.pipeline").make_pipeline(splines, ridge)
    source = filled(source)
    terms = _read(core_items, source[None, :, core])[0]  # a source is read as a target will be
    return Metabench(core, xp.asarray(core_items), accuracy.fit(terms, source.mean(axis=1)))


def metabench_items(learned, n, rng):
    """The items that `learn_metabench` chose; no random number is drawn."""
    return Draw(learned.core)


def metabench(learned, draws, observed):
    """An additive model of the full accuracy on the ability, from the core set, and the core mean.

    Of either it is a cubic spline (scikit-learn's), with a ridge penalty by leave-one-out. The
    target's ability is the posterior mode under the standard normal prior, given the items (Kipnis
    et al. 2024). (They fit the 2PL anew on the core set, and their model for one benchmark has no
    core mean.)
    """
    terms = _read(learned.items, observed)
    value = learned.accuracy.predict(terms.reshape(-1, 2)).reshape(terms.shape[:2])
    return Estimate(array_module(observed).asarray(value))


def _read(items, observed):
    """The ability and the core mean of scores (T, P, n) on the items (n, 2): (T, P, 2), NumPy's."""
    abilities = _abilities(items[None], observed, 1.0)[..., 0]
    return np.stack([to_numpy(abilities), to_numpy(observed.mean(axis=-1))], axis=-1)


# --- Sort & Search --------------------------------------------------------------------------------


def learn_difficulty(source, n):
    """The items (N,) in order of the sources' mean score, easiest first."""
    return np.argsort(-to_numpy(source).sum(axis=0), kind="stable")


def sorted_by_difficulty(learned, n, rng):
    """Every (N/n)-th item in order of difficulty, from a random start (Prabhu et al. 2024).

    The Draw is read by the n + 1 thresholds that the items leave, as positions in that order, over
    N: half way between the k-th core item and the next, k = 0, ..., n.
    """
    n_items = checked_budget(len(learned), n)
    places = ((np.arange(n) + rng.random()) * (n_items / n)).astype(int)
    thresholds = (np.append(0, places + 1) + np.append(places, n_items)) / 2 / n_items
    return Draw(learned[places], (thresholds,))


def sort_and_search(learned, draws, observed):
    """The threshold with the best cumulative agreement: right before it, wrong after it.

    With k of the n core items before it, the agreement is sum_{i <= k} s + sum_{i > k} (1 - s); it
    is averaged over the best k if there are several (Prabhu et al. 2024).  (In their code the k-th
    item itself, which k = 0 and k = 1 share, is the first that is wrong.)
    """
    xp = array_module(observed)
    (observed,) = floating(observed)
    (thresholds,) = draws.reading
    gain = xp.concat([xp.zeros_like(observed[..., :1]), 2 * observed - 1], axis=-1)
    agreement = gain.cumsum(axis=-1)  # but for a constant
    is_best = agreement >= agreement.max(axis=-1, keepdims=True) - 1e-9
    return Estimate(matvec(is_best * 1.0, thresholds) / is_best.sum(axis=-1))
