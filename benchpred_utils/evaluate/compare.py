"""Is model B better than A, and by how much: differences of accuracies from few items."""

from collections.abc import Callable, Iterable, Mapping
from copy import copy
from functools import partial
from itertools import combinations
from typing import Literal, NamedTuple
from zlib import crc32

import numpy as np
import pandas as pd
from scipy.special import ndtri, stdtr

from ..estimators import Estimate, aipw_cross_fitted, random_sampling
from ..intervals import tango_interval
from ..scores import Scores
from ..sequential import SequentialStratification
from .session import EvaluationSession

__all__ = [
    "Comparison",
    "Ranking",
    "compare_models",
    "items_for_difference",
    "rank_models",
    "smallest_difference",
]

POWER = float(ndtri(0.975) + ndtri(0.8))  # standard errors that are detected with 80% power

PAIRED = "{:.4g}% interval of Tango, made for a number of items fixed before the first result"
SHIFTED = "95% interval of the accuracy of one, less the known accuracy of the other"
SEPARATE = (
    "95% interval from those of two accuracies; each model has items of its own, which makes the "
    "standard error 8 to 22% larger than B on A's items"
)
NO_COLUMN = (
    "B's session has not seen A's scores: where the two are nearly the same model, one begun with "
    "reference= is far more precise"
)
OVERLAP = (
    "the intervals of the two accuracies {}overlap; whether they differ is told by the interval "
    "of the difference alone"
)

Results = Mapping[str, float] | pd.Series
Failed = Literal["error", "wrong", "open"]  # an item without a result
Array = np.ndarray


class Comparison(NamedTuple):
    """What is known of the difference of two models' accuracies.

    `value` is raw: an unbiased one may leave [-1, 1].
    """

    value: float  # accuracy of B minus that of A
    lower: float
    upper: float
    n: int  # items, of those that were drawn
    n_items: int  # of the benchmark
    only_a: int  # items, of those that both ran on, on which A scores higher
    only_b: int
    n_eff: float  # pairs drawn at random that would be as good, or NaN
    p: float  # of the two-sided test of no difference, or NaN
    detectable: float  # the difference that is found with probability 80%, or NaN
    accuracies: tuple  # the Estimates of A and B, numbers
    interval: str  # which interval this is
    warnings: tuple[str, ...] = ()


class Ranking(NamedTuple):
    """Several models in order of their accuracies, and what is sure of that order."""

    models: pd.DataFrame  # by model: value, lower, upper, on_items, best_rank, worst_rank
    pairs: pd.DataFrame  # a, b, value of b minus a, lower, upper, p


class _Drawn(NamedTuple):
    """Items that all models run on."""

    items: list[str]  # in order of drawing
    q: Array  # inclusion probabilities
    one_each: bool  # whether one item was drawn from each cell
    n_items: int
    read: Callable  # scores (n,) -> Estimate of (1,)


def compare_models(
    a: EvaluationSession | Results,
    b: EvaluationSession | Results,
    *,
    source_scores: Scores | None = None,
    n_items: int | None = None,
    comparisons: int = 1,
    failed: Failed = "error",
) -> Comparison:
    """The difference of the accuracies of B and A, from few items of N.

    Where `a` is a session that is done and `b` are B's results on its items: the sum of
    (s_B - s_A)/q over N, exactly unbiased, with Tango's interval. Results of both on the same
    items, drawn uniformly from `n_items` or those of the `source_scores`: the mean difference.
    Results of one on all items and of the other on a uniform draw: cross-fitted AIPW for the
    latter, on the sources and the former. Where `b` is a session and `a` has results on all items:
    B's estimate less A's accuracy; such a session is best begun with ``reference=``. Two sessions:
    the difference of their estimates.

    `failed` says what an item is without a result: an "error", "wrong", or "open", which gives
    bounds. With m `comparisons` the level of the interval is 1 - 0.05/m (Bonferroni).
    Raises ValueError, naming the culprit, when the two can't be compared.
    """
    if isinstance(a, EvaluationSession) and not isinstance(b, EvaluationSession):
        return _paired(_of_session(a), _checked(a.results), _checked(b), comparisons, failed)
    if isinstance(b, EvaluationSession):
        _check_single(comparisons)
        return _of_estimates(a, b)
    a = _checked(a)
    b = _checked(b)
    if source_scores is not None:
        n_items = source_scores.n_items
        _check_names([*a, *b], source_scores.items)
    drawn = _of_logs([a, b], n_items)
    if (len(a) == n_items) == (len(b) == n_items) or failed != "error":
        return _paired(drawn, a, b, comparisons, failed)
    _check_single(comparisons)
    if len(a) == n_items:
        accuracies = _of_whole(a), _of_draw(b, a, source_scores)
    else:
        accuracies = _of_draw(a, b, source_scores), _of_whole(b)
    return _apart(accuracies, a, b, n_items, SHIFTED)


