"""Wrong readings of the formula, known by the values they give; and what made the first rows of a table."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pe_lib.conventions import Convention, GridConvention
from pe_lib.identify.identification import Identification, identify_values
from pe_lib.identify.rounding import rows_of

OTHER_BASES = np.exp(np.linspace(2, 16, 141))
MOST_ROWS = 64  # that are looked at
PREFIXES = (256, 64, 24)  # rows, the longest that is precise is looked at


@dataclass(frozen=True)
class Reading:
    """A wrong reading: the exponent of each column is exponent / d_model, and which columns are sines, (d_model,)"""

    name: str
    exponent: npt.NDArray[np.integer]
    is_sine: npt.NDArray[np.bool_]

    def rows(self, pos: npt.NDArray, base: float) -> npt.NDArray[np.float64]:
        """pos (t,) -> (t, d_model)"""
        angle = pos[:, None] * base ** (-self.exponent / len(self.exponent))
        return np.where(self.is_sine, np.sin(angle), np.cos(angle))


@dataclass(frozen=True)
class Misreading:
    """A reading, its base and the position of row 0, that give the values of a table.

    error        root mean square of what is left, relative to the scale
    is_intended  the base is the one that was meant
    """

    name: str
    base: float
    offset: int
    error: float
    is_intended: bool

    def _preference(self) -> tuple:
        return self.error, not self.is_intended, self.name, self.offset, self.base


def explanation(rows: npt.NDArray[np.float64], base: float) -> Identification | Misreading:
    """What made the first rows of a table (t, d): a convention, a misreading, or neither (a ``layout`` of None).

    ``base`` is the one that was meant.
    """
    first = _precise_prefix(rows)
    if not _is_precise(first):
        misreading = _misreading(rows, base, first.convention if first else None)
        if misreading is not None:
            return misreading
    return first or identify_values(rows[: PREFIXES[-1]], wrong_angles=True)


def _precise_prefix(rows: npt.NDArray) -> Identification | None:
    """The convention of the longest prefix that has one: angles formed in low precision go wrong later on."""
    for n in PREFIXES:
        first = identify_values(rows[:n])
        if first.layout is not None:
            return first
    return None


def _is_precise(first: Identification | None) -> bool:
    """Does the convention give the values so well that no misreading can be meant?"""
    if first is None or first.error is None or first.scale is None:
        return False
    return first.error <= 1e-3 * abs(first.scale)


def _misreading(rows: npt.NDArray, base: float, convention: Convention | GridConvention | None) -> Misreading | None:
    """The wrong reading that gives these rows, with the base intended or another.

    ``convention`` is what was identified, if anything was: a misreading must come much nearer.
    """
    values = rows[:MOST_ROWS]
    n, d_model = values.shape
    if d_model < 4 or n < 4 or not values.any():
        return None
    unit = values / np.sqrt(2 * np.mean(values**2))
    best = min(_fits(unit, base), key=Misreading._preference)
    error = 0.3
    if isinstance(convention, Convention):
        left = values - rows_of(convention, np.arange(n), d_model)
        error = np.sqrt(np.mean(left**2)) / abs(float(convention.scale))
    return best if best.error <= error / 3 else None


def _fits(values: npt.NDArray, base: float) -> Iterator[Misreading]:
    """How well each reading gives the values, with each base and from position 0 or 1 on."""
    pos = np.arange(len(values))
    for reading in _readings(values.shape[1]):
        for offset in (0, 1):
            for other in (base, *OTHER_BASES):
                rows = reading.rows(pos + offset, other)
                scale = np.vdot(rows, values) / np.vdot(rows, rows)
                error = np.sqrt(np.mean((values - scale * rows) ** 2)) / max(abs(scale), 0.1)
                yield Misreading(reading.name, float(other), offset, error, bool(other == base))


def _readings(d_model: int) -> list[Reading]:
    column = np.arange(d_model)
    i, is_sine = column // 2, column % 2 == 0
    return [
        Reading("column", 2 * column, is_sine),
        Reading("unpaired", column, is_sine),
        Reading("multiplied", -2 * i, is_sine),
        Reading("swapped", 2 * i, ~is_sine),
    ]
