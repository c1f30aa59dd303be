"""How things are measured: CPU seconds, peak memory, ratios of interleaved pairs, exponents of growth, the machine's rates.

CPU time, not the clock on the wall: another process on the machine changes it little, a wait not at all.  A GPU's work
is no CPU time: there it is the clock on the wall (:func:`clock`).
"""

import importlib.util
import os
import platform
import signal
import sys
import tracemalloc
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timezone
from functools import wraps
from importlib.metadata import PackageNotFoundError, version
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter, process_time
from unittest import mock

import numpy as np
from scipy import stats
from threadpoolctl import threadpool_info

from benchpred_utils import METHODS, backend

PEERS = (
    "girth",
    "kmedoids",
    "pandas",
    "ppi-python",
    "py-irt",
    "pytest-benchmark",
    "scikit-learn",
    "torch",
)
NOT_INSTALLED = "not installed"


def cpu_seconds(function, *args):
    """The CPU seconds of this process, all its threads, in function(*args), and the result."""
    start = process_time()
    result = function(*args)
    return process_time() - start, result


def compare(ours, peer, repetitions, ours_share=1.0, peer_share=1.0):
    """CPU seconds of ours() and peer(), run in turn, as pairs (repetitions, 2).

    Where one ran only a share of the work, its time is divided by that share.
    """
    shares = ours_share, peer_share
    pair = lambda: [
        cpu_seconds(function)[0] / share for function, share in zip((ours, peer), shares)
    ]
    return np.array([pair() for _ in range(repetitions)])


def ratios(pairs):
    """The columns that say how `pairs` compare: medians, and the median, least and greatest ratio within a pair."""
    ours, peer = np.median(pairs, axis=0)
    ratio = pairs[:, 1] / pairs[:, 0]
    columns = {"ours_cpu_s": ours, "peer_cpu_s": peer, "ratio": np.median(ratio)}
    return columns | {
        "ratio_least": ratio.min(),
        "ratio_most": ratio.max(),
        "repetitions": len(pairs),
    }


NO_RATIOS = dict.fromkeys(ratios(np.ones((1, 2))), np.nan) | {
    "repetitions": 0
}  # of a peer that is not installed


def exponent(x, y, level=0.95):
    """The slope of log y on log x by least squares, with its standard error and Student interval."""
    fit = stats.linregress(np.log(x), np.log(y))
    reach = stats.t.ppf((1 + level) / 2, len(x) - 2) * fit.stderr if len(x) > 2 else np.nan
    return {
        "exponent": fit.slope,
        "se": fit.stderr,
        "low": fit.slope - reach,
        "high": fit.slope + reach,
    }


@contextmanager
def clocks():
    """Within it every method of METHODS counts CPU seconds per call: {"design": [...], "estimator": [...]}."""
    seconds, known = defaultdict(list), {}

    def timed(function, phase):
        @wraps(function)  # the harness takes the name of a design for its stream of random numbers
        def call(*args):
            spent, result = cpu_seconds(function, *args)
            seconds[phase].append(spent)
            return result

        # one design stays one function: methods that share it share its draws
        return known.setdefault((function, phase), call)

    both = lambda method: {
        phase: timed(getattr(method, phase), phase) for phase in ("design", "estimator")
    }
    with mock.patch.dict(
        METHODS, {name: replace(method, **both(method)) for name, method in METHODS.items()}
    ):
        yield seconds


def installed(module):
    """Whether the module of a peer can be imported."""
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # the package that it belongs to
        return False


# --- the host and the device ------------------------------------------------------------------------------------------


def clock():
    """Seconds now: CPU time of this process and of the children that have ended; on a GPU, on the wall, its work done."""
    if backend.name() == "cupy":
        backend.to_numpy(
            backend.asarray(0.0)
        )  # a copy to the host waits for all that was asked for before it
        return perf_counter()
    times = os.times()
    return process_time() + times.children_user + times.children_system


def working_memory(function):
    """function(), and the most bytes that it held at a time beyond what was held before: of arrays, on its device."""
    if backend.name() == "cupy":
        pool = backend._cupy().get_default_memory_pool()
        pool.free_all_blocks()
        before = pool.used_bytes()
        return function(), pool.total_bytes() - before
    tracemalloc.start()
    try:
        return function(), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def rates(size=2048, repetitions=5):
    """What the machine does at best, measured: operations per second of a matrix product, bytes per second of a copy.

    {"float64": 2 size^3 / time, "float32": the same, "copy": bytes read and written / time}, the best of some.
    """
    random = np.random.default_rng(0).random((size, size))
    found = {}
    for dtype in ("float64", "float32"):
        a = backend.asarray(random.astype(dtype))
        found[dtype] = 2 * size**3 / _least(lambda: a @ a, repetitions)
    large = backend.asarray(np.ones(8 * size**2))  # beyond every cache
    place = large.copy()
    return found | {
        "copy": 2 * large.nbytes / _least(lambda: place.__setitem__(..., large), repetitions)
    }


def _least(function, repetitions):
    def seconds():
        start = clock()
        function()
        return clock() - start

    return min(seconds() for _ in range(repetitions + 1))


def device_name():
    """The processor that computes the arrays: the GPU's name, or the host's."""
    if backend.name() == "cupy":
        return backend._cupy().cuda.runtime.getDeviceProperties(0)["name"].decode()
    return _cpu_model()


# --- memory -----------------------------------------------------------------------------------------------------------


def in_child(function, *args):
    """function(*args) in a new process, and the most memory, in MiB, that the process had before and at the end."""
    context = get_context("spawn")
    here, there = context.Pipe(duplex=False)
    child = context.Process(target=_send_with_peak, args=(there, function, args), daemon=True)
    child.start()
    there.close()  # so that recv raises EOFError, and does not wait, when the child dies
    try:
        result = here.recv()
        child.join()
        return result
    finally:
        child.kill()  # one that still runs: the wait was interrupted
        child.join()


def _send_with_peak(pipe, function, args):
    signal.signal(
        signal.SIGINT, signal.SIG_DFL
    )  # Ctrl-C reaches the child too: it ends without a traceback
    before = peak_memory()
    pipe.send((function(*args), before, peak_memory()))


def peak_memory():
    """The most memory, in MiB, that this process has had so far; NaN where the system does not count it."""
    status = Path("/proc/self/status")
    if status.exists():  # ru_maxrss of a child begins at its parent's, there
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 2**10
    try:
        import resource
    except ModuleNotFoundError:
        return np.nan
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
        2**20 if sys.platform == "darwin" else 2**10
    )


# --- the machine ------------------------------------------------------------------------------------------------------


def machine():
    """What the figures depend on beside the code."""
    pools = (pool for pool in threadpool_info() if pool["user_api"] == "blas")
    blas = {
        f"{pool['internal_api']} {pool['version']} ({pool.get('architecture')})" for pool in pools
    }
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="minutes"),
        "cpu": _cpu_model(),
        "device": device_name(),
        "cores": os.cpu_count(),
        "threads": int(os.environ.get("OMP_NUM_THREADS") or 0) or None,
        "system": platform.system(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "blas": ", ".join(sorted(blas)),
        "peers": {name: _version(name) for name in PEERS},
    }


def _version(package):
    try:
        return version(package)
    except PackageNotFoundError:
        return NOT_INSTALLED


def _cpu_model():
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
