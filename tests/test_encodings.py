"""Every encoding, by the same five kinds of test; a new encoding is one row of CASES.

limit        position 0, one token, and what is known there
invariance   shifting all positions changes the output, or does not
sensitivity  each option changes the result
agreement    torch = NumPy, for the first values of all options and for each of them changed
model        causal, one token at a time, padded as alone, gradients arrive; twice the trained length works
"""

import copy
import io
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from pe_lib import bias, rotary
from pe_lib.encodings import ENCODINGS, FixedTable, PerBlock, PositionEncoding, Sinusoidal, Split, build
from pe_lib.encodings.added import Learned, ScaledSinusoidal
from pe_lib.encodings.content import Fire, TransformerXL
from pe_lib.encodings.distance import T5, Alibi, DistanceBias, KerpleLog, KerplePower
from pe_lib.encodings.positions import Shape
from pe_lib.encodings.turning import PartialRotary, PoPE, PRotary, Rotary, XPos
from pe_lib.sinusoidal import sinusoidal
from pe_lib.transformer import Config, TinyTransformer

SIZES = {"vocab": 10, "n_class": 10, "max_len": 12, "d_model": 24, "n_head": 3, "n_layer": 2}
CONFIG = Config(**SIZES)
TABLE = sinusoidal(np.arange(24), 24, 50.0)


# The scores in NumPy: encoding, q, k (h, t, e), pos (t,), options of the formula -> (h, t, t)


def dot(q, k, added=0.0):
    return q @ k.transpose(0, 2, 1) / q.shape[-1] ** 0.5 + added


def no_score(encoding, q, k, pos, **options):
    return dot(q, k)


def rope_score(encoding, q, k, pos, **options):
    options = {"pairing": "interleaved"} | options
    return dot(rotary.rotate(q, pos, **options), rotary.rotate(k, pos, **options))


def rope_nope_score(encoding, q, k, pos, *, every, window=np.inf, **options):
    hidden = np.where(np.abs(distance(pos)) < window, 0, np.finfo(float).min)
    return rope_score(encoding, q, k, pos, **options) + hidden


def p_rope_score(encoding, q, k, pos, *, p=0.75, **options):
    return rope_score(encoding, q, k, pos, p=p, **options)


def xpos_score(encoding, q, k, pos, **options):
    return rotary.xpos_score(q, k, pos, **options) / 8**0.5


def pope_score(encoding, q, k, pos, **options):
    return rotary.pope_score(q, k, pos, encoding.delta[:, 0], **options) / 8**0.5


def alibi_score(encoding, q, k, pos):
    return dot(q, k, bias.alibi(distance(pos), 3))


def t5_score(encoding, q, k, pos, *, max_distance, num_buckets=32, std=1.0, scale=1.0):
    assert len(encoding.table) == num_buckets
    return dot(q, k, scale * bias.t5(distance(pos), encoding.table, bidirectional=True, max_distance=max_distance))


def kerple_log_score(encoding, q, k, pos, *, scale=1.0):
    return dot(q, k, scale * bias.kerple(distance(pos), encoding.r1, encoding.r2, form="log"))


def kerple_power_score(encoding, q, k, pos, *, scale=1.0):
    return dot(q, k, scale * bias.kerple(distance(pos), encoding.r1, encoding.r2, form="power"))


def sandwich_score(encoding, q, k, pos, **options):
    return dot(q, k, bias.sandwich(distance(pos), 3, **options))


def fire_score(encoding, q, k, pos, *, threshold, c=0.1, hidden=32):
    assert encoding.weight.shape == (hidden,)
    layers = encoding.weight, encoding.shift, encoding.out
    return dot(q, k, bias.fire(pos, *map(array, layers), c=c, threshold=0.8 * threshold))


def shaw_score(encoding, q, k, pos, *, reach):
    assert len(encoding.table) == 2 * reach + 1
    return dot(q, k, bias.shaw(q, pos, encoding.table))


def transformer_xl_score(encoding, q, k, pos, **options):
    u, v = encoding.u[:, 0], encoding.v[:, 0]
    return dot(q, k, bias.transformer_xl(q, k, pos, encoding.weight, u, v, **options))


def deberta_score(encoding, q, k, pos, *, reach, **options):
    assert encoding.to_key.shape[1] == 2 * reach
    return dot(q, k / 3**0.5, bias.deberta(q, k, pos, encoding.to_key, encoding.to_query, **options))


