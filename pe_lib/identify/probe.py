"""How somebody else's encoding is called: a function, a module or a class, made to give a plain table.

Tried in turn: f(length, width), f(positions, width), f(length), f(positions), f(x) with x of zeros, to which the
encoding may be added.  For modules f(x) comes first.  What comes back is known by its shape.
"""

import contextlib
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pe_lib import check
from pe_lib.identify.answer import Answer, ask

Options = Mapping[str, Any]  # by their names
# Unlike each other and any usual width, so that an axis is known by its length; fewer tokens where many are refused.
TOKENS, BATCH = (23, 11, 4), 3
USUAL_WIDTH = 64
WIDEST = 16_384  # columns


@dataclass(frozen=True)
class Way:
    """A way to call an encoding.

    arguments  (numpy or torch, n tokens, width, first position) -> the arguments of the call
    takes      what can be asked of it: another "width", "positions", or "x", the embeddings
    """

    name: str
    arguments: Callable[[Any, int, int, int], tuple]
    takes: frozenset[str]


def _length_and_width(library, n, d_model, start):
    return n, d_model


def _positions_and_width(library, n, d_model, start):
    return library.arange(start, start + n), d_model


def _length(library, n, d_model, start):
    return (n,)


def _positions(library, n, d_model, start):
    return (library.arange(start, start + n),)


def _batch_first(library, n, d_model, start):
    return (library.zeros((BATCH, n, d_model)),)


def _sequence_first(library, n, d_model, start):
    return (library.zeros((n, BATCH, d_model)),)


BATCH_FIRST = Way("f(x), batch first", _batch_first, frozenset({"x"}))
SEQUENCE_FIRST = Way("f(x), sequence first", _sequence_first, frozenset({"x"}))
WAYS = (
    Way("f(length, width)", _length_and_width, frozenset({"width"})),
    Way("f(positions, width)", _positions_and_width, frozenset({"width", "positions"})),
    Way("f(length)", _length, frozenset()),
    Way("f(positions)", _positions, frozenset({"positions"})),
    BATCH_FIRST,
    SEQUENCE_FIRST,
)
OPTIONS = {
    "base": ("base", "theta", "temperature", "max_period", "max_timescale", "max_wavelength"),
    "offset": ("offset", "start", "start_pos", "start_index", "start_position", "past_length"),
    "dtype": ("dtype",),
}
ITS_OWN = (NameError, ImportError, SystemExit)  # errors that no other call would avoid


@dataclass(frozen=True)
class Probe:
    """An encoding, a way to call it, and what was seen of it.

    takes          what can be asked: another "width" (for a class, of the constructor), "positions", or "x"
    options        the names it has for a base, an offset, a dtype
    tokens         the number of them that it gave a table of
    encodes_batch  fed batch first, it gave all tokens of a sequence the same row; it is called sequence first since
    """

    way: Way
    encode: Callable
    library: Any  # numpy or torch
    d_model: int
    takes: frozenset[str]
    options: dict[str, str]
    tokens: int = TOKENS[0]
    encodes_batch: bool = False

    def call(
        self, n: int, d_model: int | None = None, start: int = 0, x: Any = None, options: Options | None = None
    ) -> Any:
        """What it returns for n tokens, as it is; ``x`` instead of the zeros it would be given."""
        width = d_model or self.d_model
        arguments = (x,) if x is not None else self.way.arguments(self.library, n, width, start)
        is_class = inspect.isclass(self.encode)
        encode = self.encode(width) if is_class else self.encode
        torch = sys.modules.get("torch")
        no_gradients = torch.no_grad() if torch else contextlib.nullcontext()
        with np.errstate(all="ignore"), no_gradients, _evaluating(encode):
            return encode(*arguments, **(options or {}))

    def x(self, n: int, dtype: Any = None) -> Any:
        """Embeddings of zeros for n tokens, with the axes as it is called."""
        axes = (n, BATCH) if self.way is SEQUENCE_FIRST else (BATCH, n)
        return self.library.zeros((*axes, self.d_model), dtype=dtype)

    def answer(self, n: int, d_model: int | None = None, start: int = 0, options: Options | None = None) -> Answer:
        """Its table of n tokens.  -> the rows (n, d) float64, or why there are none

        d may be another than asked for, and values may be NaN.  No rows is also a ValueError or TypeError saying
        that something else came back.
        """
        return self.rows_in(self.values(n, d_model, start, options), n)

    def values(self, n: int, d_model: int | None = None, start: int = 0, options: Options | None = None) -> Answer:
        """The numbers it gives for n tokens, with whatever axes."""
        return ask(lambda: numbers(self.call(n, d_model, start, options=options)))

    def rows_in(self, answer: Answer, n: int) -> Answer:
        """An answer of `values`, as one row a token."""
        if not answer.ok:
            return answer
        rows = answer.value
        if rows.ndim == 3 and self.way is SEQUENCE_FIRST:
            rows = rows.swapaxes(0, 1)
        if rows.ndim == 3:
            rows = rows[0] if rows.shape[1] == n else rows[:, 0]
        if rows.ndim != 2 or len(rows) != n or rows.size == 0:
            return Answer(error=ValueError(f"it gives shape {answer.value.shape} for {n} tokens"))
        return Answer(rows)


