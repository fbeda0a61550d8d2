"""Which convention made a table, from its values alone.

`estimate` measures, on the first rows.  A convention is named only if it makes the whole table again.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from pe_lib import check
from pe_lib.conventions import CONVENTIONS, Convention, GridConvention
from pe_lib.identify import words
from pe_lib.identify.estimate import PAPER_BASE, Fit, fits, rounded
from pe_lib.sinusoidal import SCHEDULES, frequencies

MOST_ROWS = 1024  # rows from which the convention is found; all rows are then compared with it


@dataclass(frozen=True)
class Identification:
    """What `identify` found.  ``layout`` is None where nothing fits, and all fields but ``text`` then are None too.

    The fields are those of `conventions.Convention`; of a grid, ``layout`` has the four blocks ("sin w, cos w, ...").
    ``schedule`` and ``base`` are None where one pair is all there is, since its frequency is 1 whatever they are.
    ``error`` is the largest difference between the table and the convention.  ``text`` says what was found, what
    could not be known, and on what evidence.
    """

    layout: str | None
    schedule: str | None = None
    base: float | None = None
    offset: float | None = None
    scale: float | None = None
    odd: str | None = None
    step: float | None = None
    error: float | None = None
    text: str = ""

    def __str__(self) -> str:
        return self.text

    @property
    def convention(self) -> Convention | GridConvention | None:
        """The convention found, or None; base and schedule are the paper's where they cannot be known."""
        odd, offset, scale, step = self.odd, self.offset, self.scale, self.step
        if self.layout is None or odd is None or offset is None or scale is None or step is None:
            return None
        base, schedule = self.base or PAPER_BASE, self.schedule or SCHEDULES[0]
        if "," in self.layout:
            return GridConvention(tuple(self.layout.split(", ")), schedule, base)
        return Convention(self.layout, schedule, base, odd, offset, scale, step=step)


def identify(table: npt.ArrayLike) -> Identification:
    """The convention that made a table, from its values.  table (t, d), t >= 3, d >= 2, rows in order

    The base is estimated from the turning of the columns, so any base is found, as are offset, scale, and the
    step between rows where it is not 1 (offsets up to 1e6; for a step three pairs, and less than 3 tokens).  Rows
    that are all zero, as of a padding token, are left out.  A base, an offset or a scale is given as the roundest
    number that the values allow.  Of a grid, tables of at least 3 x 3 cells are found, from position 0 on and at
    scale 1.
    Impossible in principle, and said so in the text: fewer than three rows; one column; the base and the schedule of
    a single pair; which schedule, where another with another base makes the same table (the rounder base is named).
    Raises ValueError or TypeError if the table is empty, not finite, not real or has other than 2 axes.

    >>> from pe_lib.sinusoidal import sinusoidal
    >>> found = identify(sinusoidal(range(5, 45), 16, layout="halves"))
    >>> found.layout, found.schedule, found.base, found.offset
    ('halves', 'paper', 10000.0, 5.0)
    """
    return identify_values(as_table(table))


