"""Write what a model answers as PNG files and tables, for anybody's judge to score::

    python -m caufvae_lite export model.safetensors --data digits --out answers

The folder then holds::

    factual/00000.png …        the pictures that the model was given
    reconstruction/00000.png … the same as the model draws them, nothing being set
    do_NAME/00000.png …        what it draws under do(NAME)
    truth_NAME/00000.png …     the true counterfactual picture, where there is one
    factual.csv                row, and the true factors
    do_NAME.csv                row, the value that was asked for (``asked``), the true factors
                               under do(NAME), and those that the model answers (``model NAME``)

Rows are numbered alike in all of them. Under do(NAME) every picture is asked for the value that
NAME has in another row, so the asked values are those of the data.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from caufvae_lite.checkpoints import CheckpointError, load
from caufvae_lite.data import FactorDataset, as_uint8
from caufvae_lite.datasets.digits import DIGIT_NAME, Digits
from caufvae_lite.factor_vae import FactorVAE
from caufvae_lite.interventions import Intervention
from caufvae_lite.studies import core, digits
from caufvae_lite.studies.digit_questions import questions
from caufvae_lite.worlds.base import World
from caufvae_lite.worlds.examination import permuted_values

WORLDS = ("pendulum", "pendulum-noisy", "water", "machine")


def rows_of(data: str, image_size: int, rows: int) -> tuple[World, FactorDataset]:
    """A world, and the first ``rows`` of the rows on which its models are tested.

    For digits these are the rows kept for choosing, `studies.digits.CHOOSE`.
    """
    if data == "digits":
        chosen = Digits().rows(digits.CHOOSE[:rows])
        return chosen, chosen
    world, _, test = core.data_of(data, image_size)
    return world, test.rows(slice(0, rows))


def export(model: FactorVAE, world: World, test: FactorDataset, out: Path) -> None:
    """Write everything about ``test`` rows under ``out``; files that are there are replaced."""
    names = list(test.graph.nodes)
    _pictures(test.images, out / "factual")
    _pictures(model.reconstruct(test.images), out / "reconstruction")
    _table(test.factors, names).to_csv(out / "factual.csv", index_label="row")
    for name, do in tqdm(_questions(test).items(), desc="questions", unit="question"):
        truth = world.counterfactual(test.factors, do)
        answer = model.counterfactual(test.images, do)
        _pictures(answer.images, out / f"do_{name}")
        if name != DIGIT_NAME:  # nobody knows how a hand would have written another
            _pictures(world.render(truth), out / f"truth_{name}")
        table = _table(truth, names)
        table.insert(0, "asked", np.asarray(do[name]))
        found = _table(answer.factors, [f"model {n}" for n in names])
        table.join(found).to_csv(out / f"do_{name}.csv", index_label="row")


def _questions(test: FactorDataset) -> dict[str, Intervention]:
    if isinstance(test, Digits):
        return questions(test)
    return {name: permuted_values(test, [name], 0) for name in test.graph.nodes}


def _table(factors: Tensor, names: list[str]) -> pd.DataFrame:
    return pd.DataFrame(factors.cpu().numpy(), columns=names)


def _pictures(images: Tensor, folder: Path) -> None:
    """One PNG for each of ``(n, c, h, w)`` images, grey or in colour."""
    folder.mkdir(parents=True, exist_ok=True)
    for row, picture in enumerate(as_uint8(images.cpu()).permute(0, 2, 3, 1).numpy()):
        Image.fromarray(picture.squeeze(-1) if picture.shape[-1] == 1 else picture).save(
            folder / f"{row:05d}.png"
        )


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status, 2 for wrong usage."""
    parser = argparse.ArgumentParser(
        prog="python -m caufvae_lite export",
        description="Write a model's counterfactuals as PNG and CSV, beside the truth.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("model", type=Path, help="a .safetensors file that save() or train wrote")
    add("--data", choices=(*WORLDS, "digits"), required=True, help="whose test rows to ask")
    add("--rows", type=int, default=1000, help="how many of them, at most")
    add("--out", type=Path, default=Path("answers"), help="the folder")
    options = parser.parse_args(arguments)
    try:
        model = load(options.model)
        world, test = rows_of(options.data, model.image_shape[-1], options.rows)
        if (test.graph.nodes, test.images.shape[1:]) != (model.graph.nodes, model.image_shape):
            raise ValueError(
                f"the model's factors are {list(model.graph.nodes)} and its pictures "
                f"{model.image_shape}; those of {options.data} are {list(test.graph.nodes)} "
                f"and {tuple(test.images.shape[1:])}."
            )
    except (FileNotFoundError, CheckpointError, ValueError, ImportError) as error:
        print(f"export: {error}", file=sys.stderr)
        return 2
    with torch.no_grad():
        export(model, world, test, options.out)
    print(f"Wrote {len(test)} rows to {options.out}.")
    return 0
