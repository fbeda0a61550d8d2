"""Roundings: each is that of the dtype, and is told from the others; frequencies by way of the logarithm."""

import numpy as np
import pytest
import torch

from pe_lib.conventions import Convention
from pe_lib.identify.rounding import (
    ROUNDINGS,
    Rounding,
    frequency_distances,
    omega_of,
    rows_of,
    to_bfloat16,
    to_float16,
    to_float32,
)
from pe_lib.sinusoidal import frequencies, sinusoidal


@pytest.mark.parametrize(
    "rounded, kind",
    [
        pytest.param(to_bfloat16, torch.bfloat16, id="bfloat16"),
        pytest.param(to_float16, torch.float16, id="float16"),
        pytest.param(to_float32, torch.float32, id="float32"),
    ],
)
def test_as_torch_rounds(rounded, kind, rng):
    x = np.concatenate([rng.normal(size=1000), 10 ** rng.uniform(-4, 4, 1000), np.arange(3000.0)])
    np.testing.assert_array_equal(rounded(x), torch.from_numpy(x).to(kind).double().numpy())


def test_exact_rows_are_those_of_the_convention():
    line = Convention("halves_cos_first", "tensor2tensor", 500.0, "zero_column", 7.0, 0.5, step=2.0)
    row = np.array([0, 3, 4, 40])
    np.testing.assert_allclose(rows_of(line, row, 9), line.table(41, 9)[row], atol=1e-12)
    np.testing.assert_array_equal(omega_of(line, 9), frequencies(8, 500.0, schedule="tensor2tensor"))


def test_each_part_is_rounded_where_it_is_said():
    pos, omega = np.array([257.0, 1001.0]), np.array([1.0, 0.1])
    exact = np.outer(pos, omega)
    np.testing.assert_array_equal(Rounding().angle(pos, omega), exact)
    np.testing.assert_array_equal(Rounding(positions=np.floor).angle(pos + 0.5, omega), exact)
    np.testing.assert_array_equal(Rounding(frequencies=np.ceil).angle(pos, omega), np.outer(pos, [1, 1]))
    np.testing.assert_array_equal(Rounding(angles=np.floor).angle(pos, omega), [[257, 25], [1001, 100]])


def test_no_two_roundings_are_alike():
    row = np.arange(40_000, 40_200)
    rows = {name: rows_of(Convention(), row, 32, rounding) for name, rounding in ROUNDINGS.items()}
    names = list(rows)
    for i, name in enumerate(names):
        assert np.abs(rows[name] - sinusoidal(row, 32)).max() > 1e-5
        for other in names[:i]:
            assert np.abs(rows[name] - rows[other]).max() > 1e-5, (name, other)


def test_float16_overflows_without_a_warning():
    rows = rows_of(Convention(), np.array([70_000]), 8, ROUNDINGS["positions in float16"])
    assert np.isnan(rows).any()


def table_of(omega, n=4000):
    """Interleaved; angles in float64, frequencies as they come."""
    angle = np.outer(np.arange(n), omega.astype(float))
    return np.stack([np.sin(angle), np.cos(angle)], axis=-1).reshape(n, -1)


def test_distances_tell_how_frequencies_were_made():
    i = np.arange(48, dtype=np.float32)
    by_power = 1 / np.float32(10_000) ** (2 * i / np.float32(96))
    factor_first = np.exp(2 * i * np.float32(-np.log(10_000) / 96))
    product_first = np.exp(np.float32(-np.log(10_000)) * i / np.float32(48))
    exact = frequency_distances(table_of(frequencies(96)), Convention())
    power = frequency_distances(table_of(by_power), Convention())
    assert exact.to_exact < 1e-12 < 1e-8 < min(exact.to_power, exact.to_logarithm)
    assert power.to_power < 1e-12 < 1e-8 < min(power.to_exact, power.to_logarithm)
    for by_logarithm in (factor_first, product_first):
        distances = frequency_distances(table_of(by_logarithm), Convention())
        assert distances.to_logarithm < 1e-12 < 1e-8 < min(distances.to_exact, distances.to_power)


def test_distances_in_any_layout_at_any_scale():
    line = Convention("halves", scale=0.1, offset=40.0)
    distances = frequency_distances(line.table(4000, 64), line)
    assert distances.to_exact < 1e-10


def test_few_fast_pairs_tell_nothing():
    assert frequency_distances(sinusoidal(np.arange(1000), 8), Convention()) is None
    assert frequency_distances(sinusoidal(np.arange(20), 64), Convention()) is None
