import numpy as np
import pandas as pd
import pytest
from scipy import stats

import benchpred_utils as bp
from benchpred_utils import inference


def records(**estimates):
    """Two trials of two models, truths .5 and .7, with the given estimates (trial by trial) of each method."""
    frame = pd.DataFrame({"trial": [0, 0, 1, 1], "model": ["a", "b"] * 2, "truth": [0.5, 0.7] * 2})
    frame = frame.assign(benchmark="toy", split="given", budget=3, lower=np.nan, upper=np.nan)
    return pd.concat(
        [frame.assign(method=name, estimate=values) for name, values in estimates.items()]
    )


def test_the_summary_is_its_definition():
    table = bp.summarise(
        records(random_sampling=[0.6, 0.7, 0.5, 0.3], aipw=[0.5, 0.6, 0.6, 0.7])
    ).set_index("method")
    assert table.gap.tolist() == pytest.approx([0.125, 0.05])
    assert table.bias.tolist() == pytest.approx([-0.075, 0.0])
    assert table.rmse.tolist() == pytest.approx([(0.17 / 4) ** 0.5, (0.02 / 4) ** 0.5])
    assert table.ess.tolist() == pytest.approx([1.0, 8.5])
    half = (
        stats.t.ppf(0.975, 1) * np.std([0.05, 0.2], ddof=1) / 2**0.5
    )  # trials, not targets, are independent
    assert (table.gap_high - table.gap).iloc[0] == pytest.approx(half)
    assert table.coverage.isna().all()


def test_without_random_sampling_there_is_no_effective_sample_size():
    assert bp.summarise(records(aipw=[0.5, 0.6, 0.6, 0.7])).ess.isna().all()


def test_comparisons_are_paired_and_corrected():
    rng = np.random.default_rng(0)
    common, own = rng.exponential(1, 200), rng.normal(0, 0.02, 200)
    frame = lambda name, gap: pd.DataFrame(
        dict(
            benchmark="toy",
            split="given",
            budget=5,
            method=name,
            trial=range(200),
            model="a",
            truth=0.0,
            estimate=gap,
        )
    )
    table = bp.compare(
        pd.concat(
            [
                frame("random_sampling", common),
                frame("aipw", 0.95 * common + own),
                frame("pca", common),
            ]
        )
    )
    row = table.set_index("method").loc["aipw"]
    assert (
        row.low < -0.05 < row.high and row.high - row.low < 0.03
    )  # unpaired, the interval would be tens of per cent
    assert row.p_holm == pytest.approx(2 * row.p) and row.p_holm < 1e-6
    same = table.set_index("method").loc["pca"]
    assert (same.change, same.p) == (0.0, 1.0)


def test_the_interval_of_a_ratio_covers():
    rng, covered = np.random.default_rng(1), []
    for _ in range(400):
        base = rng.exponential(1, 100)
        change, low, high, _ = inference._paired_change(
            pd.Series(0.8 * base + rng.normal(0, 0.3, 100)), pd.Series(base), 0.95
        )
        covered.append(low <= -0.2 <= high)
    assert 0.92 <= np.mean(covered) <= 0.98


def test_a_comparison_needs_its_baseline_and_all_trials():
    with pytest.raises(ValueError, match="no 'random_sampling' in the records.*aipw"):
        bp.compare(records(aipw=[0.5, 0.6, 0.6, 0.7]))
    both = records(random_sampling=[0.6, 0.7, 0.5, 0.3], aipw=[0.5, 0.6, 0.6, 0.7])
    with pytest.raises(ValueError, match="lack trials"):
        bp.compare(both[(both.method == "aipw") | (both.trial == 0)])


def test_the_student_interval_covers_a_normal_mean(rng):
    """20,000 normal samples of 8: the textbook case in which it is exact."""
    x = rng.normal(1, 2, (20_000, 8))
    lower, upper = inference.t_interval(x.mean(1), x.var(1, ddof=1) / 8, 7)
    assert ((lower <= 1) & (1 <= upper)).mean() == pytest.approx(0.95, abs=0.006)


def test_the_summary_ranks_the_targets_in_each_trial():
    table = bp.summarise(
        records(random_sampling=[0.6, 0.7, 0.5, 0.3], aipw=[0.5, 0.6, 0.6, 0.7])
    ).set_index("method")
    assert table.tau.tolist() == [0.0, 1.0]  # one trial right and one wrong; both right


def test_errors_by_model():
    table = inference.per_model(records(aipw=[0.5, 0.6, 0.6, 0.7]))
    assert table.model.tolist() == ["a", "b"] and table.trials.tolist() == [2, 2]
    assert table.bias.tolist() == pytest.approx(
        [0.05, -0.05]
    ) and table.gap.tolist() == pytest.approx([0.05, 0.05])


def two_developers(ratio):
    """30 models of two developers; a method's gap is the baseline's times the developer's ratio."""
    models = [f"m{i}" for i in range(30)]
    developer = pd.Series(["big" if i < 15 else f"small-{i}" for i in range(30)], index=models)
    base = pd.DataFrame({"benchmark": "toy", "model": models, "gap": 1.0})
    other = base.assign(gap=[ratio["big"] if d == "big" else ratio["small"] for d in developer])
    return pd.concat(
        [base.assign(method="random_sampling"), other.assign(method="aipw")]
    ), developer


def test_the_bootstrap_takes_whole_developers(rng):
    table, developer = two_developers({"big": 0.5, "small": 0.9})
    row = inference.bootstrap_over_models(table, developer, rng).set_index("method").loc["aipw"]
    assert row.change == pytest.approx(-0.3)  # the mean of 15 halvings and 15 changes by a tenth
    alone = (
        inference.bootstrap_over_models(table, pd.Series(developer.index, developer.index), rng)
        .set_index("method")
        .loc["aipw"]
    )
    assert row.high - row.low > 1.5 * (
        alone.high - alone.low
    )  # models of one developer are not 15 observations
    with pytest.raises(ValueError, match="30 models have no cluster, among them m0"):
        inference.bootstrap_over_models(table, developer.iloc[:0], rng)
