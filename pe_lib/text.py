"""Text for a character model: the source of the Python standard library, or any text file.

A `Text` has what `training.fit` asks of a task: at every place the answer is the next character.
"""

import sysconfig
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pe_lib import check
from pe_lib.tasks import IGNORE


@dataclass(frozen=True)
class Text:
    """Characters as numbers; symbol 0 stands for all that are not printable ASCII, tab or line end.

    `training.fit` takes all its windows from `sample`, so its scores are those of the training part.
    """

    symbols: str
    train: np.ndarray  # (n,)
    held_out: np.ndarray  # (m,)

    def sample(self, rng: np.random.Generator, batch: int, length: int, vocab: int = 0):
        """Windows of the training part: characters and the characters after them, each (batch, length) int64.

        ``vocab`` is there for `training.fit`, and not used.
        Raises ValueError or TypeError if a size is not a positive integer or the text is shorter than a window.
        """
        last = len(self.train) - check.size("length", length)
        if last < 1:
            raise ValueError(f"length must be less than the {len(self.train)} characters of the text, got {length}")
        start = rng.integers(0, last, check.size("batch", batch))
        window = self.train[start[:, None] + np.arange(length + 1)]
        return window[:, :-1], window[:, 1:]

    def windows(self, length: int, ends, asked: int | None = None):
        """Windows of the held-out part.  -> inputs, targets, each (len(ends), length) int64

        The last target of a window is character ``ends`` of that part; the last ``asked`` targets count, by default
        all, the others are IGNORE.  With the same ends and asked, windows of any length have the same targets.
        Raises ValueError or TypeError if a size is not a positive integer, asked is more than length or a window does
        not fit.
        """
        ends, length = np.asarray(ends), check.size("length", length)
        asked = length if asked is None else check.size("asked", asked)
        if asked > length or ends.ndim != 1 or ends.size == 0 or ends.dtype.kind != "i":
            raise ValueError(f"asked must be at most length = {length}, ends whole numbers, got {asked} and {ends}")
        if ends.min() < length or ends.max() >= len(self.held_out):
            last = len(self.held_out) - 1
            raise ValueError(f"ends must be from length = {length} to {last}, got {ends.min()} to {ends.max()}")
        window = self.held_out[ends[:, None] - length + np.arange(length + 1)]
        inputs, targets = window[:, :-1], window[:, 1:].copy()
        targets[:, : length - asked] = IGNORE
        return inputs, targets

    def n_token(self, length: int = 0, vocab: int = 0) -> int:
        """Number of symbols, whatever the length."""
        return len(self.symbols)

    n_class = n_token


def read(path: str | Path | None = None) -> Text:
    """The text at ``path``, its last tenth held out; without one the modules of the standard library.

    Those are the ``*.py`` files directly in its folder, in the order of their names, every tenth file held out.
    They differ from one Python version, and a little from one machine, to the next.
    Raises OSError if the file cannot be read, ValueError if it has fewer than 100 characters.
    """
    if path is None:
        files = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
        texts = [file.read_text(encoding="utf-8", errors="replace") for file in files]
        train = "".join(text for n, text in enumerate(texts) if n % 10 != 9)
        held_out = "".join(texts[9::10])
    else:
        text = Path(path).read_text(encoding="utf-8", errors="replace")
        train, held_out = text[: len(text) * 9 // 10], text[len(text) * 9 // 10 :]
    if len(train) + len(held_out) < 100:
        raise ValueError(f"path must name a text of 100 characters or more, got {len(train) + len(held_out)}")
    plain = {c for c in set(train) | set(held_out) if c in "\t\n" or " " <= c <= "~"}
    symbols = "\ufffd" + "".join(sorted(plain))
    number = {c: n for n, c in enumerate(symbols)}
    return Text(symbols, *(np.array([number.get(c, 0) for c in part]) for part in (train, held_out)))
