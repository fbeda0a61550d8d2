"""Which convention made a position table, from its values alone.

    python -m pe_lib.identify FILE[:TENSOR]            .npy .npz .csv .pt .safetensors
    python -m pe_lib.identify PACKAGE.MODULE:CALLABLE  also says what is wrong with it, see `pe_lib.diagnose`

The idea: put the columns in pairs as each layout would have them, and read sine and cosine of a pair as one complex
number z.  Where the pairs are right |z| is the same everywhere; from one row to the next z turns by the frequency of
its pair, which is thus measured, not guessed; and what is left of the angle when that turning is taken out is the
position of row 0.  A convention is named only if it then gives the whole table back.
"""

from dataclasses import dataclass

import numpy as np

from pe_lib import check
from pe_lib.sinusoidal import LAYOUTS, SCHEDULES, Convention, column_order, frequencies, sinusoidal

FITS = 0.03  # a convention is named if the root mean square error is below this share of that of the table
FARTHEST = 1_000_000  # tokens: positions of row 0 beyond this are not looked for
NEARER = 20_000  # tokens: nor beyond this where one pair is all there is, or where the base is uncertain
MOST_ROWS = 1024  # rows from which the convention is found; all rows are then compared with it


@dataclass(frozen=True)
class Identification:
    """What `identify` found.  ``layout`` is None where nothing fits, and the other fields then are None too.

    The fields are those of `sinusoidal.Convention`.  ``schedule`` and ``base`` are None where one pair is all there
    is, since its frequency is 1 whatever they are.  ``error`` is the largest difference between the table and the
    convention.  ``text`` says what was found, what could not be known, and on what evidence.
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
    def convention(self) -> Convention | None:
        """The convention found, or None; base and schedule are the paper's where they cannot be known."""
        if self.layout is None:
            return None
        base, schedule = self.base or 10_000.0, self.schedule or "paper"
        return Convention(self.layout, schedule, base, self.odd, self.offset, self.scale, step=self.step)


def identify(table) -> Identification:
    """The convention that made a table, from its values.  table (t, d), t >= 3, d >= 2, rows in order

    The base is estimated from the turning of the columns, so any base is found, as are offset, scale, and the
    step between rows where it is not 1 (at least three pairs are needed for that).  Rows that are all zero, as of a
    padding token, are left out, and axes of length 1 are dropped.  A base, an offset or a scale is given as the
    roundest number that the values allow.
    Impossible in principle, and said so in the text: fewer than three rows; one column; the base and the schedule of
    a single pair; which schedule, where another with another base makes the same table (the rounder base is named).
    Raises ValueError or TypeError if the table is empty, not finite, not real or has other than 2 axes.
    """
    table = as_table(table)
    row = np.flatnonzero(table.any(axis=1))
    if table.shape[1] < 2 or len(row) < 3:
        return _unknown(table, "it takes 3 rows and 2 columns that are not zero to tell a wave from a constant")
    if not np.ptp(table[row], axis=0).any():
        return _unknown(table, "all rows are the same: nothing in the table depends on the position")
    some = row[:MOST_ROWS]
    size = np.sqrt(np.mean(table[some] ** 2))
    for thorough in (False, True):
        tried = [(layout, *_fit(table[some] / size, some, layout, odds, thorough)) for layout, odds in _structures(table[some])]
        fits = [fit for _, found, _ in tried for fit in found]
        if any(thorough or fit["rms"] < fit["noise"] for fit in fits):
            return _named(table, row, size, fits)
    return _unknown(table, "learned or unknown: " + "; ".join(f"{layout}: {words}" for layout, _, words in tried))


def as_table(table) -> np.ndarray:
    """The values of an array or a tensor of any precision, without its axes of length 1.  -> (t, d) float64

    Raises ValueError or TypeError if it is empty, not finite, not real or has other than 2 longer axes.
    """
    if hasattr(table, "detach"):  # a torch tensor; bfloat16 is unknown to NumPy
        table = table.detach().cpu().double().numpy()
    table = check.reals("table", table)
    if table.ndim > 2:
        table = table.squeeze()
    if table.ndim != 2 or table.size == 0:
        raise ValueError(f"table must be (positions, columns), neither empty, got shape {table.shape}")
    return table


