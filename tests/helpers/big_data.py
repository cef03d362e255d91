"""Trains from a memory map with less memory than the map is long; run by test_scale.py.

``python big_data.py FOLDER MEGABYTES`` allows this process that many megabytes more than it
has after the imports, and prints what happened as JSON.
"""

import json
import resource
import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

from caufvae_lite import CauFVAE, CausalGraph, FactorDataset, fit

SIDE, ROWS = 256, 2000
MEGABYTE = 2**20


class Thumbnail(nn.Module):
    """An encoder that costs next to nothing: what counts here is the way of the pixels."""

    def __init__(self, outputs):
        super().__init__()
        self.pool, self.read = nn.AvgPool2d(64), nn.Linear(3 * 16, outputs)

    def forward(self, images):
        return self.read(self.pool(images).flatten(1))


class Blocks(nn.Module):
    """The decoder beside it: every pixel, in blocks of one colour."""

    def __init__(self, inputs):
        super().__init__()
        self.draw, self.enlarge = nn.Linear(inputs, 3 * 16), nn.Upsample(scale_factor=64)

    def forward(self, latents):
        return self.enlarge(self.draw(latents).view(-1, 3, 4, 4))


def status(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith(f"{name}:"))


def main(folder, megabytes):
    torch.set_num_threads(1)
    path = folder / "pictures.npy"
    shape = (ROWS, 3, SIDE, SIDE)
    pictures = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
    rng = np.random.default_rng(0)
    for start in range(0, ROWS, 100):
        pictures[start : start + 100, :, :4] = rng.integers(256, size=(100, 3, 4, SIDE))
    del pictures
    graph = CausalGraph(["a", "b"], [("a", "b")])
    labels = torch.tensor(rng.integers(2, size=(ROWS, 2)), dtype=torch.float32)
    model = CauFVAE(graph, (3, SIDE, SIDE))
    model.encoder, model.decoder = Thumbnail(4), Blocks(2)

    limit = (status("VmData") + megabytes) * MEGABYTE
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    images = np.load(path, mmap_mode="r")
    data = FactorDataset(images, labels, graph, kinds={"a": "binary"}).rows(slice(1, None))
    checkpoint = folder / "run.safetensors"
    history = fit(
        model,
        data,
        epochs=1,
        device="cpu",
        batch_size=16,
        checkpoint=checkpoint,
        progress=False,
    )
    found = model.factors(data.images)
    report = {"file": images.nbytes // MEGABYTE, "anonymous": status("RssAnon"),
              "peak": status("VmHWM"), "total": history.train[0]["total"],
              "rows": len(found), "copy": True}  # fmt: skip
    try:
        data.images.clone()
    except RuntimeError:
        report["copy"] = False
    print(json.dumps(report))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
