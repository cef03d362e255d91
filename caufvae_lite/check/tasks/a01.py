"""Assignment 01: a density through a map, and the affine step of a flow."""

import math

import numpy as np
import torch
from torch import Tensor

from caufvae_lite.check.exercise import Exercise
from caufvae_lite.check.properties import log_det_of_differences, nudged
from caufvae_lite.check.values import Net
from caufvae_lite.check.variants import Variant

HALF_LOG = 0.5 * math.log(2 * math.pi)


def draws(rng: np.random.Generator, *shape: int) -> Tensor:
    return torch.from_numpy(rng.normal(size=shape))


def standard(noise: Tensor) -> Tensor:
    return torch.distributions.Normal(0.0, 1.0).log_prob(noise)


def stretch(v: Variant, noise: Tensor) -> Tensor:
    a, b, c = v["stretch"]
    return standard(noise) - torch.log(a + b * c / torch.cosh(c * noise) ** 2)


def bounded(v: Variant, raw: Tensor) -> Tensor:
    low, high = v["low"], v["high"]
    return low + (high - low) / (1 + (high / -low) * torch.exp(-raw))


def step(v: Variant, noise: Tensor, s: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    return torch.addcmul(t, noise, s.exp()), torch.einsum("ni->n", s)


def undo(v: Variant, z: Tensor, s: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    return (z - t) / s.exp(), -torch.einsum("ni->n", s)


def score(v: Variant, z: Tensor, s: Tensor, t: Tensor) -> Tensor:
    return torch.distributions.Normal(t, s.exp()).log_prob(z).sum(-1)


def coupling(v: Variant, noise: Tensor, network: Net) -> tuple[Tensor, Tensor]:
    kept, moved = noise.tensor_split([noise.shape[1] // 2], dim=1)
    s, t = network(kept)
    return torch.hstack([kept, t + moved * s.exp()]), torch.einsum("ni->n", s)


def step_cases(v: Variant, rng: np.random.Generator):
    for n, d in ((5, 3), (1, 6), (4, 1)):
        yield draws(rng, n, d), 0.7 * draws(rng, n, d), draws(rng, n, d)
    d = 4
    noise = torch.from_numpy(nudged(rng, d))
    yield noise, 0.7 * draws(rng, 1, d).expand_as(noise), draws(rng, 1, d).expand_as(noise)


def coupling_cases(v: Variant, rng: np.random.Generator):
    for n, d in ((5, 4), (6, 5), (3, 2)):
        yield draws(rng, n, d), Net.draw(rng, d // 2, d - d // 2, split=True)
    yield torch.from_numpy(nudged(rng, 5)), Net.draw(rng, 2, 3, split=True)


EXERCISES = [
    Exercise(
        "01-stretch", "The density behind a stretch", "log_density_after", 2, (3, 8, "easy"),
        stretch, "log p(z) = log p(ε) − log f′(ε), and the tanh has an inner derivative.",
        lambda v, rng: [(draws(rng, n),) for n in (1, 7, 40)],
        {"The stretch is added, but stretching thins: it must be subtracted.":
             lambda v, e: 2 * standard(e) - stretch(v, e),
         "The normal density's constant ½ log 2π is missing.":
             lambda v, e: stretch(v, e) + HALF_LOG},
        varies=True,
    ),
    Exercise(
        "01-bounded", "A scale that cannot explode", "bounded", 1, (2, 6, "easy"),
        bounded, "Shift the argument of the sigmoid by the logit of −low / (high − low).",
        lambda v, rng: [(4 * draws(rng, 9),), (torch.zeros(2).double(),)],
        {"At 0 this gives the middle of the interval, and it should give 0.":
             lambda v, r: v["low"] + (v["high"] - v["low"]) * torch.sigmoid(r),
         "A clamp has no gradient outside the interval; a smooth map is asked for.":
             lambda v, r: r.clamp(v["low"], v["high"])},
        gradient=0, varies=True,
    ),
    Exercise(
        "01-step", "One affine step and its log-determinant", "affine_step", 3, (2, 8, "easy"),
        step, "∂zᵢ/∂εᵢ = exp(sᵢ): its logarithm is sᵢ, summed over factors for each row.",
        step_cases,
        {"The log-determinant is a sum over factors, and this is their mean.":
             lambda v, e, s, t: (step(v, e, s, t)[0], s.mean(1)),
         "This sums over rows; every row has its own log-determinant.":
             lambda v, e, s, t: (step(v, e, s, t)[0], s.sum(0))},
        (log_det_of_differences(),), gradient=1,
    ),
    Exercise(
        "01-undo", "The step backwards", "undo_step", 2, (2, 6, "easy"),
        undo, "Solve z = ε·exp(s) + t for ε; the way back shrinks what the way out stretched.",
        step_cases,
        {"The log-determinant of the way back has the other sign.":
             lambda v, z, s, t: (undo(v, z, s, t)[0], s.sum(1)),
         "The shift has to go before the scale is undone.":
             lambda v, z, s, t: (z * (-s).exp() - t, -s.sum(1))},
        (log_det_of_differences(),),
    ),
    Exercise(
        "01-score", "How probable is a point?", "log_prob", 2, (3, 10, "medium"),
        score, "log p(z) = Σ log N(εᵢ; 0, 1) + the log-determinant of the way back.",
        step_cases,
        {"The log-determinant of the way back is added, not subtracted.":
             lambda v, z, s, t: score(v, z, s, t) + 2 * s.sum(1),
         "Every factor brings its constant ½ log 2π.":
             lambda v, z, s, t: score(v, z, s, t) + HALF_LOG * z.shape[1]},
        uses=("01-undo",),
    ),
    Exercise(
        "01-coupling", "A coupling step", "coupling", 3, (4, 12, "medium"),
        coupling, "Keep the first d // 2 columns, and read s and t for the others off them.",
        coupling_cases,
        {"The kept half passes as it is: it reads nothing and is not moved.":
             lambda v, e, net: (coupling(v, e, net)[0].flip(1), coupling(v, e, net)[1])},
        (log_det_of_differences(),), uses=("01-step",),
    ),
]  # fmt: skip
