"""Making and completing a table of records, in a toy checkout; what a cluster would run is made up at once.

The last tests are about the experiments of this project, and one makes records for real.
"""

import csv
import errno
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from runs_toys import commit, notebook

from pe_lib import collection, plots
from pe_lib.runs import cluster, digest, make_records, plan
from pe_lib.runs.store import finished, store

TOP = Path(__file__).parents[2]
EXPERIMENTS = """\
[toy]
what = "two encodings, three seeds"
notebook = "notebooks/toy.ipynb"
read_by = ["notebooks/reader.ipynb"]

[toy.grid]
encoding = ["nope", "learned:std=0.1"]
seed = "0:3"

[other]
what = "one run"
notebook = "notebooks/toy.ipynb"
read_by = ["notebooks/reader.ipynb", "notebooks/another.ipynb"]

[other.grid]
lr = [0.002]
"""
HEADER = "seed,lr,encoding,mask,lengths,limit,accuracy,loss,step,pe_lib,commit,clean,processor"


class FakeCluster:
    """In place of the cluster: keeps and stores as that does, but makes up what a notebook reports."""

    def __init__(self):
        self.ran = []  # the parameters of what was run
        self.fails = set()  # seeds
        self.results = lambda parameters: [
            {"accuracy": None, "loss": 0.1 + parameters["seed"], "step": step} for step in (0, 50)
        ]

    def run_planned(self, planned, out):
        return [self.one(run, out) for run in planned]

    def one(self, planned, out):
        record = finished(out, planned)
        if record is None:
            self.ran.append((planned.parameters["encoding"], planned.parameters["seed"]))
            record = planned.draft() | {"processor": "P", "seconds": 1.0}
            if planned.parameters["seed"] in self.fails:
                record |= {"error": {"cell": None, "id": None, "name": "KilledWorker", "message": "died"}}
            else:
                record |= {"result": "ok", "results": self.results(planned.parameters)}
            out.mkdir(parents=True, exist_ok=True)
            store(out, planned, record, "executed")
        return record


@pytest.fixture
def fake(monkeypatch) -> FakeCluster:
    fake = FakeCluster()
    monkeypatch.setattr(cluster, "run_planned", fake.run_planned)
    return fake


@pytest.fixture
def top(tmp_path, monkeypatch, fake) -> Path:
    """A clean checkout with a package of one module, a notebook that uses it and two experiments."""
    top = tmp_path / "top"
    for folder in ("pe_lib", "notebooks", "data/results"):
        (top / folder).mkdir(parents=True)
    (top / "pe_lib" / "__init__.py").write_text("")
    (top / "pe_lib" / "used.py").write_text("VALUE = 1\n")
    (top / "pe_lib" / "plots.py").write_text("COLOUR = 'red'\n")
    notebook(top / "notebooks" / "toy.ipynb", "from pe_lib.used import VALUE")
    (top / "data" / "experiments.toml").write_text(EXPERIMENTS)
    (top / "data" / "results" / "by_hand.csv").write_text("a\n1\n")
    (top / ".gitignore").write_text("build/\n")
    commit(top)
    monkeypatch.setattr(collection, "DATA", top / "data")
    monkeypatch.setattr(digest, "PACKAGE", top / "pe_lib")
    return top


@pytest.fixture
def table(top, fake, capsys) -> Path:
    """The table of toy, made and committed."""
    assert make_records.main(["toy"]) == 0
    commit(top)
    fake.ran.clear()
    capsys.readouterr()
    return top / "data" / "results" / "toy.csv"


def lines(table: Path) -> list[dict]:
    with table.open(newline="") as file:
        return list(csv.DictReader(file))


def change(top: Path, table: Path, where: dict, **values) -> None:
    """Set values in the rows of one point, or remove these rows; and commit."""
    rows = lines(table)
    chosen = [row for row in rows if where.items() <= row.items()]
    assert chosen
    for row in chosen:
        row.update(values)
        if not values:
            rows.remove(row)
    table.write_text(make_records.as_csv(rows))
    commit(top)


