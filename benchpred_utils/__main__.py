"""The command line: which items to run next, what their results say, and what is wrong with a file."""

import argparse
import json
import os
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np

from . import designs, estimators
from .experiments import budget_items
from .readers import named, read_any, read_results
from .session import ROUNDS, EvaluationSession, SessionEstimate, ess_of_width, write_json

UNIFORM = "95% score interval of cross-fitted AIPW: it holds if these items were drawn uniformly at random"
EPILOG = f"""example, with sample logs of lm-evaluation-harness (tables and run folders of HELM do as well):
  python -m benchpred_utils check logs/*
  python -m benchpred_utils items logs/* --budget 50 --session mine.json --samples samples.json
  lm_eval ... --samples samples.json --log_samples --output_path runs
  python -m benchpred_utils estimate runs --session mine.json
The last three are repeated until the budget is spent, {ROUNDS} times; with items --rounds 3, say, three times."""


def check(args):
    for path in args.files:
        scores = read_any(path, args.metric, args.filter, args.missing)
        accuracy, more = (
            scores.accuracy,
            "" if scores.domains is None else f", {len(set(scores.domains))} domains",
        )
        kind = "0 or 1" if np.isin(scores.values, (0, 1)).all() else "between 0 and 1"
        print(f"{path}: {scores.n_models} models x {scores.n_items} items{more}; scores {kind}")
        print(f"  models {named(scores.models)}; items {named(scores.items)}")
        print(f"  accuracy {accuracy.min():.3f} to {accuracy.max():.3f}")
        if scores.n_models > scores.n_items:
            print("  more models than items: if its rows are items, transpose it")


def items(args):
    source, plan, _ = _resume(args.session) if Path(args.session).exists() else _begin(args)
    names = plan.next_items() if isinstance(plan, EvaluationSession) else plan
    if args.samples:
        Path(args.samples).write_text(json.dumps(_by_task(names, args.task)), encoding="utf-8")
    print(
        "\n".join(names) if names else "nothing: the evaluation is done",
        file=sys.stdout if names else sys.stderr,
    )


def estimate(args):
    source, plan, settings = _resume(args.session) if args.session else _without_session(args)
    metric, filter = (getattr(args, name) or settings[name] for name in ("metric", "filter"))
    results = _known(
        read_results(args.results, metric, filter, sources=_paths(settings, args.session)), source
    )
    if isinstance(plan, EvaluationSession):
        found, todo = _recorded(plan, results), plan.next_items()
        _save(args.session, plan, settings)
    else:
        found, todo = one_round(source, results, plan), []
    _report(found, todo, source, args)


def one_round(source, results, plan=None):
    """The SessionEstimate from `results`, by item, of items drawn uniformly at random: `plan`, in order of drawing.

    Without a plan the items of `results` are put into an order of their own, as good as random: the folds need one.
    """
    if lacking := [name for name in plan or [] if name not in results]:
        raise ValueError(
            f"{len(lacking)} of the {len(plan)} items lack a result: {named(lacking)}; "
            "run them, and give the files of all runs"
        )
    names = np.sort(plan or list(results))
    n, number = len(names), {name: i for i, name in enumerate(source.items.tolist())}
    if plan is None:
        plan = (
            np.random.default_rng(zlib.crc32("\n".join(names).encode())).permutation(names).tolist()
        )
    core, observed = (
        np.array([[number[name] for name in plan]]),
        np.array([[[results[name] for name in plan]]]),
    )
    value, lower, upper = (
        end.item() for end in estimators.aipw_cross_fitted(source.values, core, observed)
    )
    first = n < source.n_items and core.max() < n
    limit = f"these are the first {n} items, as --limit gives them: no random sample; draw items with --one-round"
    ess = ess_of_width(value, upper - lower, n, source.n_items)
    return SessionEstimate(value, lower, upper, n, float(ess), UNIFORM, (limit,) if first else ())


