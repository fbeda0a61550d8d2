"""Diagnose: every known-bad variant is accused of what is wrong with it, and of nothing else; nothing right is.

The variants are written as they are met: functions of a length, functions of positions, modules, classes.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

from pe_lib.controls import control
from pe_lib.conventions import CONVENTIONS, Convention, GridConvention
from pe_lib.encodings import Learned, Sinusoidal
from pe_lib.identify import FIXES, diagnose
from pe_lib.sinusoidal import READINGS, misread, sinusoidal

pytestmark = pytest.mark.slow  # `make quick` has the findings one by one, in test_findings.py


def names(*arguments, **options):
    return [finding.name for finding in diagnose(*arguments, **options)]


# What is right


@pytest.mark.parametrize("name", CONVENTIONS)
def test_no_convention_is_accused(name):
    convention = CONVENTIONS[name]
    if isinstance(convention, GridConvention):
        assert names(convention.table((6, 7), 64)) == []
        return
    table = convention.table(300, 64)
    assert names(table) == [] and names(convention.table) == []
    for kind in (torch.float32, torch.bfloat16):  # rounded at the end: no harm
        assert names(torch.from_numpy(table).to(kind)) == []


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


def of_positions_alone(pos):
    return sinusoidal(pos, 32)


RIGHT = {
    "the formula": sinusoidal,
    "of positions and width": of_positions,
    "of positions": of_positions_alone,
    "a module": Right(32),
    "a class": Right,
}


@pytest.mark.parametrize("right", RIGHT.values(), ids=RIGHT)
def test_nothing_right_is_accused(right):
    findings = diagnose(right, 32)
    assert [finding for finding in findings if finding.name != "odd_width"] == [] and (right is Right or not findings)


# What is wrong: each variant is registered with the findings that it must get, in their order


@dataclass(frozen=True)
class Bad:
    encode: Callable
    findings: list[str]


BAD: dict[str, Bad] = {}


def bad(variant, findings):
    """Registers a function, under the name of what is wrong with it."""

    def register(encode):
        BAD[variant] = Bad(encode, findings.split())
        return encode

    return register


def waves(omega, n, start=0):
    """Interleaved, as most code has it."""
    angle = torch.arange(start, start + n)[:, None] * omega
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(-2)


def power(d, kind=torch.float32):
    return 1 / 10_000 ** (torch.arange(0, d, 2).to(kind) / d)


def float64(n, d, base=10_000.0, start=0):
    """What is right, also at odd widths."""
    return torch.from_numpy(sinusoidal(np.arange(start, start + n), d + d % 2, base))[:, :d]


# The formula misread


@bad("i read as the column", "column")
def column(n, d):
    return misread(np.arange(n), d, reading="column")


@bad("i doubled", "doubled")
def doubled(n, d):
    return misread(np.arange(n), d, reading="doubled")


@bad("each column its own frequency", "unpaired")
def unpaired(n, d):
    return misread(np.arange(n), d, reading="unpaired")


@bad("sine and cosine swapped", "swapped")
def swapped(n, d):
    pairs = float64(n, d + d % 2).reshape(n, -1, 2)
    return pairs.flip(-1).reshape(n, -1)[:, :d]


@bad("annotated-transformer 131", "multiplied")
def multiplied(n, d):
    return control("divided", n, d, n, np.random.default_rng(0))


@bad("LoFTR 41", "precedence")
def precedence(n, d):
    return waves(torch.exp(torch.arange(0, d, 2).double() * (-math.log(10_000.0) / d // 2)), n)[:, :d]


def tensor2tensor(n, d, guard=1, min_timescale=1.0):
    pairs = d // 2
    step = np.log(10_000 / min_timescale) / np.maximum(pairs - 1.0, guard)
    angle = np.arange(n)[:, None] * min_timescale * np.exp(-np.arange(pairs) * step)
    return np.pad(np.concatenate([np.sin(angle), np.cos(angle)], axis=1), ((0, 0), (0, d % 2)))


@bad("tensor2tensor 1923", "step")
def timescale(n, d):
    return tensor2tensor(n, d, min_timescale=2.0)


@bad("NaN at width 2", "small_width")
def unguarded(n, d):
    return tensor2tensor(n, d, guard=0)


@bad("positions from 1", "offset")
def from_1(n, d):
    return float64(n, d, start=1)


@bad("divided by the length", "step depends_on_length")
def divided(n, d):
    return sinusoidal(30 * np.arange(n) / n, d + d % 2)[:, :d]


# Angles that lose their digits


def rounded_to(kind, positions=True, rates=True):
    """Positions, frequencies and their product rounded to ``kind``; what is returned is float32."""

    def encode(n, d):
        pos, omega = torch.arange(n).float()[:, None], power(d)
        if positions:
            pos = pos.to(kind)
        if rates:
            omega = omega.to(kind)
        angle = (pos * omega).float()
        return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(-2)[:, :d]

    return encode


BAD["everything in bfloat16"] = Bad(rounded_to(torch.bfloat16), ["precision"])
BAD["everything in float16"] = Bad(rounded_to(torch.float16), ["precision"])
BAD["positions in bfloat16"] = Bad(rounded_to(torch.bfloat16, rates=False), ["precision"])
BAD["frequencies in bfloat16"] = Bad(rounded_to(torch.bfloat16, positions=False), ["precision"])
BAD["angles in float32"] = Bad(rounded_to(torch.float32), ["precision"])


@bad("frequencies by exp(log) in float32", "precision log_space")
def logarithm(n, d):
    omega = torch.exp(torch.arange(0, d, 2).float() * (-math.log(10_000.0) / d))
    return waves(omega, n)[:, :d]


# Modules


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
        self.d_model, self.tables = d_model, {}

    def forward(self, x):
        n = x.shape[1]
        if n not in self.tables:
            self.tables[n] = float64(n, self.d_model).to(x.dtype)
        return x + self.tables[n]


class KeepsOffset(nn.Module):
    def __init__(self, d_model):
        super().__init__()
        self.d_model, self.tables = d_model, {}

    def forward(self, x, offset=0):
        n = x.shape[1]
        if n not in self.tables:
            self.tables[n] = float64(n, self.d_model, start=offset).to(x)
        return x + self.tables[n]


BAD["batch axis for time"] = Bad(Table(32, sequence=0), ["length_limit", "batch_axis"])
BAD["600 rows"] = Bad(Table(32), ["length_limit"])
BAD["input changed"] = Bad(InPlace(32), ["length_limit", "input_changed"])
BAD["cache without dtype"] = Bad(KeepsDtype(32), ["cache"])
BAD["cache without dtype, a class"] = Bad(KeepsDtype, ["cache"])
BAD["cache without offset"] = Bad(KeepsOffset(32), ["cache", "cache"])  # nor dtype


# Functions that remember, ignore, or fail


def key_without_base(n, d, base):
    return n, d


def whole_key(n, d, base):
    return n, d, base


def keeps(key, copy=True):
    tables = {}

    def encode(n, d, base=10_000.0):
        if key(n, d, base) not in tables:
            tables[key(n, d, base)] = float64(n, d, base)
        return tables[key(n, d, base)].clone() if copy else tables[key(n, d, base)]

    return encode


BAD["cache without base"] = Bad(keeps(key_without_base), ["cache"])
BAD["its own store"] = Bad(keeps(whole_key, copy=False), ["shared_state"])


@bad("base ignored", "ignored")
def ignores_base(n, d, base=10_000.0):
    return float64(n, d)


@bad("700 rows", "length_limit")
def limited(n, d):
    if n > 700:
        raise IndexError("index out of range in self")
    return float64(n, d)


@bad("positions into 600 rows", "length_limit")
def looked_up(pos):
    return sinusoidal(np.arange(600), 32)[pos]


@bad("25 rows", "length_limit")
def few(n, d):
    if n > 25:
        raise IndexError("index out of range in self")
    return float64(n, d)


@bad("crash at odd widths", "odd_width")
def crash(n, d):
    table, both = torch.zeros(n, d), waves(power(d, torch.float64), n)
    table[:, 0::2], table[:, 1::2] = both[:, 0::2], both[:, 1::2]  # the shapes differ where d is odd
    return table


@bad("a column more at odd widths", "odd_width")
def wider(n, d):
    return sinusoidal(np.arange(n), d + d % 2)


# Rows that are something else


@bad("something else from row 1000 on", "departs")
def departs(n, d):
    return np.where(np.arange(n)[:, None] < 1000, float64(n, d), np.ones((n, d)))


@bad("NaN", "not_finite")
def not_finite(n, d):
    return sinusoidal(np.arange(n), d + d % 2)[:, :d] / (np.arange(n) != 9)[:, None]


@bad("random", "unknown")
def random(n, d):
    return np.random.default_rng(0).normal(size=(n, d))


SLOW = {"everything in bfloat16", "everything in float16", "frequencies in bfloat16"}
VARIANTS = [pytest.param(variant, marks=pytest.mark.slow if variant in SLOW else ()) for variant in BAD]


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_bad_variant_is_accused_of_what_is_wrong(variant):
    findings = diagnose(BAD[variant].encode)
    assert [finding.name for finding in findings] == BAD[variant].findings, "\n".join(map(str, findings))
    for finding in findings:
        assert finding.says and finding.evidence and finding.fix == FIXES[finding.name]
        assert str(finding).startswith(finding.name)


def test_every_finding_has_a_bad_variant():
    assert {name for variant in BAD.values() for name in variant.findings} == set(FIXES)


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("base", [10_000.0, 500.0])
@pytest.mark.parametrize("d_model", [8, 64, pytest.param(512, marks=pytest.mark.slow)])
def test_misreadings_are_known_from_a_table(reading, base, d_model):
    assert names(misread(np.arange(64), d_model, base, reading=reading), base=base) == [reading]


def test_a_misreading_with_another_base_leaves_two_names():
    """Column with base b is unpaired with base b squared: the values cannot tell."""
    (finding,) = diagnose(misread(np.arange(64), 32, 500.0, reading="column"))
    assert finding.name == "unpaired" and "2j/d: i is read as the column" in finding.says


def in_bfloat16(n, d):
    return rounded_to(torch.bfloat16, rates=False)(n, d).bfloat16()


@pytest.mark.parametrize(
    "encode, first",
    [
        pytest.param(in_bfloat16, 257, id="entries in bfloat16 too"),  # which is no fault
        pytest.param(rounded_to(torch.bfloat16, rates=False), 257, id="bfloat16"),  # 257 is none
        pytest.param(rounded_to(torch.float16, rates=False), 2049, id="float16"),
    ],
)
def test_the_first_wrong_position_is_named(encode, first):
    (finding,) = diagnose(encode)
    assert f"from position {first} on" in finding.says and "that rounding, done here" in finding.evidence


def test_the_tolerance_is_the_callers():
    encode = rounded_to(torch.float32)
    firsts = []
    for tolerance in (1e-4, 1e-3):
        (finding,) = diagnose(encode, tolerance=tolerance)
        firsts.append(int(finding.says.split("from position ")[1].split()[0]))
        assert finding.says.startswith("angles in float32") and f"more than {tolerance:g}" in finding.says
    table, exact = encode(firsts[1] + 1, 64).double().numpy(), sinusoidal(np.arange(firsts[1] + 1), 64)
    wrong = np.abs(table - exact).max(axis=1)
    assert [int(np.flatnonzero(wrong > tolerance)[0]) for tolerance in (1e-4, 1e-3)] == firsts
    assert names(encode, tolerance=0.1) == []


def test_rows_far_away_are_looked_at():
    (finding,) = diagnose(lambda pos, d: sinusoidal(np.where(pos > 100_000, 0, pos), d))
    assert finding.name == "departs" and "from position 129024" in finding.says


def test_positions_from_elsewhere_are_looked_at():
    assert names(lambda n, d: float64(n, d, start=-1)) == ["offset"]
    assert names(misread(np.arange(1, 65), 64, reading="column")) == ["column"]


@pytest.mark.parametrize("width", [3, 4, 6])
def test_each_small_width_is_looked_at(width):
    assert names(lambda n, d: float64(n, d) * (np.nan if d == width else 1)) == ["small_width"]


def test_the_power_is_not_the_way_of_the_logarithm():
    """Its errors are as large, but others."""
    by_power = 1 / 5e5 ** (torch.arange(0, 34, 2).float() / 34)
    assert "log_space" not in names(lambda n: waves(by_power, n))


def test_small_tables():
    assert names(misread(np.arange(64), 4, reading="column")) == ["column"]
    assert names(np.zeros((30, 16))) == names(sinusoidal([0, 1], 64)) == ["unknown"]


def test_a_learned_table_is_not_taken_for_a_sinusoid():
    learned = Learned(16, 64, generator=torch.Generator().manual_seed(0))
    assert names(learned.table) == ["unknown"]


def test_modules_keep_their_state():
    module = nn.Sequential(Right(32), nn.Dropout(0.5)).train()
    assert names(module, 32) == [] and module.training
    table, stored = Table(32), float64(600, 32).float()
    assert "length_limit" in names(table) and torch.equal(table.pe, stored)
    tables = sinusoidal(np.arange(30_000), 32)
    assert names(lambda n: tables[:n]) == ["shared_state"] and tables[3, 1] != 7
    assert names(Convention(scale=3.0, offset=5.0).table) == []


def test_an_option_called_start():
    """As an argument of the probe itself."""
    assert names(lambda n, d, start=0: float64(n, d, start=start)) == []
    assert names(lambda n, d, start=0: float64(n, d)) == ["ignored"]


def says_no(x):
    return "no"


@pytest.mark.parametrize(
    "encode, options, says",
    [
        pytest.param(
            says_no, {}, "encode gives no table .* in any known way: .*; give d_model, or wrap it", id="words"
        ),
        pytest.param(math.sqrt, {}, "encode gives no table", id="number"),
        pytest.param(np.ones((3, 4, 5)), {}, "table must be", id="three axes"),
        pytest.param(
            sinusoidal, {"d_model": 0}, "d_model must be a whole number from 2 to 16,384, got 0", id="width"
        ),
        pytest.param(sinusoidal, {"base": 1.0}, "base must be a finite number > 1", id="base"),
        pytest.param(sinusoidal, {"tolerance": 0.0}, "tolerance must be a finite number > 0", id="tolerance"),
    ],
)
def test_bad_input(encode, options, says):
    with pytest.raises(ValueError, match=says):
        diagnose(encode, **options)
