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
from .methods import METHODS, Method, begin
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
    right = scores.accuracy > 0
    if split not in SPLITS:
        choices = f"use one of {', '.join(SPLITS)}, or give source= and target="
        raise ValueError(f"split is {split!r}; {choices}")
    if not right.any():
        raise ValueError(f"all models of {scores.name} score 0: there is nothing to compare")
    if right.sum() < 4:
        found = f"{scores.name} has {right.sum()} models with an accuracy above 0"
        raise ValueError(f"{found}; a split takes at least 4")
    if split == "interpolation" and not isinstance(rng, np.random.Generator):
        raise TypeError(
            "the interpolation split is random: pass rng=numpy.random.default_rng(seed)"
        )
    if split == "chronological" and scores.dates is None:
        raise ValueError(
            f"{scores.name} has neither dates nor an order of release; give Scores(dates=...)"
        )
    scores = scores.select(models=right)
    n_models = scores.n_models
    n_sources = int(0.5 * n_models)
    n_targets = int(0.3 * n_models)
    if split == "interpolation":
        order = rng.permutation(n_models)
        n_targets = int(0.25 * n_models)
        n_sources = n_models - n_targets
    else:
        strength = scores.accuracy if split == "extrapolation" else scores.dates
        order = np.argsort(strength, kind="stable")
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
    truth, estimate, lower, upper (NaN where a method has no interval), and dollars, spent on the
    items drawn, where the targets have costs. `budget` is a number of
    items, or a fraction of N when it is a float below 1. `source` and `target` (Scores of the same
    items) replace `scores` and `split`. Sources may lack scores (NaN), targets may not: the
    recommended method, its imputation, p-IRT, gp-IRT and metabench learn from those that are there,
    all others from a matrix that is filled with what a 2PL expects (`Method.learned`). Methods with
    the same draw and stream see the same core sets. The same seed gives the same records whatever
    `n_jobs` and the joblib backend are.
    Raises ValueError when a method, split or budget is not there to be had, or a target lacks a
    score, TypeError for scores that are no Scores.
    """
    experiment = _checked(scores, methods, split, budget, seed, source, target)
    if trials < 1:
        raise ValueError(f"trials is {trials}; at least one is needed")
    chunks = [range(trials)[start : start + CHUNK] for start in range(0, trials, CHUNK)]
    tasks = (joblib.delayed(experiment.run)(chunk) for chunk in chunks)
    runs = joblib.Parallel(n_jobs=n_jobs, return_as="generator")(tasks)
    name = f"{experiment.benchmark}, {experiment.split}"
    parts = []
    with threadpool_limits(1):  # here too: threads of one process share the limit
        for run in tqdm(runs, name, len(chunks), disable=not progress, leave=False):
            parts += run
    order = list(experiment.methods)
    parts.sort(key=lambda part: order.index(part["method"][0]))  # trials stay in order
    return pd.DataFrame({name: np.concatenate([part[name] for part in parts]) for name in parts[0]})


@dataclass(frozen=True)
class _Experiment:
    """What every chunk of trials needs to know; it travels to the workers."""

    benchmark: str
    methods: dict[str, Method]  # by name: a worker knows no method that was added to the table
    split: str
    n: int
    seed: int
    scores: Scores | None  # None when the split is given
    pair: tuple | None  # the source and target Scores when every trial has the same

    def rng(self, trial, purpose):
        """The stream of one purpose in one trial: no draw depends on what ran before."""
        words = (self.benchmark, self.split, purpose)
        return np.random.default_rng([self.seed, trial, *(zlib.crc32(w.encode()) for w in words)])

    def run(self, trials):
        """The records of some trials: a list of column dictionaries, one per method and split."""
        with threadpool_limits(1):  # the systems are small: threads only get into each other's way
            if self.pair:
                return self._run_split(*self.pair, trials)
            records = []
            for trial in trials:
                pair = split_models(self.scores, self.split, self.rng(trial, "split"))
                records += self._run_split(*pair, [trial])
            return records

    def _run_split(self, source, target, trials):
        target.check_complete()
        source = asarray(source.values)
        rows = np.tile(np.arange(target.n_models), len(trials))[:, None]
        learned = {}
        drawn = {}
        records = []
        for name, method in self.methods.items():
            if method.learn not in learned:
                learned[method.learn] = method.learned(source, self.n)
            rngs = [self.rng(trial, method.stream) for trial in trials]
            size = (target.n_items, target.n_models)
            rounds = begin(method, learned[method.learn], self.n, rngs, *size, drawn)
            while not rounds.done:
                rounds.record(target.values[rows, rounds.next_items()])
            records.append(self._records(name, target, trials, method.read(rounds)))
            if target.costs is not None:
                records[-1]["dollars"] = target.costs[rows, rounds.items].sum(axis=1)
        return records

    def _records(self, method, target, trials, estimate):
        columns = {
            "benchmark": self.benchmark,
            "method": method,
            "split": self.split,
            "budget": self.n,
            "trial": np.repeat(trials, target.n_models),
            "model": np.tile(target.models, len(trials)),
            "truth": np.tile(target.accuracy, len(trials)),
            "estimate": estimate.value,
            "lower": np.nan if estimate.lower is None else estimate.lower,
            "upper": np.nan if estimate.upper is None else estimate.upper,
        }
        size = estimate.value.shape
        return {name: np.broadcast_to(values, size) for name, values in columns.items()}


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
    pair = None
    whole = scores
    if source is not None:
        whole = source
        if not np.array_equal(source.items, target.items):
            raise ValueError("source and target must have the same items in the same order")
        split = "given"
        pair = (source, target)
    elif split != "interpolation":
        pair = split_models(scores, split)
    n = budget_items(budget, whole.n_items)
    return _Experiment(whole.name, chosen, split, n, seed, None if pair else scores, pair)
