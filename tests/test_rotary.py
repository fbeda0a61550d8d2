"""Rotary encoding and its relatives: published values, symmetries, torch, and a model whose pairing is converted.

limit        position 0 changes nothing; rotary_dim = e is the default; p = 0 turns nothing
invariance   norms stay, scores depend on the distance alone
sensitivity  each parameter of each function changes the result
agreement    published values and those by hand; NumPy = torch; a pairing is the other one after the permutation
model        a trained model gives the same logits after its projections are converted, and others without
"""

import json
import math
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from pe_lib.encodings.turning import Rotary
from pe_lib.rotary import (
    PAIRINGS,
    convert_projection,
    frequencies,
    pairing_permutation,
    pope_score,
    rotate,
    xpos_scale,
    xpos_score,
)
from pe_lib.tasks import Reverse
from pe_lib.training import fit, model_for

PUBLISHED = json.loads((Path(__file__).parent / "golden.json").read_text())
ROTATED = [entry for entry in PUBLISHED if "pairing" in entry]
XPOS = [entry for entry in PUBLISHED if entry.get("formula") == "xpos_scale"]
POS = np.arange(5)
X = np.random.default_rng(7).normal(size=(2, 5, 8))  # (h, t, e)
Q, K = np.random.default_rng(8).normal(size=(2, 2, 5, 8))


# Published values


@pytest.mark.parametrize("entry", ROTATED, ids=lambda entry: entry["id"])
def test_golden(entry):
    turned = rotate(entry["x"], entry["pos"], pairing=entry["pairing"])
    np.testing.assert_allclose(turned, entry["values"], rtol=0, atol=entry["tolerance"])


@pytest.mark.parametrize("entry", XPOS, ids=lambda entry: entry["id"])
def test_golden_xpos_scale(entry):
    scale = xpos_scale(entry["head_dim"])
    np.testing.assert_allclose(scale, entry["values"], rtol=0, atol=entry["tolerance"])


def test_golden_permutation():
    """That of the script that converts Llama's weights for Hugging Face transformers, per head."""
    assert pairing_permutation(8, "interleaved", "half").tolist() == [0, 2, 4, 6, 1, 3, 5, 7]


# Limits


@pytest.mark.parametrize("pairing", PAIRINGS)
def test_limits(pairing):
    np.testing.assert_array_equal(rotate(X, np.zeros(5), pairing=pairing), X)
    np.testing.assert_array_equal(rotate(X, POS, pairing=pairing, p=0), X)
    turned = rotate(X, POS, pairing=pairing)
    np.testing.assert_array_equal(rotate(X, POS, pairing=pairing, rotary_dim=8), turned)
    np.testing.assert_array_equal(rotate(X, POS, pairing=pairing, rotary_dim=6)[..., 6:], X[..., 6:])
    assert frequencies(2).tolist() == [1.0]


def test_p_keeps_the_fast_pairs():
    np.testing.assert_array_equal(frequencies(8, p=0.6), frequencies(8) * [1, 1, 0, 0])
    np.testing.assert_array_equal(frequencies(8, p=0.7), frequencies(8) * [1, 1, 0, 0])  # 2.8 pairs are 2
    np.testing.assert_array_equal(frequencies(8, p=0.75), frequencies(8) * [1, 1, 1, 0])
    assert not frequencies(8, p=0).any()
    assert frequencies(8, p=1).all()


def test_the_argument_stays_as_it_is():
    x = X.copy()
    rotate(x, POS, pairing="half")
    np.testing.assert_array_equal(x, X)


def test_xpos_without_a_distance_is_the_dot_product():
    scores = xpos_score(Q, K, np.full(5, 3.0))
    np.testing.assert_allclose(scores, Q @ K.transpose(0, 2, 1), rtol=0, atol=1e-12)


# Invariance


