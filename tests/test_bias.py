"""Biases on attention scores: published values, closed forms, the limits of each, and bad input.

`test_encodings.py` holds them against their torch twins.
"""

import json
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from pe_lib import bias, encodings, rotary, sinusoidal

GOLDEN = [e for e in json.loads((Path(__file__).parent / "golden.json").read_text()) if "formula" in e]
FORMULAS = {"t5_bucket": bias.t5_bucket, "alibi_slopes": bias.alibi_slopes, "xpos_scale": rotary.xpos_scale}


@pytest.mark.parametrize("entry", GOLDEN, ids=lambda entry: entry["id"])
def test_golden(entry):
    about = ("id", "source", "formula", "tolerance", "values")
    got = FORMULAS[entry["formula"]](**{name: value for name, value in entry.items() if name not in about})
    np.testing.assert_allclose(got, entry["values"], rtol=0, atol=entry["tolerance"])


@pytest.mark.parametrize(
    ("n_head", "slopes"),
    [
        (1, [2.0**-8]),
        (3, [0.0625, 0.00390625, 0.25]),
        (12, [2.0**-h for h in range(1, 9)] + [2.0**-h for h in (0.5, 1.5, 2.5, 3.5)]),
    ],
)
def test_slopes_for_any_number_of_heads(n_head, slopes):
    np.testing.assert_allclose(bias.alibi_slopes(n_head), slopes, rtol=1e-15)


@pytest.mark.parametrize("n_head", range(1, 40))
def test_slopes_in_torch(n_head):
    np.testing.assert_allclose(encodings.Alibi(n_head).slope, bias.alibi_slopes(n_head), rtol=1e-14)


def test_alibi(rng):
    distance = rng.integers(-50, 50, (4, 6))
    got = bias.alibi(distance, 8)
    assert got.shape == (8, 4, 6)
    np.testing.assert_allclose(got[2], -np.abs(distance) / 8)
    np.testing.assert_allclose(got, bias.kerple(distance, bias.alibi_slopes(8), np.ones(8), form="power"))


SETTINGS = [(True, 32, 128), (False, 32, 128), (True, 8, 20), (False, 16, 9), (False, 4, 1000), (True, 32, 9)]
SETTINGS += [(False, 10, 160)]  # where a float64 logarithm misses a boundary


@pytest.mark.parametrize(("both", "n_bucket", "max_distance"), SETTINGS)
def test_buckets_against_fractions(both, n_bucket, max_distance):
    """Bucket b of the far half holds the x with (max_distance / half) ** ((b - half) / half) <= x / half."""
    n = n_bucket // 2 if both else n_bucket
    half, options = n // 2, {"bidirectional": both, "num_buckets": n_bucket, "max_distance": max_distance}
    for relative, bucket in zip(range(-300, 301), bias.t5_bucket(np.arange(-300, 301), **options), strict=True):
        x = abs(relative) if both else max(-relative, 0)
        first = n if both and relative > 0 else 0
        if x < half:
            assert bucket == first + x
            continue
        reached = [b for b in range(half) if Fraction(x, half) ** half >= Fraction(max_distance, half) ** b]
        assert bucket == first + half + max(reached)


@pytest.mark.parametrize(("both", "n_bucket", "max_distance"), SETTINGS)
def test_buckets_in_torch(both, n_bucket, max_distance):
    options = {"bidirectional": both, "num_buckets": n_bucket, "max_distance": max_distance}
    one = encodings.T5(1, **options, generator=torch.Generator().manual_seed(0))
    one.table.data = torch.arange(float(n_bucket))[:, None]
    distance = np.arange(-2000, 2001)
    got = one.of_distance(torch.from_numpy(distance).double())[0].detach()
    np.testing.assert_array_equal(got, bias.t5_bucket(-distance, **options))


def test_first_distance_of_each_bucket():
    buckets = bias.t5_bucket(-np.arange(200), bidirectional=False).tolist()
    firsts = [buckets.index(b) for b in range(16, 32)]
    assert firsts == [16, 19, 21, 24, 27, 31, 35, 40, 46, 52, 59, 67, 77, 87, 99, 113]


