"""Figures: those of the lessons, and scores with their intervals."""

from caufvae_lite.plots.doing import (
    draws_in_a_plane,
    fan,
    marked_rows,
    mechanisms,
    seed_points,
    side_by_side,
    stacked_histograms,
    three_steps,
)
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
    "densities", "difference", "distributions", "draws_in_a_plane", "fan",
    "graph_and_matrices", "intervals", "marked_rows", "matrices", "mechanisms", "moving_mass",
    "panels_in_a_row", "paths", "picture_rows", "ranking", "scores", "seed_points",
    "side_by_side", "sorted_intervals", "stacked_histograms", "three_steps", "timings",
    "truth_scatter",
]  # fmt: skip
