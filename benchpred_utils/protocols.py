"""What the stored runs hold: which experiments, on which scores."""

from dataclasses import dataclass, replace

import numpy as np

from . import data
from .experiments import SPLITS, run_experiment, split_models

__all__ = ["BUDGETS", "GROUPS", "RUNS", "Experiment", "math_settings", "records"]

BUDGETS = (10, 25, 50, 100, 0.2)
# Methods that share what they learn from the sources stand together; those after the first line cost more.
GROUPS = (
    (
        "random_sampling",
        "k_center_greedy",
        "random_sampling_learn",
        "metabench",
        "sort_and_search",
        "aipw",
        "aipw_cross_fitted",
        "sequential_stratification",
    ),
    ("p_irt", "gp_irt"),
    ("anchor_points_weighted", "anchor_points_predictor"),
    ("double_optimize",),
    ("lasso",),
    ("pca",),
    ("random_search_learn",),
)
COMPARED = ("random_sampling", "aipw", "aipw_cross_fitted", "sequential_stratification")
SPECIALIST_SETTINGS = (
    "no_pair",
    "weak_generalists",
    "weak_specialists",
    "strong_generalists",
    "strong_specialists",
)


@dataclass(frozen=True)
class Experiment:
    """What one call of `run_experiment` needs; the groups of methods share its draws."""

    scores: str  # a name of SCORES
    split: str  # one of SPLITS, or of math_settings
    budget: int | float
    methods: tuple  # beside random_sampling, with which all are compared
    trials: int

    @classmethod
    def of_every_method(cls, scores, split, budget):
        """All methods: n = 50 with 100 trials, other budgets with 25 of the costly methods."""
        for methods in GROUPS:
            yield cls(
                scores, split, budget, methods, 100 if budget == 50 or methods == GROUPS[0] else 25
            )


def records(experiment):
    """The records of an experiment, as `run_experiment` gives them, with those of random_sampling."""
    methods = tuple(dict.fromkeys(("random_sampling", *experiment.methods)))
    options = {
        "methods": methods,
        "budget": experiment.budget,
        "trials": experiment.trials,
        "progress": False,
    }
    if experiment.split in SPLITS:
        found = run_experiment(SCORES[experiment.scores](), split=experiment.split, **options)
    else:
        source, target = SETTINGS[experiment.scores, experiment.split]()
        found = run_experiment(source=source, target=target, **options)
    return found.assign(benchmark=experiment.scores, split=experiment.split)


# --- other settings ---------------------------------------------------------------------------------------------------


def before(date):
    """SWE-bench Verified: the submissions before a date are the sources, those from then on the targets."""
    scores = data.load_scores("swe_bench_verified")
    early = scores.dates < np.datetime64(date)
    return scores.select(models=early), scores.select(models=~early)


def few_sources(name, count=15):
    """The extrapolation split with `count` of the sources only, spread evenly over their accuracies."""
    source, target = split_models(data.load_scores(name), "extrapolation")
    spread = (
        np.linspace(0, source.n_models - 1, count).round().astype(int)
    )  # they are in order of accuracy
    return source.select(models=spread), target


def domain(name, part):
    """One sub-domain of a benchmark as a benchmark of its own."""
    scores = data.load_scores(name)
    return replace(scores.select(items=scores.domains == part), name=part)


# --- the MMLU math frontier -------------------------------------------------------------------------------------------


def math_settings():
    """Who is weak and who is strong at mathematics, otherwise than by the items that are predicted.

    A dict {(scores, setting): (source, target)}: "other_items" orders the models by other mathematics items; the five
    SPECIALIST_SETTINGS have the same targets and the same sources but for two, which are weak or strong, and
    specialists in mathematics or generalists.
    """
    algebra, math, whole = (
        domain("mmlu", "abstract_algebra"),
        data.load_scores("mmlu_math"),
        data.load_scores("mmlu_pro"),
    )
    if list(whole.models) != list(math.models):
        raise ValueError("mmlu_pro and mmlu_math must have the same models in the same order")
    is_math = whole.domains == "math"
    other_math = whole.values[:, is_math & ~np.isin(whole.items, math.items)].mean(axis=1)
    base, target, pairs = specialist_pairs(math.accuracy, whole.values[:, ~is_math].mean(axis=1))
    return {
        ("abstract_algebra", "other_items"): _split_by(algebra, data.load_scores("math").accuracy),
        ("mmlu_math", "other_items"): _split_by(math, other_math),
    } | {
        ("mmlu_math", setting): (math.select(models=[*base, *pair]), math.select(models=target))
        for setting, pair in pairs.items()
    }


def _order(values):
    return np.argsort(values, kind="stable")


def _split_by(scores, strength):
    """As the extrapolation split, with another strength than the accuracy on these items."""
    order, n_models = _order(strength), scores.n_models
    sources, targets = order[: int(0.5 * n_models)], order[n_models - int(0.3 * n_models) :]
    return scores.select(models=sources), scores.select(models=targets)


