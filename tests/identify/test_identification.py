"""Identify: 2,000 random conventions, tables that are none, grids, and the limits of what can be known."""

import numpy as np
import pytest
import torch

from pe_lib.controls import control
from pe_lib.conventions import CONVENTIONS, Convention, GridConvention
from pe_lib.identify import identification
from pe_lib.identify.estimate import fits
from pe_lib.identify.identification import identify, identify_values
from pe_lib.identify.rounding import ROUNDINGS, rows_of
from pe_lib.sinusoidal import LAYOUTS, ODD, SCHEDULES, frequencies, misread, sinusoidal

ROUNDING = {"float64": 1e-6, "float32": 1e-5, "float16": 2e-3, "bfloat16": 1.2e-2}


def drawn(rng):
    """A convention with a window of its table, and the same as it might be stored: rounded, with noise."""
    widths = rng.integers(2, 17), rng.integers(17, 129), rng.integers(129, 400)
    d_model = int(rng.choice(widths, p=[0.4, 0.45, 0.15]))
    odd = "error" if d_model % 2 == 0 else str(rng.choice(ODD[1:]))
    base = float(rng.choice([1e4, 5e5, 9999.5, float(f"{10 ** rng.uniform(2, 7):.3g}")]))
    offset, scale = float(rng.choice([0, 1, 2, rng.integers(5000)])), float(rng.choice([1, d_model**-0.5, 7.3]))
    convention = Convention(str(rng.choice(LAYOUTS)), str(rng.choice(SCHEDULES)), base, odd, offset, scale)
    table, kind = convention.table(int(rng.integers(4, 65)), d_model), str(rng.choice(list(ROUNDING)))
    noise = float(rng.choice([0, 0, 1e-4, 1e-2]))
    stored = table + noise * scale * rng.normal(size=table.shape) * (table != 0)
    return convention, table, torch.from_numpy(stored).to(getattr(torch, kind)), ROUNDING[kind] + 5 * noise


def tally(rng, count):
    """Of ``count`` random conventions: those found, those whose values tell all fields, and of these those named.

    Found: the convention makes the table again, as nearly as it was stored.  The values tell all fields in float64,
    without noise, of more than two pairs.
    """
    identified, exact, named = 0, 0, 0
    for _ in range(count):
        convention, table, stored, tolerance = drawn(rng)
        identification = identify(stored)
        if identification.layout is not None:
            again = identification.convention.table(*table.shape)
            identified += np.abs(again - table).max() < tolerance * convention.scale
        if tolerance <= 1e-6 and table.shape[1] > 5:
            exact += 1
            named += is_named(identification, convention)
    return identified, exact, named


