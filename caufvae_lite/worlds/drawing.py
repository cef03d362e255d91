r"""Anti-aliased shapes, drawn in batches, and the sums that read them back.

A picture is a mixture: each pixel of a white canvas ``(n, 3, size, size)`` is painted over
with a shape's colour by the share of the pixel that the shape covers::

    canvas ← (1 − coverage) canvas + coverage · colour

Shapes are placed in pixels from the upper left corner (`Frame` translates a scene's own
axes), one a picture: positions are ``(n,)`` tensors, or ``(1,)`` where all agree. Where
few colours meet, `unmix` solves pixel by pixel for their shares, so that areas and centres
of mass come back exactly.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from caufvae_lite.data import as_float

__all__ = [
    "BLACK", "FIREBRICK", "ORANGE", "SKY_BLUE", "WHITE", "Colour", "Frame", "as_pictures",
    "bar", "centroid", "contrast", "disc", "disc_corner", "ellipse", "half_plane", "overlap",
    "paint", "pixel_centres", "touched", "unmix", "within",
]  # fmt: skip

Colour = tuple[float, float, float]

WHITE, BLACK = (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)
FIREBRICK, ORANGE = (178 / 255, 34 / 255, 34 / 255), (1.0, 165 / 255, 0.0)
SKY_BLUE = (135 / 255, 206 / 255, 250 / 255)
SMALLEST_SHARE = 0.02  # less of a colour is a decoder's haze, or a uint8's rounding


@dataclass(frozen=True)
class Frame:
    """The part of a scene, in its own axes, that fills the square picture."""

    left: float
    right: float
    bottom: float
    top: float

    def to_pixels(self, x: Any, y: Any, size: int) -> tuple[Any, Any]:
        """Axis units → pixels, from the upper left corner of the frame."""
        width, height = self.right - self.left, self.top - self.bottom
        return (x - self.left) * size / width, (self.top - y) * size / height

    def centres(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Axis coordinates of the pixels' centres: x ``(w,)`` and y ``(h,)``."""
        height, width = images.shape[-2:]
        across = torch.arange(width, device=images.device) + 0.5
        down = torch.arange(height, device=images.device) + 0.5
        x = self.left + across * (self.right - self.left) / width
        return x, self.top - down * (self.top - self.bottom) / height


# ------------------------------------------------------------------------------ coverage


def overlap(pixel: Tensor, start: Tensor, stop: Tensor) -> Tensor:
    """Share of each pixel ``[p, p + 1]`` that lies in ``[start, stop]``."""
    return (torch.minimum(pixel + 1, stop) - torch.maximum(pixel, start)).clamp(0, 1)


def half_plane(inside: Tensor, nx: Tensor, ny: Tensor) -> Tensor:
    """Share of a unit pixel that lies on one side of a line.

    Exact: a box seen along the normal is two boxes, of widths |nx| and |ny|, convolved.

    Args:
        inside: distance of the pixel's centre from the line, positive inside.
        nx, ny: the line's unit normal, or its unit direction: only the pair matters.
    """
    a, b = nx.abs().clamp_min(1e-3), ny.abs().clamp_min(1e-3)
    outer, inner = (a + b) / 2, (a - b) / 2
    d = inside.clamp(-1, 1)
    ramps = [(d + k).clamp_(min=0).square_() for k in (outer, inner, -inner, -outer)]
    return (ramps[0] - ramps[1] - ramps[2] + ramps[3]).div_(2 * a * b)


def disc_corner(x: Tensor, y: Tensor) -> Tensor:
    """Area of the unit disc to the left of x and below y: exact, for any x and y.

    With G(u) = ∫₀ᵘ √(1 − v²) dv, the cap beyond |y| and left of x has the area
    K = G(m) − G(−c) − |y| (m + c), where c = √(1 − y²) and m is x within [−c, c].
    """
    x, y = x.clamp(-1, 1), y.clamp(-1, 1)
    c = (1 - y.square()).sqrt()
    m = torch.minimum(torch.maximum(x, -c), c)
    cap = _under_circle(m) + _under_circle(c) - y.abs() * (m + c)
    left = 2 * _under_circle(x) + math.pi / 2
    return torch.where(y < 0, cap, left - cap)


def _under_circle(u: Tensor) -> Tensor:
    return (u * (1 - u.square()).clamp_min(0).sqrt() + torch.asin(u)) / 2


# -------------------------------------------------------------------------------- shapes


def paint(region: Tensor, coverage: Tensor, colour: Colour) -> None:
    """Lay a colour over ``region`` ``(n, 3, r, w)`` in place, by share ``(n, r, w)``."""
    for channel, value in enumerate(colour):
        plane = region[:, channel]
        if value == 0:
            plane.addcmul_(plane, coverage, value=-1)
        else:
            plane.lerp_(torch.tensor(value).to(plane), coverage)


def touched(first: Tensor, last: Tensor, size: int) -> slice:
    """The pixels, along one side of the canvas, that shapes from first to last can touch."""
    start = min(size, max(0, math.floor(first.min().item() - 1)))
    return slice(start, max(start, min(size, math.ceil(last.max().item() + 1))))


