r"""What every simulated world can do, whatever it shows.

A world is a structural causal model with a camera. It samples factors and draws them, it
knows the true counterfactual, and it can read factors back off a picture. Every effect is
its law plus noise of its own::

    root_i   ~ U(ranges_i)
    effect_i = law_i(parents) + e_i,     e = exogenous(...), independent of the parents

Abduction is therefore a subtraction: e_i = factual value − law_i, in any scene, lawful or
not. `StructuralWorld` does everything that follows from this. A new world subclasses it
and says what its factors are, what its laws are, and how factors are drawn and measured
(docs/adding_a_world.md).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from caufvae_lite.data import FactorDataset
from caufvae_lite.graph import CausalGraph
from caufvae_lite.interventions import Intervention, columns
from caufvae_lite.randomness import generator_from

__all__ = ["StructuralWorld", "World"]

DRAWN_AT_ONCE = 64  # pictures, so that their canvas stays in the processor's cache
TURNED_AT_ONCE = 1024  # pictures turned into bytes, so that the floats do not fill memory


@runtime_checkable
class World(Protocol):
    """The truth that models are checked against.

    Factors are ``(n, d)`` float32 in the world's own units, columns in the order of
    ``graph.nodes``; images are ``(n, c, h, w)`` float32 in [0, 1].
    """

    graph: CausalGraph
    units: dict[str, str]
    ranges: dict[str, tuple[float, float]]

    def sample(self, n: int, seed: int, do: Intervention | None = None) -> FactorDataset:
        """Draw n rows, roots uniform over ``ranges``, as they are or under ``do``."""

    def render(self, factors: Tensor) -> Tensor:
        """Draw any factors, lawful or not."""

    def measure(self, images: Tensor) -> Tensor:
        """Read the factors off pictures, by closed-form geometry and nothing learned."""

    def counterfactual(self, factors: Tensor, do: Intervention) -> Tensor:
        """What the factors would have been: laws applied anew, residuals held."""


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

    Attributes:
        effects: the names that have causes, in node order: the columns of `law`.
        noisy: the effects whose own noise varies from row to row, so that counterfactual
            and intervention differ. All of them, or none where σ = 0.

    Raises:
        ValueError: an impossible size, noise or range.
    """

    noisy: tuple[str, ...]
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
    ):
        if image_size < 8:
            raise ValueError(f"image_size must be at least 8 pixels, got {image_size}.")
        if not (math.isfinite(noise) and noise >= 0):
            raise ValueError(f"noise is a standard deviation, 0 or more; got {noise}.")
        if set(ranges) != set(graph.nodes):
            raise ValueError(
                f"ranges must name every factor once, {list(graph.nodes)}; got {list(ranges)}."
            )
        for name, (low, high) in ranges.items():
            if not (math.isfinite(low) and math.isfinite(high) and low < high):
                raise ValueError(f"range of {name!r} must be (low, high), got {low, high}.")
        self.graph = graph
        self.ranges = {n: (float(low), float(high)) for n, (low, high) in ranges.items()}
        self.units = {n: (units or {}).get(n, "") for n in graph.nodes}
        self.image_size = int(image_size)
        self.noise = float(noise)
        self.effects = tuple(n for n in graph.nodes if n not in graph.roots)
        self.noisy = self.effects if self.noise > 0 else ()

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

    # ----------------------------------------------------------------- what follows

    def sample(self, n: int, seed: int, do: Intervention | None = None) -> FactorDataset:
        """Draw n rows: roots uniform over ``ranges``, effects by law and noise.

        Under ``do`` the same seed draws the same roots and the same noise.
        """
        generator = generator_from(seed)
        roots = self.graph.roots
        uniform = torch.rand(n, len(roots), generator=generator)
        low, high = (torch.tensor([self.ranges[r][k] for r in roots]) for k in (0, 1))
        return self.from_roots(low + uniform * (high - low), generator, do)

    def grid(self, seed: int = 0) -> FactorDataset:
        """The rows that studies train and test on: 2,000 random ones, unless overridden."""
        return self.sample(2000, seed)

    def from_roots(
        self,
        roots: Tensor,
        seed: int | torch.Generator,
        do: Intervention | None = None,
        noise: Tensor | None = None,
    ) -> FactorDataset:
        """The data set with these roots ``(n, r)``, columns in node order.

        ``noise`` ``(n, e)`` is the effects' own. Where it is left out, ``seed`` draws it.
        """
        factors = torch.zeros(len(roots), len(self.graph))
        factors[:, [self.graph.index(r) for r in self.graph.roots]] = roots
        if noise is None:
            noise = self.exogenous(factors, generator_from(seed))
        self._check_effects(noise, "exogenous", factors)
        fixed = columns(do, self.graph.nodes, factors)
        factors = self._walk(factors, noise, fixed, set(self.graph.nodes))
        images = torch.empty(len(factors), 3, *[self.image_size] * 2, dtype=torch.uint8)
        for start in range(0, len(factors), TURNED_AT_ONCE):
            part = slice(start, start + TURNED_AT_ONCE)
            images[part] = (self.render(factors[part]) * 255).round().to(torch.uint8)
        return FactorDataset(images, factors, self.graph, self.units)

    def counterfactual(self, factors: Tensor, do: Intervention) -> Tensor:
        """What ``factors`` ``(n, d)`` would have been under ``do``.

        Each effect keeps its residual, factual value − law, which is its own noise. This
        holds for unlawful factors too, whatever σ is. What ``do`` cannot reach is kept bit
        by bit.
        """
        factors = self._check(factors)
        fixed = columns(do, self.graph.nodes, factors)
        named = [self.graph.nodes[i] for i in fixed]
        residual = self._of_effects(factors) - self._law(factors)
        return self._walk(factors.clone(), residual, fixed, set(self.graph.affected(named)))

    def in_support(self, factors: Tensor, name: str) -> Tensor:
        """``(n,)`` booleans: could this effect have this value, given its causes?

        The answer is yes within 3 σ of the law, and always no for an effect without noise.
        """
        factors = self._check(factors)
        if name not in self.effects:
            raise ValueError(f"{name!r} is not an effect here; choose from {self.effects}.")
        if name not in self.noisy:
            return torch.zeros(len(factors), dtype=torch.bool, device=factors.device)
        residual = (self._of_effects(factors) - self._law(factors))[:, self.effects.index(name)]
        return residual.abs() <= 3 * self.noise

    def render(self, factors: Tensor) -> Tensor:
        """Draw ``(n, d)`` factors as ``(n, 3, size, size)`` float32 images.

        Each pixel mixes colours by the share of it that a shape covers, so that edges are
        smooth. The factors need not obey the laws.

        Raises:
            ValueError: factors of a wrong shape, or that are not finite.
        """
        factors = self._check(factors)
        size = self.image_size
        canvas = torch.ones(len(factors), 3, size, size, device=factors.device)
        for start in range(0, len(factors), DRAWN_AT_ONCE):
            part = slice(start, start + DRAWN_AT_ONCE)
            self._draw(canvas[part], factors[part])
        return canvas

    def _walk(
        self, factors: Tensor, noise: Tensor, fixed: dict[int, Tensor], reach: set[str]
    ) -> Tensor:
        """Set what is ``fixed``, then apply the laws to all others in ``reach``."""
        for i, value in fixed.items():
            factors[:, i] = value
        for generation in self.graph.generations[1:]:
            again = [n for n in generation if n in reach and self.graph.index(n) not in fixed]
            if again:
                values = self._law(factors) + noise
                for name in again:
                    factors[:, self.graph.index(name)] = values[:, self.effects.index(name)]
        return factors

    def _law(self, factors: Tensor) -> Tensor:
        values = self.law(factors)
        self._check_effects(values, "law", factors)
        return values

    def _of_effects(self, factors: Tensor) -> Tensor:
        return factors[:, [self.graph.index(name) for name in self.effects]]

    def _check_effects(self, values: Tensor, method: str, factors: Tensor) -> None:
        expected = (len(factors), len(self.effects))
        if tuple(values.shape) != expected:
            raise ValueError(
                f"{type(self).__name__}.{method}() must return {expected}: one column for "
                f"each of {list(self.effects)}; got {tuple(values.shape)}."
            )

    def _check(self, factors: Tensor) -> Tensor:
        factors = torch.as_tensor(factors, dtype=torch.float32)
        d = len(self.graph)
        if factors.ndim != 2 or factors.shape[1] != d:
            raise ValueError(
                f"factors must have shape (n, {d}): {list(self.graph.nodes)}; "
                f"got {tuple(factors.shape)}."
            )
        if not torch.isfinite(factors).all():
            raise ValueError("factors hold a NaN or an infinite value; none can be drawn.")
        return factors
