r"""The picture of the water world: where its shapes stand, how they are drawn and read.

The cup's walls stand at x = 3 and 8 on the ground at y = 0.2. Lines are 1/36 of the frame
wide: 2 points in the original's one-inch picture. `draw` paints factors ``(n, 4)``, that
is ball radius r, water height h, hole height k and reach, and `read` measures them again::

    r      from the ball's area                    h  from the white above the water
    k      where a gap of 0.4 fits best into the right wall
    reach  where the jet, a parabola, comes down to y = 0.5
"""

from __future__ import annotations

import torch
from torch import Tensor

from caufvae_lite.worlds.drawing import (
    BLACK,
    FIREBRICK,
    SKY_BLUE,
    WHITE,
    Colour,
    Frame,
    as_pictures,
    bar,
    contrast,
    disc,
    half_plane,
    overlap,
    paint,
    pixel_centres,
    touched,
    within,
)

__all__ = ["FLOOR", "LANDING", "draw", "read"]

SIDE = 20.0
FRAME = Frame(0.0, SIDE, 0.0, SIDE)
LEFT_WALL, RIGHT_WALL, RIM = 3.0, 8.0, 19.0
FLOOR, GROUND, LANDING = 5.0, 0.2, 0.5
BALL_X, GAP = 5.5, 0.4
HALF_LINE = SIDE / 36 / 2
LOWEST_DROP = 0.05  # a hole below 0.55 pours from 0.55
FARTHEST = 10 * SIDE  # what lies farther away looks the same

# What the ruler takes for granted:
BALLS_TO, SMALLEST_BALL = 5.0, 0.02  # the highest place of a ball, and its least area
HOLES = (0.7, 8.0)  # where the hole can be
BLURS = (0.0, 0.35, 0.7, 1.0)  # how soft a gap can be, in pixels
ROUGHNESS = 0.02  # of the wall's darkness from row to row
FAINTEST_WATER = 0.15  # a smaller share of a pixel is a decoder's haze, and no jet


# --------------------------------------------------------------------------- the camera


def draw(canvas: Tensor, factors: Tensor) -> None:
    """Water, jet, walls, ground and ball, in this order: the walls hide the jet's start.

    Unlawful scenes are drawn as they come: the jet starts at the hole and lands at ``reach``
    whatever the water's height; a hole below 0.55 pours from 0.55; with a reach of 0 or less
    the jet falls unseen behind the wall. A ball without radius and a water level below the
    ground are not drawn.
    """
    size = canvas.shape[-1]
    radius, height, hole, reach = factors.clamp(-FARTHEST, FARTHEST).unbind(-1)
    radius = radius.clamp_max(2 * SIDE)
    _block(canvas, (LEFT_WALL, RIGHT_WALL), (0.0, FLOOR + height), SKY_BLUE)
    _jet(canvas, hole, reach)
    wall = (LEFT_WALL - HALF_LINE, LEFT_WALL + HALF_LINE)
    _block(canvas, wall, (0.0, RIM), BLACK)
    _right_wall(canvas, hole)
    _block(canvas, (0.0, SIDE), (GROUND - HALF_LINE, GROUND + HALF_LINE), BLACK)
    x, y = FRAME.to_pixels(torch.full_like(radius, BALL_X), radius + 0.5, size)
    disc(canvas, x, y, radius * size / SIDE, FIREBRICK)


def _block(
    canvas: Tensor,
    sides: tuple[float, float],
    heights: tuple[float, float | Tensor],
    colour: Colour,
) -> None:
    """A rectangle from left to right and from bottom to top, in the scene's axes."""
    x, y = (
        [torch.as_tensor(v, dtype=canvas.dtype).to(canvas) for v in ends]
        for ends in (sides, heights)
    )
    (left, bottom), (right, top) = (
        FRAME.to_pixels(x[end], y[end], canvas.shape[-1]) for end in (0, 1)
    )
    bar(canvas, left, right, top, bottom, colour)


def _right_wall(canvas: Tensor, hole: Tensor) -> None:
    """From ground to rim, but for the gap.

    One shape, so that a gap smaller than a pixel has both its edges exact.
    """
    size = canvas.shape[-1]
    pixel = torch.arange(size, device=canvas.device, dtype=canvas.dtype)
    inner, outer = RIGHT_WALL - HALF_LINE, RIGHT_WALL + HALF_LINE
    left, rim = map(pixel.new_tensor, FRAME.to_pixels(inner, RIM, size))
    right, foot = map(pixel.new_tensor, FRAME.to_pixels(outer, 0.0, size))
    _, top = FRAME.to_pixels(0.0, hole.view(-1, 1) + GAP, size)
    _, bottom = FRAME.to_pixels(0.0, hole.view(-1, 1), size)
    columns = touched(left, right, size)
    across = overlap(pixel[columns], left, right)
    gap = overlap(pixel, top.clamp(rim, foot), bottom.clamp(rim, foot))
    down = overlap(pixel, rim, foot) - gap
    paint(canvas[:, :, :, columns], down.unsqueeze(2) * across, BLACK)


