"""The command line: plan, choose items, estimate, compare, check files, hand on a report."""

import argparse
import json
import os
import re
import sys
import warnings
from io import TextIOWrapper
from pathlib import Path
from zlib import crc32

import numpy as np

from ..data import DataUnavailable, load_scores
from ..methods import METHODS, RECOMMENDED
from . import report
from .advice import missing_note, recommend
from .compare import compare_models, in_any_order, rank_models, smallest_difference
from .files import printable
from .readers import among, per_task, read_any, read_results
from .session import ROUNDS, EvaluationSession, one_round, write_text

__all__ = ["main"]

ONE_ROUND = "aipw_cross_fitted"
EPILOG = f"""example, with sample logs of lm-evaluation-harness (other logs and tables do as well):
  benchpred check logs/*
  benchpred plan logs/* --budget 50
  benchpred items logs/* --budget 50 --session mine.json --samples samples.json
  lm_eval ... --samples samples.json --log_samples --output_path runs
  benchpred estimate runs --session mine.json
The last three are repeated until the budget is spent, {ROUNDS} times; with items --rounds 3, three
times.  The first rounds are small, and the later ones learn from them.  The session keeps SOURCES,
--metric, --filter and --missing: once it is begun, --session is enough.
Then run another model on the same items, by the list of all of them, and compare:
  benchpred items --session mine.json --all --samples all.json
  benchpred compare other_runs --session mine.json
Where the script is not on the path: python -m benchpred_utils check logs/*"""


# --- the commands: each gives what --json prints, and that in words ---


def plan(args):
    """Say how many items it takes, or what so many can show."""
    source = _sources(args)
    n_items = _n_items(args, source)
    target = args.target or "new"
    advice = recommend(source or n_items, args.budget, args.precision, args.difference, target)
    n = advice.n_items
    shows = smallest_difference(source, n) if source else np.nan
    costs = [count * (args.cost or 0) for count in (n, n_items)]
    said = {
        str(advice): True,
        f"That is {n} of {n_items} items, {n / n_items:.0%} of a full run.": True,
        "It costs {:g}, a full run {:g}.".format(*costs): args.cost,
        f"Two models on the same {n} items are told apart (80% power, 5% level) where they differ "
        f"by {100 * shows:.1f} points or more, if they are like neighbours among the best "
        "sources.": 0 < shows < 1,
    }
    content = {"of": n_items, "cost": args.cost and costs, "smallest_difference": shows}
    return advice._asdict() | content, report.lines_of(said)


def check(args):
    """Say what files hold together; what is wrong with them is an error."""
    scores = _read(args, args.files)
    content = {name: getattr(scores, name) for name in ("models", "items", "accuracy")}
    return content, report.file_words(args.files, scores)


def items(args):
    """Print the items to run next, one a line, or write them as a harness wants them."""
    if args.one_round and args.method:
        raise argparse.ArgumentError(None, "--one-round is a method: leave --method out")
    args.method = ONE_ROUND if args.one_round else args.method
    session = _resumed(args) if Path(args.session).exists() else _begun(args)
    names = [*(session.results if args.all else ()), *session.next_items()]
    lists = {}
    for option, written in EXPORTS.items():
        path = getattr(args, option)
        if path and names:
            _check_free(session, [args.session, *lists], path)
            lists[path] = written(names, args.task)
    session.save(args.session)  # before the lists: they are of no use without it
    for path, text in lists.items():
        _export(session, path, text)
    if lists:
        session.save(args.session)
    words = [f"wrote {path}: {len(names)} to run" for path in lists]
    state = f"{len(session.results)} items recorded, {len(session.next_items())} to run next"
    _say(f"{args.session}, sources {session.source!r}: {state}")
    return {"items": names, "done": session.done}, "\n".join(words or names)


