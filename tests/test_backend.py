"""One algorithm for every array library: the core on NumPy, on a strict stand-in for a GPU, and on CuPy where it is."""

import ast
from pathlib import Path

import array_api_strict
import numpy as np
import pytest
from conftest import draw

import benchpred_utils as bp
from benchpred_utils import backend, designs, estimators, inference, optimised, simulation
from benchpred_utils.estimators import observe

DEVICE = array_api_strict.Device("device1")  # refuses silent transfers to and from the host
HOST_DESIGNS = [
    optimised.lasso,
    optimised.double_optimize,
    optimised.anchor_points_weighted,
    optimised.anchor_points_predictor,
]


def strict(values):
    return array_api_strict.asarray(values, device=DEVICE)


def cupy(values):
    if backend._cupy() is None:
        pytest.skip("no GPU answers")
    return backend._cupy().asarray(values)


def back(values):
    on_host = (
        values.to_device(array_api_strict.Device("CPU_DEVICE"))
        if backend.device(values) == DEVICE
        else values
    )
    return np.asarray(backend.to_numpy(on_host))


@pytest.mark.parametrize("convert", [strict, cupy])
@pytest.mark.parametrize(
    "name", [name for name, method in bp.METHODS.items() if not method.adaptive]
)
def test_estimators_return_what_they_were_given(name, convert, matrix, rng):
    source, target, method = matrix[:20], matrix[20:], bp.METHODS[name]
    core, *learned = draw(method.design, source, 13, [rng] * 4)
    expected = method.estimator(source, core, observe(target, core), *learned)
    there = convert(target)
    got = method.estimator(
        convert(source), convert(core), observe(there, convert(core)), *map(convert, learned)
    )
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
    assert back(got.upper) == pytest.approx(
        estimators.difference(g, core, observe(b, core)).upper, rel=1e-9
    )


def farthest_first(source, n, rng):
    """k-center greedy by whole numbers: every distance between every item and every chosen one, from its definition."""
    order = rng.permutation(source.shape[1])
    z, chosen = source.T[order].astype(int), [0]
    while len(chosen) < n:
        nearest = ((z[:, None] - z[chosen]) ** 2).sum(axis=2).min(axis=1)
        nearest[chosen] = -1
        chosen.append(int(nearest.argmax()))
    return order[chosen]


@pytest.mark.parametrize("convert", [np.asarray, strict, cupy])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.uint8])
def test_k_center_greedy_breaks_ties_alike_everywhere(convert, dtype, matrix):
    source = convert(matrix[:20].astype(dtype))
    for n in (1, 13, 60):
        core = designs.k_center_greedy(source, n, np.random.default_rng(4))
        assert type(core) is type(source) and backend.device(core) == backend.device(source)
        assert np.array_equal(back(core), farthest_first(matrix[:20], n, np.random.default_rng(4)))
    assert not np.array_equal(back(core), farthest_first(matrix[:20], 60, np.random.default_rng(5)))


@pytest.mark.parametrize("convert", [strict, cupy])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.uint8])
def test_random_search_stays_where_its_source_is(convert, dtype, matrix):
    scores = matrix[:20].astype(dtype)
    search = lambda source, **bound: optimised.random_search_learn(
        source, 13, np.random.default_rng(4), 300, **bound
    )
    expected, source = search(scores), convert(scores)
    for got in (search(source), search(source, max_memory=2**18)):  # six parts
        for part, reference in zip(got, expected):
            assert type(part) is type(source) and backend.device(part) == backend.device(source)
            assert back(part).dtype == reference.dtype
            assert back(part) == pytest.approx(reference, rel=1e-4 if dtype is np.float32 else 1e-9)
    assert expected[1].dtype == (np.float32 if dtype is np.float32 else np.float64)
    with pytest.raises(ValueError, match="the smallest part takes"):
        search(source, max_memory=1000)


@pytest.mark.parametrize("convert", [array_api_strict.asarray, cupy])
@pytest.mark.parametrize("design", HOST_DESIGNS)
def test_what_the_host_fits_comes_back(design, convert, matrix):
    source, draw_from = (
        matrix[:20].astype(bool),
        lambda scores: design(scores, 13, np.random.default_rng(4)),
    )
    there = convert(source)
    for part, reference in zip(draw_from(there), draw_from(matrix[:20])):
        assert type(part) is type(there) and backend.device(part) == backend.device(there)
        assert back(part) == pytest.approx(reference, rel=1e-9)


def test_the_stand_in_refuses_silent_transfers(matrix):
    """The negative control of these tests: what would copy to or from the host unseen is an error."""
    source = strict(matrix)
    for design in HOST_DESIGNS:
        with pytest.raises(
            RuntimeError, match="Can't convert array on the .*device1.* to a NumPy array"
        ):
            design(source, 13, np.random.default_rng(4))
    with pytest.raises(ValueError, match="Arrays from two different devices"):
        bp.pairwise_similarity(source, array_api_strict.asarray(matrix))
    with pytest.raises(TypeError, match="array"):
        bp.pairwise_similarity(source, matrix)


@pytest.mark.parametrize("convert", [strict, cupy])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_intervals(convert, dtype, matrix, rng):
    tolerance = 1e-5 if dtype is np.float32 else 1e-9

    def check(function, arrays, *settings):
        arrays = [values.astype(dtype) for values in arrays]
        expected, there = function(*arrays, *settings), [convert(values) for values in arrays]
        for end, reference in zip(function(*there, *settings), expected):
            assert type(end) is type(there[0]) and backend.device(end) == backend.device(there[0])
            assert back(end).dtype == reference.dtype == dtype
            assert back(end) == pytest.approx(reference, rel=tolerance, abs=tolerance)

    mean = np.array([0.0, 0.3, 0.8, 1.0])
    value, variance = mean + [-0.1, 0, 0, 0.1], mean * (1 - mean) / 20
    check(inference.t_interval, [value, variance], 19)
    check(inference.score_interval, [value, variance, mean], 0.04, 19)
    g, q = rng.random((30, 13)), rng.uniform(0.1, 1.0, (30, 13))
    for n in (2, 13):
        check(
            inference.stratified_interval,
            [matrix.mean(axis=1), matrix[:, :n], g[:, :n], q[:, :n]],
            60,
        )


def test_replications_on_cupy_see_the_same_draws(matrix):
    run = lambda convert: simulation.replicate(
        estimators.aipw_cross_fitted,
        convert(matrix[:20]),
        convert(matrix[20:]),
        15,
        50,
        np.random.default_rng(2),
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
    {
        "adaptive",
        "designs",
        "estimators",
        "irt",
        "optimised",
        "similarity",
        "inference",
        "sequences",
        "simulation",
    },
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
            inside |= (
                {node.module.split(".")[0]} if node.module else {alias.name for alias in node.names}
            )
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
