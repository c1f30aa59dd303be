"""Methods that let the target's own scores, as they come in, say where to look next.

They choose the items of each target by itself, so they work on B rows, one for every trial and
target, and on the host. A class here asks in rounds: `next_items` gives the items to run (B, r),
`record` takes their scores, until it is `done`; `estimate` gives what they say.
"""

import numpy as np

from .designs import checked_budget
from .estimators import Estimate
from .forecast import Forecast
from .intervals import sample_interval, stratified_interval


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

    def imputed(self):
        """(B,) the mean of the scores seen and of forecasts of the rest; NaN: it has none."""
        return np.full(len(self.items), np.nan)

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
    """n items from cells that are formed as the scores come in; exactly unbiased.

    In every round a `Forecast` gives g from all scores so far. The items that are left, in order
    of g but for a small jitter, are cut into as many contiguous cells as are left. Some of
    these, spread evenly, are used now and closed; those of the last round take in all items left.

    Up to n = N/2 there are n cells, of equal sums of w = sqrt(g (1 - g)) + floor. From each one
    item I is drawn with probability q = w / sum of w, and the cell's total is estimated by
    sum g + (s_I - g_I)/q_I.

    With more items the cells would hold one or two, which can double the variance of a g that says
    nothing, and hide it. So there are some N/6 cells of W items, r of them drawn at random, with
    q = r/W as even as can be, and the cell's total is estimated by the sum of s/q. Such a
    stratified sample with proportional allocation loses next to nothing to a simple random one
    whatever g is, it tells its variance, and its value is in [0, 1].

    Whatever the past, a cell's estimate has the expectation of its total, and every item falls in
    one cell: the sum over the cells, over N, is unbiased for s(D). (Stratified samples, and one
    draw per stratum: Cochran 1977, ch. 5 and 5A; the difference estimator: Särndal, Swensson &
    Wretman 1992, sec. 6.3; that the strata may depend on the past: a martingale.)
    """

    kept = ("items", "observed", "known", "cell", "g", "q")

    def __init__(self, model, uniform, n, rounds=20, floor=0.05, weight=1.0, strata=0):
        """`uniform` (B, N + 2n): independent uniform numbers, all the randomness there is.

        `weight` (N,) of each item in w, for another mean than that over all items; `strata` (N,),
        whole numbers: the items of each are next to each other before they are cut into cells.

        Raises ValueError on a floor below 0.
        """
        super().__init__(len(uniform))
        n_items = checked_budget(len(model.offset), n)
        if np.min(floor) < 0:
            raise ValueError(f"floor is {floor}; it must be 0 or more")
        self.forecast = Forecast(model, len(uniform))
        self.n = n
        self.floor = floor
        self.weight = np.broadcast_to(weight, n_items)
        self.strata = np.broadcast_to(strata, n_items)
        self._one_each = 2 * n <= n_items
        self._draws, self._mass = _allocation(n, n_items)  # of each cell, in order of closing
        ends = np.ceil(len(self._draws) * (np.arange(rounds + 1) / rounds) ** 1.5)
        self._ends = np.unique(ends.astype(int))[1:]  # rounds grow: at first there is most to learn
        self._jitter = 0.01 * (uniform[:, :n_items] - 0.5)  # items alike in g may change places
        self._offset = uniform[:, :rounds]  # of the cells used: any numbers will do
        self._u = uniform[:, n_items:]
        self.known = np.zeros((len(uniform), 0), dtype=int)  # scores, when each round began
        self.cell = np.full(self._jitter.shape, -1)  # in order of closing; -1: open
        self.g = np.zeros(self._jitter.shape)  # as in the estimate, fixed when the cell was closed
        self.q = np.zeros(self._jitter.shape)  # probability of being drawn from the cell

    def next_items(self):
        """The items (B, r) of the next round, whose scores must then be given to `record`."""
        before = self.cell.max() + 1
        number = int(np.searchsorted(self._ends, before, side="right"))
        size = self._ends[number] - before
        b = np.arange(len(self.cell))[:, None]
        m = len(self._draws) - before  # cells that are left
        chosen = (np.arange(size) + self._offset[:, [number]]) * (m / size)  # spread evenly
        waits = np.ones((len(b), m), dtype=bool)
        waits[b, chosen.astype(int)] = False
        label = before + np.argsort(np.argsort(waits, axis=1, kind="stable"), axis=1)
        order, n_open, g, w = self._open_items()
        cells = _cells(w, n_open, self._mass[label])
        label = np.pad(label, ((0, 0), (0, 1)), constant_values=len(self._draws))[b, cells]
        is_first = np.diff(cells, axis=1, prepend=-1) > 0
        upto = np.cumsum(w, axis=1)
        upto = upto - np.maximum.accumulate(np.where(is_first, upto - w, 0.0), axis=1)  # in a cell
        number = np.cumsum(is_first) - 1
        mass = np.bincount(number, w.ravel())[number].reshape(w.shape)  # of the item's cell
        if self._one_each:  # the item at which the sum of w passes the share u of the cell's
            passed = (upto <= self._u[b, label] * mass) & ~np.roll(is_first, -1, axis=1)
            drawn = ~passed & (is_first | np.roll(passed, 1, axis=1))
        else:
            mixed = np.argsort(cells + np.take_along_axis(self._u, order, axis=1), axis=1)
            order = np.take_along_axis(order, mixed, axis=1)
            drawn = upto <= self._draws[label]
        is_now = label < before + size
        closed = np.nonzero(is_now)[0], order[is_now]
        self.cell[closed] = label[is_now]
        self.g[closed] = g[is_now]
        self.q[closed] = (self._draws[label[is_now]] * w[is_now]) / mass[is_now]
        return self.ask(order[is_now & drawn].reshape(len(b), -1))

    def _open_items(self):
        """The open items in order of g, how many each row has, their g, and their w (else 0)."""
        seen = self.observed.shape[1]
        self.known = np.pad(self.known, ((0, 0), (0, 1)), constant_values=seen)
        g = self.forecast.predict(self.items, self.observed)
        is_open = self.cell < 0
        n_open = is_open.sum(axis=1)[:, None]
        place = np.where(is_open, self.strata + g + self._jitter, np.inf)
        order = np.argsort(place, axis=1)[:, : n_open.max()]
        if not self._one_each:
            return order, n_open, np.zeros(order.shape), np.ones(order.shape)
        g = np.take_along_axis(g, order, axis=1)
        weight = (np.sqrt(g * (1 - g)) + self.floor) * self.weight[order]
        return order, n_open, g, np.where(np.arange(order.shape[1]) < n_open, weight, 0.0)

    def variance(self, y):
        """The exact variance (B,) of the value given the cells, from all scores y (B, N)."""
        e = y - self.g
        size = self._sums(self.cell, np.ones_like(e))
        square = self._sums(self.cell, e**2 / self.q)
        square = square - self._sums(self.cell, e) ** 2 / self._draws
        rest = (size - self._draws) / np.maximum(size - 1, 1)
        return (rest * square).sum(axis=1) / y.shape[1] ** 2

    def restore(self, state):
        """Go on from what `state` gave."""
        super().restore(state)
        self.use(self.forecast.model)

    def use(self, model):
        """Forecast by another working model from the next round on: what is drawn stays drawn."""
        self.forecast = Forecast(model, len(self.g))
        for t in self.known[0]:
            self.forecast.predict(self.items[:, :t], self.observed[:, :t])

    def imputed(self):
        """(B,) the mean of the scores seen and of the forecasts of the rest: not unbiased."""
        items = self.items[:, : self.observed.shape[1]]
        scores = self.forecast.predict(items, self.observed)
        np.put_along_axis(scores, items, self.observed, axis=1)
        return scores.mean(axis=1)

    def estimate(self):
        """The Estimate (B,), (sum g + sum (s - g)/q) / N; g = 0 where cells have several draws.

        The variance is at least half of what g says, the sum of g (1 - g)(1/q - 1) / N^2, or, with
        several draws, that of three odd items: the draws may not show the few that a sure g gets
        wrong. For graded scores it is that times their variance's share of mean (1 - mean). Raises
        ValueError before all scores are recorded.
        """
        s = self.observed
        if not self.done:
            raise ValueError(f"{s.shape[1]} of {self.n} scores are recorded")
        n_items = self.g.shape[1]
        cell, g, q = (np.take_along_axis(x, self.items, 1) for x in (self.cell, self.g, self.q))
        e = (s - g) / q
        value = (self.g.sum(axis=1) + e.sum(axis=1)) / n_items
        share = s.var(axis=1) / (s.var(axis=1) + (s * (1 - s)).mean(axis=1) + 1e-12) / n_items**2
        if self._one_each:
            least = share * (self.g * (1 - self.g) * (1 / self.q - 1)).sum(axis=1) / 2
            ends = stratified_interval(value, s, g, q, n_items, least)
        else:
            r = self._draws
            square = self._sums(cell, e**2) - self._sums(cell, e) ** 2 / r
            rest = (1 - r / self._mass) * r / np.maximum(r - 1, 1)
            variance = np.maximum(square @ rest / n_items**2, share * 3 * (n_items / self.n - 1))
            df = max(self.n - len(r), 1)
            ends = sample_interval(value, variance, value, self.n, n_items, df)
        return Estimate(value, *ends)

    def _sums(self, cell, x):
        """The sums of x over the cells, by their numbers: (B, number of cells)."""
        row = np.arange(len(x))[:, None] * len(self._draws)
        return np.bincount((row + cell).ravel(), x.ravel()).reshape(len(x), -1)


