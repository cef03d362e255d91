"""Give each its best: the search of every model's own weights, in a few trials each.

Six at most; models with two weights of their own then get a seventh, their best with
supervision 180, which every model preferred whose supervision was among the six. Where the
best stands at the edge of its grid, or leads by less than seeds differ, notebook 09 says so.

On the noisy pendulum at the board's size and budget, with a seed that the board does not
use, trained on four fifths of the *training* rows and scored on the fifth: the test set is
never seen. The score is the mean of what a model can be asked for: R² of the factors, and
where it knows causes, R² of the effects of do(angle) and do(light) against the world, each
clipped at −1. (So it uses what only a simulator knows, and all models alike.) The trials and
their scores are in ``data/results/search.csv``; the best one of each model stands in
`scoreboard.RECIPES`, and a test compares the two.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from caufvae_lite.studies import core, scoreboard
from caufvae_lite.studies.base import Scores, Study
from caufvae_lite.studies.results import Key, timed
from caufvae_lite.worlds.examination import alignment, effects_of_causes

WORLD = "pendulum-noisy-32"
SEED = 100
HELD_OUT = 0.2


def _grid(**choices: Sequence[float]) -> list[dict[str, float]]:
    return [
        dict(zip(choices, values, strict=True))
        for values in itertools.product(*choices.values())
    ]


_SUPERVISION = _grid(supervision=(20.0, 60.0, 180.0))
_LIKELIHOOD = [
    *_grid(supervision=(20.0, 60.0, 180.0), label_likelihood=(5.0,)),
    *_grid(supervision=(60.0,), label_likelihood=(1.0, 20.0)),
]
_CAUSALVAE = _grid(label_prior=(1.0, 0.1, 0.01), masks=(1.0, 10.0), supervision=(60.0,))
_ICM = _grid(noise_prior=(0.1, 1.0), label_flow=(1.0, 0.1, 0.01), supervision=(60.0,))


def _then(trials: list[dict[str, float]], **more: float) -> list[dict[str, float]]:
    """Six trials of a model's own weights, then the best with what all others preferred."""
    return [*trials, {"supervision": 180.0, **more}]


TRIALS: dict[str, list[dict[str, float]]] = {
    "β-VAE": _grid(beta=(0.1, 0.25, 0.5, 2.0, 4.0, 8.0)),
    "iVAE-style": _SUPERVISION,
    "CausalVAE": _then(_CAUSALVAE, label_prior=0.01, masks=1.0),
    "CausalVAE + likelihood": _then(_CAUSALVAE, label_prior=0.01, masks=1.0),
    "DEAR's prior": _SUPERVISION,
    "DEAR's prior + likelihood": _LIKELIHOOD,
    "ICM-VAE": _then(_ICM, noise_prior=1.0, label_flow=0.01),
    "ICM-VAE + likelihood": _then(_ICM, noise_prior=0.1, label_flow=0.01),
    "CAREFL's order": _SUPERVISION,
    "CAREFL's order + likelihood": _LIKELIHOOD,
    "CauF-VAE, label prior": _SUPERVISION,
    "CauF-VAE, label prior + likelihood": _LIKELIHOOD,
    "CauF-VAE, SCM prior": _SUPERVISION,
    scoreboard.MAIN: _LIKELIHOOD,
}


def name_of(model: str, trial: dict[str, float]) -> str:
    """A trial's name in the column ``model``: the model, and what is tried."""
    return f"{model} [{', '.join(f'{k}={v:g}' for k, v in trial.items())}]"


_BY_NAME = {name_of(m, t): (m, t) for m, trials in TRIALS.items() for t in trials}


def recipe_of(trial_name: str) -> scoreboard.Recipe:
    """The model's recipe with the trial's weights."""
    model, trial = _BY_NAME[trial_name]
    recipe = scoreboard.RECIPES[model]
    return scoreboard.Recipe(recipe.model, {**recipe.options, **trial}, recipe.supervised)


def configuration(key: Key) -> dict[str, Any]:
    """Every setting of one trial."""
    recipe = recipe_of(key[0])
    return {
        "model": recipe.model.__name__, "options": recipe.options, "seed": key[2],
        "epochs": scoreboard.EPOCHS, "batch": scoreboard.BATCH, "lr": scoreboard.LEARNING_RATE,
        "noise": core.NOISE, "held_out": HELD_OUT,
    }  # fmt: skip


def compute(key: Key) -> tuple[Scores, dict[str, Any]]:
    """Train one trial, and score it on held-out training rows."""
    world, rows, _ = scoreboard.data_of(WORLD)
    part, held_out = rows.split(HELD_OUT, seed=SEED)
    recipe = recipe_of(key[0])
    model, circumstances = timed(lambda: scoreboard.train(recipe, world, part, key[2]))
    scores = alignment(model, held_out)
    asked = [v for k, v in scores.items() if k.startswith("r2/")]
    if model.graph.edges:
        for cause in ("pendulum_angle", "light_angle"):
            effects = effects_of_causes(model, world, held_out, [cause])
            scores |= {k: v for k, v in effects.items() if " latent r2/" in k}
            asked += [v for k, v in effects.items() if " latent r2/" in k]
    scores["score"] = float(np.clip(asked, -1, 1).mean())
    return scores, circumstances


STUDY = Study(
    "search", lambda _: [(name, WORLD, SEED) for name in _BY_NAME], configuration, compute, 1
)
