"""Sources: tables in files of every kind, callables of modules, and what is said of anything else."""

from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from pe_lib.identify.source import FILES, READERS, named, tensors
from pe_lib.sinusoidal import sinusoidal

TABLE = sinusoidal(np.arange(30), 8)


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    np.save("table.npy", TABLE)
    np.savetxt("table.csv", TABLE, delimiter=",")
    np.savez("one.npz", table=TABLE, bias=TABLE[0], number=3)
    state = OrderedDict(pe=torch.from_numpy(TABLE[None]), bias=torch.ones(8))
    torch.save({"encoder": state, "step": 3}, "table.pt")
    torch.save(torch.from_numpy(TABLE), "table.pth")
    save_file({"pe": torch.from_numpy(np.ascontiguousarray(TABLE))}, "table.safetensors")
    np.save("row.npy", TABLE[:1])
    torch.save(np.array([1, 2], dtype=object), "code.pt")
    Path("folder.npy").mkdir()
    Path("source_of_test.py").write_text("class Outer:\n    def inner(n):\n        return n\n")


def test_every_kind_of_file_has_a_reader():
    assert tuple(READERS) == FILES


SOURCES = "table.npy table.csv one.npz one.npz:table table.pt table.pt:encoder.pe table.pth table.pth:table".split()


@pytest.mark.parametrize("source", [*SOURCES, "table.safetensors", "table.safetensors:pe", "./table.npy"])
def test_files(files, source):
    np.testing.assert_array_equal(np.squeeze(named(source)), TABLE)


def test_all_tensors_that_may_be_tables(files):
    assert list(tensors(Path("table.pt"))) == ["encoder.pe"]


def test_a_part_of_a_module(files):
    assert named("source_of_test:Outer.inner")(3) == 3


@pytest.mark.parametrize(
    "source, error, says",
    [
        pytest.param("none.npy", FileNotFoundError, "none.npy does not exist", id="no file"),
        pytest.param("row.npy", ValueError, "row.npy holds no table of rows and columns", id="no table"),
        pytest.param("code.pt", ValueError, "cannot be read as .pt: it holds pickled objects", id="code"),
        pytest.param("folder.npy", OSError, "folder.npy", id="folder"),
        pytest.param(
            "table.npy:pe", ValueError, "table.npy holds no table called pe; there are: table", id="no name"
        ),
        pytest.param("source_of_test", ValueError, "source must be a file", id="no callable"),
        pytest.param(":f", ValueError, "source must be a file", id="no module"),
        pytest.param("source_of_test:", ValueError, "source must be a file", id="empty name"),
        pytest.param("source_of_test:Inner", ValueError, "source_of_test:Inner: AttributeError", id="no attribute"),
    ],
)
def test_what_is_no_source(files, source, error, says):
    with pytest.raises(error, match=says):
        named(source)
