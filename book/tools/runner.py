"""Execute one chapter in a kernel that sees nothing but the data the chapter declares."""

import os
import re
import shutil
import tempfile
import threading
import time
import traceback
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import nbclient
import pairs
from compare import CHART
from keys import NOTEBOOKS, ROOT, STAMP, stamp

import benchpred_utils as bp

ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]{6,}")
RUNS = "runs"  # the folder of the stored runs beside the data
EXPECTS_ERROR = "raises-exception"  # the tag of a cell that is meant to fail


class ChapterError(Exception):
    """A chapter that could not be executed; the message names the chapter and the cell."""


def locate(names) -> tuple[dict[str, Path], list[str]]:
    """Find the files of the data sets ``names``.

    Returns a dict from the file's name in the manifest to where it lies, and the names of those that can't be had.
    """
    found, missing = {}, []
    for name in names:
        files = files_of(name)
        if files is None:
            missing.append(name)
        else:
            found |= files
    return found, missing


@cache
def files_of(name: str) -> dict[str, Path] | None:
    """The files of one data set, or None where it can't be had: asked once, for a dead network answers slowly."""
    try:
        paths = bp.data.fetch(name)
    except bp.DataUnavailable:
        return None
    return {
        entry["file"]: Path(path) for entry, path in zip(bp.data.files(name), paths, strict=True)
    }


def run_files(names) -> dict[str, Path]:
    """The files of the stored runs ``names``, by the place where the kernel finds them."""
    paths = (path for name in names for path in sorted((bp.runs.FOLDER / name).iterdir()))
    return {f"{RUNS}/{path.parent.name}/{path.name}": path for path in paths}


@contextmanager
def folder_of(files: dict[str, Path]):
    """A folder that holds exactly ``files``, as links (copies where there are none)."""
    with tempfile.TemporaryDirectory(prefix="benchpred-data-") as folder:
        for name, path in files.items():
            target = Path(folder, name)
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                target.symlink_to(path.resolve())
            except OSError:
                shutil.copyfile(path, target)
        yield Path(folder)


def kernel_environment(folder: Path) -> dict[str, str]:
    """The environment of the kernel: declared data and runs only, offline, static charts, everything reproducible."""
    return (
        os.environ
        | {
            "BENCHPRED_DATA": str(folder),
            "BENCHPRED_RUNS": str(folder / RUNS),
            "BENCHPRED_OFFLINE": "1",
            "XDG_CACHE_HOME": str(
                folder / ".cache"
            ),  # an undeclared data set must not come from the cache, either
            "BENCHPRED_BACKEND": "numpy",
            "BENCHPRED_STATIC_CHARTS": "1",
            "TQDM_DISABLE": "1",
            "OMP_NUM_THREADS": "1",  # sums in one order on every machine; and threads do not pay on small systems
            "OPENBLAS_NUM_THREADS": "1",
            "MALLOC_MMAP_THRESHOLD_": str(
                2**25
            ),  # under glibc, arrays of up to 32 MiB come from memory that was had before:
            "MALLOC_TRIM_THRESHOLD_": str(
                2**29
            ),  # to give it back and get it zeroed again took a tenth of the time
            "PYTHONHASHSEED": "0",
            "PYTHONPATH": str(ROOT),
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        }
    )


