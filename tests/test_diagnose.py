"""Diagnose: every known-bad variant is accused of what is wrong with it, and of nothing else; nothing right is.

The variants are written as they are met: functions of a length, functions of positions, modules, classes.
"""

import math

import numpy as np
import pytest
import torch
from torch import nn

from pe_lib.controls import control
from pe_lib.conventions import CONVENTIONS, Convention, GridConvention
from pe_lib.encodings import Learned, Sinusoidal
from pe_lib.identify import FIXES, diagnose
from pe_lib.identify.probe import probe
from pe_lib.sinusoidal import READINGS, misread, sinusoidal


def names(*arguments, **options):
    return [finding.name for finding in diagnose(*arguments, **options)]


# What is right


@pytest.mark.parametrize("name", CONVENTIONS)
def test_no_convention_is_accused(name):
    one = CONVENTIONS[name]
    if isinstance(one, GridConvention):
        assert names(one.table((6, 7), 64)) == []
        return
    assert names(one.table(300, 64)) == [] and names(one.table) == []
    for kind in (torch.float32, torch.bfloat16):  # rounded at the end: no harm
        assert names(torch.from_numpy(one.table(300, 64)).to(kind)) == []


@pytest.mark.parametrize("base", [100.0, 500_000.0])
def test_another_base_is_no_fault(base):
    assert names(lambda n, d: sinusoidal(np.arange(n), d, base)) == []


def of_positions(pos, d_model):
    return sinusoidal(pos, d_model)


class Right(nn.Module):
    """Added to embeddings, batch first; the table is made for each call, in float64."""

    def __init__(self, d_model):
        super().__init__()
        self.encoding = Sinusoidal(d_model)

    def forward(self, x, offset=0):
        return self.encoding.embed(x, offset + torch.arange(x.shape[1]).double())


@pytest.mark.parametrize("right", [sinusoidal, of_positions, lambda pos: sinusoidal(pos, 32), Right(32), Right])
def test_nothing_right_is_accused(right):
    found = diagnose(right, 32)
    assert [finding for finding in found if finding.name != "odd_width"] == [] and (right is Right or not found)


# What is wrong: name -> (what makes it, the findings)


def waves(omega, n, start=0):
    """Interleaved, as most code has it."""
    angle = torch.arange(start, start + n)[:, None] * omega
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(-2)


def power(d, kind=torch.float32):
    return 1 / 10_000 ** (torch.arange(0, d, 2).to(kind) / d)


def logarithm(d):
    return torch.exp(torch.arange(0, d, 2).float() * (-math.log(10_000.0) / d))


def float64(n, d, base=10_000.0, start=0):
    return torch.from_numpy(sinusoidal(np.arange(start, start + n), d + d % 2, base))[:, :d]


class Table(nn.Module):
    """What most tutorials have: a table of 600 rows; ``sequence`` is the axis of x that it takes for time."""

    def __init__(self, d_model, sequence=1):
        super().__init__()
        self.sequence = sequence
        self.register_buffer("pe", float64(600, d_model).float())

    def forward(self, x):
        rows = self.pe[: x.size(self.sequence)]
        return x + (rows if self.sequence == 1 else rows[:, None])


class InPlace(Table):
    def forward(self, x):
        x += self.pe[: x.size(1)]
        return x


class KeepsDtype(nn.Module):
    def __init__(self, d_model):
        super().__init__()
        self.d_model, self.kept = d_model, {}

    def forward(self, x):
        n = x.shape[1]
        if n not in self.kept:
            self.kept[n] = float64(n, self.d_model).to(x.dtype)
        return x + self.kept[n]


class KeepsOffset(nn.Module):
    def __init__(self, d_model):
        super().__init__()
        self.d_model, self.kept = d_model, {}

    def forward(self, x, offset=0):
        n = x.shape[1]
        if n not in self.kept:
            self.kept[n] = float64(n, self.d_model, start=offset).to(x)
        return x + self.kept[n]


def keeps(key, copy=True):
    kept = {}

    def encode(n, d, base=10_000.0):
        if key(n, d, base) not in kept:
            kept[key(n, d, base)] = float64(n, d, base)
        return kept[key(n, d, base)].clone() if copy else kept[key(n, d, base)]

    return encode


def ignores_base(n, d, base=10_000.0):
    return float64(n, d)


def tensor2tensor(n, d, guard=1, min_timescale=1.0):
    pairs = d // 2
    step = np.log(10_000 / min_timescale) / np.maximum(pairs - 1.0, guard)
    angle = np.arange(n)[:, None] * min_timescale * np.exp(-np.arange(pairs) * step)
    return np.pad(np.concatenate([np.sin(angle), np.cos(angle)], axis=1), ((0, 0), (0, d % 2)))


def crash(n, d):
    table, both = torch.zeros(n, d), waves(power(d, torch.float64), n)
    table[:, 0::2], table[:, 1::2] = both[:, 0::2], both[:, 1::2]  # the shapes differ where d is odd
    return table


