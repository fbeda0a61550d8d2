"""What the argument of the command names: a table in a file, or a callable of a package.

Files are read without executing anything in them; a module that is named is imported.
"""

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pe_lib.identify.answer import ask

FILES = (".npy", ".npz", ".csv", ".pt", ".pth", ".safetensors")


def named(source: str) -> Any:
    """The table or the callable that ``source`` names: FILE, FILE:TENSOR or PACKAGE.MODULE:CALLABLE.

    Raises OSError or ValueError, saying why, if there is none.
    """
    path, _, name = source.rpartition(":")
    if Path(source).suffix in FILES:
        return _tensor(Path(source), "")
    if Path(path).suffix in FILES:
        return _tensor(Path(path), name)
    if not path or not name:
        raise ValueError(f"source must be a file ({', '.join(FILES)}) or package.module:callable, got {source}")
    attribute = ask(_attribute, path, name)  # whatever the module does when it is imported
    if not attribute.ok:
        raise ValueError(f"{source}: {type(attribute.error).__name__}: {attribute.error}")
    return attribute.value


def tensors(path: Path) -> dict[str, Any]:
    """The tensors of a file that may be tables, by their names; nothing in the file is executed.

    Raises OSError or ValueError, saying why, if the file cannot be read or holds none.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist")
    content = ask(READERS[path.suffix], path)
    if isinstance(content.error, OSError):
        raise content.error
    if not content.ok:
        raise ValueError(f"{path} cannot be read as {path.suffix}: {_reason(content.error)}")
    tables = {name: tensor for name, tensor in _leaves(content.value) if _is_table(tensor)}
    if not tables:
        raise ValueError(f"{path} holds no table of rows and columns")
    return tables


def _tensor(path: Path, name: str) -> Any:
    """The tensor called ``name`` of a file, or its only one."""
    tables = tensors(path)
    if not name and len(tables) > 1:
        listed = ", ".join(f"{key} {tuple(tensor.shape)}" for key, tensor in tables.items())
        raise ValueError(f"{path} holds several tables; name one after a colon: {listed}")
    if name and name not in tables:
        raise ValueError(f"{path} holds no table called {name}; there are: {', '.join(tables)}")
    return tables[name] if name else next(iter(tables.values()))


def _attribute(module: str, name: str) -> Any:
    attribute: Any = importlib.import_module(module)
    for part in name.split("."):
        attribute = getattr(attribute, part)
    return attribute


def _read_csv(path: Path) -> Any:
    return np.loadtxt(path, delimiter=",", ndmin=2)


def _read_npy(path: Path) -> Any:
    return np.load(path, allow_pickle=False)


def _read_npz(path: Path) -> Any:
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


def _read_torch(path: Path) -> Any:
    import torch

    return torch.load(path, map_location="cpu", weights_only=True)


def _read_safetensors(path: Path) -> Any:
    from safetensors.torch import load_file

    return load_file(path)


READERS: dict[str, Callable[[Path], Any]] = {
    ".npy": _read_npy,
    ".npz": _read_npz,
    ".csv": _read_csv,
    ".pt": _read_torch,
    ".pth": _read_torch,
    ".safetensors": _read_safetensors,
}


def _reason(error: Exception | None) -> str:
    """Why a file cannot be read, in a line."""
    reason = str(error).splitlines()[0]
    if "ickle" in reason or "eights only" in reason:
        return "it holds pickled objects, which could execute code; save arrays or a state_dict"
    return reason


def _leaves(content: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """What dictionaries in dictionaries hold, with the keys joined by dots."""
    if not hasattr(content, "items"):
        yield name or "table", content
        return
    for key, value in content.items():
        yield from _leaves(value, f"{name}.{key}".strip("."))


def _is_table(tensor: Any) -> bool:
    """Does it have two axes that are longer than 1?"""
    return sum(length > 1 for length in getattr(tensor, "shape", ())) == 2
