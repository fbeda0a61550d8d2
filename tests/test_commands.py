"""Every command that README, CONTRIBUTING and data/README tell a reader to type is typed, in a copy of the checkout.

Those that take minutes or open a window are only read by make (`make -n`); their parts are tests of their own.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from pe_lib.sinusoidal import sinusoidal

TOP = Path(__file__).parent.parent
TEXTS = ("README.md", "CONTRIBUTING.md", "data/README.md")
# What makes a command long: it sets up, runs everything, trains for hours or stays open.
LONG = set("notebooks test quick unit lint types lab elsewhere sweep kills benchmarks peers".split())
MODULE = """
import torch
from pe_lib.sinusoidal import sinusoidal


class PositionalEncoding(torch.nn.Module):
    def __init__(self, d_model):
        super().__init__()
        self.d_model = d_model

    def forward(self, x):  # (b, t, d)
        return x + torch.from_numpy(sinusoidal(range(x.shape[1]), self.d_model)).to(x)
"""
# A tool that the reader may install, and what wants the packages of `make peers`.
NOT_HERE = {"pre-commit install", ".venv/bin/python -m benchmarks benchmarks/bench_rotary.py"}


def commands():
    """What stands in a block of shell, and between backticks where it begins like a command.  -> {command}"""
    found = {}
    for name in TEXTS:
        text = (TOP / name).read_text(encoding="utf-8")
        blocks = re.findall(r"^```sh\n(.+?)^```", text, flags=re.M | re.S)
        lines = [line.split("  #")[0].strip() for block in blocks for line in block.splitlines()]
        spoken = re.findall(r"`((?:make|\.venv/bin/\w+|pre-commit) [^`]+)`", text)
        found |= dict.fromkeys([*lines, *spoken], name)
    return found


def is_long(command):
    return command.startswith("make ") and (command.split()[1] in LONG or "records NAME" in command)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of what git knows, with this environment as its `.venv`, and the files that the examples speak of."""
    copy = tmp_path_factory.mktemp("checkout")
    listed = subprocess.run(["git", "ls-files"], cwd=TOP, capture_output=True, text=True, check=True)
    for name in listed.stdout.splitlines():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(TOP / name, copy / name)
    (copy / ".venv").mkdir()
    for name in ("bin", "lib", "pyvenv.cfg"):
        (copy / ".venv" / name).symlink_to(Path(sys.prefix) / name)
    (copy / ".venv" / "installed").touch()
    subprocess.run(["git", "init", "--quiet"], cwd=copy, check=True)
    table = {"encoder.embed_positions.weight": sinusoidal(np.arange(50), 32)}
    save_file(table, copy / "model.safetensors")
    (copy / "my_package").mkdir()
    (copy / "my_package" / "my_module.py").write_text(MODULE, encoding="utf-8")
    return copy


@pytest.mark.slow
@pytest.mark.parametrize("command", [command for command in commands() if command not in NOT_HERE])
def test_command(command, checkout):
    typed = command.replace("make ", "make -n ", 1) if is_long(command) else command
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    done = subprocess.run(typed, shell=True, cwd=checkout, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{typed}\n{done.stdout}{done.stderr}"


def test_every_text_has_commands():
    assert {name for name in commands().values()} == set(TEXTS)
    assert NOT_HERE < set(commands())
