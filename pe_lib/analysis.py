"""What a position table or its kernel does: shift, distance, rank.

Functions that take sizes speak of the sinusoidal encoding; functions that take a ``table`` (t, d), one row a
position, speak of any encoding, learned or misread ones too.
"""

import numpy as np
from scipy.spatial import cKDTree
from scipy.special import sici

from pe_lib import check
from pe_lib.sinusoidal import frequencies


def wavelengths(d_model: int, base: float = 10_000.0, *, schedule: str = "paper") -> np.ndarray:
    """Tokens after which each (sin, cos) pair repeats, 2 pi / omega_i.  -> (d_model/2,) float64

    The paper's schedule ends at 2 pi * base ** (1 - 2/d_model), not at 2 pi * base; tensor2tensor's ends there.
    Raises as `sinusoidal.frequencies` does.
    """
    return 2 * np.pi / frequencies(d_model, base, schedule=schedule)


def shift_matrix(k: float, d_model: int, base: float = 10_000.0) -> np.ndarray:
    """The rotation that moves every encoding by k tokens, whatever its position.  -> (d_model, d_model) float64

    sinusoidal(pos + k) == sinusoidal(pos) @ shift_matrix(k).T, interleaved layout, paper schedule.  Block i is
    [[c, s], [-s, c]] with c = cos(omega_i k), s = sin(omega_i k): the row (sin, cos) turns clockwise.
    Vaswani et al. 2017, sec. 3.5, states that such a linear map exists.
    Raises ValueError or TypeError if k is not a finite number, and as `sinusoidal.frequencies` does.
    """
    angle = check.real("k", k) * frequencies(d_model, base)  # (d_model/2,) radian
    even = np.arange(0, d_model, 2)
    matrix = np.zeros((d_model, d_model))
    matrix[even, even] = matrix[even + 1, even + 1] = np.cos(angle)
    matrix[even, even + 1] = np.sin(angle)
    matrix[even + 1, even] = -np.sin(angle)
    return matrix


def kernel_limit(distance, base: float = 10_000.0) -> np.ndarray:
    """The kernel as a share of its maximum when d_model is large.  distance (...) in tokens -> (...) float64

    The sum over pairs becomes an integral over the exponent x = 2i / d_model from 0 to 1,
    int cos(k base**-x) dx = [Ci(k) - Ci(k / base)] / ln(base), with Ci the cosine integral; 1 at k = 0.
    Raises ValueError or TypeError for distances that are not finite or a base that is not finite and > 1.
    """
    k = np.abs(check.reals("distance", distance))
    base = check.real("base", base, above=1)
    away = np.where(k > 0, k, 1.0)
    return np.where(k > 0, (sici(away)[1] - sici(away / base)[1]) / np.log(base), 1.0)


def min_distance(table) -> tuple[float, tuple[int, int]]:
    """Euclidean distance of the two closest rows, and which they are.  table (t, d) -> distance, (row, row)

    A distance of 0 means that two positions cannot be told apart.
    Raises ValueError or TypeError if the table is not finite, has other than 2 axes or fewer than 2 rows.
    """
    table = _table(table)
    distance, neighbour = cKDTree(table).query(table, k=2)
    # Among identical rows the tree may list the row itself second; column 1 is then still at distance 0.
    row = int(distance[:, 1].argmin())
    other = int(next(j for j in neighbour[row] if j != row))
    return float(np.linalg.norm(table[row] - table[other])), (min(row, other), max(row, other))


def effective_rank(table, share: float = 0.99) -> int:
    """How many orthogonal directions hold ``share`` of the table's energy.  table (t, d) -> number

    Energy is the sum of squared entries; the columns are not centred.
    Raises ValueError or TypeError if the table is not a finite (t, d) array, is all zero, or share is not in (0, 1].
    """
    if not 0 < check.real("share", share) <= 1:
        raise ValueError(f"share must be > 0 and <= 1, got {share}")
    energy = np.linalg.svd(_table(table), compute_uv=False) ** 2
    if energy[0] == 0:
        raise ValueError("table must not be all zero")
    # Rounding may leave the full sum a hair under share = 1: the last index is the most there is.
    return int(min(np.searchsorted(np.cumsum(energy) / energy.sum(), share) + 1, len(energy)))


def constant_columns(table, threshold: float = 0.01) -> np.ndarray:
    """Columns that hardly change over the window.  table (t, d) -> (d,) bool

    A column counts as constant when its standard deviation over the rows is below ``threshold``; the entries of
    a sinusoidal table reach from -1 to 1.
    Raises ValueError or TypeError if the table is not a finite (t, d) array or threshold is not > 0.
    """
    return _table(table).std(axis=0) < check.real("threshold", threshold, above=0)


def shift_residual(table, k: int) -> float:
    """How far "row p + k is one linear map of row p" is from true, over the whole window.  -> 0 (exact) to 1

    The map that fits best in least squares is found from the table itself, so the answer does not depend on the
    order or the scale of the columns.  The residual is relative to the norm of the shifted rows.  A table with
    at least as many columns as row pairs can be fitted perfectly whatever it holds, so more rows are asked for.
    Raises ValueError or TypeError if the table is not a finite (t, d) array or all zero, k < 1, or t - k <= d.
    """
    table = _table(table)
    k = check.size("k", k)
    if len(table) - k <= table.shape[1]:
        raise ValueError(f"table must have more than columns + k = {table.shape[1] + k} rows, got {len(table)}")
    before, after = table[:-k], table[k:]
    if not after.any():
        raise ValueError("table must not be all zero")
    fitted = before @ np.linalg.lstsq(before, after, rcond=None)[0]
    return float(np.linalg.norm(after - fitted) / np.linalg.norm(after))


def _table(table) -> np.ndarray:
    table = check.reals("table", table, ndim=2)
    if len(table) < 2 or table.shape[1] < 1:
        raise ValueError(f"table must have at least 2 rows and 1 column, got shape {table.shape}")
    return table
