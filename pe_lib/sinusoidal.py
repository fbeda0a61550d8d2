"""The sinusoidal position encoding, in the conventions in which it was published, and misread.

PE(pos, 2i) = sin(pos * omega_i),  PE(pos, 2i + 1) = cos(pos * omega_i),  omega_i = base ** (-2i / d_model)

The pair index i counts (sin, cos) pairs, 0 <= i < d_model/2.  The dimensions, which are the columns of the
table, are 2i and 2i + 1: two columns a pair, i = column // 2.
Source: Vaswani et al. 2017, "Attention Is All You Need", arXiv 1706.03762, section 3.5.
"""

import numpy as np

from pe_lib import check

SCHEDULES = ("paper", "tensor2tensor")
LAYOUTS = ("interleaved", "halves", "halves_cos_first")
ODD = ("error", "extra_sine", "zero_column", "truncate")
READINGS = ("column", "doubled", "unpaired")


def frequencies(d_model: int, base: float = 10_000.0, *, schedule: str = "paper", odd: str = "error") -> np.ndarray:
    """Angular frequency of each (sin, cos) pair, in radians per token.  -> (n_pair,) float64, n_pair = d_model/2

    schedule "paper"          omega_i = base ** (-2i / d_model): Vaswani et al. 2017, sec. 3.5.  Ends before 1/base.
             "tensor2tensor"  omega_i = base ** (-i / (n_pair - 1)): the authors' released code
                              (`get_timing_signal_1d`), also fairseq and Whisper.  Ends at 1/base exactly.
    i = 0 .. n_pair - 1 counts pairs, not columns.  Both start at omega_0 = 1; one pair alone has just that.
    An odd width is an error unless ``odd`` says how it is made; see `sinusoidal`.
    Raises ValueError or TypeError if d_model is not an integer >= 2, or is odd where ``odd`` is "error", if base is
    not finite and > 1, or if schedule or odd is unknown.
    """
    base = check.real("base", base, above=1)
    check.choice("schedule", schedule, SCHEDULES)
    check.choice("odd", odd, ODD)
    d_model = check.size("d_model", d_model, even=odd == "error", least=2)
    d_model += {"zero_column": -1, "truncate": 1}.get(odd, 0) * (d_model % 2)  # they have those of an even width
    n_pair = (d_model + 1) // 2
    i = np.arange(n_pair)
    return base ** -(2 * i / d_model if schedule == "paper" else i / max(n_pair - 1, 1))


def sinusoidal(
    pos,
    d_model: int,
    base: float = 10_000.0,
    *,
    schedule: str = "paper",
    layout: str = "interleaved",
    odd: str = "error",
    offset: float = 0.0,
    scale: float = 1.0,
) -> np.ndarray:
    """The encoding of each position.  pos (t,) in tokens -> (t, d_model) float64

    `pos` may be negative, fractional or huge, and of any shape: (...) gives (..., d_model).
    layout "interleaved"       sin, cos, sin, cos ...: pair i in columns 2i and 2i + 1 (the paper)
           "halves"            all sines, then all cosines: pair i in columns i and i + d_model/2 (tensor2tensor)
           "halves_cos_first"  all cosines, then all sines (MusicGen)
    odd    how an odd d_model is made
           "error"        it is refused
           "extra_sine"   the formula as it stands, up to column d_model - 1: one sine more than cosines (XLM, Marian)
           "zero_column"  the table of d_model - 1, and a last column of zeros (tensor2tensor, fairseq)
           "truncate"     the table of d_model + 1 without its last column (positional-encodings)
    offset is added to every position (tokens), scale multiplies every entry.
    The layouts are permutations of each other; the schedules (see `frequencies`) are not.
    Angles are formed in float64, so the error stays below 1e-9 up to |pos| = 1e6; float32 angles, as in most
    model code, are wrong by about 6e-8 * pos.
    Raises ValueError or TypeError for numbers that are not finite and real, an unknown layout, and as
    `frequencies` does.
    """
    omega = frequencies(d_model, base, schedule=schedule, odd=odd)  # (n_pair,) radian / token
    order = column_order(d_model, layout=layout, odd=odd)
    angle = (check.reals("pos", pos) + check.real("offset", offset))[..., None] * omega  # (..., n_pair) radian
    waves = np.concatenate([np.sin(angle), np.cos(angle), np.zeros((*angle.shape[:-1], 1))], axis=-1)
    return check.real("scale", scale) * waves[..., order]


