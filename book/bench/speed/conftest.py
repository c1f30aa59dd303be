"""Options of the suite, and the folder of what it times."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

import measure
import pytest


def pytest_addoption(parser):
    parser.addoption("--tiny", action="store_true", help="problems of a tiny size, once each")


@pytest.fixture(scope="session")
def rates(pytestconfig):
    return measure.rates(256 if pytestconfig.getoption("--tiny") else 2048)
