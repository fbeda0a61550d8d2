"""The limits that the tutorials state are true.

Each tutorial is executed here in this process, without figures, at many points inside its limits: every check in it
must hold.  Just outside, its first cell after the parameters must refuse.
"""

import functools
import os
import re
import traceback
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
import torch

from pe_lib.runs import limits
from pe_lib.runs.notebook import read

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
TUTORIALS = sorted(NOTEBOOKS.glob("*.ipynb"))
SEED = 20170612  # of the points
POINTS = int(os.environ.get("POINTS", 40))  # of a notebook that takes at most 5 seconds; longer ones have a part
MOST_WORK = 100 * POINTS  # in steps of notebook 5, whose default has 600


@functools.cache
def code_cells(path):
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


@functools.cache
def stated(path):
    try:
        return read(path.read_text()).limits
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from None


def seconds(path):
    """What a notebook says that it takes."""
    return int(re.search(r"\*Time on two CPU cores:\* (\d+) seconds", path.read_text())[1])


def work(point):
    """What is to be trained, in steps of 16 tokens of 64 columns."""
    size = point.get("length", 1) * point.get("d_model", 1) / (16 * 64)
    return point.get("steps", 0) * len(point.get("seeds", [])) * max(1, size)


def named(path, point):
    """A point of a notebook, with an id that shows it."""
    shown = [f"{name}={value}" for name, value in point.items()]
    return pytest.param(path, point, id=",".join([path.stem, *shown]))


def points_inside():
    points = []
    for path in TUTORIALS:
        share = 1 if seconds(path) <= 5 else 4 if seconds(path) <= 15 else 20  # points take about 1, 5 and 30 seconds
        number = max(3, POINTS // share)
        drawn = limits.points(stated(path), np.random.default_rng(SEED), 4 * number)
        chosen = [point for point in drawn if work(point) <= MOST_WORK][:number]
        assert len(chosen) == number, f"{path.name}: too much work at most of its points"
        points += [named(path, point) for point in chosen]
    return points


def points_outside():
    points = []
    for path, name in parameters():
        drawn = limits.outside(stated(path), name, np.random.default_rng(SEED))
        points += [pytest.param(path, name, point, id=f"{path.stem},{name}={point[name]}") for point in drawn]
    return points


def parameters():
    return [(path, name) for path in TUTORIALS for name in stated(path)]


@pytest.fixture
def place(monkeypatch):
    """Goes to the folder of the notebooks, shows no figure, and puts back what a notebook may set."""
    monkeypatch.chdir(NOTEBOOKS)
    monkeypatch.setattr(plt, "show", lambda: plt.close("all"))
    generator, threads = torch.get_rng_state(), torch.get_num_threads()
    with matplotlib.rc_context({"backend": "agg"}), np.printoptions(), np.errstate():
        yield
    plt.close("all")
    torch.set_rng_state(generator)
    torch.set_num_threads(threads)


def execute(path, point, until=None):
    """Execute the code cells in one namespace, with other parameters; ``until`` counts those after the parameters."""
    namespace = {"__name__": "__main__"}
    cells = code_cells(path)
    tagged = next(place for place, cell in enumerate(cells) if "parameters" in cell.metadata.get("tags", []))
    for number, cell in enumerate(cells[: None if until is None else tagged + 1 + until]):
        exec(compile(cell.source, f"{path.stem}[{cell.id}]", "exec"), namespace)
        if number == tagged:
            namespace |= point


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_every_parameter_has_limits(path):
    assert list(stated(path)) == list(read(path.read_text()).defaults)


@pytest.mark.slow
@pytest.mark.parametrize(("path", "point"), points_inside())
def test_checks_hold_inside_the_limits(path, point, place):
    try:
        execute(path, point)
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        place = [frame for frame in frames if frame.filename.startswith(path.stem)][-1]
        pytest.fail(f"{place.filename}, line {place.lineno}: {type(error).__name__}: {error}")


@pytest.mark.parametrize(("path", "name", "point"), points_outside())
def test_the_first_cell_refuses_what_is_outside(path, name, point, place):
    with pytest.raises((TypeError, ValueError)) as caught:
        execute(path, point, until=1)
    assert re.search(rf"\b{name}\b", str(caught.value)) and "\n" not in str(caught.value)
