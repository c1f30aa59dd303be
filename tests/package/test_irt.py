"""Item response theory: the 2PL against the long way, known parameters and other packages."""

from pathlib import Path

import numpy as np
import pytest
import statsmodels.api as sm
from cases import awkward
from scipy import optimize
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression
from statsmodels.gam.api import BSplines

import benchpred_utils as bp
from benchpred_utils import irt
from benchpred_utils.designs import Draw
from benchpred_utils.estimators import observe

METHODS = {  # by name: learn, draw, estimate
    "p_irt": (irt.learn_irt, irt.irt_anchors, irt.p_irt),
    "gp_irt": (irt.learn_irt, irt.irt_anchors, irt.gp_irt),
    "metabench": (irt.learn_metabench, irt.metabench_items, irt.metabench),
    "sort_and_search": (irt.learn_difficulty, irt.sorted_by_difficulty, irt.sort_and_search),
}


@pytest.fixture(scope="module")
def fixed():
    return np.load(Path(__file__).with_name("fixed_learned.npz"))


@pytest.fixture
def source(matrix):
    return matrix[:20]


def sigmoid(logits):
    return 1 / (1 + np.exp(-logits))


def stacked(draws):
    """Draws as one of T together."""
    reading = tuple(np.stack(parts) for parts in zip(*(draw.reading for draw in draws)))
    return Draw(np.stack([draw.items for draw in draws]), reading)


def estimated(name, source, target, n, rng):
    """The values (P,) of one draw."""
    learn, draw, estimate = METHODS[name]
    learned = learn(source, n)
    draws = stacked([draw(learned, n, rng)])
    return estimate(learned, draws, observe(target, draws.items)).value[0]


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


# --- the fit --------------------------------------------------------------------------------------


def test_the_objective_and_its_gradient_are_the_long_way(rng):
    scores = rng.random((6, 9))
    x = rng.normal(size=(15, 4))
    x[:6, -1] = 1
    value, gradient = irt._objective(x.ravel(), scores)
    assert value == pytest.approx(minus_log_posterior(x[:6, :-1], x[6:], scores))
    slope = optimize.approx_fprime(x.ravel(), lambda v: irt._objective(v, scores)[0], 1e-6)
    slope = slope.reshape(15, 4)
    slope[:6, -1] = 0  # the 1 beside an ability is no parameter
    assert gradient.reshape(15, 4) == pytest.approx(slope, abs=1e-4)


def test_a_missing_score_is_no_factor_of_the_likelihood(rng):
    """The objective and its gradient lack its terms, whatever it would have been."""
    scores = rng.random((6, 9))
    there = rng.random((6, 9)) < 0.7
    x = rng.normal(size=(15, 4))
    x[:6, -1] = 1
    value, gradient = irt._objective(x.ravel(), np.where(there, scores, np.nan))
    p = sigmoid(x[:6] @ np.c_[x[6:, :-1], x[6:, -1]].T)
    whole, slope = irt._objective(x.ravel(), scores)
    lost = -(scores * np.log(p) + (1 - scores) * np.log(1 - p))
    assert value == pytest.approx(whole - lost[~there].sum())
    less = np.where(there, 0, p - scores)
    expected = slope.reshape(15, 4) - np.concatenate([less @ x[6:], less.T @ x[:6]])
    expected[:6, -1] = 0
    assert gradient.reshape(15, 4) == pytest.approx(expected)


@pytest.mark.parametrize("dims", [1, 3])
def test_a_fit_with_gaps_is_that_of_the_scores_that_are_there(dims, rng):
    """A model that has no score of the first items and one that has no other, are one in parts."""
    scores, p = simulated(120, 80, dims, 3)
    gaps = rng.random(scores.shape) < 0.2
    with_gaps = np.where(gaps, np.nan, scores)
    error = np.abs(probabilities(irt.fit_2pl(with_gaps, dims)) - p)
    complete = np.abs(probabilities(irt.fit_2pl(scores, dims)) - p)
    assert error[gaps].mean() < 1.5 * complete[gaps].mean()
    assert error[~gaps].mean() < 1.2 * complete[~gaps].mean()
    other = irt.fit_2pl(np.where(gaps, 0.0, scores), dims)  # negative control: taken for wrong
    assert np.abs(probabilities(other) - p)[gaps].mean() > 1.5 * error[gaps].mean()


