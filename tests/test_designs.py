from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from test_backend import back, cupy, strict

from benchpred_utils import designs
from benchpred_utils.counter import Stream

N, n, DRAWS = 12, 5, 20_000


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
    places = np.stack([np.bincount(core[:, i], minlength=N) for i in range(n)])
    assert (
        stats.chi2_contingency(places).pvalue > 1e-3
    )  # the place in the order says nothing about the item


def test_negative_control_a_fixed_order_is_noticed(rng):
    core = np.sort(all_at_once(rng), axis=1)
    places = np.stack([np.bincount(core[:, i], minlength=N) for i in range(n)])
    assert stats.chi2_contingency(places).pvalue < 1e-6


SOURCES = [np.random.default_rng, Stream]  # of random numbers, by seed


def order_test(core, n_items):
    """p-value of a chi-square test that every ordered core set is as likely, and that there is no other."""
    n = core.shape[1]
    number = {row: i for i, row in enumerate(permutations(range(n_items), n))}
    return stats.chisquare(
        np.bincount([number[tuple(row)] for row in core.tolist()], minlength=len(number))
    ).pvalue


def floyd(n_items, n, size, rng):
    """Floyd's sampling (Bentley & Floyd 1987): every core set is as likely, not every order of it."""
    chosen = np.empty((size, 0), dtype=int)
    for last in range(n_items - n, n_items):
        t = rng.integers(last + 1, size=(size, 1))
        t = np.where((chosen == t).any(axis=1, keepdims=True), last, t)
        chosen = np.concatenate([chosen, t], axis=1)
    return chosen


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("n_items, n", [(5, 1), (5, 2), (5, 3), (5, 5), (4, 4)])
def test_every_ordered_core_set_is_as_likely(source, n_items, n):
    """Ten tests at level 1e-3, with fixed seeds."""
    assert order_test(designs.uniform_core_sets(n_items, n, 60_000, source(4)), n_items) > 1e-3


def test_negative_control_the_right_sets_in_a_wrong_order_are_noticed(rng):
    core = floyd(5, 3, 60_000, rng)
    counts = np.unique(np.sort(core, axis=1), axis=0, return_counts=True)[1]
    assert len(counts) == 10 and stats.chisquare(counts).pvalue > 1e-3
    assert order_test(core, 5) < 1e-6
    assert order_test(rng.permuted(core, axis=1), 5) > 1e-3


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("place", [slice(None), slice(0, 1), slice(49, 50)])
def test_the_inclusion_probability_is_n_of_n_items(source, place):
    """At each place in the order it is 1/N.  Items exclude each other, hence the factor of the finite population."""
    core = designs.uniform_core_sets(1000, 50, 20_000, source(8))[:, place]
    p = core.shape[1] / 1000
    counts = np.bincount(core.ravel(), minlength=1000)
    statistic = ((counts - 20_000 * p) ** 2).sum() / (20_000 * p * (1 - p)) * 999 / 1000
    assert 1e-3 < stats.chi2.sf(statistic, 999) < 1 - 1e-3


@given(st.integers(1, 300), st.data())
def test_each_draw_takes_its_turn_from_the_items_left(n_items, data):
    """The definition, one item at a time: the i-th is number int(u_i (N - i)) of the list of those left."""
    n, seed = data.draw(st.integers(1, n_items)), data.draw(st.integers(0, 2**32))
    core = designs.uniform_core_sets(n_items, n, 3, np.random.default_rng(seed))
    assert core.dtype == np.int64 and core.shape == (3, n)
    for row, u in zip(core.tolist(), np.random.default_rng(seed).random((3, n))):
        left = list(range(n_items))
        assert row == [left.pop(int(u_i * len(left))) for u_i in u]
        assert len(set(row)) == n and set(row) | set(left) == set(range(n_items))


class Constant:
    """Random numbers at the ends of what they can be."""

    def __init__(self, value):
        self.value = value

    def random(self, shape):
        return np.full(shape, self.value)


