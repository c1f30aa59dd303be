"""What the chapter on backends says of the package is so: which functions run on any array library, and which do not."""

import re

import array_api_strict
import numpy as np
import pytest
from test_backend import strict

import benchpred_utils as bp
from benchpred_utils import (  # noqa: F401  (they are looked up by the names that the chapter gives)
    adaptive,
    counter,
    designs,
    estimators,
    inference,
    irt,
    optimised,
    session,
    similarity,
)

pytest.importorskip("jupytext")
import pairs

ROWS = [
    line.split(" | ")
    for line in pairs.source_path("backends_speed").read_text(encoding="utf-8").splitlines()
    if line.startswith("| ")
]
WHERE = {
    name: row[2] for row in ROWS if len(row) == 4 for name in re.findall(r"`(\w+\.\w+)`", row[1])
}
DESIGNS = {
    f"{m.design.__module__.split('.')[-1]}.{m.design.__name__}": m.design
    for m in bp.METHODS.values()
    if not m.adaptive
}


def function(name):
    module, name = name.split(".")
    return getattr(globals()[module], name)


def test_every_function_of_the_table_is_there():
    assert set(WHERE.values()) == {"anywhere", "host"} and all(
        callable(function(name)) for name in WHERE
    )


def test_every_estimator_runs_anywhere_and_every_design_has_a_place():
    assert not [
        name
        for name, where in WHERE.items()
        if name.startswith("estimators.") and where != "anywhere"
    ]
    assert set(DESIGNS) - {"designs.uniform"} <= set(WHERE)  # indices, drawn on the host


@pytest.mark.parametrize("name", sorted(DESIGNS.keys() - {"designs.uniform"}))
def test_a_design_runs_where_the_table_says(name, matrix, rng):
    try:
        result = DESIGNS[name](strict(matrix[:20]), 5, rng)
        core = result[0] if isinstance(result, tuple) else result
        where = "anywhere" if isinstance(core, array_api_strict._array_object.Array) else "host"
    except Exception:  # a library of the host can't take an array from another device
        where = "host"
    assert where == WHERE[name]


def test_the_published_words_are_those_of_the_chapter():
    words = counter.philox(np.zeros((4, 1), dtype=np.uint64), (0, 0))
    assert f"{int(words[0, 0]):08x}" in pairs.source_path("backends_speed").read_text(
        encoding="utf-8"
    )
