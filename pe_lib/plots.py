"""Figures: each function draws what it is given on the given Axes and returns them; nothing is computed here.

One encoding has one colour (Okabe-Ito) and one dash pattern in every figure.  Use with
``plt.style.use("pe_lib.style")``.
"""

import numpy as np
from matplotlib.axes import Axes

# name -> colour, dashes.  Relatives share a colour: added blue, turning green and sky, biases the others.
LOOK = {
    "nope": ("#000000", ":"),
    "sinusoidal": ("#0072B2", "-"),
    "scaled_sinusoidal": ("#0072B2", "--"),
    "learned": ("#E69F00", "--"),
    "randomised": ("#0072B2", "-."),
    "shape": ("#0072B2", (0, (5, 1, 1, 1, 1, 1))),
    "rope": ("#009E73", "--"),
    "partial_rope": ("#009E73", "-."),
    "p_rope": ("#009E73", ":"),
    "rope_nope": ("#009E73", (0, (8, 2))),
    "xpos": ("#56B4E9", "-"),
    "pope": ("#56B4E9", ":"),
    "alibi": ("#000000", "-"),
    "t5": ("#CC79A7", "-"),
    "kerple_log": ("#E69F00", "-"),
    "kerple_power": ("#E69F00", ":"),
    "sandwich": ("#D55E00", "-."),
    "fire": ("#D55E00", ":"),
    "shaw": ("#CC79A7", ":"),
    "transformer_xl": ("#CC79A7", (0, (5, 1, 1, 1, 1, 1))),
    "deberta": ("#000000", "-."),
    "cope": ("#000000", "--"),
    "column": ("#D55E00", "--"),
    "doubled": ("#CC79A7", "-."),
    "unpaired": ("#009E73", (0, (5, 1, 1, 1, 1, 1))),
    "tensor2tensor": ("#56B4E9", (0, (3, 1))),
    "divided": ("#56B4E9", "-."),
    "shuffled": ("#0072B2", ":"),
    "sine_only": ("#CC79A7", "--"),
    "random": ("#009E73", "-"),
}


