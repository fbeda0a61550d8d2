"""Biases on attention scores: published values, closed forms, the limits of each, and bad input.

`test_encodings.py` holds them against their torch twins.
"""

import json
import math
from dataclasses import asdict, dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from pe_lib import bias, sinusoidal
from pe_lib.encodings.distance import T5, Alibi

FORMULAS = {"t5_bucket": bias.t5_bucket, "alibi_slopes": bias.alibi_slopes}
PUBLISHED = json.loads((Path(__file__).parent / "golden.json").read_text())
GOLDEN = [entry for entry in PUBLISHED if entry.get("formula") in FORMULAS]


@pytest.mark.parametrize("entry", GOLDEN, ids=lambda entry: entry["id"])
def test_golden(entry):
    about = ("id", "source", "formula", "tolerance", "values")
    arguments = {name: value for name, value in entry.items() if name not in about}
    result = FORMULAS[entry["formula"]](**arguments)
    np.testing.assert_allclose(result, entry["values"], rtol=0, atol=entry["tolerance"])


@pytest.mark.parametrize(
    ("n_head", "slopes"),
    [
        pytest.param(1, [2.0**-8], id="1"),
        pytest.param(3, [0.0625, 0.00390625, 0.25], id="3"),
        pytest.param(12, [2.0**-h for h in (1, 2, 3, 4, 5, 6, 7, 8, 0.5, 1.5, 2.5, 3.5)], id="12"),
    ],
)
def test_slopes_for_any_number_of_heads(n_head, slopes):
    np.testing.assert_allclose(bias.alibi_slopes(n_head), slopes, rtol=1e-15)


@pytest.mark.parametrize("n_head", range(1, 40))
def test_slopes_in_torch(n_head):
    np.testing.assert_allclose(Alibi(n_head).slope, bias.alibi_slopes(n_head), rtol=1e-14)


def test_alibi(rng):
    distance = rng.integers(-50, 50, (4, 6))
    got = bias.alibi(distance, 8)
    assert got.shape == (8, 4, 6)
    np.testing.assert_allclose(got[2], -np.abs(distance) / 8)
    np.testing.assert_allclose(got, bias.kerple(distance, bias.alibi_slopes(8), np.ones(8), form="power"))


@dataclass
class Setting:
    bidirectional: bool
    num_buckets: int
    max_distance: int


SETTINGS = {
    "both sides": Setting(True, 32, 128),
    "one side": Setting(False, 32, 128),
    "both sides, few": Setting(True, 8, 20),
    "one side, narrow": Setting(False, 16, 9),
    "one side, far": Setting(False, 4, 1000),
    "both sides, narrow": Setting(True, 32, 9),
    "where a float64 logarithm misses a boundary": Setting(False, 10, 160),
    "an odd number a side": Setting(True, 10, 30),
}


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)
def test_buckets_against_fractions(setting):
    """Bucket b of the far half holds the x with (max_distance / half) ** ((b - half) / half) <= x / half."""
    one_side = setting.num_buckets // 2 if setting.bidirectional else setting.num_buckets
    half = one_side // 2
    rest = one_side - half
    relative_positions = range(-300, 301)
    buckets = bias.t5_bucket(relative_positions, **asdict(setting))
    for relative, bucket in zip(relative_positions, buckets, strict=True):
        far = abs(relative) if setting.bidirectional else max(-relative, 0)
        first = one_side if setting.bidirectional and relative > 0 else 0
        if far < half:
            assert bucket == first + far
            continue
        ratio = Fraction(setting.max_distance, half)
        reached = [b for b in range(rest) if Fraction(far, half) ** rest >= ratio**b]
        assert bucket == first + half + max(reached)


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)
def test_buckets_in_torch(setting):
    encoding = T5(1, **asdict(setting), generator=torch.Generator().manual_seed(0))
    encoding.table.data = torch.arange(float(setting.num_buckets))[:, None]
    distance = np.arange(-2000, 2001)
    buckets = encoding.of_distance(torch.from_numpy(distance).double())[0].detach()
    np.testing.assert_array_equal(buckets, bias.t5_bucket(-distance, **asdict(setting)))


def test_fractions_of_a_distance_are_dropped():
    assert bias.t5_bucket([-7.9, -7.0, 0.9, 7.9], bidirectional=True).tolist() == [7, 7, 16, 23]
    assert bias.t5_bucket([-15.9, 0.9], bidirectional=False).tolist() == [15, 0]


