"""The protocol: split the models, draw core sets, estimate, record."""

import zlib
from dataclasses import dataclass

import joblib
import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from .backend import asarray
from .designs import budget_items
from .methods import METHODS, begin
from .scores import Scores

SPLITS = ("interpolation", "extrapolation", "chronological")
CHUNK = 25  # trials per task; fixed, so that the number of workers can't change a bit of the result


def split_models(scores, split, rng=None):
    """The source and the target models of a split: two Scores.

    "interpolation": a random int(M/4) are targets, the rest sources; "extrapolation", the frontier:
    of the models in order of accuracy the lowest int(M/2) are sources, the highest int(0.3 M)
    targets; "chronological": the same of the models in order of their dates. Models with accuracy 0
    are left out first (Zhang, Dorner & Hardt 2025).
    Raises ValueError for another split, without dates where they are needed, and with too few
    models; TypeError when the random split gets no Generator.
    """
    if split not in SPLITS:
        choices = f"use one of {', '.join(SPLITS)}, or give source= and target="
        raise ValueError(f"split is {split!r}; {choices}")
    right = scores.accuracy > 0
    n_models = int(right.sum())
    if n_models == 0:
        raise ValueError(f"all models of {scores.name} score 0: there is nothing to compare")
    if n_models < 4:
        found = f"{scores.name} has {n_models} models with an accuracy above 0"
        raise ValueError(f"{found}; a split takes at least 4")
    scores = scores.select(models=right)
    if split == "interpolation":
        if not isinstance(rng, np.random.Generator):
            raise TypeError(
                "the interpolation split is random: pass rng=numpy.random.default_rng(seed)"
            )
        order = rng.permutation(n_models)
        n_targets = n_models // 4
        n_sources = n_models - n_targets
    else:
        strength = scores.accuracy if split == "extrapolation" else scores.dates
        if strength is None:
            raise ValueError(
                f"{scores.name} has neither dates nor an order of release; give Scores(dates=...)"
            )
        order = np.argsort(strength, kind="stable")
        n_targets = int(0.3 * n_models)
        n_sources = n_models // 2
    targets = order[n_models - n_targets :]
    return scores.select(models=order[:n_sources]), scores.select(models=targets)


# --- the experiment -------------------------------------------------------------------------------


def run_experiment(
    scores=None,
    methods=("random_sampling", "aipw", "aipw_cross_fitted"),
    split="extrapolation",
    budget=50,
    trials=100,
    seed=0,
    *,
    source=None,
    target=None,
    n_jobs=1,
    progress=True,
):
    """Evaluate the target models `trials` times by each method: a tidy data frame of records.

    One row per method, trial and target model: benchmark, method, split, budget, trial, model,
    truth, estimate, lower, upper (NaN where a method has no interval). `budget` is a number of
    items, or a fraction of N when it is a float below 1. `source` and `target` (Scores of the same
    items) replace `scores` and `split`. Methods with the same draw and stream see the same core
    sets. The same seed gives the same records whatever `n_jobs` and the joblib backend are.
    Raises ValueError when a method, split or budget is not there to be had, TypeError for scores
    that are no Scores.
    """
    experiment = _checked(scores, methods, split, budget, seed, source, target)
    if trials < 1:
        raise ValueError(f"trials is {trials}; at least one is needed")
    chunks = [range(trials)[start : start + CHUNK] for start in range(0, trials, CHUNK)]
    tasks = (joblib.delayed(experiment.run)(chunk) for chunk in chunks)
    runs = joblib.Parallel(n_jobs=n_jobs, return_as="generator")(tasks)
    name = f"{experiment.benchmark}, {experiment.split}"
    parts = {name: [] for name in experiment.methods}  # trials stay in order
    with threadpool_limits(1):  # here too: threads of one process share the limit
        for run in tqdm(runs, name, len(chunks), disable=not progress, leave=False):
            for method, records in run:
                parts[method].append(records)
    return pd.concat(sum(parts.values(), []), ignore_index=True)


@dataclass(frozen=True)
class _Experiment:
    """What every chunk of trials needs to know; it travels to the workers."""

    benchmark: str
    methods: dict  # by name: a worker knows no method that was added to the table
    split: str
    n: int
    seed: int
    scores: Scores
    pair: tuple  # the source and target Scores when every trial has the same, else empty

    def rng(self, trial, purpose):
        """The stream of one purpose in one trial: no draw depends on what ran before."""
        words = (self.benchmark, self.split, purpose)
        return np.random.default_rng([self.seed, trial, *(zlib.crc32(w.encode()) for w in words)])

    def run(self, trials):
        """The records of some trials: (method, data frame), one per method and split."""
        with threadpool_limits(1):  # the systems are small: threads only get into each other's way
            if self.pair:
                return self._run_split(*self.pair, trials)
            records = []
            for trial in trials:
                pair = split_models(self.scores, self.split, self.rng(trial, "split"))
                records += self._run_split(*pair, [trial])
            return records

    def _run_split(self, source, target, trials):
        values = asarray(source.values)
        n_targets, n_items = target.values.shape
        rows = np.tile(np.arange(n_targets), len(trials))
        learned = {}
        drawn = {}
        records = []
        for name, method in self.methods.items():
            if method.learn not in learned:
                learned[method.learn] = method.learn(values, self.n)
            rngs = [self.rng(trial, method.stream) for trial in trials]
            given = learned[method.learn], self.n, rngs, n_items, n_targets
            rounds = begin(method, *given, drawn)
            while not rounds.done:
                rounds.record(target.values[rows[:, None], rounds.next_items()])
            estimate = method.read(rounds)
            columns = {
                "benchmark": self.benchmark,
                "method": name,
                "split": self.split,
                "budget": self.n,
                "trial": np.repeat(trials, n_targets),
                "model": target.models[rows],
                "truth": target.accuracy[rows],
                "estimate": estimate.value,
                "lower": np.nan if estimate.lower is None else estimate.lower,
                "upper": np.nan if estimate.upper is None else estimate.upper,
            }
            records.append((name, pd.DataFrame(columns)))
        return records


def _checked(scores, methods, split, budget, seed, source, target):
    """The experiment of usable arguments."""
    if (scores is None) == (source is None) or (source is None) != (target is None):
        raise ValueError("give either scores (and a split), or both source and target")
    for given in (scores, source, target):
        if not isinstance(given, Scores | None):
            raise TypeError(f"{type(given).__name__} is given for scores; use Scores(values)")
    chosen = {name: METHODS.get(name) for name in methods}
    if not chosen or None in chosen.values():
        known = ", ".join(METHODS)
        raise ValueError(f"no such methods: {methods!r}; methods is a list of some of {known}")
    pair = ()
    if scores is None:
        scores = source
        split = "given"
        pair = (source, target)
        if not np.array_equal(source.items, target.items):
            raise ValueError("source and target must have the same items in the same order")
    elif split != "interpolation":
        pair = split_models(scores, split)
    n = budget_items(budget, scores.n_items)
    return _Experiment(scores.name, chosen, split, n, seed, scores, pair)
