"""What a folder of runs holds, and how long what is missing would take."""

import contextlib
import statistics
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from pe_lib.runs.folders import halves, held
from pe_lib.runs.plan import Run
from pe_lib.runs.store import load
from pe_lib.runs.summary import aligned, failure


@dataclass
class Content:
    """What a folder holds of runs."""

    ok: list[dict] = field(default_factory=list)  # records
    failed: dict[str, dict] = field(default_factory=dict)  # name of the notebook -> its record
    unfinished: dict[str, str] = field(default_factory=dict)  # name of a file -> what is wrong with it


def content_of(folder: Path) -> Content:
    """What the folder holds.  Raises OSError if it cannot be read."""
    content = Content()
    for path, _ in halves(folder):
        content.unfinished[path.name] = "half written"
    for path in sorted(folder.iterdir()):
        if path.suffix == ".ipynb" and not path.with_suffix(".json").exists():
            content.unfinished[path.name] = "without a record"
        if path.suffix == ".json":
            _add(content, path)
    return content


def status(folder: Path) -> list[str]:
    """The lines of ``python -m pe_lib.runs status``: how many, a table of them, then what failed or is unfinished.

    Raises OSError if the folder cannot be read.
    """
    if not folder.exists():
        raise FileNotFoundError(f"there is no folder {folder}")
    content = content_of(folder)
    numbers = f"{len(content.ok)} ok, {len(content.failed)} failed, {len(content.unfinished)} unfinished"
    busy = "; a process is at work there" if _is_busy(folder) else ""
    lines = [f"{folder}: {numbers}{busy}"]
    if content.ok or content.failed:
        lines += aligned(_table([*content.ok, *content.failed.values()]))
    lines += [failure(name, {}, record["error"]) for name, record in content.failed.items()]
    lines += [f"{name}: unfinished, {state}" for name, state in content.unfinished.items()]
    return lines


def forecast(todo: list[Run], folder: Path, processes: int) -> str:
    """The line on how long the runs would take, if each takes what finished ones of its notebook took there."""
    seconds = defaultdict(list)
    with contextlib.suppress(OSError):
        for record in content_of(folder).ok:
            seconds[record["notebook"]].append(record["seconds"])
    unknown = sorted({run.notebook for run in todo} - seconds.keys())
    if unknown:
        return f"estimated time: unknown, {folder} has no finished run of {', '.join(unknown)}"
    total = sum(statistics.mean(seconds[run.notebook]) for run in todo)
    workers = "1 process" if processes == 1 else f"{processes} processes"
    return f"estimated time: {_duration(total / processes)} with {workers}, as what is finished there took"


def _add(content: Content, path: Path) -> None:
    """Add the record at ``path`` to where it belongs."""
    record, notebook = load(path), path.with_suffix(".ipynb")
    if record is None:
        content.unfinished[path.name] = "not a whole record of this version"
    elif record["error"]:
        content.failed[notebook.name] = record
    elif notebook.exists():
        content.ok.append(record)
    else:
        content.unfinished[path.name] = "without its notebook"


def _table(records: list[dict]) -> list[list[str]]:
    """A line for each notebook and version of the library."""
    groups = defaultdict(list)
    for record in records:
        groups[record["notebook"], record["versions"]["pe_lib"]].append(record)
    lines = [["notebook", "ok", "failed", "seconds", "pe_lib"]]
    for (notebook, version), group in sorted(groups.items()):
        ok = sum(record["error"] is None for record in group)
        seconds = sum(record["seconds"] or 0 for record in group)
        lines.append([notebook, str(ok), str(len(group) - ok), f"{seconds:.1f}", version])
    return lines


def _is_busy(folder: Path) -> bool:
    """Whether another process is at work in the folder."""
    try:
        with held(folder):
            return False
    except BlockingIOError:
        return True


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"about {max(1, round(seconds))} s"
    minutes = seconds / 60
    return f"about {minutes:.0f} min" if minutes < 100 else f"about {minutes / 60:.1f} h"
