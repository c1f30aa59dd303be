"""What the sources say of a new target's scores, and what its own scores so far add to that."""

from typing import NamedTuple

import numpy as np

from . import irt
from .backend import to_numpy


class WorkingModel(NamedTuple):
    """A Bayesian logistic regression of a target's scores on what the sources say of the items.

    P(s = 1) = sigmoid(offset + x z), z ~ N(0, I): the prior is whitened into x and offset.
    """

    x: object  # (N, K)
    offset: object  # (N,)


def working_model(source):
    """What the sources (M, N) say of the items, as the prior of a new target; K = 3.

    logit P(s = 1) = a theta + beta b + gamma, with a, b the slopes and intercepts of a 2PL fitted
    to the sources; theta ~ N(mean, variance) of the sources' abilities. beta ~ N(1, 0.5^2) and
    gamma ~ N(0, 1.5^2) let the target's own scores say that what is hard for the sources is less so
    for it (beta < 1: down to not at all), or that all is easier. They are wide by intent: on a
    logit scale 1.5 takes 50% to 82%.
    """
    fit = irt.fit_2pl(source, 1)
    a, b = to_numpy(fit.items).T
    theta = to_numpy(fit.abilities)
    x = np.stack([a * theta.std(), 0.5 * b, np.full(len(b), 1.5)], axis=1)
    return WorkingModel(x, a * theta.mean() + b)


def learn_model(source, n):
    """The `working_model`, whatever the budget."""
    return working_model(source)


def predict(model, items, observed):
    """g (B, N): the probabilities of all items given the scores observed (B, t) on items (B, t)."""
    x = model.x[items]
    z = irt.logistic_map(x, model.offset[items], observed[:, None, :], 1.0)[:, 0]
    return irt.sigmoid(z @ model.x.T + model.offset)


# --- does the target look like the sources? -------------------------------------------------------


def misfit(model, items, observed, start=10, step=10):
    """(B,) log likelihood of a constant rate minus that of the working model.

    Each of the scores observed (B, t) on items (B, t) is forecast from those before; the first
    `start` are left to the working model to find the target's level. Both are probabilities of the
    same scores, so that where the working model is true it exceeds log c with probability 1/c at
    most (Ville).
    """
    n = observed.shape[1]
    right = np.cumsum(observed, axis=1) - observed
    constant = (right + 0.5) / (np.arange(n) + 1)
    loss = np.zeros(len(observed))
    for t in range(start, n, step):
        now = slice(t, t + step)
        g = predict(model, items[:, :t], observed[:, :t])
        g = np.clip(np.take_along_axis(g, items[:, now], axis=1), 1e-6, 1 - 1e-6)
        s = observed[:, now]
        loss += _log_likelihood(s, constant[:, now]) - _log_likelihood(s, g)
    return loss


def _log_likelihood(s, p):
    return (s * np.log(p) + (1 - s) * np.log(1 - p)).sum(axis=1)
