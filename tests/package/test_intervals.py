"""The intervals: closed forms, limits, exact coverage by enumeration, simulated populations."""

import numpy as np
import pytest
from scipy import stats

from benchpred_utils import estimators, intervals
from benchpred_utils.designs import uniform_core_sets
from benchpred_utils.estimators import observe

INF = float("inf")
Z = stats.norm.ppf(0.975)


def wilson(k, n):
    """The textbook interval of k successes in n independent draws."""
    p = k / n
    middle = p + Z**2 / (2 * n)
    half = Z * np.sqrt(p * (1 - p) / n + Z**2 / (4 * n**2))
    return np.array([middle - half, middle + half]) / (1 + Z**2 / n)


def enumerated(interval, n, n_items):
    """Coverage (N + 1,) of interval(p, n, N) for every number of right answers: an exact sum."""
    x = np.arange(n + 1)
    k = np.arange(n_items + 1)
    lower, upper = (end[:, None] for end in interval(x / n, n, n_items))
    covered = (lower <= k / n_items + 1e-12) & (k / n_items <= upper + 1e-12)
    return (stats.hypergeom.pmf(x[:, None], n_items, k, n) * covered).sum(axis=0)


def student(p, n, n_items):
    return intervals.t_interval(p, (1 - n / n_items) * p * (1 - p) / (n - 1), n - 1)


def uncorrected(p, n, n_items):
    plain = (1 - n / n_items) / n
    return intervals.score_interval(p, plain * p * (1 - p), p, plain, INF)


def score(p, n, n_items):
    return intervals.sample_interval(p, (1 - n / n_items) / n * p * (1 - p), p, n, n_items, INF)


def test_without_a_finite_population_it_is_wilsons():
    p = np.arange(21) / 20
    ends = intervals.score_interval(p, p * (1 - p) / 20, p, 1 / 20, INF)
    assert np.stack(ends) == pytest.approx(wilson(np.arange(21), 20))
    assert np.stack(uncorrected(p, 20, 10**12)) == pytest.approx(wilson(np.arange(21), 20))


def test_its_ends_solve_the_score_equation(rng):
    value = rng.uniform(-0.1, 1.1, 200)
    mean = rng.uniform(0.01, 0.99, 200)
    variance = rng.uniform(0.0001, 0.02, 200)
    k = stats.t.ppf(0.95, 9) ** 2 * variance / (mean * (1 - mean))
    for theta in intervals.score_interval(value, variance, mean, 0.1, 9, level=0.9):
        assert (np.clip(value, 0, 1) - theta) ** 2 == pytest.approx(k * theta * (1 - theta))
        assert (theta > -1e-12).all() and (theta < 1 + 1e-12).all()


def test_its_ends_lie_in_0_1_whatever_the_rounding():
    value = np.array([0.0, 0.3, 1.0])
    for variance in np.geomspace(1e-8, 1e3, 200):
        ends = intervals.score_interval(value, variance, np.full(3, 0.5), 0.02, 16)
        assert all((end >= 0).all() and (end <= 1).all() for end in ends)


def test_a_sample_of_one_kind_falls_back_to_the_plain_mean():
    """All right: nothing tells the variance, also when the mean is 1 but for rounding."""
    for mean in (1.0, 1 - 1e-15):
        one = np.array([1.0])
        lower, upper = intervals.score_interval(one, np.array([0.0]), np.array([mean]), 1 / 20, INF)
        assert [lower[0], upper[0]] == pytest.approx(wilson(20, 20))


def test_random_sampling_has_it_exactly(matrix, rng):
    core = uniform_core_sets(60, 20, 50, rng)
    e = estimators.random_sampling(matrix, core, observe(matrix, core))
    lower, upper = score(e.value, 20, 60)
    assert e.lower == pytest.approx(lower)
    assert e.upper == pytest.approx(upper)


