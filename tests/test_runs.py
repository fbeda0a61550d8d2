"""Real notebooks on a real cluster of two processes: what is run, kept, refused, recorded and reported."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from distributed import LocalCluster
from nbformat import NO_CONVERT, read, v4, write

from pe_lib import DATA, collection, runs

DEFAULTS = "seed = 0\nlr = 1e-3\nencoding = 'nope'\nmask = True\nlengths = [4, 8]\nlimit = None"
SHOW = """\
import os
from pe_lib import collection
collection.report([{"seed": 10, "threads": os.environ["OMP_NUM_THREADS"], "here": os.listdir()}, {"seed": 11}])
collection.report([{"seed": seed, "lengths": lengths, "lr": lr}])"""
KILL = "import os, signal; os.kill(os.getppid(), signal.SIGKILL)"  # the parent of the kernel is the worker


def notebook(path, *cells, parameters=DEFAULTS, tags=("parameters",)) -> Path:
    """A notebook of a title (cell 0, id c0), a parameters cell (cell 1, id c1) and these code cells."""
    cells = [v4.new_code_cell(source, id=f"c{2 + number}") for number, source in enumerate(cells)]
    first = v4.new_code_cell(parameters, id="c1", metadata={"tags": list(tags)})
    write(v4.new_notebook(cells=[v4.new_markdown_cell("# A title", id="c0"), first, *cells]), path)
    return path


@pytest.fixture(scope="module")
def scheduler():
    """The address of a cluster of two workers, whose own environment asks for seven threads."""
    quiet = {"dashboard_address": "127.0.0.1:0", "silence_logs": "CRITICAL"}
    with LocalCluster(n_workers=2, threads_per_worker=1, env={"OMP_NUM_THREADS": "7"}, **quiet) as cluster:
        yield cluster.scheduler_address


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Notebooks that fail in every way, and two that do not."""
    folder = tmp_path_factory.mktemp("notebooks")
    notebook(folder / "fine.ipynb", SHOW, "")
    notebook(folder / "wrong.ipynb", SHOW, "assert seed == 0, f'seed is\\n{seed}'", "print(3)")
    notebook(folder / "kernel.ipynb", "print(1)", "import os; os._exit(1)", "print(3)")
    notebook(folder / "leaves.ipynb", "raise SystemExit(0)", "print(3)")
    skipped = read(notebook(folder / "skips.ipynb", "print(1)", "assert False"), NO_CONVERT)
    skipped.cells[3].metadata.tags = ["skip-execution"]
    write(skipped, folder / "skips.ipynb")
    return folder


@pytest.fixture(scope="module")
def out(tmp_path_factory, folder, scheduler):
    """Where those have been run, all in one go."""
    out = tmp_path_factory.mktemp("runs") / "made" / "when needed"
    given = {"wrong": {"seed": 1}, "fine": {"lr": 2, "lengths": (1, np.int64(2))}}
    paths = [folder / f"{stem}.ipynb" for stem in ("wrong", "kernel", "leaves", "skips", "fine")]
    jobs = [(path, given.get(path.stem, {})) for path in paths]
    records = runs.run([*jobs, (folder / "fine.ipynb", {})], out, scheduler=scheduler)
    assert [record["notebook"] for record in records] == [path.name for path, _ in [*jobs, jobs[-1]]]
    return out


def record(out, stem) -> dict:
    """The one record of this name, with or without the digits of a grid."""
    paths = [out / f"{stem}.json"] if (out / f"{stem}.json").exists() else [*out.glob(f"{stem}-*.json")]
    assert len(paths) == 1
    return json.loads(paths[0].read_text())


def todo(jobs, out) -> list[bool]:
    """Which of the jobs would be run."""
    return [runs.finished(out / stem, draft["key"]) is None for stem, *_, draft in runs.plan(jobs)]


# What a run leaves


def test_record_of_a_run_that_is_ok(out, folder):
    found = record(out, "fine")
    assert found["result"] == "ok" and found["error"] is None and found["notebook"] == "fine.ipynb"
    defaults = {"seed": 0, "lr": 1e-3, "encoding": "nope", "mask": True, "lengths": [4, 8], "limit": None}
    assert found["parameters"] == defaults
    assert found["versions"].keys() == {"python", "pe_lib", "numpy", "torch", "papermill"}
    assert found["versions"]["pe_lib"] == runs.package_version()
    assert found["versions"]["numpy"] == np.__version__
    assert found["started"].endswith("+00:00") and 0 < found["seconds"] < 600 and found["processor"]
    (draft,) = [draft for *_, draft in runs.plan([(folder / "fine.ipynb", {})])]
    assert found["key"] == draft["key"]


