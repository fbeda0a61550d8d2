"""Encodings that are a bias on the scores, depending on the distance alone."""

import math

import torch
from torch import Generator, Tensor, nn

from pe_lib import check
from pe_lib.encodings.base import PositionEncoding, distances, drawn


class DistanceBias(PositionEncoding):
    """A bias of each head that depends on the distance alone; a subclass states it in `of_distance`."""

    def of_distance(self, distance: Tensor) -> Tensor:
        """The bias at these distances.  distance (...) float64 on the CPU -> (h, ...)"""
        raise NotImplementedError

    def bias(self, q: Tensor, k: Tensor, pos_q: Tensor, pos_k: Tensor) -> Tensor:
        distance = distances(pos_q, pos_k)  # (t, s) or (b, t, s)
        if distance.ndim > 2 or not torch.equal(distance[1:, 1:], distance[:-1, :-1]):
            return self.of_distance(distance).movedim(0, -3).to(q)
        # Positions are evenly spaced: t + s - 1 distances make the whole matrix, whose row m is a window on them.
        every_distance = torch.cat([distance[:, 0].flip(0), distance[0, 1:]])
        values = self.of_distance(every_distance).to(q)  # (h, t + s - 1)
        return values.unfold(-1, len(pos_k), 1).flip(-2)


class Alibi(DistanceBias):
    """-slope_h * |distance|, with the slopes of `bias.alibi_slopes`.  No parameters.

    With a causal mask the ALiBi of the paper, without one the symmetric encoder form, which cannot tell left from
    right.  Press et al. 2021, arXiv 2108.12409, sec. 3.
    """

    def __init__(self, n_head: int):
        super().__init__()
        self.n_head = check.size("n_head", n_head)
        power = 2 ** (self.n_head.bit_length() - 1)
        h = torch.arange(1, power + 1, dtype=torch.float64)
        between = torch.arange(self.n_head - power, dtype=torch.float64) + 0.5  # the slopes of 2P, halfway between
        self.slope = 2.0 ** (-8 * torch.cat([h, between]) / power)

    def of_distance(self, distance: Tensor) -> Tensor:
        return -_per_head(self.slope, distance) * distance.abs()


class T5(DistanceBias):
    """A learned number for each head and bucket of distances (`bias.t5_bucket`), shared by all blocks, times scale.

    A bucket whose distances are not seen in training keeps its first values, N(0, std**2); released code has
    std = d_model ** -0.5.  An optimizer like Adam moves a number by about its learning rate a step, whatever that
    number is for: ``scale`` says how far that moves the bias.  T5 also leaves out 1/sqrt(head_dim), which this model
    keeps.  Raffel et al. 2019, arXiv 1910.10683, sec. 2.1.
    """

    def __init__(
        self,
        n_head: int,
        *,
        bidirectional: bool,
        num_buckets: int = 32,
        max_distance: int = 128,
        std: float = 0.1,
        scale: float = 1.0,
        generator: Generator,
    ):
        super().__init__()
        self.n_head = check.size("n_head", n_head)
        self.scale = check.between("scale", scale, 1e-30, 1e30)
        num_buckets = check.size("num_buckets", num_buckets, even=True, least=4)
        self.bidirectional = check.flag("bidirectional", bidirectional)
        self.one_side = num_buckets // 2 if self.bidirectional else num_buckets
        self.max_distance = check.size("max_distance", max_distance)
        if self.max_distance <= self.one_side // 2:
            least = f"greater than {self.one_side // 2} where num_buckets = {num_buckets}"
            raise ValueError(f"max_distance must be {least}, got {max_distance}")
        check.room(num_buckets=num_buckets, n_head=self.n_head)
        self.table = drawn((num_buckets, self.n_head), std, generator)

    def of_distance(self, distance: Tensor) -> Tensor:
        before = distance.clamp(min=0)
        far = (distance.abs() if self.bidirectional else before).floor()
        half = self.one_side // 2
        grown = (far.clamp(min=half) / half).log() / math.log(self.max_distance / half)
        # Exact boundaries fall short of a whole number by 1e-16.
        logarithmic = half + (grown * (self.one_side - half) + 1e-9).floor()
        bucket = torch.where(far < half, far, logarithmic.clamp(max=self.one_side - 1))
        if self.bidirectional:
            bucket = bucket + self.one_side * (distance < 0)
        return self.scale * self.table[bucket.long()].movedim(-1, 0)


