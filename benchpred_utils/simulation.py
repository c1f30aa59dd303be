"""Simulation with known truth: populations of item scores, and an estimator's draws over and over."""

import numpy as np

from . import backend, designs
from .estimators import Estimate, observe

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


def replicate(estimator, source, target, n, replications, rng, chunk=500):
    """An estimator over `replications` independent simple random core sets of n items: an Estimate of (R, P) arrays.

    `source` goes to the estimator as it is: source scores (M, N), or g (N,) for :func:`~.estimators.difference`;
    `target` is (P, N).  The draws are made in chunks, which bounds the memory and does not change the result.
    """
    parts = []
    for start in range(0, replications, chunk):
        core = designs.uniform_core_sets(target.shape[1], n, min(chunk, replications - start), rng)
        parts.append(estimator(source, backend.asarray_like(core, target), observe(target, core)))
    return Estimate(*(None if part[0] is None else np.concatenate([*map(backend.to_numpy, part)]) for part in zip(*parts)))
