"""pyproject.toml, environment.yml and constraints.txt say the same."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
CONDA = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]


def ranges(requirements):
    """Name to range, for a list of requirements."""
    parsed = [Requirement(text) for text in requirements]
    return {canonicalize_name(requirement.name): requirement.specifier for requirement in parsed}


def pins():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    matches = [
        re.fullmatch(r"([A-Za-z0-9._-]+)==([^;\s]+)", line)
        for line in lines
        if line and line[0] != "#"
    ]
    assert all(matches), "constraints.txt holds nothing but exact pins"
    return {canonicalize_name(match[1]): Version(match[2]) for match in matches}


def test_conda_installs_what_pyproject_says():
    python, _, pip = CONDA
    assert (
        python.removeprefix("python=")
        in Requirement("python" + PROJECT["requires-python"]).specifier
    )
    assert pip == {"pip": ["-e .[book]"]}


@pytest.mark.parametrize("extra", ["dependencies", *EXTRAS])
def test_every_requirement_is_pinned_within_its_range(extra):
    pinned = pins()
    for name, specifier in ranges(
        PROJECT["dependencies"] if extra == "dependencies" else EXTRAS[extra]
    ).items():
        assert name in pinned, f"{name} is not pinned in constraints.txt"
        assert pinned[name] in specifier


def test_no_kernel_compiles_a_grammar_to_load_altair():
    assert "rfc3987-syntax" not in pins(), "jsonschema loads it: see the comment there"


@pytest.mark.parametrize(
    "file", ["pyproject.toml", "environment.yml", "constraints.txt", "Makefile"]
)
def test_no_package_host_is_named(file):
    text = (ROOT / file).read_text()
    assert not re.search(r"index-url|find-links|trusted-host|pypi\.|pythonhosted|file://|@ ", text)