def cope_score(encoding, q, k, pos, *, max_count):
    assert len(encoding.table) == max_count
    return dot(q, k, bias.cope(q, k, encoding.table))


@dataclass
class Case:
    options: dict = field(default_factory=dict)  # each value changes the result
    score: Callable = no_score
    built: dict = field(default_factory=dict)  # options with which all can be seen at this size
    embeds: bool = False
    shift: bool = False  # does a shift of all positions change the output?
    longer: bool = True  # does it work beyond max_len?
    goes_on: bool = True  # do its own positions go on from those in a cache?


CASES = {
    "nope": Case(),
    "sinusoidal": Case({"base": 500.0}, embeds=True, shift=True),
    "scaled_sinusoidal": Case({"base": 500.0}, embeds=True, shift=True),
    "learned": Case({"std": 0.5}, embeds=True, shift=True, longer=False),
    "randomised": Case(
        {"max_pos": 60, "inner": "learned:std=1"}, built={"max_pos": 40}, embeds=True, shift=True, goes_on=False
    ),
    "shape": Case({"max_offset": 3, "inner": "sinusoidal:base=50"}, embeds=True, shift=True),
    "rope": Case({"base": 50.0, "pairing": "half", "rotary_dim": 4, "p": 0.5}, rope_score),
    "partial_rope": Case({"base": 50.0, "rotary_dim": 4}, rope_score, built={"rotary_dim": 6}),
    "p_rope": Case({"base": 50.0, "p": 0.25}, p_rope_score),
    "rope_nope": Case({"base": 50.0, "every": 3, "window": 3}, rope_nope_score, built={"every": 2}),
    "xpos": Case({"base": 50.0, "scale_base": 20.0, "gamma": 4.0}, xpos_score, built={"scale_base": 99.0}),
    "pope": Case({"base": 50.0}, pope_score),
    "alibi": Case({}, alibi_score),
    "t5": Case(
        {"num_buckets": 8, "max_distance": 9, "std": 2.0, "scale": 3.0},
        t5_score,
        built={"max_distance": 20, "std": 1.0},
    ),
    "kerple_log": Case({"scale": 3.0}, kerple_log_score),
    "kerple_power": Case({"scale": 3.0}, kerple_power_score),
    "sandwich": Case({"width": 16, "base": 50.0}, sandwich_score),
    "fire": Case({"hidden": 8, "c": 3.0, "threshold": 7.0}, fire_score, built={"threshold": 4.0}, shift=True),
    "shaw": Case({"reach": 2}, shaw_score, built={"reach": 5}),
    "transformer_xl": Case({"base": 50.0}, transformer_xl_score),
    "deberta": Case({"reach": 2, "released": True}, deberta_score, built={"reach": 9}),
    "cope": Case({"max_count": 3}, cope_score, built={"max_count": 5}),
}
SCORED = [name for name in CASES if CASES[name].score is not no_score]


def array(tensor):
    return tensor.detach().numpy()


def distance(pos):
    return pos[:, None] - pos


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def encoding_of(name, config=CONFIG, **options):
    encoding = build(name, config, generator(1), **CASES[name].built | options)
    for parameter in encoding.parameters():  # what is zero at first is not zero for ever, and what is 1 not always so
        if not parameter.detach().any():
            parameter.data.uniform_(-1, 0, generator=generator(1))
    for module in encoding.modules():
        if isinstance(module, Fire):
            module.factor.data.fill_(-0.8)
    return encoding


def model_of(name, causal=False, **options):
    config = Config(**SIZES, causal=causal)
    return TinyTransformer(config, encoding_of(name, config, **options), generator(2)).double().eval()


def torch_scores(encoding, q, k, pos_q, pos_k):
    turned_q, turned_k = encoding.turn(q, k, pos_q, pos_k)
    score = turned_q @ turned_k.transpose(-1, -2) / turned_q.shape[-1] ** 0.5
    added = encoding.bias(turned_q, turned_k, pos_q, pos_k)
    return score if added is None else score + added


@pytest.fixture
def tokens(rng):
    return torch.from_numpy(rng.integers(0, 10, (3, 12)))


