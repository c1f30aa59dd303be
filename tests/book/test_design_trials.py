"""The draws behind the chapters on designs, and the measures they are compared by."""

import numpy as np
import pytest
from benchpred_book import design_trials

from benchpred_utils.forecast import working_model

N, n = 40, 8


@pytest.fixture
def rng():
    return np.random.default_rng(5)


@pytest.fixture
def scores(rng):
    """Sources (12, N) and targets (3, N)."""
    easy = np.linspace(0.9, 0.3, N)
    scores = (rng.random((15, N)) < easy).astype(float)
    return scores[:12], scores[12:]


def test_sizes_become_probabilities_and_those_too_large_are_sure():
    pi = design_trials.sizes_to_pi(np.array([[1.0, 1.0, 2.0, 100.0]]), 3)
    assert np.allclose(pi, [[0.5, 0.5, 1.0, 1.0]])


def test_a_systematic_sample_keeps_its_probabilities(rng):
    size = rng.random((1, N)) + 0.1
    pi = np.tile(design_trials.sizes_to_pi(size, n), (20_000, 1))
    C = design_trials.systematic(pi, np.tile(np.arange(N), (20_000, 1)), rng)
    assert C.shape == (20_000, n) and (np.diff(C, axis=1) > 0).all()
    share = np.bincount(C.ravel(), minlength=N) / len(C)
    z = (share - pi[0]) / np.sqrt(pi[0] * (1 - pi[0]) / len(C))
    assert np.abs(z).max() < 4.5


def test_the_gap_of_random_sampling_is_that_of_many_samples(scores, rng):
    target = scores[1]
    C = np.argsort(rng.random((20_000, N)), axis=1)[:, :n]
    changes = design_trials.gap_changes(target[:, C].mean(axis=2).T, target, n)
    assert abs(changes.mean()) < 4 * changes.std() / len(changes) ** 0.5


def test_the_error_of_random_sampling_is_that_of_the_formula(scores):
    target = scores[1]
    by_formula = (1 / n - 1 / N) * target.var(axis=1, ddof=1)
    assert np.allclose(design_trials.error_changes(np.tile(by_formula, (5, 1)), target, n), 0)
    assert np.allclose(design_trials.error_changes(4 * by_formula[None], target, n), 100)


def test_specialists_are_wrong_on_some_of_the_easiest_items_only(scores):
    source, _ = scores
    wrong = design_trials.specialists(source, 4) == 0
    assert (wrong.sum(axis=1) == N * 3 // 50).all()
    easiest = np.sort(source.mean(axis=0))[-N // 5]
    assert (source.mean(axis=0)[wrong.any(axis=0)] >= easiest).all()


def test_misleading_sources_stay_below_the_bound(scores):
    source, target = scores
    found = design_trials.costs(source, target, [(n, 0.2), (n, 1e-12)], times=3)
    kinds = ("shuffled", "specialist")
    assert set(found) == {(kind, n, weight) for kind in kinds for weight in (0.2, 1e-12)}
    special = design_trials.specialists(source, 3)
    limit = design_trials.bound(working_model(source), special, n)
    assert found["specialist", n, 0.2].mean() < limit


def test_one_draw_is_shown_with_all_its_cells(scores, rng):
    source, target = scores
    uniform = rng.random((1, N + 2 * n))
    shown = design_trials.one_draw(working_model(source), target[0], n, uniform, 3)
    assert shown.drawn.sum() == n and len(shown[shown["round"] == 1]) == N
    cells = shown.groupby(["round", "cell"])
    assert (cells.used.nunique() == 1).all()  # the cells of the picture are those of the draw
    assert (cells.drawn.sum() == cells.used.first()).all()  # one item from each that is used
    assert shown.groupby("round").cell.nunique().tolist() == [8, 6, 3]


def test_settings_are_tried_on_the_same_targets(scores):
    source, target = scores
    tried = design_trials.settings({"a": (source, target)}, n)
    assert set(tried) == set(design_trials.variants()) and "as it is" in tried
    same = design_trials.measured(working_model(source), target[::2], 3, n)
    assert np.allclose(tried["as it is"]["a"], same)


def test_trust_is_measured_with_the_sources_alone(scores):
    source, _ = scores
    order = np.argsort(source.mean(axis=1))
    weak, best = source[order[:8]], source[order[8:]]
    found = design_trials.trust(source, weak, best, (0.01, 0.2), n)
    assert {kind for kind, _ in found} == {"held out", "shuffled", "specialist"}
    assert found["shuffled", 0.2].mean() < found["shuffled", 0.01].mean()
