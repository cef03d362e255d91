r"""Downstream tasks: what is a representation good for?

Three questions to the d factor latents of a trained model, put by probes that see nothing
else (logistic regression, and a network with 32 hidden units):

*Sample efficiency*: a label y from all factors (CDG-VAE's: y ~ Bernoulli(σ(b·g + 2 sin(b·g))),
g the standardised light, angle, length, position, b = (1, −1, ½, −½)), learned from 100
labels and from all of them.
*Robustness*: the sky is blue with probability 0.8 where y = 1 and 0.2 where y = 0 in training,
and 0.5 at the test. The encoder saw the biased pictures, with one extra dimension to put
the sky in. Worst group of (y, sky).
*A shift under intervention*: a label from the shadow's length alone, learned from scenes as
they occur, asked about scenes where the length was set from outside.

Each beside the true factors, two invertible mixes of them, principal components of the
pixels, and the accuracy of Bayes' rule, which knows the law of y.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from caufvae_lite.data import FactorDataset
from caufvae_lite.flow import CausalFlow
from caufvae_lite.metrics import group_accuracy
from caufvae_lite.randomness import keyed_generator
from caufvae_lite.studies import core, scoreboard
from caufvae_lite.studies.base import Scores, Study
from caufvae_lite.studies.results import Key, timed
from caufvae_lite.worlds import Pendulum, StructuralWorld
from caufvae_lite.worlds.examination import permuted_values
from caufvae_lite.worlds.pendulum import white_share

WORLD = "pendulum-noisy-blue-32"
BLUE = (0.55, 0.75, 1.0)
BIAS = 0.8  # P(blue sky | y = 1) in training; 1 − BIAS where y = 0, and 0.5 at the test
FEW = 100  # labels
DRAWS = 5  # of the few labels; their accuracies are averaged
COEFFICIENTS = {
    "light_angle": 1.0, "pendulum_angle": -1.0, "shadow_length": 0.5, "shadow_position": -0.5,
}  # fmt: skip
BEND = 2.0  # spread of the nonlinear mix's weights; 0 would leave it linear
COMPONENTS = 5  # of PCA: as many as a model has latents, since the sky takes one
STEEPNESS = 4.0  # of the length's label, per standard deviation
LABEL, SKY, LENGTH, MIX = range(4)  # purposes of the random draws
REFERENCES = ("true factors", "linear mix", "nonlinear mix", "PCA of pixels")
PROBES = ("logistic", "mlp")


@dataclass(frozen=True)
class Task:
    """Labels of scenes: ``y`` ``(n,)`` booleans, and ``chance`` ``(n,)`` of each being 1."""

    y: NDArray[np.bool_]
    chance: NDArray[np.float64]

    def accuracy(self, predicted: NDArray) -> float:
        """Share of right answers, in expectation over y: less noise than over one y each."""
        return float(np.where(predicted, self.chance, 1 - self.chance).mean())


@dataclass(frozen=True)
class Scenes:
    """Pictures, their factors, the sky, and both tasks' labels, row by row."""

    images: Tensor
    factors: Tensor
    sky: NDArray[np.bool_]
    everything: Task
    length: Task


# --------------------------------------------------------------------- labels and sky


def label_from_everything(factors: Tensor, units: FactorDataset, seed: int) -> Task:
    """CDG-VAE's label of scenes ``(n, 4)``; ``units`` gives the means and deviations."""
    g = (factors - units.factors.mean(0)) / units.factors.std(0)
    b = torch.tensor([COEFFICIENTS[name] for name in units.graph.nodes])
    score = g @ b
    return _drawn(torch.sigmoid(score + 2 * torch.sin(score)), seed, LABEL)


def label_from_length(factors: Tensor, units: FactorDataset, seed: int) -> Task:
    """A label that only the shadow's length causes: P(y) = σ(4 g), g standardised."""
    i = units.graph.index("shadow_length")
    g = (factors[:, i] - units.factors[:, i].mean()) / units.factors[:, i].std()
    return _drawn(torch.sigmoid(STEEPNESS * g), seed, LENGTH)


def _drawn(chance: Tensor, seed: int, purpose: int) -> Task:
    uniform = torch.rand(len(chance), generator=keyed_generator(seed, purpose))
    return Task((uniform < chance).numpy(), chance.double().numpy())


