"""The checks at the door: every branch, and the exact words."""

import math
import re
from fractions import Fraction

import numpy as np
import pytest

from pe_lib import check


def refused(error, message, function, *args, **kwargs):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        function(*args, **kwargs)


@pytest.mark.parametrize(
    ("value", "options"), [(1, {}), (np.int64(7), {}), (0, {"least": 0}), (4, {"even": True}), (4, {"most": 4})]
)
def test_sizes(value, options):
    size = check.size("n", value, **options)
    assert size == value and type(size) is int


@pytest.mark.parametrize(
    ("error", "value", "options", "message"),
    [
        pytest.param(ValueError, 0, {}, "n must be a whole number >= 1, got 0", id="zero"),
        pytest.param(ValueError, 2, {"least": 3}, "n must be a whole number >= 3, got 2", id="below least"),
        pytest.param(ValueError, 7, {"even": True}, "n must be an even number >= 1, got 7", id="odd"),
        pytest.param(
            ValueError, 2, {"even": True, "least": 4}, "n must be an even number >= 4, got 2", id="even, low"
        ),
        pytest.param(ValueError, 9, {"most": 8}, "n must be a whole number from 1 to 8, got 9", id="above most"),
        pytest.param(TypeError, 3.0, {}, "n must be a whole number >= 1, got 3.0 of type float", id="float"),
        pytest.param(TypeError, True, {}, "n must be a whole number >= 1, got True of type bool", id="bool"),
        pytest.param(TypeError, "3", {}, "n must be a whole number >= 1, got '3' of type str", id="text"),
        pytest.param(
            TypeError,
            np.timedelta64(3, "D"),
            {},
            f"n must be a whole number >= 1, got {np.timedelta64(3, 'D')!r} of type timedelta64",
            id="three days",
        ),
        pytest.param(
            ValueError, 10**9 + 1, {}, "n must be a whole number from 1 to 1,000,000,000, got 1000000001", id="absurd"
        ),
        pytest.param(
            ValueError,
            10**5000,
            {"least": 0},
            "n must be a whole number from 0 to 1,000,000,000, got one of type int",
            id="too long to print",
        ),
    ],
)
def test_sizes_refused(error, value, options, message):
    refused(error, message, check.size, "n", value, **options)


@pytest.mark.parametrize("value", [2, -0.5, Fraction(1, 4), np.float32(0.5), np.int8(3), 2**70])
def test_real_numbers(value):
    number = check.real("x", value)
    assert number == value and type(number) is float


@pytest.mark.parametrize(
    ("error", "value", "options", "message"),
    [
        pytest.param(ValueError, math.inf, {}, "x must be a finite number, got inf", id="inf"),
        pytest.param(ValueError, -math.inf, {}, "x must be a finite number, got -inf", id="minus inf"),
        pytest.param(ValueError, math.nan, {"above": 0}, "x must be a finite number > 0, got nan", id="nan"),
        pytest.param(ValueError, 10**400, {}, "x must be a finite number, got inf", id="beyond float64"),
        pytest.param(ValueError, 1, {"above": 1}, "x must be a finite number > 1, got 1.0", id="not above"),
        pytest.param(ValueError, 0.2, {"above": 0.25}, "x must be a finite number > 0.25, got 0.2", id="below"),
        pytest.param(TypeError, True, {}, "x must be a finite number, got True of type bool", id="bool"),
        pytest.param(TypeError, 1j, {}, "x must be a finite number, got 1j of type complex", id="complex"),
        pytest.param(TypeError, "1", {"above": 0}, "x must be a finite number > 0, got '1' of type str", id="text"),
    ],
)
def test_real_numbers_refused(error, value, options, message):
    refused(error, message, check.real, "x", value, **options)


def test_between():
    assert [check.between("base", value, 10, 1e4) for value in (10, np.float32(99), 10_000)] == [10.0, 99.0, 10_000.0]
    refused(ValueError, "base must be a number from 10 to 10,000, got 9.99", check.between, "base", 9.99, 10, 1e4)
    refused(ValueError, "base must be a number from 10 to 10,000, got 10001", check.between, "base", 10_001, 10, 1e4)