def test_t5_takes_the_number_of_the_bucket(rng):
    table = rng.normal(size=(8, 3))
    distance = rng.integers(-40, 40, (4, 5))
    bucket = bias.t5_bucket(-distance, bidirectional=True, num_buckets=8, max_distance=30)
    expected = table[bucket].transpose(2, 0, 1)
    np.testing.assert_array_equal(bias.t5(distance, table, bidirectional=True, max_distance=30), expected)


def test_first_distance_of_each_bucket():
    buckets = bias.t5_bucket(-np.arange(200), bidirectional=False).tolist()
    firsts = [buckets.index(b) for b in range(16, 32)]
    assert firsts == [16, 19, 21, 24, 27, 31, 35, 40, 46, 52, 59, 67, 77, 87, 99, 113]


def test_kerple_and_sandwich():
    distance = np.array([0, 1, -1, 10, 1000])
    log = bias.kerple(distance, [2.0], [0.5], form="log")
    np.testing.assert_allclose(log[0], -2 * np.log([1, 1.5, 1.5, 6, 501]))
    np.testing.assert_allclose(bias.kerple(distance, [2.0], [0.5], form="power")[0], -2 * np.abs(distance) ** 0.5)
    steep = bias.kerple(distance, [1.0], [3.0], form="log")  # 2 is the limit of the power alone
    np.testing.assert_allclose(steep[0], -np.log1p(3 * np.abs(distance)))
    np.testing.assert_allclose(bias.kerple(distance, [1.0], [2.0], form="power")[0], -(distance**2.0))
    raw = bias.sandwich(np.array([0, 1, 2, 10, 100, 1000]), 8)
    assert raw.shape == (8, 6)
    published = [64, 62.0937, 57.3819, 42.8200, 30.5435, 10.1777]
    np.testing.assert_allclose(raw[0], published, atol=5e-5)  # 8 heads: nothing is divided in the first
    np.testing.assert_allclose(raw[7], np.array(published) / 8, atol=5e-5)
    np.testing.assert_allclose(bias.sandwich(3.0, 4, width=16, base=50.0)[1], sinusoidal.kernel(3.0, 16, 50.0) / 4)


def test_fire(rng):
    weight, shift, out = rng.normal(size=5), rng.normal(size=5), rng.normal(size=(5, 2))
    score = partial(bias.fire, weight=weight, shift=shift, out=out, c=0.3, threshold=10.0)
    near, far = np.arange(4.0), np.arange(100.0, 104)
    np.testing.assert_allclose(score(near), score(near + 6))
    relative = math.log1p(0.3 * 2) / math.log1p(0.3 * 103)
    by_hand = sum(max(relative * weight[j] + shift[j], 0) * out[j] for j in range(5))
    np.testing.assert_allclose(score(far)[:, 3, 1], by_hand)


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
    got = bias.deberta(q, k, pos, to_key, to_query, released=True)
    expected = q[1, 2] @ to_key[1, 3] + k[1, 1] @ to_query[1, 3]  # m - n = 1 for both
    np.testing.assert_allclose(got[1, 2, 1], expected / 12**0.5)


def test_deberta_as_released(rng):
    """The released code's own steps: gather on the rows of the keys by clip(n - m), then exchange the axes."""
    q, k = rng.normal(size=(2, 1, 6, 4))
    to_query, span = rng.normal(size=(1, 8, 4)), 4
    scored = k[0] @ to_query[0].T  # (s, row)
    relative = np.arange(6)[:, None] - np.arange(6)  # query minus key
    index = np.clip(-relative + span, 0, 2 * span - 1)
    expected = np.take_along_axis(scored, index, axis=1).T / 12**0.5
    got = bias.deberta(q, k, np.arange(6), np.zeros((1, 8, 4)), to_query, released=True)
    np.testing.assert_allclose(got[0], expected)


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


def test_cope_counts_from_the_query_back_with_gates_of_its_score():
    """One entry a head, so that a vector is a number: with q = 2 and tables 0, 1, 2 ... the result is 2 p."""
    q, k = np.full((1, 3, 1), 2.0), np.array([[[0.0], [1.0], [-1.0]]])
    low, half, high = 1 / (1 + math.exp(2)), 0.5, 1 / (1 + math.exp(-2))
    counts = [[half, 0, 0], [high + half, high, 0], [low + high + half, low + high, low]]
    np.testing.assert_allclose(bias.cope(q, k, np.arange(9.0)[:, None])[0], 2 * np.array(counts))
    wide = [np.repeat(x, 4, axis=-1) for x in (q, k)]  # q . k is four times as large, and divided by two
    gates = 1 / (1 + np.exp([0.0, -4.0, 4.0]))
    table = np.repeat(np.arange(9.0)[:, None], 4, axis=1)
    np.testing.assert_allclose(bias.cope(*wide, table)[0, 2, 2], 8 * gates[2])


