"""Simulated populations, and an estimator's draws over and over."""

import numpy as np
import pytest
from benchpred_book import simulation

from benchpred_utils import estimators
from benchpred_utils.designs import uniform_core_sets


def test_populations_predict_as_their_names_say(rng):
    correlation = {}
    for prediction in simulation.PREDICTIONS:
        s, g = simulation.population(20_000, rng, prediction)
        assert set(np.unique(s)) == {0.0, 1.0}
        assert s.mean() == pytest.approx(2 / 3, abs=0.02)  # the mean of Beta(2, 1)
        correlation[prediction] = np.corrcoef(s, g)[0, 1]
    assert correlation["good"] > 0.4
    assert correlation["harmful"] < -0.4
    assert abs(correlation["useless"]) < 0.03
    with pytest.raises(ValueError, match="prediction is 'perfect'"):
        simulation.population(10, rng, "perfect")


@pytest.mark.parametrize("estimator", [estimators.aipw_cross_fitted, estimators.aipw])
def test_replications_are_the_estimates_of_independent_core_sets(estimator, matrix, monkeypatch):
    """Also in parts; an estimator without an interval stays without."""
    source = matrix[:20]
    target = matrix[20:]
    core = uniform_core_sets(60, 15, 25, np.random.default_rng(3))
    expected = estimator(source, core, estimators.observe(target, core))
    for part in (10_000, 10):
        monkeypatch.setattr(simulation, "PART", part)
        rng = np.random.default_rng(3)
        found = simulation.replicate(estimator, source, target, 15, 25, rng)
        assert found.value == pytest.approx(expected.value, rel=1e-12)
        assert (found.lower is None) == (expected.lower is None)
