"""Notebooks executed: one, many, or one over a grid of parameters; here or on a cluster.

    python -m pe_lib.runs NOTEBOOK [NOTEBOOK ...] --out DIR
    python -m pe_lib.runs NOTEBOOK --grid seed=0:5 --grid encoding=nope,sinusoidal --out DIR

A run is one notebook with one set of parameters.  It leaves the executed notebook and then, last and
whole, its record: a JSON file with the parameters, the versions, the result and what the notebook gave
to `collection.report`.  A run whose record says ok for the same cells, parameters and library is kept.
"""

import argparse
import ast
import contextlib
import difflib
import hashlib
import itertools
import json
import logging
import os
import platform
import re
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import pandas as pd

from pe_lib import check, collection
from pe_lib.collection import plain, write_whole

# papermill and distributed are imported where they start: planning needs neither.

HERE = Path(__file__).resolve().parent


def package_version() -> str:
    """The release and 12 hex digits of a sha256 over the library's ``*.py`` and ``*.mplstyle``."""
    return f"{metadata.version('pe-lib')}+{_digest([*HERE.glob('*.py'), *HERE.glob('*.mplstyle')])}"


def data_version(source: str) -> str:
    """12 hex digits of a sha256 over the data files whose name, without its ending, the notebook's text holds."""
    files = (path for path in collection.DATA.rglob("*") if path.suffix == ".csv" and "/." not in path.as_posix())
    return _digest(path for path in files if re.search(rf"\b{re.escape(path.stem)}\b", source))


