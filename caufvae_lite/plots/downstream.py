"""The figures of notebooks 06 and 07 in which every seed is a point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from caufvae_lite.plots.lessons import COLOURS, panels_in_a_row

LOOKS = (("posterior", "o"), ("intervention", "s"), ("prior", "^"))


def grouped_seeds(
    panels: Mapping[str, Mapping[str, Mapping[str, ArrayLike]]],
    xlabel: str,
    ylabel: str = "",
    width: float = 2.5,
) -> Figure:
    """One point for each seed, an upright bar for their mean, rows below each other.

    Args:
        panels: ``{panel: {row: {group: (seeds,)}}}``. A row's groups (at most three) are told
            apart by colour and marker, a row that a panel lacks stays empty there, and NaN is
            not drawn. Equal seeds stand above each other, so that all of them are seen.
        xlabel: what is measured, and in which unit.
        ylabel: what the rows are.
        width: inches of a panel, without the rows' names.
    """
    rows = list(dict.fromkeys(row for panel in panels.values() for row in panel))
    groups = list(dict.fromkeys(g for p in panels.values() for row in p.values() for g in row))
    named = 0.075 * max(len(part) for row in rows for part in row.split("\n"))
    lines = sum(1 + 0.6 * row.count("\n") for row in rows)
    figure, axes = panels_in_a_row(
        len(panels), width + named / len(panels), 1.0 + 0.34 * lines, sharey=True
    )
    for ax, (title, panel) in zip(axes, panels.items(), strict=True):
        for row, cells in panel.items():
            for k, (group, seeds) in enumerate(cells.items()):
                role, marker = LOOKS[groups.index(group)]
                values = np.asarray(seeds, float)
                values = values[~np.isnan(values)]
                y = rows.index(row) + 0.8 / len(cells) * (k - (len(cells) - 1) / 2)
                beside = 0.3 / len(cells) * np.linspace(-1, 1, len(values))
                ax.plot(values, y + beside * (len(values) > 1), marker, ms=4, alpha=0.5,
                        mew=0, color=COLOURS[role])  # fmt: skip
                if len(values):
                    ax.plot(values.mean(), y, "|", ms=13, mew=2, color=COLOURS[role])
        for k in range(0, len(rows), 2):
            ax.axhspan(k - 0.5, k + 0.5, color="0.95", lw=0, zorder=0)
        ax.set(title=title, xlabel=xlabel, ylim=(len(rows) - 0.5, -0.5))
        ax.locator_params(axis="x", nbins=5)
        ax.margins(x=0.06)
    axes[0].set_yticks(range(len(rows)), rows)
    axes[0].set_ylabel(ylabel)
    for group, (role, marker) in zip(groups, LOOKS, strict=False):
        axes[0].plot([], [], marker, ms=5, color=COLOURS[role], label=group)
    figure.legend(loc="outside upper center", ncols=len(groups), frameon=False)
    return figure


def fewer_labels(
    panels: Mapping[str, Mapping[str, Mapping[int, Sequence[float]]]],
    xlabel: str,
    ylabel: str,
    floor: float,
) -> Figure:
    """What is left with fewer labels: ``{panel: {line: {number of labels: (seeds,)}}}``.

    The numbers of labels stand at even distances, from all on the left to the fewest on the
    right. A line joins the means, at most three lines a panel. What lies below ``floor`` is
    drawn as a triangle on it.
    """
    figure, axes = panels_in_a_row(len(panels), 2.3, 3.1, sharey=True)
    for ax, (title, lines) in zip(axes, panels.items(), strict=True):
        numbers = sorted({n for by_n in lines.values() for n in by_n}, reverse=True)
        for k, (name, by_n) in enumerate(lines.items()):
            role, marker = LOOKS[k]
            x = [numbers.index(n) + 0.16 * (k - (len(lines) - 1) / 2) for n in by_n]
            order = np.argsort(x)
            means = np.array([max(floor, float(np.mean(v))) for v in by_n.values()])
            ax.plot(np.array(x)[order], means[order], color=COLOURS[role], lw=1.5, label=name)
            for where, seeds in zip(x, by_n.values(), strict=True):
                values = np.asarray(seeds, float)
                for part, look in ((values >= floor, marker), (values < floor, "v")):
                    y = np.maximum(values[part], floor)
                    ax.plot(np.full(len(y), where), y, look, ms=5, alpha=0.6, mew=0,
                            color=COLOURS[role])  # fmt: skip
        ax.set_xticks(range(len(numbers)), [f"{n:,}" for n in numbers])
        ax.set(title=title, xlabel=xlabel, ylim=(floor - 0.05, None))
        ax.set_xlim(-0.4, len(numbers) - 0.6)
        ax.grid(axis="y", color="0.93")
    axes[0].set_ylabel(ylabel)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3, frameon=False)
    return figure
