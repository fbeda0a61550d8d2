"""The sinusoidal position encoding, in the conventions in which it was published, and misread.

PE(pos, 2i) = sin(pos * omega_i),  PE(pos, 2i + 1) = cos(pos * omega_i),  omega_i = base ** (-2i / d_model)

The pair index i counts (sin, cos) pairs, 0 <= i < d_model/2: columns 2i and 2i + 1 make one, i = column // 2.
Vaswani et al. 2017, "Attention Is All You Need", arXiv 1706.03762, section 3.5.
Arguments are checked at the door by `check`: what cannot be used raises ValueError or TypeError with its name.
"""

import numpy as np
from numpy.typing import ArrayLike

from pe_lib import check
from pe_lib.check import Floats, Integers

SCHEDULES = ("paper", "tensor2tensor")
LAYOUTS = ("interleaved", "halves", "halves_cos_first")
ODD = ("error", "extra_sine", "zero_column", "truncate")
READINGS = ("column", "doubled", "unpaired")


def frequencies(d_model: int, base: float = 10_000.0, *, schedule: str = "paper", odd: str = "error") -> Floats:
    """Angular frequency of each (sin, cos) pair i, in radians per token.  -> (n_pair,), n_pair = d_model/2

    schedule  "paper"          omega_i = base ** (-2i / d_model), from 1 to a little above 1/base
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


@check.finite
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
) -> Floats:
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

    Layouts are permutations of each other, schedules are not.  Angles are float64, so the error is below 1e-9 up to
    |pos| = 1e6; the float32 angles of most model code are wrong by about 6e-8 * pos.

    >>> sinusoidal([0, 1], 4).round(2).tolist()
    [[0.0, 1.0, 0.0, 1.0], [0.84, 0.54, 0.01, 1.0]]
    """
    omega = frequencies(d_model, base, schedule=schedule, odd=odd)  # (n_pair,) radian / token
    order = column_order(d_model, layout=layout, odd=odd)
    moved = check.reals("pos", pos) + check.real("offset", offset)
    check.room(pos=moved.size, d_model=len(order))
    angle = moved[..., None] * omega  # (..., n_pair) radian
    zero = np.zeros_like(angle[..., :1])
    waves = np.concatenate([np.sin(angle), np.cos(angle), zero], axis=-1)
    return check.real("scale", scale) * np.take(waves, order, axis=-1)


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
