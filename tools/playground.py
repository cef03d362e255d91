"""Export what the page without a kernel computes with: ``python tools/playground.py [FOLDER]``.

The folder (``build/playground`` if none is named) gets

* ``model-NAME.js`` for each shipped model: its flow in single precision, its decoder in half
  precision, and a handful of scenes with the noise that the encoder reads off their pictures;
* ``strip-NAME.png``, what the page shows without JavaScript, drawn by the model itself;
* the page's own scripts and style, and ``playground.html``, all of it in a single file that
  works from a disk.

The encoder does not run in the page: a scene's abducted noise is computed here.
"""

from __future__ import annotations

import base64
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

import caufvae_lite as cl
from caufvae_lite.studies import core

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "docs" / "playground"
SCRIPTS = ("model.js", "worlds.js", "questions.js", "playground.js")
LARGEST = 2_000_000  # bytes, of one model's file
SINGLE = ("decoder.head.0.weight",)  # a step here moves edges; the other weights may be rounded
SCENES, CANDIDATES, SEED = 4, 400, 11
SWEPT = {"pendulum": "light_angle", "pendulum-noisy": "light_angle", "water": "hole_height"}
STEPS = 6  # of the strip


def encoded(array: np.ndarray, half: bool) -> dict[str, Any]:
    """An array as base64 of its little-endian numbers."""
    kind = "f16" if half else "f32"
    data = np.ascontiguousarray(array, "<f2" if half else "<f4").tobytes()
    text = base64.b64encode(data).decode("ascii")
    return {"shape": list(array.shape), "type": kind, "data": text}


def arrays_of(model: cl.CauFVAE) -> dict[str, Any]:
    """The flow's and the decoder's weights by their names in the checkpoint."""
    found = {}
    for name, tensor in model.state_dict().items():
        if name.startswith(("flow.", "decoder.")):
            half = name.startswith("decoder.") and name not in SINGLE
            found[name] = encoded(tensor.numpy(), half and name.endswith("weight"))
    return found


def scenes_of(name: str, model: cl.CauFVAE) -> list[dict[str, Any]]:
    """Lawful scenes, far from each other, with the noise abducted from their pictures."""
    world = core.world_of(name)
    drawn = world.sample(CANDIDATES, seed=SEED)
    rows = torch.nonzero(world.in_frame(drawn.factors) & inside(world, drawn.factors)).flatten()
    chosen = [int(rows[0])]
    scaled = drawn.factors / drawn.factors.std(0)
    while len(chosen) < SCENES:
        away = torch.cdist(scaled[rows], scaled[chosen]).min(1).values
        chosen.append(int(rows[away.argmax()]))
    noise = model.encode(drawn.images[chosen]).mean
    return [
        {"factors": factors, "noise": own}
        for factors, own in zip(rounded(drawn.factors[chosen]), rounded(noise), strict=True)
    ]


def inside(world: Any, factors: Tensor) -> Tensor:
    """``(n,)``: is every factor in the middle four fifths of its usual range?"""
    low, high = torch.tensor([world.ranges[n] for n in world.graph.nodes]).T
    share = (factors - low) / (high - low)
    return ((share > 0.1) & (share < 0.9)).all(1)


def rounded(values: Tensor) -> list[list[float]]:
    """Single precision in as few digits as bring it back."""
    return [[float(np.format_float_positional(v, unique=True)) for v in row.numpy()]
            for row in values.detach()]  # fmt: skip


def exported(name: str) -> dict[str, Any]:
    """Everything that the page knows of one model and its world."""
    model = cl.load_pretrained(name)
    assert isinstance(model, cl.CauFVAE) and model.extra_dims == 0
    world, graph = core.world_of(name), model.graph
    index = graph.index
    return {
        "name": name,
        "world": type(world).__name__,
        "noise": world.noise,
        "swept": index(SWEPT[name]),
        "nodes": list(graph.nodes),
        "units": [world.units[n] for n in graph.nodes],
        "ranges": [list(world.ranges[n]) for n in graph.nodes],
        "parents": [[index(p) for p in graph.parents(n)] for n in graph.nodes],
        "generations": [[index(n) for n in g] for g in graph.generations],
        "mean": model.mean.tolist(),
        "std": model.std.tolist(),
        "logScale": [model.flow.bounded.low, model.flow.bounded.high],
        "start": list(model.decoder.start),
        "patch": model.decoder.patch,
        "size": model.image_shape[1],
        "scenes": scenes_of(name, model),
        "arrays": arrays_of(model),
    }


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


def script_of(data: dict[str, Any]) -> str:
    """A classic script, since a page from a disk may not fetch."""
    text = json.dumps(data, separators=(",", ":"))
    return f'((globalThis.caufvae ??= {{}}).models ??= {{}})["{data["name"]}"] = {text};\n'


def widget(base: str) -> str:
    """The playground's place in a page; its files lie at ``base``."""
    return (SOURCE / "widget.html").read_text().replace("BASE", base)


def single_page(folder: Path) -> str:
    """The page with scripts, style, models and strips inside it."""
    page = (SOURCE / "page.html").read_text()
    page = page.replace("/* STYLE */", (SOURCE / "playground.css").read_text())
    page = page.replace("<!-- WIDGET -->", widget(""))
    scripts = [folder / f"model-{name}.js" for name in core.SHIPPED]
    scripts += [SOURCE / name for name in SCRIPTS]
    inlined = "".join(f"<script>\n{path.read_text()}</script>\n" for path in scripts)
    still = "strip-pendulum-noisy.png"
    picture = base64.b64encode((folder / still).read_bytes()).decode("ascii")
    page = page.replace(still, f"data:image/png;base64,{picture}")
    return page.replace("<!-- SCRIPTS -->", inlined)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the folder; a model's file above `LARGEST` bytes is an error."""
    named = list(sys.argv[1:] if arguments is None else arguments)
    folder = Path(named[0]) if named else ROOT / "build" / "playground"
    folder.mkdir(parents=True, exist_ok=True)
    for name in core.SHIPPED:
        data = exported(name)
        path = folder / f"model-{name}.js"
        path.write_text(script_of(data))
        strip(name, data["scenes"][0]).save(folder / f"strip-{name}.png", optimize=True)
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB")
        if path.stat().st_size > LARGEST:
            raise SystemExit(f"{path} has more than {LARGEST} bytes.")
    for script in (*SCRIPTS, "playground.css"):
        shutil.copyfile(SOURCE / script, folder / script)
    page = folder / "playground.html"
    page.write_text(single_page(folder))
    print(f"{page}: {page.stat().st_size / 1000:.0f} kB, works from a disk")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
