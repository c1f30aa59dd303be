"""The claims ledger: all eighteen claims have a measured number, an interval, a verdict, and a cell that made them."""

import ast
import re

import pytest

from benchpred_book import repository
from benchpred_book.build import pairs

CLAIMS = range(1, 19)
COLUMNS = ("claim", "measured", "interval", "verdict", "chapter")
VERDICTS = ("holds", "holds in part", "does not hold", "cannot be checked with this data")
LEDGER = "claims_ledger"
GLUED = re.compile(rf"claim-(\d\d)-({'|'.join(COLUMNS)})")


def outputs(notebook):
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def rows(notebook) -> dict[int, dict]:
    """The rows of the ledger, by the number of the claim, from the texts that the cells have glued."""
    found = {}
    for output in outputs(notebook):
        name = GLUED.fullmatch(output.get("metadata", {}).get("scrapbook", {}).get("name", ""))
        if name:
            text = next(value for mime, value in output.data.items() if mime.endswith("text/plain"))
            found.setdefault(int(name[1]), {})[name[2]] = ast.literal_eval(text)
    return found


def sections(written: str) -> dict[int, str]:
    """The text of each claim's section, from its anchor to the next one."""
    _, *parts = re.split(r"^\(claim-(\d\d)\)=$", written, flags=re.MULTILINE)
    ends = (
        re.split(r"^\([\w-]+\)=$", part, maxsplit=1, flags=re.MULTILINE)[0] for part in parts[1::2]
    )
    return dict(zip(map(int, parts[::2]), ends))


def chapter_labels() -> set[str]:
    root = repository.root()
    files = [*root.glob("notebooks/*.md"), *root.glob("book/pages/*.md")]
    texts = (file.read_text(encoding="utf-8") for file in files)
    return {
        label
        for text in texts
        for label in re.findall(r"^\((chapter-[\w-]+)\)=$", text, re.MULTILINE)
    }


def code_of(section: str) -> list[str]:
    return re.findall(r"^```\{code-cell\}[^\n]*\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)


def faults(number: int, row: dict, section: str, labels: set[str]) -> list[str]:
    """What evidence a row lacks, in words."""
    found = [f"no {column}" for column in COLUMNS if not row.get(column, "").strip()]
    if not re.search(r"\d", row.get("measured", "")):
        found.append("no number was measured")
    if row.get("interval") != "exact" and not re.search(r"\d", row.get("interval", "")):
        found.append("neither an interval nor exact")
    if row.get("verdict") not in VERDICTS:
        found.append("not one of the four verdicts")
    if row.get("chapter") not in labels:
        found.append("its chapter is not in the book")
    elif row["chapter"] != "chapter-claims-ledger" and f"{{ref}}`{row['chapter']}`" not in section:
        found.append("its section does not link to its chapter")
    cells = [
        code
        for code in code_of(section)
        if re.search(rf"^record\(\s*{number}, ", code, re.MULTILINE)
    ]
    if len(cells) != 1:
        found.append(f"{len(cells)} cells under its anchor make the row, instead of one")
    if any(f'"{verdict}"' in code for code in cells for verdict in VERDICTS):
        found.append("its verdict is written by hand")
    if f"{{glue:text}}`claim-{number:02d}-verdict`" not in section:
        found.append("its section does not say the verdict")
    return found


@pytest.fixture(scope="module")
def notebook():
    stored = pairs.read_stored(LEDGER)
    assert stored is not None, f"{LEDGER} was never executed: make book"
    return stored


@pytest.fixture(scope="module")
def written():
    return pairs.source_path(LEDGER).read_text(encoding="utf-8")


@pytest.mark.parametrize("number", CLAIMS)
def test_the_claim_has_its_evidence(notebook, written, number):
    assert (
        faults(
            number,
            rows(notebook).get(number, {}),
            sections(written).get(number, ""),
            chapter_labels(),
        )
        == []
    )


def test_there_are_eighteen_claims(notebook, written):
    assert sorted(rows(notebook)) == sorted(sections(written)) == list(CLAIMS)


def test_the_table_links_every_claim_to_its_section(notebook):
    tables = [
        output.data["text/html"]
        for output in outputs(notebook)
        if "text/html" in output.get("data", {})
    ]
    links = [re.findall(r'href="#claim-(\d\d)"', table) for table in tables]
    assert [[int(number) for number in found] for found in links if found] == [list(CLAIMS)]


def test_the_table_links_to_pages_of_the_book(notebook):
    pages = {f"{name}.html" for name in pairs.chapter_names()}
    tables = [
        output.data["text/html"]
        for output in outputs(notebook)
        if "text/html" in output.get("data", {})
    ]
    assert {page for table in tables for page in re.findall(r'href="([^"#]+)"', table)} <= pages


# Negative controls: a row without its evidence is refused.

GOOD_ROW = {
    "claim": "a",
    "measured": "1.5 points",
    "interval": "1 to 2",
    "verdict": "holds",
    "chapter": "chapter-a",
}
GOOD_SECTION = """
```{code-cell} ipython3
record(7, "a", x, y, grade(x > 1), "chapter-a")
```
**{glue:text}`claim-07-verdict`** {ref}`chapter-a`
"""


def test_a_good_row_is_accepted():
    assert faults(7, GOOD_ROW, GOOD_SECTION, {"chapter-a"}) == []
    assert faults(7, GOOD_ROW | {"interval": "exact"}, GOOD_SECTION, {"chapter-a"}) == []


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (dict.fromkeys(COLUMNS, ""), "no claim"),
        ({"measured": " "}, "no measured"),
        ({"measured": "much better"}, "no number was measured"),
        ({"interval": ""}, "no interval"),
        ({"interval": "wide"}, "neither an interval nor exact"),
        ({"verdict": "true"}, "not one of the four verdicts"),
        ({"chapter": "chapter-b"}, "its chapter is not in the book"),
    ],
)
def test_a_row_that_lacks_evidence_is_refused(change, fault):
    assert fault in faults(7, GOOD_ROW | change, GOOD_SECTION, {"chapter-a"})


@pytest.mark.parametrize(
    ("section", "fault"),
    [
        ("", "0 cells under its anchor make the row, instead of one"),
        (
            GOOD_SECTION.replace("record(7", "record(8"),
            "0 cells under its anchor make the row, instead of one",
        ),
        (
            GOOD_SECTION.replace("code-cell", "note"),
            "0 cells under its anchor make the row, instead of one",
        ),
        (2 * GOOD_SECTION, "2 cells under its anchor make the row, instead of one"),
        (GOOD_SECTION.replace("grade(x > 1)", '"holds"'), "its verdict is written by hand"),
        (GOOD_SECTION.replace("{ref}", ""), "its section does not link to its chapter"),
        (GOOD_SECTION.replace("verdict", "measured"), "its section does not say the verdict"),
    ],
)
def test_a_section_that_does_not_make_its_row_is_refused(section, fault):
    assert fault in faults(7, GOOD_ROW, section, {"chapter-a"})
