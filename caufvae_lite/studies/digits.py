"""The digits study: does do(thickness) move a real digit's grey value as the law says?

`Digits` has one edge with a known truth, thickness → intensity. Every picture that a model
imagines is measured by morphology, so what counts is the stroke as drawn, not a latent.

Three models are trained alike and differ where the answer should come from: CauF-VAE with
the SCM prior and label likelihood; the same over the *empty graph*, whose grey value must
stay when the stroke is thickened; and the *label prior* alone, which has the graph but no
p(u) to learn its mechanism from. *Copying the input* is the answer that changes nothing.

Handwriting needs many dimensions beside its four factors, and the Bernoulli likelihood of
grey pixels pays little for the right grey: half a nat for an error of 0.05 over 100 pixels.
With the KL at full weight, intensity's noise is not worth encoding; hence `KL_WEIGHT`.

The trap here lies in the decoder. It has only seen lawful pairs of thickness and grey. Asked
for a thicker stroke of the *same* grey, it still moves the grey by 0.4 of what the law would
(``do(thickness+intensity) image slope``), and so even the empty graph's picture follows
the law nearly half-way, though its latent does not move. The mechanism's part is the
difference between the two graphs, and the latent tells it apart. Answers that break the
law, do(intensity) first of all, are drawn with that pull. Extra dimensions do not explain it
(in one model, trees read thickness off them with R² 0.13, and intensity's noise with 0.00).

Seeds differ in ink and in weights. The handwriting, and which of it is held out, is the same
for all, and for seed 100, on which the settings were chosen: intervals over seeds leave out
what other hands would add, and the settings have seen these.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.svm import SVC
from torch import Tensor

from caufvae_lite.caufvae import CauFVAE
from caufvae_lite.data import FactorDataset, as_float
from caufvae_lite.datasets.digits import (
    BRIGHTEST,
    DARKEST,
    INTENSITY,
    MIDDLE,
    NODES,
    NOISE,
    STEEPNESS,
    Digits,
)
from caufvae_lite.metrics import composition, drift, noise_kept_ratio, psnr, r2
from caufvae_lite.studies.base import Scores, Study
from caufvae_lite.studies.results import Key, timed
from caufvae_lite.training import fit
from caufvae_lite.worlds.examination import permuted_values

WORLD = "digits"
MAIN, EMPTY = "SCM prior + likelihood", "SCM prior + likelihood, empty graph"
LABEL_PRIOR, COPY = "label prior", "copy the input"
MODELS = (MAIN, EMPTY, LABEL_PRIOR, COPY)
EXTRA_DIMS = 8
KL_WEIGHT = 0.03
SUPERVISION = 100.0
LABEL_LIKELIHOOD = 5.0
INKINGS = 4  # of each training picture, with other noise of the intensity
FIRST_OTHER_INK = 1000  # its seeds, apart from those of the study
EPOCHS, BATCH_SIZE = 8, 32
READER_COMPONENTS, READER_COST = 40, 5.0  # of the digit reader: principal, of errors
CYCLES = 5  # of composition


def configuration(key: Key) -> dict[str, Any]:
    """Every setting of one run."""
    return {
        "model": key[0], "seed": key[2], "extra_dims": EXTRA_DIMS, "kl_weight": KL_WEIGHT,
        "supervision": SUPERVISION, "label_likelihood": LABEL_LIKELIHOOD, "epochs": EPOCHS,
        "batch_size": BATCH_SIZE, "inkings": INKINGS, "law": (STEEPNESS, MIDDLE, NOISE),
        "grey": (DARKEST, BRIGHTEST),
    }  # fmt: skip


def keys(seeds: Sequence[int]) -> list[Key]:
    """All models seed by seed, so that a table that was stopped is still a fair one."""
    return [(model, WORLD, seed) for seed in seeds for model in MODELS]


@lru_cache(maxsize=1)
def data_of(seed: int) -> tuple[FactorDataset, Digits]:
    """Training rows and test rows (every fourth), with this seed's ink.

    The training handwriting comes `INKINGS` times, each with other ink, that is noise of the
    intensity: the law is known to allow it, and a thickness is harder to learn by heart.
    """
    first = Digits(seed)
    train, test = first.split("published")
    assert isinstance(test, Digits)
    inked = [train] + [
        Digits(FIRST_OTHER_INK + seed * INKINGS + k).split("published")[0]
        for k in range(1, INKINGS)
    ]
    images, factors = (
        torch.cat([getattr(d, name) for d in inked]) for name in ("images", "factors")
    )
    return FactorDataset(images, factors, first.graph, first.units), test


def build(model: str, seed: int) -> CauFVAE:
    """The named model with fresh weights."""
    graph = Digits(seed).graph
    torch.manual_seed(seed)
    return CauFVAE(
        graph.without_edges() if model == EMPTY else graph,
        (1, 28, 28),
        prior="label" if model == LABEL_PRIOR else "scm",
        label_likelihood=0.0 if model == LABEL_PRIOR else LABEL_LIKELIHOOD,
        supervision=SUPERVISION,
        extra_dims=EXTRA_DIMS,
        kl_weight=KL_WEIGHT,
    )


def train(model: str, seed: int, progress: bool = True) -> CauFVAE:
    """The named model, trained on this seed's digits."""
    rows, _ = data_of(seed)
    found = build(model, seed)
    fit(
        found, rows, epochs=EPOCHS, seed=seed, batch_size=BATCH_SIZE, device="cpu",
        progress=progress,
    )  # fmt: skip
    return found


