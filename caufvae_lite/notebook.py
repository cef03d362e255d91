"""The notebooks' three helpers: `setup`, `show` and `explore`."""

from __future__ import annotations

import io
import itertools
import os
import platform
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from typing import Any

import numpy as np
import torch
from IPython.display import DisplayHandle, display
from matplotlib import style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from caufvae_lite.history import History
from caufvae_lite.scaling.processes import choose_device
from caufvae_lite.version import __version__

DPI = 110
STYLE = "caufvae_lite.style"  # style.mplstyle, beside this file

# The notebooks were run with versions from the first up to, not including, the second.
TESTED = {
    "Python": ("3.11", "3.14"),
    "torch": ("2.11", "2.14"),
    "numpy": ("2.0", "3.0"),
    "matplotlib": ("3.10", "4.0"),
    "ipywidgets": ("7.7", "9.0"),
}


def setup(seed: int | None = None, device: str | None = None) -> torch.device:
    """Seed, style and device of a notebook, and one line that says what it runs on.

    Warns, in a second line, of versions outside those that the notebooks were tested with.

    Args:
        seed: of Python-side randomness; the environment's ``SEED`` or 0 where left out.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``; the environment's ``DEVICE`` or ``"auto"``.
    """
    seed = int(os.environ.get("SEED", 0)) if seed is None else seed
    chosen = choose_device(device or os.environ.get("DEVICE", "auto"))
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - for libraries that draw from the global state
    style.use(STYLE)
    print(
        f"caufvae_lite {__version__} · Python {platform.python_version()} · "
        f"torch {torch.__version__} · device {chosen} · seed {seed}"
    )
    for line in untested(_versions()):
        warnings.warn(line, stacklevel=2)
    return chosen


def untested(versions: Mapping[str, str]) -> list[str]:
    """A sentence for each of ``versions`` that lies outside the tested range."""
    lines = []
    for name, (first, end) in TESTED.items():
        if name in versions and not (_key(first) <= _key(versions[name]) < _key(end)):
            lines.append(
                f"{name} {versions[name]} is outside the tested range, {first} up to {end}: "
                "numbers may differ. constraints/ci.txt has versions that work."
            )
    return lines


def _versions() -> dict[str, str]:
    packages = [name for name in TESTED if name != "Python"]
    return {"Python": platform.python_version()} | {n: metadata.version(n) for n in packages}


def _key(version: str) -> tuple[int, ...]:
    """Major and minor, to compare."""
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


def show(figure: Figure, alt: str) -> None:
    """Display a figure as a PNG with a sentence that says what to see in it.

    The sentence is the output's ``text/plain``, so that screen readers, text diffs and
    tests get it as well.
    """
    _check_sentence(alt)
    display({"image/png": _png(figure), "text/plain": alt}, raw=True)


def live(alt: str) -> Callable[[History], None]:
    """A callback for ``fit(on_epoch=…)``: the loss curves, redrawn after every epoch."""
    _check_sentence(alt)
    handle: DisplayHandle | None = None

    def redraw(history: History) -> None:
        nonlocal handle
        picture = {"image/png": _png(history.plot()), "text/plain": alt}
        if handle is None:
            handle = display(picture, raw=True, display_id=True)
        else:
            handle.update(picture, raw=True)

    return redraw


def explore(draw: Callable[..., Figure], alt: str, **controls: Sequence[Any]) -> None:
    """A figure to play with: static small multiples always, sliders where a kernel lives.

    Args:
        draw: a pure function of its parameters that returns a figure.
        alt: what to see in the small multiples.
        controls: for each parameter of ``draw`` the values it may take, at least two. The
            static picture shows each at its first, middle and last value, the others held
            at their middle ones.

    With ``CAUFVAE_CORNERS=1`` in the environment (as the tests have it) ``draw`` is also
    called at every combination of first and last values.
    """
    _check_sentence(alt)
    _check_controls(controls)
    if os.environ.get("CAUFVAE_CORNERS") == "1":
        _try_corners(draw, controls)
    middle = {name: values[len(values) // 2] for name, values in controls.items()}
    panels = []
    for name, values in controls.items():
        for value in (values[0], middle[name], values[-1]):
            panels.append((f"{name} = {value:g}", _figure(draw, {**middle, name: value})))
    show(_small_multiples(panels), alt)
    if os.environ.get("CAUFVAE_SLIDERS", "1") == "0":
        return
    import ipywidgets as widgets

    image = widgets.Image(format="png", value=_png(_figure(draw, middle)))
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
        image.value = _png(_figure(draw, {name: s.value for name, s in sliders.items()}))

    for slider in sliders.values():
        slider.observe(redraw, names="value")
    display(widgets.VBox([*sliders.values(), image]))


def _check_sentence(alt: str) -> None:
    if not isinstance(alt, str) or len(alt.split()) < 5:
        raise ValueError(
            f"alt must be a sentence that says what to see in the figure; got {alt!r}."
        )


def _check_controls(controls: Mapping[str, Sequence[Any]]) -> None:
    if not controls:
        raise ValueError("explore needs a control: name=[its values].")
    for name, values in controls.items():
        if not hasattr(values, "__len__") or len(values) < 2:
            raise ValueError(
                f"{name} needs a list of two values or more to explore; got {values!r}."
            )


def corners(**controls: Sequence[Any]) -> list[dict[str, Any]]:
    """Every combination of each control's first and last value."""
    ends = [(values[0], values[-1]) for values in controls.values()]
    return [dict(zip(controls, chosen, strict=True)) for chosen in itertools.product(*ends)]


def _try_corners(draw: Callable[..., Figure], controls: Mapping[str, Sequence[Any]]) -> None:
    for corner in corners(**controls):
        try:
            _figure(draw, corner)
        except Exception as error:
            raise RuntimeError(f"draw fails at {corner}: {error!r}") from error


def _figure(draw: Callable[..., Figure], parameters: dict[str, Any]) -> Figure:
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


def _small_multiples(panels: list[tuple[str, Figure]]) -> Figure:
    """Three a line, so that each line shows one control; one a line where they are wide."""
    width, height = panels[0][1].get_size_inches()
    across = 3 if width <= 6 else 1  # inches
    lines = -(-len(panels) // across)
    cell = 9.0 / 3 if across == 3 else 8.0
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
