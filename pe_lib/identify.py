"""Which convention made a position table, from its values alone, and what is wrong with code that makes one.

    python -m pe_lib.identify FILE[:TENSOR]             .npy .npz .csv .pt .pth .safetensors
    python -m pe_lib.identify PACKAGE.MODULE:CALLABLE   a function, a module or a class of your own

`estimate` measures, on the first rows; here it is said in words.  A convention is named only if it makes the whole
table again.  (Files are read without executing anything in them; a module that is named is imported.)
"""

import argparse
import contextlib
import importlib
import inspect
import json
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from pe_lib import check, estimate
from pe_lib.conventions import CONVENTIONS, Convention, GridConvention
from pe_lib.probe import BATCH, TOKENS, numbers, probe
from pe_lib.sinusoidal import column_order, frequencies

FAR = 2**17  # tokens: where positions can be given, the last 2048 before this one are looked at
MOST_ROWS = 1024  # rows from which the convention is found; all rows are then compared with it


@dataclass(frozen=True)
class Identification:
    """What `identify` found.  ``layout`` is None where nothing fits, and all fields but ``text`` then are None too.

    The fields are those of `sinusoidal.Convention`; of a grid, ``layout`` has the four blocks ("sin w, cos w, ...").
    ``schedule`` and ``base`` are None where one pair is all there is, since its frequency is 1 whatever they are.
    ``error`` is the largest difference between the table and the convention.  ``text`` says what was found, what
    could not be known, and on what evidence.
    """

    layout: str | None
    schedule: str | None = None
    base: float | None = None
    offset: float | None = None
    scale: float | None = None
    odd: str | None = None
    step: float | None = None
    error: float | None = None
    text: str = ""

    def __str__(self):
        return self.text

    @property
    def convention(self) -> Convention | GridConvention | None:
        """The convention found, or None; base and schedule are the paper's where they cannot be known."""
        if self.layout is None:
            return None
        base, schedule = self.base or 10_000.0, self.schedule or "paper"
        if "," in self.layout:
            return GridConvention(tuple(self.layout.split(", ")), schedule, base)
        return Convention(self.layout, schedule, base, self.odd, self.offset, self.scale, step=self.step)


def identify(table) -> Identification:
    """The convention that made a table, from its values.  table (t, d), t >= 3, d >= 2, rows in order

    The base is estimated from the turning of the columns, so any base is found, as are offset, scale, and the
    step between rows where it is not 1 (offsets up to 1e6; for a step three pairs, and less than 3 tokens).  Rows
    that are all zero, as of a padding token, are left out.  A base, an offset or a scale is given as the roundest
    number that the values allow.  Of a grid, tables of at least 3 x 3 cells are found, from position 0 on and at
    scale 1.
    Impossible in principle, and said so in the text: fewer than three rows; one column; the base and the schedule of
    a single pair; which schedule, where another with another base makes the same table (the rounder base is named).
    Raises ValueError or TypeError if the table is empty, not finite, not real or has other than 2 axes.
    """
    return _identified(as_table(table))


def _identified(table, wrong_angles=False):
    shape = f"{table.shape[0]} rows of {table.shape[1]} columns"
    row = np.flatnonzero(table.any(axis=1))
    if table.shape[1] < 2 or len(row) < 3:
        why = "it takes 3 rows and 2 columns that are not zero to tell a wave from a constant"
        return Identification(None, text=f"{shape}: cannot be known: {why}")
    if not np.ptp(table[row], axis=0).any():
        why = "all rows are the same, nothing depends on the position"
        return Identification(None, text=f"{shape}: cannot be known: {why}")
    some = row[:MOST_ROWS]
    largest = np.abs(table[some]).max()
    size = largest * np.sqrt(np.mean((table[some] / largest) ** 2))  # squares neither overflow nor vanish
    equal, seen = estimate.fits(table[some] / size, some, wrong_angles=wrong_angles)
    if not equal:
        return _grid(table) or Identification(None, text="\n  ".join([f"{shape}: learned or unknown", *seen]))
    fit = equal[0]
    give = size * (6 * fit["rms"] / np.sqrt(len(some) * table.shape[1]) + 1e-9)
    scale = size * abs(fit["scale"])
    short, digits = estimate.rounded(scale - give, scale, scale + give)
    found = {name: fit[name] for name in ("layout", "schedule", "base", "offset", "step", "odd")}
    found["scale"] = float(np.copysign(short if digits <= 3 else scale, fit["scale"]))
    away = np.abs(table[row] - estimate.rows_of(found, row, table.shape[1])).max(axis=1)  # (t,)
    limit = 0.1 * abs(found["scale"]) + 10 * away[:MOST_ROWS].max()
    if not wrong_angles and away.max() > limit:
        why = f"the first {MOST_ROWS} rows are a sinusoid, but not row {row[(away > limit).argmax()]}"
        return Identification(None, text=f"{shape}: learned or unknown: {why}")
    if len(frequencies(table.shape[1], odd=fit["odd"])) == 1:
        found |= {"schedule": None, "base": None}
    return Identification(**found, error=float(away.max()), text=_text(shape, table, row, found, away, equal))


