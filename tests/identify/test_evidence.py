"""Evidence: what is asked of an encoding, in which order, and that every answer, an error too, is kept."""

import numpy as np
import pytest
import torch
from torch import nn

from pe_lib.conventions import CONVENTIONS, Convention
from pe_lib.identify.evidence import FAR, FAR_ROWS, LONGEST, LONGEST_WIDE, SAMPLE, Evidence, gather, is_table
from pe_lib.sinusoidal import misread, sinusoidal


def test_a_table_is_all_there_is():
    table = sinusoidal(np.arange(30), 16)
    evidence = gather(torch.from_numpy(table), base=500.0, tolerance=0.1)
    np.testing.assert_array_equal(evidence.rows, table)
    np.testing.assert_array_equal(evidence.sample.unwrap(), table)
    assert (evidence.base, evidence.tolerance) == (500, 0.1)
    asked = (evidence.limit, evidence.far, evidence.dtypes, evidence.input_after, evidence.short, evidence.long)
    assert asked == (None,) * 6 and evidence.options == evidence.widths == () and evidence.overwritten is None


def test_what_is_a_table():
    assert is_table(np.ones((2, 2))) and is_table([[1.0]]) and is_table(nn.Parameter(torch.ones(2, 2)))
    assert not is_table(sinusoidal) and not is_table(nn.Identity()) and not is_table(nn.Identity)


def limited(limit):
    def encode(n, d):
        if n > limit:
            raise IndexError(f"no row {n}")
        return sinusoidal(range(n), d)

    return encode


@pytest.mark.parametrize("limit", [23, 24, 700, 23_999])
def test_limits_are_found_to_the_token(limit):
    evidence = gather(limited(limit))
    assert (evidence.limit.tokens, evidence.limit.fails_at, len(evidence.rows)) == (limit, limit + 1, limit)
    assert str(evidence.limit.error) == f"no row {limit + 1}"
    assert evidence.sample.ok == (limit >= SAMPLE) and evidence.long.ok == (limit >= 31)


@pytest.mark.parametrize("limit, n", [(4, 4), (16, 16), (100, 100), (SAMPLE, SAMPLE), (700, SAMPLE)])
def test_what_is_named_are_the_rows_that_there_are(limit, n):
    evidence = gather(limited(limit))
    np.testing.assert_array_equal(evidence.named, sinusoidal(np.arange(n), 64))
    assert evidence.limit.tokens == limit


def test_widths_of_an_encoding_of_few_tokens():
    """They are asked for no more tokens than it has."""
    assert [answer.ok for _, answer in gather(limited(16), 16).widths] == [True, False, True, True, False]


def test_rows_that_are_not_there_are_a_limit():
    evidence = gather(lambda n: sinusoidal(range(min(n, 100)), 16))
    assert evidence.limit.tokens == len(evidence.named) == 100
    assert str(evidence.limit.error) == "it gives shape (100, 16) for 101 tokens"


@pytest.mark.parametrize("d_model, longest", [(128, LONGEST), (130, LONGEST_WIDE)])
def test_how_long_it_is_looked_at(d_model, longest):
    lengths = []

    def encode(n):
        lengths.append(n)
        return np.ones((n, d_model))

    evidence = gather(encode)
    assert max(lengths) == longest and evidence.rows.shape == (longest, d_model) and evidence.limit is None


def test_rows_far_away():
    evidence = gather(lambda pos: sinusoidal(pos, 16))
    assert evidence.far_start == FAR - FAR_ROWS
    np.testing.assert_array_equal(evidence.far.unwrap(), sinusoidal(np.arange(FAR - FAR_ROWS, FAR), 16))
    assert gather(lambda n: sinusoidal(range(n), 16)).far is None  # no positions
    assert gather(lambda pos: sinusoidal(np.arange(600), 32)[pos]).far is None  # they are limited


def test_nothing_more_is_asked_of_what_is_not_finite():
    lengths = []

    def encode(n, d, base=10.0):
        lengths.append((n, d, base))
        return np.full((n, d), np.nan)

    evidence = gather(encode)
    assert not evidence.is_finite and evidence.explanation is None and evidence.line is None
    assert evidence.options == () and evidence.short is None and lengths[-1] == (LONGEST, 64, 10.0)


