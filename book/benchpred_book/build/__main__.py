"""Make the book: ``python -m benchpred_book.build COMMAND [NAME ...]``.

book    compute the stale experiments of runs, execute the stale chapters, build the pages
run     execute the stale chapters, or those that are named
html    only build the pages; changed prose is carried into the stored notebooks
check   execute chapters anew, compare the numbers with the committed ones, store nothing
format  write the .md of chapters as Jupyter does
runs    compute the stale experiments of the stored runs; with --all, every one
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from functools import partial

from benchpred_utils import DataUnavailable

from .. import repository, runs
from . import compare, html, pairs, stamps
from .execute import ChapterError, execute, in_order, missing

README_FIGURE = "fig-index-gap"
SHOWN = 10  # differences of a chapter, at most


def executed(name: str, anew: bool, keep: bool) -> tuple[str, int]:
    """Execute a chapter if it is stale, or `anew`, and `keep` what it gives.

    Returns what happened and, where it is executed anew, how many numbers are not as committed.
    """
    stale = stamps.stale(name)
    why = missing(name) if stale or anew else "in step"
    if why:
        if keep:
            pairs.write_stored(name, pairs.synced(name))
        return f"{why}{' (STALE)' if stale else ''}", 0
    start = time.monotonic()
    notebook = execute(name)
    stored = pairs.read_stored(name)
    before = (pairs.read_committed(name) or stored) if anew else None
    found = compare.differences(before, notebook) if before else []
    if keep:
        if stored:
            compare.settle(stored, notebook)
        pairs.write_stored(name, notebook)
    return _told(f"executed in {time.monotonic() - start:.0f} s", found), len(found)


def _told(what: str, found) -> str:
    if not found:
        return what
    lines = [f"{what}; {len(found)} DIFFERENCES"]
    lines += [f"    cell {d.cell}, {d.where}: {d.stored} is now {d.new}" for d in found[:SHOWN]]
    if len(found) > SHOWN:
        lines.append(f"    and {len(found) - SHOWN} more")
    return "\n".join(lines)


def chapters(names, work, jobs: int) -> int:
    """Do the work on chapters, and say of each what happened; returns how many numbers moved."""

    def named(name):
        return name, *work(name)

    moved = 0
    for place, (name, said, count) in enumerate(in_order(names, named, jobs), start=1):
        print(f"[{place}/{len(names)}] {name}: {said}", flush=True)
        moved += count
    return moved


def make_runs(names, anew: bool) -> None:
    """Compute what is stale of stored runs, or all `anew`; say where data or libraries lack."""
    for name in names:
        reasons = runs.state(name)
        if not (anew or reasons):
            continue
        print(f"run {name}: {'; '.join(reasons) or 'computed anew'} ...", flush=True)
        try:
            runs.make(name, anew)
        except (DataUnavailable, ImportError) as error:
            print(f"run {name}: can't be made: {error}", flush=True)


def make_pages() -> None:
    """Build the pages, and the picture that the README shows, on white."""
    pictures = [
        output["data"]["image/svg+xml"]
        for cell in pairs.read_stored("index").cells
        if cell.metadata.get("mystnb", {}).get("figure", {}).get("name") == README_FIGURE
        for output in cell.outputs
    ]
    path = repository.root() / "book" / "_static" / "estimation-gap.svg"
    pairs.write(path, pictures[0].replace("<svg ", '<svg style="background: white" ', 1))
    print(f"Built: {html.build()}")


def act(args) -> int:
    """Do what the command line asks for; returns how many numbers moved that must not."""
    names = args.names or pairs.chapter_names()
    moved = 0
    if args.command == "runs":
        make_runs(args.names or runs.RUNS, anew=args.all)
    elif args.command == "format":
        for name in names:
            pairs.write(pairs.source_path(name), pairs.canonical(name))
    elif args.command == "html":
        for name in names:
            pairs.write_stored(name, pairs.synced(name))
    else:
        if args.command == "book":
            make_runs(runs.RUNS, anew=False)
        keep = args.command != "check"
        anew = bool(args.all or args.names or not keep)
        moved = chapters(names, partial(executed, anew=anew, keep=keep), args.jobs)
    if args.command in ("book", "html"):
        make_pages()
    return moved if args.all or args.command == "check" else 0


def parsed(argv):
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        "benchpred_book.build", description=__doc__, formatter_class=form
    )
    parser.add_argument("command", choices=["book", "run", "html", "check", "format", "runs"])
    parser.add_argument("names", nargs="*", metavar="NAME", help="chapters, or runs (default: all)")
    parser.add_argument("--all", action="store_true", help="also what is not stale")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    parser.add_argument("--jobs", type=int, default=min(8, cores), help="chapters at a time")
    args = parser.parse_intermixed_args(argv)  # options may stand before names
    unknown = set(args.names) - set(runs.RUNS if args.command == "runs" else pairs.chapter_names())
    if unknown:
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    return args


def main(argv=None) -> int:
    args = parsed(argv)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        moved = act(args)
    except (ChapterError, subprocess.CalledProcessError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped: every notebook and run is as it was or new.", file=sys.stderr)
        return 130
    if moved:
        print(f"\n{moved} numbers are not those that were stored.", file=sys.stderr)
    return int(moved > 0)


if __name__ == "__main__":
    sys.exit(main())
