"""Assignment 03: the terms of the evidence bound, and the loss of CauF-VAE."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from caufvae_lite.check.exercise import Exercise
from caufvae_lite.check.tasks.a01 import HALF_LOG, draws
from caufvae_lite.check.variants import Variant


def posterior_draw(v: Variant, mean: Tensor, log_std: Tensor, draw: Tensor) -> Tensor:
    return torch.addcmul(mean, log_std.exp(), draw)


def kl(v: Variant, mean: Tensor, log_std: Tensor) -> Tensor:
    standard = Normal(torch.zeros_like(mean), 1.0)
    return kl_divergence(Normal(mean, log_std.exp()), standard).sum(-1)


def pixels(v: Variant, images: Tensor, logits: Tensor) -> Tensor:
    terms = F.binary_cross_entropy_with_logits(logits, images, reduction="none")
    return terms.flatten(1).sum(1)


def kl_flow(v: Variant, noise, mean, log_std, log_det, log_prior) -> Tensor:
    return Normal(mean, log_std.exp()).log_prob(noise).sum(-1) - log_det - log_prior


def supervise(v: Variant, found: Tensor, labels: Tensor) -> Tensor:
    return (found - labels).nan_to_num(0.0).square().sum(-1)


def loss(v: Variant, reconstruction, kl_, found, labels, label_log_prob) -> Tensor:
    rows = reconstruction + kl_ + v["supervision"] * supervise(v, found, labels)
    return (rows - v["label_weight"] * label_log_prob).mean()


def gaussians(count: int):
    def cases(v: Variant, rng: np.random.Generator):
        for n, d in ((4, 4), (6, 3), (1, 7)):
            parts = [draws(rng, n, d), 0.5 * draws(rng, n, d) - 0.3, draws(rng, n, d)]
            yield tuple(parts[:count])

    return cases


def labelled(rng: np.random.Generator, n: int, d: int) -> tuple[Tensor, Tensor]:
    labels = draws(rng, n, d)
    labels[torch.from_numpy(rng.random((n, d)) < 0.4)] = torch.nan
    labels[0, 0] = torch.nan
    return draws(rng, n, d), labels


def loss_cases(v: Variant, rng: np.random.Generator):
    for n, d in ((5, 4), (3, 2)):
        found, labels = labelled(rng, n, d)
        yield 50 + draws(rng, n), 3 + draws(rng, n), found, labels, draws(rng, n)


EXERCISES = [
    Exercise(
        "03-draw", "A draw that lets gradients through", "posterior_draw", 2, (1, 6, "easy"),
        posterior_draw, "mean + std · draw, with std = exp(log_std): no call of a sampler.",
        gaussians(3),
        {"exp(log_std) is the standard deviation; log_std itself may be negative.":
             lambda v, m, s, e: m + s * e,
         "The network says log σ, not log σ²: nothing is to be halved.":
             lambda v, m, s, e: m + (s / 2).exp() * e},
        gradient=1,
    ),
    Exercise(
        "03-kl", "The price of a posterior", "kl_to_prior", 3, (3, 12, "medium"),
        kl, "½ (μ² + σ² − 1) − log σ for every factor, summed over factors.",
        gaussians(2),
        {"A sum over factors is asked for, one number for each row.":
             lambda v, m, s: kl(v, m, s) / m.shape[1],
         "σ² is exp(2 log σ).": lambda v, m, s: (0.5 * (m**2 + s.exp() - 1) - s).sum(1)},
        gradient=1,
    ),
    Exercise(
        "03-pixels", "Nats per image", "reconstruction", 2, (3, 8, "easy"),
        pixels, "binary_cross_entropy_with_logits(…, reduction='none'), summed per image.",
        lambda v, rng: [(torch.from_numpy(rng.random((n, c, 5, 4))), 2 * draws(rng, n, c, 5, 4))
                        for n, c in ((3, 3), (2, 1))],
        {"A mean over pixels makes the picture count as much as one pixel.":
             lambda v, x, y: pixels(v, x, y) / x[0].numel(),
         "One number for each image is asked for, not one for the batch.":
             lambda v, x, y: pixels(v, x, y).sum()},
    ),
    Exercise(
        "03-kl-flow", "The KL through a flow", "kl_through_flow", 3, (4, 15, "hard"),
        kl_flow, "log q(z|x) = log q(ε|x) − log|det ∂z/∂ε|; then subtract log p(z).",
        lambda v, rng: [(*(g := [draws(rng, n, d) for _ in range(2)]), 0.4 * g[0] - 0.2,
                         draws(rng, n), draws(rng, n)) for n, d in ((5, 4), (3, 6))],
        {"The flow stretches, so the density sinks: the log-determinant is subtracted.":
             lambda v, e, m, s, j, p: kl_flow(v, e, m, s, j, p) + 2 * j,
         "The density of the noise under q is missing its constant.":
             lambda v, e, m, s, j, p: kl_flow(v, e, m, s, j, p) + HALF_LOG * e.shape[1],
         "A divergence subtracts the prior's log-density.":
             lambda v, e, m, s, j, p: kl_flow(v, e, m, s, j, p) + 2 * p},
    ),
    Exercise(
        "03-labels", "Labels, some of them missing", "supervision", 2, (4, 10, "medium"),
        supervise, "Ask torch.isnan first, and let a missing label cost 0.",
        lambda v, rng: [labelled(rng, n, d) for n, d in ((5, 4), (3, 6), (2, 1))],
        {"A sum over the factors that are known is asked for, and this is their mean.":
             lambda v, f, u: supervise(v, f, u) / (~u.isnan()).sum(-1).clamp(min=1),
         "A missing label must cost nothing; here it counts as 0.":
             lambda v, f, u: (f - u.nan_to_num(0.0)).square().sum(-1)},
        gradient=0,
    ),
    Exercise(
        "03-loss", "The loss of CauF-VAE", "total_loss", 3, (5, 12, "medium"),
        loss, "Every term is a price but the label likelihood, which is subtracted.",
        loss_cases,
        {"A likelihood is to be large: in a loss it is subtracted.":
             lambda v, r, k, f, u, p: loss(v, r, k, f, u, -p),
         "The batch's mean is asked for, not its sum.":
             lambda v, r, k, f, u, p: loss(v, r, k, f, u, p) * len(r)},
        uses=("03-labels",), varies=True,
    ),
]  # fmt: skip
