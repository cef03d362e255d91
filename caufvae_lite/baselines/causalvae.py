r"""CausalVAE: a linear SCM layer and mask networks (Yang et al. 2021).

Published: noise becomes factors by the linear SCM z = Aᵀz + ε = (I − Aᵀ)⁻¹ε; mask networks
g_i reproduce each factor from its parents, z_i ≈ g_i(A_i ∘ z), and carry interventions;
losses KL(q(ε | x) ‖ N(0, I)), KL(q(z | x) ‖ N(u, I)), l_u = ‖u − Aᵀu‖², l_m = Σ ‖z_i − g_i‖².

(The published code takes l_u through the mask networks, feeds their output, after an
attention layer, to the decoder, adds a third KL for it, and holds the posterior's variance
at 1; we follow the paper's equations, with l_u linear.)

Changed here: A and the masks use the true graph's edges, as all models on our scoreboard are
given it (the published code starts from a super-graph and penalises cycles); one dimension
a factor and one decoder, which reads z, instead of four of each. Under do() a descendant
keeps its residual z_i − g_i, so that doing nothing changes nothing, and every generation is
recomputed; the published code recomputes one step. Supervision as all models with labels
have it. As a switch, the mask networks with a learned spread give the label likelihood
−Σ log N(u_i; g_i(pa(u)_i), σ_i²).
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Normal

from caufvae_lite.baselines.recipe import LABELS, Recipe, grid, with_and_without_likelihood
from caufvae_lite.factor_vae import FactorVAE
from caufvae_lite.flow import CausalFlow
from caufvae_lite.graph import CausalGraph
from caufvae_lite.interventions import Intervention
from caufvae_lite.networks import ImageShape
from caufvae_lite.posterior import Posterior, log_density_of


class LinearSCM(nn.Module):
    """A on the graph's edges, zero at first; z's log-determinant is 0, whatever A is."""

    edges: Tensor

    def __init__(self, graph: CausalGraph):
        super().__init__()
        self.register_buffer("edges", torch.tensor(graph.adjacency), persistent=False)
        self.weights = nn.Parameter(torch.zeros(len(graph), len(graph)))

    @property
    def matrix(self) -> Tensor:
        """A ``(d, d)``: ``[i, j]`` is what factor i adds to factor j, and 0 off the graph."""
        return self.weights * self.edges

    def forward(self, noise: Tensor) -> Tensor:
        """ε → z, each ``(n, d)``."""
        return torch.linalg.solve(self._identity_minus_a(), noise, left=False)

    def inverse(self, factors: Tensor) -> Tensor:
        """z → ε, each ``(n, d)``."""
        return factors @ self._identity_minus_a()

    def _identity_minus_a(self) -> Tensor:
        return torch.eye(len(self.edges)).to(self.weights) - self.matrix


class MaskNetworks(CausalFlow):
    """z_i = g_i(pa(z)_i) + σ_i · residual: additive, the spread is one number a factor."""

    def __init__(self, graph: CausalGraph):
        super().__init__(graph)
        self.raw_scale = nn.Parameter(torch.zeros(len(graph)))

    def scales_and_shifts(
        self, nodes: Sequence[int], values: Sequence[Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """The flow's, with a number as every effect's scale. A root has one already."""
        scales, shifts = super().scales_and_shifts(nodes, values)
        spread = self.bounded(self.raw_scale)
        for k, i in enumerate(nodes):
            if self.graph.nodes[i] not in self.graph.roots:
                scales[k] = spread[i].expand_as(scales[k])
        return scales, shifts


class CausalVAE(FactorVAE):
    """CausalVAE on the shared networks; ``scm.matrix`` is A, and ``masks`` are the g_i.

    The weights ``label_prior``, ``linear`` and ``masks`` are those of KL(q(z | x) ‖ N(u, I)),
    of l_u, over labelled rows, and of l_m. The other options are `FactorVAE`'s.
    """

    def __init__(
        self,
        graph: CausalGraph,
        image_shape: ImageShape = (3, 64, 64),
        label_prior: float = 1.0,
        linear: float = 1.0,
        masks: float = 1.0,
        label_likelihood: float = 0.0,
        **options: Any,
    ):
        super().__init__(graph, image_shape, label_likelihood=label_likelihood, **options)
        self.own_weights = {"label_prior": label_prior, "linear": linear, "masks": masks}
        self.scm = LinearSCM(graph)
        self.masks = MaskNetworks(graph)

    def config(self) -> dict[str, Any]:
        return {**super().config(), **self.own_weights}

    def mechanism_parameters(self) -> list[nn.Parameter]:
        return [*self.scm.parameters(), *self.masks.parameters()]

    def latent_map(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        return self.scm(noise), noise.new_zeros(len(noise))

    def abduct(self, factors: Tensor) -> Tensor:
        return self.scm.inverse(factors)

    def latent_do(self, noise: Tensor, do: Intervention) -> Tensor:
        return self.masks.counterfactual(self.scm(noise), do)

    def label_log_prob(self, labels: Tensor) -> Tensor:
        return self.masks.node_log_prob(labels)

    def kl(
        self, q: Posterior, noise: Tensor, factors: Tensor, log_det: Tensor, labels: Tensor
    ) -> Tensor:
        """Both KLs, l_u and l_m with their weights, ``(n,)``."""
        labels = labels.masked_fill(self.binary, torch.nan)
        complete, known = ~torch.isnan(labels).any(-1), torch.nan_to_num(labels)
        log_q = log_density_of(q, noise) - log_det
        unexplained = self.scm.inverse(known).square().sum(-1)
        residual, log_scale = self.masks.node_noise(factors)
        to_noise = super().kl(q, noise, factors, log_det, labels)
        log_p = Normal(known, 1.0).log_prob(factors).sum(-1)
        return (
            to_noise
            + self.own_weights["label_prior"] * (log_q - log_p)
            + self.own_weights["linear"] * torch.where(complete, unexplained, 0.0)
            + self.own_weights["masks"] * (residual * torch.exp(log_scale)).square().sum(-1)
        )


_BEST = {**LABELS, "label_prior": 0.01, "masks": 1.0}
_TRIALS = (*grid(label_prior=(1.0, 0.1, 0.01), masks=(1.0, 10.0), supervision=(60.0,)), _BEST)
RECIPES = with_and_without_likelihood("CausalVAE", Recipe(CausalVAE, _BEST, _TRIALS), _TRIALS)
