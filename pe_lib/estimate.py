"""The sinusoid that comes nearest to a table: its layout, frequencies, position and scale, measured from the values.

Put the columns in pairs as each layout would have them, and read cosine and sine of a pair as one complex number z.
Where the pairs are right |z| is the same everywhere.  From one row to the next z turns by the frequency of its pair,
which is thus measured, not guessed.  Turned back by it, all rows point to the angle of row 0, and the angles of the
pairs together, from the slowest wave to the fastest, leave one position for it.

`identify.identify` says in words what is found here.  Values are of unit root mean square; a fit is a dictionary of
the fields of `sinusoidal.Convention`, with rms (its error; raw, before it was polished), noise (what the radii let
one expect of the error), digits (of the base; 20 as measured, 0 for 10000), and the base as measured, give or take a
share of it.
"""

import numpy as np

from pe_lib.sinusoidal import LAYOUTS, SCHEDULES, column_order, frequencies, sinusoidal

FITS = 0.03  # a fit is one if its error is below this share of the table
FARTHEST = 1_000_000  # tokens: positions of row 0 beyond this are not looked for
NEARER = 20_000  # tokens: nor beyond this where one pair is all there is, or where the base is uncertain


def fits(values: np.ndarray, row: np.ndarray, *, wrong_angles: bool = False) -> tuple[list[dict], list[str]]:
    """The conventions that come near rows ``row`` (t,) of a table, values (t, d), the one to be named first.

    -> fits that do equally well, and what was seen of each layout in words.  Angles must be as good as the radii
    let one expect, unless ``wrong_angles``: then an error up to `FITS` is accepted.
    """
    for thorough in (False, True):  # the second time only where the first left something to explain
        tried = [_fit(values, row, layout, odds, thorough, wrong_angles) for layout, odds in _structures(values)]
        found = [fit for some, _ in tried for fit in some]
        if any(thorough or fit["rms"] < fit["noise"] for fit in found):
            break
    if found:
        best = min(fit["rms"] for fit in found)
        more = 12 / max(values.size - 4, 1)  # 3.5 standard deviations of a sum of squares, as a share of it
        # Values that are not of float64 may come from angles of float32, each off by some 6e-8 of its position.
        angles = [1e-13 if fit["noise"] < 1.01e-6 else 2e-8 for fit in found]
        rounding = [1e-9 + a * (row[-1] + abs(fit["offset"])) for a, fit in zip(angles, found, strict=True)]
        found = [f for f, r in zip(found, rounding, strict=True) if f["rms"] ** 2 <= best**2 * (1 + more) + r**2]
        found.sort(key=_preference)
    return found, [words for _, words in tried]


def _preference(fit):
    """Of what fits equally well: round numbers first, then the paper."""
    return (fit["digits"], fit["schedule"] != "paper", fit["step"] != 1, fit["offset"] != round(fit["offset"]),
            LAYOUTS.index(fit["layout"]), fit["odd"] != "extra_sine", abs(fit["offset"]), fit["rms"])  # fmt: skip


def _structures(values):
    """The ways to pair the columns that the width allows.  -> [(layout, policies for an odd width)]"""
    if values.shape[1] % 2 == 0:
        return [(layout, ("error",)) for layout in LAYOUTS]
    if not values[:, -1].any():
        return [(layout, ("zero_column",)) for layout in LAYOUTS]
    *alike, cut = LAYOUTS  # with cosines first the two policies leave out different columns
    return [*((layout, ("extra_sine", "truncate")) for layout in alike), (cut, ("extra_sine",)), (cut, ("truncate",))]


