"""The rivals: exactly unbiased by enumeration, and equal to the libraries that do the same."""

import itertools
import sys

import numpy as np
import pytest
from benchpred_book import rivals
from benchpred_book.protocols import Experiment
from sklearn.feature_selection import mutual_info_classif
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import Ridge
from sklearn.metrics import mutual_info_score

import benchpred_utils as bp
from benchpred_utils.designs import Draw
from benchpred_utils.estimators import aipw_cross_fitted

TARGET = np.array([1.0, 0.0, 1.0, 1.0])


@pytest.fixture
def source():
    rng = np.random.default_rng(3)
    return (rng.random((30, 60)) < rng.random((30, 1))) * 1.0


@pytest.fixture
def model():
    source = (np.random.default_rng(0).random((9, 4)) < 0.5) * 1.0
    return rivals.factor_model(source, 1, rivals.Querying(0.5, 0.5, 0.3))


def all_paths(model, n, target):
    """Every sequence of n draws with replacement: (its probability, the rounds at their end)."""
    for items in itertools.product(range(len(target)), repeat=n):
        rounds = rivals.ActiveQuerying(model, np.full((1, n), 0.5), n)
        chance = 1.0
        for item in items:
            rounds.next_items()
            rounds.items[0, -1] = item  # instead of the one that was drawn
            chance *= rounds.q[0, item]
            rounds.record(target[[item]][None])
        yield chance, rounds


def test_active_querying_is_exactly_unbiased(model):
    paths = list(all_paths(model, 3, TARGET))
    assert sum(chance for chance, _ in paths) == pytest.approx(1, abs=1e-12)
    values = sum(chance * rounds.estimate().value[0] for chance, rounds in paths)
    assert values == pytest.approx(TARGET.mean(), abs=1e-12)


def test_a_wrong_probability_would_be_found(model):
    """The negative control of the enumeration."""
    values = 0.0
    for chance, rounds in all_paths(model, 2, TARGET):
        rounds.errors = [error * 1.1 for error in rounds.errors]
        values += chance * rounds.estimate().value[0]
    assert abs(values - TARGET.mean()) > 1e-3


def test_the_variance_along_a_path_is_that_of_the_draws(model):
    values = [(chance, r.estimate().value[0]) for chance, r in all_paths(model, 1, TARGET)]
    exact = sum(chance * (value - TARGET.mean()) ** 2 for chance, value in values)
    found = rivals.path_variance(model, np.full((1, 1), 0.5), 1, TARGET[None])
    assert found == pytest.approx([exact], rel=1e-9)


def test_the_draws_follow_the_probabilities(model):
    rounds = rivals.ActiveQuerying(model, np.random.default_rng(1).random((100_000, 1)), 1)
    items = rounds.next_items()[:, 0]
    share = np.bincount(items, minlength=4) / len(items)
    assert share == pytest.approx(rounds.q[0], abs=0.006)  # four standard errors


def test_without_a_model_of_use_the_draw_is_even():
    flat = rivals.FactorModel(np.zeros((4, 1)), np.zeros(4), np.zeros(1), np.eye(1), None)
    flat = flat._replace(querying=rivals.Querying(1.0, 0.0, 0.1))
    g, q = rivals.querying_probabilities(flat, np.zeros((2, 1)), np.ones((2, 1, 1)), 0.5)
    assert g == pytest.approx(np.full((2, 4), 0.5)) and q == pytest.approx(np.full((2, 4), 0.25))


def test_the_interval_of_active_querying_is_that_of_equal_draws(model):
    """With g and q the same in all draws it is the normal interval of a mean of draws."""
    flat = model._replace(slopes=np.zeros((4, 1)), querying=rivals.Querying(1.0, 0.0, 1.0))
    rounds = rivals.ActiveQuerying(flat, np.array([[0.1, 0.4, 0.6, 0.9]]), 4)
    while not rounds.done:
        rounds.record(TARGET[rounds.next_items()])
    draws = np.array(rounds.errors)[:, 0] + np.array(rounds.totals)[:, 0]
    found = rounds.estimate()
    half = (found.upper - found.lower)[0] / 2
    g = rounds.g[0]
    expected = (np.array(rounds.errors) ** 2).mean() - (
        (np.mean(rounds.scores) - g.sum()) ** 2
    )  # the second moment about zero, less the square of the mean that it should have
    assert found.value[0] == pytest.approx(draws.mean() / 4)
    assert half == pytest.approx(1.959964 * (expected / 4) ** 0.5 / 4, rel=1e-6)


# --- feature selection ----------------------------------------------------------------------------


def test_mutual_information_is_scikit_learns(source):
    found = rivals.mutual_information(source, source[:, 7])
    expected = [mutual_info_score(column, source[:, 7]) for column in source.T]
    assert found == pytest.approx(expected, abs=1e-9)


def test_relevance_is_ross_estimator():
    """Of accuracies without ties; scikit-learn's adds noise of 1e-10 to them."""
    rng = np.random.default_rng(5)
    source = (rng.random((25, 400)) < rng.random((25, 1))) * 1.0
    distinct = np.unique(source.sum(axis=1), return_index=True)[1]
    source = source[distinct]
    accuracy = source.mean(axis=1)[:, None]
    found = rivals.relevance(source)
    for item in range(0, 400, 40):
        if 3 < source[:, item].sum() < len(source) - 3:
            args = {"discrete_features": False, "n_neighbors": 3, "random_state": 0}
            (expected,) = mutual_info_classif(accuracy, source[:, item], **args)
            assert found[item] == pytest.approx(expected, abs=0.15)