def test_parameters_reach_the_notebook_and_the_file_name(out):
    (name,) = [path.stem for path in out.glob("fine-*.json")]
    found = json.loads((out / f"{name}.json").read_text())
    assert name == f"fine-{found['key'][:10]}" and (out / f"{name}.ipynb").exists()
    assert found["parameters"]["lr"] == 2.0 and found["parameters"]["lengths"] == [1, 2]
    assert found["results"][2] == {"seed": 0, "lengths": [1, 2], "lr": 2.0}


def test_the_kernel_has_one_thread_and_an_empty_folder(out):
    assert record(out, "fine")["results"][0] == {"seed": 10, "threads": "1", "here": []}


def test_the_executed_notebook_is_whole_and_names_no_folder(out):
    executed = read(out / "fine.ipynb", NO_CONVERT)
    assert executed.cells[2].outputs[0].data["text/plain"] == "2 records"
    assert executed.cells[2].outputs[1].data["text/plain"] == "1 record"
    assert executed.metadata.papermill.input_path == executed.metadata.papermill.output_path == "fine.ipynb"
    assert not [path.name for path in out.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize(
    ("stem", "cell", "name", "message"),
    [
        ("wrong", 3, "AssertionError", "seed is\n1"),
        ("kernel", 3, "DeadKernelError", "Kernel died"),
        ("leaves", 2, "SystemExit", "0"),
        ("skips", 3, "NotExecuted", "this cell was not executed"),
    ],
)
def test_a_failed_run_names_the_cell_of_the_original(out, stem, cell, name, message):
    found = record(out, stem)
    assert found["result"] == "failed"
    assert found["error"] == {"cell": cell, "id": f"c{cell}", "name": name, "message": message}
    assert len(list(out.glob(f"{stem}*.ipynb"))) == 1


# What is kept, what is repeated


def test_only_what_failed_is_repeated(out, folder):
    stems = ["kernel", "leaves", "skips", "fine"]
    jobs = [(folder / f"{stem}.ipynb", {}) for stem in stems]
    assert todo(jobs, out) == [True, True, True, False]
    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    (found,) = runs.run(jobs[-1:], out)
    assert found == json.loads((out / "fine.json").read_text())
    assert {path: path.stat().st_mtime_ns for path in out.iterdir()} == before


def test_outputs_do_not_matter_but_sources_tags_and_types_do(out, folder, tmp_path):
    changed = read(folder / "fine.ipynb", NO_CONVERT)

    def again():
        write(changed, tmp_path / "fine.ipynb")
        return todo([(tmp_path / "fine.ipynb", {})], out) == [True]

    changed.cells[2].outputs = [v4.new_output("stream", text="0.123")]
    changed.cells[2].execution_count = 7
    changed.metadata["title"] = "another"
    assert not again()
    changed.cells[3].metadata.tags = ["remove-input"]
    assert again()
    changed.cells[3].metadata.tags = []
    changed.cells[0].source += "?"
    assert again()
    changed.cells[0].source = "# A title"
    changed.cells[3] = v4.new_raw_cell(changed.cells[3].source, id="c3")
    assert again()


def test_a_parameter_changes_the_run_but_its_default_does_not(out, folder, tmp_path):
    path = folder / "fine.ipynb"
    assert todo([(path, {"lr": 2.0, "lengths": [1, 2]})], out) == [False]
    assert todo([(path, {"lr": 2.0, "lengths": [1, 3]})], out) == [True]
    for given in ({}, {"lr": 1e-3}):
        (draft,) = [draft for *_, draft in runs.plan([(path, given)])]
        assert draft["key"] == record(out, "fine")["key"]


@pytest.mark.parametrize("harm", ["half", "empty", "other json", "no notebook", "no record"])
def test_a_run_that_is_not_whole_is_not_finished(out, folder, tmp_path, harm):
    for kind in ("json", "ipynb"):
        (tmp_path / f"fine.{kind}").write_bytes((out / f"fine.{kind}").read_bytes())
    jobs = [(folder / "fine.ipynb", {})]
    assert todo(jobs, tmp_path) == [False]
    whole = (tmp_path / "fine.json").read_text()
    texts = {"half": whole[: len(whole) // 2], "empty": "", "other json": "[1, 2]"}
    if harm in texts:
        (tmp_path / "fine.json").write_text(texts[harm])
    else:
        (tmp_path / {"no notebook": "fine.ipynb", "no record": "fine.json"}[harm]).unlink()
    assert todo(jobs, tmp_path) == [True]


def test_another_library_on_the_worker_fails_and_says_both(out, folder, tmp_path, scheduler, monkeypatch):
    for kind in ("json", "ipynb"):
        (tmp_path / f"fine.{kind}").write_bytes((out / f"fine.{kind}").read_bytes())
    here = runs.package_version()
    monkeypatch.setattr(runs, "package_version", lambda: "0.1.0+ffffffffffff")
    (found,) = runs.run([(folder / "fine.ipynb", {})], tmp_path, scheduler=scheduler)
    assert found["result"] == "failed" and found["error"]["name"] == "RuntimeError"
    assert here in found["error"]["message"] and "0.1.0+ffffffffffff" in found["error"]["message"]
    assert not (tmp_path / "fine.ipynb").exists() and record(tmp_path, "fine") == found


def test_package_version_changes_with_the_library(tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "HERE", tmp_path)
    assert runs.package_version().startswith("0.1.0+")
    seen = {runs.package_version()}
    for name, text in [("a.py", "1"), ("a.py", "2"), ("b.py", "1"), ("s.mplstyle", "")]:
        (tmp_path / name).write_text(text)
        assert runs.package_version() not in seen, name
        seen.add(runs.package_version())
    last = runs.package_version()
    (tmp_path / "notes.txt").write_text("x")
    assert runs.package_version() == last


def test_a_run_depends_on_the_data_that_its_notebook_names(tmp_path, monkeypatch):
    monkeypatch.setattr(collection, "DATA", tmp_path / "data")
    (tmp_path / "data/results").mkdir(parents=True)
    path = notebook(tmp_path / "case.ipynb", "from pe_lib import collection; collection.read('first')")
    keys = [runs.plan([(path, {})])[0][3]["key"]]
    for name, text in [("results/first.csv", "1"), ("results/first.csv", "2"), ("first.csv", "2")]:
        (tmp_path / "data" / name).write_text(text)
        keys.append(runs.plan([(path, {})])[0][3]["key"])
    assert len(set(keys)) == 4
    for name in ("results/second.csv", "results/first_not.csv", "results/README.md", "results/.first.csv"):
        (tmp_path / "data" / name).write_text("x")
        assert runs.plan([(path, {})])[0][3]["key"] == keys[-1], name


# What is refused before anything starts


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"sead": 1}, ValueError, ["case.ipynb", "sead", "did you mean seed?", "encoding"]),
        ({"zzz": 1}, ValueError, ["zzz", "seed, lr, encoding, mask, lengths, limit"]),
        ({"seed": "1"}, TypeError, ["case.ipynb", "seed", "int", "'1'"]),
        ({"seed": 1.0}, TypeError, ["seed", "1.0"]),
        ({"seed": True}, TypeError, ["seed", "True"]),
        ({"seed": None}, TypeError, ["seed", "None"]),
        ({"lr": "x"}, TypeError, ["lr", "float"]),
        ({"lr": float("nan")}, TypeError, ["lr", "nan"]),
        ({"encoding": 3}, TypeError, ["encoding", "str"]),
        ({"encoding": Path("x")}, TypeError, ["encoding", "Path"]),
        ({"mask": 1}, TypeError, ["mask", "bool"]),
        ({"lengths": 4}, TypeError, ["lengths", "list"]),
        ({"limit": {1, 2}}, TypeError, ["limit", "{1, 2}"]),
    ],
)
def test_wrong_parameters_are_refused(tmp_path, given, error, words):
    path = notebook(tmp_path / "case.ipynb")
    good = notebook(tmp_path / "good.ipynb")
    with pytest.raises(error) as caught:
        runs.run([(good, {}), (path, given)], tmp_path / "out")
    assert not [word for word in words if word not in str(caught.value)], str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        ({"seed": np.int64(3)}, {"seed": 3}),
        ({"lr": 1}, {"lr": 1.0}),
        ({"lr": np.float32(0.5)}, {"lr": 0.5}),
        ({"mask": np.bool_(False)}, {"mask": False}),
        ({"lengths": (1, 2)}, {"lengths": [1, 2]}),
        ({"limit": 3}, {"limit": 3}),
        ({"limit": "none"}, {"limit": "none"}),
    ],
)
def test_parameters_are_made_plain(tmp_path, given, plain):
    ((_, _, found, draft),) = runs.plan([(notebook(tmp_path / "case.ipynb"), given)])
    assert found == plain and all(type(found[name]) is type(plain[name]) for name in plain)
    assert plain.items() <= draft["parameters"].items() and len(draft["parameters"]) == 6


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ({"tags": []}, "tagged 'parameters'"),
        ({"tags": ["parameters", "injected-parameters"]}, "injected-parameters"),
        ({"parameters": "a = 1\nb = 2 * 3"}, "b = 2 * 3"),
        ({"parameters": "import os"}, "import os"),
        ({"parameters": "a, b = 1, 2"}, "a, b = (1, 2)"),
        ({"parameters": "a = (1"}, "never closed"),
    ],
)
def test_notebooks_without_plain_parameters_are_refused(tmp_path, cell, words):
    path = notebook(tmp_path / "case.ipynb", "x = 1", **cell)
    with pytest.raises(ValueError, match=r"case\.ipynb") as caught:
        runs.run([(path, {})], tmp_path / "out")
    assert words in str(caught.value) and not (tmp_path / "out").exists()


