r"""Water: a ball in a cup of water, a hole in the cup, and how far the jet reaches.

The scene of CausalVAE's published "flow" generator (Yang et al., CVPR 2021), in its own
axes (x and y from 0 to 20), here filling the frame::

    r  ball_radius, centred at (5.5, r + 0.5)    k  hole_height, a gap from k to k + 0.4
    water_height = r³ + h₀,  h₀ ~ U[1.0, 3.9]              drawn up to y = 5 + water_height
    reach        = √(1.96 · water_height · (k − 0.5)) + σ e,      e ~ N(0, 1), σ = `noise`
    jet          : from (8, k), x = 8 + reach √((k − y) / (k − 0.5)), down to y = 0.5

The cup's walls stand at x = 3 and 8 on the ground at y = 0.2. Lines are 1/36 of the frame
wide: 2 points in the original's one-inch picture. h₀ is the water's own noise, alive
whatever σ is: two scenes with the same ball differ in it, so a counterfactual, which keeps
h₀, is not an intervention, which draws it anew. A lawful jet is Torricelli's, for then
reach² / (k − 0.5) = 1.96 · water_height.
"""

from __future__ import annotations

import torch
from torch import Tensor

from caufvae_lite.data import FactorDataset
from caufvae_lite.graph import CausalGraph
from caufvae_lite.randomness import generator_from
from caufvae_lite.worlds.base import StructuralWorld
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

SIDE = 20.0
FRAME = Frame(0.0, SIDE, 0.0, SIDE)
LEFT_WALL, RIGHT_WALL, RIM = 3.0, 8.0, 19.0
FLOOR, GROUND, LANDING = 5.0, 0.2, 0.5
BALL_X, GAP = 5.5, 0.4
FALL = 1.96  # reach² = FALL · height · drop
RAW_HEIGHT = (1.0, 3.9)  # of h₀
HALF_LINE = SIDE / 36 / 2
LOWEST_DROP = 0.05  # a hole below 0.55 pours from 0.55

# What the ruler takes for granted:
BALLS_TO, SMALLEST_BALL = 5.0, 0.02  # where a ball can be, and its least area
GAPS = (0.7, 8.0)  # where the hole can be
BLURS = (0.0, 0.35, 0.7, 1.0)  # how soft a gap can be, in pixels
ROUGHNESS = 0.02  # of the wall's darkness from row to row
FAINT = 0.15  # less water in a pixel is a decoder's haze, and no jet


