"""Evaluation sessions: any method, valid at every look, and never losing a result."""

import copy
import dataclasses
import json
import os
import signal
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cases import awkward
from hypothesis import given, settings
from hypothesis import strategies as st

from benchpred_utils.backend import asarray
from benchpred_utils.estimators import Estimate
from benchpred_utils.evaluate.session import EvaluationSession
from benchpred_utils.forecast import Forecast, predict, working_model
from benchpred_utils.methods import METHODS, begin
from benchpred_utils.scores import Scores
from benchpred_utils.sequential import Rounds

MODES = {
    "budget": {"budget": 20},
    "few rounds": {"budget": 20, "rounds": 3},
    "precision": {"precision": 0.1},
}


@pytest.fixture(scope="module")
def scores(matrix):
    """Sources, and a target: the last model, whose results are known by name."""
    return Scores(matrix[:-1])


@pytest.fixture(scope="module")
def ask(matrix, scores):
    results = dict(zip(scores.items.tolist(), matrix[-1]))
    return answering(results)


def answering(results):
    """What runs the model: from items to items and results."""
    return lambda items: (items, [results[item] for item in items])


def finish(session, ask):
    """Run a session to its end; the names asked for, in order."""
    asked = []
    while not session.done:
        asked += session.next_items()
        session.record(*ask(session.next_items()))
    return asked


# --- the session ---


@pytest.mark.parametrize("mode", MODES)
def test_a_session_runs_to_its_end(scores, ask, matrix, mode):
    session = EvaluationSession(scores, rng=np.random.default_rng(3), **MODES[mode])
    asked = finish(session, ask)
    found = session.estimate()
    assert session.next_items() == [] and len(set(asked)) == len(asked) == found.n
    assert 0 <= found.lower <= matrix[-1].mean() <= found.upper <= 1
    if mode != "precision":
        assert found.n == 20 and "fixed before the first result" in found.interval
    else:
        assert (found.upper - found.lower) / 2 <= 0.1 and "every look" in found.interval
        assert found.lower <= found.value <= found.upper


def test_all_items_leave_no_doubt(scores, ask, matrix):
    for mode in ({"budget": 60}, {"precision": 1e-6}):
        session = EvaluationSession(scores, rng=np.random.default_rng(3), **mode)
        finish(session, ask)
        found = session.estimate()
        assert found.n == 60
        np.testing.assert_allclose([found.value], matrix[-1].mean())


@pytest.mark.parametrize(
    "options, portions",
    [
        ({}, [1, 1, 2, 2, 2, 2, 2, 3, 3, 2]),
        ({"rounds": 10}, [1, 1, 2, 2, 2, 2, 2, 3, 3, 2]),
        ({"rounds": np.int64(3)}, [4, 7, 9]),
        ({"rounds": 1}, [20]),
        ({"rounds": 99}, [1] * 20),
    ],
)
def test_a_budget_is_asked_for_in_as_many_rounds_as_are_wanted(
    scores, ask, tmp_path, options, portions
):
    path, asked = tmp_path / "session.json", []
    session = EvaluationSession(
        scores, budget=20, rng=np.random.default_rng(3), path=path, **options
    )
    while not session.done:
        asked.append(len(session.next_items()))
        session.record(*ask(session.next_items()))
        session = EvaluationSession.resume(path, scores)
    assert asked == portions


def test_any_number_of_rounds_is_unbiased_and_more_of_them_are_more_precise(rng):
    """A target better than nearly all sources: what is open for it only its own results tell."""
    place, error = np.arange(100), {}
    scores = Scores(
        ((place < rng.integers(10, 90, (30, 1))) != (rng.random((30, 100)) < 0.05)).astype(float)
    )
    results = dict(zip(scores.items.tolist(), (place < 80) * 1.0))
    for rounds in (1, 2, 10):
        sessions = [
            EvaluationSession(scores, budget=20, rounds=rounds, rng=rng) for _ in range(150)
        ]
        for session in sessions:
            finish(session, answering(results))
        error[rounds] = np.array([session.estimate().value for session in sessions]) - 0.8
        assert abs(error[rounds].mean()) < 3.5 * error[rounds].std(ddof=1) / 150**0.5
    assert error[10].std() < error[2].std() < error[1].std()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("mode", MODES)
def test_awkward_sources_make_no_trouble(rng, mode):
    for source in [
        *awkward(rng).values(),
        rng.integers(0, 2, (1, 60)).astype(float),
        np.zeros((4, 60)),
        np.ones((4, 60)),
    ]:
        for target in (np.arange(60) % 2.0, np.ones(60), np.zeros(60), rng.random(60)):
            scores = Scores(source)
            results = dict(zip(scores.items.tolist(), target))
            session = EvaluationSession(scores, rng=rng, **MODES[mode])
            finish(session, answering(results))
            found = session.estimate()
            assert -1e-12 <= found.lower <= found.upper <= 1 and np.isfinite(found.value)


def test_on_the_way_a_fixed_budget_has_only_certain_bounds(scores, ask, matrix):
    session = EvaluationSession(scores, budget=20, rng=np.random.default_rng(3))
    assert session.estimate()[1:4] == (0, 1, 0)
    session.record(*ask(session.next_items()))
    found = session.estimate()
    seen = ask(scores.items.tolist())[1]
    assert "certain" in found.interval and any("not spent" in warning for warning in found.warnings)
    assert found.lower <= np.mean(seen) <= found.upper
    np.testing.assert_allclose(found.upper - found.lower, 1 - found.n / 60)


