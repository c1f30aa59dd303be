import tracemalloc

import array_api_strict
import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score, precision_score, recall_score

import benchpred_utils as bp
from benchpred_utils.similarity import KINDS


def test_every_kind_is_what_scikit_learn_computes(matrix):
    a, b = matrix[:6], matrix[6:]
    found = {kind: bp.pairwise_similarity(a, b, kind) for kind in KINDS}
    for i, s in enumerate(a):
        for j, t in enumerate(b):
            assert found["kappa"][i, j] == pytest.approx(cohen_kappa_score(s, t), abs=1e-12)
            assert found["agreement"][i, j] == pytest.approx((s == t).mean(), abs=1e-12)
            assert found["forward"][i, j] == pytest.approx(recall_score(s, t), abs=1e-12)
            assert found["backward"][i, j] == pytest.approx(precision_score(s, t), abs=1e-12)


def test_the_directions_are_each_other_turned_round(matrix):
    a, b = matrix[:6], matrix[6:]
    turned = bp.pairwise_similarity(b, a, "backward").T
    assert bp.pairwise_similarity(a, b, "forward") == pytest.approx(turned, abs=1e-15)
    for kind in ("agreement", "kappa"):
        assert bp.pairwise_similarity(a, b, kind) == pytest.approx(
            bp.pairwise_similarity(b, a, kind).T, abs=1e-15
        )


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
    right, wrong = np.ones((2, 5)), np.zeros((1, 5))
    assert bp.pairwise_similarity(right[:1], right).tolist() == [[0.0, 0.0]]
    assert bp.pairwise_similarity(wrong, right, "forward").tolist() == [[0.0, 0.0]]
    assert bp.pairwise_similarity(right, wrong, "backward").tolist() == [[0.0], [0.0]]


@pytest.mark.parametrize("kind", KINDS)
def test_model_similarity_sums_up_the_sources(kind, matrix):
    source, target = matrix[:20], matrix[20:]
    pairs = bp.pairwise_similarity(target, source, kind)
    found = lambda over: bp.model_similarity(source, target, kind, over)
    assert found("mean") == pytest.approx(pairs.mean(axis=1))
    assert found("max") == pytest.approx(pairs.max(axis=1))
    assert found(np.int64(3)) == pytest.approx(-np.sort(-pairs)[:, :3].mean(axis=1))
    assert found("mean").shape == (10,)


def test_top_k_runs_from_the_maximum_to_the_mean(matrix):
    source, target = matrix[:20], matrix[20:]
    by_k = np.stack([bp.model_similarity(source, target, over=k) for k in range(1, 21)])
    assert by_k[0] == pytest.approx(bp.model_similarity(source, target, over="max"))
    assert by_k[-1] == pytest.approx(bp.model_similarity(source, target, over="mean"))
    assert (np.diff(by_k, axis=0) <= 1e-12).all()


def test_a_core_set_of_everything_is_the_whole(matrix, rng):
    source, target, core = matrix[:20], matrix[20:], rng.permutation(60)
    whole = bp.model_similarity(source, target, over=5)
    assert bp.model_similarity(source[:, core], target[:, core], over=5) == pytest.approx(
        whole, abs=1e-12
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("over", ["mean", "max", 4])
def test_any_array_library(kind, over, matrix):
    device = array_api_strict.Device("device1")  # refuses silent transfers to and from the host
    strict = lambda values: array_api_strict.asarray(values, device=device)
    found = bp.model_similarity(strict(matrix[:20]), strict(matrix[20:]), kind, over)
    found = np.asarray(found.to_device(array_api_strict.Device("CPU_DEVICE")))
    assert found == pytest.approx(
        bp.model_similarity(matrix[:20], matrix[20:], kind, over), rel=1e-12
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [bool, np.uint8, np.float64])
def test_blocks_of_models_and_scores_in_bytes_change_nothing(kind, dtype, matrix):
    device = array_api_strict.Device("device1")
    scores = matrix.astype(dtype)
    expected = bp.pairwise_similarity(matrix, matrix[:7], kind)
    for convert in (np.asarray, lambda values: array_api_strict.asarray(values, device=device)):
        first, second = convert(scores), convert(scores[:7])
        for bound in (2_500, 10_000, 10**6):  # 3 models by 1, 10 by 4, all
            found = bp.pairwise_similarity(first, second, kind, max_memory=bound)
            assert type(found) is type(first)
            found = (
                found
                if isinstance(found, np.ndarray)
                else found.to_device(array_api_strict.Device("CPU_DEVICE"))
            )
            assert np.array_equal(np.asarray(found), expected)  # sums of 0 and 1 are exact
    mixed = bp.pairwise_similarity(scores, matrix[:7], kind)
    assert mixed.dtype == np.float64 and np.array_equal(mixed, expected)
    with pytest.raises(
        ValueError,
        match="max_memory is 2,000 bytes, and the smallest part takes 2,176; allow as many",
    ):
        bp.pairwise_similarity(matrix, matrix, kind, max_memory=2_000)


def test_single_precision_in_single_precision_out(matrix):
    found = bp.pairwise_similarity(matrix.astype(np.float32), matrix.astype(np.float32))
    assert found.dtype == np.float32
    assert found == pytest.approx(bp.pairwise_similarity(matrix, matrix), abs=1e-5)


def peak(first, second, **bound):
    """The most bytes that the similarities of two groups of models take beside their inputs."""
    tracemalloc.start()
    try:
        bp.pairwise_similarity(first, second, **bound)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("shape", [(400, 300), (300, 2_000), (700, 20)])
def test_the_bound_on_memory_holds(shape, rng):
    scores = rng.integers(0, 2, shape, dtype=np.uint8)
    result = 8 * shape[0] ** 2
    assert peak(scores, scores, max_memory=2**20) - result < 2**20
    assert peak(scores, scores) - result > 2**20  # negative control


def test_what_is_refused(matrix):
    with pytest.raises(
        ValueError, match="kind is 'cosine'; use one of agreement, kappa, forward, backward"
    ):
        bp.pairwise_similarity(matrix, matrix, "cosine")
    for over in ("median", 2.5, True, None):
        with pytest.raises(ValueError, match="use 'mean', 'max' or a number of sources"):
            bp.model_similarity(matrix, matrix, over=over)
    for over in (0, -1, 31):
        with pytest.raises(ValueError, match=f"the {over} most similar of 30 sources can't be had"):
            bp.model_similarity(matrix, matrix, over=over)
