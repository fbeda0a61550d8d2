"""Biases on attention scores, as formulas.

score[h, m, n] = q_m . k_n / sqrt(e) + bias[h, m, n] for head h, query m and key n.  ``distance`` is the position of
the query minus that of the key; functions of it take any shape (...) and return (h, ...).  Those of queries and keys
take q, k (h, t, e) and pos (t,) and return (h, t, t), what is divided by sqrt(e) already divided.  Positions may be
any real numbers where nothing else is said.
Arguments are checked at the door by `check`: what cannot be used raises ValueError or TypeError with its name.
"""

from bisect import bisect_left

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

from pe_lib import check, sinusoidal
from pe_lib.check import Floats, Integers


def alibi_slopes(n_head: int) -> Floats:
    """How steeply ALiBi falls in each head.  -> (n_head,)

    2 ** (-8 h / n_head), h = 1 .. n_head, for a power of two.  For other numbers the slopes of the power P below it,
    then as many as are missing from the 1st, 3rd, 5th ... slope of 2P: the authors' code (the paper has powers of two
    only), BLOOM, MPT and Falcon.  Press et al. 2021, arXiv 2108.12409, sec. 3.

    >>> alibi_slopes(6).tolist()
    [0.25, 0.0625, 0.015625, 0.00390625, 0.5, 0.125]
    """
    n_head = check.size("n_head", n_head, most=10_000)
    power = 2 ** (n_head.bit_length() - 1)
    slopes = [2.0 ** (-8 * h / power) for h in range(1, power + 1)]
    between = [2.0 ** (-8 * h / (2 * power)) for h in range(1, 2 * power, 2)]
    return np.array(slopes + between[: n_head - power])


def alibi(distance: ArrayLike, n_head: int) -> Floats:
    """-slope_h * |distance|, not scaled by 1/sqrt(e).

    Under a causal mask the published ALiBi; without one the symmetric form, equal to both sides.  BLOOM and Falcon
    add slope_h * (position of the key): for each query another constant, which the softmax removes, but in low
    precision the nearest keys of late queries are rounded.

    >>> alibi([1, 2], 2).tolist()
    [[-0.0625, -0.125], [-0.00390625, -0.0078125]]
    """
    distance = check.reals("distance", distance)
    slopes = alibi_slopes(n_head)
    check.room(n_head=len(slopes), distance=distance.size)
    return -np.multiply.outer(slopes, np.abs(distance))


def t5_bucket(
    relative_position: ArrayLike, *, bidirectional: bool, num_buckets: int = 32, max_distance: int = 128
) -> Integers:
    """The bucket of T5 for each relative position = key - query (the other sign than distance).  (...) -> (...)

    Bidirectional: the upper half of the buckets is for keys after the query.  Otherwise those are all in bucket 0.
    Of the n buckets of a side, the first n/2 have one whole distance each (fractions are dropped), then bucket b
    begins at (n/2) * (max_distance / (n/2)) ** ((b - n/2) / (n/2)), rounded up: with the defaults the last begins at
    113 (one sided) or 91 (both sides), not at 128.  max_distance <= n/2, an error here, gives -2**63 in silence in
    the authors' code.  Raffel et al. 2019, arXiv 1910.10683, sec. 2.1, and that code.

    >>> t5_bucket([-200, -20, -1, 0, 1], bidirectional=True).tolist()
    [15, 10, 1, 0, 17]
    """
    relative = check.reals("relative_position", relative_position)
    bidirectional = check.flag("bidirectional", bidirectional)
    num_buckets = check.size("num_buckets", num_buckets, even=True, least=4, most=1024)
    max_distance = check.size("max_distance", max_distance)
    one_side = num_buckets // 2 if bidirectional else num_buckets
    if max_distance <= one_side // 2:
        least = f"greater than {one_side // 2} where num_buckets = {num_buckets}"
        raise ValueError(f"max_distance must be {least}, got {max_distance}")
    far = np.abs(relative) if bidirectional else np.maximum(-relative, 0)
    bucket = np.searchsorted(_t5_starts(one_side, max_distance), far, side="right")
    return bucket + one_side * (bidirectional & (relative > 0))