@pytest.mark.parametrize("method", ["sequential_stratification", "imputation"])
def test_on_the_way_the_value_is_what_was_seen_and_what_is_forecast_of_the_rest(
    scores, ask, method
):
    """In rounds of 8 and 12; at the end it stands beside an unbiased value."""
    session = EvaluationSession(
        scores, method=method, budget=20, rounds=2, rng=np.random.default_rng(3)
    )
    forecast = Forecast(working_model(scores.values), 1)
    forecast.predict(np.zeros((1, 0), dtype=int), np.zeros((1, 0)))
    seen, results = [], np.zeros(0)
    for _ in range(2):
        seen += session.next_items()
        results = np.array(ask(seen)[1])
        session.record(seen, results)
        items = np.array([scores.items.tolist().index(name) for name in seen])
        rest = np.delete(forecast.predict(items[None], results[None])[0], items)
        found = session.estimate()
        expected = pytest.approx((results.sum() + rest.sum()) / 60)
        assert found.imputed == expected
        is_value = method == "imputation" or not session.done
        assert (found.value == expected) == is_value
        np.testing.assert_equal(session.estimate(), found)  # a look changes nothing
    np.testing.assert_equal(session.estimate(), found)


def test_a_method_that_imputes_nothing_has_on_the_way_what_the_sources_forecast(scores, ask):
    session = EvaluationSession(scores, method="aipw", budget=20, rng=np.random.default_rng(3))
    none = np.zeros((1, 0))
    g = predict(working_model(scores.values), none.astype(int), none)
    assert session.estimate().value == pytest.approx(g.mean())
    finish(session, ask)
    assert np.isnan(session.estimate().imputed)


@pytest.mark.parametrize("mode", MODES)
@given(data=st.data())
@settings(max_examples=15, deadline=None)
def test_the_order_and_the_portions_of_the_records_do_not_matter(scores, ask, mode, data):
    plain, mixed = (
        EvaluationSession(scores, rng=np.random.default_rng(5), **MODES[mode]) for _ in range(2)
    )
    for _ in range(3):
        plain.record(*ask(plain.next_items()))
        portion = data.draw(st.permutations(mixed.next_items()))
        cut = data.draw(st.integers(0, len(portion)))
        mixed.record(*ask(portion[:cut]))
        assert set(mixed.next_items()) == set(portion[cut:]) or cut == len(portion)
        mixed.record(*ask(portion[cut:]))
        mixed.record(*ask(portion))  # twice the same is no contradiction
    assert mixed.next_items() == plain.next_items()
    np.testing.assert_equal(mixed.estimate(), plain.estimate())


@pytest.mark.parametrize("mode", MODES)
def test_what_can_not_be_recorded_is_refused_and_changes_nothing(scores, ask, mode, tmp_path):
    session = EvaluationSession(
        scores, rng=np.random.default_rng(5), path=tmp_path / "s.json", **MODES[mode]
    )
    while len(session.next_items()) < 2:
        session.record(*ask(session.next_items()))
    first, second, *_ = session.next_items()
    session.record(first, 1)
    other = next(
        item
        for item in scores.items.tolist()
        if item not in session.results and item not in session._asked
    )
    before, stored = copy.deepcopy(session.results), (tmp_path / "s.json").read_text()
    for items, results, message in [
        ([second, other], [1, 1], "was not asked for"),
        ([second, "no-such-item"], [1, 1], "item no-such-item was not asked for"),
        ([first], [0], "has the result 1 already"),
        ([second, second], [0, 1], "has the result 0 already; it can't be 1 too"),
        ([second], [1.5], "is 1.5; it must be"),
        ([second], [-0.1], "must be a number in"),
        ([second], ["timeout"], r"is 'timeout'; it must be a number in \[0, 1\], or None"),
        ([second], ["nan"], "is 'nan'; it must be"),
        ([second], [10**400], "it must be a number"),
        ([second], ["right"], "is 'right'; it must be"),
        ([second], [1, 0], "1 items and 2 results"),
    ]:
        with pytest.raises(ValueError, match=message):
            session.record(items, results)
        assert session.results == before and (tmp_path / "s.json").read_text() == stored
    found = {second: True}
    session.record(found.keys(), map(float, found.values()))
    assert session.results[second] == 1.0


