"""Simulation with known truth: populations of item scores, and draws over and over."""

from benchpred_utils.backend import asarray
from benchpred_utils.designs import uniform_core_sets
from benchpred_utils.estimators import evaluate, join

PREDICTIONS = ("good", "useless", "harmful")
PART = 10_000  # core sets drawn together


def population(n_items, rng, prediction="good"):
    """A target's 0/1 scores s (N,) and a prediction g (N,) of them, made before any item is drawn.

    Item z is answered right with probability p(z), drawn from Beta(2, 1). A good g is p itself; a
    useless one is p of other items (shuffled); a harmful one is 1 - p, wrong in its sign.
    Raises ValueError for another prediction.
    """
    if prediction not in PREDICTIONS:
        raise ValueError(f"prediction is {prediction!r}; use one of {', '.join(PREDICTIONS)}")
    p = rng.beta(2, 1, n_items)
    s = (rng.random(n_items) < p).astype(float)
    return s, {"good": p, "useless": rng.permutation(p), "harmful": 1 - p}[prediction]


def replicate(estimator, source, target, n, replications, rng):
    """An estimator over R independent simple random core sets of n items: an Estimate of (R, P).

    `source` goes to the estimator as it is: source scores (M, N), or g (N,) for
    :func:`~.estimators.difference`; `target` is (P, N), `rng` a numpy Generator.
    """
    parts = []
    for start in range(0, replications, PART):
        size = min(PART, replications - start)
        core = asarray(uniform_core_sets(target.shape[1], n, size, rng))
        parts.append(evaluate(estimator, source, target, core))
    return join(parts)
