r"""iVAE-style: a prior conditioned on the labels, and no graph (Khemakhem et al. 2020).

Published: p(z | u) = Π_i N(μ_i(u), σ_i²(u)), each factor's parameters read off the *whole*
label vector; the encoder reads picture and labels; nothing else ties z to u, which is found
up to permutation and scale. Changed here: the encoder reads the picture only, so that a
new picture can be asked about, and the supervision that all models with labels share names
the factors. There is no graph: do() sets a factor and nothing propagates.
"""

from typing import Any

import torch
from torch import Tensor

from caufvae_lite.baselines.recipe import LABELS, SUPERVISION_TRIALS, Recipe
from caufvae_lite.caufvae import CauFVAE, LabelPrior
from caufvae_lite.graph import CausalGraph
from caufvae_lite.networks import ImageShape

FIXED: dict[str, Any] = {"prior": "label", "label_likelihood": 0.0}


class WholeLabelPrior(LabelPrior):
    """μ_i and σ_i of each factor from all d labels (and from which of them are known)."""

    def read(self, known: Tensor, observed: Tensor) -> list[Tensor]:
        return [torch.cat([known, observed.to(known)], -1)] * known.shape[1]


class IVAE(CauFVAE):
    """An iVAE with named factors. The arguments are `CauFVAE`'s, without those of `FIXED`."""

    def __init__(
        self, graph: CausalGraph, image_shape: ImageShape = (3, 64, 64), **options: Any
    ):
        super().__init__(graph.without_edges(), image_shape, **FIXED, **options)
        self.label_prior = WholeLabelPrior(len(graph), inputs=2 * len(graph))

    def config(self) -> dict[str, Any]:
        return {k: v for k, v in super().config().items() if k not in FIXED}


RECIPES = {"iVAE-style": Recipe(IVAE, LABELS, SUPERVISION_TRIALS)}
