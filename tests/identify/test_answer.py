"""Answers of somebody else's code: a value or an error, and nothing in between."""

from math import sqrt

import pytest

from pe_lib.identify.answer import Answer, ask, in_a_line


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


class OfItsOwn(BaseException):
    def __str__(self):
        raise RuntimeError("not even this")


def raises(error):
    raise error


@pytest.mark.parametrize(
    "error, complaint",
    [
        pytest.param(SystemExit(3), "SystemExit: 3", id="exit"),
        pytest.param(KeyError(), "KeyError", id="no text"),
        pytest.param(OfItsOwn(), "OfItsOwn", id="no text that can be had"),
        pytest.param(ValueError("one\n  two\x1b[2J"), "ValueError: one two?[2J", id="lines and signs"),
        pytest.param(ValueError("\udc80"), "ValueError: ?", id="half a letter"),
    ],
)
def test_whatever_is_raised(error, complaint):
    answer = ask(raises, error)
    assert answer.error is error and answer.complaint() == complaint


def test_where_an_error_comes_from():
    assert ask(raises, KeyError()).is_from_within
    assert not ask(raises).is_from_within and not ask(sqrt, "no").is_from_within
    assert not Answer(error=KeyError()).is_from_within and not Answer(3).is_from_within


def test_words_in_a_line():
    assert in_a_line("déjà  vu\r\n\tagain ") == "déjà vu again"


def test_an_interrupt_is_no_answer():
    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ask(interrupted)
