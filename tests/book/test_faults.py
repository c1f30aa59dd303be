"""The faults of the chapter on limitations."""

import numpy as np
from benchpred_book.faults import faults, wrong_keys


def test_a_wrong_key_takes_right_answers_away_and_gives_a_third_of_the_others():
    rng = np.random.default_rng(1)
    values = np.zeros((3_000, 4))
    values[:, 0] = 1
    spoilt = wrong_keys(values, np.array([0, 1]), rng)
    assert (spoilt[:, 0] == 0).all() and (spoilt[:, 2:] == 0).all()
    assert abs(spoilt[:, 1].mean() - 1 / 3) < 0.04
    assert values[:, 0].all()  # a copy was changed


def test_each_repair_draws_from_clean_scores():
    rng = np.random.default_rng(2)
    x, y = (rng.random((models, 120)) < 0.6 for models in (8, 5))
    met = {}
    for fault, stage, sources, targets, core in faults(x * 1.0, y * 1.0, 10, 3, rng):
        assert core.shape == (3, 10) and core.max() < targets.shape[1] == sources.shape[1]
        met[fault, stage] = targets, core
    assert len(met) == 9  # a leak that is not known is repaired by the interval alone
    targets, core = met["core set leaked", "as it is"]
    assert (targets[:, core] == 1).all() and (core == core[0]).all()
    targets, core = met["leaked, suspects known", "repaired"]
    assert (targets[:, core] == y[:, core]).all()
    for fault in ("easy items listed twice", "wrong keys"):
        assert (met[fault, "repaired"][0] == y).all()
    assert met["easy items listed twice", "as it is"][0].shape == (5, 160)
