"""The checks at the door: what every public function says about an argument it cannot use.

Each returns the value in the form the caller works with, or raises TypeError or ValueError with
the name of the argument, what was wanted and what came.
"""

import math
import numbers
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def size(name: str, value: int, *, even: bool = False, least: int = 1, most: int | None = None) -> int:
    """A whole number from ``least`` to ``most``; ``even`` asks for an even one."""
    wanted = f"{'an even' if even else 'a whole'} number {_range(least, most)}"
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} must be {wanted}, got {value!r} of type {type(value).__name__}")
    if value < least or (most is not None and value > most) or (even and value % 2):
        raise ValueError(f"{name} must be {wanted}, got {value}")
    return int(value)


def real(name: str, value: float, *, above: float = -math.inf) -> float:
    """A finite real number greater than ``above``."""
    wanted = "a finite number" if above == -math.inf else f"a finite number > {above:g}"
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be {wanted}, got {value!r} of type {type(value).__name__}")
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
        raise ValueError(f"{name} must be a number {_range(least, most)}, got {number:g}")
    return number


def share(name: str, value: float) -> float:
    """A number from 0 to 1."""
    return between(name, value, 0, 1)


def _range(least: float, most: float | None) -> str:
    return f">= {least:,.10g}" if most is None else f"from {least:,.10g} to {most:,.10g}"


def reals(name: str, value: ArrayLike, *, ndim: int | None = None) -> Floats:
    """Finite real numbers as a float64 array, of ``ndim`` axes if that is given.  A torch tensor will do."""
    array = _array(name, value)
    if array.dtype.kind not in "iuf":
        raise TypeError(f"{name} must hold real numbers, got {value!r}")
    if ndim is not None and array.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} axes, got shape {array.shape}")
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite, got {array[~np.isfinite(array)].flat[0]}")
    return array


def axes(name: str, value: ArrayLike, **lengths: int | None) -> Floats:
    """Finite real numbers, with an axis for each keyword: ``axes("u", u, h=3, e=None)`` is (3, any length)."""
    array = reals(name, value, ndim=len(lengths))
    for axis, length, wanted in zip(lengths, array.shape, lengths.values(), strict=True):
        if wanted is not None and length != wanted:
            letters = ", ".join(lengths)
            raise ValueError(f"{name} must have the shape ({letters}) with {axis} = {wanted}, got {array.shape}")
    return array


def choice(name: str, value: str, options: Iterable[str]) -> str:
    """One of ``options``."""
    if not isinstance(value, str) or value not in options:
        raise ValueError(f"{name} must be one of {', '.join(options)}, got {value!r}")
    return value


def _array(name: str, value: Any) -> NDArray[Any]:
    """The value as an array of some type of numbers, or of whatever it holds."""
    if hasattr(value, "detach"):  # a torch tensor: NumPy knows neither bfloat16 nor gradients
        value = value.detach().cpu()
        value = (value.double() if value.is_floating_point() else value).numpy()
    try:
        array = np.asarray(value)
    except ValueError:  # rows of different lengths
        raise ValueError(f"{name} must be an array of real numbers, got {value!r}") from None
    if array.dtype == object and all(isinstance(entry, numbers.Real) for entry in array.flat):
        # Integers beyond 64 bits, and fractions.
        entries = [real(name, entry) for entry in array.flat]
        array = np.array(entries).reshape(array.shape)
    return array
