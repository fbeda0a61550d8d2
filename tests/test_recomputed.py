"""One number of each verdict, computed again by code that shares nothing with the package.

Where the line gives a bound, or what one draw gave, the bound is tried again, or the order of size.

The lines are read from the stored notebooks, the records from their files; nothing is imported from pe_lib, and
formulas are written out again: in mpmath where exact, by brute force where that is enough.
"""

import csv
import json
import math
import random
import re
from fractions import Fraction
from functools import cache
from pathlib import Path
from statistics import fmean

import mpmath
import pytest
from scipy import stats

TOP = Path(__file__).parent.parent
BASE = 10_000
RECOMPUTED = {}  # claim -> what computes its number again, and compares


def recomputed(function):
    """Registers what is to be done with the line of the verdict on the claim of the same name."""
    RECOMPUTED[function.__name__] = function
    return function


@cache
def lines():
    """{claim: the number that decides, as the notebooks print it}"""
    found = {}
    for path in sorted((TOP / "notebooks").glob("*.ipynb")):
        for cell in json.loads(path.read_text())["cells"]:
            text = "".join("".join(output.get("text", "")) for output in cell.get("outputs", []))
            found |= dict(re.findall(r"^verdict on (\w+): [\w ]+\. (.+)$", text, flags=re.M))
    return found


def numbers(line):
    """The numbers in a line, a percentage as a share."""
    found = re.findall(r"[-+]?\d[\d,]*(?:\.\d+)?(?:e-?\d+)?%?", line)
    return [float(n.rstrip("%").replace(",", "")) / (100 if n.endswith("%") else 1) for n in found]


