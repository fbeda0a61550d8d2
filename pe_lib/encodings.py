"""Where position enters a model: one small class an encoding, all behind the same four methods.

    which positions      positions(seq_len) -> (t,)
    the embeddings       embed(x, pos) -> x                 x (b, t, d)
    queries and keys     turn(q, k, pos) -> q, k            q, k (b, h, t, e)
    the logits           bias(q, k, pos) -> (h, t, s) or (b, h, t, s) or None

Positions are float64 on the CPU; angles are formed in float64 and cast to the type of the model last.  A new
encoding is a class that overrides what it changes, and one line in `ENCODINGS`; the model is not touched.
"""

import torch
from torch import Tensor, nn

from pe_lib import check
from pe_lib.rotary import PAIRINGS


class PositionEncoding(nn.Module):
    """No encoding ("NoPE"): the base class changes nothing.  Kazemnejad et al. 2023, arXiv 2305.19466."""

    def positions(self, seq_len: int) -> Tensor:
        """The positions of a sequence, 0 .. seq_len - 1.  -> (t,) float64"""
        return torch.arange(seq_len, dtype=torch.float64)

    def embed(self, x: Tensor, pos: Tensor) -> Tensor:
        """The embeddings (b, t, d) with position in them."""
        return x

    def turn(self, q: Tensor, k: Tensor, pos: Tensor) -> tuple[Tensor, Tensor]:
        """Queries and keys (b, h, t, e) with position in them."""
        return q, k

    def bias(self, q: Tensor, k: Tensor, pos: Tensor) -> Tensor | None:
        """What is added to the attention scores, (h, t, s) or (b, h, t, s); None for nothing."""
        return None


class Sinusoidal(PositionEncoding):
    """Adds sin(pos * omega_i) in column 2i and cos(pos * omega_i) in column 2i + 1.

    omega_i = base ** (-2i / d_model) radian / token, i = 0 .. d_model/2 - 1 counts pairs.  Any real positions,
    any length; no parameters.  Vaswani et al. 2017, sec. 3.5.  `pe_lib.sinusoidal` states the same in NumPy.
    Raises ValueError or TypeError if d_model is not a positive even integer or base is not finite and > 1.
    """

    def __init__(self, d_model: int, base: float = 10_000.0):
        super().__init__()
        d_model = check.size("d_model", d_model, even=True, least=2)
        base = check.real("base", base, above=1)
        two_i = torch.arange(0, d_model, 2, dtype=torch.float64)
        # Not a buffer: module.to(bfloat16) would round a buffer, and with it every angle.
        self.omega = base ** (-two_i / d_model)  # (d/2,) radian / token

    def embed(self, x: Tensor, pos: Tensor) -> Tensor:
        angle = pos[..., None] * self.omega  # (t, d/2) radian
        return x + torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(-2).to(x)


class FixedTable(PositionEncoding):
    """Adds row `pos` of a given table, for study: misreadings, shuffled rows, random codes.  table (max_len, d)

    Raises ValueError or TypeError for a table that is not finite, and for positions that are not its rows.
    """

    def __init__(self, table):
        super().__init__()
        self.table = torch.from_numpy(check.reals("table", table, ndim=2))

    def embed(self, x: Tensor, pos: Tensor) -> Tensor:
        return x + self.table[_rows(pos, len(self.table))].to(x)


class Learned(PositionEncoding):
    """Adds a learned row per position, drawn at first from N(0, std**2).  No row beyond max_len.

    Vaswani et al. 2017, table 3 (E); std = 0.02 is the choice of GPT-2 and BERT, and matters at small budgets.
    Raises ValueError or TypeError for sizes that are not positive integers or std not > 0, and for positions
    that are not rows of the table.
    """

    def __init__(self, d_model: int, max_len: int, std: float = 0.02, *, generator: torch.Generator):
        super().__init__()
        shape = check.size("max_len", max_len), check.size("d_model", d_model)
        std = check.real("std", std, above=0)
        self.table = nn.Parameter(torch.empty(shape).normal_(0, std, generator=generator))

    def embed(self, x: Tensor, pos: Tensor) -> Tensor:
        return x + self.table[_rows(pos, len(self.table))]


