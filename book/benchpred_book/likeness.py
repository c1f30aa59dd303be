"""How like its sources a target is, by twelve definitions, and whether that warns of an error."""

import numpy as np
import pandas as pd

import benchpred_utils as bp
from benchpred_utils import designs, estimators
from benchpred_utils.similarity import KINDS
from benchpred_utils.summary import jackknife, leave_one_out

SUMS = {"mean": "mean", "top 5": 5, "max": "max"}
DEFINITIONS = {f"{kind}, {name}": (kind, over) for kind in KINDS for name, over in SUMS.items()}
WARNED = ("random_sampling", "random_sampling_learn", "aipw", "aipw_cross_fitted")


def developers(models, benchmark):
    """The developer of each model (R,) of one benchmark, or of each row's (R,): (R,).

    LegalBench's models have no names: each is its own.
    """
    names = pd.Series(np.asarray(models))
    known = names.map(bp.model_table("mmlu")["developer"])
    return np.where(np.asarray(benchmark) == "legalbench", "legalbench " + names, known)


def targets(benchmarks, models, n=50):
    """A row per benchmark, split and target: S by every definition, and what its errors were.

    `models` is the table of a stored run with n items. truth, N: the accuracy, and the items of the
    benchmark; tau: the mean absolute error of a random sample of n items in theory; cluster: the
    developer; a column per method: the estimation gap. tau and the gaps are in points.
    """
    alike = pd.concat(_similarities(name, split) for name in benchmarks for split in bp.SPLITS)
    key = ["split", "benchmark", "model"]
    gaps = 100 * models.pivot(index=key, columns="method", values="gap")
    table = alike.join(gaps, on=key, how="inner").reset_index(drop=True)
    variance = (1 - n / table.N) * table.truth * (1 - table.truth) / n
    tau = 100 * np.sqrt(2 / np.pi * variance)
    return table.assign(tau=tau, cluster=developers(table.model, table.benchmark))


def _similarities(name, split):
    """In interpolation the sources change with every trial: there S is to all other models."""
    scores = bp.load_scores(name)
    if split == "interpolation":
        target = scores.select(models=scores.accuracy > 0)
        S = {d: to_the_others(target.values, *of) for d, of in DEFINITIONS.items()}
    else:
        source, target = bp.split_models(scores, split)
        S = by_all_definitions(source.values, target.values)
    about = {"split": split, "benchmark": name, "model": target.models}
    return pd.DataFrame(S | about | {"truth": target.accuracy, "N": target.n_items})


def to_the_others(values, kind, over):
    """S of each model (M, N) to all the others: (M,)."""
    pairs = bp.pairwise_similarity(values, values, kind)
    count = len(pairs) - 1
    others = np.sort(pairs[~np.eye(len(pairs), dtype=bool)].reshape(-1, count), axis=1)
    k = {"mean": count, "max": 1}.get(over, over)
    return others[:, count - k :].mean(axis=1)


def by_all_definitions(source, target):
    """S of each target (P, N) to the sources (M, N), by every definition: {definition: (P,)}."""
    return {d: bp.model_similarity(source, target, *of) for d, of in DEFINITIONS.items()}


def over_developers(values, cluster):
    """The mean of values (R, a) with its jackknife interval over clusters (R,): three (a,)."""
    w = leave_one_out(cluster)
    with np.errstate(invalid="ignore"):  # one cluster has no interval
        return jackknife(w @ values / w.sum(axis=1, keepdims=True))


# --- the claims about thresholds ------------------------------------------------------------------


