"""The figures of the lessons on intervening: what was asked, what was answered, how surely."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike

from caufvae_lite.graph import CausalGraph
from caufvae_lite.plots.lessons import COLOURS, Names, Series, panels_in_a_row, picture_rows

STROKES = (("noise", ":"), ("prior", "--"), ("posterior", "-"), ("intervention", "-."))


def side_by_side(pictures: Series, inches: float = 1.9) -> Figure:
    """Titled pictures ``{title: (c, h, w) in [0, 1]}`` in a row, so many inches wide each.

    Two pictures have larger titles, since `explore` draws them small.
    """
    lines = max(title.count("\n") for title in pictures)
    figure, axes = panels_in_a_row(len(pictures), inches, inches + 0.35 + 0.2 * lines)
    for ax, (title, picture) in zip(axes, pictures.items(), strict=True):
        _picture(ax, picture)
        ax.set_title(title, fontsize=11 if len(pictures) == 2 else 9)
    return figure


def _picture(ax: Axes, picture: ArrayLike) -> None:
    image = np.asarray(picture, float).transpose(1, 2, 0).squeeze()
    ax.imshow(image, cmap="gray", vmin=0, vmax=1)
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set(visible=True, color="0.8")


def stacked_histograms(samples: Series, xlabel: str, asked: float | None = None) -> Figure:
    """Histograms ``{title: (n,)}`` below each other over one axis; a line marks what was asked.

    The figure is narrow and its letters are large, so that it stays legible when small.
    """
    values = {name: np.asarray(x, float) for name, x in samples.items()}
    every = np.concatenate(list(values.values()))
    low, high = np.quantile(every, (0.001, 0.999))
    bins = np.linspace(low, high, 30)
    figure = Figure(figsize=(3.4, 1.05 * len(values) + 0.5), layout="constrained")
    axes = figure.subplots(len(values), 1, sharex=True, squeeze=False)[:, 0]
    roles = ("data", "truth", "intervention", "posterior")
    for ax, (name, x), role in zip(axes, values.items(), roles, strict=False):
        ax.hist(x, bins, density=True, color=COLOURS[role], alpha=0.6)
        ax.set(yticks=[], ylabel="")
        ax.set_title(name, fontsize=11, loc="left")
        if asked is not None:
            ax.axvline(asked, color="0.3", lw=1, ls=":")
    axes[-1].set_xlabel(xlabel, fontsize=11)
    return figure


def three_steps(
    graph: CausalGraph,
    do: Mapping[str, float],
    before: Sequence[float],
    after: Sequence[float],
    noise: Sequence[float],
) -> Figure:
    """Abduction, action and prediction in one graph each, what the step finds in colour.

    All sequences are ``(d,)`` in node order: factors before and after ``do``, and the noise.
    Every factor stands with its own noise beside it, and arrows into ``do`` are cut.
    """
    reach = set(graph.affected(do)) - set(do)
    titles = ("1 · abduction", "2 · action", "3 · prediction")
    figure, axes = panels_in_a_row(3, 2.3, 3.5)
    for step, (ax, title) in enumerate(zip(axes, titles, strict=True)):
        where = _places(graph)
        for cause, effect in graph.edges:
            cut = step > 0 and effect in do
            lit = step == 2 and effect in reach
            _arrow(ax, where[cause], where[effect], cut, "intervention" if lit else None)
        for i, name in enumerate(graph.nodes):
            value = after[i] if step == 2 or (step == 1 and name in do) else before[i]
            unknown = step == 1 and name in reach
            lit = (step == 1 and name in do) or (step == 2 and name in {*reach, *do})
            role = "intervention" if lit else "factor"
            x, y = where[name]
            side = y + (0.62 if name in graph.roots else -0.62)
            _arrow(ax, (x, side), (x, y), step > 0 and name in do, None)
            _bubble(ax, x, side, f"ε = {noise[i]:.2f}", "noise", 1.0 if step == 0 else 0.45)
            number = "?" if unknown else f"{value:.1f}"
            _bubble(ax, x, y, f"{name.replace('_', chr(10))}\n{number}", role)
        ax.set(title=title, xlim=(-0.42, 1.42), ylim=_limits(where))
        ax.axis("off")
    return figure


def _places(graph: CausalGraph) -> dict[str, tuple[float, float]]:
    """Causes above effects, each generation spread from 0 to 1."""
    where = {}
    for depth, generation in enumerate(graph.generations):
        for k, name in enumerate(generation):
            x = 0.5 if len(generation) == 1 else k / (len(generation) - 1)
            where[name] = (x, -1.15 * depth)
    return where


def _limits(where: Mapping[str, tuple[float, float]]) -> tuple[float, float]:
    lowest = min(y for _, y in where.values())
    return lowest - 0.85, 0.85


def _arrow(
    ax: Axes, start: tuple[float, float], end: tuple[float, float], cut: bool, role: str | None
) -> None:
    look = {"arrowstyle": "-|>", "shrinkA": 11, "shrinkB": 20, "lw": 2.0 if role else 1.2}
    look |= {"color": COLOURS[role] if role else "0.35"}
    if cut:
        look |= {"linestyle": ":", "color": "0.75"}
    ax.annotate("", end, start, arrowprops=look)


def _bubble(ax: Axes, x: float, y: float, text: str, role: str, alpha: float = 1.0) -> None:
    pale = {"factor": "#D6ECF8", "noise": "#FBE7BF", "intervention": "#F6D0B5"}[role]
    box = {"boxstyle": "round,pad=0.25", "fc": pale, "ec": COLOURS[role], "alpha": alpha}
    ax.text(x, y, text, ha="center", va="center", fontsize=8.5, bbox=box, alpha=alpha)


def seed_points(
    panels: Mapping[str, Mapping[str, ArrayLike]],
    xlabel: str,
    marks: Mapping[str, tuple[str, float]] | None = None,
    floor: float = -np.inf,
    limits: tuple[float, float] | None = None,
) -> Figure:
    """One point for each seed: ``{panel: {row: (seeds,)}}``, rows below each other.

    ``marks`` are ``{panel: (label, value)}``, drawn as a dashed line; 1, the best value of R²,
    needs none. A point below ``floor`` is a triangle on it, and how many there are is written.
    Panels have their own axes unless ``limits`` are given. A long name of a row is broken after
    its comma.
    """
    rows = list(dict.fromkeys(row for panel in panels.values() for row in panel))
    width = 2.0 + 1.4 / len(panels)
    figure, axes = panels_in_a_row(len(panels), width, 1.0 + 0.4 * len(rows), sharey=True)
    for ax, (title, lines) in zip(axes, panels.items(), strict=True):
        for row, seeds in lines.items():
            values, y = np.asarray(seeds, float), rows.index(row)
            inside = values >= floor
            ax.plot(values[inside], np.full(inside.sum(), y), "o", ms=6, alpha=0.6,
                    color=COLOURS["posterior"], mew=0)  # fmt: skip
            if (~inside).any():
                ax.plot(floor, y, "<", ms=7, color=COLOURS["intervention"], clip_on=False)
                ax.annotate(f"{(~inside).sum()} below", (floor, y), (8, -3), fontsize=7.5,
                            textcoords="offset points")  # fmt: skip
        ax.set(title=title, ylim=(len(rows) - 0.5, -0.9))
        ax.grid(axis="y", color="0.93")
        ax.margins(x=0.06)
        if limits:
            ax.set_xlim(limits)
        ax.locator_params(axis="x", nbins=5)
        if marks and title in marks:
            label, value = marks[title]
            ax.axvline(value, color="0.35", lw=1.2, ls="--")
            right = value > np.mean(ax.get_xlim())  # then its label stands to the left
            look = {"ha": "right" if right else "left", "va": "top", "color": "0.25"}
            ax.annotate(f" {label} ", (value, -0.45), fontsize=7.5, **look)
    axes[0].set_yticks(range(len(rows)), [row.replace(", ", ",\n") for row in rows])
    figure.supxlabel(xlabel, fontsize=9)
    return figure


def mechanisms(
    x: ArrayLike, panels: Mapping[str, Series], law: Series, xlabel: str, ylabel: str
) -> Figure:
    """Learned mechanisms ``{panel: {model: (k,)}}`` over one cause, the law broad below."""
    names = list(dict.fromkeys(name for lines in panels.values() for name in lines))
    figure, axes = panels_in_a_row(len(panels), 3.6, 3.2, sharey=True)
    for ax, (title, lines) in zip(axes, panels.items(), strict=True):
        ax.plot(x, law[title], color=COLOURS["truth"], lw=6, alpha=0.45, label="the law")
        for name, y in lines.items():
            role, stroke = STROKES[names.index(name)]
            ax.plot(x, y, stroke, lw=2, color=COLOURS[role], label=name)
        ax.set(title=title, xlabel=xlabel)
    axes[0].set_ylabel(ylabel)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=3, frameon=False)
    return figure


def marked_rows(
    rows: Series, levels: Mapping[str, ArrayLike], columns: Names = (), label: str = ""
) -> Figure:
    """`picture_rows` with a dashed line across each picture of the rows in ``levels``.

    ``levels`` are ``{row title: (k,)}``, heights in pixels from the top.
    """
    figure = picture_rows(rows, columns)
    k = max(len(np.asarray(images)) for images in rows.values())
    for line, title in enumerate(rows):
        for column, level in enumerate(np.asarray(levels.get(title, ()), float)):
            ax = figure.axes[line * k + column]
            ax.axhline(level, color=COLOURS["intervention"], lw=1.3, ls="--")
    if label:
        figure.supxlabel(label, fontsize=9, color=COLOURS["intervention"])
    return figure


def draws_in_a_plane(
    panels: Mapping[str, tuple[str, str, Series]], truth: Mapping[str, tuple[float, float]]
) -> Figure:
    """Draws of two numbers: ``{panel: (xlabel, ylabel, {label: (n, 2)})}``.

    At most two labels a panel, told apart by colour and marker. A star is the truth.
    """
    figure, axes = panels_in_a_row(len(panels), 3.3, 3.0)
    looks = (("noise", "o"), ("posterior", "s"))
    for ax, (title, (xlabel, ylabel, clouds)) in zip(axes, panels.items(), strict=True):
        for (label, points), (role, marker) in zip(clouds.items(), looks, strict=False):
            x, y = np.asarray(points, float).T
            ax.plot(x, y, marker, ms=3, alpha=0.45, mew=0, color=COLOURS[role], label=label)
        if title in truth:
            look = {"ms": 14, "color": COLOURS["truth"], "mec": "white", "ls": "none"}
            ax.plot(*truth[title], "*", label="the truth", **look)
        ax.set(title=title, xlabel=xlabel, ylabel=ylabel)
    keys = {  # as drawn, but never pale or tiny
        line.get_label(): Line2D(
            [], [], ls="none", marker=line.get_marker(), ms=max(7, line.get_markersize()),
            mew=0, color=line.get_color(), label=line.get_label(),
        )
        for ax in axes for line in ax.lines
    }  # fmt: skip
    place: dict[str, Any] = {"loc": "outside upper left", "ncols": len(keys)}
    figure.legend(handles=list(keys.values()), frameon=False, **place)
    return figure


def fan(
    x: ArrayLike, lines: ArrayLike, known: tuple[float, float], xlabel: str, ylabel: str
) -> Figure:
    """Several answers ``(k, n)`` to one question; beyond the ``known`` range it is grey."""
    x = np.asarray(x, float)
    figure, (ax,) = panels_in_a_row(1, 5.6, 2.8)
    ax.axvspan(x.min(), known[0], color="0.9", lw=0)
    ax.axvspan(known[1], x.max(), color="0.9", lw=0)
    ax.axhline(0, color=COLOURS["truth"], lw=5, alpha=0.45)
    ax.plot(x, np.asarray(lines, float).T, color=COLOURS["posterior"], lw=1, alpha=0.8)
    ax.set(xlabel=xlabel, ylabel=ylabel, xlim=(x.min(), x.max()))
    return figure
