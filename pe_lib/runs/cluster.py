"""The runs of a plan, each a task of a dask cluster: one of this machine, or one that is there."""

import contextlib
import logging
import sys
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import CancelledError
from pathlib import Path
from typing import TYPE_CHECKING

from pe_lib import check
from pe_lib.runs.crew import Crew, outcomes
from pe_lib.runs.folders import held, remove_halves, scratch
from pe_lib.runs.plan import Job, Run, plan
from pe_lib.runs.store import finished, refuse_folder, store

if TYPE_CHECKING:
    from distributed import LocalCluster

PATIENCE = 10  # seconds without a worker of a scheduler that was named, after which a grid ends
PATIENCE_HERE = 120  # likewise where they are processes of this machine, which dask starts again

# dask, distributed and tqdm are imported where they start: where all is finished, they are not needed.


def run(
    jobs: Iterable[Job], out: str | Path, *, scheduler: str | None = None, workers: int | None = None
) -> list[dict]:
    """Run those ``jobs`` that the folder ``out`` does not hold finished.  -> records, in the order of the jobs

    jobs       (notebook path, parameters) pairs
    out        is made if need be; gets the executed notebook and the record of each run
    scheduler  address of a dask cluster, each run is a task of it; without one, processes are started here
    workers    how many at most, never more than there are cores (default: one a core)
    A run that fails does not stop the others.  All are checked before the first starts; raises what ``plan``
    raises, and OSError if ``out`` cannot be written or another process is at work in it, and where there is no
    worker.  Progress goes to stderr: a bar where that is a terminal, else a line a run.
    """
    if scheduler is not None:
        check.instance("scheduler", scheduler, str)
    return run_planned(plan(jobs), check.path("out", out), scheduler=scheduler, workers=workers)


def run_planned(
    planned: list[Run], out: Path, *, scheduler: str | None = None, workers: int | None = None
) -> list[dict]:
    """`run` for what has been planned."""
    if workers is not None:
        workers = check.size("workers", workers)
    if not planned:
        return []
    refuse_folder(out, planned)
    out.mkdir(parents=True, exist_ok=True)
    with held(out) as is_alone:
        records: dict[str, dict] = {}
        for run in planned:
            record = finished(out, run)
            if record is not None:
                records[run.stem] = record
        todo = [run for run in planned if run.stem not in records]
        if todo:
            _refuse_unwritable(out)
            remove_halves(out, is_alone=is_alone)
            records.update(_run_all(todo, len(planned), out, scheduler, workers))
    return [records[run.stem] for run in planned]


def processes(runs: int, workers: int | None) -> int:
    """How many processes to start on this machine for so many runs."""
    return min(runs, cores(), workers or cores())


def cores() -> int:
    """The cores of this machine that this process may use, as its affinity and its control group say."""
    from dask.system import cpu_count

    return cpu_count()


def _run_all(todo: list[Run], planned: int, out: Path, scheduler: str | None, workers: int | None) -> dict[str, dict]:
    """Run and store the runs.  -> {stem: record}"""
    from tqdm import tqdm

    records = {}
    bar = tqdm(total=planned, initial=planned - len(todo), unit="run", disable=None)
    crew = _crew_of(scheduler, todo) if scheduler else _crew_here(todo, workers)
    with bar, crew as hands:
        for run, outcome in outcomes(hands, todo):
            records[run.stem] = run.draft() | outcome.changes
            store(out, run, records[run.stem], outcome.executed)
            bar.update()
            if bar.disable:  # nobody watches a terminal: a line a run, for who reads a log
                _say(f"{run.stem}: {records[run.stem]['result']}, {len(records)} of {len(todo)} done")
    return records


@contextlib.contextmanager
def _crew_of(scheduler: str, todo: list[Run]) -> Iterator[Crew]:
    """The workers of a cluster that is there.  They are asked for everything that the runs need."""
    import dask
    from distributed import Client
    from distributed.comm import CommClosedError

    samples = list({run.notebook: run for run in todo}.values())
    advice = (
        f"no worker that can be used is connected to {scheduler}: start one, `dask worker {scheduler}`, with "
        "the same pe_lib, data and packages as here, and give the command again"
    )
    with _quiet(), dask.config.set({"distributed.comm.timeouts.connect": PATIENCE}):
        try:
            with Client(scheduler, timeout=PATIENCE) as client:
                # A thread of a worker stands for a core of its machine.
                yield Crew(client, samples, cores=1, patience=PATIENCE, advice=advice, say=_say)
        except (CancelledError, CommClosedError):
            raise ConnectionError(f"the scheduler at {scheduler} ended, or cannot be reached any more") from None


@contextlib.contextmanager
def _crew_here(todo: list[Run], workers: int | None) -> Iterator[Crew]:
    """Processes of this machine, each with one thread and one run at a time."""
    import dask
    from distributed import Client

    count = processes(len(todo), workers)
    advice = "the processes of this machine ended and could not be started again: give the command again"
    with (
        scratch() as folder,
        dask.config.set({"temporary-directory": str(folder)}),
        _cluster_here(count) as cluster,
        Client(cluster) as client,
    ):
        yield Crew(client, [], cores=cores() // count, patience=PATIENCE_HERE, advice=advice, say=_say)


def _cluster_here(count: int) -> "LocalCluster":
    """So many processes of this machine.  OSError if they cannot be started."""
    from distributed import LocalCluster

    try:
        return LocalCluster(
            n_workers=count,
            threads_per_worker=1,
            processes=True,
            silence_logs="CRITICAL",
            host="127.0.0.1",  # who reaches a scheduler or a worker can run code there
            dashboard_address="127.0.0.1:0",  # any free port; None would take 8787
            scheduler_kwargs={"allowed_failures": 0},  # no second try where a worker died
            preload=["import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"],  # Ctrl-C is for this process
        )
    except RuntimeError as error:
        cause: BaseException = error
        while cause.__cause__:
            cause = cause.__cause__
        raise OSError(f"no process could be started for the runs: {cause}") from None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """No lines from dask: what they mean is said in one of our own."""
    handlers = logging.getLogger("distributed").handlers
    levels = [handler.level for handler in handlers]
    for handler in handlers:
        handler.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for handler, level in zip(handlers, levels, strict=True):
            handler.setLevel(level)


def _say(line: str) -> None:
    from tqdm import tqdm

    tqdm.write(line, file=sys.stderr)


def _refuse_unwritable(out: Path) -> None:
    """Raises OSError unless files can be written into the folder."""
    try:
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(out)) from None
