"""What stands on the disk: when a run is finished, in which order it is written, and records as a table."""

import json
import os
from pathlib import Path

import pytest
from runs_toys import notebook

from pe_lib import collection, runs
from pe_lib.runs import store as room
from pe_lib.runs.store import finished, rows, store


@pytest.fixture
def planned(tmp_path):
    (planned,) = runs.plan([(notebook(tmp_path / "fine.ipynb"), {})])
    return planned


@pytest.fixture
def out(tmp_path, planned) -> Path:
    """A folder in which that run is finished."""
    (tmp_path / "out").mkdir()
    store(tmp_path / "out", planned, planned.draft() | {"result": "ok", "error": None}, "executed")
    return tmp_path / "out"


def test_what_was_stored_is_finished(out, planned):
    assert finished(out, planned) == planned.draft() | {"result": "ok"}
    assert (out / "fine.ipynb").read_text() == "executed" and (out / "fine.json").read_text().endswith("}\n")
    assert sorted(os.listdir(out)) == ["fine.ipynb", "fine.json"]


HARMS = ["half", "empty", "other json", "no notebook", "no record", "failed", "other key", "a field less", "nested"]


@pytest.mark.parametrize("harm", HARMS)
def test_a_run_that_is_not_whole_is_not_finished(out, planned, harm):
    whole = (out / "fine.json").read_text()
    texts = {
        "half": whole[: len(whole) // 2],
        "empty": "",
        "other json": "[1, 2]",
        "failed": whole.replace('"ok"', '"failed"'),
        "other key": whole.replace(planned.key, "0" * 64),
        "a field less": whole.replace('"commit"', '"was"'),
        "nested": "[" * 100_000,
    }
    if harm in texts:
        (out / "fine.json").write_text(texts[harm])
    else:
        (out / {"no notebook": "fine.ipynb", "no record": "fine.json"}[harm]).unlink()
    assert finished(out, planned) is None


def test_the_record_is_removed_first_and_written_last(out, planned, monkeypatch):
    """So that a notebook of now never stands beside a record of before, and no record without its notebook."""
    seen = []

    def watched_write(path, content):
        seen.append((path.name, sorted(os.listdir(out))))
        collection.write_whole(path, content)

    unlink = Path.unlink

    def watched_unlink(path, missing_ok=False):
        if path.parent == out and not path.name.startswith("."):
            seen.append((f"remove {path.name}", sorted(os.listdir(out))))
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(room, "write_whole", watched_write)
    monkeypatch.setattr(Path, "unlink", watched_unlink)
    store(out, planned, planned.draft(), "executed again")
    assert seen == [
        ("remove fine.json", ["fine.ipynb", "fine.json"]),
        ("remove fine.ipynb", ["fine.ipynb"]),
        ("fine.ipynb", []),
        ("fine.json", ["fine.ipynb"]),
    ]


def test_a_run_of_which_no_cell_was_started_leaves_no_notebook(out, planned):
    store(out, planned, planned.draft(), None)
    assert os.listdir(out) == ["fine.json"]


def test_a_record_is_written_as_it_is_read(out, planned):
    text = (out / "fine.json").read_text()
    store(out, planned, planned.draft() | {"processor": "Prozessor für µ"}, "executed")
    assert "Prozessor für µ" in (out / "fine.json").read_text(encoding="utf-8") and text.startswith('{\n "notebook"')


def test_half_of_a_surrogate_pair_is_written_so_that_json_reads_it_again(out, planned):
    record = planned.draft() | {"results": [{"letter": "\ud800 é"}]}
    store(out, planned, record, "printed \udcff")
    assert json.loads((out / "fine.json").read_text(encoding="utf-8")) == record
    assert (out / "fine.ipynb").read_text() == "printed \\udcff"


def test_a_file_for_which_there_is_no_room_is_named(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(room, "write_whole", full)
    with pytest.raises(OSError, match=r"^\[Errno 28\] No space left on device: '.+table\.csv'$"):
        room.write(tmp_path / "table.csv", "x")


RECORD = {
    "result": "ok",
    "parameters": {"seed": 0, "lr": 2.0},
    "results": [{"seed": 10}, {"loss": 0.5}],
    "versions": {"pe_lib": "0.1.0+abc"},
    "commit": "0123456789ab",
    "clean": True,
    "processor": "P",
}


def test_a_row_a_result_with_the_parameters_and_where_it_comes_from():
    source = {"pe_lib": "0.1.0+abc", "commit": "0123456789ab", "clean": True, "processor": "P"}
    assert rows(RECORD) == [{"seed": 10, "lr": 2.0, **source}, {"seed": 0, "lr": 2.0, "loss": 0.5, **source}]
    assert rows(RECORD | {"result": "failed"}) == [] == rows(RECORD | {"results": []})


def test_table():
    table = runs.table([RECORD, RECORD | {"result": "failed"}, RECORD])
    assert list(table.columns) == ["seed", "lr", "pe_lib", "commit", "clean", "processor", "loss"]
    assert list(table["seed"]) == [10, 0] * 2  # the result wins over the parameter
