"""Conventions of well-known code: published values, their fields, converting between them, and bad input."""

import csv
import itertools
import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pe_lib import DATA
from pe_lib.conventions import CONVENTIONS, Convention, GridConvention, convert
from pe_lib.sinusoidal import LAYOUTS, ODD, SCHEDULES, sinusoidal

GOLDEN = json.loads((Path(__file__).parent / "golden.json").read_text())
GOLDEN = [entry for entry in GOLDEN if "convention" in entry]
LINES = [name for name, convention in CONVENTIONS.items() if isinstance(convention, Convention)]


@pytest.mark.parametrize("entry", GOLDEN, ids=lambda entry: entry["id"])
def test_golden(entry):
    """Published values, and those of 50 digits: every convention that they speak of, to the tolerance stated."""
    convention, d_model = CONVENTIONS[entry["convention"]], entry["d_model"]
    if "grid" in entry:
        table = convention.table(tuple(entry["grid"]), d_model)
    else:  # the positions are not always consecutive
        table = np.concatenate([replace(convention, offset=float(p)).table(1, d_model) for p in entry["pos"]])
    np.testing.assert_allclose(table, entry["values"], rtol=0, atol=entry["tolerance"])


# Conventions


def test_a_convention_is_the_formula_with_its_fields():
    convention = Convention("halves", "tensor2tensor", 500.0, "zero_column", 2.0, 0.5, step=-1.0)
    options = {"schedule": "tensor2tensor", "layout": "halves", "odd": "zero_column"}
    expected = 0.5 * sinusoidal(2.0 - np.arange(6), 7, 500.0, **options)
    np.testing.assert_array_equal(convention.table(6, 7), expected)
    scaled = Convention(scale="d_model**-0.5")
    np.testing.assert_array_equal(scaled.table(6, 16), sinusoidal(np.arange(6), 16) / 4)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("base", [10_000.0, 70.0])
def test_a_grid_is_two_tables_side_by_side(schedule, base):
    grid = GridConvention(schedule=schedule, base=base)
    table = grid.table((2, 3), 8).reshape(2, 3, 8)
    halves = sinusoidal(np.arange(3), 4, base, schedule=schedule, layout="halves")
    for h in range(2):
        for w in range(3):
            np.testing.assert_array_equal(table[h, w], np.r_[halves[w], halves[h]])


@pytest.mark.parametrize("name", LINES)
def test_every_field_of_a_convention_matters(name):
    convention = CONVENTIONS[name]
    changes = {
        "layout": "interleaved" if convention.layout == "halves" else "halves",
        "schedule": "tensor2tensor" if convention.schedule == "paper" else "paper",
        "base": 999.0,
        "offset": 7.0,
        "scale": 3.0,
        "step": 2.0,
    }
    for field, value in changes.items():
        changed = replace(convention, **{field: value})
        assert np.abs(changed.table(9, 8) - convention.table(9, 8)).max() > 1e-3, field
        assert changed != convention, field


def test_the_way_to_make_an_odd_width_matters():
    tables = [Convention(odd=odd).table(9, 7) for odd in ODD if odd != "error"]
    for a, b in itertools.combinations(tables, 2):
        assert np.abs(a - b).max() > 1e-3


def test_every_field_of_a_grid_matters():
    grid = GridConvention()
    for changes in ({"blocks": grid.blocks[::-1]}, {"schedule": "tensor2tensor"}, {"base": 999.0}):
        assert np.abs(replace(grid, **changes).table((3, 4), 8) - grid.table((3, 4), 8)).max() > 1e-3, changes


def test_a_source_is_no_part_of_what_is_compared():
    assert Convention(source="somebody") == Convention() and "somebody" not in repr(Convention(source="somebody"))
    assert GridConvention(source="somebody") == GridConvention()


