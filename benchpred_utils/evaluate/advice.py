"""Which method, and how many items: advice measured on some of the user's sources, held out."""

from bisect import bisect_left
from collections.abc import Iterator
from numbers import Integral
from typing import Literal, NamedTuple

import numpy as np
from scipy.special import ndtri

from ..designs import budget_items, uniform_core_sets
from ..estimators import aipw_cross_fitted, observe
from ..forecast import working_model
from ..intervals import sample_interval
from ..methods import METHODS
from ..scores import Scores
from ..sequential import SequentialStratification

__all__ = ["Advice", "half_width", "items_for", "items_to_compare", "recommend"]

PRECISION = 0.03  # the half-width asked for where nothing is
WORTHWHILE = 1.05  # an item's worth, in random items, below which a random sample will do
FEW = 8  # sources

Array = np.ndarray


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

    def __str__(self) -> str:
        first = (
            f"Run {self.n_items} items with {METHODS[self.method].label}, "
            f"for a 95% interval of about ± {100 * self.half_width:.1f} points."
        )
        mind = ["Mind:"] if self.warnings else []
        return " ".join([first, *self.reasons, *mind, *self.warnings])


def recommend(
    source_scores: Scores | int,
    budget: float | None = None,
    precision: float | None = None,
    difference: float | None = None,
    target: Literal["new", "known"] = "new",
    *,
    accuracy: float | None = None,
    rounds: bool = True,
    rng: np.random.Generator | None = None,
) -> Advice:
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
    _check(source_scores, budget, precision, difference, target, accuracy)
    scores = source_scores if isinstance(source_scores, Scores) else None
    n_items = source_scores if scores is None else scores.n_items
    p = _expected(scores, target, accuracy)
    width = precision or PRECISION
    fixed = None if budget is None else budget_items(budget, n_items)
    trial = max(fixed or items_for(width, n_items, p, 1.5), min(10, n_items))
    rng = np.random.default_rng(0) if rng is None else rng
    found = _measure(scores, trial, target, rounds, rng)
    method, gain = "random_sampling", 1.0
    if found.ess >= WORTHWHILE:
        method = "sequential_stratification" if rounds else "aipw_cross_fitted"
        gain = found.ess
    worth = gain / found.spread
    n = fixed or items_for(width, n_items, p, worth)
    reasons = list(_reasons(method, n, n_items, p, worth, found))
    n_compare = None
    if difference is not None:  # on the same random items; each model on items of its own
        same = items_to_compare(difference, p.mean(), found.correlation, n_items, found.spread)
        own = items_to_compare(difference, p.mean(), 0.0, n_items, 1 / worth)
        n_compare = min(same, own)
        reasons.append(
            f"To tell two models {100 * difference:g} points apart (80% power, 5% level) each must "
            f"run {same} items, the same random ones for both (correlation "
            f"{found.correlation:.2f}), or {own} of its own."
        )
    warnings = _warnings(n, n_compare or 0, n_items, p.mean(), found)
    width = half_width(n, n_items, p, worth)
    return Advice(
        method, n, width, found.ess, n_compare, found.by_sources, tuple(reasons), tuple(warnings)
    )


# --- closed forms ---


def half_width(n: int, n_items: int, accuracy: float | Array, ess: float | Array = 1.0) -> float:
    """Half the width expected of the 95% score interval from n of N items, each worth `ess`.

    The interval of :func:`intervals.sample_interval` at k = (1/n - 1/N)/ess, about
    t sqrt(k p (1 - p)) unless p is near 0 or 1.  `accuracy` is p, or several p, for the mean
    (Wilson 1927; Cochran 1977, ch. 2).
    """
    p = np.atleast_1d(np.asarray(accuracy, float))
    k = (1 / n - 1 / n_items) / ess
    lower, upper = sample_interval(p, k * p * (1 - p), p, n, n_items, max(n - 1, 1))
    return float((upper - lower).mean() / 2)


def items_for(precision: float, n_items: int, accuracy: float | Array, ess: float) -> int:
    """The smallest n whose `half_width` is at most `precision`."""

    def negative(n: int) -> float:
        return -half_width(n, n_items, accuracy, ess)

    return 1 + bisect_left(range(1, n_items), -precision, key=negative)


def items_to_compare(
    difference: float,
    accuracy: float,
    correlation: float,
    n_items: int,
    spread: float = 1.0,
) -> int:
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


class _Found(NamedTuple):
    n_sources: int
    by_sources: dict[int, float]  # {number of sources: ess}
    ess: float = np.nan  # with the most sources
    each: Array = np.empty(0)  # of every model held out
    misled: float = np.nan  # the ess where the sources' items are shuffled
    correlation: float = 0.0  # of two models' scores over the items
    spread: float = 1.0  # variance of the scores over p (1 - p): 1 where they are 0 and 1


