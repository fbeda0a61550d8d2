"""Rotary position encoding: each pair of a query or key turns by its frequency times its position.

y_a = x_a cos(angle) - x_b sin(angle),  y_b = x_b cos(angle) + x_a sin(angle),  angle = pos * omega_i

so the dot product of a turned query and a turned key depends on their distance alone.  Well-known code agrees on the
sign and differs in which entries a and b make pair i.  Su et al. 2021, "RoFormer", arXiv 2104.09864, section 3.2.
Its relatives p-RoPE, xPos and PoPE are here too.
Arguments are checked at the door by `check`: what cannot be used raises ValueError or TypeError with its name.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pe_lib import check, sinusoidal
from pe_lib.check import Floats, Integers

PAIRINGS = ("interleaved", "half")


def frequencies(head_dim: int, base: float = 10_000.0, *, p: float = 1.0) -> Floats:
    """Angular frequency of each pair, in radians per token.  -> (head_dim/2,)

    omega_i = base ** (-2i / head_dim), as in the sinusoidal encoding of that width.  RoFormer, sec. 3.2.2.
    p from 0 to 1 keeps the first floor(p * head_dim / 2) and sets the slower ones, meant for content, to 0: p-RoPE,
    Barbero et al. 2024, arXiv 2410.06205, sec. 6.

    >>> frequencies(8, p=0.5).round(6).tolist()
    [1.0, 0.1, 0.0, 0.0]
    """
    omega = sinusoidal.frequencies(check.size("head_dim", head_dim, even=True, least=2), base)
    n_turning = int(check.fraction("p", p) * len(omega))
    omega[n_turning:] = 0.0
    return omega


@check.finite
def rotate(
    x: ArrayLike,
    pos: ArrayLike,
    base: float = 10_000.0,
    *,
    pairing: str,
    rotary_dim: int | None = None,
    p: float = 1.0,
) -> Floats:
    """Queries or keys turned by their positions, which may be negative or fractional.  x (..., t, e) -> (..., t, e)

    pos         (t,) in tokens; 0 changes nothing
    pairing     "interleaved"  pair i in entries 2i and 2i + 1 (RoFormer, GPT-J, Meta's Llama)
                "half"         in entries i and i + rotary_dim/2 (GPT-NeoX, Llama in Hugging Face transformers)
    rotary_dim  so many entries turn, at the frequencies of that width (GPT-J, GPT-NeoX); by default all e
    p           see `frequencies`

    >>> rotate([[1, 0], [1, 0]], [0, 1], pairing="half").round(2).tolist()
    [[1.0, 0.0], [0.54, 0.84]]
    """
    x = check.reals("x", x)
    pos = check.reals("pos", pos, ndim=1)
    if x.ndim < 2 or x.shape[-2] != len(pos) or not x.shape[-1]:
        raise ValueError(f"x must be (..., {len(pos)}, head_dim), a row for each of pos, got shape {x.shape}")
    check.choice("pairing", pairing, PAIRINGS)
    first, second = _pairs("x", x.shape[-1], rotary_dim, pairing)  # entries, each (rotary_dim/2,)
    angle = pos[:, None] * frequencies(2 * len(first), base, p=p)  # (t, rotary_dim/2) radian
    a, b = x[..., first], x[..., second]
    y = x.copy()
    y[..., first] = a * np.cos(angle) - b * np.sin(angle)
    y[..., second] = b * np.cos(angle) + a * np.sin(angle)
    return y


def xpos_scale(head_dim: int, gamma: float = 0.4) -> Floats:
    """What xPos multiplies pair i of a score by, every ``scale_base`` tokens of distance.  -> (head_dim/2,)

    zeta_i = (2i / head_dim + gamma) / (1 + gamma).  Sun et al. 2022, arXiv 2212.10554, sec. 3.3.

    >>> xpos_scale(4, gamma=1.0).tolist()
    [0.5, 0.75]
    """
    head_dim = check.size("head_dim", head_dim, even=True, least=2)
    two_i = np.arange(0, head_dim, 2)
    gamma = check.real("gamma", gamma, above=0)
    return (two_i / head_dim + gamma) / (1 + gamma)


@check.finite
def xpos_score(
    q: ArrayLike,
    k: ArrayLike,
    pos: ArrayLike,
    base: float = 10_000.0,
    *,
    scale_base: float = 512.0,
    gamma: float = 0.4,
) -> Floats:
    """Dot products of xPos: pair i of the rotary score times zeta_i ** (distance / scale_base).  -> (..., t, t)

    q, k (..., t, e), pos (t,).  distance = query - key; pairs are interleaved; not yet divided by sqrt(e).

    >>> xpos_score([[1, 0], [1, 0]], [[1, 0], [1, 0]], [0, 1], scale_base=1, gamma=1).round(2).tolist()
    [[1.0, 1.08], [0.27, 1.0]]
    """
    q = check.reals("q", q)
    k = check.reals("k", k)
    pos = check.reals("pos", pos, ndim=1)
    if q.shape[-2:-1] != pos.shape or q.shape[-1] % 2 or k.shape != q.shape:
        wanted = f"(..., {len(pos)}, even head_dim), a row for each of pos"
        raise ValueError(f"q and k must be {wanted}, got shapes {q.shape} and {k.shape}")
    q = rotate(q, pos, base, pairing="interleaved")
    k = rotate(k, pos, base, pairing="interleaved")
    distance = (pos[:, None] - pos) / check.real("scale_base", scale_base, above=0)  # (t, s)
    zeta = np.repeat(xpos_scale(q.shape[-1], gamma), 2)  # (e,)
    return np.einsum("...te,...se,tse->...ts", q, k, zeta ** distance[..., None])


@check.finite
def pope_score(q: ArrayLike, k: ArrayLike, pos: ArrayLike, delta: ArrayLike, base: float = 10_000.0) -> Floats:
    """Dot products of PoPE: sum_c softplus(q_c) softplus(k_c) cos((pos_k - pos_q) theta_c + delta_c).  -> (h, t, t)

    q, k (h, t, e), pos (t,), delta (h, e) radian, used inside -2 pi .. 0.  Every entry c has an angle of its own,
    theta_c = base ** (-c / e); not yet divided by sqrt(e).  Gopalakrishnan et al. 2025, arXiv 2509.10534.

    >>> pope_score([[[0.0]]], [[[0.0]]], [3], [[0.0]]).round(3).tolist()  # ln(2) squared
    [[[0.48]]]
    """
    q = check.reals("q", q, ndim=3)
    k = check.reals("k", k, ndim=3)
    if k.shape != q.shape:
        raise ValueError(f"q and k must have one shape (h, t, e), got {q.shape} and {k.shape}")
    n_head, n_token, head_dim = q.shape
    pos = check.axes("pos", pos, t=n_token)
    delta = check.axes("delta", delta, h=n_head, e=head_dim).clip(-2 * np.pi, 0)
    theta = check.real("base", base, above=1) ** (-np.arange(head_dim) / head_dim)  # (e,) radian / token
    angle = (pos - pos[:, None])[..., None] * theta + delta[:, None, None]  # (h, t, s, e) radian
    return np.einsum("hte,hse,htse->hts", np.logaddexp(0, q), np.logaddexp(0, k), np.cos(angle))


def pairing_permutation(head_dim: int, source: str, target: str, *, rotary_dim: int | None = None) -> Integers:
    """Where the entries of a head come from when its pairing changes.  -> (head_dim,)

    With p = pairing_permutation(e, source, target), for all x:
    rotate(x[..., p], pos, pairing=target) == rotate(x, pos, pairing=source)[..., p].

    >>> pairing_permutation(8, "interleaved", "half").tolist()
    [0, 2, 4, 6, 1, 3, 5, 7]
    """
    check.choice("source", source, PAIRINGS)
    check.choice("target", target, PAIRINGS)
    head_dim = check.size("head_dim", head_dim)
    from_pairs = _pairs("head_dim", head_dim, rotary_dim, source)
    permutation = np.arange(head_dim)
    permutation[_pairs("head_dim", head_dim, rotary_dim, target)] = from_pairs
    return permutation


def convert_projection(weight: Any, n_head: int, source: str, target: str, *, rotary_dim: int | None = None) -> Any:
    """A query or key projection for the other pairing.  weight (n_head * e, ...) -> the same, rows reordered

    weight is a matrix (output features first, as `torch.nn.Linear` has it) or a bias, of NumPy or torch.  Queries and
    keys must both be converted, each with its own number of heads; values stay.  Scores stay, up to rounding.
    """
    if not hasattr(weight, "ndim") or weight.ndim == 0:
        raise TypeError(f"weight must be an array of NumPy or torch, with rows, got {check.short(weight)}")
    n_head = check.size("n_head", n_head)
    n_row = weight.shape[0]
    if not n_row or n_row % n_head:
        raise ValueError(f"weight must have a multiple of n_head = {n_head} rows, got {n_row}")
    head_dim = n_row // n_head
    permutation = pairing_permutation(head_dim, source, target, rotary_dim=rotary_dim)
    rows = head_dim * np.arange(n_head)[:, None] + permutation  # (n_head, e)
    return weight[rows.ravel()]


def _pairs(name: str, head_dim: int, rotary_dim: int | None, pairing: str) -> Integers:
    """The first and the second entry of each pair.  -> (2, rotary_dim/2)"""
    if rotary_dim is None and head_dim % 2:
        raise ValueError(f"{name} must have an even width, or rotary_dim be given, got width {head_dim}")
    width = check.size("rotary_dim", head_dim if rotary_dim is None else rotary_dim, even=True, least=2)
    if width > head_dim:
        raise ValueError(f"rotary_dim must be at most head_dim = {head_dim}, got {rotary_dim}")
    entries = np.arange(width)
    return entries.reshape(-1, 2).T if pairing == "interleaved" else entries.reshape(2, -1)
