"""What notebooks hand over, and the records."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import pe_lib
from pe_lib import DATA, collection

CYCLE: list = []
CYCLE.append(CYCLE)


@pytest.mark.parametrize(
    "records",
    [
        pytest.param(None, id="none"),
        pytest.param({"a": 1}, id="a dict"),
        pytest.param([1], id="a list of numbers"),
        pytest.param([{"a": float("nan")}], id="nan"),
        pytest.param([{"a": np.arange(2)}], id="an array"),
        pytest.param([{"a": np.datetime64("NaT")}], id="no time"),
        pytest.param([{"a": np.timedelta64(3, "s")}], id="a time"),
        pytest.param([{"a": np.ma.masked}], id="a masked number"),
        pytest.param([{"a": {1: 2, "1": 3}}], id="keys that JSON writes alike"),
        pytest.param([{"a": CYCLE}], id="a list in itself"),
        pytest.param([{"a": 1j}], id="a complex number"),
        pytest.param([{"a": "x" * 9000, "b": {3}}], id="a set"),
    ],
)
def test_report_refuses_what_is_not_a_list_of_plain_dicts(records):
    with pytest.raises(TypeError, match=r"^(each of )?records must be") as refusal:
        collection.report(records)
    assert len(str(refusal.value)) < 300


@pytest.mark.parametrize(
    "value, plain",
    [
        pytest.param((np.float32(0.5), np.bool_(True), np.uint8(200)), [0.5, True, 200], id="numbers"),
        pytest.param({1: None, "2": np.str_("a")}, {"1": None, "2": "a"}, id="keys"),
        pytest.param({"a": {"b": 1}, "c": {"b": 2}}, {"a": {"b": 1}, "c": {"b": 2}}, id="keys of others"),
    ],
)
def test_plain(value, plain):
    assert collection.plain("value", value) == plain


def test_report_shows_how_many_and_carries_them(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.publish_display_data", shown.append)
    collection.report([{"a": np.int64(1)}])
    collection.report([{"a": (1, 2)}, {}])
    assert shown == [
        {collection.MIME: [{"a": 1}], "text/plain": "1 record"},
        {collection.MIME: [{"a": [1, 2]}, {}], "text/plain": "2 records"},
    ]


def test_read_finds_the_table_beside_the_package(tmp_path, monkeypatch):
    assert DATA == Path(pe_lib.__file__).resolve().parent.parent / "data"
    monkeypatch.setattr(collection, "DATA", tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"^name must be one of , got 'first'$"):
        collection.read("first")
    (tmp_path / "data/results").mkdir(parents=True)
    (tmp_path / "data/results/first.csv").write_text("encoding,loss\nnope,0.1234567890123456789\n")
    (tmp_path / "data/results/second.csv").write_text("a\n1\n")
    table = collection.read("first")
    assert table["loss"][0] == 0.1234567890123456789 and table["encoding"][0] == "nope"
    with pytest.raises(ValueError, match=r"^name must be one of first, second, got 'third'$"):
        collection.read("third")


@pytest.mark.parametrize(("owner", "name"), [(os, "replace"), (Path, "write_bytes")], ids=["no rename", "no room"])
def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch, owner, name):
    def fails(*_, **__):
        raise OSError("no room")

    collection.write_whole(tmp_path / "a.json", "old")
    monkeypatch.setattr(owner, name, fails)
    with pytest.raises(OSError, match="no room"):
        collection.write_whole(tmp_path / "a.json", "new")
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
    assert (tmp_path / "a.json").read_text() == "old"


def test_what_is_no_content(tmp_path):
    with pytest.raises(TypeError, match=r"^content must be a str .* or bytes"):
        collection.write_whole(tmp_path / "a.json", 3)
    assert not list(tmp_path.iterdir())


# Summaries


def trials(**values):
    """Records of three seeds at two steps, whose values are not symmetric around their mean."""
    records = []
    for encoding in ("rope", "alibi"):
        for step in (20, 10):
            for seed, accuracy in enumerate((0.0, 0.25, 1.0)):
                record = {"encoding": encoding, "step": step, "seed": seed, "accuracy": accuracy + step, "loss": 2}
                records.append(record | values)
    return records


def test_summary():
    table = collection.summary(trials())
    assert list(table.columns) == ["encoding", "step", "mean", "low", "high", "seeds"]
    assert list(zip(table.encoding, table.step, strict=True)) == [
        ("rope", 20),
        ("rope", 10),
        ("alibi", 20),
        ("alibi", 10),
    ]
    np.testing.assert_allclose(table["mean"] - table.step, 1.25 / 3)
    assert (table.low == table.step).all() and (table.high == table.step + 1).all() and (table.seeds == 3).all()


def test_summary_of_other_columns():
    records = [record for record in trials() if record["step"] == 10]
    table = collection.summary(pd.DataFrame(records), by=["encoding"], value="loss")
    assert table.to_dict("list") == {
        "encoding": ["rope", "alibi"],
        "mean": [2, 2],
        "low": [2, 2],
        "high": [2, 2],
        "seeds": [3, 3],
    }


def test_a_group_may_have_no_name():
    assert list(collection.summary(trials(encoding=None)[:6]).seeds) == [3, 3]


@pytest.mark.parametrize(
    "records, options, error, says",
    [
        pytest.param(
            trials(), {"by": ["encoding"]}, ValueError, "by must tell the records of a seed", id="seed twice"
        ),
        pytest.param(trials(seed=0), {}, ValueError, "by must tell the records of a seed apart", id="one seed"),
        pytest.param(trials(), {"by": "step"}, TypeError, "by must be a list, got 'step'", id="by"),
        pytest.param(trials(), {"by": []}, ValueError, "by must be there as columns, got none", id="no columns"),
        pytest.param(
            trials(), {"by": ["task", "step"]}, ValueError, "by must be there .*, got task; there", id="task"
        ),
        pytest.param(trials(), {"value": "nats"}, ValueError, "value must be there as columns, got nats", id="nats"),
        pytest.param(trials(), {"value": "encoding"}, ValueError, "value must be a column of numbers", id="words"),
        pytest.param(trials(accuracy=None), {}, ValueError, "value must be a column of numbers", id="all missing"),
        pytest.param(
            [*trials(), trials(seed=3, accuracy=np.nan)[0]],
            {},
            ValueError,
            "value must be .* in each",
            id="one missing",
        ),
        pytest.param([], {}, ValueError, "by must be there as columns, .*; there are: none", id="no records"),
        pytest.param(
            [{"encoding": "a", "step": 1, "accuracy": 1.0}], {}, ValueError, "records must .*, got seed", id="no seed"
        ),
    ],
)
def test_what_cannot_be_summed_up(records, options, error, says):
    with pytest.raises(error, match=says):
        collection.summary(records, **options)


def test_a_temporary_file_goes_where_the_write_breaks_off(tmp_path, monkeypatch):
    written = Path.write_bytes

    def half(path, content):
        written(path, content[:1])
        raise OSError("no room")

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(OSError, match="no room"):
        collection.write_whole(tmp_path / "a.json", "new")
    assert not list(tmp_path.iterdir())
