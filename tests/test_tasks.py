"""Tasks and their ceilings: what is drawn, what is asked, and every ceiling against brute force over all inputs."""

from collections import Counter, defaultdict

import numpy as np
import pytest
from scipy.stats import chisquare

from pe_lib.tasks import IGNORE, TASKS, Copy, Count, Hop, Marked, Previous, Retrieve, Reverse, Sort


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize(("length", "vocab"), [(1, 2), (2, 2), (2, 3), (3, 3), (4, 3), (5, 2), (6, 3)])
def test_ceiling_is_the_best_of_all_blind_models(name, length, vocab):
    """A blind model sees the own symbol and the bag: tabulate what the answers are for each such view."""
    task = TASKS[name](length, vocab)
    inputs = task.all_inputs()
    answers = defaultdict(Counter)
    for row, targets in zip(inputs, task.targets(inputs), strict=True):
        bag = tuple(sorted(row))
        for symbol, target in zip(row, targets, strict=True):
            if target != IGNORE:
                answers[symbol, bag][target] += 1
    asked = sum(sum(counts.values()) for counts in answers.values())
    accuracy = sum(max(counts.values()) for counts in answers.values()) / asked
    loss = -sum(n * np.log(n / sum(counts.values())) for counts in answers.values() for n in counts.values()) / asked
    assert task.ceiling.accuracy == pytest.approx(accuracy, abs=1e-12)
    assert task.ceiling.loss == pytest.approx(loss, abs=1e-12)


def test_ceiling_of_the_notebooks():
    assert Reverse(16, 10).ceiling == pytest.approx((0.241, 1.948), abs=5e-4)
    assert Sort(16, 10).ceiling == Copy(16, 10).ceiling == Retrieve(16, 10).ceiling


def test_ceiling_at_large_sizes(rng):
    """The closed form neither overflows nor vanishes, and meets a simulation."""
    share = rng.multinomial(500, np.full(100, 0.01), size=20_000) / 500
    entropy = -(share * np.log(np.where(share > 0, share, 1))).sum(axis=1).mean()
    assert Sort(500, 100).ceiling == pytest.approx((share.max(axis=1).mean(), entropy), rel=2e-3)


@pytest.mark.parametrize("name", TASKS)
def test_samples(rng, name):
    task = TASKS[name](6, 4)
    inputs, targets = task.sample(rng, 300)
    assert inputs.shape == targets.shape == (300, task.n_position) and inputs.dtype == targets.dtype == np.int64
    assert inputs.min() == 0 and inputs.max() == task.n_token - 1
    asked = targets[targets != IGNORE]
    assert asked.min() >= 0 and asked.max() < task.n_class
    again, other = (task.sample(np.random.default_rng(seed), 5)[0] for seed in (0, 1))
    np.testing.assert_array_equal(again, task.sample(np.random.default_rng(0), 5)[0])
    assert not np.array_equal(again, other)


@pytest.mark.parametrize("name", TASKS)
def test_content_is_uniform_and_independent(rng, name):
    """The ceilings rest on it: each token, each pair of neighbours and each place asked for is equally likely."""
    task = TASKS[name](5, 4)
    inputs, _ = task.sample(rng, 6000)
    content = inputs[:, :5] % 4  # without marks
    for column in content.T:
        assert chisquare(np.bincount(column, minlength=4)).pvalue > 1e-4
    pairs = (4 * content[:, :-1] + content[:, 1:]).ravel()
    assert chisquare(np.bincount(pairs, minlength=16)).pvalue > 1e-4
    ends = 4 * content[:, 0] + content[:, -1]
    assert chisquare(np.bincount(ends, minlength=16)).pvalue > 1e-4
    if name in ("retrieve", "marked"):
        places = inputs[:, -1] - 4 if name == "retrieve" else inputs.argmax(axis=1)
        assert chisquare(np.bincount(places, minlength=5)).pvalue > 1e-4
        assert chisquare(np.bincount(5 * content[:, 0] + places, minlength=20)).pvalue > 1e-4


@pytest.mark.parametrize("name", TASKS)
def test_all_inputs_are_those_that_are_drawn(rng, name):
    task = TASKS[name](2, 3)
    every = {tuple(row) for row in task.all_inputs()}
    assert len(every) == len(task.all_inputs())
    assert {tuple(row) for row in task.sample(rng, 2000)[0]} == every


ANSWERS = {
    "reverse": (Reverse(4, 5), [3, 1, 1, 2], [2, 1, 1, 3]),
    "sort": (Sort(4, 5), [3, 1, 1, 2], [1, 1, 2, 3]),
    "count": (Count(4, 5), [3, 1, 1, 2], [1, 2, 2, 1]),
    "previous": (Previous(4, 5), [3, 1, 1, 2], [3, 3, 1, 1]),
    "copy": (Copy(2, 5), [3, 1, 5, 5], [IGNORE, IGNORE, 3, 1]),
    "hop": (Hop(4, 6), [1, 4, 2, 5], [4, 4, 1, 1]),
    "retrieve the last": (Retrieve(3, 5), [3, 1, 4, 5 + 2], [IGNORE, IGNORE, IGNORE, 4]),
    "retrieve the first": (Retrieve(3, 5), [3, 1, 4, 5 + 0], [IGNORE, IGNORE, IGNORE, 3]),
    "marked": (Marked(3, 5), [4, 5 + 1, 2], [IGNORE, IGNORE, 1]),
}
KEYS = {
    "reverse": [3, 2, 1, 0],
    "sort": [1, 2, 3, 0],
    "count": [IGNORE] * 4,
    "previous": [0, 0, 1, 2],
    "copy": [IGNORE, IGNORE, 0, 1],
    "hop": [1, 1, 0, 0],
    "retrieve the last": [IGNORE, IGNORE, IGNORE, 2],
    "retrieve the first": [IGNORE, IGNORE, IGNORE, 0],
    "marked": [IGNORE, IGNORE, 1],
}


@pytest.mark.parametrize("case", ANSWERS)
def test_answers(case):
    task, row, answers = ANSWERS[case]
    assert task.targets(np.array([row])).tolist() == [answers]
    assert task.keys(np.array([row])).tolist() == [KEYS[case]]


def test_equal_tokens_keep_their_order(rng):
    inputs = Sort(50, 2).sample(rng, 1)[0]
    keys = Sort(50, 2).keys(inputs)[0]
    zeros = (inputs == 0).sum()
    assert (np.diff(keys[:zeros]) > 0).all() and (np.diff(keys[zeros:]) > 0).all()


def test_targets_are_not_the_inputs(rng):
    inputs, targets = Reverse(4).sample(rng, 2)
    targets[:] = 0
    assert inputs.max() > 0


@pytest.mark.parametrize(
    ("call", "says"),
    [
        pytest.param(lambda rng: Sort(4, 5).sample(rng, 0), "batch must be a whole number >= 1, got 0", id="batch"),
        pytest.param(lambda rng: Sort(0, 5), "length must be a whole number >= 1, got 0", id="length"),
        pytest.param(lambda rng: Retrieve(4, 1), "vocab must be a whole number >= 2, got 1", id="vocab"),
    ],
)
def test_bad_sizes(rng, call, says):
    with pytest.raises(ValueError, match=says):
        call(rng)
