"""What the case `speed` times: problems of a given size, each by the package and by a user's code.

A problem is a function ``problem(at)`` of its sizes, by their letters; it gives a Work. What a
problem takes at least is counted by hand: operations of its matrix products (two for each product
and sum) and bytes that have to be read or written once. A new one is a line in PROBLEMS.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from typing import NamedTuple
from unittest import mock

import joblib
import kmedoids
import numpy as np
import pandas as pd
from benchpred_book import simulation
from scipy import stats
from sklearn.linear_model import Ridge
from sklearn.metrics import pairwise_distances

import benchpred_utils as bp
from benchpred_utils import designs, estimators, irt, optimised
from benchpred_utils.backend import array_module, asarray, chosen

from ..measure import installed
from ..settings import rasch
from .irt import py_irt
from .loops import aipw_of_all_targets

FOLDS = 5  # of cross-fitted AIPW, as in the package
ALPHA = 10.0
EPOCHS = 2_000  # of py-irt, as the authors of the protocol have it


class Work(NamedTuple):
    """A problem and the ways to do it: functions without arguments, to be called repeatedly."""

    ours: Callable
    peer: Callable | None = None  # what a user would write, on the host
    peer_name: str = ""
    share: float = 1.0  # of the work that the peer is made to do: its time is divided by it
    cores: Callable | None = None  # ours on the host with all its cores; None: as it is
    solve: Callable | None = None  # the library's own solve of all systems, or what must run
    solve_name: str = "solve"
    operations: float | Callable = 0.0  # a function: known only once ours has run
    bytes: float | Callable = 0.0
    matrix: int = 0  # bytes of the score matrix


def trial(at):
    """One trial of AIPW: the draw of a core set, and the estimates of all targets."""
    M, N, n, P = (at[letter] for letter in "MNnP")
    values = rasch(M + P, N, np.random.default_rng(0))
    source, target = values[P:], values[:P]
    S, X = asarray(source), asarray(target)
    rng = np.random.default_rng(1)

    def ours():
        core = asarray(designs.uniform(source, n, rng)[None])
        return estimators.evaluate(estimators.aipw, S, X, core)

    def peer():
        return aipw_of_all_targets(source, target, n, rng, None)

    systems = _systems(1, min(n, M), 1)
    return Work(
        ours,
        peer,
        "scikit-learn Ridge, all targets in one fit",
        solve=partial(array_module(S).linalg.solve, *systems),
        operations=2 * M * n * min(n, M) + 2 * M * n + 2 * n * P,
        bytes=16 * n * (M + P),
        matrix=source.nbytes,
    )


def simulation_of_a_rate(at):
    """The simulation behind the chapter on root-n consistency.

    R core sets, their estimates and intervals; the draws are made on the host.
    """
    N, n, R = (at[letter] for letter in "NnR")
    s, g = simulation.population(N, np.random.default_rng(0))
    S, G = asarray(s[None]), asarray(g)
    few = min(R, 5_000)

    def run(replications, seed):
        rng = np.random.Generator(np.random.Philox(seed))
        return simulation.replicate(estimators.difference, G, S, n, replications, rng)

    def cores():
        parts = np.array_split(np.arange(R), os.cpu_count())
        jobs = (joblib.delayed(run)(len(part), seed) for seed, part in enumerate(parts))
        return joblib.Parallel(len(parts), prefer="threads")(jobs)

    def peer():
        rng = np.random.default_rng(1)
        core = np.concatenate([rng.choice(N, n, replace=False) for _ in range(few)])
        e = pd.DataFrame({"replication": np.repeat(np.arange(few), n), "e": (s - g)[core]})
        of = e.groupby("replication").e.agg(["mean", "var"])
        half = stats.t.ppf(0.975, n - 1) * np.sqrt((1 - n / N) * of["var"] / n)
        return pd.DataFrame({"value": g.mean() + of["mean"], "half": half})

    return Work(
        partial(run, R, 0),
        peer,
        "NumPy choice in a loop, pandas group-by",
        few / R,
        cores,
        operations=R * n * (n - 1 + 70),  # the draws' order; ten rounds of Philox for two numbers
        bytes=R * (4 * 8 * n + 3 * 8),  # a number and an item per draw; s, g at it; three results
        matrix=2 * s.nbytes,
    )


def cross_fitted(at):
    """Cross-fitted AIPW on T core sets at once, with intervals."""
    M, N, n, P, T = (at[letter] for letter in "MNnPT")
    values = rasch(M + P, N, np.random.default_rng(0))
    source, target = values[P:], values[:P]
    core = designs.uniform_core_sets(N, n, T, np.random.default_rng(1))
    S, X, C = asarray(source), asarray(target), asarray(core)
    few = min(T, 3)
    size = 4_096 if chosen() == "cupy" else estimators.PART  # a GPU is for large parts

    def ours():
        return estimators.evaluate(estimators.aipw_cross_fitted, S, X, C, size=size)

    def peer():
        return [cross_fitted_loop(source, target, c) for c in core[:few]]

    systems = _systems(min(T, size), min(n, M), n)
    left = _systems(min(T, size) * FOLDS, -(-n // FOLDS), P)

    def solve():
        xp = array_module(S)
        for _ in range(0, T, size):
            xp.linalg.solve(*systems)
            xp.linalg.solve(*left)

    return Work(
        ours,
        peer,
        "scikit-learn Ridge, loop over sets and folds",
        few / T,
        solve=solve,
        operations=T
        * (2 * M * n * min(n, M) + 2 * M * n * (n + FOLDS) + 2 * P * n * (n + 2 * FOLDS)),
        bytes=16 * T * n * (M + P),
        matrix=source.nbytes,
    )


def cross_fitted_loop(source, target, core):
    """The estimates (P,) of one core set by the formula of `aipw_cross_fitted`, fold by fold."""
    N = source.shape[1]
    value = []
    for k in range(FOLDS):
        test = core[k::FOLDS]
        train = np.delete(core, np.s_[k::FOLDS])
        ridge = Ridge(alpha=ALPHA).fit(source[:, train].T, target[:, train].T)
        g = ridge.predict(source.T)  # (N, P)
        rest = np.setdiff1d(np.arange(N), train)
        correction = (target[:, test].T - g[test]).mean(axis=0) * (N - len(train))
        value.append((target[:, train].sum(axis=1) + g[rest].sum(axis=0) + correction) / N)
    return np.mean(value, axis=0)


def fit_2pl(at):
    """The 2PL with ten dimensions."""
    M, N = at["M"], at["N"]
    values = rasch(M, N, np.random.default_rng(0))
    evaluations = []
    objective = irt._objective

    def counted(*args):
        evaluations[-1] += 1
        return objective(*args)

    def ours():
        evaluations.append(0)
        with mock.patch.object(irt, "_objective", counted):
            return irt.fit_2pl(values)

    def operations():
        return 6 * M * N * (dims + 1) * np.median(evaluations)  # logits, and the two gradients

    def moved():
        return 8 * M * N * np.median(evaluations)  # the scores, once for each value

    dims = min(irt.DIMS, M, N)
    epochs = EPOCHS // 10
    scores = bp.Scores(values, name="simulated")
    can_be_had = installed("py_irt.training") and M * N <= 10**5
    return Work(
        ours,
        partial(py_irt, scores, 0.1, epochs) if can_be_had else None,
        f"py-irt, {EPOCHS:,} epochs",
        epochs / EPOCHS,
        operations=operations,
        bytes=moved,
        matrix=values.nbytes,
    )


def k_medoids(at):
    """The medoids of n clusters of the N items, by the correlations of their scores."""
    M, N, n = (at[letter] for letter in "MNn")
    source = rasch(M, N, np.random.default_rng(0))
    rng = np.random.default_rng(1)

    def ours():
        learned = optimised.item_correlations(source, n)
        return optimised.anchor_points_weighted(learned, n, rng).items

    def peer():
        with np.errstate(invalid="ignore"):  # items on which all models score the same
            distance = 1 - np.nan_to_num(np.corrcoef(source.T))
        seed = int(rng.integers(2**31))
        model = kmedoids.KMedoids(n, metric="precomputed", init="random", random_state=seed)
        return model.fit(distance).medoid_indices_

    return Work(
        ours,
        peer,
        "NumPy corrcoef, KMedoids of kmedoids",
        operations=2 * M * N**2,
        bytes=2 * 4 * N**2,  # the distances, made and read once
        matrix=source.nbytes,
    )


def k_center(at):
    """The farthest-point core set: n items, each the farthest from those before it."""
    M, N, n = (at[letter] for letter in "MNn")
    source = rasch(M, N, np.random.default_rng(0))
    S = asarray(source)
    rng = np.random.default_rng(1)

    def peer():
        z = source.T
        chosen_items = [int(rng.integers(N))]
        nearest = pairwise_distances(z, z[chosen_items]).ravel()
        while len(chosen_items) < n:
            chosen_items.append(int(nearest.argmax()))
            nearest = np.minimum(nearest, pairwise_distances(z, z[chosen_items[-1:]]).ravel())
        return np.array(chosen_items)

    return Work(
        lambda: designs.k_center_greedy(S, n, rng),
        peer,
        "scikit-learn pairwise_distances, step by step",
        operations=2 * M * N * n,
        bytes=n * source.nbytes,  # the matrix, once for each item
        matrix=source.nbytes,
    )


def similarity(at):
    """Kappa of every two of A models."""
    A, N = at["A"], at["N"]
    values = rasch(A, N, np.random.default_rng(0))
    X = asarray(values)
    few = max(A // 50, 1)

    def peer():
        right = values.astype(bool)
        agree = 1 - pairwise_distances(right[:few], right, metric="hamming")
        p = values.mean(axis=1)
        by_chance = p[:few, None] * p + (1 - p[:few, None]) * (1 - p)
        return (agree - by_chance) / (1 - by_chance)

    return Work(
        lambda: bp.pairwise_similarity(X, X, "kappa"),
        peer,
        "scikit-learn pairwise_distances, kappa",
        few / A,
        operations=2 * A**2 * N,
        bytes=8 * A * N + 8 * A**2,
        matrix=values.nbytes,
    )


def imports(at):
    """`import benchpred_utils` in a new interpreter."""

    def run(code):
        return partial(subprocess.run, [sys.executable, "-c", code], check=True)

    return Work(
        run("import benchpred_utils"),
        run("import pandas, sklearn.linear_model, scipy.stats"),
        "import of pandas, scikit-learn, scipy.stats",
        solve=run("import numpy"),
        solve_name="import of NumPy",
    )


def _systems(count, size, columns):
    """So many systems of linear equations, well-conditioned: matrices and right-hand sides."""
    rng = np.random.default_rng(0)
    matrices = rng.random((count, size, size)) + size * np.eye(size)
    return asarray(matrices), asarray(rng.random((count, size, columns)))


class Problem(NamedTuple):
    """A problem, the size at which it is compared, and the variables along which it grows."""

    work: Callable
    base: dict
    tiny: dict
    curves: dict = {}  # variable: values, the others as at the base; along the first the peer too
    device: tuple = ()  # further sizes, on a GPU
    is_of_host: bool = False  # computed there alone


def _powers(start, count, factor=2):
    return tuple(start * factor**i for i in range(count))


GSM8K = {"M": 63, "N": 1000, "n": 50}  # the sources of its interpolation split
TINY = {"M": 12, "N": 40, "n": 10}
TARGETS = {"P": 20}
FEW = {"P": 3}
LARGE = {"M": 2_000, "N": 20_000, "n": 200}
PROBLEMS = {
    "AIPW, one trial": Problem(
        trial,
        GSM8K | TARGETS,
        TINY | FEW,
        {"M": _powers(50, 5), "N": _powers(500, 5), "n": _powers(25, 5)},
        (LARGE | {"P": 50},),
    ),
    "AIPW cross-fitted, many core sets": Problem(
        cross_fitted,
        GSM8K | TARGETS | {"T": 200},
        TINY | FEW | {"T": 3},
        {
            "T": _powers(1, 6, 4),
            "M": _powers(50, 4),
            "N": _powers(1_000, 4, 4),
            "n": _powers(25, 4),
        },
        (GSM8K | TARGETS | {"T": 20_000},),
    ),
    "root-n simulation": Problem(
        simulation_of_a_rate,
        {"N": 2_000, "n": 50, "R": 10_000},
        {"N": 40, "n": 10, "R": 30},
        {
            "R": (10_000, 31_623, 100_000, 316_228, 1_000_000),
            "N": _powers(2_000, 4, 10),
            "n": _powers(25, 5),
        },
    ),
    "2PL fit": Problem(
        fit_2pl,
        {"M": 100, "N": 1_000},
        {"M": 12, "N": 40},
        {"M": _powers(50, 4), "N": _powers(1_000, 5)},
        is_of_host=True,
    ),
    "k-medoids": Problem(
        k_medoids, GSM8K, TINY, {"N": _powers(500, 4), "n": _powers(25, 4)}, is_of_host=True
    ),
    "k-center": Problem(
        k_center,
        GSM8K,
        TINY,
        {"N": _powers(500, 5), "M": _powers(50, 4), "n": _powers(25, 4)},
        (LARGE,),
    ),
    "similarity of models": Problem(
        similarity,
        {"A": 5_000, "N": 1_000},
        {"A": 9, "N": 40},
        {"A": (625, 1_250, 2_500, 5_000), "N": _powers(250, 4)},
    ),
    "import benchpred_utils": Problem(imports, {}, {}, is_of_host=True),
}


def sizes(name, is_tiny=False, on_device=False):
    """The sizes, dicts, at which a problem is timed, and whether the peer runs at each.

    The base comes first, then a GPU's further sizes.
    """
    problem = PROBLEMS[name]
    if is_tiny:
        return [(problem.tiny, True)]
    found = {label(problem.base): (problem.base, True)}
    if on_device:
        found |= {label(size): (size, False) for size in problem.device}
    for i, (letter, values) in enumerate(problem.curves.items()):
        for value in values:
            size = problem.base | {letter: value}
            found.setdefault(label(size), (size, i == 0 and not on_device))
    return list(found.values())


def label(size):
    """A size in words: M=63 N=1000."""
    return " ".join(f"{letter}={value}" for letter, value in size.items())
