"""What a table or a kernel does, against known numbers, other formulas and constructed tables."""

from functools import partial

import mpmath
import numpy as np
import pytest

from pe_lib import analysis
from pe_lib.sinusoidal import kernel, misread, sinusoidal


def test_wavelengths():
    assert np.isclose(analysis.wavelengths(512)[-1], 60_611.5, rtol=1e-5)
    assert np.isclose(analysis.wavelengths(512, schedule="tensor2tensor")[-1], 2 * np.pi * 1e4, rtol=1e-14)
    assert analysis.wavelengths(8, 100.0)[1] == pytest.approx(2 * np.pi * 100**0.25)


@pytest.mark.parametrize("k", [0, 1, -3, 0.25, 1000])
def test_shift_matrix_moves_every_row(rng, k):
    pos = rng.uniform(-1000, 1000, 20)
    shift = analysis.shift_matrix(k, 16, 500.0)
    np.testing.assert_allclose(sinusoidal(pos + k, 16, 500.0), sinusoidal(pos, 16, 500.0) @ shift.T, atol=1e-10)


def test_shift_matrices_form_a_group_of_rotations():
    a, b = analysis.shift_matrix(3.5, 12), analysis.shift_matrix(-11, 12)
    np.testing.assert_allclose(a @ b, analysis.shift_matrix(-7.5, 12), atol=1e-12)
    np.testing.assert_allclose(a @ a.T, np.eye(12), atol=1e-12)
    np.testing.assert_allclose(analysis.shift_matrix(-3.5, 12), a.T, atol=1e-12)
    np.testing.assert_array_equal(analysis.shift_matrix(0, 12), np.eye(12))


@pytest.mark.parametrize("base", [100.0, 10_000.0])
def test_kernel_limit(base):
    k = np.array([0, 0.5, 1, 10, 512, 9_999])
    with mpmath.workdps(30):
        exact = [1] + [float((mpmath.ci(x) - mpmath.ci(x / base)) / mpmath.log(base)) for x in k[1:]]
    np.testing.assert_allclose(analysis.kernel_limit(k, base), exact, atol=1e-12)
    np.testing.assert_allclose(analysis.kernel_limit(-k, base), exact, atol=1e-12)
    # A sum over very many pairs is the integral.
    np.testing.assert_allclose(kernel(k[:4], 200_000, base) / 100_000, exact[:4], atol=1e-4)


def test_min_distance():
    distance, (m, n) = analysis.min_distance(sinusoidal(np.arange(10_000), 2))
    assert n - m == 710 and distance == pytest.approx(6.03e-5, rel=1e-3)  # 710 is nearly 113 turns
    assert analysis.min_distance(sinusoidal(np.arange(512), 16))[0] == pytest.approx(1.0147, abs=1e-4)
    assert analysis.min_distance([[0.0], [3], [1], [3]]) == (0.0, (1, 3))
    assert analysis.min_distance(np.zeros((5, 2)))[0] == 0


def test_min_distance_agrees_with_all_pairs(rng):
    table = rng.normal(size=(40, 3))
    gaps = np.linalg.norm(table[:, None] - table, axis=-1) + 1e9 * np.eye(40)
    distance, pair = analysis.min_distance(table)
    assert distance == pytest.approx(gaps.min(), abs=1e-14) and gaps[pair] == gaps.min()


def test_effective_rank(rng):
    basis = np.linalg.qr(rng.normal(size=(30, 30)))[0]
    three = basis[:, :3] * [10, 1, 0.001] @ basis[:3]
    assert analysis.effective_rank(three, 0.9) == 1
    assert analysis.effective_rank(three, 0.999) == 2
    assert analysis.effective_rank(three, 0.99999999999) == 3
    assert analysis.effective_rank(sinusoidal(np.arange(512), 512)) == 109
    assert analysis.effective_rank(np.eye(7), 1) == 7
    assert analysis.effective_rank(np.eye(4), 0.5) == 2  # the energy that is asked for, exactly


@pytest.mark.parametrize(
    ("length", "d_model", "base"),
    [(1, 8, 1e4), (2, 64, 1e8), (31, 64, 1e4), (33, 64, 10), (300, 64, 1e8), (64, 64, 500), (500, 2, 1e4)],
)
def test_energies_are_squared_singular_values(length, d_model, base):
    expected = np.linalg.svd(sinusoidal(np.arange(length), d_model, base), compute_uv=False) ** 2
    energies = analysis.energies(length, d_model, base)
    assert energies.shape == expected.shape
    assert np.allclose(energies, expected, atol=1e-12 * expected.sum())
    assert energies.sum() == pytest.approx(length * d_model / 2, rel=1e-12) and (energies >= 0).all()


