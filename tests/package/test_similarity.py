"""How alike two models are: against scikit-learn, limits, and what sums up several sources."""

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score, precision_score, recall_score

import benchpred_utils as bp
from benchpred_utils.similarity import KINDS


def test_every_kind_is_what_scikit_learn_computes(matrix):
    a = matrix[:6]
    b = matrix[6:]
    found = {kind: bp.pairwise_similarity(a, b, kind) for kind in KINDS}
    for i, s in enumerate(a):
        for j, t in enumerate(b):
            assert found["kappa"][i, j] == pytest.approx(cohen_kappa_score(s, t), abs=1e-12)
            assert found["agreement"][i, j] == pytest.approx((s == t).mean(), abs=1e-12)
            assert found["forward"][i, j] == pytest.approx(recall_score(s, t), abs=1e-12)
            assert found["backward"][i, j] == pytest.approx(precision_score(s, t), abs=1e-12)


def test_the_directions_are_each_other_turned_round(matrix):
    a = matrix[:6]
    b = matrix[6:]
    turned = bp.pairwise_similarity(b, a, "backward").T
    assert bp.pairwise_similarity(a, b, "forward") == pytest.approx(turned, abs=1e-15)
    for kind in ("agreement", "kappa"):
        turned = bp.pairwise_similarity(b, a, kind).T
        assert bp.pairwise_similarity(a, b, kind) == pytest.approx(turned, abs=1e-15)


def test_the_same_opposite_and_unrelated_models(rng):
    s = (rng.random((1, 100_000)) < 0.7).astype(float)
    for kind in KINDS:
        assert bp.pairwise_similarity(s, s, kind)[0, 0] == pytest.approx(1)
    for kind in ("agreement", "forward", "backward"):
        assert bp.pairwise_similarity(s, 1 - s, kind)[0, 0] == pytest.approx(0)
    unrelated = rng.permutation(s, axis=1)
    assert abs(bp.pairwise_similarity(s, unrelated)[0, 0]) < 0.02
    assert bp.pairwise_similarity(s, unrelated, "forward")[0, 0] == pytest.approx(0.7, abs=0.02)


def test_where_there_is_nothing_to_agree_on():
    right = np.ones((2, 5))
    wrong = np.zeros((1, 5))
    assert bp.pairwise_similarity(right[:1], right).tolist() == [[0.0, 0.0]]
    assert bp.pairwise_similarity(wrong, right, "forward").tolist() == [[0.0, 0.0]]
    assert bp.pairwise_similarity(right, wrong, "backward").tolist() == [[0.0], [0.0]]


@pytest.mark.parametrize("kind", KINDS)
def test_model_similarity_sums_up_the_sources(kind, matrix):
    source = matrix[:20]
    target = matrix[20:]
    pairs = bp.pairwise_similarity(target, source, kind)
    expected = {
        "mean": pairs.mean(axis=1),
        "max": pairs.max(axis=1),
        np.int64(3): -np.sort(-pairs)[:, :3].mean(axis=1),
    }
    for over, of_targets in expected.items():
        found = bp.model_similarity(source, target, kind, over)
        assert found.shape == (10,)
        assert found == pytest.approx(of_targets)


def test_top_k_runs_from_the_maximum_to_the_mean(matrix):
    source = matrix[:20]
    target = matrix[20:]
    by_k = np.stack([bp.model_similarity(source, target, over=k) for k in range(1, 21)])
    assert by_k[0] == pytest.approx(bp.model_similarity(source, target, over="max"))
    assert by_k[-1] == pytest.approx(bp.model_similarity(source, target, over="mean"))
    assert (np.diff(by_k, axis=0) <= 1e-12).all()


def test_a_core_set_of_everything_is_the_whole(matrix, rng):
    core = rng.permutation(60)
    whole = bp.model_similarity(matrix[:20], matrix[20:], over=5)
    of_core = bp.model_similarity(matrix[:20, core], matrix[20:, core], over=5)
    assert of_core == pytest.approx(whole, abs=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int8])
def test_whole_numbers_and_truth_values_give_what_floats_give(kind, dtype, matrix):
    scores = matrix.astype(dtype)
    expected = bp.pairwise_similarity(matrix, matrix[:7], kind)
    found = bp.pairwise_similarity(scores, scores[:7], kind)
    assert found.dtype == np.float64
    assert np.array_equal(found, expected)  # sums of 0 and 1 are exact
    assert np.array_equal(bp.pairwise_similarity(scores, matrix[:7], kind), expected)


def test_what_is_refused(matrix):
    with pytest.raises(
        ValueError, match="kind is 'cosine'; use one of agreement, kappa, forward, backward"
    ):
        bp.pairwise_similarity(matrix, matrix, "cosine")
    for over in ("median", 2.5, True, None, 0, -1, 31):
        with pytest.raises(
            ValueError, match="use 'mean', 'max' or a number of sources from 1 to 30"
        ):
            bp.model_similarity(matrix, matrix, over=over)
