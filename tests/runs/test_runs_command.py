"""The command ``python -m pe_lib.runs``: exit codes, the closing table, one-line errors, interruption."""

import contextlib
import json
import os
import re
import signal
import socket
from pathlib import Path

import pandas as pd
import pytest
from runs_toys import HANGS, commit, notebook, record, started, wait_until

from pe_lib import collection
from pe_lib.runs import cluster
from pe_lib.runs.__main__ import main, parse_grid
from pe_lib.runs.plan import grid, plan
from pe_lib.runs.store import store
from pe_lib.runs.summary import aligned

KILL = """\
import psutil, time
workers = [process for process in psutil.Process().parents() if "spawn_main" in " ".join(process.cmdline())]
workers[0].kill()
time.sleep(3000)"""


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a=0:5", [0, 1, 2, 3, 4]),
        ("a=-1:1", [-1, 0]),
        ("a=3", [3]),
        ("a=nope,sinusoidal", ["nope", "sinusoidal"]),
        ("a=1, 2.5,true,null,1e-3,x=y", [1, 2.5, True, None, 1e-3, "x=y"]),
        ('a="3",b:c', ["3", "b:c"]),
        ("a=learned:std=0.1,nope", ["learned:std=0.1", "nope"]),
        ("a=[[0,1],[2,3]]", [[0, 1], [2, 3]]),
    ],
    ids=str,
)
def test_grid_on_the_command_line(text, values):
    name, found = parse_grid(text)
    assert name == "a" and [*found] == values and [*map(type, found)] == [*map(type, values)]


DEEP = "a=" + "[" * 100_000


@pytest.mark.parametrize(
    "text",
    ["a", "a=", "=3", "a b=3", "a=1,,2", "a=[1,2", "a=[1,", "a=1,", "a=[]", "a=5:2", DEEP],
    ids=lambda text: text[:9],
)
def test_grid_text_that_is_refused(text):
    with pytest.raises(ValueError, match="--grid"):
        parse_grid(text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("d_model=[1,", r"^--grid d_model must be a JSON list, got \[1,: "),
        ("d_model=5:2", r"^--grid d_model must have one value or more, got 'd_model=5:2'$"),
        ("d_model=1,,2", r"^--grid must be NAME=VALUES without an empty value, got 'd_model=1,,2'$"),
    ],
)
def test_a_grid_that_is_refused_is_repeated(text, says):
    with pytest.raises(ValueError, match=says):
        parse_grid(text)


def test_words_in_columns():
    assert aligned([["a", "bb", "c"], ["aaa", "b", ""]]) == ["a    bb  c", "aaa  b"]


@pytest.mark.slow
def test_csv_holds_what_these_runs_reported(tmp_path, scheduler, capsys):
    cell = "from pe_lib import collection; collection.report([{'twice': 2 * seed}])"
    reports = notebook(tmp_path / "case.ipynb", cell)
    asked = ["--out", str(tmp_path / "out"), "--csv", str(tmp_path / "t.csv"), "--scheduler", scheduler]
    assert main([str(reports), "--grid", "seed=3,4", *asked]) == 0
    text = (tmp_path / "t.csv").read_text()
    assert pd.read_csv(tmp_path / "t.csv")["twice"].tolist() == [6, 8]
    fails = notebook(tmp_path / "other.ipynb", "assert seed == 3")
    assert main([str(fails), "--grid", "seed=3,5", *asked]) == 1
    assert (tmp_path / "t.csv").read_text() == text  # one run failed: the old table stays
    silent = notebook(tmp_path / "silent.ipynb", "assert True")
    assert main([str(silent), *asked]) == 1 and "no run reported anything" in capsys.readouterr().err
    assert (tmp_path / "t.csv").read_text() == text


