"""The cost study: seconds, parameters and memory of every model of the scoreboard.

Each model trains one epoch in a process of its own, on one thread, since a process that has
worked before keeps memory. The row ``IDLE`` loads the libraries and the pictures and trains
nothing. What another row has above it is the model's.
"""

import json
import subprocess
import sys
from typing import Any

import torch

from caufvae_lite.studies import scoreboard
from caufvae_lite.studies.base import Key, Study, seed_by_seed
from caufvae_lite.studies.results import timed
from caufvae_lite.worlds.examination import Score

__all__ = ["IDLE", "STUDY", "WORLD"]

WORLD = "pendulum-noisy-32"
IDLE = "libraries and pictures"


def configuration(key: Key) -> dict[str, Any]:
    own = {} if key[0] == IDLE else scoreboard.configuration(key)
    return {**own, "model": key[0], "epochs": 1, "seed": key[2]}


def compute(key: Key) -> list[Score]:
    """Measure one model in a fresh process."""
    code = f"from caufvae_lite.studies import cost; cost.measure({key[0]!r}, {key[2]})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"The fresh process failed: {done.stderr.strip()[-500:]}")
    scores = json.loads(done.stdout.strip().splitlines()[-1])
    return [Score("", measure, "", value) for measure, value in scores.items()]


def measure(name: str, seed: int) -> None:
    """Train one epoch, and print what it took as JSON."""
    torch.set_num_threads(1)
    world, rows, _ = scoreboard.data_of(WORLD)
    recipe, fit = scoreboard.RECIPES.get(name), scoreboard.fit_recipe
    model, took = timed(lambda: fit(recipe, world, rows, seed, epochs=1) if recipe else None)
    scores = {}
    if model is not None:
        scores["parameters"] = sum(p.numel() for p in model.parameters())
        scores["seconds an epoch"] = took["seconds"]
    print(json.dumps({**scores, "peak memory": float(took["memory_mb"])}))


KEYS = seed_by_seed(WORLD, [IDLE, *scoreboard.RECIPES])
STUDY = Study("cost", KEYS, configuration, compute, seeds=1)