# --- the session's file -----------------------------------------------------------------------------------------------


def _begin(args):
    if not args.sources or (args.budget is None) == (args.precision is None):
        raise ValueError(
            f"{args.session} is not there: to begin it give SOURCES, and --budget N or --precision H"
        )
    if args.one_round and args.budget is None:
        raise ValueError(
            "--one-round draws a number of items that is fixed beforehand: give --budget N"
        )
    source, _, settings = _without_session(args)
    rng = np.random.default_rng(args.seed)
    if args.one_round:
        n = budget_items(args.budget, source.n_items)
        plan = source.items[
            designs.uniform(source.values, n, rng)
        ].tolist()  # in the order of drawing
    else:
        plan = EvaluationSession(
            source, budget=args.budget, precision=args.precision, rounds=args.rounds, rng=rng
        )
    _save(args.session, plan, settings)
    return source, plan, settings


def _without_session(args):
    """The sources that the command line names, no plan, and the settings by which a session will find them again."""
    settings = {name: getattr(args, name) for name in ("metric", "filter", "missing")}
    settings["paths"] = [os.path.relpath(path, _folder(args.session)) for path in args.sources]
    return _read(settings, args.session), None, settings


def _resume(path):
    """The sources, the session or the items of the one round, and the settings."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        settings = content["sources"]
    except FileNotFoundError:
        raise ValueError(f"{path} is not there; `items` begins a session") from None
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{path} is not a session that `items` began") from None
    source = _read(settings, path)
    if content["format"] == "one round":
        return source, content["items"], settings
    session = EvaluationSession.resume(path, source)
    session.path = None  # it is saved by _save, with the way to its sources
    return source, session, settings


def _save(path, plan, settings):
    """Write the session, or the items of the one round, and the way to the sources."""
    content = (
        plan.content()
        if isinstance(plan, EvaluationSession)
        else {"format": "one round", "items": plan}
    )
    write_json(path, content | {"sources": settings})


def _read(settings, session):
    return read_any(
        _paths(settings, session), settings["metric"], settings["filter"], settings["missing"]
    )


def _paths(settings, session):
    """The paths of the sources, which the settings count from the session's folder, as one would write them here."""
    return [os.path.relpath(_folder(session) / path) for path in settings["paths"]]


def _folder(session):
    return Path(session).resolve().parent if session else Path.cwd()


# --- items and results ------------------------------------------------------------------------------------------------


def _by_task(names, task):
    """What lm_eval --samples wants, {task: doc_ids}: ascending, since the harness mislabels them in another order."""
    found = {}
    for name in names:
        of, _, number = name.rpartition(":")
        if not number.isdigit() or not (of or task):
            raise ValueError(
                f"item {name} is not TASK:NUMBER, as lm_eval counts items; is --task missing?"
            )
        found.setdefault(of or task, []).append(int(number))
    return {of: sorted(numbers) for of, numbers in found.items()}


def _known(results, source):
    """The results of source items, by item; where the sources name no task, lm_eval's "task:7" is their "7"."""
    known = set(source.items.tolist())
    if not known & set(results.index):
        results = results.rename(index=lambda name: name.rpartition(":")[2])
    if not known & set(results.index):
        raise ValueError(
            f"no result is of an item of the sources: {results.index[0]}, say, is none like {source.items[0]}"
        )
    return {name: score for name, score in results.items() if name in known}


def _recorded(session, results):
    """The estimate after recording the results of all items that are asked for, round after round."""
    n, new = session.estimate().n, True
    while new:
        new = [name for name in session.next_items() if name in results]
        session.record(new, [results[name] for name in new])
    found, again = session.estimate(), [name for name in results if name in session._results]
    session.record(again, [results[name] for name in again])  # refused where a result has changed
    if found.n == n and not session.done:
        nothing = "no result is new: these are not of the items that were asked for"
        found = found._replace(warnings=(*found.warnings, nothing))
    return found


