"""The sinusoid that comes nearest to a table: its layout, frequencies, position and scale, measured from the values.

Put the columns in pairs as each layout would have them, and read cosine and sine of a pair as one complex number z.
Where the pairs are right |z| is the same everywhere.  From one row to the next z turns by the frequency of its pair,
which is thus measured, not guessed.  Turned back by it, all rows point to the angle of row 0, and the angles of the
pairs together, from the slowest wave to the fastest, leave one position for it.

Values are of unit root mean square.  `identification` says what is found here, and `words` in which words.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from pe_lib.sinusoidal import LAYOUTS, SCHEDULES, column_order, frequencies, sinusoidal

Floats = npt.NDArray[np.float64]

FITS = 0.03  # a fit is one if its error is below this part of the table
FARTHEST = 1_000_000  # tokens: positions of row 0 beyond this are not looked for
FEW = 2**15  # entries of which there are enough to find the convention
NEARER = 20_000  # tokens: nor beyond this where one pair is all there is, or where the base is uncertain
PAPER_BASE = 10_000.0
AS_MEASURED = 20  # digits of a base that is no round number
LEAST_LOG, LARGEST_LOG = 1e-3, 690  # of a base: e**710 is no float64
TRIED_BASES = np.exp(np.arange(0.5, 40, 0.1))  # where there is no second turning to measure


@dataclass(frozen=True)
class Sample:
    """Rows of a table, and where they stood in it.  values (t, d), row (t,) whole numbers that ascend"""

    values: Floats
    row: npt.NDArray[np.integer]

    @property
    def d_model(self) -> int:
        """Columns of the table."""
        return self.values.shape[1]

    def error(self, fit: "Fit") -> float:
        """The root mean square of what a fit leaves."""
        return np.sqrt(np.mean((self.values - fit.rows(self.row, self.d_model)) ** 2))

    def worst(self, fit: "Fit") -> float:
        """The largest difference of an entry from a fit."""
        return np.abs(self.values - fit.rows(self.row, self.d_model)).max()

    def few(self) -> "Sample":
        """Some of the rows where there are more than `FEW` entries: near ones, and pairs 1, 2, 4 ... rows apart."""
        n_row = len(self.row)
        if self.values.size <= FEW or n_row <= 64:
            return self
        later = 2 ** np.arange(3, n_row.bit_length())
        index = np.concatenate([np.arange(8), later, later + 1, [n_row - 2, n_row - 1]])
        index = np.unique(index[index < n_row])
        return Sample(self.values[index], self.row[index])


@dataclass(frozen=True)
class Fit:
    """A convention (the fields of `conventions.Convention`), and how well it fits.

    noise     the error that the spread of the radii lets one expect
    rms       the error that it has, a root mean square
    digits    of the base: 20 as measured, 0 for the paper's 10000 where that is as good
    base_sd   standard deviation of the logarithm of the base, None where the base was not measured
    measured  the base as measured, and ``doubt``, two standard deviations of its logarithm
    """

    layout: str
    odd: str
    base: float
    offset: float
    scale: float
    step: float
    noise: float
    schedule: str = SCHEDULES[0]
    rms: float = np.inf
    digits: int = AS_MEASURED
    base_sd: float | None = None
    measured: float = np.nan
    doubt: float = 0.0

    def rows(self, row: npt.NDArray, d_model: int) -> Floats:
        """Rows ``row`` (t,) of its table.  -> (t, d_model)"""
        pos = self.offset + self.step * row
        return sinusoidal(
            pos, d_model, self.base, schedule=self.schedule, layout=self.layout, odd=self.odd, scale=self.scale
        )

    def derivatives(self, row: npt.NDArray, d_model: int) -> dict[str, Floats]:
        """How its rows change with each of its numbers; with the base, by its logarithm.  -> name: (t, d_model)"""
        omega = frequencies(d_model, self.base, schedule=self.schedule, odd=self.odd)
        order = column_order(d_model, layout=self.layout, odd=self.odd)
        pair = order % len(omega)
        exponent = np.log(omega) / np.log(self.base)
        pos = (self.offset + self.step * row)[:, None]  # (t, 1)
        angle = pos * omega
        sine, cosine, zero = np.sin(angle), np.cos(angle), 0 * pos
        by_offset = self.scale * np.hstack([omega * cosine, -omega * sine, zero])[:, order]
        return {
            "offset": by_offset,
            "scale": np.hstack([sine, cosine, zero])[:, order],
            "base": by_offset * pos * exponent[pair],
            "step": by_offset * row[:, None],
        }

    def moved(self, name: str, distance: float) -> "Fit":
        """The fit with one of its numbers moved; of the base, its logarithm."""
        if name == "base":
            return replace(self, base=self.base * np.exp(distance))
        return replace(self, **{name: getattr(self, name) + distance})


def fits(values: Floats, row: npt.NDArray[np.integer], *, wrong_angles: bool = False) -> tuple[list[Fit], list[str]]:
    """The conventions that come near rows ``row`` (t,) of a table, values (t, d), the one to be named first.

    -> fits that do equally well, and what was seen of each layout in words.  Angles must be as good as the radii
    let one expect, unless ``wrong_angles``: then an error up to `FITS` is accepted.
    """
    sample = Sample(values, row)
    few = sample.few()
    if few is not sample:
        near, seen = _looked_at(few, False, wrong_angles)
        near = _equally_good(near, few)
        fit = _of_all_rows(near[0], sample, few) if near else None
        if fit is not None:
            return [fit, *near[1:]], seen
    # Thoroughly only where the first look left something to explain: it takes ten times as long.
    for thorough in (False, True):
        near, seen = _looked_at(sample, thorough, wrong_angles)
        if any(fit.rms < fit.noise for fit in near):
            break
    return _equally_good(near, sample), seen


def _looked_at(sample: Sample, thorough: bool, wrong_angles: bool) -> tuple[list[Fit], list[str]]:
    """The fits of all layouts, and what was seen of each in words."""
    near, seen = [], []
    for layout, policies in _structures(sample.values):
        of_layout, words = _fits_of_layout(sample, layout, policies, thorough, wrong_angles)
        near += of_layout
        seen.append(f"{layout}: {words}")
    return near, seen


def _of_all_rows(fit: Fit, sample: Sample, few: Sample) -> Fit | None:
    """What was found from a few rows, with the scale of all; None if all might give other numbers.

    Where entries are rounded or noisy, the more rows there are the fewer numbers are round enough.
    """
    is_round = fit.digits <= 3 and fit.offset == round(fit.offset) and fit.step == round(fit.step)
    if fit.doubt > 1e-5 or fit.rms > (1e-5 if is_round else 1e-9):
        return None
    rows = fit.rows(sample.row, sample.d_model)
    if np.abs(sample.values - rows).max() > 5 * few.worst(fit) + 1e-9:
        return None
    return replace(fit, scale=float(fit.scale * np.vdot(rows, sample.values) / np.vdot(rows, rows)))


def _equally_good(near: list[Fit], sample: Sample) -> list[Fit]:
    """Those whose error is as small as the smallest, as far as noise and rounding tell; the one to be named first."""
    if not near:
        return []
    best = min(fit.rms for fit in near)
    # 3.5 standard deviations of a sum of squares, relative to it.
    chance = 12 / max(sample.values.size - 4, 1)
    equal = []
    for fit in near:
        # Values that are not of float64 may come from angles of float32, each off by some 6e-8 of its position.
        angle = 1e-13 if fit.noise < 1.01e-6 else 2e-8
        rounding = 1e-9 + angle * (sample.row[-1] + abs(fit.offset))
        if fit.rms**2 <= best**2 * (1 + chance) + rounding**2:
            equal.append(fit)
    return sorted(equal, key=_preference)


def _preference(fit: Fit) -> tuple:
    """Of what fits equally well: round numbers first, then the paper."""
    return (
        fit.digits,
        fit.schedule != "paper",
        fit.step != 1,
        fit.offset != round(fit.offset),
        LAYOUTS.index(fit.layout),
        fit.odd != "extra_sine",
        abs(fit.offset),
        fit.rms,
    )


def _structures(values: Floats) -> list[tuple[str, tuple[str, ...]]]:
    """The ways to pair the columns that the width allows.  -> [(layout, policies for an odd width)]"""
    if values.shape[1] % 2 == 0:
        return [(layout, ("error",)) for layout in LAYOUTS]
    if not values[:, -1].any():
        return [(layout, ("zero_column",)) for layout in LAYOUTS]
    # With cosines first the two policies leave out different columns.
    structures = [(layout, ("extra_sine", "truncate")) for layout in LAYOUTS[:-1]]
    return [*structures, (LAYOUTS[-1], ("extra_sine",)), (LAYOUTS[-1], ("truncate",))]


# One layout


@dataclass(frozen=True)
class Circles:
    """A table as a layout pairs its columns: z = cosine + i sine of each whole pair, of unit root mean square.

    n_pair     pairs of the layout, and ``whole``, those of which no half was cut off
    amplitude  what z was divided by
    spread     standard deviation of |z|, relative to the amplitude
    """

    layout: str
    odd: str
    d_model: int
    row: npt.NDArray[np.integer]  # (t,)
    z: npt.NDArray[np.complex128]  # (t, pairs)
    n_pair: int
    whole: npt.NDArray[np.integer]
    amplitude: float
    spread: float

    @property
    def noise(self) -> float:
        """The error that the spread lets one expect of a fit."""
        return 1.5 * self.spread * self.amplitude + 1e-6

    def omega(self, base: float) -> Floats:
        """Frequencies of the whole pairs.  -> (pairs,) radian / token"""
        return frequencies(self.d_model, base, odd=self.odd)[self.whole]


def _circles(sample: Sample, layout: str, odd: str) -> Circles:
    d_model = sample.d_model
    n_pair = len(frequencies(d_model, odd=odd))
    waves = np.full((len(sample.values), 2 * n_pair + 1), np.nan)  # sines, cosines, zero; NaN where one was cut off
    waves[:, column_order(d_model, layout=layout, odd=odd)] = sample.values
    z = waves[:, n_pair:-1] + 1j * waves[:, :n_pair]  # (t, n_pair)
    whole = np.flatnonzero(np.isfinite(z).all(axis=0))
    z = z[:, whole]
    amplitude = float(np.sqrt(np.mean(np.abs(z) ** 2)))
    spread = float(np.std(np.abs(z))) / (amplitude or 1)
    return Circles(layout, odd, d_model, sample.row, z / (amplitude or 1), n_pair, whole, amplitude, spread)


def _fits_of_layout(
    sample: Sample, layout: str, policies: tuple[str, ...], thorough: bool, wrong_angles: bool
) -> tuple[list[Fit], str]:
    """The fits of one layout, and what was seen of it in words."""
    circles = _circles(sample, layout, policies[0])
    if circles.amplitude == 0 or circles.spread > 3 * FITS:
        return [], f"sine and cosine do not lie on one circle (radius {circles.spread:.0%} off)"
    n_row, n_whole = circles.z.shape
    # Steps of one token first; another step is measured from three pairs and four rows on.
    for free in (False, True) if n_whole >= 3 and n_row >= 4 else (False,):
        best = _best(sample, circles, free, thorough)
        if best is not None and best.rms < _largest_error(circles, best, free, wrong_angles):
            return _with_round_bases(sample, best, policies, free), "fits"
    turn = np.angle(_lagged(circles.z, circles.row, 1)[0])
    return [], f"pairs lie on circles, the first turns by {turn:.3f} radian a row, but no base fits them all"


def _largest_error(circles: Circles, fit: Fit, free: bool, wrong_angles: bool) -> float:
    """The error below which a fit is one."""
    limit = FITS * (0.6 if free else 1)
    if wrong_angles:
        return limit
    # An angle may be off by more than a radius where it was formed in float32: by some 6e-8 of the position.
    return min(limit, 10 * circles.noise + 1e-7 * abs(fit.offset))


def _best(sample: Sample, circles: Circles, free: bool, thorough: bool) -> Fit | None:
    """The best of all fits of one layout, polished, with the base as measured."""
    names = ["offset", "scale"]
    if circles.n_pair > 1:
        names.append("base")
    if free:
        names.append("step")
    few = sample.few()
    best, least, least_start = None, np.inf, np.inf
    for starts in _starts(circles, free, thorough):
        for start in starts:
            # Polishing is dear: not for what begins worse than the best did.
            error = few.error(start)
            if error >= min(10 * FITS, 1.2 * least_start):
                continue
            polished = _polished(few, start, names)
            if polished.rms < least:
                best, least, least_start = polished, polished.rms, error
        if least < circles.noise:
            break
    return best if best is None or few is sample else _polished(sample, best, names)


def _starts(circles: Circles, free: bool, thorough: bool) -> Iterator[list[Fit]]:
    """For each way the pairs may turn, the fits to begin with: one of each sign of the scale, if any is near."""
    n_row, n_whole = circles.z.shape
    noise = circles.spread / np.sqrt(n_row)
    one_pair = n_whole == 1
    farthest = NEARER if thorough or one_pair else FARTHEST
    telling = list(range(0, n_whole, 1 + n_whole // 16))  # pairs that are turned back first
    offsets: dict[int, float | None] = {}
    for turning in _turnings(circles, free, thorough):
        omega = circles.omega(turning.base)
        # Turned back, the rows of a pair should point one way; where they do not, no position need be looked for.
        if np.abs(_turned_back(circles, turning, telling)).min() < 0.7:
            continue
        start = _turned_back(circles, turning, list(range(n_whole)))
        if np.abs(start).min() < 0.7:
            telling.append(int(np.abs(start).argmin()))
            continue
        drift = 6 * turning.sd * (np.arange(len(omega)) * omega).max()  # radian a token, of an error of the base
        starts = []
        for sign in (1, -1):
            if sign not in offsets or not one_pair:  # one pair has the same offset for every base
                offsets[sign] = _offset(sign * start, omega, noise, drift, farthest)
            offset = offsets[sign]
            if offset is not None:
                scale = sign * circles.amplitude
                fit = Fit(circles.layout, circles.odd, turning.base, offset, scale, turning.step, circles.noise)
                starts.append(fit)
        yield starts


def _turned_back(circles: Circles, turning: "Turning", some: list[int]) -> npt.NDArray[np.complex128]:
    """The mean of all rows of some pairs, each row turned back to row 0.  -> (pairs,)"""
    omega = turning.step * circles.omega(turning.base)[some]
    return np.mean(circles.z[:, some] * np.exp(-1j * circles.row[:, None] * omega), axis=0)


# How pairs turn


@dataclass(frozen=True)
class Turning:
    """Frequencies step * exp(-slope * i): the base that the slope means, and the standard deviation of the slope."""

    base: float
    step: float
    sd: float = 0.0


def _decay(d_model: int, odd: str, schedule: str = SCHEDULES[0]) -> float:
    """By how much the logarithm of a frequency falls from pair to pair, for each 1 that log(base) has."""
    return -np.log(frequencies(d_model, np.e, schedule=schedule, odd=odd)[1])


def _turnings(circles: Circles, free: bool, thorough: bool) -> list[Turning]:
    """Bases that the turning from row to row allows, the likeliest first."""
    first = _lagged(circles.z, circles.row, 1)
    step = np.angle(first[0]) if free else np.copysign(1.0, np.angle(first[0]))
    if circles.n_pair == 1:
        return [Turning(PAPER_BASE, step)]
    if len(first) == 1:  # a pair and a half (three columns): no second turning to measure, so all are tried
        return [Turning(base, step) for base in TRIED_BASES]
    slope, step, sd = _measured_slope(circles, first, step, free)
    decay = _decay(circles.d_model, circles.odd)
    slopes = [slope]
    paper = decay * np.log(PAPER_BASE)
    if abs(paper - slope) < 6 * sd:
        slopes.append(paper)
    if thorough:
        # Far from position 0 a base a little off turns rows too far; and slow pairs may hide in the noise.
        nearby = sorted(np.linspace(-4, 4, 80), key=abs)
        slopes.extend(slope + sd * np.array(nearby))
        slopes.extend(decay * np.arange(2, 16, 0.5))
    logs = [slope / decay for slope in slopes]
    return [Turning(np.exp(log), step, sd) for log in logs if LEAST_LOG < log < LARGEST_LOG]


def _measured_slope(circles: Circles, first: npt.NDArray, step: float, free: bool) -> tuple[float, float, float]:
    """Slope and step of the frequencies step * exp(-slope * i), and the standard deviation of the slope.

    Measured coarse to fine: over one row, over two, over four ..., each begun where the last one ended.
    """
    z, row = circles.z, circles.row
    i = np.arange(z.shape[1])
    grid = np.geomspace(0.01 / len(i), max(100 / len(i), 10), 1500)
    some = i[:: 1 + len(i) // 50]  # neighbours are much alike
    distance = np.abs(first[some] - np.exp(1j * step * np.exp(-grid[:, None] * some))).sum(axis=1)  # (grid,)
    slope = grid[distance.argmin()]
    lag, sd = 1, np.inf
    while lag <= row[-1] - row[0]:
        turned = _lagged(z, row, lag)
        for _ in range(5):  # Gauss-Newton
            omega = np.exp(-slope * i)
            miss = np.imag(turned * np.exp(-1j * lag * step * omega))  # (pairs,) radian
            by_slope = -lag * step * i * omega
            by_step = lag * omega
            derivative = np.stack([by_slope, by_step] if free else [by_slope], axis=1)
            move = np.linalg.lstsq(derivative, miss, rcond=None)[0]
            slope = np.clip(slope + move[0], grid[0], grid[-1])
            if free:
                step += move[1]
        noise = max(np.sqrt(np.mean(miss**2)), circles.spread / np.sqrt(len(z)), 1e-15 * lag)
        sd = min(sd, noise / np.linalg.norm(by_slope))
        lag *= 2
    return slope, step, sd


def _lagged(z: npt.NDArray, row: npt.NDArray, lag: int) -> npt.NDArray:
    """Mean of z at row r + lag times the conjugate of z at row r: its angle is the turning.  -> (pairs,)"""
    _, later, earlier = np.intersect1d(row, row + lag, assume_unique=True, return_indices=True)
    products = z[later] * z[earlier].conj()
    return products.sum(axis=0) / max(len(products), 1)


# Where row 0 stands


def _offset(start: npt.NDArray, omega: Floats, noise: float, drift: float, farthest: float) -> float | None:
    """The position p with start = exp(i p omega), or None.  start (pairs,) complex, with that much noise

    Of those that do equally well, whole numbers come first, and small ones.
    """
    some = slice(None, None, 1 + len(omega) // 50)  # neighbours are much alike
    start, omega = start[some], omega[some]
    positions = _positions(np.angle(start), omega, max(0.2, 8 * noise), farthest)
    if len(positions) == 0:
        return None
    miss = _misses(positions, start, omega)
    noise = max(noise, np.sqrt(miss.min()))
    near = positions[miss <= miss.min() + 16 * noise**2 + (drift * positions) ** 2 + 1e-16]
    whole = near[np.abs(near - np.round(near)) <= 4 * noise + 1e-9 * (1 + np.abs(near))]
    if len(whole):
        near = whole
    order = np.lexsort((near < -0.5, np.round(np.abs(near))))
    return float(near[order[0]])


def _positions(phase: Floats, omega: Floats, tolerance: float, farthest: float) -> Floats:
    """Positions p whose angles p * omega are ``phase`` (pairs,), give or take a tolerance in radian.

    From the slowest wave to the fastest: each allows positions one wavelength apart; those near enough to one that
    the slower waves left stay.
    """
    positions, within = np.zeros(1), float(farthest)
    for j in np.argsort(omega):
        if tolerance / omega[j] > within:  # too slow to tell
            continue
        lowest = omega[j] * (positions - within) - phase[j] - tolerance
        highest = omega[j] * (positions + within) - phase[j] + tolerance
        first = np.ceil(lowest / (2 * np.pi)).astype(int)
        last = np.floor(highest / (2 * np.pi)).astype(int)
        laps = np.unique(ranges(first, last))
        positions, within = (phase[j] + 2 * np.pi * laps) / omega[j], tolerance / omega[j]
        if len(laps) == 0:
            break
    return positions


def ranges(first: npt.NDArray[np.integer], last: npt.NDArray[np.integer]) -> npt.NDArray[np.integer]:
    """The whole numbers of each range first ... last, both included, one after the other.

    >>> ranges(np.array([1, 7, 20]), np.array([3, 6, 21])).tolist()
    [1, 2, 3, 20, 21]
    """
    count = np.maximum(last - first + 1, 0)
    begin = np.cumsum(count) - count
    return np.repeat(first - begin, count) + np.arange(count.sum())


def _misses(positions: Floats, start: npt.NDArray, omega: Floats) -> Floats:
    """How far exp(i p omega) is from ``start``, a mean of squares.  -> one a position"""
    misses = []
    for part in np.array_split(positions, 1 + len(positions) * len(omega) // 1_000_000):
        distance = np.abs(start - np.exp(1j * part[:, None] * omega))
        misses.append((distance**2).mean(axis=1))
    return np.concatenate(misses)


# From a start to a fit


def _polished(sample: Sample, fit: Fit, names: list[str]) -> Fit:
    """The fit with the numbers called ``names`` at their best values, whole where they may be."""
    longest = 2.0 if "base" in names else np.inf
    best = sample.error(fit)
    for _ in range(12):  # Gauss-Newton
        by_name = fit.derivatives(sample.row, sample.d_model)
        derivative = np.stack([by_name[name].ravel() for name in names], axis=1)  # (t * d, names)
        rest = (sample.values - fit.scale * by_name["scale"]).ravel()
        move = np.clip(np.linalg.lstsq(derivative, rest, rcond=None)[0], -longest, longest)
        moved = fit
        for name, distance in zip(names, move, strict=True):
            moved = moved.moved(name, distance)
        error = sample.error(moved) if 1.001 < moved.base < 1e300 and moved.step else np.inf
        if not error < best * (1 - 1e-6):
            break
        fit, best = moved, error
    variance = np.diag(np.linalg.pinv(derivative.T @ derivative))
    sd = dict(zip(names, best * np.sqrt(np.maximum(variance, 0)), strict=True))
    if _is_whole(fit.offset, sd["offset"]):
        fit = replace(fit, offset=float(round(fit.offset)))
    if "step" in names and _is_whole(fit.step, sd["step"]) and round(fit.step):
        fit = replace(fit, step=float(round(fit.step)))
    return replace(fit, rms=sample.error(fit), base_sd=sd.get("base"))


def _is_whole(number: float, sd: float) -> bool:
    """Is it a whole number, as far as its standard deviation and the rounding of float32 tell?"""
    whole = round(number)
    return abs(number - whole) <= 6 * sd + 1e-5 + 1e-7 * abs(whole)


# What a fit may be called


def _with_round_bases(sample: Sample, fit: Fit, policies: tuple[str, ...], free: bool) -> list[Fit]:
    """What a fit may be called: with each schedule and policy, the base as measured, a round one, and 10000."""
    if fit.base_sd is None:  # one pair: any base
        return [replace(fit, odd=odd) for odd in policies]
    names = ["offset", "scale", "step"] if free else ["offset", "scale"]
    slope = np.log(fit.base) * _decay(sample.d_model, fit.odd)
    near = []
    for odd in policies:
        for schedule in SCHEDULES:
            log = slope / _decay(sample.d_model, odd, schedule)  # of the base
            if not LEAST_LOG < log < LARGEST_LOG:
                continue
            tolerance = min(4 * fit.base_sd * log / np.log(fit.base), 2)
            for base, digits in _round_bases(log, tolerance):
                named = replace(fit, schedule=schedule, odd=odd, base=base, digits=digits)
                named = replace(named, measured=float(np.exp(log)), doubt=tolerance / 2)
                near.append(_polished(sample, named, names))
    return [fit for fit in near if fit.rms < FITS]


def _round_bases(log: float, tolerance: float) -> list[tuple[float, int]]:
    """Bases whose logarithm is ``log``, give or take a tolerance.  -> [(base, digits)]"""
    # Rounding decides what is closer than 1e-9; frequencies made in float32 move a base by some 1e-6.
    bases = []
    for reach in (max(tolerance, 1e-9), max(tolerance, 3e-6)):
        bases.append(rounded(*np.exp([log - reach, log, log + reach])))
    if abs(log - np.log(PAPER_BASE)) < max(tolerance, 3e-6):
        bases.append((PAPER_BASE, 0))
    bases.append((float(np.exp(log)), AS_MEASURED))
    return [(base, digits) for base, digits in bases if base > 1.001]


def rounded(lowest: float, number: float, highest: float) -> tuple[float, int]:
    """The number from lowest to highest with the fewest digits.  -> it, and how many; ``number`` and 20 if over 12

    >>> rounded(9_990.0, 9_999.5, 10_020.0)
    (10000.0, 1)
    """
    for digits in range(1, 13):
        unit = 10.0 ** (np.floor(np.log10(number)) - digits + 1)
        for count in (np.round(number / unit), np.ceil(lowest / unit)):
            candidate = float(f"{count * unit:.12g}")
            if lowest <= candidate <= highest and candidate > 0:
                return candidate, digits
    return float(number), AS_MEASURED
