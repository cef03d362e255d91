"""The noise study: how noisy must a world be before it can teach what setting an effect does?

The scoreboard's main model at the scoreboard's size and budget, on pendulums whose shadow has
noise of standard deviation σ, in axis units. Rows as in every world's table. A run without
noise, and one with the noisy pendulum's σ, are the scoreboard's.
"""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from caufvae_lite.studies import core, scoreboard
from caufvae_lite.studies.base import Key, Study
from caufvae_lite.worlds import Pendulum
from caufvae_lite.worlds.examination import Score, examine

__all__ = ["STUDY", "drawn_as_set"]

SIGMAS = (0.25, 0.5, 1.0)
WORLDS = {f"pendulum-32, sigma {sigma:g}": sigma for sigma in SIGMAS}
BOARD = {"pendulum-32": 0.0, "pendulum-noisy-32": core.PENDULUM_NOISE}


def keys(seeds: Sequence[int]) -> list[Key]:
    return [(scoreboard.MAIN, world, seed) for seed in seeds for world in WORLDS]


def configuration(key: Key) -> dict[str, Any]:
    model, world, seed = key
    common = scoreboard.configuration((model, "pendulum-32", seed))
    return {**common, "world": world, "noise": WORLDS[world]}


def compute(key: Key) -> list[Score]:
    world = Pendulum(scoreboard.IMAGE_SIZE, noise=WORLDS[key[1]])
    rows, test = world.grid().split("published")
    recipe = scoreboard.with_controls()[key[0]]
    return examine(scoreboard.fit_recipe(recipe, world, rows, key[2]), world, test)


def drawn_as_set(rows: pd.DataFrame, board: pd.DataFrame, effect: str) -> dict[float, list]:
    """``{σ: [R² as drawn of do(effect), one a seed]}``, from this table and the board's."""
    both = pd.concat([rows, board], ignore_index=True)
    asked = (both["measure"] == "image r2") & (both["cause"] == effect)
    asked &= (both["factor"] == effect) & (both["model"] == scoreboard.MAIN)
    sigmas = both["world"].map({**WORLDS, **BOARD})
    found = both[asked & sigmas.notna()].groupby(sigmas)["value"]
    return {float(sigma): values.tolist() for sigma, values in found}


STUDY = Study("noise", keys, configuration, compute, seeds=3)
