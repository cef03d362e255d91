"""The checkpoint of an unfinished training: all that the rest of the run depends on.

Weights, optimizer, best weights and history; within an epoch also the step, the sums of the
losses so far and the state of the noise. The order of the rows is keyed, and the learning
rate a function of the step. So a run that goes on from here ends with the same weights, bit
for bit, as if it had never stopped. How many processes work, and in how many rounds, is not
part of it, since the result does not depend on that.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from caufvae_lite.checkpoints import read_tensors, write_tensors
from caufvae_lite.data import FactorDataset
from caufvae_lite.history import History

FORMAT = 2  # of what is below; raised when an older run could not go on
CHUNK = 2**24  # bytes of pictures hashed at a time


@dataclass
class Position:
    """Where a run stands: ``step`` steps into the epoch after those in its history.

    Attributes:
        sums: ``(terms,)`` of this epoch's losses so far, None before its first step.
        generator: the state of this epoch's noise, None before its first step.
        seconds: spent on this epoch so far.
    """

    step: int = 0
    sums: Tensor | None = None
    generator: Tensor | None = None
    seconds: float = 0.0


@dataclass
class Progress:
    """A run so far: finished epochs, the best weights, and the position in the next one."""

    history: History
    best: Mapping[str, Tensor]
    position: Position = field(default_factory=Position)


def digest(dataset: FactorDataset) -> str:
    """sha256 of pictures and labels, so that no run is resumed on other data.

    Reads every picture once, a part at a time: about two seconds for each gigabyte.
    """
    found = hashlib.sha256(f"{tuple(dataset.images.shape)}".encode())
    rows = max(1, CHUNK // max(1, dataset.images[:1].numel()))
    for part in dataset.images.split(rows):
        found.update(part.contiguous().numpy().data)
    found.update(labels_digest(dataset.factors).encode())
    return found.hexdigest()


def labels_digest(labels: Tensor) -> str:
    """sha256 of labels alone, quick enough to compare processes by."""
    return hashlib.sha256(labels.contiguous().numpy().data).hexdigest()


def store(
    path: str | Path,
    settings: Mapping[str, Any],
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    so_far: Progress,
) -> None:
    """Write the checkpoint, whole or not at all."""
    tensors = {f"model/{k}": v for k, v in model.state_dict().items()}
    tensors |= {f"best/{k}": v for k, v in so_far.best.items()}
    for i, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{i}/{k}": v for k, v in state.items()}
    at = so_far.position
    if at.sums is not None and at.generator is not None:
        tensors |= {"epoch/sums": at.sums, "epoch/generator": at.generator}
    header = {
        "settings": settings, "format": FORMAT, "history": so_far.history.to_json(),
        "step": at.step, "seconds": at.seconds,
    }  # fmt: skip
    write_tensors(path, tensors, header)


def read(path: str | Path, settings: Mapping[str, Any]) -> tuple[dict[str, Tensor], dict]:
    """The tensors and the header of a checkpoint of a run with these ``settings``.

    Raises:
        ValueError: it is of another run, of another version, or no checkpoint of a run.
        CheckpointError: it is no longer whole.
    """
    tensors, header = read_tensors(path)
    stored = header.get("settings")
    if stored is None:
        raise ValueError(
            f"{path} holds a finished model and not a run to go on with; give the "
            "checkpoint another name than the model."
        )
    if header.get("format") != FORMAT:
        raise ValueError(
            f"{path} was written by another version of this package (checkpoint format "
            f"{header.get('format', 1)}, not {FORMAT}). Finish the run with that version, "
            "or start anew with resume=False."
        )
    wanted = json.loads(json.dumps(settings))
    if stored != wanted:
        differing = sorted(
            k for k in {*wanted, *stored} if stored.get(k, ...) != wanted.get(k, ...)
        )
        raise ValueError(
            f"{path} belongs to a run with other settings ({', '.join(differing)}); "
            "use the same ones, another file, or resume=False."
        )
    return tensors, header


def restore(
    tensors: Mapping[str, Tensor],
    header: Mapping[str, Any],
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
) -> Progress:
    """Put `read`'s tensors back where `store` took them from."""

    def part(prefix: str) -> dict[str, Tensor]:
        return {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}

    model.load_state_dict(part("model/"))
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    moments: dict[int, dict[str, Tensor]] = {}
    for key, value in part("optimizer/").items():
        i, name = key.split("/")
        if value.ndim:  # in the parameter's memory format, which fused AdamW relies on
            value = torch.empty_like(parameters[int(i)]).copy_(value)
        moments.setdefault(int(i), {})[name] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": moments, "param_groups": groups})
    position = Position(
        header["step"],
        tensors.get("epoch/sums"),
        tensors.get("epoch/generator"),
        header["seconds"],
    )
    return Progress(History.from_json(header["history"]), part("best/"), position)


def remove_partial(path: str | Path) -> None:
    """Remove what a writer of ``path`` left behind when it was killed while writing.

    Only for the one process that writes ``path``, before it does.
    """
    path = Path(path)
    for file in path.parent.iterdir() if path.parent.is_dir() else ():
        if file.name.startswith(f"{path.name}.") and file.name.endswith(".partial"):
            file.unlink(missing_ok=True)
