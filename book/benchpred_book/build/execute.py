"""Execute chapters, each in a kernel that sees nothing but the data and runs that it declares.

A stored notebook is replaced in one step, when its chapter has run to the end: stopped at any
moment, every notebook is as it was or completely new.
"""

import os
import re
import signal
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import nbclient
from nbclient.exceptions import CellExecutionError, DeadKernelError

from benchpred_utils import data

from .. import expressions, runs
from ..stored_charts import OUTPUT_KEY
from . import pairs, stamps

ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]{6,}")
EXPECTS_ERROR = "raises-exception"  # the tag of a cell that is meant to fail
ENVIRONMENT = {
    "BENCHPRED_OFFLINE": "1",
    "BENCHPRED_BACKEND": "numpy",
    "BENCHPRED_STATIC_CHARTS": "1",
    "TQDM_DISABLE": "1",
    # Sums in one order on every machine; and threads do not pay on small systems.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    # Under glibc, arrays of up to 32 MiB come from memory that was had before: to give it back and
    # get it zeroed again took a tenth of the time.
    "MALLOC_MMAP_THRESHOLD_": str(2**25),
    "MALLOC_TRIM_THRESHOLD_": str(2**29),
    "PYTHONHASHSEED": "0",
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    "JUPYTER_PREFER_ENV_PATH": "1",  # this environment's kernel, not the user's
}


class ChapterError(Exception):
    """A chapter that could not be executed; the message names the chapter and the cell."""


def in_order(names, work: Callable, jobs: int) -> Iterator:
    """Call work(name) for chapters, `jobs` at a time, those before that others take texts from.

    Yields what each call returned, as it ends.  An error, or a signal, ends it and all its kernels.
    """
    before = {name: pairs.declared(pairs.read_chapter(name), "chapters") for name in names}
    sorter = TopologicalSorter({name: set(before[name]) & set(names) for name in names})
    sorter.prepare()
    running = {}
    pool = ThreadPoolExecutor(jobs)
    try:
        while sorter.is_active():
            running |= {pool.submit(work, name): name for name in sorter.get_ready()}
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                sorter.done(running.pop(future))
                yield future.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for client in list(_clients):
            _kill(client)
        pool.shutdown()


def missing(name: str) -> str:
    """Why a chapter can't be executed, in words: which data or runs it lacks; "" if it can."""
    chapter = pairs.read_chapter(name)
    lacking = [
        f"no data: {data_set}"
        for data_set in pairs.declared(chapter, "data")
        if not _files(data_set)
    ]
    stale = [run for run in pairs.declared(chapter, "runs") if runs.state(run)]
    return "; ".join(lacking + [f"no run: {run}" for run in stale])


def execute(name: str):
    """The executed notebook of a chapter, tidy and stamped. Raises ChapterError where it fails."""
    notebook = pairs.read_chapter(name)
    stamp = stamps.stamp(notebook)
    with folder_of(notebook) as folder:
        client = Client(
            notebook,
            timeout=None,
            kernel_name="python3",
            extra_arguments=["--log-level=ERROR"],
            coalesce_streams=True,
            record_timing=False,
            shutdown_kernel="immediate",  # all that it knew is in the notebook
            resources={"metadata": {"path": str(pairs.source_path(name).parent)}},
        )
        places = {
            "BENCHPRED_DATA": str(folder),
            "BENCHPRED_RUNS": str(folder / "runs"),
            "XDG_CACHE_HOME": str(folder / ".cache"),  # nor does undeclared data come from there
        }
        _clients.append(client)
        try:
            client.execute(env=os.environ | ENVIRONMENT | places)
        except (CellExecutionError, DeadKernelError) as error:
            raise ChapterError(
                "\n".join([f"chapter {name}: {error}", *faults(name, notebook)])
            ) from error
        finally:
            _clients.remove(client)
    found = faults(name, notebook)
    if found:
        raise ChapterError("\n".join(found))
    notebook.metadata[pairs.STAMP] = stamp
    return pairs.tidy(notebook)


