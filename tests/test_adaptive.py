"""Sequential stratification: exactly unbiased whatever it learns, exact at n = N, and safe where sources know nothing."""

import numpy as np
import pytest
from conftest import awkward

from benchpred_utils import adaptive, run_experiment
from benchpred_utils.scores import Scores


def matrix(n_models, n_items, seed=0, spread=1.5):
    """Scores of a Rasch model, (n_models, n_items)."""
    rng = np.random.default_rng(seed)
    logits = spread * (rng.normal(size=(n_models, 1)) + rng.normal(size=n_items))
    return (rng.random(logits.shape) < 1 / (1 + np.exp(-logits))).astype(float)


def estimates(source, target, n, replications, rng, **options):
    """The estimates (replications,) of one target (N,)."""
    uniform = rng.random((replications, len(target) + 2 * n))
    rounds = adaptive.SequentialStratification(source, uniform, n, **options)
    while not rounds.done:
        rounds.record(target[rounds.next_items()])
    return rounds.estimate().value


def expectation(source, target, n, jitter, value, draws=()):
    """The exact expectation of `value(rounds)` over the choices of cell and item, one draw a round, for given ties.

    `draws` are the (offset, u) so far; each next offset stands for one cell, each next u for one item of that cell.
    """
    n_items, k = len(target), len(draws)
    offset, u = np.full(n, 0.5), np.full(n, 0.5)
    offset[:k], u[:k] = np.reshape(draws, (-1, 2)).T

    def start(offset, u):
        rounds = adaptive.SequentialStratification(
            source, np.concatenate([jitter, offset, u])[None], n, rounds=n
        )
        for _ in range(k):
            rounds.record(target[rounds.next_items()])
        return rounds

    if k == n:
        return value(start(offset, u))
    total = 0.0
    for cell in range(n - k):
        offset[k] = (cell + 0.5) / (n - k)
        rounds = start(offset, u)
        rounds.next_items()
        own = np.flatnonzero(rounds.cell[0] == k)
        own = own[np.argsort(rounds.g[0, own] + 0.01 * (jitter[own] - 0.5))]
        q = rounds.q[0, own]
        assert q.sum() == pytest.approx(1)
        for share, middle in zip(q, np.cumsum(q) - q / 2):
            part = expectation(source, target, n, jitter, value, (*draws, (offset[k], middle)))
            total += share * part / (n - k)
    return total


@pytest.mark.parametrize("n", [1, 2, 3, 6])
def test_unbiased_by_enumeration(n):
    scores, jitter = matrix(5, 6, seed=n), np.random.default_rng(n).random(6)
    source, target = scores[:4], scores[4]
    value = lambda rounds: rounds.estimate().value[0]
    assert expectation(source, target, n, jitter, value) == pytest.approx(target.mean(), abs=1e-12)


def test_a_model_refitted_after_the_draws_is_not_unbiased():
    """A negative control: the last predictions in place of those that were fixed before each draw."""
    scores, jitter = matrix(5, 6, seed=2), np.random.default_rng(2).random(6)
    source, target = scores[:4], scores[4]

    def refitted(rounds):
        g = adaptive.predict(rounds.model, rounds.items, rounds.observed)
        drawn = lambda values: np.take_along_axis(values, rounds.items, axis=1)
        return (g.sum() + ((rounds.observed - drawn(g)) / drawn(rounds.q)).sum()) / 6

    assert abs(expectation(source, target, 3, jitter, refitted) - target.mean()) > 1e-3


@pytest.mark.parametrize("scale", [1.0, 0.4])
def test_all_items_give_the_accuracy_itself(scale):
    scores = scale * matrix(8, 30)  # 0.4: scores need not be binary
    assert estimates(scores[:7], scores[7], 30, 5, np.random.default_rng(0)) == pytest.approx(
        scores[7].mean()
    )


