r"""The posterior over noise: what the encoder says it knows, and what labels say it knows.

The encoder's is a Gaussian, with a diagonal covariance or with a full one::

    q(ε | x) = N(m, diag σ²)                                each noise by itself
    q(ε | x) = N(m, L Lᵀ),   L = (I + S) diag(σ)            S strictly lower triangular

Both are distributions of torch. Its densities and KL cannot take an empty batch, or need more
than the closed form, so what training asks of them stands here.

Training fits σ to the blur that the decoder can bear, and not to the model's errors. What these
are, only labels can say. A `Calibration` asks held-out labelled rows how wrong the encoder's
factors h(x) are, and it learns the mechanisms again from resampled labels, to see how far they
can be trusted. Its draws of factors carry both errors::

    z = h(x) − (h(x_j) − u_j),   j a random held-out row
    z under do = f_k(f_k⁻¹(z); do),   f_k a flow that learned from the k-th resample of u

The first line is the bootstrap of residuals and the second the bootstrap of cases (Efron and
Tibshirani, *An Introduction to the Bootstrap*, 1993). What all flows get wrong alike is not in
their disagreement; neighbouring rows show it, and the disagreement is widened by that much.
"""

import copy
from collections.abc import Sequence

import torch
from scipy.spatial import cKDTree
from torch import Tensor, nn
from torch.distributions import Independent, MultivariateNormal, Normal

from caufvae_lite.flow import CausalFlow
from caufvae_lite.interventions import Intervention, columns
from caufvae_lite.mechanisms import evaluate, log_density

Posterior = Independent | MultivariateNormal  # over noise, a vector for each picture
_STANDARD = Normal(0.0, 1.0)

ENOUGH, MOST = 40, 2000  # held-out rows; fewer leave none beyond either end of a 95 % interval
NEIGHBOURS, WIDEST = 6, 3.0  # of a row; and the largest factor by which a spread is widened
FLOWS = 8  # that learn again, each from a resample of the labels
STEPS, ROWS, LEARNING_RATE = 1000, 256, 2e-2  # of that learning; rows are drawn in each step


def gaussian(mean: Tensor, std: Tensor, below: Tensor | None = None) -> Posterior:
    """N(mean, Σ) for mean and σ ``(n, k)``.

    ``below`` ``(n, d(d − 1)/2)``, where given, are the entries of S for the first d ≤ k noises,
    row by row. What comes after these covaries with nothing.
    """
    if below is None:
        return Independent(Normal(mean, std), 1)
    d = round((1 + (1 + 8 * below.shape[1]) ** 0.5) / 2)
    mixing = torch.diag_embed(torch.ones_like(std))
    i, j = torch.tril_indices(d, d, -1, device=std.device)
    mixing[:, i, j] = below
    return MultivariateNormal(mean, scale_tril=mixing * std[:, None], validate_args=False)


def drawn_from(q: Posterior, draws: Tensor) -> Tensor:
    """Noise from q, reparametrised by ``draws`` ``(n, latent_dims)`` of N(0, 1)."""
    if isinstance(q, MultivariateNormal):
        return q.mean + (q.scale_tril @ draws.unsqueeze(-1)).squeeze(-1)
    return q.mean + q.stddev * draws


def log_density_of(q: Posterior, noise: Tensor) -> Tensor:
    """log q(noise) ``(n,)``."""
    if not isinstance(q, MultivariateNormal):
        return q.base_dist.log_prob(noise).sum(-1)
    off = (noise - q.mean).unsqueeze(-1)
    white = torch.linalg.solve_triangular(q.scale_tril, off, upper=False).squeeze(-1)
    return _STANDARD.log_prob(white).sum(-1) - _log_det(q)


def kl_from_standard_normal(q: Posterior) -> Tensor:
    """KL(q ‖ N(0, I)) ``(n,)``: for a full covariance, ½ (‖L‖² + ‖m‖² − d) − Σ log L_ii."""
    if not isinstance(q, MultivariateNormal):
        return torch.distributions.kl_divergence(q.base_dist, _STANDARD).sum(-1)
    norms = q.scale_tril.square().sum((-2, -1)) + q.mean.square().sum(-1)
    return 0.5 * (norms - q.mean.shape[-1]) - _log_det(q)


def split(q: Posterior, d: int) -> tuple[Posterior, Posterior]:
    """q of the first d noises, and of the others, which covary with nothing."""
    own, rest = q.mean.tensor_split([d], -1)
    if not isinstance(q, MultivariateNormal):
        std, others = q.stddev.tensor_split([d], -1)
        return gaussian(own, std), gaussian(rest, others)
    tril = q.scale_tril
    others = tril.diagonal(dim1=-2, dim2=-1)[:, d:]
    factors = MultivariateNormal(own, scale_tril=tril[:, :d, :d], validate_args=False)
    return factors, gaussian(rest, others)


def _log_det(q: MultivariateNormal) -> Tensor:
    return q.scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)


