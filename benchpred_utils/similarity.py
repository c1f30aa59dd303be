"""How alike two models' right and wrong answers are."""

from numbers import Integral

from .backend import device, floating, namespace
from .shared import MAX_MEMORY, chunks

__all__ = ["model_similarity", "pairwise_similarity"]

KINDS = ("agreement", "kappa", "forward", "backward")


def pairwise_similarity(first, second, kind="kappa", max_memory=MAX_MEMORY):
    """The similarity of every model in `first` (A, N) with every one in `second` (B, N): an (A, B) matrix.

    With p, q the two models' mean scores and b the mean of s s', for 0/1 scores the share of items both have right:

    - ``"agreement"``: o = 1 - p - q + 2b, the share of items where both are right or both wrong;
    - ``"kappa"``: (o - e)/(1 - e), with e = 1 - p - q + 2pq the agreement of independent models as accurate as these
      (Cohen 1960; "error consistency", Geirhos et al. 2020);
    - ``"forward"``: b/p, the share of the first model's right answers that the second has too; ``"backward"``: b/q, the
      other way round: recall and precision, one model taken as a prediction of the other (van Rijsbergen 1979).

    Where e = 1, two models that are both always right or both always wrong, chance explains the agreement, and kappa is
    set to 0; so is a share of no right answers.  It is computed in blocks of models that take `max_memory` bytes beside
    the result; scores in bytes or booleans are counted in single precision, exact below 2^24, and give float64.
    Raises ValueError for another kind, and when `max_memory` can't hold two models.
    """
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}; use one of {', '.join(KINDS)}")
    xp, (n_first, n_items), n_second = namespace(first, second), first.shape, second.shape[0]
    dtype = xp.result_type(floating(first[:1, :]), floating(second[:1, :]))
    counts = (
        not any(xp.isdtype(scores.dtype, "real floating") for scores in (first, second))
        and n_items < 2**24
    )
    work = xp.float32 if counts else dtype
    result = xp.empty((n_first, n_second), dtype=dtype, device=device(first))
    for column in chunks(
        n_second, 32 * (n_items + 8), max_memory
    ):  # a quarter of the memory; the rest is for the rows
        t, width = floating(second[column, :], work), column.stop - column.start
        for row in chunks(n_first, 8 * (n_items + 8 * width), max_memory - 8 * n_items * width):
            result[row, column] = _similarity(floating(first[row, :], work), t, kind, dtype)
    return result


def _similarity(s, t, kind, dtype):
    """The similarity of the models s (A, N) and t (B, N): sums over the items as they come, their ratios in `dtype`."""
    xp, n_items = namespace(s), s.shape[1]
    mean = lambda total: xp.astype(total, dtype, copy=False) / n_items
    p, q = mean(xp.sum(s, axis=1))[:, None], mean(xp.sum(t, axis=1))[None, :]
    both = mean(s @ xp.matrix_transpose(t))
    if kind in ("forward", "backward"):
        return _ratio(both, xp.broadcast_to(p if kind == "forward" else q, both.shape))
    observed, expected = 1 - p - q + 2 * both, 1 - p - q + 2 * p * q
    return observed if kind == "agreement" else _ratio(observed - expected, 1 - expected)


def _ratio(part, whole):
    """part / whole, and 0 where there is no whole."""
    xp = namespace(part)
    none = whole <= 1e-12
    return xp.where(none, 0.0, part / xp.where(none, 1.0, whole))


def model_similarity(source_values, target_values, kind="kappa", over="mean"):
    """S(f, F), the similarity of each target (P, N) to the source models (M, N): (P,), at most 1.

    The mean, ``over="max"`` the maximum, or with a whole number k the mean of the k largest, over the sources of
    :func:`pairwise_similarity`; ``"forward"`` goes from the target to the source.  Over all N items it describes an
    experiment; over a core set, the columns ``[:, core]`` of both matrices, it can be known before the result.
    Raises ValueError for another kind, another aggregate, and a k that is not between 1 and M.
    """
    n_models = source_values.shape[0]
    k = {"mean": n_models, "max": 1}.get(over, over)
    if not isinstance(k, Integral) or isinstance(k, bool):
        raise ValueError(f"over is {over!r}; use 'mean', 'max' or a number of sources")
    if not 1 <= k <= n_models:
        raise ValueError(
            f"the {k} most similar of {n_models} sources can't be had; over must be between 1 and M"
        )
    pairs = pairwise_similarity(target_values, source_values, kind)
    xp = namespace(pairs)
    return xp.mean(xp.sort(pairs, axis=1)[:, n_models - k :], axis=1)
