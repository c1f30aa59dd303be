"""Trials of the claims ledger that no other chapter makes."""

import numpy as np
from scipy import stats

import benchpred_utils as bp
from benchpred_utils.forecast import working_model
from benchpred_utils.sequences import SequentialDraws
from benchpred_utils.sequential import SequentialStratification


def bet(source, target, rng, half_width=0.03, repeats=4):
    """Each target until the confidence sequence is that narrow: items used, held at every look.

    source (M, N), target (P, N); both results (repeats, P).
    """
    rows = np.tile(target, (repeats, 1))
    draw = SequentialDraws(working_model(source), rng.random(rows.shape), half_width)
    truth = rows.mean(axis=1)
    used = np.zeros(len(rows))
    held = np.ones(len(rows), dtype=bool)
    while not draw.done:
        items = draw.next_items()
        running = ~draw.finished
        draw.record(np.take_along_axis(rows, items, axis=1))
        used[running] = draw.items.shape[1]
        inside = (draw.sequence.lower <= truth + 1e-9) & (truth <= draw.sequence.upper + 1e-9)
        held &= ~running | inside
    return used.reshape(repeats, -1), held.reshape(repeats, -1)


def joined(source, target, n, rng, trials=100):
    """Mean gaps over the targets, (trials,) each, with n items: when the better half of the sources
    comes after half of the items, and of random sampling."""
    rows = np.tile(target, (trials, 1))
    order = np.argsort(source.mean(axis=1), kind="stable")
    weaker = working_model(source[order[: len(order) // 2]])
    uniform = rng.random((len(rows), source.shape[1] + 2 * n))
    draws = SequentialStratification(weaker, uniform, n)
    while not draws.done:
        if draws.forecast.model is weaker and draws.items.shape[1] >= n // 2:
            draws.use(working_model(source))
        draws.record(np.take_along_axis(rows, draws.next_items(), axis=1))
    error = (draws.estimate().value - rows.mean(axis=1)).reshape(trials, -1)
    plain = [random_error(target, n, rng) for _ in range(trials)]
    return np.abs(error).mean(axis=1), np.array(plain)


def random_error(target, n, rng):
    """The mean gap over the targets (P, N) of one random core set of n items."""
    C = rng.choice(target.shape[1], n, replace=False)
    return np.abs(target[:, C].mean(axis=1) - target.mean(axis=1)).mean()


def stratified(strata, n, rng):
    """A proportional stratified draw of n items, strata (N,) coded from 0: items, weights (n,)."""
    size = np.bincount(strata)
    exact = n * size / size.sum()
    take = np.floor(exact).astype(int)
    take[np.argsort(take - exact, kind="stable")[: n - take.sum()]] += 1
    drawn = [rng.choice(np.flatnonzero(strata == h), k, replace=False) for h, k in enumerate(take)]
    return np.concatenate(drawn), np.repeat(size / size.sum() / np.maximum(take, 1), take)


def strata_trial(scores, split, n, by, rng):
    """Mean gaps over the targets of one trial: stratified by "difficulty" or "domain", random."""
    source, target = bp.split_models(scores, split, rng)
    if by == "difficulty":  # ten strata of equal size by the sources' share right
        ease = source.values.mean(axis=0) + 1e-6 * rng.random(scores.n_items)  # ties at random
        rank = stats.rankdata(ease, method="ordinal").astype(int)
        strata = rank * 10 // (scores.n_items + 1)
    else:
        strata = np.unique(scores.domains, return_inverse=True)[1]
    C, w = stratified(strata, n, rng)
    error = np.abs(target.values[:, C] @ w - target.accuracy).mean()
    return error, random_error(target.values, n, rng)
