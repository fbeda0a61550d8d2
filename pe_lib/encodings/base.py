"""Where position enters a model: the interface of an encoding, and an encoding for each block.

    which positions      positions(seq_len) -> (t,)
    the embeddings       embed(x, pos) -> x                  x (b, t, d)
    queries and keys     turn(q, k, pos_q, pos_k) -> q, k    q (b, h, t, e), k (b, h, s, e)
    the logits           bias(q, k, pos_q, pos_k)            -> (h, t, s), (b, h, t, s) or None
    which block asks     block(i) -> PositionEncoding        by default itself

Positions are float64 on the CPU: (t,), or (b, t) where each sequence of a batch has its own.  Queries and keys may
stand at different positions and be differently many, as in decoding with a cache.  Angles and distances are formed in
float64 and cast to the type of the model last.  A score is q . k / sqrt(head_dim) + bias; distance means the position
of the query minus that of the key.  `pe_lib.sinusoidal`, `rotary` and `bias` state the same formulas in NumPy.

Arguments are checked by `pe_lib.check`, which raises ValueError or TypeError with the name of the argument.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar, cast

import torch
from torch import Generator, Tensor, nn

from pe_lib import check

if TYPE_CHECKING:
    from pe_lib.transformer import Config


class PositionEncoding(nn.Module):
    """No encoding ("NoPE"): the base class changes nothing.  Kazemnejad et al. 2023, arXiv 2305.19466."""

    each_block: ClassVar[bool] = False  # has every block one of its own, with its own parameters?

    def __init__(self) -> None:
        super().__init__()

    @classmethod
    def for_model(cls, config: Config, generator: Generator, **options: Any) -> PositionEncoding:
        """The encoding sized for a model: arguments of its constructor named in `SIZES` come from the model."""
        sizes = _sizes(config, generator)
        wanted = {name: value for name, value in sizes.items() if name in inspect.signature(cls).parameters}
        if not cls.each_block:
            return cls(**wanted, **options)
        return PerBlock(cls(**wanted, **options) for _ in range(config.n_layer))

    @classmethod
    def options(cls) -> dict[str, Any]:
        """Its options and their defaults: the other arguments of its constructor."""
        arguments = inspect.signature(cls).parameters.values()
        return {argument.name: argument.default for argument in arguments if argument.name not in SIZES}

    def positions(self, seq_len: int) -> Tensor:
        """The positions of a sequence, 0 .. seq_len - 1.  -> (t,) float64"""
        return torch.arange(check.size("seq_len", seq_len), dtype=torch.float64)

    def embed(self, x: Tensor, pos: Tensor) -> Tensor:
        """The embeddings (b, t, d) with position in them."""
        return x

    def turn(self, q: Tensor, k: Tensor, pos_q: Tensor, pos_k: Tensor) -> tuple[Tensor, Tensor]:
        """Queries (b, h, t, e) and keys (b, h, s, e) with position in them."""
        return q, k

    def bias(self, q: Tensor, k: Tensor, pos_q: Tensor, pos_k: Tensor) -> Tensor | None:
        """What is added to the scores, (h, t, s) or (b, h, t, s); None for nothing.  q and k are turned."""
        return None

    def block(self, i: int) -> PositionEncoding:
        """The encoding of block i, which is asked to turn and for its bias."""
        return self


class PerBlock(PositionEncoding):
    """One encoding a block, from the first again where there are more blocks: PerBlock([rotary, rotary, nope]).

    Positions and embeddings come before the blocks: they are those of the first encoding.
    """

    def __init__(self, encodings: Iterable[PositionEncoding]):
        super().__init__()
        listed = list(encodings) if isinstance(encodings, Iterable) else []
        if not listed or not all(isinstance(encoding, PositionEncoding) for encoding in listed):
            raise TypeError(f"encodings must be one PositionEncoding or more, got {check.short(encodings)}")
        self.encodings = nn.ModuleList(listed)

    def positions(self, seq_len: int) -> Tensor:
        return self._encoding(0).positions(seq_len)

    def embed(self, x: Tensor, pos: Tensor) -> Tensor:
        return self._encoding(0).embed(x, pos)

    def turn(self, q: Tensor, k: Tensor, pos_q: Tensor, pos_k: Tensor) -> tuple[Tensor, Tensor]:
        raise TypeError("this encoding differs from block to block: ask that of a block, as block(0)")

    def bias(self, q: Tensor, k: Tensor, pos_q: Tensor, pos_k: Tensor) -> Tensor | None:
        raise TypeError("this encoding differs from block to block: ask that of a block, as block(0)")

    def block(self, i: int) -> PositionEncoding:
        return self._encoding(i).block(i)

    def _encoding(self, i: int) -> PositionEncoding:
        return cast(PositionEncoding, self.encodings[i % len(self.encodings)])


SIZES = ("d_model", "n_head", "head_dim", "n_layer", "max_len", "bidirectional", "generator")


def _sizes(config: Config, generator: Generator) -> dict[str, Any]:
    """What a constructor may ask of the model, by the names in `SIZES`."""
    head_dim = config.d_model // config.n_head
    values = (config.d_model, config.n_head, head_dim, config.n_layer, config.max_len, not config.causal, generator)
    return dict(zip(SIZES, values, strict=True))


def distances(pos_q: Tensor, pos_k: Tensor) -> Tensor:
    """Position of each query minus that of each key.  pos_q (t,) or (b, t), pos_k (s,) or (b, s) -> (..., t, s)"""
    return pos_q[..., :, None] - pos_k[..., None, :]


def all_heads(values: Tensor) -> Tensor:
    """What all heads share, with an axis for them.  values (..., t, n) -> (..., 1, t, n)"""
    return values.unsqueeze(-3)


def pick(score: Tensor, column: Tensor) -> Tensor:
    """Entry column[m, n] of each row m.  score (b, h, t, n), column (t, s) or (b, t, s) -> (b, h, t, s)"""
    column = all_heads(column.to(score.device))
    return score.gather(-1, column.expand(*score.shape[:-1], column.shape[-1]))


def whole(distance: Tensor) -> Tensor:
    """Distances as whole numbers; ValueError where they are none.  0.1 + 0.2 - 0.3 is one, but for rounding."""
    off = (distance - distance.round()).abs().max()
    if off > 1e-6:
        raise ValueError(f"pos must be whole numbers apart, as the rows of the table are, got {off:g} off")
    return distance.round().long()


def drawn(shape: Iterable[int], std: float, generator: Generator) -> nn.Parameter:
    """A parameter with first values from N(0, std**2)."""
    std = check.between("std", std, 1e-30, 1e30)  # of float32
    check.instance("generator", generator, Generator)
    return nn.Parameter(torch.empty(*shape).normal_(0, std, generator=generator))


def uniform(shape: Iterable[int], most: float, generator: Generator) -> nn.Parameter:
    """A parameter with first values from U(-most, most)."""
    check.instance("generator", generator, Generator)
    return nn.Parameter(torch.empty(*shape).uniform_(-most, most, generator=generator))