def _structures(values):
    """The ways to pair the columns that the width allows.  -> [(layout, policies for an odd width)]"""
    if values.shape[1] % 2 == 0:
        return [(layout, ("error",)) for layout in LAYOUTS]
    if not values[:, -1].any():
        return [(layout, ("zero_column",)) for layout in LAYOUTS]
    cut = LAYOUTS[2]  # here alone the two policies leave out different columns
    return [*((layout, ("extra_sine", "truncate")) for layout in LAYOUTS[:2]), (cut, ("extra_sine",)), (cut, ("truncate",))]


def _fit(values, row, layout, odds, thorough):
    """The conventions of one layout that come near the values (t, d).  -> [fit], what was seen in words"""
    d_model = values.shape[1]
    n_pair = len(frequencies(d_model, odd=odds[0]))
    waves = np.full((len(values), 2 * n_pair + 1), np.nan)
    waves[:, column_order(d_model, layout=layout, odd=odds[0])] = values
    z = waves[:, n_pair:-1] + 1j * waves[:, :n_pair]  # (t, n_pair) cosine + i sine; NaN where a half was cut off
    whole = np.isfinite(z).all(axis=0)
    z = z[:, whole]
    amplitude = np.sqrt(np.mean(np.abs(z) ** 2))
    spread = np.std(np.abs(z)) / (amplitude or 1)
    if amplitude == 0 or spread > 3 * FITS:
        return [], f"sine and cosine do not lie on one circle (radius {spread:.0%} off)"
    z = z / amplitude
    turn = np.angle(_lagged(z, row, 1)[0])
    words = f"no base: its pairs lie on circles, the first turns by {turn:.3f} radian a row"
    how = {"layout": layout, "schedule": SCHEDULES[0], "odd": odds[0], "digits": 20}
    how["noise"] = 1.5 * spread * amplitude + 1e-6  # what the radii let one expect of the angles
    offsets = {}
    names = ["offset", "scale"] + ["base"] * (n_pair > 1)
    for free in (False, True):  # steps of one token first
        if free and (z.shape[1] < 3 or len(z) < 4):
            break
        best, best_sd = how | {"rms": np.inf}, None
        unit = frequencies(d_model, np.e, odd=odds[0])[:2]
        for base, step, sd in _bases(z, row, free, spread, unit, thorough):
            omega = frequencies(d_model, base, odd=odds[0])[whole]  # (pairs,)
            start = np.mean(z * np.exp(-1j * step * row[:, None] * omega), axis=0)
            drift = 6 * sd * (np.arange(len(omega)) * omega).max()  # what the base lets a phase be off by, per token
            if np.abs(start).min() < 0.7:  # turned back by omega, the rows of a pair should point one way
                continue
            for sign in (1, -1):
                if not (sign in offsets and z.shape[1] == 1):  # one pair has the same offset for every base
                    farthest = NEARER if thorough or len(omega) == 1 else FARTHEST
                    offsets[sign] = _offset(sign * start, omega, spread / np.sqrt(len(z)), drift, farthest)
                offset = offsets[sign]
                fit = how | {"base": base, "step": step, "scale": sign * amplitude, "offset": offset}
                if offset is None or _rms(values, row, fit) > min(6 * FITS, 1.2 * best.get("start", np.inf)):
                    continue
                fit, sd = _polished(values, row, fit, names + ["step"] * free)
                if fit["rms"] < best["rms"]:
                    best, best_sd = fit, sd
            if best["rms"] < how["noise"]:
                break
        # An angle may be off by more than a radius where it was formed in float32: by some 6e-8 of the position.
        if best["rms"] < min(FITS * (0.6 if free else 1), 10 * best["noise"] + 1e-7 * abs(best.get("offset", 0))):
            return _round_bases(values, row, best, best_sd.get("base"), odds, ["offset", "scale"] + ["step"] * free), words
    return [], words


