"""The figures: one function each, one colour a role, everywhere the same.

Colours are Okabe and Ito's, which colour-blind readers can tell apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import networkx as nx
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    from caufvae_lite.graph import CausalGraph
    from caufvae_lite.history import History

COLOURS = {
    "data": "#000000",
    "noise": "#E69F00",
    "factor": "#56B4E9",
    "posterior": "#0072B2",
    "prior": "#CC79A7",
    "intervention": "#D55E00",
    "truth": "#009E73",
}


def loss_curves(history: History) -> Figure:
    """The weighted terms of the loss over the epochs; lines train, dashes held out."""
    figure = Figure(figsize=(9, 2.6), layout="constrained")
    axes = figure.subplots(1, 4)
    epochs = np.arange(1, len(history) + 1)
    terms = ("reconstruction", "kl", "supervision", "label_likelihood")
    for ax, term in zip(axes, terms, strict=True):
        ax.plot(epochs, [e[term] for e in history.train], color=COLOURS["posterior"])
        ax.plot(epochs, [e[term] for e in history.validation], "--", color=COLOURS["data"])
        ax.set(title=term.replace("_", " "), xlabel="epoch")
        if term in ("reconstruction", "supervision"):
            ax.set_yscale("log")
        if history.best_epoch >= 0:
            ax.axvline(history.best_epoch + 1, color="0.85", zorder=0)
    axes[0].set_ylabel("nats an image")
    axes[0].legend(["train", "held out"], frameon=False)
    return figure


def picture_rows(rows: Mapping[str, ArrayLike], columns: Sequence[str] = ()) -> Figure:
    """Strips of pictures: ``{row title: (k, c, h, w) images in [0, 1]}``."""
    strips = {title: np.asarray(images, float) for title, images in rows.items()}
    k = max(len(strip) for strip in strips.values())
    figure = Figure(figsize=(1.15 * k + 1.4, 1.2 * len(strips) + 0.3), layout="constrained")
    axes = figure.subplots(len(strips), k, squeeze=False)
    for line, (title, strip) in zip(axes, strips.items(), strict=True):
        for ax in line:
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_color("0.8")
        for ax, image in zip(line, strip, strict=False):
            ax.imshow(image.transpose(1, 2, 0).squeeze(), cmap="gray", vmin=0, vmax=1)
        line[0].set_ylabel(title, rotation=0, ha="right", va="center")
    for ax, name in zip(axes[0], columns, strict=False):
        ax.set_title(name, fontsize=9)
    return figure


def difference(image: ArrayLike, truth: ArrayLike) -> np.ndarray:
    """Where two pictures differ, dark on white: 1 − mean |difference| over channels."""
    gap = np.abs(np.asarray(image, float) - np.asarray(truth, float)).mean(-3, keepdims=True)
    return np.repeat(1 - gap, 3, axis=-3)


def truth_scatter(
    truth: ArrayLike, found: ArrayLike, names: Sequence[str], units: Mapping[str, str]
) -> Figure:
    """One panel a factor: the truth across, what was found up, the diagonal in green."""
    t, f = np.asarray(truth), np.asarray(found)
    figure = Figure(figsize=(2.5 * len(names), 2.6), layout="constrained")
    for i, (ax, name) in enumerate(zip(figure.subplots(1, len(names)), names, strict=True)):
        ax.plot(t[:, i], f[:, i], ".", ms=2, color=COLOURS["factor"], rasterized=True)
        ends = [t[:, i].min(), t[:, i].max()]
        ax.plot(ends, ends, color=COLOURS["truth"], lw=1)
        ax.set(title=name, xlabel=f"true ({units[name]})")
        ax.set_ylabel("found" if i == 0 else "")
    return figure


def causal_graph(graph: CausalGraph, do: Sequence[str] = ()) -> Figure:
    """The graph, causes above effects; an intervention cuts the edges into its node."""
    where = {
        node: ((k + 0.5) / len(generation), -depth)
        for depth, generation in enumerate(graph.generations)
        for k, node in enumerate(generation)
    }
    figure = Figure(figsize=(5.5, 1.2 + 0.8 * len(graph.generations)), layout="constrained")
    ax = figure.subplots()
    colours = [COLOURS["intervention"] if n in do else COLOURS["factor"] for n in graph.nodes]
    kept = [e for e in graph.edges if e[1] not in do]
    nx.draw_networkx_nodes(
        graph.digraph, where, nodelist=graph.nodes, node_color=colours, node_size=2200, ax=ax
    )
    nx.draw_networkx_edges(graph.digraph, where, edgelist=kept, node_size=2200, ax=ax)
    cut = [e for e in graph.edges if e[1] in do]
    if cut:
        nx.draw_networkx_edges(
            graph.digraph, where, cut, style="dotted", edge_color="0.7", node_size=2200, ax=ax
        )
    names = {n: n.replace("_", "\n") for n in graph.nodes}
    nx.draw_networkx_labels(graph.digraph, where, labels=names, font_size=8, ax=ax)
    ax.margins(0.25)
    ax.axis("off")
    return figure


def mechanism(
    x: ArrayLike, law: ArrayLike, curves: Mapping[str, ArrayLike], xlabel: str, ylabel: str
) -> Figure:
    """Learned mechanisms (dashed, dotted, …) over the law they should have learned."""
    figure = Figure(figsize=(5, 3), layout="constrained")
    ax = figure.subplots()
    ax.plot(x, law, color=COLOURS["truth"], lw=4, alpha=0.5, label="the law")
    for (name, curve), style in zip(curves.items(), ("--", ":", "-."), strict=False):
        ax.plot(x, curve, style, color=COLOURS["posterior"], label=name)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.legend(frameon=False)
    return figure
