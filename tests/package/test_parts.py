"""Estimates of tasks and of their averages: unbiased by enumeration, exact at n = N, covered."""

from functools import partial
from itertools import combinations

import numpy as np
import pytest
from test_sequential import ONE_EACH, SEVERAL, expectation, setting

import benchpred_utils as bp
from benchpred_utils import forecast, sequential
from benchpred_utils.evaluate.parts import part_estimates, shares, span, tasks_of
from benchpred_utils.irt import sigmoid

NONE = np.zeros((1, 0))


def finish(session, results):
    while not session.done:
        items = session.next_items()
        session.record(items, [results[name] for name in items])
    return session


def several_tasks(rng, sizes, n_models=30):
    """Sources and the results of one more model on tasks that differ; the tasks are mixed."""
    of_item = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    level = rng.normal(0, 0.7, (n_models + 1, len(sizes)))[:, of_item]
    logits = rng.normal(0.3, 1, (n_models + 1, 1)) + level + rng.normal(0, 1.2, len(of_item))
    values = (rng.random(logits.shape) < 1 / (1 + np.exp(-logits))).astype(float)
    names = [f"{'abcdefgh'[task]}:{place}" for place, task in enumerate(of_item)]
    return bp.Scores(values[:-1], items=names), dict(zip(names, values[-1])), of_item


# --- unbiased, by enumeration ---


@pytest.mark.parametrize("options", [{}, {"tasks": "items"}, {"tasks": "mean"}])
@pytest.mark.parametrize("n, n_items, rounds", [c for c in ONE_EACH + SEVERAL if c[1] < 12])
def test_each_task_and_both_averages_are_unbiased(n, n_items, rounds, options):
    of_item = np.arange(n_items) % 3 // 2  # one task is twice the other
    c = shares(of_item)
    if options:
        weight = c[-1] if options["tasks"] == "mean" else 1.0
        options = {"strata": of_item, "weight": weight}
    kind = partial(sequential.SequentialStratification, **options)
    model, target, jitter, u = setting(n, n_items, 2)
    prior = forecast.predict(model, NONE.astype(int), NONE)[0]

    def values(design):
        items = design.items[0]
        g = design.g[0] if 2 * n <= n_items else prior
        parts = part_estimates(c, g, design.q[0], items, design.observed[0])
        return np.array([part.value for part in parts])

    found = expectation(values, model, target, n, rounds, jitter, u, kind=kind)
    np.testing.assert_allclose(found, c @ target, atol=1e-12)
    size = np.bincount(of_item)
    assert size @ found[:-1] / n_items == pytest.approx(target.mean())


def test_of_a_uniform_draw_too(rng):
    """All sets of 4 of 9 items, among them some without an item of the small task."""
    target, g = rng.random(9), rng.random(9)
    c = shares(np.array([0, 0, 0, 0, 1, 1, 1, 2, 2]))
    values = []
    for chosen in combinations(range(9), 4):
        items = np.array(chosen)
        parts = part_estimates(c, g, np.full(9, 4 / 9), items, target[items])
        values.append([part.value for part in parts])
        assert any(part.n == 0 for part in parts) == (
            not {7, 8} & {*chosen} or not {4, 5, 6} & {*chosen} or not {0, 1, 2, 3} & {*chosen}
        )
    np.testing.assert_allclose(np.mean(values, axis=0), c @ target)


def test_the_variance_of_a_uniform_draw_is_that_of_the_difference_estimator(rng):
    """With one task it is the textbook's, (1 - n/N) s^2/n."""
    target, g = (rng.random(40) < 0.5) * 1.0, np.full(40, 0.5)
    items = rng.choice(40, 15, replace=False)
    task, mean = part_estimates(
        shares(np.zeros(40, dtype=int)), g, np.full(40, 15 / 40), items, target[items]
    )
    assert task == mean
    found = bp.intervals.sample_interval(
        target[items].mean(),
        (1 - 15 / 40) / 15 * target[items].var(ddof=1),
        target[items].mean(),
        15,
        40,
        14,
    )
    np.testing.assert_allclose(task[:3], [target[items].mean(), *found])


