"""VAE: no labels, no graph (Kingma & Welling 2014).

Published: q(z | x) Gaussian, z ~ N(0, I). The same here, on the encoder and decoder that
all models share. A VAE does not know which latent is which factor, so after training each
factor is *matched* to one latent on the few labelled rows there are (100 on our scoreboard), by
the assignment with the largest correlations, and read off it by a least-squares line. Its
do() sets the matched latent; nothing propagates, for it knows no causes.
"""

from typing import Any

import torch
from torch import Tensor

from caufvae_lite.answers import inference_batch
from caufvae_lite.baselines.recipe import Recipe
from caufvae_lite.data import FactorDataset
from caufvae_lite.factor_vae import FactorVAE, some_of
from caufvae_lite.graph import CausalGraph
from caufvae_lite.interventions import Intervention, columns
from caufvae_lite.metrics.disentanglement import assignment
from caufvae_lite.networks import ImageShape

NO_LABELS: dict[str, Any] = {"label_likelihood": 0.0, "supervision": 0.0}
REACH = 4.0  # do() pushes no latent beyond this many standard deviations of its prior
SLOPE = 1e-3  # the smallest slope of a line, so that a dead latent has one too


class VAE(FactorVAE):
    """A plain VAE with as many latents as factors (and extra dims).

    Attributes:
        order: ``(d + extra_dims,)``, which of the networks' latents comes where: first the
            matched one of each factor, then the rest. The identity until `conclude`.
        slope, intercept: ``(d,)``, standardised factor = slope · latent + intercept.
    """

    order: Tensor
    slope: Tensor
    intercept: Tensor

    def __init__(
        self, graph: CausalGraph, image_shape: ImageShape = (3, 64, 64), extra_dims: int = 0
    ):
        super().__init__(graph.without_edges(), image_shape, extra_dims=extra_dims, **NO_LABELS)
        self.register_buffer("order", torch.arange(self.latent_dims))
        self.register_buffer("slope", torch.ones(len(graph)))
        self.register_buffer("intercept", torch.zeros(len(graph)))

    def config(self) -> dict[str, Any]:
        return {k: v for k, v in super().config().items() if k not in NO_LABELS}

    def latent_map(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        log_det = self.slope.abs().log().sum().expand(len(noise))
        return noise * self.slope + self.intercept, log_det

    def abduct(self, factors: Tensor) -> Tensor:
        return (factors - self.intercept) / self.slope

    def proposal(self, images: Tensor) -> tuple[Tensor, Tensor]:
        mean, raw = (part[:, self.order] for part in super().proposal(images))
        d = len(self.graph)
        return torch.cat([self.latent_map(mean[:, :d])[0], mean[:, d:]], -1), raw

    def draw(self, latents: Tensor, extra: Tensor) -> Tensor:
        codes = torch.cat([self.abduct(latents), extra], -1)
        return self.decoder(codes[:, torch.argsort(self.order)])

    def latent_do(self, noise: Tensor, do: Intervention) -> Tensor:
        factors, _ = self.latent_map(noise)
        reach = REACH * self.slope.abs()
        for i, value in columns(do, self.graph.nodes, noise).items():
            middle = self.intercept[i]
            factors[:, i] = value.clamp(middle - reach[i], middle + reach[i])
        return factors

    @torch.no_grad()
    def conclude(self, dataset: FactorDataset) -> None:
        """Match latents to factors on the rows whose labels are all there, or `some_of` them.

        Without such rows, or where a label never varies, the latents stay as they are, in the
        order of the networks.
        """
        complete = ~torch.isnan(dataset.factors).any(-1)
        rows = some_of(torch.nonzero(complete).flatten())
        if len(rows) < 3 or (dataset.factors[rows].std(0) == 0).any():
            return
        labels = self.standardise(dataset.factors[rows], len(rows))
        batches = rows.split(inference_batch(self.image_shape))
        codes = torch.cat([self.encoder(self.prepared(dataset.images[b])) for b in batches])
        codes = codes[:, : self.latent_dims]
        matched = list(assignment(labels.cpu(), codes.cpu()))
        rest = [k for k in range(self.latent_dims) if k not in matched]
        self.order.copy_(torch.tensor(matched + rest))
        codes = codes[:, matched]
        spread = codes - codes.mean(0)
        variance = spread.square().mean(0).clamp_min(1e-12)
        slope = (spread * (labels - labels.mean(0))).mean(0) / variance
        self.slope.copy_(torch.copysign(slope.abs().clamp_min(SLOPE), slope))
        self.intercept.copy_(labels.mean(0) - self.slope * codes.mean(0))


RECIPES = {"VAE": Recipe(VAE, {}, (), supervised=False)}  # it has no weights to search
