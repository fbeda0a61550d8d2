"""Odd values to put in the place of right ones: what people type, read from files, or get from other packages."""

import datetime
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import torch


@dataclass(frozen=True)
class Odd:
    """What stands in the place of a right value."""

    name: str
    make: Callable[[Any], Any]  # from the right value
    plain: Callable[[Any], Any] | None = None  # the same value as a Python number, or an array of float64 or int64
    wrong: bool = False  # nothing but an error is right


def wrong(**values: Any) -> list[Odd]:
    return [Odd(name, lambda right, value=value: value, wrong=True) for name, value in values.items()]


def free(**values: Any) -> list[Odd]:
    return [Odd(name, lambda right, value=value: value) for name, value in values.items()]


def same(**values: tuple[Any, Any]) -> list[Odd]:
    """Pairs of a value and its plain form."""
    return [Odd(name, lambda _, v=v: v, lambda _, p=p: p) for name, (v, p) in values.items()]


def changed(**functions: Callable[[Any], Any]) -> list[Odd]:
    """Functions of the right value, which is the plain form of what they give."""
    return [Odd(name, function, lambda right: right) for name, function in functions.items()]


def broken(**functions: Callable[[Any], Any]) -> list[Odd]:
    return [Odd(name, function, wrong=True) for name, function in functions.items()]


def other(**functions: Callable[[Any], Any]) -> list[Odd]:
    return [Odd(name, function) for name, function in functions.items()]


THINGS = wrong(
    none=None,
    text="nonsense",
    nothing="",
    octets=b"abc",
    an_object=object(),
    a_class=int,
    nan=math.nan,
    a_complex=1j,
    mapping={},
    a_set={1},
    empty=[],
    nested=[[1, 2], [3]],
    a_function=len,
)
NOT_NUMBERS = wrong(
    true=True,
    true_of_numpy=np.True_,
    date=datetime.date(2017, 6, 12),
    timedelta=datetime.timedelta(3),
    timedelta_of_numpy=np.timedelta64(3, "D"),
    datetime_of_numpy=np.datetime64("2017-06-12"),
    nat=np.timedelta64("NaT"),
    masked=np.ma.masked,
    nan_of_numpy=np.float32("nan"),
    inf=math.inf,
    minus_inf=-math.inf,
    digit="3",
    listed=[3],
    vector=np.array([3, 4]),
    missing=pd.NA,
    complex_of_numpy=np.complex64(3),
    meta=torch.empty((), device="meta"),
)
SIZES = [
    *THINGS,
    *NOT_NUMBERS,
    *wrong(half=2.5, whole_float=4.0, float_of_numpy=np.float64(4), fraction=Fraction(4), minus=-1),
    *wrong(bool_tensor=torch.tensor(True), least_int8=np.int8(-128)),
    *free(zero=0, one=1, three=3, million=10**6, beyond_int32=2**31, beyond_int64=2**63, beyond_uint64=10**30),
    *free(beyond_float64=10**400, array=np.array(4)),
    *changed(uint8=np.uint8, int8=np.int8, uint64=np.uint64, int64=np.int64, int16=np.int16),
    *same(uint8_200=(np.uint8(200), 200), int8_100=(np.int8(100), 100), uint16_300=(np.uint16(300), 300)),
    *same(uint8_128=(np.uint8(128), 128), uint8_4=(np.uint8(4), 4)),
]
REALS = [
    *THINGS,
    *NOT_NUMBERS,
    *wrong(beyond_float64=10**400),
    *free(zero=0.0, minus=-1.5, largest=np.finfo(float).max, huge=1e308, minus_huge=-1e308, tiny=5e-324),
    *free(
        one=1.0, just_above_one=1 + 2**-52, beyond_float32=1e39, tenth=1e-9, beyond_int64=2**63, array=np.array(2.0)
    ),
    *changed(float32=np.float32, float16=np.float16, long=np.longdouble, fraction=Fraction),
    *same(int8=(np.int8(100), 100.0), uint8=(np.uint8(200), 200.0), whole=(2, 2.0), uint64=(np.uint64(3), 3.0)),
]
FLAGS = [
    *THINGS,
    *wrong(zero=0, one=1, two=2, no="no", listed=[True], vector=np.array([True, False]), masked=np.ma.masked),
    *same(true_of_numpy=(np.True_, True), false_of_numpy=(np.False_, False)),
]
CHOICES = [
    *THINGS,
    *wrong(zero=0, true=True, number=2.0, array=np.array(["paper"])),
    *broken(listed=lambda right: [right], octet=lambda right: right.encode(), upper=lambda right: right.upper()),
    *broken(space=lambda right: right + " "),
    *changed(text_of_numpy=np.str_),
]


