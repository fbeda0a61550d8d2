"""Training: the same numbers again, the settings that `fit` promises, and records that say what they are."""

import json
import math
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from pe_lib import training
from pe_lib.encodings import FixedTable
from pe_lib.sinusoidal import sinusoidal
from pe_lib.tasks import Retrieve, Reverse
from pe_lib.training import evaluate, fit, model_for, new_model, trial, trials
from pe_lib.transformer import Config

SETTINGS = {"steps": 30, "batch": 8, "eval_every": 10, "eval_size": 20}
SIZES = {"d_model": 16, "n_head": 2, "n_layer": 1}
TASK = Reverse(6, 4)


def small_model(seed=0, encoding="sinusoidal", task=TASK):
    return model_for(task, encoding, seed, **SIZES)


def train(seed=0, **changes):
    return fit(small_model(seed), TASK, np.random.default_rng(seed), **SETTINGS | changes)


def numbers(records):
    return [(record["step"], record["loss"], record["accuracy"]) for record in records]


def test_records():
    before = torch.random.get_rng_state(), np.random.get_state()[1].tolist()  # noqa: NPY002
    records = train(seed=5, labels={"encoding": "sinusoidal"})
    assert [record["step"] for record in records] == [0, 10, 20, 30]
    last = records[-1]
    assert last["seed"] == 5 and last["encoding"] == "sinusoidal" and last["torch"] == torch.__version__
    assert last["parameters"] == sum(p.numel() for p in small_model().parameters())
    assert last["d_model"] == 16 and last["lr"] == 2e-3 and last["seconds"] > records[0]["seconds"] == 0
    assert (last["length"], last["vocab"], last["n_class"], last["batch"]) == (6, 4, 4, 8)
    json.dumps(records)
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]  # noqa: NPY002


def test_last_step_is_always_evaluated_once():
    assert [record["step"] for record in train(steps=25)] == [0, 10, 20, 25]
    assert [record["step"] for record in train(steps=5)] == [0, 5]


def test_same_seed_same_numbers():
    assert numbers(train(3)) == numbers(train(3))
    assert numbers(train(3))[0] != numbers(train(4))[0]


@pytest.mark.slow
def test_it_learns():
    records = train(steps=300, lr=1e-2, eval_every=100)
    assert records[-1]["accuracy"] > 0.9 > TASK.ceiling.accuracy + 0.3
    assert records[-1]["loss"] < 0.3 * records[0]["loss"]


# The settings that `fit` promises


def test_optimizer_and_learning_rate(monkeypatch):
    seen = []

    class Spy(torch.optim.AdamW):
        def step(self, closure=None):
            seen.append(self.param_groups[0] | {"params": None})
            return super().step(closure)

    monkeypatch.setattr(torch.optim, "AdamW", Spy)
    train(steps=40, lr=8e-3)
    assert len(seen) == 40 and all(step["betas"] == (0.9, 0.98) and step["weight_decay"] == 0.01 for step in seen)
    rise, cosine = np.minimum(1, np.arange(1, 41) / 2), (1 + np.cos(np.pi * np.arange(40) / 40)) / 2
    np.testing.assert_allclose([step["lr"] for step in seen], 8e-3 * rise * cosine, rtol=1e-12)


def test_the_gradient_is_clipped_at_norm_1(rng):
    model = small_model()
    model.head.weight.data *= 1000
    before = torch.cat([parameter.detach().flatten().clone() for parameter in model.parameters()])
    training._step(model, torch.optim.SGD(model.parameters(), lr=1.0), *TASK.sample(rng, 8))
    after = torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
    assert torch.linalg.norm(after - before).item() == pytest.approx(1, abs=1e-2)


def test_it_trains_in_training_mode_and_is_judged_out_of_it(rng):
    """`shape` draws an offset in training and none when evaluating."""
    model = small_model(encoding="shape")
    state, sample = model.encoding.state.clone(), TASK.sample(rng, 30)
    model.train()
    score = evaluate(model, *sample)
    assert torch.equal(model.encoding.state, state)
    assert score["loss"] == pytest.approx(evaluate(small_model(), *sample)["loss"], abs=1e-6)
    training._step(model, torch.optim.SGD(model.parameters(), lr=1.0), *sample)
    assert not torch.equal(model.encoding.state, state)


