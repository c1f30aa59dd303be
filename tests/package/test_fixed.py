"""The statistics give what they gave before their redesign: at commit a745352, to 1e-10.

`fixed_estimators.npz` and `fixed_methods.npz` were made by that commit from the inputs that are
made here: the first by its estimators, designs and similarities, which had the same signatures, the
second by its `run_experiment`. STREAMS are the first random number of each method's stream in
trial 3 of an experiment, and the first items that were drawn with it. Not here is what was defined
anew: pca, p_irt, gp_irt, metabench, sequential_stratification and imputation. The intervals of
random_sampling, aipw_cross_fitted and difference were defined anew too, near 0 and 1; what is kept
of these was made afterwards, and only they.
"""

from pathlib import Path

import numpy as np
import pytest

import benchpred_utils as bp
from benchpred_utils import designs, estimators, experiments, methods, similarity

HERE = Path(__file__).parent
CLOSE = {"rtol": 0, "atol": 1e-10}


@pytest.fixture(scope="module")
def before():
    with np.load(HERE / "fixed_estimators.npz") as stored:
        return dict(stored)


def synthetic():
    """Scores of 37 models on 200 items: 0/1 from a Rasch model, and graded at random."""
    rng = np.random.default_rng(5)
    ability = rng.normal(0.3, 1.2, (37, 1))
    difficulty = rng.normal(0, 1.2, (1, 200))
    p = 1 / (1 + np.exp(difficulty - ability))
    return {"binary": (rng.random((37, 200)) < p).astype(float), "graded": rng.random((37, 200))}


SCORES = synthetic()
ESTIMATORS = ("random_sampling", "core_mean", "aipw", "aipw_cross_fitted", "random_sampling_learn")


@pytest.mark.parametrize("kind", SCORES)
@pytest.mark.parametrize("n", [2, 40, 200])
def test_estimators(n, kind, before):
    source = SCORES[kind][:30]
    core = designs.uniform_core_sets(200, n, 3, np.random.default_rng(n))
    observed = estimators.observe(SCORES[kind][30:], core)
    parts = []
    for name in ESTIMATORS:
        found = getattr(estimators, name)(source, core, observed)
        parts += [end for end in found if end is not None]
    parts += estimators.difference(source.mean(axis=0), core, observed)
    np.testing.assert_allclose(np.stack(parts), before[f"{kind} {n}"], **CLOSE)


def test_designs(before):
    source = SCORES["binary"][:30]
    for design in (designs.uniform, designs.k_center_greedy):
        core = design(source, 40, np.random.default_rng(40))
        assert np.array_equal(core, before[design.__name__])
    core = designs.uniform_core_sets(200, 40, 3, np.random.default_rng(40))
    assert np.array_equal(core, before["uniform_core_sets"])


@pytest.mark.parametrize("kind", similarity.KINDS)
def test_similarities(kind, before):
    source = SCORES["binary"][:30]
    target = SCORES["binary"][30:]
    found = bp.pairwise_similarity(source, target, kind)
    np.testing.assert_allclose(found, before[f"pairwise {kind}"], **CLOSE)
    found = bp.model_similarity(source, target, kind, 3)
    np.testing.assert_allclose(found, before[f"of three {kind}"], **CLOSE)


# --- methods, on a part of the digits zoo ---------------------------------------------------------


@pytest.fixture(scope="module")
def zoo():
    whole = bp.load_scores("digits_zoo")
    return whole.select(models=np.arange(0, 159, 3), items=np.arange(0, 1797, 6))


KEPT = (
    "random_sampling",
    "k_center_greedy",
    "random_sampling_learn",
    "random_search_learn",
    "lasso",
    "double_optimize",
    "anchor_points_weighted",
    "anchor_points_predictor",
    "sort_and_search",
    "aipw",
    "aipw_cross_fitted",
)


@pytest.mark.parametrize("split, budget", [("extrapolation", 30), ("interpolation", 12)])
def test_methods(split, budget, zoo):
    with np.load(HERE / "fixed_methods.npz") as stored:
        expected = {name: stored[f"{name} {split}"] for name in KEPT}
    records = bp.run_experiment(zoo, KEPT, split, budget, trials=3, progress=False)
    for name in KEPT:
        found = records.loc[records["method"] == name, ["estimate", "lower", "upper"]]
        np.testing.assert_allclose(found.to_numpy(), expected[name], err_msg=name, **CLOSE)


STREAMS = {
    "uniform": (0.29246971679875855, [163, 140, 239, 212, 166]),
    "k_center_greedy": (0.4378082979612895, [231, 64, 258, 218, 70]),
    "random_search_learn": (0.6423622918133205, [283, 23, 270, 49, 135]),
    "lasso": (0.9703657325227631, [4, 11, 30, 51, 55]),
    "double_optimize": (0.7972233013121651, [299, 231, 126, 258, 252]),
    "anchor_points_weighted": (0.20649194859696662, [218, 297, 55, 60, 108]),
    "anchor_points_predictor": (0.8113261723978349, [152, 28, 297, 15, 108]),
    "irt_anchors": (0.3573880572021735, None),
    "metabench_items": (0.9180780992164693, None),
    "sorted_by_difficulty": (0.5915415634009398, [285, 286, 252, 273, 290]),
    "SequentialStratification": (0.7301915791387711, None),
}


def test_no_stream_is_renamed():
    assert set(STREAMS) <= {method.stream for method in bp.METHODS.values()}
    assert bp.METHODS["aipw"].stream == bp.METHODS["random_sampling"].stream == "uniform"


OLD = [name for name, method in bp.METHODS.items() if method.stream in STREAMS]


@pytest.mark.parametrize("name", OLD)
def test_the_first_draws(name, zoo):
    """A published number is its draws: they may change with a method's definition, not its name."""
    method = bp.METHODS[name]
    words = zoo.name, "extrapolation", method.stream
    number, items = STREAMS[method.stream]
    assert experiments.stream(0, 3, *words).random() == number
    if items:
        source, _ = bp.split_models(zoo, "extrapolation")
        learned = method.learn(source.values, 12)
        rngs = [experiments.stream(0, 3, *words)]
        draws = methods.draws_of(method, learned, 12, rngs, zoo.n_items)
        assert draws.items[0, :5].tolist() == items
