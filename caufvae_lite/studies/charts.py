"""The figures of the studies: scores with intervals, and how a graph was chosen."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from caufvae_lite.plots import COLOURS, panels_in_a_row

__all__ = ["choice", "clouds", "intervals", "paths", "ranking", "scores"]

ROLES = ("posterior", "intervention", "truth", "prior", "noise")
MARKERS = ("o", "s", "^", "D", "v")


def intervals(
    table: Mapping[str, Mapping[str, Mapping[str, tuple[float, float]]]],
    limits: Mapping[str, tuple[float, float]] | None = None,
) -> Figure:
    """Means with intervals: ``{panel: {row: {group: (mean, half interval)}}}``.

    Rows stand below each other, and a row's groups side by side, told apart by colour and
    marker. A mean outside its panel's ``limits`` is drawn as an arrow at the edge, with its
    number. Rows that are missing from a panel stay empty there.
    """
    rows = list(dict.fromkeys(row for panel in table.values() for row in panel))
    groups = list(dict.fromkeys(g for p in table.values() for row in p.values() for g in row))
    figure = Figure(
        figsize=(2.4 + 2.6 * len(table), 0.9 + 0.24 * len(rows)), layout="constrained"
    )
    axes = figure.subplots(1, len(table), sharey=True, squeeze=False)[0]
    step = 0.6 / max(1, len(groups))
    for ax, (title, panel) in zip(axes, table.items(), strict=True):
        low, high = (limits or {}).get(title, (-np.inf, np.inf))
        for k, (group, role, marker) in enumerate(zip(groups, ROLES, MARKERS, strict=False)):
            for y, row in enumerate(rows):
                if row not in panel or group not in panel[row]:
                    continue
                mean, half = panel[row][group]
                where = y + step * (k - (len(groups) - 1) / 2)
                if not low <= mean <= high:
                    edge, arrow = (low, "<") if mean < low else (high, ">")
                    ax.plot(edge, where, arrow, ms=5, color=COLOURS[role], clip_on=False)
                    ax.annotate(
                        f"{mean:.2g}", (edge, where), (7, -3), textcoords="offset points",
                        fontsize=7, color=COLOURS[role],
                    )  # fmt: skip
                    continue
                ax.errorbar(
                    mean, where, xerr=0 if np.isnan(half) else half, fmt=marker, ms=4,
                    color=COLOURS[role],
                )  # fmt: skip
        if title in (limits or {}):
            ax.set_xlim(low - 0.02 * (high - low), high + 0.02 * (high - low))
        ax.set(title=title)
        ax.grid(axis="y", color="0.93")
        ax.set_ylim(len(rows) - 0.5, -0.5)
    axes[0].set_yticks(range(len(rows)), rows)
    for group, role, marker in zip(groups, ROLES, MARKERS, strict=False):
        axes[0].plot([], [], marker, ms=4, color=COLOURS[role], label=group)
    if len(groups) > 1:
        figure.legend(loc="outside upper right", ncols=len(groups), frameon=False)
    return figure


def scores(
    table: Mapping[str, Mapping[str, tuple[float, float]]],
    floors: Mapping[str, float] | None = None,
) -> Figure:
    """``{model: {score: (mean, half interval)}}`` as dots with intervals, a panel a score.

    A mean below its panel's floor is drawn as an arrow at the floor, with its number.
    """
    models, columns = list(table), list(next(iter(table.values())))
    height = 0.8 + 0.27 * len(models)
    figure, axes = panels_in_a_row(len(columns), 10 / len(columns), height, sharey=True)
    for ax, column in zip(axes, columns, strict=True):
        floor = (floors or {}).get(column, -np.inf)
        for y, model in enumerate(models):
            mean, half = table[model][column]
            if mean < floor:
                ax.plot(floor, y, "<", color=COLOURS["intervention"])
                ax.annotate(f"{mean:.1f}", (floor, y), (6, -3), textcoords="offset points")
            else:
                ax.errorbar(mean, y, xerr=half, fmt="o", ms=4, color=COLOURS["posterior"])
        first = table[models[0]][column][0]
        ax.axvline(first, color=COLOURS["truth"], lw=1, zorder=0)
        ax.set(title=column, yticks=range(len(models)))
        ax.grid(axis="y", color="0.93")
        ax.margins(x=0.12)
    axes[0].set_yticks(range(len(models)), models)
    axes[0].invert_yaxis()
    return figure


def clouds(
    panels: Mapping[str, tuple[ArrayLike, ArrayLike]],
    xlabel: str,
    ylabel: str,
    law: tuple[ArrayLike, ArrayLike] | None = None,
) -> Figure:
    """Points ``(x, y)`` in panels that share their axes, the law's curve in green."""
    figure, axes = panels_in_a_row(len(panels), 2.8, 2.6, sharex=True, sharey=True)
    for ax, (title, (x, y)) in zip(axes, panels.items(), strict=True):
        ax.plot(x, y, ".", ms=2, color=COLOURS["factor"], rasterized=True)
        if law is not None:
            ax.plot(*law, color=COLOURS["truth"], lw=2)
        ax.set(title=title, xlabel=xlabel)
    axes[0].set_ylabel(ylabel)
    return figure


