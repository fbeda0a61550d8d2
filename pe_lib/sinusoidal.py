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
READINGS = ("column", "doubled", "unpaired")


def frequencies(d_model: int, base: float = 10_000.0, *, schedule: str = "paper") -> np.ndarray:
    """Angular frequency of each (sin, cos) pair, in radians per token.  -> (d_model/2,) float64

    schedule "paper"          omega_i = base ** (-2i / d_model): Vaswani et al. 2017, sec. 3.5.  Ends before 1/base.
             "tensor2tensor"  omega_i = base ** (-i / (d_model/2 - 1)): the authors' released code
                              (`get_timing_signal_1d`), also fairseq and Whisper.  Ends at 1/base exactly.
    i = 0 .. d_model/2 - 1 counts pairs, not columns.  Both start at omega_0 = 1; d_model = 2 has that one alone.
    Raises ValueError or TypeError if d_model is not a positive even integer, base is not finite and > 1, or
    schedule is unknown.
    """
    n_pair = check.size("d_model", d_model, even=True, least=2) // 2
    base = check.real("base", base, above=1)
    check.choice("schedule", schedule, SCHEDULES)
    i = np.arange(n_pair)
    exponent = i / n_pair if schedule == "paper" else i / max(n_pair - 1, 1)
    return base**-exponent


def sinusoidal(
    pos, d_model: int, base: float = 10_000.0, *, schedule: str = "paper", layout: str = "interleaved"
) -> np.ndarray:
    """The encoding of each position.  pos (t,) in tokens -> (t, d_model) float64

    `pos` may be negative, fractional or huge, and of any shape: (...) gives (..., d_model).
    layout "interleaved"       sin, cos, sin, cos ...: pair i in columns 2i and 2i + 1 (the paper)
           "halves"            all sines, then all cosines: pair i in columns i and i + d_model/2 (tensor2tensor)
           "halves_cos_first"  all cosines, then all sines (MusicGen)
    The layouts are permutations of each other; the schedules (see `frequencies`) are not.
    Angles are formed in float64, so the error stays below 1e-9 up to |pos| = 1e6; float32 angles, as in most
    model code, are wrong by about 6e-8 * pos.
    Raises ValueError or TypeError for positions that are not finite real numbers, and as `frequencies` does.
    """
    check.choice("layout", layout, LAYOUTS)
    omega = frequencies(d_model, base, schedule=schedule)  # (d_model/2,) radian / token
    angle = check.reals("pos", pos)[..., None] * omega  # (..., d_model/2) radian
    sine, cosine = np.sin(angle), np.cos(angle)
    if layout == "interleaved":
        return np.stack([sine, cosine], axis=-1).reshape(*angle.shape[:-1], d_model)
    return np.concatenate([sine, cosine] if layout == "halves" else [cosine, sine], axis=-1)


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
