"""Designs: which n of the N items make the core set C.

A design is a function ``design(source, n, rng)`` of the source scores (M, N), the budget and a Generator; it returns
the core set, (n,) distinct item indices *in the order of drawing*, and never sees a target model.  A design that learns
how to read the core set's scores from the sources returns a tuple: (core, weights (n,), intercept).
"""

import numpy as np

from . import backend

__all__ = ["k_center_greedy", "uniform", "uniform_core_sets"]


def uniform(source, n, rng):
    """Simple random sampling without replacement: every item has inclusion probability n/N; (n,) indices.

    Raises ValueError when n is not between 1 and N.
    """
    return rng.choice(checked_budget(source.shape[1], n), n, replace=False)


def uniform_core_sets(n_items, n, size, rng):
    """`size` independent simple random samples of n of `n_items` items, at once: (size, n) indices in random order.

    Raises ValueError when n is not between 1 and N.
    """
    keys = rng.random((size, checked_budget(n_items, n)))
    chosen = np.argpartition(keys, n - 1, axis=1)[:, :n] if n < n_items else np.argsort(keys, axis=1)
    # argpartition leaves the chosen in an order that depends on their place; sorted by key it is uniform
    order = np.argsort(np.take_along_axis(keys, chosen, axis=1), axis=1)
    return np.take_along_axis(chosen, order, axis=1)


def k_center_greedy(source, n, rng):
    """The farthest-point core set on the items' source-score vectors, (n,) indices (Gonzalez 1985).

    It starts at a random item and adds, again and again, an item whose distance to the nearest chosen one is greatest;
    many items tie in a 0/1 matrix, and ties are broken at random.
    Raises ValueError when n is not between 1 and N.
    """
    n_items = checked_budget(source.shape[1], n)
    order = rng.permutation(n_items)  # argmax takes the first of equals: the first in a random order
    z = np.ascontiguousarray(backend.to_numpy(source).T[order])  # (N, M)
    chosen = [0]
    nearest = np.full(n_items, np.inf)  # squared distance of each item to its nearest chosen one
    for _ in range(n - 1):
        nearest = np.minimum(nearest, np.square(z - z[chosen[-1]]).sum(axis=1))
        nearest[chosen[-1]] = -1.0  # below 0, the distance of a duplicate, so that no item is chosen twice
        chosen.append(int(nearest.argmax()))
    return order[chosen]


def checked_budget(n_items, n):
    """N, when n of N items can be drawn; else a ValueError."""
    if not 1 <= n <= n_items:
        raise ValueError(f"a core set of {n} items can't be drawn from {n_items}; the budget must be between 1 and N")
    return n_items
