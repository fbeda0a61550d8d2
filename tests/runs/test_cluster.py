"""Many runs: what is kept, what is repeated, where they go, and that one that dies does not stop the others."""

import json

import pandas as pd
import pytest
from dask.system import CPU_COUNT
from runs_toys import notebook, record

from pe_lib import runs
from pe_lib.runs import cluster, digest, execute, store
from pe_lib.runs.plan import Run


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
def test_other_code_or_data_on_the_worker_fails_and_says_both(out, folder, tmp_path, scheduler, monkeypatch, name):
    for kind in ("json", "ipynb"):
        (tmp_path / f"fine.{kind}").write_bytes((out / f"fine.{kind}").read_bytes())
    jobs = [(folder / "fine.ipynb", {})]
    (planned,) = runs.plan(jobs)
    here = planned.versions
    monkeypatch.setattr(digest, name, lambda _: "0.1.0+ffffffffffff")
    (found,) = runs.run(jobs, tmp_path, scheduler=scheduler)
    assert found["result"] == "failed" and found["error"]["name"] == "RuntimeError"
    message = found["error"]["message"]
    assert f"the worker has pe_lib {here.code} and data {here.data}, the client has " in message
    assert "0.1.0+ffffffffffff" in message
    assert not (tmp_path / "fine.ipynb").exists() and record(tmp_path, "fine") == found


class FakeFuture:
    def __init__(self, planned):
        self.planned = planned

    def result(self):
        if self.planned.changes["seed"] == 1:
            raise KeyError("died")
        return execute.Outcome({"result": "ok"}, "executed")


class FakeClient:
    """Runs nothing; counts how many tasks are with it."""

    def __init__(self):
        self.held = []
        self.most = 0
        self.order = []

    def submit(self, function, planned, pure):
        assert function is execute.execute and pure is False and isinstance(planned, Run)
        future = FakeFuture(planned)
        self.held.append(future)
        self.order.append(planned.changes["seed"])
        self.most = max(self.most, len(self.held))
        return future

    def as_completed(self, futures):
        """Those that end last come first, to see that the order of the jobs does not hang on it."""
        client = self

        class Completed:
            def add(self, future):
                assert future in client.held

            def __iter__(self):
                while client.held:
                    yield client.held.pop()

        assert list(futures) == self.held
        return Completed()


@pytest.fixture
def fake(monkeypatch):
    client = FakeClient()
    monkeypatch.setattr("distributed.as_completed", client.as_completed)
    return client


@pytest.mark.parametrize("room", [1, 2, 5])
def test_no_more_tasks_than_room_and_each_comes_back_once(tmp_path, fake, room):
    planned = runs.plan(runs.grid(notebook(tmp_path / "case.ipynb"), {"seed": range(5)}))
    ended = list(cluster._outcomes(fake, planned, room))
    assert sorted(run.changes["seed"] for run, _ in ended) == fake.order == [0, 1, 2, 3, 4]
    assert fake.most == room
    for run, outcome in ended:
        if run.changes["seed"] == 1:
            error = {"cell": None, "id": None, "name": "KeyError", "message": "'died'"}
            assert outcome == execute.Outcome({"error": error}, None)
        else:
            assert outcome.executed == "executed"


def test_the_next_run_starts_after_the_last_one_is_stored(tmp_path, fake):
    planned = runs.plan(runs.grid(notebook(tmp_path / "case.ipynb"), {"seed": range(3)}))
    for number, _ in enumerate(cluster._outcomes(fake, planned, 1)):
        assert len(fake.order) == number + 1


def test_records_come_in_the_order_of_the_jobs_and_failures_are_kept_as_records(tmp_path, fake, monkeypatch):
    monkeypatch.setattr("distributed.Client", lambda address: FakeContext(fake))
    monkeypatch.setattr(cluster, "_local_cluster", lambda workers: FakeContext(None))
    jobs = runs.grid(notebook(tmp_path / "case.ipynb"), {"seed": [2, 1, 0]})
    found = runs.run(jobs, tmp_path / "out")
    assert [record["parameters"]["seed"] for record in found] == [2, 1, 0]
    assert [record["result"] for record in found] == ["ok", "failed", "ok"]
    assert todo(jobs, tmp_path / "out") == [False, True, False]
    again = runs.run(jobs, tmp_path / "out")
    assert fake.order.count(1) == 2 and fake.order.count(0) == 1 and again == found
    assert found == [json.loads((tmp_path / "out" / f"{run.stem}.json").read_text()) for run in runs.plan(jobs)]


class FakeContext:
    def __init__(self, value):
        self.value = value

    def __enter__(self):
        return self.value

    def __exit__(self, *_):
        pass


@pytest.mark.parametrize(
    ("n_run", "workers", "room"),
    [(1, None, 1), (99, None, CPU_COUNT), (99, 1, 1), (99, 99, CPU_COUNT), (1, 99, 1)],
    ids=["one run", "many runs", "one worker", "more workers than cores", "more workers than runs"],
)
def test_never_more_processes_than_cores_or_runs(n_run, workers, room):
    assert cluster._room(n_run, workers) == room


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