def numbers(answer: Any) -> npt.NDArray[np.float64]:
    """An array or a tensor, alone or first in a tuple, as float64.  Raises TypeError for other things."""
    answer = first_of(answer)
    if hasattr(answer, "detach"):
        answer = answer.detach().cpu()
        answer = (answer.double() if answer.is_floating_point() else answer).numpy()
    if not isinstance(answer, np.ndarray):
        raise TypeError(f"it gives {type(answer).__name__}, not an array of real numbers")
    if answer.dtype.kind not in "iuf" or np.ma.is_masked(answer):
        kind = "masked entries" if np.ma.is_masked(answer) else answer.dtype
        raise TypeError(f"it gives {kind} in shape {answer.shape}, not real numbers")
    return np.array(answer, np.float64)


def first_of(answer: Any) -> Any:
    """The array or tensor that stands first in a tuple; anything else as it is."""
    if isinstance(answer, (tuple, list)) and len(answer) and hasattr(answer[0], "shape"):
        return answer[0]
    return answer


def probe(encode: Callable, d_model: int | None = None) -> Probe:
    """Finds out how to call ``encode``.  Raises ValueError if no way of calling it gives a table."""
    if not callable(encode):
        raise TypeError(f"encode must be something to call, got {encode!r} of type {type(encode).__name__}")
    if d_model is not None:
        d_model = check.size("d_model", d_model, least=2, most=WIDEST)
    failures = []
    for tokens in TOKENS:
        for candidate in _candidates(encode, d_model, tokens):
            seen, rows = _tried(candidate)
            if rows.ok:
                return replace(seen, d_model=rows.value.shape[1])
            failures.append((candidate, rows))
    raise ValueError(_no_way(failures, d_model))


def _no_way(failures: list[tuple[Probe, Answer]], d_model: int | None) -> str:
    """Why there is no table: what the code itself met comes before what the calls did wrong."""
    ways: dict[str, list[str]] = {}
    for candidate, rows in sorted(failures, key=lambda failure: not failure[1].is_from_within):
        names = ways.setdefault(rows.complaint(), [])
        if candidate.way.name not in names:
            names.append(candidate.way.name)
    says = [f"{complaint}, from {', '.join(names)}" for complaint, names in ways.items()]
    advice = "wrap it in a function of (length, width) or of positions"
    if any(isinstance(rows.error, ITS_OWN) for _, rows in failures):
        advice = "mend that first"
    elif d_model is None:
        advice = f"give d_model, or {advice}"
    return f"encode gives no table (rows, columns) in any known way: {'; '.join(says[:3])}; {advice}"


def _candidates(encode: Callable, d_model: int | None, tokens: int) -> Iterator[Probe]:
    """The ways to call it, the likeliest first."""
    is_module = hasattr(encode, "forward")
    ways = sorted(WAYS, key=lambda way: "x" not in way.takes) if is_module else WAYS
    constructor = {"width"} if inspect.isclass(encode) else set()
    options = _options(encode)
    for width in _widths(encode) if d_model is None else [d_model]:
        for way in ways:
            if "width" in way.takes and not _takes_width(encode):
                continue
            for library in _libraries(way, is_module):
                yield Probe(way, encode, library, width, way.takes | constructor, options, tokens)


