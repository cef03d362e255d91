r"""CauF-VAE: a VAE whose posterior goes through a causal flow.

After Fan, Kou and Gao, "CauF-VAE: Causal Disentangled Representation Learning with VAE
and Causal Flows" (arXiv 2304.09010). No code of it is public and its method section was
not available to us: what follows is a reconstruction, and two switches separate what its
parts do.

``prior="scm"``
    ε ~ N(0, I), so p(z) is the flow's own push-forward. The log-determinants of posterior
    and prior cancel and KL(q(ε | x) ‖ N(0, I)) is in closed form.
``prior="label"``
    p(z | u) of `LabelPrior`, as we read the published one. KL by Monte Carlo:
    log q(ε | x) − Σ s_i − log p(z | u).
``label_likelihood > 0``
    adds −log p_flow(u), which teaches the mechanisms from the labels themselves.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Normal

from caufvae_lite.answers import inference_batch
from caufvae_lite.data import FactorDataset
from caufvae_lite.factor_vae import FactorVAE, check_weights
from caufvae_lite.flow import CausalFlow
from caufvae_lite.graph import CausalGraph
from caufvae_lite.interventions import Intervention
from caufvae_lite.mechanisms import Mechanism, evaluate
from caufvae_lite.networks import ImageShape
from caufvae_lite.posterior import ENOUGH, MOST, Calibration, Posterior, log_density_of
from caufvae_lite.randomness import keyed_generator

PRIORS = ("scm", "label")
CALIBRATION = 6  # what its resampling is keyed by, see `randomness` and `training`
PRIOR_LOG_SCALE = (-4.0, 1.0)  # bounds of the label prior's log σ_i


class LabelPrior(nn.Module):
    r"""p(z | u) = Π_i N(z_i; μ_i(u_i), σ_i²(u_i)), with a small network for each factor.

    *Our reconstruction* of the "learnable conditional prior" that CauF-VAE's abstract and
    reviews mention; its published form was not available to us. It factorises over the
    factors given their labels. That is what iVAE's theory asks for (Khemakhem et al. 2020),
    and also what leaves the mechanisms undetermined: see notebook 05.

    Each of the d networks reads so many ``inputs``.
    """

    def __init__(self, d: int, inputs: int = 1):
        super().__init__()
        self.networks = nn.ModuleList(Mechanism(inputs, hidden=(32,)) for _ in range(d))

    def read(self, known: Tensor, observed: Tensor) -> list[Tensor]:
        """What each network reads, ``(n, inputs)``: its own label (0 where it is missing)."""
        return [u.unsqueeze(-1) for u in known.unbind(-1)]

    def forward(self, labels: Tensor) -> Normal:
        """p(z | u) for standardised labels ``(n, d)``; N(0, 1) where a label is NaN."""
        observed = ~torch.isnan(labels)
        known = torch.where(observed, labels, 0.0)
        outputs = evaluate(list(self.networks), self.read(known, observed))  # type: ignore[arg-type]
        raw, shift = outputs.permute(2, 1, 0)
        low, high = PRIOR_LOG_SCALE
        scale = torch.exp(low + (high - low) * torch.sigmoid(raw))
        mean = torch.where(observed, known + shift, 0.0)
        return Normal(mean, torch.where(observed, scale, 1.0))


class CauFVAE(FactorVAE):
    """A VAE with a causal flow between noise and factors; see `FactorVAE` for the rest.

    Args:
        graph: which factor causes which.
        image_shape: ``(c, h, w)``, 1 or 3 channels.
        prior: ``"scm"`` or ``"label"``, see above.
        label_likelihood: weight of −log p_flow(u); 0 switches it off.
        supervision: weight of ‖z̄(x) − u‖².
        extra_dims: unlabelled N(0, I) latents outside the flow.
        kl_weight: of the KL, β of a β-VAE; 1 is the evidence bound.
        covariance: ``"diagonal"``; or ``"full"``, by which the posterior can say that what it
            does not know of a cause it does not know of the effect's noise either.
        label_reconstruction: weight of −log p(x | z = u), see `FactorVAE`.

    >>> graph = CausalGraph(["sun", "shadow"], [("sun", "shadow")])
    >>> model = CauFVAE(graph, image_shape=(1, 28, 28))
    >>> model.counterfactual(torch.zeros(5, 1, 28, 28), do={"sun": 1.0}).factors.shape
    torch.Size([5, 2])
    """

    def __init__(
        self,
        graph: CausalGraph,
        image_shape: ImageShape = (3, 64, 64),
        prior: str = "scm",
        label_likelihood: float = 5.0,
        supervision: float = 20.0,
        extra_dims: int = 0,
        kl_weight: float = 1.0,
        covariance: str = "diagonal",
        label_reconstruction: float = 0.0,
    ):
        super().__init__(
            graph, image_shape, label_likelihood, supervision, extra_dims, covariance
        )
        if prior not in PRIORS:
            raise ValueError(f'prior must be "scm" or "label", got {prior!r}.')
        check_weights(kl_weight=kl_weight, label_reconstruction=label_reconstruction)
        self.prior = prior
        self.kl_weight = float(kl_weight)
        self.label_reconstruction = float(label_reconstruction)
        self.flow = CausalFlow(graph)
        self.label_prior = LabelPrior(len(graph)) if prior == "label" else None

    def config(self) -> dict[str, Any]:
        return {
            **super().config(),
            "prior": self.prior,
            "kl_weight": self.kl_weight,
            "covariance": self.covariance,
            "label_reconstruction": self.label_reconstruction,
        }

    def latent_map(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        return self.flow(noise)

    def abduct(self, factors: Tensor) -> Tensor:
        return self.flow.inverse(factors)[0]

    def latent_do(self, noise: Tensor, do: Intervention) -> Tensor:
        return self.flow.do(noise, do)

    def label_log_prob(self, labels: Tensor) -> Tensor:
        return self.flow.node_log_prob(labels)

    def mechanism_parameters(self) -> list[nn.Parameter]:
        prior = [] if self.label_prior is None else self.label_prior.parameters()
        return [*self.flow.parameters(), *prior]

    def kl(
        self, q: Posterior, noise: Tensor, factors: Tensor, log_det: Tensor, labels: Tensor
    ) -> Tensor:
        if self.label_prior is None:
            return super().kl(q, noise, factors, log_det, labels)
        log_q = log_density_of(q, noise) - log_det
        return log_q - self._given(labels).log_prob(factors).sum(-1)

    def prior_noise(self, n: int, labels: Tensor | None, generator: torch.Generator) -> Tensor:
        noise = super().prior_noise(n, labels, generator)
        if self.label_prior is None:
            return noise
        if labels is None:
            raise ValueError(
                'With prior="label" the prior is p(z | u): sample() needs labels=, '
                f"shape ({n}, {len(self.graph)}) in the data's units."
            )
        given = self._given(labels)
        return self.flow.inverse(given.mean + given.stddev * noise)[0]

    def calibrate(
        self, dataset: FactorDataset, rows: Tensor | None = None, seed: int = 0
    ) -> None:
        """Let labelled rows set the spread of draws, see `posterior.Calibration`.

        Args:
            dataset: its labels teach the mechanisms again, those of training rows included.
            rows: integers, those of its rows that the model was not trained on. Where all
                labels are there they say how wrong it reads. None takes them all.
            seed: of the resampling.

        A binary factor is drawn as the encoder sees it. Fewer than 40 such rows with all labels
        are a ValueError, after which the model is uncalibrated.
        """
        self.calibration = None
        complete = ~torch.isnan(dataset.factors).any(-1)
        rows = torch.arange(len(dataset)) if rows is None else rows
        rows = rows[complete[rows]][:MOST]
        if len(rows) < ENOUGH:
            raise ValueError(
                f"A calibration needs at least {ENOUGH} held-out rows with all labels, and "
                f"here are {len(rows)}: too few to say how wrong the model is."
            )
        labels = self.standardise(dataset.factors, len(dataset))
        batches = rows.split(inference_batch(self.image_shape))
        with torch.no_grad():
            parts = [self.proposal(self.prepared(dataset.images[b]))[0] for b in batches]
        errors = torch.cat(parts)[:, : len(self.graph)] - labels[rows.to(labels.device)]
        found = Calibration(self.flow, errors.masked_fill(self.binary, 0.0))
        known = labels[complete.to(labels.device)].masked_fill(self.binary, torch.nan)
        found.to(self.mean.device).learn(known, keyed_generator(seed, CALIBRATION))
        self.calibration = found.eval()

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, *rest: Any) -> None:
        """A state that holds a calibration makes room for it first."""
        errors = state.get(f"{prefix}calibration.errors")
        if errors is not None:
            self.calibration = Calibration(self.flow, torch.zeros_like(errors))
        super()._load_from_state_dict(state, prefix, *rest)

    def _given(self, labels: Tensor) -> Normal:
        """p(z | u) for standardised labels. A binary label says nothing about its logit."""
        assert self.label_prior is not None
        return self.label_prior(labels.masked_fill(self.binary, torch.nan))
