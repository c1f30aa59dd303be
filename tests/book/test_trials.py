"""The trials of the ledger, where their result is known."""

import numpy as np
import pytest
from benchpred_book import trials


def test_a_stratified_draw_is_proportional_and_its_weights_add_up(rng):
    strata = np.repeat([0, 1, 2], [50, 30, 20])
    items, weights = trials.stratified(strata, 10, rng)
    assert np.bincount(strata[items]).tolist() == [5, 3, 2]
    assert len(set(items)) == 10
    assert weights.sum() == pytest.approx(1)


def test_a_stratified_mean_is_unbiased_where_shares_are_whole(rng):
    strata = np.repeat([0, 1], [6, 4])
    values = np.arange(10.0) ** 2
    draws = (trials.stratified(strata, 5, rng) for _ in range(4_000))
    means = np.array([values[items] @ weights for items, weights in draws])
    assert abs(means.mean() - values.mean()) < 4 * means.std() / 4_000**0.5


def test_all_items_leave_no_error(rng):
    scores = (rng.random((3, 20)) < 0.6).astype(float)
    assert trials.random_error(scores, 20, rng) == pytest.approx(0)


def test_the_sequence_stops_before_the_end_and_holds(rng):
    source = (rng.random((12, 300)) < np.linspace(0.3, 0.95, 300)).astype(float)
    target = (rng.random((2, 300)) < np.linspace(0.5, 0.99, 300)).astype(float)
    used, held = trials.bet(source, target, rng, half_width=0.1)
    assert used.shape == held.shape == (4, 2)
    assert (used < 300).all() and held.mean() > 0.7


def test_sources_that_join_help_beside_a_random_sample(rng):
    ease = np.linspace(0.05, 0.95, 400)
    source = (rng.random((20, 400)) < ease).astype(float)
    target = (rng.random((4, 400)) < ease).astype(float)
    gaps, plain = trials.joined(source, target, 40, rng, trials=40)
    assert gaps.shape == plain.shape == (40,)
    assert gaps.mean() < plain.mean()
