"""Simulation with known truth: populations of item scores, and an estimator's draws over and over."""

import numpy as np

from . import backend, designs
from .estimators import evaluate, join, memory_each
from .shared import MAX_MEMORY, chunks

__all__ = ["PREDICTIONS", "population", "replicate"]

PREDICTIONS = ("good", "useless", "harmful")


def population(n_items, rng, prediction="good"):
    """A target's 0/1 scores s (N,) and a prediction g (N,) of them, made before any item is drawn.

    Item z is answered right with probability p(z), drawn from Beta(2, 1).  A good g is p itself; a useless one is p of
    other items (shuffled); a harmful one is 1 - p, wrong in its sign.  Raises ValueError for another prediction.
    """
    if prediction not in PREDICTIONS:
        raise ValueError(f"prediction is {prediction!r}; use one of {', '.join(PREDICTIONS)}")
    p = rng.beta(2, 1, n_items)
    s = (rng.random(n_items) < p).astype(float)
    return s, {"good": p, "useless": rng.permutation(p), "harmful": 1 - p}[prediction]


def replicate(estimator, source, target, n, replications, rng, max_memory=MAX_MEMORY):
    """An estimator over `replications` independent simple random core sets of n items: an Estimate of (R, P) arrays.

    `source` goes to the estimator as it is: source scores (M, N), or g (N,) for :func:`~.estimators.difference`;
    `target` is (P, N).  `rng` is a numpy Generator, whose numbers are made on the host, or a :class:`~.counter.Stream`,
    which makes them where the arrays are.  Draws are made and read in chunks of up to `max_memory` bytes, which does
    not change them.  Raises ValueError when one core set takes more.
    """
    each = memory_each(estimator, source, target, n) + 16 * n
    parts = []
    for part in chunks(replications, each, max_memory):
        core = designs.uniform_core_sets(
            target.shape[1], n, part.stop - part.start, rng, max(max_memory // 16, 16 * n)
        )
        parts.append(
            evaluate(
                estimator, source, target, backend.asarray_like(core, target), max_memory=max_memory
            )
        )
    return join(parts)