def test_a_sure_forecast_that_is_wrong_on_a_few_items_is_covered(rng):
    """Of a task of 100 items, 30 of them drawn, four are wrong where g is .99."""
    target = (np.arange(100) % 4 > 0) * 1.0
    g = 0.98 * target + 0.01
    target[[1, 30, 50, 70]] = 0
    c = shares(np.zeros(100, dtype=int))
    held = []
    for _ in range(1_000):
        items = rng.choice(100, 30, replace=False)
        task = part_estimates(c, g, np.full(100, 0.3), items, target[items])[0]
        held.append(task.lower <= target.mean() <= task.upper)
    assert np.mean(held) > 0.93


# --- in a session ---


@pytest.mark.parametrize("method", ["sequential_stratification", "random_sampling"])
def test_all_items_leave_no_doubt(rng, method):
    source, results, of_item = several_tasks(rng, [30, 20, 4])
    session = bp.EvaluationSession(source, budget=54, method=method, rng=rng)
    found = finish(session, results).estimate_by()
    truth = {name: np.mean([results[i] for i in results if i[0] == name]) for name in "abc"}
    for name, part in found.tasks.items():
        np.testing.assert_allclose(part[:3], truth[name], atol=1e-9)
        assert part.n == part.n_items == (30, 20, 4)["abc".index(name)]
    np.testing.assert_allclose(found.mean[:3], np.mean(list(truth.values())), atol=1e-9)
    assert found.items[:3] == session.estimate()[:3]
    assert found.mean.value != found.items.value
    says = "the mean over all items is not that of the 3 tasks: --by task (estimate_by) gives this"
    assert any(says in warning for warning in session.estimate().warnings)


@pytest.mark.parametrize("tasks", [None, "items", "mean"])
@pytest.mark.parametrize("budget", [40, 120])
def test_the_intervals_hold(tasks, budget):
    """200 targets and draws: .95 and three standard errors, or more."""
    rng = np.random.default_rng(7)
    covered, width = [], []
    source, _, of_item = several_tasks(rng, [120, 60, 20])
    model = forecast.working_model(source.values)
    c = shares(of_item)
    weight = c[-1] if tasks == "mean" else 1.0
    options = {"strata": of_item, "weight": weight} if tasks else {}
    uniform = rng.random((200, 200 + 2 * budget))
    rounds = sequential.SequentialStratification(model, uniform, budget, rounds=10, **options)
    p = forecast.predict(model, NONE.astype(int), NONE)[0]
    targets = (rng.random((200, 200)) < p) * 1.0
    while not rounds.done:
        rounds.record(np.take_along_axis(targets, rounds.next_items(), axis=1))
    for row, y in enumerate(targets):
        items = rounds.items[row]
        g = rounds.g[row] if budget == 40 else p
        parts = part_estimates(c, g, rounds.q[row], items, y[items])
        truth = c @ y
        covered.append([part.lower <= t <= part.upper for part, t in zip(parts, truth)])
        width.append([part.upper - part.lower for part in parts])
    assert (np.mean(covered, axis=0) > 0.95 - 3 * (0.95 * 0.05 / 200) ** 0.5).all()
    assert np.mean(width, axis=0)[-1] < 0.4


def test_the_budget_is_dealt_out_for_the_average_that_is_wanted(rng):
    source, results, of_item = several_tasks(rng, [200, 40, 40])
    n = {}
    for tasks in ("items", "mean"):
        session = bp.EvaluationSession(source, budget=60, tasks=tasks, rng=rng)
        found = finish(session, results).estimate_by()
        n[tasks] = [part.n for part in found.tasks.values()]
    assert n["items"][0] > 2.5 * n["items"][1] and max(n["mean"]) < 2 * min(n["mean"])


