"""Designs crossed with predictions: the experiment of the chapter that compares them.

A design is a function of the scores y (B, N) of B targets, of which it looks at those it draws: it
returns the items C (B, n), their weights w (B, n), and an estimate (B,) of its own or None. An
estimator is a function of C, w and the scores s (B, n) of the items, and returns (B,).
"""

from functools import partial

import numpy as np
import pandas as pd
from scipy import stats

from benchpred_utils import irt
from benchpred_utils.forecast import predict, working_model
from benchpred_utils.sequential import SequentialStratification

from .design_trials import random_gap, sizes_to_pi, systematic

FOLDS = 5  # of consecutive places in the sample; its items come in random order
SAME_WEIGHTS = (
    "simple random",
    "strata, proportional",
    "systematic by difficulty",
    "local pivotal",
    "cube",
)
FAST = (*SAME_WEIGHTS[:3], "strata, Neyman", "unequal, systematic", "unequal (2PL), systematic")
UNBIASED = ("none", "prior g", "own g")
MORE = 8  # times the trials of the others, for what needs no fit
ESTIMATORS = {  # a fit gets 1 over this number of the trials
    "none": 1,
    "weighted mean": 1,
    "prior g": 1,
    "multiplier": 1,
    "ridge": 2,
    "kernel": 2,
    "logistic": 4,
    "factor model": 2,
    "working model": 2,
    "own g": 1,
    "imputation": 2,
}
IDEAS = {  # what is compared: new and old, each a design and an estimator
    "draw in order of difficulty": (
        ("systematic by difficulty", "none"),
        ("simple random", "none"),
    ),
    "draw spread over components": (("local pivotal", "none"), ("simple random", "none")),
    "draw balanced on components": (("cube", "none"), ("simple random", "none")),
    "Neyman's strata, not proportional": (
        ("strata, Neyman", "none"),
        ("strata, proportional", "none"),
    ),
    "ridge on a random draw": (("simple random", "ridge"), ("simple random", "none")),
    "working model, not ridge": (("simple random", "working model"), ("simple random", "ridge")),
    "working model on an ordered draw": (
        ("systematic by difficulty", "working model"),
        ("systematic by difficulty", "none"),
    ),
    "unequal probabilities, ordered": (
        ("unequal, systematic", "none"),
        ("systematic by difficulty", "none"),
    ),
    "unequal probabilities (prior g)": (
        ("unequal, conditional Poisson", "prior g"),
        ("simple random", "prior g"),
    ),
    "the same, in order of difficulty": (
        ("unequal, systematic", "prior g"),
        ("unequal, conditional Poisson", "prior g"),
    ),
    "the same, in two phases": (("two phases", "own g"), ("unequal, systematic", "prior g")),
    "sequential stratification instead": (
        ("sequential stratification", "own g"),
        ("unequal, systematic", "prior g"),
    ),
}

# --- what the sources say -------------------------------------------------------------------------


def prior(source, best=0.25):
    """The share (N,) right among the best of the sources (all for best = 1), kept off 0 and 1."""
    top = np.argsort(source.mean(axis=1))[-max(2, int(best * len(source))) :]
    return 0.95 * source[top].mean(axis=0) + 0.025


def of_ability(source, above):
    """What a 2PL says (N,) of a model `above` standard deviations above the mean ability."""
    model = working_model(source)
    slope = model.x[:, 0]
    return irt.sigmoid(model.offset + above * np.sign(slope.sum()) * slope)


def components(source, k=5):
    """The items' places (N, k) on the sources' principal components, scaled by the first."""
    centred = source - source.mean(axis=1, keepdims=True)
    _, values, vectors = np.linalg.svd(centred, full_matrices=False)
    z = vectors[:k].T * values[:k]
    return z / z[:, 0].std()


def distances(z):
    """The squared distances (N, N) of the places z (N, r)."""
    square = (z**2).sum(axis=1)
    return square[:, None] + square - 2 * z @ z.T


