"""The whole examination of a model by its world: every number of the results tables.

Each question is put with values that really occur: ``do`` sets a factor to a permutation
of the held-out rows' own values, and the world says what would have been.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from caufvae_lite.caufvae import CauFVAE
from caufvae_lite.data import FactorDataset
from caufvae_lite.metrics import composition, drift, noise_kept_ratio, psnr, r2
from caufvae_lite.randomness import keyed_generator
from caufvae_lite.vae import FactorModel
from caufvae_lite.worlds import Pendulum, World


def permuted_values(dataset: FactorDataset, names: Sequence[str], seed: int) -> dict[str, Tensor]:
    """``{name: (n,) values}``: each factor's own values, shuffled independently."""
    graph = dataset.graph
    return {
        name: dataset.factors[
            torch.randperm(len(dataset), generator=keyed_generator(seed, graph.index(name))),
            graph.index(name),
        ]
        for name in names
    }


def alignment(model: FactorModel, test: FactorDataset) -> dict[str, float]:
    """R² of each factor, and the reconstruction's PSNR, on held-out images."""
    scores = r2(test.factors, model.factors(test.images).cpu())
    found = {f"r2/{n}": float(s) for n, s in zip(test.graph.nodes, scores, strict=True)}
    images = test.images.float() / 255
    found["psnr/reconstruction"] = psnr(images, model.reconstruct(test.images).cpu())
    return found


def effects_of_causes(
    model: FactorModel, world: World, test: FactorDataset, names: Sequence[str], seed: int = 0
) -> dict[str, float]:
    """do(causes): the effects against the truth, in latents and in the decoded image."""
    do = permuted_values(test, names, seed)
    truth = world.counterfactual(test.factors, do)
    found = model.counterfactual(test.images, do)
    pictures, true_pictures = found.images.cpu(), world.render(truth)
    measured = world.measure(pictures)
    label = f"do({'+'.join(names)})"
    scores = {
        f"{label} psnr": psnr(true_pictures, pictures),
        f"{label} psnr/copy": psnr(true_pictures, test.images.float() / 255),
    }
    for i, node in enumerate(test.graph.nodes):
        if node in test.graph.affected(names):
            scores[f"{label} image r2/{node}"] = float(r2(truth[:, i], measured[:, i]))
        if node in test.graph.affected(names) and node not in names:
            scores[f"{label} latent r2/{node}"] = float(
                r2(truth[:, i], found.factors[:, i].cpu())
            )
    return scores | _leakage(model, world, test, names, measured, label)


def effect_set_alone(
    model: FactorModel, world: World, test: FactorDataset, name: str, seed: int = 0
) -> dict[str, float]:
    """do(effect): is it drawn as asked, while its causes stay where they are?

    A bar that the frame cuts off cannot be measured, so ``image r2`` is over rows whose
    asked-for scene fits the frame, and ``rows missing`` counts those of them in which no
    such shape was found; these score as if the training mean had been drawn.
    """
    do = permuted_values(test, [name], seed)
    measured = world.measure(model.counterfactual(test.images, do).images.cpu())
    i = test.graph.index(name)
    rows = torch.ones(len(test), dtype=torch.bool)
    if isinstance(world, Pendulum):
        rows = world.in_frame(world.counterfactual(test.factors, do))
    asked, drawn = do[name][rows], measured[rows, i]
    missing = torch.isnan(drawn)
    drawn = torch.where(missing, asked.mean(), drawn)
    scores = {
        f"do({name}) image r2/{name}": float(r2(asked, drawn)),
        f"do({name}) rows missing": float(missing.sum()),
    }
    return scores | _leakage(model, world, test, [name], measured, f"do({name})")


def _leakage(model, world, test, names, measured: Tensor, label: str) -> dict[str, float]:
    untouched = [
        i for i, n in enumerate(test.graph.nodes) if n not in test.graph.affected(names)
    ]
    if not untouched:
        return {}
    before = world.measure(model.reconstruct(test.images).cpu())
    scale = test.factors.std(0)
    change = drift(before[:, untouched], measured[:, untouched], scale[untouched])
    return {
        f"{label} drift/{test.graph.nodes[i]}": float(c)
        for i, c in zip(untouched, change, strict=True)
    }


def noise_kept_or_redrawn(
    model: CauFVAE, world: World, test: FactorDataset, names: Sequence[str], seed: int = 0
) -> dict[str, float]:
    """MAE of the counterfactual ÷ MAE of the intervention, for each effect of ``names``."""
    do = permuted_values(test, names, seed)
    truth = world.counterfactual(test.factors, do)
    kept = model.counterfactual(test.images, do).factors.cpu()
    redrawn = model.intervention(test.images, do, seed=seed).factors.cpu()
    effects = [
        i
        for i, n in enumerate(test.graph.nodes)
        if n in test.graph.affected(names) and n not in names
    ]
    ratios = noise_kept_ratio(truth[:, effects], kept[:, effects], redrawn[:, effects])
    label = f"do({'+'.join(names)})"
    return {
        f"{label} noise kept/{test.graph.nodes[i]}": float(r)
        for i, r in zip(effects, ratios, strict=True)
    }


def examine(model: CauFVAE, world: Pendulum, test: FactorDataset, seed: int = 0) -> dict[str, float]:
    """Every number of the pendulum's results table."""
    pendulum, light, length, position = world.graph.nodes
    scores = alignment(model, test)
    for names in ([pendulum], [light], [pendulum, light]):
        scores |= effects_of_causes(model, world, test, names, seed)
        if world.noise > 0:
            scores |= noise_kept_or_redrawn(model, world, test, names, seed)
    for name in (length, position):
        scores |= effect_set_alone(model, world, test, name, seed)

    def again(images):
        return model.reconstruct(torch.as_tensor(images)).cpu().numpy()

    some = (test.images[:200].float() / 255).numpy()
    for k, change in enumerate(composition(again, some, cycles=5), start=1):
        scores[f"composition/{k} cycles"] = change
    return scores

