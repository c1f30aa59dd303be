"""The designs: every ordered core set is as likely; the farthest-point core set covers."""

import re
from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from benchpred_utils import designs

N = 12
n = 5
DRAWS = 20_000


def one_by_one(rng):
    return np.stack([designs.uniform(np.zeros((2, N)), n, rng) for _ in range(DRAWS)])


def all_at_once(rng):
    return designs.uniform_core_sets(N, n, DRAWS, rng)


@pytest.mark.parametrize("draw", [one_by_one, all_at_once])
def test_uniform_core_sets_are_simple_random_samples_in_random_order(draw, rng):
    core = draw(rng)
    assert core.shape == (DRAWS, n)
    assert all(len(set(row)) == n for row in core[:500])
    sets, counts = np.unique(np.sort(core, axis=1), axis=0, return_counts=True)
    assert len(sets) == 792  # all of them: 12 choose 5
    assert stats.chisquare(counts).pvalue > 1e-3  # every core set is as likely
    assert stats.chi2_contingency(places(core)).pvalue > 1e-3  # so is an item at every place


def places(core):
    """How often each item is at each place in the order of drawing."""
    return np.stack([np.bincount(core[:, i], minlength=N) for i in range(n)])


def test_negative_control_a_fixed_order_is_noticed(rng):
    core = np.sort(all_at_once(rng), axis=1)
    assert stats.chi2_contingency(places(core)).pvalue < 1e-6


def order_test(core, n_items):
    """p-value of a chi-square test that every ordered core set, and no other, is as likely."""
    number = {row: i for i, row in enumerate(permutations(range(n_items), core.shape[1]))}
    counts = np.bincount([number[tuple(row)] for row in core.tolist()], minlength=len(number))
    return stats.chisquare(counts).pvalue


def floyd(n_items, n, size, rng):
    """Floyd's sampling: every core set is as likely, not every order (Bentley & Floyd 1987)."""
    chosen = np.empty((size, 0), dtype=int)
    for last in range(n_items - n, n_items):
        t = rng.integers(last + 1, size=(size, 1))
        t = np.where((chosen == t).any(axis=1, keepdims=True), last, t)
        chosen = np.concatenate([chosen, t], axis=1)
    return chosen


@pytest.mark.parametrize("n_items, n", [(5, 1), (5, 2), (5, 3), (5, 5), (4, 4)])
def test_every_ordered_core_set_is_as_likely(n_items, n):
    """Five tests at level 1e-3, with a fixed seed."""
    core = designs.uniform_core_sets(n_items, n, 60_000, np.random.default_rng(4))
    assert order_test(core, n_items) > 1e-3


def test_negative_control_the_right_sets_in_a_wrong_order_are_noticed(rng):
    core = floyd(5, 3, 60_000, rng)
    counts = np.unique(np.sort(core, axis=1), axis=0, return_counts=True)[1]
    assert len(counts) == 10
    assert stats.chisquare(counts).pvalue > 1e-3
    assert order_test(core, 5) < 1e-6
    assert order_test(rng.permuted(core, axis=1), 5) > 1e-3


@pytest.mark.parametrize("place", [slice(None), slice(0, 1), slice(49, 50)])
def test_the_inclusion_probability_is_n_of_n_items(place):
    """At each place in the order it is 1/N; the factor is the finite population's."""
    core = designs.uniform_core_sets(1000, 50, 20_000, np.random.default_rng(8))[:, place]
    p = core.shape[1] / 1000
    counts = np.bincount(core.ravel(), minlength=1000)
    statistic = ((counts - 20_000 * p) ** 2).sum() / (20_000 * p * (1 - p)) * 999 / 1000
    assert 1e-3 < stats.chi2.sf(statistic, 999) < 1 - 1e-3


@given(st.integers(1, 300), st.data())
def test_each_draw_takes_its_turn_from_the_items_left(n_items, data):
    """The definition, item by item: the i-th is number int(u_i (N - i)) of those left."""
    n = data.draw(st.integers(1, n_items))
    seed = data.draw(st.integers(0, 2**32))
    core = designs.uniform_core_sets(n_items, n, 3, np.random.default_rng(seed))
    assert core.dtype == np.int64
    assert core.shape == (3, n)
    for row, u in zip(core.tolist(), np.random.default_rng(seed).random((3, n))):
        left = list(range(n_items))
        assert row == [left.pop(int(u_i * len(left))) for u_i in u]
        assert len(set(row)) == n
        assert set(row) | set(left) == set(range(n_items))


class Constant:
    """Random numbers at the ends of what they can be."""

    def __init__(self, value):
        self.value = value

    def random(self, shape):
        return np.full(shape, self.value)


SIZES = [1, 2, 127, 128, 129, 32_767, 32_768, 32_769, 3_000_000]  # the type of the ranks changes


@pytest.mark.parametrize("n_items", SIZES)
def test_the_ends_of_the_range(n_items):
    n = min(n_items, 6)
    first = designs.uniform_core_sets(n_items, n, 2, Constant(0.0))
    last = designs.uniform_core_sets(n_items, n, 2, Constant(1 - 2**-53))
    assert np.array_equal(first, [range(n)] * 2)
    assert np.array_equal(last, [range(n_items - 1, n_items - 1 - n, -1)] * 2)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=5))
