"""The command line: plan, choose items, estimate, compare, check files, hand on a report."""

import argparse
import json
import os
import sys
import warnings
from pathlib import Path
from zlib import crc32

import numpy as np

from ..data import DataUnavailable, load_scores
from ..methods import METHODS, RECOMMENDED
from ..scores import Scores
from . import report
from .advice import missing_note, recommend
from .compare import (
    compare_models,
    in_any_order,
    items_for_difference,
    rank_models,
    smallest_difference,
)
from .readers import among, per_task, read_any, read_results
from .session import ROUNDS, EvaluationSession, SessionEstimate, one_round, write_text

__all__ = ["main"]

ONE_ROUND = "aipw_cross_fitted"
EPILOG = f"""example, with sample logs of lm-evaluation-harness (other logs and tables do as well):
  benchpred check logs/*
  benchpred plan logs/* --budget 50
  benchpred items logs/* --budget 50 --session mine.json --samples samples.json
  lm_eval ... --samples samples.json --log_samples --output_path runs
  benchpred estimate runs --session mine.json
The last three are repeated until the budget is spent, {ROUNDS} times; with items --rounds 3, three
times.  Then run another model on the same items, by the list of all of them, and compare:
  benchpred items --session mine.json --all --samples all.json
  benchpred compare other_runs --session mine.json
Where the script is not on the path: python -m benchpred_utils check logs/*"""

Args = argparse.Namespace
Said = tuple[dict, str]  # what --json prints, and what is printed without


# --- the commands ---


def plan(args: Args) -> Said:
    """Say how many items it takes, or what so many can show."""
    source = _read(args) or args.of
    if source is None:
        raise ValueError("give SOURCES, --benchmark NAME, or --of N, the number of items")
    advice = recommend(source, args.budget, args.precision, target=args.target)
    n = advice.n_items
    is_known = isinstance(source, Scores)
    n_items = source.n_items if is_known else source
    found = {
        "n_items": n_items,
        "cost": args.cost and [n * args.cost, n_items * args.cost],
        "smallest_difference": smallest_difference(source, n) if is_known else None,
        "difference": None,
    }
    if args.difference:
        if not is_known:
            raise ValueError("--difference needs SOURCES, or --benchmark: how much models differ")
        found["difference"] = [args.difference, items_for_difference(source, args.difference)]
    return found | advice._asdict() | {"of": n_items}, report.plan_words(advice, found)


def check(args: Args) -> Said:
    """Say what files hold; what is wrong with one is an error."""
    found = {}
    for path in args.files:
        found[path] = _scores(args, [path])
    words = [report.file_words(path, scores) for path, scores in found.items()]
    content = {
        path: {"models": scores.models, "items": scores.items, "accuracy": scores.accuracy}
        for path, scores in found.items()
    }
    return content, "\n".join(words)


def items(args: Args) -> Said:
    """Print the items to run next, one a line, and write them as a harness wants them."""
    if args.one_round and args.method:
        raise argparse.ArgumentError(None, "--one-round is a method: leave --method out")
    args.method = ONE_ROUND if args.one_round else args.method
    session = _resumed(args) if Path(args.session).exists() else _begun(args)
    names = [*session.results, *session.next_items()] if args.all else session.next_items()
    for option, form in EXPORTS.items():
        path = getattr(args, option)
        if path:
            _export(session, args.session, path, form(names, args.task))
    session.save(args.session)
    if not names:
        print("nothing: the evaluation is done", file=sys.stderr)
    return {"items": names, "done": session.done}, "\n".join(names)


def estimate(args: Args) -> Said:
    """Record the results of what was asked for, and print the estimate."""
    if [args.session, args.sources, args.benchmark].count(None) != 2:
        raise argparse.ArgumentError(None, "give one of --session, --sources and --benchmark")
    session = _resumed(args) if args.session else None
    source = session.source if session else _read(args)
    results = _results(args, args.results, source)
    session = session or one_round(source, in_any_order(results))
    found = _recorded(session, results, args.failed)
    if not args.session:
        _warn_of_a_choice(args.results[0], results, source)
    parts = session.estimate_by(args.by, args.failed or "wrong") if args.by else None
    again = f"benchpred items --session {args.session}"
    words = report.estimate_words(found, session, again) + report.parts_words(parts)
    return report.estimate_content(found, parts, session), words


