"""CAREFL's ordering: CauF-VAE that knows the causal order and not the graph.

Published (Khemakhem et al. 2021): an autoregressive affine flow over observed variables,
whose order is the causal one. Here it stands behind an encoder, as CauF-VAE's flow does:
the graph is replaced by `CausalGraph.order_only`, every edge that the order allows. What
the graph adds to the order is then the only difference to CauF-VAE. (The published flow has
several layers and a Laplace base; affine layers of one order compose to one, and the base
is normal here as everywhere.)
"""

from typing import Any

from caufvae_lite.baselines import recipe
from caufvae_lite.caufvae import CauFVAE
from caufvae_lite.graph import CausalGraph


class CareflVAE(CauFVAE):
    """`CauFVAE` on ``graph.order_only()``; the arguments are the same."""

    def __init__(self, graph: CausalGraph, *args: Any, **options: Any):
        super().__init__(graph.order_only(), *args, **options)


_OPTIONS = {**recipe.LABELS, "label_likelihood": 0.0}
RECIPES = recipe.with_and_without_likelihood(
    "CAREFL's order", recipe.Recipe(CareflVAE, _OPTIONS, recipe.SUPERVISION_TRIALS)
)
