"""A causal graph drawn in layers, beside matrices, and with values walking through it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from caufvae_lite.graph import CausalGraph
from caufvae_lite.plots.lessons import COLOURS, Names, Series, matrix_panel, panels_in_a_row


def causal_graph(graph: CausalGraph, do: Names = ()) -> Figure:
    """The graph in layers, causes left of effects; an intervention cuts the edges into it."""
    figure, ax = _figure_for(graph)
    graph_panel(ax, graph, do)
    return figure


def graph_and_matrices(graph: CausalGraph, panels: Series, names: Names) -> Figure:
    """A graph and its models' Jacobians ∂ε/∂z ``(d, d)``, three a line, over its nodes."""
    lines = -(-(len(panels) + 1) // 3)
    figure = Figure(figsize=(7.2, 2.5 * lines), layout="constrained")
    first, *axes = figure.subplots(lines, 3, squeeze=False).flat
    graph_panel(first, graph, down=True)
    first.set_title("the graph")
    for k, (ax, (title, values)) in enumerate(zip(axes, panels.items(), strict=False)):
        rows = [f"ε {n}" for n in names] if (k + 1) % 3 == 0 or k == 0 else []
        matrix_panel(ax, values, title, rows, [f"z {n}" for n in names])
    for ax in axes[len(panels) :]:
        ax.axis("off")
    return figure


def graph_walk(
    graph: CausalGraph,
    values: Mapping[str, float],
    known: Names,
    do: Names = (),
    now: Names = (),
) -> Figure:
    """How far a walk through the graph has come: values in the nodes that have been passed.

    Args:
        graph: what is walked.
        values: by node, what is written into it once it is known.
        known: the nodes that have been passed.
        do: the nodes that are set from outside; the edges into them are cut.
        now: the nodes that are computed in this step, whose edges are lit.
    """
    figure, ax = _figure_for(graph, wider=0.1)
    texts = {
        n: f"{n.replace('_', ' ')}\n{f'{values[n]:.2f}' if n in known else '?'}"
        for n in graph.nodes
    }
    texts = {n: text.replace("-", "−") for n, text in texts.items()}
    pale = [n for n in graph.nodes if n not in known]
    lit = [(a, b) for a, b in graph.edges if b in now and b not in do]
    graph_panel(ax, graph, do, texts=texts, pale=pale, lit=lit)
    return figure


def _figure_for(graph: CausalGraph, wider: float = 0.0) -> tuple[Figure, Axes]:
    deep, broad = len(graph.generations), max(map(len, graph.generations))
    width, height = (1.5 + wider) * deep + 0.4, max(1.5, 0.75 * broad)
    figure, (ax,) = panels_in_a_row(1, width, height)
    return figure, ax


def layers(graph: CausalGraph) -> dict[str, tuple[float, float]]:
    """Where each node stands: its generation, and its place in the layer from 1 down to 0."""
    where = {}
    for depth, generation in enumerate(graph.generations):
        for k, node in enumerate(generation):
            where[node] = (float(depth), 1 - (k + 0.5) / len(generation))
        if len(generation) == 1:  # zigzag, or an edge would run through a node
            where[generation[0]] = (float(depth), (0.2, 0.8)[depth % 2])
    return where


def _bend(where: Mapping[str, tuple[float, float]], cause: str, effect: str) -> float:
    """How far an edge must bow outwards, lest it run through another node's box."""
    (x, y), (to_x, to_y) = where[cause], where[effect]
    for node, (across, up) in where.items():
        if node not in (cause, effect) and x < across < to_x:
            straight = y + (to_y - y) * (across - x) / (to_x - x)
            if abs(straight - up) < 0.15:
                return 0.12 if straight <= up else -0.12
    return 0.0


def graph_panel(
    ax: Axes,
    graph: CausalGraph,
    do: Names = (),
    *,
    down: bool = False,
    texts: Mapping[str, str] | None = None,
    pale: Names = (),
    lit: Sequence[tuple[str, str]] = (),
) -> None:
    """Draw the graph into ``ax``: boxes as large as their words, arrows that end at them.

    Args:
        ax: what is drawn into.
        graph: what is drawn.
        do: nodes that are set from outside; edges into them are dotted.
        down: effects below their causes, and not at their right.
        texts: by node, what is written into it; its name where left out.
        pale: nodes that are not known yet.
        lit: edges to be drawn in colour.
    """
    where = {n: (y, -x) if down else (x, y) for n, (x, y) in layers(graph).items()}
    boxes = {}
    for node in graph.nodes:
        role = "intervention" if node in do else "factor"
        face = "white" if node in pale else COLOURS[role]
        box = {"boxstyle": "round,pad=0.35", "fc": face, "ec": COLOURS[role], "lw": 1.5}
        text = (texts or {}).get(node, node.replace("_", "\n"))
        ink = "white" if node in do and node not in pale else "black"
        drawn = ax.text(
            *where[node], text, ha="center", va="center", color=ink, bbox=box, zorder=2
        )
        boxes[node] = drawn.get_bbox_patch()
    for cause, effect in graph.edges:
        bend = _bend(layers(graph), cause, effect)
        look = {"arrowstyle": "-|>", "color": "0.25", "lw": 1.3, "mutation_scale": 12}
        if effect in do:
            look |= {"ls": (0, (1, 2)), "color": "0.6"}
        elif (cause, effect) in lit:
            look |= {"color": COLOURS["posterior"], "lw": 3}
        ax.annotate(
            "", where[effect], where[cause], zorder=1, arrowprops={
                **look, "patchA": boxes[cause], "patchB": boxes[effect], "shrinkA": 1,
                "shrinkB": 1, "connectionstyle": f"arc3,rad={bend}",
            },
        )  # fmt: skip
    xy = np.array(list(where.values()))
    ax.set_xlim(xy[:, 0].min() - 0.5, xy[:, 0].max() + 0.5)
    ax.set_ylim(xy[:, 1].min() - 0.3, xy[:, 1].max() + 0.3)
    ax.axis("off")


def one_case(
    answers: Series, names: Names, limits: tuple[float, float], roles: Names
) -> Figure:
    """What several sources say about one case: ``{source: (d,)}`` as small bars, by name.

    It is small and its words are large, so that three of them side by side can be read.
    """
    figure, (ax,) = panels_in_a_row(1, 3.2, 2.5)
    width = 0.84 / len(answers)
    for k, ((label, values), role) in enumerate(zip(answers.items(), roles, strict=True)):
        where = np.arange(len(names)) + width * (k - (len(answers) - 1) / 2)
        ax.bar(where, np.asarray(values, float), 0.93 * width, color=COLOURS[role])
        place = ((k + 0.5) / len(answers), 1.02)
        ax.text(
            *place, label, color=COLOURS[role], weight="bold", fontsize=11, ha="center",
            transform=ax.transAxes,
        )  # fmt: skip
    ax.axhline(0, color="0.7", lw=0.8, zorder=0)
    ax.set_xticks(range(len(names)), names, fontsize=10)
    ax.set(ylim=limits)
    return figure
