"""The claims ledger: every claim has a rule, a number, an interval, a verdict, and its cell."""

import ast
import re

import numpy as np
import pytest
from benchpred_book import ledger, repository
from benchpred_book.build import pairs
from benchpred_book.ledger import Part, exact
from scipy import stats

CLAIMS = range(1, 19)
COLUMNS = ("claim", "rule", "measured", "interval", "verdict", "parts", "chapter")
VERDICTS = ledger.VERDICTS
LEDGER = "claims_ledger"
GLUED = re.compile(rf"claim-(\d\d)-({'|'.join(COLUMNS)})")


def outputs(notebook):
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def rows(notebook) -> dict[int, dict]:
    """The rows of the ledger, by the number of the claim, from what the cells have glued."""
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
    kind = row.get("interval", "")
    if "exact" not in kind and "draws" not in kind and "models" not in kind:
        found.append("what its intervals are for is not said")
    if "models" in kind.replace("these models", "") and not re.search(r"G = \d", kind):
        found.append("intervals for other models, and no G")
    if (
        "exact" != kind
        and row.get("verdict") != ledger.UNCHECKED
        and not re.search(r"\[|±", row["measured"])
    ):
        found.append("no interval beside a number")
    if row.get("verdict") not in VERDICTS:
        found.append("not one of the verdicts")
    if row.get("verdict") == ledger.IN_PART and not re.match(r"\d+ of \d+ ", row["parts"]):
        found.append("in part, and no count")
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
    if f"Verdict: *{row.get('verdict')}* ({row.get('parts')})." not in section:
        found.append("its section does not say the verdict")
    return found


def tables_of(notebook) -> list[str]:
    """The tables that the cells show, or have glued for another place."""
    return [
        text
        for output in outputs(notebook)
        for mime, text in output.get("data", {}).items()
        if mime.endswith("text/html")
    ]


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
    tables = tables_of(notebook)
    links = [re.findall(r'href="#claim-(\d\d)"', table) for table in tables]
    assert [[int(number) for number in found] for found in links if found] == [list(CLAIMS)]


def test_the_table_links_to_pages_of_the_book(notebook):
    pages = {f"{name}.html" for name in pairs.chapter_names()}
    tables = tables_of(notebook)
    assert {page for table in tables for page in re.findall(r'href="([^"#]+)"', table)} <= pages


def test_the_rules_stand_before_the_numbers(notebook, written):
    """In the cells, in which nothing is computed before the rules, and on the page."""
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    first = next(place for place, cell in enumerate(code) if "load_scores(" in cell)
    assert any("CLAIMS = {" in cell for cell in code[:first])
    assert not re.search(r"load_scores\(|runs\.|estimators\.\w", "".join(code[:first]))
    assert written.index("(claims-table)=") < written.index("(claim-01)=")
    assert written.index("```{glue} claims-table") < written.index("CLAIMS = {")


def test_the_answer_counts_the_verdicts_of_the_rows(notebook):
    found = [row["verdict"] for row in rows(notebook).values()]
    count = [found.count(verdict) for verdict in VERDICTS]
    words = ["no", "one", "two", "three", "four", "five", *"six seven eight nine ten".split()]
    said = "{} hold and {} hold in part, {} do not, {} can't be decided with these models, and {} "
    answer = said.format(*(words[number] for number in count)) + "can't be checked"
    assert any(answer in cell.source for cell in notebook.cells)


# --- the rules ------------------------------------------------------------------------------------


def test_a_part_is_true_false_or_open():
    rows_ = {"yes": (2, 1, 3), "no": (-2, -3, -1), "open": (1, -1, 3)}
    for answer, row in rows_.items():
        assert ledger.judge([Part("a", row, least=0)])[1].true.tolist() == [answer]


def test_an_exact_part_has_only_its_value():
    table = ledger.judge([Part("a", exact(1.0), 1, 1), Part("b", exact(1.1), 1, 1)])[1]
    assert table.true.tolist() == ["yes", "no"]


def test_a_wide_interval_around_a_figure_does_not_make_it_true():
    margin = {"least": 9.3, "most": 15.3}
    wide = ledger.judge([Part("a", (12.3, 2, 22), **margin)])
    near = ledger.judge([Part("a", (12.3, 11, 13.6), **margin)])
    assert (wide[0], near[0]) == ("cannot be decided", "holds")


def test_many_parts_are_judged_together():
    """Alone, the interval lies above zero; as one of 100 it is widened to t(1 - .025/100)."""
    row = (1.0, 0.1, 1.9)
    assert ledger.judge([Part("a", row, least=0)])[0] == "holds"
    others = [Part("b", (9.0, 8.9, 9.1), least=0)] * 99
    assert ledger.judge([Part("a", row, least=0), *others])[1].true[0] == "open"