def _jet(canvas: Tensor, hole: Tensor, reach: Tensor) -> None:
    """A stroke along the parabola Y = a X², X to the right of and Y below the hole."""
    size = canvas.shape[-1]
    half = HALF_LINE * size / SIDE
    origin, floor = FRAME.to_pixels(RIGHT_WALL, LANDING - HALF_LINE, size)
    width = reach.clamp_min(1e-2) * size / SIDE
    _, start = FRAME.to_pixels(0.0, hole.clamp_min(LANDING + LOWEST_DROP), size)
    _, end = FRAME.to_pixels(0.0, LANDING, size)
    columns = touched(torch.tensor(origin), origin + width + half, size)
    rows = touched(start - half, torch.tensor(floor), size)
    across, down = pixel_centres(canvas, rows, columns)
    width, start = width.view(-1, 1, 1), start.view(-1, 1, 1)
    drop = end - start
    x, y, a = (across - origin).clamp_min(0), down - start, drop / width.square()

    t, missed = _foot(x, y, a)
    ny = 2 * a * t
    nx = torch.rsqrt(1 + ny.square())
    ny = ny * nx
    distance = torch.hypot(t - x, missed)
    coverage = half_plane(half - distance, nx, ny) + half_plane(half + distance, nx, ny) - 1

    slope = 2 * drop / width  # cut square at the landing, and upright at the wall
    ux = torch.rsqrt(1 + slope.square())
    beyond = (x - width) * ux + (y - drop) * slope * ux
    coverage = coverage * half_plane(-beyond, ux, slope * ux)
    outside = (across - origin + 0.5).clamp(0, 1)
    paint(canvas[:, :, rows, columns], (coverage * outside).clamp_(0, 1), SKY_BLUE)


def _foot(x: Tensor, y: Tensor, a: Tensor) -> tuple[Tensor, Tensor]:
    """The point t ≥ 0 of the parabola Y = a X² nearest to (x ≥ 0, y), and a t² − y.

    Newton's method on t − x + 2 a t (a t² − y) = 0. It starts to the right of the largest
    root, where that cubic is convex, so it never overshoots; near the curve, where the
    picture is, the start is almost the root.
    """
    t = torch.maximum(x, (y.clamp_min(0) / a).sqrt())
    for _ in range(3):
        at = a * t
        missed = at * t - y
        t = t - (t - x + 2 * at * missed) / (1 + 2 * a * missed + 4 * at.square())
    return t, a * t.square() - y


# ---------------------------------------------------------------------------- the ruler


def read(images: Tensor) -> Tensor:
    """Factors ``(n, 4)`` of ``(n, 3, h, w)`` images; see `Water.measure`."""
    images = as_pictures(images)
    return torch.stack([f(images) for f in (_ball, _height, _gap, _landing)], -1)


def _crop(
    images: Tensor, left: float, right: float, bottom: float, top: float
) -> tuple[Tensor, Tensor, Tensor]:
    """The pixels that a part of the scene touches, and their centres x and y."""
    x, y = FRAME.centres(images)
    px, py = (x[1] - x[0]) / 2, (y[0] - y[1]) / 2
    columns = torch.nonzero((x + px > left) & (x - px < right)).flatten()
    rows = torch.nonzero((y + py > bottom) & (y - py < top)).flatten()
    columns_, rows_ = (slice(int(i[0]), int(i[-1]) + 1) for i in (columns, rows))
    return images[:, :, rows_, columns_], x[columns_], y[rows_]


def _ball(images: Tensor) -> Tensor:
    """Radius ``(n,)``: from the red area around where a ball of that area would lie."""
    left, right = LEFT_WALL + HALF_LINE, RIGHT_WALL - HALF_LINE
    images, x, y = _crop(images, left, right, GROUND, BALLS_TO)
    share = contrast(images, {WHITE: 0, SKY_BLUE: 0, FIREBRICK: 1})
    px, pixel = x[1] - x[0], (x[1] - x[0]) * (y[0] - y[1])
    area = torch.where(share < 0.05, 0.0, share).sum((1, 2)) * pixel
    for _ in range(3):
        radius = (area.clamp_min(0) / torch.pi).sqrt().view(-1, 1, 1)
        away = torch.hypot(x - BALL_X, y.unsqueeze(1) - radius - 0.5)
        near = ((radius - away) / px + 2).clamp(0, 1)  # 1.5 pixels more, for a soft edge
        area = (share * near).sum((1, 2)) * pixel
    return torch.where(area < SMALLEST_BALL, torch.nan, (area / torch.pi).sqrt())


