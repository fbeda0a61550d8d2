"""The text of an identification, a small function a sentence.  Digits of rounding are left out: machines differ."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pe_lib.conventions import CONVENTIONS, Convention, GridConvention
from pe_lib.identify.estimate import Fit


@dataclass(frozen=True)
class Facts:
    """What the sentences are made of.

    fit       the convention that is named
    one_pair  there is but one pair: base and schedule are any
    error     the largest difference between table and convention, and the row ``worst`` where it is
    zeros     rows of zeros, which were left out
    fits      all that fit equally well, the one that is named first
    """

    n_row: int
    d_model: int
    fit: Fit
    one_pair: bool
    error: float
    worst: int
    zeros: npt.NDArray[np.integer]
    fits: list[Fit]


def text_of_line(facts: Facts) -> str:
    """The text of a table whose convention was found, a line a sentence."""
    sentences = [sentence(facts) for sentence in SENTENCES]
    return _lines([sentence for sentence in sentences if sentence])


def text_of_grid(grid: tuple[int, int], d_model: int, convention: GridConvention, schedule: str, error: float) -> str:
    """The text of a table of the cells of a grid of (rows, columns)."""
    height, width = grid
    blocks, base = ", ".join(convention.blocks), f"base {convention.base:.10g}"
    cells = f"a grid of {height} x {width} cells"
    sentences = [
        f"{_shape(height * width, d_model)}: sinusoidal, {cells}, blocks {blocks}, schedule {schedule}, {base}",
        f"largest difference: {_difference(error)}",
    ]
    names = [name for name, known in CONVENTIONS.items() if known == convention]
    if names:
        sentences.append(f"as in: {', '.join(names)}")
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
    fit = facts.fit
    kind = f"schedule {fit.schedule}, base {fit.base:.10g}"
    if facts.one_pair:
        kind = "schedule any, any base"
    return f"{_shape(facts.n_row, facts.d_model)}: sinusoidal, layout {fit.layout}, {kind}"


def _position(facts: Facts) -> str:
    row_0 = f"row 0 is position {facts.fit.offset:.10g}"
    if facts.fit.step == 1:
        return row_0
    return f"{row_0}, from row to row the position changes by {facts.fit.step:.10g}"


def _scale(facts: Facts) -> str:
    scale = facts.fit.scale
    if scale == 1:
        return ""
    by_width = np.isclose(scale, facts.d_model**-0.5, rtol=1e-3)
    return f"all entries are multiplied by {scale:.6g}{' = d_model**-0.5' if by_width else ''}"


def _odd_width(facts: Facts) -> str:
    return f"the odd width is made by {facts.fit.odd}" if facts.d_model % 2 else ""


def _zeros(facts: Facts) -> str:
    if len(facts.zeros) == 0:
        return ""
    return f"left out: {len(facts.zeros)} rows of zeros, the first is row {facts.zeros[0]}"


def _largest_difference(facts: Facts) -> str:
    where = f", in row {facts.worst}" if facts.error > 1e-12 else ""
    return f"largest difference: {_difference(facts.error)}{where}"


def _measured_base(facts: Facts) -> str:
    fit = facts.fits[0]
    if facts.one_pair or fit.doubt <= 1e-4:
        return ""
    return f"the base is measured as {fit.measured:.4g}, give or take {fit.doubt:.1%}"


def _one_pair(facts: Facts) -> str:
    return "one pair turns by 1 radian a token whatever base and schedule are" if facts.one_pair else ""


def _other_schedules(facts: Facts) -> str:
    """The best fit of each other schedule."""
    if facts.one_pair:
        return ""
    others = {}
    for fit in reversed(facts.fits):
        others[fit.schedule] = f"the same values, as nearly: {fit.schedule} with base {fit.base:.6g}"
    others.pop(facts.fit.schedule)
    return _lines(list(others.values()))


def _two_columns(facts: Facts) -> str:
    if facts.d_model == 2 and facts.fit.layout == "interleaved":
        return "with two columns interleaved and halves are the same"
    return ""


def _well_known(facts: Facts) -> str:
    """Who makes such a table; if nobody begins it at the same position, who makes one that begins at another."""
    if facts.one_pair:
        return ""
    lines = {name: known for name, known in CONVENTIONS.items() if isinstance(known, Convention)}
    alike = [name for name, known in lines.items() if _is_like(known, facts.fit, facts.d_model)]
    same = [name for name in alike if lines[name].offset == facts.fit.offset]
    if same:
        return f"as in: {', '.join(same)}"
    return f"as in, but for row 0: {', '.join(alike)}" if alike else ""


def _is_like(known: Convention, fit: Fit, d_model: int) -> bool:
    """Does a well-known convention make such a table, from whatever row on?"""
    fields = ["layout", "schedule", "base", "step"]
    if d_model % 2:
        fields.append("odd")
    scale = d_model**-0.5 if isinstance(known.scale, str) else known.scale
    if not np.isclose(scale, fit.scale, rtol=1e-3):
        return False
    return all(getattr(known, field) == getattr(fit, field) for field in fields)


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
