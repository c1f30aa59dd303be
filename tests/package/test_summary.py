"""What an experiment's records say: the definitions, on records small enough to do by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import benchpred_utils as bp
from benchpred_utils import summary

TWO = {"random_sampling": [0.6, 0.7, 0.5, 0.3], "aipw": [0.5, 0.6, 0.6, 0.7]}


def records(**estimates):
    """Two trials of two models, truths .5 and .7: each method's estimates, trial by trial."""
    frame = pd.DataFrame({"trial": [0, 0, 1, 1], "model": ["a", "b"] * 2, "truth": [0.5, 0.7] * 2})
    frame = frame.assign(benchmark="toy", split="given", budget=3, lower=np.nan, upper=np.nan)
    parts = [frame.assign(method=name, estimate=values) for name, values in estimates.items()]
    return pd.concat(parts)


# --- summarise ------------------------------------------------------------------------------------


def test_the_summary_is_its_definition():
    table = bp.summarise(records(**TWO)).set_index("method")
    assert table.gap.tolist() == pytest.approx([0.125, 0.05])
    assert table.bias.tolist() == pytest.approx([-0.075, 0.0])
    assert table.rmse.tolist() == pytest.approx([(0.17 / 4) ** 0.5, (0.02 / 4) ** 0.5])
    assert table.relative.tolist() == pytest.approx([(0.2 + 4 / 7) / 4, (1 / 7 + 0.2) / 4])
    assert table.ess.tolist() == pytest.approx([1.0, 8.5])
    assert table.coverage.isna().all()


def test_its_uncertainty_is_that_of_trials():
    """Of the mean gaps .05 and .2 of two trials: the targets of a trial are not independent."""
    table = bp.summarise(records(**TWO)).set_index("method")
    half = stats.t.ppf(0.975, 1) * np.std([0.05, 0.2], ddof=1) / 2**0.5
    assert table.gap_high["random_sampling"] - table.gap["random_sampling"] == pytest.approx(half)
    assert table.gap["random_sampling"] - table.gap_low["random_sampling"] == pytest.approx(half)


def test_the_summary_ranks_the_targets_in_each_trial():
    table = bp.summarise(records(**TWO)).set_index("method")
    assert table.tau.tolist() == [0.0, 1.0]  # one trial right and one wrong; both right


def test_the_interval_of_the_effective_sample_size_is_its_definition():
    """MSEs .005 and .08 of random sampling, .005 twice of aipw: influences -15/17 and 15/17."""
    row = bp.summarise(records(**TWO)).set_index("method").loc["aipw"]
    factor = np.exp(stats.t.ppf(0.975, 1) * 15 / 17)
    assert (row.ess_low, row.ess_high) == pytest.approx((8.5 / factor, 8.5 * factor))


def test_without_random_sampling_there_is_no_effective_sample_size():
    assert bp.summarise(records(aipw=TWO["aipw"])).ess.isna().all()


def test_random_sampling_in_some_trials_only_gives_no_effective_sample_size():
    both = records(**TWO)
    table = bp.summarise(both[(both.method == "aipw") | (both.trial == 0)]).set_index("method")
    assert np.isnan(table.ess["aipw"])


def test_without_an_error_there_is_no_effective_sample_size():
    exact = {"random_sampling": TWO["random_sampling"], "aipw": [0.5, 0.7, 0.5, 0.7]}
    row = bp.summarise(records(**exact)).set_index("method").loc["aipw"]
    assert row.gap == 0
    assert row[["ess", "ess_low", "ess_high"]].isna().all()


@pytest.mark.parametrize("function", [bp.summarise, bp.compare, summary.per_model])
def test_a_missing_estimate_is_named(function):
    """A mean would skip it, as if the trial had never been."""
    lacking = records(**TWO | {"aipw": [0.5, 0.6, np.nan, np.nan]})
    with pytest.raises(ValueError, match="2 estimates are NaN, .* aipw, trial 1, model a"):
        function(lacking)


