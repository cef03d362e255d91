"""The command *train* under a short name, for ``accelerate launch -m caufvae_lite.train``."""

from caufvae_lite.commands.train import load_data, main, train

__all__ = ["load_data", "main", "train"]
