"""Figures: of the ideas, of graphs, of the lessons, and scores with their intervals."""

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
from caufvae_lite.plots.downstream import fewer_labels, grouped_seeds
from caufvae_lite.plots.graphs import (
    causal_graph,
    graph_and_matrices,
    graph_walk,
    one_case,
)
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
)
from caufvae_lite.plots.model import (
    kl_against_scale,
    mosaics,
    picture_to_picture,
    posteriors_and_prior,
    residuals,
    truth_outlined,
)
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
from caufvae_lite.plots.structure import arcs

__all__ = [
    "COLOURS", "against", "arcs", "bars", "broken", "causal_graph", "choice", "clouds",
    "coloured_cloud", "coverage", "curves", "densities", "difference", "distributions",
    "draws_in_a_plane", "environments", "fan", "fewer_labels", "graph_and_matrices",
    "graph_walk", "grouped_seeds",
    "intervals", "kl_against_scale", "marked_rows", "masked_network", "mass_in_place",
    "matrices", "mechanisms", "mosaics", "moving_mass", "objections", "one_case",
    "panels_in_a_row", "paths", "picture_rows", "picture_to_picture", "posteriors_and_prior",
    "ranking", "records", "residuals", "same_cloud", "same_rank", "scores", "seed_points",
    "side_by_side", "smooth_distributions", "sorted_intervals", "stacked_histograms",
    "stretched_squares", "three_steps", "timings", "truth_outlined", "truth_scatter",
]  # fmt: skip
