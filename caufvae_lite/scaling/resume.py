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
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from caufvae_lite.checkpoints import read_tensors, write_tensors
from caufvae_lite.data import FactorDataset
from caufvae_lite.history import History
from caufvae_lite.training import Run

FORMAT = 2  # of what is below; raised when an older run could not go on
HASHED_AT_A_TIME = 2**24  # bytes of pictures


def data_sha256(dataset: FactorDataset) -> str:
    """sha256 of pictures and labels, so that no run is resumed on other data.

    Reads every picture once, a part at a time: about two seconds for each gigabyte.
    """
    found = hashlib.sha256(f"{tuple(dataset.images.shape)}".encode())
    rows = max(1, HASHED_AT_A_TIME // max(1, dataset.images[:1].numel()))
    for part in dataset.images.split(rows):
        found.update(part.contiguous().numpy().data)
    found.update(labels_sha256(dataset.factors).encode())
    return found.hexdigest()


def labels_sha256(labels: Tensor) -> str:
    """sha256 of labels alone, quick enough to compare processes by."""
    return hashlib.sha256(labels.contiguous().numpy().data).hexdigest()


def store(path: str | Path, settings: Mapping[str, Any], run: Run) -> None:
    """Write the checkpoint, whole or not at all."""
    tensors = {f"model/{k}": v for k, v in run.model.state_dict().items()}
    tensors |= {f"best/{k}": v for k, v in run.best.items()}
    for i, state in run.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{i}/{k}": v for k, v in state.items()}
    if run.step > 0:
        tensors |= {"epoch/sums": run.sums, "epoch/generator": run.generator.get_state()}
    header = {
        "settings": settings,
        "format": FORMAT,
        "history": run.history.to_json(),
        "step": run.step,
        "seconds": time.perf_counter() - run.started if run.step > 0 else 0.0,
    }
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


def restore(tensors: Mapping[str, Tensor], header: Mapping[str, Any], run: Run) -> None:
    """Put `read`'s tensors back where `store` took them from."""

    def part(prefix: str) -> dict[str, Tensor]:
        return {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}

    run.model.load_state_dict(part("model/"))
    run.best = part("best/")
    parameters = [p for group in run.optimizer.param_groups for p in group["params"]]
    moments: dict[int, dict[str, Tensor]] = {}
    for key, value in part("optimizer/").items():
        i, name = key.split("/")
        if value.ndim:  # in the parameter's memory format, which fused AdamW relies on
            value = torch.empty_like(parameters[int(i)]).copy_(value)
        moments.setdefault(int(i), {})[name] = value
    groups = run.optimizer.state_dict()["param_groups"]
    run.optimizer.load_state_dict({"state": moments, "param_groups": groups})
    run.history = History.from_json(header["history"])
    run.step, run.started = header["step"], time.perf_counter() - header["seconds"]
    if run.step > 0:
        run.sums.copy_(tensors["epoch/sums"])
        run.generator.set_state(tensors["epoch/generator"])


def prepare(path: Path, dataset: FactorDataset) -> str:
    """Before this process writes ``path``: remove what a killed one left; the data's sha256."""
    for file in path.parent.iterdir() if path.parent.is_dir() else ():
        if file.name.startswith(f"{path.name}.") and file.name.endswith(".partial"):
            file.unlink(missing_ok=True)
    return data_sha256(dataset)