def imputation(rounds):
    """The Estimate (B,) of a SequentialStratification: the scores seen, and forecasts of the rest.

    Its error is smaller as a rule, for a bias of the sources' that no draw takes away: it has no
    interval.
    """
    return Estimate(rounds.imputed())


def _allocation(n, n_items):
    """How many items are drawn from each cell, and its mass: 1, or how many items it holds.

    With n > N/2 the items left out are dealt out to N/6 cells, or one cell each, and the cells'
    sizes are in proportion: that is as even as whole numbers allow.
    """
    if 2 * n <= n_items:
        return np.ones(n, dtype=int), np.ones(n)
    left_out = n_items - n
    n_cells = max(min(left_out, round(n_items / 6)), 1)
    upto = np.arange(n_cells + 1) * left_out // n_cells
    ends = np.round(upto * (n_items / max(left_out, 1))).astype(int)
    ends[-1] = n_items  # also where nothing is left out
    sizes = np.diff(ends)
    return sizes - np.diff(upto), sizes


def _cells(w, n_open, mass):
    """The cell 0, ..., m - 1 of each place (B, N), in order, by sums of w in proportion to `mass`.

    mass is (B, m); closed places have m.
    """
    b = np.arange(len(w))[:, None]  # one search for all: row i lies in [i, i + 1)
    m = mass.shape[1]
    upto = np.cumsum(w, axis=1)
    ends = np.cumsum(mass, axis=1)
    starts = (upto - w) / upto[:, -1:] + b
    ends = ends / ends[:, -1:] + b
    cell = np.searchsorted(ends.ravel(), starts.ravel(), side="right").reshape(w.shape) - b * m
    place = np.arange(w.shape[1])
    cell = np.clip(cell, m - n_open + place, m - 1)  # no cell is left without an item: neither at
    cell = place + np.minimum.accumulate(cell - place, axis=1)  # the end nor where one w fills one
    return np.where(place < n_open, cell, m)
