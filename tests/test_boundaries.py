"""Where a verdict turns: the settings that the scope of a claim names are walked, and tried on both sides.

For claims that are computed; where training decides, the records hold the settings that were tried.  A test is called
by its claim, and what needs none stands in WITHOUT.
"""

import numpy as np
import pytest

from pe_lib import analysis, claims
from pe_lib.controls import control
from pe_lib.sinusoidal import frequencies, kernel, sinusoidal

SCOPE = claims.ledger().scope
WITHOUT = {  # computed claims whose scope names no setting where they turn
    *("dimension", "linear", "norm", "differentiable"),  # at all settings alike
    *("values", "padding"),  # a condition in words: test_verdicts.py has both sides
    *("base_10000", "guesses"),  # from records
}


def test_every_computed_claim_is_walked():
    ledger = claims.ledger()
    trained = ledger.status.str.contains("where measured|not decided here")
    tests = [name.removeprefix("test_") for name in globals() if name.startswith("test_")]
    walked = {claim for claim in ledger.index if any(f"{name}_".startswith(f"{claim}_") for name in tests)}
    assert walked - {"faster"} == set(ledger.index[~trained]) - WITHOUT


def cosines(window, d_model, base=10_000.0):
    """Cosine of two rows at each distance within a window.  -> (window - 1,)"""
    return kernel(np.arange(1, window), d_model, base) / (d_model / 2)


@pytest.mark.parametrize("d_model", [8, 64, 512])
@pytest.mark.parametrize("base", [10.0, 1e4, 1e8])
def test_end_point_at_every_width_and_base(d_model, base):
    longest = analysis.wavelengths(d_model, base)[-1]
    assert longest / (2 * np.pi * base) == pytest.approx(base ** (-2 / d_model)) and longest < 2 * np.pi * base


def relative_freedom(table):
    """How many numbers of a matrix are free whose scores of these rows depend on their distance alone."""
    t, d = table.shape
    scores = np.einsum("mi,nj->mnij", table, table)  # of each matrix with a single 1
    along = (scores[1:, 1:] - scores[:-1, :-1]).reshape((t - 1) ** 2, d * d)  # 0 where a diagonal is constant
    return d * d - np.linalg.matrix_rank(along, tol=1e-9)


def test_relative_possible_only_over_all_positions():
    """In a short window any table with independent rows allows it, and the sinusoid no more than others."""
    assert "d^2 - t^2 + 2t - 1" in SCOPE["relative_possible"]
    d, t = 8, 6
    random = np.random.default_rng(0).normal(size=(t, d))
    apart = sinusoidal(37 * np.arange(t), d)  # rows of a ladder that starts at once: well conditioned
    assert relative_freedom(random) == relative_freedom(apart) == d**2 - t**2 + 2 * t - 1
    far = sinusoidal(37 * np.arange(4 * d), d)
    assert relative_freedom(far) == d
    assert relative_freedom(np.random.default_rng(0).normal(size=(4 * d, d))) == 0


def test_smooth_turns_where_frequencies_exceed_1():
    """The same ladder, all frequencies multiplied: neighbours stay alike up to 1, and part beyond."""
    assert "at most 1" in SCOPE["smooth"]
    alike = {factor: np.cos(factor * frequencies(512)).mean() for factor in (0.1, 1, 10, 100)}
    assert min(alike[0.1], alike[1]) > 0.9 > 0.7 > alike[10] > alike[100]


@pytest.mark.parametrize(("d_model", "wide"), [(8, False), (16, True), (64, True), (512, True)])
def test_smooth_from_16_columns_on(d_model, wide):
    assert "16 columns" in SCOPE["smooth"] and "base 10,000" in SCOPE["smooth"]
    next_door, *far = cosines(512, d_model)
    assert next_door > np.cos(1) and (next_door > 0.9) == (next_door > max(far)) == wide


def outside(window, d_model, base=10_000.0):
    """How much of the row twice as far out lies outside the directions with 99.9% of the trained rows' energy."""
    _, s, directions = np.linalg.svd(sinusoidal(np.arange(window), d_model, base), full_matrices=False)
    kept = directions[: 1 + np.argmax(np.cumsum(s**2) > 0.999 * (s**2).sum())]
    far = kept @ sinusoidal(2 * window - 1, d_model, base)
    return (1 - far @ far / (d_model / 2)) ** 0.5


@pytest.mark.parametrize("window", [16, 64, 512, 2048])
@pytest.mark.parametrize(("d_model", "most"), [(16, False), (64, True), (512, True)])
def test_any_length_from_64_columns_on(window, d_model, most):
    assert "64 columns" in SCOPE["any_length"] and "twice as far out" in SCOPE["any_length"]
    assert (outside(window, d_model) > 0.63) == most


@pytest.mark.parametrize("base", [100.0, 1e8])
def test_any_length_at_other_bases(base):
    """Less lies outside: of short waves the trained rows have every direction; long ones hardly move."""
    assert "base 10,000" in SCOPE["any_length"]
    assert outside(2048, 64, base) < 0.5


