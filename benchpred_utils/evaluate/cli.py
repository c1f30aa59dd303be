"""The command line: which items to run next, what their results say, what is wrong with a file."""

import argparse
import json
import os
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np
import pandas as pd

from ..methods import METHODS, RECOMMENDED
from . import report
from .readers import read_any, read_results
from .session import ROUNDS, EvaluationSession, SessionEstimate, one_round, write_json

__all__ = ["main"]

ONE_ROUND = "aipw_cross_fitted"
EPILOG = f"""example, with sample logs of lm-evaluation-harness (tables and run folders of HELM do as well):
  benchpred check logs/*
  benchpred items logs/* --budget 50 --session mine.json --samples samples.json
  lm_eval ... --samples samples.json --log_samples --output_path runs
  benchpred estimate runs --session mine.json
The last three are repeated until the budget is spent, {ROUNDS} times; with items --rounds 3, say, three times.
Without the script: python -m benchpred_utils check logs/*"""


# --- the commands ---


def check(args: argparse.Namespace) -> None:
    for path in args.files:
        print(report.file_words(path, read_any(path, args.metric, args.filter, args.missing)))


def items(args: argparse.Namespace) -> None:
    session = _resumed(args.session) if Path(args.session).exists() else _begun(args)
    names = session.next_items()
    if args.samples:
        write_json(args.samples, _by_task(names, args.task))
    if names:
        print("\n".join(names))
    else:
        print("nothing: the evaluation is done", file=sys.stderr)


def estimate(args: argparse.Namespace) -> None:
    session = _resumed(args.session) if args.session else None
    origin = session.origin if session else _origin(args)
    paths = _from_here(origin, args.session)
    source = session.source if session else _read(origin, paths)
    metric, filter = args.metric or origin["metric"], args.filter or origin["filter"]
    results = _known(read_results(args.results, metric, filter, sources=paths), source.items)
    notes = []
    if session is None:
        session = one_round(source, _any_order(results))
        if set(results) == set(source.items[: len(results)]) and len(results) < source.n_items:
            notes.append(
                f"these are the first {len(results)} items, as --limit gives them: no random "
                "sample; draw items with --one-round"
            )
    found = _recorded(session, results)
    found = found._replace(warnings=(*found.warnings, *notes))
    if args.json:
        print(report.estimate_json(found, session))
    else:
        again = f"benchpred items --session {args.session}"
        print(report.estimate_words(found, session, again))


# --- the session's file ---


def _begun(args: argparse.Namespace) -> EvaluationSession:
    if not args.sources or (args.budget is None) == (args.precision is None):
        raise ValueError(
            f"{args.session} is not there: to begin it give SOURCES, and --budget N or "
            "--precision H"
        )
    session = EvaluationSession(
        _read(_origin(args), args.sources),
        method=args.method,
        budget=args.budget,
        precision=args.precision,
        rounds=args.rounds,
        rng=np.random.default_rng(args.seed),
    )
    session.origin, session.path = _origin(args), args.session
    session.save()
    return session


def _resumed(path: str) -> EvaluationSession:
    try:
        origin = json.loads(Path(path).read_text(encoding="utf-8"))["sources"]
        paths = _from_here(origin, path)
    except FileNotFoundError:
        raise ValueError(f"{path} is not there; `items` begins a session") from None
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{path} is not a session that `items` began") from None
    return EvaluationSession.resume(path, _read(origin, paths))


def _origin(args: argparse.Namespace) -> dict:
    """How the sources are read; their paths are counted from the session's folder."""
    folder = Path(args.session or ".").resolve().parent if args.session else Path.cwd()
    paths = [os.path.relpath(path, folder) for path in args.sources]
    return {name: getattr(args, name) for name in ("metric", "filter", "missing")} | {
        "paths": paths
    }


def _from_here(origin: dict, session: str | None) -> list[str]:
    folder = Path(session).resolve().parent if session else Path.cwd()
    return [os.path.relpath(folder / path) for path in origin["paths"]]


