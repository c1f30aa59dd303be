"""Is model B better than A, and by how much: differences of accuracies from few items."""

import math
from copy import copy
from functools import partial
from itertools import combinations
from typing import NamedTuple
from zlib import crc32

import numpy as np
import pandas as pd
from scipy.special import ndtri, stdtr

from ..designs import Draw
from ..estimators import Estimate, aipw_cross_fitted
from ..intervals import cell_variance, tango_interval
from ..irt import filled
from ..methods import METHODS, OneRound
from ..sequential import Rounds, SequentialStratification
from .readers import among
from .session import EvaluationSession

POWER = float(ndtri(0.975) + ndtri(0.8))  # standard errors that are detected with 80% power

SHIFTED = "95% interval of the accuracy of one, less the known accuracy of the other"
SEPARATE = (
    "95% interval from those of two accuracies; each model has items of its own, which makes the "
    "standard error 8 to 22% larger than B on A's items"
)


class Comparison(NamedTuple):
    """What is known of the difference of two models' accuracies.

    `value` is raw: an unbiased one may leave [-1, 1].
    """

    value: float  # accuracy of B minus that of A
    lower: float
    upper: float
    n_eff: float  # pairs drawn at random that would be as good, or NaN
    p: float  # of the two-sided test of no difference, or NaN
    detectable: float  # the difference that is found with probability 80%, or NaN
    n: int  # items, of those that were drawn
    n_items: int  # of the benchmark
    only_a: int  # items, of those that both ran on, on which A scores higher
    only_b: int
    accuracies: tuple[Estimate, Estimate]  # of A and B, numbers
    interval: str  # which interval this is
    warnings: tuple[str, ...] = ()


class Ranking(NamedTuple):
    """Several models in order of their accuracies, and what is sure of that order."""

    models: pd.DataFrame  # by model: value, lower, upper, on_items, best_rank, worst_rank, lacks
    pairs: pd.DataFrame  # a, b, value of b minus a, lower, upper, p


class _Drawn(NamedTuple):
    """Items that all models run on, and how they were drawn."""

    names: list  # in order of drawing
    n_items: int  # of the benchmark
    rounds: Rounds  # that drew them

    def scores(self, results, failed):
        """The results of these items, NaN where a model has none."""
        absent = [name for name in self.names if name not in results]
        if absent and failed == "error":
            raise ValueError(
                f"{len(absent)} of the {len(self.names)} items lack a result of {results.name}, "
                f"the first is {absent[0]}: run them, or let them count as wrong, failed='wrong' "
                "(--failed wrong), or leave them open, for bounds, failed='open'"
            )
        return results.reindex(self.names)

    def read(self, scores):
        """The Estimate of a model with these scores; without an interval, from 0 to 1."""
        rounds = copy(self.rounds)
        rounds.observed = scores.to_numpy()[None]
        ends = zip(rounds.estimate(), (np.nan, 0.0, 1.0))
        return Estimate(*(float(certain if end is None else end[0]) for end, certain in ends))


