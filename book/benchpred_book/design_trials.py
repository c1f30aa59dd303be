"""Trials of the chapters on designs: draws with given probabilities, and what an error is worth."""

import numpy as np
import pandas as pd
from scipy import stats

from benchpred_utils.forecast import WorkingModel, working_model
from benchpred_utils.sequential import SequentialStratification

# --- draws ----------------------------------------------------------------------------------------


def sizes_to_pi(size, n):
    """Probabilities (B, N) in proportion to `size`, each row of sum n; those that pass 1 are 1."""
    sure = np.zeros(size.shape, bool)
    while True:
        rest = np.where(sure, 0.0, size)
        left = n - sure.sum(axis=1, keepdims=True)
        pi = left * rest / rest.sum(axis=1, keepdims=True)
        if not (pi >= 1).any():
            return np.where(sure, 1.0, pi)
        sure |= pi >= 1


def systematic(pi, key, rng):
    """n items (B, n) for each row of pi (B, N), drawn systematically in the order of key (B, N)."""
    order = np.argsort(key, axis=1, kind="stable")  # the same on any machine
    upto = np.cumsum(np.take_along_axis(pi, order, axis=1), axis=1)
    n = round(upto[0, -1])
    marks = np.floor(upto * (n / upto[:, -1:]) + rng.random((len(pi), 1)))  # passed so far
    return order[np.diff(marks, axis=1, prepend=0.0) > 0.5].reshape(len(pi), n)


