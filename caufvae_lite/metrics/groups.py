"""Is a classifier right in every group, or only on average?"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["group_accuracy"]


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

    Raises:
        ValueError: no row, shapes that do not agree, or groups that are not integers.

    >>> scores = group_accuracy([0, 0, 1, 1], [0, 0, 1, 0], [5, 5, 5, 7])
    >>> scores["average"], scores["worst"], scores["accuracy"], scores["sizes"]
    (0.75, 0.0, {5: 1.0, 7: 0.0}, {5: 3, 7: 1})
    """
    t, p, g = np.asarray(truth), np.asarray(predicted), np.asarray(groups)
    if t.ndim != 1 or t.shape != p.shape or len(t) == 0:
        raise ValueError(f"truth {t.shape} and predicted {p.shape} must both be (n,), n ≥ 1.")
    if g.ndim not in (1, 2) or len(g) != len(t) or g.size == 0:
        raise ValueError(f"groups must be (n,) or (n, k) with n = {len(t)}, got {g.shape}.")
    if g.dtype.kind not in "iub":
        raise ValueError(f"groups must be integers, got {g.dtype}.")
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
