"""make execute on what is no notebook, and on one that does not come to its end: one line, and nothing is written."""

import importlib.util
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest

FILE = Path(__file__).parent.parent / ".ci" / "execute.py"
SPEC = importlib.util.spec_from_file_location("make_execute", FILE)
make_execute = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(make_execute)
NO_CELL = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [{"cell_type": "x"}]}


def notebook(path, source):
    kernel = {"name": "python3", "display_name": "Python 3"}
    book = nbformat.v4.new_notebook(metadata={"kernelspec": kernel}, cells=[nbformat.v4.new_code_cell(source)])
    nbformat.write(book, path)
    return path


@pytest.mark.parametrize(
    "names, says",
    [
        pytest.param([], "say which: python .ci/execute.py NOTEBOOK ...", id="none"),
        pytest.param(["README.md"], "a notebook must end in .ipynb, got README.md", id="text"),
        pytest.param(["none.ipynb"], "there is no notebook none.ipynb", id="missing"),
        pytest.param(["good.ipynb", "none.ipynb"], "there is no notebook none.ipynb", id="the second"),
        pytest.param(["folder.ipynb"], "there is no notebook folder.ipynb", id="folder"),
    ],
)
def test_what_is_typed_is_looked_at_first(names, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(make_execute, "executed", None)
    notebook(Path("good.ipynb"), "1")
    Path("folder.ipynb").mkdir()
    with pytest.raises(SystemExit) as end:
        make_execute.main(names)
    assert end.value.code == says


@pytest.mark.parametrize(
    "content, kind",
    [
        pytest.param(b"", "NotJSONError", id="empty"),
        pytest.param(b"hello", "NotJSONError", id="text"),
        pytest.param(b"\x89PNG\xff", "UnicodeDecodeError", id="figure"),
        pytest.param(b"[]", "AttributeError", id="list"),
        pytest.param(b"{}", "ValidationError", id="no cells"),
        pytest.param(json.dumps(NO_CELL).encode(), "ValidationError", id="cell of no kind"),
    ],
)
@pytest.mark.filterwarnings("ignore")  # of nbformat
def test_what_is_no_notebook(content, kind, tmp_path):
    path = tmp_path / "other.ipynb"
    path.write_bytes(content)
    with pytest.raises(SystemExit) as end:
        make_execute.main([str(path)])
    assert end.value.code.startswith(f"{path} cannot be read as a notebook: {kind}: ")
    assert "\n" not in end.value.code and path.read_bytes() == content


def begun(path):
    return subprocess.Popen([sys.executable, FILE, path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_a_kernel_that_dies(tmp_path):
    path = notebook(tmp_path / "dies.ipynb", "import os\nos._exit(1)")
    before, process = path.read_bytes(), begun(path)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 1 and err == f"{path} is as it was: its kernel died\n"
    assert "Traceback" not in err + out and path.read_bytes() == before


@pytest.mark.slow
def test_an_interrupt(tmp_path):
    started = tmp_path / "started"
    path = notebook(tmp_path / "waits.ipynb", f"import time\nopen({str(started)!r}, 'w')\ntime.sleep(300)")
    before, process = path.read_bytes(), begun(path)
    while not started.exists() and process.poll() is None:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=100)
    assert process.returncode == 130 and err == f"interrupted; {path} is as it was\n"
    assert "Traceback" not in err + out and path.read_bytes() == before
