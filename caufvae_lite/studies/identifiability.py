"""Identifiability: one experiment for each assumption, with that assumption broken.

Three statements, which notebook 04 keeps apart. (a) *Alignment*: supervision makes
z̄(x) = E[u | x], which is u if the picture determines u. (b) *Mechanisms and
counterfactuals* (Nasr-Esfahany, Alizadeh, Shah 2023): right graph or order, independent
noises, mechanisms monotone in a scalar noise. (c) *iVAE* (Khemakhem et al. 2020): shown in
the notebook on a toy, for given the pendulum's labels its factors are constants.

Every variant differs from ``REFERENCE`` in one thing. All are small (32 × 32 pixels) and
live on the noisy pendulum, where abduction has something to find.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy import stats
from torch import Tensor, nn

from caufvae_lite.caufvae import CauFVAE
from caufvae_lite.data import FactorDataset
from caufvae_lite.factor_vae import Terms
from caufvae_lite.graph import CausalGraph
from caufvae_lite.history import History
from caufvae_lite.metrics import drift, r2
from caufvae_lite.studies import core
from caufvae_lite.studies.base import Key, Study, seed_by_seed
from caufvae_lite.training import fit
from caufvae_lite.worlds import Pendulum
from caufvae_lite.worlds.examination import Examination, Score, alignment
from caufvae_lite.worlds.pendulum import BOTTOM, TOP

__all__ = ["HIDDEN_CAUSE", "REFERENCE", "STUDY", "VARIANTS", "data_of", "examine_variant"]
__all__ += ["fit_variant", "reversed_graph"]

IMAGE_SIZE = 32
EPOCHS = 8
WORLD = "pendulum-noisy-32"  # in the results' column ``world``
HIDDEN_CAUSE = 0.8  # correlation of the light angle with each of the shadow's noises
CLOUD = 16.0  # in axis units: whatever is higher up is hidden


class HiddenCausePendulum(Pendulum):
    """Something unseen moves the lamp *and* the shadow: no noise is independent of it.

    The shadow's noise is σ (ρ l + √(1 − ρ²) e), with l the standardised light angle. A
    counterfactual keeps it, since turning the lamp by hand does not touch the hidden cause.
    """

    def exogenous(self, factors: Tensor, generator: torch.Generator) -> Tensor:
        light = factors[:, 1:2]
        own = super().exogenous(factors, generator)
        shared = self.noise * (light - light.mean()) / light.std()
        return HIDDEN_CAUSE * shared + (1 - HIDDEN_CAUSE**2) ** 0.5 * own


class BimodalPendulum(Pendulum):
    """The shadow's noise has two peaks, at ±0.95 σ, and standard deviation σ."""

    def exogenous(self, factors: Tensor, generator: torch.Generator) -> Tensor:
        side = torch.randint(2, (len(factors), 2), generator=generator) * 2 - 1
        own = super().exogenous(factors, generator)
        return 0.95 * self.noise * side + (1 - 0.95**2) ** 0.5 * own


class CloudedPendulum(Pendulum):
    """A white cloud hides the sun in every picture: the light angle is not to be seen."""

    def render(self, factors: Tensor) -> Tensor:
        images = super().render(factors)
        images[:, :, : self.hidden_rows] = 1.0
        return images

    @property
    def hidden_rows(self) -> int:
        """How many rows of pixels, from the top, the cloud covers."""
        return round((TOP - CLOUD) / (TOP - BOTTOM) * self.image_size)


class LabelReadingCauFVAE(CauFVAE):
    """Its encoder reads the labels beside the picture, as it can in training only.

    h(x, u) = h(x) + W u for labelled training rows, and h(x) when there is no label. The
    published encoder probably reads labels (our reconstruction of it); this linear shortcut
    is a simple relative of it that can be asked about a new picture at all.
    """

    def __init__(self, graph: CausalGraph, *args, **kwargs):
        super().__init__(graph, *args, **kwargs)
        self.read = nn.Linear(len(graph), len(graph), bias=False)
        nn.init.zeros_(self.read.weight)
        self._labels_at_hand: Tensor | None = None

    def row_terms(self, images: Tensor, factors: Tensor, draws: Tensor) -> Terms:
        labels = self.standardise(factors, len(images))
        self._labels_at_hand = torch.where(torch.isnan(labels), 0.0, labels)
        try:
            return super().row_terms(images, factors, draws)
        finally:
            self._labels_at_hand = None

    def proposal(self, images: Tensor) -> tuple[Tensor, Tensor]:
        mean, raw = super().proposal(images)
        if self._labels_at_hand is None:
            return mean, raw
        told = self.read(self._labels_at_hand)
        return torch.cat([mean[:, : told.shape[1]] + told, mean[:, told.shape[1] :]], -1), raw


def reversed_graph(graph: CausalGraph) -> CausalGraph:
    """Every arrow the wrong way round: the shadow moves the lamp."""
    return CausalGraph(graph.nodes, [(effect, cause) for cause, effect in graph.edges])


