"""Stored runs: experiments too long to repeat at every reading, kept as summaries with what they were made from.

A run is a folder of tidy tables and a ``run.json`` with its key: its settings, the code that made it, and the data's
hashes.  :func:`load` gives the tables only while all three are what they are here.  ``make runs`` computes all anew.
"""

import ast
import hashlib
import json
import os
import sys
import time
from dataclasses import asdict
from datetime import date
from functools import cache
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from tqdm import tqdm

from . import data, inference
from .keys import code_key, needed_modules
from .protocols import RUNS, records

__all__ = ["MEASURED", "RUNS", "StaleRun", "glued", "load", "make", "state"]

MEASURED = (
    "bench"  # tables of times: they belong to a machine and a day, and no key can promise them
)
FOLDER = Path(os.environ.get("BENCHPRED_RUNS") or Path(__file__).parents[1] / "book" / "runs")
NOTEBOOKS = Path(__file__).parents[1] / "notebooks"


class StaleRun(RuntimeError):
    """A stored run is not there, or was made from other settings, other code or other data."""


# --- taking a stored run ----------------------------------------------------------------------------------------------


def load(name):
    """The tables of a stored run, a dict of data frames.

    summary (as `inference.summarise`), changes (as `inference.compare`, p_holm corrected within a split and an asked
    budget), models (as `inference.per_model`), costs (CPU seconds of each experiment).  `asked` is the budget as it was
    asked for: 0.2 is a fifth of the items.  "bench" gives the tables of ``make bench``, "bench-..." those of a GPU.
    Raises StaleRun when the run doesn't belong to this code and data.
    """
    reasons = state(name)
    if reasons:
        raise StaleRun(
            f"the stored run {name!r} can't be used: {'; '.join(reasons)}. "
            f"Compute it anew: make {'bench' if _is_measured(name) else 'runs'}"
        )
    return {path.stem: pd.read_csv(path) for path in sorted((FOLDER / name).glob("*.csv"))}


def glued(chapter, folder=NOTEBOOKS):
    """The texts that an executed chapter has glued, {name: text}; none where it was never executed."""
    path, found = Path(folder) / f"{chapter}.ipynb", {}
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"] if path.exists() else []
    for output in (output for cell in cells for output in cell.get("outputs", [])):
        name = output.get("metadata", {}).get("scrapbook", {}).get("name")
        if name:
            text = next(
                value for mime, value in output["data"].items() if mime.endswith("text/plain")
            )
            found[name] = ast.literal_eval("".join(text))
    return found


def state(name):
    """The reasons, in words, why a stored run can't be used: an empty list when it can."""
    if _is_measured(name):
        return [] if any((FOLDER / name).glob("*.csv")) else ["it was never made"]
    if name not in RUNS:
        raise ValueError(f"there is no run {name!r}; there are {', '.join(RUNS)}")
    try:
        stored = json.loads((FOLDER / name / "run.json").read_text())
        tables = {path.name: _sha256(path) for path in sorted((FOLDER / name).glob("*.csv"))}
    except FileNotFoundError:
        return ["it was never made"]
    reasons = [
        f"its {part} changed"
        for part, value in key(name).items()
        if stored["key"].get(part) != value
    ]
    return reasons + ["its tables are not those that were made"] * (tables != stored["tables"])


def _is_measured(name):
    return name == MEASURED or name.startswith(
        f"{MEASURED}-"
    )  # on the host, or on a GPU of that name


def key(name):
    """What run `name` is made from now: the sha256 of its settings and of its code, and the data files'."""
    experiments, datasets = RUNS[name]
    settings = json.dumps([asdict(experiment) for experiment in experiments])
    return {
        "settings": hashlib.sha256(settings.encode()).hexdigest(),
        "code": _code(),
        "data": data_key(datasets),
    }