@pytest.mark.slow
def test_exit_status_0_then_kept(tmp_path, scheduler, capsys):
    path = notebook(tmp_path / "case.ipynb", "assert encoding in ('nope', 'rope') and seed == 3")
    asked = [str(path), "--grid", "encoding=nope,rope", "--grid", "seed=3", "--out", str(tmp_path / "out")]
    assert main([*asked, "--scheduler", scheduler]) == 0
    size, *lines = capsys.readouterr().out.splitlines()
    assert size == f"2 runs: 2 to do, 0 finished in {tmp_path / 'out'}"
    assert lines[0].split() == ["notebook", "encoding", "seconds", "result"]
    assert [line.split()[1] for line in lines[1:]] == ["nope", "rope"]
    assert all((tmp_path / "out" / line.split()[0]).exists() for line in lines[1:])  # the executed notebooks
    assert [line.split()[-1] for line in lines[1:]] == ["ok", "ok"]
    paths = sorted((tmp_path / "out").glob("case-*.json"))
    assert len(paths) == 2 and main(asked) == 0
    shown = capsys.readouterr()
    size, *lines = shown.out.splitlines()
    assert size.startswith("2 runs: 0 to do, 2 finished in") and lines[0].split()[-1] == "result"
    assert [line.split()[-1] for line in lines[1:]] == ["kept", "kept"]
    assert not shown.err
    paths[0].write_text(paths[0].read_text()[:-9])  # as if the writing had been cut short
    assert main([*asked, "--scheduler", scheduler]) == 0
    table = capsys.readouterr().out.splitlines()[1:]
    assert sorted(line.split()[-1] for line in table) == ["kept", "ok", "result"]
    assert json.loads(paths[0].read_text())["result"] == "ok"


