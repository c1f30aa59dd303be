"""The rules by which the claims ledger judges, the same for every claim."""

import html
import re
from typing import NamedTuple

import numpy as np
import pandas as pd
from IPython.display import HTML
from scipy.special import betaincinv, ndtri, stdtrit

HOLDS = "holds"
IN_PART = "holds in part"
NOT = "does not hold"
OPEN = "cannot be decided"  # the intervals reach over the bounds
UNCHECKED = "cannot be checked"  # the claim, or the data, lacks what a check needs
VERDICTS = (HOLDS, IN_PART, NOT, OPEN, UNCHECKED)
NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?")


class Part(NamedTuple):
    """A part of a claim: true if all of the interval lies between the bounds."""

    what: str
    row: tuple  # value, low, high: the 95% interval; three times the value if it is exact
    least: float = -np.inf
    most: float = np.inf
    groups: int = 0  # G of an interval over groups of models; 0: it is over draws


def judge(parts):
    """The verdict on a claim, and a table of its parts: what, value, low, high, G, true.

    The m parts of a claim are judged together: each interval is widened from 95% to 1 - .05/m
    (Bonferroni; Student's t with G - 1 degrees of freedom, or the normal distribution), so that the
    verdict is wrong by chance at most one time in twenty. A part is true if the widened interval
    lies between its bounds, false if it lies outside, and open else. All true: holds; some true:
    holds in part; none true: does not hold if more than half are false, cannot be decided if not;
    no parts: cannot be checked.
    """
    tested = sum(part.row[1] < part.row[2] for part in parts)
    rows = [(p.what, *p.row, p.groups or "", _true(p, max(tested, 1))) for p in parts]
    table = pd.DataFrame(rows, columns=["part", "value", "low", "high", "G", "true"])
    return verdict(*counts(table)), table


def _true(part, tested):
    value, low, high = part.row
    factor = _quantile(1 - 0.025 / tested, part.groups) / _quantile(0.975, part.groups)
    low = value - factor * (value - low)
    high = value + factor * (high - value)
    if part.least <= low and high <= part.most:
        return "yes"
    return "no" if high < part.least or low > part.most else "open"


def _quantile(level, groups):
    return stdtrit(groups - 1, level) if groups else ndtri(level)


def counts(table):
    """How many parts are true, how many there are, and how many are open."""
    found = table["true"].value_counts()
    return int(found.get("yes", 0)), len(table), int(found.get("open", 0))


def verdict(true, parts, undecided=0):
    """The verdict on a claim, from how many of its parts are true and how many are open."""
    if parts == 0:
        return UNCHECKED
    if true == parts:
        return HOLDS
    if true:
        return IN_PART
    return OPEN if undecided >= parts / 2 else NOT


def count_text(true, parts, undecided=0):
    """In words: "35 of 36 parts, 1 open"."""
    if parts == 0:
        return "no part can be checked"
    some = f"{true} of {parts} parts" if parts > 1 else ("its one part" if true else "no part")
    return f"{some}, {undecided} open" if undecided else some


def exact(value):
    """A number without uncertainty, as a row."""
    return (value, value, value)


def numbers(text):
    """The numbers in a text, as floats; a minus sign may be a hyphen or the real one."""
    return [float(found) for found in NUMBER.findall(text.replace("−", "-").replace(",", ""))]


def said(label, row, form=".1f", unit=""):
    """A measured number in words, with its interval beside it if it has one."""
    value, low, high = (f"{number:{form}}" for number in _no_minus_zero(row, form))
    beside = f" [{low} to {high}]" if row[1] < row[2] else ""
    return f"{label} {value}{unit}{beside}"


def _no_minus_zero(row, form):
    return [0.0 if float(f"{number:{form}}") == 0 else number for number in row]


# --- rows: value, low, high -----------------------------------------------------------------------


def mean_of(x):
    """The mean of independent x with its Student interval."""
    half = stdtrit(len(x) - 1, 0.975) * np.std(x, ddof=1) / len(x) ** 0.5
    return np.mean(x), np.mean(x) - half, np.mean(x) + half


def change(gap, base):
    """100 (mean(gap)/mean(base) - 1), from paired trials: the delta method."""
    ratio = np.mean(gap) / np.mean(base)
    _, low, high = mean_of((gap - ratio * base) / np.mean(base))
    return 100 * (ratio - 1), 100 * (ratio - 1 + low), 100 * (ratio - 1 + high)


def pooled(rows):
    """The mean of independent rows."""
    value, low, high = np.asarray(rows, float).T
    half = np.sqrt((((high - low) / 2) ** 2).sum()) / len(value)
    return value.mean(), value.mean() - half, value.mean() + half


def less(a, b):
    """a - b of independent rows."""
    half = np.hypot((a[2] - a[1]) / 2, (b[2] - b[1]) / 2)
    return a[0] - b[0], a[0] - b[0] - half, a[0] - b[0] + half


def ratio(a, b):
    """a / b of independent rows, by the delta method."""
    value = a[0] / b[0]
    half = value * np.hypot((a[2] - a[1]) / 2 / a[0], (b[2] - b[1]) / 2 / b[0])
    return value, value - half, value + half


def binomial(right, trials):
    """A share with its exact interval (Clopper & Pearson 1934)."""
    low = betaincinv(right, trials - right + 1, 0.025) if right else 0.0
    high = betaincinv(right + 1, trials - right, 0.975) if right < trials else 1.0
    return right / trials, low, high


# --- the table ------------------------------------------------------------------------------------


def as_table(rows):
    """The ledger as HTML: each claim and its verdict; its rule and its numbers in a fold."""
    shown = pd.DataFrame([_cells(row) for row in rows])
    with pd.option_context("display.max_colwidth", None):
        table = shown.to_html(escape=False, index=False, border=0, justify="left")
    table = table.replace('class="dataframe"', 'class="table" style="font-size: 0.85em"')
    return HTML(f'<div style="overflow-x: auto">{table}</div>')


def _cells(row):
    """The number links to the claim's section, the chapter to its page."""
    page = row["chapter"].removeprefix("chapter-").replace("-", "_")
    link = f'<a href="{page}.html">{page.replace("_", " ")}</a>'
    lines = [*row["measured"].split("; "), f"({row['interval']})"]
    rule = _block([f"holds if {html.escape(row['rule'])} ({link})"], "flex: 1 1 16em")
    numbers = _block(map(_typeset, lines), "flex: 1 1 16em")
    both = f'<div style="display: flex; flex-wrap: wrap; gap: 0 1.5em">{rule}{numbers}</div>'
    fold = f"<details><summary>rule and measurements</summary>{both}</details>"
    verdict = [f"<b>{row['verdict']}</b>", row["parts"]]
    return {
        "": f'<a href="#claim-{row["number"]:02d}">{row["number"]}</a>',
        "claim": _block([f"<b>{html.escape(row['claim'])}</b>", fold]),
        "verdict": _block(verdict),
    }


def _typeset(text):
    """As HTML, with true minus signs."""
    return html.escape(re.sub(r"(?<![\w\d])-(?=[\d.])", "−", text))


def _block(lines, style=""):
    inside = "".join(f"<div>{line}</div>" for line in lines)
    return f'<div style="{style}">{inside}</div>'
