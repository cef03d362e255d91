"""The examination of a model by its world: every number of the results tables.

A question sets factors, do(factors), to a permutation of the held-out rows' own values, so
that only values are asked about that really occur. The world says what would have been. The
model's answer is compared with it twice: its latents, and what a ruler reads off its picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from caufvae_lite.data import FactorDataset, as_float
from caufvae_lite.factor_vae import FactorVAE
from caufvae_lite.interventions import Decoded
from caufvae_lite.metrics import composition, drift, noise_kept_ratio, psnr, r2
from caufvae_lite.randomness import keyed_generator
from caufvae_lite.worlds.base import StructuralWorld

__all__ = ["Examination", "Score", "alignment", "compositions", "examine", "permuted_values"]


class Score(NamedTuple):
    """One number of a results table."""

    cause: str  # what was set: "" for nothing, "a+b" for two factors
    measure: str
    factor: str  # which one was scored; "" for none in particular
    value: float


class Answer(NamedTuple):
    """A question do(names), its true answer, and the model's, latent and read off pictures."""

    names: Sequence[str]
    truth: Tensor
    found: Decoded
    drawn: Tensor

    def score(self, measure: str, factor: str, value: Any) -> Score:
        return Score("+".join(self.names), measure, factor, float(value))


def permuted_values(
    dataset: FactorDataset, names: Sequence[str], seed: int
) -> dict[str, Tensor]:
    """``{name: (n,) values}``: each factor's own values, shuffled independently."""
    values = {}
    for name in names:
        i = dataset.graph.index(name)
        order = torch.randperm(len(dataset), generator=keyed_generator(seed, i))
        values[name] = dataset.factors[order, i]
    return values


def alignment(model: FactorVAE, test: FactorDataset) -> list[Score]:
    """``r2`` of each factor, and the reconstruction's ``psnr``, on held-out images."""
    values = np.atleast_1d(r2(test.factors, model.factors(test.images).cpu()))
    found = zip(test.graph.nodes, values, strict=True)
    scores = [Score("", "r2", node, float(value)) for node, value in found]
    pictures = model.reconstruct(test.images).cpu()
    return [*scores, Score("", "psnr", "", psnr(as_float(test.images), pictures))]


def compositions(model: FactorVAE, images: Tensor) -> list[Score]:
    """``composition k``: a pixel's mean change after k reconstructions of reconstructions."""

    def again(pictures):
        return model.reconstruct(torch.as_tensor(pictures).float()).cpu().numpy()

    changes = composition(again, as_float(images).numpy(), cycles=5)
    return [Score("", f"composition {k}", "", c) for k, c in enumerate(changes, start=1)]


