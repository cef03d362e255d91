"""The figures of notebook 07: arrows that an order allows, and those that are left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from caufvae_lite.plots.lessons import COLOURS, Names, panels_in_a_row

Arrow = tuple[str, str]  # cause and effect


def arcs(
    nodes: Names,
    panels: Mapping[str, Mapping[Arrow, float]],
    true: Mapping[str, Sequence[Arrow]] | None = None,
) -> Figure:
    """Arrows between factors that stand below each other in causal order, a panel each.

    Args:
        nodes: the factors, causes above effects.
        panels: ``{title: {(cause, effect): width from 0 to 1}}``; 0 is not drawn.
        true: by panel, the arrows of the true graph. They are green, and dotted where the
            panel lacks them; others are red and dashed. A panel without has grey arrows.
    """
    longest = max(len(line) for name in nodes for line in name.split("_"))
    step, named = 0.42, 0.09 * longest  # inches
    width = max(1.5, 0.4 * step * len(nodes) + 0.6) + named / len(panels)
    figure, axes = panels_in_a_row(len(panels), width, step * len(nodes) + 0.6)
    for k, (ax, (title, arrows)) in enumerate(zip(axes, panels.items(), strict=True)):
        right = (true or {}).get(title)
        for arrow in right or ():
            if not arrows.get(arrow, 0):
                _arc(ax, nodes, arrow, COLOURS["truth"], ":", 1.0)
        for arrow, open_by in arrows.items():
            colour, stroke = (COLOURS["truth"], "-") if right else ("0.55", "-")
            if right and arrow not in right:
                colour, stroke = COLOURS["intervention"], "--"
            if open_by > 0:
                _arc(ax, nodes, arrow, colour, stroke, 0.6 + 2.2 * min(open_by, 1))
        y = -np.arange(len(nodes))
        ax.plot(np.zeros(len(nodes)), y, "o", ms=6, color=COLOURS["factor"], mec="0.3")
        for name, at in zip(nodes if k == 0 else (), y, strict=False):
            ax.annotate(
                name.replace("_", "\n"), (0, at), (-9, 0), textcoords="offset points",
                ha="right", va="center", fontsize=10, annotation_clip=False,
            )  # fmt: skip
        ax.set(xlim=(-0.1, 1), ylim=(0.5 - len(nodes), 0.5))
        ax.set_title(title, fontsize=10)
        ax.axis("off")
    return figure


def _arc(ax: Axes, nodes: Names, arrow: Arrow, colour: str, stroke: str, width: float) -> None:
    """A bow to the right of the column, the wider the more factors it spans."""
    start, end = (-nodes.index(name) for name in arrow)
    look: dict[str, Any] = {
        "arrowstyle": "-|>", "color": colour, "lw": width, "ls": stroke, "shrinkA": 4,
        "shrinkB": 4, "mutation_scale": 9, "connectionstyle": "arc3,rad=-0.75",
    }  # fmt: skip
    ax.annotate("", (0.02, end), (0.02, start), arrowprops=look, annotation_clip=False)