def _fit(values, row, layout, odds, thorough, wrong_angles):
    """The fits of one layout, and what was seen of it in words."""
    d_model, odd = values.shape[1], odds[0]
    n_pair = len(frequencies(d_model, odd=odd))
    waves = np.full((len(values), 2 * n_pair + 1), np.nan)
    waves[:, column_order(d_model, layout=layout, odd=odd)] = values
    z = waves[:, n_pair:-1] + 1j * waves[:, :n_pair]  # (t, n_pair) cosine + i sine; NaN where a half was cut off
    whole = np.isfinite(z).all(axis=0)
    z = z[:, whole]
    amplitude = np.sqrt(np.mean(np.abs(z) ** 2))
    spread = np.std(np.abs(z)) / (amplitude or 1)
    if amplitude == 0 or spread > 3 * FITS:
        return [], f"{layout}: sine and cosine do not lie on one circle (radius {spread:.0%} off)"
    z = z / amplitude
    noise = 1.5 * spread * amplitude + 1e-6
    start = {"layout": layout, "schedule": SCHEDULES[0], "odd": odd, "digits": 20, "noise": noise}
    names, offsets = ["offset", "scale"] + ["base"] * (n_pair > 1), {}
    for free in (False, True):  # steps of one token first
        if free and (z.shape[1] < 3 or len(z) < 4):
            break
        best, best_sd = {"rms": np.inf}, {}
        for base, step, sd in _bases(z, row, free, spread, frequencies(d_model, np.e, odd=odd)[:2], thorough):
            omega = frequencies(d_model, base, odd=odd)[whole]  # (pairs,)
            back = np.mean(z * np.exp(-1j * step * row[:, None] * omega), axis=0)
            if np.abs(back).min() < 0.7:  # turned back, the rows of a pair should point one way
                continue
            for sign in (1, -1):
                if sign not in offsets or len(omega) > 1:  # one pair has the same offset for every base
                    drift = 6 * sd * (np.arange(len(omega)) * omega).max()  # radian that sd makes of a token
                    farthest = NEARER if thorough or len(omega) == 1 else FARTHEST
                    offsets[sign] = _offset(sign * back, omega, spread / np.sqrt(len(z)), drift, farthest)
                fit = start | {"base": base, "step": step, "scale": sign * amplitude, "offset": offsets[sign]}
                if fit["offset"] is not None and _rms(values, row, fit) < min(10 * FITS, 1.2 * best.get("raw", 9)):
                    raw = _rms(values, row, fit)
                    fit, fit_sd = _polished(values, row, fit, names + ["step"] * free)
                    if fit["rms"] < best["rms"]:
                        best, best_sd = fit | {"raw": raw}, fit_sd
            if best["rms"] < noise:
                break
        # An angle may be off by more than a radius where it was formed in float32: by some 6e-8 of the position.
        expected = np.inf if wrong_angles else 10 * noise + 1e-7 * abs(best.get("offset", 0))
        if best["rms"] < min(FITS * (0.6 if free else 1), expected):
            given = names[:2] + ["step"] * free
            return _round_bases(values, row, best, best_sd.get("base"), odds, given), f"{layout}: fits"
    turn = np.angle(_lagged(z, row, 1)[0])
    return (
        [],
        f"{layout}: pairs lie on circles, the first turns by {turn:.3f} radian a row, but no base fits them all",
    )


def _lagged(z, row, lag):
    """Mean of z at row r + lag times the conjugate of z at row r: its angle is the turning.  -> (pairs,)"""
    dense = np.zeros((row[-1] - row[0] + 1, z.shape[1]), complex)
    dense[row - row[0]] = z
    return (dense[lag:] * dense[:-lag].conj()).sum(axis=0) / max(np.isin(row + lag, row).sum(), 1)