def aimed(g, n):
    """Inclusion probabilities (N,) in proportion to sqrt(g (1 - g)) + 0.1."""
    return sizes_to_pi((np.sqrt(g * (1 - g)) + 0.1)[None], n)[0]


def strata(p, power, n):
    """Five strata (N,) by p, and probabilities; power 0: proportional allocation, 1: Neyman's."""
    h = stats.rankdata(p, method="ordinal") * 5 // (len(p) + 1)
    mean = np.bincount(h, p) / np.bincount(h)
    return h, sizes_to_pi(((mean * (1 - mean)) ** (power / 2))[h][None], n)[0]


# --- draws in one go ------------------------------------------------------------------------------


def counts(p, n):
    """P(k of the items i, i + 1, ... are drawn) when each is drawn by itself: (N + 1, n + 1)."""
    table = np.eye(1, n + 1).repeat(len(p) + 1, axis=0)
    for i in range(len(p))[::-1]:
        table[i] = (1 - p[i]) * table[i + 1]
        table[i, 1:] += p[i] * table[i + 1, :-1]
    return table


def conditional_poisson(pi, size, rng):
    """`size` samples (size, n) of maximal entropy with probabilities pi (N,), all below 1.

    Each item is drawn by itself with odds that are found by iteration, given that n are drawn.
    """
    n = round(pi.sum())
    p = pi
    for _ in range(10):
        after = counts(p, n)
        before = counts(p[::-1], n)[::-1]
        others = (before[:-1, :n] * after[1:, n - 1 :: -1]).sum(axis=1)  # n - 1 of them
        has = p * others / after[0, n]
        odds = (1 - p) / p * has / (1 - has) * (1 - pi) / pi
        p = 1 / (1 + odds)
    after = counts(p, n)
    left = np.full(size, n)
    drawn = np.zeros((size, len(p)), bool)
    for i in range(len(p)):
        u = rng.random(size)
        drawn[:, i] = (left > 0) & (u * after[i, left] < p[i] * after[i + 1, left - 1])
        left -= drawn[:, i]
    return np.nonzero(drawn)[1].reshape(size, n)


def fight(a, b, u):
    """What two probabilities become: one is 0 or 1; their sum and both expectations are kept."""
    low = np.maximum(a + b - 1, 0)
    high = np.minimum(a + b, 1)
    wins = u * (high - low) < a - low
    return np.where(wins, high, low), np.where(wins, low, high)


def local_pivotal(pi, z, size, rng):
    """`size` samples (size, n) with probabilities pi (N,), well spread over the places z (N, r)."""
    p = np.tile(pi, (size, 1))
    rows = np.arange(size)
    distance = distances(z).astype(np.float32)
    turn = rng.random(p.shape, np.float32)
    closed = np.where((p > 0) & (p < 1), np.float32(0), np.float32(np.inf))
    for _ in range(p.shape[1] - 1):
        i = (turn - closed).argmax(axis=1)  # an open item at random, and its nearest open neighbour
        d = distance[i] + closed
        d[rows, i] = np.inf
        j = d.argmin(axis=1)
        p[rows, i], p[rows, j] = fight(p[rows, i], p[rows, j], rng.random(size))
        for k in (i, j):
            decided = np.minimum(p[rows, k], 1 - p[rows, k]) < 1e-9
            closed[rows, k] = np.where(decided, np.inf, closed[rows, k])
    return np.nonzero(p > 0.5)[1].reshape(size, -1)


