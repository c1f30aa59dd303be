"""What the sources say of a new target's scores, and what its own scores so far add to that."""

from typing import NamedTuple

import numpy as np
from scipy.special import softmax

from . import irt
from .backend import to_numpy

COMPONENTS = 5  # of the sources' residuals
CONSTANT = 0.2  # prior weight of a constant rate
TWIN = 0.05  # that of all twins together
DIFFERENCES = np.array([0.05, 0.2, 0.5])[:, None]  # of a twin from its source
LEAST = 1e-4  # of a forecast, and of 1 less it


class WorkingModel(NamedTuple):
    """A Bayesian logistic regression of a target's scores on what the sources say of the items.

    P(s = 1) = sigmoid(offset + x z), z ~ N(0, I): the prior is whitened into x and offset.
    """

    x: object  # (N, K)
    offset: object  # (N,)
    sources: object = ()  # (M, N): scores of models that the target may be a twin of


def working_model(source, n=None):
    """What the sources (M, N) say of the items, as the prior of a new target; K = 8.

    It is the same for every budget n.

    logit P(s = 1) = a theta + beta b + gamma + 0.8 f delta. a and b are the slopes and intercepts
    of a 2PL fitted to the sources; theta ~ N(mean, variance) of their abilities. beta ~ N(1, 0.5^2)
    and gamma ~ N(0, 1.5^2) let the target's own scores say that what is hard for the sources is
    less so for it (beta < 1: down to not at all), or that all is easier. They are wide by intent:
    on a logit scale 1.5 takes 50% to 82%. f are the first five principal components of the 2PL's
    residuals (s - p)/(p (1 - p) + 0.1), where sources are strong together; delta ~ N(0, I). Where a
    source's score is missing (NaN) its residual is 0, and p stands for it.
    """
    source = to_numpy(source)
    theta, items = irt.fit_2pl(source, 1)
    a, b = items.T

    def residuals(some):
        p = irt.sigmoid(theta * a[some] + b[some])
        return np.nan_to_num((source[:, some] - p) / (p * (1 - p) + 0.1))

    u = np.linalg.svd(residuals(irt.some_items(source)), full_matrices=False)[0]
    u = u[:, :COMPONENTS] / len(source) ** 0.5
    f = np.concatenate([residuals(block).T @ u for block in irt.item_blocks(source)])
    x = np.column_stack([a * theta.std(), 0.5 * b, np.full(len(b), 1.5), 0.8 * f])
    gaps = np.isnan(source)
    if gaps.any():
        source = np.where(gaps, irt.sigmoid(theta * a + b), source)
    elif source.flags.writeable:  # a change of the caller's array must not change the model
        source = source.copy()
    return WorkingModel(x, a * theta.mean() + b, source)


def predict(model, items, observed):
    """g (B, N): the probabilities of all items given the scores observed (B, t) on items (B, t)."""
    x = model.x[items]
    z = irt.logistic_map(x, model.offset[items], observed[:, None, :], 1.0)[:, 0]
    return irt.sigmoid(z @ model.x.T + model.offset)


class Forecast:
    """The forecasts of B targets by several experts, who weigh as much as they have been right.

    They are the working model's regression, with the prior weight CONSTANT the target's own rate,
    the same for all items, and with TWIN among them, for every source m and every d in DIFFERENCES,
    its twin, which forecasts (1 - d) s_m + d g, g being the mixture of the first two. A weight is
    its prior times the probability that the expert gave to all scores before they came. So the own
    rate prevails where the sources mislead, and a twin where the target is a source but for a few
    items. (A Bayesian mixture: Dawid 1984.)
    """

    def __init__(self, model, rows):
        self.model = model
        self.sources = np.reshape(model.sources, (-1, len(model.offset)))
        self.seen = None  # how many scores, at the last call
        n_twins = len(DIFFERENCES) * len(self.sources)
        self.log_two = np.tile(np.log([1 - CONSTANT, CONSTANT]), (rows, 1))
        self.log_all = np.tile(np.log([1 - TWIN, *np.full(n_twins, TWIN) / n_twins]), (rows, 1))

    def predict(self, items, observed):
        """g (B, N) given the scores observed (B, t) on items (B, t), those given before among them.

        The new ones weigh the experts by what was forecast at the call before.
        """
        rows, t = observed.shape
        if self.seen is not None:
            self._weigh(items[:, self.seen :], observed[:, self.seen :])
        self.seen = t
        self.regression = predict(self.model, items, observed)
        self.own_rate = (observed.sum(axis=1, keepdims=True) + 0.5) / (t + 1)
        weight = softmax(self.log_two, axis=1)
        self.mixture = weight[:, :1] * self.regression + weight[:, 1:] * self.own_rate
        twins = softmax(self.log_all, axis=1)[:, 1:].reshape(rows, len(DIFFERENCES), -1)
        copied = ((1 - DIFFERENCES) * twins).sum(axis=1)  # (B, M)
        rest = 1 - copied.sum(axis=1, keepdims=True)
        return np.clip(copied @ self.sources + rest * self.mixture, LEAST, 1 - LEAST)

    def _weigh(self, items, s):
        mixture = np.take_along_axis(self.mixture, items, axis=1)
        sources = self.sources[:, items].swapaxes(0, 1)[:, None]  # (B, 1, M, r)
        d = DIFFERENCES[..., None]
        twins = _log_likelihood(s[:, None, None], (1 - d) * sources + d * mixture[:, None, None])
        regression = np.take_along_axis(self.regression, items, axis=1)
        self.log_two[:, 0] += _log_likelihood(s, regression)
        self.log_two[:, 1] += _log_likelihood(s, self.own_rate)
        self.log_all[:, 0] += _log_likelihood(s, mixture)
        self.log_all[:, 1:] += twins.reshape(len(s), -1)


def misfit(model, items, observed, start=10, step=10):
    """(B,) log likelihood of a constant rate minus that of the working model's regression.

    Each of the scores observed (B, t) on items (B, t) is forecast from those before; the first
    `start` are left to the regression to find the target's level. Both are probabilities of the
    same scores, so that where the working model is true it exceeds log c with probability 1/c at
    most (Ville; as the regression stands for its mode, about so).
    """
    forecast = Forecast(model._replace(sources=()), len(items))
    forecast.log_two[:] = 0.0  # the likelihoods alone, without a prior
    for t in (*range(start, observed.shape[1], step), observed.shape[1]):
        forecast.predict(items[:, :t], observed[:, :t])
    return np.diff(forecast.log_two)[:, 0]


def _log_likelihood(s, p):
    p = np.clip(p, LEAST, 1 - LEAST)
    return (s * np.log(p) + (1 - s) * np.log(1 - p)).sum(axis=-1)
