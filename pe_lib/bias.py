"""Biases on attention scores, as formulas.

score[h, m, n] = q_m . k_n / sqrt(e) + bias[h, m, n] for head h, query m and key n.  ``distance`` is the position of
the query minus that of the key; functions of it take any shape (...) and return (h, ...).  Those of queries and keys
take q, k (h, t, e) and pos (t,) and return (h, t, t), what is divided by sqrt(e) already divided.  Positions may be
any real numbers where nothing else is said.  Each function raises ValueError or TypeError for sizes out of
range and for positions, queries and keys that are not finite; how tables and weights fit together is not checked.
"""

import numpy as np
from scipy.special import expit

from pe_lib import check, sinusoidal


def alibi_slopes(n_head: int) -> np.ndarray:
    """How steeply ALiBi falls in each head.  -> (n_head,) float64

    2 ** (-8 h / n_head), h = 1 .. n_head, for a power of two.  For other numbers the slopes of the power P below it,
    then as many as are missing from the 1st, 3rd, 5th ... slope of 2P: the authors' code (the paper has powers of two
    only), and the same in BLOOM, MPT and Falcon.  Press et al. 2021, arXiv 2108.12409, sec. 3.
    """
    below = 2 ** (check.size("n_head", n_head).bit_length() - 1)
    slopes = [2.0 ** (-8 * h / below) for h in range(1, below + 1)]
    if below < n_head:
        slopes += list(alibi_slopes(2 * below)[::2][: n_head - below])
    return np.array(slopes)


def alibi(distance, n_head: int) -> np.ndarray:
    """-slope_h * |distance|.  Not scaled by 1/sqrt(e).

    Under a causal mask the published ALiBi; without one the symmetric form, equal to both sides.  BLOOM and Falcon
    add slope_h * (position of the key) instead.  For each query that differs by a constant, which the softmax
    removes; in low precision it rounds the nearest keys of late queries.
    """
    distance = check.reals("distance", distance)
    return -np.multiply.outer(alibi_slopes(n_head), np.abs(distance))


def t5_bucket(
    relative_position, *, bidirectional: bool, num_buckets: int = 32, max_distance: int = 128
) -> np.ndarray:
    """The bucket of T5 for each relative position = key - query (the other sign than distance).  (...) -> (...) int64

    Bidirectional: the upper half of the buckets is for keys after the query.  Otherwise keys after it are all in
    bucket 0.  Of the n buckets of a side, the first n/2 have one whole distance each (fractions are dropped), then
    bucket b begins at (n/2) * (max_distance / (n/2)) ** ((b - n/2) / (n/2)), rounded up: with the defaults the last
    begins at 113 (one sided) or 91 (both sides), not at 128.  Boundaries are compared as whole numbers, so none is
    missed by rounding.
    Where max_distance <= n/2 the authors' code gives buckets of -2**63 in silence; here it is an error.
    Raffel et al. 2019, arXiv 1910.10683, sec. 2.1, and the code of its authors.
    """
    relative = check.reals("relative_position", relative_position)
    n = check.size("num_buckets", num_buckets, even=True, least=4) // (2 if bidirectional else 1)
    half, rest = n // 2, n - n // 2
    if check.size("max_distance", max_distance) <= half:
        raise ValueError(f"max_distance must be greater than {half}, got {max_distance}")
    starts = list(range(1, half))
    for b in range(rest):  # the first x with (x / half) ** rest >= (max_distance / half) ** b
        x = starts[-1] if starts else 1
        while x**rest * half**b < max_distance**b * half**rest:
            x += 1
        starts.append(x)
    far = np.floor(np.abs(relative) if bidirectional else np.maximum(-relative, 0))
    return np.searchsorted(starts, far, side="right") + n * (bidirectional & (relative > 0))


def t5(distance, table, *, bidirectional: bool, max_distance: int = 128) -> np.ndarray:
    """The number that a table (num_buckets, h) has for the bucket of each distance.  Not scaled by 1/sqrt(e)."""
    distance, table = check.reals("distance", distance), check.reals("table", table, ndim=2)
    bucket = t5_bucket(-distance, bidirectional=bidirectional, num_buckets=len(table), max_distance=max_distance)
    return np.moveaxis(table[bucket], -1, 0)


def kerple(distance, r1, r2, *, form: str) -> np.ndarray:
    """form "log": -r1 ln(1 + r2 |distance|);  "power": -r1 |distance| ** r2.  r1, r2 (h,) > 0, power: r2 <= 2

    Chi et al. 2022, arXiv 2205.09921, sec. 4.  ALiBi is power with r2 = 1.
    """
    check.choice("form", form, ("log", "power"))
    far = np.abs(check.reals("distance", distance))
    r1, r2 = (check.reals(name, r, ndim=1) for name, r in (("r1", r1), ("r2", r2)))
    if len(r1) != len(r2) or min(r1.min(), r2.min()) <= 0 or (form == "power" and r2.max() > 2):
        raise ValueError(f"r1 and r2 must be as many numbers > 0, r2 of power at most 2, got {r1} and {r2}")
    kind = {"log": lambda a, b: -a * np.log1p(b * far), "power": lambda a, b: -a * far**b}[form]
    return np.stack([kind(a, b) for a, b in zip(r1, r2, strict=True)])