@pytest.mark.parametrize("dims", [1, 3])
def test_a_large_matrix_is_fitted_in_blocks_to_nearly_the_same(dims, monkeypatch, rng):
    """The abilities to a third of the items, then each item at its mode, gaps or none."""
    scores, p = simulated(60, 900, dims, 5)
    scores[rng.random(scores.shape) < 0.1] = np.nan
    whole = np.abs(probabilities(irt.fit_2pl(scores, dims)) - p).mean()
    monkeypatch.setattr(irt, "LARGE", 60 * 300)
    sizes = []
    regressions = irt.logistic_map
    monkeypatch.setattr(
        irt, "logistic_map", lambda x, *more: sizes.append(more[1].size) or regressions(x, *more)
    )
    fit = irt.fit_2pl(scores, dims)
    assert len(sizes) > 20 and max(sizes) <= 60 * 300 / 8 + 60
    assert np.abs(probabilities(fit) - p).mean() < 1.15 * whole
    some = irt.fit_2pl(scores[:, ::3], dims)
    assert np.array_equal(fit.abilities, some.abilities)
    mean = some.items[:, -1].mean()
    slope = np.where(np.isnan(scores), 0, probabilities(fit) - scores)
    slope = np.column_stack([slope.T @ fit.abilities, slope.sum(axis=0)])
    prior = fit.items - np.append(np.zeros(dims), mean)
    assert slope + prior == pytest.approx(0, abs=1e-5)


def test_gaps_are_filled_with_what_the_fit_expects(rng):
    scores, _ = simulated(30, 40, 1, 3)
    assert irt.filled(scores) is scores
    gaps = rng.random(scores.shape) < 0.2
    with_gaps = np.where(gaps, np.nan, scores)
    with_gaps[:, 0] = np.where(np.arange(30) < 29, 1, np.nan)
    p = probabilities(irt.fit_2pl(with_gaps, 1))
    p[29, 0] = 1  # on which all that is known agrees stays so
    found = irt.filled(with_gaps)
    assert found == pytest.approx(np.where(np.isnan(with_gaps), p, with_gaps), abs=1e-12)
    assert (found[:, 0] == 1).all()


@pytest.mark.parametrize("name", ["binary", "graded"])
def test_the_objective_and_its_start_are_those_of_before_the_redesign(name, fixed):
    """fixed_learned.npz was made at commit a745352: the start and the objective of the 2PL in two
    dimensions, on the scores of test_optimised.py, of which all but the last five rows are sources.
    """
    source = fixed[name][:-5].astype(float)
    start = fixed[f"{name}/start"]
    sign = np.sign(start[0] / irt._start(source, 2)[0])  # of singular vectors: any
    assert sign * irt._start(source, 2) == pytest.approx(start, abs=1e-10)
    value, gradient = irt._objective(start.ravel(), source)
    assert value == pytest.approx(float(fixed[f"{name}/objective"]), rel=1e-12)
    assert gradient == pytest.approx(fixed[f"{name}/gradient"].ravel(), abs=1e-10)


