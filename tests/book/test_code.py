"""Keys of code: which definitions are reached, and what a change of one does to a key."""

import ast

import pytest
from benchpred_book import code, protocols

PACKAGE = "package_of_a_test"
FILES = {
    "__init__": """
from importlib import import_module
from .methods import METHODS
from .shapes import area as surface

def __getattr__(name):
    return getattr(import_module(".late", __name__), name)
""",
    "late.__init__": "from .asked import when_asked",
    "late.asked": "def when_asked():\n    return 1",
    "shapes": '''
"""A module."""
import math
from .numbers import two, DOZEN
from . import numbers as n, lengths

UNIT = 1.0
TABLES = {}
TABLES["a"] = two

class Shape:
    """A shape."""
    sides = 0

    def area(self):
        return perimeter(self) ** two()

def area(r, scale=1.0):
    """The area of a circle."""
    return scale * math.pi * r**2  # in square units

def perimeter(shape):
    return shape.sides * n.three()

def kinds():
    return [Square, TABLES]

class Square(Shape):
    sides = 4

def lazily():
    from .numbers import four
    from . import rarely
    return four() + rarely.five()

def by_name(name):
    return getattr(lengths, name)
''',
    "numbers": """
def one(): return 1
def two(): return one() + 1
def three(): return 3
def four(): return 4
DOZEN = 12
""",
    "lengths": "def metre(): return 1\ndef mile(): return 1609",
    "rarely": "def five(): return 5",
    "methods": """
from . import shapes, numbers
from .numbers import one as first
LABEL = "one"
METHODS = {
    "one": (LABEL, first),
    "area": ("an, area", shapes.area),
    "two": ("two", numbers.two),
}
def run(names):
    return [METHODS[name] for name in names]
""",
    "called": "from .numbers import two\ndef own(): return 1\nown()",
}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """change(module, old, new) writes the package of a test as it is but for one text."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(code, "PACKAGES", (*code.PACKAGES, PACKAGE))
    folder = tmp_path / PACKAGE
    (folder / "facts").mkdir(parents=True)

    def change(module="shapes", old="", new="", fact="1"):
        (folder / "facts" / "table.csv").write_text(fact)
        for name, text in FILES.items():
            assert name != module or old in text
            path = folder.joinpath(*name.split(".")).with_suffix(".py")
            path.parent.mkdir(exist_ok=True)
            path.write_text(text.replace(old, new) if name == module and old else text)
        code._module.cache_clear()
        code._definition.cache_clear()

    change()
    yield change
    code._module.cache_clear()
    code._definition.cache_clear()


def reached(*names, text="", methods=None):
    """The reached definitions of the package of a test, as text."""
    found = code.reached(text, [f"{PACKAGE}.{name}" for name in names], methods)
    return {".".join(need).removeprefix(f"{PACKAGE}.") for need in found}


def key(*names, methods=None):
    return code.key(code.reached(names=[f"{PACKAGE}.{n}" for n in names], methods=methods))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("shapes.area", {"shapes.area"}),
        ("surface", {"shapes.area"}),  # passed on by the package
        ("when_asked", {"late.asked.when_asked"}),  # and gotten only when it is asked for
        ("shapes.perimeter", {"shapes.perimeter", "numbers.three"}),
        ("shapes.UNIT", {"shapes.UNIT"}),
        ("shapes.TABLES", {"shapes.TABLES", "numbers.two", "numbers.one"}),
        ("shapes.lazily", {"shapes.lazily", "numbers.four", "rarely.five"}),
        ("lengths", {"lengths.", "lengths.metre", "lengths.mile"}),
        ("shapes.by_name", {"shapes.by_name", "lengths.", "lengths.metre", "lengths.mile"}),
        ("called.two", {"numbers.two", "numbers.one"}),
    ],
)
def test_what_a_definition_reaches(package, name, expected):
    assert reached(name) == expected


def test_a_class_brings_its_bases_and_all_that_its_methods_use(package):
    shape = {"shapes.Shape", "shapes.perimeter", *(f"numbers.{n}" for n in ("one", "two", "three"))}
    assert reached("shapes.Square") == {"shapes.Square"} | shape


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("from {0} import shapes\nshapes.UNIT", {"shapes.UNIT"}),
        ("import {0}.shapes as s\ns.UNIT.real", {"shapes.UNIT"}),
        ("import {0}.shapes\n{0}.shapes.UNIT", {"shapes.UNIT"}),
        ("from {0}.shapes import UNIT as u\nprint(f'{{u:.1f}}')", {"shapes.UNIT"}),
        ("def f():\n    import {0} as p\n    return p.surface(1)", {"shapes.area"}),
        ("from {0} import shapes\nimport numpy as np\nnp.mean(1)", set()),
        ("area = 1\narea", set()),
    ],
)
def test_what_the_code_of_a_chapter_reaches(package, text, expected):
    assert reached(text=text.format(PACKAGE)) == expected


def test_a_name_that_is_not_there_is_refused(package):
    for name in ("shapes.circle", "nothing.area"):
        with pytest.raises(ValueError, match=f"do not define '{PACKAGE}.{name}'"):
            reached(name)
    with pytest.raises(ValueError, match="do not define 'numpy.mean'"):
        code.reached(names=["numpy.mean"])


def test_the_table_of_methods_is_reached_row_by_row(package):
    rows = {f"methods.METHODS[{name}]" for name in ("one", "area", "two")}
    assert rows <= reached("methods.run") and rows <= reached("METHODS")
    run = {"methods.run", "methods.METHODS"}
    assert reached("methods.run", methods=()) == run
    one = {"methods.METHODS[one]", "methods.LABEL", "numbers.one"}
    assert reached("methods.run", methods=["one"]) == run | one


@pytest.mark.parametrize(
    ("change", "stale"),
    [
        (("methods", "an, area", "an area"), {"area"}),
        (("shapes", "r**2", "r**3"), {"area"}),
        (("methods", '    "two": ("two", numbers.two),\n', ""), {"two"}),
        (("numbers", "return one() + 1", "return one() + 2"), {"two"}),
        (("numbers", "return 1", "return 2"), {"one", "two"}),
        (("methods", 'LABEL = "one"', 'LABEL = "1"'), {"one"}),
        (("methods", "METHODS = {", 'METHODS = {"new": shapes.kinds,'), set()),
        (("methods", "run(names)", "run(names, more)"), {"one", "area", "two"}),
        (("shapes", "class Shape:", "class Shape(object):"), set()),
    ],
)
def test_a_change_makes_only_the_methods_stale_that_need_it(package, change, stale):
    def keys():
        return {name: key("methods.run", methods=[name]) for name in ("one", "area", "two")}

    before = keys()
    package(*change)
    after = keys()
    assert {name for name in before if before[name] != after[name]} == stale


@pytest.mark.parametrize(
    ("module", "old", "new", "is_same"),
    [
        ("shapes", "", "", True),
        ("shapes", "return perimeter(self) ** two()", "return perimeter(self) * two()", False),
        ("shapes", "sides = 0", "sides = 1", False),  # of a base class
        ("shapes", '"""A shape."""', '"""Another."""', True),
        ("numbers", "return 3", "return 3.0", False),  # two steps away
        ("numbers", "return 4", "return 5", True),  # of no use here
        ("shapes", "from .numbers import two, DOZEN", "from .numbers import three as two", False),
        ("shapes", "r**2", "r**3", True),
        ("shapes", "UNIT = 1.0", "print(1)", False),  # a call belongs to all of its module
    ],
)
def test_the_key_of_a_class(package, module, old, new, is_same):
    before = key("shapes.Square")
    package(module, old, new)
    assert (key("shapes.Square") == before) == is_same


@pytest.mark.parametrize(
    ("old", "new", "is_same"),
    [
        ("  # in square units", "", True),
        ('"""The area of a circle."""', '"""Other words,\n\n    on more lines."""', True),
        ("scale * math.pi", "(scale  *\n        math.pi)", True),
        ("r**2", "r**3", False),
        ("scale=1.0", "scale=1", False),
        ("import math", "import cmath as math", False),  # the same text, another function
        ("import math", "import os\nimport math", True),
    ],
)
def test_the_key_sees_code_but_no_comments_docstrings_or_layout(package, old, new, is_same):
    before = key("shapes.area")
    package("shapes", old, new)
    assert (key("shapes.area") == before) == is_same


def test_the_key_sees_texts_with_commas(package):
    before = key("METHODS")
    package("methods", "an, area", "anarea")
    assert key("METHODS") != before


def test_the_key_sees_facts(package):
    before = key("shapes.area")
    package(fact="2")
    assert key("shapes.area") != before


def test_fields_that_only_some_pythons_have_make_no_difference():
    """3.12 has a field more than 3.11, type_params; 3.13 leaves empty lists out."""
    function = ast.parse("def f(r): pass").body[0]
    text = code._plain(function)
    function._fields = (*dict.fromkeys([*function._fields, "type_params"]),)
    for value in ([], None):
        function.type_params = value
        assert code._plain(function) == text
    function.type_params = [ast.Name("T", ast.Load())]
    assert code._plain(function) != text


# --- the packages ---------------------------------------------------------------------------------


def modules(text):
    return {module.removeprefix("benchpred_utils.") for module, _ in code.reached(text)}


def test_what_is_gotten_from_the_packages():
    assert modules("import numpy as np\nnp.mean(1)") == set()
    assert "similarity" in modules("import benchpred_utils as bp\nbp.model_similarity(1, 2)")
    assert "similarity" not in modules("import benchpred_utils as bp\nbp.load_scores('math')")
    assert "exercises" in {m[15:] for m in modules("from benchpred_book import Check\nCheck()")}
    lazily = modules("import benchpred_utils as bp\nbp.EvaluationSession(1)")
    assert "evaluate.session" in lazily and "evaluate.cli" not in lazily
    whole = modules("import benchpred_utils as bp\ngetattr(bp, name)")
    assert {"similarity", "sequential", "summary"} <= whole


def test_an_experiment_reaches_the_code_of_its_own_methods():
    def of(method):
        names = ["benchpred_book.protocols.records"]
        return {".".join(need) for need in code.reached(names=names, methods=[method])}

    sequential = "benchpred_utils.sequential.SequentialStratification"
    aipw = "benchpred_utils.estimators.aipw"
    assert sequential in of("sequential_stratification") and aipw not in of(
        "sequential_stratification"
    )
    assert sequential not in of("aipw") and aipw in of("aipw")
    every = {".".join(n) for n in code.reached("import benchpred_utils as bp\nbp.run_experiment()")}
    assert {sequential, aipw} <= every
    rows = {need for need in every if "METHODS[" in need}
    assert len(rows) == len(protocols.METHODS)
