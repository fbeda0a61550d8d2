"""The ledger of claims: every verdict from evidence computed here, apart from the notebooks, which print the same.

`python tests/test_claims.py` takes the numbers of the ledger from the stored outputs of the notebooks, and renews the
table in the README.
"""

import re
from functools import partial
from pathlib import Path

import mpmath
import nbformat
import numpy as np
import pytest
import torch

from pe_lib import analysis, collection, rotary
from pe_lib.encodings import Sinusoidal
from pe_lib.sinusoidal import frequencies, misread, sinusoidal
from pe_lib.sinusoidal import kernel as kernel_of
from pe_lib.tasks import Reverse
from pe_lib.training import fit, model_for

TOP = Path(__file__).parent.parent
LEDGER = TOP / "data" / "claims.csv"
README = TOP / "README.md"
WIDTH, WINDOW, BASE = 512, 512, 10_000.0
TABLE = sinusoidal(np.arange(WINDOW), WIDTH)  # (t, d)


# What the evidence says: one function a claim, named by its id.  -> a status


def dimension():
    literal = misread(np.arange(9), 64, reading="column")
    return "proved" if np.allclose(literal, sinusoidal(np.arange(9), 64)) else "false"


def end_point():
    longest = max(2 * mpmath.pi * mpmath.mpf(BASE) ** (mpmath.mpf(2 * i) / WIDTH) for i in range(WIDTH // 2))
    return "proved" if abs(longest / (2 * mpmath.pi * BASE) - 1) < 1e-9 else "false"


def linear():
    """The best linear map from rows to later rows, found by least squares, without the formula of the rotation."""
    table = sinusoidal(np.arange(300), 64)
    return "proved" if max(analysis.shift_residual(table, k) for k in (1, 5, 50)) < 1e-9 else "false"


def relative_easy():
    table, rng = TABLE[:100, :64], np.random.default_rng(0)
    a, b = rng.normal(size=(2, 32))
    turns = np.kron(np.diag(a), np.eye(2)) + np.kron(np.diag(b), [[0, 1], [-1, 0]])

    def is_relative(matrix):
        score = table @ matrix @ table.T
        return all(np.ptp(np.diagonal(score, k)) < 1e-9 for k in range(-99, 100))

    any_matrix = is_relative(rng.normal(size=(64, 64)))
    return "proved" if any_matrix else "proved with a condition" if is_relative(turns) else "false"


def smooth():
    cosines = (TABLE[1:] * TABLE[:-1]).sum(axis=1) / (WIDTH / 2)
    return "proved" if cosines.min() > 0.9 and np.ptp(cosines) < 1e-9 else "false"


def any_length():
    far = sinusoidal(2 * WINDOW, WIDTH)
    energy, directions = np.linalg.eigh(TABLE.T @ TABLE)
    spanned = directions[:, np.cumsum(energy) > 0.001 * energy.sum()]
    if not np.isfinite(far).all():
        return "false"
    return "proved" if np.linalg.norm(far @ spanned) > 0.95 * np.linalg.norm(far) else "true but irrelevant"


def unique():
    """Exactly: 710 is near a multiple of 2 pi but is none.  With a margin: at 16 columns, not at 2."""
    with mpmath.workdps(50):
        exact = abs(2 * mpmath.sin(mpmath.mpf(710) / 2))  # distance of rows 0 and 710 with two columns
    margin = {d: analysis.min_distance(sinusoidal(np.arange(2000), d))[0] for d in (2, 16)}
    if exact == 0 or margin[16] < 0.5:
        return "false"
    return "proved" if margin[2] > 0.5 else "proved with a condition"


def orthogonal():
    cosines = (TABLE @ TABLE.T / (WIDTH / 2))[np.triu_indices(WINDOW, 1)]
    return "proved" if np.abs(cosines).max() < 0.1 else "false"


def scales():
    omega = frequencies(64)
    fast, k = 2 * np.pi / omega < 64, np.arange(WINDOW)
    share = np.cos(np.outer(k, omega))  # (k, pairs)
    local = (1 - share[1])[fast].sum() > 0.9 * (1 - share[1]).sum()
    fall = share[32:64].mean(axis=0) - share[256:].mean(axis=0)
    if not (local and fall[~fast].sum() > 0.8 * fall.sum()):
        return "false"
    return "proved" if np.ptp(share[256:, fast].mean(axis=1)) < 1e-9 else "true on average"


def differentiable():
    encoding = Sinusoidal(16)
    row = encoding.embed(torch.zeros(1, 4, 16), encoding.positions(4))
    return "proved" if row.requires_grad or list(encoding.parameters()) else "true but irrelevant"


def binary():
    bit = np.arange(WINDOW) % 2 - 0.5
    fitted = TABLE @ np.linalg.lstsq(TABLE, bit, rcond=1e-10)[0]
    return "proved" if np.sum((bit - fitted) ** 2) < 0.5 * np.sum(bit**2) else "false"


def decays():
    with mpmath.workdps(30):
        omega = [mpmath.mpf(BASE) ** (-mpmath.mpf(2 * i) / WIDTH) for i in range(WIDTH // 2)]
        kernel = [mpmath.fsum(mpmath.cos(w * k) for w in omega) for k in (1, 10, 43, 44, 100)]
    if kernel[3] <= kernel[2]:
        return "proved"
    return "true on average" if kernel[0] > kernel[1] > kernel[3] > kernel[4] else "false"


def biases():
    k = np.arange(1, WINDOW)
    kernel = kernel_of(k, 128)
    fits = [np.corrcoef(kernel, x)[0, 1] ** 2 for x in (np.log(k), k)]
    return "false" if fits[0] > 0.85 and fits[0] > fits[1] else "proved"


def norm():
    return "proved" if np.ptp(np.linalg.norm(TABLE, axis=1)) < 1e-9 else "false"


def limit_63000():
    turn = round(2 * np.pi * BASE)
    distance = np.linalg.norm(sinusoidal(turn + np.arange(-5, 6), WIDTH) - sinusoidal(0, WIDTH), axis=1)
    return "proved" if distance.min() < 0.1 else "false"


def all_clocks():
    return "false" if np.ptp(TABLE, axis=0).min() < 0.05 else "proved"


def log_space():
    two_i, exact = torch.arange(0, WIDTH, 2, dtype=torch.float32), torch.from_numpy(frequencies(WIDTH))
    logged, power = torch.exp(two_i * (-np.log(BASE) / WIDTH)), 1 / BASE ** (two_i / WIDTH)
    errors = [((one.double() - exact) / exact).abs().max() for one in (logged, power)]
    return "false" if errors[0] > 1.5 * errors[1] else "proved"


def first_columns():
    moving = np.ptp(TABLE, axis=0) > 0.1
    return "false" if moving[WIDTH // 4 :].any() else "proved"


def concatenate():
    rng = np.random.default_rng(0)
    x, e = rng.normal(size=(2, 5, 8))
    W = rng.normal(size=(3, 8))
    same = np.allclose(np.hstack([x, e]) @ np.hstack([W, W]).T, (x + e) @ W.T)
    return "a choice" if same else "proved"


def muddles():
    """The attention of a trained model does not care which tokens stand there, and its answers do."""
    reverse = Reverse()
    model, rng = model_for(reverse, "sinusoidal", 1, n_layer=1), np.random.default_rng(1)
    accuracy = fit(model, reverse, rng, steps=300, batch=32, lr=5e-3, eval_every=300)[-1]["accuracy"]
    tokens = torch.from_numpy(reverse.sample(rng, 100)[0])
    with torch.no_grad():
        weight = model.attention(tokens)[0]  # (b, h, t, s)
    return "false" if accuracy > 0.99 and weight.std(dim=0).mean() < 0.2 * weight.mean(dim=0).std() else "proved"


def learned_same():
    at = runs_of("reverse")
    same = at("accuracy", "learned:std=1").min() > 0.99 and at("accuracy", "sinusoidal").min() > 0.99
    apart = at("solved_at", "learned:std=0.02").min() > 2 * at("solved_at", "sinusoidal").max()
    return "false" if not same else "proved with a condition" if apart else "proved"


def extrapolates():
    return "proved" if runs_of("previous")("length_24", "sinusoidal").mean() > 0.9 else "false"


def relative_beyond():
    return "proved" if runs_of("previous")("shifted_16", "sinusoidal").mean() > 0.9 else "false"


def faster():
    at = runs_of("reverse")
    return "false" if at("solved_at", "random").max() < at("solved_at", "sinusoidal").mean() else "proved"


def base_10000():
    at = runs_of("reverse")
    others = [at("accuracy", f"sinusoidal:base={base}").min() for base in (100, 1_000_000)]
    return "a choice" if min(others) > 0.99 else "proved"


def guesses():
    ceiling, accuracy = Reverse(16, 10).ceiling.accuracy, runs_of("reverse")("accuracy", "nope")
    return "false" if abs(accuracy.mean() - ceiling) < 0.01 and accuracy.min() > 0.2 else "proved"


def rotary_decays():
    q, k = np.random.default_rng(0).normal(size=(2, 64))
    pos = np.arange(100)
    alike, other = (np.tile(x, (100, 1)) for x in ([1.0, 0.0] * 32, q))
    turn = partial(rotary.rotate, pos=pos, pairing="interleaved")
    kernel = (turn(alike) @ turn(alike).T)[0]
    cancels = np.allclose(turn(other) @ turn(k + 0 * other).T, -(turn(-other) @ turn(k + 0 * other).T), atol=1e-9)
    decays = kernel[50:].mean() < 0.6 * kernel[0]
    return "proved with a condition" if decays and cancels else "proved"


def of_length(encoding, column):
    return collection.read("three_ways").groupby("encoding")[column].get_group(encoding).to_numpy()


def sinusoids_fail():
    added, turning, as_bias = (
        of_length(name, "all_512") - of_length(name, "all_64") for name in ("sinusoidal", "rope", "sandwich")
    )
    return "false" if as_bias.max() < 0.1 < 1 < min(added.min(), turning.min()) else "proved"


def uses_context():
    changed = of_length("sandwich", "last_512") - of_length("sandwich", "last_64")
    works = np.abs(of_length("sandwich", "all_512") - of_length("sandwich", "all_64")).max() < 0.1
    return "false" if works and changed.min() > -0.03 else "proved"


def relative_better():
    last = collection.read("family_tasks").query("step == steps and task == 'retrieve'").groupby("encoding").accuracy
    relative = max(last.max()[name] for name in ("alibi", "t5", "kerple_log", "sandwich"))
    return "false" if relative < 0.5 < 0.95 < last.min()["sinusoidal"] else "proved"


def runs_of(task):
    """The records of the controls of a task, as a function (column, encoding) -> values of the seeds."""
    records = collection.read("controls").set_index(["task", "encoding"]).sort_index()
    return lambda column, encoding: records.loc[[(task, encoding)], column]


EVIDENCE = {
    function.__name__: function
    for function in (
        dimension, end_point, linear, relative_easy, learned_same, extrapolates, smooth, any_length, relative_beyond,
        unique, orthogonal, scales, differentiable, binary, decays, biases, norm, limit_63000, all_clocks, log_space,
        first_columns, concatenate, muddles, faster, base_10000, guesses, rotary_decays, sinusoids_fail,
        uses_context, relative_better,
    )
}  # fmt: skip


# What the notebooks print


def printed() -> dict:
    """(notebook, cell, claim) -> (status, number) of every verdict line in the stored outputs."""
    found = {}
    for path in sorted((TOP / "notebooks").glob("*.ipynb")):
        for cell in nbformat.read(path, as_version=4).cells:
            text = "".join(output.get("text", "") for output in cell.get("outputs", []))
            for claim, status, number in re.findall(r"^verdict on (\w+): ([\w ]+)\. (.+)$", text, flags=re.M):
                found[path.stem, cell.id, claim] = status, number
    return found


def disagreements(ledger, evidence: dict, lines: dict) -> set:
    """The claims whose status in the ledger is not that of the evidence, or not that of the one printed line."""
    wrong = {claim for claim in ledger.index if ledger.status[claim] != evidence[claim]}
    for claim, row in ledger.iterrows():
        wrong |= {claim} if lines.get((row.notebook, row.cell, claim)) != (row.status, row.number) else set()
    return wrong | {claim for *_, claim in lines} - set(ledger.index)


@pytest.fixture(scope="module")
def evidence():
    return {claim: function() for claim, function in EVIDENCE.items()}


def test_the_ledger_is_complete():
    ledger = collection.ledger()
    assert len(ledger) >= 22 and ledger.index.is_unique and set(ledger.index) == set(EVIDENCE)
    assert set(ledger.status) <= set(collection.STATUSES) and (ledger != "").all(axis=None)
    assert list(ledger.test) == [f"tests/{Path(__file__).name}::test_evidence[{claim}]" for claim in ledger.index]
    assert {(row.notebook, row.cell, claim) for claim, row in ledger.iterrows()} == set(printed())


@pytest.mark.parametrize("claim", EVIDENCE)
def test_evidence(claim):
    assert EVIDENCE[claim]() == collection.ledger().status[claim]


def test_notebooks_print_what_the_ledger_says(evidence):
    assert disagreements(collection.ledger(), evidence, printed()) == set()


@pytest.mark.parametrize("claim", EVIDENCE)
def test_a_flipped_verdict_is_caught(claim, evidence, capsys):
    """In the ledger, by the evidence and by the notebook's line; in a notebook, where it would stop the cell."""
    right, lines = collection.ledger().status[claim], printed()
    key = next(key for key in lines if key[2] == claim)
    for flipped in set(collection.STATUSES) - {right}:
        ledger = collection.ledger()
        ledger.loc[claim, "status"] = flipped
        assert disagreements(ledger, evidence, lines | {key: (flipped, lines[key][1])}) == {claim}  # by the evidence
        assert disagreements(ledger, dict(ledger.status), lines) == {claim}  # by the printed line
        with pytest.raises(AssertionError, match=f"but {right} in data/claims.csv"):
            collection.verdict(claim, flipped, True, "7")
    with pytest.raises(AssertionError, match="does not hold: 7"):
        collection.verdict(claim, right, False, "7")
    collection.verdict(claim, right, True, "7")
    assert capsys.readouterr().out == f"verdict on {claim}: {right}. 7\n"


def test_unknown_claims_and_statuses():
    with pytest.raises(ValueError, match="claim must be one of dimension, "):
        collection.verdict("none", "false", True, "7")
    with pytest.raises(ValueError, match="status must be one of proved, "):
        collection.verdict("norm", "maybe", True, "7")


# The table in the README


def readme_table(ledger) -> str:
    rows = [
        f"| {row.claim} | **{row.status}** | {row.number} "
        f"| [{int(row.notebook[:2])}](notebooks/{row.notebook}.ipynb) |"
        for _, row in ledger.iterrows()
    ]
    return "\n".join(["| claim | verdict | the number that decides | notebook |", "|---|---|---|---|", *rows]) + "\n"


MARKS = re.compile(r"(<!-- made from data/claims.csv -->\n)(.*?)(<!-- end -->)", flags=re.S)


def test_the_readme_shows_the_ledger():
    assert MARKS.search(README.read_text())[2] == readme_table(collection.ledger()), "run `make overview`"


if __name__ == "__main__":
    renewed, lines = collection.ledger(), printed()
    for claim, row in renewed.iterrows():
        renewed.loc[claim, "number"] = lines[row.notebook, row.cell, claim][1]
    LEDGER.write_text(renewed.to_csv())
    README.write_text(MARKS.sub(lambda found: found[1] + readme_table(renewed) + found[3], README.read_text()))
