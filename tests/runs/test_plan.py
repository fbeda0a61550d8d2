"""What is refused before anything starts, and what a run is called."""

import hashlib
import json
import time
from dataclasses import astuple
from pathlib import Path

import numpy as np
import pytest
from nbformat import NO_CONVERT, read, v4, write
from runs_toys import commit, notebook

from pe_lib import runs
from pe_lib.runs import digest
from pe_lib.runs import plan as door
from pe_lib.runs.notebook import read as notebook_of
from pe_lib.runs.plan import FIELDS, is_span, span


def nested(depth: int) -> list:
    """[[[...]]]"""
    value: list = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"sead": 1}, ValueError, ["case.ipynb", "sead", "did you mean seed?", "encoding"]),
        ({"zzz": 1}, ValueError, ["zzz", "seed, lr, encoding, mask, lengths, limit"]),
        ({"seed": "1"}, TypeError, ["case.ipynb", "seed", "int", "'1'"]),
        ({"seed": 1.0}, TypeError, ["seed", "1.0"]),
        ({"seed": True}, TypeError, ["seed", "True"]),
        ({"seed": None}, TypeError, ["seed", "None"]),
        ({"lr": "x"}, TypeError, ["lr", "float"]),
        ({"lr": float("nan")}, TypeError, ["lr", "nan"]),
        ({"lr": True}, TypeError, ["lr must be of type float as its default 0.001 is, got True"]),
        ({"lr": np.bool_(True)}, TypeError, ["lr must be of type float", "True"]),
        ({"encoding": 3}, TypeError, ["encoding", "str"]),
        ({"encoding": Path("x")}, TypeError, ["encoding", "Path"]),
        ({"mask": 1}, TypeError, ["mask", "bool"]),
        ({"lengths": 4}, TypeError, ["lengths", "list", "in a grid, [[0, 1]] is one list"]),
        ({"limit": {1, 2}}, TypeError, ["limit", "{1, 2}"]),
        (
            {"lr": 10**399},
            ValueError,
            ["case.ipynb: lr must be a number that a float can hold, got one of 400 digits"],
        ),
        ({"lr": -(10**399)}, ValueError, ["got one of 400 digits"]),
        ({"encoding": "\ud800"}, ValueError, ["encoding must be text that UTF-8 can hold, got '\\ud800'"]),
        ({"limit": {"\udcff": 1}}, ValueError, ["limit must be text that UTF-8 can hold"]),
        ({"limit": nested(300)}, ValueError, ["limit is nested too deeply for Python to read it"]),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else None,
)
def test_wrong_parameters_are_refused(tmp_path, changes, error, words):
    path = notebook(tmp_path / "case.ipynb")
    good = notebook(tmp_path / "good.ipynb")
    with pytest.raises(error) as caught:
        runs.run([(good, {}), (path, changes)], tmp_path / "out")
    assert not [word for word in words if word not in str(caught.value)], str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "plain"),
    [
        ({"seed": np.int64(3)}, {"seed": 3}),
        ({"lr": 1}, {"lr": 1.0}),
        ({"lr": np.float32(0.5)}, {"lr": 0.5}),
        ({"mask": np.bool_(False)}, {"mask": False}),
        ({"lengths": (1, 2)}, {"lengths": [1, 2]}),
        ({"limit": 3}, {"limit": 3}),
        ({"limit": "none"}, {"limit": "none"}),
    ],
    ids=["int64", "int for float", "float32", "numpy bool", "tuple", "int for None", "str for None"],
)
def test_parameters_are_made_plain(tmp_path, changes, plain):
    (planned,) = runs.plan([(notebook(tmp_path / "case.ipynb"), changes)])
    assert planned.changes == plain and all(type(planned.changes[name]) is type(plain[name]) for name in plain)
    assert plain.items() <= planned.parameters.items() and len(planned.parameters) == 6
    assert planned.draft()["parameters"] == planned.parameters


def test_the_draft_says_failed_until_more_is_known(tmp_path):
    (planned,) = runs.plan([(notebook(tmp_path / "case.ipynb"), {})])
    draft = planned.draft()
    assert draft["result"] == "failed" and draft["results"] == [] and draft.keys() == FIELDS
    assert draft["versions"] == {"pe_lib": planned.versions.code}
    assert draft["notebook"] == "case.ipynb" and draft["key"] == planned.key and len(planned.key) == 64
    assert [name for name, value in draft.items() if value is None and name not in ("commit", "clean")] == [
        "error",
        "seconds",
        "started",
        "processor",
    ]


