r"""The pendulum: a lamp, a pendulum, and the shadow that both of them cause.

The scene of CausalVAE's published generator (Yang et al., CVPR 2021), in its own axes
(x from 0 to 20, y from −1 to 21), here filling the frame::

    θ  pendulum angle from the vertical         φ  light angle
    P = (10, 10.5)                              pivot
    rod to P + 8 (sin θ, −cos θ), with a ball of radius 1.5 there
    T = P + 9.5 (sin θ, −cos θ)                 the point that casts the shadow's far end
    sun of radius 3 at x = 10 + 10 cot φ, y = 20.5
    a = P_x − 11 cot φ,  b = T_x − (T_y + 0.5) cot φ     P and T projected to the ground
    shadow_length   = max(3, |a − b|) + σ e₁
    shadow_position = (a + b) / 2     + σ e₂             e ~ N(0, 1), σ = `noise`

The shadow is a black bar at y = −0.5. Lines are 1/24 of the frame wide: 3 points in the
original's one-inch picture. With cot φ instead of its tan φ, light from straight above
(φ = 90°) needs no exception. With σ = 0 the shadow is a function of the angles.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from torch import Tensor

from caufvae_lite.data import FactorDataset
from caufvae_lite.graph import CausalGraph
from caufvae_lite.worlds.base import Setting, StructuralWorld
from caufvae_lite.worlds.drawing import (
    BLACK,
    FIREBRICK,
    ORANGE,
    Frame,
    as_pictures,
    bar,
    centroid,
    ellipse,
    half_plane,
    paint,
    pixel_centres,
    touched,
    unmix,
)

__all__ = ["Pendulum", "white_share"]

LEFT, RIGHT, BOTTOM, TOP = 0.0, 20.0, -1.0, 21.0
FRAME = Frame(LEFT, RIGHT, BOTTOM, TOP)
PIVOT = (10.0, 10.5)
ROD, CASTING_POINT = 8.0, 9.5
BALL_RADIUS, SUN_RADIUS = 1.5, 3.0
SUN_HEIGHT, GROUND = 20.5, -0.5
SHORTEST_SHADOW = 3.0
LINE_WIDTH = 1 / 24  # of the frame
SKY = 15.0  # above it the sun, below it the ball, while the pendulum hangs (|θ| < 110°)

ANGLES = ("pendulum_angle", "light_angle")
SHADOW = ("shadow_length", "shadow_position")


class Pendulum(StructuralWorld):
    """The pendulum world; see the laws above.

    Args:
        image_size: side of the square pictures, in pixels.
        noise: σ, standard deviation of the shadow's own noise, in axis units.
    """

    settings = {  # noqa: RUF012 - a ClassVar of the base
        "pendulum": Setting(),
        "pendulum-noisy": Setting(noise=1.5),  # see data/README.md for why
        "pendulum-block": Setting(split="block"),
    }

    def __init__(self, image_size: int = 64, noise: float = 0.0):
        super().__init__(
            CausalGraph((*ANGLES, *SHADOW), [(a, s) for a in ANGLES for s in SHADOW]),
            ranges={
                "pendulum_angle": (-36.0, 38.7),
                "light_angle": (54.0, 132.3),
                "shadow_length": (3.0, 12.6),
                "shadow_position": (2.0, 19.6),
            },
            units={n: "°" if n in ANGLES else "axis units" for n in (*ANGLES, *SHADOW)},
            image_size=image_size,
            noise=noise,
        )

    # ------------------------------------------------------------------------- the laws

    def law(self, factors: Tensor) -> Tensor:
        """Length and position ``(n, 2)`` that the angles in ``factors`` alone imply."""
        theta, phi = torch.deg2rad(factors[:, 0]), torch.deg2rad(factors[:, 1])
        cot = 1 / torch.tan(phi)
        cast_x = PIVOT[0] + CASTING_POINT * torch.sin(theta)
        cast_y = PIVOT[1] - CASTING_POINT * torch.cos(theta)
        a = PIVOT[0] - (PIVOT[1] - GROUND) * cot
        b = cast_x - (cast_y - GROUND) * cot
        return torch.stack([(a - b).abs().clamp_min(SHORTEST_SHADOW), (a + b) / 2], -1)

    def grid(self, seed: int = 0) -> FactorDataset:
        """The 7,308 published combinations of angles, the light running fastest.

        θ = iπ/200 for i = −40 … 43 and φ = jπ/200 for j = 60 … 147 without 100.
        ``seed`` draws the shadow's noise where σ > 0.
        """
        theta = torch.arange(-40, 44) * 0.9
        phi = torch.tensor([j for j in range(60, 148) if j != 100]) * 0.9
        return self.from_roots(torch.cartesian_prod(theta, phi), seed)

    # ----------------------------------------------------------------------- the camera

    def _draw(self, canvas: Tensor, factors: Tensor) -> None:
        """Rod, ball, sun and shadow; a shadow of negative length is not drawn."""
        theta, phi = torch.deg2rad(factors[:, 0]), torch.deg2rad(factors[:, 1])
        ball = (PIVOT[0] + ROD * torch.sin(theta), PIVOT[1] - ROD * torch.cos(theta))
        sun_x = PIVOT[0] + (SUN_HEIGHT - PIVOT[1]) / torch.tan(phi)
        self._rod(canvas, *ball)
        self._disc(canvas, *ball, BALL_RADIUS, FIREBRICK)
        self._disc(canvas, sun_x, torch.full_like(sun_x, SUN_HEIGHT), SUN_RADIUS, ORANGE)
        self._shadow(canvas, factors[:, 2], factors[:, 3])

    def _disc(self, canvas: Tensor, x: Tensor, y: Tensor, radius: float, colour) -> None:
        half_width = radius * self.image_size / (RIGHT - LEFT)
        half_height = radius * self.image_size / (TOP - BOTTOM)
        x, y = FRAME.to_pixels(x, y, self.image_size)
        ellipse(canvas, x, y, half_width, half_height, colour)

    def _rod(self, canvas: Tensor, ball_x: Tensor, ball_y: Tensor) -> None:
        pivot_x, pivot_y = FRAME.to_pixels(*PIVOT, self.image_size)
        ends = FRAME.to_pixels(ball_x, ball_y, self.image_size)
        end_x, end_y = (c.view(-1, 1, 1) for c in ends)
        half = LINE_WIDTH * self.image_size / 2
        tops, bottoms = end_y.clamp(max=pivot_y), end_y.clamp(min=pivot_y)
        rows = touched(tops - half, bottoms + half, self.image_size)
        across, down = pixel_centres(canvas, rows, slice(None))
        length = torch.hypot(end_x - pivot_x, end_y - pivot_y)
        ux, uy = (end_x - pivot_x) / length, (end_y - pivot_y) / length
        dx, dy = across - pivot_x, down - pivot_y
        aside, along = uy * dx - ux * dy, ux * dx + uy * dy
        side = partial(half_plane, nx=ux, ny=uy)
        coverage = side(half - aside) + side(half + aside) - 1
        between = side(along).mul_(along < length)  # the far end lies under the ball
        paint(canvas[:, :, rows], coverage.mul_(between).clamp_(0, 1), BLACK)

    def _shadow(self, canvas: Tensor, length: Tensor, position: Tensor) -> None:
        size, half = self.image_size, LINE_WIDTH * self.image_size / 2
        left, ground = FRAME.to_pixels(position - length / 2, GROUND, size)
        right, _ = FRAME.to_pixels(position + length / 2, GROUND, size)
        height = torch.tensor(ground, device=length.device)
        bar(canvas, left, right, height - half, height + half, BLACK)

    # ------------------------------------------------------------------------ the ruler

    def measure(self, images: Tensor) -> Tensor:
        """Read ``(n, 4)`` factors off ``(n, 3, h, w)`` images, of any size.

        Every pixel is a mixture of white, black, firebrick and orange. Solving for the four
        shares gives one map for each shape, and first moments of the maps give the factors.
        Nothing is learned, so a picture that breaks the law reads as well as a lawful one,
        as long as the pendulum hangs (|θ| < 110°). A bar that leaves the frame is read as
        far as it is visible. A factor whose shape is missing from the picture is NaN, but
        the length of a missing shadow is 0.
        """
        images = as_pictures(images)
        height, width = images.shape[-2:]
        x, y = FRAME.centres(images)
        black, ball, sun = unmix(images, FIREBRICK, ORANGE)
        sky = y > SKY  # so a sun drawn too red is no ball, and a ball too pale no sun
        ball, sun = ball[:, ~sky], sun[:, sky]

        ball_x, ball_y = centroid(ball, x, y[~sky])
        theta = torch.rad2deg(torch.atan2(ball_x - PIVOT[0], PIVOT[1] - ball_y))

        sun_x = _unclip(centroid(sun, x, y[sky])[0])
        cot = (sun_x - PIVOT[0]) / (SUN_HEIGHT - PIVOT[1])
        phi = torch.rad2deg(torch.atan2(torch.ones_like(cot), cot))

        scene = TOP - BOTTOM
        ground = black[:, y < GROUND + (LINE_WIDTH / 2) * scene + scene / height]
        bar_height = LINE_WIDTH * height  # in pixels
        length = ground.sum((1, 2)) / bar_height * (RIGHT - LEFT) / width
        position = centroid(ground, x, y[-ground.shape[1] :])[0]
        return torch.stack([theta, phi, length, position], -1)

    def in_frame(self, factors: Tensor) -> Tensor:
        """``(n,)`` booleans: is the whole shadow inside the picture?"""
        length, position = factors[:, 2], factors[:, 3]
        inside = (position - length / 2 >= LEFT) & (position + length / 2 <= RIGHT)
        return inside & (length >= 0)


def white_share(images: Tensor) -> Tensor:
    """How much of each pixel ``(n, h, w)`` of pictures ``(n, 3, h, w)`` no shape covers."""
    return 1 - torch.stack(unmix(images, FIREBRICK, ORANGE)).sum(0).clamp(0, 1)


def _unclip(centre: Tensor) -> Tensor:
    """The sun's true x from its visible centre of mass, where the frame cuts the disc.

    Looks it up in a table of true centres and the visible centre of mass at each of them.
    """
    true = np.linspace(LEFT - 2.5, RIGHT + 2.5, 251)
    edges = np.linspace(LEFT, RIGHT, 4001)
    x = (edges[1:] + edges[:-1]) / 2
    half = np.sqrt(np.clip(SUN_RADIUS**2 - (x - true[:, None]) ** 2, 0, None))
    chord = np.minimum(half, TOP - SUN_HEIGHT) + half  # the frame cuts the top as well
    visible = (chord * x).sum(1) / chord.sum(1)
    found = np.interp(centre.cpu().numpy().astype(np.float64), visible, true)
    return torch.as_tensor(found, dtype=centre.dtype, device=centre.device)