@pytest.mark.parametrize("scale", [1e200, 1e-200, 2.0**-1000])
def test_answers_do_not_depend_on_the_scale_of_a_table(scale):
    table = sinusoidal(np.arange(40), 8)
    assert analysis.effective_rank(scale * table) == analysis.effective_rank(table) == 5
    assert analysis.shift_residual(scale * table, 1) == pytest.approx(analysis.shift_residual(table, 1), abs=1e-12)
    noise = np.random.default_rng(0).normal(size=(40, 8))
    assert analysis.shift_residual(scale * noise, 1) == pytest.approx(analysis.shift_residual(noise, 1), rel=1e-12)
    distance, rows = analysis.min_distance(table)
    assert analysis.min_distance(scale * table) == (pytest.approx(scale * distance, rel=1e-12), rows)
    still = analysis.constant_columns(table, 0.5)
    assert not still.all() and (analysis.constant_columns(scale * table, 0.5 * scale) == still).all()


def test_the_kernel_is_whole_just_beside_itself():
    near = analysis.kernel_limit([0.0, 5e-324, 1e-300, 1e-9, 1e-7], 1e308)
    np.testing.assert_allclose(near, 1.0, rtol=0, atol=1e-11)


def test_effective_rank_of_all_energy_is_the_number_of_columns(rng):
    """Also where the shares add up to a hair less than 1, as they do for some of these."""
    tables = rng.normal(size=(60, 20, 12))
    assert [analysis.effective_rank(table, 1) for table in tables] == [12] * 60
    assert [analysis.effective_rank(table.T, 1) for table in tables] == [12] * 60


def test_constant_columns():
    for length, number in {64: 149, 512: 45, 2048: 6}.items():
        assert analysis.constant_columns(sinusoidal(np.arange(length), 512)).sum() == number
    assert analysis.constant_columns([[0, 1], [0, 2]]).tolist() == [True, False]


def test_the_spread_of_a_column_is_that_of_the_rows_there_are():
    """Two rows 0 and 1: the standard deviation is 0.5, and not 0.71 as of a sample from more."""
    assert analysis.constant_columns([[0], [1]], 0.51).tolist() == [True]
    assert analysis.constant_columns([[0], [1]], 0.49).tolist() == [False]
    assert analysis.constant_columns([[0], [1]], 0.5).tolist() == [False]


def test_shift_residual_tells_paired_from_unpaired():
    pos = np.arange(128)
    assert analysis.shift_residual(sinusoidal(pos, 16), 7) < 1e-12
    assert analysis.shift_residual(misread(pos, 16, reading="doubled"), 7) < 1e-12
    assert analysis.shift_residual(misread(pos, 16, reading="column"), 7) > 0.1
    assert analysis.shift_residual(misread(pos, 16, reading="unpaired"), 7) > 0.1


def test_shift_residual_by_hand():
    """One column: the best factor is before . after / before . before, and the residual does not see the scale."""
    assert analysis.shift_residual([[1], [0], [0], [2]], 1) == 1  # the factor is 0
    assert analysis.shift_residual([[1], [1], [-1], [1]], 1) == pytest.approx((8 / 9) ** 0.5)
    expected = pytest.approx((1 - 10**2 / 21 / 20) ** 0.5)
    assert analysis.shift_residual([[1], [2], [4], [0]], 1) == expected
    assert analysis.shift_residual([[1000], [2000], [4000], [0]], 1) == expected
    assert analysis.shift_residual([[1], [0], [2], [0], [4], [0], [0], [0]], 2) == expected


def test_shift_residual_goes_from_before_to_after():
    """(0, 1) -> (1, 0) -> (0, 0) -> (0, 0) is one linear map; the other way round, (1, 0) comes after (0, 0)."""
    table = np.array([[0, 1], [1, 0], [0, 0], [0, 0]])
    assert analysis.shift_residual(table, 1) < 1e-12
    assert analysis.shift_residual(table[::-1], 1) == pytest.approx(0.5**0.5)


# Sensitivity and bad input

TWO = np.ones((9, 2))


