"""The figures of notebook 03: the model from picture to picture, and what it has learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch, Rectangle
from numpy.typing import ArrayLike

from caufvae_lite.graph import CausalGraph
from caufvae_lite.plots.lessons import COLOURS, Names, Series, panels_in_a_row
from caufvae_lite.worlds.pendulum import FRAME, GROUND, PIVOT, SUN_HEIGHT, SUN_RADIUS

STEPS = {  # of a counterfactual, each with what it asks
    "abduction": "1 · abduction: which noise is behind this picture?",
    "action": "2 · action: overwrite what do() names",
    "prediction": "3 · prediction: recompute the effects, and draw",
}
Pair = tuple[float, float]
UNLIT = "0.72"
HEAD: dict[str, Any] = {"arrowstyle": "-|>", "mutation_scale": 14, "shrinkA": 2, "shrinkB": 2}
WIDTH = 6.2  # inches: of a figure that is to be read on a phone
FACTORS, NOISE = (4.7, 3.4), (10.1, 2.2)  # left edge and width of a column of cells
UPPER, LOWER, BETWEEN = 6.1, 1.7, 3.9  # heights of the lanes


def picture_to_picture(
    graph: CausalGraph,
    pictures: Sequence[ArrayLike],
    factors: Sequence[ArrayLike],
    noise: ArrayLike,
    do: Mapping[str, float] | None = None,
    lit: str = "",
) -> Figure:
    """The model as a way: picture, encoder, factors, inverse flow, noise, and back.

    Args:
        graph: names the d factors, and says which ones ``do`` reaches.
        pictures: the one that goes in and the one that comes out, each ``(c, h, w)``.
        factors: as read and as answered, each ``(d,)``, in the data's units.
        noise: ``(d,)``, the posterior's mean.
        do: what is overwritten; None or ``{}`` for a reconstruction.
        lit: ``"abduction"``, ``"action"`` or ``"prediction"`` draws this step in colour,
            later ones empty and the rest grey; ``""`` draws the whole way in colour.

    Raises:
        ValueError: a step with another name.
    """
    if lit not in ("", *STEPS):
        raise ValueError(f"lit must be one of {['', *STEPS]}, got {lit!r}.")
    do = do or {}
    figure, (ax,) = panels_in_a_row(1, WIDTH, 3.9)
    ax.set_title(STEPS.get(lit, ""), pad=2)
    ax.axis("off")
    reached = list(STEPS).index(lit) if lit else 2
    read, acted, drawn = (lit in ("", step) for step in STEPS)
    names = [name.replace("_", " ") for name in graph.nodes]
    before, after = ([_number(x) for x in np.asarray(y, float)] for y in factors)
    symbols = [f"$\\varepsilon_{{{i + 1}}}$" for i in range(len(graph))]
    values = [f"{x:+.2f}".replace("-", "−") for x in np.asarray(noise, float)]

    _picture(ax, pictures[0], UPPER, "picture in", read)
    _arrow(ax, (3.0, UPPER), (FACTORS[0], UPPER), "encoder", read)
    _cells(ax, FACTORS, UPPER, names, before, ["factor" if read else ""] * len(graph))
    _arrow(ax, (8.1, UPPER), (NOISE[0], BETWEEN + 1.1), "$f^{-1}$", read)
    kept = ["noise" if read or drawn else ""] * len(graph)
    _cells(ax, NOISE, BETWEEN, symbols, values, kept)

    known = [reached == 2 or (reached == 1 and name in do) for name in graph.nodes]
    shown = [value if there else "" for value, there in zip(after, known, strict=True)]
    roles = ["intervention" if name in do else "factor" for name in graph.nodes]
    if not drawn:
        roles = [r if acted and r == "intervention" else "" for r in roles]
    if do:
        _action(ax, graph, do, acted or drawn, reached >= 1)
    moved = [graph.index(name) for name in graph.affected(do)]
    _cells(ax, FACTORS, LOWER, names, shown, roles, bold=moved)
    _arrow(ax, (NOISE[0], BETWEEN - 1.1), (8.1, LOWER), "$f$", drawn)
    _arrow(ax, (FACTORS[0], LOWER), (3.0, LOWER), "decoder", drawn)
    _picture(ax, pictures[1] if reached == 2 else None, LOWER, "picture out", drawn)
    return figure


def _number(value: float) -> str:
    return f"{value:.1f}".replace("-", "−")


def _picture(ax: Axes, image: ArrayLike | None, y: float, title: str, lit: bool) -> None:
    """A picture of side 3 at the left, or an empty frame."""
    if image is not None:
        pixels = np.asarray(image, float).transpose(1, 2, 0).squeeze()
        pixels = pixels if lit else 0.65 + 0.35 * pixels
        box = (0.0, 3.0, y - 1.5, y + 1.5)
        ax.imshow(pixels, cmap="gray", vmin=0, vmax=1, extent=box, aspect="auto")
    edge = COLOURS["data"] if lit else UNLIT
    ax.add_patch(Rectangle((0, y - 1.5), 3, 3, fill=False, ec=edge, lw=1.5 if lit else 0.8))
    ax.text(1.5, y - 1.62, title, ha="center", va="top", color=edge)
    ax.set(xlim=(-0.2, 12.5), ylim=(-0.5, 7.8))


def _arrow(ax: Axes, start: Pair, end: Pair, label: str, lit: bool) -> None:
    colour = COLOURS["data"] if lit else UNLIT
    ax.add_patch(FancyArrowPatch(start, end, color=colour, lw=2.2 if lit else 1.0, **HEAD))
    x, y = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2
    above = y > BETWEEN  # labels stand outside the loop that the arrows make
    x, y = x + 0.25 * (start[1] != end[1]), y + (0.2 if above else -0.2)
    across = "center" if start[1] == end[1] else "left"
    label_at: dict[str, Any] = {"ha": across, "va": "bottom" if above else "top"}
    ax.text(x, y, label, color=colour, fontsize=10, **label_at)


def _cells(
    ax: Axes,
    column: Pair,
    y: float,
    names: Sequence[str],
    values: Sequence[str],
    roles: Sequence[str],
    bold: Sequence[int] = (),
) -> None:
    """A column of named numbers around the height ``y``; an empty role is unlit."""
    left, width = column
    for i, (name, value, role) in enumerate(zip(names, values, roles, strict=True)):
        bottom, height = _place(len(names), i, y)
        ink, face = ("black", COLOURS[role]) if role else ("0.6", "none")
        box = Rectangle((left, bottom), width, height, fc=face, alpha=0.55, lw=0)
        heavy = 2.0 if role and i in bold else 0.7
        frame = Rectangle((left, bottom), width, height, fill=False, ec=ink, lw=heavy)
        ax.add_patch(box)
        ax.add_patch(frame)
        looks: dict[str, Any] = {"va": "center", "color": ink, "fontsize": 8.5}
        ax.text(left + 0.12, bottom + height / 2, name, ha="left", **looks)
        ax.text(left + width - 0.12, bottom + height / 2, value, ha="right", **looks)


def _place(count: int, i: int, y: float) -> tuple[float, float]:
    """Bottom and height of the i-th of ``count`` cells around the height ``y``."""
    height = min(0.78, 3.2 / count)
    return y + height * (count / 2 - 1 - i), height


def _action(
    ax: Axes, graph: CausalGraph, do: Mapping[str, float], lit: bool, reached: bool
) -> None:
    """What is set, between the lanes, and an arrow to each cell that it overwrites."""
    colour = COLOURS["intervention"] if lit else UNLIT
    what = ", ".join(f"{n.replace('_', ' ')} = {v:g}" for n, v in do.items())
    x = FACTORS[0] - 0.35
    ax.text(x, BETWEEN, f"do({what})", ha="left", va="center", color=colour, fontsize=9)
    for name in do if reached else ():
        bottom, height = _place(len(graph), graph.index(name), LOWER)
        end = (FACTORS[0], bottom + height / 2)
        start, bend = (x, BETWEEN - 0.2), "arc3,rad=0.35"
        arrow = FancyArrowPatch(start, end, connectionstyle=bend, color=colour, lw=2, **HEAD)
        ax.add_patch(arrow)


def posteriors_and_prior(means: ArrayLike, stds: ArrayLike, names: Names) -> Figure:
    """Where the encoder puts the noise of a few pictures, over the prior N(0, 1).

    ``means`` and ``stds`` are ``(n, d)``: each picture is a line of its own, from two standard
    deviations below its mean to two above, and each noise has a panel.
    """
    mean, std = np.asarray(means, float), np.asarray(stds, float)
    n, d = mean.shape
    figure, axes = panels_in_a_row(d, WIDTH / d, 1.9, sharex=True)
    grid = np.linspace(-4, 4, 200)
    bell = np.exp(-(grid**2) / 2)
    lines = np.arange(n)[::-1]
    for i, (ax, name) in enumerate(zip(axes, names, strict=True)):
        ax.fill_between(grid, -0.8, -0.8 + (n + 0.6) * bell, color=COLOURS["prior"], alpha=0.35)
        low, high = mean[:, i] - 2 * std[:, i], mean[:, i] + 2 * std[:, i]
        ax.hlines(lines, low, high, color=COLOURS["posterior"], lw=2.5)
        ax.plot(mean[:, i], lines, ".", ms=6, color=COLOURS["posterior"])
        ax.set(xlim=(-4, 4), ylim=(-0.8, n + 0.2), yticks=[], xticks=[-2, 0, 2])
        ax.set_title(name.replace("_", "\n"), fontsize=9)
        ax.spines["left"].set_visible(False)
    axes[0].set_ylabel(f"{n} pictures")
    figure.supxlabel("noise ε", fontsize=9)
    return figure


def residuals(
    truth: ArrayLike, found: ArrayLike, names: Names, units: Mapping[str, str]
) -> Figure:
    """By how much each factor ``(n, d)`` is misread, against its true value.

    The green line is no error. The band holds errors up to their root mean square.
    """
    t, f = np.asarray(truth, float), np.asarray(found, float)
    rows = -(-len(names) // 2)
    figure = Figure(figsize=(WIDTH, 2.1 * rows), layout="constrained")
    panels = figure.subplots(rows, 2, squeeze=False).ravel()
    for ax in panels[len(names) :]:
        ax.axis("off")
    for i, (ax, name) in enumerate(zip(panels, names, strict=False)):
        error = f[:, i] - t[:, i]
        size = float(np.sqrt(np.mean(error**2)))
        ax.axhspan(-size, size, color=COLOURS["truth"], alpha=0.18, lw=0)
        ax.plot(t[:, i], error, ".", ms=2, color=COLOURS["posterior"], rasterized=True)
        ax.axhline(0, color=COLOURS["truth"], lw=1.5)
        ax.set(xlabel=f"true {name.replace('_', ' ')} ({units[name]})", ylabel="found − true")
        unit = units[name] if units[name] == "°" else f" {units[name]}"
        ax.set_title(f"typical error {size:.2g}{unit}", fontsize=9)
    return figure


def mosaics(groups: Series, columns: int = 6) -> Figure:
    """Many small pictures of each kind, two kinds a line: ``{title: (k, c, h, w)}``."""
    lines = -(-len(groups) // 2)
    figure = Figure(figsize=(WIDTH, 2.4 * lines), layout="constrained")
    axes = figure.subplots(lines, 2, squeeze=False).ravel()
    for ax in axes[len(groups) :]:
        ax.axis("off")
    for ax, (title, images) in zip(axes, groups.items(), strict=False):
        tiles = np.asarray(images, float)
        tiles = np.pad(tiles, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=0.8)
        tiles = tiles[: len(tiles) // columns * columns]
        k, c, h, w = tiles.shape
        grid = tiles.reshape(k // columns, columns, c, h, w).transpose(0, 3, 1, 4, 2)
        ax.imshow(grid.reshape(k // columns * h, columns * w, c).clip(0, 1), cmap="gray")
        ax.set_title(title, fontsize=9)
        ax.axis("off")
    return figure


def kl_against_scale(
    s: ArrayLike, curves: Mapping[str, ArrayLike], xlabel: str, ylabel: str
) -> Figure:
    """Curves ``{label: (k,)}`` over the log-scale s ``(k,)``, each with its lowest point."""
    x = np.asarray(s, float)
    figure, (ax,) = panels_in_a_row(1, 5.4, 3.2)
    roles = ("intervention", "noise", "factor", "posterior")
    for (label, values), role in zip(curves.items(), roles, strict=False):
        y = np.asarray(values, float)
        best = int(y.argmin())
        ax.plot(x, y, color=COLOURS[role], lw=2)
        ax.plot(x[best], y[best], "o", ms=8, color=COLOURS[role])
        ax.text(x[best], y[best] + 0.3, label, ha="center", va="bottom", fontsize=9)
    top = max(float(np.min(np.asarray(y, float))) for y in curves.values())
    ax.set(xlabel=xlabel, ylabel=ylabel, ylim=(-0.5, top + 3))
    ax.axhline(0, color="0.7", lw=0.8, zorder=0)
    return figure


def truth_outlined(rows: Series, truth: ArrayLike, columns: Names = ()) -> Figure:
    """Strips of pendulum pictures, with the true place of sun and shadow outlined in green.

    ``rows`` are ``{title: (k, 3, h, w)}``; ``truth`` ``(k, 4)`` are the factors that each
    column ought to show, in the order of `Pendulum`'s graph.
    """
    wanted = np.asarray(truth, float)
    k = len(wanted)
    figure = Figure(figsize=(WIDTH, WIDTH / k * len(rows) * 1.05 + 0.25), layout="constrained")
    axes = figure.subplots(len(rows), k, squeeze=False)
    for line, (title, strip) in zip(axes, rows.items(), strict=True):
        for ax, image, factors in zip(line, np.asarray(strip, float), wanted, strict=True):
            ax.imshow(image.transpose(1, 2, 0).clip(0, 1))
            _mark(ax, factors, image.shape[-1])
            ax.set(xticks=[], yticks=[], xlim=(-0.5, image.shape[-1] - 0.5))
            ax.set_ylim(image.shape[-1] + 2.5, -2.5)
            ax.spines[:].set(visible=True, color="0.8")
        line[0].set_ylabel(title, rotation=0, ha="right", va="center", fontsize=9)
    for ax, name in zip(axes[0], columns, strict=False):
        ax.set_title(name, fontsize=9)
    return figure


def _mark(ax: Axes, factors: np.ndarray, size: int) -> None:
    """A ring where the sun ought to stand, and a bar where the shadow ought to lie."""
    _, light, length, position = factors
    x = PIVOT[0] + (SUN_HEIGHT - PIVOT[1]) / np.tan(np.deg2rad(light))
    centre = FRAME.to_pixels(x, SUN_HEIGHT, size)
    radius = SUN_RADIUS * size / (FRAME.right - FRAME.left)
    pen: dict[str, Any] = {"color": COLOURS["truth"], "lw": 1.6}
    ring = Circle(
        (centre[0] - 0.5, centre[1] - 0.5), radius, fill=False, ls=(0, (3, 1.5)), **pen
    )
    ax.add_patch(ring)
    left, ground = FRAME.to_pixels(position - length / 2, GROUND, size)
    right, _ = FRAME.to_pixels(position + length / 2, GROUND, size)
    ax.plot(
        [left - 0.5, right - 0.5], [ground + 2.6, ground + 2.6], **pen, solid_capstyle="butt"
    )