def _text(shape, table, row, found, away, equal):
    base = "any base" if found["base"] is None else f"base {found['base']:.10g}"
    lines = [f"{shape}: sinusoidal, layout {found['layout']}, schedule {found['schedule'] or 'any'}, {base}",
             f"row 0 is position {found['offset']:.10g}" + ("" if found["step"] == 1 else
             f", from row to row the position changes by {found['step']:.10g}")]  # fmt: skip
    if found["scale"] != 1:
        width = " = d_model**-0.5" if np.isclose(found["scale"], table.shape[1] ** -0.5, rtol=1e-3) else ""
        lines.append(f"all entries are multiplied by {found['scale']:.6g}{width}")
    if table.shape[1] % 2:
        lines.append(f"the odd width is made by {found['odd']}")
    if len(row) < len(table):
        zero = np.setdiff1d(np.arange(len(table)), row)
        lines.append(f"left out: {len(zero)} rows of zeros, the first is row {zero[0]}")
    where = f"{away.max():.1e}, in row {row[away.argmax()]}"  # no digits of rounding: machines differ in them
    lines.append("largest difference: " + (where if away.max() > 1e-12 else "less than 1e-12"))
    if found["base"] and equal[0]["give"] > 1e-4:
        lines.append(f"the base is measured as {equal[0]['measured']:.4g}, give or take {equal[0]['give']:.1%}")
    if found["base"] is None:
        lines.append("one pair turns by 1 radian a token whatever base and schedule are")
    else:
        others = {fit["schedule"]: f"{fit['schedule']} with base {fit['base']:.6g}" for fit in equal[::-1]}
        others.pop(found["schedule"])
        lines += [f"the same values, as nearly: {other}" for other in others.values()]
    if table.shape[1] == 2 and found["layout"] == "interleaved":
        lines.append("with two columns interleaved and halves are the same")
    names = [name for name, one in CONVENTIONS.items() if isinstance(one, Convention) and _is(one, found, table)]
    same = [name for name in names if CONVENTIONS[name].offset == found["offset"]]
    lines += [("as in: " if same else "as in, but for row 0: ") + ", ".join(same or names)] if names else []
    return "\n  ".join(lines)


def _is(convention, found, table):
    """Does a well-known convention make this table, from whatever row on?"""
    scale = table.shape[1] ** -0.5 if isinstance(convention.scale, str) else convention.scale
    same = {"layout", "schedule", "base", "step"} | ({"odd"} if table.shape[1] % 2 else set())
    return all(getattr(convention, name) == found[name] for name in same) and np.isclose(
        scale, found["scale"], rtol=1e-3
    )