def test_the_draft_names_the_commit_of_the_library(tmp_path, monkeypatch):
    package = tmp_path / "top" / "pe_lib"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    head = commit(tmp_path / "top")
    monkeypatch.setattr(digest, "PACKAGE", package)
    monkeypatch.setattr("pe_lib.collection.DATA", tmp_path / "top" / "data")
    path = notebook(tmp_path / "case.ipynb")
    assert origin_of(path) == (head, True)
    (tmp_path / "top" / "data" / "results").mkdir(parents=True)
    (tmp_path / "top" / "data" / "results" / "table.csv").write_text("what runs make, does not count\n")
    assert origin_of(path) == (head, True)
    (tmp_path / "top" / "notes.txt").write_text("x")
    assert origin_of(path) == (head, False)


def origin_of(path):
    (planned,) = runs.plan([(path, {})])
    draft = planned.draft()
    return draft["commit"], draft["clean"]


def test_outputs_do_not_matter_but_sources_tags_and_types_do(tmp_path):
    path = notebook(tmp_path / "case.ipynb", "x = 1", "")
    changed = read(path, NO_CONVERT)
    (before,) = runs.plan([(path, {})])

    def is_another():
        write(changed, path)
        (now,) = runs.plan([(path, {})])
        return now.key != before.key

    changed.cells[2].outputs = [v4.new_output("stream", text="0.123")]
    changed.cells[2].execution_count = 7
    changed.metadata["title"] = "another"
    assert not is_another()
    changed.cells[3].metadata.tags = ["remove-input"]
    assert is_another()
    (before_tags,) = runs.plan([(path, {})])
    changed.cells[3].metadata.tags = ["b", "a"]
    write(changed, path)
    (unsorted,) = runs.plan([(path, {})])
    changed.cells[3].metadata.tags = ["a", "b"]
    write(changed, path)
    (in_order,) = runs.plan([(path, {})])
    assert unsorted.key == in_order.key != before_tags.key
    changed.cells[3].metadata.tags = []
    changed.cells[0].source += "?"
    assert is_another()
    changed.cells[0].source = "# A title"
    assert not is_another()
    changed.cells[3] = v4.new_raw_cell(changed.cells[3].source, id="c3")
    assert is_another()


def test_a_parameter_changes_the_run_but_its_default_does_not(tmp_path):
    path = notebook(tmp_path / "case.ipynb")
    points = [{}, {"lr": 1e-3}, {"lr": 2.0}, {"lr": 2.0, "lengths": [1, 3]}]
    keys = [planned.key for point in points for planned in runs.plan([(path, point)])]
    assert keys[0] == keys[1] and len(set(keys)) == 3
    (plain,), (changed,) = runs.plan([(path, {})]), runs.plan([(path, {"lr": 1e-3})])
    assert plain.stem == "case" and changed.stem == f"case-{changed.key[:10]}"


def test_the_key_is_the_digest_of_cells_parameters_and_versions(tmp_path):
    """As it was for the records that are kept: another way to compute it must give the same."""
    path = notebook(tmp_path / "case.ipynb", "x = 1")
    (planned,) = runs.plan([(path, {"lr": 2.0})])
    cells = [astuple(cell) for cell in notebook_of(path.read_text()).cells]
    state = [cells, planned.parameters, astuple(planned.versions)]
    assert planned.key == hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()


@pytest.mark.parametrize(("field", "name"), [("code", "code_version"), ("data", "data_version")])
def test_another_version_is_another_run(tmp_path, monkeypatch, field, name):
    path = notebook(tmp_path / "case.ipynb")
    (before,) = runs.plan([(path, {})])
    monkeypatch.setattr(digest, name, lambda _: "another")
    (after,) = runs.plan([(path, {})])
    assert getattr(after.versions, field) == "another" and after.key != before.key


