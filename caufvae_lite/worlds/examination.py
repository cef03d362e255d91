"""The whole examination of a model by its world: every number of the results tables.

Each question is put with values that really occur: ``do`` sets a factor to a permutation
of the held-out rows' own values, and the world says what would have been.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from caufvae_lite.data import FactorDataset
from caufvae_lite.metrics import composition, drift, noise_kept_ratio, psnr, r2
from caufvae_lite.model import FactorModel
from caufvae_lite.randomness import keyed_generator
from caufvae_lite.vae import FactorVAE
from caufvae_lite.worlds import StructuralWorld, World


def permuted_values(
    dataset: FactorDataset, names: Sequence[str], seed: int
) -> dict[str, Tensor]:
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
    scores = np.atleast_1d(r2(test.factors, model.factors(test.images).cpu()))
    found = {f"r2/{n}": float(s) for n, s in zip(test.graph.nodes, scores, strict=True)}
    images = test.images.float() / 255
    found["psnr/reconstruction"] = psnr(images, model.reconstruct(test.images).cpu())
    return found


def measured_reconstruction(model: FactorModel, world: World, test: FactorDataset) -> Tensor:
    """The factors ``(n, d)`` that the world's ruler reads off the reconstructions."""
    return world.measure(model.reconstruct(test.images).cpu())


def effects_of_causes(
    model: FactorModel,
    world: StructuralWorld,
    test: FactorDataset,
    names: Sequence[str],
    seed: int = 0,
    before: Tensor | None = None,
) -> dict[str, float]:
    """do(causes): the effects against the truth, in latents and in the decoded image.

    One cause with noise of its own is scored *in support* as well (see `effect_set_alone`).
    ``before``: what `measured_reconstruction` returns, if it is known already.
    """
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
    for node in test.graph.affected(names):
        i = test.graph.index(node)
        scores |= _as_drawn(world, truth, measured, node, label)
        if node not in names:
            scores[f"{label} latent r2/{node}"] = float(
                r2(truth[:, i], found.factors[:, i].cpu())
            )
    before = measured_reconstruction(model, world, test) if before is None else before
    scores |= _leakage(world, test, names, truth, measured, label, before)
    return scores | _in_support(world, test, names, truth, measured, label, before)


def effect_set_alone(
    model: FactorModel,
    world: StructuralWorld,
    test: FactorDataset,
    name: str,
    seed: int = 0,
    before: Tensor | None = None,
) -> dict[str, float]:
    """do(effect): is it drawn as asked, while its causes stay where they are?

    An effect with noise of its own is also scored over the rows *in support*: those whose
    asked value its causes could have led to, as in scenes that the world really draws.
    """
    do = permuted_values(test, [name], seed)
    measured = world.measure(model.counterfactual(test.images, do).images.cpu())
    before = measured_reconstruction(model, world, test) if before is None else before
    asked = world.counterfactual(test.factors, do)
    label = f"do({name})"
    scores = _as_drawn(world, asked, measured, name, label)
    scores |= _leakage(world, test, [name], asked, measured, label, before)
    return scores | _in_support(world, test, [name], asked, measured, label, before)


def _in_support(
    world: StructuralWorld,
    test: FactorDataset,
    names: Sequence[str],
    truth: Tensor,
    measured: Tensor,
    label: str,
    before: Tensor,
) -> dict[str, float]:
    """Leakage over the rows that could be, for one effect that has noise; else nothing."""
    if len(names) > 1 or names[0] not in world.noisy:
        return {}
    near = world.in_support(truth, names[0])
    scores = {f"{label} in support": float(near.float().mean())}
    some, label = test.rows(near), f"{label} in support"
    return scores | _leakage(
        world, some, names, truth[near], measured[near], label, before[near]
    )


def _as_drawn(
    world: StructuralWorld, truth: Tensor, measured: Tensor, node: str, label: str
) -> dict[str, float]:
    """R² of a factor as measured in decoded pictures.

    A shape that the frame cuts off cannot be read, so the score is over rows whose true scene
    fits the frame. ``missing`` is the share of those in which no such shape was found; they
    score as if the mean had been drawn.
    """
    i = list(world.graph.nodes).index(node)
    rows = world.in_frame(truth)
    asked, drawn = truth[rows, i], measured[rows, i]
    missing = torch.isnan(drawn)
    drawn = torch.where(missing, asked.mean(), drawn)
    return {
        f"{label} image r2/{node}": float(r2(asked, drawn)),
        f"{label} missing/{node}": float(missing.float().mean()),
    }


def _leakage(
    world: StructuralWorld,
    test: FactorDataset,
    names: Sequence[str],
    truth: Tensor,
    measured: Tensor,
    label: str,
    before: Tensor,
) -> dict[str, float]:
    """How far the factors that ``names`` cannot reach drift, in decoded pictures.

    Against the model's own reconstruction, over rows that fit the frame before and after.
    """
    reach = test.graph.affected(names)
    untouched = [i for i, n in enumerate(test.graph.nodes) if n not in reach]
    if not untouched:
        return {}
    rows = world.in_frame(truth) & world.in_frame(test.factors)
    change = drift(
        before[rows][:, untouched], measured[rows][:, untouched], test.factors.std(0)[untouched]
    )
    return {
        f"{label} drift/{test.graph.nodes[i]}": float(c)
        for i, c in zip(untouched, change, strict=True)
    }


def noise_kept_or_redrawn(
    model: FactorVAE, world: World, test: FactorDataset, names: Sequence[str], seed: int = 0
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


def examine(
    model: FactorVAE, world: StructuralWorld, test: FactorDataset, seed: int = 0
) -> dict[str, float]:
    """Every number of a world's results table.

    Each cause set alone, all roots together, and everything without effects set alone;
    where noise lies downstream, also what keeping it is worth.
    """
    graph = world.graph
    causes = [name for name in graph.nodes if graph.children(name)]
    roots = [name for name in causes if name in graph.roots]
    questions = [[name] for name in causes] + ([roots] if len(roots) > 1 else [])
    scores = alignment(model, test)
    before = measured_reconstruction(model, world, test)
    for names in questions:
        scores |= effects_of_causes(model, world, test, names, seed, before)
        if (set(graph.affected(names)) - set(names)) & set(world.noisy):
            scores |= noise_kept_or_redrawn(model, world, test, names, seed)
    for name in graph.nodes:
        if not graph.children(name):
            scores |= effect_set_alone(model, world, test, name, seed, before)

    def again(images):
        return model.reconstruct(torch.as_tensor(images)).cpu().numpy()

    some = (test.images[:200].float() / 255).numpy()
    for k, change in enumerate(composition(again, some, cycles=5), start=1):
        scores[f"composition/{k} cycles"] = change
    return scores
