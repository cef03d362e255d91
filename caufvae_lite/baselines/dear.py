r"""DEAR's SCM prior, as a VAE (prior: Shen et al. 2022).

Published: z = f((I − Aᵀ)⁻¹ h(ε)), a weighted linear SCM between two element-wise invertible
maps, f piecewise linear; trained as a bidirectional *GAN* with supervision ‖z̄(x) − u‖².
This is not DEAR but its prior: trained as a VAE like every model here, since adversarial
training would compare trainings and not models. h is affine (the published code has none);
f has 16 segments between −3 and 3 standard deviations (there 100 between −5 and 5). What
no choice of A, f and h can express is an effect like |a − b| of two causes. do() sets z_i,
so y_i = f_i⁻¹(z_i), recomputes y's descendants by A from their own noise and maps back.
−log p(u) is a switch.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from caufvae_lite.baselines.linear_scm import LinearSCM
from caufvae_lite.baselines.recipe import (
    LABELS,
    SUPERVISION_TRIALS,
    Recipe,
    with_and_without_likelihood,
)
from caufvae_lite.flow import families_observed
from caufvae_lite.graph import CausalGraph
from caufvae_lite.interventions import Intervention, columns
from caufvae_lite.mechanisms import log_density
from caufvae_lite.networks import ImageShape
from caufvae_lite.vae import FactorVAE

SEGMENTS = 16
EDGE = 3.0
SMALLEST_SLOPE = 0.05


class PiecewiseLinear(nn.Module):
    """One increasing piecewise linear map for each of d columns, the identity at first.

    Equal segments between ±EDGE, whose slopes go on outside.
    """

    def __init__(self, d: int):
        super().__init__()
        one = math.log(math.expm1(1 - SMALLEST_SLOPE))
        self.raw_slopes = nn.Parameter(torch.full((d, SEGMENTS), one))
        self.start = nn.Parameter(torch.full((d,), -EDGE))  # f(−EDGE)

    def _segments(self) -> tuple[Tensor, Tensor, Tensor]:
        """Slopes ``(d, k)``, and left ends of the segments before and after the map."""
        slopes = SMALLEST_SLOPE + F.softplus(self.raw_slopes)
        width = 2 * EDGE / SEGMENTS
        left = torch.arange(SEGMENTS).to(slopes) * width - EDGE
        rises = torch.cumsum(slopes * width, 1) - slopes * width
        return slopes, left.expand_as(slopes), self.start.unsqueeze(1) + rises

    def forward(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """f(y) and log f'(y), each ``(n, d)``."""
        slopes, before, after = self._segments()
        slope, x0, y0 = _at(y, before, slopes, before, after)
        return y0 + slope * (y - x0), torch.log(slope)

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """f⁻¹(z) and log f'(f⁻¹(z)), each ``(n, d)``."""
        slopes, before, after = self._segments()
        slope, x0, y0 = _at(z, after, slopes, before, after)
        return x0 + (z - y0) / slope, torch.log(slope)


def _at(x: Tensor, ends: Tensor, *tables: Tensor) -> list[Tensor]:
    """Each table's entry for the segment that x ``(n, d)`` lies in; outside, the last one."""
    columns_ = x.detach().T.contiguous()
    where = torch.searchsorted(ends.detach()[:, 1:].contiguous(), columns_, right=True)
    return [table.gather(1, where).T for table in tables]


class DearPriorVAE(FactorVAE):
    """A VAE with DEAR's SCM prior; see above. The options are `CauFVAE`'s.

    Attributes:
        scm: the linear SCM, whose ``weights`` are A.
        log_scale, shift: ``(d,)``, h(ε) = ε · exp(log_scale) + shift.
        warp: f.
    """

    def __init__(
        self,
        graph: CausalGraph,
        image_shape: ImageShape = (3, 64, 64),
        label_likelihood: float = 0.0,
        **options: Any,
    ):
        super().__init__(graph, image_shape, label_likelihood=label_likelihood, **options)
        d = len(graph)
        self.scm = LinearSCM(graph)
        self.raw_scale = nn.Parameter(torch.zeros(d))
        self.shift = nn.Parameter(torch.zeros(d))
        self.warp = PiecewiseLinear(d)

    def mechanism_parameters(self) -> list[nn.Parameter]:
        return [*self.scm.parameters(), self.raw_scale, self.shift, *self.warp.parameters()]

    @property
    def log_scale(self) -> Tensor:
        """log of h's scale, within (−4, 4): a noiseless effect needs a bound."""
        return 4 * torch.tanh(self.raw_scale / 4)

    def latent_map(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        own = noise * torch.exp(self.log_scale) + self.shift
        factors, log_slope = self.warp(self.scm(own))
        return factors, (log_slope + self.log_scale).sum(-1)

    def abduct(self, factors: Tensor) -> Tensor:
        return self._node_noise(factors)[0]

    def _node_noise(self, factors: Tensor) -> tuple[Tensor, Tensor]:
        """Noise, and log|∂z_i/∂ε_i| of each factor, ``(n, d)``."""
        linear, log_slope = self.warp.inverse(factors)
        own = self.scm.inverse(linear)
        return (own - self.shift) * torch.exp(-self.log_scale), log_slope + self.log_scale

    def latent_do(self, noise: Tensor, do: Intervention) -> Tensor:
        fixed = columns(do, self.graph.nodes, noise)
        own = noise * torch.exp(self.log_scale) + self.shift
        asked = torch.zeros_like(noise)
        for i, value in fixed.items():
            asked[:, i] = value
        linear_asked, _ = self.warp.inverse(asked)
        a = self.scm.matrix
        linear = list(own.unbind(-1))
        for generation in self.graph.generations:
            for i in map(self.graph.index, generation):
                causes = torch.stack(linear, -1) @ a[:, i]
                linear[i] = linear_asked[:, i] if i in fixed else own[:, i] + causes
        factors, _ = self.warp(torch.stack(linear, -1))
        return torch.stack([fixed.get(i, factors[:, i]) for i in range(len(self.graph))], -1)

    def label_log_prob(self, labels: Tensor) -> Tensor:
        log_prob = log_density(*self._node_noise(torch.nan_to_num(labels)))
        return torch.where(families_observed(self.graph, labels), log_prob, 0.0)


RECIPES = with_and_without_likelihood(
    "DEAR's prior", Recipe(DearPriorVAE, LABELS, SUPERVISION_TRIALS)
)
