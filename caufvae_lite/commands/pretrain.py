"""Train the shipped checkpoints anew: each world's own model of the core study, seed 0."""

import argparse
from collections.abc import Sequence

from caufvae_lite.checkpoints import data_folder, save
from caufvae_lite.studies import core
from caufvae_lite.studies.results import write_manifest
from caufvae_lite.worlds.examination import alignment


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    prog = "python -m caufvae_lite pretrain"
    argparse.ArgumentParser(prog=prog, description=__doc__).parse_args(arguments)
    for world, name in core.SHIPPED.items():
        model = core.fit_run((name, world, 0))
        path = data_folder() / "checkpoints" / f"{world}.safetensors"
        save(model, path, seed=0, world=world, epochs=core.EPOCHS)
        scores = alignment(model, core.data_of(world)[2])
        print(f"{world}: " + ", ".join(f"{s.measure} {s.factor} {s.value:.4f}" for s in scores))
    write_manifest(data_folder())
    return 0
