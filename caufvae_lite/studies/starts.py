"""The starts study: do all first weights lead to the same optimum?

The main model of `core` on the noisy pendulum, at 64 × 64 pixels. With the supervision of
`core`, a weight of 60, one of its five seeds (`BAD`) ends in a worse optimum: encoder and
decoder agree on a bent coordinate of the light, and the picture jumps where it bends. Three
times that weight, which is what the scoreboard's search chose, is tried from twenty seeds.

To find the cause, one part of a model starts from the first weights of the bad seed, and the
other parts from those of seeds that do not fail.
"""

from collections.abc import Sequence
from typing import Any

import torch

from caufvae_lite.baselines import recipe
from caufvae_lite.caufvae import CauFVAE
from caufvae_lite.studies import core
from caufvae_lite.studies.base import Key, Study
from caufvae_lite.training import fit
from caufvae_lite.worlds import StructuralWorld
from caufvae_lite.worlds.examination import Score, alignment

__all__ = ["BAD", "PARTS", "STRONG", "STUDY", "WORLD"]

WORLD = "pendulum-noisy"
STRONG = "supervision 180"
SUPERVISION = recipe.LABELS["supervision"]
BAD = 2
PARTS = {  # that start from the bad seed, with the supervision of `core`
    f"the decoder of seed {BAD}": ("decoder",),
    f"encoder and flow of seed {BAD}": ("encoder", "flow"),
}
SWAPPED = 5  # seeds that are tried with a part of the bad one


def keys(seeds: Sequence[int]) -> list[Key]:
    swapped = [(part, WORLD, seed) for part in PARTS for seed in seeds[:SWAPPED] if seed != BAD]
    return swapped + [(STRONG, WORLD, seed) for seed in seeds]


def configuration(key: Key) -> dict[str, Any]:
    name, world, seed = key
    main = core.configuration((core.MAIN, world, seed))
    weight = SUPERVISION if name == STRONG else core.CORE_SUPERVISION
    return {**main, "supervision": weight, "parts": PARTS.get(name, ()), "bad": BAD}


def build(key: Key, world: StructuralWorld) -> CauFVAE:
    """The run's model with its first weights."""
    name, _, seed = key
    model = core.build(core.MAIN, seed, world)
    model.supervision = configuration(key)["supervision"]
    other = core.build(core.MAIN, BAD, world)
    with torch.no_grad():
        for part in PARTS.get(name, ()):
            model.get_submodule(part).load_state_dict(other.get_submodule(part).state_dict())
    return model


def compute(key: Key) -> list[Score]:
    world, rows, test = core.data_of(key[1])
    model = build(key, world)
    fit(
        model, rows, epochs=core.EPOCHS, seed=key[2], device="cpu", progress=False,
        calibrate=False,
    )  # fmt: skip
    return alignment(model, test)


STUDY = Study("starts", keys, configuration, compute, seeds=20)
