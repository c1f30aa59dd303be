"""One algorithm for every array library: the core on NumPy, on a strict stand-in for a GPU, and on CuPy where it is."""

import ast
from pathlib import Path

import array_api_strict
import numpy as np
import pytest

import benchpred_utils as bp
from benchpred_utils import backend, designs, estimators, simulation
from benchpred_utils.estimators import observe
from conftest import draw

DEVICE = array_api_strict.Device("device1")  # refuses silent transfers to and from the host


def strict(values):
    return array_api_strict.asarray(values, device=DEVICE)


def cupy(values):
    if backend._cupy() is None:
        pytest.skip("no GPU answers")
    return backend._cupy().asarray(values)


def back(values):
    on_host = values.to_device(array_api_strict.Device("CPU_DEVICE")) if backend.device(values) == DEVICE else values
    return np.asarray(backend.to_numpy(on_host))


@pytest.mark.parametrize("convert", [strict, cupy])
@pytest.mark.parametrize("name", [name for name, method in bp.METHODS.items() if not method.adaptive])
def test_estimators_return_what_they_were_given(name, convert, matrix, rng):
    source, target, method = matrix[:20], matrix[20:], bp.METHODS[name]
    core, *learned = draw(method.design, source, 13, [rng] * 4)
    expected = method.estimator(source, core, observe(target, core), *learned)
    there = convert(target)
    got = method.estimator(convert(source), convert(core), observe(there, convert(core)), *map(convert, learned))
    for value, reference in zip(got, expected):
        if reference is not None:
            assert type(value) is type(there)
            assert back(value) == pytest.approx(reference, rel=1e-9)


@pytest.mark.parametrize("convert", [strict, cupy])
def test_similarity_and_difference(convert, matrix, rng):
    a, b = matrix[:20], matrix[20:]
    for kind in ("kappa", "agreement"):
        for over in ("mean", "max"):
            got = bp.model_similarity(convert(a), convert(b), kind, over)
            assert back(got) == pytest.approx(bp.model_similarity(a, b, kind, over), rel=1e-9)
    g, core = rng.random(60), designs.uniform_core_sets(60, 9, 3, rng)
    got = estimators.difference(convert(g), convert(core), observe(convert(b), convert(core)))
    assert back(got.upper) == pytest.approx(estimators.difference(g, core, observe(b, core)).upper, rel=1e-9)


def test_replications_on_cupy_see_the_same_draws(matrix):
    run = lambda convert: simulation.replicate(
        estimators.aipw_cross_fitted, convert(matrix[:20]), convert(matrix[20:]), 15, 50, np.random.default_rng(2)
    )
    assert run(cupy).value == pytest.approx(run(np.asarray).value, rel=1e-9)


def test_the_choice(monkeypatch):
    monkeypatch.setattr(backend, "_cupy", lambda: None)
    monkeypatch.delenv("BENCHPRED_BACKEND", raising=False)
    assert backend.name() == "numpy"
    monkeypatch.setenv("BENCHPRED_BACKEND", "cupy")
    with pytest.raises(RuntimeError, match="no GPU answers; install the extra gpu-cuda12"):
        backend.name()
    monkeypatch.setenv("BENCHPRED_BACKEND", "torch")
    with pytest.raises(ValueError, match="BENCHPRED_BACKEND is 'torch'"):
        backend.name()
    monkeypatch.setattr(backend, "_cupy", lambda: np)  # a CuPy that answers
    monkeypatch.delenv("BENCHPRED_BACKEND")
    assert backend.name() == "cupy"
    monkeypatch.setenv("BENCHPRED_BACKEND", "NumPy")
    assert backend.name() == "numpy" and type(backend.asarray([1.0])) is np.ndarray


# --- the layers -------------------------------------------------------------------------------------------------------

LAYERS = [
    {"backend", "counter", "keys", "lbfgs", "shared", "exercises"},
    {"scores", "data"},
    {"readers"},
    {"adaptive", "designs", "estimators", "irt", "optimised", "similarity", "inference", "sequences", "simulation"},
    {"experiments"},
    {"session", "advice"},
    {"__main__"},
    {"protocols"},
    {"runs"},
    {"charts"},
]
PACKAGE = Path(bp.__file__).parent


def imports(path):
    """The package's modules that a file imports, and the top-level names of everything else."""
    inside, outside = set(), set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            inside |= {node.module.split(".")[0]} if node.module else {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            outside.add(node.module.split(".")[0])
        elif isinstance(node, ast.Import):
            outside |= {alias.name.split(".")[0] for alias in node.names}
    return inside, outside


def test_no_import_goes_up_and_only_backend_imports_cupy():
    level = {module: i for i, layer in enumerate(LAYERS) for module in layer}
    for path in PACKAGE.glob("*.py"):
        inside, outside = imports(path)
        assert "cupy" not in outside or path.stem == "backend"
        if path.stem != "__init__":
            assert path.stem in level, f"{path.name} has no place in the layers"
            assert all(level[module] <= level[path.stem] for module in inside), (path.name, inside)