def test_each_target_has_the_interval_it_has_alone(matrix, rng):
    """Graded scores of one target do not change the interval of a 0/1 target beside it."""
    core = uniform_core_sets(60, 20, 5, rng)
    target = np.stack([matrix[0], rng.random(60)])
    for method in (estimators.random_sampling, estimators.aipw_cross_fitted):
        both, alone = (method(matrix[5:], core, observe(t, core)) for t in (target, target[:1]))
        assert both.lower[:, 0] == pytest.approx(alone.lower[:, 0])


@pytest.mark.parametrize("n", [25, 50, 100])
def test_the_score_interval_holds_from_the_middle_to_the_ceiling(n):
    """Mean coverage over windows of 5 points of accuracy, by enumeration: .95 to .975."""
    accuracy = np.arange(438) / 437
    windows = [(accuracy >= a) & (accuracy <= a + 0.05) for a in np.arange(0.5, 0.93, 0.05)]
    covered = enumerated(score, n, 437)
    means = np.array([covered[window].mean() for window in windows])
    assert (means > 0.945).all()
    assert (means < 0.975).all()
    # negative control: Student's, at accuracies of .90 to .95
    assert enumerated(student, n, 437)[windows[-1]].mean() < 0.94


@pytest.mark.parametrize("n_items", [30, 61, 200])
def test_every_accuracy_of_0_1_scores_is_covered(n_items):
    """By enumeration, for every n and every number of right answers, also one in N or all."""
    lowest = []
    for n in range(10, n_items, 5):
        covered = enumerated(score, n, n_items)
        lowest.append(covered.min())
        assert covered[[0, -1]] == pytest.approx(1)
        assert covered.mean() < 0.999
    assert min(lowest) > 0.915
    # negative control: without the correction
    assert min(enumerated(uncorrected, n, n_items).min() for n in range(10, n_items, 5)) < 0.88


@pytest.mark.parametrize("method", [estimators.random_sampling, estimators.aipw_cross_fitted])
def test_few_graded_answers_below_one_tell_no_variance(method, rng):
    """39 of 40 scores are 1 or nearly, one is far below: it is often not seen."""
    target = np.ones((1, 40))
    target[0, :3] = 0.95
    target[0, 3] = 0.1
    core = uniform_core_sets(40, 24, 2_000, rng)
    e = method(rng.random((20, 40)), core, observe(target, core))
    assert ((e.lower <= target.mean()) & (target.mean() <= e.upper)).mean() > 0.93


def test_the_correction_fades_out_at_ten_answers_and_with_the_spread():
    wide, exact = score(np.array([0.21]), 50, 10**6), uncorrected(np.array([0.21]), 50, 10**6)
    assert np.stack(wide) == pytest.approx(np.stack(exact))
    some = np.array([0.06])
    shift = np.stack(score(some, 50, 10**6)) - np.stack(uncorrected(some, 50, 10**6))
    assert shift[0] < 0 < shift[1]
    graded = [
        intervals.score_interval(some, 0.1 * some * (1 - some) / 50, some, 1 / 50, INF, step=step)
        for step in (0.0, 0.5)
    ]
    graded = np.subtract(*graded)[:, 0]
    assert (abs(graded) < 0.002).all()


def test_scores_that_are_all_alike_leave_the_variance_unknown():
    """Also graded ones: no variance seen is not no variance."""
    observed = np.full((1, 1, 20), 0.4)
    e = estimators.random_sampling(np.zeros((2, 400)), np.arange(20)[None], observed)
    assert e.upper - e.lower > 0.3


def test_a_row_of_equal_scores_has_the_interval_of_that_score(rng):
    """The value varies with g, which says nothing of it."""
    s = np.ones((50, 30))
    g = rng.uniform(0.5, 1.0, s.shape)
    q = rng.uniform(0.05, 0.2, s.shape)
    value = rng.uniform(0.97, 1.03, 50)
    lower, upper = intervals.stratified_interval(value, s, g, q, 300)
    assert upper == pytest.approx(1)
    assert lower == pytest.approx(lower[0])


