"""Item response theory: the 2PL against the long way, known parameters and other packages; the methods on it."""

import array_api_strict
import numpy as np
import pytest
import statsmodels.api as sm
from conftest import awkward
from scipy import optimize, stats
from scipy.interpolate import BSpline
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression
from statsmodels.gam.api import BSplines

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
    p = sigmoid(
        rng.normal(size=(n_models, dims)) @ rng.normal(0, 1.2, (dims, n_items))
        + rng.normal(size=n_items)
    )
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
    value, gradient = irt._objective(x, scores)
    assert value == pytest.approx(minus_log_posterior(x[:6, :-1], x[6:], scores))
    slope = optimize.approx_fprime(
        x.ravel(), lambda v: irt._objective(v.reshape(15, 4), scores)[0], 1e-6
    )
    slope = slope.reshape(15, 4)
    slope[:6, -1] = 0  # the 1 beside an ability is no parameter
    assert gradient == pytest.approx(slope, abs=1e-4)


@pytest.mark.data
def test_no_other_start_gets_to_better_parameters(load):
    """10 dimensions, real data: scipy from random starts, with the objective and its gradient written once more."""
    scores = bp.split_models(load("openbookqa"), "interpolation", np.random.default_rng(1))[
        0
    ].values
    ours, size, sign = (
        irt.fit_2pl(scores, tolerance=1e-11, limit=10**4),
        len(scores) * 10,
        1 - 2 * scores,
    )

    def unpack(v):
        return v[:size].reshape(-1, 10), v[size:].reshape(-1, 11)

    def objective(v):
        abilities, items = unpack(v)
        a, b = items[:, :-1], items[:, -1]
        wrong = sign * (abilities @ a.T + b)  # the logits of what was not observed
        slope = sign / (1 + np.exp(-wrong))
        of_items = np.c_[slope.T @ abilities + a, slope.sum(axis=0) + b - b.mean()]
        value = (
            np.logaddexp(0, wrong).sum()
            + (v[:size] @ v[:size] + (a * a).sum() + np.square(b - b.mean()).sum()) / 2
        )
        return value, np.concatenate([(slope @ a + abilities).ravel(), of_items.ravel()])

    starts = [
        np.random.default_rng(s).normal(0, 0.3, size + 11 * scores.shape[1]) for s in range(4)
    ]
    options = {"maxiter": 5000, "maxfun": 10**4, "ftol": 1e-11}
    ends = [
        optimize.minimize(objective, v, jac=True, method="L-BFGS-B", options=options)
        for v in starts
    ]
    best = min(ends, key=lambda end: end.fun)
    value = objective(np.concatenate([ours.abilities.ravel(), ours.items.ravel()]))[0]
    other = probabilities(irt.TwoPL(*unpack(best.x)))
    assert value < 1.0005 * best.fun
    assert np.sqrt(np.square(other - probabilities(ours)).mean()) < 0.01


@pytest.mark.data
def test_at_the_mode_each_side_is_statsmodels_regression_on_the_other(load):
    """10 dimensions, real data: an item is the ridge logistic regression of its column on the abilities, and a model
    that of its row on the items.  This holds at a mode and nowhere else, and is an independent implementation."""
    scores = bp.split_models(load("openbookqa"), "interpolation", np.random.default_rng(1))[
        0
    ].values

    def regression(y, x, offset):
        model = sm.GLM(y, x, sm.families.Binomial(), offset=offset)
        return model.fit_regularized(alpha=1 / len(y), L1_wt=0, maxiter=1000).params

    def off(fit):
        """How far the fit's parameters are from the regressions' (root mean square)."""
        x, prior = (
            np.c_[fit.abilities, np.ones(len(scores))],
            np.r_[np.zeros(10), fit.items[:, -1].mean()],
        )
        items = [
            regression(scores[:, z], x, x @ prior) + prior - fit.items[z] for z in range(0, 500, 25)
        ]
        a, b = fit.items[:, :-1], fit.items[:, -1]
        models = [regression(scores[f], a, b) - fit.abilities[f] for f in range(0, len(scores), 6)]
        return np.sqrt(np.square(np.concatenate([*items, *models])).mean())

    converged, fast = irt.fit_2pl(scores, tolerance=1e-13, limit=10**4), irt._fit_fast(scores)
    start = irt._start(scores, 10)
    assert off(converged) < 0.0005 and off(fast) < 0.005
    assert off(irt.TwoPL(start[: len(scores), :-1], start[len(scores) :])) > 0.2  # negative control


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


