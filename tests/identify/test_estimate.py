"""The estimate: the number behind each field, ranges of laps, round numbers, and what is preferred."""

import numpy as np
import pytest

from pe_lib.identify.estimate import AS_MEASURED, Fit, Sample, fits, ranges, rounded
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
