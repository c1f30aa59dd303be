"""Stamps: what makes stored outputs stale, and what does not."""

import pytest
from benchpred_book import code
from benchpred_book.build import pairs, stamps

CHAPTERS = pairs.chapter_names()


def reached(name):
    """The modules whose code the stamp of a chapter covers."""
    chapter = pairs.read_chapter(name)
    declared = [f"benchpred_utils.{module}" for module in pairs.declared(chapter, "code")]
    return set(code.reached(pairs.code_of(chapter), declared))


def test_a_change_of_the_command_line_makes_only_the_chapter_stale_that_runs_it():
    users = [name for name in CHAPTERS if "benchpred_utils.evaluate.cli" in reached(name)]
    assert users == ["your_own_model"]


def test_a_change_of_the_intervals_makes_those_stale_that_use_them():
    users = [name for name in CHAPTERS if "benchpred_utils.intervals" in reached(name)]
    assert "intervals" in users
    for name in set(CHAPTERS) - set(users):
        imported = {module.split(".")[-1] for module in reached(name)}
        assert not {"estimators", "sequential", "methods"} & imported


def test_a_module_that_a_chapter_imports_in_any_way_is_reached():
    def modules(text):
        return {name.removeprefix("benchpred_utils.") for name in code.reached(text)}

    assert modules("import numpy as np\nnp.mean(1)") == set()
    assert "similarity" in modules("import benchpred_utils as bp\nbp.model_similarity(1, 2)")
    assert "similarity" in modules("from benchpred_utils import similarity")
    assert "similarity" in modules("from benchpred_utils.similarity import model_similarity")
    assert "similarity" in modules("import benchpred_utils.similarity")
    assert "similarity" not in modules("import benchpred_utils as bp\nbp.load_scores('math')")
    lazily = modules("import benchpred_utils as bp\nbp.EvaluationSession(1)")
    assert "evaluate.session" in lazily and "evaluate.cli" not in lazily


SOURCE = '''
"""A module."""
import math

def area(r, scale=1.0):
    """The area of a circle."""
    return scale * math.pi * r**2  # in square units
'''


@pytest.fixture
def key(tmp_path, monkeypatch):
    """The key of a module with some text."""
    monkeypatch.syspath_prepend(tmp_path)

    folder = tmp_path / "package_of_a_test"
    (folder / "facts").mkdir(parents=True)
    (folder / "__init__.py").write_text("")

    def key(text, fact="1"):
        (folder / "facts" / "table.csv").write_text(fact)
        (folder / "shapes.py").write_text(text)
        for function in (code._module_key, code._text):
            function.cache_clear()
        return code.key(["package_of_a_test.shapes"])

    yield key
    for function in (code._module_key, code._text):
        function.cache_clear()


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("  # in square units", "", True),
        ('"""The area of a circle."""', '"""Other words,\n\n    on more lines."""', True),
        ("scale * math.pi", "(scale  *\n        math.pi)", True),
        ("r**2", "r**3", False),
        ("scale=1.0", "scale=1", False),
        ("def area", "def surface", False),
    ],
)
def test_the_key_of_code_sees_code_but_no_comments_docstrings_or_layout(key, old, new, same):
    assert (key(SOURCE) == key(SOURCE.replace(old, new))) == same


def test_the_key_of_code_sees_facts(key):
    assert key(SOURCE) != key(SOURCE, fact="2")


def test_what_only_some_versions_of_python_print_is_taken_out():
    """3.13 prints no empty lists; 3.12 has a field more than 3.11, type_params."""
    dumped = "FunctionDef(name='f', args=arguments(args=[arg(arg='r')]{}), body=[Pass()]{})"
    forms = [("", ""), (", defaults=[]", ", type_params=[]")]
    assert len({code.EMPTY.sub("", dumped.format(*form)) for form in forms}) == 1


@pytest.mark.parametrize("what", ["chapter", "code", "data", "runs", "chapters"])
def test_a_stored_output_is_stale_as_soon_as_one_key_changes(what, monkeypatch):
    now = {part: part for part in stamps.REASONS}
    stored = pairs.read_stored("index")
    stored.metadata[pairs.STAMP] = now
    monkeypatch.setattr(pairs, "read_stored", lambda name: stored)
    monkeypatch.setattr(stamps, "stamp", lambda notebook: now)
    assert stamps.stale("index") == []
    monkeypatch.setattr(stamps, "stamp", lambda notebook: now | {what: "another"})
    assert stamps.stale("index") == [stamps.REASONS[what]]


def test_a_changed_sentence_does_not_change_the_key_of_a_chapter():
    chapter = pairs.read_chapter("index")
    before = stamps.stamp(chapter)
    chapter.cells[0].source += " And more."
    assert stamps.stamp(chapter) == before
    code_cell = next(cell for cell in chapter.cells if cell.cell_type == "code")
    code_cell.source += "\n1 + 1"
    assert stamps.stamp(chapter)["chapter"] != before["chapter"]
