"""Advice: closed forms against simulation, measurements of good and useless sources, words."""

import re

import numpy as np
import pytest
from cases import awkward
from scipy import stats

import benchpred_utils as bp
from benchpred_utils.evaluate.advice import half_width, items_to_compare, missing_note
from benchpred_utils.intervals import sample_interval


def rasch(rng, n_models, n_items, mean=0.5):
    ability, difficulty = rng.normal(mean, 0.7, (n_models, 1)), rng.normal(0, 1.8, (1, n_items))
    return (rng.random((n_models, n_items)) < 1 / (1 + np.exp(difficulty - ability))).astype(float)


@pytest.fixture(scope="module")
def sources():
    return bp.Scores(rasch(np.random.default_rng(5), 40, 400))


# --- closed forms ---


@pytest.mark.parametrize("n, n_items", [(20, 300), (50, 60), (200, 1000)])
def test_the_half_width_is_that_of_the_intervals_of_random_samples(rng, n, n_items):
    x = (np.arange(n_items) < 0.7 * n_items).astype(float)
    mean = rng.permuted(np.tile(x, (4_000, 1)), axis=1)[:, :n].mean(axis=1)
    variance = (1 - n / n_items) / n * mean * (1 - mean)
    lower, upper = sample_interval(mean, variance, mean, n, n_items, n - 1)
    assert half_width(n, n_items, x.mean()) == pytest.approx((upper - lower).mean() / 2, rel=0.03)


def test_limits_of_the_half_width():
    assert half_width(100, 100, 0.3) == pytest.approx(0, abs=1e-11)
    assert half_width(100, 10**9, 0.5) == pytest.approx(stats.t.ppf(0.975, 99) * 0.05, rel=0.03)
    assert half_width(400, 10**9, 0.5) == pytest.approx(half_width(200, 10**9, 0.5, 2.0), rel=0.01)
    assert half_width(50, 500, [0.2, 0.8]) == pytest.approx(half_width(50, 500, 0.2))


@pytest.mark.parametrize("correlation", [0.0, 0.4, 0.8])
def test_two_models_are_told_apart_with_the_power_that_was_asked_for(rng, correlation):
    n_items, p, q = 3_000, 0.75, 0.69
    both = p * q + correlation * np.sqrt(p * (1 - p) * q * (1 - q))
    counts = np.round(n_items * np.array([both, p - both, q - both])).astype(int)
    d = np.repeat(
        [0.0, 1.0, -1.0, 0.0], [*counts, n_items - counts.sum()]
    )  # the first model's score minus the second's
    n = items_to_compare(d.mean(), (p + q) / 2, correlation, n_items)
    drawn = np.stack([rng.choice(d, n, replace=False) for _ in range(3_000)])
    t = drawn.mean(axis=1) / np.sqrt((1 / n - 1 / n_items) * drawn.var(axis=1, ddof=1))
    assert (np.abs(t) > stats.t.ppf(0.975, n - 1)).mean() == pytest.approx(
        0.8, abs=0.045
    )  # a little more where d is skew


def test_items_to_compare_fall_with_difference_and_correlation_and_never_pass_n():
    assert items_to_compare(0.05, 0.7, 0.3, 10**6) > items_to_compare(0.05, 0.7, 0.6, 10**6)
    assert items_to_compare(0.05, 0.7, 0.3, 10**6) > items_to_compare(0.1, 0.7, 0.3, 10**6)
    assert items_to_compare(0.001, 0.7, 0.3, 500) <= 500
    z = stats.norm.ppf(0.975) + stats.norm.ppf(0.8)
    assert items_to_compare(0.02, 0.5, 0.0, 10**9) == pytest.approx(
        2 * 0.25 * (z / 0.02) ** 2, rel=0.01
    )
    # two models that differ by 10 points in accuracy differ on 10% of the items at least
    assert items_to_compare(0.1, 0.95, 1.0, 10**9) >= 0.09 * (z / 0.1) ** 2


# --- the advice ---


@pytest.mark.parametrize("target", ["new", "known"])
@pytest.mark.parametrize("rounds", [True, False])
def test_the_half_width_promised_is_the_one_obtained(sources, rng, target, rounds):
    advice = bp.recommend(sources, budget=60, target=target, rounds=rounds, rng=rng)
    assert advice.method == ("sequential_stratification" if rounds else "aipw_cross_fitted")
    order = np.argsort(sources.accuracy)
    played = order[-8:] if target == "new" else order[2::5]
    left = sources.select(models=np.setdiff1d(order, played))
    held = sources.select(models=played)
    found = bp.run_experiment(
        source=left, target=held, methods=[advice.method], budget=60, trials=20, progress=False
    )
    obtained = ((found["upper"] - found["lower"]) / 2).mean()
    promised = half_width(60, sources.n_items, held.accuracy, advice.ess)
    assert promised == pytest.approx(obtained, rel=0.1)
    assert 1.2 < advice.ess < 3


