"""Training: `fit` turns a model and a data set into a trained model and a `History`.

Everything random is keyed by ``(seed, purpose, epoch)`` and drawn for the whole batch, and
the learning rate is a function of the step alone. So the same seed gives the same weights,
and a run that was stopped and resumed ends where an uninterrupted one does.

Several processes take a share each of every batch (`scaling.shares`), as do several
rounds of accumulation. The shares' gradients add up to the batch's; one sum over all
processes a step carries them, and the losses with them.
"""

from __future__ import annotations

import copy
import inspect
import math
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from caufvae_lite.data import FactorDataset
from caufvae_lite.history import TERMS, History
from caufvae_lite.randomness import keyed_generator
from caufvae_lite.scaling import resume as resuming
from caufvae_lite.scaling.processes import Processes, choose_device, join
from caufvae_lite.scaling.resume import Position, Progress
from caufvae_lite.scaling.shares import Share, cut
from caufvae_lite.vae import INFERENCE_BATCH, FactorVAE, inference_batch

LABELS, HELD_OUT, ORDER, NOISE, VALIDATION = range(5)  # purposes of the random draws
BETAS = (0.9, 0.99)
LARGEST_GRADIENT = 1000.0  # its norm, in nats an image; only a run gone wrong reaches it
PRECISIONS = ("no", "bf16", "auto")


class TrainingStopped(Exception):
    """`fit` was asked to stop, and did, between two steps."""


def labelled_rows(n: int, fraction: float, seed: int) -> Tensor:
    """``(n,)`` booleans: the rows that keep their labels, the same for every model.

    Nested: the rows of 1 % are among the rows of 10 %.
    """
    if not 0 <= fraction <= 1:
        raise ValueError(f"label_fraction must be between 0 and 1, got {fraction}.")
    order = torch.randperm(n, generator=keyed_generator(seed, LABELS))
    keep = torch.zeros(n, dtype=torch.bool)
    keep[order[: math.ceil(fraction * n - 1e-9)]] = True  # 100 / n of n rows are 100
    return keep


def one_cycle(progress: float, warm_up: float = 0.25) -> float:
    """Share of the peak learning rate at ``progress`` in [0, 1].

    Half a cosine up from 1/25, then half a cosine down to 0 (after Smith & Topin 2018).
    """
    if progress < warm_up:
        return 0.04 + 0.96 * (1 - math.cos(math.pi * progress / warm_up)) / 2
    return (1 + math.cos(math.pi * (progress - warm_up) / (1 - warm_up))) / 2


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


