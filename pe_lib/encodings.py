"""Where position enters a model: one small class an encoding, all behind the same four methods.

    which positions      positions(seq_len) -> (t,)
    the embeddings       embed(x, pos) -> x                 x (b, t, d)
    queries and keys     turn(q, k, pos) -> q, k            q, k (b, h, t, e)
    the logits           bias(q, k, pos) -> (h, t, s) or (b, h, t, s) or None

A forward calls `embed` once, then `turn` and `bias` once a block, in the order of the blocks.  Positions are float64
on the CPU; angles and distances are formed in float64 and cast to the type of the model last.  A score is
q . k / sqrt(head_dim) + bias; distance means position of the query minus position of the key.

A new encoding is a class that overrides what it changes, and one line in `ENCODINGS`; the model is not touched.
`pe_lib.sinusoidal`, `pe_lib.rotary` and `pe_lib.bias` state the same formulas in NumPy.
"""

import math

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
        """What is added to the attention scores, (h, t, s) or (b, h, t, s); None for nothing.  q and k are turned."""
        return None


# ---- added to the embeddings


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


class ScaledSinusoidal(Sinusoidal):
    """Adds the sinusoidal encoding times one learned number, 1 at first.  Li et al. 2019, arXiv 1809.08895, sec. 3.2.

    Raises as `Sinusoidal` does.
    """

    def __init__(self, d_model: int, base: float = 10_000.0):
        super().__init__(d_model, base)
        self.scale = nn.Parameter(torch.ones(()))

    def embed(self, x: Tensor, pos: Tensor) -> Tensor:
        return x + self.scale * super().embed(torch.zeros_like(x), pos)


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


# ---- turning queries and keys


