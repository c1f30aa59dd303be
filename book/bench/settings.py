"""What the cases are measured on, and how often."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

import benchpred_utils as bp
from benchpred_utils.experiments import CHUNK

# Growth: a variable, and its values while the other ones stay at their second.
GRIDS = (
    ("M", (25, 50, 100, 200)),  # sources
    ("N", (500, 1000, 2000, 4000)),  # items
    ("n", (25, 50, 100, 200)),  # budget
    ("trials", (5, 10, 20, 40)),
)
LONG_GRIDS = (
    ("M", (25, 50, 100, 200, 400, 800)),
    ("N", (500, 1000, 2000, 4000, 8000, 16000)),
    ("n", (25, 50, 100, 200, 400)),
    ("trials", (5, 10, 20, 40, 80, 160)),
)
TINY_GRIDS = (("M", (8, 12, 16)), ("N", (40, 60, 80)), ("n", (8, 10, 12)), ("trials", (1, 2, 4)))

SPLITS = ("interpolation", "extrapolation")  # of the protocol whose time is limited


@dataclass(frozen=True)
class Settings:
    load: Callable  # gives the benchmarks, a tuple of Scores, once a case asks for them
    is_tiny: bool = False
    methods: tuple = tuple(bp.METHODS)
    budget: int = 50
    trials: int = 100  # of the protocol; where fewer are run, the time is scaled
    sample: int = 10  # trials run of a method that takes more than `cheap` CPU seconds a trial
    chunk: int = CHUNK  # and of any other: as many as one task of `run_experiment` holds
    cheap: float = 0.02
    repetitions: int = 3  # of every pair, and of a cheap measurement
    epochs: int = 2000  # of py-irt, as the authors of the protocol have it
    candidates: int = 100  # core sets tried in the scikit-learn loop of the random search
    draws: int = 100  # core sets on which the estimates of ppi-python are compared
    grids: tuple = GRIDS
    long_grids: tuple = LONG_GRIDS  # of the methods that are cheap at the second values
    on_device: bool = False  # for the case `speed`: on a GPU, with its sizes, by the wall clock
    limit: float | None = None  # seconds that a problem of `speed` may take in all

    @cached_property
    def benchmarks(self):
        """Scores; raises DataUnavailable where they can't be had."""
        return self.load()

    @property
    def field(self):
        """The methods of the field: all but the book's own."""
        return tuple(name for name in self.methods if name not in bp.OWN_METHODS)


def full(**changes):
    """On the six benchmarks."""
    return Settings(lambda: tuple(bp.load_scores(name) for name in bp.HELM_LITE), **changes)


def tiny(**changes):
    """A simulated benchmark of 20 models and 60 items, and one of everything."""
    small = {
        "budget": 10,
        "trials": 4,
        "sample": 2,
        "chunk": 2,
        "repetitions": 1,
        "epochs": 20,
        "candidates": 5,
        "draws": 3,
        "grids": TINY_GRIDS,
        "long_grids": TINY_GRIDS,
    }
    scores = bp.Scores(rasch(20, 60, np.random.default_rng(1)), name="tiny")
    return Settings(lambda: (scores,), is_tiny=True, **(small | changes))


def rasch(n_models, n_items, rng):
    """Simulated 0/1 scores (n_models, n_items): P(s = 1) = 1 / (1 + exp(difficulty - ability))."""
    ability = rng.normal(0.3, 1.2, (n_models, 1))
    difficulty = rng.normal(0, 1.2, (1, n_items))
    return (rng.random((n_models, n_items)) < 1 / (1 + np.exp(difficulty - ability))).astype(float)