@pytest.mark.parametrize(("base", "head_dim"), [(100.0, 64), (1e4, 16), (1e4, 128), (5e5, 64)])
def test_rotary_decays_up_to_the_base(base, head_dim):
    """The authors' bound and the scores of a query like its key, over decades of distance."""
    assert "up to about the base" in SCOPE["rotary_decays"]
    terms = np.exp(1j * np.outer(np.arange(10_000), frequencies(head_dim, base)))
    bound, alike = np.abs(np.cumsum(terms, axis=1)).mean(axis=1), terms.real.mean(axis=1)
    for falls in (bound, alike):
        decades = [falls[10**n : 10 ** (n + 1)].mean() for n in range(4)]
        before = [mean for n, mean in enumerate(decades) if 10 ** (n + 1) <= base]
        beyond = [mean for n, mean in enumerate(decades) if 10**n >= base]
        assert before == sorted(before, reverse=True) and before[0] > 1.3 * before[-1]
        assert not beyond or np.ptp(beyond) < 0.05 * falls[0]


def test_rotary_decays_not_in_a_head_of_4_entries():
    assert "16 entries or more" in SCOPE["rotary_decays"]
    terms = np.exp(1j * np.outer(np.arange(10_000), frequencies(4)))
    bound = np.abs(np.cumsum(terms, axis=1)).mean(axis=1)
    decades = [bound[10**n : 10 ** (n + 1)].mean() for n in range(4)]
    assert decades != sorted(decades, reverse=True) and max(decades) < 1.1 * min(decades)


@pytest.mark.parametrize(("base", "width"), [(100.0, 14), (1e3, 14), (1e4, 12), (1e5, 14), (1e6, 16)])
def test_unique_has_its_margin_from_about_16_columns_on(base, width):
    """From this width on the closest of 10,000 rows are neighbours, and below it they are not."""
    assert "16 columns" in SCOPE["unique"]
    closest = {d: 1 + cosines(10_000, d, base).argmax() for d in (width - 2, *range(width, 41, 2))}
    assert closest.pop(width - 2) > 1 and set(closest.values()) == {1}


@pytest.mark.parametrize(("d_model", "near"), [(128, False), (512, False), (32, True)])
def test_orthogonal_within_a_window_and_from_a_width_on(d_model, near):
    assert "512 positions" in SCOPE["orthogonal"] and "128 columns" in SCOPE["orthogonal"]
    assert (np.abs(cosines(512, d_model)).min() < 0.1) == near
    assert np.abs(cosines(10_000, d_model)).min() < 0.01  # far out they come near 0 at any width


@pytest.mark.parametrize(("base", "near"), [(100.0, True), (1e3, True), (1e4, False), (1e6, False), (1e8, False)])
def test_orthogonal_from_a_base_on(base, near):
    assert "base 10,000 or more" in SCOPE["orthogonal"]
    assert (np.abs(cosines(512, 128, base)).min() < 0.1) == near


def slow_share(cut, base=1e4):
    """The fall at long range of pairs slower than the cut, in windows, over that of all; 512 columns."""
    omega, k = frequencies(512, base), np.arange(1, 512)
    waving = np.cos(k[:, None] * omega)  # (k, pairs)
    near = (k > 32) & (k <= 64)
    fall = waving[near].mean(axis=0) - waving[256:].mean(axis=0)
    return fall[2 * np.pi / omega >= cut * 512].sum() / fall.sum()


def test_scales_turns_with_the_cut():
    assert "a thirty-second of the window and the window" in SCOPE["scales"]
    assert min(map(slow_share, (1 / 32, 1 / 8, 1 / 2, 1))) > 0.8 and max(map(slow_share, (2, 4))) < 0.6
    step = 1 - np.cos(frequencies(512))
    fast = [step[2 * np.pi / frequencies(512) < cut * 512].sum() / step.sum() for cut in (1 / 64, 1 / 32)]
    assert fast[0] < 0.5 < 0.8 < fast[1]
    assert "base 1,000 or more" in SCOPE["scales"]
    assert slow_share(1 / 8, base=100.0) < 0.5 < 0.8 < min(slow_share(1 / 8, base) for base in (1e3, 1e6, 1e8))


@pytest.mark.parametrize("base", [100.0, 6867.0, 1e4, 1e6])
def test_binary_at_every_base_the_two_fastest_and_the_slowest(base):
    """The third bit turns: it is read where a frequency of the table falls on its own, pi / 4."""
    pos = np.arange(2048)
    columns = np.c_[sinusoidal(pos, 512, base), np.ones(2048)]
    explained = []
    for bit in (0, 1, 2, 8, 9, 10):
        value = (pos >> bit) % 2
        fitted = columns @ np.linalg.lstsq(columns, value, rcond=None)[0]
        explained.append(1 - np.var(value - fitted) / np.var(value))
    assert max(explained[:2]) < 0.1 and min(explained[3:]) > 0.9
    assert (explained[2] > 0.5) == (base == 6867)