def test_every_encoding_has_a_row_and_every_option_a_value():
    assert list(CASES) == list(ENCODINGS)
    for name, case in CASES.items():
        assert set(case.options) == set(ENCODINGS[name].options()), name


# Limit


def test_position_zero_adds_the_known_row():
    x, zero = torch.zeros(1, 1, 24, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    assert torch.equal(PositionEncoding().embed(x, zero), x)
    np.testing.assert_array_equal(Sinusoidal(24).embed(x, zero)[0, 0], [0.0, 1.0] * 12)
    learned = Learned(24, 12, generator=generator()).double()
    assert torch.equal(learned.embed(x, zero)[0, 0], learned.table[0])


@pytest.mark.parametrize("name", CASES)
def test_one_token(name, rng):
    """A token alone attends to itself wherever it is, so nothing but what is embedded can change the output."""
    token = torch.from_numpy(rng.integers(0, 10, (2, 1)))
    change = (model_of(name)(token, [3.0]) - model_of("nope")(token)).abs().max()
    assert change > 1e-3 if CASES[name].embeds else change < 1e-12


# Invariance


@pytest.mark.parametrize("name", CASES)
def test_shift(name, tokens):
    model, pos = model_of(name), torch.arange(6)
    change = (model(tokens[:, :6], pos + 5) - model(tokens[:, :6], pos)).abs().max()
    assert change > 1e-3 if CASES[name].shift else change < 1e-12


# Sensitivity


@pytest.mark.parametrize(("name", "option"), [(name, option) for name in CASES for option in CASES[name].options])
def test_every_option_changes_the_result(name, option, tokens):
    config = Config(**SIZES | {"max_len": 99})
    outputs = []
    for options in ({}, {option: CASES[name].options[option]}):
        model = TinyTransformer(config, encoding_of(name, config, **options), generator(2)).double()
        outputs.append(model(tokens))
    assert (outputs[0] - outputs[1]).abs().max() > 1e-3


# Agreement


@pytest.mark.parametrize("spacing", [1, 3, "uneven"])
@pytest.mark.parametrize("name", CASES)
def test_scores_are_those_in_numpy(name, spacing, rng):
    pos = np.sort(rng.choice(40, 7, replace=False)) if spacing == "uneven" else 2 + spacing * np.arange(7)
    check_scores(name, pos, rng)


@pytest.mark.parametrize(("name", "option"), [(name, option) for name in SCORED for option in CASES[name].options])
def test_scores_are_those_in_numpy_for_other_options(name, option, rng):
    check_scores(name, 2 + np.arange(7), rng, **{option: CASES[name].options[option]})


def check_scores(name, pos, rng, **options):
    q, k = rng.normal(size=(2, 3, 7, 8))
    encoding = encoding_of(name, **options).block(0).double()
    pos_torch = torch.from_numpy(pos).double()
    score = torch_scores(encoding, torch.from_numpy(q)[None], torch.from_numpy(k)[None], pos_torch, pos_torch)
    known = {} if CASES[name].score is no_score else CASES[name].built | options
    np.testing.assert_allclose(
        array(score[0]),
        CASES[name].score(encoding, q, k, pos, **known),
        rtol=0,
        atol=1e-9 if name != "fire" else 3e-7,
    )


@pytest.mark.parametrize("name", [name for name in SCORED if name != "cope"])  # counts what lies between
def test_few_queries_have_the_scores_of_all(name, rng):
    """Queries and keys may stand at different positions and be differently many, and each sequence has its own."""
    encoding = encoding_of(name).block(0).double()
    q, k = torch.from_numpy(rng.normal(size=(2, 2, 3, 7, 8)))
    pos = torch.from_numpy(np.stack([np.arange(7.0), 3 + 2 * np.arange(7.0)]))  # (b, t)
    every = torch.stack([torch_scores(encoding, q[[b]], k[[b]], pos[b], pos[b])[0] for b in range(2)])
    queries, keys = [4, 1], [0, 6, 2]
    some = torch_scores(encoding, q[:, :, queries], k[:, :, keys], pos[:, queries], pos[:, keys])
    assert (some - every[:, :, queries][..., keys]).abs().max() < 1e-12
    alone = torch_scores(encoding, q[[0]][:, :, queries], k[[0]][:, :, keys], pos[0, queries], pos[0, keys])
    assert (alone - some[[0]]).abs().max() < 1e-12


def test_what_is_embedded_is_that_in_numpy(rng):
    pos, zeros = rng.uniform(-1e6, 1e6, 30), torch.zeros(2, 30, 24, dtype=torch.float64)
    added = Sinusoidal(24, 123.0).embed(zeros, torch.from_numpy(pos))
    np.testing.assert_allclose(added[1], sinusoidal(pos, 24, 123.0), atol=1e-9)
    scaled = ScaledSinusoidal(24, 123.0)
    scaled.scale.data.fill_(-0.5)
    np.testing.assert_allclose(array(scaled.embed(zeros, torch.from_numpy(pos))[1]), -0.5 * added[1], atol=1e-12)
    ones = torch.ones(1, 3, 24, dtype=torch.float64)
    np.testing.assert_allclose(FixedTable(TABLE).embed(ones, torch.tensor([4.0, 0, 23]))[0], 1 + TABLE[[4, 0, 23]])


def test_split_puts_token_and_position_side_by_side():
    x, pos = torch.randn(2, 3, 24, generator=generator()), torch.tensor([[4.0, 0, 23], [1, 2, 3]])
    split = Split(TABLE[:, :5]).embed(x, pos)
    assert torch.equal(split[..., :19], x[..., :19])
    np.testing.assert_array_equal(split[..., 19:], TABLE[pos.long(), :5].astype(np.float32))
    assert torch.equal(Split(TABLE[:, :5]).embed(x, pos[0])[1], Split(TABLE[:, :5]).embed(x[1:], pos[:1])[0])
    with pytest.raises(ValueError, match="table must have from 1 to d_model - 1 = 4 columns, got 5"):
        Split(TABLE[:, :5]).embed(x[..., :5], pos)


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16, torch.float16])
def test_low_precision_rounds_the_values_not_the_angles(kind):
    """Also after module.to(kind): at position 100,000 a rounded angle would be wrong by radians."""
    pos = torch.tensor([100_000.0, 257], dtype=torch.float64)
    added = Sinusoidal(24).to(kind).embed(torch.zeros(1, 2, 24, dtype=kind), pos)
    assert added.dtype == kind
    assert (added[0].double() - torch.from_numpy(sinusoidal(pos, 24))).abs().max() < torch.finfo(kind).eps