def test_from_nothing_in_the_order_of_the_grid(top, fake, capsys):
    head = commit(top)
    assert make_records.main(["toy"]) == 0
    text = (top / "data" / "results" / "toy.csv").read_text()
    assert text.splitlines()[0] == HEADER
    rows = lines(top / "data" / "results" / "toy.csv")
    points = [(encoding, str(seed)) for encoding in ("nope", "learned:std=0.1") for seed in range(3)]
    assert [(row["encoding"], row["seed"]) for row in rows[::2]] == points
    assert [row["step"] for row in rows] == ["0", "50"] * 6
    first = {"lr": "0.001", "mask": "True", "lengths": "[4, 8]", "limit": "", "accuracy": "", "loss": "0.1"}
    assert first.items() <= rows[0].items()
    (version,) = {row["pe_lib"] for row in rows}
    assert version.startswith("0.1.0+") and len(version) == 18
    assert {(row["commit"], row["clean"], row["processor"]) for row in rows} == {(head, "True", "P")}
    shown = capsys.readouterr()
    assert shown.out.splitlines()[0].split() == ["notebook", "encoding", "seed", "seconds", "result"]
    assert shown.out.endswith("toy.csv: 6 runs, 6 of them new\n") and len(fake.ran) == 6
    assert len(list((top / "build" / "toy").glob("*.json"))) == 6


def test_nothing_to_do(top, table, fake, capsys):
    before = table.stat().st_mtime_ns, table.read_bytes()
    shutil.rmtree(top / "build")
    assert make_records.main(["toy"]) == 0
    assert fake.ran == [] and (table.stat().st_mtime_ns, table.read_bytes()) == before
    assert capsys.readouterr().out == f"{table}: nothing to do\n"


def test_one_point_missing(top, table, fake, capsys):
    whole = lines(table)
    change(top, table, {"encoding": "nope", "seed": "1"})
    assert len(lines(table)) == 10
    shutil.rmtree(top / "build")
    head = commit(top)
    assert make_records.main(["toy"]) == 0 and fake.ran == [("nope", 1)]
    now = lines(table)
    assert [row["commit"] for row in now[2:4]] == [head] * 2 and {row["commit"] for row in now[:2] + now[4:]} != {
        head
    }
    assert [row | {"commit": ""} for row in now] == [row | {"commit": ""} for row in whole]
    assert capsys.readouterr().out.endswith("6 runs, 1 of them new\n")


@pytest.mark.parametrize(
    "values",
    [{"pe_lib": "0.1.0+0123456789ab"}, {"clean": "False"}, {"clean": "unknown"}, {"clean": ""}, {"lr": "0.1"}],
    ids=["other code", "not clean", "cleanness unknown", "no word", "other parameter"],
)
def test_one_point_out_of_date(top, table, fake, values):
    whole = lines(table)
    change(top, table, {"encoding": "learned:std=0.1", "seed": "0"}, **values, loss="77")
    shutil.rmtree(top / "build")
    assert make_records.main(["toy"]) == 0 and fake.ran == [("learned:std=0.1", 0)]
    assert [row | {"commit": ""} for row in lines(table)] == [row | {"commit": ""} for row in whole]


def test_one_row_of_a_point_out_of_date_is_the_whole_point(top, table, fake):
    change(top, table, {"encoding": "nope", "seed": "2", "step": "50"}, pe_lib="0.1.0+0123456789ab")
    shutil.rmtree(top / "build")
    assert make_records.main(["toy"]) == 0 and fake.ran == [("nope", 2)] and len(lines(table)) == 12


@pytest.mark.parametrize(
    ("name", "text", "number"),
    [
        ("pe_lib/used.py", "VALUE = 2\n", 6),
        ("pe_lib/plots.py", "COLOUR = 'blue'\n", 0),
        ("pe_lib/new.py", "", 0),
        ("README.md", "more\n", 0),
    ],
    ids=["module used", "module not used", "new module", "prose"],
)
def test_what_makes_a_table_out_of_date(top, table, fake, name, text, number):
    (version,) = {row["pe_lib"] for row in lines(table)}
    (top / name).write_text(text)
    commit(top)
    assert make_records.main(["toy"]) == 0 and len(fake.ran) == number
    (now,) = {row["pe_lib"] for row in lines(table)}
    assert (now != version) == (number > 0)


def test_another_experiment_makes_its_table_out_of_date(top, table, fake):
    notebook(top / "notebooks" / "toy.ipynb", "from pe_lib.used import VALUE", "VALUE = 2")
    commit(top)
    assert make_records.main(["toy"]) == 0 and len(fake.ran) == 6


