"""Plain functions of arrays: one file a question."""

from caufvae_lite.metrics.accuracy import group_accuracy, mae, psnr, r2
from caufvae_lite.metrics.counterfactual import composition, drift, noise_kept_ratio
from caufvae_lite.metrics.disentanglement import assignment, dci, mcc, r2_matrix
from caufvae_lite.metrics.graphs import edge_scores, shd
from caufvae_lite.metrics.information import mic_tic

__all__ = ["assignment", "composition", "dci", "drift", "edge_scores", "group_accuracy", "mae"]
__all__ += ["mcc", "mic_tic", "noise_kept_ratio", "psnr", "r2", "r2_matrix", "shd"]
