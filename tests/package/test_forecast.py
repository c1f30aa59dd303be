"""The working model, its misfit, and the mixture of experts: closed forms, and what it may see."""

import numpy as np
import pytest
from cases import with_gaps
from scipy.special import logit

from benchpred_utils import irt
from benchpred_utils.evaluate.session import ODDS
from benchpred_utils.forecast import (
    COMPONENTS,
    LEAST,
    Forecast,
    WorkingModel,
    misfit,
    predict,
    working_model,
)
from benchpred_utils.irt import fit_2pl, sigmoid

NOTHING = np.zeros((1, 0), dtype=int), np.zeros((1, 0))  # no items, no scores


def sure_of(p, n_items=20, sources=()):
    """A working model that no score can move: P(s = 1) = p for every item."""
    return WorkingModel(np.zeros((n_items, 1)), np.full(n_items, logit(p)), sources)


def after(forecast, scores):
    """The forecasts when the first items have these scores, of which none was seen before."""
    scores = np.array(scores, dtype=float)[None]
    forecast.predict(*NOTHING)
    return forecast.predict(np.arange(scores.size)[None], scores)[0]


# --- the working model ----------------------------------------------------------------------------


def test_the_working_model_is_its_definition(matrix):
    """a theta + beta b + gamma + 0.8 f delta, each of the four in units of its prior."""
    model = working_model(matrix)
    fit = fit_2pl(matrix, 1)
    a, b = fit.items.T
    theta, beta, gamma = 0.7, 1.3, -0.4
    z = [(theta - fit.abilities.mean()) / fit.abilities.std(), (beta - 1) / 0.5, gamma / 1.5]
    delta = np.zeros(COMPONENTS)
    expected = a * theta + beta * b + gamma
    assert model.offset + model.x @ [*z, *delta] == pytest.approx(expected)
    assert np.array_equal(model.sources, matrix)


def test_its_components_are_those_of_the_residuals(matrix):
    """Their products are those of the best approximation of rank five, whatever their signs."""
    fit = fit_2pl(matrix, 1)
    a, b = fit.items.T
    p = sigmoid(fit.abilities * a + b)
    residual = (matrix - p) / (p * (1 - p) + 0.1)
    size, vector = np.linalg.eigh(residual.T @ residual / len(matrix))
    best = vector[:, -5:] * size[-5:] @ vector[:, -5:].T
    f = working_model(matrix).x[:, 3:]
    assert f.shape == (60, 5)
    assert f @ f.T == pytest.approx(0.8**2 * best)


def test_a_missing_score_has_no_residual_and_its_twin_forecasts_what_the_2pl_expects(matrix):
    gaps = with_gaps(matrix)
    model = working_model(gaps)
    fit = fit_2pl(gaps, 1)
    a, b = fit.items.T
    p = sigmoid(fit.abilities * a + b)
    assert np.array_equal(model.sources, np.where(np.isnan(gaps), p, gaps))
    residual = np.where(np.isnan(gaps), 0, gaps - p) / (p * (1 - p) + 0.1)
    size, vector = np.linalg.eigh(residual.T @ residual / len(gaps))
    best = vector[:, -5:] * size[-5:] @ vector[:, -5:].T
    assert model.x[:, 3:] @ model.x[:, 3:].T == pytest.approx(0.8**2 * best)
    assert np.isfinite(model.x).all() and np.isfinite(model.offset).all()


def test_a_large_matrix_has_nearly_the_same_working_model(monkeypatch, rng):
    theta, a, b = rng.normal(size=(60, 1)), rng.uniform(0.5, 2, 600), rng.normal(size=600)
    scores = (rng.random((60, 600)) < sigmoid(a * theta + b)) * 1.0
    whole = working_model(scores)
    monkeypatch.setattr(irt, "LARGE", 60 * 300)
    model = working_model(scores)
    nothing = predict(whole, *NOTHING)
    assert np.abs(predict(model, *NOTHING) - nothing).mean() < 0.02
    residuals = whole.x[:, 3:], model.x[:, 3:]
    assert all(np.isfinite(x).all() and x.shape == (600, COMPONENTS) for x in residuals)
    scores[:] = 0
    assert model.sources.any()  # its own copy


# --- its misfit -----------------------------------------------------------------------------------


def test_the_misfit_is_its_definition():
    """A coin against 20 right answers: ten times log (10 + .5)/(10 + 1) - log .5."""
    items = np.arange(20)[None]
    found = misfit(sure_of(0.5), items, np.ones((1, 20)))
    assert found == pytest.approx([10 * np.log(2 * 10.5 / 11)])
    none = misfit(sure_of(0.5), items[:, :10], np.ones((1, 10)))
    assert none.tolist() == [0]  # the first ten are not forecast


def test_the_misfit_forecasts_ten_scores_from_all_before(matrix):
    """And the last block, of five, too."""
    model = working_model(matrix)
    s = (np.arange(35) % 3 == 0) * 1.0
    items = np.arange(35)[None]
    expected = 0.0
    for k in (10, 20, 30):
        block = s[k : k + 10]
        g = predict(model, items[:, :k], s[None, :k])[0, k : k + 10][: len(block)]
        rate = (s[:k].sum() + 0.5) / (k + 1)
        likelihood = np.where(block == 1, [g * 0 + rate, g], [g * 0 + 1 - rate, 1 - g])
        expected += np.log(likelihood[0] / likelihood[1]).sum()
    assert misfit(model, items, s[None]) == pytest.approx([expected])


