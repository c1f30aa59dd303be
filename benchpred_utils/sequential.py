"""Methods that let the target's own scores, as they come in, say where to look next.

They choose the items of each target by itself, so they work on B rows, one for every trial and
target, and on the host. A class here asks in rounds: `next_items` gives the items to run (B, r),
`record` takes their scores, until it is `done`; `estimate` gives what they say.
"""

from typing import NamedTuple

import numpy as np

from . import irt
from .backend import to_numpy
from .designs import checked_budget
from .estimators import Estimate
from .intervals import stratified_interval


class WorkingModel(NamedTuple):
    """A Bayesian logistic regression of a target's scores on what the sources say of the items.

    P(s = 1) = sigmoid(offset + x z), z ~ N(0, I): the prior is whitened into x and offset.
    """

    x: object  # (N, K)
    offset: object  # (N,)


def working_model(source):
    """What the sources (M, N) say of the items, as the prior of a new target; K = 3.

    logit P(s = 1) = a theta + beta b + gamma, with a, b the slopes and intercepts of a 2PL fitted
    to the sources; theta ~ N(mean, variance) of the sources' abilities. beta ~ N(1, 0.5^2) and
    gamma ~ N(0, 1.5^2) let the target's own scores say that what is hard for the sources is less so
    for it (beta < 1: down to not at all), or that all is easier. They are wide by intent: on a
    logit scale 1.5 takes 50% to 82%.
    """
    fit = irt.fit_2pl(source, 1)
    a, b = to_numpy(fit.items).T
    theta = to_numpy(fit.abilities)
    x = np.stack([a * theta.std(), 0.5 * b, np.full(len(b), 1.5)], axis=1)
    return WorkingModel(x, a * theta.mean() + b)


def learn_model(source, n):
    """The `working_model`, whatever the budget."""
    return working_model(source)


def predict(model, items, observed):
    """g (B, N): the probabilities of all items given the scores observed (B, t) on items (B, t)."""
    x = model.x[items]
    z = irt.logistic_map(x, model.offset[items], observed[:, None, :], 1.0)[:, 0]
    return irt.sigmoid(z @ model.x.T + model.offset)


class Rounds:
    """B rows of items asked for, round by round, and of their scores.

    A subclass sets the budget `n`, or has a `done` of its own, and gives `next_items`, which ends
    in `ask`, and `estimate`.
    """

    kept = ("items", "observed")  # what a file holds beside what the object began with

    def __init__(self, rows):
        self.items = np.zeros((rows, 0), dtype=int)  # (B, asked for so far)
        self.observed = np.zeros((rows, 0))  # (B, recorded so far)

    @property
    def done(self):
        """Whether the scores of all n items are recorded."""
        return self.observed.shape[1] == self.n

    def ask(self, items):
        """The items (B, r), which are now asked for."""
        self.items = np.concatenate([self.items, items], axis=1)
        return items

    def record(self, observed):
        """The scores (B, r) of the items asked for last."""
        self.observed = np.concatenate([self.observed, observed], axis=1)

    def state(self):
        """What a file must hold, by name."""
        return {name: getattr(self, name) for name in self.kept}

    def restore(self, state):
        """Go on from what `state` gave."""
        for name in self.kept:
            now = getattr(self, name)
            setattr(self, name, np.array(state[name], dtype=now.dtype).reshape(len(now), -1))


# --- sequential stratification --------------------------------------------------------------------


