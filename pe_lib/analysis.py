"""What a position table, its kernel or its scores do: shift, distance, rank.

Functions that take sizes speak of the sinusoidal encoding; functions that take a ``table`` (t, d), one row a
position, speak of any encoding, learned or misread ones too.
Arguments are checked at the door by `check`: what cannot be used raises ValueError or TypeError with its name.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import eigvalsh, toeplitz
from scipy.spatial import cKDTree
from scipy.special import sici

from pe_lib import check
from pe_lib.check import Floats
from pe_lib.sinusoidal import frequencies, kernel


@check.finite
def wavelengths(d_model: int, base: float = 10_000.0, *, schedule: str = "paper") -> Floats:
    """Tokens after which each (sin, cos) pair repeats, 2 pi / omega_i.  -> (d_model/2,)

    The paper's schedule ends before 2 pi * base, at 2 pi * base ** (1 - 2/d_model); tensor2tensor's ends there.

    >>> wavelengths(4).round(2).tolist()
    [6.28, 628.32]
    """
    return 2 * np.pi / frequencies(d_model, base, schedule=schedule)


def shift_matrix(k: float, d_model: int, base: float = 10_000.0) -> Floats:
    """The rotation that moves every encoding by k tokens, whatever its position.  -> (d_model, d_model)

    sinusoidal(pos + k) == sinusoidal(pos) @ shift_matrix(k).T, interleaved layout, paper schedule.  Block i is
    [[c, s], [-s, c]] with c = cos(omega_i k), s = sin(omega_i k): the row (sin, cos) turns clockwise.
    Vaswani et al. 2017, sec. 3.5, states that such a linear map exists.

    >>> shift_matrix(1, 2).round(2).tolist()
    [[0.54, 0.84], [-0.84, 0.54]]
    """
    angle = check.real("k", k) * frequencies(d_model, base)  # (d_model/2,) radian
    d_model = 2 * len(angle)
    check.room(d_model=d_model**2)
    sine_column = np.arange(0, d_model, 2)
    cosine_column = sine_column + 1
    matrix = np.zeros((d_model, d_model))
    matrix[sine_column, sine_column] = np.cos(angle)
    matrix[sine_column, cosine_column] = np.sin(angle)
    matrix[cosine_column, sine_column] = -np.sin(angle)
    matrix[cosine_column, cosine_column] = np.cos(angle)
    return matrix


def kernel_limit(distance: ArrayLike, base: float = 10_000.0) -> Floats:
    """The kernel as a share of its maximum when d_model is large.  distance (...) in tokens -> (...)

    The sum over pairs becomes an integral over the exponent x = 2i / d_model from 0 to 1,
    int cos(k base**-x) dx = [Ci(k) - Ci(k / base)] / ln(base), with Ci the cosine integral; 1 at k = 0.

    >>> kernel_limit([0, 10, 1000]).round(3).tolist()
    [1.0, 0.682, 0.188]
    """
    k = np.abs(check.reals("distance", distance))
    base = check.real("base", base, above=1.0001)  # nearer to 1 the difference is lost in rounding
    away = np.where(k > 1e-8, k, 1.0)  # nearer, no float64 lies between the kernel and its maximum
    _, ci_near = sici(away)
    _, ci_far = sici(away / base)
    return np.where(k > 1e-8, (ci_near - ci_far) / np.log(base), 1.0)


def min_distance(table: ArrayLike) -> tuple[float, tuple[int, int]]:
    """Euclidean distance of the two closest rows, and which they are.  table (t, d) -> distance, (row, row)

    A distance of 0 means that two positions cannot be told apart.

    >>> min_distance([[0.0], [3.0], [1.0]])
    (1.0, (0, 2))
    """
    table, exponent = _table(table)
    distance, neighbour = cKDTree(table).query(table, k=2)  # each (t, 2): mostly the row itself, then the closest
    row = int(distance[:, 1].argmin())
    # Among identical rows the tree may list the row itself second, at distance 0 like the first.
    nearest, second = neighbour[row]
    other = int(nearest if nearest != row else second)
    closest = np.linalg.norm(table[row] - table[other])
    return float(np.ldexp(closest, exponent)), (min(row, other), max(row, other))


def effective_rank(table: ArrayLike, fraction: float = 0.99) -> int:
    """How many orthogonal directions hold ``fraction`` (> 0, <= 1) of the table's energy.  table (t, d) -> number

    Energy is the sum of squared entries; the columns are not centred.

    >>> effective_rank([[3.0, 0.0], [0.0, 1.0]], 0.9), effective_rank([[3.0, 0.0], [0.0, 1.0]], 0.95)
    (1, 2)
    """
    if check.fraction("fraction", fraction) == 0:
        raise ValueError("fraction must not be 0")
    table, _ = _table(table)
    energy = np.linalg.svd(table, compute_uv=False) ** 2
    if energy[0] == 0:
        raise ValueError("table must not be all zero")
    held = np.cumsum(energy) / energy.sum()
    # Rounding may leave the full sum a hair under fraction = 1.
    return min(int(np.searchsorted(held, fraction)) + 1, len(energy))


def energies(length: int, d_model: int, base: float = 10_000.0) -> Floats:
    """Squared singular values of the table of positions 0 .. length - 1, largest first.  -> (min(length, d_model),)

    Without the table, so that long and wide ones can be asked for.  Moving all rows by one shift is a rotation, which
    changes no singular value, so positions are counted from the middle of the window.  There sines are odd and
    cosines even, hence orthogonal; sum_p cos(ap) cos(bp) = [D(a - b) + D(a + b)] / 2, and for sines with a minus,
    where D(x) = sum_p cos(xp) = sin(length x / 2) / sin(x / 2) is the Dirichlet kernel.
    Values below about 1e-13 of the sum are rounding.

    >>> energies(2, 4).round(2).tolist()  # two rows with the dot products K(0) = 2, K(1) = 1.54
    [3.54, 0.46]
    """
    length = check.size("length", length)
    omega = frequencies(d_model, base)
    if length <= len(omega):
        gram = toeplitz(kernel(np.arange(length), d_model, base))  # (t, t) of the rows
        values = eigvalsh(gram)
    else:
        near, far = _dirichlet(omega[:, None] - omega, length), _dirichlet(omega[:, None] + omega, length)
        values = np.concatenate([eigvalsh((near + far) / 2), eigvalsh((near - far) / 2)])
    largest_first = np.sort(values)[::-1]
    return np.maximum(largest_first[:length], 0)


def _dirichlet(x: Floats, length: int) -> Floats:
    """Sum of cos(x p) over ``length`` whole steps around 0, for 0 <= |x| <= 2."""
    half = np.sin(x / 2)
    safe = np.where(half == 0, 1, half)
    return np.where(half == 0, length, np.sin(length * x / 2) / safe)


def constant_columns(table: ArrayLike, threshold: float = 0.01) -> NDArray[np.bool_]:
    """Columns whose standard deviation over the rows is below ``threshold``.  table (t, d) -> (d,)

    The entries of a sinusoidal table reach from -1 to 1.

    >>> constant_columns([[0.0, 1.0], [1.0, 1.0]]).tolist()
    [False, True]
    """
    threshold = check.real("threshold", threshold, above=0)
    table, exponent = _table(table)
    return np.ldexp(table.std(axis=0), exponent) < threshold


@check.finite
def shift_residual(table: ArrayLike, k: int) -> float:
    """How far "row p + k is one linear map of row p" is from true, over the whole window.  -> 0 (exact) to 1

    The map that fits best in least squares is found from the table itself, so the answer does not depend on the
    order or the scale of the columns.  The residual is relative to the norm of the shifted rows.  A table with at
    least as many columns as row pairs can be fitted perfectly whatever it holds, so more rows are asked for.

    >>> round(shift_residual([[1], [1], [-1], [1]], 1), 3)  # the best map is -1/3
    0.943
    """
    table, _ = _table(table)
    k = check.size("k", k)
    if len(table) - k <= table.shape[1]:
        raise ValueError(f"table must have more than columns + k = {table.shape[1] + k} rows, got {len(table)}")
    before, after = table[:-k], table[k:]
    if not after.any():
        raise ValueError("table must not be all zero")
    best_map = np.linalg.lstsq(before, after, rcond=None)[0]
    return float(np.linalg.norm(after - before @ best_map) / np.linalg.norm(after))


@check.finite
def distance_share(score: ArrayLike, *, diagonal: bool = True) -> float:
    """Share of the variance of scores (t, t) that the distance m - n explains.  -> 0 to 1

    1 if each diagonal holds one number: then the scores are relative.  Of random scores it is about 2 / t, as there
    are 2 t - 1 diagonals.  ``diagonal`` False leaves out the scores of a place with itself: they come high where a
    token's query and key are alike, whatever the positions are.

    >>> distance_share([[1, 2], [0, 1]])
    1.0
    """
    score, _ = _table(score, "score")
    diagonal = check.flag("diagonal", diagonal)
    if score.shape[0] != score.shape[1]:
        raise ValueError(f"score must be square, got shape {score.shape}")
    length = len(score)
    distance = np.subtract.outer(np.arange(length), np.arange(length))
    asked = (distance != 0) | diagonal  # (t, t)
    kept, line = score[asked], distance[asked] + length - 1
    if np.ptp(kept) == 0:
        raise ValueError("score must not be all the same" + ("" if diagonal else " off its diagonal"))
    count = np.bincount(line)
    mean = np.bincount(line, kept) / np.maximum(count, 1)
    between = count @ (mean - kept.mean()) ** 2
    return float(between / (kept.size * kept.var()))


def _table(table: ArrayLike, name: str = "table") -> tuple[Floats, int]:
    """The table over a power of two, so that its entries are about 1 and squares keep in range; the exponent."""
    table = check.reals(name, table, ndim=2)
    if len(table) < 2 or table.shape[1] < 1:
        raise ValueError(f"{name} must have at least 2 rows and 1 column, got shape {table.shape}")
    largest = np.abs(table).max()
    if largest > 1e300:
        raise ValueError(f"{name} must hold numbers from -1e300 to 1e300, got {largest:g} in size")
    exponent = int(np.frexp(largest)[1])
    return np.ldexp(table, -exponent), exponent