def test_precision_is_reached_by_the_smallest_number_of_items(sources):
    advice = bp.recommend(sources, precision=0.05)
    assert advice.half_width <= 0.05
    best = np.sort(sources.accuracy)[-10:]
    assert half_width(advice.n_items - 1, sources.n_items, best, advice.ess) > 0.05
    assert (
        advice.n_items == bp.recommend(sources, precision=0.05).n_items
    )  # the same advice without an rng
    assert (
        bp.recommend(sources).n_items
        == bp.recommend(sources, precision=0.03).n_items
        > advice.n_items
    )
    assert bp.recommend(sources, budget=0.2).n_items == 80


@pytest.mark.parametrize("rounds", [True, False])
def test_sources_that_would_say_nothing_cost_little(sources, rounds):
    """What a user buys and at what price: shuffled sources are worth about none."""
    text = str(bp.recommend(sources, budget=60, rounds=rounds))
    worth = float(re.search(r"shuffled\), an item would be worth (.+?) random ones", text)[1])
    assert 0.8 < worth < 1.05
    assert "shuffled" not in str(bp.recommend(400, budget=60))


def test_beyond_a_half_too_the_worth_is_that_of_the_items_asked_for(sources):
    """Many items of few: what is left to gain is less, and at N nothing is left to estimate."""
    assert bp.recommend(sources, budget=350).ess < bp.recommend(sources, budget=100).ess
    assert bp.recommend(sources, budget=400).ess == pytest.approx(1)


def test_useless_sources_are_found_out(rng):
    noise = bp.Scores((rng.random((40, 400)) < 0.6).astype(float))
    advice = bp.recommend(noise, budget=50)
    assert advice.method == "random_sampling" and advice.ess < 1.05
    assert advice.half_width == pytest.approx(
        half_width(50, 400, np.sort(noise.accuracy)[-10:]), rel=1e-6
    )


def test_more_sources_are_worth_more(sources):
    by_sources = bp.recommend(sources, budget=60).by_sources
    assert list(by_sources) == [30, 15, 7, 3]
    assert by_sources[30] > by_sources[3]


@pytest.mark.parametrize("m", [1, 2, 3])
@pytest.mark.parametrize("target", ["new", "known"])
def test_few_sources(sources, m, target):
    advice = bp.recommend(
        sources.select(models=np.arange(m)), budget=60, difference=0.05, target=target
    )
    assert advice.method in bp.METHODS and 1 <= advice.n_compare <= 400
    assert np.isnan(advice.ess) == (m == 1)
    assert any("little can be measured" in warning for warning in advice.warnings)


def test_no_sources():
    advice = bp.recommend(1000, precision=0.05, difference=0.1)
    assert advice.method == "random_sampling" and np.isnan(advice.ess) and advice.by_sources == {}
    assert half_width(advice.n_items, 1000, 0.5) <= 0.05 < half_width(advice.n_items - 1, 1000, 0.5)
    assert bp.recommend(1000, precision=0.05, accuracy=0.9).n_items < advice.n_items
    assert bp.recommend(30).n_items > 15 and "leaves nothing to estimate" in str(bp.recommend(30))


def test_every_degenerate_matrix_gets_advice(rng):
    cases = awkward(rng) | {
        "nobody fails": np.ones((10, 60)),
        "nobody succeeds": np.zeros((10, 60)),
    }
    for name, values in cases.items():
        for options in (
            {},
            {"budget": 1},
            {"budget": 60},
            {"target": "known", "difference": 0.1},
            {"rounds": False},
        ):
            advice = bp.recommend(bp.Scores(values), **options)
            assert 1 <= advice.n_items <= 60 and 0 <= advice.half_width <= 0.5, (name, options)
            assert np.isfinite(advice.ess), (name, options)
            assert "nan" not in str(advice), (name, options)


def test_scores_between_0_and_1_vary_less(rng):
    values = np.clip(0.5 + 0.1 * rng.normal(size=(20, 500)), 0, 1)
    advice = bp.recommend(bp.Scores(values), budget=50)
    truth = half_width(50, 500, 0.5, 0.25 / values.var())
    assert advice.half_width == pytest.approx(truth, rel=0.1)


