"""Every encoding, by the same five kinds of test; a new encoding is one row of CASES.

limit        position 0, distance 0, and what is known there
invariance   shifting all positions changes the output, or does not
sensitivity  each option changes the result
agreement    torch = NumPy
model        causal, padded as alone, gradients arrive; twice the trained length works, or says why not
"""

import copy
import io
from typing import NamedTuple

import numpy as np
import pytest
import torch

from pe_lib import bias, encodings, rotary
from pe_lib.encodings import ENCODINGS, FixedTable, Layers, Learned, Padded, PositionEncoding, Sinusoidal, build
from pe_lib.sinusoidal import sinusoidal
from pe_lib.transformer import Config, TinyTransformer

SIZES = dict(vocab=10, n_class=10, max_len=12, d_model=24, n_head=3, n_layer=2)
TABLE = sinusoidal(np.arange(24), 24, 50.0)


def scores(q, k, added=0.0):
    return q @ k.transpose(0, 2, 1) / q.shape[-1] ** 0.5 + added


def turned(q, k, pos, **options):
    return scores(*(rotary.rotate(x, pos, **{"pairing": "interleaved"} | options) for x in (q, k)))


def distance(pos):
    return pos[:, None] - pos


class Case(NamedTuple):
    options: dict  # each changes the result
    score: object = None  # encoding, q, k, pos -> the scores in NumPy; None: those without encoding
    shift: bool = True  # is the output blind to a shift of all positions?
    longer: bool = True  # does it work beyond max_len?
    built: dict | None = None  # options with which all can be seen at this size


CASES = {
    "nope": Case({}),
    "sinusoidal": Case({"base": 500.0}, shift=False),
    "scaled_sinusoidal": Case({"base": 500.0}, shift=False),
    "learned": Case({"std": 0.5}, shift=False, longer=False),
    "randomised": Case({"max_pos": 60, "inner": "learned:std=1"}, shift=False, built={"max_pos": 40}),
    "shape": Case({"max_offset": 3, "inner": "sinusoidal:base=50"}, shift=False),
    "rope": Case(
        {"base": 50.0, "pairing": "half", "rotary_dim": 4, "p": 0.5}, lambda one, q, k, pos: turned(q, k, pos)
    ),
    "partial_rope": Case(
        {"base": 50.0, "rotary_dim": 4},
        lambda one, q, k, pos: turned(q, k, pos, rotary_dim=6),
        built={"rotary_dim": 6},
    ),
    "p_rope": Case({"base": 50.0, "p": 0.25}, lambda one, q, k, pos: turned(q, k, pos, p=0.75)),
    "rope_nope": Case({"base": 50.0, "every": 3}, lambda one, q, k, pos: turned(q, k, pos), built={"every": 2}),
    "xpos": Case(
        {"base": 50.0, "scale_base": 20.0, "gamma": 4.0},
        lambda one, q, k, pos: rotary.xpos_score(q, k, pos, scale_base=99.0) / 8**0.5,
        built={"scale_base": 99.0},
    ),
    "pope": Case({"base": 50.0}, lambda one, q, k, pos: rotary.pope_score(q, k, pos, one.delta[:, 0]) / 8**0.5),
    "alibi": Case({}, lambda one, q, k, pos: scores(q, k, bias.alibi(distance(pos), 3))),
    "t5": Case(
        {"num_buckets": 8, "max_distance": 9, "std": 2.0},
        lambda one, q, k, pos: scores(q, k, bias.t5(distance(pos), one.table, bidirectional=True, max_distance=20)),
        built={"max_distance": 20, "std": 1.0},
    ),
    "kerple_log": Case(
        {}, lambda one, q, k, pos: scores(q, k, bias.kerple(distance(pos), one.r1, one.r2, form="log"))
    ),
    "kerple_power": Case(
        {}, lambda one, q, k, pos: scores(q, k, bias.kerple(distance(pos), one.r1, one.r2, form="power"))
    ),
    "sandwich": Case(
        {"width": 16, "base": 50.0}, lambda one, q, k, pos: scores(q, k, bias.sandwich(distance(pos), 3))
    ),
    "fire": Case(
        {"hidden": 8, "c": 3.0, "threshold": 7.0},
        lambda one, q, k, pos: scores(
            q,
            k,
            bias.fire(
                pos,
                [*map(array, one.weights)],
                [*map(array, one.shifts)],
                c=one.c.item(),
                threshold=-4 * one.factor.item(),
            ),
        ),
        shift=False,
        built={"threshold": 4.0},
    ),
    "shaw": Case({"reach": 2}, lambda one, q, k, pos: scores(q, k, bias.shaw(q, pos, one.table)), built={"reach": 5}),
    "transformer_xl": Case(
        {"base": 50.0},
        lambda one, q, k, pos: scores(q, k, bias.transformer_xl(q, k, pos, one.weight, one.u[:, 0], one.v[:, 0])),
    ),
    "deberta": Case(
        {"reach": 2},
        lambda one, q, k, pos: scores(q, k / 3**0.5, bias.deberta(q, k, pos, one.to_key, one.to_query)),
        built={"reach": 9},
    ),
    "cope": Case(
        {"max_count": 3}, lambda one, q, k, pos: scores(q, k, bias.cope(q, k, one.table)), built={"max_count": 5}
    ),
}


