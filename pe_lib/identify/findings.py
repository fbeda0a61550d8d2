"""What is wrong with an encoding: each finding is a small function of the evidence, and they stand in one list.

A judge yields what it finds, and nothing where the evidence it needs is missing.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from pe_lib.conventions import Convention
from pe_lib.identify.answer import Answer
from pe_lib.identify.evidence import OPTION, OPTION_FRESH, SHORT, Evidence
from pe_lib.identify.identification import Identification, identify_values
from pe_lib.identify.misreading import Misreading
from pe_lib.identify.probe import BATCH
from pe_lib.identify.rounding import EXACT, ROUNDINGS, Rounding, frequency_distances, omega_of, rows_of

SAME = 1e-6  # entries that differ by less are the same
REFUSALS = (ValueError, TypeError, AssertionError)  # errors that say no to a width, rather than crash


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

    def __str__(self) -> str:
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


def findings_in(evidence: Evidence) -> list[Finding]:
    """What is wrong, by all of `FINDINGS`."""
    findings: list[Finding] = []
    for judge in FINDINGS:
        findings.extend(judge(evidence))
    return findings


# The table as a whole


def length_limit(evidence: Evidence) -> Iterator[Finding]:
    """It fails beyond some number of tokens."""
    limit = evidence.limit
    if limit is not None:
        says = f"it fails beyond {limit.tokens} tokens"
        yield Finding("length_limit", says, f"at {limit.fails_at} tokens: {Answer(error=limit.error).complaint()}")


def not_finite(evidence: Evidence) -> Iterator[Finding]:
    """NaN or infinite entries."""
    if not evidence.is_finite:
        yield Finding("not_finite", "entries are NaN or infinite", _first_not_finite(evidence.rows))


def _first_not_finite(rows: npt.NDArray) -> str:
    row, column = np.argwhere(~np.isfinite(rows))[0]
    return f"the first in row {row}, column {column}"


# What the first rows are


MISREADINGS = {
    "column": "i is read as the column: column j has the exponent 2j/d, and no pair shares a frequency",
    "unpaired": "sine and cosine are unpaired: column j has the exponent j/d",
    "multiplied": "positions are multiplied by base**(2i/d) instead of divided",
    "swapped": "cosine stands in the even columns and sine in the odd ones",
}


def misread(evidence: Evidence) -> Iterator[Finding]:
    """A wrong reading of the formula gives the values."""
    reading = evidence.explanation
    if not isinstance(reading, Misreading):
        return
    name, base = reading.name, reading.base
    # Column with one base is unpaired with its square: the values cannot tell which.
    alike = not reading.is_intended and name in ("column", "unpaired")
    if alike and name == "column":
        name, base = "unpaired", base**2
    says = MISREADINGS[name]
    if alike:
        says += f"; or, with base about {base**0.5:.3g}, 2j/d: i is read as the column"
    about = f"base {'' if reading.is_intended else 'about '}{base:.5g}, from position {reading.offset} on"
    error = max(reading.error, 1e-12)
    yield Finding(name, says, f"with {about}, that gives these values to {error:.0e} (root mean square)")


def unknown(evidence: Evidence) -> Iterator[Finding]:
    """Nothing that is known gives the values."""
    made_by = evidence.explanation
    if isinstance(made_by, Identification) and made_by.layout is None:
        says = "neither a known convention nor a misreading that is looked for: learned, random, shuffled?"
        yield Finding("unknown", says, identify_values(evidence.rows).text)


def doubled(evidence: Evidence) -> Iterator[Finding]:
    """The base is the square of the one that is meant."""
    line, base = evidence.line, evidence.base
    if line is None or line.schedule != "paper" or evidence.rows.shape[1] <= 5:
        return
    if np.isclose(line.base, base**2, rtol=1e-3):
        says = "i runs over the even columns and is multiplied by two once more: the exponent is 4i/d"
        yield Finding("doubled", says, f"the base of these values is {line.base:.6g} = {base:g}**2")


def precedence(evidence: Evidence) -> Iterator[Finding]:
    """Frequencies fall by a whole power of e from pair to pair."""
    line = evidence.line
    if line is None or evidence.rows.shape[1] <= 5:
        return
    slope = -np.log(omega_of(line, evidence.rows.shape[1])[1])
    if round(slope) in (1, 2) and np.isclose(slope, round(slope), rtol=1e-4):
        says = "`-log(base) / d // 2` is -1: it divides first, and then rounds down to a whole number"
        yield Finding("precedence", says, f"neighbouring frequencies have the ratio exp(-{slope:.4f})")


def offset(evidence: Evidence) -> Iterator[Finding]:
    """Row 0 holds position 1 or -1."""
    line = evidence.line
    if line is not None and line.offset in (1.0, -1.0) and line.step == 1:
        says = f"positions are off by one: row 0 holds position {line.offset:g}"
        yield Finding("offset", says, _positions(line))


def step(evidence: Evidence) -> Iterator[Finding]:
    """Positions are a multiple of the row."""
    line = evidence.line
    if line is not None and line.step not in (1.0, -1.0):
        yield Finding("step", f"positions are multiplied by {line.step:.6g}", _positions(line))


def _positions(line: Convention) -> str:
    return f"row r holds position {line.offset:.6g} + {line.step:.6g} r"


# Where later rows go


@dataclass(frozen=True)
class Rows:
    """Rows of a table (n, d), and where they stand in it, (n,)."""

    row: npt.NDArray[np.integer]
    values: npt.NDArray[np.float64]

    def error(self, line: Convention, rounding: Rounding = EXACT) -> npt.NDArray[np.float64]:
        """Largest error of each row, relative to the scale; 0 for a row of zeros.  -> (n,)"""
        expected = rows_of(line, self.row, self.values.shape[1], rounding)
        error = np.abs(self.values - expected).max(axis=1) / abs(float(line.scale))
        # float16 overflows to NaN; 2 is the worst there is.
        return np.nan_to_num(error, nan=2.0) * self.values.any(axis=1)

    def least_error(self, lines: list[Convention]) -> npt.NDArray[np.float64]:
        """The errors of the line that comes nearest."""
        return min((self.error(line) for line in lines), key=np.median)

    def nearest_rounding(self, lines: list[Convention]) -> tuple[float, str]:
        """The rounding that explains the rows best.  -> its median error, its name"""
        medians: dict[str, float] = {}
        for name, rounding in ROUNDINGS.items():
            medians[name] = min(np.median(self.error(line, rounding)) for line in lines)
        nearest = min(medians, key=lambda name: medians[name])
        return medians[nearest], nearest

    def at(self, index: npt.NDArray[np.integer]) -> "Rows":
        """Some of them."""
        return Rows(self.row[index], self.values[index])


def precision(evidence: Evidence) -> Iterator[Finding]:
    """The first position that is wrong by more than the tolerance, and which rounding explains it, if one does."""
    line = evidence.line
    if line is None:
        return
    lines = [line]
    if abs(line.base / evidence.base - 1) < 0.1:  # it may be the base that was meant, ill measured
        lines.append(replace(line, base=evidence.base))
    table = Rows(np.arange(len(evidence.rows)), evidence.rows)
    blocks = [table]
    far = evidence.far.value if evidence.far else None
    if far is not None and far.shape[1] == table.values.shape[1]:
        blocks.append(Rows(evidence.far_start + np.arange(len(far)), far))
    # Where entries are rounded, that is no fault of the angles.
    limit = max(evidence.tolerance, 4 * np.median(table.at(np.arange(len(table.row))[:24]).error(line)))
    for rows in blocks:
        error = rows.least_error(lines)
        if (error > limit).any():
            yield _wrong_rows(rows, error, limit, lines)
            return


def _wrong_rows(rows: Rows, error: npt.NDArray[np.float64], limit: float, lines: list[Convention]) -> Finding:
    """What is said of rows whose error is above the limit."""
    wrong = np.flatnonzero(error > limit)
    some = wrong[:: 1 + len(wrong) // 500]
    explained, name = rows.at(some).nearest_rounding(lines)
    position = rows.row + int(lines[0].offset)
    worst = position[error.argmax()]
    evidence = f"the largest error is {error.max():.2g}, at position {worst}"
    if explained < 0.5 * np.median(error[some]):
        evidence += f"; that rounding, done here, comes within {explained:.1g}"
    elif error.max() < 3e-7 * worst:  # one rounding is 6e-8 of the position; some round twice
        name = "angles in float32"
    else:
        says = f"from position {position[wrong[0]]} on rows leave the convention that the first rows follow"
        return Finding("departs", says, evidence)
    says = f"{name}: from position {position[wrong[0]]} on entries are wrong by more than {limit:.2g}"
    return Finding("precision", says, evidence)


def log_space(evidence: Evidence) -> Iterator[Finding]:
    """Frequencies are off by what the way of the logarithm rounds away in float32."""
    line, (n_row, d_model) = evidence.line, evidence.rows.shape
    if line is None or line.step != 1 or line.schedule != "paper":
        return
    if d_model % 2 or n_row < 1000:
        return
    distances = frequency_distances(evidence.rows, line)
    if distances is None or distances.to_logarithm > min(0.8 * distances.to_power, 0.9 * distances.to_exact):
        return
    says = "frequencies are formed as exp(-2i log(base) / d) in float32, which rounds the exponent"
    to_others = f"to the exact ones {distances.to_exact:.1e}, to those rounded that way {distances.to_logarithm:.1e}"
    to_power = f"to the power in float32 {distances.to_power:.1e}"
    yield Finding("log_space", says, f"relative distance (root mean square): {to_others}, {to_power}")


# What other arguments do


def _alike(rows: npt.NDArray, others: npt.NDArray) -> bool:
    return rows.shape == others.shape and np.allclose(rows, others, atol=SAME)


def _difference(rows: npt.NDArray, others: npt.NDArray) -> float:
    """The largest of an entry, infinite if there are other columns."""
    return np.abs(rows - others).max() if rows.shape == others.shape else np.inf


def option_without_effect(evidence: Evidence) -> Iterator[Finding]:
    """An option changes nothing, or only what was not asked for before."""
    for option in evidence.options:
        if not (option.plain.ok and option.same.ok and option.fresh.ok):
            continue  # it has a meaning of its own
        plain, fresh = option.plain.value, option.fresh.value
        if not _alike(plain, option.same.value):
            continue
        setting = f"{option.name}={option.value:g}"
        same = f"{OPTION} tokens without and then with {setting} give the same rows"
        if _alike(fresh[:OPTION], plain):
            yield Finding("ignored", f"{option.name} changes nothing", same)
        else:
            other = f"{OPTION_FRESH} tokens, not asked for before, with {setting} give others"
            yield Finding("cache", f"a cache does not know {option.name}", f"{same}; {other}")


def dtype_in_cache(evidence: Evidence) -> Iterator[Finding]:
    """A call in low precision spoils a later one in high precision."""
    dtypes = evidence.dtypes
    if dtypes is None or not (dtypes.first.ok and dtypes.after.ok and dtypes.fresh.ok):
        return
    after = dtypes.after.value
    error = _difference(after, dtypes.fresh.value[: len(after)])
    if not error < 1e-4:
        says = f"after a call in {dtypes.coarse} one in {dtypes.fine} is off by up to {error:.2g}"
        yield Finding("cache", "a cache does not know the dtype", says)


def width_not_made(evidence: Evidence) -> Iterator[Finding]:
    """Another width crashes, or gives what was not asked for.  The first of odd and of small widths is named."""
    names = set()
    for width, answer in evidence.widths:
        finding = _width_not_made(width, answer)
        if finding is not None and finding.name not in names:
            names.add(finding.name)
            yield finding


def _width_not_made(width: int, answer: Answer) -> Finding | None:
    name = "odd_width" if width % 2 else "small_width"
    if isinstance(answer.error, REFUSALS):
        return None
    if not answer.ok:
        return Finding(name, f"width {width} crashes", answer.complaint())
    rows = answer.value
    if not np.isfinite(rows).all():
        name = "small_width" if width <= 6 else name
        return Finding(name, f"width {width} gives NaN or infinite entries", _first_not_finite(rows))
    if rows.shape[1] != width:
        return Finding(name, f"width {width} gives {rows.shape[1]} columns", f"the shape is {rows.shape}")
    return None


# What one call does to the next


def batch_axis(evidence: Evidence) -> Iterator[Finding]:
    """The axis of the batch is taken for that of the tokens."""
    if evidence.encodes_batch:
        says = "fed (batch, tokens, width) it encodes the batch: all tokens of a sequence get the same row"
        zeros = f"zeros of {BATCH} sequences"
        yield Finding("batch_axis", says, f"{zeros}: rows differ along the batch, not along the tokens")


def input_changed(evidence: Evidence) -> Iterator[Finding]:
    """It writes to the embeddings that it is given."""
    after = evidence.input_after
    if after is not None and after.ok and np.any(after.value):
        yield Finding("input_changed", "it changes its input in place", "zeros were not zero after the call")


def depends_on_length(evidence: Evidence) -> Iterator[Finding]:
    """The first rows of a longer table are others."""
    if evidence.short is None or evidence.long is None or not (evidence.short.ok and evidence.long.ok):
        return
    short, long = evidence.short.value, evidence.long.value
    begin = long[: len(short)]
    if not _alike(short, begin):
        says = "a row is another one in a longer sequence"
        difference = _difference(short, begin)
        differ = f"{SHORT} rows differ from the first {SHORT} of {len(long)} by up to {difference:.2g}"
        yield Finding("depends_on_length", says, differ)


def shared_state(evidence: Evidence) -> Iterator[Finding]:
    """What the caller writes to an answer is in the next one."""
    long, overwritten = evidence.long, evidence.overwritten
    if long is None or overwritten is None or not (long.ok and overwritten.ok):
        return
    if not np.array_equal(long.value, overwritten.value):
        says = "what it returns is its own store: the caller who writes to it changes later answers"
        yield Finding("shared_state", says, "an answer was overwritten, and the next call gave other rows")


FINDINGS: tuple[Callable[[Evidence], Iterator[Finding]], ...] = (
    length_limit,
    not_finite,
    misread,
    unknown,
    doubled,
    precedence,
    offset,
    step,
    precision,
    log_space,
    option_without_effect,
    dtype_in_cache,
    width_not_made,
    batch_axis,
    input_changed,
    depends_on_length,
    shared_state,
)
