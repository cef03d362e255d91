"""Strips of pictures, and what was found in them against the truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from caufvae_lite.plots.look import COLOURS, panels_in_a_row


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
    """For each factor a panel: the truth across, what was found up, the diagonal in green."""
    t, f = np.asarray(truth), np.asarray(found)
    figure, axes = panels_in_a_row(len(names), 2.5, 2.6)
    for i, (ax, name) in enumerate(zip(axes, names, strict=True)):
        ax.plot(t[:, i], f[:, i], ".", ms=2, color=COLOURS["factor"], rasterized=True)
        ends = [t[:, i].min(), t[:, i].max()]
        ax.plot(ends, ends, color=COLOURS["truth"], lw=1)
        ax.set(title=name, xlabel=f"true ({units[name]})")
        ax.set_ylabel("found" if i == 0 else "")
    return figure