@pytest.mark.data
def test_no_other_start_gets_to_better_parameters(load):
    """10 dimensions, real data: random starts, with the objective and its gradient written anew."""
    source = bp.split_models(load("openbookqa"), "interpolation", np.random.default_rng(1))[0]
    scores = source.values
    fit = irt.fit_2pl(scores, tolerance=1e-11)
    size = len(scores) * 10

    def unpack(v):
        return v[:size].reshape(-1, 10), v[size:].reshape(-1, 11)

    def objective(v):
        abilities, items = unpack(v)
        a = items[:, :-1]
        b = items[:, -1]
        sign = 1 - 2 * scores
        wrong = sign * (abilities @ a.T + b)  # the logits of what was not observed
        slope = sign / (1 + np.exp(-wrong))
        of_items = np.c_[slope.T @ abilities + a, slope.sum(axis=0) + b - b.mean()]
        prior = v[:size] @ v[:size] + (a * a).sum() + np.square(b - b.mean()).sum()
        gradient = np.concatenate([(slope @ a + abilities).ravel(), of_items.ravel()])
        return np.logaddexp(0, wrong).sum() + prior / 2, gradient

    ends = []
    for seed in range(3):
        start = np.random.default_rng(seed).normal(0, 0.3, size + 11 * scores.shape[1])
        options = {"maxiter": 5000, "maxfun": 10**4, "ftol": 1e-9}
        ends.append(
            optimize.minimize(objective, start, jac=True, method="L-BFGS-B", options=options)
        )
    best = min(ends, key=lambda end: end.fun)
    value = objective(np.concatenate([fit.abilities.ravel(), fit.items.ravel()]))[0]
    other = probabilities(irt.TwoPL(*unpack(best.x)))
    assert value < 1.0005 * best.fun
    assert np.sqrt(np.square(other - probabilities(fit)).mean()) < 0.01
    loose = irt.fit_2pl(scores)  # the tolerance of the methods
    assert np.sqrt(np.square(probabilities(loose) - probabilities(fit)).mean()) < 0.01


@pytest.mark.data
def test_at_the_mode_each_side_is_statsmodels_regression_on_the_other(load):
    """10 dimensions, real data: an item is the ridge logistic regression of its column on the
    abilities, and a model that of its row on the items.  This holds at a mode and nowhere else.
    """
    source = bp.split_models(load("openbookqa"), "interpolation", np.random.default_rng(1))[0]
    scores = source.values

    def regression(y, x, offset):
        model = sm.GLM(y, x, sm.families.Binomial(), offset=offset)
        return model.fit_regularized(alpha=1 / len(y), L1_wt=0, maxiter=1000).params

    def off(fit):
        """How far the fit's parameters are from the regressions' (root mean square)."""
        x = np.c_[fit.abilities, np.ones(len(scores))]
        a = fit.items[:, :-1]
        b = fit.items[:, -1]
        prior = np.r_[np.zeros(10), b.mean()]
        differences = []
        for z in range(0, 500, 25):
            item = regression(scores[:, z], x, x @ prior) + prior
            differences.append(item - fit.items[z])
        for f in range(0, len(scores), 6):
            differences.append(regression(scores[f], a, b) - fit.abilities[f])
        return np.sqrt(np.square(np.concatenate(differences)).mean())

    start = irt._start(scores, 10)
    assert off(irt.fit_2pl(scores, tolerance=1e-13)) < 0.0005
    assert off(irt.fit_2pl(scores)) < 0.02
    assert off(irt.TwoPL(start[: len(scores), :-1], start[len(scores) :])) > 0.2  # negative control


def test_the_fit_recovers_known_probabilities_the_better_the_more_data():
    """The error is that of theory: the variance of p, times the number of parameters per score."""
    errors = []
    item_means = []
    for n_models, n_items in ((50, 100), (200, 400)):
        scores, p = simulated(n_models, n_items, 3, 7)
        errors.append(np.sqrt(np.square(probabilities(irt.fit_2pl(scores, 3)) - p).mean()))
        item_means.append(np.sqrt(np.square(scores.mean(axis=0) - p).mean()))
    theory = np.sqrt((p * (1 - p)).mean() * (3 * n_models + 4 * n_items) / p.size)
    assert errors[1] < 0.6 * errors[0]
    assert errors[1] == pytest.approx(theory, rel=0.15)
    assert item_means[1] > 3 * errors[1]  # negative control


