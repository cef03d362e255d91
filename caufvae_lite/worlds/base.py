r"""What every simulated world can do, whatever it shows.

A world is a structural causal model with a camera: it draws factors and pictures of them,
knows the true counterfactual, and reads factors back off a picture. Every effect is its law
plus noise of its own::

    root_i   ~ U(ranges_i)
    effect_i = law_i(parents) + e_i,     e = exogenous(...), independent of the parents

Abduction is therefore a subtraction: e_i = factual value − law_i, in any scene, lawful or
not. A new world subclasses `StructuralWorld` and says what its factors and its laws are, and
how factors are drawn and measured (docs/adding_a_world.md).
"""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from caufvae_lite.data import FactorDataset
from caufvae_lite.graph import CausalGraph
from caufvae_lite.interventions import Intervention, columns
from caufvae_lite.randomness import Seed, generator_from

DRAWN_AT_ONCE = 64  # pictures, so that their canvas stays in the processor's cache
TURNED_AT_ONCE = 1024  # pictures turned into bytes, so that the floats do not fill memory


@runtime_checkable
class World(Protocol):
    """The truth that models are checked against; `StructuralWorld` says what each part does.

    Factors are ``(n, d)`` float32 in the world's own units, columns in the order of
    ``graph.nodes``; images are ``(n, c, h, w)`` float32 in [0, 1].
    """

    graph: CausalGraph
    units: dict[str, str]
    ranges: dict[str, tuple[float, float]]

    def sample(self, n: int, seed: int, do: Intervention | None = None) -> FactorDataset: ...
    def render(self, factors: Tensor) -> Tensor: ...
    def measure(self, images: Tensor) -> Tensor: ...
    def counterfactual(self, factors: Tensor, do: Intervention) -> Tensor: ...


class Setting(NamedTuple):
    """What a world's name in the tables stands for: its σ, and how `grid` is split."""

    noise: float = 0.0
    split: str | float = "published"