def test_batches_and_held_out_sequences_come_from_two_generators(monkeypatch):
    sampled = []
    sample = Reverse.sample

    def spy(self, rng, n):
        sampled.append(sample(self, rng, n))
        return sampled[-1]

    monkeypatch.setattr(Reverse, "sample", spy)
    train(seed=4, steps=3)
    batches, evaluation = np.random.default_rng(4).spawn(2)
    expected = [sample(TASK, evaluation, 20), *(sample(TASK, batches, 8) for _ in range(3))]
    np.testing.assert_equal(sampled, expected)


# Scores


def test_evaluate_and_shift(rng):
    model, (inputs, targets) = small_model(), TASK.sample(rng, 50)
    score = evaluate(model, inputs, targets)
    right = model(torch.from_numpy(inputs)).argmax(-1).numpy() == targets
    assert score["accuracy"] == right.mean()
    assert evaluate(model, inputs, targets, shift=0) == score != evaluate(model, inputs, targets, shift=40)
    blind = small_model(encoding="nope")
    assert evaluate(blind, inputs, targets, shift=40) == evaluate(blind, inputs, targets)


def test_only_asked_positions_count(rng):
    task = Retrieve(6, 4)
    inputs, targets = task.sample(rng, 40)
    model = small_model(task=task)
    logits = model(torch.from_numpy(inputs))[:, -1]
    expected = torch.nn.functional.cross_entropy(logits, torch.from_numpy(targets[:, -1])).item()
    score = evaluate(model, inputs, targets)
    assert score["loss"] == pytest.approx(expected, abs=1e-6)
    assert score["accuracy"] == (logits.argmax(-1).numpy() == targets[:, -1]).mean() > 0


# Models


def test_weights_do_not_depend_on_the_encoding():
    blind, learned = small_model(3, "nope").state_dict(), small_model(3, "learned").state_dict()
    table = learned.pop("encoding.table")
    assert blind.keys() == learned.keys() and all(torch.equal(blind[name], learned[name]) for name in blind)
    other = small_model(4, "learned").state_dict()
    assert not torch.equal(other["token"], blind["token"]) and not torch.equal(other["encoding.table"], table)
    drawn = [values.flatten()[:64] for values in (table, blind["token"])]  # apart, not from one stream twice
    assert abs(torch.corrcoef(torch.stack(drawn))[0, 1]) < 0.5
    first, second = (int(state) for state in np.random.SeedSequence(3).generate_state(2))  # as when records were made
    generator = torch.Generator().manual_seed(first)
    assert torch.equal(blind["token"], torch.empty(4, 16).normal_(0, 0.25, generator=generator))
    assert torch.equal(table, torch.empty(6, 16).normal_(0, 0.02, generator=generator.manual_seed(second)))


def test_a_model_for_a_task_has_its_sizes():
    config = model_for(Retrieve(6, 4), "learned:std=0.5", 0, n_layer=1).config
    assert config == Config(vocab=10, n_class=4, max_len=7, n_layer=1)
    assert model_for(TASK, "nope", 0, max_len=99).config.max_len == 99
    assert small_model(encoding="learned:std=0.5").encoding.table.std().item() == pytest.approx(0.5, rel=0.2)


def test_trial_is_the_same_run():
    sizes = {"length": 6, "vocab": 4, "sizes": SIZES}
    records = trial("reverse", "sinusoidal", 3, **sizes, **SETTINGS)
    assert numbers(records) == numbers(train(3))
    assert (records[0]["task"], records[0]["encoding"]) == ("reverse", "sinusoidal")
    table = FixedTable(sinusoidal(np.arange(6), 16))
    same = trial("reverse", table, 3, labels={"encoding": "by table"}, **sizes, **SETTINGS)
    np.testing.assert_allclose(numbers(same), numbers(records), rtol=0, atol=1e-6)
    assert same[0]["encoding"] == "by table"
    other = trial("reverse", "sinusoidal:base=9", 3, **sizes, **SETTINGS)
    assert numbers(other)[0] != numbers(records)[0] and other[0]["encoding"] == "sinusoidal:base=9"


@pytest.mark.slow
def test_trials_are_trials_side_by_side():
    sizes = {"task": "reverse", "seed": 3, "length": 6, "vocab": 4, "sizes": SIZES}
    jobs = [sizes | {"encoding": name} | SETTINGS for name in ("nope", "sinusoidal")]
    assert [numbers(records) for records in trials(jobs)] == [numbers(trial(**job)) for job in jobs]


LONG = """
from pathlib import Path
from pe_lib.encodings import PositionEncoding
from pe_lib.training import trials

class Marks(PositionEncoding):
    def embed(self, x, pos):
        Path("trains").touch()
        return x

if __name__ == "__main__":
    trials([{"task": "reverse", "encoding": Marks(), "seed": 0, "steps": 10**6}])
"""


