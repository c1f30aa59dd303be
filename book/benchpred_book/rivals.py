"""The rivals of this book's methods, each with the face of a row of METHODS, and their experiments.

They are short versions of published ideas in code of this book, but for PPI++, which is the package
ppi-python's. The chapter on them says what differs from the authors' own code.
"""

import time
from contextlib import contextmanager
from functools import partial
from itertools import product
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import digamma, ndtri, stdtrit
from threadpoolctl import threadpool_limits

from benchpred_utils import estimators, irt, summary
from benchpred_utils.designs import Draw, uniform
from benchpred_utils.estimators import Estimate
from benchpred_utils.experiments import SPLITS, split_models
from benchpred_utils.methods import METHODS, RANDOM, WEIGHTS, Method, begin, drawn_by, the_matrix
from benchpred_utils.scores import Scores
from benchpred_utils.sequential import Rounds

from . import protocols

__all__ = ["RIVALS", "among_methods", "tables"]


# --- factor model and active querying (Wu, Nair & Candes 2026) ------------------------------------


class Querying(NamedTuple):
    """How items are drawn: the paper's beta_0, rho and tau, without its gamma."""

    power: float = 1.0  # beta_0: below 1 the draw is more even
    explore: float = 0.25  # rho: the share of the budget in which draws also aim at learning
    floor: float = 0.5  # tau: the share of every draw that is uniform


class FactorModel(NamedTuple):
    """What active querying learns of the sources."""

    slopes: object  # (N, K) v of the items
    intercepts: object  # (N,)
    mean: object  # (K,) of the sources' factors: the prior of a new target's
    cov: object  # (K, K)
    querying: Querying


DIMS = (1, 2, 5)
PATHS = 8
GRID = tuple(product((0.5, 1.0), (0.0, 0.25), (0.05, 0.25, 0.5, 0.75)))  # of Querying


def factor_model(source, dims, querying):
    """The factor model P(s = 1) = sigmoid(v u + b) of the sources (M, N), with K = `dims`.

    It is the joint posterior mode of the 2PL; a new target's factors u have the mean and covariance
    of the sources'.
    """
    fit = irt.fit_2pl(source, dims)
    cov = np.atleast_2d(np.cov(fit.abilities.T))
    mean = fit.abilities.mean(axis=0)
    return FactorModel(fit.items[:, :-1], fit.items[:, -1], mean, cov, querying)


