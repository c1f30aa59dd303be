"""The shared task: its score, its stream and its policies, against closed forms and by hand."""

import numpy as np
import pytest
from benchpred_book import shared_task
from benchpred_book.shared_task import BUDGETS, FORECASTERS, POLICIES, WEIGHTS

from benchpred_utils.forecast import WorkingModel


@pytest.fixture
def task():
    rng = np.random.default_rng(1)
    easy = rng.normal(size=160)
    source = (rng.normal(size=(30, 1)) + easy + rng.logistic(size=(30, 160)) > 0) * 1.0
    return shared_task.task(source)


@pytest.fixture
def streams():
    rng = np.random.default_rng(2)
    return shared_task.streams((rng.random((3, 160)) < 0.7) * 1.0, 4, rng)


def model(k, n=9, seed=3):
    rng = np.random.default_rng(seed)
    return WorkingModel(rng.normal(size=(n, k)), rng.normal(size=n))


def test_halves_hold_every_item_once(streams):
    both = np.sort(np.concatenate([streams.pool, streams.held_out], axis=1), axis=1)
    assert (both == np.arange(160)).all() and streams.held_out.shape[1] == 80
    assert len(np.unique(streams.pool, axis=0)) == 12


def test_the_score_of_a_constant_and_of_the_truth(task, streams):
    found = shared_task.replay(streams, FORECASTERS["constant 1/2"](task, 12))
    assert found.shape == (12, 6) and np.allclose(found @ WEIGHTS, 0.25)
    known = shared_task.replay(streams, lambda items, observed: streams.scores)
    assert (known == 0).all()


def test_the_mean_of_labels_has_one_nth_more_than_the_base_rate(task):
    rng = np.random.default_rng(4)
    target = np.tile(np.repeat([1.0, 0.0], [120, 40]), (1, 1))
    many = shared_task.streams(target, 4_000, rng)
    found = shared_task.replay(many, FORECASTERS["mean of the labels"](task, 4_000)).mean(axis=0)
    p = 0.75
    n = np.array(BUDGETS[1:])
    # Labels and the other half are drawn without replacement from 160 items.
    base = p * (1 - p)
    assert found[0] == 0.25
    assert np.allclose(found[1:], base * (1 + 1 / n + 2 / 159 - 1 / 159 * (1 - 1 / n)), rtol=0.02)


def items_of(streams, task, policy, free=False):
    predict = FORECASTERS["mixture"](task, len(streams.scores))
    steps = list(shared_task.labelling(streams, predict, policy, task.working, free))
    assert len(steps) == 32 and not steps[0][0].size
    return steps[-1][0]


def places(streams, items):
    return (items[:, :, None] == streams.pool[:, None]).argmax(axis=2)


@pytest.mark.parametrize("policy", [None, *POLICIES.values()])
def test_a_stream_is_never_run_backwards_and_all_labels_are_used(task, streams, policy):
    items = items_of(streams, task, policy)
    assert items.shape == (12, 31)
    place = places(streams, items)
    assert (streams.pool[np.arange(12)[:, None], place] == items).all()
    assert (np.diff(place, axis=1) > 0).all()
    if policy is None:
        assert (place == np.arange(31)).all()


def test_the_free_choice_takes_the_best_and_no_item_twice(task, streams):
    items = items_of(streams, task, POLICIES["most uncertain"], free=True)
    assert all(len(set(row)) == 31 for row in items)
    g = FORECASTERS["mixture"](task, 12)(items[:, :0], np.empty((12, 0)))
    at = np.take_along_axis(g * (1 - g), streams.pool, axis=1)
    assert (streams.pool[np.arange(12), at.argmax(axis=1)] == items[:, 0]).all()


def test_a_policy_sees_no_score_that_it_did_not_buy(task, streams):
    items = items_of(streams, task, POLICIES["most useful"])
    other = 1 - streams.scores
    np.put_along_axis(other, items, np.take_along_axis(streams.scores, items, 1), 1)
    assert (items_of(streams._replace(scores=other), task, POLICIES["most useful"]) == items).all()


