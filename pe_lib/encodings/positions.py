"""Encodings that change which positions another encoding gets."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pe_lib import check
from pe_lib.encodings.base import PositionEncoding


class Wrapper(PositionEncoding):
    """Another encoding, unchanged; a subclass overrides what it changes."""

    def __init__(self, inner: PositionEncoding):
        super().__init__()
        if not isinstance(inner, PositionEncoding):
            raise TypeError(f"inner must be a PositionEncoding, got {type(inner).__name__}")
        self.inner = inner

    @classmethod
    def options(cls) -> dict[str, Any]:
        """Its options; `build` takes a name as the inner encoding."""
        return super().options() | {"inner": "sinusoidal"}

    def positions(self, seq_len: int) -> Tensor:
        return self.inner.positions(seq_len)

    def embed(self, x: Tensor, pos: Tensor) -> Tensor:
        return self.inner.embed(x, pos)

    def turn(self, q: Tensor, k: Tensor, pos_q: Tensor, pos_k: Tensor) -> tuple[Tensor, Tensor]:
        return self.inner.turn(q, k, pos_q, pos_k)

    def bias(self, q: Tensor, k: Tensor, pos_q: Tensor, pos_k: Tensor) -> Tensor | None:
        return self.inner.bias(q, k, pos_q, pos_k)

    def block(self, i: int) -> PositionEncoding:
        return self.inner.block(i)


class Randomised(Wrapper):
    """Positions drawn anew for every forward: seq_len different ones below max_pos, in order.  Also when evaluating.

    So every position up to max_pos is trained on by short sequences; those of ``inner`` are not asked.  One draw for
    the whole batch, from a state that `state_dict` holds and evaluations move on too.  As nothing keeps a draw, a
    cache of keys can only be gone on from with positions that the caller keeps.  More than max_pos tokens raise
    ValueError.  Ruoss et al. 2023, arXiv 2305.16843, sec. 3.
    """

    state: Tensor

    def __init__(self, inner: PositionEncoding, max_pos: int = 2048, *, generator: torch.Generator):
        super().__init__(inner)
        self.max_pos = check.size("max_pos", max_pos, most=10_000_000)
        self.register_buffer("state", _new_state(generator))

    def positions(self, seq_len: int) -> Tensor:
        seq_len = check.size("seq_len", seq_len)
        if seq_len > self.max_pos:
            raise ValueError(f"seq_len must be at most max_pos = {self.max_pos}, got {seq_len}")
        shuffled = _with_state(self.state, lambda generator: torch.randperm(self.max_pos, generator=generator))
        return shuffled[:seq_len].sort().values.double()


class Shape(Wrapper):
    """All positions moved by one offset, drawn for every forward from 0 .. max_offset; none when evaluating.

    The paper draws one a sequence; here the sequences of a batch share it.  Kiyono et al. 2021, arXiv 2109.05644,
    sec. 3.
    """

    state: Tensor

    def __init__(self, inner: PositionEncoding, max_offset: int = 512, *, generator: torch.Generator):
        super().__init__(inner)
        self.max_offset = check.size("max_offset", max_offset)
        self.register_buffer("state", _new_state(generator))

    def positions(self, seq_len: int) -> Tensor:
        pos = self.inner.positions(seq_len)
        if not self.training:
            return pos
        offsets = self.max_offset + 1
        return pos + _with_state(self.state, lambda generator: torch.randint(offsets, (), generator=generator))


def _new_state(generator: torch.Generator) -> Tensor:
    check.instance("generator", generator, torch.Generator)
    seed = torch.randint(2**62, (), generator=generator)
    return torch.Generator().manual_seed(int(seed)).get_state()


def _with_state(state: Tensor, draw: Callable[[torch.Generator], Tensor]) -> Tensor:
    """What ``draw`` draws from a generator in this state; the state goes on."""
    generator = torch.Generator().set_state(state.cpu())
    values = draw(generator)
    state.copy_(generator.get_state())
    return values