def _report(found, todo, source, args):
    if args.json:
        numbers = {
            k: None if isinstance(v, float) and np.isnan(v) else v
            for k, v in found._asdict().items()
        }
        return print(
            json.dumps(numbers | {"n_items": source.n_items, "done": not todo, "next_items": todo})
        )
    worth = f", worth {found.n * found.ess:.0f} drawn at random" if found.ess == found.ess else ""
    value = min(max(found.value, 0.0), 1.0)
    print(
        f"{value:.3f}, from {found.lower:.3f} to {found.upper:.3f}; {found.n} of {source.n_items} items{worth}"
    )
    print(found.interval, *(f"note: {warning}" for warning in found.warnings), sep="\n")
    if value != found.value:
        print(
            f"note: the unbiased estimate is {found.value:.3f}; no accuracy is, so the nearest one is shown"
        )
    if todo:
        more = f"{len(todo)} more item{'s' * (len(todo) > 1)}"
        print(f"next: {more}, python -m benchpred_utils items --session {args.session}")


def _budget(text):
    try:
        return float(text) if "." in text else int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither a number of items nor a fraction like 0.2"
        ) from None


def _parser():
    parser = argparse.ArgumentParser(
        "python -m benchpred_utils", description=__doc__, epilog=EPILOG
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    reading = argparse.ArgumentParser(add_help=False)
    reading.add_argument("--metric", help="which metric to read, where logs hold several")
    reading.add_argument(
        "--filter", help="which filter of lm-evaluation-harness to read, where logs hold several"
    )
    reading.add_argument(
        "--missing",
        choices=("error", "drop"),
        default="error",
        help="drop: the items that some lack",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(run, text):
        command = commands.add_parser(run.__name__, parents=[reading], help=text, description=text)
        command.set_defaults(run=run)
        return command

    _items_options(add(items, "say which items to run next; begins a session where there is none"))
    _estimate_options(add(estimate, "record results, and say what they say"))
    add(check, "say what files hold, or what is wrong with them").add_argument(
        "files", nargs="+", metavar="FILE"
    )
    return parser


def _items_options(command):
    add, rounds = command.add_argument, command.add_mutually_exclusive_group()
    add(
        "sources",
        nargs="*",
        metavar="SOURCES",
        help="the source scores: tables, sample logs, run folders",
    )
    add(
        "--session",
        required=True,
        metavar="FILE",
        help="the evaluation's file, begun here if it is not there",
    )
    add("--budget", type=_budget, metavar="N", help="items to run (below 1: a fraction)")
    add(
        "--precision",
        type=float,
        metavar="H",
        help="stop when the interval is this far to either side",
    )
    rounds.add_argument(
        "--rounds", type=int, metavar="R", help=f"runs that share the budget (default {ROUNDS})"
    )
    at_once = "draw all items at once, uniformly: one run, and an interval about an eighth wider"
    rounds.add_argument("--one-round", action="store_true", help=at_once)
    add("--seed", type=int, help="of the draw")
    add("--samples", metavar="FILE", help="write the items for lm_eval --samples FILE")
    add("--task", help="the task's name for --samples, where the items are only numbers")


def _estimate_options(command):
    add, of = command.add_argument, command.add_mutually_exclusive_group(required=True)
    add(
        "results",
        nargs="+",
        metavar="RESULTS",
        help="results of one model: item, score as CSV or JSONL; logs",
    )
    of.add_argument("--session", metavar="FILE", help="the evaluation that `items` began")
    of.add_argument(
        "--sources", nargs="+", help="for results of random items, or of all, without a session"
    )
    add("--json", action="store_true", help="print JSON")


def main(arguments=None):
    """Run one command; 0 when all is well, 1 when something is wrong with files or numbers, 2 with the command line."""
    args = _parser().parse_args(arguments)
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_: print(f"warning: {message}", file=sys.stderr)
        try:
            args.run(args)
        except (ValueError, TypeError, OSError, ImportError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
