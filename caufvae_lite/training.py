"""Training: `fit` turns a model and a data set into a trained model and a `History`.

Everything random is keyed by ``(seed, purpose, epoch)``, and the learning rate is a function
of the step alone. So the same seed gives the same weights.

`fit` and `Run` say *what* is done: the order of the rows, the schedule, which state is kept. A
`Worker` says *how* one batch is worked off. The one here does it in this process; the one in
the room `scaling` shares batches out among processes, and can be stopped and resumed.
"""

import copy
import inspect
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from caufvae_lite.answers import inference_batch
from caufvae_lite.data import FactorDataset, held_out_rows, labelled_rows
from caufvae_lite.factor_vae import TERMS, FactorVAE
from caufvae_lite.history import History
from caufvae_lite.networks import choose_device
from caufvae_lite.posterior import ENOUGH
from caufvae_lite.randomness import keyed_generator, normal

ORDER, NOISE, VALIDATION, LABELLED = range(2, 6)  # what random draws are keyed by
BETAS = (0.9, 0.99)
LARGEST_GRADIENT = 1000.0  # its norm, in nats an image; 64 × 64 pixels reach it in mid-training


@dataclass(frozen=True)
class Settings:
    """What a run's result depends on, beside model and data.

    The model's first weights are not among it: call ``torch.manual_seed`` before you build it.
    """

    epochs: int  # passes over the training rows
    seed: int = 0  # of the split, the order and the noise
    label_fraction: float = 1.0  # share of rows that keep their labels
    batch_size: int = 32  # rows a step
    lr: float = 5e-3  # peak learning rate of the networks
    mechanism_lr: float = 2e-2  # and of flow and prior
    validation: float = 0.1  # share of rows held out to choose the best epoch
    labelled: int = 0  # labelled rows in every batch: where labels are few, some come again

    def __post_init__(self) -> None:
        if min(self.epochs, self.batch_size) < 1:
            raise ValueError(f"epochs and batch_size must be 1 or more, got {self}.")
        if self.labelled < 0:
            raise ValueError(f"labelled must be 0 or more, got {self}.")
        if not 0 < self.validation < 1:
            raise ValueError(f"validation must be a share between 0 and 1, got {self}.")


def fit(
    model: FactorVAE,
    dataset: FactorDataset,
    *,
    epochs: int,
    seed: int = 0,
    device: str | torch.device = "auto",
    label_fraction: float = 1.0,
    progress: bool = True,
    on_epoch: Callable[[History], object] | None = None,
    calibrate: bool = True,
    **options: Any,
) -> History:
    """Train ``model`` in place and leave it in its best state, in evaluation mode.

    Args:
        model: any `FactorVAE`; its units are set from the labelled training rows.
        dataset: pictures and labels, NaN where there is none. Only a batch of pictures is in
            memory at a time.
        epochs, seed, label_fraction: see `Settings`. The same seed and fraction keep the
            labels of the same rows, whatever the model.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, …
        progress: show a progress bar.
        on_epoch: called with the history so far after every epoch (`notebook.live` draws it).
        calibrate: let the held-out rows set the spread of the model's draws afterwards, where
            enough of them have labels (see `CauFVAE.calibrate`; about three seconds).
        options: the other `Settings`, and those of the worker. That is `scaling.Team`, with
            ``checkpoint=``, ``resume=``, ``accumulate=``, ``mixed_precision=``, ``stop=``.

    Raises:
        ValueError: the data does not suit the model, or a setting makes no sense.
        TypeError: an option that nobody knows, or a model that overrides `loss`.
        FloatingPointError: a gradient is no longer finite.

    A keyboard interrupt leaves the model in the best state so far, and is passed on.
    """
    settings = Settings(epochs, seed, label_fraction, **_taken_from(options))
    worker = WORKER(choose_device(device), **options)
    run = Run(model, dataset, settings, worker.device)
    worker.begin(run)
    try:
        with worker.progress_bar(run, progress) as bar:
            for epoch in range(len(run.history), epochs):
                for batch, draws in run.batches(epoch):
                    run.optimizer.zero_grad(set_to_none=True)
                    terms = worker.backward(run, batch, draws)
                    run.descend(terms)
                    bar.update()
                    worker.after_step(run)
                run.end_epoch(*worker.validate(run))
                bar.set_postfix(loss=f"{run.history.train[-1]['total']:.1f}")
                worker.after_epoch(run, on_epoch)
    finally:
        worker.end(run)
        model.load_state_dict(run.best)
        model.eval()
        model.conclude(run.dataset)
    if calibrate:
        run.calibrate()
    return run.history


