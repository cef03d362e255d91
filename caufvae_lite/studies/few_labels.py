"""The few-labels study: what is left of do() when most of the labels are gone?

All models see all training pictures, 32 × 32, and the labels of a share of them. Every seed
labels other rows, and within a seed all models have the same. Budget and networks are the
scoreboard's. Every batch holds 16 labelled rows, so the few come again and again, for every
model alike. Each model has weights of its own for few labels, the best of seven trials at 1 %
of the labels (study `search`). The rows with all labels are the scoreboard's.

Our completion and the two controls have both shares. At 1 % the method without our completion,
its label prior, and the two best published models stand beside them.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import pandas as pd

from caufvae_lite.baselines import controls
from caufvae_lite.baselines.recipe import Recipe, Trials, grid
from caufvae_lite.data import labelled_rows
from caufvae_lite.studies import scoreboard
from caufvae_lite.studies.base import Key, Study
from caufvae_lite.studies.rendering import Column, values_of
from caufvae_lite.worlds.examination import Score, examine

__all__ = ["EVERY_SHARE", "RECIPES", "SEARCHED", "SHARES", "STUDY", "WORLDS"]
__all__ += ["by_rows", "name_of"]

SHARES = {"1 %": 0.01, "0.5 %": 0.005}  # of 5,481 rows: 55 and 28 of them
SEARCHED = "1 %"  # where the weights were chosen
WORLDS = ("pendulum-32", "pendulum-noisy-32", "water-32")
LABELLED = 16  # rows with labels in every batch

WEIGHTS: Trials = (
    *grid(supervision=(20.0, 60.0), label_likelihood=(0.2, 1.0)),
    {"supervision": 60.0, "label_likelihood": 5.0},
    {"supervision": 60.0, "label_likelihood": 0.05},
    {"supervision": 180.0, "label_likelihood": 0.2},
)
# A control's decoder may learn from the labels as well.
CONTROL_WEIGHTS: Trials = (
    *({**weights, "label_reconstruction": 0.0} for weights in WEIGHTS[1:5]),
    *grid(supervision=(60.0,), label_likelihood=(1.0, 5.0), label_reconstruction=(1.0,)),
    {"supervision": 180.0, "label_likelihood": 5.0, "label_reconstruction": 1.0},
)


_BEST: dict[str, tuple[dict[str, float], Trials]] = {
    scoreboard.SEMI: ({"supervision": 60.0, "label_likelihood": 0.05}, WEIGHTS),
    "control: no KL": (
        {"supervision": 60.0, "label_likelihood": 1.0, "label_reconstruction": 1.0},
        CONTROL_WEIGHTS,
    ),
    "control: two stages": (
        {"supervision": 60.0, "label_likelihood": 5.0, "label_reconstruction": 0.0},
        CONTROL_WEIGHTS,
    ),
    scoreboard.MAIN: ({"supervision": 60.0, "label_likelihood": 0.05}, WEIGHTS),
    scoreboard.LABEL_PRIOR: ({"supervision": 60.0, "label_likelihood": 1.0}, WEIGHTS),
    "ICM-VAE + likelihood": ({"supervision": 60.0, "label_likelihood": 0.05}, WEIGHTS),
    "CausalVAE + likelihood": ({"supervision": 60.0, "label_likelihood": 0.05}, WEIGHTS),
}
EVERY_SHARE = (scoreboard.SEMI, *controls.RECIPES)  # trained with every share of the labels
RECIPES: dict[str, Recipe] = {
    name: replace(recipe, options={**recipe.options, **best}, trials=trials)
    for name, (best, trials) in _BEST.items()
    for recipe in [scoreboard.with_controls()[name]]
}


def name_of(model: str, share: str) -> str:
    """What stands in the column ``model``."""
    return f"{model}, {share} labels"


_FEWEST_FIRST = sorted(SHARES, key=lambda share: SHARES[share])
RUNS = {
    name_of(model, share): (model, share)
    for share in _FEWEST_FIRST
    for model in RECIPES
    if share == SEARCHED or model in EVERY_SHARE
}


def keys(seeds: Sequence[int]) -> list[Key]:
    return [(run, world, seed) for run in RUNS for seed in seeds for world in WORLDS]


def configuration(key: Key) -> dict[str, Any]:
    model, share = RUNS[key[0]]
    common = scoreboard.configuration((model, *key[1:]))
    own = {"options": RECIPES[model].options, "labels": SHARES[share], "labelled": LABELLED}
    return {**common, **own}


def compute(key: Key) -> list[Score]:
    model, share = RUNS[key[0]]
    world, rows, test = scoreboard.data_of(key[1])
    fitted = scoreboard.fit_recipe(
        RECIPES[model], world, rows, key[2], labels=SHARES[share], labelled=LABELLED
    )
    return examine(fitted, world, test)


@cache
def training_rows(world: str) -> int:
    """How many pictures the world has for training; drawn once, to be counted."""
    return len(scoreboard.data_of(world)[1])


def by_rows(
    few: pd.DataFrame, board: pd.DataFrame, world: str, column: Column
) -> dict[str, dict[int, list[float]]]:
    """``{model: {labelled rows: the column's number, one a seed}}``, in order of the seeds.

    The models are those that are trained with every share.

    ``few`` are the stored rows of this study and ``board`` those of the scoreboard, which has
    the models with all labels.
    """
    total = training_rows(world)
    shares: dict[str, tuple[str, int]] = {}
    for share, fraction in SHARES.items():
        n = int(labelled_rows(total, fraction, seed=0).sum())
        shares |= {name_of(model, share): (model, n) for model in EVERY_SHARE}
    shares |= {model: (model, total) for model in EVERY_SHARE}
    found: dict[str, dict[int, list[float]]] = {model: {} for model in EVERY_SHARE}
    for rows in (few, board):
        rows = rows[(rows["world"] == world) & rows["model"].isin(shares)]
        for run, values in values_of(rows, column).items():
            model, n = shares[str(run)]
            found[model][n] = values.tolist()
    return found


STUDY = Study("few_labels", keys, configuration, compute)
