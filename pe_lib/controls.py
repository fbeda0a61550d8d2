"""Tables that are not the formula: what a training result is compared with before it is credited to the sinusoids.

Each is a table (n_row, d_model) whose rows have the norm sqrt(d_model / 2) of the sinusoidal ones, exactly or nearly,
so that a difference in training does not come from the scale; only the rows of "sine_only" are shorter.
"""

import numpy as np

from pe_lib import check
from pe_lib.sinusoidal import READINGS, frequencies, misread, sinusoidal

CONTROLS = (*READINGS, "divided", "shuffled", "sine_only", "random")


def control(name: str, n_row: int, d_model: int, train_len: int, rng: np.random.Generator) -> np.ndarray:
    """The table called ``name``.  -> (n_row, d_model) float64, row p for position p

    name "column", "doubled", "unpaired"  the wrong readings of i, see `sinusoidal.misread`
         "divided"    positions divided by omega_i instead of multiplied: pos * base ** (2i / d_model), so angles of
                      up to thousands of radians a token (harvardnlp/annotated-transformer, issue 131)
         "shuffled"   sinusoidal rows in another order: the first ``train_len`` among themselves, and every later
                      block of as many, so that the codes used in training are the same set
         "sine_only"  the sine columns times sqrt(2), the cosine columns 0; where a sine is slow, it stays near 0
         "random"     entries +-1 / sqrt(2), drawn independently
    base is 10000.  ``rng`` is drawn from for shuffled and random only.
    Raises ValueError or TypeError for an unknown name, sizes that are not positive integers or an odd d_model.
    """
    check.choice("name", name, CONTROLS)
    n_row, train_len = check.size("n_row", n_row), check.size("train_len", train_len)
    omega, pos = frequencies(d_model), np.arange(n_row)
    if name in READINGS:
        return misread(pos, d_model, reading=name)
    if name == "divided":
        angle = pos[:, None] / omega  # (n_row, d/2) radian
        return np.stack([np.sin(angle), np.cos(angle)], axis=-1).reshape(n_row, d_model)
    if name == "shuffled":
        blocks = [start + rng.permutation(min(train_len, n_row - start)) for start in range(0, n_row, train_len)]
        return sinusoidal(np.concatenate(blocks), d_model)
    if name == "sine_only":
        return sinusoidal(pos, d_model) * np.tile([2**0.5, 0.0], d_model // 2)
    return rng.choice([-1.0, 1.0], (n_row, d_model)) / 2**0.5