class Client(nbclient.NotebookClient):
    """Executes a notebook, the expressions of its prose among the code, in their order."""

    async def async_execute_cell(self, cell, cell_index, *args, **options):
        names = expressions.asked(cell)
        if names:
            reply = await self.kc.execute(
                "", silent=True, user_expressions={name: name for name in names}, reply=True
            )
            answers = reply["content"]["user_expressions"]
            cell.metadata[expressions.STORED] = [
                {"expression": name, "result": _tidy(answers[name])} for name in names
            ]
        return await super().async_execute_cell(cell, cell_index, *args, **options)


def _tidy(answer) -> dict:
    """The answer without its traceback, which holds the machine's paths."""
    return {part: value for part, value in answer.items() if part != "traceback"}


_clients = []  # of the kernels that run


def _kill(client) -> None:
    """Kill a kernel and what it has started."""
    pid = getattr(getattr(client.km, "provisioner", None), "pid", None)
    if pid:
        os.killpg(pid, signal.SIGKILL)  # it leads a group of its own


@contextmanager
def folder_of(notebook) -> Iterator[Path]:
    """A folder that holds, as links, the data and the stored runs that a chapter declares."""
    with tempfile.TemporaryDirectory(prefix="benchpred-data-") as name:
        folder = Path(name)
        (folder / "runs").mkdir()
        for data_set in pairs.declared(notebook, "data"):
            for file, path in _files(data_set).items():
                link = folder / file
                link.parent.mkdir(exist_ok=True)
                if not link.exists():
                    link.symlink_to(Path(path).resolve())
        for run in pairs.declared(notebook, "runs"):
            (folder / "runs" / run).symlink_to(runs.folder(run).resolve())
        yield folder


@cache
def _files(data_set: str) -> dict | None:
    """Where the files of a data set lie, by their names; None if it can't be had.

    It is asked once: a dead network answers slowly.
    """
    try:
        paths = data.fetch(data_set)
    except data.DataUnavailable:
        return None
    return {entry["file"]: path for entry, path in zip(data.files(data_set), paths, strict=True)}


def faults(name: str, notebook) -> list[str]:
    """What must not stand in a stored output, each fault naming its cell.

    Errors (but for cells tagged raises-exception), anything on stderr, addresses of objects, and
    charts that would need the network or have no description.  In prose, an expression that fails,
    or has two values in one chapter.
    """
    found = []
    values = expressions.known(notebook.cells)
    for place, cell in enumerate(notebook.cells, start=1):
        for entry in cell.metadata.get(expressions.STORED, []):
            result = entry["result"]
            fault = expressions.fault(result)
            if not fault and result != values[entry["expression"]]:
                fault = "it has another value further on; give the two values two names"
            if fault:
                found.append(f"chapter {name}, cell {place}, {entry['expression']!r}: {fault}")
        wanted = EXPECTS_ERROR in cell.metadata.get("tags", [])
        for output in cell.get("outputs", []):
            if output.output_type == "error" and wanted:
                output["traceback"] = []  # it holds the machine's paths
                continue
            fault = _fault(output)
            if fault:
                found.append(f"chapter {name}, cell {place} ({cell.source[:60]!r}): {fault}")
    return found


def _fault(output) -> str:
    if output.output_type == "error":
        return f"an error: {output.ename}: {output.evalue}"
    if output.get("name") == "stderr":
        return f"a warning, or other output on stderr:\n{output.text.rstrip()}"
    shown = output.get("data", {})
    text = output.get("text", "") + "".join(shown[mime] for mime in shown if "text/" in mime)
    chart = output.get("metadata", {}).get(OUTPUT_KEY)
    if chart:
        return "" if chart.get("description", "").strip() else "a chart without a description"
    if "vegaEmbed" in text or any("vega" in mime for mime in shown):
        return "a chart that needs the network: call charts.enable() before it is drawn"
    if any("widget" in mime for mime in shown):
        return "a widget, which is dead in the book"
    return "the address of an object, different in each run" if ADDRESS.search(text) else ""
