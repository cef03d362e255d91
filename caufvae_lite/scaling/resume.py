"""The checkpoint of an unfinished training: all that the rest of the run depends on.

Weights, optimizer, best weights and history; within an epoch also the step, the sums of the
losses so far and the state of the noise. The order of the rows is keyed, and the learning rate
a function of the step. So a run that goes on from here ends with the same weights, bit for bit,
as if it had never stopped. The number of processes and rounds is not part of it.
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

from caufvae_lite.checkpoints import read_tensors
from caufvae_lite.data import FactorDataset
from caufvae_lite.history import History
from caufvae_lite.scaling.processes import differing
from caufvae_lite.training import Run

FORMAT = 2  # of what is below; raised when an older run could not go on


def data_sha256(dataset: FactorDataset) -> str:
    """sha256 of pictures and labels, so that no run is resumed on other data.

    Reads every picture once, a part at a time: about two seconds for each gigabyte.
    """
    found = hashlib.sha256(f"{tuple(dataset.images.shape)}".encode())
    for part in dataset.images.split(256):
        found.update(part.contiguous().numpy().data)
    found.update(labels_sha256(dataset).encode())
    return found.hexdigest()


def labels_sha256(dataset: FactorDataset) -> str:
    """sha256 of labels alone, quick enough to compare processes by."""
    return hashlib.sha256(dataset.factors.contiguous().numpy().data).hexdigest()


def capture(run: Run, settings: Mapping[str, Any]) -> tuple[dict[str, Tensor], dict]:
    """The tensors and the header of a checkpoint of this run."""
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
    return {k: v.cpu() for k, v in tensors.items()}, header


def read(path: Path, settings: Mapping[str, Any]) -> tuple[dict[str, Tensor], dict]:
    """What `capture` found in an earlier run, which must have had the same ``settings``."""
    tensors, header = read_tensors(path)
    if header.get("format") != FORMAT:
        raise ValueError(
            f"{path} holds a finished model, or the run of another version of this package "
            f"(its checkpoint format is not {FORMAT}). Give the checkpoint another name."
        )
    if names := differing(header["settings"], json.loads(json.dumps(settings))):
        raise ValueError(
            f"{path} belongs to a run with other settings ({names}); use the same ones, "
            "another file, or resume=False."
        )
    return tensors, header


def restore(run: Run, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
    """Put what `capture` found back where it was."""

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
