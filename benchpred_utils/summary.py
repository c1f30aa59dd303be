"""What an experiment's records say: errors with their Monte Carlo uncertainty, and comparisons."""

import numpy as np
import pandas as pd
import scipy  # scipy.stats takes as long to load as all the rest: when it is first used
from scipy.special import stdtrit

CELL = ["benchmark", "split", "budget"]  # what makes two records comparable
MEASURES = ("gap", "relative", "bias", "rmse", "ess", "tau")  # of an experiment; with intervals


def summarise(records, level=0.95):
    """One row per benchmark, split, budget and method: the errors of `run_experiment`'s records.

    gap: mean of abs(estimate - truth), the estimation gap; relative: mean of
    abs(estimate - truth)/truth; bias; rmse; tau: Kendall's tau of the targets' ranking, a mean over
    trials; ess: MSE of random sampling over the method's, both averaged over trials and targets
    first (NaN without random_sampling); each with its Monte Carlo interval over trials, gap_low,
    gap_high and so on. trials: their number; coverage, width: of the estimates' intervals (NaN
    where there are none). gap, bias, rmse and width are in the unit of the scores.
    Raises ValueError when an estimate is NaN, as do `per_model` and `compare`.
    """
    keys = [*CELL, "method"]
    groups = _by_trial(records).groupby(keys, sort=False, observed=True)
    table = groups.agg(
        trials=("gap", "size"), coverage=("coverage", "mean"), width=("width", "mean")
    )
    for name in ("gap", "relative", "bias", "mse", "tau"):
        table = table.join(_monte_carlo(name, groups[name], level))
    for end in ("", "_low", "_high"):
        table[f"rmse{end}"] = table[f"mse{end}"].clip(lower=0) ** 0.5
    ess = groups[["mse", "random"]].apply(_effective_sample_size, level)
    measures = [f"{name}{end}" for name in MEASURES for end in ("", "_low", "_high")]
    return table.join(ess).reset_index()[[*keys, "trials", *measures, "coverage", "width"]]


def _errors(records):
    """The errors of every record, beside what it is of."""
    missing = records[records["estimate"].isna()]  # which a mean would skip
    if len(missing):
        method, trial, model = missing[["method", "trial", "model"]].iloc[0]
        first = f"{method}, trial {trial}, model {model}"
        raise ValueError(f"{len(missing)} estimates are NaN, the first is of {first}")
    truth = records["truth"]
    error = records["estimate"] - truth
    known = records["lower"].notna()
    covered = (records["lower"] <= truth) & (truth <= records["upper"])
    return records[[*CELL, "method", "trial", "model", "truth", "estimate"]].assign(
        gap=error.abs(),
        relative=error.abs() / truth.where(truth > 0),
        bias=error,
        mse=error**2,
        coverage=covered.where(known).astype(float),
        above=(records["lower"] > truth).where(known).astype(float),
        width=records["upper"] - records["lower"],
    )


def _by_trial(records):
    """One row per trial, the unit that is independent (its targets are not): its mean errors."""
    keys = [*CELL, "method", "trial"]
    groups = _errors(records).drop(columns="model").groupby(keys, sort=False, observed=True)
    tau = groups[["estimate", "truth"]].apply(_kendall)
    trials = groups.mean().assign(tau=tau).reset_index()
    random = trials[trials["method"] == "random_sampling"].set_index([*CELL, "trial"])["mse"]
    return trials.join(random.rename("random"), on=[*CELL, "trial"])


def _kendall(part):
    """tau-b of a trial's estimates and truths; NaN where either is constant."""
    return scipy.stats.kendalltau(part["estimate"], part["truth"]).statistic


def _half_width(count, spread, level):
    """Of the Student interval of a mean of `count` values."""
    return stdtrit(count - 1, 0.5 + level / 2) * spread / count**0.5


def _monte_carlo(name, groups, level):
    """The mean over trials with its Student interval, one row per group."""
    found = groups.agg(["mean", "std", "count"])
    half = _half_width(found["count"], found["std"], level)
    columns = {name: found["mean"]}
    columns[f"{name}_low"] = found["mean"] - half
    columns[f"{name}_high"] = found["mean"] + half
    return pd.DataFrame(columns)


def _effective_sample_size(trials, level):
    """mean(random)/mean(mse) with its interval: the delta method for the logarithm of the ratio."""
    mse = trials["mse"]
    random = trials["random"]
    if random.isna().any() or not mse.mean() > 0:
        return pd.Series({"ess": np.nan, "ess_low": np.nan, "ess_high": np.nan})
    ess = random.mean() / mse.mean()
    influence = random / random.mean() - mse / mse.mean()
    factor = np.exp(_half_width(len(mse), influence.std(ddof=1), level))
    return pd.Series({"ess": ess, "ess_low": ess / factor, "ess_high": ess * factor})


def per_model(records):
    """One row per benchmark, split, budget, method and target model: how far off it was.

    truth, bias, gap, mse and trials; coverage: share of the intervals that hold the truth; above:
    share that lie wholly above it, which flatters the model; width: their mean width (NaN where
    there are no intervals).
    """
    keys = [*CELL, "method", "model"]
    groups = _errors(records).groupby(keys, sort=False, observed=True)
    columns = ["truth", "bias", "gap", "mse", "coverage", "above", "width"]
    return groups[columns].mean().assign(trials=groups.size()).reset_index()


def compare(records, baseline="random_sampling", level=0.95):
    """Every method against `baseline`, trial by trial: the relative change of the estimation gap.

    One row per benchmark, split, budget and method: change = gap / baseline's gap - 1, its interval
    (low, high: the delta method for a ratio of paired means), the paired t test's p, and p_holm,
    corrected over all rows of the table (Holm 1979). Raises ValueError when the baseline is not
    among the methods or a trial is missing.
    """
    keys = [*CELL, "method", "trial"]
    gaps = _errors(records).groupby(keys, sort=False, observed=True)["gap"].mean().unstack("method")
    if baseline not in gaps:
        raise ValueError(
            f"there is no {baseline!r} in the records to compare with; they hold {', '.join(gaps)}"
        )
    if gaps.isna().any(axis=None):
        raise ValueError("the comparison is paired, but some methods lack trials that others have")
    rows = []
    for cell, group in gaps.groupby(CELL, sort=False, observed=True):
        for method in group.columns.drop(baseline):
            change = _paired_change(group[method], group[baseline], level)
            rows.append((*cell, method, *change))
    table = pd.DataFrame(rows, columns=[*CELL, "method", "change", "low", "high", "p"])
    return table.assign(p_holm=holm(table["p"]))


def _paired_change(gap, base, level):
    """mean(gap)/mean(base) - 1, its interval, and the p value of equal gaps, from paired trials."""
    ratio = gap.mean() / base.mean()
    influence = (gap - ratio * base) / base.mean()
    half = _half_width(len(gap), influence.std(ddof=1), level)
    p = scipy.stats.ttest_rel(gap, base).pvalue if np.any(gap != base) else 1.0
    return ratio - 1, ratio - 1 - half, ratio - 1 + half, p


def holm(p):
    """The p values (k,) of k tests, adjusted: those below a level have that chance of any error.

    (Holm 1979.)
    """
    from statsmodels.stats.multitest import multipletests  # takes as long to load as the package

    return multipletests(p, method="holm")[1] if len(p) else np.array([])