def estimate(args):
    """Record the results of what was asked for, if there are any, and print the estimate."""
    session, source = _given(args)
    if source is None:
        raise argparse.ArgumentError(None, "give one of --session, --sources and --benchmark")
    if args.results or not session:
        results = _results(args, args.results, source)
        session = session or one_round(source, in_any_order(results.index))
        _record(session, results, args.failed)
    failed = args.failed or "wrong"
    found = session.estimate(failed)
    parts = report.parts_of(session, args.by, failed)
    if args.by and not parts:
        warnings.warn("--by: the estimates of parts come when the budget is spent", stacklevel=2)
    words = report.estimate_words(
        found, session, f"benchpred items --session {args.session}", parts
    )
    content = {"done": session.done, "n_items": source.n_items, "next_items": session.next_items()}
    if parts:
        content["tasks"] = {name: part._asdict() for name, part in parts.tasks.items()}
        content["mean_of_tasks"] = parts.mean._asdict()
    return found._asdict() | content, words


def compare(args):
    """Say which of two models, or of several, is better."""
    session, source = _given(args)
    runs = _runs(args, source)
    mine = session and f"{session.origin.get('model', 'this model')} ({args.session})"
    models = {mine: session} | runs if session else runs
    if session and session.reference and not runs:
        known = source.values[source.models == session.reference][0]
        models = {session.reference: dict(zip(source.items, known))} | models
    if len(models) < 2:
        raise ValueError("two models are compared: give the results of both, or of the other")
    options = {"n_items": _n_items(args, source), "failed": args.failed or "error"}
    if len(models) == 2:
        found = compare_models(*models.values(), source_scores=source, **options)
        return found._asdict(), report.comparison_words(found, models)
    ranking = rank_models(runs, session, name=mine, **options)
    tables = ranking._asdict().items()
    content = {name: table.reset_index().to_dict("list") for name, table in tables}
    return content, report.ranking_words(ranking)


def page(args):
    """Write one page with the estimate, its interval as a picture, items, hashes and versions."""
    session = _resumed(args)
    runs = _runs(args, session.source)
    options = {"failed": args.failed or "error"}
    compared = {name: compare_models(session, run, **options) for name, run in runs.items()}
    path = Path(args.out)
    if path.exists() and report.MARK not in path.read_text(encoding="utf-8", errors="replace"):
        raise ValueError(f"{path} is there already, and is no report: give another name")
    write_text(
        path, report.page(session, compared, args.session, args.sources, args.failed or "wrong")
    )
    return {"page": args.out}, f"wrote {path}"


# --- sources, sessions, results ---

READING = ("metric", "filter", "same_items")  # results may need them, where sources do not
DRAWN = ("budget", "precision", "rounds", "method", "tasks", "reference")
KEPT = ("benchmark", *DRAWN, "seed", "missing", *READING)


def _sources(args):
    if args.benchmark and args.sources:
        raise ValueError("give SOURCES or --benchmark, not both")
    if args.benchmark:
        return load_scores(args.benchmark)
    return _read(args, args.sources) if args.sources else None


def _read(args, paths):
    return read_any(paths, args.metric, args.filter, args.missing or "error", args.same_items)


def _given(args):
    """The session, if there is one, and the sources."""
    session = _resumed(args) if args.session else None
    return session, session.source if session else _sources(args)


def _n_items(args, source):
    """How many items the benchmark has."""
    if source is None and args.of is None:
        raise ValueError(
            "give the sources, --benchmark NAME, or --of N, the number of items of the whole "
            "benchmark"
        )
    if source and args.of not in (None, source.n_items):
        raise ValueError(
            f"--of {args.of}, but the sources have {source.n_items} items: leave it out, or give "
            "sources of the whole benchmark"
        )
    return source.n_items if source else args.of


def _said(args):
    """What the options say of the sources and the draw, as a session's file keeps it."""
    folder = Path(args.session).resolve().parent
    paths = [_seen_from(folder, path) for path in args.sources]
    return {name: getattr(args, name, None) for name in KEPT} | {"paths": paths or None}


