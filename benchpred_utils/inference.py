"""Intervals of an estimate, and what an experiment's records say: errors with their Monte Carlo uncertainty."""

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.multitest import multipletests

__all__ = ["compare", "summarise", "t_interval"]

CELL = ["benchmark", "split", "budget"]  # what makes two records comparable


def t_interval(value, variance, df, level=0.95):
    """value -/+ t sqrt(variance), the Student interval: two arrays of the shape of `value` (Student 1908).

    It takes the estimate for normal and the variance for well estimated, which fails near 0 and 1.
    """
    half = float(stats.t.ppf(0.5 + level / 2, df)) * variance**0.5
    return value - half, value + half


def summarise(records, level=0.95):
    """One row per benchmark, split, budget and method: the errors of `run_experiment`'s records.

    gap: mean of abs(estimate - truth), the estimation gap; gap_low, gap_high: its Monte Carlo interval over trials;
    bias, rmse; ess: MSE of random sampling over the method's, both averaged over trials and targets first (NaN without
    random_sampling); coverage, width: of the intervals (NaN where there are none).  All in the unit of the scores.
    """
    gaps = _trial_means(records)
    error = records["estimate"] - records["truth"]
    has_interval = records["lower"].notna()
    covered = ((records["lower"] <= records["truth"]) & (records["truth"] <= records["upper"])).where(has_interval)
    columns = {"bias": error, "mse": error**2, "coverage": covered.astype(float)}
    columns["width"] = records["upper"] - records["lower"]
    keys = [*CELL, "method"]
    table = records[keys].assign(**columns).groupby(keys, sort=False, observed=True).mean()
    half = stats.t.ppf(0.5 + level / 2, gaps["count"] - 1) * gaps["std"] / gaps["count"] ** 0.5
    table = table.assign(gap=gaps["mean"], gap_low=gaps["mean"] - half, gap_high=gaps["mean"] + half)
    table = table.assign(rmse=table["mse"] ** 0.5, trials=gaps["count"]).reset_index()
    random = table[table["method"] == "random_sampling"].set_index(CELL)["mse"]
    baseline = random.reindex(pd.MultiIndex.from_frame(table[CELL])).to_numpy()
    table["ess"] = baseline / table["mse"].where(table["mse"] > 0)
    return table[[*keys, "trials", "gap", "gap_low", "gap_high", "bias", "rmse", "ess", "coverage", "width"]]


def _trial_gaps(records):
    """The mean over the targets of abs(estimate - truth), one row per trial: trials are independent, targets not."""
    gap = (records["estimate"] - records["truth"]).abs()
    keys = [*CELL, "method", "trial"]
    return records[keys].assign(gap=gap).groupby(keys, sort=False, observed=True)["gap"].mean()


def _trial_means(records):
    return _trial_gaps(records).groupby([*CELL, "method"], sort=False, observed=True).agg(["mean", "std", "count"])


def compare(records, baseline="random_sampling", level=0.95):
    """Every method against `baseline`, trial by trial: the relative change of the estimation gap.

    One row per benchmark, split, budget and method: change = gap / baseline's gap - 1, its interval (low, high: the
    delta method for a ratio of paired means), the paired t test's p, and p_holm, corrected over all rows of the table
    (Holm 1979).  Raises ValueError when the baseline is not among the methods or a trial is missing.
    """
    gaps = _trial_gaps(records).unstack("method")
    if baseline not in gaps:
        raise ValueError(f"there is no {baseline!r} in the records to compare with; they hold {', '.join(gaps)}")
    if gaps.isna().any(axis=None):
        raise ValueError("the comparison is paired, but some methods lack trials that others have")
    rows = []
    for cell, group in gaps.groupby(CELL, sort=False, observed=True):
        for method in group.columns.drop(baseline):
            change, low, high, p = _paired_change(group[method], group[baseline], level)
            rows.append((*cell, method, change, low, high, p))
    table = pd.DataFrame(rows, columns=[*CELL, "method", "change", "low", "high", "p"])
    return table.assign(p_holm=multipletests(table["p"], method="holm")[1] if len(table) else [])


def _paired_change(gap, base, level):
    """mean(gap)/mean(base) - 1, its interval, and the p value of equal gaps, from paired trials."""
    ratio = gap.mean() / base.mean()
    residual = (gap - ratio * base) / base.mean()  # the ratio's influence function
    half = stats.t.ppf(0.5 + level / 2, len(gap) - 1) * residual.std(ddof=1) / len(gap) ** 0.5
    p = stats.ttest_rel(gap, base).pvalue if np.any(gap != base) else 1.0
    return ratio - 1, ratio - 1 - half, ratio - 1 + half, p
