"""One training run from the command line, in as many processes as the launcher starts::

    python -m caufvae_lite train --data pendulum --out model.safetensors
    accelerate launch --num_processes 4 -m caufvae_lite.train --data pendulum

In a notebook, ``accelerate.notebook_launcher`` starts a function that calls `train`.
docs/scaling.md leads from a laptop to a cluster.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

import torch

from caufvae_lite.caufvae import PRIORS, CauFVAE
from caufvae_lite.checkpoints import save
from caufvae_lite.data import FactorDataset
from caufvae_lite.history import History
from caufvae_lite.networks import choose_device
from caufvae_lite.scaling.processes import join
from caufvae_lite.scaling.team import PRECISIONS, TrainingStopped
from caufvae_lite.studies import core
from caufvae_lite.training import Settings, fit

DATA = ("pendulum", "pendulum-noisy", "water", "digits", "celeba")
TASKS = ("smile", "attractive", "beard")
IMAGE_SIZE = 64  # of the worlds, unless another is asked for
File = Path | str


@dataclass(frozen=True)
class Job:
    """The options of `train` and of the command line: type, help text, choices, default.

    The main process writes the model to ``out``, and its history beside it as
    ``.history.json``. A launcher may start a single process, or several that know nothing of
    each other, without a word: ``expect_processes`` turns that into an error.
    """

    data: Annotated[str, ", ".join(DATA)] = "pendulum"
    root: Annotated[File | None, "of celeba: the folder with your copy"] = None
    task: Annotated[str, "of celeba", TASKS] = "smile"
    image_size: Annotated[int | None, f"of a world's pictures; {IMAGE_SIZE} if none"] = None
    epochs: Annotated[int, "passes over the training rows"] = 15
    batch_size: Annotated[int, "rows a step, all processes together"] = 32
    accumulate: Annotated[int, "rounds a process takes for its rows"] = 1
    lr: Annotated[float, "peak learning rate of the networks"] = 5e-3
    seed: Annotated[int, "of weights, split, order and noise"] = 0
    label_fraction: Annotated[float, "share of rows that keep labels"] = 1.0
    extra_dims: Annotated[int, "latents without labels"] = 0
    prior: Annotated[str, "p(z) of the flow, or p(z | u)", PRIORS] = "scm"
    label_likelihood: Annotated[float, "weight of -log p(u)"] = 5.0
    supervision: Annotated[float, "weight of the squared errors"] = 20.0
    mixed_precision: Annotated[str | None, "if not given, Accelerate's", PRECISIONS] = None
    device: Annotated[str, "auto, cpu or cuda"] = "auto"
    checkpoint: Annotated[File | None, "a .safetensors file for the unfinished run"] = None
    checkpoint_minutes: Annotated[float, "between two of them"] = 10.0
    resume: Annotated[bool, "go on from --checkpoint if it is there"] = False
    out: Annotated[File, "the trained model"] = Path("model.safetensors")
    expect_processes: Annotated[int | None, "fail if there are more or fewer"] = None

    def __post_init__(self) -> None:
        out = Path(self.out)
        if out.suffix != ".safetensors":
            raise ValueError(f"--out must end in .safetensors, got {out.name!r}.")
        if self.checkpoint is not None and Path(self.checkpoint).resolve() == out.resolve():
            raise ValueError(
                "--checkpoint is for the unfinished run: name another file than --out."
            )


def load_data(
    data: str, root: File | None = None, task: str = "smile", image_size: int | None = None
) -> FactorDataset:
    """The training rows behind a name of `DATA`, with the options of `Job`.

    Raises:
        ValueError: an unknown name, or what it needs is missing.
        ImportError: digits without the extra ``images``.
    """
    if data not in DATA:
        raise ValueError(f"--data must be one of {', '.join(DATA)}; got {data!r}.")
    if data in ("digits", "celeba") and image_size is not None:
        raise ValueError(f"The pictures of {data} have a size of their own: no --image-size.")
    if data == "digits":
        from caufvae_lite.datasets.digits import Digits

        return Digits()
    if data == "celeba":
        if root is None:
            raise ValueError("--data celeba needs --root, the folder with your copy of it.")
        from caufvae_lite.datasets.celeba import CelebA

        return CelebA(root, task, split="train")
    return core.data_of(data, IMAGE_SIZE if image_size is None else image_size)[1]


def train(data: str = "pendulum", *, progress: bool = True, **options: Any) -> History:
    """Train a CauF-VAE and save it; every process that was started calls this.

    ``options`` are the other fields of `Job`; ``progress`` shows a progress bar.

    Raises:
        ValueError: another number of processes than expected, or as `load_data` and `fit`.
        ImportError: as `load_data`.
        TrainingStopped: by SIGTERM or Ctrl-C, after the checkpoint was written.
    """
    job = Job(data, **options)
    processes = join(choose_device(job.device))
    if job.expect_processes not in (None, processes.count):
        raise ValueError(
            f"{job.expect_processes} processes were expected, and this run has "
            f"{processes.count}. Start them with torchrun --nproc_per_node N, or accelerate "
            "launch --multi_gpu --num_processes N (on CPU with ACCELERATE_USE_CPU=true before "
            "it: with --cpu it starts one)."
        )
    dataset = load_data(job.data, job.root, job.task, job.image_size)
    if processes.is_main:
        print(f"{processes.count} process(es) on {processes}: {dataset}", flush=True)
    with _signals(processes.count == 1) as stopped:
        model, history = _run(job, dataset, progress=progress, stop=stopped)
    if processes.is_main:
        out, notes = Path(job.out), Path(job.out).with_suffix(".history.json")
        made = {"data": job.data, "seed": job.seed, "epochs": job.epochs}
        save(model, out, **made, processes=processes.count)
        notes.write_text(history.to_json() + "\n")
        rows = len(dataset) - max(1, round(Settings.validation * len(dataset)))
        speed = rows * len(history) / max(1e-9, sum(history.seconds))
        print(f"{history}\n{speed:.0f} images/s, validation included\nWrote {out} and {notes}")
    return history


def _run(job: Job, dataset: FactorDataset, **others: Any) -> tuple[CauFVAE, History]:
    """The trained model; ``others`` are the options of `fit` that a job lacks."""
    torch.manual_seed(job.seed)
    c, h, w = dataset.images.shape[1:]
    model = CauFVAE(
        dataset.graph, (c, h, w), prior=job.prior, label_likelihood=job.label_likelihood,
        supervision=job.supervision, extra_dims=job.extra_dims,
    )  # fmt: skip
    told = os.environ.get("ACCELERATE_MIXED_PRECISION", "no")
    try:
        return model, fit(
            model, dataset, epochs=job.epochs, seed=job.seed, device=job.device,
            label_fraction=job.label_fraction, batch_size=job.batch_size, lr=job.lr,
            accumulate=job.accumulate, mixed_precision=job.mixed_precision or told,
            checkpoint=job.checkpoint, checkpoint_minutes=job.checkpoint_minutes,
            resume=job.resume, **others,
        )  # fmt: skip
    except TrainingStopped as error:
        how = f"{job.checkpoint} holds it: the same command with --resume goes on."
        if job.checkpoint is None:
            how = "Nothing of it was kept, since there was no --checkpoint."
        raise TrainingStopped(f"{error} {how}") from None


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
    """An option for every field of `Job`; of a type like ``Path | str`` it makes the first."""
    parser = argparse.ArgumentParser(
        prog="python -m caufvae_lite train",
        description="Train a CauF-VAE, in one process or in many (docs/scaling.md).",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    hints = get_type_hints(Job, include_extras=True)
    for field in fields(Job):
        annotated, text, *choices = get_args(hints[field.name])
        kind = next(iter(get_args(annotated)), annotated)
        how: dict[str, Any] = {"type": kind, "choices": choices[0] if choices else None}
        if kind is bool:
            how = {"action": "store_true"}
        name = f"--{field.name.replace('_', '-')}"
        parser.add_argument(name, default=field.default, help=text, **how)
    return parser


@contextmanager
def _signals(alone: bool) -> Iterator[Callable[[], bool]]:
    """Yields "was this process asked to stop?". A second Ctrl-C interrupts at once.

    Among several processes it does not, and a second SIGTERM never does: a launcher passes
    on what its processes have already been sent.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set  # only the main thread may have handlers
        return

    def handle(number: int, frame: object) -> None:
        asked.set()
        if alone and number == signal.SIGINT:
            signal.signal(signal.SIGINT, before[signal.SIGINT])

    before = {n: signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)}
    for number in before:
        signal.signal(number, handle)
    try:
        yield asked.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    sys.exit(main())
