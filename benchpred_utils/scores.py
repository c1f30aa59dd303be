"""The score matrix S(F', D'): an immutable record that has checked itself."""

from copy import copy
from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass(frozen=True, eq=False, repr=False)
class Scores:
    """The scores of M models on N items of one benchmark.

    A data frame may be given for `values`: its index names the models, its columns the items. A
    Series of domains or dates is taken by its index, and a data frame of costs by its index and
    columns, which must hold these names.
    Raises ValueError or TypeError, naming the culprit, when the matrix is not a score matrix.
    """

    values: np.ndarray  # (n_models, n_items) float64 in [0, 1]; 1 is right
    models: np.ndarray | None = None  # (n_models,) unique names; numbered when not given
    items: np.ndarray | None = None  # (n_items,) unique names; numbered when not given
    domains: np.ndarray | None = None  # (n_items,) sub-domain of each item, or None
    dates: np.ndarray | None = None  # (n_models,) dates, or ranks in order of release, or None
    name: str = "custom"  # of the benchmark
    costs: np.ndarray | None = None  # (n_models, n_items) dollars spent for each score, or None

    def __post_init__(self):
        is_frame = isinstance(self.values, pd.DataFrame)
        models = self.values.index if is_frame and self.models is None else self.models
        items = self.values.columns if is_frame and self.items is None else self.items
        values = _matrix(self.values)
        n_models, n_items = values.shape
        models = _names("models", models, n_models, "model-")
        items = _names("items", items, n_items, "item-")
        wrong = np.argwhere(~((values >= 0) & (values <= 1)))
        if len(wrong):
            row, column = wrong[0]
            raise ValueError(
                f"{len(wrong)} of {values.size} scores are missing (NaN) or outside [0, 1], the "
                f"first at model {models[row]}, item {items[column]} "
                f"(value {values[row, column]:g}); drop or complete those items, and scale scores "
                "to [0, 1]"
            )
        domains = _labels("domains", self.domains, items, "items")
        dates = _checked_dates(self.dates, models)
        self._set(values=values, models=models, items=items, domains=domains, dates=dates)
        self._set(costs=_checked_costs(self.costs, models, items))

    def _set(self, **fields):
        """Set fields, which are frozen for everyone else."""
        for field, value in fields.items():
            if value is not None:
                value = np.array(value)  # a copy, so that nobody else holds a way to change it
                value.flags.writeable = False
            object.__setattr__(self, field, value)

    @property
    def n_models(self):
        """M, the number of models."""
        return self.values.shape[0]

    @property
    def n_items(self):
        """N, the number of items."""
        return self.values.shape[1]

    @property
    def accuracy(self):
        """(n_models,) the mean score of each model over all items: the truth to be predicted."""
        return self.values.mean(axis=1)

    def select(self, models=None, items=None):
        """The Scores of some models and some items, given by index or mask (None: all).

        Raises ValueError when a model or an item is taken twice or is not there, or too few are
        left.
        """
        rows = _positions("models", models, self.n_models, 1)
        columns = _positions("items", items, self.n_items, 2)
        part = copy(self)  # what was checked needs no second check
        part._set(
            values=self.values[np.ix_(rows, columns)],
            models=self.models[rows],
            items=self.items[columns],
            domains=None if self.domains is None else self.domains[columns],
            dates=None if self.dates is None else self.dates[rows],
            costs=None if self.costs is None else self.costs[np.ix_(rows, columns)],
        )
        return part

    def __repr__(self):
        return f"Scores({self.name!r}: {self.n_models} models x {self.n_items} items)"


def _positions(what, chosen, length, least):
    """The chosen models or items as indices."""
    try:
        index = np.arange(length)[slice(None) if chosen is None else chosen]
    except IndexError:
        index = np.array([])
    if index.ndim != 1 or len(index) < least or np.bincount(index).max() > 1:
        raise ValueError(
            f"select takes {what} by number, from 0 to {length - 1}, or by a mask of {length} "
            f"truth values: at least {least}, each only once, not {chosen!r}"
        )
    return index


def _matrix(values):
    try:
        if np.iscomplexobj(values):
            raise TypeError("complex scores have no order")
        values = np.ma.asarray(values, dtype=float).filled(np.nan)
    except (TypeError, ValueError, OverflowError) as error:
        raise TypeError(f"values must be a matrix of numbers, models x items: {error}") from None
    if values.ndim != 2 or values.shape[0] < 1 or values.shape[1] < 2:
        raise ValueError(
            f"values must have two dimensions, models x items, at least 1 x 2 of them, "
            f"but their shape is {values.shape}"
        )
    return values


def _names(field, names, length, prefix):
    """Unique names, numbered from the prefix where none are given."""
    if names is None:
        return [f"{prefix}{i:0{len(str(length - 1))}d}" for i in range(length)]
    names = _labels(field, list(map(str, names)), range(length), field)
    twice = np.unique(names[pd.Series(names).duplicated()])
    if len(twice):
        raise ValueError(
            f"{field} must be unique, but {len(twice)} names occur more than once: "
            f"{', '.join(twice[:3])}"
        )
    return names


def _labels(field, labels, names, of):
    """One label for each name; those of a Series are found by the names."""
    if labels is None:
        return None
    if isinstance(labels, pd.Series):
        labels = labels.set_axis(labels.index.map(str))
        lacking = [name for name in names if name not in labels.index]
        if lacking:
            raise ValueError(
                f"{field} is a Series without {len(lacking)} of the {of} in its index, the first "
                f"is {lacking[0]}; give a list where the order says whose they are"
            )
        labels = labels.loc[list(names)]
    labels = np.asarray(labels)
    if labels.shape != (len(names),):
        raise ValueError(
            f"{field} must be one label for each of the {len(names)} {of}, "
            f"but their shape is {labels.shape}"
        )
    return labels


def _checked_dates(dates, models):
    dates = _labels("dates", dates, models, "models")
    if dates is None:
        return None
    if dates.dtype.kind not in "iuf":  # not ranks: dates, or text in ISO format
        try:
            dates = dates.astype("datetime64[D]")
        except (TypeError, ValueError) as error:
            raise ValueError(f"dates must be ranks or ISO dates (2024-05-13): {error}") from None
    unknown = np.isnan(dates)
    if unknown.any():
        lacking = f"{unknown.sum()} models, the first is {models[unknown.argmax()]}"
        raise ValueError(f"dates lack one for {lacking}")
    return dates


def _checked_costs(costs, models, items):
    """Dollars, models x items; those of a data frame are found by the names."""
    if costs is None:
        return None
    if isinstance(costs, pd.DataFrame):
        costs = costs.rename(index=str, columns=str).reindex(index=models, columns=items)
    costs = np.asarray(costs, dtype=float)
    if costs.shape != (len(models), len(items)):
        raise ValueError(f"costs must be models x items, but their shape is {costs.shape}")
    wrong = np.argwhere(~((costs >= 0) & (costs < np.inf)))
    if len(wrong):
        row, column = wrong[0]
        raise ValueError(
            f"{len(wrong)} costs are missing or no dollars from 0 on, the first at model "
            f"{models[row]}, item {items[column]} (value {costs[row, column]:g})"
        )
    return costs
