"""Stored runs: experiments too long to repeat at every reading, kept as tables with their key.

A run is a folder of tidy tables and a ``run.json`` with its key: the settings of each experiment,
the code that made it, by definitions, and the data's hashes.  `load` gives the tables only while
all three are what they are here.  ``make runs`` computes the experiments anew that are not.
"""

import ast
import hashlib
import io
import json
import os
import time
from dataclasses import asdict
from datetime import date
from pathlib import Path

import joblib
import pandas as pd
from tqdm import tqdm

from benchpred_utils import data, summary

from . import code, expressions, repository, rivals
from .protocols import RUNS, records

MADE_BY = "benchpred_book.runs._tables"  # it reaches all that makes the rows of an experiment
RIVALS_MADE_BY = "benchpred_book.rivals.tables"
SHORT = 16  # hexadecimal digits of a key in run.json, which holds two for each experiment

__all__ = ["MEASURED", "RUNS", "StaleRun", "folder", "glued", "load", "make", "state"]

CSV = {"index": False, "float_format": "%.6g", "lineterminator": "\n"}
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
    """The texts that an executed chapter has glued, {name: text}; none if it never was executed.

    With them the values in its prose, by their expressions.
    """
    path = repository.root() / "notebooks" / f"{chapter}.ipynb"
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"] if path.exists() else []
    found = expressions.texts(cells)
    for output in (output for cell in cells for output in cell.get("outputs", [])):
        name = output.get("metadata", {}).get("scrapbook", {}).get("name")
        for mime, text in output.get("data", {}).items():
            written = "".join(text)
            if name and mime.endswith("text/plain") and written[0] in "'\"":  # no table or chart
                found[name] = ast.literal_eval(written)
    return found


def state(name):
    """The reasons, in words, why a stored run can't be used: an empty list when it can."""
    if _is_measured(name):
        return [] if _tables_of(name) else ["it was never made"]
    if name not in RUNS:
        raise ValueError(f"there is no run {name!r}; there are {', '.join(RUNS)}")
    if not (folder(name) / "run.json").exists():
        return ["it was never made"]
    stored = _about(name)
    before, now = stored["key"]["experiments"], key(name)["experiments"]
    added = max(len(now.keys() - before.keys()), len(before.keys() - now.keys()))
    changed = sum(before.get(settings, made_by) != made_by for settings, made_by in now.items())
    reasons = [
        f"its {part} changed ({count} of {len(now)} experiments)"
        for part, count in (("settings", added), ("code", changed))
        if count
    ]
    if stored["key"]["data"] != data_key(RUNS[name][1]):
        reasons.append("its data changed")
    if stored["tables"] != _hashes(name):
        reasons.append("its tables are not those that were made")
    return reasons


def _is_measured(name):
    """Whether these are measured tables: of the host, or of the GPU in the name."""
    return name == MEASURED or name.startswith(f"{MEASURED}-")


def _about(name):
    """What a run was made from; one that says nothing of its experiments has none to take."""
    about = json.loads((folder(name) / "run.json").read_text())
    about["key"].setdefault("experiments", {})
    return about


def _tables_of(name):
    return sorted(folder(name).glob("*.csv"))


def _hashes(name):
    return {path.name: _sha256(path.read_bytes()) for path in _tables_of(name)}


def key(name):
    """What run `name` is made from now: its data files, and what each of its experiments is.

    An experiment is the sha256 of its settings with that of the code that makes its rows: of the
    methods of METHODS, only its own and random_sampling.
    """
    experiments, datasets = RUNS[name]
    made_by = RIVALS_MADE_BY if name == "rivals" else MADE_BY
    code_of = {
        methods: code.key(code.reached(names=[made_by], methods=("random_sampling", *methods)))
        for methods in {experiment.methods for experiment in experiments}
    }
    return {
        "data": data_key(datasets),
        "experiments": {_settings(e): code_of[e.methods][:SHORT] for e in experiments},
    }


def _settings(experiment):
    return _sha256(json.dumps(asdict(experiment)).encode())[:SHORT]


def data_key(names):
    """The sha256 of every file that the data sets `names` are made from, by the manifest."""
    return {entry["file"]: entry["sha256"] for name in names for entry in data.files(name)}


