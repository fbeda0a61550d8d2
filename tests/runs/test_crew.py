"""The workers of a cluster: who gets a run, who does not and why, and what is said when there is nobody.

The first half has a cluster that is made up, with a clock that is; in the second half real workers come and go.
"""

import json
import os
import shutil
import subprocess
import sys
import threading
from dataclasses import dataclass, field

import pytest
from distributed import KilledWorker, LocalCluster
from runs_toys import notebook, wait_until

from pe_lib import runs
from pe_lib.runs import cluster, crew, execute
from pe_lib.runs.__main__ import main
from pe_lib.runs.crew import Crew, outcomes
from pe_lib.runs.digest import PACKAGE
from pe_lib.runs.plan import Run

A, B = "tcp://a:1", "tcp://b:1"


@dataclass
class FakeFuture:
    run: Run
    worker: str
    dies: bool
    is_cancelled: bool = False

    def result(self):
        if self.dies:
            raise KilledWorker("task", None, 0)
        if self.run.changes["seed"] == 9:
            raise KeyError("died")
        return execute.Outcome({"result": "ok"}, "executed")

    def cancel(self):
        self.is_cancelled = True


@dataclass
class FakeClient:
    """A cluster in which every run ends at once, the last one first, except at a worker that is stuck."""

    threads: dict[str, int]
    unfit: dict[str, Exception] = field(default_factory=dict)
    stuck: set[str] = field(default_factory=set)
    dies: set[int] = field(default_factory=set)  # seeds
    futures: list[FakeFuture] = field(default_factory=list)
    held: list[FakeFuture] = field(default_factory=list)
    most: int = 0
    asked: list[str] = field(default_factory=list)  # workers that were examined

    def nthreads(self):
        return dict(self.threads)

    def run(self, function, *arguments, workers, on_error):
        assert on_error == "return"
        if function is execute.examine:
            self.asked += workers
        return {worker: self.unfit.get(worker) for worker in workers}

    def submit(self, function, run, cores, *, pure, workers):
        assert function is execute.execute and pure is False and cores == 3
        (worker,) = workers
        future = FakeFuture(run, worker, run.changes["seed"] in self.dies)
        self.futures.append(future)
        self.held.append(future)
        self.most = max(self.most, len(self.held))
        return future

    def wait(self, futures, timeout, return_when):
        assert futures == [future for future in self.held if not future.is_cancelled]
        able = [future for future in futures if future.worker not in self.stuck]
        if not able:
            raise TimeoutError
        self.held.remove(able[-1])
        return type("Done", (), {"done": {able[-1]}})

    def seeds_of(self, worker):
        return [future.run.changes["seed"] for future in self.futures if future.worker == worker]


# A future stands in a dict.
FakeFuture.__hash__ = object.__hash__


class Clock:
    now = 0.0

    def sleep(self, seconds):
        self.now += seconds

    def monotonic(self):
        self.now += 0.01
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(crew, "time", clock)
    return clock


@pytest.fixture
def start(tmp_path, monkeypatch, clock):
    """Hand out runs of these seeds in a cluster that is made up.  -> the outcomes, as they come; and what is said"""

    def started(client, seeds):
        monkeypatch.setattr("distributed.wait", client.wait)
        planned = runs.plan(runs.grid(notebook(tmp_path / "case.ipynb"), {"seed": list(seeds)}))
        said = []
        hands = Crew(client, planned[:1], cores=3, patience=10, advice="start a worker", say=said.append)
        return outcomes(hands, planned), said

    return started


def results(ended) -> dict[int, str]:
    """seed -> the name of the error, or ok"""
    return {run.changes["seed"]: (outcome.changes.get("error") or {"name": "ok"})["name"] for run, outcome in ended}


@pytest.mark.parametrize("threads", [{A: 1}, {A: 2}, {A: 1, B: 2}, {A: 9}], ids=["one", "two", "three", "many"])
def test_no_more_runs_than_threads_and_each_comes_back_once(start, threads):
    client = FakeClient(threads)
    ended, said = start(client, range(5))
    ended = list(ended)
    assert sorted(run.changes["seed"] for run, _ in ended) == [0, 1, 2, 3, 4] and set(results(ended).values()) == {
        "ok"
    }
    assert client.most == min(5, sum(threads.values())) and not said
    assert all(outcome.executed == "executed" for _, outcome in ended)


def test_the_next_run_starts_after_the_last_one_is_stored(start):
    client = FakeClient({A: 1})
    ended, _ = start(client, range(3))
    for number, _ in enumerate(ended):
        assert len(client.futures) == number + 1


