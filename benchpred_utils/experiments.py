"""The protocol: split the models, draw core sets, estimate, record."""

import zlib
from functools import partial
from itertools import chain

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
    able = np.flatnonzero(scores.accuracy)
    n_models = len(able)
    if n_models < 4:
        found = f"{scores.name} has {n_models} models with an accuracy above 0"
        raise ValueError(f"{found}; a split takes at least 4")
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
        order = np.argsort(strength[able], kind="stable")
        n_targets = int(0.3 * n_models)
        n_sources = n_models // 2
    order = able[order]
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
    chosen = {name: METHODS.get(name) for name in methods}
    if not chosen or None in chosen.values():
        known = ", ".join(METHODS)
        raise ValueError(f"no such methods: {methods!r}; methods is a list of some of {known}")
    if trials < 1:
        raise ValueError(f"trials is {trials}; at least one is needed")
    scores, split = _given(scores, split, source, target)
    n = budget_items(budget, scores.n_items)
    # The methods travel to the workers, which know none that was added to the table.
    run = joblib.delayed(partial(_run, scores, split, source, target, chosen, n, seed))
    size = 1 if split == "interpolation" else CHUNK  # the trials of a task have the same sources
    chunks = [range(trials)[start : start + size] for start in range(0, trials, size)]
    runs = joblib.Parallel(n_jobs=n_jobs, return_as="generator")(map(run, chunks))
    runs = tqdm(runs, f"{scores.name}, {split}", len(chunks), disable=not progress, leave=False)
    with threadpool_limits(1):  # here too: threads of one process share the limit
        by_method = zip(*runs)  # the parts of each, trials in order
    return pd.concat(chain.from_iterable(by_method), ignore_index=True)


def _given(scores, split, source, target):
    """The scores and the name of the split; of a pair that is given, its sources' and "given"."""
    if (scores is None) == (source is None) or (source is None) != (target is None):
        raise ValueError("give either scores (and a split), or both source and target")
    for given in (scores, source, target):
        if not isinstance(given, Scores | None):
            raise TypeError(f"{type(given).__name__} is given for scores; use Scores(values)")
    if scores is None:
        if not np.array_equal(source.items, target.items):
            raise ValueError("source and target must have the same items in the same order")
        return source, "given"
    return scores, split


def stream(seed, trial, *words):
    """The random numbers of one purpose in one trial: no draw depends on what ran before."""
    return np.random.default_rng([seed, trial, *(zlib.crc32(word.encode()) for word in words)])


def _run(scores, split, source, target, methods, n, seed, trials):
    """The records of trials with the same sources and targets: a data frame per method."""
    with threadpool_limits(1):  # the systems are small: threads only get into each other's way
        if source is None:
            rng = stream(seed, trials[0], scores.name, split, "split")
            source, target = split_models(scores, split, rng)
        target.check_complete()
        values = asarray(source.values)
        size = target.values.shape[::-1]
        learned = {}
        drawn = {}
        records = []
        for name, method in methods.items():
            if method.learn not in learned:
                learned[method.learn] = method.learned(values, n)
            words = scores.name, split, method.stream
            rngs = [stream(seed, trial, *words) for trial in trials]
            rounds = begin(method, learned[method.learn], n, rngs, *size, drawn)
            about = {"benchmark": scores.name, "method": name, "split": split, "budget": n}
            records.append(pd.DataFrame(about | _columns(method, rounds, target, trials)))
    return records


def _columns(method, rounds, target, trials):
    """What the records say of the trials, when the rounds have been answered."""
    rows = np.tile(np.arange(target.n_models), len(trials))
    while not rounds.done:
        rounds.record(target.values[rows[:, None], rounds.next_items()])
    estimate = method.read(rounds)
    columns = {
        "trial": np.repeat(trials, target.n_models),
        "model": target.models[rows],
        "truth": target.accuracy[rows],
        "estimate": estimate.value,
        "lower": np.nan if estimate.lower is None else estimate.lower,
        "upper": np.nan if estimate.upper is None else estimate.upper,
    }
    if target.costs is not None:
        columns["dollars"] = target.costs[rows[:, None], rounds.items].sum(axis=1)
    return columns
