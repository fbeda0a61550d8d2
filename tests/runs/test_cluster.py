"""Many runs: what is kept, what is repeated, and what starts on this machine."""

import contextlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass

import pandas as pd
import psutil
import pytest
from runs_toys import kind_of, notebook, record, started, wait_until

from pe_lib import runs
from pe_lib.runs import cluster, digest, execute, store
from pe_lib.runs.folders import held
from pe_lib.runs.store import finished


def todo(jobs, out) -> list[bool]:
    """Which of the jobs would be run."""
    return [runs.finished(out, planned) is None for planned in runs.plan(jobs)]


@pytest.mark.slow
def test_only_what_failed_is_repeated(out, folder):
    stems = ["kernel", "leaves", "skips", "fine"]
    jobs = [(folder / f"{stem}.ipynb", {}) for stem in stems]
    assert todo(jobs, out) == [True, True, True, False]
    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    (found,) = runs.run(jobs[-1:], out)
    assert found == json.loads((out / "fine.json").read_text())
    assert {path: path.stat().st_mtime_ns for path in out.iterdir()} == before


@pytest.mark.slow
def test_table_is_one_row_a_result_with_the_parameters(out, folder):
    table = runs.table(json.loads(path.read_text()) for path in sorted(out.glob("*.json")))
    (planned,) = runs.plan([(folder / "fine.ipynb", {})])
    assert len(record(out, "wrong")["results"]) == 3  # of a failed run: not in the table
    assert len(table) == 6 and list(table["seed"]) == [10, 11, 0] * 2  # the result wins over the parameter
    assert sorted(out.glob("fine*.json"))[0].name.startswith("fine-")
    assert list(table["lr"]) == [2.0] * 3 + [1e-3] * 3 and list(table["encoding"]) == ["nope"] * 6
    assert set(table["pe_lib"]) == {planned.versions.code}
    assert set(table["processor"]) == {execute.processor()} and isinstance(table, pd.DataFrame)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["code_version", "data_version"])
def test_workers_with_other_code_or_data_get_no_run(out, folder, tmp_path, scheduler, monkeypatch, capsys, name):
    monkeypatch.setattr(cluster, "PATIENCE", 1)
    monkeypatch.setattr(digest, name, lambda _: "0.1.0+ffffffffffff")
    with pytest.raises(ConnectionError, match="no worker that can be used"):
        runs.run([(folder / "fine.ipynb", {})], tmp_path, scheduler=scheduler)
    for line in capsys.readouterr().err.splitlines():
        assert "is not used: RuntimeError: the worker has pe_lib 0.1.0+" in line
        assert "the client has " in line and "0.1.0+ffffffffffff" in line
    assert list(tmp_path.iterdir()) == []


@dataclass
class FakeCrew:
    """Runs nothing: a seed of 1 fails, the last run ends first, and what was asked for is noted."""

    ran: list

    def outcomes(self, _, todo):
        for run in reversed(todo):
            self.ran.append(run.changes["seed"])
            if run.changes["seed"] == 1:
                yield run, execute.Outcome({"error": {"cell": None, "id": None, "name": "KeyError", "message": ""}})
            else:
                yield run, execute.Outcome({"result": "ok"}, "executed")


@pytest.fixture
def fake(monkeypatch):
    crew = FakeCrew([])
    monkeypatch.setattr(cluster, "_crew_here", lambda *_: contextlib.nullcontext())
    monkeypatch.setattr(cluster, "outcomes", crew.outcomes)
    return crew


@pytest.fixture
def jobs(tmp_path):
    return runs.grid(notebook(tmp_path / "case.ipynb"), {"seed": [2, 1, 0]})


