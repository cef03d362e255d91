"""What a model of pictures and factors can be asked, once it is trained.

::

    picture ─► encoder ─► h(x) ─► noise ε = map⁻¹(h) ─► factors z = map(ε) ─► decoder ─► picture
               └─────────── abduction ────────┘  └ action, prediction ─┘

What the latent map is, the subclasses say; how a model learns is in `factor_vae.py`.
"""

import torch
from torch import Tensor, nn

from caufvae_lite.data import as_float
from caufvae_lite.graph import CausalGraph
from caufvae_lite.interventions import Decoded, Intervention, columns
from caufvae_lite.networks import Decoder, Encoder, ImageShape, check_image_shape
from caufvae_lite.posterior import Calibration, Posterior, drawn_from, gaussian
from caufvae_lite.randomness import Seed, generator_from, normal

COVARIANCES = ("diagonal", "full")
LOG_STD = (-7.0, 1.0)  # bounds of the posterior's log standard deviation
LOGIT = 4.0  # ± this (p = .98) stands for a binary label, and bounds what pictures show
INFERENCE_BATCH = 512  # pictures of 64 × 64 that are answered about at a time


class Answers(nn.Module):
    """Encoder, decoder, the data's units, and the questions; `FactorVAE` has the arguments."""

    mean: Tensor  # (d,), of the labelled training rows: 0 until training
    std: Tensor  # (d,), 1 until training
    binary: Tensor  # (d,) booleans; a binary factor's latent is a logit
    binary_latents: Tensor  # (2, d), the latents that stand for 0 and for 1
    calibration: Calibration | None  # of the draws; none until labelled rows gave one

    def __init__(
        self,
        graph: CausalGraph,
        image_shape: ImageShape,
        extra_dims: int,
        covariance: str = "diagonal",
    ):
        super().__init__()
        if covariance not in COVARIANCES:
            raise ValueError(f"covariance must be one of {COVARIANCES}, got {covariance!r}.")
        self.covariance = covariance
        self.graph = graph
        self.image_shape = check_image_shape(image_shape)
        self.extra_dims = int(extra_dims)
        d = len(graph)
        self.latent_dims = d + self.extra_dims
        pairs = d * (d - 1) // 2 if covariance == "full" else 0
        self.encoder = Encoder(self.image_shape, 2 * self.latent_dims + pairs)
        self.decoder = Decoder(self.image_shape, self.latent_dims)
        self.calibration = None
        self.register_buffer("mean", torch.zeros(d))
        self.register_buffer("std", torch.ones(d))
        self.register_buffer("binary", torch.zeros(d, dtype=torch.bool))
        self.register_buffer("binary_latents", torch.tensor([[-LOGIT], [LOGIT]]).repeat(1, d))

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

    def proposal(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """h(x) ``(n, latent_dims)`` and the raw spread of its noise, see `posterior`.

        The spread's columns are one for each latent, then one for each pair of factors if the
        covariance is full.
        """
        mean, raw = self.encoder(images).tensor_split([self.latent_dims], -1)
        return mean, raw

    def draw(self, latents: Tensor, extra: Tensor) -> Tensor:
        """Logits ``(n, c, h, w)`` of the picture of standardised ``(n, d)`` and extra dims."""
        return self.decoder(torch.cat([latents, extra], 1))

    def posterior(self, images: Tensor) -> Posterior:
        """q(ε | x) for `prepared` images: Gaussian around map⁻¹(h(x)), see `posterior.py`."""
        return self.posterior_around(*self.proposal(images))

    def posterior_around(self, proposal: Tensor, raw: Tensor) -> Posterior:
        """The posterior of what `proposal` returns; binary logits are bounded by `LOGIT`."""
        own, rest = proposal.tensor_split([len(self.graph)], -1)
        mean = torch.cat([self.abduct(self.bounded(own)), rest], -1)
        raw, below = raw.tensor_split([self.latent_dims], -1)
        low, high = LOG_STD
        std = torch.exp(low + (high - low) * torch.sigmoid(raw))
        return gaussian(mean, std, below if self.covariance == "full" else None)

    def bounded(self, own: Tensor) -> Tensor:
        """h ``(n, d)`` whose binary logits cannot leave those that taught the mechanisms."""
        return torch.where(self.binary, LOGIT * torch.tanh(own / LOGIT), own)

    # --------------------------------------------------------------- the questions

    def encode(self, images: Tensor) -> Posterior:
        """q(ε | x): a Gaussian over ``(n, d + extra_dims)`` noise."""
        return self.posterior(self.prepared(images))

    @torch.no_grad()
    def factors(
        self,
        images: Tensor,
        samples: int | None = None,
        seed: Seed = None,
        do: Intervention | None = None,
    ) -> Tensor:
        """Factors of images: ``(n, d)`` at the posterior mean, or ``(k, n, d)`` draws.

        In the data's units; a binary factor's value is its probability. With ``do`` these are
        the factors of `counterfactual`, where ``samples`` is explained, and nothing is drawn
        as a picture.
        """
        draws = self._draws(images, self._standardised_do(do, len(images)), samples, seed)
        return _stacked([self._to_units(own) for own, _ in draws], samples)

    def reconstruct(self, images: Tensor) -> Tensor:
        """The images ``(n, c, h, w)`` as the model sees them, at the posterior mean."""
        return self.counterfactual(images, {}).images

    @torch.no_grad()
    def counterfactual(
        self, images: Tensor, do: Intervention, samples: int | None = None, seed: Seed = None
    ) -> Decoded:
        """What the pictures would have been under ``do``.

        Abduction (noise from the image), action (set the factors that ``do`` names),
        prediction (recompute their descendants from their own noise, and decode).

        Args:
            images: ``(n, c, h, w)``.
            do: ``{name: value}`` in the data's units, one value or one for each row.
            samples, seed: k draws instead of the posterior mean, and their seed. After a
                calibration (`fit` does one where held-out rows have labels) these spread as
                the model errs on labelled rows, and `Decoded.interval` gives intervals. Before
                one they are the encoder's own, which say little of its errors.

        Raises:
            ValueError: images of another shape, an unknown factor, values that do not fit.
        """
        set_to = self._standardised_do(do, len(images))
        draws = self._draws(images, set_to, samples, seed)
        pictures = _stacked([self._pictures(own, extra) for own, extra in draws], samples)
        factors = _stacked([self._to_units(own) for own, _ in draws], samples)
        return Decoded(pictures, factors, self.calibration is not None)

    @torch.no_grad()
    def intervention(self, images: Tensor, do: Intervention, seed: Seed = None) -> Decoded:
        """What another draw of the same scene would look like under ``do``.

        Like `counterfactual`, but the noise of everything downstream of ``do`` is drawn anew
        instead of kept: "if I set it now", not "had it been set then".
        """
        noise = self._noise_of(images)[0]
        fresh = normal(len(noise), len(self.graph), seed=seed, like=noise)
        anew = [self.graph.index(name) for name in self.graph.affected(do)]
        noise[:, anew] = fresh[:, anew]
        return self._predicted(noise, self._standardised_do(do, len(images)))

    @torch.no_grad()
    def sample(
        self,
        n: int,
        do: Intervention | None = None,
        seed: Seed = None,
        labels: Tensor | None = None,
    ) -> Decoded:
        """Draw n pictures with their factors, as things are or under ``do``.

        The same seed draws the same noise with any ``do``. Priors that are conditioned on
        labels need ``labels`` ``(n, d)``.
        """
        generator = generator_from(seed)
        labels = None if labels is None else self.standardise(labels, n)
        noise = self.prior_noise(n, labels, generator)
        extra = normal(n, self.extra_dims, seed=generator, like=noise)
        return self._predicted(torch.cat([noise, extra], 1), self._standardised_do(do, n))

    @torch.no_grad()
    def decode(self, factors: Tensor) -> Tensor:
        """Draw factors ``(n, d)``, given in the data's units, as images; extra dims are 0."""
        latents = self.label_latents(self.standardise(factors, len(factors)))
        if torch.isnan(latents).any():
            raise ValueError("decode() needs every factor; these hold a NaN.")
        return self._pictures(latents, latents.new_zeros(len(latents), self.extra_dims))

    def _noise_of(
        self, images: Tensor, samples: int | None = None, seed: Seed = None
    ) -> Tensor:
        """k draws of noise ``(k, n, latent_dims)``, or only the posterior's mean (k = 1)."""
        if samples is not None and samples < 1:
            raise ValueError(f"samples must be 1 or more, or None; got {samples}.")
        generator, found = generator_from(seed), []
        for part in torch.as_tensor(images).split(inference_batch(self.image_shape)):
            q = self.posterior(self.prepared(part))
            shape, like = q.mean.shape, q.mean
            draws = [normal(*shape, seed=generator, like=like) for _ in range(samples or 0)]
            found.append(torch.stack([drawn_from(q, draw) for draw in draws] or [q.mean]))
        return torch.cat(found, 1)

    def _draws(
        self, images: Tensor, do: Intervention, samples: int | None, seed: Seed
    ) -> list[tuple[Tensor, Tensor]]:
        """Latents ``(n, d)`` under a standardised ``do``, and extra dims: k draws of both."""
        d, generator = len(self.graph), generator_from(seed)
        noise = self._noise_of(images, samples, generator)
        if samples is None or self.calibration is None:
            return [(self.latent_do(one[:, :d], do), one[:, d:]) for one in noise]
        seen, _ = self.latent_map(self._noise_of(images)[0, :, :d])
        drawn = self.calibration.draws(seen, do, samples, generator)
        return list(zip(drawn, noise[..., d:], strict=True))

    def _predicted(self, noise: Tensor, do: Intervention) -> Decoded:
        """What noise ``(n, latent_dims)`` makes under a standardised ``do``."""
        own, extra = noise.tensor_split([len(self.graph)], -1)
        latents = self.latent_do(own, do)
        return Decoded(self._pictures(latents, extra), self._to_units(latents))

    def _pictures(self, latents: Tensor, extra: Tensor) -> Tensor:
        size = inference_batch(self.image_shape)
        parts = zip(latents.split(size), extra.split(size), strict=True)
        return torch.sigmoid(torch.cat([self.draw(*part) for part in parts]))

    # ------------------------------------------------------------- units and checks

    def prepared(self, images: Tensor) -> Tensor:
        """Images of the right shape as numbers in [0, 1], on the model's device.

        Another shape, or numbers outside [0, 1], are a ValueError.
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

        Another shape, or an infinite value, is a ValueError.
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

    def _standardised_do(self, do: Intervention | None, n: int) -> dict[str, Tensor]:
        """Every value as the latents ``(n,)`` that stand for it."""
        set_to = {}
        for i, value in columns(do, self.graph.nodes, self.mean.new_empty(n)).items():
            name = self.graph.nodes[i]
            low, high = self.binary_latents[:, i]
            if self.binary[i] and not ((value >= 0) & (value <= 1)).all():
                raise ValueError(f"{name!r} is binary: set 0 or 1 (or between).")
            standard = (value - self.mean[i]) / self.std[i]
            set_to[name] = low + value * (high - low) if self.binary[i] else standard
        return set_to


def inference_batch(image_shape: ImageShape) -> int:
    """Pictures at a time: as many values as `INFERENCE_BATCH` pictures of 64 × 64 hold."""
    c, h, w = image_shape
    return max(1, min(INFERENCE_BATCH, INFERENCE_BATCH * 3 * 64 * 64 // (c * h * w)))


def _stacked(draws: list[Tensor], samples: int | None) -> Tensor:
    """k draws ``(n, …)`` → ``(k, n, …)``, or ``(n, …)`` for the point estimate."""
    return torch.stack(draws)[0] if samples is None else torch.stack(draws)
