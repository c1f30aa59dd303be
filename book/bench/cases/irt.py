"""The 2PL fit against the fits that a user would pick.

They are py-irt (variational) and girth (marginal maximum likelihood).
"""

import io
from contextlib import redirect_stdout

import numpy as np
import pandas as pd

from benchpred_utils import irt

from ..measure import NO_RATIOS, NOT_INSTALLED, compare, cpu_seconds, installed, ratios

DIMS = irt.DIMS
GIRTH_ITEMS = 100  # girth takes a minute on all 500


def fit_2pl(settings):
    """Table `fit_2pl`: CPU time of a fit to the first benchmark, and how well it fits."""
    scores = settings.benchmarks[0]

    def ours():
        return irt.fit_2pl(scores.values)

    def converged():
        return irt.fit_2pl(scores.values, tolerance=1e-11)

    ours()  # a first call loads libraries
    size = {"benchmark": scores.name, "M": scores.n_models, "N": scores.n_items, "dims": DIMS}
    loss = {"ours_log_loss": _log_loss(scores.values, *_of_ours(ours()))}
    row = {"peer": "the same", "setting": "to a tolerance of 1e-11"}
    pairs = compare(ours, converged, settings.repetitions)
    outcome = _outcome(_log_loss(scores.values, *_of_ours(converged())))
    yield "fit_2pl", size | row | ratios(pairs) | loss | outcome
    for row in _against_py_irt(scores, ours, loss, settings):
        yield "fit_2pl", size | row
    yield "fit_2pl", _against_girth(scores, settings)


def _outcome(log_loss=np.nan, note=""):
    return {"peer_log_loss": log_loss, "note": note}


def _of_ours(fit):
    return fit.abilities, fit.items[:, :-1], fit.items[:, -1]


def _log_loss(x, theta, a, b):
    """The mean of -log P(s) over the scores it was fitted to, P(s = 1) = sigmoid(theta a' + b)."""
    logits = np.float64(theta) @ np.float64(a).T + b
    return np.mean(np.logaddexp(0, logits) - x * logits)


# --- py-irt ---------------------------------------------------------------------------------------


def _against_py_irt(scores, ours, loss, settings):
    """Rows: a tenth of the epochs, in pairs, and the whole fit once.

    The whole fit is made at the authors' learning rate and at a tenth of it.
    """
    row = {"peer": "py-irt", "setting": f"{settings.epochs} epochs, learning rate 0.1"}
    if not installed("py_irt.training"):
        yield row | NO_RATIOS | loss | _outcome(note=NOT_INSTALLED)
        return
    tenth = max(settings.epochs // 10, 1)

    def peer():
        return py_irt(scores, 0.1, tenth)

    py_irt(scores, 0.1, 1)  # a first call loads libraries
    pairs = compare(ours, peer, settings.repetitions, peer_share=tenth / settings.epochs)
    yield row | ratios(pairs) | loss | _outcome(note=f"timed over {tenth} epochs")
    for rate in (0.1, 0.01):
        seconds, (x, error) = cpu_seconds(py_irt, scores, rate, settings.epochs)
        pairs = np.array([[cpu_seconds(ours)[0], seconds]])
        setting = {"setting": f"{settings.epochs} epochs, learning rate {rate}"}
        yield row | setting | ratios(pairs) | loss | _outcome(x, error)


def py_irt(scores, rate, epochs):
    """Fit py-irt's multidimensional 2PL.

    Gives the log loss of its best parameters, and the error that ended the fit or "".
    """
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
        data = Dataset.from_pandas(table)
        trainer = IrtModelTrainer(data_path=None, config=config, dataset=data, verbose=False)
        try:
            trainer.train()
        except ValueError:
            error = "ended by NaN parameters; the loss is that of the best epoch before"
    best = (np.array(trainer.best_params[name]) for name in ("ability", "diff", "disc"))
    theta, difficulty, a = best
    return _log_loss(scores.values, theta, a, -(a * difficulty).sum(axis=1)), error


# --- girth ----------------------------------------------------------------------------------------


def _against_girth(scores, settings):
    part = scores.select(items=np.arange(min(GIRTH_ITEMS, scores.n_items)))

    def ours():
        return irt.fit_2pl(part.values, 1)

    size = {"benchmark": scores.name, "M": part.n_models, "N": part.n_items, "dims": 1}
    row = size | {"peer": "girth", "setting": "twopl_mml, as it comes"}
    loss = {"ours_log_loss": _log_loss(part.values, *_of_ours(ours()))}
    if not installed("girth"):
        return row | NO_RATIOS | loss | _outcome(note=NOT_INSTALLED)
    import girth

    answers = part.values.T.astype(int)
    fit = girth.twopl_mml(answers)
    pairs = compare(ours, lambda: girth.twopl_mml(answers), min(settings.repetitions, 2))
    a = fit["Discrimination"]
    difficulty = fit["Difficulty"]
    theta = girth.ability_map(answers, difficulty, a)
    log_loss = _log_loss(part.values, theta[:, None], a[:, None], -a * difficulty)
    return row | ratios(pairs) | loss | _outcome(log_loss, f"the first {part.n_items} items")
