"""Adaptive designs: the target's own scores, as they come in, say where to look next.

They choose the items of each target by itself, so they work on B rows, one for every trial and target, and on the host.
"""

from typing import NamedTuple

import numpy as np

from . import backend, irt
from .designs import checked_budget
from .estimators import Estimate
from .inference import stratified_interval
from .shared import once_per_source

__all__ = ["SequentialStratification", "WorkingModel", "predict", "working_model"]


class WorkingModel(NamedTuple):
    """A Bayesian logistic regression of a target's scores on what the sources say of the items.

    P(s = 1) = sigmoid(offset + x z), z ~ N(0, I): the prior of the coefficients is whitened into x and offset.
    """

    x: object  # (N, K)
    offset: object  # (N,)


@once_per_source
def working_model(source):
    """What the sources (M, N) say of the items, as the prior of a new target: a WorkingModel with K = 3.

    logit P(s = 1) = a theta + beta b + gamma, with a, b the slopes and intercepts of a 2PL fitted to the sources;
    theta ~ N(mean, variance) of the sources' abilities.  beta ~ N(1, 0.5^2) and gamma ~ N(0, 1.5^2) let the target's
    own scores say that what is hard for the sources is less so for it (beta < 1: down to not at all), or that all is
    easier.  They are wide by intent: on a logit scale 1.5 takes 50% to 82%.
    """
    fit = irt.fit_2pl(source, 1, dtype=backend.namespace(source).float32)
    a, b = backend.to_numpy(fit.items).astype(float).T
    theta = backend.to_numpy(fit.abilities).astype(float)
    x = np.stack([a * theta.std(), 0.5 * b, np.full(len(b), 1.5)], axis=1)
    return WorkingModel(x, a * theta.mean() + b)


def predict(model, items, observed):
    """g (B, N): the probabilities of all items given the scores observed (B, n) on items (B, n) of each of B targets."""
    z = irt.logistic_map(model.x[items], model.offset[items], observed[:, None, :], 1.0)[:, 0, :]
    return irt.sigmoid(z @ model.x.T + model.offset)


# --- sequential stratification ----------------------------------------------------------------------------------------


