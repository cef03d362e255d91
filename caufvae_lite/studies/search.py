"""The search for every model's own weights, with a few trials each.

The trials stand in the models' recipes, whose options are the best of them: at most six, and
for models with two weights of their own a seventh, the best of the six with supervision 180.
Beside these stand trials of a lighter KL for CauF-VAE (`scoreboard.LIGHTER_KL`).

The search is on the noisy pendulum, at the scoreboard's size and budget, with a seed that the
scoreboard does not use. Models are trained on four fifths of the *training* rows and scored on
the fifth, so the test set is never seen. The score is the mean of R² of the factors and, for a
model that knows causes, of R² of the effects of do(angle) and do(light) against the world, each
clipped at −1.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from caufvae_lite.baselines.recipe import Recipe
from caufvae_lite.studies import core, few_labels, scoreboard
from caufvae_lite.studies.base import Key, Study
from caufvae_lite.worlds.examination import Examination, Score, alignment

__all__ = ["STUDY", "name_of"]

WORLD = "pendulum-noisy-32"
SEED = 100
HELD_OUT = 0.2
FEW: dict[str, Any] = {
    "labels": few_labels.SHARES[few_labels.SEARCHED], "labelled": few_labels.LABELLED
}  # fmt: skip


def name_of(model: str, trial: dict[str, float], few: bool = False) -> str:
    """A trial's name in the column ``model``: the model, and what is tried."""
    if few:
        model = few_labels.name_of(model, few_labels.SEARCHED)
    return f"{model} [{', '.join(f'{k}={v:g}' for k, v in trial.items())}]"


def trials() -> dict[str, tuple[Recipe, bool]]:
    """Every trial's name, its model's recipe with the trial's weights; are labels few?"""
    tried = [
        (model, recipe, recipe.trials, few)
        for few, recipes in ((False, scoreboard.with_controls()), (True, few_labels.RECIPES))
        for model, recipe in recipes.items()
    ]
    tried += [(model, *lighter, False) for model, lighter in scoreboard.LIGHTER_KL.items()]
    return {
        name_of(model, trial, few): (replace(recipe, options=recipe.options | trial), few)
        for model, recipe, trials, few in tried
        for trial in trials
    }


def keys(seeds: object) -> list[Key]:
    """One run a trial, all with the search's own seed."""
    return [(name, WORLD, SEED) for name in trials()]


def configuration(key: Key) -> dict[str, Any]:
    recipe, few = trials()[key[0]]
    settings = {
        "model": recipe.model.__name__, "options": recipe.options, "seed": key[2],
        "epochs": scoreboard.EPOCHS, "batch": scoreboard.BATCH, "lr": scoreboard.LEARNING_RATE,
        "noise": core.PENDULUM_NOISE, "held_out": HELD_OUT,
    }  # fmt: skip
    return {**settings, **FEW} if few else settings


def compute(key: Key) -> list[Score]:
    world, rows, _ = scoreboard.data_of(WORLD)
    part, held_out = rows.split(HELD_OUT, seed=SEED)
    recipe, few = trials()[key[0]]
    model = scoreboard.fit_recipe(recipe, world, part, key[2], **(FEW if few else {}))
    scores = alignment(model, held_out)
    if model.graph.edges:
        exam = Examination(model, world, held_out)
        for cause in ("pendulum_angle", "light_angle"):
            scores += [s for s in exam.set_causes([cause]) if s.measure == "latent r2"]
    asked = [score.value for score in scores if score.measure in ("r2", "latent r2")]
    return [*scores, Score("", "score", "", float(np.clip(asked, -1, 1).mean()))]


STUDY = Study("search", keys, configuration, compute, seeds=1)
