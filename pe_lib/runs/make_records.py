"""The tables of ``data/results``: each is the records of one grid of ``data/experiments.toml``, kept with the code.

    python -m pe_lib.runs.make_records         lists them, with what is missing or out of date
    python -m pe_lib.runs.make_records NAME    makes or completes data/results/NAME.csv

A row is done if it has the parameters of a run of the grid and the digest of the code that this run would execute
now.  Only the others are run, into ``build/NAME``.  The file is written whole, in the order of the grid, once all
have ended well, and only from a git checkout in which nothing else has changed.
"""

import argparse
import csv
import io
import math
import re
import sys
import tomllib
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pe_lib import check, collection, plots
from pe_lib.runs import cluster
from pe_lib.runs.folders import remove_halves
from pe_lib.runs.origin import refuse_unclean
from pe_lib.runs.plan import Job, Run, grid, is_span, plan, span
from pe_lib.runs.store import finished, rows, write
from pe_lib.runs.summary import aligned, summary

PROGRAM = "python -m pe_lib.runs.make_records"
ORIGIN = ("pe_lib", "commit", "clean", "processor")  # the last columns: where a row comes from

Row = dict[str, str]  # as the file spells it


@dataclass(frozen=True)
class Experiment:
    """One entry of ``data/experiments.toml``."""

    name: str
    what: str  # what is trained, in one line; the number of runs stands before it
    notebook: str  # that is run, as a path from the top folder
    read_by: list[str]  # the notebooks that read the records, likewise
    grid: dict[str, list]

    @property
    def target(self) -> Path:
        """The table that it makes."""
        return collection.DATA / "results" / f"{self.name}.csv"

    @property
    def folder(self) -> Path:
        """Where its runs are kept."""
        return collection.DATA.parent / "build" / self.name

    @property
    def size(self) -> int:
        """The number of its runs."""
        return math.prod(map(len, self.grid.values()))

    def jobs(self) -> list[Job]:
        return grid(collection.DATA.parent / self.notebook, self.grid)


@dataclass(frozen=True)
class Point:
    """A run of the grid, and the rows that the table has for its parameters."""

    run: Run
    rows: list[Row]

    @property
    def state(self) -> str:
        if not self.rows:
            return "missing"
        wanted = {"pe_lib": self.run.versions.code, "clean": "True"}
        return "done" if all(wanted.items() <= row.items() for row in self.rows) else "out of date"


def experiments() -> dict[str, Experiment]:
    """name -> what ``data/experiments.toml`` says.

    Raises FileNotFoundError where the package is installed without its checkout, ValueError for an entry that lacks a
    field or has another one.
    """
    path = collection.DATA / "experiments.toml"
    if not path.exists():
        raise FileNotFoundError(f"records are made in a checkout of the project: there is no {path}")
    entries = tomllib.loads(path.read_text(encoding="utf-8"))
    return {name: _experiment(name, entry) for name, entry in entries.items()}


def with_all(encodings: list[str]) -> list[str]:
    """The names, "all" replaced by every encoding of `pe_lib.encodings` that is not named, with an option or without.

    They are then in the order of its registry.  So a new encoding is in the grids of all encodings without a line.
    """
    if "all" not in encodings:
        return encodings
    registry = [name for members in plots.families().values() for name in members]
    named = [name for name in encodings if name != "all"]
    bare = {name.partition(":")[0] for name in named}
    others = [name for name in registry if name not in bare]
    return sorted(others + named, key=lambda name: registry.index(name.partition(":")[0]))


def points(experiment: Experiment) -> list[Point]:
    """What the grid asks for and the table has, in the order of the grid."""
    planned = plan(experiment.jobs())
    names = list(planned[0].parameters)
    rows_of = defaultdict(list)
    for row in read_rows(experiment.target):
        rows_of[_values(row, names)].append(row)
    return [Point(run, rows_of[_values(run.parameters, names)]) for run in planned]


def make(experiment: Experiment) -> int:
    """Make the table, or complete it.  -> 0, or 1 if a run failed; then the table stays as it was

    Raises ValueError if the tree is not clean or a kept run comes from one that was not, and what `cluster.run` does.
    """
    remove_halves(experiment.target.parent, re.escape(experiment.target.name))
    refuse_unclean(experiment.target)
    asked = points(experiment)
    todo = [point.run for point in asked if point.state != "done"]
    earlier = _finished_earlier(todo, experiment.folder)
    records = cluster.run_planned(todo, experiment.folder)
    if todo:
        print(*summary(todo, records, earlier, list(experiment.grid)), sep="\n")
    if any(record["error"] for record in records):
        print(f"{PROGRAM}: {experiment.target} is as it was", file=sys.stderr)
        return 1
    new = {run.stem: _new_rows(run, record) for run, record in zip(todo, records, strict=True)}
    merged = [row for point in asked for row in new.get(point.run.stem, point.rows)]
    _write(experiment, merged, len(todo))
    return 0


