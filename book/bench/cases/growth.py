"""How the cost of each method grows with models, items, budget and trials: exponents."""

import numpy as np

import benchpred_utils as bp

from ..measure import clocks, exponent
from ..settings import rasch

TARGETS = 20
LONG = 1.0  # CPU seconds after which a point is not measured again


def growth(settings):
    """Tables `growth_points`, CPU seconds at each point, and `growth`, the exponents."""
    base = {variable: grid[1] for variable, grid in settings.grids}
    for method in settings.methods:
        _measure(method, base, np.random.default_rng(0))  # a first call loads libraries
        is_cheap = _measure(method, base, np.random.default_rng(0)) < settings.cheap
        for variable, grid in settings.long_grids if is_cheap else settings.grids:
            seconds = _curve(method, variable, grid, base, settings.repetitions)
            row = {"method": method, "variable": variable}
            for value, spent in zip(grid, seconds):
                yield "growth_points", row | base | {variable: value, "cpu_s": spent}
            span = {"least": grid[0], "most": grid[-1], "points": len(grid)}
            fixed = " ".join(f"{name}={value}" for name, value in base.items() if name != variable)
            yield "growth", row | exponent(grid, seconds) | span | {"fixed": fixed}


def _curve(method, variable, grid, base, repetitions):
    """The median CPU seconds at each value of a variable; the rounds go over the grid in turn."""
    rounds = []
    for seed in range(repetitions):
        rng = np.random.default_rng(seed)
        rounds.append([_measure(method, base | {variable: value}, rng) for value in grid])
        if sum(rounds[-1]) > LONG:
            break
    return np.median(rounds, axis=0)


def _measure(method, at, rng):
    """CPU seconds of learning, drawing and estimating, without the harness, on new scores."""
    values = rasch(at["M"] + TARGETS, at["N"], rng)
    source = bp.Scores(values[TARGETS:], name="simulated")
    target = bp.Scores(values[:TARGETS], name="simulated")
    options = {"budget": at["n"], "trials": at["trials"], "source": source, "target": target}
    with clocks() as seconds:
        bp.run_experiment(None, [method], progress=False, **options)
    return sum(sum(spent) for spent in seconds.values())
