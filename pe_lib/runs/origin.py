"""Where files come from: the commit of their checkout, and whether anything differs from it."""

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Origin:
    """The state of a git checkout.  Outside of one both fields are None."""

    commit: str | None = None  # 12 hex digits
    clean: bool | None = None  # nothing is changed or untracked, but for what was left out of the question


def origin(folder: Path, *, but: Path | None = None) -> Origin:
    """The state of the checkout to which ``folder`` belongs.

    ``but`` is a file or a folder that may differ.  A folder of which nothing is tracked belongs to no checkout: a
    package installed somewhere below another project does not come from that project's commit.
    """
    try:
        _git(folder, "ls-files", "--error-unmatch", "--", ".")
        commit = _git(folder, "rev-parse", "--short=12", "HEAD")
        top = Path(_git(folder, "rev-parse", "--show-toplevel")).resolve()
    except (OSError, subprocess.CalledProcessError):  # no git, no checkout, no commit
        return Origin()
    everything = [":(top)"]
    if but is not None and but.resolve().is_relative_to(top):
        name = but.resolve().relative_to(top).as_posix()
        everything.append(f":(top,exclude,literal){name}")
    changes = _git(folder, "status", "--porcelain", "--untracked-files=all", "--", *everything)
    return Origin(commit, not changes)


def refuse_unclean(target: Path) -> None:
    """Raises ValueError unless ``target`` is in a git checkout in which nothing else differs from the commit.

    Records are kept for years: what made them must be found again.
    """
    clean = origin(target.parent, but=target).clean
    if clean is None:
        raise ValueError(f"{target} is written from a git checkout only, and this is none")
    if not clean:
        raise ValueError(f"{target} is written from a clean tree only: commit or remove what `git status` lists")


def _git(folder: Path, *arguments: str) -> str:
    """What a git command that changes nothing prints."""
    command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