class SequentialStratification(Rounds):
    """n items, one from each of n cells that are formed as the scores come in; exactly unbiased.

    In every round the working model predicts g from all scores so far. The items that are left, in
    order of g but for a small jitter, are cut into as many contiguous cells as draws are left, of
    equal sums of w = sqrt(g (1 - g)) + floor. Some of the cells, spread evenly, are used now: from
    each one item I is drawn with probability q = w / sum of w, and the cell's total is estimated by
    sum g + (s_I - g_I)/q_I. The cell is then closed; the cells of the last round take in all items
    left.

    Whatever the past, a cell's estimate has the expectation of its total, and every item falls in
    one cell: the sum over the cells, over N, is unbiased for s(D). (One draw per stratum: Cochran
    1977, ch. 5A; the difference estimator: Särndal, Swensson & Wretman 1992, sec. 6.3; that the
    strata may depend on the past: a martingale.)
    """

    kept = ("items", "observed", "cell", "g", "q")

    def __init__(self, model, uniform, n, rounds=10, floor=0.1):
        """`uniform` (B, N + 2n): independent uniform numbers, all the randomness there is."""
        super().__init__(len(uniform))
        n_items = checked_budget(len(model.offset), n)
        self.model = model
        self.n = n
        self.floor = floor
        self._sizes = [n // rounds + (k < n % rounds) for k in range(min(rounds, n))]
        self._jitter = 0.01 * (uniform[:, :n_items] - 0.5)  # items alike in g may change places
        self._offset = uniform[:, n_items : n_items + n]
        self._u = uniform[:, n_items + n :]
        self.cell = np.full(self._jitter.shape, -1)  # the draw that closed the item's cell, or -1
        self.g = np.zeros(self._jitter.shape)  # as it was when the cell was closed
        self.q = np.zeros(self._jitter.shape)  # probability of being the one drawn from the cell

    def next_items(self):
        """The items (B, r) of the next round, whose scores must then be given to `record`."""
        before = self.observed.shape[1]
        m = self.n - before  # draws, and so cells, that are left
        number = int(np.searchsorted(np.cumsum(self._sizes), before, side="right"))
        r = self._sizes[number]
        order, n_open, g, w = self._open_items()
        cells = _cells(w, n_open, m)
        steps = np.arange(r) + self._offset[:, [number]]
        chosen = (steps * (m / r)).astype(int)  # (B, r) of the cells, spread evenly
        place, q, draw = _one_per_cell(w, cells, chosen, self._u[:, before : before + r], m)
        row, now = np.nonzero(draw >= 0)
        closed = row, order[row, now]
        self.cell[closed] = draw[row, now] + before
        self.g[closed] = g[row, now]
        self.q[closed] = q[row, now]
        return self.ask(np.take_along_axis(order, place, axis=1))

    def _open_items(self):
        """The open items in order of g, how many each row has, their g, and their w (else 0)."""
        g = predict(self.model, self.items, self.observed)
        is_open = self.cell < 0
        n_open = is_open.sum(axis=1)[:, None]
        order = np.argsort(np.where(is_open, g + self._jitter, 2.0), axis=1)[:, : n_open.max()]
        g = np.take_along_axis(g, order, axis=1)
        weight = np.sqrt(g * (1 - g)) + self.floor
        return order, n_open, g, np.where(np.arange(order.shape[1]) < n_open, weight, 0.0)

    def estimate(self):
        """The Estimate (B,) when all scores are recorded, (sum g + sum (s - g)/q) / N."""
        n_items = self.g.shape[1]
        g = np.take_along_axis(self.g, self.items, axis=1)
        q = np.take_along_axis(self.q, self.items, axis=1)
        value = (self.g.sum(axis=1) + ((self.observed - g) / q).sum(axis=1)) / n_items
        return Estimate(value, *stratified_interval(value, self.observed, g, q, n_items))


def _cells(w, n_open, m):
    """The cell 0, ..., m - 1 of each place (B, N), in order, by equal sums of w; m: closed ones."""
    upto = np.cumsum(w, axis=1)
    place = np.arange(w.shape[1])
    cell = ((upto - w) / upto[:, -1:] * (m * (1 - 1e-12))).astype(int)
    cell = np.maximum(cell, m - n_open + place)  # no cell is left without an item: neither at the
    cell = place + np.minimum.accumulate(cell - place, axis=1)  # end nor where one w fills a cell
    return np.where(place < n_open, cell, m)


def _one_per_cell(w, cells, chosen, u, m):
    """One place drawn from each chosen cell (B, r) by the uniform numbers u (B, r): places (B, r).

    Also, for every place (B, N), its probability q within its cell, and the number of the draw,
    0, ..., r - 1, that closes its cell, or -1. The place drawn is the one at which the sum of w
    passes the share u of its cell's.
    """
    b = np.arange(len(w))[:, None]
    upto = np.concatenate([np.zeros((len(w), 1)), np.cumsum(w, axis=1)], axis=1)
    is_first = np.diff(cells, axis=1, prepend=-1) > 0
    firsts = np.nonzero(is_first & (cells < m))[1].reshape(-1, m)
    ends = np.concatenate([firsts[:, 1:], (cells < m).sum(axis=1)[:, None]], axis=1)
    mass = upto[b, ends] - upto[b, firsts]  # (B, m)
    target = (upto[b, firsts[b, chosen]] + u * mass[b, chosen]) / upto[:, -1:]
    flat = (upto[:, 1:] / upto[:, -1:] + b).ravel()  # one search for all: row i lies in (i, i + 1]
    place = np.searchsorted(flat, (target + b).ravel(), side="right").reshape(chosen.shape)
    place = np.clip(place - b * w.shape[1], firsts[b, chosen], ends[b, chosen] - 1)
    number = np.full((len(w), m + 1), -1)
    number[b, chosen] = np.arange(chosen.shape[1])
    q = w / np.concatenate([mass, np.ones((len(w), 1))], axis=1)[b, cells]
    return place, q, number[b, cells]


# --- draws until an interval is narrow enough -----------------------------------------------------


class SequentialDraws(Rounds):
    """Items drawn one after the other until an anytime-valid interval is narrow enough.

    Every item left is drawn with probability q proportional to sqrt(g (1 - g)) + floor, g the
    working model's forecast from all scores so far. e_t = (the scores seen + sum of g over the rest
    + (s_I - g_I)/q_I) / N has expectation s(D) whatever the past (Horvitz & Thompson's estimator of
    the rest's residuals), and is what the gamblers bet on. The items of one round share g; rounds
    grow with the number of items, 1 + t/40.
    """

    kept = ("items", "observed", "left", "g", "weight")

    def __init__(self, model, uniform, half_width, floor=0.3, level=0.95):
        """`uniform` (B, N): independent uniform numbers, all the randomness there is."""
        super().__init__(len(uniform))
        self.model = model
        self.floor = floor
        self.sequence = BettingSequence(len(uniform), half_width, level)
        self.uniform = uniform
        self.left = np.ones(uniform.shape, dtype=bool)
        self.g = np.zeros(uniform.shape)
        self.weight = np.zeros(uniform.shape)

    @property
    def finished(self):
        """(B,) whether each interval is narrow enough; always when all items have been seen."""
        return (self.sequence.upper - self.sequence.lower) / 2 <= self.sequence.half_width

    @property
    def done(self):
        """Whether all are finished."""
        return bool(self.finished.all())

    def next_items(self):
        """The items (B, r) of the next round, whose scores must then be given to `record`."""
        t = self.items.shape[1]
        self.g = predict(self.model, self.items, self.observed)
        self.weight = np.sqrt(self.g * (1 - self.g)) + self.floor
        left = self.left.copy()
        drawn = []
        for u in self.uniform[:, t : t + 1 + t // 40].T:
            upto = np.cumsum(left * self.weight, axis=1)
            drawn.append((upto > u[:, None] * upto[:, -1:]).argmax(axis=1))
            np.put_along_axis(left, drawn[-1][:, None], False, axis=1)
        return self.ask(np.stack(drawn, axis=1))

    def record(self, observed):
        """The scores (B, r) of the items asked for last."""
        items = self.items[:, self.observed.shape[1] :]
        for item, score in zip(items.T, observed.T):
            self._bet(item[:, None], score)
        seen = self.observed.sum(axis=1)
        unseen = self.left.sum(axis=1)
        n_items = self.left.shape[1]
        self.sequence.look(seen / n_items, (seen + unseen) / n_items)

    def _bet(self, item, score):
        n_items = self.left.shape[1]
        of_left = self.g * self.left
        total = (self.left * self.weight).sum(axis=1, keepdims=True)
        share = self.left * (total / self.weight) / n_items  # 1/(q N)
        forecast = (self.observed.sum(axis=1) + of_left.sum(axis=1)) / n_items
        variance = (self.g * (1 - self.g) * share).sum(axis=1) / n_items
        least = (-self.g * share).min(axis=1)
        most = ((1 - self.g) * share).max(axis=1)
        g_item = np.take_along_axis(self.g, item, axis=1)[:, 0]
        error = (score - g_item) * np.take_along_axis(share, item, axis=1)[:, 0]
        self.sequence.bet(forecast, error, variance, least, most)
        super().record(score[:, None])
        np.put_along_axis(self.left, item, False, axis=1)

    def state(self):
        """What a file must hold, by name."""
        return super().state() | vars(self.sequence)

    def restore(self, state):
        """Go on from what `state` gave."""
        super().restore(state)
        self.sequence.restore(state)


CAP = 0.95  # no bet may lose more of the wealth than this: it stays positive, the mean in play
BOLDNESS = 1.35  # bets aim a little beyond the half-width: from 1 to 1.5 the items change by 2%
PRIOR = 10.0  # squared errors as forecast, taken for seen before the first: at first it is believed


class BettingSequence:
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

    def __init__(self, size, half_width, level=0.95):
        self.half_width = half_width
        self.level = level
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
        up = np.minimum(kelly, CAP / np.maximum(self.upper - forecast - least, 1e-12))
        down = np.minimum(kelly, CAP / np.maximum(forecast + most - self.lower, 1e-12))
        step = np.stack([forecast + error, up, down, kelly])
        self.steps = np.concatenate([self.steps, step[:, None]], axis=1)
        self.errors = self.errors + error**2 / variance

    def look(self, least, most):
        """Update the interval; least, most (B,): what the mean is, whatever is still unseen."""
        e, up, down, _ = self.steps
        lower = np.maximum(_boundary(e, up, self.lower, self.upper, self.level), least)
        upper = np.minimum(_boundary(e, -down, self.upper, self.lower, self.level), most)
        empty = lower > upper  # every mean is rejected, so the true one was: what is certain stays
        self.lower = np.where(empty, least, lower)
        self.upper = np.where(empty, most, upper)

    def restore(self, state):
        """Go on from what `vars` gave."""
        self.lower = np.array(state["lower"])
        self.upper = np.array(state["upper"])
        self.errors = np.array(state["errors"])
        self.steps = np.array(state["steps"]).reshape(4, -1, len(self.lower))

    @property
    def value(self):
        """(B,) the mean of the estimates, weighted by the bets, within the interval."""
        e, _, _, kelly = self.steps
        if not len(e):
            return (self.lower + self.upper) / 2
        mean = (kelly * e).sum(axis=0) / kelly.sum(axis=0)
        return np.clip(mean, self.lower, self.upper)

    @property
    def variance(self):
        """(B,) of `value`, as forecast: sum lambda^2 V / (sum lambda)^2; NaN before the first."""
        kelly = self.steps[3]
        h = BOLDNESS * self.half_width
        if not len(kelly):
            return np.full(self.lower.shape, np.nan)
        return (kelly * (h - kelly * h**2)).sum(axis=0) / kelly.sum(axis=0) ** 2


def _boundary(e, bets, start, end, level):
    """The last m on the way from `start` to `end` (B,) that is rejected, by bisection.

    The wealth falls on that way. What is given was itself rejected, or is `start`: never an m
    beyond the boundary.
    """
    threshold = np.log(2 / (1 - level))
    for _ in range(12):
        middle = (start + end) / 2
        log_wealth = np.log(np.maximum(1 + bets * (e - middle), 1e-300)).sum(axis=0)
        rejected = log_wealth >= threshold
        start = np.where(rejected, middle, start)
        end = np.where(rejected, end, middle)
    return start


# --- does the target look like the sources? -------------------------------------------------------


def misfit(model, items, observed, start=10, step=10):
    """(B,) log likelihood of a constant rate minus that of the working model.

    Each of the scores observed (B, t) on items (B, t) is forecast from those before; the first
    `start` are left to the working model to find the target's level. Both are probabilities of the
    same scores, so that where the working model is true it exceeds log c with probability 1/c at
    most (Ville).
    """
    n = observed.shape[1]
    right = np.cumsum(observed, axis=1) - observed
    constant = (right + 0.5) / (np.arange(n) + 1)
    loss = np.zeros(len(observed))
    for t in range(start, n, step):
        now = slice(t, t + step)
        g = predict(model, items[:, :t], observed[:, :t])
        g = np.clip(np.take_along_axis(g, items[:, now], axis=1), 1e-6, 1 - 1e-6)
        s = observed[:, now]
        loss += _log_likelihood(s, constant[:, now]) - _log_likelihood(s, g)
    return loss


def _log_likelihood(s, p):
    return (s * np.log(p) + (1 - s) * np.log(1 - p)).sum(axis=1)
