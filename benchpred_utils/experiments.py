"""The protocol: split the models, draw core sets, estimate, record; and the table of methods."""

import zlib
from dataclasses import dataclass
from typing import Callable

import joblib
import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from . import adaptive, backend, designs, estimators, irt, optimised
from .scores import Scores

__all__ = [
    "METHODS",
    "OWN_METHODS",
    "RECOMMENDED",
    "SPLITS",
    "Method",
    "run_experiment",
    "split_models",
]

SPLITS = ("interpolation", "extrapolation", "chronological")
CHUNK = 25  # trials per task; fixed, so that the number of workers can't change a bit of the result


@dataclass(frozen=True)
class Method:
    """How to evaluate a model from few items: a design, then an estimator."""

    design: Callable  # (source (M, N), n, rng) -> core set (n,), or (core set, what the estimator needs of it ...)
    estimator: Callable  # (source (M, N), core (T, n), observed (T, P, n), what the design gave ...) -> Estimate
    bias: str  # "none": exactly unbiased over the draw; "order 1/n"; "unbounded"
    adaptive: bool = False  # the design is a class as `adaptive.SequentialStratification`, the estimator its method


METHODS = {
    "random_sampling": Method(designs.uniform, estimators.random_sampling, "none"),
    "k_center_greedy": Method(designs.k_center_greedy, estimators.core_mean, "unbounded"),
    "random_sampling_learn": Method(designs.uniform, estimators.random_sampling_learn, "unbounded"),
    "random_search_learn": Method(
        optimised.random_search_learn, estimators.weighted_sum, "unbounded"
    ),
    "lasso": Method(optimised.lasso, estimators.weighted_sum, "unbounded"),
    "double_optimize": Method(optimised.double_optimize, estimators.weighted_sum, "unbounded"),
    "pca": Method(designs.uniform, estimators.pca, "unbounded"),
    "anchor_points_weighted": Method(
        optimised.anchor_points_weighted, estimators.weighted_sum, "unbounded"
    ),
    "anchor_points_predictor": Method(
        optimised.anchor_points_predictor, estimators.weighted_sum, "unbounded"
    ),
    "p_irt": Method(irt.irt_anchors, irt.p_irt, "unbounded"),
    "gp_irt": Method(irt.irt_anchors, irt.gp_irt, "unbounded"),
    "metabench": Method(irt.metabench_items, irt.metabench, "unbounded"),
    "sort_and_search": Method(irt.sorted_by_difficulty, irt.sort_and_search, "unbounded"),
    "aipw": Method(designs.uniform, estimators.aipw, "order 1/n"),
    "aipw_cross_fitted": Method(designs.uniform, estimators.aipw_cross_fitted, "none"),
    "sequential_stratification": Method(
        adaptive.SequentialStratification,
        adaptive.SequentialStratification.estimate,
        "none",
        adaptive=True,
    ),
}
OWN_METHODS = (
    "aipw_cross_fitted",
    "sequential_stratification",
)  # this book's; the others are the field's
RECOMMENDED = (
    "sequential_stratification"  # exactly unbiased, and the sources say where to look as well
)


# --- splits -----------------------------------------------------------------------------------------------------------


def split_models(scores, split, rng=None):
    """The source and the target models of a split: two Scores.

    "interpolation": a random int(M/4) are targets, the rest sources; "extrapolation", the frontier: of the models in
    order of accuracy the lowest int(M/2) are sources, the highest int(0.3 M) targets; "chronological": the same of the
    models in order of their dates.  Models with accuracy 0 are left out first (Zhang, Dorner & Hardt 2025).
    Raises ValueError for another split, without dates where they are needed, and with too few models.
    """
    if not (right := scores.accuracy > 0).all():
        scores = scores.select(models=right)
    n_models = scores.n_models
    if split not in SPLITS:
        raise ValueError(
            f"split is {split!r}; use one of {', '.join(SPLITS)}, or give source= and target="
        )
    if n_models < 4:
        raise ValueError(
            f"{scores.name} has {n_models} models with an accuracy above 0; a split takes at least 4"
        )
    if split == "interpolation":
        order = _need_rng(rng).permutation(n_models)
        first_target = n_models - int(0.25 * n_models)
        return scores.select(models=order[:first_target]), scores.select(
            models=order[first_target:]
        )
    if split == "chronological" and scores.dates is None:
        raise ValueError(
            f"{scores.name} has neither dates nor an order of release; give Scores(dates=...)"
        )
    order = np.argsort(scores.accuracy if split == "extrapolation" else scores.dates, kind="stable")
    sources, targets = order[: int(0.5 * n_models)], order[n_models - int(0.3 * n_models) :]
    return scores.select(models=sources), scores.select(models=targets)


