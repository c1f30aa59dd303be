"""The table of methods: what each learns from the sources, which items it draws, how it reads them.

A new method is its functions and one row in `METHODS`; what the package and the book know of
methods follows from the row. (Only whether it is too costly for many trials, and with which others
it is run, is said elsewhere, in `benchpred_book.protocols`.)
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from . import designs, estimators, forecast, irt, optimised, sequential
from .backend import asarray, to_numpy
from .designs import Draw, checked_core
from .estimators import Estimate


@dataclass(frozen=True)
class Method:
    """How to evaluate a model from few items.

    What is learned is a value, held by whoever called `learn`. A method either draws its items at
    once (`draw` and `estimate`), or it asks in rounds (`start`), as a subclass of
    :class:`sequential.Rounds` does.
    """

    label: str  # its name in prose and charts
    family: str  # what kind of method it is
    bias: str  # over the draw: "none", "order 1/n" or "unbounded"
    stream: str  # names its random numbers: a new draw takes a new name; those that share what
    # they learn, draw and this name see the same core sets
    learn: Callable  # (source (M, N), n) -> learned; no random numbers
    draw: Callable | None = None  # (learned, n, rng) -> Draw
    estimate: Callable | None = None  # (learned, T draws, observed (T, P, n)) -> Estimate (T, P)
    start: Callable | None = None  # (learned, uniform (B, N + 2n), n[, rounds]) -> Rounds; then
    # `estimate`, if there is one, is another reading of these: (Rounds) -> Estimate (B,)
    takes_gaps: bool = False  # whether `learn` takes missing scores (NaN) as such

    def learned(self, source, n):
        """What the method learns of source scores (M, N), of which some may be missing (NaN).

        Where `learn` does not know of such scores, those that a 2PL expects stand for them.
        """
        return self.learn(source if self.takes_gaps else irt.filled(source), n)

    def read(self, rounds):
        """The Estimate (B,) of rounds that are done."""
        return self.estimate(rounds) if self.start and self.estimate else rounds.estimate()


class OneRound(sequential.Rounds):
    """A method that draws all its items at once, with the face of one that asks in rounds.

    It has B = T P rows, one for every draw and target, draw by draw: `next_items` gives the items
    (B, r) to run, `record` takes their scores (B, r), until it is `done`; then `estimate` gives an
    Estimate of (B,). `next_items` is to be called once. What it gives and takes is NumPy's,
    wherever the method computes.
    """

    def __init__(self, method, learned, draws, n_targets=1):
        super().__init__(len(draws.items) * n_targets)
        self.method = method
        self.learned = learned
        self.draws = draws
        self.n = draws.items.shape[1]

    def next_items(self):
        """All items (B, n), whose scores must then be given to `record`."""
        items = to_numpy(self.draws.items)
        return self.ask(np.repeat(items, len(self.items) // len(items), axis=0))

    def estimate(self):
        """The Estimate (B,) when the scores are recorded."""
        observed = asarray(self.observed.reshape(len(self.draws.items), -1, self.n))
        found = self.method.estimate(self.learned, self.draws, observed)
        return Estimate(*(None if end is None else to_numpy(end).ravel() for end in found))


def begin(method, learned, n, rngs, n_items, n_targets=1, drawn=None):
    """Start a method on one draw per Generator of `rngs`, for so many targets each.

    Gives an object as :class:`OneRound`, with len(rngs) x n_targets rows; n is the budget,
    `learned` what the method learned of N items. Methods of one learn, draw and stream that get the
    same dict `drawn` share their core sets.
    Raises ValueError when the method's draw is not n distinct items of N.
    """
    drawn = {} if drawn is None else drawn
    key = (method.learn, method.start or method.draw, method.stream)
    if key not in drawn:
        if method.start:
            uniform = [rng.random((n_targets, n_items + 2 * n)) for rng in rngs]
            drawn[key] = method.start(learned, np.concatenate(uniform), n)
        else:
            drawn[key] = draws_of(method, learned, n, rngs, n_items)
    return drawn[key] if method.start else OneRound(method, learned, drawn[key], n_targets)


def draws_of(method, learned, n, rngs, n_items):
    """The draws of a method, one per Generator, as one Draw with a first axis of their number.

    Raises ValueError when a core set does not hold n distinct items of N: one that held more would
    see more of the target than it pays for.
    """
    draws = [method.draw(learned, n, rng) for rng in rngs]
    items = np.stack([to_numpy(draw.items) for draw in draws])
    checked_core(items, n, n_items, f"the draw of {method.label}")
    readings = zip(*(draw.reading for draw in draws))
    return Draw(asarray(items), tuple(asarray(np.stack(parts)) for parts in readings))


# --- the faces of the functions -------------------------------------------------------------------


def the_matrix(source, n):
    """What a method learns that takes the sources' scores as they are."""
    return source


