"""Figures in a notebook: each with a sentence that says what to see, some with sliders."""

from __future__ import annotations

import io
import itertools
import os
from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets as widgets
import numpy as np
from IPython.display import display
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from caufvae_lite.history import History

DPI = 110


def show(figure: Figure, alt: str) -> None:
    """Display a figure as a PNG with a sentence that says what to see in it.

    The sentence is the output's ``text/plain``: for screen readers, text diffs and tests.

    Raises:
        ValueError: ``alt`` is not a sentence, that is, has fewer than five words.
    """
    display(_with_sentence(figure, alt), raw=True)


def live(alt: str) -> Callable[[History], None]:
    """A callback for ``fit(on_epoch=…)``: the loss curves, redrawn after every epoch."""
    _check_sentence(alt)  # now, and not after the first epoch
    handle = None

    def redraw(history: History) -> None:
        nonlocal handle
        picture = _with_sentence(history.plot(), alt)
        if handle is None:
            handle = display(picture, raw=True, display_id=True)
        else:
            handle.update(picture, raw=True)

    return redraw


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
        _try_corners(draw, controls)
    middle = {name: values[len(values) // 2] for name, values in controls.items()}
    panels = [
        (_settings({name: value}, middle), _drawn(draw, {**middle, name: value}))
        for name, values in controls.items()
        for value in (values[0], middle[name], values[-1])
    ]
    show(small_multiples(panels), alt)
    if os.environ.get("CAUFVAE_SLIDERS") != "0":
        _show_sliders(draw, controls, middle)


def _settings(moved: dict[str, Any], middle: dict[str, Any]) -> str:
    """What a still shows: the control that moves, then in brackets those that are held."""
    held = {name: value for name, value in middle.items() if name not in moved}
    words = [
        ", ".join(f"{name} = {value:g}".replace("= -", "= −") for name, value in some.items())
        for some in (moved, held)
    ]
    return f"{words[0]} ({words[1]})" if held else words[0]


def _try_corners(draw: Callable[..., Figure], controls: dict[str, Sequence[Any]]) -> None:
    for ends in itertools.product(*((values[0], values[-1]) for values in controls.values())):
        corner = dict(zip(controls, ends, strict=True))
        try:
            _drawn(draw, corner)
        except Exception as error:
            raise RuntimeError(f"draw fails at {corner}: {error!r}") from error


def small_multiples(panels: Sequence[tuple[str, Figure]]) -> Figure:
    """Titled figures in one: three a line, or one a line where they are wide."""
    width, height = panels[0][1].get_size_inches()
    across, cell = (3, 3.0) if width <= 6 else (1, 8.0)  # inches
    lines = len(panels) // across  # there are three for each control
    tall = cell * height / width + 0.3
    figure = Figure(figsize=(cell * across, tall * lines), layout="constrained")
    axes = figure.subplots(lines, across, squeeze=False)
    for ax, (title, part) in zip(axes.flat, panels, strict=True):
        part.set_dpi(DPI * cell / width)  # one pixel of it is one pixel of the whole
        canvas = FigureCanvasAgg(part)
        part.draw_without_rendering()  # arrows end at boxes whose place is known only then
        canvas.draw()
        ax.axis("off")
        ax.imshow(np.asarray(canvas.buffer_rgba()))
        ax.set_title(title)
    return figure


def _show_sliders(
    draw: Callable[..., Figure], controls: dict[str, Sequence[Any]], start: dict[str, Any]
) -> None:
    natural = {"max_width": "100%", "height": "auto"}  # never stretched, and never too wide
    image = widgets.Image(format="png", value=_png(_drawn(draw, start)), layout=natural)
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
        image.value = _png(_drawn(draw, {name: s.value for name, s in sliders.items()}))

    for slider in sliders.values():
        slider.observe(redraw, names="value")
    display(widgets.VBox([*sliders.values(), image], layout={"align_items": "flex-start"}))


def _drawn(draw: Callable[..., Figure], parameters: dict[str, Any]) -> Figure:
    figure = draw(**parameters)
    if not isinstance(figure, Figure):
        raise TypeError(
            f"draw must return a matplotlib Figure; for {parameters} it returned "
            f"{type(figure).__name__}."
        )
    return figure


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_figure(buffer, format="png", dpi=DPI, facecolor="white")
    return buffer.getvalue()


def _with_sentence(figure: Figure, alt: str) -> dict[str, bytes | str]:
    _check_sentence(alt)
    return {"image/png": _png(figure), "text/plain": alt}


def _check_sentence(alt: str) -> None:
    if not isinstance(alt, str) or len(alt.split()) < 5:
        raise ValueError(
            f"alt must be a sentence that says what to see in the figure; got {alt!r}."
        )
