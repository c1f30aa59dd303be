"""What each method costs, and the whole protocol: every method of the field, both splits, 100 trials."""

import json

import numpy as np
import pandas as pd
from measure import clocks, cpu_seconds, in_child
from settings import SPLITS

import benchpred_utils as bp
from benchpred_utils import runs

PHASES = ("total", "design", "estimator")


# --- each method by itself --------------------------------------------------------------------------------------------


def methods(settings):
    """Table `methods`: the CPU time of each method, run alone, per benchmark and split."""
    for scores in settings.benchmarks:
        for split in SPLITS:
            for method in settings.methods:
                yield "methods", _method(scores, method, split, settings)


def _method(scores, method, split, settings):
    run = lambda trials: _phases(scores, method, split, settings.budget, trials)
    run(1)  # a first call loads libraries
    first = run(1)
    is_cheap = first["total"] < settings.cheap
    trials = settings.chunk if is_cheap else settings.sample
    times = settings.repetitions if is_cheap else 1
    some = pd.DataFrame([run(trials) for _ in range(times)]).median()
    first = pd.DataFrame([first] + [run(1) for _ in range(times - 1)]).median()
    setup, each = setup_and_rest(first, some, trials, split)
    size = {"benchmark": scores.name, "split": split, "method": method, **_sizes(scores, split)}
    costs = {"setup_cpu_s": setup["total"], "trial_cpu_s": each["total"], "trial_se": some["se"]}
    costs |= {f"{phase}_cpu_s": each[phase] for phase in PHASES[1:]}
    costs["rest_cpu_s"] = each["total"] - each["design"] - each["estimator"]
    scaled = setup["total"] + settings.trials * each["total"]
    return (
        size | {"n": settings.budget, "trials_measured": trials} | costs | {"total_cpu_s": scaled}
    )


def _phases(scores, method, split, budget, trials):
    """CPU seconds of `trials` trials: in all, in the design, in the estimator; and the standard error of a trial's."""
    with clocks() as seconds:
        total, _ = cpu_seconds(_experiment, scores, [method], split, budget, trials)
    design, estimator = seconds["design"], seconds["estimator"]
    per_trial = np.add(design, estimator) if split == "interpolation" else np.array(design[1:])
    se = per_trial.std(ddof=1) / np.sqrt(len(per_trial)) if len(per_trial) > 1 else np.nan
    return {"total": total, "design": sum(design), "estimator": sum(estimator), "se": se}


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


def _sizes(scores, split):
    source, target = bp.split_models(scores, split, np.random.default_rng(0))
    return {"M": source.n_models, "P": target.n_models, "N": scores.n_items}


# --- all together -----------------------------------------------------------------------------------------------------


def protocol(settings):
    """Table `protocol`: all methods of the field in one call, each benchmark and split in a new process."""
    rows = []
    for scores in settings.benchmarks:
        for split in SPLITS:
            rows.append(_together(scores, split, settings))
            yield "protocol", rows[-1]
    yield "protocol", _sum(rows)
    if stored := _stored(settings):
        yield from (("protocol", row) for row in [*stored, _sum(stored)])


def _together(scores, split, settings):
    trials = settings.sample if split == "interpolation" else settings.chunk
    args = scores, list(settings.field), split, settings.budget
    (first, some), before, peak = in_child(_one_and_some, args, trials)
    setup, each = setup_and_rest(pd.Series([first]), pd.Series([some]), trials, split)
    all_trials = setup[0] + settings.trials * each[0]
    size = {
        "measured": "sample",
        "benchmark": scores.name,
        "split": split,
        "trials_measured": trials,
    }
    costs = {"setup_cpu_s": setup[0], "trial_cpu_s": each[0], "total_cpu_s": all_trials}
    costs["wall_s_2_cores"] = (all_trials + setup[0]) / 2  # either core makes its own set-up
    return size | costs | {"imports_mib": before, "peak_mib": peak}


def _one_and_some(args, trials):
    _experiment(*args, 1)  # loads libraries
    return tuple(cpu_seconds(_experiment, *args, count)[0] for count in (1, trials))


def _sum(rows):
    table = pd.DataFrame(rows)
    sums = table[["setup_cpu_s", "trial_cpu_s", "total_cpu_s", "wall_s_2_cores"]].sum(min_count=1)
    peaks = table[["imports_mib", "peak_mib"]].max()
    start = {
        "measured": rows[0]["measured"],
        "benchmark": "all",
        "split": "all",
        "trials_measured": 0,
    }
    return start | sums.to_dict() | peaks.to_dict()


def _stored(settings):
    """The same from the run that `make runs` stored, all trials run: rows, or none where there is no such run.

    That run also makes its tables, and estimates by aipw_cross_fitted.
    """
    folder = runs.FOLDER / "protocol"
    if not (folder / "costs.csv").exists() or not (folder / "run.json").exists():
        return []
    costs = pd.read_csv(folder / "costs.csv")
    costs = costs[(costs["asked"] == settings.budget) & costs["split"].isin(SPLITS)]
    costs = costs[costs["benchmark"].isin([scores.name for scores in settings.benchmarks])]
    date = json.loads((folder / "run.json").read_text())["made"]["date"]
    is_stale = " (other code)" if runs.state("protocol") else ""
    rows = []
    for (benchmark, split), part in costs.groupby(["benchmark", "split"], sort=False):
        cpu, peak = part["cpu_s"].sum(), part["peak_mib"].max()
        row = {"measured": f"make runs, {date}{is_stale}", "benchmark": benchmark, "split": split}
        row |= {
            "trials_measured": part["trials"].min(),
            "setup_cpu_s": np.nan,
            "trial_cpu_s": np.nan,
        }
        rows.append(
            row
            | {
                "total_cpu_s": cpu,
                "wall_s_2_cores": cpu / 2,
                "imports_mib": np.nan,
                "peak_mib": peak,
            }
        )
    return rows
