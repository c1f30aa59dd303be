"""The book's style: visible code is short, outputs are for readers, chapters and book have limits.

`python tests/book/test_style.py` prints the sizes of all chapters.
"""

import ast
import re
import unicodedata
from functools import cache
from typing import NamedTuple

import nbformat
import pytest
from benchpred_book import repository
from benchpred_book.build import pairs
from benchpred_book.stored_charts import OUTPUT_KEY
from test_chapters import stored
from test_lessons import END, START, core_chapters

CHAPTERS = pairs.chapter_names()
COLUMNS, LINES = 80, 20  # of a visible cell
ROWS = 8  # of a table of a core chapter
HIDDEN = {"remove-cell", "remove-input", "hide-input", "hide-cell"}
UNSEEN = {"remove-cell", "remove-output", "remove_output"}


class Size(NamedTuple):
    words: int  # of prose, without code, formulas, roles and directives
    numbers: int  # of sentences
    visible: int  # lines of code that are seen without unfolding
    code: int  # all lines of code
    figures: int  # outside solutions
    tables: int


CORE = {"words": 2_200, "visible": 170, "figures": 5, "tables": 4}
BOOK = {"words": 45_000, "code": 5_500}
NUMBERS = 0.02  # of the book's words


def is_visible(cell) -> bool:
    return cell.cell_type == "code" and not HIDDEN & set(cell.metadata.get("tags", []))


def seen_outputs(notebook) -> list:
    return [
        output
        for cell in notebook.cells
        if cell.cell_type == "code" and not UNSEEN & set(cell.metadata.get("tags", []))
        for output in cell.outputs
    ]


def outside_solutions(notebook):
    """The notebook without its solutions, which are folded away."""
    kept, is_solution = [], False
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            is_solution = is_solution or bool(START.search(cell.source))
            is_solution = is_solution and not END.search(cell.source)
        if not is_solution:
            kept.append(cell)
    return nbformat.from_dict(notebook | {"cells": kept})


def full_lines(source: str) -> list[str]:
    return [line for line in source.splitlines() if line.strip()]


def prose_of(markdown: str) -> str:
    """The sentences of a text, an X for each formula and role."""
    text = re.sub(r"\$\$.*?\$\$( \(.*?\))?", "", markdown, flags=re.DOTALL)
    text = re.sub(r"^\s*[`:]{3,}.*$|^:.*$|^\(.*\)=$", "", text, flags=re.MULTILINE)
    text = re.sub(r"\$[^$]*\$", "X", text)
    text = re.sub(r"\{cite\}`[^`]*`", "", text)
    return re.sub(r"\{[\w:]+\}`[^`<]*(<[^`]*>)?`", "X", text)


def words_of(markdown: str) -> int:
    return len(re.findall(r"[A-Za-z][A-Za-z'’-]*", prose_of(markdown)))


def numbers_of(markdown: str) -> int:
    """The numbers of sentences: not of headings, lists' numbers and tables.

    Those that are put in when the page is built count.
    """
    sentences = re.sub(r"^(?:#|\|).*$|^\d+\. ", "", markdown, flags=re.MULTILINE)
    put_in = len(re.findall(r"\{(?:eval|glue:text)\}`", sentences))
    return put_in + len(re.findall(r"(?<![\w-])[−+±]?\d[\d,.]*", prose_of(sentences)))


BAD_NUMBERS = {
    "in bold": r"\*\*[−+±-]?\d[\d.,%]*\*\*",
    "a hyphen for a minus sign": r"(?:^|[\s(\[])-\d",
    "minus zero": r"[−-]0(?:\.0+)?%",
    "all of all": r"\b(\d+) of (?:the )?\1\b(?! parts)",
    "none in figures": r"\b0 of (?:the )?\d+\b(?! parts)",
}


def bad_numbers(markdown: str) -> list[str]:
    """The numbers of prose that are loud, or no way to say it, each with its fault."""
    text = re.sub(r"`[^`]*`", "X", prose_of(markdown))
    return [
        f"{fault}: {found[0].strip()}"
        for fault, pattern in BAD_NUMBERS.items()
        for found in re.finditer(pattern, text, re.MULTILINE)
    ]