def under_sky(images: Tensor, blue: NDArray[np.bool_]) -> Tensor:
    """Pictures ``(n, 3, h, w)`` uint8 whose white is blue where ``blue`` says so."""
    images = images.clone()
    rows = torch.from_numpy(blue)
    pictures = images[rows].float() / 255
    white = white_share(pictures).unsqueeze(1)
    tint = 1 - torch.tensor(BLUE).view(1, 3, 1, 1)
    images[rows] = ((pictures - white * tint).clamp(0, 1) * 255).round().to(torch.uint8)
    return images


def scenes(
    factors: Tensor, images: Tensor, units: FactorDataset, seed: int, biased: bool
) -> Scenes:
    """Label the scenes, and paint their sky: biased as in training, or as at the test."""
    everything = label_from_everything(factors, units, seed)
    uniform = torch.rand(len(factors), generator=keyed_generator(seed, SKY)).numpy()
    share = np.where(everything.y, BIAS, 1 - BIAS) if biased else 0.5
    sky = uniform < share
    return Scenes(
        under_sky(images, sky), factors, sky, everything,
        label_from_length(factors, units, seed),
    )  # fmt: skip


def scenes_of(seed: int) -> tuple[StructuralWorld, FactorDataset, dict[str, Scenes]]:
    """The world, the biased training data, and scenes to train, test and shift on.

    ``shift``: the test scenes with the shadow's length set to another scene's.
    """
    world, rows, test = core.data_of("pendulum-noisy", scoreboard.IMAGE_SIZE)
    do = permuted_values(test, ["shadow_length"], seed)
    shifted = world.counterfactual(test.factors, do)
    drawn = (world.render(shifted) * 255).round().to(torch.uint8)
    train = scenes(rows.factors, rows.images, rows, seed, biased=True)
    return (
        world,
        FactorDataset(train.images, rows.factors, rows.graph, rows.units),
        {
            "train": train,
            "test": scenes(test.factors, test.images, rows, 1000 + seed, biased=False),
            "shift": scenes(shifted, drawn, rows, 2000 + seed, biased=False),
        },
    )


# ----------------------------------------------------------------- representations


def reference(name: str, parts: dict[str, Scenes], seed: int) -> dict[str, NDArray]:
    """Codes ``(n, 4)`` (PCA: 5) of the parts' scenes by one of ``REFERENCES``.

    The mixes are of the factors, standardised on the training scenes: a random orthogonal
    matrix, and after it a random flow on the complete graph, which is invertible too.
    """
    train = parts["train"]
    if name == "PCA of pixels":
        from sklearn.decomposition import PCA

        flat = {k: p.images.float().flatten(1).numpy() / 255 for k, p in parts.items()}
        pca = PCA(COMPONENTS, random_state=seed).fit(flat["train"])
        return {k: pca.transform(x) for k, x in flat.items()}
    mean, std = train.factors.mean(0), train.factors.std(0)
    codes = {k: (p.factors - mean) / std for k, p in parts.items()}
    if name == "true factors":
        return {k: z.numpy() for k, z in codes.items()}
    generator = keyed_generator(seed, MIX)
    rotation, _ = torch.linalg.qr(torch.randn(4, 4, generator=generator))
    codes = {k: z @ rotation for k, z in codes.items()}
    if name == "nonlinear mix":
        bend = _random_flow(generator)
        codes = {k: bend(z) for k, z in codes.items()}
    return {k: z.numpy() for k, z in codes.items()}


def _random_flow(generator: torch.Generator):
    flow = CausalFlow(Pendulum().graph.order_only(), hidden=(32,), log_scale=(-1.5, 1.5))
    with torch.no_grad():
        for p in flow.parameters():
            size = BEND * len(p) ** -0.5 if p.ndim == 2 else 0.5
            p.copy_(size * torch.randn(p.shape, generator=generator))
    return lambda z: flow(z)[0].detach()


# -------------------------------------------------------------------------- probes


