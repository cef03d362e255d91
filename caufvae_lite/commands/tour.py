"""The tour: notebooks 03 and 05 from scratch, and the table they end in."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from caufvae_lite.scaling.processes import choose_device

NOTEBOOKS = ("03_vae_training", "05_interventions")


def run_tour(seed: int, device: str, out: Path) -> int:
    """Train on pendulum pictures, then check interventions against the truth.

    Executes the notebooks with papermill into ``out``, beside ``counterfactuals.png`` and
    ``metrics.json``, and prints the table. Returns the process's exit status.
    """
    try:
        choose_device(device)
    except RuntimeError as error:
        print(f"make tour: {error}", file=sys.stderr)
        return 2
    try:
        import papermill
    except ImportError:
        print(
            "make tour: papermill is missing; pip install 'caufvae-lite[notebooks]'",
            file=sys.stderr,
        )
        return 2
    folder = Path(__file__).resolve().parent.parent / "notebooks"
    if not folder.is_dir():
        print("make tour: no notebooks/ here; run it from a clone.", file=sys.stderr)
        return 2
    out = out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    os.environ |= {"SEED": str(seed), "DEVICE": device, "CAUFVAE_SLIDERS": "0"}
    started = time.perf_counter()
    for name in NOTEBOOKS:
        print(f"\n{name}: training and measuring, cell by cell", flush=True)
        papermill.execute_notebook(
            folder / f"{name}.ipynb",
            out / f"{name}.ipynb",
            parameters={"out": str(out)},
            progress_bar=True,
            log_output=False,
            cwd=folder,
        )
    metrics = json.loads((out / "training.json").read_text())
    metrics |= json.loads((out / "metrics.json").read_text())
    (out / "metrics.json").write_text(json.dumps(metrics, indent=2))
    print(f"\nDone in {time.perf_counter() - started:.0f} s. On held-out pictures:\n")
    for name, value in metrics.items():
        print(f"  {name:<58} {value:8.4f}")
    print(
        f"\nLook at  {_shown(out / 'counterfactuals.png')}\n"
        f"Read     {_shown(out / '03_vae_training.ipynb')} and 05_interventions.ipynb\n"
        f"Numbers  {_shown(out / 'metrics.json')}"
    )
    return 0


def _shown(path: Path) -> str:
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
