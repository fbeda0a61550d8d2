"""Controls: tables that are not the formula, but have its norm."""

import numpy as np
import pytest

from pe_lib.controls import CONTROLS, control
from pe_lib.sinusoidal import READINGS, misread, sinusoidal

TABLE = sinusoidal(np.arange(48), 32)  # (n_row, d)


def table_of(name, seed=0, train_len=16):
    return control(name, 48, 32, train_len, np.random.default_rng(seed))


@pytest.mark.parametrize("name", CONTROLS)
def test_shape_and_norm(name):
    table = table_of(name)
    assert table.shape == (48, 32) and np.abs(table - TABLE).max() > 0.1
    energy = (table**2).sum(axis=1)
    if name in ("doubled", "divided", "shuffled", "random"):
        np.testing.assert_allclose(energy, 16, rtol=1e-12)
    elif name in ("column", "unpaired"):
        assert np.abs(energy - 16).max() < 3 and abs(energy.mean() - 16) < 0.5
    elif name == "centred":
        assert np.abs(energy[:16] - 16).max() < 7 and energy[:16].mean() == pytest.approx(16)
    else:
        assert energy[:16].max() < 16
    np.testing.assert_array_equal(table, table_of(name))
    drawn = name in ("shuffled", "random")
    assert np.array_equal(table, table_of(name, seed=1)) != drawn


def test_divided_turns_the_ladder_round():
    i, pos = np.arange(16), np.arange(48)[:, None]
    np.testing.assert_allclose(table_of("divided")[:, 2 * i], np.sin(pos * 10_000 ** (2 * i / 32)), atol=1e-9)
    np.testing.assert_allclose(table_of("divided")[:, 2 * i + 1], np.cos(pos * 10_000 ** (2 * i / 32)), atol=1e-9)


def test_shuffled_keeps_the_rows_of_each_block():
    for start in (0, 16, 32):
        block = slice(start, start + 16)
        assert sorted(map(tuple, table_of("shuffled")[block])) == sorted(map(tuple, TABLE[block]))
    assert len(table_of("shuffled", train_len=20)) == 48
    assert not np.array_equal(table_of("shuffled", train_len=20), table_of("shuffled"))
    assert not np.array_equal(table_of("shuffled")[:16], TABLE[:16])


def test_centred_is_the_curve_moved_and_enlarged():
    table, trained = table_of("centred"), table_of("centred")[:16]
    np.testing.assert_allclose(trained.mean(axis=0), 0, atol=1e-12)
    assert (trained**2).mean() == pytest.approx(0.5)
    np.testing.assert_allclose((table[40] - table[3]) / (TABLE[40] - TABLE[3]), (table[1] - table[0])[0] / np.sin(1))
    np.testing.assert_allclose(table_of("moving"), TABLE - TABLE[:16].mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(control("moving", 3, 4, 1, np.random.default_rng(0))[0], 0, atol=1e-12)


@pytest.mark.parametrize("reading", READINGS)
def test_misreadings_are_those_of_the_formula(reading):
    np.testing.assert_array_equal(table_of(reading), misread(np.arange(48), 32, reading=reading))


def test_sine_only_and_random():
    np.testing.assert_array_equal(table_of("sine_only")[:, 1::2], 0)
    np.testing.assert_allclose(table_of("sine_only")[:, ::2], 2**0.5 * TABLE[:, ::2], atol=1e-12)
    np.testing.assert_allclose(np.abs(table_of("random")), 0.5**0.5, atol=1e-12)
    assert np.abs(np.corrcoef(table_of("random"))[np.triu_indices(48, 1)]).mean() < 0.25


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param(("sine", 48, 32, 16), "name must be one of column, doubled", id="name"),
        pytest.param(("random", 0, 32, 16), "n_row must be a whole number >= 1, got 0", id="n_row"),
        pytest.param(("random", 48, 31, 16), "d_model must be an even number >= 2, got 31", id="d_model"),
        pytest.param(("shuffled", 48, 32, 0), "train_len must be a whole number >= 1, got 0", id="train_len"),
    ],
)
def test_bad_input(rng, arguments, says):
    with pytest.raises(ValueError, match=says):
        control(*arguments, rng)