def test_kerple_and_sandwich():
    distance = np.array([0, 1, -1, 10, 1000])
    log = bias.kerple(distance, [2.0], [0.5], form="log")
    np.testing.assert_allclose(log[0], -2 * np.log([1, 1.5, 1.5, 6, 501]))
    np.testing.assert_allclose(bias.kerple(distance, [2.0], [0.5], form="power")[0], -2 * np.abs(distance) ** 0.5)
    raw = bias.sandwich(np.array([0, 1, 2, 10, 100, 1000]), 8)
    assert raw.shape == (8, 6)
    published = [64, 62.0937, 57.3819, 42.8200, 30.5435, 10.1777]
    np.testing.assert_allclose(raw[0], published, atol=5e-5)  # 8 heads: nothing is divided in the first
    np.testing.assert_allclose(raw[7], np.array(published) / 8, atol=5e-5)
    np.testing.assert_allclose(bias.sandwich(3.0, 4, width=16, base=50.0)[1], sinusoidal.kernel(3.0, 16, 50.0) / 4)


def test_fire(rng):
    weights = rng.normal(size=(1, 5)), rng.normal(size=(5, 5)), rng.normal(size=(5, 2))
    shifts, how = rng.normal(size=(2, 5)), {"c": 0.3, "threshold": 10.0}
    near, far = np.arange(4.0), np.arange(100.0, 104)
    np.testing.assert_allclose(bias.fire(near, weights, shifts, **how), bias.fire(near + 6, weights, shifts, **how))
    by_hand = np.array([math.log1p(0.3 * 2) / math.log1p(0.3 * 103)])
    for weight, shift in zip(weights[:2], shifts, strict=True):
        by_hand = np.maximum(by_hand @ weight + shift, 0)
    np.testing.assert_allclose(bias.fire(far, weights, shifts, **how)[:, 3, 1], by_hand @ weights[2])


def test_shaw_and_deberta_by_hand(rng):
    q, k = rng.normal(size=(2, 2, 5, 4))
    table, pos = rng.normal(size=(5, 4)), [0, 1, 2, 6, 9]  # reach 2
    got = bias.shaw(q, pos, table)
    np.testing.assert_allclose(got[1, 2, 1], q[1, 2] @ table[1] / 2)  # the key is one place before: row 2 - 1
    np.testing.assert_allclose(got[0, 0, 4], q[0, 0] @ table[4] / 2)  # nine after: clipped to 2
    to_key, to_query = rng.normal(size=(2, 2, 4, 4))  # reach 2: distances -2 .. 1 in rows 0 .. 3
    got = bias.deberta(q, k, pos, to_key, to_query)
    expected = q[1, 2] @ to_key[1, 3] + k[1, 1] @ to_query[1, 1]  # m - n = 1 and n - m = -1
    np.testing.assert_allclose(got[1, 2, 1], expected / 12**0.5)
    expected = q[0, 4] @ to_key[0, 3] + k[0, 0] @ to_query[0, 0]  # clipped to 1 and to -2
    np.testing.assert_allclose(got[0, 4, 0], expected / 12**0.5)


def test_transformer_xl_by_hand(rng):
    q, k = rng.normal(size=(2, 1, 3, 2))
    weight, (u, v) = rng.normal(size=(1, 4, 2)), rng.normal(size=(2, 1, 2))
    row = np.array([math.sin(2), math.cos(2), math.sin(0.2), math.cos(0.2)])  # distance 2, base 100
    expected = (q[0, 2] @ (row @ weight[0]) + u[0] @ k[0, 0] + v[0] @ (row @ weight[0])) / 2**0.5
    np.testing.assert_allclose(bias.transformer_xl(q, k, [0, 1, 2], weight, u, v, 100.0)[0, 2, 0], expected)


