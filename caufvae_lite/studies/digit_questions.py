"""The field's questions about handwriting, and what a model's answers are held against.

`Digits` draws the same strokes with any pen and ink. So for do(thickness) and do(intensity) a
model's picture is compared with the true one. For do(digit) no true picture exists, and only
the factors have a truth. The questions and measures are those of Melistas et al.,
"Benchmarking Counterfactual Image Generation" (NeurIPS 2024): effectiveness, composition,
reversibility, minimality. Effectiveness is judged twice, by the rulers of `morphology` and by a
network (`judge`).

The benchmark tells its models the attributes of the factual picture. Ours read them off it, as
everywhere in this package. Both are scored: measures that begin with *given* were told.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from caufvae_lite.data import as_float
from caufvae_lite.datasets import morphology
from caufvae_lite.datasets.digits import DIGIT, DIGIT_NAME, INTENSITY, THICKNESS, Digits
from caufvae_lite.factor_vae import FactorVAE
from caufvae_lite.interventions import Decoded, Intervention
from caufvae_lite.metrics import composition, drift, mae, noise_kept_ratio, psnr, r2
from caufvae_lite.studies.judge import Judge
from caufvae_lite.worlds.examination import Score, permuted_values

__all__ = ["Copy", "TruePictures", "as_if_told", "examine_digits", "questions"]

CYCLES = 10  # null interventions in a row
SHAPE = {"slant": 1, "width": 2}  # columns of `morphology` that no pen and no ink changes


class Copy:
    """The answer that changes nothing: whatever is asked, the picture as it is."""

    def __init__(self, test: Digits):
        self.test = test

    def reconstruct(self, images: Tensor) -> Tensor:
        return as_float(images)

    def counterfactual(self, images: Tensor, do: Intervention) -> Decoded:
        return Decoded(as_float(images), torch.full_like(self.test.factors, torch.nan))


class TruePictures(Copy):
    """The true counterfactual pictures: what judge and ruler err on even then.

    Under do(digit) there is none, and this is `Copy`.
    """

    def counterfactual(self, images: Tensor, do: Intervention) -> Decoded:
        if DIGIT_NAME in do:
            return super().counterfactual(images, do)
        truth = self.test.counterfactual(self.test.factors, do)
        return Decoded(self.test.render(truth), truth)


def questions(test: Digits, seed: int = 0) -> dict[str, Intervention]:
    """do(thickness), do(intensity), do(digit): each factor's own values, shuffled."""
    asked: dict[str, Intervention] = {
        name: permuted_values(test, [name], seed) for name in test.graph.nodes[:DIGIT]
    }
    order = torch.randperm(len(test), generator=torch.Generator().manual_seed(seed))
    return {**asked, DIGIT_NAME: {DIGIT_NAME: test.digit[order]}}


@torch.no_grad()
def as_if_told(model: FactorVAE, test: Digits, do: Intervention) -> Intervention:
    """The question about pictures whose factors the model is told instead of reading them.

    The model's own mechanisms answer ``do`` for the labels of ``test``, and every factor is
    then set to what they say. Only what no label says is still read off the picture.
    """
    nodes, labels = test.graph.nodes[:DIGIT], model.standardise(test.factors, len(test))
    standard = {
        name: (torch.as_tensor(do[name]) - model.mean[i]) / model.std[i]
        for i, name in enumerate(nodes)
        if name in do
    }
    after = model.latent_do(model.abduct(model.label_latents(labels)), standard)
    set_to = (after * model.std + model.mean)[:, :DIGIT].T
    return {**dict(zip(nodes, set_to, strict=True)), DIGIT_NAME: do.get(DIGIT_NAME, test.digit)}


