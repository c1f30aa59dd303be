"""The Chinese introduction says what the ledger says: its verdicts and figures, in Chinese."""

import re

import pytest
from benchpred_book.build import pairs
from test_ledger import CLAIMS, LEDGER, VERDICTS, outputs, rows

PAGE = "zh_intro"
WORDS = ("成立", "部分成立", "不成立", "无法判定", "无法检验")
CHINESE = dict(zip(VERDICTS, WORDS, strict=True))


def table(notebook) -> dict[int, tuple[str, str]]:
    """What the page's table says of each claim: {number: (measured, verdict)}."""
    texts = [
        output.data["text/html"]
        for output in outputs(notebook)
        if "text/html" in output.get("data", {})
    ]
    found = (
        re.findall(r"<td>(.*?)</td>", row, re.DOTALL)
        for text in texts
        for row in re.findall(r"<tr>(.*?)</tr>", text, re.DOTALL)
    )
    linked = {
        re.search(r'#claim-(\d\d)"', cells[0])[1]: cells
        for cells in found
        if cells and "#claim-" in cells[0]
    }
    return {
        int(number): (cells[2], re.sub("<[^>]+>", "", cells[3])) for number, cells in linked.items()
    }


def faults(ledger: dict, said: dict) -> list[str]:
    """Where the page's table departs from the ledger, in words."""
    found = [f"claim {number} is not in the table" for number in ledger if number not in said]
    for number, (measured, verdict) in said.items():
        row = ledger[number]
        if verdict != CHINESE[row["verdict"]]:
            found.append(f"claim {number}: {verdict}, and in the ledger {row['verdict']}")
        if "<span" in measured:
            found.append(
                f"claim {number} is in English: its words in the ledger changed, "
                f"and PHRASES in figures/{PAGE}.py did not"
            )
        foreign = set(re.findall(r"\d+\.\d+", measured)) - set(
            re.findall(r"\d+\.\d+", row["measured"])
        )
        if foreign:
            found.append(f"claim {number}: not in the ledger: {', '.join(sorted(foreign))}")
    return found


@pytest.fixture(scope="module")
def ledger():
    return rows(pairs.read_stored(LEDGER))


@pytest.fixture(scope="module")
def said():
    stored = pairs.read_stored(PAGE)
    assert stored is not None, f"{PAGE} was never executed: make book"
    return table(stored)


def test_the_page_says_what_the_ledger_says(ledger, said):
    assert sorted(said) == list(CLAIMS)
    assert faults(ledger, said) == []


# Negative controls


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (("差距 1.5", "不成立"), "claim 7: 不成立, and in the ledger holds"),
        (("<span lang='en'>gap 1.5</span>", "成立"), "claim 7 is in English"),
        (("差距 1.6", "成立"), "claim 7: not in the ledger: 1.6"),
    ],
)
def test_a_departure_is_found(change, fault):
    one = {7: {"measured": "gap 1.5 [1.2 to 1.8]", "verdict": "holds"}}
    assert faults(one, {7: ("差距 1.5 [1.2 ～ 1.8]", "成立")}) == []
    assert any(found.startswith(fault) for found in faults(one, {7: change}))
    assert faults(one, {}) == ["claim 7 is not in the table"]
