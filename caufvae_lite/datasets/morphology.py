r"""Rulers for handwriting: a stroke's thickness, slant, width, length and grey value.

The factors of Morpho-MNIST (Castro et al., "Morpho-MNIST: Quantitative Assessment and
Diagnostics for Representation Learning", JMLR 2019), measured without a skeleton::

    intensity  g = Σ xᵖ⁺¹ / Σ xᵖ, p = 8: a mean of the pixels that the brightest dominate
    thickness  2r and length ℓ of the line whose tube of radius r has the stroke's area A,
               perimeter P and Euler number χ (pieces minus holes)
    slant      arctan(μ₁₁ / μ₀₂): by how much the line of mean x leans as y grows
    width      √12 · √(μ₂₀ − μ₁₁² / μ₀₂): of a bar with the same spread, once upright

Tubes obey Steiner's formula, A = 2rℓ + πχr² and P = 2ℓ + 2πχr, exactly so where the line
bends less sharply than 1/r. Eliminating ℓ leaves πχr² − Pr + A = 0. A, P and χ are those of
the polygon that marching squares (linear interpolation) draws at half the grey value, so an
edge is found between the pixels.

Everything but g is measured after division by g, so grey and shape are read apart. Pieces
smaller than `SPECK` of the largest, and pixels fainter than `FAINTEST_INK`, are no part of
the stroke. Nothing is learned. Images are ``(n, 1, h, w)`` in [0, 1], bright on dark; an
empty picture measures NaN.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from caufvae_lite.data import as_float

__all__ = ["grey_value", "measure", "minkowski", "second_moments", "tube", "without_specks"]

PEAK_POWER = 8
HALF = 0.5  # of the grey value: where the stroke's edge is
SPECK = 0.05  # a piece smaller than this share of the largest is dirt
FAINTEST_INK = 0.1  # of the grey value: fainter pixels are no ink
FAINTEST_PICTURE = 0.05  # a picture whose brightest pixel is darker shows nothing
MEASURED_AT_ONCE = 1024  # pictures, so that memory stays small


def measure(images: Tensor) -> dict[str, Tensor]:
    """Every factor of ``(n, 1, h, w)`` images, each ``(n,)`` float32, NaN where empty.

    ``thickness``, ``width`` and ``length`` in pixels, ``slant`` in degrees from the
    vertical, positive to the right like italics, ``intensity`` in [0, 1].

    Raises:
        ValueError: images that are not ``(n, 1, h, w)`` or leave [0, 1].
    """
    images = torch.as_tensor(images)
    if images.ndim != 4 or images.shape[1] != 1 or 0 in images.shape[2:]:
        raise ValueError(
            f"images must be (n, 1, h, w), grey and not empty; got {tuple(images.shape)}."
        )
    images = as_float(images).detach().cpu()
    parts = [_measure(part) for part in images[:, 0].double().split(MEASURED_AT_ONCE)]
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def _measure(pictures: Tensor) -> dict[str, Tensor]:
    intensity = grey_value(pictures)
    strokes = without_specks(pictures / intensity.nan_to_num(1.0)[:, None, None])
    radius, length = tube(*minkowski(strokes))
    across, mixed, down = second_moments(strokes)
    factors = {
        "thickness": 2 * radius,
        "slant": torch.rad2deg(torch.atan2(mixed, down)),
        "width": (12 * (across - mixed.square() / down)).clamp_min(0).sqrt(),
        "length": length,
        "intensity": intensity,
    }
    return {
        name: value.masked_fill(intensity.isnan(), torch.nan).float()
        for name, value in factors.items()
    }


def grey_value(pictures: Tensor) -> Tensor:
    """The stroke's grey ``(n,)`` in pictures ``(n, h, w)``; NaN where there is none.

    A smooth maximum: c times brighter pictures measure exactly c times more.
    """
    pixels = pictures.flatten(1)
    peak = pixels.amax(1)
    share = pixels / peak.clamp_min(FAINTEST_PICTURE)[:, None]
    weight = share.pow(PEAK_POWER)
    mean = (weight * share).sum(1) / weight.sum(1)
    return torch.where(peak >= FAINTEST_PICTURE, peak * mean, torch.nan)


def without_specks(strokes: Tensor) -> Tensor:
    """Strokes ``(n, h, w)`` of grey value 1 without their small separate pieces."""
    inside = (strokes > HALF).numpy()
    touching = np.zeros((3, 3, 3), bool)
    touching[1] = True  # within a picture, corners included; never across pictures
    piece, _ = ndimage.label(inside, touching)
    size = np.where(inside, np.bincount(piece.ravel())[piece], 0)  # of each pixel's own piece
    speck = inside & (size < SPECK * size.max((1, 2), initial=0, keepdims=True))
    return strokes.masked_fill(torch.from_numpy(speck), 0.0)


# ------------------------------------------------------------------ thickness and length


def tube(area: Tensor, perimeter: Tensor, euler: Tensor) -> tuple[Tensor, Tensor]:
    """Radius and length of the line whose tube has these three Minkowski functionals.

    The smaller root of πχr² − Pr + A = 0, written so that χ = 0 is no exception. Where noise
    pushes P below the least that is possible, a disc's, the disc is the answer.
    """
    root = (perimeter.square() - 4 * math.pi * euler * area).clamp_min(0).sqrt()
    radius = 2 * area / (perimeter + root)
    return radius, (perimeter / 2 - math.pi * euler * radius).clamp_min(0)


def minkowski(strokes: Tensor, level: float = HALF) -> tuple[Tensor, Tensor, Tensor]:
    """Area, perimeter and Euler number, each ``(n,)``, of the region above ``level``.

    Marching squares over ``(n, h, w)`` values at pixel centres, with darkness around the
    picture. Each square between four pixels is turned until its case is a standard one.
    Two opposite bright corners are joined if the mean of the four is bright.
    """
    v = F.pad(strokes, (1, 1, 1, 1)) - level
    corners = torch.stack([v[:, :-1, :-1], v[:, :-1, 1:], v[:, 1:, 1:], v[:, 1:, :-1]])
    on_edge = ((corners > 0).any(0)) & ~((corners > 0).all(0))
    picture = on_edge.nonzero()[:, 0]
    values = corners[:, on_edge]  # (4, squares), clockwise: only those that the edge crosses
    inside = values > 0
    bright = inside.sum(0)

    after = values.roll(-1, 0)
    crossed = inside != (after > 0)
    cut = torch.where(crossed, values / torch.where(crossed, values - after, 1.0), 0.0)
    leg, other_leg = cut, (1 - cut).roll(1, 0)  # from a corner, clockwise and back
    corner = leg * other_leg / 2
    slope = torch.hypot(leg, other_leg)

    joined = values.mean(0) > 0
    saddle = (bright == 2) & (inside[0] == inside[2])
    alone = inside & ((bright == 1) | (saddle & ~joined))  # a bright corner cut off
    notch = ~inside & ((bright == 3) | (saddle & joined))  # a dark corner cut off
    half = inside & inside.roll(-1, 0) & (bright == 2)  # one at most: its side is bright
    depth, far_depth = cut.roll(-1, 0), (1 - cut).roll(1, 0)  # of the bright side's band

    area = (alone * corner).sum(0) - (notch * corner).sum(0) + notch.any(0)
    area = area + (half * (depth + far_depth) / 2).sum(0)
    edge = ((alone | notch) * slope).sum(0)
    edge = edge + (half * torch.hypot(torch.ones_like(depth), depth - far_depth)).sum(0)
    quarter_turns = alone.sum(0) - notch.sum(0)

    n = len(strokes)
    full = (corners > 0).all(0).sum((1, 2))
    total = [
        torch.zeros(n, dtype=strokes.dtype).index_add(0, picture, of_square.to(strokes.dtype))
        for of_square in (area, edge, quarter_turns)
    ]
    return total[0] + full, total[1], total[2] / 4


# ------------------------------------------------------------------------ slant and width


def second_moments(strokes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """μ₂₀, μ₁₁ and μ₀₂, each ``(n,)`` in squared pixels, y pointing up.

    Pixels weigh as much as they are bright, or nothing where fainter than `FAINTEST_INK`.
    """
    seen = (strokes / FAINTEST_INK - 1).clamp(0, 1)  # nothing there, all of it at twice that
    weight = strokes.clamp(max=1.0) * seen
    weight = weight / weight.sum((1, 2), keepdim=True).clamp_min(1e-9)
    height, width = strokes.shape[1:]
    x = torch.arange(width, dtype=strokes.dtype)
    y = torch.arange(height, dtype=strokes.dtype).flip(0)
    along_x, along_y = weight.sum(1), weight.sum(2)
    dx = x - (along_x * x).sum(1, keepdim=True)
    dy = y - (along_y * y).sum(1, keepdim=True)
    pixel = 1 / 12  # a pixel is a square, not a point
    across = (along_x * dx.square()).sum(1) + pixel
    down = (along_y * dy.square()).sum(1) + pixel
    return across, torch.einsum("nyx,nx,ny->n", weight, dx, dy), down