def compare_models(a, b, *, source_scores=None, n_items=None, comparisons=1, failed="error"):
    """The Comparison of two models, from few items of N: the accuracy of B less that of A.

    Each is an `EvaluationSession` that is done, or results by item, a dict or a Series.

    Where `a` is a session and `b` are B's results on its items: the sum of (s_B - s_A)/q over N,
    exactly unbiased, with Tango's interval. Results of both on the same items, drawn uniformly from
    `n_items` or those of the `source_scores`: the mean difference. Results of one on all items and
    of the other on a uniform draw: cross-fitted AIPW for the latter, on the sources and the former.
    Where `b` is a session and `a` has results on all items: B's estimate less A's accuracy. Begin
    such a session with ``reference=``: where the two are nearly the same model, it is far more
    precise. Two sessions: the difference of their estimates. Results of items that no source has
    are left out.

    An item that failed, with None for a result, counts as wrong, and one that was not run is an
    error; with `failed` "wrong" both are wrong, and "open" gives bounds. With m `comparisons` the
    level of the interval is 1 - 0.05/m (Bonferroni).
    Raises ValueError, naming the culprit, when the two can't be compared.
    """
    by_a, by_b = (isinstance(one, EvaluationSession) and _drawn_by(one) for one in (a, b))
    source = a.source if by_a else b.source if by_b else source_scores
    if source is not None:
        if n_items not in (None, source.n_items):
            raise ValueError(f"n_items is {n_items}, but the sources have {source.n_items} items")
        n_items = source.n_items
    if comparisons not in range(1, 10**9):
        raise ValueError(f"comparisons is {comparisons!r}; it must be a whole number, 1 or more")
    s_a = _results(a, source, "A")
    s_b = _results(b, source, "B")
    if not by_b:
        drawn = by_a or _drawn_from([s_a, s_b], n_items)
        is_mixed = (len(s_a) == n_items) != (len(s_b) == n_items)
        if by_a or not is_mixed or failed != "error":
            s_a = drawn.scores(s_a, failed)
            s_b = drawn.scores(s_b, failed)
            return _with_failed(partial(_paired, drawn, comparisons=comparisons), s_a, s_b, failed)
    elif by_a and set(a.source.items) != set(b.source.items):
        raise ValueError("the two sessions are not of the same items: they compare no two models")
    elif not by_a and len(s_a) < n_items:
        raise ValueError(
            f"A has results of {len(s_a)} of {n_items} items: run all of them, or give a session "
            "of A, and the results of B on its items"
        )
    if comparisons > 1:
        raise ValueError(
            "several comparisons take models on the same items: here the interval is one at 95%"
        )
    return _with_failed(partial(_apart, by_a, by_b, source, n_items), s_a, s_b, failed)


def rank_models(results, session=None, *, n_items=None, name="A", failed="error"):
    """The Ranking of several models that all ran on the same items; `results` are by name.

    With a `session` its own model, called `name`, is the first, and the others ran on its items;
    else the items were drawn uniformly from `n_items`. The intervals of all pairs hold together in
    95 of 100 evaluations, and a model's best and worst rank follow from them (Bonferroni, as is p).
    The order is that of `on_items`, the plain means on these items: they are biased for the
    accuracies, but in order closer to the truth than `value` (Kendall's tau of 24 models at
    GSM8K's frontier, 50 items, .68 and .65 +/- .01; the same random items for all, .65). Estimates
    of single models, each on items of its own, rank worse than the same random items for all.
    Raises ValueError as `compare_models`.
    """
    models = ({name: session} if session else {}) | dict(results)
    if len(models) < max(2, len(results) + bool(session)):
        raise ValueError(f"a ranking takes two models or more, and no other is called {name}")
    drawn = session and _drawn_by(session)
    known = [_results(of, session and session.source, model) for model, of in models.items()]
    drawn = drawn or _drawn_from(known, n_items)
    scores = pd.DataFrame({of.name: drawn.scores(of, failed) for of in known})
    m = math.comb(len(known), 2)
    accuracies = {}
    best = dict.fromkeys(scores, 1)
    worst = dict.fromkeys(scores, len(known))
    pairs = []
    for a, b in combinations(scores, 2):
        found = _with_failed(partial(_paired, drawn, comparisons=m), scores[a], scores[b], failed)
        accuracies[a], accuracies[b] = found.accuracies
        pairs.append((a, b, *found[:3], min(m * found.p, 1.0)))
        if found.lower > 0 or found.upper < 0:
            better, worse = (b, a) if found.lower > 0 else (a, b)
            best[worse] += 1
            worst[better] -= 1
    pairs = pd.DataFrame(pairs, columns=["a", "b", "value", "lower", "upper", "p"])
    table = pd.DataFrame(accuracies, index=Estimate._fields).T.assign(
        on_items=scores.fillna(0.5 if failed == "open" else 0).mean(),
        best_rank=pd.Series(best),
        worst_rank=pd.Series(worst),
        lacks=scores.isna().sum(),
    )
    return Ranking(table.sort_values(["on_items", "value"], ascending=False), pairs)


