"""Estimates for the domains of a benchmark: by their own items, or by a model that links them."""

from typing import NamedTuple

import numpy as np

import benchpred_utils as bp
from benchpred_utils import irt
from benchpred_utils.forecast import WorkingModel, predict, working_model
from benchpred_utils.intervals import score_interval
from benchpred_utils.sequential import SequentialStratification

Z = 1.96
DIRECT = {f"own items, {how}": how for how in ("random", "proportional", "equal")}


class Case(NamedTuple):
    """The sources and targets of one split of a benchmark with D domains."""

    source: np.ndarray  # (M, N)
    target: np.ndarray  # (P, N)
    sources: np.ndarray  # (M,) their names
    targets: np.ndarray  # (P,)
    domain: np.ndarray  # (N,) 0, ..., D - 1
    labels: np.ndarray  # (D,)


def case(name, split="extrapolation", rng=None):
    """The case of one split of a benchmark."""
    source, target = bp.split_models(bp.load_scores(name), split, rng)
    labels, domain = np.unique(source.domains, return_inverse=True)
    return Case(source.values, target.values, source.models, target.models, domain, labels)


def sums(values, domain):
    """Sums over each domain of values (..., N): (..., D)."""
    return values @ np.eye(domain.max() + 1)[domain]


def unevenness(source, domain):
    """The two parts of tau^2 for each model (M,): sums over d of r^2 - I, and of I^2.

    r is the sum of a domain's residuals from the 2PL (one ability per model), I its variance if
    they are luck alone; the ratio of the two parts, each summed over models, is tau^2.
    """
    ability, items = irt.fit_2pl(source, 1)
    a, b = items.T
    p = irt.sigmoid(ability * a + b)
    r = sums(source - p, domain)
    information = sums(p * (1 - p), domain)
    return (r**2 - information).sum(axis=1), (information**2).sum(axis=1)


# --- drawing --------------------------------------------------------------------------------------


def allocate(size, n, how):
    """The numbers n_d (D,) of items per domain: 'proportional' or 'equal', at least one each."""
    share = n * size / size.sum() if how == "proportional" else np.full(len(size), n / len(size))
    exact = np.minimum(share, size)
    take = np.maximum(np.floor(exact).astype(int), 1)
    take[np.argsort(take - exact, kind="stable")[: n - take.sum()]] += 1
    return take


def draw(domain, n, how, rows, rng):
    """Core sets (rows, n), stratified by domain or, for 'random', not."""
    if how == "random":
        parts, take = [np.arange(len(domain))], [n]
    else:
        take = allocate(np.bincount(domain), n, how)
        parts = [np.flatnonzero(domain == d) for d in range(len(take))]
    drawn = [
        part[rng.random((rows, len(part))).argsort(axis=1)[:, :k]]
        for part, k in zip(parts, take, strict=True)
    ]
    return np.concatenate(drawn, axis=1)


# --- estimates: value, lower, upper, each (B, D) --------------------------------------------------


def direct(domain, items, s):
    """Domain means of the scores s (B, n) on items (B, n), with score intervals.

    A domain without an item is given the overall mean, and the interval from 0 to 1.
    """
    N = np.bincount(domain)
    where = np.eye(len(N))[domain[items]]
    k = where.sum(axis=1)
    right = np.einsum("bn,bnd->bd", s, where)
    mean = np.where(k > 0, right / np.maximum(k, 1), s.mean(axis=1, keepdims=True))
    plain = (1 - k / N) / np.maximum(k, 1)
    lower, upper = score_interval(mean, plain * mean * (1 - mean), mean, plain, np.inf)
    return mean, np.where(k > 0, lower, 0.0), np.where(k > 0, upper, 1.0)


def difficulty_alone(source):
    """The working model without the components and without twins of the sources."""
    model = working_model(source)
    return WorkingModel(model.x[:, :3], model.offset)


def with_domains(model, domain, tau):
    """The working model with an effect u_d ~ N(0, tau^2) for every domain."""
    effects = tau * np.eye(domain.max() + 1)[domain]
    return WorkingModel(np.column_stack([model.x, effects]), model.offset, model.sources)


def borrowed(model, domain, items, s):
    """Scores seen and predictions for the rest, with 95% intervals.

    The intervals are from the posterior of the coefficients, in its normal approximation.
    """
    N = np.bincount(domain)
    g = predict(model, items, s)
    x = model.x[items]
    w = np.take_along_axis(g * (1 - g), items, axis=1)
    precision = np.eye(x.shape[2]) + np.einsum("bn,bnk,bnl->bkl", w, x, x)
    unseen = g * (1 - g)
    np.put_along_axis(g, items, s, axis=1)  # what was seen is known
    np.put_along_axis(unseen, items, 0.0, axis=1)
    parts = [unseen[:, domain == d] @ model.x[domain == d] for d in range(len(N))]
    slope = np.stack(parts, axis=1)
    learned = np.einsum("bdk,bkl,bdl->bd", slope, np.linalg.inv(precision), slope)
    half = Z * np.sqrt(learned + sums(unseen, domain)) / N
    value = sums(g, domain) / N
    return value, np.maximum(value - half, 0), np.minimum(value + half, 1)


def separate(c, n, y, rng):
    """Sequential stratification of y (B, N) within every domain, an equal share each."""
    ends = []
    for d, k in enumerate(allocate(np.bincount(c.domain), n, "equal")):
        i = np.flatnonzero(c.domain == d)
        ends.append(_stratified(working_model(c.source[:, i]), y[:, i], k, rng).estimate())
    return [np.stack(end, axis=1) for end in zip(*ends, strict=True)]


def for_the_total(model, n, y, rng):
    """Sequential stratification of the whole: items and scores (B, n), the total (B,)."""
    design = _stratified(model, y, n, rng)
    return design.items, design.observed, design.estimate().value


def _stratified(model, y, n, rng):
    design = SequentialStratification(model, rng.random((len(y), y.shape[1] + 2 * n)), n)
    while not design.done:
        design.record(np.take_along_axis(y, design.next_items(), axis=1))
    return design


# --- all of them ----------------------------------------------------------------------------------


def estimates(c, n, trials, tau, rng):
    """Each way's estimates in so many draws: {way: (ends, total)}.

    ends are value, lower, upper, each (trials, P, D); total (trials, P) is the estimate of the
    whole: the ways' own where they have one, else the weighted mean of the domains.
    """
    y = np.tile(c.target, (trials, 1))
    N = np.bincount(c.domain)
    linked = with_domains(working_model(c.source), c.domain, tau)
    found = {}
    for way, how in DIRECT.items():
        items = draw(c.domain, n, how, len(y), rng)
        s = np.take_along_axis(y, items, axis=1)
        own = direct(c.domain, items, s)
        found[way] = own, s.mean(axis=1) if how == "random" else None
    found["separate cells, equal"] = separate(c, n, y, rng), None
    # with the items of the last draw, in equal shares
    plain = difficulty_alone(c.source)
    found["difficulty alone, equal"] = borrowed(plain, c.domain, items, s), None
    found["domain effects, equal"] = borrowed(linked, c.domain, items, s), None
    items, s, total = for_the_total(linked, n, y, rng)
    found["domain effects, one draw"] = borrowed(linked, c.domain, items, s), total
    shape = (trials, len(c.target), len(N))
    return {
        way: (
            [np.reshape(end, shape) for end in ends],
            np.reshape(ends[0] @ N / N.sum() if total is None else total, shape[:2]),
        )
        for way, (ends, total) in found.items()
    }
