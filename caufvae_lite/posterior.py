r"""The posterior over noise: a Gaussian with a diagonal covariance, or with a full one.

::

    q(ε | x) = N(m, diag σ²)                                each noise by itself
    q(ε | x) = N(m, L Lᵀ),   L = (I + S) diag(σ)            S strictly lower triangular

Both are distributions of torch. Its densities and KL cannot take an empty batch, or need more
than the closed form, so what training asks of them stands here.
"""

import torch
from torch import Tensor
from torch.distributions import Independent, MultivariateNormal, Normal

Posterior = Independent | MultivariateNormal  # over noise, a vector for each picture
_STANDARD = Normal(0.0, 1.0)


def gaussian(mean: Tensor, std: Tensor, below: Tensor | None = None) -> Posterior:
    """N(mean, Σ) for mean and σ ``(n, k)``.

    ``below`` ``(n, d(d − 1)/2)``, where given, are the entries of S for the first d ≤ k noises,
    row by row. What comes after these covaries with nothing.
    """
    if below is None:
        return Independent(Normal(mean, std), 1)
    d = round((1 + (1 + 8 * below.shape[1]) ** 0.5) / 2)
    mixing = torch.diag_embed(torch.ones_like(std))
    i, j = torch.tril_indices(d, d, -1, device=std.device)
    mixing[:, i, j] = below
    return MultivariateNormal(mean, scale_tril=mixing * std[:, None], validate_args=False)


def drawn_from(q: Posterior, draws: Tensor) -> Tensor:
    """Noise from q, reparametrised by ``draws`` ``(n, latent_dims)`` of N(0, 1)."""
    if isinstance(q, MultivariateNormal):
        return q.mean + (q.scale_tril @ draws.unsqueeze(-1)).squeeze(-1)
    return q.mean + q.stddev * draws


def log_density_of(q: Posterior, noise: Tensor) -> Tensor:
    """log q(noise) ``(n,)``."""
    if not isinstance(q, MultivariateNormal):
        return q.base_dist.log_prob(noise).sum(-1)
    off = (noise - q.mean).unsqueeze(-1)
    white = torch.linalg.solve_triangular(q.scale_tril, off, upper=False).squeeze(-1)
    return _STANDARD.log_prob(white).sum(-1) - _log_det(q)


def kl_from_standard_normal(q: Posterior) -> Tensor:
    """KL(q ‖ N(0, I)) ``(n,)``: for a full covariance, ½ (‖L‖² + ‖m‖² − d) − Σ log L_ii."""
    if not isinstance(q, MultivariateNormal):
        return torch.distributions.kl_divergence(q.base_dist, _STANDARD).sum(-1)
    norms = q.scale_tril.square().sum((-2, -1)) + q.mean.square().sum(-1)
    return 0.5 * (norms - q.mean.shape[-1]) - _log_det(q)


def split(q: Posterior, d: int) -> tuple[Posterior, Posterior]:
    """q of the first d noises, and of the others, which covary with nothing."""
    own, rest = q.mean.tensor_split([d], -1)
    if not isinstance(q, MultivariateNormal):
        std, others = q.stddev.tensor_split([d], -1)
        return gaussian(own, std), gaussian(rest, others)
    tril = q.scale_tril
    others = tril.diagonal(dim1=-2, dim2=-1)[:, d:]
    factors = MultivariateNormal(own, scale_tril=tril[:, :d, :d], validate_args=False)
    return factors, gaussian(rest, others)


def _log_det(q: MultivariateNormal) -> Tensor:
    return q.scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)
