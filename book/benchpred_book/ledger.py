"""The rules by which the claims ledger judges, the same for every claim."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import ndtri, stdtrit

HOLDS = "holds"
IN_PART = "holds in part"
NOT = "does not hold"
OPEN = "cannot be decided"  # the intervals reach over the bounds
UNCHECKED = "cannot be checked"  # the claim, or the data, lacks what a check needs
VERDICTS = (HOLDS, IN_PART, NOT, OPEN, UNCHECKED)


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
    lies between its bounds, false if it lies outside, and open else. All true: holds; all false:
    does not hold; some true: holds in part; none true, but some open: cannot be decided; no parts:
    cannot be checked.
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
    return OPEN if undecided else NOT


def count_text(true, parts, undecided=0):
    """In words: "35 of 36 parts, 1 open"."""
    if parts == 0:
        return "no part can be checked"
    some = f"{true} of {parts} parts" if parts > 1 else ("its one part" if true else "no part")
    return f"{some}, {undecided} open" if undecided else some


def exact(value):
    """A number without uncertainty, as a row."""
    return (value, value, value)