def cube(pi, x, size, rng):
    """`size` samples (size, n) with probabilities pi (N,), balanced on x (N, r) until the landing.

    (Deville and Tillé 2004; flight by as many items as there are equations, and one more.)
    """
    a = np.column_stack([np.ones(len(pi)), x / pi[:, None]])
    k = a.shape[1]
    p = np.tile(pi, (size, 1))
    rows = np.arange(size)[:, None]
    order = np.argsort(rng.random(p.shape), axis=1)
    at = order[:, : k + 1].copy()  # the items in play, for k equations
    for following in range(k + 1, len(pi) + k):
        q = p[rows, at]
        u = _into_kernel(a[at][..., :k], rng.standard_normal(at.shape))
        up = _to_the_wall(q, u)
        down = _to_the_wall(q, -u)
        move = np.where(rng.random(size) * (up + down) < down, up, -down)  # expected: none
        q = q + move[:, None] * u
        p[rows, at] = q = np.where(np.minimum(q, 1 - q) < 1e-9, np.rint(q), q)
        decided = np.minimum(q, 1 - q).argmin(axis=1)
        if following < len(pi):
            at[rows[:, 0], decided] = order[:, following]
        else:  # landing: one item less, one equation less
            at = at[np.arange(k + 1) != decided[:, None]].reshape(size, k)
            k -= 1
    return np.nonzero(p > 0.5)[1].reshape(size, -1)


def _into_kernel(A, u):
    """The part of u (B, m) that is orthogonal to the columns of A (B, m, k)."""
    gram = np.swapaxes(A, 1, 2) @ A + 1e-10 * np.eye(A.shape[2])  # singular where items are alike
    onto = np.linalg.solve(gram, (u[:, None] @ A)[:, 0, :, None])
    return u - (A @ onto)[..., 0]


def _to_the_wall(q, u):
    """The longest step (B,) for which q + step u (B, m) stays in [0, 1]."""
    with np.errstate(divide="ignore", invalid="ignore"):
        backward = np.where(u < -1e-12, -q / u, np.inf)
        return np.where(u > 1e-12, (1 - q) / u, backward).min(axis=1)


def checked(source, n, many, rng):
    """`many` samples of each one-shot design: are the probabilities kept, is the sample balanced?

    A row per design: the standard deviation and the largest size of z, a share of samples less pi
    over its standard error, and the imbalance, the root mean square error of the total of five
    components beside a simple random sample's.
    """
    p = prior(source)
    z = components(source)
    kinds = {}
    for name, draw in one_shot_designs(source, p, 2.5, n, rng, targets=1).items():
        C, w, _ = draw(np.zeros((many, len(p))))
        kinds[name] = _checked_row(C, w, z)
    columns = ["sd of z", "largest |z|", "imbalance"]
    return pd.DataFrame(kinds, index=columns).T


def _checked_row(C, w, z):
    many, n = C.shape
    n_items = len(z)
    drawn = np.bincount(C.ravel(), minlength=n_items)
    pi = n / n_items * np.ones(n_items)
    pi[C] = 1 / w
    z_of = (drawn / many - pi) / np.sqrt(pi * (1 - pi) / many)
    error = (z[C] * w[..., None]).sum(axis=1) - z.sum(axis=0)
    plain = n_items * np.sqrt((1 - n / n_items) * z.var(axis=0, ddof=1) / n)
    imbalance = np.sqrt(((error.std(axis=0) / plain) ** 2).mean())
    return z_of.std(), np.abs(z_of).max(), imbalance


# --- designs --------------------------------------------------------------------------------------


def take(x, C):
    return np.take_along_axis(x, C, axis=1)


def in_order(pi, key, y, rng):
    """A systematic sample for each row of y, in the order of key (N,) or (B, N)."""
    C = systematic(np.broadcast_to(pi, y.shape), np.broadcast_to(key, y.shape), rng)
    return C, 1 / pi[C], None


