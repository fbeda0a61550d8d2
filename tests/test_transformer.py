"""The model: symmetry without position, causality, weights that are weights, gradients, and bad input."""

import re

import pytest
import torch

from pe_lib.encodings import FixedTable, PerBlock, PositionEncoding, Rotary, Sinusoidal, build
from pe_lib.encodings.distance import Alibi
from pe_lib.encodings.positions import Wrapper
from pe_lib.transformer import Config, TinyTransformer

SIZES = dict(vocab=10, n_class=7, max_len=9, d_model=16, n_head=4, n_layer=2)


def model_of(encoding="nope", **sizes):
    config = Config(**SIZES | sizes)
    generator = torch.Generator().manual_seed(3)
    return TinyTransformer(config, build(encoding, config, generator), generator).double()


@pytest.fixture
def tokens(rng):
    return torch.from_numpy(rng.integers(0, 10, (2, 9)))


def test_without_encoding_a_permutation_passes_through(rng, tokens):
    order = torch.from_numpy(rng.permutation(9))
    assert (model_of()(tokens[:, order]) - model_of()(tokens)[:, order]).abs().max() < 1e-12
    with_encoding = model_of("sinusoidal")
    assert (with_encoding(tokens[:, order]) - with_encoding(tokens)[:, order]).abs().max() > 1e-3
    moved_along = with_encoding(tokens[:, order], pos=order)
    assert (moved_along - with_encoding(tokens)[:, order]).abs().max() < 1e-12


@pytest.mark.parametrize("encoding", ["nope", "sinusoidal"])  # the others: test_encodings.py
def test_causal_means_causal(rng, encoding, tokens):
    causal, full = model_of(encoding, causal=True), model_of(encoding)
    for cut in rng.permutation(8)[:4] + 1:
        later = tokens.clone()
        later[:, cut:] = (later[:, cut:] + 1) % 10
        assert torch.equal(causal(later)[:, :cut], causal(tokens)[:, :cut])
        assert (causal(later)[:, cut:] - causal(tokens)[:, cut:]).abs().max() > 1e-3
        assert (full(later)[:, :cut] - full(tokens)[:, :cut]).abs().max() > 1e-6


@pytest.mark.parametrize("causal", [False, True])
def test_attention_weights(causal, tokens):
    weight = model_of("sinusoidal", causal=causal).attention(tokens)
    assert weight.shape == (2, 2, 4, 9, 9)  # layer, b, h, t, s
    assert torch.allclose(weight.sum(-1), torch.ones(2, 2, 4, 9, dtype=torch.float64), atol=1e-12)
    assert (weight.triu(1).abs().max() == 0) == causal


def test_one_layer_by_hand(tokens):
    """The model against the formulas of the paper, written out head by head."""
    one = model_of(n_layer=1, n_head=2)
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
        def bias(self, q, k, pos_q, pos_k):
            return -1e9 * (1 - torch.eye(len(pos_q), dtype=q.dtype))

    class Mute(PositionEncoding):  # makes all scores equal
        def turn(self, q, k, pos_q, pos_k):
            return 0 * q, k

    config, generator = Config(**SIZES), torch.Generator().manual_seed(3)
    diagonal = TinyTransformer(config, Diagonal(), generator).double().attention(tokens)
    assert torch.allclose(diagonal, torch.eye(9, dtype=torch.float64).expand_as(diagonal), atol=1e-12)
    mute = TinyTransformer(config, Mute(), generator).double().attention(tokens)
    assert torch.allclose(mute, torch.full_like(mute, 1 / 9), atol=1e-12)


def test_weights_come_from_the_generator_alone():
    before = torch.random.get_rng_state()
    first, second = model_of(), model_of()
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_embeddings_have_the_norm_of_the_encoding():
    one = model_of(vocab=4000, d_model=64)
    assert (one.token * 64**0.5).std().item() == pytest.approx(1, rel=0.02)


# Padding, positions of each sequence, and a cache


@pytest.fixture
def real():
    """Where the tokens of two sequences stand, the second padded on the left."""
    return torch.arange(9) >= torch.tensor([0, 4])[:, None]


def test_default_positions_do_not_count_padding(tokens, real):
    model = model_of("sinusoidal", causal=True)
    together = model(tokens, attention_mask=real)
    assert (together[0] - model(tokens[:1])[0]).abs().max() < 1e-12
    assert (together[1, 4:] - model(tokens[1:, 4:])[0]).abs().max() < 1e-12
    pos = torch.tensor([[0.0, 1, 2, 3, 4, 5, 6, 7, 8], [0, 0, 0, 0, 0, 1, 2, 3, 4]])
    assert torch.equal(model(tokens, pos, real), together)
    assert not torch.allclose(model(tokens, torch.arange(9.0), real)[1, 4:], together[1, 4:], atol=1e-3)


def test_padding_gets_no_weight(tokens, real):
    weight = model_of("rope").attention(tokens, attention_mask=real)  # (layer, b, h, t, s)
    assert weight.isfinite().all() and torch.allclose(weight.sum(-1), torch.ones(1, dtype=torch.float64))
    assert weight[:, 1, :, 4:, :4].abs().max() == 0 and weight[:, 1, :, 4:, 4:].min() > 0
    for padding in range(4):  # padding sees itself, so that its rows are no NaN
        assert weight[:, 1, :, padding, padding].min() > 0
    assert weight[:, 0].min() > 0