def test_the_fit_recovers_known_parameters(rng):
    """Abilities, slopes and intercepts, up to a linear map: the share of their variance that the fit explains."""
    theta, a, b = rng.normal(size=(300, 2)), rng.normal(0, 1.2, (400, 2)), rng.normal(size=(400, 1))
    scores = (rng.random((300, 400)) < sigmoid(theta @ a.T + b[:, 0])).astype(float)

    def explained(scores):
        fit = irt.fit_2pl(scores, 2)
        parts = (
            (theta, fit.abilities),
            (a, fit.items[:, :-1]),
            (b, np.c_[np.ones(400), fit.items[:, -1]]),
        )
        return [
            1 - np.square(y - x @ np.linalg.lstsq(x, y)[0]).sum() / np.square(y).sum()
            for y, x in parts
        ]

    assert min(explained(scores)) > 0.95
    assert (
        max(explained(rng.permuted(scores, axis=1))) < 0.1
    )  # negative control: the rows keep their means only


def test_the_parameters_are_unique_up_to_a_rotation():
    scores, _ = simulated(120, 150, 2, 5)
    first, again = (
        irt.fit_2pl(scores[rows], 2, 1e-11, 3000) for rows in (slice(None), slice(None, None, -1))
    )
    u, _, vt = np.linalg.svd(again.items[:, :-1].T @ first.items[:, :-1])
    assert again.items[:, :-1] @ (u @ vt) == pytest.approx(first.items[:, :-1], abs=1e-3)
    assert again.items[:, -1] == pytest.approx(first.items[:, -1], abs=1e-3)


def test_an_independent_package_fits_the_same_curves():
    """girth's marginal maximum likelihood in one dimension; with 400 models and 80 items the two must nearly agree."""
    girth = pytest.importorskip("girth")
    rng = np.random.default_rng(1)
    theta, a, b = (
        rng.normal(size=(400, 1)),
        np.abs(rng.normal(1.2, 0.5, (80, 1))),
        rng.normal(size=80),
    )
    scores = (rng.random((400, 80)) < sigmoid(theta @ a.T + b)).astype(float)
    theirs, ours = girth.twopl_mml(scores.T.astype(int)), irt.fit_2pl(scores, 1)
    logits = theirs["Discrimination"] * (
        np.ravel(theirs["Ability"])[:, None] - theirs["Difficulty"]
    )
    assert np.sqrt(np.square(sigmoid(logits) - probabilities(ours)).mean()) < 0.01


def test_the_fit_is_the_same_on_another_array_library(source):
    ours = probabilities(irt.fit_2pl(source, 2, 1e-10))
    there = irt.fit_2pl(array_api_strict.asarray(source), 2, 1e-10)
    assert probabilities(irt.TwoPL(*map(np.asarray, there))) == pytest.approx(ours, abs=1e-6)


