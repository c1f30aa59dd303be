"""The command line: which items to run next, what their results say, what is wrong with a file."""

import argparse
import json
import os
import sys
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..methods import METHODS, RECOMMENDED
from ..scores import Scores
from . import report
from .readers import among, read_any, read_results
from .session import ROUNDS, EvaluationSession, SessionEstimate, one_round, write_json

__all__ = ["main"]

ONE_ROUND = "aipw_cross_fitted"
EPILOG = f"""example, with sample logs of lm-evaluation-harness (tables, runs of HELM do as well):
  benchpred check logs/*
  benchpred items logs/* --budget 50 --session mine.json --samples samples.json
  lm_eval ... --samples samples.json --log_samples --output_path runs
  benchpred estimate runs --session mine.json
The last three are repeated until the budget is spent, {ROUNDS} times; with items --rounds 3, three
times.  Where the script is not on the path: python -m benchpred_utils check logs/*"""

LIMIT = (
    "these are the first items, as --limit gives them: no random sample; draw items with "
    "--one-round"
)

Args = argparse.Namespace


# --- the commands ---


def check(args: Args) -> None:
    """Say what files hold; what is wrong with one is an error."""
    for path in args.files:
        print(report.file_words(path, read_any(path, args.metric, args.filter, args.missing)))


def items(args: Args) -> None:
    """Print the items to run next, one a line, and write them as lm_eval wants them."""
    session = _resumed(args) if Path(args.session).exists() else _begun(args)
    names = session.next_items()
    if args.samples:
        write_json(args.samples, _by_task(names, args.task))
    if names:
        print("\n".join(names))
    else:
        print("nothing: the evaluation is done", file=sys.stderr)


def estimate(args: Args) -> None:
    """Record the results of what was asked for, and print the estimate."""
    session = _resumed(args) if args.session else None
    source = session.source if session else _read(args)
    results = read_results(args.results, args.metric, args.filter, sources=args.sources)
    results = among(results, source.items).dropna().to_dict()
    session = session or one_round(source, _any_order(results))
    found = _recorded(session, results)
    if args.json:
        print(report.estimate_json(found, session))
    else:
        again = f"benchpred items --session {args.session}"
        print(report.estimate_words(found, session, again))


# --- the session's file, which says how to read the sources ---

READING = ("metric", "filter", "missing")


def _read(args: Args) -> Scores:
    return read_any(args.sources, args.metric, args.filter, args.missing)


def _begun(args: Args) -> EvaluationSession:
    if not args.sources or (args.budget is None) == (args.precision is None):
        raise ValueError(
            f"{args.session} is not there: to begin it give SOURCES, and --budget N or "
            "--precision H"
        )
    if args.method == ONE_ROUND and (args.precision or args.rounds):
        raise ValueError(
            f"--one-round, or --method {ONE_ROUND}, draws all items at once: it goes with "
            "--budget N, without --precision and --rounds"
        )
    session = EvaluationSession(
        _read(args),
        method=args.method,
        budget=args.budget,
        precision=args.precision,
        rounds=args.rounds,
        rng=np.random.default_rng(args.seed),
    )
    folder = Path(args.session).resolve().parent
    paths = [os.path.relpath(path, folder) for path in args.sources]
    session.origin = {name: getattr(args, name) for name in READING} | {"paths": paths}
    session.path = args.session
    session.save()
    return session


def _resumed(args: Args) -> EvaluationSession:
    """The session, and in `args` where its sources are, and what to read of results."""
    path = Path(args.session)
    try:
        origin = json.loads(path.read_text(encoding="utf-8"))["sources"]
    except (OSError, ValueError, KeyError, TypeError):
        raise ValueError(f"{path} is not a session, or not there; `items` begins one") from None
    if origin is None:
        raise ValueError(
            f"{path} was begun in Python and does not say where its sources are: go on with it "
            "there, by EvaluationSession.resume"
        )
    try:
        folder = path.resolve().parent
        args.sources = [os.path.relpath(folder / source) for source in origin["paths"]]
    except (OSError, ValueError, KeyError, TypeError):
        raise ValueError(f"{path} is not a session, or not there; `items` begins one") from None
    source = read_any(args.sources, *(origin[name] for name in READING))
    args.metric = args.metric or origin["metric"]
    args.filter = args.filter or origin["filter"]
    return EvaluationSession.resume(path, source)


# --- items and results ---


