r"""The base that CauF-VAE and every baseline share: the objective.

::

    loss = E_q[−log p(x | z)] + KL(q ‖ prior) + w_s · ‖z̄(x) − u‖² + w_l · (−log p(u))

Noise ε is Gaussian, with a diagonal covariance or a full one. p(x | z) is Bernoulli:
cross-entropy with logits, summed over pixels and channels. z̄ is the image of q's mean, and u
are the labels, standardised. The encoder never sees u. Models differ in two places only, their
*latent map* and their *prior*, and a subclass fills in both.

The convolutions propose factors h(x), and the posterior's mean is the noise *abducted* from
that proposal: q(ε | x) = N(map⁻¹(h(x)), Σ(x)), so z̄(x) = h(x). The family is the same as
with a mean read directly off the convolutions. But these need not learn each mechanism a
second time only to subtract it again.

Of a row with all labels the latents are known: they are u. Its evidence log p(x, u) is then
log p(x | z = u) + log p(u), without any bound. The second part is the label likelihood. The
first is the *label reconstruction*, a term that is switched off unless a model weighs it. The
labelled rows of the semi-supervised VAE of Kingma et al. (2014) count likewise.
"""

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from caufvae_lite.answers import Answers, inference_batch
from caufvae_lite.data import FactorDataset
from caufvae_lite.flow import families_observed
from caufvae_lite.graph import CausalGraph
from caufvae_lite.networks import ImageShape
from caufvae_lite.posterior import Posterior, drawn_from, kl_from_standard_normal, split
from caufvae_lite.randomness import normal

TERMS = ("reconstruction", "kl", "supervision", "label_likelihood", "total")
MATCHING_ROWS = 20_000  # labelled rows that are enough to find what stands for a label

Terms = dict[str, Tensor]


