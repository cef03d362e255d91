r"""The downstream study: what is a representation good for?

Three questions to the d factor latents of a trained model, put by probes that see nothing
else (logistic regression, and a network with 32 hidden units):

*Sample efficiency*: a label y from all factors (CDG-VAE's: y ~ Bernoulli(σ(b·g + 2 sin(b·g))),
g the standardised light, angle, length, position, b = (1, −1, ½, −½)), learned from 100
labels and from all of them.
*Robustness*: the sky is blue with probability 0.8 where y = 1 and 0.2 where y = 0 in training,
and 0.5 at the test. The encoder saw the biased pictures, with one extra dimension to put
the sky in. The score is the accuracy in the worst group of (y, sky).
*A shift under intervention*: a label from the shadow's length alone, learned from scenes as
they occur, asked about scenes where the length was set from outside.

The models are compared with the true factors, two invertible mixes of them, principal
components of the pixels, and the accuracy of Bayes' rule, which knows the law of y.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from caufvae_lite.data import FactorDataset
from caufvae_lite.flow import CausalFlow
from caufvae_lite.metrics import group_accuracy
from caufvae_lite.randomness import keyed_generator
from caufvae_lite.studies import core, scoreboard
from caufvae_lite.studies.base import Study, seed_by_seed
from caufvae_lite.studies.results import Key, timed
from caufvae_lite.worlds import Pendulum, StructuralWorld
from caufvae_lite.worlds.examination import Score, permuted_values
from caufvae_lite.worlds.pendulum import white_share

__all__ = ["BAYES", "PROBES", "REFERENCES", "STUDY", "WORLD", "bayes", "probe"]
__all__ += ["questions", "reference", "scenes_of"]

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
LENGTH_STEEPNESS = 4.0  # of the length's label, per standard deviation
LABEL, SKY, LENGTH, MIX = range(4)  # purposes of the random draws
REFERENCES = ("true factors", "linear mix", "nonlinear mix", "PCA of pixels")
BAYES = "Bayes' rule"
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


def labels_of(factors: Tensor, units: FactorDataset, seed: int) -> tuple[Task, Task]:
    """CDG-VAE's label of scenes ``(n, 4)``, and P(y) = σ(4 g) of the standardised length g.

    ``units`` gives the means and deviations.
    """
    g = (factors - units.factors.mean(0)) / units.factors.std(0)
    score = g @ torch.tensor([COEFFICIENTS[name] for name in units.graph.nodes])
    length = g[:, units.graph.index("shadow_length")]
    chances = {LABEL: score + 2 * torch.sin(score), LENGTH: LENGTH_STEEPNESS * length}
    tasks = []
    for purpose, logit in chances.items():
        chance = torch.sigmoid(logit)
        uniform = torch.rand(len(chance), generator=keyed_generator(seed, purpose))
        tasks.append(Task((uniform < chance).numpy(), chance.double().numpy()))
    return tasks[0], tasks[1]


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
    everything, length = labels_of(factors, units, seed)
    uniform = torch.rand(len(factors), generator=keyed_generator(seed, SKY)).numpy()
    sky = uniform < (np.where(everything.y, BIAS, 1 - BIAS) if biased else 0.5)
    return Scenes(under_sky(images, sky), factors, sky, everything, length)


def scenes_of(seed: int) -> tuple[StructuralWorld, FactorDataset, dict[str, Scenes]]:
    """The world, the biased training data, and scenes to train, test and shift on.

    ``shift``: the test scenes with the shadow's length set to another scene's.
    """
    world, rows, test = core.data_of("pendulum-noisy", scoreboard.IMAGE_SIZE)
    shifted = world.counterfactual(test.factors, permuted_values(test, ["shadow_length"], seed))
    drawn = (world.render(shifted) * 255).round().to(torch.uint8)
    parts = {
        "train": scenes(rows.factors, rows.images, rows, seed, biased=True),
        "test": scenes(test.factors, test.images, rows, 1000 + seed, biased=False),
        "shift": scenes(shifted, drawn, rows, 2000 + seed, biased=False),
    }
    images = parts["train"].images
    return world, FactorDataset(images, rows.factors, rows.graph, rows.units), parts


# ----------------------------------------------------------------- representations


def reference(name: str, parts: dict[str, Scenes], seed: int) -> dict[str, NDArray]:
    """Codes ``(n, 4)`` (PCA: 5) of the parts' scenes by one of ``REFERENCES``.

    The mixes are of the factors, standardised on the training scenes: a random orthogonal
    matrix, and after it a random flow on the complete graph, which is invertible too.
    """
    train = parts["train"]
    if name == "PCA of pixels":
        flat = {k: p.images.float().flatten(1).numpy() / 255 for k, p in parts.items()}
        pca = PCA(COMPONENTS, random_state=seed).fit(flat["train"])
        return {k: pca.transform(x) for k, x in flat.items()}
    mean, std = train.factors.mean(0), train.factors.std(0)
    codes = {k: (p.factors - mean) / std for k, p in parts.items()}
    generator = keyed_generator(seed, MIX)
    if name != "true factors":
        rotation, _ = torch.linalg.qr(torch.randn(4, 4, generator=generator))
        codes = {k: z @ rotation for k, z in codes.items()}
    if name == "nonlinear mix":
        flow = _random_flow(generator)
        codes = {k: flow(z)[0].detach() for k, z in codes.items()}
    return {k: z.numpy() for k, z in codes.items()}


def _random_flow(generator: torch.Generator) -> CausalFlow:
    flow = CausalFlow(Pendulum().graph.order_only(), hidden=(32,), log_scale=(-1.5, 1.5))
    with torch.no_grad():
        for p in flow.parameters():
            size = BEND * len(p) ** -0.5 if p.ndim == 2 else 0.5
            p.copy_(size * torch.randn(p.shape, generator=generator))
    return flow


# -------------------------------------------------------------------------- probes


def probe(kind: str, codes: NDArray, y: NDArray, seed: int) -> Pipeline:
    """A probe of one of the kinds `PROBES`, fitted; it answers ``.predict(codes)``."""
    model = {
        "logistic": LogisticRegression(max_iter=1000),
        "mlp": MLPClassifier((32,), max_iter=200, learning_rate_init=1e-2, random_state=seed),
    }[kind]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*(converge|Maximum iterations).*")
        return make_pipeline(StandardScaler(), model).fit(codes, y)


def questions(codes: dict[str, NDArray], parts: dict[str, Scenes], seed: int) -> list[Score]:
    """Every downstream number of one representation; codes of the parts, ``(n, k)``."""
    train, test, shift = (parts[k] for k in ("train", "test", "shift"))
    scores: dict[str, float] = {}
    for kind in PROBES:
        answers = probe(kind, codes["train"], train.everything.y, seed).predict(codes["test"])
        few = []
        for draw in range(DRAWS):
            rows = few_rows(train, seed, draw)
            small = probe(kind, codes["train"][rows], train.everything.y[rows], seed)
            few.append(test.everything.accuracy(small.predict(codes["test"])))
        by_length = probe(kind, codes["train"], train.length.y, seed)
        scores |= {
            f"{kind} all": test.everything.accuracy(answers),
            f"{kind} worst group": worst_group(test, answers),
            f"{kind} {FEW} labels": float(np.mean(few)),
            f"{kind} efficiency": float(np.mean(few)) / test.everything.accuracy(answers),
            f"{kind} length": test.length.accuracy(by_length.predict(codes["test"])),
            f"{kind} length shifted": shift.length.accuracy(by_length.predict(codes["shift"])),
        }
    return [Score("", measure, "", value) for measure, value in scores.items()]


def few_rows(train: Scenes, seed: int, draw: int) -> NDArray:
    """``FEW`` random rows that hold both labels."""
    rows = np.random.default_rng([seed, draw]).permutation(len(train.everything.y))[:FEW]
    if len(set(train.everything.y[rows])) < 2:  # never seen with 100 rows
        raise ValueError("These few labels are all the same; ask for more of them.")
    return rows


def worst_group(test: Scenes, answers: NDArray) -> float:
    """Accuracy in the worst group of (y, sky)."""
    groups = np.stack([test.everything.y, test.sky], 1).astype(int)
    return group_accuracy(test.everything.y, answers, groups)["worst"]


def bayes(parts: dict[str, Scenes]) -> list[Score]:
    """What the rule that knows the law of y would score."""
    test, shift = parts["test"], parts["shift"]
    answers = test.everything.chance > 0.5
    scores = {
        "all": test.everything.accuracy(answers),
        "worst group": worst_group(test, answers),
        "length": test.length.accuracy(test.length.chance > 0.5),
        "length shifted": shift.length.accuracy(shift.length.chance > 0.5),
    }
    return [Score("", f"{kind} {k}", "", v) for kind in PROBES for k, v in scores.items()]


# -------------------------------------------------------------------------- the study


def representations() -> list[str]:
    """The references and the models of the scoreboard."""
    return [*REFERENCES, BAYES, *scoreboard.RECIPES]


def configuration(key: Key) -> dict[str, Any]:
    """Every setting of one run."""
    common = {
        "blue": BLUE, "bias": BIAS, "few": FEW, "draws": DRAWS, "steepness": LENGTH_STEEPNESS,
        "coefficients": COEFFICIENTS, "noise": core.PENDULUM_NOISE, "seed": key[2],
    }  # fmt: skip
    if key[0] in scoreboard.RECIPES:
        return {**common, **scoreboard.configuration((key[0], "pendulum-noisy-32", key[2]))}
    own: dict[str, dict[str, float]] = {
        "PCA of pixels": {"components": COMPONENTS}, "nonlinear mix": {"bend": BEND},
    }  # fmt: skip
    return {**common, **own.get(key[0], {}), "model": key[0]}


def compute(key: Key) -> tuple[list[Score], dict[str, Any]]:
    """One representation: train it if it is a model's, then ask all questions."""
    name, _, seed = key
    world, data, parts = scenes_of(seed)
    if name == BAYES:
        return timed(lambda: bayes(parts))
    if name in REFERENCES:
        return timed(lambda: questions(reference(name, parts, seed), parts, seed))
    recipe = scoreboard.RECIPES[name]
    model, circumstances = timed(
        lambda: scoreboard.fit_recipe(recipe, world, data, seed, extra_dims=1)
    )
    codes = {k: model.factors(p.images).cpu().numpy() for k, p in parts.items()}
    return questions(codes, parts, seed), circumstances


STUDY = Study("downstream", seed_by_seed(WORLD, representations), configuration, compute)
