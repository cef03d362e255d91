"""A figure to play with: sliders where a kernel lives, small multiples everywhere."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from IPython.display import display
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from caufvae_lite.notebook.figures import png, show

__all__ = ["corners", "explore", "small_multiples"]


def explore(draw: Callable[..., Figure], alt: str, **controls: Sequence[Any]) -> None:
    """Show a figure's small multiples, and under them sliders that redraw it.

    ``CAUFVAE_SLIDERS=0`` in the environment leaves the sliders out. With
    ``CAUFVAE_CORNERS=1`` (as the tests have it) ``draw`` is also called at every
    combination of first and last values.

    Args:
        draw: a pure function of its parameters that returns a figure.
        alt: what to see in the small multiples.
        controls: for each parameter of ``draw`` the values it may take, at least two. The
            static picture shows each at its first, middle and last value, the others held
            at their middle ones.

    Raises:
        ValueError: no control, a control with fewer than two values, or no sentence.
        TypeError: ``draw`` returned no figure.
    """
    if not controls:
        raise ValueError("explore needs a control: name=[its values].")
    for name, values in controls.items():
        if not hasattr(values, "__len__") or len(values) < 2:
            raise ValueError(
                f"{name} needs a list of two values or more to explore; got {values!r}."
            )
    if os.environ.get("CAUFVAE_CORNERS") == "1":
        for corner in corners(**controls):
            try:
                _figure(draw, corner)
            except Exception as error:
                raise RuntimeError(f"draw fails at {corner}: {error!r}") from error
    middle = {name: values[len(values) // 2] for name, values in controls.items()}
    panels = [
        (f"{name} = {value:g}", _figure(draw, {**middle, name: value}))
        for name, values in controls.items()
        for value in (values[0], middle[name], values[-1])
    ]
    show(small_multiples(panels), alt)
    if os.environ.get("CAUFVAE_SLIDERS", "1") != "0":
        _sliders(draw, controls, middle)


def corners(**controls: Sequence[Any]) -> list[dict[str, Any]]:
    """Every combination of each control's first and last value."""
    ends = [(values[0], values[-1]) for values in controls.values()]
    return [dict(zip(controls, chosen, strict=True)) for chosen in itertools.product(*ends)]


def small_multiples(panels: Sequence[tuple[str, Figure]]) -> Figure:
    """Titled figures in one: three a line, or one a line where they are wide."""
    width, height = panels[0][1].get_size_inches()
    across, cell = (3, 3.0) if width <= 6 else (1, 8.0)  # inches
    lines = -(-len(panels) // across)
    tall = cell * height / width + 0.3
    figure = Figure(figsize=(cell * across, tall * lines), layout="constrained")
    axes = figure.subplots(lines, across, squeeze=False)
    for ax, (title, part) in zip(axes.flat, panels, strict=True):
        canvas = FigureCanvasAgg(part)
        canvas.draw()
        ax.axis("off")
        ax.imshow(np.asarray(canvas.buffer_rgba()))
        ax.set_title(title)
    return figure


def _sliders(draw: Callable[..., Figure], controls: dict, start: dict[str, Any]) -> None:
    import ipywidgets as widgets

    image = widgets.Image(format="png", value=png(_figure(draw, start)))
    sliders = {
        name: widgets.SelectionSlider(
            options=[(f"{v:g}", v) for v in values],
            value=start[name],
            description=name,
            style={"description_width": "initial"},
        )
        for name, values in controls.items()
    }

    def redraw(_: Any) -> None:
        image.value = png(_figure(draw, {name: s.value for name, s in sliders.items()}))

    for slider in sliders.values():
        slider.observe(redraw, names="value")
    display(widgets.VBox([*sliders.values(), image]))


def _figure(draw: Callable[..., Figure], parameters: dict[str, Any]) -> Figure:
    figure = draw(**parameters)
    if not isinstance(figure, Figure):
        raise TypeError(
            f"draw must return a matplotlib Figure; for {parameters} it returned "
            f"{type(figure).__name__}."
        )
    return figure
