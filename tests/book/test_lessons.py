"""Every lesson: what it is for, exercises with solutions, checks that tell right from wrong."""

import ast
import re
from functools import cache
from typing import NamedTuple

import pytest
import yaml
from benchpred_book import Check, repository
from benchpred_book.build import compare, pairs
from test_chapters import stored

NO_LESSONS = {"index", "instructor", "zh_intro"}
LESSONS = [name for name in pairs.chapter_names() if name not in NO_LESSONS]
OVERVIEW = ("Question", "Answer", "Learning goals", "Prior knowledge", "Time needed")
EXERCISE = re.compile(
    r"^`{3,}\{exercise\}[^\n]*\n:label: ([\w-]+)\n(.*?)^`{3,}$", re.MULTILINE | re.DOTALL
)
START, END = (
    re.compile(rf"^`{{3,}}\{{solution-{end}\}}", re.MULTILINE) for end in ("start", "end")
)
GRADES = ("Easy", "Medium", "Hard")


class Exercise(NamedTuple):
    text: str
    asked: list  # the code cells between the exercise and its solution
    solved: list  # those of the solution

    def checks(self) -> list[Check]:
        """The checks that its cells make."""
        return [check for cell in self.asked for check in checks_of(cell.source)]


def checks_of(source: str) -> list[Check]:
    """The checks that a cell makes with literal arguments."""
    calls = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    made = (call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "Check")
    literal = ast.literal_eval
    return [
        Check(*map(literal, call.args), **{k.arg: literal(k.value) for k in call.keywords})
        for call in made
    ]


def exercises_of(notebook) -> dict[str, Exercise]:
    """The exercises of a notebook by their labels; a cell belongs to the last one that began."""
    found, place = {}, None
    for cell in notebook.cells:
        if cell.cell_type == "code":
            if place is not None:
                place.append(cell)
            continue
        for event in sorted(
            (m for p in (EXERCISE, START, END) for m in p.finditer(cell.source)),
            key=lambda m: m.start(),
        ):
            if event.re is EXERCISE:
                found[event[1]] = Exercise(event[2], [], [])
                place = found[event[1]].asked
            else:
                place = list(found.values())[-1].solved if event.re is START else None
    return found


@cache
def exercises(name: str) -> dict[str, Exercise]:
    return exercises_of(stored(name))


def said(cells) -> str:
    """What cells have printed."""
    outputs = (output for cell in cells for output in cell.get("outputs", []))
    return "".join(output.text for output in outputs if output.output_type == "stream")


def shows(text: str, check: Check) -> list[str]:
    """The numbers and words in a text that the check takes for the answer."""
    if check.step is None:
        return [word for word in re.findall(r"[\w.-]+", text) if check.matches(word.strip("."))]
    return [
        number
        for number in compare.NUMBER.findall(text)
        if check.matches(float(number.replace("\u2212", "-")))
    ]


@pytest.mark.parametrize("name", LESSONS)
def test_a_lesson_says_what_it_is_for(name):
    first = next(place for place, cell in enumerate(stored(name).cells) if cell.cell_type == "code")
    opening = "\n".join(cell.source for cell in stored(name).cells[:first])
    places = [opening.find(f"**{part}.**") for part in OVERVIEW]
    assert -1 < places[0] and places == sorted(places), (
        f"notebooks/{name}.md must open with {', '.join(OVERVIEW)}"
    )
    goals = opening[places[2] : places[3]]
    assert 3 <= len(re.findall(r"^- ", goals, re.MULTILINE)) <= 4
    assert re.search(r"hour|minutes", opening[places[4] :])


@pytest.mark.parametrize("name", LESSONS)
def test_a_lesson_has_graded_exercises_with_solutions_that_ran(name):
    assert 2 <= len(exercises(name)) <= 3
    grades = [
        next((grade for grade in GRADES if f"*{grade}.*" in e.text), "none")
        for e in exercises(name).values()
    ]
    assert grades == sorted(set(grades), key=[*GRADES, "none"].index) and "none" not in grades
    for label, exercise in exercises(name).items():
        assert exercise.solved and all(cell.execution_count for cell in exercise.solved), label


@pytest.mark.parametrize("name", LESSONS)
def test_the_checks_tell_what_they_should(name):
    assert any(exercise.checks() for exercise in exercises(name).values()), f"no check in {name}"
    for label, exercise in exercises(name).items():
        assert {check.label for check in exercise.checks()} <= {label}
        assert not any(checks_of(cell.source) for cell in exercise.solved)
        assert said(exercise.asked).count(f"{label}: not answered yet.") == len(exercise.checks())
        assert said(exercise.solved).count(f"{label}: right: ") == len(exercise.checks())
        assert "not right yet" not in said(exercise.solved)


def told(exercise: Exercise) -> str:
    """What a student reads of an exercise: its text and the comments beside its checks."""
    return exercise.text + "".join(
        re.findall(r"#.*", "\n".join(cell.source for cell in exercise.asked))
    )


