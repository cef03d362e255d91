"""The command line: ``python -m caufvae_lite tour | results | pretrain``."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from caufvae_lite import experiments
from caufvae_lite.checkpoints import data_folder, save, write_manifest
from caufvae_lite.tour import run_tour


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m caufvae_lite", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    tour = commands.add_parser("tour", help="run notebooks 03 and 05 from scratch")
    tour.add_argument("--seed", type=int, default=0)
    tour.add_argument("--device", default="auto", help="auto, cpu or cuda")
    tour.add_argument("--out", type=Path, default=Path("build/tour"))
    results = commands.add_parser("results", help="recompute data/results/core.csv")
    results.add_argument("--seeds", type=int, default=5)
    commands.add_parser("pretrain", help="train the shipped checkpoints anew")
    options = parser.parse_args(arguments)
    if options.command == "tour":
        return run_tour(options.seed, options.device, options.out)
    if options.command == "results":
        compute_results(options.seeds)
    else:
        pretrain()
    return 0


def compute_results(seeds: int) -> None:
    """Every core run that is not in the file yet, one after the other."""
    path = data_folder() / "results" / "core.csv"
    have = experiments.done(path)
    runs = [
        run
        for run in experiments.core_runs(range(seeds))
        if (run.model, run.world, run.seed) not in have
    ]
    for k, run in enumerate(runs, start=1):
        print(f"{k}/{len(runs)}: {run.model} on {run.world}, seed {run.seed}", flush=True)
        experiments.append(path, experiments.perform(run, progress=os.isatty(2))[1])
    write_manifest(data_folder())
    print(experiments.summary(experiments.read_results(path)))


def pretrain() -> None:
    """The shipped checkpoints: the main model, seed 0, on either pendulum."""
    for world in ("pendulum", "pendulum-noisy"):
        model, rows = experiments.perform(experiments.Run(experiments.MAIN, world, 0))
        path = data_folder() / "checkpoints" / f"{world}.safetensors"
        save(model, path, seed=0, world=world, epochs=experiments.EPOCHS)
        print(f"{world}: " + ", ".join(f"{r['metric']} {r['value']}" for r in rows[:5]))
    write_manifest(data_folder())


if __name__ == "__main__":
    sys.exit(main())
