"""The regression methods against the loops over scikit-learn that a user would write."""

import numpy as np
from measure import compare, ratios
from settings import SPLITS
from sklearn.linear_model import Ridge, RidgeCV

import benchpred_utils as bp
from benchpred_utils import designs, estimators

ALPHAS = (0.1, 1.0, 10.0)


def loops(settings):
    """Table `loops`: CPU time of all trials per benchmark and split, and in all."""
    for method, loop, peer_trials in (
        ("aipw", aipw, 2),
        ("aipw", aipw_of_all_targets, 10),
        ("random_sampling_learn", random_sampling_learn, 10),
        ("random_search_learn", random_search_learn, 1),
    ):
        parts = []
        for scores in settings.benchmarks:
            for split in SPLITS:
                parts.append(_part(scores, split, method, loop, peer_trials, settings))
                yield (
                    "loops",
                    _row(scores.name, split, method, loop, peer_trials, *parts[-1], settings),
                )
        pairs, difference = (
            sum(pairs for pairs, _ in parts),
            max(difference for _, difference in parts),
        )
        yield "loops", _row("all", "all", method, loop, peer_trials, pairs, difference, settings)


def _part(scores, split, method, loop, peer_trials, settings):
    """The pairs of CPU seconds, scaled to all trials, and how far the two estimates of a draw lie apart."""
    few = settings.trials if method != "random_search_learn" else min(2, settings.trials)
    n, candidates = settings.budget, settings.candidates
    peer_share = min(peer_trials / settings.trials, 1.0)
    if loop is random_search_learn:
        peer_share *= candidates / 10_000
    rng = np.random.default_rng(0)
    ours = lambda: bp.run_experiment(scores, [method], split, n, few, progress=False)

    def peer():
        pair = None
        for _ in range(min(peer_trials, settings.trials)):
            pair = (
                bp.split_models(scores, split, rng)
                if pair is None or split == "interpolation"
                else pair
            )
            loop(*(part.values for part in pair), n, rng, candidates)

    ours(), peer()  # a first call loads libraries
    pairs = compare(ours, peer, settings.repetitions, few / settings.trials, peer_share)
    return pairs, _difference(scores, split, method, loop, n)


def _row(benchmark, split, method, loop, peer_trials, pairs, difference, settings):
    measured = f"{min(peer_trials, settings.trials)} of {settings.trials} trials"
    if loop is random_search_learn:
        measured += f", {settings.candidates} of 10,000 core sets"
    row = {
        "benchmark": benchmark,
        "split": split,
        "method": method,
        "peer": PEERS[loop],
        "peer_measured": measured,
    }
    return row | ratios(pairs) | {"largest_difference": difference}


def _difference(scores, split, method, loop, n):
    """The largest difference of two estimates of the same draw; NaN for the random search, which searches others."""
    if loop is random_search_learn:
        return np.nan
    source, target = (
        part.values for part in bp.split_models(scores, split, np.random.default_rng(1))
    )
    core = designs.uniform(source, n, np.random.default_rng(2))[None]
    estimate = getattr(estimators, method)(source, core, estimators.observe(target, core)).value[0]
    return np.abs(estimate - loop(source, target, n, np.random.default_rng(2), None)).max()


# --- what a user would write: one trial, the estimates (P,) of all targets --------------------------------------------


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
    accuracy, order = source.mean(axis=1), rng.permutation(len(source))
    train, valid = np.split(order, [int(0.75 * len(source))])
    best, best_core = np.inf, None
    for _ in range(candidates):
        core = rng.choice(source.shape[1], n, replace=False)
        ridge = RidgeCV(alphas=ALPHAS).fit(source[np.ix_(train, core)], accuracy[train])
        error = np.abs(ridge.predict(source[np.ix_(valid, core)]) - accuracy[valid]).mean()
        best, best_core = min((best, best_core), (error, core), key=lambda pair: pair[0])
    return RidgeCV(alphas=ALPHAS).fit(source[:, best_core], accuracy).predict(target[:, best_core])


PEERS = {
    aipw: "scikit-learn Ridge, loop over trials and targets",
    aipw_of_all_targets: "scikit-learn Ridge, loop over trials",
    random_sampling_learn: "scikit-learn RidgeCV, loop over trials",
    random_search_learn: "scikit-learn RidgeCV, loop over core sets",
}
