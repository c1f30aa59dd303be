"""What the stored runs hold: which experiments, on which scores."""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd

from benchpred_utils import data
from benchpred_utils.experiments import SPLITS, run_experiment, split_models
from benchpred_utils.methods import METHODS
from benchpred_utils.scores import Scores

__all__ = ["BUDGETS", "GROUPS", "RUNS", "Experiment", "math_settings", "records"]

BUDGETS = (10, 25, 50, 100, 0.2)
# Methods that cost more than the others, in the groups that share what they learn.
COSTLY = (
    ("p_irt", "gp_irt"),
    ("anchor_points_weighted", "anchor_points_predictor"),
    ("double_optimize",),
    ("lasso",),
    ("pca",),
    ("random_search_learn",),
)
CHEAP = (
    "random_sampling",
    "k_center_greedy",
    "random_sampling_learn",
    "metabench",
    "sort_and_search",
    "aipw",
    "aipw_cross_fitted",
    "sequential_stratification",
    "imputation",
)
GROUPED = {name for group in (CHEAP, *COSTLY) for name in group}
# A method in no group is one by itself, so that a new row of METHODS leaves the other runs as they
# are.  (It sees the same core sets in any group: its random numbers are those of its stream.)
NEW = tuple((name,) for name in METHODS if name not in GROUPED)
GROUPS = (CHEAP, *COSTLY, *NEW)
COMPARED = (
    "random_sampling",
    "aipw",
    "aipw_cross_fitted",
    "sequential_stratification",
    "imputation",
)
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
    split: str  # one of SPLITS, or of SETTINGS
    budget: int | float
    methods: tuple  # beside random_sampling, with which all are compared
    trials: int


def of_every_method(scores, split, budget):
    """The experiments with all methods: 100 trials, of costly methods 25 where n is not 50.

    PCA, the costliest by far, has 25 trials everywhere.
    """
    for group in GROUPS:
        many = group not in COSTLY or (budget == 50 and group != ("pca",))
        yield Experiment(scores, split, budget, group, 100 if many else 25)


def records(experiment):
    """The records of an experiment (see `run_experiment`), with those of random_sampling."""
    methods = tuple(dict.fromkeys(("random_sampling", *experiment.methods)))
    run = partial(
        run_experiment,
        methods=methods,
        budget=experiment.budget,
        trials=experiment.trials,
        progress=False,
    )
    if experiment.split in SPLITS:
        found = run(SCORES[experiment.scores](), split=experiment.split)
    else:
        source, target = SETTINGS[experiment.scores, experiment.split]()
        found = run(source=source, target=target)
    return found.assign(benchmark=experiment.scores, split=experiment.split)


# --- other settings -------------------------------------------------------------------------------


def before(date):
    """SWE-bench Verified: submissions before a date are the sources, later ones the targets."""
    scores = data.load_scores("swe_bench_verified")
    early = scores.dates < np.datetime64(date)
    return scores.select(models=early), scores.select(models=~early)


def new_models(kind):
    """SWE-bench, one agent with many models: those of 2025 are the sources, of 2026 the targets.

    A run of a target's model, its twin, is no source but in the kinds "with_twins", and
    "without_others", where as many other runs of about the twins' strength are left out instead.
    In "with_older", all submissions to SWE-bench Verified, with their own agents, are sources too.
    """
    scores = data.load_scores("swe_bench_bash_only")
    model = data.model_table(scores.name)["same_model"].loc[scores.models].to_numpy()
    late = scores.dates >= np.datetime64("2026-01-01")
    early = np.flatnonzero(~late)
    twins = early[np.isin(model[early], model[late])]
    left_out = twins
    if kind == "with_twins":
        left_out = []
    if kind == "without_others":
        left_out = _as_strong(scores.accuracy, twins, np.setdiff1d(early, twins))
    source = scores.select(models=np.setdiff1d(early, left_out))
    if kind == "with_older":
        both = (data.load_scores("swe_bench_verified"), source)
        tables = [pd.DataFrame(part.values, part.models, part.items) for part in both]
        source = Scores(pd.concat(tables)[scores.items], name=scores.name)
    return source, scores.select(models=late)


def _as_strong(accuracy, models, others):
    """For each of the models, the strongest first, the one of the others nearest in accuracy."""
    found = []
    for i in sorted(models, key=lambda i: -accuracy[i]):
        left = set(others) - set(found)
        found.append(min(left, key=lambda j: abs(accuracy[j] - accuracy[i])))
    return found


def few_sources(name, count=15):
    """The extrapolation split with `count` of the sources, spread evenly over their accuracies."""
    source, target = split_models(data.load_scores(name), "extrapolation")
    # They are in the order of accuracy.
    spread = np.linspace(0, source.n_models - 1, count).round().astype(int)
    return source.select(models=spread), target