@pytest.mark.parametrize("pairing", PAIRINGS)
@pytest.mark.parametrize("rotary_dim", [None, 4])
def test_norms_stay_and_scores_depend_on_the_distance(pairing, rotary_dim, rng):
    q, k = rng.normal(size=(2, 5, 8))
    pos = rng.uniform(-1e4, 1e4, 5)
    turn = partial(rotate, pairing=pairing, rotary_dim=rotary_dim)
    turned = turn(q, pos)
    np.testing.assert_allclose(np.linalg.norm(turned, axis=-1), np.linalg.norm(q, axis=-1), rtol=1e-12)
    moved = turn(q, pos + 123.5) @ turn(k, pos + 123.5).T
    np.testing.assert_allclose(moved, turned @ turn(k, pos).T, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    "score",
    [pytest.param(xpos_score, id="xpos"), pytest.param(partial(pope_score, delta=-(X[:, 0] ** 2)), id="pope")],
)
def test_scores_of_the_relatives_depend_on_the_distance(score):
    np.testing.assert_allclose(score(Q, K, pos=POS + 40), score(Q, K, pos=POS), rtol=0, atol=1e-10)


# Sensitivity


@pytest.mark.parametrize(
    ("formula", "reference", "changes"),
    [
        pytest.param(frequencies, {"head_dim": 8}, {"base": 500.0, "p": 0.5}, id="frequencies"),
        pytest.param(
            rotate,
            {"x": X, "pos": POS, "pairing": "half"},
            {"base": 500.0, "pairing": "interleaved", "rotary_dim": 4, "p": 0.5, "pos": POS + 1},
            id="rotate",
        ),
        pytest.param(xpos_scale, {"head_dim": 8}, {"gamma": 0.5}, id="xpos_scale"),
        pytest.param(
            xpos_score,
            {"q": Q, "k": K, "pos": POS},
            {"base": 500.0, "scale_base": 400.0, "gamma": 0.8, "pos": 2 * POS, "q": Q + 1, "k": K + 1},
            id="xpos_score",
        ),
        pytest.param(
            pope_score,
            {"q": Q, "k": K, "pos": POS, "delta": np.zeros((2, 8))},
            {"base": 500.0, "delta": np.full((2, 8), -1.0), "pos": 2 * POS, "q": Q + 1, "k": K + 1},
            id="pope_score",
        ),
    ],
)
def test_every_parameter_matters(formula, reference, changes):
    expected = formula(**reference)
    for argument, value in changes.items():
        assert np.abs(formula(**reference | {argument: value}) - expected).max() > 1e-3, argument


# By hand


def test_xpos_by_hand():
    q, k = np.array([[[0.5, -1.0], [2.0, 0.3]]]), np.array([[[1.0, 0.2], [-0.4, 0.7]]])
    score = xpos_score(q, k, [3, 4], scale_base=2.0)
    turned_q = rotate(q, [3, 4], pairing="interleaved")
    turned_k = rotate(k, [3, 4], pairing="interleaved")
    half_a_scale = (0.4 / 1.4) ** 0.5
    np.testing.assert_allclose(score[0, 1, 0], turned_q[0, 1] @ turned_k[0, 0] * half_a_scale)
    np.testing.assert_allclose(score[0, 0, 1], turned_q[0, 0] @ turned_k[0, 1] / half_a_scale)
    assert xpos_scale(64)[[0, 31]] == pytest.approx([0.285714, 0.977679], abs=1e-6)
    np.testing.assert_allclose(xpos_scale(4, 3.0), [3 / 4, 3.5 / 4])


def test_xpos_by_hand_with_other_parameters():
    """Two pairs, the second at base**(-1/2): the products of the pairs are weighed one by one."""
    q, k = X[0, :2, :4], X[1, :2, :4]
    turned_q = rotate(q, [3, 4], 50.0, pairing="interleaved")
    turned_k = rotate(k, [3, 4], 50.0, pairing="interleaved")
    first = turned_q[1, :2] @ turned_k[0, :2] * (1.0 / 2.0) ** 0.25
    second = turned_q[1, 2:] @ turned_k[0, 2:] * (1.5 / 2.0) ** 0.25
    score = xpos_score(q, k, [3, 4], 50.0, scale_base=4.0, gamma=1.0)
    np.testing.assert_allclose(score[1, 0], first + second)


