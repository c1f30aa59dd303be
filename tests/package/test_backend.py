"""One algorithm for every array library, and the order in which the modules import each other."""

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import array_api_strict
import numpy as np
import pandas as pd
import pytest
from cases import ALL, Remote, awkward, back, cupy, strict, with_gaps

import benchpred_utils as bp
from benchpred_utils import backend, designs, estimators, intervals, irt, methods, similarity

# --- the choice -----------------------------------------------------------------------------------


def test_the_choice(monkeypatch):
    monkeypatch.setattr(backend, "_cupy", lambda: None)
    monkeypatch.delenv("BENCHPRED_BACKEND", raising=False)
    assert backend.chosen() == "numpy"
    monkeypatch.setenv("BENCHPRED_BACKEND", "cupy")
    with pytest.raises(RuntimeError, match="no GPU answers; install the extra gpu-cuda12"):
        backend.chosen()
    monkeypatch.setenv("BENCHPRED_BACKEND", "torch")
    with pytest.raises(ValueError, match="BENCHPRED_BACKEND is 'torch'"):
        backend.chosen()
    monkeypatch.setattr(backend, "_cupy", lambda: np)  # a CuPy that answers
    monkeypatch.delenv("BENCHPRED_BACKEND")
    assert backend.chosen() == "cupy"
    monkeypatch.setenv("BENCHPRED_BACKEND", "NumPy")
    assert backend.chosen() == "numpy"
    assert type(backend.asarray([1.0])) is np.ndarray


# --- nothing goes to the host unseen --------------------------------------------------------------


