r"""The causal flow: an autoregressive flow that carries a causal graph.

Each factor is an affine function of its own noise, with scale and shift read off its
parents, *already transformed*::

    z_i = ε_i · exp(s_i(pa(z)_i)) + t_i(pa(z)_i)          noise → factors, in causal order
    ε_i = (z_i − t_i(pa(z)_i)) · exp(−s_i(pa(z)_i))       factors → noise, all at once
    log |det ∂z/∂ε| = Σ_i s_i

This is a nonlinear location-scale structural causal model; the pair (s_i, t_i) is factor
i's *mechanism*. One layer, so that ∂ε/∂z is zero outside the parents (a stack of layers
would reach grandparents). With the complete graph it is the autoregressive flow of CAREFL
(Khemakhem et al. 2021). The formula is our reconstruction of the causal flow of CauF-VAE
(Fan, Kou, Gao, arXiv 2304.09010), whose code is not public; ICM-VAE uses the same one.

``do(z_i = c)`` overwrites z_i and recomputes its descendants from their own noise.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from caufvae_lite.graph import CausalGraph
from caufvae_lite.interventions import Intervention, columns
from caufvae_lite.mechanisms import Mechanism, RootMechanism, ScaleBounds, evaluate, log_density
from caufvae_lite.randomness import Seed, normal


class CausalFlow(nn.Module):
    """One layer of a causal flow over ``graph``; see the formulas above.

    A subclass may override `scales_and_shifts`, of which everything else here is made.

    Args:
        graph: which factor causes which; columns are in the order of ``graph.nodes``.
        hidden: widths of each mechanism's hidden layers; ``()`` makes it linear.
        log_scale: bounds of s, see `ScaleBounds`. The flow works in the units it is given, so
            data far from unit scale need other bounds (`CauFVAE` standardises first).

    Attributes:
        mechanisms: one module a factor, by name: ``flow.mechanisms["shadow_length"]``.
    """

    def __init__(
        self,
        graph: CausalGraph,
        hidden: Sequence[int] = (64, 64),
        log_scale: tuple[float, float] = (-4.0, 1.0),
    ):
        super().__init__()
        self.graph = graph
        self.bounded = ScaleBounds(*map(float, log_scale))
        self._parents = [[graph.index(p) for p in graph.parents(n)] for n in graph.nodes]
        self._generations = [[graph.index(n) for n in g] for g in graph.generations]
        self.mechanisms = NamedModules(graph)
        for parents in self._parents:
            own = Mechanism(len(parents), hidden) if parents else RootMechanism()
            self.mechanisms.append(own)

    def forward(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Noise ``(n, d)`` → factors ``(n, d)`` and log|det ∂factors/∂noise| ``(n,)``.

        Generation by generation; each mechanism is evaluated once.
        """
        factors, scales = self._walk(noise, {})
        return factors, scales.sum(-1)

    def inverse(self, factors: Tensor) -> tuple[Tensor, Tensor]:
        """Factors ``(n, d)`` → noise ``(n, d)`` and log|det ∂noise/∂factors| ``(n,)``.

        This is abduction; all factors are taken at once.
        """
        noise, scales = self.node_noise(factors)
        return noise, -scales.sum(-1)

    def node_noise(self, factors: Tensor) -> tuple[Tensor, Tensor]:
        """Each factor's own noise ε_i and its log-scale s_i, both ``(n, d)``."""
        self._check(factors, "factors")
        scales, shifts = self.scales_and_shifts(range(len(self.graph)), factors.unbind(-1))
        log_scale, shift = torch.stack(scales, -1), torch.stack(shifts, -1)
        return (factors - shift) * torch.exp(-log_scale), log_scale

    def do(self, noise: Tensor, do: Intervention | None) -> Tensor:
        """Factors ``(n, d)`` when some are set from outside and the noise is kept.

        Walks the generations, overwrites what ``do`` names, and recomputes everything
        else from its own noise: exact for any set of factors. What is not a descendant
        of a set factor equals ``forward(noise)`` bit by bit.
        """
        factors, _ = self._walk(noise, columns(do, self.graph.nodes, noise))
        return factors

    def counterfactual(self, factors: Tensor, do: Intervention | None) -> Tensor:
        """What ``factors`` ``(n, d)`` would have been under ``do``.

        Abduction (noise from factors), action (overwrite), prediction (recompute the
        descendants). Factors that the intervention cannot reach are returned untouched.
        """
        changed = self.do(self.inverse(factors)[0], do)
        reach = self.graph.affected(do or ())
        affected = torch.tensor([n in reach for n in self.graph.nodes], device=factors.device)
        return torch.where(affected, changed, factors)

    def node_log_prob(self, factors: Tensor) -> Tensor:
        """log p(z_i | pa(z)_i) for each factor, ``(n, d)``; NaN is "not observed".

        A term whose factor, or any of whose parents, is NaN is left out: it is 0, and so
        is its gradient.
        """
        log_prob = log_density(*self.node_noise(torch.nan_to_num(factors)))
        return torch.where(families_observed(self.graph, factors), log_prob, 0.0)

    def log_prob(self, factors: Tensor) -> Tensor:
        """Log-density ``(n,)`` of ``factors`` ``(n, d)``, with ε ~ N(0, I)."""
        return log_density(*self.node_noise(factors)).sum(-1)

    def sample(self, n: int, do: Intervention | None = None, seed: Seed = None) -> Tensor:
        """Draw ``(n, d)`` factors, from the model as it is or under an intervention."""
        noise = normal(n, len(self.graph), seed=seed, like=next(self.parameters()))
        return self.do(noise, do)

    def mechanism(self, node: str, parents: Tensor) -> tuple[Tensor, Tensor]:
        """Log-scale s and shift t of one factor, each ``(n,)``, to draw or to inspect.

        ``parents`` ``(n, p)`` are its parents' values in node order (p = 0 for a root).
        """
        i = self.graph.index(node)
        if parents.ndim != 2 or parents.shape[1] != len(self._parents[i]):
            raise ValueError(
                f"{node!r} has parents {list(self.graph.parents(node))}: expected shape "
                f"(n, {len(self._parents[i])}), got {tuple(parents.shape)}."
            )
        values = [parents.new_zeros(len(parents))] * len(self.graph)
        for k, j in enumerate(self._parents[i]):
            values[j] = parents[:, k]
        (scale,), (shift,) = self.scales_and_shifts([i], values)
        return scale, shift

    def scales_and_shifts(
        self, nodes: Sequence[int], values: Sequence[Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Log-scale s_i and shift t_i, each ``(n,)``, of several factors: the subclass's hook.

        Args:
            nodes: the factors, as columns.
            values: ``d`` columns ``(n,)``, of which only the parents of ``nodes`` are read.
        """
        effects = [i for i in nodes if self._parents[i]]
        inputs = [torch.stack([values[j] for j in self._parents[i]], -1) for i in effects]
        networks = [self.mechanisms[i] for i in effects]
        outputs = iter(evaluate(networks, inputs) if effects else ())
        scales, shifts = [], []
        for i in nodes:
            if self._parents[i]:
                raw, shift = next(outputs).unbind(-1)
            else:
                root = self.mechanisms[i]
                raw, shift = (v.expand_as(values[0]) for v in (root.raw_scale, root.shift))
            scales.append(self.bounded(raw))
            shifts.append(shift)
        return scales, shifts

    def _walk(self, noise: Tensor, fixed: dict[int, Tensor]) -> tuple[Tensor, Tensor]:
        self._check(noise, "noise")
        values = list(noise.unbind(-1))
        log_scales = values.copy()
        for generation in self._generations:
            scales, shifts = self.scales_and_shifts(generation, values)
            for i, scale, shift in zip(generation, scales, shifts, strict=True):
                log_scales[i] = scale
                values[i] = noise[:, i] * torch.exp(scale) + shift
            for i in fixed.keys() & set(generation):
                values[i] = fixed[i]
        return torch.stack(values, -1), torch.stack(log_scales, -1)

    def _check(self, x: Tensor, what: str) -> None:
        d = len(self.graph)
        if x.ndim != 2 or x.shape[1] != d:
            raise ValueError(
                f"{what} must have shape (n, {d}), one column for each of "
                f"{list(self.graph.nodes)}; got {tuple(x.shape)}."
            )
        if not torch.isfinite(x).all():
            raise ValueError(
                f"{what} holds a NaN or an infinite value; drop those rows first "
                "(for missing labels use node_log_prob, which leaves their terms out)."
            )


def families_observed(graph: CausalGraph, factors: Tensor) -> Tensor:
    """``(n, d)`` booleans: are a factor and all its parents known, that is, not NaN?"""
    family = torch.tensor(graph.adjacency | np.eye(len(graph), dtype=bool)).to(factors)
    return (torch.isnan(factors).to(factors) @ family) == 0


class NamedModules(nn.ModuleList):
    """A list of modules, one a node of ``graph``, that can be asked by the node's name.

    (`torch.nn.ModuleDict` refuses names with a dot, and names of its own methods.)
    """

    def __init__(self, graph: CausalGraph):
        super().__init__()
        self.graph = graph

    def __getitem__(self, node: str | int) -> Any:  # type: ignore[override]
        return super().__getitem__(self.graph.index(node) if isinstance(node, str) else node)