def test_few_groups_widen_more():
    """Of two parts with G = 4: t(3) at 1 - .0125 over t(3) at .975."""
    factor = stats.t.ppf(0.9875, 3) / stats.t.ppf(0.975, 3)
    row = (1.0, 1 - 1 / factor + 0.001, 1 + 1 / factor)
    just = ledger.judge([Part("a", row, least=0, groups=4), Part("b", (2, 1, 3), most=9)])
    assert just[1].true[0] == "yes"
    over = (1.0, 1 - 1 / factor - 0.001, 1 + 1 / factor)
    assert (
        ledger.judge([Part("a", over, 0, groups=4), Part("b", (2, 1, 3), most=9)])[1].true[0]
        == "open"
    )


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ((3, 3), "holds"),
        ((35, 36), "holds in part"),
        ((1, 36, 35), "holds in part"),
        ((0, 3), "does not hold"),
        ((0, 12, 1), "does not hold"),
        ((0, 2, 1), "cannot be decided"),
        ((0, 2, 2), "cannot be decided"),
        ((0, 0), "cannot be checked"),
    ],
)
def test_the_verdict_follows_from_the_counts(counts, said):
    assert ledger.verdict(*counts) == said


def test_one_true_part_of_36_is_not_35():
    assert ledger.count_text(1, 36) != ledger.count_text(35, 36)
    assert ledger.count_text(35, 36, 1) == "35 of 36 parts, 1 open"


def test_verdicts_are_rarely_wrong_by_chance():
    """40 parts that are all false, on the edge: without the correction two thirds of such claims
    would hold in part."""
    rng = np.random.default_rng(40)
    wrong = {"judged": 0, "alone": 0}
    for _ in range(300):
        found = [(x, x - 1.96, x + 1.96) for x in rng.normal(size=40)]
        wrong["judged"] += (
            ledger.judge([Part("a", row, least=0) for row in found])[0] != "cannot be decided"
        )
        wrong["alone"] += any(row[1] > 0 for row in found)
    assert wrong["judged"] / 300 < 0.06
    assert wrong["alone"] / 300 > 0.5


def test_a_number_is_said_with_its_interval():
    assert ledger.said("gap", (-4.4, -7.9, -1.0), "+.1f", "%") == "gap -4.4% [-7.9 to -1.0]"
    assert ledger.said("R²", (0.1, -0.001, 0.2), ".2f") == "R² 0.10 [0.00 to 0.20]"
    assert ledger.said("hours", exact(2), ".0f") == "hours 2"


def test_numbers_are_read_as_they_were_written():
    assert ledger.numbers("−4.4 (−7.9 to +1.0)") == [-4.4, -7.9, 1.0]
    assert ledger.numbers("4 of 12 parts, 8 open") == [4, 12, 8]


# Negative controls: a row without its evidence is refused.

GOOD_ROW = {
    "claim": "a",
    "rule": "it is at least 1",
    "measured": "1.5 points [1 to 2]",
    "interval": "other models, G = 11",
    "verdict": "holds",
    "parts": "its one part",
    "chapter": "chapter-a",
}
GOOD_SECTION = """
```{code-cell} ipython3
record(7, parts, said_7, DRAWS, "a")
```
Verdict: *holds* (its one part). More in {ref}`chapter-a`.
"""


def test_a_good_row_is_accepted():
    assert faults(7, GOOD_ROW, GOOD_SECTION, {"chapter-a"}) == []
    exactly = {"interval": "exact", "measured": "1.5 points"}
    assert faults(7, GOOD_ROW | exactly, GOOD_SECTION, {"chapter-a"}) == []
    draws = {"interval": "other draws, these models"}
    assert faults(7, GOOD_ROW | draws, GOOD_SECTION, {"chapter-a"}) == []


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (dict.fromkeys(COLUMNS, ""), "no claim"),
        ({"measured": " "}, "no measured"),
        ({"measured": "much better"}, "no number was measured"),
        ({"interval": ""}, "no interval"),
        ({"rule": ""}, "no rule"),
        ({"interval": "wide"}, "what its intervals are for is not said"),
        ({"interval": "other models"}, "intervals for other models, and no G"),
        ({"measured": "1.5 points"}, "no interval beside a number"),
        ({"verdict": "true"}, "not one of the verdicts"),
        ({"verdict": "holds in part"}, "in part, and no count"),
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
        (GOOD_SECTION.replace("parts,", '"holds",'), "its verdict is written by hand"),
        (GOOD_SECTION.replace("{ref}", ""), "its section does not link to its chapter"),
        (GOOD_SECTION.replace("*holds*", "*fails*"), "its section does not say the verdict"),
    ],
)
def test_a_section_that_does_not_make_its_row_is_refused(section, fault):
    assert fault in faults(7, GOOD_ROW, section, {"chapter-a"})
