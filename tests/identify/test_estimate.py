"""The estimate: the number behind each field, ranges of laps, round numbers, and what is preferred."""

import numpy as np
import pytest

from pe_lib.conventions import Convention
from pe_lib.identify import estimate
from pe_lib.identify.estimate import AS_MEASURED, Fit, Sample, fits, ranges, rounded
from pe_lib.identify.identification import identify
from pe_lib.sinusoidal import LAYOUTS, sinusoidal


def sample_of(table):
    """Rows of unit root mean square, as `fits` wants them; and what they were divided by."""
    size = np.sqrt(np.mean(table**2))
    return table / size, size


def best(table, row=None, **options):
    values, size = sample_of(table)
    near, _ = fits(values, np.arange(len(table)) if row is None else row, **options)
    return near[0], size


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("schedule", ["paper", "tensor2tensor"])
def test_a_fit_makes_the_rows_again(layout, schedule):
    table = sinusoidal(np.arange(40), 12, 700.0, schedule=schedule, layout=layout, offset=11, scale=3.0)
    fit, size = best(table)
    assert (fit.layout, fit.schedule, fit.offset, fit.step) == (layout, schedule, 11, 1)
    assert fit.base == 700 and fit.scale * size == pytest.approx(3)
    np.testing.assert_allclose(size * fit.rows(np.arange(40), 12), table, atol=1e-9)


def test_rows_may_be_missing():
    row = np.array([3, 4, 5, 9, 10, 11, 12, 30, 31])
    fit, _ = best(sinusoidal(row, 12), row)
    assert (fit.base, fit.offset, fit.step) == (10_000, 0, 1)


@pytest.mark.parametrize("step", [-2.0, -1.0, 0.25, 0.37, 2.9])
def test_steps(step):
    fit, _ = best(sinusoidal(step * np.arange(40), 12))
    assert fit.step == pytest.approx(step, abs=1e-9) and fit.base == 10_000


def test_a_step_takes_three_pairs_and_four_rows():
    halves = 0.5 * np.arange(20)
    assert fits(sample_of(sinusoidal(halves, 6))[0], np.arange(20))[0]
    assert not fits(sample_of(sinusoidal(halves, 4))[0], np.arange(20))[0]
    assert fits(sample_of(sinusoidal(halves[:4], 6))[0], np.arange(4))[0]
    assert not fits(sample_of(sinusoidal(halves[:3], 6))[0], np.arange(3))[0]


def test_what_is_seen_of_a_layout():
    _, seen = fits(sample_of(np.random.default_rng(0).normal(size=(30, 8)))[0], np.arange(30))
    assert len(seen) == 3 and all("do not lie on one circle (radius" in words for words in seen)
    angle = np.outer(np.arange(30), [0.5, 2.0, 0.1, 1.3])
    circles = np.stack([np.sin(angle), np.cos(angle)], axis=-1).reshape(30, -1)
    _, seen = fits(sample_of(circles)[0], np.arange(30))
    assert seen[0] == (
        "interleaved: pairs lie on circles, the first turns by 0.500 radian a row, but no base fits them all"
    )
    _, seen = fits(sample_of(sinusoidal(np.arange(30), 8))[0], np.arange(30))
    assert seen[0] == "interleaved: fits"


def test_angles_must_be_as_good_as_the_radii():
    pos = np.arange(24) + 0.02 * np.sin(np.arange(24))
    values, _ = sample_of(sinusoidal(pos, 16))
    assert not fits(values, np.arange(24))[0]
    near, _ = fits(values, np.arange(24), wrong_angles=True)
    assert near and near[0].rms < 0.03


@pytest.mark.parametrize("noise, accepted", [(0.02, True), (0.04, False)])
def test_noise_up_to_a_thirtieth(noise, accepted, rng):
    values, _ = sample_of(sinusoidal(np.arange(40), 16))
    near, _ = fits(values + noise * rng.normal(size=values.shape), np.arange(40))
    assert bool(near) == accepted


def test_the_base_is_as_round_as_the_values_allow(rng):
    values, _ = sample_of(sinusoidal(np.arange(40), 16, 9_876.5))
    assert fits(values, np.arange(40))[0][0].base == 9_876.5
    noisy = values + 0.01 * rng.normal(size=values.shape)
    fit = fits(noisy, np.arange(40))[0][0]
    assert fit.digits <= 2 and abs(np.log(fit.base / 9_876.5)) < 2 * fit.doubt
    assert fit.measured == pytest.approx(9_876.5, rel=2 * fit.doubt)


