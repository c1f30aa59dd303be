"""Benchmark prediction: a language model's accuracy on a whole benchmark, estimated from few of its items."""

from . import (
    adaptive,
    advice,
    backend,
    counter,
    data,
    designs,
    estimators,
    experiments,
    inference,
    readers,
    scores,
    sequences,
    session,
    similarity,
    simulation,
)
from .advice import Advice, recommend
from .data import DATASETS, HELM_LITE, DataUnavailable, load_scores, model_table
from .designs import k_center_greedy, uniform
from .estimators import Estimate
from .experiments import (
    METHODS,
    OWN_METHODS,
    RECOMMENDED,
    SPLITS,
    Method,
    run_experiment,
    split_models,
)
from .inference import compare, summarise
from .readers import read_helm, read_lm_eval, read_results, read_scores
from .scores import Scores
from .session import EvaluationSession
from .similarity import model_similarity, pairwise_similarity

__version__ = "0.1.0"
__all__ = [
    "DATASETS",
    "HELM_LITE",
    "METHODS",
    "OWN_METHODS",
    "RECOMMENDED",
    "SPLITS",
    "Advice",
    "DataUnavailable",
    "Estimate",
    "EvaluationSession",
    "Method",
    "Scores",
    "adaptive",
    "advice",
    "backend",
    "compare",
    "counter",
    "data",
    "designs",
    "estimators",
    "experiments",
    "inference",
    "k_center_greedy",
    "load_scores",
    "model_similarity",
    "model_table",
    "pairwise_similarity",
    "read_helm",
    "read_lm_eval",
    "read_results",
    "read_scores",
    "readers",
    "recommend",
    "run_experiment",
    "scores",
    "sequences",
    "session",
    "similarity",
    "simulation",
    "split_models",
    "summarise",
    "uniform",
]