def _read(origin: dict, paths: list[str]):
    return read_any(paths, origin["metric"], origin["filter"], origin["missing"])


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


def _known(results: pd.Series, known: np.ndarray) -> dict[str, float]:
    """The results of source items; where the sources name no task, "task:7" of a log is their 7."""
    if not results.index.isin(known).any():
        results = results.rename(lambda name: name.rpartition(":")[2])
    if not results.index.isin(known).any():
        raise ValueError(
            f"no result is of an item of the sources: {results.index[0]}, say, is none like "
            f"{known[0]}"
        )
    return results[results.index.isin(known)].to_dict()


def _any_order(results: dict[str, float]) -> list[str]:
    """The items in an order of their own, as good as random: the folds of an estimate need one."""
    names = np.sort(list(results))
    seed = zlib.crc32("\n".join(names).encode())
    return np.random.default_rng(seed).permutation(names).tolist()


def _recorded(session: EvaluationSession, results: dict[str, float]) -> SessionEstimate:
    """The estimate after recording the results of all items asked for, round after round."""
    before = len(session.results)
    asked = session.next_items()
    while asked:
        new = [name for name in asked if name in results]
        session.record(new, [results[name] for name in new])
        asked = session.next_items() if new else []
    again = [name for name in session.results if name in results]
    session.record(again, [results[name] for name in again])  # refused where one has changed
    found = session.estimate()
    if found.n == before and not session.done:
        nothing = "no result is new: these are not of the items that were asked for"
        return found._replace(warnings=(*found.warnings, nothing))
    return found


# --- the command line ---


def _budget(text: str) -> float:
    try:
        return float(text) if "." in text else int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither a number of items nor a fraction like 0.2"
        ) from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "benchpred",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for run, text, add_options in COMMANDS:
        command = commands.add_parser(run.__name__, help=text, description=text)
        command.set_defaults(run=run)
        add_options(command)
        add = command.add_argument
        add("--metric", help="which metric to read, where logs hold several")
        add("--filter", help="which filter of lm-evaluation-harness to read, where there are more")
        drop = "drop: the items that some lack"
        add("--missing", choices=["error", "drop"], default="error", help=drop)
    return parser


def _items_options(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("sources", nargs="*", help="the source scores: tables, sample logs, run folders")
    add("--session", required=True, help="the evaluation's file, begun here if it is not there")
    add("--budget", type=_budget, metavar="N", help="items to run (below 1: a fraction)")
    precision = "stop when the interval is this far to either side"
    add("--precision", type=float, metavar="H", help=precision)
    add("--method", default=RECOMMENDED, choices=METHODS, help="what draws them and estimates")
    rounds = command.add_mutually_exclusive_group()
    share = f"runs that share the budget (default {ROUNDS})"
    rounds.add_argument("--rounds", type=int, metavar="R", help=share)
    rounds.add_argument(
        "--one-round",
        action="store_const",
        dest="method",
        const=ONE_ROUND,
        help="draw all items at once, uniformly: one run, and an interval about an eighth wider; "
        f"short for --method {ONE_ROUND}",
    )
    add("--seed", type=int, help="of the draw")
    add("--samples", metavar="FILE", help="write the items for lm_eval --samples FILE")
    add("--task", help="the task's name for --samples, where the items are only numbers")


def _estimate_options(command: argparse.ArgumentParser) -> None:
    results = "results of one model: item, score as CSV or JSONL; logs"
    command.add_argument("results", nargs="+", help=results)
    of = command.add_mutually_exclusive_group(required=True)
    of.add_argument("--session", metavar="FILE", help="the evaluation that `items` began")
    without = "for results of random items, or of all, without a session"
    of.add_argument("--sources", nargs="+", help=without)
    command.add_argument("--json", action="store_true", help="print JSON")


def _check_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("files", nargs="+", metavar="FILE")


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
