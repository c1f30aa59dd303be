"""Faults that are put into the items of a benchmark, and how they are repaired."""

import numpy as np

from benchpred_utils.designs import uniform_core_sets

__all__ = ["faults", "wrong_keys"]


def wrong_keys(values, bad, rng):
    """The scores when the keys of the items `bad` are wrong.

    Right answers are then 0, and a third of the wrong ones 1.
    """
    spoilt = values.copy()
    lucky = rng.random((len(values), len(bad))) < 1 / 3
    spoilt[:, bad] = (values[:, bad] == 0) & lucky
    return spoilt


def faults(x, y, n, trials, rng):
    """Of each fault, as it is and repaired, what a method meets.

    Yields fault, stage, the scores of the sources (made from x), those of the targets (from y), and
    core sets (trials, n).
    """

    def draw(N, trials=trials):
        return uniform_core_sets(N, n, trials, rng)

    N, ease = y.shape[1], x.mean(axis=0)
    leaked = np.where(rng.random(y.shape) < 0.2, 1.0, y)
    yield "leaked, not known which", "as it is", x, leaked, draw(N)
    suspect = rng.random(N) < np.where(ease > np.median(ease), 0.6, 0.2)
    clean = np.flatnonzero(~suspect)
    for stage, core in (("as it is", draw(N)), ("repaired", clean[draw(len(clean))])):
        yield "leaked, suspects known", stage, x, np.where(suspect, 1.0, y), core
    published = draw(N, 1)
    known = np.isin(np.arange(N), published)
    for stage, core in (("as it is", np.tile(published, (trials, 1))), ("repaired", draw(N))):
        yield "core set leaked", stage, x, np.where(known, 1.0, y), core
    twice = np.append(np.arange(N), np.argsort(-ease)[: N // 3])
    yield "easy items listed twice", "as it is", x[:, twice], y[:, twice], draw(len(twice))
    yield "easy items listed twice", "repaired", x, y, draw(N)
    bad = rng.choice(N, round(0.05 * N), replace=False)
    for stage, seen in (("as it is", wrong_keys(y, bad, rng)), ("repaired", y)):
        yield "wrong keys", stage, wrong_keys(x, bad, rng), seen, draw(N)
