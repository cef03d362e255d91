"""The first call of a notebook: its seed, its style, its device, and tested versions."""

from __future__ import annotations

import os
import platform
import re
import warnings
from collections.abc import Mapping
from importlib import metadata

import numpy as np
import torch
from matplotlib import style

from caufvae_lite import __version__
from caufvae_lite.networks import choose_device

__all__ = ["STYLE", "TESTED", "setup", "untested"]

STYLE = "caufvae_lite.style"  # the file style.mplstyle in the package's folder

# The notebooks were run with versions from the first up to, not including, the second.
TESTED = {
    "Python": ("3.11", "3.14"),
    "torch": ("2.11", "2.14"),
    "numpy": ("2.0", "3.0"),
    "matplotlib": ("3.10", "4.0"),
    "ipywidgets": ("7.7", "9.0"),
}


def setup(seed: int | None = None, device: str | None = None) -> torch.device:
    """Set seed and style, choose the device, and print one line that says so.

    Warns of versions outside the range that the notebooks were tested with.

    Args:
        seed: for PyTorch and NumPy; the environment's ``SEED``, or 0, where left out.
        device: ``"auto"``, ``"cpu"`` or ``"cuda"``; where left out the environment's
            ``DEVICE``, or ``"auto"``.
    """
    seed = int(os.environ.get("SEED", 0)) if seed is None else seed
    chosen = choose_device(device or os.environ.get("DEVICE", "auto"))
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - for libraries that draw from the global state
    style.use(STYLE)
    print(
        f"caufvae_lite {__version__} · Python {platform.python_version()} · "
        f"torch {torch.__version__} · device {chosen} · seed {seed}"
    )
    installed = {name: metadata.version(name) for name in TESTED if name != "Python"}
    for line in untested({"Python": platform.python_version()} | installed):
        warnings.warn(line, stacklevel=2)
    return chosen


def untested(versions: Mapping[str, str]) -> list[str]:
    """A sentence for each of ``versions`` that lies outside the tested range."""

    def key(version: str) -> list[int]:  # major and minor, to compare
        return [int(part) for part in re.findall(r"\d+", version)[:2]]

    return [
        f"{name} {versions[name]} is outside the tested range, {first} up to {end}: "
        "numbers may differ. constraints/ci.txt has versions that work."
        for name, (first, end) in TESTED.items()
        if name in versions and not key(first) <= key(versions[name]) < key(end)
    ]