@pytest.mark.parametrize(
    ("formula", "reference", "changes"),
    [
        pytest.param(
            analysis.wavelengths, {"d_model": 8}, {"base": 500.0, "schedule": "tensor2tensor"}, id="wavelengths"
        ),
        pytest.param(analysis.shift_matrix, {"k": 1, "d_model": 8}, {"k": 2, "base": 500.0}, id="shift_matrix"),
        pytest.param(
            analysis.kernel_limit, {"distance": [1, 50]}, {"distance": [2, 50], "base": 500.0}, id="kernel_limit"
        ),
        pytest.param(
            analysis.effective_rank, {"table": sinusoidal(np.arange(64), 16)}, {"fraction": 0.5}, id="effective_rank"
        ),
        pytest.param(
            analysis.shift_residual, {"table": [[1], [2], [4], [0], [5]], "k": 1}, {"k": 2}, id="shift_residual"
        ),
    ],
)
def test_every_parameter_matters(formula, reference, changes):
    expected = formula(**reference)
    for argument, value in changes.items():
        assert np.abs(formula(**reference | {argument: value}) - expected).max() > 1e-3, argument


@pytest.mark.parametrize(
    ("call", "says"),
    [
        pytest.param(partial(analysis.shift_matrix, np.nan, 8), "k must be a finite number, got nan", id="shift"),
        pytest.param(partial(analysis.wavelengths, 7), "d_model must be an even number >= 2, got 7", id="width"),
        pytest.param(
            partial(analysis.kernel_limit, 1, 1.0), "base must be a finite number > 1.0001, got 1.0", id="base"
        ),
        pytest.param(partial(analysis.kernel_limit, [np.inf]), "distance must be finite, got inf", id="distance"),
        pytest.param(partial(analysis.min_distance, [[1.0]]), "table must have at least 2 rows", id="one row"),
        pytest.param(
            partial(analysis.min_distance, np.ones((3, 0))),
            "at least 2 rows and 1 column, got shape (3, 0)",
            id="no column",
        ),
        pytest.param(
            partial(analysis.min_distance, [1.0, 2.0]), "table must have 2 axes, got shape (2,)", id="one axis"
        ),
        pytest.param(partial(analysis.effective_rank, TWO, 0), "fraction must not be 0", id="no energy"),
        pytest.param(
            partial(analysis.effective_rank, TWO, 1.1),
            "fraction must be a number from 0 to 1, got 1.1",
            id="too much",
        ),
        pytest.param(partial(analysis.effective_rank, 0 * TWO), "table must not be all zero", id="rank of zero"),
        pytest.param(
            partial(analysis.constant_columns, TWO, 0), "threshold must be a finite number > 0, got 0", id="threshold"
        ),
        pytest.param(
            partial(analysis.shift_residual, np.ones((9, 8)), 1),
            "more than columns + k = 9 rows, got 9",
            id="few rows",
        ),
        pytest.param(partial(analysis.shift_residual, TWO, 0), "k must be a whole number >= 1, got 0", id="k"),
        pytest.param(partial(analysis.shift_residual, 0 * TWO, 1), "table must not be all zero", id="shift of zero"),
    ],
)
def test_bad_input(call, says):
    with pytest.raises(ValueError) as raised:
        call()
    assert says in str(raised.value)


def test_distance_share_without_the_diagonal(rng):
    score = rng.normal(size=(12, 12))
    loud = score + np.diag(rng.normal(size=12) + 100)
    assert analysis.distance_share(loud) > 0.99
    away = {d: np.diagonal(score, d) for d in range(-11, 12) if d}
    values = np.concatenate(list(away.values()))
    within = sum(len(line) * line.var() for line in away.values())
    expected = 1 - within / len(values) / values.var()
    assert analysis.distance_share(loud, diagonal=False) == pytest.approx(expected)
    with pytest.raises(ValueError, match="score must not be all the same off its diagonal"):
        analysis.distance_share(np.eye(3), diagonal=False)


def test_distance_share(rng):
    distance = np.subtract.outer(np.arange(9), np.arange(9))
    assert analysis.distance_share(distance**2 % 7) == pytest.approx(1)
    by_row = np.tile(np.arange(9.0), (9, 1))
    explained = sum(np.diagonal(by_row, k).mean() ** 2 * (9 - abs(k)) for k in range(-8, 9)) / 81 - by_row.mean() ** 2
    assert analysis.distance_share(by_row) == pytest.approx(explained / by_row.var())
    random = [analysis.distance_share(rng.normal(size=(40, 40))) for _ in range(20)]
    assert np.mean(random) == pytest.approx(78 / 1600, rel=0.2)
    with pytest.raises(ValueError, match=r"score must not be all the same$"):
        analysis.distance_share(np.ones((3, 3)))
    with pytest.raises(ValueError, match="score must be square, got shape"):
        analysis.distance_share(rng.normal(size=(3, 4)))
