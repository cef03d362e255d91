"""The figures of the lessons: one function each, and one colour for each role."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

Names = Sequence[str]
Series = Mapping[str, ArrayLike]  # by its title or label, what is drawn

COLOURS = {  # Okabe and Ito's, which colour-blind readers can tell apart
    "data": "#000000",
    "noise": "#E69F00",
    "factor": "#56B4E9",
    "posterior": "#0072B2",
    "prior": "#CC79A7",
    "intervention": "#D55E00",
    "truth": "#009E73",
}


def panels_in_a_row(
    n: int, width: float, height: float, **options: Any
) -> tuple[Figure, np.ndarray]:
    """A figure and its ``(n,)`` axes, each so many inches wide and high."""
    figure = Figure(figsize=(width * n, height), layout="constrained")
    return figure, figure.subplots(1, n, squeeze=False, **options)[0]


def bars(
    groups: Series,
    names: Names,
    ylabel: str = "",
    roles: Names = ("data", "truth", "intervention"),
    limits: tuple[float, float] | None = None,
) -> Figure:
    """Numbers by name, groups side by side: ``{group: (d,)}``, a role for each group."""
    figure, (ax,) = panels_in_a_row(1, 1.1 * len(names) + 1, 2.6)
    width = 0.84 / len(groups)
    for k, ((label, values), role) in enumerate(zip(groups.items(), roles, strict=False)):
        where = np.arange(len(names)) + width * (k - (len(groups) - 1) / 2)
        ax.bar(where, np.asarray(values), 0.93 * width, color=COLOURS[role], label=label)
    ax.axhline(0, color="0.7", lw=0.8, zorder=0)
    ax.set_xticks(range(len(names)), [n.replace("_", "\n") for n in names])
    ax.set(ylabel=ylabel, ylim=limits)
    ax.legend(frameon=False, ncols=len(groups))
    return figure


def curves(
    x: ArrayLike, lines: Series, xlabel: str, ylabel: str, law: ArrayLike | None = None
) -> Figure:
    """Lines over one axis, told apart by colour and stroke, over a broad one for ``law``."""
    figure, (ax,) = panels_in_a_row(1, 6.5, 2.8)
    if law is not None:
        ax.plot(x, law, color=COLOURS["truth"], lw=5, alpha=0.5, label="the law")
    styles = (("noise", ":"), ("prior", "--"), ("posterior", "-"), ("intervention", "-."))
    for (name, y), (role, stroke) in zip(lines.items(), styles, strict=False):
        ax.plot(x, y, stroke, lw=2, color=COLOURS[role], label=name)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    figure.legend(loc="outside right upper", frameon=False)  # no line runs under it
    return figure


def distributions(samples: Series, xlabel: str) -> Figure:
    """Histograms over each other, at most four; a tick at the bottom marks each mean.

    The first two are filled, and the others are outlines: two answers of a world, say, and
    what a model says to the same questions.
    """
    figure, (ax,) = panels_in_a_row(1, 6.5, 2.8)
    values = {name: np.asarray(x, float) for name, x in samples.items()}
    low, high = np.quantile(np.concatenate(list(values.values())), (0.001, 0.999))
    bins = np.linspace(low, high, 50)
    filled: dict[str, Any] = {"histtype": "stepfilled", "alpha": 0.35}
    outline: dict[str, Any] = {"histtype": "step", "lw": 2}
    styles = (("data", filled), ("truth", filled), ("posterior", outline), ("noise", outline))
    for (name, x), (role, style) in zip(values.items(), styles, strict=False):
        ax.hist(x, bins, density=True, color=COLOURS[role], label=name, **style)
        ax.axvline(x.mean(), 0, 0.08, color=COLOURS[role], lw=3)
    ax.set(xlabel=xlabel, ylabel="density")
    figure.legend(loc="outside right upper", frameon=False)
    return figure


def coverage(nominal: ArrayLike, shares: Series) -> Figure:
    """How often intervals hold the truth, against how often they promise to.

    ``shares`` are ``{label: (k,)}`` for the ``nominal`` ``(k,)`` levels, all between 0 and 1.
    On the diagonal they keep their word.
    """
    figure, (ax,) = panels_in_a_row(1, 4.2, 3.6)
    ax.plot([0, 1], [0, 1], color=COLOURS["truth"], lw=1, label="as promised")
    looks = zip(("posterior", "intervention", "prior", "noise"), "osD^", strict=True)
    for (label, values), (role, marker) in zip(shares.items(), looks, strict=False):
        ax.plot(nominal, values, marker=marker, ms=5, color=COLOURS[role], label=label)
    ax.set(xlim=(0, 1), ylim=(0, 1), xlabel="the interval's level")
    ax.set_ylabel("share of pictures whose truth it holds")
    ax.legend(frameon=False)
    return figure


def sorted_intervals(
    low: ArrayLike,
    high: ArrayLike,
    truth: ArrayLike,
    ylabel: str,
    answer: float | None = None,
) -> Figure:
    """Intervals ``(n,)`` side by side in order of their middles, and the truths.

    An interval that misses its truth is drawn in the colour of interventions. A line at
    ``answer`` is the model's, where the intervals are relative to it.
    """
    low, high, truth = (np.asarray(x, float) for x in (low, high, truth))
    order = np.argsort(low + high)
    low, high, truth = low[order], high[order], truth[order]
    missed = (truth < low) | (truth > high)
    figure, (ax,) = panels_in_a_row(1, 7, 2.8)
    x = np.arange(len(low))
    if answer is not None:
        ax.axhline(answer, color="0.6", lw=1, zorder=0)
    for which, role, label in (
        (~missed, "posterior", "holds the truth"), (missed, "intervention", "misses it")
    ):  # fmt: skip
        ax.vlines(x[which], low[which], high[which], color=COLOURS[role], lw=2, label=label)
    ax.plot(x, truth, ".", ms=5, color=COLOURS["truth"], label="truth")
    ax.set(xlabel="pictures, in order of their intervals", ylabel=ylabel)
    ax.legend(frameon=False)
    return figure


def matrices(panels: Series, rows: Names = (), columns: Names = ()) -> Figure:
    """Matrices side by side, darker where the absolute value is larger, numbers written in.

    The names of the rows stand once, on the left.
    """
    figure, axes = panels_in_a_row(len(panels), 2.4, 2.4)
    for k, (ax, (title, values)) in enumerate(zip(axes, panels.items(), strict=True)):
        matrix_panel(ax, values, title, rows if k == 0 else (), columns)
    return figure


def matrix_panel(ax: Axes, values: ArrayLike, title: str, rows: Names, columns: Names) -> None:
    """One matrix with its entries written in; exact zeros stay white and empty."""
    matrix = np.asarray(values, float)
    size = np.abs(matrix)
    ax.imshow(size, cmap="Blues", vmin=0, vmax=1.8 * (size.max() or 1.0))
    whole = bool(np.all(matrix == np.round(matrix)))
    for i, j in np.argwhere(size > 0):
        number = round(float(matrix[i, j]), 2) + 0.0  # never "-.00"
        text = f"{number:.0f}" if whole else f"{number:.2f}"
        text = text.replace("0.", ".") if size[i, j] < 0.995 else text  # .05, but 10.05
        ax.text(j, i, text, ha="center", va="center", fontsize=7)
    short = max(map(len, columns), default=0) <= 3
    slant: dict[str, Any] = {} if short else {"rotation": 30, "ha": "right"}
    ax.set_xticks(range(len(columns)), columns, **slant)
    ax.set_yticks(range(len(rows)), rows)
    ax.spines[:].set_visible(True)
    ax.set_title(title)


def picture_rows(rows: Series, columns: Names = ()) -> Figure:
    """Strips of pictures: ``{row title: (k, c, h, w) images in [0, 1]}``."""
    strips = {title: np.asarray(images, float) for title, images in rows.items()}
    k = max(len(strip) for strip in strips.values())
    figure = Figure(figsize=(1.15 * k + 1.4, 1.2 * len(strips) + 0.3), layout="constrained")
    axes = figure.subplots(len(strips), k, squeeze=False)
    for line, (title, strip) in zip(axes, strips.items(), strict=True):
        for ax in line:
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_color("0.8")
        for ax, image in zip(line, strip, strict=False):
            ax.imshow(image.transpose(1, 2, 0).squeeze(), cmap="gray", vmin=0, vmax=1)
        line[0].set_ylabel(title, rotation=0, ha="right", va="center")
    for ax, name in zip(axes[0], columns, strict=False):
        ax.set_title(name, fontsize=9)
    return figure


def difference(image: ArrayLike, truth: ArrayLike) -> np.ndarray:
    """Where two pictures differ, dark on white: 1 − mean |difference| over channels."""
    gap = np.abs(np.asarray(image, float) - np.asarray(truth, float)).mean(-3, keepdims=True)
    return np.repeat(1 - gap, 3, axis=-3)


def truth_scatter(
    truth: ArrayLike, found: ArrayLike, names: Names, units: Mapping[str, str]
) -> Figure:
    """For each factor a panel: the truth across, what was found up, the diagonal in green."""
    t, f = np.asarray(truth), np.asarray(found)
    figure, axes = panels_in_a_row(len(names), 2.5, 2.6)
    for i, (ax, name) in enumerate(zip(axes, names, strict=True)):
        ax.plot(t[:, i], f[:, i], ".", ms=2, color=COLOURS["factor"], rasterized=True)
        ends = [t[:, i].min(), t[:, i].max()]
        ax.plot(ends, ends, color=COLOURS["truth"], lw=1)
        ax.set(title=name, xlabel=f"true ({units[name]})")
    axes[0].set_ylabel("found")
    return figure