class Calibration(nn.Module):
    """Draws of factors that are as far from the truth as the model is on held-out rows.

    Args:
        flow: the model's, from which the others start.
        errors: ``(m, d)``, h(x) − u of held-out labelled rows, standardised.

    Attributes:
        flows: they answer in turn, each from its own resample of the labels.
        scale: ``(d,)``, by which each effect is spread about the flows' mean, 1 or more.
    """

    errors: Tensor
    scale: Tensor
    flows: Sequence[CausalFlow]

    def __init__(self, flow: CausalFlow, errors: Tensor):
        super().__init__()
        self.register_buffer("errors", errors)
        self.register_buffer("scale", torch.ones_like(errors[0]))
        copies = (copy.deepcopy(flow) for _ in range(FLOWS))
        self.flows = nn.ModuleList(copies)  # type: ignore[assignment]

    def learn(self, labels: Tensor, generator: torch.Generator) -> None:
        """Train every flow on a resample of standardised labels ``(n, d)``, by −log p(u).

        Mechanisms of factors that any row lacks (NaN) stay as they are.
        """
        graph = self.flows[0].graph
        known = ~torch.isnan(labels).any(0)
        families = [(i, graph.parents(name)) for i, name in enumerate(graph.nodes)]
        effects = [(i, [graph.index(p) for p in parents]) for i, parents in families if parents]
        effects = [(i, parents) for i, parents in effects if known[[i, *parents]].all()]
        if not effects:
            return
        mechanisms = [flow.mechanisms[i] for i, _ in effects for flow in self.flows]
        bags = torch.randint(len(labels), (FLOWS, len(labels)), generator=generator)
        weights = [p for one in mechanisms for p in one.parameters()]
        optimizer = torch.optim.AdamW(weights, LEARNING_RATE, betas=(0.9, 0.99), fused=True)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, LEARNING_RATE, STEPS, pct_start=0.25, cycle_momentum=False
        )
        for _ in range(STEPS):
            chosen = torch.randint(len(labels), (FLOWS, ROWS), generator=generator)
            rows = labels[bags.gather(1, chosen).to(labels.device)]  # (FLOWS, ROWS, d)
            causes = [own[:, parents] for _, parents in effects for own in rows]
            raw, shift = evaluate(mechanisms, causes).unbind(-1)
            log_scale = self.flows[0].bounded(raw)
            effect = torch.cat([rows[..., i] for i, _ in effects])
            surprise = -log_density((effect - shift) * torch.exp(-log_scale), log_scale)
            optimizer.zero_grad()
            surprise.mean(1).sum().backward()
            optimizer.step()
            schedule.step()
        self._widen(labels, bags, effects)

    @torch.no_grad()
    def _widen(
        self, labels: Tensor, bags: Tensor, effects: Sequence[tuple[int, list[int]]]
    ) -> None:
        """Set ``scale``, for what all flows get wrong alike: a kink that no network follows.

        Each row is predicted by the flows whose resample lacks it. Its residual is the row's
        own noise plus the flows' error. Noises of two rows are independent, but the error is
        much the same where causes are. So the mean product of neighbours' residuals estimates
        the mean squared error, and the scale is what the flows' spread lacks to that.
        """
        inside = torch.stack([torch.bincount(bag, minlength=len(labels)) > 0 for bag in bags])
        outside = (~inside).to(labels).unsqueeze(-1)  # (FLOWS, n, 1)
        count = outside.sum(0)
        rows = count[:, 0] > 0
        filled = torch.nan_to_num(labels)
        noises = [flow.node_noise(filled) for flow in self.flows]
        shifts = torch.stack([filled - noise * torch.exp(s) for noise, s in noises])
        residual = filled - (shifts * outside).sum(0) / count.clamp_min(1)
        spread = shifts.var(0).mean(0) * (1 + (1 / count[rows]).mean())
        for i, parents in effects:
            causes, own = labels[rows][:, parents].cpu().numpy(), residual[rows, i]
            _, found = cKDTree(causes).query(causes, k=NEIGHBOURS + 1)
            near = torch.as_tensor(found, device=own.device)
            others = near != torch.arange(len(own), device=own.device).unsqueeze(1)
            error = ((own.unsqueeze(1) * own[near]) * others).sum() / others.sum()
            missing = (error / spread[i].clamp_min(1e-12)).clamp_min(0).sqrt()
            self.scale[i] = missing.clamp(1.0, WIDEST)

    def draws(
        self, seen: Tensor, do: Intervention, k: int, generator: torch.Generator
    ) -> list[Tensor]:
        """k draws ``(n, d)`` of the factors under ``do``, for h(x) = ``seen`` ``(n, d)``."""
        found, m, where = [], len(self.errors), generator.device
        for i in range(k):
            rows = torch.randint(m, (len(seen),), generator=generator, device=where)
            factors = seen - self.errors[rows.to(seen.device)]
            found.append(self._answer(factors, do, i % FLOWS) if do else factors)
        return found

    def _answer(self, factors: Tensor, do: Intervention, which: int) -> Tensor:
        """Factors ``(n, d)`` under ``do`` by one of the flows, spread about all flows' mean."""
        graph = self.flows[0].graph
        reach, fixed = graph.affected(do), columns(do, graph.nodes, factors)
        values = [fixed.get(i, own) for i, own in enumerate(factors.unbind(-1))]
        noises = [flow.node_noise(factors)[0] for flow in self.flows]
        walk = [name for generation in graph.generations for name in generation]
        for i in (graph.index(name) for name in walk if name in reach and name not in do):
            said = []
            for flow, noise in zip(self.flows, noises, strict=True):
                (log_scale,), (shift,) = flow.scales_and_shifts([i], values)
                said.append(noise[:, i] * torch.exp(log_scale) + shift)
            middle = torch.stack(said).mean(0)
            values[i] = middle + self.scale[i] * (said[which] - middle)
        return torch.stack(values, -1)
