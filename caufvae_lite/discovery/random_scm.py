r"""Random structural causal models, to find graphs in: labels only, no pictures.

An Erdős–Rényi graph over a random order, with two edges a factor on average, but at most half
of all pairs; names and columns are shuffled, so neither tells the order. Every factor is a
location-scale function of its parents::

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

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from caufvae_lite.graph import CausalGraph
from caufvae_lite.randomness import generator_from, keyed_generator

FAMILIES = ("additive", "interacting")
REFERENCE_ROWS = 10_000  # for m_i and v_i
FEATURES = 100  # random Fourier features of a Gaussian process (Rahimi & Recht 2007)
HIDDEN = 20

Function = Callable[[Tensor], Tensor]  # (n, p) → (n,)
Law = Callable[[Tensor, Tensor], Tensor]  # parents (n, p), noise (n,) → (n,), not standardised


class RandomSCM:
    """A random structural causal model; see the formulas above.

    Args:
        d: number of factors.
        family: ``"additive"`` or ``"interacting"``.
        seed: of graph and mechanisms; `sample` has its own.

    Attributes:
        graph: the true `CausalGraph`.
        laws: in causal order, ``(i, parents, law, m_i, v_i)`` with factors as columns.

    Raises:
        ValueError: d < 1, or an unknown family.

    >>> RandomSCM(5, "additive", seed=0).sample(100, seed=1).shape
    torch.Size([100, 5])
    """

    def __init__(self, d: int, family: str, seed: int):
        if d < 1:
            raise ValueError(f"A causal model needs at least one factor, got d = {d}.")
        if family not in FAMILIES:
            raise ValueError(f"family must be one of {FAMILIES}, got {family!r}.")
        generator = keyed_generator(seed, d, FAMILIES.index(family))
        self.graph = _random_graph(d, generator)
        self.laws: list[tuple[int, list[int], Law, Tensor, Tensor]] = []
        noise = _normal(REFERENCE_ROWS, d, generator=generator)
        values = torch.zeros_like(noise)
        for node in (node for generation in self.graph.generations for node in generation):
            i = self.graph.index(node)
            parents = [self.graph.index(parent) for parent in self.graph.parents(node)]
            law = _draw_law(family, values[:, parents], generator)
            raw = law(values[:, parents], noise[:, i])
            mean, std = raw.mean(), raw.std()
            values[:, i] = (raw - mean) / std
            self.laws.append((i, parents, law, mean, std))

    def sample(self, n: int, seed: int) -> Tensor:
        """Draw factors ``(n, d)``."""
        noise = _normal(n, len(self.graph), generator=generator_from(seed))
        values = torch.zeros_like(noise)
        for i, parents, law, mean, std in self.laws:
            values[:, i] = (law(values[:, parents], noise[:, i]) - mean) / std
        return values.float()


_normal = partial(torch.randn, dtype=torch.float64)


def _random_graph(d: int, generator: torch.Generator) -> CausalGraph:
    share = min(0.5, 4 / max(1, d - 1))
    order = torch.randperm(d, generator=generator)
    upper = (torch.rand(d, d, generator=generator) < share).triu(1)
    adjacency = torch.zeros(d, d, dtype=torch.bool)
    adjacency[order[:, None], order[None, :]] = upper
    return CausalGraph.from_adjacency(adjacency.numpy())


def _draw_law(family: str, parents: Tensor, generator: torch.Generator) -> Law:
    """A law for a factor whose parents have the values ``(n, p)``."""
    kind = int(torch.randint(4, (), generator=generator))
    p = parents.shape[1]
    if p == 0:
        return lambda _, noise: _root(noise, kind)
    base = float((0.4 + 0.4 * torch.rand((), generator=generator)) ** 0.5)
    if family == "additive":
        curves = [_gaussian_process(generator) for _ in range(p)]

        def additive(x: Tensor, noise: Tensor) -> Tensor:
            effects = [f(column) for f, column in zip(curves, x.unbind(-1), strict=True)]
            return torch.stack(effects).sum(0) + base * noise

        return additive
    location, spread = (_unit_mlp(parents, generator) for _ in range(2))

    def interacting(x: Tensor, noise: Tensor) -> Tensor:
        scale = base * torch.exp(torch.tanh(spread(x)) / 2)
        return p**0.5 * location(x) + scale * noise

    return interacting


def _root(normal: Tensor, kind: int) -> Tensor:
    """A root's value, of four kinds, as an increasing function of a normal draw."""
    uniform = torch.special.ndtr(normal).clamp(1e-12, 1 - 1e-12)
    laplace = -torch.sign(uniform - 0.5) * torch.log1p(-2 * (uniform - 0.5).abs())
    two_peaks = normal + 3 * torch.tanh(4 * normal)
    return (normal, uniform, laplace, two_peaks)[kind]


def _gaussian_process(generator: torch.Generator) -> Function:
    """A draw from a Gaussian process with kernel exp(−(x − y)²/2), ``(n,)`` → ``(n,)``."""
    frequency, height = _normal(2, FEATURES, generator=generator)
    phase = 2 * torch.pi * torch.rand(FEATURES, generator=generator, dtype=torch.float64)
    height *= (2 / FEATURES) ** 0.5
    return lambda x: torch.cos(x.unsqueeze(-1) * frequency + phase) @ height


def _unit_mlp(parents: Tensor, generator: torch.Generator) -> Function:
    """A random network over ``(n, p)``, mean 0 and variance 1 over ``parents``."""
    p = parents.shape[1]
    inner = _normal(p, HIDDEN, generator=generator) * 2 / p**0.5
    bias, outer = _normal(2, HIDDEN, generator=generator)

    def network(x: Tensor) -> Tensor:
        return torch.tanh(x @ inner + bias) @ outer

    values = network(parents)
    mean, std = values.mean(), values.std()
    return lambda x: (network(x) - mean) / std
