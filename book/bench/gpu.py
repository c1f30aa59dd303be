"""The suite for a GPU, within eight minutes: the tests that need one, then the case `speed`.

A time is that on the wall, from a synchronised start to a synchronised end; the host has all its
cores. With BENCHPRED_BACKEND=numpy the same is done on the host, to see what it does.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from xml.etree import ElementTree

from benchpred_utils import backend

from . import settings
from .cases import CASES, problems
from .measure import ROOT, device_name, machine
from .tables import RUNS, note, run

WHOLE = 480  # seconds
TESTS = 90  # of them for the tests at most,
EACH = 60  # and for each problem


class NoDevice(RuntimeError):
    """No GPU answers, and NumPy was not asked for in its place."""


def suite(out=None, is_tiny=False):
    """Run the tests and the benchmark; 0 when the tests pass and at least one needed the GPU.

    The tables go to the folder `out`, on a GPU by default to one with its name.
    Raises NoDevice where no GPU answers.
    """
    start = time.monotonic()
    if os.environ.get("BENCHPRED_BACKEND") != "numpy":
        _need_a_device()
        out = out or RUNS / folder_name(device_name())
    tested = tests()
    print(f"\ntests: {tested}", flush=True)
    make = settings.tiny if is_tiny else settings.full
    chosen = make(on_device=True, limit=EACH)
    run("speed", CASES["speed"](chosen), out)
    whole = round(time.monotonic() - start, 1)
    print(f"The whole suite took {whole} seconds; {WHOLE} are allowed.")
    if out:
        note(out, "suite", machine() | {"tests": tested, "wall_s": whole})
    return 0 if tested["passed"] and not tested["failed"] else 1


def _need_a_device():
    os.environ["BENCHPRED_BACKEND"] = "cupy"
    try:
        backend.chosen()
    except RuntimeError as error:
        raise NoDevice(f"{error} (BENCHPRED_BACKEND=numpy shows what the suite does)") from None


def tests():
    """The tests of the package that need a GPU, run: how many passed, failed and were skipped."""
    command = [sys.executable, "-m", "pytest", "tests/package", "-k", "cupy or gpu", "-n", "0"]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.xml")
        try:
            subprocess.run([*command, f"--junitxml={report}"], cwd=ROOT, timeout=TESTS)
        except subprocess.TimeoutExpired:
            print(f"The tests were stopped after {TESTS} seconds", file=sys.stderr)
        if not report.exists():
            return {"passed": 0, "failed": 1, "skipped": 0}
        found = ElementTree.parse(report).getroot().find("testsuite").attrib
    failed = int(found["failures"]) + int(found["errors"])
    skipped = int(found["skipped"])
    return {
        "passed": int(found["tests"]) - failed - skipped,
        "failed": failed,
        "skipped": skipped,
    }


def longest():
    """The seconds that the suite takes at most, without the starts of its processes."""
    return TESTS + EACH * sum(not problem.is_of_host for problem in problems.PROBLEMS.values())


def folder_name(device):
    """bench- and the name of a device: each has its tables."""
    return f"bench-{re.sub('[^a-z0-9]+', '-', device.lower()).strip('-')}"
