r"""DeepSCM: flows for the attributes, a conditional VAE of pictures (Pawlowski et al. 2020).

Published: attributes are *observed*. Normalising flows model each attribute given its causes,
fitted by the likelihood of the labels. The picture is an effect of all of them: a conditional
VAE draws it, x ~ p(x | z, attributes) with z ~ N(0, I), and its encoder q(z | x, attributes)
reads them too. A counterfactual abducts the attributes' noises by the inverse flows and z by
that encoder, acts, and draws again.

Changed here: at test time no model is told the labels, so a regression reads the attributes
off the picture. It is trained by the labels alone, and shares its convolutions with the
encoder of z. Where a label is missing in training, its reading stands in for it. The flow of
every attribute is one location-scale layer, as in all models here (published: splines and
others). Networks are the shared ones.
"""

from typing import Any

import torch
from torch import Tensor, nn

from caufvae_lite.baselines.recipe import (
    LABELS,
    LIKELIHOOD_TRIALS,
    SCOREBOARD_LIKELIHOOD,
    Recipe,
)
from caufvae_lite.caufvae import CauFVAE
from caufvae_lite.factor_vae import Terms
from caufvae_lite.graph import CausalGraph
from caufvae_lite.networks import ImageShape
from caufvae_lite.posterior import drawn_from, kl_from_standard_normal, split

FIXED: dict[str, Any] = {"prior": "scm", "covariance": "diagonal", "label_reconstruction": 0.0}
CERTAIN = -30.0  # the raw spread of an attribute's noise: it is read, and not inferred


class DeepSCM(CauFVAE):
    """DeepSCM on the shared networks.

    ``style_dims`` is the size of z, to which ``extra_dims`` are added. The other options are
    `CauFVAE`'s, without those of `FIXED`.
    """

    def __init__(
        self,
        graph: CausalGraph,
        image_shape: ImageShape = (3, 64, 64),
        style_dims: int = 4,
        extra_dims: int = 0,
        **options: Any,
    ):
        if style_dims < 1:
            raise ValueError(f"style_dims must be 1 or more, got {style_dims}.")
        super().__init__(
            graph, image_shape, extra_dims=extra_dims + style_dims, **FIXED, **options
        )
        self.style_dims = int(style_dims)
        outputs = 2 * self.extra_dims
        self.merge = nn.Sequential(
            nn.Linear(outputs + len(graph), 64), nn.SiLU(), nn.Linear(64, outputs)
        )

    def config(self) -> dict[str, Any]:
        own = {k: v for k, v in super().config().items() if k not in FIXED}
        own["extra_dims"] -= self.style_dims
        return {**own, "style_dims": self.style_dims}

    def proposal(self, images: Tensor) -> tuple[Tensor, Tensor]:
        mean, raw = super().proposal(images)
        return self._with_attributes(mean, raw, self.bounded(mean[:, : len(self.graph)]))

    def _with_attributes(
        self, mean: Tensor, raw: Tensor, attributes: Tensor
    ) -> tuple[Tensor, Tensor]:
        """What `proposal` returns, with z read off the picture *and* ``attributes`` (n, d)."""
        d = len(self.graph)
        own = torch.cat([mean[:, d:], raw[:, d:]], -1)
        own = own + self.merge(torch.cat([own, attributes.detach()], -1))
        style, spread = own.chunk(2, -1)
        certain = torch.full_like(attributes, CERTAIN)
        return torch.cat([mean[:, :d], style], -1), torch.cat([certain, spread], -1)

    def row_terms(self, images: Tensor, factors: Tensor, draws: Tensor) -> Terms:
        images, d = self.prepared(images), len(self.graph)
        labels = self.standardise(factors, len(images))
        mean, raw = super().proposal(images)
        read = self.bounded(mean[:, :d])
        known = self.label_latents(torch.nan_to_num(labels))
        attributes = torch.where(torch.isnan(labels), read.detach(), known)
        q = self.posterior_around(*self._with_attributes(mean, raw, attributes))
        _, style = split(q, d)
        return {
            "reconstruction": self._picture_surprise(
                images, attributes, drawn_from(q, draws)[:, d:]
            ),
            "kl": kl_from_standard_normal(style),
            "supervision": self._misalignment(read, labels),
            "label_likelihood": self._label_surprise(labels),
        }


_BEST = {**LABELS, "label_likelihood": SCOREBOARD_LIKELIHOOD}
RECIPES = {"DeepSCM": Recipe(DeepSCM, _BEST, LIKELIHOOD_TRIALS)}