def _digest(paths) -> str:
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(f"{path.name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()[:12]


def grid(notebook, values: dict) -> list[tuple]:
    """Every combination of the ``values`` (name -> list of values), as jobs for ``run``.

    The last name runs fastest.  Raises ValueError if there is no name, or a name without values.
    """
    lists = all(isinstance(choices, (list, tuple, range)) and len(choices) > 0 for choices in values.values())
    if not values or not lists:
        raise ValueError(f"a grid needs a name, and a list of one value or more for each, got {values}")
    points = itertools.product(*values.values())
    return [(notebook, dict(zip(values, point, strict=True))) for point in points]


def plan(jobs) -> list[tuple]:
    """The ``jobs``, checked; starts and writes nothing.  -> [(stem, source, given parameters, draft)]

    ``stem`` names the files of the run, ``source`` is the text of the notebook, ``draft`` is the record
    as far as it is known before the run.  Raises OSError for a notebook that cannot be read, TypeError
    for a value that is not of the kind of the notebook's default, ValueError for the rest.
    """
    version, runs, paths = package_version(), {}, {}
    for notebook, given in jobs:
        path = Path(notebook)
        source = path.read_text(encoding="utf-8")
        try:
            cells, defaults = _read(source)
            given = {name: _checked(name, value, defaults) for name, value in given.items()}
        except (TypeError, ValueError) as error:
            raise type(error)(f"{path.name}: {error}") from None
        parameters = defaults | given
        state = [cells, parameters, version, data_version(source)]
        key = hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()
        stem = f"{path.stem}-{key[:10]}" if given else path.stem
        if paths.setdefault(path.stem, path.resolve()) != path.resolve():
            raise ValueError(f"two notebooks are called {path.name}: run them into two folders")
        if stem in runs:
            raise ValueError(f"{path.name} is asked for twice with the same parameters, {given}")
        draft = {"notebook": path.name, "parameters": parameters, "key": key, "result": "failed"}
        draft |= {"error": None, "seconds": None, "started": None, "versions": {"pe_lib": version}}
        runs[stem] = (stem, source, given, draft | {"processor": None, "results": []})
    return list(runs.values())


def run(jobs, out, *, scheduler: str | None = None, workers: int | None = None) -> list[dict]:
    """Run those ``jobs`` that folder ``out`` does not hold finished.  -> records, in the order of the jobs

    ``jobs`` are (notebook path, parameters) pairs.  Each run is one task of the dask cluster at address
    ``scheduler`` or, without one, of at most ``workers`` processes here (by default one a core).  A run
    that fails does not stop the others.  All are checked before the first starts; raises what ``plan``
    raises.  Progress goes to stderr if that is a terminal.
    """
    workers = None if workers is None else check.size("workers", workers)
    planned, out = plan(jobs), Path(out)
    records = [finished(out / stem, draft["key"]) for stem, *_, draft in planned]
    todo = [number for number, record in enumerate(records) if record is None]
    if not todo:
        return records
    from dask.system import CPU_COUNT
    from distributed import Client, LocalCluster, as_completed
    from tqdm import tqdm

    out.mkdir(parents=True, exist_ok=True)
    room = len(todo) if scheduler else min(workers or CPU_COUNT, len(todo))
    here = {"n_workers": room, "threads_per_worker": 1, "processes": True, "silence_logs": "CRITICAL"}
    here |= {"dashboard_address": "127.0.0.1:0"}  # any free port, this machine only; None would take 8787
    here |= {"scheduler_kwargs": {"allowed_failures": 0}}  # no second try where a worker died
    here |= {"preload": ["import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"]}  # Ctrl-C is for us
    bar = tqdm(total=len(planned), initial=len(planned) - len(todo), unit="run", disable=None)
    cluster = contextlib.nullcontext(scheduler) if scheduler else LocalCluster(**here)
    with bar, cluster as address, Client(address) as client:
        numbers, ahead, running = {}, iter(todo), as_completed()

        def start(count):  # no more than there are workers: a task that waits at one dies with it
            for number in itertools.islice(ahead, count):
                _, source, given, draft = planned[number]
                versions = draft["versions"]["pe_lib"], data_version(source)
                future = client.submit(execute, draft["notebook"], source, given, versions, pure=False)
                numbers[future] = number
                running.add(future)

        start(room)
        for future in running:
            stem, _, _, draft = planned[number := numbers.pop(future)]
            try:
                outcome, executed = future.result()
            except Exception as error:  # the worker died, or no cell could be started there
                outcome, executed = {"error": _error(None, None, type(error).__name__, error)}, None
            records[number] = draft | outcome
            for kind in ("json", "ipynb"):  # between the two writes there is no record, not an older run's
                (out / f"{stem}.{kind}").unlink(missing_ok=True)
            if executed is not None:
                write_whole(out / f"{stem}.ipynb", executed)
            write_whole(out / f"{stem}.json", json.dumps(records[number], indent=1, ensure_ascii=False) + "\n")
            bar.update()
            start(1)
    return records


def execute(name: str, source: str, parameters: dict, versions: tuple[str, str]) -> tuple[dict, str]:
    """Run one notebook, given as text, on the worker.  -> (what the record adds, executed notebook as text)

    ok means that papermill raised nothing and every code cell was executed and shows no error.  The
    kernel starts in an empty folder, with one thread.  Raises RuntimeError if the library or the data
    here are not of these ``versions``, and what papermill raised if no cell was started.
    """
    import nbformat
    import papermill
    from traitlets.config import Config

    here = package_version(), data_version(source)
    if here != tuple(versions):
        raise RuntimeError("the worker has pe_lib {} and data {}, the client has {} and {}".format(*here, *versions))
    logging.getLogger("papermill").setLevel(logging.CRITICAL)  # the record says it better
    os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")  # the kernel inherits them
    notebook = nbformat.v4.upgrade(nbformat.reads(source, as_version=4))  # gives an old notebook its cell ids
    started, clock, raised = datetime.now(UTC), time.perf_counter(), None
    with tempfile.TemporaryDirectory() as folder:
        before, after, place = f"{folder}/before.ipynb", f"{folder}/after.ipynb", f"{folder}/place"
        nbformat.write(notebook, before)
        os.mkdir(place)  # where the kernel starts; papermill's cwd= would move this whole process
        sockets = {"transport": "ipc", "connection_file": f"{folder}/kernel.json"}  # TCP ports could collide
        how = {"kernel_name": "python3", "language": "python", "progress_bar": False, "start_timeout": 300}
        how |= {"resources": {"metadata": {"path": place}}, "config": Config(KernelManager=sockets)}
        how |= {"extra_arguments": ["--log-level=CRITICAL"]}
        try:
            papermill.execute_notebook(before, after, parameters, **how)
        except Exception as error:
            raised = error
        if not os.path.exists(after):
            raise raised
        executed = nbformat.read(after, as_version=4)
    seconds = round(time.perf_counter() - clock, 3)
    executed.metadata.papermill.update(input_path=name, output_path=name)  # not the folder that is gone
    error = _first_error(executed, [cell.id for cell in notebook.cells], raised)
    shown = [output.get("data", {}) for cell in executed.cells for output in cell.get("outputs", [])]
    others = {package: metadata.version(package) for package in ("numpy", "torch", "papermill")}
    return {
        "result": "failed" if error else "ok",
        "error": error,
        "seconds": seconds,
        "started": started.isoformat(timespec="seconds"),
        "versions": {"python": platform.python_version(), "pe_lib": versions[0], **others},
        "processor": _processor(),
        "results": [record for data in shown for record in data.get(collection.MIME, [])],
    }, nbformat.writes(executed) + "\n"


def finished(target: Path, key: str) -> dict | None:
    """The record ``target``.json, if it says ok for this ``key`` and the notebook is beside it."""
    record = _load(Path(f"{target}.json"))
    done = record and record["result"] == "ok" and record["key"] == key and Path(f"{target}.ipynb").exists()
    return record if done else None


def table(records) -> pd.DataFrame:
    """What the runs of these ``records`` reported, where they are ok: a row a result.

    The columns are the parameters, the result (which wins where both have a name), ``pe_lib`` (the
    version) and ``processor``.
    """
    rows = []
    for record in records:
        if record["result"] == "ok":
            where = {"pe_lib": record["versions"]["pe_lib"], "processor": record["processor"]}
            rows += [record["parameters"] | result | where for result in record["results"]]
    return pd.DataFrame(rows)


def _read(source: str) -> tuple[list, dict]:
    """A notebook's text.  -> [(type, source, tags) of each cell], {name: default} of its parameters cell"""
    try:
        cells = json.loads(source)["cells"]
        cells = [(c["cell_type"], "".join(c["source"]), sorted(c["metadata"].get("tags", []))) for c in cells]
    except (KeyError, TypeError, ValueError):
        raise ValueError("this is not a notebook of format 4") from None
    tagged = [text for kind, text, tags in cells if "parameters" in tags and kind == "code"]
    if len(tagged) != 1 or any("injected-parameters" in tags for *_, tags in cells):
        raise ValueError("one code cell must be tagged 'parameters', and none 'injected-parameters'")
    defaults = {}
    try:
        for line in ast.parse(tagged[0]).body:
            wrong = ast.unparse(line)
            defaults |= {name.id: plain(name.id, ast.literal_eval(line.value)) for name in line.targets}
    except (AttributeError, SyntaxError, ValueError) as error:
        wrong = error if isinstance(error, SyntaxError) else wrong
        raise ValueError(f"the parameters cell must hold lines NAME = LITERAL only, got: {wrong}") from None
    return cells, defaults


def _checked(name: str, value, defaults: dict):
    """The value as the notebook gets it: plain, and of the kind of the default."""
    if name not in defaults:
        near = "".join(f"; did you mean {close}?" for close in difflib.get_close_matches(name, defaults, n=1))
        raise ValueError(f"no parameter is called {name}; there are {', '.join(defaults)}{near}")
    value, default = plain(name, value), defaults[name]
    if type(default) is float and type(value) is int:
        value = float(value)
    if default is not None and type(value) is not type(default):
        kind, hint = type(default).__name__, "; in a grid, [[0, 1]] is one list" if isinstance(default, list) else ""
        raise TypeError(f"{name} must be of type {kind} as its default {default!r} is, got {value!r}{hint}")
    return value


def _first_error(executed, ids: list[str], raised) -> dict | None:
    """The first error of an executed notebook; papermill calls even a cell whose kernel died completed.

    ``ids`` are those of the cells as they were before papermill put cells of its own between them.
    """
    code = [cell for cell in executed.cells if cell.cell_type == "code" and cell.source.strip()]
    begun = [cell for cell in code if cell.metadata.papermill.get("start_time")]
    found = [(c, out.ename, out.evalue) for c in code for out in c.outputs if out.output_type == "error"]
    if raised and not begun:
        raise raised
    if raised:
        found.append((begun[-1], type(raised).__name__, raised))
    found += [(c, "NotExecuted", "this cell was not executed") for c in code if c.execution_count is None]
    for cell, name, message in found[:1]:
        return _error(ids.index(cell.id) if cell.id in ids else None, cell.id, name, message)


def _error(cell: int | None, cell_id: str | None, name: str, message) -> dict:
    """An error as a record holds it; ``cell`` counts the cells of the notebook's file from 0."""
    return {"cell": cell, "id": cell_id, "name": name, "message": str(message)}


def _processor() -> str:
    """The name of the processor, as exactly as the system tells it."""
    info = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.+)", info.read_text()) if info.exists() else []
    return names[0] if names else platform.processor() or platform.machine()


