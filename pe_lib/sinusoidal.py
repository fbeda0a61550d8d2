"""The sinusoidal position encoding, in the conventions in which it was published, and misread.

PE(pos, 2i) = sin(pos * omega_i),  PE(pos, 2i + 1) = cos(pos * omega_i),  omega_i = base ** (-2i / d_model)

The pair index i counts (sin, cos) pairs, 0 <= i < d_model/2: columns 2i and 2i + 1 make one, i = column // 2.
Vaswani et al. 2017, "Attention Is All You Need", arXiv 1706.03762, section 3.5.
Arguments are checked at the door by `check`: what cannot be used raises ValueError or TypeError with its name.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from pe_lib import check
from pe_lib.check import Floats, Integers

SCHEDULES = ("paper", "tensor2tensor")
LAYOUTS = ("interleaved", "halves", "halves_cos_first")
ODD = ("error", "extra_sine", "zero_column", "truncate")
READINGS = ("column", "doubled", "unpaired")
FEW = 64  # rows that are made one by one
BLOCK = 256  # the most rows that are made of one, by turning it: few enough to stay in the cache


def frequencies(d_model: int, base: float = 10_000.0, *, schedule: str = "paper", odd: str = "error") -> Floats:
    """Angular frequency of each (sin, cos) pair i, in radians per token.  -> (n_pair,), n_pair = d_model/2

    schedule  "paper"          omega_i = base ** (-2i / d_model), from 1 to base ** (2 / d_model) / base
              "tensor2tensor"  omega_i = base ** (-i / (n_pair - 1)), from 1 to 1/base: the authors' code, fairseq
    odd       how an odd width is made, see `sinusoidal`

    >>> frequencies(8).round(6).tolist()
    [1.0, 0.1, 0.01, 0.001]
    """
    base = check.real("base", base, above=1)
    check.choice("schedule", schedule, SCHEDULES)
    check.choice("odd", odd, ODD)
    d_model = check.size("d_model", d_model, even=odd == "error", least=2)
    # An odd width has the frequencies of the even one beside it, or with "extra_sine" those of its own.
    n_pair = d_model // 2 if odd == "zero_column" else (d_model + 1) // 2
    width = d_model if odd == "extra_sine" else 2 * n_pair
    i = np.arange(n_pair)
    exponent = 2 * i / width if schedule == "paper" else i / max(n_pair - 1, 1)
    return base**-exponent


def sinusoidal(
    pos: ArrayLike,
    d_model: int,
    base: float = 10_000.0,
    *,
    schedule: str = "paper",
    layout: str = "interleaved",
    odd: str = "error",
    offset: float = 0.0,
    scale: float = 1.0,
    dtype: DTypeLike = np.float64,
) -> NDArray[Any]:
    """The encoding of each position, which may be negative or fractional.  pos (...) in tokens -> (..., d_model)

    schedule       see `frequencies`
    layout         "interleaved"       sin, cos, sin, cos ...: pair i in columns 2i and 2i + 1 (the paper)
                   "halves"            all sines, then all cosines: i and i + d_model/2 (tensor2tensor)
                   "halves_cos_first"  all cosines, then all sines (MusicGen)
    odd            "error"        an odd d_model is refused
                   "extra_sine"   the formula as it stands, one sine more than cosines (XLM, Marian)
                   "zero_column"  the table of d_model - 1, then a column of zeros (tensor2tensor, fairseq)
                   "truncate"     the table of d_model + 1 without its last column (positional-encodings)
    offset, scale  added to every position (tokens), multiplied with every entry
    dtype          of the result: float64 or float32

    Layouts are permutations of each other, schedules are not.  Angles are float64, so the error is below 1e-9 up to
    |pos| = 1e6; the float32 angles of most model code are wrong by about 6e-8 * pos.  More than 64 positions,
    evenly spaced, are quick, because PE(p + q) is PE(p), turned; an entry in float32 is then within 3e-7 * scale,
    and one beyond 1e6 may differ from the same asked for alone, as much as its angle is rounded.

    >>> sinusoidal([0, 1], 4).round(2).tolist()
    [[0.0, 1.0, 0.0, 1.0], [0.84, 0.54, 0.01, 1.0]]
    """
    omega = frequencies(d_model, base, schedule=schedule, odd=odd)  # (n_pair,) radian / token
    order = column_order(d_model, layout=layout, odd=odd)
    moved = _moved(pos, offset)
    check.room(pos=moved.size, d_model=len(order))
    name: Any = dtype.name if isinstance(dtype, np.dtype) else getattr(dtype, "__name__", dtype)
    check.choice("dtype", name, ("float64", "float32"))
    largest = float(np.finfo(name).max) / 2  # a product of rounded factors may exceed 1
    scale = check.between("scale", scale, -largest, largest)
    table = np.zeros((*moved.shape, len(order)), name)
    columns = [_as_slice(np.flatnonzero(order // len(omega) == wave)) for wave in (0, 1)]  # of sines, of cosines
    if moved.ndim == 1 and len(moved) > FEW and _is_evenly_spaced(moved):
        _turn(table, moved, omega, columns, scale)
    else:
        angle = moved[..., None] * omega  # (..., n_pair) radian
        _write(table, columns, scale * np.sin(angle), scale * np.cos(angle))
    return table


@check.finite
def _moved(pos: ArrayLike, offset: float) -> Floats:
    return check.reals("pos", pos) + check.real("offset", offset)


def _write(table: NDArray[Any], columns: list[slice], *waves: NDArray[Any]) -> None:
    """Sines and cosines (..., n_pair) into their columns; what has none is left out."""
    for entries, wave in zip(columns, waves, strict=True):
        there = table[..., entries]
        there[...] = wave[..., : there.shape[-1]]


def _is_evenly_spaced(pos: Floats) -> bool:
    return bool((pos == pos[0] + (pos[1] - pos[0]) * np.arange(len(pos))).all())


def _as_slice(columns: Integers) -> slice:
    """Columns, which are evenly spaced."""
    step = columns[1] - columns[0] if len(columns) > 1 else 1
    return slice(columns[0], columns[-1] + 1, step) if len(columns) else slice(0)


def _turn(table: NDArray[Any], pos: Floats, omega: Floats, columns: list[slice], scale: float) -> None:
    """Write the rows of evenly spaced positions, those of a block by turning its first one.

    With w = sin + i cos of each pair, w(p + q) = -i w(p) w(q): the shift by q tokens is one complex product.
    columns  of the sines and of the cosines
    """
    # A block of b rows takes b turns, and its first row is made of two: b + 2 len(pos) / b is least here.
    block = min(BLOCK, math.isqrt(2 * len(pos)))
    precision = np.result_type(table, np.complex64)
    # The angle of a far position is rounded; not so that of a whole one below 2**29 times a float32, since 53 bits
    # hold it, and what is left is small.
    coarse = omega.astype(np.float32).astype(float)
    first = -1j * _sin_and_cos(pos[::block], coarse) * _sin_and_cos(pos[::block], omega - coarse)  # (blocks, n_pair)
    first = (scale * first).astype(precision)
    turn = (-1j * _sin_and_cos((pos[1] - pos[0]) * np.arange(block), omega)).astype(precision)  # (block, n_pair)
    # Side by side, sine and cosine lie in memory as a complex number does.
    in_place = (columns[0].start, columns[1].start, table.shape[1]) == (0, 1, 2 * len(omega))
    for w, start in zip(first, range(0, len(pos), block), strict=True):
        rows = table[start : start + block]
        waves = np.multiply(w, turn[: len(rows)], out=rows.view(precision) if in_place else None)
        if not in_place:
            _write(rows, columns, waves.real, waves.imag)


def _sin_and_cos(pos: Floats, omega: Floats) -> NDArray[np.complex128]:
    """sin + i cos of each angle.  -> (t, n_pair)"""
    angle = np.multiply.outer(pos, omega)
    waves = np.empty(angle.shape, complex)
    np.sin(angle, out=waves.real)
    np.cos(angle, out=waves.imag)
    return waves


def column_order(d_model: int, *, layout: str = "interleaved", odd: str = "error") -> Integers:
    """What stands in each column, as an index into [n_pair sines | n_pair cosines | zero].  -> (d_model,)

    >>> column_order(6).tolist(), column_order(5, layout="halves", odd="zero_column").tolist()
    ([0, 3, 1, 4, 2, 5], [0, 1, 2, 3, 4])
    """
    check.choice("layout", layout, LAYOUTS)
    n_pair = len(frequencies(d_model, odd=odd))
    sine = np.arange(n_pair)
    cosine = n_pair + sine
    # Stacked side by side they alternate, one below the other they make two halves.
    waves = [cosine, sine] if layout == "halves_cos_first" else [sine, cosine]
    order = np.stack(waves, axis=1 if layout == "interleaved" else 0).ravel()
    if d_model % 2 and odd == "extra_sine":
        order = order[order != cosine[-1]]
    # An odd width has one column less than there are waves, or reaches the zero.
    return np.append(order, 2 * n_pair)[:d_model]


def kernel(distance: ArrayLike, d_model: int, base: float = 10_000.0, *, schedule: str = "paper") -> Floats:
    """Dot product of two rows as a function of their distance.  distance (...) in tokens -> (...)

    PE(p) . PE(p + k) = sum_i cos(omega_i k): even in k, d_model/2 at k = 0, the same in every layout.

    >>> kernel([0, 10, -10], 8).round(2).tolist()
    [4.0, 1.7, 1.7]
    """
    omega = frequencies(d_model, base, schedule=schedule)
    distance = check.reals("distance", distance)
    check.room(distance=distance.size, d_model=len(omega))
    angle = distance[..., None] * omega  # (..., d_model/2) radian
    return np.cos(angle).sum(axis=-1)


def misread_frequencies(d_model: int, base: float = 10_000.0, *, reading: str) -> Floats:
    """Angular frequency of each column under a wrong reading of i, in radians per token.  -> (d_model,)

    The formula has the exponent 2i / d_model in both columns of pair i.  The readings have
    "column"    2 column / d_model: i is the column.  Twice the range, and sine and cosine differ in frequency.
    "doubled"   4i / d_model: i is the even column, and doubled again.  Twice the range, the pairs are kept.
    "unpaired"  column / d_model.  The range is right, the pairs are lost.

    >>> misread_frequencies(4, reading="column").round(6).tolist()
    [1.0, 0.01, 0.0001, 1e-06]
    """
    d_model = check.size("d_model", d_model, even=True, least=2)
    base = check.real("base", base, above=1)
    check.choice("reading", reading, READINGS)
    column = np.arange(d_model)
    numerators = {"column": 2 * column, "doubled": 4 * (column // 2), "unpaired": column}
    return base ** -(numerators[reading] / d_model)


def misread(pos: ArrayLike, d_model: int, base: float = 10_000.0, *, reading: str) -> Floats:
    """The table of a wrong reading: sine in even columns, cosine in odd ones.  pos (...) in tokens -> (..., d_model)

    >>> misread([1], 4, reading="column").round(3).tolist()
    [[0.841, 1.0, 0.0, 1.0]]
    """
    omega = misread_frequencies(d_model, base, reading=reading)  # (d_model,) radian / token
    pos = check.reals("pos", pos)
    check.room(pos=pos.size, d_model=len(omega))
    angle = pos[..., None] * omega  # (..., d_model) radian
    return np.where(np.arange(len(omega)) % 2 == 0, np.sin(angle), np.cos(angle))
