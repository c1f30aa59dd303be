"""Item response theory: the 2PL fit against the long way, known parameters and an independent package; the methods on it."""

import array_api_strict
import numpy as np
import pytest
from scipy import optimize
from scipy.interpolate import BSpline
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression

import benchpred_utils as bp
from benchpred_utils import irt
from benchpred_utils.estimators import observe

DESIGNS = [irt.irt_anchors, irt.metabench_items, irt.sorted_by_difficulty]
sigmoid = lambda logits: 1 / (1 + np.exp(-logits))


@pytest.fixture
def source(matrix):
    return matrix[:20]


def simulated(n_models, n_items, dims, seed):
    """Scores and their true probabilities."""
    rng = np.random.default_rng(seed)
    p = sigmoid(rng.normal(size=(n_models, dims)) @ rng.normal(0, 1.2, (dims, n_items)) + rng.normal(size=n_items))
    return (rng.random(p.shape) < p).astype(float), p


def probabilities(fit):
    return sigmoid(fit.abilities @ fit.items[:, :-1].T + fit.items[:, -1])


def packed(fit):
    return np.vstack([np.c_[fit.abilities, np.ones(len(fit.abilities))], fit.items]).astype(float)


def minus_log_posterior(abilities, items, scores):
    a, b = items[:, :-1], items[:, -1]
    total = (np.square(abilities).sum() + np.square(a).sum() + np.square(b - b.mean()).sum()) / 2
    for f, z in np.ndindex(scores.shape):
        p = sigmoid(abilities[f] @ a[z] + b[z])
        total -= scores[f, z] * np.log(p) + (1 - scores[f, z]) * np.log(1 - p)
    return total


# --- the fit ----------------------------------------------------------------------------------------------------------


def test_the_objective_and_its_gradient_are_the_long_way(rng):
    scores, x = rng.random((6, 9)), rng.normal(size=(15, 4))
    x[:6, -1] = 1
    value, gradient, _ = irt._objective(x, scores)
    assert value == pytest.approx(minus_log_posterior(x[:6, :-1], x[6:], scores))
    slope = optimize.approx_fprime(x.ravel(), lambda v: irt._objective(v.reshape(15, 4), scores)[0], 1e-6).reshape(15, 4)
    slope[:6, -1] = 0  # the 1 beside an ability is no parameter
    assert gradient == pytest.approx(slope, abs=1e-4)


@pytest.mark.parametrize("dims", [1, 2])
def test_no_other_optimiser_finds_better_parameters(dims):
    scores, _ = simulated(14, 18, dims, 3)
    fit = irt.fit_2pl(scores, dims, 1e-12, 5000)
    ours = minus_log_posterior(fit.abilities, fit.items, scores)
    size = 14 * dims

    def objective(v):
        abilities, items = v[:size].reshape(14, dims), v[size:].reshape(18, dims + 1)
        logits, b = abilities @ items[:, :-1].T + items[:, -1], items[:, -1]
        deviance = np.logaddexp(0, logits).sum() - (scores * logits).sum()
        return deviance + (np.square(abilities).sum() + np.square(items[:, :-1]).sum() + np.square(b - b.mean()).sum()) / 2

    starts = [np.random.default_rng(s).normal(0, 0.5, size + 18 * (dims + 1)) for s in range(4)]
    best = min(optimize.minimize(objective, start, method="BFGS").fun for start in starts)
    assert ours == pytest.approx(best, rel=1e-5)


def test_the_fit_recovers_known_probabilities_the_better_the_more_data():
    """The error is the one of theory: the variance of p, times the number of parameters per score."""
    errors, item_means = [], []
    for n_models, n_items in ((50, 100), (200, 400)):
        scores, p = simulated(n_models, n_items, 3, 7)
        errors.append(np.sqrt(np.square(probabilities(irt.fit_2pl(scores, 3)) - p).mean()))
        item_means.append(np.sqrt(np.square(scores.mean(axis=0) - p).mean()))
    theory = np.sqrt((p * (1 - p)).mean() * (3 * n_models + 4 * n_items) / p.size)
    assert errors[1] < 0.6 * errors[0] and errors[1] == pytest.approx(theory, rel=0.15)
    assert item_means[1] > 3 * errors[1]  # negative control