def worst_above(table, methods, cut=0.7, least=20):
    """The method with the largest mean error where S > cut: a row per definition and split.

    `table` is that of :func:`targets`; a split with fewer than `least` such targets has no row.
    error, low, high are in points, G is the number of developers.
    """
    rows = []
    for split, part in table.groupby("split", sort=False):
        for definition in DEFINITIONS:
            there = part[part[definition] > cut]
            if len(there) < least:
                continue
            found = over_developers(there[methods].to_numpy(), there.cluster)
            worst = found[0].argmax()
            ends = (end[worst] for end in found)
            groups = there.cluster.nunique()
            rows.append((split, definition, len(there), groups, methods[worst], *ends))
    columns = ["split", "definition", "targets", "G", "method", "error", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def advantage(part, method, others):
    """100 (1 - mean error of `method` / that of the best of the others), with its interval.

    The best is picked anew whenever a developer is left out, so the interval holds its choice.
    """
    w = leave_one_out(part.cluster)
    best = (w @ part[others].to_numpy()).min(axis=1)
    return jackknife(100 * (1 - w @ part[method].to_numpy() / best))


# --- a warning from the core set ------------------------------------------------------------------


def watch(source, target, cores):
    """What is seen in trials with the core sets (T, n), and what came of it: T x P rows.

    spread: sqrt(p(1 - p)) of the accuracy p on the core set; lead: p less the sources' mean there;
    S by every definition, on the core set; a column per method of WARNED: its error in points.
    """
    seen = estimators.observe(target.values, cores)
    p = seen.mean(axis=-1)
    of_sources = source.values.T[cores].mean(axis=(1, 2))
    columns = {"spread": np.sqrt(p * (1 - p)), "lead": p - of_sources[:, None]}
    alike = [by_all_definitions(source.values[:, C], target.values[:, C]) for C in cores]
    columns |= {d: np.stack([S[d] for S in alike]) for d in DEFINITIONS}
    for method in WARNED:
        estimate = getattr(estimators, method)(source.values, cores, seen)
        columns[method] = 100 * (estimate.value - target.accuracy)
    flat = {name: np.ravel(values) for name, values in columns.items()}
    trial = np.repeat(np.arange(len(cores)), target.n_models)
    return pd.DataFrame(flat | {"trial": trial, "model": np.tile(target.models, len(cores))})


def records(benchmarks, n, trials, rng):
    """:func:`watch` in so many trials of extrapolation and of interpolation on each benchmark."""
    parts = []
    for name in benchmarks:
        scores = bp.load_scores(name)
        cores = designs.uniform_core_sets(scores.n_items, n, 2 * trials, rng)
        frontier = watch(*bp.split_models(scores, "extrapolation"), cores[:trials])
        parts.append(frontier.assign(benchmark=name, split="extrapolation"))
        for trial, core in enumerate(cores[trials:]):
            known = watch(*bp.split_models(scores, "interpolation", rng), core[None])
            parts.append(known.assign(benchmark=name, split="interpolation", trial=trial))
    table = pd.concat(parts, ignore_index=True)
    return table.assign(cluster=developers(table.model, table.benchmark))


def auc(score, event, w):
    """P(an event's score > a non-event's), ties half, for row weights w (B, R): (B,)."""
    order = np.argsort(score)
    first = np.flatnonzero(np.diff(score[order], prepend=-np.inf))  # of each distinct score
    hit = np.add.reduceat(w[:, order] * event[order], first, axis=1)
    miss = np.add.reduceat(w[:, order] * ~event[order], first, axis=1)
    ordered = (hit * (miss.cumsum(axis=1) - miss / 2)).sum(axis=1)
    return ordered / hit.sum(axis=1) / miss.sum(axis=1)


def mean_auc(score, event, benchmark, w=None):
    """The AUC within each benchmark (R,), averaged, for row weights w (B, R): (B,); no w: one."""
    weights = np.ones((1, len(score))) if w is None else w
    parts = (np.asarray(benchmark) == name for name in pd.unique(benchmark))
    found = np.mean([auc(score[k], event[k], weights[:, k]) for k in parts], axis=0)
    return found[0] if w is None else found


def both_ways(statistic, records):
    """A statistic of weights (B, R) with its interval over developers and over core sets.

    Both are shared between records: the two variances are added, which is on the safe side.
    """
    value, _, high = jackknife(statistic(leave_one_out(records.cluster)))
    half = np.hypot(high - value, jackknife(statistic(leave_one_out(records.trial)))[2] - value)
    return value, value - half, value + half
