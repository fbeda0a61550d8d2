"""Findings: each judge alone, on evidence made by hand: what it accuses, what it lets pass, and what it says."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest

from pe_lib.conventions import CONVENTIONS, Convention
from pe_lib.identify import findings as judges
from pe_lib.identify.answer import Answer
from pe_lib.identify.evidence import DtypeAnswers, Evidence, Limit, OptionAnswers
from pe_lib.identify.findings import FINDINGS, FIXES, MISREADINGS, Finding, findings_in
from pe_lib.identify.rounding import ROUNDINGS, rows_of
from pe_lib.sinusoidal import misread, sinusoidal


def table(n, d_model=16, base=10_000.0, **options):
    return sinusoidal(np.arange(n), d_model, base, **options)


RIGHT = Evidence(table(40))
ERROR = Answer(error=KeyError("no"))


def evidence_of(rows, **fields):
    return Evidence(rows, **fields)


def answers(n, **options):
    return Answer(table(n, **options))


def option(plain=None, same=None, fresh=None):
    """Of an encoding that takes a base and uses it, but for what is said."""
    plain, same, fresh = plain or answers(37), same or answers(37, base=777.0), fresh or answers(41, base=777.0)
    return replace(RIGHT, options=(OptionAnswers("theta", 777.0, plain, same, fresh),))


def dtypes(first=None, after=None, fresh=None):
    """Of an encoding that is as precise as it is asked to be, but for what is said."""
    answer = DtypeAnswers("low", "high", first or answers(43), after or answers(43), fresh or answers(47))
    return replace(RIGHT, dtypes=answer)


def off_by(error):
    return Answer(table(43) + error)


def width(*asked):
    return replace(RIGHT, widths=asked)


def lengths(short, long):
    return replace(RIGHT, short=short, long=long)


def overwritten(long, after):
    return replace(RIGHT, long=long, overwritten=after)


@dataclass(frozen=True)
class Accused:
    """Evidence that a judge accuses: the names of its findings, and words of the first."""

    judge: Callable
    evidence: Evidence
    names: str
    words: str


NAN = np.where(np.arange(40)[:, None] == 9, np.nan, table(40))
LEAVES = np.where(np.arange(400)[:, None] < 300, table(400), 1.0)
INFINITE = Answer(np.full((17, 4), np.inf))
INFINITE_5, INFINITE_7 = Answer(np.full((17, 5), np.inf)), Answer(np.full((17, 7), np.inf))
LIMIT = Limit(600, 601, RuntimeError("no row " + "x" * 300))
READ = {name: misread(np.arange(40), 16, reading=name) for name in ("column", "doubled", "unpaired")}
COLUMN_500 = misread(np.arange(40), 16, 500.0, reading="column")
UNPAIRED_500 = misread(np.arange(40), 16, 500.0, reading="unpaired")

ACCUSED = {
    "limit": Accused(judges.length_limit, replace(RIGHT, limit=LIMIT), "length_limit", "it fails beyond 600 tokens"),
    "limit, error": Accused(
        judges.length_limit, replace(RIGHT, limit=LIMIT), "length_limit", "at 601 tokens: RuntimeError: no row xxx"
    ),
    "NaN": Accused(judges.not_finite, evidence_of(NAN), "not_finite", "the first in row 9, column 0"),
    "column": Accused(
        judges.misread, evidence_of(READ["column"]), "column", "with base 10000, from position 0 on, that gives"
    ),
    "unpaired": Accused(judges.misread, evidence_of(READ["unpaired"]), "unpaired", "column j has the exponent j/d"),
    "column, other base": Accused(judges.misread, evidence_of(COLUMN_500), "unpaired", "or, with base about 493"),
    "unpaired, other base": Accused(judges.misread, evidence_of(UNPAIRED_500), "unpaired", "or, with base about 2"),
    "unknown": Accused(
        judges.unknown, evidence_of(np.eye(40)), "unknown", "40 rows of 40 columns: learned or unknown"
    ),
    "doubled": Accused(judges.doubled, evidence_of(READ["doubled"]), "doubled", "these values is 1e+08 = 10000**2"),
    "precedence": Accused(judges.precedence, evidence_of(table(40, base=np.e**8)), "precedence", "exp(-1.0000)"),
    "precedence, 2": Accused(judges.precedence, evidence_of(table(40, 6, np.e**6)), "precedence", "exp(-2.0000)"),
    "from 1": Accused(judges.offset, evidence_of(table(40, offset=1)), "offset", "row 0 holds position 1"),
    "from -1": Accused(judges.offset, evidence_of(table(40, offset=-1)), "offset", "row r holds position -1 + 1 r"),
    "step": Accused(judges.step, evidence_of(sinusoidal(2 * np.arange(40), 16)), "step", "are multiplied by 2"),
    "leaves": Accused(
        judges.precision, evidence_of(LEAVES), "departs", "from position 300 on rows leave the convention"
    ),
    "leaves far": Accused(
        judges.precision, replace(RIGHT, far=Answer(np.ones((50, 16)))), "departs", "from position 129024 on"
    ),
    "option": Accused(
        judges.option_without_effect,
        option(same=answers(37), fresh=answers(41)),
        "ignored",
        "37 tokens without and then with theta=777 give the same rows",
    ),
    "option in cache": Accused(
        judges.option_without_effect,
        option(same=answers(37)),
        "cache",
        "41 tokens, not asked for before, with theta=777 give others",
    ),
    "dtype": Accused(
        judges.dtype_in_cache, dtypes(after=off_by(0.01)), "cache", "in low one in high is off by up to 0.01"
    ),
    "dtype, NaN": Accused(judges.dtype_in_cache, dtypes(after=off_by(np.nan)), "cache", "off by up to nan"),
    "odd crash": Accused(judges.width_not_made, width((17, ERROR)), "odd_width", "width 17 crashes"),
    "small crash": Accused(judges.width_not_made, width((4, ERROR)), "small_width", "KeyError: 'no'"),
    "small NaN": Accused(judges.width_not_made, width((4, INFINITE)), "small_width", "width 4 gives NaN or infinite"),
    "small odd NaN": Accused(judges.width_not_made, width((5, INFINITE_5)), "small_width", "width 5 gives NaN"),
    "odd NaN": Accused(judges.width_not_made, width((7, INFINITE_7)), "odd_width", "width 7 gives NaN"),
    "wider": Accused(judges.width_not_made, width((15, answers(17))), "odd_width", "width 15 gives 16 columns"),
    "first of each": Accused(
        judges.width_not_made,
        width((2, ERROR), (3, ERROR), (4, INFINITE), (17, ERROR)),
        "small_width odd_width",
        "width 2 crashes",
    ),
    "batch": Accused(
        judges.batch_axis, replace(RIGHT, encodes_batch=True), "batch_axis", "zeros of 3 sequences: rows differ"
    ),
    "input": Accused(
        judges.input_changed, replace(RIGHT, input_after=answers(31)), "input_changed", "zeros were not zero"
    ),
    "length": Accused(
        judges.depends_on_length,
        lengths(answers(12), answers(31, offset=1)),
        "depends_on_length",
        "12 rows differ from the first 12 of 31 by up to",
    ),
    "length, another width": Accused(
        judges.depends_on_length, lengths(answers(12), Answer(table(31, 8))), "depends_on_length", "by up to inf"
    ),
    "option changes the width": Accused(
        judges.option_without_effect, option(same=answers(37), fresh=Answer(table(41, 8))), "cache", "give others"
    ),
    "dtype changes the width": Accused(
        judges.dtype_in_cache, dtypes(after=Answer(table(43, 8))), "cache", "off by up to inf"
    ),
    "store": Accused(
        judges.shared_state, overwritten(answers(31), Answer(np.full((31, 16), 7.0))), "shared_state", "own store"
    ),
}


@pytest.mark.parametrize("case", ACCUSED)
def test_what_is_accused(case):
    accused = ACCUSED[case]
    findings = list(accused.judge(accused.evidence))
    assert " ".join(finding.name for finding in findings) == accused.names
    assert accused.words in str(findings[0])
    assert set(accused.names.split()) <= {finding.name for finding in findings_in(accused.evidence)}


def test_every_judge_and_every_fix_has_a_case():
    assert {accused.judge for accused in ACCUSED.values()} | {judges.log_space} == set(FINDINGS)
    names = {name for accused in ACCUSED.values() for name in accused.names.split()}
    assert names | {"swapped", "multiplied", "precision", "log_space"} == set(FIXES)
    assert set(MISREADINGS) < set(FIXES)


def test_long_errors_are_cut():
    (finding,) = judges.length_limit(replace(RIGHT, limit=LIMIT))
    assert len(finding.evidence) == len("at 601 tokens: RuntimeError: ") + 200


REFUSAL = Answer(error=ValueError("odd"))
PASSED = {
    "nothing": (None, RIGHT),
    "from 2": (judges.offset, evidence_of(table(40, offset=2))),
    "backwards": (judges.offset, evidence_of(sinusoidal(1 - np.arange(40), 16))),
    "step of -1": (judges.step, evidence_of(sinusoidal(-np.arange(40.0), 16))),
    "another base": (judges.doubled, evidence_of(table(40, base=5e7))),
    "the base squared was meant": (judges.doubled, evidence_of(READ["doubled"], base=1e8)),
    "squared in tensor2tensor": (
        judges.doubled,
        evidence_of(table(40, base=81.0, schedule="tensor2tensor"), base=9.0),
    ),
    "two pairs": (judges.doubled, evidence_of(table(40, 4, 1e8))),
    "neighbours of ratio e**-3": (judges.precedence, evidence_of(table(40, 16, np.e**24))),
    "neighbours near e**-1": (judges.precedence, evidence_of(table(40, 16, np.e**8.02))),
    "two pairs of ratio e**-2": (judges.precedence, evidence_of(table(40, 4, np.e**4))),
    "another base, measured": (judges.precision, evidence_of(table(400, base=9_000.0))),
    "a row of zeros": (judges.precision, evidence_of(np.where(np.arange(400)[:, None] == 300, 0.0, table(400)))),
    "entries rounded": (judges.precision, evidence_of(table(400).astype(np.float16).astype(float), tolerance=1e-6)),
    "far rows of another width": (judges.precision, replace(RIGHT, far=Answer(np.ones((50, 15))))),
    "option that makes another width": (judges.option_without_effect, option(same=Answer(table(37, 8)))),
    "far rows refused": (judges.precision, replace(RIGHT, far=ERROR)),
    "option used": (judges.option_without_effect, option()),
    "option refused": (judges.option_without_effect, option(same=ERROR)),
    "option refused later": (judges.option_without_effect, option(same=answers(37), fresh=ERROR)),
    "option of an encoding that is limited": (judges.option_without_effect, option(plain=ERROR)),
    "dtypes kept apart": (judges.dtype_in_cache, dtypes()),
    "low precision alone": (judges.dtype_in_cache, dtypes(first=Answer(table(43) + 1))),
    "dtype rounded": (judges.dtype_in_cache, dtypes(after=off_by(9e-5))),
    "low refused": (judges.dtype_in_cache, dtypes(first=ERROR, after=off_by(1))),
    "high refused": (judges.dtype_in_cache, dtypes(after=ERROR)),
    "fresh refused": (judges.dtype_in_cache, dtypes(after=off_by(1), fresh=ERROR)),
    "widths made": (judges.width_not_made, width((16, answers(17)))),
    "widths refused": (judges.width_not_made, width((17, REFUSAL), (3, Answer(error=TypeError())))),
    "width asserted": (judges.width_not_made, width((17, Answer(error=AssertionError())))),
    "input kept": (judges.input_changed, replace(RIGHT, input_after=Answer(np.zeros((3, 31, 16))))),
    "input refused": (judges.input_changed, replace(RIGHT, input_after=ERROR)),
    "lengths alike": (judges.depends_on_length, lengths(answers(12), Answer(table(31) + 1e-7))),
    "limited to 23": (judges.depends_on_length, lengths(answers(12), ERROR)),
    "copies": (judges.shared_state, overwritten(answers(31), answers(31))),
    "nothing to overwrite": (judges.shared_state, overwritten(answers(31), None)),
    "not asked again": (judges.shared_state, overwritten(answers(31), ERROR)),
}


@pytest.mark.parametrize("case", PASSED)
def test_what_passes(case):
    judge, evidence = PASSED[case]
    findings = list(judge(evidence)) if judge else findings_in(evidence)
    assert findings == []


def test_values_that_are_not_finite_are_judged_no_further():
    assert [finding.name for finding in findings_in(evidence_of(NAN))] == ["not_finite"]


def test_a_misreading_is_judged_no_further():
    """Its offset and its later rows are those of no convention."""
    rows = misread(np.arange(1, 41), 16, reading="column")
    assert [finding.name for finding in findings_in(evidence_of(rows))] == ["column"]


def test_a_grid_is_right():
    assert findings_in(evidence_of(CONVENTIONS["mae"].table((6, 7), 32))) == []


@pytest.mark.slow
@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_roundings_are_named(rounding):
    n = 30_000 if "float32" in rounding else 3_000
    rows = rows_of(Convention(), np.arange(n), 32, ROUNDINGS[rounding])
    finding = next(judges.precision(evidence_of(rows, tolerance=3e-4)))
    assert finding.name == "precision" and finding.says.startswith(f"{rounding}: from position ")
    assert "that rounding, done here, comes within" in finding.evidence


def test_roundings_are_named_by_the_base_that_was_meant():
    """The one measured has taken up part of the rounding."""
    rounding = ROUNDINGS["frequencies in float16"]
    evidence = evidence_of(rows_of(Convention(base=500.0), np.arange(3000), 8, rounding), base=500.0)
    assert evidence.line.base != 500
    assert next(judges.precision(evidence)).says.startswith("frequencies in float16: from position ")


def test_positions_are_those_of_the_table():
    """Row 0 holds position 5: what is named is the position, not the row."""
    rows = rows_of(Convention(offset=5.0), np.arange(600), 16, ROUNDINGS["positions in bfloat16"])
    assert "from position 257 on" in next(judges.precision(evidence_of(rows))).says


@pytest.mark.slow
def test_errors_of_float32_angles_need_not_be_made_again():
    """Twice the rounding of float32, at random: too little for anything else."""
    pos = np.arange(24_000)
    rows = sinusoidal(pos * (1 + 2e-7 * np.sin(pos**2)), 16)
    finding = next(judges.precision(evidence_of(rows)))
    assert finding.says.startswith("angles in float32") and "done here" not in finding.evidence
    more = sinusoidal(pos * (1 + 4e-7 * np.sin(pos**2)), 16)
    assert next(judges.precision(evidence_of(more))).name == "departs"


def float32(rows):
    return rows.astype(np.float32).astype(float)


def logarithmic(n, d_model, base=10_000.0):
    """All in float32, the frequencies by way of the logarithm."""
    i = np.arange(d_model // 2, dtype=np.float32)
    omega = np.exp(2 * i * np.float32(-np.log(base) / d_model))
    angle = np.outer(np.arange(n, dtype=np.float32), omega).astype(float)
    return float32(np.stack([np.sin(angle), np.cos(angle)], axis=-1).reshape(n, -1))


def test_log_space():
    (finding,) = judges.log_space(evidence_of(logarithmic(1200, 64)))
    assert finding.name == "log_space" and "to the power in float32" in finding.evidence
    few, odd, backwards = logarithmic(999, 64), logarithmic(1200, 64)[:, :63], logarithmic(1200, 64)[::-1]
    for rows in (float32(table(1200, 64)), few, odd, backwards):
        assert list(judges.log_space(evidence_of(rows))) == []
    assert list(judges.log_space(RIGHT)) == []


def test_a_finding_in_words():
    finding = Finding("ignored", "theta changes nothing", "the same rows")
    assert str(finding) == "ignored: theta changes nothing\n  evidence: the same rows\n  fix: use it, or take it away"