def test_the_parameters_are_unique_up_to_a_rotation():
    scores, _ = simulated(120, 150, 2, 5)
    first, again = (irt.fit_2pl(scores[rows], 2, 1e-11, 3000) for rows in (slice(None), slice(None, None, -1)))
    u, _, vt = np.linalg.svd(again.items[:, :-1].T @ first.items[:, :-1])
    assert again.items[:, :-1] @ (u @ vt) == pytest.approx(first.items[:, :-1], abs=1e-3)
    assert again.items[:, -1] == pytest.approx(first.items[:, -1], abs=1e-3)


def test_an_independent_package_fits_the_same_curves():
    """girth's marginal maximum likelihood in one dimension; with 400 models and 80 items the two must nearly agree."""
    girth = pytest.importorskip("girth")
    rng = np.random.default_rng(1)
    theta, a, b = rng.normal(size=(400, 1)), np.abs(rng.normal(1.2, 0.5, (80, 1))), rng.normal(size=80)
    scores = (rng.random((400, 80)) < sigmoid(theta @ a.T + b)).astype(float)
    theirs, ours = girth.twopl_mml(scores.T.astype(int)), irt.fit_2pl(scores, 1)
    logits = theirs["Discrimination"] * (np.ravel(theirs["Ability"])[:, None] - theirs["Difficulty"])
    assert np.sqrt(np.square(sigmoid(logits) - probabilities(ours)).mean()) < 0.01


def test_the_fit_is_the_same_on_another_array_library(source):
    ours = probabilities(irt.fit_2pl(source, 2, 1e-10))
    there = irt.fit_2pl(array_api_strict.asarray(source), 2, 1e-10)
    assert probabilities(irt.TwoPL(*map(np.asarray, there))) == pytest.approx(ours, abs=1e-6)


@pytest.mark.data
@pytest.mark.parametrize("name", ["openbookqa", "math"])
def test_the_fast_fit_has_the_gap_of_the_converged_one(load, name, monkeypatch):
    """Single precision and the usual tolerance against double precision and 1e-11, paired over splits and core sets.

    An equivalence test: less than a quarter of a point apart, and not significantly more than a tenth.  (Modes differ,
    and k-means makes other core sets of them: of 12 splits alone the difference may look significant.)
    """
    scores, differences = load(name), []
    for t in range(30):
        sources, target = bp.split_models(scores, "interpolation", np.random.default_rng([7, t]))
        fits = irt.fit_2pl(np.float32(sources.values)), irt.fit_2pl(sources.values, tolerance=1e-11, limit=5000)
        fast, converged = (irt._objective(packed(fit), sources.values)[0] for fit in fits)
        assert fast < 1.005 * converged
        fast, converged = (np.mean([gap(fit, sources, target, [t, k], monkeypatch) for k in range(8)]) for fit in fits)
        differences.append(fast - converged)
    mean, error = abs(np.mean(differences)), np.std(differences, ddof=1) / 30**0.5
    assert mean < 0.0025 and mean - 2 * error < 0.001, (mean, error)


def gap(fit, sources, target, seed, monkeypatch):
    """The estimation gap of p-IRT on one core set, with a fit of one's own."""
    monkeypatch.setattr(irt, "_fitted", lambda source: irt.TwoPL(*(part.astype(float) for part in fit)))
    monkeypatch.setattr(irt, "_mixture", lambda source, n: 0.5)
    core, *learned = (np.asarray(part)[None] for part in irt.irt_anchors(sources.values, 50, np.random.default_rng(seed)))
    return abs(irt.p_irt(sources.values, core, observe(target.values, core), *learned).value - target.accuracy).mean()