def test_an_error_that_is_not_of_a_cell_is_the_outcome(start):
    ended, _ = start(FakeClient({A: 1}), [9, 1])
    (_, first), (_, second) = ended
    error = {"cell": None, "id": None, "name": "KeyError", "message": "'died'"}
    assert first == execute.Outcome({"error": error}, None) and second.executed == "executed"


def test_a_run_whose_worker_dies_has_failed_and_the_others_go_on(start):
    client = FakeClient({A: 1, B: 1}, stuck={A})
    ended, _ = start(client, range(4))
    first = next(ended)
    del client.threads[A]
    assert results([first, *ended]) == {0: "KilledWorker", 1: "ok", 2: "ok", 3: "ok"}
    assert len(client.futures) == 4  # no second try
    assert [future.is_cancelled for future in client.futures] == [True, False, False, False]


def test_a_worker_that_died_is_named(start):
    """Also where dask says so first, in words of its own."""
    client = FakeClient({A: 1}, dies={0})
    ended, _ = start(client, [0])
    ((_, outcome),) = ended
    wanted = f"the worker at {A} died while it had this run, or could not be reached any more"
    assert outcome.changes["error"]["message"] == wanted


def test_nobody_is_an_error_that_says_what_to_do(start, clock):
    ended, said = start(FakeClient({}), range(2))
    with pytest.raises(ConnectionError, match=r"^start a worker$"):
        next(ended)
    assert 10 < clock.now < 12 and not said


def test_who_comes_in_time_is_used(start, clock):
    client = FakeClient({})
    ended, _ = start(client, range(2))

    def sleep(seconds):
        clock.now += seconds
        if clock.now > 9:
            client.threads[A] = 1

    clock.sleep = sleep
    assert results(ended) == {0: "ok", 1: "ok"}


def test_the_last_worker_gone_is_the_end_and_what_ended_has_come(start):
    client = FakeClient({A: 1})
    ended, _ = start(client, range(3))
    assert results([next(ended)]) == {0: "ok"}
    del client.threads[A]
    with pytest.raises(ConnectionError, match="start a worker"):
        next(ended)
    assert len(client.futures) == 1


def test_patience_starts_anew_with_each_worker(start, clock):
    client = FakeClient({A: 1})
    ended, _ = start(client, range(2))
    next(ended)
    clock.now += 100
    assert results(ended) == {1: "ok"}


def test_a_worker_that_cannot_do_the_runs_gets_none_and_is_told_of_once(start):
    client = FakeClient({A: 1, B: 1}, unfit={A: ModuleNotFoundError("No module named 'pe_lib'")})
    ended, said = start(client, range(3))
    assert results(ended) == {0: "ok", 1: "ok", 2: "ok"} and client.seeds_of(A) == []
    assert said == [f"the worker at {A} is not used: ModuleNotFoundError: No module named 'pe_lib'"]
    assert client.asked == [B]  # where the package is not, its functions are not called


def test_nobody_but_who_cannot_is_nobody(start):
    ended, said = start(FakeClient({A: 1}, unfit={A: RuntimeError("other code")}), range(3))
    with pytest.raises(ConnectionError, match="start a worker"):
        next(ended)
    assert len(said) == 1


def test_who_comes_later_is_examined_and_used(start):
    client = FakeClient({A: 1}, stuck={A})
    wait = client.wait

    def meanwhile(*arguments, **keywords):
        client.threads[B] = 1
        return wait(*arguments, **keywords)

    client.wait = meanwhile
    ended, _ = start(client, range(3))
    assert results([next(ended), next(ended)]) == {1: "ok", 2: "ok"} and client.asked == [A, B]


# Real workers


WITHOUT = """
import sys
class NotHere:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "pe_lib":
            raise ModuleNotFoundError("No module named 'pe_lib'")
sys.meta_path.insert(0, NotHere())
"""
WORKER = "from distributed.cli.dask_worker import main; main()"


@pytest.fixture
def empty(monkeypatch):
    """A cluster without any worker, whose end is not waited for as long as elsewhere."""
    monkeypatch.setattr(cluster, "PATIENCE", 2)
    quiet = {"dashboard_address": "127.0.0.1:0", "silence_logs": "CRITICAL"}
    with LocalCluster(n_workers=0, **quiet) as cluster_without:
        yield cluster_without