def array(tensor):
    return tensor.detach().numpy()


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def encoding(name, config=None, seed=1, **options):
    one = build(name, config or Config(**SIZES), generator(seed), **(CASES[name].built or {}) | options)
    for parameter in one.parameters():  # what is zero at first is not zero for ever, and what is 1 not always so
        if not parameter.detach().any():
            parameter.data.uniform_(-1, 0, generator=generator(seed))
    for module in one.modules():
        if isinstance(module, encodings.Fire):
            module.factor.data.fill_(-0.8)
    return one


def model(name, causal=False, **options):
    config = Config(**SIZES, causal=causal)
    return TinyTransformer(config, encoding(name, config, **options), generator(2)).double().eval()


@pytest.fixture
def tokens(rng):
    return torch.from_numpy(rng.integers(0, 10, (3, 12)))


def test_every_encoding_has_a_row():
    assert list(CASES) == list(ENCODINGS)


def test_limit():
    x, zero = torch.zeros(1, 1, 24, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    assert torch.equal(PositionEncoding().embed(x, zero), x)
    np.testing.assert_array_equal(Sinusoidal(24).embed(x, zero)[0, 0], [0.0, 1.0] * 12)
    learned = Learned(24, 12, generator=generator()).double()
    assert torch.equal(learned.embed(x, zero)[0, 0], learned.table[0])


@pytest.mark.parametrize("name", CASES)
def test_limit_of_one_token(name, rng):
    """A token alone attends to itself wherever it is, so nothing but what is embedded can change the output."""
    token = torch.from_numpy(rng.integers(0, 10, (2, 1)))
    embeds = type(encoding(name)).embed not in (PositionEncoding.embed, encodings.DistanceBias.embed, Layers.embed)
    away = (model(name)(token, [3.0]) - model("nope")(token)).abs().max()
    assert away > 1e-3 if embeds else away < 1e-12


@pytest.mark.parametrize("name", CASES)
def test_invariance(name, tokens):
    one, pos = model(name), torch.arange(6)
    moved = (one(tokens[:, :6], pos + 5) - one(tokens[:, :6], pos)).abs().max()
    assert moved < 1e-12 if CASES[name].shift else moved > 1e-3


@pytest.mark.parametrize("name", CASES)
def test_sensitivity(name, tokens):
    config = Config(**SIZES | {"max_len": 99})
    for option, value in CASES[name].options.items():
        one, other = (
            TinyTransformer(config, encoding(name, config, **given), generator(2)).double()(tokens)
            for given in ({}, {option: value})
        )
        assert (one - other).abs().max() > 1e-3, option


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("spacing", [1, 3, "uneven"])
def test_agreement(name, spacing, rng):
    """The scores in torch are those in NumPy, at positions evenly spaced and others."""
    q, k = rng.normal(size=(2, 3, 7, 8))
    pos = np.sort(rng.choice(40, 7, replace=False)) if spacing == "uneven" else 2 + spacing * np.arange(7)
    one = encoding(name).double()
    tensors = torch.from_numpy(q)[None], torch.from_numpy(k)[None], torch.from_numpy(pos).double()
    turned_q, turned_k = one.turn(*tensors)
    got = turned_q @ turned_k.transpose(-1, -2) / turned_q.shape[-1] ** 0.5
    added = one.bias(turned_q, turned_k, tensors[2])
    got = got if added is None else got + added
    inner = one.encodings[0] if isinstance(one, Layers) else one
    expected = CASES[name].score(inner, q, k, pos) if CASES[name].score else scores(q, k)
    np.testing.assert_allclose(array(got[0]), expected, rtol=0, atol=1e-9)


def test_agreement_of_what_is_embedded(rng):
    pos, zeros = rng.uniform(-1e6, 1e6, 30), torch.zeros(2, 30, 24, dtype=torch.float64)
    got = Sinusoidal(24, 123.0).embed(zeros, torch.from_numpy(pos))
    np.testing.assert_allclose(got[1], sinusoidal(pos, 24, 123.0), atol=1e-9)
    scaled = encodings.ScaledSinusoidal(24, 123.0)
    scaled.scale.data.fill_(-0.5)
    np.testing.assert_allclose(array(scaled.embed(zeros, torch.from_numpy(pos))[1]), -0.5 * got[1], atol=1e-12)
    got = FixedTable(TABLE).embed(torch.ones(1, 3, 24, dtype=torch.float64), torch.tensor([4.0, 0, 23]))
    np.testing.assert_allclose(got[0], 1 + TABLE[[4, 0, 23]], atol=1e-12)


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16, torch.float16])
def test_low_precision_rounds_the_values_not_the_angles(kind):
    """Also after module.to(kind): at position 100,000 a rounded angle would be wrong by radians."""
    pos = torch.tensor([100_000.0, 257], dtype=torch.float64)
    got = Sinusoidal(24).to(kind).embed(torch.zeros(1, 2, 24, dtype=kind), pos)
    assert got.dtype == kind
    assert (got[0].double() - torch.from_numpy(sinusoidal(pos, 24))).abs().max() < torch.finfo(kind).eps


