"""Toy notebooks and toy checkouts for the tests of runs."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
from nbformat import v4, write

DEFAULTS = "seed = 0\nlr = 1e-3\nencoding = 'nope'\nmask = True\nlengths = [4, 8]\nlimit = None"


def notebook(path: Path, *cells: str, parameters: str = DEFAULTS, tags: tuple = ("parameters",)) -> Path:
    """A notebook of a title (cell 0, id c0), a parameters cell (cell 1, id c1) and these code cells."""
    code = [v4.new_code_cell(source, id=f"c{2 + number}") for number, source in enumerate(cells)]
    first = v4.new_code_cell(parameters, id="c1", metadata={"tags": list(tags)})
    write(v4.new_notebook(cells=[v4.new_markdown_cell("# A title", id="c0"), first, *code]), path)
    return path


def record(out: Path, stem: str) -> dict:
    """The one record of this name, with or without the digits of a grid."""
    paths = [out / f"{stem}.json"] if (out / f"{stem}.json").exists() else [*out.glob(f"{stem}-*.json")]
    assert len(paths) == 1
    return json.loads(paths[0].read_text())


def git(folder: Path, *arguments: str) -> str:
    """What a git command prints there."""
    author = ["-c", "user.name=Toy", "-c", "user.email=toy@example.org", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(folder), *author, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def commit(folder: Path, message: str = "All there is") -> str:
    """Commit everything in the checkout.  -> 12 hex digits of the commit"""
    if not (folder / ".git").exists():
        git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", message)
    return git(folder, "rev-parse", "--short=12", "HEAD")


HANGS = 600  # seconds after which a test that waits gives up


def wait_until(happened) -> None:
    """Wait for an event; the seconds are for a hang only."""
    deadline = time.monotonic() + HANGS
    while not happened():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.1)


def kind_of(process: psutil.Process) -> str:
    """What it does for a grid, as its command line shows; that of a fork is the one of its program."""
    words = " ".join(process.cmdline())
    if "spawn_main" in words:
        return "worker"
    if "forked.py" in words and "forked.py" not in " ".join(process.parent().cmdline()):
        return "program"
    return "kernel" if "forked.py" in words or "ipykernel_launcher" in words else "other"


@contextlib.contextmanager
def started(cwd: Path, *arguments: str, **environment: str):
    """The command ``python -m pe_lib.runs``, as a process and leader of a group; killed with its group at the end."""
    command = [sys.executable, "-m", "pe_lib.runs", *arguments]
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored, and inherited so, behind nohup or &
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    place = {"cwd": cwd, "env": os.environ | environment, "start_new_session": True}
    with subprocess.Popen(command, **pipes, **place) as process:
        signal.signal(signal.SIGINT, before)
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
