"""The 2PL fit against the fits a user would pick: py-irt (variational) and girth (marginal maximum likelihood)."""

import io
from contextlib import redirect_stdout

import numpy as np
import pandas as pd
from measure import NO_RATIOS, NOT_INSTALLED, compare, cpu_seconds, installed, ratios

from benchpred_utils import irt

DIMS = irt.DIMS
GIRTH_ITEMS = 100  # girth takes a minute on all 500


def fit_2pl(settings):
    """Table `fit_2pl`: CPU time of a fit to the whole matrix of the first benchmark, and how well it fits."""
    scores = settings.benchmarks[0]
    x = np.float32(scores.values)
    ours = lambda: irt.fit_2pl(x)
    ours()  # a first call loads libraries
    size = {"benchmark": scores.name, "M": scores.n_models, "N": scores.n_items, "dims": DIMS}
    loss = {"ours_log_loss": _log_loss(x, *_of_ours(ours()))}
    converged = lambda: irt.fit_2pl(scores.values, tolerance=1e-11)
    row = {"peer": "the same, float64", "setting": "to a tolerance of 1e-11"}
    pairs = compare(ours, converged, settings.repetitions)
    yield (
        "fit_2pl",
        size | row | ratios(pairs) | loss | _outcome(_log_loss(x, *_of_ours(converged()))),
    )
    yield from (("fit_2pl", size | row) for row in _against_py_irt(scores, ours, loss, settings))
    yield "fit_2pl", _against_girth(scores, settings)


def _outcome(log_loss=np.nan, note=""):
    return {"peer_log_loss": log_loss, "note": note}


def _of_ours(fit):
    return fit.abilities, fit.items[:, :-1], fit.items[:, -1]


def _log_loss(x, theta, a, b):
    """The mean of -log P(s) over the scores it was fitted to, P(s = 1) = sigmoid(theta a' + b)."""
    logits = np.float64(theta) @ np.float64(a).T + b
    return np.mean(np.logaddexp(0, logits) - x * logits)


# --- py-irt -----------------------------------------------------------------------------------------------------------


def _against_py_irt(scores, ours, loss, settings):
    """Rows: a tenth of the epochs, in pairs, and the whole fit once, at the authors' learning rate and at a tenth."""
    setting = lambda rate: f"{settings.epochs} epochs, learning rate {rate}"
    if not installed("py_irt.training"):
        yield (
            {"peer": "py-irt", "setting": setting(0.1)}
            | NO_RATIOS
            | loss
            | _outcome(note=NOT_INSTALLED)
        )
        return
    tenth = max(settings.epochs // 10, 1)
    peer = lambda: _py_irt(scores, 0.1, tenth)
    _py_irt(scores, 0.1, 1)  # a first call loads libraries
    pairs = compare(ours, peer, settings.repetitions, peer_share=tenth / settings.epochs)
    outcome = _outcome(note=f"timed over {tenth} epochs")
    yield {"peer": "py-irt", "setting": setting(0.1)} | ratios(pairs) | loss | outcome
    for rate in (0.1, 0.01):
        seconds, (x, error) = cpu_seconds(_py_irt, scores, rate, settings.epochs)
        pairs = np.array([[cpu_seconds(ours)[0], seconds]])
        yield (
            {"peer": "py-irt", "setting": setting(rate)} | ratios(pairs) | loss | _outcome(x, error)
        )


def _py_irt(scores, rate, epochs):
    """Fit py-irt's multidimensional 2PL: the log loss of its best parameters, and the error that ended it or ""."""
    import pyro
    import torch
    from py_irt.config import IrtConfig
    from py_irt.dataset import Dataset
    from py_irt.training import IrtModelTrainer

    torch.set_num_threads(1)
    pyro.set_rng_seed(0)
    config = IrtConfig(
        model_type="multidim_2pl", priors="hierarchical", dims=DIMS, lr=rate, epochs=epochs
    )
    error = ""
    with redirect_stdout(io.StringIO()):
        table = pd.DataFrame(scores.values, index=list(scores.models), columns=list(scores.items))
        trainer = IrtModelTrainer(
            data_path=None, config=config, dataset=Dataset.from_pandas(table), verbose=False
        )
        try:
            trainer.train()
        except ValueError:
            error = "ended by NaN parameters; the loss is that of the best epoch before"
    theta, difficulty, a = (
        np.array(trainer.best_params[name]) for name in ("ability", "diff", "disc")
    )
    return _log_loss(scores.values, theta, a, -(a * difficulty).sum(axis=1)), error


# --- girth ------------------------------------------------------------------------------------------------------------


def _against_girth(scores, settings):
    part = scores.select(items=np.arange(min(GIRTH_ITEMS, scores.n_items)))
    x = np.float32(part.values)
    ours = lambda: irt.fit_2pl(x, 1)
    size = {"benchmark": scores.name, "M": part.n_models, "N": part.n_items, "dims": 1}
    row = size | {"peer": "girth", "setting": "twopl_mml, as it comes"}
    loss = {"ours_log_loss": _log_loss(x, *_of_ours(ours()))}
    if not installed("girth"):
        return row | NO_RATIOS | loss | _outcome(note=NOT_INSTALLED)
    import girth

    answers = part.values.T.astype(int)
    fit = girth.twopl_mml(answers)
    pairs = compare(ours, lambda: girth.twopl_mml(answers), min(settings.repetitions, 2))
    a, difficulty = fit["Discrimination"], fit["Difficulty"]
    theta = girth.ability_map(answers, difficulty, a)
    log_loss = _log_loss(x, theta[:, None], a[:, None], -a * difficulty)
    return row | ratios(pairs) | loss | _outcome(log_loss, f"the first {part.n_items} items")
