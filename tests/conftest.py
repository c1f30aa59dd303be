import subprocess
import sys
from pathlib import Path

import browser
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


# The built book, and one browser for all tests of pages: two of its drivers do not work in one process


@pytest.fixture(scope="session")
def book(tmp_path_factory):
    """The folder of the book, built anew from the stored outputs with every warning an error."""
    command = [
        sys.executable,
        str(Path(__file__).parents[1] / "book/tools/build.py"),
        str(tmp_path_factory.mktemp("book")),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-8000:]
    return Path(done.stdout.rsplit(" is at ", 1)[1].strip()).parent


@pytest.fixture(scope="session")
def chrome():
    """A Chromium that can reach nothing but this machine; skips, saying so, where there is none."""
    why = "" if browser.find_chromium() else "no Chromium on the PATH, nor in $BENCHPRED_CHROMIUM"
    try:
        import axe_playwright_python  # noqa: F401
        import playwright.sync_api  # noqa: F401
    except ImportError as error:
        why = why or f"{error.name} is not installed"
    if why and browser.REQUIRED:
        pytest.fail(f"the browser is required here, and missing: {why}")
    if why:
        pytest.skip(f"the pages were not opened in a browser: {why}")
    with browser.chromium() as running:
        yield running


@pytest.fixture(scope="session")
def address(book):
    with browser.served(book) as address:
        yield address


@pytest.fixture(scope="session")
def chart_page(book):
    """The page with the most charts."""
    pages = {
        path: path.read_text(encoding="utf-8").count("benchpred-chart")
        for path in book.rglob("notebooks/*.html")
    }
    return max(pages, key=pages.get).relative_to(book).as_posix()


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