def states() -> list[str]:
    """The lines of a table: for each experiment its number of runs and how many are done, missing or out of date.

    The last column has the versions that the rows of the file come from, each with its number of rows.
    """
    lines = [["name", "runs", "done", "missing", "out of date", "rows of"]]
    for experiment in experiments().values():
        count = Counter(point.state for point in points(experiment))
        versions = Counter(row["pe_lib"] for row in read_rows(experiment.target))
        numbers = [experiment.size, count["done"], count["missing"], count["out of date"]]
        sources = ", ".join(f"{version} ({number})" for version, number in versions.items())
        lines.append([experiment.name, *map(str, numbers), sources])
    return aligned(lines)


def results_table() -> str:
    """The table of these files in ``data/README.md``, as Markdown."""
    lines = ["| file | what | made by | read by |", "|---|---|---|---|"]
    for experiment in experiments().values():
        file = f"`results/{experiment.name}.csv`"
        what = f"{experiment.size} training runs: {experiment.what}"
        readers = ", ".join(map(_link, experiment.read_by))
        lines.append(f"| {file} | {what} | {_link(experiment.notebook)} | {readers} |")
    return "\n".join(lines)


def read_rows(path: Path) -> list[Row]:
    """The rows of a table, with every value as it is spelt there; none if the file is not there."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def as_csv(table: list[Row]) -> str:
    """The text of a table.  A row that lacks a column has nothing there."""
    columns = dict.fromkeys(name for row in table for name in row if name not in ORIGIN)
    text = io.StringIO()
    writer = csv.DictWriter(text, [*columns, *ORIGIN], restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return text.getvalue()


def main(arguments: list[str] | None = None) -> int:
    """The command line.  -> 0 all is done, 1 a run failed, 2 refused, 130 interrupted"""
    parser = argparse.ArgumentParser(prog=PROGRAM, description="Make or complete a table of data/results.")
    parser.add_argument(
        "name", nargs="?", metavar="NAME", help="of data/experiments.toml; without it, they are listed"
    )
    name = parser.parse_args(arguments).name
    try:
        if name is None:
            print(*states(), sep="\n")
            return 0
        known = experiments()
        return make(known[check.choice("NAME", name, known)])
    except (OSError, TypeError, ValueError) as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"interrupted; what is finished is kept in build/{name}", file=sys.stderr)
        return 130


def _experiment(name: str, entry: dict) -> Experiment:
    wanted = {"what", "notebook", "read_by", "grid"}
    if set(entry) != wanted:
        fields = ", ".join(sorted(wanted))
        raise ValueError(f"{name} in experiments.toml must have {fields}, got {', '.join(sorted(entry))}")
    values = {parameter: _choices(choices) for parameter, choices in entry["grid"].items()}
    if "encoding" in values:
        values["encoding"] = with_all(values["encoding"])
    return Experiment(**entry | {"name": name, "grid": values})


def _choices(choices: Any) -> Any:
    """The values of a parameter; the text "0:5" stands for a range, as on the command line."""
    return span(choices) if isinstance(choices, str) and is_span(choices) else choices


def _values(row: dict, names: list[str]) -> tuple[str | None, ...]:
    return tuple(_text(row[name]) if name in row else None for name in names)


def _text(value: Any) -> str:
    """A value as the table spells it."""
    return "" if value is None else str(value)


def _finished_earlier(todo: list[Run], folder: Path) -> set[str]:
    """The stems of the runs that the folder holds finished."""
    stems = set()
    for run in todo:
        record = finished(folder, run)
        if record is None:
            continue
        if not record["clean"]:
            raise ValueError(f"{folder / run.stem}.json was run from a tree that was not clean: remove it")
        stems.add(run.stem)
    return stems


def _new_rows(run: Run, record: dict) -> list[Row]:
    """What a run reported, as rows; raises ValueError if they would not be found again by the parameters."""
    names = list(run.parameters)
    new = [{name: _text(value) for name, value in row.items()} for row in rows(record)]
    if not new:
        raise ValueError(f"{run.notebook} reported nothing")
    for row in new:
        for name in names:
            if row[name] != _text(run.parameters[name]):
                wanted = run.parameters[name]
                raise ValueError(f"{run.notebook} reports a {name} of {row[name]}, but was run with {wanted}")
    return new


def _write(experiment: Experiment, table: list[Row], number: int) -> None:
    """Write the table unless it is there, and say which."""
    text = as_csv(table)
    target = experiment.target
    if target.exists() and target.read_text(encoding="utf-8") == text:
        print(f"{target}: nothing to do")
        return
    write(target, text)
    print(f"{target}: {experiment.size} runs, {number} of them new")


def _link(path: str) -> str:
    return f"[{Path(path).stem}](../{path})"


if __name__ == "__main__":
    sys.exit(main())