def _spread(scores, count):
    """So many of the models, spread evenly over their accuracies."""
    order = np.argsort(scores.accuracy, kind="stable")
    chosen = np.linspace(0, len(order) - 1, min(count, len(order))).round().astype(int)
    return scores.select(models=order[chosen])


def held_out(name):
    """One random quarter of the models as targets, always the same."""
    rng = np.random.default_rng(0)
    return split_models(data.load_scores(name), "interpolation", rng)


def few_items(name, count=120):
    """The extrapolation split on a random part of the items, with 8 of the targets."""
    scores = data.load_scores(name)
    items = np.sort(np.random.default_rng(0).choice(scores.n_items, count, replace=False))
    source, target = split_models(scores.select(items=items), "extrapolation")
    return source, _spread(target, 8)


def graded(name, together=3):
    """The extrapolation split where an item's score is the mean of three items that follow."""
    parts = []
    for scores in split_models(data.load_scores(name), "extrapolation"):
        n_items = scores.n_items // together
        values = scores.values[:, : together * n_items].reshape(-1, n_items, together).mean(axis=2)
        parts.append(Scores(values, models=scores.models, name=name))
    return parts[0], _spread(parts[1], 8)


def shuffled(name):
    """The extrapolation split with 8 of the targets and sources that know nothing of them."""
    source, target = split_models(data.load_scores(name), "extrapolation")
    items = np.random.default_rng(0).permutation(source.n_items)
    return replace(source, values=source.values[:, items]), _spread(target, 8)