@cache
def records(name):
    with (TOP / "data" / "results" / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def column(name, value, **wanted):
    """The values of a column of the records in the rows that have what is wanted."""
    rows = [row for row in records(name) if all(row[key] == text for key, text in wanted.items())]
    assert rows, f"no row of {name} has {wanted}"
    return [float(row[value]) for row in rows]


@cache
def omegas(d, base=BASE):
    return [mpmath.mpf(base) ** (-mpmath.mpf(2 * i) / d) for i in range(d // 2)]


@cache
def cosine(k, d, base=BASE):
    """Cosine of two rows k apart."""
    return mpmath.fsum(mpmath.cos(omega * k) for omega in omegas(d, base)) / (d // 2)


def product(a, b):
    return math.fsum(x * y for x, y in zip(a, b, strict=True))


def row(p, d, base=BASE):
    return [f(p * base ** (-2 * i / d)) for i in range(d // 2) for f in (math.sin, math.cos)]


@pytest.mark.parametrize("claim", lines())
def test_number(claim):
    assert claim in RECOMPUTED, "a claim needs a number that is computed again here"
    RECOMPUTED[claim](lines()[claim])


def test_nothing_is_computed_for_a_claim_that_is_gone():
    assert set(RECOMPUTED) == set(lines())


@recomputed
def dimension(line):
    worst = 0.0
    for p in range(0, 512, 3):
        for c in range(0, 512, 2):  # even columns: sines, with 2c where 2 (c // 2) is right
            worst = max(worst, abs(math.sin(p * BASE ** (-2 * c / 512)) - math.sin(p * BASE ** (-c / 512))))
    assert numbers(line)[:2] == [256, 512] and numbers(line)[2] == pytest.approx(worst, abs=0.02)


@recomputed
def end_point(line):
    longest, claimed = 2 * mpmath.pi / omegas(512)[-1], 2 * mpmath.pi * BASE
    assert numbers(line)[:2] == [round(longest), round(claimed)]
    assert numbers(line)[2] == pytest.approx(float(1 - longest / claimed), abs=5e-4)


@recomputed
def linear(line):
    for p, k in ((3, 4), (500, 7), (11, 512)):
        for omega in omegas(512)[::51]:
            moved = mpmath.sin(omega * p) * mpmath.cos(omega * k) + mpmath.cos(omega * p) * mpmath.sin(omega * k)
            assert abs(moved - mpmath.sin(omega * (p + k))) < 1e-12
    assert numbers(line)[-1] == 1e-9


def share_by_distance(scores):
    """Share of the variance of a square matrix that lies between its diagonals."""
    n, diagonals = len(scores), {}
    for m in range(n):
        for k in range(n):
            diagonals.setdefault(m - k, []).append(scores[m][k])
    mean = fmean(value for line in diagonals.values() for value in line)
    between = sum(len(line) * (fmean(line) - mean) ** 2 for line in diagonals.values())
    return between / sum((value - mean) ** 2 for line in diagonals.values() for value in line)


@recomputed
def relative_possible(line):
    """Ten random matrices, of fewer columns and positions: far from 1, as the one printed is."""
    shares = []
    for seed in range(10):
        drawn, d, t = random.Random(seed), 32, 24
        matrix = [[drawn.gauss(0, 1) for _ in range(d)] for _ in range(d)]
        rows = [row(p, d) for p in range(t)]
        right = [[product(line, code) for line in matrix] for code in rows]
        shares.append(share_by_distance([[product(a, b) for b in right] for a in rows]))
    assert numbers(line)[1] == 1 and numbers(line)[0] < 0.25 and max(shares) < 0.9


@recomputed
def smooth(line):
    alike = cosine(1, 512)
    turned_over = mpmath.fsum(mpmath.cos(1 / omega) for omega in omegas(512)) / 256
    assert numbers(line)[0] == pytest.approx(float(alike), abs=6e-4)
    assert numbers(line)[-1] == pytest.approx(float(turned_over), abs=6e-3)


@recomputed
def any_length(line):
    """Least squares with another library: how much of a row lies outside the span of the main directions."""
    import scipy.linalg

    rows = [row(p, 512) for p in range(512)]
    _, s, v = scipy.linalg.svd(rows)
    energy, kept = 0.0, 0
    while energy < 0.999 * sum(s**2):
        energy, kept = energy + s[kept] ** 2, kept + 1
    for place, printed in zip((256, 512, 1023), numbers(line)[0:6:2], strict=True):
        code = row(place, 512)
        inside = sum(product(code, direction) ** 2 for direction in v[:kept])
        assert printed == pytest.approx(math.sqrt(1 - inside / 256), abs=6e-3)


@recomputed
def unique(line):
    with mpmath.workdps(30):
        at_710 = 2 * abs(mpmath.sin(mpmath.mpf(710) / 2))
    assert numbers(line)[1] == pytest.approx(float(at_710), abs=6e-6) and numbers(line)[3] == 710
    neighbours = [math.sqrt(d - d * float(cosine(1, d))) for d in (16, 512)]
    assert [numbers(line)[4], numbers(line)[6]] == pytest.approx(neighbours, abs=6e-3)


@recomputed
def orthogonal(line):
    shares = [float(cosine(k, 512)) for k in range(1, 512)]
    mean = sum((512 - k) * share for k, share in enumerate(shares, 1)) / sum(range(1, 512))
    assert numbers(line)[1:] == pytest.approx([mean, min(shares)], abs=6e-3)


@recomputed
def scales(line):
    fast = [2 * math.pi / float(omega) < 64 for omega in omegas(512)]
    step = [1 - math.cos(omega) for omega in omegas(512)]
    local = sum(s for s, is_fast in zip(step, fast, strict=True) if is_fast) / sum(step)
    fall = []
    for omega in map(float, omegas(512)):
        near = fmean(math.cos(omega * k) for k in range(33, 65))
        fall.append(near - fmean(math.cos(omega * k) for k in range(257, 512)))
    slow = sum(f for f, is_fast in zip(fall, fast, strict=True) if not is_fast) / sum(fall)
    assert numbers(line) == pytest.approx([local, slow], abs=6e-3)


@recomputed
def differentiable(line):
    assert "bit for bit" in line  # no number: the cell compares every gradient


@recomputed
def binary(line):
    """Bit 0 and the position against a wave each: no wave of the table comes near the frequency of bit 0."""
    assert max(omegas(512)) == 1 < math.pi
    best = 0.0  # what one wave explains of the bit
    for omega in map(float, omegas(512)[::8]):
        for f in (math.sin, math.cos):
            wave = [f(omega * p) for p in range(2048)]
            centred = [w - fmean(wave) for w in wave]
            norm = product(centred, centred)
            if norm > 1e-6:
                best = max(best, product(centred, [p % 2 - 0.5 for p in range(2048)]) ** 2 / norm / 512)
    assert best < 0.1 and numbers(line)[-2:] == [0.1, 0.7]


@recomputed
def decays(line):
    shares = [cosine(k, 512) for k in range(1, 512)]
    rises = [k for k in range(2, 512) if shares[k - 1] > shares[k - 2]]
    limit = [(mpmath.ci(k) - mpmath.ci(mpmath.mpf(k) / BASE)) / mpmath.log(BASE) for k in range(1, 512)]
    off = max(abs(a - b) for a, b in zip(shares, limit, strict=True))
    assert numbers(line)[:3] == [rises[0], len(rises), 511] and numbers(line)[3] == pytest.approx(
        float(off), abs=6e-3
    )


def explained(x, y):
    """R2 of the straight line through points."""
    mx, my = fmean(x), fmean(y)
    covariance = sum((a - mx) * (b - my) for a, b in zip(x, y, strict=True))
    return covariance**2 / sum((a - mx) ** 2 for a in x) / sum((b - my) ** 2 for b in y)


@recomputed
def log_bias(line):
    shares = [float(cosine(k, 512)) for k in range(1, 512)]
    expected = [explained(x, shares) for x in ([math.log(k) for k in range(1, 512)], list(range(1, 512)))]
    assert numbers(line) == pytest.approx(expected, abs=6e-3)


@recomputed
def norm(line):
    assert numbers(line) == [
        pytest.approx(math.sqrt(product(row(77, 512), row(77, 512)))),
        512,
    ]


@recomputed
def limit_63000(line):
    neighbours = math.sqrt(512 - 512 * float(cosine(1, 512)))
    far = math.sqrt(512 - 512 * float(cosine(62_832, 512)))
    assert numbers(line)[1] == pytest.approx(neighbours, abs=6e-3) and numbers(line)[-1] == pytest.approx(
        far, abs=0.06
    )


@recomputed
def all_clocks(line):
    """From the exact Gram matrix of the rows, which the closed form of the sum gives."""
    import scipy.linalg

    by_distance = [256 * float(cosine(k, 512)) for k in range(512)]
    energy = sorted(scipy.linalg.eigvalsh(scipy.linalg.toeplitz(by_distance)), reverse=True)
    held, directions = 0.0, {}
    for number, value in enumerate(energy, 1):
        held += value / sum(energy)
        for share in (0.99, 1 - 1e-8):
            if held >= share:
                directions.setdefault(share, number)
    assert [numbers(line)[1], numbers(line)[4]] == [directions[1 - 1e-8], directions[0.99]]


@recomputed
def log_space(line):
    """Rounded to 24 bits after each operation, the two ways, as float32 has it."""
    with mpmath.workprec(24):
        factor = -(mpmath.log(BASE) / 512)
        logged = [mpmath.exp(2 * i * factor) for i in range(256)]
        power = [1 / mpmath.mpf(BASE) ** (mpmath.mpf(2 * i) / 512) for i in range(256)]
    error = [max(abs(a / b - 1) for a, b in zip(way, omegas(512), strict=True)) for way in (logged, power)]
    assert error[0] > 2 * error[1] and max(error) < numbers(line)[0] == 1e-6


@recomputed
def first_columns(line):
    variance = []
    for c in range(512):
        values = [row_entry(p, c) for p in range(512)]
        variance.append(fmean(v * v for v in values) - fmean(values) ** 2)
    held, first = 0.0, {}
    for number, value in enumerate(variance, 1):
        held += value / sum(variance)
        for share in (0.5, 0.99):
            if held >= share:
                first.setdefault(share, number)
    assert [numbers(line)[0], numbers(line)[-1]] == [first[0.5], first[0.99]]


def row_entry(p, c, d=512):
    angle = p * BASE ** (-(c - c % 2) / d)
    return math.cos(angle) if c % 2 else math.sin(angle)


@recomputed
def values(line):
    """Two places, one plane, hand in hand with complex numbers: a shift turns what comes out."""
    v, weight = (1 + 2j, -0.5 + 1j), (0.3, 0.7)
    out = [
        sum(w * x * mpmath.expj(p + shift) for p, (w, x) in enumerate(zip(weight, v, strict=True)))
        for shift in (0, 7)
    ]
    assert abs(out[1] - out[0]) > 0.05 and abs(out[1] - out[0] * mpmath.expj(7)) < 1e-12
    assert numbers(line)[0] == 7 and numbers(line)[1] > 0.05 and numbers(line)[-1] == 0


@recomputed
def padding(line):
    """Rows five places on are other rows; angles between rows are not."""
    apart = math.dist(row(0, 32), row(5, 32))
    assert apart > 1 and float(cosine(3, 32)) == pytest.approx(product(row(9, 32), row(6, 32)) / 16)
    assert numbers(line)[0] == 5 and numbers(line)[1] > 0.1 and numbers(line)[-1] == 0


@recomputed
def rotary_decays(line):
    """The partial sums of the bound, and the kernel, at the width and window of the notebook."""
    omega = [BASE ** (-2 * i / 16) for i in range(8)]
    bound, alike = [], []
    for k in range(64):
        terms = [complex(math.cos(w * k), math.sin(w * k)) for w in omega]
        bound.append(fmean(abs(sum(terms[: j + 1])) for j in range(8)))
        alike.append(sum(term.real for term in terms) / 8)
    assert numbers(line)[0] == 32 and numbers(line)[1] == pytest.approx(fmean(bound[32:]) / bound[0], abs=6e-3)
    assert numbers(line)[2] == pytest.approx(fmean(alike[32:]) / alike[0], abs=0.02)  # tokens of many lengths, drawn


# From records: means and ranges, from the rows of the files


def approx(expected, within):
    return pytest.approx(expected, abs=within)


@recomputed
def guesses(line):
    """The expected share of the most frequent of 15 tokens: sequences are counted, in fractions."""
    expected = Fraction(0)
    for most in range(15):
        powers = [Fraction(1)] + [Fraction(0)] * 15  # the product of ten sums of z^j / j!, j up to most
        for _ in range(10):
            powers = [sum(powers[n - j] / math.factorial(j) for j in range(min(n, most) + 1)) for n in range(16)]
        expected += 1 - powers[15] * math.factorial(15) / Fraction(10) ** 15  # P(largest count > most)
    measured = fmean(column("controls", "accuracy", task="reverse", encoding="nope"))
    assert numbers(line) == approx([0.10, float(expected / 15), measured], 6e-4)


@recomputed
def faster(line):
    by_lot, sinusoids = ({"task": "reverse", "encoding": name} for name in ("random", "sinusoidal"))
    expected = [fmean(column("controls", "solved_at", **which)) for which in (by_lot, sinusoids)]
    assert numbers(line)[:2] == approx(expected, 0.5)
    names = ("random", "sinusoidal")
    expected = [fmean(column("controls", "length_17", task="previous", encoding=name)) for name in names]
    assert numbers(line)[2:] == approx(expected, 6e-3)
    for lr in {row["lr"] for row in records("rates")}:
        steps = [column("rates", "solved_at", encoding=name, lr=lr) for name in ("random", "sinusoidal")]
        assert max(steps[0]) < min(steps[1])


BASES = ("sinusoidal:base=100", "sinusoidal", "sinusoidal:base=1000000", "sinusoidal:base=100000000")


@recomputed
def base_10000(line):
    steps = [fmean(column("controls", "solved_at", task="reverse", encoding=name)) for name in BASES]
    moved = [fmean(column("controls", "shifted_16", task="previous", encoding=name)) for name in BASES]
    assert numbers(line)[4:8] == approx(steps, 0.5) and numbers(line)[-4:] == approx(moved, 6e-3)


@recomputed
def learned_same(line):
    names = ("learned:std=0.02", "learned:std=0.1", "learned:std=1", "sinusoidal")
    steps = [fmean(column("controls", "solved_at", task="reverse", encoding=name)) for name in names]
    assert numbers(line)[3:7] == approx(steps, 0.5)
    above = [sum(value > 0.95 for value in column("rates", "accuracy", encoding=name)) for name in names]
    assert re.findall(r"(\d+) of 15", line) == [str(number) for number in above]


@recomputed
def extrapolates(line):
    best = max(max(column("controls", "length_24", task="previous", encoding=name)) for name in BASES)
    assert numbers(line)[-1] == approx(best, 6e-3)


@recomputed
def may_extrapolate(line):
    names = ("sinusoidal", "sinusoidal:base=100000000", "random", "nope")
    means = [fmean(column("controls", "length_17", task="previous", encoding=name)) for name in names]
    assert [n for n in numbers(line) if n < 1] == approx(means, 6e-3)


@recomputed
def relative_beyond(line):
    moved = column("controls", "shifted_16", task="previous", encoding="sinusoidal")
    without = fmean(column("controls", "shifted_16", task="previous", encoding="nope"))
    assert numbers(line)[2:] == approx([fmean(moved), min(moved), max(moved), without], 6e-3)


@recomputed
def relative_easy(line):
    which = (("previous", "sinusoidal"), ("reverse", "sinusoidal"), ("previous", "unpaired"), ("previous", "random"))
    means = [fmean(column("controls", "by_distance", task=task, encoding=encoding)) for task, encoding in which]
    assert numbers(line) == approx(means, 6e-3)


def hop(way, task="hop"):
    return fmean(column("mixing", "solved_at", task=task, way=way))


@recomputed
def split_better(line):
    expected = [hop("split:32"), 32, 64, hop("split:16"), 16, 4, hop("sinusoidal")]
    assert numbers(line) == approx(expected, 0.5)
    assert all(
        row["solved_at"] == "" for row in records("mixing") if row["task"] == "hop" and row["way"] == "split:4"
    )


@recomputed
def append_index(line):
    assert numbers(line) == approx([hop("raw_index"), hop("sinusoidal")], 0.5)
    assert all(row["solved_at"] == "" for row in records("mixing") if row["task"] == "hop" and row["way"] == "index")


@recomputed
def muddles(line):
    expected = [hop(way, task) for task in ("hop", "count") for way in ("sinusoidal", "split:32")]
    assert numbers(line)[:4] == approx(expected, 0.5)
    assert min(column("mixing", "accuracy", way="sinusoidal")) > numbers(line)[4] == 0.98


@recomputed
def token_scale(line):
    which = {"task": "count", "way": "sinusoidal"}
    expected = [fmean(column("token_scale", "accuracy", token_scale=scale, **which)) for scale in ("1.0", "0.125")]
    chance = max(math.comb(15, k) * 0.1**k * 0.9 ** (15 - k) for k in range(16))  # k others like it among 15
    assert numbers(line) == approx([*expected, chance], 6e-3)


@recomputed
def sinusoids_fail(line):
    expected = []
    for name in ("sinusoidal", "rope", "sandwich"):
        expected += [fmean(column("family_text", which, encoding=name)) for which in ("all_64", "all_512")]
    assert numbers(line)[2:] == approx(expected, 6e-3)


@recomputed
def uses_context(line):
    def changes(name, which):
        late, early = (fmean(column("family_text", f"{which}_{n}", encoding=name)) for n in (512, 64))
        return late - early

    expected = [changes("sandwich", "last"), changes("sandwich", "all")]
    expected += [changes(name, "last") for name in ("sinusoidal", "rope", "nope")]
    expected.append(fmean(column("context", "last_512")) - fmean(column("context", "last_64")))
    printed = [n for n in numbers(line) if n not in (512, 64, 16)]
    assert printed == approx(expected, 6e-3)


@recomputed
def relative_better(line):
    def better(name):
        last = {"task": "retrieve", "step": "1000", "encoding": name}
        return max(fmean(column("family_tasks", "accuracy", lr=lr, **last)) for lr in ("0.002", "0.005"))

    expected = [better(name) for name in ("t5", "t5:scale=10", "alibi", "rope", "sinusoidal")]
    printed = [float(n) for n in re.findall(r"\d\.\d\d", line)]
    assert printed == approx(expected, 6e-3)

    # Tukey's least difference, with the squares of what encodings and seeds do not explain
    names = sorted({row["encoding"] for row in records("family_text")})
    loss = {name: column("family_text", "all_64", encoding=name) for name in names}
    n_seed = len(loss["rope"])
    seeds = [fmean(loss[name][seed] for name in names) for seed in range(n_seed)]
    rest = [
        loss[name][seed] - fmean(loss[name]) - seeds[seed] + fmean(seeds) for name in names for seed in range(n_seed)
    ]
    free = (len(names) - 1) * (n_seed - 1)
    spread = math.sqrt(sum(one**2 for one in rest) / free / n_seed)
    equal = stats.studentized_range.ppf(0.95, len(names), free) * spread
    relative = "rope partial_rope p_rope rope_nope xpos pope alibi t5 kerple_log kerple_power sandwich shaw"
    behind = [fmean(loss["sinusoidal"]) - fmean(loss[name]) for name in f"{relative} transformer_xl deberta".split()]
    told = re.search(r"text: (\d+) of (\d+) relative ones better than `sinusoidal`, (\d+) worse", line)
    assert [int(n) for n in told.groups()] == [
        sum(one > equal for one in behind),
        len(behind),
        sum(-one > equal for one in behind),
    ]