def test_a_new_parameter_of_the_experiment_is_a_new_column(top, table, fake):
    notebook(
        top / "notebooks" / "toy.ipynb",
        "from pe_lib.used import VALUE",
        parameters="new = 1\nseed = 0\nencoding = 'nope'",
    )
    commit(top)
    assert make_records.main(["toy"]) == 0 and len(fake.ran) == 6
    assert list(lines(table)[0])[:3] == ["new", "seed", "encoding"] and "lr" not in lines(table)[0]


def test_another_grid_orders_drops_and_adds_without_repeating(top, table, fake):
    text = EXPERIMENTS.replace('["nope", "learned:std=0.1"]', '["rope", "nope"]').replace('"0:3"', "[2, 0]")
    (top / "data" / "experiments.toml").write_text(text)
    commit(top)
    assert make_records.main(["toy"]) == 0 and fake.ran == [("rope", 2), ("rope", 0)]
    points = [("rope", "2"), ("rope", "0"), ("nope", "2"), ("nope", "0")]
    assert [(row["encoding"], row["seed"]) for row in lines(table)[::2]] == points
    commit(top)
    (top / "data" / "experiments.toml").write_text(text.replace('["rope", "nope"]', '["nope", "rope"]'))
    commit(top)
    fake.ran.clear()
    assert make_records.main(["toy"]) == 0 and fake.ran == []
    assert [row["encoding"] for row in lines(table)[::4]] == ["nope", "rope"]


@pytest.mark.parametrize("name", ["README.md", "pe_lib/used.py", "data/results/by_hand.csv"])
def test_a_tree_that_is_not_clean_is_refused(top, table, fake, capsys, name):
    change(top, table, {"seed": "1"})
    before = table.read_bytes()
    (top / name).write_text("changed\n")
    assert make_records.main(["toy"]) == 2 and fake.ran == [] and table.read_bytes() == before
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.count("\n") == 1
    assert shown.err.startswith(f"python -m pe_lib.runs.make_records: {table} is written from a clean tree only")


def test_the_table_itself_may_have_changed(top, table, fake):
    whole = table.read_bytes()
    table.write_bytes(whole[: whole.index(b"\n") + 1])
    assert make_records.main(["toy"]) == 0 and table.read_bytes() == whole
    assert fake.ran == []  # all were kept in build/toy


def test_outside_of_a_checkout_nothing_is_written(top, fake, capsys):
    shutil.rmtree(top / ".git")
    assert make_records.main(["toy"]) == 2 and fake.ran == []
    assert "from a git checkout only" in capsys.readouterr().err
    assert not (top / "data" / "results" / "toy.csv").exists()


def test_an_unknown_name_lists_the_names(top, capsys):
    assert make_records.main(["toi"]) == 2
    assert (
        capsys.readouterr().err == "python -m pe_lib.runs.make_records: NAME must be one of toy, other, got 'toi'\n"
    )


def test_a_failing_run_leaves_the_file_and_what_is_finished_is_kept(top, table, fake, capsys):
    change(top, table, {"encoding": "nope"})
    shutil.rmtree(top / "build")
    before = table.read_bytes()
    fake.fails = {1}
    assert make_records.main(["toy"]) == 1 and table.read_bytes() == before
    shown = capsys.readouterr()
    *lines_shown, failure = shown.out.splitlines()
    assert [line.split()[-1] for line in lines_shown] == ["result", "ok", "FAILED", "ok"]
    assert failure.endswith(".ipynb encoding=nope seed=1: KilledWorker: died")
    assert shown.err == f"python -m pe_lib.runs.make_records: {table} is as it was\n"
    fake.ran.clear()
    fake.fails = set()
    assert make_records.main(["toy"]) == 0 and fake.ran == [("nope", 1)] and len(lines(table)) == 12
    assert [line.split()[-1] for line in capsys.readouterr().out.splitlines()[:4]] == ["result", "kept", "ok", "kept"]


