"""Similarity and warnings, where the result is known."""

import numpy as np
import pandas as pd
import pytest
from benchpred_book import likeness

import benchpred_utils as bp


def test_the_others_leave_out_the_model_itself(rng):
    values = (rng.random((6, 40)) < 0.6).astype(float)
    for kind, over in likeness.DEFINITIONS.values():
        found = likeness.to_the_others(values, kind, over)
        for i in range(6):
            others = np.delete(values, i, axis=0)
            assert found[i] == pytest.approx(
                bp.model_similarity(others, values[[i]], kind, over)[0]
            )


def test_a_mean_over_developers_is_that_of_the_rows():
    values = np.array([[1.0], [2.0], [6.0]])
    mean, low, high = likeness.over_developers(values, ["a", "a", "b"])
    assert mean == pytest.approx([3]) and low < mean < high
    assert np.isnan(likeness.over_developers(values, ["a"] * 3)[1])


def errors(S, worse=7.0):
    """Targets with the same S by every definition and the errors of two methods."""
    count = len(S)
    about = {"split": "extrapolation", "cluster": np.arange(count) % 5}
    mean = np.linspace(2, 4, count)
    return pd.DataFrame(dict.fromkeys(likeness.DEFINITIONS, S)).assign(
        **about, good=mean, bad=worse + mean
    )


def test_the_worst_method_above_a_threshold_is_found():
    found = likeness.worst_above(errors(np.full(25, 0.8)), ["good", "bad"])
    assert len(found) == 12 and set(found.method) == {"bad"} and set(found.G) == {5}
    assert found.error.to_numpy() == pytest.approx(10) and (found.low > 5).all()


def test_too_few_targets_are_no_ground_to_judge():
    assert likeness.worst_above(errors(np.r_[np.full(19, 0.8), 0.6]), ["good"]).empty


def test_an_advantage_is_against_the_best_of_the_others():
    table = errors(np.full(25, 0.2)).assign(half=lambda t: t.good / 2)
    value, low, high = likeness.advantage(table, "half", ["bad", "good"])
    assert (value, low, high) == pytest.approx((50, 50, 50))
    assert likeness.advantage(table, "bad", ["bad", "good"])[0] < 0


def test_an_auc_counts_pairs():
    score, event = np.array([0.1, 0.4, 0.4, 0.9]), np.array([False, True, False, True])
    one = np.ones((1, 4))
    assert likeness.auc(score, event, one) == pytest.approx([3.5 / 4])
    assert likeness.auc(-score, event, one) == pytest.approx([0.5 / 4])
    without_the_first = np.array([[0.0, 1, 1, 1]])
    assert likeness.auc(score, event, without_the_first) == pytest.approx([1.5 / 2])


def test_a_mean_auc_does_not_compare_across_benchmarks():
    score, event = np.array([0.1, 0.2, 0.8, 0.9]), np.array([False, True, False, True])
    assert likeness.mean_auc(score, event, np.array(["a", "a", "b", "b"])) == 1
    assert likeness.mean_auc(score, event, np.array(["a"] * 4)) == 0.75


def test_what_is_watched_is_what_the_estimators_say(rng):
    scores = (rng.random((12, 60)) < np.linspace(0.3, 0.9, 60)).astype(float)
    matrix = bp.Scores(scores)
    source, target = matrix.select(models=range(8)), matrix.select(models=range(8, 12))
    cores = np.stack([rng.permutation(60)[:10] for _ in range(3)])
    seen = likeness.watch(source, target, cores)
    assert len(seen) == 12
    first = target.values[:, cores[0]].mean(axis=1)
    assert seen.random_sampling[:4].to_numpy() == pytest.approx(100 * (first - target.accuracy))
    lead = first - source.values[:, cores[0]].mean()
    assert seen.lead[:4].to_numpy() == pytest.approx(lead)