def check(function, arrays, convert, *settings):
    """The result is of the library and device of the arrays, and the one that NumPy's have."""
    there = [convert(values) for values in arrays]
    found = function(*there, *settings)
    expected = function(*arrays, *settings)
    if isinstance(expected, np.ndarray):
        found = [found]
        expected = [expected]
    for part, reference in zip(found, expected):
        if reference is None:
            assert part is None
            continue
        assert type(part) is type(there[0])
        assert getattr(part, "device", None) == getattr(there[0], "device", None)
        assert back(part) == pytest.approx(reference, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("convert", [strict, Remote, cupy])
@pytest.mark.parametrize("kind", similarity.KINDS)
def test_similarity(kind, convert, matrix):
    check(bp.pairwise_similarity, [matrix[:20], matrix[20:]], convert, kind)
    for over in ("mean", "max", 4):
        check(bp.model_similarity, [matrix[:20], matrix[20:]], convert, kind, over)


@pytest.mark.parametrize("convert", [strict, Remote, cupy])
def test_intervals_of_a_mean(convert):
    mean = np.array([0.0, 0.3, 0.8, 1.0])
    value = mean + [-0.1, 0, 0, 0.1]
    variance = mean * (1 - mean) / 20
    check(intervals.t_interval, [value, variance], convert, 19)
    check(intervals.score_interval, [value, variance, mean], convert, 0.04, 19)


# The standard's `arange` is made on its default device, as CuPy's is: there is no other for it.
@pytest.mark.parametrize("convert", [array_api_strict.asarray, Remote, cupy])
@pytest.mark.parametrize("n", [2, 13])
def test_intervals_of_cells(n, convert, matrix, rng):
    g = rng.random((30, n))
    q = rng.uniform(0.1, 1.0, (30, n))
    arrays = [matrix.mean(axis=1), matrix[:, :n], g, q]
    check(intervals.stratified_interval, arrays, convert, 60)


ESTIMATORS = (
    estimators.random_sampling,
    estimators.core_mean,
    estimators.aipw,
    estimators.aipw_cross_fitted,
    estimators.random_sampling_learn,
    estimators.pca,
)


@pytest.mark.parametrize("convert", [Remote, cupy])
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_estimators(estimator, convert, matrix, rng):
    """Written in NumPy's idiom, so that the standard's strict arrays can't be put in."""
    core = designs.uniform_core_sets(60, 13, 4, rng)
    observed = estimators.observe(matrix[20:], core)
    check(estimator, [matrix[:20], core, observed], convert)


@pytest.mark.parametrize("convert", [Remote, cupy])
def test_observe_difference_and_weighted_sum(convert, matrix, rng):
    core = designs.uniform_core_sets(60, 13, 4, rng)
    check(estimators.observe, [matrix, core], convert)
    observed = estimators.observe(matrix, core)
    check(estimators.difference, [rng.random(60), core, observed], convert)
    arrays = [matrix, core, observed, rng.random((4, 13)), rng.random(4)]
    check(estimators.weighted_sum, arrays, convert)


@pytest.mark.parametrize("convert", [Remote, cupy])
def test_gaps_are_filled_where_the_scores_are(convert, matrix):
    check(irt.filled, [with_gaps(matrix)], convert)


@pytest.mark.parametrize("name", ["strict", "Remote", "cupy"])
def test_the_stand_ins_refuse_silent_transfers(name, matrix):
    """The negative control of these tests: what would copy from the host or to it is an error."""
    convert = {"strict": strict, "Remote": Remote, "cupy": cupy}[name]
    there = convert(matrix)
    with pytest.raises((RuntimeError, TypeError), match="[Cc]an't convert|mplicit conversion"):
        np.asarray(there)
    with pytest.raises(TypeError):
        there + matrix
    if name == "strict":
        with pytest.raises(ValueError, match="Arrays from two different devices"):
            bp.pairwise_similarity(there, array_api_strict.asarray(matrix))


def records(matrix):
    scores = bp.Scores(matrix, name="toy")
    return bp.run_experiment(scores, ALL, "interpolation", 10, 2, progress=False)


def records_with_gaps(matrix):
    pair = {"source": bp.Scores(with_gaps(matrix[:20])), "target": bp.Scores(matrix[20:])}
    return bp.run_experiment(methods=ALL, budget=10, trials=2, progress=False, **pair)


@pytest.mark.parametrize("run", [records, records_with_gaps])
def test_a_whole_experiment_on_a_device(run, matrix, monkeypatch):
    """All methods, from what they learn to what they estimate."""
    expected = run(matrix)
    for module in (backend, methods, bp.experiments):
        monkeypatch.setattr(module, "asarray", asarray_remotely)
    pd.testing.assert_frame_equal(run(matrix), expected, rtol=1e-9)


def asarray_remotely(values):
    return values if isinstance(values, Remote) else Remote(values)


def test_a_whole_experiment_on_a_gpu(matrix, monkeypatch):
    cupy(matrix)
    monkeypatch.setenv("BENCHPRED_BACKEND", "numpy")
    expected = records(matrix)
    monkeypatch.setenv("BENCHPRED_BACKEND", "cupy")
    pd.testing.assert_frame_equal(records(matrix), expected, rtol=1e-6)


def farthest_first(source, n, rng):
    """k-center greedy in whole numbers: every distance to every chosen item, by definition."""
    order = rng.permutation(source.shape[1])
    z = source.T[order].astype(int)
    chosen = [0]
    while len(chosen) < n:
        nearest = ((z[:, None] - z[chosen]) ** 2).sum(axis=2).min(axis=1)
        nearest[chosen] = -1
        chosen.append(int(nearest.argmax()))
    return order[chosen]


@pytest.mark.parametrize("convert", [np.asarray, Remote, cupy])
def test_k_center_greedy_breaks_ties_alike_everywhere(convert, matrix):
    """It computes where its source is, whatever the chosen backend."""
    source = convert(matrix[:20])
    for n in (1, 13, 60):
        core = designs.k_center_greedy(source, n, np.random.default_rng(4))
        assert type(core) is type(source)
        assert np.array_equal(back(core), farthest_first(matrix[:20], n, np.random.default_rng(4)))
    assert not np.array_equal(back(core), farthest_first(matrix[:20], 60, np.random.default_rng(5)))


# --- imports go downwards -------------------------------------------------------------------------

PACKAGE = Path(bp.__file__).parent


def module_of(path):
    """benchpred_utils.evaluate.cli, of its file."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in PACKAGE.rglob("*.py")}


def imports(module):
    """The modules that a file imports, at its head or later, by their full names."""
    path = MODULES[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            source = ".".join(
                (above if node.level else []) + ([node.module] if node.module else [])
            )
            found.add(source)
            found |= {f"{source}.{alias.name}" for alias in node.names}
    return found


def test_the_walk_finds_what_is_imported():
    assert "benchpred_utils.estimators" in imports("benchpred_utils.methods")
    assert "benchpred_utils.irt" in imports("benchpred_utils.forecast")
    assert "cupy" in imports("benchpred_utils.backend")


def test_only_backend_imports_cupy():
    assert [module for module in MODULES if "cupy" in imports(module)] == [
        "benchpred_utils.backend"
    ]


def test_the_statistics_import_neither_the_tool_nor_the_book():
    for module in MODULES:
        found = imports(module)
        assert not any(name.startswith("benchpred_book") for name in found), module
        is_tool = module.startswith("benchpred_utils.evaluate")
        if not is_tool and module != "benchpred_utils.__main__":
            assert not any(name.startswith("benchpred_utils.evaluate") for name in found), module


def test_no_import_goes_in_a_circle():
    """A package that a module lies in may be named in its imports, as in `from . import irt`."""
    graph = {}
    for module in MODULES:
        around = {name for name in MODULES if module == name or module.startswith(f"{name}.")}
        graph[module] = (imports(module) & set(MODULES)) - around
    assert list(TopologicalSorter(graph).static_order())  # else a CycleError that names the circle
    graph["benchpred_utils.backend"] = {"benchpred_utils.methods"}  # negative control
    with pytest.raises(CycleError):
        list(TopologicalSorter(graph).static_order())


def test_an_import_of_the_package_loads_nothing_slow():
    """Neither the tool for a model of one's own, nor libraries that take longer than the rest."""
    slow = "sklearn kmedoids statsmodels altair requests dask benchpred_utils.evaluate".split()
    code = f"import sys, benchpred_utils; print([m for m in {slow} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_awkward_matrices_go_through_the_stand_in(rng):
    """What degenerates on the host does so alike elsewhere."""
    for name, source in awkward(rng).items():
        core = designs.uniform_core_sets(60, 13, 2, rng)
        observed = estimators.observe(source[:2], core)
        found = estimators.aipw_cross_fitted(Remote(source), Remote(core), Remote(observed))
        expected = estimators.aipw_cross_fitted(source, core, observed)
        assert back(found.value) == pytest.approx(expected.value, abs=1e-9), name