def test_the_fit_recovers_known_parameters(rng):
    """Abilities, slopes, intercepts, up to a linear map: the share of variance explained."""
    theta = rng.normal(size=(300, 2))
    a = rng.normal(0, 1.2, (400, 2))
    b = rng.normal(size=(400, 1))
    scores = (rng.random((300, 400)) < sigmoid(theta @ a.T + b[:, 0])).astype(float)

    def explained(scores):
        fit = irt.fit_2pl(scores, 2)
        intercepts = np.c_[np.ones(400), fit.items[:, -1]]
        shares = []
        for y, x in ((theta, fit.abilities), (a, fit.items[:, :-1]), (b, intercepts)):
            rest = y - x @ np.linalg.lstsq(x, y)[0]
            shares.append(1 - np.square(rest).sum() / np.square(y).sum())
        return shares

    assert min(explained(scores)) > 0.95
    # Negative control: the rows keep their means only.
    assert max(explained(rng.permuted(scores, axis=1))) < 0.1


def test_the_parameters_are_unique_up_to_a_rotation():
    scores, _ = simulated(120, 150, 2, 5)
    first = irt.fit_2pl(scores, 2, 1e-13)
    again = irt.fit_2pl(scores[::-1], 2, 1e-13)
    u, _, vt = np.linalg.svd(again.items[:, :-1].T @ first.items[:, :-1])
    assert again.items[:, :-1] @ (u @ vt) == pytest.approx(first.items[:, :-1], abs=1e-3)
    assert again.items[:, -1] == pytest.approx(first.items[:, -1], abs=1e-3)


@pytest.mark.parametrize("dims", [1, 10])
def test_more_able_is_up(matrix, dims):
    """A 2PL is the same with all signs turned; quantiles of abilities are not."""
    fit = irt.fit_2pl(matrix, dims)
    assert (fit.items[:, :-1].mean(axis=0) > 0)[0]
    assert np.corrcoef(fit.abilities[:, 0], matrix.mean(axis=1))[0, 1] > 0.8


def test_an_independent_package_fits_the_same_curves():
    """girth's marginal maximum likelihood in one dimension, with 400 models and 80 items."""
    girth = pytest.importorskip("girth")
    rng = np.random.default_rng(1)
    theta = rng.normal(size=(400, 1))
    a = np.abs(rng.normal(1.2, 0.5, (80, 1)))
    b = rng.normal(size=80)
    scores = (rng.random((400, 80)) < sigmoid(theta @ a.T + b)).astype(float)
    theirs = girth.twopl_mml(scores.T.astype(int))
    ability = np.ravel(theirs["Ability"])[:, None]
    logits = theirs["Discrimination"] * (ability - theirs["Difficulty"])
    ours = probabilities(irt.fit_2pl(scores, 1))
    assert np.sqrt(np.square(sigmoid(logits) - ours).mean()) < 0.01


# --- logistic regressions -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["binary", "graded"])
def test_the_logistic_regressions_are_those_of_before_the_redesign(name, fixed):
    """As the objective's: abilities in 10 dimensions with a ridge of .5, for the last five rows."""
    items = fixed[f"{name}/2pl"]
    observed = fixed[name][-5:].astype(float)[None]
    beta = irt.logistic_map(items[None, :, :-1], items[None, :, -1], observed, 0.5)
    assert beta == pytest.approx(fixed[f"{name}/logistic_map"], abs=1e-10)


@pytest.mark.parametrize("ridge", [0.01, 1.0])
def test_the_logistic_regressions_are_scikit_learns(ridge, rng):
    x = rng.normal(size=(2, 40, 3))
    observed = rng.integers(0, 2, (2, 5, 40)).astype(float)
    beta = irt.logistic_map(x, np.zeros((2, 40)), observed, ridge)
    for t, p in np.ndindex(2, 5):
        model = LogisticRegression(C=1 / ridge, fit_intercept=False, tol=1e-10, max_iter=10**4)
        assert beta[t, p] == pytest.approx(model.fit(x[t], observed[t, p]).coef_[0], abs=1e-5)


