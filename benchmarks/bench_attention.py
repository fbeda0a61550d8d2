"""Causal attention with each encoding, by plain products and by PyTorch's fused kernel, against that without any.

What is timed: what the encoding does to embeddings, queries, keys and scores, and the attention itself.  The weights
of the layer are not in it.
"""

import pytest
import torch
from torch.nn.functional import pad, scaled_dot_product_attention

from pe_lib.encodings import ENCODINGS, build
from pe_lib.transformer import Config

N_HEAD, WIDTH = 8, 64  # entries of a head
GROWING = ("nope", "sinusoidal", "rope", "alibi", "t5", "shaw")  # in longer sequences too
LONG = [(name, 512) for name in ENCODINGS] + [(name, 2048) for name in GROWING]
CASES = [(name, 128) for name in ENCODINGS] + [pytest.param(*case, marks=pytest.mark.slow) for case in LONG]


def inputs(name, seq_len):
    """An encoding, embeddings, and queries, keys and values; the same numbers for all."""
    d_model = N_HEAD * WIDTH
    config = Config(vocab=2, n_class=2, max_len=seq_len, d_model=d_model, n_head=N_HEAD, n_layer=1, causal=True)
    draw = torch.Generator().manual_seed(0)
    encoding = build(name, config, torch.Generator().manual_seed(1)).eval()
    x = torch.randn(1, seq_len, d_model, generator=draw)
    return encoding, x, torch.randn(3, 1, N_HEAD, seq_len, WIDTH, generator=draw)


def attention(encoding, x, qkv, *, fused):
    """Embeddings with position in them, and what attention gives.  -> (1, t, d), (1, h, t, e)"""
    q, k, v = qkv
    pos = encoding.positions(x.shape[1])
    x, block = encoding.embed(x, pos), encoding.block(0)
    q, k = block.turn(q, k, pos, pos)
    bias = block.bias(q, k, pos, pos)
    if fused:
        return x, fused_attention(q, k, v, None if bias is None else hide_later(bias))
    score = q @ k.mT / q.shape[-1] ** 0.5
    if bias is not None:
        score = score + bias
    return x, hide_later(score).softmax(dim=-1) @ v


def hide_later(score):
    return score.masked_fill(torch.ones(score.shape[-2:], dtype=torch.bool).triu(1), -torch.inf)


def fused_attention(q, k, v, mask):
    # PyTorch's documentation allows a mask or is_causal, not both: so a bias has to hide the later keys itself.
    if mask is None:
        return scaled_dot_product_attention(q, k, v, is_causal=True)
    return scaled_dot_product_attention(q, k, v, attn_mask=mask.expand(1, N_HEAD, -1, -1))


def alibi_as_a_column(encoding, qkv):
    """Causal attention with ALiBi, whose bias is a product, so that the kernel needs none.  -> (1, h, t, e)

    The softmax does not change where all scores of a query move together, and -slope * (pos_q - pos_k) without what
    belongs to the query is 1 * slope * pos_k: one more entry in queries and keys.  Values get one too, since the
    kernel wants all three equally wide.  Wu et al. 2025 (FlashBias), arXiv 2505.12044.
    """
    e = qkv.shape[-1]
    q, k, v = pad(qkv, (0, 1))  # each (1, h, t, e + 1)
    pos = encoding.positions(qkv.shape[-2])
    q[..., e] = e**0.5  # the kernel is told to divide by it
    k[..., e] = encoding.slope[:, None] * (pos - pos.mean())
    return scaled_dot_product_attention(q, k, v, is_causal=True, scale=e**-0.5)[..., :e]


# The ways of one length one after another: what changes in the machine meets them alike.
@pytest.mark.parametrize("way", ["fused", "plain"])
@pytest.mark.parametrize(("name", "seq_len"), CASES)
def test_attention(timed, way, name, seq_len):
    encoding, x, qkv = inputs(name, seq_len)
    fused = way == "fused"
    with torch.no_grad():
        torch.manual_seed(0)  # of encodings that draw positions
        given = attention(encoding, x, qkv, fused=fused)[1]
        torch.manual_seed(0)
        plain = attention(encoding, x, qkv, fused=False)[1]
        torch.testing.assert_close(given, plain, atol=1e-5, rtol=1e-4)
        case = f"{name}, {way}"
        floor = case == "nope, fused"
        timed(lambda: attention(encoding, x, qkv, fused=fused), "attention", case, sizes(seq_len), floor=floor)


@pytest.mark.parametrize("way", ["as a column", "bias given"])
@pytest.mark.parametrize(
    "seq_len", [128, *[pytest.param(seq_len, marks=pytest.mark.slow) for seq_len in (512, 2048)]]
)
def test_alibi(timed, way, seq_len):
    """As one more column of the keys, and with a bias that was made before, for all calls."""
    encoding, x, qkv = inputs("alibi", seq_len)
    pos = encoding.positions(seq_len)
    mask = hide_later(encoding.bias(*qkv[:2], pos, pos))
    ways = {
        "as a column": lambda: alibi_as_a_column(encoding, qkv),
        "bias given": lambda: fused_attention(*qkv, mask),
    }
    with torch.no_grad():
        plain = attention(encoding, x, qkv, fused=False)[1]
        # The products of the column are larger, and so is what their roundings come to.
        torch.testing.assert_close(ways[way](), plain, atol=1e-4, rtol=1e-4)
        timed(ways[way], "attention", f"alibi, {way}", sizes(seq_len))


def sizes(seq_len):
    return {"batch": 1, "n_head": N_HEAD, "seq_len": seq_len, "width": WIDTH}
