"""How things are measured: CPU seconds, peak memory, ratios of pairs, exponents of growth.

CPU time, not the clock on the wall: another process on the machine changes it little, and a wait
not at all. A GPU's work is no CPU time: there it is the clock on the wall (:func:`wall_clock`).
"""

import importlib.util
import os
import platform
import signal
import subprocess
import sys
import tracemalloc
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timezone
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from multiprocessing import get_context
from pathlib import Path
from time import monotonic, perf_counter, process_time
from unittest import mock

import numpy as np
from scipy import stats
from threadpoolctl import threadpool_info

from benchpred_utils import METHODS, backend

ROOT = Path(__file__).resolve().parents[2]
PEERS = ("girth", "kmedoids", "pandas", "ppi-python", "py-irt", "scikit-learn", "torch")
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
    pairs = []
    for _ in range(repetitions):
        pairs.append((cpu_seconds(ours)[0] / ours_share, cpu_seconds(peer)[0] / peer_share))
    return np.array(pairs)


def ratios(pairs):
    """How pairs compare: the medians, and the median, least and greatest ratio within a pair."""
    ours, peer = np.median(pairs, axis=0)
    ratio = pairs[:, 1] / pairs[:, 0]
    return {
        "ours_cpu_s": ours,
        "peer_cpu_s": peer,
        "ratio": np.median(ratio),
        "ratio_least": ratio.min(),
        "ratio_most": ratio.max(),
        "repetitions": len(pairs),
    }


# of a peer that is not installed
NO_RATIOS = dict.fromkeys(ratios(np.ones((1, 2))), np.nan) | {"repetitions": 0}


def exponent(x, y, level=0.95):
    """The slope of log y on log x by least squares, with its standard error and interval."""
    fit = stats.linregress(np.log(x), np.log(y))
    reach = stats.t.ppf((1 + level) / 2, len(x) - 2) * fit.stderr if len(x) > 2 else np.nan
    low, high = fit.slope - reach, fit.slope + reach
    return {"exponent": fit.slope, "se": fit.stderr, "low": low, "high": high}


def installed(module):
    """Whether the module of a peer can be imported."""
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # the package that it belongs to
        return False


# --- what a method spends -------------------------------------------------------------------------


@contextmanager
def clocks():
    """Within it all METHODS count CPU seconds per call: {"learn", "draw", "estimate": [...]}.

    Of a method that asks in rounds, what it does between two rounds counts as "draw".
    """
    seconds = defaultdict(list)

    @cache  # one function stays one: methods that share it share what it gives
    def timed(function, phase):
        def call(*args):
            spent, result = cpu_seconds(function, *args)
            seconds[phase].append(spent)
            return result

        return call

    @cache
    def timed_rounds(start):
        def call(*args):
            rounds = timed(start, "draw")(*args)
            rounds.next_items = timed(rounds.next_items, "draw")
            rounds.estimate = timed(rounds.estimate, "estimate")
            return rounds

        return call

    counted = {}
    for name, method in METHODS.items():
        phases = {"learn": timed(method.learn, "learn")}
        if method.start:
            phases["start"] = timed_rounds(method.start)
        else:
            phases["draw"] = timed(method.draw, "draw")
            phases["estimate"] = timed(method.estimate, "estimate")
        counted[name] = replace(method, **phases)
    with mock.patch.dict(METHODS, counted):
        yield seconds


# --- the host and the device ----------------------------------------------------------------------


def cpu_clock():
    """CPU seconds until now of this process and of its children that have ended."""
    times = os.times()
    return process_time() + times.children_user + times.children_system


def wall_clock():
    """Seconds on the wall, when all that the device was asked to do is done."""
    if backend.chosen() == "cupy":
        backend._cupy().cuda.Device().synchronize()
    return perf_counter()


