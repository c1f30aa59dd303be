"""One target model, evaluated as it runs: which items to run next, and what is known so far."""

import copy
import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from glob import escape
from inspect import signature
from numbers import Integral
from operator import methodcaller
from pathlib import Path
from threading import RLock
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from ..backend import asarray
from ..designs import budget_items
from ..forecast import WorkingModel, misfit, predict, working_model
from ..intervals import ess_of_width
from ..methods import METHODS, RECOMMENDED, Draw, OneRound, begin
from ..scores import Scores
from ..sequences import SequentialDraws
from ..sequential import Rounds
from .parts import PartEstimate, TaskEstimates, part_estimates, shares, span, tasks_of

try:
    import fcntl
except ImportError:  # on Windows
    fcntl = None

__all__ = ["EvaluationSession", "SessionEstimate"]

FORMAT = 4  # of the file
CHECKED = ("settings", "results", "draw")  # parts of it that have a checksum
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
        self._set_up(settings)
        self.path = path
        self._merge(path)
        self._learn(source_scores)
        n_items, n = source_scores.n_items, settings["budget"]
        if self._in_rounds:
            settings["uniform"] = rng.random((1, n_items + 2 * (n or 0)))
            self._rounds = self._begun()
        else:
            self._rounds = begin(METHODS[method], self._learned, n, [rng], n_items)
        self._rounds.next_items()
        with self._turn(path):
            pass

    def _set_up(self, settings):
        self.results = {}  # so far, by item
        self.path = None
        self.origin = None  # what the caller wants the file to say of the sources
        self._saved = {}  # {path: what this session wrote there, or read}
        self._settings = settings
        self._method = METHODS[settings["method"]]
        self._in_rounds = self._method.start is not None

    def _learn(self, source: Scores) -> None:
        self.source = source
        reference = self.reference
        others = source if reference is None else _without(source, reference)
        self._learned = self._method.learned(asarray(others.values), self._settings["budget"])
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
            of_item = np.unique(tasks_of(self.source), return_inverse=True)[1]
            weight = shares(of_item)[-1] if tasks == "mean" else 1.0
            options |= {"strata": of_item, "weight": weight}
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
    def _asked(self):
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
        with self._turn(self.path):
            self.results = self._checked_results(*_paired(items, results))
            self._go_on()

    def _go_on(self):
        """Ask for the next round where one is complete."""
        while self._asked and not self.next_items():
            rounds = self._copied()  # an interruption leaves the session as it was
            rounds.record(self._scores(self._asked, 0.0))  # a failed item helps no forecast
            if not rounds.done:
                rounds.next_items()
            self._rounds = rounds

    def _scores(self, names, failed):
        """(1, n) the results, and `failed` for those that there are not."""
        results = [self.results[name] for name in names]
        return np.array([[failed if result is None else result for result in results]])

    def _checked_results(self, items, results):
        found = dict(self.results)
        asked = set(self._asked)
        for name, result in zip(items, results):
            if name not in found and name not in asked:
                is_known = name in self.source.items
                known = "was not asked for" if is_known else "is not in the source scores"
                raise ValueError(f"item {name} {known}; next_items() says which items to run")
            number = _checked_result(name, result)
            if found.get(name) not in (None, number):
                raise ValueError(
                    f"item {name} has the result {found[name]:g} already; it can't be {result} too:"
                    " leave it out, or begin another session for another run"
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
        with self._turn(self.path):
            self._learn(source_scores)
            self._rounds = self._restored(self._rounds.state())

    def estimate(self, failed: Literal["wrong", "right", "open"] = "wrong") -> SessionEstimate:
        """The SessionEstimate from all rounds that are complete.

        Items without a result count as `failed` says: as 0, as 1, or, "open", the value is half way
        between these two and the interval spans both.  Each is exact for the items drawn: how they
        were drawn never depends on what is read into those that failed.
        """
        found = [self._found(self._read_as(score)) for score in (0, 1)]
        readings = [found[score] for score in _checked_failed(failed)]
        value, lower, upper, ess, imputed, interval = zip(*readings)
        lower, upper = float(min(lower)), float(max(upper))
        return SessionEstimate(
            float(np.mean(value)),
            lower,
            upper,
            len(self.results),
            float(min(ess)),
            interval[0],
            float(np.mean(imputed)),
            tuple(self._warnings(lower, upper, failed)),
            self._n_failed,
            tuple(float(reading[0]) for reading in found),
        )

    @property
    def _n_failed(self):
        return list(self.results.values()).count(None)

    def estimate_by(
        self,
        by: Literal["task", "domain"] | None = None,
        failed: Literal["wrong", "right", "open"] = "wrong",
    ) -> TaskEstimates:
        """The TaskEstimates: of each task (see `tasks_of`), of their mean, and over all items.

        By `part_estimates` from the one draw: unbiased for each, and so for both averages.
        Raises ValueError before the budget is spent, and for a method whose draw is not random.
        """
        names, of_item = np.unique(tasks_of(self.source, by), return_inverse=True)
        rounds = self._rounds
        is_random = self._in_rounds or self._method.stream == "uniform"
        if self._settings["precision"] or not self.done or not is_random:
            raise ValueError("estimates by task take a random draw, and a budget that is spent")
        items, n_items = rounds.items[0], self.source.n_items
        none = np.zeros((1, 0))
        g = predict(self._model, none.astype(int), none)[0]
        q = np.full(n_items, len(items) / n_items)
        cell = 0 * items
        if self._in_rounds:
            q = rounds.q[0]
            if 2 * len(items) <= n_items:  # one from each cell
                g = rounds.g[0]
            else:
                cell = rounds.cell[0, items]
        readings = []
        for score in _checked_failed(failed):
            s = self._read_as(score).observed[0]
            readings.append(part_estimates(shares(of_item), g, q, items, s, cell))
        *parts, mean = map(span, zip(*readings))
        whole = PartEstimate(*self.estimate(failed)[:4], n_items)
        return TaskEstimates(dict(zip(names.tolist(), parts)), mean, whole)

    def _read_as(self, failed):
        """The rounds, with the score `failed` for items that have no result."""
        rounds = self._rounds
        t = rounds.observed.shape[1]
        observed = self._scores(self.source.items[rounds.items[0, :t]].tolist(), failed)
        if np.array_equal(observed, rounds.observed):
            return rounds
        if not self._settings["precision"]:
            read = self._copied()
            read.observed = observed
            return read
        drawn, read = self._begun(), self._begun()
        while drawn.observed.shape[1] < t:  # the bets on what was drawn, and as it was drawn
            drawn.next_items()
            now = slice(drawn.observed.shape[1], drawn.items.shape[1])
            vars(read).update(items=drawn.items, g=drawn.g)
            drawn.record(rounds.observed[:, now])
            read.record(observed[:, now])
        if not np.array_equal(drawn.items, rounds.items[:, :t]):
            raise ValueError("the sources have changed on the way: what failed counts as wrong")
        return read

    def _copied(self):
        """A copy of the rounds, but of what was learned."""
        learned = self._learned, self._model.sources
        return copy.deepcopy(self._rounds, {id(part): part for part in learned})

    def _found(self, rounds):
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
        if np.isnan(imputed):
            forecast = np.delete(predict(self._model, items, rounds.observed)[0], items[0]).sum()
            imputed = (seen + forecast) / n_items
        return imputed, seen / n_items, (seen + n_items - n) / n_items, np.nan, imputed, CERTAIN

    def _interval(self, is_none):
        label = self._method.label
        if is_none:
            return f"no interval: {label} gives none"
        if self._in_rounds:
            return FIXED
        drawn = UNIFORM if self._method.stream == "uniform" else "these items are those it drew"
        return f"95% interval of {label}: it holds if {drawn}"

    def _warnings(self, lower, upper, failed):
        accuracy, observed = self.source.accuracy, self._rounds.observed
        best, worst = accuracy.max(), accuracy.min()
        n = self._settings["budget"]
        if self._n_failed:
            yield (
                f"{self._n_failed} of the {len(self.results)} items run have no result; they are "
                f"{'left' if failed == 'open' else 'counted as'} {failed}"
            )
        n_tasks = len({name.rpartition(":")[0] for name in self.source.items.tolist()})
        if n_tasks > 1:
            yield f"the mean is over the items of {n_tasks} tasks; estimate_by gives each task's"
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
        """Write the session to `path` (default: its own), whole or not at all.

        What another process has recorded there meanwhile is taken in.  Raises ValueError when the
        file is another's.
        """
        path = self.path if path is None else path
        if path is None:
            raise ValueError("the session has no file of its own: say where, save(path)")
        with self._turn(path):
            pass

    @contextmanager
    def _turn(self, path: str | Path | None) -> Iterator[None]:
        """What is done within starts from what the file holds by now, and is saved in it."""
        with _alone(path):
            self._merge(path)
            try:
                yield
            finally:  # Ctrl-C may come while the next items are chosen
                if path is not None:
                    self._write(path)

    def _write(self, path):
        parts = {name: _dumped(part) for name, part in self.to_dict().items()}
        parts["checksums"] = _dumped({name: _checksum(parts[name]) for name in CHECKED})
        text = "{" + ", ".join(f'"{name}": {part}' for name, part in parts.items()) + "}"
        try:
            write_text(path, text)
        except KeyboardInterrupt:
            write_text(path, text)
            raise
        self._saved[os.path.abspath(path)] = text

    def _merge(self, path):
        """Take in what another process has saved."""
        if path is None or not Path(path).exists():
            return
        known = self._saved.get(os.path.abspath(path))
        if known is None:
            raise ValueError(
                f"{path} exists already; EvaluationSession.resume goes on with it, or delete it"
            )
        if Path(path).read_text(encoding="utf-8") == known:
            return
        other = self.resume(path, self.source)
        if any(mine != its for mine, its in zip(self._rounds.items[0], other._rounds.items[0])):
            raise ValueError(f"{path} holds another session by now; save(path) in another file")
        for name, result in self.results.items():
            its = other.results.setdefault(name, result)
            if None not in (its, result) and its != result:
                raise ValueError(f"item {name} has the result {its:g} in {path}, not {result:g}")
            other.results[name] = result if its is None else its
        other._go_on()
        self.results = other.results
        self._rounds = other._rounds
        self._saved |= other._saved

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
        _check_draw(content["draw"], source.n_items)
        session._rounds = session._restored(content["draw"])
        for name, result in content["results"].items():
            session.results[name] = _checked_result(name, result)
        names = source.items[session._rounds.items[0]].tolist()
        observed = session._rounds.observed[0]
        seen = session._scores(names[: len(observed)], 0)[0]
        differ = (seen != observed) & (observed != 0)  # 0: it had failed, and has a result now
        if differ.any() or not session.results.keys() <= set(names):
            raise ValueError("its items, scores and results do not agree")
        session._go_on()
        return session

    def _restored(self, state):
        if self._in_rounds:
            rounds = self._begun()
        else:
            draws = Draw(asarray(state["items"]), tuple(map(asarray, state["reading"])))
            rounds = OneRound(self._method, self._learned, draws)
        rounds.restore(state)
        return rounds

    @classmethod
    def resume(cls, path: str | Path, source_scores: Scores) -> "EvaluationSession":
        """The session saved at `path`, which goes on being saved there and asks for the same items.

        Raises ValueError when the file is not a session's, or `source_scores` are not those that it
        began with.
        """
        try:
            text = Path(path).read_text(encoding="utf-8")
            content = json.loads(text)
            form = content["format"]
            if form == "one round":  # a list of items only, in order of drawing
                begun = one_round(source_scores, content["items"])
                content = begun.to_dict() | {"sources": content["sources"]}
            elif form == FORMAT:
                _check_sums(content)
            elif form != 3:  # which had no checksums
                raise ValueError(f"its format, {form}, is of another version: finish it with that")
            session = cls.from_dict(content, source_scores)
        except (
            ArithmeticError,
            AttributeError,
            LookupError,
            RecursionError,
            TypeError,
            ValueError,
        ) as error:
            says = {ValueError: f": {error}", KeyError: f": it lacks {error}"}.get(type(error), "")
            raise ValueError(f"{path} does not hold a session to go on with{says}") from error
        session.path = path
        session._saved = {os.path.abspath(path): text}
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


def one_round(source: Scores, items: list[str]) -> EvaluationSession:
    """A session of items that were drawn uniformly at random without one, in order of drawing."""
    place = {name: number for number, name in enumerate(source.items.tolist())}
    settings = _checked_settings(source, "aipw_cross_fitted", len(items), None, None, None)
    state = {"items": [[place[name] for name in items]], "observed": [[]], "reading": []}
    content = {"settings": settings, "source": _fingerprint(source), "results": {}, "draw": state}
    return EvaluationSession.from_dict(content, source)


def write_json(path: str | Path, content: object) -> None:
    """Write `content`, which may hold arrays, to `path`, whole or not at all; raises OSError."""
    write_text(path, _dumped(content))


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
        # Also what a killed process has left: only one writes a session at a time.
        for left in path.parent.glob(f".{escape(path.name)}." + 16 * "[0-9a-f]"):
            left.unlink(missing_ok=True)


def _dumped(content):
    return json.dumps(content, default=methodcaller("tolist"))


_THREADS = RLock()


@contextmanager
def _alone(path: str | Path | None) -> Iterator[None]:
    """No other thread, nor process where the system can lock a folder, saves a session there."""
    with _THREADS, ExitStack() as stack:
        if path is not None and fcntl:
            folder = os.open(Path(path).absolute().parent, os.O_RDONLY)
            stack.callback(os.close, folder)
            with suppress(OSError):  # some disks have no locks
                fcntl.flock(folder, fcntl.LOCK_EX)
        yield


# --- checks ---


def _checksum(text):
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _check_sums(content):
    for name in CHECKED:
        if _checksum(_dumped(content[name])) != content["checksums"][name]:
            raise ValueError(
                f"its {name} are not what was saved; take a copy of the file from before"
            )


def _check_draw(state, n_items):
    """Files of older formats have no checksums."""
    tops = {"items": n_items - 1, "observed": 1, "g": 1, "q": 1, "known": n_items}
    for name in tops.keys() & state.keys():
        values = np.array(state[name], dtype=float).ravel()
        wrong = ~((values >= 0) & (values <= tops[name]))
        if wrong.any():
            place = wrong.argmax()
            raise ValueError(f"its {name}[{place}] is {values[place]:g}, not 0 to {tops[name]}")
    items = state["items"][0]
    if len(set(items)) < len(items):
        raise ValueError("its items are not distinct")
    if "q" in state and not np.array(state["q"])[0, items].all():
        raise ValueError("an item of its was drawn with q = 0")


def _checked_settings(
    source,
    method,
    budget,
    precision,
    rounds,
    tasks,
):
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
        raise ValueError(f"precision is {precision}; it must be a half-width between 0 and 0.5")
    if precision is not None and method != RECOMMENDED:
        raise ValueError(f"{method} draws a number of items that is fixed beforehand: give budget")
    if rounds is not None and (precision is not None or not _takes_rounds(METHODS[method])):
        at_once = f"{method} asks for all items at once, or in rounds of its own"
        why = "with a precision the results say how many" if precision else at_once
        raise ValueError(f"rounds is {rounds}, but {why}; leave rounds out")
    if tasks not in (None, "items", "mean"):
        raise ValueError(f"tasks is {tasks!r}; it must be 'items' or 'mean', or left out")
    if tasks and (precision or METHODS[method].start is None):
        raise ValueError(f"tasks is {tasks!r}: that takes a budget, and the method {RECOMMENDED}")
    rounds = ROUNDS if rounds is None else rounds
    if isinstance(rounds, bool) or not isinstance(rounds, Integral) or rounds < 1:
        raise ValueError(f"rounds is {rounds!r}; it must be a whole number, 1 or more")
    n = None if budget is None else budget_items(budget, source.n_items)
    return {
        "method": method,
        "budget": n,
        "precision": precision and float(precision),
        "rounds": int(rounds),
        "tasks": tasks,
    }


def _takes_rounds(method):
    return method.start is not None and "rounds" in signature(method.start).parameters


def _listed(values):
    return [values] if isinstance(values, str) or np.ndim(values) == 0 else list(values)


def _paired(items, results):
    """Lists of items and of their results; one name or one number is a list of one."""
    names = list(map(str, _listed(items)))
    if isinstance(results, (dict, pd.Series)):
        of_name = pd.Series(results, dtype=object).rename(str)
        if sorted(of_name.index) != sorted(names):
            raise ValueError("the names of the results are not those of the items, each once")
        return names, of_name[names].tolist()
    results = _listed(results)
    if len(names) != len(results):
        raise ValueError(
            f"there are {len(names)} items and {len(results)} results; each item needs its own"
        )
    return names, results


def _checked_result(name, result):
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


FAILED = {"wrong": [0], "right": [1], "open": [0, 1]}  # the scores that failed items count as


def _checked_failed(failed):
    if failed not in FAILED:
        raise ValueError(f"failed is {failed!r}; it must be one of {', '.join(FAILED)}")
    return FAILED[failed]


def _fingerprint(source):
    """A hash of the source matrix and the names of its items."""
    names = "\0".join(source.items.tolist())
    digest = hashlib.sha256(f"{source.values.shape}{names}".encode())
    for row in source.values:
        digest.update(np.where(np.isnan(row), np.nan, row))  # one NaN for all
    return digest.hexdigest()
