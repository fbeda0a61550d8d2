"""The runs of a plan, each a task of a dask cluster: one of this machine, or one that is there."""

import contextlib
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pe_lib import check
from pe_lib.runs.execute import Outcome, error_entry, execute
from pe_lib.runs.plan import Job, Run, plan
from pe_lib.runs.store import finished, store

if TYPE_CHECKING:
    from distributed import Client, Future, LocalCluster

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
    raises.  Progress goes to stderr if that is a terminal.
    """
    if workers is not None:
        workers = check.size("workers", workers)
    planned, out = plan(jobs), Path(out)
    records: dict[str, dict] = {}
    for run in planned:
        record = finished(out, run)
        if record is not None:
            records[run.stem] = record
    todo = [run for run in planned if run.stem not in records]
    if todo:
        out.mkdir(parents=True, exist_ok=True)
        records.update(_run_all(todo, len(planned), out, scheduler, workers))
    return [records[run.stem] for run in planned]


def _run_all(todo: list[Run], planned: int, out: Path, scheduler: str | None, workers: int | None) -> dict[str, dict]:
    """Run and store the runs.  -> {stem: record}"""
    from distributed import Client
    from tqdm import tqdm

    records = {}
    bar = tqdm(total=planned, initial=planned - len(todo), unit="run", disable=None)
    room = len(todo) if scheduler else _room(len(todo), workers)
    cluster = contextlib.nullcontext(scheduler) if scheduler else _local_cluster(room)
    with bar, cluster as address, Client(address) as client:
        for run, outcome in _outcomes(client, todo, room):
            records[run.stem] = run.draft() | outcome.changes
            store(out, run, records[run.stem], outcome.executed)
            bar.update()
    return records


def _room(runs: int, workers: int | None) -> int:
    """How many processes to start on this machine."""
    from dask.system import CPU_COUNT

    return min(runs, CPU_COUNT, workers or CPU_COUNT)


def _local_cluster(workers: int) -> "LocalCluster":
    """So many processes on this machine, each with one thread and one run at a time."""
    from distributed import LocalCluster

    return LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        processes=True,
        silence_logs="CRITICAL",
        dashboard_address="127.0.0.1:0",  # any free port, this machine only; None would take 8787
        scheduler_kwargs={"allowed_failures": 0},  # no second try where a worker died
        preload=["import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"],  # Ctrl-C is for this process
    )


def _outcomes(client: "Client", todo: list[Run], room: int) -> Iterator[tuple[Run, Outcome]]:
    """Each run with its outcome, as they end.

    No more than ``room`` are with the cluster at a time: a task that waits at a worker dies with it.
    """
    from distributed import as_completed

    waiting = deque(todo[room:])
    running = {_submit(client, run): run for run in todo[:room]}
    ended = as_completed(running)
    for future in ended:
        yield running.pop(future), _outcome(future)
        if waiting:
            run = waiting.popleft()
            future = _submit(client, run)
            running[future] = run
            ended.add(future)


def _submit(client: "Client", run: Run) -> "Future":
    return client.submit(execute, run, pure=False)


def _outcome(future: "Future") -> Outcome:
    try:
        return future.result()
    except Exception as error:  # the worker died, or no cell could be started there: the record says which
        return Outcome({"error": error_entry(None, None, type(error).__name__, error)})