@pytest.mark.slow
def test_exit_status_1_names_notebook_cell_and_error(out, folder, scheduler, tmp_path, capsys):
    path, fine = folder / "wrong.ipynb", notebook(tmp_path / "fine.ipynb", "x = 1")
    asked = ["--grid", "seed=0:2", "--out", str(tmp_path / "out"), "--scheduler", scheduler]
    assert main([str(path), str(fine), *asked]) == 1
    _, *table, failure = capsys.readouterr().out.splitlines()
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
        (["case.ipynb", "--csv", "."], "--csv must be a file in a folder that is there, got ."),
        (["case.ipynb", "--scheduler", "somewhere"], "--scheduler"),
        (["none.ipynb"], "none.ipynb"),
        (["text.ipynb"], "text.ipynb"),
        (["lost.ipynb"], "lost.ipynb: from pe_lib import nothing: pe_lib has no nothing"),
        (["picture.ipynb"], "picture.ipynb: this is not a notebook of format 4"),
        (["case.ipynb", "--grid", f"lr={'9' * 400}"], "lr must be a number that a float can hold, got one of 400"),
        (["case.ipynb", "--grid", f"lr={'9' * 5000}"], "Exceeds the limit"),
        (["case.ipynb", "--grid", f"seed=0:{'9' * 5000}"], "Exceeds the limit"),
        (["case.ipynb", "--grid", 'encoding="\\ud800"'], "encoding must be text that UTF-8 can hold"),
        (["case.ipynb", "--grid", f"limit={'[' * 100_000}"], "limit is nested too deeply"),
        (["case.ipynb", "--grid", "limit=" + '{"a":' * 100_000], "limit is nested too deeply"),
        (["case.ipynb", "--grid", "seed=0:100000000"], "at most 10,000 runs, got 100,000,000: run a part of it at"),
        (["case.ipynb", "--dry-run", "--grid", "sead=1"], "sead"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_exit_status_2_is_one_line_and_nothing_is_written(tmp_path, monkeypatch, capsys, asked, words):
    monkeypatch.chdir(tmp_path)
    notebook(Path("case.ipynb"))
    notebook(Path("lost.ipynb"), "from pe_lib import nothing")
    Path("text.ipynb").write_text("{}")
    Path("picture.ipynb").write_bytes(b"\x89PNG\r\n\x1a\n\x00\xff")
    assert main([*asked, "--out", "out"]) == 2
    shown = capsys.readouterr()
    assert words in shown.err and shown.err.count("\n") == 1 and not shown.out
    assert shown.err.startswith("python -m pe_lib.runs: ")
    assert not Path("out").exists()


@pytest.mark.parametrize("state", ["clean", "itself", "dirty", "no checkout"])
def test_csv_into_data_needs_a_clean_tree(tmp_path, monkeypatch, capsys, state):
    data = tmp_path / "top" / "data"
    (data / "results").mkdir(parents=True)
    (data / "results" / "a.csv").write_text("x\n")
    if state != "no checkout":
        commit(tmp_path / "top")
    if state != "clean":
        (data / {"itself": "results/a.csv"}.get(state, "notes.txt")).write_text("changed\n")
    monkeypatch.setattr(collection, "DATA", data)
    monkeypatch.setattr(cluster, "run_planned", lambda *_, **__: [])
    monkeypatch.setattr("pe_lib.runs.__main__.summary", lambda *_: ["started"])
    path = notebook(tmp_path / "case.ipynb")
    monkeypatch.chdir(data)
    status = main([str(path), "--out", str(tmp_path / "out"), "--csv", "results/a.csv"])
    shown = capsys.readouterr()
    if state in ("clean", "itself"):
        assert status == 1 and shown.out.endswith("\nstarted\n") and "no run reported anything" in shown.err
    else:
        assert status == 2 and shown.out == "" and shown.err.count("\n") == 1
        words = "from a clean tree only" if state == "dirty" else "from a git checkout only"
        assert f"results/a.csv is written {words}" in shown.err
    assert main([str(path), "--out", str(tmp_path / "out"), "--csv", str(tmp_path / "elsewhere.csv")]) == 1


def test_a_cluster_that_is_not_there_is_exit_status_2(tmp_path, monkeypatch, capsys):
    def refuses(*_, **__):
        raise OSError("Timed out trying to connect to tcp://127.0.0.1:1")

    monkeypatch.setattr(cluster, "run_planned", refuses)
    path = notebook(tmp_path / "case.ipynb")
    assert main([str(path), "--out", str(tmp_path / "out"), "--scheduler", "127.0.0.1:1"]) == 2
    assert capsys.readouterr().err == (
        "python -m pe_lib.runs: Timed out trying to connect to tcp://127.0.0.1:1; "
        f"finished in {tmp_path / 'out'}: 0 of 1 run\n"
    )


def test_a_dry_run_says_how_many_and_how_long_and_does_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cluster, "run_planned", None)
    path, out = notebook(tmp_path / "case.ipynb"), tmp_path / "out"
    asked = [str(path), "--grid", "seed=0:3", "--out", str(out), "--workers", "1", "--dry-run"]
    assert main(asked) == 0 and not out.exists()
    size, time = capsys.readouterr().out.splitlines()
    assert size == f"3 runs: 3 to do, 0 finished in {out}"
    assert time == f"estimated time: unknown, {out} has no finished run of case.ipynb"
    out.mkdir()
    planned = plan(grid(path, {"seed": range(3)}))
    store(out, planned[0], planned[0].draft() | {"result": "ok", "seconds": 7}, "executed")
    assert main(asked) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"3 runs: 2 to do, 1 finished in {out}",
        "estimated time: about 14 s with 1 process, as what is finished there took",
    ]
    for run in planned[1:]:
        store(out, run, run.draft() | {"result": "ok", "seconds": 7}, "executed")
    assert main(asked) == 0 and capsys.readouterr().out == f"3 runs: 0 to do, 3 finished in {out}\n"


def test_a_misspelt_status_is_named(tmp_path, capsys):
    assert main(["stauts", str(tmp_path)]) == 2
    assert capsys.readouterr().err == "python -m pe_lib.runs: there is no command stauts; did you mean status?\n"


