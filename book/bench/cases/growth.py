"""How the cost of each method grows with models, items, budget and trials: exponents on simulated scores."""

import numpy as np
from measure import clocks, exponent
from settings import rasch

import benchpred_utils as bp

TARGETS = 20
LONG = 1.0  # CPU seconds after which a point is not measured again


def growth(settings):
    """Tables `growth_points` (CPU seconds at each point) and `growth` (the exponents), both per method and variable."""
    base = {variable: grid[1] for variable, grid in settings.grids}
    for method in settings.methods:
        _, seconds = (
            _measure(method, base, np.random.default_rng(0)) for _ in range(2)
        )  # the first loads libraries
        for variable, grid in settings.long_grids if seconds < settings.cheap else settings.grids:
            seconds = _curve(method, variable, grid, base, settings.repetitions)
            for value, spent in zip(grid, seconds):
                yield (
                    "growth_points",
                    {
                        "method": method,
                        **base,
                        "variable": variable,
                        variable: value,
                        "cpu_s": spent,
                    },
                )
            span = {"least": grid[0], "most": grid[-1], "points": len(grid)}
            fixed = " ".join(f"{name}={value}" for name, value in base.items() if name != variable)
            yield (
                "growth",
                {"method": method, "variable": variable}
                | exponent(grid, seconds)
                | span
                | {"fixed": fixed},
            )


def _curve(method, variable, grid, base, repetitions):
    """The median CPU seconds at each value of one variable; the rounds go over the whole grid in turn."""
    rounds = []
    for seed in range(repetitions):
        rng = np.random.default_rng(seed)
        rounds.append([_measure(method, base | {variable: value}, rng) for value in grid])
        if sum(rounds[-1]) > LONG:
            break
    return np.median(rounds, axis=0)


def _measure(method, at, rng):
    """CPU seconds of the design and the estimator, without the harness, on new simulated scores."""
    values = rasch(at["M"] + TARGETS, at["N"], rng)
    source, target = (
        bp.Scores(values[TARGETS:], name="simulated"),
        bp.Scores(values[:TARGETS], name="simulated"),
    )
    with clocks() as seconds:
        bp.run_experiment(
            None,
            [method],
            budget=at["n"],
            trials=at["trials"],
            source=source,
            target=target,
            progress=False,
        )
    return sum(seconds["design"]) + sum(seconds["estimator"])
