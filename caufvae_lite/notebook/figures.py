"""Figures in a notebook: each with a sentence that says what to see, some with sliders."""

from __future__ import annotations

import base64
import io
import itertools
import json
import os
import struct
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import numpy as np
from IPython.display import display
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from PIL import Image

from caufvae_lite.history import History

DPI = 110  # of the page
SHARP = 2  # a picture's pixels per pixel of the page: high-density screens show them all
SCRIPT = Path(__file__).parent / "controls.js"


def show(figure: Figure, alt: str) -> None:
    """Display a figure as a PNG with a sentence that says what to see in it.

    The sentence is the output's ``text/plain``, for text diffs and tests, and the alt text of
    its ``text/html``, for screen readers: JupyterLab shows ``image/png`` without any alt text.

    Raises:
        ValueError: ``alt`` is not a sentence, that is, has fewer than five words.
    """
    data, metadata = _with_sentence(figure, alt)
    display(data, metadata=metadata, raw=True)


def live(alt: str) -> Callable[[History], None]:
    """A callback for ``fit(on_epoch=…)``: the loss curves, redrawn after every epoch."""
    _check_sentence(alt)  # now, and not after the first epoch
    handle = None

    def redraw(history: History) -> None:
        nonlocal handle
        data, metadata = _with_sentence(history.plot(), alt)
        if handle is None:
            handle = display(data, metadata=metadata, raw=True, display_id=True)
        else:
            handle.update(data, metadata=metadata, raw=True)

    return redraw


def explore(draw: Callable[..., Figure], alt: str, **controls: Sequence[Any]) -> None:
    """Show a figure's small multiples, and under them sliders that redraw it.

    Where there are sliders, the small multiples are folded. ``CAUFVAE_SLIDERS=0`` in the
    environment leaves the sliders out. With
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
    data, metadata = _with_sentence(small_multiples(panels), alt)
    if os.environ.get("CAUFVAE_SLIDERS") == "0":
        display(data, metadata=metadata, raw=True)
        return
    box = _sliders(draw, controls, middle)
    own = f"caufvae-{box.model_id}"
    box.add_class(own)
    folded = f"<details><summary>Still pictures</summary>{data['text/html']}</details>"
    given = f"{json.dumps(own)}, {json.dumps(alt)}".replace("</", "<\\/")
    data["text/html"] = f"{folded}<script>({SCRIPT.read_text('utf-8')})({given})</script>"
    display(data, metadata=metadata, raw=True)
    display(box)


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
    dpi = DPI * SHARP
    figure = Figure(figsize=(cell * across, tall * lines), dpi=dpi)
    for k, (title, part) in enumerate(panels):
        left, top = k % across * cell, (lines - k // across) * tall
        part.set_dpi(dpi * cell / width)  # as many pixels as it gets: none is blurred
        corner = round(left * dpi), round((top - tall) * dpi)
        figure.figimage(_pixels(part), *corner)
        place = ((left + cell / 2) / (cell * across), (top - 0.15) / (tall * lines))
        figure.text(*place, title, ha="center", va="center")
    return figure


def _sliders(
    draw: Callable[..., Figure], controls: dict[str, Sequence[Any]], start: dict[str, Any]
) -> widgets.VBox:
    image = widgets.Image(format="png", layout={"max_width": "100%", "height": "auto"})
    same = {"description_width": f"{max(map(len, controls)) + 1}ch"}  # tracks in line
    sliders = {
        name: widgets.SelectionSlider(
            options=[(f"{v:g}", v) for v in values],
            value=start[name],
            description=name.replace("_", " "),
            style=same,
            layout={"width": "34rem", "max_width": "98%"},
        )
        for name, values in controls.items()
    }

    def redraw(_: Any) -> None:
        picture = _png(_drawn(draw, {name: s.value for name, s in sliders.items()}))
        with image.hold_sync():
            image.value, image.width = picture, str(_size(picture)[0])

    redraw(None)
    for slider in sliders.values():
        slider.observe(redraw, names="value")
    return widgets.VBox([*sliders.values(), image], layout={"align_items": "flex-start"})


def _drawn(draw: Callable[..., Figure], parameters: dict[str, Any]) -> Figure:
    figure = draw(**parameters)
    if not isinstance(figure, Figure):
        raise TypeError(
            f"draw must return a matplotlib Figure; for {parameters} it returned "
            f"{type(figure).__name__}."
        )
    return figure


def _png(figure: Figure) -> bytes:
    """A file of ``SHARP`` times ``DPI``."""
    figure.set_dpi(DPI * SHARP)
    figure.set_facecolor("white")
    buffer, picture = io.BytesIO(), Image.fromarray(_pixels(figure)[..., :3])
    picture.save(buffer, "PNG", compress_level=1)  # fast, and a tenth larger
    return buffer.getvalue()


def _pixels(figure: Figure) -> np.ndarray:
    """The figure ``(h, w, 4)`` in its own resolution.

    Arrows end at boxes, whose places are known only once they have been drawn. So a figure with
    arrows is drawn twice, as matplotlib draws every figure that it saves.
    """
    canvas = FigureCanvasAgg(figure)
    if any(note.arrow_patch is not None for note in figure.findobj(Annotation)):
        figure.draw_without_rendering()
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())


def _size(png: bytes) -> tuple[int, int]:
    """Width and height on the page, from the file's own header."""
    width, height = struct.unpack(">2I", png[16:24])
    return width // SHARP, height // SHARP


def _with_sentence(figure: Figure, alt: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The picture in three formats, and its size and sentence for those who read metadata."""
    _check_sentence(alt)
    png = _png(figure)
    width, height = _size(png)
    source = f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"
    html = (
        f'<img src="{source}" alt="{escape(alt)}" width="{width}" '
        'style="max-width: 100%; height: auto">'
    )
    data = {"text/html": html, "image/png": png, "text/plain": alt}
    return data, {"image/png": {"alt": alt, "width": width, "height": height}}


def _check_sentence(alt: str) -> None:
    if not isinstance(alt, str) or len(alt.split()) < 5:
        raise ValueError(
            f"alt must be a sentence that says what to see in the figure; got {alt!r}."
        )
