"""Sequential stratification: unbiased whatever it learns, exact at n = N, safe without knowledge.

(The tests of the betting sequence stand beside those of the sessions, which use it.)
"""

import copy
import itertools

import numpy as np
import pytest
from cases import awkward, finished, same, with_gaps

from benchpred_utils import forecast, sequences, sequential


def rasch(n_models, n_items, seed=0, spread=1.5):
    """Scores of a Rasch model, (n_models, n_items)."""
    rng = np.random.default_rng(seed)
    logits = spread * (rng.normal(size=(n_models, 1)) + rng.normal(size=n_items))
    return (rng.random(logits.shape) < 1 / (1 + np.exp(-logits))).astype(float)


def begun(source, uniform, n, **options):
    model = forecast.working_model(source)
    return sequential.SequentialStratification(model, uniform, n, **options)


def estimates(source, target, n, replications, rng, **options):
    """The estimates (replications,) of one target (N,)."""
    uniform = rng.random((replications, len(target) + 2 * n))
    rounds = begun(source, uniform, n, **options)
    scores = np.broadcast_to(target, (replications, len(target)))
    return finished(rounds, scores).estimate().value


# --- unbiased, by enumeration ---------------------------------------------------------------------


def expectation(value, model, target, n, rounds, jitter, u, k=0, kind=None):
    """The exact expectation of `value(rounds)` over the items drawn, given the jitter.

    `u` (2n,) decides the draws; here what it decides in the k-th cell and in those closed later
    takes every possible value in turn. `kind` is the design's class.
    """
    uniform = np.concatenate([jitter, u])[None]
    kind = kind or sequential.SequentialStratification
    design = kind(model, uniform, n, rounds=rounds)
    while design.cell.max() < k and not design.done:
        items = design.next_items()
        if design.cell.max() < k or design.items.shape[1] == n:
            design.record(target[items])
    if design.cell.max() < k:
        return value(design)
    cell = np.flatnonzero(design.cell[0] == k)
    place = design.strata[cell] + design.g[0, cell] + 0.01 * (jitter[cell] - 0.5)
    cell = cell[np.argsort(place)]
    q = design.q[0, cell]
    draws = round(q.sum())
    assert q.sum() == pytest.approx(draws)
    if 2 * n <= len(target):
        outcomes = [(k, middle) for middle in np.cumsum(q) - q / 2]  # one number for the cell
    else:
        assert q == pytest.approx(draws / len(cell))
        sets = itertools.combinations(range(len(cell)), draws)  # one number for each item
        outcomes = [
            (cell, np.where(np.isin(range(len(cell)), chosen), 0.1, 0.9)) for chosen in sets
        ]
        q = np.full(len(outcomes), 1 / len(outcomes))
    parts = []
    for here, numbers in outcomes:
        further = u.copy()
        further[here] = numbers
        parts.append(expectation(value, model, target, n, rounds, jitter, further, k + 1, kind))
    return q @ parts


def estimate_of_one(design):
    return design.estimate().value[0]


def refitted(design):
    """An estimate with the last predictions in place of those that were fixed before each draw."""
    g = forecast.predict(design.forecast.model, design.items, design.observed)
    g_drawn = np.take_along_axis(g, design.items, axis=1)
    q_drawn = np.take_along_axis(design.q, design.items, axis=1)
    return (g.sum() + ((design.observed - g_drawn) / q_drawn).sum()) / g.size


def setting(n, n_items, seed):
    """A working model, a target, and the jitter and the numbers u that are given at first."""
    scores = rasch(5, n_items, seed)
    rng = np.random.default_rng(seed)
    return forecast.working_model(scores[:4]), scores[4], rng.random(n_items), rng.random(2 * n)


ONE_EACH = [(1, 6, 1), (2, 6, 1), (2, 6, 2), (3, 6, 3), (4, 9, 2), (4, 9, 3), (4, 9, 4)]
SEVERAL = [
    (5, 9, 2),
    (7, 9, 1),
    (8, 9, 2),
    (9, 9, 3),
    (2, 3, 1),
    (7, 12, 2),
    (10, 12, 2),
    (15, 18, 3),
]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("n, n_items, rounds", ONE_EACH + SEVERAL)
def test_unbiased_given_the_jitter(n, n_items, rounds, seed):
    """So also over it: whatever cells are used, and however ties are broken."""
    model, target, jitter, u = setting(n, n_items, seed)
    mean = expectation(estimate_of_one, model, target, n, rounds, jitter, u)
    assert mean == pytest.approx(target.mean(), abs=1e-12)