@pytest.mark.parametrize("name", SCORED)
@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_low_precision_of_scores(name, kind, rng):
    """Far out, with everything but the positions rounded: the error is that of rounding values, not distances.

    Neighbours at 100,000 and on would all be at one place if positions, or distances from 0, were rounded.
    """
    q, k = (x.to(kind) for x in torch.from_numpy(rng.normal(size=(2, 1, 3, 6, 8))))
    pos = 100_000 + torch.arange(6, dtype=torch.float64)
    encoding = encoding_of(name).to(kind)
    rounded = torch_scores(encoding.block(0), q, k, pos, pos)
    turned_q, turned_k = encoding.block(0).turn(q, k, pos, pos)
    added = encoding.block(0).bias(turned_q, turned_k, pos, pos)
    assert turned_q.dtype == turned_k.dtype == rounded.dtype == kind and (added is None or added.dtype == kind)
    exact = torch_scores(encoding.double().block(0), q.double(), k.double(), pos, pos)
    assert (rounded.double() - exact).abs().max() < 8 * torch.finfo(kind).eps * exact.abs().max()


# Model


@pytest.mark.parametrize("name", CASES)
def test_gradients_and_lengths(name, tokens):
    model = model_of(name)
    model(tokens).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in model.parameters())
    double = torch.cat([tokens, tokens], dim=1)
    if CASES[name].longer:
        assert model(double).isfinite().all()
    else:
        with pytest.raises(ValueError, match="the table has 12 rows and none beyond"):
            model(double)


@pytest.mark.parametrize("name", CASES)
def test_causal_means_causal(name, rng, tokens):
    causal, full, pos = model_of(name, causal=True), model_of(name), torch.arange(12.0)
    for cut in rng.permutation(11)[:4] + 1:
        later = tokens.clone()
        later[:, cut:] = (later[:, cut:] + 1) % 10
        assert torch.equal(causal(later, pos)[:, :cut], causal(tokens, pos)[:, :cut])
        assert (full(later, pos)[:, :cut] - full(tokens, pos)[:, :cut]).abs().max() > 1e-6