def tables_of(notebook) -> list[int]:
    """The rows of each table, of outputs and of the text, seen outside solutions and folds."""
    notebook = outside_solutions(notebook)
    cells = [cell for cell in notebook.cells if "hide-output" not in cell.metadata.get("tags", [])]
    outputs = seen_outputs(nbformat.from_dict(notebook | {"cells": cells}))
    shown = [output.get("data", {}).get("text/html", "") for output in outputs]
    bodies = [part for text in shown for part in re.findall(r"<tbody>.*?</tbody>", text, re.DOTALL)]
    prose = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    written = [
        table for text in prose for table in re.findall(r"^\|[-|: ]+\|\n((?:\|.*\n?)*)", text, re.M)
    ]
    return [body.count("<tr") for body in bodies] + [len(full_lines(table)) for table in written]


def size_of(notebook) -> Size:
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    prose = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    outside = seen_outputs(outside_solutions(notebook))
    return Size(
        words=sum(map(words_of, prose)),
        numbers=sum(map(numbers_of, prose)),
        visible=sum(len(full_lines(cell.source)) for cell in code if is_visible(cell)),
        code=sum(len(full_lines(cell.source)) for cell in code),
        figures=sum(OUTPUT_KEY in output.get("metadata", {}) for output in outside),
        tables=len(tables_of(notebook)),
    )


@cache
def size(name: str) -> Size:
    return size_of(stored(name))