@pytest.mark.parametrize("base", [10_000.0, 50.0])
def test_pope_by_hand(base):
    q, k = np.array([[[0.5, -1.0], [2.0, 0.3]]]), np.array([[[1.0, 0.2], [-0.4, 0.7]]])
    radius = np.log1p(np.exp(q[0, 1])) * np.log1p(np.exp(k[0, 0]))
    angle = np.array([-1.0 - 0.5, -(base**-0.5)])  # one token back, two frequencies
    score = pope_score(q, k, [3, 4], [[-0.5, 7.0]], base)  # 7 is outside -2 pi .. 0: used as 0
    np.testing.assert_allclose(score[0, 1, 0], radius @ np.cos(angle))
    np.testing.assert_array_equal(
        pope_score(q, k, [3, 4], [[-9.0, -8.0]]), pope_score(q, k, [3, 4], [[-2 * np.pi, -2 * np.pi]])
    )


# Agreement


@pytest.mark.parametrize("rotary_dim", [None, 2, 6])
@pytest.mark.parametrize("source", PAIRINGS)
@pytest.mark.parametrize("target", PAIRINGS)
def test_a_pairing_is_the_other_one_permuted(source, target, rotary_dim, rng):
    x, pos = rng.normal(size=(3, 4, 10)), np.arange(4)
    permutation = pairing_permutation(10, source, target, rotary_dim=rotary_dim)
    turned = rotate(x[..., permutation], pos, pairing=target, rotary_dim=rotary_dim)
    expected = rotate(x, pos, pairing=source, rotary_dim=rotary_dim)[..., permutation]
    np.testing.assert_array_equal(turned, expected)
    assert sorted(permutation) == list(range(10))
    stays = source == target or rotary_dim == 2
    assert (permutation.tolist() == list(range(10))) == stays


@pytest.mark.parametrize("pairing", PAIRINGS)
@pytest.mark.parametrize("rotary_dim", [None, 4])
def test_torch_says_the_same(pairing, rotary_dim, rng):
    q, k = rng.normal(size=(2, 2, 3, 5, 8))
    pos = rng.uniform(-1e5, 1e5, 5)
    encoding = Rotary(8, 300.0, pairing=pairing, rotary_dim=rotary_dim)
    pos_torch = torch.from_numpy(pos)
    turned = encoding.turn(torch.from_numpy(q), torch.from_numpy(k), pos_torch, pos_torch)
    for x_torch, x in zip(turned, (q, k), strict=True):
        expected = rotate(x, pos, 300.0, pairing=pairing, rotary_dim=rotary_dim)
        np.testing.assert_allclose(x_torch, expected, rtol=0, atol=1e-9)


def turned(x, pos, **options):
    return Rotary(x.shape[-1], **options).turn(x, x, pos, pos)[0]