def _bases(z, row, free, spread, unit, thorough):
    """Bases that the turning from row to row allows.  -> [(base, step, standard deviation of the slope)]

    Measured coarse to fine: over one row, over two, over four ..., each begun where the last one ended.  The
    frequencies are step * exp(-slope * i); ``unit`` has the first two of base e.
    """
    i, first = np.arange(z.shape[1]), _lagged(z, row, 1)
    step = np.angle(first[0]) if free else np.copysign(1.0, np.angle(first[0]))
    if len(unit) == 1:
        return [(10_000.0, step, 0.0)]
    unit = -np.log(unit[1])
    if len(i) == 1:  # a pair and a half (three columns): no second turning to measure, so all are tried
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
    return [(np.exp(one / unit), step, sd) for one in slopes if 1e-3 < one / unit < 690]  # e**710 is no float64


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
        last = np.floor((omega[j] * (p + within) - phase[j] + give) / (2 * np.pi)).astype(int)
        count = np.maximum(last - first + 1, 0)
        laps = np.unique(np.repeat(first - np.cumsum(count) + count, count) + np.arange(count.sum()))
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
    """The fit with the numbers called ``names`` at their best values, whole where they may be.  -> fit, their sd"""
    best = _rms(values, row, fit)
    for _ in range(12):  # Gauss-Newton
        by = np.stack([_derivative(values, row, fit, name) for name in names], axis=1)  # (t * d, names)
        move = np.linalg.lstsq(by, (values - rows_of(fit, row, values.shape[1])).ravel(), rcond=None)[0]
        move = np.clip(move, *([-2, 2] if "base" in names else [-np.inf, np.inf]))
        moved = fit | {name: _moved(fit, name, much) for name, much in zip(names, move, strict=True)}
        new = _rms(values, row, moved) if 1.001 < moved["base"] < 1e300 and moved["step"] else np.inf
        if not new < best * (1 - 1e-6):
            break
        fit, best = moved, new
    variance = np.diag(np.linalg.pinv(by.T @ by))
    sd = dict(zip(names, best * np.sqrt(np.maximum(variance, 0)), strict=True))
    for name in {"offset", "step"} & set(names):
        whole = float(round(fit[name]))
        if abs(fit[name] - whole) <= 6 * sd[name] + 1e-5 + 1e-7 * abs(whole) and (whole or name == "offset"):
            fit = fit | {name: whole}
    return fit | {"rms": _rms(values, row, fit)}, sd


def _round_bases(values, row, fit, sd, odds, names):
    """What a fit may be called: with each schedule and policy, the base as measured, a round one, and 10000."""
    if sd is None:  # one pair: any base
        return [fit | {"odd": odd} for odd in odds]
    d_model, found = values.shape[1], []
    slope = np.log(fit["base"]) * -np.log(frequencies(d_model, np.e, odd=fit["odd"])[1])
    for odd in odds:
        for schedule in SCHEDULES:
            log = slope / -np.log(frequencies(d_model, np.e, schedule=schedule, odd=odd)[1])  # of the base
            if not 1e-3 < log < 690:
                continue
            give = min(4 * sd * log / np.log(fit["base"]), 2)
            # Rounding decides what is closer than 1e-9; frequencies made in float32 move a base by some 1e-6.
            gives = max(give, 1e-9), max(give, 3e-6)
            near = [rounded(*np.exp([log - much, log, log + much])) for much in gives]
            near += [(1e4, 0)] if abs(log - np.log(1e4)) < max(give, 3e-6) else []
            for base, digits in (*near, (np.exp(log), 20)):
                if base > 1.001:
                    named = fit | {"schedule": schedule, "odd": odd, "base": float(base), "digits": digits}
                    named |= {"measured": float(np.exp(log)), "give": give / 2}
                    found.append(_polished(values, row, named, names)[0])
    return [one for one in found if one["rms"] < FITS]


def rounded(low: float, middle: float, high: float) -> tuple[float, int]:
    """The number from low to high with the fewest digits.  -> number, digits (middle and 20 if more than 12)"""
    for digits in range(1, 13):
        unit = 10.0 ** (np.floor(np.log10(middle)) - digits + 1)
        for count in (np.round(middle / unit), np.ceil(low / unit)):
            number = float(f"{count * unit:.12g}")
            if low <= number <= high and number > 0:
                return number, digits
    return float(middle), 20


def rows_of(fit: dict, row: np.ndarray, d_model: int) -> np.ndarray:
    """Rows ``row`` (t,) as a fit says.  -> (t, d_model)"""
    how = {name: fit[name] for name in ("schedule", "layout", "odd", "scale")}
    return sinusoidal(fit["offset"] + fit["step"] * row, d_model, fit["base"], **how)


def _rms(values, row, fit):
    return np.sqrt(np.mean((values - rows_of(fit, row, values.shape[1])) ** 2))


def _moved(fit, name, by):
    return fit[name] * np.exp(by) if name == "base" else fit[name] + by


def _derivative(values, row, fit, name):
    """How the rows of a fit change with one of its numbers; for the base, with its logarithm.  -> (t * d,)"""
    up, down = (rows_of(fit | {name: _moved(fit, name, by)}, row, values.shape[1]) for by in (1e-5, -1e-5))
    return ((up - down) / 2e-5).ravel()
