"""Rotary encoding: against published values, its own symmetries, torch, and a model whose pairing is converted.

limit        position 0 changes nothing; rotary_dim = e is the default
invariance   norms stay, scores depend on the distance alone
sensitivity  base, pairing and rotary_dim each change the result
agreement    published values; NumPy = torch; a pairing is the other one after the permutation
model        a trained model gives the same logits after its projections are converted, and others without
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pe_lib.encodings import Rotary
from pe_lib.rotary import PAIRINGS, convert_projection, frequencies, pairing_permutation, rotate
from pe_lib.tasks import Reverse
from pe_lib.training import fit, model_for

GOLDEN = [e for e in json.loads((Path(__file__).parent / "golden.json").read_text()) if "pairing" in e]


@pytest.mark.parametrize("entry", GOLDEN, ids=lambda entry: entry["id"])
def test_golden(entry):
    got = rotate(entry["x"], entry["pos"], pairing=entry["pairing"])
    np.testing.assert_allclose(got, entry["values"], rtol=0, atol=entry["tolerance"])


def test_golden_permutation():
    """That of the script that converts Llama's weights for Hugging Face transformers, per head."""
    assert pairing_permutation(8, "interleaved", "half").tolist() == [0, 2, 4, 6, 1, 3, 5, 7]


@pytest.mark.parametrize("pairing", PAIRINGS)
def test_limit(pairing, rng):
    x = rng.normal(size=(2, 3, 6))
    np.testing.assert_array_equal(rotate(x, [0, 0, 0], pairing=pairing), x)
    turned = rotate(x, [1, 5, 9], pairing=pairing)
    np.testing.assert_array_equal(rotate(x, [1, 5, 9], pairing=pairing, rotary_dim=6), turned)
    assert frequencies(2).tolist() == [1.0]


@pytest.mark.parametrize("pairing", PAIRINGS)
@pytest.mark.parametrize("rotary_dim", [None, 4])
def test_invariance(pairing, rotary_dim, rng):
    q, k = rng.normal(size=(2, 5, 8))
    pos, how = rng.uniform(-1e4, 1e4, 5), {"pairing": pairing, "rotary_dim": rotary_dim}
    turned = rotate(q, pos, **how)
    np.testing.assert_allclose(np.linalg.norm(turned, axis=-1), np.linalg.norm(q, axis=-1), rtol=1e-12)
    moved = rotate(q, pos + 123.5, **how) @ rotate(k, pos + 123.5, **how).T
    np.testing.assert_allclose(moved, turned @ rotate(k, pos, **how).T, rtol=0, atol=1e-9)


def test_sensitivity(rng):
    x, pos = rng.normal(size=(5, 8)), np.arange(5)
    reference = rotate(x, pos, pairing="half")
    for other in ({"base": 500.0}, {"pairing": "interleaved"}, {"rotary_dim": 4}):
        assert np.abs(rotate(x, pos, **({"pairing": "half"} | other)) - reference).max() > 1e-3


@pytest.mark.parametrize("rotary_dim", [None, 2, 6])
@pytest.mark.parametrize("source", PAIRINGS)
@pytest.mark.parametrize("target", PAIRINGS)
def test_a_pairing_is_the_other_one_permuted(source, target, rotary_dim, rng):
    x, pos = rng.normal(size=(3, 4, 10)), np.arange(4)
    p = pairing_permutation(10, source, target, rotary_dim=rotary_dim)
    got = rotate(x[..., p], pos, pairing=target, rotary_dim=rotary_dim)
    np.testing.assert_array_equal(got, rotate(x, pos, pairing=source, rotary_dim=rotary_dim)[..., p])
    assert (sorted(p), p.tolist() == list(range(10))) == (list(range(10)), source == target or rotary_dim == 2)


@pytest.mark.parametrize("pairing", PAIRINGS)
@pytest.mark.parametrize("rotary_dim", [None, 4])
def test_torch_says_the_same(pairing, rotary_dim, rng):
    q, k = rng.normal(size=(2, 2, 3, 5, 8))
    pos = rng.uniform(-1e5, 1e5, 5)
    encoding = Rotary(8, 300.0, pairing=pairing, rotary_dim=rotary_dim)
    turned = encoding.turn(torch.from_numpy(q), torch.from_numpy(k), torch.from_numpy(pos), torch.from_numpy(pos))
    for got, x in zip(turned, (q, k), strict=True):
        expected = rotate(x, pos, 300.0, pairing=pairing, rotary_dim=rotary_dim)
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("rotary_dim", [None, 8])
def test_a_trained_model_runs_with_the_other_pairing(rotary_dim):
    """The same logits to 1e-6 when queries and keys are converted, head by head; quite others when they are not."""
    options = {"pairing": "interleaved", "rotary_dim": rotary_dim}
    reverse, rng = Reverse(), np.random.default_rng(3)
    model = model_for(reverse, Rotary(16, **options), 3)
    fit(model, reverse, rng, steps=60, batch=32, lr=5e-3, eval_every=60)
    tokens = torch.from_numpy(reverse.sample(rng, 20)[0])
    model.double().eval()
    with torch.no_grad():
        before = model(tokens)
        model.encoding = Rotary(16, pairing="half", rotary_dim=rotary_dim)
        assert (model(tokens) - before).abs().max() > 0.1
        for block in model.blocks:
            for part in (block.qkv.weight, block.qkv.bias):  # rows: queries, keys, values
                q, k, v = part.chunk(3)
                q, k = (convert_projection(one, 4, "interleaved", "half", rotary_dim=rotary_dim) for one in (q, k))
                part.copy_(torch.cat([q, k, v]))
        assert (model(tokens) - before).abs().max() < 1e-6


@pytest.mark.parametrize(
    "call, says",
    [
        (lambda: rotate(np.ones((3, 4)), [0, 1], pairing="half"), r"x must be \(..., 2, head_dim\)"),
        (lambda: rotate(np.ones(4), [0], pairing="half"), r"x must be \(..., 1, head_dim\)"),
        (lambda: rotate(np.ones((2, 5)), [0, 1], pairing="half"), "x must have an even width"),
        (lambda: rotate(np.ones((2, 4)), [0, 1], pairing="neox"), "pairing must be one of interleaved, half"),
        (lambda: rotate(np.ones((2, 4)), [0, 1], pairing="half", rotary_dim=6), "rotary_dim must be at most"),
        (lambda: rotate(np.ones((2, 4)), [0, 1], pairing="half", rotary_dim=3), "rotary_dim must be an even"),
        (lambda: rotate(np.full((2, 4), np.nan), [0, 1], pairing="half"), "x must be finite"),
        (lambda: rotate(np.ones((2, 4)), [0, np.inf], pairing="half"), "pos must be finite"),
        (lambda: rotate(np.ones((2, 4)), [0, 1], 1.0, pairing="half"), "base must be a finite number > 1"),
        (lambda: frequencies(7), "head_dim must be an even number >= 2, got 7"),
        (lambda: pairing_permutation(8, "half", "both"), "pairing must be one of"),
        (lambda: convert_projection(np.ones((9, 2)), 2, "half", "half"), "weight must have a multiple of"),
        (lambda: Rotary(7), "head_dim must be an even number >= 2, got 7"),
        (lambda: Rotary(8, rotary_dim=10), "rotary_dim must be at most head_dim = 8, got 10"),
        (lambda: Rotary(8, pairing="gptj"), "pairing must be one of interleaved, half, got 'gptj'"),
    ],
)  # fmt: skip
def test_bad_input(call, says):
    with pytest.raises(ValueError, match=says):
        call()
