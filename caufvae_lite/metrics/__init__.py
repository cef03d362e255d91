"""Plain functions of arrays: one file a question."""

from caufvae_lite.metrics.accuracy import mae, psnr, r2
from caufvae_lite.metrics.counterfactual import composition, drift, noise_kept_ratio

__all__ = ["composition", "drift", "mae", "noise_kept_ratio", "psnr", "r2"]