@pytest.mark.parametrize("name", [name for name in CASES if CASES[name].score])
@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_low_precision_of_scores(name, kind, rng):
    """Far out, with everything but the positions rounded: the error is that of rounding values, not distances.

    Neighbours at 100,000 and on would all be at one place if positions, or distances from 0, were rounded.
    """
    q, k = (x.to(kind) for x in torch.from_numpy(rng.normal(size=(2, 1, 3, 6, 8))))
    pos = 100_000 + torch.arange(6, dtype=torch.float64)
    low, high = encoding(name).to(kind), encoding(name).to(kind).double()

    def score(one, q, k):
        q, k = one.turn(q, k, pos)
        added = one.bias(q, k, pos)
        assert q.dtype == k.dtype and (added is None or added.dtype == q.dtype)
        score = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
        return score.double() if added is None else (score + added).double()

    exact = score(high, q.double(), k.double())
    assert (score(low, q, k) - exact).abs().max() < 8 * torch.finfo(kind).eps * exact.abs().max()


@pytest.mark.parametrize("name", CASES)
def test_gradients_and_lengths(name, tokens):
    one = model(name)
    one(tokens).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in one.parameters())
    double = torch.cat([tokens, tokens], dim=1)
    if CASES[name].longer:
        assert one(double).isfinite().all()
    else:
        with pytest.raises(ValueError, match="the table has 12 rows and none beyond"):
            one(double)


@pytest.mark.parametrize("name", CASES)
def test_causal_means_causal(name, rng, tokens):
    causal, full, pos = model(name, causal=True), model(name), torch.arange(12.0)
    for cut in rng.permutation(11)[:4] + 1:
        later = tokens.clone()
        later[:, cut:] = (later[:, cut:] + 1) % 10
        assert torch.equal(causal(later, pos)[:, :cut], causal(tokens, pos)[:, :cut])
        assert (full(later, pos)[:, :cut] - full(tokens, pos)[:, :cut]).abs().max() > 1e-6


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("causal", [False, True])
def test_padded_as_alone(name, causal, rng, tokens):
    one, lengths = model(name, causal), [12, 7, 1]
    real = torch.arange(12) < torch.tensor(lengths)[:, None]
    alone = [one(row[None, :n], torch.arange(float(n)))[0] for row, n in zip(tokens, lengths, strict=True)]
    if not causal:  # a causal mask hides what comes after anyway
        one.encoding = Padded(one.encoding, real)
    for filler in rng.integers(0, 10, 2):
        together = one(tokens.masked_fill(~real, int(filler)), torch.arange(12.0))
        for row, n, expected in zip(together, lengths, alone, strict=True):
            assert (row[:n] - expected).abs().max() < 1e-12


