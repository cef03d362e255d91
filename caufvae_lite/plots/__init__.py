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
from caufvae_lite.plots.promises import (
    broken,
    environments,
    objections,
    same_cloud,
    same_rank,
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
    "COLOURS", "against", "bars", "broken", "causal_graph", "choice", "clouds", "coverage",
    "curves", "densities", "difference", "distributions", "environments",
    "graph_and_matrices", "intervals", "matrices", "moving_mass", "objections",
    "panels_in_a_row", "paths", "picture_rows", "ranking", "same_cloud", "same_rank",
    "scores", "sorted_intervals", "timings", "truth_scatter",
]  # fmt: skip
