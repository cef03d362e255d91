"""Pictures of the ideas behind a flow: mass that moves, squares that stretch, masks, costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Polygon
from matplotlib.patheffects import withStroke
from numpy.typing import ArrayLike
from scipy.ndimage import gaussian_filter1d

from caufvae_lite.plots.lessons import COLOURS, Names, Series, panels_in_a_row

Marks = Mapping[str, tuple[float, float]]
SLABS = 10  # of equal probability, each in a colour that it keeps wherever it goes


def slab_colours(n: int = SLABS) -> list[tuple[float, ...]]:
    """``n`` colours from dark to light, which tell the order without hue."""
    return [colormaps["viridis"](k / max(1, n - 1)) for k in range(n)]


def moving_mass(
    noise: ArrayLike, before: ArrayLike, factor: ArrayLike, after: ArrayLike
) -> Figure:
    """How a map moves probability: the map, its noise's density below, its factor's at left.

    All are ``(k,)``, along one increasing grid of noise; densities are per unit of their axis.
    Ten slabs of equal probability keep their colours, and guide lines follow each edge up to
    the map and across.
    """
    e, p, z, q = (np.asarray(a, float) for a in (noise, before, factor, after))
    figure = Figure(figsize=(5.6, 4.6), layout="constrained")
    grid = figure.add_gridspec(2, 2, width_ratios=(1, 2), height_ratios=(2, 1))
    middle = figure.add_subplot(grid[0, 1])
    left = figure.add_subplot(grid[0, 0], sharey=middle)
    below = figure.add_subplot(grid[1, 1], sharex=middle)
    edges = _slab_edges(e, p)
    for colour, one, other in zip(slab_colours(), edges[:-1], edges[1:], strict=True):
        part = slice(one, other + 1)
        below.fill_between(e[part], p[part], color=colour, lw=0)
        left.fill_betweenx(z[part], q[part], color=colour, lw=0)
        middle.plot(e[part], z[part], color=colour, lw=4, solid_capstyle="butt")
    for k in edges[1:-1]:
        middle.plot([e[k], e[k], e[0]], [z[0], z[k], z[k]], color="0.6", lw=0.7, zorder=0)
    top = 1.05 * max(p.max(), q.max())
    below.set(xlabel="noise ε", ylabel="density p(ε)", ylim=(top, 0))
    left.set(ylabel="factor z", xlabel="density p(z)", xlim=(top, 0))
    middle.set(title="z = f(ε)", xlim=(e[0], e[-1]), ylim=(z[0], z[-1]))
    middle.tick_params(labelbottom=False, labelleft=False)
    corner = figure.add_subplot(grid[1, 0])
    corner.text(0.5, 0.5, "one colour:\na tenth of the\nprobability", ha="center", va="center")
    corner.axis("off")
    return figure


def mass_in_place(
    noise: ArrayLike, before: ArrayLike, factor: ArrayLike, after: ArrayLike,
    limits: tuple[float, float],
) -> Figure:  # fmt: skip
    """Where the ten slabs of the noise lie now: the factor's density, over the noise's outline.

    As `moving_mass`, in one low panel whose axis of factors is fixed by ``limits``.
    """
    e, p, z, q = (np.asarray(a, float) for a in (noise, before, factor, after))
    figure, (ax,) = panels_in_a_row(1, 6.6, 1.7)
    edges = _slab_edges(e, p)
    for colour, one, other in zip(slab_colours(), edges[:-1], edges[1:], strict=True):
        ax.fill_between(z[one : other + 1], q[one : other + 1], color=colour, lw=0)
    ax.plot(e, p, "--", color=COLOURS["noise"], lw=1.5)
    ax.set(xlim=limits, ylim=(0, 1.1 * p.max()), xlabel="factor z", ylabel="density")
    return figure


def _slab_edges(noise: np.ndarray, density: np.ndarray) -> np.ndarray:
    """Where on the grid each of the slabs begins, and the last one ends."""
    steps = np.diff(noise) * (density[1:] + density[:-1]) / 2
    mass = np.concatenate([[0], np.cumsum(steps)])
    return np.searchsorted(mass, np.linspace(0, mass[-1], SLABS + 1)).clip(0, len(mass) - 1)


def stretched_squares(before: ArrayLike, after: ArrayLike, lit: tuple[int, int]) -> Figure:
    """Small squares of noise and what a map makes of them, each in its own colour.

    Args:
        before, after: the corners of the squares, ``(k, k, 2)``, on both sides of the map.
        lit: column and row of the square whose outline is drawn and whose area is written.
    """
    figure, axes = panels_in_a_row(2, 3.3, 3.1)
    sides = ((before, "noise", "ε"), (after, "factors", "z"))
    for ax, (corners, what, letter) in zip(axes, sides, strict=True):
        xy = np.asarray(corners, float)
        colours = slab_colours(len(xy) - 1)
        for i, j in np.ndindex(len(xy) - 1, len(xy) - 1):
            box = np.array([xy[i, j], xy[i + 1, j], xy[i + 1, j + 1], xy[i, j + 1]])
            look: dict[str, Any] = {"fc": colours[i], "ec": "white", "lw": 0.6}
            if (i, j) == lit:
                x, y = box.T
                area = abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2
                look = {"fc": colours[i], "ec": COLOURS["intervention"], "lw": 2.5, "zorder": 3}
                ax.set_title(f"{what}: the marked area is {area:.2f}")
            ax.add_patch(Polygon(box, **look))
        ax.set(xlabel=f"{letter}₁", ylabel=f"{letter}₂", aspect="equal")
        ax.autoscale_view()
    return figure


def densities(
    panels: Series, axis: ArrayLike, points: ArrayLike,
    labels: tuple[str, str] = ("z₁", "z₂"), marks: Marks | None = None,
) -> Figure:  # fmt: skip
    """Densities side by side over data points, at most four a row.

    Args:
        panels: by title, each ``(k·k,)`` on the square of ``axis``, first coordinate slowest.
        axis: ``(k,)`` grid of both coordinates.
        points: data ``(n, 2)``.
        labels: of the two coordinates.
        marks: by their letters, points to point out.
    """
    a = np.asarray(axis, float)
    ends = (a[0], a[-1])
    figure, axes = panels_in_a_row(len(panels), 2.4, 2.95, sharey=True)
    for ax, (title, values) in zip(axes, panels.items(), strict=True):
        density = np.asarray(values, float).reshape(len(a), len(a)).T
        ax.imshow(density, origin="lower", extent=(*ends, *ends), cmap="Blues")
        ax.plot(*np.asarray(points).T, ".", ms=2, color=COLOURS["data"], alpha=0.5)
        _mark(ax, marks)
        ax.set(title=title, xlim=ends, ylim=ends, xlabel=labels[0])
    axes[0].set_ylabel(labels[1])
    return figure


def records(
    points: ArrayLike, marks: Marks, labels: tuple[str, str], limits: tuple[float, float]
) -> Figure:
    """Data ``(n, 2)`` as dots, each coordinate's own histogram at the edges, some marked."""
    xy = np.asarray(points, float)
    figure = Figure(figsize=(4.4, 3.8), layout="constrained")
    grid = figure.add_gridspec(2, 2, width_ratios=(4, 1), height_ratios=(1, 4))
    ax = figure.add_subplot(grid[1, 0])
    top = figure.add_subplot(grid[0, 0], sharex=ax)
    side = figure.add_subplot(grid[1, 1], sharey=ax)
    ax.plot(*xy.T, ".", ms=3, color=COLOURS["data"], alpha=0.35)
    bins = np.linspace(*limits, 41).tolist()
    top.hist(xy[:, 0], bins, color=COLOURS["factor"])
    side.hist(xy[:, 1], bins, color=COLOURS["factor"], orientation="horizontal")
    _mark(ax, marks)
    for x, y in marks.values():
        top.axvline(x, color=COLOURS["intervention"], lw=1.5)
        side.axhline(y, color=COLOURS["intervention"], lw=1.5)
    top.axis("off")
    side.axis("off")
    ax.set(xlim=limits, ylim=limits, xlabel=labels[0], ylabel=labels[1])
    return figure