@pytest.mark.parametrize("d_model", [64, 128, 512, 1024])
def test_decays_up_to_the_base_and_rises_before(d_model):
    shares = cosines(20_000, d_model)
    decades = [shares[10**n - 1 : 10 ** (n + 1) - 1].mean() for n in range(4)]
    assert decades == sorted(decades, reverse=True) and (np.diff(shares[:100]) > 0).any()


def test_decays_with_fewer_rises_the_more_columns():
    assert "64 to 1,024 columns" in SCOPE["decays"]
    rises = [(np.diff(cosines(512, d_model)) > 0).sum() for d_model in (64, 512, 1024, 2048, 16_384)]
    assert rises == sorted(rises, reverse=True) and rises[2] > 100 and rises[-1] == 0


@pytest.mark.parametrize(
    ("d_model", "base", "share"), [(512, 1e4, 0.97), (128, 1e4, 0.85), (64, 1e4, 0.70), (512, 100.0, 0.3)]
)
def test_log_bias_within_512_positions(d_model, base, share):
    """The line in the logarithm is the better one at every width; with few columns, or beyond the base, poor."""
    k = np.arange(1, 512)
    shares = cosines(512, d_model, base)
    in_logarithm, straight = (np.corrcoef(shares, x)[0, 1] ** 2 for x in (np.log(k), k))
    assert in_logarithm > straight and in_logarithm == pytest.approx(share, abs=0.035)


@pytest.mark.parametrize(("d_model", "share"), [(512, 93), (64, 51)])
def test_log_bias_up_to_the_base(d_model, share):
    assert f"({share}%)" in SCOPE["log_bias"] and "base 10,000" in SCOPE["log_bias"]
    k = np.arange(1, 10_000)
    assert np.corrcoef(cosines(10_000, d_model), np.log(k))[0, 1] ** 2 == pytest.approx(share / 100, abs=0.01)


def test_all_clocks_from_64_columns_on():
    assert "64 columns" in SCOPE["all_clocks"]
    for d_model in (64, 128, 512):
        table = sinusoidal(np.arange(4096), d_model)
        assert analysis.effective_rank(table, 1 - 1e-8) < 0.8 * d_model
    assert analysis.effective_rank(sinusoidal(np.arange(4096), 16), 1 - 1e-8) == 16


@pytest.mark.parametrize(("base", "all_of_them"), [(100.0, True), (1e4, False), (1e6, False), (1e8, False)])
def test_all_clocks_from_a_base_on(base, all_of_them):
    assert "base 10,000 or more" in SCOPE["all_clocks"]
    rank = analysis.effective_rank(sinusoidal(np.arange(2048), 64, base), 1 - 1e-8)
    assert rank == 64 if all_of_them else rank < 0.8 * 64


def test_log_space_where_the_width_is_a_power_of_two():
    def errors(d):
        two_i = np.arange(0, d, 2, dtype=np.float32)
        logged = np.exp(two_i * np.float32(-np.log(1e4) / d))
        power = np.float32(1) / np.float32(1e4) ** (two_i / np.float32(d))
        return [np.abs(way / frequencies(d) - 1).max() for way in (logged, power)]

    assert "power of two from 32 on" in SCOPE["log_space"]
    ratios = {d: np.divide(*errors(d)) for d in range(32, 1030, 2)}
    assert min(ratios[d] for d in (32, 64)) > 1 and min(ratios[d] for d in (128, 256, 512, 1024)) > 1.5
    others = [ratio for d, ratio in ratios.items() if d & (d - 1)]
    assert np.median(others) > 1


@pytest.mark.parametrize("d_model", [64, 512])
def test_first_columns_turns_with_the_window(d_model):
    assert "128 positions" in SCOPE["first_columns"]
    outside = {}
    for window in (16, 32, 128, 512, 2048):
        variance = sinusoidal(np.arange(window), d_model).var(axis=0)
        outside[window] = variance[d_model // 5 :].sum() / variance.sum()
    assert outside[16] < 0.2 and outside[32] < 0.5 < min(outside[128], outside[512], outside[2048])


@pytest.mark.parametrize(("base", "window"), [(100.0, 16), (1e8, 128)])
def test_first_columns_at_other_bases(base, window):
    """With a small base much varies beyond the first fifth in 16 positions, with a large one little even in 128."""
    assert "base 10,000" in SCOPE["first_columns"]
    variance = sinusoidal(np.arange(window), 64, base).var(axis=0)
    assert (variance[12:].sum() / variance.sum() > 0.5) == (base == 100)


@pytest.mark.parametrize(("d_model", "back"), [(64, False), (512, False), (8, True)])
def test_limit_63000_from_a_width_on(d_model, back):
    assert "64 columns" in SCOPE["limit_63000"]
    distance = np.linalg.norm(sinusoidal(62_832, d_model) - sinusoidal(0, d_model))
    assert (distance < 1) == back


def test_faster_because_as_much_larger_as_the_scope_says():
    centred = control("centred", 16, 64, 16, np.random.default_rng(0))
    factor = np.linalg.norm(centred[1] - centred[0]) / np.linalg.norm(sinusoidal(1, 64) - sinusoidal(0, 64))
    assert f"{np.floor(10 * factor) / 10:.1f} times" in SCOPE["faster"]
