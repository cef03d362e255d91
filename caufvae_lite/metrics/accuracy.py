"""How close are the numbers, or the pictures, to the truth?

Nothing is refitted: a factor that is right up to a shift or a scale is not right. Arrays may
be NumPy or torch. A NaN in the prediction makes the score NaN, so that a missing shape cannot
pass unseen.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["mae", "psnr", "r2"]


def r2(truth: ArrayLike, prediction: ArrayLike) -> float | NDArray[np.float64]:
    """1 − MSE / Var(truth): 1 is perfect, 0 is no better than the truth's mean.

    Args:
        truth, prediction: ``(n,)`` → a float, or ``(n, d)`` → ``(d,)``.

    Raises:
        ValueError: shapes differ, or a column of the truth is constant.

    >>> r2([0.0, 1.0, 2.0], [0.0, 1.0, 2.0])
    1.0
    """
    t, p = _pair(truth, prediction)
    variance = t.var(0)
    if not (variance > 0).all():
        raise ValueError("R² needs a truth that varies; a column here is constant.")
    score = 1 - np.square(t - p).mean(0) / variance
    return float(score) if score.ndim == 0 else score


def mae(truth: ArrayLike, prediction: ArrayLike) -> float | NDArray[np.float64]:
    """Mean absolute error, in the data's units; a float, or ``(d,)`` for ``(n, d)``."""
    t, p = _pair(truth, prediction)
    score = np.abs(t - p).mean(0)
    return float(score) if score.ndim == 0 else score


def psnr(truth: ArrayLike, image: ArrayLike) -> float:
    """Peak signal-to-noise ratio in dB of images in [0, 1], from the pooled MSE.

    −10 log₁₀ of the mean squared error over all images; infinite for equal ones.
    """
    t, p = _pair(truth, image, np.float32)
    error = float(np.square(t - p).mean(dtype=np.float64))
    return float("inf") if error == 0 else float(-10 * np.log10(error))


def _pair(truth: ArrayLike, prediction: ArrayLike, dtype=np.float64) -> tuple:
    t, p = np.asarray(truth, dtype), np.asarray(prediction, dtype)
    if t.shape != p.shape:
        raise ValueError(f"truth {t.shape} and prediction {p.shape} differ in shape.")
    if t.size == 0:
        raise ValueError("There is nothing to score: the arrays are empty.")
    return t, p