def _lagged(z, row, lag):
    """Mean of z at row r + lag times the conjugate of z at row r: its angle is the turning.  -> (pairs,)"""
    dense = np.zeros((row[-1] - row[0] + 1, z.shape[1]), complex)
    dense[row - row[0]] = z
    return (dense[lag:] * dense[:-lag].conj()).sum(axis=0) / max(np.isin(row + lag, row).sum(), 1)


def _bases(z, row, free, spread, unit, thorough):
    """Bases that the turning from row to row allows, with the step: as measured, 10000, and others nearby.

    Measured coarse to fine: over one row, over two, over four ..., each begun where the last one ended.  The
    frequencies are step * exp(-slope * i); ``unit`` has the first two of base e in the schedule of the paper.
    """
    i, first = np.arange(z.shape[1]), _lagged(z, row, 1)
    step = np.angle(first[0]) if free else np.copysign(1.0, np.angle(first[0]))
    if len(unit) == 1:
        return [(10_000.0, step, 0.0)]
    unit = -np.log(unit[1])
    if len(i) == 1:  # half a pair besides (three columns): no turning to measure
        return [(base, step, 0.0) for base in np.exp(np.arange(0.5, 40, 0.1))]
    grid = np.geomspace(0.01 / len(i), max(100 / len(i), 10), 1500)
    slope = grid[np.abs(first - np.exp(1j * step * np.exp(-grid[:, None] * i))).sum(axis=1).argmin()]
    lag, sd = 1, np.inf
    while lag <= row[-1] - row[0]:
        turned = _lagged(z, row, lag)
        for _ in range(5):
            omega = np.exp(-slope * i)
            miss = np.imag(turned * np.exp(-1j * lag * step * omega))  # (pairs,) radian
            by = np.stack([-lag * step * i * omega, lag * omega], axis=1)[:, : 1 + free]
            move = np.linalg.lstsq(by, miss, rcond=None)[0]
            slope = np.clip(slope + move[0], grid[0], grid[-1])
            step += move[1] if free else 0
        noise = max(np.sqrt(np.mean(miss**2)), spread / np.sqrt(len(z)), 1e-15 * lag)
        sd = min(sd, noise / np.linalg.norm(by[:, 0]))
        lag *= 2
    slopes = [slope]
    if abs(unit * np.log(1e4) - slope) < 6 * sd:
        slopes.append(unit * np.log(1e4))
    if thorough:  # far from position 0 a base a little off turns rows too far; and slow pairs may hide in the noise
        slopes += [*(slope + sd * np.array(sorted(np.linspace(-4, 4, 80), key=abs))), *(unit * np.arange(2, 16, 0.5))]
    return [(np.exp(one / unit), step, sd) for one in slopes if 1e-6 < one / unit < 690]


def _round_bases(values, row, fit, sd, odds, names):
    """What a fit may be called: with each schedule and policy, the base as measured, a round one, and 10000."""
    if sd is None:  # one pair: any base
        return [fit | {"odd": odd} for odd in odds]
    d_model, fits = values.shape[1], []
    slope = np.log(fit["base"]) * -np.log(frequencies(d_model, np.e, odd=fit["odd"])[1])
    for odd in odds:
        for schedule in SCHEDULES:
            unit = -np.log(frequencies(d_model, np.e, schedule=schedule, odd=odd)[1])
            log = slope / unit
            if not 0 < log < 690:
                continue
            give = np.clip(6 * sd * log / np.log(fit["base"]), 1e-9, 2)  # below, rounding decides
            known = [(1e4, 0)] if abs(log - np.log(1e4)) < give else []
            for base, digits in (*known, rounded(*np.exp(log + np.array([-give, 0, give]))), (np.exp(log), 20)):
                if base > 1:
                    named = fit | {"schedule": schedule, "odd": odd, "base": float(base), "digits": digits}
                    fits.append(_polished(values, row, named, names)[0])
    return [one for one in fits if one["rms"] < FITS]


def rounded(low: float, middle: float, high: float) -> tuple[float, int]:
    """The number from low to high with the fewest digits.  -> number, digits (middle and 20 if more than 12)"""
    for digits in range(1, 13):
        unit = 10.0 ** (np.floor(np.log10(middle)) - digits + 1)
        for count in (np.round(middle / unit), np.ceil(low / unit)):
            number = float(f"{count * unit:.12g}")
            if low <= number <= high and number > 0:
                return number, digits
    return float(middle), 20


