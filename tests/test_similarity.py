import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

import benchpred_utils as bp


def test_kappa_and_agreement_of_binary_scores(matrix):
    a, b = matrix[:6], matrix[6:]
    kappa, agreement = bp.pairwise_similarity(a, b), bp.pairwise_similarity(a, b, "agreement")
    for i, s in enumerate(a):
        for j, t in enumerate(b):
            assert kappa[i, j] == pytest.approx(cohen_kappa_score(s, t), abs=1e-12)
            assert agreement[i, j] == pytest.approx((s == t).mean(), abs=1e-12)


def test_the_same_opposite_and_unrelated_models(rng):
    s = (rng.random((1, 100_000)) < 0.7).astype(float)
    assert bp.pairwise_similarity(s, s)[0, 0] == pytest.approx(1)
    assert bp.pairwise_similarity(s, 1 - s, "agreement")[0, 0] == pytest.approx(0)
    assert abs(bp.pairwise_similarity(s, rng.permutation(s, axis=1))[0, 0]) < 0.02


def test_models_that_are_always_right_agree_by_chance():
    assert bp.pairwise_similarity(np.ones((1, 5)), np.ones((2, 5))).tolist() == [[0.0, 0.0]]


def test_model_similarity_sums_up_the_sources(matrix):
    source, target = matrix[:20], matrix[20:]
    pairs = bp.pairwise_similarity(target, source)
    assert bp.model_similarity(source, target) == pytest.approx(pairs.mean(axis=1))
    assert bp.model_similarity(source, target, over="max") == pytest.approx(pairs.max(axis=1))
    assert bp.model_similarity(source, target).shape == (10,)


def test_unknown_kinds_are_refused(matrix):
    with pytest.raises(ValueError, match="kind is 'cosine'"):
        bp.pairwise_similarity(matrix, matrix, "cosine")
    with pytest.raises(ValueError, match="over is 'median'"):
        bp.model_similarity(matrix, matrix, over="median")