@pytest.mark.parametrize("name", LESSONS)
def test_no_exercise_gives_its_answer_away(name):
    found = [
        shows(told(exercise), check)
        for exercise in exercises(name).values()
        for check in exercise.checks()
    ]
    assert not any(found), found


# Their order

CORE_PATH = (1, 3, 6, 9, 10, 13, 14)  # for a reader in a hurry, after the index
LABEL = re.compile(r"^\(([\w-]+)\)=$", re.MULTILINE)
POINTER = re.compile(r"\{ref\}`(?:[^`<]*<)?(chapter-[\w-]+)>?`")


def parts() -> list[dict]:
    contents = (repository.root() / "_toc.yml").read_text(encoding="utf-8")
    return yaml.safe_load(contents)["parts"]


def core_chapters() -> list[str]:
    """The numbered chapters, the first one first."""
    numbered = [part for part in parts() if part.get("numbered")]
    return [page["file"].split("/")[-1] for part in numbered for page in part["chapters"]]


@cache
def page_of_labels() -> dict[str, str]:
    """The page that each label stands on: {label: name}."""
    root = repository.root()
    files = [*(root / "notebooks").glob("*.md"), *(root / "book/pages").glob("*.md")]
    return {label: file.stem for file in files for label in LABEL.findall(file.read_text("utf-8"))}


def asked_too_early(opening: str, name: str, order: list[str]) -> list[str]:
    """The chapters that an opening asks for as prior knowledge and that do not come before."""
    prior = opening.partition("**Prior knowledge.**")[2].partition("**Time needed.**")[0]
    before = {*order[: order.index(name)], "notation"}
    return [label for label in POINTER.findall(prior) if page_of_labels()[label] not in before]


def text_of(name: str) -> str:
    return pairs.source_path(name).read_text(encoding="utf-8")


def test_the_fifteen_core_chapters_are_numbered_and_come_first():
    assert len(core_chapters()) == 15
    assert pairs.chapter_names()[1:16] == core_chapters()
    assert [part["caption"] for part in parts() if part.get("numbered")] == [
        "The problem", "The estimator", "Experiments", "Better", "Practice", "Limits",
    ]  # fmt: skip


@pytest.mark.parametrize("name", LESSONS)
def test_no_lesson_asks_for_one_that_comes_later(name):
    assert asked_too_early(text_of(name), name, pairs.chapter_names()) == []


@pytest.mark.parametrize("name", LESSONS)
def test_the_next_chapter_is_the_next_chapter(name):
    named = re.findall(r"Next: " + POINTER.pattern, text_of(name))
    order = pairs.chapter_names()
    following = order[order.index(name) + 1]
    assert {page_of_labels()[label] for label in named} <= {following}


def test_the_index_lists_every_lesson_with_its_number_and_marks_the_core_path():
    rows = [row.split("|")[1:-1] for row in text_of("index").splitlines() if "|" in row]
    listed = [(POINTER.findall("".join(row)), [cell.strip() for cell in row]) for row in rows]
    found = [(page_of_labels()[labels[0]], cells) for labels, cells in listed if labels]
    assert [name for name, _ in found] == LESSONS
    numbers = [cells[0] for _, cells in found if len(cells) == 4]
    assert numbers == [str(number) for number in range(1, len(core_chapters()) + 1)]
    marked = [int(cells[0]) for _, cells in found if len(cells) == 4 and cells[2]]
    assert marked == list(CORE_PATH)


def test_a_lesson_that_asks_too_much_is_found():
    opening = "**Prior knowledge.** {ref}`chapter-notation`, {ref}`chapter-intervals`.\n"
    assert asked_too_early(opening, "limitations", ["intervals", "limitations"]) == []
    late = asked_too_early(opening, "limitations", ["limitations", "intervals"])
    assert late == ["chapter-intervals"]


def glossary() -> dict[str, list[str]]:
    """The names of each entry of the glossary, the English one first: {term: [Chinese names]}."""
    text = (
        (repository.root() / "book/pages/glossary.md")
        .read_text(encoding="utf-8")
        .split("```{glossary}\n")[1]
    )
    entries = (block.splitlines() for block in text.split("\n\n"))
    return {
        first: [line for line in rest if not line.startswith((" ", "`"))]
        for first, *rest in entries
    }


def test_every_term_has_its_chinese_name_once():
    names = [name.removesuffix(" : 中文") for others in glossary().values() for name in others]
    for others in glossary().values():
        assert len(others) == 1 and others[0].endswith(" : 中文")
    assert len(set(names)) == len(names) and all(
        re.search("[\u4e00-\u9fff]", name) for name in names
    )


def test_every_term_that_a_chapter_points_to_is_explained():
    pointer = re.compile(r"\{term\}`(?:[^`<]*<)?([^`>]+)>?`")
    used = {
        term
        for name in pairs.chapter_names()
        for term in pointer.findall(pairs.source_path(name).read_text(encoding="utf-8"))
    }
    known = {
        name.removesuffix(" : 中文").lower()
        for entry in glossary().items()
        for name in (entry[0], *entry[1])
    }
    assert {term for term in used if term.lower() not in known} == set()


