"""The command on hundreds of files that somebody may hand over: damaged, mislabelled, hostile.

Whatever is in a file, the command ends with status 0, 1 or 2 and says why in one line; nothing in it is executed,
no library warns, and no header makes the command fetch memory that the file does not fill.
"""

import io
import json
import os
import pickle
import resource
import struct
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.lib import format as npy
from safetensors.torch import save

from pe_lib.identify.__main__ import main
from pe_lib.identify.source import FILES
from pe_lib.sinusoidal import sinusoidal

TABLE = sinusoidal(np.arange(12), 4)
MEGABYTES = 300  # of memory that all the files together may take


class Runs:
    """A pickle that makes a folder where it is executed."""

    def __reduce__(self):
        return os.mkdir, ("executed",)


def written(save_to, *arguments, **options):
    stream = io.BytesIO()
    save_to(stream, *arguments, **options)
    return stream.getvalue()


def npy_claiming(shape, descr="<f8"):
    """A .npy file of a few bytes whose header claims another shape."""
    header = {"descr": descr, "fortran_order": False, "shape": shape}
    return written(npy.write_array_header_1_0, header) + bytes(64)


def npy_with_header(text):
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode() + bytes(64)


def zipped(kind=zipfile.ZIP_DEFLATED, **members):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", kind) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("_npy", ".npy"), content)
    return stream.getvalue()


def zeros_compressed():
    """A small archive that holds 120 MB, or a GB as float64."""
    stream, zeros = io.BytesIO(), bytes(10_000_000)
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("pe.npy", "w") as member:
        npy.write_array_header_1_0(member, {"descr": "|i1", "fortran_order": False, "shape": (30_000_000, 4)})
        for _ in range(12):
            member.write(zeros)
    return stream.getvalue()


def safetensors_with(header, n_byte=64):
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(n_byte)


def claiming_tensor(shape, end):
    return {"pe": {"dtype": "F64", "shape": shape, "data_offsets": [0, end]}}


def save_torch(content, stream, new):
    torch.save(content, stream, _use_new_zipfile_serialization=new)


STATE = {"encoder": {"pe": torch.from_numpy(TABLE)}, "step": 3}
WHOLE = {
    ".npy": written(np.save, TABLE),
    ".npz": written(np.savez_compressed, pe=TABLE, bias=TABLE[0]),
    ".csv": written(np.savetxt, TABLE, delimiter=","),
    ".pt": written(lambda stream: torch.save(STATE, stream)),
    ".pth": written(lambda stream: torch.save(STATE, stream, _use_new_zipfile_serialization=False)),
    ".safetensors": save({"pe": torch.from_numpy(TABLE.copy())}),
}


def of_arrays() -> Iterator[tuple[str, bytes]]:
    """Arrays of every kind that NumPy can store, in .npy and .npz."""
    wholes = np.arange(48).reshape(12, 4)
    records = np.zeros((4, 4), dtype=[("x", "f8"), ("y", "i4")])
    arrays = [TABLE.astype(kind) for kind in ("f2", "f4", ">f8", "c16", "?", "i1", "u8", "U5", "S5", "longdouble")]
    arrays += [
        wholes.astype("M8[s]"),
        wholes.astype("m8[s]"),
        records,
        TABLE.astype(object),
        np.asfortranarray(TABLE),
    ]
    arrays += [TABLE[0], TABLE[:1], TABLE[:, :1], TABLE[None], TABLE[None, :, None], TABLE.reshape(2, 6, 4)]
    arrays += [np.float64(3), np.zeros((0, 4)), np.zeros((3, 0)), np.full((5, 4), np.nan), np.full((5, 4), -np.inf)]
    arrays += [TABLE * 1e308, TABLE * 1e-310, np.zeros((9, 4)), np.full((9, 4), np.iinfo(int).min)]
    for array in arrays:
        yield ".npy", written(np.save, array)
        yield ".npz", written(np.savez, array)


