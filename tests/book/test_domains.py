"""Estimates of domains, where the result is known."""

import numpy as np
import pytest
from benchpred_book import domains

from benchpred_utils.forecast import working_model

DOMAIN = np.repeat([0, 1, 2], [60, 30, 10])


@pytest.fixture
def case(rng):
    ease = np.linspace(0.1, 0.9, 100)
    scores = (rng.random((30, 100)) < ease * np.linspace(0.5, 1, 30)[:, None]).astype(float)
    names = np.array([f"model {i}" for i in range(30)])
    return domains.Case(scores[:24], scores[24:], names[:24], names[24:], DOMAIN, np.arange(3))


def test_unevenness_is_found_and_luck_is_not(rng):
    """200 models on 5 domains of 60 items; the fitted ability takes up a part of the effects."""
    domain = np.repeat(np.arange(5), 60)
    ability, ease = rng.normal(size=(200, 1)), rng.normal(size=300)
    found = {}
    for tau in (0.0, 0.4):
        effects = tau * rng.normal(size=(200, 5))[:, domain]
        chance = 1 / (1 + np.exp(-(ability + ease + effects)))
        scores = (rng.random(chance.shape) < chance).astype(float)
        excess, scale = domains.unevenness(scores, domain)
        found[tau] = excess.sum() / scale.sum()
    assert -0.03 < found[0.0] < 0.01
    assert 0.4 * 0.4**2 < found[0.4] < 1.1 * 0.4**2


def test_allocations_add_up():
    size = np.bincount(DOMAIN)
    assert domains.allocate(size, 20, "proportional").tolist() == [12, 6, 2]
    equal = domains.allocate(size, 20, "equal")
    assert equal.sum() == 20 and np.ptp(equal) <= 1
    assert domains.allocate(size, 3, "proportional").tolist() == [1, 1, 1]


def test_a_draw_by_domain_has_its_shares_and_no_item_twice(rng):
    items = domains.draw(DOMAIN, 20, "proportional", 50, rng)
    assert all(len(set(row)) == 20 for row in items.tolist())
    assert all(np.bincount(DOMAIN[row]).tolist() == [12, 6, 2] for row in items)


def test_own_items_are_unbiased_and_exact_when_all_are_asked(rng):
    s = (rng.random(100) < 0.6).astype(float)
    truth = domains.sums(s, DOMAIN) / np.bincount(DOMAIN)
    items = domains.draw(DOMAIN, 30, "equal", 4_000, rng)
    value = domains.direct(DOMAIN, items, s[items])[0]
    assert np.abs(value.mean(axis=0) - truth).max() < 0.02
    value, lower, upper = domains.direct(DOMAIN, np.arange(100)[None], s[None])
    assert value[0] == pytest.approx(truth)
    assert lower[0] == pytest.approx(truth, abs=1e-6) == upper[0]


def test_a_domain_without_an_item_has_no_interval_to_speak_of(rng):
    s = (rng.random(100) < 0.6).astype(float)
    items = np.arange(20)[None]  # all of the first domain
    _, lower, upper = domains.direct(DOMAIN, items, s[items])
    assert lower[0, 1:].tolist() == [0, 0] and upper[0, 1:].tolist() == [1, 1]


def test_what_was_seen_is_known(case):
    model = domains.with_domains(working_model(case.source), DOMAIN, 0.5)
    items = np.arange(90)[None]  # the first two domains whole
    value, lower, upper = domains.borrowed(model, DOMAIN, items, case.target[:1, :90])
    truth = domains.sums(case.target[0], DOMAIN) / np.bincount(DOMAIN)
    for end in (value, lower, upper):
        assert end[0, :2] == pytest.approx(truth[:2])
    assert lower[0, 2] < value[0, 2] < upper[0, 2]


def test_the_larger_tau_the_more_a_domains_own_items_count(case, rng):
    """A target with no right answer in a domain, and all right in the others."""
    s = (DOMAIN != 1).astype(float)
    items = domains.draw(DOMAIN, 30, "equal", 20, rng)
    found = [
        domains.borrowed(
            domains.with_domains(working_model(case.source), DOMAIN, tau), DOMAIN, items, s[items]
        )[0][:, 1].mean()
        for tau in (0.01, 1.0, 10.0)
    ]
    assert found[0] > found[1] > found[2]


def test_every_way_has_its_estimates(case, rng):
    found = domains.estimates(case, 15, 4, 0.3, rng)
    assert len(found) == 7
    for ends, total in found.values():
        assert total.shape == (4, 6)
        for end in ends:
            assert end.shape == (4, 6, 3)
        assert (ends[1] <= ends[2]).all()
