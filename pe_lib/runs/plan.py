"""The plan: what is to be run, checked before anything starts."""

import ast
import contextlib
import difflib
import hashlib
import itertools
import json
import math
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Any

from pe_lib import check, collection
from pe_lib.collection import plain
from pe_lib.runs import digest, limits
from pe_lib.runs.digest import Versions, versions_of
from pe_lib.runs.notebook import Notebook, read
from pe_lib.runs.origin import Origin, origin

Job = tuple[str | Path, dict[str, Any]]  # the path of a notebook, and parameters to run it with
MOST = 10_000  # runs of a grid: half a day on two cores, if each takes ten seconds
# What a record holds.
FIELDS = {
    "notebook",
    "parameters",
    "key",
    "result",
    "error",
    "seconds",
    "started",
    "versions",
    "processor",
    "results",
    "commit",
    "clean",
}


@dataclass(frozen=True)
class Run:
    """One notebook with one set of parameters, checked."""

    stem: str  # of the files that it leaves
    notebook: str  # name of the notebook's file
    source: str  # its text
    changes: dict  # the parameters that the notebook is run with, as far as the job names them
    parameters: dict  # all of them
    key: str  # sha256 over the cells, the parameters and the versions
    versions: Versions
    origin: Origin

    def draft(self) -> dict:
        """The record of this run as far as it is known before it starts."""
        return {
            "notebook": self.notebook,
            "parameters": self.parameters,
            "key": self.key,
            "result": "failed",
            "error": None,
            "seconds": None,
            "started": None,
            "versions": {"pe_lib": self.versions.code},
            **asdict(self.origin),
            "processor": None,
            "results": [],
        }


def grid(notebook: str | Path, values: dict) -> list[Job]:
    """Every combination of the ``values`` (name -> list of values), as jobs for ``run``.

    The last name runs fastest.  Raises ValueError if there is no name, a name without values, or more than 10,000
    combinations.
    """
    check.path("notebook", notebook)
    check.instance("values", values, dict)
    lists = all(isinstance(choices, (list, tuple, range)) and bool(choices) for choices in values.values())
    if not values or not lists:
        raise ValueError(f"values must have a name, and a list of one value or more for each, got {values}")
    size = math.prod(map(_length, values.values()))
    if size > MOST:
        raise ValueError(f"a grid must have at most {MOST:,} runs, got {size:,}: run a part of it at a time")
    points = itertools.product(*values.values())
    return [(notebook, dict(zip(values, point, strict=True))) for point in points]


def is_span(text: str) -> bool:
    """Whether it is written like ``0:5``."""
    return re.fullmatch(r"-?\d+:-?\d+", text) is not None


def span(text: str) -> range:
    """The whole numbers from the first to before the last: "0:5" is 0, 1, 2, 3, 4."""
    first, last = text.split(":")
    return range(int(first), int(last))


def plan(jobs: Iterable[Job]) -> list[Run]:
    """The ``jobs``, checked, in their order; starts and writes nothing.

    Raises OSError for a notebook that cannot be read, TypeError for a value that is not of the kind of the notebook's
    default, ValueError for the rest, as for a value outside the limits that the notebook states.
    """
    # Of the tables in results, ``versions`` has what a run reads.
    library = origin(digest.PACKAGE, but=collection.DATA / "results")
    examined: dict[Path, Examined] = {}
    runs: dict[str, Run] = {}
    for job in check.several("jobs", jobs, tuple):
        if len(job) != 2:
            raise ValueError(f"each of jobs must be (notebook, parameters), got {check.short(job)}")
        notebook, changes = job
        path = check.path("the notebook of each of jobs", notebook)
        check.instance("the parameters of each of jobs", changes, dict)
        if path not in examined:
            _refuse_namesake(path, examined)
        with _naming(path):
            if path not in examined:
                examined[path] = _examine(path)
            run = _run(path, examined[path], changes, library)
        if run.stem in runs:
            raise ValueError(f"{path.name} is asked for twice with the same parameters, {run.changes}")
        runs[run.stem] = run
    return list(runs.values())


@dataclass(frozen=True)
class Examined:
    """A notebook, and what its runs depend on besides their parameters."""

    notebook: Notebook
    versions: Versions
    cells: str  # as JSON: what the keys of all its runs begin with


def _examine(path: Path) -> Examined:
    if not path.is_file():
        what = "is a folder, not a notebook" if path.is_dir() else "is not there"
        raise FileNotFoundError(f"{path} {what}; paths are those from the current folder, {Path.cwd()}")
    try:
        source = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ValueError("this is not a notebook of format 4") from None
    notebook = read(source)
    cells = json.dumps([astuple(cell) for cell in notebook.cells])
    return Examined(notebook, versions_of(notebook), cells)


def _refuse_namesake(path: Path, examined: Iterable[Path]) -> None:
    """Raises ValueError if another notebook would leave files of the same names."""
    for other in examined:
        if other.stem == path.stem and other.resolve() != path.resolve():
            raise ValueError(f"two notebooks are called {path.name}: run them into two folders")


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Errors over the content of a notebook begin with its name."""
    try:
        yield
    except TypeError as error:
        raise TypeError(f"{path.name}: {error}") from None
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from None
    except (RecursionError, MemoryError):  # both are what Python's parser raises
        raise ValueError(f"{path.name}: something in it is nested too deeply to be read") from None


def _run(path: Path, examined: Examined, changes: dict, library: Origin) -> Run:
    notebook, versions = examined.notebook, examined.versions
    checked = {name: _checked(name, value, notebook.defaults) for name, value in changes.items()}
    parameters = notebook.defaults | checked
    limits.refuse(notebook.limits, parameters)
    state = [examined.cells, json.dumps(parameters, sort_keys=True), json.dumps(astuple(versions))]
    key = hashlib.sha256(f"[{', '.join(state)}]".encode()).hexdigest()
    stem = f"{path.stem}-{key[:10]}" if checked else path.stem
    return Run(stem, path.name, notebook.source, checked, parameters, key, versions, library)


def _checked(name: str, value: Any, defaults: dict) -> Any:
    """The value as the notebook gets it: plain, and of the kind of the default."""
    if name not in defaults:
        close = difflib.get_close_matches(name, defaults, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise ValueError(f"no parameter is called {name}; there are {', '.join(defaults)}{hint}")
    value, default = _written(name, plain(name, value)), defaults[name]
    if type(default) is float and type(value) is int:  # True is none of these
        value = _float(name, value)
    if default is not None and type(value) is not type(default):
        kind = type(default).__name__
        hint = "; in a grid, [[0, 1]] is one list" if isinstance(default, list) else ""
        raise TypeError(f"{name} must be of type {kind} as its default {default!r} is, got {value!r}{hint}")
    return value


def _written(name: str, value: Any) -> Any:
    """The value, if it can be written into a notebook and read again there."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError(f"{name} must be text that UTF-8 can hold, got {value!r}") from None
    try:
        ast.literal_eval(repr(value))
    except (MemoryError, RecursionError, SyntaxError):
        raise ValueError(f"{name} is nested too deeply for Python to read it") from None
    return value


def _float(name: str, value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        digits = len(str(abs(value)))
        raise ValueError(f"{name} must be a number that a float can hold, got one of {digits} digits") from None


def _length(choices: Sequence) -> int:
    """How many values there are; a range may have more than ``len`` can say."""
    try:
        return len(choices)
    except OverflowError:
        return sys.maxsize
