"""Which method, and how many items: advice measured on some of the user's sources, held out."""

from bisect import bisect_left
from contextlib import suppress
from numbers import Integral, Real
from typing import NamedTuple

import numpy as np
from scipy.special import chdtrc, ndtr, ndtri

from ..designs import budget_items, uniform_core_sets
from ..estimators import aipw_cross_fitted, observe
from ..forecast import working_model
from ..intervals import sample_interval
from ..irt import filled
from ..methods import METHODS
from ..scores import Scores
from ..sequential import SequentialStratification
from .parts import tasks_of

PRECISION = 0.03  # the half-width asked for where nothing is
WORTHWHILE = 1.05  # an item's worth, in random items, below which a random sample will do
FEW = 8  # sources
LEVEL = 0.001 / 3  # of each of three tests, below which items are called no random sample


class Advice(NamedTuple):
    """What `recommend` says; str() of it is a paragraph.

    Half-widths are of 95% intervals, in units of scores.
    """

    method: str  # a name in METHODS
    n_items: int  # items to run
    half_width: float  # expected with them
    ess: float  # random items that one item drawn by this method is worth; NaN: not measured
    n_compare: int | None  # items for each of two models that differ by `difference`, if asked
    by_sources: dict[int, float]  # {number of sources: the same ess with that many}
    reasons: tuple[str, ...]
    warnings: tuple[str, ...]

    def __str__(self):
        first = (
            f"Run {self.n_items} items with {METHODS[self.method].label}, "
            f"for a 95% interval of about ± {100 * self.half_width:.1f} points."
        )
        mind = ["Mind:"] if self.warnings else []
        return " ".join([first, *self.reasons, *mind, *self.warnings])


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
    """Advice on how to evaluate one more model, measured on the source models' own scores.

    `budget` (items, or a fraction below 1) asks for the half-width that it buys, `precision` for
    the items that a half-width takes (neither: 0.03), `difference` also for those that tell apart
    two models that far from each other.  A "new" `target` is as good as the best sources or better:
    the best quarter of them is held out and plays it; a "known" one is like the sources: random
    quarters do.  `accuracy` is what is expected of it (None: as of those that play it).
    ``rounds=False``: all items must be chosen before the first result.  Without sources give the
    number of items.  The same `rng` (None: seeded with 0) gives the same advice.
    Raises TypeError or ValueError, naming the culprit, when an argument can't be used.
    """
    values = _sorted(source_scores)
    m, n_items = values.shape
    if not isinstance(rng, np.random.Generator | None):
        raise TypeError("rng must be numpy.random.default_rng(seed), or left out")
    if budget is not None and precision is not None:
        raise ValueError("give budget or precision, not both: the one follows from the other")
    if target not in ("new", "known"):
        raise ValueError(f"target is {target!r}; it is 'new', beyond the sources, or 'known'")
    shares = {"difference": difference, "accuracy": accuracy, "precision": precision}
    for name, value in shares.items():
        is_share = isinstance(value, Real | None) and 0 < (value or 0) < 1
        if value is not None and not is_share:
            raise ValueError(f"{name} is {value!r}; it must lie between 0 and 1")
    quarter = max(m // 4, 1)
    alike = values[-quarter:] if target == "new" else values
    p = alike.mean(axis=1) if m and accuracy is None else np.array([accuracy or 0.5])
    correlation, spread = _shape(alike)
    precision = precision or PRECISION
    n = None if budget is None else budget_items(budget, n_items)
    trial = max(n or items_for(precision, n_items, p, 1.5), min(10, n_items))
    rng = rng or np.random.default_rng(0)
    by_sources = {}
    reasons = []
    ess = np.nan
    if m > 1:
        held = np.arange(m)[-quarter:] if target == "new" else rng.permutation(m)[:quarter]
        by_sources, each = _measure(values, held, trial, rounds, rng)
        misled = by_sources.pop(0)
        ess = by_sources[m - quarter]
        reasons.append(
            f"On {quarter} held out of the sources an item was worth {ess:.2f} random ones "
            f"({min(each):.2f} to {max(each):.2f} for single models), learned from {m - quarter} "
            "sources."
        )
    method = "random_sampling"
    worth = 1 / spread
    if ess >= WORTHWHILE:
        method = "sequential_stratification" if rounds else "aipw_cross_fitted"
        worth = ess / spread
    n = n or items_for(precision, n_items, p, worth)
    if ess >= WORTHWHILE:
        plain = half_width(n, n_items, p, 1 / spread)
        reasons.append(
            "The estimate is unbiased whatever the target is; were the sources to say nothing of "
            f"it (their items shuffled), an item would be worth {misled:.2f} random ones. A random "
            f"sample would have ± {100 * plain:.1f}."
        )
    middle = half_width(n, n_items, 0.5, worth)
    reasons.append(
        f"Expected is an accuracy of {p.mean():.2f}; at 0.5 the interval would be "
        f"± {100 * middle:.1f}."
    )
    n_compare = None
    if difference is not None:
        n_compare = items_to_compare(difference, p.mean(), correlation, n_items, spread)
        reasons.append(
            f"To tell two models {100 * difference:g} points apart (80% power, 5% level) both must "
            f"run the same {n_compare} items (the correlation of their scores: {correlation:.2f})."
        )
    warnings = []
    most = max(n, n_compare or 0)
    if most > n_items / 2:
        warnings.append(
            f"That takes {most} of {n_items} items: running all of them leaves nothing to estimate."
        )
    if m < FEW:
        warnings.append(f"With {m} source{'s' * (m != 1)} little can be measured.")
    n_wrong = n * (1 - p.mean())
    if n_wrong < 5 and n < n_items:
        warnings.append(
            f"Only {n_wrong:.1f} wrong answers are expected: so near the ceiling the width may "
            "vary."
        )
    width = half_width(n, n_items, p, worth)
    return Advice(method, n, width, ess, n_compare, by_sources, tuple(reasons), tuple(warnings))


# --- closed forms ---


def half_width(n, n_items, accuracy, ess=1.0):
    """Half the width expected of the 95% score interval from n of N items, each worth `ess`.

    The interval of :func:`intervals.sample_interval` at k = (1/n - 1/N)/ess, about
    t sqrt(k p (1 - p)) unless p is near 0 or 1.  `accuracy` is p, or several p, for the mean
    (Wilson 1927; Cochran 1977, ch. 2).
    """
    p = np.atleast_1d(accuracy)
    k = (1 / n - 1 / n_items) / ess
    lower, upper = sample_interval(p, k * p * (1 - p), p, n, n_items, max(n - 1, 1))
    return float((upper - lower).mean() / 2)


def items_for(precision, n_items, accuracy, ess):
    """The smallest n whose `half_width` is at most `precision`."""
    return 1 + bisect_left(
        range(1, n_items), -precision, key=lambda n: -half_width(n, n_items, accuracy, ess)
    )


def items_to_compare(difference, accuracy, correlation, n_items, spread=1.0):
    """The items on which each of two models, `difference` apart, must run to be told apart.

    For a two-sided test at the level 5% that is to reject with probability 80%, at most N:

        1/n = 1/N + 1/m,   m = V (z_.975 + z_.8)^2 / difference^2 + z_.975^2 / 2,

    the last for the t distribution (Guenther 1981).  V = s_1^2 + s_2^2 - 2 r s_1 s_2,
    s^2 = spread p (1 - p), with p half the difference below and above `accuracy`; r is the
    `correlation` of the scores where both run on the same items, 0 where each has items of its own
    (Cochran 1977, ch. 4; Miller 2024).
    """
    z_level, z_power = ndtri([0.975, 0.8])
    p = np.clip(accuracy + difference * np.array([-0.5, 0.5]), 0, 1)
    s = np.sqrt(spread * p * (1 - p))
    least = spread * difference * (1 - difference)  # of 0/1 scores
    variance = max(s @ s - 2 * correlation * s.prod(), least)
    m = variance * ((z_level + z_power) / difference) ** 2 + z_level**2 / 2
    return int(np.ceil(1 / (1 / m + 1 / n_items)))


# --- measurements ---


def _measure(values, held, n, rounds, rng):
    """{number of sources: ess}, and with the most of them that of each of the P models held out.

    An ess is the variance of the mean of n random items over that of the method's estimate, learned
    from so many of the others, evenly spread in accuracy.  At 0: all of them, their items shuffled.
    """
    others = np.delete(values, held, axis=0)
    m, n_items = others.shape
    target = values[held]
    random = np.maximum((1 / n - 1 / n_items) * target.var(axis=1, ddof=1), 1e-12)
    found = {}
    for size in dict.fromkeys([m, m // 2, m // 4, m // 8, 0]):
        if size != 1 or m == 1:
            source = others[np.linspace(0, m - 1, size or m).round().astype(int)]
            if size == 0:
                source = source[:, rng.permutation(n_items)]
            found[size] = np.maximum(_variance(source, target, n, rounds, rng), 1e-12)
    by_sources = {size: float(random.sum() / own.sum()) for size, own in found.items()}
    return by_sources, random / found[m]


def _variance(source, target, n, rounds, rng):
    """(P,) in rounds the exact variance given the cells, the mean of 24 runs or more."""
    n_items = target.shape[1]
    if not rounds:
        core = uniform_core_sets(n_items, n, 200, rng)
        value = aipw_cross_fitted(source, core, observe(target, core)).value  # (T, P)
        return ((value - target.mean(axis=1)) ** 2).mean(axis=0)
    y = np.tile(target, (-(-24 // len(target)), 1))
    uniform = rng.random((len(y), n_items + 2 * n))
    draw = SequentialStratification(working_model(source), uniform, n)
    while not draw.done:
        draw.record(np.take_along_axis(y, draw.next_items(), axis=1))
    return draw.variance(y).reshape(-1, len(target)).mean(axis=0)


def _shape(values):
    """The correlation of two models' scores over the items, and the variance over p (1 - p)."""
    p = values.mean(axis=1)
    variances = values.var(axis=1)
    total = variances.sum()
    pairs = np.sqrt(variances).sum() ** 2 - total
    shared = values.sum(axis=0).var() - total
    spread = (total + 1e-12) / ((p * (1 - p)).sum() + 1e-12)
    return shared / pairs if pairs > 1e-12 else 0.0, spread


def missing_note(scores, answered):
    """What says that the items answered, a mask (N,), are no random sample; None: nothing does.

    Of each task (or domain) so many are expected (chi-square); and the sources' means, or the
    places in the file, of items answered and not must agree (normal).  A random sample is accused
    once in 1,000 times at most.
    """
    taken = np.asarray(answered, dtype=bool)
    n = taken.sum()
    n_items = len(taken)
    share = n / n_items
    if share in (0, 1):
        return None
    with suppress(ValueError):  # where there are no tasks
        names, of_item, size = np.unique(tasks_of(scores), return_inverse=True, return_counts=True)
        rate = np.bincount(of_item, taken) / size
        square = size @ (rate - share) ** 2 / (share * (1 - share))
        if len(size) < n_items / 2 and chdtrc(len(size) - 1, square) < LEVEL:
            most, least = (
                f"{rate[task] * size[task]:.0f} of {size[task]} {names[task]}"
                for task in (rate.argmax(), rate.argmin())
            )
            return f"no random sample: {most} and {least} items"
    mean = np.nanmean(scores.values, axis=0)
    facts = {
        "the sources score {:.2f} on the items answered, {:.2f} on the others": mean,
        "the items answered have the mean place {:.0f}, the others {:.0f}": np.arange(n_items),
    }
    for words, of_item in facts.items():
        here = of_item[taken].mean()
        there = of_item[~taken].mean()
        error = of_item.std() / np.sqrt(n * (1 - share)) + 1e-12
        if 2 * ndtr(-abs(here - there) / error) < LEVEL:
            return "no random sample: " + words.format(here, there)
    return None


def _sorted(source):
    """(M, N) the scores of the sources, worst first; what a 2PL expects where one is missing.

    Of a number of items (0, N).
    """
    if isinstance(source, Scores):
        values = filled(source.values)
        return values[np.argsort(values.mean(axis=1), kind="stable")]
    if source is True or not isinstance(source, Integral) or source < 2:
        raise TypeError(
            f"source_scores must be Scores, or a number of items, at least 2 items, not {source!r}"
        )
    return np.empty((0, source))