class FactorVAE(Answers):
    """A VAE over named factors: the objective, and all that `Answers` can be asked.

    Args:
        graph: names the d factors, and for a causal model says what causes what.
        image_shape: ``(c, h, w)``.
        label_likelihood: the weight w_l; 0 switches the term off.
        supervision: the weight w_s; 0 switches the term off.
        extra_dims: latents after the d factors, N(0, I) and without labels or causes, for
            whatever the factors do not say.
        covariance: of the posterior's noises, ``"diagonal"`` or ``"full"``.
    """

    kinds: ClassVar[dict[str, type["FactorVAE"]]] = {}  # subclasses by name, for `load`
    kl_weight: float = 1.0  # β, for the models that weigh it
    label_reconstruction: float = 0.0  # the weight of −log p(x | z = u), likewise

    def __init_subclass__(cls) -> None:
        FactorVAE.kinds[cls.__name__] = cls

    def __init__(
        self,
        graph: CausalGraph,
        image_shape: ImageShape = (3, 64, 64),
        label_likelihood: float = 5.0,
        supervision: float = 20.0,
        extra_dims: int = 0,
        covariance: str = "diagonal",
    ):
        check_weights(
            label_likelihood=label_likelihood, supervision=supervision, extra_dims=extra_dims
        )
        super().__init__(graph, image_shape, extra_dims, covariance)
        self.label_likelihood = float(label_likelihood)
        self.supervision = float(supervision)

    # ---------------------------------------- what a subclass fills in, beside the map

    def kl(
        self, q: Posterior, noise: Tensor, factors: Tensor, log_det: Tensor, labels: Tensor
    ) -> Tensor:
        """KL ``(n,)`` of the posterior from the prior, or an estimate: from ε ~ N(0, I).

        ``q`` is q(ε | x) over ``(n, d)``. ``noise`` and ``factors``, each ``(n, d)``,
        are a draw of ε and its z, and ``log_det`` ``(n,)`` is log|det ∂z/∂ε| there. ``labels``
        ``(n, d)`` are standardised, NaN where missing.
        """
        return kl_from_standard_normal(q)

    def training_posterior(self, images: Tensor, labels: Tensor, draws: Tensor) -> Posterior:
        """q in the objective; q(ε | x, u) where the encoder reads labels in training."""
        return self.posterior(images)

    def label_log_prob(self, labels: Tensor) -> Tensor:
        """log p(u_i | parents) ``(n, d)``; 0 where a label it needs is NaN."""
        raise NotImplementedError

    def mechanism_parameters(self) -> list[nn.Parameter]:
        """The parameters of latent map and prior, which learn at their own rate."""
        return []

    def config(self) -> dict[str, Any]:
        """The constructor's arguments, ready for JSON."""
        return {
            "graph": {"nodes": self.graph.nodes, "edges": self.graph.edges},
            "image_shape": self.image_shape,
            "label_likelihood": self.label_likelihood,
            "supervision": self.supervision,
            "extra_dims": self.extra_dims,
        }

    # ------------------------------------------------------------- the objective

    def loss(
        self, images: Tensor, factors: Tensor, generator: torch.Generator | None = None
    ) -> Terms:
        """The loss and its terms, already weighted, averaged over the rows.

        Images are ``(n, c, h, w)``, and factors are labels ``(n, d)`` in the data's units: NaN
        is "no label". Shapes that do not fit are a ValueError. ``generator`` draws the noise.

        Returns scalars ``reconstruction``, ``kl``, ``supervision``, ``label_likelihood`` and
        ``total``, in nats an image (supervision: squared standard deviations). The label
        terms are means over the rows that have the labels they need, so a few labels weigh as
        much as many. A label reconstruction counts as ``reconstruction``.
        """
        draws = normal(len(images), self.latent_dims, seed=generator, like=self.mean)
        return self.average(self.row_terms(images, factors, draws), self.rows_with(factors))

    def row_terms(self, images: Tensor, factors: Tensor, draws: Tensor) -> Terms:
        """Every term of the loss for every row, not yet weighted.

        A model that changes the loss overrides this, and not `loss`: `fit` trains by it.

        ``draws`` ``(n, latent_dims)`` of N(0, 1) make the reparametrised noise. Returned are
        ``reconstruction`` and ``kl``, each ``(n,)``; ``supervision`` and ``label_likelihood``,
        each ``(n, d)``, with 0 where a label is missing; and, if it weighs anything,
        ``label_reconstruction`` ``(n,)``, with 0 where any of the row's labels is missing.
        """
        images = self.prepared(images)
        labels = self.standardise(factors, len(images))
        d = len(self.graph)
        q = self.training_posterior(images, labels, draws)
        noise = drawn_from(q, draws)
        both, log_det = self.latent_map(torch.cat([noise, q.mean])[:, :d])
        z, point = both.chunk(2)
        own, rest = split(q, d)
        kl = self.kl(own, noise[:, :d], z, log_det[: len(noise)], labels)
        terms = {
            "reconstruction": self._picture_surprise(images, z, noise[:, d:]),
            "kl": kl + kl_from_standard_normal(rest),
            "supervision": self._misalignment(point, labels),
            "label_likelihood": self._label_surprise(labels),
        }
        if self.label_reconstruction > 0:
            known = ~torch.isnan(labels).any(-1)
            latents, extra = self.label_latents(labels)[known], noise[known, d:]
            drawn = self._picture_surprise(images[known], latents, extra)
            terms["label_reconstruction"] = kl.new_zeros(len(kl)).masked_scatter(known, drawn)
        return terms

    def rows_with(self, factors: Tensor) -> Terms:
        """How many rows of ``factors`` ``(n, d)`` have what each term needs.

        Scalars for the terms of a whole row, ``(d,)`` for those of each factor.
        """
        labels = factors.to(self.mean.device)
        every = torch.tensor(len(labels), device=labels.device)
        return {
            "reconstruction": every,
            "kl": every,
            "label_reconstruction": (~torch.isnan(labels).any(-1)).sum(),
            "supervision": (~torch.isnan(labels)).sum(0),
            "label_likelihood": self._explained(labels).sum(0),
        }

    def average(self, terms: Terms, rows_with: Terms) -> Terms:
        """Row terms → scalars: weighted, summed, divided by how many rows have them.

        ``rows_with`` may count more rows than ``terms`` holds. Parts of a batch, each divided
        by what the whole batch has, then add up to the batch's loss.
        """
        weights = {
            "reconstruction": 1.0,
            "kl": self.kl_weight,
            "supervision": self.supervision,
            "label_likelihood": self.label_likelihood,
            "label_reconstruction": self.label_reconstruction,
        }
        found = {
            name: weights[name] * (term.sum(0) / rows_with[name].clamp_min(1)).sum()
            for name, term in terms.items()
        }
        if (from_labels := found.pop("label_reconstruction", None)) is not None:
            found["reconstruction"] = found["reconstruction"] + from_labels
        return {**found, "total": torch.stack(list(found.values())).sum()}

    def _picture_surprise(self, images: Tensor, latents: Tensor, extra: Tensor) -> Tensor:
        """−log p(x | z) ``(n,)``: cross-entropy with logits, summed over pixels."""
        logits = self.draw(latents, extra)
        bernoulli = F.binary_cross_entropy_with_logits(logits, images, reduction="none")
        return bernoulli.flatten(1).sum(1)

    def _misalignment(self, point: Tensor, labels: Tensor) -> Tensor:
        target = torch.nan_to_num(labels)
        binary = F.binary_cross_entropy_with_logits(point, target.clamp(0, 1), reduction="none")
        error = torch.where(self.binary, binary, (point - target).square())
        return torch.where(torch.isnan(labels), 0.0, error)

    def _explained(self, labels: Tensor) -> Tensor:
        """``(n, d)`` booleans: does p(u_i | parents) count, all labels being there?

        A binary factor has no density of its own, but it may well be a parent.
        """
        return families_observed(self.graph, labels) & ~self.binary

    def _label_surprise(self, labels: Tensor) -> Tensor:
        if self.label_likelihood == 0:
            return torch.zeros_like(labels)
        log_prob = self.label_log_prob(self.label_latents(labels))
        return -torch.where(self._explained(labels), log_prob, 0.0)

    @torch.no_grad()
    def adopt_units(self, dataset: FactorDataset, rows: Tensor | None = None) -> None:
        """Take mean, std and kinds from the labelled rows of ``dataset``.

        ``rows`` ``(k,)``, where given, are the only ones that count; no picture is read.
        """
        if dataset.graph.nodes != self.graph.nodes:
            raise ValueError(
                f"The model's factors are {list(self.graph.nodes)}, the data set's are "
                f"{list(dataset.graph.nodes)}: they must agree, in this order."
            )
        for i, name in enumerate(self.graph.nodes):
            self.binary[i] = dataset.kinds[name] == "binary"
            labels = dataset.factors[:, i] if rows is None else dataset.factors[rows, i]
            labels = labels[~torch.isnan(labels)]
            self.mean[i], self.std[i] = 0.0, 1.0
            if not self.binary[i] and len(labels) > 1 and labels.std() > 0:
                self.mean[i], self.std[i] = labels.mean(), labels.std()

    @torch.no_grad()
    def conclude(self, dataset: FactorDataset) -> None:
        """What is left to do when training is over, given all the data that `fit` was given.

        Each binary factor's 0 and 1 become the mean latents of the rows with that label.
        """
        known = (~torch.isnan(dataset.factors[:, self.binary.cpu()])).any(-1)
        chosen = some_of(torch.nonzero(known).flatten())
        if len(chosen) == 0:
            return
        batches = chosen.split(inference_batch(self.image_shape))
        parts = [self.posterior(self.prepared(dataset.images[b])).mean for b in batches]
        latents, _ = self.latent_map(torch.cat(parts)[:, : len(self.graph)])
        for i in torch.nonzero(self.binary).flatten().tolist():
            for value in (0, 1):
                rows = dataset.factors[chosen, i].to(latents.device) == value
                if rows.any():
                    self.binary_latents[value, i] = latents[rows, i].mean()

    def calibrate(
        self, dataset: FactorDataset, rows: Tensor | None = None, seed: int = 0
    ) -> None:
        """Nothing: only a model with a causal flow can, see `CauFVAE`."""


def check_weights(**weights: float) -> None:
    """A ValueError names the first that is negative or not finite."""
    for name, weight in weights.items():
        if not 0 <= weight < float("inf"):
            raise ValueError(f"{name} must be finite and 0 or more, got {weight}.")


def some_of(rows: Tensor) -> Tensor:
    """``rows``, or `MATCHING_ROWS` of them at equal distances if there are more."""
    if len(rows) <= MATCHING_ROWS:
        return rows
    return rows[torch.arange(MATCHING_ROWS) * len(rows) // MATCHING_ROWS]