# --- logistic regressions ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ridge", [0.01, 1.0])
def test_the_logistic_regressions_are_scikit_learns(ridge, rng):
    x, observed = rng.normal(size=(2, 40, 3)), rng.integers(0, 2, (2, 5, 40)).astype(float)
    beta = irt.logistic_map(x, np.zeros((2, 40)), observed, ridge)
    for t, p in np.ndindex(2, 5):
        model = LogisticRegression(C=1 / ridge, fit_intercept=False, tol=1e-10, max_iter=10**4)
        assert beta[t, p] == pytest.approx(model.fit(x[t], observed[t, p]).coef_[0], abs=1e-5)


def test_separated_scores_give_finite_abilities_at_a_minimum(rng):
    x, offset = 5 * rng.normal(size=(1, 8, 3)), 5 * rng.normal(size=(1, 8))
    observed = np.stack([np.ones(8), np.zeros(8), rng.random(8)])[None]
    beta = irt.logistic_map(x, offset, observed, 0.01)
    slope = (sigmoid(beta @ x[0].T + offset[0]) - observed) @ x + 0.01 * beta
    assert np.isfinite(beta).all() and slope == pytest.approx(0, abs=1e-7)


# --- the designs ------------------------------------------------------------------------------------------------------


def awkward(rng):
    binary = rng.integers(0, 2, (20, 60)).astype(float)
    return {
        "half of the items are constant": np.where(np.arange(60) < 30, 1.0, binary),
        "all items are constant": np.tile(np.arange(60) % 2.0, (20, 1)),
        "all models are as good": np.stack([rng.permutation(np.arange(60) % 2.0) for _ in range(20)]),
        "models come four times": np.repeat(binary[:5], 4, axis=0),
        "three models": binary[:3],
        "scores between 0 and 1": rng.random((20, 60)),
    }


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("n", [1, 13, 60])
def test_a_core_set_has_exactly_n_distinct_items_and_finite_estimates(design, n, rng):
    """Exactly n: a design that takes all N items predicts perfectly, and nothing else would notice."""
    for name, values in awkward(rng).items():
        first, again = (design(values, n, np.random.default_rng(3)) for _ in range(2))
        assert first[0].shape == (n,) and len(set(first[0])) == n and set(first[0]) <= set(range(60)), name
        assert all(np.array_equal(a, b) for a, b in zip(first, again)), name
        core, *learned = (np.asarray(part)[None] for part in first)
        for method in bp.METHODS.values():
            if method.design is design:
                assert np.isfinite(method.estimator(values, core, observe(values[:2], core), *learned).value).all(), name
    with pytest.raises(ValueError, match="a core set of 61 items can't be drawn from 60"):
        design(values, 61, rng)


@pytest.mark.parametrize("name", ["p_irt", "gp_irt", "metabench", "sort_and_search"])
def test_few_items_do_not_predict_perfectly(name, matrix):
    """Negative control for a design that observes more than its budget, or an estimator that sees the target."""
    scores = bp.Scores(matrix)
    records = bp.run_experiment(scores, [name], "interpolation", 10, 5, progress=False)
    assert abs(records.estimate - records.truth).mean() > 0.01


# --- p-IRT and gp-IRT -------------------------------------------------------------------------------------------------


def test_the_anchors_are_nearest_to_the_centres(source):
    core, shares, items, _ = irt.irt_anchors(source, 8, np.random.default_rng(4))
    seed = int(np.random.default_rng(4).integers(2**31))
    kmeans = KMeans(8, n_init=1, random_state=seed).fit(items)
    distance = np.linalg.norm(kmeans.cluster_centers_[:, None] - items, axis=2)
    taken = []
    for row in distance:
        taken.append(next(i for i in np.argsort(row, kind="stable") if i not in taken))
    assert list(core) == taken
    assert shares == pytest.approx([np.mean(kmeans.labels_ == c) for c in range(8)]) and shares.sum() == pytest.approx(1)