def test_a_gap_says_nothing_to_a_logistic_regression(rng):
    x = rng.normal(size=(1, 40, 2))
    observed = rng.integers(0, 2, (1, 3, 40)).astype(float)
    observed[0, :, 25:] = np.nan
    beta = irt.logistic_map(x, np.zeros((1, 40)), observed, 0.5)
    less = irt.logistic_map(x[:, :25], np.zeros((1, 25)), observed[..., :25], 0.5)
    assert beta == pytest.approx(less, abs=1e-5)


@pytest.mark.parametrize("scale", [5, 50])
def test_separated_scores_give_finite_abilities_at_a_minimum(scale, rng):
    x = scale * rng.normal(size=(1, 8, 3))
    offset = scale * rng.normal(size=(1, 8))
    observed = np.stack([np.ones(8), np.zeros(8), rng.random(8)])[None]
    beta = irt.logistic_map(x, offset, observed, 0.01)
    slope = (sigmoid(beta @ x[0].T + offset[0]) - observed) @ x + 0.01 * beta
    assert np.isfinite(beta).all()
    assert slope == pytest.approx(0, abs=1e-7)


def test_one_regression_does_not_depend_on_the_others(rng):
    x = rng.normal(size=(3, 20, 2))
    offset = rng.normal(size=(3, 20))
    observed = rng.integers(0, 2, (3, 4, 20)).astype(float)
    together = irt.logistic_map(x, offset, observed, 0.1)
    alone = irt.logistic_map(x[1:2], offset[1:2], observed[1:2, 2:3], 0.1)
    assert together[1, 2] == pytest.approx(alone[0, 0], abs=1e-11)


@pytest.mark.data
def test_the_ridge_is_the_best_on_held_out_sources(load, monkeypatch):
    """Chosen without any target: every fifth source of a split is held out, and stands for one."""
    chosen = irt.RIDGE
    gaps = dict.fromkeys((1e-6, chosen, 1.0), 0.0)
    for name, t in (("openbookqa", 0), ("gsm8k", 1), ("math", 2), ("mmlu", 3)):
        rng = np.random.default_rng([20261126, t])
        sources = bp.split_models(load(name), "interpolation", rng)[0].values
        for fold in range(5):
            is_held_out = np.arange(len(sources)) % 5 == fold
            held_out = sources[is_held_out]
            learned = irt.ItemModel(irt.fit_2pl(sources[~is_held_out]).items, 0.5)
            draws = stacked([irt.irt_anchors(learned, 50, np.random.default_rng([t, fold]))])
            for ridge in gaps:
                monkeypatch.setattr(irt, "RIDGE", ridge)
                value = irt.p_irt(learned, draws, observe(held_out, draws.items)).value
                gaps[ridge] += abs(value - held_out.mean(axis=1)).mean()
    assert min(gaps, key=gaps.get) == chosen, gaps


# --- the designs ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("n", [1, 13, 60])
def test_a_core_set_has_exactly_n_distinct_items_and_finite_estimates(name, n, rng):
    """Exactly n: a design that takes all N predicts perfectly, and nothing else would notice."""
    learn, draw, _ = METHODS[name]
    for case, source in awkward(rng).items():
        learned = learn(source, n)
        first = draw(learned, n, np.random.default_rng(3))
        again = draw(learn(source, n), n, np.random.default_rng(3))
        assert first.items.shape == (n,), case
        assert len(set(first.items)) == n and set(first.items) <= set(range(60)), case
        assert np.array_equal(first.items, again.items), case
        value = estimated(name, source, source[:2], n, np.random.default_rng(3))
        assert np.isfinite(value).all(), case
    with pytest.raises(ValueError, match="a core set of 61 items can't be drawn from 60"):
        draw(learn(source, 61), 61, rng)