def fit(
    model: FactorVAE,
    dataset: FactorDataset,
    *,
    epochs: int,
    seed: int = 0,
    device: str | torch.device = "auto",
    label_fraction: float = 1.0,
    batch_size: int = 32,
    lr: float = 5e-3,
    mechanism_lr: float = 2e-2,
    validation: float = 0.1,
    accumulate: int = 1,
    mixed_precision: str = "no",
    checkpoint: str | Path | None = None,
    checkpoint_minutes: float = 10.0,
    resume: bool = False,
    progress: bool = True,
    on_epoch: Callable[[History], object] | None = None,
    stop: Callable[[], bool] | None = None,
) -> History:
    """Train ``model`` in place and leave it in its best state, in evaluation mode.

    Started in several processes (see docs/scaling.md), each of them calls this with the
    same arguments and the whole data set; losses and weights are those of one process up
    to rounding, whatever their number.

    Args:
        model: any `FactorVAE`; its units are set from the labelled training rows.
        dataset: pictures and labels, NaN where there is none. Only a batch of pictures is
            in memory at a time.
        epochs: passes over the training rows.
        seed: of the split, the order, and the noise (not of the model's initial weights:
            call ``torch.manual_seed`` before you build it).
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, …
        label_fraction: share of rows that keep their labels; the same rows for all models.
        batch_size: rows a step, over all processes together.
        lr, mechanism_lr: peak learning rates of the networks, and of flow and prior.
        validation: share of rows held out to choose the best epoch.
        accumulate: rounds in which each process takes its rows of a batch, for batches
            whose pictures do not fit into memory.
        mixed_precision: ``"no"``; ``"bf16"``: encoder and decoder compute in bfloat16, the
            flow, the densities and the weights stay in float32; ``"auto"``: bf16 where the
            GPU has it.
        checkpoint: a ``.safetensors`` file, written after every epoch, …
        checkpoint_minutes: … and within one when this many have passed since.
        resume: go on from ``checkpoint`` if it exists; number of processes, ``accumulate``
            and device may be others than before.
        progress: show a progress bar.
        on_epoch: called with the history so far after every epoch, for instance
            `caufvae_lite.notebook.live` to redraw its curves. Main process only.
        stop: asked after every step; once it says True in any process, the checkpoint is
            written and `TrainingStopped` raised in all of them.

    Returns:
        losses and seconds, epoch by epoch.

    Raises:
        ValueError: the data does not suit the model, ``checkpoint`` belongs to a run with
            other settings, or the processes differ in their settings.
        TypeError: the batch is to be shared out, and the model's ``loss`` takes no share.
        FloatingPointError: a gradient is no longer finite.
        TrainingStopped: because of ``stop``.

    A keyboard interrupt leaves the model in the best state so far, and is passed on.
    """
    if epochs < 1 or batch_size < 1:
        raise ValueError(f"epochs and batch_size must be 1 or more: {epochs}, {batch_size}.")
    if accumulate < 1:
        raise ValueError(f"accumulate must be 1 or more, got {accumulate}.")
    if not checkpoint_minutes >= 0:
        raise ValueError(f"checkpoint_minutes must be 0 or more, got {checkpoint_minutes}.")
    if len(dataset) < 2:
        raise ValueError(f"Training needs at least 2 rows, this data set has {len(dataset)}.")
    if not 0 < validation < 1:
        raise ValueError(f"validation must be a share between 0 and 1, got {validation}.")
    if tuple(dataset.images.shape[1:]) != model.image_shape:
        raise ValueError(
            f"The model is for images {model.image_shape}, the data set's are "
            f"{tuple(dataset.images.shape[1:])}; build the model with that image_shape."
        )
    processes = join(choose_device(device))
    precision = choose_precision(mixed_precision, processes.device)
    if processes.count * accumulate > 1 and not _takes_share(model):
        raise TypeError(
            f"{type(model).__name__}.loss takes no share=, so its batches cannot be shared "
            "out: give it that argument (see FactorVAE.loss), or train in one process with "
            "accumulate=1."
        )
    labels = dataset.factors.clone()
    labels[~labelled_rows(len(dataset), label_fraction, seed)] = torch.nan
    dataset = dataset.with_factors(labels)
    order = torch.randperm(len(dataset), generator=keyed_generator(seed, HELD_OUT))
    held_out, rows = order.split(
        [(h := max(1, round(validation * len(order)))), len(order) - h]
    )
    settings: dict[str, Any] = {
        "model": type(model).__name__, "config": model.config(), "rows": len(dataset),
        "epochs": epochs, "seed": seed, "label_fraction": label_fraction,
        "batch_size": batch_size, "lr": lr, "mechanism_lr": mechanism_lr,
        "validation": validation, "precision": str(precision),
    }  # fmt: skip
    if processes.count > 1:
        together = {"accumulate": accumulate, "checkpoint": str(checkpoint), "resume": resume}
        data = resuming.labels_digest(labels)
        processes.agree({**settings, **together, "labels": data})

    model.adopt_units(dataset, rows)
    if processes.count > 1:
        state = {k: v.cpu() for k, v in model.state_dict().items()}
        model.load_state_dict(processes.from_main(lambda: state))
    model.to(processes.device)
    optimizer = _optimizer(model, lr, mechanism_lr)
    so_far = Progress(History(device=str(processes)), copy.deepcopy(model.state_dict()))
    if checkpoint is not None:
        settings["data"] = processes.from_main(partial(_prepare, checkpoint, dataset))
        read = partial(_read_if_there, checkpoint, settings, resume)
        if (found := processes.from_main(read)) is not None:
            so_far = resuming.restore(*found, model, optimizer)
            so_far.history.device = str(processes)
    history, at = so_far.history, so_far.position
    written = time.perf_counter()

    def store() -> None:
        nonlocal written
        if checkpoint is not None:
            resuming.store(checkpoint, settings, model, optimizer, so_far)
        written = time.perf_counter()

    steps = -(-len(rows) // batch_size)
    bar = tqdm(
        total=epochs * steps, initial=len(history) * steps + at.step, unit="batch",
        disable=not (progress and processes.is_main), desc="fit",
    )  # fmt: skip
    model.precision = precision
    try:
        for epoch in range(len(history), epochs):
            started = time.perf_counter() - at.seconds
            model.train()
            sums = torch.zeros(len(TERMS), device=processes.device)
            generator = keyed_generator(seed, NOISE, epoch)
            if at.sums is not None and at.generator is not None:
                sums += at.sums.to(sums)
                generator.set_state(at.generator.cpu())
            shuffled = rows[
                torch.randperm(len(rows), generator=keyed_generator(seed, ORDER, epoch))
            ]
            for step, batch in enumerate(shuffled.split(batch_size)[at.step :], at.step):
                share = one_cycle((epoch * steps + step) / (epochs * steps))
                for group in optimizer.param_groups:
                    group["lr"] = group["peak"] * share
                optimizer.zero_grad(set_to_none=True)
                terms = _backward(model, dataset, batch, generator, processes, accumulate)
                asked = stop is not None and stop()
                if processes.count > 1:
                    asked = _add_up(model, terms, asked, processes)
                norm = nn.utils.clip_grad_norm_(model.parameters(), LARGEST_GRADIENT)
                if not torch.isfinite(norm):
                    raise FloatingPointError(
                        f"The gradient is no longer finite in epoch {epoch + 1}: lower lr "
                        "or mechanism_lr. The model is left in its best state so far."
                    )
                optimizer.step()
                sums += terms
                bar.update()
                now = time.perf_counter()
                if processes.is_main and (asked or now - written >= 60 * checkpoint_minutes):
                    noise = generator.get_state()
                    so_far.position = Position(step + 1, sums, noise, now - started)
                    store()
                if asked:
                    processes.from_main(lambda: None)  # nobody leaves before it is written
                    raise TrainingStopped(
                        f"Stopped after step {step + 1} of {steps} in epoch {epoch + 1} of "
                        f"{epochs}."
                    )
            history.train.append(dict(zip(TERMS, (sums / steps).tolist(), strict=True)))
            losses = _validate(model, dataset, held_out, seed, processes)
            if losses["total"] < history.best_loss:
                history.best_epoch, so_far.best = epoch, copy.deepcopy(model.state_dict())
            history.validation.append(losses)
            history.seconds.append(
                processes.from_main(lambda: time.perf_counter() - started)  # noqa: B023
            )
            so_far.position = at = Position()
            bar.set_postfix(
                loss=f"{history.train[-1]['total']:.1f}", held_out=f"{losses['total']:.1f}"
            )

            def conclude_epoch() -> None:
                store()
                if on_epoch is not None:
                    on_epoch(history)

            processes.from_main(conclude_epoch)
    finally:
        bar.close()
        model.precision = None
        model.load_state_dict(so_far.best)
        model.eval()
        model.conclude(dataset)
    return history


# ---------------------------------------------------------------------------- one step


def _backward(
    model: FactorVAE,
    dataset: FactorDataset,
    batch: Tensor,
    generator: torch.Generator,
    processes: Processes,
    accumulate: int,
) -> Tensor:
    """This process's part of the gradient, and of the terms ``(terms,)``, of one batch."""
    first = processes.index * accumulate
    parts = cut(len(batch), processes.count * accumulate, first, first + accumulate)
    labels, noise = dataset.factors[batch], generator.get_state()
    sums = None
    for part in parts:
        if part is not parts[0]:
            generator.set_state(noise)  # every part draws the noise of the whole batch
        rows = batch[part]
        share = {} if len(rows) == len(batch) else {"share": Share(part.start, labels)}
        terms = model(dataset.images[rows], labels[part], generator=generator, **share)
        terms["total"].backward()
        found = torch.stack([terms[t].detach() for t in TERMS])
        sums = found if sums is None else sums + found
    assert sums is not None  # there is at least one part
    return sums


def _add_up(model: FactorVAE, terms: Tensor, asked: bool, processes: Processes) -> bool:
    """Add up gradients and ``terms`` of all processes, in place; was any asked to stop?

    One sum for everything: with so few parameters, starting it takes longer than sending
    them, so buckets that overlap with the backward pass would gain nothing. A parameter
    without a gradient in all processes is left without one.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    flags = [float(p.grad is not None) for p in parameters] + [float(asked)]
    parts = [g.reshape(-1) for g in gradients] + [terms.new_tensor(flags), terms]
    everything = torch.cat(parts)
    processes.add(everything)
    *gradients, counts, sums = everything.split([len(part) for part in parts])
    *owners, askers = counts.tolist()
    for parameter, gradient, count in zip(parameters, gradients, owners, strict=True):
        if count > 0 and parameter.grad is None:
            parameter.grad = torch.empty_like(parameter)
        if parameter.grad is not None:
            parameter.grad.copy_(gradient.view_as(parameter))
    terms.copy_(sums)
    return askers > 0


def _optimizer(model: FactorVAE, lr: float, mechanism_lr: float) -> torch.optim.AdamW:
    own = {id(p) for p in model.mechanism_parameters()}
    groups = [
        {"params": [p for p in model.parameters() if (id(p) in own) == is_own], "peak": peak}
        for is_own, peak in ((False, lr), (True, mechanism_lr))
    ]
    return torch.optim.AdamW([g for g in groups if g["params"]], lr=lr, betas=BETAS, fused=True)


@torch.no_grad()
def _validate(
    model: FactorVAE, dataset: FactorDataset, rows: Tensor, seed: int, processes: Processes
) -> dict[str, float]:
    model.eval()
    generator = keyed_generator(seed, VALIDATION)  # the same noise after every epoch
    size = inference_batch(model.image_shape) if _takes_share(model) else INFERENCE_BATCH
    means = dict.fromkeys(TERMS, 0.0)
    for batch in rows.split(INFERENCE_BATCH):
        rounds = -(-len(batch) // (size * processes.count))
        first = processes.index * rounds
        labels, noise = dataset.factors[batch], generator.get_state()
        for part in cut(len(batch), processes.count * rounds, first, first + rounds):
            generator.set_state(noise)
            own = batch[part]
            share = {} if len(own) == len(batch) else {"share": Share(part.start, labels)}
            terms = model.loss(dataset.images[own], labels[part], generator, **share)
            for term in TERMS:
                means[term] += terms[term].item() * len(batch) / len(rows)
    if processes.count > 1:
        sums = torch.tensor(list(means.values()), dtype=torch.float64, device=processes.device)
        means = dict(zip(TERMS, processes.add(sums).tolist(), strict=True))
    return means


def _takes_share(model: FactorVAE) -> bool:
    return "share" in inspect.signature(model.loss).parameters


# ------------------------------------------------------------------------- checkpoints


def _prepare(checkpoint: str | Path, dataset: FactorDataset) -> str:
    """Tidy up behind a killed run, and say what the data are."""
    resuming.remove_partial(checkpoint)
    return resuming.digest(dataset)


def _read_if_there(
    checkpoint: str | Path, settings: dict[str, Any], resume: bool
) -> tuple[dict[str, Tensor], dict] | None:
    if resume and Path(checkpoint).is_file():
        return resuming.read(checkpoint, settings)
    return None