def test_fractions():
    assert [check.fraction("p", value) for value in (0, 0.25, 1)] == [0.0, 0.25, 1.0]
    refused(ValueError, "p must be a number from 0 to 1, got -0.1", check.fraction, "p", -0.1)
    refused(ValueError, "p must be a number from 0 to 1, got 1.5", check.fraction, "p", 1.5)
    refused(ValueError, "p must be a number from 0 to 1, got 1.0000001", check.fraction, "p", 1.0000001)
    refused(TypeError, "p must be a finite number, got None of type NoneType", check.fraction, "p", None)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param([[1, 2], [3, 4]], id="list"),
        pytest.param(np.arange(3, dtype=np.uint8), id="uint8"),
        pytest.param(np.arange(3, dtype=np.float32), id="float32"),
        pytest.param([10**30, Fraction(1, 2)], id="big and fraction"),
        pytest.param([[10**30, 1], [Fraction(1, 2), 2]], id="big and fraction, two axes"),
        pytest.param(5, id="number"),
        pytest.param([], id="empty"),
    ],
)
def test_arrays(value):
    array = check.reals("x", value)
    assert array.dtype == np.float64
    np.testing.assert_array_equal(array, np.array(value, dtype=float))


def test_an_array_is_a_copy():
    value = np.ones(3)
    check.reals("x", value)[0] = 5
    assert value[0] == 1


class Tensor:
    """What `reals` uses of a torch tensor that has a gradient and a type of its own."""

    def __init__(self, values, floating):
        self.values, self.floating, self.calls = np.array(values), floating, []

    def __getattr__(self, name):
        if name not in ("detach", "cpu", "resolve_neg", "double"):
            raise AttributeError(name)
        return lambda: self.calls.append(name) or self

    def is_floating_point(self):
        return self.floating

    def numpy(self):
        return self.values


def test_tensors():
    tensor = Tensor([1.5, 2.0], floating=True)
    assert check.reals("x", tensor).tolist() == [1.5, 2.0]
    assert tensor.calls == ["detach", "cpu", "resolve_neg", "double"]
    tensor = Tensor([1, 2], floating=False)
    assert check.reals("x", tensor).tolist() == [1.0, 2.0]
    assert tensor.calls == ["detach", "cpu", "resolve_neg"]


@pytest.mark.parametrize(
    ("error", "value", "options", "message"),
    [
        pytest.param(TypeError, ["1"], {}, "x must hold real numbers, got ['1']", id="text"),
        pytest.param(TypeError, [1j], {}, "x must hold real numbers, got [1j]", id="complex"),
        pytest.param(TypeError, [True], {}, "x must hold real numbers, got [True]", id="bool"),
        pytest.param(TypeError, [None, 1], {}, "x must hold real numbers, got [None, 1]", id="object"),
        pytest.param(
            TypeError, [10**30, True], {}, "x must be a finite number, got True of type bool", id="big, bool"
        ),
        pytest.param(
            ValueError, [[1], [2, 3]], {}, "x must be an array of real numbers, got [[1], [2, 3]]", id="ragged"
        ),
        pytest.param(ValueError, [[1, 2]], {"ndim": 1}, "x must have 1 axes, got shape (1, 2)", id="axes"),
        pytest.param(ValueError, 1.0, {"ndim": 2}, "x must have 2 axes, got shape ()", id="no axis"),
        pytest.param(ValueError, [1.0, -math.inf, math.nan], {}, "x must be finite, got -inf", id="inf"),
        pytest.param(ValueError, [0.0, math.nan], {}, "x must be finite, got nan", id="nan"),
        pytest.param(ValueError, [10**400, 1], {}, "x must be a finite number, got inf", id="beyond float64"),
    ],
)
def test_arrays_refused(error, value, options, message):
    refused(error, message, check.reals, "x", value, **options)


def test_axes():
    assert check.axes("u", [[1, 2, 3]], h=1, e=3).tolist() == [[1.0, 2.0, 3.0]]
    assert check.axes("u", np.ones((2, 0)), h=2, e=None).shape == (2, 0)
    refused(ValueError, "u must have the shape (h, e) with e = 4, got (1, 3)", check.axes, "u", [[1, 2, 3]], h=1, e=4)
    refused(ValueError, "u must have the shape (h, e) with h = 2, got (1, 3)", check.axes, "u", [[1, 2, 3]], h=2, e=4)
    refused(ValueError, "u must have 2 axes, got shape (3,)", check.axes, "u", [1, 2, 3], h=None, e=None)
    refused(ValueError, "u must have the shape (t) with t = 0, got (1,)", check.axes, "u", [1], t=0)
    refused(ValueError, "u must be finite, got nan", check.axes, "u", [math.nan], t=1)


