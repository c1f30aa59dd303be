"""Teaching: stated times are honest, sessions fit, quizzes tell right from wrong."""

import re
from itertools import pairwise

import pytest
from benchpred_book import repository
from test_lessons import (
    CORE_PATH,
    GRADES,
    POINTER,
    core_chapters,
    exercises,
    page_of_labels,
    text_of,
)
from test_style import size

# A learner's pace: words of prose and lines of visible code in a minute, minutes for an exercise.
WORDS, LINES = 80, 5
MINUTES = dict(zip(GRADES, (10, 15, 20), strict=True))
TENS = {"ten": 10, "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60}
AT_HOME = 180  # minutes, at most, for a session
HALF_AN_HOUR = 30


def reading(name: str) -> float:
    """Minutes to read a chapter and its visible code."""
    return size(name).words / WORDS + size(name).visible / LINES


def solving(name: str) -> dict[str, int]:
    """Minutes for each exercise of a chapter, by its label."""
    return {
        label: next(minutes for grade, minutes in MINUTES.items() if f"*{grade}.*" in exercise.text)
        for label, exercise in exercises(name).items()
    }


NUMBERS = {"a": 1, "an": 1, "one": 1, "two": 2, "three": 3}
SPAN = re.compile(
    r"(?P<half>half an hour)|(?P<minutes>\d+) minutes"
    r"|(?P<hours>\b(?:an?|one|two|three))(?P<early> and a half)? hours?(?P<late> and a half)?"
    r"|(?P<another>another)",
    re.IGNORECASE,
)


def minutes_of(words: str) -> int:
    """The minutes that a sentence allows: "an hour and a half", "an hour, and another"."""
    total = 0
    for span in SPAN.finditer(words):
        if span["half"]:
            total += 30
        elif span["minutes"]:
            total += int(span["minutes"])
        elif span["another"]:
            total += 60
        else:
            more = span["early"] or span["late"]
            total += 60 * NUMBERS[span["hours"].lower()] + 30 * bool(more)
    return total


def stated(name: str) -> int:
    """The minutes that a chapter says it needs, its exercises included."""
    told = re.search(r"\*\*Time needed\.\*\* ([^.;]*)", text_of(name))[1]
    return minutes_of(told)


@pytest.mark.parametrize("name", core_chapters())
def test_the_time_that_a_chapter_states_is_honest(name):
    measured = reading(name) + sum(solving(name).values())
    assert abs(stated(name) - measured) <= HALF_AN_HOUR, f"measured: {measured:.0f} minutes"


def test_the_index_says_how_long_the_book_takes():
    hours = int(re.search(r"take about (\d+) hours", text_of("index"))[1])
    all_chapters = core_chapters()
    path = [all_chapters[number - 1] for number in CORE_PATH]
    assert abs(sum(map(stated, all_chapters)) / 60 - hours) <= 2
    assert 0.4 <= sum(map(stated, path)) / sum(map(stated, all_chapters)) <= 0.6


def test_times_in_words_are_read():
    assert minutes_of("About two hours, with the exercises") == 120
    assert minutes_of("About an hour and a half, with the exercises") == 90
    assert minutes_of("About an hour, and another for the exercises") == 120
    assert minutes_of("An hour, another for the changes, and half an hour for the rest") == 150
    assert minutes_of("About 45 minutes") == 45
    assert minutes_of("Two and a half hours") == 150


# The course


def sessions() -> list[str]:
    """The text of each session of the instructors' page."""
    text = text_of("instructor").partition("\n### Shorter and longer")[0]
    return re.split(r"^### Session \d+: ", text, flags=re.MULTILINE)[1:]


def line_of(session: str, what: str) -> str:
    return re.search(rf"^- \*\*{what}\.\*\* (.*)$", session, re.MULTILINE)[1]


def required(session: str) -> list[str]:
    """The chapters that a session reads, without the optional ones."""
    labels = POINTER.findall(line_of(session, "Read").partition("Optional")[0])
    return [page_of_labels()[label] for label in labels]


def at_home(session: str) -> float:
    """Minutes of reading and homework that a session asks for."""
    chapters = required(session)
    homework = re.findall(r"\{ref\}`(ex-[\w-]+)`", line_of(session, "Homework"))
    known = {label: minutes for name in chapters for label, minutes in solving(name).items()}
    return sum(map(reading, chapters)) + sum(known[label] for label in homework)


@pytest.mark.parametrize("number", range(1, 7))
def test_a_session_fits(number):
    session = sessions()[number - 1]
    minutes = at_home(session)
    told = minutes_of(line_of(session, "At home"))
    assert minutes <= AT_HOME
    assert abs(minutes - told) <= HALF_AN_HOUR, f"measured: {minutes:.0f} minutes"
    words = re.findall(r"[a-z]+", line_of(session, "In class").lower())
    assert sum(TENS.get(word, 0) for word in words) == 120


def test_the_sessions_read_core_chapters_in_their_order():
    read = [name for session in sessions() for name in required(session)]
    places = [core_chapters().index(name) for name in read]
    assert all(one < next_one for one, next_one in pairwise(places))
    assert {core_chapters()[number - 1] for number in CORE_PATH} <= set(read)


# The quizzes


def questions(text: str) -> dict[str, list[tuple[str, str]]]:
    """The questions of quizzes, each with its choices and what is told of them."""
    parts = re.split(r"^\*\*\d+\. (.*)\*\*$", text, flags=re.MULTILINE)[1:]
    choice = re.compile(r"^:::\{dropdown\} (.*)\n(.*)\n:::$", re.MULTILINE)
    return {question: choice.findall(body) for question, body in zip(parts[::2], parts[1::2])}


def quiz_faults(text: str) -> list[str]:
    """What is wrong with the questions of quizzes, in words."""
    found = []
    for question, choices in questions(text).items():
        rights = [told for _, told in choices if told.startswith("*Right.* ")]
        wrongs = [told for _, told in choices if told.startswith("No. ")]
        if len(rights) != 1 or len(rights) + len(wrongs) != len(choices):
            found.append(f"not one right choice: {question}")
        if len(choices) < 3:
            found.append(f"too few choices: {question}")
        if any(len(told.split()) < 6 for _, told in choices):
            found.append(f"a choice is not explained: {question}")
    return found


def quizzes() -> list[str]:
    """The text of each session's quiz."""
    text = (repository.root() / "book/pages/quizzes.md").read_text(encoding="utf-8")
    return re.split(r"^## ", text, flags=re.MULTILINE)[1:]


def test_every_session_has_a_quiz_about_what_it_reads():
    titles = [session.splitlines()[0] for session in sessions()]
    for number, (title, quiz) in enumerate(zip(titles, quizzes(), strict=True), start=1):
        assert quiz.splitlines()[0] == f"Session {number}: {title}"
        assert 3 <= len(questions(quiz)) <= 5 and quiz_faults(quiz) == []
        about = {page_of_labels()[label] for label in POINTER.findall(quiz)}
        assert set(required(sessions()[number - 1])) <= about


def test_the_right_choice_stands_anywhere():
    answers = [choices for quiz in quizzes() for choices in questions(quiz).values()]
    places = [
        [told.startswith("*Right.*") for _, told in choices].index(True) for choices in answers
    ]
    assert min(map(places.count, range(3))) >= len(places) / 5


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (("*Right.* It", "No. It"), "not one right choice"),
        (("No. That is", "*Right.* That is"), "not one right choice"),
        (("No. That is what nobody wants.", "No."), "not one right choice"),
        (("No. That is what nobody wants.", "No. That is not."), "a choice is not explained"),
        ((":::{dropdown} 3\nNo. There are fewer than that here.\n:::\n", ""), "too few choices"),
    ],
)
def test_a_bad_question_is_found(change, fault):
    text = (
        "**1. How many?**\n\n:::{dropdown} 1\n*Right.* It is the only one here.\n:::\n\n"
        ":::{dropdown} 2\nNo. That is what nobody wants.\n:::\n\n"
        ":::{dropdown} 3\nNo. There are fewer than that here.\n:::\n"
    )
    assert quiz_faults(text) == []
    assert any(found.startswith(fault) for found in quiz_faults(text.replace(*change)))
