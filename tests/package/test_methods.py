"""What holds for every method of the table, and what a new one takes: its functions and a row."""

import dataclasses
import itertools

import joblib
import numpy as np
import pandas as pd
import pytest
from cases import ALL, ONE_SHOT, awkward, finished, learned_and_draws, one_draw, same, with_gaps

import benchpred_utils as bp
from benchpred_utils import designs, forecast, irt, methods, sequential
from benchpred_utils.estimators import Estimate, observe


def rngs_of(trials):
    return [np.random.default_rng([7, trial]) for trial in range(trials)]


def run(name, source, target, n, trials=2):
    """A method, from what it learns of the sources to its end, on targets (P, N)."""
    method = bp.METHODS[name]
    learned = method.learned(source, n)
    rounds = methods.begin(method, learned, n, rngs_of(trials), target.shape[1], len(target))
    return finished(rounds, np.tile(target, (trials, 1)))


# --- the table ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_a_row_is_whole(name):
    method = bp.METHODS[name]
    assert method.label and method.family and method.stream
    assert method.bias in ("none", "order 1/n", "unbounded")
    in_rounds = method.start is not None
    assert in_rounds == (method.draw is None)
    assert in_rounds or method.estimate  # which in rounds is another reading of them


def test_the_labels_differ_and_the_groups_are_in_the_table():
    assert len({method.label for method in bp.METHODS.values()}) == len(bp.METHODS)
    assert bp.RECOMMENDED in bp.OWN_METHODS
    assert set(bp.OWN_METHODS) <= set(bp.METHODS)
    biased = [name for name in bp.OWN_METHODS if bp.METHODS[name].bias != "none"]
    assert biased == ["imputation"]


# --- in rounds ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_every_method_asks_for_its_budget_and_estimates_each_row(name, matrix):
    rounds = run(name, matrix[:20], matrix[20:24], 12, trials=3)
    assert rounds.n == 12
    assert rounds.items.shape == rounds.observed.shape == (12, 12)
    assert all(len(set(row)) == 12 for row in rounds.items.tolist())
    estimate = bp.METHODS[name].read(rounds)
    for part in estimate:
        assert part is None or (type(part) is np.ndarray and part.shape == (12,))
    assert np.isfinite(estimate.value).all()
    if estimate.lower is not None:
        assert (estimate.lower <= estimate.upper).all()


@pytest.mark.parametrize("name", ONE_SHOT)
def test_one_round_is_the_draw_and_the_estimate(name, matrix):
    """Rows trial by trial; the items in the order of drawing."""
    source = matrix[:20]
    target = matrix[20:24]
    method = bp.METHODS[name]
    learned = method.learn(source, 12)
    draws = methods.draws_of(method, learned, 12, rngs_of(3), 60)
    rounds = run(name, source, target, 12, trials=3)
    assert np.array_equal(rounds.items, np.repeat(draws.items, 4, axis=0))
    expected = method.estimate(learned, draws, observe(target, draws.items))
    flat = [part if part is None else part.ravel() for part in expected]
    assert same(rounds.estimate(), flat, rtol=1e-12)
    for trial, rng in enumerate(rngs_of(3)):
        draw = method.draw(learned, 12, rng)
        assert np.array_equal(draw.items, draws.items[trial])
        for part, stacked in zip(draw.reading, draws.reading):
            assert np.array_equal(part, stacked[trial])


def test_methods_of_one_draw_and_stream_see_the_same_draws(matrix):
    groups = {}
    for name in ONE_SHOT:
        method = bp.METHODS[name]
        items = learned_and_draws(name, matrix[:20], 12, 2)[1].items
        groups.setdefault((method.draw, method.stream), []).append(items)
    assert max(len(group) for group in groups.values()) >= 5  # those of a simple random sample
    for first, *others in groups.values():
        assert all(np.array_equal(first, items) for items in others)


