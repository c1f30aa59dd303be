"""Averages over benchmarks and over models, on tables small enough to do by hand."""

import pandas as pd
import pytest
from benchpred_book import averages
from scipy import stats


def test_the_mean_over_benchmarks_is_its_definition():
    """Changes of -10% and -30% with half-widths .06 and .08: -20% with half-width .1 / 2."""
    one = {"method": "aipw", "change": -0.1, "low": -0.16, "high": -0.04, "benchmark": "a"}
    two = {"method": "aipw", "change": -0.3, "low": -0.38, "high": -0.22, "benchmark": "b"}
    row = averages.mean_changes(pd.DataFrame([one, two])).iloc[0]
    assert (row.benchmark, row.method) == ("mean", "aipw")
    assert (row.change, row.low, row.high) == pytest.approx((-0.2, -0.25, -0.15))
    assert row.p == pytest.approx(2 * stats.norm.sf(0.2 / 0.05 * stats.norm.ppf(0.975)))
    assert row.p_holm == row.p


def two_developers(of_big, of_small):
    """Gaps of 30 models, 15 of them of one developer: 1, and another method's gaps."""
    models = [f"m{number}" for number in range(30)]
    developers = ["big" if number < 15 else f"small-{number}" for number in range(30)]
    base = pd.DataFrame({"benchmark": "toy", "model": models, "gap": 1.0})
    other = base.assign(gap=[of_big if name == "big" else of_small for name in developers])
    table = pd.concat([base.assign(method="random_sampling"), other.assign(method="aipw")])
    return table, pd.Series(developers, index=models)


def test_the_interval_takes_whole_developers():
    table, developer = two_developers(of_big=0.5, of_small=0.9)
    row = averages.change_over_models(table, developer).set_index("method").loc["aipw"]
    assert row.change == pytest.approx(-0.3)  # the mean of 15 halvings and 15 changes by a tenth
    assert row.groups == 16
    each_alone = pd.Series(developer.index, developer.index)
    alone = averages.change_over_models(table, each_alone).set_index("method").loc["aipw"]
    assert alone.groups == 30
    # 15 models of one developer are not 15 observations
    assert row.high - row.low > 1.5 * (alone.high - alone.low)


def test_the_interval_over_single_models_is_students():
    """On one benchmark, with a baseline of 1 everywhere: that of a mean."""
    table, developer = two_developers(of_big=0.5, of_small=0.9)
    each_alone = pd.Series(developer.index, developer.index)
    row = averages.change_over_models(table, each_alone).set_index("method").loc["aipw"]
    values = table[table.method == "aipw"].gap - 1
    student = stats.t.interval(0.95, 29, values.mean(), stats.sem(values))
    assert (row.low, row.high) == pytest.approx(student)


def test_a_model_without_a_developer_is_named():
    table, developer = two_developers(of_big=0.5, of_small=0.9)
    with pytest.raises(ValueError, match="30 models have no cluster, among them m0"):
        averages.change_over_models(table, developer.iloc[:0])
