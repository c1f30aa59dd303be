"""One target model, evaluated as it runs: which items to run next, and what is known so far."""

import copy
import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from inspect import signature
from numbers import Integral
from operator import methodcaller
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from ..backend import asarray
from ..designs import budget_items
from ..forecast import WorkingModel, misfit, predict, working_model
from ..intervals import ess_of_width, sample_interval
from ..methods import METHODS, RECOMMENDED, Draw, Method, OneRound, begin
from ..scores import Scores
from ..sequences import SequentialDraws
from ..sequential import Rounds

__all__ = ["EvaluationSession", "PartEstimate", "SessionEstimate", "TaskEstimates", "tasks_of"]

FORMAT = 3  # of the file
ROUNDS = 10  # of a method that asks in rounds, where nothing else is said

# For a constant rate against the working model, at which a session warns.  On the six benchmarks'
# frontier splits, of sources left out 4% are beyond it after 50 items (6% after 100), of targets 2%
# (1%), of targets with shuffled items 42% (61%): the working model itself adapts to a target that
# the sources say nothing of.
ODDS = 10

ANYTIME = (
    "95% confidence sequence by betting: it holds at every look, and whenever the evaluation is "
    "stopped"
)
UNIFORM = "these items were drawn uniformly at random"
FIXED = "95% score interval, made for a number of items that was fixed before the first result"
CERTAIN = (
    "certain bounds (no result is known of the items not yet run): a fixed budget has its interval "
    "at its end"
)


class SessionEstimate(NamedTuple):
    """What a session knows so far.

    `value` is raw: an unbiased one may leave [0, 1], and clipping it would bias it.
    """

    value: float
    lower: float  # NaN, as is upper, where the method has no interval
    upper: float
    n: int  # results recorded; value and bounds are of the rounds that are complete
    ess: float  # estimated: variance of the mean of n random items over that of `value`, or NaN
    interval: str  # which interval this is, and when it holds
    imputed: float  # mean of the results and of forecasts of all other items, or NaN: often closer
    # than `value`, but not unbiased: there is no interval around it
    warnings: tuple[str, ...]
    failed: int  # items that were run and have no result
    bounds: tuple[float, float]  # `value` with all of these wrong, and with all of them right


class PartEstimate(NamedTuple):
    """What is known of some items, or of a mean over tasks, with a 95% interval."""

    value: float  # raw, as in SessionEstimate
    lower: float
    upper: float
    n: int  # of these items have results
    n_items: int


class TaskEstimates(NamedTuple):
    """What a session knows of each task, and of the two averages."""

    tasks: dict[str, PartEstimate]
    mean: PartEstimate  # of the tasks, each counting the same: the macro average
    items: PartEstimate  # each item counting the same, as in `estimate`