@pytest.mark.parametrize("n, n_items, rounds", [(3, 6, 3), (4, 9, 4)])
def test_unbiased_for_a_twin_of_a_source(n, n_items, rounds):
    """The forecast comes to follow the source, also where its twin is wrong: in the last item."""
    model, _, jitter, u = setting(n, n_items, 1)
    target = model.sources[0].copy()
    target[-1] = 1 - target[-1]
    mean = expectation(estimate_of_one, model, target, n, rounds, jitter, u)
    assert mean == pytest.approx(target.mean(), abs=1e-12)


@pytest.mark.parametrize("n, n_items, rounds", [(3, 6, 3), (4, 9, 2), (5, 9, 2), (10, 12, 2)])
def test_unbiased_where_sources_lack_scores(n, n_items, rounds):
    _, target, jitter, u = setting(n, n_items, 1)
    model = forecast.working_model(with_gaps(rasch(4, n_items, 1)))
    mean = expectation(estimate_of_one, model, target, n, rounds, jitter, u)
    assert mean == pytest.approx(target.mean(), abs=1e-12)


class Changed(sequential.SequentialStratification):
    """After its first round it goes on in other rounds, and with other sources."""

    def record(self, observed):
        super().record(observed)
        if self.items.shape[1] < self.n:
            model = self.forecast.model
            later = sequential.SequentialStratification(model, self.uniform, self.n, 3)
            later.restore(self.state())
            later.use(forecast.working_model(rasch(3, self.g.shape[1], seed=11)))
            vars(self).update(vars(later))


@pytest.mark.parametrize("n, n_items, rounds", [(4, 9, 2), (4, 9, 3), (8, 9, 2), (15, 18, 3)])
def test_unbiased_also_where_rounds_and_sources_change_on_the_way(n, n_items, rounds):
    """So an older file goes on, whose rounds ended elsewhere, and new sources are taken in."""
    model, target, jitter, u = setting(n, n_items, 1)
    kept = expectation(recorded_by_hand, model, target, n, rounds, jitter, u, kind=Changed)
    assert kept == pytest.approx(target.mean(), abs=1e-12)


def recorded_by_hand(design):
    """The estimate by its definition, from what a file holds of the design."""
    state = design.state()
    cell, g, q = (state[name][0] for name in ("cell", "g", "q"))
    items, scores = state["items"][0], state["observed"][0]
    assert (cell >= 0).all() and len(set(cell)) == len(design.draws)
    return (g.sum() + ((scores - g[items]) / q[items]).sum()) / len(g)


def test_other_sources_forecast_all_that_is_left_and_leave_what_is_drawn():
    target = rasch(1, 40, seed=9)
    design = begun(rasch(6, 40), np.random.default_rng(0).random((1, 40 + 24)), 12)
    design.record(target[:, design.next_items()[0]])
    design.record(target[:, design.next_items()[0]])
    other = forecast.working_model(rasch(9, 40, seed=3))
    drawn = copy.deepcopy(design.state())
    design.use(other)
    for name, values in drawn.items():
        assert np.array_equal(design.state()[name], values)
    expected = forecast.Forecast(other, 1)
    for t in (0, 1, 2):  # what was known when a round began, and now
        g = expected.predict(design.items[:, :t], design.observed[:, :t])[0]
    seen = design.items[0]
    design.next_items()
    now = np.flatnonzero(design.cell[0] == 2)
    assert len(now) and np.array_equal(design.g[0, now], g[now])
    g[seen] = design.observed[0, :2]
    assert design.imputed() == pytest.approx([g.mean()])  # though an item is asked for


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("n, n_items, rounds", [(2, 6, 2), (4, 9, 2), (5, 9, 2), (10, 12, 2)])
def test_the_mean_of_its_variances_is_the_variance(n, n_items, rounds, seed):
    model, target, jitter, u = setting(n, n_items, seed)

    def exact(design):
        return design.variance(target[None])[0]

    def squared(design):
        return (estimate_of_one(design) - target.mean()) ** 2

    means = [expectation(v, model, target, n, rounds, jitter, u) for v in (exact, squared)]
    assert means[0] == pytest.approx(means[1], abs=1e-12)


