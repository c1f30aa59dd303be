"""Confidence sequences: intervals that hold at every look, however the moment of stopping was chosen."""

import numpy as np

__all__ = ["BettingSequence"]

CAP = 0.95  # no bet may lose more of the wealth than this: the wealth stays positive, the mean stays in play
BOLDNESS = 1.35  # the bets aim a little beyond the half-width: at 1 to 1.5 the items needed change by some 2%
PRIOR = 10.0  # squared errors as forecast that are taken for seen before the first: until then the forecast is believed


class BettingSequence:
    """Anytime-valid intervals for B means m by betting (Waudby-Smith & Ramdas 2020, 2024), aimed at one half-width h.

    Step t brings an estimate e_t with E[e_t | the past] = m.  The wealths of two gamblers, one against small m and one
    against large, K+_t(m) = prod (1 + lambda_i (e_i - m)) and K-_t(m) = prod (1 - lambda_i (e_i - m)), are martingales
    at the true m as long as lambda_t depends on the past alone and no factor is negative.  By Ville's inequality each
    exceeds 2/alpha at some time with probability alpha/2 at most: the interval of all m that neither has ever rejected
    holds m at all times together with probability 1 - alpha.  For any draw and any forecast: uniform or not, good or bad.

    The log-optimal bet (Kelly's) against an m that is h away is lambda_t = h/(V_t + h^2), V_t the variance of e_t.
    `lower`, `upper` (B,): the running interval.
    """

    def __init__(self, size, half_width, level=0.95):
        self.half_width, self.level = half_width, level
        self.lower, self.upper = np.zeros(size), np.ones(size)
        self.errors = np.full(size, PRIOR)  # sum of squared errors over their forecasts
        self.steps = np.zeros((4, 0, size))  # e, the bets of K+ and K-, and the bet before the cap

    def bet(self, forecast, error, variance, least, most):
        """One step: e_t = forecast + error, where error, in [least, most], has the forecast variance; all (B,).

        Everything but `error` must be known before the item is drawn.
        """
        h, n = BOLDNESS * self.half_width, self.steps.shape[1]
        variance = np.maximum(variance, 1e-12)
        kelly = h / (variance * self.errors / (PRIOR + n) + h**2)
        worst_low, worst_high = self.upper - forecast - least, forecast + most - self.lower
        bets = [
            np.minimum(kelly, CAP / np.maximum(worst, 1e-12)) for worst in (worst_low, worst_high)
        ]
        self.steps = np.concatenate(
            [self.steps, np.stack([forecast + error, *bets, kelly])[:, None]], axis=1
        )
        self.errors = self.errors + error**2 / variance

    def look(self, least, most):
        """Update the interval; least, most (B,): what the mean is at least and at most whatever is still unseen."""
        e, up, down, _ = self.steps
        log_wealth = lambda bets: (
            lambda m: np.log(np.maximum(1 + bets * (e - m), 1e-300)).sum(axis=0)
        )
        lower = np.maximum(_boundary(log_wealth(up), self.lower, self.upper, self.level), least)
        upper = np.minimum(_boundary(log_wealth(-down), self.upper, self.lower, self.level), most)
        empty = (
            lower > upper
        )  # every mean is rejected, so the true one was: what is certain remains
        self.lower, self.upper = np.where(empty, least, lower), np.where(empty, most, upper)

    @property
    def value(self):
        """(B,) the mean of the estimates, weighted by the bets, within the interval."""
        e, _, _, kelly = self.steps
        mean = (
            (kelly * e).sum(axis=0) / kelly.sum(axis=0) if len(e) else (self.lower + self.upper) / 2
        )
        return np.clip(mean, self.lower, self.upper)

    @property
    def variance(self):
        """(B,) of `value`, as forecast, before it was moved: sum lambda^2 V / (sum lambda)^2; NaN before the first step."""
        kelly, h = self.steps[3], BOLDNESS * self.half_width
        if not len(kelly):
            return np.full(self.lower.shape, np.nan)
        return (kelly * (h - kelly * h**2)).sum(axis=0) / kelly.sum(axis=0) ** 2


def _boundary(log_wealth, start, end, level):
    """The last m on the way from `start` to `end` (B,) that is rejected, by bisection; `start` if none is.

    The wealth falls on that way.  What is given was itself rejected, or is `start`: never an m beyond the boundary.
    """
    threshold = np.log(2 / (1 - level))
    for _ in range(12):
        middle = (start + end) / 2
        rejected = log_wealth(middle) >= threshold
        start, end = np.where(rejected, middle, start), np.where(rejected, end, middle)
    return start
