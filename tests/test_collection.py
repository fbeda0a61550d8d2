"""What notebooks hand over, the records and the ledger; that the ledger is right is for test_claims.py."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import pe_lib
from pe_lib import DATA, collection
from pe_lib.collection import Verdict

CYCLE: list = []
CYCLE.append(CYCLE)
HEAD = "# 4. Of bits\n\n**Question.** How many?\n\n*You need:* none. *Time on two CPU cores:* 5 seconds."


def code(cell, source, printed=""):
    output = {"output_type": "stream", "name": "stdout", "text": printed.splitlines(keepends=True)}
    return {"cell_type": "code", "id": cell, "source": source, "outputs": [output] if printed else []}


def markdown(source):
    return {"cell_type": "markdown", "id": "md", "source": source.splitlines(keepends=True)}


@pytest.fixture
def notebooks(tmp_path):
    """Writes cells as a notebook into a folder of notebooks.  -> the folder"""

    def write(*cells, name="04_of_bits"):
        (tmp_path / f"{name}.ipynb").write_text(json.dumps({"cells": cells}), encoding="utf-8")
        return tmp_path

    return write


# Records


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


# Claims


def test_a_temporary_file_goes_where_the_write_breaks_off(tmp_path, monkeypatch):
    written = Path.write_bytes

    def half(path, content):
        written(path, content[:1])
        raise OSError("no room")

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(OSError, match="no room"):
        collection.write_whole(tmp_path / "a.json", "new")
    assert not list(tmp_path.iterdir())


# What a notebook reports


def test_only_what_a_person_must_say_is_typed():
    assert list(pd.read_csv(DATA / "claims.csv").columns) == ["id", "claim", "who", "status", "condition"]


def test_the_ledger_holds_text_only(tmp_path, monkeypatch):
    (tmp_path / "claims.csv").write_text("id,claim,who,status,condition\nlong,12,NA,false,\n")
    monkeypatch.setattr(collection, "DATA", tmp_path)
    assert list(collection.ledger().loc["long"]) == ["12", "NA", "false", "", "", "", ""]


def test_the_ledger_says_where_a_claim_is_tried():
    row = collection.ledger().loc["smooth"]
    assert (row.notebook, row.cell) == ("06_claims_on_trial", "smooth") and row.number.startswith("neighbours have")


def test_the_ledger_without_notebooks(tmp_path, monkeypatch):
    monkeypatch.setattr(collection, "NOTEBOOKS", tmp_path / "none")
    ledger = collection.ledger()
    assert ledger.status["smooth"] == "proved"
    assert (ledger[["number", "notebook", "cell"]] == "").all(axis=None)


def test_verdict_names_what_it_does_not_know():
    with pytest.raises(ValueError, match="claim must be one of dimension, "):
        collection.verdict("none", "false", True, "7")
    with pytest.raises(ValueError, match="status must be one of proved, "):
        collection.verdict("norm", "maybe", True, "7")


@pytest.mark.parametrize("evidence", [float("nan"), "False", [False], 1, None, np.array([True]), iter([])])
def test_evidence_is_true_or_false(evidence, capsys):
    with pytest.raises(TypeError, match=r"^evidence must be True or False, got"):
        collection.verdict("smooth", "proved", evidence, "7")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("number", [None, 7.0, "", " ", "two\nlines"])
def test_the_number_that_decides_is_said(number):
    with pytest.raises(ValueError, match=r"^number must be the number that decides"):
        collection.verdict("smooth", "proved", True, number)


def test_a_verdict(capsys):
    collection.verdict("smooth", "proved", np.bool_(True), "7 of 9")
    assert capsys.readouterr().out == "verdict on smooth: proved. 7 of 9\n"
    with pytest.raises(AssertionError, match=r"the evidence that 'smooth' is proved does not hold: 7"):
        collection.verdict("smooth", "proved", np.bool_(False), "7")
    with pytest.raises(AssertionError, match=r"'smooth' is false here, but proved in data/claims.csv"):
        collection.verdict("smooth", "false", True, "7")


def test_a_verdict_that_these_parameters_speak_against_says_why(capsys):
    collection.verdict("norm", "proved", True, "7", otherwise="few columns")
    collection.verdict("norm", "proved", False, "7", otherwise="few columns")
    holds, excused = capsys.readouterr().out.splitlines()
    assert holds == "verdict on norm: proved. 7"
    assert excused == "verdict on norm: proved. 7; otherwise here: few columns"
    with pytest.raises(AssertionError, match="'norm' is false here, but proved"):
        collection.verdict("norm", "false", False, "7", otherwise="few columns")


def test_verdicts_of_a_notebook(notebooks):
    folder = notebooks(
        markdown('verdict("prose", "false", True, "7")\nverdict on prose: false. 7'),
        code("first", 'x = 1\nverdict("here", "a choice", x == 1, f"{x}.5")', "x\nverdict on here: a choice. 1.5\n"),
        code(
            "loop", "for claim in claims: verdict(claim, *known)", "verdict on a: false. 1\nverdict on b: proved. 2\n"
        ),
        code("new", 'verdict("unseen", "false", True, "7")'),
    )
    assert collection.verdicts(folder) == [
        Verdict("here", "a choice", "1.5", "04_of_bits", "first"),
        Verdict("a", "false", "1", "04_of_bits", "loop"),
        Verdict("b", "proved", "2", "04_of_bits", "loop"),
        Verdict("unseen", "", "", "04_of_bits", "new"),
    ]


def test_verdicts_come_in_the_order_of_the_notebooks(notebooks):
    cell = code("first", 'verdict("a", "false", True, "7")')
    folder = notebooks(cell, name="10_b")
    notebooks(cell, name="02_a")
    assert [stored.notebook for stored in collection.verdicts(folder)] == ["02_a", "10_b"]


def test_disagreements():
    ledger = pd.DataFrame({"status": {"a": "false", "b": "proved"}})
    a, b = Verdict("a", "false", "1", "01", "x"), Verdict("b", "proved", "2", "01", "y")
    assert collection.disagreements(ledger, [a, b]) == set()
    assert collection.disagreements(ledger, [a]) == {"b"}, "not tried"
    assert collection.disagreements(ledger, [a, replace(b, status="")]) == {"b"}, "not printed"
    assert collection.disagreements(ledger, [a, replace(b, status="false")]) == {"b"}, "another status"
    excused = replace(b, number=f"2{collection.OTHERWISE}few columns")
    assert collection.disagreements(ledger, [a, excused]) == {"b"}, "its number speaks against it"
    assert collection.disagreements(ledger, [a, b, replace(a, cell="z")]) == {"a"}, "tried twice"
    assert collection.disagreements(ledger, [a, b, replace(a, claim="c")]) == {"c"}, "not in the ledger"


# Tables


def test_claims_table_has_a_row_a_claim():
    head, line, *rows = collection.claims_table("notebooks/").splitlines()
    assert head.count("|") == line.count("|") == 5 and len(rows) == len(collection.ledger())
    assert (
        "| all rows have the same norm | **proved** | 16.00 with 512 columns "
        "| [6](notebooks/06_claims_on_trial.ipynb) |" in rows
    )


def test_claims_table_of_a_claim_that_is_not_tried(tmp_path, monkeypatch):
    monkeypatch.setattr(collection, "NOTEBOOKS", tmp_path)
    assert "| all rows have the same norm | **proved** |  |  |" in collection.claims_table()


def test_notebooks_table_is_taken_from_the_first_cells(notebooks, monkeypatch):
    monkeypatch.setattr(collection, "NOTEBOOKS", notebooks(markdown(HEAD), code("a", "**Question.** No.")))
    assert collection.notebooks_table("there/").splitlines() == [
        "| notebook | question | time |",
        "|---|---|---|",
        "| [4. Of bits](there/04_of_bits.ipynb) | How many? | 5 seconds |",
    ]


@pytest.mark.parametrize(
    ("missing", "message"),
    [("# 4. Of bits", "a title"), ("**Question.** ", "a question"), ("*Time on two CPU cores:*", "a time")],
    ids=["title", "question", "time"],
)
def test_a_first_cell_that_lacks_a_part(notebooks, monkeypatch, missing, message):
    monkeypatch.setattr(collection, "NOTEBOOKS", notebooks(markdown(HEAD.replace(missing, ""))))
    with pytest.raises(ValueError, match=f"^04_of_bits.ipynb: the first cell must have {message}"):
        collection.notebooks_table()