def _measure(
    scores: Scores | None, n: int, target: str, rounds: bool, rng: np.random.Generator
) -> _Found:
    """What a method with n items gains on sources held out, learned from more or fewer others."""
    m = 0 if scores is None else scores.n_models
    if m < 2:
        return _Found(m, {})
    values = scores.values[np.argsort(scores.accuracy, kind="stable")]
    quarter = max(1, m // 4)
    alike, folds = values[-max(2, quarter) :], [np.arange(m - quarter, m)]
    if target == "known":
        alike, folds = values, np.array_split(rng.permutation(m), m // quarter)
        folds = folds[: 4 if m < FEW else 2]
    most = m - max(map(len, folds))

    def gains(size: int, order: Array) -> tuple[float, Array]:
        parts = [_variances(values, fold, order, size, n, rounds, rng) for fold in folds]
        random, own = np.maximum(np.concatenate(parts, axis=1), 1e-12)
        return float(random.sum() / own.sum()), random / own

    items = np.arange(values.shape[1])
    ess, each = gains(most, items)
    by_sources = {most: ess}
    for size in (most // 2, most // 4, most // 8):
        if size > 1:
            by_sources[size] = gains(size, items)[0]
    misled = gains(most, rng.permutation(items))[0]
    return _Found(m, by_sources, ess, each, misled, *_shape(alike))


def _shape(values: Array) -> tuple[float, float]:
    """The correlation of two models' scores, and the variance over p (1 - p)."""
    p = values.mean(axis=1)
    variances = values.var(axis=1)
    variance = variances.sum()
    pairs = np.sqrt(variances).sum() ** 2 - variance
    correlation = (values.sum(axis=0).var() - variance) / max(pairs, 1e-12)
    return correlation, max(variance, 1e-12) / max((p * (1 - p)).sum(), 1e-12)


def _variances(
    values: Array,
    fold: Array,
    order: Array,
    size: int,
    n: int,
    rounds: bool,
    rng: np.random.Generator,
) -> tuple[Array, Array]:
    """Of the mean of n random items, and of the method's estimate, for the P models of the fold.

    The method learns from `size` of the others, evenly spread in accuracy, their items in this
    `order`.
    """
    others = np.delete(values, fold, axis=0)[:, order]
    source = others[np.linspace(0, len(others) - 1, size).round().astype(int)]
    target = values[fold]
    n_items = target.shape[1]
    random = (1 / n - 1 / n_items) * target.var(axis=1, ddof=1)
    if rounds:
        return random, _variance_in_rounds(source, target, n, rng)
    core = uniform_core_sets(n_items, n, 200, rng)
    value = aipw_cross_fitted(source, core, observe(target, core)).value  # (T, P)
    return random, ((value - target.mean(axis=1)) ** 2).mean(axis=0)


def _variance_in_rounds(source: Array, target: Array, n: int, rng: np.random.Generator) -> Array:
    """(P,) the exact variance given the cells, the mean of 24 runs or more."""
    y = np.tile(target, (-(-24 // len(target)), 1))
    size = len(y), y.shape[1] + 2 * n
    draw = SequentialStratification(working_model(source), rng.random(size), n)
    while not draw.done:
        draw.record(np.take_along_axis(y, draw.next_items(), axis=1))
    return draw.variance(y).reshape(-1, len(target)).mean(axis=0)


# --- words ---


def _reasons(
    method: str, n: int, n_items: int, p: Array, worth: float, found: _Found
) -> Iterator[str]:
    sizes = list(found.by_sources)
    if sizes:
        yield (
            f"On {len(found.each)} held out of the sources an item was worth {found.ess:.2f} "
            f"random ones ({found.each.min():.2f} to {found.each.max():.2f} for single models), "
            f"learned from {sizes[0]} source{'s' * (sizes[0] > 1)}."
        )
    if len(sizes) > 1:
        less = found.by_sources[sizes[1]]
        more = "add little" if found.ess < WORTHWHILE * less else "still help"
        yield f"With {sizes[1]} it was {less:.2f}: more sources would {more}."
    random, middle = (
        100 * half_width(n, n_items, *at) for at in ((p, 1 / found.spread), (0.5, worth))
    )
    if method == "random_sampling":
        yield "A random sample needs no sources, and nothing better was found."
    else:
        yield (
            "The estimate is unbiased whatever the target is; were the sources to say nothing of "
            f"it (their items shuffled), an item would be worth {found.misled:.2f} random ones."
        )
        yield f"A random sample would have ± {random:.1f}."
    yield (
        f"Expected is an accuracy of {p.mean():.2f}; at 0.5 the interval would be ± {middle:.1f}."
    )


def _warnings(n: int, n_compare: int, n_items: int, p: float, found: _Found) -> Iterator[str]:
    for what, count in (("interval", n), ("comparison", n_compare)):
        if count > n_items / 2:
            yield (
                f"The {what} takes {count} of {n_items} items: "
                "running all of them leaves nothing to estimate."
            )
    m = found.n_sources
    if m < FEW:
        held = f"{len(found.each)} held out" if m > 1 else "none, since it takes two"
        yield f"With {m} source{'s' * (m != 1)} little can be measured: this leans on {held}."
    wrong = n * (1 - p)
    if wrong < 5 and n < n_items:
        yield (
            f"Some {wrong:.1f} wrong answers are expected: "
            "so near the ceiling the width hangs on the accuracy."
        )


# --- checks ---


def _check(
    source: Scores | int,
    budget: float | None,
    precision: float | None,
    difference: float | None,
    target: str,
    accuracy: float | None,
) -> None:
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
    numbers = {"precision": precision, "difference": difference, "accuracy": accuracy}
    for name, value in numbers.items():
        top = 0.5 if name == "precision" else 1
        if value is not None and not 0 < value < top:
            raise ValueError(f"{name} is {value}; it must lie between 0 and {top}")


def _expected(scores: Scores | None, target: str, accuracy: float | None) -> Array:
    """The accuracy expected of the target, or several (k,)."""
    if accuracy is not None or scores is None:
        return np.array([accuracy or 0.5])
    best = max(1, scores.n_models // 4)
    return np.sort(scores.accuracy)[-best if target == "new" else 0 :]