def _t5_starts(one_side: int, max_distance: int) -> list[int]:
    """The first distance of each bucket but bucket 0.  Compared as whole numbers: none is missed by rounding."""
    half = one_side // 2
    rest = one_side - half
    starts = list(range(1, half))
    for b in range(rest):
        # The first with (start / half) ** rest >= (max_distance / half) ** b.
        least = max_distance**b * half ** (rest - b)
        starts.append(bisect_left(range(max_distance), least, key=lambda start: start**rest))
    return starts


def t5(distance: ArrayLike, table: ArrayLike, *, bidirectional: bool, max_distance: int = 128) -> Floats:
    """The number that a table (num_buckets, h) has for the bucket of each distance.  Not scaled by 1/sqrt(e).

    >>> t5([-1, 0, 1, 200], [[0.0], [10.0], [20.0], [30.0]], bidirectional=False).tolist()
    [[0.0, 0.0, 10.0, 30.0]]
    """
    distance = check.reals("distance", distance)
    table = check.reals("table", table, ndim=2)
    check.size("number of rows of table", len(table), even=True, least=4, most=1024)
    bucket = t5_bucket(-distance, bidirectional=bidirectional, num_buckets=len(table), max_distance=max_distance)
    return np.moveaxis(table[bucket], -1, 0)


@check.finite
def kerple(distance: ArrayLike, r1: ArrayLike, r2: ArrayLike, *, form: str) -> Floats:
    """form "log": -r1 ln(1 + r2 |distance|);  "power": -r1 |distance| ** r2.  r1, r2 (h,) > 0, power: r2 <= 2

    Chi et al. 2022, arXiv 2205.09921, sec. 4.  ALiBi is power with r2 = 1.

    >>> kerple([1, 3], [0.5], [2.0], form="power").tolist()
    [[-0.5, -4.5]]
    """
    check.choice("form", form, ("log", "power"))
    far = np.abs(check.reals("distance", distance))
    r1 = check.reals("r1", r1, ndim=1)
    r2 = check.reals("r2", r2, ndim=1)
    positive = (r1 > 0).all() and (r2 > 0).all()
    too_steep = form == "power" and (r2 > 2).any()
    if not len(r1) or len(r1) != len(r2) or not positive or too_steep:
        raise ValueError(f"r1 and r2 must be as many numbers > 0, r2 of power at most 2, got {r1} and {r2}")
    heads = zip(r1, r2, strict=True)
    if form == "log":
        return np.stack([-a * np.log1p(b * far) for a, b in heads])
    return np.stack([-a * far**b for a, b in heads])


def sandwich(distance: ArrayLike, n_head: int, *, width: int = 128, base: float = 10_000.0) -> Floats:
    """The kernel of a sinusoidal encoding of that width, times n_head / (8 h) in head h = 1 .. n_head.

    Chi et al. 2022, arXiv 2212.10356, sec. 4.

    >>> sandwich([0], 4, width=8).round(3).tolist()
    [[2.0], [1.0], [0.667], [0.5]]
    """
    n_head = check.size("n_head", n_head)
    width = check.size("width", width, even=True, least=2)
    distance = check.reals("distance", distance)
    check.room(distance=distance.size, n_head=n_head)
    check.room(distance=distance.size, width=width)
    h = np.arange(1, n_head + 1)
    return np.multiply.outer(n_head / (8 * h), sinusoidal.kernel(distance, width, base))