# Sensitivity, limits and bad input


@dataclass
class Arguments:
    """Arguments that fit each other: 2 heads, 5 tokens, 4 entries a head."""

    q: np.ndarray
    k: np.ndarray
    u: np.ndarray
    v: np.ndarray
    weight: np.ndarray
    shaw_table: np.ndarray
    to_key: np.ndarray
    to_query: np.ndarray
    fire_weight: np.ndarray
    shift: np.ndarray
    out: np.ndarray


def arguments():
    rng = np.random.default_rng(5)
    q, k = rng.normal(size=(2, 2, 5, 4))
    u, v = rng.normal(size=(2, 2, 4))
    to_key, to_query = rng.normal(size=(2, 2, 6, 4))
    first, out = rng.normal(size=3), rng.normal(size=(3, 2))
    return Arguments(
        q, k, u, v, rng.normal(size=(2, 6, 4)), rng.normal(size=(7, 4)), to_key, to_query, first, np.ones(3), out
    )


GIVEN = arguments()
POS = np.arange(5)
FIRE = {"pos": POS, "weight": GIVEN.fire_weight, "shift": GIVEN.shift, "out": GIVEN.out, "c": 0.3, "threshold": 2.0}
SHAW = {"q": GIVEN.q, "pos": POS, "table": GIVEN.shaw_table}
XL = {"q": GIVEN.q, "k": GIVEN.k, "pos": POS, "weight": GIVEN.weight, "u": GIVEN.u, "v": GIVEN.v}
DEBERTA = {"q": GIVEN.q, "k": GIVEN.k, "pos": POS, "to_key": GIVEN.to_key, "to_query": GIVEN.to_query}
COPE = {"q": GIVEN.q, "k": GIVEN.k, "table": GIVEN.shaw_table}


@pytest.mark.parametrize(
    ("formula", "reference", "changes"),
    [
        pytest.param(
            bias.t5_bucket,
            {"relative_position": np.arange(-50, 50), "bidirectional": True},
            {"bidirectional": False, "num_buckets": 16, "max_distance": 60},
            id="t5_bucket",
        ),
        pytest.param(
            bias.t5,
            {"distance": np.arange(-50, 50), "table": np.arange(32.0)[:, None], "bidirectional": True},
            {"bidirectional": False, "max_distance": 60, "table": np.ones((32, 1))},
            id="t5",
        ),
        pytest.param(
            bias.kerple,
            {"distance": [3.0], "r1": [1.0], "r2": [0.5], "form": "log"},
            {"r1": [2.0], "r2": [0.6], "form": "power", "distance": [4.0]},
            id="kerple",
        ),
        pytest.param(bias.sandwich, {"distance": [3.0], "n_head": 1}, {"width": 64, "base": 500.0}, id="sandwich"),
        pytest.param(
            bias.fire,
            FIRE,
            {
                "pos": 2 * POS,
                "weight": 2 * GIVEN.fire_weight,
                "shift": 0 * GIVEN.shift,
                "out": -GIVEN.out,
                "c": 3.0,
                "threshold": 4.0,
            },
            id="fire",
        ),
        pytest.param(bias.shaw, SHAW, {"q": GIVEN.k, "pos": 2 * POS, "table": GIVEN.shaw_table[::-1]}, id="shaw"),
        pytest.param(
            bias.transformer_xl,
            XL,
            {
                "q": GIVEN.k,
                "k": GIVEN.q,
                "pos": 2 * POS,
                "weight": -GIVEN.weight,
                "u": GIVEN.v,
                "v": GIVEN.u,
                "base": 500.0,
            },
            id="transformer_xl",
        ),
        pytest.param(
            bias.deberta,
            DEBERTA,
            {"q": GIVEN.k, "k": GIVEN.q, "pos": 2 * POS, "to_key": GIVEN.to_query, "to_query": GIVEN.to_key},
            id="deberta",
        ),
        pytest.param(bias.cope, COPE, {"q": GIVEN.k, "k": GIVEN.q, "table": GIVEN.shaw_table[:2]}, id="cope"),
    ],
)
def test_every_parameter_matters(formula, reference, changes):
    expected = formula(**reference)
    for argument, value in changes.items():
        assert np.abs(formula(**reference | {argument: value}) - expected).max() > 1e-3, argument


