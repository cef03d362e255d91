r"""Random structural causal models, to find graphs in: labels only, no pictures.

An Erdős–Rényi graph over a random order; names and columns are shuffled, so neither tells
the order. Every factor is a location-scale function of its parents::

    z_i = (t_i(pa) + σ_i(pa) e_i − m_i) / v_i,      e_i ~ N(0, 1)

``"additive"``
    t = Σ_j f_j(z_j), each f_j drawn from a Gaussian process with an RBF kernel of width 1;
    σ² ~ U[0.4, 0.8], the same everywhere. The home ground of CAM (Bühlmann, Peters, Ernest
    2014), after the set-up of Lachapelle et al. (GraN-DAG, 2020).
``"interacting"``
    t = √p · MLP(pa), one random tanh layer over all p parents, of unit variance; σ(pa) is
    as above times exp(tanh(MLP'(pa))/2), so that it changes up to e-fold.

m_i and v_i give each factor mean 0 and variance 1 *before* its children read it: no order
can be read off variances (Reisach, Seiler, Weichwald 2021; Ormaniec et al. 2025). Roots are
normal, uniform, Laplace, or have two peaks.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from caufvae_lite.graph import CausalGraph
from caufvae_lite.interventions import Intervention, columns
from caufvae_lite.randomness import generator_from, keyed_generator

FAMILIES = ("additive", "interacting")
REFERENCE_ROWS = 10_000  # for m_i and v_i
FEATURES = 100  # random Fourier features of a Gaussian process (Rahimi & Recht 2007)
HIDDEN = 20

Function = Callable[[Tensor], Tensor]  # (n, p) → (n,)


class RandomSCM:
    """A random structural causal model; see the formulas above.

    Args:
        d: number of factors.
        family: ``"additive"`` or ``"interacting"``.
        seed: of graph and mechanisms (of nothing that `sample` draws).
        degree: expected number of edges for each factor; at most half of all pairs are
            joined.

    Attributes:
        graph: the true `CausalGraph`.

    Raises:
        ValueError: d < 1, or an unknown family.

    >>> scm = RandomSCM(5, "additive", seed=0)
    >>> scm.sample(100, seed=1).shape
    torch.Size([100, 5])
    """

    def __init__(self, d: int, family: str, seed: int, degree: float = 2.0):
        if d < 1:
            raise ValueError(f"A causal model needs at least one factor, got d = {d}.")
        if family not in FAMILIES:
            raise ValueError(f"family must be one of {FAMILIES}, got {family!r}.")
        self.family = family
        generator = keyed_generator(seed, d, FAMILIES.index(family))
        self.graph = _random_graph(d, degree, generator)
        self._order = [self.graph.index(n) for g in self.graph.generations for n in g]
        self._parents = [[self.graph.index(p) for p in self.graph.parents(n)]
                         for n in self.graph.nodes]  # fmt: skip
        self._roots: dict[int, int] = {}
        self._location: dict[int, Function] = {}
        self._scale: dict[int, Function] = {}
        self._m, self._v = torch.zeros(d, dtype=torch.float64), torch.ones(d).double()
        noise = self._noise(REFERENCE_ROWS, generator)
        values = torch.zeros_like(noise)
        for i in self._order:
            self._draw_mechanism(i, values[:, self._parents[i]], generator)
            raw = self._raw(i, values, noise[:, i])
            self._m[i], self._v[i] = raw.mean(), raw.std()
            values[:, i] = (raw - self._m[i]) / self._v[i]

    def __repr__(self) -> str:
        return f"RandomSCM(d={len(self.graph)}, {self.family!r}, {self.graph.edges})"

    def sample(self, n: int, seed: int, do: Intervention | None = None) -> Tensor:
        """Draw factors ``(n, d)``; under ``do`` the same seed draws the same noise."""
        noise = self._noise(n, generator_from(seed))
        return self._walk(noise, columns(do, self.graph.nodes, noise)).float()

    def counterfactual(self, factors: Tensor, do: Intervention) -> Tensor:
        """What ``factors`` ``(n, d)`` would have been under ``do``, their noise held."""
        factors = torch.as_tensor(factors).double()
        if factors.ndim != 2 or factors.shape[1] != len(self.graph):
            raise ValueError(
                f"factors must be (n, {len(self.graph)}), got {tuple(factors.shape)}."
            )
        noise = torch.empty_like(factors)
        for i in self._order:
            parents = factors[:, self._parents[i]]
            raw = factors[:, i] * self._v[i] + self._m[i]
            noise[:, i] = raw
            if self._parents[i]:
                noise[:, i] = (raw - self._location[i](parents)) / self._scale[i](parents)
        changed = self._walk(noise, columns(do, self.graph.nodes, factors), roots_drawn=True)
        reach = set(self.graph.affected(do))
        touched = torch.tensor([n in reach for n in self.graph.nodes])
        return torch.where(touched, changed, factors).float()

    def _walk(
        self, noise: Tensor, fixed: dict[int, Tensor], roots_drawn: bool = False
    ) -> Tensor:
        values = torch.zeros_like(noise)
        for i in self._order:
            drawn = roots_drawn and not self._parents[i]
            raw = noise[:, i] if drawn else self._raw(i, values, noise[:, i])
            values[:, i] = fixed.get(i, (raw - self._m[i]) / self._v[i])
        return values

    def _raw(self, i: int, values: Tensor, noise: Tensor) -> Tensor:
        """Factor i before it is standardised, ``(n,)``, from everyone's values and e_i."""
        if not self._parents[i]:
            return _root(noise, self._roots[i])
        parents = values[:, self._parents[i]]
        return self._location[i](parents) + self._scale[i](parents) * noise

    def _noise(self, n: int, generator: torch.Generator) -> Tensor:
        shape = (n, len(self.graph))
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    def _draw_mechanism(self, i: int, parents: Tensor, generator: torch.Generator) -> None:
        self._roots[i] = int(torch.randint(4, (), generator=generator))
        p = parents.shape[1]
        if p == 0:
            return
        base = float((0.4 + 0.4 * torch.rand((), generator=generator)) ** 0.5)
        if self.family == "additive":
            curves = [_gaussian_process(generator) for _ in range(p)]
            self._location[i] = lambda x: torch.stack(
                [f(column) for f, column in zip(curves, x.unbind(-1), strict=True)]
            ).sum(0)
            self._scale[i] = lambda x: torch.full_like(x[:, 0], base)
        else:
            location, spread = (_unit_mlp(parents, generator) for _ in range(2))
            self._location[i] = lambda x: p**0.5 * location(x)
            self._scale[i] = lambda x: base * torch.exp(torch.tanh(spread(x)) / 2)


