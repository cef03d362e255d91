"""Saving and loading: safetensors with a JSON header, checked by sha256; never pickle."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from caufvae_lite.factor_vae import FactorVAE
from caufvae_lite.graph import CausalGraph

CONTRACT_VERSION = "1.0"
HEADER = "caufvae_lite"  # under this name our header is in the file's own


class CheckpointError(ValueError):
    """A file that is not a checkpoint of ours, or is no longer whole."""


def save(model: FactorVAE, path: str | Path, **notes: Any) -> Path:
    """Write a model with its configuration and units.

    ``path`` ends in ``.safetensors``, and is replaced atomically if it exists. The header keeps
    ``notes``: anything that JSON can hold, such as ``seed=0``.
    """
    header = {"model": type(model).__name__, "config": model.config(), "notes": notes}
    return write_tensors(path, model.state_dict(), header)


def load(path: str | Path, device: str | torch.device = "cpu") -> FactorVAE:
    """The model in ``path``, in evaluation mode.

    Raises:
        FileNotFoundError: no such file.
        CheckpointError: not a checkpoint of ours, truncated, altered, or from a newer
            contract than this package knows.
    """
    tensors, header = read_tensors(path)
    if "settings" in header:
        raise CheckpointError(
            f"{path} is the checkpoint of an unfinished training, not a model: go on with "
            "fit(…, checkpoint=path, resume=True), then save(model, …)."
        )
    name, config = header["model"], header["config"]
    if name not in FactorVAE.kinds:
        raise CheckpointError(
            f"{path} holds a {name!r}, which is none of {sorted(FactorVAE.kinds)}. If it is "
            "a class of your own, import it first."
        )
    model = FactorVAE.kinds[name](CausalGraph(**config.pop("graph")), **config)
    model.to(tensors["mean"].dtype).load_state_dict(tensors)
    return model.to(device).eval()


def load_pretrained(name: str, device: str | torch.device = "cpu") -> FactorVAE:
    """A model that ships with the package: ``"pendulum"``, ``"pendulum-noisy"``, …

    Raises:
        ValueError: no such name (the message lists what there is).
        CheckpointError: the file differs from the manifest's sha256.
    """
    path = data_folder() / "checkpoints" / f"{name}.safetensors"
    if not path.is_file():
        known = sorted(p.stem for p in path.parent.glob("*.safetensors"))
        raise ValueError(f"No pretrained model {name!r}; there are {known}.")
    manifest = json.loads((data_folder() / "manifest.json").read_text())
    expected = manifest.get(f"checkpoints/{path.name}")
    if expected != hashlib.sha256(path.read_bytes()).hexdigest():
        raise CheckpointError(
            f"{path.name} is not the file that manifest.json names: install the package again."
        )
    return load(path, device)


def data_folder() -> Path:
    """Where the shipped checkpoints and results are: in the wheel, or beside the code."""
    package = Path(__file__).resolve().parent
    for folder in (package / "_data", package.parent / "data"):
        if (folder / "manifest.json").is_file():
            return folder
    raise FileNotFoundError(
        "The package's data (checkpoints, results) was not found: install the wheel, or "
        "run from a clone that has its data/ folder."
    )


def write_tensors(path: str | Path, tensors: Mapping[str, Tensor], header: dict) -> Path:
    """Write tensors and a JSON header to one file, whole or not at all."""
    path = Path(path)
    if path.suffix != ".safetensors":
        raise ValueError(f"The file's name must end in .safetensors, got {path.name!r}.")
    kept = {k: t.detach().cpu().contiguous().clone() for k, t in tensors.items()}
    header = {**header, "contract": CONTRACT_VERSION}
    header["sha256"] = _digest(kept, header)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(to_bytes(kept, metadata={HEADER: json.dumps(header)}))
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def read_tensors(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the header of a file that `write_tensors` wrote, checked."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"No checkpoint at {path}.")
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})[HEADER])
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        digest = header.pop("sha256")
        contract = header["contract"]
    except (SafetensorError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise CheckpointError(
            f"{path} is not a whole caufvae_lite checkpoint ({error}). It may be "
            "truncated, or written by something else; save the model again."
        ) from error
    if digest != _digest(tensors, header):
        raise CheckpointError(
            f"{path} does not match the sha256 in its header: it was altered, or is damaged."
        )
    if contract.split(".")[0] != CONTRACT_VERSION.split(".")[0]:
        raise CheckpointError(
            f"{path} has contract {contract}, the package {CONTRACT_VERSION}."
        )
    return tensors, header


def _digest(tensors: Mapping[str, Tensor], header: dict) -> str:
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