@dataclass(frozen=True)
class Examination:
    """A model, the world that knows the truth, and the held-out rows both are asked about."""

    model: FactorVAE
    world: StructuralWorld
    test: FactorDataset
    seed: int = 0  # of the values that questions set

    @cached_property
    def before(self) -> Tensor:
        """The factors ``(n, d)`` that the ruler reads off the model's reconstructions."""
        return self.world.measure(self.model.reconstruct(self.test.images).cpu())

    def ask(self, names: Sequence[str]) -> Answer:
        """Put the question do(names) to the model and to the world."""
        do = permuted_values(self.test, names, self.seed)
        truth = self.world.counterfactual(self.test.factors, do)
        found = self.model.counterfactual(self.test.images, do)
        return Answer(names, truth, found, self.world.measure(found.images.cpu()))

    def set_causes(self, names: Sequence[str]) -> list[Score]:
        """do(causes): effects and pictures against the truth; ``psnr copy`` is the input's."""
        answer, pictures = self.ask(names), as_float(self.test.images)
        truth = self.world.render(answer.truth)
        scores = [
            answer.score("psnr", "", psnr(truth, answer.found.images.cpu())),
            answer.score("psnr copy", "", psnr(truth, pictures)),
        ]
        for node in self.test.graph.affected(names):
            scores += self._as_drawn(answer, node)
            if node not in names:
                i = self.test.graph.index(node)
                latent = r2(answer.truth[:, i], answer.found.factors[:, i].cpu())
                scores.append(answer.score("latent r2", node, latent))
        return [*scores, *self._drift(answer), *self._in_support(answer)]

    def set_effect(self, name: str) -> list[Score]:
        """do(effect): is it drawn as asked, while its causes stay where they are?"""
        answer = self.ask([name])
        scores = self._as_drawn(answer, name)
        return [*scores, *self._drift(answer), *self._in_support(answer)]

    def keep_noise(self, names: Sequence[str]) -> list[Score]:
        """``noise kept``: MAE of the counterfactual ÷ MAE of the intervention, by effect."""
        answer, do = self.ask(names), permuted_values(self.test, names, self.seed)
        new = self.model.intervention(self.test.images, do, seed=self.seed).factors.cpu()
        own, scores = answer.found.factors.cpu(), []
        for node in self.test.graph.affected(names):
            if node not in names:
                i = [self.test.graph.index(node)]
                ratio = noise_kept_ratio(answer.truth[:, i], own[:, i], new[:, i])[0]
                scores.append(answer.score("noise kept", node, ratio))
        return scores

    def _as_drawn(self, answer: Answer, node: str) -> list[Score]:
        """``image r2`` of a factor as read off the decoded pictures, and ``missing``.

        Both are over the rows whose true scene fits the frame, so that it can be read.
        ``missing`` is the share of them in which no such shape was found; they count as if
        the mean had been drawn.
        """
        i = self.test.graph.index(node)
        rows = self.world.in_frame(answer.truth)
        asked, drawn = answer.truth[rows, i], answer.drawn[rows, i]
        missing = torch.isnan(drawn)
        score = r2(asked, torch.where(missing, asked.mean(), drawn))
        share = missing.float().mean()
        return [answer.score("image r2", node, score), answer.score("missing", node, share)]

    def _drift(
        self, answer: Answer, measure: str = "drift", part: Tensor | slice = slice(None)
    ) -> list[Score]:
        """How far the factors that the question cannot reach drift, in decoded pictures.

        They start from the model's own reconstruction, and the unit is their standard
        deviation. Of the rows in ``part`` those count that fit the frame before and after.
        """
        own, truth = self.test.factors[part], answer.truth[part]
        rows = self.world.in_frame(truth) & self.world.in_frame(own)
        before, after = (read[part][rows] for read in (self.before, answer.drawn))
        scores, reach = [], self.test.graph.affected(answer.names)
        for i, node in enumerate(self.test.graph.nodes):
            if node not in reach:
                change = drift(before[:, [i]], after[:, [i]], own[:, [i]].std(0))[0]
                scores.append(answer.score(measure, node, change))
        return scores

    def _in_support(self, answer: Answer) -> list[Score]:
        """For one noisy effect: the rows whose value its causes allow, and the drift there."""
        if len(answer.names) > 1 or answer.names[0] not in self.world.noisy:
            return []
        near = self.world.in_support(answer.truth, answer.names[0])
        share = answer.score("in support", "", near.float().mean())
        return [share, *self._drift(answer, "in support drift", near)]


def examine(
    model: FactorVAE, world: StructuralWorld, test: FactorDataset, seed: int = 0
) -> list[Score]:
    """Every number of a world's results table.

    Each cause is set alone, all roots together, and each factor without effects alone. Where
    noise lies downstream of a question, `Examination.keep_noise` is asked as well.
    """
    graph, exam = world.graph, Examination(model, world, test, seed)
    causes = [name for name in graph.nodes if graph.children(name)]
    roots = [name for name in causes if name in graph.roots]
    scores = alignment(model, test)
    for names in [[name] for name in causes] + ([roots] if len(roots) > 1 else []):
        scores += exam.set_causes(names)
        if (set(graph.affected(names)) - set(names)) & set(world.noisy):
            scores += exam.keep_noise(names)
    for name in graph.nodes:
        if not graph.children(name):
            scores += exam.set_effect(name)
    return [*scores, *compositions(model, test.images[:200])]
