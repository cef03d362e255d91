"""What a model of pictures and factors can be asked, once it is trained.

::

    picture ─► encoder ─► h(x) ─► noise ε = map⁻¹(h) ─► factors z = map(ε) ─► decoder ─► picture
               └─────────── abduction ────────┘  └ action, prediction ─┘

`Answers` holds the two networks, the data's units and every question. What the latent map is,
its subclasses say; how a model learns is in `vae.py`.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.distributions import Independent, Normal

from caufvae_lite.data import as_float
from caufvae_lite.graph import CausalGraph
from caufvae_lite.interventions import Decoded, Intervention, columns
from caufvae_lite.networks import Decoder, Encoder, ImageShape, check_image_shape
from caufvae_lite.randomness import Seed, generator_from, normal

LOG_STD = (-7.0, 1.0)  # bounds of the posterior's log standard deviation
INFERENCE_BATCH = 512  # pictures of 64 × 64 that are answered about at a time


class Answers(nn.Module):
    """Encoder, decoder, the data's units, and the questions.

    Args:
        graph: names the d factors, and for a causal model says what causes what.
        image_shape: ``(c, h, w)``.
        extra_dims: latents after the d factors, without labels or causes.

    Attributes:
        mean, std: ``(d,)`` of the labelled training rows (0 and 1 until training).
        binary: ``(d,)`` booleans; a binary factor's latent is a logit.
        binary_latents: ``(2, d)``, the latents that stand for 0 and for 1.
    """

    mean: Tensor
    std: Tensor
    binary: Tensor
    binary_latents: Tensor

    def __init__(self, graph: CausalGraph, image_shape: ImageShape, extra_dims: int):
        super().__init__()
        self.graph = graph
        self.image_shape = check_image_shape(image_shape)
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

    # ------------------------------------------------------------- the two networks

    def proposal(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """h(x) and the raw spread of its noise, each ``(n, d + extra_dims)``."""
        mean, raw = self.encoder(images).chunk(2, -1)
        return mean, raw

    def draw(self, latents: Tensor, extra: Tensor) -> Tensor:
        """Logits ``(n, c, h, w)`` of the picture of standardised ``(n, d)`` and extra dims."""
        return self.decoder(torch.cat([latents, extra], 1))

    def posterior(self, images: Tensor) -> Normal:
        """q(ε | x) for `prepared` images: N(map⁻¹(h(x)), σ²(x)), each noise by itself."""
        proposal, raw = self.proposal(images)
        d = len(self.graph)
        mean = torch.cat([self.abduct(proposal[:, :d]), proposal[:, d:]], -1)
        low, high = LOG_STD
        return Normal(mean, torch.exp(low + (high - low) * torch.sigmoid(raw)))

    # --------------------------------------------------------------- the questions

    def encode(self, images: Tensor) -> Independent:
        """q(ε | x): a diagonal Gaussian over ``(n, d + extra_dims)`` noise."""
        return Independent(self.posterior(self.prepared(images)), 1)

    @torch.no_grad()
    def factors(self, images: Tensor, samples: int | None = None, seed: Seed = None) -> Tensor:
        """Factors of images: ``(n, d)`` at the posterior mean, or ``(k, n, d)`` draws.

        In the data's units; a binary factor's value is its probability.
        """
        d = len(self.graph)
        found = [
            torch.stack([self._to_units(self.latent_map(e[:, :d])[0]) for e in draws])
            for _, draws in self._abducted(images, samples, seed)
        ]
        return _joined(found, samples)

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

        Raises:
            ValueError: images of another shape, an unknown factor, values that do not fit.
        """
        set_to = self._standardised_do(do, len(images))
        d = len(self.graph)
        pictures, factors = [], []
        for rows, draws in self._abducted(images, samples, seed):
            own = {name: value[rows] for name, value in set_to.items()}
            latents = [self.latent_do(e[:, :d], own) for e in draws]
            factors.append(torch.stack([self._to_units(z) for z in latents]))
            drawn = [self.draw(z, e[:, d:]) for z, e in zip(latents, draws, strict=True)]
            pictures.append(torch.sigmoid(torch.stack(drawn)))
        return Decoded(_joined(pictures, samples), _joined(factors, samples))

    @torch.no_grad()
    def intervention(self, images: Tensor, do: Intervention, seed: Seed = None) -> Decoded:
        """What another draw of the same scene would look like under ``do``.

        Like `counterfactual`, but the noise of everything downstream of ``do`` is drawn anew
        instead of kept: "if I set it now", not "had it been set then".
        """
        noise = torch.cat([draws[0] for _, draws in self._abducted(images, None, None)])
        own, extra = noise.tensor_split([len(self.graph)], -1)
        names = self.graph.affected(do)
        fresh = torch.tensor([n in names for n in self.graph.nodes], device=own.device)
        own = torch.where(fresh, normal(*own.shape, seed=seed, like=own), own)
        latents = self.latent_do(own, self._standardised_do(do, len(images)))
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
            labels = self.standardise(labels, n)
        noise = self.prior_noise(n, labels, generator)
        extra = normal(n, self.extra_dims, seed=generator, like=noise)
        latents = self.latent_do(noise, self._standardised_do(do or {}, n))
        return Decoded(self._decode_all(latents, extra), self._to_units(latents))

    @torch.no_grad()
    def decode(self, factors: Tensor, extra: Tensor | None = None) -> Tensor:
        """Draw factors ``(n, d)``, given in the data's units, as images.

        ``extra`` ``(n, extra_dims)`` defaults to zeros.
        """
        latents = self.label_latents(self.standardise(factors, len(factors)))
        if torch.isnan(latents).any():
            raise ValueError("decode() needs every factor; these hold a NaN.")
        if extra is None:
            extra = latents.new_zeros(len(latents), self.extra_dims)
        return self._decode_all(latents, extra.to(latents))

    def _decode_all(self, latents: Tensor, extra: Tensor) -> Tensor:
        size = inference_batch(self.image_shape)
        parts = zip(latents.split(size), extra.split(size), strict=True)
        return torch.cat([torch.sigmoid(self.draw(z, e)) for z, e in parts])

    def _abducted(
        self, images: Tensor, samples: int | None, seed: Seed
    ) -> Iterator[tuple[slice, list[Tensor]]]:
        """Batch by batch its rows, and one or k draws of noise ``(b, d + extra_dims)``."""
        if samples is not None and samples < 1:
            raise ValueError(f"samples must be 1 or more, or None; got {samples}.")
        generator = None if samples is None else generator_from(seed)
        size = inference_batch(self.image_shape)
        for start in range(0, max(1, len(images)), size):
            rows = slice(start, start + size)
            q = self.posterior(self.prepared(images[rows]))
            spread = [
                normal(*q.mean.shape, seed=generator, like=q.mean) for _ in range(samples or 0)
            ]
            yield rows, [q.mean + q.stddev * e for e in spread] or [q.mean]

    # ------------------------------------------------------------- units and checks

    def prepared(self, images: Tensor) -> Tensor:
        """Images of the right shape as numbers in [0, 1], on the model's device.

        Raises:
            ValueError: another shape, or numbers outside [0, 1].
        """
        images = torch.as_tensor(images)
        if images.ndim != 4 or tuple(images.shape[1:]) != self.image_shape:
            raise ValueError(
                f"images must have shape (n, {', '.join(map(str, self.image_shape))}), "
                f"got {tuple(images.shape)}; one image needs a batch axis, images[None]."
            )
        return as_float(images.to(self.mean.device)).to(self.mean.dtype)

    def standardise(self, factors: Tensor, n: int) -> Tensor:
        """Labels ``(n, d)`` in the data's units → standardised, NaN kept.

        Raises:
            ValueError: another shape, or an infinite value.
        """
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

    def label_latents(self, labels: Tensor) -> Tensor:
        """The latents ``(n, d)`` that stand for standardised labels: a binary one's logit."""
        low, high = self.binary_latents
        return torch.where(self.binary, low + labels * (high - low), labels)

    def _to_units(self, latents: Tensor) -> Tensor:
        continuous = latents * self.std + self.mean
        return torch.where(self.binary, torch.sigmoid(latents), continuous)

    def _standardised_do(self, do: Intervention, n: int) -> dict[str, Tensor]:
        """Every value as the latents ``(n,)`` that stand for it."""
        set_to = {}
        for i, value in columns(do, self.graph.nodes, self.mean.new_empty(n)).items():
            name = self.graph.nodes[i]
            if self.binary[i] and not ((value >= 0) & (value <= 1)).all():
                raise ValueError(f"{name!r} is binary: set 0 or 1 (or between).")
            low, high = self.binary_latents[:, i]
            latent = low + value * (high - low)
            set_to[name] = latent if self.binary[i] else (value - self.mean[i]) / self.std[i]
        return set_to


def inference_batch(image_shape: ImageShape) -> int:
    """Pictures at a time: as many values as `INFERENCE_BATCH` pictures of 64 × 64 hold."""
    c, h, w = image_shape
    return max(1, min(INFERENCE_BATCH, INFERENCE_BATCH * 3 * 64 * 64 // (c * h * w)))


def _joined(batches: list[Tensor], samples: int | None) -> Tensor:
    """Batches ``(k, b, …)`` → ``(k, n, …)``, or ``(n, …)`` for the point estimate."""
    whole = torch.cat(batches, 1)
    return whole[0] if samples is None else whole
