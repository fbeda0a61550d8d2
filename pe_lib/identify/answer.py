"""What somebody else's code answers: a value, or the error it raises.

The only place of the package where any exception is caught: around a call of code that is not ours.  An interrupt
from the keyboard is none of its errors, and goes through.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Answer:
    """The ``value`` that came back, or the ``error`` that came instead."""

    value: Any = None
    error: BaseException | None = None

    @property
    def ok(self) -> bool:
        """True if it answered."""
        return self.error is None

    @property
    def is_from_within(self) -> bool:
        """True of an error that the code itself met; False where the call did not suit it."""
        traceback = self.error.__traceback__ if self.error else None
        if traceback is None:
            return False
        while traceback.tb_next:
            traceback = traceback.tb_next
        return Path(traceback.tb_frame.f_code.co_filename).parent != HERE

    def unwrap(self) -> Any:
        """The value.  Raises the error if there is one."""
        if self.error is not None:
            raise self.error
        return self.value

    def complaint(self) -> str:
        """Of an error, its type and the first 200 characters of what it says, if it says anything."""
        kind = type(self.error).__name__
        says = ask(str, self.error)
        text = in_a_line(says.value[:200]) if says.ok else ""
        return f"{kind}: {text}" if text else kind


def ask(call: Callable, *arguments: Any, **options: Any) -> Answer:
    """What a call of somebody else's code answers, whatever it raises: it may also end the program."""
    try:
        return Answer(call(*arguments, **options))
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return Answer(error=error)


def in_a_line(text: str) -> str:
    """Somebody else's words in one line that a terminal prints as it is.

    >>> in_a_line("two\\n  lines, \\x1b[2J")
    'two lines, ?[2J'
    """
    words = " ".join(text.split())
    return "".join(letter if letter.isprintable() else "?" for letter in words)
