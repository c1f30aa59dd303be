"""pyproject.toml, environment.yml and constraints.txt say the same."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
CONDA = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]


def ranges(requirements):
    """Name to range, for a list of requirements."""
    parsed = [Requirement(text) for text in requirements]
    return {canonicalize_name(requirement.name): requirement.specifier for requirement in parsed}


def conda_ranges():
    """Name to range, but for Python, which is one version there, as conda writes it (`name=version`)."""
    return ranges(
        entry
        for entry in CONDA
        if isinstance(entry, str) and not entry.startswith(("python=", "pip"))
    )


def pins():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    matches = [
        re.fullmatch(r"([A-Za-z0-9._-]+)==([^;\s]+)", line)
        for line in lines
        if line and line[0] != "#"
    ]
    assert all(matches), "constraints.txt holds nothing but exact pins"
    return {canonicalize_name(match[1]): Version(match[2]) for match in matches}


def test_conda_and_pyproject_have_the_same_ranges():
    conda = conda_ranges()
    (python,) = [
        entry.removeprefix("python=") for entry in CONDA if str(entry).startswith("python=")
    ]
    assert python in Requirement("python" + PROJECT["requires-python"]).specifier
    package, extras = ranges(PROJECT["dependencies"]), ranges(EXTRAS["book"] + EXTRAS["test"])
    assert set(package) <= set(conda), "conda installs all that the package needs"
    assert conda == {name: (package | extras)[name] for name in conda}


def test_conda_installs_the_rest_as_pyproject_says():
    (pip,) = [entry["pip"] for entry in CONDA if isinstance(entry, dict)]
    assert pip == ["-e .[book,test]"]


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


def test_the_repository_address_stands_in_one_place():
    address = yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]["url"].removeprefix(
        "https://"
    )
    folders = ["book", "notebooks", "benchpred_utils", "tests", ".ci"]
    files = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()]
    files += [path for path in ROOT.iterdir() if path.is_file()]
    # The stored notebooks have it from there, in their cell for Colab (tests/test_publishing.py).
    texts = (
        path for path in files if path.suffix in (".md", ".py", ".toml", ".yml", ".js", ".css", "")
    )
    holding = [
        path.name for path in texts if address in path.read_text(encoding="utf-8", errors="ignore")
    ]
    assert holding == ["_config.yml"]
