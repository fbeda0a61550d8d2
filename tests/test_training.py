"""Training: the same numbers again, also after an interruption; records that say what they are."""

import json
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
from pe_lib.tasks import TASKS
from pe_lib.training import config_for, evaluate, fit, model_for, summary, trial, trials

SETTINGS = dict(length=6, vocab=4, steps=30, batch=8, eval_every=10, eval_size=20)


SIZES = {"d_model": 16, "n_head": 2, "n_layer": 1}


def model(seed=0, task="reverse", encoding="sinusoidal"):
    return model_for(task, encoding, seed, length=6, vocab=4, sizes=SIZES)


def train(seed=0, **changes):
    return fit(model(seed), TASKS["reverse"], np.random.default_rng(seed), **SETTINGS | changes)


def numbers(records):
    return [(record["step"], record["loss"], record["accuracy"]) for record in records]


def test_records():
    before = torch.random.get_rng_state(), np.random.get_state()[1].tolist()  # noqa: NPY002
    records = train(seed=5, labels={"encoding": "sinusoidal"})
    assert [record["step"] for record in records] == [0, 10, 20, 30]
    last = records[-1]
    assert last["seed"] == 5 and last["encoding"] == "sinusoidal" and last["torch"] == torch.__version__
    assert last["parameters"] == sum(p.numel() for p in model().parameters())
    assert last["d_model"] == 16 and last["lr"] == 2e-3 and last["seconds"] >= records[0]["seconds"] == 0
    json.dumps(records)
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]  # noqa: NPY002


def test_last_step_is_always_evaluated_once():
    assert [record["step"] for record in train(steps=25)] == [0, 10, 20, 25]
    assert [record["step"] for record in train(steps=5)] == [0, 5]


def test_same_seed_same_numbers():
    assert numbers(train(3)) == numbers(train(3))
    assert numbers(train(3))[0] != numbers(train(4))[0]


def test_it_learns():
    records = train(steps=300, lr=1e-2, eval_every=100)
    assert records[-1]["accuracy"] > 0.9 > TASKS["reverse"].ceiling(6, 4).accuracy + 0.3
    assert records[-1]["loss"] < 0.3 * records[0]["loss"]


def test_an_interrupted_run_continues_to_the_same_numbers(tmp_path, monkeypatch):
    path, whole = tmp_path / "deep" / "run.pt", train(7)
    steps = training._step

    def stop_at_25(*arguments, taken=[]):  # noqa: B006
        taken.append(1)
        if len(taken) == 25:
            raise KeyboardInterrupt
        steps(*arguments)

    monkeypatch.setattr(training, "_step", stop_at_25)
    with pytest.raises(KeyboardInterrupt):
        train(7, checkpoint=path)
    monkeypatch.setattr(training, "_step", steps)
    taken = []
    monkeypatch.setattr(training, "_step", lambda *arguments: (taken.append(1), steps(*arguments)))
    resumed = train(7, checkpoint=path)
    assert len(taken) == 10  # from step 20 on, where the last evaluation was
    assert numbers(resumed) == numbers(whole)
    assert numbers(train(7, checkpoint=path)) == numbers(whole) and len(taken) == 10  # finished: nothing to do
    assert [file.name for file in path.parent.iterdir()] == ["run.pt"]


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    train(7, checkpoint=tmp_path / "run.pt")
    with pytest.raises(ValueError, match=r"another run: it differs in lr$"):
        train(7, checkpoint=tmp_path / "run.pt", lr=1e-3)
    with pytest.raises(ValueError, match=r"another run: it differs in seed, start$"):
        train(8, checkpoint=tmp_path / "run.pt")
    for task, encoding in (("reverse", "nope"), ("sort", "sinusoidal")):
        with pytest.raises(ValueError, match="it differs in start"):
            other = model(7, task=task, encoding=encoding)
            fit(other, TASKS[task], np.random.default_rng(7), **SETTINGS, checkpoint=tmp_path / "run.pt")


