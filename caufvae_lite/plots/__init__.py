"""Figures: of the ideas, of graphs, of the lessons, and scores with their intervals."""

from caufvae_lite.plots.graphs import causal_graph, graph_and_matrices, graph_walk, one_case
from caufvae_lite.plots.ideas import (
    coloured_cloud,
    densities,
    masked_network,
    mass_in_place,
    moving_mass,
    records,
    smooth_distributions,
    stretched_squares,
    timings,
)
from caufvae_lite.plots.lessons import (
    COLOURS,
    bars,
    coverage,
    curves,
    difference,
    distributions,
    matrices,
    panels_in_a_row,
    picture_rows,
    sorted_intervals,
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
    "COLOURS", "against", "bars", "causal_graph", "choice", "clouds", "coloured_cloud",
    "coverage", "curves", "densities", "difference", "distributions", "graph_and_matrices",
    "graph_walk", "intervals", "masked_network", "mass_in_place", "matrices", "moving_mass",
    "one_case", "panels_in_a_row", "paths", "picture_rows", "ranking", "records", "scores",
    "smooth_distributions", "sorted_intervals", "stretched_squares", "timings", "truth_scatter",
]  # fmt: skip
