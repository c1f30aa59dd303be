"""The shared task PAIEC replayed: forecasts of a model's scores from a few labels, and who chooses.

Candidates arrive in random order and are accepted or skipped; after 0, 1, 3, 7, 15 and 31 labels
the items of the other half are forecast, and the Brier scores make one number, the ALC.
"""

from functools import partial
from typing import NamedTuple

import numpy as np
from scipy.special import logit, stdtrit

from benchpred_utils import forecast
from benchpred_utils.forecast import Forecast, WorkingModel
from benchpred_utils.irt import sigmoid

BUDGETS = (0, 1, 3, 7, 15, 31)
WEIGHTS = np.array([0.1, 0.2, 0.2, 0.2, 0.2, 0.1])  # of the ALC

__all__ = ["BUDGETS", "FORECASTERS", "POLICIES", "WEIGHTS", "replay", "streams", "task"]


class Task(NamedTuple):
    """What is known of a benchmark's items before a target has answered any."""

    source: object  # (M, N) scores
    ability: object  # WorkingModel with one coefficient: the 2PL with the sources' abilities
    working: object  # WorkingModel: eight coefficients, and the sources as twins


class Streams(NamedTuple):
    """B pairs of a target and a halving of the items."""

    scores: object  # (B, N) of the targets
    pool: object  # (B, N // 2) item indices in order of arrival
    held_out: object  # (B, N - N // 2) item indices


def task(source):
    """What the sources (M, N) say of the items."""
    working = forecast.working_model(source)
    ability = WorkingModel(working.x[:, :1], working.offset)
    return Task(np.asarray(source), ability, working)


def streams(target, repeats, rng):
    """Every target (P, N) `repeats` times, each with halves and an order of its own."""
    scores = np.repeat(target, repeats, axis=0)
    order = rng.permuted(np.tile(np.arange(target.shape[1]), (len(scores), 1)), axis=1)
    half = target.shape[1] // 2
    return Streams(scores, order[:, :half], order[:, half:])


# --- forecasters: from a task and a number of rows, (items, observed) -> g (B, N) -----------------


def constant(task, rows):
    """One half, for every item."""
    return lambda items, observed: np.full((rows, task.source.shape[1]), 0.5)


def own_mean(task, rows, smooth=0):
    """The mean of the labels, with `smooth` right and as many wrong ones added; 1/2 without any."""

    def predict(items, observed):
        total = observed.sum(axis=1, keepdims=True) + smooth
        count = observed.shape[1] + 2 * smooth
        mean = total / count if count else total + 0.5
        return np.tile(mean, (1, task.source.shape[1]))

    return predict


def item_mean(task, rows):
    """The sources' mean score of each item, whatever the labels say."""
    return lambda items, observed: np.tile(task.source.mean(axis=0), (rows, 1))


def ability(task, rows):
    """The 2PL with the target's one ability, at its posterior mode."""
    return partial(forecast.predict, task.ability)


def working(task, rows):
    """The working model: eight coefficients of the target, at their posterior mode."""
    return partial(forecast.predict, task.working)


def averaged(task, rows):
    """The working model's forecasts averaged over the posterior, v the variance of a logit l.

    They are sigmoid(l / sqrt(1 + pi v/8)) (MacKay 1992).
    """

    def predict(items, observed):
        p, c = posterior(task.working, items, observed)
        v = variances(task.working.x, c)
        return sigmoid(logit(p) / np.sqrt(1 + np.pi / 8 * v))

    return predict


def mixture(task, rows):
    """The package's mixture: the working model, a constant rate, and twins of the sources."""
    return Forecast(task.working, rows).predict


FORECASTERS = {
    "constant 1/2": constant,
    "mean of the labels": own_mean,
    "the same, smoothed": partial(own_mean, smooth=1),
    "the sources' item mean": item_mean,
    "one ability (2PL)": ability,
    "eight coefficients": working,
    "eight, averaged": averaged,
    "mixture": mixture,
}


# --- policies: priorities (B, N) of all items, highest first --------------------------------------


def posterior(model, items, observed):
    """Forecasts g (B, N) and the covariance C (B, K, K) of a working model's coefficients.

    C is the inverse of I + sum g (1 - g) x x' over the labelled items.
    """
    g = forecast.predict(model, items, observed)
    x = model.x[items]
    seen = np.take_along_axis(g, items, axis=1)
    w = seen * (1 - seen)
    hessian = np.eye(model.x.shape[1]) + (x * w[:, :, None]).swapaxes(1, 2) @ x
    return g, np.linalg.inv(hessian)


def variances(x, c):
    """(B, N) x'C x of all items, C (B, K, K)."""
    return c.reshape(len(c), -1) @ products(x).T


def products(x):
    """(N, K K) the products x x' of each item."""
    return (x[:, :, None] * x[:, None, :]).reshape(len(x), -1)


def uncertain(model, g, items, observed):
    """g (1 - g) of the forecaster."""
    return g * (1 - g)


def informative(model, g, items, observed):
    """p (1 - p) x'C x; with one ability, Fisher's information times what all items share."""
    p, c = posterior(model, items, observed)
    return p * (1 - p) * variances(model.x, c)


