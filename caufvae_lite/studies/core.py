"""The core study: which of CauF-VAE's switches does the work, at 64 × 64 pixels.

The four models of notebook 05, on the pendulum and on water; fewer labels, and the corner of
large angles held out.
"""

from collections.abc import Sequence
from typing import Any

import torch

from caufvae_lite.caufvae import CauFVAE
from caufvae_lite.data import FactorDataset
from caufvae_lite.studies.base import Key, Study
from caufvae_lite.training import fit
from caufvae_lite.worlds import Pendulum, StructuralWorld
from caufvae_lite.worlds.examination import Score, examine

__all__ = ["MAIN", "STRONG", "STUDY", "SWITCHES", "build", "data_of"]

PENDULUM_NOISE = Pendulum.settings["pendulum-noisy"].noise
EPOCHS = 15
CORE_SUPERVISION = 60.0

SWITCHES: dict[str, dict[str, Any]] = {
    "label prior": {"prior": "label", "label_likelihood": 0.0},
    "label prior + likelihood": {"prior": "label", "label_likelihood": 5.0},
    "SCM prior": {"prior": "scm", "label_likelihood": 0.0},
    "SCM prior + likelihood": {"prior": "scm", "label_likelihood": 5.0},
}
MAIN = "SCM prior + likelihood"
# In water a cause (a small ball) is harder to see than its effect (the level). The posterior
# then blurs the cause, and a mechanism that passes the blur on costs reconstruction: the
# evidence bound flattens it. A stronger likelihood of the labels holds against that.
STRONG = "SCM prior + strong likelihood"
LABELLED = {f"{MAIN}, {share:.0%} labels": share for share in (0.1, 0.01)}  # else all rows
MODELS = {
    **SWITCHES,
    STRONG: {"prior": "scm", "label_likelihood": 50.0},
    **dict.fromkeys(LABELLED, SWITCHES[MAIN]),
}
SHIPPED = {"pendulum": MAIN, "pendulum-noisy": MAIN, "water": STRONG}  # the checkpoints


def keys(seeds: Sequence[int]) -> list[Key]:
    """The runs of ``data/results/core.csv``, what matters most first."""
    found = [(model, world, seed) for world, model in SHIPPED.items() for seed in seeds]
    for seed in seeds:
        for world in ("pendulum", "pendulum-noisy"):
            found += [(model, world, seed) for model in SWITCHES if model != MAIN]
        found.append((MAIN, "pendulum-block", seed))
        found += [(model, "pendulum", seed) for model in LABELLED]
    return found


def world_of(name: str, image_size: int = 64) -> StructuralWorld:
    """The world that has this name among its `StructuralWorld.settings`."""
    if name not in StructuralWorld.named:
        raise ValueError(f"World {name!r} is not one of {sorted(StructuralWorld.named)}.")
    kind = StructuralWorld.named[name]
    return kind(image_size=image_size, noise=kind.settings[name].noise)  # type: ignore[call-arg]


def data_of(
    name: str, image_size: int = 64
) -> tuple[StructuralWorld, FactorDataset, FactorDataset]:
    """The named world, its training rows and its test rows."""
    world = world_of(name, image_size)
    return world, *world.grid().split(world.settings[name].split)


def build(model: str, seed: int, world: StructuralWorld) -> CauFVAE:
    """One of ``MODELS`` with fresh weights, the same for every run with this seed and shape."""
    torch.manual_seed(seed)
    shape = (3, world.image_size, world.image_size)
    return CauFVAE(world.graph, shape, supervision=CORE_SUPERVISION, **MODELS[model])


def fit_run(key: Key, progress: bool = True) -> CauFVAE:
    """The run's model, trained on the run's world."""
    name, world_name, seed = key
    world, rows, _ = data_of(world_name)
    model = build(name, seed, world)
    fit(
        model, rows, epochs=EPOCHS, seed=seed, device="cpu",
        label_fraction=LABELLED.get(name, 1.0), progress=progress,
    )  # fmt: skip
    return model


def compute(key: Key) -> list[Score]:
    world, _, test = data_of(key[1])
    return examine(fit_run(key, progress=False), world, test)


def configuration(key: Key) -> dict[str, Any]:
    model, world, seed = key
    return {
        "switches": MODELS[model], "world": world, "seed": seed,
        "labels": LABELLED.get(model, 1.0), "noise": PENDULUM_NOISE, "epochs": EPOCHS,
        "supervision": CORE_SUPERVISION, "image_size": 64,
    }  # fmt: skip


STUDY = Study("core", keys, configuration, compute)