@pytest.mark.parametrize("name", CASES)
def test_one_token_at_a_time_gives_what_all_at_once_gives(name, tokens):
    model, pos = model_of(name, causal=True), torch.arange(12.0)
    together = model(tokens, pos)
    cache, apart = None, []
    for t in range(12):
        logits, cache = model.extend(tokens[:, [t]], cache, pos[[t]])
        apart.append(logits)
    assert (torch.cat(apart, dim=1) - together).abs().max() < 1e-12
    _, cache = model.extend(tokens[:, :7])
    if CASES[name].goes_on:  # from the positions of the encoding's own, five tokens at once
        assert (model.extend(tokens[:, 7:], cache)[0] - together[:, 7:]).abs().max() < 1e-12
    else:
        with pytest.raises(ValueError, match="pos must be given: the encoding does not go on"):
            model.extend(tokens[:, 7:], cache)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("side", ["left", "right"])
def test_padded_as_alone(name, causal, side, rng, tokens):
    model, lengths = model_of(name, causal), torch.tensor([12, 7, 1])
    real = torch.arange(12) < lengths[:, None]
    real = real.flip(1) if side == "left" else real
    pos = (real.cumsum(dim=1) - 1).clamp(min=0).double()
    alone = [
        model(row[mask][None], torch.arange(float(mask.sum())))[0] for row, mask in zip(tokens, real, strict=True)
    ]
    for filler in rng.integers(0, 10, 2):
        together = model(tokens.masked_fill(~real, int(filler)), pos, attention_mask=real)
        assert together.isfinite().all()
        for row, mask, expected in zip(together, real, alone, strict=True):
            assert (row[mask] - expected).abs().max() < 1e-12


@pytest.mark.parametrize("name", CASES)
def test_a_model_can_be_copied_and_saved_and_run_without_gradients(name, tokens):
    model, pos = model_of(name), torch.arange(12.0).double()
    expected = model(tokens, pos)
    assert torch.equal(copy.deepcopy(model)(tokens, pos), expected)
    torch.save(model, io.BytesIO())
    with torch.inference_mode():
        assert torch.equal(model(tokens, pos).clone(), expected)


SHARED = {"scaled_sinusoidal": 1, "learned": 1, "t5": 1}  # trained tensors of all blocks together
EACH_BLOCK = {"pope": 1, "kerple_log": 2, "kerple_power": 2, "fire": 5, "shaw": 1, "transformer_xl": 3}
EACH_BLOCK |= {"deberta": 2, "cope": 1}


@pytest.mark.parametrize("name", CASES)
def test_blocks_share_what_their_papers_share(name):
    tensors = {id(parameter) for parameter in encoding_of(name).parameters()}
    assert len(tensors) == SHARED.get(name, 0) + SIZES["n_layer"] * EACH_BLOCK.get(name, 0)


# What single encodings promise


def test_a_distance_bias_is_built_from_each_distance_once(monkeypatch):
    asked = []
    of_distance = Alibi.of_distance
    monkeypatch.setattr(Alibi, "of_distance", lambda self, d: asked.append(d.numel()) or of_distance(self, d))
    encoding, q = Alibi(3), torch.zeros(1, 3, 5, 8)
    pos = torch.arange(9.0)
    encoding.bias(q, q, pos[:5], pos)
    assert asked == [5 + 9 - 1]
    encoding.bias(q, q, pos[:5] ** 2, pos)  # uneven
    assert asked[1:] == [5 * 9]
    encoding.bias(q, q, torch.stack([pos, pos]), torch.stack([pos, pos]))
    assert asked[2:] == [2 * 9 * 9]


def test_blocks_turn_as_they_are_told(tokens):
    config, asked = Config(**SIZES | {"n_layer": 5}), []

    class Spy(PositionEncoding):
        def __init__(self, name):
            super().__init__()
            self.name = name

        def turn(self, q, k, pos_q, pos_k):
            asked.append(self.name)
            return q, k

        def bias(self, q, k, pos_q, pos_k):
            asked.append(self.name)

    model = TinyTransformer(config, PerBlock([Spy("a"), Spy("a"), Spy("b")]), generator())
    model(tokens)
    assert "".join(asked) == "aaaabbaaaa"
    asked.clear()
    wrapped = TinyTransformer(config, Shape(PerBlock([Spy("a"), Spy("b")]), generator=generator()), generator())
    wrapped(tokens)  # an encoding of each block may stand inside another
    assert "".join(asked) == "aabbaabbaa"


