"""Stored runs: experiments too long to repeat at every reading, kept as tables with their key.

A run is a folder of tidy tables and a ``run.json`` with its key: its settings, the code that made
it and the data's hashes.  `load` gives the tables only while all three are what they are here.
``make runs`` computes all anew.
"""

import ast
import hashlib
import json
import os
import sys
import time
from dataclasses import asdict
from datetime import date
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from tqdm import tqdm

from benchpred_utils import data, summary

from . import code, repository
from .protocols import RUNS, records

__all__ = ["MEASURED", "RUNS", "StaleRun", "folder", "glued", "load", "make", "state"]

MEASURED = "bench"  # tables of times: they belong to a machine and a day, no key can promise them


class StaleRun(RuntimeError):
    """A stored run is not there, or was made from other settings, other code or other data."""


# --- taking a stored run --------------------------------------------------------------------------


def folder(name=""):
    """Where the stored runs lie, or one of them: in BENCHPRED_RUNS, else in the repository."""
    runs = os.environ.get("BENCHPRED_RUNS")
    return Path(runs or repository.root() / "book" / "runs", name)


def load(name):
    """The tables of a stored run, a dict of data frames.

    summary (as `summary.summarise`), changes (as `summary.compare`, p_holm corrected within a split
    and an asked budget), models (as `summary.per_model`), costs (CPU seconds of each experiment).
    `asked` is the budget as it was asked for: 0.2 is a fifth of the items.  "bench" gives the
    tables of ``make bench``, "bench-..." those of a GPU.
    Raises StaleRun when the run doesn't belong to this code and data.
    """
    reasons = state(name)
    if reasons:
        raise StaleRun(
            f"the stored run {name!r} can't be used: {'; '.join(reasons)}. "
            f"Compute it anew: make {'bench' if _is_measured(name) else 'runs'}"
        )
    return {path.stem: pd.read_csv(path) for path in _tables_of(name)}


def glued(chapter):
    """The texts that an executed chapter has glued, {name: text}; none if it never was executed."""
    path = repository.root() / "notebooks" / f"{chapter}.ipynb"
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"] if path.exists() else []
    found = {}
    for output in (output for cell in cells for output in cell.get("outputs", [])):
        name = output.get("metadata", {}).get("scrapbook", {}).get("name")
        for mime, text in output.get("data", {}).items():
            if name and mime.endswith("text/plain"):
                found[name] = ast.literal_eval("".join(text))
    return found


def state(name):
    """The reasons, in words, why a stored run can't be used: an empty list when it can."""
    if _is_measured(name):
        return [] if _tables_of(name) else ["it was never made"]
    if name not in RUNS:
        raise ValueError(f"there is no run {name!r}; there are {', '.join(RUNS)}")
    about = folder(name) / "run.json"
    if not about.exists():
        return ["it was never made"]
    stored = json.loads(about.read_text())
    reasons = [
        f"its {part} changed"
        for part, value in key(name).items()
        if stored["key"].get(part) != value
    ]
    if stored["tables"] != _hashes(name):
        reasons.append("its tables are not those that were made")
    return reasons


def _is_measured(name):
    """Whether these are measured tables: of the host, or of the GPU in the name."""
    return name == MEASURED or name.startswith(f"{MEASURED}-")


def _tables_of(name):
    return sorted(folder(name).glob("*.csv"))


def _hashes(name):
    return {path.name: _sha256(path.read_bytes()) for path in _tables_of(name)}


def key(name):
    """What run `name` is made from now: the sha256 of its settings, its code and its data files."""
    experiments, datasets = RUNS[name]
    settings = json.dumps([asdict(experiment) for experiment in experiments])
    made_by = ("benchpred_book.protocols", "benchpred_utils.summary")
    return {
        "settings": _sha256(settings.encode()),
        "code": code.key(code.reached(modules=made_by)),
        "data": data_key(datasets),
    }


def data_key(names):
    """The sha256 of every file that the data sets `names` are made from, by the manifest."""
    return {entry["file"]: entry["sha256"] for name in names for entry in data.files(name)}


def _sha256(content):
    return hashlib.sha256(content).hexdigest()


# --- making one -----------------------------------------------------------------------------------


def make(name, n_jobs=-1):
    """Compute a run and store it; it replaces the stored one in whole, at the end.

    Raises DataUnavailable, before anything is computed, when its data can't be had.
    """
    experiments, datasets = RUNS[name]
    for dataset in datasets:
        data.fetch(dataset)
    start = time.monotonic()
    made_from = key(name)
    # The longest first, so that no worker is left with one at the end.
    order = sorted(range(len(experiments)), key=lambda i: -_weight(experiments[i]))
    work = joblib.Parallel(n_jobs=n_jobs, return_as="generator")(
        joblib.delayed(_tables)(experiments[i]) for i in order
    )
    parts = dict(zip(order, tqdm(work, f"run {name}", len(order), mininterval=5)))
    tables = _together([parts[i] for i in range(len(experiments))])
    made = {
        "date": date.today().isoformat(),
        "wall_s": round(time.monotonic() - start),
        "cores": joblib.cpu_count(),
        "cpu_s": round(tables["costs"]["cpu_s"].sum()),
        "worker_peak_mib": float(tables["costs"]["peak_mib"].max()),
    }
    _store(name, tables, {"key": made_from, "made": made})
    return tables


def _weight(experiment):
    is_long = experiment.split == "interpolation" or experiment.methods == ("random_search_learn",)
    return experiment.trials * is_long


def _together(parts):
    """The tables of a run from those of its experiments."""
    names = parts[0]
    tables = {name: pd.concat([part[name] for part in parts], ignore_index=True) for name in names}
    families = tables["changes"].groupby(["split", "asked"])["p"]
    tables["changes"]["p_holm"] = families.transform(summary.holm)
    return tables


def _tables(experiment):
    """The tables of one experiment; random_sampling stands in those of its own group only."""
    start = time.process_time()
    found = records(experiment)
    tables = {"summary": summary.summarise(found), "models": summary.per_model(found)}
    if found["method"].nunique() > 1:
        tables["changes"] = summary.compare(found)
    for name, table in tables.items():
        tables[name] = table[table["method"].isin(experiment.methods)]
    if experiment.budget != 50 and experiment.trials < 300:
        # Too many rows, of too few trials to speak of one model.
        tables["models"] = tables["models"][:0]
    costs = {
        "benchmark": experiment.scores,
        "split": experiment.split,
        "budget": found["budget"].iloc[0],
        "methods": " ".join(experiment.methods),
        "trials": experiment.trials,
        "cpu_s": time.process_time() - start,
        "peak_mib": _peak_memory(),
    }
    tables["costs"] = pd.DataFrame([costs])
    for table in tables.values():
        table.insert(2, "asked", float(experiment.budget))
    return tables


def _peak_memory():
    """The most memory, in MiB, that this process has had; NaN where the system doesn't count it."""
    try:
        import resource
    except ModuleNotFoundError:
        return np.nan
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def _store(name, tables, about):
    """Write the tables, then the key: stopped in between, the run counts as stale."""
    place = folder(name)
    place.mkdir(parents=True, exist_ok=True)
    options = {"index": False, "float_format": "%.6g", "lineterminator": "\n"}
    for table_name, table in tables.items():
        partial = place / f"{table_name}.partial"
        table.to_csv(partial, **options)
        partial.replace(place / f"{table_name}.csv")
    about["tables"] = _hashes(name)
    partial = place / "run.partial"
    partial.write_text(json.dumps(about, indent=1) + "\n")
    partial.replace(place / "run.json")
