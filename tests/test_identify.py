"""Identify: 2,000 random conventions, tables that are none, the limits of what can be known, and the command."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from pe_lib.controls import control
from pe_lib.conventions import CONVENTIONS, Convention, GridConvention
from pe_lib.identify import identify
from pe_lib.identify.__main__ import main
from pe_lib.sinusoidal import LAYOUTS, ODD, SCHEDULES, frequencies, misread, sinusoidal

ROUNDING = {"float64": 1e-6, "float32": 1e-5, "float16": 2e-3, "bfloat16": 1.2e-2}


def drawn(rng):
    """A convention with a window of its table, and the same as it might be stored: rounded, with noise."""
    widths = rng.integers(2, 17), rng.integers(17, 129), rng.integers(129, 400)
    d_model = int(rng.choice(widths, p=[0.4, 0.45, 0.15]))
    odd = "error" if d_model % 2 == 0 else str(rng.choice(ODD[1:]))
    base = float(rng.choice([1e4, 5e5, 9999.5, float(f"{10 ** rng.uniform(2, 7):.3g}")]))
    offset, scale = float(rng.choice([0, 1, 2, rng.integers(5000)])), float(rng.choice([1, d_model**-0.5, 7.3]))
    one = Convention(str(rng.choice(LAYOUTS)), str(rng.choice(SCHEDULES)), base, odd, offset, scale)
    table, kind = one.table(int(rng.integers(4, 65)), d_model), str(rng.choice(list(ROUNDING)))
    noise = float(rng.choice([0, 0, 1e-4, 1e-2]))
    stored = table + noise * scale * rng.normal(size=table.shape) * (table != 0)
    return one, table, torch.from_numpy(stored).to(getattr(torch, kind)), ROUNDING[kind] + 5 * noise


@pytest.mark.parametrize("seed", range(4))
def test_random_conventions(seed):
    """Right at least 99 times of 100: the convention found makes the table again, as nearly as it was stored.

    Where the values tell (float64, no noise, more than two pairs) its fields are those that made the table.
    """
    rng, right, exact, named = np.random.default_rng(seed), 0, 0, 0
    for _ in range(500):
        one, table, stored, tolerance = drawn(rng)
        found = identify(stored)
        if found.layout is not None:
            again = found.convention.table(*table.shape)
            right += np.abs(again - table).max() < tolerance * one.scale
        if tolerance <= 1e-6 and table.shape[1] > 5:
            exact += 1
            fields = [(getattr(found, name), getattr(one, name)) for name in ("layout", "schedule", "offset")]
            numbers = found.layout and np.allclose([found.base, found.scale], [one.base, one.scale], rtol=1e-6)
            named += bool(numbers and all(a == b for a, b in fields))
    assert right >= 495
    assert exact > 30 and named >= 0.98 * exact


@pytest.mark.parametrize("name", CONVENTIONS)
@pytest.mark.parametrize("d_model", [8, 64])
def test_well_known_conventions(name, d_model):
    one = CONVENTIONS[name]
    if isinstance(one, GridConvention):
        found = identify(one.table((5, 4), d_model))
        assert found.convention == one
    else:
        found = identify(one.table(40, d_model))
        for field in ("layout", "schedule", "base", "offset", "step"):
            assert getattr(found, field) == getattr(one, field)
    assert found.error < 1e-9 and name in found.text.splitlines()[-1].removeprefix("  as in: ").split(", ")


def none(kind, n, d_model, rng):
    """A table that no convention makes."""
    order = rng.permutation(n)
    while np.all(np.diff(order) == 1) or np.all(np.diff(order) == -1):
        order = rng.permutation(n)
    angle = np.outer(np.arange(n), rng.uniform(0.2, 3, d_model // 2))
    phases = np.outer(np.arange(n), frequencies(d_model)) + rng.uniform(0, 6, d_model // 2)
    return {
        "normal": lambda: rng.normal(size=(n, d_model)),
        "signs": lambda: rng.choice([-1.0, 1.0], (n, d_model)),
        "learned": lambda: 0.02 * rng.normal(size=(n, d_model)),
        "walk": lambda: np.cumsum(rng.normal(size=(n, d_model)), axis=0),
        "shuffled": lambda: sinusoidal(order, d_model),
        "one_hot": lambda: np.eye(n, d_model),
        "cosines": lambda: np.cos(np.pi * np.outer(np.arange(n) + 0.5, np.arange(d_model)) / n),
        "any_circles": lambda: np.stack([np.sin(angle), np.cos(angle)], axis=-1).reshape(n, -1),
        "any_phases": lambda: np.stack([np.sin(phases), np.cos(phases)], axis=-1).reshape(n, -1),
        "column": lambda: misread(np.arange(n), d_model, reading="column"),
        "unpaired": lambda: misread(np.arange(n), d_model, reading="unpaired"),
        "divided": lambda: control("divided", n, d_model, n, rng),
    }[kind]()


NONE = "normal signs learned walk shuffled one_hot cosines any_circles any_phases column unpaired divided".split()


@pytest.mark.parametrize("kind", NONE)
def test_no_false_name(kind):
    rng = np.random.default_rng(0)
    for _ in range(40):
        n, d_model = int(rng.integers(5, 65)), 2 * int(rng.integers(3, 40))
        found = identify(none(kind, n, d_model, rng))
        assert found.layout is None and "learned or unknown" in found.text, f"{n} x {d_model}: {found}"


def test_a_trained_table_is_not_named():
    from pe_lib.tasks import Reverse
    from pe_lib.training import fit, model_for

    model = model_for(Reverse(), "learned:std=0.1", 0)
    fit(model, Reverse(), np.random.default_rng(0), steps=100, batch=32, lr=5e-3, eval_every=100)
    assert identify(model.encoding.table).layout is None


@pytest.mark.parametrize("base", [2.5, 9999.5, 123456.789, 5e8])
def test_the_base_is_measured(base):
    assert identify(sinusoidal(np.arange(50), 64, base)).base == pytest.approx(base, rel=1e-9)


def test_everything_at_once():
    one = Convention("halves_cos_first", "tensor2tensor", 500_000.0, "zero_column", 31_416.0, 0.0442, step=-1.0)
    found = identify(one.table(60, 129))
    assert found.convention == one and found.error < 1e-9
    assert identify(-sinusoidal(np.arange(30), 16)).scale == -1
    half = identify(sinusoidal(0.5 * np.arange(40), 32))
    assert (half.step, half.offset, half.base) == (0.5, 0, 10_000)


def test_far_offsets_round_scales_and_grids():
    assert identify(sinusoidal(np.arange(500_000, 500_050), 64)).offset == 500_000
    assert identify((0.3 * sinusoidal(np.arange(50), 64)).astype(np.float32)).scale == 0.3
    assert identify(1e-200 * sinusoidal(np.arange(30), 16)).scale == pytest.approx(1e-200)
    assert identify(1e200 * sinusoidal(np.arange(30), 16)).base == 10_000
    grid = CONVENTIONS["mae"].table((5, 4), 16)
    grid[-1] += 0.3
    assert identify(grid).layout is None
    assert identify(0.1 + sinusoidal(np.arange(30), 64)).layout is None  # and no error about a base


def test_rows_of_zeros_are_left_out():
    table = CONVENTIONS["fairseq"].table(30, 16)
    whole = np.concatenate([sinusoidal([0, 1], 16, schedule="tensor2tensor", layout="halves"), table])
    whole[1] = 0  # the padding token
    found = identify(whole)
    assert (found.offset, found.schedule, found.layout) == (0, "tensor2tensor", "halves")
    assert "left out: 1 rows of zeros, the first is row 1" in found.text


def test_all_rows_must_be_made_again(rng):
    table = sinusoidal(np.arange(1500), 16)
    table[1100:] = rng.normal(size=(400, 16))
    found = identify(table)
    assert found.layout is None and "the first 1024 rows are a sinusoid, but not row 11" in found.text


def test_what_cannot_be_known():
    assert "cannot be known" in identify(sinusoidal([3], 16)).text
    assert "cannot be known" in identify(sinusoidal([3, 4], 16)).text
    assert "cannot be known" in identify(np.ones((9, 1))).text
    assert "all rows are the same" in identify(np.ones((9, 4))).text
    one_pair = identify(sinusoidal(np.arange(9), 2, 500.0))
    assert (one_pair.layout, one_pair.base, one_pair.schedule) == ("interleaved", None, None)
    assert "whatever base and schedule are" in one_pair.text
    alike = identify(sinusoidal(np.arange(9), 8, 3000.0))
    assert "the same values, as nearly: tensor2tensor with base" in alike.text


def test_axes_of_length_one_and_dtypes():
    table = sinusoidal(np.arange(20), 8)
    for given in (table[None], table[:, None], torch.from_numpy(table).bfloat16()[None], table.astype(np.float16)):
        assert identify(given).layout == "interleaved"
    parameter = torch.nn.Parameter(torch.from_numpy(table))
    assert identify(parameter).base == 10_000


@pytest.mark.parametrize(
    "table, error, says",
    [
        (np.ones((2, 3, 4)), ValueError, r"table must be \(positions, columns\), neither empty"),
        (np.ones((0, 4)), ValueError, "neither empty"),
        (np.full((5, 4), np.nan), ValueError, "table must be finite"),
        ([["a"]], TypeError, "table must hold real numbers"),
        (np.ones((4, 4), complex), TypeError, "table must hold real numbers"),
        (torch.ones(4, 4, dtype=torch.complex64), TypeError, "table must hold real numbers"),
        (torch.ones(4, 4, dtype=torch.bool), TypeError, "table must hold real numbers"),
    ],
)
def test_bad_tables(table, error, says):
    with pytest.raises(error, match=says):
        identify(table)


# The command


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Tables in files of every kind, and a module with an encoding; the names are those of the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    right, wrong = CONVENTIONS["marian"].table(30, 8), misread(np.arange(30), 8, reading="column")
    np.save("right.npy", right)
    np.save("wrong.npy", wrong)
    np.save("random.npy", np.random.default_rng(0).normal(size=(30, 8)))
    np.savez("two.npz", right=right, wrong=wrong)
    np.savetxt("right.csv", right, delimiter=",")
    torch.save({"encoder": {"pe": torch.from_numpy(right)}, "step": 3}, "right.pt")
    save_file({"pe": torch.from_numpy(right).bfloat16().contiguous()}, "right.safetensors")
    torch.save(np.array([1, 2], dtype=object), "code.pt")
    np.save("code.npy", np.array([print], dtype=object), allow_pickle=True)
    Path("broken.npy").write_text("no table")
    Path("words.csv").write_text("pos,x\n1,2\n")
    Path("raises.py").write_text("1 / 0\n")
    source = "from pe_lib.sinusoidal import misread, sinusoidal as right\n"
    Path("mine.py").write_text(source + "def wrong(pos, d):\n    return misread(pos, d, reading='unpaired')\n")


@pytest.mark.parametrize(
    "source, status, out",
    [
        ("right.npy", 0, "layout halves, schedule paper, base 10000"),
        ("right.csv", 0, "as in: marian"),
        ("right.pt", 0, "as in: marian"),
        ("right.pt:encoder.pe", 0, "as in: marian"),
        ("right.safetensors", 0, "layout halves, schedule paper, base 10000"),
        ("two.npz:right", 0, "as in: marian"),
        ("two.npz:wrong", 1, "column: i is read as the column"),
        ("wrong.npy", 1, "fix: i counts pairs"),
        ("random.npy", 1, "learned or unknown"),
        ("mine:right", 0, "layout interleaved, schedule paper, base 10000"),
        ("mine:wrong", 1, "unpaired: sine and cosine are unpaired"),
        ("two.npz", 2, "two.npz holds several tables; name one after a colon: right (30, 8), wrong (30, 8)"),
        ("two.npz:left", 2, "two.npz holds no table called left; there are: right, wrong"),
        ("missing.npy", 2, "missing.npy does not exist"),
        ("broken.npy", 2, "broken.npy cannot be read as .npy"),
        ("words.csv", 2, "words.csv cannot be read as .csv"),
        ("code.pt", 2, "code.pt cannot be read as .pt: it holds pickled objects"),
        ("code.npy", 2, "code.npy cannot be read as .npy: it holds pickled objects"),
        ("right.txt", 2, "source must be a file (.npy, .npz, .csv, .pt, .pth, .safetensors) or package.module:c"),
        ("mine:nothing", 2, "mine:nothing: AttributeError: module 'mine' has no attribute 'nothing'"),
        ("nowhere:right", 2, "nowhere:right: ModuleNotFoundError: No module named 'nowhere'"),
        ("raises:right", 2, "raises:right: ZeroDivisionError: division by zero"),
        ("math:sqrt", 2, "encode gives no table (rows, columns) in any known way"),
    ],
)
def test_command(files, capsys, source, status, out):
    assert main([source]) == status
    printed = capsys.readouterr()
    assert out in (printed.err if status == 2 else printed.out)
    assert (len(printed.err.splitlines()), printed.out == "") == ((1, True) if status == 2 else (0, False))


def test_command_for_machines(files):
    """From the shell, as a person types it."""
    run = subprocess.run(
        [sys.executable, "-m", "pe_lib.identify", "wrong.npy", "--json"], capture_output=True, text=True, check=False
    )
    answer = json.loads(run.stdout)
    assert run.returncode == 1 and run.stderr == ""
    assert answer["identified"]["layout"] is None and answer["source"] == "wrong.npy"
    assert [finding["name"] for finding in answer["findings"]] == ["column"]
    assert set(answer["findings"][0]) == {"name", "says", "evidence", "fix"}
