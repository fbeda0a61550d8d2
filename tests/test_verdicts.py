"""The ledger of claims: every verdict from evidence computed here, apart from the notebooks, which print the same."""

from collections.abc import Callable
from functools import cache

import mpmath
import numpy as np
import pytest
import torch

from pe_lib import analysis, claims, collection, plots
from pe_lib.controls import control
from pe_lib.encodings import Sinusoidal
from pe_lib.sinusoidal import frequencies, kernel, misread, sinusoidal
from pe_lib.training import new_model
from pe_lib.transformer import Config

WIDTH, WINDOW, BASE = 512, 512, 10_000.0
TABLE = sinusoidal(np.arange(WINDOW), WIDTH)  # (t, d)

EVIDENCE: dict[str, Callable[[], str]] = {}  # claim -> what computes its status, once


def evidence(function):
    """Registers what computes the status of the claim of the same name."""
    EVIDENCE[function.__name__] = cache(function)
    return function


@evidence
def dimension():
    literal = misread(np.arange(9), 64, reading="column")
    return "proved" if np.allclose(literal, sinusoidal(np.arange(9), 64)) else "false"


@evidence
def end_point():
    claimed = 2 * mpmath.pi * BASE
    exponents = [mpmath.mpf(2 * i) / WIDTH for i in range(WIDTH // 2)]
    longest = 2 * mpmath.pi * mpmath.mpf(BASE) ** max(exponents)
    return "proved" if abs(longest / claimed - 1) < 1e-9 else "false"


@evidence
def linear():
    """The best linear map from rows to later rows, found by least squares, without the formula of the rotation."""
    table = sinusoidal(np.arange(300), 64)
    residuals = [analysis.shift_residual(table, k) for k in (1, 5, 50)]
    return "proved" if max(residuals) < 1e-9 else "false"


@evidence
def relative_possible():
    table = TABLE[:100, :64]
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 32))
    commuting = np.kron(np.diag(a), np.eye(2)) + np.kron(np.diag(b), [[0, 1], [-1, 0]])
    if is_relative(table, rng.normal(size=(64, 64))):
        return "proved"
    return "proved with a condition" if is_relative(table, commuting) else "false"


def is_relative(table, matrix):
    """Do the scores under this matrix depend on the distance alone?"""
    score = table @ matrix @ table.T
    spreads = [np.ptp(np.diagonal(score, k)) for k in range(1 - len(table), len(table))]
    return max(spreads) < 1e-9


@evidence
def smooth():
    """Two smooth curves: neighbours alike on the one whose frequencies are at most 1, and not on the other."""
    divided = control("divided", WINDOW, WIDTH, WINDOW, np.random.default_rng(0))
    alike = [np.min((table[1:] * table[:-1]).sum(axis=1) / (WIDTH / 2)) for table in (TABLE, divided)]
    if alike[0] < 0.9:
        return "false"
    return "proved" if alike[1] > 0.9 else "proved with a condition"


@evidence
def any_length():
    far = sinusoidal(2 * WINDOW, WIDTH)
    if not np.isfinite(far).all():
        return "false"
    energy, directions = np.linalg.eigh(TABLE.T @ TABLE)
    spanned = directions[:, np.cumsum(energy) > 0.001 * energy.sum()]
    inside = np.linalg.norm(far @ spanned) / np.linalg.norm(far)
    return "proved" if inside > 0.95 else "true but irrelevant"


@evidence
def unique():
    """Exactly: 710 is near a multiple of 2 pi but is none.  With a margin: at 16 columns, not at 2."""
    with mpmath.workdps(50):
        exact = abs(2 * mpmath.sin(mpmath.mpf(710) / 2))  # distance of rows 0 and 710 with two columns
    margin_2, margin_16 = (analysis.min_distance(sinusoidal(np.arange(2000), d))[0] for d in (2, 16))
    if exact == 0 or margin_16 < 0.5:
        return "false"
    return "proved" if margin_2 > 0.5 else "proved with a condition"