@pytest.mark.parametrize("value", [np.int8([1, 2]), [2**63 - 1], np.uint64([3]), np.zeros(0, int)])
def test_integers(value):
    array = check.integers("ends", value, ndim=1)
    assert array.dtype == np.int64 and array.tolist() == list(value)


@pytest.mark.parametrize(
    ("error", "value", "options", "message"),
    [
        pytest.param(TypeError, [1.0], {}, "n must hold whole numbers, got [1.0]", id="float"),
        pytest.param(TypeError, [True], {}, "n must hold whole numbers, got [True]", id="bool"),
        pytest.param(ValueError, [[1]], {}, "n must have 1 axes, got shape (1, 1)", id="axes"),
        pytest.param(
            ValueError,
            [2, 9],
            {"least": 3, "most": 8},
            "n must hold whole numbers from 3 to 8, got 2 to 9",
            id="range",
        ),
        pytest.param(
            ValueError,
            np.uint64([2**63]),
            {"least": 0},
            "n must hold whole numbers from 0 to 9.223372037e+18, got 9223372036854775808 to 9223372036854775808",
            id="beyond int64",
        ),
    ],
)
def test_integers_refused(error, value, options, message):
    refused(error, message, check.integers, "n", value, ndim=1, **options)


def test_masked_arrays():
    masked = np.ma.masked_array([1.0, 1e6], mask=[False, True])
    with pytest.raises(ValueError, match="x must have no masked entry, got masked_array"):
        check.reals("x", masked)
    np.testing.assert_array_equal(check.reals("x", np.ma.masked_array([1.0, 2.0])), [1.0, 2.0])


def test_flags():
    assert check.flag("causal", True) is True and check.flag("causal", np.False_) is False
    for value in (1, None, "no"):
        refused(TypeError, f"causal must be True or False, got {value!r}", check.flag, "causal", value)


def test_instances():
    check.instance("rng", np.random.default_rng(0), int, np.random.Generator)
    message = "rng must be a Generator of numpy or str of builtins, got 0 of type int"
    refused(TypeError, message, check.instance, "rng", 0, np.random.Generator, str)


def test_room():
    check.room(n=10**4, d_model=10**5)
    message = "n and d_model must give at most 1,000,000,000 numbers, got 10,001 x 100,000"
    refused(ValueError, message, check.room, n=10_001, d_model=10**5)


@check.finite
def ratio(a, b, form="log"):
    """An infinity that is caught on its way: 1 / inf is 0 again."""
    return 1 / np.exp(np.asarray(a) / b)


@check.finite
def inner(x):
    return np.einsum("i,i->", x, x)  # no ufunc: it says nothing where it overflows


@check.finite
def outer(q):
    return inner(q) ** 0.5


def test_what_overflows_is_refused():
    assert ratio(0.0, 2.0) == 1 and outer(np.array([3.0, 4.0])) == 5
    ending = "must not be so large or so small that the result is beyond float64"
    refused(ValueError, f"a, b {ending}", ratio, 1e3, 1e-3)
    refused(ValueError, f"a, b {ending}", ratio, np.zeros(1), b=0.0, form="log")
    refused(ValueError, f"x {ending}", inner, np.array([1e200]))
    refused(ValueError, f"q {ending}", outer, np.array([1e200]))  # its own argument, not that of inner
    with np.errstate(over="raise"):  # somebody else's
        refused(ValueError, f"q {ending}", outer, np.array([1e200]))


def test_what_came_stands_in_one_line():
    assert check.short(np.zeros((2, 2))) == "array([[0., 0.], [0., 0.]])"
    assert len(check.short("x" * 999)) == 100


def test_choices():
    assert check.choice("form", "log", ("log", "power")) == "log"
    assert check.choice("form", "log", {"log": 1}) == "log"
    refused(ValueError, "form must be one of log, power, got 'exp'", check.choice, "form", "exp", ("log", "power"))
    refused(
        ValueError, "form must be one of log, power, got ['log']", check.choice, "form", ["log"], ("log", "power")
    )
