"""Encodings that are a bias on the scores, depending on more than the distance: on the tokens, or on the place."""

import torch
from torch import Generator, Tensor, nn

from pe_lib import check
from pe_lib.encodings.added import Sinusoidal
from pe_lib.encodings.base import PositionEncoding, distances, drawn, pick, uniform, whole


class Fire(PositionEncoding):
    """A small network of the distance as a share of the query's position: f(ln(1 + c |m - n|) / ln(1 + c max(m, L))).

    f is that of the paper's listing: one layer of ``hidden`` ReLUs, then one output a head, without the constant that
    a softmax does not see; its text speaks of two layers.  c is learned, and L = threshold * a learned factor, 1 at
    first; both are used as absolute values.  Beyond L it depends on the position of the query, so it is not blind to
    a shift; up to L it is a bias of the distance.  The listing starts at L = 512, for longer sequences than those
    here.  First values: those of a linear layer of PyTorch.  Community code that clamps max(m, L) from above has it
    the wrong way round.  Li et al. 2023, arXiv 2310.04418, sec. 3 and app. B.
    """

    each_block = True

    def __init__(
        self, n_head: int, *, hidden: int = 32, c: float = 0.1, threshold: float = 64.0, generator: Generator
    ):
        super().__init__()
        self.n_head = check.size("n_head", n_head)
        hidden = check.size("hidden", hidden)
        check.room(hidden=hidden * self.n_head)
        self.c = nn.Parameter(torch.tensor(check.between("c", c, 1e-30, 1e30)))
        self.factor = nn.Parameter(torch.ones(()))
        self.threshold = check.between("threshold", threshold, 1e-30, 1e30)
        self.weight = uniform((hidden,), 1.0, generator)
        self.shift = uniform((hidden,), 1.0, generator)
        self.out = uniform((hidden, self.n_head), hidden**-0.5, generator)

    def bias(self, q: Tensor, k: Tensor, pos_q: Tensor, pos_k: Tensor) -> Tensor:
        c = self.c.cpu().double().abs()
        threshold = self.threshold * self.factor.cpu().double().abs()
        reach = (c * torch.maximum(pos_q, threshold)).log1p()  # (..., t)
        far = (c * distances(pos_q, pos_k).abs()).log1p()  # (..., t, s)
        reach = reach.clamp(min=1e-9)
        relative = (far / reach[..., None]).to(q)
        hidden = (relative[..., None] * self.weight + self.shift).relu()  # (..., t, s, hidden)
        return (hidden @ self.out).movedim(-1, -3)


class Shaw(PositionEncoding):
    """A learned vector for each distance, clipped at ``reach``, added to the key: q . a[clip(key - query)] / sqrt(e).

    One table (2 reach + 1, e) for all heads.  The paper also adds such vectors to the values, which this interface
    has no place for; its table 3 finds that they change nothing once the keys have them.  First values N(0, 1/e).
    Distances that are not whole raise ValueError.  Shaw et al. 2018, arXiv 1803.02155, sec. 3.
    """

    each_block = True

    def __init__(self, head_dim: int, *, reach: int = 16, generator: Generator):
        super().__init__()
        self.reach = check.size("reach", reach)
        self.head_dim = check.size("head_dim", head_dim)
        n_row = 2 * self.reach + 1
        check.room(reach=n_row, head_dim=self.head_dim)
        self.table = drawn((n_row, self.head_dim), self.head_dim**-0.5, generator)

    def bias(self, q: Tensor, k: Tensor, pos_q: Tensor, pos_k: Tensor) -> Tensor:
        score = q @ self.table.T / q.shape[-1] ** 0.5  # (b, h, t, 2 reach + 1)
        key_minus_query = whole(-distances(pos_q, pos_k))
        clipped = key_minus_query.clamp(-self.reach, self.reach)
        return pick(score, clipped + self.reach)


class TransformerXL(PositionEncoding):
    """Sinusoids of the distance as further keys: (q . W R[m - n] + u . k_n + v . W R[m - n]) / sqrt(e).

    R (d_model,) is the sinusoidal encoding of the distance, W a second key projection, u and v (h, e) learned queries
    that ask for content and for distance whatever the token is; each block has its own, where the authors' code can
    share them.  First values N(0, 1/d_model) for W, N(0, 1/e) for u and v.  The paper's recurrence is not a matter of
    encoding.  Dai et al. 2019, arXiv 1901.02860, sec. 3.3.
    """

    each_block = True

    def __init__(self, d_model: int, n_head: int, base: float = 10_000.0, *, generator: Generator):
        super().__init__()
        self.sinusoid = Sinusoidal(d_model, base)
        self.d_model = self.sinusoid.d_model
        self.n_head = check.size("n_head", n_head)
        self.head_dim, rest = divmod(self.d_model, self.n_head)
        if rest:
            raise ValueError(f"d_model must be a multiple of n_head = {n_head}, got {d_model}")
        check.room(d_model=self.d_model**2)
        self.weight = drawn((self.n_head, self.d_model, self.head_dim), self.d_model**-0.5, generator)
        self.u = drawn((self.n_head, 1, self.head_dim), self.head_dim**-0.5, generator)
        self.v = drawn((self.n_head, 1, self.head_dim), self.head_dim**-0.5, generator)

    def bias(self, q: Tensor, k: Tensor, pos_q: Tensor, pos_k: Tensor) -> Tensor:
        # Few distances are different; each is encoded once.
        rounded = distances(pos_q, pos_k).round(decimals=9)
        distance, which = torch.unique(rounded, return_inverse=True)  # (n,), (..., t, s)
        zeros = q.new_zeros(len(distance), self.weight.shape[1])
        rows = self.sinusoid.embed(zeros, distance)  # (n, d)
        keys = rows @ self.weight  # (h, n, e)
        score = (q + self.v) @ keys.transpose(-1, -2)  # (b, h, t, n)
        by_distance = pick(score, which)
        by_content = self.u @ k.transpose(-1, -2)  # (b, h, 1, s)
        return (by_distance + by_content) / q.shape[-1] ** 0.5


