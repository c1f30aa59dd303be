"""Averages over benchmarks and over models: of the tables that `benchpred_utils.summary` makes."""

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri

from benchpred_utils.summary import holm, jackknife, leave_one_out


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


def change_over_models(table, clusters, baseline="random_sampling"):
    """The relative change of the estimation gap with an interval over *other models like these*.

    `table` is :func:`per_model`'s for one split and budget; one row per method: change is the mean
    over the benchmarks of gap/baseline's gap - 1; low, high are its interval over whole clusters
    (a Series: model -> its developer), since models of one developer are alike; groups is their
    number G. Developers are few and unequal, so the interval is :func:`jackknife`'s, with
    t(G - 1): a bootstrap of so few is too short. Raises ValueError when a model has no cluster.
    """
    missing = set(table["model"]) - set(clusters.index)
    if missing:
        raise ValueError(f"{len(missing)} models have no cluster, among them {sorted(missing)[0]}")
    keys = ["cluster", "benchmark", "method"]
    sums = table.assign(cluster=table["model"].map(clusters)).groupby(keys)["gap"].sum()
    sums = sums.unstack("method", fill_value=0.0)  # a row per cluster and benchmark
    weights = leave_one_out(sums.index.get_level_values("cluster"))
    benchmarks = sums.index.get_level_values("benchmark")
    changes = []
    for benchmark in benchmarks.unique():
        here = benchmarks == benchmark
        gaps = weights[:, here] @ sums[here].to_numpy()
        changes.append(gaps / gaps[:, [sums.columns.get_loc(baseline)]] - 1)
    value, low, high = jackknife(np.mean(changes, axis=0))
    found = pd.DataFrame({"change": value, "low": low, "high": high}, index=sums.columns)
    return found.loc[table["method"].unique()].assign(groups=len(weights) - 1).reset_index()
