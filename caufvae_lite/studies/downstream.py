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
"""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn import decomposition, linear_model, neural_network, pipeline, preprocessing
from torch import Tensor

from caufvae_lite.data import FactorDataset
from caufvae_lite.flow import CausalFlow
from caufvae_lite.metrics import group_accuracy
from caufvae_lite.randomness import keyed_generator
from caufvae_lite.studies import core, scoreboard
from caufvae_lite.studies.base import Key, Study, seed_by_seed
from caufvae_lite.worlds import Pendulum, StructuralWorld
from caufvae_lite.worlds.examination import Score, permuted_values
from caufvae_lite.worlds.pendulum import white_share

__all__ = ["BAYES", "PROBES", "REFERENCES", "STUDY", "bayes", "probe", "questions"]
__all__ += ["reference", "scenes_of"]

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


def labels_of(factors: Tensor, units: FactorDataset, seed: int) -> tuple[Task, Task]:
    """CDG-VAE's label of scenes ``(n, 4)``, and P(y) = σ(4 g) of the standardised length g.

    ``units`` gives the means and deviations.
    """
    g = (factors - units.factors.mean(0)) / units.factors.std(0)
    score = g @ torch.tensor([COEFFICIENTS[name] for name in units.graph.nodes])
    length = g[:, units.graph.index("shadow_length")]

    def task(purpose: int, logit: Tensor) -> Task:
        chance = torch.sigmoid(logit)
        uniform = torch.rand(len(chance), generator=keyed_generator(seed, purpose))
        return Task((uniform < chance).numpy(), chance.double().numpy())

    return task(LABEL, score + 2 * torch.sin(score)), task(LENGTH, LENGTH_STEEPNESS * length)


def scenes(
    factors: Tensor, images: Tensor, units: FactorDataset, seed: int, biased: bool
) -> Scenes:
    """Label the scenes, and paint their sky: biased as in training, or as at the test."""
    everything, length = labels_of(factors, units, seed)
    uniform = torch.rand(len(factors), generator=keyed_generator(seed, SKY)).numpy()
    sky = uniform < (np.where(everything.y, BIAS, 1 - BIAS) if biased else 0.5)
    images, blue = images.clone(), torch.from_numpy(sky)
    pictures = images[blue].float() / 255
    tint = 1 - torch.tensor(BLUE).view(1, 3, 1, 1)
    painted = (pictures - white_share(pictures).unsqueeze(1) * tint).clamp(0, 1)
    images[blue] = (painted * 255).round().to(torch.uint8)
    return Scenes(images, factors, sky, everything, length)


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


def reference(name: str, parts: dict[str, Scenes], seed: int) -> dict[str, NDArray]:
    """Codes ``(n, 4)`` (PCA: 5) of the parts' scenes by one of ``REFERENCES``.

    The mixes are of the factors, standardised on the training scenes: a random orthogonal
    matrix, and after it a random flow on the complete graph, which is invertible too.
    """
    train = parts["train"]
    if name == "PCA of pixels":
        flat = {k: p.images.float().flatten(1).numpy() / 255 for k, p in parts.items()}
        pca = decomposition.PCA(COMPONENTS, random_state=seed).fit(flat["train"])
        return {k: pca.transform(x) for k, x in flat.items()}
    mean, std = train.factors.mean(0), train.factors.std(0)
    codes = {k: (p.factors - mean) / std for k, p in parts.items()}
    generator = keyed_generator(seed, MIX)
    if name != "true factors":
        rotation, _ = torch.linalg.qr(torch.randn(4, 4, generator=generator))
        codes = {k: z @ rotation for k, z in codes.items()}
    if name == "nonlinear mix":
        flow = CausalFlow(Pendulum().graph.order_only(), hidden=(32,), log_scale=(-1.5, 1.5))
        for p in flow.parameters():
            size = BEND * len(p) ** -0.5 if p.ndim == 2 else 0.5
            p.data = size * torch.randn(p.shape, generator=generator)
        codes = {k: flow(z)[0].detach() for k, z in codes.items()}
    return {k: z.numpy() for k, z in codes.items()}


def probe(kind: str, codes: NDArray, y: NDArray, seed: int) -> pipeline.Pipeline:
    """A probe of one of the kinds `PROBES`, fitted; it answers ``.predict(codes)``."""
    model = {
        "logistic": linear_model.LogisticRegression(max_iter=1000),
        "mlp": neural_network.MLPClassifier(
            (32,), max_iter=200, learning_rate_init=1e-2, random_state=seed
        ),
    }[kind]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*(converge|Maximum iterations).*")
        return pipeline.make_pipeline(preprocessing.StandardScaler(), model).fit(codes, y)


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
    """``FEW`` random rows."""
    return np.random.default_rng([seed, draw]).permutation(len(train.sky))[:FEW]


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


def configuration(key: Key) -> dict[str, Any]:
    name, _, seed = key
    common = {
        "blue": BLUE, "bias": BIAS, "few": FEW, "draws": DRAWS, "steepness": LENGTH_STEEPNESS,
        "coefficients": COEFFICIENTS, "noise": core.PENDULUM_NOISE, "seed": seed,
    }  # fmt: skip
    if name in scoreboard.RECIPES:
        return {**common, **scoreboard.configuration((name, "pendulum-noisy-32", seed))}
    if name == "PCA of pixels":
        common["components"] = COMPONENTS
    if name == "nonlinear mix":
        common["bend"] = BEND
    return {**common, "model": name}


def compute(key: Key) -> list[Score]:
    name, _, seed = key
    world, data, parts = scenes_of(seed)
    if name == BAYES:
        return bayes(parts)
    if name in REFERENCES:
        return questions(reference(name, parts, seed), parts, seed)
    model = scoreboard.fit_recipe(scoreboard.RECIPES[name], world, data, seed, extra_dims=1)
    codes = {k: model.factors(p.images).cpu().numpy() for k, p in parts.items()}
    return questions(codes, parts, seed)


MODELS = (*REFERENCES, BAYES, *scoreboard.RECIPES)
STUDY = Study("downstream", seed_by_seed(WORLD, MODELS), configuration, compute)
