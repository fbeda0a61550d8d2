"""Folders that belong to one process as long as it lives: where results go, and where a run does its work."""

import contextlib
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

PREFIX = "pe_lib-run-"  # of the names of scratch folders
RUN = r".+\.(?:ipynb|json)"  # the names of what a run leaves


@contextlib.contextmanager
def held(folder: Path) -> Iterator[bool]:
    """Keep other processes from holding the folder too.  -> whether its file system can do that

    The system lets go of it when this process ends, however that happens.  Raises BlockingIOError if another process
    holds it.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            is_held = _lock(descriptor)
        except BlockingIOError:
            wanted = "wait for it, or name another folder"
            raise BlockingIOError(f"another process is at work in {folder}: {wanted}") from None
        yield is_held
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A new folder, which is removed afterwards.  What killed processes left of theirs is removed before."""
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        _remove_if_left(path)
    folder, descriptor = _new_scratch()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def halves(folder: Path, name: str = RUN) -> Iterator[tuple[Path, int]]:
    """Files that a process has half written, or had when it was killed, each with the number of the process.

    `collection.write_whole` calls them ``.NAME.PID``; ``name`` is a pattern for NAME, by default the files of runs.
    """
    for path in folder.glob(".*"):
        match = re.fullmatch(rf"\.{name}\.(\d+)", path.name)
        if match:
            yield path, int(match[1])


def remove_halves(folder: Path, name: str = RUN, *, is_alone: bool = False) -> None:
    """Remove the `halves` of dead processes; those of all others too, if none but this one is at work there."""
    for path, process in halves(folder, name):
        if is_alone or not _is_alive(process):
            path.unlink(missing_ok=True)


def _new_scratch() -> tuple[Path, int]:
    """A scratch folder and the descriptor that holds it.  Another process may take it for a left one before that."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        with contextlib.suppress(FileNotFoundError):
            descriptor = os.open(folder, os.O_RDONLY)
            with contextlib.suppress(BlockingIOError):
                _lock(descriptor)
                if folder.exists():
                    return folder, descriptor
            os.close(descriptor)


def _remove_if_left(folder: Path) -> None:
    """Remove a scratch folder unless a process holds it, or it belongs to another user."""
    with contextlib.suppress(OSError), held(folder) as is_ours:
        if is_ours:
            shutil.rmtree(folder, ignore_errors=True)


def _lock(descriptor: int) -> bool:
    """Take the lock of a folder.  -> False if its file system has none; BlockingIOError if it is taken"""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:  # some network file systems
        return False
    return True


def _is_alive(process: int) -> bool:
    """Whether another process of this number runs on this machine."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # of another user
        return True
    return process != os.getpid()
