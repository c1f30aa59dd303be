"""Benchmark prediction: a model's accuracy on a whole benchmark, estimated from few of its items.

The statistics are here; what serves a model of one's own is in `benchpred_utils.evaluate`, whose
names are to be had here too.
"""

from importlib import import_module

from .data import DATASETS, HELM_LITE, DataUnavailable, load_scores, model_table
from .designs import k_center_greedy, uniform
from .estimators import Estimate
from .experiments import SPLITS, run_experiment, split_models
from .methods import METHODS, OWN_METHODS, RECOMMENDED, Method
from .scores import Scores
from .similarity import model_similarity, pairwise_similarity
from .summary import compare, summarise

__version__ = "0.1.0"
EVALUATE = (  # names of `evaluate`, which is imported when one of them is used
    "Advice",
    "Comparison",
    "EvaluationSession",
    "Ranking",
    "compare_models",
    "rank_models",
    "read_helm",
    "read_lm_eval",
    "read_results",
    "read_scores",
    "recommend",
)
__all__ = [
    "DATASETS",
    "HELM_LITE",
    "METHODS",
    "OWN_METHODS",
    "RECOMMENDED",
    "SPLITS",
    "DataUnavailable",
    "Estimate",
    "Method",
    "Scores",
    "compare",
    "k_center_greedy",
    "load_scores",
    "model_similarity",
    "model_table",
    "pairwise_similarity",
    "run_experiment",
    "split_models",
    "summarise",
    "uniform",
    *EVALUATE,
]


def __dir__():
    return __all__


def __getattr__(name):
    if name in EVALUATE:
        return getattr(import_module(".evaluate", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
