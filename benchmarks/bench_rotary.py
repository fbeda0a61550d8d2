"""Turning queries and keys, against copying them."""

import numpy as np
import pytest
import torch

from pe_lib import rotary
from pe_lib.encodings import Rotary

BATCH, N_HEAD, WIDTH = 4, 16, 64
LENGTHS = [128, *[pytest.param(seq_len, marks=pytest.mark.slow) for seq_len in (1024, 2048)]]
FAR = 1_000_000
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def positions(first, seq_len):
    return torch.arange(first, first + seq_len, dtype=torch.float64)


def ours(pairing):
    encoding = Rotary(WIDTH, pairing=pairing)
    return lambda q, k, first: encoding.turn(q, k, *[positions(first, q.shape[-2])] * 2)


def complex_product(q, k, first):
    """A complex product for each pair, in float32, as in Meta's own code of Llama; the factors are made here too."""
    omega = 1 / 10_000 ** (torch.arange(0, WIDTH, 2).float() / WIDTH)
    angle = torch.outer(torch.arange(first, first + q.shape[-2]).float(), omega)
    factor = torch.polar(torch.ones_like(angle), angle)
    pairs = [torch.view_as_complex(x.float().unflatten(-1, (-1, 2))) for x in (q, k)]
    return [torch.view_as_real(pair * factor).flatten(-2).type_as(q) for pair in pairs]


def llama_tables(peer):
    """Cosines and sines as Llama's code in transformers makes them, and how it turns by them."""
    llama = peer("transformers.models.llama.modeling_llama")
    config = peer("transformers").LlamaConfig(hidden_size=N_HEAD * WIDTH, num_attention_heads=N_HEAD)
    make = llama.LlamaRotaryEmbedding(config)
    return lambda q, first: make(q, positions(first, q.shape[-2]).long()[None]), llama.apply_rotary_pos_emb


def transformers(peer):
    make, apply = llama_tables(peer)
    return lambda q, k, first: apply(q, k, *make(q, first))


def transformers_given(peer):
    """The tables are made once for all layers: not counted here."""
    make, apply = llama_tables(peer)
    tables = {}

    def turn(q, k, first):
        key = q.dtype, q.shape[-2], first
        if key not in tables:
            tables[key] = make(q, first)
        return apply(q, k, *tables[key])

    return turn


def rotary_embedding_torch(peer):
    turn = peer("rotary_embedding_torch").RotaryEmbedding(WIDTH).rotate_queries_or_keys
    return lambda q, k, first: (turn(q, offset=first), turn(k, offset=first))


def copy(q, k, first):
    return q.clone(), k.clone()


# What makes the way, and its pairing.
WAYS = {
    "copy": (lambda peer: copy, None),
    "pe_lib interleaved": (lambda peer: ours("interleaved"), "interleaved"),
    "pe_lib half": (lambda peer: ours("half"), "half"),
    "complex product": (lambda peer: complex_product, "interleaved"),
    "transformers": (transformers, "half"),
    "transformers, tables given": (transformers_given, "half"),
    "rotary-embedding-torch": (rotary_embedding_torch, "interleaved"),
}


def vectors(dtype, *shape):
    drawn = torch.Generator().manual_seed(0)
    return [torch.randn(*shape, WIDTH, generator=drawn).to(DTYPES[dtype]) for _ in range(2)]


def errors(turn, pairing, dtype):
    """The largest error of 16 vectors, drawn from N(0, 1), at the first positions and at those before `FAR`."""
    q, k = vectors(dtype, 1, 1, 16)
    wrong = {}
    for name, end in (("error_near", 16), ("error_far", FAR)):
        exact = rotary.rotate(q[0, 0].double().numpy(), np.arange(end - 16, end), pairing=pairing)
        turned = turn(q, k, end - 16)[0][0, 0].double().numpy()
        wrong[name] = float(np.abs(turned - exact).max())
    return wrong


# The ways of one size one after another: what changes in the machine meets them alike.
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("seq_len", LENGTHS)
def test_forward(timed, peer, way, dtype, seq_len):
    q, k = vectors(dtype, BATCH, N_HEAD, seq_len)
    make, pairing = WAYS[way]
    turn = make(peer)
    with torch.no_grad():
        wrong = errors(turn, pairing, dtype) if pairing else {}
        assert wrong.get("error_near", 0) < 0.05
        if way.startswith("pe_lib"):
            assert max(wrong.values()) < (1e-6 if dtype == "float32" else 0.04)
        timed(lambda: turn(q, k, 0), "rotary", way, sizes(dtype, seq_len), floor=way == "copy", **wrong)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("seq_len", LENGTHS)
def test_backward(timed, peer, way, dtype, seq_len):
    """The gradient of a rotation is the rotation back: so it should cost as much."""
    q, k = (x.requires_grad_() for x in vectors(dtype, BATCH, N_HEAD, seq_len))
    turn = WAYS[way][0](peer)
    turned = turn(q, k, 0)
    gradients = vectors(dtype, BATCH, N_HEAD, seq_len)

    def backward():
        # That of a copy is passed on as it is, so that its floor is a copy too.
        if way == "copy":
            return copy(*gradients, 0)
        return torch.autograd.grad(turned, (q, k), gradients, retain_graph=True)

    with torch.no_grad():
        again = turn(*backward(), 0)
    torch.testing.assert_close(list(again), gradients, atol=1e-4 if dtype == "float32" else 0.1, rtol=0)
    timed(backward, "rotary backward", way, sizes(dtype, seq_len), floor=way == "copy")


def sizes(dtype, seq_len):
    return {"dtype": dtype, "batch": BATCH, "n_head": N_HEAD, "seq_len": seq_len, "width": WIDTH}
