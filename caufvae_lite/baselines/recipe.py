"""How a model takes part in the scoreboard: its options, and what its search tried.

Every baseline's file ends with the ``RECIPES`` of its model.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from caufvae_lite.vae import FactorVAE
from caufvae_lite.worlds.base import StructuralWorld

SCOREBOARD_SUPERVISION = 180.0  # of every model that has labels: all preferred it
SCOREBOARD_LIKELIHOOD = 5.0
LABELS = {"supervision": SCOREBOARD_SUPERVISION}


def grid(**choices: Sequence[float]) -> tuple[dict[str, float], ...]:
    """Every combination of the choices: the trials of a search."""
    values = itertools.product(*choices.values())
    return tuple(dict(zip(choices, row, strict=True)) for row in values)


SUPERVISION_TRIALS = grid(supervision=(20.0, 60.0, 180.0))
LIKELIHOOD_TRIALS = (
    *grid(supervision=(20.0, 60.0, 180.0), label_likelihood=(5.0,)),
    *grid(supervision=(60.0,), label_likelihood=(1.0, 20.0)),
)


@dataclass(frozen=True)
class Recipe:
    """A model of the scoreboard.

    Args:
        model: its class.
        options: those that differ from the class's defaults.
        trials: the options that the search tried, at most seven sets of them.
        supervised: does it get all labels? Otherwise it gets a few, after its training.
        completed: does another recipe add the label likelihood to this one? Worlds in which
            runs are expensive leave such models out.
    """

    model: type[FactorVAE]
    options: dict[str, Any] = field(default_factory=dict)
    trials: tuple[dict[str, float], ...] = ()
    supervised: bool = True
    completed: bool = False

    def build(self, world: StructuralWorld, seed: int, extra_dims: int = 0) -> FactorVAE:
        """The model with fresh weights, which are the same whenever the seed is."""
        torch.manual_seed(seed)
        shape = (3, world.image_size, world.image_size)
        return self.model(world.graph, shape, extra_dims=extra_dims, **self.options)

    def with_options(self, **options: Any) -> Recipe:
        """The recipe with these options beside or instead of its own."""
        return replace(self, options={**self.options, **options})


def with_and_without_likelihood(
    name: str,
    recipe: Recipe,
    trials: tuple[dict[str, float], ...] = LIKELIHOOD_TRIALS,
    **options: Any,
) -> dict[str, Recipe]:
    """The named recipe, and its twin with the label likelihood.

    Args:
        name, recipe: without the likelihood.
        trials: of the twin.
        options: of the twin, where they differ otherwise.
    """
    options = {"label_likelihood": SCOREBOARD_LIKELIHOOD, **options}
    return {
        name: replace(recipe, completed=True),
        f"{name} + likelihood": replace(recipe, trials=trials).with_options(**options),
    }
