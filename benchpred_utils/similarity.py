"""How alike two models' right and wrong answers are."""

from numbers import Integral

from .backend import array_module, floating

KINDS = ("agreement", "kappa", "forward", "backward")


def pairwise_similarity(first, second, kind="kappa"):
    """The similarity of every model in `first` (A, N) with every one in `second` (B, N): (A, B).

    With p, q the two models' mean scores and b the mean of s s', for 0/1 scores the share of items
    that both have right:

    - ``"agreement"``: o = 1 - p - q + 2b, the share of items where both are right or both wrong;
    - ``"kappa"``: (o - e)/(1 - e), with e = 1 - p - q + 2pq the agreement of independent models as
      accurate as these (Cohen 1960; "error consistency", Geirhos et al. 2020);
    - ``"forward"``: b/p, the share of the first model's right answers that the second has too;
      ``"backward"``: b/q, the other way round: recall and precision, one model taken as a
      prediction of the other (van Rijsbergen 1979).

    Where e = 1, two models that are both always right or both always wrong, chance explains the
    agreement, and kappa is set to 0; so is a share of no right answers.
    Raises ValueError for another kind.
    """
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}; use one of {', '.join(KINDS)}")
    s, t = floating(first, second)
    xp = array_module(s)
    p = xp.mean(s, axis=1)[:, None]
    q = xp.mean(t, axis=1)
    both = s @ t.T / s.shape[1]
    if kind in ("forward", "backward"):
        return _ratio(both, p if kind == "forward" else q)
    observed = 1 - p - q + 2 * both
    if kind == "agreement":
        return observed
    expected = 1 - p - q + 2 * p * q
    return _ratio(observed - expected, 1 - expected)


def _ratio(part, whole):
    """part / whole, and 0 where there is no whole."""
    xp = array_module(part)
    none = whole <= 1e-12
    return xp.where(none, 0.0, part / xp.where(none, 1.0, whole))


def model_similarity(source_values, target_values, kind="kappa", over="mean"):
    """S(f, F), the similarity of each target (P, N) to the source models (M, N): (P,), at most 1.

    The mean, ``over="max"`` the maximum, or with a whole number k the mean of the k largest, over
    the sources of :func:`pairwise_similarity`; ``"forward"`` goes from the target to the source.
    Over all N items it describes an experiment; over a core set, the columns ``[:, core]`` of both
    matrices, it can be known before the result.
    Raises ValueError for another kind, another aggregate, and a k that is not between 1 and M.
    """
    n_models = source_values.shape[0]
    k = {"mean": n_models, "max": 1}.get(over, over)
    if not isinstance(k, Integral) or over is True or not 1 <= k <= n_models:
        choices = f"'mean', 'max' or a number of sources from 1 to {n_models}"
        raise ValueError(f"over is {over!r}; use {choices}")
    pairs = pairwise_similarity(target_values, source_values, kind)
    xp = array_module(pairs)
    return xp.mean(xp.sort(pairs, axis=1)[:, n_models - k :], axis=1)