def with_options(n, d, base=10_000.0, start=0):
    if start:
        raise KeyError(start)
    return sinusoidal(range(n), d, base)


def test_options():
    base, start = gather(with_options).options
    assert (base.name, base.value, base.plain.value.shape, base.fresh.value.shape) == (
        "base",
        777,
        (37, 64),
        (41, 64),
    )
    np.testing.assert_array_equal(base.same.value, sinusoidal(range(37), 64, 777.0))
    np.testing.assert_array_equal(base.fresh.value, sinusoidal(range(41), 64, 777.0))
    assert start.name == "start" and start.plain.ok and isinstance(start.same.error, KeyError)


def test_dtypes_of_x_and_by_an_option():
    of_x = gather(lambda x: x + sinusoidal(np.arange(x.shape[1]), x.shape[2])).dtypes
    assert (of_x.coarse, of_x.fine) == (np.float16, np.float64)
    assert of_x.first.value.shape == of_x.after.value.shape == (43, 64) and of_x.fresh.value.shape == (47, 64)
    by_option = gather(lambda pos, dtype=np.float64: sinusoidal(pos, 16).astype(dtype)).dtypes
    np.testing.assert_array_equal(by_option.after.value, sinusoidal(np.arange(43), 16))
    assert np.abs(by_option.first.value - by_option.after.value).max() > 1e-4
    assert gather(with_options).dtypes is None
    module = gather(nn.Identity()).dtypes
    assert (module.coarse, module.fine) == (torch.bfloat16, torch.float32)


def test_widths():
    widths = gather(sinusoidal, 16).widths  # it refuses odd ones
    assert [width for width, _ in widths] == [2, 3, 4, 6, 17]
    outcomes = [answer.value.shape if answer.ok else type(answer.error) for _, answer in widths]
    assert outcomes == [(17, 2), ValueError, (17, 4), (17, 6), ValueError]
    assert gather(lambda n: sinusoidal(range(n), 16)).widths == ()


def test_the_odd_width_is_next_to_its_own():
    assert gather(lambda n, d: np.ones((n, d)), 7).widths[-1][0] == 7
    assert gather(lambda n, d: np.ones((n, d)), 8).widths[-1][0] == 9


class Adds(nn.Module):
    n_instance = 0

    def __init__(self, d_model):
        super().__init__()
        Adds.n_instance += 1
        self.register_buffer("pe", torch.from_numpy(sinusoidal(np.arange(600), d_model)).float())

    def forward(self, x):
        x += self.pe[: x.size(1)]
        return x


def test_of_a_class_one_instance_is_asked_about_all_but_widths():
    Adds.n_instance = 0
    evidence = gather(Adds, 16)
    assert [width for width, answer in evidence.widths if answer.ok] == [2, 4, 6]
    assert Adds.n_instance == 1 + 1 + 5  # for the probe, for all else, and one a width


def test_the_input_after_the_call():
    np.testing.assert_allclose(gather(Adds(16)).input_after.value[0], sinusoidal(np.arange(31), 16), atol=1e-6)
    assert not gather(nn.Identity()).input_after.value.any()
    assert gather(with_options).input_after is None


def test_short_and_long():
    evidence = gather(lambda n: np.full((n, 4), float(n)))
    assert evidence.short.value.tolist() == [[12.0] * 4] * 12 and evidence.long.value.tolist() == [[31.0] * 4] * 31


def test_an_answer_is_overwritten_and_put_back():
    store = sinusoidal(np.arange(30_000), 16)
    before = store.copy()
    evidence = gather(lambda n: store[:n])
    assert (evidence.overwritten.value == 7).all()
    np.testing.assert_array_equal(store, before)
    tensor = torch.from_numpy(before.copy())
    evidence = gather(lambda n: (tensor[:n], "more"))
    assert (evidence.overwritten.value == 7).all() and np.array_equal(tensor.numpy(), before)
    fresh = gather(lambda n: sinusoidal(range(n), 16))
    np.testing.assert_array_equal(fresh.overwritten.value, fresh.long.value)