def test_all_that_fit_equally_well_are_told():
    near, _ = fits(sample_of(sinusoidal(np.arange(30), 12))[0], np.arange(30))
    assert {fit.schedule for fit in near} == {"paper", "tensor2tensor"}
    assert [fit.digits for fit in near] == sorted(fit.digits for fit in near)
    assert near[-1].digits == AS_MEASURED


@pytest.mark.parametrize("odd, policies", [("extra_sine", {"extra_sine"}), ("truncate", {"truncate"})])
def test_odd_widths(odd, policies):
    near, _ = fits(sample_of(sinusoidal(np.arange(30), 9, odd=odd))[0], np.arange(30))
    assert {fit.odd for fit in near if fit.digits == 0} == policies


def test_a_column_that_was_cut_off():
    """With cosines first it is a sine: each policy leaves out another."""
    near, _ = fits(
        sample_of(sinusoidal(np.arange(30), 9, 500.0, layout=LAYOUTS[2], odd="truncate"))[0], np.arange(30)
    )
    assert (near[0].layout, near[0].odd, near[0].base) == (LAYOUTS[2], "truncate", 500)


def test_three_columns():
    """A pair and a half: the base is known by the sine alone."""
    fit, _ = best(sinusoidal(np.arange(60), 3, 50.0, odd="extra_sine"))
    assert fit.base == 50 and fit.odd == "extra_sine"


@pytest.mark.parametrize("offset", [-3, 0.25, 19_999, 999_000])
def test_offsets(offset):
    assert best(sinusoidal(np.arange(50), 32, offset=offset))[0].offset == pytest.approx(offset, abs=1e-7)


def test_one_pair_has_the_smallest_offset():
    """Whole numbers come first; half a wavelength is a change of sign."""
    assert best(sinusoidal(np.arange(9), 2, offset=3))[0].offset == 3
    fit, _ = best(sinusoidal(np.arange(9), 2, offset=3 + 2 * np.pi))
    assert fit.offset == pytest.approx(3 - np.pi, abs=1e-6) and fit.scale < 0


@pytest.mark.parametrize(
    "first, last, expected",
    [
        pytest.param([4], [4], [4], id="one number"),
        pytest.param([4], [3], [], id="none"),
        pytest.param([4, 9, 1], [6, 8, 2], [4, 5, 6, 1, 2], id="one of three is empty"),
        pytest.param([-2, -2], [0, 0], [-2, -1, 0, -2, -1, 0], id="twice"),
        pytest.param([], [], [], id="no range"),
    ],
)
def test_ranges(first, last, expected):
    assert ranges(np.array(first, int), np.array(last, int)).tolist() == expected


@pytest.mark.parametrize(
    "lowest, number, highest, expected",
    [
        pytest.param(9_990, 9_999.5, 10_020, (10_000, 1), id="a power of ten"),
        pytest.param(480.0, 486.0, 495.0, (490, 2), id="two digits, the nearest"),
        pytest.param(480.0, 481.0, 484.5, (480, 2), id="two digits, the lowest"),
        pytest.param(0.29, 0.299, 0.31, (0.3, 1), id="below 1"),
        pytest.param(1 / 3, 1 / 3, 1 / 3, (1 / 3, AS_MEASURED), id="as measured"),
        pytest.param(1.9, 2.04, 2.05, (2.0, 1), id="one digit"),
    ],
)
def test_rounded(lowest, number, highest, expected):
    assert rounded(lowest, number, highest) == expected


def test_a_fit_moves_by_one_number():
    fit = Fit("halves", "error", 100.0, 3.0, 0.5, 1.0, 0.0)
    assert fit.moved("base", np.log(2)).base == pytest.approx(200) and fit.moved("offset", 2).offset == 5
    assert fit.moved("scale", -1).scale == -0.5 and fit.moved("step", 1).step == 2
    sample = Sample(fit.rows(np.arange(5), 6), np.arange(5))
    assert sample.error(fit) == 0 and sample.error(fit.moved("offset", 0.1)) > 0.01


