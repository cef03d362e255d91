"""The cost study: seconds, parameters and memory of every model of the scoreboard.

Each model trains one epoch in a process of its own, on one thread, since a process that has
worked before keeps memory. The row ``IDLE`` loads the libraries and the pictures and trains
nothing. What another row has above it is the model's.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import torch

from caufvae_lite.studies import scoreboard
from caufvae_lite.studies.base import Study, seed_by_seed
from caufvae_lite.studies.results import Key, timed
from caufvae_lite.worlds.examination import Score

__all__ = ["IDLE", "STUDY", "WORLD"]

WORLD = "pendulum-noisy-32"
IDLE = "libraries and pictures"


def configuration(key: Key) -> dict[str, Any]:
    """Every setting of one run."""
    own = {} if key[0] == IDLE else scoreboard.configuration(key)
    return {**own, "model": key[0], "epochs": 1, "seed": key[2]}


def compute(key: Key) -> tuple[list[Score], dict[str, Any]]:
    """Measure one model in a fresh process."""
    code = f"from caufvae_lite.studies import cost; cost.measure({key[0]!r}, {key[2]})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"The fresh process failed: {done.stderr.strip()[-500:]}")
    found = json.loads(done.stdout.strip().splitlines()[-1])
    return [Score("", *score) for score in found["scores"]], found["circumstances"]


def measure(name: str, seed: int) -> None:
    """Train one epoch, and print what it took as JSON."""
    torch.set_num_threads(1)
    world, rows, _ = scoreboard.data_of(WORLD)
    scores: list[tuple[str, str, float]] = []

    def work() -> None:
        if name != IDLE:
            recipe = scoreboard.RECIPES[name]
            model = scoreboard.fit_recipe(recipe, world, rows, seed, epochs=1)
            scores.append(("parameters", "", sum(p.numel() for p in model.parameters())))

    _, circumstances = timed(work)
    if name != IDLE:
        scores.append(("seconds an epoch", "", circumstances["seconds"]))
    scores.append(("peak memory", "", float(circumstances["memory_mb"])))
    print(json.dumps({"scores": scores, "circumstances": circumstances}))


STUDY = Study(
    "cost", seed_by_seed(WORLD, lambda: [IDLE, *scoreboard.RECIPES]), configuration, compute, 1
)
