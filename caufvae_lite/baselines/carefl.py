"""CAREFL's ordering: CauF-VAE that knows the causal order and not the graph.

Published (Khemakhem et al. 2021): an autoregressive affine flow over observed variables,
whose order is the causal one. Here it stands behind an encoder, as CauF-VAE's flow does:
the graph is replaced by `CausalGraph.order_only`, every edge that the order allows. What
the graph adds to the order is then the only difference to CauF-VAE. (The published flow has
several layers and a Laplace base; affine layers of one order compose to one, and the base
is normal here as everywhere.)
"""

from __future__ import annotations

from caufvae_lite.baselines.recipe import (
    LABELS,
    SUPERVISION_TRIALS,
    Recipe,
    with_and_without_likelihood,
)
from caufvae_lite.caufvae import CauFVAE
from caufvae_lite.graph import CausalGraph
from caufvae_lite.networks import ImageShape


class CareflVAE(CauFVAE):
    """`CauFVAE` on ``graph.order_only()``; the arguments are the same."""

    def __init__(
        self, graph: CausalGraph, image_shape: ImageShape = (3, 64, 64), **options: object
    ):
        super().__init__(graph.order_only(), image_shape, **options)  # type: ignore[arg-type]


RECIPES = with_and_without_likelihood(
    "CAREFL's order",
    Recipe(CareflVAE, {**LABELS, "label_likelihood": 0.0}, SUPERVISION_TRIALS),
)
