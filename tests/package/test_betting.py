"""Confidence sequences by betting: exact by enumeration, and valid at every look."""

import copy

import numpy as np
import pytest

from benchpred_utils.forecast import predict, working_model
from benchpred_utils.sequences import BettingSequence, SequentialDraws


def leaves(draw, target, depth, probability=1.0):
    """Every way in which `depth` more items can be drawn: (probability, the draw after it)."""
    if depth == 0:
        yield probability, draw
        return
    t = draw.items.shape[1]
    g = predict(draw.model, draw.items, draw.observed)[0]
    w = draw.left[0] * (np.sqrt(g * (1 - g)) + draw.floor)
    ends = np.cumsum(w) / w.sum()
    for item in np.nonzero(draw.left[0])[0]:
        after = copy.deepcopy(draw)
        after.uniform[0, t] = ends[item] - w[item] / w.sum() / 2
        assert after.next_items().tolist() == [[item]]
        after.record(target[None, [item]])
        yield from leaves(after, target, depth - 1, probability * w[item] / w.sum())


@pytest.mark.parametrize("target", [[1, 0, 0, 1, 1], [1, 1, 1, 1, 1], [0.2, 0, 0.5, 1, 0.3]])
def test_every_step_is_unbiased_and_no_gambler_gains_at_the_true_mean(rng, target):
    target = np.array(target, dtype=float)
    draw = SequentialDraws(
        working_model(rng.integers(0, 2, (12, 5)).astype(float)), np.zeros((1, 5)), 0.05
    )
    chances, ends = zip(*leaves(draw, target, 4))
    assert len(ends) == 5 * 4 * 3 * 2
    e, up, down, _ = np.stack([end.sequence.steps[..., 0] for end in ends], axis=1)
    m = target.mean()
    np.testing.assert_allclose(np.sum(chances), 1)
    np.testing.assert_allclose(chances @ e, m)  # at each of the four steps
    factors = 1 + up * (e - m), 1 - down * (e - m)
    for factor in factors:
        assert factor.min() > 0
        np.testing.assert_allclose(chances @ np.cumprod(factor, axis=1), 1)  # a martingale


@pytest.mark.parametrize(
    "what", ["good sources", "sources of other items", "a target near the ceiling"]
)
def test_the_confidence_sequence_covers_at_all_looks_together(rng, matrix, what):
    source, target = matrix[:-1], matrix[-1]
    if what == "sources of other items":
        target = rng.permutation(target)
    if what == "a target near the ceiling":
        target = (np.arange(60) > 2).astype(float)
    size, m = 600, target.mean()
    draw, missed = (
        SequentialDraws(working_model(source), rng.random((size, 60)), 0.02),
        np.zeros(size, dtype=bool),
    )
    while draw.items.shape[1] < 60:
        draw.record(target[draw.next_items()])
        missed |= (draw.sequence.lower > m + 1e-9) | (draw.sequence.upper < m - 1e-9)
    assert missed.mean() <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / size)
    np.testing.assert_allclose(draw.sequence.lower, m)  # all items seen: no doubt is left
    np.testing.assert_allclose(draw.sequence.upper, m)
    assert (np.sort(draw.items, axis=1) == np.arange(60)).all()


def test_a_session_with_better_sources_needs_fewer_items(rng, matrix):
    needed = []
    for target in (matrix[-1], np.random.default_rng(0).permutation(matrix[-1])):
        draw, n = (
            SequentialDraws(working_model(matrix[:-1]), rng.random((300, 60)), 0.12),
            np.zeros(300),
        )
        while not draw.done:
            n += ~draw.finished * 1.0
            draw.record(target[draw.next_items()])
        needed.append(n.mean())
    assert needed[0] < needed[1]


def test_a_sequence_that_rejects_every_mean_falls_back_on_what_is_certain():
    sequence = BettingSequence(1, 0.05)
    one = np.ones(1)
    for e in [0.9] * 60 + [0.1] * 200:  # no constant mean looks like that
        sequence.bet(0.5 * one, (e - 0.5) * one, 0.01 * one, -0.5 * one, 0.5 * one)
        sequence.look(0.2 * one, 0.8 * one)
        assert sequence.lower <= sequence.upper
    assert 0.2 <= sequence.lower[0] <= sequence.upper[0] <= 0.8


def test_the_boundary_of_a_look_is_where_a_gambler_has_earned_enough(rng):
    sequence = BettingSequence(3, 0.05)
    for _ in range(300):
        sequence.bet(
            np.full(3, 0.5),
            rng.choice([-0.5, 0.5], 3, p=[0.3, 0.7]),
            np.full(3, 0.2),
            np.full(3, -0.5),
            np.full(3, 0.5),
        )
    for _ in range(3):  # each goes 12 halvings further
        sequence.look(np.zeros(3), np.ones(3))
    e, up, down, _ = sequence.steps
    np.testing.assert_allclose(
        np.log1p(up * (e - sequence.lower)).sum(axis=0), np.log(40), atol=0.01
    )
    np.testing.assert_allclose(
        np.log1p(-down * (e - sequence.upper)).sum(axis=0), np.log(40), atol=0.01
    )
    assert (sequence.lower < sequence.value).all() and (sequence.value < sequence.upper).all()
    assert (sequence.variance > 0).all()


def test_a_sequence_says_what_it_knows_before_the_first_score_and_after_two():
    """V = .04 is right about the first error, .2: two estimates weigh alike and are worth V/2."""
    sequence = BettingSequence(1, 0.05)
    assert sequence.value.tolist() == [0.5]
    assert np.isnan(sequence.variance).all()
    one = np.ones(1)
    for error in (0.2, 0.1):
        sequence.bet(0.5 * one, error * one, 0.04 * one, -0.5 * one, 0.5 * one)
    assert sequence.value == pytest.approx([0.65])
    assert sequence.variance == pytest.approx([0.02])


def test_an_empty_sequence_s_value_is_the_middle_of_its_interval():
    sequence = BettingSequence(1, 0.05)
    sequence.look(np.array([0.2]), np.array([0.4]))
    assert sequence.value == pytest.approx([0.3])