def useful(model, g, items, observed):
    """By how much one label lowers the expected Brier score, summed over all items.

    It is w_i sum_j (w_j x_j'C x_i)^2 / (1 + w_i x_i'C x_i), w = p (1 - p) (Cohn, Ghahramani &
    Jordan 1996).
    """
    p, c = posterior(model, items, observed)
    w = p * (1 - p)
    total = (w**2 @ products(model.x)).reshape(c.shape)  # sum_j w_j^2 x_j x_j'
    lowered = variances(model.x, c @ total @ c)
    return w * lowered / (1 + w * variances(model.x, c))


def spread_out(model, g, items, observed):
    """Nearest to the next point of 1/2, 1/4, 3/4, 1/8, ..., in the order of difficulty.

    After 1, 3, 7, 15 and 31 labels the points are an even grid (van der Corput's sequence).
    """
    binary = f"{items.shape[1] + 1:b}"
    point = sum(int(digit) / 2 ** (place + 1) for place, digit in enumerate(binary[::-1]))
    rank = model.offset.argsort().argsort()
    apart = np.abs((rank + 0.5) / len(rank) - point)
    return np.tile(-apart, (len(g), 1))


POLICIES = {
    "most uncertain": uncertain,
    "most informative": informative,
    "most useful": useful,
    "spread over difficulty": spread_out,
}


# --- the replay -----------------------------------------------------------------------------------


def labelling(streams, predict, policy=None, model=None, free=False):
    """The items labelled so far (B, t) and the forecasts g (B, N), for t = 0, ..., 31 in turn.

    Without a policy the first candidates are accepted. Else a candidate is accepted when its
    priority is among the highest L/C of all items, L labels and C candidates being left after the
    label before; when only L candidates are left, all are accepted. `free` takes the best item of
    the whole pool instead.
    """
    scores, pool, _ = streams
    rows = np.arange(len(scores))
    places = np.arange(pool.shape[1])
    gone = np.zeros(pool.shape, dtype=bool)  # candidates accepted or skipped
    items = pool[:, :0]
    choose = _best_of_all if free else _accepted
    for t in range(BUDGETS[-1]):
        observed = np.take_along_axis(scores, items, axis=1)
        g = predict(items, observed)
        yield items, g
        place = np.full(len(scores), t)
        if policy is not None:
            priority = policy(model, g, items, observed)
            place = choose(priority, pool, gone, BUDGETS[-1] - t)
        gone |= places == place[:, None]
        if not free:
            gone |= places < place[:, None]
        items = np.column_stack([items, pool[rows, place]])
    yield items, predict(items, np.take_along_axis(scores, items, axis=1))


def _accepted(priority, pool, gone, labels):
    """(B,) the place in the pool of the next candidate that is accepted."""
    share = labels / (~gone).sum(axis=1)
    rank = np.ceil((1 - share) * (priority.shape[1] - 1)).astype(int)
    limit = np.take_along_axis(np.sort(priority, axis=1), rank[:, None], axis=1)
    good = np.take_along_axis(priority, pool, axis=1) >= limit
    good[:, pool.shape[1] - labels] = True  # the last chance to use all labels
    return (good & ~gone).argmax(axis=1)


def _best_of_all(priority, pool, gone, labels):
    """(B,) the place of the best candidate that has no label yet."""
    return np.where(gone, -np.inf, np.take_along_axis(priority, pool, axis=1)).argmax(axis=1)


def replay(streams, predict, policy=None, model=None, free=False):
    """(B, 6) the Brier score on the held-out half after each of BUDGETS; as `labelling`."""
    truth = np.take_along_axis(streams.scores, streams.held_out, axis=1)
    steps = enumerate(labelling(streams, predict, policy, model, free))
    found = [np.take_along_axis(g, streams.held_out, 1) for t, (_, g) in steps if t in BUDGETS]
    return np.stack([((g - truth) ** 2).mean(axis=1) for g in found], axis=1)


# --- around it ------------------------------------------------------------------------------------


def over_targets(values, n_targets, level=0.95):
    """Mean and half-width of an interval over targets like these, from values (B,) of `streams`.

    The unit is a target, the mean of its replications: t with P - 1 degrees of freedom, which is
    the jackknife's interval.
    """
    each = values.reshape(n_targets, -1).mean(axis=1)
    half = stdtrit(n_targets - 1, 0.5 + level / 2) * each.std(ddof=1) / n_targets**0.5
    return each.mean(), half


def permuted(source, share, alike, rng):
    """The sources' scores (M, N) with a share of the items permuted among themselves.

    `alike` permutes all sources in the same way: they agree as before, and mislead. Otherwise each
    has a permutation of its own: they disagree, and so tell that they know nothing.
    """
    moved = rng.permutation(source.shape[1])[: round(share * source.shape[1])]
    rows = 1 if alike else len(source)
    order = rng.permuted(np.tile(moved, (rows, 1)), axis=1)
    changed = source.copy()
    changed[:, moved] = np.take_along_axis(
        source, np.broadcast_to(order, (len(source), len(moved))), 1
    )
    return changed