def test_arguments_that_can_not_be_used(scores, matrix):
    rng = np.random.default_rng(0)
    for error, message, source, arguments in [
        (TypeError, "default_rng", scores, {"budget": 10, "rng": 7}),
        (TypeError, "must be Scores", matrix, {"budget": 10, "rng": rng}),
        (ValueError, "give either budget", scores, {"rng": rng}),
        (ValueError, "give either budget", scores, {"budget": 10, "precision": 0.1, "rng": rng}),
        (ValueError, "half-width between 0 and 0.5", scores, {"precision": 0.0, "rng": rng}),
        (
            ValueError,
            "half-width between 0 and 0.5",
            scores,
            {"precision": float("nan"), "rng": rng},
        ),
        (ValueError, "between 1 and 60", scores, {"budget": 61, "rng": rng}),
        (ValueError, "between 1 and 60", scores, {"budget": 0, "rng": rng}),
        (ValueError, "between 1 and 60", scores, {"budget": 1.0, "rng": rng}),
        (ValueError, "between 1 and 60", scores, {"budget": True, "rng": rng}),
        (ValueError, "between 1 and 60", scores, {"budget": 1e400, "rng": rng}),
        (
            ValueError,
            "rounds is 0; it must be a whole number",
            scores,
            {"budget": 10, "rounds": 0, "rng": rng},
        ),
        (
            ValueError,
            "rounds is 2.5; it must be",
            scores,
            {"budget": 10, "rounds": 2.5, "rng": rng},
        ),
        (
            ValueError,
            "rounds is True; it must be",
            scores,
            {"budget": 10, "rounds": True, "rng": rng},
        ),
        (
            ValueError,
            "method is 'ridge'; it must",
            scores,
            {"method": "ridge", "budget": 9, "rng": rng},
        ),
        (
            ValueError,
            "rounds is 2, but .* asks for all items at once",
            scores,
            {"method": "aipw", "budget": 9, "rounds": 2, "rng": rng},
        ),
        (
            ValueError,
            "precision is 0.1, but aipw asks for all items at once; leave precision out",
            scores,
            {"method": "aipw", "precision": 0.1, "rng": rng},
        ),
        (
            ValueError,
            "rounds is 3, but with a precision",
            scores,
            {"precision": 0.1, "rounds": 3, "rng": rng},
        ),
        (
            ValueError,
            "reference is 'model-00', but with a precision",
            scores,
            {"precision": 0.1, "reference": "model-00", "rng": rng},
        ),
        (
            ValueError,
            "reference is 'model-00', but aipw asks for all items at once",
            scores,
            {"method": "aipw", "budget": 9, "reference": "model-00", "rng": rng},
        ),
    ]:
        with pytest.raises(error, match=message):
            EvaluationSession(source, **arguments)


class InTwo(Rounds):
    """A method with rounds of its own, which takes no options."""

    def __init__(self, learned, uniform, n):
        super().__init__(len(uniform))
        self.n = n

    def next_items(self):
        return self.ask(np.arange(self.n)[None])

    def estimate(self):
        return Estimate(self.observed.mean(axis=1))


@pytest.mark.parametrize(
    "option", [{"rounds": 2}, {"tasks": "items"}, {"reference": "model-00"}, {"precision": 0.1}]
)
def test_a_method_with_rounds_of_its_own_takes_no_options(scores, ask, monkeypatch, option):
    row = dataclasses.replace(METHODS["sequential_stratification"], stream="two", start=InTwo)
    monkeypatch.setitem(METHODS, "two", row)
    rng = np.random.default_rng(0)
    of_tasks = Scores(scores.values, items=scores.items, domains=["a", "b"] * 30)
    session = EvaluationSession(of_tasks, method="two", budget=5, rng=rng)
    finish(session, ask)
    with pytest.raises(ValueError, match="take a random draw"):
        session.estimate_by()
    budget = {} if "precision" in option else {"budget": 5}
    (name,) = option
    with pytest.raises(ValueError, match=f"{name} is .* but two asks in rounds of its own; leave"):
        EvaluationSession(scores, method="two", rng=rng, **budget, **option)


@pytest.mark.parametrize("method", METHODS)
def test_any_method_runs_in_a_session_and_gives_the_estimate_it_gives_in_an_experiment(
    scores, ask, matrix, method, tmp_path
):
    path = tmp_path / "session.json"
    rounds = 20 if METHODS[method].start else None  # as in an experiment
    session = EvaluationSession(
        scores, method=method, budget=12, rounds=rounds, rng=np.random.default_rng(3), path=path
    )
    before = session.estimate()
    session.record(*ask(session.next_items()[:1]))
    resumed = EvaluationSession.resume(path, scores)
    assert resumed.next_items() == session.next_items()
    finish(session, ask)
    finish(resumed, ask)
    found = session.estimate()
    np.testing.assert_equal(resumed.estimate(), found)
    again = EvaluationSession.resume(path, scores).estimate()
    np.testing.assert_allclose(again[:5], found[:5])
    chosen = METHODS[method]
    learned = chosen.learn(asarray(scores.values), 12)
    rounds = begin(chosen, learned, 12, [np.random.default_rng(3)], 60)
    while not rounds.done:
        rounds.record(matrix[-1][rounds.next_items()])
    value, lower, _ = chosen.read(rounds)
    assert found.n == 12 and found.value == pytest.approx(value[0])
    assert np.isnan(found.lower) == (lower is None) == found.interval.startswith("no interval")
    assert "certain" in before.interval and (before.lower, before.upper) == (0, 1)
    if chosen.start is None:
        with pytest.raises(ValueError, match="has drawn all its items"):
            session.update_sources(scores)