class Rotary(PositionEncoding):
    """Turns each pair of a query and a key by pos * omega_i, so that their score depends on the distance alone.

    omega_i = base ** (-2i / rotary_dim) radian / token; ``rotary_dim`` entries of a head turn, all by default.
    pairing "interleaved": pair i in entries 2i and 2i + 1; "half": in i and i + rotary_dim/2; see `pe_lib.rotary`,
    which states the same in NumPy.  No parameters.  Su et al. 2021, arXiv 2104.09864.
    Raises ValueError or TypeError if rotary_dim (or, without it, head_dim) is not a positive even integer of at most
    head_dim, base is not finite and > 1, or pairing is unknown.
    """

    def __init__(
        self, head_dim: int, base: float = 10_000.0, *, pairing: str = "interleaved", rotary_dim: int | None = None
    ):
        super().__init__()
        self.pairing = check.choice("pairing", pairing, PAIRINGS)
        if rotary_dim is None:
            rotary_dim = check.size("head_dim", head_dim, even=True, least=2)
        elif check.size("rotary_dim", rotary_dim, even=True, least=2) > check.size("head_dim", head_dim):
            raise ValueError(f"rotary_dim must be at most head_dim = {head_dim}, got {rotary_dim}")
        two_i = torch.arange(0, rotary_dim, 2, dtype=torch.float64)
        self.omega = check.real("base", base, above=1) ** (-two_i / rotary_dim)  # (rotary_dim/2,) radian / token

    def turn(self, q: Tensor, k: Tensor, pos: Tensor) -> tuple[Tensor, Tensor]:
        angle = pos[..., None] * self.omega  # (t, rotary_dim/2) radian
        cos, sin = angle.cos().to(q), angle.sin().to(q)
        return self._turned(q, cos, sin), self._turned(k, cos, sin)

    def _turned(self, x, cos, sin):
        turns, stays = x[..., : 2 * len(self.omega)], x[..., 2 * len(self.omega) :]
        split = (-1, 2) if self.pairing == "interleaved" else (2, -1)
        axis = -1 if self.pairing == "interleaved" else -2
        a, b = turns.unflatten(-1, split).unbind(axis)  # each (b, h, t, rotary_dim/2)
        turned = torch.stack([a * cos - b * sin, b * cos + a * sin], dim=axis).flatten(-2)
        return torch.cat([turned, stays], dim=-1)


def _rows(pos: Tensor, n_row: int) -> Tensor:
    rows = pos.long()
    if (rows != pos).any() or rows.min() < 0 or rows.max() >= n_row:
        raise ValueError(
            f"pos must be whole numbers from 0 to {n_row - 1}: the table has {n_row} rows and none beyond, "
            f"got positions from {pos.min():g} to {pos.max():g}"
        )
    return rows


# name -> how it is built from the sizes in a transformer.Config, a generator for what is drawn, and its options
ENCODINGS = {
    "nope": lambda config, generator: PositionEncoding(),
    "sinusoidal": lambda config, generator, **options: Sinusoidal(config.d_model, **options),
    "learned": lambda config, generator, **options: Learned(
        config.d_model, config.max_len, generator=generator, **options
    ),
    "rope": lambda config, generator, **options: Rotary(config.d_model // config.n_head, **options),
}


def build(name: str, config, generator: torch.Generator, **options) -> PositionEncoding:
    """The encoding called ``name``, sized for ``config`` (a `transformer.Config`).

    Raises ValueError for an unknown name, TypeError for an option that the encoding does not have.
    """
    try:
        return ENCODINGS[check.choice("encoding", name, ENCODINGS)](config, generator, **options)
    except TypeError as error:
        if "unexpected keyword" not in str(error):
            raise
        raise TypeError(f"encoding {name} has no such option: {error}") from None
