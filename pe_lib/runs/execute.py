"""One run, executed: what a worker does."""

import logging
import os
import platform
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from pe_lib import collection
from pe_lib.runs.digest import packages, versions_of
from pe_lib.runs.folders import scratch
from pe_lib.runs.notebook import read
from pe_lib.runs.plan import Run

# nbformat, papermill and traitlets are imported where they start: planning needs none of them.


@dataclass(frozen=True)
class Outcome:
    """What became of a run."""

    changes: dict  # of the record, compared with the draft
    executed: str | None = None  # the executed notebook as text; None if no cell was started


def execute(run: Run, cores: int = 1) -> Outcome:
    """Run one notebook on the worker.

    ok means that papermill raised nothing and every code cell was executed and shows no error.  The
    kernel starts in an empty folder, with one thread; ``cores`` is what it is told that there are, for the
    processes that it starts itself.  Raises RuntimeError if the code or the data here are not those of the
    plan, and what papermill raised if no cell was started.
    """
    import nbformat

    _check_versions(run)
    # The kernel inherits what is set here.  dask's nanny makes glibc give back all memory at once, and a training
    # step asks for it again, page by page: that took a third of the time.
    os.environ.pop("MALLOC_TRIM_THRESHOLD_", None)
    # The last is Python's own name for the cores that a program may use.
    os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", PYTHON_CPU_COUNT=str(cores))
    before = nbformat.v4.upgrade(nbformat.reads(run.source, as_version=4))  # gives an old notebook its cell ids
    started = datetime.now(UTC)
    clock = time.perf_counter()
    executed, raised = _with_papermill(before, run.changes, _slow_modules(run))
    seconds = round(time.perf_counter() - clock, 3)
    executed.metadata.papermill.update(input_path=run.notebook, output_path=run.notebook)  # not a folder that is gone
    error = _first_error(executed, [cell.id for cell in before.cells], raised)
    changes = {
        "result": "failed" if error else "ok",
        "error": error,
        "seconds": seconds,
        "started": started.isoformat(timespec="seconds"),
        "versions": _versions(run),
        "processor": processor(),
        "results": _reported(executed),
    }
    return Outcome(changes, nbformat.writes(executed) + "\n")


def examine(samples: list[Run]) -> None:
    """Raises what keeps this worker from running the ``samples``: other code or data, a package that is not there."""
    for run in samples:
        _check_versions(run)
        _versions(run)


def error_entry(cell: int | None, cell_id: str | None, name: str, message: object) -> dict:
    """An error as a record holds it; ``cell`` counts the cells of the notebook's file from 0."""
    return {"cell": cell, "id": cell_id, "name": name, "message": str(message)}


def processor() -> str:
    """The name of the processor, as exactly as the system tells it."""
    info = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.+)", info.read_text()) if info.exists() else []
    return names[0] if names else platform.processor() or platform.machine()


def _check_versions(run: Run) -> None:
    present, wanted = versions_of(read(run.source)), run.versions
    if present != wanted:
        raise RuntimeError(
            f"the worker has pe_lib {present.code} and data {present.data}, "
            f"the client has {wanted.code} and {wanted.data}"
        )


def _slow_modules(run: Run) -> list[str]:
    """What the run is likely to import and takes long."""
    from pe_lib.runs.forked import SLOW

    used = packages(read(run.source))
    return [module for package, modules in SLOW.items() if package in used for module in modules]


def _with_papermill(notebook: Any, parameters: dict, modules: list[str]) -> tuple[Any, Exception | None]:
    """The executed notebook, and what papermill raised.  Raises that if it left no notebook.

    ``modules`` are imported before its kernel starts, once for all the runs of a worker.
    """
    import nbformat
    import papermill
    from traitlets.config import Config

    from pe_lib.runs.forked import ForkKernelManager

    logging.getLogger("papermill").setLevel(logging.CRITICAL)  # the record says it better
    raised = None
    with scratch() as folder:
        before, after, start = folder / "before.ipynb", folder / "after.ipynb", folder / "start"
        nbformat.write(notebook, before)
        start.mkdir()
        sockets = {"transport": "ipc", "connection_file": f"{folder}/kernel.json"}  # TCP ports could collide
        try:
            papermill.execute_notebook(
                before,
                after,
                parameters,
                kernel_name="python3",
                language="python",
                progress_bar=False,
                start_timeout=300,  # seconds
                resources={"metadata": {"path": str(start)}},  # papermill's cwd= would move this whole process
                kernel_manager_class=ForkKernelManager,
                config=Config(KernelManager=sockets, ForkKernelManager={"modules": modules}),
                extra_arguments=["--log-level=CRITICAL"],
            )
        except Exception as error:  # of the notebook's own code, of its kernel or of papermill
            raised = error
        if raised and not after.exists():
            raise raised
        return nbformat.read(after, as_version=4), raised


def _first_error(executed: Any, ids: list[str], raised: Exception | None) -> dict | None:
    """The first error of an executed notebook; papermill calls even a cell whose kernel died completed.

    ``ids`` are those of the cells as they were before papermill put cells of its own between them.
    """
    code = [cell for cell in executed.cells if cell.cell_type == "code" and cell.source.strip()]
    begun = [cell for cell in code if cell.metadata.papermill.get("start_time")]
    if raised and not begun:
        raise raised
    for cell in code:
        for output in cell.outputs:
            if output.output_type == "error":
                return _error_of(cell, ids, output.ename, output.evalue)
    if raised:
        return _error_of(begun[-1], ids, type(raised).__name__, raised)
    for cell in code:
        if cell.execution_count is None:
            return _error_of(cell, ids, "NotExecuted", "this cell was not executed")
    return None


def _error_of(cell: Any, ids: list[str], name: str, message: object) -> dict:
    number = ids.index(cell.id) if cell.id in ids else None
    return error_entry(number, cell.id, name, message)


def _versions(run: Run) -> dict:
    versions = {"python": platform.python_version(), "pe_lib": run.versions.code}
    for package in ("numpy", "torch", "papermill"):
        versions[package] = metadata.version(package)
    return versions


def _reported(executed: Any) -> list[dict]:
    """What the notebook handed to `collection.report`, in its order."""
    records = []
    for cell in executed.cells:
        for output in cell.get("outputs", []):
            records += output.get("data", {}).get(collection.MIME, [])
    return records
