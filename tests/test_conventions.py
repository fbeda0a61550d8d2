"""Conventions of well-known code: published values, their fields, converting between them, and bad input."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pe_lib import DATA
from pe_lib.conventions import CONVENTIONS, Convention, GridConvention, convert
from pe_lib.sinusoidal import LAYOUTS, SCHEDULES, sinusoidal

GOLDEN = json.loads((Path(__file__).parent / "golden.json").read_text())
GOLDEN = [entry for entry in GOLDEN if "convention" in entry]


@pytest.mark.parametrize("entry", GOLDEN, ids=lambda entry: entry["id"])
def test_golden(entry):
    """Published values, and those of 50 digits: every convention that they speak of, to the tolerance stated."""
    convention, d_model = CONVENTIONS[entry["convention"]], entry["d_model"]
    if "grid" in entry:
        got = convention.table(tuple(entry["grid"]), d_model)
    else:  # the positions are not always consecutive
        got = np.concatenate([replace(convention, offset=float(p)).table(1, d_model) for p in entry["pos"]])
    np.testing.assert_allclose(got, entry["values"], rtol=0, atol=entry["tolerance"])


# Conventions


def test_a_convention_is_the_formula_with_its_fields():
    one = Convention("halves", "tensor2tensor", 500.0, "zero_column", 2.0, 0.5, step=-1.0)
    how = {"schedule": "tensor2tensor", "layout": "halves", "odd": "zero_column"}
    np.testing.assert_array_equal(one.table(6, 7), 0.5 * sinusoidal(2.0 - np.arange(6), 7, 500.0, **how))
    scaled = Convention(scale="d_model**-0.5")
    np.testing.assert_array_equal(scaled.table(6, 16), sinusoidal(np.arange(6), 16) / 4)


def test_a_grid_is_two_tables_side_by_side():
    table = GridConvention().table((2, 3), 8).reshape(2, 3, 8)
    halves = sinusoidal(np.arange(3), 4, layout="halves")
    for h in range(2):
        for w in range(3):
            np.testing.assert_array_equal(table[h, w], np.r_[halves[w], halves[h]])


@pytest.mark.parametrize("name", [name for name, one in CONVENTIONS.items() if isinstance(one, Convention)])
def test_every_field_of_a_convention_matters(name):
    one = CONVENTIONS[name]
    changed = {"layout": "halves" if one.layout != "halves" else "interleaved", "base": 999.0, "offset": 7.0}
    changed |= {"schedule": "paper" if one.schedule != "paper" else "tensor2tensor", "scale": 3.0, "step": 2.0}
    for field, value in changed.items():
        assert np.abs(replace(one, **{field: value}).table(9, 8) - one.table(9, 8)).max() > 1e-3, field


def test_the_registry_says_all_of_every_convention():
    with open(DATA / "conventions.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == list(CONVENTIONS)
    for row in rows:
        grid = isinstance(CONVENTIONS[row["name"]], GridConvention)
        assert all(row[column] for column in row if not (grid and column in ("offset", "scale", "step"))), row
        assert CONVENTIONS[row["name"]].source == row["source"]


@pytest.mark.parametrize(
    "make, says",
    [
        (lambda: Convention(layout="rows"), "layout must be one of"),
        (lambda: Convention(base=1.0), "base must be a finite number > 1, got 1.0"),
        (lambda: Convention(scale="half"), "scale must be one of d_model\\*\\*-0.5, got 'half'"),
        (lambda: Convention(step=0.0), "step must not be 0"),
        (lambda: Convention(scale=0.0), "scale must not be 0"),
        (lambda: GridConvention(("sin w", "cos w", "sin h", "sin h")), "blocks must be sin w, cos w, sin h"),
        (lambda: GridConvention().table((2, 2), 6), "d_model must be a multiple of 4, got 6"),
        (lambda: convert(np.ones((3, 4)), "papers", "paper"), "source must be one of paper, tensor2tensor"),
        (lambda: convert(np.ones((3, 4)), "paper", "mae"), "target must encode as many coordinates"),
        (lambda: convert(np.ones((3, 5)), "paper", "paper"), "d_model must be an even number >= 2, got 5"),
        (lambda: convert(np.ones(5), "paper", "paper"), "table must have 2 axes"),
        (lambda: convert(np.ones((3, 6)), "mae", "timm"), "table must have a multiple of 4 columns, got 6"),
    ],
)
def test_bad_conventions(make, says):
    with pytest.raises(ValueError, match=says):
        make()


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
    got = convert(source.table(11, d_model), source, target)
    np.testing.assert_allclose(got, target.table(11, d_model), rtol=0, atol=1e-12)


def test_conversion_to_another_layout_moves_columns_and_nothing_else(rng):
    trained = rng.normal(size=(7, 10))
    moved = convert(trained, "paper", "marian")
    np.testing.assert_array_equal(moved, trained[:, [0, 2, 4, 6, 8, 1, 3, 5, 7, 9]])
    np.testing.assert_array_equal(convert(moved, "marian", "paper"), trained)
    grid = rng.normal(size=(6, 8))
    np.testing.assert_array_equal(convert(grid, "mae", "timm"), grid[:, [4, 5, 0, 1, 6, 7, 2, 3]])


@pytest.mark.parametrize("d_model", [5, 8])
def test_well_known_conversions(d_model):
    made = {name: one.table(9, d_model) for name, one in CONVENTIONS.items()
            if isinstance(one, Convention) and (d_model == 8 or one.odd != "error")}  # fmt: skip
    done = 0
    for a in made:
        for b in made:
            try:
                got = convert(made[a], a, b)
            except ValueError as error:
                assert "other frequencies" in str(error) or "was cut off" in str(error)
                assert not np.allclose(made[a], made[b])
                continue
            np.testing.assert_allclose(got, made[b], rtol=0, atol=1e-12)
            done += 1
    assert done > len(made)


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
    convert(CONVENTIONS["paper"].table(5, 2), "paper", "tensor2tensor")  # one pair: the same frequency
    cut = Convention(odd="truncate")
    moved = replace(cut, offset=3.0)
    with pytest.raises(ValueError, match="source has no cosine of pair 2, which target needs"):
        convert(cut.table(5, 5), cut, moved)
    cos_first = Convention("halves_cos_first", odd="truncate")
    with pytest.raises(ValueError, match="source has no sine of pair 2, which target needs"):
        convert(cos_first.table(5, 5), cos_first, cut)
