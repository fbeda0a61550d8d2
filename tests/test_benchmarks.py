"""What `make benchmarks` writes, and what it has written.  That each case works, `make quick` tries."""

import importlib.util
import re
from pathlib import Path

import pandas as pd
import pytest

from pe_lib import DATA

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


def test_peers_are_the_packages_that_are_timed(benchmarks):
    assert re.fullmatch(r"rotary-embedding-torch==\S+, transformers==\S+, x-transformers==\S+", benchmarks.peers())


def test_nothing_is_timed_in_a_tree_that_is_not_clean(benchmarks, monkeypatch, capsys):
    def refuse(target):
        raise ValueError("commit first")

    monkeypatch.setattr(benchmarks, "refuse_unclean", refuse)
    monkeypatch.setattr(benchmarks, "measure", lambda: pytest.fail("it was timed"))
    assert benchmarks.main() == 2
    assert capsys.readouterr().err == "commit first\n"


def test_rows_of_other_processors_stay(benchmarks, monkeypatch, tmp_path):
    target = tmp_path / "benchmarks.csv"
    monkeypatch.setattr(benchmarks, "TARGET", target)
    monkeypatch.setattr(benchmarks, "refuse_unclean", lambda target: None)
    monkeypatch.setattr(benchmarks, "measure", lambda: [one("fill", 2.0, floor=True, seq_len=10)])
    for name in ("one", "another", "one"):
        monkeypatch.setattr(benchmarks, "processor", lambda name=name: name)
        assert benchmarks.main() == 0
    table = pd.read_csv(target)
    assert table.processor.value_counts().to_dict() == {"one": benchmarks.TIMES, "another": benchmarks.TIMES}
    assert table.time.tolist() == 2 * list(range(benchmarks.TIMES))


def test_the_stored_ratios_are_whole(benchmarks, stored):
    """Each case was timed as often as all others, by one commit and one set of packages for each processor."""
    key = ["processor", "group", *benchmarks.COLUMNS[1:]]
    times = stored.groupby(key, dropna=False).time.agg(lambda column: sorted(column))
    assert (times.map(len) == benchmarks.TIMES).all() and times.map(tuple).nunique() == 1
    for column in ("commit", "torch", "peers", "threads"):
        assert (stored.groupby("processor")[column].nunique(dropna=False) == 1).all(), column
    assert (stored.threads == 1).all() and (stored.ratio > 0).all()
