"""Times every case against its floor, several times over, and writes the ratios to data/benchmarks.csv.

    python -m benchmarks                               everything, from a clean git tree
    python -m benchmarks benchmarks/bench_rotary.py    that file once; the ratios are printed, nothing is written

On a machine that does nothing else.  The file is of one machine, written whole at the end.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

import pandas as pd

from pe_lib import DATA
from pe_lib.collection import write_whole
from pe_lib.runs.execute import processor
from pe_lib.runs.origin import origin, refuse_unclean
from pe_lib.training import versions

HERE = Path(__file__).resolve().parent
EVERY = sorted(HERE.glob("bench_*.py"))
PEERS = HERE.parent / "build" / "peers"
TARGET = DATA / "benchmarks.csv"
TIMES = 5  # the whole from the beginning, so that what changes in the machine meanwhile is seen
COLUMNS = ["group", "case", "dtype", "batch", "n_head", "n_layer", "seq_len", "width"]
SIZES = COLUMNS[2:]
# One thread.  And memory that was given back is kept for the next call (glibc): whether it is mapped anew depends on
# what was asked for before, and takes longer than a copy.
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**40)}


def main(arguments: list[str] | None = None) -> int:
    """The command line.  -> 0 all is done, 1 a case failed, 2 refused, 130 interrupted"""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Ratios of times to their floors.")
    parser.add_argument(
        "files", nargs="*", type=Path, metavar="FILE", help="of benchmarks/: only these, only printed"
    )
    files = parser.parse_args(arguments).files
    try:
        unknown = [str(file) for file in files if file.resolve() not in EVERY]
        if unknown:
            raise ValueError(f"FILE must be one of {', '.join(file.name for file in EVERY)}, got {unknown[0]}")
        if files:
            peers()
            print(ratios(measure(files)).dropna(axis="columns", how="all").to_string(index=False))
            return 0
        refuse_unclean(TARGET)
        began, timed = origin(HERE).commit, peers()
        parts = []
        for time in range(TIMES):
            print(f"the whole for the {time + 1}. time of {TIMES}", flush=True)
            parts.append(ratios(measure(EVERY)).assign(time=time))
        refuse_unclean(TARGET)
        if origin(HERE).commit != began:
            raise ValueError("the commit is another one than at the beginning: nothing is written")
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    except subprocess.CalledProcessError:
        print("a case failed: nothing is written", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: nothing is written", file=sys.stderr)
        return 130
    made_with = versions() | {"threads": int(ENVIRONMENT["OMP_NUM_THREADS"]), "peers": timed}
    table = pd.concat(parts).assign(**made_with, processor=processor(), commit=began)
    write_whole(TARGET, table.to_csv(index=False, float_format="%.4g", lineterminator="\n"))
    print(f"{len(table)} rows in {TARGET}")
    return 0


def measure(files: list[Path]) -> list[dict]:
    """The files once, in a process of its own.  -> what pytest-benchmark says of each case"""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "times.json"
        options = ["-x", "-q", "-W", "default", "-p", "no:cacheprovider", f"--benchmark-json={target}"]
        options += ["--benchmark-max-time=0.3", "--benchmark-min-rounds=10"]
        options += ["--benchmark-columns=min,median,rounds", "--benchmark-sort=fullname"]
        command = [sys.executable, "-m", "pytest", *options, *map(str, files)]
        subprocess.run(command, check=True, env=os.environ | ENVIRONMENT)
        return json.loads(target.read_text())["benchmarks"]


def ratios(benchmarks: list[dict]) -> pd.DataFrame:
    """The shortest time of each case over that of its floor.  -> a row a case"""
    rows = []
    for benchmark in benchmarks:
        about = benchmark["extra_info"]
        row = {"group": benchmark["group"], "case": about["case"], "floor": about["floor"]}
        rows.append(row | about["sizes"] | about["errors"] | {"seconds": benchmark["stats"]["min"]})
    table = pd.DataFrame(rows)
    table = table.reindex(columns=[*COLUMNS, *sorted(set(table) - set(COLUMNS))])
    alike = ["group", *SIZES]
    floors = table.groupby(alike, dropna=False, sort=False).floor.sum()
    assert (floors == 1).all(), "each group of cases has one floor"
    floor = table.seconds.where(table.floor).groupby([table[name] for name in alike], dropna=False)
    table["ratio"] = table.seconds / floor.transform("max")
    return table.astype({name: "Int64" for name in SIZES[1:]}).drop(columns=["floor", "seconds"])


def peers() -> str:
    """The packages of other authors that are timed, with their versions, as they are installed."""
    first = (HERE / "peers.txt").read_text().split("\n\n")[0]  # the rest is what they import
    names = [line.partition("==")[0] for line in first.splitlines() if "==" in line]
    installed = {package.name: package.version for package in metadata.distributions(path=[str(PEERS)])}
    missing = [name for name in names if name not in installed]
    if missing or not (PEERS / "installed").exists():
        raise ValueError(f"{PEERS} must hold {', '.join(names)}: make peers")
    return ", ".join(f"{name} {installed[name]}" for name in names)


if __name__ == "__main__":
    sys.exit(main())
