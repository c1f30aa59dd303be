"""Estimates of parts of a benchmark, its tasks or domains, from one draw of all its items."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from ..intervals import sample_interval
from ..scores import Scores

__all__ = ["PartEstimate", "TaskEstimates", "tasks_of"]

Array = np.ndarray


class PartEstimate(NamedTuple):
    """What is known of some items, or of a mean over tasks, with a 95% interval."""

    value: float  # raw: an unbiased one may leave [0, 1]
    lower: float
    upper: float
    n: int  # of these items have results
    n_items: int


class TaskEstimates(NamedTuple):
    """What a session knows of each task, and of the two averages."""

    tasks: dict[str, PartEstimate]
    mean: PartEstimate  # of the tasks, each counting the same: the macro average
    items: PartEstimate  # each item counting the same, as in `estimate`


def tasks_of(source: Scores, by: str | None = None) -> Array:
    """(N,) the task of each item: by "task" that of its name, task:id, by "domain" its domain.

    Of None the first of these by which there are several.  Raises ValueError where there is none.
    """
    of_name = np.array([name.rpartition(":")[0] for name in source.items.tolist()])
    if by != "domain" and of_name.all() and (by or len(set(of_name)) > 1):
        return of_name
    if by == "task" or source.domains is None:
        raise ValueError("the items are of no tasks: name them task:id, or give domains")
    return source.domains.astype(str)


def shares(of_item: Array) -> Array:
    """(D + 1, N) the c of the mean over each of D tasks, and of the mean of these means.

    `of_item` (N,) numbers the task of each item.
    """
    size = np.bincount(of_item)
    c = (of_item == np.arange(len(size))[:, None]) / size[:, None]
    return np.concatenate([c, c.mean(axis=0, keepdims=True)])


def part_estimates(
    c: Array, g: Array, q: Array, items: Array, s: Array, cell: Array
) -> list[PartEstimate]:
    """Of sum c s, for rows c (D, N), from the scores s (n,) of the items drawn in these cells.

    The difference estimator sum c g + sum e, e = c (s - g)/q, unbiased where g and q (N,) were
    fixed before each draw (Särndal, Swensson & Wretman 1992, ch. 10).  Its variance is that of e
    about its mean in each cell, times 1 - q; and at least half of what g says, the sum of
    c^2 g (1 - g)(1/q - 1).
    """
    e = c[:, items] * (s - g[items]) / q[items]
    value = c @ g + e.sum(axis=1)
    of_cell = cell == np.unique(cell)[:, None]
    n = of_cell.sum(axis=1)
    e = e - (e @ of_cell.T / n) @ of_cell
    rest = (1 - q[items]) * (n / np.maximum(n - 1, 1) @ of_cell)
    share = s.var() / (s.var() + (s * (1 - s)).mean() + 1e-12)
    variance = np.maximum(e**2 @ rest, share * (c**2 @ (g * (1 - g) * (1 / q - 1))) / 2)
    free = 1 - len(n) / len(s)  # the share of the degrees of freedom that the cells leave
    found = []
    for row, its_value, its_variance in zip(c, value, variance):
        weight = row[items] / q[items]
        n = np.count_nonzero(weight)
        n_items = np.count_nonzero(row)
        ends = 0.0, 1.0
        if n:
            mean = weight @ s / weight.sum()
            ends = sample_interval(its_value, its_variance, mean, n, n_items, max(n * free, 1))
        found.append(PartEstimate(*map(float, (its_value, *ends)), n, n_items))
    return found


def span(parts: Iterable[PartEstimate]) -> PartEstimate:
    """The value half way between several, and the interval that holds theirs."""
    value, lower, upper, n, n_items = zip(*parts)
    return PartEstimate(sum(value) / len(value), min(lower), max(upper), n[0], n_items[0])
