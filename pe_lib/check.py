"""The checks at the door: what every public function says about an argument it cannot use.

Each returns the value in the form the caller works with, or raises TypeError or ValueError with
the name of the argument, what was wanted and what came.
"""

import functools
import inspect
import math
import numbers
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
P = ParamSpec("P")
Result = TypeVar("Result")

_INSIDE = ContextVar("_INSIDE", default=False)  # a formula that `finite` watches
MOST = 10**9  # of a size, and of the numbers in one array: 8 GB of float64


def size(name: str, value: int, *, even: bool = False, least: int = 1, most: float | None = None) -> int:
    """A whole number from ``least`` to ``most``, by default `MOST`; ``even`` asks for an even one."""
    a_number = f"{name} must be {'an even' if even else 'a whole'} number"
    if not _is(numbers.Integral, value):
        raise TypeError(f"{a_number} {_range(least, most)}, got {short(value)} of type {type(value).__name__}")
    number = int(value)
    if most is None and number > MOST:
        most = MOST
    if number < least or (most is not None and number > most) or (even and number % 2):
        raise ValueError(f"{a_number} {_range(least, most)}, got {short(number)}")
    return number


def real(name: str, value: float, *, above: float = -math.inf) -> float:
    """A finite real number greater than ``above``."""
    wanted = "a finite number" if above == -math.inf else f"a finite number > {above:g}"
    if not _is(numbers.Real, value):
        raise TypeError(f"{name} must be {wanted}, got {short(value)} of type {type(value).__name__}")
    try:
        number = float(value)
    except OverflowError:  # an integer beyond the range of float64
        number = math.inf
    if not (math.isfinite(number) and number > above):
        raise ValueError(f"{name} must be {wanted}, got {number}")
    return number


def between(name: str, value: float, least: float, most: float) -> float:
    """A number from ``least`` to ``most``."""
    number = real(name, value)
    if not least <= number <= most:
        raise ValueError(f"{name} must be a number {_range(least, most)}, got {number:.15g}")
    return number


def fraction(name: str, value: float) -> float:
    """A number from 0 to 1."""
    return between(name, value, 0, 1)


def _range(least: float, most: float | None) -> str:
    return f">= {least:,.10g}" if most in (None, math.inf) else f"from {least:,.10g} to {most:,.10g}"