def page(name: str) -> str:
    return (repository.root() / f"book/pages/{name}.md").read_text(encoding="utf-8")


def not_explained(entries: dict[str, list[str]], text_of_label) -> list[str]:
    """The terms that an entry sends a reader to a chapter for which does not use them."""
    lost = []
    for term, labels in entries.items():
        stems = [word[:6].lower() for word in re.findall(r"[\w-]{4,}", term)]
        for label in labels:
            lost += [term] if any(s not in text_of_label(label).lower() for s in stems) else []
    return lost


def text_at(label: str) -> str:
    return text_of(page_of_labels()[label])


def test_an_entry_of_the_glossary_points_to_a_chapter_that_uses_the_term():
    blocks = page("glossary").split("```{glossary}\n")[1].split("\n\n")
    entries = {block.splitlines()[0]: POINTER.findall(block) for block in blocks}
    assert not_explained(entries, text_at) == []


def test_a_letter_of_one_chapter_is_used_there():
    """Each symbol of a row of the notation that names chapters stands in one of them."""
    rows = [row.split("|") for row in page("notation").splitlines() if POINTER.search(row)]
    rows = [row for row in rows if len(row) > 4]
    assert rows
    for row in rows:
        texts = [re.sub(r"\s", "", text_at(label)) for label in POINTER.findall(row[4])]
        symbols = [re.sub(r"\s", "", symbol) for symbol in re.findall(r"\$([^$]+)\$", row[1])]
        unused = [symbol for symbol in symbols if not any(symbol in text for text in texts)]
        assert unused == [], row[4]


def test_an_entry_that_points_to_the_wrong_chapter_is_found():
    entries = {"balanced sampling": ["chapter-a"], "AIPW": ["chapter-a", "chapter-b"]}
    texts = {"chapter-a": "AIPW, sampling in balance", "chapter-b": "nothing"}
    assert not_explained(entries, texts.get) == ["AIPW"]
    assert not_explained(entries, {**texts, "chapter-b": "Aipw"}.get) == []


# What a student answers


def wrong_answers(check: Check, answer: str) -> list:
    """Answers near the right one that a check must refuse: steps off, of the other sign."""
    if check.step is None:
        return [
            f"{answer}?",
            str(int(answer) + 1) if answer.isdigit() else "",
            f"{answer} {answer}",
        ]
    value, step = float(answer), check.step
    return [
        value - 3 * step,
        value + 3 * step,
        *([-value] if abs(value) > 2 * step else []),
        float("nan"),
    ]


def answers(cells) -> list[str]:
    """What the checks in some cells were given and found right."""
    return re.findall(r"^[\w-]+: right: (.*)$", said(cells), re.MULTILINE)


@pytest.mark.parametrize("name", LESSONS)
def test_the_solutions_are_right_and_other_answers_are_not(name):
    for exercise in exercises(name).values():
        given = answers(exercise.solved)
        for check, answer in zip(exercise.checks(), given, strict=True):
            assert check.matches(answer)
            assert not any(map(check.matches, wrong_answers(check, answer))), check.label


# Negative controls: what the tests above must find.


def chapter(answer="2.0", asked="(...)", label="ex-a-1"):
    """A small chapter with one exercise, as if it had been executed."""
    cell, text = pairs.nbformat.v4.new_code_cell, pairs.nbformat.v4.new_markdown_cell
    check = Check.of(label, 2.0, step=0.5)
    cells = [
        text(f"```{{exercise}} One\n:label: {label}\n*Easy.* How much is it, {answer}?\n```"),
        cell(f"a_1 = {check!r}\na_1{asked}"),
        text(f"```{{solution-start}} {label}\n:class: dropdown\n```"),
        cell("a_1(2)"),
        text("```{solution-end}\n```"),
        cell("a_1(3)"),
    ]
    return pairs.nbformat.v4.new_notebook(cells=cells)


def test_the_cells_of_an_exercise_are_told_apart():
    (exercise,) = exercises_of(chapter()).values()
    assert [cell.source for cell in exercise.solved] == ["a_1(2)"]
    (check,) = exercise.checks()
    assert check.matches(2) and not check.matches(3) and check.label == "ex-a-1"


def test_an_answer_that_stands_in_the_text_is_found():
    (exercise,) = exercises_of(chapter(answer="2.1")).values()
    assert shows(exercise.text, exercise.checks()[0]) == ["2.1"]
    (exercise,) = exercises_of(chapter(answer="3.1 of 7")).values()
    assert shows(exercise.text, exercise.checks()[0]) == []
    assert shows("It is mmlu.", Check.of("ex-a-1", "MMLU")) == ["mmlu."]


@pytest.mark.parametrize(
    "answer, step", [("1.107", 0.04), ("-13.2", 0.5), ("2", None), ("mmlu", None)]
)
def test_moved_answers_are_refused(answer, step):
    check = Check.of("ex-a-1", answer if step is None else float(answer), step)
    assert check.matches(answer)
    assert not any(map(check.matches, wrong_answers(check, answer)))