def columns(line: str) -> int:
    """The width of a line: a Chinese character is as wide as two letters."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in line)


def too_wide(notebook) -> list[str]:
    """The visible lines of code that run off the page."""
    visible = [cell for cell in notebook.cells if is_visible(cell)]
    lines = [line for cell in visible for line in cell.source.splitlines()]
    return [line for line in lines if columns(line) > COLUMNS]


def too_long(notebook) -> list[str]:
    """The visible cells that are no longer seen at a glance, by their first lines."""
    visible = [cell.source for cell in notebook.cells if is_visible(cell)]
    return [source.splitlines()[0] for source in visible if len(source.splitlines()) > LINES]


RAW = re.compile(r"\bnp\.\w+\(|\barray\(|\bdtype:|\d\.\d{9,}")


def is_literal(text: str) -> bool:
    """Whether a text is a number, tuple, list or other literal of Python."""
    try:
        ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return False
    return True


def raw_outputs(notebook) -> list[str]:
    """The outputs that are for a programmer: reprs, bare tuples and numbers, numbers unrounded."""
    found = []
    for output in seen_outputs(notebook):
        if output.output_type == "stream":
            found += [line for line in output.text.splitlines() if RAW.search(line)]
        elif set(output.get("data", {})) == {"text/plain"}:
            text = output.data["text/plain"]
            found += [text] if RAW.search(text) or is_literal(text) else []
    return found


@pytest.mark.parametrize("name", CHAPTERS)
def test_visible_code_fits_the_page(name):
    assert too_wide(stored(name)) == []
    assert too_long(stored(name)) == []


@pytest.mark.parametrize("name", CHAPTERS)
def test_outputs_are_for_readers(name):
    assert raw_outputs(stored(name)) == []


@pytest.mark.parametrize("name", core_chapters())
def test_a_core_chapter_keeps_its_limits(name):
    found = size(name)._asdict()
    over = {what: (found[what], limit) for what, limit in CORE.items() if found[what] > limit}
    assert over == {}, "what is found, and the limit"


@pytest.mark.parametrize("name", core_chapters())
def test_the_tables_of_a_core_chapter_are_short(name):
    assert [rows for rows in tables_of(stored(name)) if rows > ROWS] == []


@pytest.mark.parametrize("what", BOOK)
def test_the_book_keeps_its_limits(what):
    pages = sum(size(name)._asdict()[what] for name in CHAPTERS)
    quizzes = words_of(read_quizzes()) if what == "words" else 0
    assert pages + quizzes <= BOOK[what]


def test_numbers_are_few():
    english = [size(name) for name in CHAPTERS if name != "zh_intro"]
    assert sum(page.numbers for page in english) <= NUMBERS * sum(page.words for page in english)


@pytest.mark.parametrize("name", CHAPTERS)
def test_numbers_in_prose_are_quiet(name):
    prose = [cell.source for cell in stored(name).cells if cell.cell_type == "markdown"]
    assert [fault for text in prose for fault in bad_numbers(text)] == []


def read_quizzes() -> str:
    path = repository.root() / "book/pages/quizzes.md"
    return path.read_text(encoding="utf-8") if path.exists() else ""


# Negative controls: what the tests above must find.


def small(source="a = 1", tags=(), outputs=(), prose="Two words."):
    """A notebook with a text and a cell, as if it had been executed."""
    code = nbformat.v4.new_code_cell(source, metadata={"tags": list(tags)})
    code.outputs = [nbformat.from_dict(output) for output in outputs]
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(prose), code])


def shown(text, **more):
    data = {"text/plain": text, **more}
    result = {"output_type": "execute_result", "execution_count": 1, "metadata": {}}
    return result | {"data": data}


def test_code_that_runs_off_the_page_is_found():
    wide, long = "a = " + 90 * "1", "\n".join(21 * ["a = 1"])
    assert too_wide(small(wide)) == [wide] and too_long(small(wide)) == []
    assert too_wide(small(f"# {30 * '题'}")) == [] != too_wide(small(f"# {40 * '题'}"))
    assert too_long(small(long)) == ["a = 1"] and too_wide(small(long)) == []
    for tag in HIDDEN:
        assert too_wide(small(wide, [tag])) == too_long(small(long, [tag])) == []


@pytest.mark.parametrize(
    "text",
    ["np.float64(0.5)", "(1, 2)", "29.3333333333", "25920", "'3.2e+08'", "E(value=0.123456789012)"]
    + ["array([1, 2])", "a    1\nb    2\ndtype: int64"],
)
def test_a_raw_output_is_found(text):
    assert raw_outputs(small(outputs=[shown(text)])) == [text]
    assert raw_outputs(small(outputs=[shown(text)], tags=["remove-cell"])) == []
    printed = {"output_type": "stream", "name": "stdout", "text": f"it is {text}\n"}
    assert bool(raw_outputs(small(outputs=[printed]))) == bool(RAW.search(text))


def test_a_table_and_a_printed_sentence_are_no_raw_outputs():
    table = shown("a\n1", **{"text/html": "<table><tbody><tr></tr></tbody></table>"})
    printed = {"output_type": "stream", "name": "stdout", "text": "0.726 [0.596, 0.826]\n"}
    assert raw_outputs(small(outputs=[table, printed])) == []


def test_sizes_are_counted():
    table = shown("a\n1", **{"text/html": "<table><tbody><tr></tr><tr></tr></tbody></table>"})
    prose = "Four {term}`words <word>` are\n$$x$$\nhere.\n\n| a | b |\n|---|---|\n| c | d |\n"
    notebook = small("a = 1\n\nb = 2", outputs=[table], prose=prose)
    assert size_of(notebook) == Size(8, numbers=0, visible=2, code=2, figures=0, tables=2)
    assert tables_of(notebook) == [2, 1]
    assert size_of(small("a = 1", ["hide-input"])).visible == 0
    start, end = "```{solution-start} ex-a-1", "```{solution-end}\n```"
    solved = small(outputs=[table], prose=start)
    solved.cells.append(nbformat.v4.new_markdown_cell(end))
    assert tables_of(solved) == []
    solved.cells += notebook.cells
    assert tables_of(solved) == [2, 1]


def test_numbers_are_counted_and_loud_ones_found():
    assert numbers_of("It is −3.5 of 10 on GPT-4, $x = 2$, and {eval}`gap`.") == 3
    assert numbers_of("# Part 1\n\n2. Take 3 items.\n\n| 4 | 5 |\n") == 1
    assert bad_numbers("From −3 to 1–2 points (+4), `a[-1]`, 9 of 10, 2 of 2 parts.") == []
    for text in ("**12%**", "it is -3", "(-0.5)", "−0%", "10 of the 10", "6 of 6", "0 of 6"):
        assert len(bad_numbers(f"It is {text} here.")) == 1, text


if __name__ == "__main__":
    print(f"{'':24}", *(f"{what:>8}" for what in Size._fields))
    for chapter in CHAPTERS:
        print(f"{chapter:24}", *(f"{number:8}" for number in size(chapter)))
