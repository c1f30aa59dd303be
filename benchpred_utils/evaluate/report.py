"""What the command line says of files and estimates: words, or JSON."""

import json
import math
from pathlib import Path

import numpy as np

from ..scores import Scores
from .readers import named
from .session import EvaluationSession, SessionEstimate

__all__ = ["estimate_json", "estimate_words", "file_words"]


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


def estimate_json(found: SessionEstimate, session: EvaluationSession) -> str:
    """The estimate and what to run next as a JSON object; null where there is no number."""
    content = found._asdict()
    for name in ("lower", "upper", "ess", "imputed"):
        content[name] = None if math.isnan(content[name]) else content[name]
    content |= {"n_items": session.source.n_items, "done": session.done}
    return json.dumps(content | {"next_items": session.next_items()})


def estimate_words(found: SessionEstimate, session: EvaluationSession, again: str) -> str:
    """The estimate in some lines; `again` is the command that says which items are next."""
    value = min(max(found.value, 0.0), 1.0)
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
    n_next = len(session.next_items())
    if n_next:
        lines.append(f"next: {n_next} more item{'s' * (n_next > 1)}, {again}")
    return "\n".join(lines)