def _offset(start, omega, noise, drift, farthest):
    """The position p with start = exp(i p omega), or None.  start (pairs,) complex, with that much noise

    From the slowest wave to the fastest: each allows positions one wavelength apart; those near enough to one that
    the slower waves left are kept.  Of those that do equally well, whole numbers come first, and small ones.
    """
    few = slice(None, None, 1 + len(omega) // 50)  # neighbours are much alike
    start, omega = start[few], omega[few]
    phase, give = np.angle(start), max(0.2, 8 * noise)  # radian
    p, within = np.zeros(1), float(farthest)
    for j in np.argsort(omega):
        if give / omega[j] > within:  # too slow to tell
            continue
        first = np.ceil((omega[j] * (p - within) - phase[j] - give) / (2 * np.pi)).astype(int)
        count = np.maximum(np.floor((omega[j] * (p + within) - phase[j] + give) / (2 * np.pi)).astype(int) - first + 1, 0)
        ends = np.cumsum(count)
        laps = np.unique(np.repeat(first - ends + count, count) + np.arange(ends[-1]))
        if len(laps) == 0:
            return None
        p, within = (phase[j] + 2 * np.pi * laps) / omega[j], give / omega[j]
    parts = np.array_split(p, 1 + len(p) * len(omega) // 1_000_000)
    miss = np.concatenate([(np.abs(start - np.exp(1j * part[:, None] * omega)) ** 2).mean(axis=1) for part in parts])
    noise = max(noise, np.sqrt(miss.min()))
    near = p[miss <= miss.min() + 16 * noise**2 + (drift * p) ** 2 + 1e-16]
    whole = near[np.abs(near - np.round(near)) <= 4 * noise + 1e-9 * (1 + np.abs(near))]
    near = whole if len(whole) else near
    return float(near[np.lexsort((near < -0.5, np.round(np.abs(near))))[0]])


def _polished(values, row, fit, names):
    """The fit with the numbers called ``names`` moved to the best values; whole where they may be.  -> fit, their sd"""
    best = _rms(values, row, fit)
    for _ in range(12):
        by = np.stack([_derivative(values, row, fit, name) for name in names], axis=1)  # (t * d, names)
        move = np.linalg.lstsq(by, (values - _rows_of(fit, row, values.shape[1])).ravel(), rcond=None)[0]
        move = np.clip(move, *([-2, 2] if "base" in names else [-np.inf, np.inf]))
        moved = fit | {name: _moved(fit, name, by_this) for name, by_this in zip(names, move, strict=True)}
        new = _rms(values, row, moved) if 1 < moved["base"] < 1e300 and moved["step"] else np.inf
        if not new < best * (1 - 1e-6):
            break
        fit, best = moved, new
    variance = np.diag(np.linalg.pinv(by.T @ by))
    sd = dict(zip(names, best * np.sqrt(np.maximum(variance, 0)), strict=True))
    for name in {"offset", "step"} & set(names):
        whole = float(round(fit[name]))
        if abs(fit[name] - whole) <= 6 * sd[name] + 1e-7 * (1 + abs(whole)) and (whole or name == "offset"):
            fit = fit | {name: whole}
    return fit | {"rms": _rms(values, row, fit)}, sd


def _rms(values, row, fit):
    return np.sqrt(np.mean((values - _rows_of(fit, row, values.shape[1])) ** 2))


def _rows_of(fit, row, d_model):
    """The rows that a fit says.  -> (t, d)"""
    how = {name: fit[name] for name in ("schedule", "layout", "odd", "scale")}
    return sinusoidal(fit["offset"] + fit["step"] * row, d_model, fit["base"], **how)


def _moved(fit, name, by):
    return fit[name] * np.exp(by) if name == "base" else fit[name] + by


def _derivative(values, row, fit, name):
    """How the rows of a fit change with one of its numbers; for the base, with its logarithm.  -> (t * d,)"""
    up, down = (_rows_of(fit | {name: _moved(fit, name, by)}, row, values.shape[1]) for by in (1e-5, -1e-5))
    return ((up - down) / 2e-5).ravel()


def _named(table, row, size, fits):
    """The fit to be named, with its text: of those that do equally well the one with the roundest numbers."""
    some = row[:MOST_ROWS]
    n_value, best = len(some) * table.shape[1], min(fit["rms"] for fit in fits)
    more = 16 / n_value * n_value / max(n_value - 4, 1)  # four standard deviations of a sum of squares, as a share
    equal = [fit for fit in fits if fit["rms"] ** 2 <= best**2 * (1 + more) + (1e-9 * (1 + 1e-4 * abs(fit["offset"]))) ** 2]
    equal.sort(key=lambda fit: (
        fit["digits"], fit["schedule"] != "paper", fit["step"] != 1, fit["offset"] != round(fit["offset"]),
        LAYOUTS.index(fit["layout"]), fit["odd"] != "extra_sine", abs(fit["offset"]), fit["rms"],
    ))  # fmt: skip
    fit = equal[0]
    one_pair = len(frequencies(table.shape[1], odd=fit["odd"])) == 1
    give = 6 * fit["rms"] * size / np.sqrt(n_value) + 1e-9 * size
    scale = np.sign(fit["scale"]) * size * abs(fit["scale"])
    round_scale, digits = rounded(abs(scale) - give, abs(scale), abs(scale) + give)
    scale = float(np.copysign(round_scale if digits <= 3 else abs(scale), scale))
    odd = fit["odd"] if table.shape[1] % 2 else "error"
    found = {name: fit[name] for name in ("layout", "offset", "step")} | {"odd": odd, "scale": scale}
    found |= {"schedule": None, "base": None} if one_pair else {"schedule": fit["schedule"], "base": fit["base"]}
    away = np.abs(table[row] - _rows_of(fit | {"scale": scale}, row, table.shape[1])).max(axis=1)  # (t,)
    return Identification(**found, error=float(away.max()), text=_text(table, row, found, away, equal))


def _text(table, row, found, away, equal):
    names = {None: "any schedule", "paper": "the schedule of the paper", "tensor2tensor": "the schedule of tensor2tensor"}
    base = "any base" if found["base"] is None else f"base {found['base']:.12g}"
    lines = [
        f"sinusoidal, {table.shape[0]} rows of {table.shape[1]} columns: layout {found['layout']}, "
        f"{names[found['schedule']]}, {base}; row 0 is position {found['offset']:.10g}"
    ]
    if found["step"] != 1:
        lines.append(f"from one row to the next the position changes by {found['step']:.10g}, not by 1")
    if found["scale"] != 1:
        whose = " = d_model**-0.5" if np.isclose(found["scale"], table.shape[1] ** -0.5, rtol=1e-3) else ""
        lines.append(f"all entries are multiplied by {found['scale']:.6g}{whose}")
    if table.shape[1] % 2:
        lines.append(f"the odd width is made by {found['odd']}")
    if len(row) < len(table):
        lines.append(f"{len(table) - len(row)} rows of zeros are left out, the first is row "
                     f"{np.setdiff1d(np.arange(len(table)), row)[0]}")  # fmt: skip
    lines.append(f"largest difference from that convention: {away.max():.1e}")
    if found["base"] is None:
        lines.append("one pair alone turns by 1 radian a token whatever the base and the schedule are")
    others = {(fit["schedule"], f"{fit['base']:.6g}", fit["odd"]) for fit in equal}
    others -= {(fit["schedule"], *rest) for fit in equal for rest in ((f"{found['base'] or 0:.6g}", fit["odd"]),) if fit["schedule"] == found["schedule"]}
    if others and found["base"] is not None:
        lines.append("these values do not tell it from " + " or ".join(
            sorted(f"{schedule} with base {base}" for schedule, base, _ in others)))  # fmt: skip
    return "\n".join(lines)


def _unknown(table, why):
    return Identification(None, text=f"{table.shape[0]} rows of {table.shape[1]} columns: {why}")
