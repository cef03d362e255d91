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


def step(v: Variant, noise: Tensor, raw: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    return torch.addcmul(t, noise, (v["gain"] * raw).exp()), v["gain"] * raw.sum(1)


def undo(v: Variant, z: Tensor, raw: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    return (z - t) / (v["gain"] * raw).exp(), -v["gain"] * raw.sum(1)


def score(v: Variant, z: Tensor, raw: Tensor, t: Tensor) -> Tensor:
    scale = v["noise_std"] * (v["gain"] * raw).exp()
    return torch.distributions.Normal(t, scale).log_prob(z).sum(-1)


def kept_columns(v: Variant, d: int) -> list[int]:
    """Which of d columns a coupling step leaves as they are."""
    columns = list(range(d))
    return {
        "first": columns[: d // 2],
        "last": columns[d - d // 2 :],
        "first of each pair": columns[::2],
        "second of each pair": columns[1::2],
    }[v["kept"]]


def coupling(v: Variant, noise: Tensor, network: Net) -> tuple[Tensor, Tensor]:
    kept = kept_columns(v, noise.shape[1])
    moved = [i for i in range(noise.shape[1]) if i not in kept]
    raw, t = network(noise[:, kept])
    step_, log_det = step(v, noise[:, moved], raw, t)
    back = np.argsort(kept + moved)  # every column to its place
    return torch.hstack([noise[:, kept], step_])[:, back], log_det


def step_cases(v: Variant, rng: np.random.Generator):
    for n, d in ((5, 3), (1, 6), (4, 1)):
        yield draws(rng, n, d), 0.7 * draws(rng, n, d), draws(rng, n, d)
    d = 4
    noise = torch.from_numpy(nudged(rng, d))
    yield noise, 0.7 * draws(rng, 1, d).expand_as(noise), draws(rng, 1, d).expand_as(noise)


def coupling_cases(v: Variant, rng: np.random.Generator):
    for n, d in ((5, 4), (6, 5), (3, 2)):
        k = len(kept_columns(v, d))
        yield draws(rng, n, d), Net.draw(rng, k, d - k, split=True)
    k = len(kept_columns(v, 5))
    yield torch.from_numpy(nudged(rng, 5)), Net.draw(rng, k, 5 - k, split=True)


EXERCISES = [
    Exercise(
        "01-stretch", "The density behind a stretch", "log_density_after", 2, (3, 10, "easy"),
        stretch, "log p(z) = log p(ε) − log f′(ε), and the tanh has an inner derivative.",
        lambda v, rng: [(draws(rng, n),) for n in (1, 7, 40)],
        {"The stretch is added, but stretching thins: it must be subtracted.":
             lambda v, e: 2 * standard(e) - stretch(v, e),
         "The normal density's constant ½ log 2π is missing.":
             lambda v, e: stretch(v, e) + HALF_LOG,
         "This is the density of the noise: the stretch is missing.": lambda v, e: standard(e),
         "The tanh's inner derivative is missing from the slope.":
             lambda v, e: standard(e) - torch.log(
                 v["stretch"][0] + v["stretch"][1] / torch.cosh(v["stretch"][2] * e) ** 2),
         "The bell is that of the noise: ask it at ε, not at z = f(ε).":
             lambda v, e: stretch(v, e) - standard(e) + standard(
                 v["stretch"][0] * e + v["stretch"][1] * torch.tanh(v["stretch"][2] * e))},
        varies=True,
    ),
    Exercise(
        "01-bounded", "A scale that cannot explode", "bounded", 1, (2, 6, "easy"),
        bounded, "Shift the argument of the sigmoid by the logit of −low / (high − low).",
        lambda v, rng: [(4 * draws(rng, 9),), (torch.zeros(2).double(),)],
        {"At 0 this gives the middle of the interval, and it should give 0.":
             lambda v, r: v["low"] + (v["high"] - v["low"]) * torch.sigmoid(r),
         "A clamp has no gradient outside the interval; a smooth map is asked for.":
             lambda v, r: r.clamp(v["low"], v["high"]),
         "The share of the interval that lies below 0 is σ(b), not b itself.":
             lambda v, r: v["low"] + (v["high"] - v["low"]) * torch.sigmoid(
                 r - v["low"] / (v["high"] - v["low"])),
         "b has the wrong sign: which share of the interval lies below 0?":
             lambda v, r: v["low"] + (v["high"] - v["low"]) * torch.sigmoid(
                 r + np.log(v["high"] / -v["low"]))},
        gradient=(0,), varies=True,
    ),
    Exercise(
        "01-step", "One affine step and its log-determinant", "affine_step", 3, (3, 6, "easy"),
        step, "∂zᵢ/∂εᵢ = exp(sᵢ): its logarithm is sᵢ, summed over factors for each row.",
        step_cases,
        {"The log-determinant is a sum over factors, and this is their mean.":
             lambda v, e, r, t: (step(v, e, r, t)[0], v["gain"] * r.mean(1)),
         "This sums over rows; every row has its own log-determinant.":
             lambda v, e, r, t: (step(v, e, r, t)[0], v["gain"] * r.sum(0)),
         "This is the determinant; its logarithm is asked for.":
             lambda v, e, r, t: (step(v, e, r, t)[0], step(v, e, r, t)[1].exp()),
         "The raw number was taken for the log-scale: s = gain · r.":
             lambda v, e, r, t: (e * r.exp() + t, r.sum(1))},
        (log_det_of_differences(),), gradient=(1,), varies=True,
    ),
    Exercise(
        "01-undo", "The step backwards", "undo_step", 2, (3, 4, "easy"),
        undo, "Solve z = ε·exp(s) + t for ε; the way back shrinks what the way out stretched.",
        step_cases,
        {"The log-determinant of the way back has the other sign.":
             lambda v, z, r, t: (undo(v, z, r, t)[0], v["gain"] * r.sum(1)),
         "The shift has to go before the scale is undone.":
             lambda v, z, r, t: (z * (-v["gain"] * r).exp() - t, -v["gain"] * r.sum(1))},
        (log_det_of_differences(),), varies=True,
    ),
    Exercise(
        "01-score", "How probable is a point?", "log_prob", 2, (4, 8, "medium"),
        score, "log p(z) = Σ log N(εᵢ; 0, τ²) + the log-determinant of the way back.",
        step_cases,
        {"The log-determinant of the way back is added, not subtracted.":
             lambda v, z, r, t: score(v, z, r, t) + 2 * v["gain"] * r.sum(1),
         "Every factor brings its constant ½ log 2π; here there is none.":
             lambda v, z, r, t: score(v, z, r, t) + HALF_LOG * z.shape[1],
         "Every factor brings its constant ½ log 2π; here there is one for all.":
             lambda v, z, r, t: score(v, z, r, t) + HALF_LOG * (z.shape[1] - 1),
         "This year's noise is not standard: its spread is missing.":
             lambda v, z, r, t: score({**v, "noise_std": 1.0}, z, r, t),
         "A wide density is a low one: the logarithm of the noise's spread is missing.":
             lambda v, z, r, t: score(v, z, r, t) + math.log(v["noise_std"]) * z.shape[1]},
        uses=("01-undo",), varies=True,
    ),
    Exercise(
        "01-coupling", "A coupling step", "coupling", 3, (4, 10, "medium"),
        coupling, "Read raw numbers and shifts for the columns that move off those that are "
        "kept, and put every column back in its place.",
        coupling_cases,
        {"Every column goes back to its place: two halves were exchanged.":
             lambda v, e, net: (
                 coupling(v, e, net)[0].roll(e.shape[1] // 2, 1), coupling(v, e, net)[1])},
        (log_det_of_differences(),), uses=("01-step",), varies=True,
    ),
]  # fmt: skip