def _seen_from(folder, path, base=os.curdir):
    """A path in `base`, or MODEL=path, as it is called from a folder."""
    *model, path = [path] if Path(base, path).exists() else path.split("=", 1)
    return "=".join([*model, os.path.relpath(Path(base, path), folder)])


def _begun(args):
    source = _sources(args)
    if source is None:
        raise ValueError(
            f"{args.session} is not there: to begin it give SOURCES (or --benchmark NAME), and "
            "--budget N or --precision H"
        )
    said = {name: value for name, value in _said(args).items() if value is not None}
    options = {name: said[name] for name in DRAWN if name in said}
    session = EvaluationSession(source, **options, rng=np.random.default_rng(args.seed))
    session.origin = {"paths": [], "missing": "error"} | said
    return session


def _resumed(args):
    """The session; where its sources are, and how they are read, is set in `args`.

    Options that begin a session may be repeated for it, not changed.
    """
    path = Path(args.session)
    try:
        origin = json.loads(path.read_text(encoding="utf-8"))["sources"]
        paths = [*origin["paths"]]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise ValueError(
            f"{path} is not there, or is no session, or not whole; `items` begins one (what was "
            "begun in Python goes on there, by EvaluationSession.resume)"
        ) from None
    for name, value in _said(args).items():
        kept = origin.get(name)
        if value is None:
            setattr(args, name, kept)
        elif value != kept and (kept is not None or name not in READING):
            begun = f"with {name} {kept}, not {value}" if kept else f"without {name} {value}"
            raise ValueError(
                f"{path} is there already, and was begun {begun}: leave that out to go on with "
                "it, or name another file"
            )
    args.sources = [_seen_from(os.curdir, source, path.resolve().parent) for source in paths]
    try:
        source = _sources(args)
    except FileNotFoundError as error:
        raise ValueError(
            f"{path}: the sources that it was begun with are sought from where it lies, and "
            f"{error}; move them along, or it back"
        ) from None
    return EvaluationSession.resume(path, source)


def _results(args, paths, source):
    """The results of a model; where no session drew its items, it is said if chance did not.

    Its questions and metrics are those of the sources, or without them those of the first results.
    """
    others = args.sources or args.results[:1]
    results = read_results(paths, args.metric, args.filter, others, args.same_items)
    if source is not None:
        everything = results
        results = among(everything, source.items)
        lost = len(everything) - len(results)
        if lost and not args.session:
            warnings.warn(
                f"{', '.join(paths)}: {lost} of {len(everything)} results are of no item of the "
                "sources, and left out: are they of the same version of the benchmark?",
                stacklevel=2,
            )
        answered = np.isin(source.items, results.dropna().index)
        note = None if args.session else missing_note(source, answered)
        if note:
            warnings.warn(f"{', '.join(paths)}: {note}; `items` draws one", stacklevel=2)
    return results


def _runs(args, source):
    """The results of each model, under its name and where they are."""
    runs = {}
    for path in args.results:
        results = _results(args, [path], source)
        runs[f"{results.name} ({path})"] = results
    return runs


def _record(session, results, failed):
    """Record the results of all items asked for, round after round."""
    begun = session.results
    before = None
    while before != session.results:
        before = session.results
        names = [name for name in session.results if name in results]  # refused if changed
        is_run = failed and any(name in results for name in session._asked)  # what lacks has failed
        names += [name for name in session.next_items() if is_run or name in results]
        if names:
            session.origin.setdefault("model", results.name)
        session.record(names, [results.get(name) for name in names])
    if session.results == begun and not session.done:
        known = results.index.isin([*session.results]).sum()
        warnings.warn(
            f"no result is new: {known} of {len(results)} are recorded already, and no other is of "
            "an item asked for (`items` lists these; for one that failed give a row with its name "
            "and an empty score)",
            stacklevel=2,
        )


