r"""The base that CauF-VAE and every baseline share: encoder, decoder, supervision.

::

    image ─► encoder ─► q(ε | x) ─► noise ε ─► latent map ─► factors z ─► decoder ─► image

    loss = E_q[−log p(x | z)] + KL + w_s · ‖z̄(x) − u‖² + w_l · (−log p(u))

ε are Gaussian with a diagonal covariance, p(x | z) is Bernoulli (cross-entropy with
logits, summed over pixels and channels), z̄ is the image of q's mean, and u are the labels,
standardised. The encoder never sees u. Models differ in two places only, their *latent
map* and their *prior*; a subclass fills in both.

The convolutions propose factors h(x), and the posterior's mean is the noise *abducted* from
that proposal: q(ε | x) = N(map⁻¹(h(x)), σ²(x)), so z̄(x) = h(x). The family is the same as
with a mean read directly off the convolutions, but these need not learn each mechanism a
second time only to subtract it again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Independent, Normal, kl_divergence

from caufvae_lite.data import FactorDataset, as_float
from caufvae_lite.flow import families_observed
from caufvae_lite.graph import CausalGraph
from caufvae_lite.interventions import Intervention, columns
from caufvae_lite.model import Decoded
from caufvae_lite.networks import Decoder, Encoder, ImageShape, check_image_shape
from caufvae_lite.randomness import Seed, generator_from, normal
from caufvae_lite.scaling.shares import Share

LOG_STD = (-7.0, 1.0)  # bounds of the posterior's log standard deviation
INFERENCE_BATCH = 512  # rows at a time, of up to 64 × 64 pixels; fewer of larger pictures
CONCLUDING_ROWS = 20_000  # labelled rows that a trained model looks at once more


class FactorVAE(nn.Module):
    """Encoder, decoder, supervision and the data's units; see the loss above.

    Args:
        graph: names the d factors, and for a causal model says what causes what.
        image_shape: ``(c, h, w)``.
        label_likelihood: the weight w_l; 0 switches the term off.
        supervision: the weight w_s; 0 switches the term off.
        extra_dims: latents after the d factors, N(0, I) and without labels or causes,
            for whatever the factors do not say.

    Attributes:
        mean, std: ``(d,)`` of the labelled training rows (0 and 1 until `fit`).
        binary: ``(d,)`` booleans; a binary factor's latent is a logit.
        binary_latents: ``(2, d)``, the mean latent of training rows labelled 0 and 1:
            what ``do(factor=0)`` and ``do(factor=1)`` set.
    """

    mean: Tensor
    std: Tensor
    binary: Tensor
    binary_latents: Tensor
    kl_weight: float = 1.0  # β, for the models that weigh it
    precision: torch.dtype | None = None  # of encoder and decoder; None is the weights' own

    def __init__(
        self,
        graph: CausalGraph,
        image_shape: ImageShape = (3, 64, 64),
        *,
        label_likelihood: float = 5.0,
        supervision: float = 20.0,
        extra_dims: int = 0,
    ):
        super().__init__()
        for name, weight in (
            ("label_likelihood", label_likelihood),
            ("supervision", supervision),
            ("extra_dims", extra_dims),
        ):
            if not (weight >= 0 and weight < float("inf")):
                raise ValueError(f"{name} must be finite and 0 or more, got {weight}.")
        self.graph = graph
        self.image_shape = check_image_shape(image_shape)
        self.label_likelihood = float(label_likelihood)
        self.supervision = float(supervision)
        self.extra_dims = int(extra_dims)
        d = len(graph)
        self.encoder = Encoder(self.image_shape, 2 * (d + self.extra_dims))
        self.decoder = Decoder(self.image_shape, d + self.extra_dims)
        self.register_buffer("mean", torch.zeros(d))
        self.register_buffer("std", torch.ones(d))
        self.register_buffer("binary", torch.zeros(d, dtype=torch.bool))
        self.register_buffer("binary_latents", torch.tensor([[-2.0], [2.0]]).repeat(1, d))

    # ------------------------------------------------ what a subclass fills in

    def latent_map(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Noise ``(n, d)`` → factors ``(n, d)``, standardised, and log|det| ``(n,)``."""
        raise NotImplementedError

    def abduct(self, factors: Tensor) -> Tensor:
        """The inverse of `latent_map`: noise ``(n, d)`` from standardised factors."""
        raise NotImplementedError

    def latent_do(self, noise: Tensor, do: Intervention) -> Tensor:
        """Factors ``(n, d)`` under ``do`` (standardised) with the noise kept."""
        raise NotImplementedError

    def prior_noise(self, n: int, labels: Tensor | None, generator: torch.Generator) -> Tensor:
        """Draw noise ``(n, d)`` from the prior; ``labels`` are standardised. N(0, I)."""
        return normal(n, len(self.graph), seed=generator, like=self.mean)

    def kl(
        self, posterior: Normal, noise: Tensor, factors: Tensor, log_det: Tensor, labels: Tensor
    ) -> Tensor:
        """KL ``(n,)`` of the posterior from the prior, or an estimate: from ε ~ N(0, I)."""
        return kl_divergence(posterior, standard_normal_like(posterior)).sum(-1)

    def label_log_prob(self, labels: Tensor) -> Tensor:
        """log p(u_i | parents) ``(n, d)``; 0 where a label it needs is NaN."""
        raise NotImplementedError

    def mechanism_parameters(self) -> list[nn.Parameter]:
        """The parameters of latent map and prior, which learn at their own rate."""
        return []

    def conclude(self, dataset: FactorDataset) -> None:
        """What is left to do when training is over, given all the data that `fit` was given."""
        self.adopt_binary_latents(dataset)

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

    def forward(self, *args: Any, **kwargs: Any) -> dict[str, Tensor]:
        """The loss, so that wrappers for several processes see every parameter used."""
        return self.loss(*args, **kwargs)

    def loss(
        self,
        images: Tensor,
        factors: Tensor,
        generator: torch.Generator | None = None,
        share: Share | None = None,
    ) -> dict[str, Tensor]:
        """The loss and its terms, already weighted, averaged over the batch.

        Args:
            images: ``(n, c, h, w)``.
            factors: labels ``(n, d)`` in the data's units; NaN is "no label".
            generator: for the reparametrised noise.
            share: says that these n rows are only some of a batch. Noise is then drawn for
                the batch, and averages are over the batch, so that the losses of all its
                shares add up to its loss. None: the rows are the batch.

        Returns:
            scalars ``reconstruction``, ``kl``, ``supervision``, ``label_likelihood``,
            ``total``, in nats an image (supervision: squared standard deviations). The
            two label terms are means over the rows that have the labels they need, so
            that a few labels keep their say.

        Raises:
            ValueError: shapes that do not fit, or a share that its batch does not hold.
        """
        images = self._images(images)
        labels = everyones = self._labels(factors, len(images))
        start = 0
        if share is not None:
            start, everyones = share.start, self._labels(share.labels, len(share.labels))
        rows = len(everyones)
        if not 0 <= start <= rows - len(images):
            raise ValueError(
                f"A share of rows {start} to {start + len(images)} is not within a batch of "
                f"{rows}."
            )
        d = len(self.graph)
        posterior = self._posterior(images)
        eps = normal(rows, d + self.extra_dims, seed=generator, like=posterior.mean)
        eps = eps[start : start + len(images)]
        noise = posterior.mean + posterior.stddev * eps
        both = torch.cat([noise, posterior.mean])[:, :d]
        latents, log_det = self.latent_map(both)
        drawn, point = latents.chunk(2)
        logits = self.draw(drawn, noise[:, d:])
        reconstruction = F.binary_cross_entropy_with_logits(
            logits, images, reduction="sum"
        ) / max(1, rows)
        own = Normal(posterior.mean[:, :d], posterior.stddev[:, :d])
        rest = Normal(posterior.mean[:, d:], posterior.stddev[:, d:])
        kl = self.kl(own, noise[:, :d], drawn, log_det[: len(noise)], labels)
        kl = kl + kl_divergence(rest, standard_normal_like(rest)).sum(-1)
        terms = {
            "reconstruction": reconstruction,
            "kl": self.kl_weight * kl.sum() / max(1, rows),
            "supervision": self.supervision * self._misalignment(point, labels, everyones),
            "label_likelihood": self.label_likelihood * self._label_surprise(labels, everyones),
        }
        return {**terms, "total": torch.stack(list(terms.values())).sum()}

    def _misalignment(self, point: Tensor, labels: Tensor, everyones: Tensor) -> Tensor:
        observed = ~torch.isnan(labels)
        target = torch.where(observed, labels, 0.0)
        error = torch.where(
            self.binary,
            F.binary_cross_entropy_with_logits(point, target.clamp(0, 1), reduction="none"),
            (point - target).square(),
        )
        return _mean_over(error, observed, ~torch.isnan(everyones))

    def _label_surprise(self, labels: Tensor, everyones: Tensor) -> Tensor:
        if self.label_likelihood == 0:
            return labels.new_zeros(())
        continuous = labels.masked_fill(self.binary, torch.nan)
        observed = counted = families_observed(self.graph, continuous)
        if everyones is not labels:
            everyones = everyones.masked_fill(self.binary, torch.nan)
            counted = families_observed(self.graph, everyones)
        return -_mean_over(self.label_log_prob(continuous), observed, counted)

    # ----------------------------------------------------- images, noise, factors

    def encode(self, images: Tensor) -> Independent:
        """q(ε | x): a diagonal Gaussian over ``(n, d + extra_dims)`` noise."""
        return Independent(self._posterior(self._images(images)), 1)

    def proposal(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """h(x) and the raw spread of its noise, each ``(n, d + extra_dims)``."""
        mean, raw = self._run(self.encoder, images).chunk(2, -1)
        return mean, raw

    def draw(self, latents: Tensor, extra: Tensor) -> Tensor:
        """Logits ``(n, c, h, w)`` of the picture of standardised ``(n, d)`` and extra dims."""
        return self._run(self.decoder, torch.cat([latents, extra], 1))

    def _run(self, network: nn.Module, inputs: Tensor) -> Tensor:
        """Encoder or decoder, in ``precision``; flows and densities never are."""
        if self.precision is None:
            return network(inputs)
        with torch.autocast(inputs.device.type, self.precision):
            outputs = network(inputs)
        return outputs.to(inputs.dtype)

    def _posterior(self, images: Tensor) -> Normal:
        proposal, raw = self.proposal(images)
        d = len(self.graph)
        mean = torch.cat([self.abduct(proposal[:, :d]), proposal[:, d:]], -1)
        low, high = LOG_STD
        return Normal(mean, torch.exp(low + (high - low) * torch.sigmoid(raw)))

    @torch.no_grad()
    def factors(self, images: Tensor, samples: int | None = None, seed: Seed = None) -> Tensor:
        """Factors of images: ``(n, d)`` at the posterior mean, or ``(k, n, d)`` draws.

        In the data's units; a binary factor's value is its probability.
        """
        found = [
            torch.stack([self._to_units(self.latent_map(e)[0]) for e, _ in draws])
            for draws in self._abduct(images, samples, seed)
        ]
        return _gather(found, samples)

    @torch.no_grad()
    def reconstruct(self, images: Tensor) -> Tensor:
        """The images ``(n, c, h, w)`` as the model sees them, at the posterior mean."""
        return self.counterfactual(images, {}).images

    @torch.no_grad()
    def counterfactual(
        self,
        images: Tensor,
        do: Intervention,
        samples: int | None = None,
        seed: Seed = None,
    ) -> Decoded:
        """What the pictures would have been under ``do``.

        Abduction (noise from the image), action (set the factors that ``do`` names),
        prediction (recompute their descendants from their own noise, and decode).

        Args:
            images: ``(n, c, h, w)``.
            do: ``{name: value}`` in the data's units, one value or one for each row.
            samples: k posterior draws instead of the posterior mean.
            seed: of those draws.
        """
        do = self._standardised(do, len(images))
        pictures, factors = [], []
        start = 0
        for draws in self._abduct(images, samples, seed):
            stop = start + len(draws[0][0])
            part = {name: value[start:stop] for name, value in do.items()}
            start = stop
            latents = [(self.latent_do(own, part), extra) for own, extra in draws]
            factors.append(torch.stack([self._to_units(z) for z, _ in latents]))
            pictures.append(torch.stack([self._decode(z, extra) for z, extra in latents]))
        return Decoded(_gather(pictures, samples), _gather(factors, samples))

    @torch.no_grad()
    def intervention(self, images: Tensor, do: Intervention, seed: Seed = None) -> Decoded:
        """What another draw of the same scene would look like under ``do``.

        Like `counterfactual`, but the noise of everything downstream of ``do`` is drawn
        anew instead of kept: "if I set it now", not "had it been set then".
        """
        draws = [draw for (draw,) in self._abduct(images, None, None)]
        own, extra = (torch.cat(parts) for parts in zip(*draws, strict=True))
        names = self.graph.affected(do)
        fresh = torch.tensor([n in names for n in self.graph.nodes], device=own.device)
        own = torch.where(fresh, normal(*own.shape, seed=seed, like=own), own)
        latents = self.latent_do(own, self._standardised(do, len(images)))
        return Decoded(self._decode_all(latents, extra), self._to_units(latents))

    @torch.no_grad()
    def sample(
        self,
        n: int,
        do: Intervention | None = None,
        seed: Seed = None,
        labels: Tensor | None = None,
    ) -> Decoded:
        """Draw n pictures with their factors, as things are or under ``do``.

        Args:
            n: how many.
            do: as in `counterfactual`; the same seed draws the same noise with any do.
            seed: of the draws.
            labels: ``(n, d)``, for priors that are conditioned on labels.
        """
        generator = generator_from(seed)
        if labels is not None:
            labels = self._labels(labels, n)
        noise = self.prior_noise(n, labels, generator)
        extra = normal(n, self.extra_dims, seed=generator, like=noise)
        latents = self.latent_do(noise, self._standardised(do or {}, n))
        return Decoded(self._decode_all(latents, extra), self._to_units(latents))

    @torch.no_grad()
    def decode(self, factors: Tensor, extra: Tensor | None = None) -> Tensor:
        """Draw factors ``(n, d)``, given in the data's units, as images.

        ``extra`` ``(n, extra_dims)`` defaults to zeros.
        """
        latents = self._labels(factors, len(factors))
        if torch.isnan(latents).any():
            raise ValueError("decode() needs every factor; these hold a NaN.")
        latents = torch.where(self.binary, self._binary_latent(latents), latents)
        if extra is None:
            extra = latents.new_zeros(len(latents), self.extra_dims)
        return self._decode_all(latents, extra.to(latents))

    def _decode(self, latents: Tensor, extra: Tensor) -> Tensor:
        return torch.sigmoid(self.draw(latents, extra))

    def _decode_all(self, latents: Tensor, extra: Tensor) -> Tensor:
        size = inference_batch(self.image_shape)
        parts = zip(latents.split(size), extra.split(size), strict=True)
        return torch.cat([self._decode(z, e) for z, e in parts])

    def _batches(self, images: Tensor) -> tuple[Tensor, ...]:
        """Images as they are, in parts that fit into memory once they are numbers."""
        images = self._checked(images)
        return images.split(inference_batch(self.image_shape)) if len(images) else (images,)

    def _abduct(
        self, images: Tensor, samples: int | None, seed: Seed
    ) -> Iterator[list[tuple[Tensor, Tensor]]]:
        """Batch by batch: one or k draws of (factor noise, extra noise)."""
        if samples is not None and samples < 1:
            raise ValueError(f"samples must be 1 or more, or None; got {samples}.")
        generator = None if samples is None else generator_from(seed)
        for batch in self._batches(images):
            q = self._posterior(self._images(batch))
            noise = [q.mean]
            if samples is not None:
                shape = q.mean.shape
                noise = [
                    q.mean + q.stddev * normal(*shape, seed=generator, like=q.mean)
                    for _ in range(samples)
                ]
            d = len(self.graph)
            yield [(e[:, :d], e[:, d:]) for e in noise]

    # --------------------------------------------------------- units and checks

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
    def adopt_binary_latents(self, dataset: FactorDataset) -> None:
        """Set `binary_latents` from the labelled rows of ``dataset``.

        Of more than `CONCLUDING_ROWS` of them, from that many at equal distances.
        """
        labels = dataset.factors[:, self.binary.cpu()]
        chosen = some_of(torch.nonzero((~torch.isnan(labels)).any(-1)).flatten())
        if len(chosen) == 0:
            return
        noise = torch.cat(
            [
                self._posterior(self._images(dataset.images[rows])).mean
                for rows in chosen.split(inference_batch(self.image_shape))
            ]
        )
        latents, _ = self.latent_map(noise[:, : len(self.graph)])
        for i in torch.nonzero(self.binary).flatten().tolist():
            for value in (0, 1):
                rows = dataset.factors[chosen, i].to(latents.device) == value
                if rows.any():
                    self.binary_latents[value, i] = latents[rows, i].mean()

    def _to_units(self, latents: Tensor) -> Tensor:
        continuous = latents * self.std + self.mean
        return torch.where(self.binary, torch.sigmoid(latents), continuous)

    def _binary_latent(self, value: Tensor) -> Tensor:
        low, high = self.binary_latents
        return low + value * (high - low)

    def _standardised(self, do: Intervention, n: int) -> dict[str, Tensor]:
        set_to = columns(do, self.graph.nodes, self.mean.new_empty(n))
        found = {}
        for i, value in set_to.items():
            if self.binary[i]:
                if not ((value >= 0) & (value <= 1)).all():
                    raise ValueError(
                        f"{self.graph.nodes[i]!r} is binary: set 0 or 1 (or between)."
                    )
                low, high = self.binary_latents[:, i]
                found[self.graph.nodes[i]] = low + value * (high - low)
            else:
                found[self.graph.nodes[i]] = (value - self.mean[i]) / self.std[i]
        return found

    def _images(self, images: Tensor) -> Tensor:
        return as_float(self._checked(images).to(self.mean.device)).to(self.mean.dtype)

    def _checked(self, images: Tensor) -> Tensor:
        images = torch.as_tensor(images)
        if images.ndim != 4 or tuple(images.shape[1:]) != self.image_shape:
            raise ValueError(
                f"images must have shape (n, {', '.join(map(str, self.image_shape))}), "
                f"got {tuple(images.shape)}; one image needs a batch axis, images[None]."
            )
        return images

    def _labels(self, factors: Tensor, n: int) -> Tensor:
        """Labels in the data's units → standardised, NaN kept."""
        factors = torch.as_tensor(factors).to(self.mean)
        expected = (n, len(self.graph))
        if tuple(factors.shape) != expected:
            raise ValueError(
                f"labels must have shape {expected}: one column for each of "
                f"{list(self.graph.nodes)}; got {tuple(factors.shape)}."
            )
        if torch.isinf(factors).any():
            raise ValueError("labels hold an infinite value; use NaN for a missing label.")
        return (factors - self.mean) / self.std


def inference_batch(image_shape: ImageShape) -> int:
    """Pictures at a time: as many values as `INFERENCE_BATCH` pictures of 64 × 64 hold."""
    c, h, w = image_shape
    return max(1, min(INFERENCE_BATCH, INFERENCE_BATCH * 3 * 64 * 64 // (c * h * w)))


def some_of(rows: Tensor) -> Tensor:
    """``rows``, or `CONCLUDING_ROWS` of them at equal distances if there are more."""
    if len(rows) <= CONCLUDING_ROWS:
        return rows
    return rows[torch.arange(CONCLUDING_ROWS) * len(rows) // CONCLUDING_ROWS]


def _gather(batches: list[Tensor], samples: int | None) -> Tensor:
    """Batches ``(k, b, …)`` → ``(k, n, …)``, or ``(n, …)`` for the point estimate."""
    joined = torch.cat(batches, 1)
    return joined[0] if samples is None else joined


def _mean_over(values: Tensor, observed: Tensor, everyones: Tensor) -> Tensor:
    """Mean of each column of ``(n, d)`` over its observed rows, summed over the columns.

    ``everyones`` ``(rows, d)`` says what is observed in the batch that these are a share of.
    """
    total = torch.where(observed, values, 0.0).sum(0)
    return (total / everyones.sum(0).clamp_min(1)).sum()


def standard_normal_like(q: Normal) -> Normal:
    return Normal(torch.zeros_like(q.mean), torch.ones_like(q.stddev))
