"""Sources: tables in files of every kind, callables of modules, and what is said of anything else."""

import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.lib import format as npy
from safetensors.torch import save_file

from pe_lib.identify.source import MOST_NUMBERS, named, tensors
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
    torch.save({"b": torch.ones(8), "pe": torch.from_numpy(TABLE)}, "pytorch_model.bin")
    torch.save([torch.from_numpy(TABLE)], "LIST.PT", _use_new_zipfile_serialization=False)
    np.savez("names.npz", **{"dense/pe:0": TABLE, "code": np.array([[print]]), "words": np.array([["a", "b"]] * 2)})
    np.save("row.npy", TABLE[:1])
    Path("source_of_test.py").write_text("class Outer:\n    def inner(n):\n        return n\n")


SOURCES = "table.npy table.csv one.npz one.npz:table table.pt table.pt:encoder.pe table.pth table.pth:table".split()
SOURCES += "table.safetensors table.safetensors:pe ./table.npy table.npy: pytorch_model.bin:pe LIST.PT:0".split()
SOURCES += "names.npz names.npz:dense/pe:0".split()


@pytest.mark.parametrize("source", SOURCES)
def test_files(files, source):
    np.testing.assert_array_equal(np.squeeze(named(source)), TABLE)


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "int32"])
def test_tensors_of_every_kind(kind, tmp_path):
    tensor = torch.ones(4, 3, dtype=getattr(torch, kind))
    save_file({"pe": tensor}, tmp_path / "pe.safetensors")
    torch.save(tensor, tmp_path / "pe.pt")
    for name in ("pe.safetensors", "pe.pt"):
        assert named(str(tmp_path / name)).tolist() == [[1, 1, 1]] * 4


def test_all_tensors(files):
    stored = tensors(Path("table.pt"))
    assert {name: tensor.shape for name, tensor in stored.items()} == {
        "encoder.pe": (1, 30, 8),
        "encoder.bias": (8,),
    }
    assert [name for name, tensor in stored.items() if tensor.is_table] == ["encoder.pe"]


def test_a_part_of_a_module(files):
    assert named("source_of_test:Outer.inner")(3) == 3


@pytest.mark.parametrize(
    "source, error, says",
    [
        pytest.param("none.npy", FileNotFoundError, "none.npy does not exist", id="no file"),
        pytest.param("row.npy", ValueError, r"row.npy holds no table of rows and columns: table \(", id="no table"),
        pytest.param("one.npz:bias", ValueError, r"one.npz: bias is no table .* its shape is \(8,\)", id="a row"),
        pytest.param(
            "table.npy:pe", ValueError, "table.npy holds no table called pe; there are: table", id="no name"
        ),
        pytest.param("names.npz:words", ValueError, "no table called words; there are: dense/pe:0", id="words"),
        pytest.param("source_of_test.py:Outer", ValueError, "write source_of_test:Outer, got", id="its file"),
        pytest.param("a/b.py:Outer", ValueError, "write a.b:Outer, got a/b.py:Outer", id="its file in a folder"),
        pytest.param("source_of_test", ValueError, "source must be a file", id="no callable"),
        pytest.param(":f", ValueError, "source must be a file", id="no module"),
        pytest.param("source_of_test:", ValueError, "source must be a file", id="empty name"),
        pytest.param("source_of_test:Inner", ValueError, "source_of_test:Inner: AttributeError", id="no attribute"),
    ],
)
def test_what_is_no_source(files, source, error, says):
    with pytest.raises(error, match=says):
        named(source)


def test_no_string():
    with pytest.raises(TypeError, match="source must be a string, got 3"):
        named(3)


# Files that hold something else


def claims(shape, kind="<f8"):
    """A .npy file whose header claims a shape."""

    def write(path):
        header = {"descr": kind, "fortran_order": False, "shape": shape}
        with path.open("wb") as file:
            npy.write_array_header_1_0(file, header)
            file.write(bytes(64))

    return write


def of_bytes(content):
    return lambda path: path.write_bytes(content)


def of_torch(content, **options):
    return lambda path: torch.save(content, path, **options)


def of_members(kind=zipfile.ZIP_STORED, **members):
    def write(path):
        with zipfile.ZipFile(path, "w", kind) as archive:
            for name, content in members.items():
                archive.writestr(name.replace("__", "/").replace("_", "."), content)

    return write


def cut(path):
    np.savez(path, table=TABLE)
    path.write_bytes(path.read_bytes()[:300])


