"""The command: its exit status and what it prints for every kind of source."""

import io
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import pe_lib
from pe_lib.conventions import CONVENTIONS
from pe_lib.identify import __main__ as command
from pe_lib.identify.__main__ import main
from pe_lib.sinusoidal import misread

MODULE = """
import torch
from pe_lib.sinusoidal import misread, sinusoidal, sinusoidal as right

def wrong(pos, d):
    return misread(pos, d, reading="unpaired")

def narrow(pos, d):
    if d != 12:
        raise KeyError(d)
    return sinusoidal(pos, d)

def typo(n, d):
    return sinusoidall(range(n), d)

def leaves(n, d):
    raise SystemExit(3)

def interrupted(n, d):
    raise KeyboardInterrupt

def speaks(n, d):
    print("working")
    return sinusoidal(range(n), d + d % 2)[:, :d]

def nan(n, d):
    return sinusoidal(range(n), d) * float("nan")

class Short(torch.nn.Module):
    limit = 100

    def __init__(self, d_model):
        super().__init__()
        self.register_buffer("pe", torch.from_numpy(sinusoidal(range(self.limit), d_model))[None])

    def forward(self, x):
        return x + self.pe[:, : x.size(1)]

class VeryShort(Short):
    limit = 16

class Refuses(Short):
    def forward(self, x):
        assert x.size(1) <= 100
        return super().forward(x)

number = 3

def by_length(n, d):
    return sinusoidal([r * (2 if n == 256 else 3) for r in range(n)], d + d % 2)[:, :d]
"""


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Tables in files of every kind, and modules with encodings; the names are those of the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    right, wrong = CONVENTIONS["marian"].table(30, 8), misread(np.arange(30), 8, reading="column")
    np.save("right.npy", right)
    np.save("wrong.npy", wrong)
    np.save("random.npy", np.random.default_rng(0).normal(size=(30, 8)))
    np.savez("two.npz", right=right, wrong=wrong)
    np.savetxt("right.csv", right, delimiter=",")
    torch.save({"encoder": {"pe": torch.from_numpy(right)}, "step": 3}, "right.pt")
    save_file({"pe": torch.from_numpy(right).bfloat16().contiguous()}, "right.safetensors")
    torch.save(np.array([1, 2], dtype=object), "code.pt")
    np.save("code.npy", np.array([[print] * 2] * 2, dtype=object), allow_pickle=True)
    np.save("complex.npy", 1j * right)
    Path("empty.csv").touch()
    Path("leaves.py").write_text("raise SystemExit\n")
    Path("broken.npy").write_text("no table")
    Path("words.csv").write_text("pos,x\n1,2\n")
    Path("raises.py").write_text("1 / 0\n")
    Path("mine.py").write_text(MODULE)


@pytest.mark.parametrize(
    "source, status, out",
    [
        ("right.npy", 0, "layout halves, schedule paper, base 10000"),
        ("right.csv", 0, "as in: marian"),
        ("right.pt", 0, "as in: marian"),
        ("right.pt:encoder.pe", 0, "as in: marian"),
        ("right.safetensors", 0, "layout halves, schedule paper, base 10000"),
        ("two.npz:right", 0, "as in: marian"),
        ("two.npz:wrong", 1, "column: i is read as the column"),
        ("wrong.npy", 1, "fix: i counts pairs"),
        ("random.npy", 1, "learned or unknown"),
        ("mine:right", 0, "layout interleaved, schedule paper, base 10000"),
        ("mine:wrong", 1, "unpaired: sine and cosine are unpaired"),
        ("two.npz", 2, "two.npz holds several tables; name one after a colon: right (30, 8), wrong (30, 8)"),
        ("two.npz:left", 2, "two.npz holds no table called left; there are: right, wrong"),
        ("missing.npy", 2, "missing.npy does not exist"),
        ("mine:Short", 1, "length_limit: it fails beyond 100 tokens"),
        ("mine:VeryShort", 1, "16 rows of 64 columns: sinusoidal, layout interleaved"),
        ("mine:Refuses", 1, "at 101 tokens: AssertionError"),
        ("mine:nan", 1, "not_finite: entries are NaN or infinite"),
        ("broken.npy", 2, "broken.npy cannot be read as .npy: it does not begin as arrays of NumPy do"),
        ("words.csv", 2, "words.csv cannot be read as .csv: could not convert string 'pos'"),
        ("empty.csv", 2, "empty.csv is empty"),
        ("complex.npy", 2, "complex.npy cannot be read as .npy: it gives complex128 in shape (30, 8), not real"),
        ("code.pt", 2, "code.pt cannot be read as .pt: it holds pickled objects"),
        ("code.npy", 2, "code.npy cannot be read as .npy: it holds pickled objects"),
        ("right.txt", 2, "source must be a file (.npy, .npz, .csv, .pt, .pth, .bin, .safetensors) or package.mod"),
        ("mine:nothing", 2, "mine:nothing: AttributeError: module 'mine' has no attribute 'nothing'"),
        ("nowhere:right", 2, "nowhere:right: ModuleNotFoundError: No module named 'nowhere'"),
        ("raises:right", 2, "raises:right: ZeroDivisionError: division by zero"),
        ("leaves:right", 2, "leaves:right: importing leaves ends the program (SystemExit)"),
        ("mine.py:right", 2, "source must name a module, not its file: write mine:right, got mine.py:right"),
        ("mine:number", 2, "mine:number: encode must be something to call, or a table, got int"),
        ("mine:leaves", 2, "mine:leaves: encode gives no table (rows, columns) in any known way: SystemExit: 3"),
        ("mine:typo", 2, "in any known way: NameError: name 'sinusoidall' is not defined, from f(length, width)"),
        ("math:sqrt", 2, "encode gives no table (rows, columns) in any known way"),
    ],
)
def test_command(files, capsys, source, status, out):
    assert main([source]) == status
    printed = capsys.readouterr()
    assert out in (printed.err if status == 2 else printed.out)
    assert (len(printed.err.splitlines()), printed.out == "") == ((1, True) if status == 2 else (0, False))


