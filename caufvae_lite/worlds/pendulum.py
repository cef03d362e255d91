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

import numpy as np
import torch
from torch import Tensor

from caufvae_lite.data import FactorDataset
from caufvae_lite.graph import CausalGraph
from caufvae_lite.worlds import drawing
from caufvae_lite.worlds.base import Setting, StructuralWorld
from caufvae_lite.worlds.drawing import BLACK, FIREBRICK, ORANGE, Colour, Frame

LEFT, RIGHT, BOTTOM, TOP = 0.0, 20.0, -1.0, 21.0
FRAME = Frame(LEFT, RIGHT, BOTTOM, TOP)
PIVOT = (10.0, 10.5)
ROD, CASTING_POINT = 8.0, 9.5
BALL_RADIUS, SUN_RADIUS = 1.5, 3.0
SUN_HEIGHT, GROUND = 20.5, -0.5
SHORTEST_SHADOW = 3.0
LINE_WIDTH = 1 / 24  # of the frame
SKY = 15.0  # above it the sun, below it the ball, while the pendulum hangs (|θ| < 110°)


class Pendulum(StructuralWorld):
    """The pendulum world, with the laws above; ``noise`` is σ in axis units."""

    settings = {  # noqa: RUF012 - a ClassVar of the base
        "pendulum": Setting(),
        "pendulum-noisy": Setting(noise=1.5),  # see data/README.md for why
        "pendulum-block": Setting(split="block"),
    }

    def __init__(self, image_size: int = 64, noise: float = 0.0):
        ranges = {
            "pendulum_angle": (-36.0, 38.7),
            "light_angle": (54.0, 132.3),
            "shadow_length": (3.0, 12.6),
            "shadow_position": (2.0, 19.6),
        }
        angles, shadow = [*ranges][:2], [*ranges][2:]
        graph = CausalGraph([*ranges], [(a, s) for a in angles for s in shadow])
        units = dict.fromkeys(angles, "°") | dict.fromkeys(shadow, "axis units")
        super().__init__(graph, ranges, units, image_size, noise)

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

        θ = iπ/200, i = −40 … 43; φ = jπ/200, j = 60 … 147 without 100. ``seed`` draws e.
        """
        theta = torch.arange(-40, 44) * 0.9
        phi = torch.tensor([j for j in range(60, 148) if j != 100]) * 0.9
        return self.from_roots(torch.cartesian_prod(theta, phi), seed)

    def in_frame(self, factors: Tensor) -> Tensor:
        """``(n,)`` booleans: is the whole shadow inside the picture?"""
        length, position = factors[:, 2], factors[:, 3]
        inside = (position - length / 2 >= LEFT) & (position + length / 2 <= RIGHT)
        return inside & (length >= 0)

    def _draw(self, canvas: Tensor, factors: Tensor) -> None:
        """Rod, ball, sun and shadow; a shadow of negative length is not drawn."""
        size, (theta, phi, length, position) = self.image_size, factors.unbind(-1)
        theta, phi = torch.deg2rad(theta), torch.deg2rad(phi)
        ball_x, ball_y = PIVOT[0] + ROD * torch.sin(theta), PIVOT[1] - ROD * torch.cos(theta)
        ball = FRAME.to_pixels(ball_x, ball_y, size)
        sun_x = PIVOT[0] + (SUN_HEIGHT - PIVOT[1]) / torch.tan(phi)
        sun = FRAME.to_pixels(sun_x, torch.full_like(sun_x, SUN_HEIGHT), size)
        left, ground = FRAME.to_pixels(position - length / 2, GROUND, size)
        right, _ = FRAME.to_pixels(position + length / 2, GROUND, size)
        ground, half = torch.tensor(ground).to(canvas), LINE_WIDTH * size / 2
        drawing.rod(canvas, FRAME.to_pixels(*PIVOT, size), ball, half)
        _disc(canvas, *ball, BALL_RADIUS, FIREBRICK)
        _disc(canvas, *sun, SUN_RADIUS, ORANGE)
        drawing.bar(canvas, left, right, ground - half, ground + half, BLACK)

    def measure(self, images: Tensor) -> Tensor:
        """Read ``(n, 4)`` factors off ``(n, 3, h, w)`` images, of any size.

        Every pixel mixes white, black, firebrick and orange. Solving for the four shares gives
        a map for each shape, and the maps' first moments give the factors. Nothing is learned,
        so a picture that breaks the law reads as well as a lawful one, as long as the pendulum
        hangs (θ within ±110°). A bar is read as far as the frame shows it. A factor whose shape
        is missing from the picture is NaN, but the length of a missing shadow is 0.
        """
        images = drawing.as_pictures(images)
        height, width = images.shape[-2:]
        x, y = FRAME.centres(images)
        black, ball, sun = drawing.unmix(images, FIREBRICK, ORANGE)
        sky = y > SKY  # so a sun drawn too red is no ball, and a ball too pale no sun

        ball_x, ball_y = drawing.centroid(ball[:, ~sky], x, y[~sky])
        theta = torch.rad2deg(torch.atan2(ball_x - PIVOT[0], PIVOT[1] - ball_y))

        sun_x = _unclip(drawing.centroid(sun[:, sky], x, y[sky])[0])
        cot = (sun_x - PIVOT[0]) / (SUN_HEIGHT - PIVOT[1])
        phi = torch.rad2deg(torch.atan2(torch.ones_like(cot), cot))

        scene = TOP - BOTTOM
        ground = black[:, y < GROUND + (LINE_WIDTH / 2) * scene + scene / height]
        bar_height = LINE_WIDTH * height  # in pixels
        length = ground.sum((1, 2)) / bar_height * (RIGHT - LEFT) / width
        position = drawing.centroid(ground, x, y[-ground.shape[1] :])[0]
        return torch.stack([theta, phi, length, position], -1)


def white_share(images: Tensor) -> Tensor:
    """How much of each pixel ``(n, h, w)`` of pictures ``(n, 3, h, w)`` no shape covers."""
    return 1 - torch.stack(drawing.unmix(images, FIREBRICK, ORANGE)).sum(0).clamp(0, 1)


def _disc(canvas: Tensor, x: Tensor, y: Tensor, radius: float, colour: Colour) -> None:
    """A disc of the scene around pixel (x, y), its edge straight within each pixel."""
    size = canvas.shape[-1]
    half_width, half_height = radius * size / (RIGHT - LEFT), radius * size / (TOP - BOTTOM)
    rows = drawing.touched(y - half_height, y + half_height, size)
    across, down = drawing.pixel_centres(canvas)
    dx = (across - x.view(-1, 1, 1)) / half_width
    dy = (down[rows, None] - y.view(-1, 1, 1)) / half_height
    # Distance to the edge in units of a pixel's extent along the edge's normal:
    # h / |∇h|₁ with h = dx² + dy² − 1.
    slope = (dx.abs() / half_width + dy.abs() / half_height).mul_(2).clamp_min_(1e-6)
    coverage = (1 - dx.square() - dy.square()).div_(slope).add_(0.5).clamp_(0, 1)
    drawing.paint(canvas[:, :, rows], coverage, colour)


def _unclip(centre: Tensor) -> Tensor:
    """The sun's true x from its visible centre of mass, where the frame cuts the disc."""
    true = np.linspace(LEFT - 2.5, RIGHT + 2.5, 251)
    edges = np.linspace(LEFT, RIGHT, 4001)
    x = (edges[1:] + edges[:-1]) / 2
    half = np.sqrt(np.clip(SUN_RADIUS**2 - (x - true[:, None]) ** 2, 0, None))
    chord = np.minimum(half, TOP - SUN_HEIGHT) + half  # the frame cuts the top as well
    visible = (chord * x).sum(1) / chord.sum(1)
    found = np.interp(centre.cpu().numpy().astype(np.float64), visible, true)
    return torch.as_tensor(found, dtype=centre.dtype, device=centre.device)