def _sha256(content):
    return hashlib.sha256(content).hexdigest()


# --- making one -----------------------------------------------------------------------------------


def make(name, anew=False, n_jobs=-1):
    """Compute the stale experiments of a run, or all `anew`, and store it in whole, at the end.

    The rows of the others stay as they are stored, letter by letter.
    Raises DataUnavailable, before anything is computed, when its data can't be had.
    """
    experiments, datasets = RUNS[name]
    for dataset in datasets:
        data.fetch(dataset)
    start = time.monotonic()
    made_from = key(name)
    parts = {} if anew else _kept(name, made_from)
    stale = [experiment for experiment in experiments if experiment not in parts]
    # The longest first, so that no worker is left with one at the end.
    stale.sort(key=_weight, reverse=True)
    tables_of = rivals.tables if name == "rivals" else _tables
    work = joblib.Parallel(n_jobs=n_jobs, return_as="generator")(
        joblib.delayed(tables_of)(experiment) for experiment in stale
    )
    for tables, experiment in zip(tqdm(work, f"run {name}", len(stale), mininterval=5), stale):
        parts[experiment] = {part: _as_text(table) for part, table in tables.items()}
    tables = _together([parts[experiment] for experiment in experiments])
    made = {
        "date": date.today().isoformat(),
        "experiments": len(stale),
        "wall_s": round(time.monotonic() - start),
        "cores": joblib.cpu_count(),
        "cpu_s": round(tables["costs"]["cpu_s"].astype(float).sum()),
    }
    _store(name, tables, {"key": made_from, "made": made})
    return load(name)


def _kept(name, now):
    """The stored tables of the experiments that are what they are `now`, as text."""
    if not (folder(name) / "run.json").exists():
        return {}
    stored = _about(name)
    if stored["key"]["data"] != now["data"] or stored["tables"] != _hashes(name):
        return {}
    same = stored["key"]["experiments"].items() & now["experiments"].items()
    kept = {e: {} for e in RUNS[name][0] if _settings(e) in dict(same)}
    for path in _tables_of(name):
        table = _read_text(path)
        cells = dict(iter(table.groupby(["benchmark", "split", "asked"])))
        for experiment, tables in kept.items():
            cell = (experiment.scores, experiment.split, f"{experiment.budget:.6g}")
            rows = cells.get(cell, table[:0])
            own = (
                rows["method"].isin(experiment.methods)
                if "method" in rows
                else rows["methods"] == " ".join(experiment.methods)
            )
            tables[path.stem] = rows[own]
    return kept


def _read_text(source):
    """A table of CSV as it is written: numbers are text, a missing one is an empty text."""
    return pd.read_csv(source, dtype=str, keep_default_na=False)


def _as_text(table):
    return _read_text(io.StringIO(table.to_csv(**CSV)))


def _weight(experiment):
    is_long = experiment.split == "interpolation" or experiment.methods == ("random_search_learn",)
    return experiment.trials * is_long


def _together(parts):
    """The tables of a run from those of its experiments, as text.

    The p values are corrected as they are written: it makes no difference which are kept.
    """
    names = parts[0]
    tables = {name: pd.concat([part[name] for part in parts], ignore_index=True) for name in names}
    changes = tables["changes"]
    families = pd.to_numeric(changes["p"]).groupby([changes["split"], changes["asked"]])
    changes["p_holm"] = _as_text(families.transform(summary.holm).to_frame())["p"]
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
    }
    tables["costs"] = pd.DataFrame([costs])
    for table in tables.values():
        table.insert(2, "asked", float(experiment.budget))
    return tables


def _store(name, tables, about):
    """Write the tables, then the key: stopped in between, the whole run counts as stale."""
    place = folder(name)
    place.mkdir(parents=True, exist_ok=True)
    for table_name, table in tables.items():
        partial = place / f"{table_name}.partial"
        table.to_csv(partial, **CSV)
        partial.replace(place / f"{table_name}.csv")
    about["tables"] = _hashes(name)
    partial = place / "run.partial"
    partial.write_text(json.dumps(about, indent=1) + "\n")
    partial.replace(place / "run.json")
