"""The core study: which of CauF-VAE's switches does the work, at 64 × 64 pixels.

The four models of notebook 05, on the pendulum and on water; fewer labels, and the corner
held out: what is trained, on what, and how scored.
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
from caufvae_lite.worlds import Pendulum, StructuralWorld, Water
from caufvae_lite.worlds.examination import examine

NOISE = 1.5  # of the noisy pendulum, in axis units: see data/README.md for why
EPOCHS = 15
SUPERVISION = 60.0
SEEDS = range(5)

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
WORLDS = ("pendulum", "pendulum-noisy", "pendulum-block", "water")
SHIPPED = {"pendulum": MAIN, "pendulum-noisy": MAIN, "water": STRONG}  # the checkpoints


@dataclass(frozen=True)
class Run:
    """One model, one world, one seed; ``labels`` is the share of labelled rows."""

    switches: str
    world: str
    seed: int
    labels: float = 1.0

    @property
    def model(self) -> str:
        """The name in the results' column ``model``."""
        few = "" if self.labels == 1 else f", {self.labels:.0%} labels"
        return self.switches + few


def core_runs(seeds: Iterable[int] = SEEDS) -> list[Run]:
    """The runs of ``data/results/core.csv``, what matters most first."""
    seeds = list(seeds)
    main = [Run(model, w, s) for w, model in SHIPPED.items() for s in seeds]
    others = [
        run
        for s in seeds
        for run in (
            *(Run(n, w, s) for w in WORLDS[:2] for n in SWITCHES if n != MAIN),
            Run(MAIN, "pendulum-block", s),
            *(Run(MAIN, "pendulum", s, labels) for labels in (0.1, 0.01)),
        )
    ]
    return [*main, *others]


def world_of(name: str, image_size: int = 64) -> Pendulum | Water:
    """The world behind a name in the results' column ``world``."""
    if name not in WORLDS:
        raise ValueError(f"World {name!r} is not one of {WORLDS}.")
    if name == "water":
        return Water(image_size)
    return Pendulum(image_size, noise=NOISE if name == "pendulum-noisy" else 0.0)


def data_of(
    name: str, image_size: int = 64
) -> tuple[Pendulum | Water, FactorDataset, FactorDataset]:
    """The world, its training rows and its test rows."""
    world = world_of(name, image_size)
    train, test = world.grid().split("block" if name == "pendulum-block" else "published")
    return world, train, test


def build(switches: str, seed: int, world: StructuralWorld) -> CauFVAE:
    """A model with fresh weights, the same for every run with this seed and shape."""
    torch.manual_seed(seed)
    return CauFVAE(
        world.graph,
        (3, world.image_size, world.image_size),
        supervision=SUPERVISION,
        **MODELS[switches],  # type: ignore[arg-type]
    )


def train(run: Run, image_size: int = 64, progress: bool = True) -> CauFVAE:
    """The run's model, trained on the run's world."""
    world, rows, _ = data_of(run.world, image_size)
    model = build(run.switches, run.seed, world)
    fit(
        model, rows, epochs=EPOCHS, seed=run.seed, device="cpu",
        label_fraction=run.labels, progress=progress,
    )  # fmt: skip
    return model


def compute(key: Key) -> tuple[dict[str, float], dict[str, Any]]:
    """Train and examine one run of the study."""
    run = _run_of(key)
    world, _, test = data_of(run.world)
    model, circumstances = timed(lambda: train(run, progress=False))
    return examine(model, world, test), circumstances


def configuration(key: Key) -> dict[str, Any]:
    """Every setting of one run of the study."""
    run = _run_of(key)
    return {
        "switches": MODELS[run.switches], "world": run.world, "seed": run.seed,
        "labels": run.labels, "noise": NOISE, "epochs": EPOCHS, "supervision": SUPERVISION,
        "image_size": 64,
    }  # fmt: skip


def _keys(seeds: Sequence[int]) -> list[Key]:
    return [(run.model, run.world, run.seed) for run in core_runs(seeds)]


def _run_of(key: Key) -> Run:
    runs = {(run.model, run.world, run.seed): run for run in core_runs([key[2]])}
    if key not in runs:
        raise ValueError(f"The core study has no run {key}.")
    return runs[key]


STUDY = Study("core", _keys, configuration, compute)