@pytest.mark.parametrize("mode", MODES)
def test_ctrl_c_while_the_next_items_are_chosen_loses_nothing(scores, ask, mode, tmp_path):
    path = tmp_path / "session.json"
    whole = EvaluationSession(scores, rng=np.random.default_rng(3), **MODES[mode])
    session = EvaluationSession(scores, rng=np.random.default_rng(3), path=path, **MODES[mode])
    kind = type(session._rounds)
    real = kind.next_items

    def interrupted(self):
        kind.next_items = real
        real(self)
        raise KeyboardInterrupt

    for _ in range(2):
        kind.next_items = interrupted
        items = session.next_items()
        with pytest.raises(KeyboardInterrupt):
            session.record(*ask(items))
        session.save()
        session = EvaluationSession.resume(path, scores)
        session.record(*ask(items))  # the same call again
    finish(session, ask)
    finish(whole, ask)
    np.testing.assert_equal(session.estimate(), whole.estimate())


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs a signal of a timer")
def test_ctrl_c_at_any_instant_leaves_a_session_that_goes_on_to_the_same_value(
    scores, ask, tmp_path
):
    whole = EvaluationSession(scores, budget=20, rounds=4, rng=np.random.default_rng(3))
    finish(whole, ask)

    def interrupt(*place):
        raise KeyboardInterrupt

    before, interrupts = signal.signal(signal.SIGALRM, interrupt), 0
    for seed in range(10):
        path, rng = tmp_path / f"{seed}.json", np.random.default_rng(seed)
        session = EvaluationSession(
            scores, budget=20, rounds=4, rng=np.random.default_rng(3), path=path
        )
        while not session.done:
            try:
                signal.setitimer(signal.ITIMER_REAL, rng.uniform(0.0001, 0.02))
                session.record(*ask(session.next_items()))
                signal.setitimer(signal.ITIMER_REAL, 0)
            except KeyboardInterrupt:
                interrupts += 1
            signal.setitimer(signal.ITIMER_REAL, 0)
            if rng.random() < 0.3:
                session = EvaluationSession.resume(path, scores)
        resumed = EvaluationSession.resume(path, scores)
        finish(resumed, ask)
        for each in (session, resumed):
            np.testing.assert_allclose(each.estimate()[:3], whole.estimate()[:3])
    signal.signal(signal.SIGALRM, before)
    assert interrupts and len(os.listdir(tmp_path)) == 10


# --- items that failed ---


def failing(ask, failed):
    """What runs the model, but has no result for these items."""
    return lambda items: (items, [None if i in failed else ask([i])[1][0] for i in items])


@pytest.mark.parametrize("none", [None, float("nan"), np.float64("nan"), pd.NA, np.ma.masked])
def test_an_item_that_failed_is_recorded_and_the_session_goes_on(scores, ask, tmp_path, none):
    path = tmp_path / "session.json"
    session = EvaluationSession(
        scores, budget=30, rounds=3, rng=np.random.default_rng(1), path=path
    )
    while not session.done:
        first, *others = session.next_items()
        session.record(first, none)
        assert session.results[first] is None and session.next_items() == others
        session.record(*ask(others))
        session = EvaluationSession.resume(path, scores)
    found = session.estimate()
    assert (found.n, found.failed) == (30, 3)
    says = "3 of the 30 items run have no result; they are "
    lost = ", ".join(name for name, result in session.results.items() if result is None)
    again = f", until they are run again, and recorded with one: {lost}"
    assert f"{says}counted as wrong{again}" in found.warnings
    assert f"{says}left open{again}" in session.estimate("open").warnings
    with pytest.raises(ValueError, match="failed is 'skipped'; it must be one of wrong, right"):
        session.estimate("skipped")


@pytest.mark.parametrize("budget", [20, 40])
@pytest.mark.parametrize("method", ["sequential_stratification", "aipw_cross_fitted", "imputation"])
def test_both_readings_are_the_estimates_of_the_scores_that_they_put_in(
    scores, ask, method, budget
):
    """By hand, from the g and q of what was drawn, or the estimator on the same core set."""
    session = EvaluationSession(scores, method=method, budget=budget, rng=np.random.default_rng(1))
    lost = set(scores.items[::4].tolist())
    finish(session, failing(ask, lost))
    rounds, values = session._rounds, []
    names = scores.items[rounds.items[0]].tolist()
    for score, failed in ((0.0, "wrong"), (1.0, "right")):
        s = np.array([score if name in lost else ask([name])[1][0] for name in names])
        found = session.estimate(failed)
        values.append(found.value)
        if method == "sequential_stratification":
            items = rounds.items[0]
            g, q = rounds.g[0], rounds.q[0]
            expected = (g.sum() + ((s - g[items]) / q[items]).sum()) / 60
        elif method == "imputation":
            forecast = Forecast(working_model(scores.values), 1)
            for t in (*rounds.known[0], budget):
                g = forecast.predict(rounds.items[:, :t], s[None, :t])[0]
            expected = (s.sum() + np.delete(g, rounds.items[0]).sum()) / 60
        else:
            expected = METHODS[method].estimate(scores.values, rounds.draws, s[None, None])[0][0, 0]
        assert found.value == pytest.approx(expected)
    assert found.bounds == tuple(values) and values[0] < values[1]
    wrong, right, both = (session.estimate(failed) for failed in ("wrong", "right", "open"))
    assert both.value == pytest.approx(np.mean(values))
    np.testing.assert_equal(both[1:3], (wrong.lower, right.upper))