def specialist_pairs(math, rest):
    """Two weak and two strong specialists in mathematics and their generalist partners: (base, targets, {setting: pair}).

    From accuracies (M,) in mathematics and in the rest: specialists have the four largest residuals of logit(math)
    regressed on logit(rest), a partner the nearest accuracy in the rest.  Base sources: the lower half by the rest;
    targets: the best 30% in mathematics; both without the eight.  All are indices of models.
    """
    logit = lambda p: np.log(p / (1 - p))
    residual = logit(math) - np.polyval(np.polyfit(logit(rest), logit(math), 1), logit(rest))
    specialists = sorted(_order(residual)[-4:], key=lambda i: rest[i])
    partners = []
    for i in specialists:
        others = set(range(len(math))) - {*specialists, *partners}
        partners.append(min(others, key=lambda j: abs(rest[j] - rest[i])))
    pairs = [], partners[:2], specialists[:2], partners[2:], specialists[2:]
    taken = {*specialists, *partners}
    base, targets = (
        _order(rest)[: int(0.5 * len(math))],
        _order(math)[len(math) - int(0.3 * len(math)) :],
    )
    without = lambda indices: [i for i in indices if i not in taken]
    return without(base), without(targets), dict(zip(SPECIALIST_SETTINGS, pairs))


# --- the runs ---------------------------------------------------------------------------------------------------------


def _protocol():
    for budget in BUDGETS:
        for scores in data.HELM_LITE:
            for split in SPLITS:
                yield from Experiment.of_every_method(scores, split, budget)


def _mmlu_math():
    for scores in ("abstract_algebra", "mmlu_math", "mmlu_math_systems"):
        for split in ("interpolation", "extrapolation"):
            for budget in BUDGETS:
                yield from Experiment.of_every_method(scores, split, budget)
    yield from Experiment.of_every_method("abstract_algebra", "other_items", 50)
    for setting in ("other_items", *SPECIALIST_SETTINGS):
        yield from Experiment.of_every_method("mmlu_math", setting, 50)


def _frontier():
    for scores in data.HELM_LITE:
        for split in SPLITS:
            for budget in (25, 50, 100):
                yield Experiment(scores, split, budget, COMPARED, 300)
        yield Experiment(scores, "few_sources", 50, COMPARED, 300)


def _coverage():
    """In interpolation a model is a target now and then: to speak of each model's coverage takes many trials."""
    methods = "random_sampling", "aipw_cross_fitted", "sequential_stratification"
    for scores in data.HELM_LITE:
        for budget in (25, 50, 100):
            yield Experiment(scores, "interpolation", budget, methods, 4_000)


def _newest():
    for budget in (50, 0.1):
        yield Experiment("swe_bench_verified", "before_2025_07", budget, COMPARED, 300)
        for scores in ("swe_bench_verified", "bigcodebench"):
            for split in ("interpolation", "extrapolation"):
                yield Experiment(scores, split, budget, COMPARED, 300)
    yield Experiment("mmlu_pro", "extrapolation", 0.01, COMPARED, 300)
    for scores in (*PRO_DOMAINS, "digits_zoo"):
        for split in ("interpolation", "extrapolation"):
            yield Experiment(scores, split, 50, COMPARED, 300)


PRO_DOMAINS = {  # the sub-domains of MMLU-Pro, each a benchmark of its own
    f"mmlu_pro_{part.replace(' ', '_')}": part
    for part in (
        "biology", "business", "chemistry", "computer science", "economics", "engineering", "health",
        "history", "law", "math", "other", "philosophy", "physics", "psychology",
    )
}  # fmt: skip
_SETS = (
    *data.HELM_LITE,
    "mmlu_math",
    "mmlu_pro",
    "swe_bench_verified",
    "bigcodebench",
    "digits_zoo",
)
SCORES = {name: lambda name=name: data.load_scores(name) for name in _SETS} | {
    "mmlu_math_systems": lambda: data.load_scores("mmlu_math", systems=True),
    "abstract_algebra": lambda: domain("mmlu", "abstract_algebra"),
    **{name: lambda part=part: domain("mmlu_pro", part) for name, part in PRO_DOMAINS.items()},
}
_MATH = [("abstract_algebra", "other_items")] + [
    ("mmlu_math", s) for s in ("other_items", *SPECIALIST_SETTINGS)
]
SETTINGS = {
    (scores, "few_sources"): lambda scores=scores: few_sources(scores) for scores in data.HELM_LITE
} | {
    ("swe_bench_verified", "before_2025_07"): lambda: before("2025-07-01"),
    **{pair: lambda pair=pair: math_settings()[pair] for pair in _MATH},
}
RUNS = {  # name: (experiments, data sets)
    "protocol": (tuple(_protocol()), data.HELM_LITE),
    "mmlu_math": (tuple(_mmlu_math()), ("mmlu", "math", "mmlu_pro", "mmlu_math")),
    "frontier": (tuple(_frontier()), data.HELM_LITE),
    "coverage": (tuple(_coverage()), data.HELM_LITE),
    "newest": (tuple(_newest()), ("swe_bench_verified", "bigcodebench", "mmlu_pro", "digits_zoo")),
}