def test_a_write_that_fails_leaves_the_file(top, table, fake, monkeypatch, capsys):
    change(top, table, {"seed": "1"})
    before = table.read_bytes()

    def no_room(*_):
        raise OSError(errno.ENOSPC, "no room")

    monkeypatch.setattr(os, "replace", no_room)
    monkeypatch.setattr(fake, "one", lambda planned, _: planned.draft() | {"result": "ok", "results": [{"loss": 1}]})
    assert make_records.main(["toy"]) == 2 and table.read_bytes() == before
    assert capsys.readouterr().err == f"python -m pe_lib.runs.make_records: [Errno 28] no room: '{table}'\n"
    assert sorted(path.name for path in table.parent.iterdir()) == ["by_hand.csv", "toy.csv"]


def test_a_kept_run_of_a_tree_that_was_not_clean_is_refused(top, fake, capsys):
    (top / "notes.txt").write_text("x")
    experiment = make_records.experiments()["toy"]
    fake.run_planned(plan(experiment.jobs()[1:2]), experiment.folder)
    (top / "notes.txt").unlink()
    fake.ran.clear()
    assert make_records.main(["toy"]) == 2 and fake.ran == []
    (kept,) = (top / "build" / "toy").glob("*.json")
    assert capsys.readouterr().err.endswith(f"{kept} was run from a tree that was not clean: remove it\n")


@pytest.mark.parametrize(
    ("results", "says"),
    [
        ([], "toy.ipynb reported nothing"),
        ([{"loss": 1.0}, {"seed": 7}], "toy.ipynb reports a seed of 7, but was run with 0"),
    ],
    ids=["nothing", "another seed"],
)
def test_results_that_would_not_be_found_again_are_refused(top, fake, capsys, results, says):
    fake.results = lambda parameters: results
    assert make_records.main(["toy"]) == 2 and says in capsys.readouterr().err
    assert not (top / "data" / "results" / "toy.csv").exists()


