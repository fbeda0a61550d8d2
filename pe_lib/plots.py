"""Figures: each function draws what it is given on the given Axes and returns them; nothing is computed here.

Colour says the family of an encoding (Okabe-Ito), its darkness and the dashes which member it is, the same in every
figure.  Use with ``plt.style.use("pe_lib.style")``.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pe_lib import check
from pe_lib.check import Floats

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

BLACK, BLUE, GREEN, SKY, ORANGE, PURPLE, VERMILLION = (
    "#000000",
    "#0072B2",
    "#009E73",
    "#56B4E9",
    "#E69F00",
    "#CC79A7",
    "#D55E00",
)
FAMILY = {
    "base": BLACK,
    "added": BLUE,
    "positions": SKY,
    "turning": GREEN,
    "distance": ORANGE,
    "content": PURPLE,
}
# The first member of a family is drawn through, in its colour; the others are broken, and darker by turns.
BROKEN: tuple[Any, ...] = (
    "--",
    "-.",
    ":",
    (0, (5, 1, 1, 1, 1, 1)),
    (0, (8, 2)),
    (0, (2, 1)),
    (0, (8, 2, 2, 2)),
)
LIGHT = (1.0, 0.7, 0.4)


def families() -> dict[str, list[str]]:
    """Family -> names of its encodings: the modules of `pe_lib.encodings`, in the order of its registry.

    They are read from the source, because importing it would load torch.
    """
    source = Path(__file__).parent / "encodings" / "__init__.py"
    module_of: dict[str, str] = {}
    members: dict[str, list[str]] = {}
    for node in ast.parse(source.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.module:
            module_of |= {name.name: node.module.rpartition(".")[2] for name in node.names}
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "ENCODINGS":
            assert isinstance(node.value, ast.Dict)
            for key, value in zip(node.value.keys, node.value.values, strict=True):
                family = members.setdefault(module_of[ast.unparse(value)], [])
                assert isinstance(key, ast.Constant)
                family.append(str(key.value))
    return members


def _looks() -> dict[str, tuple[str, Any]]:
    """Colour and dashes of each encoding."""
    looks = {}
    for place, (family, names) in enumerate(families().items()):
        for member, name in enumerate(names):
            # Families begin at other dashes, so that dark members of two of them are not dashed alike.
            dashes = BROKEN[(3 * place + member) % len(BROKEN)] if member else "-"
            looks[name] = _darker(FAMILY[family], LIGHT[member % len(LIGHT)]), dashes
    return looks


def _darker(colour: str, light: float) -> str:
    """The colour "#RRGGBB" with a share of its light."""
    channels = [int(colour[place : place + 2], 16) for place in (1, 3, 5)]
    return "#" + "".join(f"{round(light * channel):02X}" for channel in channels)


# name -> colour, dashes: the encodings, and the tables that they are compared with
LOOK: dict[str, tuple[str, Any]] = _looks() | {
    "column": (VERMILLION, "--"),
    "doubled": (PURPLE, (0, (4, 1, 1, 1))),
    "unpaired": (GREEN, (0, (3, 1, 1, 1, 1, 1))),
    "tensor2tensor": (SKY, (0, (3, 1))),
    "moving": (SKY, (0, (6, 1, 1, 1))),
    "centred": (SKY, "--"),
    "divided": (VERMILLION, "-."),
    "shuffled": (SKY, ":"),
    "sine_only": (PURPLE, (0, (4, 2))),
    "random": (VERMILLION, "-"),
}


def table(ax: Axes, values: ArrayLike, *, title: str = "") -> Axes:
    """Heat map of a position table.  values (t, d): a row a position, a column a column; white is zero."""
    values = _array("values", values, t=None, d=None)
    limit = np.abs(values).max() or 1.0
    ax.imshow(values, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto")
    ax.set(xlabel="column", ylabel="position (token)", title=title)
    return ax


def matrix(
    ax: Axes,
    values: ArrayLike,
    *,
    title: str = "",
    xlabel: str = "key",
    ylabel: str = "query",
    ticks: Sequence[Any] | None = None,
) -> Axes:
    """Heat map of a matrix of positive values, square cells; dark is 0, bright their maximum.

    ticks: labels of the rows and of the columns, where the numbers 0, 1, 2 ... are not the right ones.
    """
    values = _array("values", values, rows=None, columns=None)
    image = ax.imshow(values, cmap="cividis", vmin=0)
    ax.figure.colorbar(image, ax=ax, shrink=0.7)
    ax.locator_params(integer=True)
    if ticks is not None:
        ax.set(xticks=range(len(ticks)), yticks=range(len(ticks)), xticklabels=ticks, yticklabels=ticks)
    ax.set(xlabel=xlabel, ylabel=ylabel, title=title)
    return ax


def dots(ax: Axes, named: Mapping[Any, float], *, xlabel: str, ylabel: str) -> Axes:
    """One dot a case.  named {case: value}"""
    values = list(_arrays(named).values())
    ax.plot(range(len(values)), values, "o", color="black")
    ax.set(xticks=range(len(named)), xticklabels=list(named), xlabel=xlabel, ylabel=ylabel)
    return ax


def lines(
    ax: Axes, x: ArrayLike, named: Mapping[str, ArrayLike], *, xlabel: str, ylabel: str, title: str = ""
) -> Axes:
    """One line a name, in the look of that name where it has one.  x (n,), named {name: (n,)}"""
    x = _array("x", x, n=None)
    for number, (name, y) in enumerate(_arrays(named, x=len(x)).items()):
        colour, dashes = _look(name, number)
        ax.plot(x, y, color=colour, linestyle=dashes, label=name)
    ax.set(xlabel=xlabel, ylabel=ylabel, title=title)
    return ax


def kernel(ax: Axes, distance: ArrayLike, share: ArrayLike, rises: NDArray[np.bool_], limit: ArrayLike) -> Axes:
    """The kernel against distance, where it rises, and its limit for a large d_model.  All (n,), rises a mask."""
    distance = _array("distance", distance, n=None)
    share = _array("share", share, distance=len(distance))
    limit = _array("limit", limit, distance=len(distance))
    if not isinstance(rises, np.ndarray) or rises.dtype != bool or rises.shape != distance.shape:
        raise TypeError(f"rises must be a mask of {len(distance)} booleans, got {check.short(rises)}")
    ax.plot(distance, share, color=BLUE, label="kernel / (d_model / 2)")
    ax.plot(distance, limit, color="black", linestyle="--", linewidth=1, label="limit for a large d_model")
    ax.plot(distance[rises], share[rises], ".", color=VERMILLION, markersize=2.5, label="larger than one step before")
    ax.axhline(0, color="0.7", linewidth=0.6)
    ax.set(xlabel="distance (tokens)", ylabel="share of its maximum")
    ax.legend()
    return ax


def clocks(ax: Axes, angles: ArrayLike, *, labels: Sequence[str], title: str = "") -> Axes:
    """A row of clock faces.  angles (t, n) radian: one face a column, one hand a row, later rows darker.

    The hand points to (sin, cos), so it stands upright at angle 0 and turns clockwise.
    """
    angles = _array("angles", angles, t=None, labels=len(labels))
    n_hand, n_clock = angles.shape
    around = np.linspace(0, 2 * np.pi, 100)
    for clock in range(n_clock):
        centre = 2.4 * clock
        ax.plot(centre + np.sin(around), np.cos(around), color="0.75", linewidth=0.8)
        for hand, angle in enumerate(angles[:, clock], start=1):
            ax.plot([centre, centre + np.sin(angle)], [0, np.cos(angle)], color=BLUE, alpha=hand / n_hand)
        ax.text(centre, -1.25, labels[clock], ha="center", va="top", fontsize=8)
    ax.set(title=title, aspect="equal", xlim=(-1.2, 2.4 * n_clock - 1.2), ylim=(-2.0, 1.2))
    ax.set_axis_off()
    return ax


def curves(ax: Axes, summary: pd.DataFrame, *, ceiling: float | None = None, title: str = "") -> Axes:
    """Accuracy against training step, a line an encoding, the band from the lowest to the highest seed.

    summary: columns encoding, step, mean, low, high (`collection.summary`).  ceiling: the best without order.
    """
    if not hasattr(summary, "groupby"):
        raise TypeError(f"summary must be a DataFrame, got {check.short(summary)}")
    for number, (name, rows) in enumerate(summary.groupby("encoding", sort=False)):
        colour, dashes = _look(name, number)
        ax.plot(rows["step"], rows["mean"], color=colour, linestyle=dashes, label=name)
        ax.fill_between(rows["step"], rows["low"], rows["high"], color=colour, alpha=0.2, linewidth=0)
    if ceiling is not None:
        ax.axhline(float(_array("ceiling", ceiling)), color=VERMILLION, linewidth=0.8, label="ceiling without order")
    ax.set(xlabel="training step", ylabel="accuracy", ylim=(-0.02, 1.04), title=title)
    return ax


def by_length(
    ax: Axes,
    lengths: ArrayLike,
    named: Mapping[str, ArrayLike],
    train_len: float,
    *,
    ylabel: str,
    title: str = "",
) -> Axes:
    """One line a name over lengths, the band from the lowest to the highest seed; what training saw is shaded.

    lengths (n,) tokens; named {name: (seeds, n)}
    """
    lengths = _array("lengths", lengths, n=None)
    train_len = check.between("train_len", train_len, 1, 1e100)
    if lengths.min() < 1:
        raise ValueError(f"lengths must be numbers >= 1, got {lengths.min():g}")
    for number, (name, values) in enumerate(_arrays(named, seeds=None, lengths=len(lengths)).items()):
        colour, dashes = _look(name, number)
        ax.plot(lengths, values.mean(axis=0), color=colour, linestyle=dashes, marker=".", label=name)
        ax.fill_between(lengths, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.2, linewidth=0)
    ax.set_xscale("log", base=2)
    ax.axvspan(min(lengths) / 1.15, train_len, color="0.92", zorder=0)
    ax.minorticks_off()
    ax.set(xticks=lengths, xticklabels=[f"{length:g}" for length in lengths], xlabel="length (tokens)")
    ax.set(xlim=(min(lengths) / 1.15, max(lengths) * 1.05), ylabel=ylabel, title=title)
    return ax


def seeds(ax: Axes, named: Mapping[str, tuple[float, Sequence[float]]], *, xlabel: str, title: str = "") -> Axes:
    """One row a name, one dot a seed, a bar at their mean.  named {name: (mean, values of the seeds)}"""
    for row, (name, pair) in enumerate(_entries(named)):
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise TypeError(f"named must hold pairs of a mean and the values of the seeds, got {check.short(pair)}")
        mean = check.real("named", pair[0])
        values = _array("named", pair[1], seeds=None)
        colour = _look(name, row)[0]
        ax.plot(values, np.full(len(values), row), "o", color=colour, alpha=0.7)
        ax.plot([mean, mean], [row - 0.3, row + 0.3], color=colour)
    ax.set(xlabel=xlabel, title=title, yticks=range(len(named)), yticklabels=list(named))
    ax.set_ylim(len(named) - 0.5, -0.5)
    return ax


def _arrays(named: Mapping[Any, ArrayLike], **lengths: int | None) -> dict[Any, Floats]:
    """The numbers under each name, with these axes."""
    return {name: _array("named", values, **lengths) for name, values in _entries(named)}


def _entries(named: Mapping[Any, Any]) -> Iterable[tuple[Any, Any]]:
    check.instance("named", named, Mapping)
    if not named:
        raise ValueError("named must have one entry or more, got none")
    return named.items()


def _array(name: str, values: ArrayLike, **lengths: int | None) -> Floats:
    """Numbers that can be drawn, with these axes; neither none nor so far that their margins overflow."""
    array = check.axes(name, values, **lengths)
    if not array.size or np.abs(array).max() > 1e100:
        raise ValueError(f"{name} must hold numbers from -1e100 to 1e100, got {check.short(values)}")
    return array


def _look(name: str, number: int) -> tuple[str, Any]:
    """Colour and dashes: those of the name, where a setting may follow after a colon, or the next of the cycle."""
    next_of_cycle = f"C{number}", ("-", "--", ":")[number % 3]
    return LOOK.get(name.partition(":")[0], next_of_cycle)
