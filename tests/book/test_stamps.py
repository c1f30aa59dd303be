"""Stamps: what makes stored outputs stale, and what does not."""

import pytest
from benchpred_book import code
from benchpred_book.build import pairs, stamps

CHAPTERS = pairs.chapter_names()


def reached(name):
    """The modules whose code the stamp of a chapter covers."""
    chapter = pairs.read_chapter(name)
    declared = [f"benchpred_utils.{module}" for module in pairs.declared(chapter, "code")]
    return {module for module, _ in code.reached(pairs.code_of(chapter), declared)}


def test_a_change_of_the_command_line_makes_only_the_chapter_stale_that_runs_it():
    users = [name for name in CHAPTERS if "benchpred_utils.evaluate.cli" in reached(name)]
    assert users == ["your_own_model"]


def test_a_change_of_the_intervals_makes_those_stale_that_use_them():
    users = [name for name in CHAPTERS if "benchpred_utils.intervals" in reached(name)]
    assert "intervals" in users
    for name in set(CHAPTERS) - set(users):
        imported = {module.split(".")[-1] for module in reached(name)}
        assert not {"estimators", "sequential", "methods"} & imported


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