def test_the_variance_is_at_least_what_is_given(rng):
    """More than a plain mean's, here, so that nothing is lacking."""
    s = (rng.random((4, 30)) < 0.5).astype(float)
    mean = s.mean(axis=1)
    q = np.full_like(s, 0.1)
    found = intervals.stratified_interval(mean, s, s, q, 300, 0.012)
    expected = intervals.sample_interval(mean, 0 * mean + 0.012, mean, 30, 300, 28)
    assert np.stack(found) == pytest.approx(np.stack(expected))
    lower, upper = intervals.stratified_interval(mean, s, s, q, 300, 0.009)
    assert (upper - lower < found[1] - found[0]).all()


@pytest.mark.parametrize("scale", [1.0, 0.5])  # of the scores, about a half
@pytest.mark.parametrize(
    "failed, off, x", [(0, 1, 0), (1, 1, 1), (20, 1, 20), (8, 0.5, 8), (8, 0.1, 0.32)]
)
def test_few_failed_forecasts_tell_no_variance(failed, off, x, scale):
    """k gets 1/(1 + x)^(4/3) of what it lacks of a plain mean's of such scores, with x failed.

    Sure ones or even chances count one each, forecasts that are hardly off 4 residual^2.
    """
    s = 0.5 + scale * (np.arange(50) % 2 - 0.5)
    residual = np.zeros((1, 50))
    residual[0, :failed] = scale * off
    half, variance, plain = np.array([0.5]), np.array([0.0005]), (1 - 50 / 500) / 50
    found = intervals.sample_interval(half, variance, half, 50, 500, 49, s[None], residual)
    lacking = plain * s.var() - variance
    raised = variance + lacking / (1 + x) ** (4 / 3)
    expected = intervals.score_interval(half, raised, half, plain, 49)
    assert np.stack(found) == pytest.approx(np.stack(expected))


def test_equal_graded_scores_leave_the_variance_unknown_whatever_was_forecast(rng):
    s = np.full((3, 30), 0.4)
    q = rng.uniform(0.05, 0.2, s.shape)
    ends = intervals.stratified_interval(
        np.full(3, 0.5), s, s + rng.normal(0, 0.1, s.shape), q, 300
    )
    plain = intervals.sample_interval(s[:, 0], np.zeros(3), s[:, 0], 30, 300, 28)
    assert np.stack(ends) == pytest.approx(np.stack(plain))


def test_at_97_of_100_right_student_s_interval_fails():
    assert enumerated(student, 25, 500)[485] < 0.6
    assert enumerated(score, 25, 500)[485] > 0.9


def test_only_full_knowledge_has_no_width(matrix):
    core = np.arange(60)[None, :]
    for method in (estimators.random_sampling, estimators.aipw_cross_fitted):
        e = method(matrix[:20], core, observe(matrix[20:], core))
        assert e.upper - e.lower == pytest.approx(0, abs=1e-11)
        truth = matrix[20:].mean(axis=1)
        assert ((e.lower <= truth) & (truth <= e.upper)).all()  # exactly: no rounding is lost
        assert e.lower[0] == pytest.approx(truth)


@pytest.mark.parametrize("n", [7, 25, 50, 93, 100])
def test_an_accuracy_of_0_or_1_is_held_to_the_last_bit(n):
    for truth in (0.0, 1.0):
        value = np.array([truth, truth + (0.5 - truth) * 4e-16])  # a weighted sum's rounding
        for variance in (np.zeros(2), np.full(2, 1e-17)):
            lower, upper = intervals.sample_interval(value, variance, value, n, 567, n - 1)
            assert (lower <= truth).all() and (truth <= upper).all()


def population(rng, accuracy, n_items=600, n_models=40, knows=1.0):
    """Sources (M, N) and a target (1, N), with logits ability - difficulty.

    The difficulty is shared by the sources to the degree `knows`.
    """
    difficulty = rng.normal(0, 1.5, n_items)
    seen = knows * difficulty + (1 - knows**2) ** 0.5 * rng.normal(0, 1.5, n_items)
    source_p = 1 / (1 + np.exp(seen - rng.normal(0.5, 1, (n_models, 1))))
    source = rng.random((n_models, n_items)) < source_p
    shift = np.linspace(-10, 10, 400)
    mean = (1 / (1 + np.exp(difficulty - shift[:, None]))).mean(axis=1)
    p = 1 / (1 + np.exp(difficulty - np.interp(accuracy, mean, shift)))
    return source.astype(float), (rng.random((1, n_items)) < p).astype(float)