def sandwich(distance, n_head: int, *, width: int = 128, base: float = 10_000.0) -> np.ndarray:
    """The kernel of a sinusoidal encoding of that width, times n_head / (8 h) in head h = 1 .. n_head.

    Chi et al. 2022, arXiv 2212.10356, sec. 4.
    """
    h = np.arange(1, check.size("n_head", n_head) + 1)
    width = check.size("width", width, even=True, least=2)
    return np.multiply.outer(n_head / (8 * h), sinusoidal.kernel(distance, width, base))


def fire(pos, weights, shifts, *, c: float, threshold: float) -> np.ndarray:
    """A network of ln(1 + c |m - n|) / ln(1 + c max(m, threshold)), m the query's position.  pos (t,) -> (h, t, t)

    weights: (1, hidden), (hidden, hidden), (hidden, h); shifts: two (hidden,), added before each ReLU.
    Li et al. 2023, arXiv 2310.04418, sec. 3.
    """
    pos = check.reals("pos", pos, ndim=1)
    c, threshold = check.real("c", c, above=0), check.real("threshold", threshold, above=0)
    share = np.log1p(c * np.abs(pos[:, None] - pos)) / np.log1p(c * np.maximum(pos, threshold))[:, None]
    first = np.maximum(np.multiply.outer(share, np.ravel(weights[0])) + shifts[0], 0)  # (t, t, hidden)
    second = np.maximum(first @ weights[1] + shifts[1], 0)
    return np.moveaxis(second @ weights[2], -1, 0)


def shaw(q, pos, table) -> np.ndarray:
    """q_m . a[clip(n - m)] / sqrt(e), table (2 reach + 1, e) with a[0] in its middle row; pos whole numbers.

    Shaw et al. 2018, arXiv 1803.02155, sec. 3.2, for keys.
    """
    q, table, pos = check.reals("q", q, ndim=3), check.reals("table", table, ndim=2), _whole(pos)
    reach = len(table) // 2
    keys = table[np.clip(pos - pos[:, None], -reach, reach) + reach]  # (t, s, e)
    return np.einsum("hte,tse->hts", q, keys) / q.shape[-1] ** 0.5


def transformer_xl(q, k, pos, weight, u, v, base: float = 10_000.0) -> np.ndarray:
    """(q_m . W R[m - n] + u . k_n + v . W R[m - n]) / sqrt(e).  weight (h, d, e), u and v (h, e)

    R is the sinusoidal encoding of the distance, d wide.  With q . k these are the terms a to d of Dai et al. 2019,
    arXiv 1901.02860, sec. 3.3.
    """
    q, k, pos = check.reals("q", q, ndim=3), check.reals("k", k, ndim=3), check.reals("pos", pos, ndim=1)
    weight, u, v = (check.reals(name, one) for name, one in (("weight", weight), ("u", u), ("v", v)))
    distance = pos[:, None] - pos
    rows = sinusoidal.sinusoidal(distance.ravel(), weight.shape[1], base).reshape(*distance.shape, -1)  # (t, s, d)
    keys = np.einsum("tsd,hde->htse", rows, weight)
    score = np.einsum("hte,htse->hts", q + v[:, None], keys) + np.einsum("he,hse->hs", u, k)[:, None]
    return score / q.shape[-1] ** 0.5


def deberta(q, k, pos, to_key, to_query) -> np.ndarray:
    """(q_m . K[d] + k_n . Q[-d]) / sqrt(3 e), d = m - n clipped to -reach .. reach - 1; pos whole numbers.

    to_key and to_query (h, 2 reach, e): K and Q, -reach in row 0.  q . k is to be divided by sqrt(3 e) as well.
    He et al. 2020, arXiv 2006.03654, sec. 3.1.
    """
    q, k, pos = check.reals("q", q, ndim=3), check.reals("k", k, ndim=3), _whole(pos)
    to_key, to_query = check.reals("to_key", to_key, ndim=3), check.reals("to_query", to_query, ndim=3)
    reach = to_key.shape[1] // 2
    row = np.clip(pos[:, None] - pos, -reach, reach - 1) + reach  # (t, s); row.T is that of key minus query
    content_to_position = np.einsum("hte,htse->hts", q, to_key[:, row])
    position_to_content = np.einsum("hse,htse->hts", k, to_query[:, row.T])
    return (content_to_position + position_to_content) / (3 * q.shape[-1]) ** 0.5


def cope(q, k, table) -> np.ndarray:
    """q_m . table[p], p[m, n] = sum over j = n .. m of sigmoid(q_m . k_j / sqrt(e)), at most the last row of table.

    Between whole p it is interpolated; table (max_count, e).  Keys after the query are at p = 0.
    Golovneva et al. 2024, arXiv 2405.18719, sec. 4.
    """
    q, k, table = check.reals("q", q, ndim=3), check.reals("k", k, ndim=3), check.reals("table", table, ndim=2)
    gate = np.tril(expit(q @ k.transpose(0, 2, 1) / q.shape[-1] ** 0.5))
    p = np.minimum(np.cumsum(gate[..., ::-1], axis=-1)[..., ::-1], len(table) - 1)  # (h, t, s)
    low = np.floor(p).astype(int)
    high = np.minimum(low + 1, len(table) - 1)
    row = table[low] + (p - low)[..., None] * (table[high] - table[low])  # (h, t, s, e)
    return np.einsum("hte,htse->hts", q, row)


def _whole(pos) -> np.ndarray:
    pos = check.reals("pos", pos, ndim=1)
    if (pos != np.round(pos)).any():
        raise ValueError(f"pos must be whole numbers, got {pos[pos != np.round(pos)][0]}")
    return pos.astype(int)
