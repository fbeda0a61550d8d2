"""The checks at the door: what every public function says about an argument it cannot use.

Each returns the value in the form the caller works with, or raises TypeError or ValueError with
the name of the argument, what was wanted and what came.
"""

import math
import numbers

import numpy as np


def size(name: str, value: int, *, even: bool = False, least: int = 1) -> int:
    """A whole number of at least ``least``; ``even`` asks for an even one."""
    wanted = f"{'an even' if even else 'a whole'} number >= {least}"
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} must be {wanted}, got {value!r} of type {type(value).__name__}")
    if value < least or (even and value % 2):
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


def share(name: str, value: float) -> float:
    """A number from 0 to 1."""
    value = real(name, value)
    if not 0 <= value <= 1:
        raise ValueError(f"{name} must be from 0 to 1, got {value}")
    return value


def reals(name: str, value, *, ndim: int | None = None) -> np.ndarray:
    """Finite real numbers as a float64 array, of ``ndim`` axes where that is given."""
    if hasattr(value, "detach"):  # a torch tensor: NumPy knows neither bfloat16 nor gradients
        value = value.detach().cpu()
        value = (value.double() if value.is_floating_point() else value).numpy()
    try:
        array = np.asarray(value)
    except ValueError:  # rows of different lengths
        raise ValueError(f"{name} must be an array of real numbers, got {value!r}") from None
    if array.dtype == object and all(isinstance(one, numbers.Real) for one in array.flat):
        array = np.array([real(name, one) for one in array.flat]).reshape(array.shape)   # beyond 64 bits, fractions
    if array.dtype.kind not in "iuf":
        raise TypeError(f"{name} must hold real numbers, got {value!r}")
    if ndim is not None and array.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} axes, got shape {array.shape}")
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite, got {array[~np.isfinite(array)].flat[0]}")
    return array


def choice(name: str, value: str, options) -> str:
    """One of ``options``."""
    if not isinstance(value, str) or value not in options:
        raise ValueError(f"{name} must be one of {', '.join(options)}, got {value!r}")
    return value
