"""Intervals of an estimate: Student's, the score interval, and that of one draw per cell."""

import numpy as np
from scipy.special import stdtrit

from .backend import array_module


def t_interval(value, variance, df, level=0.95):
    """value -/+ t sqrt(variance), the Student interval: two arrays of the shape of `value`.

    It takes the estimate for normal and the variance for well estimated, which fails near 0 and 1
    (Student 1908).
    """
    half = float(stdtrit(df, 0.5 + level / 2)) * variance**0.5
    return value - half, value + half


def score_interval(value, variance, mean, plain, df, level=0.95, step=0.0):
    """The theta that a score test of `value` keeps: Wilson's interval at the effective sample size.

    Of the variance only the ratio to mean (1 - mean) is taken from the sample, the rest from theta:

        (|value - theta| - step k)^2 <= t^2 k theta (1 - theta),  k = variance / (mean (1 - mean)),

    with `variance` estimated for `value`, and `mean` the observed scores' own (weighted by 1/q when
    drawn with unequal q). k is 1/(effective sample size); where all scores are 0 or all are 1
    nothing tells it, and it is `plain`, (1 - n/N)/n, as of the plain mean. `step` corrects for
    continuity; k is `plain` at most beside it. df: inf where k is known, n - 1 where it is
    estimated. Gives two arrays of the shape of `value`, in [0, 1] also for an unbiased value that
    is not (Wilson 1927; Kott & Carr 1997; Korn & Graubard 1998).
    """
    xp = array_module(value)
    spread = mean * (1 - mean)
    known = spread > 1e-9  # a weighted mean of ones is 1 but for rounding
    k = xp.where(known, variance / xp.where(known, spread, 1.0), plain)
    step = step * xp.clip(k, None, plain)
    k = k * float(stdtrit(df, 0.5 + level / 2)) ** 2
    value = xp.clip(value, 0.0, 1.0)
    ends = []
    for sign in (-1, 1):
        end = xp.clip(value + sign * step, 0.0, 1.0)
        half = xp.sqrt(k * end * (1 - end) + k**2 / 4)
        end = (end + k / 2 + sign * half) / (1 + k)
        ends.append(xp.clip(end + sign * 1e-12, 0.0, 1.0))  # rounding excludes no theta
    return tuple(ends)


def sample_interval(value, variance, mean, n, n_items, df, observed=None, residual=None):
    """The score interval of n of N items, mended near 0 and 1: two arrays of the shape of `value`.

    There the numbers that matter are small: of wrong (or right) answers seen, and, where n is near
    N, of those not seen. They are far from normal: single accuracies would be covered .80 to .90 of
    the time. So there is a step, half an item, 1/(2n), where either number is 0, and less by a
    twentieth of an item with each. And few of them tell no variance: with x seen k gets 1/(1 + x)^2
    of what it lacks of (1 - n/N)/n, or all where there is no variance: nothing for the plain mean
    of 0/1 scores. That mean is then covered .915 at least, by enumeration, with intervals wider by
    1% to 9% on average over the accuracies for n of 25 or more.

    Forecasts that are sure and nearly all right tell no variance either: with y of those seen
    failed, k gets at least 1/(1 + y)^(4/3) of what it lacks. y is the sum of residual^2, divided by
    their size, sum residual^4 / sum residual^2, from 1/4 (of an even chance) to 1 (of a sure
    forecast). `observed` and `residual`, s and s - g, have one more axis, of the items. For graded
    scores squares and what is lacking are taken by the share of mean (1 - mean) that the variance
    of the scores is.

    The step is that of a plain mean, times the part that `variance` is of its. Beyond N/2 it is not
    made smaller, and what is not seen counts by that part: one of the last items makes a difference
    of one, however small a variance the others showed.
    """
    xp = array_module(value)
    plain = (1 - n / n_items) / n
    spread = mean * (1 - mean)

    def lacking(share):
        return xp.clip(share * plain * spread - variance, 0.0, None)

    known = variance > 1e-15
    added = lacking(1.0) / (1 + n * xp.minimum(mean, 1 - mean)) ** 2
    if residual is not None:
        share = variance_share(observed)
        known = known & (share > 1e-9)  # not where all scores are equal, though the g are not
        square = residual**2 / (share[..., None] + 1e-12)
        total = xp.sum(square, axis=-1)
        size = xp.sum(square**2, axis=-1) / (total + 1e-12)
        failed = total / xp.clip(size, 0.25, None)
        added = xp.maximum(added, lacking(share) / (1 + failed) ** (4 / 3))
    variance = variance + xp.where(known, added, lacking(1.0))
    edge = xp.clip(xp.minimum(value, 1 - value), 0.0, None) * min(1.0, plain * n_items)
    part = 1.0
    if 2 * n > n_items:
        part = xp.clip(variance / xp.clip(plain * spread, 1e-15, None), 1e-9, 1.0)
        part = xp.where(spread > 1e-9, part, 1.0)
    step = xp.clip(0.5 / n - edge * part / 20, 0.0, None) / (max(plain, 1e-12) * part)
    return score_interval(value, variance, mean, plain, df, step=step)