def flag(name: str, value: bool) -> bool:
    """True or False, of Python or NumPy."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, got {short(value)}")
    return bool(value)


def choice(name: str, value: str, options: Iterable[str]) -> str:
    """One of ``options``."""
    if not isinstance(value, str) or value not in options:
        raise ValueError(f"{name} must be one of {', '.join(options)}, got {short(value)}")
    return value


def instance(name: str, value: Any, *kinds: type) -> None:
    """An object of one of these classes."""
    if not isinstance(value, kinds):
        wanted = " or ".join(f"{kind.__name__} of {kind.__module__.partition('.')[0]}" for kind in kinds)
        raise TypeError(f"{name} must be a {wanted}, got {short(value)} of type {type(value).__name__}")


def several(name: str, values: Iterable[Any], *kinds: type) -> list[Any]:
    """Objects of these classes, as a list."""
    if isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Iterable):
        raise TypeError(f"{name} must be a list, got {short(values)}")
    listed = list(values)
    for value in listed:
        instance(f"each of {name}", value, *kinds)
    return listed


def path(name: str, value: str | Path) -> Path:
    """The path of a file or a folder."""
    instance(name, value, str, Path)
    return Path(value)


def reals(name: str, value: ArrayLike, *, ndim: int | None = None) -> Floats:
    """Finite real numbers as a float64 array, of ``ndim`` axes if that is given.  A torch tensor will do."""
    array = _array(name, value)
    if array.dtype.kind not in "iuf":
        raise TypeError(f"{name} must hold real numbers, got {short(value)}")
    if ndim is not None and array.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} axes, got shape {array.shape}")
    with np.errstate(over="ignore"):  # what is beyond float64 becomes infinite
        array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite, got {array[~np.isfinite(array)].flat[0]}")
    return array


def integers(name: str, value: ArrayLike, *, ndim: int, least: int = -(2**63), most: int = 2**63 - 1) -> Integers:
    """Whole numbers from ``least`` to ``most`` as an int64 array of ``ndim`` axes."""
    array = _array(name, value)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name} must hold whole numbers, got {short(value)}")
    if array.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} axes, got shape {array.shape}")
    if array.size and not least <= array.min() <= array.max() <= most:
        raise ValueError(f"{name} must hold whole numbers {_range(least, most)}, got {array.min()} to {array.max()}")
    return array.astype(np.int64)


def axes(name: str, value: ArrayLike, **lengths: int | None) -> Floats:
    """Finite real numbers, with an axis for each keyword: ``axes("u", u, h=3, e=None)`` is (3, any length)."""
    array = reals(name, value, ndim=len(lengths))
    for axis, length, wanted in zip(lengths, array.shape, lengths.values(), strict=True):
        if wanted is not None and length != wanted:
            letters = ", ".join(lengths)
            raise ValueError(f"{name} must have the shape ({letters}) with {axis} = {wanted}, got {array.shape}")
    return array


def room(**lengths: int) -> None:
    """Lengths of the axes of an array that is to be made, by the names of the arguments that they come from."""
    if math.prod(lengths.values()) > MOST:
        got = " x ".join(f"{length:,}" for length in lengths.values())
        raise ValueError(f"{' and '.join(lengths)} must give at most {MOST:,} numbers, got {got}")


def finite(function: Callable[P, Result]) -> Callable[P, Result]:
    """A formula that overflows for some numbers raises ValueError then, instead of returning NaN or infinity."""
    signature = inspect.signature(function)

    @functools.wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> Result:
        if _INSIDE.get():  # another such formula, whose arguments are to be named
            return function(*args, **kwargs)
        token = _INSIDE.set(True)
        try:
            with np.errstate(over="raise", invalid="raise", divide="raise"):
                result = function(*args, **kwargs)
            if np.isfinite(np.asarray(result)).all():
                return result
        except FloatingPointError:
            pass
        finally:
            _INSIDE.reset(token)
        arguments = signature.bind(*args, **kwargs).arguments
        names = ", ".join(name for name, value in arguments.items() if not isinstance(value, (str, bool)))
        raise ValueError(f"{names} must not be so large or so small that the result is beyond float64")

    return checked


def _is(kind: type, value: Any) -> bool:
    """Is it a number of this kind?  Truth values and NumPy's times count as whole numbers elsewhere."""
    return isinstance(value, kind) and not isinstance(value, (bool, np.timedelta64))


def _array(name: str, value: Any) -> NDArray[Any]:
    """The value as an array of some type of numbers, or of whatever it holds."""
    if np.ma.is_masked(value):
        raise ValueError(f"{name} must have no masked entry, got {short(value)}")
    try:
        if hasattr(value, "detach"):  # a torch tensor: NumPy knows neither bfloat16 nor gradients
            value = value.detach().cpu().resolve_neg()
            value = (value.double() if value.is_floating_point() else value).numpy()
        array = np.asarray(value)
    except Exception:  # rows of different lengths, a sparse tensor, one without values
        raise ValueError(f"{name} must be an array of real numbers, got {short(value)}") from None
    if array.dtype == object and all(isinstance(entry, numbers.Real) for entry in array.flat):
        # Integers beyond 64 bits, and fractions.
        entries = [real(name, entry) for entry in array.flat]
        array = np.array(entries).reshape(array.shape)
    return array


def short(value: Any) -> str:
    """What came, in one line."""
    try:
        text = " ".join(repr(value).split())
    except Exception:  # an integer of thousands of digits
        return f"one of type {type(value).__name__}"
    return text if len(text) <= 100 else text[:97] + "..."