def test_no_failed_item_no_difference(scores, ask):
    session = EvaluationSession(scores, budget=20, rng=np.random.default_rng(1))
    finish(session, ask)
    found = session.estimate()
    assert found == session.estimate("open") and found.bounds == (found.value, found.value)


def test_one_round_with_an_eighth_unanswered(rng):
    source = Scores((rng.random((12, 400)) < 0.6).astype(float))
    session = EvaluationSession(source, method="aipw_cross_fitted", budget=200, rng=rng)
    items = session.next_items()
    session.record(items, [None] * 25 + [1.0] * 175)
    low, high = session.estimate().bounds
    assert low == pytest.approx(0.875, abs=0.03) and high == pytest.approx(1)
    both = session.estimate("open")
    assert both.lower < low < both.value < high <= both.upper + 1e-12


def test_failed_items_with_a_precision(scores, ask, matrix):
    """The intervals of both readings hold what they read, in 40 sessions."""
    lost = scores.items[::5].tolist()
    results = dict(zip(scores.items.tolist(), matrix[-1]))
    truth = [np.mean(list((results | dict.fromkeys(lost, end)).values())) for end in (0, 1)]
    for seed in range(40):
        session = EvaluationSession(scores, precision=0.13, rng=np.random.default_rng(seed))
        finish(session, failing(ask, lost))
        for end, failed in zip(truth, ("wrong", "right")):
            found = session.estimate(failed)
            assert found.lower <= end <= found.upper
        found = session.estimate("open")
        assert found.lower <= truth[0] and truth[1] <= found.upper and found.failed
    session.update_sources(scores.select(models=range(5)))
    with pytest.raises(ValueError, match="what failed counts as wrong"):
        session.estimate("open")


@pytest.mark.parametrize("mode", MODES)
def test_a_failed_item_may_get_a_result_later(scores, ask, mode, tmp_path):
    path = tmp_path / "session.json"
    session = EvaluationSession(scores, rng=np.random.default_rng(1), path=path, **MODES[mode])
    lost = set(scores.items[::3].tolist())
    asked = finish(session, failing(ask, lost))
    wrong = session.estimate()
    session.record(*ask(asked))
    found = EvaluationSession.resume(path, scores).estimate()
    assert found.failed == 0 and found.value > wrong.value
    if mode != "precision":
        g, q, items = session._rounds.g[0], session._rounds.q[0], session._rounds.items[0]
        s = np.array(ask(asked)[1])
        assert found.value == pytest.approx((g.sum() + ((s - g[items]) / q[items]).sum()) / 60)
    with pytest.raises(ValueError, match="it can't be None too: leave it out"):
        session.record(asked[0], None)


# --- results by name ---


@pytest.mark.parametrize("kind", [pd.Series, dict])
def test_results_with_names_are_paired_by_them(scores, ask, kind):
    session = EvaluationSession(scores, budget=20, rounds=1, rng=np.random.default_rng(1))
    items = session.next_items()
    results = {name: ask([name])[1][0] for name in sorted(items)}
    session.record(items, kind(results))
    assert session.results == results
    session.record(items[:1], pd.Series([results[items[0]]], index=items[:1]))
    for wrong in (pd.Series(list(results.values())), pd.Series(0, index=[items[0]] * 20), {}):
        with pytest.raises(ValueError, match="names of the results are not those of the items"):
            session.record(items, wrong)


# --- gaps in the sources ---


def with_gaps(scores):
    values = scores.values.copy()
    values[0, ::3] = np.nan
    try:
        return Scores(values, items=scores.items)
    except ValueError:
        pytest.skip("Scores take no gaps here")


@pytest.mark.parametrize("mode", MODES)
def test_sources_with_gaps(scores, ask, matrix, mode, tmp_path):
    path, source = tmp_path / "session.json", with_gaps(scores)
    session = EvaluationSession(source, rng=np.random.default_rng(3), path=path, **MODES[mode])
    session.record(*ask(session.next_items()))
    again = EvaluationSession.resume(path, with_gaps(scores))
    assert again.next_items() == session.next_items()
    finish(again, ask)
    found = again.estimate()
    assert found.lower <= matrix[-1].mean() <= found.upper
    with pytest.raises(ValueError, match="other source scores"):
        EvaluationSession.resume(path, scores)


def test_a_reference_with_gaps_is_refused(scores):
    source = with_gaps(scores)
    options = {"budget": 20, "rng": np.random.default_rng(0)}
    EvaluationSession(source, reference=source.models[1], **options)  # the gaps are another's
    with pytest.raises(ValueError, match="one of the source models, and lack no score"):
        EvaluationSession(source, reference=source.models[0], **options)


# --- warnings ---


@pytest.mark.parametrize(
    "words", ["better than every source", "worse than every source", "unlike every source"]
)
def test_a_target_beyond_the_sources_or_unlike_them_is_told(rng, words):
    place = np.arange(100)
    source = (place < rng.integers(25, 75, (30, 1))) != (
        rng.random((30, 100)) < 0.05
    )  # hard items last, 5% luck
    target = {"better": np.ones(100), "worse": np.zeros(100), "unlike": place % 2}[words.split()[0]]
    scores = Scores(source.astype(float))
    results = dict(zip(scores.items.tolist(), target))
    session = EvaluationSession(scores, budget=60, rng=rng)
    finish(session, answering(results))
    assert any(words in warning for warning in session.estimate().warnings)
    session = EvaluationSession(
        scores, budget=60, rng=rng
    )  # a negative control: a target like the sources
    results = dict(zip(scores.items.tolist(), (place < 50) * 1.0))
    finish(session, answering(results))
    assert session.estimate().warnings == ()