LOST = "torch.save did not write it, or it is cut short"
CODE = "it holds pickled objects, which could execute code"
WRONG = {
    "empty.csv": (of_bytes(b""), "empty.csv is empty"),
    "empty.pt": (of_bytes(b""), "empty.pt is empty"),
    "folder.npy": (Path.mkdir, "folder.npy is not a file"),
    "text.npy": (of_bytes(b"no table"), "cannot be read as .npy: it does not begin as arrays of NumPy do"),
    "text.npz": (of_bytes(b"no table"), "cannot be read as .npz: it is no .npz file, or cut short"),
    "cut.npz": (cut, "cannot be read as .npz: it is no .npz file, or cut short"),
    "text.pt": (of_bytes(b"no table"), f"cannot be read as .pt: {LOST}"),
    "pickle.pth": (of_bytes(pickle.dumps({}, 4)), f"cannot be read as .pth: {LOST}"),
    "text.safetensors": (of_bytes(b"no table"), "cannot be read as .safetensors: it is damaged (SafetensorError: "),
    "claims.npy": (claims((9, 4)), "cannot be read as .npy: it is cut short: the shape in its header is (9, 4)"),
    "far.npy": (claims((10**9, 10**9)), "it is cut short: the shape in its header is (1000000000, 1000000000)"),
    "records.npy": (claims((4, 4), [("x", "f8")]), "holds no table of rows and columns"),
    "objects.npy": (lambda path: np.save(path, np.array([[print] * 2] * 2), allow_pickle=True), CODE),
    "objects.npz": (lambda path: np.savez(path, code=np.array([[print] * 2] * 2)), CODE),
    "class.pt": (of_torch(torch.nn.Identity()), CODE),
    "class.bin": (of_torch(torch.nn.Identity(), _use_new_zipfile_serialization=False), CODE),
    "script.pt": (
        of_members(a__data_pkl="", a__constants_pkl=""),
        "it is a program of TorchScript, which could execute code",
    ),
    "zip.pt": (of_members(a__words="no"), "cannot be read as .pt: torch.save did not write it"),
    "compressed.pt": (of_members(zipfile.ZIP_DEFLATED, a__data_pkl="no"), "cannot be read as .pt: it is compressed"),
    "damaged.pt": (of_members(a__data_pkl="no"), "cannot be read as .pt: it is damaged"),
    "wide.pt": (of_torch(torch.ones(1, 1).expand(10**4, 10**5)), f"table must have at most {MOST_NUMBERS:,} numbers"),
    "complex.pt": (of_torch(torch.ones(4, 3).cfloat()), "it gives complex64 in shape (4, 3), not real numbers"),
    "sparse.pt": (of_torch(torch.ones(4, 3).to_sparse()), "cannot be read as .pt: can't convert Sparse"),
    "meta.pt": (of_torch(torch.ones(4, 3, device="meta")), "it is damaged (NotImplementedError: Cannot copy out of"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_table_in_a_file(name, tmp_path):
    write, says = WRONG[name]
    write(tmp_path / name)
    with pytest.raises((ValueError, OSError)) as refusal:
        named(str(tmp_path / name))
    assert says in str(refusal.value)


def test_a_table_of_many_numbers_is_refused_before_it_is_loaded(files, monkeypatch):
    monkeypatch.setattr("pe_lib.identify.source.MOST_NUMBERS", TABLE.size)
    assert named("table.npy").shape == TABLE.shape
    monkeypatch.setattr("pe_lib.identify.source.MOST_NUMBERS", TABLE.size - 1)
    monkeypatch.setattr("pe_lib.identify.source.numbers", None)
    for source in ("table.npy", "table.csv", "one.npz", "table.pt", "table.pth", "table.safetensors"):
        with pytest.raises(ValueError, match=f"must have at most {TABLE.size - 1} numbers, its shape is"):
            named(source)


ROWS = ["0.0,1.0,0.5", "0.8,0.5,0.1", "0.9,-0.4,0.2", "0.1,-1.0,0.7"]
WITH_INDEX = [f"{i},{row}" for i, row in enumerate(ROWS)]


@pytest.mark.parametrize(
    "lines, says",
    [
        pytest.param(
            ["x,y,z", *ROWS], "could not convert string 'x' to float64 at row 0, column 1; a table", id="header"
        ),
        pytest.param(["0,1,2", *ROWS], "its first row counts the columns: a table has numbers alone", id="counted"),
        pytest.param([",0,1,2", *WITH_INDEX], "could not convert string '' to float64", id="header and index"),
        pytest.param(WITH_INDEX, "its first column counts the rows: a table has numbers alone", id="index"),
        pytest.param(
            [row.replace(",", ";") for row in ROWS], "'0.0;1.0;0.5' to float64 .* by commas", id="semicolons"
        ),
        pytest.param([*ROWS, "1.0,2.0"], "columns changed from 3 to 2 at row 5; a table has", id="ragged"),
        pytest.param(["é" + ROWS[0], *ROWS], "cannot be read as .csv: it is no text in UTF-8", id="latin"),
        pytest.param(["# nothing"], "holds no table of rows and columns", id="no row"),
    ],
)
def test_what_is_no_table_in_a_text(lines, says, tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("\n".join(lines), encoding="latin-1")
    with pytest.raises(ValueError, match=says):
        named(str(path))


def test_tables_as_text(tmp_path):
    """Two columns at position 0 are no count of the columns.  Some programs put a mark before a text."""
    path = tmp_path / "table.csv"
    path.write_text("0,1\n0.84,0.54\n0.91,-0.42\n", encoding="utf-8-sig")
    assert named(str(path)).tolist() == [[0, 1], [0.84, 0.54], [0.91, -0.42]]


# Modules


def test_a_module_that_ends_the_program(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "training_of_test.py").write_text("import sys\nsys.exit(0)\n")
    says = "importing training_of_test ends the program .SystemExit: 0.; put what it runs under `if __name__"
    with pytest.raises(ValueError, match=f"^training_of_test:f: {says}"):
        named("training_of_test:f")


def test_a_file_of_another_kind_is_not_imported(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "notes.txt").write_text("0.0,1.0")
    (tmp_path / "notes.py").write_text("1 / 0")
    with pytest.raises(ValueError, match=r"source must be a file .* got notes.txt:pe"):
        named("notes.txt:pe")
