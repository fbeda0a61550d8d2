"""What a folder of runs holds, in words, and how long the rest would take."""

import os

import pytest
from runs_toys import notebook

from pe_lib import runs
from pe_lib.runs.folders import held
from pe_lib.runs.status import forecast, status
from pe_lib.runs.store import store

ERROR = {"cell": 3, "id": "c3", "name": "AssertionError", "message": "no\nmore"}


@pytest.fixture
def planned(tmp_path):
    path = notebook(tmp_path / "case.ipynb")
    return runs.plan([*runs.grid(path, {"seed": range(4)}), (notebook(tmp_path / "other.ipynb"), {})])


@pytest.fixture
def out(tmp_path, planned):
    """A folder with two runs that are ok, one that failed, and one of each kind that is not finished."""
    out = tmp_path / "out"
    out.mkdir()
    for run, seconds in zip(planned[:2], (10.0, 20.0), strict=True):
        store(out, run, run.draft() | {"result": "ok", "seconds": seconds}, "executed")
    store(out, planned[2], planned[2].draft() | {"error": ERROR, "seconds": 0.5}, "executed")
    (out / ".case.json.12").touch()
    (out / "alone.ipynb").touch()
    (out / "cut.json").write_text('{"key": ')
    store(out, planned[4], planned[4].draft() | {"result": "ok"}, None)
    (out / "notes.txt").touch()
    return out


def test_status(out, planned):
    version = planned[0].versions.code
    assert status(out) == [
        f"{out}: 2 ok, 1 failed, 4 unfinished",
        "notebook    ok  failed  seconds  pe_lib",
        f"case.ipynb  2   1       30.5     {version}",
        f"{planned[2].stem}.ipynb, cell 3 (id c3): AssertionError: no more",
        ".case.json.12: unfinished, half written",
        "alone.ipynb: unfinished, without a record",
        "cut.json: unfinished, not a whole record of this version",
        "other.json: unfinished, without its notebook",
    ]


def test_status_of_an_empty_folder_and_of_one_in_use(tmp_path):
    assert status(tmp_path) == [f"{tmp_path}: 0 ok, 0 failed, 0 unfinished"]
    with held(tmp_path):
        assert status(tmp_path) == [f"{tmp_path}: 0 ok, 0 failed, 0 unfinished; a process is at work there"]
    with pytest.raises(FileNotFoundError, match="none"):
        status(tmp_path / "none")


@pytest.mark.parametrize(
    ("seconds", "processes", "words"),
    [
        (15, 1, "about 30 s with 1 process"),
        (15, 2, "about 15 s with 2 processes"),
        (0.1, 2, "about 1 s with 2 processes"),
        (600, 2, "about 10 min with 2 processes"),
        (36_000, 2, "about 10.0 h with 2 processes"),
    ],
)
def test_forecast(tmp_path, planned, seconds, processes, words):
    (tmp_path / "out").mkdir()
    for run, part in zip(planned[:2], (0.5, 1.5), strict=True):
        store(tmp_path / "out", run, run.draft() | {"result": "ok", "seconds": seconds * part}, "executed")
    line = forecast(planned[2:4], tmp_path / "out", processes)
    assert line == f"estimated time: {words}, as what is finished there took"


def test_forecast_is_unknown_where_no_run_of_the_notebook_is_finished(tmp_path, planned, out):
    failed = f"estimated time: unknown, {out} has no finished run of other.ipynb"
    assert forecast(planned[3:], out, 2) == failed
    nothing = f"estimated time: unknown, {tmp_path / 'none'} has no finished run of case.ipynb, other.ipynb"
    assert forecast(planned, tmp_path / "none", 2) == nothing


def test_looking_changes_nothing(out, planned):
    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    status(out)
    forecast(planned, out, 1)
    assert {path: path.stat().st_mtime_ns for path in out.iterdir()} == before and len(os.listdir(out)) == 11
