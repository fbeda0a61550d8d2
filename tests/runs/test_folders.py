"""Who is at work in a folder, scratch folders, and what killed processes leave."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from pe_lib.runs import folders
from pe_lib.runs.folders import PREFIX, halves, held, remove_halves, scratch

HOLDS = """
import sys, time
from pathlib import Path
from pe_lib.runs.folders import held, scratch
with held(Path(sys.argv[1])), scratch() as folder:
    (folder / "work").touch()
    print(folder, flush=True)
    time.sleep(3000)
"""


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """The folder for temporary files, empty."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return folder


@pytest.fixture
def other(tmp_path, temporary):
    """Another process that holds ``tmp_path`` and a scratch folder.  -> the process and its scratch folder"""
    command = [sys.executable, "-c", HOLDS, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        yield process, Path(process.stdout.readline().strip())
        process.kill()


def test_a_folder_is_held_by_one_process_until_it_is_killed(tmp_path, other):
    process, _ = other
    with pytest.raises(BlockingIOError, match="another process is at work in"), held(tmp_path):
        pass
    process.kill()
    process.wait()
    with held(tmp_path) as is_alone:
        assert is_alone
    assert sorted(os.listdir(tmp_path)) == ["temporary"]  # no file says who holds it


def test_an_error_in_the_folder_is_not_taken_for_another_process(tmp_path):
    with pytest.raises(BlockingIOError, match=r"^mine$"), held(tmp_path):
        raise BlockingIOError("mine")
    with held(tmp_path):
        pass


def test_where_a_file_system_has_no_locks_nobody_is_refused(tmp_path, monkeypatch):
    def none(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(folders.fcntl, "flock", none)
    with held(tmp_path) as first, held(tmp_path) as second:
        assert not first and not second


def test_scratch_is_gone_afterwards_also_after_an_error(temporary):
    with scratch() as folder:
        (folder / "work").touch()
        assert folder.parent == temporary and folder.name.startswith(PREFIX)
    with pytest.raises(KeyError), scratch():
        raise KeyError
    assert list(temporary.iterdir()) == []


def test_scratch_of_a_killed_process_is_removed_by_the_next_and_that_of_a_living_one_stays(temporary, other):
    process, theirs = other
    (temporary / "not ours").mkdir()
    with scratch():
        assert theirs.is_dir()
    process.kill()
    process.wait()
    with scratch() as ours:
        assert sorted(temporary.iterdir()) == sorted([temporary / "not ours", ours])


def test_two_of_one_process_leave_each_other_alone(temporary):
    with scratch() as first, scratch() as second:
        assert first.is_dir() and second.is_dir() and first != second


@pytest.mark.parametrize("moment", ["made", "opened"])
def test_a_new_folder_that_another_process_removes_is_given_up(temporary, monkeypatch, moment):
    """Between its making and its holding it looks like one that was left."""
    made = []
    mkdtemp, lock = tempfile.mkdtemp, folders._lock

    def remove_first():
        if len(made) == 1:
            os.rmdir(made[0])

    def disturbed_mkdtemp(prefix):
        made.append(mkdtemp(prefix=prefix))
        if moment == "made":
            remove_first()
        return made[-1]

    def disturbed_lock(descriptor):
        if moment == "opened":
            remove_first()
        return lock(descriptor)

    monkeypatch.setattr(folders.tempfile, "mkdtemp", disturbed_mkdtemp)
    monkeypatch.setattr(folders, "_lock", disturbed_lock)
    with scratch() as folder:
        assert folder == Path(made[1]) and folder.is_dir()


def test_which_files_are_halves(tmp_path):
    names = [
        ".case.json.12",
        ".case-0123456789.ipynb.99999999999999999999",
        ".a.csv.12",
        ".x.json",
        "x.json.12",
        ".12",
    ]
    for name in names:
        (tmp_path / name).touch()
    assert sorted((path.name, process) for path, process in halves(tmp_path)) == [
        (".case-0123456789.ipynb.99999999999999999999", 99999999999999999999),
        (".case.json.12", 12),
    ]
    assert [path.name for path, _ in halves(tmp_path, r"a\.csv")] == [".a.csv.12"]


def test_halves_of_dead_processes_are_removed_and_where_nobody_else_works_all(tmp_path):
    with subprocess.Popen([sys.executable, "-c", ""]) as dead:
        pass
    numbers = [dead.pid, os.getpid(), os.getppid(), 1]
    for number in numbers:
        (tmp_path / f".case.json.{number}").touch()
    remove_halves(tmp_path)
    assert sorted(os.listdir(tmp_path)) == sorted([f".case.json.{os.getppid()}", ".case.json.1"])
    remove_halves(tmp_path, is_alone=True)
    assert os.listdir(tmp_path) == []
