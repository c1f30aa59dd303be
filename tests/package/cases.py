"""What the tests of the statistics share: awkward score matrices, draws, and arrays on devices."""

import array_api_compat.numpy
import array_api_strict
import numpy as np
import pytest

import benchpred_utils as bp
from benchpred_utils import backend, methods

ALL = list(bp.METHODS)
IN_ROUNDS = [name for name in ALL if bp.METHODS[name].start]
ONE_SHOT = [name for name in ALL if not bp.METHODS[name].start]


def awkward(rng):
    """Source matrices that something degenerates on, by name."""
    binary = rng.integers(0, 2, (20, 60)).astype(float)
    return {
        "half of the items are constant": np.where(np.arange(60) < 30, 1.0, binary),
        "all items are constant": np.tile(np.arange(60) % 2.0, (20, 1)),
        "all models are as good": np.stack(
            [rng.permutation(np.arange(60) % 2.0) for _ in range(20)]
        ),
        "models come four times": np.repeat(binary[:5], 4, axis=0),
        "three models": binary[:3],
        "scores between 0 and 1": rng.random((20, 60)),
    }


def with_gaps(scores, share=0.15, seed=8):
    """The scores (M, N) without some: a share at random, and the last third of one model."""
    rng = np.random.default_rng(seed)
    values = np.where(rng.random(scores.shape) < share, np.nan, scores)
    values[1, -(scores.shape[1] // 3) :] = np.nan
    return values


def learned_and_draws(name, source, n, trials, seed=4):
    """What a one-shot method learns from the source, and its draws of that many trials."""
    method = bp.METHODS[name]
    learned = method.learn(source, n)
    rngs = [np.random.default_rng([seed, trial]) for trial in range(trials)]
    return learned, methods.draws_of(method, learned, n, rngs, source.shape[1])


def one_draw(draws, trial):
    """Draw number `trial` of several, by itself."""
    here = slice(trial, trial + 1)
    return bp.designs.Draw(draws.items[here], tuple(part[here] for part in draws.reading))


def finished(rounds, scores):
    """`rounds` with all their scores recorded, from the scores (B, N) of their rows."""
    while not rounds.done:
        rounds.record(np.take_along_axis(scores, rounds.next_items(), axis=1))
    return rounds


def same(first, second, **tolerance):
    """Whether two Estimates agree; without a tolerance, bit for bit."""
    for value, other in zip(first, second):
        if value is None or other is None:
            equal = value is other
        elif tolerance:
            equal = np.allclose(value, other, equal_nan=True, **tolerance)
        else:
            equal = np.array_equal(value, other, equal_nan=True)
        if not equal:
            return False
    return True


# --- arrays that are not on the host --------------------------------------------------------------

DEVICE = array_api_strict.Device("device1")


def strict(values):
    """An array of the standard, on a device from which nothing comes back unseen."""
    return array_api_strict.asarray(values, device=DEVICE)


def cupy(values):
    """An array on the GPU; skips the test where there is none."""
    if backend._cupy() is None:
        pytest.skip("no GPU")
    return backend._cupy().asarray(values)


def back(values):
    """The values on the host."""
    if type(values).__module__.startswith("array_api_strict"):
        values = values.to_device(array_api_strict.Device("CPU_DEVICE"))
    return np.asarray(backend.to_numpy(values))


class Remote(np.lib.mixins.NDArrayOperatorsMixin):
    """An array with NumPy's methods, and as little a way to the host as CuPy's: only `get`.

    It does not mix with NumPy's arrays, and what is computed from it is as it is.
    """

    def __init__(self, values):
        self.values = np.asarray(values)

    def get(self):
        return self.values

    def __array__(self, *args, **kwargs):
        raise TypeError("implicit conversion to a NumPy array is not allowed")

    def __array_namespace__(self, api_version=None):
        return RemoteModule()

    def __array_ufunc__(self, ufunc, method, *args, **kwargs):
        return remotely(getattr(ufunc, method))(*args, **kwargs)

    def __array_function__(self, function, types, args, kwargs):
        return remotely(function)(*args, **kwargs)

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return wrapped(getattr(self.values, name))

    def __getitem__(self, key):
        return wrapped(self.values[index(key)])

    def __setitem__(self, key, value):
        self.values[index(key)] = unwrapped(value)

    def __len__(self):
        return len(self.values)

    def __float__(self):
        return float(self.values)

    def __int__(self):
        return int(self.values)

    def __bool__(self):
        return bool(self.values)


class RemoteModule:
    """The functions of array_api_compat's NumPy, for Remote arrays."""

    def __init__(self, module=array_api_compat.numpy):
        self.module = module

    def asarray(self, values, dtype=None):
        """The one way there: what is asked for by name is no silent transfer."""
        return values if isinstance(values, Remote) else Remote(np.asarray(values, dtype))

    def __getattr__(self, name):
        found = getattr(self.module, name)
        return RemoteModule(found) if name == "linalg" else wrapped(found)


def remotely(function):
    """A function of NumPy's that takes and gives Remote arrays, and refuses NumPy's own."""

    def run(*args, **kwargs):
        found = function(*unwrapped(args), **{key: unwrapped(kwargs[key]) for key in kwargs})
        return wrapped(found)

    return run


def unwrapped(value):
    if isinstance(value, Remote):
        return value.values
    if isinstance(value, np.ndarray):
        raise TypeError("a NumPy array is used with one that is not on the host")
    if isinstance(value, (tuple, list)):
        return type(value)(unwrapped(part) for part in value)
    return value


def index(key):
    """An index without Remote arrays; CuPy takes those of the host too."""
    if isinstance(key, tuple):
        return tuple(index(part) for part in key)
    return key.values if isinstance(key, Remote) else key


def wrapped(value):
    if isinstance(value, (np.ndarray, np.generic)):
        return Remote(value)
    if isinstance(value, tuple) and any(isinstance(part, np.ndarray) for part in value):
        return tuple(wrapped(part) for part in value)
    if callable(value) and not isinstance(value, type):
        return remotely(value)
    return value