def made_up(name):
    """Targets that no source is like: specialists, and accuracies from 0 to 1.

    A specialist of the first kind is wrong on 30% of the items that are easiest for the sources,
    one in five, and right elsewhere; of the second kind it is right on a tenth of the harder half
    and nowhere else.
    """
    source, _ = split_models(data.load_scores(name), "extrapolation")
    n_items = source.n_items
    easiest = np.argsort(-source.values.mean(axis=0), kind="stable")
    rng = np.random.default_rng(0)
    targets = {"all right": np.ones(n_items), "all wrong": np.zeros(n_items)}
    for wrong in (1, max(n_items // 50, 2)):
        items = rng.choice(n_items, wrong, replace=False)
        targets[f"{wrong} wrong"] = np.ones(n_items)
        targets[f"{wrong} wrong"][items] = 0
        targets[f"{wrong} right"] = 1 - targets[f"{wrong} wrong"]
    for k in range(1, 4):
        fails = rng.choice(easiest[: n_items // 5], n_items * 3 // 50, replace=False)
        targets[f"specialist {k}"] = np.ones(n_items)
        targets[f"specialist {k}"][fails] = 0
        finds = rng.choice(easiest[n_items // 2 :], n_items // 20, replace=False)
        targets[f"freak {k}"] = np.zeros(n_items)
        targets[f"freak {k}"][finds] = 1
    values = np.stack(list(targets.values()))
    return source, Scores(values, models=list(targets), items=source.items, name=name)


def near_copies(name, sources=20):
    """Sources that are all one model, and targets that are it but for a few of 120 items.

    The model is the middle one of the sources of `few_items`. A target differs from it in 3, 5 or
    10 items: any, or only those that it has wrong, or only those that it has right. So few are
    seen to differ that the forecasts look surer than they are.
    """
    weaker, _ = few_items(name)
    copied = weaker.values[np.argsort(weaker.accuracy, kind="stable")[weaker.n_models // 2]]
    ways = {"any": copied >= 0, "wrong": copied < 0.5, "right": copied >= 0.5}
    rng = np.random.default_rng(0)
    targets = {}
    for way, can_differ in ways.items():
        for count in (3, 5, 10):
            items = rng.choice(np.flatnonzero(can_differ), count, replace=False)
            row = copied.copy()
            row[items] = 1 - row[items]
            targets[f"{count} of {way}"] = row
    copies = np.repeat(copied[None], sources, axis=0)
    source = Scores(copies, items=weaker.items, name=name)
    values = np.stack(list(targets.values()))
    return source, Scores(values, models=list(targets), items=weaker.items, name=name)


def domain(name, part):
    """One sub-domain of a benchmark as a benchmark of its own."""
    scores = data.load_scores(name)
    return replace(scores.select(items=scores.domains == part), name=part)


# --- the MMLU math frontier -----------------------------------------------------------------------


def math_settings():
    """Who is weak and who is strong at mathematics, otherwise than by the items that are predicted.

    A dict {(scores, setting): (source, target)}: "other_items" orders the models by other
    mathematics items; the five SPECIALIST_SETTINGS have the same targets and the same sources but
    for two, which are weak or strong, and specialists in mathematics or generalists.
    """
    algebra = domain("mmlu", "abstract_algebra")
    math = data.load_scores("mmlu_math")
    whole = data.load_scores("mmlu_pro")
    if list(whole.models) != list(math.models):
        raise ValueError("mmlu_pro and mmlu_math must have the same models in the same order")
    is_math = whole.domains == "math"
    other_math = whole.values[:, is_math & ~np.isin(whole.items, math.items)].mean(axis=1)
    rest = whole.values[:, ~is_math].mean(axis=1)
    base, target, pairs = specialist_pairs(math.accuracy, rest)
    strength = data.load_scores("math").accuracy
    settings = {
        ("abstract_algebra", "other_items"): _split_by(algebra, strength),
        ("mmlu_math", "other_items"): _split_by(math, other_math),
    }
    for setting, pair in pairs.items():
        source = math.select(models=[*base, *pair])
        settings["mmlu_math", setting] = (source, math.select(models=target))
    return settings


def _order(values):
    return np.argsort(values, kind="stable")


def _split_by(scores, strength):
    """As the extrapolation split, with another strength than the accuracy on these items."""
    order = _order(strength)
    sources = order[: int(0.5 * scores.n_models)]
    targets = order[scores.n_models - int(0.3 * scores.n_models) :]
    return scores.select(models=sources), scores.select(models=targets)


def specialist_pairs(math, rest):
    """Two weak and two strong specialists in mathematics and their generalist partners.

    Takes accuracies (M,) in mathematics and in the rest, gives (base, targets, {setting: pair}):
    specialists have the four largest residuals of logit(math) regressed on logit(rest), a partner
    the nearest accuracy in the rest.  Base sources: the lower half by the rest; targets: the best
    30% in mathematics; both without the eight.  All are indices of models.
    """
    x = _logit(rest)
    y = _logit(math)
    residual = y - np.polyval(np.polyfit(x, y, 1), x)
    specialists = sorted(_order(residual)[-4:], key=lambda i: rest[i])
    partners = []
    for i in specialists:
        others = set(range(len(math))) - {*specialists, *partners}
        partners.append(min(others, key=lambda j: abs(rest[j] - rest[i])))
    pairs = ([], partners[:2], specialists[:2], partners[2:], specialists[2:])
    taken = {*specialists, *partners}
    base = [i for i in _order(rest)[: int(0.5 * len(math))] if i not in taken]
    best = _order(math)[len(math) - int(0.3 * len(math)) :]
    targets = [i for i in best if i not in taken]
    return base, targets, dict(zip(SPECIALIST_SETTINGS, pairs))


def _logit(p):
    return np.log(p / (1 - p))


# --- the scores -----------------------------------------------------------------------------------

PRO_DOMAINS = {  # the sub-domains of MMLU-Pro, each a benchmark of its own
    f"mmlu_pro_{part.replace(' ', '_')}": part
    for part in (
        "biology", "business", "chemistry", "computer science", "economics", "engineering",
        "health", "history", "law", "math", "other", "philosophy", "physics", "psychology",
    )
}  # fmt: skip
_SETS = (
    *data.HELM_LITE,
    "mmlu_math",
    "mmlu_pro",
    "swe_bench_verified",
    "swe_bench_bash_only",
    "swe_bench_multilingual",
    "gso",
    "bigcodebench",
    "digits_zoo",
)
SCORES = {name: partial(data.load_scores, name) for name in _SETS}
SCORES |= {name: partial(domain, "mmlu_pro", part) for name, part in PRO_DOMAINS.items()}
SCORES["mmlu_math_systems"] = partial(data.load_scores, "mmlu_math", systems=True)
SCORES["abstract_algebra"] = partial(domain, "mmlu", "abstract_algebra")


def _math_setting(scores, setting):
    return math_settings()[scores, setting]


SETTINGS = {(name, "few_sources"): partial(few_sources, name) for name in data.HELM_LITE}
COVERED = {
    "held_out": (held_out, (25, 50, 100)),
    "shuffled": (shuffled, (25, 50, 100)),
    "made_up": (made_up, (25, 50, 100)),
    "few_items": (few_items, (15, 30, 60, 90, 108)),
    "graded": (graded, (15, 30, 60)),
    "near_copies": (near_copies, (15, 30, 60)),
}
SETTINGS |= {
    (name, kind): partial(make, name)
    for kind, (make, _) in COVERED.items()
    for name in data.HELM_LITE
}
SETTINGS["swe_bench_verified", "before_2025_07"] = partial(before, "2025-07-01")
NEW_MODELS = ("without_twins", "with_twins", "without_others", "with_older")
SETTINGS |= {("swe_bench_bash_only", kind): partial(new_models, kind) for kind in NEW_MODELS}
SETTINGS |= {
    pair: partial(_math_setting, *pair)
    for pair in (
        ("abstract_algebra", "other_items"),
        *(("mmlu_math", setting) for setting in ("other_items", *SPECIALIST_SETTINGS)),
    )
}


# --- the runs -------------------------------------------------------------------------------------

EDGES = ("interpolation", "extrapolation")


def _protocol():
    for budget in BUDGETS:
        for scores in data.HELM_LITE:
            for split in SPLITS:
                yield from of_every_method(scores, split, budget)


def _mmlu_math():
    for scores in ("abstract_algebra", "mmlu_math", "mmlu_math_systems"):
        for split in EDGES:
            for budget in BUDGETS:
                yield from of_every_method(scores, split, budget)
    yield from of_every_method("abstract_algebra", "other_items", 50)
    for setting in ("other_items", *SPECIALIST_SETTINGS):
        yield from of_every_method("mmlu_math", setting, 50)


def _frontier():
    for scores in data.HELM_LITE:
        for split in SPLITS:
            for budget in (25, 50, 100):
                yield Experiment(scores, split, budget, COMPARED, 300)
        yield Experiment(scores, "few_sources", 50, COMPARED, 300)


def _coverage():
    """A thousand draws for each target, of every kind that an interval has to hold for."""
    methods = ("random_sampling", "aipw_cross_fitted", "sequential_stratification")
    for kind, (_, budgets) in COVERED.items():
        for scores in data.HELM_LITE:
            for budget in budgets:
                yield Experiment(scores, kind, budget, methods, 1_000)


def _newest():
    for budget in (50, 0.1):
        yield Experiment("swe_bench_verified", "before_2025_07", budget, COMPARED, 300)
        for scores in ("swe_bench_verified", "bigcodebench"):
            for split in EDGES:
                yield Experiment(scores, split, budget, COMPARED, 300)
    yield Experiment("mmlu_pro", "extrapolation", 0.01, COMPARED, 300)
    for scores in (*PRO_DOMAINS, "digits_zoo"):
        for split in EDGES:
            yield Experiment(scores, split, 50, COMPARED, 300)


def _models_2026():
    """Budgets to half of the 500 tasks, so that a half-width of 5 points lies between two."""
    methods = ("random_sampling", "aipw_cross_fitted", "sequential_stratification")
    for budget in (25, 50, 100, 250):
        for kind in NEW_MODELS:
            yield Experiment("swe_bench_bash_only", kind, budget, methods, 300)
    for budget in (25, 50, 100):
        yield Experiment("swe_bench_multilingual", "extrapolation", budget, methods, 300)
    for budget in (20, 40):
        yield Experiment("gso", "extrapolation", budget, methods, 300)


def _rivals():
    """The methods of `rivals`; active querying, which learns anew for every random split, apart."""
    others = ("ppi_mean", "ppi_ridge", "mrmr_ridge", "mrmr_kernel_ridge")
    for scores in data.HELM_LITE:
        yield Experiment(scores, "extrapolation", 50, (*COMPARED, *others), 100)
        yield Experiment(scores, "extrapolation", 50, ("active_querying",), 100)
    for cell in (
        ("swe_bench_verified", "before_2025_07", 50),
        ("bigcodebench", "extrapolation", 0.1),
    ):
        yield Experiment(*cell, (*CHEAP, *others), 100)
        yield Experiment(*cell, ("active_querying",), 100)
    for scores in ("openbookqa", "gsm8k", "medqa"):
        yield Experiment(scores, "interpolation", 50, (*COMPARED, *others), 25)
        yield Experiment(scores, "interpolation", 50, ("active_querying",), 10)


RUNS = {  # name: (experiments, data sets)
    "protocol": (tuple(_protocol()), data.HELM_LITE),
    "mmlu_math": (tuple(_mmlu_math()), ("mmlu", "math", "mmlu_pro", "mmlu_math")),
    "frontier": (tuple(_frontier()), data.HELM_LITE),
    "coverage": (tuple(_coverage()), data.HELM_LITE),
    "newest": (tuple(_newest()), ("swe_bench_verified", "bigcodebench", "mmlu_pro", "digits_zoo")),
    "models_2026": (
        tuple(_models_2026()),
        ("swe_bench_bash_only", "swe_bench_multilingual", "gso", "swe_bench_verified"),
    ),
    "rivals": (
        tuple(_rivals()),
        (*data.HELM_LITE, "swe_bench_verified", "bigcodebench"),
    ),
}