@pytest.mark.parametrize("name", CASES)
def test_nothing_is_kept_that_can_be_wrong_later(name, tokens):
    """After a forward: a copy works, the model can be saved, changed parameters count at once."""
    one, pos = model(name), torch.arange(12.0).double()
    one(tokens, pos)
    assert torch.equal(copy.deepcopy(one)(tokens, pos), one(tokens, pos))
    torch.save(one, io.BytesIO())
    q, k = torch.rand(2, 1, 3, 12, 8, generator=generator(), dtype=torch.float64)
    if parameters := [*one.encoding.parameters()]:
        one.encoding.embed(torch.zeros(1, 12, 24, dtype=torch.float64), pos)
        before = one.encoding.bias(q, k, pos)
        with torch.no_grad():
            for parameter in parameters:
                parameter.mul_(0.5)
        assert before is None or not torch.equal(one.encoding.bias(q, k, pos), before)
    kept = sum(len(values.flatten()) for values in _kept(one))
    assert kept <= 2 * 3 * (2 * 12 - 1), "more than two blocks, three heads and all distances"


def _kept(one):
    """The tensors that the modules of an encoding hold besides parameters, buffers and what depends on no length."""
    for module in one.encoding.modules():
        if isinstance(module, encodings.DistanceBias) and module._built:
            yield module._built[2]


def test_a_distance_bias_is_built_once_a_forward(tokens, monkeypatch):
    calls = []
    of = encodings.Alibi.of
    monkeypatch.setattr(encodings.Alibi, "of", lambda self, d: calls.append(d.numel()) or of(self, d))
    one = model("alibi")
    for _ in range(3):
        one(tokens)
    assert calls == [2 * 12 - 1] * 3


def test_a_distance_bias_is_that_of_the_positions_given():
    one, pos = encoding("alibi"), torch.arange(5.0)
    q = k = torch.zeros(1, 3, 5, 8)
    one.embed(torch.zeros(1, 5, 24), pos)
    assert torch.equal(one.bias(q, k, 3 * pos), 3 * one.bias(q, k, pos))
    pos[:] = 2 * pos
    assert torch.equal(one.bias(q, k, pos), one.bias(q, k, pos.clone()))


def test_layers_turn_in_the_right_blocks(tokens):
    config = Config(**SIZES | {"n_layer": 5})
    asked = []

    class Spy(PositionEncoding):
        def __init__(self, name):
            super().__init__()
            self.name = name

        def turn(self, q, k, pos):
            asked.append(self.name)
            return q, k

        def bias(self, q, k, pos):
            asked.append(self.name)

    one = TinyTransformer(config, Layers([Spy("a"), Spy("a"), Spy("b")]), generator())
    one(tokens)
    one(tokens)
    assert "".join(asked) == "aaaabbaaaa" * 2
    hybrid = build("rope_nope", config, generator())  # five blocks
    turns = [type(one) is encodings.Rotary for one in hybrid.encodings]
    assert turns == [(block + 1) % 4 != 0 for block in range(4)]  # SmolLM3's rule


def test_randomised_positions():
    one = encoding("randomised", max_pos=40)
    draws = torch.stack([one.positions(12) for _ in range(500)])
    assert (draws.diff() > 0).all() and draws.min() == 0 and draws.max() == 39
    assert (draws == draws.round()).all() and len(draws.unique(dim=0)) > 490
    assert abs(draws.mean() - 19.5) < 0.5
    state = copy.deepcopy(one.state_dict())  # a run that goes on from a checkpoint draws the same
    expected = one.positions(12)
    one.load_state_dict(state)
    assert torch.equal(one.positions(12), expected)
    assert one.eval().positions(40).tolist() == list(range(40))
    with pytest.raises(ValueError, match="seq_len must be at most max_pos = 40, got 41"):
        one.positions(41)