@evidence
def orthogonal():
    cosines = (TABLE @ TABLE.T / (WIDTH / 2))[np.triu_indices(WINDOW, 1)]
    return "proved" if np.abs(cosines).max() < 0.1 else "false"


@evidence
def scales():
    omega = frequencies(64)
    fast = 2 * np.pi / omega < 64
    parts = np.cos(np.outer(np.arange(WINDOW), omega))  # (k, pairs): the kernel's, of each pair
    step = 1 - parts[1]  # from a position to its neighbour
    fall = parts[32:64].mean(axis=0) - parts[256:].mean(axis=0)  # at long range
    local = step[fast].sum() > 0.9 * step.sum()
    if not (local and fall[~fast].sum() > 0.8 * fall.sum()):
        return "false"
    return "proved" if np.ptp(parts[256:, fast].mean(axis=1)) < 1e-9 else "true on average"


@evidence
def differentiable():
    encoding = Sinusoidal(16)
    row = encoding.embed(torch.zeros(1, 4, 16), encoding.positions(4))
    return "proved" if row.requires_grad or list(encoding.parameters()) else "true but irrelevant"


@evidence
def binary():
    """Read each bit as the sign of a linear read-out, over four windows: how often is it right?"""
    pos = np.arange(4 * WINDOW)
    table = sinusoidal(pos, WIDTH)
    right = []
    for bit in range(11):
        value = (pos >> bit) % 2 - 0.5
        read = table @ np.linalg.lstsq(table, value, rcond=1e-10)[0]
        right.append(np.mean((read > 0) == (value > 0)))
    if min(right) > 0.95:
        return "proved"
    return "true on average" if max(right[:2]) < 0.7 and min(right[5:]) > 0.95 else "false"