def test_an_answer_that_cannot_be_overwritten():
    store = sinusoidal(np.arange(30_000), 16)
    store.flags.writeable = False
    assert gather(lambda n: store[:n]).overwritten is None
    row = torch.ones(1, 16)
    assert gather(lambda n: row.expand(n, 16)).overwritten is None


def test_calls_that_may_ruin_the_state_come_last():
    """A store that the caller overwrites for good: all other answers were had before."""
    tables = {}

    def encode(n, d):
        return tables.setdefault((n, d), sinusoidal(range(n), d + d % 2)[:, :d])

    evidence = gather(encode)
    assert (evidence.overwritten.value == 7).all()
    np.testing.assert_allclose(evidence.long.value, sinusoidal(range(31), 64))


def test_what_made_the_first_rows():
    assert Evidence(sinusoidal(np.arange(30), 16)).line == Convention()
    for rows in (misread(np.arange(30), 16, reading="column"), np.eye(30), CONVENTIONS["mae"].table((5, 6), 16)):
        evidence = Evidence(rows)
        assert evidence.line is None and evidence.explanation is evidence.explanation is not None


@pytest.mark.parametrize(
    "options, error, says",
    [
        pytest.param(
            {"d_model": 1}, ValueError, "d_model must be a whole number from 2 to 16,384, got 1", id="width"
        ),
        pytest.param({"d_model": 8.0}, TypeError, "d_model must be a whole number from 2", id="width of a type"),
        pytest.param({"base": 1.0}, ValueError, "base must be a finite number > 1", id="base"),
        pytest.param({"tolerance": 0.0}, ValueError, "tolerance must be a finite number > 0", id="tolerance"),
    ],
)
def test_bad_options(options, error, says):
    for encode in (sinusoidal, np.ones((4, 4))):
        with pytest.raises(error, match=says):
            gather(encode, **options)


class Once(nn.Module):
    is_there = False

    def __init__(self, d_model):
        super().__init__()
        if Once.is_there:
            raise RuntimeError("there is one already")
        Once.is_there = True

    def forward(self, x):
        return x


def twice(n):
    """It gives one table."""
    if Once.is_there:
        raise KeyError("again")
    Once.is_there = True
    return np.ones((n, 4))


@pytest.mark.parametrize(
    "encode, options, error, says",
    [
        pytest.param(None, {}, TypeError, "encode must be something to call, or a table, got NoneType", id="none"),
        pytest.param("mine:f", {}, TypeError, "encode must be something to call, or a table, got str", id="words"),
        pytest.param(3, {}, TypeError, "encode must be something to call, or a table, got int", id="number"),
        pytest.param([1.0, 2.0], {}, ValueError, r"table must be \(positions, columns\)", id="a row"),
        pytest.param(np.ones((5, 4)), {"d_model": 8}, ValueError, "d_model must be 4, the columns of", id="width"),
        pytest.param(Once, {}, ValueError, "encode could be made, but not twice: RuntimeError: there is", id="once"),
        pytest.param(
            twice, {}, ValueError, "encode gave a table of 23 tokens, but not twice: KeyError", id="one table"
        ),
        pytest.param(
            lambda n: np.ones((n, n)),
            {},
            ValueError,
            r"encode must give as many columns at every length, got \(23, 23\) and \(256, 256\)",
            id="square",
        ),
    ],
)
def test_bad_encodings(encode, options, error, says, monkeypatch):
    monkeypatch.setattr(Once, "is_there", False)
    with pytest.raises(error, match=says):
        gather(encode, **options)


def test_the_width_of_a_table_may_be_said():
    assert gather(np.ones((5, 4)), 4).rows.shape == (5, 4)


def test_the_base_and_the_tolerance_need_not_be_of_python():
    evidence = gather(np.ones((5, 4)), base=np.float32(500), tolerance=np.float64(0.5))
    assert (evidence.base, evidence.tolerance) == (500, 0.5)
