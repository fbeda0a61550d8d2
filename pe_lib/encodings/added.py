"""Encodings that are added to the embeddings."""

import torch
from numpy.typing import ArrayLike
from torch import Generator, Tensor, nn

from pe_lib import check
from pe_lib.encodings.base import PositionEncoding, drawn


class Sinusoidal(PositionEncoding):
    """Adds sin(pos * omega_i) in column 2i and cos(pos * omega_i) in column 2i + 1.

    omega_i = base ** (-2i / d_model) radian / token, i = 0 .. d_model/2 - 1 counts pairs.  Any real positions, any
    length; no parameters.  Vaswani et al. 2017, sec. 3.5.
    """

    def __init__(self, d_model: int, base: float = 10_000.0):
        super().__init__()
        self.d_model = check.size("d_model", d_model, even=True, least=2)
        base = check.real("base", base, above=1)
        two_i = torch.arange(0, self.d_model, 2, dtype=torch.float64)
        # Not a buffer: module.to(bfloat16) would round a buffer, and with it every angle.
        self.omega = base ** (-two_i / self.d_model)  # (d/2,) radian / token

    def embed(self, x: Tensor, pos: Tensor) -> Tensor:
        angle = pos[..., None] * self.omega  # (..., t, d/2) radian
        return x + torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(-2).to(x)


class ScaledSinusoidal(Sinusoidal):
    """Adds the sinusoidal encoding times one learned number, 1 at first.  Li et al. 2019, arXiv 1809.08895."""

    def __init__(self, d_model: int, base: float = 10_000.0):
        super().__init__(d_model, base)
        self.scale = nn.Parameter(torch.ones(()))

    def embed(self, x: Tensor, pos: Tensor) -> Tensor:
        return x + self.scale * super().embed(torch.zeros_like(x), pos)


class FixedTable(PositionEncoding):
    """Adds row `pos` of a given table (max_len, d), for study: misreadings, shuffled rows, random codes.

    Positions that are no rows of the table raise ValueError.
    """

    def __init__(self, table: ArrayLike):
        super().__init__()
        self.table = _checked(table)
        self.d_model = self.table.shape[1]

    def embed(self, x: Tensor, pos: Tensor) -> Tensor:
        return x + self.table[_rows(pos, len(self.table))].to(x)


class Split(PositionEncoding):
    """Token and position side by side: row `pos` of a table (max_len, k) takes the place of the last k columns.

    For study: so a model of width d keeps d - k columns for the token.  Positions that are no rows of the table raise
    ValueError, as does a table that is not narrower than the embeddings.
    """

    def __init__(self, table: ArrayLike):
        super().__init__()
        self.table = _checked(table)

    def embed(self, x: Tensor, pos: Tensor) -> Tensor:
        k = self.table.shape[1]
        if not 1 <= k < x.shape[-1]:
            raise ValueError(f"table must have from 1 to d_model - 1 = {x.shape[-1] - 1} columns, got {k}")
        rows = self.table[_rows(pos, len(self.table))].to(x)  # (t, k) or (b, t, k)
        return torch.cat([x[..., :-k], rows.expand(*x.shape[:-1], k)], dim=-1)


class Learned(PositionEncoding):
    """Adds a learned row per position, drawn at first from N(0, std**2).  No row beyond max_len: ValueError.

    Vaswani et al. 2017, table 3 (E); std = 0.02 is the choice of GPT-2 and BERT, and matters at small budgets.
    """

    def __init__(self, d_model: int, max_len: int, std: float = 0.02, *, generator: Generator):
        super().__init__()
        max_len = check.size("max_len", max_len)
        self.d_model = check.size("d_model", d_model)
        check.room(max_len=max_len, d_model=self.d_model)
        self.table = drawn((max_len, self.d_model), std, generator)

    def embed(self, x: Tensor, pos: Tensor) -> Tensor:
        return x + self.table[_rows(pos, len(self.table))]


def _checked(table: ArrayLike) -> Tensor:
    checked = torch.from_numpy(check.reals("table", table, ndim=2))
    if not checked.float().isfinite().all():
        raise ValueError("table must be finite in float32 too, the type of most models")
    return checked


def _rows(pos: Tensor, n_row: int) -> Tensor:
    rows = pos.long()
    if (rows != pos).any() or rows.min() < 0 or rows.max() >= n_row:
        raise ValueError(
            f"pos must be whole numbers from 0 to {n_row - 1}: the table has {n_row} rows and none beyond, "
            f"got positions from {pos.min():g} to {pos.max():g}"
        )
    return rows