class Execution:
    """One chapter being executed in a thread of its own, so that the caller can show progress and stop it."""

    def __init__(self, name: str, files: dict[str, Path]):
        self.name, self.files = name, files
        self.notebook = pairs.read_chapter(name)
        self.n_cells = sum(cell.cell_type == "code" for cell in self.notebook.cells)
        self.n_done = 0
        self.started = time.monotonic()
        self._error = None
        # In a thread other than the main one nbclient leaves Ctrl-C alone, and so stop() can do it properly.
        self._thread = threading.Thread(target=self._run, daemon=True)
        os.environ.setdefault(
            "JUPYTER_PREFER_ENV_PATH", "1"
        )  # this environment's kernel, not the user's
        self._client = nbclient.NotebookClient(
            self.notebook,
            timeout=None,
            kernel_name="python3",
            extra_arguments=["--log-level=ERROR"],
            coalesce_streams=True,
            record_timing=False,
            shutdown_kernel="immediate",  # all that it knew is in the notebook; when asked to go, it can take seconds
            resources={"metadata": {"path": str(NOTEBOOKS)}},
            on_cell_executed=self._count,
        )
        self._thread.start()

    def _count(self, cell, cell_index, **_):
        self.n_done += cell.cell_type == "code"

    def _run(self):
        try:
            with folder_of(self.files) as folder:
                self._client.execute(env=kernel_environment(folder))
        except nbclient.exceptions.CellExecutionError as error:
            self._error = ChapterError(f"{self._failed_cell()}\n\n{error}")
        except Exception:  # a kernel that died, a disk that is full
            self._error = ChapterError(
                f"chapter {self.name}, after {self.n_done} cells:\n{traceback.format_exc()}"
            )

    def _failed_cell(self) -> str:
        for place, cell in enumerate(self.notebook.cells, start=1):
            tolerated = EXPECTS_ERROR in cell.metadata.get("tags", [])
            if not tolerated and any(
                output.output_type == "error" for output in cell.get("outputs", [])
            ):
                return cell_name(self.name, place, cell) + " failed:"
        return f"chapter {self.name} failed:"

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    def wait(self, seconds: float) -> bool:
        """Wait at most so many seconds; say whether the execution has ended."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def stop(self) -> None:
        """Kill the kernel and what it has started."""
        provisioner = getattr(self._client.km, "provisioner", None)
        pid = getattr(provisioner, "pid", None)
        if pid and hasattr(os, "killpg"):
            try:
                os.killpg(os.getpgid(pid), 9)
            except ProcessLookupError:
                pass
        self.wait(5)

    def result(self):
        """The executed notebook, tidy and stamped; raises ChapterError when the chapter failed."""
        if self._error:
            raise self._error
        notebook = _normalised(self.notebook)
        faults = output_faults(self.name, notebook)
        if faults:
            raise ChapterError("\n".join(faults))
        notebook = pairs.tidy(notebook)
        notebook.metadata[STAMP] = stamp(notebook)
        return notebook


def _normalised(notebook):
    """Drop what depends on the machine: the paths and colours in the traceback of an error that was wanted."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                output["traceback"] = [f"{output.ename}: {output.evalue}"]
    return notebook


def cell_name(name: str, place: int, cell) -> str:
    first = next((line.strip() for line in cell.source.splitlines() if line.strip()), "")
    return f"chapter {name}, cell {place} ({first[:60]})"


def output_faults(name: str, notebook) -> list[str]:
    """What must not stand in a stored output, each fault naming its cell.

    Errors (but for cells tagged raises-exception), anything on stderr, addresses of objects, and charts that would
    need the network or have no description.
    """
    faults = []
    for place, cell in enumerate(notebook.cells, start=1):
        wanted = EXPECTS_ERROR in cell.metadata.get("tags", [])
        for output in cell.get("outputs", []):
            fault = _fault(output, wanted)
            if fault:
                faults.append(f"{cell_name(name, place, cell)}: {fault}")
    return faults


def _fault(output, error_wanted: bool) -> str:
    if output.output_type == "error":
        return "" if error_wanted else f"an error: {output.ename}: {output.evalue}"
    if output.output_type == "stream":
        if output.name == "stderr":
            return f"a warning, or other output on stderr:\n{output.text.rstrip()}"
        return (
            "the address of an object, different in each run" if ADDRESS.search(output.text) else ""
        )
    chart = output.metadata.get(CHART)
    if chart:
        return "" if chart.get("description", "").strip() else "a chart without a description"
    texts = [value for mime, value in output.data.items() if mime.startswith("text/")]
    if any("vegaEmbed" in text or "altair-viz" in text for text in texts) or any(
        "vega" in mime for mime in output.data
    ):
        return "a chart that needs the network: import benchpred_utils.charts before it is drawn"
    if any("widget" in mime for mime in output.data):
        return "a widget, which is dead in the book"
    if any(ADDRESS.search(text) for text in texts):
        return "the address of an object, different in each run"
    return ""
