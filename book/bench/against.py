"""This code against an earlier commit: the same calls on the same inputs, in turn, in one run."""

import io
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from .measure import ROOT

LEAST = 0.2  # CPU seconds that a measurement lasts at least
PAIRS = 9


def against(commit, settings, only=""):
    """Table `against`: CPU seconds of a call of this code and of the commit's, and their ratio.

    Only the cases whose name holds `only`. Raises CalledProcessError when there is no such commit.
    """
    with tempfile.TemporaryDirectory(prefix="benchpred-then-") as folder:
        _extract(commit, folder)
        with _side(ROOT) as (now, names), _side(folder) as (then, _):
            for name in names:
                if only in name:
                    case, size = name.split(", ") if ", " in name else (name, "")
                    row = {"case": case, "size": size, "then": commit}
                    yield "against", row | _compared(now, then, name, settings.is_tiny)


def _extract(commit, folder):
    """The package as it was at a commit, into a folder."""
    command = ["git", "archive", "--format=zip", commit, "benchpred_utils"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    with zipfile.ZipFile(io.BytesIO(done.stdout)) as archive:
        archive.extractall(folder)


@contextmanager
def _side(folder):
    """A process that runs the benchpred_utils of a folder.

    Gives a function (case, count) -> CPU seconds, and the names of the cases.
    """
    environment = os.environ | {"PYTHONPATH": str(folder)}
    command = [sys.executable, str(Path(__file__).with_name("side.py"))]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    side = subprocess.Popen(command, env=environment, text=True, **pipes)

    def measure(case, count):
        print(case, count, file=side.stdin, flush=True)
        return float(side.stdout.readline())

    try:
        said = json.loads(side.stdout.readline())
        if Path(said["package"]).parent.resolve() != Path(folder).resolve():
            raise RuntimeError(f"{said['package']} was imported, and not that of {folder}")
        yield measure, said["cases"]
    finally:
        side.kill()
        side.wait()
        side.stdin.close()
        side.stdout.close()


def _compared(now, then, case, is_tiny):
    """Medians of the CPU seconds of a call, and the ratios now over then of pairs run in turn."""
    then(case, 1)  # a first call loads libraries
    now(case, 1)
    count = max(1, min(int(LEAST / max(now(case, 1), 1e-6)), 1000))
    pairs = 1 if is_tiny else PAIRS
    seconds = np.array([(now(case, count), then(case, count)) for _ in range(pairs)]) / count
    ratio = seconds[:, 0] / seconds[:, 1]
    return {
        "now_cpu_s": np.median(seconds[:, 0]),
        "then_cpu_s": np.median(seconds[:, 1]),
        "now_over_then": np.median(ratio),
        "now_over_then_least": ratio.min(),
        "now_over_then_most": ratio.max(),
        "pairs": pairs,
    }
