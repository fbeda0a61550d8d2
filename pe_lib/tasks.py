"""Sequence tasks, and the best score that is possible without order.

A model without position encoding and without causal mask is *blind to order*: what it says at a position depends
on the symbol there and on the bag (multiset) of all input symbols, nothing else.  The content tokens are drawn
independently and uniformly from ``vocab``, so what such a model can know about the answer can be computed.  In a bag
of n tokens, with c_v the number of times v occurs, the ceilings below are the mean of max_v P(v) and the mean entropy
of P, where P(v) = c_v / n is what is known of the answer; `_bag` has both means in closed form.

A new task is a class and its name in `TASKS`.
"""

import itertools
from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, xlog1py

from pe_lib import check

IGNORE = -1  # target of a position at which nothing is asked, and key of one whose answer stands nowhere
Integers = NDArray[np.int64]


class Ceiling(NamedTuple):
    """The best a model blind to order can reach."""

    accuracy: float  # share of asked positions
    loss: float  # cross-entropy in nats per asked position


class Task(ABC):
    """A sequence task of ``length`` content tokens, drawn from ``vocab`` different ones."""

    about: ClassVar[str]

    def __init__(self, length: int = 16, vocab: int = 10):
        self.length = check.size("length", length)
        self.vocab = check.size("vocab", vocab, least=2)
        self.n_token = self.vocab  # input symbols, content and others
        self.n_class = self.vocab  # possible answers
        self.n_position = self.length  # tokens of an input, with those that the task adds

    @property
    def ceiling(self) -> Ceiling:
        """Best accuracy and lowest cross-entropy of any model blind to order."""
        return _bag(self.length, self.vocab)

    def sample(self, rng: np.random.Generator, batch: int) -> tuple[Integers, Integers]:
        """Inputs and targets, each (batch, n_position) int64; a target is IGNORE where nothing is asked."""
        check.instance("rng", rng, np.random.Generator)
        batch = check.size("batch", batch)
        check.room(batch=batch, length=self.n_position)
        inputs = self.inputs(rng, batch)
        return inputs, self.targets(inputs)

    def inputs(self, rng: np.random.Generator, batch: int) -> Integers:
        """Content tokens, with what the task adds.  -> (batch, n_position)"""
        return rng.integers(0, self.vocab, (batch, self.length))

    def all_inputs(self) -> Integers:
        """Every input there is, all equally likely.  -> (n, n_position)"""
        if self.vocab ** min(self.length, 20) > 10**6:
            raise ValueError(f"length and vocab must give at most 1e6 inputs, got {self.vocab} ** {self.length}")
        content = itertools.product(range(self.vocab), repeat=self.length)
        return np.array(list(content))

    def targets(self, inputs: Integers) -> Integers:
        """What the tokens at the `keys` say.  -> (b, n_position)"""
        keys = self.keys(inputs)
        return np.where(keys == IGNORE, IGNORE, np.take_along_axis(inputs, keys, axis=1))

    @abstractmethod
    def keys(self, inputs: Integers) -> Integers:
        """Where the answer to each position stands.  -> (b, n_position), IGNORE where none does"""


class Reverse(Task):
    """The answer is one of the *other* tokens, each equally likely: a bag of length - 1.

    At odd lengths the position may be the middle one (1 in length), which answers itself: a bag of all tokens again.
    """

    about = "position t answers with the token at position length - 1 - t"

    @property
    def ceiling(self) -> Ceiling:
        return _bag(self.length - 1 + self.length % 2, self.vocab)

    def keys(self, inputs: Integers) -> Integers:
        return _every_row(inputs, np.arange(self.length)[::-1])


class Sort(Task):
    """Of the place of the answer nothing is known: it is a random token of the bag."""

    about = "position t answers with the t-th smallest token"

    def keys(self, inputs: Integers) -> Integers:
        return np.argsort(inputs, axis=1, kind="stable")


class Previous(Task):
    """The own place is the first (1 in length), which answers itself, or the answer is one of the others: c_v / n."""

    about = "position t answers with the token at position t - 1, the first with its own; needs distance, not place"

    def keys(self, inputs: Integers) -> Integers:
        return _every_row(inputs, np.maximum(np.arange(self.length) - 1, 0))


class Count(Task):
    """The answer is c_v of the own token: a function of the bag, so nothing is lost without order."""

    about = "each position answers how often its own token occurs; needs no order, so it is the control"

    def __init__(self, length: int = 16, vocab: int = 10):
        super().__init__(length, vocab)
        self.n_class = self.length + 1

    @property
    def ceiling(self) -> Ceiling:
        return Ceiling(1.0, 0.0)

    def targets(self, inputs: Integers) -> Integers:
        check.room(batch=len(inputs), length=self.length**2)
        return (inputs[:, :, None] == inputs[:, None, :]).sum(axis=-1)

    def keys(self, inputs: Integers) -> Integers:
        return np.full_like(inputs, IGNORE)


