"""Draws until an interval is narrow enough, which may be looked at whenever one likes."""

import numpy as np

from .forecast import predict
from .intervals import bisected
from .sequential import Kept, Rounds


class SequentialDraws(Rounds):
    """Items drawn one after the other until an anytime-valid interval is narrow enough.

    Every item left is drawn with probability q proportional to sqrt(g (1 - g)) + floor, g the
    working model's forecast from all scores so far. e_t = (the scores seen + sum of g over the rest
    + (s_I - g_I)/q_I) / N has expectation s(D) whatever the past (Horvitz & Thompson's estimator of
    the rest's residuals), and is what the gamblers bet on. The items of one round share g; rounds
    grow with the number of items, 1 + t/40.
    """

    kept = ("items", "observed", "left", "g")

    def __init__(self, model, uniform, half_width, floor=0.3):
        """`uniform` (B, N): independent uniform numbers, all the randomness there is."""
        super().__init__(len(uniform))
        self.model = model
        self.floor = floor
        self.sequence = BettingSequence(len(uniform), half_width)
        self.uniform = uniform
        self.left = np.ones(uniform.shape, dtype=bool)  # not recorded yet
        self.g = np.zeros(uniform.shape)

    @property
    def finished(self):
        """(B,) whether each interval is narrow enough; always when all items have been seen."""
        return (self.sequence.upper - self.sequence.lower) / 2 <= self.sequence.half_width

    @property
    def done(self):
        """Whether all are finished."""
        return bool(self.finished.all())

    @property
    def weight(self):
        """(B, N) to which q is proportional."""
        return np.sqrt(self.g * (1 - self.g)) + self.floor

    def next_items(self):
        """The items (B, r) of the next round, whose scores must then be given to `record`."""
        t = self.items.shape[1]
        self.g = predict(self.model, self.items, self.observed)
        weight = self.left * self.weight
        for u in self.uniform[:, t : t + 1 + t // 40].T:
            upto = np.cumsum(weight, axis=1)
            item = (upto > u[:, None] * upto[:, -1:]).argmax(axis=1, keepdims=True)
            np.put_along_axis(weight, item, 0.0, axis=1)
            self.ask(item)
        return self.items[:, t:]

    def record(self, observed):
        """The scores (B, r) of the items asked for last."""
        n_items = self.left.shape[1]
        weight = self.weight
        items = self.items[:, self.observed.shape[1] :]
        for item, score in zip(items.T[..., None], observed.T[..., None]):
            total = (self.left * weight).sum(axis=1, keepdims=True)
            share = self.left * (total / weight) / n_items  # 1/(q N)
            wrong = -self.g * share  # the error where the score is 0
            right = wrong + share  # and where it is 1
            error = np.take_along_axis(wrong + score * share, item, axis=1)[:, 0]
            forecast = (self.observed.sum(axis=1) + (self.g * self.left).sum(axis=1)) / n_items
            variance = (self.g * right).sum(axis=1) / n_items
            self.sequence.bet(forecast, error, variance, wrong.min(axis=1), right.max(axis=1))
            super().record(score)
            np.put_along_axis(self.left, item, False, axis=1)
        seen = self.observed.sum(axis=1)
        self.sequence.look(seen / n_items, (seen + self.left.sum(axis=1)) / n_items)

    def state(self):
        """What a file must hold, by name."""
        return super().state() | self.sequence.state()

    def restore(self, state):
        """Go on from what `state` gave."""
        super().restore(state)
        self.sequence.restore(state)


ALPHA = 0.05
CAP = 0.95  # no bet may lose more of the wealth than this: it stays positive, the mean in play
BOLDNESS = 1.35  # bets aim a little beyond the half-width: from 1 to 1.5 the items change by 2%
PRIOR = 10.0  # squared errors as forecast, taken for seen before the first: at first it is believed


class BettingSequence(Kept):
    """Anytime-valid intervals for B means m by betting, aimed at one half-width h.

    Step t brings an estimate e_t with E[e_t | the past] = m. The wealths of two gamblers, one
    against small m and one against large, K+_t(m) = prod (1 + lambda_i (e_i - m)) and
    K-_t(m) = prod (1 - lambda_i (e_i - m)), are martingales at the true m as long as lambda_t
    depends on the past alone and no factor is negative. By Ville's inequality each exceeds 2/alpha
    at some time with probability alpha/2 at most: the interval of all m that neither has ever
    rejected holds m at all times together with probability 1 - alpha, for any draw and any forecast
    (Waudby-Smith & Ramdas 2020, 2024). The log-optimal bet (Kelly's) against an m that is h away is
    lambda_t = h/(V_t + h^2), V_t the variance of e_t; h is here BOLDNESS times the half-width asked
    for. No library is used: the method is what the chapter explains.

    `lower`, `upper` (B,): the running interval.
    """

    kept = ("lower", "upper", "errors", "steps")

    def __init__(self, size, half_width):
        self.half_width = half_width
        self.lower = np.zeros(size)
        self.upper = np.ones(size)
        self.errors = np.full(size, PRIOR)  # sum of squared errors over their forecasts
        self.steps = np.zeros((4, 0, size))  # e, the bets of K+ and K-, and the bet before the cap

    def bet(self, forecast, error, variance, least, most):
        """One step: e_t = forecast + error; error, in [least, most], has this variance; all (B,).

        Everything but `error` must be known before the item is drawn.
        """
        h = BOLDNESS * self.half_width
        variance = np.maximum(variance, 1e-12)
        seen = self.steps.shape[1]
        kelly = h / (variance * self.errors / (PRIOR + seen) + h**2)
        worst = np.stack([self.upper - forecast - least, forecast + most - self.lower])
        bets = np.minimum(kelly, CAP / np.maximum(worst, 1e-12))
        step = np.stack([forecast + error, *bets, kelly])
        self.steps = np.concatenate([self.steps, step[:, None]], axis=1)
        self.errors = self.errors + error**2 / variance

    def look(self, least, most):
        """Update the interval; least, most (B,): what the mean is, whatever is still unseen."""
        e, up, down, _ = self.steps
        lower = np.maximum(_boundary(e, up, self.lower, self.upper), least)
        upper = np.minimum(_boundary(e, -down, self.upper, self.lower), most)
        empty = lower > upper  # every mean is rejected, so the true one was: what is certain stays
        self.lower = np.where(empty, least, lower)
        self.upper = np.where(empty, most, upper)

    @property
    def value(self):
        """(B,) the mean of the estimates, weighted by the bets, within the interval."""
        e, _, _, kelly = self.steps
        if not len(e):
            return (self.lower + self.upper) / 2
        return np.clip(np.average(e, axis=0, weights=kelly), self.lower, self.upper)

    @property
    def variance(self):
        """(B,) of `value`, as forecast: sum lambda^2 V / (sum lambda)^2; NaN before the first."""
        kelly = self.steps[3]
        h = BOLDNESS * self.half_width
        total = kelly.sum(axis=0)
        return (kelly * (h - kelly * h**2)).sum(axis=0) / np.where(total > 0, total, np.nan) ** 2


def _boundary(e, bets, start, end):
    """The last m on the way from `start` to `end` (B,) that is rejected; the wealth falls there."""

    def rejected(m):
        log_wealth = np.log(np.maximum(1 + bets * (e - m), 1e-300)).sum(axis=0)
        return log_wealth >= np.log(2 / ALPHA)

    return bisected(rejected, start, end, 12)