class Deberta(PositionEncoding):
    """Content to position and position to content: (q_m . K[d] + k_n . Q[-d]) / sqrt(3 e), d = m - n.

    A row outside -reach .. reach - 1 is the last one there.  The paper has Q[-d]; the authors' released code has
    Q[d], and so have models made with it: ``released`` says which (microsoft/DeBERTa, issues 47 and 162).  Three
    terms make the score, so q . k is divided by sqrt(3 e) as well: `turn` does that.  The tables K and Q
    (h, 2 reach, e) stand for the paper's P W_k and P W_q; keeping the products apart ties them to the content
    projections or to each other, which this interface does not see.  First values N(0, 1/e): a row for a distance
    that was never trained keeps them.  v2 of the code groups far distances in logarithmic buckets; the mask decoder's
    absolute positions are left out.  Distances that are not whole raise ValueError.
    He et al. 2020, arXiv 2006.03654, sec. 3.1.
    """

    each_block = True

    def __init__(self, n_head: int, head_dim: int, *, reach: int = 512, released: bool = False, generator: Generator):
        super().__init__()
        self.reach = check.size("reach", reach)
        self.released = check.flag("released", released)
        self.n_head = check.size("n_head", n_head)
        self.head_dim = check.size("head_dim", head_dim)
        check.room(n_head=self.n_head, reach=2 * self.reach, head_dim=self.head_dim)
        shape = self.n_head, 2 * self.reach, self.head_dim
        self.to_key = drawn(shape, self.head_dim**-0.5, generator)
        self.to_query = drawn(shape, self.head_dim**-0.5, generator)

    def turn(self, q: Tensor, k: Tensor, pos_q: Tensor, pos_k: Tensor) -> tuple[Tensor, Tensor]:
        return q / 3**0.5, k

    def bias(self, q: Tensor, k: Tensor, pos_q: Tensor, pos_k: Tensor) -> Tensor:
        query_minus_key = distances(pos_q, pos_k)
        key_minus_query = distances(pos_k, pos_q)  # (..., s, t)
        asked = query_minus_key.transpose(-1, -2) if self.released else key_minus_query
        content_to_position = self._pick(q, self.to_key, query_minus_key)
        position_to_content = self._pick(k, self.to_query, asked)  # (b, h, s, t)
        # q is divided by sqrt(3) already
        score = content_to_position + position_to_content.transpose(-1, -2) / 3**0.5
        return score / q.shape[-1] ** 0.5

    def _pick(self, x: Tensor, table: Tensor, distance: Tensor) -> Tensor:
        """x . table[distance].  x (b, h, t, e), table (h, 2 reach, e), distance (..., t, s) -> (b, h, t, s)"""
        clipped = whole(distance).clamp(-self.reach, self.reach - 1)
        row = clipped + self.reach
        first = row.min()
        used = table[:, first : row.max() + 1]  # of 2 reach rows, a short sequence has few
        return pick(x @ used.transpose(-1, -2), row - first)


class Cope(PositionEncoding):
    """Counts what the query finds worth counting: position p = sum of sigmoid(q . k / sqrt(e)) from key to query.

    The bias is q . table[p], between whole p interpolated, p at most max_count - 1; table (max_count, e), zero at
    first.  It takes the order from the sequence and ignores positions: the last query is that of the last key.  Keys
    after the query count nothing and are at p = 0, so without a causal mask they look alike.  The gate is that of the
    paper's listing, whose q . k is scaled; its equation has q . k.
    Golovneva et al. 2024, arXiv 2405.18719, sec. 4.
    """

    each_block = True

    def __init__(self, head_dim: int, *, max_count: int = 64):
        super().__init__()
        max_count = check.size("max_count", max_count, least=2)
        self.head_dim = check.size("head_dim", head_dim)
        check.room(max_count=max_count, head_dim=self.head_dim)
        self.table = nn.Parameter(torch.zeros(max_count, self.head_dim))

    def bias(self, q: Tensor, k: Tensor, pos_q: Tensor, pos_k: Tensor) -> Tensor:
        score = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5  # (b, h, t, s)
        earlier = k.shape[-2] - q.shape[-2]  # keys of a cache
        gate = score.double().sigmoid().tril(earlier)
        count = gate.flip(-1).cumsum(-1).flip(-1)  # from the key to the query
        p = count.clamp(max=len(self.table) - 1)
        whole_p = p.floor().clamp(max=len(self.table) - 2)
        row = whole_p.long()
        by_count = q @ self.table.T  # (b, h, t, max_count)
        below = by_count.gather(-1, row)
        above = by_count.gather(-1, row + 1)
        part = (p - whole_p).to(q)
        return below + part * (above - below)