@check.finite
def fire(
    pos: ArrayLike, weight: ArrayLike, shift: ArrayLike, out: ArrayLike, *, c: float, threshold: float
) -> Floats:
    """A network of ln(1 + c |m - n|) / ln(1 + c max(m, threshold)), m the query's position.  pos (t,) -> (h, t, t)

    weight and shift (hidden,), before the ReLU; out (hidden, h).  One hidden layer, as in the paper's listing; its
    text speaks of two.  Li et al. 2023, arXiv 2310.04418, sec. 3.  Community code that clamps m from above has it the
    wrong way round.

    >>> fire([0, 3], [1], [0], [[2]], c=1.0, threshold=3.0).tolist()
    [[[0.0, 2.0], [2.0, 0.0]]]
    """
    pos = check.reals("pos", pos, ndim=1)
    c = check.real("c", c, above=0)
    threshold = check.real("threshold", threshold, above=0)
    weight = check.reals("weight", weight, ndim=1)
    shift = check.axes("shift", shift, hidden=len(weight))
    out = check.axes("out", out, hidden=len(weight), h=None)
    reach = np.log1p(c * np.maximum(pos, threshold))  # (t,)
    distance = np.abs(pos[:, None] - pos)  # (t, s)
    relative = np.log1p(c * distance) / reach[:, None]
    hidden = np.maximum(relative[..., None] * weight + shift, 0)  # (t, s, hidden)
    return np.moveaxis(hidden @ out, -1, 0)


@check.finite
def shaw(q: ArrayLike, pos: ArrayLike, table: ArrayLike) -> Floats:
    """q_m . a[clip(n - m)] / sqrt(e), table (2 reach + 1, e) with a[0] in its middle row; pos whole numbers.

    Shaw et al. 2018, arXiv 1803.02155, sec. 3.2, for keys.

    >>> shaw([[[1], [1]]], [0, 1], [[-1], [0], [1]]).tolist()
    [[[0.0, 1.0], [-1.0, 0.0]]]
    """
    q = check.reals("q", q, ndim=3)
    _, n_token, head_dim = q.shape
    pos = _whole(pos, n_token)
    table = check.axes("table", table, row=None, e=head_dim)
    if len(table) % 2 == 0:
        raise ValueError(f"table must have 2 reach + 1 rows, an odd number, got {len(table)}")
    reach = len(table) // 2
    key_minus_query = np.clip(pos - pos[:, None], -reach, reach)
    row = key_minus_query.astype(int) + reach  # (t, s)
    return np.einsum("hte,tse->hts", q, table[row]) / head_dim**0.5


@check.finite
def transformer_xl(
    q: ArrayLike,
    k: ArrayLike,
    pos: ArrayLike,
    weight: ArrayLike,
    u: ArrayLike,
    v: ArrayLike,
    base: float = 10_000.0,
) -> Floats:
    """(q_m . W R[m - n] + u . k_n + v . W R[m - n]) / sqrt(e).  weight (h, d, e), u and v (h, e)

    R is the sinusoidal encoding of the distance, d wide.  With q . k these are the terms a to d of Dai et al. 2019,
    arXiv 1901.02860, sec. 3.3.

    >>> transformer_xl([[[1], [1]]], [[[5], [7]]], [0, 1], [[[0], [1]]], [[1]], [[0]]).round(2).tolist()
    [[[6.0, 7.54], [5.54, 8.0]]]
    """
    q, k = _queries_and_keys(q, k)
    n_head, n_token, head_dim = q.shape
    pos = check.axes("pos", pos, t=n_token)
    weight = check.axes("weight", weight, h=n_head, d=None, e=head_dim)
    u = check.axes("u", u, h=n_head, e=head_dim)
    v = check.axes("v", v, h=n_head, e=head_dim)
    rows = sinusoidal.sinusoidal(pos[:, None] - pos, weight.shape[1], base)  # (t, s, d)
    keys = np.einsum("tsd,hde->htse", rows, weight)
    by_distance = np.einsum("hte,htse->hts", q + v[:, None], keys)
    by_content = np.einsum("he,hse->hs", u, k)
    return (by_distance + by_content[:, None]) / head_dim**0.5