def test_two_runs_that_would_write_one_file_are_refused(tmp_path):
    (tmp_path / "a").mkdir()
    one, other = notebook(tmp_path / "case.ipynb"), notebook(tmp_path / "a" / "case.ipynb", "x = 1")
    with pytest.raises(ValueError, match=r"two notebooks are called case\.ipynb"):
        runs.run([(one, {}), (other, {"seed": 3})], tmp_path / "out")
    with pytest.raises(ValueError, match="twice"):
        runs.run(runs.grid(one, {"lr": [1, 1.0]}), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_grid_is_the_product_and_the_last_name_runs_fastest():
    points = [point for _, point in runs.grid("n", {"a": range(2), "b": ["x", [1]]})]
    assert points == [{"a": 0, "b": "x"}, {"a": 0, "b": [1]}, {"a": 1, "b": "x"}, {"a": 1, "b": [1]}]
    assert runs.grid("n", {"a": [5]}) == [("n", {"a": 5})]
    for empty in ({}, {"a": []}, {"a": range(2), "b": ()}, {"a": "xy"}, {"a": 5}):
        with pytest.raises(ValueError, match="grid"):
            runs.grid("n", empty)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a=0:5", [0, 1, 2, 3, 4]),
        ("a=-1:1", [-1, 0]),
        ("a=5:5", []),
        ("a=3", [3]),
        ("a=nope,sinusoidal", ["nope", "sinusoidal"]),
        ("a=1, 2.5,true,null,1e-3,x=y", [1, 2.5, True, None, 1e-3, "x=y"]),
        ('a="3",b:c', ["3", "b:c"]),
        ("a=[[0,1],[2,3]]", [[0, 1], [2, 3]]),
        ("a=[]", []),
    ],
)
def test_grid_on_the_command_line(text, values):
    name, found = runs.parse_grid(text)
    assert name == "a" and found == values and [*map(type, found)] == [*map(type, values)]