def rank_models(
    results: Mapping[str, Results],
    session: EvaluationSession | None = None,
    *,
    n_items: int | None = None,
    name: str = "A",
    failed: Failed = "error",
) -> Ranking:
    """The order of several models, by name, that all ran on the same items.

    With a `session` its own model, called `name`, is the first, and the others ran on its items;
    else the items were drawn uniformly from `n_items`. The intervals of all pairs hold together in
    95 of 100 evaluations (Bonferroni), and a model's best and worst rank follow from them; p is
    Holm's (1979). The order is that of `on_items`, the plain means on these items: they are biased
    for the accuracies, but in order closer to the truth than `value` (Kendall's tau of 24 models at
    GSM8K's frontier, 50 items, .68 and .65 +/- .01; the same random items for all, .65).
    Raises ValueError as `compare_models`.
    """
    known = {model: _checked(scores) for model, scores in results.items()}
    if session is not None:
        known = {name: _checked(session.results)} | known
    if len(known) < max(2, len(results) + (session is not None)):
        raise ValueError(f"a ranking takes two models or more, and no other is called {name}")
    drawn = _of_logs([*known.values()], n_items) if session is None else _of_session(session)
    rows = []
    accuracy = {}
    for a, b in combinations(known, 2):
        found = _paired(drawn, known[a], known[b], len(known) * (len(known) - 1) // 2, failed)
        rows.append((a, b, *found[:3], found.p))
        accuracy[a], accuracy[b] = found.accuracies
    pairs = pd.DataFrame(rows, columns=["a", "b", "value", "lower", "upper", "p"])
    pairs = pairs.sort_values("p", kind="stable")
    pairs["p"] = np.maximum.accumulate(pairs["p"] * np.arange(len(pairs), 0, -1)).clip(upper=1)
    models = pd.DataFrame.from_dict(accuracy, orient="index", columns=Estimate._fields)
    models["on_items"] = [_filled(drawn, known[name], 0.0).mean() for name in models.index]
    b_better = pairs["lower"] > 0
    a_better = pairs["upper"] < 0
    lost = pd.concat([pairs["a"][b_better], pairs["b"][a_better]]).value_counts()
    won = pd.concat([pairs["b"][b_better], pairs["a"][a_better]]).value_counts()
    models["best_rank"] = 1 + lost.reindex(models.index, fill_value=0)
    models["worst_rank"] = len(models) - won.reindex(models.index, fill_value=0)
    return Ranking(models.sort_values(["on_items", "value"], ascending=False), pairs)


def smallest_difference(source_scores: Scores, n: int) -> float:
    """The difference that two models on the same n items must have to be told apart.

    For a test at the level 5% with 80% power it is 2.8 sqrt((1/n - 1/N) S), with S the mean of
    (s_B - s_A)^2 over the items, for neighbours in accuracy among the best quarter of the sources.
    """
    return float(POWER * np.sqrt((1 / n - 1 / source_scores.n_items) * _discordance(source_scores)))


def items_for_difference(source_scores: Scores, difference: float) -> int:
    """The items on which both models must run for a `smallest_difference` of so much, at most N."""
    m = _discordance(source_scores) * (POWER / difference) ** 2
    return int(np.ceil(1 / (1 / m + 1 / source_scores.n_items)))


def _discordance(source: Scores) -> float:
    order = np.argsort(source.accuracy, kind="stable")
    best = source.values[order[-max(2, len(order) // 4) :]]
    spread = np.nanmean(np.diff(best, axis=0) ** 2) if len(best) > 1 else 0.5
    return max(float(spread), 1e-6)


# --- all models on the same items ---


def _paired(drawn: _Drawn, a: Mapping, b: Mapping, comparisons: int, failed: Failed) -> Comparison:
    lacks = [name for name in drawn.items if name not in a or name not in b]
    if lacks and failed == "error":
        raise ValueError(
            f"{len(lacks)} of the {len(drawn.items)} items lack a result of one of the two models, "
            f"the first is {lacks[0]}: run them, or let them count as wrong (failed='wrong'), or "
            "leave them open, for bounds (failed='open')"
        )
    is_open = bool(lacks) and failed == "open"
    low, high = (
        _difference(
            drawn,
            _filled(drawn, a, of_a),
            _filled(drawn, b, of_b),
            comparisons,
        )
        for of_a, of_b in ((is_open, 0), (0, is_open))
    )
    if not is_open:
        return low
    note = (
        f"{len(lacks)} items lack a result: the ends hold whatever it would be, the value is "
        f"between {low.value:.3f} and {high.value:.3f}"
    )
    return low._replace(
        value=(low.value + high.value) / 2,
        upper=high.upper,
        only_a=high.only_a,
        p=max(low.p, high.p) if low.lower > 0 or high.upper < 0 else 1.0,
        warnings=(note, *low.warnings),
    )


def _filled(drawn: _Drawn, results: Mapping, failed: float) -> Array:
    return np.array([results.get(name, failed) for name in drawn.items], float)


def _difference(drawn: _Drawn, s_a: Array, s_b: Array, comparisons: int) -> Comparison:
    """The sum of d/q over N, and Tango's interval with k from the variance of d/q.

    As of one draw from each of n cells (:func:`intervals.stratified_interval`) a slope on 1/j is
    taken out of d/q; k is at least half of a random sample's.
    """
    d = s_b - s_a
    n = len(d)
    q = drawn.q
    n_items = drawn.n_items
    f = 1 / n - 1 / n_items
    value = (d / q).sum() / n_items
    mean, psi = np.average([d, d**2], weights=1 / q, axis=1)
    spread = psi - mean**2
    k = f
    df = np.inf
    if drawn.one_each and n > 2:
        df = n - 2
        x = 1 / np.arange(1.0, n + 1)
        u = d / q - np.polyval(np.polyfit(x, d / q, 1), x)
        variance = (np.maximum(1 - q, 0) * u**2).sum() * n / df / n_items**2
        k = max(variance / spread if spread > 1e-9 else f, f / 2)
    centre = np.clip(d[0] if np.ptp(d) == 0 else value, -1, 1)
    psi = min(1, max(psi, abs(centre)))
    level = 1 - 0.05 / comparisons
    ends = tango_interval(centre, psi, k, df, level) if n > 2 or f == 0 else (-1, 1)
    p = 2 * stdtr(df, -abs(centre) / np.sqrt(k * psi)) if k * psi > 0 else centre == 0
    detectable = POWER * np.sqrt(k * spread) if spread > 1e-9 else np.nan
    numbers = n, n_items, 1 / k if k else n, p, detectable
    return _found(value, ends, numbers, d, (drawn.read(s_a), drawn.read(s_b)), level, PAIRED)


def _found(
    value: float,
    ends: tuple,
    numbers: tuple,
    d: Array,
    accuracies: tuple,
    level: float,
    words: str,
    notes: tuple = (),
) -> Comparison:
    a, b = (Estimate(*(np.ravel(end)[0].item() for end in ends)) for ends in accuracies)
    lower, upper = map(float, ends)
    apart = a.upper < b.lower or b.upper < a.lower
    if apart != (lower > 0 or upper < 0):
        notes = (*notes, OVERLAP.format("do not " if apart else ""))
    words = words.format(100 * level)
    n, n_items, n_eff, p, detectable = numbers
    return Comparison(
        float(value), lower, upper, n, n_items, int((d < 0).sum()), int((d > 0).sum()),
        float(n_eff), float(p), float(detectable), (a, b), words, notes,
    )  # fmt: skip


def _of_session(session: EvaluationSession) -> _Drawn:
    """The items of a session, with the probabilities of their draw."""
    _check_done(session)
    rounds = session._rounds
    items = rounds.items[0]
    n = len(items)
    n_items = session.source.n_items
    is_cells = isinstance(rounds, SequentialStratification)
    if not is_cells and session._method.stream != "uniform":
        raise ValueError(
            f"the items of {session._method.label} are no random draw: they compare no two models"
        )
    q = rounds.q[0, items] if is_cells else np.full(n, n / n_items)
    one_each = is_cells and 2 * n <= n_items
    names = session.source.items[items].tolist()
    return _Drawn(names, q, one_each, n_items, partial(_as_of, session))


def _as_of(session: EvaluationSession, scores: Array) -> Estimate:
    """The estimate that the session would give, had its model these scores."""
    rounds = copy(session._rounds)
    rounds.observed = scores[None]
    return session._method.read(rounds)


def _of_logs(results: list[Mapping], n_items: int | None) -> _Drawn:
    """The items of several models' results, taken for drawn uniformly from N."""
    items = sorted(set().union(*results))
    n = len(items)
    if n_items is None:
        raise ValueError(
            f"the models ran {n} items, of how many? Give n_items (in a terminal --of N), or the "
            "source scores"
        )
    if n > n_items:
        raise ValueError(f"the results are of {n} items, but the benchmark has {n_items}")
    return _Drawn(items, np.full(n, n / n_items), False, n_items, partial(_mean_of, n_items))


def _mean_of(n_items: int, scores: Array) -> Estimate:
    core = np.arange(len(scores))[None]
    found = random_sampling(np.empty((0, n_items)), core, scores[None, None])
    return found if found.lower is not None else Estimate(found.value, 0, 1)


# --- one model complete, or two sessions ---


def _of_whole(results: Mapping) -> Estimate:
    return Estimate(*[np.mean([*results.values()])] * 3)


def _of_draw(part: Mapping, whole: Mapping, source: Scores | None) -> Estimate:
    """The accuracy of a model with results on a uniform draw, by AIPW on the other's row."""
    names = sorted(whole) if source is None else source.items.tolist()
    row = np.array([[whole[name] for name in names]], float)
    values = row if source is None else np.vstack([source.values, row])
    place = {name: number for number, name in enumerate(names)}
    order = in_any_order(part)
    core = np.array([[place[name] for name in order]])
    observed = np.array([[[part[name] for name in order]]], float)
    return aipw_cross_fitted(values, core, observed, 1.0 if source is None else 10.0)


def _of_estimates(a: EvaluationSession | Results, b: EvaluationSession) -> Comparison:
    """B has a session of its own; A is complete, or has one too."""
    _check_done(b)
    if isinstance(a, EvaluationSession):
        _check_done(a)
        _check_names(a.source.items, b.source.items)
        found = Estimate(*a.estimate()[:3])
        s_a, s_b = _checked(a.results), _checked(b.results)
        return _apart((found, b.estimate()[:3]), s_a, s_b, b.source.n_items, SEPARATE)
    a = _checked(a)
    _check_names(a, b.source.items)
    _check_names(b.source.items, a)
    notes = () if b.reference else (NO_COLUMN,)
    ends = _of_whole(a), b.estimate()[:3]
    return _apart(ends, a, _checked(b.results), b.source.n_items, SHIFTED, notes)


def _apart(
    accuracies: tuple, s_a: Mapping, s_b: Mapping, n_items: int, words: str, notes: tuple = ()
) -> Comparison:
    """Two accuracies with independent errors: the squares of their parts of an interval add.

    (Zou & Donner 2008.)
    """
    value, lower, upper = np.array([np.ravel(accuracy) for accuracy in accuracies]).T
    middle = np.clip(value, lower, upper)
    less, more = middle - lower, upper - middle
    centre = middle[1] - middle[0]
    ends = centre - np.hypot(less[1], more[0]), centre + np.hypot(more[1], less[0])
    d = np.array([s_b[name] - s_a[name] for name in s_b if name in s_a])
    detectable = POWER * (ends[1] - ends[0]) / 2 / ndtri(0.975)
    numbers = min(len(s_a), len(s_b)), n_items, np.nan, np.nan, detectable
    return _found(value[1] - value[0], ends, numbers, d, accuracies, 0.95, words, notes)


def in_any_order(results: Mapping) -> list[str]:
    """The items in an order of their own, as good as random: the folds of an estimate need one."""
    names = sorted(results)
    seed = crc32("\n".join(names).encode())
    return np.random.default_rng(seed).permutation(names).tolist()


# --- checks ---


def _checked(results: Results) -> dict[str, float]:
    """The results by item, without those that are missing."""
    series = pd.Series(results, dtype=float)
    series.index = series.index.map(str)
    twice = series.index[series.index.duplicated()]
    if len(twice):
        raise ValueError(f"item {twice[0]} has two results; give one for each")
    wrong = series[(series < 0) | (series > 1)]
    if len(wrong):
        raise ValueError(f"the result of item {wrong.index[0]} is {wrong.iloc[0]:g}, not in [0, 1]")
    return series.dropna().to_dict()


def _check_names(names: Iterable, known: Iterable) -> None:
    strange = set(names).difference(known)
    if strange:
        raise ValueError(
            f"item {min(strange)} is on one side only: two models are compared on the same "
            "benchmark, with the same names of items"
        )


def _check_done(session: EvaluationSession) -> None:
    if session._settings["precision"]:
        raise ValueError(
            "a session with a precision stops when its results say so: two models are compared on "
            "a number of items that was fixed, budget=n"
        )
    if not session.done:
        raise ValueError(
            f"the session still waits for {len(session.next_items())} items: record them first"
        )


def _check_single(comparisons: int) -> None:
    if comparisons > 1:
        raise ValueError(
            "several comparisons take models on the same items: here the interval is one at 95%"
        )
