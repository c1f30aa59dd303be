"""The experiment of the chapter on transfer across architectures."""

import numpy as np
import pandas as pd
import pytest
from benchpred_book import transfer


def test_as_many_pairs_as_possible_are_matched_within_the_caliper():
    accuracy = np.array([0.5, 0.52, 0.9, 0.51, 0.48, 0.7])
    a, b = transfer.matched(accuracy, np.array([0, 1, 2]), np.array([3, 4, 5]))
    assert dict(zip(a, b)) == {0: 4, 1: 3}  # 0 is nearer to 3, but then 1 has no partner
    assert accuracy[a] == pytest.approx(accuracy[b], abs=0.03)


def test_a_triple_is_matched_through_its_second_model():
    accuracy = np.array([0.5, 0.8, 0.51, 0.81, 0.52, 0.82])
    triples = transfer.matched_triples(accuracy, *np.array([[0, 1], [2, 3], [4, 5]]))
    assert sorted(triples.tolist()) == [[0, 2, 4], [1, 3, 5]]


def test_the_gap_of_a_random_sample_is_that_of_many_draws():
    rng = np.random.default_rng(1)
    scores = np.arange(40) < 30
    means = np.array([rng.permutation(scores)[:10].mean() for _ in range(4_000)])
    expected = transfer.random_gap(np.array([0.75]), 40, 10)
    assert expected[0] == pytest.approx(np.abs(means - 0.75).mean(), rel=0.05)


def test_a_row_for_each_method_and_target():
    rng = np.random.default_rng(2)
    scores = (rng.random((9, 60)) < rng.random(60)).astype(float)
    core = np.array([rng.choice(60, 20, replace=False) for _ in range(5)])
    rows = transfer.measure(scores[:6], scores[6:], core, rng, source="a")
    assert rows.groupby("method").size().to_dict() == dict.fromkeys(transfer.METHODS, 3)
    assert set(rows["source"]) == {"a"}
    assert (rows["gap"] ** 2 <= rows["mse"] + 1e-12).all()
    single = rows[rows["method"] == "sequential_stratification"]
    assert single["mse"].to_numpy() == pytest.approx(single["gap"].to_numpy() ** 2)


def test_a_formula_that_is_right_agrees_and_one_that_is_too_low_says_by_how_much():
    case = {"benchmark": "b", "source": "s", "target": "t"}
    rows = pd.DataFrame({"unit": range(4), "split": 0, "predicted": [0.6, 0.7, 0.8, 0.9]} | case)
    exact = rows.assign(measured=rows["predicted"])
    assert transfer.agreement(exact) == pytest.approx((1, 1))
    assert transfer.agreement(exact.assign(measured=1.1 * rows["predicted"]))[1] == pytest.approx(
        1.1
    )
    assert transfer.possible(pd.concat([exact, exact.assign(split=1)])) == pytest.approx(1)


def test_a_unit_is_left_out_in_both_roles():
    """In each split the units that are no targets are the sources."""
    rows = [(0, "a"), (0, "b"), (1, "b"), (1, "c"), (2, "a"), (2, "c")]
    run = pd.DataFrame(rows, columns=["split", "unit"])
    whole, *without = transfer.without_each_unit(run)
    assert len(whole) == 6
    assert [part.to_numpy().tolist() for part in without] == [
        [[0, "b"], [2, "c"]],
        [[0, "a"], [1, "c"]],
        [[1, "b"], [2, "a"]],
    ]


def test_a_group_is_left_out_in_both_roles():
    pairs = [("a", "b"), ("b", "a"), ("c", "b"), ("c", "a")]
    run = pd.DataFrame(pairs, columns=["source", "target"])
    assert [len(part) for part in transfer.without_each_group(run, ["a", "b", "c"])] == [4, 1, 1, 2]


def test_a_change_is_a_mean_over_benchmarks():
    case = {"method": "m", "kin": "own", "source": "s", "target": "t"}
    rows = pd.DataFrame(
        {"benchmark": ["x", "x", "y"], "gap": [1, 2, 5], "random": [2, 4, 4]} | case
    )
    assert transfer.changes(rows).tolist() == pytest.approx([100 * (-0.5 + 0.25) / 2])
