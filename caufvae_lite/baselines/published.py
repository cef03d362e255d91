r"""CauF-VAE as published, as near as its abstract and reviews let us come (Fan et al. 2023).

Published, to our knowledge: the encoder reads picture *and* labels, q(ε | x, u); the prior is
one of noise times one of factors given labels, p(ε, z | u) = p(ε) p(z | u), so that the bound
has two KLs as CausalVAE's does; and the factors are supervised. Our other reconstructions keep
one part of it each: ``prior="scm"`` is p(ε), and ``prior="label"`` is p(z | u).

At test time nobody knows the labels, and the encoder is given the picture alone. An encoder
that always had labels has learned to copy them. So there is a second version, which in
training is shown the labels of one row in two only (``label_dropout``).

Changed here: networks, supervision and p(z | u) are those of all models here; a small network
merges what the convolutions found with the labels and with which of them are known.
"""

from typing import Any

import torch
from torch import Tensor, nn

from caufvae_lite.baselines.recipe import LABELS, Recipe, grid
from caufvae_lite.caufvae import CauFVAE
from caufvae_lite.graph import CausalGraph
from caufvae_lite.networks import ImageShape
from caufvae_lite.posterior import Posterior, kl_from_standard_normal

FIXED: dict[str, Any] = {"prior": "label"}


class PublishedCauFVAE(CauFVAE):
    """CauF-VAE with both priors, and an encoder that reads labels while it is trained.

    ``label_dropout`` is the share of the training rows whose labels the encoder does not see.
    The other options are `CauFVAE`'s, without those of `FIXED`.
    """

    def __init__(
        self,
        graph: CausalGraph,
        image_shape: ImageShape = (3, 64, 64),
        label_likelihood: float = 0.0,
        label_dropout: float = 0.0,
        **options: Any,
    ):
        super().__init__(
            graph, image_shape, label_likelihood=label_likelihood, **FIXED, **options
        )
        if not 0 <= label_dropout <= 1:
            raise ValueError(f"label_dropout must be a share from 0 to 1, got {label_dropout}.")
        self.label_dropout = float(label_dropout)
        outputs = self.encoder.shortcut.out_features
        self.merge = nn.Sequential(
            nn.Linear(outputs + 2 * len(graph), 64), nn.SiLU(), nn.Linear(64, outputs)
        )

    def config(self) -> dict[str, Any]:
        own = {k: v for k, v in super().config().items() if k not in FIXED}
        return {**own, "label_dropout": self.label_dropout}

    def proposal(self, images: Tensor) -> tuple[Tensor, Tensor]:
        unknown = self.mean.new_full((len(images), len(self.graph)), torch.nan)
        return self.proposal_with(images, unknown)

    def proposal_with(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """What `proposal` returns, when standardised labels ``(n, d)`` are known, or NaN."""
        found = torch.cat(super().proposal(images), -1)
        observed = (~torch.isnan(labels)).to(found)
        both = torch.cat([found, torch.nan_to_num(labels), observed], -1)
        mean, raw = (found + self.merge(both)).tensor_split([self.latent_dims], -1)
        return mean, raw

    def training_posterior(self, images: Tensor, labels: Tensor, draws: Tensor) -> Posterior:
        low_digits = torch.frac(draws[:, :1].abs() * 1024)  # of a draw: a number in [0, 1)
        shown = labels.masked_fill(low_digits < self.label_dropout, torch.nan)
        return self.posterior_around(*self.proposal_with(images, shown))

    def kl(
        self, q: Posterior, noise: Tensor, factors: Tensor, log_det: Tensor, labels: Tensor
    ) -> Tensor:
        """Both KLs ``(n,)``: from p(ε) in closed form, and from p(z | u) by Monte Carlo."""
        from_labels = super().kl(q, noise, factors, log_det, labels)
        return kl_from_standard_normal(q) + from_labels


_TRIALS = grid(kl_weight=(1.0, 0.1, 0.01), supervision=(60.0, 180.0))
_BEST = {**LABELS, "kl_weight": 1.0}
RECIPES = {
    "CauF-VAE as published": Recipe(PublishedCauFVAE, _BEST, _TRIALS[1::2], completed=True),
    "CauF-VAE as published, labels dropped": Recipe(
        PublishedCauFVAE, {**_BEST, "label_dropout": 0.5}, _TRIALS
    ),
}
