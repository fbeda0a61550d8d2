"""How somebody else's encoding is called: a function, a module or a class, made to give a plain table.

Tried in turn: f(length, width), f(positions, width), f(length), f(positions), f(x) with x of zeros, to which the
encoding may be added.  For modules f(x) comes first.  What comes back is known by its shape.
"""

import contextlib
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

TOKENS, BATCH = 23, 3  # unlike each other and any usual width, so that an axis is known by its length

SEQUENCE_FIRST = "f(x), sequence first"
# how -> what can be asked of it, its arguments for n tokens of width d; ``lib`` is numpy or torch
WAYS = {
    "f(length, width)": ({"width"}, lambda lib, n, d, start: (n, d)),
    "f(positions, width)": ({"width", "positions"}, lambda lib, n, d, start: (lib.arange(start, start + n), d)),
    "f(length)": (set(), lambda lib, n, d, start: (n,)),
    "f(positions)": ({"positions"}, lambda lib, n, d, start: (lib.arange(start, start + n),)),
    "f(x), batch first": ({"x"}, lambda lib, n, d, start: (lib.zeros((BATCH, n, d)),)),
    SEQUENCE_FIRST: ({"x"}, lambda lib, n, d, start: (lib.zeros((n, BATCH, d)),)),
}
OPTIONS = {
    "base": ("base", "theta", "temperature", "max_period", "max_timescale", "max_wavelength"),
    "offset": ("offset", "start", "start_pos", "start_index", "start_position", "past_length"),
    "dtype": ("dtype",),
}


@dataclass(frozen=True)
class Probe:
    """A way to call an encoding, and what was seen of it.

    ``takes`` says what can be asked: another "width" (for a class, of the constructor), "positions", or "x".
    ``options`` are the names it has for a base, an offset, a dtype.  ``encodes_batch`` tells that, fed batch first,
    it gave all tokens of a sequence the same row; it is then called sequence first.
    """

    how: str
    encode: Callable
    library: object  # numpy or torch
    d_model: int
    takes: frozenset
    options: dict
    encodes_batch: bool = False

    def call(self, n: int, d_model: int | None = None, start: int = 0, x=None, **options):
        """What it returns for n tokens, as it is; ``x`` instead of the zeros it would be given."""
        arguments = WAYS[self.how][1](self.library, n, d_model or self.d_model, start) if x is None else (x,)
        made = self.encode(d_model or self.d_model) if inspect.isclass(self.encode) else self.encode
        torch = sys.modules.get("torch")
        with np.errstate(all="ignore"), torch.no_grad() if torch else contextlib.nullcontext(), _evaluating(made):
            return made(*arguments, **options)

    def x(self, n: int, **options):
        """Embeddings of zeros for n tokens, with the axes as it is called."""
        axes = (n, BATCH) if self.how == SEQUENCE_FIRST else (BATCH, n)
        return self.library.zeros((*axes, self.d_model), **options)

    def rows(self, n: int, d_model: int | None = None, start: int = 0, **options) -> np.ndarray:
        """The table of n tokens.  -> (n, d) float64; d may be another than asked for, and values may be NaN

        Raises what the encoding raises, and ValueError or TypeError if it does not give n rows of real numbers.
        """
        return self.table(self.call(n, d_model, start, **options), n)

    def table(self, answer, n: int) -> np.ndarray:
        """What came back, as one row a token; see `rows`."""
        values = numbers(answer)
        if values.ndim == 3 and self.how == SEQUENCE_FIRST:
            values = values.swapaxes(0, 1)
        if values.ndim == 3:
            values = values[0] if values.shape[1] == n else values[:, 0]
        if values.ndim != 2 or len(values) != n:
            raise ValueError(f"it gives shape {numbers(answer).shape} for {n} tokens")
        return values


def numbers(answer) -> np.ndarray:
    """An array or a tensor, alone or first in a tuple, as float64.  Raises TypeError for other things."""
    if isinstance(answer, (tuple, list)) and len(answer) and hasattr(answer[0], "shape"):
        answer = answer[0]
    if hasattr(answer, "detach"):
        answer = answer.detach().cpu().double().numpy()
    if not isinstance(answer, np.ndarray) or answer.dtype.kind not in "iuf":
        raise TypeError(f"it gives {type(answer).__name__}, not an array of real numbers")
    return answer.astype(np.float64)


def probe(encode, d_model: int | None = None) -> Probe:
    """Finds out how to call ``encode``.  Raises ValueError if no way of calling it gives a table."""
    failed, module = [], hasattr(encode, "forward")
    libraries = [np, *filter(None, [sys.modules.get("torch")])][:: -1 if module else 1]
    for width in _widths(encode) if d_model is None else [d_model]:
        for how in sorted(WAYS, key=lambda way: module and not way.startswith("f(x)")):
            if "width" in how and not _takes_width(encode):
                continue
            for library in libraries if "length" not in how else libraries[:1]:
                takes = frozenset(WAYS[how][0] | ({"width"} if inspect.isclass(encode) else set()))
                found = Probe(how, encode, library, width, takes, _options(encode))
                try:
                    answer = found.call(TOKENS)
                    values = numbers(answer)
                    if how == "f(x), batch first" and values.shape[:2] == (BATCH, TOKENS):
                        along_tokens, along_batch = np.ptp(values, axis=1).max(), np.ptp(values, axis=0).max()
                        if along_tokens < 1e-6 < along_batch:
                            found = replace(found, how=SEQUENCE_FIRST, encodes_batch=True)
                            answer = found.call(TOKENS)
                    return replace(found, d_model=found.table(answer, TOKENS).shape[1])
                except Exception as error:
                    failed.append(
                        f"{how}: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
                    )
    ways = "; ".join(dict.fromkeys(failed))
    wanted = "give d_model, or wrap it in a function of (length, width) or of positions"
    raise ValueError(f"encode gives no table (rows, columns) in any known way; {wanted}. Tried {ways}")


@contextlib.contextmanager
def _evaluating(made):
    """Without dropout, where it is a module that trains."""
    training = getattr(made, "training", False) and hasattr(made, "eval")
    if training:
        made.eval()
    try:
        yield
    finally:
        if training:
            made.train()


def _widths(encode):
    """Widths to try: those that a module holds by name, those of its tensors, and a usual one."""
    if inspect.isclass(encode) or not hasattr(encode, "__dict__"):
        return [64]
    held = {name: one for name, one in vars(encode).items() if isinstance(one, int) and not isinstance(one, bool)}
    named = [one for name, one in held.items() if one > 1 and any(w in name for w in ("dim", "d_model", "channel"))]
    tensors = [*encode.buffers(), *encode.parameters()] if hasattr(encode, "buffers") else []
    tensors += [one for one in vars(encode).values() if getattr(one, "ndim", 0)]
    tables = [one.shape[-1] for one in tensors if one.ndim > 1]
    twice = [2 * one.shape[-1] for one in tensors if one.ndim == 1]  # of frequencies, one a pair
    return list(dict.fromkeys([*named, *tables, *twice, 64]))


def _takes_width(encode):
    """Is the second argument a width?  One that may be left out is none, unless its name says so."""
    try:
        parameters = list(inspect.signature(encode).parameters.values())[1:2]
    except (TypeError, ValueError):
        return True
    return any(one.default is one.empty or one.name in ("d", "d_model", "dim", "width") for one in parameters)


def _options(encode):
    """The names under which it takes a base, an offset, a dtype."""
    try:
        names = inspect.signature(getattr(encode, "forward", encode)).parameters
    except (TypeError, ValueError):
        return {}
    return {kind: name for kind, known in OPTIONS.items() for name in known if name in names}