def with_one(array: Any, value: Any, dtype: Any = None) -> Any:
    """A copy with one entry replaced."""
    copy = np.array(array, dtype=dtype)
    copy.flat[-1] = value
    return copy


def steps(array: Any, dtype: Any) -> Any:
    """Whole numbers from all of the range of a small type, in the shape of the array."""
    info = np.iinfo(dtype)
    return np.linspace(info.min, info.max, np.size(array)).round().astype(dtype).reshape(np.shape(array))


def tensor(array: Any, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.as_tensor(np.array(array)).to(dtype)


def negated(array: Any) -> torch.Tensor:
    """The same numbers as a tensor that holds their negatives, and a bit that says so."""
    return torch.complex(torch.zeros(np.shape(array), dtype=torch.float64), -tensor(array)).conj().imag


def quantised(array: Any) -> torch.Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there will be no such tensors one day
        return torch.quantize_per_tensor(tensor(array, torch.float32), 0.1, 0, torch.qint8)


def record(array: Any) -> Any:
    return np.array(array, dtype=[("x", float)])


# Of numbers in an array of any shape.
NO_ARRAYS = [
    *[odd for odd in THINGS if odd.name not in ("empty",)],
    *wrong(one_text=["1"], true=True, date=datetime.date(2017, 6, 12), masked=np.ma.masked, beyond_float64=[10**400]),
    *broken(
        one_nan=lambda right: with_one(right, math.nan, float),
        one_inf=lambda right: with_one(right, math.inf, float),
        one_minus_inf=lambda right: with_one(right, -math.inf, float),
        one_none=lambda right: with_one(right, None, object),
        one_true=lambda right: with_one(right, True, object),
        booleans=lambda right: np.array(right) > 0,
        texts=lambda right: np.array(right).astype(str),
        complexes=lambda right: np.array(right) + 1j,
        real_complexes=lambda right: np.array(right) + 0j,
        mask=lambda right: np.ma.masked_array(right, mask=with_one(np.zeros(np.shape(right), bool), True)),
        timedeltas=lambda right: np.array(right).astype("timedelta64[s]"),
        datetimes=lambda right: np.array(right).astype("datetime64[s]"),
        records=record,
        generator=lambda right: (row for row in right),
        meta=lambda right: torch.empty(np.shape(right), device="meta"),
        sparse=lambda right: tensor(right).to_sparse(),
        bool_tensor=lambda right: tensor(right, torch.bool),
        complex_tensor=lambda right: tensor(right, torch.complex64),
        quantised_tensor=quantised,
    ),
]
OTHER_ARRAYS = other(
    empty=lambda right: [],
    empty_in_shape=lambda right: np.zeros((*np.shape(right)[:-1], 0)),
    no_rows=lambda right: np.zeros((0, *np.shape(right)[1:])),
    scalar=lambda right: 1.0,
    zero=lambda right: 0,
    further_axis=lambda right: np.array(right)[None],
    axis_behind=lambda right: np.array(right)[..., None],
    flat=lambda right: np.ravel(right),
    one_less=lambda right: np.array(right)[1:],
    one_more=lambda right: np.concatenate([right, np.array(right)[:1]]),
    twice_as_wide=lambda right: np.concatenate([right, right], axis=-1),
    one_narrower=lambda right: np.array(right)[..., 1:],
    transposed=lambda right: np.transpose(right),
    negative=lambda right: -np.array(right, dtype=float) - 1,
    zeros=lambda right: np.zeros(np.shape(right)),
    halves=lambda right: np.array(right) + 0.5,
    thirds=lambda right: np.array(right) + 1 / 3,
)
FAR_ARRAYS = other(
    huge=lambda right: np.full(np.shape(right), 1e308),
    minus_huge=lambda right: np.full(np.shape(right), -1e308),
    largest=lambda right: np.full(np.shape(right), np.finfo(float).max),
    one_huge=lambda right: with_one(right, 1e308, float),
    one_minus_huge=lambda right: with_one(right, -1e308, float),
    one_beyond_int64=lambda right: with_one(right, 1e19, float),
    one_beyond_float32=lambda right: with_one(right, 1e39, float),
    tiny=lambda right: np.full(np.shape(right), 5e-324),
    one_tiny=lambda right: with_one(right, 5e-324, float),
    small=lambda right: np.array(right) * 1e-200,
    large=lambda right: np.array(right) * 1e200,
)
SAME_ARRAYS = [
    *changed(
        lists=lambda right: np.array(right).tolist(),
        float32=np.float32,
        float16=lambda right: np.array(right, dtype=np.float16),
        long=lambda right: np.array(right, dtype=np.longdouble),
        swapped=lambda right: np.array(right, dtype=">f8"),
        fractions=lambda right: np.vectorize(Fraction, otypes=[object])(right),
        no_mask=lambda right: np.ma.masked_array(right),
        reversed_twice=lambda right: np.array(np.array(right)[::-1])[::-1],
        read_only=lambda right: np.broadcast_to(right, np.shape(right)),
        tensor=tensor,
        tensor_of_float32=lambda right: tensor(right, torch.float32),
        tensor_of_bfloat16=lambda right: tensor(right, torch.bfloat16),
        with_gradient=lambda right: tensor(right).requires_grad_(),
        negative_bit=negated,
        frame=lambda right: (
            (pd.Series if np.ndim(right) == 1 else pd.DataFrame)(np.array(right))
            if np.ndim(right) in (1, 2)
            else right
        ),
    ),
    *[
        Odd(
            np.dtype(dtype).name,
            lambda right, dtype=dtype: steps(right, dtype),
            lambda right, dtype=dtype: steps(right, dtype).astype(float),
        )
        for dtype in (np.uint8, np.int8, np.uint16)
    ],
]
ARRAYS = [*NO_ARRAYS, *OTHER_ARRAYS, *FAR_ARRAYS, *SAME_ARRAYS]
DRAWN = [*NO_ARRAYS, *OTHER_ARRAYS[:10], *FAR_ARRAYS[:4]]  # figures take long
WHOLE_ARRAYS = [
    *[odd for odd in NO_ARRAYS if odd.name != "true"],
    *OTHER_ARRAYS,
    *wrong(true=True, huge=[[10**30]]),
    *changed(
        int32=np.int32,
        uint8=np.uint8,
        swapped=lambda right: np.array(right, dtype=">i8"),
        reversed_twice=lambda right: np.array(np.array(right)[::-1])[::-1],
        read_only=lambda right: np.broadcast_to(right, np.shape(right)),
    ),
]
TENSORS = [
    *THINGS,
    *broken(
        array=lambda right: right.numpy(),
        listed=lambda right: right.tolist(),
        floats=lambda right: right.double(),
        booleans=lambda right: right.bool(),
        complexes=lambda right: right + 0j,
        meta=lambda right: torch.empty(right.shape, dtype=right.dtype, device="meta"),
        sparse=lambda right: right.to_sparse(),
        negative=lambda right: -right - 1,
        huge=lambda right: right + 10**12,
        empty=lambda right: right[:, :0],
        flat=lambda right: right.flatten(),
        no_axis=lambda right: right[0, 0],
    ),
    *changed(int32=lambda right: right.int(), uint8=lambda right: right.to(torch.uint8)),
    *changed(transposed=lambda right: right.T.contiguous().T),
]
MASKS = [
    *[odd for odd in THINGS if odd.name != "none"],
    *broken(
        array=lambda right: right.numpy(),
        listed=lambda right: right.tolist(),
        numbers=lambda right: right.long(),
        floats=lambda right: right.double(),
        one_less=lambda right: right[:, 1:],
        flat=lambda right: right.flatten(),
        nothing_left=lambda right: right & False,
        meta=lambda right: torch.empty(right.shape, dtype=torch.bool, device="meta"),
        sparse=lambda right: right.to_sparse(),
    ),
]
AXES = wrong(none=None, text="nonsense", an_object=object())
NAMED = [
    *THINGS,
    *broken(
        listed=lambda right: list(right.values()),
        one_nan=lambda right: {name: np.full(np.shape(values), math.nan) for name, values in right.items()},
        one_text={"x": "y"}.__or__,
        one_none=lambda right: dict.fromkeys(right),
        booleans=lambda right: {name: np.zeros(np.shape(values), bool) for name, values in right.items()},
        one_more=lambda right: {name: np.ones(5) for name in right},
    ),
]
NUMBERED = [odd for odd in NAMED if odd.name != "one_more"]
