"""What `make benchmarks` writes, and what it has written.  That each case works, `make quick` tries."""

import importlib.util
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from pe_lib import DATA
from pe_lib.runs.origin import Origin

TOP = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def benchmarks():
    spec = importlib.util.spec_from_file_location("benchmarks_main", TOP / "benchmarks" / "__main__.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def stored():
    return pd.read_csv(DATA / "benchmarks.csv")


def one(case, seconds, *, group="table", floor=False, errors=None, **sizes):
    """A benchmark as pytest-benchmark writes it."""
    about = {"case": case, "floor": floor, "sizes": sizes, "errors": errors or {}}
    return {"group": group, "extra_info": about, "stats": {"min": seconds, "max": 9.0}}


def test_ratios_are_to_the_floor_of_the_same_group_and_sizes(benchmarks):
    table = benchmarks.ratios(
        [
            one("fill", 2.0, floor=True, seq_len=10, dtype="float32"),
            one("formula", 6.0, seq_len=10, dtype="float32", errors={"error_far": 0.5}),
            one("formula", 6.0, seq_len=20, dtype="float32"),
            one("fill", 3.0, floor=True, seq_len=20, dtype="float32"),
            one("copy", 4.0, group="rotary", floor=True, seq_len=10, dtype="float32"),
            one("turn", 6.0, group="rotary", seq_len=10, dtype="float32"),
            one("products", 0.5, group="step", floor=True, batch=3),
        ]
    )
    assert table.ratio.tolist() == [1, 3, 2, 1, 1, 1.5, 1]
    assert table.error_far.dropna().tolist() == [0.5] and table.batch.dropna().tolist() == [3]
    assert "seconds" not in table


@pytest.mark.parametrize("floors", [0, 2])
def test_a_group_has_one_floor(benchmarks, floors):
    cases = [one(str(number), 1.0, floor=number < floors, seq_len=10) for number in range(3)]
    with pytest.raises(AssertionError, match="one floor"):
        benchmarks.ratios(cases)


@pytest.fixture
def measured(benchmarks, monkeypatch, tmp_path):
    """Nothing is timed, and what is written goes to a folder."""
    monkeypatch.setattr(benchmarks, "TARGET", tmp_path / "benchmarks.csv")
    monkeypatch.setattr(benchmarks, "refuse_unclean", lambda target: None)
    monkeypatch.setattr(benchmarks, "peers", lambda: "other 1.0")
    monkeypatch.setattr(benchmarks, "origin", lambda folder: Origin("0123456789ab", True))
    monkeypatch.setattr(benchmarks, "measure", lambda files: [one("fill", 2.0, floor=True), one("formula", 2.469)])
    return tmp_path / "benchmarks.csv"


def test_all_is_written_at_once(benchmarks, measured):
    assert benchmarks.main([]) == 0
    table = pd.read_csv(measured)
    assert table.time.tolist() == [time for time in range(benchmarks.TIMES) for _ in range(2)]
    expected = {"group": "table", "case": "formula", "ratio": 1.234, "threads": 1, "peers": "other 1.0"}
    assert table.loc[1, [*expected, "commit"]].to_dict() == expected | {"commit": "0123456789ab"}


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (KeyboardInterrupt(), 130, "interrupted: nothing is written\n"),
        (subprocess.CalledProcessError(1, "pytest"), 1, "a case failed: nothing is written\n"),
    ],
)
def test_nothing_is_written_where_it_ends_early(benchmarks, measured, monkeypatch, capsys, error, status, said):
    def measure(files):
        raise error

    measured.write_text("before")
    monkeypatch.setattr(benchmarks, "measure", measure)
    assert benchmarks.main([]) == status
    assert capsys.readouterr().err == said and measured.read_text() == "before"


def test_nothing_is_written_of_another_commit(benchmarks, measured, monkeypatch, capsys):
    commits = iter("ab")
    monkeypatch.setattr(benchmarks, "origin", lambda folder: Origin(next(commits), True))
    assert benchmarks.main([]) == 2 and not measured.exists()
    assert "another one than at the beginning" in capsys.readouterr().err


def test_nothing_is_timed_in_a_tree_that_is_not_clean(benchmarks, measured, monkeypatch, capsys):
    def refuse(target):
        raise ValueError("commit first")

    monkeypatch.setattr(benchmarks, "refuse_unclean", refuse)
    monkeypatch.setattr(benchmarks, "measure", lambda files: pytest.fail("it was timed"))
    assert benchmarks.main([]) == 2
    assert capsys.readouterr().err == "commit first\n"


def test_one_file_is_printed_and_not_written(benchmarks, measured, monkeypatch, capsys):
    monkeypatch.setattr(benchmarks, "refuse_unclean", lambda target: pytest.fail("any tree will do"))
    assert benchmarks.main([str(TOP / "benchmarks" / "bench_table.py")]) == 0 and not measured.exists()
    assert capsys.readouterr().out.splitlines()[2].split() == ["table", "formula", "1.2345"]
    assert benchmarks.main(["bench_other.py"]) == 2
    assert capsys.readouterr().err.startswith("FILE must be one of bench_attention.py, ")


def test_packages_of_other_authors_are_installed_first(benchmarks, monkeypatch, tmp_path):
    monkeypatch.setattr(benchmarks, "PEERS", tmp_path)
    with pytest.raises(ValueError, match=r"must hold .*x-transformers.*: make peers"):
        benchmarks.peers()


def test_one_thread_and_no_memory_mapped_anew(benchmarks, monkeypatch):
    asked = {}
    monkeypatch.setattr(benchmarks.subprocess, "run", lambda command, **options: asked.update(options))
    with pytest.raises(FileNotFoundError):  # nothing was measured
        benchmarks.measure(benchmarks.EVERY)
    assert asked["check"] and asked["env"].items() >= benchmarks.ENVIRONMENT.items()
    assert asked["env"]["OMP_NUM_THREADS"] == "1"


def test_the_stored_ratios_are_whole(benchmarks, stored):
    """Each case was timed as often as all others, on one machine, at one commit."""
    times = stored.groupby(benchmarks.COLUMNS, dropna=False).time.agg(lambda column: sorted(column))
    assert (times.map(tuple) == tuple(range(benchmarks.TIMES))).all()
    for column in ("processor", "commit", "torch", "peers", "threads"):
        assert stored[column].nunique(dropna=False) == 1, column
    assert (stored.threads == 1).all()


def test_the_stored_ratios_can_be_repeated(benchmarks, stored):
    """No case is far below its floor, and none is five times what it was another time."""
    ratio = stored.groupby(benchmarks.COLUMNS, dropna=False).ratio
    assert ratio.median().min() > 0.8
    assert (ratio.max() / ratio.min()).max() < 5