def pixel_centres(canvas: Tensor, rows: slice, columns: slice) -> tuple[Tensor, Tensor]:
    """Centres of the pixels in some rows and columns: x ``(1, 1, w)``, y ``(1, r, 1)``."""
    centre = torch.arange(canvas.shape[-1], device=canvas.device) + 0.5
    return centre[columns].view(1, 1, -1), centre[rows].view(1, -1, 1)


def bar(
    canvas: Tensor, left: Tensor, right: Tensor, top: Tensor, bottom: Tensor, colour: Colour
) -> None:
    """Draw a rectangle; an empty one (right < left, or bottom above top) is not drawn."""
    size = canvas.shape[-1]
    pixel = torch.arange(size, device=canvas.device, dtype=canvas.dtype)
    columns, rows = touched(left, right, size), touched(top, bottom, size)
    across = overlap(pixel[columns], left.view(-1, 1), right.view(-1, 1))
    down = overlap(pixel[rows], top.view(-1, 1), bottom.view(-1, 1))
    paint(canvas[:, :, rows, columns], down.unsqueeze(2) * across.unsqueeze(1), colour)


def ellipse(
    canvas: Tensor, x: Tensor, y: Tensor, half_width: float, half_height: float, colour: Colour
) -> None:
    """Draw an upright ellipse of some pixels, whose edge is straight within each pixel."""
    x, y = x.view(-1, 1, 1), y.view(-1, 1, 1)
    rows = touched(y - half_height, y + half_height, canvas.shape[-1])
    across, down = pixel_centres(canvas, rows, slice(None))
    dx, dy = (across - x) / half_width, (down - y) / half_height
    # Distance to the edge in units of a pixel's extent along the edge's normal:
    # h / |∇h|₁ with h = dx² + dy² − 1.
    slope = (dx.abs() / half_width + dy.abs() / half_height).mul_(2).clamp_min_(1e-6)
    coverage = (1 - dx.square() - dy.square()).div_(slope).add_(0.5).clamp_(0, 1)
    paint(canvas[:, :, rows], coverage, colour)


def disc(canvas: Tensor, x: Tensor, y: Tensor, radius: Tensor, colour: Colour) -> None:
    """Draw a disc, exact for any radius, even below a pixel; none where it is 0 or less."""
    size = canvas.shape[-1]
    columns, rows = touched(x - radius, x + radius, size), touched(y - radius, y + radius, size)
    edge = torch.arange(size + 1, device=canvas.device, dtype=canvas.dtype)
    unit = radius.clamp_min(1e-4).view(-1, 1, 1)
    across = edge[columns.start : columns.stop + 1].view(1, 1, -1)
    down = edge[rows.start : rows.stop + 1].view(1, -1, 1)
    corner = disc_corner((across - x.view(-1, 1, 1)) / unit, (down - y.view(-1, 1, 1)) / unit)
    area = corner.diff(dim=1).diff(dim=2) * unit.square() * (radius > 0).view(-1, 1, 1)
    paint(canvas[:, :, rows, columns], area.clamp_(0, 1), colour)


# -------------------------------------------------------------------------- reading back


def as_pictures(images: Tensor) -> Tensor:
    """``(n, 3, h, w)`` images, uint8 or in [0, 1], as float32.

    Raises:
        ValueError: another shape, or floats outside [0, 1].
    """
    images = as_float(torch.as_tensor(images))
    if images.ndim != 4 or images.shape[1] != 3:
        raise ValueError(f"images must be (n, 3, h, w), got {tuple(images.shape)}.")
    return images.to(torch.float32)


def unmix(images: Tensor, first: Colour, second: Colour) -> tuple[Tensor, Tensor, Tensor]:
    """Shares of black and two colours, each ``(n, h, w)`` in [0, 1]; white has the rest."""
    colours = torch.tensor([WHITE, first, second], device=images.device)
    share = torch.einsum("nchw,ck->knhw", images, torch.linalg.inv(colours))
    black = 1 - share.sum(0)
    return tuple(
        torch.where(s < SMALLEST_SHARE, 0.0, s.clamp(max=1)) for s in (black, *share[1:])
    )  # type: ignore[return-value]


def contrast(images: Tensor, values: Mapping[Colour, float]) -> Tensor:
    """A map ``(n, h, w)``, linear in the pixels, with the given values on some colours.

    It is 0 on black, and of all such maps it is the one that noise disturbs least. The fewer
    colours are asked for, the less noise disturbs it. With 1 for one colour and 0 for the
    others, it is that colour's share.
    """
    colours = torch.tensor([*values], dtype=torch.float64)
    asked = torch.tensor([*values.values()], dtype=torch.float64)
    return torch.einsum("nchw,c->nhw", images, (torch.linalg.pinv(colours) @ asked).to(images))


def within(centre: Tensor, low: float, high: float) -> Tensor:
    """Share of each pixel, given the (evenly spaced) centres, that lies in [low, high]."""
    pixel = (centre[1] - centre[0]).abs()
    return overlap(
        centre / pixel - 0.5, *(torch.tensor(v).to(centre) / pixel for v in (low, high))
    )


def centroid(share: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Centre of mass ``(n,)``, ``(n,)`` of maps ``(n, h, w)``; NaN for an empty map."""
    mass = share.sum((1, 2))
    mass = torch.where(mass > 0, mass, torch.nan)
    return share.sum(1) @ x / mass, share.sum(2) @ y / mass
