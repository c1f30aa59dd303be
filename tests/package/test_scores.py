import dataclasses

import numpy as np
import pandas as pd
import pytest

from benchpred_utils import Scores

OK = np.array([[0, 1, 1.0], [0.5, 0, 1]])


def bad(value):
    values = OK.copy()
    values[1, 2] = value
    return values


@pytest.mark.parametrize(
    "kwargs, message",
    [
        (dict(values=[1.0, 0.0]), r"two dimensions.*\(2,\)"),
        (dict(values=np.ones((2, 2, 2))), "two dimensions"),
        (dict(values=np.ones((0, 3))), r"at least 1 x 2 of them, but their shape is \(0, 3\)"),
        (dict(values=np.ones((2, 1))), r"at least 1 x 2 of them, but their shape is \(2, 1\)"),
        (
            dict(values=[[0, 1], [np.nan, np.nan]]),
            "models without any score: model-1; leave them out",
        ),
        (
            dict(values=np.where(np.arange(6) < 1, OK[:, :1], np.nan)),
            "items without any score: item-1, item-2, item-3, ...; leave them out",
        ),
        (dict(values=bad(1.5)), r"outside \[0, 1\].*model model-1, item item-2 \(value 1.5\)"),
        (dict(values=bad(-0.1)), r"outside \[0, 1\]"),
        (dict(values=bad(np.inf)), r"outside \[0, 1\]"),
        (dict(values=OK, models=["a", "a"]), "models must be unique.*: a"),
        (dict(values=OK, items=["x", "y", "x"]), "items must be unique.*: x"),
        (dict(values=OK, models=["a"]), "models must be one label for each of the 2"),
        (dict(values=OK, models="ab"), r"models must be one label for each of the 2.*\(1,\)"),
        (dict(values=OK, items=3), r"items must be one label for each of the 3 items.*\(1,\)"),
        (dict(values=OK, domains=["x"]), "domains must be one label for each of the 3 items"),
        (dict(values=OK, dates=["2024-01-01"]), "dates must be one label for each of the 2 models"),
        (dict(values=OK, dates=["2024-01-01", "soon"]), "dates must be ranks or ISO dates"),
        (dict(values=OK, dates=[True, False]), "dates must be ranks or ISO dates.*True is neither"),
        (dict(values=OK, dates=[1j, 2]), "dates must be ranks or ISO dates.*1j is neither"),
        (
            dict(values=OK, dates=[1.0, np.nan], models=["a", "b"]),
            "models without a date: b",
        ),
    ],
)
def test_a_wrong_matrix_is_refused_with_its_culprit(kwargs, message):
    with pytest.raises(ValueError, match=message):
        Scores(**kwargs)


@pytest.mark.parametrize(
    "values", [[["right", "wrong"]], [[1 + 5j, 0]], np.array([[1 + 5j, 0]]), [[10**400, 0]]]
)
def test_what_is_no_number_is_no_score(values):
    with pytest.raises(TypeError, match="matrix of numbers"):
        Scores(values)


@pytest.mark.parametrize("dtype", [float, int])
def test_a_masked_score_is_a_missing_one(dtype):
    masked = np.ma.masked_array([[1, 0, 1], [1, 1, 0]], [[0, 0, 0], [1, 0, 1]], dtype=dtype)
    scores = Scores(masked)
    assert scores.has_gaps
    assert np.isnan(scores.values).tolist() == masked.mask.tolist()
    complete = Scores(np.ma.masked_array(masked.data))
    assert not complete.has_gaps
    assert complete.accuracy == pytest.approx([2 / 3, 2 / 3])


GAPS = np.array([[1, np.nan, 1, 0], [0, 0.5, np.nan, 1]])


def test_scores_may_be_missing():
    """What a model answered is its accuracy; labels and selections are as ever."""
    scores = Scores(GAPS, domains=["x", "y", "x", "y"], name="mine")
    assert scores.has_gaps
    assert scores.accuracy == pytest.approx([2 / 3, 0.5])
    part = scores.select(models=[0], items=[0, 2])
    assert part.domains.tolist() == ["x", "x"]
    assert not part.has_gaps
    part.check_complete()
    with pytest.raises(ValueError, match="items without any score: item-1; leave them out"):
        scores.select(models=[0])
    with pytest.raises(ValueError, match="models without any score: model-1"):
        Scores([[0, 1, 1], [np.nan, np.nan, 1]]).select(items=[0, 1])


def test_who_lacks_what_is_said():
    scores = Scores(GAPS, name="mine")
    with pytest.raises(ValueError, match="model model-0 is a target.*lacks 1 of 4: item-1; leave"):
        scores.check_complete()
    Scores(OK).check_complete()


def test_the_record_cannot_be_changed_from_inside_or_outside():
    mine = OK.copy()
    scores = Scores(mine, models=["a", "b"])
    mine[0, 0] = 1
    assert scores.values[0, 0] == 0
    with pytest.raises(ValueError, match="read-only"):
        scores.values[0, 0] = 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        scores.values = mine


def test_names_are_made_or_taken_from_a_data_frame():
    assert list(Scores(OK).models) == ["model-0", "model-1"]
    frame = pd.DataFrame(OK, index=["a", "b"], columns=[10, 11, 12])
    scores = Scores(frame, domains=["x", "x", "y"], dates=["2024-01-02", "2023-01-02"], name="mine")
    assert list(scores.models) == ["a", "b"]
    assert list(scores.items) == ["10", "11", "12"]
    assert scores.accuracy == pytest.approx([2 / 3, 0.5])
    assert repr(scores) == "Scores('mine': 2 models x 3 items)"
    renamed = Scores(frame, models=["c", "d"], items=["x", "y", "z"])
    assert renamed.models.tolist() == ["c", "d"]
    assert renamed.items.tolist() == ["x", "y", "z"]


