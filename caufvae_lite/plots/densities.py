"""Probability, drawn: densities, histograms, and mass on the move."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from caufvae_lite.plots.look import COLOURS, panels_in_a_row


def moving_mass(
    noise: ArrayLike, before: ArrayLike, factor: ArrayLike, after: ArrayLike, slabs: int = 10
) -> Figure:
    """How a map moves probability: density of the noise, the map, density of the factor.

    All are ``(k,)``, along one grid of noise. Shades mark slabs of equal probability.
    """
    e, p, z, q = (np.asarray(a, float) for a in (noise, before, factor, after))
    mass = np.concatenate([[0], np.cumsum(np.diff(e) * (p[1:] + p[:-1]) / 2)])
    slab = np.minimum((mass / mass[-1] * slabs).astype(int), slabs - 1)
    figure, (left, middle, right) = panels_in_a_row(3, 3, 2.7)
    top = 1.05 * max(p.max(), q.max())
    middle.plot(e, z, color=COLOURS["data"])
    middle.set(xlabel="noise ε", ylabel="factor z", title="z = f(ε)")
    for ax, x, height, name in ((left, e, p, "noise ε"), (right, z, q, "factor z")):
        colour = COLOURS[name.split()[0]]
        ax.plot(x, height, color=colour)
        ax.set(xlabel=name, ylabel="density", ylim=(0, top), title=f"density of the {name}")
        for k in range(slabs):
            shade = {"color": colour, "alpha": (0.25, 0.6)[k % 2], "lw": 0}
            ax.fill_between(x, height, where=slab == k, **shade)
    return figure


def densities(
    panels: Mapping[str, ArrayLike], axis: ArrayLike, points: ArrayLike | None = None
) -> Figure:
    """Two-dimensional densities side by side, each ``(k·k,)`` on the square of ``axis``."""
    a = np.asarray(axis, float)
    figure, axes = panels_in_a_row(len(panels), 2.4, 2.6)
    for ax, (title, values) in zip(axes, panels.items(), strict=True):
        density = np.asarray(values, float).reshape(len(a), len(a)).T
        ax.imshow(density, origin="lower", extent=(a[0], a[-1], a[0], a[-1]), cmap="Blues")
        if points is not None:
            ax.plot(*np.asarray(points).T, ".", ms=2, color=COLOURS["data"], alpha=0.5)
        ax.set(title=title, xlim=(a[0], a[-1]), ylim=(a[0], a[-1]))
    return figure


def distributions(samples: Mapping[str, ArrayLike], xlabel: str) -> Figure:
    """Histograms over each other: the first two are the world's, the third a model's."""
    figure, (ax,) = panels_in_a_row(1, 5.5, 2.8)
    values = {name: np.asarray(x, float) for name, x in samples.items()}
    low, high = np.quantile(np.concatenate(list(values.values())), (0.001, 0.999))
    bins = np.linspace(low, high, 50)
    for (name, x), role in zip(values.items(), ("data", "truth", "intervention"), strict=False):
        outline = role == "intervention"
        style = {"histtype": "step"} if outline else {"histtype": "stepfilled", "alpha": 0.35}
        ax.hist(x, bins, density=True, color=COLOURS[role], label=name, **style)  # type: ignore[arg-type]
    ax.set(xlabel=xlabel, ylabel="density")
    ax.legend(frameon=False)
    return figure


def spread(answers: ArrayLike, truth: float, xlabel: str) -> Figure:
    """Draws of one answer as a histogram, and the truth as a line."""
    figure, (ax,) = panels_in_a_row(1, 4.5, 2.4)
    ax.hist(np.asarray(answers), 20, color=COLOURS["posterior"], alpha=0.6, label="answers")
    ax.axvline(float(truth), color=COLOURS["truth"], lw=2, label="truth")
    ax.set(xlabel=xlabel, ylabel="draws")
    ax.legend(frameon=False)
    return figure