@pytest.mark.parametrize("text", ["a", "a=", "=3", "a b=3", "a=1,,2", "a=[1,2", "a=1,"])
def test_grid_text_that_is_refused(text):
    with pytest.raises(ValueError, match="--grid"):
        runs.parse_grid(text)


# What a notebook reports


@pytest.mark.parametrize(
    "records", [None, {"a": 1}, [1], ({"a": 1},), [{"a": float("nan")}], [{"a": np.arange(2)}]]
)
def test_report_refuses_what_is_not_a_list_of_plain_dicts(records):
    with pytest.raises(TypeError, match=r"^records must be"):
        collection.report(records)


def test_table_is_one_row_a_result_with_the_parameters(out):
    table = runs.table(json.loads(path.read_text()) for path in sorted(out.glob("*.json")))
    assert len(record(out, "wrong")["results"]) == 3  # of a failed run: not in the table
    assert len(table) == 6 and list(table["seed"]) == [10, 11, 0] * 2  # the result wins over the parameter
    assert sorted(out.glob("fine*.json"))[0].name.startswith("fine-")
    assert list(table["lr"]) == [2.0] * 3 + [1e-3] * 3 and list(table["encoding"]) == ["nope"] * 6
    assert set(table["pe_lib"]) == {runs.package_version()} and set(table["processor"]) == {runs._processor()}


