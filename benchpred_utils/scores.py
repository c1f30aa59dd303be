"""The score matrix S(F', D'): an immutable record that has checked itself."""

from dataclasses import dataclass

import numpy as np

__all__ = ["Scores"]


def _frozen(values, dtype=None):
    values = np.array(values, dtype=dtype)  # a copy, so that nobody else holds a way to change it
    values.flags.writeable = False
    return values


@dataclass(frozen=True, eq=False, repr=False)
class Scores:
    """The scores of M models on N items of one benchmark.

    A data frame may be given for `values`: its index names the models, its columns the items.
    Raises ValueError or TypeError, naming the culprit, when the matrix is not a score matrix.
    """

    values: np.ndarray  # (n_models, n_items) float64 in [0, 1]; 1 is right
    models: np.ndarray | None = None  # (n_models,) unique names; numbered when not given
    items: np.ndarray | None = None  # (n_items,) unique names; numbered when not given
    domains: np.ndarray | None = None  # (n_items,) sub-domain of each item, or None
    dates: np.ndarray | None = None  # (n_models,) dates, or ranks in order of release, or None
    name: str = "custom"  # of the benchmark

    def __post_init__(self):
        values, models, items = self.values, self.models, self.items
        if hasattr(values, "columns"):
            models = values.index if models is None else models
            items = values.columns if items is None else items
            values = values.to_numpy()
        values = _checked_values(values, models, items)
        n_models, n_items = values.shape
        models = _checked_names("models", models, n_models, "model-")
        checked = {
            "values": values,
            "models": models,
            "items": _checked_names("items", items, n_items, "item-"),
            "domains": _checked_length("domains", self.domains, n_items, "items"),
            "dates": _checked_dates(self.dates, models),
        }
        for field, value in checked.items():
            object.__setattr__(self, field, value)  # the record is frozen for everyone else

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
        """(n_models,) the mean score of each model over all items: the truth that is to be predicted."""
        return self.values.mean(axis=1)

    def select(self, models=None, items=None):
        """The Scores of some models and some items, given by index or mask (None: all).

        Raises ValueError when a model or an item is taken twice, or too few are left.
        """
        rows, cols = (
            _positions("model", models, self.n_models, 1),
            _positions("item", items, self.n_items, 2),
        )
        values = self.values[rows] if items is None else self.values[np.ix_(rows, cols)]
        fields = {
            "values": values,
            "models": self.models[rows],
            "items": self.items[cols],
            "name": self.name,
        }
        fields["domains"] = None if self.domains is None else self.domains[cols]
        fields["dates"] = None if self.dates is None else self.dates[rows]
        part = object.__new__(Scores)  # a part of what was checked needs no second check
        for field, value in fields.items():
            if isinstance(value, np.ndarray):
                value.flags.writeable = False
            object.__setattr__(part, field, value)
        return part

    def __repr__(self):
        return f"Scores({self.name!r}: {self.n_models} models x {self.n_items} items)"


def _positions(what, chosen, length, least):
    """The chosen models or items as indices."""
    index = np.arange(length) if chosen is None else np.arange(length)[chosen]
    if len(index) < least or np.bincount(index).max() > 1:
        raise ValueError(
            f"a selection must hold at least {least} {what}{'s' * (least > 1)}, each only once"
        )
    return index


def _checked_values(values, models, items):
    try:
        values = _frozen(values, float)
    except (TypeError, ValueError) as error:
        raise TypeError(f"values must be a matrix of numbers, models x items: {error}") from None
    if values.ndim != 2:
        raise ValueError(
            f"values must have two dimensions, models x items, but their shape is {values.shape}"
        )
    if values.shape[0] < 1 or values.shape[1] < 2:
        raise ValueError(
            f"values are {values.shape[0]} models x {values.shape[1]} items; at least 1 x 2 are needed"
        )
    for bad, what in (
        (np.isnan(values), "missing (NaN)"),
        (~((values >= 0) & (values <= 1)), "outside [0, 1]"),
    ):
        if bad.any():
            row, col = np.argwhere(bad)[0]
            where = f"model {_label(models, row)}, item {_label(items, col)}"
            raise ValueError(
                f"{bad.sum()} of {values.size} scores are {what}, the first at {where} (value {values[row, col]:g}); "
                "drop or complete those items, and scale scores to [0, 1]"
            )
    return values


def _label(names, index):
    return f"{index}" if names is None or len(names) <= index else f"{index} ({list(names)[index]})"


def _checked_names(field, names, length, prefix):
    if names is None:
        width = len(str(length - 1))
        return _frozen([f"{prefix}{i:0{width}d}" for i in range(length)])
    names = _checked_length(field, [str(name) for name in names], length, field)
    unique, counts = np.unique(names, return_counts=True)
    if len(unique) < len(names):
        twice = unique[counts > 1]
        raise ValueError(
            f"{field} must be unique, but {len(twice)} names occur more than once: {', '.join(twice[:3])}"
        )
    return names


def _checked_length(field, labels, length, of):
    if labels is None:
        return None
    labels = _frozen(labels)
    if labels.shape != (length,):
        raise ValueError(
            f"{field} must be one label for each of the {length} {of}, but their shape is {labels.shape}"
        )
    return labels


def _checked_dates(dates, models):
    dates = _checked_length("dates", dates, len(models), "models")
    if dates is None:
        return None
    if dates.dtype.kind not in "iuf":  # not ranks: dates, or text in ISO format
        try:
            dates = _frozen(dates, "datetime64[D]")
        except (TypeError, ValueError) as error:
            raise ValueError(f"dates must be ranks or ISO dates (2024-05-13): {error}") from None
    unknown = (
        np.isnan(dates)
        if dates.dtype.kind == "f"
        else np.isnat(dates)
        if dates.dtype.kind == "M"
        else None
    )
    if unknown is not None and unknown.any():
        raise ValueError(
            f"dates lack one for {unknown.sum()} models, the first is {models[unknown.argmax()]}"
        )
    return dates