def test_failed_items_span_both_ends(rng):
    source, results, _ = several_tasks(rng, [60, 30])
    session = bp.EvaluationSession(source, budget=30, rng=rng)
    finish(session, results | {name: None for name in list(results)[::3]})
    wrong, right, both = (session.estimate_by(failed=f) for f in ("wrong", "right", "open"))
    for part in (*both.tasks, "mean", "items"):
        low, high, found = (
            each.tasks[part] if part in each.tasks else getattr(each, part)
            for each in (wrong, right, both)
        )
        assert found[1:3] == (low.lower, high.upper) and low.value <= found.value <= high.value


def test_what_has_no_tasks_or_no_random_draw_is_refused(rng):
    source, results, _ = several_tasks(rng, [30, 30])
    session = bp.EvaluationSession(source, budget=10, rng=rng)
    with pytest.raises(ValueError, match="budget that is spent"):
        session.estimate_by()
    chosen = bp.EvaluationSession(source, method="k_center_greedy", budget=10, rng=rng)
    with pytest.raises(ValueError, match="take a random draw"):
        finish(chosen, results).estimate_by()
    with pytest.raises(ValueError, match="give domains"):
        finish(session, results).estimate_by("domain")
    with pytest.raises(ValueError, match="of no tasks"):
        tasks_of(bp.Scores(source.values))
    for options in ({"method": "aipw", "budget": 5}, {"precision": 0.1}):
        with pytest.raises(ValueError, match="tasks is 'mean', but .*; leave tasks out"):
            bp.EvaluationSession(source, tasks="mean", rng=rng, **options)
    with pytest.raises(ValueError, match="'items' or 'mean'"):
        bp.EvaluationSession(source, tasks="equal", budget=5, rng=rng)


def test_tasks_are_those_of_names_or_domains():
    names, domains = ["a:x:1", "a:x:2", "b:1"], ["p", "p", "q"]
    scores = bp.Scores(np.eye(3), items=names, domains=domains)
    assert tasks_of(scores).tolist() == ["a:x", "a:x", "b"]
    assert tasks_of(scores, "domain").tolist() == domains
    one = bp.Scores(np.eye(3), items=["a:1", "a:2", "a:3"], domains=domains)
    assert tasks_of(one).tolist() == domains and set(tasks_of(one, "task")) == {"a"}
    with pytest.raises(ValueError, match="take by='domain' .--by domain"):
        tasks_of(bp.Scores(np.eye(3), domains=domains), "task")


def test_a_span_holds_all():
    from benchpred_utils.evaluate.parts import PartEstimate

    first, second = PartEstimate(0.4, 0.2, 0.5, 3, 9), PartEstimate(0.6, 0.3, 0.8, 3, 9)
    assert span([first, second]) == (0.5, 0.2, 0.8, 3, 9)


def drawn_parts(rng, sizes, target, budget, trials=200, weight=None):
    """(trials, D + 1, 5) the PartEstimates of a target, and the truth."""
    of_item = np.repeat(np.arange(len(sizes)), sizes)
    n_items = len(of_item)
    ability, difficulty = rng.normal(0.5, 1, 25), rng.normal(0, 1.5, n_items)
    source = rng.random((25, n_items)) < sigmoid(ability[:, None] + difficulty)
    model = forecast.working_model(source * 1.0)
    y = target(rng, of_item, difficulty)
    options = {} if weight is None else {"strata": of_item, "weight": shares(of_item)[-1]}
    uniform = rng.random((trials, n_items + 2 * budget))
    rounds = sequential.SequentialStratification(model, uniform, budget, rounds=10, **options)
    while not rounds.done:
        rounds.record(y[rounds.next_items()])
    g = rounds.g if rounds.one_each else np.tile(sigmoid(model.offset), (trials, 1))
    c = shares(of_item)
    drawn = zip(g, rounds.q, rounds.items)
    return np.array([part_estimates(c, *row, y[row[-1]]) for row in drawn]), c @ y


