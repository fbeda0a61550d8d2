"""Answers of somebody else's code: a value or an error, and nothing in between."""

import pytest

from pe_lib.identify.answer import Answer, ask


def twice(x, *, plus=0):
    return 2 * x + plus


def test_a_value():
    answer = ask(twice, 3, plus=1)
    assert answer == Answer(7) and answer.ok and answer.unwrap() == 7


def test_an_error():
    answer = ask(int, "x" * 300)
    assert not answer.ok and answer.value is None
    assert answer.complaint().startswith("ValueError: invalid literal") and len(answer.complaint()) == 212
    with pytest.raises(ValueError, match="invalid literal"):
        answer.unwrap()


def test_an_interrupt_is_no_answer():
    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ask(interrupted)