def test_the_status_of_a_folder(tmp_path, capsys):
    assert main(["status", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{tmp_path}: 0 ok, 0 failed, 0 unfinished\n"
    assert main(["status", str(tmp_path / "none")]) == 2
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.startswith("python -m pe_lib.runs: ") and "none" in shown.err


@pytest.mark.parametrize("out", ["case.ipynb", "case.ipynb/out"])
def test_an_out_that_is_a_file_is_exit_status_2(tmp_path, monkeypatch, capsys, out):
    monkeypatch.chdir(tmp_path)
    notebook(Path("case.ipynb"))
    assert main(["case.ipynb", "--out", out]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_interrupted_while_it_plans(tmp_path, monkeypatch, capsys):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr("pe_lib.runs.__main__.plan", interrupted)
    assert main([str(notebook(tmp_path / "case.ipynb")), "--out", str(tmp_path / "out")]) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_a_csv_for_which_there_is_no_room_is_named(tmp_path, monkeypatch, capsys):
    path, out, csv = notebook(tmp_path / "case.ipynb"), tmp_path / "out", tmp_path / "t.csv"
    (run,) = plan([(path, {})])
    out.mkdir()
    store(out, run, run.draft() | {"result": "ok", "results": [{"loss": 1}]}, "executed")
    (tmp_path / ".t.csv.99999999").touch()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pe_lib.runs.store.write_whole", full)
    assert main([str(path), "--out", str(out), "--csv", str(csv)]) == 2
    assert capsys.readouterr().err == f"python -m pe_lib.runs: [Errno 28] No space left on device: '{csv}'\n"
    monkeypatch.undo()
    assert main([str(path), "--out", str(out), "--csv", str(csv)]) == 0
    assert sorted(os.listdir(tmp_path)) == ["case.ipynb", "out", "t.csv"]


def test_a_path_that_leads_nowhere_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    notebook(tmp_path / "case.ipynb", "assert True")
    typed = {
        "case --out out": f"case is not there; paths are those from the current folder, {tmp_path}",
        ". --out out": ". is a folder, not a notebook",
        "case.ipynb --out case.ipynb": "out must be a folder, got the file case.ipynb",
        "status out": "there is no folder out",
    }
    for words, says in typed.items():
        assert main(words.split()) == 2
        assert says in capsys.readouterr().err
    assert os.listdir(tmp_path) == ["case.ipynb"]


def test_a_notebook_is_not_overwritten_by_what_it_becomes(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    path = notebook(tmp_path / "case.ipynb", "assert True")
    before = path.read_bytes()
    for more in ([], ["--dry-run"]):
        assert main(["case.ipynb", "--out", ".", *more]) == 2
        assert "out must be another folder than that of the notebook: case.ipynb" in capsys.readouterr().err
    with pytest.raises(ValueError, match=r"^out must be another folder"):
        cluster.run([("case.ipynb", {})], tmp_path)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["case.ipynb"]


@pytest.mark.slow
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
            shown, noise = process.communicate(timeout=HANGS)
    results = {"dies": "failed", "halts": "failed", "lives": "ok"}
    progress = [f"{name}: {result}, {number} of 3 done" for number, (name, result) in enumerate(results.items(), 1)]
    assert process.returncode == 1 and noise.splitlines() == progress
    _, *table, worker, kernel = shown.splitlines()
    assert [line.split()[-1] for line in table] == ["result", "FAILED", "FAILED", "ok"]
    assert worker.startswith("dies.ipynb: KilledWorker: ")
    assert kernel == "halts.ipynb, cell 2 (id c2): DeadKernelError: Kernel died"
    found = record(tmp_path / "out", "dies")
    assert found["error"]["cell"] is None and found["seconds"] is None
    left = ["dies.json", "halts.ipynb", "halts.json", "lives.ipynb", "lives.json"]
    assert sorted(os.listdir(tmp_path / "out")) == left


@pytest.mark.slow
@pytest.mark.parametrize("how", ["Ctrl-C", "terminated"])
def test_an_interruption_leaves_whole_files_and_no_process(tmp_path, how):
    notebook(tmp_path / "case.ipynb", "import time; time.sleep(3000 * seed)")
    with started(tmp_path, "case.ipynb", "--grid", "seed=0:3", "--workers", "1", "--out", "out") as process:
        wait_until(lambda: list((tmp_path / "out").glob("*.json")) or process.poll() is not None)
        if how == "Ctrl-C":
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the workers get it too
        else:
            process.terminate()  # as a batch system does
        shown, noise = process.communicate(timeout=HANGS)
        assert process.returncode == 130 and shown == "3 runs: 3 to do, 0 finished in out\n"
        progress, end = noise.splitlines()
        assert progress.endswith(": ok, 1 of 3 done") and end == "interrupted; finished in out: 1 of 3 runs"
        assert sorted(path.suffix for path in (tmp_path / "out").iterdir()) == [".ipynb", ".json"]
        wait_until(lambda: not any_process(process.pid))


def any_process(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