def test_records_come_in_the_order_of_the_jobs_and_failures_are_kept_as_records(tmp_path, fake, jobs):
    found = runs.run(jobs, tmp_path / "out")
    assert [record["parameters"]["seed"] for record in found] == [2, 1, 0]
    assert [record["result"] for record in found] == ["ok", "failed", "ok"]
    assert todo(jobs, tmp_path / "out") == [False, True, False]
    again = runs.run(jobs, tmp_path / "out")
    assert fake.ran == [0, 1, 2, 1] and again == found
    assert found == [json.loads((tmp_path / "out" / f"{run.stem}.json").read_text()) for run in runs.plan(jobs)]


def test_who_reads_a_log_gets_a_line_a_run(tmp_path, fake, jobs, capsys):
    runs.run(jobs, tmp_path / "out")
    stems = [run.stem for run in reversed(runs.plan(jobs))]
    results = zip(stems, ("ok", "failed", "ok"), strict=True)
    wanted = [f"{stem}: {result}, {number} of 3 done" for number, (stem, result) in enumerate(results, 1)]
    assert capsys.readouterr().err.splitlines() == wanted


def test_a_notebook_is_digested_once_for_all_its_runs(tmp_path, fake, jobs, monkeypatch):
    calls = []
    monkeypatch.setattr(digest, "code_version", lambda _: calls.append(1) or "1")
    runs.run(jobs, tmp_path / "out")
    assert len(calls) == 1


def test_a_folder_in_which_another_process_is_at_work_is_refused(tmp_path, fake, jobs):
    (tmp_path / "out").mkdir()
    wanted = r"^another process is at work in .+out: wait for it, or name another folder$"
    with held(tmp_path / "out"), pytest.raises(BlockingIOError, match=wanted):
        runs.run(jobs, tmp_path / "out")
    assert fake.ran == []
    runs.run(jobs, tmp_path / "out")
    assert fake.ran == [0, 1, 2]


def test_what_was_finished_meanwhile_is_not_run_again(tmp_path, fake, jobs, monkeypatch):
    """Which runs are finished is asked when no other process is at work any more."""
    monkeypatch.setattr(cluster, "held", lambda out: (store_all(jobs, out), held(out))[1])
    runs.run(jobs, tmp_path / "out")
    assert fake.ran == []


def store_all(jobs, out):
    for run in runs.plan(jobs):
        store.store(out, run, run.draft() | {"result": "ok"}, "executed")


def test_halves_of_killed_processes_are_removed(tmp_path, fake, jobs):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / f".case-0123456789.json.{os.getppid()}").write_text("{")
    runs.run(jobs, tmp_path / "out")
    assert not list((tmp_path / "out").glob(".*"))


def test_a_folder_that_cannot_be_written_is_refused_before_anything_runs(tmp_path, fake, jobs, monkeypatch):
    """A superuser writes anywhere; /proc is a folder into which nobody can."""
    with pytest.raises(OSError, match="'/proc'"):
        runs.run(jobs, "/proc")
    assert fake.ran == []


def test_a_read_only_folder_where_all_is_finished_is_read(tmp_path, fake, jobs, monkeypatch):
    (tmp_path / "out").mkdir()
    store_all(jobs, tmp_path / "out")
    monkeypatch.setattr(cluster, "_refuse_unwritable", None)
    assert len(runs.run(jobs, tmp_path / "out")) == 3


def test_no_room_on_the_disk_names_the_file_and_keeps_what_is_finished(tmp_path, fake, jobs, monkeypatch):
    write_whole = store.write_whole

    def full(path, content):
        if len(list(path.parent.iterdir())) > 2:
            raise OSError(28, "No space left on device")
        write_whole(path, content)

    monkeypatch.setattr(store, "write_whole", full)
    with pytest.raises(OSError, match=r"^\[Errno 28\] No space left on device: '.+out/case-\w+\.ipynb'$"):
        runs.run(jobs, tmp_path / "out")
    monkeypatch.undo()
    assert todo(jobs, tmp_path / "out") == [True, True, False]