@pytest.mark.parametrize("pairing", PAIRINGS)
@pytest.mark.parametrize("rotary_dim", [None, 4])
@pytest.mark.parametrize("shape", [(3,), (2, 3)], ids=["one for all", "one a sequence"])
def test_gradients_are_those_of_the_formula(pairing, rotary_dim, shape):
    x = torch.randn(2, 2, 3, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
    pos = 5.0 * torch.arange(math.prod(shape), dtype=torch.float64).reshape(shape)
    assert torch.autograd.gradcheck(turned_with, (x, pos, pairing, rotary_dim))
    assert torch.autograd.gradgradcheck(turned_with, (x, pos, pairing, rotary_dim))


def turned_with(x, pos, pairing, rotary_dim):
    return turned(x, pos, pairing=pairing, rotary_dim=rotary_dim)


@pytest.mark.parametrize("pairing", PAIRINGS)
def test_wherever_entries_lie_in_memory(pairing):
    """Side by side at an even place, a pair is read as a complex number; elsewhere it is not."""
    x = torch.randn(2, 3, 4, 8, dtype=torch.float64)
    pos = torch.arange(4, dtype=torch.float64)
    wanted = turned(x, pos, pairing=pairing)
    places = {"last axis first": x.permute(3, 0, 1, 2).contiguous().permute(1, 2, 3, 0)}
    for name, width, first in (("odd rows", 9, 0), ("odd start", 10, 1), ("wide rows", 24, 8)):
        places[name] = torch.zeros(2, 3, 4, width, dtype=torch.float64)[..., first : first + 8].copy_(x)
    places["odd start, all side by side"] = torch.zeros(1 + x.numel(), dtype=torch.float64)[1:].view(x.shape).copy_(x)
    for name, there in places.items():
        assert torch.equal(turned(there, pos, pairing=pairing), wanted), name
        forth = torch.zeros_like(x).requires_grad_()
        turned(forth, -pos, pairing=pairing).backward(there)
        assert torch.equal(forth.grad, wanted), name


@pytest.mark.parametrize("pairing", PAIRINGS)
@pytest.mark.parametrize("kind", [torch.float64, torch.bfloat16])
def test_one_head_for_many_positions(pairing, kind):
    x = torch.randn(1, 2, 1, 8, dtype=kind)
    pos = torch.arange(6, dtype=torch.float64).reshape(2, 3)
    assert torch.equal(turned(x, pos, pairing=pairing), turned(x.repeat(2, 1, 3, 1), pos, pairing=pairing))


@pytest.mark.parametrize("pairing", PAIRINGS)
@pytest.mark.parametrize("rotary_dim", [None, 32])
@pytest.mark.parametrize("n_token", [5, 300], ids=["all heads at once", "head by head"])
@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_low_precision_is_rounded_once(pairing, rotary_dim, n_token, kind):
    """The rotation is done in float32."""
    x = torch.randn(2, 3, n_token, 64, generator=torch.Generator().manual_seed(2)).to(kind)
    pos = 1000.0 * torch.arange(2, dtype=torch.float64)[:, None] + torch.arange(n_token)
    got = turned(x, pos, pairing=pairing, rotary_dim=rotary_dim)
    exact = turned(x.double(), pos, pairing=pairing, rotary_dim=rotary_dim)
    assert got.dtype == kind
    assert ((got.double() - exact).abs() <= 0.501 * torch.finfo(kind).eps * exact.abs() + 3e-6).all()


def test_projections_are_converted_head_by_head(rng):
    weight = rng.normal(size=(12, 3))
    moved = convert_projection(weight, 2, "interleaved", "half", rotary_dim=4)
    np.testing.assert_array_equal(moved, weight[[0, 2, 1, 3, 4, 5, 6, 8, 7, 9, 10, 11]])
    np.testing.assert_array_equal(convert_projection(moved, 2, "half", "interleaved", rotary_dim=4), weight)
    bias = convert_projection(torch.arange(8), 2, "interleaved", "half")
    assert bias.tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


# Model


@pytest.mark.slow
@pytest.mark.parametrize("rotary_dim", [None, 8])
def test_a_trained_model_runs_with_the_other_pairing(rotary_dim):
    """The same logits to 1e-6 when queries and keys are converted, head by head; quite others when they are not."""
    task, rng = Reverse(), np.random.default_rng(3)
    model = model_for(task, Rotary(16, pairing="interleaved", rotary_dim=rotary_dim), 3)
    fit(model, task, rng, steps=60, batch=32, lr=5e-3, eval_every=60)
    tokens = torch.from_numpy(task.sample(rng, 20)[0])
    model.double().eval()
    with torch.no_grad():
        before = model(tokens)
        model.encoding = Rotary(16, pairing="half", rotary_dim=rotary_dim)
        assert (model(tokens) - before).abs().max() > 0.1
        for block in model.blocks:
            for part in (block.qkv.weight, block.qkv.bias):
                query, key, value = part.chunk(3)
                query = convert_projection(query, 4, "interleaved", "half", rotary_dim=rotary_dim)
                key = convert_projection(key, 4, "interleaved", "half", rotary_dim=rotary_dim)
                part.copy_(torch.cat([query, key, value]))
        assert (model(tokens) - before).abs().max() < 1e-6


# Bad input


half = partial(rotate, pairing="half")


@pytest.mark.parametrize(
    ("call", "says"),
    [
        pytest.param(
            partial(half, np.ones((3, 4)), [0, 1]), r"x must be \(..., 2, head_dim\), .* \(3, 4\)", id="rows"
        ),
        pytest.param(partial(half, np.ones(4), [0]), r"x must be \(..., 1, head_dim\)", id="one axis"),
        pytest.param(
            partial(half, np.ones((2, 5)), [0, 1]),
            "x must have an even width, or rotary_dim be given, got width 5",
            id="odd width",
        ),
        pytest.param(
            partial(rotate, np.ones((2, 4)), [0, 1], pairing="neox"),
            "pairing must be one of interleaved, half, got 'neox'",
            id="pairing",
        ),
        pytest.param(
            partial(half, np.ones((2, 4)), [0, 1], rotary_dim=6),
            "rotary_dim must be at most head_dim = 4, got 6",
            id="rotary_dim too wide",
        ),
        pytest.param(
            partial(half, np.ones((2, 4)), [0, 1], rotary_dim=3), "rotary_dim must be an even", id="rotary_dim odd"
        ),
        pytest.param(partial(half, np.full((2, 4), np.nan), [0, 1]), "x must be finite", id="x is nan"),
        pytest.param(partial(half, np.ones((2, 4)), [0, np.inf]), "pos must be finite", id="pos is inf"),
        pytest.param(partial(half, np.ones((1, 4)), [[0]]), "pos must have 1 axes", id="pos has two axes"),
        pytest.param(partial(half, np.ones((2, 4)), [0, 1], 1.0), "base must be a finite number > 1", id="base"),
        pytest.param(
            partial(half, np.ones((2, 4)), [0, 1], p=2), "p must be a number from 0 to 1, got 2", id="p too large"
        ),
        pytest.param(partial(frequencies, 8, p=-0.1), "p must be a number from 0 to 1, got -0.1", id="p negative"),
        pytest.param(partial(frequencies, 7), "head_dim must be an even number >= 2, got 7", id="head_dim"),
        pytest.param(partial(xpos_scale, 7), "head_dim must be an even number >= 2, got 7", id="xpos head_dim"),
        pytest.param(partial(xpos_scale, 8, 0), "gamma must be a finite number > 0, got 0.0", id="xpos gamma"),
        pytest.param(
            partial(xpos_score, Q, K, POS, scale_base=0),
            "scale_base must be a finite number > 0",
            id="xpos scale_base",
        ),
        pytest.param(partial(pope_score, Q[0], K, POS, X[:, 0]), "q must have 3 axes", id="pope q"),
        pytest.param(
            partial(pope_score, Q, K[:, :4], POS, X[:, 0]),
            r"q and k must have one shape \(h, t, e\), got \(2, 5, 8\) and \(2, 4, 8\)",
            id="pope k",
        ),
        pytest.param(
            partial(pope_score, Q, K, POS[:4], X[:, 0]), r"pos must have the shape \(t\) with t = 5", id="pope pos"
        ),
        pytest.param(
            partial(pope_score, Q, K, POS, X[:, 0, :6]),
            r"delta must have the shape \(h, e\) with e = 8, got \(2, 6\)",
            id="pope delta",
        ),
        pytest.param(partial(pope_score, Q, K, POS, X[:, 0], 1), "base must be a finite number > 1", id="pope base"),
        pytest.param(partial(pairing_permutation, 8, "half", "both"), "target must be one of", id="target"),
        pytest.param(
            partial(pairing_permutation, 7, "half", "half"), "head_dim must have an even width", id="permuted"
        ),
        pytest.param(
            partial(convert_projection, np.ones((9, 2)), 2, "half", "half"),
            "weight must have a multiple of n_head = 2 rows, got 9",
            id="rows of heads",
        ),
        pytest.param(partial(Rotary, 7), "head_dim must be an even number >= 2, got 7", id="torch head_dim"),
        pytest.param(
            partial(Rotary, 8, rotary_dim=10),
            "rotary_dim must be at most head_dim = 8, got 10",
            id="torch rotary_dim",
        ),
        pytest.param(
            partial(Rotary, 8, pairing="gptj"),
            "pairing must be one of interleaved, half, got 'gptj'",
            id="torch pairing",
        ),
    ],
)
def test_bad_input(call, says):
    with pytest.raises(ValueError, match=says):
        call()