def of_claims() -> Iterator[tuple[str, bytes]]:
    """Headers that claim what is not there."""
    shapes = [(10**9, 8), (2**62, 4), (-1, 4), (10**30, 3), (True, 4), (10**5, 10**5), (3,) * 40]
    for shape in shapes:
        yield ".npy", npy_claiming(shape)
        yield ".npz", zipped(pe_npy=npy_claiming(shape))
    yield ".npy", npy_claiming((4, 4), "|O")
    yield ".npy", npy_claiming((4, 4), "<f7")
    for text in ("", "{", "{'descr': 1if 2 else 3}", "[" * 9000, "(" * 400 + ")" * 400, "{}"):
        yield ".npy", npy_with_header(text)
    yield ".npz", zeros_compressed()
    yield ".pt", written(lambda stream: torch.save(torch.zeros(1).expand(10**10, 64), stream))
    yield ".pt", written(lambda stream: torch.save(torch.zeros(1, 1).expand(10**5, 10**5), stream))
    for shape, end in (([10**9, 8], 64 * 10**9), ([2, 4], 64), ([2**62, 4], 2**63), ([-1, 4], 64), ([3, 4], 64)):
        yield ".safetensors", safetensors_with(claiming_tensor(shape, end))
    yield ".safetensors", struct.pack("<Q", 2**63) + b"{}"
    yield ".safetensors", safetensors_with([])


def of_pickles() -> Iterator[tuple[str, bytes]]:
    """What runs code where it is unpickled."""
    for suffix in (".pt", ".pth", ".npy", ".npz"):
        for protocol in (0, 2, 4):
            yield suffix, pickle.dumps(Runs(), protocol)
    for new in (True, False):
        for content in (Runs(), {"pe": torch.from_numpy(TABLE), "code": Runs()}, [Runs()]):
            yield ".pt", written(lambda stream, c=content, n=new: save_torch(c, stream, n))
    array = np.array([[Runs(), Runs()]] * 2)
    yield ".npy", written(np.save, array, allow_pickle=True)
    yield ".npz", written(np.savez, array)


def of_containers() -> Iterator[tuple[str, bytes]]:
    """Tensors in lists, in themselves, of odd kinds; archives with odd members."""
    table = torch.from_numpy(TABLE)
    cycle = {"pe": table}
    cycle["self"] = cycle
    deep = table
    for _ in range(300):
        deep = [deep]
    contents = [[table, table[0]], (table,), {3: table, None: 4}, cycle, deep, "words", None, 7, {}, [], table > 0]
    contents += [table.to(torch.complex64), table.to_sparse(), table.bfloat16(), torch.empty(4, 4, device="meta")]
    contents += [{"a.b": table, "a": {"b": table}}, {"\x1b[2J\n": table, "x\ny": table}, torch.nn.Parameter(table)]
    for content in contents:
        yield ".pt", written(lambda stream, c=content: torch.save(c, stream))
    yield ".npz", zipped(**{"../../slip_npy": WHOLE[".npy"]})
    yield ".npz", zipped(**{"\x1b[2J\n_npy": WHOLE[".npy"], "readme.txt": b"words"})
    yield ".npz", zipped(**{"readme.txt": b"words"})
    yield ".npz", zipped()
    yield ".pt", zipped()
    yield ".pt", zipped(**{"archive/data.pkl": pickle.dumps(Runs(), 2), "archive/version": b"3\n"})


