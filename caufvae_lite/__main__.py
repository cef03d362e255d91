"""The command line: ``python -m caufvae_lite tour | train | sweep | pretrain``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from caufvae_lite.checkpoints import data_folder, save, write_manifest
from caufvae_lite.commands.tour import run_tour
from caufvae_lite.studies import core
from caufvae_lite.worlds.examination import alignment


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m caufvae_lite", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    tour = commands.add_parser("tour", help="run notebooks 03 and 05 from scratch")
    tour.add_argument("--seed", type=int, default=0)
    tour.add_argument("--device", default="auto", help="auto, cpu or cuda")
    tour.add_argument("--out", type=Path, default=Path("build/tour"))
    commands.add_parser(
        "train", help="one run, in as many processes as there are", add_help=False
    )
    commands.add_parser("sweep", help="compute what data/results lacks", add_help=False)
    commands.add_parser("pretrain", help="train the shipped checkpoints anew")
    options, rest = parser.parse_known_args(arguments)
    if options.command == "train":
        from caufvae_lite.commands import train

        return train.main(rest)
    if options.command == "sweep":
        from caufvae_lite.commands import sweep

        return sweep.main(rest)
    if rest:
        parser.error(f"unrecognised arguments: {' '.join(rest)}")
    if options.command == "tour":
        return run_tour(options.seed, options.device, options.out)
    pretrain()
    return 0


def pretrain() -> None:
    """The shipped checkpoints: each world's own model, seed 0."""
    for world, name in core.SHIPPED.items():
        model = core.fit_run(core.Run(name, world, 0))
        path = data_folder() / "checkpoints" / f"{world}.safetensors"
        save(model, path, seed=0, world=world, epochs=core.EPOCHS)
        scores = alignment(model, core.data_of(world)[2])
        print(f"{world}: " + ", ".join(f"{s.measure} {s.factor} {s.value:.4f}" for s in scores))
    write_manifest(data_folder())


if __name__ == "__main__":
    sys.exit(main())