class Run:
    """One training run: what is trained, on what, and how far it is.

    It learns from ``rows``; ``held_out`` ones choose the best epoch, whose state is ``best``.
    Within an epoch it stands at ``step`` of ``steps``: ``sums`` are those of the terms so far,
    ``generator`` is the state of the noise, and ``started`` is when the epoch began.
    """

    def __init__(
        self, model: FactorVAE, dataset: FactorDataset, settings: Settings, device: torch.device
    ):
        _check(model, dataset)
        model.calibration = None
        self.model, self.settings = model, settings
        seed, n = settings.seed, len(dataset)
        labels = dataset.factors.clone()
        labels[~labelled_rows(n, settings.label_fraction, seed)] = torch.nan
        self.dataset = dataset.with_factors(labels)
        self.held_out, self.rows = held_out_rows(n, settings.validation, seed)
        self.steps = math.ceil(len(self.rows) / settings.batch_size)
        model.adopt_units(self.dataset, self.rows)
        model.to(device)
        self.optimizer = _optimizer(model, settings)
        self.best = copy.deepcopy(model.state_dict())
        self.history = History(device=str(device))
        self.step, self.sums = 0, torch.zeros(len(TERMS), device=device)
        self.generator, self.started = torch.Generator(), time.perf_counter()

    def calibrate(self) -> None:
        """Calibrate the trained model by the held-out rows, if enough of them have labels."""
        labelled = ~torch.isnan(self.dataset.factors[self.held_out]).any(-1)
        if labelled.sum() >= ENOUGH:
            self.model.calibrate(self.dataset, self.held_out, self.settings.seed)

    def batches(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Rows ``(b,)`` and draws ``(b, latent_dims)`` of the epoch's batches still to come."""
        seed, size = self.settings.seed, self.settings.batch_size
        if self.step == 0:
            self.sums.zero_()
            self.generator = keyed_generator(seed, NOISE, epoch)
            self.started = time.perf_counter()
        self.model.train()
        order = torch.randperm(len(self.rows), generator=keyed_generator(seed, ORDER, epoch))
        again = self._labelled_again(epoch)
        for own in self.rows[order].split(size)[self.step :]:
            batch = torch.cat([own, again[self.step]])
            done = (epoch * self.steps + self.step) / (self.settings.epochs * self.steps)
            for group in self.optimizer.param_groups:
                group["lr"] = group["peak"] * one_cycle(done)
            shape = len(batch), self.model.latent_dims
            yield batch, normal(*shape, seed=self.generator, like=self.model.mean)

    def _labelled_again(self, epoch: int) -> Tensor:
        """Labelled rows ``(steps, k)`` for the epoch's batches, which have too few of them."""
        known = self.rows[~torch.isnan(self.dataset.factors[self.rows]).all(-1)]
        expected = self.settings.batch_size * len(known) / len(self.rows)
        k = max(0, round(self.settings.labelled - expected)) if len(known) else 0
        generator = keyed_generator(self.settings.seed, LABELLED, epoch)
        return known[torch.randint(max(1, len(known)), (self.steps, k), generator=generator)]

    def descend(self, terms: Tensor) -> None:
        """One step of the optimizer along the gradients that are there."""
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), LARGEST_GRADIENT)
        if not torch.isfinite(norm):
            raise FloatingPointError(
                f"The gradient is no longer finite in epoch {len(self.history) + 1}: lower lr "
                "or mechanism_lr. The model is left in its best state so far."
            )
        self.optimizer.step()
        self.sums += terms
        self.step += 1

    def end_epoch(self, losses: dict[str, float], seconds: float) -> None:
        """Note an epoch's losses, and keep the model's state if it is the best so far."""
        means = (self.sums / self.steps).tolist()
        self.history.train.append(dict(zip(TERMS, means, strict=True)))
        if losses["total"] < self.history.best_loss:
            self.history.best_epoch = len(self.history) - 1
            self.best = copy.deepcopy(self.model.state_dict())
        self.history.validation.append(losses)
        self.history.seconds.append(seconds)
        self.step = 0


