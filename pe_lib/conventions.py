"""How well-known code writes the formula: conventions, tables made by them, and the way from one to another.

The conventions are the rows of ``data/conventions.csv``; a new one is a new row.
Arguments are checked at the door by `check`: what cannot be used raises ValueError or TypeError with its name.
"""

import csv
from dataclasses import KW_ONLY, dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from pe_lib import DATA, check
from pe_lib.check import Floats
from pe_lib.sinusoidal import column_order, frequencies, sinusoidal

_OTHER_FREQUENCIES = (
    "target has other frequencies than source (another schedule, base or odd width): the information is not in the "
    "table, and no order of its columns is that of target; make it anew with target.table(n, d_model)"
)


@dataclass(frozen=True)
class Convention:
    """One way to make a table of the encoding: everything but its size.

    The fields are the arguments of `sinusoidal`; besides, row r holds position offset + step * r, and scale may be
    "d_model**-0.5".  Neither step nor scale is 0.

    >>> Convention(offset=2.0, step=-1.0).table(3, 2).round(2).tolist()  # positions 2, 1, 0
    [[0.91, -0.42], [0.84, 0.54], [0.0, 1.0]]
    """

    layout: str = "interleaved"
    schedule: str = "paper"
    base: float = 10_000.0
    odd: str = "error"
    offset: float = 0.0  # position of row 0 (tokens)
    scale: float | str = 1.0  # factor on every entry, or "d_model**-0.5"
    _: KW_ONLY
    step: float = 1.0  # tokens from one row to the next; -1 where the table descends
    source: str = field(default="", compare=False, repr=False)  # who does it so

    def __post_init__(self) -> None:
        if isinstance(self.scale, str):
            check.choice("scale", self.scale, ("d_model**-0.5",))
        else:
            object.__setattr__(self, "scale", check.between("scale", self.scale, -1e100, 1e100))
        for name in ("offset", "step"):
            object.__setattr__(self, name, check.between(name, getattr(self, name), -1e100, 1e100))
        for name in ("scale", "step"):
            if getattr(self, name) == 0:
                raise ValueError(f"{name} must not be 0")
        self.table(1, 2)  # what `sinusoidal` refuses

    def table(self, n: int, d_model: int) -> Floats:
        """The first n rows.  -> (n, d_model)"""
        d_model = check.size("d_model", d_model, least=2)
        n = check.size("n", n)
        check.room(n=n, d_model=d_model)
        pos = self.step * np.arange(n) + self.offset
        table = sinusoidal(pos, d_model, self.base, schedule=self.schedule, layout=self.layout, odd=self.odd)
        return self._factor(d_model) * table

    def _factor(self, d_model: int) -> float:
        return d_model**-0.5 if isinstance(self.scale, str) else self.scale


