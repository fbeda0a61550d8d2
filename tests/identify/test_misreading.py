"""Misreadings: each is known with the base that is meant and with another, and never taken for a convention."""

import numpy as np
import pytest

from pe_lib.identify.identification import Identification
from pe_lib.identify.misreading import Misreading, explanation
from pe_lib.sinusoidal import frequencies, misread, sinusoidal


def column(pos, d_model, base=10_000.0):
    return misread(pos, d_model, base, reading="column")


def unpaired(pos, d_model, base=10_000.0):
    return misread(pos, d_model, base, reading="unpaired")


def multiplied(pos, d_model, base=10_000.0):
    angle = np.outer(pos, 1 / frequencies(d_model, base))
    return np.stack([np.sin(angle), np.cos(angle)], axis=-1).reshape(len(pos), -1)


def swapped(pos, d_model, base=10_000.0):
    return sinusoidal(pos, d_model, base).reshape(len(pos), -1, 2)[:, :, ::-1].reshape(len(pos), -1)


WRONG = (column, unpaired, multiplied, swapped)


@pytest.mark.parametrize("offset", [0, 1])
@pytest.mark.parametrize("wrong", WRONG)
def test_with_the_base_that_is_meant(wrong, offset):
    made_by = explanation(0.3 * wrong(np.arange(offset, offset + 64), 16, 500.0), 500.0)
    assert isinstance(made_by, Misreading) and made_by.is_intended
    assert (made_by.name, made_by.base, made_by.offset) == (wrong.__name__, 500, offset) and made_by.error < 1e-9


def test_with_another_base():
    made_by = explanation(swapped(np.arange(64), 16, 700.0), 10_000.0)
    assert (made_by.name, made_by.is_intended) == ("swapped", False) and made_by.base == pytest.approx(700, rel=0.06)


@pytest.mark.parametrize("rows", [256, 100, 30])
def test_a_convention_is_no_misreading(rows):
    made_by = explanation(sinusoidal(np.arange(rows), 16), 500.0)
    assert isinstance(made_by, Identification) and made_by.base == 10_000


def test_noise_is_no_misreading(rng):
    """A convention that is known ill is not a misreading that fits as ill."""
    table = sinusoidal(np.arange(64), 16) + 0.01 * rng.normal(size=(64, 16))
    assert isinstance(explanation(table, 10_000.0), Identification)
    made_by = explanation(rng.normal(size=(64, 16)), 10_000.0)
    assert isinstance(made_by, Identification) and made_by.layout is None


def test_a_misreading_in_noise(rng):
    """It must fit to a tenth."""
    noise = rng.normal(size=(64, 16))
    assert explanation(column(np.arange(64), 16) + 0.02 * noise, 10_000.0).name == "column"
    assert isinstance(explanation(column(np.arange(64), 16) + 0.15 * noise, 10_000.0), Identification)


def test_the_longest_prefix_that_is_precise():
    """Positions go wrong from row 100 on: 64 rows are named, and what comes later is left to others."""
    pos = np.arange(300.0)
    pos[100:] *= 1.5
    made_by = explanation(sinusoidal(pos, 16), 10_000.0)
    assert (made_by.layout, made_by.base) == ("interleaved", 10_000) and made_by.text.startswith("64 rows")


def test_first_rows_with_wrong_angles():
    pos = np.arange(300.0)
    made_by = explanation(sinusoidal(pos + 0.02 * np.sin(pos), 16), 10_000.0)
    assert made_by.layout == "interleaved" and made_by.text.startswith("24 rows")


@pytest.mark.parametrize(
    "table",
    [
        pytest.param(np.zeros((30, 16)), id="zeros"),
        pytest.param(column(np.arange(3), 16), id="three rows"),
        pytest.param(column(np.arange(30), 16)[:, :3], id="three columns"),
    ],
)
def test_too_little_to_tell(table):
    made_by = explanation(table, 10_000.0)
    assert isinstance(made_by, Identification) and made_by.layout is None


def test_four_rows_and_four_columns_tell():
    assert explanation(column(np.arange(4), 8), 10_000.0).name == "column"
    assert explanation(column(np.arange(64), 4), 10_000.0).name == "column"
