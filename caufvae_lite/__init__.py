"""caufvae_lite: causal flows, CauF-VAE, and worlds that know the true counterfactual."""

from caufvae_lite import metrics
from caufvae_lite.caufvae import CauFVAE
from caufvae_lite.checkpoints import CheckpointError, load, load_pretrained, save
from caufvae_lite.data import FactorDataset
from caufvae_lite.flow import CausalFlow
from caufvae_lite.graph import CausalGraph
from caufvae_lite.history import History
from caufvae_lite.training import fit
from caufvae_lite.vae import Decoded, FactorModel, FactorVAE
from caufvae_lite.version import __version__
from caufvae_lite.worlds import Pendulum, World

__all__ = [
    "CauFVAE",
    "CausalFlow",
    "CausalGraph",
    "CheckpointError",
    "Decoded",
    "FactorDataset",
    "FactorModel",
    "FactorVAE",
    "History",
    "Pendulum",
    "World",
    "__version__",
    "fit",
    "load",
    "load_pretrained",
    "metrics",
    "save",
]