def coverage(method, accuracy, n, rng, populations=40, trials=100, **options):
    """Of the intervals of `method`, over populations and draws."""
    hits = []
    for _ in range(populations):
        source, target = population(rng, accuracy, **options)
        core = uniform_core_sets(source.shape[1], n, trials, rng)
        e = method(source, core, observe(target, core))
        hits.append(((e.lower <= target.mean()) & (target.mean() <= e.upper)).mean())
    return np.mean(hits)


def with_student(source, core, observed):
    """The interval that random_sampling would have by Student's formula: the negative control."""
    n = core.shape[1]
    variance = (1 - n / source.shape[1]) * observed.var(axis=-1, ddof=1) / n
    value = observed.mean(axis=-1)
    return estimators.Estimate(value, *intervals.t_interval(value, variance, n - 1))


@pytest.mark.parametrize("accuracy", [0.03, 0.5, 0.9, 0.97])
@pytest.mark.parametrize("knows", [0.0, 1.0])
def test_cross_fitted_aipw_covers_near_the_ceiling_and_with_useless_sources(accuracy, knows, rng):
    """4,000 draws from 40 populations, so the Monte Carlo error of a coverage is about .005."""
    assert 0.935 < coverage(estimators.aipw_cross_fitted, accuracy, 25, rng, knows=knows) < 0.98


def test_the_student_interval_fails_the_same_test(rng):
    assert coverage(with_student, 0.97, 25, rng) < 0.7


@pytest.mark.parametrize("method", [estimators.random_sampling, estimators.aipw_cross_fitted])
def test_graded_scores_are_covered(method, rng):
    """Scores in quarters: less variance than theta (1 - theta), so narrower intervals."""
    widths = []
    hits = []
    source = rng.random((20, 400))
    for _ in range(20):
        target = rng.binomial(4, 0.85, (1, 400)) / 4
        core = uniform_core_sets(400, 25, 200, rng)
        e = method(source, core, observe(target, core))
        hits.append(((e.lower <= target.mean()) & (target.mean() <= e.upper)).mean())
        widths.append((e.upper - e.lower).mean())
    assert 0.935 < np.mean(hits) < 0.985
    assert np.mean(widths) < 0.6 * np.diff(score(np.array([0.85]), 25, 400), axis=0)[0, 0]


def near_copy(rng, differ, n_items):
    """Twenty sources that are one model, and a target (1, N) that is wrong where it should not be.

    It is that model, but for so many of the items that it has right.
    """
    copied = (np.arange(n_items) % 4 > 0).astype(float)
    target = copied.copy()
    target[rng.choice(np.flatnonzero(copied), differ, replace=False)] = 0
    return np.repeat(copied[None], 20, axis=0), target[None]


@pytest.mark.parametrize("n, n_items", [(20, 60), (50, 200), (60, 120)])
@pytest.mark.parametrize("differ", [3, 5, 10])
def test_near_copies_of_all_sources_are_covered(n, n_items, differ, rng):
    source, target = near_copy(rng, differ, n_items)
    core = uniform_core_sets(n_items, n, 2_000, rng)
    e = estimators.aipw_cross_fitted(source, core, observe(target, core))
    assert ((e.lower <= target.mean()) & (target.mean() <= e.upper)).mean() > 0.92


def test_negative_control_without_the_count_of_failed_forecasts_they_are_not(monkeypatch, rng):
    without = intervals.sample_interval
    monkeypatch.setattr(
        estimators, "sample_interval", lambda *others: without(*others[:6], None, None)
    )
    source, target = near_copy(rng, 3, 200)
    core = uniform_core_sets(200, 50, 2_000, rng)
    e = estimators.aipw_cross_fitted(source, core, observe(target, core))
    assert ((e.lower <= target.mean()) & (target.mean() <= e.upper)).mean() < 0.8


