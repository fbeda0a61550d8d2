"""How well-known code writes the formula: conventions, tables made by them, and the way from one to another.

The conventions are the rows of ``data/conventions.csv``; a new one is a new row.
"""

import csv
from dataclasses import KW_ONLY, dataclass, field

import numpy as np

from pe_lib import DATA, check
from pe_lib.sinusoidal import column_order, frequencies, sinusoidal


@dataclass(frozen=True)
class Convention:
    """One way to make a table of the encoding: everything but its size.

    The fields are the arguments of `sinusoidal`; besides, row r holds position offset + step * r, and scale may be
    "d_model**-0.5".  ``source`` says who does it so; it is not compared.
    Raises ValueError or TypeError for a field that `sinusoidal` would refuse, and for a step or scale of 0.
    """

    layout: str = "interleaved"
    schedule: str = "paper"
    base: float = 10_000.0
    odd: str = "error"
    offset: float = 0.0  # position of row 0 (tokens)
    scale: float | str = 1.0  # factor on every entry, or "d_model**-0.5"
    _: KW_ONLY
    step: float = 1.0  # tokens from one row to the next; -1 where the table descends
    source: str = field(default="", compare=False, repr=False)

    def __post_init__(self):
        if isinstance(self.scale, str):
            check.choice("scale", self.scale, ("d_model**-0.5",))
        elif check.real("scale", self.scale) == 0:
            raise ValueError("scale must not be 0")
        if check.real("step", self.step) == 0:
            raise ValueError("step must not be 0")
        sinusoidal(0, 2, self.base, **self._arguments(2))

    def _arguments(self, d_model):
        scale = d_model**-0.5 if isinstance(self.scale, str) else self.scale
        return {
            "schedule": self.schedule,
            "layout": self.layout,
            "odd": self.odd,
            "offset": self.offset,
            "scale": scale,
        }

    def table(self, n: int, d_model: int) -> np.ndarray:
        """The first n rows.  -> (n, d_model) float64.  Raises ValueError or TypeError as `sinusoidal` does."""
        d_model = check.size("d_model", d_model, least=2)
        rows = self.step * np.arange(check.size("n", n))
        return sinusoidal(rows, d_model, self.base, **self._arguments(d_model))

    def _columns(self, d_model):
        """(d_model,) index into [sines | cosines | zero], and the frequencies (n_pair,) in radian / token."""
        omega = frequencies(d_model, self.base, schedule=self.schedule, odd=self.odd)
        return column_order(d_model, layout=self.layout, odd=self.odd), omega