@pytest.mark.parametrize("name", METHODS)
def test_few_items_do_not_predict_perfectly(name, matrix, rng):
    """Negative control for a design that observes more than its budget, or sees the target."""
    value = estimated(name, matrix[:22], matrix[22:], 10, rng)
    assert abs(value - matrix[22:].mean(axis=1)).mean() > 0.01


@pytest.mark.parametrize("name", METHODS)
def test_no_target_depends_on_the_others_nor_a_trial_on_other_trials(name, matrix, rng):
    learn, draw, estimate = METHODS[name]
    learned = learn(matrix[:20], 13)
    each = [draw(learned, 13, rng) for _ in range(3)]
    draws = stacked(each)
    together = estimate(learned, draws, observe(matrix[20:], draws.items)).value
    one = stacked(each[1:2])
    alone = estimate(learned, one, observe(matrix[22:23], one.items)).value
    assert together[1, 2] == pytest.approx(alone[0, 0], abs=1e-12)


# --- p-IRT and gp-IRT -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["binary", "graded"])
def test_irt_estimates_are_those_of_before_the_redesign(name, fixed):
    """As the objective's: the draw of default_rng(3), n = 13, and the estimates of the last five
    rows, given the items and the mixture that were fitted by then.
    """
    mixture = float(fixed[f"{name}/irt_anchors/mixture"])
    learned = irt.ItemModel(fixed[f"{name}/2pl"], mixture)
    draw = irt.irt_anchors(learned, 13, np.random.default_rng(3))
    assert np.array_equal(draw.items, fixed[f"{name}/irt_anchors/items"])
    assert draw.reading[0] == pytest.approx(fixed[f"{name}/irt_anchors/shares"], abs=1e-10)
    draws = stacked([draw])
    observed = observe(fixed[name][-5:].astype(float), draws.items)
    for estimator in (irt.p_irt, irt.gp_irt):
        expected = fixed[f"{name}/{estimator.__name__}"]
        assert estimator(learned, draws, observed).value == pytest.approx(expected, abs=1e-10)


def test_the_anchors_are_nearest_to_the_centres(source):
    learned = irt.learn_irt(source, 8)
    core, (shares,) = irt.irt_anchors(learned, 8, np.random.default_rng(4))
    seed = int(np.random.default_rng(4).integers(2**31))
    kmeans = KMeans(8, n_init=1, random_state=seed).fit(learned.items)
    distance = np.linalg.norm(kmeans.cluster_centers_[:, None] - learned.items, axis=2)
    taken = []
    for row in distance:
        taken.append(next(i for i in np.argsort(row, kind="stable") if i not in taken))
    assert list(core) == taken
    assert shares == pytest.approx([np.mean(kmeans.labels_ == c) for c in range(8)])
    assert shares.sum() == pytest.approx(1)


def test_p_irt_is_its_definition(source, matrix):
    learned = irt.learn_irt(source, 13)
    draws = stacked([irt.irt_anchors(learned, 13, np.random.default_rng(0))])
    core = draws.items[0]
    shares = draws.reading[0][0]
    targets = matrix[20:]
    observed = observe(targets, draws.items)
    value = irt.p_irt(learned, draws, observed).value[0]
    mixed = irt.gp_irt(learned, draws, observed).value[0]
    a = learned.items[:, :-1]
    b = learned.items[:, -1]
    rest = np.setdiff1d(np.arange(60), core)

    def loss(theta, row):
        logits = a[core] @ theta + b[core]
        return (np.logaddexp(0, logits) - row[core] * logits).sum() + irt.RIDGE / 2 * theta @ theta

    for row, got, got_mixed in zip(targets, value, mixed):
        theta = optimize.minimize(loss, np.zeros(10), (row,), tol=1e-10).x
        expected = 13 / 60 * row[core].mean() + 47 / 60 * sigmoid(a[rest] @ theta + b[rest]).mean()
        assert got == pytest.approx(expected, abs=1e-4)
        expected = learned.mixture * shares @ row[core] + (1 - learned.mixture) * expected
        assert got_mixed == pytest.approx(expected, abs=1e-4)


