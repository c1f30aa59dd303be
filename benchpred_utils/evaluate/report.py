"""What the command line says: words, JSON, or a page."""

import json
import math
from hashlib import sha256
from html import escape
from importlib.metadata import version
from operator import methodcaller
from pathlib import Path

import numpy as np

from ..methods import METHODS
from ..scores import Scores
from .advice import Advice
from .compare import Comparison, Ranking
from .readers import named, printable
from .session import EvaluationSession, SessionEstimate, TaskEstimates


def file_words(path: str | Path, scores: Scores) -> str:
    """What a file holds, in some lines."""
    kind = "0 or 1" if np.isin(scores.values, (0, 1)).all() else "between 0 and 1"
    domains = [] if scores.domains is None else [f", {len(set(scores.domains))} domains"]
    shape = f"{scores.n_models} models x {scores.n_items} items"
    accuracy = scores.accuracy
    lines = [
        "".join([f"{path}: {shape}", *domains, f"; scores {kind}"]),
        f"  models {named(scores.models)}; items {named(scores.items)}",
        f"  accuracy {accuracy.min():.3f} to {accuracy.max():.3f}",
    ]
    if scores.n_models > scores.n_items:
        lines.append("  more models than items: if its rows are items, transpose it")
    return "\n".join(lines)


def as_json(content: object) -> str:
    """JSON, with null where there is no number."""
    text = json.dumps(content, default=methodcaller("tolist"))
    return json.dumps(json.loads(text, parse_constant=lambda name: None))


def plan_words(advice: Advice, plan: dict) -> str:
    """The advice, what it costs, and which difference of two models it can show."""
    n = advice.n_items
    n_items, cost, shown, needed = plan.values()
    lines = [str(advice), f"That is {n} of {n_items} items, {n / n_items:.0%} of a full run."]
    if cost:
        lines[1] += f" It costs {cost[0]:g}, a full run {cost[1]:g}."
    if shown:
        lines.append(
            f"Two models on the same {n} items are told apart (80% power, 5% level) where they "
            f"differ by {100 * shown:.1f} points or more, if they are like neighbours among the "
            "best sources."
        )
    if needed:
        difference, n_needed = needed
        lines.append(f"For a difference of {100 * difference:g} points it takes {n_needed} items.")
    return "\n".join(lines)


def estimate_content(
    found: SessionEstimate, parts: TaskEstimates | None, session: EvaluationSession
) -> dict:
    """The estimate, of tasks too, and what to run next."""
    content = found._asdict() | {"done": session.done, "n_items": session.source.n_items}
    if parts:
        of_tasks = {name: part._asdict() for name, part in parts.tasks.items()}
        content |= {"tasks": of_tasks, "mean_of_tasks": parts.mean._asdict()}
    return content | {"next_items": session.next_items()}


def parts_words(parts: TaskEstimates | None) -> str:
    """The estimates of tasks, and the averages over tasks and over items, a line each."""
    if parts is None:
        return ""
    rows = parts.tasks | {"mean of tasks": parts.mean, "all items": parts.items}
    return "".join(
        f"\n{printable(name)}: {clipped(part.value):.3f}, from {part.lower:.3f} to "
        f"{part.upper:.3f}; {part.n} of {part.n_items} items"
        for name, part in rows.items()
    )


def estimate_words(found: SessionEstimate, session: EvaluationSession, again: str) -> str:
    """The estimate in some lines; `again` is the command that says which items are next."""
    value = clipped(found.value)
    items = f"{found.n} of {session.source.n_items} items"
    parts = [f"{value:.3f}"]
    if not math.isnan(found.lower):
        parts.append(f", from {found.lower:.3f} to {found.upper:.3f}")
    if abs(found.imputed - found.value) > 1e-9:
        clause = "with forecasts for the items not run: often closer, but not unbiased"
        parts.append(f" ({found.imputed:.3f} {clause})")
    parts.append(f"; {items}")
    if not math.isnan(found.ess):
        parts.append(f", worth {found.n * found.ess:.0f} drawn at random")
    lines = ["".join(parts), found.interval, *(f"note: {text}" for text in found.warnings)]
    if value != found.value:
        lines.append(
            f"note: the unbiased estimate is {found.value:.3f}; no accuracy is, so the nearest one "
            "is shown"
        )
    if found.failed:
        low, high = found.bounds
        lines.append(f"note: {low:.3f} with all of these wrong, {high:.3f} with all of them right")
    n_next = len(session.next_items())
    if n_next:
        lines.append(f"next: {n_next} more item{'s' * (n_next > 1)}, {again}")
    return "\n".join(lines)


def comparison_words(found: Comparison, names: list) -> str:
    """The difference of two models, A and B, in some lines."""
    value, lower, upper = (f"{100 * end:+.1f}" for end in found[:3])
    a, b = (clipped(accuracy.value) for accuracy in found.accuracies)
    verdict = "B is better" if found.lower > 0 else "A is better" if found.upper < 0 else "open"
    lines = [
        f"B - A: {value} points, from {lower} to {upper}: {verdict}; {found.n} of {found.n_items} "
        "items",
        f"A, {printable(names[0])}: {a:.3f}; does better on {found.only_a} of these items",
        f"B, {printable(names[1])}: {b:.3f}; does better on {found.only_b}",
        found.interval,
    ]
    if not math.isnan(found.n_eff):
        lines.append(f"worth {found.n_eff:.0f} pairs drawn at random; p = {found.p:.3f}")
    if found.detectable > 0:
        lines.append(
            f"a true difference of {100 * found.detectable:.1f} points would be found with "
            "probability 80%"
        )
    return "\n".join([*lines, *(f"note: {text}" for text in found.warnings)])