def test_positions_and_embeddings_of_blocks_are_those_of_the_first(tokens):
    first = Shape(Sinusoidal(24), generator=generator()).train()
    both = PerBlock([first, PositionEncoding()])
    state = first.state.clone()
    expected = first.positions(4)
    first.state.copy_(state)
    assert torch.equal(both.positions(4), expected) and expected[0] > 0
    x = torch.zeros(1, 4, 24)
    assert torch.equal(both.embed(x, expected), first.embed(x, expected)) and both.embed(x, expected).any()


@pytest.mark.parametrize(
    ("n_layer", "turns"),
    [(1, [True, False]), (2, [True, False]), (3, [True, True, False]), (9, [True, True, True, False])],
)
def test_the_hybrid_has_a_block_without_position(n_layer, turns):
    hybrid = build("rope_nope", Config(**SIZES | {"n_layer": n_layer}), generator())
    assert [type(hybrid.block(i)) is Rotary for i in range(len(turns))] == turns
    assert hybrid.block(len(turns)) is hybrid.block(0)


@pytest.mark.parametrize(("head_dim", "rotary_dim"), [(4, 2), (8, 2), (24, 6), (64, 16)])
def test_partial_rotary_turns_about_a_quarter(head_dim, rotary_dim):
    assert len(PartialRotary(head_dim).omega) == rotary_dim // 2


@pytest.mark.parametrize(("p", "turning"), [(0.0, 0), (0.74, 2), (0.75, 3), (0.9, 3), (1.0, 4)])
def test_p_rotary_keeps_the_fast_pairs(p, turning):
    assert (PRotary(8, p=p).omega > 0).tolist() == [i < turning for i in range(4)]


def test_randomised_positions():
    encoding = encoding_of("randomised", max_pos=40)
    draws = torch.stack([encoding.positions(12) for _ in range(500)])
    assert (draws.diff() > 0).all() and draws.min() == 0 and draws.max() == 39
    assert (draws == draws.round()).all() and len(draws.unique(dim=0)) > 490
    assert abs(draws.mean() - 19.5) < 0.5
    state = copy.deepcopy(encoding.state_dict())  # a run that goes on from there draws the same
    expected = encoding.positions(12)
    encoding.load_state_dict(state)
    assert torch.equal(encoding.positions(12), expected)
    assert encoding.eval().positions(40).tolist() == list(range(40))
    with pytest.raises(ValueError, match="seq_len must be at most max_pos = 40, got 41"):
        encoding.positions(41)


def test_shape_offsets():
    encoding = encoding_of("shape", max_offset=5)
    draws = {tuple(encoding.positions(3).tolist()) for _ in range(200)}
    assert draws == {(o, o + 1, o + 2) for o in range(6)}
    encoding.eval()
    assert all(encoding.positions(3).tolist() == [0, 1, 2] for _ in range(20))


def test_kerple_stays_a_kernel():
    """Outside their limits r1 and r2 are brought to them, and can still be trained."""
    encoding = KerplePower(2, generator=generator())
    encoding.r1.data, encoding.r2.data = torch.tensor([-1.0, 1.0]), torch.tensor([1.0, 3.0])
    values = encoding.of_distance(torch.tensor([3.0]))[:, 0]
    assert values.tolist() == pytest.approx([-0.03, -9.0])
    values.sum().backward()
    assert encoding.r1.grad.all() and encoding.r2.grad.all()
    encoding = KerpleLog(1, generator=generator())
    encoding.r2.data.fill_(3.0)  # the exponent alone has an upper limit
    encoding.of_distance(torch.tensor([3.0]))
    assert encoding.r2.item() == 3.0


@pytest.mark.parametrize(("kind", "most"), [(KerpleLog, (2, 1)), (KerplePower, (1, 2))])
def test_kerple_starts_where_its_authors_do(kind, most):
    encoding = kind(1000, generator=generator())
    for r, high in zip((encoding.r1, encoding.r2), most, strict=True):
        assert r.min() >= 0 and 0.99 * high < r.max() < high and abs(r.mean() - high / 2) < 0.05 * high