def limited(n, d):
    if n > 700:
        raise IndexError("index out of range in self")
    return float64(n, d)


BAD = {
    "i read as the column": (lambda n, d: misread(np.arange(n), d, reading="column"), ["column"]),
    "i doubled": (lambda n, d: misread(np.arange(n), d, reading="doubled"), ["doubled"]),
    "each column its own frequency": (lambda n, d: misread(np.arange(n), d, reading="unpaired"), ["unpaired"]),
    "sine and cosine swapped": (
        lambda n, d: float64(n, d + d % 2).reshape(n, -1, 2).flip(-1).reshape(n, -1)[:, :d], ["swapped"]
    ),
    "annotated-transformer 131": (lambda n, d: control("divided", n, d, n, np.random.default_rng(0)), ["multiplied"]),
    "LoFTR 41": (
        lambda n, d: waves(torch.exp(torch.arange(0, d, 2).double() * (-math.log(10_000.0) / d // 2)), n)[:, :d],
        ["precedence"],
    ),
    "tensor2tensor 1923": (lambda n, d: tensor2tensor(n, d, min_timescale=2.0), ["step"]),
    "positions from 1": (lambda n, d: float64(n, d, start=1), ["offset"]),
}  # fmt: skip


def low(kind, positions=True, rates=True):
    """Positions, frequencies and their product rounded to ``kind``; what is returned is float32."""

    def encode(n, d):
        pos, omega = torch.arange(n).float()[:, None], power(d)
        pos, omega = (pos.to(kind) if positions else pos), (omega.to(kind) if rates else omega)
        angle = (pos * omega).float()
        return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(-2)[:, :d]

    return encode


BAD |= {
    "everything in bfloat16": (low(torch.bfloat16), ["precision"]),
    "everything in float16": (low(torch.float16), ["precision"]),
    "positions in bfloat16": (low(torch.bfloat16, rates=False), ["precision"]),
    "frequencies in bfloat16": (low(torch.bfloat16, positions=False), ["precision"]),
    "angles in float32": (low(torch.float32), ["precision"]),
    "frequencies by exp(log) in float32": (lambda n, d: waves(logarithm(d), n)[:, :d], ["precision", "log_space"]),
    "batch axis for time": (Table(32, sequence=0), ["length_limit", "batch_axis"]),
    "600 rows": (Table(32), ["length_limit"]),
    "700 rows": (limited, ["length_limit"]),
    "input changed": (InPlace(32), ["length_limit", "input_changed"]),
    "cache without dtype": (KeepsDtype(32), ["cache"]),
    "cache without dtype, a class": (KeepsDtype, ["cache"]),
    "cache without offset": (KeepsOffset(32), ["cache", "cache"]),  # nor dtype
    "cache without base": (keeps(lambda n, d, base: (n, d)), ["cache"]),
    "base ignored": (ignores_base, ["ignored"]),
    "its own store": (keeps(lambda n, d, base: (n, d, base), copy=False), ["shared_state"]),
    "crash at odd widths": (crash, ["odd_width"]),
    "a column more at odd widths": (lambda n, d: sinusoidal(np.arange(n), d + d % 2), ["odd_width"]),
    "positions into 600 rows": (lambda pos: sinusoidal(np.arange(600), 32)[pos], ["length_limit"]),
    "something else from row 1000 on": (
        lambda n, d: np.where(np.arange(n)[:, None] < 1000, float64(n, d), np.ones((n, d))), ["departs"]
    ),
    "NaN at width 2": (lambda n, d: tensor2tensor(n, d, guard=0), ["small_width"]),
    "NaN": (lambda n, d: sinusoidal(np.arange(n), d + d % 2)[:, :d] / (np.arange(n) != 9)[:, None], ["not_finite"]),
    "divided by the length": (
        lambda n, d: sinusoidal(30 * np.arange(n) / n, d + d % 2)[:, :d], ["step", "depends_on_length"]
    ),
    "random": (lambda n, d: np.random.default_rng(0).normal(size=(n, d)), ["unknown"]),
}  # fmt: skip


@pytest.mark.parametrize("bad", BAD)
def test_every_bad_variant_is_accused_of_what_is_wrong(bad):
    encode, expected = BAD[bad]
    findings = diagnose(encode)
    assert sorted(finding.name for finding in findings) == sorted(expected), "\n".join(map(str, findings))
    for finding in findings:
        assert finding.says and finding.evidence and finding.fix == FIXES[finding.name]
        assert str(finding).startswith(finding.name)


def test_every_finding_has_a_bad_variant():
    assert {name for _, expected in BAD.values() for name in expected} == set(FIXES)


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("base", [10_000.0, 500.0])
@pytest.mark.parametrize("d_model", [8, 64, 512])
def test_misreadings_are_known_from_a_table(reading, base, d_model):
    assert names(misread(np.arange(64), d_model, base, reading=reading), base=base) == [reading]


def test_a_misreading_with_another_base_leaves_two_names():
    """Column with base b is unpaired with base b squared: the values cannot tell."""
    (finding,) = diagnose(misread(np.arange(64), 32, 500.0, reading="column"))
    assert finding.name == "unpaired" and "2j/d: i is read as the column" in finding.says


def in_bfloat16(n, d):
    return low(torch.bfloat16, rates=False)(n, d).bfloat16()


@pytest.mark.parametrize("encode, first", [
    (in_bfloat16, 257),  # the entries are rounded too, which is no fault
    (low(torch.bfloat16, rates=False), 257),  # 257 is no bfloat16
    (low(torch.float16, rates=False), 2049),
])  # fmt: skip
def test_the_first_wrong_position_is_named(encode, first):
    (finding,) = diagnose(encode)
    assert f"from position {first} on" in finding.says and "that rounding, done here" in finding.evidence


def test_the_tolerance_is_the_callers():
    encode = low(torch.float32)
    firsts = []
    for tolerance in (1e-4, 1e-3):
        (finding,) = diagnose(encode, tolerance=tolerance)
        firsts.append(int(finding.says.split("from position ")[1].split()[0]))
        assert finding.says.startswith("angles in float32") and f"more than {tolerance:g}" in finding.says
    table, exact = encode(firsts[1] + 1, 64).double().numpy(), sinusoidal(np.arange(firsts[1] + 1), 64)
    wrong = np.abs(table - exact).max(axis=1)
    assert [int(np.flatnonzero(wrong > one)[0]) for one in (1e-4, 1e-3)] == firsts
    assert names(encode, tolerance=0.1) == []


def test_what_is_looked_at():
    """Rows far away, row 0 at -1, misreadings from position 1, each small width, odd widths, the way of the power."""
    far = diagnose(lambda pos, d: sinusoidal(np.where(pos > 100_000, 0, pos), d))
    assert [finding.name for finding in far] == ["departs"] and "from position 129024" in far[0].says
    assert names(lambda n, d: float64(n, d, start=-1)) == ["offset"]
    assert names(misread(np.arange(1, 65), 64, reading="column")) == ["column"]
    assert names(misread(np.arange(64), 4, reading="column")) == ["column"]
    for width in (3, 4, 6):
        assert names(lambda n, d, bad=width: float64(n, d) * (np.nan if d == bad else 1)) == ["small_width"]
    by_power = 1 / 5e5 ** (torch.arange(0, 34, 2).float() / 34)
    assert "log_space" not in names(lambda n: waves(by_power, n))  # its errors are as large, but others
    assert names(np.zeros((30, 16))) == names(sinusoidal([0, 1], 64)) == ["unknown"]


def test_a_learned_table_is_not_taken_for_a_sinusoid():
    learned = Learned(16, 64, generator=torch.Generator().manual_seed(0))
    assert names(learned.table) == ["unknown"]


def test_modules_keep_their_state():
    module = nn.Sequential(Right(32), nn.Dropout(0.5)).train()
    assert names(module, 32) == [] and module.training
    table, stored = Table(32), float64(600, 32).float()
    assert "length_limit" in names(table) and torch.equal(table.pe, stored)
    kept = sinusoidal(np.arange(30_000), 32)
    assert names(lambda n: kept[:n]) == ["shared_state"] and kept[3, 1] != 7
    assert names(Convention(scale=3.0, offset=5.0).table) == []


@pytest.mark.parametrize(
    "encode, options, says",
    [
        (lambda x: "no", {}, "encode gives no table .* in any known way; give d_model, or wrap it"),
        (math.sqrt, {}, "encode gives no table"),
        (np.ones((3, 4, 5)), {}, "table must be"),
        (sinusoidal, {"d_model": 0}, "d_model must be a whole number >= 2, got 0"),
        (sinusoidal, {"base": 1.0}, "base must be a finite number > 1"),
        (sinusoidal, {"tolerance": 0.0}, "tolerance must be a finite number > 0"),
    ],
)
def test_bad_input(encode, options, says):
    with pytest.raises(ValueError, match=says):
        diagnose(encode, **options)


def test_ways_of_calling():
    how = {
        "f(length, width)": lambda n, d: sinusoidal(range(n), d),
        "f(positions, width)": of_positions,
        "f(length)": lambda n: sinusoidal(range(n), 20),
        "f(positions)": lambda pos, base=10_000.0: sinusoidal(pos, 20, base),  # the base is no width
        "f(x), batch first": lambda x: x + sinusoidal(np.arange(x.shape[1]), x.shape[2]),
        "f(x), sequence first": Table(32, sequence=0),
    }
    for expected, encode in how.items():
        found = probe(encode)
        assert found.way.name == expected and found.answer(17).unwrap().shape == (17, found.d_model)
        np.testing.assert_allclose(found.answer(17).unwrap(), sinusoidal(np.arange(17), found.d_model), atol=1e-6)