@cache
def _code():
    """The key of the code that makes the runs: of one moment in a process, for what it imported does not change."""
    return code_key(modules=sorted({*needed_modules("protocols"), "inference"}))


def data_key(names):
    """The sha256 of every file that the data sets `names` are made from, by the package's manifest."""
    return {entry["file"]: entry["sha256"] for name in names for entry in data.files(name)}


def _sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


# --- making one -------------------------------------------------------------------------------------------------------


def make(name, n_jobs=-1, folder=None):
    """Compute a run and store it under `folder`; it replaces the stored one in whole, at the end.

    Raises DataUnavailable, before anything is computed, when its data can't be had.
    """
    experiments, datasets = RUNS[name]
    for dataset in datasets:
        data.fetch(dataset)
    start, made_from = time.monotonic(), key(name)
    order = sorted(
        range(len(experiments)), key=lambda i: -_weight(experiments[i])
    )  # the longest first: no long tail
    work = joblib.Parallel(n_jobs=n_jobs, return_as="generator")(
        joblib.delayed(_tables)(experiments[i]) for i in order
    )
    parts = dict(zip(order, tqdm(work, f"run {name}", len(order), mininterval=5)))
    parts = [parts[i] for i in range(len(experiments))]
    tables = {
        table: pd.concat([part[table] for part in parts], ignore_index=True) for table in parts[0]
    }
    tables["changes"]["p_holm"] = (
        tables["changes"].groupby(["split", "asked"])["p"].transform(inference.holm)
    )
    made = {
        "date": date.today().isoformat(),
        "wall_s": round(time.monotonic() - start),
        "cores": joblib.cpu_count(),
    }
    made |= {
        "cpu_s": round(tables["costs"]["cpu_s"].sum()),
        "worker_peak_mib": float(tables["costs"]["peak_mib"].max()),
    }
    _store(Path(folder or FOLDER) / name, tables, {"key": made_from, "made": made})
    return tables


def _weight(experiment):
    return experiment.trials * (
        experiment.split == "interpolation" or experiment.methods == ("random_search_learn",)
    )


def _tables(experiment):
    """The tables of one experiment; what random_sampling does stands in the tables of its own group only."""
    start = time.process_time()
    found = records(experiment)
    tables = {"summary": inference.summarise(found), "models": inference.per_model(found)}
    if len(found["method"].unique()) > 1:
        tables["changes"] = inference.compare(found)
    tables = {
        name: table[table["method"].isin(experiment.methods)] for name, table in tables.items()
    }
    if (
        experiment.budget != 50 and experiment.trials < 300
    ):  # too many rows, of too few trials to speak of one model
        tables["models"] = tables["models"][:0]
    size = {
        "benchmark": experiment.scores,
        "split": experiment.split,
        "budget": found["budget"].iloc[0],
    }
    cost = {
        "methods": " ".join(experiment.methods),
        "trials": experiment.trials,
        "cpu_s": time.process_time() - start,
    }
    tables["costs"] = pd.DataFrame([size | cost | {"peak_mib": _peak_memory()}])
    for table in tables.values():
        table.insert(2, "asked", float(experiment.budget))
    return tables


def _peak_memory():
    """The most memory, in MiB, that this process has had so far; NaN where the system does not count it."""
    try:
        import resource
    except ModuleNotFoundError:
        return np.nan
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
        2**20 if sys.platform == "darwin" else 2**10
    )


def _store(folder, tables, about):
    """Write the tables, then the key: stopped in between, the hashes don't agree and the run counts as stale."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        table.to_csv(
            folder / f"{name}.partial", index=False, float_format="%.6g", lineterminator="\n"
        )
        os.replace(folder / f"{name}.partial", folder / f"{name}.csv")
    about["tables"] = {path.name: _sha256(path) for path in sorted(folder.glob("*.csv"))}
    (folder / "run.partial").write_text(json.dumps(about, indent=1) + "\n")
    os.replace(folder / "run.partial", folder / "run.json")
