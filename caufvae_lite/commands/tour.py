"""The tour: train once, ask *what if*, and check every answer against the truth."""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from tqdm.auto import tqdm

from caufvae_lite import plots
from caufvae_lite.checkpoints import save
from caufvae_lite.data import FactorDataset, as_float
from caufvae_lite.factor_vae import FactorVAE
from caufvae_lite.history import History
from caufvae_lite.networks import choose_device
from caufvae_lite.studies import core
from caufvae_lite.training import fit
from caufvae_lite.worlds import StructuralWorld
from caufvae_lite.worlds.examination import Score, examine, permuted_values

WORLD = "pendulum"
EPOCHS = 8  # fewer than the core study's, so that a first look takes a minute
PICTURES = 6


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status.

    Writes ``counterfactuals.png``, ``metrics.json`` and ``model.safetensors`` to ``--out``.
    """
    parser = argparse.ArgumentParser(prog="python -m caufvae_lite tour", description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--out", type=Path, default=Path("build/tour"))
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    options = parser.parse_args(arguments)
    seed, out, epochs = options.seed, options.out, options.epochs
    try:
        device = choose_device(options.device)
    except RuntimeError as error:
        print(f"tour: {error}", file=sys.stderr)
        return 2

    def say(history: History) -> None:
        loss, seconds = history.validation[-1]["total"], history.seconds[-1]
        count = f"epoch {len(history):>2} of {epochs}"
        tqdm.write(f"  {count}: held-out loss {loss:8.1f} nats per image, {seconds:.0f} s")

    started = time.perf_counter()
    world, train, test = core.data_of(WORLD)
    arrows = ", ".join(f"{cause} → {effect}" for cause, effect in world.graph.edges)
    print(f"{len(train):,} pictures of a pendulum and its shadow. The graph: {arrows}.")
    print(f"Training CauF-VAE for {epochs} epochs on {device}.", flush=True)
    model = core.build(core.MAIN, seed, world)
    fit(model, train, epochs=epochs, seed=seed, device=device, on_epoch=say)
    print(f"\nAsking about {len(test):,} pictures that it has never seen.", flush=True)
    scores = examine(model, world, test, seed)
    out.mkdir(parents=True, exist_ok=True)
    save(model, out / "model.safetensors", world=WORLD, seed=seed, epochs=epochs)
    numbers = {_key(score): score.value for score in scores}
    (out / "metrics.json").write_text(json.dumps(numbers, indent=2) + "\n")
    figure = plots.picture_rows(picture_strips(model, world, test, seed))
    figure.savefig(out / "counterfactuals.png", dpi=110)
    here, shown = Path.cwd(), out.resolve()
    shown = shown.relative_to(here) if shown.is_relative_to(here) else shown
    print(f"\n{table(scores, world)}\n")
    print(f"Done in {time.perf_counter() - started:.0f} s.")
    print(f"  Look at {shown / 'counterfactuals.png'}: the input, what the model")
    print("  imagines with both angles set anew, the truth, and their difference.")
    print(f"  All {len(numbers)} numbers are in {shown / 'metrics.json'}.")
    print("  How it works: notebooks/01_flows.ipynb and those that follow (make lab).")
    return 0


def picture_strips(
    model: FactorVAE, world: StructuralWorld, test: FactorDataset, seed: int
) -> dict[str, Tensor]:
    """Rows of pictures: input, imagined under do(both angles), truth, difference."""
    do = permuted_values(test, world.graph.roots, seed)
    truth = world.counterfactual(test.factors, do)
    fits = world.in_frame(truth) & world.in_frame(test.factors)
    some = torch.nonzero(fits).flatten()[:: max(1, len(test) // 3 // PICTURES)][:PICTURES]
    asked = {name: values[some] for name, values in do.items()}
    imagined = model.counterfactual(test.images[some], asked).images.cpu()
    true = world.render(truth[some])
    difference = torch.from_numpy(plots.difference(imagined, true))
    own = as_float(test.images[some])
    return {"input": own, "imagined": imagined, "truth": true, "difference": difference}


def table(scores: Sequence[Score], world: StructuralWorld) -> str:
    """What a person wants to know: how much of the truth the answers explain, as R²."""
    values = {score[:3]: score.value for score in scores}  # by cause, measure and factor
    lines = [f"{'R² of 1 is perfect':<44}{'its factors':>14}{'its pictures':>14}"]
    lines.append("Reading a picture")
    lines += [f"  {_words(n):<42}{values['', 'r2', n]:>14.3f}" for n in world.graph.nodes]
    for cause in dict.fromkeys(s.cause for s in scores if s.measure == "latent r2"):
        names = cause.split("+")
        lines.append(f"What if the {' and the '.join(map(_words, names))} had been different?")
        for n in world.graph.affected(names):
            if n not in names:
                found = (values[cause, f"{where} r2", n] for where in ("latent", "image"))
                lines.append(f"  {_words(n):<42}" + "".join(f"{v:>14.3f}" for v in found))
        against = f"  the picture (unchanged input {values[cause, 'psnr copy', '']:.1f} dB)"
        lines.append(f"{against:<44}{'':>14}{values[cause, 'psnr', '']:>11.1f} dB")
    return "\n".join(lines)


def _key(score: Score) -> str:
    """``do(light_angle) latent r2/shadow_length``, ``r2/light_angle``, …"""
    question = f"do({score.cause}) " if score.cause else ""
    return question + score.measure + (f"/{score.factor}" if score.factor else "")


def _words(name: str) -> str:
    return name.replace("_", " ")