@dataclass(frozen=True)
class Variant:
    """One experiment: what is broken, and how world, graph, labels or model differ."""

    name: str
    breaks: str
    world: type[Pendulum] = Pendulum
    graph: Callable[[CausalGraph], CausalGraph] = lambda graph: graph
    labels: float = 1.0
    model: type[CauFVAE] = CauFVAE


REFERENCE = Variant("all as assumed", "nothing")
_VARIANTS = (
    REFERENCE,
    Variant("10 % labels", "enough labels", labels=0.1),
    Variant("1 % labels", "enough labels", labels=0.01),
    Variant("no labels", "labels at all", labels=0.0),
    Variant("occluded sun", "the picture determines u", world=CloudedPendulum),
    Variant("labels in the encoder", "it reads pictures only", model=LabelReadingCauFVAE),
    Variant("empty graph", "the right graph", graph=CausalGraph.without_edges),
    Variant("reversed graph", "the right graph", graph=reversed_graph),
    Variant("order only", "the graph, not its order", graph=CausalGraph.order_only),
    Variant("hidden cause", "independent noises", world=HiddenCausePendulum),
    Variant("bimodal noise", "normal noises", world=BimodalPendulum),
)
VARIANTS = {variant.name: variant for variant in _VARIANTS}


def data_of(variant: Variant) -> tuple[Pendulum, FactorDataset, FactorDataset]:
    """The variant's world, training rows and test rows."""
    world = variant.world(IMAGE_SIZE, noise=core.PENDULUM_NOISE)
    return world, *world.grid().split("published")


def fit_variant(
    variant: Variant, seed: int, device="cpu", progress: bool = True
) -> tuple[CauFVAE, History]:
    """Fit the variant's model to its world; without labels both label terms are off."""
    world, rows, _ = data_of(variant)
    supervised = variant.labels > 0
    torch.manual_seed(seed)
    model = variant.model(
        variant.graph(world.graph),
        (3, IMAGE_SIZE, IMAGE_SIZE),
        supervision=core.CORE_SUPERVISION if supervised else 0.0,
        label_likelihood=5.0 if supervised else 0.0,
    )
    history = fit(
        model, rows, epochs=EPOCHS, seed=seed, device=device,
        label_fraction=variant.labels if supervised else 1.0, progress=progress,
        calibrate=False,
    )  # fmt: skip
    return model, history


def examine_variant(model: CauFVAE, world: Pendulum, test: FactorDataset) -> list[Score]:
    """Alignment, counterfactuals and leakage: which statement holds for this model?

    ``r2`` is without a refit, and ``refit`` after the linear map of all latents that suits the
    test rows best; ``latent r2`` is of the effects against the world; ``latent drift`` is of
    what the true graph puts out of reach, in standard deviations, and ``drift`` after
    do(shadow_length) the same, measured in decoded pictures; ``noise ks`` is the distance of
    the abducted noise from the standard normal that the model claims it has.
    """
    nodes, exam = world.graph.nodes, Examination(model, world, test)
    found = model.factors(test.images).cpu()
    inputs = np.column_stack([found.numpy(), np.ones(len(found))])
    solution = np.linalg.lstsq(inputs, test.factors.numpy(), rcond=None)[0]
    refitted = np.atleast_1d(r2(test.factors, inputs @ solution)).tolist()
    scores = alignment(model, test)
    scores += [Score("", "refit", *pair) for pair in zip(nodes, refitted, strict=True)]
    for name in nodes:
        answer = exam.ask([name])
        changed = answer.found.factors.cpu()
        moves = drift(found, changed, test.factors.std(0))
        for i, node in enumerate(nodes):
            if node in world.graph.descendants(name):
                scores.append(
                    answer.score("latent r2", node, r2(answer.truth[:, i], changed[:, i]))
                )
            elif node != name:
                scores.append(answer.score("latent drift", node, moves[i]))
    if not isinstance(world, CloudedPendulum):  # the ruler needs to see the sun
        drawn = exam.set_effect("shadow_length")
        scores += [s for s in drawn if s.measure not in ("in support", "in support drift")]
    noise = model.encode(test.images).mean.detach().cpu().numpy()
    for i, node in enumerate(nodes):
        if world.graph.parents(node):
            distance = float(stats.kstest(noise[:, i], "norm").statistic)
            scores.append(Score("", "noise ks", node, distance))
    return scores


def compute(key: Key) -> list[Score]:
    variant = VARIANTS[key[0]]
    world, _, test = data_of(variant)
    model, _ = fit_variant(variant, key[2], progress=False)
    return examine_variant(model, world, test)


def configuration(key: Key) -> dict[str, Any]:
    variant = VARIANTS[key[0]]
    return {
        "variant": variant.name, "world": variant.world.__name__, "seed": key[2],
        "graph": variant.graph(Pendulum().graph).edges, "labels": variant.labels,
        "model": variant.model.__name__, "noise": core.PENDULUM_NOISE, "epochs": EPOCHS,
        "supervision": core.CORE_SUPERVISION, "image_size": IMAGE_SIZE,
        "hidden_cause": HIDDEN_CAUSE, "cloud": CLOUD,
    }  # fmt: skip


STUDY = Study("identifiability", seed_by_seed(WORLD, VARIANTS), configuration, compute)