@pytest.mark.parametrize("n, n_items, rounds", SEVERAL)
def test_several_draws_of_a_cell_estimate_the_variance_without_bias(
    n, n_items, rounds, monkeypatch
):
    model, target, jitter, u = setting(n, n_items, 1)
    target = 100 * target  # so far out of [0, 1] that the bound from below is negative
    found = []

    def spy(value, variance, *others):
        found.append(variance[0])
        return value, value

    monkeypatch.setattr(sequential, "sample_interval", spy)

    def estimated(design):
        design.estimate()
        return found[-1]

    def exact(design):
        return design.variance(target[None])[0]

    means = [expectation(v, model, target, n, rounds, jitter, u) for v in (estimated, exact)]
    assert means[0] == pytest.approx(means[1], abs=1e-9)


def test_negative_control_a_model_refitted_after_the_draws_is_biased():
    model, target, jitter, u = setting(4, 9, 2)
    mean = expectation(refitted, model, target, 4, 4, jitter, u)
    assert abs(mean - target.mean()) > 1e-3


# --- limits ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1.0, 0.4])
def test_all_items_give_the_accuracy_itself(scale):
    scores = scale * rasch(8, 30)  # 0.4: scores need not be binary
    found = estimates(scores[:7], scores[7], 30, 5, np.random.default_rng(0))
    assert found == pytest.approx(scores[7].mean())


@pytest.mark.parametrize(
    "n, rounds, n_items", [(1, 10, 40), (7, 3, 60), (20, 10, 40), (25, 25, 200)]
)
def test_every_item_is_in_one_cell_and_every_cell_has_one_draw(n, rounds, n_items):
    design = drawn(n, rounds, n_items)
    cells = np.take_along_axis(design.cell, design.items, axis=1)
    assert (cells == np.arange(n)).all()
    assert (np.sort(design.cell, axis=1)[:, [0, -1]] == [0, n - 1]).all()
    mass = np.zeros((50, n))
    np.add.at(mass, (np.arange(50)[:, None], design.cell), design.q)
    assert mass == pytest.approx(1)


@pytest.mark.parametrize("weights", [[1, 1, 1e-20], [1, 1, 1, 9], [9, 1, 1, 1], [2, 1, 1]])
def test_every_open_item_is_in_a_cell_and_no_cell_is_empty(weights):
    """However many cells; also where one item outweighs all, or weighs nothing."""
    n_open = len(weights)
    w = np.array([[*weights, 0.0]])  # the last item is closed
    for m in range(1, n_open + 1):
        sizes = sequential._sizes(w, np.ones((1, m)))
        assert sizes.shape == (1, m)
        assert sizes.min() >= 1 and sizes.sum() == n_open


def test_the_cells_have_equal_sums_of_w_where_that_can_be():
    sizes = sequential._sizes(np.array([[3.3, 1, 1, 1, 1, 1.7]]), np.ones((1, 3)))
    assert sizes.tolist() == [[1, 3, 2]]


@pytest.mark.parametrize("n, n_items", [(21, 40), (30, 40), (39, 40), (40, 40), (97, 150)])
def test_beyond_a_half_every_cell_has_several_draws_in_proportion(n, n_items):
    """q differs from n/N by what whole numbers cost: 2% of the variance at most."""
    design = drawn(n, 10, n_items)
    assert (np.diff(np.sort(design.items, axis=1), axis=1) > 0).all()
    for cell, items, q in zip(design.cell, design.items, design.q):
        size, draws = np.bincount(cell), np.bincount(cell[items])
        assert (draws > 1).all()
        assert q == pytest.approx((draws / size)[cell])
        loss = (size * (size - draws) / draws).sum()
        assert loss <= 1.02 * n_items * (n_items - n) / n