def examine_digits(model: Any, test: Digits, judge: Judge) -> list[Score]:
    """Every number of the table for one model and for rows that it has not seen.

    ``model`` is a trained `FactorVAE`, `Copy` or `TruePictures`.
    """
    pictures, drawn = as_float(test.images), model.reconstruct(test.images).cpu()
    scores = [Score("", "psnr", "", psnr(pictures, drawn))]
    cycles = composition(
        lambda x: model.reconstruct(torch.as_tensor(x).float()).cpu().numpy(),
        pictures.numpy(), CYCLES,
    )  # fmt: skip
    for k in (1, CYCLES):
        scores.append(Score("", f"composition {k}", "", 255 * cycles[k - 1]))
    trained = isinstance(model, FactorVAE)
    if trained:
        scores += _read(model, test)
    for name, do in questions(test).items():
        answer = model.counterfactual(test.images, do).images.cpu()
        scores += _effect(test, judge, name, do, answer)
        scores += _stays(test, drawn, answer, name)
        back = model.counterfactual(answer, _undo(test, do)).images.cpu()
        moved = (back - drawn).abs().mean().item()
        scores.append(Score(name, "reversibility", "", 255 * moved))
        if trained:
            told = model.counterfactual(test.images, as_if_told(model, test, do)).images.cpu()
            scores += _effect(test, judge, name, do, told, "given ")
    return scores


def _read(model: FactorVAE, test: Digits) -> list[Score]:
    """What the encoder reads, and what the mechanism makes of it."""
    found = model.factors(test.images).cpu()
    right = (found[:, DIGIT:].argmax(-1) == test.digit).float().mean().item()
    scores = [Score("", "read right", DIGIT_NAME, right)]
    for i, name in enumerate(test.graph.nodes[:DIGIT]):
        scores.append(Score("", "r2", name, float(r2(test.factors[:, i], found[:, i]))))
    do = questions(test)["thickness"]
    truth = test.counterfactual(test.factors, do)[:, INTENSITY]
    own = model.counterfactual(test.images, do).factors[:, INTENSITY].cpu()
    new = model.intervention(test.images, do, seed=0).factors[:, INTENSITY].cpu()
    kept = noise_kept_ratio(truth[:, None], own[:, None], new[:, None])[0]
    scores.append(Score("thickness", "latent r2", "intensity", float(r2(truth, own))))
    return [*scores, Score("thickness", "noise kept", "intensity", float(kept))]


def _effect(
    test: Digits, judge: Judge, name: str, do: Intervention, answer: Tensor, how: str = ""
) -> list[Score]:
    """One question's effectiveness, and its picture against the true one if there is any."""
    truth = test.counterfactual(test.factors, do)
    judged, digit = judge(answer)
    ruled = test.measure(answer)
    there = ~ruled[:, THICKNESS].isnan()
    right = (digit == truth[:, DIGIT:].argmax(-1)).float().mean().item()
    scores = [
        Score(name, f"{how}judge right", DIGIT_NAME, right),
        Score(name, f"{how}missing", "", 1 - there.float().mean().item()),
    ]
    for i, node in enumerate(test.graph.nodes[:DIGIT]):
        by_ruler = mae(truth[there, i], ruled[there, i]) if there.any() else float("nan")
        scores += [
            Score(name, f"{how}judge error", node, float(mae(truth[:, i], judged[:, i]))),
            Score(name, f"{how}ruler error", node, float(by_ruler)),
        ]
        if name != DIGIT_NAME and node in test.graph.affected([name]):
            as_drawn = torch.where(there, ruled[:, i], truth[:, i].mean())
            scores.append(Score(name, f"{how}image r2", node, float(r2(truth[:, i], as_drawn))))
    if name != DIGIT_NAME:
        pictures, true = as_float(test.images), test.render(truth)
        left = (true - answer).square().sum() / (true - pictures).square().sum()
        scores += [
            Score(name, f"{how}psnr", "", psnr(true, answer)),
            Score(name, f"{how}change drawn", "", 1 - left.item()),
        ]
    return scores


def _undo(test: Digits, do: Intervention) -> Intervention:
    """The question that sets everything back to what it was."""
    own: Mapping[str, Tensor] = {
        "thickness": test.factors[:, THICKNESS],
        "intensity": test.factors[:, INTENSITY],
        DIGIT_NAME: test.digit,
    }
    return {name: own[name] for name in do}


def _stays(test: Digits, before: Tensor, after: Tensor, name: str) -> list[Score]:
    """How far slant, width and the causes drift from the model's own reconstruction, in sd."""
    old, new = morphology.measure(before), morphology.measure(after)
    unit = morphology.measure(test.images)[:, :3].std(0)
    kept = {} if name == DIGIT_NAME else dict(SHAPE)
    if name != "thickness":
        kept = {"thickness": THICKNESS, **kept}
    return [
        Score(name, "drift", node, float(drift(old[:, [i]], new[:, [i]], unit[[i]])[0]))
        for node, i in kept.items()
    ]
