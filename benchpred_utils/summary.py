"""What an experiment's records say: errors with their uncertainty over draws or models, and
comparisons."""

import numpy as np
import pandas as pd
import scipy  # scipy.stats takes as long to load as all the rest: when it is first used
from scipy.special import stdtrit

CELL = ["benchmark", "split", "budget"]  # what makes two records comparable


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
    found = {"trials": groups.size()}
    for name in ("gap", "relative", "bias", "mse", "tau"):
        mean = groups[name].mean()
        half = _half_width(groups[name].count(), groups[name].std())
        ends = mean, mean - half, mean + half
        if name == "mse":
            name = "rmse"
            ends = [end.clip(lower=0) ** 0.5 for end in ends]
        found |= zip((name, f"{name}_low", f"{name}_high"), ends)
    table = pd.DataFrame(found).join(groups.apply(_effective_sample_size))
    return table.join(groups[["coverage", "width"]].mean()).reset_index()


def _grouped(table, *keys):
    """The groups of comparable rows of one value of the keys, in the order of the records."""
    return table.groupby([*CELL, *keys], sort=False)


def _errors(records):
    """The errors of every record, beside what it is of."""
    missing = records[records["estimate"].isna()]  # which a mean would skip
    if len(missing):
        first = missing.iloc[0]
        raise ValueError(
            f"{len(missing)} estimates are NaN, the first is of {first['method']}, "
            f"trial {first['trial']}, model {first['model']}"
        )
    truth = records["truth"]
    error = records["estimate"] - truth
    lower = records["lower"]
    known = lower.notna()
    return records.assign(
        gap=error.abs(),
        relative=error.abs() / truth.where(truth > 0),
        bias=error,
        mse=error**2,
        coverage=truth.between(lower, records["upper"]).where(known).astype(float),
        above=(lower > truth).where(known).astype(float),
        width=records["upper"] - lower,
    )


def _by_trial(records):
    """One row per trial, the unit that is independent (its targets are not): its mean errors."""
    groups = _grouped(_errors(records), "method", "trial")
    tau = groups[["estimate", "truth"]].corr("kendall")["estimate"]  # tau-b; NaN where constant
    trials = groups.mean(numeric_only=True).assign(tau=tau.xs("truth", level=-1)).reset_index()
    random = trials.query("method == 'random_sampling'").set_index([*CELL, "trial"])["mse"]
    return trials.join(random.rename("random"), on=[*CELL, "trial"])


def _half_width(count, spread):
    """Of the 95% Student interval of a mean of `count` values."""
    return stdtrit(count - 1, 0.975) * spread / count**0.5


def _ratio_of_means(above, below):
    """mean(above)/mean(below) of pairs, and its half width by the delta method."""
    base = below.mean() or np.nan  # no ratio to nothing
    ratio = above.mean() / base
    influence = (above - ratio * below) / base
    return ratio, _half_width(len(above), influence.std())


def _effective_sample_size(trials):
    """mean(random)/mean(mse) with its interval, that of the ratio's logarithm."""
    ends = ["ess", "ess_low", "ess_high"]
    if trials["random"].isna().any():
        return pd.Series(np.nan, ends)
    ess, half = _ratio_of_means(trials["random"], trials["mse"])
    factor = np.exp(half / ess)
    return pd.Series([ess, ess / factor, ess * factor], ends)


def per_model(records):
    """One row per benchmark, split, budget, method and target model: how far off it was.

    truth, bias, gap, mse and trials; coverage: share of the intervals that hold the truth; above:
    share that lie wholly above it, which flatters the model; width: their mean width (NaN where
    there are no intervals); dollars, where the records have them.
    """
    groups = _grouped(_errors(records), "method", "model")
    columns = ["truth", "bias", "gap", "mse", "coverage", "above", "width", "dollars"]
    means = groups.mean(numeric_only=True).filter(columns)
    return means.assign(trials=groups.size()).reset_index()


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
    rows = [
        (*cell, method, *_paired_change(group[method], group[baseline]))
        for cell, group in _grouped(gaps)
        for method in group.columns.drop(baseline)
    ]
    table = pd.DataFrame(rows, columns=[*CELL, "method", "change", "low", "high", "p"])
    return table.assign(p_holm=holm(table["p"]))


def _paired_change(gap, base):
    """mean(gap)/mean(base) - 1, its interval, and the p value of equal gaps, from paired trials."""
    ratio, half = _ratio_of_means(gap, base)
    change = ratio - 1
    p = scipy.stats.ttest_rel(gap, base).pvalue if np.any(gap != base) else 1.0
    return change, change - half, change + half, p


def holm(p):
    """The p values (k,) of k tests, adjusted: those below a level have that chance of any error.

    (Holm 1979.)
    """
    from statsmodels.stats.multitest import multipletests  # takes as long to load as the package

    return multipletests(p, method="holm")[1] if len(p) else p


def leave_one_out(groups):
    """Weights (G + 1, R) of R rows: ones, then zeros for each of the G groups (R,) in turn."""
    others = np.asarray(groups) != np.unique(groups)[:, None]
    return np.vstack([np.ones(len(groups)), others])


def jackknife(values):
    """A statistic with its 95% interval over few unequal groups: value, low, high (...).

    `values` (G + 1, ...): of all rows, then without each of the G groups (`leave_one_out`). The
    half-width is t(G - 1) sqrt((G - 1)/G sum (value without g - value)^2), for a regression that
    of CR3 (Bell & McCaffrey 2002, MacKinnon, Nielsen & Webb 2023). NaN for fewer than two groups.
    """
    value = values[0]
    count = len(values) - 1
    spread = ((values - value) ** 2).sum(axis=0) * (count - 1)
    half = _half_width(count, spread**0.5)
    return value, value - half, value + half
