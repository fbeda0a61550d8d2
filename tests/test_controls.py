"""Controls: tables that are not the formula, but have its norm."""

import numpy as np
import pytest

from pe_lib.controls import CONTROLS, control
from pe_lib.sinusoidal import sinusoidal

TABLE = sinusoidal(np.arange(48), 32)  # (n_row, d)


def make(name, seed=0, train_len=16):
    return control(name, 48, 32, train_len, np.random.default_rng(seed))


@pytest.mark.parametrize("name", CONTROLS)
def test_shape_and_norm(name):
    table = make(name)
    assert table.shape == (48, 32) and np.abs(table - TABLE).max() > 0.1
    if name != "sine_only":
        assert np.abs((table**2).sum(axis=1) - 16).max() < 8 and abs((table**2).sum(axis=1).mean() - 16) < 2
    np.testing.assert_array_equal(table, make(name))
    drawn = name in ("shuffled", "random")
    assert np.array_equal(table, make(name, seed=1)) != drawn


def test_divided_turns_the_ladder_round():
    i, pos = np.arange(16), np.arange(48)[:, None]
    np.testing.assert_allclose(make("divided")[:, 2 * i], np.sin(pos * 10_000 ** (2 * i / 32)), atol=1e-9)
    np.testing.assert_allclose(make("divided")[:, 2 * i + 1], np.cos(pos * 10_000 ** (2 * i / 32)), atol=1e-9)


def test_shuffled_keeps_the_rows_of_each_block():
    for start in (0, 16, 32):
        block = slice(start, start + 16)
        assert sorted(map(tuple, make("shuffled")[block])) == sorted(map(tuple, TABLE[block]))
    assert len(make("shuffled", train_len=20)) == 48


def test_sine_only_and_random():
    np.testing.assert_array_equal(make("sine_only")[:, 1::2], 0)
    np.testing.assert_allclose(make("sine_only")[:, ::2], 2**0.5 * TABLE[:, ::2], atol=1e-12)
    np.testing.assert_allclose(np.abs(make("random")), 0.5**0.5, atol=1e-12)
    assert np.abs(np.corrcoef(make("random"))[np.triu_indices(48, 1)]).mean() < 0.25


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("sine", 48, 32, 16), "name must be one of column, doubled"),
        (("random", 0, 32, 16), "n_row must be a whole number >= 1, got 0"),
        (("random", 48, 31, 16), "d_model must be an even number >= 2, got 31"),
        (("shuffled", 48, 32, 0), "train_len must be a whole number >= 1, got 0"),
    ],
)
def test_bad_input(rng, arguments, says):
    with pytest.raises(ValueError, match=says):
        control(*arguments, rng)