def compare(args: Args) -> Said:
    """Say which of two models, or of several, is better."""
    session = _resumed(args) if args.session else None
    source = session.source if session else _read(args)
    runs = {path: _results(args, [path], source) for path in args.results}
    if source and not session:
        for path, results in runs.items():
            _warn_of_a_choice(path, results, source)
    failed = args.failed or "error"
    n_items = source.n_items if source else args.of
    if session and session.reference and not runs:
        known = source.values[source.models == session.reference][0]
        found = compare_models(dict(zip(source.items, known)), session)
        names = [session.reference, args.session]
        return found._asdict(), report.comparison_words(found, names)
    if len(runs) + bool(session) > 2:
        name = args.session or "A"
        ranking = rank_models(runs, session, n_items=n_items, name=name, failed=failed)
        frames = {name: frame.reset_index() for name, frame in ranking._asdict().items()}
        content = {name: frame.to_dict("list") for name, frame in frames.items()}
        return content, report.ranking_words(ranking)
    models = ({args.session: session} if session else {}) | runs
    if len(models) < 2:
        raise ValueError("two models are compared: give the results of both, or of the other")
    a, b = models.values()
    found = compare_models(a, b, source_scores=source, n_items=n_items, failed=failed)
    return found._asdict(), report.comparison_words(found, [*models])


def page(args: Args) -> Said:
    """Write one page with the estimate, its interval as a picture, items, hashes and versions."""
    session = _resumed(args)
    compared = {}
    for path in args.results:
        results = _results(args, [path], session.source)
        compared[path] = compare_models(session, results, failed=args.failed or "error")
    path = Path(args.out)
    if (
        path.exists()
        and report.MARK not in path.read_text(encoding="utf-8", errors="replace")[:200]
    ):
        raise ValueError(f"{path} is there already, and is no report: give another name")
    write_text(path, report.page(session, compared, args.session, args.sources))
    return {"page": str(path)}, f"wrote {path}"


# --- the session's file, which says how to read the sources ---

READING = ("metric", "filter", "missing", "same_items")
BEGUN = ("benchmark", "budget", "precision", "rounds", "method", "seed", "tasks", "reference")


def _read(args: Args) -> Scores | None:
    if args.benchmark and args.sources:
        raise ValueError("give SOURCES or --benchmark, not both")
    if args.benchmark:
        return load_scores(args.benchmark)
    if args.sources:
        return _scores(args, args.sources)
    return None


def _choice(args: Args) -> tuple:
    return per_task(args.metric), per_task(args.filter)


def _scores(args: Args, paths: list[str]) -> Scores:
    return read_any(paths, *_choice(args), args.missing or "error", args.same_items)


def _begun(args: Args) -> EvaluationSession:
    source = _read(args)
    if source is None or args.budget is None and args.precision is None:
        raise ValueError(
            f"{args.session} is not there: to begin it give SOURCES (or --benchmark NAME), and "
            "--budget N or --precision H"
        )
    if args.budget is not None and args.precision is not None:
        raise ValueError("give one of --budget and --precision")
    if args.method == ONE_ROUND and (args.precision or args.rounds):
        raise ValueError(
            f"--one-round, or --method {ONE_ROUND}, draws all items at once: it goes with "
            "--budget N, without --precision and --rounds"
        )
    session = EvaluationSession(
        source,
        method=args.method or RECOMMENDED,
        budget=args.budget,
        precision=args.precision,
        rounds=args.rounds,
        tasks=args.tasks,
        reference=args.reference,
        rng=np.random.default_rng(args.seed),
    )
    session.origin = {name: getattr(args, name) for name in (*BEGUN, *READING)} | {
        "missing": args.missing or "error",
        "paths": [_from(args.session, path) for path in args.sources],
        "exports": {},
    }
    return session


def _resumed(args: Args) -> EvaluationSession:
    """The session, and in `args` where its sources are, and what to read of results."""
    path = Path(args.session)
    try:
        origin = json.loads(path.read_text(encoding="utf-8"))["sources"]
        paths = origin and [*origin["paths"]]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise ValueError(f"{path} is not a session, or not there; `items` begins one") from None
    if origin is None:
        raise ValueError(
            f"{path} was begun in Python and does not say where its sources are: go on with it "
            "there, by EvaluationSession.resume"
        )
    _check_same(args, origin)
    folder = path.resolve().parent
    args.sources = [os.path.relpath(folder / source) for source in paths]
    for name in ("benchmark", *READING):
        if getattr(args, name, None) is None:
            setattr(args, name, origin.get(name))
    return EvaluationSession.resume(path, _read(args))


