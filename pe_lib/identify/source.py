"""What the argument of the command names: a table in a file, or a callable of a package.

Of a file the header comes first: what it holds is known, and what is too large refused, before anything is loaded.
Then one tensor is.  Nothing in a file is executed; a module that is named is imported.
"""

import importlib
import math
import re
import warnings
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

from pe_lib.identify.answer import Answer, ask, in_a_line
from pe_lib.identify.probe import numbers

MOST_NUMBERS = 100_000_000  # of a table, 0.8 GB as float64
TORCH_LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # how files of torch.save began before they were archives
PICKLED = "it holds pickled objects, which could execute code; save arrays or a state_dict"
PLAIN = "a table has numbers alone, separated by commas, without a header and without an index"


@dataclass(frozen=True)
class Stored:
    """A tensor of a file: its shape, as the header has it, and what loads it."""

    shape: tuple[int, ...]
    load: Callable[[], Any]

    @property
    def is_table(self) -> bool:
        """Does it have two axes that are longer than 1?"""
        return sum(length > 1 for length in self.shape) == 2


def named(source: str) -> Any:
    """The table or the callable that ``source`` names: FILE, FILE:TENSOR or PACKAGE.MODULE:CALLABLE.

    Raises OSError or ValueError, saying why, if there is none.
    """
    if not isinstance(source, str):
        raise TypeError(f"source must be a string, got {source!r}")
    file = FILE_AND_TENSOR.fullmatch(source)
    if file:
        return _table(Path(file[1]), file[2] or "")
    module, _, name = source.rpartition(":")
    if module.endswith(".py"):
        dotted = ".".join(Path(module).with_suffix("").parts)
        raise ValueError(f"source must name a module, not its file: write {dotted}:{name}, got {source}")
    if not module or not name or Path(module).is_file():
        raise ValueError(f"source must be a file ({', '.join(FILES)}) or package.module:callable, got {source}")
    attribute = ask(_attribute, module, name)  # whatever the module does when it is imported
    if isinstance(attribute.error, SystemExit):
        guard = 'put what it runs under `if __name__ == "__main__":`'
        raise ValueError(f"{source}: importing {module} ends the program ({attribute.complaint()}); {guard}")
    if not attribute.ok:
        raise ValueError(f"{source}: {attribute.complaint()}")
    return attribute.value


def tensors(path: Path) -> dict[str, Stored]:
    """The tensors of a file, by their names.

    Raises OSError or ValueError, saying why, if the file cannot be read.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist")
    if not path.is_file():
        raise OSError(f"{path} is not a file")
    if path.stat().st_size == 0:
        raise ValueError(f"{path} is empty")
    return _read(path, READERS[path.suffix.lower()], path)


def _table(path: Path, name: str) -> npt.NDArray[np.float64]:
    """The table called ``name`` of a file, or its only one."""
    stored = tensors(path)
    tables = [key for key, tensor in stored.items() if tensor.is_table]
    if not name and len(tables) != 1:
        listed = ", ".join(f"{key} {stored[key].shape}" for key in tables)
        shapes = ", ".join(f"{key} {tensor.shape}" for key, tensor in list(stored.items())[:5]) or "no numbers"
        none = f"no table of rows and columns: {shapes}"
        says = f"several tables; name one after a colon: {listed}" if tables else none
        raise ValueError(f"{path} holds {says}")
    name = name or tables[0]
    if name not in stored:
        raise ValueError(f"{path} holds no table called {name}; there are: {', '.join(tables) or 'none'}")
    shape = stored[name].shape
    if not stored[name].is_table:
        raise ValueError(f"{path}: {name} is no table of rows and columns, its shape is {shape}")
    if math.prod(shape) > MOST_NUMBERS:
        raise ValueError(f"{path}: {name} must have at most {MOST_NUMBERS:,} numbers, its shape is {shape}")
    return _read(path, lambda: numbers(stored[name].load()))


def _attribute(module: str, name: str) -> Any:
    attribute: Any = importlib.import_module(module)
    for part in name.split("."):
        attribute = getattr(attribute, part)
    return attribute


def _read(path: Path, call: Callable, *arguments: Any) -> Any:
    """What a library reads of a file, without its warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        content = ask(call, *arguments)
    if isinstance(content.error, OSError):
        raise content.error
    if not content.ok:
        raise ValueError(f"{path} cannot be read as {path.suffix}: {_reason(content)}")
    return content.value


def _reason(content: Answer) -> str:
    """Why a file cannot be read, in a line."""
    text = str(content.error)
    if "allow_pickle" in text or "GLOBAL" in text:  # of NumPy, of torch
        return PICKLED
    if isinstance(content.error, ValueError | TypeError):
        return in_a_line(text[:300])
    advises_to_execute = "weights_only" in text
    return f"it is damaged ({type(content.error).__name__ if advises_to_execute else content.complaint()})"


# A reader for each kind of file


