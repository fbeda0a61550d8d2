"""What somebody else's code answers: a value, or the error it raises.

The only place of the package where any exception is caught: around a call of code that is not ours.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Answer:
    """The ``value`` that came back, or the ``error`` that came instead."""

    value: Any = None
    error: Exception | None = None

    @property
    def ok(self) -> bool:
        """True if it answered."""
        return self.error is None

    def unwrap(self) -> Any:
        """The value.  Raises the error if there is one."""
        if self.error is not None:
            raise self.error
        return self.value

    def complaint(self) -> str:
        """Of an error, its type and the first 200 characters of what it says."""
        return f"{type(self.error).__name__}: {str(self.error)[:200]}"


def ask(call: Callable, *arguments: Any, **options: Any) -> Answer:
    """What a call of somebody else's code answers, whatever it raises."""
    try:
        return Answer(call(*arguments, **options))
    except Exception as error:
        return Answer(error=error)
