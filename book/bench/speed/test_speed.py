"""Every problem of cases/problems.py, by the package, by what a user would pick, and by what must at least be done.

make bench ARGS="--only speed"    # runs this, and makes the tables; on a GPU: make bench-gpu
python -m pytest book/bench/speed -k similarity
"""

from functools import lru_cache

import measure
import numpy as np
import pytest
from cases.problems import PROBLEMS, label, sizes

from benchpred_utils import backend

ON_DEVICE = backend.name() == "cupy"
SUBJECTS = ("ours", "peer", "cores", "solve") if ON_DEVICE else ("ours", "peer", "solve")
LONG = 3.0  # seconds after which a run is measured once; others three times, each of a tenth of a second


def pytest_generate_tests(metafunc):
    tiny = metafunc.config.getoption("--tiny")
    timed = [
        pytest.param(name, size, subject, id=f"{name}, {label(size)}, {subject}")
        for name in PROBLEMS
        for size, with_peer in sizes(name, tiny, ON_DEVICE)
        for subject in SUBJECTS
        if with_peer or subject != "peer"
    ]
    metafunc.parametrize(("name", "size", "subject"), timed)


@lru_cache(maxsize=2)  # the subjects of one problem follow each other
def work_of(name, at, on_host):
    return PROBLEMS[name].work(dict(at), np.asarray if on_host else backend.asarray)


def first_run(run, with_memory):
    """The seconds of a run that loads what is loaded once, and the memory that it took."""
    start = measure.clock()
    memory = (measure.working_memory if with_memory else lambda run: (run(), 0))(run)[1]
    return max(measure.clock() - start, 1e-6), memory


@pytest.mark.benchmark(timer=measure.clock)
def test_speed(name, size, subject, benchmark, rates):
    work = work_of(name, tuple(size.items()), subject == "cores")
    run = (work.cores or work.ours) if subject == "cores" else getattr(work, subject)
    if run is None:
        pytest.skip("nothing to run")
    seconds, memory = first_run(run, subject == "ours") if not PROBLEMS[name].once else (LONG, 0)
    what = {"peer": work.peer_name, "solve": work.solve_name}.get(subject, "")
    benchmark.extra_info |= {"name": name, "size": size, "subject": subject, "work": what}
    benchmark.extra_info |= {
        "share": work.share if subject == "peer" else 1.0,
        "matrix": work.matrix,
        "memory": memory,
    }
    count = lambda number: float(number() if callable(number) else number)
    if subject == "ours":
        benchmark.extra_info |= {"operations": count(work.operations), "bytes": count(work.bytes)}
        benchmark.extra_info |= {"rate": rates[work.precision], "copy": rates["copy"]}
    benchmark.pedantic(
        run, rounds=3 if seconds < LONG else 1, iterations=max(1, min(int(0.1 / seconds), 1000))
    )
