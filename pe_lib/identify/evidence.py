"""What an encoding does when it is called: every call is made once, here, and what came back is kept.

A call that raises is evidence too.  Calls that may ruin the state of an encoding come last.
"""

import inspect
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from pe_lib import check
from pe_lib.conventions import Convention
from pe_lib.identify.answer import Answer, ask
from pe_lib.identify.identification import Identification, as_table
from pe_lib.identify.misreading import Misreading, explanation
from pe_lib.identify.probe import WIDEST, Probe, first_of, numbers, probe

SAMPLE = 256  # tokens whose table is named by the command
LONGEST, LONGEST_WIDE, WIDE = 24_000, 9_000, 128  # tokens that are tried, and beyond how many columns the fewer
FAR, FAR_ROWS = 2**17, 2048  # tokens: where positions can be given, the last rows before this one are looked at
# Lengths that no other call has, so that what is kept for one of them is of this call.
OPTION, OPTION_FRESH = 37, 41
DTYPE, DTYPE_FRESH = 43, 47
SHORT, LONG = 12, 31
OTHER_WIDTH = 17
NOT_ASKED = Answer()
OPTION_VALUES = {"base": 777.0, "offset": 5}


@dataclass(frozen=True)
class Limit:
    """The most tokens that an encoding can encode, a number at which it fails, and how."""

    tokens: int
    fails_at: int
    error: BaseException


@dataclass(frozen=True)
class OptionAnswers:
    """Tables with an option called ``name`` set to ``value``.  An error means that it has a meaning of its own.

    plain  without it
    same   with it, of as many tokens
    fresh  with it, of a number of tokens that was not asked for before
    """

    name: str
    value: float
    plain: Answer
    same: Answer
    fresh: Answer


@dataclass(frozen=True)
class DtypeAnswers:
    """Tables in a coarse and a fine precision.  An error means that it refuses one of the two.

    first  in the coarse one
    after  in the fine one, of as many tokens
    fresh  in the fine one, of a number of tokens that was not asked for before
    """

    coarse: Any
    fine: Any
    first: Answer
    after: Answer
    fresh: Answer


@dataclass(frozen=True)
class Evidence:
    """What is known of an encoding, or of a table alone: then only ``rows`` and ``sample``.

    rows           the table as long as it goes, (t, d) float64; where it is not finite nothing more was asked
    base           the one that is meant
    tolerance      the error of an entry from which on a position is wrong
    sample         its table of 256 tokens, or the whole table
    limit          where it fails, if it does
    far            rows from position ``far_start`` on, where positions can be given
    options        what its options do
    dtypes         what a call in low precision leaves behind
    widths         tables of other widths, where it can be asked for them
    encodes_batch  fed batch first, it gave all tokens of a sequence the same row
    input_after    zeros that it was fed, after the call
    short, long    its tables of 12 and of 31 tokens
    overwritten    its table of 31 tokens, after the answer to a call like this one was overwritten by the caller
    """

    rows: npt.NDArray[np.float64]
    base: float = 10_000.0
    tolerance: float = 1e-3
    sample: Answer = NOT_ASKED
    limit: Limit | None = None
    far: Answer | None = None
    far_start: int = FAR - FAR_ROWS
    options: tuple[OptionAnswers, ...] = ()
    dtypes: DtypeAnswers | None = None
    widths: tuple[tuple[int, Answer], ...] = ()
    encodes_batch: bool = False
    input_after: Answer | None = None
    short: Answer | None = None
    long: Answer | None = None
    overwritten: Answer | None = None

    @property
    def named(self) -> npt.NDArray[np.float64]:
        """What the command names: the sample, or as many rows as there are."""
        return self.rows[:SAMPLE] if self.sample.value is None else self.sample.value

    @property
    def is_finite(self) -> bool:
        """No NaN and nothing infinite among the rows."""
        return bool(np.isfinite(self.rows).all())

    @cached_property
    def explanation(self) -> Identification | Misreading | None:
        """What made the first rows; None if they are not finite."""
        return explanation(self.rows, self.base) if self.is_finite else None

    @property
    def line(self) -> Convention | None:
        """The convention that the first rows follow, if it is one of a line."""
        if not isinstance(self.explanation, Identification):
            return None
        convention = self.explanation.convention
        return convention if isinstance(convention, Convention) else None


def gather(encode: Any, d_model: int | None = None, *, base: float = 10_000.0, tolerance: float = 1e-3) -> Evidence:
    """The evidence of an encoding, which is called, or of a table.  Arguments as of `diagnose`."""
    base = check.real("base", base, above=1)
    tolerance = check.real("tolerance", tolerance, above=0)
    if d_model is not None:
        d_model = check.size("d_model", d_model, least=2, most=WIDEST)
    if is_table(encode):
        table = _table(encode, d_model)
        return Evidence(table, base, tolerance, sample=Answer(table))
    of_widths = probe(encode, d_model)
    # Of a class one instance is asked about all but widths: its state is then that of a user's module.
    probed = _instance(of_widths) if inspect.isclass(encode) else of_widths
    first = probed.answer(probed.tokens)
    if not first.ok:
        raise ValueError(f"encode gave a table of {probed.tokens} tokens, but not twice: {first.complaint()}")
    sample = probed.answer(SAMPLE)
    if sample.ok and sample.value.shape[1] != first.value.shape[1]:
        shapes = f"{first.value.shape} and {sample.value.shape}"
        raise ValueError(f"encode must give as many columns at every length, got {shapes}")
    rows, limit = _longest(probed, first.value)
    if not np.isfinite(rows).all():
        return Evidence(rows, base, tolerance, sample, limit)
    # Asked in this order: the last may ruin its state.
    return Evidence(
        rows,
        base,
        tolerance,
        sample,
        limit,
        far=_far(probed) if limit is None else None,
        options=_options(probed),
        dtypes=_dtypes(probed),
        widths=_widths(of_widths, len(rows)),
        encodes_batch=probed.encodes_batch,
        input_after=_input_after(probed),
        short=probed.answer(SHORT),
        long=probed.answer(LONG),
        overwritten=_overwritten(probed),
    )


