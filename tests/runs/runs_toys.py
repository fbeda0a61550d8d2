"""Toy notebooks and toy checkouts for the tests of runs."""

import json
import subprocess
from pathlib import Path

from nbformat import v4, write

DEFAULTS = "seed = 0\nlr = 1e-3\nencoding = 'nope'\nmask = True\nlengths = [4, 8]\nlimit = None"


def notebook(path: Path, *cells: str, parameters: str = DEFAULTS, tags: tuple = ("parameters",)) -> Path:
    """A notebook of a title (cell 0, id c0), a parameters cell (cell 1, id c1) and these code cells."""
    code = [v4.new_code_cell(source, id=f"c{2 + number}") for number, source in enumerate(cells)]
    first = v4.new_code_cell(parameters, id="c1", metadata={"tags": list(tags)})
    write(v4.new_notebook(cells=[v4.new_markdown_cell("# A title", id="c0"), first, *code]), path)
    return path


def record(out: Path, stem: str) -> dict:
    """The one record of this name, with or without the digits of a grid."""
    paths = [out / f"{stem}.json"] if (out / f"{stem}.json").exists() else [*out.glob(f"{stem}-*.json")]
    assert len(paths) == 1
    return json.loads(paths[0].read_text())


def git(folder: Path, *arguments: str) -> str:
    """What a git command prints there."""
    author = ["-c", "user.name=Toy", "-c", "user.email=toy@example.org", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(folder), *author, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def commit(folder: Path, message: str = "All there is") -> str:
    """Commit everything in the checkout.  -> 12 hex digits of the commit"""
    if not (folder / ".git").exists():
        git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", message)
    return git(folder, "rev-parse", "--short=12", "HEAD")