def _by_task(names: list[str], task: str | None) -> dict[str, list[int]]:
    """What lm_eval --samples wants, {task: doc_ids}: ascending, else the harness mislabels them."""
    found = {}
    for name in names:
        its_task, _, number = name.rpartition(":")
        if not number.isdigit() or not (its_task or task):
            raise ValueError(
                f"item {name} is not TASK:NUMBER, as lm_eval counts items; is --task missing?"
            )
        found.setdefault(its_task or task, []).append(int(number))
    return {its_task: sorted(numbers) for its_task, numbers in found.items()}


def _any_order(results: dict[str, float]) -> list[str]:
    """The items in an order of their own, as good as random: the folds of an estimate need one."""
    names = sorted(results)
    seed = zlib.crc32("\n".join(names).encode())
    return np.random.default_rng(seed).permutation(names).tolist()


def _recorded(session: EvaluationSession, results: dict[str, float]) -> SessionEstimate:
    """The estimate after recording the results of all items asked for, round after round."""
    before = len(session.results)
    again = [name for name in session.results if name in results]
    session.record(again, [results[name] for name in again])  # refused where one has changed
    asked = session.next_items()
    while asked:
        new = [name for name in asked if name in results]
        session.record(new, [results[name] for name in new])
        asked = session.next_items() if new else []
    found = session.estimate()
    notes = []
    if found.n == before and not session.done:
        notes = ["no result is new: these are not of the items that were asked for"]
    if set(session.source.items[: found.n]) == session.results.keys() and session.done:
        notes = [LIMIT] if found.n < session.source.n_items else []
    return found._replace(warnings=(*found.warnings, *notes))


# --- the command line ---


def _budget(text: str) -> float:
    try:
        return float(text) if "." in text else int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither a number of items nor a fraction like 0.2"
        ) from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("benchpred", description=__doc__, epilog=EPILOG)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for run, text, add_options in COMMANDS:
        command = commands.add_parser(run.__name__, help=text, description=text)
        command.set_defaults(run=run)
        add_options(command, command.add_argument)
        add = command.add_argument
        add("--metric", help="which metric to read, where logs hold several")
        add("--filter", help="which filter of lm-evaluation-harness to read, where there are more")
        drop = "drop: the items that some lack"
        add("--missing", choices=["error", "drop"], default="error", help=drop)
    return parser


def _items_options(command: argparse.ArgumentParser, add: Callable) -> None:
    add("sources", nargs="*", help="the source scores: tables, sample logs, run folders")
    add("--session", required=True, help="the evaluation's file, begun here if it is not there")
    add("--budget", type=_budget, metavar="N", help="items to run (below 1: a fraction)")
    add("--precision", type=float, metavar="H", help="stop at an interval this far to either side")
    share = f"runs that share the budget (default {ROUNDS})"
    add("--rounds", type=int, metavar="R", help=share)
    method = command.add_mutually_exclusive_group().add_argument
    method("--method", default=RECOMMENDED, choices=METHODS, help="what draws and estimates")
    at_once = (
        "draw all items at once, uniformly: one run, and an interval about an eighth wider; "
        f"short for --method {ONE_ROUND}"
    )
    method("--one-round", action="store_const", dest="method", const=ONE_ROUND, help=at_once)
    add("--seed", type=int, help="of the draw")
    add("--samples", metavar="FILE", help="write the items for lm_eval --samples FILE")
    add("--task", help="the task's name for --samples, where the items are only numbers")


def _estimate_options(command: argparse.ArgumentParser, add: Callable) -> None:
    add("results", nargs="+", help="results of one model: item, score as CSV or JSONL; logs")
    of = command.add_mutually_exclusive_group(required=True).add_argument
    of("--session", metavar="FILE", help="the evaluation that `items` began")
    of("--sources", nargs="+", help="for results of random items, or of all, without a session")
    add("--json", action="store_true", help="print JSON")


def _check_options(command: argparse.ArgumentParser, add: Callable) -> None:
    add("files", nargs="+", metavar="FILE")


COMMANDS = (
    (check, "say what files hold, or what is wrong with them", _check_options),
    (items, "say which items to run next; begins a session where there is none", _items_options),
    (estimate, "record results, and say what they say", _estimate_options),
)


def _print_warning(message: Warning, *place: object) -> None:
    print(f"warning: {message}", file=sys.stderr)


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0: all is well, 1: not with files or numbers, 2: not with the options."""
    args = _parser().parse_args(arguments)
    with warnings.catch_warnings():
        warnings.showwarning = _print_warning
        try:
            args.run(args)
        except (ValueError, TypeError, OSError, ImportError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
    return 0