def test_shape_offsets():
    one = encoding("shape", max_offset=5)
    draws = {tuple(one.positions(3).tolist()) for _ in range(200)}
    assert draws == {(o, o + 1, o + 2) for o in range(6)}
    one.eval()
    assert all(one.positions(3).tolist() == [0, 1, 2] for _ in range(20))


def test_kerple_stays_a_kernel():
    """Outside their limits r1 and r2 are brought to them, and can still be trained."""
    one = encodings.Kerple(2, "power", generator=generator())
    one.r1.data, one.r2.data = torch.tensor([-1.0, 1.0]), torch.tensor([1.0, 3.0])
    got = one.of(torch.tensor([3.0]))[:, 0]
    assert got.tolist() == pytest.approx([-0.03, -9.0])
    got.sum().backward()
    assert one.r1.grad.all() and one.r2.grad.all()


@pytest.mark.parametrize(("form", "most"), [("log", (2, 1)), ("power", (1, 2))])
def test_kerple_starts_where_its_authors_do(form, most):
    one = encodings.Kerple(1000, form, generator=generator())
    for r, high in zip((one.r1, one.r2), most, strict=True):
        assert r.min() >= 0 and 0.99 * high < r.max() < high and abs(r.mean() - high / 2) < 0.05 * high


def test_pope_goes_on_training_at_the_end_of_its_range(rng):
    one = encodings.PoPE(2, 8)
    q, k = torch.from_numpy(rng.normal(size=(2, 1, 2, 5, 8)))
    for start in (0.3, -7.0):
        one.delta.data.fill_(start)
        one.delta.grad = None
        turned_q, turned_k = one.turn(q, k, torch.arange(5.0))
        (turned_q @ turned_k.transpose(-1, -2)).square().sum().backward()
        assert one.delta.grad.all() and -6.3 < one.delta.min() <= one.delta.max() <= 0


SHARED = {"nope": 0, "scaled_sinusoidal": 1, "learned": 1, "t5": 1}  # tensors; others: so many a block
A_BLOCK = {"pope": 1, "kerple_log": 2, "kerple_power": 2, "fire": 7, "shaw": 1, "transformer_xl": 3, "deberta": 2}
A_BLOCK |= {"cope": 1}


@pytest.mark.parametrize("name", CASES)
def test_blocks_share_what_their_papers_share(name):
    tensors = {id(parameter) for parameter in encoding(name).parameters()}
    assert len(tensors) == SHARED.get(name, 0) + SIZES["n_layer"] * A_BLOCK.get(name, 0)


@pytest.mark.parametrize("name", CASES)
def test_inference_mode(name, tokens):
    one, pos = model(name), torch.arange(12.0)
    with torch.inference_mode():
        fast = one(tokens, pos)
    assert torch.equal(fast.clone(), one(tokens, pos))


def test_the_hybrid_has_a_block_without_position():
    for n_layer, turns in (
        (1, [True, False]),
        (2, [True, False]),
        (3, [True, True, False]),
        (9, [True] * 3 + [False]),
    ):
        hybrid = build("rope_nope", Config(**SIZES | {"n_layer": n_layer}), generator())
        assert [type(one) is encodings.Rotary for one in hybrid.encodings] == turns


def test_xpos_refuses_what_would_overflow():
    one, q = encodings.XPos(8), torch.ones(1, 1, 2, 8)
    for kind, near, far in ((torch.float32, 30_000.0, 40_000.0), (torch.float16, 3_000.0, 8_000.0)):
        turned_q, turned_k = one.turn(q.to(kind), q.to(kind), torch.tensor([0.0, near]))
        assert (turned_q @ turned_k.transpose(-1, -2)).isfinite().all()
        with pytest.raises(ValueError, match="too far for xpos"):
            one.turn(q.to(kind), q.to(kind), torch.tensor([0.0, far]))


def test_fractional_positions():
    """Distances that are whole but for rounding have rows; others are named."""
    one, q = encoding("shaw").encodings[0], torch.ones(1, 3, 12, 8)
    moved = one.bias(q, q, torch.arange(12, dtype=torch.float64) + 0.1)
    assert torch.equal(moved, one.bias(q, q, torch.arange(12, dtype=torch.float64)))
    t5 = encodings.T5(1, bidirectional=True, std=1.0, generator=generator())
    distance = np.arange(-300, 301) / 4
    expected = bias.t5(distance, t5.table, bidirectional=True)
    np.testing.assert_array_equal(array(t5.of(torch.from_numpy(distance))), expected)


