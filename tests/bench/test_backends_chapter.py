"""The chapter on backends names functions and says where they run: they are there."""

import re
from importlib import import_module

from book.bench.measure import ROOT

CHAPTER = (ROOT / "notebooks" / "backends_speed.md").read_text(encoding="utf-8")
ROWS = [row.split(" | ") for row in CHAPTER.splitlines() if row.startswith("| ")]
WHERE = {
    name: row[2] for row in ROWS if len(row) == 4 for name in re.findall(r"`(\w+\.\w+)`", row[1])
}


def test_every_function_of_the_table_is_there():
    assert set(WHERE.values()) == {"anywhere", "host"} and len(WHERE) > 20
    for name in WHERE:
        module, function = name.split(".")
        assert callable(getattr(import_module(f"benchpred_utils.{module}"), function))


def test_the_commands_of_the_chapter_are_those_of_make():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"`make ([\w-]+)`", CHAPTER):
        assert f"\n{target}: " in makefile