def test_methods_of_one_start_and_stream_are_readings_of_the_same_rounds(matrix):
    """Which are run once."""
    drawn = {}
    first, second = (
        methods.begin(
            bp.METHODS[name], forecast.working_model(matrix[:20]), 12, rngs_of(2), 60, 3, drawn
        )
        for name in ("sequential_stratification", "imputation")
    )
    assert first is second


def test_imputation_reads_the_items_of_the_recommended_method_in_another_way(matrix):
    """So the two are compared on the same items; what it does not see, it forecasts."""
    unbiased, imputed = (
        run(name, matrix[:20], matrix[20:24], 12, trials=3)
        for name in ("sequential_stratification", "imputation")
    )
    assert np.array_equal(imputed.items, unbiased.items)
    value, lower, upper = bp.METHODS["imputation"].read(imputed)
    assert np.array_equal(value, unbiased.imputed())
    g = unbiased.forecast.predict(unbiased.items, unbiased.observed)
    np.put_along_axis(g, unbiased.items, unbiased.observed, axis=1)
    assert value == pytest.approx(g.mean(axis=1))
    assert not np.allclose(value, unbiased.estimate().value)
    assert lower is None and upper is None


# --- limits, and what an estimate depends on ------------------------------------------------------

# Regressions of the accuracy, which shrink, and a threshold, which knows no wrong answer before it.
NEVER_EXACT = {
    "random_sampling_learn",
    "random_search_learn",
    "lasso",
    "double_optimize",
    "metabench",
    "sort_and_search",
}


@pytest.mark.parametrize("name", [name for name in ALL if name not in NEVER_EXACT])
def test_the_whole_benchmark_gives_the_truth(name, matrix):
    target = matrix[20:]
    estimate = bp.METHODS[name].read(run(name, matrix[:20], target, 60))
    truth = np.tile(target.mean(axis=1), 2)
    assert estimate.value == pytest.approx(truth, abs=1e-12)
    if estimate.lower is not None:
        assert estimate.upper - estimate.lower == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize("name", ONE_SHOT)
def test_an_estimate_does_not_depend_on_the_other_trials_and_targets(name, matrix):
    """But for PCA, which fills in all targets of a trial in one matrix."""
    source = matrix[:20]
    target = matrix[20:]
    estimate = bp.METHODS[name].estimate
    learned, draws = learned_and_draws(name, source, 23, 4)
    observed = observe(target, draws.items)
    together = estimate(learned, draws, observed).value
    targets = slice(None) if name == "pca" else slice(1, 2)
    alone = estimate(learned, one_draw(draws, 2), observed[2:3, targets]).value
    assert together[2:3, targets] == pytest.approx(alone, rel=1e-9)


@pytest.mark.parametrize("name", ALL)
def test_awkward_sources_give_finite_estimates(name, rng):
    for what, source in awkward(rng).items():
        estimate = bp.METHODS[name].read(run(name, source, source[:2], 13, trials=1))
        for part in estimate:
            assert part is None or np.isfinite(part).all(), what


