"""Text: what is trained on and what is held out, windows that ask the same characters, and bad input."""

import numpy as np
import pytest

from pe_lib import text
from pe_lib.tasks import IGNORE


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("abcd" * 90 + "wxyz" * 8 + "wxy\u00e9\x07\n..", encoding="utf-8")
    return text.read(path)


def test_read(corpus):
    task = text.NextCharacter(corpus, 16)
    assert corpus.symbols == "\ufffd\n.abcdwxyz" and task.n_token == task.n_class == task.vocab == 11
    assert task.length == task.n_position == 16
    assert len(corpus.train) == 360 and len(corpus.held_out) == 40  # the last tenth
    assert "".join(corpus.symbols[c] for c in corpus.held_out[-8:]) == "wxy\ufffd\ufffd\n.."
    assert set(corpus.train) == set(range(3, 7))


def test_sample(corpus, rng):
    inputs, targets = text.NextCharacter(corpus, 6).sample(rng, 50)
    assert inputs.shape == targets.shape == (50, 6) and inputs.dtype == np.int64
    assert (inputs[:, 1:] == targets[:, :-1]).all()
    assert (targets == (inputs - 3 + 1) % 4 + 3).all()  # after a comes b, after d comes a
    assert set(inputs[:, 0]) == set(range(3, 7))


def test_windows_of_any_length_ask_the_same(corpus):
    asked = [corpus.windows(length, [20, 31, 39], asked=3) for length in (3, 8, 20)]
    for length, (inputs, targets) in zip((3, 8, 20), asked, strict=True):
        assert inputs.shape == (3, length) and (targets[:, :-3] == IGNORE).all()
        assert (targets[:, -3:] == asked[0][1]).all() and (inputs[:, -3:] == asked[0][0]).all()
    assert asked[0][1][2].tolist() == corpus.held_out[[37, 38, 39]].tolist()
    assert (corpus.windows(8, [20])[1] != IGNORE).all()


def test_the_standard_library():
    corpus = text.read()
    assert len(corpus.train) > 1_000_000 < 10 * len(corpus.held_out) and 90 < len(corpus.symbols) < 100
    assert "import" in "".join(corpus.symbols[c] for c in corpus.train[:20_000])


def test_every_tenth_file_of_the_library_is_held_out(tmp_path, monkeypatch):
    for number in range(20):
        (tmp_path / f"{number:02d}.py").write_text(f"{number:02d} " * 10)
    monkeypatch.setattr(text.sysconfig, "get_path", lambda name: tmp_path)
    corpus = text.read()
    train, held_out = ("".join(corpus.symbols[c] for c in part) for part in (corpus.train, corpus.held_out))
    assert set(held_out.split()) == {"09", "19"} and len(set(train.split())) == 18
    assert train.startswith("00 00") and train.endswith("18 18 ")


@pytest.mark.parametrize(
    ("call", "says"),
    [
        pytest.param(
            lambda corpus: text.NextCharacter(corpus, 400).sample(None, 1),
            "length must be less than the 360 characters of the text, got 400",
            id="a window longer than the text",
        ),
        pytest.param(lambda corpus: text.NextCharacter(corpus, 0), "length must be a whole number >= 1", id="length"),
        pytest.param(
            lambda corpus: corpus.windows(8, [7]),
            r"ends must be from length = 8 to 39, got array\(\[7\]\)",
            id="early",
        ),
        pytest.param(lambda corpus: corpus.windows(8, [40]), r"got array\(\[40\]\)", id="late"),
        pytest.param(lambda corpus: corpus.windows(8, [20], asked=9), "asked must be at most length = 8", id="asked"),
        pytest.param(lambda corpus: corpus.windows(8, []), "ends must hold whole numbers", id="no ends"),
        pytest.param(lambda corpus: corpus.windows(8, [9.5]), "ends must hold whole numbers", id="half an end"),
    ],
)
def test_bad_input(corpus, call, says):
    with pytest.raises((ValueError, TypeError), match=says):
        call(corpus)


def test_too_short(tmp_path):
    (tmp_path / "short.txt").write_text("abc")
    with pytest.raises(ValueError, match="100 characters or more, got 3"):
        text.read(tmp_path / "short.txt")
    with pytest.raises(FileNotFoundError):
        text.read(tmp_path / "none.txt")