class Worker:
    """Works off a run's batches: here in this process, from the first step to the last."""

    def __init__(self, device: torch.device):
        self.device = device

    def begin(self, run: Run) -> None:
        """Called once, before the first step."""

    def progress_bar(self, run: Run, show: bool) -> tqdm:
        """Counts batches, from where the run stands."""
        total = run.settings.epochs * run.steps
        done = len(run.history) * run.steps + run.step
        return tqdm(total=total, initial=done, unit="batch", disable=not show, desc="fit")

    def backward(self, run: Run, batch: Tensor, draws: Tensor) -> Tensor:
        """Add the batch's gradient to the parameters'; the values ``(5,)`` of `TERMS`."""
        factors = run.dataset.factors[batch]
        rows = run.model.row_terms(run.dataset.images[batch], factors, draws)
        terms = run.model.average(rows, run.model.rows_with(factors))
        terms["total"].backward()
        return torch.stack([terms[name].detach() for name in TERMS])

    @torch.no_grad()
    def validate(self, run: Run) -> tuple[dict[str, float], float]:
        """Mean losses of the held-out rows, with the same noise after every epoch; seconds."""
        run.model.eval()
        generator = keyed_generator(run.settings.seed, VALIDATION)
        means = dict.fromkeys(TERMS, 0.0)
        for batch in run.held_out.split(inference_batch(run.model.image_shape)):
            images, factors = run.dataset.images[batch], run.dataset.factors[batch]
            for term, value in run.model.loss(images, factors, generator).items():
                means[term] += value.item() * len(batch) / len(run.held_out)
        return means, time.perf_counter() - run.started

    def after_step(self, run: Run) -> None:
        """Called after every step."""

    def after_epoch(self, run: Run, on_epoch: Callable[[History], object] | None) -> None:
        """Called after every epoch."""
        if on_epoch is not None:
            on_epoch(run.history)

    def end(self, run: Run) -> None:
        """Called when the run is over, however it ended."""


WORKER: type[Worker] = Worker  # of `fit`; the package's __init__ puts `scaling.Team` here


def _taken_from(options: dict[str, Any]) -> dict[str, Any]:
    """The `Settings` among the options of `fit`; those of the worker are left there."""
    own = {field.name for field in fields(Settings)}
    known = own | (inspect.signature(WORKER).parameters.keys() - {"device"})
    if unknown := sorted(options.keys() - known):
        raise TypeError(f"fit() has no option {', '.join(unknown)}; it has {sorted(known)}.")
    return {name: options.pop(name) for name in own & options.keys()}


def one_cycle(progress: float, warm_up: float = 0.25) -> float:
    """Share of the peak learning rate at ``progress`` in [0, 1].

    Half a cosine up from 1/25, then half a cosine down to 0 (after Smith & Topin 2018).
    """
    if progress < warm_up:
        return 0.04 + 0.96 * (1 - math.cos(math.pi * progress / warm_up)) / 2
    return (1 + math.cos(math.pi * (progress - warm_up) / (1 - warm_up))) / 2


def _optimizer(model: FactorVAE, settings: Settings) -> torch.optim.AdamW:
    mechanisms = {id(p) for p in model.mechanism_parameters()}
    networks = [p for p in model.parameters() if id(p) not in mechanisms]
    others = [p for p in model.parameters() if id(p) in mechanisms]
    groups = [{"params": networks, "peak": settings.lr}]
    if others:
        groups.append({"params": others, "peak": settings.mechanism_lr})
    return torch.optim.AdamW(groups, lr=settings.lr, betas=BETAS, fused=True)


def _check(model: FactorVAE, dataset: FactorDataset) -> None:
    if len(dataset) < 2:
        raise ValueError(f"Training needs at least 2 rows, this data set has {len(dataset)}.")
    if tuple(dataset.images.shape[1:]) != model.image_shape:
        raise ValueError(
            f"The model is for images {model.image_shape}, the data set's are "
            f"{tuple(dataset.images.shape[1:])}; build the model with that image_shape."
        )
    if type(model).loss is not FactorVAE.loss:
        name = type(model).__name__
        raise TypeError(f"{name} overrides loss(); override row_terms(), by which fit trains.")
