"""What sources of one kind are worth for targets of another."""

import numpy as np
import pandas as pd
from scipy import stats
from scipy.optimize import linear_sum_assignment

from benchpred_utils.estimators import aipw_cross_fitted, observe, random_sampling_learn
from benchpred_utils.forecast import working_model
from benchpred_utils.sequential import SequentialStratification

__all__ = [
    "METHODS",
    "agreement",
    "changes",
    "matched",
    "matched_triples",
    "measure",
    "possible",
    "random_gap",
    "ratios",
    "without_each_group",
    "without_each_unit",
]

METHODS = ("aipw_cross_fitted", "random_sampling_learn", "sequential_stratification")


def matched(accuracy, a, b, caliper=0.03):
    """Pairs of models from a and b, by their places in `accuracy`.

    They are as many as possible within the caliper, and these as close as possible.
    """
    apart = np.abs(accuracy[a][:, None] - accuracy[b])
    i, j = linear_sum_assignment(apart + 10 * (apart > caliper))
    near = apart[i, j] <= caliper
    return a[i[near]], b[j[near]]


def matched_triples(accuracy, a, b, c):
    """Models of a, b and c (K, 3): pairs of b and c, and models of a that match their b."""
    third = dict(zip(*matched(accuracy, b, c)))
    second, first = matched(accuracy, np.array([*third]), a)
    return np.column_stack([first, second, [third[model] for model in second]])


def measure(sources, scores, core, rng, **labels):
    """One row per method and target, with the scores (P, N) and core sets (T, n), and `labels`.

    gap, mse: of the method, over one draw only for sequential stratification; random, variance:
    of a random sample, in theory.
    """
    theta, N, n = scores.mean(axis=1), scores.shape[1], core.shape[1]
    variance = (1 - n / N) / n * scores.var(axis=1, ddof=1)
    base = labels | {"theta": theta, "random": random_gap(theta, N, n), "variance": variance}
    seen = observe(scores, core)
    estimates = (
        aipw_cross_fitted(sources, core, seen).value,
        random_sampling_learn(sources, core, seen).value,
        _sequential(sources, scores, n, rng)[None],
    )
    rows = []
    for method, estimate in zip(METHODS, estimates):
        error = estimate - theta
        found = {"gap": np.abs(error).mean(axis=0), "mse": (error**2).mean(axis=0)}
        rows.append(pd.DataFrame({**base, "method": method, **found}))
    return pd.concat(rows)


def _sequential(sources, scores, n, rng):
    """The estimates (P,) of one draw."""
    uniform = rng.random((len(scores), scores.shape[1] + 2 * n))
    design = SequentialStratification(working_model(sources), uniform, n)
    while not design.done:
        design.record(np.take_along_axis(scores, design.next_items(), axis=1))
    return design.estimate().value


def random_gap(theta, N, n):
    """The gap of a random sample for 0/1 scores with means theta (P,): a hypergeometric sum."""
    x = np.arange(n + 1)
    chance = stats.hypergeom.pmf(x, N, np.rint(theta * N).astype(int)[:, None], n)
    return (chance * np.abs(x / n - theta[:, None])).sum(axis=1)


def changes(run):
    """The change of the gap, in per cent, by method, kin, source and target, over benchmarks."""
    by = ["method", "kin", "source", "target"]
    sums = run.groupby([*by, "benchmark"])[["gap", "random"]].sum()
    return 100 * (sums["gap"] / sums["random"] - 1).groupby(level=by).mean()


def without_each_unit(run):
    """All rows, then those without a unit: as a target, and all splits where it is a source."""
    as_target = {unit: part["split"].unique() for unit, part in run.groupby("unit")}
    rest = [
        run[(run["unit"] != unit) & run["split"].isin(splits)] for unit, splits in as_target.items()
    ]
    return [run, *rest]


def without_each_group(run, names):
    """All rows, then those without each of the groups, as a source and as a target."""
    return [run, *(run[(run["target"] != name) & (run["source"] != name)] for name in names)]


def ratios(rows):
    """The predicted and the measured ratio of each case, means over the splits."""
    case = ["benchmark", "source", "target", "unit"]
    return rows.groupby(case, sort=False)[["predicted", "measured"]].mean()


def agreement(rows):
    """R^2 of the measured ratios on the predicted ones, as they are, and the ratio of the means."""
    found = ratios(rows)
    y, x = found["measured"], found["predicted"]
    return 1 - ((y - x) ** 2).mean() / y.var(ddof=0), y.mean() / x.mean()


def possible(rows):
    """The R^2 of a perfect prediction, from the correlation of two halves of the splits."""
    halves = [ratios(rows[rows["split"] % 2 == half])["measured"] for half in (0, 1)]
    r = pd.concat(halves, axis=1).dropna().corr().iloc[0, 1]
    return 2 * r / (1 + r)