def _check_same(args: Args, origin: dict) -> None:
    """Options that begin a session may be repeated for it, not changed."""
    sources = [_from(args.session, path) for path in getattr(args, "sources", None) or []]
    given = {name: getattr(args, name) for name in (*BEGUN, *READING) if args.run is items}
    given["paths"] = sources or None
    for name, value in given.items():
        if value is not None and name in origin and value != origin[name]:
            option = "SOURCES" if name == "paths" else f"--{name}"
            raise ValueError(
                f"{args.session} is there already, and was begun with {option} {origin[name]}, not "
                f"{value}: leave {option} out to go on with it, or name another file"
            )


def _from(session: str, path: str) -> str:
    return os.path.relpath(path, Path(session).resolve().parent)


# --- items, as harnesses want them ---


def _by_task(names: list[str], task: str | None) -> str:
    """What lm_eval --samples wants, {task: doc_ids}: ascending, else the harness mislabels them."""
    found = {}
    for name in names:
        its_task, _, number = name.rpartition(":")
        if not number.isdigit() or not (its_task or task):
            advice = "name it by --task" if number.isdigit() else "lm_eval has no other items"
            raise ValueError(f"item {name} is not TASK:NUMBER, as lm_eval counts items: {advice}")
        found.setdefault(its_task or task, []).append(int(number))
    return json.dumps({its_task: sorted(numbers) for its_task, numbers in found.items()})


def _by_comma(names: list[str], task: str | None) -> str:
    return ",".join(name if ":" in name or not task else f"{task}:{name}" for name in names)


def _by_space(names: list[str], task: str | None) -> str:
    return " ".join(name.rpartition(":")[2] for name in names)


EXPORTS = {"samples": _by_task, "sample_id": _by_comma, "instance_ids": _by_space}


def _export(session: EvaluationSession, file: str, path: str, text: str) -> None:
    """Write the list; only one that this session wrote itself is replaced."""
    exports = session.origin.setdefault("exports", {})
    name = str(Path(path).resolve())
    is_there = Path(path).exists() and exports.get(name) != crc32(Path(path).read_bytes())
    if is_there or name == str(Path(file).resolve()):
        raise ValueError(f"{path} is there already, and not from this session: name another file")
    write_text(path, text)
    exports[name] = crc32(text.encode())


# --- results ---


def _results(args: Args, paths: list[str], source: Scores | None) -> dict[str, float]:
    results = read_results(paths, *_choice(args), args.sources or (), args.same_items)
    return (results if source is None else among(results, source.items)).to_dict()


def _warn_of_a_choice(path: str, results: dict[str, float], source: Scores) -> None:
    """Say, before any number is, that the items were not drawn at random."""
    note = missing_note(source, [results.get(name) is not None for name in source.items.tolist()])
    if note:
        warnings.warn(f"{path}: {note}; `items` draws one", stacklevel=2)


def _recorded(
    session: EvaluationSession, results: dict[str, float], failed: str | None
) -> SessionEstimate:
    """The estimate after recording the results of all items asked for, round after round."""
    before = len(session.results)
    again = [name for name in session.results if name in results]
    session.record(again, [results[name] for name in again])  # refused where one has changed
    while not session.done:
        is_run = failed and any(name in results for name in session._asked)  # what lacks has failed
        new = [name for name in session.next_items() if is_run or name in results]
        if not new:
            break
        session.record(new, [results.get(name) for name in new])
    found = session.estimate(failed or "wrong")
    notes = []
    if found.n == before and not session.done:
        notes = ["no result is new: these are not of the items that were asked for"]
    return found._replace(warnings=(*found.warnings, *notes))


# --- the command line ---


def _budget(text: str) -> float:
    try:
        number = float(text) if set(text) & set(".e") else int(text)
    except ValueError:
        number = -1
    if number <= 0 or isinstance(number, float) and number >= 1:
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither a number of items, such as 50, nor a fraction below 1, such as "
            "0.2"
        )
    return number