def _random_graph(d: int, degree: float, generator: torch.Generator) -> CausalGraph:
    share = min(0.5, 2 * degree / max(1, d - 1))
    order = torch.randperm(d, generator=generator)
    upper = (torch.rand(d, d, generator=generator) < share).triu(1)
    adjacency = torch.zeros(d, d, dtype=torch.bool)
    adjacency[order[:, None], order[None, :]] = upper
    return CausalGraph.from_adjacency(adjacency.numpy())


def _root(normal: Tensor, kind: int) -> Tensor:
    """A root's value, of four kinds, as an increasing function of a normal draw."""
    uniform = torch.special.ndtr(normal).clamp(1e-12, 1 - 1e-12)
    if kind == 1:
        return uniform
    if kind == 2:
        return -torch.sign(uniform - 0.5) * torch.log1p(-2 * (uniform - 0.5).abs())
    if kind == 3:
        return normal + 3 * torch.tanh(4 * normal)
    return normal


def _gaussian_process(generator: torch.Generator) -> Function:
    """A draw from a Gaussian process with kernel exp(−(x − y)²/2), ``(n,)`` → ``(n,)``."""
    draw = torch.randn(2, FEATURES, generator=generator, dtype=torch.float64)
    phase = 2 * torch.pi * torch.rand(FEATURES, generator=generator, dtype=torch.float64)
    frequency, height = draw[0], draw[1] * (2 / FEATURES) ** 0.5
    return lambda x: torch.cos(x.unsqueeze(-1) * frequency + phase) @ height


def _unit_mlp(parents: Tensor, generator: torch.Generator) -> Function:
    """A random network over ``(n, p)``, mean 0 and variance 1 over ``parents``."""
    p = parents.shape[1]
    inner = torch.randn(p, HIDDEN, generator=generator, dtype=torch.float64) * 2 / p**0.5
    bias, outer = torch.randn(2, HIDDEN, generator=generator, dtype=torch.float64)

    def network(x: Tensor) -> Tensor:
        return torch.tanh(x @ inner + bias) @ outer

    values = network(parents)
    mean, std = values.mean(), values.std()
    return lambda x: (network(x) - mean) / std
