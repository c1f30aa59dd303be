"""The tables of a case: shown as its rows come, and stored when all are there."""

import json
import os
import time

import pandas as pd

from .measure import ROOT, cpu_clock, machine

RUNS = ROOT / "book" / "runs"


def run(name, rows, out, about=None):
    """Show the rows of a case, (table, row) each, as they come, and then write its tables.

    They go to the folder `out` (None: nowhere), with the machine, the time that they took, and what
    else is to be said `about` them. Gives the tables.
    """
    print(f"\n=== {name}", flush=True)
    here = machine() | (about or {})  # before: the commit may be another one afterwards
    wall = time.monotonic()
    cpu = cpu_clock()
    tables = {}
    for table, row in rows:
        tables.setdefault(table, []).append(row)
        if not table.endswith("_points"):
            _show(tables[table])
    tables = {table: pd.DataFrame(rows) for table, rows in tables.items()}
    spent = {
        "cpu_s": round(cpu_clock() - cpu, 1),
        "wall_s": round(time.monotonic() - wall, 1),
    }
    print(f"\n{name}: {spent['cpu_s']} CPU seconds, {spent['wall_s']} on the clock", flush=True)
    if out:
        _write(out, name, tables, here | spent)
    return tables


def _show(rows):
    """Print the last of the rows, below the names of the columns if it is the first.

    Columns are as wide as the first row needs.
    """
    names = list(rows[0])
    first = _texts(rows[0])
    widths = [
        max(len(name), len(text), 23 if name == "method" else 6) for name, text in zip(names, first)
    ]
    lines = [names, first] if len(rows) == 1 else [_texts(rows[-1])]
    for line in lines:
        print("  ".join(text.rjust(width) for text, width in zip(line, widths)), flush=True)


def _texts(row):
    return [f"{value:.4g}" if isinstance(value, float) else str(value) for value in row.values()]


def _write(out, name, tables, about):
    out.mkdir(parents=True, exist_ok=True)
    for table, frame in tables.items():
        text = frame.to_csv(index=False, float_format="%.5g", lineterminator="\n")
        _replace(out / f"{table}.csv", text)
    note(out, name, about)


def note(out, name, about):
    """Say in the folder's machine.json what is known `about` a case."""
    path = out / "machine.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    _replace(path, json.dumps(known | {name: about}, indent=1) + "\n")


def _replace(path, text):
    """Write a file in one step: stopped in between, the old one is whole."""
    partial = path.with_suffix(".partial")
    partial.write_text(text, encoding="utf-8", newline="\n")
    os.replace(partial, path)