def _grid(table):
    """The identification of a table of the cells of a grid, or None."""
    n_cell, d_model = table.shape
    for known in CONVENTIONS.values():
        if not isinstance(known, GridConvention) or d_model % 4:
            continue
        block = dict(zip(known.blocks, np.split(table, 4, axis=1), strict=True))
        for width in (w for w in range(3, n_cell // 3 + 1) if n_cell % w == 0):
            if not np.allclose(block["sin w"][:width], block["sin w"][width : 2 * width], atol=0.05):
                continue
            line = identify(np.hstack([block["sin w"], block["cos w"]])[:width])
            if line.layout != "halves" or (line.offset, line.scale, line.step) != (0, 1, 1):
                continue
            grid, blocks = (n_cell // width, width), ", ".join(known.blocks)
            made = GridConvention(known.blocks, line.schedule or "paper", line.base or 10_000.0)
            error = float(np.abs(made.table(grid, d_model) - table).max())
            if error < max(10 * line.error, 1e-6):
                names = [name for name, one in CONVENTIONS.items() if one == made]
                text = f"{n_cell} rows of {d_model} columns: sinusoidal, a grid of {grid[0]} x {width} cells, "
                text += f"blocks {blocks}, schedule {line.schedule or 'any'}, base {made.base:.10g}\n"
                text += "  largest difference: " + (f"{error:.1e}" if error > 1e-12 else "less than 1e-12")
                text += f"\n  as in: {', '.join(names)}" if names else ""
                return Identification(blocks, line.schedule, line.base, 0.0, 1.0, "error", 1.0, error, text)
    return None


def as_table(table) -> np.ndarray:
    """The values of an array or a tensor of any precision.  -> (t, d) float64

    Of more than two axes those of length 1 are dropped.  Raises ValueError or TypeError if it is empty, not finite,
    not real or has other than 2 longer axes.
    """
    table = check.reals("table", table)
    if table.ndim > 2:
        table = table.squeeze()
    if table.ndim != 2 or table.size == 0:
        raise ValueError(f"table must be (positions, columns), neither empty, got shape {table.shape}")
    return table


@dataclass(frozen=True)
class Finding:
    """Something wrong: its ``name`` in `FIXES`, what is wrong in plain words, and the evidence."""

    name: str
    says: str
    evidence: str

    @property
    def fix(self) -> str:
        """What mends it."""
        return FIXES[self.name]

    def __str__(self):
        return f"{self.name}: {self.says}\n  evidence: {self.evidence}\n  fix: {self.fix}"


FIXES = {
    "column": "i counts pairs: i = column // 2, exponent 2i/d in both columns of a pair",
    "doubled": "use the exponent 2i/d with i = column // 2",
    "unpaired": "give columns 2i and 2i + 1 the same exponent 2i/d",
    "swapped": "swap the two columns of each pair, or say that cosines come first",
    "multiplied": "divide: pos / base**(2i/d), so that frequencies fall from 1",
    "precedence": "write `-log(base) / d`, or `-log(base) / (d // 2)` where half of the width is meant",
    "step": "if a timescale was to divide, it multiplies; if positions are interpolated on purpose, say so",
    "offset": "count from 0; or, if a padding index asks for it, say so where the table is used",
    "departs": "look at the rows from there on: trained, padded or overwritten?",
    "precision": "form positions and angles in float64, and cast sine and cosine last",
    "log_space": "1 / base ** (2i / d), or float64; harmless at short lengths, but it is not the stabler way",
    "unknown": "if it is meant to be a sinusoid, compare it with pe_lib.sinusoidal.sinusoidal",
    "not_finite": "look for a division by 0 in the exponent (d/2 - 1 at small widths), or positions that overflow",
    "batch_axis": "index by x.size(1), or hand it (tokens, batch, width)",
    "cache": "make it part of the key, or keep the table in float64 and cast what is returned, or keep none",
    "ignored": "use it, or take it away",
    "shared_state": "return a copy",
    "input_changed": "write x = x + pe, not x += pe",
    "depends_on_length": "positions must not be divided by the length, nor counted from the end",
    "length_limit": "make the rows that are asked for; or refuse a greater length with an error that names the limit",
    "odd_width": "refuse an odd width with an error that names it, or say how it is made: sinusoidal(..., odd=...)",
    "small_width": "divide by max(d/2 - 1, 1)",
}


def diagnose(encode, d_model: int | None = None, *, base: float = 10_000.0, tolerance: float = 1e-3) -> list[Finding]:
    """What is wrong with an encoding: a function, a module, a class whose first argument is the width, or a table.

    -> findings, none where nothing was found; `FIXES` has the names of all.  ``encode`` is called in the ways that
    `probe` knows; give ``d_model`` where the width cannot be guessed.  ``base`` is the one intended: a table of
    exactly base**2 is taken for a doubled exponent.  ``tolerance`` is the error of an entry (of amplitude 1) above
    which a position counts as wrong; where entries are rounded more coarsely, four times their error counts.
    Lengths up to 24,000 are tried, up to 9,000 where there are more than 128 columns.
    ``encode`` is left as it was found, but for what it keeps of being called.
    Raises ValueError or TypeError for a table that `identify` would refuse or another argument out of range, and
    ValueError if no way of calling ``encode`` gives a table.
    """
    base, tolerance = check.real("base", base, above=1), check.real("tolerance", tolerance, above=0)
    d_model = None if d_model is None else check.size("d_model", d_model, least=2)
    if not callable(encode) or hasattr(encode, "detach"):
        return _of_values(as_table(encode), base, tolerance)
    found = probe(encode, d_model)
    # Of a class one instance is asked about all but widths: its state is then that of a user's module.
    one = probe(encode(found.d_model), found.d_model) if inspect.isclass(encode) else found
    rows, findings = _longest(one)
    if not np.isfinite(rows).all():
        row, column = np.argwhere(~np.isfinite(rows))[0]
        where = f"the first in row {row}, column {column}"
        return [*findings, Finding("not_finite", "entries are NaN or infinite", where)]
    far = None
    if "positions" in one.takes and not findings:  # no limit so far
        with contextlib.suppress(Exception):
            far = one.rows(2048, start=FAR - 2048)
    findings += _of_values(rows, base, tolerance, far)
    return findings + _of_options(one) + _of_dtype(one) + _of_widths(found) + _of_state(one)  # the last may ruin it


# What the values say


def _of_values(table, base, tolerance, far=None):
    first = next((one for n in (256, 64, 24) if (one := identify(table[:n])).layout), None)  # as far as it is precise
    if first is None or first.error > 1e-3 * abs(first.scale):
        misread = _misread(table, base, first)
        if misread:
            return misread
    first = first or _identified(table[:24], wrong_angles=True)
    if first.layout is None:
        unknown = "neither a known convention nor a misreading that is looked for: learned, random, shuffled?"
        return [Finding("unknown", unknown, identify(table).text)]
    if isinstance(first.convention, GridConvention):
        return []
    findings, second = [], f"row r holds position {first.offset:.6g} + {first.step:.6g} r"
    if first.base and table.shape[1] > 5:
        slope = -np.log(_omega(first, table.shape[1])[1])
        if np.isclose(first.base, base**2, rtol=1e-3) and first.schedule == "paper":
            says = "i runs over the even columns and is multiplied by two once more: the exponent is 4i/d"
            findings += [Finding("doubled", says, f"the base of these values is {first.base:.6g} = {base:g}**2")]
        if round(slope) in (1, 2) and np.isclose(slope, round(slope), rtol=1e-4):
            says = "`-log(base) / d // 2` is -1: it divides first, and then rounds down to a whole number"
            findings += [Finding("precedence", says, f"neighbouring frequencies have the ratio exp(-{slope:.4f})")]
    if first.offset in (1.0, -1.0) and first.step == 1:
        findings += [Finding("offset", f"positions are off by one: row 0 holds position {first.offset:g}", second)]
    if first.step not in (1.0, -1.0):
        findings += [Finding("step", f"positions are multiplied by {first.step:.6g}", second)]
    return findings + _of_precision(table, first, base, tolerance, far) + _of_logarithm(table, first)


def _misread(table, base, first):
    """Wrong readings of the formula, each tried with the base intended and with the one that fits best.

    ``first`` is what was identified, if anything was: a misreading must come much nearer.
    """
    n, d_model = min(len(table), 64), table.shape[1]
    if d_model < 4 or n < 4 or not table[:n].any():
        return []
    values = table[:n] / np.sqrt(2 * np.mean(table[:n] ** 2))
    column, pos = np.arange(d_model), np.arange(n)[:, None]
    sine, i, fits = column % 2 == 0, column // 2, []
    readings = {"column": (2 * column, sine), "unpaired": (column, sine)}
    readings |= {"multiplied": (-2 * i, sine), "swapped": (2 * i, ~sine)}
    for name, (exponent, is_sine) in readings.items():
        for offset in (0, 1):
            for one in (base, *np.exp(np.linspace(2, 16, 141))):
                angle = (pos + offset) * one ** (-exponent / d_model)
                made = np.where(is_sine, np.sin(angle), np.cos(angle))
                scale = np.vdot(made, values) / np.vdot(made, made)
                error = np.sqrt(np.mean((values - scale * made) ** 2)) / max(abs(scale), 0.1)
                fits.append((error, one != base, name, offset, one))
    error, other, name, offset, one = min(fits)
    right = 0.3 if first is None or "," in first.layout else _rms(table[:n], first) / abs(first.scale)
    if error > right / 3:
        return []
    if other and name in ("column", "unpaired"):  # column with one base is unpaired with its square
        name, one = "unpaired", one if name == "unpaired" else one**2
    says = {
        "column": "i is read as the column: column j has the exponent 2j/d, and no pair shares a frequency",
        "unpaired": "sine and cosine are unpaired: column j has the exponent j/d",
        "multiplied": "positions are multiplied by base**(2i/d) instead of divided",
        "swapped": "cosine stands in the even columns and sine in the odd ones",
    }[name]
    if other and name == "unpaired":
        says += f"; or, with base about {one**0.5:.3g}, 2j/d: i is read as the column"
    about = f"base {'about ' if other else ''}{one:.5g}, from position {offset} on"
    evidence = f"with {about}, that gives these values to {max(error, 1e-12):.0e} (root mean square)"
    return [Finding(name, says, evidence)]


def _of_precision(table, first, base, tolerance, far):
    """The first position wrong by more than the tolerance, and which rounding explains it."""
    named = [first, replace(first, base=base)] if first.base and abs(first.base / base - 1) < 0.1 else [first]
    blocks = [(np.arange(len(table)), table)] + ([] if far is None else [(FAR - len(far) + np.arange(len(far)), far)])

    def miss(one, row, rows, how=None):  # (t,) largest error of each row, 0 for a row of zeros
        error = np.abs(rows - _made(one, row, rows.shape[1], how)).max(axis=1) / abs(first.scale)
        return np.nan_to_num(error, nan=2.0) * rows.any(axis=1)  # float16 overflows to NaN; 2 is the worst there is

    limit = max(tolerance, 4 * np.median(miss(first, np.arange(len(table))[:24], table[:24])))
    for row, rows in blocks:
        error = min((miss(one, row, rows) for one in named), key=np.median)
        wrong = np.flatnonzero(error > limit)
        if len(wrong) == 0:
            continue
        some = wrong[:: 1 + len(wrong) // 500]
        near = {
            name: min(np.median(miss(one, row[some], rows[some], how)) for one in named)
            for name, how in ROUNDINGS.items()
        }
        name, place = min(near, key=near.get), row + int(first.offset)
        evidence = f"the largest error is {error.max():.2g}, at position {place[error.argmax()]}"
        if near[name] < 0.5 * np.median(error[some]):
            evidence += f"; that rounding, done here, comes within {near[name]:.1g}"
        elif error.max() < 3e-7 * place[error.argmax()]:  # one rounding is 6e-8 of the position; some round twice
            name = "angles in float32"
        else:
            says = f"from position {place[wrong[0]]} on rows leave the convention that the first rows follow"
            return [Finding("departs", says, evidence)]
        says = f"{name}: from position {place[wrong[0]]} on entries are wrong by more than {limit:.2g}"
        return [Finding("precision", says, evidence)]
    return []


def _rms(rows, first):
    return np.sqrt(np.mean((rows - _made(first, np.arange(len(rows)), rows.shape[1])) ** 2))


def _omega(first, d_model):
    return frequencies(d_model, first.base or 1e4, schedule=first.schedule or "paper", odd=first.odd)


def _made(first, row, d_model, how=None):
    """The rows of an identified convention, with the angles formed as ``how`` says.  -> (t, d)"""
    pos = (first.offset + first.step * row)[:, None]
    angle = (how or np.multiply)(pos, _omega(first, d_model))
    with np.errstate(invalid="ignore"):
        waves = np.concatenate([np.sin(angle), np.cos(angle), 0 * pos], axis=1)
    return first.scale * waves[:, column_order(d_model, layout=first.layout, odd=first.odd)]


def _bfloat16(x):
    """Rounded to 8 significant bits."""
    fraction, exponent = np.frexp(x)
    return np.ldexp(np.round(fraction * 256) / 256, exponent)


def _float16(x):
    with np.errstate(over="ignore"):
        return np.asarray(x).astype(np.float16).astype(np.float64)


def _float32(x):
    return np.asarray(x).astype(np.float32).astype(np.float64)


# Ways to lose an angle: (positions, frequencies) -> angles
ROUNDINGS = {
    "positions and angles in bfloat16": lambda p, w: _bfloat16(_bfloat16(p) * _bfloat16(w)),
    "positions in bfloat16": lambda p, w: _bfloat16(p) * w,
    "frequencies in bfloat16": lambda p, w: p * _bfloat16(w),
    "positions and angles in float16": lambda p, w: _float16(_float16(p) * _float16(w)),
    "positions in float16": lambda p, w: _float16(p) * w,
    "frequencies in float16": lambda p, w: p * _float16(w),
    "angles in float32": lambda p, w: _float32(_float32(p) * _float32(w)),
}


def _of_logarithm(table, first):
    """Frequencies as exp(-2i log(base) / d) in float32: are they off by what that rounding gives?"""
    d_model, n_pair, pos = table.shape[1], table.shape[1] // 2, first.offset + np.arange(len(table))
    if first.step != 1 or not first.base or first.schedule != "paper" or d_model % 2 or len(table) < 1000:
        return []
    waves, omega = np.empty_like(table), _omega(first, d_model)
    waves[:, column_order(d_model, layout=first.layout)] = table
    z = (waves[:, n_pair:] + 1j * waves[:, :n_pair]) / first.scale
    miss = np.angle(z * np.exp(-1j * pos[:, None] * omega))  # (t, n_pair) radian
    off = (miss * pos[:, None]).sum(axis=0) / (pos**2).sum() / omega  # relative error of each frequency
    i, log = np.arange(n_pair, dtype=np.float32), -np.log(first.base)
    logged = np.exp(2 * i * np.float32(log / d_model)), np.exp(np.float32(log) * i / np.float32(n_pair))
    power = 1 / np.float32(first.base) ** (2 * i / np.float32(d_model))
    fast = (omega * pos[-1] > 3) & (omega < 0.999)
    if fast.sum() < 8:
        return []
    nothing, by_power, *by_logarithm = (
        np.sqrt(np.mean((off - one)[fast] ** 2)) for one in (0, *(w / omega - 1 for w in (power, *logged)))
    )
    if min(by_logarithm) > min(0.8 * by_power, 0.9 * nothing):
        return []
    says = "frequencies are formed as exp(-2i log(base) / d) in float32, which rounds the exponent"
    evidence = f"relative distance (root mean square): to the exact ones {nothing:.1e}, to those rounded that way "
    evidence += f"{min(by_logarithm):.1e}, to the power in float32 {by_power:.1e}"
    return [Finding("log_space", says, evidence)]


# What calling it says


def _longest(found):
    """As many rows as let slow errors show, or as there are; and a finding if there is a limit."""
    high = 24_000 if found.d_model <= 128 else 9_000
    try:
        return found.rows(high), []
    except Exception as error:
        failed = error
    low = TOKENS
    while high - low > 1:
        middle = (low + high) // 2
        try:
            found.rows(middle)
            low = middle
        except Exception as error:
            high, failed = middle, error
    evidence = f"at {high} tokens: {type(failed).__name__}: {str(failed)[:200]}"
    return found.rows(low), [Finding("length_limit", f"it fails beyond {low} tokens", evidence)]


def _of_state(found):
    findings = []
    if found.encodes_batch:
        says = "fed (batch, tokens, width) it encodes the batch: all tokens of a sequence get the same row"
        evidence = f"zeros of {BATCH} sequences of {TOKENS} tokens: rows differ along the batch, not along the tokens"
        findings.append(Finding("batch_axis", says, evidence))
    if "x" in found.takes:
        x = found.x(31)
        found.call(31, x=x)
        if np.any(numbers(x)):
            evidence = "zeros were not zero after the call"
            findings.append(Finding("input_changed", "it changes its input in place", evidence))
    short, long = found.rows(12), found.rows(31)
    if not np.allclose(short, long[:12], atol=1e-6):
        evidence = f"12 rows differ from the first 12 of 31 by up to {np.abs(short - long[:12]).max():.2g}"
        findings.append(Finding("depends_on_length", "a row is another one in a longer sequence", evidence))
    answer = found.call(31)
    answer = answer[0] if isinstance(answer, (tuple, list)) else answer
    if hasattr(answer, "detach"):
        answer = answer.detach()
    elif not answer.flags.writeable:
        return findings
    before = answer.clone() if hasattr(answer, "clone") else answer.copy()
    answer[...] = 7
    changed = not np.array_equal(long, found.rows(31))
    answer[...] = before
    if changed:
        says = "what it returns is its own store: the caller who writes to it changes later answers"
        findings.append(Finding("shared_state", says, "an answer was overwritten, and the next call gave other rows"))
    return findings


def _of_options(found):
    findings = []
    for kind, value in (("base", 777.0), ("offset", 5)):
        if kind not in found.options:
            continue
        name = found.options[kind]
        try:
            plain, other, fresh = found.rows(37), found.rows(37, **{name: value}), found.rows(41, **{name: value})
        except Exception:  # it has a meaning of its own
            continue
        if not np.allclose(plain, other, atol=1e-6):
            continue
        evidence = f"37 tokens without and then with {name}={value:g} give the same rows"
        if np.allclose(fresh[:37], plain, atol=1e-6):
            findings.append(Finding("ignored", f"{name} changes nothing", evidence))
        else:
            evidence += f"; 41 tokens, not asked for before, with {name}={value:g} give others"
            findings.append(Finding("cache", f"a cache does not know {name}", evidence))
    return findings


def _of_dtype(found):
    """Does a call in low precision spoil a later one in high precision?"""
    if "x" not in found.takes and "dtype" not in found.options:
        return []
    low, high = (np.float16, np.float64) if found.library is np else (found.library.bfloat16, found.library.float32)

    def rows(n, dtype):
        if "x" in found.takes:
            return found.table(found.call(n, x=found.x(n, dtype=dtype)), n)
        return found.rows(n, **{found.options["dtype"]: dtype})

    try:
        rows(43, low)
        spoilt, clean = rows(43, high), rows(47, high)[:43]
    except Exception:  # one of the two is refused
        return []
    if np.abs(spoilt - clean).max() < 1e-4:
        return []
    evidence = f"after a call in {low} one in {high} is off by up to {np.abs(spoilt - clean).max():.2g}"
    return [Finding("cache", "a cache does not know the dtype", evidence)]


def _of_widths(found):
    findings = {}
    odd = found.d_model + 1 - found.d_model % 2
    for width in (2, 3, 4, 6, odd) if "width" in found.takes else ():
        name = "odd_width" if width % 2 else "small_width"
        try:
            rows = found.rows(17, width)
        except (ValueError, TypeError, AssertionError):
            continue  # refused
        except Exception as error:
            crash = Finding(name, f"width {width} crashes", f"{type(error).__name__}: {str(error)[:200]}")
            findings.setdefault(name, crash)
            continue
        if not np.isfinite(rows).all():
            row, column = np.argwhere(~np.isfinite(rows))[0]
            where = f"the first in row {row}, column {column}"
            name = "small_width" if width <= 6 else name
            findings.setdefault(name, Finding(name, f"width {width} gives NaN or infinite entries", where))
        elif rows.shape[1] != width:
            other = Finding(name, f"width {width} gives {rows.shape[1]} columns", f"the shape is {rows.shape}")
            findings.setdefault(name, other)
    return list(findings.values())


# The command


FILES = (".npy", ".npz", ".csv", ".pt", ".pth", ".safetensors")


def tensors(path: Path) -> dict:
    """The tensors of a file that may be tables, by their names; nothing in the file is executed.

    Raises OSError or ValueError, saying why, if the file cannot be read or holds none.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist")
    try:
        if path.suffix == ".csv":
            held = {"table": np.loadtxt(path, delimiter=",", ndmin=2)}
        elif path.suffix == ".npy":
            held = {"table": np.load(path, allow_pickle=False)}
        elif path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as file:
                held = dict(file)
        elif path.suffix == ".safetensors":
            from safetensors.torch import load_file

            held = load_file(path)
        else:
            import torch

            held = _flat(torch.load(path, map_location="cpu", weights_only=True))
    except OSError:
        raise
    except Exception as error:
        why = str(error).splitlines()[0]
        if "ickle" in why or "eights only" in why:
            why = "it holds pickled objects, which could execute code; save arrays or a state_dict"
        raise ValueError(f"{path} cannot be read as {path.suffix}: {why}") from None
    tables = {name: one for name, one in held.items() if sum(n > 1 for n in getattr(one, "shape", ())) == 2}
    if not tables:
        raise ValueError(f"{path} holds no table of rows and columns")
    return tables


def _flat(held, name=""):
    if not hasattr(held, "items"):
        return {name or "table": held}
    return {n: one for key, value in held.items() for n, one in _flat(value, f"{name}.{key}".strip(".")).items()}


def _given(source: str):
    """What the argument of the command names: a table or a callable.  Raises OSError or ValueError if it is none."""
    path, _, name = source.rpartition(":")
    if Path(source).suffix in FILES or Path(path).suffix in FILES:
        path, name = (source, "") if Path(source).suffix in FILES else (path, name)
        tables = tensors(Path(path))
        if not name and len(tables) > 1:
            listed = ", ".join(f"{key} {tuple(one.shape)}" for key, one in tables.items())
            raise ValueError(f"{path} holds several tables; name one after a colon: {listed}")
        if name and name not in tables:
            raise ValueError(f"{path} holds no table called {name}; there are: {', '.join(tables)}")
        return tables[name] if name else next(iter(tables.values()))
    if not path or not name:
        raise ValueError(f"source must be a file ({', '.join(FILES)}) or package.module:callable, got {source}")
    try:
        found = importlib.import_module(path)
        for part in name.split("."):
            found = getattr(found, part)
    except Exception as error:  # whatever the module does when it is imported
        raise ValueError(f"{source}: {type(error).__name__}: {error}") from None
    return found


def main(arguments=None) -> int:
    """The command.  -> 0 identified and nothing found, 1 unknown or findings, 2 unusable"""
    parser = argparse.ArgumentParser(
        prog="python -m pe_lib.identify",
        description="Which convention made a position table, and what is wrong with it.",
        epilog="status: 0 identified and nothing wrong, 1 unknown or findings, 2 unusable input",
    )
    parser.add_argument("source", help=f"FILE[:TENSOR] ({' '.join(FILES)}), or PACKAGE.MODULE:CALLABLE")
    parser.add_argument("--d-model", type=int, help="width, where a callable needs one")
    parser.add_argument("--base", type=float, default=10_000.0, help="the base of misreadings that are tried (10000)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    asked = parser.parse_args(arguments)
    try:
        encode = _given(asked.source)
        is_table = not callable(encode) or hasattr(encode, "detach")
        found = identify(encode if is_table else probe(encode, asked.d_model).rows(256))
        findings = diagnose(encode, asked.d_model, base=asked.base)
    except (OSError, ValueError, TypeError) as error:
        print(f"{asked.source}: {error}" if asked.source not in str(error) else error, file=sys.stderr)
        return 2
    if asked.json:
        listed = [asdict(finding) | {"fix": finding.fix} for finding in findings]
        print(json.dumps({"source": asked.source, "identified": asdict(found), "findings": listed}))
    else:
        print("\n".join([str(found), *(str(f) for f in findings if f.name != "unknown")]))
    return int(found.layout is None or bool(findings))


if __name__ == "__main__":
    sys.exit(main())