class Rotary(PositionEncoding):
    """Turns each pair of a query and a key by pos * omega_i, so that their score depends on the distance alone.

    omega_i = base ** (-2i / rotary_dim) radian / token.  ``rotary_dim`` entries of a head turn, all by default, with
    the frequencies of that width ("partial", GPT-J and GPT-NeoX).  p < 1 keeps the first floor(p * rotary_dim / 2)
    frequencies and sets the slower ones to 0 ("p-RoPE", Barbero et al. 2024, arXiv 2410.06205, sec. 6); p = 0 is no
    encoding.  pairing "interleaved": pair i in entries 2i and 2i + 1; "half": in i and i + rotary_dim/2.
    No parameters.  Su et al. 2021, arXiv 2104.09864.
    Raises ValueError or TypeError if rotary_dim (or, without it, head_dim) is not a positive even integer of at most
    head_dim, base is not finite and > 1, p not from 0 to 1, or pairing is unknown.
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
        self.pairing = check.choice("pairing", pairing, PAIRINGS)
        if rotary_dim is None:
            rotary_dim = check.size("head_dim", head_dim, even=True, least=2)
        elif check.size("rotary_dim", rotary_dim, even=True, least=2) > check.size("head_dim", head_dim):
            raise ValueError(f"rotary_dim must be at most head_dim = {head_dim}, got {rotary_dim}")
        two_i = torch.arange(0, rotary_dim, 2, dtype=torch.float64)
        self.omega = check.real("base", base, above=1) ** (-two_i / rotary_dim)  # (rotary_dim/2,) radian / token
        self.omega[math.floor(check.share("p", p) * rotary_dim / 2) :] = 0

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


class XPos(Rotary):
    """Rotary, and pair i of the score times zeta_i ** (distance / scale_base), which fades with distance.

    zeta_i = (2i / head_dim + gamma) / (1 + gamma), so that fast pairs fade first; interleaved pairs.  Queries are
    multiplied by zeta ** (pos / scale_base) and keys divided by it, counted from the middle of the sequence, which
    cancels in the score and keeps both in range, in float32 for some 30,000 tokens.  For causal models: towards later
    keys the factor grows.  Blockwise attention at inference, the paper's other half, is not a matter of encoding and
    is left out.  No parameters.
    Sun et al. 2022, arXiv 2212.10554.
    Raises ValueError or TypeError for an odd head_dim, a base not > 1, a scale_base or gamma not > 0, and for
    positions too far apart for the type of the model.
    """

    def __init__(self, head_dim: int, base: float = 10_000.0, *, scale_base: float = 512.0, gamma: float = 0.4):
        super().__init__(head_dim, base)
        gamma = check.real("gamma", gamma, above=0)
        i = torch.arange(len(self.omega), dtype=torch.float64)
        self.decay = ((2 * i / head_dim + gamma) / (1 + gamma)).log() / check.real("scale_base", scale_base, above=0)

    def turn(self, q: Tensor, k: Tensor, pos: Tensor) -> tuple[Tensor, Tensor]:
        q, k = super().turn(q, k, pos)
        middle = (pos.min() + pos.max()) / 2
        scale = ((pos - middle)[:, None] * self.decay).exp().repeat_interleave(2, dim=-1)  # (t, e)
        # the largest score, of the last query with the first key, is a product of both
        if (scale.max() / scale.min()).item() > torch.finfo(q.dtype).max ** 0.9:
            raise ValueError(f"pos must not be {pos.max() - pos.min():g} tokens apart: too far for xpos in {q.dtype}")
        return q * scale.to(q), k * (1 / scale).to(k)


class PoPE(PositionEncoding):
    """Polar: the size of an entry says what, its angle says where.  Entries need no partner.

    score = sum_c softplus(q_c) softplus(k_c) cos((pos_k - pos_q) theta_c + delta_c) / sqrt(head_dim),
    theta_c = base ** (-c / head_dim) for c = 0 .. head_dim - 1: as many frequencies as entries, twice those of
    rotary.  delta (h, e) is learned, kept inside -2 pi .. 0, and 0 at first.  Queries and keys become twice as wide,
    so that the model divides by sqrt(2 head_dim); the factor 2 ** (1/4) on both undoes it.
    Gopalakrishnan et al. 2025, arXiv 2509.10534.
    Raises ValueError or TypeError for sizes that are not positive integers or a base not > 1.
    """

    def __init__(self, n_head: int, head_dim: int, base: float = 10_000.0):
        super().__init__()
        c = torch.arange(check.size("head_dim", head_dim), dtype=torch.float64)
        self.theta = check.real("base", base, above=1) ** (-c / head_dim)  # (e,) radian / token
        self.delta = nn.Parameter(torch.zeros(check.size("n_head", n_head), 1, head_dim))

    def turn(self, q: Tensor, k: Tensor, pos: Tensor) -> tuple[Tensor, Tensor]:
        angle = pos[:, None] * self.theta  # (t, e) radian
        self.delta.data.clamp_(-2 * math.pi, 0)  # the number itself: a clamp of its value would stop its gradient
        delta = self.delta.double().to(angle.device)
        return self._polar(q, angle), self._polar(k, angle + delta)

    def _polar(self, x, angle):
        size = 2**0.25 * nn.functional.softplus(x)
        return torch.cat([size * angle.cos().to(x), size * angle.sin().to(x)], dim=-1)


# ---- a bias on the scores that depends on the distance alone


class DistanceBias(PositionEncoding):
    """A bias of each head that depends on the distance alone; a subclass states it in `of`.

    Where positions are evenly spaced, `embed`, which opens a forward, builds the 2t - 1 values of each head once for
    all blocks, and each block expands them.  They stay until the next forward, O(h * t); they are used for the very
    positions and parameters that they were built from (writes through `.data` are not noticed), and are not part of a
    copy.  Other positions have no values to share, and each block computes its own.
    """

    _built = None  # the positions of the latest forward, the versions it depended on, the values (h, 2t - 1)

    def of(self, distance: Tensor) -> Tensor:
        """The bias at these distances.  distance (...) float64 on the CPU -> (h, ...)"""
        raise NotImplementedError

    def embed(self, x: Tensor, pos: Tensor) -> Tensor:
        self._built = pos, self._versions(pos), self._values(pos)
        return x

    def bias(self, q: Tensor, k: Tensor, pos: Tensor) -> Tensor:
        fresh = self._built is not None and self._built[0] is pos and self._built[1] == self._versions(pos)
        values = self._built[2] if fresh else self._values(pos)
        if values is None:
            return self.of(pos[:, None] - pos).to(q)
        return values.to(q).unfold(-1, len(pos), 1).flip(-2)  # row m holds the distances m .. m - t + 1

    def _values(self, pos):
        steps = pos.diff()
        if (steps != steps[:1]).any():
            return None
        step = steps[0] if len(steps) else 1.0
        return self.of(torch.arange(len(pos) - 1, -len(pos), -1, dtype=torch.float64) * step)

    def _versions(self, pos):
        """What the values depend on; a version counts how often a tensor was written to, as by an optimizer."""
        tensors = pos, *self.parameters()
        return [torch.is_grad_enabled(), *(None if one.is_inference() else one._version for one in tensors)]

    def __getstate__(self):
        return self.__dict__ | {"_built": None}


class Alibi(DistanceBias):
    """-slope_h * |distance|.  With a causal mask the ALiBi of the paper, without one the symmetric encoder form.

    Slopes 2 ** (-8 h / n_head), h = 1 .. n_head, where n_head is a power of two; otherwise those of the power P below
    it, then as many as are missing from every other slope of 2P, as the authors' code has them (the paper has powers
    of two only): for six heads 1/4, 1/16, 1/64, 1/256, 1/2, 1/8.  Not scaled by 1/sqrt(head_dim).  The symmetric form
    cannot tell left from right.  No parameters.  Press et al. 2021, arXiv 2108.12409, sec. 3.
    Raises ValueError or TypeError if n_head is not a positive integer.
    """

    def __init__(self, n_head: int):
        super().__init__()
        below = 2 ** (check.size("n_head", n_head).bit_length() - 1)
        h = torch.cat([torch.arange(1, below + 1), torch.arange(n_head - below) + 0.5])  # of 2P: halfway between
        self.slope = 2.0 ** (-8 * h.double() / below)

    def of(self, distance: Tensor) -> Tensor:
        return -_per_head(self.slope, distance) * distance.abs()


class T5(DistanceBias):
    """A learned number for each head and bucket of distances; buckets grow like the logarithm.

    relative position = key - query.  Causal: num_buckets for keys before the query, one for all after it.
    Bidirectional: half of the buckets for each side.  Distances below half of a side's buckets have one each; then
    half + floor(half * ln(x / half) / ln(max_distance / half)), the last one for all that is left, which begins
    before max_distance (at 113 of 128).  A bucket whose distances are not seen in training keeps its first values.
    Shared by all blocks.  T5 also leaves out 1/sqrt(head_dim), which this model keeps.  First values N(0, std**2).
    Raffel et al. 2019, arXiv 1910.10683, sec. 2.1, and the authors' code.
    Raises ValueError or TypeError for sizes that are not positive integers, fewer than 2 buckets a side, or a
    max_distance that is not beyond the distances with a bucket of their own.
    """

    def __init__(
        self,
        n_head: int,
        *,
        bidirectional: bool,
        num_buckets: int = 32,
        max_distance: int = 128,
        std: float = 0.02,
        generator: torch.Generator,
    ):
        super().__init__()
        self.side = check.size("num_buckets", num_buckets, even=True, least=4) // (2 if bidirectional else 1)
        self.bidirectional, self.max_distance = bidirectional, check.size("max_distance", max_distance)
        if max_distance <= self.side // 2:
            raise ValueError(f"max_distance must be greater than {self.side // 2}, got {max_distance}")
        self.table = _drawn((num_buckets, check.size("n_head", n_head)), std, generator)

    def of(self, distance: Tensor) -> Tensor:
        far, half = (distance.abs() if self.bidirectional else distance.clamp(min=0)).floor(), self.side // 2
        octaves = (far.clamp(min=half) / half).log() / math.log(self.max_distance / half)
        bucket = half + (octaves * (self.side - half) + 1e-9).floor()  # the sum: exact boundaries fall short by 1e-16
        bucket = torch.where(far < half, far, bucket.clamp(max=self.side - 1))
        bucket = bucket + self.side * (self.bidirectional & (distance < 0))
        return self.table[bucket.long()].movedim(-1, 0)


class Kerple(DistanceBias):
    """form "log": -r1 ln(1 + r2 |distance|);  "power": -r1 |distance| ** r2.  r1, r2 > 0 learned, one of each a head.

    Both are conditionally positive definite kernels (power: for r2 up to 2).  First values r1 ~ U(0, 2), r2 ~ U(0, 1)
    for log, the other way round for power; before each use they are brought to at least 0.01, the exponent to at most
    2, as the authors' code does.  ALiBi is power with r2 = 1.  Chi et al. 2022, arXiv 2205.09921.
    Raises ValueError or TypeError if n_head is not a positive integer or form is unknown.
    """

    def __init__(self, n_head: int, form: str, *, generator: torch.Generator):
        super().__init__()
        self.form = check.choice("form", form, ("log", "power"))
        r1, r2 = torch.rand(2, check.size("n_head", n_head), generator=generator)
        self.r1 = nn.Parameter(2 * r1 if form == "log" else r1)
        self.r2 = nn.Parameter(r2 if form == "log" else 2 * r2)

    def of(self, distance: Tensor) -> Tensor:
        self.r1.data.clamp_(min=0.01)  # the number itself: a clamp of its value would stop its gradient
        self.r2.data.clamp_(min=0.01, max=2 if self.form == "power" else None)
        r1, r2 = (_per_head(r, distance) for r in (self.r1, self.r2))
        return -r1 * (r2 * distance.abs()).log1p() if self.form == "log" else -r1 * distance.abs() ** r2


class Sandwich(DistanceBias):
    """The dot product of two sinusoidal encodings as the bias: sum_i cos(omega_i distance) n_head / (8 h).

    omega_i = base ** (-2i / width), i = 0 .. width/2 - 1; h = 1 .. n_head.  No parameters, nothing is added to the
    embeddings.  Chi et al. 2022, "Dissecting Transformer Length Extrapolation", arXiv 2212.10356, sec. 4.
    Raises ValueError or TypeError for sizes that are not positive integers, an odd width or a base not > 1.
    """

    def __init__(self, n_head: int, *, width: int = 128, base: float = 10_000.0):
        super().__init__()
        two_i = torch.arange(0, check.size("width", width, even=True, least=2), 2, dtype=torch.float64)
        self.omega = check.real("base", base, above=1) ** (-two_i / width)  # (width/2,) radian / token
        self.share = n_head / (8 * torch.arange(1, check.size("n_head", n_head) + 1, dtype=torch.float64))

    def of(self, distance: Tensor) -> Tensor:
        return _per_head(self.share, distance) * (distance[..., None] * self.omega).cos().sum(dim=-1)


# ---- a bias that depends on more than the distance


class Fire(PositionEncoding):
    """A small network of the distance as a share of the query's position: f(ln(1 + c |m - n|) / ln(1 + c max(m, L))).

    f has two hidden layers of ``hidden`` ReLUs and one output a head, without a bias there, which the softmax would
    remove.  c is learned, and L = threshold * a learned factor, 1 at first; both are used as absolute values.  Beyond
    L it depends on the position of the query, so it is not blind to a shift.  Community code that clamps max(m, L)
    from above has it the wrong way round.
    Li et al. 2023, arXiv 2310.04418, sec. 3.
    Raises ValueError or TypeError for sizes that are not positive integers, or c or threshold not > 0.
    """

    def __init__(
        self, n_head: int, *, hidden: int = 32, c: float = 0.1, threshold: float = 64.0, generator: torch.Generator
    ):
        super().__init__()
        self.c, self.factor = nn.Parameter(torch.tensor(check.real("c", c, above=0))), nn.Parameter(torch.ones(()))
        self.threshold = check.real("threshold", threshold, above=0)
        hidden, n_head = check.size("hidden", hidden), check.size("n_head", n_head)
        widths = ((1, hidden), (hidden, hidden), (hidden, n_head))
        self.weights = nn.ParameterList(_drawn(one, (2 / one[0]) ** 0.5, generator) for one in widths)
        self.shifts = nn.ParameterList(nn.Parameter(torch.zeros(hidden)) for _ in range(2))

    def bias(self, q: Tensor, k: Tensor, pos: Tensor) -> Tensor:
        c, threshold = self.c.cpu().double().abs(), self.threshold * self.factor.cpu().double().abs()
        reach = (c * torch.maximum(pos, threshold)).log1p().clamp(min=1e-9)  # (t,)
        x = ((c * (pos[:, None] - pos).abs()).log1p() / reach[:, None])[..., None].to(q)  # (t, s, 1)
        for weight, shift in zip(self.weights[:2], self.shifts, strict=True):
            x = (x @ weight + shift).relu()
        return (x @ self.weights[2]).movedim(-1, 0)


class Shaw(PositionEncoding):
    """A learned vector for each distance, clipped at ``reach``, added to the key: q . a[clip(key - query)] / sqrt(e).

    One table (2 reach + 1, e) for all heads.  The paper also adds such vectors to the values, which this interface
    has no place for; its table 3 finds that they change nothing once the keys have them.  First values N(0, 1/e).
    Shaw et al. 2018, arXiv 1803.02155, sec. 3.
    Raises ValueError or TypeError for sizes that are not positive integers, and for distances that are not whole.
    """

    def __init__(self, head_dim: int, *, reach: int = 16, generator: torch.Generator):
        super().__init__()
        self.reach = check.size("reach", reach)
        self.table = _drawn((2 * reach + 1, check.size("head_dim", head_dim)), head_dim**-0.5, generator)

    def bias(self, q: Tensor, k: Tensor, pos: Tensor) -> Tensor:
        score = q @ self.table.T / q.shape[-1] ** 0.5  # (b, h, t, 2 reach + 1)
        row = (_whole(pos - pos[:, None])).clamp(-self.reach, self.reach) + self.reach
        return _pick(score, row)


class TransformerXL(PositionEncoding):
    """Sinusoids of the distance as further keys: (q . W R[m - n] + u . k_n + v . W R[m - n]) / sqrt(e).

    R (d_model,) is the sinusoidal encoding of the distance, W a second key projection, u and v (h, e) learned queries
    that ask for content and for distance whatever the token is.  First values N(0, 1/d_model) for W, N(0, 1/e) for
    u and v.  The paper's recurrence is not a matter of encoding.  Dai et al. 2019, arXiv 1901.02860, sec. 3.3.
    Raises ValueError or TypeError for sizes that are not positive integers or an odd d_model.
    """

    def __init__(self, d_model: int, n_head: int, base: float = 10_000.0, *, generator: torch.Generator):
        super().__init__()
        self.sinusoid = Sinusoidal(d_model, base)
        head_dim, rest = divmod(d_model, check.size("n_head", n_head))
        if rest:
            raise ValueError(f"d_model must be a multiple of n_head = {n_head}, got {d_model}")
        self.weight = _drawn((n_head, d_model, head_dim), d_model**-0.5, generator)
        self.u, self.v = (_drawn((n_head, 1, head_dim), head_dim**-0.5, generator) for _ in range(2))

    def bias(self, q: Tensor, k: Tensor, pos: Tensor) -> Tensor:
        distance, which = torch.unique((pos[:, None] - pos).round(decimals=9), return_inverse=True)  # (n,), (t, s)
        rows = self.sinusoid.embed(torch.zeros(len(distance), self.weight.shape[1]).to(q), distance)
        by_distance = _pick((q + self.v) @ (rows @ self.weight).transpose(-1, -2), which)
        return (by_distance + self.u @ k.transpose(-1, -2)) / q.shape[-1] ** 0.5


class Deberta(PositionEncoding):
    """Content to position and position to content: (q_m . K[d] + k_n . Q[-d]) / sqrt(3 e), d = m - n.

    d is clipped to -reach .. reach - 1.  Three terms make the score, so q . k is divided by sqrt(3 e) as well: `turn`
    does that.  The tables K and Q (h, 2 reach, e) stand for the paper's P W_k and P W_q; keeping the products apart
    ties them to the content projections or to each other, which this interface does not see.  First values N(0, 1/e).
    v2 of the authors' code groups far distances in logarithmic buckets; the mask decoder's absolute positions are
    left out.  He et al. 2020, arXiv 2006.03654, sec. 3.1.
    Raises ValueError or TypeError for sizes that are not positive integers, and for distances that are not whole.
    """

    def __init__(self, n_head: int, head_dim: int, *, reach: int = 512, generator: torch.Generator):
        super().__init__()
        self.reach = check.size("reach", reach)
        shape = check.size("n_head", n_head), 2 * reach, check.size("head_dim", head_dim)
        self.to_key, self.to_query = (_drawn(shape, head_dim**-0.5, generator) for _ in range(2))

    def turn(self, q: Tensor, k: Tensor, pos: Tensor) -> tuple[Tensor, Tensor]:
        return q / 3**0.5, k

    def bias(self, q: Tensor, k: Tensor, pos: Tensor) -> Tensor:
        row = _whole(pos[:, None] - pos).clamp(-self.reach, self.reach - 1) + self.reach  # (t, s)
        used = slice(row.min(), row.max() + 1)  # of 2 reach rows, a short sequence has few
        to_key, to_query = (table[:, used].transpose(-1, -2) for table in (self.to_key, self.to_query))
        content_to_position = _pick(q @ to_key, row - row.min())
        position_to_content = _pick(k @ to_query, row - row.min()).transpose(-1, -2)
        return (content_to_position + position_to_content / 3**0.5) / q.shape[-1] ** 0.5


class Cope(PositionEncoding):
    """Counts what the query finds worth counting: position p = sum of sigmoid(q . k / sqrt(e)) from key to query.

    The bias is q . table[p], between whole p interpolated, p at most max_count - 1; table (max_count, e), zero at
    first.  It takes the order from the sequence and ignores ``pos``.  Keys after the query count nothing and are at
    p = 0, so without a causal mask they look alike.  Golovneva et al. 2024, arXiv 2405.18719, sec. 4.
    Raises ValueError or TypeError for sizes that are not positive integers.
    """

    def __init__(self, head_dim: int, *, max_count: int = 64):
        super().__init__()
        shape = check.size("max_count", max_count, least=2), check.size("head_dim", head_dim)
        self.table = nn.Parameter(torch.zeros(shape))

    def bias(self, q: Tensor, k: Tensor, pos: Tensor) -> Tensor:
        gate = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).double().sigmoid().tril()  # (b, h, t, s)
        p = gate.flip(-1).cumsum(-1).flip(-1).clamp(max=len(self.table) - 1)
        low = p.floor().clamp(max=len(self.table) - 2)
        score = q @ self.table.T  # (b, h, t, max_count)
        below, above = (score.gather(-1, row.long()) for row in (low, low + 1))
        return below + (p - low).to(q) * (above - below)


# ---- around another encoding


class Wrapper(PositionEncoding):
    """Another encoding, unchanged; a subclass overrides what it changes."""

    def __init__(self, inner: PositionEncoding):
        super().__init__()
        if not isinstance(inner, PositionEncoding):
            raise TypeError(f"inner must be a PositionEncoding, got {type(inner).__name__}")
        self.inner = inner

    def positions(self, seq_len: int) -> Tensor:
        return self.inner.positions(seq_len)

    def embed(self, x: Tensor, pos: Tensor) -> Tensor:
        return self.inner.embed(x, pos)

    def turn(self, q: Tensor, k: Tensor, pos: Tensor) -> tuple[Tensor, Tensor]:
        return self.inner.turn(q, k, pos)

    def bias(self, q: Tensor, k: Tensor, pos: Tensor) -> Tensor | None:
        return self.inner.bias(q, k, pos)


class Randomised(Wrapper):
    """Positions drawn anew for every forward: seq_len different ones below max_pos, in order.  Also when evaluating.

    So every position up to max_pos is trained on by short sequences; those of ``inner`` are not asked.  One draw for
    the whole batch, from a state that `state_dict` holds and evaluations move on too.
    Ruoss et al. 2023, arXiv 2305.16843, sec. 3.
    Raises ValueError or TypeError for a max_pos that is not a positive integer, and for longer sequences.
    """

    def __init__(self, inner: PositionEncoding, max_pos: int = 2048, *, generator: torch.Generator):
        super().__init__(inner)
        self.max_pos = check.size("max_pos", max_pos)
        self.register_buffer("state", _new_state(generator))

    def positions(self, seq_len: int) -> Tensor:
        if seq_len > self.max_pos:
            raise ValueError(f"seq_len must be at most max_pos = {self.max_pos}, got {seq_len}")
        drawn = _with_state(self.state, lambda generator: torch.randperm(self.max_pos, generator=generator))
        return drawn[:seq_len].sort().values.double()


class Shape(Wrapper):
    """All positions moved by one offset, drawn for every forward from 0 .. max_offset; none when evaluating.

    The paper draws one a sequence; positions belong to a batch here, so its sequences share it.
    Kiyono et al. 2021, arXiv 2109.05644, sec. 3.
    Raises ValueError or TypeError for a max_offset that is not a positive integer.
    """

    def __init__(self, inner: PositionEncoding, max_offset: int = 512, *, generator: torch.Generator):
        super().__init__(inner)
        self.max_offset = check.size("max_offset", max_offset)
        self.register_buffer("state", _new_state(generator))

    def positions(self, seq_len: int) -> Tensor:
        pos = self.inner.positions(seq_len)
        if not self.training:
            return pos
        draw = _with_state(self.state, lambda generator: torch.randint(self.max_offset + 1, (), generator=generator))
        return pos + draw


class Layers(PositionEncoding):
    """One encoding a block, from the first again where there are more blocks: Layers([rotary, rotary, rotary, none]).

    The interface does not say which block asks, so the calls of `turn` since `embed` are counted: blocks must run in
    order, each once (not again, as activation checkpointing does).  Each encoding embeds once.
    Raises TypeError if it is not given at least one PositionEncoding, or one in a wrapper: wrap the Layers instead.
    """

    def __init__(self, encodings):
        super().__init__()
        encodings = list(encodings)
        if not encodings or not all(isinstance(one, PositionEncoding) for one in encodings):
            raise TypeError(f"encodings must be one PositionEncoding or more, got {encodings}")
        if any(isinstance(one, Wrapper) for one in encodings):
            raise TypeError("encodings must not be wrapped, as positions and padding are those of all blocks")
        self.encodings, self._block = nn.ModuleList(encodings), -1

    def embed(self, x: Tensor, pos: Tensor) -> Tensor:
        self._block = -1
        for one in dict.fromkeys(self.encodings):
            x = one.embed(x, pos)
        return x

    def turn(self, q: Tensor, k: Tensor, pos: Tensor) -> tuple[Tensor, Tensor]:
        self._block += 1
        return self._now().turn(q, k, pos)

    def bias(self, q: Tensor, k: Tensor, pos: Tensor) -> Tensor | None:
        return self._now().bias(q, k, pos)

    def _now(self):
        return self.encodings[self._block % len(self.encodings)]


class Padded(Wrapper):
    """Sequences of several lengths in one batch: no query sees a key that is not ``real``.  real (b, t) booleans

    A padding mask is a bias of -inf.  Padding comes after the sequence, so that positions stay those of the sequence
    alone.  For one batch: `model.encoding = Padded(encoding, real)`.
    Raises TypeError if real is not a tensor of booleans, ValueError if a sequence has none, padding comes first, or
    its shape is not that of the tokens.
    """

    def __init__(self, inner: PositionEncoding, real: Tensor):
        super().__init__(inner)
        if not isinstance(real, Tensor) or real.dtype != torch.bool:
            raise TypeError("real must be a tensor of booleans")
        if real.ndim != 2 or real.numel() == 0 or not real[:, 0].all() or (real[:, 1:] & ~real[:, :-1]).any():
            raise ValueError("real must be (b, t), each row True and then False")
        self.real = real

    def bias(self, q: Tensor, k: Tensor, pos: Tensor) -> Tensor:
        bias = self.inner.bias(q, k, pos)
        if self.real.shape != (len(q), len(pos)):
            raise ValueError(f"real must be {(len(q), len(pos))}, as the tokens are, got {tuple(self.real.shape)}")
        hidden = torch.zeros_like(self.real, dtype=q.dtype).masked_fill(~self.real, -torch.inf)
        hidden = hidden.to(q)[:, None, None]  # (b, 1, 1, s)
        return hidden if bias is None else bias + hidden


def _drawn(shape, std: float, generator: torch.Generator) -> nn.Parameter:
    return nn.Parameter(torch.empty(shape).normal_(0, check.real("std", std, above=0), generator=generator))


def _per_head(values: Tensor, distance: Tensor) -> Tensor:
    """values (h,) in float64, to be multiplied with distance (...).  -> (h, 1, ...)"""
    return values.cpu().double().reshape(-1, *[1] * distance.ndim)


def _pick(score: Tensor, row: Tensor) -> Tensor:
    """score (..., t, n), row (t, s) -> (..., t, s): entry row[m, n] of each query m"""
    return score.gather(-1, row.to(score.device).expand(*score.shape[:-1], row.shape[-1]))


def _whole(distance: Tensor) -> Tensor:
    far = (distance - distance.round()).abs().max()
    if far > 1e-6:  # 0.1 + 0.2 is not 0.3
        raise ValueError(f"pos must be whole numbers apart, as the rows of the table are, got {far:g} off")
    return distance.round().long()


def _rows(pos: Tensor, n_row: int) -> Tensor:
    rows = pos.long()
    if (rows != pos).any() or rows.min() < 0 or rows.max() >= n_row:
        raise ValueError(
            f"pos must be whole numbers from 0 to {n_row - 1}: the table has {n_row} rows and none beyond, "
            f"got positions from {pos.min():g} to {pos.max():g}"
        )
    return rows


def _new_state(generator: torch.Generator) -> Tensor:
    seed = torch.randint(2**62, (), generator=generator)
    return torch.Generator().manual_seed(int(seed)).get_state()


def _with_state(state: Tensor, draw) -> Tensor:
    """What ``draw`` draws from a generator in this state; the state goes on."""
    generator = torch.Generator().set_state(state.cpu())
    drawn = draw(generator)
    state.copy_(generator.get_state())
    return drawn


def _head_dim(config) -> int:
    return config.d_model // config.n_head


def _every(every: int | None, n_layer: int) -> int:
    return max(2, min(4, n_layer)) if every is None else check.size("every", every, least=2)


def _each_block(make):
    """One encoding with parameters of its own for each block."""
    return lambda config, generator, **options: Layers(
        make(config, generator, **options) for _ in range(config.n_layer)
    )


def _around(wrapper):
    return lambda config, generator, inner="sinusoidal", **options: wrapper(
        build(inner, config, generator), generator=generator, **options
    )


# name -> how it is built from the sizes in a transformer.Config, a generator for what is drawn, and its options
ENCODINGS = {
    "nope": lambda config, generator: PositionEncoding(),
    # added to the embeddings
    "sinusoidal": lambda config, generator, **options: Sinusoidal(config.d_model, **options),
    "scaled_sinusoidal": lambda config, generator, **options: ScaledSinusoidal(config.d_model, **options),
    "learned": lambda config, generator, **options: Learned(
        config.d_model, config.max_len, generator=generator, **options
    ),
    "randomised": _around(Randomised),
    "shape": _around(Shape),
    # turning queries and keys
    "rope": lambda config, generator, **options: Rotary(_head_dim(config), **options),
    "partial_rope": lambda config, generator, **options: Rotary(  # about a quarter
        _head_dim(config), **{"rotary_dim": max(2, _head_dim(config) // 8 * 2)} | options
    ),
    "p_rope": lambda config, generator, p=0.75, **options: Rotary(_head_dim(config), p=p, **options),
    "rope_nope": lambda config, generator, every=None, **options: Layers(  # every fourth, or the last of fewer blocks
        [Rotary(_head_dim(config), **options)] * (_every(every, config.n_layer) - 1) + [PositionEncoding()]
    ),
    "xpos": lambda config, generator, **options: XPos(_head_dim(config), **options),
    "pope": _each_block(lambda config, generator, **options: PoPE(config.n_head, _head_dim(config), **options)),
    # a bias on the scores
    "alibi": lambda config, generator: Alibi(config.n_head),
    "t5": lambda config, generator, **options: T5(
        config.n_head, bidirectional=not config.causal, generator=generator, **options
    ),
    "kerple_log": _each_block(lambda config, generator: Kerple(config.n_head, "log", generator=generator)),
    "kerple_power": _each_block(lambda config, generator: Kerple(config.n_head, "power", generator=generator)),
    "sandwich": lambda config, generator, **options: Sandwich(config.n_head, **options),
    "fire": _each_block(lambda config, generator, **options: Fire(config.n_head, generator=generator, **options)),
    "shaw": _each_block(lambda config, generator, **options: Shaw(_head_dim(config), generator=generator, **options)),
    "transformer_xl": _each_block(
        lambda config, generator, **options: TransformerXL(
            config.d_model, config.n_head, generator=generator, **options
        )
    ),
    "deberta": _each_block(
        lambda config, generator, **options: Deberta(
            config.n_head, _head_dim(config), generator=generator, **options
        )
    ),
    "cope": _each_block(lambda config, generator, **options: Cope(_head_dim(config), **options)),
}


def build(name: str, config, generator: torch.Generator, **options) -> PositionEncoding:
    """The encoding called ``name``, sized for ``config`` (a `transformer.Config`).

    An option may follow the name: "t5:max_distance=32" is t5 with max_distance = 32.
    Raises ValueError for an unknown name, TypeError for an option that the encoding does not have.
    """
    if isinstance(name, str) and ":" in name:
        name, _, option = name.partition(":")
        option, _, value = option.partition("=")
        options |= {option: _number(value)}
    try:
        return ENCODINGS[check.choice("encoding", name, ENCODINGS)](config, generator, **options)
    except TypeError as error:
        if "unexpected keyword" not in str(error) and "multiple values" not in str(error):
            raise
        raise TypeError(f"encoding {name} has no such option: {error}") from None


def _number(text: str):
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text