def drawn_by(design):
    """The draw of a design(source, n, rng) that learns nothing of how to read its core set."""

    def draw(source, n, rng):
        return Draw(design(source, n, rng))

    return draw


def estimated_by(estimator):
    """The estimate of an estimator(source, core, observed), which then takes the draw's reading."""

    def estimate(source, draws, observed):
        return estimator(source, draws.items, observed, *draws.reading)

    return estimate


_uniform = drawn_by(designs.uniform)
read_by_weights = estimated_by(estimators.weighted_sum)

# --- the table ------------------------------------------------------------------------------------

RANDOM = "random draw"
ACROSS = "random draw, learned across models"
WEIGHTS = "core set chosen, learned weights"
REPRESENTATIVES = "core set of representatives"
ITEM_RESPONSE = "item response theory, difficulty"

METHODS = {
    "random_sampling": Method(
        "random sampling", RANDOM, "none", "uniform",
        the_matrix, _uniform, estimated_by(estimators.random_sampling),
    ),
    "k_center_greedy": Method(
        "k-center greedy", REPRESENTATIVES, "unbounded", "k_center_greedy",
        the_matrix, drawn_by(designs.k_center_greedy), estimated_by(estimators.core_mean),
    ),
    "random_sampling_learn": Method(
        "random sampling + regression", ACROSS, "unbounded", "uniform",
        the_matrix, _uniform, estimated_by(estimators.random_sampling_learn),
    ),
    "random_search_learn": Method(
        "random search + regression", WEIGHTS, "unbounded", "random_search_learn",
        the_matrix, optimised.random_search_learn, read_by_weights,
    ),
    "lasso": Method(
        "lasso", WEIGHTS, "unbounded", "lasso",
        optimised.host_matrix, optimised.lasso, read_by_weights,
    ),
    "double_optimize": Method(
        "double optimisation", WEIGHTS, "unbounded", "double_optimize",
        optimised.host_matrix, optimised.double_optimize, read_by_weights,
    ),
    "pca": Method(
        "PCA", ACROSS, "unbounded", "uniform",
        the_matrix, _uniform, estimated_by(estimators.pca),
    ),
    "anchor_points_weighted": Method(
        "anchor points, weighted", REPRESENTATIVES, "unbounded", "anchor_points_weighted",
        optimised.item_correlations, optimised.anchor_points_weighted, read_by_weights,
    ),
    "anchor_points_predictor": Method(
        "anchor points, predictor", REPRESENTATIVES, "unbounded", "anchor_points_predictor",
        optimised.item_correlations, optimised.anchor_points_predictor, read_by_weights,
    ),
    "p_irt": Method(
        "p-IRT", ITEM_RESPONSE, "unbounded", "irt_anchors",
        irt.learn_irt, irt.irt_anchors, irt.p_irt, takes_gaps=True,
    ),
    "gp_irt": Method(
        "gp-IRT", ITEM_RESPONSE, "unbounded", "irt_anchors",
        irt.learn_irt, irt.irt_anchors, irt.gp_irt, takes_gaps=True,
    ),
    "metabench": Method(
        "metabench", ITEM_RESPONSE, "unbounded", "metabench_items",
        irt.learn_metabench, irt.metabench_items, irt.metabench, takes_gaps=True,
    ),
    "sort_and_search": Method(
        "Sort & Search", ITEM_RESPONSE, "unbounded", "sorted_by_difficulty",
        irt.learn_difficulty, irt.sorted_by_difficulty, irt.sort_and_search,
    ),
    "aipw": Method(
        "AIPW", RANDOM, "order 1/n", "uniform",
        the_matrix, _uniform, estimated_by(estimators.aipw),
    ),
    "aipw_cross_fitted": Method(
        "AIPW, cross-fitted", RANDOM, "none", "uniform",
        the_matrix, _uniform, estimated_by(estimators.aipw_cross_fitted),
    ),
    "sequential_stratification": Method(
        "sequential stratification", RANDOM, "none", "SequentialStratification",
        forecast.working_model, start=sequential.SequentialStratification, takes_gaps=True,
    ),
    "imputation": Method(
        "imputation", ACROSS, "unbounded", "SequentialStratification",
        forecast.working_model, None, sequential.imputation, sequential.SequentialStratification,
        takes_gaps=True,
    ),
}  # fmt: skip
OWN_METHODS = ("aipw_cross_fitted", "sequential_stratification", "imputation")  # not the field's
RECOMMENDED = "sequential_stratification"  # exactly unbiased; the sources say where to look as well
