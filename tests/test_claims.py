"""The ledger and its tables; that the verdicts are right is for test_verdicts.py."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from pe_lib import DATA, claims
from pe_lib.claims import Verdict

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


def test_only_what_a_person_must_say_is_typed():
    assert list(pd.read_csv(DATA / "claims.csv").columns) == ["id", "claim", "who", "status", "scope"]


def test_the_ledger_holds_text_only(tmp_path, monkeypatch):
    (tmp_path / "claims.csv").write_text("id,claim,who,status,scope\nlong,12,NA,false,\n")
    monkeypatch.setattr(claims, "DATA", tmp_path)
    assert list(claims.ledger().loc["long"]) == ["12", "NA", "false", "", "", "", ""]


def test_the_ledger_says_where_a_claim_is_tried():
    row = claims.ledger().loc["smooth"]
    assert (row.notebook, row.cell) == ("06_claims_on_trial", "smooth") and row.number.startswith("neighbours have")


def test_the_ledger_without_notebooks(tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "NOTEBOOKS", tmp_path / "none")
    ledger = claims.ledger()
    assert ledger.status["norm"] == "proved"
    assert (ledger[["number", "notebook", "cell"]] == "").all(axis=None)


def test_verdict_names_what_it_does_not_know():
    with pytest.raises(ValueError, match="claim must be one of dimension, "):
        claims.verdict("none", "false", True, "7")
    with pytest.raises(ValueError, match="status must be one of proved, "):
        claims.verdict("norm", "maybe", True, "7")


@pytest.mark.parametrize("evidence", [float("nan"), "False", [False], 1, None, np.array([True]), iter([])])
def test_evidence_is_true_or_false(evidence, capsys):
    with pytest.raises(TypeError, match=r"^evidence must be True or False, got"):
        claims.verdict("norm", "proved", evidence, "7")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("number", [None, 7.0, "", " ", "two\nlines"])
def test_the_number_that_decides_is_said(number):
    with pytest.raises(ValueError, match=r"^number must be the number that decides"):
        claims.verdict("norm", "proved", True, number)


def test_a_verdict(capsys):
    claims.verdict("norm", "proved", np.bool_(True), "7 of 9")
    said = capsys.readouterr().out.splitlines()
    assert said == ['"the sinusoid has norm sqrt(d/2) at every position"', "verdict on norm: proved. 7 of 9"]
    with pytest.raises(AssertionError, match=r"the evidence that 'norm' is proved does not hold: 7"):
        claims.verdict("norm", "proved", np.bool_(False), "7")
    with pytest.raises(AssertionError, match=r"'norm' is false here, but proved in data/claims.csv"):
        claims.verdict("norm", "false", True, "7")


def test_a_verdict_that_these_parameters_speak_against_says_why(capsys):
    claims.verdict("norm", "proved", True, "7", otherwise="few columns")
    claims.verdict("norm", "proved", False, "7", otherwise="few columns")
    _, holds, _, excused = capsys.readouterr().out.splitlines()
    assert holds == "verdict on norm: proved. 7"
    assert excused == "verdict on norm: proved. 7; otherwise here: few columns"
    with pytest.raises(AssertionError, match="'norm' is false here, but proved"):
        claims.verdict("norm", "false", False, "7", otherwise="few columns")


def test_verdicts_of_a_notebook(notebooks):
    folder = notebooks(
        markdown('verdict("prose", "false", True, "7")\nverdict on prose: false. 7'),
        code("first", 'x = 1\nverdict("here", "a choice", x == 1, f"{x}.5")', "x\nverdict on here: a choice. 1.5\n"),
        code(
            "loop", "for claim in claims: verdict(claim, *known)", "verdict on a: false. 1\nverdict on b: proved. 2\n"
        ),
        code("new", 'verdict("unseen", "false", True, "7")'),
    )
    assert claims.verdicts(folder) == [
        Verdict("here", "a choice", "1.5", "04_of_bits", "first"),
        Verdict("a", "false", "1", "04_of_bits", "loop"),
        Verdict("b", "proved", "2", "04_of_bits", "loop"),
        Verdict("unseen", "", "", "04_of_bits", "new"),
    ]


def test_verdicts_come_in_the_order_of_the_notebooks(notebooks):
    cell = code("first", 'verdict("a", "false", True, "7")')
    folder = notebooks(cell, name="10_b")
    notebooks(cell, name="02_a")
    assert [stored.notebook for stored in claims.verdicts(folder)] == ["02_a", "10_b"]


def test_disagreements():
    ledger = pd.DataFrame({"status": {"a": "false", "b": "proved"}})
    a, b = Verdict("a", "false", "1", "01", "x"), Verdict("b", "proved", "2", "01", "y")
    assert claims.disagreements(ledger, [a, b]) == set()
    assert claims.disagreements(ledger, [a]) == {"b"}, "not tried"
    assert claims.disagreements(ledger, [a, replace(b, status="")]) == {"b"}, "not printed"
    assert claims.disagreements(ledger, [a, replace(b, status="false")]) == {"b"}, "another status"
    excused = replace(b, number=f"2{claims.OTHERWISE}few columns")
    assert claims.disagreements(ledger, [a, excused]) == {"b"}, "its number speaks against it"
    assert claims.disagreements(ledger, [a, b, replace(a, cell="z")]) == {"a"}, "tried twice"
    assert claims.disagreements(ledger, [a, b, replace(a, claim="c")]) == {"c"}, "not in the ledger"


# Tables


def test_claims_table_has_a_row_a_claim():
    head, line, *rows = claims.claims_table("notebooks/").splitlines()
    assert head.count("|") == line.count("|") == 6 and len(rows) == len(claims.ledger())
    norm = next(row for row in rows if "norm sqrt(d/2)" in row)
    assert "| **proved** | even widths: sin^2 + cos^2 = 1 in every pair | 16.00 with 512 columns |" in norm
    assert norm.endswith("| [6](notebooks/06_claims_on_trial.ipynb) |") and "ICLR20-Great/issues/10)*" in norm


def test_claims_table_of_a_claim_that_is_not_tried(tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "NOTEBOOKS", tmp_path)
    assert "| **proved** | even widths: sin^2 + cos^2 = 1 in every pair |  |  |" in claims.claims_table()


def test_notebooks_table_is_taken_from_the_first_cells(notebooks, monkeypatch):
    monkeypatch.setattr(claims, "NOTEBOOKS", notebooks(markdown(HEAD), code("a", "**Question.** No.")))
    assert claims.notebooks_table("there/").splitlines() == [
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
    monkeypatch.setattr(claims, "NOTEBOOKS", notebooks(markdown(HEAD.replace(missing, ""))))
    with pytest.raises(ValueError, match=f"^04_of_bits.ipynb: the first cell must have {message}"):
        claims.notebooks_table()
