"""The command line: ``python -m caufvae_lite tour | results | pretrain``."""

from __future__ import annotations

import argparse
import os
import sys
from functools import partial
from pathlib import Path

from caufvae_lite import assumptions, experiments
from caufvae_lite.checkpoints import data_folder, save, write_manifest
from caufvae_lite.tour import run_tour


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m caufvae_lite", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    tour = commands.add_parser("tour", help="run notebooks 03 and 05 from scratch")
    tour.add_argument("--seed", type=int, default=0)
    tour.add_argument("--device", default="auto", help="auto, cpu or cuda")
    tour.add_argument("--out", type=Path, default=Path("build/tour"))
    results = commands.add_parser("results", help="recompute what data/results lacks")
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
    """Every run that is not in its file yet, one after the other."""
    core = [
        (run.model, run.world, run.seed, partial(_core_rows, run))
        for run in experiments.core_runs(range(seeds))
    ]
    broken = [
        (v.name, assumptions.WORLD, seed, partial(assumptions.perform, v, seed))
        for seed in range(seeds)
        for v in assumptions.VARIANTS.values()
    ]
    for name, runs in (("core", core), ("identifiability", broken)):
        path = data_folder() / "results" / f"{name}.csv"
        have = experiments.done(path)
        missing = [run for run in runs if run[:3] not in have]
        for k, (model, world, seed, rows) in enumerate(missing, start=1):
            print(f"{name} {k}/{len(missing)}: {model} on {world}, seed {seed}", flush=True)
            experiments.append(path, rows(progress=os.isatty(2)))
        write_manifest(data_folder())
        print(experiments.summary(experiments.read_results(path)))


def _core_rows(run: experiments.Run, progress: bool) -> list[dict]:
    return experiments.perform(run, progress=progress)[1]


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
