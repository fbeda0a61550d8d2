"""Tables that are not the formula: what a training result is compared with before it is credited to the sinusoids.

Each is a table (n_row, d_model) whose rows have the norm sqrt(d_model / 2) of the sinusoidal ones, exactly or nearly,
so that a difference in training does not come from that; "moving" and "sine_only" have shorter ones.  What of a row
*varies* from position to position differs, though: of the sinusoids a fifth of the energy over 16 rows and 64
columns, of "centred" all.
Arguments are checked at the door by `check`: what cannot be used raises ValueError or TypeError with its name.
"""

import numpy as np

from pe_lib import check
from pe_lib.check import Floats
from pe_lib.sinusoidal import READINGS, frequencies, misread, sinusoidal


def control(name: str, n_row: int, d_model: int, train_len: int, rng: np.random.Generator) -> Floats:
    """The table called ``name``.  -> (n_row, d_model), row p for position p

    name "column", "doubled", "unpaired"  the wrong readings of i, see `sinusoidal.misread`
         "moving"     sinusoidal rows minus their mean over the first ``train_len``: the same curve, moved to the
                      origin
         "centred"    the same, times what gives those rows the mean square of sinusoidal ones: also larger
         "divided"    positions divided by omega_i instead of multiplied: pos * base ** (2i / d_model), so angles of
                      up to thousands of radians a token (harvardnlp/annotated-transformer, issue 131)
         "shuffled"   sinusoidal rows in another order: the first ``train_len`` among themselves, and every later
                      block of as many, so that the codes used in training are the same set
         "sine_only"  the sine columns times sqrt(2), the cosine columns 0; where a sine is slow, it stays near 0
         "random"     entries +-1 / sqrt(2), drawn independently
    base is 10000.  ``rng`` is drawn from for shuffled and random only.

    >>> control("sine_only", 2, 2, 2, np.random.default_rng(0)).round(2).tolist()
    [[0.0, 0.0], [1.19, 0.0]]
    """
    check.choice("name", name, CONTROLS)
    n_row = check.size("n_row", n_row)
    train_len = check.size("train_len", train_len)
    check.instance("rng", rng, np.random.Generator)
    d_model = 2 * len(frequencies(d_model))
    check.room(n_row=n_row, d_model=d_model)
    if name in READINGS:
        return misread(np.arange(n_row), d_model, reading=name)
    return _TABLES[name](sinusoidal(np.arange(n_row), d_model), train_len, rng)


def _moving(rows: Floats, train_len: int, rng: np.random.Generator) -> Floats:
    return rows - rows[:train_len].mean(axis=0)


def _centred(rows: Floats, train_len: int, rng: np.random.Generator) -> Floats:
    moving = _moving(rows, train_len, rng)
    energy = (moving[:train_len] ** 2).mean()
    return moving / np.sqrt(2 * energy) if energy else moving


def _divided(rows: Floats, train_len: int, rng: np.random.Generator) -> Floats:
    angle = np.arange(len(rows))[:, None] / frequencies(rows.shape[1])  # (n_row, d_model/2) radian
    return np.stack([np.sin(angle), np.cos(angle)], axis=-1).reshape(rows.shape)


def _shuffled(rows: Floats, train_len: int, rng: np.random.Generator) -> Floats:
    blocks = np.split(np.arange(len(rows)), range(train_len, len(rows), train_len))
    return rows[np.concatenate([rng.permutation(block) for block in blocks])]


def _sine_only(rows: Floats, train_len: int, rng: np.random.Generator) -> Floats:
    return np.tile([2**0.5, 0.0], rows.shape[1] // 2) * rows


def _random(rows: Floats, train_len: int, rng: np.random.Generator) -> Floats:
    return rng.choice([-1.0, 1.0], rows.shape) / 2**0.5


_TABLES = {
    "moving": _moving,
    "centred": _centred,
    "divided": _divided,
    "shuffled": _shuffled,
    "sine_only": _sine_only,
    "random": _random,
}
CONTROLS = (*READINGS, *_TABLES)