# ------------------------------------------------------------------------ the questions


def compute(key: Key) -> tuple[Scores, dict[str, Any]]:
    """Train and examine one run of the study."""
    name, _, seed = key
    if name not in MODELS:
        raise ValueError(f"model must be one of {MODELS}, got {name!r}.")
    _, test = data_of(seed)
    if name == COPY:
        scores, circumstances = timed(lambda: examine(None, test))
        return scores, circumstances
    model, circumstances = timed(lambda: train(name, seed, progress=False))
    return examine(model, test), circumstances


def examine(model: CauFVAE | None, test: Digits) -> Scores:
    """Every number of the table; without a model, of copying the input.

    Questions are permutations of held-out rows' own values. In the picture: R² of what the
    law or the question determines (``image r2``), and drift, in standard deviations, of what
    has to stay as in the model's own reconstruction. ``digit kept`` is the share of pictures
    that a classifier reads as it reads the reconstruction, ``digit right`` as labelled.
    """
    pictures = drawn = as_float(test.images)
    scores: Scores = {}
    if model is not None:
        found = np.atleast_1d(r2(test.factors, model.factors(test.images).cpu()))
        scores |= {f"r2/{n}": float(s) for n, s in zip(NODES, found, strict=True)}
        drawn = model.reconstruct(test.images).cpu()
        scores["psnr/reconstruction"] = psnr(pictures, drawn)
    before = Digits.measure(drawn)
    for i, node in enumerate(NODES):
        scores[f"image r2/{node}"] = r2_of_drawn(test.factors[:, i], before[:, i])
    digit = read_digits(drawn)
    truth = test.digit.numpy()
    scores["digit right/pictures"] = _share(read_digits(pictures) == truth)
    scores["digit right/reconstruction"] = _share(digit == truth)
    for name in NODES:
        scores |= _question(model, test, name, drawn, before, digit)
    if model is not None:
        scores |= _noise_kept(model, test) | _grey_with_thickness(model, test, before)

    def again(images: NDArray) -> NDArray:
        if model is None:
            return images
        return model.reconstruct(torch.as_tensor(images, dtype=torch.float32)).cpu().numpy()

    for k, change in enumerate(composition(again, pictures[:200].numpy(), CYCLES), start=1):
        scores[f"composition/{k} cycles"] = change
    return scores