@pytest.mark.parametrize(
    ("n", "rounds", "size"), [(1, 10, (40,)), (7, 3, (60,)), (39, 10, (40,)), (25, 25, (200,))]
)
def test_every_item_is_in_one_cell_and_every_cell_has_one_draw(n, rounds, size):
    source, target = matrix(6, *size), matrix(1, *size, seed=9)[0]
    design = adaptive.SequentialStratification(
        source, np.random.default_rng(0).random((50, size[0] + 2 * n)), n, rounds
    )
    while not design.done:
        design.record(target[design.next_items()])
    cells = np.take_along_axis(design.cell, design.items, axis=1)
    assert (cells == np.arange(n)).all()
    assert (np.sort(design.cell, axis=1)[:, [0, -1]] == [0, n - 1]).all()
    mass = np.zeros((50, n))
    np.add.at(mass, (np.arange(50)[:, None], design.cell), design.q)
    assert mass == pytest.approx(1)


@pytest.mark.parametrize("source", ["none", "some", "much"])
def test_no_loss_where_the_sources_know_nothing_and_a_gain_where_they_know(source):
    rng = np.random.default_rng(4)
    p = rng.beta(0.5, 0.5, 400)
    target = (rng.random(400) < p).astype(float)
    chances = {"none": np.full(400, 0.4), "some": 0.5 * p + 0.25, "much": p}[source]
    scores = (rng.random((30, 400)) < chances).astype(float)
    found = estimates(scores, target, 40, 4_000, rng)
    ratio = np.mean((found - target.mean()) ** 2) / ((1 - 40 / 400) * target.var(ddof=1) / 40)
    low, high = {"none": (0.93, 1.08), "some": (0.6, 0.97), "much": (0.2, 0.6)}[source]
    assert low < ratio < high
    assert abs(found.mean() - target.mean()) < 4 * found.std() / 4_000**0.5


def test_an_experiment_shows_the_design_only_the_items_that_it_asks_for():
    scores = Scores(matrix(24, 80), name="made")
    whole = run_experiment(
        scores, ["sequential_stratification"], budget=20, trials=3, progress=False
    )
    part = run_experiment(
        scores,
        ["random_sampling", "sequential_stratification"],
        budget=20,
        trials=2,
        progress=False,
    )
    same = part[part["method"] == "sequential_stratification"]
    assert np.array_equal(same["estimate"], whole["estimate"][whole["trial"] < 2])
    assert whole["estimate"].std() > 0


def test_a_target_s_estimate_depends_on_nothing_but_the_scores_that_were_asked_for():
    """The poison test: scores of items that were not drawn are corrupted, and the other rows changed: no bit moves."""
    scores, rng = matrix(20, 60), np.random.default_rng(5)
    source, target, uniform = scores[:14], scores[14:], rng.random((6, 60 + 24))

    def run(values, rows):
        design = adaptive.SequentialStratification(source, uniform[rows], 12)
        while not design.done:
            design.record(np.take_along_axis(values[rows], design.next_items(), axis=1))
        return design.items, design.estimate()

    items, clean = run(target, np.arange(6))
    poisoned = rng.choice([np.nan, 1e6, -3], target.shape)
    np.put_along_axis(poisoned, items, np.take_along_axis(target, items, axis=1), axis=1)
    for row in range(6):
        again, dirty = run(poisoned, np.array([row]))
        assert np.array_equal(again[0], items[row])
        assert [part[0] for part in dirty] == pytest.approx([part[row] for part in clean], rel=1e-9)


@pytest.mark.parametrize("n", [1, 2, 13, 60])
def test_awkward_sources_give_finite_estimates(n):
    rng = np.random.default_rng(6)
    for name, values in awkward(rng).items():
        target = values[:2]
        design = adaptive.SequentialStratification(values, rng.random((2, 60 + 2 * n)), n)
        while not design.done:
            design.record(np.take_along_axis(target, design.next_items(), axis=1))
        estimate = design.estimate()
        assert all(np.isfinite(part).all() for part in estimate), name
        assert (estimate.lower <= estimate.upper).all() and (estimate.lower >= 0).all(), name


def test_too_large_a_budget_is_refused():
    with pytest.raises(ValueError, match="can't be drawn"):
        adaptive.SequentialStratification(matrix(5, 6), np.zeros((1, 20)), 7)