def is_table(encode: Any) -> bool:
    """Is it something with values, rather than something to call?"""
    return not callable(encode) or hasattr(encode, "detach")


def _table(encode: Any, d_model: int | None) -> npt.NDArray[np.float64]:
    """What is no code, as a table, with the width that was asked for."""
    if not isinstance(encode, list | tuple) and not hasattr(encode, "shape"):
        raise TypeError(f"encode must be something to call, or a table, got {type(encode).__name__}")
    table = as_table(encode)
    if d_model not in (None, table.shape[1]):
        raise ValueError(f"d_model must be {table.shape[1]}, the columns of the table, or left out, got {d_model}")
    return table


def _instance(of_widths: Probe) -> Probe:
    """An instance of a class, probed."""
    instance = ask(of_widths.encode, of_widths.d_model)
    if not instance.ok:
        raise ValueError(f"encode could be made, but not twice: {instance.complaint()}")
    return probe(instance.value, of_widths.d_model)


def _longest(probed: Probe, longest: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], Limit | None]:
    """As many rows as let slow errors show, or as there are, from those on that it surely has; and the limit."""
    fails_at = LONGEST if probed.d_model <= WIDE else LONGEST_WIDE
    answer = probed.answer(fails_at)
    if answer.error is None:
        return answer.value, None
    error, tokens = answer.error, len(longest)
    while fails_at - tokens > 1:
        middle = (tokens + fails_at) // 2
        answer = probed.answer(middle)
        if answer.error is None:
            tokens, longest = middle, answer.value
        else:
            fails_at, error = middle, answer.error
    return longest, Limit(tokens, fails_at, error)


def _far(probed: Probe) -> Answer | None:
    if "positions" not in probed.takes:
        return None
    return probed.answer(FAR_ROWS, start=FAR - FAR_ROWS)


def _options(probed: Probe) -> tuple[OptionAnswers, ...]:
    answers = []
    for kind, value in OPTION_VALUES.items():
        if kind not in probed.options:
            continue
        name = probed.options[kind]
        setting = {name: value}
        plain = probed.answer(OPTION)
        same = probed.answer(OPTION, options=setting)
        fresh = probed.answer(OPTION_FRESH, options=setting)
        answers.append(OptionAnswers(name, value, plain, same, fresh))
    return tuple(answers)


def _dtypes(probed: Probe) -> DtypeAnswers | None:
    """Calls in a coarse and a fine precision, of x or by an option; None if there is neither."""
    if probed.library is np:
        coarse, fine = np.float16, np.float64
    else:
        coarse, fine = probed.library.bfloat16, probed.library.float32
    if "x" in probed.takes:
        asked = _with_x
    elif "dtype" in probed.options:
        asked = _with_option
    else:
        return None
    first = asked(probed, DTYPE, coarse)
    after = asked(probed, DTYPE, fine)
    fresh = asked(probed, DTYPE_FRESH, fine)
    return DtypeAnswers(coarse, fine, first, after, fresh)


def _with_x(probed: Probe, n: int, dtype: Any) -> Answer:
    return probed.rows_in(ask(lambda: numbers(probed.call(n, x=probed.x(n, dtype=dtype)))), n)


def _with_option(probed: Probe, n: int, dtype: Any) -> Answer:
    return probed.answer(n, options={probed.options["dtype"]: dtype})


def _widths(probed: Probe, most: int) -> tuple[tuple[int, Answer], ...]:
    """Small widths and an odd one, where another width can be asked for; of at most so many tokens."""
    if "width" not in probed.takes:
        return ()
    odd = probed.d_model + 1 - probed.d_model % 2
    n = min(OTHER_WIDTH, most)
    return tuple((width, probed.answer(n, width)) for width in (2, 3, 4, 6, odd))


def _input_after(probed: Probe) -> Answer | None:
    if "x" not in probed.takes:
        return None
    x = probed.x(LONG)
    called = ask(probed.call, LONG, x=x)
    return Answer(numbers(x)) if called.ok else called


def _overwritten(probed: Probe) -> Answer | None:
    """Its table after an answer was overwritten, and put back afterwards; None if that cannot be done."""
    called = ask(probed.call, LONG)
    store = first_of(called.value)
    if hasattr(store, "detach"):
        store = store.detach()
    elif not getattr(getattr(store, "flags", None), "writeable", False):
        return None
    before = store.clone() if hasattr(store, "clone") else store.copy()
    if not ask(store.__setitem__, ..., 7).ok:  # an expanded tensor refuses
        return None
    rows = probed.answer(LONG)
    store[...] = before
    return rows
