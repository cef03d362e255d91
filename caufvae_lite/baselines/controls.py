"""Two controls: how much of a causal VAE's score is the labels', and how much the VAE's?

*No KL* is CauF-VAE whose KL weighs nothing: a regression of the labels on pictures, a flow
that is fitted to labels, and a decoder, trained together. *Two stages* goes one step further.
Encoder and flow learn from labels alone, as if no decoder were there, and the decoder learns
to draw what they say. Neither is a published model. Where a control scores as high as the
models above it, the evidence bound has added nothing.
"""

import torch
from torch import Tensor

from caufvae_lite.baselines import recipe
from caufvae_lite.caufvae import CauFVAE
from caufvae_lite.factor_vae import Terms


class TwoStages(CauFVAE):
    """A `CauFVAE` whose reconstruction trains the decoder only, from the posterior's mean.

    (Both stages run side by side here. No gradient goes from the second to the first, so the
    first learns the same as if it had run alone.) Give it ``kl_weight=0``: a KL would train the
    encoder too.
    """

    def row_terms(self, images: Tensor, factors: Tensor, draws: Tensor) -> Terms:
        return super().row_terms(images, factors, torch.zeros_like(draws))

    def draw(self, latents: Tensor, extra: Tensor) -> Tensor:
        return super().draw(latents.detach(), extra.detach())


_NO_KL = {**recipe.LABELS, "label_likelihood": 5.0, "kl_weight": 0.0}
_APART = {"supervision": 60.0, "label_likelihood": 20.0, "kl_weight": 0.0}
RECIPES = {
    "control: no KL": recipe.Recipe(CauFVAE, _NO_KL, recipe.LIKELIHOOD_TRIALS),
    "control: two stages": recipe.Recipe(TwoStages, _APART, recipe.LIKELIHOOD_TRIALS),
}