def test_the_words(sources):
    text = str(bp.recommend(sources, budget=60, difference=0.05))
    for part in (
        "Run 60 items with sequential stratification",
        "held out",
        "unbiased whatever the target is; were the sources to say nothing of it",
        "5 points apart",
        "correlation",
    ):
        assert part in text
    assert "Mind" not in str(bp.recommend(sources, budget=60))
    assert "ceiling" in str(bp.recommend(sources, budget=60, accuracy=0.99))


@pytest.mark.parametrize(
    "source, options, message",
    [
        ("gsm8k", {}, "source_scores must be Scores"),
        (True, {}, "source_scores must be Scores"),
        (1, {}, "at least 2 items"),
        (100, {"budget": 10, "precision": 0.1}, "not both"),
        (100, {"budget": 101}, "budget is 101"),
        (100, {"budget": 0}, "budget is 0"),
        (100, {"precision": 0.0}, "precision is 0.0"),
        (100, {"difference": 3}, "difference is 3"),
        (100, {"accuracy": 90}, "accuracy is 90"),
        (100, {"target": "best"}, "target is 'best'"),
        (100, {"difference": "0.1"}, "difference is '0.1'"),
        (100, {"rng": 3}, "rng must be"),
    ],
)
def test_what_cannot_be_used_is_named(source, options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        bp.recommend(source, **options)


@pytest.mark.parametrize("name", bp.HELM_LITE)
def test_the_frontier_is_as_forecast(load, name):
    """What the weaker half of the models says beforehand is what the best 30% of them then need."""
    source, target = bp.split_models(load(name), "extrapolation")
    advice = bp.recommend(source, budget=50)
    found = bp.run_experiment(
        source=source, target=target, methods=[bp.RECOMMENDED], budget=50, trials=4, progress=False
    )
    obtained = (found["upper"] - found["lower"]).mean() / 2
    forecast = half_width(50, source.n_items, target.accuracy, advice.ess)
    assert advice.method == bp.RECOMMENDED
    assert forecast == pytest.approx(obtained, rel=0.2)


# --- what is no random sample ---


@pytest.fixture(scope="module")
def halves():
    """120 items, half of them easy and half hard, in turn."""
    rng = np.random.default_rng(4)
    level = np.tile([0.85, 0.6], 60)
    values = (rng.random((7, 120)) < level).astype(float)
    return bp.Scores(values, domains=np.tile(["easy", "hard"], 60))


def test_items_missing_by_domain_are_told(halves):
    """All the easy ones and 15 of the hard ones: the case of a run that broke off."""
    answered = (np.arange(120) % 2 == 0) | (np.arange(120) % 8 == 1)
    assert (
        missing_note(halves, answered) == "no random sample: 60 of 60 easy and 15 of 60 hard items"
    )
    named = bp.Scores(halves.values, items=[f"{d}:{i}" for i, d in enumerate(halves.domains)])
    assert "15 of 60 hard" in missing_note(named, answered)


def test_without_domains_the_sources_tell_hard_items_from_easy_ones(halves):
    plain = bp.Scores(halves.values)
    order = np.argsort(plain.values.mean(axis=0))
    answered = np.isin(np.arange(120), order[50:])
    note = missing_note(plain, answered)
    assert re.search(r"the sources score 0\.8\d on the items answered, 0\.4\d on the others", note)


def test_the_first_items_are_no_random_sample(halves):
    note = missing_note(bp.Scores(halves.values), np.arange(120) < 40)
    assert note.endswith("the items answered have the mean place 20, the others 80")


@pytest.mark.parametrize("n", [1, 10, 60, 115, 119])
def test_random_samples_are_seldom_accused(halves, n):
    """A negative control: at most 1 in 1,000 is, by three standard errors."""
    rng = np.random.default_rng(n)
    accused = [missing_note(halves, rng.permutation(120) < n) is not None for _ in range(2_000)]
    assert np.mean(accused) <= 0.001 + 3 * (0.001 / 2_000) ** 0.5


@pytest.mark.parametrize("answered", [np.zeros(120), np.ones(120)])
def test_none_or_all_is_no_selection(halves, answered):
    assert missing_note(halves, answered) is None


def test_sources_with_gaps_get_advice(sources):
    values = sources.values.copy()
    values[3, ::4] = np.nan
    try:
        gaps = bp.Scores(values)
    except ValueError:
        pytest.skip("Scores take no gaps here")
    whole, advice = (bp.recommend(each, budget=60) for each in (sources, gaps))
    assert advice.method == whole.method and advice.ess == pytest.approx(whole.ess, rel=0.1)
