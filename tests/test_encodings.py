"""Every encoding, by the same five kinds of test; a new encoding is one row of CASES.

limit        position 0, and what is known there
invariance   shifting all positions changes the output, or does not
sensitivity  each option changes the result
agreement    torch = NumPy
model        gradients arrive; twice the trained length works, or says why not
"""

import numpy as np
import pytest
import torch

from pe_lib.encodings import ENCODINGS, FixedTable, Learned, PositionEncoding, Sinusoidal, build
from pe_lib.sinusoidal import sinusoidal
from pe_lib.transformer import Config, TinyTransformer

CONFIG = Config(vocab=10, n_class=10, max_len=12, d_model=16, n_head=2, n_layer=1)
TABLE = sinusoidal(np.arange(24), 16, 50.0)

# name -> options that change it, is the output blind to a shift?, does it work beyond max_len?
CASES = {
    "nope": ({}, True, True),
    "sinusoidal": ({"base": 500.0}, False, True),
    "learned": ({"std": 0.5}, False, False),
    "rope": ({"base": 50.0, "pairing": "half", "rotary_dim": 4}, True, True),
}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def model(name, **options):
    return TinyTransformer(CONFIG, build(name, CONFIG, generator(1), **options), generator(2)).double()


@pytest.fixture
def tokens(rng):
    return torch.from_numpy(rng.integers(0, 10, (3, 12)))


def test_every_encoding_has_a_row():
    assert set(CASES) == set(ENCODINGS)


def test_limit():
    x, zero = torch.zeros(1, 1, 16, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    assert torch.equal(PositionEncoding().embed(x, zero), x)
    np.testing.assert_array_equal(Sinusoidal(16).embed(x, zero)[0, 0], [0.0, 1.0] * 8)
    learned = Learned(16, 12, generator=generator()).double()
    assert torch.equal(learned.embed(x, zero)[0, 0], learned.table[0])
    q, k = torch.rand(2, 1, 2, 5, 8, generator=generator())
    for name in ("nope", "sinusoidal", "learned"):  # these leave queries, keys and scores alone
        encoding = build(name, CONFIG, generator())
        assert encoding.turn(q, k, torch.arange(5.0)) == (q, k) and encoding.bias(q, k, torch.arange(5.0)) is None


@pytest.mark.parametrize("name", CASES)
def test_invariance(name, tokens):
    one, pos = model(name), torch.arange(6)
    moved = (one(tokens[:, :6], pos + 5) - one(tokens[:, :6], pos)).abs().max()
    assert moved < 1e-12 if CASES[name][1] else moved > 1e-3


@pytest.mark.parametrize("name", CASES)
def test_sensitivity(name, tokens):
    for option, value in CASES[name][0].items():
        assert (model(name, **{option: value})(tokens) - model(name)(tokens)).abs().max() > 1e-3


def test_agreement(rng):
    pos = rng.uniform(-1e6, 1e6, 30)
    got = Sinusoidal(16, 123.0).embed(torch.zeros(2, 30, 16, dtype=torch.float64), torch.from_numpy(pos))
    np.testing.assert_allclose(got[1], sinusoidal(pos, 16, 123.0), atol=1e-9)
    got = FixedTable(TABLE).embed(torch.ones(1, 3, 16, dtype=torch.float64), torch.tensor([4.0, 0, 23]))
    np.testing.assert_allclose(got[0], 1 + TABLE[[4, 0, 23]], atol=1e-12)


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16, torch.float16])
def test_low_precision_rounds_the_values_not_the_angles(kind):
    """Also after module.to(kind): at position 100,000 a rounded angle would be wrong by radians."""
    pos = torch.tensor([100_000.0, 257], dtype=torch.float64)
    got = Sinusoidal(16).to(kind).embed(torch.zeros(1, 2, 16, dtype=kind), pos)
    assert got.dtype == kind
    assert (got[0].double() - torch.from_numpy(sinusoidal(pos, 16))).abs().max() < torch.finfo(kind).eps


@pytest.mark.parametrize("name", CASES)
def test_model(name, tokens):
    one = model(name)
    one(tokens).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in one.parameters())
    double = torch.cat([tokens, tokens], dim=1)
    if CASES[name][2]:
        assert one(double).isfinite().all()
    else:
        with pytest.raises(ValueError, match="the table has 12 rows and none beyond"):
            one(double)


def test_learned_is_drawn_as_asked():
    table = Learned(64, 500, std=0.3, generator=generator()).table
    assert table.std().item() == pytest.approx(0.3, rel=0.02) and abs(table.mean().item()) < 0.01
    assert torch.equal(table, Learned(64, 500, std=0.3, generator=generator()).table)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: build("rope2", CONFIG, generator()), ValueError, "encoding must be one of nope, sinusoidal"),
        (lambda: build("nope", CONFIG, generator(), base=2.0), TypeError, "base"),
        (lambda: Sinusoidal(7), ValueError, "d_model must be an even number"),
        (lambda: Sinusoidal(8, 1.0), ValueError, "base must be a finite number > 1"),
        (lambda: Learned(8, 0, generator=generator()), ValueError, "max_len must be a whole number >= 1, got 0"),
        (lambda: Learned(8, 4, std=0, generator=generator()), ValueError, "std must be a finite number > 0, got 0"),
        (lambda: FixedTable([[np.nan]]), ValueError, "table must be finite, got nan"),
        (lambda: FixedTable(TABLE).embed(torch.zeros(1, 1, 16), torch.tensor([0.5])), ValueError, "whole numbers"),
        (lambda: FixedTable(TABLE).embed(torch.zeros(1, 1, 16), torch.tensor([-1.0])), ValueError, "from 0 to 23"),
    ],
)
def test_bad_input(call, error, says):
    with pytest.raises(error) as raised:
        call()
    assert says in str(raised.value)