class EvaluationSession:
    """The evaluation of one target model: items to run, results as they come in, an estimate.

    With ``budget=n`` (items, or a fraction of them below 1) the items are those of `method`, a name
    in METHODS.  A method that asks in rounds, as the recommended one does, asks for them in
    `rounds` portions (10; at most one per item), which grow: the fewer, the fewer runs of a
    harness, and the less is learned from the results on the way; unbiased with any number, and
    before the last is recorded the value is `imputed` from all so far.  With ``precision=h``
    the items are those of `SequentialDraws`, until the half-width of an anytime-valid interval is
    at most h.  With `tasks` the recommended method draws within tasks (see `tasks_of`), and deals
    the budget out so that the average over "items", or the "mean" of the tasks, has the smallest
    error.  With `reference`, the name of a source model with which the target is to be compared,
    that model's scores say where the two may differ (see `compare_models`).  ``rng`` is a numpy
    Generator.  With a `path` every change is saved there.
    Raises TypeError or ValueError, naming the culprit, when an argument can't be used.
    """

    def __init__(
        self,
        source_scores: Scores,
        *,
        method: str = RECOMMENDED,
        budget: float | None = None,
        precision: float | None = None,
        rounds: int | None = None,
        tasks: Literal["items", "mean"] | None = None,
        reference: str | None = None,
        rng: np.random.Generator,
        path: str | Path | None = None,
    ):
        if not isinstance(rng, np.random.Generator):
            raise TypeError("the draw is random: pass rng=numpy.random.default_rng(seed)")
        settings = _checked_settings(source_scores, method, budget, precision, rounds, tasks)
        settings["reference"] = reference
        if path is not None and Path(path).exists():
            raise ValueError(
                f"{path} exists already; EvaluationSession.resume goes on with it, or delete it"
            )
        self._set_up(settings)
        self._learn(source_scores)
        n_items, n = source_scores.n_items, settings["budget"]
        if self._in_rounds:
            settings["uniform"] = rng.random((1, n_items + 2 * (n or 0)))
            self._rounds = self._begun()
        else:
            self._rounds = begin(METHODS[method], self._learned, n, [rng], n_items)
        self._rounds.next_items()
        self.path = path
        self._autosave()

    def _set_up(self, settings: dict) -> None:
        self.results = {}  # so far, by item
        self.path = None
        self.origin = None  # what the caller wants the file to say of the sources
        self._settings = settings
        self._method = METHODS[settings["method"]]
        self._in_rounds = self._method.start is not None

    def _learn(self, source: Scores) -> None:
        self.source = source
        reference = self.reference
        others = source if reference is None else _without(source, reference)
        self._learned = self._method.learn(asarray(others.values), self._settings["budget"])
        is_model = isinstance(self._learned, WorkingModel)
        if reference is not None:
            if not is_model:
                raise ValueError(f"reference is {reference!r}: that takes the method {RECOMMENDED}")
            self._learned = _with_column(self._learned, source.values[source.models == reference])
        self._model = self._learned if is_model else working_model(source.values)

    def _begun(self) -> Rounds:
        """What says which items to run, of a method that asks in rounds, at its beginning."""
        n, precision, rounds, uniform = (
            self._settings[name] for name in ("budget", "precision", "rounds", "uniform")
        )
        uniform = np.array(uniform)
        if precision:
            return SequentialDraws(self._learned, uniform, precision)
        options = {"rounds": rounds} if _takes_rounds(self._method) else {}
        tasks = self._settings.get("tasks")
        if tasks:
            of_item = self._tasks()[1]
            size = np.bincount(of_item)[of_item]
            options |= {"strata": of_item, "weight": 1 / size if tasks == "mean" else 1.0}
        return self._method.start(self._learned, uniform, n, **options)

    @property
    def reference(self) -> str | None:
        """The name of the source model with which the target is to be compared."""
        return self._settings.get("reference")

    @property
    def done(self) -> bool:
        """Whether the budget is spent, or the interval is narrow enough."""
        return self._rounds.done

    def next_items(self) -> list[str]:
        """The names of the items to run next: the same ones until they are recorded."""
        return [name for name in self._asked if name not in self.results]

    @property
    def _asked(self) -> list[str]:
        items, observed = self._rounds.items[0], self._rounds.observed[0]
        return self.source.items[items[len(observed) :]].tolist()

    def record(self, items: object, results: object) -> None:
        """Take in the results, in [0, 1], of some of the items asked for, in any order.

        A Series or a dict of results is read by the items' names.  None (or NaN) says that an item
        was run and has no result, such as after a timeout: the session goes on, and `estimate` says
        what that means.  It may still get one later.
        Raises ValueError, and takes in nothing, when an item was not asked for, has another result
        already, or a result is not in [0, 1].  Raises OSError when the file can't be written: the
        session holds the results all the same, and the same call may be made again.
        """
        self.results = self._checked_results(*_paired(items, results))
        self._go_on()
        self._autosave()

    def _go_on(self) -> None:
        """Ask for the next round where one is complete."""
        if self._asked and not self.next_items():
            # A copy, but of what was learned: an interruption leaves the session as it was.
            rounds = copy.deepcopy(self._rounds, {id(self._learned): self._learned})
            rounds.record(self._scores(self._asked, 0.0))  # a failed item helps no forecast
            if not rounds.done:
                rounds.next_items()
            self._rounds = rounds

    def _scores(self, names: list[str], failed: float) -> np.ndarray:
        """(1, n) the results, and `failed` for those that there are not."""
        results = [self.results[name] for name in names]
        return np.array([[failed if result is None else result for result in results]])

    def _checked_results(self, items: list, results: list) -> dict[str, float | None]:
        found = dict(self.results)
        asked = set(self._asked)
        for name, result in zip(map(str, items), results):
            if name not in found and name not in asked:
                is_known = name in self.source.items
                known = "was not asked for" if is_known else "is not in the source scores"
                raise ValueError(f"item {name} {known}; next_items() says which items to run")
            number = _checked_result(name, result)
            before = found.get(name)
            if before not in (None, number):
                now = "none" if number is None else f"{number:g}"
                raise ValueError(
                    f"item {name} has the result {before:g} already; it can't be {now} too: leave "
                    "it out, or begin another session for another run"
                )
            found[name] = number
        return found

    def update_sources(self, source_scores: Scores) -> None:
        """Go on with other source scores of the same items, such as those of models that came out.

        They serve from the next round on; what was drawn stays as it was drawn, so nothing is lost
        of the estimate's unbiasedness or of the interval's validity.  The session is then resumed
        with the new scores.  Raises ValueError for a method that has asked for all items at once.
        """
        is_scores = isinstance(source_scores, Scores)
        if not is_scores or not np.array_equal(source_scores.items, self.source.items):
            raise ValueError(
                "the new source scores must be Scores of the same items in the same order"
            )
        if not self._in_rounds:
            raise ValueError(
                f"{self._settings['method']} has drawn all its items by the sources it began with; "
                "begin a session with the new ones, or finish this one with the old"
            )
        self._learn(source_scores)
        rounds = self._begun()
        rounds.restore(self._rounds.state())
        self._rounds = rounds
        self._autosave()

    def estimate(self, failed: Literal["wrong", "right", "open"] = "wrong") -> SessionEstimate:
        """The SessionEstimate from all rounds that are complete.

        Items without a result count as `failed` says: as 0, as 1, or, "open", the value is half way
        between these two and the interval spans both.  Each is exact for the items drawn: how they
        were drawn never depends on what is read into those that failed.
        """
        readings = [self._found(self._read_as(score)) for score in _checked_failed(failed)]
        value, lower, upper, ess, imputed = np.array([reading[:5] for reading in readings]).T
        ends = lower.min(), upper.max()
        warnings = tuple(self._warnings(*ends, failed))
        both = [self._found(self._read_as(score))[0] for score in FAILED["open"]]
        return SessionEstimate(
            *map(float, (value.mean(), *ends)),
            len(self.results),
            float(ess.min()),
            readings[0][5],
            float(imputed.mean()),
            warnings,
            self._n_failed,
            tuple(map(float, both)),
        )

    @property
    def _n_failed(self) -> int:
        return list(self.results.values()).count(None)

    def _read_as(self, failed: float) -> Rounds:
        """The rounds, with the score `failed` for items that have no result."""
        t = self._rounds.observed.shape[1]
        observed = self._scores(self.source.items[self._rounds.items[0, :t]].tolist(), failed)
        if np.array_equal(observed, self._rounds.observed):
            return self._rounds
        if not self._settings["precision"]:
            return self._restored(self._rounds.state() | {"observed": observed})
        drawn, read = self._begun(), self._begun()
        while drawn.observed.shape[1] < t:
            items = drawn.next_items()
            upto = drawn.items.shape[1]
            seen = slice(upto - items.shape[1], upto)
            read.items, read.g, read.weight = drawn.items, drawn.g, drawn.weight
            drawn.record(self._rounds.observed[:, seen])
            read.record(observed[:, seen])
        if not np.array_equal(drawn.items, self._rounds.items[:, :t]):
            raise ValueError("its sources have changed on the way: give failed='wrong'")
        return read

    def _found(self, rounds: Rounds) -> tuple:
        """The value, lower, upper, ess, the mean with forecasts, and words of the interval."""
        imputed = rounds.imputed()[0]
        n, n_items = rounds.observed.size, self.source.n_items
        if self._settings["precision"]:
            sequence = rounds.sequence
            value, variance = sequence.value[0], sequence.variance[0]
            plain = value * (1 - value) * (1 / max(n, 1) - 1 / n_items)
            ess = plain / variance if plain > 0 and variance > 0 else np.nan
            return value, sequence.lower[0], sequence.upper[0], ess, imputed, ANYTIME
        if self.done:
            found = self._method.read(rounds)
            value, lower, upper = (np.nan if end is None else end[0] for end in found)
            ess = ess_of_width(value, upper - lower, n, n_items)
            return value, lower, upper, ess, imputed, self._interval(np.isnan(lower))
        items = rounds.items[:, :n]
        seen = rounds.observed.sum()
        least, most = seen / n_items, (seen + n_items - n) / n_items
        if np.isnan(imputed):
            forecast = np.delete(predict(self._model, items, rounds.observed)[0], items[0]).sum()
            imputed = (seen + forecast) / n_items
        return imputed, least, most, np.nan, imputed, CERTAIN

    def estimate_by(
        self,
        by: Literal["task", "domain"] | None = None,
        failed: Literal["wrong", "right", "open"] = "wrong",
    ) -> TaskEstimates:
        """The TaskEstimates: of each task (see `tasks_of`), of their mean, and over all items.

        With c_i = 1/N_d for the N_d items of a task, else 0, and c_i = 1/(D N_d) for the mean of D
        tasks, the estimate is sum c g + sum c (s - g)/q over the items drawn: unbiased for
        sum c s, as g and q were fixed before each was drawn (Särndal, Swensson & Wretman 1992,
        ch. 10).  q is that of the session's draw; of a uniform one n_d/N_d, given the numbers n_d
        that it drew of each task.
        Raises ValueError before the budget is spent, and for a method whose draw is not random.
        """
        names, of_item = self._tasks(by)
        rounds, precise = self._rounds, self._settings["precision"]
        if precise or not self.done or not (self._in_rounds or self._method.stream == "uniform"):
            raise ValueError(
                "the estimate by tasks needs a random draw, and a budget that is spent: see done"
            )
        items = rounds.items[0]
        size = np.bincount(of_item)
        c = (of_item == np.arange(len(size))[:, None]) / size[:, None]
        c = np.concatenate([c, c.mean(axis=0, keepdims=True)])
        none = np.zeros((1, 0))
        g = predict(self._model, none.astype(int), none)[0]
        q = np.full(len(g), len(items) / len(g))
        cell = np.zeros(len(items), dtype=int)
        if self._in_rounds:
            q = rounds.q[0]
            if rounds.g.any():  # one draw of each cell
                g = rounds.g[0]
            else:
                cell = rounds.cell[0, items]
        readings = []
        for score in _checked_failed(failed):
            s = self._read_as(score).observed[0]
            readings.append(_part_estimates(c, g, q, items, s, cell))
        parts = [_span(part) for part in zip(*readings)]
        whole = PartEstimate(*self.estimate(failed)[:4], len(g))
        return TaskEstimates(dict(zip(names.tolist(), parts)), parts[-1], whole)

    def _tasks(self, by: str | None = None) -> tuple[np.ndarray, np.ndarray]:
        return np.unique(tasks_of(self.source, by), return_inverse=True)

    def _interval(self, is_none: bool) -> str:
        label = self._method.label
        if is_none:
            return f"no interval: {label} gives none"
        if self._in_rounds:
            return FIXED
        drawn = UNIFORM if self._method.stream == "uniform" else "these items are those it drew"
        return f"95% interval of {label}: it holds if {drawn}"

    def _warnings(self, lower: float, upper: float, failed: str) -> Iterator[str]:
        accuracy, observed = self.source.accuracy, self._rounds.observed
        best, worst = accuracy.max(), accuracy.min()
        n = self._settings["budget"]
        if self._n_failed:
            n_all = len(self.results)
            counted = "counted as " + failed if failed != "open" else "left open"
            yield f"{self._n_failed} of the {n_all} items run have no result, {counted}"
        if n and not self.done:
            yield (
                f"the budget is not spent yet, {n - len(self.results)} of the {n} items lack a "
                "result: the value leans on the sources, and only the bounds are certain"
            )
        if lower > best:
            yield (
                f"the target is better than every source (the best has {best:.3f}): "
                "a frontier no source has seen"
            )
        if upper < worst:
            yield f"the target is worse than every source (the worst has {worst:.3f})"
        items = self._rounds.items[:, : observed.shape[1]]
        if misfit(self._model, items, observed)[0] > np.log(ODDS):
            yield (
                "the target looks unlike every source: a constant rate forecasts its results "
                "better than the sources do; an interval holds all the same, but may be no "
                "narrower than that of a random sample"
            )
        if observed.size >= 10 and observed.min() == observed.max():
            yield (
                f"all {observed.size} results are {observed[0, 0]:g}: "
                "the interval says how far that may be luck"
            )

    def save(self, path: str | Path | None = None) -> None:
        """Write the session to `path` (default: its own), whole or not at all."""
        path = self.path if path is None else path
        if path is None:
            raise ValueError("the session has no file of its own: say where, save(path)")
        write_json(path, self.to_dict())

    def _autosave(self) -> None:
        if self.path is not None:
            self.save()

    def to_dict(self) -> dict:
        """What the session's file holds."""
        state = self._rounds.state()
        if not self._in_rounds:
            state["reading"] = list(self._rounds.draws.reading)
        return {
            "format": FORMAT,
            "settings": self._settings,
            "source": _fingerprint(self.source),
            "results": self.results,
            "draw": state,
            "sources": self.origin,
        }

    @classmethod
    def from_dict(cls, content: dict, source: Scores) -> "EvaluationSession":
        """The session that `to_dict` described, with the source scores that it was begun with.

        Raises ValueError where items, scores and results do not agree.
        """
        if content["source"] != _fingerprint(source):
            raise ValueError("it was begun with other source scores; give the same ones")
        settings = content["settings"]
        if settings["method"] not in METHODS:
            raise ValueError(f"its method, {settings['method']}, is not in METHODS here")
        session = cls.__new__(cls)
        session._set_up(settings)
        session._learn(source)
        session.origin = content.get("sources")
        session._restore(content["draw"], content["results"])
        return session

    def _restored(self, state: dict) -> Rounds:
        if self._in_rounds:
            rounds = self._begun()
        else:
            reading = state["reading"] if "reading" in state else self._rounds.draws.reading
            draws = Draw(asarray(state["items"]), tuple(map(asarray, reading)))
            rounds = OneRound(self._method, self._learned, draws)
        rounds.restore(state)
        return rounds

    def _restore(self, state: dict, results: dict[str, float | None]) -> None:
        self._rounds = self._restored(state)
        items, observed = self._rounds.items[0], self._rounds.observed[0]
        names = self.source.items[items].tolist()
        for name, result in results.items():
            self.results[name] = _checked_result(name, result)
        seen = self._scores(names[: len(observed)], 0.0)[0]
        differ = (seen != observed) & (observed != 0)  # 0: it had failed, and has a result now
        if differ.any() or not self.results.keys() <= set(names):
            raise ValueError("its items, scores and results do not agree")
        self._go_on()

    @classmethod
    def resume(cls, path: str | Path, source_scores: Scores) -> "EvaluationSession":
        """The session saved at `path`, which goes on being saved there and asks for the same items.

        Raises ValueError when the file is not a session's, or `source_scores` are not those that it
        began with.
        """
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
            if content["format"] != FORMAT:
                content = OLDER[content["format"]](content, source_scores)
            session = cls.from_dict(content, source_scores)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            says = f": {error}" if type(error) is ValueError else ""  # else words of Python's
            raise ValueError(f"{path} does not hold a session to go on with{says}") from error
        session.path = path
        return session


