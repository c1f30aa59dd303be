"""How alike two models' right and wrong answers are."""

from .backend import namespace

__all__ = ["model_similarity", "pairwise_similarity"]

AGGREGATES = ("mean", "max")


def pairwise_similarity(first, second, kind="kappa"):
    """The similarity of every model in `first` (A, N) with every one in `second` (B, N): an (A, B) matrix.

    ``"agreement"``: o = mean of s s' + (1 - s)(1 - s'), for 0/1 scores the share of items where both are right or both
    wrong.  ``"kappa"``: (o - e)/(1 - e), with e = p p' + (1 - p)(1 - p') the agreement of independent models as
    accurate as these (Cohen 1960; "error consistency", Geirhos et al. 2020).  Where e = 1, two models that are both
    always right or both always wrong, chance explains the agreement, and kappa is set to 0.
    Raises ValueError for another kind.
    """
    xp = namespace(first, second)
    if kind not in ("agreement", "kappa"):
        raise ValueError(f"kind is {kind!r}; use 'agreement' or 'kappa'")
    p, q = xp.mean(first, axis=1)[:, None], xp.mean(second, axis=1)[None, :]
    both = first @ xp.matrix_transpose(second) / first.shape[1]
    observed, expected = 1 - p - q + 2 * both, 1 - p - q + 2 * p * q
    if kind == "agreement":
        return observed
    certain = expected >= 1 - 1e-12
    return xp.where(certain, 0.0, (observed - expected) / xp.where(certain, 1.0, 1 - expected))


def model_similarity(source_values, target_values, kind="kappa", over="mean"):
    """S(f, F), the similarity of each target (P, N) to the source models (M, N): (P,), at most 1.

    The mean (or ``over="max"``) over the sources of :func:`pairwise_similarity`.  It takes all the targets' scores: it
    describes an experiment, it is not an input to one.  Raises ValueError for another kind or aggregate.
    """
    if over not in AGGREGATES:
        raise ValueError(f"over is {over!r}; use one of {', '.join(AGGREGATES)}")
    pairs = pairwise_similarity(target_values, source_values, kind)
    return getattr(namespace(pairs), over)(pairs, axis=1)