def learn_factors(source, n):
    """The factor model whose dimension and querying do best on the last fifth of the sources.

    They are those with the least mean variance along eight paths for each of these, of a model that
    was fitted to the others; then all sources are fitted.
    """
    held_out = len(source) - max(len(source) // 5, 1)
    known = source[:held_out]
    new = np.tile(source[held_out:], (PATHS, 1))
    # As even as random numbers, and always the same (a Weyl sequence for each path).
    steps = np.arange(1, n + 1) * (5**0.5 - 1) / 2
    paths = (steps + np.arange(len(new))[:, None] * 2**0.5) % 1
    errors = {}
    for dims in DIMS:
        model = factor_model(known, dims, Querying())
        for settings in GRID:
            tried = model._replace(querying=Querying(*settings))
            errors[dims, settings] = path_variance(tried, paths, n, new).mean()
    dims, settings = min(errors, key=errors.get)
    return factor_model(source, dims, Querying(*settings))


def path_variance(model, paths, n, scores):
    """(B,) the exact variance along a path of the targets whose scores (B, N) are all known."""
    rounds = ActiveQuerying(model, paths, n)
    variance = 0.0
    while not rounds.done:
        items = rounds.next_items()
        e = scores - rounds.g
        variance = variance + (e**2 / rounds.q).sum(axis=1) - e.sum(axis=1) ** 2
        rounds.record(np.take_along_axis(scores, items, axis=1))
    return variance / (n * scores.shape[1]) ** 2


def querying_probabilities(model, mean, cov, progress):
    """g and q (B, N): forecasts and probabilities of a draw, from the factors' posterior.

    With w = g (1 - g), the draw that minimises the variance takes sqrt(w); that which teaches most
    about the total takes w (v'C V'w)^2 / (1 + w v'C v), C the posterior covariance. It counts less
    with `progress`, the share of the budget that is drawn with this draw.
    """
    slopes = model.slopes
    power, explore, floor = model.querying
    g = np.clip(irt.sigmoid(mean @ slopes.T + model.intercepts), 1e-6, 1 - 1e-6)
    w = g * (1 - g)
    q = _shares(w**0.5)
    early = max(0.0, 1 - progress / explore) if explore else 0.0
    if early:
        spread = cov.reshape(len(cov), -1) @ _products(slopes).T  # v'C v
        toward = np.einsum("bkl,bl->bk", cov, w @ slopes) @ slopes.T
        q = (1 - early) * q + early * _shares(w * toward**2 / (1 + w * spread))
    return g, (1 - floor) * _shares(q**power) + floor / len(slopes)


def _shares(weight):
    return weight / weight.sum(axis=1, keepdims=True)


def _products(slopes):
    """(N, K K) the products v v' of each item."""
    return (slopes[:, :, None] * slopes[:, None, :]).reshape(len(slopes), -1)


class ActiveQuerying(Rounds):
    """n draws with replacement, each from probabilities that follow from the scores so far.

    Draw t estimates the total by sum g + (s_I - g_I)/q_I, g and q fixed before it; the value is the
    mean of these over N, exactly unbiased, with a normal interval. The factors' normal posterior
    is updated by one Newton step per score.
    """

    def __init__(self, model, uniform, n):
        """`uniform` (B, n or more): independent uniform numbers, one for each draw."""
        super().__init__(len(uniform))
        self.model = model
        self.n = n
        self.uniform = uniform
        self.mean = np.tile(model.mean, (len(uniform), 1))
        self.cov = np.tile(model.cov, (len(uniform), 1, 1))
        self.totals = []  # sum g, of each draw: (B,)
        self.errors = []  # (s_I - g_I)/q_I
        self.scores = []  # s_I/q_I

    def next_items(self):
        """The item (B, 1) of the next draw, whose score must then be given to `record`."""
        t = self.observed.shape[1]
        progress = (t + 1) / self.n
        self.g, self.q = querying_probabilities(self.model, self.mean, self.cov, progress)
        upto = np.cumsum(self.q, axis=1)
        item = (upto < self.uniform[:, [t]] * upto[:, -1:]).sum(axis=1)
        return self.ask(np.minimum(item, upto.shape[1] - 1)[:, None])

    def record(self, observed):
        """The scores (B, 1) of the item asked for last."""
        super().record(observed)
        item = self.items[:, -1:]
        g = np.take_along_axis(self.g, item, axis=1)[:, 0]
        q = np.take_along_axis(self.q, item, axis=1)[:, 0]
        e = observed[:, 0] - g
        self.totals.append(self.g.sum(axis=1))
        self.errors.append(e / q)
        self.scores.append(observed[:, 0] / q)
        v = self.model.slopes[item[:, 0]]
        cv = np.einsum("bkl,bl->bk", self.cov, v)
        w = g * (1 - g)
        shrink = w / (1 + w * (cv * v).sum(axis=1))
        self.cov = self.cov - shrink[:, None, None] * cv[:, :, None] * cv[:, None, :]
        self.mean = self.mean + np.einsum("bkl,bl->bk", self.cov, v) * e[:, None]

    def estimate(self):
        """The Estimate (B,), with the paper's variance.

        It is [mean e^2 - mean (mean s/q - sum g)^2] / (n N^2), e = (s_I - g_I)/q_I.
        """
        n_items = self.g.shape[1]
        totals, errors, scores = (np.stack(x) for x in (self.totals, self.errors, self.scores))
        value = (totals + errors).mean(axis=0) / n_items
        rest = (scores.mean(axis=0) - totals) ** 2
        variance = ((errors**2).mean(axis=0) - rest.mean(axis=0)) / self.n / n_items**2
        half = ndtri(0.975) * np.sqrt(np.maximum(variance, 0.0))
        return Estimate(value, value - half, value + half)


# --- feature selection and regression (Bowyer et al. 2026) ----------------------------------------


class Selected(NamedTuple):
    """What mRMR learns: which items, and two ways to read them."""

    core: object  # (n,) item indices
    seen: object  # (M, n) the sources' scores on them
    weights: object  # (n,) of the ridge regression
    intercept: float
    dual: object  # (M,) of the kernel ridge regression


PENALTIES = np.logspace(-1, 1, 5)


def learn_mrmr(source, n):
    """n items by mRMR, and from them to the accuracy a ridge and a kernel ridge regression.

    Both choose their penalty by leave-one-out; the kernel is (x'y/n + 1)^2.
    """
    accuracy = source.mean(axis=1)
    core = mrmr(source, n)
    seen = source[:, core]
    weights, intercept = estimators.ridge_loo(seen[None], accuracy)
    dual = kernel_ridge_loo(polynomial_kernel(seen, seen), accuracy)
    return Selected(core, seen, weights[0], float(intercept[0]), dual)


def mrmr(source, n):
    """(n,) items of 0/1 scores: relevance over mean redundancy, greedily (Peng et al. 2005).

    Relevance is the mutual information of an item and the accuracy, redundancy that of an item and
    one chosen before.
    """
    gain = relevance(source)
    chosen = [int(gain.argmax())]
    redundancy = np.zeros(len(gain))
    while len(chosen) < n:
        redundancy += mutual_information(source, source[:, chosen[-1]])
        quotient = gain / (redundancy / len(chosen) + 1e-10)
        quotient[chosen] = -1.0
        chosen.append(int(quotient.argmax()))
    return np.array(chosen)


def relevance(source, k=3):
    """(N,) mutual information of each 0/1 item and the accuracy, by k nearest neighbours.

    psi(M) + psi(k) - mean psi(M_x) - mean psi(m), M_x the models with the same score, m those
    within the distance of the k-th nearest of these (Ross 2014); 0 where fewer than k + 1 models
    are right, or wrong.
    """
    accuracy = source.mean(axis=1)
    n_models = len(source)
    apart = np.abs(accuracy[:, None] - accuracy)
    alike = source[:, None] == source
    within = np.where(alike, apart[:, :, None], np.inf)
    radius = np.partition(within, min(k, n_models - 1), axis=1)[:, min(k, n_models - 1)]
    m = (apart[:, :, None] < radius[:, None] - 1e-12).sum(axis=1)
    m = np.maximum(m, 1)
    found = digamma(n_models) + digamma(k) - digamma(alike.sum(axis=1)).mean(axis=0)
    found = np.maximum(found - digamma(m).mean(axis=0), 0.0)
    right = source.sum(axis=0)
    return np.where(np.minimum(right, n_models - right) > k, found, 0.0)


def mutual_information(source, one):
    """(N,) mutual information of the 0/1 columns of source (M, N) with one more column (M,)."""
    total = 0.0
    for x in (source, 1 - source):
        for y in (one, 1 - one):
            both = (x * y[:, None]).mean(axis=0)
            apart = x.mean(axis=0) * y.mean()
            total = total + both * np.log(np.maximum(both, 1e-15) / np.maximum(apart, 1e-15))
    return np.maximum(total, 0.0)


def polynomial_kernel(x, y):
    """(x'y/n + 1)^2 of all rows of x (..., n) and y (M, n)."""
    return (x @ y.T / x.shape[-1] + 1) ** 2


def kernel_ridge_loo(kernel, accuracy):
    """The dual coefficients (M,) of the penalty with the least leave-one-out squared error."""
    best = np.inf
    for penalty in PENALTIES:
        inverse = np.linalg.inv(kernel + penalty * np.eye(len(kernel)))
        dual = inverse @ accuracy
        error = ((dual / np.diag(inverse)) ** 2).mean()
        if error < best:
            best, kept = error, dual
    return kept


def mrmr_items(learned, n, rng):
    """The items that `learn_mrmr` chose; no random number is drawn."""
    return Draw(learned.core)


def mrmr_ridge(learned, draws, observed):
    """The ridge regression of the accuracy on the chosen items' scores; it has no interval."""
    return Estimate((observed * learned.weights).sum(axis=-1) + learned.intercept)


def mrmr_kernel_ridge(learned, draws, observed):
    """The kernel ridge regression; it has no interval."""
    return Estimate(polynomial_kernel(observed, learned.seen) @ learned.dual)


# --- prediction-powered inference (Angelopoulos, Duchi & Zrnic 2023), by ppi-python ---------------


def ppi_mean(source, draws, observed):
    """PPI++ with the sources' mean score of an item as its prediction."""
    prediction = source.mean(axis=0)
    n_targets = observed.shape[1]
    return _ppi(draws.items, observed, lambda core, seen: np.tile(prediction, (n_targets, 1)))


def ppi_ridge(source, draws, observed):
    """PPI++ with the prediction of a ridge on the sources' scores, cross-fitted in five folds."""
    return _ppi(draws.items, observed, partial(cross_fitted_ridge, source))


def cross_fitted_ridge(source, core, seen, alpha=10.0, folds=5):
    """Predictions (P, N) of all items from the scores seen (P, n) on a core set (n,).

    An item of the core set is predicted by the ridge (with an intercept) of the four folds that it
    is not in, all others by the mean of the five.
    """
    total = 0.0
    predicted = np.zeros((len(seen), source.shape[1]))
    for k in range(folds):
        used = np.arange(len(core)) % folds != k
        z = source[:, core[used]].T
        center = z.mean(axis=0)
        mean = seen[:, used].mean(axis=1)
        gram = (z - center).T @ (z - center) + alpha * np.eye(len(source))
        beta = np.linalg.solve(gram, (z - center).T @ seen[:, used].T)
        found = beta.T @ (source - center[:, None]) + mean[:, None]
        predicted[:, core[~used]] = found[:, core[~used]]
        total = total + found / folds
    rest = np.delete(np.arange(source.shape[1]), core)
    predicted[:, rest] = total[:, rest]
    return predicted


def _ppi(cores, observed, predict):
    """The Estimate (T, P) of ppi-python; where it gives no number the plain mean, without interval.

    Raises ImportError, saying what to do, without ppi-python.
    """
    try:
        from ppi_py import ppi_mean_ci, ppi_mean_pointestimate
    except ImportError as error:
        raise ImportError("PPI++ takes ppi-python: pip install '.[bench]'") from error
    found = np.empty((3, *observed.shape[:2]))
    for trial, core in enumerate(cores):
        predicted = predict(core, observed[trial])
        rest = np.delete(predicted, core, axis=1)
        for target, scores in enumerate(observed[trial]):
            known = (scores, predicted[target, core], rest[target])
            with np.errstate(invalid="ignore", divide="ignore"):
                ends = ppi_mean_ci(*known, alpha=0.05)
                value = ppi_mean_pointestimate(*known)
            found[:, trial, target] = np.ravel([value, *ends])
    value = np.where(np.isnan(found[0]), observed.mean(axis=-1), found[0])
    return Estimate(value, found[1], found[2])


# --- the table, and its experiments ---------------------------------------------------------------

_uniform = drawn_by(uniform)

RIVALS = {
    "active_querying": Method(
        "active querying (FAQ's idea)", RANDOM, "none", "active_querying",
        learn_factors, start=ActiveQuerying,
    ),
    "ppi_mean": Method(
        "PPI++, sources' mean", RANDOM, "order 1/n", "uniform",
        the_matrix, _uniform, ppi_mean,
    ),
    "ppi_ridge": Method(
        "PPI++, cross-fitted ridge", RANDOM, "order 1/n", "uniform",
        the_matrix, _uniform, ppi_ridge,
    ),
    "mrmr_ridge": Method(
        "mRMR + ridge", WEIGHTS, "unbounded", "mrmr",
        learn_mrmr, mrmr_items, mrmr_ridge,
    ),
    "mrmr_kernel_ridge": Method(
        "mRMR + kernel ridge", WEIGHTS, "unbounded", "mrmr",
        learn_mrmr, mrmr_items, mrmr_kernel_ridge,
    ),
}  # fmt: skip


@contextmanager
def among_methods():
    """For a while the rivals are rows of METHODS, so that `run_experiment` runs them too."""
    METHODS.update(RIVALS)
    try:
        yield
    finally:
        for name in RIVALS:
            del METHODS[name]


def tables(experiment):
    """The tables of one experiment, as the other stored runs', and the CPU times.

    summary also has coverage and width with their intervals over trials; silent, the number of
    estimates without an interval; and points, the number of intervals without a width. speed:
    fit_s, the CPU seconds of `learn`, and estimate_ms, the CPU milliseconds of an estimate.
    """
    start = time.process_time()
    with among_methods():
        found = protocols.records(experiment)
        made = {
            "summary": summary.summarise(found).drop(columns=["coverage", "width"]),
            "models": summary.per_model(found),
            "changes": summary.compare(found),
        }
        made["summary"] = made["summary"].merge(of_intervals(found), on="method")
        for name, table in made.items():
            made[name] = table[table["method"].isin(experiment.methods)]
        budget = found["budget"].iloc[0]
        cell = {"benchmark": experiment.scores, "split": experiment.split, "budget": budget}
        made["speed"] = pd.DataFrame([cell | row for row in speeds(experiment, budget)])
    costs = {
        **cell,
        "methods": " ".join(experiment.methods),
        "trials": experiment.trials,
        "cpu_s": time.process_time() - start,
    }
    made["costs"] = pd.DataFrame([costs])
    for table in made.values():
        table.insert(2, "asked", float(experiment.budget))
    return made


def of_intervals(records):
    """Coverage and width of each method, with their 95% intervals over trials, silent, points."""
    inside = (records["lower"] <= records["truth"]) & (records["truth"] <= records["upper"])
    known = records["lower"].notna()
    table = records.assign(
        coverage=inside.where(known).astype(float), width=records["upper"] - records["lower"]
    )
    trials = table.groupby(["method", "trial"], sort=False)[["coverage", "width"]].mean()
    groups = trials.groupby("method", sort=False)
    found = pd.DataFrame(index=groups.mean().index)
    for name in ("coverage", "width"):
        mean = groups[name].mean()
        count = groups[name].count()
        half = stdtrit(count - 1, 0.975) * groups[name].std() / count**0.5
        found[name] = mean
        found[f"{name}_low"] = mean - half
        found[f"{name}_high"] = mean + half
    method = records["method"]
    silent = (~known).groupby(method).sum()
    points = (table["width"] < 1e-6).groupby(method).sum()
    return found.assign(silent=silent, points=points).reset_index()


def speeds(experiment, n, trials=10):
    """One dict per method: its CPU time to learn, and for an estimate, in one thread."""
    source, target = (scores.values for scores in _pair(experiment))
    size = (target.shape[1], len(target))
    rows = np.tile(np.arange(len(target)), trials)[:, None]
    for name in experiment.methods:
        method = METHODS[name]
        with threadpool_limits(1):
            start = time.process_time()
            learned = method.learn(source, n)
            fitted = time.process_time()
            rngs = [np.random.default_rng([trial, n]) for trial in range(trials)]
            rounds = begin(method, learned, n, rngs, *size)
            while not rounds.done:
                rounds.record(target[rows, rounds.next_items()])
            method.read(rounds)
            end = time.process_time()
        each = 1_000 * (end - fitted) / len(rows)
        yield {"method": name, "fit_s": fitted - start, "estimate_ms": each}


def _pair(experiment) -> tuple[Scores, Scores]:
    """The source and target models of an experiment, of one random split."""
    if experiment.split in SPLITS:
        scores = protocols.SCORES[experiment.scores]()
        return split_models(scores, experiment.split, np.random.default_rng(0))
    return protocols.SETTINGS[experiment.scores, experiment.split]()
