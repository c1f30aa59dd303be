"""Imputation by principal components, against the same written the long way."""

import numpy as np
import pytest
from conftest import awkward
from sklearn.decomposition import PCA

from benchpred_utils import designs
from benchpred_utils.estimators import _imputed_means, observe, pca


@pytest.fixture
def source(matrix):
    return matrix[:20]


def imputed_the_long_way(rows, core, seen, rank):
    """As the authors have it: scikit-learn's PCA of all rows, again and again."""
    n_items = rows.shape[1]
    unseen = np.tile(rows.mean(axis=0), (len(seen), 1))
    unseen[:, core] = seen
    filled = np.vstack([rows, unseen])
    is_hidden = np.zeros(filled.shape, dtype=bool)
    is_hidden[len(rows) :, np.setdiff1d(np.arange(n_items), core)] = True
    for _ in range(100):
        model = PCA(rank, svd_solver="full")
        rebuilt = model.inverse_transform(model.fit_transform(filled))
        change = rebuilt[is_hidden] - filled[is_hidden]
        filled[is_hidden] += change
        if np.linalg.norm(change) < 1e-4:
            break
    return filled[len(rows) :].mean(axis=1)


@pytest.mark.parametrize("rank", [1, 2, 5, 10, 18])
def test_imputation_is_the_authors(source, matrix, rank, rng):
    for core in designs.uniform_core_sets(60, 13, 3, rng):
        seen = matrix[25:, core]
        got = _imputed_means(source, core, seen, rank)
        assert got == pytest.approx(imputed_the_long_way(source, core, seen, rank), abs=1e-8)
        assert abs(got - seen.mean(axis=1)).max() > 0.01  # it is not the core mean


def test_imputation_survives_awkward_sources(rng):
    for name, rows in awkward(rng).items():
        core = rng.choice(60, 13, replace=False)
        seen = rng.integers(0, 2, (2, 13)).astype(float)
        expected = imputed_the_long_way(rows, core, seen, 2)
        assert _imputed_means(rows, core, seen, 2) == pytest.approx(expected, abs=1e-6), name
        assert np.isfinite(pca(rows, core[None], seen[None]).value).all(), name


def test_all_items_give_the_accuracy_and_a_full_rank_the_item_means(source, matrix, rng):
    targets = matrix[20:]
    core = rng.permutation(60)[None]
    assert pca(source, core, observe(targets, core)).value[0] == pytest.approx(targets.mean(axis=1))
    core = core[0, :13]
    rest = np.setdiff1d(np.arange(60), core)
    expected = (targets[:, core].sum(axis=1) + source[:, rest].mean(axis=0).sum()) / 60
    got = _imputed_means(source, core, targets[:, core], len(matrix))
    assert got == pytest.approx(expected)


def test_the_rank_is_the_best_on_every_fourth_source(source, matrix, rng):
    cores = designs.uniform_core_sets(60, 13, 6, rng)
    value = pca(source, cores, observe(matrix[25:], cores)).value
    order = np.argsort(source.mean(axis=1), kind="stable")
    validation = source[order[2::4]]
    train = source[np.delete(order, slice(2, None, 4))]
    chosen = []
    for core, got in zip(cores, value):
        gaps = []
        for rank in (2, 5, 10, 20):
            means = imputed_the_long_way(train, core, validation[:, core], min(rank, 19))
            gaps.append(abs(means - validation.mean(axis=1)).mean())
        chosen.append((2, 5, 10, 20)[int(np.argmin(gaps))])
        expected = imputed_the_long_way(source, core, matrix[25:, core], chosen[-1])
        assert got == pytest.approx(expected, abs=1e-6)
    # Negative control: with a mask that masks nothing it would be 2 in every trial.
    assert len(set(chosen)) > 1


def test_the_targets_of_a_trial_are_filled_in_together(source, matrix, rng):
    """So one target's estimate depends on the others, but not on other trials."""
    cores = designs.uniform_core_sets(60, 13, 2, rng)
    observed = observe(matrix[25:], cores)
    together = pca(source, cores, observed).value
    assert together[1] == pytest.approx(pca(source, cores[1:], observed[1:]).value[0], abs=1e-10)
    alone = pca(source, cores[1:], observed[1:, :1]).value[0]
    assert abs(together[1, 0] - alone[0]) > 1e-4


def test_it_fills_in_a_matrix_of_low_rank(rng):
    rows = 0.5 + 0.2 * rng.uniform(-1, 1, (40, 2)) @ rng.uniform(-1, 1, (2, 80))
    core = rng.choice(80, 30, replace=False)
    got = _imputed_means(rows[:30], core, rows[30:, core], 2)
    assert got == pytest.approx(rows[30:].mean(axis=1), abs=2e-3)
    assert abs(rows[30:, core].mean(axis=1) - rows[30:].mean(axis=1)).max() > 0.005
