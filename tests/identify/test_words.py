"""The text of an identification: each sentence is there when it should be, and only then."""

from dataclasses import replace

import numpy as np
import pytest

from pe_lib.conventions import GridConvention
from pe_lib.identify.estimate import Fit
from pe_lib.identify.words import Facts, text_of_grid, text_of_line, text_of_none

FIT = Fit("interleaved", "error", 10_000.0, 0.0, 1.0, 1.0, noise=1e-6, rms=0.0, measured=10_000.0)
OTHER = replace(FIT, schedule="tensor2tensor", base=3162.0)
WORSE = replace(OTHER, base=3162.2776)
NO_ROW = np.array([], int)


def facts(fit=FIT, *, n_row=30, d_model=16, one_pair=False, error=0.0, worst=4, zeros=NO_ROW, others=(), **changed):
    fit = replace(fit, **changed)
    return Facts(n_row, d_model, fit, one_pair, error, worst, zeros, [fit, *others])


def lines(*arguments, **fields):
    return text_of_line(facts(*arguments, **fields)).split("\n  ")


def test_the_shortest_text():
    assert lines(base=500.0) == [
        "30 rows of 16 columns: sinusoidal, layout interleaved, schedule paper, base 500",
        "row 0 is position 0",
        "largest difference: less than 1e-12",
    ]


@pytest.mark.parametrize(
    "fields, sentence",
    [
        pytest.param({"offset": 2.5}, "row 0 is position 2.5", id="position"),
        pytest.param({"step": -1.0}, "row 0 is position 0, from row to row the position changes by -1", id="step"),
        pytest.param({"scale": 3.0}, "all entries are multiplied by 3", id="scale"),
        pytest.param({"scale": 0.25}, "all entries are multiplied by 0.25 = d_model**-0.5", id="scale by width"),
        pytest.param({"d_model": 9, "odd": "truncate"}, "the odd width is made by truncate", id="odd width"),
        pytest.param(
            {"zeros": np.array([7, 9])}, "left out: 2 rows of zeros, the first is row 7", id="rows of zeros"
        ),
        pytest.param({"error": 2e-3}, "largest difference: 2.0e-03, in row 4", id="difference"),
        pytest.param(
            {"doubt": 0.05, "measured": 512.3},
            "the base is measured as 512.3, give or take 5.0%",
            id="measured base",
        ),
        pytest.param(
            {"one_pair": True, "d_model": 2},
            "one pair turns by 1 radian a token whatever base and schedule are",
            id="one pair",
        ),
        pytest.param(
            {"one_pair": True, "d_model": 2},
            "30 rows of 2 columns: sinusoidal, layout interleaved, schedule any, any base",
            id="any base",
        ),
        pytest.param({"d_model": 2}, "with two columns interleaved and halves are the same", id="two columns"),
        pytest.param(
            {"others": (OTHER, WORSE)}, "the same values, as nearly: tensor2tensor with base 3162", id="schedule"
        ),
    ],
)
def test_sentences(fields, sentence):
    assert sentence in lines(**fields)
    plain = lines()
    assert sentence not in plain


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"doubt": 1e-4}, id="the base is sure"),
        pytest.param({"one_pair": True, "doubt": 0.5}, id="there is no base"),
    ],
)
def test_no_measured_base(fields):
    assert not any("is measured as" in line for line in lines(**fields))


def test_of_one_pair_no_other_schedule_is_told():
    text = lines(one_pair=True, d_model=2, others=(OTHER,))
    assert not any("as nearly" in line or "as in" in line for line in text)


def test_each_other_schedule_is_told_once():
    text = lines(others=(replace(FIT, base=9999.0), OTHER, WORSE))
    assert [line for line in text if "as nearly" in line] == [
        "the same values, as nearly: tensor2tensor with base 3162"
    ]


def test_two_columns_in_halves():
    assert not any("two columns" in line for line in lines(d_model=2, layout="halves"))


def test_well_known_code():
    assert lines(layout="halves")[-1].startswith("as in: ") and "marian" in lines(layout="halves")[-1]
    assert lines(layout="halves", offset=77.0)[-1].startswith("as in, but for row 0: ")
    for changed in ({"base": 500.0}, {"step": 2.0}, {"scale": 3.0}):
        assert not any("as in" in line for line in lines(layout="halves", **changed))


def test_well_known_code_of_odd_widths():
    """Marian makes an odd width by one sine more."""
    assert "marian" in lines(layout="halves", d_model=9, odd="extra_sine")[-1]
    assert "marian" not in lines(layout="halves", d_model=9, odd="truncate")[-1]


def test_a_grid():
    known = text_of_grid((4, 5), 16, GridConvention(), "paper", 0.0).split("\n  ")
    assert known[0] == (
        "20 rows of 16 columns: sinusoidal, a grid of 4 x 5 cells, blocks sin w, cos w, sin h, cos h, "
        "schedule paper, base 10000"
    )
    assert known[1] == "largest difference: less than 1e-12" and known[2].startswith("as in: ")
    unknown = text_of_grid((4, 5), 16, GridConvention(base=77.0), "any", 2e-9).split("\n  ")
    assert unknown[1:] == ["largest difference: 2.0e-09"] and "schedule any, base 77" in unknown[0]


def test_none():
    text = text_of_none(3, 4, "learned or unknown", ["halves: no", "interleaved: no"])
    assert text == "3 rows of 4 columns: learned or unknown\n  halves: no\n  interleaved: no"