class SequentialStratification:
    """n items, one from each of n cells that are formed as the scores come in; exactly unbiased, for B targets at once.

    In every round the working model predicts g from all scores so far.  The items that are left, in order of g, are cut
    into as many contiguous cells as draws are left, of equal sums of w = sqrt(g (1 - g)) + floor.  Some of the cells,
    spread evenly, are used now: from each one item I is drawn with probability q = w / sum of w, and the cell's total is
    estimated by sum g + (s_I - g_I)/q_I.  The cell is then closed; the cells of the last round take in all items left.

    Whatever the past, a cell's estimate has the expectation of its total, and every item falls in one cell: the sum
    over the cells, over N, is unbiased for s(D).  (One draw per stratum: Cochran 1977, ch. 5A; the difference estimator:
    Särndal, Swensson & Wretman 1992, sec. 6.3; that the strata may depend on the past: a martingale.)
    """

    def __init__(self, source, uniform, n, rounds=10, floor=0.1, model=None):
        """`uniform` (B, N + 2n): independent uniform numbers, all the randomness there is."""
        b, n_items = len(uniform), checked_budget(source.shape[1], n)
        self.n, self.floor, self.model = n, floor, working_model(source) if model is None else model
        self._sizes = [n // rounds + (k < n % rounds) for k in range(min(rounds, n))]
        self._jitter = 0.01 * (uniform[:, :n_items] - 0.5)  # items alike in g are in random order
        self._offset, self._u = uniform[:, n_items : n_items + n], uniform[:, n_items + n :]
        self.cell = np.full((b, n_items), -1)  # the draw that closed the item's cell; -1: open
        self.g = np.zeros((b, n_items))  # as it was when the cell was closed
        self.q = np.zeros((b, n_items))  # probability of being the one drawn from the cell
        self.items, self.observed = self.cell[:, :0], self.g[:, :0]  # (B, draws so far)
        self._rounds = 0

    @property
    def done(self):
        """Whether all n scores are recorded."""
        return self.observed.shape[1] == self.n

    def next_items(self):
        """The items (B, r) of the next round, whose scores must then be given to `record`."""
        before, r = self.observed.shape[1], self._sizes[self._rounds]
        g = predict(self.model, self.items, self.observed)
        is_open = self.cell < 0
        n_open = is_open.sum(axis=1)[:, None]
        order = np.argsort(np.where(is_open, g + self._jitter, 2.0), axis=1)[:, : n_open.max()]
        g = np.take_along_axis(g, order, axis=1)
        w = np.where(np.arange(order.shape[1]) < n_open, np.sqrt(g * (1 - g)) + self.floor, 0.0)
        cells = _cells(w, n_open, self.n - before)
        steps = np.arange(r) + self._offset[:, [self._rounds]]
        chosen = (steps * ((self.n - before) / r)).astype(int)  # (B, r) of the cells, spread evenly
        place, q, draw = _one_per_cell(
            w, cells, chosen, self._u[:, before : before + r], self.n - before
        )
        row, now = np.nonzero(draw >= 0)
        closed = row, order[row, now]
        self.cell[closed], self.g[closed], self.q[closed] = (
            draw[row, now] + before,
            g[row, now],
            q[row, now],
        )
        self.items = np.concatenate([self.items, np.take_along_axis(order, place, axis=1)], axis=1)
        self._rounds += 1
        return self.items[:, before:]

    def record(self, observed):
        """The scores (B, r) of the items asked for last."""
        self.observed = np.concatenate([self.observed, observed], axis=1)

    def estimate(self):
        """The estimate (B,) when all scores are recorded, (sum g + sum (s - g)/q over the draws) / N, with an interval."""
        g, q = (np.take_along_axis(values, self.items, axis=1) for values in (self.g, self.q))
        value = (self.g.sum(axis=1) + ((self.observed - g) / q).sum(axis=1)) / self.g.shape[1]
        return Estimate(value, *stratified_interval(value, self.observed, g, q, self.g.shape[1]))


def _cells(w, n_open, m):
    """The cell 0, ..., m - 1 of each place (B, N), in order, by equal sums of w; m for the closed ones at the end."""
    upto, place = np.cumsum(w, axis=1), np.arange(w.shape[1])
    cell = ((upto - w) / upto[:, -1:] * (m * (1 - 1e-12))).astype(int)
    cell = np.maximum(
        cell, m - n_open + place
    )  # no cell is left without an item: neither at the end
    cell = place + np.minimum.accumulate(
        cell - place, axis=1
    )  # nor where one item's w is more than a cell's
    return np.where(place < n_open, cell, m)


def _one_per_cell(w, cells, chosen, u, m):
    """One place drawn from each chosen cell (B, r) with the uniform numbers u (B, r): places (B, r).

    Also, for every place (B, N), its probability q within its cell, and the number of the draw, 0, ..., r - 1, that
    closes its cell, or -1.  The place drawn is the one at which the sum of w passes the share u of its cell's.
    """
    b = np.arange(len(w))[:, None]
    upto = np.concatenate([np.zeros((len(w), 1)), np.cumsum(w, axis=1)], axis=1)
    is_first = np.diff(cells, axis=1, prepend=-1) > 0
    firsts = np.nonzero(is_first & (cells < m))[1].reshape(-1, m)
    ends = np.concatenate([firsts[:, 1:], (cells < m).sum(axis=1)[:, None]], axis=1)
    mass = upto[b, ends] - upto[b, firsts]  # (B, m)
    low, high = firsts[b, chosen], ends[b, chosen]
    target = (upto[b, low] + u * mass[b, chosen]) / upto[:, -1:]
    flat = (
        upto[:, 1:] / upto[:, -1:] + b
    ).ravel()  # one search for all rows: row i lies in (i, i + 1]
    place = (
        np.searchsorted(flat, (target + b).ravel(), side="right").reshape(chosen.shape)
        - b * w.shape[1]
    )
    number = np.full((len(w), m + 1), -1)
    number[b, chosen] = np.arange(chosen.shape[1])
    draw = number[b, cells]
    q = w / np.concatenate([mass, np.ones((len(w), 1))], axis=1)[b, cells]
    return np.clip(place, low, high - 1), q, draw
