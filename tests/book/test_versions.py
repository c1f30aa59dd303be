"""Pairs of successive versions in the score matrices."""

from types import SimpleNamespace

import numpy as np
import pytest
from benchpred_book.versions import AGENTS, FAMILIES, successive_versions


def matrix(name, models):
    """A small matrix in which row i holds the score i and is the i-th by date."""
    values = np.repeat(np.arange(len(models), dtype=float)[:, None], 2, axis=1)
    dates = np.arange(len(models))
    return SimpleNamespace(name=name, models=np.array(models), dates=dates, values=values)


@pytest.mark.parametrize("name, chains", [("helm", FAMILIES), ("swe_bench_small", AGENTS)])
def test_each_version_is_paired_with_the_one_before(name, chains):
    join = "{1}_{0}" if chains is AGENTS else "{0}{1}"
    models = [join.format(f, v) for f, versions in chains.items() for v in versions.split()]
    pairs = successive_versions(matrix(name, models))
    assert len(pairs) == len(models) - len(chains)
    for pair in pairs:
        assert pair.new[0] == pair.old[0] + 1
        assert pair.older[:, 0].tolist() == list(range(int(pair.new[0])))


def test_an_interval_resamples_developers_and_agents():
    models = [f + v for f, versions in FAMILIES.items() for v in versions.split()]
    groups = {pair.group for pair in successive_versions(matrix("helm", models))}
    assert groups == {"openai", "anthropic", "meta", "google"}


def test_a_version_that_is_missing_is_an_error():
    with pytest.raises(ValueError):
        successive_versions(matrix("helm", ["openai_gpt-4-0613"]))
