"""One model of one's own, evaluated: files read, items to run, what their results say."""

from .advice import Advice, recommend
from .readers import read_helm, read_lm_eval, read_results, read_scores
from .session import EvaluationSession

__all__ = [
    "Advice",
    "EvaluationSession",
    "read_helm",
    "read_lm_eval",
    "read_results",
    "read_scores",
    "recommend",
]