def _need_rng(rng):
    if not isinstance(rng, np.random.Generator):
        raise TypeError(
            "the interpolation split is random: pass rng=numpy.random.default_rng(seed)"
        )
    return rng


# --- the experiment ---------------------------------------------------------------------------------------------------


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

    One row per method, trial and target model: benchmark, method, split, budget, trial, model, truth, estimate, lower,
    upper (NaN where a method has no interval).  `budget` is a number of items, or a fraction of N when it is a float
    below 1.  `source` and `target` (Scores of the same items) replace `scores` and `split`.  Methods with the same
    design see the same draws.  The same seed gives the same records whatever `n_jobs` and the joblib backend are.
    Raises ValueError when a method, split or budget is not there to be had.
    """
    task = _Task.checked(scores, methods, split, budget, seed, source, target)
    if trials < 1:
        raise ValueError(f"trials is {trials}; at least one is needed")
    chunks = [range(start, min(start + CHUNK, trials)) for start in range(0, trials, CHUNK)]
    with threadpool_limits(
        1
    ):  # here too: threads of one process share the limit, and each restores what it found
        runs = joblib.Parallel(n_jobs=n_jobs, return_as="generator")(
            joblib.delayed(task.run)(chunk) for chunk in chunks
        )
        runs = tqdm(
            runs, f"{task.benchmark}, {task.split}", len(chunks), disable=not progress, leave=False
        )
        parts = [part for run in runs for part in run]
    order = {method: i for i, method in enumerate(task.methods)}
    parts.sort(key=lambda part: order[part["method"][0]])  # stable: trials stay in order
    return pd.concat([pd.DataFrame(part) for part in parts], ignore_index=True)


@dataclass(frozen=True)
class _Task:
    """What every chunk of trials needs to know; it travels to the workers."""

    benchmark: str
    methods: tuple
    split: str
    n: int
    seed: int
    scores: Scores | None  # None when the split is given
    pair: tuple | None  # the source and target Scores when every trial has the same

    @classmethod
    def checked(cls, scores, methods, split, budget, seed, source, target):
        if (scores is None) == (source is None) or (source is None) != (target is None):
            raise ValueError("give either scores (and a split), or both source and target")
        unknown = [method for method in methods if method not in METHODS]
        if unknown or isinstance(methods, str):
            raise ValueError(
                f"no such method: {unknown or [methods]}; methods is a list of {', '.join(METHODS)}"
            )
        if source is not None:
            if not np.array_equal(source.items, target.items):
                raise ValueError("source and target must have the same items in the same order")
            split, pair = "given", (source, target)
        else:
            pair = None if split == "interpolation" else split_models(scores, split)
        whole = scores if source is None else source
        n = budget_items(budget, whole.n_items)
        return cls(whole.name, tuple(methods), split, n, seed, None if pair else scores, pair)

    def rng(self, trial, purpose):
        """The stream of one purpose in one trial, so that no draw depends on which methods or workers ran before."""
        words = (self.benchmark, self.split, purpose)
        return np.random.default_rng(
            [self.seed, trial, *(zlib.crc32(word.encode()) for word in words)]
        )

    def run(self, trials):
        """The records of some trials: a list of column dictionaries, one per method and split."""
        with threadpool_limits(
            1
        ):  # the systems are small: threads inside a task only get into each other's way
            if self.pair:
                return self._run_split(*self.pair, trials)
            pairs = (
                (t, split_models(self.scores, self.split, self.rng(t, "split"))) for t in trials
            )
            return [record for t, pair in pairs for record in self._run_split(*pair, [t])]

    def _run_split(self, source, target, trials):
        source_values, target_values = (
            backend.asarray(source.values),
            backend.asarray(target.values),
        )
        drawn, records = {}, []
        for name in self.methods:
            method = METHODS[name]
            if method.adaptive:
                estimate = self._run_adaptive(name, source_values, target_values, trials)
                records.append(self._records(name, target, trials, estimate))
                continue
            if method.design not in drawn:
                rngs = [self.rng(trial, method.design.__name__) for trial in trials]
                draws = [method.design(source_values, self.n, rng) for rng in rngs]
                core, *learned = (
                    map(np.stack, zip(*draws)) if isinstance(draws[0], tuple) else [np.stack(draws)]
                )
                _check_core_sets(name, core, self.n, target.n_items)
                drawn[method.design] = backend.asarray(core), *map(backend.asarray, learned)
            estimate = estimators.evaluate(
                method.estimator, source_values, target_values, *drawn[method.design]
            )
            records.append(self._records(name, target, trials, estimate))
        return records

    def _run_adaptive(self, name, source, target, trials):
        """Every target by itself: in each round the design gets the scores of the items that it asks for, no others."""
        method, (n_targets, n_items) = METHODS[name], target.shape
        rngs = [self.rng(trial, method.design.__name__) for trial in trials]
        uniform = np.concatenate([rng.random((n_targets, n_items + 2 * self.n)) for rng in rngs])
        rounds, rows = (
            method.design(source, uniform, self.n),
            np.tile(np.arange(n_targets), len(trials))[:, None],
        )
        scores = backend.to_numpy(target)
        while not rounds.done:
            rounds.record(scores[rows, rounds.next_items()])
        _check_core_sets(name, rounds.items, self.n, n_items)
        return method.estimator(rounds)

    def _records(self, method, target, trials, estimate):
        size = (len(trials), target.n_models)
        flat = lambda values: (
            np.full(size, np.nan).ravel() if values is None else backend.to_numpy(values).ravel()
        )
        labels = {
            "benchmark": self.benchmark,
            "method": method,
            "split": self.split,
            "budget": self.n,
        }
        return {
            **{key: np.repeat(value, size[0] * size[1]) for key, value in labels.items()},
            "trial": np.repeat(np.asarray(trials), size[1]),
            "model": np.tile(target.models, size[0]),
            "truth": np.tile(target.accuracy, size[0]),
            "estimate": flat(estimate.value),
            "lower": flat(estimate.lower),
            "upper": flat(estimate.upper),
        }


def _check_core_sets(method, core, n, n_items):
    """Each core set must hold n distinct items: one that held more would see more of the target than it pays for."""
    ordered = np.sort(core, axis=1)
    distinct = core.shape[1] == n and (np.diff(ordered, axis=1) > 0).all()
    if not (distinct and ordered[:, 0].min() >= 0 and ordered[:, -1].max() < n_items):
        raise ValueError(
            f"the design of {method} must give {n} distinct items of {n_items}, and it does not"
        )


def budget_items(budget, n_items):
    """The number n of items that `budget` means: itself, or a fraction of N when it is a float below 1.

    Raises ValueError when it is not between 1 and N.
    """
    is_fraction = isinstance(budget, float) and budget < 1
    n = round(budget * n_items) if is_fraction else int(budget)
    if not 1 <= n <= n_items or not is_fraction and n != budget:
        raise ValueError(
            f"budget is {budget}; it must be a whole number of items between 1 and {n_items}, or a fraction of them "
            "below 1 that gives at least one item"
        )
    return n