@pytest.mark.parametrize(
    "n_items", [1, 2, 127, 128, 129, 32_767, 32_768, 32_769, 3_000_000]
)  # types change here
def test_the_ends_of_the_range(n_items):
    n = min(n_items, 6)
    first, last = (designs.uniform_core_sets(n_items, n, 2, Constant(u)) for u in (0.0, 1 - 2**-53))
    assert np.array_equal(first, [range(n)] * 2) and np.array_equal(
        last, [range(n_items - 1, n_items - 1 - n, -1)] * 2
    )


@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=5),
    st.sampled_from(SOURCES),
    st.sampled_from([144, 300, 2**24]),
)
def test_parts_are_what_the_whole_is(sizes, source, block):
    whole, rng = designs.uniform_core_sets(60, 9, sum(sizes), source(2)), source(2)
    parts = [designs.uniform_core_sets(60, 9, size, rng, max_memory=block) for size in sizes]
    assert [part.shape for part in parts] == [(size, 9) for size in sizes]
    assert np.array_equal(np.concatenate(parts), whole)


@pytest.mark.parametrize("convert", [strict, cupy])
def test_core_sets_are_drawn_where_their_numbers_are(convert):
    like = convert(np.zeros(1))
    there = designs.uniform_core_sets(1000, 50, 7, Stream(6, like))
    assert type(there) is type(like)
    assert np.array_equal(back(there), designs.uniform_core_sets(1000, 50, 7, Stream(6)))


def test_the_whole_benchmark_is_a_core_set(rng):
    for core in (
        designs.uniform_core_sets(N, N, 3, rng),
        [designs.k_center_greedy(rng.random((2, N)), N, rng)],
    ):
        assert all(sorted(row) == list(range(N)) for row in core)


def cover(z, centers):
    return np.sqrt(((z[:, None] - z[None, centers]) ** 2).sum(-1)).min(axis=1).max()


def test_k_center_greedy_is_within_twice_of_the_best_cover(rng):
    """Gonzalez (1985): the greedy radius is at most twice the least possible one, here found by trying all sets."""
    from itertools import combinations

    source = np.array([[0, 0.1, 0.2, 0.3], [5, 5.1, 5.2, 5.3], [9, 9.1, 9.2, 9.3]]).reshape(
        1, 12
    )  # three clusters
    z = source.T
    best = min(cover(z, list(c)) for c in combinations(range(12), 3))
    radii = [cover(z, designs.k_center_greedy(source, 3, rng)) for _ in range(20)]
    assert best <= min(radii) and max(radii) <= 2 * best
    assert (
        max(cover(z, rng.choice(12, 3, replace=False)) for _ in range(200)) > 2 * best
    )  # negative control


def test_k_center_greedy_chooses_the_farthest_next_and_never_an_item_twice(rng):
    line = np.array([[0.0, 0.1, 0.5, 1.0]])
    for _ in range(10):
        core = designs.k_center_greedy(line, 2, rng)
        assert abs(line[0, core[0]] - line[0, core[1]]) == max(abs(line[0] - line[0, core[0]]))
    copies = np.repeat([[0.0, 1.0]], 6, axis=1)  # only two distinct items
    assert len(set(designs.k_center_greedy(copies, 9, rng))) == 9


def test_ties_are_broken_at_random(rng):
    same = np.zeros((2, 5))
    pairs = {tuple(sorted(designs.k_center_greedy(same, 2, rng))) for _ in range(300)}
    assert len(pairs) == 10


@pytest.mark.parametrize("size", [0, N + 1])
def test_an_impossible_budget_is_refused(size, rng):
    source = np.zeros((2, N))
    for draw in (designs.uniform, designs.k_center_greedy):
        with pytest.raises(ValueError, match=f"a core set of {size} items can't be drawn from 12"):
            draw(source, size, rng)
    with pytest.raises(ValueError, match="can't be drawn"):
        designs.uniform_core_sets(N, size, 2, rng)