@pytest.mark.slow
def test_the_processes_of_trials_end_with_their_parent(tmp_path):
    (tmp_path / "long.py").write_text(LONG)
    with subprocess.Popen([sys.executable, "long.py"], cwd=tmp_path, start_new_session=True) as parent:
        wait_until(lambda: (tmp_path / "trains").exists() or parent.poll() is not None)
        assert parent.poll() is None
        parent.kill()
    try:
        wait_until(lambda: not is_alive(parent.pid))
    finally:
        if is_alive(parent.pid):
            os.killpg(parent.pid, signal.SIGKILL)


@pytest.mark.parametrize(("told", "cores"), [("1", 1), ("3", 3), ("0", 1)])
def test_trials_keep_to_the_cores_that_are_theirs(monkeypatch, told, cores):
    """A notebook is told by `runs` how many of the cores are its own."""
    started = []

    class Pool:
        def __init__(self, processes, *_):
            started.append(processes)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(training, "ProcessPoolExecutor", Pool)
    monkeypatch.setenv("PYTHON_CPU_COUNT", told)
    assert trials([], processes=64) == trials([], processes=1) == []
    monkeypatch.delenv("PYTHON_CPU_COUNT")
    trials([], processes=10**6)
    assert started[:2] == [cores, 1] and 1 <= started[2] <= os.cpu_count()


def wait_until(holds, most=300):
    """For an event; the seconds bound a hang."""
    deadline = time.monotonic() + most
    while not holds():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.1)


def is_alive(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


# Bad input


BAD = {
    "steps": (lambda: train(steps=0), ValueError, "steps must be a whole number >= 1, got 0"),
    "batch": (lambda: train(batch=0), ValueError, "batch must be a whole number >= 1, got 0"),
    "eval_every": (lambda: train(eval_every=2.5), TypeError, "eval_every must be a whole number >= 1, got 2.5"),
    "eval_size": (lambda: train(eval_size=0), ValueError, "eval_size must be a whole number >= 1, got 0"),
    "lr": (lambda: train(lr=0), ValueError, "lr must be a number from 1e-30 to 1,000, got 0"),
    "few symbols": (
        lambda: fit(small_model(), Reverse(6, 9), np.random.default_rng(0)),
        ValueError,
        "model must have vocab >= 9 and n_class >= 9 for this task, got 4 and 4",
    ),
    "few classes": (
        lambda: fit(new_model(Config(9, 4, 6), "nope", 0), Reverse(6, 9), np.random.default_rng(0)),
        ValueError,
        "n_class >= 9 for this task, got 9 and 4",
    ),
    "labels": (lambda: train(labels={"loss": 1, "seed": 2}), ValueError, "holds already, got loss, seed"),
    "no encoding": (
        lambda: trial("reverse", 5, 0),
        TypeError,
        "encoding must be a name or a PositionEncoding, got 5",
    ),
    "no option": (lambda: trial("reverse", "nope:base=9", 0), TypeError, "encoding nope has no option 'base'"),
    "no task": (lambda: trial("revers", "nope", 0), ValueError, "task must be one of reverse"),
    "no name": (lambda: trial("reverse", "nop", 0), ValueError, "encoding must be one of nope"),
    "seed": (lambda: trial("reverse", "nope", -1), ValueError, "seed must be a whole number >= 0, got -1"),
    "heads": (lambda: model_for(TASK, "nope", 0, n_head=5), ValueError, "multiple of n_head"),
    "processes": (lambda: trials([], 0), ValueError, "processes must be a whole number >= 1, got 0"),
    "nothing asked": (
        lambda: evaluate(small_model(), np.zeros((1, 6), int), np.full((1, 6), -1)),
        ValueError,
        "at least one position",
    ),
    "shift": (
        lambda: evaluate(small_model(), *[np.zeros((1, 6), int)] * 2, shift=math.nan),
        ValueError,
        "shift must",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case):
    call, error, says = BAD[case]
    with pytest.raises(error) as raised:
        call()
    assert says in str(raised.value)


def test_a_loss_that_is_not_a_number_stops_the_run():
    model = small_model()
    with torch.no_grad():
        model.token.fill_(torch.nan)
    with pytest.raises(FloatingPointError, match="loss is nan"):
        fit(model, TASK, np.random.default_rng(0), **SETTINGS)