def test_read_results_finds_the_table_beside_the_package(tmp_path, monkeypatch):
    assert DATA == Path(runs.__file__).resolve().parent.parent / "data"
    monkeypatch.setattr(collection, "DATA", tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="'first'; there are: none"):
        collection.read("first")
    (tmp_path / "data/results").mkdir(parents=True)
    (tmp_path / "data/results/first.csv").write_text("encoding,loss\nnope,0.1234567890123456789\n")
    (tmp_path / "data/results/second.csv").write_text("a\n1\n")
    found = collection.read("first")
    assert found["loss"][0] == 0.1234567890123456789 and found["encoding"][0] == "nope"
    with pytest.raises(FileNotFoundError, match="'third'; there are: first, second"):
        collection.read("third")


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    def no_room(*_, **__):
        raise OSError("no room")

    collection.write_whole(tmp_path / "a.json", "old")
    for owner, name in ((os, "replace"), (Path, "write_bytes")):
        with monkeypatch.context() as patch, pytest.raises(OSError, match="no room"):
            patch.setattr(owner, name, no_room)
            collection.write_whole(tmp_path / "a.json", "new")
        assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
        assert (tmp_path / "a.json").read_text() == "old"


# The command line


def test_csv_holds_what_these_runs_reported(tmp_path, scheduler, capsys):
    cell = "from pe_lib import collection; collection.report([{'twice': 2 * seed}])"
    reports = notebook(tmp_path / "case.ipynb", cell)
    asked = ["--out", str(tmp_path / "out"), "--csv", str(tmp_path / "t.csv"), "--scheduler", scheduler]
    assert runs.main([str(reports), "--grid", "seed=3,4", *asked]) == 0
    text = (tmp_path / "t.csv").read_text()
    assert pd.read_csv(tmp_path / "t.csv")["twice"].tolist() == [6, 8]
    fails = notebook(tmp_path / "other.ipynb", "assert seed == 3")
    assert runs.main([str(fails), "--grid", "seed=3,5", *asked]) == 1
    assert (tmp_path / "t.csv").read_text() == text  # one run failed: the old table stays
    silent = notebook(tmp_path / "silent.ipynb", "assert True")
    assert runs.main([str(silent), *asked]) == 1 and "no run reported anything" in capsys.readouterr().err
    assert (tmp_path / "t.csv").read_text() == text