def test_a_notebook_is_examined_once_for_all_its_runs(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(digest, "code_version", lambda _: calls.append(1) or "1")
    runs.plan(runs.grid(notebook(tmp_path / "case.ipynb"), {"seed": range(5)}))
    assert len(calls) == 1


NO_NOTEBOOKS = {
    "other json": b"{}",
    "picture": b"\x89PNG\r\n\x1a\n\x00\xff",
    "nested": b"[" * 100_000 + b"]" * 100_000,
    "metadata is a list": b'{"cells": [{"cell_type": "code", "source": "", "metadata": []}]}',
    "empty": b"",
}


@pytest.mark.parametrize("content", NO_NOTEBOOKS.values(), ids=list(NO_NOTEBOOKS))
def test_a_notebook_that_is_none_is_named(tmp_path, content):
    (tmp_path / "text.ipynb").write_bytes(content)
    with pytest.raises(ValueError, match=r"^text\.ipynb: this is not a notebook of format 4$"):
        runs.plan([(tmp_path / "text.ipynb", {})])
    with pytest.raises(FileNotFoundError, match=r"none\.ipynb"):
        runs.plan([(tmp_path / "none.ipynb", {})])


@pytest.mark.parametrize("where", ["parameters", "code"])
def test_what_python_cannot_read_for_its_depth_is_named(tmp_path, where):
    deep = f"x = {'-' * 100_000}1"
    if where == "parameters":
        path = notebook(tmp_path / "case.ipynb", parameters=deep)
    else:
        path = notebook(tmp_path / "case.ipynb", f"import pe_lib\n{deep}")
    with pytest.raises(ValueError, match=r"^case\.ipynb: something in it is nested too deeply to be read$"):
        runs.plan([(path, {})])


def test_two_runs_that_would_write_one_file_are_refused(tmp_path):
    (tmp_path / "a").mkdir()
    first, other = notebook(tmp_path / "case.ipynb"), notebook(tmp_path / "a" / "case.ipynb", "x = 1")
    with pytest.raises(ValueError, match=r"two notebooks are called case\.ipynb: run them into two folders"):
        runs.run([(first, {}), (other, {"seed": 3})], tmp_path / "out")
    with pytest.raises(ValueError, match=r"case\.ipynb is asked for twice with the same parameters, {'lr': 1.0}"):
        runs.run(runs.grid(first, {"lr": [1, 1.0]}), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_grid_is_the_product_and_the_last_name_runs_fastest():
    points = [point for _, point in runs.grid("n", {"a": range(2), "b": ["x", [1]]})]
    assert points == [{"a": 0, "b": "x"}, {"a": 0, "b": [1]}, {"a": 1, "b": "x"}, {"a": 1, "b": [1]}]
    assert runs.grid("n", {"a": [5]}) == [("n", {"a": 5})]
    for empty in ({}, {"a": []}, {"a": range(2), "b": ()}, {"a": "xy"}, {"a": 5}):
        with pytest.raises(ValueError, match=r"^values must"):
            runs.grid("n", empty)


@pytest.mark.parametrize(
    ("values", "size"),
    [
        ({"seed": range(10**8)}, "100,000,000"),
        ({"seed": range(10_001)}, "10,001"),
        ({"seed": range(101), "lr": [0.0] * 100}, "10,100"),
        ({"seed": range(10**30)}, "9,223,372,036,854,775,807"),
    ],
    ids=["absurd", "one more", "product", "beyond the machine"],
)
def test_a_grid_that_is_absurd_is_refused_before_it_is_expanded(values, size):
    words = f"a grid must have at most 10,000 runs, got {size}: run a part of it at a time"
    with pytest.raises(ValueError, match=f"^{words}$"):
        runs.grid("n", values)


def test_a_grid_of_10000_runs_is_planned_in_seconds(tmp_path):
    """A millisecond a run, ten times what it takes."""
    jobs = runs.grid(notebook(tmp_path / "case.ipynb", *["x = 1"] * 50), {"seed": range(10_000)})
    runs.plan(jobs[:1])
    before = time.process_time()
    assert len({run.key for run in runs.plan(jobs)}) == 10_000
    assert time.process_time() - before < 10


def test_runs_stand_in_the_order_of_the_jobs(tmp_path):
    path = notebook(tmp_path / "case.ipynb")
    planned = runs.plan(runs.grid(path, {"seed": [2, 0, 1], "encoding": ["b", "a"]}))
    assert [(run.changes["seed"], run.changes["encoding"]) for run in planned] == [
        (2, "b"),
        (2, "a"),
        (0, "b"),
        (0, "a"),
        (1, "b"),
        (1, "a"),
    ]


def test_spans():
    assert span("0:5") == range(5) and span("-1:1") == range(-1, 1) and len(span("5:5")) == 0
    assert is_span("-3:-1") and not any(map(is_span, ("3", "a:b", "0:5:2", "1:", "b:c", "0:5,6")))


def test_the_door_is_a_function_and_not_the_module():
    assert callable(door) and door is runs.plan
