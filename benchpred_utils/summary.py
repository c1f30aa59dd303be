"""What an experiment's records say: errors with their Monte Carlo uncertainty, and comparisons."""

import numpy as np
import pandas as pd
import scipy  # scipy.stats takes as long to load as all the rest: when it is first used
from scipy.special import stdtrit

CELL = ["benchmark", "split", "budget"]  # what makes two records comparable
ENDS = ("", "_low", "_high")
MEASURES = ("gap", "relative", "bias", "rmse", "ess", "tau")  # of an experiment; with intervals


def summarise(records):
    """One row per benchmark, split, budget and method: the errors of `run_experiment`'s records.

    gap: mean of abs(estimate - truth), the estimation gap; relative: mean of
    abs(estimate - truth)/truth; bias; rmse; tau: Kendall's tau of the targets' ranking, a mean over
    trials; ess: MSE of random sampling over the method's, both averaged over trials and targets
    first (NaN without random_sampling); each with its 95% Monte Carlo interval over trials,
    gap_low, gap_high and so on. trials: their number; coverage, width: of the estimates' intervals
    (NaN where there are none). gap, bias, rmse and width are in the unit of the scores.
    Raises ValueError when an estimate is NaN, as do `per_model` and `compare`.
    """
    groups = _grouped(_by_trial(records), "method")
    table = groups.agg(
        trials=("gap", "size"), coverage=("coverage", "mean"), width=("width", "mean")
    )
    for name in ("gap", "relative", "bias", "mse", "tau"):
        table = table.join(_monte_carlo(name, groups[name]))
    for end in ENDS:
        table[f"rmse{end}"] = table[f"mse{end}"].clip(lower=0) ** 0.5
    table = table.join(groups[["mse", "random"]].apply(_effective_sample_size)).reset_index()
    measures = [f"{name}{end}" for name in MEASURES for end in ENDS]
    return table[[*CELL, "method", "trials", *measures, "coverage", "width"]]


def _grouped(table, *keys):
    """The groups of comparable rows of one value of the keys, in the order of the records."""
    return table.groupby([*CELL, *keys], sort=False)


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
    return records.assign(
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
    groups = _grouped(_errors(records), "method", "trial")
    tau = groups[["estimate", "truth"]].apply(_kendall)
    trials = groups.mean(numeric_only=True).assign(tau=tau).reset_index()
    random = trials[trials["method"] == "random_sampling"].set_index([*CELL, "trial"])["mse"]
    return trials.join(random.rename("random"), on=[*CELL, "trial"])


def _kendall(part):
    """tau-b of a trial's estimates and truths; NaN where either is constant."""
    return scipy.stats.kendalltau(part["estimate"], part["truth"]).statistic


def _half_width(count, spread):
    """Of the 95% Student interval of a mean of `count` values."""
    return stdtrit(count - 1, 0.975) * spread / count**0.5


def _monte_carlo(name, groups):
    """The mean over trials with its Student interval, one row per group."""
    found = groups.agg(["mean", "std", "count"])
    half = _half_width(found["count"], found["std"])
    ends = (found["mean"], found["mean"] - half, found["mean"] + half)
    return pd.DataFrame({f"{name}{end}": values for end, values in zip(ENDS, ends)})


def _ratio_of_means(above, below):
    """mean(above)/mean(below) of pairs, and its half width by the delta method."""
    ratio = above.mean() / below.mean()
    influence = (above - ratio * below) / below.mean()
    return ratio, _half_width(len(above), influence.std())


def _effective_sample_size(trials):
    """mean(random)/mean(mse) with its interval, that of the ratio's logarithm."""
    ess = half = np.nan
    if trials["random"].notna().all() and trials["mse"].mean() > 0:
        ess, half = _ratio_of_means(trials["random"], trials["mse"])
    factor = np.exp(half / ess)
    return pd.Series({"ess": ess, "ess_low": ess / factor, "ess_high": ess * factor})


def per_model(records):
    """One row per benchmark, split, budget, method and target model: how far off it was.

    truth, bias, gap, mse and trials; coverage: share of the intervals that hold the truth; above:
    share that lie wholly above it, which flatters the model; width: their mean width (NaN where
    there are no intervals); dollars, where the records have them.
    """
    groups = _grouped(_errors(records), "method", "model")
    columns = ["truth", "bias", "gap", "mse", "coverage", "above", "width"]
    if "dollars" in records:
        columns.append("dollars")
    return groups[columns].mean().assign(trials=groups.size()).reset_index()


def compare(records, baseline="random_sampling"):
    """Every method against `baseline`, trial by trial: the relative change of the estimation gap.

    One row per benchmark, split, budget and method: change = gap / baseline's gap - 1, its 95%
    interval (low, high: the delta method for a ratio of paired means), the paired t test's p, and
    p_holm, corrected over all rows of the table (Holm 1979). Raises ValueError when the baseline is
    not among the methods or a trial is missing.
    """
    gaps = _grouped(_errors(records), "method", "trial")["gap"].mean().unstack("method")
    if baseline not in gaps:
        raise ValueError(
            f"there is no {baseline!r} in the records to compare with; they hold {', '.join(gaps)}"
        )
    if gaps.isna().any(axis=None):
        raise ValueError("the comparison is paired, but some methods lack trials that others have")
    rows = []
    for cell, group in _grouped(gaps):
        for method in group.columns.drop(baseline):
            rows.append((*cell, method, *_paired_change(group[method], group[baseline])))
    table = pd.DataFrame(rows, columns=[*CELL, "method", "change", "low", "high", "p"])
    return table.assign(p_holm=holm(table["p"]))


def _paired_change(gap, base):
    """mean(gap)/mean(base) - 1, its interval, and the p value of equal gaps, from paired trials."""
    ratio, half = _ratio_of_means(gap, base)
    p = scipy.stats.ttest_rel(gap, base).pvalue if np.any(gap != base) else 1.0
    return ratio - 1, ratio - 1 - half, ratio - 1 + half, p


def holm(p):
    """The p values (k,) of k tests, adjusted: those below a level have that chance of any error.

    (Holm 1979.)
    """
    from statsmodels.stats.multitest import multipletests  # takes as long to load as the package

    return multipletests(p, method="holm")[1] if len(p) else np.array([])