def is_named(identification, convention):
    if identification.layout is None:
        return False
    names = ("layout", "schedule", "offset")
    alike = all(getattr(identification, name) == getattr(convention, name) for name in names)
    numbers = [identification.base, identification.scale]
    return alike and np.allclose(numbers, [convention.base, convention.scale], rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_random_conventions(seed):
    """Right at least 99 times of 100."""
    identified, exact, named = tally(np.random.default_rng(seed), 500)
    assert identified >= 495
    assert exact > 30 and named >= 0.98 * exact


def test_some_random_conventions():
    identified, exact, named = tally(np.random.default_rng(4), 40)
    assert identified == 40 and named == exact > 2


@pytest.mark.parametrize("name", CONVENTIONS)
@pytest.mark.parametrize("d_model", [8, 64])
def test_well_known_conventions(name, d_model):
    convention = CONVENTIONS[name]
    if isinstance(convention, GridConvention):
        identified = identify(convention.table((5, 4), d_model))
        assert identified.convention == convention
    else:
        identified = identify(convention.table(40, d_model))
        for field in ("layout", "schedule", "base", "offset", "step"):
            assert getattr(identified, field) == getattr(convention, field)
    assert identified.error < 1e-9 and name in identified.text.splitlines()[-1].removeprefix("  as in: ").split(", ")


# Tables that no convention makes: functions of (rows, columns, random numbers)


def normal(n, d_model, rng):
    return rng.normal(size=(n, d_model))


def signs(n, d_model, rng):
    return rng.choice([-1.0, 1.0], (n, d_model))


def learned(n, d_model, rng):
    return 0.02 * rng.normal(size=(n, d_model))


def walk(n, d_model, rng):
    return np.cumsum(rng.normal(size=(n, d_model)), axis=0)


def shuffled(n, d_model, rng):
    order = rng.permutation(n)
    while np.all(np.diff(order) == 1) or np.all(np.diff(order) == -1):
        order = rng.permutation(n)
    return sinusoidal(order, d_model)


def one_hot(n, d_model, rng):
    return np.eye(n, d_model)


def cosines(n, d_model, rng):
    return np.cos(np.pi * np.outer(np.arange(n) + 0.5, np.arange(d_model)) / n)


def circles(angle):
    return np.stack([np.sin(angle), np.cos(angle)], axis=-1).reshape(len(angle), -1)


def any_circles(n, d_model, rng):
    return circles(np.outer(np.arange(n), rng.uniform(0.2, 3, d_model // 2)))


def any_phases(n, d_model, rng):
    return circles(np.outer(np.arange(n), frequencies(d_model)) + rng.uniform(0, 6, d_model // 2))


def column(n, d_model, rng):
    return misread(np.arange(n), d_model, reading="column")


def unpaired(n, d_model, rng):
    return misread(np.arange(n), d_model, reading="unpaired")


def divided(n, d_model, rng):
    return control("divided", n, d_model, n, rng)


NONE = (normal, signs, learned, walk, shuffled, one_hot, cosines, any_circles, any_phases, column, unpaired, divided)


@pytest.mark.parametrize("count", [6, pytest.param(40, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", NONE)
def test_no_false_name(kind, count):
    rng = np.random.default_rng(0)
    for _ in range(count):
        n, d_model = int(rng.integers(5, 65)), 2 * int(rng.integers(3, 40))
        identified = identify(kind(n, d_model, rng))
        assert identified.layout is None and "learned or unknown" in identified.text, f"{n} x {d_model}: {identified}"


@pytest.mark.slow
def test_a_trained_table_is_not_named():
    from pe_lib.tasks import Reverse
    from pe_lib.training import fit, model_for

    model = model_for(Reverse(), "learned:std=0.1", 0)
    fit(model, Reverse(), np.random.default_rng(0), steps=100, batch=32, lr=5e-3, eval_every=100)
    assert identify(model.encoding.table).layout is None


@pytest.mark.parametrize("base", [2.5, 9999.5, 123456.789, 5e8])
def test_the_base_is_measured(base):
    assert identify(sinusoidal(np.arange(50), 64, base)).base == pytest.approx(base, rel=1e-9)


def test_everything_at_once():
    convention = Convention(
        "halves_cos_first", "tensor2tensor", 500_000.0, "zero_column", 31_416.0, 0.0442, step=-1.0
    )
    identified = identify(convention.table(60, 129))
    assert identified.convention == convention and identified.error < 1e-9
    assert identify(-sinusoidal(np.arange(30), 16)).scale == -1
    half = identify(sinusoidal(0.5 * np.arange(40), 32))
    assert (half.step, half.offset, half.base) == (0.5, 0, 10_000)


def test_far_offsets_round_scales_and_grids():
    assert identify(sinusoidal(np.arange(500_000, 500_050), 64)).offset == 500_000
    assert identify((0.3 * sinusoidal(np.arange(50), 64)).astype(np.float32)).scale == 0.3
    assert identify(1e-200 * sinusoidal(np.arange(30), 16)).scale == pytest.approx(1e-200)
    assert identify(1e200 * sinusoidal(np.arange(30), 16)).base == 10_000
    grid = CONVENTIONS["mae"].table((5, 4), 16)
    grid[-1] += 0.3
    assert identify(grid).layout is None
    assert identify(0.1 + sinusoidal(np.arange(30), 64)).layout is None  # and no error about a base


def test_rows_of_zeros_are_left_out():
    table = CONVENTIONS["fairseq"].table(30, 16)
    whole = np.concatenate([sinusoidal([0, 1], 16, schedule="tensor2tensor", layout="halves"), table])
    whole[1] = 0  # the padding token
    identified = identify(whole)
    assert (identified.offset, identified.schedule, identified.layout) == (0, "tensor2tensor", "halves")
    assert "left out: 1 rows of zeros, the first is row 1" in identified.text


def test_all_rows_must_be_made_again(rng):
    table = sinusoidal(np.arange(1500), 16)
    table[1100:] = rng.normal(size=(400, 16))
    identified = identify(table)
    assert identified.layout is None and "the first 1024 rows are a sinusoid, but not row 11" in identified.text


def test_what_cannot_be_known():
    assert "cannot be known" in identify(sinusoidal([3], 16)).text
    assert "cannot be known" in identify(sinusoidal([3, 4], 16)).text
    assert "cannot be known" in identify(np.ones((9, 1))).text
    assert "all rows are the same" in identify(np.ones((9, 4))).text
    one_pair = identify(sinusoidal(np.arange(9), 2, 500.0))
    assert (one_pair.layout, one_pair.base, one_pair.schedule) == ("interleaved", None, None)
    assert "whatever base and schedule are" in one_pair.text
    alike = identify(sinusoidal(np.arange(9), 8, 3000.0))
    assert "the same values, as nearly: tensor2tensor with base" in alike.text


def test_axes_of_length_one_and_dtypes():
    table = sinusoidal(np.arange(20), 8)
    half = table.astype(np.float16)
    for stored in (table[None], table[:, None], torch.from_numpy(table).bfloat16()[None], half):
        assert identify(stored).layout == "interleaved"
    parameter = torch.nn.Parameter(torch.from_numpy(table))
    assert identify(parameter).base == 10_000


@pytest.mark.parametrize(
    "table, error, says",
    [
        pytest.param(
            np.ones((2, 3, 4)), ValueError, r"table must be \(positions, columns\), neither empty", id="axes"
        ),
        pytest.param(np.ones((0, 4)), ValueError, "neither empty", id="empty"),
        pytest.param(np.full((5, 4), np.nan), ValueError, "table must be finite", id="NaN"),
        pytest.param([["a"]], TypeError, "table must hold real numbers", id="words"),
        pytest.param(np.ones((4, 4), complex), TypeError, "table must hold real numbers", id="complex"),
        pytest.param(
            torch.ones(4, 4, dtype=torch.complex64), TypeError, "table must hold real numbers", id="complex tensor"
        ),
        pytest.param(torch.ones(4, 4, dtype=torch.bool), TypeError, "table must hold real numbers", id="bool tensor"),
    ],
)
def test_bad_tables(table, error, says):
    with pytest.raises(error, match=says):
        identify(table)


# Where the first look is not enough: the base is far from what the turning from row to row tells


FAR = Convention("halves", "tensor2tensor", 2000.0, offset=15_492.0)
SLOW = Convention("interleaved", "tensor2tensor", 4.76e8, offset=294.0)
VERY_FAR = Convention("halves_cos_first", offset=935_914.0)
WHOLE = Convention(offset=1521.0)
HARD = {
    "far away, few rows": (FAR, (26, 10), 0.005),
    "slow pairs hide in the noise": (SLOW, (150, 4), 0.01),
    "only the paper's base leads so far": (VERY_FAR, (27, 128), 0.004),
    "only a whole number is near so far": (WHOLE, (31, 6), 0.001),
}


@pytest.mark.parametrize("seed", [0, 1, 3])
@pytest.mark.parametrize("name", HARD)
def test_hard_tables(name, seed):
    convention, shape, noise = HARD[name]
    table = convention.table(*shape)
    identified = identify(table + noise * np.random.default_rng(seed).normal(size=shape))
    assert identified.layout == convention.layout
    assert np.abs(identified.convention.table(*shape) - table).max() < 3 * noise


def test_wrong_angles_are_accepted_where_that_is_asked():
    """Rows that leave the convention soon, as with positions in bfloat16, are named by the first of them."""
    pos = np.arange(24.0)
    table = sinusoidal(pos + 0.02 * np.sin(pos), 16)
    assert identify_values(table).layout is None
    identified = identify_values(table, wrong_angles=True)
    assert (identified.layout, identified.base, identified.offset) == (
        "interleaved",
        pytest.approx(10_000, rel=0.05),
        0,
    )


@pytest.mark.parametrize("convention", [Convention(offset=2000.0, base=500.0), Convention(offset=20_000.0)])
def test_angles_of_float32_far_away(convention):
    """They are off by more than the radii let one expect."""
    angles = rows_of(convention, np.arange(60), 32, ROUNDINGS["angles in float32"])
    identified = identify(angles.astype(np.float32))
    assert identified.convention == convention and identified.error > 1e-5


@pytest.mark.parametrize("d_model", [16, 32])
@pytest.mark.parametrize("base", [500.0, 1234.0, 777_000.0])
def test_frequencies_of_float32_have_a_round_base(base, d_model):
    omega = frequencies(d_model, base).astype(np.float32)
    table = circles(np.outer(np.arange(60), omega.astype(float)))
    assert identify(table.astype(np.float32)).base == base


def test_noise_may_be_larger_in_later_rows(rng):
    """Up to ten times as large as in the first; further off a row is another."""
    table = sinusoidal(np.arange(1500), 16) + 0.01 * rng.normal(size=(1500, 16))
    table[1400, 3] += 0.3
    assert identify(table).layout == "interleaved"
    table[1400, 3] += 0.3
    assert identify(table).layout is None


# Grids


@pytest.mark.parametrize("grid", [(3, 3), (3, 7), (9, 4), (12, 12)])
def test_grids_of_any_shape(grid):
    identified = identify(
        GridConvention(("cos h", "sin w", "sin h", "cos w"), "tensor2tensor", 500.0).table(grid, 32)
    )
    assert identified.layout is None  # nobody orders them so
    for name, known in CONVENTIONS.items():
        if isinstance(known, GridConvention):
            identified = identify(known.table(grid, 32))
            assert identified.convention == known and identified.error < 1e-9
            assert (
                f"a grid of {grid[0]} x {grid[1]} cells" in identified.text
                and name in identified.text.splitlines()[-1]
            )


def test_a_grid_has_its_own_base():
    identified = identify(GridConvention(base=300.0).table((5, 6), 16))
    assert identified.base == 300 and (identified.offset, identified.scale, identified.odd, identified.step) == (
        0,
        1,
        "error",
        1,
    )
    assert "as in" not in identified.text


def test_what_is_no_grid():
    table = CONVENTIONS["mae"].table((5, 4), 16)
    assert identify(table[:, :14]).layout is None  # no four blocks
    assert identify(table[:-1]).layout is None  # no whole rows
    assert identify(0.5 * table).layout is None  # of another scale
    noise = 0.02 * np.random.default_rng(0).normal(size=(30, 16))
    assert identify(CONVENTIONS["mae"].table((5, 6), 16) + noise).layout is not None
    assert identify(0.93 * CONVENTIONS["mae"].table((5, 6), 16) + noise).layout is None
    assert identify(CONVENTIONS["mae"].table((2, 9), 16)).layout is None  # too few rows


def nearly_constant(rng):
    """Every width is that of a grid whose lines repeat."""
    columns = np.repeat([0.0, 1.0, 0.0, 1.0], 16)
    return columns + 1e-3 * rng.normal(size=(1440, 64))


def raised(rng):
    return CONVENTIONS["mae"].table((32, 40), 256) + 0.03


@pytest.mark.parametrize("table, most", [(nearly_constant, 1), (raised, 9)])
def test_what_looks_like_a_grid_is_given_up_soon(table, most, rng, monkeypatch):
    """Each look for a base may take half a second; a line must begin as one before."""
    looks = []

    def counted(values, row, **options):
        looks.append(len(row))
        return fits(values, row, **options)

    monkeypatch.setattr(identification, "fits", counted)
    assert identify(table(rng)).layout is None
    assert len(looks) <= most


def test_nothing_found_has_no_fields():
    identified = identify(np.eye(12))
    assert identified.convention is None and str(identified) == identified.text
    fields = (
        identified.schedule,
        identified.base,
        identified.offset,
        identified.scale,
        identified.odd,
        identified.step,
        identified.error,
    )
    assert fields == (None,) * 7


def test_of_many_rows_all_are_compared():
    """The error is of all rows, though the convention is found from 1,024."""
    table = sinusoidal(np.arange(1500), 16)
    table[1400, 3] += 0.05
    identified = identify(table)
    assert identified.error == pytest.approx(0.05) and "in row 1400" in identified.text
