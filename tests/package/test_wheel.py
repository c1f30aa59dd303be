"""A wheel works where nothing of the repository is: in an empty environment."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.ci  # it downloads what the package needs
ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
import numpy as np
import benchpred_utils as bp
import benchpred_book.runs

zoo = bp.load_scores("digits_zoo")
records = bp.run_experiment(zoo, methods=["aipw", bp.RECOMMENDED], trials=2, progress=False)
assert len(bp.summarise(records)) == 2
source, target = bp.split_models(zoo, "extrapolation")
rng = np.random.default_rng(0)
session = bp.EvaluationSession(source, budget=20, rng=rng, path="session.json")
scores = target.values[0]
items = session.next_items()
session.record(items, scores[items])
session = bp.EvaluationSession.resume("session.json", source)
while not session.done:
    items = session.next_items()
    session.record(items, scores[items])
estimate = session.estimate()
assert estimate.lower <= estimate.value <= estimate.upper
try:
    benchpred_book.runs.load("protocol")
except FileNotFoundError as error:
    assert "BENCHPRED_BOOK" in str(error)
print("done in", bp.__file__)
"""


def test_an_installed_wheel_runs_the_command_an_experiment_and_a_session(tmp_path):
    environment = {name: os.environ[name] for name in os.environ if "PYTHON" not in name}
    environment.pop("BENCHPRED_BOOK", None)

    def run(*command):
        words = [str(word) for word in command]
        done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run(sys.executable, "-m", "venv", "env")
    python = tmp_path / "env" / "bin" / "python"
    pip = (python, "-m", "pip", "--quiet", "--disable-pip-version-check")
    run(*pip, "wheel", "--no-deps", "--wheel-dir", "wheels", ROOT)
    (wheel,) = tmp_path.glob("wheels/*.whl")
    run(*pip, "install", "-c", ROOT / "constraints.txt", wheel)
    assert "check" in run(python.parent / "benchpred", "--help")
    assert str(tmp_path) in run(python, "-c", SCRIPT)
