"""Self-checks: right is right, wrong is wrong, and nothing shows the answer."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchpred_book import Check


@given(st.floats(-1e4, 1e4), st.sampled_from([0.01, 0.1, 1.0, 5.0]), st.floats(-0.49, 0.49))
def test_within_half_a_step_is_right_and_beyond_two_is_wrong(answer, step, off):
    check = Check.of("ex", answer, step)
    assert check.matches(answer + off * step)
    assert not check.matches(answer + 2 * step) and not check.matches(answer - 2 * step)


def test_words_and_whole_numbers():
    assert Check.of("ex", "aipw").matches(" AIPW ") and not Check.of("ex", "aipw").matches("pca")
    assert Check.of("ex", 7).matches(np.int64(7)) and not Check.of("ex", 7).matches(8)
    assert Check.of("ex", 7).matches(np.ceil(6.4)) and not Check.of("ex", 7).matches(
        7.5
    )  # 7.0 is a whole number
    assert Check.of("ex", "true").matches(True) and not Check.of("ex", 1).matches(True)


def test_the_verdict_and_what_was_given_are_printed_and_the_answer_is_not(capsys):
    check = Check.of("ex-a", 4.2, step=0.1)
    check(...)
    check(9)
    check(4.2)
    empty, wrong, right = capsys.readouterr().out.splitlines()
    assert empty.startswith("ex-a: not answered yet")
    assert wrong.startswith("ex-a: not right yet: 9. ")
    assert right == "ex-a: right: 4.2"
    assert "4.2" not in empty + wrong + repr(check)


def test_the_same_answer_to_another_exercise_has_another_fingerprint():
    assert Check.of("ex-a", 1).fingerprint != Check.of("ex-b", 1).fingerprint


def test_no_number_where_one_is_asked_for():
    with pytest.raises(TypeError, match="ex-a asks for a number"):
        Check.of("ex-a", 1.0, step=0.1)("about one")
    assert not Check.of("ex-a", 1.0, step=0.1).matches(float("nan"))


def test_its_repr_makes_it_anew():
    check = Check.of("ex-a", 1.0, step=0.1)
    assert eval(repr(check)).matches(1.0) and eval(repr(Check.of("ex-b", "x"))).matches("x")