def smallest_difference(source_scores, n):
    """The difference that two models on the same n items must have to be told apart.

    For a test at the level 5% with 80% power it is 2.8 sqrt((1/n - 1/N) S), with S the mean of
    (s_B - s_A)^2 over the items, for neighbours in accuracy among the best quarter of the sources.
    """
    order = np.argsort(source_scores.accuracy, kind="stable")
    best = source_scores.values[order[-max(2, len(order) // 4) :]]
    spread = np.nanmean(np.diff(best, axis=0) ** 2) if len(best) > 1 else 0.5
    return float(POWER * np.sqrt((1 / n - 1 / source_scores.n_items) * spread))


def in_any_order(names):
    """The items in an order of their own, as good as random: the folds of an estimate need one."""
    names = sorted(names)
    seed = crc32("\n".join(names).encode())
    return np.random.default_rng(seed).permutation(names).tolist()


def _with_failed(difference, s_a, s_b, failed):
    """The Comparison that is a difference(s_a, s_b), by what failed items, NaN, count as."""
    if failed not in ("error", "wrong", "open"):
        raise ValueError(f"failed is {failed!r}; it must be 'error', 'wrong' or 'open'")
    wrong = difference(s_a.fillna(0), s_b.fillna(0))
    n_a = s_a.isna().sum()
    n_b = s_b.isna().sum()
    if n_a + n_b == 0:
        return wrong
    low = difference(s_a.fillna(1), s_b.fillna(0))
    high = difference(s_a.fillna(0), s_b.fillna(1))
    how = "left open" if failed == "open" else "counted as wrong"
    note = (
        f"of {wrong.n} items A has no result on {n_a}, B on {n_b}; they are {how}, and whatever "
        f"they are, B - A is from {100 * low.value:+.1f} to {100 * high.value:+.1f} points"
    )
    if failed != "open":
        return wrong._replace(warnings=(note,))
    return low._replace(
        value=(low.value + high.value) / 2,
        upper=high.upper,
        only_a=high.only_a,
        p=np.nan,
        accuracies=tuple(map(_span, zip(low.accuracies, high.accuracies))),
        warnings=(note,),
    )


def _span(estimates):
    """The Estimate half way between two, with the interval that holds theirs."""
    value, lower, upper = zip(*estimates)
    return Estimate(sum(value) / 2, min(lower), max(upper))


# --- all models on the same items ---


def _paired(drawn, s_a, s_b, comparisons):
    """The sum of d/q over N, and Tango's interval with k from the variance of d/q.

    Of one draw from each of n cells it is that of :func:`intervals.cell_variance`; k is at least
    half of a random sample's. Where few of the items on which the two differ are not seen, n near
    N, the interval has a step as in :func:`intervals.sample_interval`: from n = N/3 on, where those
    of nearly equal models would be covered less (.77 at worst), and whole from 2N/3 on.
    """
    d = (s_b - s_a).to_numpy()
    n = len(d)
    n_items = drawn.n_items
    rounds = drawn.rounds
    is_stratified = isinstance(rounds, SequentialStratification)
    q = rounds.q[0, rounds.items[0]] if is_stratified else np.full(n, n / n_items)
    f = 1 / n - 1 / n_items
    value = (d / q).sum() / n_items
    mean, psi = np.average([d, d**2], weights=1 / q, axis=1)
    spread = psi - mean**2
    k = f
    df = np.inf
    if is_stratified and rounds.one_each and n > 2:
        df = n - 2
        variance = cell_variance(d / q, q, n_items)
        k = max(variance / spread if spread > 1e-9 else f, f / 2)
    centre = np.clip(d[0] if np.ptp(d) == 0 else value, -1, 1)
    psi = min(1, max(psi, abs(centre)))
    level = 1 - 0.05 / comparisons
    late = np.clip(3 * n / n_items - 1, 0, 1) * (n < n_items)
    step = late * max(0.5 / n - psi * min(1, f * n_items) / 20, 0)
    ends = tango_interval(centre, psi, k, df, level, step) if n > 2 else (-1, 1)
    p = 2 * stdtr(df, -max(abs(centre) - step, 0) / np.sqrt(max(k * psi, 1e-15)))
    detectable = POWER * np.sqrt(k * spread) if spread > 1e-9 else np.nan
    numbers = value, *ends, 1 / k if k else n, p, detectable
    accuracies = drawn.read(s_a), drawn.read(s_b)
    interval = (
        f"{100 * level:.4g}% interval of Tango, made for a number of items fixed before the first "
        "result"
    )
    return _comparison(numbers, n, n_items, d, accuracies, interval)


def _comparison(numbers, n, n_items, d, accuracies, interval):
    more = [(sign * d > 0).sum().item() for sign in (-1, 1)]
    return Comparison(*map(float, numbers), n, n_items, *more, accuracies, interval)


def _drawn_by(session):
    """The items of a session, if they are a random draw and none of them waits for its result."""
    if session._settings["precision"]:
        raise ValueError(
            "a session with a precision stops when its results say so: two models are compared "
            "on a number of items that was fixed, budget=n"
        )
    if not session.done:
        raise ValueError(
            f"the session still waits for {len(session.next_items())} items: record them first"
        )
    if not session.is_random:
        raise ValueError(
            f"the items of {session._method.label} are no random draw: they compare no two models"
        )
    return _Drawn(session._names, session.source.n_items, session._rounds)


def _drawn_from(results, n_items):
    """The items of several models' results, taken for drawn uniformly from N."""
    items = sorted(set().union(*(scores.index for scores in results)))
    n = len(items)
    if n_items is None or n > n_items:
        raise ValueError(
            f"n_items is {n_items}, but the models ran {n} items: give the number of items of the "
            "benchmark (in a terminal --of N), or the source scores"
        )
    draw = Draw(np.arange(n)[None])
    rounds = OneRound(METHODS["random_sampling"], np.empty((0, n_items)), draw)
    return _Drawn(items, n_items, rounds)


# --- one model complete, or two sessions ---


def _apart(by_a, by_b, source, n_items, s_a, s_b):
    """Two accuracies with independent errors: the squares of their parts of an interval add.

    (Zou & Donner 2008.)
    """
    of_a = _alone(by_a, s_a, s_b, source)
    of_b = _alone(by_b, s_b, s_a, source)
    turned = -of_a.value, -of_a.upper, -of_a.lower
    value, lower, upper = np.transpose([turned, of_b])
    middle = np.clip(value, lower, upper)
    low = middle.sum() - np.linalg.norm(middle - lower)
    high = middle.sum() + np.linalg.norm(upper - middle)
    detectable = POWER * (high - low) / 2 / ndtri(0.975)
    numbers = value.sum(), low, high, np.nan, np.nan, detectable
    n = min(len(s_a), len(s_b))
    interval = SEPARATE if by_a and by_b else SHIFTED
    return _comparison(numbers, n, n_items, s_b - s_a, (of_a, of_b), interval)


def _alone(drawn, mine, other, source):
    """The accuracy of a model: of its session, on all items, or on a uniform draw.

    The last by AIPW on the sources and the other model, which has results on all items.
    """
    if drawn:
        return drawn.read(mine[drawn.names])
    if len(mine) >= len(other):
        return Estimate(*[mine.mean()] * 3)
    values = [other]
    alpha = 1.0
    if source is not None:
        other = other[source.items]
        values = [*filled(source.values), other]
        alpha = 10.0
    order = in_any_order(mine.index)
    core = other.index.get_indexer(order)[None]
    observed = mine[order].to_numpy()[None, None]
    found = aipw_cross_fitted(np.vstack(values), core, observed, alpha)
    return Estimate(*np.ravel(found).tolist())


# --- checks ---


def _results(model, source, name):
    """The results of a model by item, those of the benchmark; NaN where an item has failed."""
    if isinstance(model, EvaluationSession):
        model = model.results
    series = pd.Series(model, dtype=object, name=name).rename(str)
    series = series.where(series.notna(), np.nan).astype(float)
    if series.empty:
        raise ValueError(f"there are no results of {name}")
    twice = series.index[series.index.duplicated()]
    if len(twice):
        raise ValueError(f"item {twice[0]} has two results of {name}; give one")
    wrong = series[(series < 0) | (series > 1)]
    if len(wrong):
        raise ValueError(
            f"the result of {name} on item {wrong.index[0]} is {wrong.iloc[0]:g}, not in [0, 1]"
        )
    return series if source is None else among(series, source.items)
