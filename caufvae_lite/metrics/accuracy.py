"""How close are the numbers, the pictures or the classes to the truth?

Nothing is refitted: a factor that is right up to a shift or a scale is not right. Arrays may
be NumPy or torch, of the same shape and not empty, else it is a `ValueError`. A NaN in the
prediction makes the score NaN, so that a missing shape cannot pass unseen.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def r2(truth: ArrayLike, prediction: ArrayLike) -> float | NDArray[np.float64]:
    """1 − MSE / Var(truth): 1 is perfect, 0 is no better than the truth's mean.

    A float for ``(n,)``, or ``(d,)`` for ``(n, d)``. A constant column of the truth is a
    `ValueError`.

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


def group_accuracy(truth: ArrayLike, predicted: ArrayLike, groups: ArrayLike) -> dict[str, Any]:
    """Accuracy by group, and the worst group's (Sagawa et al. 2020).

    A classifier that follows a spurious cue is right on average, because the cue mostly
    agrees with the label. The group in which the two disagree gives it away.

    Args:
        truth, predicted: ``(n,)`` labels, not scores.
        groups: ``(n,)`` integers, or ``(n, k)`` integers whose rows are the groups, say
            label and background.

    Returns:
        ``average`` over the rows; ``worst``, the lowest accuracy of a group; and for every
        group among the rows (an int, or a tuple of k ints) ``accuracy`` and ``sizes``.

    >>> scores = group_accuracy([0, 0, 1, 1], [0, 0, 1, 0], [5, 5, 5, 7])
    >>> scores["average"], scores["worst"], scores["accuracy"], scores["sizes"]
    (0.75, 0.0, {5: 1.0, 7: 0.0}, {5: 3, 7: 1})
    """
    t, p, g = np.asarray(truth), np.asarray(predicted), np.asarray(groups)
    if t.ndim != 1 or t.shape != p.shape or len(t) == 0:
        raise ValueError(f"truth {t.shape} and predicted {p.shape} must both be (n,), n ≥ 1.")
    if g.ndim not in (1, 2) or len(g) != len(t) or g.size == 0 or g.dtype.kind not in "iub":
        raise ValueError(
            f"groups must be integers, (n,) or (n, k) with n = {len(t)}, "
            f"got {g.dtype} {g.shape}."
        )
    right = t == p
    rows, member, sizes = np.unique(g, axis=0, return_inverse=True, return_counts=True)
    names = rows.tolist() if g.ndim == 1 else [tuple(row) for row in rows.tolist()]
    accuracy = np.bincount(member.reshape(-1), right) / sizes
    return {
        "average": float(right.mean()),
        "worst": float(accuracy.min()),
        "accuracy": dict(zip(names, accuracy.tolist(), strict=True)),
        "sizes": dict(zip(names, sizes.tolist(), strict=True)),
    }


def _pair(truth: ArrayLike, prediction: ArrayLike, dtype=np.float64) -> tuple:
    t, p = np.asarray(truth, dtype), np.asarray(prediction, dtype)
    if t.shape != p.shape:
        raise ValueError(f"truth {t.shape} and prediction {p.shape} differ in shape.")
    if t.size == 0:
        raise ValueError("There is nothing to score: the arrays are empty.")
    return t, p
