"""A cluster, and the folder that a set of toy notebooks left after they were run on it."""

import os
from pathlib import Path

import numpy as np
import pytest
from distributed import LocalCluster
from nbformat import NO_CONVERT, read, write
from runs_toys import notebook

from pe_lib import runs

SHOW = """\
import os
from pe_lib import collection
set_ = [os.environ.get(name, "not set") for name in ("OMP_NUM_THREADS", "MALLOC_TRIM_THRESHOLD_")]
collection.report([{"seed": 10, "set": set_, "here": os.listdir()}, {"seed": 11}])
collection.report([{"seed": seed, "lengths": lengths, "lr": lr}])"""


@pytest.fixture(scope="session")
def scheduler():
    """The address of a cluster of at most two workers, whose own environment asks for seven threads."""
    workers = min(2, os.cpu_count())
    quiet = {"dashboard_address": "127.0.0.1:0", "silence_logs": "CRITICAL"}
    with LocalCluster(n_workers=workers, threads_per_worker=1, env={"OMP_NUM_THREADS": "7"}, **quiet) as cluster:
        yield cluster.scheduler_address


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    """Notebooks that fail in every way, and one that does not."""
    folder = tmp_path_factory.mktemp("notebooks")
    notebook(folder / "fine.ipynb", SHOW, "")
    notebook(folder / "wrong.ipynb", SHOW, "assert seed == 0, f'seed is\\n{seed}'", "print(3)")
    notebook(folder / "kernel.ipynb", "print(1)", "import os; os._exit(1)", "print(3)")
    notebook(folder / "leaves.ipynb", "raise SystemExit(0)", "print(3)")
    skipped = read(notebook(folder / "skips.ipynb", "print(1)", "assert False"), NO_CONVERT)
    skipped.cells[3].metadata.tags = ["skip-execution"]
    write(skipped, folder / "skips.ipynb")
    return folder


@pytest.fixture(scope="session")
def out(tmp_path_factory, folder, scheduler) -> Path:
    """Where those have been run, all in one go."""
    out = tmp_path_factory.mktemp("runs") / "made" / "when needed"
    parameters = {"wrong": {"seed": 1}, "fine": {"lr": 2, "lengths": (1, np.int64(2))}}
    paths = [folder / f"{stem}.ipynb" for stem in ("wrong", "kernel", "leaves", "skips", "fine")]
    jobs = [(path, parameters.get(path.stem, {})) for path in paths]
    jobs.append((folder / "fine.ipynb", {}))
    records = runs.run(jobs, out, scheduler=scheduler)
    assert [record["notebook"] for record in records] == [path.name for path, _ in jobs]
    return out
