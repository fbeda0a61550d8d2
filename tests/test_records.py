"""A sample of the kept records is run again; it must lie within what data/README.md says of them.

The first evaluation comes before any training and has the same digits on every machine.  Training amplifies rounding,
so the end is compared with the spread of the recorded seeds, widened by what other processors were seen to change.
"""

from pathlib import Path

import pytest

from pe_lib import collection, runs

pytestmark = pytest.mark.slow

EXPERIMENTS = Path(__file__).parent.parent / "notebooks" / "experiments"
ACCURACY, STEPS = 0.02, 50  # how far beyond the recorded seeds a run may end, and solve its task

FAMILY = {"task": "reverse", "n_layer": 2, "steps": 1000, "lr": 0.002, "eval_every": 1000}
# table of results, the experiment that made it, parameters of a run that is repeated
SAMPLE = [
    ("with_and_without", "train_once", {"encoding": "nope", "seed": 1}),
    ("controls", "controls", {"encoding": "sinusoidal", "seed": 0}),
    ("controls", "controls", {"encoding": "random", "seed": 3}),
    ("family_tasks", "train_once", FAMILY | {"encoding": "rope", "seed": 1}),
]


@pytest.fixture(scope="module")
def again(tmp_path_factory):
    jobs = [(EXPERIMENTS / f"{name}.ipynb", point) for _, name, point in SAMPLE]
    return runs.table(runs.run(jobs, tmp_path_factory.mktemp("again")))


def rows(table, **values):
    for name, value in values.items():
        table = table[table[name] == value]
    return table


@pytest.mark.parametrize(
    ("name", "experiment", "point"),
    SAMPLE,
    ids=lambda value: value.get("encoding") if isinstance(value, dict) else value,
)
def test_records_have_not_drifted(again, name, experiment, point):
    point = {"task": "reverse"} | point
    seed = point.pop("seed")
    recorded = rows(collection.read(name), **point)
    new, old = rows(again, seed=seed, **point), rows(recorded, seed=seed)
    assert len(new) == len(old) > 0
    if experiment == "controls":  # a row a run
        low, high = recorded.solved_at.min(), recorded.solved_at.max()
        assert low - STEPS <= new.solved_at.item() <= high + STEPS
    else:  # a row an evaluation
        assert new.step.iloc[0] == 0 and abs(new.loss.iloc[0] - old.loss.iloc[0]) < 1e-4
        recorded = recorded[recorded.step == recorded.steps]
    assert recorded.accuracy.min() - ACCURACY <= new.accuracy.iloc[-1] <= recorded.accuracy.max() + ACCURACY


def test_text_is_trained_at_the_best_rate_of_the_search():
    """A run that asks for rate 0 does not say which search it took it from."""
    search, text = collection.read("language_search"), collection.read("family_text")
    valid = search.pivot(index="encoding", columns="lr", values="valid")
    assert valid.notna().all(axis=None) and set(text.encoding) == set(valid.index)
    assert (text.peak_lr.to_numpy() == valid.idxmin(axis=1)[text.encoding].to_numpy()).all()
    assert (text.lr == 0).all() and not set(text.seed) & set(search.seed)
