"""Cross-fitted AIPW against prediction-powered inference (ppi-python), with the same ridge."""

import numpy as np
from sklearn.linear_model import Ridge

import benchpred_utils as bp
from benchpred_utils import designs, estimators

from ..measure import NOT_INSTALLED, compare, cpu_seconds, installed, ratios

FOLDS = 5
LEVEL = 0.95
OURS = "aipw_cross_fitted"
TIMES = ("total_cpu_s", "ratio", "ratio_least", "ratio_most")
QUALITY = ("gap_points", "gap_se", "coverage", "width_points", "nan_share")


def ppi(settings):
    """Table `ppi`, on the second benchmark's frontier, on the same draws for all.

    CPU time of all trials, error, and coverage of the intervals.
    """
    scores = settings.benchmarks[min(1, len(settings.benchmarks) - 1)]
    source, target = (part.values for part in bp.split_models(scores, "extrapolation"))
    rng = np.random.default_rng(0)
    cores = np.stack([designs.uniform(source, settings.budget, rng) for _ in range(settings.draws)])
    size = {"benchmark": scores.name, "split": "extrapolation", "draws": settings.draws}
    seconds, found = cpu_seconds(_ours, source, target, cores)
    times = dict.fromkeys(TIMES, 1.0) | {"total_cpu_s": seconds * settings.trials / settings.draws}
    yield "ppi", size | {"method": OURS} | times | _quality(found, target) | {"note": ""}
    for name, peer in PEERS.items():
        yield "ppi", size | {"method": name} | _against(peer, source, target, cores, settings)


def _against(peer, source, target, cores, settings):
    if not installed("ppi_py"):
        return dict.fromkeys((*TIMES, *QUALITY), np.nan) | {"note": NOT_INSTALLED}

    def run(some):  # where all observed scores are equal the tuned weight is 0/0
        with np.errstate(all="ignore"):
            found = [[peer(source, s, core) for s in target] for core in some]
        return np.array(found).transpose(2, 0, 1)

    found = run(cores)
    few = cores[: max(len(cores) // 20, 1)]
    share = len(few) / len(cores)
    pairs = compare(
        lambda: _ours(source, target, cores), lambda: run(few), settings.repetitions, 1.0, share
    )
    row = ratios(pairs)
    row["total_cpu_s"] = row["peer_cpu_s"] * settings.trials / len(cores)
    times = {name: row[name] for name in TIMES}
    return times | _quality(found, target) | {"note": f"timed on {len(few)} draws"}


def _quality(found, target):
    """The QUALITY of estimates and intervals (3, T, P).

    The estimation gap with its Monte Carlo standard error, the coverage of the intervals, their
    mean width, and the share of estimates that are NaN: the gap and the width leave them out, and
    no truth is covered by them.
    """
    value, lower, upper = found
    truth = target.mean(axis=1)
    gaps = 100 * np.nanmean(np.abs(value - truth), axis=1)
    se = gaps.std(ddof=1) / np.sqrt(len(gaps)) if len(gaps) > 1 else np.nan
    covered = ((lower <= truth) & (truth <= upper)).mean()
    width = 100 * np.nanmean(upper - lower)
    return dict(zip(QUALITY, (gaps.mean(), se, covered, width, np.isnan(value).mean())))


def _ours(source, target, cores):
    return estimators.aipw_cross_fitted(source, cores, estimators.observe(target, cores))


# --- what a user would write: the estimate and interval of one target on one core set -------------


def in_sample(source, s, core):
    """The ridge is fitted and corrected on the core set, with the package's tuned weight."""
    from ppi_py import ppi_mean_ci, ppi_mean_pointestimate

    ridge = Ridge(alpha=10.0).fit(source[:, core].T, s[core])
    data = s[core], ridge.predict(source[:, core].T), ridge.predict(source.T)
    lower, upper = ppi_mean_ci(*data, alpha=1 - LEVEL)
    return np.ravel([ppi_mean_pointestimate(*data), lower, upper])


def cross(source, s, core):
    """Cross-prediction-powered inference with five folds."""
    from ppi_py import crossppi_mean_ci, crossppi_mean_pointestimate

    fold = np.arange(len(core)) % FOLDS
    left_out = np.empty(len(core))
    everywhere = np.empty((source.shape[1], FOLDS))
    for k in range(FOLDS):
        ridge = Ridge(alpha=10.0).fit(source[:, core[fold != k]].T, s[core[fold != k]])
        left_out[fold == k] = ridge.predict(source[:, core[fold == k]].T)
        everywhere[:, k] = ridge.predict(source.T)
    lower, upper = crossppi_mean_ci(s[core], left_out, everywhere, alpha=1 - LEVEL)
    return np.ravel([crossppi_mean_pointestimate(s[core], left_out, everywhere), lower, upper])


PEERS = {"ppi-python, ridge in sample": in_sample, "ppi-python, cross-fitted": cross}
