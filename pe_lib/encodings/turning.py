"""Encodings that turn queries and keys: rotary and its family."""

import itertools
import math
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from pe_lib import check
from pe_lib.encodings.base import PerBlock, PositionEncoding, all_heads, distances

SMALL = 2**14  # numbers of a head, below which a call for each costs more than it saves


class Rotary(PositionEncoding):
    """Turns each pair of a query and a key by pos * omega_i, so that their score depends on the distance alone.

    omega_i = base ** (-2i / rotary_dim) radian / token.  No parameters.  Su et al. 2021, arXiv 2104.09864.
    rotary_dim  entries of a head that turn, with the frequencies of that width; by default all ("partial": GPT-J)
    p           below 1 keeps the first floor(p * rotary_dim / 2) frequencies and sets the slower ones to 0 ("p-RoPE",
                Barbero et al. 2024, arXiv 2410.06205, sec. 6); 0 is no encoding
    pairing     "interleaved": pair i in entries 2i and 2i + 1; "half": in i and i + rotary_dim/2
    """

    def __init__(
        self,
        head_dim: int,
        base: float = 10_000.0,
        *,
        pairing: str = "interleaved",
        rotary_dim: int | None = None,
        p: float = 1.0,
    ):
        super().__init__()
        self.pairing = check.choice("pairing", pairing, ("interleaved", "half"))
        self.head_dim = check.size("head_dim", head_dim, even=rotary_dim is None, least=2)
        rotary_dim = self.head_dim if rotary_dim is None else check.size("rotary_dim", rotary_dim, even=True, least=2)
        if rotary_dim > self.head_dim:
            raise ValueError(f"rotary_dim must be at most head_dim = {head_dim}, got {rotary_dim}")
        two_i = torch.arange(0, rotary_dim, 2, dtype=torch.float64)
        base = check.real("base", base, above=1)
        self.omega = base ** (-two_i / rotary_dim)  # (rotary_dim/2,) radian / token
        p = check.fraction("p", p)
        n_turning = math.floor(p * rotary_dim / 2)
        self.omega[n_turning:] = 0

    def turn(self, q: Tensor, k: Tensor, pos_q: Tensor, pos_k: Tensor) -> tuple[Tensor, Tensor]:
        turn_q = self._cos_sin(pos_q, q)
        turn_k = turn_q if pos_k is pos_q else self._cos_sin(pos_k, k)
        return self._turned(q, *turn_q), self._turned(k, *turn_k)

    def _cos_sin(self, pos: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        angle = all_heads(pos[..., None] * self.omega)  # (..., 1, t, rotary_dim/2) radian
        dtype = torch.promote_types(x.dtype, torch.float32)  # bfloat16 is turned as float32
        return angle.cos().to(x.device, dtype), angle.sin().to(x.device, dtype)

    def _turned(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """x (b, h, t, e), where one sequence or one token is repeated for all the positions there are."""
        shape = torch.broadcast_shapes(x.shape[:-1], cos.shape[:-1])
        return _Rotation.apply(x.expand(*shape, -1), cos, sin, self.pairing)


class _Rotation(torch.autograd.Function):
    """Pairs (a, b) of x (b, h, t, e) turned to (a cos - b sin, b cos + a sin), other entries as they are.

    The gradient of a rotation is the rotation back.  cos and sin (..., 1, t, rotary_dim/2) get none.  This is for
    autograd, not for torch.func.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor, pairing: str) -> Tensor:
        ctx.save_for_backward(cos, sin)
        ctx.pairing = pairing
        head_dim, rotary_dim = x.shape[-1], 2 * cos.shape[-1]
        if pairing == "interleaved" and rotary_dim == head_dim:
            rotate, factors = _rotate_complex, [torch.complex(cos, sin)]
            x = x if _is_complex(x) else x.clone(memory_format=torch.contiguous_format)
        else:
            rotate, factors = partial(_rotate_pairs, pairing), [_at_pairs(cos, head_dim, pairing), sin]
        if x.dtype == cos.dtype:
            return rotate(x, torch.empty_like(x), *factors)
        if x.shape[-2:].numel() < SMALL or x.device.type != "cpu":
            return rotate(x.to(cos), torch.empty_like(x, dtype=cos.dtype), *factors).to(x)
        # Head by head, what is turned in float32 stays in the cache.
        y = torch.empty_like(x)
        head, turned = torch.empty(2, *x.shape[-2:], dtype=cos.dtype, device=x.device)
        factors = [factor.expand(*x.shape[:-1], -1) for factor in factors]
        for place in itertools.product(*map(range, x.shape[:-2])):
            y[place] = rotate(head.copy_(x[place]), turned, *(factor[place] for factor in factors))
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        cos, sin = ctx.saved_tensors
        return _Rotation.apply(grad, cos, -sin, ctx.pairing), None, None, None


def _rotate_complex(x: Tensor, y: Tensor, turn: Tensor) -> Tensor:
    """Write into y, as one product for each pair.  x (..., t, e), turn (..., t, e/2)"""
    x_complex, y_complex = (torch.view_as_complex(part.unflatten(-1, (-1, 2))) for part in (x, y))
    torch.mul(x_complex, turn, out=y_complex)
    return y


def _rotate_pairs(pairing: str, x: Tensor, y: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Write into y, in whatever pairs.  x, cos (..., t, e), sin (..., t, rotary_dim/2)"""
    rotary_dim = 2 * sin.shape[-1]
    torch.mul(x, cos, out=y)
    a, b = _pairs(x, rotary_dim, pairing)
    y_a, y_b = _pairs(y, rotary_dim, pairing)
    y_a.addcmul_(b, sin, value=-1)
    y_b.addcmul_(a, sin)
    return y


def _is_complex(x: Tensor) -> bool:
    """Do neighbours lie in memory as the parts of complex numbers do?"""
    return x.stride(-1) == 1 and not any(stride % 2 for stride in (*x.stride()[:-1], x.storage_offset()))


def _at_pairs(cos: Tensor, head_dim: int, pairing: str) -> Tensor:
    """The cosine of each entry's pair, 1 where it has none.  -> (..., head_dim)"""
    result = cos.new_ones(*cos.shape[:-1], head_dim)
    for entries in _pairs(result, 2 * cos.shape[-1], pairing):
        entries.copy_(cos)
    return result


def _pairs(x: Tensor, rotary_dim: int, pairing: str) -> tuple[Tensor, Tensor]:
    """The first and the second entry of each pair.  -> each (..., rotary_dim/2)"""
    half = rotary_dim // 2
    if pairing == "interleaved":
        return x[..., 0:rotary_dim:2], x[..., 1:rotary_dim:2]
    return x[..., :half], x[..., half:rotary_dim]


class PartialRotary(Rotary):
    """Rotary on about a quarter of a head, as in GPT-J, in its pairing; the other entries do not turn."""

    def __init__(self, head_dim: int, base: float = 10_000.0, *, rotary_dim: int | None = None):
        quarter = max(2, check.size("head_dim", head_dim) // 8 * 2)
        super().__init__(head_dim, base, rotary_dim=quarter if rotary_dim is None else rotary_dim)


class PRotary(Rotary):
    """Rotary whose slowest pairs, by default a quarter, do not turn.  Barbero et al. 2024, arXiv 2410.06205."""

    def __init__(self, head_dim: int, base: float = 10_000.0, *, p: float = 0.75):
        super().__init__(head_dim, base, p=p)


class WindowedRotary(Rotary):
    """Rotary, and a query sees no key ``window`` tokens away or farther: a sliding window, as in Mistral."""

    def __init__(self, head_dim: int, base: float = 10_000.0, *, window: int):
        super().__init__(head_dim, base)
        self.window = check.size("window", window)

    def bias(self, q: Tensor, k: Tensor, pos_q: Tensor, pos_k: Tensor) -> Tensor:
        far = distances(pos_q, pos_k).abs() >= self.window
        hidden = torch.zeros(far.shape, dtype=q.dtype).masked_fill(far, torch.finfo(q.dtype).min)
        return all_heads(hidden).to(q)


class RotaryNope(PerBlock):
    """Rotary in all blocks but every fourth (of two or three, the last), which has no encoding: SmolLM3.

    With a ``window`` the rotary blocks look no farther than that, so that none meets a distance it was not trained
    on: Yang et al. 2025 (arXiv 2501.18795), Llama 4 (in chunks, and with a temperature that is left out here).
    """

    def __init__(
        self,
        head_dim: int,
        n_layer: int,
        base: float = 10_000.0,
        *,
        every: int | None = None,
        window: int | None = None,
    ):
        n_layer = check.size("n_layer", n_layer)
        if every is None:
            every = max(2, min(4, n_layer))
        every = check.size("every", every, least=2, most=10_000)
        rotary = Rotary(head_dim, base) if window is None else WindowedRotary(head_dim, base, window=window)
        super().__init__([rotary] * (every - 1) + [PositionEncoding()])


class XPos(Rotary):
    """Rotary, and pair i of the score times zeta_i ** (distance / scale_base), which fades with distance.

    zeta_i = (2i / head_dim + gamma) / (1 + gamma), so that fast pairs fade first; interleaved pairs.  Queries are
    multiplied by zeta ** (pos / scale_base) and keys divided by it, counted from the middle of all positions, which
    cancels in the score and keeps both in range: in float32 for some 30,000 tokens, beyond that ValueError.  For
    causal models: towards later keys the factor grows.  No parameters.  Blockwise attention at inference, the paper's
    other half, is not a matter of encoding and is left out.  Sun et al. 2022, arXiv 2212.10554.
    """

    def __init__(self, head_dim: int, base: float = 10_000.0, *, scale_base: float = 512.0, gamma: float = 0.4):
        super().__init__(head_dim, base)
        gamma = check.real("gamma", gamma, above=0)
        two_i = torch.arange(0, self.head_dim, 2, dtype=torch.float64)
        zeta = (two_i / self.head_dim + gamma) / (1 + gamma)  # (e/2,)
        scale_base = check.real("scale_base", scale_base, above=1e-100)
        self.decay = zeta.log() / scale_base

    def turn(self, q: Tensor, k: Tensor, pos_q: Tensor, pos_k: Tensor) -> tuple[Tensor, Tensor]:
        first = torch.minimum(pos_q.min(), pos_k.min())
        last = torch.maximum(pos_q.max(), pos_k.max())
        # The largest score, of the first query with the last key, has the product of both scales as a factor.  A
        # causal mask hides it, but only after it is computed.
        largest = (last - first) * self.decay.abs().max()
        if largest > 0.9 * math.log(torch.finfo(q.dtype).max):
            why = f"too far for xpos of this scale_base and gamma in {q.dtype}"
            raise ValueError(f"pos must not be {last - first:g} tokens apart: {why}")
        middle = (first + last) / 2
        q, k = super().turn(q, k, pos_q, pos_k)
        scale_q = self._scale(pos_q - middle)
        scale_k = 1 / self._scale(pos_k - middle)
        return q * scale_q.to(q), k * scale_k.to(k)

    def _scale(self, pos: Tensor) -> Tensor:
        scale = (pos[..., None] * self.decay).exp()  # (..., t, e/2)
        return all_heads(scale.repeat_interleave(2, dim=-1))


class PoPE(PositionEncoding):
    """Polar: the size of an entry says what, its angle says where.  Entries need no partner.

    score = sum_c softplus(q_c) softplus(k_c) cos((pos_k - pos_q) theta_c + delta_c) / sqrt(head_dim),
    theta_c = base ** (-c / head_dim) for c = 0 .. head_dim - 1: as many frequencies as entries, twice those of
    rotary.  delta (h, e) is learned, kept inside -2 pi .. 0, and 0 at first.  Queries and keys become twice as wide,
    so that the model divides by sqrt(2 head_dim); the factor 2 ** (1/4) on both undoes it.
    Gopalakrishnan et al. 2025, arXiv 2509.10534.
    """

    each_block = True

    def __init__(self, n_head: int, head_dim: int, base: float = 10_000.0):
        super().__init__()
        self.n_head = check.size("n_head", n_head)
        self.head_dim = check.size("head_dim", head_dim)
        check.room(n_head=self.n_head, head_dim=self.head_dim)
        c = torch.arange(self.head_dim, dtype=torch.float64)
        base = check.real("base", base, above=1)
        self.theta = base ** (-c / self.head_dim)  # (e,) radian / token
        self.delta = nn.Parameter(torch.zeros(self.n_head, 1, self.head_dim))

    def turn(self, q: Tensor, k: Tensor, pos_q: Tensor, pos_k: Tensor) -> tuple[Tensor, Tensor]:
        angle_q = all_heads(pos_q[..., None] * self.theta)  # (..., 1, t, e) radian
        angle_k = all_heads(pos_k[..., None] * self.theta)
        # The number itself is clamped: a clamp of its value would stop its gradient.
        self.delta.data.clamp_(-2 * math.pi, 0)
        delta = self.delta.double().to(angle_k.device)
        return self._polar(q, angle_q), self._polar(k, angle_k + delta)

    def _polar(self, x: Tensor, angle: Tensor) -> Tensor:
        size = 2**0.25 * nn.functional.softplus(x)
        cos, sin = angle.cos().to(x), angle.sin().to(x)
        return torch.cat([size * cos, size * sin], dim=-1)
