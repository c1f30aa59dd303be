"""What chapters say of other models in words is what their intervals say, and G stands beside."""

import re

import pytest
from benchpred_book import runs
from benchpred_book.build import pairs
from benchpred_book.ledger import numbers


@pytest.fixture(scope="module")
def transfer():
    return runs.glued("transfer_architectures")


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("across-aipw", -20, 0),  # gains on average
        ("dev-aipw", -20, 0),
        ("dev-seq", -40, 0),
        ("across-learn", 0, 200),  # loses
        ("fit-helm-lite-measured", 0.95, 1.05),
    ],
)
def test_these_intervals_lie_on_one_side(transfer, name, low, high):
    _, *ends = numbers(transfer[f"transfer-{name}"])
    assert low <= ends[0] <= ends[1] <= high


def test_sequential_stratification_in_the_zoo_reaches_zero(transfer):
    value, low, high = numbers(transfer["transfer-across-seq"])
    assert value < 0 and low < 0 < high


def test_the_sources_are_in_the_interval(transfer):
    """Over splits alone, as if their halves were new models, it was 1.7 times too short: +-1.75."""
    _, low, high = numbers(transfer["transfer-across-aipw"])
    assert 2.5 < (high - low) / 2 < 4.5


def test_single_pairs_are_not_sure(transfer):
    assert int(transfer["transfer-sure-aipw"]) < 3
    assert int(transfer["transfer-sure-learn"]) == 6


@pytest.mark.parametrize(
    ("chapter", "words", "held"),
    [
        ("evaluation_frontier", "($G$ = 11)", "assert models_too.groups.iloc[0] == 11"),
        ("mmlu_math", "($G = 8$)", "len(strong) == 8"),
        ("transfer_architectures", "($G = 23$)", "assert G == 23"),
        ("transfer_architectures", "($G = 6$)", "len(large) == 6"),
        ("transfer_architectures", "($G = 18$ developers)", "assert len(everyone) == 18"),
        ("model_similarity", "($G = 34$, ", "frontier.cluster.nunique() == 34"),
        ("model_similarity", "$G = 26$)", "below.cluster.nunique() == 26"),
        ("model_similarity", "($G = 97$ units", "records.cluster.nunique() == 97"),
        ("uneven_abilities", "($G = 31$)", "at.groups.iloc[0] == 31"),
        ("uneven_abilities", ", $G = 7$)", "len(slopes) - 1 == 7"),
    ],
)
def test_a_number_of_groups_that_is_written_out_is_held(chapter, words, held):
    text = pairs.source_path(chapter).read_text(encoding="utf-8")
    assert words in text and held in text


def test_the_intervals_over_targets_say_their_groups():
    math = runs.glued("mmlu_math")
    for questions in ("abstract_algebra", "mmlu_math"):
        assert re.search(r"\(G = \d+\)$", math[f"math-change-targets-{questions}"])


def test_what_limitations_says_of_other_architectures_is_what_was_found(transfer):
    text = pairs.source_path("limitations").read_text(encoding="utf-8")
    assert "by 4% on average (95% interval over the models: 1 to 8%)" in text
    assert [round(x) for x in numbers(transfer["transfer-across-aipw"])] == [-4, -8, -1]
    assert -1.5 < numbers(transfer["transfer-own-aipw"])[0] < 0  # "hardly more"
    assert numbers(transfer["transfer-dev-aipw"])[2] < numbers(transfer["transfer-across-aipw"])[0]


def test_what_limitations_says_of_uneven_abilities_is_what_was_found():
    uneven = runs.glued("uneven_abilities")
    text = pairs.source_path("limitations").read_text(encoding="utf-8")
    assert "a standard deviation of 0.87 on the logit scale, against 0.19 on MMLU" in text
    assert numbers(uneven["uneven-tau-legalbench"])[0] == 0.87
    assert numbers(uneven["uneven-tau-mmlu"])[0] == 0.19
    for b in ("mmlu", "math", "legalbench"):  # "nearly halves"
        gap = {how: numbers(uneven[f"uneven-gap-{b}-{how}"])[0] for how in ("equal", "effects")}
        assert 0.5 < gap["effects"] / gap["equal"] < 0.6