def _without(source: Scores, reference: str) -> Scores:
    is_other = source.models != reference
    if is_other.all() or not is_other.any():
        raise ValueError(
            f"reference is {reference!r}: it must be one of the source models, and not the only one"
        )
    return source.select(models=is_other)


def _with_column(model: WorkingModel, known: np.ndarray) -> WorkingModel:
    """The working model of a target that is compared with one whose scores (1, N) are known.

    With r the known scores less the forecasts that the model makes of them, given them all,
    logit P = x z + offset + delta r, delta ~ N(2, 2^2): how far the target is right where the other
    is, beyond what the sources say.
    """
    r = known[0] - predict(model, np.arange(known.shape[1])[None], known)[0]
    x = np.column_stack([model.x, 2 * r])
    return model._replace(x=x, offset=model.offset + 2 * r)


def tasks_of(source: Scores, by: str | None = None) -> np.ndarray:
    """(N,) the task of each item: by "task" that of its name, task:id, by "domain" its domain.

    Of None the first of these that there is.  Raises ValueError where there is none.
    """
    of_name = np.array([name.rpartition(":")[0] for name in source.items.tolist()])
    if by != "domain" and "" not in of_name and (by or len(set(of_name)) > 1):
        return of_name
    if by == "task" or source.domains is None:
        raise ValueError(
            "the items are of no tasks: name them task:id, or give the sources domains"
        )
    return source.domains.astype(str)


