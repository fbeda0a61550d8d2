"""Rotary position encoding: each pair of a query or key turns by its frequency times its position.

y_a = x_a cos(angle) - x_b sin(angle),  y_b = x_b cos(angle) + x_a sin(angle),  angle = pos * omega_i

so the dot product of a turned query and a turned key depends on the distance of their positions alone.  Well-known
code agrees on the sign and differs in which entries a and b make pair i.
Source: Su et al. 2021, "RoFormer", arXiv 2104.09864, section 3.2.  Its relatives p-RoPE, xPos and PoPE are here too.
"""

import numpy as np

from pe_lib import check, sinusoidal

PAIRINGS = ("interleaved", "half")


def frequencies(head_dim: int, base: float = 10_000.0, *, p: float = 1.0) -> np.ndarray:
    """Angular frequency of each pair, in radians per token.  -> (head_dim/2,) float64

    omega_i = base ** (-2i / head_dim): those of the sinusoidal encoding of that width.  RoFormer, section 3.2.2.
    p < 1 keeps the first floor(p * head_dim / 2) and sets the slower ones to 0: p-RoPE, Barbero et al. 2024,
    arXiv 2410.06205, section 6; 0 is no encoding.
    Raises ValueError or TypeError if head_dim is not a positive even integer, base is not finite and > 1, or p is not
    from 0 to 1.
    """
    omega = sinusoidal.frequencies(check.size("head_dim", head_dim, even=True, least=2), base)
    return np.where(np.arange(len(omega)) < np.floor(check.share("p", p) * len(omega)), omega, 0.0)


def rotate(
    x, pos, base: float = 10_000.0, *, pairing: str, rotary_dim: int | None = None, p: float = 1.0
) -> np.ndarray:
    """Queries or keys turned by their positions.  x (..., t, e), pos (t,) in tokens -> (..., t, e) float64

    pairing "interleaved"  pair i in entries 2i and 2i + 1 (RoFormer, GPT-J, Meta's Llama)
            "half"         pair i in entries i and i + rotary_dim/2 (GPT-NeoX, Llama in Hugging Face transformers),
                           where the layout "halves" of `sinusoidal` has its columns
    The first ``rotary_dim`` entries turn, with the frequencies of that width, the others stay (GPT-J, GPT-NeoX); by
    default all e turn.  p as in `frequencies`.  Positions may be negative or fractional; position 0 changes nothing.
    Raises ValueError or TypeError for x or pos that are not finite, a pos that does not fit x, an odd rotary_dim or
    one greater than e, an unknown pairing, and as `frequencies` does.
    """
    x, pos = check.reals("x", x), check.reals("pos", pos, ndim=1)
    if x.ndim < 2 or x.shape[-2] != len(pos):
        raise ValueError(f"x must be (..., {len(pos)}, head_dim), one row a position, got shape {x.shape}")
    pairs = _pairs("x", x.shape[-1], rotary_dim, pairing)  # (rotary_dim/2, 2) entries a, b of each pair
    angle = pos[:, None] * frequencies(pairs.size, base, p=p)  # (t, rotary_dim/2) radian
    a, b = x[..., pairs[:, 0]], x[..., pairs[:, 1]]
    y = x.copy()
    y[..., pairs[:, 0]] = a * np.cos(angle) - b * np.sin(angle)
    y[..., pairs[:, 1]] = b * np.cos(angle) + a * np.sin(angle)
    return y


def xpos_scale(head_dim: int, gamma: float = 0.4) -> np.ndarray:
    """What xPos multiplies pair i of a score by, every ``scale_base`` tokens of distance.  -> (head_dim/2,) float64

    zeta_i = (2i / head_dim + gamma) / (1 + gamma).  Sun et al. 2022, arXiv 2212.10554, section 3.3.
    Raises ValueError or TypeError if head_dim is not a positive even integer or gamma not > 0.
    """
    two_i = np.arange(0, check.size("head_dim", head_dim, even=True, least=2), 2)
    gamma = check.real("gamma", gamma, above=0)
    return (two_i / head_dim + gamma) / (1 + gamma)


def xpos_score(q, k, pos, base: float = 10_000.0, *, scale_base: float = 512.0, gamma: float = 0.4) -> np.ndarray:
    """Dot products of xPos: pair i of the rotary score times zeta_i ** (distance / scale_base).  -> (..., t, t)

    q, k (..., t, e), pos (t,); distance is the position of the query minus that of the key; interleaved pairs; not
    yet divided by sqrt(e).
    Raises ValueError or TypeError as `rotate` and `xpos_scale` do, or if scale_base is not > 0.
    """
    q, k = (rotate(one, pos, base, pairing="interleaved") for one in (q, k))
    pos, scale_base = check.reals("pos", pos, ndim=1), check.real("scale_base", scale_base, above=0)
    fade = xpos_scale(q.shape[-1], gamma) ** ((pos[:, None] - pos)[..., None] / scale_base)  # (t, s, e/2)
    return np.einsum("...te,...se,tse->...ts", q, k, np.repeat(fade, 2, axis=-1))


def pope_score(q, k, pos, delta, base: float = 10_000.0) -> np.ndarray:
    """Dot products of PoPE: sum_c softplus(q_c) softplus(k_c) cos((pos_k - pos_q) theta_c + delta_c).  -> (h, t, t)

    q, k (h, t, e); delta (h, e) radian, used inside -2 pi .. 0; theta_c = base ** (-c / e) for every entry c; not yet
    divided by sqrt(e).  Gopalakrishnan et al. 2025, arXiv 2509.10534.
    Raises ValueError or TypeError for arrays that are not finite, or a base that is not > 1.
    """
    q, k, pos = check.reals("q", q, ndim=3), check.reals("k", k, ndim=3), check.reals("pos", pos, ndim=1)
    delta = np.clip(check.reals("delta", delta, ndim=2), -2 * np.pi, 0)
    theta = check.real("base", base, above=1) ** (-np.arange(q.shape[-1]) / q.shape[-1])  # (e,) radian / token
    angle = (pos - pos[:, None])[..., None] * theta + delta[:, None, None]  # (h, t, s, e) radian
    return np.einsum("hte,hse,htse->hts", np.logaddexp(0, q), np.logaddexp(0, k), np.cos(angle))


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
