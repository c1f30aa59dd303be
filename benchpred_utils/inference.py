"""Intervals of an estimate, and what an experiment's records say: errors with their Monte Carlo uncertainty."""

import numpy as np
import pandas as pd
import scipy  # scipy.stats, which takes as long to load as all the rest, when it is first used; and so statsmodels
from scipy.special import ndtr, ndtri, stdtrit

from .backend import device, namespace

__all__ = [
    "bootstrap_over_models",
    "compare",
    "holm",
    "mean_changes",
    "per_model",
    "score_interval",
    "stratified_interval",
    "summarise",
    "t_interval",
]

CELL = ["benchmark", "split", "budget"]  # what makes two records comparable
MEASURES = (
    "gap",
    "relative",
    "bias",
    "rmse",
    "ess",
    "tau",
)  # of an experiment; each has an interval


def t_interval(value, variance, df, level=0.95):
    """value -/+ t sqrt(variance), the Student interval: two arrays of the shape of `value` (Student 1908).

    It takes the estimate for normal and the variance for well estimated, which fails near 0 and 1.
    """
    half = float(stdtrit(df, 0.5 + level / 2)) * variance**0.5
    return value - half, value + half


def score_interval(value, variance, mean, plain, df, level=0.95):
    """The theta that a score test of `value` keeps, Wilson's interval at the effective sample size: two such arrays.

    Of the variance only the ratio to mean (1 - mean) is taken from the sample, the rest from theta itself:

        (value - theta)^2 <= t^2 k theta (1 - theta),    k = variance / (mean (1 - mean)),

    with `variance` estimated for `value`, and `mean` the observed scores' own (weighted by 1/q when drawn with unequal
    q).  k is 1/(effective sample size); where all scores are 0 or all are 1 nothing tells it, and it is `plain`,
    (1 - n/N)/n, as of the plain mean.  df: inf where k is known, n - 1 where it is estimated.  The ends lie in [0, 1],
    also for an unbiased value that does not (Wilson 1927; Kott & Carr 1997; Korn & Graubard 1998).
    """
    xp = namespace(value)
    value, spread = xp.clip(value, 0.0, 1.0), mean * (1 - mean)
    known = spread > 1e-9  # a weighted mean of ones is 1 but for rounding
    k = (
        xp.where(known, variance / xp.where(known, spread, 1.0), plain)
        * float(stdtrit(df, 0.5 + level / 2)) ** 2
    )
    middle, half = value + k / 2, xp.sqrt(k * value * (1 - value) + k**2 / 4)
    return (middle - half) / (1 + k), (middle + half) / (1 + k)


def stratified_interval(value, observed, g, q, n_items):
    """The score interval of one draw from each of n cells: two arrays (B,); observed, g, q (B, n) in order of drawing.

    A cell's total is estimated by sum g + e, e = (s - g)/q.  Its variance is the expectation of (1 - q) e^2, less the
    products of different items' residuals, which are positive as long as g has not learned how good the target is.  So
    a regression of e on 1/k, k = 1, ..., n the number of the draw, is taken out: an error that fades as g learns.  One
    draw per cell allows no unbiased estimate of the variance; regression over the cells is Hartley, Rao & Kiefer's
    (1969).  With fewer than three draws the interval is [0, 1].
    """
    xp, n = namespace(value), observed.shape[-1]
    if n < 3:
        return xp.zeros_like(value), xp.ones_like(value)
    centred = lambda x: x - xp.mean(x, axis=-1, keepdims=True)
    k = xp.arange(1, n + 1, dtype=value.dtype, device=device(value))
    x, e = centred(1 / k), centred((observed - g) / q)
    slope = xp.sum(x * e, axis=-1) / xp.sum(x**2)
    variance = (
        xp.sum(xp.clip(1 - q, 0.0, None) * (e - slope[..., None] * x) ** 2, axis=-1)
        * n
        / (n - 2)
        / n_items**2
    )
    mean = xp.sum(observed / q, axis=-1) / xp.sum(1 / q, axis=-1)
    return score_interval(value, variance, mean, (1 - n / n_items) / n, n - 1)


