"""How angles lose their digits: the same rows with positions, frequencies or angles rounded to fewer bits."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pe_lib.conventions import Convention
from pe_lib.sinusoidal import column_order, frequencies

Floats = npt.NDArray[np.float64]


def exactly(x: npt.ArrayLike) -> Floats:
    """As it is."""
    return np.asarray(x, np.float64)


def to_bfloat16(x: npt.ArrayLike) -> Floats:
    """Rounded to 8 significant bits.

    >>> to_bfloat16([256.0, 257.0, 259.0]).tolist()
    [256.0, 256.0, 260.0]
    """
    fraction, exponent = np.frexp(x)
    return np.ldexp(np.round(fraction * 256) / 256, exponent)


def to_float16(x: npt.ArrayLike) -> Floats:
    """Rounded to 11 significant bits; infinite from 65520 on."""
    with np.errstate(over="ignore"):
        return np.asarray(x).astype(np.float16).astype(np.float64)


def to_float32(x: npt.ArrayLike) -> Floats:
    """Rounded to 24 significant bits."""
    return np.asarray(x).astype(np.float32).astype(np.float64)


@dataclass(frozen=True)
class Rounding:
    """What is rounded before sine and cosine."""

    positions: Callable[[npt.ArrayLike], Floats] = exactly
    frequencies: Callable[[npt.ArrayLike], Floats] = exactly
    angles: Callable[[npt.ArrayLike], Floats] = exactly

    def angle(self, pos: Floats, omega: Floats) -> Floats:
        """pos (t,), omega (pairs,) radian / token -> (t, pairs) radian"""
        return self.angles(self.positions(pos)[:, None] * self.frequencies(omega))


EXACT = Rounding()
ROUNDINGS = {
    "positions and angles in bfloat16": Rounding(to_bfloat16, to_bfloat16, to_bfloat16),
    "positions in bfloat16": Rounding(positions=to_bfloat16),
    "frequencies in bfloat16": Rounding(frequencies=to_bfloat16),
    "positions and angles in float16": Rounding(to_float16, to_float16, to_float16),
    "positions in float16": Rounding(positions=to_float16),
    "frequencies in float16": Rounding(frequencies=to_float16),
    "angles in float32": Rounding(to_float32, to_float32, to_float32),
}


def omega_of(line: Convention, d_model: int) -> Floats:
    """Frequencies of a convention.  -> (n_pair,) radian / token"""
    return frequencies(d_model, line.base, schedule=line.schedule, odd=line.odd)


def rows_of(line: Convention, row: npt.NDArray, d_model: int, rounding: Rounding = EXACT) -> Floats:
    """Rows ``row`` (t,) of a convention whose scale is a number, with its angles rounded.  -> (t, d_model)"""
    pos = line.offset + line.step * row
    angle = rounding.angle(pos, omega_of(line, d_model))
    with np.errstate(invalid="ignore"):  # float16 overflows
        waves = np.concatenate([np.sin(angle), np.cos(angle), 0 * pos[:, None]], axis=1)
    return float(line.scale) * waves[:, column_order(d_model, layout=line.layout, odd=line.odd)]


# Frequencies by way of the logarithm


@dataclass(frozen=True)
class FrequencyDistances:
    """Root mean square of the relative distance from measured frequencies to those formed in three ways."""

    to_exact: float
    to_power: float  # 1 / base ** (2i / d) in float32
    to_logarithm: float  # exp(-2i log(base) / d) in float32, the nearer of two ways to write it


def frequency_distances(rows: Floats, line: Convention) -> FrequencyDistances | None:
    """How far the frequencies of rows (t, d) are from those of the convention that they follow, by way of making.

    None where too few turn fast enough for their rounding to show.
    """
    d_model, n_pair = rows.shape[1], rows.shape[1] // 2
    pos = line.offset + np.arange(len(rows))
    omega = omega_of(line, d_model)
    fast = (omega * pos[-1] > 3) & (omega < 0.999)
    if fast.sum() < 8:
        return None
    waves = np.empty_like(rows)
    waves[:, column_order(d_model, layout=line.layout)] = rows
    z = (waves[:, n_pair:] + 1j * waves[:, :n_pair]) / float(line.scale)  # (t, n_pair)
    miss = np.angle(z * np.exp(-1j * pos[:, None] * omega))  # (t, n_pair) radian
    slope = (miss * pos[:, None]).sum(axis=0) / (pos**2).sum()  # (n_pair,) radian / token
    measured = slope / omega

    def distance(other: npt.NDArray) -> float:
        """From the frequencies measured to others, both as they differ from the exact ones."""
        off = measured - (other / omega - 1)
        return np.sqrt(np.mean(off[fast] ** 2))

    i = np.arange(n_pair, dtype=np.float32)
    log = -np.log(line.base)
    by_power = 1 / np.float32(line.base) ** (2 * i / np.float32(d_model))
    factor_first = np.exp(2 * i * np.float32(log / d_model))
    product_first = np.exp(np.float32(log) * i / np.float32(n_pair))
    by_logarithm = min(distance(factor_first), distance(product_first))
    return FrequencyDistances(distance(omega), distance(by_power), by_logarithm)
