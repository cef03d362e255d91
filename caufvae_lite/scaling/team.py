"""Working off a run's batches together: several processes, several rounds, stop and go on.

Every process is started with the same model and the whole data set. Of every batch each takes
a part, in one round or in several (``accumulate``). A part's loss is divided by what the
*whole* batch has, see `FactorVAE.average`, so the parts' gradients add up to the batch's, and
one sum over all processes a step carries them. The noise is drawn for the whole batch before it
is cut. So losses and weights are those of one process up to rounding, whatever their number.
"""

from __future__ import annotations

import glob
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from accelerate.utils import convert_outputs_to_fp32
from torch import Tensor
from tqdm.auto import tqdm

from caufvae_lite.answers import inference_batch
from caufvae_lite.checkpoints import write_tensors
from caufvae_lite.factor_vae import TERMS, FactorVAE, Terms
from caufvae_lite.history import History
from caufvae_lite.randomness import keyed_generator, normal
from caufvae_lite.scaling import resume as resuming
from caufvae_lite.scaling.processes import join
from caufvae_lite.training import VALIDATION, Run, Worker

PRECISIONS = ("no", "bf16", "auto")


class TrainingStopped(Exception):
    """`fit` was asked to stop, and did, between two steps."""


class Team(Worker):
    """The processes that were started together, or this one alone, on ``device``'s kind.

    Args:
        accumulate: rounds in which each process takes its rows of a batch, for batches whose
            pictures do not fit into memory.
        mixed_precision: ``"no"``; ``"bf16"``: encoder and decoder compute in bfloat16, the
            flow, the densities and the weights stay in float32; ``"auto"``: bf16 on a GPU of
            compute capability 8 and above.
        checkpoint: a ``.safetensors`` file, written after every epoch, and within one when
            ``checkpoint_minutes`` have passed since.
        resume: go on from ``checkpoint`` if it exists. Number of processes, ``accumulate`` and
            device may be others than before.
        stop: asked after every step. Once it says True in any process, the checkpoint is
            written and `TrainingStopped` raised in all of them.

    A ValueError names an option that makes no sense, settings in which the processes differ,
    or those in which the run of the ``checkpoint`` differs.
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
        if mixed_precision not in PRECISIONS:
            raise ValueError(
                f"mixed_precision must be one of {PRECISIONS}, got {mixed_precision!r}. (fp16 "
                "would need loss scaling; a GPU without bfloat16 trains in float32.)"
            )
        self.processes = join(device)
        super().__init__(self.processes.device)
        if mixed_precision == "auto" and self.device.type == "cuda":
            new_enough = torch.cuda.get_device_capability(self.device) >= (8, 0)
            mixed_precision = "bf16" if new_enough else "no"
        self.bf16 = mixed_precision == "bf16"
        self.accumulate, self.resume = accumulate, resume
        self.checkpoint = None if checkpoint is None else Path(checkpoint)
        self.between_checkpoints = 60 * checkpoint_minutes
        self.stop = stop or (lambda: False)

    def begin(self, run: Run) -> None:
        """Place the model, and let all processes begin with what the main process has."""
        super().begin(run)
        self.settings: dict[str, Any] = {
            "model": type(run.model).__name__,
            "config": run.model.config(),
            "rows": len(run.dataset),
            **asdict(run.settings),
            "precision": "torch.bfloat16" if self.bf16 else "None",
        }
        ours = {"accumulate": self.accumulate, "labels": resuming.labels_sha256(run.dataset)}
        self.processes.agree({**self.settings, **ours})
        resuming.restore(run, *self.processes.from_main(lambda: self._beginning(run)))
        run.history.device = str(self.processes)
        self.written = time.perf_counter()
        if self.bf16:
            for network in (run.model.encoder, run.model.decoder):
                lowered = torch.autocast(self.device.type, torch.bfloat16)(network.forward)
                network.forward = convert_outputs_to_fp32(lowered)  # type: ignore[method-assign]

    def _beginning(self, run: Run) -> tuple[dict[str, Tensor], dict]:
        """The state to go on from: the checkpoint's, or else the model's fresh weights."""
        path = self.checkpoint
        if path is not None:
            for left in path.parent.glob(f"{glob.escape(path.name)}.*.partial"):
                left.unlink(missing_ok=True)  # by a run that was killed while it wrote
            self.settings["data"] = resuming.data_sha256(run.dataset)
            if self.resume and path.is_file():
                return resuming.read(path, self.settings)
        return resuming.capture(run, self.settings)

    def end(self, run: Run) -> None:
        if self.bf16:
            for network in (run.model.encoder, run.model.decoder):
                del network.forward  # the instance's; its class still has one

    def progress_bar(self, run: Run, show: bool) -> tqdm:
        return super().progress_bar(run, show and self.processes.is_main)

    def backward(self, run: Run, batch: Tensor, draws: Tensor) -> Tensor:
        if self.processes.count == self.accumulate == 1:
            sums = super().backward(run, batch, draws)
        else:
            sums = torch.zeros(len(TERMS), device=self.device)
            for terms in self._own_terms(run, batch, draws, self.accumulate):
                terms["total"].backward()
                sums += torch.stack([terms[t].detach() for t in TERMS])
        self.asked = self.stop()
        return self._add_up(run.model, sums) if self.processes.count > 1 else sums

    @torch.no_grad()
    def validate(self, run: Run) -> tuple[dict[str, float], float]:
        if self.processes.count == 1:
            return super().validate(run)
        model = run.model.eval()
        generator = keyed_generator(run.settings.seed, VALIDATION)
        means = torch.zeros(len(TERMS), dtype=torch.float64, device=self.device)
        for batch in run.held_out.split(inference_batch(model.image_shape)):
            draws = normal(len(batch), model.latent_dims, seed=generator, like=model.mean)
            share = len(batch) / len(run.held_out)
            for terms in self._own_terms(run, batch, draws, rounds=1):
                means += torch.stack([terms[t] for t in TERMS]).double() * share
        dist.all_reduce(means)
        seconds = self.processes.from_main(lambda: time.perf_counter() - run.started)
        return dict(zip(TERMS, means.tolist(), strict=True)), seconds

    def _own_terms(
        self, run: Run, batch: Tensor, draws: Tensor, rounds: int
    ) -> Iterator[Terms]:
        """The terms of this process's rows of a batch, round by round."""
        factors = run.dataset.factors[batch]
        rows_with = run.model.rows_with(factors)
        pieces, first = self.processes.count * rounds, self.processes.index * rounds
        edges = [len(batch) * k // pieces for k in range(1, pieces)]
        cut = [tensor.tensor_split(edges) for tensor in (batch, factors, draws)]
        for rows, labels, noise in list(zip(*cut, strict=True))[first : first + rounds]:
            if len(rows) > 0:
                terms = run.model.row_terms(run.dataset.images[rows], labels, noise)
                yield run.model.average(terms, rows_with)

    def _add_up(self, model: FactorVAE, terms: Tensor) -> Tensor:
        """Sum gradients and ``terms`` over all processes; was any of them asked to stop?

        One sum for everything. With so few parameters, starting it takes longer than sending
        them, so buckets that overlap with the backward pass would gain nothing. A parameter
        without a gradient in all processes is left without one.
        """
        parameters = [p for p in model.parameters() if p.requires_grad]
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        flags = terms.new_tensor([self.asked, *(p.grad is not None for p in parameters)])
        parts = [terms, flags, *(g.flatten() for g in gradients)]
        everything = torch.cat(parts)
        dist.all_reduce(everything)
        terms, flags, *sums = everything.split([len(part) for part in parts])
        asked, *owners = (flags > 0).tolist()
        for parameter, gradient, owned in zip(parameters, sums, owners, strict=True):
            if owned:  # in the parameter's own memory format
                parameter.grad = torch.empty_like(parameter).copy_(gradient.view_as(parameter))
        self.asked = asked
        return terms

    def after_step(self, run: Run) -> None:
        """Write the checkpoint if it is time to, and stop if that was asked for."""
        if self.asked:
            self.processes.from_main(lambda: self._store(run))
            raise TrainingStopped(
                f"Stopped after step {run.step} of {run.steps} in epoch "
                f"{len(run.history) + 1} of {run.settings.epochs}. The checkpoint that "
                f"resume=True (--resume) goes on from: {self.checkpoint}."
            )
        due = time.perf_counter() - self.written >= self.between_checkpoints
        if due and self.processes.is_main:
            self._store(run)

    def after_epoch(self, run: Run, on_epoch: Callable[[History], object] | None) -> None:
        def conclude() -> None:
            self._store(run)
            if on_epoch is not None:
                on_epoch(run.history)

        self.processes.from_main(conclude)

    def _store(self, run: Run) -> None:
        if self.checkpoint is not None:
            write_tensors(self.checkpoint, *resuming.capture(run, self.settings))
        self.written = time.perf_counter()
