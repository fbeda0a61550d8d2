"""Times every case against its floor, several times over, and writes the ratios to data/benchmarks.csv.

    python -m benchmarks

On a machine that does nothing else, from a clean git tree.  Rows of other processors stay in the file.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd

from pe_lib import DATA
from pe_lib.collection import write_whole
from pe_lib.runs.execute import processor
from pe_lib.runs.origin import origin, refuse_unclean
from pe_lib.training import versions

HERE = Path(__file__).parent
TARGET = DATA / "benchmarks.csv"
TIMES = 5  # the whole from the beginning, so that what changes in the machine meanwhile is seen
COLUMNS = ["group", "case", "dtype", "batch", "n_head", "n_layer", "seq_len", "width"]
SIZES = COLUMNS[2:]


def main() -> int:
    try:
        refuse_unclean(TARGET)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    parts = []
    for time in range(TIMES):
        print(f"the whole for the {time + 1}. time of {TIMES}", flush=True)
        parts.append(ratios(measure()).assign(time=time))
    table = pd.concat(parts).assign(**versions(), peers=peers(), processor=processor(), commit=origin(HERE).commit)
    if TARGET.exists():
        before = pd.read_csv(TARGET)
        table = pd.concat([before[before.processor != processor()], table])
    write_whole(TARGET, table.to_csv(index=False, float_format="%.4g", lineterminator="\n"))
    print(f"{len(table)} rows in {TARGET}")
    return 0


def measure() -> list[dict]:
    """Everything once, in a process of its own.  -> what pytest-benchmark says of each case"""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "times.json"
        options = ["-q", "-W", "default", "-p", "no:cacheprovider", f"--benchmark-json={target}"]
        options += [
            "--benchmark-max-time=0.3",
            "--benchmark-min-rounds=10",
            "--benchmark-columns=min,median,rounds",
            "--benchmark-sort=fullname",
        ]
        subprocess.run([sys.executable, "-m", "pytest", *options, *sorted(HERE.glob("bench_*.py"))], check=True)
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
    alike = table.groupby(["group", *SIZES], dropna=False, sort=False)
    assert (alike.floor.sum() == 1).all(), "each group of cases has one floor"
    floor = table.seconds.where(table.floor).groupby([table[name] for name in alike.keys], dropna=False)
    table["ratio"] = table.seconds / floor.transform("max")
    return table.astype({name: "Int64" for name in SIZES[1:]}).drop(columns=["floor", "seconds"])


def peers() -> str:
    """The packages of other authors that are timed, as `peers.txt` names them before an empty line."""
    timed = (HERE / "peers.txt").read_text().split("\n\n")[0]
    return ", ".join(re.findall(r"^[\w-]+==\S+$", timed, re.M))


if __name__ == "__main__":
    sys.exit(main())
