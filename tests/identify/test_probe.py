"""Probe: every way of calling, what is read from a signature and from a module, and what comes back."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from pe_lib.identify.answer import ask
from pe_lib.identify.probe import BATCH_FIRST, SEQUENCE_FIRST, WAYS, Probe, numbers, probe
from pe_lib.sinusoidal import sinusoidal


def of_length_and_width(n, d):
    return sinusoidal(range(n), d)


def of_positions_and_width(pos, d_model):
    return sinusoidal(pos, d_model)


def of_length(n):
    return sinusoidal(range(n), 20)


def of_positions(pos, base=10_000.0):
    """The base is no width."""
    return sinusoidal(pos, 20, base)


def of_x(x):
    return x + sinusoidal(np.arange(x.shape[1]), x.shape[2])


class OfX(nn.Module):
    """Added to x, whose axis ``sequence`` is time."""

    def __init__(self, d_model, sequence=1):
        super().__init__()
        self.sequence = sequence
        self.register_buffer("pe", torch.from_numpy(sinusoidal(np.arange(600), d_model)).float())

    def forward(self, x):
        rows = self.pe[: x.size(self.sequence)]
        return x + (rows if self.sequence == 1 else rows[:, None])


WAY_OF = {
    "f(length, width)": of_length_and_width,
    "f(positions, width)": of_positions_and_width,
    "f(length)": of_length,
    "f(positions)": of_positions,
    "f(x), batch first": of_x,
    "f(x), sequence first": OfX(32, sequence=0),
}


def test_every_way_has_a_case():
    assert list(WAY_OF) == [way.name for way in WAYS]


@pytest.mark.parametrize("name", WAY_OF)
def test_ways_of_calling(name):
    probed = probe(WAY_OF[name])
    rows = probed.answer(17).unwrap()
    assert probed.way.name == name and rows.shape == (17, probed.d_model)
    np.testing.assert_allclose(rows, sinusoidal(np.arange(17), probed.d_model), atol=1e-6)
    assert probed.encodes_batch == (name == "f(x), sequence first")


def with_noise(x):
    """Rows that differ along the batch and along the tokens are not those of a batch taken for time."""
    return x + np.random.default_rng(0).normal(size=x.shape)


def test_what_differs_along_both_axes_is_batch_first():
    assert probe(with_noise).way is BATCH_FIRST and not probe(with_noise).encodes_batch


def with_unnamed_width(pos, columns):
    return sinusoidal(pos, columns)


def with_width_by_default(pos, dim=16):
    return sinusoidal(pos, dim)


def test_what_is_a_width():
    """A second argument that must be there, or that is called so."""
    assert "width" in probe(with_unnamed_width).takes and "width" in probe(with_width_by_default).takes
    assert probe(with_width_by_default).d_model == 64
    assert "width" not in probe(of_positions).takes


def test_where_positions_begin():
    for name in ("f(positions, width)", "f(positions)"):
        rows = probe(WAY_OF[name]).answer(9, start=5).unwrap()
        np.testing.assert_array_equal(rows, sinusoidal(np.arange(5, 14), rows.shape[1]))


def test_widths_asked_for():
    assert probe(of_length_and_width).answer(9, 6).unwrap().shape == (9, 6)
    assert probe(of_length_and_width, 48).d_model == 48
    assert probe(OfX).answer(9, 6).unwrap().shape == (9, 6)  # by the constructor


def test_classes_take_a_width_besides():
    assert probe(OfX).takes == {"x", "width"} and probe(OfX(32)).takes == {"x"}


class Named(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding_dim, self.n_head, self.is_dim = 12, 4, True

    def forward(self, x):
        assert x.shape[-1] == 12
        return x


class OfFrequencies(nn.Module):
    def __init__(self):
        super().__init__()
        self.omega = torch.ones(5)

    def forward(self, x):
        assert x.shape[-1] == 10
        return x


class TooWide(nn.Module):
    def __init__(self):
        super().__init__()
        self.dim = 10**9

    def forward(self, x):
        return x


class Strange:
    """What it holds looks like a tensor."""

    def __init__(self):
        self.omega = SimpleNamespace(ndim=2, shape=("many",))

    def __call__(self, x):
        return np.zeros((*x.shape[:2], 64))


class OfWeights(nn.Module):
    def __init__(self):
        super().__init__()
        self.weights = nn.Parameter(torch.ones(40, 14))

    def forward(self, x):
        return x + self.weights[: x.shape[1]]


@pytest.mark.parametrize(
    "module, d_model",
    [
        pytest.param(Named(), 12, id="by a name"),
        pytest.param(OfFrequencies(), 10, id="two columns a frequency"),
        pytest.param(OfWeights(), 14, id="by a parameter"),
        pytest.param(nn.Identity(), 64, id="usual"),
        pytest.param(TooWide(), 64, id="too wide to be one"),
        pytest.param(Strange(), 64, id="no tensor"),
    ],
)
def test_widths_of_modules(module, d_model):
    assert probe(module).d_model == d_model


def needs_torch(pos):
    return torch.sin(pos)[:, None] * torch.ones(6)


def test_torch_where_numpy_is_refused():
    assert probe(needs_torch).library is torch and probe(of_positions).library is np


def with_options(n, d, theta=1.0, start_pos=0, dtype=None):
    return sinusoidal(range(n), d)


def from_start(n, d, start=0):
    return sinusoidal(range(start, start + n), d)


def test_an_option_may_have_any_name():
    """Also that of an argument of the probe itself."""
    rows = probe(from_start).answer(5, options={"start": 7}).unwrap()
    np.testing.assert_array_equal(rows, sinusoidal(range(7, 12), 64))


def test_options_are_known_by_their_names():
    assert probe(with_options).options == {"base": "theta", "offset": "start_pos", "dtype": "dtype"}
    assert probe(of_length).options == {}


def test_modules_are_called_without_dropout_and_gradients():
    module = nn.Sequential(OfWeights(), nn.Dropout(0.5)).train()
    answer = probe(module, 14).call(5)
    assert (answer == 1).all() and not answer.requires_grad and module.training


class Short(nn.Module):
    """Added to x, batch first; of fewer tokens than are asked for."""

    def __init__(self, n):
        super().__init__()
        self.register_buffer("pe", torch.from_numpy(sinusoidal(np.arange(n), 32))[None])

    def forward(self, x):
        return x + self.pe[:, : x.size(1)]


@pytest.mark.parametrize("n, tokens", [(23, 23), (22, 11), (16, 11), (10, 4), (4, 4)])
def test_encodings_of_few_tokens(n, tokens):
    """Fed sequence first one row is added to all tokens, and nothing fails."""
    probed = probe(Short(n))
    assert (probed.way, probed.tokens, probed.d_model) == (BATCH_FIRST, tokens, 32)


def test_encodings_of_too_few_tokens():
    with pytest.raises(ValueError, match=r"encode gives no table .*: RuntimeError: The size of tensor a"):
        probe(Short(3))


def test_an_encoding_of_few_tokens_that_encodes_the_batch():
    class Batch(Short):
        def forward(self, x):
            return x + self.pe[0, : x.size(0), None]

    probed = probe(Batch(16))
    assert probed.encodes_batch and probed.tokens == 11


def test_what_gives_every_token_the_same_is_a_table():
    assert probe(nn.Identity()).way is BATCH_FIRST
    assert probe(lambda n: np.ones((n, 4))).way.name == "f(length)"


def test_x_has_the_axes_of_the_way():
    assert probe(WAY_OF["f(x), batch first"]).x(7).shape == (3, 7, 64)
    assert probe(WAY_OF["f(x), sequence first"]).x(7, dtype=torch.float64).shape == (7, 3, 32)


def read(way, answer, n):
    return Probe(way, of_length, np, 4, way.takes, {}).rows_in(ask(numbers, answer), n)


@pytest.mark.parametrize(
    "way, shape",
    [
        pytest.param(WAYS[2], (5, 4), id="rows"),
        pytest.param(WAYS[2], (1, 5, 4), id="an axis before"),
        pytest.param(WAYS[2], (5, 1, 4), id="an axis between"),
        pytest.param(BATCH_FIRST, (3, 5, 4), id="batch first"),
        pytest.param(SEQUENCE_FIRST, (5, 3, 4), id="sequence first"),
    ],
)
def test_rows_are_known_by_their_number(way, shape, rng):
    answer = rng.normal(size=shape)
    axis = shape.index(5)
    expected = answer if len(shape) == 2 else answer.take(0, axis=1 - axis)
    np.testing.assert_array_equal(read(way, answer, 5).unwrap(), expected)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.int64, torch.float16])
def test_numbers_of_tensors(kind):
    answer = numbers((torch.ones(2, 3, dtype=kind), "more"))
    assert answer.dtype == np.float64 and answer.tolist() == [[1, 1, 1], [1, 1, 1]]


@pytest.mark.parametrize(
    "answer, error, says",
    [
        pytest.param(np.ones((6, 4)), ValueError, r"it gives shape \(6, 4\) for 5 tokens", id="rows"),
        pytest.param(np.ones(5), ValueError, r"it gives shape \(5,\) for 5 tokens", id="axes"),
        pytest.param("no", TypeError, "it gives str, not an array of real numbers", id="words"),
        pytest.param((), TypeError, "it gives tuple", id="nothing"),
        pytest.param(np.ones((5, 4), bool), TypeError, r"it gives bool in shape \(5, 4\), not real", id="no numbers"),
        pytest.param(torch.ones(5, 4).cfloat(), TypeError, r"it gives complex64 in shape \(5, 4\)", id="complex"),
        pytest.param(np.ma.masked_less(np.eye(5), 1), TypeError, "it gives masked entries", id="masked"),
        pytest.param(np.ones((5, 0)), ValueError, r"it gives shape \(5, 0\) for 5 tokens", id="no columns"),
    ],
)
def test_what_is_no_table(answer, error, says):
    with pytest.raises(error, match=says):
        read(WAYS[2], answer, 5).unwrap()


def test_no_way():
    begins = (
        r"^encode gives no table \(rows, columns\) in any known way: TypeError: it gives float, .*, from f\(length,"
    )
    with pytest.raises(ValueError, match=f"{begins}.*; give d_model, or wrap it in a function of"):
        probe(math.hypot)


def test_the_width_is_not_asked_for_twice():
    says = "in any known way: ValueError: d_model must be .* even number .*; wrap it in a function of"
    with pytest.raises(ValueError, match=says) as refusal:
        probe(of_length_and_width, 7)
    assert "give d_model" not in str(refusal.value)


@pytest.mark.parametrize("error", [NameError("name 'nq' is not defined"), ImportError("no nq"), SystemExit(3)])
def test_errors_that_no_call_avoids(error):
    """They come first, and nobody is told to call it in another way."""

    def encode(n, d):
        raise error

    with pytest.raises(ValueError) as refusal:
        probe(encode)
    says = str(refusal.value)
    assert says.startswith(f"encode gives no table (rows, columns) in any known way: {type(error).__name__}: ")
    assert says.endswith("; mend that first") and "give d_model" not in says


@pytest.mark.parametrize(
    "arguments, error, says",
    [
        pytest.param((7,), TypeError, "encode must be something to call, got 7 of type int", id="number"),
        pytest.param((of_length, 1), ValueError, "d_model must be a whole number from 2 to 16,384", id="width"),
        pytest.param((of_length, 10**9), ValueError, "d_model must be a whole number from 2 to 16,384", id="wide"),
        pytest.param((of_length, "8"), TypeError, "d_model must be a whole number", id="words"),
    ],
)
def test_bad_arguments(arguments, error, says):
    with pytest.raises(error, match=says):
        probe(*arguments)
