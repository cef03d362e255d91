"""caufvae_lite: causal flows, CauF-VAE, and worlds that know the true counterfactual."""

from typing import Any

from caufvae_lite import baselines, metrics, training
from caufvae_lite.caufvae import CauFVAE
from caufvae_lite.checkpoints import CheckpointError, load, load_pretrained, save
from caufvae_lite.data import FactorDataset
from caufvae_lite.datasets.celeba import CelebA
from caufvae_lite.datasets.digits import Digits
from caufvae_lite.factor_vae import FactorVAE
from caufvae_lite.flow import CausalFlow
from caufvae_lite.graph import CausalGraph
from caufvae_lite.history import History
from caufvae_lite.interventions import Decoded, FactorModel
from caufvae_lite.scaling import Team
from caufvae_lite.training import fit
from caufvae_lite.worlds import Machine, Pendulum, Water, World

training.WORKER = Team  # so `fit` takes all processes that were started, and can be resumed

__version__ = "0.1.0"

__all__ = ["CausalFlow", "CausalGraph", "Decoded", "FactorDataset", "FactorModel", "History"]
__all__ += ["CauFVAE", "CheckpointError", "FactorVAE", "fit", "load", "load_pretrained", "save"]
__all__ += ["CelebA", "Digits", "Machine", "Pendulum", "Water", "World", "baselines", "metrics"]
__all__ += ["__version__", "explore", "setup", "show"]


def __getattr__(name: str) -> Any:
    """The notebooks' helpers load IPython, so only when they are asked for."""
    if name in ("explore", "setup", "show"):
        from caufvae_lite import notebook

        return getattr(notebook, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