# --- items, as harnesses want them ---


def _samples(names, task):
    """What lm_eval --samples wants, {task: doc_ids}: ascending, else the harness mislabels them."""
    found = {}
    for name in names:
        its_task, _, number = name.rpartition(":")
        if not number.isdigit() or not (its_task or task):
            raise ValueError(
                f"item {name} is not TASK:NUMBER, as lm_eval counts items (--task names the task "
                "of numbers); lm_eval has no other items, and those of --benchmark are not its "
                "doc_ids"
            )
        found.setdefault(its_task or task, []).append(int(number))
    return json.dumps({its_task: sorted(numbers) for its_task, numbers in found.items()})


def _sample_id(names, task):
    for name in names:
        if "," in name:
            raise ValueError(f"item {name} has a comma, which ends a name for --sample-id")
    return ",".join(name if ":" in name or not task else f"{task}:{name}" for name in names)


def _instance_ids(names, task):
    return " ".join(name.rpartition(":")[2] for name in names)


EXPORTS = {"samples": _samples, "sample_id": _sample_id, "instance_ids": _instance_ids}


def _check_free(session, others, path):
    """Raise a ValueError where a list would replace others, or what this session did not write."""
    path = Path(path).resolve()
    written = session.origin.get("exports", {}).get(str(path))
    is_other = path.exists() and written != crc32(path.read_bytes())
    if is_other or path in [Path(other).resolve() for other in others]:
        raise ValueError(f"{path} is there already, and not from this session: name another file")


def _export(session, path, text):
    """Write the list, and keep what says that it is this session's."""
    write_text(path, text)
    path = str(Path(path).resolve())
    session.origin.setdefault("exports", {})[path] = crc32(text.encode())


# --- the command line ---

# A flag, a value of the type below, or one of the values between |.
OPTIONS = f"""
files             FILES             tables, logs, folders of them
sources           SOURCES           the scores of other models: tables, logs, folders of them
results           RESULTS           results of one model: item, score as CSV or JSONL; logs
--sources         FILES             the scores of other models, where there is no session
--benchmark       NAME              sources that the book has, gsm8k, mmlu, ..., to plan with: \
their items (of gsm8k the 1,000 of HELM-Lite, in its order) are no doc_ids of lm_eval
--session         FILE              the evaluation's file; `items` begins it
--budget          N                 items to run (below 1: a fraction)
--precision       H                 half-width at which it is enough
--difference      D                 of two models, to be told apart
--target          new|known         better than the sources (the default), or like them
--cost            C                 of one item, in any unit
--of              COUNT             items of the whole benchmark, without sources
--rounds          COUNT             runs that share the budget (default {ROUNDS}); each is larger \
than the one before, which it learns from
--method          {"|".join(METHODS)}  what draws and estimates (default {RECOMMENDED})
--one-round       -                 draw all items at once, uniformly: one run, and an interval \
about an eighth wider; short for --method {ONE_ROUND}
--seed            COUNT             of the draw
--tasks           items|mean        share the budget out over tasks, for the average over items, \
or for the mean of the tasks
--reference       MODEL             a source model with which the new one is to be compared
--by              task|domain       also the estimate of each, and both averages
--all             -                 the items asked for so far, not only the next
--samples         FILE              write the items to FILE, for lm_eval --samples FILE
--sample-id       FILE              write them for inspect eval --sample-id $(cat FILE)
--instance-ids    FILE              write them for SWE-bench: --instance_ids $(cat FILE)
--task            NAME              of the task, where the items are only numbers
--failed          wrong|open        an item that was not run, or without a result, counts as \
wrong, or is left open, for bounds
--out             PAGE              the page to write, such as report.html
--metric          WHICH             which metric to read, where logs hold several
--filter          WHICH             which filter of lm-evaluation-harness, where there are more
--missing         error|drop|drop-models|keep  scores that sources lack: drop the items, or the \
models, or keep them all
--same-items      -                 the items are the same, though their hashes differ
--json            -                 print JSON
"""
COMMANDS = {  # what runs it, its help, and its options, ! on those that it needs
    "plan": (
        plan,
        "say how many items it takes, and what they can show",
        "sources --benchmark --of --budget --precision --difference --target --cost",
    ),
    "items": (
        items,
        "say which items to run next; begins a session where there is none",
        "sources --session! --benchmark --budget --precision --rounds --method --one-round --seed "
        "--tasks --reference --all --samples --sample-id --instance-ids --task",
    ),
    "estimate": (
        estimate,
        "record results, and say what they say",
        "results --session --sources --benchmark --failed --by",
    ),
    "compare": (
        compare,
        "say which of two models is better, or in which order several are",
        "results --session --sources --benchmark --of --failed",
    ),
    "check": (check, "say what files hold together, or what is wrong with them", "files"),
    "report": (
        page,
        "write a page to hand on: estimate, picture, items, hashes, versions",
        "results --session! --out! --failed",
    ),
}
READ = " --metric --filter --missing --same-items --json"  # options of every command


