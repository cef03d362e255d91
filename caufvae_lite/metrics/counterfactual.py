"""Did the intervention change what it should, and nothing else?"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from caufvae_lite.metrics.accuracy import mae


def drift(before: ArrayLike, after: ArrayLike, scale: ArrayLike) -> NDArray[np.float64]:
    """Root mean square change of factors, in standard deviations; 0 is best.

    Args:
        before, after: ``(n, d)``, measured in the reconstruction and in the counterfactual,
            for factors that the intervention must leave alone. A factor's mean leaves out
            the rows in which it is NaN, because its shape is missing from either picture.
        scale: ``(d,)`` standard deviations of the factors.
    """
    change = np.asarray(after, float) - np.asarray(before, float)
    return np.sqrt(np.nanmean(np.square(change / np.asarray(scale, float)), axis=0))


def noise_kept_ratio(
    truth: ArrayLike, counterfactual: ArrayLike, intervention: ArrayLike
) -> NDArray[np.float64]:
    """MAE with the row's own noise kept ÷ MAE with the noise redrawn, for each factor.

    It is well below 1 where abduction has found the noise, about 0.7 where abduction answers
    with the noise's mean, and 1 where it answers with a fresh draw or where nothing propagates.
    It means something only where effects have noise, and does not compare models: one that
    redraws too widely has a small ratio for that reason alone.
    """
    return np.asarray(mae(truth, counterfactual)) / np.asarray(mae(truth, intervention))


def composition(
    reconstruct: Callable[[NDArray], NDArray], images: NDArray, cycles: int
) -> list[float]:
    """Mean absolute change of the pixels after 1, 2, … null interventions in a row.

    Doing nothing must change nothing (Monteiro et al. 2023). So the picture is sent through
    abduction and prediction again and again, and compared with the original.
    """
    original, scores = np.asarray(images, float), []
    for _ in range(cycles):
        images = reconstruct(images)
        scores.append(float(np.abs(np.asarray(images, float) - original).mean()))
    return scores