def working_memory(function):
    """function(), and the most bytes that its arrays took at a time beyond those from before."""
    if backend.chosen() == "cupy":
        pool = backend._cupy().get_default_memory_pool()
        pool.free_all_blocks()
        before = pool.used_bytes()
        return function(), pool.total_bytes() - before
    tracemalloc.start()
    try:
        return function(), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def rates(clock, size=2048, repetitions=5):
    """What the machine does at best, measured: operations and bytes a second.

    "operations": 2 size^3 over the time of a product of two matrices in float64; "bytes": those
    read and written over the time of a copy; each the best of some.
    """
    a = backend.asarray(np.random.default_rng(0).random((size, size)))
    large = backend.asarray(np.ones(8 * size**2))  # beyond every cache
    place = large.copy()

    def product():
        a @ a

    def copy():
        place[...] = large

    return {
        "operations": 2 * size**3 / _least(product, clock, repetitions),
        "bytes": 2 * large.nbytes / _least(copy, clock, repetitions),
    }


def _least(function, clock, repetitions):
    return min(elapsed(function, clock) for _ in range(repetitions + 1))


def elapsed(function, clock, times=1):
    """The seconds of a call, the mean of so many."""
    start = clock()
    for _ in range(times):
        function()
    return (clock() - start) / times


def device_name():
    """The processor that computes the arrays: the GPU's name, or the host's."""
    if backend.chosen() == "cupy":
        return backend._cupy().cuda.runtime.getDeviceProperties(0)["name"].decode()
    return _cpu_model()


# --- processes and their memory -------------------------------------------------------------------


def in_child(function, *args):
    """function(*args) in a new process, and the process's peaks of memory, in MiB.

    They are those before the call and at the end.
    """
    (result,) = from_child(_with_peak, function, *args)
    return result


def _with_peak(function, *args):
    before = peak_memory()
    yield function(*args), before, peak_memory()


def from_child(function, *args, limit=None):
    """What the generator function(*args) yields in a new process, as it comes.

    Raises TimeoutError, and ends the process, when it takes more than `limit` seconds, and EOFError
    when the process dies.
    """
    context = get_context("spawn")
    here, there = context.Pipe(duplex=False)
    child = context.Process(target=_send, args=(there, function, args), daemon=True)
    end = None if limit is None else monotonic() + limit
    child.start()
    there.close()  # so that recv raises EOFError, and does not wait, when the child dies
    try:
        while here.poll(None if end is None else max(end - monotonic(), 0)):
            sent = here.recv()
            if not sent:
                child.join()
                return
            yield sent[0]
        raise TimeoutError(f"stopped after {limit} seconds")
    finally:
        child.kill()  # one that still runs: the wait was interrupted
        child.join()


def _send(pipe, function, args):
    # Ctrl-C reaches the child too: it ends without a traceback
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    for result in function(*args):
        pipe.send([result])
    pipe.send([])


def peak_memory():
    """The most memory, in MiB, that this process has had; NaN where the system counts none."""
    status = Path("/proc/self/status")
    if status.exists():  # ru_maxrss of a child begins at its parent's, there
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 2**10
    try:
        import resource
    except ModuleNotFoundError:
        return np.nan
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


# --- the machine ----------------------------------------------------------------------------------


def machine():
    """What the figures depend on: the machine, the versions, and the commit of the code."""
    pools = (pool for pool in threadpool_info() if pool["user_api"] == "blas")
    blas = {
        f"{pool['internal_api']} {pool['version']} ({pool.get('architecture')})" for pool in pools
    }
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="minutes"),
        "commit": commit(),
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


def commit():
    """The commit of this repository, "with changes" where the package's files are others."""
    try:
        head = _git("rev-parse", "--short=9", "HEAD")
        changed = _git("status", "--porcelain", "benchpred_utils", "book/benchpred_book")
    except (OSError, subprocess.CalledProcessError):
        return "not known"
    return head + " with changes" * bool(changed)


def _git(*words):
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


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
