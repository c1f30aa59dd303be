"""One target model, evaluated as it runs: which items to run next, and what is known so far."""

import json
import os
from collections.abc import Iterable
from contextlib import ExitStack, contextmanager, suppress
from hashlib import sha256
from inspect import signature
from numbers import Real
from operator import methodcaller
from pathlib import Path
from threading import RLock
from typing import NamedTuple

import numpy as np
import pandas as pd

from ..backend import asarray
from ..designs import Draw, budget_items, checked_core
from ..forecast import misfit, predict, working_model
from ..intervals import ess_of_width
from ..irt import sigmoid
from ..methods import METHODS, RECOMMENDED, OneRound, draws_of
from ..scores import Scores
from ..sequences import SequentialDraws
from .files import named
from .parts import PartEstimate, TaskEstimates, part_estimates, shares, span, tasks_of

try:
    import fcntl
except ImportError:  # on Windows
    fcntl = None

FORMAT = 5  # of the file
CHECKED = ("settings", "results", "draw")  # parts of it that have a checksum
ROUNDS = 10  # of a method that asks in rounds, where nothing else is said
FAILED = {"wrong": [0], "right": [1], "open": [0, 1]}  # the scores that failed items count as

# For a constant rate against the working model, at which a session warns.  On the six benchmarks'
# frontier splits, of sources left out 4% are beyond it after 50 items (6% after 100), of targets 2%
# (1%), of targets with shuffled items 42% (61%): the working model itself adapts to a target that
# the sources say nothing of.
ODDS = 10


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
        source_scores,
        *,
        method=RECOMMENDED,
        budget=None,
        precision=None,
        rounds=None,
        tasks=None,
        reference=None,
        rng,
        path=None,
    ):
        if not isinstance(rng, np.random.Generator):
            raise TypeError("the draw is random: pass rng=numpy.random.default_rng(seed)")
        settings = _settings(source_scores, method, budget, precision, rounds, tasks, reference)
        self._set_up(settings, source_scores)
        n = settings["budget"]
        n_items = source_scores.n_items
        if self._in_rounds:
            drawn = rng.random((1, n_items + 2 * (n or 0)))
        else:
            drawn = draws_of(self._method, self._learned, n, [rng], n_items)
        self._begin(drawn)
        if path is not None:
            self.path = Path(path).resolve()
            self.save()

    def _set_up(self, settings, source):
        self.results = {}  # so far, by item
        self.path = None
        self.origin = {}  # what the caller wants the file to say of the sources, and of the target
        self.reference = settings["reference"]
        self._saved = {}  # {path: what this session wrote there, or read}
        self._settings = settings
        self._method = METHODS[settings["method"]]
        self._in_rounds = self._method.start is not None
        self._learn(source)

    def _learn(self, source):
        self.source = source
        self._fingerprint = _fingerprint(source)
        self._model = _model_of(source, self.reference)
        self._learned = self._model
        if self._method.learn is not METHODS[RECOMMENDED].learn:
            self._learned = self._method.learned(asarray(source.values), self._settings["budget"])

    def _begin(self, drawn):
        """Ask for the first items, by all the randomness there is."""
        self._settings = json.loads(_dumped(self._settings | {"drawn": drawn}))
        self._rounds = self._at()
        self._rounds.next_items()

    def _at(self, state=None):
        """What says which items to run, at its beginning or in a `state` of its."""
        settings = self._settings
        if not self._in_rounds:
            items, reading = settings["drawn"]
            draws = Draw(asarray(items), tuple(map(asarray, reading)))
            rounds = OneRound(self._method, self._learned, draws)
        else:
            start = SequentialDraws if settings["precision"] else self._method.start
            options = {"rounds": settings["rounds"]} if _takes_rounds(start) else {}
            if settings["tasks"]:
                options["strata"] = np.unique(tasks_of(self.source), return_inverse=True)[1]
            if settings["tasks"] == "mean":
                options["weight"] = shares(options["strata"])[-1]
            uniform = np.array(settings["drawn"])
            aim = settings["precision"] or settings["budget"]
            rounds = start(self._learned, uniform, aim, **options)
        if state:
            rounds.restore(state)
        return rounds

    @property
    def done(self):
        """Whether the budget is spent, or the interval is narrow enough."""
        return self._rounds.done

    @property
    def is_random(self):
        """Whether a budget is spent on a random draw, which says of tasks and other models too."""
        is_drawn = hasattr(self._rounds, "q") or self._method.stream == "uniform"
        return self.done and is_drawn and not self._settings["precision"]

    def next_items(self):
        """The names of the items to run next: the same ones until they are recorded."""
        return [name for name in self._asked if name not in self.results]

    @property
    def _asked(self):
        return self._names[self._rounds.observed.size :]

    @property
    def _names(self):
        return self.source.items[self._rounds.items[0]].tolist()

    def record(self, items, results):
        """Take in the results, in [0, 1], of some of the items asked for, in any order.

        A Series or a dict of results is read by the items' names.  None (or NaN) says that an item
        was run and has no result, such as after a timeout: the session goes on, and `estimate` says
        what that means.  It may still get one later.
        Raises ValueError, and takes in nothing, when an item was not asked for, has another result
        already, or a result is not in [0, 1].  Raises OSError when the file can't be written: the
        session holds the results all the same, and the same call may be made again.
        """
        with self._turn(self.path):
            found = dict(self.results)
            asked = set(self._names)
            for name, result in _paired(items, results):
                if name not in asked:
                    raise ValueError(
                        f"item {name} was not asked for; next_items() says which items to run"
                    )
                number = _number(name, result)
                if found.get(name) not in (None, number):
                    raise ValueError(
                        f"item {name} has the result {found[name]:g} already; it can't be {result} "
                        "too: leave it out, or begin another session for another run"
                    )
                found[name] = number
            self.results = found
            self._go_on()

    def _go_on(self):
        """Ask for the next round where one is complete."""
        while self._asked and not self.next_items():
            rounds = self._at(self._rounds.state())  # an interruption leaves what was
            rounds.record(self._scores(self._asked, 0.0))  # a failed item helps no forecast
            if not rounds.done:
                rounds.next_items()
            self._rounds = rounds

    def _scores(self, names, failed):
        """(1, n) the results, and `failed` for those that there are not."""
        return pd.Series(self.results, dtype=float)[names].fillna(failed).to_numpy()[None]

    def update_sources(self, source_scores):
        """Go on with other source scores of the same items, such as those of models that came out.

        They serve from the next round on; what was drawn stays as it was drawn, so nothing is lost
        of the estimate's unbiasedness or of the interval's validity.  The session is then resumed
        with the new scores.  Raises ValueError for a method that has asked for all items at once.
        """
        if not np.array_equal(source_scores.items, self.source.items):
            raise ValueError("the new source scores must be of the same items in the same order")
        if not self._in_rounds:
            raise ValueError("this method has drawn all its items by the sources it began with")
        with self._turn(self.path):
            self._learn(source_scores)
            self._rounds = self._at(self._rounds.state())

    def estimate(self, failed="wrong"):
        """The SessionEstimate from all rounds that are complete.

        Items without a result count as `failed` says: "wrong", "right", or "open": the value is
        half way between these two and the interval spans both.  Each is exact for the items drawn:
        how they were drawn never depends on what is read into those that failed.
        """
        if failed not in FAILED:
            raise ValueError(f"failed is {failed!r}; it must be one of {', '.join(FAILED)}")
        found = np.array([self._found(score) for score in (0, 1)])
        readings = found[FAILED[failed]]
        value, _, _, ess, imputed = readings.mean(axis=0).tolist()
        lower = readings[:, 1].min().item()
        upper = readings[:, 2].max().item()
        lost = [name for name, result in self.results.items() if result is None]
        warnings = tuple(self._warnings(lower, upper, lost, failed))
        return SessionEstimate(
            value,
            lower,
            upper,
            len(self.results),
            ess,
            self._interval(lower),
            imputed,
            warnings,
            len(lost),
            tuple(found[:, 0].tolist()),
        )

    def _interval(self, lower):
        if self._settings["precision"]:
            return (
                "95% confidence sequence by betting: it holds at every look, and whenever the "
                "evaluation is stopped"
            )
        if not self.done:
            return (
                "certain bounds (no result is known of the items not yet run): a fixed budget has "
                "its interval at its end"
            )
        if np.isnan(lower):
            return f"no interval: {self._method.label} gives none"
        if self._in_rounds:
            return (
                "95% score interval, made for a number of items that was fixed before the first "
                "result"
            )
        return (
            f"95% interval of {self._method.label}: it holds if these items were drawn uniformly "
            "at random"
        )

    def _found(self, failed):
        """The value, lower, upper, ess, and the mean with forecasts."""
        rounds = self._read_as(failed)
        imputed = rounds.imputed()[0]
        n = rounds.observed.size
        n_items = self.source.n_items
        if self._settings["precision"]:
            sequence = rounds.sequence
            value = sequence.value[0]
            plain = value * (1 - value) * (1 / max(n, 1) - 1 / n_items)
            ess = (plain or np.nan) / sequence.variance[0]
            return value, sequence.lower[0], sequence.upper[0], ess, imputed
        if self.done:
            value, lower, upper = (
                np.nan if end is None else end[0] for end in self._method.read(rounds)
            )
            return value, lower, upper, ess_of_width(value, upper - lower, n, n_items), imputed
        if np.isnan(imputed):  # of items drawn at once nothing is known before all is
            imputed = sigmoid(self._model.offset).mean()
        seen = rounds.observed.sum()
        return imputed, seen / n_items, (seen + n_items - n) / n_items, np.nan, imputed

    def _read_as(self, failed):
        """The rounds, with the score `failed` for items that have no result."""
        rounds = self._rounds
        t = rounds.observed.size
        observed = self._scores(self._names[:t], failed)
        if np.array_equal(observed, rounds.observed):
            return rounds
        if not self._settings["precision"]:
            return self._at(rounds.state() | {"observed": observed})
        read = self._at()
        while read.observed.size < t:  # other bets, on what was drawn
            n = read.observed.size
            read.observed = rounds.observed[:, :n]
            read.next_items()
            read.observed = observed[:, :n]
            read.record(observed[:, n : read.items.size])
        if not np.array_equal(read.items, rounds.items[:, :t]):
            raise ValueError("the sources have changed on the way: what failed counts as wrong")
        return read

    def estimate_by(self, by=None, failed="wrong"):
        """The TaskEstimates: of each task (see `tasks_of`), of their mean, and over all items.

        By `part_estimates` from the one draw: unbiased for each, and so for both averages.
        Raises ValueError before the budget is spent, and for a method whose draw is not random.
        """
        names, of_item = np.unique(tasks_of(self.source, by), return_inverse=True)
        rounds = self._rounds
        has_q = hasattr(rounds, "q")
        if not self.is_random:
            raise ValueError("estimates by task take a random draw, and a budget that is spent")
        items = rounds.items[0]
        n_items = self.source.n_items
        q = rounds.q[0] if has_q else np.full(n_items, len(items) / n_items)
        g = rounds.g[0] if has_q and rounds.one_each else sigmoid(self._model.offset)
        whole = PartEstimate(*self.estimate(failed)[:4], n_items)
        readings = [
            part_estimates(shares(of_item), g, q, items, self._scores(self._names, score)[0])
            for score in FAILED[failed]
        ]
        *parts, mean = map(span, zip(*readings))
        return TaskEstimates(dict(zip(names.tolist(), parts)), mean, whole)

    def _warnings(self, lower, upper, lost, failed):
        observed = self._rounds.observed
        t = observed.size
        n = self._settings["budget"]
        best = self.source.accuracy.max()
        worst = self.source.accuracy.min()
        if lost:
            how = "left open" if failed == "open" else f"counted as {failed}"
            yield (
                f"{len(lost)} of the {len(self.results)} items run have no result; they are {how}, "
                f"until they are run again, and recorded with one: {named(lost)}"
            )
        n_tasks = len({name.rpartition(":")[0] for name in self.source.items.tolist()})
        if n_tasks > 1:
            gives = ": --by task (estimate_by) gives this, and each task's" * self.is_random
            yield f"the mean over all items is not that of the {n_tasks} tasks{gives}"
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
        if misfit(self._model, self._rounds.items[:, :t], observed)[0] > np.log(ODDS):
            yield (
                "the target looks unlike every source: a constant rate forecasts its results "
                "better than the sources do; an interval holds all the same, but may be no "
                "narrower than that of a random sample"
            )
        seen = self.source.values[:, self._rounds.items[0, :t]]
        is_one = self.source.models == self.origin.get("model")
        if t >= 20 and pd.DataFrame(seen).duplicated(keep=False).mean() < 0.05:  # few share theirs
            is_one |= (seen == observed).all(axis=1)
        if is_one.any():
            yield (
                f"the target has the name or all the results of {named(self.source.models[is_one])}"
                ", a source: if it is the same model, leave that out, for the sources say more of "
                "it than of a new one"
            )
        if t >= 10 and np.ptp(observed) == 0:
            yield (
                f"all {t} results are {observed[0, 0]:g}: "
                "the interval says how far that may be luck"
            )

    def save(self, path=None):
        """Write the session to `path` (default: its own), whole or not at all.

        What another process has recorded there meanwhile is taken in.  Raises ValueError when the
        file is another's.
        """
        path = path or self.path
        if path is None:
            raise ValueError("the session has no file of its own: say where, save(path)")
        with self._turn(Path(path).resolve()):
            pass

    @contextmanager
    def _turn(self, path):
        """What is done within starts from what the file holds by now, and is saved in it.

        No other thread, nor process where the system can lock a folder, has its turn meanwhile.
        """
        with _THREADS, ExitStack() as stack:
            if path is None:
                yield
                return
            if fcntl:
                folder = os.open(path.parent, os.O_RDONLY)
                stack.callback(os.close, folder)
                with suppress(OSError):  # some disks have no locks
                    fcntl.flock(folder, fcntl.LOCK_EX)
            if path.exists():
                self._catch_up(path)
            try:
                yield
            finally:  # Ctrl-C may come while the next items are chosen
                text = _dumped(self.to_dict())
                write_text(path, text)
                self._saved[path] = text.encode()

    def _catch_up(self, path):
        """Go on from what another process has saved."""
        if path not in self._saved:
            raise ValueError(
                f"{path} exists already; EvaluationSession.resume goes on with it, or delete it"
            )
        saved = path.read_bytes()
        if saved == self._saved[path]:
            return
        content = _content(path, saved, self.source)
        if content["settings"] != self._settings:
            raise ValueError(f"{path} holds another session by now; save(path) in another file")
        self._take(content)

    def _take(self, content):
        """Go on from what a file holds."""
        self.results = content["results"]
        self._rounds = self._at(content["draw"])
        self._go_on()  # which an interruption may have stopped

    def to_dict(self):
        """What the session's file holds."""
        content = {
            "format": FORMAT,
            "settings": self._settings,
            "source": self._fingerprint,
            "results": self.results,
            "draw": self._rounds.state(),
            "sources": self.origin,
        }
        return content | {"checksums": {name: _checksum(content[name]) for name in CHECKED}}

    @classmethod
    def resume(cls, path, source_scores):
        """The session saved at `path`, which goes on being saved there and asks for the same items.

        Raises ValueError when the file is not a session's, or `source_scores` are not those that it
        began with.
        """
        saved = Path(path).read_bytes()
        content = _content(path, saved, source_scores)
        session = cls.__new__(cls)
        session._set_up(content["settings"], source_scores)
        session._take(content)
        session.origin = content.get("sources") or {}
        session.path = Path(path).resolve()
        session._saved = {session.path: saved}
        return session