@pytest.fixture
def start_worker(empty):
    """Starts a worker of that cluster as people do; returns when it is connected."""
    started = []

    def start(before="", library=PACKAGE.parent):
        options = ["--nthreads", "1", "--no-nanny", "--no-dashboard", "--host", "127.0.0.1"]
        command = [sys.executable, "-c", before + WORKER, empty.scheduler_address, *options]
        environment = os.environ | {"PYTHONPATH": f"{library}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
        started.append(subprocess.Popen(command, cwd=library, env=environment, stderr=subprocess.DEVNULL))
        wait_until(lambda: sum(process.poll() is None for process in started) == len(empty.scheduler.workers))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


SCHEDULER = """
import signal
from distributed import LocalCluster
if __name__ == "__main__":
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster:
        print(cluster.scheduler_address, flush=True)
        signal.pause()
"""


def until_second(folder) -> str:
    """A cell that ends at once in the first run; the others say that they have begun, and wait to go on."""
    return f"""
import pathlib, time
folder = pathlib.Path({str(folder)!r})
if seed:
    (folder / "second").touch()
    while not (folder / "go").exists():
        time.sleep(0.1)"""


def kill_at_second(folder, process) -> None:
    """Kill a process, as soon as a second run has begun."""

    def kill():
        wait_until((folder / "second").exists)
        process.kill()

    threading.Thread(target=kill, daemon=True).start()


def asked(tmp_path, empty, *cells, number=2):
    path = notebook(tmp_path / "case.ipynb", *cells)
    return [
        str(path),
        "--grid",
        f"seed=0:{number}",
        "--out",
        str(tmp_path / "out"),
        "--scheduler",
        empty.scheduler_address,
    ]


def test_it_is_said_within_20_seconds():
    assert cluster.PATIENCE <= 10  # once for the scheduler to answer, once for a worker to come


@pytest.mark.slow
def test_no_worker(tmp_path, empty, capsys):
    assert main(asked(tmp_path, empty)) == 2
    address = empty.scheduler_address
    assert capsys.readouterr().err == (
        f"python -m pe_lib.runs: no worker that can be used is connected to {address}: start one, "
        f"`dask worker {address}`, with the same pe_lib, data and packages as here, and give the command again; "
        f"finished in {tmp_path / 'out'}: 0 of 2 runs\n"
    )


@pytest.mark.slow
def test_a_worker_without_the_package(tmp_path, empty, start_worker, capsys):
    start_worker(before=WITHOUT)
    assert main(asked(tmp_path, empty)) == 2
    unfit, nobody = capsys.readouterr().err.splitlines()
    assert unfit.endswith("is not used: ModuleNotFoundError: No module named 'pe_lib'")
    assert "no worker that can be used" in nobody


@pytest.mark.slow
def test_a_worker_with_another_version_is_passed_over(tmp_path, empty, start_worker, capsys):
    library = PACKAGE
    shutil.copytree(library, tmp_path / "other" / "pe_lib", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "other" / "pe_lib" / "check.py").write_text((library / "check.py").read_text() + "# other\n")
    shutil.copytree(library.parent / "data", tmp_path / "other" / "data")
    start_worker(library=tmp_path / "other")
    arguments = asked(tmp_path, empty, "from pe_lib import check")
    assert main(arguments) == 2
    unfit, _ = capsys.readouterr().err.splitlines()
    assert "is not used: RuntimeError: the worker has pe_lib 0.1.0+" in unfit
    start_worker()
    assert main(arguments) == 0
    passed_over, *progress = capsys.readouterr().err.splitlines()
    assert passed_over == unfit and len(progress) == 2


@pytest.mark.slow
def test_the_last_worker_killed_in_a_grid(tmp_path, empty, start_worker, capsys):
    worker = start_worker()
    kill_at_second(tmp_path, worker)
    assert main(asked(tmp_path, empty, until_second(tmp_path), number=3)) == 2
    *progress, error = capsys.readouterr().err.splitlines()
    assert error.startswith("python -m pe_lib.runs: no worker that can be used is connected")
    assert error.endswith("out: 1 of 3 runs")
    assert [line.partition(": ")[2] for line in progress] == ["ok, 1 of 3 done", "failed, 2 of 3 done"]
    records = [json.loads(path.read_text()) for path in (tmp_path / "out").glob("*.json")]
    assert {record["parameters"]["seed"]: record["result"] for record in records} == {0: "ok", 1: "failed"}


@pytest.mark.slow
def test_the_scheduler_killed_in_a_grid(tmp_path, capsys):
    with subprocess.Popen([sys.executable, "-c", SCHEDULER], stdout=subprocess.PIPE, text=True) as scheduler:
        address = scheduler.stdout.readline().strip()
        kill_at_second(tmp_path, scheduler)
        path = notebook(tmp_path / "case.ipynb", until_second(tmp_path))
        grid = ["--grid", "seed=0:2", "--out", str(tmp_path / "out"), "--scheduler", address]
        assert main([str(path), *grid]) == 2
    progress, error = capsys.readouterr().err.splitlines()
    assert progress.endswith(": ok, 1 of 2 done")
    assert error == (
        f"python -m pe_lib.runs: the scheduler at {address} ended, or cannot be reached any more; "
        f"finished in {tmp_path / 'out'}: 1 of 2 runs"
    )