def test_a_checkpoint_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "run.pt"
    train(7, checkpoint=path)
    before = path.read_bytes()

    def full_disk(state, file):
        file.write(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(OSError, match="no space left"):
        training._save(path, {}, np.random.default_rng(0), {}, [], 0, 0.0)
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_a_checkpoint_executes_nothing(tmp_path):
    torch.save({"records": FixedTable(np.eye(2))}, tmp_path / "run.pt")  # an object, not data
    with pytest.raises(Exception, match=r"Weights only load failed"):
        train(7, checkpoint=tmp_path / "run.pt")


def test_evaluate_and_shift(rng):
    one, (inputs, targets) = model(), TASKS["reverse"].sample(rng, 50, 6, 4)
    score = evaluate(one, inputs, targets)
    right = one(torch.from_numpy(inputs)).argmax(-1).numpy() == targets
    assert score["accuracy"] == right.mean()
    assert evaluate(one, inputs, targets, shift=0) == score != evaluate(one, inputs, targets, shift=40)
    blind = model(encoding="nope")
    assert evaluate(blind, inputs, targets, shift=40) == evaluate(blind, inputs, targets)


def test_only_asked_positions_count(rng):
    inputs, targets = TASKS["retrieve"].sample(rng, 40, 6, 4)
    one = model(task="retrieve")
    logits = one(torch.from_numpy(inputs))[:, 0]
    expected = torch.nn.functional.cross_entropy(logits, torch.from_numpy(targets[:, 0])).item()
    assert evaluate(one, inputs, targets)["loss"] == pytest.approx(expected, abs=1e-6)


def test_weights_do_not_depend_on_the_encoding():
    blind, learned = model(3, encoding="nope").state_dict(), model(3, encoding="learned").state_dict()
    table = learned.pop("encoding.table")
    assert blind.keys() == learned.keys() and all(torch.equal(blind[name], learned[name]) for name in blind)
    other = model(4, encoding="learned").state_dict()
    assert not torch.equal(other["token"], blind["token"]) and not torch.equal(other["encoding.table"], table)
    numbers = [one.flatten()[:64] for one in (table, blind["token"])]  # drawn apart, not from one stream twice
    assert abs(torch.corrcoef(torch.stack(numbers))[0, 1]) < 0.5


def test_trial_is_the_same_run():
    records = trial("reverse", "sinusoidal", 3, sizes=SIZES, **SETTINGS)
    assert numbers(records) == numbers(train(3))
    table = FixedTable(sinusoidal(np.arange(6), 16))
    same = trial("reverse", table, 3, sizes=SIZES, labels={"encoding": "by table"}, **SETTINGS)
    np.testing.assert_allclose(numbers(same), numbers(records), rtol=0, atol=1e-6)
    assert same[0]["encoding"] == "by table"
    other = trial("reverse", "sinusoidal", 3, sizes=SIZES, options={"base": 9.0}, **SETTINGS)
    assert numbers(other)[0] != numbers(records)[0]


def test_trials_are_trials_side_by_side():
    jobs = [dict(task="reverse", encoding=name, seed=3, sizes=SIZES, **SETTINGS) for name in ("nope", "sinusoidal")]
    assert [numbers(one) for one in trials(jobs)] == [numbers(trial(**job)) for job in jobs]


def test_the_processes_of_trials_end_with_their_parent(tmp_path):
    text = "from pe_lib.training import trials\n"
    text += "if __name__ == '__main__':\n    trials([dict(task='reverse', encoding='nope', seed=0, steps=10**6)])\n"
    (tmp_path / "long.py").write_text(text)
    with subprocess.Popen([sys.executable, tmp_path / "long.py"], start_new_session=True) as parent:
        time.sleep(8)  # by then they train
        parent.kill()
    for _ in range(100):
        try:
            os.killpg(parent.pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    os.killpg(parent.pid, signal.SIGKILL)
    pytest.fail("processes were left behind")


def test_summary():
    numbers = [("b", 0, 1, 0.2), ("b", 0, 2, 0.4), ("a", 0, 1, 1.0)]
    records = [dict(zip(("encoding", "step", "seed", "accuracy"), one, strict=True)) for one in numbers]
    expected = [["b", 0, pytest.approx(0.3), 0.2, 0.4, 2], ["a", 0, 1.0, 1.0, 1.0, 1]]
    assert summary(records).to_numpy().tolist() == expected
    assert list(summary(records)) == ["encoding", "step", "mean", "low", "high", "seeds"]
    assert len(summary([one | {"std": None if one["encoding"] == "a" else 0.1} for one in records], ("std",))) == 2
    with pytest.raises(ValueError, match="by must tell the records of a seed apart, got step"):
        summary(records, by=("step",))


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: train(steps=0), ValueError, "steps must be a whole number >= 1, got 0"),
        (lambda: train(batch=0), ValueError, "batch must be a whole number >= 1, got 0"),
        (lambda: train(eval_every=2.5), TypeError, "eval_every must be a whole number >= 1, got 2.5"),
        (lambda: train(lr=0), ValueError, "lr must be a finite number > 0, got 0"),
        (lambda: train(vocab=9), ValueError, "model must have vocab >= 9 for this task, got 4"),
        (lambda: train(labels={"loss": 1, "seed": 2}), ValueError, "holds already, got loss, seed"),
        (lambda: trial("reverse", FixedTable(np.eye(64)), 0, options={"base": 9.0}), TypeError, "and no options"),
        (lambda: trial("reverse", 5, 0), TypeError, "encoding must be a name, or a PositionEncoding"),
        (lambda: trial("reverse", "nope", 0, options={"base": 9.0}), TypeError, "encoding nope has no such option"),
        (lambda: trial("revers", "nope", 0), ValueError, "task must be one of reverse"),
        (lambda: trial("reverse", "nop", 0), ValueError, "encoding must be one of nope"),
        (lambda: trial("reverse", "nope", -1), ValueError, "seed must be a whole number >= 0, got -1"),
        (lambda: config_for("reverse", 6, 4, n_head=5), ValueError, "multiple of n_head"),
        (lambda: evaluate(model(), np.zeros((1, 6), int), np.full((1, 6), -1)), ValueError, "at least one position"),
    ],
)
def test_bad_input(call, error, says):
    with pytest.raises(error) as raised:
        call()
    assert says in str(raised.value)


def test_a_loss_that_is_not_a_number_stops_the_run():
    one = model()
    with torch.no_grad():
        one.token.fill_(torch.nan)
    with pytest.raises(FloatingPointError, match="loss is nan"):
        fit(one, TASKS["reverse"], np.random.default_rng(0), **SETTINGS)