def one_round(source, items):
    """A session of items that were drawn uniformly at random without one, in order of drawing."""
    rng = np.random.default_rng(0)  # whose draw is not used
    session = EvaluationSession(source, method="aipw_cross_fitted", budget=len(items), rng=rng)
    core = pd.Index(source.items).get_indexer(items)[None]
    checked_core(core, len(items), source.n_items, "the list")
    session._begin(Draw(core))
    return session


def write_text(path, text):
    """Write a text to `path`, whole or not at all; raises OSError."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.part")  # one that was left by a kill is replaced
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _model_of(source, reference):
    """The working model of a target, which may be compared with a `reference` among the sources.

    With r the reference's scores less the forecasts that the others' model makes of them, given
    them all, logit P = x z + offset + delta r, delta ~ N(2, 2^2): how far the target is right where
    the reference is, beyond what the others say.
    """
    if reference is None:
        return working_model(source.values)
    is_known = source.models == reference
    known = source.values[is_known]
    if known.size == 0 or np.isnan(known).any():
        raise ValueError(
            f"reference is {reference!r}: it must be one of the source models, and lack no score"
        )
    model = working_model(source.select(models=~is_known).values)
    r = (known - predict(model, np.arange(known.size)[None], known))[0]
    x = np.column_stack([model.x, 2 * r])
    return model._replace(x=x, offset=model.offset + 2 * r)


_THREADS = RLock()


# --- checks ---


def _settings(source, method, budget, precision, rounds, tasks, reference):
    if not isinstance(source, Scores):
        raise TypeError("source_scores must be Scores, which name their items")
    if method not in METHODS:
        raise ValueError(f"method is {method!r}; it must be one of {', '.join(METHODS)}")
    if (budget is None) == (precision is None):
        raise ValueError(
            "give either budget, a number of items, or precision, the half-width at which to stop"
        )
    is_number = isinstance(precision, Real | None)
    if precision is not None and not (is_number and 0 < precision < 0.5):
        raise ValueError(f"precision is {precision!r}; it must be a half-width between 0 and 0.5")
    if rounds is True or rounds is not None and rounds not in range(1, 1_000_000):
        raise ValueError(f"rounds is {rounds!r}; it must be a whole number, 1 or more")
    if tasks not in (None, "items", "mean"):
        raise ValueError(f"tasks is {tasks!r}; it must be 'items' or 'mean', or left out")
    options = {"rounds": rounds, "tasks": tasks, "reference": reference}
    why = "with a precision the results say how many items" if precision else None
    start = METHODS[method].start
    if not _takes_rounds(start):
        options["precision"] = precision
        asks = "in rounds of its own" if start else "for all items at once"
        why = f"{method} asks {asks}"
    for name, value in options.items():
        if why and value is not None:
            raise ValueError(f"{name} is {value!r}, but {why}; leave {name} out")
    return {
        "method": method,
        "budget": None if budget is None else budget_items(budget, source.n_items),
        "precision": precision,
        "rounds": rounds or ROUNDS,
        "tasks": tasks,
        "reference": reference,
    }


def _takes_rounds(start):
    return start and "rounds" in signature(start).parameters


def _listed(values):
    """Several values as a list; a text, a number or nothing is one value."""
    is_one = isinstance(values, str) or not isinstance(values, Iterable)
    return [values] if is_one or getattr(values, "ndim", 1) == 0 else list(values)


def _paired(items, results):
    """Pairs of an item and its result; one name or one number is a list of one."""
    names = [str(item) for item in _listed(items)]
    if hasattr(results, "keys"):
        of_name = {str(name): results[name] for name in results.keys()}
        if of_name.keys() != set(names):
            raise ValueError("the names of the results are not those of the items, each once")
        return of_name.items()
    results = _listed(results)
    if len(names) != len(results):
        raise ValueError(f"there are {len(names)} items and {len(results)} results")
    return zip(names, results)


def _number(name, result):
    """The score, or None for an item that has failed."""
    if result is np.ma.masked or pd.isna(result) is True:
        return None
    try:
        number = float(result)
    except (TypeError, ValueError, OverflowError):
        number = np.inf
    if not 0 <= number <= 1:
        raise ValueError(
            f"the result of item {name} is {result!r}; it must be a number in [0, 1], or None"
        )
    return number


def _content(path, saved, source):
    """What the file of a session on these sources holds, when it is as it was saved."""
    try:
        content = json.loads(saved)
        if content["format"] == "one round":  # a list of items only, in order of drawing
            session = one_round(source, content["items"])
            return session.to_dict() | {"sources": content["sources"]}
        if content["format"] != FORMAT:
            raise ValueError(
                f"its format, {content['format']}, is of another version: finish it with that"
            )
        for name in CHECKED:
            if _checksum(content[name]) != content["checksums"][name]:
                raise ValueError(
                    f"its {name} are not what was saved; take a copy of the file from before"
                )
        if content["source"] != _fingerprint(source):
            raise ValueError("it was begun with other source scores; give the same ones")
    except (KeyError, RecursionError, TypeError, ValueError) as error:
        lacks = "it lacks " if isinstance(error, KeyError) else ""
        raise ValueError(f"{path} does not hold a session to go on with: {lacks}{error}") from error
    return content


def _dumped(content):
    return json.dumps(content, default=methodcaller("tolist"))


def _checksum(part):
    return sha256(_dumped(part).encode()).hexdigest()


def _fingerprint(source):
    """A hash of the source matrix and the names of its items."""
    digest = sha256(np.ascontiguousarray(source.values))
    digest.update(str(source.items.tolist()).encode())
    return digest.hexdigest()
