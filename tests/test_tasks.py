"""Tasks and their ceilings; every ceiling against brute force over all inputs."""

from collections import Counter, defaultdict
from itertools import product

import numpy as np
import pytest

from pe_lib.tasks import IGNORE, TASKS


def all_inputs(name, length, vocab):
    content = list(product(range(vocab), repeat=length))
    if name == "retrieve":
        return [(vocab + k, *tokens) for tokens in content for k in range(length)]
    return [(*tokens, *[vocab] * length) if name == "copy" else tokens for tokens in content]


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize(("length", "vocab"), [(1, 2), (2, 2), (3, 3), (4, 3), (5, 2), (6, 3)])
def test_ceiling_is_the_best_of_all_blind_models(name, length, vocab):
    """A blind model sees the own symbol and the bag: tabulate what the answers are for each such view."""
    inputs = np.array(all_inputs(name, length, vocab))
    answers = defaultdict(Counter)
    for row, targets in zip(inputs, TASKS[name].targets(inputs, length, vocab), strict=True):
        for own, target in zip(row, targets, strict=True):
            if target != IGNORE:
                answers[own, tuple(sorted(row))][target] += 1
    asked = sum(sum(counts.values()) for counts in answers.values())
    accuracy = sum(max(counts.values()) for counts in answers.values()) / asked
    loss = -sum(n * np.log(n / sum(counts.values())) for counts in answers.values() for n in counts.values()) / asked
    ceiling = TASKS[name].ceiling(length, vocab)
    assert ceiling.accuracy == pytest.approx(accuracy, abs=1e-12)
    assert ceiling.loss == pytest.approx(loss, abs=1e-12)


def test_ceiling_of_the_notebooks():
    assert TASKS["reverse"].ceiling(16, 10) == pytest.approx((0.241, 1.948), abs=5e-4)
    assert TASKS["sort"].ceiling(16, 10) == TASKS["copy"].ceiling(16, 10) == TASKS["retrieve"].ceiling(16, 10)


def test_ceiling_at_large_sizes(rng):
    """The closed form neither overflows nor vanishes, and meets a simulation."""
    share = rng.multinomial(500, np.full(100, 0.01), size=20_000) / 500
    entropy = -(share * np.log(np.where(share > 0, share, 1))).sum(axis=1).mean()
    assert TASKS["sort"].ceiling(500, 100) == pytest.approx((share.max(axis=1).mean(), entropy), rel=2e-3)


@pytest.mark.parametrize("name", TASKS)
def test_samples(rng, name):
    task = TASKS[name]
    inputs, targets = task.sample(rng, 300, 6, 4)
    assert inputs.shape == targets.shape and inputs.dtype == targets.dtype == np.int64
    assert inputs.min() == 0 and inputs.max() == task.n_token(6, 4) - 1
    asked = targets[targets != IGNORE]
    assert asked.min() >= 0 and asked.max() < task.n_class(6, 4)
    again = task.sample(np.random.default_rng(0), 5, 6, 4)[0]
    np.testing.assert_array_equal(again, task.sample(np.random.default_rng(0), 5, 6, 4)[0])


def test_answers():
    row = np.array([[3, 1, 1, 2]])
    assert TASKS["reverse"].targets(row, 4, 5).tolist() == [[2, 1, 1, 3]]
    assert TASKS["sort"].targets(row, 4, 5).tolist() == [[1, 1, 2, 3]]
    assert TASKS["count"].targets(row, 4, 5).tolist() == [[1, 2, 2, 1]]
    assert TASKS["previous"].targets(row, 4, 5).tolist() == [[3, 3, 1, 1]]
    copied = TASKS["copy"].targets(np.array([[3, 1, 5, 5]]), 2, 5)
    assert copied.tolist() == [[IGNORE, IGNORE, 3, 1]]
    retrieved = TASKS["retrieve"].targets(np.array([[5 + 2, 3, 1, 4], [5 + 0, 3, 1, 4]]), 3, 5)
    assert retrieved.tolist() == [[4, IGNORE, IGNORE, IGNORE], [3, IGNORE, IGNORE, IGNORE]]


def test_targets_are_not_the_inputs(rng):
    inputs, targets = TASKS["reverse"].sample(rng, 2, 4)
    targets[:] = 0
    assert inputs.max() > 0


@pytest.mark.parametrize(
    ("sizes", "says"),
    [
        ((0, 4, 5), "batch must be a whole number >= 1, got 0"),
        ((2, 0, 5), "length must be a whole number >= 1, got 0"),
        ((2, 4, 1), "vocab must be a whole number >= 2, got 1"),
    ],
)
def test_bad_sizes(rng, sizes, says):
    with pytest.raises(ValueError, match=says):
        TASKS["sort"].sample(rng, *sizes)
    if sizes[0]:
        with pytest.raises(ValueError, match=says):
            TASKS["sort"].ceiling(*sizes[1:])