def _in_npy(path: Path) -> dict[str, Stored]:
    with path.open("rb") as file:
        shape = _shape(file, path.stat().st_size)
    return {} if shape is None else {"table": Stored(shape, partial(np.load, path, allow_pickle=False))}


def _in_npz(path: Path) -> dict[str, Stored]:
    if not zipfile.is_zipfile(path):
        raise ValueError("it is no .npz file, or cut short")
    stored = {}
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if not member.filename.endswith(".npy"):
                continue
            with archive.open(member) as file:
                shape = _shape(file, member.file_size)
            name = member.filename.removesuffix(".npy")
            if shape is not None:
                stored[name] = Stored(shape, partial(_member, path, member.filename))
    return stored


def _member(path: Path, name: str) -> npt.NDArray:
    with zipfile.ZipFile(path) as archive, archive.open(name) as file:
        return npy.read_array(file, allow_pickle=False)


def _shape(file: IO[bytes], n_byte: int) -> tuple[int, ...] | None:
    """The shape in the header of an array, which has that many bytes in all; None if it holds no numbers."""
    if file.read(len(npy.MAGIC_PREFIX)) != npy.MAGIC_PREFIX:
        raise ValueError("it does not begin as arrays of NumPy do")
    file.seek(0)
    header = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    version = npy.read_magic(file)
    if version not in header:  # of records whose fields have names beyond latin-1
        return None
    shape, _, dtype = header[version](file)
    if dtype.kind not in "biufcO":
        return None
    if dtype.kind != "O" and math.prod(shape) * dtype.itemsize > n_byte - file.tell():
        raise ValueError(f"it is cut short: the shape in its header is {shape}")
    return shape


def _in_csv(path: Path) -> dict[str, Stored]:
    try:
        table = np.loadtxt(path, delimiter=",", ndmin=2, encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("it is no text in UTF-8") from None
    except ValueError as error:
        says = str(error).split("; use `usecols`")[0].rstrip(".")
        raise ValueError(f"{says[:100]}; {PLAIN}") from None
    n_row, n_column = table.shape
    if n_row > 2 and n_column > 2 and np.array_equal(table[0], np.arange(n_column)):
        raise ValueError(f"its first row counts the columns: {PLAIN}")
    if n_row > 2 and np.array_equal(table[:, 0], np.arange(n_row)):
        raise ValueError(f"its first column counts the rows: {PLAIN}")
    return {"table": Stored(table.shape, lambda: table)}


def _in_torch(path: Path) -> dict[str, Stored]:
    import torch

    is_archive = zipfile.is_zipfile(path)
    if is_archive:
        _check_archive(path)
    with path.open("rb") as file:
        begins = file.read(len(TORCH_LEGACY))
    if not is_archive and begins != TORCH_LEGACY:
        raise ValueError("torch.save did not write it, or it is cut short")
    # An archive is mapped, not read: what is not looked at takes no memory.
    content = torch.load(path, map_location="cpu", weights_only=True, mmap=is_archive)
    leaves = dict(_leaves(content))
    return {name: _in_memory(leaf) for name, leaf in leaves.items() if isinstance(leaf, torch.Tensor)}


def _check_archive(path: Path) -> None:
    """Refuses archives that are not of torch.save, or not to be mapped."""
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    names = {member.filename.rpartition("/")[2] for member in members}
    if "constants.pkl" in names:
        raise ValueError("it is a program of TorchScript, which could execute code; save a state_dict")
    if "data.pkl" not in names:
        raise ValueError("torch.save did not write it")
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise ValueError("it is compressed, which files of torch.save are not")


def _in_memory(tensor: Any) -> Stored:
    return Stored(tuple(tensor.shape), lambda: tensor)


def _leaves(content: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """What dictionaries and lists in one another hold, with keys and numbers joined by dots."""
    if isinstance(content, list | tuple):
        content = dict(enumerate(content))
    if not isinstance(content, dict):
        yield name or "table", content
        return
    for key, value in content.items():
        yield from _leaves(value, f"{name}.{key}".strip("."))


def _in_safetensors(path: Path) -> dict[str, Stored]:
    from safetensors import safe_open

    stored = {}
    with safe_open(path, framework="pt") as file:
        for name in file.keys():
            shape = tuple(file.get_slice(name).get_shape())
            stored[name] = Stored(shape, partial(_tensor, path, name))
    return stored


def _tensor(path: Path, name: str) -> Any:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        return file.get_tensor(name)


READERS: dict[str, Callable[[Path], dict[str, Stored]]] = {
    ".npy": _in_npy,
    ".npz": _in_npz,
    ".csv": _in_csv,
    ".pt": _in_torch,
    ".pth": _in_torch,
    ".bin": _in_torch,
    ".safetensors": _in_safetensors,
}
FILES = tuple(READERS)
FILE_AND_TENSOR = re.compile(rf"(.+?(?:{'|'.join(map(re.escape, FILES))}))(?::(.*))?", flags=re.I | re.S)