def test_the_student_interval_covers_a_normal_mean(rng):
    """20,000 normal samples of 8: the textbook case in which it is exact."""
    x = rng.normal(1, 2, (20_000, 8))
    lower, upper = intervals.t_interval(x.mean(axis=1), x.var(axis=1, ddof=1) / 8, 7)
    assert ((lower <= 1) & (1 <= upper)).mean() == pytest.approx(0.95, abs=0.006)


# --- one draw per cell ----------------------------------------------------------------------------


def draws_from_cells(p, g, n, size, rng):
    """`size` populations s ~ p (N,), and one draw from each of n cells of equal length.

    Gives observed, g and q (size, n), and the truth (size,).
    """
    n_items = len(p)
    cells = np.arange(n_items).reshape(n, -1)
    w = np.sqrt(g * (1 - g))[cells] + 0.1
    q = w / w.sum(axis=1, keepdims=True)
    passed = rng.random((size, n, 1)) > np.cumsum(q, axis=1)
    chosen = passed.sum(axis=-1).clip(max=cells.shape[1] - 1)
    items = cells[np.arange(n), chosen]
    s = (rng.random((size, n_items)) < p).astype(float)
    return np.take_along_axis(s, items, axis=1), g[items], q[np.arange(n), chosen], s.mean(axis=1)


@pytest.mark.parametrize("shift", [-1.0, 0.0, 1.0])
@pytest.mark.parametrize("ability", [0.0, 4.0])
def test_one_draw_per_cell_covers_when_the_model_is_wrong_by_a_shift(shift, ability, rng):
    logit = ability + np.linspace(-3, 3, 500)
    p = 1 / (1 + np.exp(-logit))
    g = 1 / (1 + np.exp(-logit - shift))
    observed, g_drawn, q, truth = draws_from_cells(p, g, 25, 10_000, rng)
    value = (g.sum() + ((observed - g_drawn) / q).sum(axis=1)) / 500
    lower, upper = intervals.stratified_interval(value, observed, g_drawn, q, 500)
    assert value.mean() == pytest.approx(truth.mean(), abs=0.002)  # unbiased whatever g is
    assert 0.935 < ((lower <= truth) & (truth <= upper)).mean() < 0.985


def test_its_limits(rng):
    """Cells of one item: no width; all right, g = 1: as the plain mean; two draws: [0, 1]."""
    s = (rng.random((3, 30)) < 0.7).astype(float)
    ones = np.ones_like(s)
    lower, upper = intervals.stratified_interval(s.mean(axis=1), s, 0.6 * ones, ones, 30)
    assert lower == pytest.approx(s.mean(axis=1))
    assert upper == pytest.approx(lower)
    ends = intervals.stratified_interval(np.ones(3), ones, ones, 0.1 * ones, 300)
    plain = intervals.sample_interval(np.ones(3), np.zeros(3), np.ones(3), 30, 300, 28)
    assert np.stack(ends) == pytest.approx(np.stack(plain))
    two = ones[:, :2]
    ends = intervals.stratified_interval(np.ones(3), two, two, 0.1 * two, 300)
    assert np.stack(ends).tolist() == [[0.0] * 3, [1.0] * 3]


# --- the effective sample size of a width ---------------------------------------------------------


@pytest.mark.parametrize("value", [0.2, 0.5, 0.93])
def test_the_plain_interval_s_own_width_is_worth_its_own_size(value):
    mean = np.array(value)
    variance = (1 - 30 / 400) / 30 * mean * (1 - mean)
    lower, upper = intervals.sample_interval(mean, variance, mean, 30, 400, 29)
    assert intervals.ess_of_width(value, upper - lower, 30, 400) == pytest.approx(1)
    assert intervals.ess_of_width(value, (upper - lower) / 2, 30, 400) == pytest.approx(4)


@pytest.mark.parametrize("width", [0.0, 1.0, 1.5])
def test_a_width_that_says_nothing_has_no_effective_sample_size(width):
    assert np.isnan(intervals.ess_of_width(0.5, width, 30, 400))