@dataclass(frozen=True)
class GridConvention:
    """One way to encode the cells of a grid, two coordinates side by side: half of the columns for each.

    ``blocks`` names the four blocks of d_model/4 columns in their order; w is the column of a cell and h its row,
    both counted from 0.  Cells are listed row by row.

    >>> GridConvention().table((1, 2), 4).round(2).tolist()  # sin w, cos w, sin h, cos h
    [[0.0, 1.0, 0.0, 1.0], [0.84, 0.54, 0.0, 1.0]]
    """

    blocks: tuple[str, ...] = ("sin w", "cos w", "sin h", "cos h")
    schedule: str = "paper"
    base: float = 10_000.0
    source: str = field(default="", compare=False, repr=False)

    def __post_init__(self) -> None:
        is_listed = isinstance(self.blocks, (tuple, list))
        if not is_listed or sorted(map(str, self.blocks)) != ["cos h", "cos w", "sin h", "sin w"]:
            got = check.short(self.blocks)
            raise ValueError(f"blocks must be sin w, cos w, sin h and cos h in some order, got {got}")
        object.__setattr__(self, "blocks", tuple(self.blocks))
        frequencies(2, self.base, schedule=self.schedule)  # what it refuses

    def table(self, n: tuple[int, int], d_model: int) -> Floats:
        """The cells of a grid of n = (rows, columns).  -> (rows * columns, d_model), d_model a multiple of 4"""
        if not isinstance(n, (tuple, list)) or len(n) != 2:
            raise TypeError(f"n must be (rows, columns) of the grid, got {check.short(n)}")
        height, width = check.size("n", n[0]), check.size("n", n[1])
        d_model = check.size("d_model", d_model)
        if d_model % 4:
            raise ValueError(f"d_model must be a multiple of 4, got {d_model}")
        check.room(n=height * width, d_model=d_model)
        h, w = np.divmod(np.arange(height * width), width)  # each (rows * columns,)
        of_row = sinusoidal(h, d_model // 2, self.base, schedule=self.schedule, layout="halves")
        of_column = sinusoidal(w, d_model // 2, self.base, schedule=self.schedule, layout="halves")
        sin_h, cos_h = np.split(of_row, 2, axis=1)  # each (rows * columns, d_model/4)
        sin_w, cos_w = np.split(of_column, 2, axis=1)
        blocks = {"sin h": sin_h, "cos h": cos_h, "sin w": sin_w, "cos w": cos_w}
        return np.concatenate([blocks[name] for name in self.blocks], axis=1)


AnyConvention = Convention | GridConvention


def _read() -> dict[str, AnyConvention]:
    """The rows of data/conventions.csv, by their names."""
    with open(DATA / "conventions.csv", newline="", encoding="utf-8") as file:
        return {row["name"]: _from_row(row) for row in csv.DictReader(file)}


def _from_row(row: dict[str, str]) -> AnyConvention:
    base = float(row["base"])
    source = row["source"]
    if "," in row["layout"]:
        blocks = tuple(row["layout"].split(", "))
        return GridConvention(blocks, row["schedule"], base, source=source)
    offset = float(row["offset"])
    scale = row["scale"] if row["scale"] == "d_model**-0.5" else float(row["scale"])
    step = float(row["step"])
    return Convention(row["layout"], row["schedule"], base, row["odd"], offset, scale, step=step, source=source)


# Well-known code, by the name it is known under.  data/conventions.csv has more of what each does.
CONVENTIONS = _read()


@check.finite
def convert(table: ArrayLike, source: AnyConvention | str, target: AnyConvention | str) -> Floats:
    """The table of one convention as that of another.  table (t, d_model) of ``source`` -> (t, d_model)

    ``source`` and ``target`` are conventions or names in `CONVENTIONS`.  Columns are put in the other order, entries
    are scaled, and where the rows hold other positions each pair is turned by what is missing.  Where the positions
    agree nothing is computed from the values, so any table, a trained one too, can be put in the other order.
    ValueError says what is missing where the target holds what the source does not: other frequencies are no
    rearrangement, and a column that was cut off cannot be had back.

    >>> convert([[1, 2, 3, 4]], "paper", "marian").tolist()  # sines first
    [[1.0, 3.0, 2.0, 4.0]]
    """
    table = check.reals("table", table, ndim=2)
    source = _convention("source", source)
    target = _convention("target", target)
    if isinstance(source, Convention) and isinstance(target, Convention):
        return _convert_line(table, source, target)
    if isinstance(source, GridConvention) and isinstance(target, GridConvention):
        return _convert_grid(table, source, target)
    raise ValueError("target must encode as many coordinates as source does: one is of a line, one of a grid")


def _convert_line(table: Floats, source: Convention, target: Convention) -> Floats:
    n_row, d_model = table.shape
    check.size("number of columns of table", d_model, even=source.odd == "error", least=2)
    omega = frequencies(d_model, source.base, schedule=source.schedule, odd=source.odd)  # (n_pair,) radian / token
    omega_target = frequencies(d_model, target.base, schedule=target.schedule, odd=target.odd)
    n_pair = len(omega)
    if n_pair != len(omega_target) or not np.allclose(omega, omega_target, rtol=1e-12, atol=0):
        raise ValueError(_OTHER_FREQUENCIES)

    # Unpack the columns: sines, cosines, zero.  A column that was cut off is not known.
    order = column_order(d_model, layout=source.layout, odd=source.odd)
    waves = np.full((n_row, 2 * n_pair + 1), np.nan)
    waves[:, order] = table

    # Turn each pair by the positions that are missing.
    further = target.offset - source.offset + (target.step - source.step) * np.arange(n_row)  # (t,) tokens
    if further.any():
        angle = further[:, None] * omega  # (t, n_pair) radian
        sine, cosine, last = np.split(waves, [n_pair, 2 * n_pair], axis=1)
        turned_sine = sine * np.cos(angle) + cosine * np.sin(angle)
        turned_cosine = cosine * np.cos(angle) - sine * np.sin(angle)
        waves = np.concatenate([turned_sine, turned_cosine, last], axis=1)

    # Pack them in the other order.
    result = waves[:, column_order(d_model, layout=target.layout, odd=target.odd)]
    if np.isnan(result).any():
        lost = np.setdiff1d(np.arange(2 * n_pair), order)[0]
        wave = "sine" if lost < n_pair else "cosine"
        raise ValueError(f"source has no {wave} of pair {lost % n_pair}, which target needs: that column was cut off")
    return result * (target._factor(d_model) / source._factor(d_model))


def _convert_grid(table: Floats, source: GridConvention, target: GridConvention) -> Floats:
    if (source.schedule, source.base) != (target.schedule, target.base):
        raise ValueError(_OTHER_FREQUENCIES)
    if table.shape[1] % 4:
        raise ValueError(f"table must have a multiple of 4 columns, got {table.shape[1]}")
    blocks = dict(zip(source.blocks, np.split(table, 4, axis=1), strict=True))
    return np.concatenate([blocks[name] for name in target.blocks], axis=1)


def _convention(name: str, convention: AnyConvention | str) -> AnyConvention:
    if isinstance(convention, (Convention, GridConvention)):
        return convention
    return CONVENTIONS[check.choice(name, convention, CONVENTIONS)]
