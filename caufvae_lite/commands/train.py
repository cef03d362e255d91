"""One training run from the command line, in as many processes as the launcher starts::

    python -m caufvae_lite train --data pendulum --out model.safetensors
    torchrun --nproc_per_node 4 -m caufvae_lite.train --data pendulum

docs/scaling.md leads from a laptop to a cluster, and shows the start from a notebook.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from caufvae_lite.caufvae import PRIORS, CauFVAE
from caufvae_lite.checkpoints import save
from caufvae_lite.data import FactorDataset
from caufvae_lite.datasets.celeba import TASKS, CelebA
from caufvae_lite.datasets.digits import Digits
from caufvae_lite.history import History
from caufvae_lite.networks import choose_device
from caufvae_lite.scaling.processes import join
from caufvae_lite.scaling.team import PRECISIONS, TrainingStopped
from caufvae_lite.studies import core
from caufvae_lite.training import fit

DATA = ("pendulum", "pendulum-noisy", "water", "machine", "digits", "celeba")


def load_data(job: argparse.Namespace) -> FactorDataset:
    """The training rows that a job names; a ValueError if it lacks what they need."""
    if job.data in ("digits", "celeba") and job.image_size is not None:
        raise ValueError(f"Pictures of {job.data} have a size of their own: no --image-size.")
    if job.data == "digits":
        return Digits()
    if job.data == "celeba":
        if job.root is None:
            raise ValueError("--data celeba needs --root, the folder with your copy of it.")
        return CelebA(job.root, job.task, split="train")
    return core.data_of(job.data, 64 if job.image_size is None else job.image_size)[1]


def train(data: str = "pendulum", *, progress: bool = True, **options: Any) -> History:
    """Train a CauF-VAE and save it; every process that was started calls this.

    ``options`` are those of the command line, with underscores; ``progress`` shows a progress
    bar. The main process writes the model to ``out``, and its history beside it as
    ``.history.json``. A launcher may start a single process, or several that know nothing of
    each other, without a word: ``expect_processes`` turns that into an error.

    Raises:
        TypeError: an option that nobody knows.
        ValueError: another number of processes than expected, or as `load_data` and `fit`.
        ImportError: digits without the extra ``images``.
        TrainingStopped: by SIGTERM or Ctrl-C, after the checkpoint was written.
    """
    job = _job({"data": data, **options})
    out = Path(job.out)
    processes = join(choose_device(job.device))
    if job.expect_processes not in (None, processes.count):
        raise ValueError(
            f"{job.expect_processes} processes were expected, and this run has "
            f"{processes.count}. Start them with torchrun --nproc_per_node N, or accelerate "
            "launch --multi_gpu --num_processes N (on CPU with ACCELERATE_USE_CPU=true before "
            "it: with --cpu it starts one)."
        )
    dataset = load_data(job)
    if processes.is_main:
        print(f"{processes.count} process(es) on {processes}: {dataset}", flush=True)
    torch.manual_seed(job.seed)
    c, h, w = dataset.images.shape[1:]
    model = CauFVAE(
        dataset.graph, (c, h, w), prior=job.prior, label_likelihood=job.label_likelihood,
        supervision=job.supervision, extra_dims=job.extra_dims,
    )  # fmt: skip
    told = os.environ.get("ACCELERATE_MIXED_PRECISION", "no")
    with _signals() as stop:
        history = fit(
            model, dataset, epochs=job.epochs, seed=job.seed, device=job.device,
            label_fraction=job.label_fraction, batch_size=job.batch_size, lr=job.lr,
            accumulate=job.accumulate, mixed_precision=job.mixed_precision or told,
            checkpoint=job.checkpoint, checkpoint_minutes=job.checkpoint_minutes,
            resume=job.resume, progress=progress, stop=stop,
        )  # fmt: skip
    if processes.is_main:
        notes = out.with_suffix(".history.json")
        made = {"data": job.data, "seed": job.seed, "epochs": job.epochs}
        save(model, out, **made, processes=processes.count)
        notes.write_text(history.to_json() + "\n")
        print(f"{history}\nWrote {out} and {notes}")
    return history


def _job(options: dict[str, Any]) -> argparse.Namespace:
    """The options, with defaults for those left out, checked before anything takes time."""
    known = vars(_parser().parse_args([]))
    if unknown := sorted(options.keys() - known):
        raise TypeError(f"train() has no option {', '.join(unknown)}; it has {[*known]}.")
    job = argparse.Namespace(**{**known, **options})
    if Path(job.out).suffix != ".safetensors":
        raise ValueError(f"--out must end in .safetensors, got {job.out}.")
    if job.checkpoint is not None and Path(job.checkpoint).resolve() == Path(job.out).resolve():
        raise ValueError("--checkpoint is for the unfinished run: name another than --out.")
    return job


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status: 2 wrong usage, 143 stopped."""
    options = vars(_parser().parse_args(arguments))
    try:
        choose_device(options["device"])
    except RuntimeError as error:
        print(f"train: {error}", file=sys.stderr)
        return 2
    try:
        train(**options)
    except (ValueError, ImportError, FileNotFoundError) as error:
        print(f"train: {error}", file=sys.stderr)
        return 2
    except TrainingStopped as error:
        if int(os.environ.get("RANK", 0)) == 0:
            print(f"train: {error}", file=sys.stderr)
        return 128 + signal.SIGTERM
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m caufvae_lite train",
        description="Train a CauF-VAE, in one process or in many (docs/scaling.md).",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--data", choices=DATA, default="pendulum", help="what to train on")
    add("--root", type=Path, help="of celeba: the folder with your copy")
    add("--task", choices=tuple(TASKS), default="smile", help="of celeba")
    add("--image-size", type=int, help="of a world's pictures; 64 if none")
    add("--epochs", type=int, default=15, help="passes over the training rows")
    add("--batch-size", type=int, default=32, help="rows a step, all processes together")
    add("--accumulate", type=int, default=1, help="rounds a process takes for its rows")
    add("--lr", type=float, default=5e-3, help="peak learning rate of the networks")
    add("--seed", type=int, default=0, help="of weights, split, order and noise")
    add("--label-fraction", type=float, default=1.0, help="share of rows that keep labels")
    add("--extra-dims", type=int, default=0, help="latents without labels")
    add("--prior", choices=PRIORS, default="scm", help="p(z) of the flow, or p(z | u)")
    add("--label-likelihood", type=float, default=5.0, help="weight of -log p(u)")
    add("--supervision", type=float, default=20.0, help="weight of the squared errors")
    add("--mixed-precision", choices=PRECISIONS, help="if not given, Accelerate's")
    add("--device", default="auto", help="auto, cpu or cuda")
    add("--checkpoint", type=Path, help="a .safetensors file for the unfinished run")
    add("--checkpoint-minutes", type=float, default=10.0, help="between two of them")
    add("--resume", action="store_true", help="go on from --checkpoint if it is there")
    add("--out", type=Path, default=Path("model.safetensors"), help="the trained model")
    add("--expect-processes", type=int, help="fail if there are more or fewer")
    return parser


@contextmanager
def _signals() -> Iterator[Callable[[], bool]]:
    """Yields "was this process asked to stop?": by SIGTERM or Ctrl-C."""
    asked: list[int] = []  # an Event's lock could hang if one signal interrupts another

    def ask(number: int, frame: object) -> None:
        if number == signal.SIGINT and number in asked:
            raise KeyboardInterrupt  # the second Ctrl-C does not wait for the step to end
        asked.append(number)

    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, ask) for number in numbers]
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
