"""Make the stored runs: experiments whose tables the chapters take.

python book/tools/make_runs.py [NAME ...] [--stale]
"""

import argparse
import sys

from execute import stop_on_signals

from benchpred_utils import DataUnavailable, runs


def make(name: str, only_stale: bool) -> None:
    """Make a run, or say why not: because the stored one can be used, or its data can't be had."""
    reasons = runs.state(name)
    if only_stale and not reasons:
        print(f"run {name}: the stored tables belong to this code and data; they are used")
        return
    print(f"run {name}: {'; '.join(reasons) or 'computed anew'} ...", flush=True)
    try:
        runs.make(name)
    except DataUnavailable as error:
        print(f"run {name}: can't be made: {error}", flush=True)


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"of {', '.join(runs.RUNS)} (default: all)"
    )
    parser.add_argument(
        "--stale", action="store_true", help="only those whose stored tables can't be used"
    )
    args = parser.parse_args(argv)
    if unknown := set(args.names) - set(runs.RUNS):
        parser.error(f"there is no run {', '.join(sorted(unknown))}")
    try:
        for name in args.names or runs.RUNS:
            make(name, args.stale)
    except KeyboardInterrupt:
        print("\nStopped: every stored run is as it was or completely new.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    stop_on_signals()
    sys.exit(main())