def _question(
    model: CauFVAE | None,
    test: Digits,
    name: str,
    drawn: Tensor,
    before: Tensor,
    digit: NDArray,
) -> Scores:
    """do(``name``): asked factor and effects against the law, the others against before."""
    do = permuted_values(test, [name], seed=0)
    truth = Digits.counterfactual(test.factors, do)
    scores: Scores = {}
    pictures = drawn
    if model is not None:
        imagined = model.counterfactual(test.images, do)
        pictures = imagined.images.cpu()
        if name == "thickness":
            latent = r2(truth[:, INTENSITY], imagined.factors[:, INTENSITY].cpu())
            scores["do(thickness) latent r2/intensity"] = float(latent)
    after = Digits.measure(pictures)
    affected = test.graph.affected([name])
    for i, node in enumerate(NODES):
        if node in affected:
            scores[f"do({name}) image r2/{node}"] = r2_of_drawn(truth[:, i], after[:, i])
            continue
        sd = test.factors[:, i].std()
        scores[f"do({name}) drift/{node}"] = float(
            drift(before[:, [i]], after[:, [i]], [sd])[0]
        )
    scores[f"do({name}) missing"] = _share(after.isnan().any(-1).numpy())
    now = read_digits(pictures)
    scores[f"do({name}) digit kept"] = _share(now == digit)
    scores[f"do({name}) digit right"] = _share(now == test.digit.numpy())
    return scores


def _grey_with_thickness(model: CauFVAE, test: Digits, before: Tensor) -> Scores:
    """Change of drawn grey over the law's change, as a slope through the origin.

    After do(thickness) 1 is the law. After do(thickness, intensity), intensity set to what
    it is, 0 is right: what moves then is moved by the decoder, not by the mechanism.
    """
    do = permuted_values(test, ["thickness"], seed=0)
    own = test.factors[:, INTENSITY]
    law = Digits.counterfactual(test.factors, do)[:, INTENSITY] - own
    scores: Scores = {}
    for label, question in (
        ("do(thickness)", do),
        ("do(thickness+intensity)", {**do, "intensity": own}),
    ):
        after = Digits.measure(model.counterfactual(test.images, question).images)
        change = (after - before)[:, INTENSITY].nan_to_num(0.0)
        slope = (change * law).sum() / law.square().sum()
        scores[f"{label} image slope/intensity"] = float(slope)
    return scores


def _noise_kept(model: CauFVAE, test: Digits) -> Scores:
    """MAE of intensity after do(thickness), noise kept ÷ noise redrawn, in latents.

    Where the graph has no edge nothing is redrawn, and the ratio is 1.
    """
    do = permuted_values(test, ["thickness"], seed=0)
    truth = Digits.counterfactual(test.factors, do)[:, [INTENSITY]]
    kept = model.counterfactual(test.images, do).factors[:, [INTENSITY]].cpu()
    redrawn = model.intervention(test.images, do, seed=0).factors[:, [INTENSITY]].cpu()
    ratio = noise_kept_ratio(truth, kept, redrawn)
    return {"do(thickness) noise kept/intensity": float(np.atleast_1d(ratio)[0])}


def r2_of_drawn(truth: Tensor, drawn: Tensor) -> float:
    """R² of one factor ``(n,)``; where nothing was drawn, as if the mean had been."""
    return float(r2(truth, torch.where(drawn.isnan(), truth.mean(), drawn)))


def _share(right: NDArray) -> float:
    return float(np.mean(right))


# ------------------------------------------------------------------------- which digit?


@lru_cache(maxsize=1)
def reader() -> Pipeline:
    """A support vector machine that knows the digits of the training handwriting."""
    train, _ = Digits().split("published")
    assert isinstance(train, Digits)
    found = make_pipeline(PCA(READER_COMPONENTS, random_state=0), SVC(C=READER_COST))
    return found.fit(_white(train.images), train.digit.numpy())


def read_digits(images: Tensor) -> NDArray:
    """The digit ``(n,)`` that `reader` sees in ``(n, 1, 28, 28)`` images of any grey."""
    return reader().predict(_white(images))


def _white(images: Tensor) -> NDArray:
    """Pixels ``(n, 784)`` of the pictures with their strokes at grey value 1."""
    grey = Digits.measure(images)[:, INTENSITY].nan_to_num(1.0)
    return (as_float(images).flatten(1) / grey[:, None]).clamp(max=1.0).numpy()


STUDY = Study("digits", keys, configuration, compute)
