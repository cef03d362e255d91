"""Curves, bars and timings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from caufvae_lite.plots.look import COLOURS, panels_in_a_row


def timings(
    sizes: Sequence[int], seconds: Mapping[str, Sequence[float]], xlabel: str
) -> Figure:
    """Milliseconds against size, both axes logarithmic, a line for each method."""
    figure, (ax,) = panels_in_a_row(1, 5, 3)
    colours = ("posterior", "intervention", "prior", "noise", "factor")
    for (name, times), role in zip(seconds.items(), colours, strict=False):
        ax.plot(sizes, 1000 * np.asarray(times), "o-", ms=4, color=COLOURS[role], label=name)
    ax.set(xscale="log", yscale="log", xlabel=xlabel, ylabel="milliseconds")
    ax.set_xticks(list(sizes), [str(s) for s in sizes], minor=False)
    ax.minorticks_off()
    ax.legend(frameon=False)
    return figure


def bars(
    groups: Mapping[str, ArrayLike],
    names: Sequence[str],
    ylabel: str = "",
    roles: Sequence[str] = ("data", "truth", "intervention"),
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
    x: ArrayLike,
    lines: Mapping[str, ArrayLike],
    xlabel: str,
    ylabel: str,
    law: ArrayLike | None = None,
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
