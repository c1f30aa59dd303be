"""Execute the chapters: ``run`` stores the outputs, ``check`` compares anew, ``sync`` carries prose over,
``format`` writes the .md as jupytext does.

    python book/tools/execute.py run [NAME ...] [--jobs 2]
    python book/tools/execute.py check [NAME ...] [--jobs 2] [--rel-tol 1e-6]
    python book/tools/execute.py sync [NAME ...]
    python book/tools/execute.py format [NAME ...]

A stored notebook is replaced in one step, when its chapter has run to the end: stopped at any moment, every notebook
is as it was or completely new.
"""

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import pairs
from compare import ABS_TOL, REL_TOL, differences
from keys import CHAPTERS_DECLARATION, ROOT, package_key, stored_state
from runner import ChapterError, Execution, files_of, locate, run_files

from benchpred_utils import runs

README_FIGURE = "fig-index-gap"
README_PICTURE = ROOT / "book" / "_static" / "estimation-gap.svg"


class Outcome(NamedTuple):
    name: str
    result: str
    seconds: float = 0.0
    why: str = ""


class Work(NamedTuple):
    """What is done with a chapter that was executed, and with one that can't be."""

    finish: Callable  # (name, notebook, seconds) -> Outcome
    skip: Callable  # (name, why) -> Outcome


def execute_all(names, work: Work, jobs: int) -> list[Outcome]:
    """Execute chapters, `jobs` at a time, each in its own kernel; a fault in one, or a signal, stops them all."""
    waiting, running, outcomes = list(names), {}, {}
    try:
        while waiting or running:
            while len(running) < jobs and (name := next_of(waiting, running)):
                waiting.remove(name)
                files, why = sources_of(name)
                if why:
                    outcomes[name] = work.skip(name, why)
                else:
                    running[name] = Execution(name, files)
            for name in [
                name for name, execution in running.items() if execution.wait(0.1 / len(running))
            ]:
                execution = running.pop(name)
                outcomes[name] = work.finish(name, execution.result(), execution.seconds)
                report(
                    f"[{len(outcomes)}/{len(names)}] {name}: {execution.n_cells} cells, {execution.seconds:.1f} s"
                )
            show_progress(running)
    finally:
        for execution in running.values():
            execution.stop()
    return [outcomes[name] for name in names]


def next_of(waiting, running) -> str | None:
    """The first waiting chapter that takes no text from one that has yet to be executed; a circle is an error."""
    busy = {*waiting, *running}
    for name in waiting:
        if not busy.intersection(pairs.declared_chapters(pairs.read_chapter(name))):
            return name
    if waiting and not running:
        raise ChapterError(
            f"{', '.join(waiting)}: each waits for another one: look at {CHAPTERS_DECLARATION}"
        )
    return None


def show_progress(running) -> None:
    """On a terminal, one line with the chapters that run and how far they are."""
    if sys.stdout.isatty():
        line = ", ".join(f"{name} {e.n_done}/{e.n_cells}" for name, e in running.items())
        print(f"\r\033[K{line}", end="", flush=True)


def report(line: str) -> None:
    """Print a line that stays."""
    print(("\r\033[K" if sys.stdout.isatty() else "") + line, flush=True)


def export_readme_figure(notebook) -> None:
    """Write the picture of the landing page that the README shows, on white, as it is stored."""
    for cell in notebook.cells:
        if cell.metadata.get("mystnb", {}).get("figure", {}).get("name") == README_FIGURE:
            README_PICTURE.write_text(readme_picture(cell), encoding="utf-8")


def readme_picture(cell) -> str:
    picture = next(
        output.data["image/svg+xml"]
        for output in cell.outputs
        if "image/svg+xml" in output.get("data", {})
    )
    return picture.replace("<svg ", '<svg style="background: white" ', 1)


def sources_of(name: str):
    """The files of the data and the stored runs that a chapter takes, and why it can't be executed, if it can't."""
    chapter = pairs.read_chapter(name)
    files, missing = locate(pairs.declared_data(chapter))
    stale = [run for run in pairs.declared_runs(chapter) if runs.state(run)]
    if missing or stale:
        reasons = {"no data": missing, "no run": stale}
        return {}, "; ".join(
            f"{what}: {', '.join(names)}" for what, names in reasons.items() if names
        )
    return files | run_files(pairs.declared_runs(chapter)), ""


def store(name: str, notebook, seconds: float) -> Outcome:
    """Store the outputs of a chapter."""
    pairs.write_stored(name, notebook)
    export_readme_figure(notebook)
    return Outcome(name, "executed", seconds)