def paths(
    prices: ArrayLike,
    lines: Mapping[str, Mapping[str, ArrayLike]],
    true: Mapping[str, Sequence[str]],
) -> Figure:
    """Gates against a rising price, by effect: ``{effect: {cause: (k,) gates}}``.

    True causes are green, the others dashed and red.
    """
    figure, axes = panels_in_a_row(len(lines), 3.6, 2.7, sharey=True)
    for ax, (effect, gates) in zip(axes, lines.items(), strict=True):
        strokes = iter(("-", "-."))
        for cause, values in gates.items():
            right = cause in true[effect]
            ax.plot(
                prices, values, next(strokes, ":") if right else "--", label=cause,
                color=COLOURS["truth" if right else "intervention"],
            )  # fmt: skip
        ax.set(xscale="log", xlabel="price λ of an open gate", title=f"gates into {effect}")
        ax.legend(frameon=False)
    axes[0].set_ylabel("gate")
    return figure


def choice(
    candidates: Mapping[str, Sequence[tuple[tuple[str, ...], float, float, float]]],
    chosen: Mapping[str, int],
    critical: float,
) -> Figure:
    """Each node's nested parent sets, and how much worse than the best held-out rows are.

    Args:
        candidates: ``{node: [(parents, log-likelihood, nats worse than the best, the same
            in standard errors), …]}``, as `gates.Found` has them.
        chosen: ``{node: number of parents}``, circled.
        critical: how many standard errors the bars reach; one that touches 0 is not
            significantly worse.
    """
    figure = Figure(
        figsize=(1.2 + 0.8 * sum(map(len, candidates.values())), 2.9), layout="constrained"
    )
    widths = [0.4 + len(sets) for sets in candidates.values()]
    axes = figure.subplots(1, len(candidates), squeeze=False, width_ratios=widths)[0]
    for ax, (node, sets) in zip(axes, candidates.items(), strict=True):
        worse = np.array([row[2] for row in sets])
        errors = np.array([row[2] / row[3] if row[3] else 0.0 for row in sets])
        k = np.arange(len(sets))
        ax.errorbar(
            k, worse, yerr=critical * errors, fmt="o-", ms=4, color=COLOURS["posterior"]
        )
        ax.plot(
            chosen[node], worse[chosen[node]], "o", ms=13, mew=2, mfc="none",
            color=COLOURS["truth"],
        )  # fmt: skip
        added = ["none"]
        for before, now in itertools.pairwise(sets):
            added.append("+ " + "".join(set(now[0]) - set(before[0])).replace("_", "\n"))
        ax.set_xticks(k, added, fontsize=7)
        ax.axhline(0, color="0.7", lw=0.8, zorder=0)
        ax.set(title=node.replace("_", "\n"), xlim=(-0.6, len(sets) - 0.4))
    axes[0].set_ylabel("nats a row worse than the best")
    return figure


def ranking(values: ArrayLike, right: Sequence[bool], ylabel: str) -> Figure:
    """Sorted scores as bars, the right ones in green."""
    heights = np.asarray(values, float)
    figure, (ax,) = panels_in_a_row(1, 6.5, 2.6)
    for role, label, rows in (
        ("truth", "right", np.flatnonzero(right)),
        ("intervention", "wrong", np.flatnonzero(~np.asarray(right, bool))),
    ):
        ax.bar(rows + 1, heights[rows], color=COLOURS[role], label=label)
    ax.set(xlabel="rank", ylabel=ylabel, xlim=(0.3, len(heights) + 0.7))
    ax.legend(frameon=False)
    return figure
