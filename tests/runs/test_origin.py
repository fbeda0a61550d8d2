"""Commit and cleanliness of a toy checkout."""

from pathlib import Path

import pytest
from runs_toys import commit, git

from pe_lib.runs.origin import Origin, origin, refuse_unclean


@pytest.fixture
def top(tmp_path) -> Path:
    """A checkout with a package and a folder of tables."""
    for name in ("package/module.py", "data/table.csv", "data/other.csv"):
        path = tmp_path / "top" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x\n")
    commit(tmp_path / "top")
    return tmp_path / "top"


def test_of_a_clean_checkout(top):
    head = git(top, "rev-parse", "HEAD")
    assert origin(top / "package") == origin(top) == Origin(head[:12], True)


@pytest.mark.parametrize("change", ["changed", "untracked", "removed", "staged"])
def test_of_one_that_is_not_clean(top, change):
    if change == "removed":
        (top / "data" / "other.csv").unlink()
    else:
        name = {"changed": "data/other.csv", "untracked": "notes.txt", "staged": "new.py"}[change]
        (top / name).write_text("changed\n")
    if change == "staged":
        git(top, "add", "--all")
    assert origin(top / "package").clean is False
    assert origin(top / "package", but=top / "data" / "table.csv").clean is False


def test_a_file_may_be_left_out(top, monkeypatch):
    table = top / "data" / "table.csv"
    table.write_text("changed\n")
    assert origin(top / "data", but=table).clean and origin(top / "data", but=table.parent).clean
    assert not origin(top / "data").clean
    (top / "data" / "table.csv.more").write_text("only begins alike\n")
    assert not origin(top / "data", but=table).clean
    (top / "data" / "table.csv.more").unlink()
    new = top / "data" / "new[1].csv"
    new.write_text("untracked\n")
    table.write_text("x\n")
    monkeypatch.chdir(top / "data")
    assert origin(Path(), but=Path("new[1].csv")).clean and not origin(Path()).clean
    (top / "data" / "new1.csv").write_text("the brackets are no pattern\n")
    assert not origin(Path(), but=Path("new[1].csv")).clean
    (top / "data" / "new1.csv").unlink()
    assert not origin(top, but=top.parent / "elsewhere.csv").clean


def test_a_new_commit_is_seen(top):
    before = origin(top)
    (top / "notes.txt").write_text("x")
    after = Origin(commit(top), True)
    assert origin(top) == after != before


def test_outside_of_a_checkout(tmp_path, top, monkeypatch):
    assert origin(tmp_path) == Origin(None, None) == origin(tmp_path / "none")
    installed = top / ".venv" / "package"  # not the commit of the project around it
    installed.mkdir(parents=True)
    (installed / "module.py").write_text("x\n")
    assert origin(installed) == Origin()
    git(tmp_path, "init", "--quiet", "empty")
    assert origin(tmp_path / "empty") == Origin()
    monkeypatch.setenv("PATH", "")
    assert origin(top) == Origin()


def test_nothing_is_written_into_the_checkout(top):
    index = top / ".git" / "index"
    (top / "package" / "module.py").touch()
    before = index.read_bytes(), index.stat().st_mtime_ns
    origin(top)
    assert (index.read_bytes(), index.stat().st_mtime_ns) == before


def test_refusals(tmp_path, top):
    table = top / "data" / "table.csv"
    refuse_unclean(table)
    table.write_text("changed\n")
    refuse_unclean(table)
    with pytest.raises(
        ValueError, match=r"other\.csv is written from a clean tree only: commit or remove what `git st"
    ):
        refuse_unclean(top / "data" / "other.csv")
    with pytest.raises(ValueError, match=r"table\.csv is written from a git checkout only, and this is none"):
        refuse_unclean(tmp_path / "table.csv")