def best_quarter(source):
    """The share (N,) of the best quarter of the sources (M, N) that is right, kept off 0 and 1."""
    best = np.argsort(source.mean(axis=1))[-max(2, len(source) // 4) :]
    return 0.95 * source[best].mean(axis=0) + 0.025


# --- the gap and the standard error against those of random sampling ------------------------------


def random_gap(target, n):
    """The expected gap of random sampling, the mean over the targets (P, N): no simulation."""
    x = np.arange(n + 1)
    right = target.sum(axis=1).round().astype(int)[:, None]
    chance = stats.hypergeom.pmf(x, target.shape[1], right, n)
    return (chance * np.abs(x / n - target.mean(axis=1, keepdims=True))).sum(axis=1).mean()


def gap_changes(estimate, target, n):
    """The change of the gap, in per cent, in each trial (T,) of estimates (T, P)."""
    gap = np.abs(estimate - target.mean(axis=1)).mean(axis=1)
    return 100 * gap / random_gap(target, n) - 100


def mean_of(series):
    """Mean over the benchmarks, 95% half-width, worst benchmark: of {benchmark: (trials,)}."""
    means = np.array([x.mean() for x in series.values()])
    variance = sum(x.var(ddof=1) / len(x) for x in series.values())
    df = sum(len(x) - 1 for x in series.values())
    return means.mean(), stats.t.ppf(0.975, df) * variance**0.5 / len(means), means.max()


def error_changes(squares, target, n):
    """The change of the standard error, in per cent, by trials whose mean it is: (T,).

    `squares` (T, P): exact variances, or squared errors, of T trials of the targets (P, N). The
    mean of the shares is that of the roots of the mean squares.
    """
    root = np.sqrt(squares.mean(axis=0))
    share = (root + squares / root) / 2  # the root, linear in a trial's square
    by_formula = (1 / n - 1 / target.shape[1]) * target.var(axis=1, ddof=1)
    return 100 * share.mean(axis=1) / np.sqrt(by_formula).mean() - 100


# --- sequential stratification --------------------------------------------------------------------


def all_rounds(model, y, n, own_rate=None, seed=0, **options):
    """Sequential stratification of y (B, N), a row each, to the end.

    `own_rate` is another prior weight of the target's own rate.
    """
    uniform = np.random.default_rng(seed).random((len(y), y.shape[1] + 2 * n))
    rounds = SequentialStratification(model, uniform, n, **options)
    if own_rate is not None:
        rounds.forecast.log_two[:] = np.log([1 - own_rate, own_rate])
    while not rounds.done:
        rounds.record(np.take_along_axis(y, rounds.next_items(), axis=1))
    return rounds


def measured(model, target, trials, n, **options):
    """The changes of the standard error (trials,) of the targets (P, N), by exact variances."""
    y = np.tile(target, (trials, 1))
    variance = all_rounds(model, y, n, **options).variance(y)
    return error_changes(variance.reshape(trials, -1), target, n)


def altered(model, features=8, beta=1, gamma=1, twins=True):
    """The working model without some of its parts, or with scaled priors."""
    x = model.x * [1.0, beta, gamma, *np.ones(5)]
    return WorkingModel(x[:, :features], model.offset, model.sources if twins else ())


def variants(own_rate=1e-12):
    """Changed parts and settings, {label: (changes of the model, options)}; first, as it is."""
    found = {
        "as it is": ({}, {}),
        "no components": ({"features": 3}, {}),
        "no twins": ({"twins": False}, {}),
        "no own rate": ({}, {"own_rate": own_rate}),
        "narrow prior": ({"beta": 0.4, "gamma": 0.2}, {}),
        "wide prior": ({"beta": 2, "gamma": 2}, {}),
    }
    for k in (1, 2, 5, 10, 40):
        found[f"{k} round{'s' * (k > 1)}"] = ({}, {"rounds": k})
    for floor in (0.02, 0.1, 0.2):
        found[f"floor {floor}"] = ({}, {"floor": floor})
    return found


def settings(frontier, n, trials=3):
    """{label: {benchmark: changes of the standard error}} of every second target (P, N)."""
    tried = {}
    for b, (source, target) in frontier.items():
        model = working_model(source)
        for label, (part, options) in variants().items():
            found = measured(altered(model, **part), target[::2], trials, n, **options)
            tried.setdefault(label, {})[b] = found
    return tried


# --- sources that mislead -------------------------------------------------------------------------


def permuted(source, times, seed=0):
    """The working models of sources whose items were permuted, anew each time."""
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(source.shape[1]) for _ in range(times)]
    return [working_model(source[:, order]) for order in orders]


def specialists(source, count, seed=0):
    """Targets (count, N) that have 30% of the sources' easiest fifth wrong, all else right."""
    rng = np.random.default_rng(seed)
    n_items = source.shape[1]
    easiest = np.argsort(-source.mean(axis=0), kind="stable")[: n_items // 5]
    target = np.ones((count, n_items))
    for row in target:
        row[rng.choice(easiest, n_items * 3 // 50, replace=False)] = 0
    return target


def with_shuffled(models, target, n, **options):
    """The changes of the standard error with each of some working models: (len(models),)."""
    return np.concatenate([measured(model, target, 1, n, **options) for model in models])


def costs(source, target, cases, times=5):
    """The changes of the standard error where sources mislead, {(kind, n, own_rate): changes}.

    `cases` are pairs (n, own_rate); `times` shuffles of the sources meet the targets (P, N), and
    `times` specialists the sources as they are.
    """
    model = working_model(source)
    shuffled = permuted(source, times)
    special = specialists(source, times)
    found = {}
    for n, own_rate in cases:
        found["shuffled", n, own_rate] = with_shuffled(shuffled, target, n, own_rate=own_rate)
    for n, own_rate in cases:
        changes = measured(model, special, times + 1, n, own_rate=own_rate)
        found["specialist", n, own_rate] = changes
    return found


def bound(model, target, n):
    """How much larger than a random sample's the standard error may be, in per cent.

    With the largest cell of one path for each target (P, N).
    """
    rounds = all_rounds(model, target, n)
    n_items = target.shape[1]
    rho = n / n_items * np.mean([np.bincount(row).max() for row in rounds.cell])
    return 100 * np.sqrt(rho * (n_items - 1) / (n_items - n)) - 100


def trust(whole, weak, best, weights, n):
    """The changes of the standard error with each prior weight of the own rate.

    {(kind, weight): changes}: the `best` sources as targets of the `weak` ones, the same with weak
    ones whose items are permuted, and specialists as targets of the `whole` sources.
    """
    kinds = {
        "held out": ([working_model(weak)], best, 4),
        "shuffled": (permuted(weak, 4, seed=1), best, 1),
        "specialist": ([working_model(whole)], specialists(whole, 5, seed=1), 4),
    }
    found = {}
    for kind, (models, target, trials) in kinds.items():
        for w in weights:
            parts = [measured(model, target, trials, n, own_rate=w) for model in models]
            found[kind, w] = np.concatenate(parts)
    return found


# --- the picture of one draw ----------------------------------------------------------------------


def one_draw(model, y, n, uniform, rounds):
    """The open items in each round of one draw, in order of the forecast g, a row each.

    y (N,) are the target's scores, n at most N/2. Columns: round (from 1), place (from 0), g, cell
    (from 0), used (is the cell used in this round?), drawn, score.
    """
    draw = SequentialStratification(model, uniform, n, rounds=rounds)
    jitter = 0.01 * (uniform[0, : len(y)] - 0.5)
    frames = []
    while not draw.done:
        g = draw.forecast.predict(draw.items, draw.observed)[0]
        is_open = draw.cell[0] < 0
        left = n - draw.items.shape[1]
        items = draw.next_items()[0]
        draw.record(y[None, items])
        order = np.flatnonzero(is_open)
        order = order[np.argsort((g + jitter)[order])]
        w = np.sqrt(g * (1 - g))[order] + draw.floor
        upto = np.cumsum(w)
        columns = {
            "round": len(frames) + 1,
            "place": np.arange(len(order)),
            "g": g[order],
            "cell": np.floor(left * (upto - w) / upto[-1]).astype(int),
            "used": draw.cell[0, order] >= 0,
            "drawn": np.isin(order, items),
            "score": y[order],
        }
        frames.append(pd.DataFrame(columns))
    return pd.concat(frames, ignore_index=True)