@evidence
def decays():
    with mpmath.workdps(30):
        omega = [mpmath.mpf(BASE) ** (-mpmath.mpf(2 * i) / WIDTH) for i in range(WIDTH // 2)]
        at = {k: mpmath.fsum(mpmath.cos(w * k) for w in omega) for k in (1, 10, 43, 44, 100)}
    if at[44] <= at[43]:
        return "proved"
    return "true on average" if at[1] > at[10] > at[44] > at[100] else "false"


@evidence
def log_bias():
    """A line in the logarithm, a line in the distance: which lies closer, and is the closer one the whole truth?"""
    k = np.arange(1, WINDOW)
    logarithmic = np.corrcoef(kernel(k, 128), np.log(k))[0, 1] ** 2
    straight = np.corrcoef(kernel(k, 128), k)[0, 1] ** 2
    if logarithmic < max(0.85, straight):
        return "false"
    return "proved" if logarithmic > 1 - 1e-9 else "true on average"


@evidence
def norm():
    return "proved" if np.ptp(np.linalg.norm(TABLE, axis=1)) < 1e-9 else "false"


@evidence
def limit_63000():
    turn = round(2 * np.pi * BASE)
    after_a_turn = sinusoidal(turn + np.arange(-5, 6), WIDTH)
    distance = np.linalg.norm(after_a_turn - sinusoidal(0, WIDTH), axis=1)
    return "proved" if distance.min() < 0.1 else "false"


@evidence
def all_clocks():
    """By the singular values: as many directions as columns, or a fraction?"""
    energy = np.linalg.eigvalsh(TABLE.T @ TABLE)[::-1]
    directions = 1 + np.argmax(np.cumsum(energy) > (1 - 1e-8) * energy.sum())
    return "false" if directions < 0.8 * WIDTH else "proved"


@evidence
def log_space():
    two_i = torch.arange(0, WIDTH, 2, dtype=torch.float32)
    by_logarithm = torch.exp(two_i * (-np.log(BASE) / WIDTH))
    by_power = 1 / BASE ** (two_i / WIDTH)
    return "false" if worst_error(by_logarithm) > 1.5 * worst_error(by_power) else "proved"


def worst_error(omega):
    exact = torch.from_numpy(frequencies(WIDTH))
    return ((omega.double() - exact) / exact).abs().max()


@evidence
def first_columns():
    """The few are those of waves shorter than 16 tokens: do others move by more than a tenth?"""
    few = 2 * int((2 * np.pi / frequencies(WIDTH) < 16).sum())
    moving = np.ptp(TABLE, axis=0) > 0.1
    return "false" if moving[few:].sum() > few else "proved"


@evidence
def values():
    """One head in complex numbers, values turned as well: what a shift of all positions does to its output."""
    rng = np.random.default_rng(0)
    q, k, v = rng.normal(size=(3, 12, 8)) + 1j * rng.normal(size=(3, 12, 8))
    outputs, turned_back = [], []
    for shift in (0, 5):
        turn = np.exp(1j * np.outer(np.arange(12) + shift, frequencies(16)))
        score = ((q * turn) @ (k * turn).conj().T).real
        weight = np.exp(score - score.max(axis=1, keepdims=True))
        outputs.append(weight / weight.sum(axis=1, keepdims=True) @ (v * turn))
        back = np.exp(-1j * np.outer(np.arange(12) + shift, frequencies(16)))
        turned_back.append(outputs[-1] * back)
    if np.abs(outputs[1] - outputs[0]).max() < 1e-9:
        return "proved"
    return "proved with a condition" if np.abs(turned_back[1] - turned_back[0]).max() < 1e-9 else "false"


@evidence
def padding():
    """A model with padding in front, positions counted through it, as one without that starts later."""
    tokens = torch.from_numpy(np.random.default_rng(0).integers(0, 10, (2, 9)))
    padded = torch.cat([torch.zeros(2, 3, dtype=torch.long), tokens], dim=1)
    mask = torch.arange(12).expand(2, -1) >= 3
    harm = {}
    for name in ("sinusoidal", "rope"):
        model = new_model(Config(10, 10, 12, d_model=16, n_layer=2), name, 0).double().eval()
        with torch.no_grad():
            difference = model(padded, np.arange(12.0), attention_mask=mask)[:, 3:] - model(tokens)
        harm[name] = difference.abs().max() > 1e-6
    if not any(harm.values()):
        return "proved"
    return "false" if harm["rope"] else "proved with a condition"


# From records


def of(task, encoding, column):
    """A column of the records of the controls, the values of the seeds."""
    records = collection.read("controls").set_index(["task", "encoding"]).sort_index()
    return records.loc[[(task, encoding)], column]


@evidence
def relative_easy():
    """Scores that depend on the distance, because one matrix shifts all rows?  Then not without such a matrix."""
    sinusoids, unpaired, by_lot = (
        of("previous", name, "by_distance") for name in ("sinusoidal", "unpaired", "random")
    )
    if sinusoids.max() < by_lot.min():
        return "fails where measured"
    return "holds where measured" if sinusoids.min() > unpaired.max() else "not decided here"


@evidence
def learned_same():
    """A task can tell the two apart only if something fails to solve it."""
    tables = collection.read("controls").query("task == 'reverse' and encoding != 'nope'")
    if tables.accuracy.min() > 0.9:
        return "not decided here"
    learned, fixed = (of("reverse", name, "accuracy") for name in ("learned:std=1", "sinusoidal"))
    return "holds where measured" if abs(learned.mean() - fixed.mean()) < 0.01 else "fails where measured"


@evidence
def may_extrapolate():
    """One place beyond, some bases keep the rule and others lose it: then nothing can be said of may."""
    beyond = [of("previous", name, "length_17").mean() for name in ("sinusoidal", "sinusoidal:base=100000000")]
    if min(beyond) > 0.9:
        return "holds where measured"
    return "fails where measured" if max(beyond) < 0.3 else "not decided here"


def carried_on(accuracy):
    """Where no position was trained: as good as inside, or worse than half in every seed."""
    if accuracy.min() > 0.9:
        return "holds where measured"
    return "fails where measured" if accuracy.max() < 0.5 else "not decided here"


@evidence
def extrapolates():
    return carried_on(of("previous", "sinusoidal", "length_24"))


@evidence
def relative_beyond():
    return carried_on(of("previous", "sinusoidal", "shifted_16"))


@evidence
def faster():
    """The faster table is the worse one beyond the trained length."""
    by_lot, sinusoids = (of("reverse", name, "solved_at") for name in ("random", "sinusoidal"))
    beyond = [of("previous", name, "shifted_1") for name in ("random", "sinusoidal")]
    if by_lot.max() >= sinusoids.min():
        return "not decided here"
    return "fails where measured" if beyond[0].max() < beyond[1].min() else "holds where measured"


@evidence
def base_10000():
    """Is 10,000 the best of the bases, at anything?"""
    steps, moved = {}, {}
    for base in ("", ":base=100", ":base=1000000", ":base=100000000"):
        steps[base] = of("reverse", f"sinusoidal{base}", "solved_at").mean()
        moved[base] = of("previous", f"sinusoidal{base}", "shifted_16").mean()
    return "proved" if min(steps, key=steps.get) == "" or max(moved, key=moved.get) == "" else "a choice"


@evidence
def guesses():
    """Brute force: the most frequent of the other 15 tokens, over drawn sequences."""
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(15, np.full(10, 0.1), size=200_000)
    best = drawn.max(axis=1).mean() / 15
    accuracy = of("reverse", "nope", "accuracy")
    if abs(accuracy.mean() - best) > 0.01:
        return "not decided here"
    return "false" if accuracy.min() > 0.2 else "proved"


def steps_to(task, way):
    """Steps until the task is solved, infinite where it never is, of the seeds."""
    records = collection.read("mixing").set_index(["task", "way"]).sort_index()
    return records.loc[[(task, way)], "solved_at"].fillna(np.inf).to_numpy()


@evidence
def split_better():
    """Against the sum, in every task: half of the columns each."""
    sooner = []
    for task in ("hop", "reverse", "count"):
        sooner.append(np.mean(steps_to(task, "sinusoidal") - steps_to(task, "split:32")) > 0)
    return "holds where measured" if all(sooner) else "not decided here" if any(sooner) else "fails where measured"


@evidence
def append_index():
    tasks = [steps_to(task, "raw_index") for task in ("hop", "reverse", "count")]
    return "holds where measured" if np.isfinite(tasks).all() else "fails where measured"


@evidence
def muddles():
    """What asks for words alone, with position on top of them or in columns of its own: in how many seeds later?"""
    later = (steps_to("count", "sinusoidal") > steps_to("count", "split:32")).mean()
    if later > 0.7:
        return "holds where measured"
    return "fails where measured" if later < 0.3 else "not decided here"


@evidence
def token_scale():
    """Tokens an eighth as loud beside the same waves: is what needs only the tokens still learned?"""
    records = collection.read("token_scale").query("task == 'count' and way == 'sinusoidal'")
    loud, quiet = (records.accuracy[records.token_scale == scale] for scale in (1.0, 0.125))
    if quiet.min() > loud.max() - 0.05:
        return "fails where measured"
    return "holds where measured" if quiet.max() < loud.min() - 0.3 else "not decided here"


@evidence
def rotary_decays():
    """Scores of many random tokens at distances near and far: their mean, their size, and those of q = k."""
    rng = np.random.default_rng(0)
    distance, means, sizes = [0, 60, 90], {}, {}
    for kind in ("alike", "random"):
        q, k = rng.normal(size=(2, 2000, 32)) + 1j * rng.normal(size=(2, 2000, 32))
        k = q if kind == "alike" else k
        score = ((q * k.conj()) @ np.exp(1j * np.outer(frequencies(64), distance))).real  # (2000, 3)
        means[kind], sizes[kind] = score.mean(axis=0), score.std(axis=0)
    falls = max(means["alike"][1:]) < 0.7 * means["alike"][0]
    stays = min(sizes["random"][1:]) > 0.9 * sizes["random"][0]
    if not falls:
        return "false"
    return "true on average" if stays else "proved"


def of_length(encoding, column):
    return collection.read("family_text").groupby("encoding")[column].get_group(encoding).to_numpy()


def lost(encoding):
    """Nats a character lost at eight times the trained length."""
    return of_length(encoding, "all_512") - of_length(encoding, "all_64")


@evidence
def sinusoids_fail():
    """Added, as its authors tried it, and against a model without encoding."""
    if lost("sinusoidal").max() < 0.1:
        return "fails where measured"
    worse = of_length("sinusoidal", "all_512").min() > of_length("nope", "all_512").max()
    return "holds where measured" if worse and lost("sinusoidal").min() > 1 else "not decided here"


@evidence
def uses_context():
    """Where not even a model gains that was trained on long windows, none can tell."""
    context = collection.read("context")
    trained = (context.last_64 - context.last_512).mean()
    gain = (of_length("sandwich", "last_64") - of_length("sandwich", "last_512")).mean()
    if gain > 0.03:
        return "holds where measured"
    return "fails where measured" if trained > 0.03 else "not decided here"


@evidence
def relative_better():
    ends = collection.read("family_tasks").query("step == steps and task == 'retrieve'")
    accuracy = ends.groupby("encoding").accuracy
    relative = accuracy.max()[plots.families()["distance"]]
    if relative.max() < 0.5 < 0.95 < accuracy.min()["sinusoidal"]:
        return "fails where measured"
    return "holds where measured" if relative.min() > accuracy.max()["sinusoidal"] else "not decided here"


# The ledger against its evidence, and the notebooks against the ledger

CLAIMS = list(EVIDENCE)


@pytest.fixture(scope="module")
def ledger():
    return claims.ledger()


@pytest.fixture(scope="module")
def verdicts():
    return claims.verdicts(claims.NOTEBOOKS)


def test_the_ledger_is_complete(ledger):
    assert len(ledger) >= 22 and ledger.index.is_unique and (ledger != "").all(axis=None)
    assert set(ledger.index) == set(EVIDENCE), "a claim needs a row, and a function of its name here"
    assert set(ledger.status) <= set(claims.STATUSES)


@pytest.mark.parametrize("claim", CLAIMS)
def test_evidence(claim, ledger):
    assert EVIDENCE[claim]() == ledger.status[claim]


def test_notebooks_print_what_the_ledger_says(ledger, verdicts):
    assert claims.disagreements(ledger, verdicts) == set()


@pytest.mark.parametrize("claim", CLAIMS)
def test_a_flipped_verdict_is_caught(claim, ledger, verdicts, capsys):
    """In the ledger, by the evidence and by the notebook's line; in a notebook, where it would stop the cell."""
    right = ledger.status[claim]
    for flipped in set(claims.STATUSES) - {right}:
        wrong = ledger.copy()
        wrong.loc[claim, "status"] = flipped
        assert EVIDENCE[claim]() != wrong.status[claim]
        assert claims.disagreements(wrong, verdicts) == {claim}
        with pytest.raises(AssertionError, match=f"but {right} in data/claims.csv"):
            claims.verdict(claim, flipped, True, "7")
    with pytest.raises(AssertionError, match="does not hold: 7"):
        claims.verdict(claim, right, False, "7")
    claims.verdict(claim, right, True, "7")
    assert capsys.readouterr().out == f'"{ledger.claim[claim]}"\nverdict on {claim}: {right}. 7\n'
