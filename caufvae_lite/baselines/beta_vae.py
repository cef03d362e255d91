"""β-VAE: a VAE whose KL weighs β (Higgins et al. 2017).

Published: reconstruction + β · KL, with β > 1 for more independent latents. The same here,
matched to factors as `VAE` is. On our scoreboard the search chooses β, and chose 0.25: less
pressure towards independence served dependent factors a little better than more.
"""

from typing import Any

from caufvae_lite.baselines.recipe import Recipe, grid
from caufvae_lite.baselines.vae import VAE
from caufvae_lite.graph import CausalGraph
from caufvae_lite.networks import ImageShape


class BetaVAE(VAE):
    """A `VAE` with ``beta`` times its KL, extra dims included."""

    def __init__(
        self,
        graph: CausalGraph,
        image_shape: ImageShape = (3, 64, 64),
        beta: float = 4.0,
        extra_dims: int = 0,
    ):
        super().__init__(graph, image_shape, extra_dims)
        if not (0 <= beta < float("inf")):
            raise ValueError(f"beta must be finite and 0 or more, got {beta}.")
        self.kl_weight = float(beta)

    def config(self) -> dict[str, Any]:
        return {**super().config(), "beta": self.kl_weight}


_TRIALS = grid(beta=(0.1, 0.25, 0.5, 2.0, 4.0, 8.0))
RECIPES = {"β-VAE": Recipe(BetaVAE, {"beta": 0.25}, _TRIALS, supervised=False)}