@pytest.mark.data
@pytest.mark.parametrize("name", ["openbookqa", "math"])
def test_the_fast_fit_has_the_gap_of_the_converged_one(load, name):
    """Single precision and the usual tolerance against double precision and 1e-11: two one-sided tests of equivalence.

    The margin is the Monte Carlo error of the protocol: the standard error of a mean gap over 100 trials.  Paired over
    30 splits of 32 core sets each, as k-means makes other core sets of ever so slightly other parameters: with a third
    of them the interval is too wide to tell.
    """
    scores, gaps = load(name), []
    for t in range(30):
        sources, target = bp.split_models(
            scores, "interpolation", np.random.default_rng([20261124, t])
        )
        fits = (
            irt._fit_fast(sources.values),
            irt.fit_2pl(sources.values, tolerance=1e-11, limit=10**4),
        )
        gaps.append([[gap(fit, sources, target, [t, k]) for k in range(32)] for fit in fits])
    gaps = np.array(gaps)  # splits x (fast, converged) x core sets
    margin = gaps[:, 1].std() / 100**0.5
    differences = (gaps[:, 0] - gaps[:, 1]).mean(axis=1)
    error = differences.std(ddof=1) / 30**0.5
    assert abs(differences.mean()) + stats.t.ppf(0.95, 29) * error < margin, (
        differences.mean(),
        error,
        margin,
    )