def summarise(records, level=0.95):
    """One row per benchmark, split, budget and method: the errors of `run_experiment`'s records.

    gap: mean of abs(estimate - truth), the estimation gap; relative: mean of abs(estimate - truth)/truth; bias; rmse;
    tau: Kendall's tau of the targets' ranking, a mean over trials; ess: MSE of random sampling over the method's, both
    averaged over trials and targets first (NaN without random_sampling); each with its Monte Carlo interval over
    trials, gap_low, gap_high and so on.  trials: their number; coverage, width: of the estimates' intervals (NaN where
    there are none).  All in the unit of the scores.
    """
    keys = [*CELL, "method"]
    trials = _by_trial(records)
    groups = trials.groupby(keys, sort=False, observed=True)
    table = groups.agg(
        trials=("gap", "size"), coverage=("coverage", "mean"), width=("width", "mean")
    )
    for name in ("gap", "relative", "bias", "mse", "tau"):
        table = table.join(_monte_carlo(name, groups[name], level))
    for end in ("", "_low", "_high"):
        table[f"rmse{end}"] = table[f"mse{end}"].clip(lower=0) ** 0.5
    ess = groups[["mse", "random"]].apply(_effective_sample_size, level)
    table = table.join(ess).reset_index()
    measures = [f"{name}{end}" for name in MEASURES for end in ("", "_low", "_high")]
    return table[[*keys, "trials", *measures, "coverage", "width"]]


def _by_trial(records):
    """One row per trial, the unit that is independent (its targets are not): its mean errors, tau, mse of random."""
    keys = [*CELL, "method", "trial"]
    error = records["estimate"] - records["truth"]
    columns = {
        "gap": error.abs(),
        "relative": error.abs() / records["truth"].where(records["truth"] > 0),
    }
    columns |= {"bias": error, "mse": error**2, "coverage": _covered(records)}
    columns["width"] = records["upper"] - records["lower"]
    trials = records[keys].assign(**columns).groupby(keys, sort=False, observed=True).mean()
    tau = lambda part: (
        scipy.stats.kendalltau(part["estimate"], part["truth"]).statistic
    )  # tau-b; NaN where one is constant
    groups = records.groupby(keys, sort=False, observed=True)
    trials = trials.assign(tau=groups[["estimate", "truth"]].apply(tau)).reset_index()
    random = trials[trials["method"] == "random_sampling"].set_index([*CELL, "trial"])["mse"]
    return trials.join(random.rename("random"), on=[*CELL, "trial"])


def _covered(records):
    """1.0 where the interval holds the truth, 0.0 where not, NaN where there is none."""
    covered = (records["lower"] <= records["truth"]) & (records["truth"] <= records["upper"])
    return covered.where(records["lower"].notna()).astype(float)


def _monte_carlo(name, groups, level):
    """The mean over trials with its Student interval, one row per group."""
    found = groups.agg(["mean", "std", "count"])
    half = stdtrit(found["count"] - 1, 0.5 + level / 2) * found["std"] / found["count"] ** 0.5
    return pd.DataFrame(
        {
            name: found["mean"],
            f"{name}_low": found["mean"] - half,
            f"{name}_high": found["mean"] + half,
        }
    )


def _effective_sample_size(trials, level):
    """mean(random)/mean(mse) with its interval: the delta method for the logarithm of a ratio of paired means."""
    mse, random = trials["mse"], trials["random"]
    if random.isna().any() or not mse.mean() > 0:
        return pd.Series({"ess": np.nan, "ess_low": np.nan, "ess_high": np.nan})
    ess, influence = random.mean() / mse.mean(), random / random.mean() - mse / mse.mean()
    factor = np.exp(
        stdtrit(len(mse) - 1, 0.5 + level / 2) * influence.std(ddof=1) / len(mse) ** 0.5
    )
    return pd.Series({"ess": ess, "ess_low": ess / factor, "ess_high": ess * factor})


def per_model(records):
    """One row per benchmark, split, budget, method and target model: how far off, and how its intervals held.

    truth, bias, gap, mse and trials; coverage: share of the intervals that hold the truth; above: share that lie wholly
    above it, which flatters the model; width: their mean width (NaN where there are no intervals).
    """
    truth, lower, upper = (records[key] for key in ("truth", "lower", "upper"))
    keys, error, known = [*CELL, "method", "model"], records["estimate"] - truth, lower.notna()
    columns = {"truth": truth, "bias": error, "gap": error.abs(), "mse": error**2}
    columns["coverage"] = ((lower <= truth) & (truth <= upper)).astype(float).where(known)
    columns |= {"above": (lower > truth).astype(float).where(known), "width": upper - lower}
    groups = records[keys].assign(**columns).groupby(keys, sort=False, observed=True)
    return groups.mean().assign(trials=groups.size()).reset_index()


def _trial_gaps(records):
    """The mean over the targets of abs(estimate - truth), one row per trial: trials are independent, targets not."""
    gap = (records["estimate"] - records["truth"]).abs()
    keys = [*CELL, "method", "trial"]
    return records[keys].assign(gap=gap).groupby(keys, sort=False, observed=True)["gap"].mean()