@dataclass(frozen=True)
class GridConvention:
    """One way to encode the cells of a grid, two coordinates side by side: half of the columns for each.

    ``blocks`` names the four blocks of d_model/4 columns in their order; w is the column of a cell and h its row,
    both counted from 0.  Cells are listed row by row.
    Raises ValueError or TypeError for blocks that are not these four, and as `frequencies` does.
    """

    blocks: tuple[str, ...] = ("sin w", "cos w", "sin h", "cos h")
    schedule: str = "paper"
    base: float = 10_000.0
    source: str = field(default="", compare=False, repr=False)

    def __post_init__(self):
        object.__setattr__(self, "blocks", tuple(self.blocks))
        if sorted(self.blocks) != ["cos h", "cos w", "sin h", "sin w"]:
            raise ValueError(f"blocks must be sin w, cos w, sin h and cos h in some order, got {self.blocks}")
        frequencies(2, self.base, schedule=self.schedule)

    def table(self, n: tuple[int, int], d_model: int) -> np.ndarray:
        """The cells of a grid of n = (rows, columns).  -> (rows * columns, d_model) float64

        Raises ValueError or TypeError if d_model is not a positive multiple of 4 or n not two positive integers.
        """
        if not isinstance(n, (tuple, list)) or len(n) != 2:
            raise TypeError(f"n must be (rows, columns) of the grid, got {n!r}")
        height, width = (check.size("n", one) for one in n)
        if check.size("d_model", d_model) % 4:
            raise ValueError(f"d_model must be a multiple of 4, got {d_model}")
        h, w = np.divmod(np.arange(height * width), width)
        halves = {axis: sinusoidal(cell, d_model // 2, self.base, schedule=self.schedule, layout="halves")
                  for axis, cell in (("h", h), ("w", w))}  # each (rows * columns, d_model / 2)  # fmt: skip
        block = {f"{wave} {axis}": halves[axis][:, part : part + d_model // 4]
                 for axis in "hw" for wave, part in (("sin", 0), ("cos", d_model // 4))}  # fmt: skip
        return np.concatenate([block[name] for name in self.blocks], axis=1)


def _read() -> dict[str, Convention | GridConvention]:
    """The rows of data/conventions.csv, by their names."""
    conventions = {}
    with open(DATA / "conventions.csv", newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            conventions[row["name"]] = _from_row(row)
    return conventions


def _from_row(row: dict[str, str]) -> Convention | GridConvention:
    base, source = float(row["base"]), row["source"]
    if "," in row["layout"]:
        return GridConvention(tuple(row["layout"].split(", ")), row["schedule"], base, source=source)
    scale = row["scale"] if row["scale"] == "d_model**-0.5" else float(row["scale"])
    offset, step = float(row["offset"]), float(row["step"])
    return Convention(row["layout"], row["schedule"], base, row["odd"], offset, scale, step=step, source=source)


# Well-known code, by the name it is known under.  data/conventions.csv has more of what each does.
CONVENTIONS = _read()


def convert(table, source, target) -> np.ndarray:
    """The table of one convention as that of another.  table (t, d_model) of ``source`` -> (t, d_model) float64

    ``source`` and ``target`` are conventions or names in `CONVENTIONS`.  Columns are put in the other order, entries
    are scaled, and where the rows hold other positions each pair is turned by what is missing.  Where the positions
    agree nothing is computed from the values, so any table, a trained one too, can be put in the other order.
    Raises TypeError for a table that does not hold real numbers; ValueError for one that is not (t, d_model) or not
    finite, an unknown name, or a grid where the other is a line; and ValueError, saying what is missing, where the
    target holds what the source does not: other frequencies are no rearrangement, and a column that was cut off
    cannot be had back.
    """
    table = check.reals("table", table, ndim=2)
    source, target = (_named(name, one) for name, one in (("source", source), ("target", target)))
    if type(source) is not type(target):
        raise ValueError("target must encode as many coordinates as source does: one is of a line, one of a grid")
    d_model = table.shape[1]
    if isinstance(source, GridConvention):
        if (source.schedule, source.base) != (target.schedule, target.base):
            raise ValueError(_OTHER_FREQUENCIES)
        if d_model % 4:
            raise ValueError(f"table must have a multiple of 4 columns, got {d_model}")
        blocks = dict(zip(source.blocks, np.split(table, 4, axis=1), strict=True))
        return np.concatenate([blocks[name] for name in target.blocks], axis=1)
    (order, omega), (wanted, omega_wanted) = source._columns(d_model), target._columns(d_model)
    if len(omega) != len(omega_wanted) or not np.allclose(omega, omega_wanted, rtol=1e-12, atol=0):
        raise ValueError(_OTHER_FREQUENCIES)
    n_pair, row = len(omega), np.arange(len(table))
    waves = np.full((len(table), 2 * n_pair + 1), np.nan)  # sines, cosines, zero
    waves[:, -1] = 0
    waves[:, order] = table
    further = target.offset - source.offset + (target.step - source.step) * row  # (t,) tokens
    if further.any():
        sine, cosine = waves[:, :n_pair].copy(), waves[:, n_pair:-1].copy()
        s, c = np.sin(further[:, None] * omega), np.cos(further[:, None] * omega)  # (t, n_pair)
        waves[:, :n_pair], waves[:, n_pair:-1] = sine * c + cosine * s, cosine * c - sine * s
    result = waves[:, wanted]
    if np.isnan(result).any():
        lost = np.setdiff1d(np.arange(2 * n_pair), order)[0]
        raise ValueError(
            f"source has no {'sine' if lost < n_pair else 'cosine'} of pair {lost % n_pair}, which target needs: "
            "that column was cut off"
        )
    return result * (target._arguments(d_model)["scale"] / source._arguments(d_model)["scale"])


_OTHER_FREQUENCIES = (
    "target has other frequencies than source (another schedule, base or odd width): the information is not in the "
    "table, and no order of its columns is that of target; make it anew with target.table(n, d_model)"
)


def _named(name, convention):
    if isinstance(convention, (Convention, GridConvention)):
        return convention
    return CONVENTIONS[check.choice(name, convention, CONVENTIONS)]
