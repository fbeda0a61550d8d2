"""The command ``python -m pe_lib.runs``: exit codes, the closing table, one-line errors, interruption."""

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

import pandas as pd
import pytest
from runs_toys import commit, notebook, record

from pe_lib import collection
from pe_lib.runs import cluster
from pe_lib.runs.__main__ import main, parse_grid
from pe_lib.runs.summary import aligned

KILL = "import os, signal; os.kill(os.getppid(), signal.SIGKILL)"  # the parent of the kernel is the worker
HANGS = 600  # seconds after which a test that waits gives up


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
        ("a=learned:std=0.1,nope", ["learned:std=0.1", "nope"]),
        ("a=[[0,1],[2,3]]", [[0, 1], [2, 3]]),
        ("a=[]", []),
    ],
    ids=str,
)
def test_grid_on_the_command_line(text, values):
    name, found = parse_grid(text)
    assert name == "a" and found == values and [*map(type, found)] == [*map(type, values)]


@pytest.mark.parametrize("text", ["a", "a=", "=3", "a b=3", "a=1,,2", "a=[1,2", "a=1,"])
def test_grid_text_that_is_refused(text):
    with pytest.raises(ValueError, match="--grid"):
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
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["notebook", "encoding", "seconds", "result"]
    assert [line.split()[1] for line in lines[1:]] == ["nope", "rope"]
    assert all((tmp_path / "out" / line.split()[0]).exists() for line in lines[1:])  # the executed notebooks
    assert [line.split()[-1] for line in lines[1:]] == ["ok", "ok"]
    paths = sorted((tmp_path / "out").glob("case-*.json"))
    assert len(paths) == 2 and main(asked) == 0
    shown = capsys.readouterr()
    assert [line.split()[-1] for line in shown.out.splitlines()] == ["result", "kept", "kept"]
    assert not shown.err
    paths[0].write_text(paths[0].read_text()[:-9])  # as if the writing had been cut short
    assert main([*asked, "--scheduler", scheduler]) == 0
    table = capsys.readouterr().out.splitlines()
    assert sorted(line.split()[-1] for line in table) == ["kept", "ok", "result"]
    assert json.loads(paths[0].read_text())["result"] == "ok"


@pytest.mark.slow
def test_exit_status_1_names_notebook_cell_and_error(out, folder, scheduler, tmp_path, capsys):
    path, fine = folder / "wrong.ipynb", notebook(tmp_path / "fine.ipynb", "x = 1")
    asked = ["--grid", "seed=0:2", "--out", str(tmp_path / "out"), "--scheduler", scheduler]
    assert main([str(path), str(fine), *asked]) == 1
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
        (["case.ipynb", "--csv", "."], "--csv must be a file in a folder that is there, got ."),
        (["case.ipynb", "--scheduler", "somewhere"], "--scheduler"),
        (["none.ipynb"], "none.ipynb"),
        (["text.ipynb"], "text.ipynb"),
        (["lost.ipynb"], "lost.ipynb: from pe_lib import nothing: pe_lib has no nothing"),
    ],
    ids=" ".join,
)
def test_exit_status_2_is_one_line_and_nothing_is_written(tmp_path, monkeypatch, capsys, asked, words):
    monkeypatch.chdir(tmp_path)
    notebook(Path("case.ipynb"))
    notebook(Path("lost.ipynb"), "from pe_lib import nothing")
    Path("text.ipynb").write_text("{}")
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
    monkeypatch.setattr(cluster, "run", lambda *_, **__: [])
    monkeypatch.setattr("pe_lib.runs.__main__.summary", lambda *_: ["started"])
    path = notebook(tmp_path / "case.ipynb")
    monkeypatch.chdir(data)
    status = main([str(path), "--out", str(tmp_path / "out"), "--csv", "results/a.csv"])
    shown = capsys.readouterr()
    if state in ("clean", "itself"):
        assert status == 1 and shown.out == "started\n" and "no run reported anything" in shown.err
    else:
        assert status == 2 and shown.out == "" and shown.err.count("\n") == 1
        words = "from a clean tree only" if state == "dirty" else "from a git checkout only"
        assert f"results/a.csv is written {words}" in shown.err
    assert main([str(path), "--out", str(tmp_path / "out"), "--csv", str(tmp_path / "elsewhere.csv")]) == 1


def test_a_cluster_that_is_not_there_is_exit_status_2(tmp_path, monkeypatch, capsys):
    def refuses(*_, **__):
        raise OSError("Timed out trying to connect to tcp://127.0.0.1:1")

    monkeypatch.setattr(cluster, "run", refuses)
    path = notebook(tmp_path / "case.ipynb")
    assert main([str(path), "--out", str(tmp_path / "out"), "--scheduler", "127.0.0.1:1"]) == 2
    assert capsys.readouterr().err == "python -m pe_lib.runs: Timed out trying to connect to tcp://127.0.0.1:1\n"


@contextlib.contextmanager
def started(cwd, *arguments):
    command = [sys.executable, "-m", "pe_lib.runs", *arguments]
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored, and inherited so, behind nohup or &
    with subprocess.Popen(
        command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        signal.signal(signal.SIGINT, before)
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


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
    assert process.returncode == 1 and noise == ""
    *table, worker, kernel = shown.splitlines()
    assert [line.split()[-1] for line in table] == ["result", "FAILED", "FAILED", "ok"]
    assert worker.startswith("dies.ipynb: KilledWorker: ")
    assert kernel == "halts.ipynb, cell 2 (id c2): DeadKernelError: Kernel died"
    found = record(tmp_path / "out", "dies")
    assert found["error"]["cell"] is None and found["seconds"] is None
    left = ["dies.json", "halts.ipynb", "halts.json", "lives.ipynb", "lives.json"]
    assert sorted(os.listdir(tmp_path / "out")) == left


@pytest.mark.slow
def test_ctrl_c_leaves_whole_files_and_no_process(tmp_path):
    notebook(tmp_path / "case.ipynb", "import time; time.sleep(3000 * seed)")
    with started(tmp_path, "case.ipynb", "--grid", "seed=0:3", "--workers", "1", "--out", "out") as process:
        wait_until(lambda: list((tmp_path / "out").glob("*.json")) or process.poll() is not None)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the workers get it too
        shown, noise = process.communicate(timeout=HANGS)
        assert process.returncode == 130 and shown == ""
        assert noise == "interrupted; 1 of 3 runs are finished in out\n"
        assert sorted(path.suffix for path in (tmp_path / "out").iterdir()) == [".ipynb", ".json"]
        wait_until(lambda: not any_process(process.pid))


def wait_until(happened) -> None:
    deadline = time.monotonic() + HANGS
    while not happened():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.1)


def any_process(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