OPTIONS = {
    "files": {"nargs": "+", "metavar": "FILE", "help": "tables, logs, folders of them"},
    "sources": {"nargs": "*", "help": "the scores of other models: tables, logs, folders of them"},
    "results": {"nargs": "*", "help": "results of one model: item, score as CSV or JSONL; logs"},
    "--sources": {"nargs": "+", "help": "the scores of other models, where there is no session"},
    "--benchmark": {"metavar": "NAME", "help": "sources that the book has: gsm8k, mmlu, ..."},
    "--session": {"metavar": "FILE", "help": "the evaluation's file; `items` begins it"},
    "--budget": {"type": _budget, "metavar": "N", "help": "items to run (below 1: a fraction)"},
    "--precision": {"type": float, "metavar": "H", "help": "half-width at which it is enough"},
    "--difference": {"type": float, "metavar": "D", "help": "of two models, to be told apart"},
    "--target": {
        "choices": ["new", "known"],
        "default": "new",
        "help": "better than the sources, or like them",
    },
    "--cost": {"type": float, "metavar": "C", "help": "of one item, in any unit"},
    "--of": {"type": int, "metavar": "N", "help": "items of the whole benchmark, without sources"},
    "--rounds": {
        "type": int,
        "metavar": "R",
        "help": f"runs that share the budget (default {ROUNDS})",
    },
    "--method": {"choices": METHODS, "help": f"what draws and estimates (default {RECOMMENDED})"},
    "--one-round": {
        "action": "store_true",
        "help": "draw all items at once, uniformly: one run, and an interval about an eighth "
        f"wider; short for --method {ONE_ROUND}",
    },
    "--seed": {"type": int, "help": "of the draw"},
    "--tasks": {
        "choices": ["items", "mean"],
        "help": "share the budget out over tasks, for the average over items, or over tasks",
    },
    "--reference": {
        "metavar": "MODEL",
        "help": "a source model with which the new one is to be compared",
    },
    "--by": {"choices": ["task", "domain"], "help": "also the estimate of each, and both averages"},
    "--all": {"action": "store_true", "help": "the items asked for so far, not only the next"},
    "--samples": {"metavar": "FILE", "help": "write the items for lm_eval --samples FILE"},
    "--sample-id": {
        "metavar": "FILE",
        "help": "write them for inspect eval --sample-id $(cat FILE)",
    },
    "--instance-ids": {
        "metavar": "FILE",
        "help": "write them for SWE-bench: --instance_ids $(cat FILE)",
    },
    "--task": {"help": "the task's name, where the items are only numbers"},
    "--failed": {
        "choices": ["wrong", "open", "error"],
        "help": "an item without a result counts as wrong, or is left open, for bounds",
    },
    "--out": {"metavar": "PAGE", "help": "the page to write, such as report.html"},
    "--metric": {"help": "which metric to read, where logs hold several"},
    "--filter": {"help": "which filter of lm-evaluation-harness to read, where there are more"},
    "--missing": {
        "choices": ["error", "drop", "drop-models", "keep"],
        "help": "scores that sources lack: drop the items, or the models, or keep them all",
    },
    "--same-items": {
        "action": "store_true",
        "default": None,
        "help": "the items are the same, though their hashes differ",
    },
    "--json": {"action": "store_true", "help": "print JSON"},
}
READ = ("--metric", "--filter", "--missing", "--same-items", "--json")  # options of every command
COMMANDS = {  # what runs it, its help, options that it needs, and others
    "plan": (
        plan,
        "say how many items it takes, and what they can show",
        "",
        "sources --benchmark --of --budget --precision --difference --target --cost",
    ),
    "items": (
        items,
        "say which items to run next; begins a session where there is none",
        "--session",
        "sources --benchmark --budget --precision --rounds --method --one-round --seed --tasks "
        "--reference --all --samples --sample-id --instance-ids --task",
    ),
    "estimate": (
        estimate,
        "record results, and say what they say",
        "results",
        "--session --sources --benchmark --failed --by",
    ),
    "compare": (
        compare,
        "say which of two models is better, or in which order several are",
        "",
        "results --session --sources --benchmark --of --failed",
    ),
    "check": (check, "say what files hold, or what is wrong with them", "files", ""),
    "report": (
        page,
        "write a page to hand on: estimate, picture, items, hashes, versions",
        "--session --out",
        "results --failed",
    ),
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("benchpred", description=__doc__, epilog=EPILOG)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, (run, text, needed, others) in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(run=run, sources=None, benchmark=None, session=None)
        for option in [*needed.split(), *others.split(), *READ]:
            added = command.add_argument(option, **OPTIONS[option])
            added.required = option in needed or option == "files"
    return parser


def _print_warning(message: Warning, *place: object) -> None:
    print(f"warning: {message}", file=sys.stderr)


FAULTS = (ValueError, TypeError, OSError, ImportError, OverflowError, RecursionError)


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0: all is well, 1: not with files or numbers, 2: not with the options."""
    parser = _parser()
    args = parser.parse_args(arguments)
    with warnings.catch_warnings():
        warnings.showwarning = _print_warning
        try:
            content, words = args.run(args)
            if args.json or words:
                print(report.as_json(content) if args.json else words, flush=True)
        except BrokenPipeError:  # of `| head`, say: nobody reads on
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except argparse.ArgumentError as error:
            parser.error(str(error))
        except (*FAULTS, DataUnavailable) as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("stopped: what was recorded is kept; the same command goes on", file=sys.stderr)
            return 130
    return 0
