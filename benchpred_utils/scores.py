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
    columns, which must hold these names. A score may be missing (NaN, or masked), which sources
    are allowed and targets are not.
    Raises ValueError or TypeError, naming the culprit, when the matrix is not a score matrix or
    a model or an item has no score at all.
    """

    values: np.ndarray  # (n_models, n_items) float64 in [0, 1]; 1 is right, NaN missing
    models: np.ndarray | None = None  # (n_models,) unique names; numbered when not given
    items: np.ndarray | None = None  # (n_items,) unique names; numbered when not given
    domains: np.ndarray | None = None  # (n_items,) sub-domain of each item, or None
    dates: np.ndarray | None = None  # (n_models,) dates, or ranks in order of release, or None
    name: str = "custom"  # of the benchmark
    costs: np.ndarray | None = None  # (n_models, n_items) dollars spent for each score, or None

    def __post_init__(self):
        is_frame = isinstance(self.values, pd.DataFrame)
        rows, columns = self.values.axes if is_frame else (None, None)
        values = _matrix(self.values)
        models = _names("model", rows if self.models is None else self.models, len(values))
        items = _names("item", columns if self.items is None else self.items, len(values.T))
        self._set(
            values=values,
            models=models,
            items=items,
            domains=_labels("domains", self.domains, items, "items"),
            dates=_dates(_labels("dates", self.dates, models, "models"), models),
            costs=_costs(self.costs, models, items),
        )

    def _set(self, **fields):
        """Check the scores and set the fields, which are frozen for everyone else."""
        _check(fields["values"], fields["models"], fields["items"])
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
        """(n_models,) the mean of each model's scores, over the items that it has a score of.

        Where none is missing it is the truth to be predicted.
        """
        return np.nanmean(self.values, axis=1)

    @property
    def has_gaps(self):
        """Whether a score is missing."""
        return bool(np.isnan(self.values).any())

    def check_complete(self):
        """Raise a ValueError that names the model, and some of the items, where a score is missing.

        Those of targets may not be.
        """
        for model, gaps in zip(self.models, np.isnan(self.values)):
            if gaps.any():
                raise ValueError(
                    f"model {model} is a target, of which every score is needed, but lacks "
                    f"{gaps.sum()} of {self.n_items}: {_some(self.items[gaps])}; leave out the "
                    "model or these items by select, or take the model as a source"
                )

    def select(self, models=None, items=None):
        """The Scores of some models and some items, given by index or mask (None: all).

        Raises ValueError when a model or an item is taken twice, is not there, or is left without
        a score, or too few are left.
        """
        rows = _positions("models", models, self.n_models, 1)
        columns = _positions("items", items, self.n_items, 2)
        part = copy(self)  # names and labels need no second check
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
    values = _numbers("values", values)
    if values.ndim != 2 or values.shape[0] < 1 or values.shape[1] < 2:
        raise ValueError(
            f"values must have two dimensions, models x items, at least 1 x 2 of them, "
            f"but their shape is {values.shape}"
        )
    return values


def _numbers(field, values):
    """A matrix of floats, with NaN for what is masked."""
    try:
        if np.iscomplexobj(values):
            raise TypeError("complex numbers have no order")
        return np.ma.asarray(values, dtype=float).filled(np.nan)
    except (TypeError, ValueError, OverflowError) as error:
        raise TypeError(f"{field} must be a matrix of numbers, models x items: {error}") from None


def _check(values, models, items):
    """Raise a ValueError for a score that is none, and for a model or an item without any."""
    wrong = np.argwhere((values < 0) | (values > 1))
    if len(wrong):
        row, column = wrong[0]
        raise ValueError(
            f"{len(wrong)} of {values.size} scores lie outside [0, 1], the first at model "
            f"{models[row]}, item {items[column]} (value {values[row, column]:g}); scale them"
        )
    gaps = np.isnan(values)
    for what, names, lacking in (("models", models, gaps), ("items", items, gaps.T)):
        empty = np.array(names)[lacking.all(axis=1)]
        if len(empty):
            raise ValueError(f"{what} without any score: {_some(empty)}; leave them out")


def _some(names):
    return ", ".join(names[:3]) + ", ..." * (len(names) > 3)


def _names(what, names, length):
    """Unique names, such as model-0 and model-1 where none are given."""
    if names is None:
        return [f"{what}-{i:0{len(str(length - 1))}d}" for i in range(length)]
    field = f"{what}s"
    names = [names] if isinstance(names, (str, int)) else names
    names = _labels(field, list(map(str, names)), range(length), field)
    _check_unique(field, names)
    return names


def _check_unique(field, names):
    names = pd.Index(names)
    twice = names[names.duplicated()].unique()
    if len(twice):
        raise ValueError(
            f"{field} must be unique, but {len(twice)} names occur more than once: {_some(twice)}"
        )


def _labels(field, labels, names, of):
    """One label for each name; those of a Series are found by the names."""
    if labels is None:
        return None
    if isinstance(labels, pd.Series):
        labels = labels.set_axis(labels.index.map(str))
        lacking = [name for name in names if name not in labels.index]
        if lacking:
            raise ValueError(
                f"{field} is a Series without {len(lacking)} of the {of} in its index: "
                f"{_some(lacking)}; give a list where the order says whose they are"
            )
        labels = labels.loc[list(names)]
        _check_unique(f"the names in {field}", labels.index)
    labels = np.asarray(labels)
    if labels.shape != (len(names),):
        raise ValueError(
            f"{field} must be one label for each of the {len(names)} {of}, "
            f"but their shape is {labels.shape}"
        )
    return labels


def _dates(dates, models):
    if dates is None:
        return None
    if dates.dtype.kind not in "iuf":  # not ranks: dates, or text in ISO format
        try:
            if dates.dtype.kind in "bc":
                raise TypeError(f"{dates[0]} is neither")
            dates = dates.astype("datetime64[D]")
        except (TypeError, ValueError) as error:
            raise ValueError(f"dates must be ranks or ISO dates (2024-05-13): {error}") from None
    lacking = np.array(models)[np.isnan(dates)]
    if len(lacking):
        raise ValueError(f"models without a date: {_some(lacking)}")
    return dates


def _costs(costs, models, items):
    """Dollars, models x items; those of a data frame are found by the names."""
    if costs is None:
        return None
    if isinstance(costs, pd.DataFrame):
        costs = costs.rename(index=str, columns=str)
        for of, names in zip(("models", "items"), costs.axes):
            _check_unique(f"the {of} in costs", names)
        costs = costs.reindex(index=models, columns=items)
    costs = _numbers("costs", costs)
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