class Hop(Task):
    """Of L tokens, those that L divides answer themselves; of all others the answer is one of the *other* tokens."""

    about = "position t answers with the token x_t places further on, x_t its own, round the end: needs both together"

    @property
    def ceiling(self) -> Ceiling:
        themselves = -(-self.vocab // self.length) / self.vocab  # share of the tokens 0, L, 2 L ... below vocab
        if self.length == 1:
            return Ceiling(1.0, 0.0)
        others = _bag(self.length - 1, self.vocab)
        return Ceiling(themselves + (1 - themselves) * others.accuracy, (1 - themselves) * others.loss)

    def keys(self, inputs: Integers) -> Integers:
        return (np.arange(self.length) + inputs) % self.length


class Retrieve(Task):
    """Symbol vocab + k, at the end, asks for the token at place k of the content: a random token of the bag."""

    about = "the last symbol names a place, and answers with the token there"

    def __init__(self, length: int = 16, vocab: int = 10):
        super().__init__(length, vocab)
        self.n_token = self.vocab + self.length
        self.n_position = self.length + 1

    def inputs(self, rng: np.random.Generator, batch: int) -> Integers:
        places = rng.integers(0, self.length, (batch, 1))
        return np.concatenate([super().inputs(rng, batch), self.vocab + places], axis=1)

    def all_inputs(self) -> Integers:
        content = super().all_inputs()
        places = np.tile(np.arange(self.length), len(content))
        return np.column_stack([np.repeat(content, self.length, axis=0), self.vocab + places])

    def keys(self, inputs: Integers) -> Integers:
        keys = np.full_like(inputs, IGNORE)
        keys[:, -1] = inputs[:, -1] - self.vocab
        return keys


class Marked(Task):
    """The answer is a function of the bag, so nothing is lost without order; see no farther, and it is."""

    about = "one token is marked, and the last place answers with it: needs no order, but to look far"

    def __init__(self, length: int = 16, vocab: int = 10):
        super().__init__(length, vocab)
        self.n_token = 2 * self.vocab  # vocab + v is v, marked

    @property
    def ceiling(self) -> Ceiling:
        return Ceiling(1.0, 0.0)

    def inputs(self, rng: np.random.Generator, batch: int) -> Integers:
        inputs = super().inputs(rng, batch)
        marked = rng.integers(0, self.length, batch)
        inputs[np.arange(batch), marked] += self.vocab
        return inputs

    def all_inputs(self) -> Integers:
        content = super().all_inputs()
        marks = self.vocab * np.eye(self.length, dtype=content.dtype)
        return (content[:, None] + marks).reshape(-1, self.length)

    def targets(self, inputs: Integers) -> Integers:
        targets = np.full_like(inputs, IGNORE)
        targets[:, -1] = inputs.max(axis=1) - self.vocab
        return targets

    def keys(self, inputs: Integers) -> Integers:
        keys = np.full_like(inputs, IGNORE)
        keys[:, -1] = inputs.argmax(axis=1)
        return keys


class Copy(Task):
    """The tokens are followed by as many blanks, symbol vocab, of whose places nothing is known."""

    about = "the tokens are followed by as many blanks, which answer with the tokens in order"

    def __init__(self, length: int = 16, vocab: int = 10):
        super().__init__(length, vocab)
        self.n_token = self.vocab + 1
        self.n_position = 2 * self.length

    def inputs(self, rng: np.random.Generator, batch: int) -> Integers:
        return self._followed_by_blanks(super().inputs(rng, batch))

    def all_inputs(self) -> Integers:
        return self._followed_by_blanks(super().all_inputs())

    def _followed_by_blanks(self, content: Integers) -> Integers:
        return np.concatenate([content, np.full_like(content, self.vocab)], axis=1)

    def keys(self, inputs: Integers) -> Integers:
        places = np.arange(self.length)
        return _every_row(inputs, np.concatenate([np.full_like(places, IGNORE), places]))


TASKS: dict[str, type[Task]] = {
    "reverse": Reverse,
    "sort": Sort,
    "previous": Previous,
    "count": Count,
    "hop": Hop,
    "retrieve": Retrieve,
    "marked": Marked,
    "copy": Copy,
}


def _every_row(inputs: Integers, keys: Integers) -> Integers:
    return np.tile(keys, (len(inputs), 1))


def _bag(n: int, vocab: int) -> Ceiling:
    """Ceiling when the answer is a random token of a bag of n: E[max c] / n and the mean entropy of c / n."""
    check.size("length", n, most=2000)  # the time it takes grows with n ** 3
    c = np.arange(1, n + 1)
    # The entropy is a sum over tokens, and each count alone is binomial.
    # scipy.stats has it, and takes half a second to import.
    ways = gammaln(n + 1) - gammaln(c + 1) - gammaln(n - c + 1)  # logarithm
    probability = np.exp(ways - c * np.log(vocab) + xlog1py(n - c, -1 / vocab))
    loss = -vocab * np.sum(probability * c / n * np.log(c / n))
    # P(max c <= m) = n! / vocab^n * [z^n] (sum_{j <= m} z^j / j!)^vocab; scaled by e^-lambda, lambda = n / vocab,
    # to Poisson weights, whose powers neither overflow nor vanish.
    at_most = [_coefficient(n, vocab, m) for m in range(n)]
    expected_max = n - np.sum(at_most) / _coefficient(n, vocab, n)
    return Ceiling(float(expected_max / n), float(abs(loss)))


def _coefficient(n: int, vocab: int, m: int) -> float:
    """Coefficient n of (sum_{j <= m} w_j z^j)^vocab with Poisson weights w_j of mean n / vocab."""
    mean = n / vocab
    j = np.arange(min(m, n) + 1)
    weight = np.exp(j * np.log(mean) - mean - gammaln(j + 1))
    power = np.ones(1)
    for bit in f"{vocab:b}":  # square and multiply
        power = np.convolve(power, power)[: n + 1]
        if bit == "1":
            power = np.convolve(power, weight)[: n + 1]
    return float(power[n]) if len(power) > n else 0.0