@pytest.mark.parametrize("d_model, odd", [(8, "error"), (7, "extra_sine"), (7, "truncate"), (7, "zero_column")])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_derivatives(layout, d_model, odd):
    """As the rows change when a number is moved."""
    fit, row = Fit(layout, odd, 50.0, 3.0, 0.5, 0.9, 0.0, schedule="tensor2tensor"), np.arange(20)
    for name, derivative in fit.derivatives(row, d_model).items():
        change = fit.moved(name, 1e-5).rows(row, d_model) - fit.moved(name, -1e-5).rows(row, d_model)
        np.testing.assert_allclose(derivative, change / 2e-5, atol=1e-6)


# Of many entries a few rows are looked at first


def right(table, rng):
    return table


def float32(table, rng):
    return table.astype(np.float32)


def float16(table, rng):
    return table.astype(np.float16)


def noisy(table, rng):
    return table + 1e-3 * rng.normal(size=table.shape)


def wrong_entry(table, rng):
    table[301, 7] += 0.3
    return table


def wrong_row(table, rng):
    table[301] = rng.normal(size=table.shape[1])
    return table


def wrong_first_row(table, rng):
    table[0] = rng.normal(size=table.shape[1])
    return table


def wrong_column(table, rng):
    table[:, 7] = rng.normal(size=len(table))
    return table


def rows_of_zeros(table, rng):
    table[[0, 1, 5, 16, 17]] = 0
    return table


MANY = {
    "paper": Convention(),
    "descending": Convention("halves_cos_first", offset=300.0, step=-1.0),
    "a base of many digits": Convention("halves", base=31622.7766, scale=0.123456789, offset=17.0),
    "an offset between positions": Convention(offset=0.37),
    "a step of digits": Convention("halves", base=777.0, step=2.9),
}
STORED = (right, float32, float16, noisy, wrong_entry, wrong_row, wrong_first_row, wrong_column, rows_of_zeros)


def identified(convention, stored):
    return identify(stored(convention.table(400, 192), np.random.default_rng(0)))


@pytest.mark.parametrize("stored", STORED)
@pytest.mark.parametrize("name", MANY)
def test_a_few_rows_give_what_all_rows_give(name, stored, monkeypatch):
    """A row between them that is wrong included, and the digits that only all rows have."""
    first = identified(MANY[name], stored)
    monkeypatch.setattr(estimate, "FEW", np.inf)
    all_rows = identified(MANY[name], stored)
    assert [first.layout, first.schedule, first.odd] == [all_rows.layout, all_rows.schedule, all_rows.odd]
    assert (first.layout is None) == (stored in (wrong_row, wrong_first_row, wrong_column))
    if first.layout is not None:
        numbers = [[found.base, found.offset, found.scale, found.step] for found in (first, all_rows)]
        # Polishing ends where the error falls by less than a millionth.
        tolerance = 1e-9 if stored in (right, float32) else 3e-8
        np.testing.assert_allclose(*numbers, rtol=tolerance, atol=tolerance)
        assert first.error == pytest.approx(all_rows.error, rel=0.01, abs=1e-9)


def test_the_few_rows_are_near_ones_and_pairs_of_every_distance():
    sample = Sample(np.ones((1000, 2048)), np.arange(1000))  # the few are many entries still
    few = sample.few()
    assert len(few.row) < 32 and few.row[-1] == 999 and few.few() is few
    assert all(np.isin(few.row + 2**k, few.row).sum() >= 2 for k in range(10))
    short = Sample(np.ones((100, 64)), np.arange(100))
    assert short.few() is short


def test_all_rows_of_a_right_table_are_made_once_for_the_estimate_and_once_for_the_error(monkeypatch):
    lengths = []
    rows = Fit.rows

    def counted(self, row, d_model):
        lengths.append(len(row))
        return rows(self, row, d_model)

    monkeypatch.setattr(Fit, "rows", counted)
    assert identify(sinusoidal(np.arange(1500), 256, dtype=np.float32)).base == 10_000
    assert [length for length in lengths if length > 64] == [1024, 1500]
    # Digits of a step are measured on all rows.
    lengths.clear()
    assert identify(sinusoidal(2.9 * np.arange(1500), 256, dtype=np.float32)).base == 10_000
    assert lengths.count(1024) > 5


def test_the_scale_is_that_of_all_rows():
    values, _ = sample_of(sinusoidal(np.arange(1000), 256).astype(np.float32).astype(float))
    fit = fits(values, np.arange(1000))[0][0]
    rows = fit.rows(np.arange(1000), 256)
    assert np.vdot(rows, values) / np.vdot(rows, rows) == pytest.approx(1, abs=1e-13)