def probe(kind: str, codes: NDArray, y: NDArray, seed: int, where: NDArray | None = None):
    """A fitted probe that answers ``.predict(codes)``; ``where`` are its training rows."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = {
        "logistic": LogisticRegression(max_iter=1000),
        "mlp": MLPClassifier((32,), max_iter=200, learning_rate_init=1e-2, random_state=seed),
    }[kind]
    rows = slice(None) if where is None else where
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*(converge|Maximum iterations).*")
        return make_pipeline(StandardScaler(), model).fit(codes[rows], y[rows])


def questions(codes: dict[str, NDArray], parts: dict[str, Scenes], seed: int) -> Scores:
    """Every downstream number of one representation; codes of the parts, ``(n, k)``."""
    train, test, shift = (parts[k] for k in ("train", "test", "shift"))
    groups = np.stack([test.everything.y, test.sky], 1).astype(int)
    scores: Scores = {}
    for kind in PROBES:
        full = probe(kind, codes["train"], train.everything.y, seed)
        answers = full.predict(codes["test"])
        few = [
            test.everything.accuracy(
                probe(
                    kind, codes["train"], train.everything.y, seed, _some(train, seed, k)
                ).predict(codes["test"])
            )
            for k in range(DRAWS)
        ]
        by_length = probe(kind, codes["train"], train.length.y, seed)
        scores |= {
            f"{kind} all": test.everything.accuracy(answers),
            f"{kind} worst group": group_accuracy(test.everything.y, answers, groups)["worst"],
            f"{kind} {FEW} labels": float(np.mean(few)),
            f"{kind} efficiency": float(np.mean(few)) / test.everything.accuracy(answers),
            f"{kind} length": test.length.accuracy(by_length.predict(codes["test"])),
            f"{kind} length shifted": shift.length.accuracy(by_length.predict(codes["shift"])),
        }
    return scores


def _some(train: Scenes, seed: int, draw: int) -> NDArray:
    """``FEW`` random rows that hold both labels."""
    rng = np.random.default_rng([seed, draw])
    rows = rng.permutation(len(train.everything.y))
    some = rows[:FEW]
    if len(set(train.everything.y[some])) < 2:  # never seen with 100 rows
        raise ValueError("These few labels are all the same; ask for more of them.")
    return some


# -------------------------------------------------------------------------- the study


def keys(seeds: Sequence[int]) -> list[Key]:
    """References and models, seed by seed."""
    names = (*REFERENCES, "Bayes' rule", *scoreboard.RECIPES)
    return [(name, WORLD, s) for s in seeds for name in names]


def configuration(key: Key) -> dict[str, Any]:
    """Every setting of one run."""
    common = {
        "blue": BLUE, "bias": BIAS, "few": FEW, "draws": DRAWS, "steepness": STEEPNESS,
        "coefficients": COEFFICIENTS, "noise": core.NOISE, "seed": key[2],
    }  # fmt: skip
    if key[0] not in scoreboard.RECIPES:
        own: dict[str, dict[str, float]] = {
            "PCA of pixels": {"components": COMPONENTS}, "nonlinear mix": {"bend": BEND},
        }  # fmt: skip
        return {**common, **own.get(key[0], {}), "model": key[0]}
    return {**common, **scoreboard.configuration((key[0], "pendulum-noisy-32", key[2]))}


def compute(key: Key) -> tuple[Scores, dict[str, Any]]:
    """One representation: train it if it is a model's, then ask all questions."""
    name, _, seed = key
    world, data, parts = scenes_of(seed)
    if name == "Bayes' rule":
        return timed(lambda: bayes(parts))
    if name in REFERENCES:
        return timed(lambda: questions(reference(name, parts, seed), parts, seed))
    recipe = scoreboard.RECIPES[name]
    model, circumstances = timed(
        lambda: scoreboard.train(recipe, world, data, seed, extra_dims=1)
    )
    codes = {k: model.factors(p.images).cpu().numpy() for k, p in parts.items()}
    return questions(codes, parts, seed), circumstances


def bayes(parts: dict[str, Scenes]) -> Scores:
    """What the rule that knows the law of y would score."""
    test, shift = parts["test"], parts["shift"]
    groups = np.stack([test.everything.y, test.sky], 1).astype(int)
    found = group_accuracy(test.everything.y, test.everything.chance > 0.5, groups)
    scores = {
        "all": test.everything.accuracy(test.everything.chance > 0.5),
        "worst group": found["worst"],
        "length": test.length.accuracy(test.length.chance > 0.5),
        "length shifted": shift.length.accuracy(shift.length.chance > 0.5),
    }
    return {f"{kind} {k}": v for kind in PROBES for k, v in scores.items()}


STUDY = Study("downstream", keys, configuration, compute)
