"""Making the sinusoidal table, against filling as much memory with one number."""

import numpy as np
import pytest
import torch

from pe_lib.sinusoidal import sinusoidal

LARGE = [(seq_len, 512) for seq_len in (4096, 16_384, 65_536)] + [(16_384, width) for width in (32, 128, 2048)]
SIZES = [(1024, 512), *[pytest.param(*size, marks=pytest.mark.slow) for size in LARGE]]
FAR = 1_000_000  # the last position whose error is looked at


def fill(seq_len, width, dtype):
    return np.full((seq_len, width), 0.5, dtype)


def pe_lib(seq_len, width, dtype):
    return sinusoidal(np.arange(seq_len), width, dtype=dtype)


def formula(seq_len, width, dtype):
    """Each entry by itself, as the formula is read."""
    angle = np.arange(seq_len)[:, None] / 10_000 ** (np.arange(0, width, 2) / width)
    table = np.empty((seq_len, width), dtype)
    table[:, 0::2], table[:, 1::2] = np.sin(angle), np.cos(angle)
    return table


def float32_angles(seq_len, width, dtype):
    """The exponential of a logarithm and angles in float32, as in The Annotated Transformer and most models."""
    omega = torch.exp(torch.arange(0, width, 2) * (-np.log(10_000) / width))
    angle = torch.arange(seq_len)[:, None] * omega
    table = torch.zeros(seq_len, width)
    table[:, 0::2], table[:, 1::2] = torch.sin(angle), torch.cos(angle)
    return table


# What makes a table, in which types, and in which schedule and columns of sines and cosines.
HALVES = "tensor2tensor", lambda width: (slice(0, width // 2), slice(width // 2, width))
PAIRS = "paper", lambda width: (slice(0, None, 2), slice(1, None, 2))
WAYS = {
    "fill": (fill, ("float64", "float32"), None),
    "pe_lib": (pe_lib, ("float64", "float32"), PAIRS),
    "formula": (formula, ("float64",), PAIRS),
    "float32 angles": (float32_angles, ("float32",), PAIRS),
    "transformers": (None, ("float32",), HALVES),
}


def transformers(peer):
    """Fairseq's table as that library has it: float32 angles, all sines, then all cosines."""
    m2m = peer("transformers.models.m2m_100.modeling_m2m_100")
    make = m2m.M2M100SinusoidalPositionalEmbedding.get_embedding
    return lambda seq_len, width, dtype: make(seq_len, width)


def exact(pos, width, schedule="paper"):
    """In the longest floating-point type there is."""
    i = np.arange(width // 2, dtype=np.longdouble)
    exponent = 2 * i / width if schedule == "paper" else i / (width // 2 - 1)
    angle = np.asarray(pos, np.longdouble)[:, None] * np.longdouble(10_000) ** -exponent
    return np.sin(angle), np.cos(angle)  # each (t, width/2)


def errors(make, schedule, columns, width=64):
    """The largest of the last 1,000 rows of two tables, a short one and one that ends at `FAR`."""
    wrong = {}
    for name, end in (("error_near", 1000), ("error_far", FAR)):
        rows = np.asarray(make(end, width))[-1000:]
        waves = exact(np.arange(end - 1000, end), width, schedule)
        parts = zip(columns(width), waves, strict=True)
        wrong[name] = max(float(np.abs(rows[:, at] - wave).max()) for at, wave in parts)
    return wrong


# The ways of one size one after another: what changes in the machine meets them alike.
@pytest.mark.parametrize(("way", "dtype"), [(way, dtype) for way in WAYS for dtype in WAYS[way][1]])
@pytest.mark.parametrize(("seq_len", "width"), SIZES)
def test_table(timed, peer, way, dtype, seq_len, width):
    make, _, kind = WAYS[way]
    if make is None:
        make = transformers(peer)
    wrong = errors(lambda *shape: make(*shape, dtype), *kind) if kind else {}
    assert wrong.get("error_near", 0) < 1e-3
    if way == "pe_lib":
        assert max(wrong.values()) < (1e-9 if dtype == "float64" else 3e-7)
    sizes = {"dtype": dtype, "seq_len": seq_len, "width": width}
    timed(lambda: make(seq_len, width, dtype), "table", way, sizes, floor=way == "fill", **wrong)