@pytest.mark.parametrize(
    ("formula", "reference"),
    [
        pytest.param(bias.shaw, SHAW, id="shaw"),
        pytest.param(bias.transformer_xl, XL, id="transformer_xl"),
        pytest.param(bias.deberta, DEBERTA, id="deberta"),
    ],
)
def test_a_shift_of_all_positions_changes_nothing(formula, reference):
    np.testing.assert_allclose(formula(**reference | {"pos": POS + 30}), formula(**reference), rtol=0, atol=1e-12)


def test_one_row_is_enough():
    """Shaw at reach 0 and CoPE with one row have the same vector for every key."""
    expected = np.repeat(GIVEN.q @ GIVEN.shaw_table[0], 5).reshape(2, 5, 5)
    np.testing.assert_allclose(bias.shaw(GIVEN.q, POS, GIVEN.shaw_table[:1]), expected / 2)
    np.testing.assert_allclose(bias.cope(GIVEN.q, GIVEN.k, GIVEN.shaw_table[:1]), expected)


def test_distances_of_no_axis_and_of_three():
    assert bias.alibi(3, 4).shape == bias.sandwich(3, 4).shape == (4,)
    assert bias.kerple(np.ones((2, 1, 3)), [1.0, 2.0], [1.0, 1.0], form="log").shape == (2, 2, 1, 3)
    assert bias.t5(np.ones((2, 1, 3)), np.ones((8, 2)), bidirectional=True, max_distance=9).shape == (2, 2, 1, 3)


t5_bucket = partial(bias.t5_bucket, [1], bidirectional=True)


@pytest.mark.parametrize("far", [5e9, 1e19, 1e300])
def test_whole_positions_beyond_int64_are_clipped(far):
    """As a whole number 1e19 wraps, and the key far ahead would be far behind."""
    q, table = np.ones((1, 3, 2)), np.arange(10.0).reshape(5, 2)
    np.testing.assert_array_equal(bias.shaw(q, [0, 1, far], table), bias.shaw(q, [0, 1, 50], table))
    np.testing.assert_array_equal(bias.shaw(q, [-far, 1, far], table), bias.shaw(q, [-50, 1, 50], table))
    tables = np.arange(12.0).reshape(1, 6, 2), np.ones((1, 6, 2))
    np.testing.assert_array_equal(bias.deberta(q, q, [0, 1, far], *tables), bias.deberta(q, q, [0, 1, 50], *tables))


def test_buckets_of_a_far_distance_are_found_at_once():
    """The first distance of each bucket, by the formula in whole numbers."""
    most = 10**9
    starts = bias._t5_starts(16, most)
    for b, start in enumerate(starts[7:]):
        assert start**8 * 8**b >= most**b * 8**8 > (start - 1) ** 8 * 8**b