def test_processes_that_cannot_be_started_are_an_error_with_its_cause(tmp_path, jobs, monkeypatch):
    def fails(**_):
        try:
            raise OSError(28, "No space left on device", "/tmp/x")
        except OSError as error:
            raise RuntimeError("Nanny failed to start.") from error

    monkeypatch.setattr("distributed.LocalCluster", fails)
    wanted = r"^no process could be started for the runs: \[Errno 28\] No space left on device: '/tmp/x'$"
    with pytest.raises(OSError, match=wanted):
        runs.run(jobs, tmp_path / "out")


cores = cluster.cores()


@pytest.mark.parametrize(
    ("n_run", "workers", "wanted"),
    [(1, None, 1), (99, None, cores), (99, 1, 1), (99, 99, cores), (1, 99, 1)],
    ids=["one run", "many runs", "one worker", "more workers than cores", "more workers than runs"],
)
def test_never_more_processes_than_cores_or_runs(n_run, workers, wanted):
    assert cluster.processes(n_run, workers) == wanted


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="only Linux lets a process be kept to some cores")
def test_cores_are_those_that_this_process_may_use():
    code = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
    code += "from pe_lib.runs.cluster import cores; print(cores())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600)
    assert done.stdout == "1\n"


@pytest.mark.parametrize(("workers", "error"), [(0, ValueError), (True, TypeError), (1.5, TypeError)])
def test_workers_is_a_whole_number(tmp_path, workers, error):
    with pytest.raises(error, match="workers must be a whole number >= 1"):
        runs.run([(notebook(tmp_path / "case.ipynb"), {})], tmp_path / "out", workers=workers)
    assert not (tmp_path / "out").exists()


def test_nothing_to_do_starts_nothing(tmp_path, monkeypatch):
    jobs = [(notebook(tmp_path / "case.ipynb"), {})]
    (planned,) = runs.plan(jobs)
    (tmp_path / "out").mkdir()
    store.store(tmp_path / "out", planned, planned.draft() | {"result": "ok"}, "executed")
    monkeypatch.setattr(cluster, "_run_all", None)
    assert runs.run(jobs, tmp_path / "out")[0]["result"] == "ok" and runs.run([], tmp_path / "none") == []
    assert not (tmp_path / "none").exists()


OLDER = {"notebook": "case.ipynb", "key": "0" * 64, "result": "ok", "seconds": 1.0}


def test_a_folder_of_an_older_version_is_made_new(tmp_path, fake, jobs):
    """Records without fields of now, or of another form altogether, and notebooks without a record."""
    out = tmp_path / "out"
    out.mkdir()
    first, second, third = (run.stem for run in runs.plan(jobs))
    (out / f"{first}.json").write_text(json.dumps(OLDER | {"key": runs.plan(jobs)[0].key}))
    (out / f"{second}.json").write_text("[]")
    for stem in (first, second, third):
        (out / f"{stem}.ipynb").write_text("old")
    runs.run(jobs, out)
    assert fake.ran == [0, 1, 2]
    assert [finished(out, run) is not None for run in runs.plan(jobs)] == [True, False, True]
    assert (out / f"{first}.ipynb").read_text() == "executed"


@pytest.mark.slow
def test_what_starts_here_listens_here_only_and_is_no_more_than_the_cores(tmp_path):
    """The scheduler, its dashboard, the workers and the kernels; and a run is told how many cores are its own."""
    cell = f"import os, pathlib, time\npathlib.Path({str(tmp_path)!r}, os.environ['PYTHON_CPU_COUNT']).touch()\n"
    cell += "time.sleep(3000)"
    notebook(tmp_path / "case.ipynb", cell)
    with started(tmp_path, "case.ipynb", "--workers", "1", "--out", "out") as process:
        wait_until((tmp_path / str(cores)).exists)
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        listening = [
            connection.laddr.ip
            for member in family
            for connection in member.net_connections("inet")
            if connection.status == psutil.CONN_LISTEN
        ]
        assert len(listening) >= 4 and set(listening) == {"127.0.0.1"}
        assert [kind_of(member) for member in family].count("kernel") == 1
