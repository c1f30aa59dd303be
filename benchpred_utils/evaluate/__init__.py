"""One model of one's own, evaluated: files read, items to run, what their results say."""

from .advice import Advice, recommend
from .compare import Comparison, Ranking, compare_models, rank_models
from .readers import read_helm, read_lm_eval, read_results, read_scores
from .session import EvaluationSession

__all__ = [
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
]
