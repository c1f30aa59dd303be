"""What the suite in `speed/` times: problems of a given size, each done by the package and by what a user would pick.

A problem is a function ``problem(at, put)`` of its sizes, by their letters, and of the function that puts an array where
it is computed; it gives a Work.  What a problem takes at least is counted by hand: operations of its matrix products
(two for each product and sum) and bytes that have to be read or written once.  A new one is a line in PROBLEMS.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import joblib
import kmedoids
import numpy as np
import pandas as pd
from benchpred_utils.counter import Stream
from measure import installed
from scipy import stats
from settings import rasch
from sklearn.linear_model import Ridge
from sklearn.metrics import pairwise_distances

import benchpred_utils as bp
from benchpred_utils import backend, designs, estimators, irt, optimised, simulation
from benchpred_utils.backend import namespace

from .irt import _py_irt
from .loops import aipw_of_all_targets

ROOT = Path(__file__).resolve().parents[3]
FOLDS, ALPHA = 5, 10.0  # of cross-fitted AIPW, as in the package
EPOCHS = 2_000  # of py-irt, as the authors of the protocol have it


class Work(NamedTuple):
    """A problem and the ways to do it: functions without arguments, that can be called again and again."""

    ours: Callable
    peer: Callable | None = None  # what a user would write, on the host
    peer_name: str = ""
    share: float = 1.0  # of the work that the peer is made to do: its time is divided by it
    cores: Callable | None = None  # ours on the host with all its cores; None: as it is
    solve: Callable | None = (
        None  # the library's own solve of all systems that have to be solved, or what must run
    )
    solve_name: str = "solve"
    operations: float | Callable = 0.0  # a function: known only once ours has run
    bytes: float | Callable = 0.0
    precision: str = "float64"
    matrix: int = 0  # bytes of the score matrix


def trial(at, put):
    """One trial of AIPW: the draw of a core set, and the estimates of all targets."""
    M, N, n, P = (at[letter] for letter in "MNnP")
    values = rasch(M + P, N, np.random.default_rng(0))
    source, target = values[P:], values[:P]
    S, X, rng = put(source), put(target), np.random.default_rng(1)

    def ours():
        core = backend.asarray_like(designs.uniform(source, n, rng)[None], S)
        return estimators.evaluate(estimators.aipw, S, X, core)

    systems = _systems(1, min(n, M), 1, put)
    return Work(
        ours,
        lambda: aipw_of_all_targets(source, target, n, rng, None),
        "scikit-learn Ridge, all targets in one fit",
        solve=lambda: namespace(systems[0]).linalg.solve(*systems),
        operations=2 * M * n * min(n, M) + 2 * M * n + 2 * n * P,
        bytes=16 * n * (M + P),
        matrix=source.nbytes,
    )


def simulation_of_a_rate(at, put):
    """The simulation behind the chapter on root-n consistency: R core sets, their estimates and intervals."""
    N, n, R = (at[letter] for letter in "NnR")
    s, g = simulation.population(N, np.random.default_rng(0))
    run = lambda S, G, R, seed: simulation.replicate(
        estimators.difference, G, S, n, R, Stream(seed, like=S)
    )
    some, few = os.cpu_count(), min(R, 5_000)

    def cores():
        parts = [
            (s[None], g, len(part), seed)
            for seed, part in enumerate(np.array_split(np.arange(R), some))
        ]
        return joblib.Parallel(some, prefer="threads")(joblib.delayed(run)(*part) for part in parts)

    def peer():
        rng = np.random.default_rng(1)
        core = np.concatenate([rng.choice(N, n, replace=False) for _ in range(few)])
        e = pd.DataFrame({"replication": np.repeat(np.arange(few), n), "e": (s - g)[core]})
        of = e.groupby("replication").e.agg(["mean", "var"])
        half = stats.t.ppf(0.975, n - 1) * np.sqrt((1 - n / N) * of["var"] / n)
        return pd.DataFrame({"value": g.mean() + of["mean"], "half": half})

    S, G = put(s[None]), put(g)
    return Work(
        lambda: run(S, G, R, 0),
        peer,
        "NumPy choice in a loop, pandas group-by",
        few / R,
        cores,
        operations=R
        * n
        * (n - 1 + 70),  # the order of the draws; ten rounds of Philox for two numbers
        bytes=R
        * (
            4 * 8 * n + 3 * 8
        ),  # a number and an item per draw, made and used; s and g at it; three results
        matrix=2 * s.nbytes,
    )


def cross_fitted(at, put):
    """Cross-fitted AIPW on T core sets at once, with intervals."""
    M, N, n, P, T = (at[letter] for letter in "MNnPT")
    values = rasch(M + P, N, np.random.default_rng(0))
    source, target, core = (
        values[P:],
        values[:P],
        designs.uniform_core_sets(N, n, T, np.random.default_rng(1)),
    )
    S, X, C = put(source), put(target), put(core)
    few = min(T, 3)
    systems, left = (
        _systems(T, min(n, M), n + FOLDS, put),
        _systems(T * FOLDS, -(-n // FOLDS), P, put),
    )
    solve = lambda: [namespace(a).linalg.solve(a, b) for a, b in (systems, left)]
    return Work(
        lambda: estimators.evaluate(estimators.aipw_cross_fitted, S, X, C),
        lambda: [_cross_fitted_loop(source, target, c) for c in core[:few]],
        "scikit-learn Ridge, loop over sets and folds",
        few / T,
        solve=solve,
        operations=T
        * (2 * M * n * min(n, M) + 2 * M * n * (n + FOLDS) + 2 * P * n * (n + 2 * FOLDS)),
        bytes=16 * T * n * (M + P),
        matrix=source.nbytes,
    )


def _cross_fitted_loop(source, target, core):
    """The estimates (P,) of one core set by the formula of `estimators.aipw_cross_fitted`, fold by fold."""
    N, n = source.shape[1], len(core)
    value = []
    for k in range(FOLDS):
        test, train = core[k::FOLDS], np.delete(core, np.s_[k::FOLDS])
        g = (
            Ridge(alpha=ALPHA).fit(source[:, train].T, target[:, train].T).predict(source.T)
        )  # (N, P)
        rest = np.setdiff1d(np.arange(N), train)
        correction = (target[:, test].T - g[test]).mean(axis=0) * (N - len(train))
        value.append((target[:, train].sum(axis=1) + g[rest].sum(axis=0) + correction) / N)
    return np.mean(value, axis=0)


def fit_2pl(at, put):
    """The 2PL with ten dimensions, in single precision, from scores in bytes."""
    M, N = at["M"], at["N"]
    values = rasch(M, N, np.random.default_rng(0)).astype(np.uint8)
    X, evaluations = put(values), []
    objective = irt._objective

    def counted(*args):
        evaluations[-1] += 1
        return objective(*args)

    block = (
        2**30 if backend.name() == "cupy" and put is backend.asarray else irt.BLOCK
    )  # as its docstring says

    def ours():
        evaluations.append(0)
        with mock.patch.object(irt, "_objective", counted):
            return irt.fit_2pl(X, dtype=namespace(X).float32, max_memory=block)

    dims, epochs = min(irt.DIMS, M, N), EPOCHS // 10
    scores = bp.Scores(values.astype(float), name="simulated")
    return Work(
        ours,
        partial(_py_irt, scores, 0.1, epochs)
        if installed("py_irt.training") and M * N <= 10**5
        else None,
        f"py-irt, {EPOCHS:,} epochs",
        epochs / EPOCHS,
        operations=lambda: (
            6 * M * N * (dims + 1) * np.median(evaluations)
        ),  # the logits, and the two gradients
        bytes=lambda: (
            M * N * np.median(evaluations)
        ),  # the scores, once for each value of the objective
        precision="float32",
        matrix=values.nbytes,
    )


def k_medoids(at, put):
    """The medoids of n clusters of the N items, by the correlations of their scores."""
    M, N, n = (at[letter] for letter in "MNn")
    source = rasch(M, N, np.random.default_rng(0))
    S, seed = put(source), np.random.default_rng(1)

    def peer():
        with np.errstate(invalid="ignore"):  # items on which all models score the same
            distance = 1 - np.nan_to_num(np.corrcoef(source.T))
        model = kmedoids.KMedoids(
            n, metric="precomputed", init="random", random_state=int(seed.integers(2**31))
        )
        return model.fit(distance).medoid_indices_

    return Work(
        lambda: optimised.anchor_points_weighted(_again(S), n, seed)[0],
        peer,
        "NumPy corrcoef, KMedoids of kmedoids",
        operations=2 * M * N**2,
        bytes=2 * 4 * N**2,  # the distances, made and read once
        precision="float32",
        matrix=source.nbytes,
    )


def k_center(at, put):
    """The farthest-point core set: n items, each the farthest from those before it."""
    M, N, n = (at[letter] for letter in "MNn")
    source = rasch(M, N, np.random.default_rng(0))
    S, rng = put(source), np.random.default_rng(1)

    def peer():
        z, chosen = source.T, [int(rng.integers(N))]
        nearest = pairwise_distances(z, z[chosen]).ravel()
        while len(chosen) < n:
            chosen.append(int(nearest.argmax()))
            nearest = np.minimum(nearest, pairwise_distances(z, z[chosen[-1:]]).ravel())
        return np.array(chosen)

    return Work(
        lambda: designs.k_center_greedy(S, n, rng),
        peer,
        "scikit-learn pairwise_distances, step by step",
        operations=2 * M * N * n,
        bytes=n * source.nbytes,  # the matrix, once for each item
        matrix=source.nbytes,
    )


def similarity(at, put):
    """Kappa of every two of A models, from scores in bytes."""
    A, N = at["A"], at["N"]
    values = rasch(A, N, np.random.default_rng(0)).astype(np.uint8)
    X, few = put(values), max(A // 50, 1)

    def peer():
        agree = 1 - pairwise_distances(
            values[:few].astype(bool), values.astype(bool), metric="hamming"
        )
        p = values.mean(axis=1)
        by_chance = p[:few, None] * p + (1 - p[:few, None]) * (1 - p)
        return (agree - by_chance) / (1 - by_chance)

    return Work(
        lambda: bp.pairwise_similarity(X, X, "kappa"),
        peer,
        "scikit-learn pairwise_distances, kappa",
        few / A,
        operations=2 * A**2 * N,
        bytes=A * N + 8 * A**2,
        precision="float32",  # counts up to 2**24 are exact in it
        matrix=values.nbytes,
    )


def imports(at, put):
    """`import benchpred_utils` in a new interpreter."""
    run = lambda code: partial(subprocess.run, [sys.executable, "-c", code], check=True)
    return Work(
        run("import benchpred_utils"),
        run("import pandas, sklearn.linear_model, scipy.stats"),
        "import of pandas, scikit-learn, scipy.stats",
        solve=run("import numpy"),
        solve_name="import of NumPy",
    )


def book(at, put):
    """The book from its stored outputs: `make html`, or as many pages as nbconvert makes of the notebooks."""
    folder = tempfile.TemporaryDirectory(
        prefix="benchpred-book-"
    )  # goes when the functions below do
    quiet = partial(subprocess.run, check=True, cwd=ROOT, capture_output=True)
    notebooks = [str(path) for path in sorted((ROOT / "notebooks").glob("*.ipynb"))]
    command = [sys.executable, "-m", "nbconvert", "--to", "html", "--output-dir", folder.name]
    return Work(
        lambda: quiet([sys.executable, str(ROOT / "book" / "tools" / "build.py"), folder.name]),
        (lambda: quiet(command + notebooks)) if installed("nbconvert") else None,
        "nbconvert: pages without contents or references",
    )


def _again(values):
    """The same array as another one, of which nothing has been kept."""
    return namespace(values).asarray(values, copy=True)


def _systems(count, size, columns, put):
    """As many systems of linear equations, well-conditioned: matrices and right-hand sides."""
    rng = np.random.default_rng(0)
    return put(rng.random((count, size, size)) + size * np.eye(size)), put(
        rng.random((count, size, columns))
    )


class Problem(NamedTuple):
    """A problem, the size at which it is compared, and the variables with which its cost is followed."""

    work: Callable
    base: dict
    tiny: dict | None  # to see it run; None: too long for that
    curves: dict = {}  # variable: values, the others as at the base; along the first one the peer runs too
    device: tuple = ()  # further sizes, on a GPU
    once: bool = False  # minutes long: one run, the first


def _powers(start, count, factor=2):
    return tuple(start * factor**i for i in range(count))


GSM8K, TINY = (
    {"M": 63, "N": 1000, "n": 50},
    {"M": 12, "N": 40, "n": 10},
)  # the sources of its interpolation split
TARGETS, FEW = {"P": 20}, {"P": 3}
PROBLEMS = {
    "AIPW, one trial": Problem(
        trial,
        GSM8K | TARGETS,
        TINY | FEW,
        {"M": _powers(50, 5), "N": _powers(500, 5), "n": _powers(25, 5)},
        ({"M": 2_000, "N": 20_000, "n": 200, "P": 50},),
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
        (GSM8K | TARGETS | {"T": 100_000},),
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
        ({"M": 2_000, "N": 100_000},),
    ),
    "k-medoids": Problem(k_medoids, GSM8K, TINY, {"N": _powers(500, 4), "n": _powers(25, 4)}),
    "k-center": Problem(
        k_center,
        GSM8K,
        TINY,
        {"N": _powers(500, 5), "M": _powers(50, 4), "n": _powers(25, 4)},
        ({"M": 2_000, "N": 20_000, "n": 200},),
    ),
    "similarity of models": Problem(
        similarity,
        {"A": 5_000, "N": 1_000},
        {"A": 9, "N": 40},
        {"A": (625, 1_250, 2_500, 5_000), "N": _powers(250, 4)},
    ),
    "import benchpred_utils": Problem(imports, {}, {}),
    "the book's build": Problem(book, {}, None, once=True),
}


def sizes(name, tiny=False, device=False):
    """The sizes at which a problem is timed, as dicts, the base first, and whether the peer runs at each of them."""
    problem = PROBLEMS[name]
    if tiny:
        return [(problem.tiny, True)] * (problem.tiny is not None)
    along = [
        (problem.base | {letter: x}, not i)
        for i, (letter, xs) in enumerate(problem.curves.items())
        for x in xs
    ]
    further = [(size, True) for size in problem.device] if device else []
    found = {}
    for size, with_peer in [(problem.base, True), *along, *further]:
        found.setdefault(label(size), (size, with_peer))
    return list(found.values())


def label(size):
    """A size in words: M=63 N=1000."""
    return " ".join(f"{letter}={value}" for letter, value in size.items())
