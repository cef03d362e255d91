"""Working off a run's batches together: several processes, several rounds, stop and go on.

Every process is started with the same model and the whole data set. Of every batch each takes
a part, in one round or in several (``accumulate``). A part's loss is divided by what the
*whole* batch has, see `FactorVAE.average`, so the parts' gradients add up to the batch's, and
one sum over all processes a step carries them. The noise is drawn for the whole batch before it
is cut. So losses and weights are those of one process up to rounding, whatever their number.

A run may be stopped and resumed, within an epoch too (`resume.py`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from caufvae_lite.answers import inference_batch
from caufvae_lite.history import History
from caufvae_lite.randomness import keyed_generator, normal
from caufvae_lite.scaling import resume as resuming
from caufvae_lite.scaling.processes import join
from caufvae_lite.training import VALIDATION, Run, Worker
from caufvae_lite.vae import TERMS, FactorVAE

PRECISIONS = ("no", "bf16", "auto")


class TrainingStopped(Exception):
    """`fit` was asked to stop, and did, between two steps."""


class Team(Worker):
    """The processes that were started together, or this one alone.

    Args:
        device: the kind of device that each process works on.
        accumulate: rounds in which each process takes its rows of a batch, for batches whose
            pictures do not fit into memory.
        mixed_precision: ``"no"``; ``"bf16"``: encoder and decoder compute in bfloat16, the
            flow, the densities and the weights stay in float32; ``"auto"``: bf16 where the
            GPU has it.
        checkpoint: a ``.safetensors`` file, written after every epoch, and within one when
            ``checkpoint_minutes`` have passed since.
        resume: go on from ``checkpoint`` if it exists. Number of processes, ``accumulate`` and
            device may be others than before.
        stop: asked after every step. Once it says True in any process, the checkpoint is
            written and `TrainingStopped` raised in all of them.

    Raises:
        ValueError: an option that makes no sense. When the run begins: ``checkpoint`` belongs
            to a run with other settings, or the processes differ in their settings.
    """

    def __init__(
        self,
        device: torch.device,
        *,
        accumulate: int = 1,
        mixed_precision: str = "no",
        checkpoint: str | Path | None = None,
        checkpoint_minutes: float = 10.0,
        resume: bool = False,
        stop: Callable[[], bool] | None = None,
    ):
        if accumulate < 1:
            raise ValueError(f"accumulate must be 1 or more, got {accumulate}.")
        if not checkpoint_minutes >= 0:
            raise ValueError(f"checkpoint_minutes must be 0 or more, got {checkpoint_minutes}.")
        self.processes = join(device)
        super().__init__(self.processes.device)
        self.precision = choose_precision(mixed_precision, self.device)
        self.accumulate, self.checkpoint, self.resume = accumulate, checkpoint, resume
        self.between_checkpoints = 60 * checkpoint_minutes
        self.stop = stop or (lambda: False)
        self.asked = False
        self.contexts = ExitStack()

    # ------------------------------------------------------------ beginning and end

    def begin(self, run: Run) -> None:
        """Agree with the other processes, place the model, and go on where a run stopped."""
        self.settings: dict[str, Any] = {
            "model": type(run.model).__name__,
            "config": run.model.config(),
            "rows": len(run.dataset),
            **asdict(run.settings),
            "precision": str(self.precision),
        }
        if self.processes.count > 1:
            ours = {"checkpoint": str(self.checkpoint), "resume": self.resume}
            ours |= {"accumulate": self.accumulate}
            ours["labels"] = resuming.labels_sha256(run.dataset.factors)
            self.processes.agree({**self.settings, **ours})
            state = {k: v.cpu() for k, v in run.model.state_dict().items()}
            run.model.load_state_dict(self.processes.from_main(lambda: state))
        super().begin(run)
        if self.checkpoint is not None:
            path = Path(self.checkpoint)
            prepare = partial(resuming.prepare, path, run.dataset)
            self.settings["data"] = self.processes.from_main(prepare)
            found = self.processes.from_main(
                lambda: (
                    resuming.read(path, self.settings)
                    if self.resume and path.is_file()
                    else None
                )
            )
            if found is not None:
                resuming.restore(*found, run)
        run.history.device = str(self.processes)
        self.written = time.perf_counter()
        if self.precision is not None:
            networks = (run.model.encoder, run.model.decoder)
            self.contexts.enter_context(computing_in(self.precision, self.device, networks))

    def end(self, run: Run) -> None:
        self.contexts.close()

    def progress_bar(self, run: Run, show: bool) -> tqdm:
        return super().progress_bar(run, show and self.processes.is_main)

    # -------------------------------------------------------------------- the work

    def backward(self, run: Run, batch: Tensor, draws: Tensor) -> Tensor:
        model, factors = run.model, run.dataset.factors[batch]
        rows_with = model.rows_with(factors)
        sums = torch.zeros(len(TERMS), device=self.device)
        for part in self._own_parts(len(batch), self.accumulate):
            images = run.dataset.images[batch[part]]
            terms = model.row_terms(images, factors[part], draws[part])
            found = model.average(terms, rows_with)
            found["total"].backward()
            sums += torch.stack([found[t].detach() for t in TERMS])
        self.asked = bool(self.stop())
        return self._add_up(model, sums) if self.processes.count > 1 else sums

    @torch.no_grad()
    def validate(self, run: Run) -> tuple[dict[str, float], float]:
        model = run.model.eval()
        generator = keyed_generator(run.settings.seed, VALIDATION)
        means = torch.zeros(len(TERMS), dtype=torch.float64)
        for batch in run.held_out.split(inference_batch(model.image_shape)):
            draws = normal(len(batch), model.latent_dims, seed=generator, like=model.mean)
            factors = run.dataset.factors[batch]
            rows_with = model.rows_with(factors)
            for part in self._own_parts(len(batch), 1):
                images = run.dataset.images[batch[part]]
                terms = model.row_terms(images, factors[part], draws[part])
                found = model.average(terms, rows_with)
                share = len(batch) / len(run.held_out)
                means += torch.tensor([found[t].item() for t in TERMS]).double() * share
        means = self.processes.add(means.to(self.device))
        seconds = self.processes.from_main(lambda: time.perf_counter() - run.started)
        return dict(zip(TERMS, means.tolist(), strict=True)), seconds

    def _own_parts(self, rows: int, rounds: int) -> list[slice]:
        """This process's parts of a batch of so many rows; none is empty."""
        parts = cut(rows, self.processes.count * rounds)
        own = parts[self.processes.index * rounds : (self.processes.index + 1) * rounds]
        return [part for part in own if part.stop > part.start]

    def _add_up(self, model: FactorVAE, terms: Tensor) -> Tensor:
        """Sum gradients and ``terms`` over all processes; was any of them asked to stop?

        One sum for everything. With so few parameters, starting it takes longer than sending
        them, so buckets that overlap with the backward pass would gain nothing. A parameter
        without a gradient in all processes is left without one.
        """
        parameters = [p for p in model.parameters() if p.requires_grad]
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        flags = [float(p.grad is not None) for p in parameters] + [float(self.asked)]
        parts = [g.reshape(-1) for g in gradients] + [terms.new_tensor(flags), terms]
        everything = self.processes.add(torch.cat(parts))
        *gradients, counts, sums = everything.split([len(part) for part in parts])
        *owners, askers = counts.tolist()
        for parameter, gradient, count in zip(parameters, gradients, owners, strict=True):
            if count > 0 and parameter.grad is None:
                parameter.grad = torch.empty_like(parameter)
            if parameter.grad is not None:  # in the parameter's own memory format
                parameter.grad.copy_(gradient.view_as(parameter))
        self.asked = askers > 0
        return sums

    # ------------------------------------------------------------- stop and go on

    def after_step(self, run: Run) -> None:
        """Write the checkpoint if it is time to, and stop if that was asked for."""
        due = time.perf_counter() - self.written >= self.between_checkpoints
        if self.processes.is_main and (self.asked or due):
            self._store(run)
        if self.asked:
            self.processes.from_main(lambda: None)  # Nobody leaves before it is written.
            raise TrainingStopped(
                f"Stopped after step {run.step} of {run.steps} in epoch "
                f"{len(run.history) + 1} of {run.settings.epochs}."
            )

    def after_epoch(self, run: Run, on_epoch: Callable[[History], object] | None) -> None:
        def conclude() -> None:
            self._store(run)
            if on_epoch is not None:
                on_epoch(run.history)

        self.processes.from_main(conclude)

    def _store(self, run: Run) -> None:
        if self.checkpoint is not None:
            resuming.store(self.checkpoint, self.settings, run)
        self.written = time.perf_counter()