def variance_share(s):
    """The variance of scores s (..., n) as a share (...,) of mean (1 - mean): 1 for 0/1 scores."""
    xp = array_module(s)
    mean = xp.mean(s, axis=-1)
    return xp.var(s, axis=-1) / (mean * (1 - mean) + 1e-12)


def cell_variance(e, q, n_items):
    """The variance (B,) of the sum of e over N, with one draw from each of n > 2 cells.

    e and q are (B, n), in order of drawing. The variance is the expectation of (1 - q) e^2, less
    the products of different items' residuals, which are positive as long as g has not learned how
    good the target is. So a regression of e on 1/k, k = 1, ..., n the number of the draw, is taken
    out: an error that fades as g learns. One draw per cell allows no unbiased estimate of the
    variance; regression over the cells is Hartley, Rao & Kiefer's (1969), and can be half of the
    variance where the two items of a cell have residuals of opposite sign. The mean and the slope
    that are taken out leave n - 2 degrees of freedom.
    """
    xp = array_module(e)
    n = e.shape[-1]
    k = xp.arange(1.0, n + 1)
    line = xp.linalg.qr(xp.stack([k**0, 1 / k], axis=1))[0]  # spans a constant and 1/k
    square = (e - e @ line @ line.T) ** 2
    return xp.sum(xp.clip(1 - q, 0.0, None) * square, axis=-1) * n / (n - 2) / n_items**2


def stratified_interval(value, observed, g, q, n_items, least=0.0):
    """The score interval of one draw from each of n cells: two arrays (B,).

    observed, g and q are (B, n), in order of drawing. A cell's total is estimated by sum g + e,
    e = (s - g)/q, whose variance is that of `cell_variance`, and at least `least`. Where all
    observed scores are equal, the interval is that score's, and not of a value that varies with g.
    With fewer than three draws it is [0, 1].
    """
    xp = array_module(value)
    n = observed.shape[-1]
    if n < 3:
        return xp.zeros_like(value), xp.ones_like(value)
    mean = xp.sum(observed / q, axis=-1) / xp.sum(1 / q, axis=-1)
    variance = xp.clip(cell_variance((observed - g) / q, q, n_items), least, None)
    is_equal = xp.max(observed, axis=-1) == xp.min(observed, axis=-1)
    value = xp.where(is_equal, observed[..., 0], value)
    return sample_interval(value, variance, mean, n, n_items, n - 2, observed, observed - g)


def ess_of_width(value, width, n, n_items):
    """The effective sample size per item of a score interval of this width, from n of N items.

    It is the squared ratio to the width of a plain sample's interval around the same value; NaN
    where the width says nothing. `value` and `width` are two numbers.
    """
    mean = np.clip(value, 0.0, 1.0)
    variance = (1 - n / n_items) / n * mean * (1 - mean)
    lower, upper = sample_interval(mean, variance, mean, n, n_items, max(n - 1, 1))
    return ((upper - lower) / width) ** 2 if 1e-9 < width < 1 else np.nan


def tango_interval(value, discordance, k, df, level=0.95, step=0.0):
    """The theta that Tango's score test of a mean paired difference keeps: two arrays, or numbers.

    Of n pairs of scores `value` is the mean of d = s_B - s_A, in [-1, 1], `discordance` that of
    d^2 (at least |value|), and k is 1/(effective number of pairs): (1 - n/N)/n for a simple random
    sample. df: inf where k is known. With p = (discordance - value)/2, b = (2 - value) theta -
    discordance and r = (sqrt(b^2 + 8 p theta (1 - theta)) - b)/4, the restricted estimate of the
    share of items that only A gets right,

        (|value - theta| - step)^2 <= t^2 k (2 r + theta (1 - theta)).

    0 is excluded where (|value| - step)^2 > t^2 k discordance, without a step McNemar's test
    (Tango 1998).
    """
    t = float(stdtrit(df, 0.5 + level / 2))
    p = (discordance - value) / 2

    def keeps(theta):
        product = theta * (1 - theta)
        b = (2 - value) * theta - discordance
        r = (np.sqrt(np.maximum(b**2 + 8 * p * product, 0.0)) - b) / 4
        far = np.maximum(np.abs(value - theta) - step, 0.0)
        return far**2 <= t**2 * k * (2 * r + product)

    return tuple(bisected(keeps, value, end, 50)[()] for end in (-1.0, 1.0))


def bisected(holds, inside, outside, halvings):
    """The last theta on the way from `inside` to `outside` where `holds(theta)`, by bisection.

    It is one at which that was found, or `inside` itself: never one beyond the boundary.
    """
    for _ in range(halvings):
        middle = (inside + outside) / 2
        here = holds(middle)
        inside = np.where(here, middle, inside)
        outside = np.where(here, outside, middle)
    return inside
