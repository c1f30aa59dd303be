"""AIPW on a matrix that has to stay in bytes: time, memory, and what single precision changes."""

from dataclasses import dataclass

import numpy as np
from measure import clock, in_child, rates

from benchpred_utils import designs, estimators
from benchpred_utils.backend import asarray, namespace, to_numpy

from .loops import aipw_of_all_targets

MIB = 2**20


@dataclass(frozen=True)
class Size:
    M: int = 2_000
    N: int = 200_000
    n: int = 200
    P: int = 50
    trials: int = 1_000
    max_memory: int = 2**30


TINY = Size(M=12, N=40, n=10, P=3, trials=4, max_memory=2**20)


def large(settings):
    """Table `large`: AIPW of all targets and trials in either precision, in a new process each, and a peer's trial."""
    size = TINY if settings.is_tiny else Size()
    machine = rates(256 if settings.is_tiny else 2048)
    double = None
    for dtype in ("float64", "float32"):
        (seconds, values), before, peak = in_child(_run, size, dtype)
        double = values if double is None else double
        floor = (
            size.trials * 2 * size.M * size.n**2 / machine[dtype]
        )  # the n x n products of the systems alone
        yield (
            "large",
            _row(size, f"evaluate, {dtype}", seconds, floor, peak, np.abs(values - double).max()),
        )
    (seconds, values), before, peak = in_child(_peer, size)
    yield (
        "large",
        _row(
            size,
            "scikit-learn Ridge, loop over trials, in float64",
            seconds,
            np.nan,
            peak,
            np.abs(values - double[0]).max(),
        ),
    )


def _row(size, what, seconds, floor, peak, difference):
    shape = {"M": size.M, "N": size.N, "n": size.n, "P": size.P, "trials": size.trials}
    matrix = (size.M + size.P) * size.N / MIB  # source and targets, a byte each
    row = (
        {"what": what}
        | shape
        | {"seconds": seconds, "floor_s": floor, "times_floor": seconds / floor}
    )
    row |= {"peak_mib": peak, "matrix_mib": matrix, "peak_over_matrix": peak / matrix}
    return row | {"max_memory_mib": size.max_memory / MIB, "largest_difference": difference}


def _run(size, dtype):
    """Seconds of all trials, draws included, and the estimates (trials, P)."""
    source, target = _matrix(size)
    S, X, start = asarray(source), asarray(target), clock()
    core = designs.uniform_core_sets(size.N, size.n, size.trials, np.random.default_rng(1))
    dtype = getattr(namespace(S), dtype)
    estimate = estimators.evaluate(
        estimators.aipw, S, X, asarray(core), max_memory=size.max_memory, dtype=dtype
    )
    return clock() - start, to_numpy(estimate.value)


def _peer(size):
    """Seconds of all trials, scaled from one on the first of those core sets, and its estimates (P,)."""
    source, target = _matrix(size)
    core = designs.uniform_core_sets(size.N, size.n, size.trials, np.random.default_rng(1))[0]
    source, target, start = source.astype(float), target.astype(float), clock()
    values = aipw_of_all_targets(source, target, size.n, _Given(core), None)
    return (clock() - start) * size.trials, values


class _Given:
    """A generator that draws the core set that it was given."""

    def __init__(self, core):
        self.core = core

    def choice(self, *args, **kwargs):
        return self.core


def _matrix(size):
    """Simulated 0/1 scores in bytes, of the source models (M, N) and the targets (P, N): P(s = 1) is logistic."""
    rng = np.random.default_rng(0)
    difficulty = rng.normal(0, 1.2, size.N).astype(np.float32)
    scores = np.empty((size.M + size.P, size.N), dtype=np.uint8)
    for row in scores:  # one by one: no matrix of floats is made
        row[:] = rng.random(size.N, dtype=np.float32) < 1 / (
            1 + np.exp(difficulty - np.float32(rng.normal(0.3, 1.2)))
        )
    return scores[size.P :], scores[: size.P]