def drawn(n, rounds, n_items):
    """A design of 50 rows, finished."""
    target = rasch(1, n_items, seed=9)
    uniform = np.random.default_rng(0).random((50, n_items + 2 * n))
    design = begun(rasch(6, n_items), uniform, n, rounds=rounds)
    return finished(design, np.broadcast_to(target, (50, n_items)))


@pytest.mark.parametrize("n", [3, 10, 30, 31, 45, 59, 60])
@pytest.mark.parametrize("score", [0.0, 0.4, 1.0])
def test_a_constant_target_is_always_covered(n, score):
    """The sources differ, and so does the unbiased value; the interval must not."""
    uniform = np.random.default_rng(1).random((300, 60 + 2 * n))
    estimate = finished(begun(rasch(6, 60), uniform, n), np.full((300, 60), score)).estimate()
    assert (estimate.lower <= score + 1e-12).all()
    assert (estimate.upper >= score - 1e-12).all()
    if n > 30:
        assert estimate.value == pytest.approx(score)


@pytest.mark.parametrize("n", [20, 62])
def test_a_twin_that_differs_in_one_item_is_covered(n, monkeypatch):
    """The forecast is sure and wrong there; most draws, or cells, do not show it."""
    target = rasch(1, 120, seed=3)
    twin = np.broadcast_to(np.abs(target - (np.arange(120) == 60)), (400, 120))
    monkeypatch.setattr(forecast.Forecast, "predict", lambda *others: 0.9 * twin + 0.05)
    uniform = np.random.default_rng(2).random((400, 120 + 2 * n))
    design = begun(rasch(6, 120), uniform, n)
    estimate = finished(design, np.broadcast_to(target, (400, 120))).estimate()
    truth = target.mean()
    assert ((estimate.lower <= truth) & (truth <= estimate.upper)).mean() > 0.95


@pytest.mark.parametrize("n, differ", [(20, 5), (50, 5), (50, 10), (90, 10)])
def test_a_near_copy_of_all_sources_is_covered(n, differ, rng):
    """It is wrong on a few of the items that they all have right: few are seen."""
    copied = (np.arange(180) % 4 > 0).astype(float)
    target = copied.copy()
    target[rng.choice(np.flatnonzero(copied), differ, replace=False)] = 0
    uniform = rng.random((1_000, 180 + 2 * n))
    design = begun(np.repeat(copied[None], 20, axis=0), uniform, n)
    estimate = finished(design, np.broadcast_to(target, (1_000, 180))).estimate()
    held = (estimate.lower <= target.mean()) & (target.mean() <= estimate.upper)
    assert held.mean() > 0.92


RATIOS = [("nothing", 4_000, 0.93, 1.08), ("some", 1_500, 0.6, 0.97), ("much", 1_500, 0.2, 0.6)]


@pytest.mark.parametrize("known, replications, low, high", RATIOS)
def test_no_loss_where_sources_know_nothing_and_a_gain_where_they_know(
    known, replications, low, high
):
    """The mean squared error over that of a plain sample of as many items."""
    rng = np.random.default_rng(4)
    p = rng.beta(0.5, 0.5, 400)
    target = (rng.random(400) < p).astype(float)
    chances = {"nothing": np.full(400, 0.4), "some": 0.5 * p + 0.25, "much": p}[known]
    source = (rng.random((30, 400)) < chances).astype(float)
    found = estimates(source, target, 40, replications, rng)
    plain = (1 - 40 / 400) * target.var(ddof=1) / 40
    assert low < np.mean((found - target.mean()) ** 2) / plain < high
    assert abs(found.mean() - target.mean()) < 4 * found.std() / replications**0.5


@pytest.mark.parametrize("n", [1, 2, 13, 60])
def test_awkward_sources_give_finite_estimates(n):
    rng = np.random.default_rng(6)
    for name, source in awkward(rng).items():
        design = finished(begun(source, rng.random((2, 60 + 2 * n)), n), source[:2])
        estimate = design.estimate()
        assert all(np.isfinite(part).all() for part in estimate), name
        assert (estimate.lower <= estimate.upper).all(), name
        assert (estimate.lower >= 0).all(), name


