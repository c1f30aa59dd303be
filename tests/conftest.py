import numpy as np
import pytest

import benchpred_utils as bp


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
    """A small score matrix with the shape of the real ones: (30 models, 60 items) of 0/1 scores, Rasch-like."""
    rng = np.random.default_rng(1)
    ability, difficulty = rng.normal(0.3, 1.2, (30, 1)), rng.normal(0, 1.2, (1, 60))
    return (rng.random((30, 60)) < 1 / (1 + np.exp(difficulty - ability))).astype(float)


# What tests share


def draw(design, source, n, rngs):
    """One draw of a design per generator: the core sets (T, n) and whatever else it gives, stacked."""
    draws = [design(source, n, rng) for rng in rngs]
    return [*map(np.stack, zip(*draws))] if isinstance(draws[0], tuple) else [np.stack(draws)]


def awkward(rng):
    """Source matrices that something degenerates on, by name."""
    binary = rng.integers(0, 2, (20, 60)).astype(float)
    return {
        "half of the items are constant": np.where(np.arange(60) < 30, 1.0, binary),
        "all items are constant": np.tile(np.arange(60) % 2.0, (20, 1)),
        "all models are as good": np.stack(
            [rng.permutation(np.arange(60) % 2.0) for _ in range(20)]
        ),
        "models come four times": np.repeat(binary[:5], 4, axis=0),
        "three models": binary[:3],
        "scores between 0 and 1": rng.random((20, 60)),
    }