@check.finite
def deberta(
    q: ArrayLike, k: ArrayLike, pos: ArrayLike, to_key: ArrayLike, to_query: ArrayLike, *, released: bool = False
) -> Floats:
    """(q_m . K[d] + k_n . Q[-d]) / sqrt(3 e), d = m - n; pos whole numbers.

    to_key and to_query (h, 2 reach, e): K and Q, -reach in row 0; a row outside -reach .. reach - 1 is the last one
    there.  ``released``: Q[d], as the authors' code has it.  q . k is to be divided by sqrt(3 e) as well.
    He et al. 2020, arXiv 2006.03654, sec. 3.1, eq. 4; microsoft/DeBERTa, issues 47 and 162.

    >>> deberta([[[1] * 3] * 2], [[[1] * 3] * 2], [0, 1], [[[1] * 3, [3] * 3]], [[[0] * 3] * 2]).tolist()
    [[[3.0, 1.0], [3.0, 3.0]]]
    """
    q, k = _queries_and_keys(q, k)
    n_head, n_token, head_dim = q.shape
    pos = _whole(pos, n_token)
    released = check.flag("released", released)
    to_key = check.axes("to_key", to_key, h=n_head, row=None, e=head_dim)
    n_row = to_key.shape[1]
    if n_row % 2 or n_row == 0:
        raise ValueError(f"to_key must have 2 reach rows, an even number > 0, got {n_row}")
    to_query = check.axes("to_query", to_query, h=n_head, row=n_row, e=head_dim)
    reach = n_row // 2
    distance = np.clip(pos[:, None] - pos, -reach, reach - 1)
    row = distance.astype(int) + reach  # (t, s); row.T is that of key minus query
    content_to_position = np.einsum("hte,htse->hts", q, to_key[:, row])
    position_to_content = np.einsum("hse,htse->hts", k, to_query[:, row if released else row.T])
    return (content_to_position + position_to_content) / (3 * head_dim) ** 0.5


@check.finite
def cope(q: ArrayLike, k: ArrayLike, table: ArrayLike) -> Floats:
    """q_m . table[p], p[m, n] = sum over j = n .. m of sigmoid(q_m . k_j / sqrt(e)), at most the last row of table.

    Between whole p it is interpolated; table (max_count, e).  Keys after the query are at p = 0.
    Golovneva et al. 2024, arXiv 2405.18719, sec. 4.

    >>> cope([[[1], [1], [1]]], [[[0], [0], [0]]], [[0], [1], [2]]).tolist()  # every token counts half
    [[[0.5, 0.0, 0.0], [1.0, 0.5, 0.0], [1.5, 1.0, 0.5]]]
    """
    q, k = _queries_and_keys(q, k)
    table = check.axes("table", table, row=None, e=q.shape[2])
    if not len(table):
        raise ValueError("table must have at least one row")
    last = len(table) - 1
    score = q @ k.transpose(0, 2, 1) / q.shape[-1] ** 0.5  # (h, t, s)
    gate = np.tril(expit(score))
    count = np.cumsum(gate[..., ::-1], axis=-1)[..., ::-1]  # from the query back to the key
    p = np.minimum(count, last)
    below = np.floor(p).astype(int)
    above = np.minimum(below + 1, last)
    part = (p - below)[..., None]
    row = table[below] + part * (table[above] - table[below])  # (h, t, s, e)
    return np.einsum("hte,htse->hts", q, row)


def _queries_and_keys(q: ArrayLike, k: ArrayLike) -> tuple[Floats, Floats]:
    q = check.reals("q", q, ndim=3)
    k = check.reals("k", k, ndim=3)
    if k.shape != q.shape:
        raise ValueError(f"q and k must have one shape (h, t, e), got {q.shape} and {k.shape}")
    return q, k


def _whole(pos: ArrayLike, n_token: int) -> Floats:
    """Whole positions, as floats: far ones are beyond int64."""
    pos = check.axes("pos", pos, t=n_token)
    if (pos != np.round(pos)).any():
        raise ValueError(f"pos must be whole numbers, got {pos[pos != np.round(pos)][0]}")
    return pos
