"""Real text for a character model: the source of the Python standard library, or any text file."""

import sysconfig
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from pe_lib import check
from pe_lib.tasks import IGNORE, Integers


@dataclass(frozen=True)
class Text:
    """Characters as numbers; symbol 0 stands for all that are not printable ASCII, tab or line end."""

    symbols: str
    train: Integers  # (n,)
    held_out: Integers  # (m,)

    def __post_init__(self) -> None:
        check.instance("symbols", self.symbols, str)
        for name in ("train", "held_out"):
            part = check.integers(name, getattr(self, name), ndim=1, least=0, most=len(self.symbols) - 1)
            object.__setattr__(self, name, part)

    def windows(self, length: int, ends: ArrayLike, asked: int | None = None) -> tuple[Integers, Integers]:
        """Windows of the held-out part.  -> inputs, targets, each (len(ends), length) int64

        The last target of a window is character ``ends`` of that part; the last ``asked`` targets count, by default
        all, the others are IGNORE.  With the same ends and asked, windows of any length have the same targets.
        """
        length = check.size("length", length, most=len(self.held_out) - 1)
        asked = length if asked is None else check.size("asked", asked)
        if asked > length:
            raise ValueError(f"asked must be at most length = {length}, got {asked}")
        ends = check.integers("ends", ends, ndim=1)
        last = len(self.held_out) - 1
        if not ends.size or ends.min() < length or ends.max() > last:
            raise ValueError(f"ends must be from length = {length} to {last}, got {check.short(ends)}")
        check.room(ends=len(ends), length=length)
        window = self.held_out[ends[:, None] - length + np.arange(length + 1)]
        inputs, targets = window[:, :-1], window[:, 1:].copy()
        targets[:, : length - asked] = IGNORE
        return inputs, targets


class NextCharacter:
    """The task of a character model: at every place the answer is the next character of the text.

    Batches are windows of ``length`` characters of the training part, so that scores in `training.fit` are its own.
    """

    def __init__(self, text: Text, length: int = 64):
        check.instance("text", text, Text)
        self.text = text
        self.length = self.n_position = check.size("length", length)
        self.vocab = self.n_token = self.n_class = len(text.symbols)

    def sample(self, rng: np.random.Generator, batch: int) -> tuple[Integers, Integers]:
        """Characters and the characters after them, each (batch, length) int64"""
        last = len(self.text.train) - self.length
        if last < 1:
            n = len(self.text.train)
            raise ValueError(f"length must be less than the {n} characters of the text, got {self.length}")
        check.instance("rng", rng, np.random.Generator)
        batch = check.size("batch", batch)
        check.room(batch=batch, length=self.length)
        start = rng.integers(0, last, batch)
        window = self.text.train[start[:, None] + np.arange(self.length + 1)]
        return window[:, :-1], window[:, 1:]


def read(path: str | Path | None = None) -> Text:
    """The text at ``path``, its last tenth held out; without one the modules of the standard library.

    Those are the ``*.py`` files directly in its folder, in the order of their names, every tenth file held out.
    They differ from one Python version, and a little from one machine, to the next.
    A text of fewer than 100 characters raises ValueError.
    """
    if path is None:
        files = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
        texts = [file.read_text(encoding="utf-8", errors="replace") for file in files]
        train = "".join(text for n, text in enumerate(texts) if n % 10 != 9)
        held_out = "".join(texts[9::10])
    else:
        check.instance("path", path, str, Path)
        if not Path(path).is_file():
            raise FileNotFoundError(f"path must name a file, got {path}")
        text = Path(path).read_text(encoding="utf-8", errors="replace")
        train, held_out = text[: len(text) * 9 // 10], text[len(text) * 9 // 10 :]
    if len(train) + len(held_out) < 100:
        raise ValueError(f"path must name a text of 100 characters or more, got {len(train) + len(held_out)}")
    plain = {c for c in set(train) | set(held_out) if c in "\t\n" or " " <= c <= "~"}
    symbols = "\ufffd" + "".join(sorted(plain))
    number = {c: n for n, c in enumerate(symbols)}

    def numbers(part: str) -> Integers:
        return np.array([number.get(c, 0) for c in part])

    return Text(symbols, numbers(train), numbers(held_out))