class KerpleLog(DistanceBias):
    """-r1 ln(1 + r2 |distance|), r1 and r2 > 0 learned by each head: a conditionally positive definite kernel.

    First values U(0, 2) and U(0, 1); before each use both are brought to at least 0.01, as the authors' code does.
    ``scale`` multiplies the bias, as in `T5`.  Chi et al. 2022, arXiv 2205.09921, sec. 4.
    """

    each_block = True
    first = (2.0, 1.0)  # r1 and r2 are drawn from 0 to here
    most_r2: float | None = None

    def __init__(self, n_head: int, *, scale: float = 1.0, generator: Generator):
        super().__init__()
        self.n_head = check.size("n_head", n_head)
        self.scale = check.between("scale", scale, 1e-30, 1e30)
        check.instance("generator", generator, Generator)
        r1, r2 = torch.rand(2, self.n_head, generator=generator)
        self.r1 = nn.Parameter(self.first[0] * r1)
        self.r2 = nn.Parameter(self.first[1] * r2)

    def of_distance(self, distance: Tensor) -> Tensor:
        # The numbers themselves are clamped: a clamp of their values would stop their gradients.
        self.r1.data.clamp_(min=0.01)
        self.r2.data.clamp_(min=0.01, max=self.most_r2)
        kernel = self.kernel(_per_head(self.r1, distance), _per_head(self.r2, distance), distance.abs())
        return self.scale * kernel

    def kernel(self, r1: Tensor, r2: Tensor, far: Tensor) -> Tensor:
        return -r1 * (r2 * far).log1p()


class KerplePower(KerpleLog):
    """-r1 |distance| ** r2, with r2 at most 2.  First values U(0, 1) and U(0, 2).  With r2 = 1 it is ALiBi."""

    first = (1.0, 2.0)
    most_r2 = 2.0

    def kernel(self, r1: Tensor, r2: Tensor, far: Tensor) -> Tensor:
        return -r1 * far**r2


class Sandwich(DistanceBias):
    """The dot product of two sinusoidal encodings as the bias: sum_i cos(omega_i distance) n_head / (8 h).

    omega_i = base ** (-2i / width), i = 0 .. width/2 - 1; h = 1 .. n_head.  No parameters, nothing is added to the
    embeddings.  Chi et al. 2022, "Dissecting Transformer Length Extrapolation", arXiv 2212.10356, sec. 4.
    """

    def __init__(self, n_head: int, *, width: int = 128, base: float = 10_000.0):
        super().__init__()
        self.n_head = check.size("n_head", n_head)
        width = check.size("width", width, even=True, least=2)
        two_i = torch.arange(0, width, 2, dtype=torch.float64)
        self.omega = check.real("base", base, above=1) ** (-two_i / width)  # (width/2,) radian / token
        h = torch.arange(1, self.n_head + 1, dtype=torch.float64)
        self.slope = self.n_head / (8 * h)

    def of_distance(self, distance: Tensor) -> Tensor:
        kernel = (distance[..., None] * self.omega).cos().sum(dim=-1)
        return _per_head(self.slope, distance) * kernel


def _per_head(values: Tensor, distance: Tensor) -> Tensor:
    """values (h,) in float64, to be multiplied with distance (...).  -> (h, 1, ...)"""
    return values.cpu().double().reshape(-1, *[1] * distance.ndim)
