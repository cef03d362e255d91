"""The few-labels study: what is left of do() when most of the labels are gone?

CauF-VAE and the two controls of `caufvae_lite.baselines.controls`, with the scoreboard's
recipes and budget, see all training pictures and the labels of a share of them. Every seed
labels other rows, and within a seed all models have the same. The rows with all labels are the
scoreboard's.
"""

from collections.abc import Sequence
from typing import Any

from caufvae_lite.baselines import controls
from caufvae_lite.studies import scoreboard
from caufvae_lite.studies.base import Key, Study
from caufvae_lite.worlds.examination import Score, examine

__all__ = ["MODELS", "SHARES", "STUDY", "WORLDS", "name_of"]

MODELS = (scoreboard.MAIN, *controls.RECIPES)
SHARES = (0.1, 0.03, 0.01, 0.005)  # of the 5,481 training rows: 548, 164, 55 and 27 of them
WORLDS = ("pendulum-32", "pendulum-noisy-32")


def name_of(model: str, share: float) -> str:
    """What stands in the column ``model``."""
    return f"{model}, {share:.1%} labels"


RUNS = {name_of(model, share): (model, share) for share in SHARES for model in MODELS}


def keys(seeds: Sequence[int]) -> list[Key]:
    return [(run, world, seed) for seed in seeds for world in WORLDS for run in RUNS]


def configuration(key: Key) -> dict[str, Any]:
    model, share = RUNS[key[0]]
    return {**scoreboard.configuration((model, *key[1:])), "labels": share}


def compute(key: Key) -> list[Score]:
    model, share = RUNS[key[0]]
    world, rows, test = scoreboard.data_of(key[1])
    recipe = scoreboard.RECIPES[model]
    fitted = scoreboard.fit_recipe(recipe, world, rows, key[2], label_fraction=share)
    return examine(fitted, world, test)


STUDY = Study("few_labels", keys, configuration, compute)
