"""The command *train* under a short name, for ``accelerate launch -m caufvae_lite.train``."""

from caufvae_lite.commands.train import main, train

__all__ = ["main", "train"]
