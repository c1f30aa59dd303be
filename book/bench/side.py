"""One side of the comparison with an earlier commit: the CPU seconds of calls of this side's code.

It is run as a file by :mod:`.against`, with a benchpred_utils of either commit first in
PYTHONPATH, and uses only what both have. It prints the cases, and then answers each line "CASE
COUNT" with the CPU seconds of so many calls, of this process and of those that it started.
"""

import json
import os
import subprocess
import sys
from functools import partial
from importlib import import_module
from time import process_time

import numpy as np

import benchpred_utils as bp
from benchpred_utils import estimators

ESTIMATORS = ("random_sampling", "random_sampling_learn", "aipw", "aipw_cross_fitted")
SIZES = {"n=50 T=25": (50, 25), "n=50 T=1": (50, 1), "n=200 T=25": (200, 25)}
TRIALS = 25


def main():
    cases = {name: call for part in (estimates, experiments, rest) for name, call in part()}
    place = os.path.dirname(bp.__file__)
    print(json.dumps({"package": place, "cases": list(cases)}), flush=True)
    for line in sys.stdin:
        name, count = line.rsplit(maxsplit=1)
        start = _clock()
        for _ in range(int(count)):
            cases[name]()
        print(_clock() - start, flush=True)


def _clock():
    times = os.times()
    return process_time() + times.children_user + times.children_system


def estimates():
    """Estimators on simulated scores of GSM8K's size."""
    rng = np.random.default_rng(0)
    scores = (rng.random((83, 1000)) < rng.beta(2, 1, 1000)).astype(float)
    source, target = scores[20:], scores[:20]
    for name in ESTIMATORS:
        for size, (n, T) in SIZES.items():
            core = np.stack([rng.choice(1000, n, replace=False) for _ in range(T)])
            observed = np.stack([target[:, items] for items in core])
            yield f"{name}, {size}", partial(getattr(estimators, name), source, core, observed)


def experiments():
    """The recommended method as `run_experiment` runs it, on the frontier."""
    for name in ("digits_zoo", "gsm8k"):
        try:
            scores = bp.load_scores(name)
        except bp.DataUnavailable:
            continue
        args = scores, [bp.RECOMMENDED], "extrapolation", 50, TRIALS
        yield f"{bp.RECOMMENDED}, {name}", partial(bp.run_experiment, *args, progress=False)


def rest():
    """The fit of the working model, each time to a new array, and the import in a new process."""
    # Not by trying an import: an editable install would give the other side's module.
    has_forecast = os.path.exists(os.path.join(os.path.dirname(bp.__file__), "forecast.py"))
    place = "forecast" if has_forecast else "adaptive"  # where it was before
    working_model = import_module(f"benchpred_utils.{place}").working_model
    for name in ("digits_zoo", "gsm8k"):
        try:
            scores = bp.load_scores(name)
        except bp.DataUnavailable:
            continue
        source = bp.split_models(scores, "extrapolation")[0].values
        yield f"working_model, {name}", lambda source=source: working_model(source.copy())
    command = [sys.executable, "-c", "import benchpred_utils"]
    yield "import benchpred_utils", partial(subprocess.run, command, check=True)


if __name__ == "__main__":
    main()
