"""The array library that computes: CuPy where a GPU answers, NumPy elsewhere.

This is the only file that imports CuPy. All others take their functions from the arrays that they
are given (:func:`array_module`), so there is one algorithm and not one per library.
"""

import os
from functools import cache

import array_api_compat
import numpy as np


def array_module(array):
    """The library of an array, with NumPy's names: `numpy`, `cupy`, or another of the standard.

    Raises TypeError, with what to give, for what is no array.
    """
    try:
        return array_api_compat.array_namespace(array)
    except TypeError as error:
        raise TypeError(f"{error}; give an array, of Scores `scores.values`") from None


@cache
def _cupy():
    """CuPy if it imports and a device answers, else None: the wheel imports without a GPU too."""
    try:
        import cupy

        return cupy if cupy.cuda.is_available() else None
    except Exception:  # a broken driver raises its own kinds of error
        return None


def chosen():
    """``"cupy"`` or ``"numpy"``: what ``BENCHPRED_BACKEND`` asks for, else CuPy where it works.

    Raises ValueError on another name, and RuntimeError when CuPy is asked for and no GPU answers.
    """
    wanted = os.environ.get("BENCHPRED_BACKEND", "").strip().lower()
    if wanted not in ("", "numpy", "cupy"):
        raise ValueError(f"BENCHPRED_BACKEND is {wanted!r}; use 'numpy', 'cupy', or leave it unset")
    if wanted == "cupy" and _cupy() is None:
        raise RuntimeError(
            "BENCHPRED_BACKEND=cupy, but CuPy does not import or no GPU answers; install the extra "
            "gpu-cuda12 or gpu-cuda13 (one of them), or unset the variable to compute with NumPy"
        )
    return wanted or ("cupy" if _cupy() else "numpy")


def asarray(values):
    """`values` as an array of the chosen library, on its device (no copy where none is needed)."""
    return _cupy().asarray(values) if chosen() == "cupy" else np.asarray(values)


def to_numpy(values):
    """`values` as a NumPy array in the computer's memory, wherever it lived."""
    return values.get() if hasattr(values, "get") else np.asarray(values)


def floating(*arrays):
    """The arrays in float64: whole numbers and single precision would round, or overflow."""
    xp = array_module(arrays[0])
    return tuple(xp.astype(array, xp.float64, copy=False) for array in arrays)