def one_shot_designs(source, p, above, n, rng, targets):
    """The designs that see no score of the target: {name: function of y}.

    `p` (N,) is the prior g, `above` the ability of the target for a 2PL. The pivotal and the cube
    method take long: four of the `targets` of a trial share a sample.
    """
    z = components(source)
    q = of_ability(source, above)
    flat = np.full(len(p), n / len(p))
    steep = aimed(p, n)
    h, neyman = strata(source.mean(axis=0), 1, n)

    def random_order(y):
        return in_order(flat, rng.random(y.shape), y, rng)

    def ordered(pi, key):
        return lambda y: in_order(pi, key + 1e-3 * rng.random(y.shape), y, rng)

    def within(pi):
        return lambda y: in_order(pi, h + rng.random(y.shape), y, rng)

    def in_space(method, pi):
        return lambda y: _shared(method, pi, z, y, targets, n, rng)

    def poisson(y):
        C = conditional_poisson(steep, len(y), rng)
        return C, 1 / steep[C], None

    return {
        "simple random": random_order,
        "strata, proportional": within(flat),
        "strata, Neyman": within(neyman),
        "systematic by difficulty": ordered(flat, p),
        "local pivotal": in_space(local_pivotal, flat),
        "cube": in_space(cube, flat),
        "unequal, conditional Poisson": poisson,
        "unequal, systematic": ordered(steep, p),
        "unequal (2PL), systematic": ordered(aimed(q, n), q),
        "unequal, local pivotal": in_space(local_pivotal, steep),
        "unequal, cube": in_space(cube, steep),
    }