def column_order(d_model: int, *, layout: str = "interleaved", odd: str = "error") -> np.ndarray:
    """What stands in each column, as an index into [n_pair sines | n_pair cosines | zero].  -> (d_model,) integers

    n_pair is the number of `frequencies`.  Raises ValueError or TypeError as `sinusoidal` does.
    """
    check.choice("layout", layout, LAYOUTS)
    n_pair = len(frequencies(d_model, odd=odd))
    sine, cosine = np.arange(n_pair), n_pair + np.arange(n_pair)
    if d_model % 2 and odd == "extra_sine":
        cosine = cosine[:-1]
    order = np.r_[cosine, sine] if layout == "halves_cos_first" else np.r_[sine, cosine]
    if layout == "interleaved":
        order = order[np.argsort(order % n_pair, kind="stable")]
    return np.r_[order, 2 * n_pair][:d_model]  # the zero is reached by zero_column alone


def kernel(distance, d_model: int, base: float = 10_000.0, *, schedule: str = "paper") -> np.ndarray:
    """Dot product of two rows as a function of their distance.  distance (...) in tokens -> (...) float64

    PE(p) . PE(p + k) = sum_i cos(omega_i k): even in k, d_model/2 at k = 0, the same in every layout.
    Raises ValueError or TypeError for distances that are not finite, and as `frequencies` does.
    """
    omega = frequencies(d_model, base, schedule=schedule)
    return np.cos(check.reals("distance", distance)[..., None] * omega).sum(axis=-1)


def misread_frequencies(d_model: int, base: float = 10_000.0, *, reading: str) -> np.ndarray:
    """Angular frequency of each column under a wrong reading of i, in radians per token.  -> (d_model,) float64

    The formula has column // 2 = i and the exponent 2i / d_model in both columns of a pair.  The readings:
    reading "column"    i is the column: column j has exponent 2j / d_model.  The range of exponents is doubled
                        and sine and cosine no longer share a frequency.
            "doubled"   i runs over the even columns and is multiplied by two again: columns 2i and 2i + 1 share
                        the exponent 4i / d_model.  The range is doubled, the pairs are kept.
            "unpaired"  column j has exponent j / d_model: the range is right, the pairs are lost.
    Raises ValueError or TypeError as `frequencies` does, and for an unknown reading.
    """
    d_model = check.size("d_model", d_model, even=True, least=2)
    base = check.real("base", base, above=1)
    check.choice("reading", reading, READINGS)
    column = np.arange(d_model)
    exponent = {"column": 2 * column, "doubled": 4 * (column // 2), "unpaired": column}[reading] / d_model
    return base**-exponent


def misread(pos, d_model: int, base: float = 10_000.0, *, reading: str) -> np.ndarray:
    """The table that a wrong reading of i produces, for study.  pos (t,) in tokens -> (t, d_model) float64

    Sine in the even columns, cosine in the odd ones, each at the frequency that `misread_frequencies` gives its
    column.  Raises ValueError or TypeError as `sinusoidal` and `misread_frequencies` do.
    """
    omega = misread_frequencies(d_model, base, reading=reading)  # (d_model,) radian / token
    angle = check.reals("pos", pos)[..., None] * omega  # (..., d_model) radian
    return np.where(np.arange(d_model) % 2 == 0, np.sin(angle), np.cos(angle))
