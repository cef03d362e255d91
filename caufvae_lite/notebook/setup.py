"""The first call of a notebook: its seed, its style, its device, and tested versions."""

from __future__ import annotations

import os
import platform
import re
import warnings
from importlib import metadata

import numpy as np
import torch
from matplotlib import style

from caufvae_lite import __version__
from caufvae_lite.networks import choose_device
from caufvae_lite.notebook.waiting import keep_company

STYLE = "caufvae_lite.style"  # the file style.mplstyle in the package's folder
TESTED = {  # versions from the first up to, not including, the second
    "Python": ("3.11", "3.14"),
    "torch": ("2.11", "2.14"),
    "numpy": ("2.0", "3.0"),
    "matplotlib": ("3.10", "4.0"),
    "ipywidgets": ("7.7", "9.0"),
}


def setup(seed: int | None = None, device: str | None = None) -> torch.device:
    """Set seed and style, choose the device, print them, and warn of untested versions.

    Later cells then say that they still work where they are silent for long, unless the
    environment has ``CAUFVAE_SLIDERS=0``.

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
    if os.environ.get("CAUFVAE_SLIDERS") != "0":
        keep_company()
    print(
        f"caufvae_lite {__version__} · Python {platform.python_version()} · "
        f"torch {torch.__version__} · device {chosen} · seed {seed}"
    )
    for name, (first, end) in TESTED.items():
        version = platform.python_version() if name == "Python" else metadata.version(name)
        if not _major_minor(first) <= _major_minor(version) < _major_minor(end):
            warnings.warn(
                f"{name} {version} is outside the tested range, {first} up to {end}: numbers "
                "may differ. constraints/ci.txt has versions that work.",
                stacklevel=2,
            )
    return chosen


def _major_minor(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)[:2]]