def like_the_sources(rng, of_item, difficulty):
    return (rng.random(len(of_item)) < sigmoid(0.5 + difficulty)) * 1.0


def one_task_all_right(rng, of_item, difficulty):
    return np.where(of_item == 0, 1.0, like_the_sources(rng, of_item, difficulty))


def one_task_all_wrong(rng, of_item, difficulty):
    return np.where(of_item == 0, 0.0, rng.random(len(of_item)) < sigmoid(3 + difficulty))


@pytest.mark.parametrize("target", [one_task_all_right, one_task_all_wrong])
@pytest.mark.parametrize("budget", [100, 200, 450])
def test_a_task_all_right_or_all_wrong_is_covered(rng, target, budget):
    """Before, its interval was about a value that varies with g: .55 to .80 with 100 and 200."""
    found, truth = drawn_parts(rng, [30, 570], target, budget)
    is_in = (found[:, 0, 1] <= truth[0] + 1e-9) & (truth[0] - 1e-9 <= found[:, 0, 2])
    assert is_in.mean() > 0.95
    assert (found[:, :, 1] >= -1e-9).all() and (found[:, :, 2] <= 1 + 1e-9).all()


def one_error_a_task(rng, of_item, difficulty):
    y = np.ones(len(of_item))
    y[[rng.choice(np.flatnonzero(of_item == task)) for task in set(of_item)]] = 0
    return y


@pytest.mark.parametrize(
    "sizes, target, budget",
    [
        ([4, 6, 10, 20, 40, 80, 140, 300], one_error_a_task, 100),
        ([30, 570], one_task_all_wrong, 100),
    ],
)
def test_a_mean_that_few_items_decide_is_covered(rng, sizes, target, budget):
    """Before, their interval was that of as many items that weigh alike: .78 and .90."""
    found, truth = drawn_parts(rng, sizes, target, budget, trials=400)
    is_in = (found[:, -1, 1] <= truth[-1]) & (truth[-1] <= found[:, -1, 2])
    assert is_in.mean() > 0.95 - 3 * (0.95 * 0.05 / 400) ** 0.5


def test_certain_bounds_hold_the_interval(rng):
    """Of a small task nearly all is seen: what is not decides how far the accuracy can be."""
    c = np.array([[0.25] * 4 + [0.0] * 4])
    q = np.array([0.99, 0.99, 0.99, 0.5, *[0.5] * 4])
    found = part_estimates(c, np.full(8, 0.5), q, np.array([0, 1, 2, 4]), np.array([1, 1, 0, 1.0]))
    assert (found[0].lower, found[0].upper) == (0.5, 0.75)


def test_tasks_that_count_the_same_get_items_alike(rng):
    """An item that weighs more than a cell leaves the tasks after it no less than their share."""
    sizes = np.array([4, 6, 10, 20, 40, 80, 140, 300])
    found, _ = drawn_parts(rng, sizes, like_the_sources, 200, trials=40, weight="mean")
    n = found[:, :-1, 3].mean(axis=0)
    assert (n <= sizes).all() and (n[:4] > 0.85 * sizes[:4]).all()
    assert np.ptp(n[5:]) < 0.15 * n[5:].mean()  # before 70, 25 and 25


@pytest.mark.parametrize("sizes", [[2, 7], [1, 3, 5], [4, 300]])
def test_all_items_leave_nothing_open(rng, sizes):
    """Also where tasks weigh unequally, and without a rounding error below 0."""
    of_item = np.repeat(np.arange(len(sizes)), sizes)
    y = (rng.random(len(of_item)) < 0.6) * 1.0
    c = shares(of_item)
    everything = rng.permutation(len(y))
    with np.errstate(invalid="raise"):
        found = part_estimates(c, np.full(len(y), 0.5), np.ones(len(y)), everything, y[everything])
    for part, truth in zip(found, c @ y):
        assert part[:3] == pytest.approx([truth] * 3, abs=1e-9)
