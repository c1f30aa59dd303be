"""Estimates of parts of a benchmark, its tasks or domains, from one draw of all its items."""

from typing import NamedTuple

import numpy as np

from ..intervals import sample_interval, variance_share


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


def tasks_of(source, by=None):
    """(N,) the task of each item: by "task" that of its name, task:id, by "domain" its domain.

    Of None the first of these by which there are several.  Raises ValueError where there is none.
    """
    of_name = np.array([name.rpartition(":")[0] for name in source.items.tolist()])
    if by != "domain" and of_name.all() and (by or len(set(of_name)) > 1):
        return of_name
    if by == "task" or source.domains is None:
        else_ = "give domains" if source.domains is None else "take by='domain' (--by domain)"
        raise ValueError(f"the items are of no tasks: name them task:id, or {else_}")
    return source.domains.astype(str)


def shares(of_item):
    """(D + 1, N) the c of the mean over each of D tasks, and of the mean of these means.

    `of_item` (N,) numbers the task of each item.
    """
    size = np.bincount(of_item)
    c = (of_item == np.arange(len(size))[:, None]) / size[:, None]
    return np.vstack([c, c.mean(axis=0)])


def part_estimates(c, g, q, items, s):
    """PartEstimates of the sums c s, for rows c (D, N), from the scores s (n,) of the items drawn.

    The difference estimator sum c g + sum e, e = c (s - g)/q, unbiased where g and q (N,) were
    fixed before each draw (Särndal, Swensson & Wretman 1992, ch. 10).  Its variance is that of e
    about its mean, times 1 - q, which is too large where the items were drawn from cells that are
    alike; and at least half of what g says, the sum of c^2 g (1 - g)(1/q - 1).

    A mean in which items weigh unequally is taken for one of as many items as would weigh alike,
    (sum w)^2 / sum w^2 with w = c/q, and that variance for one of as many terms.  Where all scores
    seen of a task are equal, the interval is that score's.
    """
    weight = c[:, items] / q[items]
    residual = s - g[items]
    e = weight * residual
    value = c @ g + e.sum(axis=1)
    e = e - e.mean(axis=1, keepdims=True)
    free = 1 - 1 / len(s)  # the share of the degrees of freedom that the mean leaves
    least = variance_share(s) * (c**2 @ (g * (1 - g) * (1 / q - 1))) / 2
    variance = np.maximum(e**2 @ (1 - q[items]) / max(free, 0.5), least)
    found = []
    for k, its_value in enumerate(value):
        its = weight[k] > 0
        w = weight[k, its]
        of_it = s[its]
        n = len(w)
        n_items = np.count_nonzero(c[k])
        ends = 0.0, 1.0
        if n:
            centre = of_it[0] if np.ptp(of_it) == 0 else its_value
            size = n, n_items, max(n * free, 1)
            if np.ptp(c[k, c[k] > 0]) > 1e-12:
                size = _alike(w, c[k] ** 2 @ (1 / q - 1), n_items, free)
            mean = w @ of_it / w.sum()
            ends = sample_interval(centre, variance[k], mean, *size, of_it, residual[its])
        least = c[k, items] @ s  # were the rest all wrong
        ends = np.clip(ends, least, least + c[k].sum() - c[k, items].sum())
        found.append(PartEstimate(*map(float, (its_value, *ends)), n, n_items))
    return found


def _alike(w, plain, n_items, free):
    """How many items, of how many, have a mean of the variance `plain`; its degrees of freedom."""
    n = w.sum() ** 2 / (w @ w)
    n_terms = (w @ w) ** 2 / (w**2 @ w**2)
    return n, max(1 / max(1 / n - plain, 1 / n_items), n), max(n_terms * free, 1)


def span(parts):
    """The value half way between several, and the interval that holds theirs."""
    value, lower, upper, n, n_items = zip(*parts)
    return PartEstimate(sum(value) / len(value), min(lower), max(upper), n[0], n_items[0])