def test_exit_status_0_then_kept(tmp_path, scheduler, capsys):
    path = notebook(tmp_path / "case.ipynb", "assert encoding in ('nope', 'rope') and seed == 3")
    asked = [str(path), "--grid", "encoding=nope,rope", "--grid", "seed=3", "--out", str(tmp_path / "out")]
    assert runs.main([*asked, "--scheduler", scheduler]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["notebook", "encoding", "seconds", "result"]
    assert [line.split()[1] for line in lines[1:]] == ["nope", "rope"]
    assert all((tmp_path / "out" / line.split()[0]).exists() for line in lines[1:])  # the executed notebooks
    assert [line.split()[-1] for line in lines[1:]] == ["ok", "ok"]
    paths = sorted((tmp_path / "out").glob("case-*.json"))
    assert len(paths) == 2 and runs.main(asked) == 0
    shown = capsys.readouterr()
    assert [line.split()[-1] for line in shown.out.splitlines()] == ["result", "kept", "kept"]
    assert not shown.err
    paths[0].write_text(paths[0].read_text()[:-9])  # as if the writing had been cut short
    assert runs.main([*asked, "--scheduler", scheduler]) == 0
    table = capsys.readouterr().out.splitlines()
    assert sorted(line.split()[-1] for line in table) == ["kept", "ok", "result"]
    assert json.loads(paths[0].read_text())["result"] == "ok"


def test_exit_status_1_names_notebook_cell_and_error(out, folder, scheduler, tmp_path, capsys):
    path, fine = folder / "wrong.ipynb", notebook(tmp_path / "fine.ipynb", "x = 1")
    asked = ["--grid", "seed=0:2", "--out", str(tmp_path / "out"), "--scheduler", scheduler]
    assert runs.main([str(path), str(fine), *asked]) == 1
    *table, failure = capsys.readouterr().out.splitlines()
    assert [line.split()[-1] for line in table] == ["result", "ok", "FAILED", "ok", "ok"]
    assert re.fullmatch(r"wrong-\w{10}\.ipynb seed=1, cell 3 \(id c3\): AssertionError: seed is 1", failure)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (["case.ipynb", "--grid", "sead=1"], "sead"),
        (["case.ipynb", "--grid", "seed=x"], "seed must be of type int"),
        (["case.ipynb", "--grid", "seed=1:1"], "grid"),
        (["case.ipynb", "--grid", "seed=1", "--grid", "seed=2"], "same name twice"),
        (["case.ipynb", "--grid", "seed=1,1"], "twice"),
        (["case.ipynb", "--workers", "0"], "--workers"),
        (["case.ipynb", "--csv", "none/t.csv"], "--csv must be a file in a folder that is there, got none/t.csv"),
        (["case.ipynb", "--scheduler", "somewhere"], "--scheduler"),
        (["none.ipynb"], "none.ipynb"),
        (["text.ipynb"], "text.ipynb"),
    ],
)
def test_exit_status_2_is_one_line_and_nothing_is_written(tmp_path, monkeypatch, capsys, asked, words):
    monkeypatch.chdir(tmp_path)
    notebook(Path("case.ipynb"))
    Path("text.ipynb").write_text("{}")
    assert runs.main([*asked, "--out", "out"]) == 2
    shown = capsys.readouterr()
    assert words in shown.err and shown.err.count("\n") == 1 and not shown.out
    assert not Path("out").exists()


@contextlib.contextmanager
def started(cwd, *arguments):
    command = [sys.executable, "-m", "pe_lib.runs", *arguments]
    how = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "start_new_session": True}
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored, and inherited so, behind nohup or &
    with subprocess.Popen(command, cwd=cwd, **how) as process:
        signal.signal(signal.SIGINT, before)
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def test_as_a_program_elsewhere_what_dies_is_one_failed_run_and_says_nothing_else(tmp_path):
    notebook(tmp_path / "dies.ipynb", KILL)
    notebook(tmp_path / "halts.ipynb", "import os; os._exit(1)")
    notebook(tmp_path / "lives.ipynb", "assert True")
    with socket.socket() as taken:  # the port that dask takes by itself
        with contextlib.suppress(OSError):
            taken.bind(("127.0.0.1", 8787))
            taken.listen()
        names = ["dies.ipynb", "halts.ipynb", "lives.ipynb"]
        with started(tmp_path, *names, "--workers", "1", "--out", "out") as process:
            shown, noise = process.communicate(timeout=120)
    assert process.returncode == 1 and noise == ""
    *table, worker, kernel = shown.splitlines()
    assert [line.split()[-1] for line in table] == ["result", "FAILED", "FAILED", "ok"]
    assert worker.startswith("dies.ipynb: KilledWorker: ")
    assert kernel == "halts.ipynb, cell 2 (id c2): DeadKernelError: Kernel died"
    found = record(tmp_path / "out", "dies")
    assert found["error"]["cell"] is None and found["seconds"] is None
    left = ["dies.json", "halts.ipynb", "halts.json", "lives.ipynb", "lives.json"]
    assert sorted(os.listdir(tmp_path / "out")) == left


def test_ctrl_c_leaves_whole_files_and_no_process(tmp_path):
    notebook(tmp_path / "case.ipynb", "import time; time.sleep(300 * seed)")
    with started(tmp_path, "case.ipynb", "--grid", "seed=0:3", "--workers", "1", "--out", "out") as process:
        deadline = time.monotonic() + 120
        while not list((tmp_path / "out").glob("*.json")) and time.monotonic() < deadline:
            time.sleep(0.2)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the workers get it too
        shown, noise = process.communicate(timeout=60)
        assert process.returncode == 130 and shown == ""
        assert noise == "interrupted; 1 of 3 runs are finished in out\n"
        assert sorted(path.suffix for path in (tmp_path / "out").iterdir()) == [".ipynb", ".json"]
        with pytest.raises(ProcessLookupError):
            for _ in range(50):
                os.killpg(process.pid, 0)
                time.sleep(0.1)
