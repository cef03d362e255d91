"""Small trainings that must end alike in one process and in several; run by test_scale.py.

``torchrun … scale_job.py FOLDER`` trains each of `RUNS` and tries what goes wrong; process k
leaves its findings in ``FOLDER/k.pt``.
"""

import math
import os
import sys
from pathlib import Path

import torch
from torch import nn

from caufvae_lite import CauFVAE, Pendulum, fit
from caufvae_lite.baselines import CausalVAE
from caufvae_lite.scaling import TrainingStopped

SHAPE = (3, 28, 28)  # in patches of 2 × 2
RANK = int(os.environ.get("RANK", 0))
COUNT = int(os.environ.get("WORLD_SIZE", 1))


class Idle(CauFVAE):
    """Has a parameter that its loss does not use: no gradient, no weight decay."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.unused = nn.Parameter(torch.ones(3))


def data(rows=64):
    found = Pendulum(SHAPE[1]).sample(rows, seed=0)
    missing = torch.rand(found.factors.shape, generator=torch.Generator().manual_seed(1)) < 0.3
    return found.with_factors(found.factors.masked_fill(missing, torch.nan))


def train(kind=CauFVAE, rows=64, weights=0, model=None, **options):
    dataset = data(rows)
    if model is None:
        torch.manual_seed(weights)
        model = kind(dataset.graph, SHAPE)
    options = {"epochs": 2, "device": "cpu", "progress": False, **options}
    history = fit(model, dataset, **options)
    return {
        "state": model.state_dict(),
        "train": history.train, "validation": history.validation,
        "best": history.best_epoch, "seconds": history.seconds, "device": history.device,
    }  # fmt: skip


RUNS = {
    # 58 training rows in batches of 25, 25 and 8; labels missing here and there
    "odd shares, few labels": {"batch_size": 25, "label_fraction": 0.3},
    "accumulated": {"batch_size": 25, "accumulate": 3},
    "a process without rows": {"kind": CausalVAE, "rows": 8, "batch_size": 1},
    "an unused parameter": {"kind": Idle, "batch_size": 32, "epochs": 1},
}


def error_of(work):
    try:
        work()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def fails_here(process, **options):
    """A run whose third gradient is not finite, in one process only."""
    model, asked = CauFVAE(data().graph, SHAPE), []
    row_terms = model.row_terms

    def failing(images, factors, draws):
        terms = row_terms(images, factors, draws)
        asked.append(model.training)
        if process == RANK and sum(asked) == 3:
            terms["kl"] = terms["kl"] * math.nan
        return terms

    model.row_terms = failing
    train(model=model, **options)


def stops_here(process, step, path):
    asked = []

    def stop():
        asked.append(1)
        return process == RANK and len(asked) == step

    try:
        train(checkpoint=path, stop=stop, batch_size=10)
    except TrainingStopped as stopped:
        return f"{stopped} {path.is_file()}"


def main(folder):
    seen = []
    found = {"count": COUNT}
    for name, options in RUNS.items():  # each process starts with weights of its own
        found[name] = train(weights=RANK, on_epoch=lambda h: seen.append(len(h)), **options)
    found["callbacks"] = seen
    path = folder / "run.safetensors"
    found["stopped"] = stops_here(1, 4, path)
    if RANK == 0:
        (folder / "copy.safetensors").write_bytes(path.read_bytes())
    found["resumed"] = train(checkpoint=path, resume=True, batch_size=10)
    found["refused"] = error_of(
        lambda: train(checkpoint=path, resume=True, batch_size=10, lr=0.1)
    )
    found["not finite"] = error_of(lambda: fails_here(1))
    found["differing"] = error_of(lambda: train(lr=1e-3 * (1 + RANK)))

    def complain(history):
        raise OSError("the disk is full")

    found["main fails"] = error_of(lambda: train(on_epoch=complain))
    torch.save(found, folder / f"{RANK}.pt")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]))
