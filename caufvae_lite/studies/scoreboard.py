"""The scoreboard's study: every model, on the same networks, data and budget.

32 × 32 pixels, 6 epochs in batches of 64: small enough for hundreds of runs.
Every model with labels gets all of them; the unsupervised ones see 100 labelled rows after
training. A model's own weights come from the study `search`, on a seed that the board
does not use. CauF-VAE at 64 × 64 is the core study's (`caufvae_lite.studies.core`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from caufvae_lite import baselines
from caufvae_lite.caufvae import CauFVAE
from caufvae_lite.data import FactorDataset
from caufvae_lite.metrics import dci, information, mcc
from caufvae_lite.studies import core
from caufvae_lite.studies.base import Scores, Study
from caufvae_lite.studies.results import Key, timed
from caufvae_lite.training import fit
from caufvae_lite.vae import FactorVAE
from caufvae_lite.worlds import StructuralWorld
from caufvae_lite.worlds.examination import examine

IMAGE_SIZE = 32
EPOCHS, BATCH, LEARNING_RATE = 6, 64, 8e-3
WORLDS = ("pendulum-32", "pendulum-noisy-32", "water-32", "pendulum-block-32")
LABELLED = 100  # rows that an unsupervised model is matched on
TREE_ROWS = 1000  # of the test set, half of them to grow DCI's trees
LIKELIHOOD = 5.0
MAIN = "CauF-VAE, SCM prior + likelihood"


@dataclass(frozen=True)
class Recipe:
    """A model of the board: its class, and the options that differ from the defaults."""

    model: type[FactorVAE]
    options: dict[str, Any] = field(default_factory=dict)
    supervised: bool = True

    def build(self, world: StructuralWorld, seed: int, extra_dims: int = 0) -> FactorVAE:
        """Fresh weights, the same for every run with this seed."""
        torch.manual_seed(seed)
        shape = (3, world.image_size, world.image_size)
        return self.model(world.graph, shape, extra_dims=extra_dims, **self.options)


def _with_likelihood(recipe: Recipe, **options: Any) -> Recipe:
    more = {"label_likelihood": LIKELIHOOD, **options}
    return Recipe(recipe.model, {**recipe.options, **more}, recipe.supervised)


SUPERVISION = 180.0  # of every model that has labels: all of them preferred it
_S = {"supervision": SUPERVISION}
_CAUSALVAE = Recipe(baselines.CausalVAE, {**_S, "label_prior": 0.01, "masks": 1.0})
_DEAR = Recipe(baselines.DearPriorVAE, _S)
_ICM = Recipe(baselines.ICMVAE, {**_S, "noise_prior": 1.0, "label_flow": 0.01})
_ORDER = Recipe(baselines.CareflVAE, {**_S, "label_likelihood": 0.0})
_LABEL = Recipe(CauFVAE, {**_S, "prior": "label", "label_likelihood": 0.0})
_SCM = Recipe(CauFVAE, {**_S, "prior": "scm", "label_likelihood": 0.0})

RECIPES = {
    "VAE": Recipe(baselines.VAE, supervised=False),
    "β-VAE": Recipe(baselines.BetaVAE, {"beta": 0.25}, supervised=False),
    "iVAE-style": Recipe(baselines.IVAE, _S),
    "CausalVAE": _CAUSALVAE,
    "CausalVAE + likelihood": _with_likelihood(_CAUSALVAE),
    "DEAR's prior": _DEAR,
    "DEAR's prior + likelihood": _with_likelihood(_DEAR),
    "ICM-VAE": _ICM,
    "ICM-VAE + likelihood": _with_likelihood(_ICM, noise_prior=0.1),
    "CAREFL's order": _ORDER,
    "CAREFL's order + likelihood": _with_likelihood(_ORDER),
    "CauF-VAE, label prior": _LABEL,
    "CauF-VAE, label prior + likelihood": _with_likelihood(_LABEL),
    "CauF-VAE, SCM prior": _SCM,
    MAIN: _with_likelihood(_SCM),
}
CORNER_SEEDS = 3
CORNER_MODELS = [  # one of each kind; with the likelihood, where a model has one
    name for name in RECIPES if f"{name} + likelihood" not in RECIPES
]
TRUTH = "true factors"  # a row for the metrics whose best value it shows
WATER_MODELS = [name for name in RECIPES if name in CORNER_MODELS or "CauF-VAE" in name]


def models_of(world: str) -> list[str]:
    """The models that the board compares in this world."""
    if "block" in world:
        return CORNER_MODELS
    return WATER_MODELS if "water" in world else list(RECIPES)


def keys(seeds: Sequence[int]) -> list[Key]:
    """The board's runs, world by world; the held-out corner, where all fail, has fewer."""
    found: list[Key] = []
    for world in WORLDS:
        some = list(seeds)[:CORNER_SEEDS] if "block" in world else seeds
        models = [TRUTH, *models_of(world)]
        found += [(model, world, seed) for seed in some for model in models]
    return found


