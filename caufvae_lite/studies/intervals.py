"""The intervals study: do intervals hold the truth as often as they say?

Two models, each at its own size: the scoreboard's semi-supervised one at 32 × 32 pixels, and at
64 × 64 the one that ships for the world. Every question sets one cause to a shuffle of the test
rows' own values, or nothing. The world says what is true. Rows, by factor::

    cover L          share of test pictures whose central interval of L % holds the truth
    width L          mean width, divided by that of a conformal interval
    raw cover L      the same for draws of the posterior as training left it
    raw width L

The conformal interval is the yardstick: the model's answer ± the L % quantile of its errors on
the held-out rows (Vovk et al. 2005). For a question do() these errors need the true
counterfactuals of those rows, which a learner outside a simulator does not have. A calibration
gets by without them.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from caufvae_lite.caufvae import CauFVAE
from caufvae_lite.data import FactorDataset, held_out_rows
from caufvae_lite.factor_vae import FactorVAE
from caufvae_lite.studies import core, few_labels, scoreboard
from caufvae_lite.studies.base import Key, Study
from caufvae_lite.training import Settings
from caufvae_lite.worlds import StructuralWorld
from caufvae_lite.worlds.examination import Score, permuted_values

__all__ = ["LEVELS", "STUDY", "WORLDS", "coverage"]

LEVELS = (50, 80, 90, 95)  # per cent
DRAWS, TEST_ROWS = 200, 1000
SMALL = few_labels.WORLDS
WORLDS = (*SMALL, *core.SHIPPED)


def keys(seeds: Sequence[int]) -> list[Key]:
    small: list[Key] = [(scoreboard.SEMI, world, seed) for seed in seeds for world in SMALL]
    return small + [
        (core.SHIPPED[world], world, seed) for seed in seeds for world in core.SHIPPED
    ]


def configuration(key: Key) -> dict[str, Any]:
    of = scoreboard if key[1] in SMALL else core
    return {**of.configuration(key), "draws": DRAWS, "tested": TEST_ROWS}


def compute(key: Key) -> list[Score]:
    model_name, world_name, seed = key
    if world_name in SMALL:
        world, rows, test = scoreboard.data_of(world_name)
        recipe = scoreboard.with_controls()[model_name]
        model: FactorVAE = scoreboard.fit_recipe(recipe, world, rows, seed)
    else:
        world, rows, test = core.data_of(world_name)
        model = core.fit_run(key, progress=False)
    held_out, _ = held_out_rows(len(rows), Settings(epochs=1).validation, seed)
    assert isinstance(model, CauFVAE)
    if model.calibration is None:
        model.calibrate(rows, held_out, seed)
    some = torch.randperm(len(test), generator=torch.Generator().manual_seed(0))[:TEST_ROWS]
    return coverage(model, world, rows.rows(held_out), test.rows(some))


def coverage(
    model: CauFVAE, world: StructuralWorld, held_out: FactorDataset, test: FactorDataset
) -> list[Score]:
    """Every row of the table for a calibrated model, which is left without its calibration."""
    graph, scores = world.graph, []
    causes = [name for name in graph.nodes if graph.children(name)]
    asked: list[list[str]] = [[], *([name] for name in causes)]
    answers = [_draws(model, test, names) for names in asked]
    model.calibration = None
    for names, calibrated in zip(asked, answers, strict=True):
        truth = world.counterfactual(test.factors, permuted_values(test, names, seed=0))
        do = permuted_values(held_out, names, seed=0)
        known = world.counterfactual(held_out.factors, do)
        found = model.factors(held_out.images, do=do).cpu()
        errors = (found - known).abs().sort(0).values
        factors = [n for n in graph.affected(names) if n not in names] if names else graph.nodes
        for prefix, draws in (("", calibrated), ("raw ", _draws(model, test, names))):
            for level in LEVELS:
                low, high = (
                    draws.quantile(0.5 - level / 200, 0),
                    draws.quantile(0.5 + level / 200, 0),
                )
                held = ((truth >= low) & (truth <= high)).float().mean(0)
                m = len(errors)
                half = errors[min(m - 1, math.ceil((m + 1) * level / 100) - 1)]
                width = (high - low).mean(0) / (2 * half)
                for name in factors:
                    i, cause = graph.index(name), "".join(names)
                    scores.append(Score(cause, f"{prefix}cover {level}", name, float(held[i])))
                    scores.append(Score(cause, f"{prefix}width {level}", name, float(width[i])))
    return scores


def _draws(model: CauFVAE, test: FactorDataset, names: Sequence[str]) -> Tensor:
    do = permuted_values(test, names, seed=0)
    return model.factors(test.images, DRAWS, seed=0, do=do).cpu()


STUDY = Study("intervals", keys, configuration, compute)
