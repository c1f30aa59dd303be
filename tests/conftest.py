import os

import numpy as np
import pytest

import benchpred_utils as bp

FULL = os.environ.get("CI") == "true" or os.environ.get("BENCHPRED_FULL") == "1"


def pytest_configure(config):
    config.addinivalue_line("markers", "ci: too slow for every day")


def pytest_collection_modifyitems(items):
    skip = pytest.mark.skip(reason="slow: runs in CI, and with BENCHPRED_FULL=1")
    for item in items:
        if item.get_closest_marker("ci") and not FULL:
            item.add_marker(skip)


@pytest.fixture
def rng():
    return np.random.default_rng(20250611)


@pytest.fixture
def load():
    """Load a real benchmark, or skip the test, saying so, where its file can't be had."""

    def load(name, **options):
        try:
            return bp.load_scores(name, **options)
        except bp.DataUnavailable as error:
            pytest.skip(f"needs real data: {error}")

    return load


@pytest.fixture(scope="session")
def matrix():
    """A small score matrix, Rasch-like: 0/1 scores of 30 models on 60 items."""
    rng = np.random.default_rng(1)
    ability = rng.normal(0.3, 1.2, (30, 1))
    difficulty = rng.normal(0, 1.2, (1, 60))
    return (rng.random((30, 60)) < 1 / (1 + np.exp(difficulty - ability))).astype(float)
