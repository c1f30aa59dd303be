"""Which method, and how many items: advice from the user's own source scores, measured on some that are held out."""

from bisect import bisect_left
from numbers import Integral
from typing import NamedTuple

import numpy as np
from scipy.special import ndtri

from .adaptive import SequentialStratification
from .designs import uniform_core_sets
from .estimators import aipw_cross_fitted, observe
from .experiments import budget_items
from .inference import score_interval
from .scores import Scores

__all__ = ["Advice", "half_width", "items_for", "items_to_compare", "recommend"]

PRECISION = 0.03  # the half-width asked for where nothing is
WORTHWHILE = 1.05  # an item's worth, in random items, below which a random sample will do
FEW = 8  # sources
NAMES = {
    "aipw_cross_fitted": "cross-fitted AIPW"
}  # of methods that are not their names with spaces


class Advice(NamedTuple):
    """What `recommend` says; str() of it is a paragraph.  Half-widths are of 95% intervals, in units of scores."""

    method: str  # a name in METHODS
    n_items: int  # items to run
    half_width: float  # expected with them
    ess: float  # random items that one item drawn by this method is worth, as measured; NaN: nothing to measure it on
    n_compare: (
        int | None
    )  # items for each of two models that differ by `difference`; None where not asked
    by_sources: dict  # {number of sources: the same ess with that many}
    reasons: tuple  # of sentences
    warnings: tuple  # of sentences

    def __str__(self):
        name, points = NAMES.get(self.method, self.method.replace("_", " ")), 100 * self.half_width
        first = f"Run {self.n_items} items with {name}, for a 95% interval of about ± {points:.1f} points."
        return " ".join(
            [first, *self.reasons, *(["Mind:"] if self.warnings else []), *self.warnings]
        )


