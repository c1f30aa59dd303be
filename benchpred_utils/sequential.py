"""Methods that let the target's own scores, as they come in, say where to look next.

They choose the items of each target by itself, so they work on B rows, one for every trial and
target, and on the host. A class here asks in rounds: `next_items` gives the items to run (B, r),
`record` takes their scores, until it is `done`; `estimate` gives what they say.
"""

import numpy as np

from .designs import checked_budget
from .estimators import Estimate
from .forecast import Forecast
from .intervals import stratified_interval


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

    def __init__(self, model, uniform, n, rounds=20, floor=0.05):
        """`uniform` (B, N + 2n): independent uniform numbers, all the randomness there is."""
        super().__init__(len(uniform))
        n_items = checked_budget(len(model.offset), n)
        self.forecast = Forecast(model, len(uniform))
        self.n = n
        self.floor = floor
        ends = np.ceil(n * (np.arange(rounds + 1) / rounds) ** 1.5).astype(int)
        self._sizes = np.diff(np.unique(ends))
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
        g = self.forecast.predict(self.items, self.observed)
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
