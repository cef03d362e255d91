"""Figures in a notebook: each with a sentence that says what to see in it."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING

from IPython.display import DisplayHandle, display
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from caufvae_lite.history import History

__all__ = ["live", "png", "show"]

DPI = 110


def show(figure: Figure, alt: str) -> None:
    """Display a figure as a PNG with a sentence that says what to see in it.

    The sentence is the output's ``text/plain``, so that screen readers, text diffs and
    tests get it as well.

    Raises:
        ValueError: ``alt`` is not a sentence, that is, has fewer than five words.
    """
    display(_with_sentence(figure, alt), raw=True)


def live(alt: str) -> Callable[[History], None]:
    """A callback for ``fit(on_epoch=…)``: the loss curves, redrawn after every epoch."""
    _check_sentence(alt)
    handle: DisplayHandle | None = None

    def redraw(history: History) -> None:
        nonlocal handle
        picture = _with_sentence(history.plot(), alt)
        if handle is None:
            handle = display(picture, raw=True, display_id=True)
        else:
            handle.update(picture, raw=True)

    return redraw


def png(figure: Figure) -> bytes:
    """The figure as a PNG file on white."""
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_figure(buffer, format="png", dpi=DPI, facecolor="white")
    return buffer.getvalue()


def _with_sentence(figure: Figure, alt: str) -> dict[str, bytes | str]:
    _check_sentence(alt)
    return {"image/png": png(figure), "text/plain": alt}


def _check_sentence(alt: str) -> None:
    if not isinstance(alt, str) or len(alt.split()) < 5:
        raise ValueError(
            f"alt must be a sentence that says what to see in the figure; got {alt!r}."
        )
