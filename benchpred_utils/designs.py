"""Designs: which n of the N items make the core set C.

A design is a function ``design(source, n, rng)`` of the source scores (M, N), the budget and a
Generator. It returns the core set, (n,) distinct item indices *in the order of drawing*, and never
sees a target model; `methods.drawn_by` makes it the draw of a method. A draw that also says how to
read its scores takes what was learned, and returns a Draw (see `optimised` and `irt`).
"""

from numbers import Integral, Real
from typing import NamedTuple

import numpy as np

from .backend import array_module, to_numpy


class Draw(NamedTuple):
    """A core set and what it takes to read its scores; or T of them, with a first axis of T."""

    items: object  # (n,) item indices in the order of drawing
    reading: tuple = ()  # what a method learned for this core set, such as weights, on the host


def uniform(source, n, rng):
    """Simple random sampling without replacement: every item has inclusion probability n/N.

    Gives (n,) indices. Raises ValueError when n is not between 1 and N.
    """
    return rng.choice(checked_budget(source.shape[1], n), n, replace=False)


def uniform_core_sets(n_items, n, size, rng):
    """`size` independent simple random samples of n of `n_items` items: (size, n) indices.

    Row t is made of the t-th n numbers that `rng.random` gives. The i-th item is the r_i-th of the
    N - i that are left, r_i uniform: the Lehmer code of an ordered sample.
    Raises ValueError when n is not between 1 and N.
    """
    checked_budget(n_items, n)
    left = np.arange(n_items, n_items - n, -1)
    r = (rng.random((size, n)) * left).T.astype(np.min_scalar_type(-n_items), order="C")
    for i in range(n - 2, -1, -1):
        # Later draws counted what was left after the i-th; put its item back: those from there on
        # move up by one.
        r[i + 1 :] += r[i + 1 :] >= r[i]
    return np.ascontiguousarray(r.T, dtype=np.int64)


def k_center_greedy(source, n, rng):
    """The farthest-point core set on the items' source-score vectors: (n,) indices (Gonzalez 1985).

    It starts at a random item and adds, again and again, an item whose distance to the nearest
    chosen one is greatest; ties, of which a 0/1 matrix has many, are broken at random. Squared
    distances |a|^2 + |b|^2 - 2 a'b are whole numbers there, and exact.
    Raises ValueError when n is not between 1 and N, or a score is missing.
    """
    n_items = checked_budget(source.shape[1], n)
    xp = array_module(source)
    order = rng.permutation(n_items)  # argmax takes the first of equals
    z = source[:, order]
    square = (z**2).sum(axis=0)
    if not xp.isfinite(square).all():
        raise ValueError("the source scores hold missing or infinite values")
    chosen = []
    nearest = xp.full(n_items, xp.inf)  # squared distance of each item to its nearest chosen one
    for _ in range(n):
        chosen.append(nearest.argmax())  # it stays where it is: a GPU need not be waited for
        center = z[:, chosen[-1]]
        nearest = xp.minimum(nearest, square + (center @ center - 2 * (center @ z)))
        nearest[chosen[-1]] = -1.0  # below the distance of a duplicate: no item is taken twice
    return xp.asarray(order)[xp.stack(chosen)]


def checked_budget(n_items, n):
    """N, when n of N items can be drawn; else a ValueError."""
    if not 1 <= n <= n_items:
        raise ValueError(
            f"a core set of {n} items can't be drawn from {n_items}; "
            "the budget must be between 1 and N"
        )
    return n_items


def checked_core(core, n, n_items, whose):
    """Core sets (T, n) on the host, when each holds n distinct items of N; else a ValueError."""
    core = to_numpy(core)
    if (
        core.shape[1:] != (n,)
        or core.dtype.kind not in "iu"
        # In order, between -1 and N, every item is above the one before.
        or (np.diff(np.sort(core), prepend=-1, append=n_items) < 1).any()
    ):
        raise ValueError(
            f"{whose} must give {n} distinct items of {n_items}, by whole numbers from 0 to "
            f"{n_items - 1}; it does not"
        )
    return core


def budget_items(budget, n_items):
    """The number n of items that `budget` means: itself, or a fraction of N if it is below 1.

    Raises ValueError when it is neither, such as 1.0, True or "50", or not between 1 and N.
    """
    n = 0
    if isinstance(budget, Real) and 0 < budget < 1:
        n = round(float(budget) * n_items)
    elif isinstance(budget, Integral) and budget is not True:
        n = int(budget)
    if not 1 <= n <= n_items:
        raise ValueError(
            f"budget is {budget!r}; it must be a whole number of items between 1 and {n_items}, "
            "or a fraction of them below 1 that gives at least one item"
        )
    return n
