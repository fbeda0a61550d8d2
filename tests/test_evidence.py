"""The ledger of claims: every verdict from evidence computed here, apart from the notebooks, which print the same."""

from collections.abc import Callable
from functools import cache

import mpmath
import numpy as np
import pytest
import torch

from pe_lib import analysis, claims, collection, rotary
from pe_lib.encodings import Sinusoidal
from pe_lib.sinusoidal import frequencies, kernel, misread, sinusoidal
from pe_lib.tasks import Reverse
from pe_lib.training import fit, model_for

WIDTH, WINDOW, BASE = 512, 512, 10_000.0
TABLE = sinusoidal(np.arange(WINDOW), WIDTH)  # (t, d)

EVIDENCE: dict[str, Callable[[], str]] = {}  # claim -> what computes its status, once
SLOW = {"muddles"}  # trains a model


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
def relative_easy():
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
    cosines = (TABLE[1:] * TABLE[:-1]).sum(axis=1) / (WIDTH / 2)
    return "proved" if cosines.min() > 0.9 and np.ptp(cosines) < 1e-9 else "false"


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
    bit = np.arange(WINDOW) % 2 - 0.5
    fitted = TABLE @ np.linalg.lstsq(TABLE, bit, rcond=1e-10)[0]
    return "proved" if np.sum((bit - fitted) ** 2) < 0.5 * np.sum(bit**2) else "false"


@evidence
def decays():
    with mpmath.workdps(30):
        omega = [mpmath.mpf(BASE) ** (-mpmath.mpf(2 * i) / WIDTH) for i in range(WIDTH // 2)]
        at = {k: mpmath.fsum(mpmath.cos(w * k) for w in omega) for k in (1, 10, 43, 44, 100)}
    if at[44] <= at[43]:
        return "proved"
    return "true on average" if at[1] > at[10] > at[44] > at[100] else "false"


@evidence
def biases():
    k = np.arange(1, WINDOW)
    logarithmic = np.corrcoef(kernel(k, 128), np.log(k))[0, 1] ** 2
    straight = np.corrcoef(kernel(k, 128), k)[0, 1] ** 2
    return "false" if logarithmic > max(0.85, straight) else "proved"


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
    return "false" if np.ptp(TABLE, axis=0).min() < 0.05 else "proved"


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
    moving = np.ptp(TABLE, axis=0) > 0.1
    return "false" if moving[WIDTH // 4 :].any() else "proved"


@evidence
def concatenate():
    rng = np.random.default_rng(0)
    x, e = rng.normal(size=(2, 5, 8))
    W = rng.normal(size=(3, 8))
    same = np.allclose(np.hstack([x, e]) @ np.hstack([W, W]).T, (x + e) @ W.T)
    return "a choice" if same else "proved"


@evidence
def muddles():
    """The attention of a trained model does not care which tokens stand there, and its answers do."""
    rng = np.random.default_rng(1)
    reverse = Reverse()
    model = model_for(reverse, "sinusoidal", 1, n_layer=1)
    last = fit(model, reverse, rng, steps=300, batch=32, lr=5e-3, eval_every=300)[-1]
    tokens = torch.from_numpy(reverse.sample(rng, 100)[0])
    with torch.no_grad():
        weight = model.attention(tokens)[0]  # (b, h, t, s)
    by_tokens = weight.std(dim=0).mean()
    by_position = weight.mean(dim=0).std()
    return "false" if last["accuracy"] > 0.99 and by_tokens < 0.2 * by_position else "proved"


# From records


def control(task, encoding, column):
    """A column of the records of the controls, the values of the seeds."""
    records = collection.read("controls").set_index(["task", "encoding"]).sort_index()
    return records.loc[[(task, encoding)], column]


@evidence
def learned_same():
    learned = control("reverse", "learned:std=1", "accuracy")
    fixed = control("reverse", "sinusoidal", "accuracy")
    if min(learned.min(), fixed.min()) <= 0.99:
        return "false"
    slowest_fixed = control("reverse", "sinusoidal", "solved_at").max()
    fastest_learned = control("reverse", "learned:std=0.02", "solved_at").min()
    return "proved with a condition" if fastest_learned > 2 * slowest_fixed else "proved"


@evidence
def extrapolates():
    return "proved" if control("previous", "sinusoidal", "length_24").mean() > 0.9 else "false"


@evidence
def relative_beyond():
    return "proved" if control("previous", "sinusoidal", "shifted_16").mean() > 0.9 else "false"


@evidence
def faster():
    random = control("reverse", "random", "solved_at")
    return "false" if random.max() < control("reverse", "sinusoidal", "solved_at").mean() else "proved"


@evidence
def base_10000():
    others = [control("reverse", f"sinusoidal:base={base}", "accuracy") for base in (100, 1_000_000)]
    return "a choice" if min(accuracy.min() for accuracy in others) > 0.99 else "proved"


@evidence
def guesses():
    ceiling = Reverse(16, 10).ceiling.accuracy
    accuracy = control("reverse", "nope", "accuracy")
    return "false" if abs(accuracy.mean() - ceiling) < 0.01 and accuracy.min() > 0.2 else "proved"


@evidence
def rotary_decays():
    """The scores of a query like its key fall with distance; those of q and of -q cancel at every one."""
    q, k = np.random.default_rng(0).normal(size=(2, 64))
    same = turned_scores([1.0, 0.0] * 32, [1.0, 0.0] * 32)[0]
    decays = same[50:].mean() < 0.6 * same[0]
    cancels = np.allclose(turned_scores(q, k), -turned_scores(-q, k), atol=1e-9)
    return "proved with a condition" if decays and cancels else "proved"


def turned_scores(q, k):
    """Scores of one query and one key, both at each of 100 positions.  -> (t, s)"""
    pos = np.arange(100)
    queries, keys = (rotary.rotate(np.tile(x, (100, 1)), pos=pos, pairing="interleaved") for x in (q, k))
    return queries @ keys.T


def of_length(encoding, column):
    return collection.read("three_ways").groupby("encoding")[column].get_group(encoding).to_numpy()


def lost(encoding):
    """Nats a character lost at eight times the trained length."""
    return of_length(encoding, "all_512") - of_length(encoding, "all_64")


@evidence
def sinusoids_fail():
    fails = min(lost("sinusoidal").min(), lost("rope").min()) > 1
    return "false" if fails and lost("sandwich").max() < 0.1 else "proved"


@evidence
def uses_context():
    changed = of_length("sandwich", "last_512") - of_length("sandwich", "last_64")
    works = np.abs(lost("sandwich")).max() < 0.1
    return "false" if works and changed.min() > -0.03 else "proved"


@evidence
def relative_better():
    ends = collection.read("family_tasks").query("step == steps and task == 'retrieve'")
    accuracy = ends.groupby("encoding").accuracy
    relative = accuracy.max()[["alibi", "t5", "kerple_log", "sandwich"]]
    return "false" if relative.max() < 0.5 < 0.95 < accuracy.min()["sinusoidal"] else "proved"


# The ledger against its evidence, and the notebooks against the ledger

CLAIMS = [pytest.param(claim, marks=[pytest.mark.slow] if claim in SLOW else []) for claim in EVIDENCE]


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
    assert capsys.readouterr().out == f"verdict on {claim}: {right}. 7\n"
