r"""Rulers for handwriting: a stroke's thickness, slant, width and grey value.

The factors of Morpho-MNIST (Castro et al., "Morpho-MNIST: Quantitative Assessment and
Diagnostics for Representation Learning", JMLR 2019), measured without a skeleton::

    intensity  g = Σ xᵖ⁺¹ / Σ xᵖ, p = 8: a mean of the pixels that the brightest dominate
    thickness  2r, where a line whose tube has the radius r has the stroke's area A,
               perimeter P and Euler number χ (pieces minus holes)
    slant      arctan(μ₁₁ / μ₀₂): by how much the line of mean x leans as y grows
    width      √12 · √(μ₂₀ − μ₁₁² / μ₀₂): of a bar with the same spread, once upright

The tube of a line of length ℓ obeys Steiner's formula, A = 2rℓ + πχr² and P = 2ℓ + 2πχr,
exactly so where the line bends less sharply than 1/r. Eliminating ℓ leaves πχr² − Pr + A = 0.
A, P and χ are those of the polygon that marching squares (linear interpolation) draws at half
the grey value, so an edge is found between the pixels.

Everything but g is measured after division by g, so grey and shape are read apart. Pieces
smaller than `SPECK` of the largest, and pixels fainter than `FAINTEST_INK`, are no part of
the stroke. Nothing is learned.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from caufvae_lite.data import as_float

__all__ = ["grey_value", "measure"]

PEAK_POWER = 8
HALF = 0.5  # of the grey value: where the stroke's edge is
SPECK = 0.05  # a piece smaller than this share of the largest is dirt
FAINTEST_INK = 0.1  # of the grey value: fainter pixels are no ink
FAINTEST_PICTURE = 0.05  # a picture whose brightest pixel is darker shows nothing
MEASURED_AT_ONCE = 1024  # pictures, so that memory stays small


def measure(images: Tensor) -> Tensor:
    """Thickness, slant, width and intensity ``(n, 4)`` of ``(n, 1, h, w)`` images in [0, 1].

    Strokes are bright on dark. Thickness and width are in pixels, slant in degrees from the
    vertical, positive to the right like italics. An empty picture measures NaN.

    Raises:
        ValueError: images that are not ``(n, 1, h, w)`` or leave [0, 1].
    """
    images = torch.as_tensor(images)
    if images.ndim != 4 or images.shape[1] != 1 or 0 in images.shape[2:]:
        raise ValueError(
            f"images must be (n, 1, h, w), grey and not empty; got {tuple(images.shape)}."
        )
    pictures = as_float(images).detach().cpu()[:, 0].double()
    return torch.cat([_measure(part) for part in pictures.split(MEASURED_AT_ONCE)])


def _measure(pictures: Tensor) -> Tensor:
    intensity = grey_value(pictures)
    strokes = without_specks(pictures / intensity.nan_to_num(1.0)[:, None, None])
    thickness = 2 * tube_radius(*minkowski(strokes))
    across, mixed, down = second_moments(strokes)
    slant = torch.rad2deg(torch.atan2(mixed, down))
    width = (12 * (across - mixed.square() / down)).clamp_min(0).sqrt()
    factors = torch.stack([thickness, slant, width, intensity], -1)
    return factors.masked_fill(intensity.isnan()[:, None], torch.nan).float()


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


def tube_radius(area: Tensor, perimeter: Tensor, euler: Tensor) -> Tensor:
    """The radius of the tube that has these three Minkowski functionals.

    The smaller root of πχr² − Pr + A = 0, written so that χ = 0 is no exception. Where noise
    pushes P below the least that is possible, a disc's, the disc is the answer.
    """
    root = (perimeter.square() - 4 * math.pi * euler * area).clamp_min(0).sqrt()
    return 2 * area / (perimeter + root)


def minkowski(strokes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Area, perimeter and Euler number, each ``(n,)``, of the region brighter than `HALF`.

    Marching squares over ``(n, h, w)`` values at pixel centres, with darkness around the
    picture. Each square between four pixels is turned until its case is a standard one.
    Two opposite bright corners are joined if the mean of the four is bright.
    """
    v = F.pad(strokes, (1, 1, 1, 1)) - HALF
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

    none = torch.zeros(len(strokes), dtype=strokes.dtype)
    area, edge, quarter_turns = (
        none.index_add(0, picture, of_square.to(strokes.dtype))
        for of_square in (area, edge, quarter_turns)
    )
    return area + (corners > 0).all(0).sum((1, 2)), edge, quarter_turns / 4


def second_moments(strokes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """μ₂₀, μ₁₁ and μ₀₂, each ``(n,)`` in squared pixels, y pointing up.

    Pixels weigh as much as they are bright, or nothing where fainter than `FAINTEST_INK`.
    """
    seen = (strokes / FAINTEST_INK - 1).clamp(0, 1)  # nothing there, all of it at twice that
    weight = strokes.clamp(max=1.0) * seen
    weight = weight / weight.sum((1, 2), keepdim=True).clamp_min(1e-9)
    x = torch.arange(strokes.shape[2], dtype=strokes.dtype)
    y = torch.arange(strokes.shape[1], dtype=strokes.dtype).flip(0)
    along_x, along_y = weight.sum(1), weight.sum(2)
    dx = x - (along_x * x).sum(1, keepdim=True)
    dy = y - (along_y * y).sum(1, keepdim=True)
    pixel = 1 / 12  # a pixel is a square, not a point
    across = (along_x * dx.square()).sum(1) + pixel
    down = (along_y * dy.square()).sum(1) + pixel
    return across, torch.einsum("nyx,nx,ny->n", weight, dx, dy), down
