"""What the playground, the page without a kernel, computes with.

Its scripts and style lie in ``docs/playground`` (in the wheel ``_playground``). A model is
exported as plain numbers: its flow in single precision, its decoder in half precision, and a
handful of scenes with the noise that the encoder reads off their pictures. The encoder does not
run in the page: a scene's abducted noise is computed here.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from caufvae_lite.caufvae import CauFVAE
from caufvae_lite.checkpoints import load_pretrained
from caufvae_lite.studies import core

SCRIPTS = ("model.js", "worlds.js", "questions.js", "playground.js")
SINGLE = ("decoder.head.0.weight",)  # a step here moves edges; the other weights may be rounded
SCENES, CANDIDATES, SEED = 4, 400, 11
SWEPT = {"pendulum": "light_angle", "pendulum-noisy": "light_angle", "water": "hole_height"}


def source() -> Path:
    """The folder of the page's own scripts and style."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "_playground"
    return installed if installed.is_dir() else package.parent / "docs" / "playground"


def encoded(array: np.ndarray, half: bool) -> dict[str, Any]:
    """An array as base64 of its little-endian numbers."""
    kind = "f16" if half else "f32"
    data = np.ascontiguousarray(array, "<f2" if half else "<f4").tobytes()
    text = base64.b64encode(data).decode("ascii")
    return {"shape": list(array.shape), "type": kind, "data": text}


def arrays_of(model: CauFVAE) -> dict[str, Any]:
    """The flow's and the decoder's weights by their names in the checkpoint."""
    found = {}
    for name, tensor in model.state_dict().items():
        if name.startswith(("flow.", "decoder.")):
            half = name.startswith("decoder.") and name not in SINGLE
            found[name] = encoded(tensor.numpy(), half and name.endswith("weight"))
    return found


def scenes_of(name: str, model: CauFVAE) -> list[dict[str, Any]]:
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
    model = load_pretrained(name)
    assert isinstance(model, CauFVAE) and model.extra_dims == 0
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


def script_of(data: dict[str, Any]) -> str:
    """A classic script, since a page from a disk may not fetch."""
    text = json.dumps(data, separators=(",", ":"))
    return f'((globalThis.caufvae ??= {{}}).models ??= {{}})["{data["name"]}"] = {text};\n'


def widget(base: str) -> str:
    """The playground's place in a page; its files lie at ``base``."""
    return (source() / "widget.html").read_text("utf-8").replace("BASE", base)


def single_page(models: Sequence[str], place: str) -> str:
    """The page with scripts, style and ``models``, as `script_of` makes them, inside it."""
    page = (source() / "page.html").read_text("utf-8")
    page = page.replace("/* STYLE */", (source() / "playground.css").read_text("utf-8"))
    page = page.replace("<!-- WIDGET -->", place)
    scripts = [*models, *((source() / name).read_text("utf-8") for name in SCRIPTS)]
    inlined = "".join(f"<script>\n{script}</script>\n" for script in scripts)
    return page.replace("<!-- SCRIPTS -->", inlined)