def test_an_estimate_before_the_end_and_a_negative_floor_are_refused():
    design = begun(rasch(5, 40), np.full((1, 52), 0.5), 6)
    design.record(np.ones((1, design.next_items().shape[1])))
    with pytest.raises(ValueError, match="1 of 6 scores"):
        design.estimate()
    with pytest.raises(ValueError, match="0 or more"):
        begun(rasch(5, 40), np.full((1, 52), 0.5), 6, floor=-1.0)


def test_too_large_a_budget_is_refused():
    with pytest.raises(ValueError, match="can't be drawn"):
        begun(rasch(5, 6), np.zeros((1, 20)), 7)


# --- what it sees, and what a file holds ----------------------------------------------------------


def test_an_estimate_depends_on_nothing_but_the_scores_that_were_asked_for():
    """The poison test: other items' scores are corrupted, and other rows are not there."""
    scores = rasch(20, 60)
    rng = np.random.default_rng(5)
    target = scores[14:]
    uniform = rng.random((6, 60 + 24))
    clean = finished(begun(scores[:14], uniform, 12), target)
    poisoned = rng.choice([np.nan, 1e6, -3], target.shape)
    honest = np.take_along_axis(target, clean.items, axis=1)
    np.put_along_axis(poisoned, clean.items, honest, axis=1)
    for row in range(6):
        one = slice(row, row + 1)
        dirty = finished(begun(scores[:14], uniform[one], 12), poisoned[one])
        assert np.array_equal(dirty.items, clean.items[one])
        expected = [part[one] for part in clean.estimate()]
        assert same(dirty.estimate(), expected, rtol=1e-9)


@pytest.mark.parametrize("n", [6, 30, 40])
def test_rows_of_the_same_numbers_have_the_same_items(n):
    """Also where all items weigh alike, so that every cell ends exactly at an item."""
    uniform = np.tile(np.random.default_rng(0).random(60 + 2 * n), (50, 1))
    design = finished(begun(np.ones((20, 60)), uniform, n), np.zeros((50, 60)))
    assert (design.items == design.items[0]).all()
    assert (design.q == design.q[0]).all()


def stratification(source, rng):
    return begun(source, rng.random((3, 60 + 26)), 13)


def betting(source, rng):
    model = forecast.working_model(source)
    return sequences.SequentialDraws(model, rng.random((3, 60)), 0.12)


@pytest.mark.parametrize("begin", [stratification, betting])
def test_a_state_goes_on_where_it_was_taken(begin, matrix):
    """After any round, recorded or only asked for, into a new object of the same beginning."""
    target = matrix[20:23]
    whole = finished(begin(matrix[:20], np.random.default_rng(2)), target)
    first = begin(matrix[:20], np.random.default_rng(2))
    while not first.done:
        state = copy.deepcopy(first.state())
        first = begin(matrix[:20], np.random.default_rng(2))
        first.restore(state)
        items = first.next_items()
        state = copy.deepcopy(first.state())
        first = begin(matrix[:20], np.random.default_rng(2))
        first.restore(state)
        first.record(np.take_along_axis(target, items, axis=1))
    assert np.array_equal(first.items, whole.items)
    for name, values in whole.state().items():
        assert np.array_equal(first.state()[name], values), name


@pytest.mark.parametrize("seed", [2, 3, 5])
@pytest.mark.parametrize("n", [105, 112, 116])
def test_a_near_copy_is_covered_when_few_items_are_left(seed, n):
    """One wrong item among those left out: the step is not as small as the variance seen."""
    rng = np.random.default_rng(seed)
    difficulty = rng.normal(0, 1.5, 120)
    logits = rng.normal(0.5, 1, (25, 1)) + difficulty
    source = (rng.random((25, 120)) < 1 / (1 + np.exp(-logits))) * 1.0
    source[:12] = source[0]
    target = source[0].copy()
    chosen = rng.choice(120, seed, replace=False)
    target[chosen] = 1 - target[chosen]
    design = begun(source, rng.random((1000, 120 + 2 * n)), n)
    while not design.done:
        design.record(target[design.next_items()])
    found = design.estimate()
    held = (found.lower <= target.mean() + 1e-9) & (target.mean() - 1e-9 <= found.upper)
    assert held.mean() > 0.92