class Water(StructuralWorld):
    """The water world; see the laws above.

    Args:
        image_size: side of the square pictures, in pixels.
        noise: σ, standard deviation of the reach's own noise, in axis units.
    """

    def __init__(self, image_size: int = 64, noise: float = 0.0):
        nodes = ("ball_radius", "water_height", "hole_height", "reach")
        ball, water, hole, reach = nodes
        super().__init__(
            CausalGraph(nodes, [(ball, water), (water, reach), (hole, reach)]),
            ranges={
                ball: (1 / 6, 17 / 15),
                water: (1.0, 5.4),
                hole: (2.0, 14 / 3),
                reach: (1.7, 6.7),
            },
            units={name: "axis units" for name in nodes},
            image_size=image_size,
            noise=noise,
        )
        self.noisy = (water, reach) if self.noise > 0 else (water,)

    # ------------------------------------------------------------------------- the laws

    def law(self, factors: Tensor) -> Tensor:
        """What ball, and water and hole, imply: r³ and √(1.96 h (k − 0.5)), ``(n, 2)``.

        Without h₀, which is noise. A ball of negative radius displaces nothing, and nothing
        flows where the water or the hole is too low.
        """
        radius, height, hole, _ = factors.unbind(-1)
        squared = FALL * height.clamp_min(0) * (hole - LANDING).clamp_min(0)
        return torch.stack([radius.clamp_min(0) ** 3, squared.sqrt()], -1)

    def exogenous(self, factors: Tensor, generator: torch.Generator) -> Tensor:
        """h₀ ~ U[1.0, 3.9] and σ e, ``(n, 2)``."""
        low, high = RAW_HEIGHT
        raw = low + (high - low) * torch.rand(len(factors), generator=generator)
        own = self.noise * torch.randn(len(factors), generator=generator)
        return torch.stack([raw, own], -1)

    def grid(self, seed: int = 0) -> FactorDataset:
        """The 8,100 published combinations: ball slowest, h₀, then hole fastest.

        r = i/30 for i = 5 … 34, h₀ = j/10 for j = 10 … 39 and k = l/3 for l = 6 … 14.
        ``seed`` draws the reach's noise where σ > 0.
        """
        thirtieths, tenths, thirds = (
            torch.arange(a, b) for a, b in ((5, 35), (10, 40), (6, 15))
        )
        radius, raw, hole = torch.cartesian_prod(thirtieths / 30, tenths / 10, thirds / 3).T
        generator = generator_from(seed)
        noise = self.exogenous(radius, generator)
        noise[:, 0] = raw
        return self.from_roots(torch.stack([radius, hole], -1), generator, noise=noise)

    def in_support(self, factors: Tensor, name: str) -> Tensor:
        """``(n,)`` booleans: is h₀ one that is drawn; is the reach within 3 σ of its law?"""
        if name != "water_height":
            return super().in_support(factors, name)
        factors = self._check(factors)
        raw = factors[:, 1] - self.law(factors)[:, 0]
        return (raw > RAW_HEIGHT[0] - 1e-3) & (raw < RAW_HEIGHT[1] + 1e-3)

    # ----------------------------------------------------------------------- the camera

    def _draw(self, canvas: Tensor, factors: Tensor) -> None:
        """Water, jet, walls, ground and ball, in this order: the walls hide the jet's start.

        Unlawful scenes are drawn as they come: the jet starts at the hole and lands at
        ``reach`` whatever the water's height; a hole below 0.55 pours from 0.55; with a
        reach of 0 or less the jet falls unseen behind the wall. A ball without radius and a
        water level below the ground are not drawn.
        """
        size, farthest = self.image_size, 10 * SIDE  # what is farther looks the same
        radius, height, hole, reach = factors.clamp(-farthest, farthest).unbind(-1)
        radius = radius.clamp_max(2 * SIDE)
        self._block(canvas, LEFT_WALL, RIGHT_WALL, 0.0, FLOOR + height, SKY_BLUE)
        self._jet(canvas, hole, reach)
        self._block(canvas, LEFT_WALL - HALF_LINE, LEFT_WALL + HALF_LINE, 0.0, RIM, BLACK)
        self._right_wall(canvas, hole)
        self._block(canvas, 0.0, SIDE, GROUND - HALF_LINE, GROUND + HALF_LINE, BLACK)
        x, y = FRAME.to_pixels(torch.full_like(radius, BALL_X), radius + 0.5, size)
        disc(canvas, x, y, radius * size / SIDE, FIREBRICK)

    def _block(
        self,
        canvas: Tensor,
        left: float,
        right: float,
        bottom: float,
        top: float | Tensor,
        colour: Colour,
    ) -> None:
        corners = [
            torch.as_tensor(v, dtype=canvas.dtype).to(canvas)
            for v in (left, right, top, bottom)
        ]
        left_, top_ = FRAME.to_pixels(corners[0], corners[2], self.image_size)
        right_, bottom_ = FRAME.to_pixels(corners[1], corners[3], self.image_size)
        bar(canvas, left_, right_, top_, bottom_, colour)

    def _right_wall(self, canvas: Tensor, hole: Tensor) -> None:
        """From ground to rim, but for the gap.

        One shape, so that a gap smaller than a pixel has both its edges exact.
        """
        size = self.image_size
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

    def _jet(self, canvas: Tensor, hole: Tensor, reach: Tensor) -> None:
        """A stroke along the parabola Y = a X², X to the right of and Y below the hole."""
        size = self.image_size
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

    # ------------------------------------------------------------------------ the ruler

    def measure(self, images: Tensor) -> Tensor:
        """Read ``(n, 4)`` factors off ``(n, 3, h, w)`` images, of any size.

        Each factor from a shape of its own, so that a picture in which shapes contradict
        each other, a decoder's for instance, is read as it is drawn: the ball's area, how
        much of the cup is not white, where a gap of 0.4 fits best into the right wall, and
        where the jet, a parabola from its own start beside the wall, comes down to y = 0.5.
        The jet would tell the hole's height too, but two readings of one factor can only
        agree or hide that they do not; the gap *is* the hole. Nothing is learned.

        NaN is what is missing: no ball, water, gap or jet to be seen. The gap is the weakest
        mark, 0.64 pixels at 32 × 32: wholly inside one pixel its place is known to ±0.18
        pixels and no better, whatever the ruler. `in_frame` says where all can be read.
        """
        images = as_pictures(images)
        readers = (_ball, _height, _gap, _landing)
        return torch.stack([read(images) for read in readers], -1)

    def in_frame(self, factors: Tensor) -> Tensor:
        """``(n,)`` booleans: are ball, water, hole and jet apart, inside, and not too small?

        The ball between the walls, the water above it and in the cup, the hole not so near
        the ground that the jet has no fall, and the jet between wall and frame.
        """
        radius, height, hole, reach = factors.unbind(-1)
        level, ball = FLOOR + height, 2 * radius + 0.5
        inside = (radius >= 0.1) & (radius <= 2.2) & (level >= ball) & (level <= 19.5)
        return inside & (hole >= 1.5) & (hole <= 7.5) & (reach >= 1.0) & (reach <= 11.5)


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


# --------------------------------------------------------------- the ruler, factor by factor


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
    images, x, y = _crop(
        images, LEFT_WALL + HALF_LINE, RIGHT_WALL - HALF_LINE, GROUND, BALLS_TO
    )
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
    rows = y < GAPS[1] + 1
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
    place = torch.arange(*GAPS, float(py) / 20, device=y.device)
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
    images, x, y = _crop(images, face, SIDE, 0.0, GAPS[1] + 0.5)
    px, py = x[1] - x[0], y[0] - y[1]
    water = (contrast(images, {WHITE: 0, SKY_BLUE: 1}) - FAINT).clamp_min(0)
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
