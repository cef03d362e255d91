"""The figures of notebooks 06 and 07 show every seed and every arrow that they are given."""

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from caufvae_lite import plots

SEEDS = {"p": {"a": {"x": [0.1, 0.1, np.nan], "y": torch.ones(3)}, "b": {"y": [0.5]}}}
FEW = {"w": {"ours": {55: [0.9, 0.8], 100: [1.0, 1.0]}, "other": {55: [-3.0, 0.2]}}}
ALLOWED = {("a_b", "c"): 0.5, ("a_b", "d"): 2.0, ("c", "d"): 0.0}

FIGURES = {
    "seeds": lambda: plots.grouped_seeds(SEEDS, "accuracy", "rows"),
    "few": lambda: plots.fewer_labels(FEW, "labels", "R²", 0.0),
    "arcs": lambda: plots.arcs(["a_b", "c", "d"], {"all": ALLOWED, "one": {}}),
    "true arcs": lambda: plots.arcs(["a_b", "c", "d"], {"t": ALLOWED}, {"t": [("c", "d")]}),
}


@pytest.mark.parametrize("name", FIGURES)
def test_figure_draws(name):
    figure = FIGURES[name]()
    assert isinstance(figure, Figure)
    figure.canvas.draw()


def test_every_seed_is_a_point_and_equal_ones_do_not_hide_each_other():
    (ax,) = plots.grouped_seeds(SEEDS, "accuracy").axes
    points = next(line for line in ax.lines if line.get_marker() == "o")
    assert points.get_xdata().tolist() == [0.1, 0.1]  # NaN is left out
    assert len(set(points.get_ydata())) == 2


def test_groups_of_a_row_are_told_apart_and_named():
    figure = plots.grouped_seeds(SEEDS, "accuracy")
    assert [t.get_text() for t in figure.legends[0].texts] == ["x", "y"]
    assert {line.get_marker() for line in figure.axes[0].lines} == {"o", "s", "|"}


def test_what_lies_below_the_floor_is_a_triangle_on_it():
    (ax,) = plots.fewer_labels(FEW, "labels", "R²", 0.0).axes
    (low,) = [line for line in ax.lines if line.get_marker() == "v" and len(line.get_xdata())]
    assert low.get_ydata().tolist() == [0.0]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["100", "55"]


def test_true_idle_and_lost_arrows_have_strokes_of_their_own():
    nodes, true = ["a_b", "c", "d"], [("a_b", "c"), ("c", "d")]
    (ax,) = plots.arcs(nodes, {"t": ALLOWED}, {"t": true}).axes
    strokes = sorted(t.arrow_patch.get_linestyle() for t in ax.texts if t.arrow_patch)
    assert strokes == ["-", "--", ":"]