def compare(records, baseline="random_sampling", level=0.95):
    """Every method against `baseline`, trial by trial: the relative change of the estimation gap.

    One row per benchmark, split, budget and method: change = gap / baseline's gap - 1, its interval (low, high: the
    delta method for a ratio of paired means), the paired t test's p, and p_holm, corrected over all rows of the table
    (Holm 1979).  Raises ValueError when the baseline is not among the methods or a trial is missing.
    """
    gaps = _trial_gaps(records).unstack("method")
    if baseline not in gaps:
        raise ValueError(
            f"there is no {baseline!r} in the records to compare with; they hold {', '.join(gaps)}"
        )
    if gaps.isna().any(axis=None):
        raise ValueError("the comparison is paired, but some methods lack trials that others have")
    rows = []
    for cell, group in gaps.groupby(CELL, sort=False, observed=True):
        for method in group.columns.drop(baseline):
            change, low, high, p = _paired_change(group[method], group[baseline], level)
            rows.append((*cell, method, change, low, high, p))
    table = pd.DataFrame(rows, columns=[*CELL, "method", "change", "low", "high", "p"])
    return table.assign(p_holm=holm(table["p"]))


def _paired_change(gap, base, level):
    """mean(gap)/mean(base) - 1, its interval, and the p value of equal gaps, from paired trials."""
    ratio = gap.mean() / base.mean()
    residual = (gap - ratio * base) / base.mean()  # the ratio's influence function
    half = stdtrit(len(gap) - 1, 0.5 + level / 2) * residual.std(ddof=1) / len(gap) ** 0.5
    p = scipy.stats.ttest_rel(gap, base).pvalue if np.any(gap != base) else 1.0
    return ratio - 1, ratio - 1 - half, ratio - 1 + half, p


def holm(p):
    """The p values (k,) of k tests, adjusted: those below a level have at most that chance of any error (Holm 1979)."""
    from statsmodels.stats.multitest import multipletests

    return multipletests(p, method="holm")[1] if len(p) else np.array([])


def mean_changes(changes):
    """The mean over the benchmarks of each method's change, with its interval and tests: a row "mean" per method.

    `changes` is the table of :func:`compare` (level 95%) for one split and budget.  The benchmarks are taken for
    independent: the mean's half-width is sqrt(sum of their squared half-widths) over their number, p is two-sided from
    the normal distribution, p_holm is corrected over the methods (Holm 1979).
    """
    groups = changes.assign(square=((changes["high"] - changes["low"]) / 2) ** 2).groupby(
        "method", sort=False
    )
    mean, half = groups["change"].mean(), groups["square"].sum() ** 0.5 / groups.size()
    p = 2 * ndtr(-ndtri(0.975) * np.abs(mean / half))
    table = pd.DataFrame(
        {"benchmark": "mean", "change": mean, "low": mean - half, "high": mean + half, "p": p}
    )
    return table.assign(p_holm=holm(p)).reset_index()


def bootstrap_over_models(
    table, clusters, rng, baseline="random_sampling", draws=2_000, level=0.95
):
    """The relative change of the estimation gap with an interval over *other models like these*: one row per method.

    `table` is :func:`per_model`'s for one split and budget; change is the mean over the benchmarks of gap/baseline's
    gap - 1; low, high are percentiles over bootstrap samples of whole clusters (a Series: model -> its developer),
    since models of one developer are alike (Field & Welsh 2007).  Raises ValueError when a model has no cluster.
    """
    missing = set(table["model"]) - set(clusters.index)
    if missing:
        raise ValueError(f"{len(missing)} models have no cluster, among them {sorted(missing)[0]}")
    sums = (
        table.assign(cluster=table["model"].map(clusters))
        .groupby(["cluster", "benchmark", "method"])["gap"]
        .sum()
    )
    sums = sums.unstack(["benchmark", "method"], fill_value=0.0)  # (clusters, benchmarks x methods)
    weights = rng.multinomial(len(sums), np.full(len(sums), 1 / len(sums)), draws)
    rows = []
    for method in dict.fromkeys(table["method"]):
        change = lambda w: np.mean(
            [
                w @ sums[b, method] / (w @ sums[b, baseline]) - 1
                for b in table["benchmark"].unique()
            ],
            0,
        )
        rows.append(
            (
                method,
                change(np.ones(len(sums))),
                *np.nanquantile(change(weights), [0.5 - level / 2, 0.5 + level / 2]),
            )
        )
    return pd.DataFrame(rows, columns=["method", "change", "low", "high"])
