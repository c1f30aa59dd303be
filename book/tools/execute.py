"""Execute the chapters: ``run`` stores the outputs, ``check`` compares anew, ``sync`` carries prose over,
``format`` writes the .md as jupytext does.

    python book/tools/execute.py run [NAME ...]
    python book/tools/execute.py check [NAME ...] [--rel-tol 1e-6]
    python book/tools/execute.py sync [NAME ...]
    python book/tools/execute.py format [NAME ...]

A stored notebook is replaced in one step, when its chapter has run to the end: stopped at any moment, every notebook
is as it was or completely new.
"""

import argparse
import signal
import sys
from typing import NamedTuple

import pairs
from benchpred_utils import runs
from compare import ABS_TOL, REL_TOL, differences
from keys import ROOT, stored_state
from runner import ChapterError, Execution, files_of, locate, run_files

README_FIGURE = "fig-index-gap"
README_PICTURE = ROOT / "book" / "_static" / "estimation-gap.svg"


class Outcome(NamedTuple):
    name: str
    result: str
    seconds: float = 0.0
    why: str = ""


def execute(name: str, files, label: str):
    """Execute a chapter with a progress line, live on a terminal; returns the notebook and the seconds it took."""
    live = sys.stdout.isatty()
    print(f"{label} {name} ...", end="" if live else "\n", flush=True)
    execution = Execution(name, files)
    try:
        while not execution.wait(0.5):
            if live:
                done = f"cell {execution.n_done}/{execution.n_cells}"
                print(f"\r\033[K{label} {name} ... {done}, {execution.seconds:.0f} s", end="", flush=True)
    except KeyboardInterrupt:
        execution.stop()
        raise
    finally:
        if live:
            print("\r\033[K", end="")
    notebook = execution.result()
    print(f"{label} {name}: {execution.n_cells} cells, {execution.seconds:.1f} s", flush=True)
    return notebook, execution.seconds


def export_readme_figure(notebook) -> None:
    """Write the picture of the landing page that the README shows, on white, as it is stored."""
    for cell in notebook.cells:
        if cell.metadata.get("mystnb", {}).get("figure", {}).get("name") == README_FIGURE:
            README_PICTURE.write_text(readme_picture(cell), encoding="utf-8")


def readme_picture(cell) -> str:
    picture = next(output.data["image/svg+xml"] for output in cell.outputs if "image/svg+xml" in output.get("data", {}))
    return picture.replace("<svg ", '<svg style="background: white" ', 1)


def sources_of(name: str):
    """The files of the data and the stored runs that a chapter takes, and why it can't be executed, if it can't."""
    chapter = pairs.read_chapter(name)
    files, missing = locate(pairs.declared_data(chapter))
    stale = [run for run in pairs.declared_runs(chapter) if runs.state(run)]
    if missing or stale:
        reasons = {"no data": missing, "no run": stale}
        return {}, "; ".join(f"{what}: {', '.join(names)}" for what, names in reasons.items() if names)
    return files | run_files(pairs.declared_runs(chapter)), ""


def run_chapter(name: str, label: str) -> Outcome:
    """Execute a chapter and store its outputs; without its data the stored outputs stay, the prose is synced."""
    files, why = sources_of(name)
    if not why:
        notebook, seconds = execute(name, files, label)
        pairs.write_stored(name, notebook)
        export_readme_figure(notebook)
        return Outcome(name, "executed", seconds)
    pairs.write_stored(name, pairs.synced(name))
    print(f"{label} {name}: {why}: keeps its stored outputs", flush=True)
    stale = stored_state(name)
    return Outcome(name, "kept", why=why + (f"; STALE: {', '.join(stale)}" if stale else ""))


def check_chapter(name: str, label: str, rel_tol=REL_TOL, abs_tol=ABS_TOL) -> Outcome:
    """Execute a chapter aside and compare the numbers in its outputs with the stored ones."""
    stored = pairs.read_stored(name)
    if stored is None:
        return Outcome(name, "DIFFERS", why="it was never executed")
    files, why = sources_of(name)
    if why:
        return Outcome(name, "not checked", why=why)
    notebook, seconds = execute(name, files, label)
    found = differences(stored, notebook, rel_tol, abs_tol)
    for item in found:
        print(f"  {name}, cell {item.cell}, {item.where}:\n    stored {item.stored}\n    new    {item.new}")
    return Outcome(name, "DIFFERS" if found else "agrees", seconds, f"{len(found)} differences" if found else "")


def sync_chapter(name: str, label: str) -> Outcome:
    """Carry the written chapter into the stored notebook, keeping the outputs of the cells that did not change."""
    return Outcome(name, "synced" if pairs.write_stored(name, pairs.synced(name)) else "in step")


def format_chapter(name: str, label: str) -> Outcome:
    """Write the chapter as Jupyter would on saving it, so that what people write in either place looks the same."""
    changed = pairs.format_source(name)
    sync_chapter(name, label)
    return Outcome(name, "formatted" if changed else "in form")


ACTIONS = {"run": run_chapter, "check": check_chapter, "sync": sync_chapter, "format": format_chapter}


def show(outcomes: list[Outcome]) -> None:
    """Print what happened to each chapter, and how long it took."""
    width = max(len(outcome.name) for outcome in outcomes)
    print(f"\n{'chapter':{width}}  {'outputs':11}  seconds")
    for name, result, seconds, why in outcomes:
        print(f"{name:{width}}  {result:11}  {f'{seconds:7.1f}' if seconds else '':7}  {why}".rstrip())
    print(f"{'together':{width}}  {'':11}  {sum(outcome.seconds for outcome in outcomes):7.1f}")


def parse(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=list(ACTIONS))
    parser.add_argument("names", nargs="*", metavar="NAME", help="chapters (default: all in _toc.yml)")
    parser.add_argument("--rel-tol", type=float, default=REL_TOL, help="relative tolerance of check (%(default)s)")
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
    action = ACTIONS[args.command]
    options = {"rel_tol": args.rel_tol} if args.command == "check" else {}
    outcomes = []
    try:
        for number, name in enumerate(names, start=1):
            outcomes.append(action(name, f"[{number}/{len(names)}]", **options))
    except ChapterError as error:
        print(f"\n{error}\n\nStopped there; the stored notebook of this chapter is as it was.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped: every notebook is as it was or completely new.", file=sys.stderr)
        return 130
    if any(outcome.result not in ("in step", "in form") for outcome in outcomes):
        show(outcomes)
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
