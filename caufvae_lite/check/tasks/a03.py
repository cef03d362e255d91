"""Assignment 03: the terms of the evidence bound, and the loss of CauF-VAE."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from caufvae_lite.check.exercise import Exercise, Reference
from caufvae_lite.check.tasks.a01 import HALF_LOG, draws
from caufvae_lite.check.variants import Variant

SPREADS: dict[str, Callable[[Tensor], Tensor]] = {
    "log σ": torch.exp,
    "log σ²": lambda spread: spread.exp().sqrt(),
    "log 1/σ²": lambda spread: spread.exp().rsqrt(),
    "softplus": lambda spread: torch.log1p(spread.exp()),
}  # what an encoder may say of its posterior's spread → its standard deviation


def posterior_draw(v: Variant, mean: Tensor, spread: Tensor, draw: Tensor) -> Tensor:
    return torch.addcmul(mean, SPREADS[v["spread"]](spread), draw)


def kl(v: Variant, mean: Tensor, spread: Tensor) -> Tensor:
    standard = Normal(torch.zeros_like(mean), 1.0)
    return kl_divergence(Normal(mean, SPREADS[v["spread"]](spread)), standard).sum(-1)


def misread(reference: Reference) -> dict[str, Reference]:
    """The answers of those who take the spread for what it is not this year."""

    def taken_for(one: str) -> Reference:
        return lambda v, *arguments: reference({**v, "spread": one}, *arguments)

    return {
        f"The spread was taken for {one}: what does this year's network say?": taken_for(one)
        for one in SPREADS
    }


def pixels(v: Variant, images: Tensor, logits: Tensor) -> Tensor:
    logits = logits / v["temperature"]
    return (F.softplus(logits) - images * logits).sum((1, 2, 3))


def kl_flow(v: Variant, noise, mean, spread, log_det, log_prior) -> Tensor:
    log_q = Normal(mean, SPREADS[v["spread"]](spread)).log_prob(noise).sum(-1)
    return log_q - log_det - log_prior


def supervise(v: Variant, found: Tensor, labels: Tensor) -> Tensor:
    off = (found - labels).nan_to_num(0.0).abs()
    return F.relu(off - v["tolerance"]).square().sum(-1)


def strict(v: Variant, found: Tensor, labels: Tensor) -> Tensor:
    return supervise({**v, "tolerance": 0.0}, found, labels)


def loss(v: Variant, reconstruction, kl, found, labels, label_log_prob) -> Tensor:
    rows = reconstruction + kl + v["supervision"] * supervise(v, found, labels)
    return (rows - v["label_weight"] * label_log_prob).mean()


def never_negative(v: Variant, arguments: tuple, got: Any) -> str:
    return "a KL divergence is never negative, and this one is" if np.min(got) < -1e-6 else ""


def gaussians(count: int):
    def cases(v: Variant, rng: np.random.Generator):
        for n, d in ((4, 4), (6, 3), (1, 7)):
            parts = [draws(rng, n, d), 0.5 * draws(rng, n, d) - 0.3, draws(rng, n, d)]
            yield tuple(parts[:count])

    return cases


def labelled(v: Variant, rng: np.random.Generator, n: int, d: int) -> tuple[Tensor, Tensor]:
    """Some labels are missing, and two others lie just within and beyond the tolerance."""
    found, labels = draws(rng, n, d), draws(rng, n, d)
    labels[torch.from_numpy(rng.random((n, d)) < 0.4)] = torch.nan
    labels[0, 0] = torch.nan
    labels[-1, -1] = found[-1, -1] + 0.7 * v["tolerance"]
    labels[-1, 0] = found[-1, 0] - 1.5 * v["tolerance"]
    return found, labels


def loss_cases(v: Variant, rng: np.random.Generator):
    for n, d in ((5, 4), (3, 2)):
        found, labels = labelled(v, rng, n, d)
        yield 50 + draws(rng, n), 3 + draws(rng, n), found, labels, draws(rng, n)


EXERCISES = [
    Exercise(
        "03-draw", "A draw that lets gradients through", "posterior_draw", 2, (2, 4, "easy"),
        posterior_draw, "mean + σ · draw, with σ made of the spread: no call of a sampler.",
        gaussians(3),
        {"The spread itself was taken for σ; it may be negative.":
             lambda v, m, s, e: m + s * e, **misread(posterior_draw)},
        gradient=(1,), varies=True,
    ),
    Exercise(
        "03-kl", "The price of a posterior", "kl_to_prior", 3, (3, 7, "medium"),
        kl, "½ (μ² + σ² − 1) − log σ for every factor, summed over factors.",
        gaussians(2),
        {"A sum over factors is asked for, one number for each row.":
             lambda v, m, s: kl(v, m, s) / m.shape[1], **misread(kl)},
        (never_negative,),
        gradient=(1,), varies=True,
    ),
    Exercise(
        "03-pixels", "Nats per image", "reconstruction", 2, (3, 6, "easy"),
        pixels, "binary_cross_entropy_with_logits(…, reduction='none'), summed per image.",
        lambda v, rng: [(torch.from_numpy(rng.random((n, c, 5, 4))),
                         size * draws(rng, n, c, 5, 4))
                        for n, c, size in ((3, 3, 2), (2, 1, 90))],
        {"A mean over pixels makes the picture count as much as one pixel.":
             lambda v, x, y: pixels(v, x, y) / x[0].numel(),
         "One number for each image is asked for, not one for the batch.":
             lambda v, x, y: pixels(v, x, y).sum(),
         "The logits come first and the picture second: the two were exchanged.":
             lambda v, x, y: pixels({**v, "temperature": 1.0}, y / v["temperature"], x),
         "The logits have to be divided by the temperature.":
             lambda v, x, y: pixels({**v, "temperature": 1.0}, x, y),
         "The temperature divides the logits; here it multiplies them.":
             lambda v, x, y: pixels({**v, "temperature": 1 / v["temperature"]}, x, y)},
        varies=True,
    ),
    Exercise(
        "03-kl-flow", "The KL through a flow", "kl_through_flow", 3, (4, 15, "hard"),
        kl_flow, "log q(z|x) = log q(ε|x) − log|det ∂z/∂ε|; then subtract log p(z).",
        lambda v, rng: [(*(g := [draws(rng, n, d) for _ in range(2)]), 0.4 * g[0] - 0.2,
                         draws(rng, n), draws(rng, n)) for n, d in ((5, 4), (3, 6))],
        {"The flow stretches, so the density sinks: the log-determinant is subtracted.":
             lambda v, e, m, s, j, p: kl_flow(v, e, m, s, j, p) + 2 * j,
         "The log-determinant is missing: it cancels only if the prior goes through the flow.":
             lambda v, e, m, s, j, p: kl_flow(v, e, m, s, j, p) + j,
         "The density of the noise under q is missing its constant.":
             lambda v, e, m, s, j, p: kl_flow(v, e, m, s, j, p) + HALF_LOG * e.shape[1],
         "A divergence subtracts the prior's log-density.":
             lambda v, e, m, s, j, p: kl_flow(v, e, m, s, j, p) + 2 * p, **misread(kl_flow)},
        varies=True,
    ),
    Exercise(
        "03-labels", "Labels, some of them missing", "supervision", 2, (4, 11, "medium"),
        supervise, "Replace a NaN before anything is computed with it: 0 · NaN is NaN, in the "
        "gradient, too.",
        lambda v, rng: [labelled(v, rng, n, d) for n, d in ((5, 4), (3, 6), (2, 1))],
        {"A sum over the factors that are known is asked for, and this is their mean.":
             lambda v, f, u: supervise(v, f, u) / (~u.isnan()).sum(-1).clamp(min=1),
         "A missing label must cost nothing; here it counts as 0.":
             lambda v, f, u: supervise(v, f, u.nan_to_num(0.0)),
         "A deviation within the tolerance costs nothing, and one beyond it only the rest.":
             strict,
         "Within the tolerance the cost is 0: (|difference| − tolerance) must not be negative.":
             lambda v, f, u: ((f - u).abs() - v["tolerance"]).square().nan_to_num(0.0).sum(-1),
         "The distance is to be squared.":
             lambda v, f, u: F.relu((f - u).nan_to_num(0.0).abs() - v["tolerance"]).sum(-1)},
        gradient=(0,), varies=True,
    ),
    Exercise(
        "03-loss", "The loss of CauF-VAE", "total_loss", 3, (5, 7, "medium"),
        loss, "Every term is a price but the label likelihood, which is subtracted.",
        loss_cases,
        {"A likelihood is to be large: in a loss it is subtracted.":
             lambda v, r, k, f, u, p: loss(v, r, k, f, u, -p),
         "The batch's mean is asked for, not its sum.":
             lambda v, r, k, f, u, p: loss(v, r, k, f, u, p) * len(r)},
        gradient=(0, 1, 2, 4), uses=("03-labels",), varies=True,
    ),
]  # fmt: skip
