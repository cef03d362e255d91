"""How a model takes part in the scoreboard: its options, and what its search tried."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from caufvae_lite.factor_vae import FactorVAE
from caufvae_lite.graph import CausalGraph
from caufvae_lite.networks import ImageShape
from caufvae_lite.worlds.base import StructuralWorld

Trials = tuple[dict[str, float], ...]
LABELS = {"supervision": 180.0}  # every model that the pictures teach preferred it
SCOREBOARD_LIKELIHOOD = 5.0


def grid(**choices: Sequence[float]) -> Trials:
    """Every combination of the choices: the trials of a search."""
    rows = itertools.product(*choices.values())
    return tuple(dict(zip(choices, row, strict=True)) for row in rows)


SUPERVISION_TRIALS = grid(supervision=(20.0, 60.0, 180.0))
LIKELIHOOD_TRIALS = (
    *grid(supervision=(20.0, 60.0, 180.0), label_likelihood=(5.0,)),
    *grid(supervision=(60.0,), label_likelihood=(1.0, 20.0)),
)


@dataclass(frozen=True)
class Recipe:
    """A model of the scoreboard. Worlds with expensive runs leave the completed ones out."""

    model: type[FactorVAE]
    options: dict[str, Any]  # where they differ from the class's defaults
    trials: Trials  # the options that the search tried, at most seven sets of them
    supervised: bool = True  # Does it get all labels? Otherwise a few, after its training.
    completed: bool = False  # Does another recipe complete this one, say by the likelihood?

    def build(self, world: StructuralWorld, seed: int, extra_dims: int = 0) -> FactorVAE:
        """The model with fresh weights, which are the same whenever the seed is."""
        shape = (3, world.image_size, world.image_size)
        return self.build_for(world.graph, shape, seed, extra_dims)

    def build_for(
        self, graph: CausalGraph, image_shape: ImageShape, seed: int, extra_dims: int = 0
    ) -> FactorVAE:
        """The same for pictures that no simulated world has drawn."""
        torch.manual_seed(seed)
        return self.model(graph, image_shape, extra_dims=extra_dims, **self.options)


def with_and_without_likelihood(
    name: str, recipe: Recipe, trials: Trials = LIKELIHOOD_TRIALS, **options: Any
) -> dict[str, Recipe]:
    """The named recipe, and its twin with the label likelihood: other trials, and options."""
    options = {**recipe.options, "label_likelihood": SCOREBOARD_LIKELIHOOD, **options}
    twin = replace(recipe, options=options, trials=trials)
    return {name: replace(recipe, completed=True), f"{name} + likelihood": twin}