def test_an_interruption(top, monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(cluster, "run_planned", interrupted)
    assert make_records.main(["toy"]) == 130
    assert capsys.readouterr().err == "interrupted; what is finished is kept in build/toy\n"


def test_without_a_name_they_are_listed(top, table, capsys):
    (version,) = {row["pe_lib"] for row in lines(table)}
    change(top, table, {"seed": "1"})
    change(top, table, {"seed": "2", "encoding": "nope"}, pe_lib="0.1.0+0123456789ab")
    (top / "notes.txt").write_text("a tree that is not clean is listed as well")
    assert make_records.main([]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "name   runs  done  missing  out of date  rows of",
        f"toy    6     3     2        1            {version} (6), 0.1.0+0123456789ab (2)",
        "other  1     0     1        0",
    ]


def test_the_table_for_the_readme(top):
    notebooks = "[toy](../notebooks/toy.ipynb) | [reader](../notebooks/reader.ipynb)"
    assert make_records.results_table().splitlines() == [
        "| file | what | made by | read by |",
        "|---|---|---|---|",
        f"| `results/toy.csv` | 6 training runs: two encodings, three seeds | {notebooks} |",
        f"| `results/other.csv` | 1 training runs: one run | {notebooks}, [another](../notebooks/another.ipynb) |",
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[toy", "python -m pe_lib.runs.make_records: "),
        ("[toy]\nwhat = 'x'", "toy in experiments.toml must have grid, notebook, read_by, what, got what"),
        (EXPERIMENTS.replace("what", "why", 1), "got grid, notebook, read_by, why"),
        (EXPERIMENTS.replace('"0:3"', '"3"'), "values must have a name, and a list of one value or more for each"),
        (EXPERIMENTS.replace('"0:3"', "[true]"), "toy.ipynb: seed must be of type int"),
        (EXPERIMENTS.replace("toy.ipynb", "none.ipynb"), "none.ipynb"),
    ],
    ids=["half a line", "fields missing", "another field", "no list", "a bool", "no notebook"],
)
def test_experiments_that_are_refused(top, fake, capsys, text, says):
    (top / "data" / "experiments.toml").write_text(text)
    commit(top)
    assert make_records.main(["toy"]) == 2 and fake.ran == []
    assert says in capsys.readouterr().err


def test_without_experiments_the_package_is_installed(top, capsys):
    (top / "data" / "experiments.toml").unlink()
    assert make_records.main([]) == 2
    assert "records are made in a checkout of the project" in capsys.readouterr().err


# The experiments of this project


@pytest.fixture(params=make_records.experiments().values(), ids=lambda experiment: experiment.name)
def experiment(request) -> make_records.Experiment:
    return request.param


def test_the_tables_hold_the_grids_in_their_order(experiment):
    rows = make_records.read_rows(experiment.target)
    points = make_records.points(experiment)
    assert [row for point in points for row in point.rows] == rows
    assert len(points) == experiment.size and all(point.rows for point in points)


def test_the_tables_are_spelt_as_they_would_be_written(experiment):
    assert make_records.as_csv(make_records.read_rows(experiment.target)) == experiment.target.read_text()


def test_the_notebooks_that_read_an_experiment_are_known(experiment):
    read = f'collection.read(\\"{experiment.name}\\")'
    readers = [path for path in sorted((TOP / "notebooks").glob("*.ipynb")) if read in path.read_text()]
    assert experiment.read_by == [str(path.relative_to(TOP)) for path in readers]
    assert (TOP / experiment.notebook).exists()


def test_every_table_has_its_experiment():
    tables = sorted(path.stem for path in (TOP / "data" / "results").glob("*.csv"))
    assert tables == sorted(make_records.experiments())


def test_what_is_known_of_the_commits(experiment):
    """A digest belongs to one commit; what has none says so in words."""
    rows = make_records.read_rows(experiment.target)
    commits = Counter((row["pe_lib"], row["commit"]) for row in rows)
    assert len({version for version, _ in commits}) == len(commits)
    assert all(commit == "unknown" or len(commit) == 12 for _, commit in commits)


def test_the_readme_has_the_table_of_now():
    assert f"]]] -->\n{make_records.results_table()}\n<!-- [[[end]]] -->" in (TOP / "data" / "README.md").read_text()


# For real


@pytest.mark.slow
def test_a_checkout_makes_its_records(tmp_path):
    top = tmp_path / "top"
    shutil.copytree(TOP / "pe_lib", top / "pe_lib", ignore=shutil.ignore_patterns("__pycache__"))
    for folder in ("notebooks", "data/results"):
        (top / folder).mkdir(parents=True)
    cell = "from pe_lib.collection import report\nreport([{'double': 2 * seed}])"
    notebook(top / "notebooks" / "toy.ipynb", cell)
    (top / "data" / "experiments.toml").write_text(EXPERIMENTS)
    (top / "data" / "results" / "by_hand.csv").write_text("a\n1\n")
    (top / ".gitignore").write_text("build/\n__pycache__/\n")
    first = commit(top)
    table = top / "data" / "results" / "toy.csv"

    def make(*arguments):
        command = [sys.executable, "-m", "pe_lib.runs.make_records", *arguments]
        environment = os.environ | {"PYTHONPATH": str(top)}
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600)

    made = make("toy")
    assert made.returncode == 0 and made.stdout.endswith(f"{table}: 6 runs, 6 of them new\n")
    progress = [line.partition(": ")[2] for line in made.stderr.splitlines()]
    assert progress == [f"ok, {number} of 6 done" for number in range(1, 7)]
    assert [row["double"] for row in lines(table)] == ["0", "2", "4"] * 2
    assert {(row["commit"], row["clean"]) for row in lines(table)} == {(first, "True")}
    change(top, table, {"encoding": "nope", "seed": "2"})
    shutil.rmtree(top / "build")
    again = make("toy")
    assert again.returncode == 0 and again.stdout.endswith(f"{table}: 6 runs, 1 of them new\n")
    assert again.stderr.endswith(": ok, 1 of 1 done\n") and again.stderr.count("\n") == 1
    assert [row["double"] for row in lines(table)] == ["0", "2", "4"] * 2
    assert [row["commit"] == first for row in lines(table)] == [True, True, False, True, True, True]
    (top / "notes.txt").write_text("x")
    assert make("toy").returncode == 2
    assert make().stdout.splitlines()[1].split()[:5] == ["toy", "6", "6", "0", "0"]


def test_all_stands_for_every_encoding_that_is_not_named():
    registry = [name for members in plots.families().values() for name in members]
    names = make_records.with_all(["all", "t5", "t5:max_distance=32", "rope_nope:every=2"])
    assert [name for name in names if ":" not in name] == [name for name in registry if name != "rope_nope"]
    assert names.index("t5:max_distance=32") == names.index("t5") + 1
    assert names.index("rope_nope:every=2") == registry.index("rope_nope")
    assert make_records.with_all(["rope", "nope"]) == ["rope", "nope"]
