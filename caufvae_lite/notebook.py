"""The notebooks' three helpers: `setup`, `show` and `explore`."""

from __future__ import annotations

import io
import itertools
import os
import platform
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib
import numpy as np
import torch
from IPython.display import display
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from caufvae_lite.training import choose_device
from caufvae_lite.version import __version__

DPI = 110
STYLE: dict[str, Any] = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.labelsize": 9,
    "font.size": 9,
    "legend.fontsize": 8,
}


def setup(seed: int | None = None, device: str | None = None) -> torch.device:
    """Seed, style and device of a notebook, and one line that says what it runs on.

    Args:
        seed: of Python-side randomness; the environment's ``SEED`` or 0 where left out.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``; the environment's ``DEVICE`` or ``"auto"``.
    """
    seed = int(os.environ.get("SEED", 0)) if seed is None else seed
    chosen = choose_device(device or os.environ.get("DEVICE", "auto"))
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - for libraries that draw from the global state
    matplotlib.rcParams.update(STYLE)  # type: ignore[arg-type]
    print(
        f"caufvae_lite {__version__} · Python {platform.python_version()} · "
        f"torch {torch.__version__} · device {chosen} · seed {seed}"
    )
    return chosen


def show(figure: Figure, alt: str) -> None:
    """Display a figure as a PNG with a sentence that says what to see in it.

    The sentence is the output's ``text/plain``, so that screen readers, text diffs and
    tests get it as well.
    """
    if len(alt.split()) < 5:
        raise ValueError("alt must be a sentence that says what to see in the figure.")
    display({"image/png": _png(figure), "text/plain": alt}, raw=True)


def explore(draw: Callable[..., Figure], alt: str, **controls: Sequence[Any]) -> None:
    """A figure to play with: static small multiples always, sliders where a kernel lives.

    Args:
        draw: a pure function of its parameters that returns a figure.
        alt: what to see in the small multiples.
        controls: for each parameter of ``draw`` the values it may take, at least two. The
            static picture shows each at its first, middle and last value, the others held
            at their middle ones.
    """
    middle = {name: values[len(values) // 2] for name, values in controls.items()}
    panels = []
    for name, values in controls.items():
        for value in (values[0], middle[name], values[-1]):
            panels.append((f"{name} = {value:g}", draw(**{**middle, name: value})))
    show(_small_multiples(panels, across=3), alt)
    if os.environ.get("CAUFVAE_SLIDERS", "1") == "0":
        return
    import ipywidgets as widgets

    image = widgets.Image(format="png", value=_png(draw(**middle)))
    sliders = {
        name: widgets.SelectionSlider(
            options=[(f"{v:g}", v) for v in values],
            value=middle[name],
            description=name,
            continuous_update=True,
            style={"description_width": "initial"},
        )
        for name, values in controls.items()
    }

    def redraw(_: Any) -> None:
        image.value = _png(draw(**{name: s.value for name, s in sliders.items()}))

    for slider in sliders.values():
        slider.observe(redraw, names="value")
    display(widgets.VBox([*sliders.values(), image]))


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_figure(buffer, format="png", dpi=DPI, facecolor="white")
    return buffer.getvalue()


def _small_multiples(panels: list[tuple[str, Figure]], across: int) -> Figure:
    lines = -(-len(panels) // across)
    figure = Figure(figsize=(2.6 * across, 2.4 * lines), layout="constrained")
    axes = figure.subplots(lines, across, squeeze=False)
    for ax, panel in itertools.zip_longest(axes.flat, panels):
        ax.axis("off")
        if panel is not None:
            title, part = panel
            canvas = FigureCanvasAgg(part)
            canvas.draw()
            ax.imshow(np.asarray(canvas.buffer_rgba()))
            ax.set_title(title)
    return figure
