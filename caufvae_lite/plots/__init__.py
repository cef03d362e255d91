"""The figures of the lessons: one function each, and one colour for each role."""

from caufvae_lite.plots.densities import densities, distributions, moving_mass, spread
from caufvae_lite.plots.graphs import causal_graph, graph_and_matrices, matrices
from caufvae_lite.plots.lines import bars, curves, timings
from caufvae_lite.plots.look import COLOURS, panels_in_a_row
from caufvae_lite.plots.pictures import difference, picture_rows, truth_scatter

__all__ = [
    "COLOURS", "bars", "causal_graph", "curves", "densities", "difference", "distributions",
    "graph_and_matrices", "matrices", "moving_mass", "panels_in_a_row", "picture_rows",
    "spread", "timings", "truth_scatter",
]  # fmt: skip