def cut(rows: int, parts: int) -> list[slice]:
    """``range(rows)`` in ``parts`` nearly equal pieces, of which some may be empty.

    >>> cut(10, 4)
    [slice(0, 2, None), slice(2, 5, None), slice(5, 7, None), slice(7, 10, None)]
    """
    return [slice(a, b) for a, b in pairwise(rows * k // parts for k in range(parts + 1))]


def choose_precision(mixed_precision: str, device: torch.device) -> torch.dtype | None:
    """What encoder and decoder compute in; None is the weights' own float32.

    ``"auto"`` is bfloat16 where the GPU has it (compute capability 8 and above).
    """
    if mixed_precision not in PRECISIONS:
        raise ValueError(
            f"mixed_precision must be one of {PRECISIONS}, got {mixed_precision!r}. There is "
            "no fp16: its range is too small for summed pixel losses without loss scaling; a "
            "GPU without bfloat16, such as a T4, trains in float32."
        )
    if mixed_precision == "auto":
        has_it = device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)
        return torch.bfloat16 if has_it else None
    return torch.bfloat16 if mixed_precision == "bf16" else None


@contextmanager
def computing_in(
    precision: torch.dtype, device: torch.device, networks: tuple[nn.Module, ...]
) -> Iterator[None]:
    """Let these networks compute in ``precision``, and return what they were given."""

    def lowered(forward: Callable[[Tensor], Tensor], inputs: Tensor) -> Tensor:
        with torch.autocast(device.type, precision):
            outputs = forward(inputs)
        return outputs.to(inputs.dtype)

    for network in networks:
        network.forward = partial(lowered, network.forward)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for network in networks:
            del network.forward  # the instance's; its class still has one
