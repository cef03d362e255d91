r"""The conditional label prior p(z | u) = Π_i N(z_i; μ_i(u_i), σ_i²(u_i)).

*Our reconstruction* of the "learnable conditional prior" that CauF-VAE's abstract and
reviews mention; its published form was not available to us. It factorises over the
factors given their labels, which is what iVAE's theory asks for (Khemakhem et al. 2020),
and also what leaves the mechanisms undetermined: see notebook 05.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributions import Normal

from caufvae_lite.mechanisms import Mechanism, evaluate

LOG_SCALE = (-4.0, 1.0)


class LabelPrior(nn.Module):
    """μ_i and σ_i as one small network for each of d factors, each with ``inputs``."""

    def __init__(self, d: int, hidden: tuple[int, ...] = (32,), inputs: int = 1):
        super().__init__()
        self.networks = nn.ModuleList(Mechanism(inputs, hidden) for _ in range(d))

    def read(self, known: Tensor, observed: Tensor) -> list[Tensor]:
        """What each network reads, ``(n, inputs)``: its own label (0 where it is missing)."""
        return [u.unsqueeze(-1) for u in known.unbind(-1)]

    def forward(self, labels: Tensor) -> Normal:
        """p(z | u) for standardised labels ``(n, d)``; N(0, 1) where a label is NaN."""
        observed = ~torch.isnan(labels)
        known = torch.where(observed, labels, 0.0)
        outputs = evaluate(list(self.networks), self.read(known, observed))  # type: ignore[arg-type]
        raw, shift = outputs.permute(2, 1, 0)
        low, high = LOG_SCALE
        scale = torch.exp(low + (high - low) * torch.sigmoid(raw))
        return Normal(
            torch.where(observed, known + shift, 0.0), torch.where(observed, scale, 1.0)
        )
