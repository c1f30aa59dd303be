"""What the command line says: words, JSON, or a page."""

import json
from hashlib import sha256
from html import escape
from operator import methodcaller
from pathlib import Path

import numpy as np

from .. import __version__
from .files import named
from .parts import PartEstimate


def lines_of(said: dict) -> str:
    """The sentences that are to be said, a line each: {sentence: whether it is said}."""
    return "\n".join(sentence for sentence, is_said in said.items() if is_said)


def as_json(content: object) -> str:
    """JSON, with null where there is no number."""
    text = json.dumps(content, default=methodcaller("tolist"))
    return json.dumps(json.loads(text, parse_constant=lambda name: None))


def file_words(paths, scores) -> str:
    """What files hold together."""
    values = scores.values[~np.isnan(scores.values)]
    kind = "0 or 1" if np.isin(values, (0, 1)).all() else "between 0 and 1"
    lacking = scores.values.size - values.size
    tasks = named(np.unique([] if scores.domains is None else scores.domains))
    said = {
        f"{named(paths)}: scores {kind}": True,
        f"  models: {scores.n_models} ({named(scores.models)})": True,
        f"  items: {scores.n_items} ({named(scores.items)})": True,
        f"  accuracy {scores.accuracy.min():.3f} to {scores.accuracy.max():.3f}": True,
        f"  tasks or domains: {tasks}": tasks,
        f"  missing scores: {lacking}": lacking,
        "  more models than items: if its rows are items, call its first column `item`": (
            scores.n_models > scores.n_items
        ),
    }
    return lines_of(said)


def parts_of(session, by=None, failed="wrong"):
    """The estimates of tasks where they are asked for, or the session was begun for their mean."""
    wanted = by or session._settings["tasks"] == "mean"
    return session.estimate_by(by, failed) if wanted and session.done else None


def estimate_words(found, session, again: str, parts=None) -> str:
    """An estimate, and those of tasks; `again` is the command that lists the items."""
    low, high = found.bounds
    n_next = len(session.next_items())
    rows = {"mean of tasks": parts.mean} | parts.tasks if parts else {}
    rows["accuracy on all items"] = PartEstimate(*found[:4], session.source.n_items)
    said = {f"{name}: {_part_words(part)}": True for name, part in rows.items()}
    said |= {
        f"worth {found.n * found.ess:.0f} items drawn at random": found.ess > 0,
        f"{found.imputed:.3f} with forecasts for the items not run: often closer, but not "
        "unbiased": abs(found.imputed - found.value) > 1e-9,
        _with_notes(found): True,
        f"note: the unbiased estimate is {found.value:.3f}; no accuracy is, so the nearest one is "
        "shown": not 0 <= found.value <= 1,
        f"note: {low:.3f} with all of these wrong, {high:.3f} with all of them right": found.failed,
        f"next: {n_next} more to run ({again})": n_next,
        "or, if they were run and failed, count them as wrong: --failed wrong": (
            0 < n_next < len(session._asked)
        ),
        "to compare it with other models, run them on the same items (benchpred compare)": (
            session.is_random
        ),
    }
    return lines_of(said)


def _part_words(part):
    ends = f", from {part.lower:.3f} to {part.upper:.3f}" if part.lower >= 0 else ""
    return f"{_clipped(part.value):.3f}{ends}; {part.n} of {part.n_items} items"


def _with_notes(found):
    """Which interval it is, and what is to be known with it."""
    return "\nnote: ".join([found.interval, *found.warnings])


def _clipped(value):
    """The nearest accuracy that there is."""
    return min(max(value, 0.0), 1.0)