def test_learned_is_drawn_as_asked():
    table = Learned(64, 500, std=0.3, generator=generator()).table
    assert table.std().item() == pytest.approx(0.3, rel=0.02) and abs(table.mean().item()) < 0.01
    assert torch.equal(table, Learned(64, 500, std=0.3, generator=generator()).table)


def test_an_option_after_the_name():
    assert build("rope:base=50", Config(**SIZES), generator()).omega[1] == 50.0**-0.25
    assert build("rope:pairing=half", Config(**SIZES), generator()).pairing == "half"


CONFIG = Config(**SIZES)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: build("rope2", CONFIG, generator()), ValueError, "encoding must be one of nope, sinusoidal"),
        (lambda: build("nope", CONFIG, generator(), base=2.0), TypeError, "base"),
        (lambda: build("alibi:base=2", CONFIG, generator()), TypeError, "base"),
        (lambda: Sinusoidal(7), ValueError, "d_model must be an even number"),
        (lambda: Sinusoidal(8, 1.0), ValueError, "base must be a finite number > 1"),
        (lambda: Learned(8, 0, generator=generator()), ValueError, "max_len must be a whole number >= 1, got 0"),
        (lambda: Learned(8, 4, std=0, generator=generator()), ValueError, "std must be a finite number > 0, got 0"),
        (lambda: FixedTable([[np.nan]]), ValueError, "table must be finite, got nan"),
        (lambda: FixedTable(TABLE).embed(torch.zeros(1, 1, 24), torch.tensor([0.5])), ValueError, "whole numbers"),
        (lambda: FixedTable(TABLE).embed(torch.zeros(1, 1, 24), torch.tensor([-1.0])), ValueError, "from 0 to 23"),
        (lambda: encodings.Rotary(8, p=1.5), ValueError, "p must be from 0 to 1, got 1.5"),
        (lambda: encodings.XPos(8, gamma=0.0), ValueError, "gamma must be a finite number > 0"),
        (lambda: encoding("t5", num_buckets=32, max_distance=8), ValueError, "max_distance must be greater than 8"),
        (lambda: encoding("t5", num_buckets=7), ValueError, "num_buckets must be an even number >= 4, got 7"),
        (lambda: encodings.Kerple(2, "exp", generator=generator()), ValueError, "form must be one of log, power"),
        (lambda: encoding("fire", threshold=-1.0), ValueError, "threshold must be a finite number > 0"),
        (lambda: encoding("cope", max_count=1), ValueError, "max_count must be a whole number >= 2, got 1"),
        (lambda: model("shaw")(torch.zeros(1, 2, dtype=torch.long), [0, 0.5]), ValueError, "whole numbers apart"),
        (lambda: Layers([]), TypeError, "encodings must be one PositionEncoding or more"),
        (lambda: Layers([encoding("shape")]), TypeError, "encodings must not be wrapped"),
        (lambda: build("t5:bidirectional=0", CONFIG, generator()), TypeError, "encoding t5 has no such option"),
        (lambda: build("partial_rope:rotary_dim=0", CONFIG, generator()), ValueError, "rotary_dim must be an even"),
        (lambda: encodings.TransformerXL(24, 5, generator=generator()), ValueError, "multiple of n_head = 5, got 24"),
        (
            lambda: Padded(PositionEncoding(), torch.ones(1, 3) > 0).bias(
                *[torch.ones(2, 1, 3, 4)] * 2, torch.arange(3.0)
            ),
            ValueError,
            "real must be (2, 3), as the tokens are, got (1, 3)",
        ),
        (lambda: encodings.Shape("rope", generator=generator()), TypeError, "inner must be a PositionEncoding"),
        (lambda: Padded(PositionEncoding(), torch.ones(2, 3)), TypeError, "real must be a tensor of booleans"),
        (lambda: Padded(PositionEncoding(), torch.eye(3) > 0), ValueError, "each row True and then False"),
    ],
)
def test_bad_input(call, error, says):
    with pytest.raises(error) as raised:
        call()
    assert says in str(raised.value)