def test_the_mixture_is_the_papers(source):
    items = irt.fit_2pl(np.delete(source, slice(None, None, 5), axis=0)).items
    even = items[None, ::2]
    errors = []
    for row in source[::5]:
        seen = row[None, None, ::2]
        theta = irt.logistic_map(even[..., :-1], even[..., -1], seen, irt.RIDGE)[0, 0]
        predicted = sigmoid(items[1::2, :-1] @ theta + items[1::2, -1])
        errors.append(abs(predicted.mean() - row[1::2].mean()))
    bias = np.mean(errors)
    variance = np.mean([row.var() for row in source])
    for n in (10, 40):
        expected = bias**2 / (variance / (4 * n) + bias**2)
        assert irt.learn_irt(source, n).mixture == pytest.approx(expected, abs=1e-8)
    with pytest.raises(ValueError, match="one source model isn't enough"):
        irt.learn_irt(source[:1], 5)


@pytest.mark.parametrize("name", ["p_irt", "gp_irt"])
def test_irt_with_all_items_is_the_accuracy(name, source, matrix, rng):
    value = estimated(name, source, matrix[20:], 60, rng)
    assert value == pytest.approx(matrix[20:].mean(axis=1))


# --- metabench ------------------------------------------------------------------------------------


def test_metabench_takes_the_most_informative_item_at_each_quantile(source):
    learned = irt.learn_metabench(source, 9)
    abilities, items = irt.fit_2pl(source, 1)
    taken = []
    for quantile in (np.arange(9) + 0.5) / 9:
        p = sigmoid(items[:, 0] * np.quantile(abilities, quantile) + items[:, 1])
        information = items[:, 0] ** 2 * p * (1 - p)
        taken.append(max((i for i in range(60) if i not in taken), key=lambda i: information[i]))
    assert list(irt.metabench_items(learned, 9, None).items) == taken
    assert learned.items == pytest.approx(items[taken])


def test_the_additive_model_is_linear_where_there_are_no_sources(source):
    accuracy = irt.learn_metabench(source, 9).accuracy
    far = np.array([[4.0, 0.5], [5.0, 0.5], [6.0, 0.5]])
    step = np.diff(accuracy.predict(far))
    assert step[0] == pytest.approx(step[1], abs=1e-9)
    near = np.diff(accuracy.predict(far / 4))
    assert abs(near[0] - near[1]) > 1e-6  # within the knots it is a curve


def test_the_additive_model_is_near_statsmodels(source):
    """GLMGam, cubic B-splines too, but another penalty and other knots."""
    learned = irt.learn_metabench(source, 9)
    terms = irt._read(learned.items, source[None][..., learned.core])[0]
    y = source.mean(axis=1)
    smoother = BSplines(terms, df=[5, 5], degree=[3, 3])
    theirs = sm.GLMGam(y, np.ones((len(y), 1)), smoother=smoother, alpha=[1.0, 1.0]).fit()
    ours = learned.accuracy.predict(terms)
    assert np.sqrt(np.square(ours - theirs.fittedvalues).mean()) < 0.3 * y.std()
    assert np.sqrt(np.square(y - ours).mean()) < 0.5 * y.std()


def test_a_source_is_read_as_a_target_is(source):
    """The additive model knows abilities as the estimator will: right on average over sources."""
    value = estimated("metabench", source, source, 9, None)
    assert value.mean() == pytest.approx(source.mean(), abs=1e-6)
    assert np.corrcoef(value, source.mean(axis=1))[0, 1] > 0.8