def test_pope_goes_on_training_at_the_end_of_its_range(rng):
    encoding, pos = PoPE(2, 8), torch.arange(5.0)
    q, k = torch.from_numpy(rng.normal(size=(2, 1, 2, 5, 8)))
    for start in (0.3, -7.0):
        encoding.delta.data.fill_(start)
        encoding.delta.grad = None
        torch_scores(encoding, q, k, pos, pos).square().sum().backward()
        assert encoding.delta.grad.all() and -6.3 < encoding.delta.min() <= encoding.delta.max() <= 0


def test_xpos_refuses_what_would_overflow():
    encoding, q = XPos(8), torch.ones(1, 1, 2, 8)
    for kind, near, far in ((torch.float32, 30_000.0, 40_000.0), (torch.float16, 3_000.0, 8_000.0)):
        x, pos = q.to(kind), torch.tensor([0.0, near])
        assert torch_scores(encoding, x, x, pos, pos).isfinite().all()
        pos = torch.tensor([0.0, far])
        with pytest.raises(ValueError, match=f"pos must not be {far:g} tokens apart: too far for xpos"):
            encoding.turn(x, x, pos, pos)
        with pytest.raises(ValueError, match="too far for xpos"):  # one new query, and a key far back
            encoding.turn(x[:, :, :1], x[:, :, :1], pos[1:], pos[:1])


def test_fractional_positions():
    """Distances that are whole but for rounding have rows; others are named."""
    encoding, q = encoding_of("shaw").block(0), torch.ones(1, 3, 12, 8)
    pos = torch.arange(12, dtype=torch.float64)
    assert torch.equal(encoding.bias(q, q, pos + 0.1, pos + 0.1), encoding.bias(q, q, pos, pos))
    t5 = T5(1, bidirectional=True, std=1.0, generator=generator())
    quarters = np.arange(-300, 301) / 4
    expected = bias.t5(quarters, t5.table, bidirectional=True)
    np.testing.assert_array_equal(array(t5.of_distance(torch.from_numpy(quarters))), expected)


def test_first_values_are_drawn_as_asked():
    table = Learned(64, 500, std=0.3, generator=generator()).table
    assert table.std().item() == pytest.approx(0.3, rel=0.02) and abs(table.mean().item()) < 0.01
    assert torch.equal(table, Learned(64, 500, std=0.3, generator=generator()).table)
    fire = Fire(2, hidden=200, generator=generator())
    first = [tensor.std().item() for tensor in (fire.weight, fire.shift, fire.out)]
    assert first == pytest.approx([3**-0.5, 3**-0.5, 600**-0.5], rel=0.12)
    xl = TransformerXL(96, 4, generator=generator())
    assert xl.weight.std().item() == pytest.approx(96**-0.5, rel=0.05)
    assert torch.stack([xl.u, xl.v]).std().item() == pytest.approx(24**-0.5, rel=0.2)


# Names, options, bad input


def test_options_after_the_name():
    assert build("rope:base=50", CONFIG, generator()).omega[1] == 50.0**-0.25
    assert build("rope:pairing=half", CONFIG, generator()).pairing == "half"
    t5 = build("t5:max_distance=32:scale=10", CONFIG, generator())
    assert (t5.max_distance, t5.scale) == (32, 10)
    assert build("learned:std=0.1", CONFIG, generator()).table.std().item() == pytest.approx(0.1, rel=0.2)


def test_options_are_listed():
    assert ENCODINGS["t5"].options() == {"num_buckets": 32, "max_distance": 128, "std": 0.1, "scale": 1.0}
    assert ENCODINGS["alibi"].options() == {}
    with pytest.raises(
        TypeError, match="encoding t5 has no option 'distance'; it has num_buckets, max_distance, std"
    ):
        build("t5:distance=3", CONFIG, generator())


def no_rows(pos):
    FixedTable(TABLE).embed(torch.zeros(1, 1, 24), torch.tensor([pos]))


