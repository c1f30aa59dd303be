import numpy as np
import pytest
import statsmodels.api as sm

from benchpred_utils import estimators, simulation


def test_populations_predict_as_their_names_say(rng):
    correlation = {}
    for prediction in simulation.PREDICTIONS:
        s, g = simulation.population(20_000, rng, prediction)
        assert (
            set(np.unique(s)) == {0.0, 1.0} and abs(s.mean() - 2 / 3) < 0.02
        )  # Beta(2, 1) has mean 2/3
        correlation[prediction] = np.corrcoef(s, g)[0, 1]
    assert (
        correlation["good"] > 0.4
        and correlation["harmful"] < -0.4
        and abs(correlation["useless"]) < 0.03
    )
    with pytest.raises(ValueError, match="prediction is 'perfect'"):
        simulation.population(10, rng, "perfect")


@pytest.mark.parametrize("n, N", [(20, 40), (50, 400), (100, 150)])
def test_the_variance_is_the_finite_population_formula(n, N, rng):
    """var = (1 - n/N) S^2 / n, with S^2 the variance of s - g in the population: Cochran (1977), theorem 2.2."""
    s, g = simulation.population(N, rng)
    value = simulation.replicate(estimators.difference, g, s[None], n, 20_000, rng).value
    assert value.mean() == pytest.approx(s.mean(), abs=5 * value.std() / 20_000**0.5)
    assert value.var() == pytest.approx((1 - n / N) * (s - g).var(ddof=1) / n, rel=0.05)


@pytest.mark.parametrize("prediction", simulation.PREDICTIONS)
def test_rmse_falls_with_the_root_of_n(prediction, rng):
    s, g = simulation.population(5_000, rng, prediction)
    sizes = np.array([25, 50, 100, 200, 400])
    rmse = [
        (
            simulation.replicate(estimators.difference, g, s[None], n, 4_000, rng).value - s.mean()
        ).std()
        for n in sizes
    ]
    y = np.log(np.array(rmse) / np.sqrt(1 - sizes / 5_000))
    slope = sm.OLS(y, sm.add_constant(np.log(sizes))).fit().params[1]
    assert slope == pytest.approx(-0.5, abs=0.02)


def test_the_chunks_change_nothing(matrix):
    source, target = matrix[:20], matrix[20:]
    each = estimators.memory_each(estimators.aipw_cross_fitted, source, target, 20) + 16 * 20
    draw = lambda max_memory: simulation.replicate(
        estimators.aipw_cross_fitted, source, target, 20, 25, np.random.default_rng(3), max_memory
    )
    whole, parts = draw(2**30), draw(10 * each)
    assert whole.value.shape == (25, 10)
    assert all(np.allclose(a, b, rtol=1e-12, atol=0) for a, b in zip(whole, parts))
    assert (
        simulation.replicate(estimators.aipw, source, target, 20, 5, np.random.default_rng(3)).lower
        is None
    )
    with pytest.raises(ValueError, match="max_memory is 1,000 bytes"):
        draw(1_000)
