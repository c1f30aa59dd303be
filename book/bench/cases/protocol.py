"""What each method costs, and the whole protocol: every method of the field, on both splits."""

import numpy as np
import pandas as pd

import benchpred_utils as bp

from ..measure import clocks, cpu_seconds, in_child
from ..settings import CHUNK, SPLITS

# --- each method by itself ------------------------------------------------------------------------


def methods(settings):
    """Table `methods`: the CPU time of each method, run alone, per benchmark and split."""
    for scores in settings.benchmarks:
        for split in SPLITS:
            for method in settings.methods:
                yield "methods", _method(scores, method, split, settings)


def _method(scores, method, split, settings):
    def run(trials):
        return _phases(scores, method, split, settings.budget, trials)

    run(1)  # a first call loads libraries
    first = run(1)
    is_cheap = first["total"] < settings.cheap
    trials = settings.chunk if is_cheap else settings.sample
    times = settings.repetitions if is_cheap else 1
    some = pd.DataFrame([run(trials) for _ in range(times)]).median()
    first = pd.DataFrame([first] + [run(1) for _ in range(times - 1)]).median()
    setup, each = setup_and_rest(first, some, trials, split)
    row = {"benchmark": scores.name, "split": split, "method": method, **_sizes(scores, split)}
    row |= {"n": settings.budget, "trials_measured": trials}
    row |= {"setup_cpu_s": setup["total"], "trial_cpu_s": each["total"], "trial_se": some["se"]}
    row |= {"design_cpu_s": each["design"], "estimator_cpu_s": each["estimator"]}
    row["rest_cpu_s"] = each["total"] - each["design"] - each["estimator"]
    return row | {"total_cpu_s": of_all(setup["total"], each["total"], settings.trials)}


def _phases(scores, method, split, budget, trials):
    """CPU seconds of `trials` trials: in all, in the design, in the estimator.

    The design is what is learned and what is drawn; "se" is the standard error of a trial's time.
    """
    with clocks() as seconds:
        total, _ = cpu_seconds(_experiment, scores, [method], split, budget, trials)
    parts = {phase: np.array(seconds[phase]) for phase in ("learn", "draw", "estimate")}
    by_trial = list(parts.values()) if split == "interpolation" else [parts["draw"]]
    se = np.nan  # of a method that asks in rounds: it has no one time a trial
    if trials > 1 and all(len(part) == trials for part in by_trial):
        se = sum(by_trial).std(ddof=1) / np.sqrt(trials)
    design = parts["learn"].sum() + parts["draw"].sum()
    return {"total": total, "design": design, "estimator": parts["estimate"].sum(), "se": se}


def _experiment(scores, methods, split, budget, trials):
    bp.run_experiment(scores, methods, split, budget, trials, progress=False)


def setup_and_rest(first, some, trials, split):
    """What is spent once and what per trial, from the CPU seconds of 1 trial and of `trials`.

    In interpolation every trial has sources of its own, so there is nothing to be done once.
    """
    if split == "interpolation" or trials == 1:
        return first * 0, some / trials
    each = ((some - first) / (trials - 1)).clip(lower=0)
    return (first - each).clip(lower=0), each


def of_all(setup, each, trials):
    """The CPU seconds of all trials; every task of them learns from the sources anew."""
    return setup * -(-trials // CHUNK) + trials * each


def _sizes(scores, split):
    source, target = bp.split_models(scores, split, np.random.default_rng(0))
    return {"M": source.n_models, "P": target.n_models, "N": scores.n_items}


# --- all together ---------------------------------------------------------------------------------


def protocol(settings):
    """Table `protocol`: all methods of the field in one call, scaled from a sample of trials.

    Each benchmark and split has a process of its own.
    """
    rows = []
    for scores in settings.benchmarks:
        for split in SPLITS:
            rows.append(_together(scores, split, settings))
            yield "protocol", rows[-1]
    table = pd.DataFrame(rows)
    sums = table[["setup_cpu_s", "trial_cpu_s", "total_cpu_s", "wall_s_2_cores"]].sum()
    peaks = table[["imports_mib", "peak_mib"]].max()
    everything = {"benchmark": "all", "split": "all", "trials_measured": 0}
    yield "protocol", everything | sums.to_dict() | peaks.to_dict()


def _together(scores, split, settings):
    trials = settings.sample if split == "interpolation" else settings.chunk
    args = scores, list(settings.field), split, settings.budget
    (first, some), before, peak = in_child(_one_and_some, args, trials)
    setup, each = setup_and_rest(pd.Series([first]), pd.Series([some]), trials, split)
    total = of_all(setup[0], each[0], settings.trials)
    row = {"benchmark": scores.name, "split": split, "trials_measured": trials}
    row |= {"setup_cpu_s": setup[0], "trial_cpu_s": each[0], "total_cpu_s": total}
    return row | {"wall_s_2_cores": total / 2, "imports_mib": before, "peak_mib": peak}


def _one_and_some(args, trials):
    _experiment(*args, 1)  # loads libraries
    return tuple(cpu_seconds(_experiment, *args, count)[0] for count in (1, trials))