def _mark(ax: Axes, marks: Marks | None) -> None:
    for letter, (x, y) in (marks or {}).items():
        ax.plot(x, y, "D", ms=7, mfc=COLOURS["intervention"], mec="white", zorder=4)
        drawn = ax.annotate(
            letter, (x, y), (7, 5), textcoords="offset points", weight="bold",
            color=COLOURS["intervention"], fontsize=12,
        )  # fmt: skip
        drawn.set_path_effects([withStroke(linewidth=2.5, foreground="white")])


def coloured_cloud(points: ArrayLike, groups: ArrayLike, limits: tuple[float, float]) -> Figure:
    """Points ``(n, 2)`` in the colours of their ``groups`` ``(n,)``, whole numbers from 0."""
    xy, g = np.asarray(points, float), np.asarray(groups, int)
    figure, (ax,) = panels_in_a_row(1, 3.0, 2.9)
    colours = np.array(slab_colours(int(g.max()) + 1))
    ax.scatter(*xy.T, s=5, c=colours[g], lw=0)
    ax.set(xlim=limits, ylim=limits, aspect="equal", xticks=[], yticks=[])
    ax.spines[:].set_visible(True)
    return figure


def masked_network(masks: Sequence[ArrayLike], numbers: Sequence[Names], lit: int) -> Figure:
    """A masked network with all the paths that lead to one of its outputs lit.

    Args:
        masks: of each layer, ``(outputs, inputs)``, from the first layer to the last.
        numbers: what is written into the nodes of each column, the inputs first.
        lit: the output whose paths are lit, counted from 0.
    """
    figure, (ax,) = panels_in_a_row(1, 6.6, 3.4)
    heights = [np.linspace(1, 0, len(column)) for column in numbers]
    alive = [np.arange(len(numbers[-1])) == lit]
    for mask in reversed(masks):
        alive.insert(0, np.asarray(mask, bool)[alive[0]].any(0))
    for k, mask in enumerate(masks):
        for i, j in np.argwhere(np.asarray(mask, bool)):
            on = alive[k + 1][i] and alive[k][j]
            look = {"color": COLOURS["posterior"], "lw": 1.4} if on else {"color": "0.85"}
            ax.plot([k, k + 1], [heights[k][j], heights[k + 1][i]], zorder=int(on), **look)
    for k, column in enumerate(numbers):
        for text, y, on in zip(column, heights[k], alive[k], strict=True):
            box = {"boxstyle": "circle,pad=0.3", "ec": "0.5" if not on else "white"}
            box |= {"fc": COLOURS["posterior"] if on else "white"}
            ink = "white" if on else "0.3"
            ax.text(k, y, text, ha="center", va="center", color=ink, bbox=box, zorder=3)
    names = ["inputs", *(f"hidden {k}" for k in range(1, len(masks))), "outputs"]
    for k, name in enumerate(names):
        ax.text(k, 1.13, name, ha="center", weight="bold")
    ax.set(xlim=(-0.25, len(masks) + 0.25), ylim=(-0.1, 1.2))
    ax.axis("off")
    return figure