def table(ax: Axes, values, *, title: str = "") -> Axes:
    """Heat map of a position table.  values (t, d): a row a position, a column a column; white is zero."""
    limit = np.abs(values).max() or 1.0
    ax.imshow(values, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto")
    ax.set(xlabel="column", ylabel="position (token)", title=title)
    return ax


def matrix(ax: Axes, values, *, title: str = "", xlabel: str = "key", ylabel: str = "query", ticks=None) -> Axes:
    """Heat map of a matrix of positive values, square cells; dark is 0, bright their maximum.

    ticks: labels of the rows and of the columns, where the numbers 0, 1, 2 ... are not the right ones.
    """
    image = ax.imshow(values, cmap="cividis", vmin=0)
    ax.figure.colorbar(image, ax=ax, shrink=0.7)
    ax.locator_params(integer=True)
    if ticks is not None:
        ax.set(xticks=range(len(ticks)), yticks=range(len(ticks)), xticklabels=ticks, yticklabels=ticks)
    ax.set(xlabel=xlabel, ylabel=ylabel, title=title)
    return ax


def dots(ax: Axes, named: dict, *, xlabel: str, ylabel: str) -> Axes:
    """One dot a case.  named {case: value}"""
    ax.plot(range(len(named)), list(named.values()), "o", color="black")
    ax.set(xticks=range(len(named)), xticklabels=list(named), xlabel=xlabel, ylabel=ylabel)
    return ax


def lines(ax: Axes, x, named: dict, *, xlabel: str, ylabel: str, title: str = "") -> Axes:
    """One line a name, in the look of that name where it has one.  x (n,), named {name: (n,)}"""
    for number, (name, y) in enumerate(named.items()):
        colour, dashes = _look(name, number)
        ax.plot(x, y, color=colour, linestyle=dashes, label=name)
    ax.set(xlabel=xlabel, ylabel=ylabel, title=title)
    return ax


def kernel(ax: Axes, distance, share, rises, limit) -> Axes:
    """The kernel against distance, where it rises, and its limit for a large d_model.  All (n,), rises a mask."""
    ax.plot(distance, share, color=LOOK["sinusoidal"][0], label="kernel / (d_model / 2)")
    ax.plot(distance, limit, color="black", linestyle="--", linewidth=1, label="limit for a large d_model")
    ax.plot(distance[rises], share[rises], ".", color="#D55E00", markersize=2.5, label="larger than one step before")
    ax.axhline(0, color="0.7", linewidth=0.6)
    ax.set(xlabel="distance (tokens)", ylabel="share of its maximum")
    ax.legend()
    return ax


def clocks(ax: Axes, angles, *, labels, title: str = "") -> Axes:
    """A row of clock faces.  angles (t, n) radian: one face a column, one hand a row, later rows darker.

    The hand points to (sin, cos), so it stands upright at angle 0 and turns clockwise.
    """
    n_hand, n_clock = np.shape(angles)
    turn = np.linspace(0, 2 * np.pi, 100)
    for c in range(n_clock):
        ax.plot(2.4 * c + np.sin(turn), np.cos(turn), color="0.75", linewidth=0.8)
        for h in range(n_hand):
            shade = (h + 1) / n_hand
            x, y = np.sin(angles[h][c]), np.cos(angles[h][c])
            ax.plot([2.4 * c, 2.4 * c + x], [0, y], color=LOOK["sinusoidal"][0], alpha=shade)
        ax.text(2.4 * c, -1.25, labels[c], ha="center", va="top", fontsize=8)
    ax.set(title=title, aspect="equal", xlim=(-1.2, 2.4 * n_clock - 1.2), ylim=(-2.0, 1.2))
    ax.set_axis_off()
    return ax


def curves(ax: Axes, summary, *, ceiling: float | None = None, title: str = "") -> Axes:
    """Accuracy against training step, a line an encoding, the band from the lowest to the highest seed.

    summary: columns encoding, step, mean, low, high (`training.summary`).  ceiling: the best without order.
    """
    for number, (name, one) in enumerate(summary.groupby("encoding", sort=False)):
        colour, dashes = _look(name, number)
        ax.plot(one["step"], one["mean"], color=colour, linestyle=dashes, label=name)
        ax.fill_between(one["step"], one["low"], one["high"], color=colour, alpha=0.2, linewidth=0)
    if ceiling is not None:
        ax.axhline(ceiling, color="#D55E00", linewidth=0.8, label="ceiling without order")
    ax.set(xlabel="training step", ylabel="accuracy", ylim=(-0.02, 1.04), title=title)
    return ax


def by_length(ax: Axes, lengths, named: dict, train_len: int, *, ylabel: str, title: str = "") -> Axes:
    """One line a name over lengths, the band from the lowest to the highest seed; what training saw is shaded.

    lengths (n,) tokens; named {name: (seeds, n)}
    """
    for number, (name, values) in enumerate(named.items()):
        colour, dashes = _look(name, number)
        values = np.asarray(values, dtype=float)
        ax.plot(lengths, values.mean(axis=0), color=colour, linestyle=dashes, marker=".", label=name)
        ax.fill_between(lengths, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.2, linewidth=0)
    ax.set_xscale("log", base=2)
    ax.axvspan(min(lengths) / 1.15, train_len, color="0.92", zorder=0)
    ax.minorticks_off()
    ax.set(xticks=lengths, xticklabels=[f"{one:g}" for one in lengths], xlabel="length (tokens)", ylabel=ylabel)
    ax.set(xlim=(min(lengths) / 1.15, max(lengths) * 1.05), title=title)
    return ax


def seeds(ax: Axes, named: dict, *, xlabel: str, title: str = "") -> Axes:
    """One row a name, one dot a seed, a bar at their mean.  named {name: (mean, values of the seeds)}"""
    for row, (name, (mean, values)) in enumerate(named.items()):
        colour = _look(name, row)[0]
        ax.plot(values, np.full(len(values), row), "o", color=colour, alpha=0.7)
        ax.plot([mean, mean], [row - 0.3, row + 0.3], color=colour)
    ax.set(xlabel=xlabel, title=title, yticks=range(len(named)), yticklabels=list(named))
    ax.set_ylim(len(named) - 0.5, -0.5)
    return ax


def _look(name, number):
    """Colour and dashes: those of the name, where a setting may follow after a colon, or the next of the cycle."""
    return LOOK.get(name.partition(":")[0], (f"C{number}", ("-", "--", ":")[number % 3]))