def _libraries(way: Way, is_module: bool) -> list:
    """numpy, and torch if somebody has imported it; a module's own first.  A length is of no library."""
    libraries: list = [np]
    if "torch" in sys.modules:
        libraries.append(sys.modules["torch"])
    if is_module:
        libraries.reverse()
    return libraries if way.takes & {"positions", "x"} else libraries[:1]


def _tried(candidate: Probe) -> tuple[Probe, Answer]:
    """What calling it gives, sequence first if the batch is what it encodes."""
    tokens = candidate.tokens
    values = candidate.values(tokens)
    if candidate.way is BATCH_FIRST and values.ok and _differs_along_batch(values.value, tokens):
        candidate = replace(candidate, way=SEQUENCE_FIRST, encodes_batch=True)
        values = candidate.values(tokens)
    rows = candidate.rows_in(values, tokens)
    is_alike = rows.ok and (rows.value == rows.value[0]).all()
    if candidate.way is SEQUENCE_FIRST and is_alike:  # an encoding of fewer tokens, which one row of it is added to
        rows = Answer(error=ValueError(f"it gives the same row for each of {tokens} tokens"))
    return candidate, rows


def _differs_along_batch(values: npt.NDArray, tokens: int) -> bool:
    """Do sequences of zeros get different rows, and all tokens of one the same?  values (BATCH, tokens, ...)"""
    if values.shape[:2] != (BATCH, tokens):
        return False
    along_tokens = np.ptp(values, axis=1).max()
    along_batch = np.ptp(values, axis=0).max()
    return bool(along_tokens < 1e-6 < along_batch)


@contextlib.contextmanager
def _evaluating(encode):
    """Without dropout, where it is a module that trains."""
    training = getattr(encode, "training", False) and hasattr(encode, "eval")
    if training:
        encode.eval()
    try:
        yield
    finally:
        if training:
            encode.train()


def _widths(encode: Any) -> list[int]:
    """Widths to try: those that it seems to have, and a usual one."""
    held = ask(_widths_held, encode)
    return list(dict.fromkeys([*(held.value or []), USUAL_WIDTH]))


def _widths_held(encode: Any) -> list[int]:
    """Those that a module holds by name, and those of its tensors."""
    if inspect.isclass(encode) or not hasattr(encode, "__dict__"):
        return []
    widths = []
    for name, value in vars(encode).items():
        is_width = any(word in name for word in ("dim", "d_model", "channel"))
        if is_width and isinstance(value, int):
            widths.append(value)
    tensors = [*encode.buffers(), *encode.parameters()] if hasattr(encode, "buffers") else []
    tensors += [value for value in vars(encode).values() if getattr(value, "ndim", 0)]
    widths += [tensor.shape[-1] for tensor in tensors if tensor.ndim > 1]
    widths += [2 * tensor.shape[-1] for tensor in tensors if tensor.ndim == 1]  # of frequencies, one a pair
    return [int(width) for width in widths if 1 < width <= WIDEST]


def _takes_width(encode: Callable) -> bool:
    """Is the second argument a width?  One that may be left out is none, unless its name says so."""
    signature = ask(inspect.signature, encode)
    if not signature.ok:  # it has none that can be read
        return True
    parameters = list(signature.value.parameters.values())
    if len(parameters) < 2:
        return False
    second = parameters[1]
    return second.default is second.empty or second.name in ("d", "d_model", "dim", "width")


def _options(encode: Any) -> dict[str, str]:
    """The names under which it takes a base, an offset, a dtype."""
    signature = ask(inspect.signature, getattr(encode, "forward", encode))
    if not signature.ok:  # it has none that can be read
        return {}
    options = {}
    for kind, known in OPTIONS.items():
        for name in known:
            if name in signature.value.parameters:
                options[kind] = name
    return options
