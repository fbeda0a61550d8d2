"""Sequence tasks, and the best score that is possible without order.

A model without position encoding and without causal mask is *blind to order*: what it says at a position depends
on the symbol there and on the bag (multiset) of all input symbols, nothing else.  The content tokens are drawn
independently and uniformly from ``vocab``, so what such a model can know about the answer can be computed:

    sort, copy, retrieve   the answer sits at a place of which nothing is known: it is a random token of the bag,
                           P(v) = c_v / length with c_v the number of times v occurs
    previous               the own place is the first one (1 in length), which answers itself, or the answer is one
                           of the others: P(v) = ([v is the own token] + n_v) / length = c_v / length
    reverse, even length   the answer is one of the *other* tokens, each equally likely: P(v) = n_v / (length - 1)
                           with n_v counted without the own token
    reverse, odd length    the position may be the middle one (1 in length), which answers itself:
                           P(v) = ([v is the own token] + n_v) / length = c_v / length
    count                  the answer is c_v of the own token: a function of the bag, so nothing is lost

The best accuracy is the mean of max_v P(v), the lowest cross-entropy the mean entropy of P.  With n tokens in the
bag the counts are multinomial; `_bag` has both means in closed form.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import lgamma
from typing import NamedTuple

import numpy as np
from scipy.stats import binom

from pe_lib import check

IGNORE = -1  # target of a position at which nothing is asked


class Ceiling(NamedTuple):
    """The best a model blind to order can reach."""

    accuracy: float  # share of asked positions
    loss: float  # cross-entropy in nats per asked position


@dataclass(frozen=True)
class Task:
    """A sequence task: how inputs are drawn, what the answers are, and what is possible without order."""

    about: str
    _inputs: Callable  # rng, batch, length, vocab -> (b, t)
    targets: Callable  # inputs (b, t), length, vocab -> (b, t), IGNORE where nothing is asked
    _ceiling: Callable  # length, vocab -> Ceiling
    _n_token: Callable  # length, vocab -> number of input symbols
    _n_class: Callable  # length, vocab -> number of answers

    def sample(self, rng: np.random.Generator, batch: int, length: int, vocab: int = 10):
        """Inputs and targets, each (b, t) int64; t is ``length`` and whatever the task adds.

        Raises ValueError or TypeError if a size is not a positive integer (vocab: at least 2).
        """
        batch = check.size("batch", batch)
        length, vocab = _sizes(length, vocab)
        inputs = self._inputs(rng, batch, length, vocab)
        return inputs, self.targets(inputs, length, vocab)

    def ceiling(self, length: int, vocab: int = 10) -> Ceiling:
        """Best accuracy and lowest cross-entropy of any model blind to order.  Raises as `sample`."""
        return self._ceiling(*_sizes(length, vocab))

    def n_token(self, length: int, vocab: int = 10) -> int:
        """Number of input symbols, content and others.  Raises as `sample`."""
        return self._n_token(*_sizes(length, vocab))

    def n_class(self, length: int, vocab: int = 10) -> int:
        """Number of possible answers.  Raises as `sample`."""
        return self._n_class(*_sizes(length, vocab))


def _sizes(length, vocab):
    return check.size("length", length), check.size("vocab", vocab, least=2)


def _content(rng, batch, length, vocab):
    return rng.integers(0, vocab, (batch, length))


def _bag(n: int, vocab: int) -> Ceiling:
    """Ceiling when the answer is a random token of a bag of n: E[max c] / n and the mean entropy of c / n."""
    c = np.arange(1, n + 1)
    # The entropy is a sum over tokens, and each count alone is binomial.
    loss = -vocab * np.sum(binom.pmf(c, n, 1 / vocab) * c / n * np.log(c / n))
    # P(max c <= m) = n! / vocab^n * [z^n] (sum_{j <= m} z^j / j!)^vocab; scaled by e^-lambda, lambda = n / vocab,
    # to Poisson weights, whose powers neither overflow nor vanish.
    at_most = [_coefficient(n, vocab, m) for m in range(n)]
    expected_max = n - np.sum(at_most) / _coefficient(n, vocab, n)
    return Ceiling(float(expected_max / n), float(abs(loss)))


def _coefficient(n, vocab, m):
    """Coefficient n of (sum_{j <= m} w_j z^j)^vocab with Poisson weights w_j of mean n / vocab."""
    mean = n / vocab
    j = np.arange(min(m, n) + 1)
    weight = np.exp(j * np.log(mean) - mean - np.array([lgamma(x + 1) for x in j]))
    power = np.ones(1)
    for bit in f"{vocab:b}":  # square and multiply
        power = np.convolve(power, power)[: n + 1]
        if bit == "1":
            power = np.convolve(power, weight)[: n + 1]
    return power[n] if len(power) > n else 0.0


def _reverse_ceiling(length, vocab):
    return _bag(length - 1 if length % 2 == 0 else length, vocab)


def _count_targets(inputs, length, vocab):
    return (inputs[:, :, None] == inputs[:, None, :]).sum(axis=-1)


def _retrieve_inputs(rng, batch, length, vocab):
    query = vocab + rng.integers(0, length, (batch, 1))  # symbol vocab + k asks for the token at position k
    return np.concatenate([query, _content(rng, batch, length, vocab)], axis=1)


def _retrieve_targets(inputs, length, vocab):
    targets = np.full_like(inputs, IGNORE)
    targets[:, :1] = np.take_along_axis(inputs, 1 + inputs[:, :1] - vocab, axis=1)
    return targets


def _copy_inputs(rng, batch, length, vocab):
    return np.concatenate([_content(rng, batch, length, vocab), np.full((batch, length), vocab)], axis=1)


def _copy_targets(inputs, length, vocab):
    return np.concatenate([np.full((len(inputs), length), IGNORE), inputs[:, :length]], axis=1)


def _vocab(length, vocab):
    return vocab


TASKS = {
    "reverse": Task(
        "position t answers with the token at position length - 1 - t",
        _content,
        lambda inputs, length, vocab: inputs[:, ::-1].copy(),
        _reverse_ceiling,
        _vocab,
        _vocab,
    ),
    "sort": Task(
        "position t answers with the t-th smallest token",
        _content,
        lambda inputs, length, vocab: np.sort(inputs, axis=1),
        _bag,
        _vocab,
        _vocab,
    ),
    "previous": Task(
        "position t answers with the token at position t - 1, the first with its own; needs distance, not place",
        _content,
        lambda inputs, length, vocab: np.concatenate([inputs[:, :1], inputs[:, :-1]], axis=1),
        _bag,
        _vocab,
        _vocab,
    ),
    "count": Task(
        "each position answers how often its own token occurs; needs no order, so it is the control",
        _content,
        _count_targets,
        lambda length, vocab: Ceiling(1.0, 0.0),
        _vocab,
        lambda length, vocab: length + 1,
    ),
    "retrieve": Task(
        "the first symbol names a place, and answers with the token there",
        _retrieve_inputs,
        _retrieve_targets,
        _bag,
        lambda length, vocab: vocab + length,
        _vocab,
    ),
    "copy": Task(
        "the tokens are followed by as many blanks, which answer with the tokens in order",
        _copy_inputs,
        _copy_targets,
        _bag,
        lambda length, vocab: vocab + 1,
        _vocab,
    ),
}
