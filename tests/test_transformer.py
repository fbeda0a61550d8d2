"""The model: symmetry without position, causality, weights that are weights, gradients, and bad input."""

import pytest
import torch

from pe_lib.encodings import PositionEncoding, build
from pe_lib.transformer import Config, TinyTransformer

SIZES = dict(vocab=10, n_class=7, max_len=9, d_model=16, n_head=4, n_layer=2)


def model(encoding="nope", **sizes):
    config = Config(**SIZES | sizes)
    generator = torch.Generator().manual_seed(3)
    return TinyTransformer(config, build(encoding, config, generator), generator).double()


@pytest.fixture
def tokens(rng):
    return torch.from_numpy(rng.integers(0, 10, (2, 9)))


def test_without_encoding_a_permutation_passes_through(rng, tokens):
    order = torch.from_numpy(rng.permutation(9))
    assert (model()(tokens[:, order]) - model()(tokens)[:, order]).abs().max() < 1e-12
    with_encoding = model("sinusoidal")
    assert (with_encoding(tokens[:, order]) - with_encoding(tokens)[:, order]).abs().max() > 1e-3
    moved_along = with_encoding(tokens[:, order], pos=order)
    assert (moved_along - with_encoding(tokens)[:, order]).abs().max() < 1e-12


@pytest.mark.parametrize("encoding", ["nope", "sinusoidal"])  # the others: test_encodings.py
def test_causal_means_causal(rng, encoding, tokens):
    causal, full = model(encoding, causal=True), model(encoding)
    for cut in rng.permutation(8)[:4] + 1:
        later = tokens.clone()
        later[:, cut:] = (later[:, cut:] + 1) % 10
        assert torch.equal(causal(later)[:, :cut], causal(tokens)[:, :cut])
        assert (causal(later)[:, cut:] - causal(tokens)[:, cut:]).abs().max() > 1e-3
        assert (full(later)[:, :cut] - full(tokens)[:, :cut]).abs().max() > 1e-6


@pytest.mark.parametrize("causal", [False, True])
def test_attention_weights(causal, tokens):
    weight = model("sinusoidal", causal=causal).attention(tokens)
    assert weight.shape == (2, 2, 4, 9, 9)  # layer, b, h, t, s
    assert torch.allclose(weight.sum(-1), torch.ones(2, 2, 4, 9, dtype=torch.float64), atol=1e-12)
    assert (weight.triu(1).abs().max() == 0) == causal


def test_one_layer_by_hand(tokens):
    """The model against the formulas of the paper, written out head by head."""
    one = model(n_layer=1, n_head=2)
    block = one.blocks[0]
    x = one.token[tokens] * 16**0.5
    q, k, v = (block.norm_attention(x) @ block.qkv.weight.T).split(16, dim=-1)
    heads = []
    for h in range(2):
        part = slice(8 * h, 8 * h + 8)
        weight = (q[..., part] @ k[..., part].transpose(1, 2) / 8**0.5).softmax(-1)
        heads.append(weight @ v[..., part])
    x = x + torch.cat(heads, dim=-1) @ block.out.weight.T
    hidden = block.norm_forward(x) @ block.forward_layer[0].weight.T
    x = x + torch.nn.functional.gelu(hidden) @ block.forward_layer[2].weight.T
    assert torch.allclose(one(tokens), one.norm(x) @ one.head.weight.T, atol=1e-12)


def test_turn_and_bias_reach_the_scores(tokens):
    class Diagonal(PositionEncoding):  # forbids every key but the query's own
        def bias(self, q, k, pos):
            return -1e9 * (1 - torch.eye(len(pos), dtype=q.dtype))

    class Mute(PositionEncoding):  # makes all scores equal
        def turn(self, q, k, pos):
            return 0 * q, k

    config, generator = Config(**SIZES), torch.Generator().manual_seed(3)
    diagonal = TinyTransformer(config, Diagonal(), generator).double().attention(tokens)
    assert torch.allclose(diagonal, torch.eye(9, dtype=torch.float64).expand_as(diagonal), atol=1e-12)
    mute = TinyTransformer(config, Mute(), generator).double().attention(tokens)
    assert torch.allclose(mute, torch.full_like(mute, 1 / 9), atol=1e-12)


def test_weights_come_from_the_generator_alone():
    before = torch.random.get_rng_state()
    first, second = model(), model()
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_embeddings_have_the_norm_of_the_encoding():
    one = model(vocab=4000, d_model=64)
    assert (one.token * 64**0.5).std().item() == pytest.approx(1, rel=0.02)


@pytest.mark.parametrize(
    ("tokens", "error", "says"),
    [
        (torch.tensor([[0, 10]]), ValueError, "tokens must be from 0 to vocab - 1 = 9, got 0 to 10"),
        (torch.tensor([[-1, 3]]), ValueError, "got -1 to 3"),
        (torch.tensor([0, 1]), ValueError, "tokens must be (batch, seq_len), neither empty, got shape (2,)"),
        (torch.zeros(0, 4, dtype=torch.long), ValueError, "neither empty, got shape (0, 4)"),
        (torch.zeros(2, 0, dtype=torch.long), ValueError, "neither empty, got shape (2, 0)"),
        (torch.tensor([[0.0]]), TypeError, "tokens must be integers, got torch.float32"),
    ],
)
def test_bad_tokens(tokens, error, says):
    with pytest.raises(error) as raised:
        model()(tokens)
    assert says in str(raised.value)


@pytest.mark.parametrize(
    ("sizes", "error", "says"),
    [
        ({"n_head": 3}, ValueError, "d_model must be a multiple of n_head = 3, got 16"),
        ({"n_layer": 0}, ValueError, "n_layer must be a whole number >= 1, got 0"),
        ({"d_model": 16.0}, TypeError, "d_model must be a whole number >= 1, got 16.0 of type float"),
        ({"causal": 1}, TypeError, "causal must be True or False, got 1"),
    ],
)
def test_bad_sizes(sizes, error, says):
    with pytest.raises(error) as raised:
        Config(**SIZES | sizes)
    assert says in str(raised.value)