def test_an_item_that_all_or_nearly_all_get_right_has_no_relevance():
    source = np.ones((12, 3))
    source[:3, 1] = 0
    source[:6, 2] = 0
    assert rivals.relevance(source)[:2].tolist() == [0, 0]
    assert rivals.relevance(source)[2] > 0


def test_the_selection_is_the_greedy_one(source):
    core = rivals.mrmr(source, 6)
    gain = rivals.relevance(source)
    assert core[0] == gain.argmax() and len(set(core)) == 6
    pairs = np.array([rivals.mutual_information(source, column) for column in source.T])
    for step in range(1, 6):
        quotient = gain / (pairs[core[:step]].mean(axis=0) + 1e-10)
        quotient[core[:step]] = -1
        assert core[step] == quotient.argmax()


def test_the_kernel_ridge_is_scikit_learns(source):
    learned = rivals.learn_mrmr(source, 8)
    x, y = learned.seen, source.mean(axis=1)
    errors = {}
    for penalty in rivals.PENALTIES:
        fit = KernelRidge(kernel="poly", degree=2, coef0=1, alpha=penalty)
        folds = [np.arange(len(y)) != i for i in range(len(y))]
        left_out = [fit.fit(x[k], y[k]).predict(x[~k])[0] for k in folds]
        errors[penalty] = ((np.array(left_out) - y) ** 2).sum()
    best = KernelRidge(kernel="poly", degree=2, coef0=1, alpha=min(errors, key=errors.get))
    draws = Draw(learned.core[None])
    found = rivals.mrmr_kernel_ridge(learned, draws, x[None, :5])
    assert found.value[0] == pytest.approx(best.fit(x, y).predict(x[:5]), abs=1e-9)


# --- prediction-powered inference -----------------------------------------------------------------


def test_the_cross_fitted_ridge_is_fitted_without_its_fold(source):
    core = np.arange(0, 60, 3)
    seen = source[:4, core]
    found = rivals.cross_fitted_ridge(source[4:], core, seen)
    used = np.arange(len(core)) % 5 != 2
    fit = Ridge(alpha=10.0).fit(source[4:, core[used]].T, seen[:, used].T)
    assert found[:, core[~used]] == pytest.approx(fit.predict(source[4:, core[~used]].T).T)


def test_without_ppi_python_the_error_says_what_to_do(monkeypatch, source):
    monkeypatch.setitem(sys.modules, "ppi_py", None)
    draws = Draw(np.array([[0, 1, 2, 3]]))
    with pytest.raises(ImportError, match=r"ppi-python: pip install '\.\[bench\]'"):
        rivals.ppi_mean(source, draws, source[None, :2, :4])


def test_ppi_python_is_the_formula_and_is_silent_where_all_scores_are_alike(source):
    pytest.importorskip("ppi_py")
    core = np.arange(0, 60, 3)
    seen = np.stack([source[0, core], np.ones(len(core))])
    found = rivals.ppi_mean(source[4:], Draw(core[None]), seen[None])
    y, f = seen[0], source[4:].mean(axis=0)
    rest = np.delete(f, core)
    n, N = len(core), len(rest)
    spread = np.concatenate([f[core], rest]).var(ddof=1) * (1 + n / N)
    power = np.clip(np.cov(y, f[core], bias=True)[0, 1] / spread, 0, 1)
    value = power * rest.mean() + (y - power * f[core]).mean()
    half = 1.959964 * (power**2 * rest.var() / N + (y - power * f[core]).var() / n) ** 0.5
    ends = (found.lower[0, 0], found.value[0, 0], found.upper[0, 0])
    assert ends == pytest.approx((value - half, value, value + half), abs=1e-6)
    ridge = rivals.ppi_ridge(source[4:], Draw(core[None]), seen[None])
    assert np.isnan(ridge.lower[0, 1]) and ridge.value[0, 1] == 1
    assert np.isfinite(ridge.lower[0, 0])


# --- among the methods ----------------------------------------------------------------------------


def test_the_rivals_are_methods_for_a_while_only(matrix):
    before = list(bp.METHODS)
    scores = bp.Scores(matrix, name="tiny")
    with rivals.among_methods():
        found = bp.run_experiment(scores, [*rivals.RIVALS][3:], budget=10, trials=2, progress=False)
    assert set(found["method"]) == {"mrmr_ridge", "mrmr_kernel_ridge"}
    with pytest.raises(KeyError), rivals.among_methods():
        raise KeyError
    assert list(bp.METHODS) == before


def test_the_tables_have_intervals_of_coverage_and_times(monkeypatch, matrix):
    scores = bp.Scores(matrix, name="tiny")
    monkeypatch.setitem(rivals.protocols.SCORES, "tiny", lambda: scores)
    methods = ("random_sampling", "active_querying")
    tables = rivals.tables(Experiment("tiny", "extrapolation", 10, methods, 5))
    row = tables["summary"].set_index("method").loc["active_querying"]
    assert row.coverage_low <= row.coverage <= row.coverage_high
    assert row.width_low < row.width < row.width_high and row.silent == 0
    assert tables["speed"].method.tolist() == list(methods)
    assert (tables["speed"].estimate_ms > 0).all()


def test_ppi_with_the_ridge_is_close_to_cross_fitted_aipw(source):
    pytest.importorskip("ppi_py")
    rng = np.random.default_rng(0)
    core = np.stack([rng.permutation(60)[:20] for _ in range(5)])
    seen = np.stack([source[:3, c] for c in core])
    ppi = rivals.ppi_ridge(source[3:], Draw(core), seen).value
    assert ppi == pytest.approx(aipw_cross_fitted(source[3:], core, seen).value, abs=0.08)
