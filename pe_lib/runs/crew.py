"""The workers of a dask cluster: which of them can do the runs, who has which, and when there is nobody left."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

from pe_lib.runs.execute import Outcome, error_entry, examine, execute
from pe_lib.runs.plan import Run

if TYPE_CHECKING:
    from distributed import Client, Future

# distributed is imported where it starts: where all is finished, it is not needed.

TICK = 0.5  # seconds between two looks at who is there, at most


@dataclass(frozen=True)
class Task:
    """A run and the worker that has it."""

    run: Run
    worker: str


class Crew:
    """The workers of a cluster that can do the runs.

    samples   runs that a worker must be able to do, one of each notebook
    cores     that each run may use
    patience  how many seconds without a worker are the end
    advice    what to do then
    say       called with a line on each worker that cannot do the runs
    """

    def __init__(
        self,
        client: "Client",
        samples: list[Run],
        *,
        cores: int,
        patience: float,
        advice: str,
        say: Callable[[str], None],
    ) -> None:
        self.client, self.samples, self.cores = client, samples, cores
        self.patience, self.advice, self.say = patience, advice, say
        self.threads: dict[str, int] = {}  # of each worker that can do the runs
        self.unfit: set[str] = set()  # the other workers
        self.running: dict[Future, Task] = {}
        self.last_seen = time.monotonic()  # when there was a worker

    def look(self) -> None:
        """Take in who has come, and forget who has gone.  ConnectionError if there has been nobody for too long."""
        present = self.client.nthreads()
        self.threads = {worker: self.threads[worker] for worker in present if worker in self.threads}
        known = self.threads.keys() | self.unfit
        reasons = self._reasons([worker for worker in present if worker not in known])
        for worker, reason in reasons.items():
            if reason:
                self.unfit.add(worker)
                self.say(f"the worker at {worker} is not used: {reason}")
            else:
                self.threads[worker] = present[worker]
        if self.threads:
            self.last_seen = time.monotonic()
        elif time.monotonic() - self.last_seen > self.patience:
            raise ConnectionError(self.advice)

    def lost(self) -> Iterator[tuple[Run, Outcome]]:
        """The runs whose worker is no longer there."""
        for future, task in list(self.running.items()):
            if task.worker not in self.threads:
                del self.running[future]
                future.cancel()
                yield task.run, _killed(task)

    def start(self, waiting: deque[Run]) -> None:
        """Give each thread that has none a run.  No run waits at a worker: it would die with it."""
        for worker, threads in self.threads.items():
            busy = sum(task.worker == worker for task in self.running.values())
            for _ in range(min(threads - busy, len(waiting))):
                run = waiting.popleft()
                future = self.client.submit(execute, run, self.cores, pure=False, workers=[worker])
                self.running[future] = Task(run, worker)

    def ended(self) -> Iterator[tuple[Run, Outcome]]:
        """The runs that have ended, as soon as there is one; none if there is none within a tick."""
        from distributed import wait

        if not self.running:
            time.sleep(TICK)
            return
        try:
            done = wait(list(self.running), timeout=TICK, return_when="FIRST_COMPLETED").done
        except TimeoutError:
            return
        for future in done:
            task = self.running.pop(future)
            yield task.run, _outcome(future, task)

    def _reasons(self, workers: list[str]) -> dict[str, str]:
        """What keeps each of these workers from doing the runs; empty if nothing does."""
        if not workers:
            return {}
        # The first call needs nothing of this package there, the second needs it as it is here.
        answers = self.client.run(find_spec, examine.__module__, workers=workers, on_error="return")
        able = [worker for worker, answer in answers.items() if not isinstance(answer, Exception)]
        if able:
            answers |= self.client.run(examine, self.samples, workers=able, on_error="return")
        return {worker: _reason(answer) for worker, answer in answers.items()}


def outcomes(crew: Crew, todo: list[Run]) -> Iterator[tuple[Run, Outcome]]:
    """Each run with its outcome, as they end.  Raises what `Crew.look` does, and OSError if the scheduler is gone."""
    waiting = deque(todo)
    while waiting or crew.running:
        crew.look()
        yield from crew.lost()
        crew.start(waiting)
        yield from crew.ended()


def _reason(answer: object) -> str:
    if isinstance(answer, Exception):
        return f"{type(answer).__name__}: {answer}"
    return ""


def _outcome(future: "Future", task: Task) -> Outcome:
    from distributed import KilledWorker

    try:
        return future.result()
    except KilledWorker:
        return _killed(task)
    except Exception as error:  # no cell could be started there: the record says why
        return Outcome({"error": error_entry(None, None, type(error).__name__, error)})


def _killed(task: Task) -> Outcome:
    message = f"the worker at {task.worker} died while it had this run, or could not be reached any more"
    return Outcome({"error": error_entry(None, None, "KilledWorker", message)})