def gap(fit, sources, target, seed):
    """The estimation gap of p-IRT on one core set, with a fit of one's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(irt, "_fitted", lambda source: fit)
        patch.setattr(irt, "_mixture", lambda source, n: 0.5)
        draw = irt.irt_anchors(sources.values, 50, np.random.default_rng(seed))
    core, *learned = (np.asarray(part)[None] for part in draw)
    return abs(
        irt.p_irt(sources.values, core, observe(target.values, core), *learned).value
        - target.accuracy
    ).mean()


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


@pytest.mark.data
def test_the_ridge_is_the_best_on_held_out_sources(load, monkeypatch):
    """Chosen without any target: every fifth source is held out of the sources of a split, and stands for one."""
    monkeypatch.setattr(irt, "_mixture", lambda source, n: 0.5)
    chosen = irt.RIDGE
    gaps = dict.fromkeys((1e-6, chosen, 1.0), 0.0)
    for name, t in (("openbookqa", 0), ("gsm8k", 1), ("math", 2), ("mmlu", 3)):
        sources = bp.split_models(
            load(name), "interpolation", np.random.default_rng([20261126, t])
        )[0].values
        for fold in range(5):
            held_out = np.arange(len(sources)) % 5 == fold
            draw = irt.irt_anchors(sources[~held_out], 50, np.random.default_rng([t, fold]))
            core, *learned = (np.asarray(part)[None] for part in draw)
            for ridge in gaps:
                monkeypatch.setattr(irt, "RIDGE", ridge)
                estimate = irt.p_irt(
                    sources, core, observe(sources[held_out], core), *learned
                ).value
                gaps[ridge] += abs(estimate - sources[held_out].mean(axis=1)).mean()
    assert min(gaps, key=gaps.get) == chosen, gaps


# --- the designs ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("n", [1, 13, 60])
def test_a_core_set_has_exactly_n_distinct_items_and_finite_estimates(design, n, rng):
    """Exactly n: a design that takes all N items predicts perfectly, and nothing else would notice."""
    for name, values in awkward(rng).items():
        first, again = (design(values, n, np.random.default_rng(3)) for _ in range(2))
        assert (
            first[0].shape == (n,) and len(set(first[0])) == n and set(first[0]) <= set(range(60))
        ), name
        assert all(np.array_equal(a, b) for a, b in zip(first, again)), name
        core, *learned = (np.asarray(part)[None] for part in first)
        for method in bp.METHODS.values():
            if method.design is design:
                estimate = method.estimator(values, core, observe(values[:2], core), *learned)
                assert np.isfinite(estimate.value).all(), name
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
    assert shares == pytest.approx([np.mean(kmeans.labels_ == c) for c in range(8)])
    assert shares.sum() == pytest.approx(1)


def test_p_irt_is_its_definition(source, matrix):
    core, shares, items, mixture = irt.irt_anchors(source, 13, np.random.default_rng(0))
    targets = matrix[20:]
    args = core[None], observe(targets, core[None]), shares[None], items[None], np.array([mixture])
    value, mixed = irt.p_irt(source, *args).value[0], irt.gp_irt(source, *args).value[0]
    a, b, rest = items[:, :-1], items[:, -1], np.setdiff1d(np.arange(60), core)
    for row, got, got_mixed in zip(targets, value, mixed):
        loss = lambda t: (
            (np.logaddexp(0, l := a[core] @ t + b[core]) - row[core] * l).sum()
            + irt.RIDGE / 2 * t @ t
        )
        theta = optimize.minimize(loss, np.zeros(10), tol=1e-10).x
        expected = 13 / 60 * row[core].mean() + 47 / 60 * sigmoid(a[rest] @ theta + b[rest]).mean()
        assert got == pytest.approx(expected, abs=1e-4)
        assert got_mixed == pytest.approx(
            mixture * shares @ row[core] + (1 - mixture) * expected, abs=1e-4
        )


def test_the_mixture_is_the_papers(source):
    valid, train = source[::5], np.delete(source, slice(None, None, 5), axis=0)
    items = irt.fit_2pl(np.float32(train)).items.astype(float)
    errors = []
    for row in valid:
        theta = irt.logistic_map(
            items[None, ::2, :-1], items[None, ::2, -1], row[None, None, ::2], irt.RIDGE
        )[0, 0]
        errors.append(
            abs(sigmoid(items[1::2, :-1] @ theta + items[1::2, -1]).mean() - row[1::2].mean())
        )
    b, variance = np.mean(errors), np.mean([row.var() for row in source])
    for n in (10, 40):
        assert irt._mixture(source, n) == pytest.approx(
            b**2 / (variance / (4 * n) + b**2), abs=1e-4
        )
    with pytest.raises(ValueError, match="one source model isn't enough"):
        irt.irt_anchors(source[:1], 5, np.random.default_rng(0))


def test_p_irt_with_all_items_is_the_accuracy(source, matrix):
    core, *learned = (
        np.asarray(part)[None] for part in irt.irt_anchors(source, 60, np.random.default_rng(0))
    )
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
    assert (
        np.sqrt(np.square(sigmoid(np.outer(theta, items[:, 0]) + items[:, 1]) - joint).mean())
        < 0.03
    )


def test_the_splines_are_scipys(rng):
    for variable, (low, high, segments) in enumerate(irt._KNOTS):
        values = rng.uniform(low, high, 50)
        width = (high - low) / segments
        knots = low + width * np.arange(-3, segments + 4)
        expected = BSpline.design_matrix(values, knots, 3).toarray()
        other = np.zeros(50)
        terms = irt._spline_terms(*((values, other) if variable == 0 else (other, values)))
        first = irt._KNOTS[0][2] + 3
        assert (terms[:, :first] if variable == 0 else terms[:, first:]) == pytest.approx(
            expected, abs=1e-9
        )


def test_the_additive_model_minimises_its_criterion(rng):
    ability, mean = rng.normal(size=40), rng.random(40)
    y = 0.5 + 0.1 * np.sin(2 * ability) + 0.2 * mean + 0.02 * rng.normal(size=40)
    terms, penalties = irt._spline_terms(ability, mean), np.array([0.01, 1.0])
    scores = {}
    for first in penalties:
        for second in penalties:
            parts = (first, slice(15)), (second, slice(15, 28))
            rows = [
                np.sqrt(penalty) * np.diff(np.eye(28)[part], 2, axis=0) for penalty, part in parts
            ]
            stacked = np.vstack([terms, *rows, 1e-4 * np.eye(28)])
            hat = terms @ np.linalg.pinv(stacked)[:, :40]
            scores[first, second] = (
                np.square(y - hat @ y).sum() / (40 - np.trace(hat)) ** 2,
                hat @ y,
            )
    expected = min(scores.values(), key=lambda pair: pair[0])[1]
    assert terms @ irt._fit_additive(terms, y, penalties) == pytest.approx(expected, abs=1e-5)


def test_the_additive_model_is_linear_where_there_are_no_sources(rng):
    ability, mean = rng.uniform(-1, 1, 40), rng.uniform(0.3, 0.6, 40)
    line = lambda ability, mean: 0.2 + 0.05 * ability + 0.6 * mean
    coefficients = irt._fit_additive(irt._spline_terms(ability, mean), line(ability, mean))
    far = np.array([3.0, -4.0]), np.array([0.95, 0.1])
    assert irt._spline_terms(*far) @ coefficients == pytest.approx(line(*far), abs=0.01)


def test_the_additive_model_is_near_statsmodels(rng):
    """GLMGam with cubic B-splines and generalised cross-validation too, but another roughness and other knots."""
    ability, mean = rng.normal(size=80), rng.random(80)
    truth = 0.5 + 0.15 * np.tanh(ability) + 0.2 * mean
    y, x, ones = (
        truth + 0.01 * rng.normal(size=80),
        np.stack([ability, mean], axis=1),
        np.ones((80, 1)),
    )
    smoother = BSplines(x, df=[10, 10], degree=[3, 3])
    model = sm.GLMGam(y, ones, smoother=smoother, alpha=[1.0, 1.0])
    model.fit()
    model.alpha = model.select_penweight(criterion="gcv", method="minimize")[0]
    theirs, terms = model.fit().fittedvalues, irt._spline_terms(ability, mean)
    ours = terms @ irt._fit_additive(terms, y)
    assert np.sqrt(np.square(ours - theirs).mean()) < 0.005
    assert (
        np.sqrt(np.square(terms @ irt._fit_additive(terms, y, np.array([1e6])) - theirs).mean())
        > 0.02
    )  # a plane


def test_a_source_is_read_as_a_target_is(source):
    """The additive model must know abilities as the estimator will: so it is right on average over the sources."""
    core, *learned = (np.asarray(part)[None] for part in irt.metabench_items(source, 9, None))
    value = irt.metabench(source, core, observe(source, core), *learned).value[0]
    assert value.mean() == pytest.approx(source.mean(), abs=1e-6)
    assert np.corrcoef(value, source.mean(axis=1))[0, 1] > 0.9


@pytest.mark.data
def test_metabench_overestimates_because_it_chooses_and_learns_on_the_same_sources(load):
    """Its error on new models is no fault of the additive model: on other sources than the items its bias is small."""
    same, other = [], []
    for t in range(8):
        sources = bp.split_models(
            load("gsm8k"), "interpolation", np.random.default_rng([20261131, t])
        )[0].values
        for_items, for_model, new = sources[::3], sources[1::3], sources[2::3]
        core, items, coefficients = irt.metabench_items(for_items, 50, None)
        ability = lambda rows: irt._abilities(items[None], rows[None, :, core], 1.0)[0, :, 0]
        terms = lambda rows: irt._spline_terms(ability(rows), rows[:, core].mean(axis=1))
        refitted = irt._fit_additive(terms(for_model), for_model.mean(axis=1))
        for c, bias in ((coefficients, same), (refitted, other)):
            bias.append((terms(new) @ c - new.mean(axis=1)).mean())
    assert np.mean(same) > 0.03 and abs(np.mean(other)) < 0.5 * np.mean(same), (same, other)


# --- Sort & Search ----------------------------------------------------------------------------------------------------


def test_the_core_set_is_even_in_the_order_of_difficulty(source):
    core, places = irt.sorted_by_difficulty(source, 12, np.random.default_rng(1))
    assert (np.diff(places) == 5).all() and 0 <= places[0] < 5
    assert (np.diff(source.mean(axis=0)[core]) <= 0).all()
    starts = {
        irt.sorted_by_difficulty(source, 12, np.random.default_rng(s))[1][0] for s in range(60)
    }
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
            assert got[t, p] == pytest.approx(
                np.mean([(edges[0][k] + edges[1][k]) / 2 for k in best]) / 60
            )


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
