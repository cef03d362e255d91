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
from pathlib import Path

import torch

from caufvae_lite.caufvae import PRIORS, CauFVAE
from caufvae_lite.checkpoints import save
from caufvae_lite.data import FactorDataset
from caufvae_lite.history import History
from caufvae_lite.networks import choose_device
from caufvae_lite.scaling.processes import join
from caufvae_lite.scaling.team import PRECISIONS, TrainingStopped
from caufvae_lite.studies import core
from caufvae_lite.training import fit

DATA = ("pendulum", "pendulum-noisy", "water", "digits", "celeba")
TASKS = ("smile", "attractive", "beard")
IMAGE_SIZE = 64  # of the worlds, unless another is asked for


def load_data(
    data: str,
    root: str | Path | None = None,
    task: str = "smile",
    image_size: int | None = None,
) -> FactorDataset:
    """The training rows behind a name of `DATA`.

    Args:
        data: one of `DATA`.
        root: of CelebA, the folder with your copy.
        task: of CelebA, which factors: one of `TASKS`.
        image_size: side of the pictures that a world draws; real ones have their own.

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


def train(
    data: str = "pendulum",
    *,
    root: str | Path | None = None,
    task: str = "smile",
    image_size: int | None = None,
    epochs: int = 15,
    batch_size: int = 32,
    accumulate: int = 1,
    lr: float = 5e-3,
    seed: int = 0,
    label_fraction: float = 1.0,
    extra_dims: int = 0,
    prior: str = "scm",
    label_likelihood: float = 5.0,
    supervision: float = 20.0,
    mixed_precision: str | None = None,
    device: str = "auto",
    checkpoint: str | Path | None = None,
    checkpoint_minutes: float = 10.0,
    resume: bool = False,
    out: str | Path = "model.safetensors",
    expect_processes: int | None = None,
    progress: bool = True,
) -> History:
    """Train a CauF-VAE and save it; every process that was started calls this.

    Data as in `load_data`, the model as in `CauFVAE`, the rest as in `fit`.

    Args:
        mixed_precision: None is what ``accelerate launch`` was told, or else ``"no"``.
        out: the main process writes the model here, and its history beside it as
            ``.history.json``.
        expect_processes: raise if there are not so many; a launcher may start a single one,
            or several that know nothing of each other, without a word.

    Raises:
        ValueError: another number of processes than expected, or as `load_data` and `fit`.
        ImportError: as `load_data`.
        TrainingStopped: by SIGTERM or Ctrl-C, after the checkpoint was written.
    """
    out = Path(out)
    if out.suffix != ".safetensors":
        raise ValueError(f"--out must end in .safetensors, got {out.name!r}.")
    if checkpoint is not None and Path(checkpoint).resolve() == out.resolve():
        raise ValueError(
            "--checkpoint is for the unfinished run: name another file than --out."
        )
    processes = join(choose_device(device))
    if expect_processes not in (None, processes.count):
        raise ValueError(
            f"{expect_processes} processes were expected, and this run has {processes.count}. "
            "Start them with torchrun --nproc_per_node N, or accelerate launch --multi_gpu "
            "--num_processes N (on CPU with ACCELERATE_USE_CPU=true before it: with --cpu it "
            "starts one)."
        )
    dataset = load_data(data, root, task, image_size)
    c, h, w = dataset.images.shape[1:]
    torch.manual_seed(seed)
    model = CauFVAE(
        dataset.graph,
        (c, h, w),
        prior=prior,
        label_likelihood=label_likelihood,
        supervision=supervision,
        extra_dims=extra_dims,
    )
    say = print if processes.is_main else _silent
    say(f"{processes.count} process(es) on {processes}: {dataset}", flush=True)
    with _signals(processes.count == 1) as stopped:
        try:
            history = fit(
                model, dataset, epochs=epochs, seed=seed, device=device,
                label_fraction=label_fraction, batch_size=batch_size, lr=lr,
                accumulate=accumulate,
                mixed_precision=mixed_precision
                or os.environ.get("ACCELERATE_MIXED_PRECISION", "no"),
                checkpoint=checkpoint, checkpoint_minutes=checkpoint_minutes, resume=resume,
                progress=progress, stop=stopped,
            )  # fmt: skip
        except TrainingStopped as error:
            how = (
                "Nothing of it was kept, since there was no --checkpoint."
                if checkpoint is None
                else f"{checkpoint} holds it: the same command with --resume goes on."
            )
            raise TrainingStopped(f"{error} {how}") from None
    if processes.is_main:
        save(model, out, data=data, seed=seed, epochs=epochs, processes=processes.count)
        notes = out.with_suffix(".history.json")
        notes.write_text(history.to_json() + "\n")
        rows = len(dataset) - max(1, round(0.1 * len(dataset)))
        speed = rows * len(history) / max(1e-9, sum(history.seconds))
        say(f"{history}\n{speed:.0f} images/s, validation included\nWrote {out} and {notes}")
    return history


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status: 2 wrong usage, 143 stopped."""
    options = vars(_parser().parse_args(arguments))
    is_main = int(os.environ.get("RANK", 0)) == 0
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
        if is_main:
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
    add("--data", default="pendulum", help=", ".join(DATA))
    add("--root", type=Path, help="of celeba: the folder with your copy")
    add("--task", default="smile", choices=TASKS, help="of celeba")
    add("--image-size", type=int, help=f"of a world's pictures; {IMAGE_SIZE} if not given")
    add("--epochs", type=int, default=15, help="passes over the training rows")
    add("--batch-size", type=int, default=32, help="rows a step, all processes together")
    add("--accumulate", type=int, default=1, help="rounds a process takes for its rows")
    add("--lr", type=float, default=5e-3, help="peak learning rate of the networks")
    add("--seed", type=int, default=0, help="of weights, split, order and noise")
    add("--label-fraction", type=float, default=1.0, help="share of rows that keep labels")
    add("--extra-dims", type=int, default=0, help="latents without labels")
    add("--prior", default="scm", choices=PRIORS, help="p(z) of the flow, or p(z | u)")
    add("--label-likelihood", type=float, default=5.0, help="weight of -log p(u)")
    add("--supervision", type=float, default=20.0, help="weight of the squared errors")
    add("--mixed-precision", choices=PRECISIONS, help="if not given, as Accelerate was told")
    add("--device", default="auto", help="auto, cpu or cuda")
    add("--checkpoint", type=Path, help="a .safetensors file for the unfinished run")
    add("--checkpoint-minutes", type=float, default=10.0, help="between two of them")
    add("--resume", action="store_true", help="go on from --checkpoint if it is there")
    add("--out", type=Path, default=Path("model.safetensors"), help="the trained model")
    add("--expect-processes", type=int, help="fail if there are more or fewer")
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


def _silent(*args: object, **kwargs: object) -> None:
    """What the other processes print."""


if __name__ == "__main__":
    sys.exit(main())