@pytest.mark.parametrize("dtype", [np.int64, np.int8, np.uint8, bool])
@pytest.mark.parametrize("name", ONE_SHOT)
def test_scores_in_whole_numbers_are_read_as_floats(name, dtype, matrix):
    """The scores are 0 or 1 and may come as they are stored; sums of bytes would wrap."""
    learned, draws = learned_and_draws(name, matrix[:8], 13, 2)
    observed = observe(matrix[20:23], draws.items).reshape(6, 13)
    estimates = []
    for scores in (observed, observed.astype(dtype)):
        rounds = methods.OneRound(bp.METHODS[name], learned, draws, 3)
        rounds.next_items()
        rounds.record(scores)
        estimates.append(rounds.estimate())
    assert same(*estimates, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("dtype", [np.int64, np.int8, np.uint8, bool])
@pytest.mark.parametrize("name", ONE_SHOT)
def test_an_estimate_function_reads_whole_numbers_too(name, dtype, matrix):
    learned, draws = learned_and_draws(name, matrix[:8], 13, 2)
    observed = observe(matrix[20:23], draws.items)
    estimate = bp.METHODS[name].estimate
    expected = estimate(learned, draws, observed)
    assert same(estimate(learned, draws, observed.astype(dtype)), expected, rtol=1e-12, atol=1e-14)


# --- gaps in the sources --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_sources_may_lack_scores(name, matrix):
    truth = np.tile(matrix[20:].mean(axis=1), 4)
    errors = []
    for source in (matrix[:20], with_gaps(matrix[:20])):
        estimate = bp.METHODS[name].read(run(name, source, matrix[20:], 13, trials=4))
        for part in estimate:
            assert part is None or np.isfinite(part).all()
        errors.append(np.sqrt(((estimate.value - truth) ** 2).mean()))
    assert errors[1] < 1.3 * errors[0]


@pytest.mark.parametrize("name", ALL)
def test_no_gaps_no_change(name, matrix):
    """Complete sources are learned from as they are."""
    method = bp.METHODS[name]
    first = method.learned(matrix[:20], 13)
    assert joblib.hash(first) == joblib.hash(method.learn(matrix[:20], 13))


def test_a_method_that_knows_of_no_gaps_never_meets_one(matrix):
    seen = []

    def learn(source, n):
        seen.append(source)

    gaps = with_gaps(matrix[:20])
    row = dataclasses.replace(HARDEST, learn=learn)
    row.learned(gaps, 5)
    assert np.array_equal(seen[0], irt.filled(gaps))
    dataclasses.replace(row, takes_gaps=True).learned(gaps, 5)
    assert seen[1] is gaps


@pytest.mark.parametrize("name", ["random_sampling", "aipw_cross_fitted"])
def test_unbiased_over_all_core_sets_where_sources_lack_scores(name, matrix):
    """The mean over every core set, in every order, of three of six items."""
    target = matrix[20:23, :6]
    source = with_gaps(matrix[:8, :6])
    method = bp.METHODS[name]
    draws = designs.Draw(np.array(list(itertools.permutations(range(6), 3))))
    learned = method.learned(source, 3)
    value = method.estimate(learned, draws, observe(target, draws.items)).value
    assert value.mean(axis=0) == pytest.approx(target.mean(axis=1), abs=1e-12)
    assert method.bias == "none"


# --- nothing is kept unseen -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_a_source_corrected_in_place_is_a_new_source(name, matrix):
    """Caches by the identity of an array once gave the old matrix's answer, silently."""
    source = matrix[:20].copy()
    target = matrix[20:]
    read = bp.METHODS[name].read
    before = read(run(name, source, target, 13))
    source[:] = 1 - source[::-1, ::-1]
    found = run(name, source, target, 13)
    fresh = run(name, source.copy(), target, 13)
    assert np.array_equal(found.items, fresh.items)
    assert same(read(found), read(fresh))
    if name != "random_sampling":  # negative control: the change matters
        assert not np.allclose(read(found).value, before.value)


@pytest.mark.parametrize("name", ALL)
def test_what_is_learned_takes_no_random_numbers_and_changes_nothing(name, matrix):
    source = matrix[:20].copy()
    state = np.random.get_state()[1].copy()
    method = bp.METHODS[name]
    first = method.learn(source, 13)
    again = method.learn(source, 13)
    assert joblib.hash(first) == joblib.hash(again)
    assert np.array_equal(source, matrix[:20])
    assert np.array_equal(np.random.get_state()[1], state)


# --- a new method is its functions and a row ------------------------------------------------------


def learn_means(source, n):
    return source.mean(axis=0)


def draw_hardest(means, n, rng):
    """The hardest items, ties broken at random; read by the rest's mean on the sources."""
    items = np.lexsort([rng.random(len(means)), means])[:n]
    return designs.Draw(items, (np.delete(means, items).sum(),))


def add_the_rest(means, draws, observed):
    (rest,) = draws.reading
    return Estimate((observed.sum(axis=-1) + rest[:, None]) / len(means))


HARDEST = methods.Method(
    label="the hardest items",
    family="a family of its own",
    bias="unbounded",
    stream="hardest",
    learn=learn_means,
    draw=draw_hardest,
    estimate=add_the_rest,
)


class TwoHalves(sequential.Rounds):
    """Random items in two rounds, and their mean."""

    def __init__(self, learned, uniform, n):
        super().__init__(len(uniform))
        self.n = n
        self.order = np.argsort(uniform[:, : len(learned)], axis=1)[:, :n]

    @property
    def done(self):
        return self.observed.shape[1] == self.n

    def next_items(self):
        asked = self.items.shape[1]
        return self.ask(self.order[:, asked : self.n if asked else self.n // 2])

    def estimate(self):
        return Estimate(self.observed.mean(axis=1))


IN_HALVES = methods.Method(
    label="two halves",
    family="a family of its own",
    bias="none",
    stream="halves",
    learn=learn_means,
    start=TwoHalves,
)


@pytest.fixture(params=["hardest", "halves"])
def toy(request, monkeypatch):
    """A method that is put into the table, and nowhere else: its name."""
    row = {"hardest": HARDEST, "halves": IN_HALVES}[request.param]
    monkeypatch.setitem(bp.METHODS, request.param, row)
    return request.param


def test_a_new_method_runs_in_an_experiment(toy, matrix):
    scores = bp.Scores(matrix)
    records = bp.run_experiment(scores, ["aipw", toy], budget=10, trials=30, progress=False)
    of_toy = records[records.method == toy]
    assert len(of_toy) == 30 * 9
    assert of_toy.lower.isna().all()
    assert set(bp.summarise(records).method) == {"aipw", toy}
    assert set(bp.compare(records, baseline="aipw").method) == {toy}
    if toy == "halves":  # unbiased: within five standard errors of all 270
        error = of_toy.estimate - of_toy.truth
        assert abs(error.mean()) < 5 * error.std() / 270**0.5


def test_workers_know_a_new_method(toy, matrix, monkeypatch):
    monkeypatch.setattr(bp.experiments, "CHUNK", 2)  # so that few trials are several tasks
    given = (bp.Scores(matrix), ["aipw", toy], "extrapolation", 10, 3)
    alone, both = (bp.run_experiment(*given, n_jobs=n, progress=False) for n in (1, 2))
    pd.testing.assert_frame_equal(alone, both, check_exact=True)


def test_a_new_method_begins_as_all_do(toy, matrix):
    source = matrix[:20]
    target = matrix[20:23]
    rounds = run(toy, source, target, 10)
    assert rounds.items.shape == (6, 10)
    seen = np.take_along_axis(np.tile(target, (2, 1)), rounds.items, axis=1)
    assert np.array_equal(rounds.observed, seen)
    if toy == "halves":
        expected = seen.mean(axis=1)
    else:
        rest = [np.delete(source.mean(axis=0), items).sum() for items in rounds.items]
        expected = (seen.sum(axis=1) + rest) / 60
    assert rounds.estimate().value == pytest.approx(expected)


def test_a_new_method_runs_in_a_session(toy, matrix):
    pytest.importorskip("benchpred_utils.evaluate")
    source = bp.Scores(matrix[:20])
    session = bp.EvaluationSession(source, method=toy, budget=10, rng=np.random.default_rng(3))
    place = {name: number for number, name in enumerate(source.items)}
    asked = []
    while not session.done:
        items = session.next_items()
        asked += [place[name] for name in items]
        session.record(items, [matrix[25, place[name]] for name in items])
    assert len(set(asked)) == 10
    expected = matrix[25, asked].mean()
    if toy == "hardest":
        rest = np.delete(matrix[:20].mean(axis=0), asked).sum()
        expected = (matrix[25, asked].sum() + rest) / 60
    assert session.estimate().value == pytest.approx(expected)