@pytest.mark.parametrize("p, score", [(1 - 1e-20, 0.0), (1e-20, 1.0)])
def test_a_model_that_is_certain_and_wrong_is_a_misfit_of_finite_size(p, score):
    """Each of the last ten answers costs it -log 1e-4."""
    found = misfit(sure_of(p), np.arange(20)[None], np.full((1, 20), score))
    assert found == pytest.approx([10 * np.log(10.5 / 11 / 1e-4)])


def test_true_working_models_are_seldom_taken_for_misfits(rng, matrix):
    model = working_model(matrix)
    z = rng.normal(size=(500, model.x.shape[1]))
    targets = (rng.random((500, 60)) < sigmoid(z @ model.x.T + model.offset)).astype(float)
    items = np.tile(rng.permutation(60), (500, 1))
    evidence = misfit(model, items, np.take_along_axis(targets, items, axis=1))
    assert (evidence > np.log(ODDS)).mean() <= 1 / ODDS


# --- the mixture ----------------------------------------------------------------------------------


@pytest.mark.parametrize("sources", [(), np.zeros((0, 20))])
def test_scores_that_contradict_the_regression_bring_the_own_rate_to_the_fore(sources):
    """Four wrong answers where it is sure by .9: weights .8 (.1)^4 and .2 (.5)^4."""
    forecast = Forecast(sure_of(0.9, sources=sources), 1)
    assert forecast.predict(*NOTHING)[0] == pytest.approx(np.full(20, 0.8 * 0.9 + 0.2 * 0.5))
    weights = np.array([0.8 * 0.1**4, 0.2 * 0.5**4])
    weights /= weights.sum()
    assert weights[1] > 0.99
    assert after(forecast, [0, 0, 0, 0]) == pytest.approx(np.full(20, weights @ [0.9, 0.1]))


@pytest.mark.parametrize("n", [2, 8])
def test_a_target_that_is_a_source_gets_a_twin(n):
    """The coin's and the own rate's mixture is 1/2 before and, at half of them right, after."""
    source = np.arange(20) % 2.0
    model = sure_of(0.5, sources=np.stack([1 - source, source]))
    d = np.array([0.05, 0.2, 0.5])
    prior = 0.05 / 6
    twins = prior * np.stack([(d / 2) ** n, (1 - d / 2) ** n])  # of the two sources
    mixture = 0.95 * 0.5**n
    twins, mixture = twins / (twins.sum() + mixture), mixture / (twins.sum() + mixture)
    copied = (twins * (1 - d)).sum(axis=1)
    expected = copied @ model.sources + (1 - copied.sum()) * 0.5
    found = after(Forecast(model, 1), source[:n])
    assert found == pytest.approx(expected)
    if n == 8:
        assert twins[1].sum() > 0.5  # the twin of the right one has the most weight
        assert abs(found - source).max() < 0.3


@pytest.mark.parametrize("p, least", [(1 - 1e-20, 1 - LEAST), (1e-20, LEAST)])
def test_no_forecast_is_certain(p, least):
    """Though the regression, a twin, and all scores seen are."""
    model = sure_of(p, 3_000, sources=np.full((1, 3_000), round(p)))
    found = after(Forecast(model, 1), np.full(2_000, round(p)))
    assert np.unique(found) == pytest.approx([least], abs=1e-12)


def test_what_weighs_a_score_was_forecast_before_it_and_other_rows_do_not_matter(matrix):
    """Two rows of the same scores, one of which goes on otherwise; each also by itself."""
    model = working_model(matrix[:20])
    items = np.arange(30)[None]
    scores = matrix[[25, 25], :30].copy()
    scores[1, 15:] = 1 - scores[1, 15:]
    both, alone = Forecast(model, 2), [Forecast(model, 1) for _ in scores]
    for t in (0, 4, 15, 30):
        g = both.predict(np.tile(items[:, :t], (2, 1)), scores[:, :t])
        apart = [one.predict(items[:, :t], row[None, :t]) for one, row in zip(alone, scores)]
        assert g == pytest.approx(np.concatenate(apart))
        assert np.array_equal(g[0], g[1]) == (t < 30)


def test_the_weights_are_those_of_the_forecasts_at_the_calls_before(matrix):
    """Of the regression and the own rate, by hand; without sources, so without twins."""
    model = working_model(matrix[:20])._replace(sources=())
    s = matrix[25]
    forecast = Forecast(model, 1)
    log_weight = np.log([0.8, 0.2])
    before = 0
    for t in (0, 4, 15, 30):
        if t:
            experts = np.stack([regression, np.full(60, rate)])[:, before:t]  # noqa: F821
            chance = np.where(s[before:t] == 1, experts, 1 - experts)
            log_weight = log_weight + np.log(chance).sum(axis=1)
        before = t
        items = np.arange(t)[None]
        regression = predict(model, items, s[None, :t])[0]
        rate = (s[:t].sum() + 0.5) / (t + 1)
        weight = np.exp(log_weight) / np.exp(log_weight).sum()
        found = forecast.predict(items, s[None, :t])[0]
        assert found == pytest.approx(weight[0] * regression + weight[1] * rate)


def test_the_same_call_twice_changes_nothing(matrix):
    model = working_model(matrix[:20])
    items = np.arange(30)[None]
    once, twice = Forecast(model, 1), Forecast(model, 1)
    for t in (0, 4, 15, 30):
        found = once.predict(items[:, :t], matrix[25:26, :t])
        for _ in range(2):
            again = twice.predict(items[:, :t], matrix[25:26, :t])
            assert np.array_equal(again, found)
