"""The core study: which of CauF-VAE's switches does the work, at 64 × 64 pixels.

The four models of notebook 05, on the pendulum and on water; fewer labels, and the corner of
large angles held out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from caufvae_lite.caufvae import CauFVAE
from caufvae_lite.data import FactorDataset
from caufvae_lite.studies.base import Study
from caufvae_lite.studies.results import Key, timed
from caufvae_lite.training import fit
from caufvae_lite.worlds import Pendulum, StructuralWorld
from caufvae_lite.worlds.examination import Score, examine

__all__ = ["CORE_SUPERVISION", "MAIN", "MODELS", "PENDULUM_NOISE", "SHIPPED", "STRONG"]
__all__ += ["STUDY", "SWITCHES", "Run", "build", "data_of", "fit_run", "world_of"]

PENDULUM_NOISE = Pendulum.settings["pendulum-noisy"].noise
EPOCHS = 15
CORE_SUPERVISION = 60.0

SWITCHES = {
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
MODELS = {**SWITCHES, STRONG: {"prior": "scm", "label_likelihood": 50.0}}
SHIPPED = {"pendulum": MAIN, "pendulum-noisy": MAIN, "water": STRONG}  # the checkpoints


@dataclass(frozen=True)
class Run:
    """One model, one world, one seed; ``labels`` is the share of labelled rows."""

    switches: str
    world: str
    seed: int
    labels: float = 1.0

    @property
    def key(self) -> Key:
        """What names the run in the table."""
        few = "" if self.labels == 1 else f", {self.labels:.0%} labels"
        return self.switches + few, self.world, self.seed


def runs(seeds: Iterable[int]) -> dict[Key, Run]:
    """The runs of ``data/results/core.csv``, what matters most first."""
    seeds = list(seeds)
    found = [Run(model, world, seed) for world, model in SHIPPED.items() for seed in seeds]
    for seed in seeds:
        for world in ("pendulum", "pendulum-noisy"):
            found += [Run(name, world, seed) for name in SWITCHES if name != MAIN]
        found.append(Run(MAIN, "pendulum-block", seed))
        found += [Run(MAIN, "pendulum", seed, labels) for labels in (0.1, 0.01)]
    return {run.key: run for run in found}


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


def build(switches: str, seed: int, world: StructuralWorld) -> CauFVAE:
    """A model with fresh weights, the same for every run with this seed and shape."""
    torch.manual_seed(seed)
    shape = (3, world.image_size, world.image_size)
    options: dict[str, Any] = MODELS[switches]
    return CauFVAE(world.graph, shape, supervision=CORE_SUPERVISION, **options)


def fit_run(run: Run, image_size: int = 64, progress: bool = True) -> CauFVAE:
    """The run's model, trained on the run's world."""
    world, rows, _ = data_of(run.world, image_size)
    model = build(run.switches, run.seed, world)
    fit(
        model, rows, epochs=EPOCHS, seed=run.seed, device="cpu",
        label_fraction=run.labels, progress=progress,
    )  # fmt: skip
    return model


def compute(key: Key) -> tuple[list[Score], dict[str, Any]]:
    """Train and examine one run of the study."""
    run = _run_of(key)
    world, _, test = data_of(run.world)
    model, circumstances = timed(lambda: fit_run(run, progress=False))
    return examine(model, world, test), circumstances


def configuration(key: Key) -> dict[str, Any]:
    """Every setting of one run of the study."""
    run = _run_of(key)
    return {
        "switches": MODELS[run.switches], "world": run.world, "seed": run.seed,
        "labels": run.labels, "noise": PENDULUM_NOISE, "epochs": EPOCHS,
        "supervision": CORE_SUPERVISION, "image_size": 64,
    }  # fmt: skip


def keys(seeds: Sequence[int]) -> list[Key]:
    """The names of `runs`."""
    return list(runs(seeds))


def _run_of(key: Key) -> Run:
    found = runs([key[2]])
    if key not in found:
        raise ValueError(f"The core study has no run {key}.")
    return found[key]


STUDY = Study("core", keys, configuration, compute)