def test_p_irt_is_its_definition(source, matrix):
    core, shares, items, mixture = irt.irt_anchors(source, 13, np.random.default_rng(0))
    targets = matrix[20:]
    args = core[None], observe(targets, core[None]), shares[None], items[None], np.array([mixture])
    value, mixed = irt.p_irt(source, *args).value[0], irt.gp_irt(source, *args).value[0]
    a, b, rest = items[:, :-1], items[:, -1], np.setdiff1d(np.arange(60), core)
    for row, got, got_mixed in zip(targets, value, mixed):
        loss = lambda t: (np.logaddexp(0, l := a[core] @ t + b[core]) - row[core] * l).sum() + 0.005 * t @ t
        theta = optimize.minimize(loss, np.zeros(10), tol=1e-10).x
        expected = 13 / 60 * row[core].mean() + 47 / 60 * sigmoid(a[rest] @ theta + b[rest]).mean()
        assert got == pytest.approx(expected, abs=1e-4)
        assert got_mixed == pytest.approx(mixture * shares @ row[core] + (1 - mixture) * expected, abs=1e-4)


def test_the_mixture_is_the_papers(source):
    b, variance = irt._bias_and_variance(source)
    assert variance == pytest.approx(np.mean([row.var() for row in source]))
    valid, train = source[::5], np.delete(source, slice(None, None, 5), axis=0)
    items = irt.fit_2pl(np.float32(train)).items.astype(float)
    errors = []
    for row in valid:
        theta = irt.logistic_map(items[None, ::2, :-1], items[None, ::2, -1], row[None, None, ::2], 0.01)[0, 0]
        errors.append(abs(sigmoid(items[1::2, :-1] @ theta + items[1::2, -1]).mean() - row[1::2].mean()))
    assert b == pytest.approx(np.mean(errors), abs=1e-4)
    assert irt._mixture(source, 10) == pytest.approx(b**2 / (variance / 40 + b**2))
    with pytest.raises(ValueError, match="one source model isn't enough"):
        irt.irt_anchors(source[:1], 5, np.random.default_rng(0))


def test_p_irt_with_all_items_is_the_accuracy(source, matrix):
    core, *learned = (np.asarray(part)[None] for part in irt.irt_anchors(source, 60, np.random.default_rng(0)))
    value = irt.p_irt(source, core, observe(matrix[20:], core), *learned).value
    assert value[0] == pytest.approx(matrix[20:].mean(axis=1))


# --- metabench --------------------------------------------------------------------------------------------------------


def test_metabench_takes_the_most_informative_item_at_each_quantile(source):
    core, items, _ = irt.metabench_items(source, 9, None)
    theta, every = irt._fit_by_alternation(source)
    taken = []
    for quantile in (np.arange(9) + 0.5) / 9:
        p = sigmoid(every[:, 0] * np.quantile(theta, quantile) + every[:, 1])
        information = every[:, 0] ** 2 * p * (1 - p)
        taken.append(max((i for i in range(60) if i not in taken), key=lambda i: information[i]))
    assert list(core) == taken and items == pytest.approx(every[core])


def test_the_alternation_is_near_the_joint_mode():
    scores, _ = simulated(150, 120, 1, 2)
    theta, items = irt._fit_by_alternation(scores)
    joint = probabilities(irt.fit_2pl(scores, 1, 1e-10))
    assert np.sqrt(np.square(sigmoid(np.outer(theta, items[:, 0]) + items[:, 1]) - joint).mean()) < 0.03


def test_the_splines_are_scipys(rng):
    for variable, (low, high, segments) in enumerate(irt._KNOTS):
        values = rng.uniform(low, high, 50)
        width = (high - low) / segments
        knots = low + width * np.arange(-3, segments + 4)
        expected = BSpline.design_matrix(values, knots, 3).toarray()
        other = np.zeros(50)
        terms = irt._spline_terms(*((values, other) if variable == 0 else (other, values)))
        first = irt._KNOTS[0][2] + 3
        assert (terms[:, :first] if variable == 0 else terms[:, first:]) == pytest.approx(expected, abs=1e-9)


