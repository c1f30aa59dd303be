"""Methods that let the target's own scores, as they come in, say where to look next.

They choose the items of each target by itself, so they work on B rows, one for every trial and
target, and on the host. A class here asks in rounds: `next_items` gives the items to run (B, r),
`record` takes their scores, until it is `done`; `estimate` gives what they say.
"""

import numpy as np

from .designs import checked_budget
from .estimators import Estimate
from .forecast import Forecast
from .intervals import sample_interval, stratified_interval, variance_share


class Kept:
    """What a file holds of an object beside what it began with: the arrays named in `kept`."""

    def state(self):
        """What a file must hold, by name."""
        return {name: getattr(self, name) for name in self.kept}

    def restore(self, state):
        """Go on from what `state` gave, in an object that has just begun."""
        for name in self.kept:
            begun = getattr(self, name)
            shape = [size or -1 for size in begun.shape]  # 0 where it grows
            setattr(self, name, np.array(state[name], dtype=begun.dtype).reshape(shape))


class Rounds(Kept):
    """B rows of items asked for, round by round, and of their scores.

    A subclass sets the budget `n`, or has a `done` of its own, and gives `next_items`, which ends
    in `ask`, and `estimate`.
    """

    kept = ("items", "observed")

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
        if floor < 0:
            raise ValueError(f"floor is {floor}; it must be 0 or more")
        self.n = n
        self.uniform = uniform
        self.one_each = 2 * n <= n_items
        self.floor = floor if self.one_each else 1.0  # with g = 0, so that all w are alike
        self.weight = weight if self.one_each else 1.0
        self.strata = np.broadcast_to(strata, n_items)
        self.draws, self.mass = _allocation(n, n_items)  # of each cell, in order of closing
        ends = len(self.draws) * (np.arange(1, rounds + 1) / rounds) ** 1.5
        self.ends = np.unique(np.ceil(ends).astype(int))  # rounds grow: at first one learns most
        self.known = np.zeros((1, 0), dtype=int)  # scores, when each round began
        self.cell = np.full((len(uniform), n_items), -1)  # in order of closing; -1: open
        self.g = np.zeros(self.cell.shape)  # as in the estimate, fixed when the cell was closed
        self.q = np.zeros(self.cell.shape)  # probability of being drawn from the cell
        self.use(model)

    def next_items(self):
        """The items (B, r) of the next round, whose scores must then be given to `record`."""
        before = self.cell.max() + 1
        number = (self.ends <= before).sum()
        end = self.ends[number]
        size = end - before
        left = len(self.draws) - before
        offset = self.uniform[:, [number]]  # any number will do
        used = np.ceil(np.arange(left + 1) * size / left - offset)  # before each: evenly spread
        waits = np.diff(used) == 0
        label = before + waits.argsort(kind="stable").argsort()  # order of closing
        order, g, w = self._open_items()
        in_order = np.take_along_axis(w, order, axis=1)
        label = np.repeat(label, _sizes(in_order, self.mass[label]).ravel())
        row, place = np.nonzero(in_order)  # of all rows' open items, as is `label`
        is_used = label < end
        label = label[is_used]
        row = row[is_used]
        item = order[row, place[is_used]]
        w = w[row, item]
        cell = row * len(self.draws) + label  # numbers all rows' cells
        mass = np.bincount(cell, w)[cell]
        self.cell[row, item] = label
        self.g[row, item] = g[row, item]
        self.q[row, item] = self.draws[label] * w / mass
        start = np.searchsorted(cell, cell)  # the place of the cell's first item
        u = self.uniform[:, g.shape[1] :]
        if self.one_each:  # the item at which the sum of w passes the share u of the cell's
            upto = np.cumsum(w)
            comes_late = upto - (upto - w)[start] <= u[row, label] * mass
        else:
            comes_late = u[row, item]
        item = item[np.lexsort([comes_late, cell])]
        is_drawn = np.arange(len(item)) < start + self.draws[label]
        return self.ask(item[is_drawn].reshape(len(waits), -1))

    def _open_items(self):
        """The open items in order of g; then (B, N) g as in the estimate, and w, 0 where closed."""
        self.known = np.append(self.known, [[self.observed.shape[1]]], axis=1)
        g = self.forecast.predict(self.items, self.observed)
        jitter = 0.01 * (self.uniform[:, : g.shape[1]] - 0.5)  # items alike in g change places
        is_open = self.cell < 0
        order = np.argsort(np.where(is_open, self.strata + g + jitter, np.inf))
        g = g * self.one_each
        w = is_open * (np.sqrt(g * (1 - g)) + self.floor) * self.weight
        if np.ndim(self.weight):  # no item fills more than a cell, which would leave the next less
            left = len(self.draws) - (self.cell.max() + 1)
            for _ in range(50):
                w = np.minimum(w, w.sum(axis=1, keepdims=True) / left * (1 + 1e-9))
        return order, g, w

    def variance(self, y):
        """The exact variance (B,) of the value given the cells, from all scores y (B, N)."""
        rest = 1 if self.one_each else (self.mass - self.draws) / np.maximum(self.mass - 1, 1)
        square = self._squares(self.cell, y - self.g, self.q)
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
        share = variance_share(s) / n_items**2
        if self.one_each:
            least = share * (self.g * (1 - self.g) * (1 / self.q - 1)).sum(axis=1) / 2
            return Estimate(value, *stratified_interval(value, s, g, q, n_items, least))
        r = self.draws
        rest = (1 - r / self.mass) * r / np.maximum(r - 1, 1)
        variance = self._squares(cell, e, 1) @ rest / n_items**2
        variance = np.maximum(variance, share * 3 * (n_items / self.n - 1))
        df = max(self.n - len(r), 1)
        ends = sample_interval(value, variance, value, self.n, n_items, df)
        return Estimate(value, *ends)

    def _squares(self, cell, e, q):
        """The sum of e^2/q less (sum e)^2/r over the cells, of r draws: (B, number of cells)."""
        return self._sums(cell, e**2 / q) - self._sums(cell, e) ** 2 / self.draws

    def _sums(self, cell, x):
        """The sums of x over the cells, by their numbers: (B, number of cells)."""
        row = np.arange(len(x))[:, None] * len(self.draws)
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


def _sizes(w, mass):
    """How many items each cell takes (B, m), for sums of w in proportion to `mass` (B, m).

    w (B, N) is in the cells' order; places with w = 0 are the last, and in no cell. No cell is left
    without an item: neither at the end, nor where one w would fill several.
    """
    m = mass.shape[1]
    upto = np.cumsum(w, axis=1)
    ends = np.cumsum(mass, axis=1)
    shares = zip((upto - w) / upto[:, -1:], ends / ends[:, -1:])
    stop = np.array([np.searchsorted(*of_row) for of_row in shares])
    most = np.count_nonzero(w, axis=1, keepdims=True) - m
    more = np.clip(stop[:, :-1] - np.arange(1, m), 0, most)  # than one for each cell so far
    return 1 + np.diff(np.maximum.accumulate(more, axis=1), prepend=0, append=most)