# --- the file ---


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("bits", [np.random.PCG64, np.random.MT19937])
def test_a_resumed_session_goes_on_as_if_nothing_had_happened(scores, ask, mode, bits, tmp_path):
    path = tmp_path / "session.json"
    whole = EvaluationSession(scores, rng=np.random.Generator(bits(4)), **MODES[mode])
    parts = EvaluationSession(scores, rng=np.random.Generator(bits(4)), path=path, **MODES[mode])
    while not whole.done:
        items = whole.next_items()
        parts = EvaluationSession.resume(path, scores)
        assert parts.next_items() == items
        parts.record(*ask(items[:1]))
        parts = EvaluationSession.resume(path, scores)
        assert parts.next_items() == items[1:] or len(items) == 1
        parts.record(*ask(items[1:]))
        whole.record(*ask(items))
    assert parts.done
    np.testing.assert_equal(parts.estimate(), whole.estimate())


@pytest.mark.parametrize("mode", MODES)
def test_sources_that_come_later_change_what_is_asked_next_and_nothing_before(
    scores, ask, mode, tmp_path
):
    early, path = scores.select(models=range(8)), tmp_path / "session.json"
    session = EvaluationSession(early, rng=np.random.default_rng(5), path=path, **MODES[mode])
    asked = session.next_items()
    session.update_sources(scores)
    assert session.next_items() == asked  # they were drawn before
    session.record(*ask(asked))
    resumed = EvaluationSession.resume(path, scores)
    resumed.path = None  # else the two would be one
    assert finish(resumed, ask) == finish(session, ask)
    found = session.estimate()
    assert found.lower <= found.value <= found.upper
    np.testing.assert_equal(resumed.estimate(), found)
    with pytest.raises(ValueError, match="other source scores"):
        EvaluationSession.resume(path, early)
    with pytest.raises(ValueError, match="same items"):
        session.update_sources(scores.select(items=range(59)))


def test_a_list_of_items_goes_on(scores, ask, tmp_path):
    """The format of one round; an item that is not there, or comes twice, is refused."""
    path, items = tmp_path / "session.json", scores.items[[5, 2, 40, 7, 30]].tolist()
    for wrong in ([*items, items[0]], [*items, "no-such-item"]):
        path.write_text(json.dumps({"format": "one round", "items": wrong, "sources": None}))
        with pytest.raises(ValueError, match="session.json does not hold a session to go on"):
            EvaluationSession.resume(path, scores)
    path.write_text(json.dumps({"format": "one round", "items": items, "sources": None}))
    session = EvaluationSession.resume(path, scores)
    assert session.next_items() == items
    finish(session, ask)
    again = EvaluationSession.resume(path, scores)
    np.testing.assert_equal(again.estimate(), session.estimate())


@pytest.mark.parametrize("name", ["budget", "precision"])
def test_files_of_the_first_formats_are_refused_with_what_to_do(name, scores):
    """Written before methods could be chosen; cells were cut in another way."""
    path = Path(__file__).parent / "sessions" / f"{name}.json"
    with pytest.raises(ValueError, match="its format, 1, is of another version: finish it with"):
        EvaluationSession.resume(path, scores)


def changed(*keys, to=None):
    """What puts something else in one place of the content of a file, or takes the place away."""

    def change(content):
        for key in keys[:-1]:
            content = content[key]
        if to is None:
            content.pop(keys[-1])
        else:
            content[keys[-1]] = to

    return change


CHANGES = {
    "a score seen that is none": changed("draw", "observed", 0, 0, to=7),
    "all scores seen": changed("draw", "observed", 0, to=[7] * 5),
    "an item twice": lambda content: content["draw"]["items"][0].__setitem__(
        0, content["draw"]["items"][0][1]
    ),
    "an item that is not there": changed("draw", "items", 0, 0, to=60),
    "another result": lambda content: content["results"].update(
        {name: 1 - result for name, result in content["results"].items()}
    ),
    "a result that is none": lambda content: content["results"].update(
        dict.fromkeys(content["results"], 7)
    ),
    "a result of an unknown item": changed("results", "no-such-item", to=1),
    "results in a list": changed("results", to=[1]),
    "no source": changed("source"),
    "no draw": changed("draw"),
    "no settings": changed("settings"),
    "no results": changed("results"),
    "no checksums": changed("checksums"),
    "no format": changed("format"),
    "no method": changed("settings", "method"),
    "another budget": changed("settings", "budget", to="many"),
    "more rounds": changed("settings", "rounds", to=11),
    "probabilities of 0": lambda content: content["draw"].update(
        q=(np.array(content["draw"].get("q", 0.0)) * 0).tolist()
    ),
    "an unknown bit generator": changed("settings", "uniform", to={"bit_generator": "rand"}),
}