def test_the_registry_says_all_of_every_convention():
    with open(DATA / "conventions.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == list(CONVENTIONS)
    for row in rows:
        grid = isinstance(CONVENTIONS[row["name"]], GridConvention)
        assert all(row[column] for column in row if not (grid and column in ("offset", "scale", "step"))), row
        convention = CONVENTIONS[row["name"]]
        assert convention.source == row["source"]
        assert convention.base == float(row["base"])
        assert convention.schedule == row["schedule"]
        if grid:
            assert ", ".join(convention.blocks) == row["layout"]
            continue
        assert (convention.layout, convention.odd) == (row["layout"], row["odd"])
        assert (convention.offset, convention.step) == (float(row["offset"]), float(row["step"]))
        assert convention.scale == row["scale"] or convention.scale == float(row["scale"])


def ones(n_column):
    return np.ones((3, n_column))


@pytest.mark.parametrize(
    ("call", "says"),
    [
        pytest.param(partial(Convention, layout="rows"), "layout must be one of", id="layout"),
        pytest.param(partial(Convention, schedule="linear"), "schedule must be one of", id="schedule"),
        pytest.param(partial(Convention, odd="pad"), "odd must be one of", id="odd"),
        pytest.param(partial(Convention, base=1.0), "base must be a finite number > 1, got 1.0", id="base"),
        pytest.param(partial(Convention, offset=np.nan), "offset must be a finite number, got nan", id="offset"),
        pytest.param(
            partial(Convention, scale="half"), r"scale must be one of d_model\*\*-0.5, got 'half'", id="scale"
        ),
        pytest.param(partial(Convention, scale=0.0), "scale must not be 0", id="scale 0"),
        pytest.param(partial(Convention, step=0.0), "step must not be 0", id="step 0"),
        pytest.param(partial(Convention, step=np.inf), "step must be a finite number, got inf", id="step inf"),
        pytest.param(partial(Convention().table, 0, 8), "n must be a whole number >= 1, got 0", id="no rows"),
        pytest.param(partial(Convention().table, 3, 7), "d_model must be an even number >= 2, got 7", id="odd width"),
        pytest.param(
            partial(GridConvention, ("sin w", "cos w", "sin h", "sin h")), "blocks must be sin w, cos w", id="blocks"
        ),
        pytest.param(partial(GridConvention, base=1.0), "base must be a finite number > 1", id="grid base"),
        pytest.param(partial(GridConvention, schedule="x"), "schedule must be one of", id="grid schedule"),
        pytest.param(
            partial(GridConvention().table, (2, 2), 6), "d_model must be a multiple of 4, got 6", id="grid width"
        ),
        pytest.param(partial(GridConvention().table, (2, 0), 8), "n must be a whole number >= 1", id="grid columns"),
        pytest.param(partial(GridConvention().table, (0, 2), 8), "n must be a whole number >= 1", id="grid rows"),
        pytest.param(
            partial(convert, ones(4), "papers", "paper"), "source must be one of paper, tensor2tensor", id="source"
        ),
        pytest.param(
            partial(convert, ones(4), "paper", "papers"), "target must be one of paper, tensor2tensor", id="target"
        ),
        pytest.param(partial(convert, ones(4), "paper", "mae"), "target must encode as many", id="line to grid"),
        pytest.param(partial(convert, ones(4), "mae", "paper"), "target must encode as many", id="grid to line"),
        pytest.param(
            partial(convert, ones(5), "paper", "paper"),
            "number of columns of table must be an even number >= 2",
            id="columns",
        ),
        pytest.param(partial(convert, np.ones(5), "paper", "paper"), "table must have 2 axes", id="axes"),
        pytest.param(
            partial(convert, ones(6), "mae", "timm"),
            "table must have a multiple of 4 columns, got 6",
            id="grid of 6 columns",
        ),
        pytest.param(
            partial(convert, ones(4), GridConvention(base=9.0), GridConvention()),
            "other frequencies",
            id="grid bases",
        ),
        pytest.param(
            partial(convert, ones(4), GridConvention(schedule="tensor2tensor"), GridConvention()),
            "other frequencies",
            id="grid schedules",
        ),
    ],
)
def test_bad_conventions(call, says):
    with pytest.raises(ValueError, match=says):
        call()


# Conversion


@settings(max_examples=200, deadline=None)
@given(
    layouts=st.tuples(st.sampled_from(LAYOUTS), st.sampled_from(LAYOUTS)),
    offsets=st.tuples(st.integers(-50, 50), st.integers(-50, 50)),
    scales=st.tuples(st.sampled_from([1.0, 0.3, "d_model**-0.5"]), st.sampled_from([1.0, -2.0])),
    steps=st.sampled_from([(1.0, 1.0), (1.0, -1.0), (0.5, 2.0)]),
    schedule=st.sampled_from(SCHEDULES),
    d_model=st.integers(1, 20).map(lambda pairs: 2 * pairs),
)
def test_conversion_is_what_the_target_makes(layouts, offsets, scales, steps, schedule, d_model):
    source, target = (
        Convention(layout, schedule, 700.0, "error", float(offset), scale, step=step)
        for layout, offset, scale, step in zip(layouts, offsets, scales, steps, strict=True)
    )
    converted = convert(source.table(11, d_model), source, target)
    np.testing.assert_allclose(converted, target.table(11, d_model), rtol=0, atol=1e-12)


def test_conversion_to_another_layout_moves_columns_and_nothing_else(rng):
    trained = rng.normal(size=(7, 10))
    moved = convert(trained, "paper", "marian")
    np.testing.assert_array_equal(moved, trained[:, [0, 2, 4, 6, 8, 1, 3, 5, 7, 9]])
    np.testing.assert_array_equal(convert(moved, "marian", "paper"), trained)
    grid = rng.normal(size=(6, 8))
    np.testing.assert_array_equal(convert(grid, "mae", "timm"), grid[:, [4, 5, 0, 1, 6, 7, 2, 3]])


@pytest.mark.parametrize("d_model", [5, 8])
def test_well_known_conversions(d_model):
    names = [name for name in LINES if d_model == 8 or CONVENTIONS[name].odd != "error"]
    tables = {name: CONVENTIONS[name].table(9, d_model) for name in names}
    n_converted = 0
    for source, target in itertools.product(names, repeat=2):
        try:
            converted = convert(tables[source], source, target)
        except ValueError as error:
            assert "other frequencies" in str(error) or "was cut off" in str(error)
            assert not np.allclose(tables[source], tables[target])
            continue
        np.testing.assert_allclose(converted, tables[target], rtol=0, atol=1e-12)
        n_converted += 1
    assert n_converted > len(names)


def test_a_trained_last_column_is_kept(rng):
    trained = rng.normal(size=(6, 5))
    np.testing.assert_array_equal(convert(trained, "ddpm", "ddpm"), trained)
    np.testing.assert_array_equal(convert(trained, "ddpm", "musicgen")[:, -1], trained[:, -1])


def test_grids_are_asked_for_by_two_sizes():
    for n in (9, (2, 2, 2)):
        with pytest.raises(TypeError, match="n must be"):
            GridConvention().table(n, 8)
    assert GridConvention(["sin w", "cos w", "sin h", "cos h"]).blocks == CONVENTIONS["mae"].blocks


def test_conversion_says_what_is_missing():
    with pytest.raises(ValueError, match="other frequencies than source"):
        convert(CONVENTIONS["paper"].table(5, 8), "paper", "tensor2tensor")
    with pytest.raises(ValueError, match="other frequencies than source"):
        convert(CONVENTIONS["paper"].table(5, 8), "paper", Convention(base=10_001.0))
    convert(CONVENTIONS["paper"].table(5, 2), "paper", "tensor2tensor")  # one pair: the same frequency
    cut = Convention(odd="truncate")
    moved = replace(cut, offset=3.0)
    with pytest.raises(ValueError, match="source has no cosine of pair 2, which target needs"):
        convert(cut.table(5, 5), cut, moved)
    cos_first = Convention("halves_cos_first", odd="truncate")
    with pytest.raises(ValueError, match="source has no sine of pair 2, which target needs"):
        convert(cos_first.table(5, 5), cos_first, cut)
