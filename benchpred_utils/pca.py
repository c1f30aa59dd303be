"""Imputation by principal components."""

from .backend import array_module
from .estimators import Estimate

__all__ = ["pca"]


def pca(source, core, observed, ranks=(2, 5, 10, 20)):
    """The mean of a target's row, filled in by principal components of the source and target rows.

    All targets of a trial are filled in together, in one matrix with the sources: what is estimated
    for one of them depends on the others.  The rank is the one of `ranks` with the least mean
    absolute error on every fourth source in order of accuracy, imputed from the other three
    quarters.  (Zhang, Dorner & Hardt 2025, whose code writes the mask of these to a copy, so that
    every rank has error 0 and the first, 2, always wins.)
    """
    xp = array_module(source)
    ordered = source[xp.argsort(source.mean(axis=1))]
    train = ordered[xp.arange(len(ordered)) % 4 != 2]
    validation = ordered[2::4]
    values = []
    for items, seen in zip(core, observed):
        gaps = []
        for rank in ranks:
            means = _imputed_means(train, items, validation[:, items], rank)
            gaps.append(float(abs(means - validation.mean(axis=1)).sum()))
        best = ranks[gaps.index(min(gaps))]
        values.append(_imputed_means(source, items, seen, best))
    return Estimate(xp.stack(values))


def _imputed_means(rows, items, seen, rank):
    """The means (P,) of further rows, of which only the scores `seen` (P, n) on `items` are known.

    The others start at the item means of `rows` and are replaced by their values in the rank-k
    reconstruction of all rows, until a step changes no more than 1e-4 (Euclidean norm), 100 times
    at most.
    """
    xp = array_module(rows)
    filled = xp.concat([rows, xp.tile(rows.mean(axis=0), (len(seen), 1))])
    targets = filled[len(rows) :]  # a view
    targets[:, items] = seen
    for _ in range(100):
        centred = filled - filled.mean(axis=0)
        vectors = xp.linalg.eigh(centred @ centred.T)[1][:, -rank:]  # few rows, many items
        rebuilt = filled.mean(axis=0) + vectors[len(rows) :] @ (vectors.T @ centred)
        rebuilt[:, items] = seen
        change = xp.linalg.norm(rebuilt - targets)
        targets[:] = rebuilt
        if change < 1e-4:
            break
    return targets.mean(axis=1)
