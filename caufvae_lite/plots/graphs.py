"""Causal graphs, and matrices beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import networkx as nx
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from caufvae_lite.graph import CausalGraph
from caufvae_lite.plots.look import COLOURS, panels_in_a_row


def causal_graph(graph: CausalGraph, do: Sequence[str] = ()) -> Figure:
    """The graph, causes above effects; an intervention cuts the edges into its node."""
    figure, (ax,) = panels_in_a_row(1, 5.5, 1.2 + 0.8 * len(graph.generations))
    _graph_panel(ax, graph, do)
    return figure


def _graph_panel(
    ax: Axes, graph: CausalGraph, do: Sequence[str] = (), node_size: int = 2200
) -> None:
    where = {
        node: ((k + 0.5) / len(generation) + (0.2 if lone else 0) * (-1) ** depth, -depth)
        for depth, generation in enumerate(graph.generations)
        for lone in (len(generation) == 1,)  # zigzag, or an edge would run through a node
        for k, node in enumerate(generation)
    }
    colours = [COLOURS["intervention"] if n in do else COLOURS["factor"] for n in graph.nodes]
    kept = [e for e in graph.edges if e[1] not in do]
    cut = [e for e in graph.edges if e[1] in do]
    drawn, size = graph.digraph, {"node_size": node_size, "ax": ax}
    nx.draw_networkx_nodes(drawn, where, graph.nodes, node_color=colours, **size)
    nx.draw_networkx_edges(drawn, where, kept, **size)
    nx.draw_networkx_edges(drawn, where, cut, style="dotted", edge_color="0.7", **size)
    names = {n: n.replace("_", "\n") for n in graph.nodes}
    nx.draw_networkx_labels(drawn, where, names, font_size=8, ax=ax)
    ax.margins(0.25)
    ax.axis("off")


def graph_and_matrices(
    graph: CausalGraph, panels: Mapping[str, ArrayLike], names: Sequence[str]
) -> Figure:
    """A graph beside matrices whose rows and columns are its nodes."""
    figure, (first, *axes) = panels_in_a_row(len(panels) + 1, 2.1, 2.7)
    _graph_panel(first, graph, node_size=1100)
    for k, (ax, (title, values)) in enumerate(zip(axes, panels.items(), strict=True)):
        rows = names if k == 0 else ()
        _matrix_panel(ax, np.asarray(values, float), title, rows, names)
    return figure


def matrices(
    panels: Mapping[str, ArrayLike], rows: Sequence[str] = (), columns: Sequence[str] = ()
) -> Figure:
    """Matrices side by side, darker where the absolute value is larger, numbers written in."""
    figure, axes = panels_in_a_row(len(panels), 2.4, 2.7)
    for ax, (title, values) in zip(axes, panels.items(), strict=True):
        _matrix_panel(ax, np.asarray(values, float), title, rows, columns)
    return figure


def _matrix_panel(
    ax: Axes, matrix: np.ndarray, title: str, rows: Sequence[str], columns: Sequence[str]
) -> None:
    """One matrix with its entries written in; exact zeros stay white and empty."""
    size = np.abs(matrix)
    top = size.max() or 1.0
    ax.imshow(size, cmap="Blues", vmin=0, vmax=1.8 * top)
    whole = bool(np.all(matrix == np.round(matrix)))
    for i, j in np.argwhere(size > 0):
        text = f"{matrix[i, j]:.0f}" if whole else f"{matrix[i, j]:.2f}".replace("0.", ".")
        ax.text(j, i, text, ha="center", va="center", fontsize=7)
    ax.set_xticks(range(len(columns)), columns, rotation=30, ha="right")
    ax.set_yticks(range(len(rows)), rows)
    ax.spines[:].set_visible(True)
    ax.set_title(title)
