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


def score_interval(value, variance, mean, plain, df, level=0.95):
    """The theta that a score test of `value` keeps: Wilson's interval at the effective sample size.

    Of the variance only the ratio to mean (1 - mean) is taken from the sample, the rest from theta:

        (value - theta)^2 <= t^2 k theta (1 - theta),    k = variance / (mean (1 - mean)),

    with `variance` estimated for `value`, and `mean` the observed scores' own (weighted by 1/q when
    drawn with unequal q). k is 1/(effective sample size); where all scores are 0 or all are 1
    nothing tells it, and it is `plain`, (1 - n/N)/n, as of the plain mean. df: inf where k is
    known, n - 1 where it is estimated. Gives two arrays of the shape of `value`, in [0, 1] also for
    an unbiased value that is not (Wilson 1927; Kott & Carr 1997; Korn & Graubard 1998).
    """
    xp = array_module(value)
    value = xp.clip(value, 0.0, 1.0)
    spread = mean * (1 - mean)
    known = spread > 1e-9  # a weighted mean of ones is 1 but for rounding
    k = xp.where(known, variance / xp.where(known, spread, 1.0), plain)
    k = k * float(stdtrit(df, 0.5 + level / 2)) ** 2
    middle = value + k / 2
    half = xp.sqrt(k * value * (1 - value) + k**2 / 4)
    lower, upper = (middle - half) / (1 + k), (middle + half) / (1 + k)
    return xp.clip(lower, 0.0, 1.0), xp.clip(upper, 0.0, 1.0)  # rounding leaves it


def stratified_interval(value, observed, g, q, n_items):
    """The score interval of one draw from each of n cells: two arrays (B,).

    observed, g and q are (B, n), in order of drawing. A cell's total is estimated by sum g + e,
    e = (s - g)/q. Its variance is the expectation of (1 - q) e^2, less the products of different
    items' residuals, which are positive as long as g has not learned how good the target is. So a
    regression of e on 1/k, k = 1, ..., n the number of the draw, is taken out: an error that fades
    as g learns. One draw per cell allows no unbiased estimate of the variance; regression over the
    cells is Hartley, Rao & Kiefer's (1969). The divisor n - 2 counts the mean and the slope that
    are taken out; t has n - 1 degrees of freedom, as with one mean. With fewer than three draws the
    interval is [0, 1].
    """
    xp = array_module(value)
    n = observed.shape[-1]
    if n < 3:
        return xp.zeros_like(value), xp.ones_like(value)
    x = _centred(1 / xp.arange(1.0, n + 1))
    e = _centred((observed - g) / q)
    slope = xp.sum(x * e, axis=-1) / xp.sum(x**2)
    square = (e - slope[..., None] * x) ** 2
    total = xp.sum(xp.clip(1 - q, 0.0, None) * square, axis=-1)
    variance = total * n / (n - 2) / n_items**2
    mean = xp.sum(observed / q, axis=-1) / xp.sum(1 / q, axis=-1)
    return score_interval(value, variance, mean, (1 - n / n_items) / n, n - 1)


def _centred(x):
    return x - array_module(x).mean(x, axis=-1, keepdims=True)


def ess_of_width(value, width, n, n_items):
    """The effective sample size per item of a score interval of this width, from n of N items.

    It is the squared ratio to the width of a plain sample's interval around the same value; NaN
    where the width says nothing. `value` and `width` are two numbers.
    """
    mean = np.clip(value, 0.0, 1.0)
    plain = (1 - n / n_items) / n
    lower, upper = score_interval(mean, plain * mean * (1 - mean), mean, plain, max(n - 1, 1))
    return ((upper - lower) / width) ** 2 if 1e-9 < width < 1 else np.nan
