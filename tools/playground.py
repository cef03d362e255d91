"""Export what the page without a kernel computes with: ``python tools/playground.py [FOLDER]``.

The folder (``build/playground`` if none is named) gets

* ``model-NAME.js`` for each shipped model: its flow in single precision, its decoder in half
  precision, and a handful of scenes with the noise that the encoder reads off their pictures;
* ``strip-NAME.png``, what the page shows without JavaScript, drawn by the model itself;
* the page's own scripts and style, and ``playground.html``, all of it in a single file that
  works from a disk.
"""

from __future__ import annotations

import base64
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image

import caufvae_lite as cl
from caufvae_lite.notebook import page
from caufvae_lite.notebook.page import SCRIPTS, SWEPT
from caufvae_lite.studies import core

ROOT = Path(__file__).resolve().parent.parent
LARGEST = 2_000_000  # bytes, of one model's file
STEPS = 6  # of the strip


def strip(name: str, scene: dict[str, Any]) -> Image.Image:
    """Pictures of a sweep over one factor: the model's answers above, the truth below."""
    model, world = cl.load_pretrained(name), core.world_of(name)
    factors = torch.tensor([scene["factors"]])
    seen = world.render(factors).repeat(STEPS, 1, 1, 1)
    low, high = world.ranges[SWEPT[name]]
    do = {SWEPT[name]: torch.linspace(low, high, STEPS)}
    imagined = model.counterfactual(seen, do).images
    truth = world.render(world.counterfactual(factors.repeat(STEPS, 1), do))
    rows = [torch.cat(list(row), 2) for row in (imagined, truth)]
    pixels = (torch.cat(rows, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    return Image.fromarray(pixels).quantize(64)


def single_page(folder: Path) -> str:
    """The page with scripts, style, models and strips inside it."""
    still = "strip-pendulum-noisy.png"
    picture = base64.b64encode((folder / still).read_bytes()).decode("ascii")
    models = [(folder / f"model-{name}.js").read_text() for name in core.SHIPPED]
    place = page.widget("").replace(still, f"data:image/png;base64,{picture}")
    return page.single_page(models, place)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the folder; a model's file above `LARGEST` bytes is an error."""
    named = list(sys.argv[1:] if arguments is None else arguments)
    folder = Path(named[0]) if named else ROOT / "build" / "playground"
    folder.mkdir(parents=True, exist_ok=True)
    for name in core.SHIPPED:
        data = page.exported(name)
        path = folder / f"model-{name}.js"
        path.write_text(page.script_of(data))
        strip(name, data["scenes"][0]).save(folder / f"strip-{name}.png", optimize=True)
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB")
        if path.stat().st_size > LARGEST:
            raise SystemExit(f"{path} has more than {LARGEST} bytes.")
    for script in (*SCRIPTS, "playground.css"):
        shutil.copyfile(page.source() / script, folder / script)
    one = folder / "playground.html"
    one.write_text(single_page(folder))
    print(f"{one}: {one.stat().st_size / 1000:.0f} kB, works from a disk")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