def _shared(method, pi, z, y, targets, n, rng, share=4):
    trials = len(y) // targets
    each = -(-targets // share)
    C = method(pi, z, trials * each, rng).reshape(trials, each, n)
    C = C.repeat(share, axis=1)[:, :targets].reshape(-1, n)
    return C, 1 / pi[C], None


def two_phases(source, p, n, y, rng, first=20):
    """`first` items aimed by the prior, the others by the working model after their scores.

    The phases' estimates are averaged by their shares of the items.
    """
    rows = np.arange(len(y))[:, None]
    share = first / n
    pi = aimed(p, first)
    A, w_A, _ = in_order(pi, p + 1e-3 * rng.random(y.shape), y, rng)
    g = predict(working_model(source), A, take(y, A))
    size = np.sqrt(g * (1 - g)) + 0.1
    key = np.round(g, 9)  # items that are alike stay in one order on any machine
    size[rows, A] = 0.0
    key[rows, A] = 2.0
    pi2 = sizes_to_pi(size, n - first)
    B = systematic(pi2, key, rng)
    w_B = 1 / take(pi2, B)
    e = y - g
    t1 = p.mean() + (w_A * (take(y, A) - p[A])).sum(axis=1) / len(p)
    found = take(e, A).sum(axis=1) + (w_B * take(e, B)).sum(axis=1)
    t2 = g.mean(axis=1) + found / len(p)
    w = np.concatenate([share * w_A + 1 - share, (1 - share) * w_B], axis=1)
    return np.concatenate([A, B], axis=1), w, share * t1 + (1 - share) * t2


def sequential(source, n, y, rng):
    """Sequential stratification, with the weights 1/q."""
    uniform = rng.random((len(y), y.shape[1] + 2 * n))
    rounds = SequentialStratification(working_model(source), uniform, n)
    while not rounds.done:
        rounds.record(take(y, rounds.next_items()))
    return rounds.items, 1 / take(rounds.q, rounds.items), rounds.estimate().value


# --- predictions ----------------------------------------------------------------------------------


def kernel_ridge(K, alpha):
    """Kernel ridge regression, cross-fitted, all folds from one inverse of K (N, N) + alpha."""
    mean = K.mean(axis=0)

    def estimate(C, w, s):
        b, n = C.shape
        m = n // FOLDS
        Q = np.linalg.inv(K[C[:, :, None], C[:, None, :]] + alpha * np.eye(n))
        blocks = Q.reshape(b, FOLDS, m, FOLDS, m)
        own = blocks[:, np.arange(FOLDS), :, np.arange(FOLDS)]  # (FOLDS, b, m, m)
        a = (Q @ s[..., None]).reshape(b, FOLDS, m, 1).swapaxes(0, 1)
        e = np.linalg.solve(own, a).swapaxes(0, 1).reshape(b, n)  # left-out residuals
        share = (Q @ mean[C][..., None])[..., 0]  # the mean of g over all items is share's
        return (share * (s - e / FOLDS)).sum(axis=1) + (w * e).sum(axis=1) / len(K)

    return estimate


def linear(source):
    """The kernel (N, N) of a ridge on the source scores (M, N), with a constant."""
    x = source.T - source.mean(axis=1)
    return x @ x.T + 100.0


def gaussian(z):
    """The kernel (N, N) of items near each other at the places z (N, r), with a constant."""
    d = distances(z)
    return np.exp(-d / (2 * np.median(d))) + 1.0


def cross_fitted(fit, n_items):
    """The cross-fitted estimator of fit(items, scores) -> g (B, N)."""

    def estimate(C, w, s):
        fold = np.arange(C.shape[1]) * FOLDS // C.shape[1]
        value = 0.0
        for k in range(FOLDS):
            g = fit(C[:, fold != k], s[:, fold != k])
            e = s[:, fold == k] - take(g, C[:, fold == k])
            value = value + g.mean(axis=1) / FOLDS
            value = value + (w[:, fold == k] * e).sum(axis=1) / n_items
        return value

    return estimate


def logistic(x, alpha, steps=2):
    """Logistic regression on x (N, K) with a ridge penalty, in dual form, by Newton steps."""
    K = x @ x.T / alpha

    def fit(C, s):
        own = K[C[:, :, None], C[:, None, :]]
        a = np.zeros(s.shape)
        for _ in range(steps):
            eta = (own @ a[..., None])[..., 0]
            g = irt.sigmoid(eta)
            v = np.maximum(g * (1 - g), 0.01)
            scaled = own + np.eye(C.shape[1]) / v[:, None]
            a = np.linalg.solve(scaled, (eta + (s - g) / v)[..., None])[..., 0]
        return irt.sigmoid((a[:, None] @ x[C])[:, 0] @ x.T / alpha)

    return fit


def bayesian(x, offset):
    """Logistic regression on x (N, K) with standard normal priors and an offset (N,)."""

    def fit(C, s):
        beta = irt.logistic_map(x[C], offset[C], s[:, None], 1.0)[:, 0]
        return irt.sigmoid(beta @ x.T + offset)

    return fit


def _share(w):
    return w / w.sum(axis=1, keepdims=True)


def _multiplier(p, C, w, s):
    """The difference estimator with p times its regression coefficient in the sample."""
    mean = (_share(w) * p[C]).sum(axis=1)
    centred = p[C] - mean[:, None]
    product = (_share(w) * centred * s).sum(axis=1)
    slope = product / ((_share(w) * centred**2).sum(axis=1) + 1e-9)
    return (_share(w) * s).sum(axis=1) + slope * (p.mean() - mean)


def estimators(source, p):
    """The estimators of the table but a design's own: {name: function of C, w and s}."""
    n_items = len(p)
    ease = (source.sum(axis=0) + 0.5) / (len(source) + 1)
    constant = np.full(n_items, 10.0)  # hardly penalised
    difficulty = np.log(ease / (1 - ease))
    factor = np.column_stack([difficulty, components(source), constant])
    all_sources = np.column_stack([source.T - source.mean(axis=1), constant])
    model = working_model(source)
    own = bayesian(model.x, model.offset)
    return {
        "none": lambda C, w, s: (w * s).sum(axis=1) / n_items,
        "weighted mean": lambda C, w, s: (_share(w) * s).sum(axis=1),
        "prior g": lambda C, w, s: p.mean() + (w * (s - p[C])).sum(axis=1) / n_items,
        "multiplier": partial(_multiplier, p),
        "ridge": kernel_ridge(linear(source), 10.0),
        "kernel": kernel_ridge(gaussian(components(source)), 1.0),
        "logistic": cross_fitted(logistic(all_sources, 3.0), n_items),
        "factor model": cross_fitted(bayesian(factor, np.zeros(n_items)), n_items),
        "working model": cross_fitted(own, n_items),
        "imputation": lambda C, w, s: own(C, s).mean(axis=1),
    }


# --- the study ------------------------------------------------------------------------------------


def study(source, target, best, above, n, trials, rng):
    """One benchmark: {(design, estimator): (changes of the gap in per cent, mean errors)}.

    Both are of each trial, mean errors in points. `best` is the share of the sources that the prior
    looks at, `above` the ability of the target for a 2PL.
    """
    base = random_gap(target, n)
    p = prior(source, best)
    kinds = estimators(source, p)
    draws = one_shot_designs(source, p, above, n, rng, len(target))
    draws["two phases"] = lambda y: two_phases(source, p, n, y, rng)
    draws["sequential stratification"] = lambda y: sequential(source, n, y, rng)
    found = {}
    for design, draw in draws.items():
        y = np.tile(target, (trials * (MORE if design in FAST else 1), 1))
        C, w, own = draw(y)
        mix = np.argsort(rng.random(C.shape), axis=1)  # for the folds
        C = take(C, mix)
        w = take(w, mix)
        values = {} if own is None else {"own g": own}
        for name, estimate in kinds.items():
            part = ESTIMATORS[name]
            rows = len(y) if part == 1 else len(target) * -(-trials // part)
            values[name] = estimate(C[:rows], w[:rows], take(y[:rows], C[:rows]))
        for name, value in values.items():
            error = (value - y[: len(value)].mean(axis=1)).reshape(-1, len(target))
            change = 100 * np.abs(error).mean(axis=1) / base - 100
            found[design, name] = change, 100 * error.mean(axis=1)
    return found


def in_turn(parts):
    """The trials of several splits of one benchmark, one after the other in turn."""
    return {
        cell: tuple(np.stack(pair, axis=1).ravel() for pair in zip(*(part[cell] for part in parts)))
        for cell in parts[0]
    }


def mean_of(series, extra=0.0):
    """Mean over the benchmarks and its 95% half-width (Welch's t); extra: further variances."""
    variance = np.array([x.var(ddof=1) / len(x) for x in series])
    df = np.array([len(x) - 1 for x in series])
    t = stats.t.ppf(0.975, variance.sum() ** 2 / (variance**2 / df).sum())
    half = t * np.sum(variance + extra) ** 0.5 / len(series)
    return np.mean([x.mean() for x in series]), half


def _cell(results, split, cell, benchmarks):
    """Mean change and half-width, worst benchmark, mean error and half-width of a cell.

    An estimator with fewer trials is measured against the multiplier in the same ones, and added to
    what the multiplier has in all of them.
    """
    gaps, errors = zip(*(results[split, b][cell] for b in benchmarks))
    known = [results[split, b][cell[0], "multiplier"][0] for b in benchmarks]
    if len(gaps[0]) >= len(known[0]):
        return (*mean_of(gaps), max(x.mean() for x in gaps), *mean_of(errors))
    apart = [x - m[: len(x)] for x, m in zip(gaps, known)]
    extra = [
        m.var(ddof=1) / len(m) + 2 * np.cov(m[: len(d)], d)[0, 1] / len(m)
        for d, m in zip(apart, known)
    ]
    change, half = mean_of(apart, extra)
    means = [d.mean() + m.mean() for d, m in zip(apart, known)]
    return change + np.mean([m.mean() for m in known]), half, max(means), *mean_of(errors)


def table(results):
    """A row per split, design and estimator of {(split, benchmark): study}.

    Columns: change of the gap in per cent, its half-width, worst benchmark, mean error in points,
    its half-width, and the kind: exact, approximate or biased.
    """
    benchmarks = list(dict.fromkeys(b for _, b in results))
    rows = []
    for split in dict.fromkeys(split for split, _ in results):
        for cell in results[split, benchmarks[0]]:
            kind = "approximate"
            if cell[1] in UNBIASED or (cell[1] == "weighted mean" and cell[0] in SAME_WEIGHTS):
                kind = "exact"
            elif cell[1] == "imputation":
                kind = "biased"
            rows.append((split, *cell, kind, *_cell(results, split, cell, benchmarks)))
    columns = ["change", "half", "worst", "error", "error half"]
    return pd.DataFrame(rows, columns=["split", "design", "estimator", "kind", *columns])


def bought(results, grid, split, new, old):
    """The difference of two cells and its half-width, in points of random sampling's gap.

    Trial by trial for one design, of independent draws for two. Random sampling's own change is 0.
    """
    at = grid[grid.split == split].set_index(["design", "estimator"])
    a = at.loc[new]
    b = at.loc[old]
    if old == ("simple random", "none"):
        return a.change, a.half
    if new[0] != old[0]:
        return a.change - b.change, np.hypot(a.half, b.half)
    benchmarks = [b for part, b in results if part == split]
    pairs = [(results[split, b][new][0], results[split, b][old][0]) for b in benchmarks]
    shared = [min(len(x), len(y)) for x, y in pairs]
    return mean_of([x[:m] - y[:m] for (x, y), m in zip(pairs, shared)])


# --- what an oracle could do ----------------------------------------------------------------------


def oracle_limits(source, target, n, rng):
    """The changes of the standard error (%) with a g fitted to all the target's scores, by class.

    {class: (random draw, ideal unequal draw)}: g is predicted out of ten folds of all N scores; the
    variance of the unequal draw is Hájek's approximation, its floor the best of three.
    """
    return {name: _limit(target, _oracle(fit, target, rng), n) for name, fit in _classes(source)}


def _oracle(fit, target, rng, folds=10):
    fold = rng.permutation(target.shape[1]) % folds
    g = np.empty(target.shape)
    for k in range(folds):
        g[:, fold == k] = fit(fold != k, target[:, fold != k])[:, fold == k]
    return np.clip(g, 0.01, 0.99)


def _logistic_map(x):
    x = np.column_stack([x, np.full(len(x), 10.0)])  # the constant is hardly penalised

    def fit(train, s):
        none = np.zeros((1, train.sum()))
        return irt.sigmoid(irt.logistic_map(x[None, train], none, s[None], 1.0)[0] @ x.T)

    return fit


def _ridge(source, alpha=10.0):
    def fit(train, s):
        x = source.T - source.T[train].mean(axis=0)
        mean = s.mean(axis=1, keepdims=True)
        gram = x[train].T @ x[train] + alpha * np.eye(len(source))
        return mean + (s - mean) @ x[train] @ np.linalg.solve(gram, x.T)

    return fit


def _classes(source):
    ease = (source.sum(axis=0) + 0.5) / (len(source) + 1)
    difficulty = np.log(ease / (1 - ease))
    centred = source - source.mean(axis=1, keepdims=True)
    _, values, vectors = np.linalg.svd(centred, full_matrices=False)
    yield "ridge on all sources", _ridge(source)
    yield "logistic, difficulty alone", _logistic_map(difficulty)
    factors = np.column_stack([difficulty, 2 * vectors[:5].T * values[:5]])
    yield "factor model, 5 components", _logistic_map(factors)
    for k in (1, 2, 5):
        items = irt.fit_2pl(source, k).items
        scaled = items * np.append(np.full(k, 3.0), 1.0)
        yield f"2PL, {k} dimension{'s' * (k > 1)}", _logistic_map(scaled)


def _limit(target, g, n):
    n_items = target.shape[1]
    rest = 1 - n / n_items
    e = target - g
    plain, random = (np.sqrt(rest * x.var(axis=1, ddof=1) / n).mean() for x in (target, e))
    unequal = []
    for floor in (0.05, 0.1, 0.2):
        pi = sizes_to_pi(np.sqrt(g * (1 - g)) + floor, n)
        d = pi * (1 - pi)
        x = e / pi
        centre = (d * x).sum(axis=1, keepdims=True) / d.sum(axis=1, keepdims=True)
        unequal.append(np.sqrt((d * (x - centre) ** 2).sum(axis=1)).mean() / n_items)
    return 100 * random / plain - 100, 100 * min(unequal) / plain - 100