BAD = {
    "unknown name": (lambda: build("rope2", CONFIG, generator()), ValueError, "encoding must be one of nope, sinus"),
    "no options": (lambda: build("nope", CONFIG, generator(), base=2.0), TypeError, "no option 'base'; it has none"),
    "two options": (
        lambda: build("t5:scale=32:scale=8", CONFIG, generator()),
        ValueError,
        "encoding must have each option once, got scale twice",
    ),
    "no such option": (lambda: build("alibi:base=2", CONFIG, generator()), TypeError, "alibi has no option 'base'"),
    "a size": (lambda: build("t5:bidirectional=0", CONFIG, generator()), TypeError, "t5 has no option 'bidirec"),
    "odd width": (lambda: Sinusoidal(7), ValueError, "d_model must be an even number"),
    "base 1": (lambda: Sinusoidal(8, 1.0), ValueError, "base must be a finite number > 1"),
    "no rows": (
        lambda: Learned(8, 0, generator=generator()),
        ValueError,
        "max_len must be a whole number >= 1, got 0",
    ),
    "std 0": (
        lambda: Learned(8, 4, std=0, generator=generator()),
        ValueError,
        "std must be a number from 1e-30 to 1e+30, got 0",
    ),
    "NaN in a table": (lambda: FixedTable([[np.nan]]), ValueError, "table must be finite, got nan"),
    "between rows": (lambda: no_rows(0.5), ValueError, "pos must be whole numbers"),
    "before the rows": (lambda: no_rows(-1.0), ValueError, "from 0 to 23"),
    "after the rows": (lambda: no_rows(24.0), ValueError, "from 0 to 23"),
    "p": (lambda: Rotary(8, p=1.5), ValueError, "p must be a number from 0 to 1, got 1.5"),
    "pairing": (lambda: Rotary(8, pairing="neox"), ValueError, "pairing must be one of interleaved, half"),
    "rotary_dim": (lambda: Rotary(8, rotary_dim=10), ValueError, "rotary_dim must be at most head_dim = 8, got 10"),
    "rotary_dim 0": (
        lambda: build("partial_rope:rotary_dim=0", CONFIG, generator()),
        ValueError,
        "rotary_dim must be an even",
    ),
    "every 1": (
        lambda: build("rope_nope:every=1", CONFIG, generator()),
        ValueError,
        "every must be a whole number from 2 to 10,000",
    ),
    "gamma 0": (lambda: XPos(8, gamma=0.0), ValueError, "gamma must be a finite number > 0"),
    "scale_base 0": (lambda: XPos(8, scale_base=0.0), ValueError, "scale_base must be a finite number > 1e-100"),
    "max_distance": (lambda: encoding_of("t5", max_distance=8), ValueError, "max_distance must be greater than 8"),
    "odd buckets": (lambda: encoding_of("t5", num_buckets=7), ValueError, "num_buckets must be an even number >= 4"),
    "t5 std": (lambda: encoding_of("t5", std=0.0), ValueError, "std must be a number from 1e-30"),
    "threshold": (lambda: encoding_of("fire", threshold=-1.0), ValueError, "threshold must be a number from 1e-30"),
    "c": (lambda: encoding_of("fire", c=0.0), ValueError, "c must be a number from 1e-30 to 1e+30, got 0"),
    "max_count": (
        lambda: encoding_of("cope", max_count=1),
        ValueError,
        "max_count must be a whole number >= 2, got 1",
    ),
    "heads": (lambda: TransformerXL(24, 5, generator=generator()), ValueError, "multiple of n_head = 5, got 24"),
    "half a token": (
        lambda: model_of("shaw")(torch.zeros(1, 2, dtype=torch.long), [0, 0.5]),
        ValueError,
        "whole numbers apart",
    ),
    "no blocks": (lambda: PerBlock([]), TypeError, "encodings must be one PositionEncoding or more"),
    "a name for a block": (lambda: PerBlock(["rope"]), TypeError, "encodings must be one PositionEncoding or more"),
    "no block asked": (lambda: encoding_of("shaw").turn(*[torch.ones(1)] * 4), TypeError, "ask that of a block"),
    "no block asked for a bias": (lambda: encoding_of("shaw").bias(*[torch.ones(1)] * 4), TypeError, "of a block"),
    "a name inside": (lambda: Shape("rope", generator=generator()), TypeError, "inner must be a PositionEncoding"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case):
    call, error, says = BAD[case]
    with pytest.raises(error) as raised:
        call()
    assert says in str(raised.value)


def test_a_distance_bias_must_be_stated():
    with pytest.raises(NotImplementedError):
        DistanceBias().bias(*[torch.ones(1, 1, 2, 2)] * 2, *[torch.arange(2.0)] * 2)