def configuration(key: Key) -> dict[str, Any]:
    """Every setting of one run."""
    model, world, seed = key
    common = {"world": world, "seed": seed, "noise": core.NOISE, "rows": TREE_ROWS}
    if model == TRUTH:
        return {**common, "model": TRUTH}
    recipe = RECIPES[model]
    return {
        **common,
        "model": recipe.model.__name__, "options": recipe.options,
        "labels": "all" if recipe.supervised else LABELLED,
        "epochs": EPOCHS, "batch": BATCH, "lr": LEARNING_RATE, "image_size": IMAGE_SIZE,
    }  # fmt: skip


def data_of(name: str) -> tuple[StructuralWorld, FactorDataset, FactorDataset]:
    """The world behind a name, its training rows and its test rows."""
    return core.data_of(name.removesuffix("-32"), IMAGE_SIZE)


def train(
    recipe: Recipe, world: StructuralWorld, rows: FactorDataset, seed: int,
    extra_dims: int = 0, device="cpu", progress: bool = False, epochs: int = EPOCHS,
) -> FactorVAE:  # fmt: skip
    """One model of the board, trained within the board's budget."""
    model = recipe.build(world, seed, extra_dims)
    fit(
        model, rows, epochs=epochs, batch_size=BATCH, lr=LEARNING_RATE, seed=seed,
        device=device, progress=progress,
        label_fraction=1.0 if recipe.supervised else LABELLED / len(rows),
    )  # fmt: skip
    return model


def compute(key: Key) -> tuple[Scores, dict[str, Any]]:
    """Train and examine one run."""
    name, world_name, seed = key
    world, rows, test = data_of(world_name)
    if name == TRUTH:
        return timed(lambda: disentanglement(test, test.factors, seed))
    model, circumstances = timed(lambda: train(RECIPES[name], world, rows, seed))
    return scores_of(model, world, test, seed), circumstances


def scores_of(
    model: FactorVAE, world: StructuralWorld, test: FactorDataset, seed: int
) -> dict[str, float]:
    """Every number of the board for one trained model."""
    found = model.factors(test.images).cpu()
    return {
        **examine(model, world, test),
        **disentanglement(test, found, seed),
    }


def disentanglement(test: FactorDataset, found: torch.Tensor, seed: int) -> dict[str, float]:
    """MCC, DCI and, where fast-mine is installed, MIC and TIC of codes ``(n, d)``.

    Over ``TREE_ROWS`` random test rows. A code that never varies scores 0 where a score is
    defined for it.
    """
    order = torch.randperm(len(test), generator=torch.Generator().manual_seed(seed))
    rows = order[:TREE_ROWS]
    factors, codes = test.factors[rows].numpy(), found[rows].numpy()
    scores = {"mcc": mcc(factors, codes)}
    scores |= {f"dci/{k}": v for k, v in dci(factors, codes, seed=seed).items()}
    if information.available():
        for i, name in enumerate(test.graph.nodes):
            both = information.mic_tic(factors[:, i], codes[:, i])
            scores |= {f"mic/{name}": both["mic"], f"tic/{name}": both["tic_normalised"]}
    return scores


STUDY = Study("scoreboard", keys, configuration, compute)
