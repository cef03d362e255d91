"""Figures: those of the lessons, and scores with their intervals."""

from caufvae_lite.plots.lessons import (
    COLOURS,
    bars,
    causal_graph,
    coverage,
    curves,
    densities,
    difference,
    distributions,
    graph_and_matrices,
    matrices,
    moving_mass,
    panels_in_a_row,
    picture_rows,
    sorted_intervals,
    timings,
    truth_scatter,
)  # fmt: skip
from caufvae_lite.plots.model import (
    kl_against_scale,
    marked_rows,
    mosaics,
    picture_to_picture,
    posteriors_and_prior,
    residuals,
)
from caufvae_lite.plots.scores import (
    against,
    choice,
    clouds,
    intervals,
    paths,
    ranking,
    scores,
)

__all__ = [
    "COLOURS", "against", "bars", "causal_graph", "choice", "clouds", "coverage", "curves",
    "densities", "difference", "distributions", "graph_and_matrices", "intervals",
    "kl_against_scale", "marked_rows", "matrices", "mosaics", "moving_mass", "panels_in_a_row",
    "paths", "picture_rows", "picture_to_picture", "posteriors_and_prior", "ranking",
    "residuals", "scores", "sorted_intervals", "timings", "truth_scatter",
]  # fmt: skip