FRAME = pd.DataFrame(OK, index=["a", "b"], columns=[10, 11, 12])


def test_a_series_is_taken_by_its_index():
    domains = pd.Series({12: "z", 10: "x", 11: "y", 13: "of no item"})
    scores = Scores(FRAME, domains=domains, dates=pd.Series({"b": 2, "a": 1}))
    assert scores.domains.tolist() == ["x", "y", "z"]
    assert scores.dates.tolist() == [1, 2]


@pytest.mark.parametrize(
    "labels, message",
    [
        (dict(domains=pd.Series(["x", "y", "z"])), "domains is a Series without 3 of the items"),
        (
            dict(dates=pd.Series({"a": 1})),
            "dates is a Series without 1 of the models in its index: b; give",
        ),
        (
            dict(dates=pd.Series([1, 2, 3], ["a", "b", "a"])),
            "names in dates must be unique.*: a",
        ),
    ],
)
def test_a_series_of_other_names_is_refused(labels, message):
    with pytest.raises(ValueError, match=message):
        Scores(FRAME, **labels)


def test_select_keeps_labels_with_their_rows_and_columns():
    scores = Scores(
        OK, models=["a", "b"], domains=["x", "y", "z"], dates=["2024-01-02", "2023-01-02"]
    )
    part = scores.select(models=[1], items=np.array([True, False, True]))
    assert part.values.tolist() == [[0.5, 1.0]]
    assert (part.models.tolist(), part.domains.tolist()) == (["b"], ["x", "z"])
    assert str(part.dates[0]) == "2023-01-02"
    assert not part.values.flags.writeable
    same = Scores(scores.values, scores.models, scores.items, scores.domains, scores.dates).select()
    assert all(
        np.array_equal(getattr(same, f), getattr(scores, f))
        for f in ("values", "models", "items", "domains", "dates")
    )


def test_one_model_on_two_items_is_enough():
    assert Scores(OK[:1, :2]).values.shape == (1, 2)


@pytest.mark.parametrize(
    "choice", [dict(models=[0, 0]), dict(items=[1]), dict(models=[]), dict(items=[2, 1, 2])]
)
def test_a_selection_is_checked(choice):
    with pytest.raises(
        ValueError, match="select takes (models|items) .*at least ., each only once"
    ):
        Scores(OK).select(**choice)


@pytest.mark.parametrize(
    "chosen", [["model-0"], [0.0, 1.0], [True, False, True], [2], [-3], 1, "model-0", [[0], [1]]]
)
def test_a_selection_of_what_is_not_there_says_what_it_takes(chosen):
    with pytest.raises(ValueError, match="takes models by number, from 0 to 1, or by a mask of 2"):
        Scores(OK).select(models=chosen)


def test_costs_go_with_their_scores():
    costs = np.arange(6.0).reshape(2, 3)
    scores = Scores(OK, models=["a", "b"], items=["x", "y", "z"], costs=costs)
    assert scores.select(models=[1], items=[2, 0]).costs.tolist() == [[5, 3]]
    assert not scores.costs.flags.writeable
    assert Scores(OK).select(models=[0]).costs is None
    frame = pd.DataFrame(costs, ["a", "b"], ["x", "y", "z"])
    by_name = Scores(OK, scores.models, scores.items, costs=frame.loc[["b", "a"], ["z", "x", "y"]])
    assert by_name.costs.tolist() == costs.tolist()


@pytest.mark.parametrize(
    ("costs", "message"),
    [
        (np.ones((3, 2)), r"costs must be models x items, but their shape is \(3, 2\)"),
        (np.array([[1, 2, -3], [1, 1, 1]]), "1 costs .*model model-0, item item-2 .value -3"),
        (np.array([[1, 2, 3], [1, np.nan, np.inf]]), "2 costs .*model model-1, item item-1"),
        (
            np.ma.masked_equal([[1, 2, 3], [1, 9, 1]], 9),
            "1 costs are missing.*item item-1",
        ),
        (pd.DataFrame(np.ones((2, 3)), ["model-0", "other"]), "3 costs are missing"),
        (
            pd.DataFrame(np.ones((3, 3)), ["model-0", "model-1", "model-0"]),
            "the models in costs must be unique, .*: model-0",
        ),
        (
            pd.DataFrame(np.ones((2, 4)), ["model-0", "model-1"]),
            "the items in costs must be unique, .*: item-0",
        ),
    ],
)
def test_wrong_costs_are_refused_with_their_culprit(costs, message):
    if isinstance(costs, pd.DataFrame):
        costs.columns = ["item-0", "item-1", "item-2", "item-0"][: costs.shape[1]]
    with pytest.raises(ValueError, match=message):
        Scores(OK, costs=costs)


@pytest.mark.parametrize(
    "costs", ["cheap", [["a", 1, 2], [1, 2, 3]], [[1], [1, 2]], [[1j] * 3] * 2]
)
def test_costs_that_are_no_numbers_are_refused(costs):
    with pytest.raises(TypeError, match="costs must be a matrix of numbers"):
        Scores(OK, costs=costs)