@pytest.mark.parametrize("function", [bp.summarise, bp.compare, summary.per_model])
def test_rows_come_in_the_order_of_the_records(function):
    two = records(**TWO, pca=TWO["aipw"]).iloc[::-1]
    rows = function(pd.concat([two.assign(benchmark="z"), two.assign(benchmark="a")]))
    assert rows.benchmark.unique().tolist() == ["z", "a"]
    methods = rows.method.unique().tolist()
    assert methods == [name for name in ("pca", "aipw", "random_sampling") if name in methods]
    assert "aipw" in methods


# --- compare --------------------------------------------------------------------------------------


def frame(method, gap):
    """Records of 200 trials of one model of accuracy 0, whose estimates are the gaps."""
    one = {"benchmark": "toy", "split": "given", "budget": 5, "model": "a", "truth": 0.0}
    table = pd.DataFrame({"trial": range(200), "estimate": gap})
    return table.assign(method=method, lower=np.nan, upper=np.nan, **one)


def test_comparisons_are_paired_and_corrected():
    rng = np.random.default_rng(0)
    common = rng.exponential(1, 200)
    other = 0.95 * common + rng.normal(0, 0.02, 200)
    gaps = {"random_sampling": common, "aipw": other, "pca": common}
    table = bp.compare(pd.concat([frame(*part) for part in gaps.items()])).set_index("method")
    row = table.loc["aipw"]
    assert row.low < -0.05 < row.high
    assert row.high - row.low < 0.03  # unpaired, it would be tens of per cent
    assert row.p_holm == pytest.approx(2 * row.p)
    assert row.p_holm < 1e-6
    same = table.loc["pca"]
    assert (same.change, same.p) == (0.0, 1.0)


def test_the_interval_of_a_change_is_its_definition():
    """Gaps 1 and 3 against 2 and 2: no change; influences -.5 and .5, so t_1 x .5."""
    change = summary._paired_change(pd.Series([1.0, 3.0]), pd.Series([2.0, 2.0]))
    half = stats.t.ppf(0.975, 1) * 0.5
    assert change == pytest.approx((0, -half, half, 1))


def test_a_comparison_is_of_mean_gaps_over_the_targets_of_a_trial():
    """Two targets, then one: gaps .1, .1, .3 against .2, .2, .1; means over trials .2 and .15."""
    table = records(random_sampling=[0.7, 0.9, 0.6, 0.7], aipw=[0.6, 0.8, 0.8, 0.7])
    table = table[(table.trial == 0) | (table.model == "a")]
    assert bp.compare(table).change[0] == pytest.approx(1 / 3)


def test_the_interval_of_a_ratio_covers():
    rng = np.random.default_rng(1)
    covered = []
    for _ in range(400):
        base = rng.exponential(1, 100)
        gap = 0.8 * base + rng.normal(0, 0.3, 100)
        change, low, high, _ = summary._paired_change(pd.Series(gap), pd.Series(base))
        covered.append(low <= -0.2 <= high)
    assert 0.92 <= np.mean(covered) <= 0.98


def test_a_comparison_needs_its_baseline_and_all_trials():
    with pytest.raises(ValueError, match="no 'random_sampling' in the records.*aipw"):
        bp.compare(records(aipw=TWO["aipw"]))
    both = records(**TWO)
    with pytest.raises(ValueError, match="lack trials"):
        bp.compare(both[(both.method == "aipw") | (both.trial == 0)])


def test_holm_is_its_definition():
    """In order: 4 x .01, then 3 x .02, 2 x .03 raised to what came before, and 1 x .5."""
    assert summary.holm(np.array([0.03, 0.01, 0.5, 0.02])) == pytest.approx([0.06, 0.04, 0.5, 0.06])
    assert len(summary.holm(np.array([]))) == 0


# --- by model -------------------------------------------------------------------------------------


def test_errors_by_model():
    table = summary.per_model(records(aipw=TWO["aipw"]))
    assert table.model.tolist() == ["a", "b"]
    assert table.trials.tolist() == [2, 2]
    assert table.bias.tolist() == pytest.approx([0.05, -0.05])
    assert table.gap.tolist() == pytest.approx([0.05, 0.05])