def test_the_additive_model_minimises_its_criterion(rng):
    ability, mean = rng.normal(size=40), rng.random(40)
    y = 0.5 + 0.1 * np.sin(2 * ability) + 0.2 * mean + 0.02 * rng.normal(size=40)
    terms, penalties = irt._spline_terms(ability, mean), np.array([0.01, 1.0])
    scores = {}
    for first in penalties:
        for second in penalties:
            rows = [np.sqrt(first) * np.diff(np.eye(28)[:15], 2, axis=0), np.sqrt(second) * np.diff(np.eye(28)[15:], 2, axis=0)]
            stacked = np.vstack([terms, *rows, 1e-4 * np.eye(28)])
            hat = terms @ np.linalg.pinv(stacked)[:, :40]
            scores[first, second] = np.square(y - hat @ y).sum() / (40 - np.trace(hat)) ** 2, hat @ y
    assert terms @ irt._fit_additive(terms, y, penalties) == pytest.approx(min(scores.values(), key=lambda s: s[0])[1], abs=1e-5)


def test_the_additive_model_is_linear_where_there_are_no_sources(rng):
    ability, mean = rng.uniform(-1, 1, 40), rng.uniform(0.3, 0.6, 40)
    line = lambda ability, mean: 0.2 + 0.05 * ability + 0.6 * mean
    coefficients = irt._fit_additive(irt._spline_terms(ability, mean), line(ability, mean))
    far = np.array([3.0, -4.0]), np.array([0.95, 0.1])
    assert irt._spline_terms(*far) @ coefficients == pytest.approx(line(*far), abs=0.01)


# --- Sort & Search ----------------------------------------------------------------------------------------------------


def test_the_core_set_is_even_in_the_order_of_difficulty(source):
    core, places = irt.sorted_by_difficulty(source, 12, np.random.default_rng(1))
    assert (np.diff(places) == 5).all() and 0 <= places[0] < 5
    assert (np.diff(source.mean(axis=0)[core]) <= 0).all()
    starts = {irt.sorted_by_difficulty(source, 12, np.random.default_rng(s))[1][0] for s in range(60)}
    assert starts == set(range(5))  # trials differ
    _, uneven = irt.sorted_by_difficulty(source, 13, np.random.default_rng(1))
    assert set(np.diff(uneven)) <= {4, 5} and uneven[-1] < 60


def test_the_threshold_is_the_best_of_all(source, matrix, rng):
    designs = [irt.sorted_by_difficulty(source, 13, rng) for _ in range(3)]
    core, places = map(np.stack, zip(*designs))
    got = irt.sort_and_search(source, core, observe(matrix[20:], core), places).value
    for t, (c, place) in enumerate(zip(core, places)):
        edges = [0, *(place + 1)], [*place, 60]
        for p, s in enumerate(matrix[20:][:, c]):
            agreement = [s[:k].sum() + (1 - s[k:]).sum() for k in range(14)]
            best = np.flatnonzero(np.array(agreement) == max(agreement))
            assert got[t, p] == pytest.approx(np.mean([(edges[0][k] + edges[1][k]) / 2 for k in best]) / 60)


def test_a_model_that_fails_from_some_difficulty_on_is_found_within_half_a_step(source, rng):
    order = np.argsort(-source.mean(axis=0), kind="stable")
    targets = np.zeros((61, 60))
    for k in range(61):
        targets[k, order[:k]] = 1
    core, places = (part[None] for part in irt.sorted_by_difficulty(source, 12, rng))
    value = irt.sort_and_search(source, core, observe(targets, core), places).value[0]
    assert abs(value - np.arange(61) / 60).max() <= 2.5 / 60 + 1e-12
    shuffled = rng.permuted(targets, axis=1)  # negative control: no order, no threshold
    value = irt.sort_and_search(source, core, observe(shuffled, core), places).value[0]
    assert abs(value - np.arange(61) / 60).max() > 0.2
