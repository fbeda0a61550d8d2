"""Rotary position encoding: each pair of a query or key turns by its frequency times its position.

y_a = x_a cos(angle) - x_b sin(angle),  y_b = x_b cos(angle) + x_a sin(angle),  angle = pos * omega_i

so the dot product of a turned query and a turned key depends on the distance of their positions alone.  Well-known
code agrees on the sign and differs in which entries a and b make pair i.
Source: Su et al. 2021, "RoFormer", arXiv 2104.09864, section 3.2.
"""

import numpy as np

from pe_lib import check, sinusoidal

PAIRINGS = ("interleaved", "half")


def frequencies(head_dim: int, base: float = 10_000.0) -> np.ndarray:
    """Angular frequency of each pair, in radians per token.  -> (head_dim/2,) float64

    omega_i = base ** (-2i / head_dim): those of the sinusoidal encoding of that width.  RoFormer, section 3.2.2.
    Raises ValueError or TypeError if head_dim is not a positive even integer or base is not finite and > 1.
    """
    return sinusoidal.frequencies(check.size("head_dim", head_dim, even=True, least=2), base)


def rotate(x, pos, base: float = 10_000.0, *, pairing: str, rotary_dim: int | None = None) -> np.ndarray:
    """Queries or keys turned by their positions.  x (..., t, e), pos (t,) in tokens -> (..., t, e) float64

    pairing "interleaved"  pair i in entries 2i and 2i + 1 (RoFormer, GPT-J, Meta's Llama)
            "half"         pair i in entries i and i + rotary_dim/2 (GPT-NeoX, Llama in Hugging Face transformers),
                           where the layout "halves" of `sinusoidal` has its columns
    The first ``rotary_dim`` entries turn, with the frequencies of that width, the others stay (GPT-J, GPT-NeoX); by
    default all e turn.  Positions may be negative or fractional; position 0 changes nothing.
    Raises ValueError or TypeError for x or pos that are not finite, a pos that does not fit x, an odd rotary_dim or
    one greater than e, an unknown pairing, and as `frequencies` does.
    """
    x, pos = check.reals("x", x), check.reals("pos", pos, ndim=1)
    if x.ndim < 2 or x.shape[-2] != len(pos):
        raise ValueError(f"x must be (..., {len(pos)}, head_dim), one row a position, got shape {x.shape}")
    pairs = _pairs("x", x.shape[-1], rotary_dim, pairing)  # (rotary_dim/2, 2) entries a, b of each pair
    angle = pos[:, None] * frequencies(pairs.size, base)  # (t, rotary_dim/2) radian
    a, b = x[..., pairs[:, 0]], x[..., pairs[:, 1]]
    y = x.copy()
    y[..., pairs[:, 0]] = a * np.cos(angle) - b * np.sin(angle)
    y[..., pairs[:, 1]] = b * np.cos(angle) + a * np.sin(angle)
    return y


def pairing_permutation(head_dim: int, source: str, target: str, *, rotary_dim: int | None = None) -> np.ndarray:
    """Where the entries of a head come from when its pairing changes.  -> (head_dim,) integers

    With p = pairing_permutation(e, source, target), for all x:
    rotate(x[..., p], pos, pairing=target) == rotate(x, pos, pairing=source)[..., p].
    From interleaved to half at head_dim = 8: 0, 2, 4, 6, 1, 3, 5, 7.
    Raises ValueError or TypeError as `rotate` does.
    """
    from_pairs, to_pairs = (_pairs("head_dim", head_dim, rotary_dim, one) for one in (source, target))
    permutation = np.arange(head_dim)
    permutation[to_pairs] = from_pairs
    return permutation


def convert_projection(weight, n_head: int, source: str, target: str, *, rotary_dim: int | None = None):
    """A query or key projection for the other pairing.  weight (n_head * e, ...) -> the same, rows reordered

    ``weight`` is a weight matrix (output features first, as `torch.nn.Linear` has it) or a bias, as a NumPy array or
    a tensor.  Queries and keys of a model must both be converted; values stay.  Where there are fewer heads of keys
    than of queries, ``n_head`` is the number of that projection.  Scores stay the same, up to the order of a sum.
    Raises ValueError or TypeError if the rows are not n_head heads, and as `pairing_permutation` does.
    """
    n_row = weight.shape[0]
    if n_row % check.size("n_head", n_head):
        raise ValueError(f"weight must have a multiple of n_head = {n_head} rows, got {n_row}")
    head_dim = n_row // n_head
    permutation = pairing_permutation(head_dim, source, target, rotary_dim=rotary_dim)
    return weight[(head_dim * np.arange(n_head)[:, None] + permutation).ravel()]


def _pairs(name: str, head_dim: int, rotary_dim: int | None, pairing: str) -> np.ndarray:
    """The entries that make each pair.  -> (rotary_dim/2, 2) integers"""
    check.choice("pairing", pairing, PAIRINGS)
    if rotary_dim is None:
        if check.size(name, head_dim) % 2:
            raise ValueError(f"{name} must have an even width, or rotary_dim be given, got width {head_dim}")
        rotary_dim = head_dim
    elif check.size("rotary_dim", rotary_dim, even=True, least=2) > check.size(name, head_dim):
        raise ValueError(f"rotary_dim must be at most head_dim = {head_dim}, got {rotary_dim}")
    entries = np.arange(rotary_dim)
    return entries.reshape(-1, 2) if pairing == "interleaved" else entries.reshape(2, -1).T
