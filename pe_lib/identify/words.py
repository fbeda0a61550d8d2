"""The text of an identification, a small function a sentence.  Digits of rounding are left out: machines differ."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pe_lib.conventions import CONVENTIONS, Convention, GridConvention
from pe_lib.identify.estimate import Fit

if TYPE_CHECKING:
    from pe_lib.identify.identification import Identification


@dataclass(frozen=True)
class Facts:
    """What the sentences are made of.

    line        the identification, still without text
    zeros       rows of zeros, which were left out
    worst       the row where table and convention differ most
    fits        all that fit equally well, the one that was named first
    """

    n_row: int
    d_model: int
    line: "Identification"
    zeros: npt.NDArray[np.integer]
    worst: int
    fits: list[Fit]


def text_of_line(facts: Facts) -> str:
    """The text of a table whose convention was found, a line a sentence."""
    sentences = [sentence(facts) for sentence in SENTENCES]
    return _lines([sentence for sentence in sentences if sentence])


def text_of_grid(n_cell: int, d_model: int, width: int, line: "Identification") -> str:
    """The text of a table of the cells of a grid, ``width`` cells a row."""
    convention = line.convention
    known = [name for name, known in CONVENTIONS.items() if known == convention]
    cells = f"a grid of {n_cell // width} x {width} cells"
    schedule, base = line.schedule or "any", f"base {line.convention.base:.10g}"
    sentences = [
        f"{_shape(n_cell, d_model)}: sinusoidal, {cells}, blocks {line.layout}, schedule {schedule}, {base}",
        f"largest difference: {_difference(line.error)}",
    ]
    if known:
        sentences.append(f"as in: {', '.join(known)}")
    return _lines(sentences)


def text_of_none(n_row: int, d_model: int, verdict: str, seen: list[str]) -> str:
    """The text of a table without a name: the verdict, and what was seen."""
    return _lines([f"{_shape(n_row, d_model)}: {verdict}", *seen])


def _lines(sentences: list[str]) -> str:
    return "\n  ".join(sentences)


def _shape(n_row: int, d_model: int) -> str:
    return f"{n_row} rows of {d_model} columns"


def _difference(error: float) -> str:
    return f"{error:.1e}" if error > 1e-12 else "less than 1e-12"


# The sentences: each says nothing where there is nothing to say


def _convention(facts: Facts) -> str:
    line = facts.line
    base = f"base {line.base:.10g}" if line.base else "any base"
    shape = _shape(facts.n_row, facts.d_model)
    return f"{shape}: sinusoidal, layout {line.layout}, schedule {line.schedule or 'any'}, {base}"


def _position(facts: Facts) -> str:
    row_0 = f"row 0 is position {facts.line.offset:.10g}"
    if facts.line.step == 1:
        return row_0
    return f"{row_0}, from row to row the position changes by {facts.line.step:.10g}"


def _scale(facts: Facts) -> str:
    scale = facts.line.scale
    if scale == 1:
        return ""
    by_width = np.isclose(scale, facts.d_model**-0.5, rtol=1e-3)
    return f"all entries are multiplied by {scale:.6g}{' = d_model**-0.5' if by_width else ''}"


def _odd_width(facts: Facts) -> str:
    return f"the odd width is made by {facts.line.odd}" if facts.d_model % 2 else ""


def _zeros(facts: Facts) -> str:
    if len(facts.zeros) == 0:
        return ""
    return f"left out: {len(facts.zeros)} rows of zeros, the first is row {facts.zeros[0]}"


def _largest_difference(facts: Facts) -> str:
    where = f", in row {facts.worst}" if facts.line.error > 1e-12 else ""
    return f"largest difference: {_difference(facts.line.error)}{where}"


def _measured_base(facts: Facts) -> str:
    fit = facts.fits[0]
    if not facts.line.base or fit.doubt <= 1e-4:
        return ""
    return f"the base is measured as {fit.measured:.4g}, give or take {fit.doubt:.1%}"


def _one_pair(facts: Facts) -> str:
    return "" if facts.line.base else "one pair turns by 1 radian a token whatever base and schedule are"


def _other_schedules(facts: Facts) -> str:
    """The best fit of each other schedule."""
    if not facts.line.base:
        return ""
    others = {}
    for fit in reversed(facts.fits):
        others[fit.schedule] = f"the same values, as nearly: {fit.schedule} with base {fit.base:.6g}"
    others.pop(facts.line.schedule)
    return _lines(list(others.values()))


def _two_columns(facts: Facts) -> str:
    if facts.d_model == 2 and facts.line.layout == "interleaved":
        return "with two columns interleaved and halves are the same"
    return ""


def _well_known(facts: Facts) -> str:
    """Who makes such a table; if nobody begins it at the same position, who makes one that begins at another."""
    lines = {name: known for name, known in CONVENTIONS.items() if isinstance(known, Convention)}
    alike = [name for name, known in lines.items() if _is_like(known, facts.line, facts.d_model)]
    same = [name for name in alike if lines[name].offset == facts.line.offset]
    if same:
        return f"as in: {', '.join(same)}"
    return f"as in, but for row 0: {', '.join(alike)}" if alike else ""


def _is_like(known: Convention | GridConvention, line: "Identification", d_model: int) -> bool:
    """Does a well-known convention make such a table, from whatever row on?"""
    fields = ["layout", "schedule", "base", "step"]
    if d_model % 2:
        fields.append("odd")
    scale = d_model**-0.5 if known.scale == "d_model**-0.5" else known.scale
    if not np.isclose(scale, line.scale, rtol=1e-3):
        return False
    return all(getattr(known, field) == getattr(line, field) for field in fields)


SENTENCES = (
    _convention,
    _position,
    _scale,
    _odd_width,
    _zeros,
    _largest_difference,
    _measured_base,
    _one_pair,
    _other_schedules,
    _two_columns,
    _well_known,
)