@pytest.mark.parametrize("method", ["sequential_stratification", "aipw_cross_fitted"])
@pytest.mark.parametrize("name", CHANGES)
def test_a_file_that_was_changed_is_refused(scores, ask, tmp_path, method, name):
    path = tmp_path / "session.json"
    session = EvaluationSession(
        scores, method=method, budget=20, rng=np.random.default_rng(8), path=path
    )
    session.record(*ask(session.next_items()))
    content = json.loads(path.read_text())
    CHANGES[name](content)
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="session.json does not hold a session"):
        EvaluationSession.resume(path, scores)


def test_the_file_says_which_part_was_changed(scores, ask, tmp_path):
    path = tmp_path / "session.json"
    session = EvaluationSession(scores, budget=20, rng=np.random.default_rng(8), path=path)
    session.record(*ask(session.next_items()))
    stored = json.loads(path.read_text())
    for part, change in [("settings", "more rounds"), ("draw", "all scores seen")]:
        content = json.loads(json.dumps(stored))
        CHANGES[change](content)
        path.write_text(json.dumps(content))
        with pytest.raises(ValueError, match=f"its {part} are not what was saved"):
            EvaluationSession.resume(path, scores)
    path.write_text(json.dumps(stored | {"format": 3}))  # which had no checksums
    with pytest.raises(ValueError, match="its format, 3, is of another version: finish it with"):
        EvaluationSession.resume(path, scores)


# --- more than one ---


def test_two_processes_on_one_file_lose_nothing(scores, ask, tmp_path):
    path = tmp_path / "session.json"
    EvaluationSession(scores, budget=20, rounds=2, rng=np.random.default_rng(8), path=path)
    whole = EvaluationSession(scores, budget=20, rounds=2, rng=np.random.default_rng(8))
    first, second = (EvaluationSession.resume(path, scores) for _ in range(2))
    items = first.next_items()
    first.record(*ask(items[:3]))
    second.record(*ask(items[3:]))  # the round is complete, and the second knows it
    assert EvaluationSession.resume(path, scores).next_items() == second.next_items()
    first.record(*ask(second.next_items()))  # which the first learns as it records
    finish(whole, ask)
    np.testing.assert_equal(EvaluationSession.resume(path, scores).estimate(), whole.estimate())
    item = items[0]
    with pytest.raises(ValueError, match=f"item {item} has the result . already"):
        second.record(item, 1 - ask([item])[1][0])


def test_what_another_process_has_recorded_is_taken_in_without_learning_anew(
    scores, ask, tmp_path, monkeypatch
):
    path = tmp_path / "session.json"
    EvaluationSession(scores, budget=20, rounds=2, rng=np.random.default_rng(8), path=path)
    first, second = (EvaluationSession.resume(path, scores) for _ in range(2))
    monkeypatch.setattr("benchpred_utils.evaluate.session.working_model", None)
    items = first.next_items()
    first.record(*ask(items[:2]))
    second.record(*ask(items[2:]))
    first.record(*ask(second.next_items()))
    assert first.done and first.results == json.loads(path.read_text())["results"]


def test_a_file_that_another_session_has_taken_is_not_overwritten(scores, ask, tmp_path):
    path, rng = tmp_path / "session.json", np.random.default_rng(8)
    session = EvaluationSession(scores, budget=20, rng=rng, path=path)
    path.unlink()
    EvaluationSession(scores, budget=20, rng=rng, path=path)
    stored, items = path.read_text(), session.next_items()
    with pytest.raises(ValueError, match="holds another session by now"):
        session.record(*ask(items))
    assert path.read_text() == stored
    path.write_text("my notes")
    for act in (session.save, lambda: session.record(*ask(items))):
        with pytest.raises(ValueError, match="does not hold a session"):
            act()
    mine = tmp_path / "mine.txt"
    mine.write_text("mine")
    with pytest.raises(ValueError, match="mine.txt exists already"):
        session.save(mine)
    assert (path.read_text(), mine.read_text()) == ("my notes", "mine")
    session.save(tmp_path / "copy.json")
    session.save(tmp_path / "copy.json")  # its own
    assert EvaluationSession.resume(tmp_path / "copy.json", scores).next_items() == items


def test_a_session_stays_in_its_file_wherever_the_process_goes(scores, ask, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    session = EvaluationSession(scores, budget=20, rng=np.random.default_rng(8), path="s.json")
    (tmp_path / "there").mkdir()
    for begun in (session, EvaluationSession.resume("s.json", scores)):
        monkeypatch.chdir(tmp_path / "there")
        begun.record(*ask(begun.next_items()))
        begun.save("../s.json")
        monkeypatch.chdir(tmp_path)
    assert not os.listdir("there")
    assert EvaluationSession.resume("s.json", scores).results == begun.results


def test_threads_on_one_session_lose_nothing(scores, ask, tmp_path):
    path = tmp_path / "session.json"
    session = EvaluationSession(
        scores, budget=20, rounds=1, rng=np.random.default_rng(8), path=path
    )
    items = session.next_items()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda item: session.record(*ask([item])), items))
    assert session.done and os.listdir(tmp_path) == ["session.json"]
    assert EvaluationSession.resume(path, scores).results == session.results