@pytest.mark.data
def test_metabench_overestimates_because_it_chooses_and_learns_on_the_same_sources(load):
    """Its error on new models is no fault of the additive model: with other sources than those
    that chose the items, its bias is small.
    """
    same = []
    other = []
    for t in range(8):
        rng = np.random.default_rng([20261131, t])
        sources = bp.split_models(load("gsm8k"), "interpolation", rng)[0].values
        learned = irt.learn_metabench(sources[::3], 50)
        rows = sources[1::3]
        new = sources[2::3]
        terms = irt._read(learned.items, rows[None][..., learned.core])[0]
        refitted = clone(learned.accuracy).fit(terms, rows.mean(axis=1))
        terms = irt._read(learned.items, new[None][..., learned.core])[0]
        same.append((learned.accuracy.predict(terms) - new.mean(axis=1)).mean())
        other.append((refitted.predict(terms) - new.mean(axis=1)).mean())
    assert np.mean(same) > 0.03
    assert abs(np.mean(other)) < 0.5 * np.mean(same)


# --- Sort & Search --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["binary", "graded"])
def test_sort_and_search_is_that_of_before_the_redesign(name, fixed):
    """As the objective's: the draw of default_rng(3), n = 13, and estimates of the last rows."""
    scores = fixed[name].astype(float)
    learned = irt.learn_difficulty(scores[:-5], 13)
    draws = stacked([irt.sorted_by_difficulty(learned, 13, np.random.default_rng(3))])
    assert np.array_equal(draws.items[0], fixed[f"{name}/sorted_by_difficulty/items"])
    got = irt.sort_and_search(learned, draws, observe(scores[-5:], draws.items)).value
    assert got == pytest.approx(fixed[f"{name}/sort_and_search"], abs=1e-10)


def test_the_core_set_is_even_in_the_order_of_difficulty(source):
    order = irt.learn_difficulty(source, 12)
    assert (np.diff(source.mean(axis=0)[order]) <= 0).all()
    place = np.argsort(order)
    starts = set()
    for seed in range(60):
        places = place[irt.sorted_by_difficulty(order, 12, np.random.default_rng(seed)).items]
        assert (np.diff(places) == 5).all()
        starts.add(places[0])
    assert starts == set(range(5))  # trials differ
    uneven = place[irt.sorted_by_difficulty(order, 13, np.random.default_rng(1)).items]
    assert set(np.diff(uneven)) <= {4, 5}


def test_the_threshold_is_the_best_of_all(source, matrix, rng):
    order = irt.learn_difficulty(source, 13)
    draws = stacked([irt.sorted_by_difficulty(order, 13, rng) for _ in range(3)])
    got = irt.sort_and_search(order, draws, observe(matrix[20:], draws.items)).value
    for t, core in enumerate(draws.items):
        places = np.argsort(order)[core]
        first = [0, *(places + 1)]
        last = [*places, 60]
        for p, s in enumerate(matrix[20:][:, core]):
            agreement = np.array([s[:k].sum() + (1 - s[k:]).sum() for k in range(14)])
            best = np.flatnonzero(agreement == agreement.max())
            expected = np.mean([(first[k] + last[k]) / 2 for k in best]) / 60
            assert got[t, p] == pytest.approx(expected)


def test_a_model_that_fails_from_some_difficulty_on_is_found_within_half_a_step(source, rng):
    order = irt.learn_difficulty(source, 12)
    targets = np.zeros((61, 60))
    for k in range(61):
        targets[k, order[:k]] = 1
    draws = stacked([irt.sorted_by_difficulty(order, 12, rng)])
    value = irt.sort_and_search(order, draws, observe(targets, draws.items)).value[0]
    assert abs(value - np.arange(61) / 60).max() <= 2.5 / 60 + 1e-12
    shuffled = rng.permuted(targets, axis=1)  # negative control: no order, no threshold
    value = irt.sort_and_search(order, draws, observe(shuffled, draws.items)).value[0]
    assert abs(value - np.arange(61) / 60).max() > 0.2
