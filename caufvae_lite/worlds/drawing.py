"""Anti-aliased shapes, drawn in batches, and the sums that read them back.

A picture is a mixture: each pixel of a white canvas ``(n, 3, size, size)`` is painted over
with a shape's colour by the share of the pixel that the shape covers::

    canvas ← (1 − coverage) canvas + coverage · colour

Shapes are placed in pixels from the upper left corner (`Frame` translates a scene's own
axes), one a picture: positions are ``(n,)`` tensors, or ``(1,)`` where all agree.
"""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from caufvae_lite.data import as_float

Colour = tuple[float, float, float]
Places = Tensor | float

WHITE, BLACK = (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)
FIREBRICK, ORANGE = (178 / 255, 34 / 255, 34 / 255), (1.0, 165 / 255, 0.0)
SKY_BLUE = (135 / 255, 206 / 255, 250 / 255)
SMALLEST_SHARE = 0.02  # less of a colour is a decoder's haze, or a uint8's rounding


class Frame(NamedTuple):
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
        across, down = pixel_centres(images)
        x = self.left + across * (self.right - self.left) / width
        return x, self.top - down * (self.top - self.bottom) / height


def pixel_centres(images: Tensor) -> tuple[Tensor, Tensor]:
    """Places of the pixels' centres, in pixels: across ``(w,)`` and down ``(h,)``."""
    height, width = images.shape[-2:]
    across = torch.arange(width, device=images.device) + 0.5
    return across, torch.arange(height, device=images.device) + 0.5


def touched(first: Places, last: Places, size: int) -> slice:
    """The pixels, along one side of the canvas, that shapes from first to last can touch."""
    first, last = torch.as_tensor(first).min().item(), torch.as_tensor(last).max().item()
    start = min(size, max(0, math.floor(first - 1)))
    return slice(start, max(start, min(size, math.ceil(last + 1))))


def overlap(pixel: Tensor, start: Places, stop: Places) -> Tensor:
    """Share of each pixel ``[p, p + 1]`` that lies in ``[start, stop]``."""
    return ((pixel + 1).clamp(max=stop) - pixel.clamp(min=start)).clamp(0, 1)


def half_plane(inside: Tensor, nx: Tensor, ny: Tensor) -> Tensor:
    """Share of a unit pixel inside a line; ``inside`` is how far inside its centre lies.

    Exact: a box seen along the line's unit normal (or direction: only the pair nx, ny matters)
    is two boxes, of widths |nx| and |ny|, convolved.
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

    def under_circle(u: Tensor) -> Tensor:
        return (u * (1 - u.square()).clamp_min(0).sqrt() + torch.asin(u)) / 2

    x, y = x.clamp(-1, 1), y.clamp(-1, 1)
    c = (1 - y.square()).sqrt()
    m = torch.minimum(torch.maximum(x, -c), c)
    cap = under_circle(m) + under_circle(c) - y.abs() * (m + c)
    left = 2 * under_circle(x) + math.pi / 2
    return torch.where(y < 0, cap, left - cap)


def paint(region: Tensor, coverage: Tensor, colour: Colour) -> None:
    """Lay a colour over ``region`` ``(n, 3, r, w)`` in place, by share ``(n, r, w)``."""
    for channel, value in enumerate(colour):
        plane = region[:, channel]
        if value == 0:
            plane.addcmul_(plane, coverage, value=-1)
        else:
            plane.lerp_(torch.tensor(value).to(plane), coverage)


def bar(
    canvas: Tensor, left: Tensor, right: Tensor, top: Tensor, bottom: Tensor, colour: Colour
) -> None:
    """Draw a rectangle; an empty one (right < left, or bottom above top) is not drawn."""
    size = canvas.shape[-1]
    pixel = torch.arange(size).to(canvas)
    columns, rows = touched(left, right, size), touched(top, bottom, size)
    across = overlap(pixel[columns], left.view(-1, 1), right.view(-1, 1))
    down = overlap(pixel[rows], top.view(-1, 1), bottom.view(-1, 1))
    paint(canvas[:, :, rows, columns], down.unsqueeze(2) * across.unsqueeze(1), colour)


def block(
    canvas: Tensor, frame: Frame, left: float, right: float, bottom: Places, top: Places,
    colour: Colour,
) -> None:  # fmt: skip
    """Draw a rectangle that is given in a scene's own axes; see `bar`."""
    ends = [torch.as_tensor(end).to(canvas) for end in (left, right, bottom, top)]
    x0, y0 = frame.to_pixels(ends[0], ends[2], canvas.shape[-1])
    x1, y1 = frame.to_pixels(ends[1], ends[3], canvas.shape[-1])
    bar(canvas, x0, x1, y1, y0, colour)


