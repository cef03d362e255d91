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

import itertools
import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from caufvae_lite.baselines import recipe
from caufvae_lite.baselines.causalvae import LinearSCM
from caufvae_lite.factor_vae import FactorVAE
from caufvae_lite.flow import families_observed
from caufvae_lite.graph import CausalGraph
from caufvae_lite.interventions import Intervention, columns
from caufvae_lite.mechanisms import log_density

SEGMENTS, EDGE, SMALLEST_SLOPE = 16, 3.0, 0.05


class PiecewiseLinear(nn.Module):
    """One increasing piecewise linear map for each of d columns, the identity at first.

    Equal segments between ±EDGE, whose slopes go on outside.
    """

    def __init__(self, d: int):
        super().__init__()
        one = math.log(math.expm1(1 - SMALLEST_SLOPE))
        self.raw_slopes = nn.Parameter(torch.full((d, SEGMENTS), one))
        self.start = nn.Parameter(torch.full((d,), -EDGE))  # f(−EDGE)

    def forward(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """f(y) and log f'(y), each ``(n, d)``."""
        slope, y_0, z_0 = self._segment(y)
        return z_0 + slope * (y - y_0), torch.log(slope)

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """f⁻¹(z) and log f'(f⁻¹(z)), each ``(n, d)``."""
        slope, y_0, z_0 = self._segment(z, mapped=True)
        return y_0 + (z - z_0) / slope, torch.log(slope)

    def _segment(self, x: Tensor, mapped: bool = False) -> list[Tensor]:
        """Slope and left end (y, f(y)) of the segment in which x lies, a y or an f(y)."""
        slopes = SMALLEST_SLOPE + F.softplus(self.raw_slopes)
        width = 2 * EDGE / SEGMENTS
        before = (torch.arange(SEGMENTS).to(slopes) * width - EDGE).expand_as(slopes)
        after = self.start.unsqueeze(1) + (torch.cumsum(slopes * width, 1) - slopes * width)
        inner = (after if mapped else before).detach()[:, 1:].contiguous()
        where = torch.searchsorted(inner, x.detach().T.contiguous(), right=True)
        return [table.gather(1, where).T for table in (slopes, before, after)]


class DearPriorVAE(FactorVAE):
    """A VAE with DEAR's SCM prior: ``scm.matrix`` is A, h is `scaled` and f is ``warp``.

    The arguments are `FactorVAE`'s, but the label likelihood is off unless one is given.
    """

    def __init__(self, graph: CausalGraph, *args: Any, **options: Any):
        super().__init__(graph, *args, **{"label_likelihood": 0.0, **options})
        self.scm = LinearSCM(graph)
        self.raw_scale = nn.Parameter(torch.zeros(len(graph)))
        self.shift = nn.Parameter(torch.zeros(len(graph)))
        self.warp = PiecewiseLinear(len(graph))

    def mechanism_parameters(self) -> list[nn.Parameter]:
        return [*self.scm.parameters(), self.raw_scale, self.shift, *self.warp.parameters()]

    @property
    def log_scale(self) -> Tensor:
        """log of h's scale, within (−4, 4): a noiseless effect needs a bound."""
        return 4 * torch.tanh(self.raw_scale / 4)

    def scaled(self, noise: Tensor) -> Tensor:
        """h(ε) = ε · exp(log_scale) + shift."""
        return noise * torch.exp(self.log_scale) + self.shift

    def latent_map(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        factors, log_slope = self.warp(self.scm(self.scaled(noise)))
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
        asked = torch.zeros_like(noise)
        for i, value in fixed.items():
            asked[:, i] = value
        linear_asked, _ = self.warp.inverse(asked)
        own, a = self.scaled(noise), self.scm.matrix
        linear = own.clone()
        for name in itertools.chain.from_iterable(self.graph.generations):
            i = self.graph.index(name)
            linear[:, i] = linear_asked[:, i] if i in fixed else own[:, i] + linear @ a[:, i]
        factors, _ = self.warp(linear)
        return torch.stack([fixed.get(i, factors[:, i]) for i in range(len(self.graph))], -1)

    def label_log_prob(self, labels: Tensor) -> Tensor:
        log_prob = log_density(*self._node_noise(torch.nan_to_num(labels)))
        return torch.where(families_observed(self.graph, labels), log_prob, 0.0)


RECIPES = recipe.with_and_without_likelihood(
    "DEAR's prior", recipe.Recipe(DearPriorVAE, recipe.LABELS, recipe.SUPERVISION_TRIALS)
)