def recommend(
    source_scores,
    budget=None,
    precision=None,
    difference=None,
    target="new",
    *,
    accuracy=None,
    rounds=True,
    rng=None,
):
    """Advice on how to evaluate one more model, measured on the source models' own scores: an Advice.

    `budget` (items, or a fraction below 1) asks for the half-width that it buys, `precision` for the items that a
    half-width takes (neither: 0.03), `difference` also for those that tell apart two models that far from each other.
    A "new" `target` is as good as the best sources or better: the best quarter of them is held out and plays it; a
    "known" one is like the sources: random quarters do.  `accuracy` is what is expected of it (None: as of those that
    play it).  ``rounds=False``: all items must be chosen before the first result.  Without sources give the number of
    items.  The same `rng` (None: seeded with 0) gives the same advice.
    Raises TypeError or ValueError, naming the culprit, when an argument can't be used.
    """
    scores, n_items, p = _checked(source_scores, budget, precision, difference, target, accuracy)
    rng, fixed = (
        np.random.default_rng(0) if rng is None else rng,
        budget is not None and budget_items(budget, n_items),
    )
    items = lambda worth: (
        fixed or items_for(PRECISION if precision is None else precision, n_items, p, worth)
    )
    trial = int(
        np.clip(items(1.5), min(10, n_items), max(n_items // 2, 1))
    )  # the number of items to measure with
    found = _measure(scores, trial, target, rounds, rng)
    learns = found.ess >= WORTHWHILE
    method = (
        "random_sampling"
        if not learns
        else "sequential_stratification"
        if rounds
        else "aipw_cross_fitted"
    )
    worth = (found.ess if learns else 1.0) / found.spread
    n, pairs = items(worth), ()
    if difference is not None:  # on the same random items; each model on items of its own
        ways = (found.correlation, found.spread), (0.0, 1 / worth)
        pairs = [items_to_compare(difference, p.mean(), r, n_items, spread) for r, spread in ways]
    width, n_compare = half_width(n, n_items, p, worth), min(pairs, default=None)
    advice = Advice(method, n, width, found.ess, n_compare, found.by_sources, (), ())
    reasons = tuple(_reasons(advice, found, target, n_items, p, worth, pairs, difference))
    return advice._replace(
        reasons=reasons, warnings=tuple(_warnings(advice, found, scores, n_items, p))
    )


# --- closed forms -----------------------------------------------------------------------------------------------------


def half_width(n, n_items, accuracy, ess=1.0):
    """Half the width expected of the 95% score interval from n of N items, each worth `ess` random ones; a float.

    The interval of :func:`inference.score_interval` at k = (1/n - 1/N)/ess, about t sqrt(k p (1 - p)) unless p is near
    0 or 1.  `accuracy` is p, or several p, for the mean (Wilson 1927; Cochran 1977, ch. 2).
    """
    p, k = np.atleast_1d(np.asarray(accuracy, float)), (1 / n - 1 / n_items) / ess
    lower, upper = score_interval(p, k * p * (1 - p), p, k, max(n - 1, 1))
    return float((upper - lower).mean() / 2)


def items_for(precision, n_items, accuracy, ess):
    """The smallest n whose `half_width` is at most `precision`."""
    return 1 + bisect_left(
        range(1, n_items), -precision, key=lambda n: -half_width(n, n_items, accuracy, ess)
    )


def items_to_compare(difference, accuracy, correlation, n_items, spread=1.0, power=0.8, level=0.05):
    """The items on which two models, `difference` apart, must be run to be told apart; each on as many, at most N.

    For a two-sided test at `level` that is to reject with probability `power`:

        1/n = 1/N + 1/m,   m = V (z_(1 - level/2) + z_power)^2 / difference^2 + z_(1 - level/2)^2 / 2,

    the last for the t distribution (Guenther 1981).  V = s_1^2 + s_2^2 - 2 r s_1 s_2, s^2 = spread p (1 - p), with p
    half the difference below and above `accuracy`; r is the `correlation` of the scores where both run on the same
    items, 0 where each has items of its own (Cochran 1977, ch. 4; Miller 2024).
    """
    z_level, z_power = ndtri([1 - level / 2, power])
    p = np.clip(accuracy + difference * np.array([-0.5, 0.5]), 0, 1)
    s = np.sqrt(spread * p * (1 - p))
    variance = max(
        s @ s - 2 * correlation * s.prod(), spread * difference * (1 - difference)
    )  # 0/1 scores: no less
    m = variance * ((z_level + z_power) / difference) ** 2 + z_level**2 / 2
    return int(np.ceil(1 / (1 / m + 1 / n_items)))


# --- measurements -----------------------------------------------------------------------------------------------------


class _Found(NamedTuple):
    by_sources: dict  # {number of sources: ess}
    ess: float = np.nan  # with the most sources
    each: np.ndarray | None = None  # of every model held out
    correlation: float = 0.0  # of two models' scores over the items
    spread: float = 1.0  # variance of the scores over p (1 - p): 1 where they are 0 and 1


def _measure(scores, n, target, rounds, rng):
    """What a method with n items gains on sources held out, learned from the others or evenly spread some of them."""
    if scores is None or scores.n_models < 2:
        return _Found({})
    values, m = scores.values[np.argsort(scores.accuracy, kind="stable")], scores.n_models
    h = max(1, m // 4)
    few = 4 if m < FEW else 2
    folds = (
        [np.arange(m - h, m)]
        if target == "new"
        else np.array_split(rng.permutation(m), m // h)[:few]
    )
    most, variances = m - max(map(len, folds)), {}
    for size in [most, *(most // 2**k for k in range(1, 4) if most // 2**k > 1)]:
        rest = [np.setdiff1d(np.arange(m), fold) for fold in folds]
        kept = [r[np.linspace(0, len(r) - 1, size).round().astype(int)] for r in rest]
        parts = [
            _variances(values[k], values[fold], n, rounds, rng) for k, fold in zip(kept, folds)
        ]
        variances[size] = np.maximum(np.concatenate(parts, axis=1), 1e-12)
    by_sources = {
        size: float(random.sum() / own.sum()) for size, (random, own) in variances.items()
    }
    alike = values[-max(2, h) :] if target == "new" else values
    p, cov = alike.mean(axis=1), np.cov(alike, bias=True)
    sd = np.sqrt(np.diag(cov))
    pairs = max(sd.sum() ** 2 - sd @ sd, 1e-12)
    spread = max(sd @ sd, 1e-12) / max((p * (1 - p)).sum(), 1e-12)
    return _Found(
        by_sources,
        by_sources[most],
        np.divide(*variances[most]),
        (cov.sum() - sd @ sd) / pairs,
        spread,
    )


def _variances(source, target, n, rounds, rng):
    """Of the plain mean of n random items, and of the method's estimate: (2, P), for targets (P, N)."""
    n_items, repeats = target.shape[1], -(-24 // len(target))
    random = (1 / n - 1 / n_items) * target.var(axis=1, ddof=1)
    if not rounds:
        cores = uniform_core_sets(n_items, n, 200, rng)
        value = aipw_cross_fitted(source, cores, observe(target, cores)).value  # (T, P)
        return random, ((value - target.mean(axis=1)) ** 2).mean(axis=0)
    y = np.tile(target, (repeats, 1))
    draw = SequentialStratification(source, rng.random((len(y), n_items + 2 * n)), n)
    while not draw.done:
        draw.record(np.take_along_axis(y, draw.next_items(), axis=1))
    e, in_cell = (
        y - draw.g,
        np.zeros((len(y), n)),
    )  # given the cells: the sum over them of sum e^2/q - (sum e)^2
    np.add.at(in_cell, (np.arange(len(y))[:, None], draw.cell), e)
    own = ((e**2 / draw.q).sum(axis=1) - (in_cell**2).sum(axis=1)) / n_items**2
    return random, own.reshape(repeats, -1).mean(axis=0)


# --- words ------------------------------------------------------------------------------------------------------------


def _reasons(advice, found, target, n_items, p, worth, pairs, difference):
    width = lambda *args: f"± {100 * half_width(advice.n_items, n_items, *args):.1f}"
    if found.by_sources:
        low, high, (most, *fewer) = found.each.min(), found.each.max(), found.by_sources
        yield f"On {len(found.each)} held out of the sources, {'the best' if target == 'new' else 'at random'},"
        yield f"an item was worth {found.ess:.2f} random ones ({low:.2f} to {high:.2f} for single models),"
        yield f"learned from {most} source{'s' * (most > 1)}."
        if fewer:
            less = found.by_sources[fewer[0]]
            more = (
                "more sources would add little"
                if found.ess < 1.05 * less
                else "more sources would still help"
            )
            yield f"With {fewer[0]} it was {less:.2f}: {more}."
    if advice.method == "random_sampling":
        yield "A random sample needs no sources, and nothing better was found."
    else:
        yield "The estimate is unbiased whatever the target is."
        yield f"A random sample would have {width(p, 1 / found.spread)}."
    yield f"Expected is an accuracy of {p.mean():.2f}; at 0.5 the interval would be {width(0.5, worth)}."
    if pairs:
        yield f"To tell two models {100 * difference:g} points apart (80% power, 5% level) each must run {pairs[0]}"
        yield f"items, the same random ones for both (correlation {found.correlation:.2f}), or {pairs[1]} of its own."


def _warnings(advice, found, scores, n_items, p):
    n, m, wrong = (
        advice.n_items,
        0 if scores is None else scores.n_models,
        advice.n_items * (1 - p.mean()),
    )
    for what, items in (("The interval", n), ("The comparison", advice.n_compare or 0)):
        if items > n_items / 2:
            yield f"{what} takes {items} of {n_items} items: running all of them leaves nothing to estimate."
    if m < 2:
        yield f"With {m or 'no'} source{'s' * (m != 1)} little can be measured: it takes two, one of them held out."
    elif m < FEW:
        yield f"With {m} sources little can be measured: this leans on {len(found.each)} held out."
    if wrong < 5 and n < n_items:
        yield f"Some {wrong:.1f} wrong answers are expected: so near the ceiling the width hangs on the accuracy."


# --- checks -----------------------------------------------------------------------------------------------------------


def _checked(source, budget, precision, difference, target, accuracy):
    """The Scores or None, N, and the accuracy expected of the target, or several (k,), of usable arguments."""
    is_count = isinstance(source, Integral) and not isinstance(source, bool)
    if not is_count and not isinstance(source, Scores):
        raise TypeError(
            f"source_scores must be Scores, or the number of items, not {type(source).__name__}"
        )
    if is_count and source < 2:
        raise ValueError(f"source_scores is {source}; a benchmark has at least 2 items")
    if budget is not None and precision is not None:
        raise ValueError("give budget or precision, not both: the one follows from the other")
    if target not in ("new", "known"):
        raise ValueError(
            f"target is {target!r}; it is 'new', beyond the sources, or 'known', like one of them"
        )
    for name, value, top in (
        ("precision", precision, 0.5),
        ("difference", difference, 1),
        ("accuracy", accuracy, 1),
    ):
        if value is not None and not 0 < value < top:
            raise ValueError(f"{name} is {value}; it must lie between 0 and {top}")
    if is_count or accuracy is not None:
        p = np.array([0.5 if accuracy is None else float(accuracy)])
    else:
        p = (
            source.accuracy
            if target == "known"
            else np.sort(source.accuracy)[-max(1, source.n_models // 4) :]
        )
    return (None, int(source), p) if is_count else (source, source.n_items, p)
