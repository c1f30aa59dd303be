"""The core against peers and floors, and how its cost grows: the PROBLEMS, each in a process."""

import os
import sys
from unittest import mock

import numpy as np

from ..measure import cpu_clock, elapsed, exponent, from_child, rates, wall_clock, working_memory
from .problems import PROBLEMS, label, sizes

LONG = 3.0  # seconds after which a run is measured once; else three times
SHORT = 0.1  # seconds that a measurement lasts at least
MIB = 2**20


def speed(settings):
    """Tables `speed`, a row per problem, size and subject, and `speed_growth`, the exponents.

    A problem that takes longer than the settings' limit is stopped; its rows until then are kept.
    """
    clock = wall_clock if settings.on_device else cpu_clock
    at_best = rates(clock, 256 if settings.is_tiny else 2048)
    seconds = {}
    for case, problem in PROBLEMS.items():
        if problem.is_of_host and settings.on_device:
            continue
        args = rows, case, settings.is_tiny, settings.on_device, at_best
        try:
            for row in from_child(*args, limit=settings.limit):
                yield "speed", row
                if row["subject"] == "ours":
                    seconds[case, row["size"]] = row["seconds"]
        except TimeoutError as error:
            print(f"{case}: {error}", file=sys.stderr, flush=True)
    for row in growth(seconds):
        yield "speed_growth", row


def rows(case, is_tiny, on_device, at_best):
    """The rows of one problem: at each size ours, the others, and the floor."""
    clock = wall_clock if on_device else cpu_clock
    for size, with_peer in sizes(case, is_tiny, on_device):
        work = PROBLEMS[case].work(size)
        memory = working_memory(work.ours)[1]
        ours = times(work.ours, clock)
        found = [_row("ours", "", ours)]
        if work.matrix:
            found[0] |= {"memory_mib": memory / MIB, "matrix_mib": work.matrix / MIB}
        if with_peer and work.peer:
            found.append(_row("peer", work.peer_name, times(work.peer, clock), work.share))
        if on_device:
            found.append(_row("cores", "", _on_host(case, size, clock)))
        if work.solve:
            found.append(_row("solve", work.solve_name, times(work.solve, clock)))
        found += floor(work, at_best, found[-1])
        for row in found:
            row["ratio"] = row["seconds"] / found[0]["seconds"]
            yield {"case": case, "size": label(size)} | row


def times(run, clock):
    """The seconds of a call: once if it takes long, else three times, each the mean of some."""
    first = elapsed(run, clock)
    if first >= LONG:
        return [first]
    count = max(1, min(int(SHORT / max(first, 1e-6)), 1000))
    return [elapsed(run, clock, count) for _ in range(3)]


def _on_host(case, size, clock):
    """The seconds of the same with NumPy on all cores of the host."""
    with mock.patch.dict(os.environ, BENCHPRED_BACKEND="numpy"):
        work = PROBLEMS[case].work(size)
        return times(work.cores or work.ours, clock)


def _row(subject, what, seconds, share=1.0):
    """What was run, the share of the work that it was, and the seconds of the whole work."""
    seconds = np.array(seconds) / share
    row = {"subject": subject, "what": what, "share": share, "seconds": np.median(seconds)}
    row |= {"least": seconds.min(), "most": seconds.max(), "rounds": len(seconds)}
    return row | dict.fromkeys(("ratio", "memory_mib", "matrix_mib"))


def floor(work, at_best, last):
    """The row of what bounds the time from below, if anything is known to: a list.

    Operations or bytes at the machine's rates, and the solve, whose row is the `last` one.
    """
    by = {}
    for what in ("operations", "bytes"):
        count = getattr(work, what)
        by[what] = (count() if callable(count) else count) / at_best[what]
    what = max(by, key=by.get)
    names = [what] if by[what] > 0 else []
    solve = 0.0
    if last["subject"] == "solve":
        names.append(last["what"])
        solve = last["seconds"]
    if not names:
        return []
    row = _row("floor", " + ".join(names), [by[what] + solve])
    return [row | {"least": None, "most": None, "rounds": 0}]


def growth(seconds):
    """The rows of `speed_growth`, the slopes of log seconds on log variable.

    `seconds` of ours are by problem and size; a curve that is not whole has no row.
    """
    for case, problem in PROBLEMS.items():
        for letter, values in problem.curves.items():
            at = [(case, label(problem.base | {letter: value})) for value in values]
            if not all(place in seconds for place in at):
                continue
            fixed = {other: value for other, value in problem.base.items() if other != letter}
            row = {"case": case, "variable": letter}
            row |= exponent(values, [seconds[place] for place in at])
            span = {"least": values[0], "most": values[-1], "points": len(values)}
            yield row | span | {"fixed": label(fixed)}