def timings(
    sizes: Sequence[int], seconds: Series, xlabel: str, guides: Mapping[str, int] | None = None
) -> Figure:
    """Milliseconds against size, both axes logarithmic, each line labelled at its end.

    ``seconds`` are ``{label: (k,)}``, NaN where nothing was measured. ``guides`` are powers:
    ``{"∝ d": 1}`` draws a grey line of that slope from the first measurement of all.
    """
    figure, (ax,) = panels_in_a_row(1, 6.4, 3.2)
    x = np.asarray(sizes, float)
    roles = ("posterior", "intervention", "prior", "noise", "truth")
    lines = {label: 1000 * np.asarray(times, float) for label, times in seconds.items()}
    start = min(np.nanmin(y) for y in lines.values())
    for text, power in (guides or {}).items():
        y = start * (x / x[0]) ** power
        ax.plot(x, y, ":", color="0.6", zorder=0)
        ax.annotate(text, (x[-2], y[-2]), (4, -10), textcoords="offset points", color="0.4")
    gap = 0.08 * np.log10(max(np.nanmax(y) for y in lines.values()) / start)
    taken: dict[int, float] = {}  # by the size at which lines end, how high labels reach
    colour = dict(zip(lines, roles, strict=False))
    ends = {label: int(np.flatnonzero(np.isfinite(y))[-1]) for label, y in lines.items()}
    for label in sorted(lines, key=lambda label: lines[label][ends[label]]):
        y, last, ink = lines[label], ends[label], COLOURS[colour[label]]
        ax.plot(x, y, "o-", ms=4, color=ink)
        height = max(np.log10(y[last]), taken.get(last, -np.inf) + gap)
        taken[last] = height
        ax.annotate(
            label, (x[last], 10**height), (8, 0), textcoords="offset points",
            va="center", color=ink, weight="bold",
        )  # fmt: skip
    ax.set(xscale="log", yscale="log", xlabel=xlabel, ylabel="milliseconds")
    ax.set_xticks(sizes, [str(s) for s in sizes])
    ax.set_xlim(x[0] / 1.2, x[-1] * (x[-1] / x[0]) ** 0.36)  # room for the labels
    ax.minorticks_off()
    return figure


def smooth_distributions(samples: Series, xlabel: str) -> Figure:
    """Smoothed densities of samples ``(n,)`` over one axis, at most four; lines mark the means.

    The first two are filled, what a world says for instance, and the others are dashed.
    """
    figure, (ax,) = panels_in_a_row(1, 6.6, 2.7)
    values = {label: np.asarray(x, float) for label, x in samples.items()}
    low, high = np.quantile(np.concatenate(list(values.values())), (0.0005, 0.9995))
    bins = np.linspace(low, high, 241)
    middles = (bins[1:] + bins[:-1]) / 2
    roles = ("data", "truth", "posterior", "intervention")
    for k, ((label, x), role) in enumerate(zip(values.items(), roles, strict=False)):
        heights = gaussian_filter1d(np.histogram(x, bins, density=True)[0], 8)
        colour, style = COLOURS[role], "-" if k < 2 else "--"
        if k < 2:
            ax.fill_between(middles, heights, color=colour, alpha=0.25, lw=0)
        mean = f"{x.mean():.2f}".replace("-", "−").replace("−0.00", "0.00")
        ax.plot(middles, heights, style, color=colour, lw=2, label=f"{label} (mean {mean})")
        top = np.interp(x.mean(), middles, heights)
        ax.plot([x.mean()] * 2, [0, top], style, color=colour)
    ax.set(xlabel=xlabel, ylabel="density", ylim=(0, None))
    ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    return figure
