"""Measure CPU time, memory and how they grow; write the tables to book/runs/bench.

    python -m book.bench [--only CASE ...] [--out FOLDER] [--tiny]     in the repository's folder
    python -m book.bench --against COMMIT      times of this code over those of an earlier commit
    python -m book.bench --gpu      the tests and the benchmark on a GPU, to book/runs/bench-NAME

Peers that are not installed are shown as such: `pip install -e .[bench]`, in an environment of its
own, has them.
"""

import argparse
import os
import signal
import subprocess
import sys
from pathlib import Path

from threadpoolctl import threadpool_limits

from benchpred_utils import DataUnavailable

from . import against, gpu, settings
from .cases import CASES
from .tables import RUNS, run

ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}


def main(argv=None):
    parser = argparse.ArgumentParser(
        "python -m book.bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    kinds = parser.add_mutually_exclusive_group()
    names = ", ".join(CASES)
    kinds.add_argument(
        "--only", nargs="+", choices=CASES, default=list(CASES), metavar="CASE", help=names
    )
    kinds.add_argument("--against", metavar="COMMIT", help="the commit to compare with")
    kinds.add_argument("--gpu", action="store_true", help="the suite for a GPU, within 8 minutes")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="for the tables")
    parser.add_argument(
        "--tiny", action="store_true", help="on a small matrix; stored only with --out"
    )
    args = parser.parse_args(argv)
    try:
        return gpu.suite(args.out, args.tiny) if args.gpu else _on_one_thread(args)
    except (DataUnavailable, gpu.NoDevice) as error:
        print(f"The benchmark can't be run: {error}", file=sys.stderr)
    except subprocess.CalledProcessError as error:
        print(f"The benchmark can't be run: {error}\n{error.stderr or ''}", file=sys.stderr)
    except KeyboardInterrupt:
        print("\nStopped: the tables of the finished cases are whole.", file=sys.stderr)
        return 130
    return 1


def _on_one_thread(args):
    """The cases that were asked for, in NumPy and on one thread."""
    # for the libraries that are still to be loaded, and for the processes that are started
    os.environ.update(ONE_THREAD, BENCHPRED_BACKEND="numpy")
    chosen = settings.tiny() if args.tiny else settings.full()
    out = args.out or (None if args.tiny else RUNS / "bench")
    with threadpool_limits(1):  # for those that are loaded
        if args.against:
            run("against", against.against(args.against, chosen), out, {"then": args.against})
            return 0
        for name in args.only:
            run(name, CASES[name](chosen), out)
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
