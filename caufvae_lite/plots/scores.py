"""The figures of the studies: scores with intervals, and how a graph was chosen."""

import itertools
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from caufvae_lite.plots.lessons import COLOURS, panels_in_a_row

LOOKS = (("posterior", "o"), ("intervention", "s"), ("truth", "^"), ("prior", "D"))


def intervals(
    table: Mapping[str, Mapping[str, Mapping[str, tuple[float, float]]]],
    limits: Mapping[str, tuple[float, float]] | None = None,
) -> Figure:
    """Means with intervals: ``{panel: {row: {group: (mean, half interval)}}}``.

    Rows stand below each other, and a row's groups (at most four) side by side, told apart by
    colour and marker. A mean outside its panel's ``limits`` is drawn as an arrow at the edge,
    with its number. Rows that are missing from a panel stay empty there.
    """
    rows = list(dict.fromkeys(row for panel in table.values() for row in panel))
    groups = list(dict.fromkeys(g for p in table.values() for row in p.values() for g in row))
    width = min(10.2, 2.4 + 2.6 * len(table)) / len(table)
    figure, axes = panels_in_a_row(len(table), width, 0.9 + 0.24 * len(rows), sharey=True)
    for ax, (title, panel) in zip(axes, table.items(), strict=True):
        low, high = (limits or {}).get(title, (-np.inf, np.inf))
        for row, cells in panel.items():
            for group, (mean, half) in cells.items():
                k = groups.index(group)
                role, marker = LOOKS[k]
                y = rows.index(row) + 0.6 / len(groups) * (k - (len(groups) - 1) / 2)
                if low <= mean <= high:
                    half = np.nan_to_num(half)
                    ax.errorbar(mean, y, xerr=half, fmt=marker, ms=4, color=COLOURS[role])
                elif not np.isnan(mean):
                    edge, arrow = (low, "<") if mean < low else (high, ">")
                    ax.plot(edge, y, arrow, ms=5, color=COLOURS[role], clip_on=False)
                    ax.annotate(
                        f"{mean:.2g}", (edge, y), (7, -3), textcoords="offset points",
                        fontsize=7, color=COLOURS[role],
                    )  # fmt: skip
        if np.isfinite([low, high]).all():
            ax.set_xlim(low - 0.02 * (high - low), high + 0.02 * (high - low))
        ax.set(title=title, ylim=(len(rows) - 0.5, -0.5))
        ax.grid(axis="y", color="0.93")
    axes[0].set_yticks(range(len(rows)), rows)
    if len(groups) > 1:
        for group, (role, marker) in zip(groups, LOOKS, strict=False):
            axes[0].plot([], [], marker, ms=4, color=COLOURS[role], label=group)
        figure.legend(loc="outside upper right", ncols=len(groups), frameon=False)
    return figure


def scores(
    table: Mapping[str, Mapping[str, tuple[float, float]]],
    floors: Mapping[str, float] | None = None,
) -> Figure:
    """``{model: {score: (mean, half interval)}}`` as dots with intervals, a panel a score.

    A green line marks the first model's mean. A mean below its panel's floor is drawn as an
    arrow at the floor, with its number.
    """
    first = next(iter(table.values()))
    panels = {
        score: {model: {"": cells[score]} for model, cells in table.items()} for score in first
    }
    figure = intervals(panels, {score: (low, np.inf) for score, low in (floors or {}).items()})
    for ax, (mean, _) in zip(figure.axes, first.values(), strict=True):
        ax.axvline(mean, color=COLOURS["truth"], lw=1, zorder=0)
        ax.margins(x=0.12)
    return figure


def against(
    panels: Mapping[str, Mapping[str, Mapping[float, Sequence[float]]]],
    xlabel: str,
    floors: Mapping[str, float] | None = None,
    log: bool = False,
    centre: Callable[[Sequence[float]], float] = np.mean,
) -> Figure:
    """Scores over a number, such as that of labelled rows: ``{panel: {line: {x: scores}}}``.

    A score is of one seed, and a line joins the means, or what else ``centre`` makes of the
    scores (at most four lines). What lies below its panel's floor is drawn as a triangle on the
    floor. A median does not depend on how far below the floor it lies.
    """
    figure, axes = panels_in_a_row(len(panels), 3.4, 2.9)
    for ax, (title, lines) in zip(axes, panels.items(), strict=True):
        floor = (floors or {}).get(title, -np.inf)
        for k, (name, by_x) in enumerate(lines.items()):
            role, marker = LOOKS[k]
            xs = sorted(by_x)
            centres = [max(floor, centre(by_x[x])) for x in xs]
            ax.plot(xs, centres, color=COLOURS[role], lw=1.5, label=name)
            for x in xs:
                values = np.asarray(by_x[x], float)
                beside = x * 1.06 ** (k - (len(lines) - 1) / 2) if log else x
                at = np.full(len(values), beside)
                for part, look in ((values >= floor, marker), (values < floor, "v")):
                    y = np.maximum(values[part], floor)
                    ax.plot(at[part], y, look, ms=4, alpha=0.6, color=COLOURS[role], mew=0)
        every = sorted({x for by_x in lines.values() for x in by_x})
        if log:
            ax.set_xscale("log")
        ax.set_xticks(every, [f"{x:,g}" for x in every])
        ax.minorticks_off()
        ax.set(title=title, xlabel=xlabel)
        ax.grid(axis="y", color="0.93")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=len(labels), frameon=False)
    return figure