def _part_estimates(
    c: np.ndarray,
    g: np.ndarray,
    q: np.ndarray,
    items: np.ndarray,
    s: np.ndarray,
    cell: np.ndarray,
) -> list[PartEstimate]:
    """Of sum c s, for rows c (D, N), from the scores s of the items drawn in these cells.

    The variance is that of n_c draws from each cell, of e = c (s - g)/q about their mean, times
    1 - q; and at least half of what g says, the sum of c^2 g (1 - g)(1/q - 1).
    """
    e = c[:, items] * (s - g[items]) / q[items]
    value = c @ g + e.sum(axis=1)
    of_cell = cell == np.unique(cell)[:, None]
    n = of_cell.sum(axis=1, keepdims=True)
    e = e - (e @ of_cell.T / n.T) @ of_cell
    rest = (1 - q[items]) * ((n / np.maximum(n - 1, 1)) * of_cell).sum(axis=0)
    share = s.var() / (s.var() + (s * (1 - s)).mean() + 1e-12)
    variance = np.maximum(e**2 @ rest, share * (c**2 @ (g * (1 - g) * (1 / q - 1))) / 2)
    found = []
    for row in range(len(c)):
        weight = c[row, items] / q[items]
        n, n_items = int((weight > 0).sum()), int((c[row] > 0).sum())
        lower, upper = 0.0, 1.0
        if n:
            mean = weight @ s / weight.sum()
            df = max(n * (1 - len(of_cell) / len(s)), 1)  # its share of n less the cells
            lower, upper = sample_interval(value[row], variance[row], mean, n, n_items, df)
        found.append(PartEstimate(float(value[row]), float(lower), float(upper), n, n_items))
    return found


