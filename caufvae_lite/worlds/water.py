r"""Water: a ball in a cup of water, a hole in the cup, and how far the jet reaches.

The scene of CausalVAE's published "flow" generator (Yang et al., CVPR 2021), in its own
axes (x and y from 0 to 20), here filling the frame::

    r  ball_radius, centred at (5.5, r + 0.5)    k  hole_height, a gap from k to k + 0.4
    water_height = r³ + h₀,  h₀ ~ U[1.0, 3.9]              drawn up to y = 5 + water_height
    reach        = √(1.96 · water_height · (k − 0.5)) + σ e,      e ~ N(0, 1), σ = `noise`
    jet          : from (8, k), x = 8 + reach √((k − y) / (k − 0.5)), down to y = 0.5

h₀ is the water's own noise and is drawn whatever σ is. Two scenes with the same ball differ
in it, so a counterfactual, which keeps h₀, is not an intervention, which draws it anew. A
lawful jet is Torricelli's, for then reach² / (k − 0.5) = 1.96 · water_height. How the scene
is drawn and measured is in `caufvae_lite.worlds.water_scene`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from caufvae_lite.data import FactorDataset
from caufvae_lite.graph import CausalGraph
from caufvae_lite.randomness import generator_from
from caufvae_lite.worlds import water_scene
from caufvae_lite.worlds.base import Setting, StructuralWorld
from caufvae_lite.worlds.water_scene import FLOOR, LANDING

__all__ = ["Water"]

FALL = 1.96  # reach² = FALL · height · drop
RAW_HEIGHT = (1.0, 3.9)  # of h₀


class Water(StructuralWorld):
    """The water world; see the laws above.

    Args:
        image_size: side of the square pictures, in pixels.
        noise: σ, standard deviation of the reach's own noise, in axis units.
    """

    settings = {"water": Setting()}  # noqa: RUF012 - a ClassVar of the base

    def __init__(self, image_size: int = 64, noise: float = 0.0):
        ball, water, hole, reach = "ball_radius", "water_height", "hole_height", "reach"
        ranges = {
            ball: (1 / 6, 17 / 15),
            water: (1.0, 5.4),
            hole: (2.0, 14 / 3),
            reach: (1.7, 6.7),
        }
        graph = CausalGraph([*ranges], [(ball, water), (water, reach), (hole, reach)])
        super().__init__(graph, ranges, dict.fromkeys(ranges, "axis units"), image_size, noise)
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
        radii, heights = torch.arange(5, 35) / 30, torch.arange(10, 40) / 10
        radius, raw, hole = torch.cartesian_prod(radii, heights, torch.arange(6, 15) / 3).T
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

    # ------------------------------------------------------------- the camera, the ruler

    def _draw(self, canvas: Tensor, factors: Tensor) -> None:
        water_scene.draw(canvas, factors)

    def measure(self, images: Tensor) -> Tensor:
        """Read ``(n, 4)`` factors off ``(n, 3, h, w)`` images, of any size.

        Each factor is read from a shape of its own, by geometry and nothing learned. A
        picture in which shapes contradict each other, a decoder's for instance, is read as
        it is drawn. The jet would tell the hole's height too, but two readings of one
        factor can only agree, or hide that they do not: the gap *is* the hole.

        NaN is what is missing: no ball, water, gap or jet to be seen. The gap is the weakest
        mark, 0.64 pixels at 32 × 32: wholly inside one pixel its place is known to ±0.18
        pixels and no better, whatever the ruler. `in_frame` says where all can be read.
        """
        return water_scene.read(images)

    def in_frame(self, factors: Tensor) -> Tensor:
        """``(n,)`` booleans: are ball, water, hole and jet apart, inside, and not too small?

        The ball must lie between the walls, the water above it and in the cup, the hole not
        so near the ground that the jet has no fall, and the jet between wall and frame.
        """
        radius, height, hole, reach = factors.unbind(-1)
        level, ball = FLOOR + height, 2 * radius + 0.5
        inside = (radius >= 0.1) & (radius <= 2.2) & (level >= ball) & (level <= 19.5)
        return inside & (hole >= 1.5) & (hole <= 7.5) & (reach >= 1.0) & (reach <= 11.5)
