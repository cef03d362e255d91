r"""A decoder that sees its factors at every depth, and sees them uncorrelated.

Where one factor nearly determines another, as thickness does intensity, a decoder learns
slowly what each of them does alone: the training pictures hardly show it. Two changes help it,
and neither adds a picture or a label.

* It reads *whitened* factors Σ^(−1/2) z, where Σ is the covariance of the standardised labels.
  Then what is left of a factor, given the others, is as large an input as any other.
* Its convolutions' channels, and the picture's logits, are *scaled and shifted* by functions
  of all latents (FiLM, Perez et al., "FiLM: Visual Reasoning with a General Conditioning
  Layer", AAAI 2018). To darken a picture is one multiplication then, and not something that
  each channel learns for itself.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from caufvae_lite.data import FactorDataset
from caufvae_lite.factor_vae import FactorVAE
from caufvae_lite.networks import Decoder, ImageShape

__all__ = ["ConditionedDecoder", "condition"]

HIDDEN = 64  # of the small network that scales and shifts the logits
CONTINUOUS, BINARY = 2.0, 0.25  # the size of what the decoder reads; a binary latent is ± 4


class ConditionedDecoder(Decoder):
    """Latents ``(n, k)`` → logits ``(n, c, h, w)``.

    ``whitening`` ``(k, k)`` is what the latents are multiplied by, from the right.
    """

    whitening: Tensor

    def __init__(self, image_shape: ImageShape, whitening: Tensor):
        k = len(whitening)
        super().__init__(image_shape, k)
        self.register_buffer("whitening", whitening)
        modulated = [layer for layer in self.convolutions if isinstance(layer, nn.Conv2d)][:-1]
        self.scales = nn.ModuleList(nn.Linear(k, 2 * layer.out_channels) for layer in modulated)
        self.contrast = nn.Sequential(nn.Linear(k, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, 2))
        for last in (*self.scales, self.contrast[-1]):
            nn.init.zeros_(last.weight)  # at first it is the plain decoder
            nn.init.zeros_(last.bias)

    def forward(self, latents: Tensor) -> Tensor:
        if len(latents) == 0:
            return self(latents.new_zeros(1, latents.shape[1]))[:0]
        known, scales = latents @ self.whitening, iter(self.scales)
        hidden = self.head(known).view(-1, *self.start)
        hidden = hidden.contiguous(memory_format=torch.channels_last)
        for layer in self.convolutions:
            hidden = layer(hidden)
            if isinstance(layer, nn.Conv2d) and (scale := next(scales, None)) is not None:
                both = scale(known)
                hidden = _scaled(hidden, 1 + both[:, ::2], both[:, 1::2])
        logits = F.pixel_shuffle(hidden, self.patch)[..., : self.size[0], : self.size[1]]
        log_factor, shift = self.contrast(known).split(1, -1)
        return _scaled(logits, log_factor.exp(), shift)


def _scaled(maps: Tensor, factors: Tensor, shifts: Tensor) -> Tensor:
    """``(n, c, h, w)`` maps times ``(n, c)`` factors, plus as many shifts."""
    return maps * factors[..., None, None] + shifts[..., None, None]


def condition(model: FactorVAE, dataset: FactorDataset) -> None:
    """Give an untrained ``model`` a `ConditionedDecoder` for the labels of ``dataset``.

    Rows without all labels are left out.
    """
    labels = dataset.factors[~torch.isnan(dataset.factors).any(-1)]
    free = [i for i, name in enumerate(dataset.graph.nodes) if dataset.kinds[name] != "binary"]
    whitening = torch.eye(model.latent_dims)
    whitening[: len(model.graph), : len(model.graph)] *= BINARY
    values, vectors = torch.linalg.eigh(
        torch.corrcoef(labels[:, free].T).reshape(len(free), -1)
    )
    root = vectors @ (values.rsqrt().unsqueeze(-1) * vectors.T)
    whitening[torch.tensor(free).unsqueeze(-1), torch.tensor(free)] = CONTINUOUS * root
    model.decoder = ConditionedDecoder(model.image_shape, whitening)
