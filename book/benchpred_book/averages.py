"""Averages over benchmarks and over models: of the tables that `benchpred_utils.summary` makes."""

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri

from benchpred_utils.summary import holm


def mean_changes(changes):
    """The mean over the benchmarks of each method's change, with its interval and tests.

    `changes` is the table of :func:`compare` (level 95%) for one split and budget; a row, "mean",
    per method. The benchmarks are taken for independent: the mean's half-width is
    sqrt(sum of their squared half-widths) over their number, p is two-sided from the normal
    distribution, p_holm is corrected over the methods (Holm 1979).
    """
    square = ((changes["high"] - changes["low"]) / 2) ** 2
    groups = changes.assign(square=square).groupby("method", sort=False)
    mean = groups["change"].mean()
    half = groups["square"].sum() ** 0.5 / groups.size()
    p = 2 * ndtr(-ndtri(0.975) * np.abs(mean / half))
    columns = {"benchmark": "mean", "change": mean, "low": mean - half, "high": mean + half, "p": p}
    return pd.DataFrame(columns).assign(p_holm=holm(p)).reset_index()


def bootstrap_over_models(
    table, clusters, rng, baseline="random_sampling", draws=2_000, level=0.95
):
    """The relative change of the estimation gap with an interval over *other models like these*.

    `table` is :func:`per_model`'s for one split and budget; one row per method: change is the mean
    over the benchmarks of gap/baseline's gap - 1; low, high are percentiles over bootstrap samples
    of whole clusters (a Series: model -> its developer), since models of one developer are alike
    (Field & Welsh 2007). Raises ValueError when a model has no cluster.
    """
    missing = set(table["model"]) - set(clusters.index)
    if missing:
        raise ValueError(f"{len(missing)} models have no cluster, among them {sorted(missing)[0]}")
    keys = ["cluster", "benchmark", "method"]
    sums = table.assign(cluster=table["model"].map(clusters)).groupby(keys)["gap"].sum()
    sums = sums.unstack(["benchmark", "method"], fill_value=0.0)  # (clusters, ...)
    weights = rng.multinomial(len(sums), np.full(len(sums), 1 / len(sums)), draws)
    weights = np.concatenate([np.ones((1, len(sums))), weights])  # first: as they are
    benchmarks = table["benchmark"].unique()
    rows = []
    for method in table["method"].unique():
        gaps = weights @ sums.loc[:, [(b, method) for b in benchmarks]].to_numpy()
        base = weights @ sums.loc[:, [(b, baseline) for b in benchmarks]].to_numpy()
        change = (gaps / base - 1).mean(axis=1)
        ends = np.nanquantile(change[1:], [0.5 - level / 2, 0.5 + level / 2])
        rows.append((method, change[0], *ends))
    return pd.DataFrame(rows, columns=["method", "change", "low", "high"])