LINES = ["0.0,1.0", "0.84,0.54", "0.91,-0.42", "0.14,-0.99", "-0.76,-0.65"]
TEXTS = {
    "header": ["sin,cos", *LINES],
    "header of numbers": ["0,1,2", *[f"{line},0.5" for line in LINES]],
    "index": [",0,1", *[f"{i},{line}" for i, line in enumerate(LINES)]],
    "index alone": [f"{i},{line}" for i, line in enumerate(LINES)],
    "semicolons": [line.replace(",", ";") for line in LINES],
    "tabs": [line.replace(",", "\t") for line in LINES],
    "blanks": [line.replace(",", " ") for line in LINES],
    "comma for the point": [line.replace(".", ",") for line in LINES],
    "ragged": [*LINES, "1.0"],
    "empty field": [*LINES, "1.0,"],
    "quotes": [f'"{line}"' for line in LINES],
    "words": [*LINES, "one,two"],
    "nan": [*LINES, "nan,1"],
    "inf": [*LINES, "1e999,1"],
    "complex": [*LINES, "1j,1"],
    "comments": ["# one", "# two"],
    "comment": ["# sin,cos", *LINES],
    "blank lines": ["", *LINES, "", ""],
    "white": [" ", "\t", ""],
    "one row": LINES[:1],
    "one column": ["1", "2", "3"],
    "two rows": LINES[:2],
    "long": [",".join(["1.0"] * 20_000)],
}


def of_texts() -> Iterator[tuple[str, bytes]]:
    """Tables as text, in the ways people write them."""
    for lines in TEXTS.values():
        yield ".csv", "\n".join(lines).encode()
        yield ".csv", "\r\n".join(lines).encode("utf-8-sig")
    yield ".csv", "0.0,1.0\n".encode("utf-16") * 4
    yield ".csv", "é,1.0\n".encode("latin-1") * 4
    yield ".csv", b"0.0,\x001.0\n" * 4


def of_damage(rng) -> Iterator[tuple[str, bytes]]:
    """Whole files cut short, with bytes changed, under another name; random bytes, and none."""
    for suffix, content in WHOLE.items():
        yield suffix, b""
        yield suffix, b"\n"
        for n_byte in (1, 8, 100, 5000):
            yield suffix, rng.bytes(n_byte)
        for length in rng.integers(1, len(content), 5):
            yield suffix, content[:length]
        for _ in range(6):
            changed = bytearray(content)
            changed[rng.integers(len(changed))] = rng.integers(256)
            yield suffix, bytes(changed)
        changed = np.frombuffer(content, np.uint8).copy()
        changed[rng.integers(len(changed), size=20)] = rng.integers(256, size=20)
        yield suffix, changed.tobytes()
        yield suffix, content + rng.bytes(50)
        for other in FILES:
            if other != suffix:
                yield other, content


def kinds(rng):
    return {
        "arrays": of_arrays(),
        "claims": of_claims(),
        "pickles": of_pickles(),
        "containers": of_containers(),
        "texts": of_texts(),
        "damage": of_damage(rng),
    }


def complaints(source, capfd):
    """What is wrong with how the command ends for a file; empty if nothing is."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            status = main([source])
        except BaseException as error:
            capfd.readouterr()
            return [f"{type(error).__name__}: {str(error)[:100]}"]
    out, err = capfd.readouterr()
    found = [f"warning: {str(warning.message)[:100]}" for warning in warned]
    if status not in (0, 1, 2):
        found.append(f"status {status}")
    if (len(err.splitlines()), out == "") != ((1, True) if status == 2 else (0, False)):
        found.append(f"{len(err.splitlines())} lines of errors, status {status}")
    if status == 2 and (source not in err or len(err) > 1000 or not err.strip().isprintable()):
        found.append(f"message {err[:300]!r}")
    return found


@pytest.mark.slow
@pytest.mark.parametrize("kind", kinds(None))
def test_whatever_is_in_a_file(kind, tmp_path, monkeypatch, capfd, rng):
    monkeypatch.chdir(tmp_path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    wrong = {}
    for i, (suffix, content) in enumerate(kinds(rng)[kind]):
        path = Path(f"{kind}_{i}{suffix}")
        path.write_bytes(content)
        found = complaints(str(path), capfd)
        if found:
            wrong[str(path)] = found
        if Path("executed").exists():
            wrong[str(path)] = ["executed"]
            Path("executed").rmdir()
        path.unlink()
    assert not wrong, f"{len(wrong)} of {i + 1}: {json.dumps(wrong, indent=1)}"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1024 * MEGABYTES
