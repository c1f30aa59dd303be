"""The array library that computes: CuPy where a GPU answers, NumPy elsewhere.

This is the only file that imports CuPy.  Everything above it takes its functions from the arrays it is given
(:func:`namespace`), so there is one algorithm, not one per library.
"""

import os
from functools import cache

import numpy as np
from array_api_compat import array_namespace as namespace
from array_api_compat import device

__all__ = ["asarray", "asarray_like", "device", "floating", "name", "namespace", "to_numpy"]


@cache
def _cupy():
    """CuPy if it imports and a device answers, else None: the wheel imports on a machine without a GPU too."""
    try:
        import cupy

        return cupy if cupy.cuda.is_available() else None
    except Exception:  # a broken driver raises its own kinds of error
        return None


def name():
    """``"cupy"`` or ``"numpy"``: what ``BENCHPRED_BACKEND`` asks for, else CuPy where it works.

    Raises ValueError on another name, and RuntimeError when CuPy is asked for and no GPU answers.
    """
    wanted = os.environ.get("BENCHPRED_BACKEND", "").strip().lower()
    if wanted not in ("", "numpy", "cupy"):
        raise ValueError(f"BENCHPRED_BACKEND is {wanted!r}; use 'numpy', 'cupy', or leave it unset")
    if wanted == "cupy" and _cupy() is None:
        raise RuntimeError(
            "BENCHPRED_BACKEND=cupy, but CuPy does not import or no GPU answers; install the extra gpu-cuda12 or "
            "gpu-cuda13 (one of them), or unset the variable to compute with NumPy"
        )
    return wanted or ("cupy" if _cupy() else "numpy")


def asarray(values):
    """`values` as an array of the chosen library, on its device (no copy where none is needed)."""
    return _cupy().asarray(values) if name() == "cupy" else np.asarray(values)


def asarray_like(values, like):
    """`values`, on the host or already there, as an array of the same library and on the same device as `like`."""
    return namespace(like).asarray(values, device=device(like))


def floating(values, dtype=None):
    """`values` in floating point: as they are if they are so, else (0/1 scores in bytes, say) in `dtype` or float64."""
    xp = namespace(values)
    if dtype is None and xp.isdtype(values.dtype, "real floating"):
        return values
    return xp.astype(values, dtype or xp.float64, copy=False)


def to_numpy(values):
    """`values` as a NumPy array in the computer's memory, wherever it lived."""
    return values.get() if hasattr(values, "get") else np.asarray(values)