def test_coverage_by_model():
    """Two of four intervals hold the truth .5, one lies above it; without any, there are none."""
    ends = {"lower": [0.5, 0.3, 0.6, 0.1], "upper": [0.6, 0.5, 0.8, 0.4]}
    known = pd.DataFrame({"trial": range(4), "model": "a", "truth": 0.5, "estimate": 0.5, **ends})
    known = known.assign(benchmark="toy", split="given", budget=3, method="known")
    unknown = known.assign(method="unknown", lower=np.nan, upper=np.nan)
    row, other = summary.per_model(pd.concat([known, unknown])).itertuples()
    assert (row.method, row.trials, row.truth) == ("known", 4, 0.5)
    assert (row.coverage, row.above, row.width) == pytest.approx((0.5, 0.25, 0.2))
    assert np.isnan([other.coverage, other.above, other.width]).all()


# --- few clusters ---------------------------------------------------------------------------------


def test_the_jackknife_of_a_mean_is_students_interval():
    values = np.array([0.3, 0.1, 0.7, 0.2, 0.9])
    weights = summary.leave_one_out(np.arange(5))
    found = summary.jackknife(weights @ values / weights.sum(axis=1))
    student = stats.t.interval(0.95, 4, values.mean(), stats.sem(values))
    assert found == pytest.approx((values.mean(), *student))


def test_whole_groups_are_left_out():
    weights = summary.leave_one_out(["a", "b", "a"])
    assert weights.tolist() == [[1, 1, 1], [0, 1, 0], [1, 0, 1]]


def test_the_jackknife_of_a_regression_is_cr3():
    """CR3: inv(X'X) (sum of X_g' inv(I - H_gg) e_g e_g' inv(I - H_gg) X_g) inv(X'X), (G - 1)/G."""
    rng = np.random.default_rng(3)
    group = np.repeat(np.arange(4), [2, 3, 5, 8])
    X = np.column_stack([np.ones(18), rng.normal(size=18)])
    y = rng.normal(size=18) + group
    fits = [
        np.linalg.lstsq(X[w > 0], y[w > 0], rcond=None)[0] for w in summary.leave_one_out(group)
    ]
    value, low, high = summary.jackknife(np.array(fits))
    bread = np.linalg.inv(X.T @ X)
    errors = y - X @ value
    meat = np.zeros((2, 2))
    for g in range(4):
        own = group == g
        H = X[own] @ bread @ X[own].T
        score = X[own].T @ np.linalg.solve(np.eye(own.sum()) - H, errors[own])
        meat += np.outer(score, score)
    se = np.sqrt(3 / 4 * np.diag(bread @ meat @ bread))
    assert (high - low) / 2 == pytest.approx(stats.t.ppf(0.975, 3) * se)


def test_one_group_has_no_interval():
    weights = summary.leave_one_out(["a", "a"])
    assert np.isnan(summary.jackknife(weights[:, 0])[1:]).all()


def test_few_unequal_clusters():
    """11 clusters of 1 to 20 rows, of which a part is shared: the mean of all rows.

    The percentile bootstrap of clusters, the negative control, covers in 88%; the jackknife, with
    t(10), in 92%: better, and still not 95% where one cluster holds a third of all rows.
    """
    rng = np.random.default_rng(11)
    sizes = [20, 14, 10, 7, 5, 3, 2, 2, 1, 1, 1]
    group = np.repeat(np.arange(11), sizes)
    leave = summary.leave_one_out(group)
    draws = rng.multinomial(11, np.full(11, 1 / 11), 400)[:, group]
    covered = {"jackknife": [], "bootstrap": []}
    for _ in range(2_000):
        y = rng.normal(size=11)[group] + rng.normal(size=len(group))
        _, low, high = summary.jackknife(leave @ y / leave.sum(axis=1))
        covered["jackknife"].append(low <= 0 <= high)
        low, high = np.quantile(draws @ y / draws.sum(axis=1), [0.025, 0.975])
        covered["bootstrap"].append(low <= 0 <= high)
    share = {how: np.mean(right) for how, right in covered.items()}
    assert share["bootstrap"] < 0.9 < share["jackknife"]
