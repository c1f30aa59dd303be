"""The regression methods against the loops over scikit-learn that a user would write."""

import numpy as np
from sklearn.linear_model import Ridge, RidgeCV

import benchpred_utils as bp
from benchpred_utils import designs, estimators

from ..measure import compare, ratios
from ..settings import SPLITS

ALPHAS = (0.1, 1.0, 10.0)


def loops(settings):
    """Table `loops`: CPU time of all trials per benchmark and split, and in all."""
    for method, loop, peer_trials in (
        ("aipw", aipw, 2),
        ("aipw", aipw_of_all_targets, 10),
        ("random_sampling_learn", random_sampling_learn, 10),
        ("random_search_learn", random_search_learn, 1),
    ):
        row = {"method": method, "peer": PEERS[loop]}
        row["peer_measured"] = _measured(loop, peer_trials, settings)
        pairs = []
        differences = []
        for scores in settings.benchmarks:
            for split in SPLITS:
                pairs.append(_pairs(scores, split, method, loop, peer_trials, settings))
                differences.append(_difference(scores, split, method, loop, settings.budget))
                here = {"benchmark": scores.name, "split": split}
                found = ratios(pairs[-1]) | {"largest_difference": differences[-1]}
                yield "loops", here | row | found
        found = ratios(sum(pairs)) | {"largest_difference": max(differences)}
        yield "loops", {"benchmark": "all", "split": "all"} | row | found


def _measured(loop, peer_trials, settings):
    text = f"{min(peer_trials, settings.trials)} of {settings.trials} trials"
    if loop is random_search_learn:
        text += f", {settings.candidates} of 10,000 core sets"
    return text


def _pairs(scores, split, method, loop, peer_trials, settings):
    """The pairs of CPU seconds, scaled to all trials."""
    few = settings.trials if method != "random_search_learn" else min(2, settings.trials)
    n = settings.budget
    peer_trials = min(peer_trials, settings.trials)
    peer_share = peer_trials / settings.trials
    if loop is random_search_learn:
        peer_share *= settings.candidates / 10_000
    rng = np.random.default_rng(0)

    def ours():
        bp.run_experiment(scores, [method], split, n, few, progress=False)

    def peer():
        pair = bp.split_models(scores, split, rng)
        for trial in range(peer_trials):
            if trial and split == "interpolation":
                pair = bp.split_models(scores, split, rng)
            loop(*(part.values for part in pair), n, rng, settings.candidates)

    ours()  # a first call loads libraries
    peer()
    return compare(ours, peer, settings.repetitions, few / settings.trials, peer_share)


def _difference(scores, split, method, loop, n):
    """The largest difference of two estimates of the same draw; NaN for the random search.

    The two searches search among other core sets.
    """
    if loop is random_search_learn:
        return np.nan
    pair = bp.split_models(scores, split, np.random.default_rng(1))
    source, target = (part.values for part in pair)
    core = designs.uniform(source, n, np.random.default_rng(2))[None]
    estimate = getattr(estimators, method)(source, core, estimators.observe(target, core)).value[0]
    return np.abs(estimate - loop(source, target, n, np.random.default_rng(2), None)).max()


# --- what a user would write: one trial, the estimates (P,) of all targets ------------------------


def aipw(source, target, n, rng, candidates):
    core = rng.choice(source.shape[1], n, replace=False)
    rest = np.setdiff1d(np.arange(source.shape[1]), core)
    estimates = []
    for s in target:
        g = Ridge(alpha=10.0).fit(source[:, core].T, s[core]).predict(source.T)
        estimates.append((n * s[core].mean() + len(rest) * g[rest].mean()) / source.shape[1])
    return np.array(estimates)


def aipw_of_all_targets(source, target, n, rng, candidates):
    core = rng.choice(source.shape[1], n, replace=False)
    rest = np.setdiff1d(np.arange(source.shape[1]), core)
    g = Ridge(alpha=10.0).fit(source[:, core].T, target[:, core].T).predict(source.T)  # (N, P)
    return (n * target[:, core].mean(axis=1) + len(rest) * g[rest].mean(axis=0)) / source.shape[1]


def random_sampling_learn(source, target, n, rng, candidates):
    core = rng.choice(source.shape[1], n, replace=False)
    return RidgeCV(alphas=ALPHAS).fit(source[:, core], source.mean(axis=1)).predict(target[:, core])


def random_search_learn(source, target, n, rng, candidates):
    accuracy = source.mean(axis=1)
    order = rng.permutation(len(source))
    train, valid = np.split(order, [int(0.75 * len(source))])
    best = np.inf
    best_core = None
    for _ in range(candidates):
        core = rng.choice(source.shape[1], n, replace=False)
        ridge = RidgeCV(alphas=ALPHAS).fit(source[np.ix_(train, core)], accuracy[train])
        error = np.abs(ridge.predict(source[np.ix_(valid, core)]) - accuracy[valid]).mean()
        if error < best:
            best = error
            best_core = core
    return RidgeCV(alphas=ALPHAS).fit(source[:, best_core], accuracy).predict(target[:, best_core])


PEERS = {
    aipw: "scikit-learn Ridge, loop over trials and targets",
    aipw_of_all_targets: "scikit-learn Ridge, loop over trials",
    random_sampling_learn: "scikit-learn RidgeCV, loop over trials",
    random_search_learn: "scikit-learn RidgeCV, loop over core sets",
}