def test_cope(rng):
    table = rng.normal(size=(6, 4))
    q, k = np.zeros((2, 1, 4, 4))
    q[0, 3] = [1.0, 0, 0, 0]
    k[0, :, 0] = [-200.0, 200.0, 200.0, -200.0]  # gates 0, 1, 1, 0: two of the four keys count
    np.testing.assert_allclose(bias.cope(q, k, table)[0, 3], table[[2, 2, 1, 0], 0], atol=1e-12)
    k[0, :, 0] = 0.0  # gates of one half
    halves = (table[0, 0] + table[1, 0]) / 2
    np.testing.assert_allclose(bias.cope(q, k, table)[0, 3, 2:], [table[1, 0], halves], atol=1e-12)
    np.testing.assert_allclose(bias.cope(q, k, table[:2])[0, 3], [table[1, 0], table[1, 0], table[1, 0], halves])


def test_pope_and_xpos_by_hand():
    q, k = np.array([[[0.5, -1.0], [2.0, 0.3]]]), np.array([[[1.0, 0.2], [-0.4, 0.7]]])
    size = np.log1p(np.exp(q[0, 1])) * np.log1p(np.exp(k[0, 0]))
    angle = np.array([-1.0 - 0.5, -(10_000.0**-0.5)])  # one token back, two frequencies
    got = rotary.pope_score(q, k, [3, 4], [[-0.5, 7.0]])  # 7 is outside -2 pi .. 0: used as 0
    np.testing.assert_allclose(got[0, 1, 0], size @ np.cos(angle))
    score = rotary.xpos_score(q, k, [3, 4], scale_base=2.0)
    turned_q, turned_k = (rotary.rotate(x, [3, 4], pairing="interleaved") for x in (q, k))
    plain = turned_q[0, 1] @ turned_k[0, 0]
    np.testing.assert_allclose(score[0, 1, 0], plain * (0.4 / 1.4) ** 0.5)
    assert rotary.xpos_scale(64)[[0, 31]] == pytest.approx([0.285714, 0.977679], abs=1e-6)


def test_p_rope_keeps_the_fast_pairs():
    np.testing.assert_array_equal(rotary.frequencies(8, p=0.6), rotary.frequencies(8) * [1, 1, 0, 0])
    assert not rotary.frequencies(8, p=0).any()
    x = np.ones((2, 8))
    np.testing.assert_array_equal(rotary.rotate(x, [5, 9], pairing="half", p=0), x)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: bias.alibi_slopes(0), "n_head must be a whole number >= 1, got 0"),
        (lambda: bias.alibi([np.nan], 2), "distance must be finite"),
        (lambda: bias.t5_bucket([1], bidirectional=True, max_distance=8), "max_distance must be greater than 8"),
        (lambda: bias.t5_bucket([1], bidirectional=True, num_buckets=5), "num_buckets must be an even number >= 4"),
        (lambda: bias.kerple([1], [1.0], [0.0], form="log"), "r1 and r2 must be as many numbers > 0"),
        (lambda: bias.kerple([1], [1.0], [2.5], form="power"), "r2 of power at most 2"),
        (lambda: bias.kerple([1], [1.0], [1.0], form="exp"), "form must be one of log, power"),
        (lambda: bias.sandwich([1], 2, width=7), "width must be an even number >= 2, got 7"),
        (lambda: bias.fire([0], [], [], c=0.0, threshold=1.0), "c must be a finite number > 0"),
        (lambda: bias.shaw(np.ones((1, 1, 2)), [0.5], np.ones((3, 2))), "pos must be whole numbers, got 0.5"),
        (lambda: bias.cope(np.ones((1, 2)), np.ones((1, 1, 2)), np.ones((3, 2))), "q must have 3 axes"),
        (lambda: rotary.frequencies(8, p=-0.1), "p must be from 0 to 1, got -0.1"),
        (lambda: rotary.xpos_scale(7), "head_dim must be an even number"),
    ],
)
def test_bad_input(call, says):
    with pytest.raises(ValueError, match=says):
        call()
