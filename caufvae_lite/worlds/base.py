"""What every simulated world can do, whatever it shows.

A world is a structural causal model with a camera: it samples factors and draws them, it
knows the true counterfactual, and it can read factors back off a picture.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor

from caufvae_lite.data import FactorDataset
from caufvae_lite.graph import CausalGraph
from caufvae_lite.interventions import Intervention


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
        ...

    def render(self, factors: Tensor) -> Tensor:
        """Draw any factors, lawful or not."""
        ...

    def measure(self, images: Tensor) -> Tensor:
        """Read the factors off pictures, by closed-form geometry and nothing learned."""
        ...

    def counterfactual(self, factors: Tensor, do: Intervention) -> Tensor:
        """What the factors would have been: laws applied anew, residuals held."""
        ...
