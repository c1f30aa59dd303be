"""Designs: which n of the N items make the core set C.

A design is a function ``design(source, n, rng)`` of the source scores (M, N), the budget and a Generator; it returns
the core set, (n,) distinct item indices *in the order of drawing*, and never sees a target model.  A design that learns
how to read the core set's scores from the sources returns a tuple: (core, weights (n,), intercept).
"""

import numpy as np

from . import backend
from .shared import chunks

__all__ = ["k_center_greedy", "uniform", "uniform_core_sets"]

BLOCK = 2**24  # bytes of core sets read at a time: they stay in a processor's cache


def uniform(source, n, rng):
    """Simple random sampling without replacement: every item has inclusion probability n/N; (n,) indices.

    Raises ValueError when n is not between 1 and N.
    """
    return rng.choice(checked_budget(source.shape[1], n), n, replace=False)


def uniform_core_sets(n_items, n, size, rng, max_memory=BLOCK):
    """`size` independent simple random samples of n of `n_items` items, at once: (size, n) indices in random order.

    `rng` is a Generator or a :class:`~.counter.Stream`, whose array library the result has; row t is made of the t-th
    n numbers it gives.  The i-th item is the r_i-th of the N - i that are left, r_i uniform: the Lehmer code of an
    ordered sample, read in n (n - 1) / 2 comparisons.  Takes 16 n bytes per core set, the result included, and
    `max_memory` bytes, which by default stay in a processor's cache; on a GPU more of them mean fewer launches.
    Raises ValueError when n is not between 1 and N.
    """
    checked_budget(n_items, n)
    u = rng.random((size, n))
    xp = backend.namespace(u)
    narrow = getattr(
        xp, np.min_scalar_type(-n_items).name
    )  # holds 0 to N - 1: half the width is half the time
    left = xp.arange(n_items, n_items - n, -1, dtype=u.dtype, device=backend.device(u))
    core = xp.empty(u.shape, dtype=xp.int64, device=backend.device(u))
    for some in chunks(size, 16 * n, max_memory):
        core[some, :] = _ordered_samples(xp.astype(u[some, :] * left, narrow))
    return core


def _ordered_samples(code):
    """Items in the order of drawing, from Lehmer codes: (T, n) integers, r_i below N - i."""
    xp = backend.namespace(code)
    r = xp.empty(code.shape[::-1], dtype=code.dtype, device=backend.device(code))
    r[:, :] = code.T  # a row per draw: the arrays of a step lie together
    for i in range(r.shape[0] - 2, -1, -1):
        # later draws counted what was left after the i-th; put its item back: those from there on move up by one
        r[i + 1 :, :] += xp.astype(r[i + 1 :, :] >= r[i, :], r.dtype)
    return xp.astype(r, xp.int64).T


def k_center_greedy(source, n, rng):
    """The farthest-point core set on the items' source-score vectors, (n,) indices (Gonzalez 1985).

    It starts at a random item and adds, again and again, an item whose distance to the nearest chosen one is greatest;
    many items tie in a 0/1 matrix, and ties are broken at random.  Squared distances |a|^2 + |b|^2 - 2 a'b are whole
    numbers there, and exact: every array library chooses the same.  Of other scores, ties are equal up to rounding.
    Raises ValueError when n is not between 1 and N.
    """
    n_items, xp = checked_budget(source.shape[1], n), backend.namespace(source)
    order = backend.asarray_like(
        rng.permutation(n_items), source
    )  # argmax takes the first of equals in a random order
    z = xp.take(backend.floating(source), order, axis=1)  # (M, N)
    square, place = xp.sum(z**2, axis=0), xp.arange(n_items, device=backend.device(source))
    chosen, nearest = (
        [place[:1]],
        float("inf"),
    )  # squared distance of each item to its nearest chosen one
    for _ in range(n - 1):
        center = xp.take(z, chosen[-1], axis=1)  # (M, 1)
        distance = square + (
            xp.sum(center**2, axis=0) - 2 * (xp.matrix_transpose(center) @ z)[0, :]
        )
        # below 0, the distance of a duplicate, so that no item is chosen twice
        nearest = xp.minimum(xp.where(place == chosen[-1], -1.0, distance), nearest)
        chosen.append(xp.argmax(nearest, axis=0, keepdims=True))
    return xp.take(order, xp.concat(chosen))


def checked_budget(n_items, n):
    """N, when n of N items can be drawn; else a ValueError."""
    if not 1 <= n <= n_items:
        raise ValueError(
            f"a core set of {n} items can't be drawn from {n_items}; the budget must be between 1 and N"
        )
    return n_items