def keep(name: str, why: str) -> Outcome:
    """Keep the stored outputs of a chapter whose data is missing; carry its prose over."""
    pairs.write_stored(name, pairs.synced(name))
    report(f"{name}: {why}: keeps its stored outputs")
    stale = stored_state(name)
    return Outcome(name, "kept", why=why + (f"; STALE: {', '.join(stale)}" if stale else ""))


def compared(name: str, notebook, seconds: float, rel_tol=REL_TOL, abs_tol=ABS_TOL) -> Outcome:
    """Compare the numbers in the outputs of a chapter that was executed aside with the stored ones."""
    stored = pairs.read_stored(name)
    if stored is None:
        return Outcome(name, "DIFFERS", seconds, "it was never executed")
    found = differences(stored, notebook, rel_tol, abs_tol)
    for item in found:
        report(
            f"  {name}, cell {item.cell}, {item.where}:\n    stored {item.stored}\n    new    {item.new}"
        )
    return Outcome(
        name,
        "DIFFERS" if found else "agrees",
        seconds,
        f"{len(found)} differences" if found else "",
    )


def check_chapter(name: str) -> Outcome:
    """Execute one chapter aside and compare."""
    return execute_all([name], Work(compared, unchecked), 1)[0]


def unchecked(name: str, why: str) -> Outcome:
    """A chapter that can't be executed is not checked."""
    return Outcome(name, "not checked", why=why)


def sync_chapter(name: str) -> Outcome:
    """Carry the written chapter into the stored notebook, keeping the outputs of the cells that did not change."""
    return Outcome(name, "synced" if pairs.write_stored(name, pairs.synced(name)) else "in step")


def format_chapter(name: str) -> Outcome:
    """Write the chapter as Jupyter would on saving it, so that what people write in either place looks the same."""
    changed = pairs.format_source(name)
    sync_chapter(name)
    return Outcome(name, "formatted" if changed else "in form")


def act(args, names) -> list[Outcome]:
    """Do what the command line asks for."""
    if args.command in ("sync", "format"):
        return [
            {"sync": sync_chapter, "format": format_chapter}[args.command](name) for name in names
        ]
    works = {
        "run": Work(store, keep),
        "check": Work(partial(compared, rel_tol=args.rel_tol), unchecked),
    }
    return execute_all(names, works[args.command], args.jobs)


def n_jobs() -> int:
    """As many kernels as this process may use cores, but not more than eight: each takes up to a gigabyte."""
    return min(
        8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )


def show(outcomes: list[Outcome], wall: float) -> None:
    """Print what happened to each chapter, and how long it took, one by one and together."""
    width = max(len(outcome.name) for outcome in outcomes)
    print(f"\n{'chapter':{width}}  {'outputs':11}  seconds")
    for name, result, seconds, why in outcomes:
        print(
            f"{name:{width}}  {result:11}  {f'{seconds:7.1f}' if seconds else '':7}  {why}".rstrip()
        )
    print(f"{'together':{width}}  {'':11}  {wall:7.1f}")


def parse(argv):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=["run", "check", "sync", "format"])
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="chapters (default: all in _toc.yml)"
    )
    parser.add_argument(
        "--jobs", type=int, default=n_jobs(), help="chapters executed at a time (%(default)s)"
    )
    parser.add_argument(
        "--rel-tol", type=float, default=REL_TOL, help="relative tolerance of check (%(default)s)"
    )
    args = parser.parse_args(argv)
    unknown = set(args.names) - set(pairs.chapter_names())
    if unknown:
        parser.error(f"not in _toc.yml: {', '.join(sorted(unknown))}")
    return args


def main(argv=None) -> int:
    args = parse(argv)
    names = [name for name in pairs.chapter_names() if name in args.names or not args.names]
    pairs.remove_partial_files()
    files_of.cache_clear()
    package_key.cache_clear()
    package_key()  # code that changes while chapters execute leaves them stale
    started = time.monotonic()
    try:
        outcomes = act(args, names)
    except ChapterError as error:
        print(
            f"\n{error}\n\nStopped there: every notebook is as it was or completely new.",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        print("\nStopped: every notebook is as it was or completely new.", file=sys.stderr)
        return 130
    if any(outcome.result not in ("in step", "in form") for outcome in outcomes):
        show(outcomes, time.monotonic() - started)
    return int(any(outcome.result == "DIFFERS" for outcome in outcomes))


def stop_on_signals() -> None:
    """Stop in good order on Ctrl-C and on SIGTERM, also where a shell started us in the background deaf to the first."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)


def _interrupt(*_):
    raise KeyboardInterrupt


if __name__ == "__main__":
    stop_on_signals()
    sys.path.insert(0, str(ROOT))
    sys.exit(main())
