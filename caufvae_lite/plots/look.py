"""One colour for each role, and panels side by side.

The colours are Okabe and Ito's, which colour-blind readers can tell apart.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

COLOURS = {
    "data": "#000000",
    "noise": "#E69F00",
    "factor": "#56B4E9",
    "posterior": "#0072B2",
    "prior": "#CC79A7",
    "intervention": "#D55E00",
    "truth": "#009E73",
}


def panels_in_a_row(
    n: int, width: float, height: float, **options: Any
) -> tuple[Figure, np.ndarray]:
    """A figure and its ``(n,)`` axes, each so many inches wide and high."""
    figure = Figure(figsize=(width * n, height), layout="constrained")
    return figure, figure.subplots(1, n, squeeze=False, **options)[0]