def disc(
    canvas: Tensor, x: Tensor, y: Tensor, radius: Tensor, colour: Colour,
    brightness: Tensor | None = None,
) -> None:  # fmt: skip
    """Draw a disc, exact for any radius, even below a pixel; none where it is 0 or less.

    ``brightness`` ``(n,)`` goes from 0, which is black, to 1, which is the colour.
    """
    size = canvas.shape[-1]
    columns, rows = touched(x - radius, x + radius, size), touched(y - radius, y + radius, size)
    across = torch.arange(columns.start, columns.stop + 1).to(canvas)
    down = torch.arange(rows.start, rows.stop + 1).to(canvas).unsqueeze(1)
    x, y, radius = x.view(-1, 1, 1), y.view(-1, 1, 1), radius.view(-1, 1, 1)
    unit = radius.clamp_min(1e-4)
    corner = disc_corner((across - x) / unit, (down - y) / unit)
    area = (corner.diff(dim=1).diff(dim=2) * unit.square() * (radius > 0)).clamp_(0, 1)
    region = canvas[:, :, rows, columns]
    if brightness is None:
        return paint(region, area, colour)
    paint(region, area, BLACK)
    light = (area * brightness.view(-1, 1, 1)).unsqueeze(1)
    region += light * torch.tensor(colour).to(light).view(3, 1, 1)


def rod(
    canvas: Tensor, start: tuple[Places, Places], end: tuple[Tensor, Tensor], half: float
) -> None:
    """Draw a black line, ``2 half`` pixels wide; what covers its far end hides a rough cut."""
    size = canvas.shape[-1]
    x0, y0 = (torch.as_tensor(v).to(canvas).view(-1, 1, 1) for v in start)
    x1, y1 = (v.view(-1, 1, 1) for v in end)
    rows = touched(torch.minimum(y0, y1) - half, torch.maximum(y0, y1) + half, size)
    across, down = pixel_centres(canvas)
    dx, dy = across - x0, down[rows, None] - y0
    end_x, end_y = x1 - x0, y1 - y0
    length = torch.hypot(end_x, end_y)
    ux, uy = end_x / length, end_y / length
    aside, along = uy * dx - ux * dy, ux * dx + uy * dy
    coverage = half_plane(half - aside, ux, uy) + half_plane(half + aside, ux, uy) - 1
    between = half_plane(along, ux, uy).mul_(along < length)
    paint(canvas[:, :, rows], coverage.mul_(between).clamp_(0, 1), BLACK)


def as_pictures(images: Tensor) -> Tensor:
    """``(n, 3, h, w)`` images, uint8 or in [0, 1], as float32; others are a ValueError."""
    images = as_float(torch.as_tensor(images))
    if images.ndim != 4 or images.shape[1] != 3:
        raise ValueError(f"images must be (n, 3, h, w), got {tuple(images.shape)}.")
    return images.to(torch.float32)


def unmix(images: Tensor, first: Colour, second: Colour) -> tuple[Tensor, ...]:
    """Shares of black and two colours, each ``(n, h, w)`` in [0, 1]; white has the rest."""
    colours = torch.tensor([WHITE, first, second], device=images.device)
    share = torch.einsum("nchw,ck->knhw", images, torch.linalg.inv(colours))
    shares = (1 - share.sum(0), share[1], share[2])
    return tuple(torch.where(s < SMALLEST_SHARE, 0.0, s.clamp(max=1)) for s in shares)


def contrast(images: Tensor, values: dict[Colour, float]) -> Tensor:
    """A map ``(n, h, w)``, linear in the pixels, with the given values on some colours.

    It is 0 on black, and of all such maps the one that noise disturbs least; the fewer colours
    are asked for, the less. With 1 for one colour and 0 for the others it is a colour's share.
    """
    colours = torch.tensor([*values], dtype=torch.float64)
    asked = torch.tensor([*values.values()], dtype=torch.float64)
    return torch.einsum("nchw,c->nhw", images, (torch.linalg.pinv(colours) @ asked).to(images))


def within(centre: Tensor, low: float, high: float) -> Tensor:
    """Share of each pixel, given the (evenly spaced) centres, that lies in [low, high]."""
    pixel = (centre[1] - centre[0]).abs()
    start, stop = pixel.new_tensor([low, high]) / pixel
    return overlap(centre / pixel - 0.5, start, stop)


def centroid(share: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Centre of mass ``(n,)``, ``(n,)`` of maps ``(n, h, w)``; NaN for an empty map."""
    mass = share.sum((1, 2))
    mass = torch.where(mass > 0, mass, torch.nan)
    return share.sum(1) @ x / mass, share.sum(2) @ y / mass
