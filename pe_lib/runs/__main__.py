"""The command ``python -m pe_lib.runs``."""

import argparse
import json
import re
import signal
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pe_lib import check, collection
from pe_lib.runs import cluster
from pe_lib.runs.folders import remove_halves
from pe_lib.runs.origin import refuse_unclean
from pe_lib.runs.plan import Job, Run, grid, is_span, plan, span
from pe_lib.runs.status import forecast, status
from pe_lib.runs.store import finished, refuse_folder, table, write
from pe_lib.runs.summary import summary

PROGRAM = "python -m pe_lib.runs"
GRID_HELP = (
    "values of one parameter: 0:5 (0 to 4), or nope,rope,0.5, or a JSON list like '[[0,1],[2,3]]'; "
    "may be repeated, every combination is run"
)
EPILOG = (
    "NOTEBOOK needs a cell tagged 'parameters'. DIR gets the executed notebook and its record, "
    "a .json file of the same name; with --grid the names end in 10 hex digits of the record's key. "
    f"`{PROGRAM} status DIR` says what such a folder holds."
)


def main(arguments: list[str] | None = None) -> int:
    """The command line.  -> 0 all is done, 1 a run failed, 2 it cannot be done as asked, 130 interrupted"""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        if arguments[:1] == ["status"]:
            return _status(arguments[1:])
        if arguments and get_close_matches(arguments[0], ["status"]):
            return _refuse(f"there is no command {arguments[0]}; did you mean status?")
        return _run(arguments)
    except KeyboardInterrupt as interruption:
        print(*["interrupted", *interruption.args], sep="; ", file=sys.stderr)
        return 130


def parse_grid(text: str) -> tuple[str, Sequence]:
    """A NAME=VALUES of the command line.  -> (name, values)

    ``0:5`` is 0, 1, 2, 3, 4; VALUES that start with ``[`` are one JSON list; else they stand between
    commas, each read as JSON or, where that fails, as a string.  Raises ValueError if one is missing.
    """
    name, _, values = text.partition("=")
    items = [item.strip() for item in values.split(",")]
    if not name.isidentifier() or not values:
        raise ValueError(f"--grid must be NAME=VALUES, as d_model=64,128, got {text!r}")
    if is_span(values):
        choices: Sequence = span(values)
    elif values.startswith("["):
        choices = _json_list(name, values)
    elif all(items):
        choices = [_value(name, item) for item in items]
    else:
        raise ValueError(f"--grid must be NAME=VALUES without an empty value, got {text!r}")
    if not choices:
        raise ValueError(f"--grid {name} must have one value or more, got {text!r}")
    return name, choices


def _run(arguments: list[str]) -> int:
    """Plan, run, and say what became of it.  -> exit status"""
    asked = _parser().parse_args(arguments)
    out = Path(asked.out)
    try:
        values = _grid_values(asked.grid)
        _check_options(asked)
        planned = plan(_jobs(asked.notebooks, values))
        refuse_folder(out, planned)
        todo = [run for run in planned if finished(out, run) is None]
    except (OSError, TypeError, ValueError) as error:
        return _refuse(error)
    print(f"{_runs(len(planned))}: {len(todo)} to do, {len(planned) - len(todo)} finished in {out}", flush=True)
    if asked.dry_run:
        if todo:
            print(forecast(todo, out, cluster.processes(len(todo), asked.workers)))
        return 0
    try:
        records = cluster.run_planned(planned, out, scheduler=asked.scheduler, workers=asked.workers)
    except OSError as error:  # no cluster or no worker, no room on the disk, another process in the folder
        return _refuse(f"{error}; {_progress(planned, out)}")
    except KeyboardInterrupt:
        raise KeyboardInterrupt(_progress(planned, out)) from None
    earlier = {run.stem for run in planned} - {run.stem for run in todo}
    varied = [name for name, choices in values.items() if len(choices) > 1]
    print(*summary(planned, records, earlier, varied), sep="\n")
    if any(record["error"] for record in records):
        return 1
    return _write_csv(Path(asked.csv), records) if asked.csv else 0


def _status(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog=f"{PROGRAM} status", description="Say what a folder of runs holds.")
    parser.add_argument("folder", metavar="FOLDER")
    try:
        print(*status(Path(parser.parse_args(arguments).folder)), sep="\n")
    except OSError as error:
        return _refuse(error)
    return 0


def _progress(planned: list[Run], out: Path) -> str:
    done = sum(finished(out, run) is not None for run in planned)
    return f"finished in {out}: {done} of {_runs(len(planned))}"


def _runs(number: int) -> str:
    return "1 run" if number == 1 else f"{number:,} runs"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Run notebooks, each in a process of its own. Finished runs are kept.",
        epilog=EPILOG,
    )
    parser.add_argument("notebooks", nargs="+", metavar="NOTEBOOK")
    parser.add_argument("--grid", action="append", default=[], metavar="NAME=VALUES", help=GRID_HELP)
    parser.add_argument("--out", required=True, metavar="DIR", help="folder of the results, made if need be")
    parser.add_argument("--csv", metavar="FILE", help="write what all runs reported there, if all are ok")
    parser.add_argument("--dry-run", action="store_true", help="say what would be run, and for how long; run nothing")
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--scheduler", metavar="ADDRESS", help="a dask cluster to use, as tcp://HOST:8786")
    place.add_argument("--workers", type=int, metavar="N", help="processes here (default, and at most: one a core)")
    return parser


def _grid_values(texts: list[str]) -> dict[str, Sequence]:
    """{name: values} of all ``--grid``."""
    values = dict(map(parse_grid, texts))
    if len(values) < len(texts):
        raise ValueError("--grid has the same name twice")
    return values


def _check_options(asked: argparse.Namespace) -> None:
    if asked.scheduler and not re.fullmatch(r"(tcp://|tls://)?.+:\d+", asked.scheduler):
        raise ValueError(f"--scheduler must be an address like tcp://HOST:8786, got {asked.scheduler}")
    if asked.workers is not None:
        check.size("--workers", asked.workers)
    if asked.csv:
        _check_csv(Path(asked.csv))


def _check_csv(path: Path) -> None:
    if path.is_dir() or not path.parent.is_dir():
        raise ValueError(f"--csv must be a file in a folder that is there, got {path}")
    if path.resolve().is_relative_to(collection.DATA.resolve()):
        refuse_unclean(path)


def _jobs(notebooks: list[str], values: dict[str, Sequence]) -> list[Job]:
    if not values:
        return [(notebook, {}) for notebook in notebooks]
    return [job for notebook in notebooks for job in grid(notebook, values)]


def _refuse(error: Exception | str) -> int:
    print(f"{PROGRAM}: {error}", file=sys.stderr)
    return 2


def _write_csv(path: Path, records: list[dict]) -> int:
    if not any(record["results"] for record in records):
        print(f"{PROGRAM}: no run reported anything; {path} is as it was", file=sys.stderr)
        return 1
    remove_halves(path.parent, re.escape(path.name))
    try:
        write(path, table(records).to_csv(index=False))
    except OSError as error:
        return _refuse(error)
    return 0


def _json_list(name: str, text: str) -> list:
    try:
        return _json(name, text)
    except json.JSONDecodeError as error:
        raise ValueError(f"--grid {name} must be a JSON list, got {text}: {error}") from None


def _value(name: str, text: str) -> Any:
    try:
        return _json(name, text)
    except json.JSONDecodeError:
        return text


def _json(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError(f"--grid {name} is nested too deeply for Python to read it") from None


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: what ends a job of a batch system
    sys.exit(main())