@pytest.mark.parametrize("encoding", ["sinusoidal", "rope", "alibi"])
def test_a_padded_batch_goes_on_from_its_cache(encoding, tokens, real):
    model = model_of(encoding, causal=True)
    together = model(tokens, attention_mask=real)
    logits, cache = model.extend(tokens[:, :6], attention_mask=real[:, :6])
    assert (logits - together[:, :6]).abs().max() < 1e-12
    assert cache.pos.shape == (2, 6) and len(cache.blocks) == 2
    assert all(keys.shape == values.shape == (2, 4, 6, 4) for keys, values in cache.blocks)
    logits, longer = model.extend(tokens[:, 6:], cache, attention_mask=real)
    assert (logits - together[:, 6:]).abs().max() < 1e-12
    assert cache.pos.shape == (2, 6) and longer.pos.shape == (2, 9), "a cache that was passed in stays as it is"


def test_positions_of_a_cache_may_be_those_of_each_sequence(tokens):
    model = model_of("rope", causal=True)
    pos = torch.stack([torch.arange(9.0), 2 * torch.arange(9.0)])
    together = model(tokens, pos)
    _, cache = model.extend(tokens[:, :5], pos=torch.arange(5.0))
    assert (model.extend(tokens[:1, 5:], first_of(cache), pos[:1, 5:])[0] - together[:1, 5:]).abs().max() < 1e-12
    assert model.extend(tokens[:, 5:], cache, pos[:, 5:])[1].pos.tolist() == [
        [0, 1, 2, 3, 4, 5, 6, 7, 8],
        [0, 1, 2, 3, 4, 10, 12, 14, 16],
    ]


def first_of(cache):
    return cache._replace(blocks=[(keys[:1], values[:1]) for keys, values in cache.blocks])


def test_a_cache_needs_a_causal_model(tokens):
    with pytest.raises(ValueError, match="the model must be causal"):
        model_of().extend(tokens)


BAD_MASKS = {
    "numbers": (torch.ones(2, 9), TypeError, "attention_mask must be a tensor of booleans"),
    "a list": ([[True] * 9] * 2, TypeError, "attention_mask must be a tensor of booleans"),
    "another shape": (
        torch.ones(2, 8) > 0,
        ValueError,
        "attention_mask must be (2, 9), one for each token, got (2, 8)",
    ),
    "nothing left": (torch.arange(2)[:, None] > torch.zeros(9), ValueError, "must leave each sequence one token"),
}


@pytest.mark.parametrize("case", BAD_MASKS)
def test_bad_masks(case, tokens):
    mask, error, says = BAD_MASKS[case]
    with pytest.raises(error) as raised:
        model_of()(tokens, attention_mask=mask)
    assert says in str(raised.value)


BAD_POSITIONS = {
    "few": ([0.0, 1.0], "pos must be 9 positions, one a token, got shape (2,)"),
    "one row": ([[0.0] * 9], "pos must be 9 positions, one a token, got shape (1, 9)"),
    "NaN": ([float("nan")] * 9, "pos must be finite, got nan"),
    "far": ([0.0] * 8 + [1e16], "pos must be from -2**53 to 2**53, got 0 to 1e+16"),
}


@pytest.mark.parametrize("case", BAD_POSITIONS)
def test_bad_positions(case, tokens):
    pos, says = BAD_POSITIONS[case]
    with pytest.raises(ValueError, match=re.escape(says)):
        model_of()(tokens, pos)


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
        model_of()(tokens)
    assert says in str(raised.value)


UNLIKE = {
    "width": (Sinusoidal(24), "encoding must be made for d_model = 16, got 24"),
    "a narrow table": (FixedTable([[0.0]]), "encoding must be made for d_model = 16, got 1"),
    "half a head": (Rotary(2), "encoding must be made for head_dim = 4, got 2"),
    "heads": (Alibi(1), "encoding must be made for n_head = 4, got 1"),
    "inside": (PerBlock([Rotary(4), Wrapper(Rotary(2))]), "encoding must be made for head_dim = 4, got 2"),
}


@pytest.mark.parametrize("case", UNLIKE)
def test_an_encoding_of_another_size(case):
    """Half of a head would turn, or one bias serve two heads, without an error from torch."""
    encoding, says = UNLIKE[case]
    with pytest.raises(ValueError, match=says):
        TinyTransformer(Config(**SIZES), encoding, torch.Generator())


@pytest.mark.parametrize(
    ("sizes", "error", "says"),
    [
        ({"n_head": 3}, ValueError, "d_model must be a multiple of n_head = 3, got 16"),
        ({"n_layer": 0}, ValueError, "n_layer must be a whole number from 1 to 1,000, got 0"),
        ({"d_model": 16.0}, TypeError, "d_model must be a whole number >= 1, got 16.0 of type float"),
        ({"causal": 1}, TypeError, "causal must be True or False, got 1"),
    ],
)
def test_bad_sizes(sizes, error, says):
    with pytest.raises(error) as raised:
        Config(**SIZES | sizes)
    assert says in str(raised.value)
