"""Every figure draws what it is given, at odd sizes too, and closes over nothing."""

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from caufvae_lite import plots

GRID = np.linspace(-2, 2, 21)

FIGURES = {
    "matrices": lambda: plots.matrices(
        {"zeros": np.zeros((2, 3)), "mask": np.eye(2, dtype=bool)}
    ),
    "distributions": lambda: plots.distributions({k: GRID for k in "abcd"}, "x"),
    "bars": lambda: plots.bars({"a": [1.0], "b": [-1.0]}, ["x_y"], limits=(-2, 2)),
    "clouds": lambda: plots.clouds({"a": ([0, 1], [1, 2])}, "x", "y", ([0, 1], [0, 1])),
    "coverage": lambda: plots.coverage([0.5, 0.9], {"a": [0.4, 1.0], "b": torch.ones(2)}),
    "sorted intervals": lambda: plots.sorted_intervals(
        torch.zeros(3), torch.ones(3), [-1.0, 0.5, 2.0], "y"
    ),
    "one interval": lambda: plots.sorted_intervals([0.0], [1.0], [0.5], "y"),
    "against": lambda: plots.against(
        {"p": {"a": {0.0: [1.0], 2.5: [0.5, -9.0]}}}, "x", {"p": 0}
    ),
    "curves": lambda: plots.curves(GRID, {"a": GRID, "b": GRID**2}, "x", "y"),
    "scores": lambda: plots.scores({"m": {"a": (0.5, 0.1), "b": (np.nan, np.nan)}}),
    "low scores": lambda: plots.scores({"m": {"a": (-5.0, 0.1)}}, floors={"a": -1}),
    "mechanism": lambda: plots.curves(GRID, {k: GRID for k in "abcd"}, "x", "y", law=GRID),
    "pictures": lambda: plots.picture_rows({"r": np.zeros((2, 3, 8, 8))}, ["one", "two"]),
    "intervals": lambda: plots.intervals(
        {"p": {"r": {"a": (0.5, 0.1), "b": (0.4, float("nan"))}}, "q": {"s": {"a": (0, 1)}}}
    ),
    "intervals beyond limits": lambda: plots.intervals(
        {"p": {"low": {"a": (-5.0, 1.0)}, "high": {"a": (5.0, 1.0)}}}, limits={"p": (0, 1)}
    ),
    "paths": lambda: plots.paths(
        np.exp(GRID), {"a_b": {"c": GRID, "d": GRID**2}}, {"a_b": ("c",)}
    ),
    "choice": lambda: plots.choice(
        {"a_b": [((), -1.0, 0.5, 3.0), (("c_d",), -0.5, 0.0, 0.0)], "e": [((), 0.0, 0.0, 0.0)]},
        {"a_b": 1, "e": 0},
        critical=2.1,
    ),
    "ranking": lambda: plots.ranking([0, -1.0, -2.0], [False, True, False], "y"),
    "grey pictures": lambda: plots.picture_rows({"r": np.zeros((1, 1, 8, 8))}),
}


@pytest.mark.parametrize("name", FIGURES)
def test_figure_draws(name):
    figure = FIGURES[name]()
    assert isinstance(figure, Figure)
    figure.canvas.draw()


def test_a_mean_below_the_floor_is_written_out():
    figure = plots.scores({"m": {"a": (-5.2, 0.1)}}, floors={"a": -1})
    assert [t.get_text() for t in figure.axes[0].texts] == ["-5.2"]


def test_only_a_leading_zero_is_left_out_of_a_matrix_entry():
    figure = plots.matrices({"J": np.array([[10.05, -0.25]])})
    assert [text.get_text() for text in figure.axes[0].texts] == ["10.05", "-.25"]


def test_matrix_entries_are_written_in_and_zeros_left_empty():
    figure = plots.matrices({"J": np.array([[0.0, 0.25], [2.0, 0.0]])})
    assert sorted(t.get_text() for t in figure.axes[0].texts) == [".25", "2.00"]


def test_a_median_does_not_depend_on_how_low_a_point_lies():
    lines = []
    for low in (-1, -1e6):
        scores = {"p": {"a": {1: [0.5, 0.7, low], 2: [0.9]}}}
        figure = plots.against(scores, "x", {"p": 0}, centre=np.median)
        lines.append(figure.axes[0].lines[0].get_ydata())
    np.testing.assert_array_equal(lines, [[0.5, 0.9]] * 2)


def test_the_rows_of_matrices_are_named_once_and_no_zero_is_negative():
    figure = plots.matrices({k: np.array([[-0.001, 0.3]]) for k in "ab"}, ["row"])
    assert [len(ax.get_yticks()) for ax in figure.axes] == [1, 0]
    assert figure.axes[0].texts[0].get_text() == ".00"
