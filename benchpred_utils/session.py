"""One target model, evaluated as it runs: which items to run next, what is known so far, and how far to trust it."""

import hashlib
import json
import os
from numbers import Integral
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .adaptive import SequentialStratification, predict, working_model
from .experiments import budget_items
from .inference import score_interval
from .scores import Scores
from .sequences import BettingSequence

__all__ = ["EvaluationSession", "SequentialDraws", "SessionEstimate", "misfit"]

ROUNDS = 10  # of a fixed budget, where nothing else is said

# For a constant rate against the working model, at which a session warns.  On the six benchmarks' frontier splits, of
# sources left out 4% are beyond it after 50 items (6% after 100), of targets 2% (1%), of targets with shuffled items
# 42% (61%): the working model itself adapts to a target that the sources say nothing of.
ODDS = 10


class SequentialDraws:
    """Items drawn one after the other until an anytime-valid interval is narrow enough, for B targets at once.

    Every item left is drawn with probability q proportional to sqrt(g (1 - g)) + floor, g the working model's forecast
    from all scores so far.  e_t = (the scores seen + sum of g over the rest + (s_I - g_I)/q_I) / N has expectation s(D)
    whatever the past (Horvitz & Thompson's estimator of the rest's residuals), and is what the gamblers bet on.
    The items of one round share g; rounds grow with the number of items, 1 + t/40.
    """

    def __init__(self, source, uniform, half_width, floor=0.3, level=0.95, model=None):
        """`uniform` (B, N): independent uniform numbers, all the randomness there is."""
        self.model, self.floor = working_model(source) if model is None else model, floor
        self.sequence = BettingSequence(len(uniform), half_width, level)
        self.uniform, self.left = uniform, np.ones(uniform.shape, dtype=bool)
        self.g = self.weight = np.zeros(uniform.shape)
        self.items, self.observed = (
            np.zeros((len(uniform), 0), dtype=int),
            np.zeros((len(uniform), 0)),
        )

    @property
    def finished(self):
        """(B,) whether each interval is narrow enough; always when all items have been seen."""
        return (self.sequence.upper - self.sequence.lower) / 2 <= self.sequence.half_width

    @property
    def done(self):
        """Whether all are finished."""
        return bool(self.finished.all())

    def next_items(self):
        """The items (B, r) of the next round, whose scores must then be given to `record`."""
        t, n_items = self.items.shape[1], self.left.shape[1]
        self.g = predict(self.model, self.items, self.observed)
        self.weight = np.sqrt(self.g * (1 - self.g)) + self.floor
        left, drawn = self.left.copy(), []
        for u in self.uniform[:, t : min(t + 1 + t // 40, n_items)].T:
            upto = np.cumsum(left * self.weight, axis=1)
            drawn.append((upto > u[:, None] * upto[:, -1:]).argmax(axis=1))
            np.put_along_axis(left, drawn[-1][:, None], False, axis=1)
        self.items = np.concatenate([self.items, np.stack(drawn, axis=1)], axis=1)
        return self.items[:, t:]

    def record(self, observed):
        """The scores (B, r) of the items asked for last."""
        for item, score in zip(self.items[:, self.observed.shape[1] :].T, observed.T):
            self._bet(item[:, None], score)
        n_items, seen = self.left.shape[1], self.observed.sum(axis=1)
        self.sequence.look(seen / n_items, (seen + self.left.sum(axis=1)) / n_items)

    def _bet(self, item, score):
        g, left, n_items = self.g, self.left, self.left.shape[1]
        share = (
            left * ((left * self.weight).sum(axis=1, keepdims=True) / self.weight) / n_items
        )  # 1/(q N)
        forecast = (self.observed.sum(axis=1) + (g * left).sum(axis=1)) / n_items
        variance = (g * (1 - g) * share).sum(axis=1) / n_items
        of = lambda values: np.take_along_axis(values, item, axis=1)[:, 0]
        self.sequence.bet(
            forecast,
            (score - of(g)) * of(share),
            variance,
            (-g * share).min(axis=1),
            ((1 - g) * share).max(axis=1),
        )
        self.observed = np.concatenate([self.observed, score[:, None]], axis=1)
        np.put_along_axis(left, item, False, axis=1)


# --- the session ------------------------------------------------------------------------------------------------------


class SessionEstimate(NamedTuple):
    """What a session knows so far.  `value` is raw: an unbiased one may leave [0, 1], and clipping it would bias it."""

    value: float
    lower: float
    upper: float
    n: int  # results recorded
    ess: float  # estimated: variance of a plain random sample of n items over that of `value`; NaN where unknown
    interval: str  # which interval this is, and when it holds
    warnings: tuple  # of sentences


FIXED = "95% score interval, made for a number of items that was fixed before the first result"
ANYTIME = "95% confidence sequence by betting: it holds at every look, and whenever the evaluation is stopped"
CERTAIN = "certain bounds (no result is known of the items not yet run): a fixed budget has its interval at its end"


class EvaluationSession:
    """The evaluation of one target model: items to run, results as they come in, an honest interval, a file.

    With ``budget=n`` (items, or a fraction of them below 1) the items are those of `SequentialStratification`, and the
    estimate is exactly unbiased at the end; with ``precision=h`` those of `SequentialDraws`, until the half-width of an
    anytime-valid interval is at most h.  A budget is asked for in `rounds` portions (10; at most one per item): the
    fewer, the fewer runs of a harness, and the less is learned from the results on the way; unbiased with any number.
    ``rng`` is a numpy Generator.  With a `path` every change is saved there.
    Raises TypeError or ValueError, naming the culprit, when an argument can't be used.
    """

    def __init__(self, source_scores, *, budget=None, precision=None, rounds=None, rng, path=None):
        if not isinstance(rng, np.random.Generator):
            raise TypeError("the draw is random: pass rng=numpy.random.default_rng(seed)")
        settings = _checked_settings(source_scores, budget, precision, rounds)
        if path is not None and Path(path).exists():
            raise ValueError(
                f"{path} exists already; EvaluationSession.resume goes on with it, or delete it first"
            )
        self._begin(source_scores, settings, rng.bit_generator.state, rng, path)
        self._ask()
        self._autosave()

    def _begin(self, source, settings, state, rng, path):
        self.source, self.path = source, path
        self._settings, self._rng_state = settings, state
        self._number = {name: i for i, name in enumerate(source.items.tolist())}
        self._results, self._asked, self._source_hash = {}, [], _fingerprint(source)
        n_items, n = source.n_items, settings["budget"]
        if n:
            uniform, rounds = (
                rng.random((1, n_items + 2 * n)),
                settings.get("rounds", ROUNDS),
            )  # older files have none
            self._draw = SequentialStratification(source.values, uniform, n, rounds)
        else:
            self._draw = SequentialDraws(
                source.values, rng.random((1, n_items)), settings["precision"]
            )

    @property
    def done(self):
        """Whether the budget is spent, or the interval is narrow enough."""
        return self._draw.done

    def next_items(self):
        """The names of the items to run next (a list; empty when done): the same ones until they are recorded."""
        return [name for name in self._asked if name not in self._results]

    def record(self, items, results):
        """Take in the results, in [0, 1], of some of the items asked for, in any order.

        Raises ValueError, and takes in nothing, when an item was not asked for, has another result already, or a result
        is not in [0, 1].  Raises OSError when the file can't be written: the session holds the results all the same,
        and the same call may be made again.
        """
        self._results |= self._checked_results(items, results)
        if self._asked and not self.next_items():
            self._draw.record(np.array([[self._results[name] for name in self._asked]]))
            self._ask()
        self._autosave()

    def update_sources(self, source_scores):
        """Go on with other source scores of the same items, such as those of models that came out since.

        They serve from the next round on; what was drawn stays as it was drawn, so nothing is lost of the estimate's
        unbiasedness or of the interval's validity.  The session is then resumed with the new scores.
        """
        if not isinstance(source_scores, Scores) or not np.array_equal(
            source_scores.items, self.source.items
        ):
            raise ValueError(
                "the new source scores must be Scores of the same items in the same order"
            )
        self.source, self._source_hash = source_scores, _fingerprint(source_scores)
        self._draw.model = working_model(source_scores.values)
        self._autosave()

    def _ask(self):
        chosen = [] if self.done else self._draw.next_items()[0]
        self._asked = self.source.items[chosen].tolist() if len(chosen) else []

    def _checked_results(self, items, results):
        items, results = _listed(items), _listed(results)
        if len(items) != len(results):
            raise ValueError(
                f"there are {len(items)} items and {len(results)} results; one result per item is needed"
            )
        new = {}
        for name, result in zip(map(str, items), results):
            if name not in self._results and name not in self._asked:
                known = (
                    "was not asked for" if name in self._number else "is not in the source scores"
                )
                raise ValueError(f"item {name} {known}; next_items() says which items to run")
            new_result = _checked_result(name, result)
            before = {**self._results, **new}.get(name, new_result)
            if before != new_result:
                raise ValueError(
                    f"item {name} has the result {before:g} already; it can't be {new_result:g} too"
                )
            new[name] = new_result
        return new

    # --- what is known so far

    def estimate(self):
        """The SessionEstimate from all rounds that are complete."""
        value, lower, upper, ess, kind = self._interval()
        warnings = tuple(_warnings(self.source, self._draw, lower, upper, kind))
        return SessionEstimate(
            *map(float, (value, lower, upper)), len(self._results), float(ess), kind, warnings
        )

    def _interval(self):
        draw, n_items = self._draw, self.source.n_items
        items, observed = _complete(draw)
        if self._settings["precision"]:
            s = draw.sequence
            return (
                s.value[0],
                s.lower[0],
                s.upper[0],
                _ess(s.value[0], s.variance[0], observed.size, n_items),
                ANYTIME,
            )
        if draw.done:
            value, lower, upper = (end[0] for end in draw.estimate())
            return value, lower, upper, ess_of_width(value, upper - lower, draw.n, n_items), FIXED
        seen, unseen = observed.sum(), np.setdiff1d(np.arange(n_items), items)
        guess = (seen + predict(draw.model, items, observed)[0, unseen].sum()) / n_items
        return guess, seen / n_items, (seen + len(unseen)) / n_items, np.nan, CERTAIN

    # --- the file

    def save(self, path=None):
        """Write the session to `path` (default: its own), whole or not at all: a new file takes the old one's place."""
        write_json(self.path if path is None else path, self.content())

    def content(self):
        """What the session's file holds: a dict for `write_json`."""
        return {
            "format": 1,
            "settings": self._settings,
            "source": self._source_hash,
            "rng": self._rng_state,
            "results": self._results,
            "asked": self._asked,
            "draw": _state(self._draw),
        }

    def _autosave(self):
        if self.path is not None:
            self.save()

    @classmethod
    def resume(cls, path, source_scores):
        """The session saved at `path`, which goes on being saved there; it asks for the very same next items.

        Raises ValueError when the file is not a session's or `source_scores` are not those that it began with.
        """
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
            known = content["format"] == 1
        except (ValueError, KeyError, TypeError):
            known = False
        if not known:
            raise ValueError(f"{path} does not hold a session that this version can read")
        if content["source"] != _fingerprint(source_scores):
            raise ValueError(
                f"{path} was begun with other source scores; a session goes on with the same ones only"
            )
        session = cls.__new__(cls)
        session._begin(
            source_scores, content["settings"], content["rng"], _generator(content["rng"]), path
        )
        session._results, session._asked = content["results"], content["asked"]
        _restore(session._draw, content["draw"])
        return session


def write_json(path, content):
    """Write `content`, which may hold arrays, to `path`, whole or not at all; raises OSError."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            json.dump(content, file, default=lambda array: array.tolist())
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


# --- checks -----------------------------------------------------------------------------------------------------------


def _checked_settings(source_scores, budget, precision, rounds):
    if not isinstance(source_scores, Scores):
        raise TypeError(
            f"source_scores must be Scores, which name their items, not {type(source_scores).__name__}"
        )
    if (budget is None) == (precision is None):
        raise ValueError(
            "give either budget, a number of items, or precision, the half-width at which to stop"
        )
    if precision is not None and not 0 < precision < 0.5:
        raise ValueError(
            f"precision is {precision}; it must be a half-width between 0 and 0.5, such as 0.03"
        )
    if precision is not None:
        if rounds is not None:
            raise ValueError(
                f"rounds is {rounds}, but with a precision the results say how many; give rounds a budget"
            )
        return {"budget": None, "precision": float(precision)}
    rounds = ROUNDS if rounds is None else rounds
    if isinstance(rounds, bool) or not isinstance(rounds, Integral) or rounds < 1:
        raise ValueError(f"rounds is {rounds!r}; it must be a whole number, 1 or more")
    return {
        "budget": budget_items(budget, source_scores.n_items),
        "precision": None,
        "rounds": int(rounds),
    }


def _listed(values):
    """A list of `values`; one name or one number is a list of one."""
    return [values] if isinstance(values, str) or np.ndim(values) == 0 else list(values)


def _checked_result(name, result):
    try:
        number = float(result)
    except (TypeError, ValueError):
        number = np.nan
    if not 0 <= number <= 1:
        raise ValueError(f"the result of item {name} is {result!r}; it must be a number in [0, 1]")
    return number


# --- state ------------------------------------------------------------------------------------------------------------


def _fingerprint(source):
    """A hash of the source matrix and the names of its items."""
    found = hashlib.sha256(
        repr(source.values.shape).encode() + "\0".join(source.items.tolist()).encode()
    )
    found.update(np.ascontiguousarray(source.values).tobytes())
    return found.hexdigest()


def _generator(state):
    bits = getattr(np.random, state["bit_generator"])()
    bits.state = state
    return np.random.Generator(bits)


def _state(draw):
    """What a draw has learned, as nested dicts of arrays and numbers: not the model, which the sources give again."""
    kept = {
        name: value
        for name, value in vars(draw).items()
        if isinstance(value, (np.ndarray, int, float))
    }
    return kept | ({"sequence": _state(draw.sequence)} if hasattr(draw, "sequence") else {})


def _restore(draw, state):
    """Put a saved state into a draw that has just begun."""
    for name, value in state.items():
        now = getattr(draw, name)
        if name == "sequence":
            _restore(now, value)
        elif not isinstance(now, np.ndarray):
            setattr(draw, name, value)
        elif np.size(value):  # an empty array is as it was at the beginning
            setattr(draw, name, np.array(value, dtype=now.dtype))


# --- estimates --------------------------------------------------------------------------------------------------------


def _complete(draw):
    """The items and scores (B, t) of all rounds that are complete."""
    return draw.items[:, : draw.observed.shape[1]], draw.observed


def _ess(value, variance, n, n_items):
    """The variance of the mean of n random items, where the accuracy is `value`, over `variance`."""
    plain = value * (1 - value) * (1 / n - 1 / n_items) if n else 0.0
    return plain / variance if plain > 0 and variance > 0 else np.nan


def ess_of_width(value, width, n, n_items):
    """The same from the width of a score interval: the squared ratio to that of a plain sample with this mean."""
    mean, plain = np.clip(value, 0.0, 1.0), (1 - n / n_items) / n
    lower, upper = score_interval(mean, plain * mean * (1 - mean), mean, plain, max(n - 1, 1))
    return ((upper - lower) / width) ** 2 if 1e-9 < width < 1 else np.nan


def misfit(model, items, observed, start=10, step=10):
    """(B,) log likelihood of a constant rate minus that of the working model, each score forecast from those before.

    The first `start` scores are left to the working model to find the target's level.  Both are probabilities of the
    same scores, so that where the working model is true it exceeds log c with probability 1/c at most (Ville).
    """
    n, loss = observed.shape[1], np.zeros(len(observed))
    right = np.cumsum(observed, axis=1) - observed
    constant = (right + 0.5) / (np.arange(n) + 1)
    likelihood = lambda s, p: (s * np.log(p) + (1 - s) * np.log(1 - p)).sum(axis=1)
    for t in range(start, n, step):
        now = slice(t, t + step)
        g = predict(model, items[:, :t], observed[:, :t])
        g = np.clip(np.take_along_axis(g, items[:, now], axis=1), 1e-6, 1 - 1e-6)
        loss += likelihood(observed[:, now], constant[:, now]) - likelihood(observed[:, now], g)
    return loss


def _warnings(source, draw, lower, upper, kind):
    items, observed = _complete(draw)
    best, worst = source.accuracy.max(), source.accuracy.min()
    if kind == CERTAIN:
        yield "the budget is not spent yet: the value leans on the sources, and only the bounds are certain"
    if lower > best:
        yield f"the target is better than every source (the best has {best:.3f}): a frontier no source has seen"
    if upper < worst:
        yield f"the target is worse than every source (the worst has {worst:.3f})"
    if misfit(draw.model, items, observed)[0] > np.log(ODDS):
        yield (
            "the target looks unlike every source: a constant rate forecasts its results better than the sources do; "
            "the interval holds all the same, but may be no narrower than that of a random sample"
        )
    if observed.size >= 10 and observed.min() == observed.max():
        yield f"all {observed.size} results are {observed[0, 0]:g}: the interval says how far that may be luck"