def test_parts_are_what_the_whole_is(sizes):
    whole = designs.uniform_core_sets(60, 9, sum(sizes), np.random.default_rng(2))
    rng = np.random.default_rng(2)
    parts = [designs.uniform_core_sets(60, 9, size, rng) for size in sizes]
    assert [part.shape for part in parts] == [(size, 9) for size in sizes]
    assert np.array_equal(np.concatenate(parts), whole)


def test_the_whole_benchmark_is_a_core_set(rng):
    uniform = designs.uniform_core_sets(N, N, 3, rng)
    greedy = designs.k_center_greedy(rng.random((2, N)), N, rng)
    for row in (*uniform, greedy):
        assert sorted(row) == list(range(N))


def cover(z, centers):
    return np.sqrt(((z[:, None] - z[None, centers]) ** 2).sum(-1)).min(axis=1).max()


def test_k_center_greedy_is_within_twice_of_the_best_cover(rng):
    """Its radius is at most twice the least, which trying all sets finds (Gonzalez 1985)."""
    clusters = [[0, 0.1, 0.2, 0.3], [5, 5.1, 5.2, 5.3], [9, 9.1, 9.2, 9.3]]
    source = np.array(clusters).reshape(1, 12)
    z = source.T
    best = min(cover(z, list(c)) for c in combinations(range(12), 3))
    radii = [cover(z, designs.k_center_greedy(source, 3, rng)) for _ in range(20)]
    assert best <= min(radii)
    assert max(radii) <= 2 * best
    random = [cover(z, rng.choice(12, 3, replace=False)) for _ in range(200)]
    assert max(random) > 2 * best  # negative control


def test_k_center_greedy_chooses_the_farthest_next_and_never_an_item_twice(rng):
    line = np.array([[0.0, 0.1, 0.5, 1.0]])
    for _ in range(10):
        core = designs.k_center_greedy(line, 2, rng)
        assert abs(line[0, core[0]] - line[0, core[1]]) == max(abs(line[0] - line[0, core[0]]))
    copies = np.repeat([[0.0, 1.0]], 6, axis=1)  # only two distinct items
    assert len(set(designs.k_center_greedy(copies, 9, rng))) == 9


def test_every_further_item_is_the_farthest_from_those_before(rng):
    z = rng.random((N, 3))
    core = designs.k_center_greedy(z.T, N, rng)
    for i in range(1, N):
        to_chosen = ((z[:, None] - z[None, core[:i]]) ** 2).sum(axis=-1).min(axis=1)
        assert core[i] == to_chosen.argmax()


def test_ties_are_broken_at_random(rng):
    same = np.zeros((2, 5))
    pairs = {tuple(sorted(designs.k_center_greedy(same, 2, rng))) for _ in range(300)}
    assert len(pairs) == 10


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_k_center_greedy_takes_no_missing_scores(bad, rng):
    source = np.zeros((3, 10))
    source[1, 4] = bad
    with pytest.raises(ValueError, match="missing or infinite"):
        designs.k_center_greedy(source, 4, rng)


CORES = [
    [[3, 75]],
    [[-5, 3]],
    [[3, 3]],
    [[0.0, 1.0]],
    [[True, False]],
    [[None, 1]],
    [["3", "4"]],
    [[1, 2, 3]],
    [1, 2],
    3,
]


@pytest.mark.parametrize("core", CORES)
def test_a_core_set_is_distinct_items_by_number(core):
    with pytest.raises(ValueError, match="it must give 2 distinct items of 60, by whole numbers"):
        designs.checked_core(core, 2, 60, "it")


@pytest.mark.parametrize("dtype", [int, np.uint8, np.int8])
def test_a_right_core_set_passes(dtype):
    core = np.array([[0, 59], [7, 3]], dtype)
    assert designs.checked_core(core, 2, 60, "it") is core


@pytest.mark.parametrize("size", [0, N + 1])
def test_an_impossible_core_set_is_refused(size, rng):
    source = np.zeros((2, N))
    for draw in (designs.uniform, designs.k_center_greedy):
        with pytest.raises(ValueError, match=f"a core set of {size} items can't be drawn from 12"):
            draw(source, size, rng)
    with pytest.raises(ValueError, match="can't be drawn"):
        designs.uniform_core_sets(N, size, 2, rng)


BUDGETS = [
    (10, 10),
    (0.2, 12),
    (60, 60),
    (1, 1),
    (0.999, 60),
    (np.int64(5), 5),
    (np.float32(0.5), 30),
]


@pytest.mark.parametrize("budget, n", BUDGETS)
def test_a_budget_is_a_number_or_a_fraction_of_items(budget, n):
    assert designs.budget_items(budget, 60) == n


@pytest.mark.parametrize(
    "budget", [0, 61, -1, 0.001, 1.5, 10.5, 0.0, 1.0, 50.0, True, np.nan, np.inf, None, "50", [50]]
)
def test_a_wrong_budget_is_refused(budget):
    with pytest.raises(
        ValueError, match=rf"budget is {re.escape(repr(budget))}; .*between 1 and 60"
    ):
        designs.budget_items(budget, 60)
