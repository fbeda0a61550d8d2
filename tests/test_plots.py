"""Figures, tested by what they contain: data, limits, labels, colours."""

import itertools

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import rgb_to_hsv, to_hex, to_rgb

from pe_lib import plots
from pe_lib.controls import CONTROLS
from pe_lib.encodings import ENCODINGS
from pe_lib.sinusoidal import sinusoidal


@pytest.fixture
def ax():
    with plt.style.context("pe_lib.style"):
        figure, axes = plt.subplots()
        yield axes
        figure.canvas.draw()  # whatever cannot be drawn fails here
        plt.close(figure)


def test_every_encoding_and_reading_has_its_own_look():
    assert {*ENCODINGS, *CONTROLS} <= set(plots.LOOK)
    dashed_alike = {}
    for colour, dashes in plots.LOOK.values():
        dashed_alike.setdefault(str(dashes), []).append(np.array(to_rgb(colour)))
    for colours in dashed_alike.values():
        assert all(np.linalg.norm(one - other) > 0.25 for one, other in itertools.combinations(colours, 2))


@pytest.mark.parametrize("n", [6, 14])
def test_a_family_may_grow(monkeypatch, n):
    """The looks of many members are there, and no two alike."""
    names = [f"member_{member}" for member in range(n)]
    monkeypatch.setattr(plots, "families", lambda: {"turning": names})
    looks = plots._looks()
    assert list(looks) == names and len(set(map(str, looks.values()))) == n


def test_families_are_the_modules_of_the_classes():
    expected = {}
    for name, encoding in ENCODINGS.items():
        expected.setdefault(encoding.__module__.rpartition(".")[2], []).append(name)
    assert plots.families() == expected
    for family, names in expected.items():
        assert plots.LOOK[names[0]][0] == plots.FAMILY[family]
        colours = [rgb_to_hsv(to_rgb(plots.LOOK[name][0])) for name in names]
        assert len({str(plots.LOOK[name][1]) for name in names}) == len(names)
        np.testing.assert_allclose([hue for hue, _, _ in colours], colours[0][0], atol=0.01)  # only darker
        assert all(value <= colours[0][2] for _, _, value in colours)


def test_table_is_signed_and_white_at_zero(ax):
    values = 0.5 * sinusoidal(np.arange(5), 8) + 0.1
    assert plots.table(ax, values, title="t") is ax
    image = ax.images[0]
    np.testing.assert_array_equal(image.get_array(), values)
    assert image.get_clim() == (-values.max(), values.max()) and image.get_cmap().name == "RdBu_r"
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title("left")) == ("column", "position (token)", "t")


def test_matrix(ax):
    plots.matrix(ax, [[0.1, 0.9], [0.2, 0.8]], ticks=[1, 0])
    assert ax.images[0].get_clim() == (0, 0.9)
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["1", "0"]


def test_lines_keep_the_look_of_their_name(ax):
    name = next(name for name, (_, dashes) in plots.LOOK.items() if dashes == "-.")
    plots.lines(ax, [0, 1], {name: [2, 3], "another": [4, 5]}, xlabel="x", ylabel="y")
    known, other = ax.lines
    assert to_hex(known.get_color()).upper() == plots.LOOK[name][0] and known.get_linestyle() == "-."
    assert list(known.get_ydata()) == [2, 3] and [line.get_label() for line in ax.lines] == [name, "another"]
    assert other.get_linestyle() != "-"


def test_kernel(ax):
    share = np.array([1.0, 0.5, 0.6])
    plots.kernel(ax, np.arange(3), share, np.array([False, False, True]), 0.9 * share)
    line, limit, dots, _ = ax.lines
    assert (line.get_ydata() == share).all()
    assert (limit.get_ydata() == 0.9 * share).all() and dots.get_xdata().tolist() == [2]


def test_clocks_point_up_at_zero_and_turn_clockwise(ax):
    plots.clocks(ax, [[0.0, 0.0], [np.pi / 2, 0.1]], labels=["a", "b"])
    hands = [line for line in ax.lines if len(line.get_xdata()) == 2]
    ends = [(line.get_xdata()[1], line.get_ydata()[1]) for line in hands[:2]]
    np.testing.assert_allclose(ends, [(0, 1), (1, 0)], atol=1e-12)
    assert [text.get_text() for text in ax.texts] == ["a", "b"]


def test_curves_show_mean_band_and_ceiling(ax):
    rows = [("nope", 0, 0.1, 0.0, 0.2), ("nope", 10, 0.3, 0.2, 0.4), ("sinusoidal", 0, 0.1, 0.1, 0.1)]
    plots.curves(ax, pd.DataFrame(rows, columns=["encoding", "step", "mean", "low", "high"]), ceiling=0.24)
    assert ax.lines[0].get_ydata().tolist() == [0.1, 0.3] and len(ax.collections) == 2
    assert set(ax.lines[-1].get_ydata()) == {0.24}
    assert ax.get_legend_handles_labels()[1] == ["nope", "sinusoidal", "ceiling without order"]


def test_seeds_show_every_seed(ax):
    plots.seeds(ax, {"nope": (0.5, [0.4, 0.6]), "column": (1.0, [1.0])}, xlabel="accuracy")
    assert ax.lines[0].get_xdata().tolist() == [0.4, 0.6] and list(ax.lines[1].get_xdata()) == [0.5, 0.5]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["nope", "column"]


def test_dots(ax):
    plots.dots(ax, {1: 0.5, 3: 0.25}, xlabel="layers", ylabel="change")
    assert ax.lines[0].get_ydata().tolist() == [0.5, 0.25]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["1", "3"]


def test_by_length_shades_what_was_trained(ax):
    values = np.array([[1.0, 2.0, 4.0], [3.0, 2.0, 6.0]])  # two seeds
    assert plots.by_length(ax, [16, 32, 64], {"rope": values}, 16, ylabel="loss") is ax
    (line,) = ax.lines
    assert line.get_ydata().tolist() == [2, 2, 5] and to_hex(line.get_color()).upper() == plots.LOOK["rope"][0]
    band = ax.collections[0].get_paths()[0].vertices
    assert band[:, 1].min() == 1 and band[:, 1].max() == 6
    (shade,) = ax.patches
    assert shade.get_x() + shade.get_width() == 16 and ax.get_xscale() == "log"
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["16", "32", "64"]