def as_table(table: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The values of an array or a tensor of any precision.  -> (t, d) float64

    Of more than two axes those of length 1 are dropped.  Raises ValueError or TypeError if it is empty, not finite,
    not real or has other than 2 longer axes.
    """
    table = check.reals("table", table)
    if table.ndim > 2:
        table = table.squeeze()
    if table.ndim != 2 or table.size == 0:
        raise ValueError(f"table must be (positions, columns), neither empty, got shape {table.shape}")
    return table


def identify_values(table: npt.NDArray[np.float64], *, wrong_angles: bool = False) -> Identification:
    """As `identify`, of values that were checked, but may be infinite or NaN.

    With ``wrong_angles`` (see `estimate.fits`) later rows may leave the convention of the first.
    """
    row = np.flatnonzero(table.any(axis=1))
    reason = _unknowable(table, row)
    if reason:
        return _none(table, f"cannot be known: {reason}")
    some = row[:MOST_ROWS]
    values = table[some]
    largest = np.abs(values).max()
    size = largest * np.sqrt(np.mean((values / largest) ** 2))  # squares neither overflow nor vanish
    near, seen = fits(values / size, some, wrong_angles=wrong_angles)
    if not near:
        return _grid(table) or _none(table, "learned or unknown", seen)
    scale = _round_scale(near[0], size, values.size)
    fit = replace(near[0], scale=scale)
    away = np.abs(table[row] - fit.rows(row, table.shape[1])).max(axis=1)  # (t,)
    limit = 0.1 * abs(scale) + 10 * away[:MOST_ROWS].max()
    if not wrong_angles and away.max() > limit:
        first = row[(away > limit).argmax()]
        return _none(table, f"learned or unknown: the first {MOST_ROWS} rows are a sinusoid, but not row {first}")
    facts = words.Facts(
        n_row=table.shape[0],
        d_model=table.shape[1],
        fit=fit,
        one_pair=len(frequencies(table.shape[1], odd=fit.odd)) == 1,
        error=float(away.max()),
        worst=row[away.argmax()],
        zeros=np.setdiff1d(np.arange(len(table)), row),
        fits=near,
    )
    return _line(facts)


def _none(table: npt.NDArray, verdict: str, seen: list[str] | None = None) -> Identification:
    """What is said of a table without a name."""
    n_row, d_model = table.shape
    return Identification(None, text=words.text_of_none(n_row, d_model, verdict, seen or []))


def _unknowable(table: npt.NDArray, row: npt.NDArray) -> str:
    """Why a table can have no name, whatever its values; empty if it can."""
    if not np.isfinite(table).all():
        return "entries are NaN or infinite"
    if table.shape[1] < 2 or len(row) < 3:
        return "it takes 3 rows and 2 columns that are not zero to tell a wave from a constant"
    if (table[row] == table[row[0]]).all():
        return "all rows are the same, nothing depends on the position"
    return ""


def _round_scale(fit: Fit, size: float, n_entry: int) -> float:
    """The scale of a fit to values that were divided by ``size``; round, if three digits are enough."""
    scale = size * abs(fit.scale)
    tolerance = size * (6 * fit.rms / np.sqrt(n_entry) + 1e-9)
    short, digits = rounded(scale - tolerance, scale, scale + tolerance)
    return float(np.copysign(short if digits <= 3 else scale, fit.scale))


def _line(facts: words.Facts) -> Identification:
    """The identification of a table whose convention was found."""
    fit = facts.fit
    return Identification(
        layout=fit.layout,
        schedule=None if facts.one_pair else fit.schedule,
        base=None if facts.one_pair else float(fit.base),
        offset=float(fit.offset),
        scale=fit.scale,
        odd=fit.odd,
        step=float(fit.step),
        error=facts.error,
        text=words.text_of_line(facts),
    )


# Grids


def _grid(table: npt.NDArray) -> Identification | None:
    """The identification of a table of the cells of a grid, or None."""
    n_cell, d_model = table.shape
    if d_model % 4:
        return None
    for known in CONVENTIONS.values():
        if not isinstance(known, GridConvention):
            continue
        for width in _grid_widths(n_cell):
            identification = _grid_of_width(table, known.blocks, width)
            if identification is not None:
                return identification
    return None


def _grid_widths(n_cell: int) -> Iterator[int]:
    """The cells that a row of the grid may have; at least three rows of at least three."""
    for width in range(3, n_cell // 3 + 1):
        if n_cell % width == 0:
            yield width


def _grid_of_width(table: npt.NDArray, blocks: tuple[str, ...], width: int) -> Identification | None:
    """The identification as a grid with these blocks, whose first row of cells is the line to look at."""
    n_cell, d_model = table.shape
    block = dict(zip(blocks, np.split(table, 4, axis=1), strict=True))
    sines, cosines = block["sin w"], block["cos w"]
    if not np.allclose(sines[:width], sines[width : 2 * width], atol=0.05):
        return None
    # Pair 0 turns by one radian a cell, whatever the base; to look for a base takes much longer.
    wave = np.exp(1j * np.arange(3))
    if np.abs(cosines[:3, 0] + 1j * sines[:3, 0] - wave).max() > 0.3:
        return None
    line = identify_values(np.hstack([sines, cosines])[:width])
    if line.error is None or line.layout != "halves" or (line.offset, line.scale, line.step) != (0, 1, 1):
        return None
    grid = (n_cell // width, width)
    convention = GridConvention(blocks, line.schedule or SCHEDULES[0], line.base or PAPER_BASE)
    error = float(np.abs(convention.table(grid, d_model) - table).max())
    if error >= max(10 * line.error, 1e-6):
        return None
    text = words.text_of_grid(grid, d_model, convention, line.schedule or "any", error)
    return replace(line, layout=", ".join(blocks), odd="error", error=error, text=text)