@pytest.mark.parametrize(
    ("call", "says"),
    [
        pytest.param(
            partial(bias.alibi_slopes, 0), "n_head must be a whole number from 1 to 10,000, got 0", id="alibi heads"
        ),
        pytest.param(partial(bias.alibi, [np.nan], 2), "distance must be finite", id="alibi distance"),
        pytest.param(
            partial(t5_bucket, max_distance=8),
            "max_distance must be greater than 8 where num_buckets = 32, got 8",
            id="t5 distance",
        ),
        pytest.param(
            partial(t5_bucket, num_buckets=5), "num_buckets must be an even number from 4 to 1,024", id="t5 buckets"
        ),
        pytest.param(partial(bias.t5, [1], np.ones(8), bidirectional=True), "table must have 2 axes", id="t5 table"),
        pytest.param(
            partial(bias.kerple, [1], [1.0], [0.0], form="log"),
            "r1 and r2 must be as many numbers > 0",
            id="kerple r2",
        ),
        pytest.param(
            partial(bias.kerple, [1], [0.0], [1.0], form="log"),
            "r1 and r2 must be as many numbers > 0",
            id="kerple r1",
        ),
        pytest.param(
            partial(bias.kerple, [1], [1.0], [1.0, 1.0], form="log"), "r1 and r2 must be as many", id="kerple heads"
        ),
        pytest.param(
            partial(bias.kerple, [1], [1.0], [2.5], form="power"), "r2 of power at most 2", id="kerple power"
        ),
        pytest.param(
            partial(bias.kerple, [1], [1.0], [1.0], form="exp"), "form must be one of log, power", id="kerple form"
        ),
        pytest.param(partial(bias.sandwich, [1], 0), "n_head must be a whole number >= 1", id="sandwich heads"),
        pytest.param(
            partial(bias.sandwich, [1], 2, width=7), "width must be an even number >= 2, got 7", id="sandwich width"
        ),
        pytest.param(partial(bias.fire, **FIRE | {"pos": [[0]]}), "pos must have 1 axes", id="fire pos"),
        pytest.param(partial(bias.fire, **FIRE | {"c": 0.0}), "c must be a finite number > 0", id="fire c"),
        pytest.param(
            partial(bias.fire, **FIRE | {"threshold": 0.0}),
            "threshold must be a finite number > 0",
            id="fire threshold",
        ),
        pytest.param(partial(bias.fire, **FIRE | {"weight": [[1.0]]}), "weight must have 1 axes", id="fire weight"),
        pytest.param(partial(bias.fire, **FIRE | {"shift": [1.0]}), "with hidden = 3, got", id="fire shift"),
        pytest.param(partial(bias.fire, **FIRE | {"out": np.ones((2, 2))}), "with hidden = 3, got", id="fire out"),
        pytest.param(
            partial(bias.shaw, **SHAW | {"pos": POS + 0.5}), "pos must be whole numbers, got 0.5", id="shaw pos"
        ),
        pytest.param(partial(bias.shaw, **SHAW | {"pos": POS[:4]}), "with t = 5, got", id="shaw positions"),
        pytest.param(
            partial(bias.shaw, **SHAW | {"table": GIVEN.shaw_table[:4]}),
            "table must have 2 reach \\+ 1 rows, an odd number, got 4",
            id="shaw even table",
        ),
        pytest.param(
            partial(bias.shaw, **SHAW | {"table": np.ones((3, 5))}),
            r"table must have the shape \(row, e\) with e = 4, got \(3, 5\)",
            id="shaw width",
        ),
        pytest.param(
            partial(bias.transformer_xl, **XL | {"k": GIVEN.k[:, :3]}), "q and k must have one shape", id="xl k"
        ),
        pytest.param(partial(bias.transformer_xl, **XL | {"pos": POS[:3]}), "pos must have the shape", id="xl pos"),
        pytest.param(
            partial(bias.transformer_xl, **XL | {"weight": np.ones((2, 6, 3))}),
            r"weight must have the shape \(h, d, e\) with e = 4, got \(2, 6, 3\)",
            id="xl weight",
        ),
        pytest.param(
            partial(bias.transformer_xl, **XL | {"u": np.ones((1, 4))}),
            r"u must have the shape \(h, e\) with h = 2, got \(1, 4\)",
            id="xl u",
        ),
        pytest.param(
            partial(bias.transformer_xl, **XL | {"v": np.ones((2, 1))}),
            r"v must have the shape \(h, e\) with e = 4, got \(2, 1\)",
            id="xl v",
        ),
        pytest.param(
            partial(bias.deberta, **DEBERTA | {"k": GIVEN.k[:1]}), "q and k must have one shape", id="deberta k"
        ),
        pytest.param(partial(bias.deberta, **DEBERTA | {"pos": POS / 2}), "pos must be whole", id="deberta pos"),
        pytest.param(
            partial(bias.deberta, **DEBERTA | {"to_key": np.ones((2, 5, 4))}),
            "to_key must have 2 reach rows, an even number > 0, got 5",
            id="deberta odd rows",
        ),
        pytest.param(
            partial(bias.deberta, **DEBERTA | {"to_key": np.ones((2, 0, 4))}),
            "to_key must have 2 reach rows, an even number > 0, got 0",
            id="deberta no rows",
        ),
        pytest.param(
            partial(bias.deberta, **DEBERTA | {"to_key": np.ones((1, 6, 4))}),
            r"to_key must have the shape \(h, row, e\) with h = 2",
            id="deberta to_key",
        ),
        pytest.param(
            partial(bias.deberta, **DEBERTA | {"to_query": np.ones((2, 4, 4))}),
            r"to_query must have the shape \(h, row, e\) with row = 6, got \(2, 4, 4\)",
            id="deberta to_query",
        ),
        pytest.param(partial(bias.cope, **COPE | {"q": GIVEN.q[0]}), "q must have 3 axes", id="cope q"),
        pytest.param(
            partial(bias.cope, **COPE | {"k": GIVEN.k[..., :2]}), "q and k must have one shape", id="cope k"
        ),
        pytest.param(
            partial(bias.cope, **COPE | {"table": np.ones((3, 2))}),
            r"table must have the shape \(row, e\) with e = 4, got \(3, 2\)",
            id="cope width",
        ),
        pytest.param(
            partial(bias.cope, **COPE | {"table": np.ones((0, 4))}),
            "table must have at least one row",
            id="cope rows",
        ),
    ],
)
def test_bad_input(call, says):
    with pytest.raises(ValueError, match=says):
        call()