def _budget(text):
    if not re.fullmatch(r"[1-9][0-9]*|0?[.][0-9]*[1-9][0-9]*", text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither a number of items, such as 50, nor a fraction below 1, such as "
            "0.2"
        )
    return float(text) if "." in text else int(text)


def _count(text):
    if not re.fullmatch("[0-9]+", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 0 on")
    return int(text)


TYPES = {"N": _budget, "COUNT": _count, "WHICH": per_task} | dict.fromkeys("HDC", float)
MANY = {"FILES": "+", "SOURCES": "*", "RESULTS": "*"}


def _parser():
    parser = argparse.ArgumentParser("benchpred", description=__doc__, epilog=EPILOG)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command, (run, text, options) in COMMANDS.items():
        added = commands.add_parser(command, help=text, description=text)
        added.set_defaults(run=run, sources=(), benchmark=None, session=None)
        options = (options + READ).split()
        for line in OPTIONS.strip().splitlines():
            name, value, words = line.split(maxsplit=2)
            is_needed = f"{name}!" in options
            if is_needed or name in options:
                action = added.add_argument(name, help=words, **_form(value))
                action.required |= is_needed
    return parser


def _form(value):
    if value == "-":
        return {"action": "store_true", "default": None}
    if "|" in value:
        return {"choices": value.split("|")}
    return {"metavar": value, "type": TYPES.get(value, str), "nargs": MANY.get(value)}


def _say(words, file=None):
    """Print, on standard error or elsewhere, without control characters of names from files."""
    lines = [printable(line, np.inf) for line in words.split("\n")]
    print("\n".join(lines), file=file or sys.stderr, flush=True)


def _print_warning(message, *place):
    _say(f"warning: {message}")


FAULTS = ValueError, TypeError, OSError, ImportError, OverflowError, RecursionError, DataUnavailable


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0: all is well, 1: not with files or numbers, 2: not with the options."""
    for stream in (sys.stdout, sys.stderr):  # names may be beyond a terminal's encoding
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    parser = _parser()
    args = parser.parse_args(arguments)
    with warnings.catch_warnings():
        warnings.showwarning = _print_warning
        try:
            content, words = args.run(args)
            _say(report.as_json(content) if args.json else words, sys.stdout)
        except BrokenPipeError:  # its reader, such as `head`, has seen enough
            sys.stdout = sys.stderr = None  # what is still to be written is for nobody
        except argparse.ArgumentError as error:
            parser.error(str(error))
        except FAULTS as error:
            _say(f"error: {error}")
            return 1
        except KeyboardInterrupt:
            print("stopped: what was recorded is kept; the same command goes on", file=sys.stderr)
            return 130
    return 0
