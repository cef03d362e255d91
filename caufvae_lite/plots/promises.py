"""The figures of notebook 04: what a promise rests on, and how it breaks."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from caufvae_lite.plots.lessons import COLOURS, Series, panels_in_a_row

Points = tuple[ArrayLike, ArrayLike]  # x and y, (n,) each
ENVIRONMENTS = (("posterior", "o"), ("noise", "^"), ("truth", "s"), ("prior", "D"))


def same_rank(
    values: ArrayLike, densities: Series, marks: Mapping[str, float], ylabel: str
) -> Figure:
    """Densities of one effect for different causes, drawn upright, and the same rank in each.

    Args:
        values: ``(k,)`` values of the effect, increasing.
        densities: ``{what the causes are: (k,)}``, one density for each.
        marks: by the same names the value of the marked rank. Whatever lies above it is
            shaded, in one colour, since it is the same noise. A line joins the marks.
        ylabel: the effect and its unit.
    """
    figure, (ax,) = panels_in_a_row(1, 4.6, 2.9)
    y = np.asarray(values, float)
    heights = {name: np.asarray(density, float) for name, density in densities.items()}
    widest = max(height.max() for height in heights.values())
    for k, (name, height) in enumerate(heights.items()):
        width = 0.75 * height / widest
        ax.fill_betweenx(y, k, k + width, color=COLOURS["factor"], alpha=0.45, lw=0)
        ax.fill_betweenx(
            y, k, k + width, where=y >= marks[name], color=COLOURS["noise"], lw=0,
            label="the largest fifth of the noise" if k == 0 else None,
        )  # fmt: skip
        ax.plot([k, k], y[[0, -1]], color="0.6", lw=0.8)
    at = np.arange(len(heights))
    ax.plot(at, [marks[name] for name in heights], "--", color=COLOURS["truth"], lw=1.5)
    ax.plot(
        at, [marks[name] for name in heights], "o", ms=7, color=COLOURS["truth"],
        label="rank 80 %",
    )  # fmt: skip
    ax.set_xticks(at + 0.25, list(heights))
    ax.set(ylabel=ylabel, xlim=(-0.15, len(heights)))
    figure.legend(loc="outside upper left", ncols=2, frameon=False)  # no bell reaches there
    return figure


def same_cloud(
    clouds: Mapping[str, Points],
    day: tuple[float, float],
    asked: float,
    truths: Mapping[str, float],
    answers: Mapping[str, float],
) -> Figure:
    """Data of several laws that look alike, and what each law says of one marked point.

    Args:
        clouds: ``{law: (causes (n,), effects (n,))}``.
        day: cause and effect of the marked point.
        asked: the cause that it is given.
        truths: ``{law: its effect then}``.
        answers: ``{law: what a model that was fitted to the law's data answers}``.
    """
    figure, axes = panels_in_a_row(len(clouds), 2.8, 2.9, sharex=True, sharey=True)
    for ax, (law, (cause, effect)) in zip(axes, clouds.items(), strict=True):
        ax.plot(cause, effect, ".", ms=2, color="0.75", rasterized=True)
        ax.plot(*day, "o", ms=8, color=COLOURS["data"], label="as it was")
        ax.plot(asked, truths[law], "o", ms=12, color=COLOURS["truth"], label="truth")
        ax.plot(
            asked, answers[law], "X", ms=8, color=COLOURS["intervention"],
            mec="white", label="the flow's answer",
        )  # fmt: skip
        arrow: dict[str, Any] = {
            "arrowstyle": "->",
            "color": COLOURS["truth"],
            "lw": 1.5,
            "shrinkB": 5,
        }
        ax.annotate("", (asked, truths[law]), day, arrowprops=arrow)
        ax.set(title=law, xlabel="cause")
    axes[0].set_ylabel("effect")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    return figure


def objections(
    amounts: ArrayLike, lost: Mapping[str, Series], xlabel: str, ylabel: str
) -> Figure:
    """What the data object to: a panel for each kind of data, a line for each change.

    ``lost`` are ``{kind of data: {change: (k,) log-likelihood lost}}`` for ``amounts``
    ``(k,)``, at most two changes. The first is broad, so that the second does not hide it.
    """
    figure, axes = panels_in_a_row(len(lost), 2.1, 2.6, sharey=True)
    looks = (("factor", "-", 6.0), ("intervention", "--", 1.8))
    for ax, (title, lines) in zip(axes, lost.items(), strict=True):
        for (name, values), (role, stroke, width) in zip(lines.items(), looks, strict=False):
            ax.plot(amounts, values, stroke, lw=width, color=COLOURS[role], label=name)
        ax.axhline(0, color="0.7", lw=0.8, zorder=0)
        ax.set_title(title)
        ax.grid(axis="y", color="0.93")
    axes[0].set_ylabel(ylabel)
    figure.supxlabel(xlabel, fontsize=9)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=2, frameon=False)
    return figure


def environments(panels: Series, segment: ArrayLike, shown: int = 4) -> Figure:
    """Clouds ``{title: (n, 2)}`` whose points are told apart by their segment ``(n,)``.

    The first ``shown`` segments have a colour and a marker (at most four), the rest is grey.
    All panels have one scale, so that clouds can be compared.
    """
    figure, axes = panels_in_a_row(len(panels), 1.9, 2.4, sharex=True, sharey=True)
    s = np.asarray(segment)
    reach = max(np.quantile(np.abs(np.asarray(cloud)), 0.999) for cloud in panels.values())
    for ax, (title, points) in zip(axes, panels.items(), strict=True):
        x, y = np.asarray(points, float).T
        ax.plot(x[s >= shown], y[s >= shown], ".", ms=1, color="0.85", rasterized=True)
        for k, (role, marker) in enumerate(ENVIRONMENTS[:shown]):
            rows = np.flatnonzero(s == k)[:120]
            ax.plot(
                x[rows], y[rows], marker, ms=3, mew=0, alpha=0.7, color=COLOURS[role],
                rasterized=True,
            )  # fmt: skip
        ax.set(title=title, xticks=[], yticks=[], aspect="equal")
        ax.set(xlim=(-reach, reach), ylim=(-reach, reach))
        ax.spines[:].set(visible=True, color="0.8")
    return figure


def broken(
    panels: Mapping[str, Mapping[str, Sequence[float]]],
    floors: Mapping[str, float] | None = None,
    reference: str = "",
    unread: str = "cannot be measured",
) -> Figure:
    """One assumption broken in each row: a point for every seed, a panel for every promise.

    Args:
        panels: ``{promise: {row: scores of its seeds}}``; every panel has the same rows.
        floors: by promise, the lowest score that is drawn. A row whose mean is lower is an
            arrow at the edge, with its mean.
        reference: the row whose mean a labelled line carries through the panel.
        unread: what is written where a row has no score, that is, NaN.
    """
    rows = list(next(iter(panels.values())))
    figure, axes = panels_in_a_row(len(panels), 2.4, 0.8 + 0.27 * len(rows), sharey=True)
    for ax, (title, scores) in zip(axes, panels.items(), strict=True):
        floor = (floors or {}).get(title, -np.inf)
        for k, row in enumerate(rows):
            _row_of_seeds(ax, k, np.asarray(scores[row], float), floor, unread)
        if reference:
            line: dict[str, Any] = {"color": COLOURS["truth"], "lw": 1.5, "zorder": 0}
            ax.axvline(float(np.mean(scores[reference])), label=reference, **line)
        ax.set(title=title, ylim=(len(rows) - 0.5, -0.5))
        ax.margins(x=0.12)
        ax.grid(axis="y", color="0.9")
    axes[0].set_yticks(range(len(rows)), rows)
    if reference:
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", frameon=False)
    return figure


def _row_of_seeds(ax: Axes, k: int, values: np.ndarray, floor: float, unread: str) -> None:
    look: dict[str, Any] = {"textcoords": "offset points", "fontsize": 8}
    if np.isnan(values).all():
        ax.annotate(unread, (0.5, k), xycoords=("axes fraction", "data"), ha="center",
                    va="center", fontsize=8, style="italic", color="0.4")  # fmt: skip
    elif values.mean() < floor:
        ax.plot(floor, k, "<", ms=6, color=COLOURS["intervention"])
        text = f"{values.mean():.1f}".replace("-", "\N{MINUS SIGN}")
        ax.annotate(text, (floor, k), (7, -3), color=COLOURS["intervention"], **look)
    else:
        ax.plot(values, np.full(len(values), k), "o", ms=5, alpha=0.6, mew=0,
                color=COLOURS["posterior"])  # fmt: skip
