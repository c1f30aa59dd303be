"""Measure CPU time, memory and how they grow; write the tables to book/runs/bench.

    python book/bench/bench.py [--only CASE ...] [--out FOLDER] [--tiny]
    BENCHPRED_BACKEND=cupy python book/bench/bench.py --only large speed    # on a GPU, to book/runs/bench-<its name>

Peers that are not installed are shown as such: `pip install -e .[bench]`, in an environment of its own, has them.
"""

import os

if (
    __name__ == "__main__"
):  # first of all: a library reads the number of its threads when it is loaded
    if (
        os.environ.setdefault("BENCHPRED_BACKEND", "numpy") == "numpy"
    ):  # beside a GPU the host has all its cores
        os.environ |= {
            name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        }

import argparse
import json
import re
import signal
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

import pandas as pd
import settings
from cases import CASES
from measure import device_name, machine

from benchpred_utils import DataUnavailable, backend
from benchpred_utils.keys import code_key

RUNS = ROOT / "book" / "runs"


def main(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only",
        nargs="+",
        choices=CASES,
        default=list(CASES),
        metavar="CASE",
        help=", ".join(CASES),
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=None,
        metavar="FOLDER",
        help="for the tables (book/runs/bench, on a GPU book/runs/bench-<its name>)",
    )
    parser.add_argument(
        "--tiny", action="store_true", help="on a small simulated matrix; shows the tables only"
    )
    args = parser.parse_args(argv)
    try:
        chosen = settings.tiny() if args.tiny else settings.full()
        for name in args.only:
            run(name, chosen, args.out or (None if args.tiny else folder()))
    except DataUnavailable as error:
        print(f"The benchmark needs the six score matrices: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped: the tables of the finished cases are whole.", file=sys.stderr)
        return 130
    return 0


def folder():
    """Where the tables go: each device has its own."""
    if backend.name() == "numpy":
        return RUNS / "bench"
    return RUNS / f"bench-{re.sub('[^a-z0-9]+', '-', device_name().lower()).strip('-')}"


def run(name, chosen, out):
    """Run one case, show its rows as they come, and write its tables when all are there (out=None: nowhere)."""
    print(f"\n=== {name}", flush=True)
    wall, cpu, tables = time.monotonic(), _cpu(), {}
    for table, row in CASES[name](chosen):
        tables.setdefault(table, []).append(row)
        if not table.endswith("_points"):
            _show(tables[table])
    tables = {table: pd.DataFrame(rows) for table, rows in tables.items()}
    spent = {"cpu_s": round(_cpu() - cpu, 1), "wall_s": round(time.monotonic() - wall, 1)}
    about = machine() | {"code": code_key()} | spent
    print(f"\n{name}: {about['cpu_s']} CPU seconds, {about['wall_s']} on the clock", flush=True)
    if out:
        _write(out, name, tables, about)
    return tables


def _cpu():
    """CPU seconds of this process and of the children that have ended."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def _show(rows):
    """Print the last of the rows, and the names of the columns before the first; columns are as wide as the first."""
    as_text = lambda row: [
        f"{value:.4g}" if isinstance(value, float) else str(value) for value in row.values()
    ]
    names, first = list(rows[0]), as_text(rows[0])
    widths = [
        max(len(name), len(text), 23 if name == "method" else 6) for name, text in zip(names, first)
    ]
    for line in [names, first] if len(rows) == 1 else [as_text(rows[-1])]:
        print("  ".join(text.rjust(width) for text, width in zip(line, widths)), flush=True)


def _write(out, name, tables, about):
    out.mkdir(parents=True, exist_ok=True)
    for table, frame in tables.items():
        _replace(
            out / f"{table}.csv",
            frame.to_csv(index=False, float_format="%.5g", lineterminator="\n"),
        )
    path = out / "machine.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    _replace(path, json.dumps(known | {name: about}, indent=1) + "\n")


def _replace(path, text):
    """Write a file in one step: stopped in between, the old one is whole."""
    partial = path.with_suffix(".partial")
    partial.write_text(text, encoding="utf-8", newline="\n")
    os.replace(partial, path)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