class StructuralWorld(ABC):
    """A simulated `World`: its subclass gives `law`, `_draw` and `measure`.

    Args:
        graph: the factors and who causes whom, in any node order.
        ranges: each factor's usual (lowest, highest) value. Roots are drawn between them.
        units: a unit for each name ("" where left out).
        image_size: side of the square pictures, in pixels, at least 8.
        noise: σ, standard deviation of the noise that every effect gets after its law.
        binary: the roots that are 0 or 1, with even odds.

    Attributes:
        effects: the names that have causes, in node order: the columns of `law`.
        noisy: the effects whose own noise varies from row to row, and the range of its usual
            values: ±3 σ for all effects, none where σ = 0.
    """

    settings: ClassVar[dict[str, Setting]] = {}  # by the names under which studies find it
    named: ClassVar[dict[str, type[StructuralWorld]]] = {}  # every name's world

    def __init_subclass__(cls) -> None:
        StructuralWorld.named.update(dict.fromkeys(cls.__dict__.get("settings", ()), cls))

    def __init__(
        self,
        graph: CausalGraph,
        ranges: Mapping[str, tuple[float, float]],
        units: Mapping[str, str] | None = None,
        image_size: int = 64,
        noise: float = 0.0,
        binary: Sequence[str] = (),
    ):
        if image_size < 8:
            raise ValueError(f"image_size must be at least 8 pixels, got {image_size}.")
        if not 0 <= noise < math.inf:
            raise ValueError(f"noise is a standard deviation, 0 or more; got {noise}.")
        if set(ranges) != set(graph.nodes):
            raise ValueError(
                f"ranges must name every factor once, {list(graph.nodes)}; got {list(ranges)}."
            )
        for name, (low, high) in ranges.items():
            if not -math.inf < low < high < math.inf:
                raise ValueError(f"range of {name!r} must be (low, high), got {low, high}.")
        self.graph, self.ranges = graph, dict(ranges)
        self.units = {n: (units or {}).get(n, "") for n in graph.nodes}
        self.image_size, self.noise = int(image_size), float(noise)
        self.effects = tuple(n for n in graph.nodes if n not in graph.roots)
        self.kinds = dict.fromkeys(binary, "binary")
        for name in binary:
            if name not in graph.roots or self.ranges[name] != (0, 1):
                raise ValueError(
                    f"{name!r} is binary: it must be a root with the range (0, 1)."
                )
        usual = (-3 * self.noise, 3 * self.noise)
        self.noisy = dict.fromkeys(self.effects, usual) if self.noise > 0 else {}

    def __repr__(self) -> str:
        return f"{type(self).__name__}(image_size={self.image_size}, noise={self.noise})"

    # ------------------------------------------------------ what a subclass fills in

    @abstractmethod
    def law(self, factors: Tensor) -> Tensor:
        """What each effect's causes, as they stand in ``factors``, imply: ``(n, e)``.

        Columns in the order of ``effects``. Reads the parents' columns of ``(n, d)``
        factors and nothing else, and is finite for unlawful values too.
        """

    @abstractmethod
    def _draw(self, canvas: Tensor, factors: Tensor) -> None:
        """Draw ``(k, d)`` factors onto a white ``(k, 3, size, size)`` canvas in place."""

    @abstractmethod
    def measure(self, images: Tensor) -> Tensor:
        """Read ``(n, d)`` factors off ``(n, 3, h, w)`` images, NaN for what is missing."""

    def exogenous(self, factors: Tensor, generator: torch.Generator) -> Tensor:
        """Draw the effects' own noise ``(n, e)``. The roots in ``factors`` are set."""
        return self.noise * torch.randn(len(factors), len(self.effects), generator=generator)

    def in_frame(self, factors: Tensor) -> Tensor:
        """``(n,)`` booleans: can the ruler read the whole scene?"""
        return torch.ones(len(factors), dtype=torch.bool, device=factors.device)

    def grid(self, seed: int = 0) -> FactorDataset:
        """The rows that studies train and test on: 2,000 random ones, unless overridden."""
        return self.sample(2000, seed)

    # ----------------------------------------------------------------- what follows

    def sample(self, n: int, seed: int, do: Intervention | None = None) -> FactorDataset:
        """Draw n rows: roots uniform over ``ranges``, effects by law and noise.

        Under ``do`` the same seed draws the same roots and the same noise.
        """
        generator = generator_from(seed)
        low, high = torch.tensor([self.ranges[root] for root in self.graph.roots]).T
        uniform = torch.rand(n, len(low), generator=generator)
        even = torch.tensor([root in self.kinds for root in self.graph.roots])
        uniform = torch.where(even, uniform.round(), uniform)
        return self.from_roots(low + uniform * (high - low), generator, do)

    def from_roots(
        self,
        roots: Tensor,
        seed: Seed,
        do: Intervention | None = None,
        noise: Tensor | None = None,
    ) -> FactorDataset:
        """The data set with these roots ``(n, r)`` and this noise ``(n, e)`` of the effects.

        Columns are in node order. Where ``noise`` is left out, ``seed`` draws it.
        """
        factors = torch.zeros(len(roots), len(self.graph))
        factors[:, [self.graph.index(root) for root in self.graph.roots]] = roots
        if noise is None:
            noise = self.exogenous(factors, generator_from(seed))
        self._check_effects(noise, "exogenous", factors)
        factors = self._apply(do, factors, noise, changed=self.graph.roots)
        parts = factors.split(TURNED_AT_ONCE)
        images = torch.cat([(self.render(p) * 255).round().to(torch.uint8) for p in parts])
        return FactorDataset(images, factors, self.graph, self.units, self.kinds)

    def counterfactual(self, factors: Tensor, do: Intervention) -> Tensor:
        """What ``factors`` ``(n, d)``, lawful or not, would have been under ``do``.

        Each effect keeps its residual, factual value − law, which is its own noise. What
        ``do`` cannot reach is kept bit by bit.
        """
        factors = self._check(factors)
        return self._apply(do, factors.clone(), self._residual(factors))

    def in_support(self, factors: Tensor, name: str) -> Tensor:
        """``(n,)`` booleans: is the noise of this effect, one of ``noisy``, a usual one?"""
        if name not in self.noisy:
            raise ValueError(f"{name!r} has no noise here; choose from {list(self.noisy)}.")
        low, high = self.noisy[name]
        residual = self._residual(self._check(factors))[:, self.effects.index(name)]
        return (residual >= low) & (residual <= high)

    def render(self, factors: Tensor) -> Tensor:
        """Draw ``(n, d)`` factors, lawful or not, as ``(n, 3, size, size)`` float32 images.

        Each pixel mixes colours by the share of it that a shape covers: edges are smooth.
        Factors of a wrong shape, or that are not finite, are a ValueError.
        """
        factors = self._check(factors)
        canvas = torch.ones(len(factors), 3, *[self.image_size] * 2, device=factors.device)
        for start in range(0, len(factors), DRAWN_AT_ONCE):
            part = slice(start, start + DRAWN_AT_ONCE)
            self._draw(canvas[part], factors[part])
        return canvas

    def _apply(
        self, do: Intervention | None, factors: Tensor, noise: Tensor, changed: Sequence = ()
    ) -> Tensor:
        """Set what ``do`` names, then apply the laws to all that it or ``changed`` reaches."""
        fixed = columns(do, self.graph.nodes, factors)
        for i, value in fixed.items():
            factors[:, i] = value
        named = [self.graph.nodes[i] for i in fixed]
        again = set(self.graph.affected([*changed, *named])) - {*named, *self.graph.roots}
        for name in itertools.chain(*self.graph.generations):
            if name in again:
                values = self._law(factors) + noise
                factors[:, self.graph.index(name)] = values[:, self.effects.index(name)]
        return factors

    def _residual(self, factors: Tensor) -> Tensor:
        effects = [self.graph.index(name) for name in self.effects]
        return factors[:, effects] - self._law(factors)

    def _law(self, factors: Tensor) -> Tensor:
        return self._check_effects(self.law(factors), "law", factors)

    def _check_effects(self, values: Tensor, method: str, factors: Tensor) -> Tensor:
        expected = (len(factors), len(self.effects))
        if tuple(values.shape) != expected:
            raise ValueError(
                f"{type(self).__name__}.{method}() must return {expected}: one column for "
                f"each of {list(self.effects)}; got {tuple(values.shape)}."
            )
        return values

    def _check(self, factors: Tensor) -> Tensor:
        factors = torch.as_tensor(factors, dtype=torch.float32)
        if factors.ndim != 2 or factors.shape[1] != len(self.graph):
            raise ValueError(
                f"factors must have shape (n, {len(self.graph)}): {list(self.graph.nodes)}; "
                f"got {tuple(factors.shape)}."
            )
        if not torch.isfinite(factors).all():
            raise ValueError("factors hold a NaN or an infinite value; none can be drawn.")
        return factors
