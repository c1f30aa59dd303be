"""The suite of pytest-benchmark in `speed/`, as tables: against peers and floors, and how the cost grows."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from measure import exponent, installed

from .problems import PROBLEMS, label

SUITE = Path(__file__).parents[1] / "speed"
MIB = 2**20


def speed(settings):
    """Tables `speed`, a row per problem, size and subject, and `speed_growth`, the exponents of ours."""
    if not installed("pytest_benchmark"):
        raise SystemExit(
            "The case `speed` needs pytest-benchmark: pip install -e '.[bench]' (see book/bench/README.md)"
        )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "speed.json")
        command = [
            sys.executable,
            "-m",
            "pytest",
            str(SUITE),
            "-p",
            "no:cacheprovider",
            "--benchmark-quiet",
        ]
        command += [f"--benchmark-json={path}", *["--tiny"] * settings.is_tiny]
        subprocess.run(command, check=True)
        found = json.loads(path.read_text())["benchmarks"]
    for row in rows(found):
        yield "speed", row
    for row in growth(found):
        yield "speed_growth", row


def rows(found):
    """The rows of `speed`, from the benchmarks of pytest-benchmark's JSON: ours, the others, then the floor."""
    parts = {}
    for one in found:
        about = one["extra_info"]
        parts.setdefault((about["name"], label(about["size"])), {})[about["subject"]] = one
    for (case, size), part in parts.items():
        ours = _seconds(part["ours"])
        for subject, one in part.items():
            about, stats = one["extra_info"], one["stats"]
            times = {
                "seconds": _seconds(one),
                "least": stats["min"] / about["share"],
                "most": stats["max"] / about["share"],
            }
            memory = (
                _memory(about) if subject == "ours" else {"memory_mib": None, "matrix_mib": None}
            )
            row = {
                "case": case,
                "size": size,
                "subject": subject,
                "what": about["work"],
                "share": about["share"],
            }
            yield (
                row | times | {"rounds": stats["rounds"], "ratio": times["seconds"] / ours} | memory
            )
        if floor := _floor(part):
            what, seconds = floor
            row = {
                "case": case,
                "size": size,
                "subject": "floor",
                "what": what,
                "share": 1.0,
                "seconds": seconds,
            }
            yield row | {
                "least": None,
                "most": None,
                "rounds": 0,
                "ratio": seconds / ours,
                "memory_mib": None,
                "matrix_mib": None,
            }


def _seconds(one):
    return one["stats"]["median"] / one["extra_info"]["share"]


def _memory(about):
    """Working memory beside the input, and the score matrix, in MiB; None for a problem without a matrix."""
    matrix = about["matrix"]
    return {
        "memory_mib": about["memory"] / MIB if matrix else None,
        "matrix_mib": matrix / MIB if matrix else None,
    }


def _floor(part):
    """What bounds the time from below, and the seconds: operations or bytes at the machine's rates, and the solves."""
    about = part["ours"]["extra_info"]
    by = {
        "operations": about["operations"] / about["rate"],
        "bytes": about["bytes"] / about["copy"],
    }
    what = max(by, key=by.get)
    solve = _seconds(part["solve"]) if "solve" in part else 0.0
    names = [what] * (by[what] > 0) + (
        [part["solve"]["extra_info"]["work"]] if "solve" in part else []
    )
    return (" + ".join(names), by[what] + solve) if names else None


def growth(found):
    """The rows of `speed_growth`: for each problem and variable the slope of log seconds on log variable."""
    ours = [one for one in found if one["extra_info"]["subject"] == "ours"]
    for case, problem in PROBLEMS.items():
        seconds = {
            label(one["extra_info"]["size"]): _seconds(one)
            for one in ours
            if one["extra_info"]["name"] == case
        }
        for letter, values in problem.curves.items():
            points = [(x, seconds.get(label(problem.base | {letter: x}))) for x in values]
            x, y = zip(*points)
            if None in y:  # a tiny run
                continue
            others = {other: value for other, value in problem.base.items() if other != letter}
            row = {"case": case, "variable": letter} | exponent(x, y)
            yield row | {"least": x[0], "most": x[-1], "points": len(x), "fixed": label(others)}
