import numpy as np
import pytest
from scipy import stats

from benchpred_utils import designs

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
    assert stats.chi2_contingency(places).pvalue > 1e-3  # the place in the order says nothing about the item


def test_negative_control_a_fixed_order_is_noticed(rng):
    core = np.sort(all_at_once(rng), axis=1)
    places = np.stack([np.bincount(core[:, i], minlength=N) for i in range(n)])
    assert stats.chi2_contingency(places).pvalue < 1e-6


def test_the_whole_benchmark_is_a_core_set(rng):
    for core in (designs.uniform_core_sets(N, N, 3, rng), [designs.k_center_greedy(rng.random((2, N)), N, rng)]):
        assert all(sorted(row) == list(range(N)) for row in core)


def cover(z, centers):
    return np.sqrt(((z[:, None] - z[None, centers]) ** 2).sum(-1)).min(axis=1).max()


def test_k_center_greedy_is_within_twice_of_the_best_cover(rng):
    """Gonzalez (1985): the greedy radius is at most twice the least possible one, here found by trying all sets."""
    from itertools import combinations

    source = np.array([[0, 0.1, 0.2, 0.3], [5, 5.1, 5.2, 5.3], [9, 9.1, 9.2, 9.3]]).reshape(1, 12)  # three clusters
    z = source.T
    best = min(cover(z, list(c)) for c in combinations(range(12), 3))
    radii = [cover(z, designs.k_center_greedy(source, 3, rng)) for _ in range(20)]
    assert best <= min(radii) and max(radii) <= 2 * best
    assert max(cover(z, rng.choice(12, 3, replace=False)) for _ in range(200)) > 2 * best  # negative control


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