def clouds(
    panels: Mapping[str, tuple[ArrayLike, ArrayLike]],
    xlabel: str,
    ylabel: str,
    law: tuple[ArrayLike, ArrayLike],
) -> Figure:
    """Points ``(x, y)`` in panels that share their axes, the law's curve in green."""
    figure, axes = panels_in_a_row(len(panels), 2.8, 2.6, sharex=True, sharey=True)
    for ax, (title, (x, y)) in zip(axes, panels.items(), strict=True):
        ax.plot(x, y, ".", ms=2, color=COLOURS["factor"], rasterized=True)
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
    figure, axes = panels_in_a_row(len(lines), min(3.6, 7.5 / len(lines)), 2.9, sharey=True)
    for ax, (effect, gates) in zip(axes, lines.items(), strict=True):
        strokes = iter(("-", "-."))
        for cause, values in gates.items():
            right = cause in true[effect]
            stroke = next(strokes, ":") if right else "--"
            colour = COLOURS["truth" if right else "intervention"]
            ax.plot(prices, values, stroke, lw=2, color=colour, label=cause)
        ax.set(xscale="log", xlabel="price λ of an open gate", title=f"gates into\n{effect}")
        ax.legend(frameon=False, loc="upper right", handlelength=2.6)
    axes[0].set_ylabel("how far the gate is open")
    axes[0].set_ylim(0, 1.25 * axes[0].get_ylim()[1])  # room for the legends
    return figure


def choice(
    candidates: Mapping[str, Sequence[tuple[tuple[str, ...], float, float, float]]],
    chosen: Mapping[str, int],
    critical: float,
) -> Figure:
    """Each node's nested parent sets, and how much worse than the best held-out rows are.

    ``candidates`` are ``{node: [(parents, log-likelihood, nats worse than the best, the same
    in standard errors), …]}``. The ``chosen`` numbers of parents are circled. Bars reach
    ``critical`` standard errors; one that touches 0 is not significantly worse. All nodes
    share one axis, so that a difference of nothing looks like nothing.
    """
    names: list[tuple[float, str]] = []
    y = 0.0
    figure, (ax,) = panels_in_a_row(1, 6.0, 0.8 + 0.36 * sum(map(len, candidates.values())))
    for node, sets in candidates.items():
        worse = np.array([row[2] for row in sets])
        errors = np.array([row[2] / row[3] if row[3] else 0.0 for row in sets])
        at = y + np.arange(len(sets))
        ax.errorbar(
            worse, at, xerr=critical * errors, fmt="o-", ms=4, color=COLOURS["posterior"]
        )
        k = chosen[node]
        ax.plot(worse[k], at[k], "o", ms=13, mew=2, mfc="none", color=COLOURS["truth"])
        added = [f"{node}: no cause"]
        for before, now in itertools.pairwise(sets):
            added.append("+ " + "".join(set(now[0]) - set(before[0])).replace("_", " "))
        names += zip(at, added, strict=True)
        y = at[-1] + 1.7
    ax.axvline(0, color="0.6", lw=0.8, zorder=0)
    ax.set_yticks(*zip(*names, strict=True))
    ax.set(xlabel="nats per row worse than the best set", ylim=(y - 1, -0.7))
    return figure


def ranking(values: ArrayLike, right: Sequence[bool], ylabel: str) -> Figure:
    """Sorted scores as bars, the right ones in green."""
    heights, is_right = np.asarray(values, float), np.asarray(right, bool)
    figure, (ax,) = panels_in_a_row(1, 6.5, 2.6)
    looks = {"right": ("truth", is_right), "wrong": ("intervention", ~is_right)}
    for label, (role, which) in looks.items():
        rows = np.flatnonzero(which)
        ax.bar(rows + 1, heights[rows], color=COLOURS[role], label=label)
    ax.set(xlabel="rank", ylabel=ylabel, xlim=(0.3, len(heights) + 0.7))
    ax.legend(frameon=False)
    return figure
