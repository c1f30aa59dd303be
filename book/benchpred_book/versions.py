"""Successive versions of a model or an agent in the score matrices."""

from typing import NamedTuple

import numpy as np

# Family and version make up a row's name in HELM-Lite; the developer comes before the first "_".
FAMILIES = {
    "openai_gpt-4": "-0613 -1106-preview -turbo-2024-04-09 o-2024-05-13 o-2024-08-06",
    "anthropic_claude-": "2.1 3-opus-20240229 3-5-sonnet-20240620 3-5-sonnet-20241022",
    "meta_llama-": "2-70b 3-70b 3.1-70b-instruct-turbo 3.3-70b-instruct-turbo",
    "google_gemini-1.5-pro-": "001 002",
    "google_gemini-1.5-flash-": "001 002",
}
# In SWE-bench a row's name begins with the date of the submission and holds the agent's name.
AGENTS = {
    "OpenHands": "20241029 20250203 20250415 20250524 20250807 20251127",
    "amazon-q-developer-agent": "20240509 20240721 20241202 20250405",
    "sweagent": "20240402_sweagent_claude3opus 20240620 20250225 20250522",
    "epam-ai-run": "20240820 20241029 20241212 20250228 20250804",
    "devlo": "20241108 20241213 20250519",
    "trae": "20250519 20250612",
    "solver": "20240920 20240924 20241028",
}


class Pair(NamedTuple):
    """Two successive versions and what was known before the newer one."""

    benchmark: str
    group: str  # the developer or the agent, by which an interval resamples
    old: np.ndarray  # (N,) scores of the version before
    new: np.ndarray  # (N,)
    older: np.ndarray  # (M, N) scores of all models that are older than the new one


def successive_versions(scores):
    """The pairs of successive versions in a score matrix whose rows have names and dates."""
    chains = AGENTS if scores.name.startswith("swe_bench") else FAMILIES
    models = scores.models.tolist()
    pairs = []
    for family, versions in chains.items():
        rows = [_row(models, family, version) for version in versions.split()]
        for old, new in zip(rows, rows[1:]):
            older = scores.values[scores.dates < scores.dates[new]]
            group = family.split("_")[0]
            pairs.append(Pair(scores.name, group, scores.values[old], scores.values[new], older))
    return pairs


def _row(models, family, version):
    if family + version in models:
        return models.index(family + version)
    fits = (m.startswith(version) and family.lower() in m.lower() for m in models)
    return list(fits).index(True)