def ranking_words(ranking: Ranking) -> str:
    """The models in order, and which pairs are apart."""
    lines = []
    for model in ranking.models.itertuples():
        ends = f"from {model.lower:.3f} to {model.upper:.3f}"
        rank = f"{model.best_rank} to {model.worst_rank}"
        lines.append(
            f"{printable(model.Index)}: {model.on_items:.3f} on these items; accuracy "
            f"{clipped(model.value):.3f}, {ends}; rank {rank}"
        )
    apart = ranking.pairs.query("lower > 0 or upper < 0")
    for pair in apart.itertuples():
        better, worse = (pair.b, pair.a) if pair.value > 0 else (pair.a, pair.b)
        ends = sorted(abs(100 * end) for end in (pair.lower, pair.upper))
        lines.append(
            f"{printable(better)} is better than {printable(worse)} by {100 * abs(pair.value):.1f} "
            f"points, from {ends[0]:.1f} to {ends[1]:.1f}"
        )
    pairs = f"{len(apart)} of {len(ranking.pairs)} pairs are told apart"
    return "\n".join([*lines, f"{pairs}; the ranks hold together in 95 of 100 evaluations"])


def clipped(value: float) -> float:
    """The nearest accuracy that there is."""
    return min(max(value, 0.0), 1.0)


# --- one page, to hand on ---

VERSIONS = ", ".join(f"{name} {version(name)}" for name in ("benchpred-book", "numpy", "scipy"))
MARK = "<!-- benchpred report -->"
STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:50em;margin:2em auto;padding:0 1em}"
    "td,th{text-align:left;padding:.1em 1em .1em 0;vertical-align:top}"
    "pre{white-space:pre-wrap}svg{width:100%}"
)


def page(session: EvaluationSession, compared: dict, path: str, sources: list) -> str:
    """HTML without scripts and without anything from elsewhere."""
    found = session.estimate()
    bars = [("accuracy", found)]
    parts = [f"<pre>{_safe(estimate_words(found, session, 'benchpred items'))}</pre>"]
    for name, one in compared.items():
        bars.append((f"accuracy of {name}", one.accuracies[1]))
        parts.append(f"<h2>{_safe(name)}, against this model</h2>")
        words = comparison_words(one, ["this model", name])
        parts.append(f"<pre>{_safe(words)}</pre>{_picture([(name, one)], -1)}")
    parts.insert(1, _picture(bars, 0))
    results = [
        (item, "" if score is None else f"{score:g}") for item, score in session.results.items()
    ]
    content = session.to_dict()
    facts = [
        ("method", METHODS[content["settings"]["method"]].label),
        ("session", f"{path}, sha256 {sha256(Path(path).read_bytes()).hexdigest()}"),
        ("source scores", f"{session.source!r}, sha256 {content['source']}"),
        *[
            (source, sha256(Path(source).read_bytes()).hexdigest())
            for source in sources
            if Path(source).is_file()
        ],
        ("versions", VERSIONS),
    ]
    return "\n".join(
        [
            f'<!doctype html>{MARK}<html lang="en"><meta charset="utf-8"><title>Evaluation</title>',
            f"<style>{STYLE}</style><h1>{session.source.name}: accuracy from few items</h1>",
            *parts,
            f"<h2>What it rests on</h2>{_table(facts)}",
            f"<h2>Items</h2>{_table(results)}</html>",
        ]
    )


def _safe(text: object) -> str:
    return escape("\n".join(printable(line, math.inf) for line in str(text).splitlines()))


def _table(rows: list) -> str:
    cells = ("".join(f"<td>{_safe(cell)}" for cell in row) for row in rows)
    return f"<table>{''.join(f'<tr>{row}' for row in cells)}</table>"


def _picture(bars: list, least: int) -> str:
    """Intervals from `least` to 1, with their values, as an SVG."""

    def x(value: float) -> float:
        return 20 + 560 * (value - least) / (1 - least)

    height = 30 * len(bars) + 30
    lines = [f'<svg viewBox="0 0 600 {height}" role="img" font-size="12" font-family="sans-serif">']
    for tick in np.linspace(least, 1, 5):
        lines.append(
            f'<path d="M{x(tick):.1f} 0V{height - 20}" stroke="#ddd"/>'
            f'<text x="{x(tick):.1f}" y="{height - 5}" text-anchor="middle">{tick:g}</text>'
        )
    for number, (name, found) in enumerate(bars):
        y = 30 * number + 20
        text = f"{found.value:.3f}, from {found.lower:.3f} to {found.upper:.3f}"
        lines.append(
            f"<g><title>{_safe(name)}: {text}</title>"
            f'<path d="M{x(found.lower):.1f} {y}H{x(found.upper):.1f}" stroke="#0072b2" '
            f'stroke-width="3"/><circle cx="{x(found.value):.1f}" cy="{y}" r="5" fill="#0072b2"/>'
            f'<text x="20" y="{y - 6}">{_safe(name)}</text></g>'
        )
    return "".join([*lines, "</svg>"])