def test_the_next_candidate_is_good_enough_or_the_last_chance():
    pool = np.array([[0, 1, 2, 3, 4, 5]])
    gone = np.zeros((1, 6), dtype=bool)
    priority = np.array([[1.0, 2, 6, 3, 5, 4, 0, 0, 0, 0]])
    # One label of six candidates: among the best sixth of the ten items, that is the best two.
    assert shared_task._accepted(priority, pool, gone, 1) == [2]
    assert shared_task._accepted(priority[:, ::-1], pool, gone, 1) == [5]
    assert shared_task._accepted(priority, pool, gone, 6) == [0]


def test_informative_is_fishers_information_for_one_ability():
    one = model(1)
    items = np.array([[2, 5]])
    observed = np.array([[1.0, 0.0]])
    found = POLICIES["most informative"](one, None, items, observed)
    p, _ = shared_task.posterior(one, items, observed)
    ratio = found / (one.x[:, 0] ** 2 * p * (1 - p))
    assert np.allclose(ratio, ratio[0, 0])


def test_useful_is_what_one_more_label_takes_off_the_spread():
    three = model(3)
    items = np.array([[2, 5, 7]])
    observed = np.array([[1.0, 0.0, 1.0]])
    found = POLICIES["most useful"](three, None, items, observed)[0]
    p, c = shared_task.posterior(three, items, observed)
    w = (p * (1 - p))[0]
    x = three.x
    for i in range(9):
        after = np.linalg.inv(np.linalg.inv(c[0]) + w[i] * np.outer(x[i], x[i]))
        before = (w**2 * ((x @ c[0]) * x).sum(axis=1)).sum()
        assert np.isclose(found[i], before - (w**2 * ((x @ after) * x).sum(axis=1)).sum())


def test_spread_out_is_an_even_grid_after_one_three_and_seven_labels():
    ladder = WorkingModel(np.ones((80, 1)), np.linspace(-1, 1, 80))
    items = np.empty((1, 0), dtype=int)
    for _ in range(7):
        best = POLICIES["spread over difficulty"](ladder, np.zeros((1, 80)), items, None).argmax()
        items = np.column_stack([items, [best]])
    assert np.allclose(np.sort(items[0] + 0.5), np.arange(1, 8) * 10, atol=0.5)


def test_an_interval_over_targets_is_the_jackknifes():
    values = np.random.default_rng(5).normal(size=12)
    mean, half = shared_task.over_targets(values, 4)
    each = values.reshape(4, 3).mean(axis=1)
    left_out = [np.delete(each, k).mean() for k in range(4)]
    variance = 3 / 4 * ((left_out - np.mean(left_out)) ** 2).sum()
    assert np.isclose(mean, values.mean()) and np.isclose(half, 3.1824 * variance**0.5, rtol=1e-4)


@pytest.mark.parametrize("alike", [True, False])
def test_permuted_sources_keep_their_accuracies(task, alike):
    rng = np.random.default_rng(6)
    changed = shared_task.permuted(task.source, 0.5, alike, rng)
    assert np.allclose(changed.mean(axis=1), task.source.mean(axis=1))
    assert 60 < (changed != task.source).any(axis=0).sum() <= 80
    means = np.sort(changed.mean(axis=0))
    assert np.allclose(means, np.sort(task.source.mean(axis=0))) == alike
    assert (shared_task.permuted(task.source, 0, alike, rng) == task.source).all()


def test_an_averaged_forecast_is_the_mean_over_the_posterior(task):
    rng = np.random.default_rng(7)
    items = np.arange(5)[None]
    observed = np.array([[1.0, 0, 1, 1, 0]])
    found = FORECASTERS["eight, averaged"](task, 1)(items, observed)[0]
    p, c = shared_task.posterior(task.working, items, observed)
    z = rng.normal(size=(20_000, 8)) @ np.linalg.cholesky(c[0]).T
    logits = np.log(p[0] / (1 - p[0])) + z @ task.working.x.T
    mean = (1 / (1 + np.exp(-logits))).mean(axis=0)
    assert np.abs(mean - found).max() < 0.025 < np.abs(mean - p[0]).max()
