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
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

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


def option(default: Any, text: str, **more: Any) -> Any:
    """A field of `Job`: its default, and what argparse needs to know beside its type."""
    return field(default=default, metadata={"help": text, **more})


@dataclass(frozen=True)
class Job:
    """What is trained, on what and how: every field is an option of the command line.

    ``data`` to ``image_size`` are `load_data`'s, the rest are as in `CauFVAE` and `fit`. The
    main process writes the model to ``out``, and its history beside it as ``.history.json``.
    """

    data: str = option("pendulum", ", ".join(DATA))
    root: Path | str | None = option(None, "of celeba: the folder with your copy")
    task: str = option("smile", "of celeba", choices=TASKS)
    image_size: int | None = option(None, f"of a world's pictures; {IMAGE_SIZE} if not given")
    epochs: int = option(15, "passes over the training rows")
    batch_size: int = option(32, "rows a step, all processes together")
    accumulate: int = option(1, "rounds a process takes for its rows")
    lr: float = option(5e-3, "peak learning rate of the networks")
    seed: int = option(0, "of weights, split, order and noise")
    label_fraction: float = option(1.0, "share of rows that keep labels")
    extra_dims: int = option(0, "latents without labels")
    prior: str = option("scm", "p(z) of the flow, or p(z | u)", choices=PRIORS)
    label_likelihood: float = option(5.0, "weight of -log p(u)")
    supervision: float = option(20.0, "weight of the squared errors")
    mixed_precision: str | None = option(
        None, "if not given, as Accelerate was told", choices=PRECISIONS
    )
    device: str = option("auto", "auto, cpu or cuda")
    checkpoint: Path | str | None = option(None, "a .safetensors file for the unfinished run")
    checkpoint_minutes: float = option(10.0, "between two of them")
    resume: bool = option(False, "go on from --checkpoint if it is there")
    out: Path | str = option(Path("model.safetensors"), "the trained model")
    expect_processes: int | None = option(None, "fail if there are more or fewer")

    def __post_init__(self) -> None:
        out = Path(self.out)
        if out.suffix != ".safetensors":
            raise ValueError(f"--out must end in .safetensors, got {out.name!r}.")
        if self.checkpoint and Path(self.checkpoint).resolve() == out.resolve():
            raise ValueError(
                "--checkpoint is for the unfinished run: name another file than --out."
            )

    def model(self, dataset: FactorDataset) -> CauFVAE:
        """A model for this data, with the seed's first weights."""
        torch.manual_seed(self.seed)
        names = ("prior", "label_likelihood", "supervision", "extra_dims")
        c, h, w = dataset.images.shape[1:]
        return CauFVAE(dataset.graph, (c, h, w), **self._only(names))

    def fit(self, model: CauFVAE, dataset: FactorDataset, **others: Any) -> History:
        """Train ``model``; ``others`` are the options of `fit` that no job has."""
        names = (
            "epochs", "seed", "device", "label_fraction", "batch_size", "lr", "accumulate",
            "checkpoint", "checkpoint_minutes", "resume",
        )  # fmt: skip
        told = os.environ.get("ACCELERATE_MIXED_PRECISION", "no")
        precision = self.mixed_precision or told
        return fit(model, dataset, mixed_precision=precision, **self._only(names), **others)

    def _only(self, names: tuple[str, ...]) -> dict[str, Any]:
        return {name: getattr(self, name) for name in names}


def load_data(
    data: str,
    root: str | Path | None = None,
    task: str = "smile",
    image_size: int | None = None,
) -> FactorDataset:
    """The training rows behind a name of `DATA`.

    ``root`` is the folder with your copy of CelebA, ``task`` one of `TASKS`. ``image_size`` is
    the side of the pictures that a world draws; real ones have their own.

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

    Args:
        data: one of `DATA`.
        progress: show a progress bar.
        options: the other fields of `Job`. One of them is ``expect_processes``, since a
            launcher may start a single process, or several that know nothing of each other,
            without a word.

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
    model = job.model(dataset)
    if processes.is_main:
        print(f"{processes.count} process(es) on {processes}: {dataset}", flush=True)
    with _signals(processes.count == 1) as stopped:
        try:
            history = job.fit(model, dataset, progress=progress, stop=stopped)
        except TrainingStopped as error:
            how = (
                f"{job.checkpoint} holds it: the same command with --resume goes on."
                if job.checkpoint
                else "Nothing of it was kept, since there was no --checkpoint."
            )
            raise TrainingStopped(f"{error} {how}") from None
    if processes.is_main:
        out, notes = Path(job.out), Path(job.out).with_suffix(".history.json")
        save(model, out, data=data, seed=job.seed, epochs=job.epochs, processes=processes.count)
        notes.write_text(history.to_json() + "\n")
        rows = len(dataset) - max(1, round(Settings.validation * len(dataset)))
        speed = rows * len(history) / max(1e-9, sum(history.seconds))
        print(f"{history}\n{speed:.0f} images/s, validation included\nWrote {out} and {notes}")
    return history


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
    """The fields of `Job` as options. Of a type like ``Path | str`` it makes the first."""
    parser = argparse.ArgumentParser(
        prog="python -m caufvae_lite train",
        description="Train a CauF-VAE, in one process or in many (docs/scaling.md).",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    types = get_type_hints(Job)
    for f in fields(Job):
        kind = next(iter(get_args(types[f.name])), types[f.name])
        how: dict[str, Any] = {"action": "store_true"} if kind is bool else {"type": kind}
        name = f"--{f.name.replace('_', '-')}"
        parser.add_argument(name, default=f.default, **how, **f.metadata)
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