SHARED = textwrap.dedent("""
    import sys
    import numpy as np
    from benchpred_utils.scores import Scores
    from benchpred_utils.evaluate import EvaluationSession

    matrix, path, *items = sys.argv[1:]
    matrix = np.load(matrix)
    scores = Scores(matrix[:-1])
    results = dict(zip(scores.items.tolist(), matrix[-1]))
    session = EvaluationSession.resume(path, scores)
    for item in items:
        session.record(item, results[item])
""")


def test_processes_at_the_same_time_lose_nothing(matrix, scores, ask, tmp_path):
    np.save(tmp_path / "matrix.npy", matrix)
    path = tmp_path / "session.json"
    whole = EvaluationSession(scores, budget=30, rounds=1, rng=np.random.default_rng(8), path=path)
    command = [sys.executable, "-c", SHARED, str(tmp_path / "matrix.npy"), str(path)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    items = whole.next_items()
    running = [subprocess.Popen([*command, *items[part::3]], env=env) for part in range(3)]
    assert [process.wait() for process in running] == [0, 0, 0]
    session = EvaluationSession.resume(path, scores)
    whole.path = None
    finish(whole, ask)
    assert session.done and sorted(os.listdir(tmp_path)) == ["matrix.npy", "session.json"]
    np.testing.assert_equal(session.estimate(), whole.estimate())


KILLED = textwrap.dedent("""
    import os, signal, sys
    import numpy as np
    from benchpred_utils.scores import Scores
    from benchpred_utils.evaluate import EvaluationSession

    matrix, path, when = np.load(sys.argv[1]), sys.argv[2], sys.argv[3]
    scores = Scores(matrix[:-1])
    results = dict(zip(scores.items.tolist(), matrix[-1]))
    die = lambda *args: os.kill(os.getpid(), signal.SIGKILL)
    session = EvaluationSession(scores, budget=20, rng=np.random.default_rng(8), path=path)
    for number, item in enumerate(session.next_items() + ["later"] * 30):
        if number == 7 and when == "before the new file takes the old one's place":
            os.replace = die
        item = session.next_items()[0]
        session.record(item, results[item])
        if number == 7:
            die()
""")


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs a signal that can't be caught")
@pytest.mark.parametrize(
    "when, kept", [("after a save", 8), ("before the new file takes the old one's place", 7)]
)
def test_a_killed_session_loses_nothing_that_was_saved(matrix, scores, ask, tmp_path, when, kept):
    np.save(tmp_path / "matrix.npy", matrix)
    path = tmp_path / "session.json"
    command = [sys.executable, "-c", KILLED, str(tmp_path / "matrix.npy"), str(path), when]
    done = subprocess.run(
        command, capture_output=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    session, whole = (
        EvaluationSession.resume(path, scores),
        EvaluationSession(scores, budget=20, rng=np.random.default_rng(8)),
    )
    assert session.estimate().n == kept
    assert len(list(tmp_path.glob(".*"))) == 8 - kept  # what it was writing
    finish(session, ask)
    assert sorted(os.listdir(tmp_path)) == ["matrix.npy", "session.json"]
    finish(whole, ask)
    np.testing.assert_equal(session.estimate(), whole.estimate())


def test_a_failed_save_leaves_the_old_file_and_no_other(scores, ask, tmp_path, monkeypatch):
    path = tmp_path / "session.json"
    session = EvaluationSession(scores, budget=20, rng=np.random.default_rng(8), path=path)
    before, items = path.read_text(), session.next_items()

    def full(*args):
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="no space"):
        session.record(*ask(items))
    assert path.read_text() == before and os.listdir(tmp_path) == ["session.json"]
    monkeypatch.undo()
    session.record(*ask(items))  # the same call again
    assert EvaluationSession.resume(path, scores).next_items() == session.next_items()


def test_files_that_are_refused(scores, matrix, tmp_path):
    path = tmp_path / "session.json"
    EvaluationSession(scores, budget=20, rng=np.random.default_rng(8), path=path)
    with pytest.raises(ValueError, match="exists already"):
        EvaluationSession(scores, budget=20, rng=np.random.default_rng(8), path=path)
    flipped = matrix[:-1].copy()
    flipped[3, 5] = 1 - flipped[3, 5]
    for other in (
        Scores(flipped),
        Scores(matrix),
        Scores(matrix[:-1], items=[f"q{i}" for i in range(60)]),
    ):
        with pytest.raises(ValueError, match="other source scores"):
            EvaluationSession.resume(path, other)
    for text, says in {
        path.read_text()[:300]: "with: .*char 2",
        json.dumps({"format": 9}): "its format, 9, is of another version",
        json.dumps({"sources": {}, "format": "one round"}): "it lacks 'items'",
        json.dumps({"sources": {}}): "it lacks 'format'",
        '{"format": 4, "sources": ' + "[" * 200_000: "with: .*recursion",
        "[1, 2]": "with: list",
        "": "with: Expecting value: line 1",
    }.items():
        other = tmp_path / "other.json"
        other.write_text(text)
        with pytest.raises(
            ValueError, match=f"other.json does not hold a session to go on .*{says}"
        ):
            EvaluationSession.resume(other, scores)
    with pytest.raises(FileNotFoundError):
        EvaluationSession.resume(tmp_path / "none.json", scores)