def comparison_words(found, names) -> str:
    """The difference of two models, A and B."""
    a, b = names
    value, lower, upper = (f"{100 * end:+.1f}" for end in found[:3])
    s_a, s_b = (f"{_clipped(accuracy.value):.3f}" for accuracy in found.accuracies)
    verdict = "B is better" if found.lower > 0 else "A is better" if found.upper < 0 else "open"
    size = f"{found.n} of {found.n_items} items"
    said = {
        f"B - A: {value} points, from {lower} to {upper}: {verdict}; {size}": True,
        f"A, {a}: {s_a}; does better on {found.only_a} of these items": True,
        f"B, {b}: {s_b}; does better on {found.only_b}": True,
        _with_notes(found): True,
        f"worth {found.n_eff:.0f} pairs drawn at random; p = {found.p:.3f}": found.p >= 0,
        f"a true difference of {100 * found.detectable:.1f} points would be found with "
        "probability 80%": found.detectable > 0,
    }
    return lines_of(said)


def ranking_words(ranking) -> str:
    """The models in order, and which pairs are apart."""
    apart = ranking.pairs.query("lower > 0 or upper < 0")
    models, pairs = (table.to_string(float_format="%.3f") for table in (ranking.models, apart))
    count = f"{len(apart)} of {len(ranking.pairs)} pairs are told apart"
    held = "the ranks hold together in 95 of 100 evaluations"
    said = {
        models: True,
        "lacks: items without a result; they count as wrong, or are left open by --failed open": (
            ranking.models["lacks"].any()
        ),
        f"{count}; {held}": True,
        pairs: len(apart),
    }
    return lines_of(said)


# --- one page, to hand on ---

VERSIONS = f"benchpred-book {__version__}, numpy {np.__version__}"
MARK = "<!-- benchpred report -->"


def page(session, compared: dict, path: str, sources: list, failed="wrong") -> str:
    """HTML without scripts and without anything from elsewhere."""
    found = session.estimate(failed)
    of_tasks = parts_of(session, failed=failed)
    words = estimate_words(found, session, "benchpred items", of_tasks)
    parts = _part("accuracy", of_tasks.mean if of_tasks else found, 0, words)
    for name, one in compared.items():
        words = comparison_words(one, ["this model", name])
        parts += _part(f"{name}, less this model's accuracy", one, -1, words)
    sources_hash = f"{session.source!r}, sha256 {session._fingerprint}"
    facts = [session._method.label, VERSIONS, sources_hash]
    for file in map(Path, [path, *sources]):
        if file.is_file():
            facts.append(f"{file}, sha256 {sha256(file.read_bytes()).hexdigest()}")
    facts = escape("\n".join(facts))
    results = escape("\n".join(f"{name} {score}" for name, score in session.results.items()))
    return f"""\
<!doctype html>{MARK}<html lang="en"><meta charset="utf-8"><title>Evaluation</title>
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:50em;margin:2em auto;padding:0 1em}}
pre{{white-space:pre-wrap}}svg{{width:100%}}</style>
<h1>{escape(session.origin.get("model", "A model"))}: accuracy from few items</h1>
{parts}<h2>What it rests on</h2><pre>{facts}</pre>
<h2>Items</h2><pre>{results}</pre></html>"""


def _part(name, found, least, words):
    """The interval as an SVG, on the axis from `least` to 1, and the words."""
    value, lower, upper = (np.nan_to_num(found[:3]) - least) / (1 - least)
    return f"""\
<h2>{escape(name)}</h2>
<svg viewBox="0 0 600 40" role="img" font-size="12" font-family="sans-serif">
<title>the interval, on a scale from {least} to 1</title>
<path d="M0 18H600M1 12v12M300 12v12M599 12v12" stroke="#bbb"/>
<line x1="{lower:.1%}" x2="{upper:.1%}" y1="18" y2="18" stroke="#0072b2" stroke-width="4"/>
<circle cx="{value:.1%}" cy="18" r="5" fill="#0072b2"/><text y="37">{least}</text>
<text x="300" y="37" text-anchor="middle">{(1 + least) / 2}</text>
<text x="600" y="37" text-anchor="end">1</text></svg><pre>{escape(words)}</pre>
"""
