"""The formula: against 50-digit arithmetic, its own symmetries, and bad input."""

import math
from fractions import Fraction
from inspect import signature

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pe_lib.sinusoidal import (
    BLOCK,
    FEW,
    LAYOUTS,
    ODD,
    READINGS,
    SCHEDULES,
    column_order,
    frequencies,
    kernel,
    misread,
    misread_frequencies,
    sinusoidal,
)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("d_model", [2, 6, 64, 512])
@pytest.mark.parametrize("base", [10_000.0, 500_000.0, 9.5])
def test_against_50_digits(rng, d_model, base, schedule):
    pos = np.r_[rng.uniform(-1e6, 1e6, 4), 1e6, -999_999, 0.5, 1]
    i = rng.integers(0, d_model // 2, len(pos))  # one pair for each position
    got = sinusoidal(pos, d_model, base, schedule=schedule)
    with mpmath.workdps(50):
        steps = d_model // 2 if schedule == "paper" else max(d_model // 2 - 1, 1)
        for row, (p, pair) in enumerate(zip(pos, i, strict=True)):
            angle = mpmath.mpf(p) * mpmath.mpf(base) ** (-mpmath.mpf(int(pair)) / steps)
            assert abs(got[row, 2 * pair] - float(mpmath.sin(angle))) < 1e-9
            assert abs(got[row, 2 * pair + 1] - float(mpmath.cos(angle))) < 1e-9


def test_by_hand():
    """The three entries that readers trip over: column 0, column 2 (i = 1), column 5 (i = 2)."""
    row = sinusoidal(7, 512)
    assert row[0] == np.sin(7)
    assert np.isclose(row[2], np.sin(7 / 10_000 ** (2 / 512)), rtol=0, atol=1e-12)
    assert np.isclose(row[5], np.cos(7 / 10_000 ** (4 / 512)), rtol=0, atol=1e-12)


def test_end_points():
    assert frequencies(512)[0] == frequencies(512, schedule="tensor2tensor")[0] == 1
    assert np.isclose(frequencies(512)[-1], 10_000 ** (-510 / 512), rtol=1e-14)
    assert np.isclose(frequencies(512, schedule="tensor2tensor")[-1], 1e-4, rtol=1e-14)
    assert frequencies(2, schedule="tensor2tensor").tolist() == [1.0]


@settings(max_examples=50, deadline=None)
@given(
    d_model=st.integers(1, 40).map(lambda pairs: 2 * pairs),
    base=st.floats(1.5, 1e6),
    p=st.floats(-1e5, 1e5),
    k=st.floats(-1e3, 1e3),
)
def test_norm_and_relative_dot_product(d_model, base, p, k):
    rows = sinusoidal([p, p + k, 0, (p + k) - p], d_model, base)
    assert np.isclose(rows[0] @ rows[0], d_model / 2, rtol=1e-12)
    assert np.isclose(rows[0] @ rows[1], rows[2] @ rows[3], rtol=0, atol=1e-8 * d_model)


def test_layouts_are_permutations():
    table = sinusoidal(np.arange(9), 8)
    np.testing.assert_array_equal(sinusoidal(np.arange(9), 8, layout="halves"), table[:, [0, 2, 4, 6, 1, 3, 5, 7]])
    cos_first = sinusoidal(np.arange(9), 8, layout="halves_cos_first")
    np.testing.assert_array_equal(cos_first, table[:, [1, 3, 5, 7, 0, 2, 4, 6]])


POS = np.arange(9)


@pytest.mark.parametrize(
    ("formula", "reference", "changes"),
    [
        pytest.param(frequencies, {"d_model": 8}, {"base": 9_999.0, "schedule": "tensor2tensor"}, id="frequencies"),
        pytest.param(
            sinusoidal,
            {"pos": POS, "d_model": 8},
            {
                "base": 9_999.0,
                "schedule": "tensor2tensor",
                "layout": "halves",
                "offset": 1e-3,
                "scale": 1.001,
                "pos": POS + 0.01,
            },
            id="sinusoidal",
        ),
        pytest.param(
            sinusoidal, {"pos": POS, "d_model": 7, "odd": "extra_sine"}, {"odd": "truncate"}, id="sinusoidal, odd"
        ),
        pytest.param(column_order, {"d_model": 8}, {"layout": "halves"}, id="column_order"),
        pytest.param(column_order, {"d_model": 7, "odd": "truncate"}, {"odd": "zero_column"}, id="column_order, odd"),
        pytest.param(
            kernel,
            {"distance": POS, "d_model": 8},
            {"base": 9_999.0, "schedule": "tensor2tensor", "distance": POS + 0.01},
            id="kernel",
        ),
        pytest.param(
            misread_frequencies,
            {"d_model": 8, "reading": "column"},
            {"base": 9_999.0, "reading": "unpaired"},
            id="misread_frequencies",
        ),
        pytest.param(
            misread,
            {"pos": POS, "d_model": 8, "reading": "column"},
            {"base": 9_999.0, "reading": "doubled", "pos": POS + 0.01},
            id="misread",
        ),
    ],
)
def test_every_parameter_matters(formula, reference, changes):
    expected = formula(**reference)
    for argument, value in changes.items():
        assert np.abs(formula(**reference | {argument: value}) - expected).max() > 1e-6, argument


def test_shapes():
    assert sinusoidal(3, 8).shape == (8,)
    assert sinusoidal([], 8).shape == (0, 8)
    assert sinusoidal(np.zeros((2, 3)), 8).shape == (2, 3, 8)
    assert sinusoidal(range(4), 8).dtype == np.float64
    assert np.array_equal(sinusoidal([10**30, Fraction(1, 2)], 8), sinusoidal([1e30, 0.5], 8))


# The kernel


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_kernel_is_the_dot_product(schedule, layout):
    rows = sinusoidal(np.arange(50), 20, 77.0, schedule=schedule, layout=layout)
    distance = np.arange(50)[:, None] - np.arange(50)
    expected = kernel(distance, 20, 77.0, schedule=schedule)
    np.testing.assert_allclose(rows @ rows.T, expected, atol=1e-12)


def test_kernel_at_distance_zero_and_on_both_sides():
    assert kernel(0, 12) == 6
    np.testing.assert_array_equal(kernel([-1.5, 40], 12), kernel([1.5, -40], 12))


def test_kernel_rises_where_it_is_known_to():
    """First distance at which the kernel is larger than one step before, by width."""
    for d_model, first in {16: 4, 64: 6, 128: 12, 512: 44, 4096: 245}.items():
        assert 1 + np.flatnonzero(np.diff(kernel(np.arange(512), d_model)) > 0)[0] == first


# The misreadings


@pytest.mark.parametrize("d_model", [2, 8, 30])
def test_misreadings_are_the_loops_they_come_from(d_model):
    expected = {reading: np.empty((5, d_model)) for reading in READINGS}
    for p in range(5):
        for j in range(d_model):
            wave = np.cos if j % 2 else np.sin
            expected["column"][p, j] = wave(p / 10_000 ** (2 * j / d_model))
            expected["unpaired"][p, j] = wave(p / 10_000 ** (j / d_model))
        for i in range(0, d_model, 2):
            expected["doubled"][p, i] = np.sin(p / 10_000 ** (2 * i / d_model))
            expected["doubled"][p, i + 1] = np.cos(p / 10_000 ** (2 * i / d_model))
    for reading in READINGS:
        np.testing.assert_allclose(misread(range(5), d_model, reading=reading), expected[reading], atol=1e-12)


def test_longest_waves_of_the_misreadings():
    """At d_model = 64, worked out from the end points of the exponents: 2 - 2/64, 2 - 4/64 and 1 - 1/64."""
    longest = {reading: 2 * np.pi / misread_frequencies(64, reading=reading).min() for reading in READINGS}
    assert longest == pytest.approx({"column": 4.7e8, "doubled": 3.5e8, "unpaired": 5.4e4}, rel=0.01)


# Bad input


BAD = [
    ("d_model", 7, ValueError, "d_model must be an even number >= 2, got 7"),
    ("d_model", 0, ValueError, "d_model must be an even number >= 2, got 0"),
    ("d_model", 8.0, TypeError, "d_model must be an even number >= 2, got 8.0 of type float"),
    ("d_model", True, TypeError, "d_model must be"),
    ("base", 1, ValueError, "base must be a finite number > 1, got 1"),
    ("base", np.inf, ValueError, "base must be a finite number > 1, got inf"),
    ("base", np.nan, ValueError, "base must be a finite number > 1, got nan"),
    ("base", "10000", TypeError, "base must be a finite number > 1, got '10000' of type str"),
    ("pos", [0, np.nan], ValueError, "pos must be finite, got nan"),
    ("pos", [np.inf], ValueError, "pos must be finite, got inf"),
    ("pos", ["1"], TypeError, "pos must hold real numbers"),
    ("pos", [1j], TypeError, "pos must hold real numbers"),
    ("pos", [True], TypeError, "pos must hold real numbers"),
    ("schedule", "Paper", ValueError, "schedule must be one of paper, tensor2tensor, got 'Paper'"),
    ("layout", None, ValueError, "layout must be one of interleaved, halves, halves_cos_first, got None"),
    ("odd", "pad", ValueError, "odd must be one of error, extra_sine, zero_column, truncate, got 'pad'"),
    ("distance", [0, np.inf], ValueError, "distance must be finite, got inf"),
    ("offset", float("nan"), ValueError, "offset must be a finite number, got nan"),
    ("scale", "1", TypeError, "scale must be a finite number, got '1' of type str"),
    ("reading", "row", ValueError, "reading must be one of column, doubled, unpaired, got 'row'"),
]


def bad_cases():
    """Every row of BAD for every formula that has the argument."""
    for formula in (frequencies, sinusoidal, column_order, kernel, misread_frequencies, misread):
        for argument, value, error, says in BAD:
            if argument in signature(formula).parameters:
                name = f"{formula.__name__}, {argument} = {value}"
                yield pytest.param(formula, argument, value, error, says, id=name)


@pytest.mark.parametrize(("formula", "argument", "value", "error", "says"), list(bad_cases()))
def test_bad_input(formula, argument, value, error, says):
    needed = {"pos": [0, 1], "distance": [0, 1], "d_model": 8, "reading": "column"}
    arguments = {name: needed[name] for name in signature(formula).parameters if name in needed} | {argument: value}
    with pytest.raises(error) as raised:
        formula(**arguments)
    assert says in str(raised.value)


# Odd widths, offset, scale


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_odd_widths(layout, schedule):
    options = {"layout": layout, "schedule": schedule}
    padded = sinusoidal(POS, 7, odd="zero_column", **options)
    np.testing.assert_array_equal(padded, np.c_[sinusoidal(POS, 6, **options), np.zeros(9)])
    cut = sinusoidal(POS, 7, odd="truncate", **options)
    np.testing.assert_array_equal(cut, sinusoidal(POS, 8, **options)[:, :7])
    omega = [10_000 ** -(2 * i / 7 if schedule == "paper" else i / 3) for i in range(4)]
    waves = {}
    for i in range(4):
        waves[f"s{i}"] = np.sin(POS * omega[i])
        waves[f"c{i}"] = np.cos(POS * omega[i])
    columns = {
        "interleaved": "s0 c0 s1 c1 s2 c2 s3",
        "halves": "s0 s1 s2 s3 c0 c1 c2",
        "halves_cos_first": "c0 c1 c2 s0 s1 s2 s3",
    }
    expected = np.stack([waves[name] for name in columns[layout].split()], axis=1)
    np.testing.assert_allclose(sinusoidal(POS, 7, odd="extra_sine", **options), expected, atol=1e-13)
    with pytest.raises(ValueError, match="d_model must be an even number >= 2, got 7"):
        sinusoidal(POS, 7, **options)


@pytest.mark.parametrize("odd", ODD)
def test_even_widths_do_not_depend_on_odd(odd):
    np.testing.assert_array_equal(sinusoidal(np.arange(5), 8, odd=odd), sinusoidal(np.arange(5), 8))


def test_offset_and_scale():
    expected = 0.25 * sinusoidal(np.arange(3, 8), 6)
    np.testing.assert_array_equal(sinusoidal(np.arange(5), 6, offset=3, scale=0.25), expected)


def row_by_row(pos, *arguments, **options):
    """The table without the theorem, which takes so few rows one by one."""
    return np.concatenate(
        [sinusoidal(rows, *arguments, **options) for rows in np.array_split(pos, len(pos) // FEW + 1)]
    )


@pytest.mark.parametrize("d_model", [2, 8, 64])
def test_turned_rows_are_those_of_the_formula_at_every_position(d_model):
    for pos in np.array_split(np.arange(1_000_001), 16):
        table = sinusoidal(pos, d_model)
        assert np.abs(table - row_by_row(pos, d_model)).max() < 1e-10


@pytest.mark.parametrize("n", [FEW, FEW + 1, 1000, 100_000])
def test_sines_are_computed_for_few_rows(monkeypatch, n):
    sines, sin = [], np.sin
    monkeypatch.setattr(np, "sin", lambda angle, **out: sines.append(len(angle)) or sin(angle, **out))
    sinusoidal(np.arange(n), 2)
    block = min(BLOCK, math.isqrt(2 * n))
    assert sum(sines) == (n if n <= FEW else block + 2 * math.ceil(n / block))


@settings(max_examples=100, deadline=None)
@given(
    n=st.integers(FEW + 1, 3000),
    d_model=st.integers(2, 20),
    first=st.floats(-1e6, 1e6),
    step=st.sampled_from([1, -1, 3, 0.5, 0.1, 1e-3, -2.75]),
    schedule=st.sampled_from(SCHEDULES),
    layout=st.sampled_from(LAYOUTS),
    odd=st.sampled_from(ODD[1:]),
    dtype=st.sampled_from(["float64", np.float32]),
)
def test_turned_rows_in_every_convention(n, d_model, first, step, schedule, layout, odd, dtype):
    pos = first + step * np.arange(n)
    options = {"schedule": schedule, "layout": layout, "odd": odd, "offset": 7, "scale": 0.25, "dtype": dtype}
    table = sinusoidal(pos, d_model, 500.0, **options)
    assert table.dtype == dtype and table.flags.c_contiguous
    assert np.abs(table - row_by_row(pos, d_model, 500.0, **options)).max() < (1e-7 if dtype is np.float32 else 2e-10)


def test_float32_is_that_of_the_exact_values():
    pos = np.arange(900_000, 960_000)
    assert np.abs(sinusoidal(pos, 64, dtype=np.float32) - sinusoidal(pos, 64)).max() < 2e-7
    assert np.array_equal(sinusoidal([0.5, 9], 8, dtype="float32"), sinusoidal([0.5, 9], 8).astype(np.float32))
    assert np.isfinite(sinusoidal(pos, 8, dtype="float32", scale=1.7e38)).all()
    with pytest.raises(ValueError, match=r"^scale must be"):
        sinusoidal(pos, 8, dtype="float32", scale=3e38)


def test_column_order():
    assert column_order(6).tolist() == [0, 3, 1, 4, 2, 5]
    assert column_order(5, odd="zero_column", layout="halves_cos_first").tolist() == [2, 3, 0, 1, 4]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_rows_are_contiguous(layout):
    """`safetensors.numpy.save_file` writes the bytes of an array as they lie, in silence."""
    assert sinusoidal(np.arange(5), 8, layout=layout).flags.c_contiguous