def _span(parts: tuple[PartEstimate, ...]) -> PartEstimate:
    """The value half way between several, and the interval of all."""
    value, lower, upper = (np.array(ends) for ends in list(zip(*parts))[:3])
    return parts[0]._replace(
        value=float(value.mean()), lower=float(lower.min()), upper=float(upper.max())
    )


def one_round(source: Scores, items: list[str]) -> EvaluationSession:
    """A session of items that were drawn uniformly at random without one, in order of drawing."""
    place = {name: number for number, name in enumerate(source.items.tolist())}
    settings = _checked_settings(source, "aipw_cross_fitted", len(items), None, None, None)
    state = {"items": [[place[name] for name in items]], "observed": [[]], "reading": []}
    content = {"settings": settings, "source": _fingerprint(source), "results": {}, "draw": state}
    return EvaluationSession.from_dict(content, source)


def write_json(path: str | Path, content: object) -> None:
    """Write `content`, which may hold arrays, to `path`, whole or not at all; raises OSError."""
    write_text(path, json.dumps(content, default=methodcaller("tolist")))


def write_text(path: str | Path, text: str) -> None:
    """Write a text to `path`, whole or not at all; raises OSError."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


# --- formats of the file ---


def _second(content: dict, source: Scores) -> dict:
    """Cells as they were closed, in other rounds, stay; the rest is forecast and cut as now.

    The estimate is as unbiased: no cell depends on numbers that are still to be used.
    """
    settings, draw = content["settings"], content["draw"]
    if settings["method"] == RECOMMENDED and 2 * (settings["budget"] or 0) > source.n_items:
        raise ValueError(
            "it was begun with a version that drew more than half of the items in another way: "
            "finish it with that one"
        )
    return content | {"draw": draw | {"known": [range(len(draw["observed"][0]) + 1)]}}


def _first(content: dict, source: Scores) -> dict:
    """There was one method, of ten rounds before they could be chosen."""
    draw = content["draw"]
    uniform = draw.get("uniform")
    if uniform is None:
        jitter = 100 * np.array(draw["_jitter"]) + 0.5
        uniform = np.concatenate([jitter, draw["_offset"], draw["_u"]], axis=1)
    settings = {"method": RECOMMENDED, "rounds": ROUNDS, "uniform": uniform} | content["settings"]
    content = content | {"settings": settings, "draw": draw | draw.get("sequence", {})}
    return _second(content, source)


def _one_round(content: dict, source: Scores) -> dict:
    """It was a list of items only, in order of drawing."""
    return one_round(source, content["items"]).to_dict() | {"sources": content["sources"]}


OLDER = {2: _second, 1: _first, "one round": _one_round}


# --- checks ---


def _checked_settings(
    source: Scores,
    method: str,
    budget: float | None,
    precision: float | None,
    rounds: int | None,
    tasks: str | None,
) -> dict:
    if not isinstance(source, Scores):
        raise TypeError(
            f"source_scores must be Scores, which name their items, not {type(source).__name__}"
        )
    if method not in METHODS:
        raise ValueError(f"method is {method!r}; it must be one of {', '.join(METHODS)}")
    if (budget is None) == (precision is None):
        raise ValueError(
            "give either budget, a number of items, or precision, the half-width at which to stop"
        )
    if precision is not None and not 0 < precision < 0.5:
        raise ValueError(
            f"precision is {precision}; it must be a half-width between 0 and 0.5, such as 0.03"
        )
    if precision is not None and method != RECOMMENDED:
        raise ValueError(f"{method} draws a number of items that is fixed beforehand: give budget")
    if rounds is not None and precision is not None:
        raise ValueError(
            f"rounds is {rounds}, but with a precision the results say how many; leave rounds out"
        )
    if rounds is not None and not _takes_rounds(METHODS[method]):
        raise ValueError(
            f"rounds is {rounds}, but {method} asks for all items at once, or in rounds of its "
            "own; leave rounds out"
        )
    if tasks not in (None, "items", "mean"):
        raise ValueError(f"tasks is {tasks!r}; it must be 'items' or 'mean', or left out")
    if tasks and (precision or METHODS[method].start is None):
        raise ValueError(f"tasks is {tasks!r}: that takes a budget, and the method {RECOMMENDED}")
    rounds = ROUNDS if rounds is None else rounds
    if isinstance(rounds, bool) or not isinstance(rounds, Integral) or rounds < 1:
        raise ValueError(f"rounds is {rounds!r}; it must be a whole number, 1 or more")
    n = None if budget is None else budget_items(budget, source.n_items)
    half_width = precision and float(precision)
    settings = {"method": method, "budget": n, "precision": half_width, "rounds": int(rounds)}
    return settings | {"tasks": tasks}


def _takes_rounds(method: Method) -> bool:
    return method.start is not None and "rounds" in signature(method.start).parameters


def _paired(items: object, results: object) -> tuple[list, list]:
    """Lists of items and of their results; one name or one number is a list of one."""
    names = [items] if isinstance(items, str) or np.ndim(items) == 0 else list(items)
    if isinstance(results, (dict, pd.Series)):
        of_name = pd.Series(results, dtype=object).rename(str)
        if sorted(of_name.index) != sorted(map(str, names)):
            raise ValueError("the names of the results are not those of the items, each once")
        return names, of_name[list(map(str, names))].tolist()
    listed = [results] if isinstance(results, str) or np.ndim(results) == 0 else list(results)
    if len(names) != len(listed):
        raise ValueError(
            f"there are {len(names)} items and {len(listed)} results; one result per item is needed"
        )
    return names, listed


def _checked_result(name: str, result: object) -> float | None:
    """The score, or None for an item that has failed."""
    if result is None or result is pd.NA or result is np.ma.masked:
        return None
    try:
        number = float(result)
    except (TypeError, ValueError, OverflowError):
        number = np.inf
    if np.isnan(number) and not isinstance(result, str):
        return None
    if not 0 <= number <= 1:
        raise ValueError(
            f"the result of item {name} is {result!r}; it must be a number in [0, 1], or None "
            "where the item has failed"
        )
    return number


FAILED = {"wrong": (0.0,), "right": (1.0,), "open": (0.0, 1.0)}  # scores read into failed items


def _checked_failed(failed: str) -> tuple[float, ...]:
    if failed not in FAILED:
        raise ValueError(f"failed is {failed!r}; it must be one of {', '.join(FAILED)}")
    return FAILED[failed]


def _fingerprint(source: Scores) -> str:
    """A hash of the source matrix and the names of its items."""
    names = "\0".join(source.items.tolist())
    values = np.ascontiguousarray(source.values).tobytes()
    return hashlib.sha256(f"{source.values.shape}{names}".encode() + values).hexdigest()
