"""The figures of the lessons on intervening draw what they are given, at odd sizes too."""

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from caufvae_lite import CausalGraph, Pendulum, plots

GRID = np.linspace(-2, 2, 21)
FORK = CausalGraph(["a", "b_c", "d"], [("a", "b_c"), ("a", "d")])
PICTURES = np.zeros((3, 3, 8, 8))

FIGURES = {
    "side by side": lambda: plots.side_by_side({"one\ntwo": PICTURES[0], "b": PICTURES[1]}),
    "one grey picture": lambda: plots.side_by_side({"one": torch.zeros(1, 8, 8)}),
    "stacked histograms": lambda: plots.stacked_histograms({k: GRID for k in "abcd"}, "x", 1.0),
    "steps": lambda: plots.three_steps(
        FORK, {"a": 2.0}, [1, 2, 3], torch.tensor([2.0, 5.0, 6.0]), [0, 1, -1]
    ),
    "steps to a leaf": lambda: plots.three_steps(
        FORK, {"d": 2.0}, [1, 2, 3], [1, 2, 2], [0] * 3
    ),
    "seeds": lambda: plots.seed_points(
        {"p": {"r": [0.5, 0.4], "s": [-9.0]}, "q": {"s": torch.ones(2)}},
        "R²", {"p": ("copying", 0.0)}, floor=-1,
    ),
    "seeds in limits": lambda: plots.seed_points({"p": {"r": [0.5]}}, "x", limits=(0, 1)),
    "mechanisms": lambda: plots.mechanisms(
        GRID, {"p": {"a": GRID, "b": -GRID}, "q": {"b": GRID}}, {"p": GRID, "q": GRID}, "x", "y"
    ),
    "marked rows": lambda: plots.marked_rows(
        {"r": PICTURES, "s": PICTURES}, {"s": [1, 2, 3]}, ["1", "2", "3"], "before"
    ),
    "plane": lambda: plots.draws_in_a_plane(
        {"p": ("x", "y", {"a": torch.ones(5, 2), "b": GRID[:4].reshape(2, 2)})}, {"p": (0, 0)}
    ),
    "fan": lambda: plots.fan(GRID, np.stack([GRID, -GRID]), (-1, 1), "x", "y"),
}  # fmt: skip


@pytest.mark.parametrize("name", FIGURES)
def test_draws(name):
    figure = FIGURES[name]()
    assert isinstance(figure, Figure)
    FigureCanvasAgg(figure).draw()
    assert figure.get_size_inches()[0] <= 12


def texts(figure):
    return [[t.get_text() for t in ax.texts] for ax in figure.axes]


def test_the_steps_keep_the_noise_and_change_descendants_only():
    world = Pendulum(8, noise=1.0)
    before, after = [1.0, 99.0, 3.0, 4.0], [1.0, 75.0, 5.0, 6.0]
    noise = [0.1, 0.2, 0.3, 0.4]
    steps = texts(plots.three_steps(world.graph, {"light_angle": 75.0}, before, after, noise))
    for step in steps:
        assert [t for t in step if t.startswith("ε")] == [f"ε = {e:.2f}" for e in noise]
    shown = [[t.split("\n")[-1] for t in step if t and "ε" not in t] for step in steps]
    assert shown == [
        ["1.0", "99.0", "3.0", "4.0"], ["1.0", "75.0", "?", "?"], ["1.0", "75.0", "5.0", "6.0"]
    ]  # fmt: skip


def test_points_below_the_floor_are_counted_and_the_others_drawn():
    figure = plots.seed_points({"p": {"r": [-5.0, -7.0, 0.5]}}, "R²", floor=-1)
    (ax,) = figure.axes
    assert texts(figure) == [["2 below"]]
    assert [line.get_xdata().tolist() for line in ax.lines] == [[0.5], [-1]]


def test_a_model_has_one_colour_in_every_panel():
    figure = plots.mechanisms(
        GRID, {"p": {"a": GRID, "b": GRID}, "q": {"b": GRID}}, {"p": GRID, "q": GRID}, "x", "y"
    )
    colours = [{line.get_label(): line.get_color() for line in ax.lines} for ax in figure.axes]
    assert colours[0]["b"] == colours[1]["b"] != colours[0]["a"]


def test_levels_are_marked_in_their_rows_alone():
    figure = plots.marked_rows({"r": PICTURES, "s": PICTURES}, {"s": [1, 2, 3]})
    marked = [[line.get_ydata()[0] for line in ax.lines] for ax in figure.axes]
    assert marked == [[], [], [], [1], [2], [3]]


def test_everything_drawn_in_a_plane_is_named():
    figure = plots.draws_in_a_plane(
        {"p": ("x", "y", {"a": PICTURES[0, 0, :, :2]})}, {"p": (0, 0)}
    )
    assert [t.get_text() for t in figure.legends[0].texts] == ["a", "the truth"]