def test_what_is_unknown_is_said_once(files, capsys):
    assert main(["random.npy"]) == 1
    assert capsys.readouterr().out.count("learned or unknown") == 1


def test_nothing_is_said_beside_the_answer(files, capsys):
    """What somebody else's code prints goes where errors go."""
    assert main(["mine:speaks", "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["source"] == "mine:speaks" and printed.err.startswith("working\n")


def test_an_interrupt(files, capsys):
    assert main(["mine:interrupted"]) == 130
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "interrupted\n")


def test_options(files, capsys):
    assert main(["mine:narrow"]) == 2 and "give d_model" in capsys.readouterr().err
    assert main(["mine:narrow", "--d-model", "12"]) == 1  # other widths crash
    assert "of 12 columns: sinusoidal" in capsys.readouterr().out
    assert main(["right.npy", "--d-model", "12"]) == 2
    assert "right.npy: d_model must be 8, the columns of the table, or left out, got 12" in capsys.readouterr().err
    assert main(["wrong.npy", "--base", "20"]) == 1
    assert "unpaired" in capsys.readouterr().out  # its base is not the one intended


def test_the_table_of_256_tokens_is_named(files, capsys):
    main(["mine:by_length"])
    out = capsys.readouterr().out
    assert out.startswith("256 rows of 64 columns") and "the position changes by 2" in out


def test_command_for_machines(files):
    """From the shell, as a person types it."""
    run = subprocess.run(
        [sys.executable, "-m", "pe_lib.identify", "wrong.npy", "--json"], capture_output=True, text=True, check=False
    )
    answer = json.loads(run.stdout)
    assert run.returncode == 1 and run.stderr == ""
    assert answer["identified"]["layout"] is None and answer["source"] == "wrong.npy"
    assert [finding["name"] for finding in answer["findings"]] == ["column"]
    assert set(answer["findings"][0]) == {"name", "says", "evidence", "fix"}


class Terminal(io.StringIO):
    def __init__(self, is_terminal):
        super().__init__()
        self.is_terminal = is_terminal

    def isatty(self):
        return self.is_terminal


@pytest.mark.parametrize("is_terminal, begins", [(True, "still trying conventions ..."), (False, "")])
def test_a_terminal_is_told_that_it_takes_long(is_terminal, begins, files, capsys, monkeypatch):
    terminal, gather = Terminal(is_terminal), command.gather

    def slow(*arguments, **options):
        deadline = time.monotonic() + (20 if is_terminal else 0.1)
        while not terminal.getvalue() and time.monotonic() < deadline:
            time.sleep(0.001)
        return gather(*arguments, **options)

    monkeypatch.setattr(command, "DELAY", 0.0)
    monkeypatch.setattr(command, "gather", slow)
    monkeypatch.setattr(sys, "stderr", terminal)
    assert main(["right.npy"]) == 0
    assert terminal.getvalue() == (begins + command.ERASE if is_terminal else "")
    assert capsys.readouterr().out.startswith("30 rows of 8 columns")


def test_a_terminal_is_not_told_of_what_is_quick(files, monkeypatch):
    monkeypatch.setattr(command, "DELAY", 1000.0)
    monkeypatch.setattr(sys, "stderr", Terminal(True))
    assert main(["right.npy"]) == 0 and sys.stderr.getvalue() == ""
    assert not [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]


@pytest.mark.slow
def test_a_folder_of_others(files):
    """With -P nothing of the current folder is imported, not even in the place of modules of Python."""
    names = ("json", "csv", "argparse", "numpy", "torch", "zipfile")
    for name in names:
        Path(f"{name}.py").write_text("open('executed', 'w')\n")
    for source in ("right.npy", "two.npz:right", "right.csv", "right.pt", "right.safetensors"):
        command = [sys.executable, "-P", "-m", "pe_lib.identify", source]
        environment = os.environ | {"PYTHONPATH": str(Path(pe_lib.__file__).parent.parent)}
        run = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        assert run.returncode == 0 and not Path("executed").exists(), run.stderr