def _height(images: Tensor) -> Tensor:
    """Height ``(n,)``: from the white above the water, in the middle of the cup."""
    images, x, y = _crop(images, 4.2, 6.8, 0.0, SIDE)
    middle = within(x, 4.2, 6.8)
    middle = middle / middle.sum()
    white = contrast(images, {WHITE: 1, SKY_BLUE: 0, FIREBRICK: 0}) @ middle
    water = contrast(images, {WHITE: 0, SKY_BLUE: 1, FIREBRICK: 0}) @ middle
    # A decoder's haze counts as pure, and a level that cuts or blurs a row is in between.
    white = ((white - 0.1) / 0.8).clamp(0, 1)
    py = y[0] - y[1]
    height = SIDE - FLOOR - white.sum(1) * py
    return torch.where(water.sum(1) * py > 0.5, height, torch.nan)


def _gap(images: Tensor) -> Tensor:
    """Hole height ``(n,)``: the mean place of a gap of known size, in the wall's darkness.

    A matched filter: with d the darkness that each row of the wall lacks and g a gap at
    some place and softness, of unit norm, the squares that g leaves unexplained at its best
    depth are |d|² − (d·g)²; places count as in a Gaussian of those squares.
    """
    px = SIDE / images.shape[-1]
    half = HALF_LINE + px / 2
    images, x, y = _crop(images, RIGHT_WALL - half, RIGHT_WALL + half, 1.0, 17.0)
    dark = 1 - contrast(images, {WHITE: 1, SKY_BLUE: 1})
    wall = dark @ within(x, RIGHT_WALL - half, RIGHT_WALL + half)  # in pixels
    usual = wall.median(1).values
    rows = y < HOLES[1] + 1
    lacking = 1 - wall[:, rows] / usual.unsqueeze(1)
    places, gaps = _gaps(y[rows])
    sizes = gaps.norm(dim=1)
    match = (lacking @ (gaps / sizes.unsqueeze(1)).T).clamp_min(0)
    hole = torch.softmax(match.square() / (2 * ROUGHNESS**2), 1) @ places
    best = match.max(1)
    found = (best.values / sizes[best.indices] > 0.2) & (usual * px > 0.2 * 2 * HALF_LINE)
    return torch.where(found, hole, torch.nan)


def _gaps(y: Tensor) -> tuple[Tensor, Tensor]:
    """Places ``(k,)``, and what a gap there takes from each row ``(k, rows)``, if blurred."""
    py = y[0] - y[1]
    place = torch.arange(*HOLES, float(py) / 20, device=y.device)
    start = place.unsqueeze(1) / py
    sharp = overlap(y / py - 0.5, start, start + GAP / py)
    steps = torch.arange(-4, 5, device=y.device)
    gaps = []
    for blur in BLURS:
        kernel = torch.softmax(-((steps / max(blur, 1e-3)) ** 2) / 2, 0).view(1, 1, -1)
        gaps.append(torch.conv1d(sharp.unsqueeze(1), kernel, padding=4).squeeze(1))
    return place.repeat(len(BLURS)), torch.cat(gaps)


def _landing(images: Tensor) -> Tensor:
    """Reach ``(n,)``: where the lower two thirds of the jet, prolonged, meet y = 0.5.

    Fits θ in Y = θ X², Y the fall below the jet's start and X the way from the wall, as
    Σ w X (Y − θ X²) = 0, over the water w along the curve that the last θ gave. Weighing
    by the squared slope makes residuals distances to the curve and not heights. The start
    is the jet's own, beside the wall: nothing here looks at the gap.
    """
    face = RIGHT_WALL + HALF_LINE
    images, x, y = _crop(images, face, SIDE, 0.0, HOLES[1] + 0.5)
    px, py = x[1] - x[0], y[0] - y[1]
    water = (contrast(images, {WHITE: 0, SKY_BLUE: 1}) - FAINTEST_WATER).clamp_min(0)
    jet = water * within(x, face, SIDE)
    first = water * within(x, face, float(face + px)) * (y > LANDING + 0.1).view(-1, 1)
    across, height = (x - RIGHT_WALL).view(1, 1, -1), y.view(1, -1, 1)
    mass = first.sum((1, 2), keepdim=True)
    begin, squared = (
        (first * v).sum((1, 2), keepdim=True) / mass for v in (height, across.square())
    )
    start, weight = begin, jet
    for _ in range(5):
        fall = start - height
        theta = (weight * across * fall).sum((1, 2)) / (weight * across**3).sum((1, 2))
        theta = theta.clamp_min(1e-6).view(-1, 1, 1)
        start = begin + theta * squared  # how far it fell in the columns beside the wall
        fall = start - height
        # The last normal to the curve that counts, where it has fallen by a third:
        third = (start - LANDING).clamp_min(0.5) / 3
        foot = (third / theta).sqrt()
        low = across - foot + (fall - third) * 2 * theta * foot > 0
        steep = 1 + (2 * theta * across).square()
        near = (fall - theta * across.square()).square() < steep * (HALF_LINE + 2 * px) ** 2
        weight = jet / steep * (near & low)
    reach = ((start - LANDING).clamp_min(0) / theta).sqrt().flatten()
    seen = (weight * steep).sum((1, 2)) * px * py > 0.05
    return torch.where(seen, reach, torch.nan)