def _load(path: Path) -> dict | None:
    """The record at ``path``, or None if there is none or it is not whole."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return record if isinstance(record, dict) and "key" in record else None


def parse_grid(text: str) -> tuple[str, list]:
    """A NAME=VALUES of the command line.  -> (name, values)

    ``0:5`` is 0, 1, 2, 3, 4; VALUES that start with ``[`` are one JSON list; else they stand between
    commas, each read as JSON or, where that fails, as a string.  Raises ValueError if one is missing.
    """
    name, _, values = text.partition("=")
    items = [item.strip() for item in values.split(",")]
    if not name.isidentifier() or not all(items):
        raise ValueError(f"--grid must be NAME=VALUES, got {text!r}")
    if span := re.fullmatch(r"(-?\d+):(-?\d+)", values):
        return name, list(range(int(span[1]), int(span[2])))
    if values.startswith("["):
        try:
            return name, json.loads(values)
        except ValueError as error:
            raise ValueError(f"--grid {name} must be a JSON list, got {values}: {error}") from None
    for number, item in enumerate(items):
        with contextlib.suppress(ValueError):
            items[number] = json.loads(item)
    return name, items


def main(arguments: list[str] | None = None) -> int:
    """The command line.  -> 0 all is done, 1 a run failed, 2 unusable arguments or cluster, 130 interrupted"""
    parser = argparse.ArgumentParser(
        prog="python -m pe_lib.runs",
        description="Run notebooks, each in a process of its own. Finished runs are kept.",
        epilog="NOTEBOOK needs a cell tagged 'parameters'. DIR gets the executed notebook and its record, "
        "a .json file of the same name; with --grid the names end in 10 hex digits of the record's key.",
    )
    parser.add_argument("notebooks", nargs="+", metavar="NOTEBOOK")
    text = "values of one parameter: 0:5 (0 to 4), or nope,rope,0.5, or a JSON list like '[[0,1],[2,3]]'; "
    text += "may be repeated, every combination is run"
    parser.add_argument("--grid", action="append", default=[], metavar="NAME=VALUES", help=text)
    parser.add_argument("--out", required=True, metavar="DIR", help="folder of the results, made if need be")
    parser.add_argument("--csv", metavar="FILE", help="write what all runs reported there, if all are ok")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--scheduler", metavar="ADDRESS", help="a dask cluster to use, as tcp://HOST:8786")
    where.add_argument("--workers", type=int, metavar="N", help="processes here (default: one a core)")
    asked = parser.parse_args(arguments)
    out = Path(asked.out)
    try:
        values = [parse_grid(text) for text in asked.grid]
        if len(dict(values)) < len(values):
            raise ValueError("--grid has the same name twice")
        if asked.scheduler and not re.fullmatch(r"(tcp://|tls://)?.+:\d+", asked.scheduler):
            raise ValueError(f"--scheduler must be an address like tcp://HOST:8786, got {asked.scheduler}")
        check.size("--workers", 1 if asked.workers is None else asked.workers)
        if asked.csv and (Path(asked.csv).is_dir() or not Path(asked.csv).parent.is_dir()):
            raise ValueError(f"--csv must be a file in a folder that is there, got {asked.csv}")
        grids = [grid(path, dict(values)) if values else [(path, {})] for path in asked.notebooks]
        jobs = list(itertools.chain(*grids))
        targets = [(out / stem, draft["key"]) for stem, *_, draft in plan(jobs)]
        kept = [finished(*target) is not None for target in targets]
    except (OSError, TypeError, ValueError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    try:
        records = run(jobs, out, scheduler=asked.scheduler, workers=asked.workers)
    except OSError as error:  # no cluster at that address, no room on the disk
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        done = sum(finished(*target) is not None for target in targets)
        print(f"interrupted; {done} of {len(targets)} runs are finished in {out}", file=sys.stderr)
        return 130
    files = [f"{target.name}.ipynb" for target, _ in targets]
    print(*_summary(records, files, kept, [name for name, choices in values if len(choices) > 1]), sep="\n")
    if any(record["error"] for record in records):
        return 1
    if asked.csv and not any(record["results"] for record in records):
        print(f"{parser.prog}: no run reported anything; {asked.csv} is as it was", file=sys.stderr)
        return 1
    if asked.csv:
        write_whole(Path(asked.csv), table(records).to_csv(index=False))
    return 0


def _summary(records: list[dict], files: list[str], kept: list[bool], names: list[str]) -> list[str]:
    """The lines of the closing table, then one line a failure; ``names`` are the parameters that differ."""
    table, failures = [["notebook", *names, "seconds", "result"]], []
    for record, file, was_kept in zip(records, files, kept, strict=True):
        point = [str(record["parameters"][name]) for name in names]
        seconds = "-" if record["seconds"] is None else f"{record['seconds']:.1f}"
        result = "FAILED" if record["error"] else "kept" if was_kept else "ok"
        table.append([file, *point, seconds, result])
        if error := record["error"]:
            which = " ".join([file, *map("=".join, zip(names, point, strict=True))])
            cell = "" if error["cell"] is None else f", cell {error['cell']} (id {error['id']})"
            failures.append(" ".join(f"{which}{cell}: {error['name']}: {error['message']}".split()))
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in table] + failures


if __name__ == "__main__":
    from pe_lib import runs  # by its name, so that a worker can import what it is sent

    sys.exit(runs.main())
